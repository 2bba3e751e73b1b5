/* tests/ldap/test_look.c - looking at entries for people: a real slapd, a file, this computer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ask.h"

#define BASE	"dc=cardmap,dc=test"
#define PEOPLE	"ou=people," BASE

static char root[] = "/tmp/cm_test_look.XXXXXX", file[64], passwd[64], etc[64];
static char file_uri[80], local_uri[80];

static int
put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	return f != NULL && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path, 0644) == 0 ? 0 : -1;
}

/* The rig's tree, as far as these tests ask for it. */
static int
make_files(void **state)
{
	(void)state;
	if (mkdtemp(root) == NULL)
		return -1;
	snprintf(file, sizeof(file), "%s/people.ldif", root);
	snprintf(etc, sizeof(etc), "%s/etc", root);
	snprintf(passwd, sizeof(passwd), "%s/etc/passwd", root);
	snprintf(file_uri, sizeof(file_uri), "ldif:%s", file);
	snprintf(local_uri, sizeof(local_uri), "local:%s", root);
	if (mkdir(etc, 0755) != 0 || put(passwd, "alice:x:20001:20000:Alice Example:/home/alice:/bin/bash\n"
	    "dave:x:20002:20000::/:/bin/sh\n") != 0)
		return -1;
	return put(file,
	    "dn: " BASE "\nobjectClass: organization\no: Cardmap Test\n\n"
	    "dn: " PEOPLE "\nobjectClass: organizationalUnit\nou: people\n\n"
	    "dn: uid=alice," PEOPLE "\nobjectClass: inetOrgPerson\nuid: alice\nmail: alice@cardmap.test\n"
	    "uidNumber: 10001\nhomeDirectory: /home/alice\n\n"
	    "dn: uid=dave," PEOPLE "\nobjectClass: inetOrgPerson\nuid: dave\naltSecurityIdentities: Kerberos:dave@CARDMAP.TEST\n\n"
	    "dn: uid=dave-admin," PEOPLE "\nobjectClass: inetOrgPerson\nuid: dave-admin\n"
	    "altSecurityIdentities: Kerberos:dave@CARDMAP.TEST\n\n"
	    "dn: uid=toor," PEOPLE "\nobjectClass: inetOrgPerson\nuid: toor\nuidNumber: 0\n\n"
	    "dn: cn=x\\, " PEOPLE "\nobjectClass: inetOrgPerson\nuid: stray\n\n"
	    "dn: cn=engineering,ou=groups," BASE "\nobjectClass: posixGroup\ncn: engineering\n");
}

static int
remove_files(void **state)
{
	(void)state;
	(void)remove(file);
	(void)remove(passwd);
	(void)remove(etc);
	return remove(root);
}

static struct cm_directory *
open_uri(const char *uri)
{
	static const char *uris[2];
	static char ca[4096];
	const struct cm_directory_options o = {
		.uris = uris, .base = BASE, .ca = ca, .starttls = true, .first_uid = 1000, .first_gid = 1000,
		.binding = CM_BINDING_STRONG,
	};

	uris[0] = uri;
	snprintf(ca, sizeof(ca), "%s/root.crt", rig("CM_RIG_PKI"));
	return must_open(&o);
}

/* What was seen: DNs in order of their coming, and the values of one of them. */
struct seen {
	struct cm_buf dns;
	char attributes[1024];	/* of the last entry */
	size_t count;
	enum cm_err result;	/* of the visitor */
};

static enum cm_err
see(void *arg, const struct cm_entry *e)
{
	struct seen *s = arg;

	s->count++;
	cm_buf_addf(&s->dns, "%.*s;", (int)e->dn.len, (const char *)e->dn.ptr);
	s->attributes[0] = '\0';
	for (size_t i = 0; i < e->count; i++)
		snprintf(s->attributes + strlen(s->attributes), sizeof(s->attributes) - strlen(s->attributes), "%.*s;",
		    (int)e->values[i].attribute.len, (const char *)e->values[i].attribute.ptr);
	return s->result;
}

static enum cm_err
look(struct cm_directory *d, struct cm_look *l, struct seen *s, struct cm_trace *t)
{
	return cm_directory_look(d, l, cm_deadline_in(10000), t, see, s);
}

