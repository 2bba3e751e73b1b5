/* tests/service/test_enforcement_told.c - what config check says of who must use a card, and what explain says of a change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cache/skip.h"
#include "cache/standing.h"
#include "service/enforcement_explain.h"
#include "store_folder.h"

#define T(s)	(char *)(uintptr_t)(s)
#define LONG	"0123456789012345678901234567890123456789012345678901234567890123"	/* 64 octets */

struct fixture {
	struct store_folder in;
	struct cm_conf conf;
};

static char *uris[] = { T("ldap://127.0.0.1"), NULL }, *local_uris[] = { T("local:"), NULL };

static void
write_file(const struct fixture *f, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->in.folder, name);
	assert_non_null(file = fopen(path, "w"));
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	store_folder_open(&f->in);
	write_file(f, "shadow", "root:$6$x:19000::::::\ndaemon:*:19000::::::\nbin:!$6$x:19000::::::\n");
	write_file(f, "group", "root:x:0:\nexempt:x:100:\n");
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	store_folder_close(&f->in);
	free(f);
	return 0;
}

/* ---- config check */

struct settings {
	bool required, unmapped, no_cards, local;
	const char *exempt[4];	/* none: not set */
	bool exempt_empty;
	const char *group, *attribute, *selector;
};

/* The items of this key, one after the other. */
static void
items(const struct cm_trace *t, const char *key, struct cm_buf *out)
{
	for (size_t i = 0; i < cm_trace_count(t); i++)
		for (size_t k = 0; k < cm_trace_stage(t, i)->count; k++)
			if (strcmp(cm_trace_stage(t, i)->items[k].key, key) == 0)
				cm_buf_addf(out, "%s%s", out->len > 0 ? "; " : "", cm_trace_stage(t, i)->items[k].text);
}

static void
check(const struct fixture *f, const struct settings *s, const char *mistake, const char *note)
{
	char *exempt[CM_COUNT(s->exempt) + 1] = { NULL };
	struct cm_conf conf = { .directory.uri = s->local ? local_uris : uris, .mapper.selector = T(s->selector), .enforcement = {
	    .required = s->required, .allow_unmapped_users = s->unmapped, .allow_cards = !s->no_cards,
	    .exempt = s->exempt[0] != NULL || s->exempt_empty ? exempt : NULL, .not_enforced_group = T(s->group),
	    .attribute = T(s->attribute != NULL ? s->attribute : "SmartCardEnforcement") } };
	struct cm_buf mistakes = { 0 }, notes = { 0 };
	struct cm_trace *t = NULL;
	enum cm_err err;

	for (size_t i = 0; i < CM_COUNT(s->exempt); i++)
		exempt[i] = T(s->exempt[i]);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "enforcement");
	err = cm_enforcement_check(&conf, f->in.folder, t);
	items(t, "mistake", &mistakes);
	items(t, "to be considered", &notes);
	if ((err == CM_OK) != (mistake == NULL) || (err != CM_OK && cm_trace_reason(t) != CM_REASON_CONFIG) ||
	    (mistake != NULL && (strstr(cm_buf_str(&mistakes), mistake) == NULL || strstr(cm_trace_message(t), mistake) == NULL)))
		fail_msg("wanted \"%s\", and it is \"%s\"", mistake != NULL ? mistake : "", cm_buf_str(&mistakes));
	if (note != NULL ? strstr(cm_buf_str(&notes), note) == NULL : notes.len > 0)
		fail_msg("wanted the note \"%s\", and it is \"%s\"", note != NULL ? note : "", cm_buf_str(&notes));
	cm_buf_free(&mistakes);
	cm_buf_free(&notes);
	cm_trace_free(&t);
}

