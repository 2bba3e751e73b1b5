/* tests/base/test_conf_managed.c - macOS's names, and the folder whose files win. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/conf.h"

struct place {
	char folder[64], conf[80], managed[80];
	char files[4][128];
	size_t count;
	struct cm_trace *trace;
	struct cm_conf *conf_read;
};

static void
put(struct place *p, const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	if (path != p->conf)
		snprintf(p->files[p->count++], sizeof(p->files[0]), "%s", path);
}

static const char *
managed(struct place *p, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", p->managed, name);
	put(p, path, text);
	return p->files[p->count - 1];
}

static void
begin(struct place *p, const char *text)
{
	umask(022);
	*p = (struct place){ .folder = "/tmp/cardmap-managed-XXXXXX" };
	assert_non_null(mkdtemp(p->folder));
	snprintf(p->conf, sizeof(p->conf), "%s/cardmap.conf", p->folder);
	snprintf(p->managed, sizeof(p->managed), "%s/managed.d", p->folder);
	assert_int_equal(mkdir(p->managed, 0755), 0);
	put(p, p->conf, text);
	assert_int_equal(cm_trace_new(&p->trace), CM_OK);
	cm_trace_begin(p->trace, "configuration");
}

static enum cm_err
load(struct place *p)
{
	cm_conf_free(&p->conf_read);
	return cm_conf_load(p->conf, p->trace, &p->conf_read);
}

static void
end(struct place *p)
{
	for (size_t i = 0; i < p->count; i++)
		unlink(p->files[i]);
	rmdir(p->managed);
	unlink(p->managed);
	unlink(p->conf);
	rmdir(p->folder);
	cm_conf_free(&p->conf_read);
	cm_trace_free(&p->trace);
}

static void
expect_refusal(struct place *p, const char *says)
{
	assert_int_equal(load(p), CM_ERR_CONFIG);
	assert_null(p->conf_read);
	assert_int_equal(cm_trace_reason(p->trace), CM_REASON_CONFIG);
	if (strstr(cm_trace_message(p->trace), says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", cm_trace_message(p->trace), says);
}

struct wanted {
	const char *key, *value, *from, *alias;
	bool managed, seen;
};

static void
look(void *arg, const struct cm_conf_item *item)
{
	struct wanted *w = arg;

	if (strcmp(item->key, w->key) != 0)
		return;
	w->seen = true;
	assert_string_equal(item->value, w->value);
	if (strstr(item->origin, w->from) == NULL)
		fail_msg("%s: \"%s\" is not from \"%s\"", item->key, item->origin, w->from);
	if (w->alias != NULL)
		assert_string_equal(item->alias, w->alias);
	assert_int_equal(item->managed, w->managed);
}

static void
expect(const struct place *p, struct wanted w)
{
	cm_conf_each(p->conf_read, look, &w);
	assert_true(w.seen);
}

/* Every one but UserSelector's other name, each with a value that is not its default. */
static const char macos[] =
    "allowSmartCard = 0\nallowUnmappedUsers = 1\ncheckCertificateTrust = 3\nenforceSmartCard = true\n"
    "NotEnforcedGroup = helpdesk\noneCardPerUser = yes\ntokenRemovalAction = 1\nTrustedAuthorities = { aa, bb }\n"
    "UserPairing = 0\nUserSelector = '/opt/pick'\nLogging = 1\nDisabledTokens = { pkcs11, 'reader:Old' }\n";

/* A key that macOS has a name for stands in the text above. */
static void
look_for_alias(void *arg, const struct cm_conf_item *item)
{
	size_t *count = arg;

	if (item->alias == NULL)
		return;
	(*count)++;
	if (strstr(item->origin, "cardmap.conf:") == NULL || strcmp(item->value, item->fallback) == 0)
		fail_msg("%s is \"%s\" from \"%s\": not by %s", item->key, item->value, item->origin, item->alias);
}

