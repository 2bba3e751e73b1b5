/* tests/resolver/test_kept.c - answers that are kept for a moment: the right one, not for longer, and not without end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "resolver/kept.h"

static cm_deadline now;

bool __wrap_cm_deadline_passed(cm_deadline d);
cm_deadline __wrap_cm_deadline_in(unsigned ms);

bool
__wrap_cm_deadline_passed(cm_deadline d)
{
	return d <= now;
}

cm_deadline
__wrap_cm_deadline_in(unsigned ms)
{
	return now + ms;
}

static void
make_key(unsigned n, uint8_t key[CM_KEPT_KEY])
{
	/* as a digest: spread over its first octets */
	for (size_t i = 0; i < CM_KEPT_KEY; i++)
		key[i] = (uint8_t)((n * 2654435761u) >> (8 * (i % 4)));
}

static void
put(struct cm_kept_answers *k, unsigned n, unsigned ms)
{
	struct cm_kept_answer a = { .uid = n };
	uint8_t key[CM_KEPT_KEY];

	make_key(n, key);
	cm_buf_addf(&a.text, "answer %u", n);
	cm_kept_put(k, key, &a, ms);
	cm_buf_free(&a.text);
}

static bool
has(struct cm_kept_answers *k, unsigned n)
{
	struct cm_kept_answer a = { .uid = 0 };
	uint8_t key[CM_KEPT_KEY];
	char want[32];
	bool found;

	make_key(n, key);
	snprintf(want, sizeof(want), "answer %u", n);
	found = cm_kept_find(k, key, &a);
	if (found) {
		assert_string_equal(cm_buf_str(&a.text), want);
		assert_int_equal(a.uid, n);
	}
	cm_buf_free(&a.text);
	return found;
}

static void
for_a_moment(void **state)
{
	struct cm_kept_answers *k = NULL;

	(void)state;
	now = 1000;
	assert_int_equal(cm_kept_new(&k), CM_OK);
	assert_false(has(k, 1));
	put(k, 1, 100);
	put(k, 2, 200);
	assert_true(has(k, 1) && has(k, 2) && !has(k, 3));
	now += 99;
	assert_true(has(k, 1));
	now += 1;
	assert_true(!has(k, 1) && has(k, 2));
	put(k, 2, 500);		/* anew */
	now += 499;
	assert_true(has(k, 2));
	cm_kept_free(&k);
	assert_null(k);
}

static void
never_more_than_so_many(void **state)
{
	struct cm_kept_answers *k = NULL;
	unsigned there = 0;

	(void)state;
	now = 1000;
	assert_int_equal(cm_kept_new(&k), CM_OK);
	for (unsigned n = 0; n < 10 * CM_KEPT_MAX; n++) {
		put(k, n, 1000 + n);
		assert_true(has(k, n));
	}
	for (unsigned n = 0; n < 10 * CM_KEPT_MAX; n++)
		there += has(k, n);
	assert_in_range(there, CM_KEPT_MAX / 2, CM_KEPT_MAX);
	cm_kept_free(&k);
}

static void
too_long(void **state)
{
	struct cm_kept_answer a = { .uid = 0 };
	struct cm_kept_answers *k = NULL;
	uint8_t key[CM_KEPT_KEY];

	(void)state;
	make_key(7, key);
	assert_int_equal(cm_kept_new(&k), CM_OK);
	for (size_t i = 0; i <= CM_KEPT_LONGEST; i++)
		cm_buf_add_byte(&a.text, 'x');
	cm_kept_put(k, key, &a, 1000);
	cm_buf_truncate(&a.text, 0);
	assert_false(cm_kept_find(k, key, &a));
	cm_buf_free(&a.text);
	cm_kept_free(&k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(for_a_moment),
		cmocka_unit_test(never_more_than_so_many),
		cmocka_unit_test(too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