static const struct {
	const char *what, *base;
	bool base_only;
	const char *filter;
	size_t limit;
	const char *dns;	/* one that must be among them */
	size_t count;
	bool more;
} looks[] = {
	{ "one", NULL, false, "(uid=alice)", 10, "uid=alice," PEOPLE ";", 1, false },
	{ "two", NULL, false, "(altSecurityIdentities=kerberos:dave@cardmap.test)", 10, "uid=dave-admin," PEOPLE ";", 2, false },
	{ "nobody", NULL, false, "(uid=nobody-is-so-called)", 10, "", 0, false },
	{ "not an account that could log in", NULL, false, "(uidNumber=0)", 10, "uid=toor," PEOPLE ";", 1, false },
	{ "a scan", NULL, false, "(uid=dave*)", 10, "uid=dave," PEOPLE ";", 2, false },
	{ "limited", NULL, false, "(uid=dave*)", 1, "uid=dave", 1, true },
	{ "as many as the limit", NULL, false, "(uid=dave*)", 2, "uid=dave", 2, false },
	{ "below a base", PEOPLE, false, "(|(uid=alice)(cn=engineering))", 10, "uid=alice," PEOPLE ";", 1, false },
	{ "below another", "OU=Groups, " BASE, false, "(|(uid=alice)(cn=engineering))", 10, "cn=engineering,ou=groups,", 1, false },
	{ "the base alone", PEOPLE, true, "(objectClass=*)", 10, PEOPLE ";", 1, false },
	{ "the base is below itself", "uid=alice," PEOPLE, false, "(objectClass=*)", 10, "uid=alice," PEOPLE ";", 1, false },
};

static void
what_is_there_is_shown(void **state)
{
	const char *const uris[] = { rig("CM_RIG_LDAP_URI"), rig("CM_RIG_LDAPS_URI"), file_uri };

	(void)state;
	for (size_t u = 0; u < CM_COUNT(uris); u++) {
		struct cm_directory *d = open_uri(uris[u]);

		for (size_t i = 0; i < CM_COUNT(looks); i++) {
			struct cm_look l = {
				.base = looks[i].base, .base_only = looks[i].base_only, .filter = looks[i].filter,
				.limit = looks[i].limit, .more = !looks[i].more,
			};
			struct cm_trace *t = NULL;
			struct seen s = { 0 };

			assert_int_equal(cm_trace_new(&t), CM_OK);
			if (look(d, &l, &s, t) != CM_OK)
				fail_msg("%s at %s: %s", looks[i].what, uris[u], cm_trace_message(t));
			if (s.count != looks[i].count || l.more != looks[i].more ||
			    strstr(cm_buf_str(&s.dns), looks[i].dns) == NULL)
				fail_msg("%s at %s: %zu: %s", looks[i].what, uris[u], s.count, cm_buf_str(&s.dns));
			assert_int_equal(cm_trace_reason(t), CM_REASON_NONE);
			cm_buf_free(&s.dns);
			cm_trace_free(&t);
		}
		if (u < 2) {	/* one connection, one search each */
			assert_int_equal(cm_directory_stats(d).connections, 1);
			assert_int_equal(cm_directory_stats(d).searches, CM_COUNT(looks));
		}
		cm_directory_close(&d);
	}
}

static void
attributes_are_those_asked_for(void **state)
{
	static const char *const two[] = { "mail", "uidNumber", NULL };
	struct cm_directory *d = open_uri(rig("CM_RIG_LDAP_URI"));
	struct cm_look l = { .filter = "(uid=alice)", .attributes = two, .limit = 1 };
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(look(d, &l, &s, NULL), CM_OK);
	assert_true(strcmp(s.attributes, "mail;uidNumber;") == 0 || strcmp(s.attributes, "uidNumber;mail;") == 0);
	l.attributes = NULL;
	assert_int_equal(look(d, &l, &s, NULL), CM_OK);
	assert_non_null(strstr(s.attributes, "objectClass;"));
	assert_non_null(strstr(s.attributes, "homeDirectory;"));
	cm_buf_free(&s.dns);
	cm_directory_close(&d);
}