static void
test_check(void **state)
{
	static const struct {
		struct settings s;
		const char *mistake, *note;
	} cases[] = {
		/* nothing is wrong */
		{ { .required = false }, NULL, NULL },
		{ { .required = true }, NULL, NULL },
		{ { .required = true, .exempt = { "root" } }, NULL, NULL },
		{ { .required = true, .unmapped = true, .group = "Card Exempt" }, NULL, NULL },
		{ { .required = true, .attribute = "x-card-1" }, NULL, NULL },
		{ { .no_cards = true }, NULL, NULL },
		/* a way in */
		{ { .required = true, .exempt_empty = true }, "exempt leaves nobody a way in where cards fail, and enforcement.required = yes: the list is empty", NULL },
		{ { .required = true, .exempt = { "nobody-here" } }, "nobody-here is no account of this computer", NULL },
		{ { .required = true, .exempt = { "daemon" } }, "daemon has no password", NULL },
		{ { .required = true, .exempt = { "bin", "nobody-here" } }, "bin has no password, nobody-here is no account of this computer", NULL },
		{ { .required = false, .exempt = { "nobody-here" } }, NULL, "nobody-here is no account of this computer: nobody comes in by that" },
		{ { .required = false, .exempt_empty = true }, NULL, NULL },
		{ { .required = true, .exempt = { "root", "ROOT" } }, NULL, "ROOT is no account of this computer" },
		{ { .required = true, .exempt = { "nobody-here", "root", "daemon" } }, NULL, "nobody-here is no account of this computer, daemon has no password" },
		/* contradictory */
		{ { .required = true, .no_cards = true }, "required = yes and enforcement.allow_cards = no", NULL },
		{ { .required = true, .group = "exempt" }, "it exempts nobody, as on macOS, without enforcement.allow_unmapped_users = yes", NULL },
		{ { .required = false, .group = "exempt" }, NULL, "there is nothing to be exempt from" },
		{ { .required = false, .unmapped = true }, NULL, "allow_unmapped_users = yes: there is nothing to be exempt from" },
		{ { .required = true, .unmapped = true, .selector = "/usr/libexec/who" }, NULL, "to whom mapper.selector alone gives a card" },
		/* unknown names */
		{ { .required = true, .unmapped = true, .local = true, .group = "exempt" }, NULL, NULL },
		{ { .required = true, .unmapped = true, .local = true, .group = "Exempt" }, NULL, "/etc/group has no such group" },
		{ { .required = true, .unmapped = true, .group = LONG }, "a name of more than 63 octets", NULL },
		{ { .required = true, .unmapped = true, .group = "a\nb" }, "with control characters", NULL },
		{ { .attribute = "1.2.840.113556.1.4.867" }, "enforcement.attribute = 1.2.840.113556.1.4.867: no attribute has that name", NULL },
		{ { .attribute = "Smart Card" }, "no attribute has that name", NULL },
		{ { .attribute = "SmartCardEnforcement;x" }, "no attribute has that name", NULL },
		{ { .attribute = "card)(uid=*" }, "no attribute has that name", NULL },
		{ { .attribute = "\xc3\xa4" }, "no attribute has that name", NULL },
		{ { .attribute = "a" LONG }, "no attribute has that name", NULL },
		{ { .attribute = "" }, NULL, NULL },
	};

	for (size_t i = 0; i < CM_COUNT(cases); i++)
		check(*state, &cases[i].s, cases[i].mistake, cases[i].note);
}

/* All are said, and not the first alone. */
static void
test_all_mistakes(void **state)
{
	static const struct settings s = { .required = true, .exempt = { "daemon" }, .no_cards = true, .attribute = "2.5.4.3", .group = LONG };
	const char *const all[] = { "leaves nobody", "allow_cards", "2.5.4.3", "exempts nobody", "63 octets" };
	struct fixture *f = *state;
	struct cm_buf mistakes = { 0 };
	char *exempt[] = { T(s.exempt[0]), NULL };
	const struct cm_conf conf = { .directory.uri = uris, .enforcement = { .required = true, .exempt = exempt, .attribute = T(s.attribute),
	    .not_enforced_group = T(s.group) } };

	cm_trace_begin(f->in.trace, "enforcement");
	assert_int_equal(cm_enforcement_check(&conf, f->in.folder, f->in.trace), CM_ERR_CONFIG);
	items(f->in.trace, "mistake", &mistakes);
	for (size_t i = 0; i < CM_COUNT(all); i++)
		assert_non_null(strstr(cm_buf_str(&mistakes), all[i]));
	assert_non_null(strstr(cm_trace_message(f->in.trace), all[CM_COUNT(all) - 1]));
	cm_buf_free(&mistakes);
}

/* ---- explain */

static json_t *
explain(struct fixture *f, const char *user, const json_t *what_if, enum cm_err want)
{
	const struct cm_enforcement_explaining x = { .conf = &f->conf, .store = f->in.store, .user = user, .what_if = what_if };
	json_t *told = NULL;

	f->conf.directory.uri = uris;
	f->conf.enforcement.required = f->conf.enforcement.allow_unmapped_users = true;
	f->conf.enforcement.attribute = T("SmartCardEnforcement");
	f->conf.enforcement.not_enforced_group = T("exempt");
	assert_int_equal(cm_enforcement_explain(&x, f->in.trace, &told), want);
	assert_int_equal(told != NULL, want == CM_OK);
	return told;
}

