/* tests/cache/test_keeper.c - what is learned is kept while a login goes on, by another thread, whatever others do. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_rig.h"

static struct cm_memory *
recall(struct rig *r)
{
	struct cm_memory *m = NULL;

	if (cm_accounts_recall(r->store, cm_clock_now(), r->trace, &m) != CM_OK)
		fail_msg("%s", cm_trace_message(r->trace));
	assert_ptr_equal(m->known.keeper, &m->keeper);
	return m;
}

/* As it was learned just now. */
static struct cm_evidence
fresh(uint8_t n, enum cm_status status)
{
	struct cm_evidence e = rig_evidence(n, status, cm_clock_now() - 10);

	e.confirmed = e.learned;
	e.ask_after = e.learned + 600;
	snprintf(e.signer, sizeof(e.signer), "CN=Responder %u", n);
	return e;
}

static enum cm_err
keep(struct cm_memory *m, const struct cm_evidence *e)
{
	return m->keeper.keep(m->keeper.arg, e);
}

static enum cm_err
find(struct cm_memory *m, struct cm_evidence *e)
{
	return m->keeper.find(m->keeper.arg, e);
}

struct work {
	struct rig *r;
	struct cm_memory *m;
	enum cm_err err[5];
	struct cm_evidence found;
};

static void *
learn(void *arg)
{
	struct work *w = arg;
	const struct cm_evidence e = fresh(1, CM_STATUS_GOOD);
	const struct cm_source s = rig_source(w->r, CM_SOURCE_OCSP, "http://ocsp.test/");

	w->found = fresh(1, CM_STATUS_UNKNOWN);
	w->err[0] = find(w->m, &w->found);
	w->err[1] = keep(w->m, &e);
	w->err[2] = find(w->m, &w->found);
	w->err[3] = w->m->keeper.keep_source(w->m->keeper.arg, &s, cm_cert_der(w->r->other));
	w->err[4] = w->m->keeper.keep_source(w->m->keeper.arg, &s, cm_cert_der(w->r->other));
	return NULL;
}

