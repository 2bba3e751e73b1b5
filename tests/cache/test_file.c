/* tests/cache/test_file.c - the file: who may write it, damage, dying processes, full disks. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_rig.h"

static void
expect_open(struct rig *r, enum cm_err want, const char *message)
{
	cm_accounts_close(&r->store);
	cm_trace_clear_reason(r->trace);
	assert_int_equal(cm_accounts_open(&r->options, r->trace, &r->store), want);
	if (want != CM_OK) {
		assert_null(r->store);
		assert_int_equal(cm_trace_reason(r->trace), CM_REASON_STORE);
		assert_non_null(strstr(cm_trace_message(r->trace), r->path));
	}
	if (strstr(cm_trace_message(r->trace), message) == NULL)
		fail_msg("got \"%s\", wanted \"%s\"", cm_trace_message(r->trace), message);
}

static void
attack_file_others_can_write(void **state)
{
	static const char *const files[] = { "", "-wal", "-shm" };
	struct rig *r = *state;
	const mode_t mask = umask(0);
	char path[80], moved[80];
	struct stat st;

	rig_close(state);	/* anew, under an umask that hides nothing */
	rig_open(state);
	r = *state;
	umask(mask);
	rig_keep_alice(r, 4000, NOW);
	for (size_t i = 0; i < CM_COUNT(files); i++) {
		snprintf(path, sizeof(path), "%s%s", r->path, files[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	assert_int_equal(chmod(r->path, 0640), 0);
	expect_open(r, CM_ERR_SYSTEM, "others may read or write it");
	assert_int_equal(chmod(r->path, 0600), 0);
	assert_int_equal(chmod(r->folder, 0770), 0);
	expect_open(r, CM_ERR_SYSTEM, "others may write folder");
	assert_int_equal(chmod(r->folder, 0700), 0);
	snprintf(moved, sizeof(moved), "%s/moved", r->folder);
	assert_int_equal(link(r->path, moved), 0);
	expect_open(r, CM_ERR_SYSTEM, "not a file of its own");
	assert_int_equal(unlink(r->path), 0);
	assert_int_equal(symlink(moved, r->path), 0);
	expect_open(r, CM_ERR_SYSTEM, "");
	assert_int_equal(unlink(r->path), 0);
	assert_int_equal(mkfifo(r->path, 0600), 0);
	expect_open(r, CM_ERR_SYSTEM, "not a file of its own");
	assert_int_equal(unlink(r->path), 0);
	assert_int_equal(rename(moved, r->path), 0);
	expect_open(r, CM_OK, "");
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
}

static void
no_store_of_ours(void **state)
{
	struct rig *r = *state;
	FILE *f;

	rig_sql(r, "PRAGMA user_version = 4");
	expect_open(r, CM_ERR_SYSTEM, "made by a newer cardmap");
	rig_sql(r, "PRAGMA user_version = 0");
	expect_open(r, CM_ERR_SYSTEM, "not a store of cardmap's");
	f = fopen(r->path, "w");
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		fputs("not a database ", f);
	fclose(f);
	expect_open(r, CM_ERR_SYSTEM, "not a database");
	r->options.path = "/nonexistent/folder/accounts.db";
	assert_int_equal(cm_accounts_open(&r->options, r->trace, &r->store), CM_ERR_SYSTEM);
	assert_non_null(strstr(cm_trace_message(r->trace), "/nonexistent/folder"));
}

static void
damaged_accounts_are_said(void **state)
{
	static const char *const damages[] = {
		"UPDATE account SET uid = 4001", "UPDATE account SET name = 'mallory'",
		"UPDATE account SET uid = 0", "UPDATE account SET groups = x'00'",
		"UPDATE account SET groups = CAST(groups || x'000000046464' AS BLOB)",
		"UPDATE account SET name = 'alice' || char(0) || 'x'", "UPDATE account SET chain = x''",
		"UPDATE account SET last_online = last_online + 999999", "UPDATE account SET boot_id = ''",
		"UPDATE account SET cert = x'30'", "UPDATE account SET digest = x''",
		"UPDATE account SET home = ''", "UPDATE clock SET floor = 0",
		"ALTER TABLE account ADD COLUMN more TEXT",
		/* (a table of the same columns that takes any type) */
		("CREATE TABLE loose AS SELECT * FROM account; DROP TABLE account;"
		"ALTER TABLE loose RENAME TO account; UPDATE account SET uid = CAST(uid AS BLOB)"),
	};
	struct rig *r = *state;

	for (size_t i = 0; i < CM_COUNT(damages); i++) {
		void *own = NULL;

		rig_open(&own);
		r = own;
		rig_keep_alice(r, 4000, NOW);
		rig_keep_evidence(r, NULL, NOW, NOW);
		rig_sql(r, damages[i]);
		rig_expect(r, NOW, CM_ERR_SYSTEM, CM_REASON_STORE, "accounts.db");
		rig_close(&own);
	}
}

/* The bytes of the database itself, without its log. */
static size_t
snapshot(struct rig *r, uint8_t *bytes, size_t size)
{
	char wal[80];
	FILE *f;
	size_t n;

	rig_sql(r, "PRAGMA wal_checkpoint(TRUNCATE)");
	cm_accounts_close(&r->store);
	snprintf(wal, sizeof(wal), "%s-wal", r->path);
	unlink(wal);
	snprintf(wal, sizeof(wal), "%s-shm", r->path);
	unlink(wal);
	f = fopen(r->path, "r");
	assert_non_null(f);
	n = fread(bytes, 1, size, f);
	fclose(f);
	assert_true(n > 4096 && n < size);
	return n;
}

static void
restore(const struct rig *r, const uint8_t *bytes, size_t n)
{
	const int fd = open(r->path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

/* A bit that flips on the disk opens the same account, or none: never another. */
static void
flipped_bits_admit_nobody_else(void **state)
{
	static uint8_t bytes[1 << 17];
	const struct cm_account want = rig_account(4000);
	struct rig *r = *state;
	size_t n, refused = 0;

	rig_keep_alice(r, 4000, NOW);
	n = snapshot(r, bytes, sizeof(bytes));
	for (size_t bit = 0; bit < n * 8; bit += 173) {	/* some thousand, all over */
		struct cm_account *got = NULL;
		int64_t age = 0;

		if (bytes[bit / 8] == 0)	/* mostly unused space */
			continue;
		bytes[bit / 8] ^= 1 << bit % 8;
		restore(r, bytes, n);
		bytes[bit / 8] ^= 1 << bit % 8;
		if (cm_accounts_open(&r->options, r->trace, &r->store) == CM_OK &&
		    rig_find(r, NOW, &got, &age) == CM_OK)
			rig_assert_same(got, &want);
		else
			refused++;
		cm_account_free(&got);
		cm_accounts_close(&r->store);
	}
	assert_true(refused > 10);
}

/* --- more than one process, and processes that die --- */

/* Keep alice with uid 4000, 4001, ...; say each number when it is on the disk. */
static void
writer(const struct rig *r, int ack)
{
	struct cm_accounts *s = NULL;

	if (cm_accounts_open(&r->options, NULL, &s) != CM_OK)
		_exit(1);
	for (uint32_t uid = 4000;; uid++) {
		const struct cm_account a = rig_account(uid);
		const struct cm_store_login l = rig_login(r, &a, NOW);

		if (cm_accounts_keep(s, &l, NULL) != CM_OK ||
		    write(ack, &uid, sizeof(uid)) != sizeof(uid))
			_exit(1);
	}
}

static void
kill_9_loses_nothing(void **state)
{
	struct rig *r = *state;

	cm_accounts_close(&r->store);
	for (int round = 0; round < 20; round++) {
		struct cm_account *got = NULL;
		uint32_t last = 0, uid;
		int64_t age = 0;
		int fds[2];
		pid_t child;

		assert_int_equal(pipe(fds), 0);
		if ((child = fork()) == 0) {
			close(fds[0]);
			writer(r, fds[1]);
		}
		close(fds[1]);
		for (int i = 0; i <= round; i++)
			assert_int_equal(read(fds[0], &last, sizeof(last)), sizeof(last));
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		while (read(fds[0], &uid, sizeof(uid)) == sizeof(uid))
			last = uid;
		close(fds[0]);
		rig_reopen(r);
		assert_int_equal(rig_find(r, NOW, &got, &age), CM_OK);
		/* what was said to be kept is, and at most the one after it */
		assert_in_range(got->uid, last, last + 1);
		cm_account_free(&got);
		cm_accounts_close(&r->store);
	}
}

/* What the remedy tells people to do: the log that stays behind belongs to no store any more. */
static void
moved_away_is_gone(void **state)
{
	struct rig *r = *state;

	rig_keep_alice(r, 4000, NOW);
	cm_accounts_close(&r->store);
	assert_int_equal(unlink(r->path), 0);
	rig_reopen(r);
	rig_expect(r, NOW, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT, "");
}

static void
two_processes_at_once(void **state)
{
	enum { PROCESSES = 4, EACH = 20 };
	struct rig *r = *state;
	struct cm_memory *m = NULL;
	pid_t children[PROCESSES];

	cm_accounts_close(&r->store);
	assert_int_equal(unlink(r->path), 0);	/* they create it, too; its log stays and is of no store any more */
	for (uint8_t p = 0; p < PROCESSES; p++) {
		if ((children[p] = fork()) != 0)
			continue;
		if (cm_accounts_open(&r->options, r->trace, &r->store) != CM_OK) {
			fprintf(stderr, "%s\n", cm_trace_message(r->trace));
			_exit(1);
		}
		for (uint8_t i = 0; i < EACH; i++) {
			const struct cm_evidence e = rig_evidence(p * EACH + i, CM_STATUS_REVOKED, NOW);
			const struct cm_account a = rig_account(4000);
			struct cm_store_login l = rig_login(r, &a, NOW);

			l.evidence = &e;
			l.evidence_count = 1;
			if (cm_accounts_keep(r->store, &l, r->trace) != CM_OK) {
				fprintf(stderr, "%s\n", cm_trace_message(r->trace));
				_exit(2);
			}
		}
		_exit(0);
	}
	for (size_t p = 0; p < PROCESSES; p++) {
		int status = -1;

		assert_int_equal(waitpid(children[p], &status, 0), children[p]);
		assert_int_equal(status, 0);
	}
	rig_reopen(r);
	assert_int_equal(cm_accounts_recall(r->store, NOW, r->trace, &m), CM_OK);
	assert_int_equal(m->known.count, PROCESSES * EACH);
	cm_memory_free(&m);
}

/* Another process that holds the store is waited for, but not for ever. */
static void
a_held_store_is_said(void **state)
{
	struct rig *r = *state;
	const struct cm_account a = rig_account(4000);
	const struct cm_store_login l = rig_login(r, &a, NOW);
	sqlite3 *db = NULL;
	int64_t start;

	rig_keep_alice(r, 4000, NOW);
	assert_int_equal(sqlite3_open(r->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	start = cm_clock_us();
	assert_int_equal(cm_accounts_keep(r->store, &l, r->trace), CM_ERR_SYSTEM);
	assert_true(cm_clock_us() - start < 10 * 1000000);
	assert_non_null(strstr(cm_trace_message(r->trace), "another process holds it"));
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");	/* reading goes on */
	sqlite3_close(db);
	rig_keep(r, &l);
}

/* Run f in a child; its exit status. */
static int
in_child(int (*f)(struct rig *), struct rig *r)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(f(r));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Keep alice anew where the disk has no room for it. */
static int
keep_without_room(struct rig *r)
{
	static const uint8_t large[60000];
	const struct cm_blob chain = { large, sizeof(large) };
	const struct cm_account a = rig_account(4001);
	struct cm_store_login l = rig_login(r, &a, NOW + 10);
	struct cm_account *got = NULL;
	int64_t age = 0;

	l.chain = &chain;
	l.chain_count = 1;
	if (cm_accounts_open(&r->options, r->trace, &r->store) != CM_OK)
		return 2;
	if (cm_accounts_keep(r->store, &l, r->trace) != CM_ERR_SYSTEM ||
	    cm_trace_reason(r->trace) != CM_REASON_STORE ||
	    strstr(cm_trace_message(r->trace), r->path) == NULL)
		return 3;
	/* what was kept still opens */
	if (rig_find(r, NOW, &got, &age) != CM_OK || got->uid != 4000)
		return 4;
	cm_account_free(&got);
	cm_accounts_close(&r->store);
	return 0;
}

static int
files_may_not_grow(struct rig *r)
{
	const struct rlimit some = { 32768, 32768 };

	signal(SIGXFSZ, SIG_IGN);
	return setrlimit(RLIMIT_FSIZE, &some) != 0 ? 1 : keep_without_room(r);
}

static void
full_disk_loses_nothing(void **state)
{
	struct cm_account *got = NULL;
	struct rig *r = *state;
	int64_t age = 0;

	rig_keep_alice(r, 4000, NOW);
	cm_accounts_close(&r->store);
	assert_int_equal(in_child(files_may_not_grow, r), 0);
	rig_reopen(r);
	assert_int_equal(rig_find(r, NOW, &got, &age), CM_OK);
	assert_int_equal(got->uid, 4000);
	cm_account_free(&got);
	rig_keep_alice(r, 4001, NOW);	/* and there is room again */
}

/* On a file system of its own, filled to the last byte; that takes root. */
static int
fill_the_disk(struct rig *r)
{
	static const uint8_t block[4096];
	char fill[80];
	int fd;

	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("full", r->folder, "tmpfs", 0, "size=512k,mode=0700") != 0)
		return 77;
	if (cm_accounts_open(&r->options, r->trace, &r->store) != CM_OK)
		return 1;
	rig_keep_alice(r, 4000, NOW);
	cm_accounts_close(&r->store);
	snprintf(fill, sizeof(fill), "%s/fill", r->folder);
	fd = open(fill, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		;
	close(fd);
	return keep_without_room(r);
}

static void
truly_full_disk_loses_nothing(void **state)
{
	struct rig *r = *state;
	int status;

	cm_accounts_close(&r->store);
	if ((status = in_child(fill_the_disk, r)) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* As a user who may not write the file (root may write any). */
static int
open_read_only(struct rig *r)
{
	if (geteuid() == 0 && (chown(r->folder, 65534, 65534) != 0 || chown(r->path, 65534, 65534) != 0 ||
	    setgid(65534) != 0 || setuid(65534) != 0))
		return 77;
	if (chmod(r->path, 0400) != 0)
		return 1;
	if (cm_accounts_open(&r->options, r->trace, &r->store) != CM_ERR_SYSTEM ||
	    strstr(cm_trace_message(r->trace), "Permission denied") == NULL ||
	    strstr(cm_trace_message(r->trace), r->path) == NULL)
		return 2;
	return 0;
}

static void
read_only_is_said(void **state)
{
	struct rig *r = *state;
	int status;

	cm_accounts_close(&r->store);
	if ((status = in_child(open_read_only, r)) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* On a disk that was mounted read-only behind our back; that takes root. */
static int
mount_read_only(struct rig *r)
{
	struct cm_evidence e = rig_evidence(1, CM_STATUS_GOOD, NOW), more = rig_evidence(2, CM_STATUS_GOOD, NOW);
	const struct cm_store_login l = { .evidence = &more, .evidence_count = 1, .now = NOW };
	struct cm_memory *m = NULL;

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount(r->folder, r->folder, NULL, MS_BIND, NULL) != 0 ||
	    mount(NULL, r->folder, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
		return 77;
	if (cm_accounts_open(&r->options, r->trace, &r->store) != CM_OK) {
		fprintf(stderr, "%s\n", cm_trace_message(r->trace));
		return 1;
	}
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
	if (cm_accounts_recall(r->store, NOW, r->trace, &m) != CM_OK || m->known.count != 1 ||
	    m->known.evidence[0].status != CM_STATUS_REVOKED)
		return 2;
	if (m->keeper.find(m->keeper.arg, &e) != CM_OK || e.status != CM_STATUS_REVOKED)
		return 3;
	e = rig_evidence(2, CM_STATUS_REVOKED, NOW);
	if (m->keeper.keep(m->keeper.arg, &e) != CM_ERR_SYSTEM ||
	    strstr(m->keeper.why(m->keeper.arg), "readonly database") == NULL)
		return 4;
	if (cm_accounts_keep(r->store, &l, r->trace) != CM_ERR_SYSTEM ||
	    strstr(cm_trace_message(r->trace), "readonly database") == NULL)
		return 5;
	cm_memory_free(&m);
	cm_accounts_close(&r->store);
	return 0;
}

static void
read_only_disk_is_read(void **state)
{
	const struct cm_evidence e = rig_evidence(1, CM_STATUS_REVOKED, NOW);
	struct rig *r = *state;
	int status;

	rig_keep_alice(r, 4000, NOW);
	rig_keep_evidence(r, &e, 0, NOW);
	cm_accounts_close(&r->store);
	if ((status = in_child(mount_read_only, r)) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* The same of a store of version 1, which cannot be moved there. */
static int
read_former(struct rig *r)
{
	struct cm_memory *m = NULL;

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount(r->folder, r->folder, NULL, MS_BIND, NULL) != 0 ||
	    mount(NULL, r->folder, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
		return 77;
	if (cm_accounts_open(&r->options, r->trace, &r->store) != CM_OK) {
		fprintf(stderr, "%s\n", cm_trace_message(r->trace));
		return 1;
	}
	if (strstr(cm_trace_find(r->trace, "warning"), "readonly database") == NULL)
		return 2;
	if (cm_accounts_recall(r->store, NOW, r->trace, &m) != CM_OK || m->known.count != 1 ||
	    m->known.evidence[0].status != CM_STATUS_REVOKED)
		return 3;
	cm_memory_free(&m);
	cm_accounts_close(&r->store);
	return 0;
}

static void
read_only_disk_with_a_former_store(void **state)
{
	struct rig *r = *state;
	int status, persist = 1;
	sqlite3 *db = NULL;

	rig_former(r);
	/* as a login of the former version left it: with its log and the index of that */
	assert_int_equal(sqlite3_open(r->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE clock SET id = 1", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	if ((status = in_child(read_former, r)) == 77)
		skip();
	assert_int_equal(status, 0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, rig_open, rig_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(attack_file_others_can_write),
		TEST(no_store_of_ours),
		cmocka_unit_test(damaged_accounts_are_said),
		TEST(flipped_bits_admit_nobody_else),
		TEST(kill_9_loses_nothing),
		TEST(moved_away_is_gone),
		TEST(two_processes_at_once),
		TEST(a_held_store_is_said),
		TEST(full_disk_loses_nothing),
		TEST(truly_full_disk_loses_nothing),
		TEST(read_only_is_said),
		TEST(read_only_disk_is_read),
		TEST(read_only_disk_with_a_former_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