static void
test_aliases(void **state)
{
	struct place p;
	size_t count = 0;

	(void)state;
	begin(&p, macos);
	assert_int_equal(load(&p), CM_OK);
	assert_false(p.conf_read->enforcement.allow_cards);
	assert_true(p.conf_read->enforcement.allow_unmapped_users);
	assert_true(p.conf_read->enforcement.required);
	assert_string_equal(p.conf_read->enforcement.not_enforced_group, "helpdesk");
	assert_int_equal(p.conf_read->trust.level.level, 3);
	assert_true(p.conf_read->accounts.one_card_per_user);
	assert_false(p.conf_read->accounts.user_pairing);
	assert_int_equal(p.conf_read->enforcement.removal, CM_REMOVAL_LOCK);
	assert_string_equal(p.conf_read->trust.pins[1], "bb");
	assert_string_equal(p.conf_read->mapper.selector, "/opt/pick");
	assert_true(p.conf_read->card.log_next);
	assert_string_equal(p.conf_read->card.disabled[0], "pkcs11");
	assert_string_equal(p.conf_read->card.disabled[1], "reader:Old");
	assert_null(p.conf_read->card.disabled[2]);
	cm_conf_each(p.conf_read, look_for_alias, &count);
	assert_int_equal(count, 12);
	expect(&p, (struct wanted){ "enforcement.removal", "lock", "cardmap.conf:7", "tokenRemovalAction", false, false });
	assert_int_equal(cm_conf_set(p.conf_read, "tokenRemovalAction=logout", "command line", p.trace), CM_OK);
	assert_int_equal(p.conf_read->enforcement.removal, CM_REMOVAL_LOGOUT);
	assert_int_equal(cm_conf_set(p.conf_read, "tokenremovalaction=0", "command line", p.trace), CM_ERR_USAGE);
	end(&p);
	begin(&p, "UserSelectorPath = '/opt/path'\n");
	assert_int_equal(load(&p), CM_OK);
	assert_string_equal(p.conf_read->mapper.selector, "/opt/path");
	end(&p);
}