/* What cannot be supposed is refused, and it is said what can. */
static void
test_what_if_refused(void **state)
{
	static const struct { const char *key, *value, *said; } cases[] = {
		{ "required", "maybe", "required = maybe: expected yes or no" }, { "required", "", "expected yes or no" },
		{ "required", "2", "expected yes or no" }, { "enforcement.required", "YES", "expected yes or no" },
		{ "allow_unmapped_users", "-1", "expected yes or no" }, { "group", "in", "expected yes or no" },
		{ "mapped", "altSecurityIdentities", "expected yes or no" }, { "exempt", "root", "expected yes or no" },
		{ "local", "1 ", "expected yes or no" },
		{ "not_enforced_group", LONG, "expected a group's name of at most 63 octets" },
		{ "not_enforced_group", "a\x1b[2J", "without control characters" },
		{ "SmartCardEnforcement", LONG, "expected 0, 1, 2, nothing, or another value" },
		{ "userAccountControl", "4294967296", "expected a number of 32 bits" }, { "userAccountControl", "-2147483649", "a number of 32 bits" },
		{ "userAccountControl", "99999999999999999999999", "a number of 32 bits" }, { "userAccountControl", "0x", "a number of 32 bits" },
		{ "userAccountControl", "0x1ffffffff", "a number of 32 bits" }, { "userAccountControl", " 512", "a number of 32 bits" },
		{ "userAccountControl", "512 ", "a number of 32 bits" }, { "userAccountControl", "+512", "a number of 32 bits" },
		{ "userAccountControl", "NORMAL", "a number of 32 bits" }, { "userAccountControl", "-", "a number of 32 bits" },
		{ "nonsense", "1", "cannot be supposed" }, { "enforcement.mapped", "yes", "cannot be supposed" },
		{ "enforcement.exempt", "root", "cannot be supposed" }, { "", "1", "cannot be supposed" },
		{ "SmartCardEnforcement ", "1", "cannot be supposed" },
	};

	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct fixture *f = *state;
		json_t *what_if = json_pack("{s:s}", cases[i].key, cases[i].value);

		explain(f, "alice", what_if, CM_ERR_USAGE);
		if (cm_trace_reason(f->in.trace) != CM_REASON_USAGE || strstr(cm_trace_message(f->in.trace), cases[i].said) == NULL)
			fail_msg("%s = %s: %s", cases[i].key, cases[i].value, cm_trace_message(f->in.trace));
		json_decref(what_if);
	}
}

/* A value that would fill a screen is not all shown, so that what was expected is. */
static void
test_what_if_long(void **state)
{
	struct fixture *f = *state;
	char value[5000];
	json_t *what_if;

	memset(value, 'g', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	what_if = json_pack("{s:s}", "not_enforced_group", value);
	explain(f, "alice", what_if, CM_ERR_USAGE);
	assert_true(strlen(cm_trace_message(f->in.trace)) < 256);
	assert_non_null(strstr(cm_trace_message(f->in.trace), "ggg...: expected a group's name"));
	json_decref(what_if);
}

/* And what the outcome is of each value that may stand in a directory. */
static void
test_what_if(void **state)
{
	static const struct { const char *key, *value, *decided; bool card; } cases[] = {
		{ "SmartCardEnforcement", "1", "attribute", true }, { "SmartCardEnforcement", "2", "attribute", false },
		{ "SmartCardEnforcement", "3", "attribute", true }, { "SmartCardEnforcement", "-1", "attribute", true },
		{ "SmartCardEnforcement", "4294967295", "attribute", true }, { "SmartCardEnforcement", "4294967297", "attribute", true },
		{ "SmartCardEnforcement", " 2", "attribute", true }, { "SmartCardEnforcement", "two", "attribute", true },
		{ "smartcardenforcement", "0x2", "attribute", false },
		{ "userAccountControl", "0x40200", "control", true }, { "userAccountControl", "262656", "control", true },
		{ "userAccountControl", "-2147221504", "control", true }, { "userAccountControl", "0xffffffff", "control", true },
		{ "userAccountControl", "4294967295", "control", true }, { "userAccountControl", "-1", "control", true },
	};

	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const bool control = strcmp(cases[i].key, "userAccountControl") == 0;
		json_t *what_if = control ? json_pack("{s:s, s:s}", cases[i].key, cases[i].value, "SmartCardEnforcement", "") :
		    json_pack("{s:s}", cases[i].key, cases[i].value);
		json_t *told = explain(*state, "alice", what_if, CM_OK);

		if (strcmp(json_string_value(json_object_get(told, "decided")), cases[i].decided) != 0 ||
		    json_is_true(json_object_get(told, "card_required")) != cases[i].card)
			fail_msg("%s = %s: %s", cases[i].key, cases[i].value, json_string_value(json_object_get(told, "decided")));
		assert_true(json_is_true(json_object_get(json_object_get(told, "before"), "card_required")));
		json_decref(told);
		json_decref(what_if);
	}
}

/* Root's word that he may come in once: since when, and until when. */
static void
test_skip_mark(void **state)
{
	struct fixture *f = *state;
	char made[CM_TIME_SIZE], expires[CM_TIME_SIZE];
	struct cm_skip m;
	json_t *told = explain(f, "alice", NULL, CM_OK);

	assert_null(json_object_get(told, "skip_once"));
	json_decref(told);
	assert_int_equal(cm_skip_make(f->in.store, "alice", cm_clock_now(), f->in.trace, &m), CM_OK);
	told = explain(f, "alice", NULL, CM_OK);
	assert_string_equal(json_string_value(json_object_get(told, "skip_once")), cm_clock_text(m.expires, expires));
	assert_string_equal(json_string_value(json_object_get(told, "skip_once_made")), cm_clock_text(m.made, made));
	assert_true(json_is_true(json_object_get(told, "card_required")));
	json_decref(told);
	told = explain(f, "bob", NULL, CM_OK);
	assert_null(json_object_get(told, "skip_once_made"));
	json_decref(told);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_all_mistakes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_if_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_if_long, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_if, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_skip_mark, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