/* The way a login uses it: read here, learned in another thread, read here again. */
static void
kept_by_another_thread(void **state)
{
	static const enum cm_err want[5] = { CM_ERR_ABSENT, CM_OK, CM_OK, CM_OK, CM_OK };
	struct rig *r = *state;
	struct work w = { .r = r, .m = recall(r) };
	struct cm_memory *after;
	pthread_t thread;

	assert_int_equal(w.m->known.count, 0);
	assert_int_equal(pthread_create(&thread, NULL, learn, &w), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_memory_equal(w.err, want, sizeof(want));
	assert_int_equal(w.found.status, CM_STATUS_GOOD);
	after = recall(r);
	assert_int_equal(after->known.count, 1);
	assert_int_equal(after->known.evidence[0].confirmed, w.found.confirmed);
	assert_int_equal(after->known.evidence[0].ask_after, w.found.learned + 600);
	assert_string_equal(after->known.evidence[0].signer, "CN=Responder 1");
	assert_int_equal(after->known.source_count, 1);
	assert_string_equal(after->known.sources[0].url, "http://ocsp.test/");
	cm_memory_free(&after);
	cm_memory_free(&w.m);
	cm_memory_free(&w.m);
}

/*
 * POSIX (fcntl, F_SETLK): whoever closes any descriptor of a file gives up all
 * locks that the process has on it.  The second connection must not cost the
 * first one its own, or another process may take the log away under it.
 */
static void
locks_of_the_first_connection_stay(void **state)
{
	enum { SHARED_FIRST = 0x40000002, SHARED_SIZE = 510 };	/* of SQLite's file format */
	struct rig *r = *state;
	struct cm_memory *m = recall(r);
	struct cm_evidence e = fresh(1, CM_STATUS_GOOD);
	int status = -1;
	pid_t child;

	assert_int_equal(keep(m, &e), CM_OK);
	if ((child = fork()) == 0) {
		struct flock lock = { .l_type = F_WRLCK, .l_start = SHARED_FIRST, .l_len = SHARED_SIZE };
		const int fd = open(r->path, O_RDWR | O_CLOEXEC);

		_exit(fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_RDLCK ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	cm_memory_free(&m);
}

/* Nobody is forgiven by being asked again, and what may never be undone is not left in the log. */
static void
attack_revoked_is_forgiven(void **state)
{
	struct rig *r = *state;
	struct cm_memory *m = recall(r);
	struct cm_evidence revoked = fresh(1, CM_STATUS_REVOKED), good = fresh(1, CM_STATUS_GOOD);

	assert_int_equal(keep(m, &revoked), CM_OK);
	assert_int_equal(rig_log_size(r), 0);
	good.this_update = good.learned = good.confirmed = cm_clock_now();
	assert_int_equal(keep(m, &good), CM_OK);
	assert_int_equal(find(m, &good), CM_OK);
	assert_int_equal(good.status, CM_STATUS_REVOKED);
	/* what says nothing, or is of tomorrow, is not kept */
	good = fresh(2, CM_STATUS_UNKNOWN);
	assert_int_equal(keep(m, &good), CM_OK);
	good = fresh(3, CM_STATUS_GOOD);
	good.this_update = cm_clock_now() + DAY;
	assert_int_equal(keep(m, &good), CM_OK);
	good = fresh(4, CM_STATUS_GOOD);
	good.serial_len = 0;
	assert_int_equal(keep(m, &good), CM_ERR_STATE);
	cm_memory_free(&m);
	m = recall(r);
	assert_int_equal(m->known.count, 1);
	cm_memory_free(&m);
}

/* What is known already is not written again: no lock, no sync. */
static void
nothing_new_writes_nothing(void **state)
{
	struct rig *r = *state;
	struct cm_memory *m = recall(r);
	struct cm_evidence e = fresh(1, CM_STATUS_GOOD), again = e, older = e;
	struct cm_source s = rig_source(r, CM_SOURCE_CRL, "http://a/");
	sqlite3 *db = NULL;

	assert_int_equal(keep(m, &e), CM_OK);
	assert_int_equal(m->keeper.keep_source(m->keeper.arg, &s, cm_cert_der(r->other)), CM_OK);
	assert_int_equal(sqlite3_open(r->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	older.this_update -= 100;
	assert_int_equal(keep(m, &e), CM_OK);
	assert_int_equal(keep(m, &older), CM_OK);
	older = e;
	older.confirmed--;
	assert_int_equal(keep(m, &older), CM_OK);
	assert_int_equal(m->keeper.keep_source(m->keeper.arg, &s, cm_cert_der(r->other)), CM_OK);
	sqlite3_close(db);
	/* said again later, by the same answer */
	again.confirmed++;
	assert_int_equal(keep(m, &again), CM_OK);
	assert_int_equal(find(m, &e), CM_OK);
	assert_int_equal(e.confirmed, again.confirmed);
	/* kept when the clock was far ahead: it does not stand in the way */
	again.confirmed = again.learned = cm_clock_now() + 10 * DAY;
	assert_int_equal(keep(m, &again), CM_OK);
	again.confirmed = again.learned = cm_clock_now();
	assert_int_equal(keep(m, &again), CM_OK);
	assert_int_equal(find(m, &e), CM_OK);
	assert_int_equal(e.confirmed, again.confirmed);
	cm_memory_free(&m);
}

static void
addresses_that_do_not_fit(void **state)
{
	struct rig *r = *state;
	struct cm_memory *m = recall(r);
	struct cm_source s = rig_source(r, CM_SOURCE_CRL, "");

	assert_int_equal(m->keeper.keep_source(m->keeper.arg, &s, cm_cert_der(r->other)), CM_OK);
	memset(s.url, 'u', sizeof(s.url));
	assert_int_equal(m->keeper.keep_source(m->keeper.arg, &s, cm_cert_der(r->other)), CM_OK);
	s = rig_source(r, CM_SOURCE_CRL, "http://a/");
	assert_int_equal(m->keeper.keep_source(m->keeper.arg, &s, cm_cert_der(r->cert)), CM_ERR_STATE);
	cm_memory_free(&m);
	m = recall(r);
	assert_int_equal(m->known.source_count, 0);
	cm_memory_free(&m);
}

/* Another process that holds the store is waited for a second, and reading is not waited for at all. */
static void
a_held_store_is_not_waited_for(void **state)
{
	struct rig *r = *state;
	struct cm_memory *m = recall(r);
	struct cm_evidence good = fresh(1, CM_STATUS_GOOD), revoked = fresh(2, CM_STATUS_REVOKED);
	sqlite3 *db = NULL;
	int64_t start;

	assert_int_equal(keep(m, &good), CM_OK);
	assert_int_equal(sqlite3_open(r->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	start = cm_clock_us();
	assert_int_equal(keep(m, &revoked), CM_ERR_SYSTEM);
	assert_in_range(cm_clock_us() - start, 900000, 5000000);
	assert_non_null(strstr(m->keeper.why(m->keeper.arg), "another process holds it for more than 1 s"));
	assert_int_equal(find(m, &good), CM_OK);
	/* what is less than revoked is then not waited for once more, however much of it there is */
	start = cm_clock_us();
	for (uint8_t n = 10; n < 20; n++) {
		const struct cm_evidence e = fresh(n, CM_STATUS_GOOD);

		assert_int_equal(keep(m, &e), CM_ERR_SYSTEM);
	}
	assert_true(cm_clock_us() - start < 5000000);
	assert_int_equal(keep(m, &revoked), CM_ERR_SYSTEM);
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	/* Who reads for long keeps revoked in the log, and nobody waiting. */
	assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT * FROM evidence", NULL, NULL, NULL), SQLITE_OK);
	start = cm_clock_us();
	assert_int_equal(keep(m, &revoked), CM_OK);
	assert_true(cm_clock_us() - start < 5000000);
	assert_int_equal(find(m, &revoked), CM_OK);
	assert_string_equal(m->keeper.why(m->keeper.arg), "");
	sqlite3_close(db);
	cm_memory_free(&m);
}

/* On a busy machine the turn may come late; then that is said, and soon. */
static enum cm_err
keep_in_turn(struct cm_memory *m, const struct cm_evidence *e)
{
	enum cm_err err;

	do {
		const int64_t start = cm_clock_us();

		err = keep(m, e);
		if (cm_clock_us() - start > 10 * 1000000)
			return CM_ERR_STATE;
	} while (err == CM_ERR_SYSTEM && strstr(m->keeper.why(m->keeper.arg), "another process holds it") != NULL);
	return err;
}

/* Keep numbers from first on, each read back by the same keeper; half of them revoked. */
static void
learn_much(struct rig *r, uint8_t first, uint8_t count)
{
	struct cm_memory *m;

	rig_reopen(r);
	m = recall(r);
	for (uint8_t i = 0; i < count; i++) {
		struct cm_evidence e = fresh(first + i, i % 2 == 0 ? CM_STATUS_GOOD : CM_STATUS_REVOKED), got = e;

		if (keep_in_turn(m, &e) != CM_OK || find(m, &got) != CM_OK || got.status != e.status) {
			fprintf(stderr, "%s\n", m->keeper.why(m->keeper.arg));
			_exit(1);
		}
	}
	cm_memory_free(&m);
	_exit(0);
}

/* Two processes learn while a third's logins commit: nothing is lost, and nobody is refused for the other. */
static void
several_processes_at_once(void **state)
{
	enum { PROCESSES = 2, EACH = 40 };
	struct rig *r = *state;
	const struct cm_account a = rig_account(4000);
	struct cm_memory *m;
	pid_t children[PROCESSES];
	unsigned revoked = 0;

	for (uint8_t p = 0; p < PROCESSES; p++)
		if ((children[p] = fork()) == 0)
			learn_much(r, (uint8_t)(1 + p * EACH), EACH);
	for (uint8_t i = 0; i < EACH; i++) {
		const struct cm_evidence e = fresh((uint8_t)(200 + i), CM_STATUS_GOOD);
		struct cm_store_login l = rig_login(r, &a, cm_clock_now());

		l.evidence = &e;
		l.evidence_count = 1;
		rig_keep(r, &l);
	}
	for (size_t p = 0; p < PROCESSES; p++) {
		int status = -1;

		assert_int_equal(waitpid(children[p], &status, 0), children[p]);
		assert_int_equal(status, 0);
	}
	m = recall(r);
	assert_int_equal(m->known.count, (PROCESSES + 1) * EACH);
	for (size_t i = 0; i < m->known.count; i++)
		revoked += m->known.evidence[i].status == CM_STATUS_REVOKED;
	assert_int_equal(revoked, PROCESSES * EACH / 2);
	cm_memory_free(&m);
}

/* Each number that was said to be kept is, after any death. */
static void
kill_9_loses_nothing(void **state)
{
	struct rig *r = *state;

	for (uint8_t round = 0; round < 10; round++) {
		uint8_t last = 0, n;
		struct cm_evidence e;
		struct cm_memory *m;
		int fds[2];
		pid_t child;

		assert_int_equal(pipe(fds), 0);
		if ((child = fork()) == 0) {
			close(fds[0]);
			rig_reopen(r);
			m = recall(r);
			for (n = 1;; n++) {
				e = fresh(n, CM_STATUS_REVOKED);
				if (keep(m, &e) != CM_OK || write(fds[1], &n, 1) != 1)
					_exit(1);
			}
		}
		close(fds[1]);
		for (int i = 0; i <= round; i++)
			assert_int_equal(read(fds[0], &last, 1), 1);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		while (read(fds[0], &n, 1) == 1)
			last = n;
		close(fds[0]);
		rig_reopen(r);
		m = recall(r);
		for (n = 1; n <= last; n++) {
			e = fresh(n, CM_STATUS_GOOD);
			assert_int_equal(find(m, &e), CM_OK);
			assert_int_equal(e.status, CM_STATUS_REVOKED);
		}
		cm_memory_free(&m);
	}
}

/* A full disk: said, and what is kept is still found. */
static void
full_disk(struct rig *r)
{
	const struct rlimit none = { 16384, 16384 };
	struct cm_evidence e = fresh(1, CM_STATUS_GOOD), more = fresh(2, CM_STATUS_REVOKED);
	const struct cm_source s = rig_source(r, CM_SOURCE_CRL, "http://a/");
	struct cm_memory *m = recall(r);
	char text[96];
	int failed = 0;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	for (uint8_t n = 2; n < 60 && failed == 0; n++) {	/* until the log is full */
		more = fresh(n, CM_STATUS_GOOD);
		failed = keep(m, &more) == CM_ERR_SYSTEM;
	}
	assert_int_equal(failed, 1);
	snprintf(text, sizeof(text), "%s: writing: ", r->path);
	assert_non_null(strstr(m->keeper.why(m->keeper.arg), text));
	assert_int_equal(m->keeper.keep_source(m->keeper.arg, &s, cm_cert_der(r->other)), CM_ERR_SYSTEM);
	assert_int_equal(find(m, &e), CM_OK);
	cm_memory_free(&m);
}

static void
full_disk_is_said(void **state)
{
	struct rig *r = *state;
	const struct cm_evidence e = fresh(1, CM_STATUS_REVOKED);
	struct cm_memory *m = recall(r);
	int status = -1;
	pid_t child;

	assert_int_equal(keep(m, &e), CM_OK);
	cm_memory_free(&m);
	if ((child = fork()) == 0) {
		rig_reopen(r);
		full_disk(r);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* A store that is gone, or not ours any more: each call says so, and none makes another in its place unasked. */
static void
a_store_that_others_can_write(void **state)
{
	struct rig *r = *state;
	struct cm_memory *m = recall(r);
	struct cm_evidence e = fresh(1, CM_STATUS_GOOD);

	assert_int_equal(chmod(r->path, 0666), 0);
	assert_int_equal(find(m, &e), CM_ERR_SYSTEM);
	assert_int_equal(keep(m, &e), CM_ERR_SYSTEM);
	assert_non_null(strstr(m->keeper.why(m->keeper.arg), "others may read or write it"));
	assert_int_equal(chmod(r->path, 0600), 0);
	assert_int_equal(keep(m, &e), CM_OK);	/* it is tried anew each time */
	cm_memory_free(&m);
}

/* On a host where nobody logs in, refresh alone keeps the store small. */
static void
old_evidence_goes(void **state)
{
	struct rig *r = *state;
	struct cm_evidence old = rig_evidence(1, CM_STATUS_GOOD, cm_clock_now() - 40 * DAY), e = fresh(2, CM_STATUS_GOOD);
	struct cm_memory *m = recall(r);

	rig_keep_evidence(r, &old, 0, cm_clock_now() - 40 * DAY);
	assert_int_equal(keep(m, &e), CM_OK);
	assert_int_equal(find(m, &e), CM_OK);
	assert_int_equal(find(m, &old), CM_ERR_ABSENT);
	cm_memory_free(&m);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, rig_open, rig_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(kept_by_another_thread),
		TEST(locks_of_the_first_connection_stay),
		TEST(attack_revoked_is_forgiven),
		TEST(nothing_new_writes_nothing),
		TEST(addresses_that_do_not_fit),
		TEST(a_held_store_is_not_waited_for),
		TEST(several_processes_at_once),
		TEST(kill_9_loses_nothing),
		TEST(full_disk_is_said),
		TEST(a_store_that_others_can_write),
		TEST(old_evidence_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
