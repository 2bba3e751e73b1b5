/* tests/cache/test_schema.c - a store of the former version: moved over whole, or read as it is. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_rig.h"

enum { MANY = 3000 };

static int64_t
number(const struct rig *r, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *q = NULL;
	int64_t n;

	assert_int_equal(sqlite3_open(r->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return n;
}

/* More rows as version 1 had them: revoked, of issuer 2, numbered. */
static void
add_former_rows(const struct rig *r, unsigned count)
{
	struct cm_accounts s = { .path = (char *)(uintptr_t)r->path };
	uint8_t key[32], serial[4] = { 1 };

	memset(key, 2, sizeof(key));
	assert_int_equal(sqlite3_open(r->path, &s.db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(s.db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
	for (unsigned i = 0; i < count; i++) {
		serial[2] = (uint8_t)(i >> 8);
		serial[3] = (uint8_t)i;
		assert_int_equal(cm_store_put(&s, "evidence", (const struct cm_column[]){
		    cm_value_blob((struct cm_blob){ key, sizeof(key) }),
		    cm_value_blob((struct cm_blob){ serial, sizeof(serial) }), cm_value_int(CM_STATUS_REVOKED),
		    cm_value_int(NOW), cm_value_int(NOW + DAY), cm_value_int(NOW - 5), cm_value_int(NOW + i),
		    cm_value_text("CRL http://crl.test/ number 17") }, 8, NULL), CM_OK);
	}
	assert_int_equal(sqlite3_exec(s.db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(s.db);
}

static enum cm_err
count_account(void *arg, const struct cm_kept *k)
{
	assert_string_equal(k->account->name, "alice");
	assert_int_equal(k->account->uid, 4000);
	++*(unsigned *)arg;
	return CM_OK;
}

/* What the former program kept, of whichever version the tables are. */
static void
expect_former(struct rig *r, size_t more)
{
	const struct cm_evidence want = rig_evidence(1, CM_STATUS_REVOKED, NOW);
	struct cm_memory *m = NULL;
	const struct cm_evidence *e;
	unsigned accounts = 0;

	if (cm_accounts_recall(r->store, NOW, r->trace, &m) != CM_OK)
		fail_msg("%s", cm_trace_message(r->trace));
	assert_int_equal(m->known.floor, NOW);
	assert_int_equal(m->known.count, 1 + more);
	e = &m->known.evidence[0];
	assert_memory_equal(e->issuer_key, want.issuer_key, sizeof(want.issuer_key));
	assert_int_equal(e->serial_len, 2);
	assert_memory_equal(e->serial, want.serial, 2);
	assert_int_equal(e->status, CM_STATUS_REVOKED);
	assert_int_equal(e->this_update, NOW);
	assert_int_equal(e->next_update, NOW + DAY);
	assert_int_equal(e->revoked_at, NOW - 100);
	assert_int_equal(e->learned, NOW + 5);
	assert_int_equal(e->confirmed, NOW + 5);
	assert_int_equal(e->ask_after, 0);
	assert_string_equal(e->source, want.source);
	assert_string_equal(e->signer, "");
	for (size_t i = 1; i <= more; i++) {
		e = &m->known.evidence[i];
		assert_int_equal(e->status, CM_STATUS_REVOKED);
		assert_int_equal(e->serial[2] << 8 | e->serial[3], e->learned - NOW);
		assert_int_equal(e->confirmed, e->learned);
		assert_string_equal(e->source, "CRL http://crl.test/ number 17");
	}
	cm_memory_free(&m);
	assert_int_equal(cm_accounts_list(r->store, r->trace, count_account, &accounts), CM_OK);
	assert_int_equal(accounts, 1);
}

static void
moved_whole(void **state)
{
	struct rig *r = *state;

	rig_former(r);
	add_former_rows(r, 300);
	assert_int_equal(number(r, "PRAGMA user_version"), 1);
	rig_reopen(r);
	expect_former(r, 300);
	assert_int_equal(number(r, "PRAGMA user_version"), CM_STORE_VERSION);
	assert_int_equal(number(r, "SELECT count(*) FROM sqlite_schema WHERE name = 'evidence_1'"), 0);
	/* once: a second opening finds nothing to do, and what is new is kept with what was */
	rig_reopen(r);
	rig_keep_alice(r, 4001, NOW);
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
	assert_int_equal(number(r, "SELECT count(*) FROM source"), 0);
}

/* What was damaged is not made whole by being moved, and nothing else is lost for it. */
static void
damage_moves_too(void **state)
{
	struct cm_evidence e = rig_evidence(1, CM_STATUS_GOOD, NOW);
	struct cm_memory *m = NULL;
	struct rig *r = *state;

	rig_former(r);
	add_former_rows(r, 3);
	rig_sql(r, "UPDATE evidence SET status = 1 WHERE serial = x'01000001'");
	rig_reopen(r);
	assert_int_equal(number(r, "PRAGMA user_version"), CM_STORE_VERSION);
	assert_int_equal(number(r, "SELECT count(*) FROM evidence"), 4);
	assert_int_equal(cm_accounts_recall(r->store, NOW, r->trace, &m), CM_ERR_SYSTEM);
	assert_int_equal(cm_trace_reason(r->trace), CM_REASON_STORE);
	assert_int_equal(cm_evidence_find(r->store, (struct cm_blob){ e.issuer_key, 32 },
	    (struct cm_blob){ e.serial, 2 }, r->trace, &e), CM_OK);
	assert_int_equal(e.status, CM_STATUS_REVOKED);
}

/* As long as it takes to move a store of MANY rows here. */
static int64_t
time_of_a_move(struct rig *r)
{
	int64_t start;

	rig_former(r);
	add_former_rows(r, MANY);
	start = cm_clock_us();
	rig_reopen(r);
	return cm_clock_us() - start;
}

/* It is of one version or the other at every moment, and has everything. */
static void
kill_9_while_it_moves(void **state)
{
	enum { ROUNDS = 16 };
	struct rig *r = *state;
	const int64_t whole = time_of_a_move(r);
	unsigned former = 0;

	for (int round = 0; round < ROUNDS; round++) {
		int64_t start;
		pid_t child;

		rig_former(r);
		add_former_rows(r, MANY);
		start = cm_clock_us();
		if ((child = fork()) == 0) {
			if (cm_accounts_open(&r->options, NULL, &r->store) == CM_OK)
				pause();
			_exit(1);
		}
		while (cm_clock_us() < start + whole * (round + 1) / ROUNDS)
			;
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		former += number(r, "PRAGMA user_version") == 1;
		assert_int_equal(number(r, "SELECT count(*) FROM evidence"), MANY + 1);
		rig_reopen(r);
		expect_former(r, MANY);
		assert_int_equal(number(r, "PRAGMA user_version"), CM_STORE_VERSION);
	}
	assert_true(former > 0);
}

/* Several logins are the first of the new version at once. */
static void
moved_once(void **state)
{
	enum { PROCESSES = 4 };
	struct rig *r = *state;
	pid_t children[PROCESSES];

	rig_former(r);
	add_former_rows(r, 100);
	for (size_t p = 0; p < PROCESSES; p++) {
		if ((children[p] = fork()) != 0)
			continue;
		rig_reopen(r);
		expect_former(r, 100);
		_exit(r->store->version == CM_STORE_VERSION ? 0 : 1);
	}
	for (size_t p = 0; p < PROCESSES; p++) {
		int status = -1;

		assert_int_equal(waitpid(children[p], &status, 0), children[p]);
		assert_int_equal(status, 0);
	}
}

static void
expect_said(struct cm_trace *t, const char *want)
{
	const char *said = cm_trace_find(t, "warning");

	if (said == NULL || strstr(said, want) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", said != NULL ? said : "", want);
}

/* No room but for the index of the log: revoked is still seen, by the keeper too, nothing new is kept, and each says why. */
static void
use_without_room(struct rig *r)
{
	const struct rlimit none = { 32768, 32768 };
	struct cm_evidence e = rig_evidence(1, CM_STATUS_GOOD, NOW), revoked = rig_evidence(9, CM_STATUS_REVOKED, NOW);
	const struct cm_store_login l = { .evidence = &revoked, .evidence_count = 1, .now = NOW };
	struct cm_memory *m = NULL;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	rig_reopen(r);
	expect_said(r->trace, "cannot be brought to this version's form: ");
	expect_said(r->trace, "accounts.db: writing: disk I/O error");
	assert_int_equal(cm_trace_reason(r->trace), CM_REASON_NONE);
	expect_former(r, 5);
	assert_int_equal(cm_accounts_recall(r->store, NOW, r->trace, &m), CM_OK);
	assert_int_equal(m->known.source_count, 0);
	assert_int_equal(m->keeper.find(m->keeper.arg, &e), CM_OK);
	assert_int_equal(e.status, CM_STATUS_REVOKED);
	assert_int_equal(m->keeper.find(m->keeper.arg, &revoked), CM_ERR_ABSENT);
	assert_int_equal(m->keeper.keep(m->keeper.arg, &revoked), CM_ERR_SYSTEM);
	assert_non_null(strstr(m->keeper.why(m->keeper.arg), r->path));
	cm_memory_free(&m);
	assert_int_equal(cm_accounts_keep(r->store, &l, r->trace), CM_ERR_SYSTEM);
	assert_int_equal(cm_trace_reason(r->trace), CM_REASON_STORE);
	assert_non_null(strstr(cm_trace_message(r->trace), r->path));
	expect_former(r, 5);
}

static void
no_room_to_move(void **state)
{
	struct rig *r = *state;
	int status = -1;
	pid_t child;

	rig_former(r);
	add_former_rows(r, 5);
	if ((child = fork()) == 0) {
		use_without_room(r);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(number(r, "PRAGMA user_version"), 1);
	rig_reopen(r);
	expect_former(r, 5);
	assert_int_equal(number(r, "PRAGMA user_version"), CM_STORE_VERSION);
}

/* The columns that version 2 had, in a table that it made, of what this version keeps. */
static void
make_second(struct rig *r)
{
	struct cm_account_row row;
	struct cm_accounts s = { .path = r->path, .version = CM_STORE_VERSION };
	sqlite3_stmt *q = NULL;

	cm_accounts_close(&r->store);
	rig_sql(r, "ALTER TABLE account RENAME TO newer; CREATE TABLE account (cert_sha256 BLOB PRIMARY KEY NOT NULL, cert BLOB NOT NULL,"
	    " name TEXT NOT NULL, principal TEXT NOT NULL, dn TEXT NOT NULL, home TEXT NOT NULL, shell TEXT NOT NULL, gecos TEXT NOT NULL,"
	    " uid INTEGER NOT NULL, gid INTEGER NOT NULL, groups BLOB NOT NULL, rule TEXT NOT NULL, matched TEXT NOT NULL,"
	    " source TEXT NOT NULL, chain BLOB NOT NULL, last_online INTEGER NOT NULL, boottime INTEGER NOT NULL,"
	    " boot_id TEXT NOT NULL, digest BLOB NOT NULL) STRICT; PRAGMA user_version = 2");
	assert_int_equal(sqlite3_open(r->path, &s.db), SQLITE_OK);
	assert_int_equal(cm_store_prepare(&s, "SELECT * FROM newer", NULL, 0, NULL, &q), CM_OK);
	while (cm_store_step(&s, q, NULL) == CM_OK) {
		assert_int_equal(cm_account_row_read(&s, q, NULL, &row), CM_OK);
		assert_int_equal(cm_store_put(&s, "account", row.v, CM_ROW_COLUMNS_2, NULL), CM_OK);
		cm_account_row_clear(&row);
	}
	sqlite3_finalize(q);
	sqlite3_close(s.db);
	rig_sql(r, "DROP TABLE newer");
}

static void
second_moved_whole(void **state)
{
	struct cm_evidence e = rig_evidence(3, CM_STATUS_REVOKED, NOW);
	struct cm_account a = rig_account(4001);
	struct cm_kept_row *row = NULL;
	struct rig *r = *state;

	rig_keep_alice(r, 4001, NOW);
	rig_keep_evidence(r, &e, 0, NOW);
	make_second(r);
	rig_reopen(r);
	assert_int_equal(number(r, "PRAGMA user_version"), CM_STORE_VERSION);
	assert_int_equal(number(r, "SELECT count(*) FROM sqlite_schema WHERE name = 'account_2'"), 0);
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
	assert_int_equal(cm_accounts_find_row(r->store, cm_cert_der(r->cert), NOW, r->trace, &row), CM_OK);
	rig_assert_same(row->account, &a);
	assert_int_equal(row->usable, CM_OK);
	assert_int_equal(row->card.key.len, 0);		/* of its card nothing is known: it is read again */
	assert_int_equal(row->card.guid.len, 0);
	assert_int_equal(row->card.link_count, 0);
	cm_kept_row_free(&row);
	assert_int_equal(cm_evidence_find(r->store, (struct cm_blob){ e.issuer_key, 32 }, (struct cm_blob){ e.serial, 2 }, r->trace,
	    &e), CM_OK);
}

static void
second_damage_moves_too(void **state)
{
	struct cm_kept_row *row = NULL;
	struct rig *r = *state;

	rig_keep_alice(r, 4001, NOW);
	make_second(r);
	rig_sql(r, "UPDATE account SET uid = 0");
	rig_reopen(r);
	assert_int_equal(number(r, "PRAGMA user_version"), CM_STORE_VERSION);
	assert_int_equal(number(r, "SELECT count(*) FROM account"), 1);
	assert_int_equal(cm_accounts_find_row(r->store, cm_cert_der(r->cert), NOW, r->trace, &row), CM_ERR_SYSTEM);
	assert_int_equal(cm_trace_reason(r->trace), CM_REASON_STORE);
}

/* A disk that is full: what version 2 kept lets in whom it let in. */
static void
second_without_room(void **state)
{
	const struct rlimit none = { 32768, 32768 };
	struct rig *r = *state;
	struct cm_account a = rig_account(4001);
	struct cm_store_login l = rig_login(r, &a, NOW);
	uint8_t sha256[32] = { 0 };
	int status = -1;
	pid_t child;

	rig_keep_alice(r, 4001, NOW);
	l.cert_sha256 = (struct cm_blob){ sha256, sizeof(sha256) };
	for (; sha256[0] < 30; sha256[0]++)
		rig_keep(r, &l);
	make_second(r);
	if ((child = fork()) == 0) {
		struct cm_recognised found;

		signal(SIGXFSZ, SIG_IGN);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
		rig_reopen(r);
		if (r->store->version != 2)
			_exit(2);
		rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
		_exit(cm_accounts_recognise(r->store, (struct cm_blob){ (const uint8_t *)"0123456789abcdef", 16 }, NULL, NULL,
		    &found) == CM_ERR_ABSENT ? 0 : 3);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(number(r, "PRAGMA user_version"), 2);
	rig_reopen(r);
	assert_int_equal(number(r, "PRAGMA user_version"), CM_STORE_VERSION);
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
}

/* Opened when it could not be moved, by whom others then moved it for. */
static void
moved_by_others(void **state)
{
	const struct cm_evidence e = rig_evidence(3, CM_STATUS_REVOKED, NOW);
	struct rig *r = *state;

	rig_former(r);
	rig_reopen(r);
	r->store->version = 1;
	expect_former(r, 0);
	assert_int_equal(r->store->version, CM_STORE_VERSION);
	r->store->version = 1;
	rig_keep_evidence(r, &e, 0, NOW);
	assert_int_equal(number(r, "SELECT count(*) FROM evidence"), 2);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, rig_open, rig_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(moved_whole),
		TEST(damage_moves_too),
		TEST(kill_9_while_it_moves),
		TEST(moved_once),
		TEST(no_room_to_move),
		TEST(moved_by_others),
		TEST(second_moved_whole),
		TEST(second_damage_moves_too),
		TEST(second_without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
