/* tests/service/test_answer.c - what the interface says about a card is what was found, and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "service/answer.h"

static struct cm_group groups[] = { { .name = (char *)"staff", .gid = 50 }, { .name = (char *)"p\x01q", .gid = 4294967294U } };
static const struct cm_account alice = {
	.name = (char *)"alice", .principal = (char *)"alice@R", .dn = (char *)"uid=alice,dc=x", .home = (char *)"/home/alice",
	.shell = (char *)"", .gecos = (char *)"Alic\xc3\xa9", .uid = 10001, .gid = 100, .groups = groups, .group_count = 2,
	.rule = (char *)"skid", .weak = true, .several = false, .local = true, .attribute = (char *)"a", .matched = (char *)"X509:<SKI>00",
	.source = (char *)"ldap://127.0.0.1",
};

static void
test_account_is_read_as_it_was_written(void **state)
{
	json_t *o = cm_answer_account(&alice), *read;
	struct cm_account *a = NULL;
	struct cm_buf text = { 0 };

	(void)state;
	cm_answer_write_account(&alice, &text);
	assert_int_equal(cm_buf_status(&text), CM_OK);
	assert_non_null(read = json_loads(cm_buf_str(&text), JSON_REJECT_DUPLICATES, NULL));
	assert_true(json_equal(o, read));
	json_decref(read);
	cm_buf_free(&text);
	assert_int_equal(cm_answer_read_account(o, &a), CM_OK);
	assert_string_equal(a->name, "alice");
	assert_string_equal(a->principal, "alice@R");
	assert_string_equal(a->dn, "uid=alice,dc=x");
	assert_string_equal(a->home, "/home/alice");
	assert_string_equal(a->shell, "");
	assert_string_equal(a->gecos, "Alic\xc3\xa9");
	assert_string_equal(a->rule, "skid");
	assert_string_equal(a->attribute, "a");
	assert_string_equal(a->matched, "X509:<SKI>00");
	assert_string_equal(a->source, "ldap://127.0.0.1");
	assert_int_equal(a->uid, 10001);
	assert_int_equal(a->gid, 100);
	assert_true(a->weak && !a->several && a->local);
	assert_int_equal(a->group_count, 2);
	assert_int_equal(a->groups[0].gid, 50);
	assert_int_equal(a->groups[1].gid, 4294967294U);
	assert_string_equal(a->groups[1].name, "p\\x01q");	/* nothing that a terminal would obey */
	cm_account_free(&a);
	json_decref(o);
}

/* Each member in turn is left out, or is of another type. */
static void
test_what_lacks_a_member_is_no_account(void **state)
{
	json_t *whole = cm_answer_account(&alice), *value;
	struct cm_account *a = NULL;
	const char *key;

	(void)state;
	assert_int_equal(json_object_size(whole), 16);
	json_object_foreach(whole, key, value) {
		json_t *o = json_deep_copy(whole);

		json_object_del(o, key);
		assert_int_equal(cm_answer_read_account(o, &a), CM_ERR_SYNTAX);
		json_object_set_new(o, key, json_real(0.5));
		assert_int_equal(cm_answer_read_account(o, &a), CM_ERR_SYNTAX);
		assert_null(a);
		json_decref(o);
	}
	json_object_set_new(whole, "uid", json_integer(4294967295LL));	/* (uid_t)-1 means nobody to the kernel */
	assert_int_equal(cm_answer_read_account(whole, &a), CM_ERR_SYNTAX);
	json_object_set_new(whole, "uid", json_integer(-1));
	assert_int_equal(cm_answer_read_account(whole, &a), CM_ERR_SYNTAX);
	json_decref(whole);
	assert_int_equal(cm_answer_read_account(NULL, &a), CM_ERR_SYNTAX);
}

/* A login's stages: one well, one refused, one after it. */
static struct cm_trace *
make_trace(void)
{
	struct cm_trace *t = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "configuration");
	cm_trace_end(t, CM_OK);
	cm_trace_begin(t, "chain");
	cm_trace_add(t, "certificate", "CN=Alice");
	cm_trace_end(t, CM_OK);
	cm_trace_begin(t, "account");
	cm_trace_add(t, "filter", "(a=b)");
	cm_trace_end(t, cm_trace_fail(t, CM_REASON_NO_ACCOUNT, "nobody has \x02 it"));
	cm_trace_begin(t, "revocation");
	cm_trace_end(t, CM_OK);
	return t;
}

static void
compare(const struct cm_trace_stage *a, const struct cm_trace_stage *b)
{
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->err, b->err);
	assert_int_equal(a->reason, b->reason);
	assert_int_equal(a->us, b->us);
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		assert_string_equal(a->items[i].key, b->items[i].key);
		assert_string_equal(a->items[i].text, b->items[i].text);
	}
}

