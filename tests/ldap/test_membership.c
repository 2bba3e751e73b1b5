/* tests/ldap/test_membership.c - who is in which group, as Active Directory says it (Samba's), and where a server does not say it so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ask.h"
#include "ldap/facts.h"

static char ca[4096];
static const char *uris[2];

static struct cm_directory *
open_ad(enum cm_conf_idmap use)
{
	struct cm_directory_options o = {
		.uris = uris, .base = rig("CM_RIG_AD_BASE"), .ca = ca, .starttls = true, .bind_dn = rig("CM_RIG_AD_BIND_DN"),
		.bind_password_file = rig("CM_RIG_AD_PASSWORD_FILE"), .first_uid = 1000, .first_gid = 1000,
		.idmap = { .use = use, .min = 200000, .max = 2000200000, .size = 200000 },
	};

	uris[0] = rig("CM_RIG_AD_URI");
	snprintf(ca, sizeof(ca), "%s", pki("root.crt"));
	return must_open(&o);
}

static struct cm_directory *
open_slapd(void)
{
	struct cm_directory_options o = {
		.uris = uris, .base = rig("CM_RIG_BASE"), .ca = ca, .starttls = true, .first_uid = 1000, .first_gid = 1000,
	};

	uris[0] = rig("CM_RIG_LDAP_URI");
	snprintf(ca, sizeof(ca), "%s", pki("root.crt"));
	return must_open(&o);
}

struct told {
	enum cm_err err;
	struct cm_fact group;
	unsigned searches;
	char groups[1024];
};

/* By name, as somebody without a card is asked about. */
static struct told
ask_about(struct cm_directory *d, const char *attribute, const char *user, const char *group)
{
	const struct cm_facts_question question = { .group = group };
	struct ask a;
	struct cm_facts_search s = { .query = ask_for(&a, attribute, user, NULL, NULL), .user = user, .question = &question,
		.deadline = cm_deadline_in(20000) };
	struct cm_account *account = NULL;
	const unsigned before = cm_directory_stats(d).searches;
	struct told told = { .err = cm_directory_find_facts(d, &s, NULL, &account) };

	told.group = s.said.group;
	told.searches = cm_directory_stats(d).searches - before;
	if (account != NULL)
		snprintf(told.groups, sizeof(told.groups), "%s", groups_of(account));
	cm_account_free(&account);
	return told;
}

/* Nested in another folder, by the primary group, in a ring, beside sixteen hundred: two questions, however deep or large. */
static void
test_active_directory(void **state)
{
	static const struct {
		const char *user, *group;
		bool in;
		unsigned more;	/* searches, beyond the two */
	} cases[] = {
		{ "alice", "card-exempt", true, 0 }, { "ALICE", "CARD-Exempt", true, 0 }, { "alice", "level3", true, 0 },
		{ "alice", "level2", true, 0 }, { "erin", "card-exempt", false, 0 }, { "erin", "other-name", true, 0 },
		{ "bob", "everybody", true, 0 }, { "bob", "Domain Users", true, 0 }, { "bob", "Domain Admins", false, 0 },
		{ "grace", "ring1", true, 0 }, { "grace", "ring2", true, 0 }, { "alice", "ring2", true, 0 }, { "erin", "ring2", false, 0 },
		{ "dave", "huge", true, 0 }, { "dave", "huge-outer", true, 0 }, { "erin", "huge-outer", false, 0 },
		{ "alice", "no-such-group", false, 0 }, { "alice", "card-exempt)(cn=*", false, 0 }, { "alice", "*", false, 0 },
		/* what is for mail alone is in nobody's token: level by level, as elsewhere, until nothing is above */
		{ "frank", "mail-list", true, 1 }, { "erin", "mail-list", false, 3 },
		/* and nobody is in another through it, as Windows has it */
		{ "frank", "through-mail", false, 0 },
	};
	struct cm_directory *d = open_ad(CM_IDMAP_SID);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const struct told told = ask_about(d, "sAMAccountName", cases[i].user, cases[i].group);
		const unsigned account = strcmp(cases[i].user, "ALICE") != 0;	/* which asks for its groups, too */

		if (told.group.kind != CM_FACT_VALUE || told.group.value != cases[i].in || strcmp(told.group.text, cases[i].group) != 0)
			fail_msg("%s in %s: kind %d, %u, \"%s\"", cases[i].user, cases[i].group, told.group.kind, told.group.value, told.group.text);
		if (told.searches != 1 + 2 + cases[i].more + account)
			fail_msg("%s in %s: %u searches", cases[i].user, cases[i].group, told.searches);
	}
	cm_directory_close(&d);
}

/* "alice(1) b(2)": is this name one of them? */
static bool
has_group(const char *groups, const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "%s(", name);
	return strncmp(groups, text, strlen(text)) == 0 || (snprintf(text, sizeof(text), " %s(", name), strstr(groups, text) != NULL);
}

