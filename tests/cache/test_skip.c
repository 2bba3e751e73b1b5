/* tests/cache/test_skip.c - who may log in once without a card: once, for a day, and by this computer's clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>

#include "cache/skip.h"
#include "store_rig.h"

#define OTHER_BOOT	"99999999-2222-3333-4444-555555555555"

static void
make(struct rig *r, const char *name, time_t now)
{
	struct cm_skip m;

	assert_int_equal(cm_skip_make(r->store, name, now, r->trace, &m), CM_OK);
	assert_int_equal(m.made, now);
	assert_int_equal(m.expires, now + DAY);
}

static void
expect(struct rig *r, const char *name, time_t now, enum cm_err err)
{
	struct cm_skip m;

	cm_trace_clear_reason(r->trace);
	assert_int_equal(cm_skip_find(r->store, name, now, r->trace, &m), err);
	assert_int_equal(cm_trace_reason(r->trace), err == CM_ERR_SYSTEM ? CM_REASON_STORE : CM_REASON_NONE);
}

static void
use(struct rig *r, const char *name, time_t now, enum cm_err err)
{
	struct cm_skip m;

	assert_int_equal(cm_skip_use(r->store, name, now, r->trace, &m), err);
	if (err == CM_OK)
		assert_true(m.made <= now && now < m.expires);
}

static void
once(void **state)
{
	struct rig *r = *state;

	expect(r, "alice", NOW, CM_ERR_ABSENT);
	use(r, "alice", NOW, CM_ERR_ABSENT);
	make(r, "alice", NOW);
	make(r, "bob", NOW);
	rig_reopen(r);
	/* a look uses nothing up, nor does anything that is another's */
	expect(r, "alice", NOW + 10, CM_OK);
	expect(r, "alice", NOW + 10, CM_OK);
	expect(r, "Alice", NOW + 10, CM_ERR_ABSENT);
	expect(r, "alice' OR '1'='1", NOW + 10, CM_ERR_ABSENT);
	use(r, "bob", NOW + 10, CM_OK);
	rig_keep_alice(r, 4000, NOW + 10);
	assert_int_equal(cm_accounts_forget(r->store, "alice", r->trace), CM_OK);
	use(r, "alice", NOW + 20, CM_OK);
	assert_int_equal(rig_log_size(r), 0);	/* a damaged log does not bring it back */
	use(r, "alice", NOW + 20, CM_ERR_ABSENT);
	rig_reopen(r);
	use(r, "alice", NOW + 20, CM_ERR_ABSENT);
	use(r, "bob", NOW + 20, CM_ERR_ABSENT);
	/* two marks are one */
	make(r, "alice", NOW + 30);
	make(r, "alice", NOW + 40);
	use(r, "alice", NOW + 50, CM_OK);
	use(r, "alice", NOW + 50, CM_ERR_ABSENT);
}

static void
for_a_day(void **state)
{
	struct rig *r = *state;

	rig_boot_id = NULL;
	make(r, "alice", NOW);
	expect(r, "alice", NOW, CM_OK);
	expect(r, "alice", NOW + DAY - 1, CM_OK);
	expect(r, "alice", NOW + DAY, CM_ERR_ABSENT);
	/* it was seen to have expired: no clock brings it back */
	expect(r, "alice", NOW + 1, CM_ERR_ABSENT);
	make(r, "alice", NOW);
	use(r, "alice", NOW + DAY, CM_ERR_ABSENT);
	use(r, "alice", NOW + 1, CM_ERR_ABSENT);
}

/* A reboot does not end it; time that it was off counts, as far as the clock tells. */
static void
over_a_reboot(void **state)
{
	struct rig *r = *state;

	make(r, "alice", NOW);
	rig_boottime = 5;
	rig_boot_id = OTHER_BOOT;
	expect(r, "alice", NOW + 3600, CM_OK);
	expect(r, "alice", NOW - 1, CM_ERR_ABSENT);	/* the clock is behind its making */
	expect(r, "alice", NOW + 3600, CM_OK);		/* and is set right */
	use(r, "alice", NOW + DAY, CM_ERR_ABSENT);
}

static void
attack_clock_set_back(void **state)
{
	struct rig *r = *state;

	/* within one boot: the boot's own clock counts */
	make(r, "alice", NOW);
	rig_boottime += DAY - 10;
	expect(r, "alice", NOW + 60, CM_OK);
	expect(r, "alice", NOW - 60, CM_ERR_ABSENT);
	rig_boottime += 20;
	expect(r, "alice", NOW + 60, CM_ERR_ABSENT);
	expect(r, "alice", NOW, CM_ERR_ABSENT);
	/* over a reboot: no time before one that a server has signed */
	make(r, "alice", NOW);
	rig_boot_id = OTHER_BOOT;
	rig_keep_evidence(r, NULL, NOW + 7200, NOW + 7200);
	expect(r, "alice", NOW + 7199, CM_ERR_ABSENT);
	use(r, "alice", NOW + 7199, CM_ERR_ABSENT);
	expect(r, "alice", NOW + 7200, CM_OK);
	rig_keep_evidence(r, NULL, NOW + DAY + 1, NOW + DAY + 1);
	expect(r, "alice", NOW + 60, CM_ERR_ABSENT);
	use(r, "alice", NOW + 60, CM_ERR_ABSENT);
}