static void
test_alias_mistakes(void **state)
{
	static const struct { const char *text, *says; } rows[] = {
		{ "\ntokenRemovalAction = 3\n", ":2: enforcement.removal = 3: no such choice; expected one of none, lock, logout" },
		{ "enforceSmartCard = 2\n", ":1: enforcement.required = 2: expected yes or no" },
		{ "checkCertificateTrust = 4\n", ":1: trust.level = 4: no such choice" },
		{ "UserPairing = 1\naccounts {\n user_pairing = no\n}\n", ":3: accounts.user_pairing: given before, on line 1" },
		{ "UserSelector = '/a'\nUserSelectorPath = '/b'\n", ":2: mapper.selector: given before, on line 1" },
		{ "enforcement {\n tokenRemovalAction = 1\n}\n", ":2: no such option 'tokenRemovalAction'" },
		{ "enforcesmartcard = 1\n", ":1: no such option 'enforcesmartcard'" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct place p;

		begin(&p, rows[i].text);
		expect_refusal(&p, rows[i].says);
		end(&p);
	}
}

/* Managed wins over local, the later over the earlier; the rest stays. */
static void
test_wins(void **state)
{
	struct place p;

	(void)state;
	begin(&p, "trust {\n level = chain\n pins = { aa, bb }\n check = leaf\n}\n"
	    "rule a { filter = '(a={sid})' }\nrule b { filter = '(b={sid})' }\nrule c { filter = '(c={sid})' }\n");
	managed(&p, "20-site.conf", "\ncheckCertificateTrust = 2\nrule b { filter = '(managed={sid})' }\n");
	managed(&p, "10-all.conf", "trust {\n level = hard\n pins = cc\n}\n");
	managed(&p, "30-off.conf~", "trust { level = off }\n");
	managed(&p, ".40-off.conf", "trust { level = off }\n");
	assert_int_equal(load(&p), CM_OK);
	expect(&p, (struct wanted){ "trust.level", "soft", "/managed.d/20-site.conf:2", "checkCertificateTrust", true, false });
	expect(&p, (struct wanted){ "trust.pins", "cc", "/managed.d/10-all.conf:3", NULL, true, false });
	expect(&p, (struct wanted){ "trust.check", "leaf", "/cardmap.conf:4", NULL, false, false });
	expect(&p, (struct wanted){ "trust.order", "ocsp", "default", NULL, false, false });
	assert_int_equal(p.conf_read->rule_count, 3);
	assert_string_equal(p.conf_read->rules[0].name, "a");
	assert_string_equal(p.conf_read->rules[1].name, "c");
	assert_string_equal(p.conf_read->rules[2].filter, "(managed={sid})");
	end(&p);
}

/* Nor does the command line, nor another system's file. */
static void
test_stays(void **state)
{
	char *off[] = { "chain", NULL };
	struct place p;

	(void)state;
	begin(&p, "");
	managed(&p, "a.conf", "checkCertificateTrust = 3\n");
	assert_int_equal(load(&p), CM_OK);
	assert_int_equal(cm_conf_set(p.conf_read, "trust.level=off", "command line", p.trace), CM_ERR_USAGE);
	assert_non_null(strstr(cm_trace_message(p.trace), "managed.d/a.conf:1"));
	assert_int_equal(cm_conf_set(p.conf_read, "checkCertificateTrust=0", "command line", p.trace), CM_ERR_USAGE);
	assert_int_equal(cm_conf_set_default(p.conf_read, "trust.level", off, "x.plist:3", p.trace), CM_ERR_ABSENT);
	assert_int_equal(p.conf_read->trust.level.level, 3);
	assert_int_equal(cm_conf_set(p.conf_read, "trust.check=leaf", "command line", p.trace), CM_OK);
	end(&p);
}

/* What anybody else could have put there is no policy. */
static void
test_others(void **state)
{
	struct place p;
	const char *path;

	(void)state;
	begin(&p, "");
	path = managed(&p, "a.conf", "checkCertificateTrust = 0\n");
	assert_int_equal(chmod(path, 0666), 0);
	expect_refusal(&p, "managed.d/a.conf: others may write it: chmod go-w it");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(p.managed, 0777), 0);
	expect_refusal(&p, "managed.d: others may write it: chmod go-w it");
	assert_int_equal(chmod(p.managed, 0755), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 12345, 0), 0);
		expect_refusal(&p, "managed.d/a.conf: owned by uid 12345: chown root it");
		assert_int_equal(chown(path, 0, 0), 0);
		assert_int_equal(chown(p.managed, 12345, 0), 0);
		expect_refusal(&p, "managed.d: owned by uid 12345: chown root it");
		assert_int_equal(chown(p.managed, 0, 0), 0);
	}
	assert_int_equal(load(&p), CM_OK);
	assert_int_equal(p.conf_read->trust.level.level, 0);
	end(&p);
}

static void
test_mistakes(void **state)
{
	struct place p;

	(void)state;
	begin(&p, "");
	managed(&p, "a.conf", "\ntrust {\n colour = red\n}\n");
	expect_refusal(&p, "managed.d/a.conf:3: no such option 'colour'");
	end(&p);
	/* a link in the folder's place is whoever's made it */
	begin(&p, "");
	assert_int_equal(rmdir(p.managed), 0);
	assert_int_equal(symlink("/etc", p.managed), 0);
	expect_refusal(&p, "managed.d: it must be a folder");
	end(&p);
	/* and no folder is no policy */
	begin(&p, "checkCertificateTrust = 1\n");
	assert_int_equal(rmdir(p.managed), 0);
	assert_int_equal(load(&p), CM_OK);
	assert_int_equal(p.conf_read->trust.level.level, 1);
	end(&p);
}

/* It is not in force, and that is said. */
static void
test_plist(void **state)
{
	const struct cm_trace_stage *s;
	struct place p;

	(void)state;
	begin(&p, "");
	managed(&p, "com.apple.security.smartcard.plist", "<plist/>\n");
	assert_int_equal(load(&p), CM_OK);
	s = cm_trace_stage(p.trace, 0);
	assert_int_equal(s->count, 1);
	assert_string_equal(s->items[0].key, "left out");
	assert_non_null(strstr(s->items[0].text, "smartcard.plist: property lists are not read here"));
	end(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_alias_mistakes),
		cmocka_unit_test(test_wins),
		cmocka_unit_test(test_stays),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_plist),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
