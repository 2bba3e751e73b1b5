/* tests/trust/test_refresh_due.c - when lists and answers are asked for again: spread over hosts, within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "trust/trust.h"

#define T0	((time_t)1800000000)
#define HOSTS	10000

static const int64_t lives[] = { 1, 2, 59, 3600, 6 * 3600, 18 * 3600, 7 * 86400, 400 * 86400, 250000000000 };

static void
test_between_half_and_nine_tenths(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(lives); i++)
		for (uint64_t seed = 0; seed < 1000; seed++) {
			const int64_t due = cm_trust_refresh_due(T0, T0 + lives[i], seed * 0x9e3779b97f4a7c15) - T0;

			assert_true(due >= lives[i] / 2);
			assert_true(due <= lives[i] - lives[i] / 10);
		}
}

static void
test_the_same_host_at_the_same_time(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 100; seed++)
		assert_int_equal(cm_trust_refresh_due(T0, T0 + 86400, seed), cm_trust_refresh_due(T0, T0 + 86400, seed));
}

/* A list of 10 hours: its 4 hours in 24 parts of 10 minutes, no part with much more than its share of the hosts. */
static void
spread(uint64_t (*seed_of)(uint64_t host))
{
	unsigned parts[24] = { 0 };

	for (uint64_t host = 0; host < HOSTS; host++) {
		const int64_t due = cm_trust_refresh_due(T0, T0 + 36000, seed_of(host)) - T0;
		const size_t part = (size_t)(due - 18000) / 600;

		assert_in_range(due, 18000, 32400);
		parts[part < 24 ? part : 23]++;
	}
	for (size_t i = 0; i < 24; i++)
		assert_in_range(parts[i], HOSTS / 24 * 3 / 4, HOSTS / 24 * 5 / 4);
}

static uint64_t
counted(uint64_t host)
{
	return host;
}

static uint64_t
in_the_upper_half(uint64_t host)
{
	return host << 32;
}

static void
test_ten_thousand_hosts_do_not_ask_at_once(void **state)
{
	(void)state;
	spread(counted);
	spread(in_the_upper_half);
}

/* Nothing to wait for: it has ended before it began, or never said how long. */
static void
test_no_life(void **state)
{
	(void)state;
	assert_int_equal(cm_trust_refresh_due(T0, T0, 7), T0);
	assert_int_equal(cm_trust_refresh_due(T0, T0 - 5, 7), T0);
	assert_int_equal(cm_trust_refresh_due(T0, 0, 7), T0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_between_half_and_nine_tenths),
		cmocka_unit_test(test_the_same_host_at_the_same_time),
		cmocka_unit_test(test_ten_thousand_hosts_do_not_ask_at_once),
		cmocka_unit_test(test_no_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
