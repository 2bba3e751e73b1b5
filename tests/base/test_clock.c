/* tests/base/test_clock.c - deadlines keep to the clock that nobody can set; times and ages in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"

#define HOUR 3600

/* How far each clock is moved. */
static time_t moved[CLOCK_BOOTTIME + 1];

int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);

int
__wrap_clock_gettime(clockid_t id, struct timespec *t)
{
	const int result = __real_clock_gettime(id, t);

	if (id <= CLOCK_BOOTTIME)
		t->tv_sec += moved[id];
	return result;
}

static void
test_deadline_keeps_to_the_monotonic_clock(void **state)
{
	const cm_deadline d = cm_deadline_in(60000);
	const int64_t us = cm_clock_us();

	(void)state;
	moved[CLOCK_REALTIME] = HOUR;
	assert_in_range(cm_deadline_left(d), 50000, 60000);
	assert_in_range(cm_clock_us() - us, 0, 10000000);
	moved[CLOCK_REALTIME] = -HOUR;
	assert_in_range(cm_deadline_left(d), 50000, 60000);
	moved[CLOCK_REALTIME] = 0;
	moved[CLOCK_MONOTONIC] = 61;
	assert_true(cm_deadline_passed(d));
	assert_int_equal(cm_deadline_left(d), 0);
	moved[CLOCK_MONOTONIC] = 0;
	assert_false(cm_deadline_passed(d));
	assert_true(cm_deadline_earlier(d, d + 1) == d && cm_deadline_earlier(d + 1, d) == d);
}

/* Time asleep counts for what is offline: CLOCK_MONOTONIC stands still meanwhile. */
static void
test_boottime_goes_on_asleep(void **state)
{
	const int64_t before = cm_clock_boottime();
	char id[CM_BOOT_ID_SIZE];

	(void)state;
	moved[CLOCK_BOOTTIME] = HOUR;
	assert_in_range(cm_clock_boottime() - before, HOUR, HOUR + 10);
	moved[CLOCK_BOOTTIME] = 0;
	assert_int_equal(cm_clock_boot_id(id), CM_OK);
	assert_int_equal(strlen(id), CM_BOOT_ID_SIZE - 1);
}

static void
test_words(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} ages[] = {
		{ 0, "0 s" }, { 119, "119 s" }, { 120, "2 min" }, { 2 * HOUR - 1, "119 min" }, { 2 * HOUR, "2 h" },
		{ 48 * HOUR - 1, "47 h" }, { 48 * HOUR, "2 d 0 h" }, { 31 * 24 * HOUR + HOUR, "31 d 1 h" },
	};
	char text[CM_TIME_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++)
		assert_string_equal(cm_clock_age(ages[i].seconds, text), ages[i].text);
	assert_string_equal(cm_clock_text(0, text), "1970-01-01 00:00:00 UTC");
	assert_string_equal(cm_clock_text(INT64_MAX, text), "(no such time)");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadline_keeps_to_the_monotonic_clock),
		cmocka_unit_test(test_boottime_goes_on_asleep),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