static void
test_outcome_is_read_as_it_was_written(void **state)
{
	struct cm_trace *t = make_trace(), *read = NULL;
	json_t *o = cm_answer_outcome(CM_ERR_ABSENT, t, 1);
	enum cm_err err = CM_OK;

	(void)state;
	assert_string_equal(json_string_value(json_object_get(o, "reason")), "no_account");
	assert_string_equal(json_string_value(json_object_get(o, "text")), "nobody has \\x02 it");
	assert_string_equal(json_string_value(json_object_get(o, "remedy")), cm_reason_remedy(CM_REASON_NO_ACCOUNT));
	assert_int_equal(cm_trace_new(&read), CM_OK);
	assert_int_equal(cm_answer_read_outcome(o, read, &err), CM_OK);
	assert_int_equal(err, CM_ERR_ABSENT);
	assert_int_equal(cm_trace_count(read), 3);
	for (size_t i = 0; i < 3; i++)
		compare(cm_trace_stage(t, i + 1), cm_trace_stage(read, i));
	assert_ptr_equal(cm_trace_failed(read), cm_trace_stage(read, 1));
	assert_string_equal(cm_trace_why(read, cm_trace_failed(read)), "nobody has \\x02 it");
	assert_int_equal(cm_trace_reason(read), CM_REASON_NO_ACCOUNT);
	cm_trace_free(&read);
	cm_trace_free(&t);
	json_decref(o);
}

/* Whatever a service says: it is an outcome, or it is not; what is not is never CM_OK. */
static void
test_what_is_no_outcome_is_said_to_be_none(void **state)
{
	static const struct { const char *text; enum cm_err want, err; enum cm_reason reason; } cases[] = {
		{ "{'result':'ok','stages':[]}", CM_OK, CM_OK, CM_REASON_NONE },
		{ "{'result':'ok','reason':'revoked','stages':[]}", CM_OK, CM_OK, CM_REASON_NONE },
		{ "{'result':'refused','reason':'revoked','text':'x','stages':[]}", CM_OK, CM_ERR_REFUSED, CM_REASON_REVOKED },
		{ "{'result':'refused','reason':'of_the_year_2040','stages':[]}", CM_OK, CM_ERR_REFUSED, CM_REASON_SYSTEM },
		{ "{'result':'refused','reason':7,'stages':[]}", CM_ERR_SYNTAX, 0, 0 },
		{ "{'result':'yes','stages':[]}", CM_ERR_SYNTAX, 0, 0 },
		{ "{'stages':[]}", CM_ERR_SYNTAX, 0, 0 },
		{ "{'result':'ok'}", CM_ERR_SYNTAX, 0, 0 },
		{ "{'result':'ok','stages':{}}", CM_ERR_SYNTAX, 0, 0 },
		{ "{'result':'ok','stages':[1]}", CM_ERR_SYNTAX, 0, 0 },
		{ "{'result':'ok','stages':[{'name':'a','result':'ok','microseconds':1}]}", CM_ERR_SYNTAX, 0, 0 },
		{ "{'result':'ok','stages':[{'name':'a','result':'ok','microseconds':'1','items':[]}]}", CM_ERR_SYNTAX, 0, 0 },
		{ "{'result':'ok','stages':[{'name':'a','result':'ok','microseconds':1,'items':[{'key':'k'}]}]}", CM_ERR_SYNTAX, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_trace *t = NULL;
		char *text = strdup(cases[i].text);
		enum cm_err err = CM_OK;
		json_t *o;

		for (char *p = text; *p != '\0'; p++)
			*p = *p == '\'' ? '"' : *p;
		assert_non_null(o = json_loads(text, 0, NULL));
		assert_int_equal(cm_trace_new(&t), CM_OK);
		assert_int_equal(cm_answer_read_outcome(o, t, &err), cases[i].want);
		if (cases[i].want == CM_OK)
			assert_int_equal(err, cases[i].err);
		else
			assert_int_not_equal(err, CM_OK);
		if (cases[i].want == CM_OK)
			assert_int_equal(cm_trace_reason(t), cases[i].reason);
		cm_trace_free(&t);
		json_decref(o);
		free(text);
	}
}

/* Both forms say the same, quotes, backslashes and all, of what went well and of what did not. */
static void
test_outcome_as_text(void **state)
{
	static const enum cm_err ends[] = { CM_OK, CM_ERR_ABSENT };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(ends); i++) {
		struct cm_trace *t = NULL;
		struct cm_buf text = { 0 };
		json_t *o, *read;

		assert_int_equal(cm_trace_new(&t), CM_OK);
		cm_trace_begin(t, "certificate");
		cm_trace_end(t, CM_OK);
		cm_trace_begin(t, "account");
		cm_trace_add(t, "filter", "(a=\\2a\"\x01\xc3\xa9/)");
		cm_trace_add(t, "empty", "%s", "");
		if (ends[i] != CM_OK)
			cm_trace_fail(t, CM_REASON_NO_ACCOUNT, "nobody has \"x\\y\"");
		cm_trace_end(t, ends[i]);
		o = cm_answer_outcome(ends[i], t, 0);
		cm_answer_write_outcome(ends[i], t, &text);
		assert_int_equal(cm_buf_status(&text), CM_OK);
		assert_non_null(read = json_loads(cm_buf_str(&text), JSON_REJECT_DUPLICATES, NULL));
		assert_true(json_equal(o, read));
		json_decref(read);
		json_decref(o);
		cm_buf_free(&text);
		cm_trace_free(&t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_account_is_read_as_it_was_written),
		cmocka_unit_test(test_what_lacks_a_member_is_no_account),
		cmocka_unit_test(test_outcome_is_read_as_it_was_written),
		cmocka_unit_test(test_outcome_as_text),
		cmocka_unit_test(test_what_is_no_outcome_is_said_to_be_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
