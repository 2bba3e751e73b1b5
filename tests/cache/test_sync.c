/* tests/cache/test_sync.c - what a login waits for the disk for: all that is new, and not that it was like the last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/mobile.h"
#include "cache/standing.h"
#include "store_rig.h"

static _Atomic unsigned syncs;

/* SQLite's calls come here: a program's functions stand before libc's. */
__attribute__((visibility("default"))) int fdatasync(int fd);
__attribute__((visibility("default"))) int fsync(int fd);

int
fdatasync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fsync, fd);
}

static unsigned
syncs_of(struct rig *r, const struct cm_store_login *l)
{
	syncs = 0;
	rig_keep(r, l);
	return syncs;
}

/* Whatever differs from the last login but its times. */
static void
what_is_new_is_synced(void **state)
{
	struct rig *r = *state;
	struct cm_account a = rig_account(5001), b = a;
	struct cm_store_login l = rig_login(r, &a, NOW), other;
	struct cm_userdb_mark mark = { .name = "alice.user", .now = { 1 } };
	const struct cm_mobile m = { .account = &a, .made = NOW, .files = &mark, .file_count = 1 };
	const struct cm_evidence unknown = rig_evidence(3, CM_STATUS_UNKNOWN, NOW);
	uint8_t key[32] = { 7 };

	assert_in_range(syncs_of(r, &l), 1, 9);
	assert_int_equal(syncs_of(r, &l), 0);
	l.mobile = &m;
	assert_in_range(syncs_of(r, &l), 1, 9);
	assert_int_equal(syncs_of(r, &l), 0);
	mark.now[0] = 2;
	assert_in_range(syncs_of(r, &l), 1, 9);
	b.home = (char *)(uintptr_t)"/home/elsewhere";
	l.account = &b;
	assert_in_range(syncs_of(r, &l), 1, 9);
	l.account = &a;
	assert_in_range(syncs_of(r, &l), 1, 9);
	a.group_count--;
	assert_in_range(syncs_of(r, &l), 1, 9);
	l.card.key = (struct cm_blob){ key, sizeof(key) };
	assert_in_range(syncs_of(r, &l), 1, 9);
	l.card.not_after += DAY;
	assert_in_range(syncs_of(r, &l), 1, 9);
	assert_int_equal(syncs_of(r, &l), 0);
	other = l;
	other.cert_sha256 = cm_cert_sha256(r->other);
	other.cert_der = cm_cert_der(r->other);
	assert_in_range(syncs_of(r, &other), 1, 9);
	assert_int_equal(syncs_of(r, &l), 0);
	l.evidence = &unknown;
	l.evidence_count = 1;
	assert_in_range(syncs_of(r, &l), 1, 9);
}

/* Else a power cut would make the account older than a day more, or bring back what was said against it. */
static void
so_is_a_login_after_a_day_or_a_no(void **state)
{
	struct rig *r = *state;
	const struct cm_account a = rig_account(5001);
	struct cm_store_login l = rig_login(r, &a, NOW);
	const struct cm_standing_word no = { .name = a.name, .uid = a.uid, .reason = CM_REASON_ACCOUNT_DISABLED, .at = NOW };

	rig_keep(r, &l);
	l.now = NOW + DAY - 1;
	assert_int_equal(syncs_of(r, &l), 0);
	l.now += DAY;
	assert_in_range(syncs_of(r, &l), 1, 9);
	l.now--;	/* a clock that was set back */
	assert_in_range(syncs_of(r, &l), 1, 9);
	assert_int_equal(cm_standing_note(r->store, &no, r->trace), CM_OK);
	assert_in_range(syncs_of(r, &l), 1, 9);
	assert_int_equal(syncs_of(r, &l), 0);
}

/* The times are there for who asks next, and all that comes later is synced as ever. */
static void
what_was_not_waited_for_is_there(void **state)
{
	struct rig *r = *state;
	const struct cm_account a = rig_account(5001);
	struct cm_store_login l = rig_login(r, &a, NOW);
	const struct cm_evidence revoked = rig_evidence(9, CM_STATUS_REVOKED, NOW);
	struct cm_account *found = NULL;
	int64_t age = -1;

	rig_keep(r, &l);
	l.now = l.signed_time = NOW + 600;
	rig_boottime += 600;
	assert_int_equal(syncs_of(r, &l), 0);
	rig_reopen(r);
	assert_int_equal(rig_find(r, NOW + 660, &found, &age), CM_OK);
	assert_int_equal(age, 60);
	cm_account_free(&found);
	rig_keep(r, &l);
	syncs = 0;
	rig_keep_evidence(r, &revoked, 0, NOW + 600);
	assert_in_range(syncs, 1, 9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)
		T(what_is_new_is_synced),
		T(so_is_a_login_after_a_day_or_a_no),
		T(what_was_not_waited_for_is_there),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
