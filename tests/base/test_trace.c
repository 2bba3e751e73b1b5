/* tests/base/test_trace.c - one reason, spoken last by whoever decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/trace.h"

static void
test_reason(void **state)
{
	struct cm_trace *t = NULL;

	(void)state;
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "chain");
	assert_int_equal(cm_trace_fail(t, CM_REASON_CERT_EXPIRED, "first"), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_fail(t, CM_REASON_NO_ACCOUNT, "of %s", "alice\n"), CM_ERR_ABSENT);
	cm_trace_end(t, CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(t), CM_REASON_NO_ACCOUNT);
	assert_string_equal(cm_trace_message(t), "of alice\\x0a");
	assert_int_equal(cm_trace_stage(t, 0)->reason, CM_REASON_NO_ACCOUNT);
	assert_string_equal(cm_trace_find(t, CM_TRACE_WHY), "of alice\\x0a");
	cm_trace_free(&t);
	assert_null(t);
}

/* A source that failed on the way does not stand as the reason of a stage that passed. */
static void
test_success_clears(void **state)
{
	struct cm_trace *t = NULL;

	(void)state;
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "revocation");
	cm_trace_fail(t, CM_REASON_REVOCATION_UNKNOWN, "silent");
	cm_trace_end(t, CM_OK);
	assert_int_equal(cm_trace_reason(t), CM_REASON_NONE);
	assert_string_equal(cm_trace_message(t), "");
	cm_trace_free(&t);
}

/* A stage never ends badly without a reason. */
static void
test_never_without_reason(void **state)
{
	struct cm_trace *t = NULL;

	(void)state;
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "chain");
	cm_trace_end(t, CM_ERR_NOMEM);
	assert_int_equal(cm_trace_reason(t), CM_REASON_SYSTEM);
	cm_trace_free(&t);
}

/* Every one of a thousand rules has its line; what does not fit is not dropped in silence, and why it failed never is. */
static void
test_bounded(void **state)
{
	const struct cm_trace_stage *s;
	struct cm_trace *t = NULL;

	(void)state;
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "account");
	for (int i = 0; i < 20000; i++)
		cm_trace_add(t, "rule", "%d", i);
	cm_trace_fail(t, CM_REASON_NO_RULE, "none applies");
	cm_trace_end(t, CM_ERR_ABSENT);
	s = cm_trace_stage(t, 0);
	assert_in_range(s->count, 4000, 16385);
	assert_string_equal(s->items[s->count - 3].key, "rule");
	assert_string_equal(s->items[s->count - 2].key, "more");
	assert_string_equal(s->items[s->count - 1].key, CM_TRACE_WHY);
	assert_string_equal(s->items[s->count - 1].text, "none applies");
	cm_trace_free(&t);
}

/* What was told stays as it is, and where it is, whatever comes behind it. */
static void
test_stays(void **state)
{
	const struct cm_trace_stage *first;
	struct cm_trace *t = NULL;
	const char *text;
	char name[32], large[9001];

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "stage");
	cm_trace_add(t, "key", "%s", "of the first");
	first = cm_trace_stage(t, 0);
	text = first->items[0].text;
	for (int i = 1; i < 100; i++) {
		cm_trace_end(t, CM_OK);
		cm_trace_begin(t, "stage");
		cm_trace_add(t, "large", "%s", large);
		snprintf(name, sizeof(name), "key %d", i);
		cm_trace_add(t, name, "%d", i);
	}
	assert_ptr_equal(cm_trace_stage(t, 0), first);
	assert_ptr_equal(first->items[0].text, text);
	assert_string_equal(text, "of the first");
	assert_in_range(cm_trace_count(t), 20, 99);	/* no more are kept */
	for (size_t i = 1; i < cm_trace_count(t) - 1; i++) {
		const struct cm_trace_stage *s = cm_trace_stage(t, i);

		snprintf(name, sizeof(name), "key %zu", i);
		assert_int_equal(s->count, 2);
		assert_int_equal(strlen(s->items[0].text), 8191);
		assert_string_equal(s->items[1].key, name);
		assert_string_equal(s->items[1].text, name + 4);
	}
	assert_string_equal(cm_trace_find(t, "key"), "of the first");
	cm_trace_free(&t);
}

static void
test_accepts_null(void **state)
{
	(void)state;
	cm_trace_begin(NULL, "x");
	cm_trace_add(NULL, "k", "v");
	assert_int_equal(cm_trace_fail(NULL, CM_REASON_REVOKED, "x"), CM_ERR_REFUSED);
	cm_trace_end(NULL, CM_OK);
	assert_int_equal(cm_trace_count(NULL), 0);
}

/* Every reason has a name of its own, and all but NONE fail and say what to do. */
static void
test_table(void **state)
{
	(void)state;
	assert_string_equal(cm_reason_name(CM_REASON_PIN_WRONG), "pin_wrong");
	for (int r = CM_REASON_NONE + 1; r < CM_REASON_COUNT; r++) {
		assert_int_not_equal(cm_reason_err(r), CM_OK);
		assert_true(strlen(cm_reason_remedy(r)) > 10);
		assert_int_equal(cm_reason_named(cm_reason_name(r)), r);
	}
	assert_int_equal(cm_reason_named("PIN_WRONG"), CM_REASON_NONE);
	assert_int_equal(cm_reason_named("none"), CM_REASON_NONE);
	assert_int_equal(cm_reason_named(NULL), CM_REASON_NONE);
	assert_int_equal(cm_reason_err(CM_REASON_NONE), CM_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reason),
		cmocka_unit_test(test_success_clears),
		cmocka_unit_test(test_never_without_reason),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_stays),
		cmocka_unit_test(test_accepts_null),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