/* Whose account is kept is in these groups on this computer: nested ones too, and in two searches after the account. */
static void
test_groups_of_an_account(void **state)
{
	static const struct {
		const char *user, *in[5], *out[3];
	} cases[] = {
		{ "alice", { "level3", "level2", "level1", "card-exempt", "everybody" }, { "huge", "other-name" } },
		{ "bob", { "everybody" }, { "card-exempt", "level3" } },
		{ "dave", { "huge", "huge-outer", "everybody" }, { "ring1" } },
		{ "grace", { "ring1", "ring2", "everybody" }, { "level3" } },
		{ "frank", { "everybody" }, { "mail-list", "through-mail" } },
	};
	struct cm_directory *d = open_ad(CM_IDMAP_SID);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const struct told told = ask_about(d, "sAMAccountName", cases[i].user, NULL);

		assert_int_equal(told.err, CM_OK);
		assert_int_equal(told.searches, 3);
		for (size_t k = 0; k < CM_COUNT(cases[i].in) && cases[i].in[k] != NULL; k++)
			if (!has_group(told.groups, cases[i].in[k]))
				fail_msg("%s is not in %s: %s", cases[i].user, cases[i].in[k], told.groups);
		for (size_t k = 0; k < CM_COUNT(cases[i].out) && cases[i].out[k] != NULL; k++)
			if (has_group(told.groups, cases[i].out[k]))
				fail_msg("%s is in %s: %s", cases[i].user, cases[i].out[k], told.groups);
	}
	cm_directory_close(&d);
}

static void
add_to_slapd(const char *ldif)
{
	int fds[2], status = -1;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	if ((pid = fork()) == 0) {
		dup2(fds[0], 0);
		close(fds[1]);
		execlp("ldapadd", "ldapadd", "-x", "-H", rig("CM_RIG_LDAP_URI"), "-D", rig("CM_RIG_ADMIN_DN"), "-w",
		    rig("CM_RIG_ADMIN_PASSWORD"), (char *)NULL);
		_exit(127);
	}
	close(fds[0]);
	assert_int_equal(write(fds[1], ldif, strlen(ldif)), (ssize_t)strlen(ldif));
	close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* OpenLDAP has no tokens, whatever its entries look like: one question in vain, then upward as ever, primary group and all. */
static void
test_a_server_without(void **state)
{
	/* S-1-5-21-1-2-3-1105, and -513 */
	static const char sid[] = "AQUAAAAAAAUVAAAAAQAAAAIAAAADAAAAUQQAAA==", users[] = "AQUAAAAAAAUVAAAAAQAAAAIAAAADAAAAAQIAAA==";
	static const struct {
		const char *group;
		bool in;
		unsigned searches;
	} cases[] = { { "inner", true, 1 }, { "outer", true, 2 }, { "primary", true, 1 }, { "of-primary", true, 2 }, { "cards", false, 3 } };
	struct cm_directory *d = open_slapd();
	char ldif[4096];

	(void)state;
	snprintf(ldif, sizeof(ldif),
	    "dn: uid=adlike,ou=people,%1$s\nobjectClass: inetOrgPerson\nobjectClass: posixAccount\nobjectClass: cardPerson\n"
	    "uid: adlike\ncn: Ad Like\nsn: Like\nuidNumber: 19001\ngidNumber: 19002\nhomeDirectory: /home/adlike\nobjectSid:: %2$s\n"
	    "primaryGroupID: 513\n\n"
	    "dn: cn=inner,ou=groups,%1$s\nobjectClass: groupOfNames\ncn: inner\nmember: uid=adlike,ou=people,%1$s\n\n"
	    "dn: cn=outer,ou=groups,%1$s\nobjectClass: groupOfNames\ncn: outer\nmember: cn=inner,ou=groups,%1$s\n\n"
	    "dn: cn=primary,ou=groups,%1$s\nobjectClass: posixGroup\nobjectClass: cardPerson\ncn: primary\ngidNumber: 19003\nobjectSid:: %3$s\n\n"
	    "dn: cn=of-primary,ou=groups,%1$s\nobjectClass: groupOfNames\ncn: of-primary\nmember: cn=primary,ou=groups,%1$s\n\n",
	    rig("CM_RIG_BASE"), sid, users);
	add_to_slapd(ldif);
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const struct told told = ask_about(d, "uid", "adlike", cases[i].group);

		assert_int_equal(told.err, CM_OK);
		if (told.group.kind != CM_FACT_VALUE || told.group.value != cases[i].in)
			fail_msg("in %s: kind %d, %u", cases[i].group, told.group.kind, told.group.value);
		if (told.searches != 1 + 1 + cases[i].searches + 1)	/* account, in vain, upward, its groups */
			fail_msg("in %s: %u searches", cases[i].group, told.searches);
	}
	/* OpenLDAP takes a wide "a" for one (RFC 4518), so that it may know somebody by a name that is none here: that is no "nobody". */
	assert_int_equal(ask_about(d, "uid", "no-such-user", "cards").group.kind, CM_FACT_NONE);
	assert_int_equal(ask_about(d, "uid", "\xef\xbd\x81lice", "cards").group.kind, CM_FACT_UNKNOWN);
	/* Whose entry does not look like Active Directory's is not asked in vain. */
	assert_int_equal(ask_about(d, "uid", "alice", NULL).searches, 2);
	cm_directory_close(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_active_directory),
		cmocka_unit_test(test_groups_of_an_account),
		cmocka_unit_test(test_a_server_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