/* One that would never hold is not made. */
static void
attack_made_by_a_clock_behind(void **state)
{
	struct rig *r = *state;
	struct cm_skip m;

	rig_keep_evidence(r, NULL, NOW, NOW);
	assert_int_equal(cm_skip_make(r->store, "alice", NOW - 1, r->trace, &m), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(r->trace), CM_REASON_CLOCK_BEHIND);
	assert_int_equal(cm_skip_make(r->store, "", NOW, r->trace, &m), CM_ERR_USAGE);
	make(r, "alice", NOW);
}

/* A clock a year ahead: it expires, and nothing else becomes of it. */
static void
clock_ahead(void **state)
{
	struct rig *r = *state;

	make(r, "alice", NOW + 365 * (time_t)DAY);
	expect(r, "alice", NOW, CM_ERR_ABSENT);		/* set right: behind its making */
	make(r, "alice", NOW);
	expect(r, "alice", NOW, CM_OK);
}

/* A row that was changed lets nobody in, and is replaced by root's next word. */
static void
attack_damaged(void **state)
{
	static const char *const changes[] = {
		"UPDATE skip SET name = 'alice' WHERE name = 'bob'", "UPDATE skip SET name = 'alice', made = made + 1",
		"UPDATE skip SET name = 'alice', expires = expires + 1", "UPDATE skip SET name = 'alice', boot_id = ''",
		"UPDATE skip SET name = 'alice', digest = x''",
	};
	struct rig *r = *state;

	for (size_t i = 0; i < CM_COUNT(changes); i++) {
		make(r, "bob", NOW);
		rig_sql(r, changes[i]);
		expect(r, "alice", NOW, CM_ERR_SYSTEM);
		use(r, "alice", NOW, CM_ERR_SYSTEM);
		make(r, "alice", NOW);
		use(r, "alice", NOW, CM_OK);
	}
}

/* Where it cannot be removed it is not used: who asks gets no yes. */
static void
attack_cannot_be_removed(void **state)
{
	struct rig *r = *state;

	make(r, "alice", NOW);
	assert_int_equal(sqlite3_exec(r->store->db, "PRAGMA query_only = 1", NULL, NULL, NULL), SQLITE_OK);
	expect(r, "alice", NOW, CM_OK);
	use(r, "alice", NOW, CM_ERR_SYSTEM);
	/* expired, and not removed: it stays expired */
	expect(r, "alice", NOW + DAY, CM_ERR_ABSENT);
	assert_int_equal(sqlite3_exec(r->store->db, "PRAGMA query_only = 0", NULL, NULL, NULL), SQLITE_OK);
	use(r, "alice", NOW, CM_OK);
}

struct user {
	struct rig *rig;
	pthread_barrier_t *barrier;
	unsigned used;
};

static void *
use_once(void *arg)
{
	struct user *u = arg;
	struct cm_accounts *s = NULL;
	struct cm_skip m;

	if (cm_accounts_open(&u->rig->options, NULL, &s) != CM_OK)
		abort();
	pthread_barrier_wait(u->barrier);
	u->used = cm_skip_use(s, "alice", NOW, NULL, &m) == CM_OK;
	cm_accounts_close(&s);
	return NULL;
}

/* Two who come at the same moment are not both let in. */
static void
attack_used_twice_at_once(void **state)
{
	struct rig *r = *state;

	for (size_t round = 0; round < 20; round++) {
		pthread_barrier_t barrier;
		struct user users[4];
		pthread_t threads[CM_COUNT(users)];
		unsigned used = 0;

		make(r, "alice", NOW);
		assert_int_equal(pthread_barrier_init(&barrier, NULL, CM_COUNT(users)), 0);
		for (size_t i = 0; i < CM_COUNT(users); i++) {
			users[i] = (struct user){ .rig = r, .barrier = &barrier };
			assert_int_equal(pthread_create(&threads[i], NULL, use_once, &users[i]), 0);
		}
		for (size_t i = 0; i < CM_COUNT(users); i++) {
			pthread_join(threads[i], NULL);
			used += users[i].used;
		}
		pthread_barrier_destroy(&barrier);
		assert_int_equal(used, 1);
	}
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, rig_open, rig_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(once),
		TEST(for_a_day),
		TEST(over_a_reboot),
		TEST(attack_clock_set_back),
		TEST(attack_made_by_a_clock_behind),
		TEST(clock_ahead),
		TEST(attack_damaged),
		TEST(attack_cannot_be_removed),
		TEST(attack_used_twice_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