static void
a_query_is_looked_for_as_it_is_found(void **state)
{
	struct cm_query_term terms[] = {
		{ .rule = (char *)(uintptr_t)"a", .attribute = (char *)(uintptr_t)"uid", .value = cm_blob_str("alice") },
		{ .rule = (char *)(uintptr_t)"b", .value = cm_blob_str("(&(objectClass=inetOrgPerson)(uid=dave))") },
		{ .rule = (char *)(uintptr_t)"c", .attribute = (char *)(uintptr_t)"uid", .value = cm_blob_str("alice"), .local = true },
	};
	const struct cm_query q = { .terms = terms, .count = 2 };
	const char *const uris[] = { rig("CM_RIG_LDAP_URI"), file_uri };
	struct cm_look l = { .query = &q, .limit = 10 };

	(void)state;
	for (size_t u = 0; u < CM_COUNT(uris); u++) {
		struct cm_directory *d = open_uri(uris[u]);
		struct seen s = { 0 };

		assert_int_equal(look(d, &l, &s, NULL), CM_OK);
		assert_int_equal(s.count, 2);
		assert_non_null(strstr(cm_buf_str(&s.dns), "uid=dave," PEOPLE));
		cm_buf_free(&s.dns);
		cm_directory_close(&d);
	}
}

static void
local_accounts_are_shown_too(void **state)
{
	struct cm_query_term local = { .rule = (char *)(uintptr_t)"c", .attribute = (char *)(uintptr_t)"uid",
		.value = cm_blob_str("alice"), .local = true };
	const struct cm_query q = { .terms = &local, .count = 1 };
	struct cm_directory *d = open_uri(local_uri);
	struct cm_look l = { .filter = "(loginShell=/bin/*)", .limit = 1 };
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(look(d, &l, &s, NULL), CM_OK);
	assert_true(l.more);
	assert_string_equal(cm_buf_str(&s.dns), "uid=alice,cn=local;");
	l = (struct cm_look){ .query = &q, .limit = 5 };
	assert_int_equal(look(d, &l, &s, NULL), CM_OK);
	assert_string_equal(cm_buf_str(&s.dns), "uid=alice,cn=local;uid=alice,cn=local;");
	cm_buf_free(&s.dns);
	cm_directory_close(&d);
}

static void
a_look_fails_as_a_search_does(void **state)
{
	struct cm_directory *d = open_uri(rig("CM_RIG_LDAP_URI")), *dead = open_uri("ldap://127.0.0.1:1");
	struct cm_look bad = { .filter = "(uid=alice", .limit = 1 }, good = { .filter = "(uid=alice)", .limit = 1 };
	struct cm_look typo = { .filter = "(uid=alice)", .base = "ou=typo," BASE, .limit = 1 };
	struct cm_trace *t = NULL;
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_int_equal(look(d, &bad, &s, t), CM_ERR_CONFIG);
	assert_int_equal(cm_directory_stats(d).connections, 0);
	assert_non_null(strstr(cm_trace_message(t), "column 11"));
	assert_int_equal(look(d, &typo, &s, t), CM_ERR_CONFIG);
	assert_int_equal(cm_trace_reason(t), CM_REASON_DIRECTORY_REFUSED);
	assert_int_equal(look(dead, &good, &s, t), CM_ERR_OFFLINE);
	assert_int_equal(cm_trace_reason(t), CM_REASON_DIRECTORY_OFFLINE);
	assert_int_equal(s.count, 0);
	s.result = CM_ERR_STATE;	/* the visitor's result ends it */
	assert_int_equal(look(d, &good, &s, t), CM_ERR_STATE);
	s.result = CM_OK;
	assert_int_equal(look(d, &good, &s, t), CM_OK);
	cm_buf_free(&s.dns);
	cm_trace_free(&t);
	cm_directory_close(&d);
	cm_directory_close(&dead);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_there_is_shown),
		cmocka_unit_test(attributes_are_those_asked_for),
		cmocka_unit_test(a_query_is_looked_for_as_it_is_found),
		cmocka_unit_test(local_accounts_are_shown_too),
		cmocka_unit_test(a_look_fails_as_a_search_does),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
