/* tests/service/test_mobile_trouble.c - mobile accounts where the disk is full, read-only or damaged, and where who writes is killed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mobile_fixture.h"

#define PAGE	4096

/* Disks of our own, which nobody else sees. */
static int
enter(void **state)
{
	(void)state;
	assert_int_equal(unshare(geteuid() != 0 ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS), 0);
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	return 0;
}

/* ---- what is in the folder */

/* Of alice, who had one shell and has another now: whole, each of them. */
static const struct record {
	const char *name, *content, *before;
} records[] = {
	{ "alice.user", ALICE_SH, ALICE }, { "10001.user", "alice.user", NULL }, { "staff10000.group", "{\"gid\":10000,\"groupName\":\"staff10000\"}\n", NULL },
	{ "10000.group", "staff10000.group", NULL }, { "laptops.group", "{\"gid\":10003,\"groupName\":\"laptops\"}\n", NULL },
	{ "10003.group", "laptops.group", NULL }, { "alice:laptops.membership", "{}\n", NULL },
};

static size_t
read_record(const struct fixture *f, const char *name, char *text, size_t size)
{
	char path[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->userdb, name);
	if ((n = readlink(path, text, size - 1)) < 0 && (fd = open(path, O_RDONLY | O_NOFOLLOW)) >= 0) {
		n = read(fd, text, size - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* Nothing half-written, and nothing else but, where somebody was killed, what has no name; how many records there are. */
static size_t
check_folder(const struct fixture *f, bool killed)
{
	DIR *d = opendir(f->userdb);
	size_t count = 0;

	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		char text[1024];
		size_t i = 0;

		if (e->d_name[0] == '.' && (e->d_name[1] == '\0' || e->d_name[1] == '.' || killed))
			continue;
		while (i < CM_COUNT(records) && strcmp(records[i].name, e->d_name) != 0)
			i++;
		if (i == CM_COUNT(records))
			fail_msg("%s is in the folder", e->d_name);
		read_record(f, e->d_name, text, sizeof(text));
		if (strcmp(text, records[i].content) != 0 && (records[i].before == NULL || strcmp(text, records[i].before) != 0))
			fail_msg("%s holds \"%s\"", e->d_name, text);
		count++;
	}
	if (d != NULL)
		closedir(d);
	return count;
}

static struct cm_account
alice(bool is_new)
{
	struct cm_account a = mobile_account("alice", 10001);

	a.shell = (char *)(uintptr_t)(is_new ? "/bin/sh" : "/bin/bash");
	return a;
}

/* ---- killed */

/* In a process of its own, which kill -9 ends before it has written this file. */
static void
log_in_and_die(struct fixture *f, const struct cm_account *a, const char *file)
{
	char fault[128];
	pid_t child;
	int status;

	cm_accounts_close(&f->h.store);
	if ((child = fork()) == 0) {
		snprintf(fault, sizeof(fault), "kill:%s", file);
		setenv("CM_FAULT", fault, 1);
		mobile_reopen(f);
		(void)!mobile_log_in(f, a, false, cm_clock_now());
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	mobile_reopen(f);
}

/* Of a first login, and of one that finds another shell: whoever is there by number is there by name, and settling makes it whole. */
static void
dies_at_each_step(void **state)
{
	static const char *const steps[] = { "", ":made", ":filled", ":named" };
	struct fixture *f = *state;
	const struct cm_account before = alice(false), now = alice(true);

	for (size_t i = 0; i < CM_COUNT(records) * CM_COUNT(steps); i++) {
		const struct record *r = &records[i / CM_COUNT(steps)];
		const char *step = steps[i % CM_COUNT(steps)];
		char point[64], text[64], path[128];

		snprintf(point, sizeof(point), "%s%s", r->name, step);
		if (strcmp(step, ":made") == 0 && strchr(r->content, '{') == NULL)
			continue;	/* a link is whole when it is there */
		log_in_and_die(f, &before, point);
		check_folder(f, true);
		snprintf(path, sizeof(path), "%s/10001.user", f->userdb);
		if (read_record(f, "10001.user", text, sizeof(text)) > 0)
			assert_int_equal(access(path, F_OK), 0);	/* (follows the link) */
		assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
		mobile_expect_alice(f, true);
		assert_int_equal(check_folder(f, false), CM_COUNT(records));
		if (r->before != NULL) {
			log_in_and_die(f, &now, point);
			assert_int_equal(check_folder(f, true), CM_COUNT(records));
			assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
			mobile_expect_file(f, "alice.user", ALICE_SH);
			assert_int_equal(check_folder(f, false), CM_COUNT(records));
		}
		assert_int_equal(cm_accounts_forget(f->h.store, "alice", f->t), CM_OK);
		assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
		assert_int_equal(mobile_count_files(f), 0);
	}
}

/* ---- disks */

static void
mount_disk(const struct fixture *f, const char *options, unsigned long flags)
{
	if (mount("none", f->userdb, "tmpfs", flags, options) != 0)
		fail_msg("a disk with %s: %s", options, strerror(errno));
}

/* The login is as good as any, and names the file that is not there; the rest comes when there is room. */
static void
expect_goes_on(struct fixture *f, const struct cm_account *a, const char *why, size_t at_least)
{
	const char *warning;

	assert_int_equal(mobile_log_in(f, a, false, cm_clock_now()), CM_OK);
	warning = cm_trace_find(f->t, "warning");
	if (warning == NULL || strstr(warning, f->userdb) == NULL || strstr(warning, why) == NULL)
		fail_msg("the warning: %s", warning != NULL ? warning : "(none)");
	assert_true(check_folder(f, false) >= at_least);
}

/* Of files and of inodes, so many that one or the other record finds no room. */
static void
full_disks(void **state)
{
	static const char *const sizes[] = {
		"mode=0755,size=4k", "mode=0755,size=8k", "mode=0755,size=12k", "mode=0755,nr_inodes=2", "mode=0755,nr_inodes=3",
		"mode=0755,nr_inodes=4", "mode=0755,nr_inodes=5", "mode=0755,nr_inodes=6", "mode=0755,nr_inodes=7", "mode=0755,nr_inodes=1",
	};
	struct fixture *f = *state;
	const struct cm_account before = alice(false);

	assert_int_equal(mkdir(f->userdb, 0755), 0);
	for (size_t i = 0; i < CM_COUNT(sizes); i++) {
		mount_disk(f, sizes[i], 0);
		expect_goes_on(f, &before, "No space left on device", 0);
		assert_true(check_folder(f, false) < CM_COUNT(records));
		mount_disk(f, "size=1m,nr_inodes=100", MS_REMOUNT);
		assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
		assert_int_equal(check_folder(f, false), CM_COUNT(records));
		mobile_expect_alice(f, true);
		assert_int_equal(umount(f->userdb), 0);
	}
}

/* What was there stays as it was, and becomes what it should be when that can be written. */
static void
a_disk_that_filled_up(void **state)
{
	static const struct { const char *options, *why; unsigned long flags; } ways[] = {
		{ "size=16k,nr_inodes=100", "No space left on device", 0 }, { "size=1m,nr_inodes=8", "No space left on device", 0 },
		{ "size=1m,nr_inodes=100", "Read-only file system", MS_RDONLY },
	};
	struct fixture *f = *state;
	const struct cm_account before = alice(false), now = alice(true);

	assert_int_equal(mkdir(f->userdb, 0755), 0);
	for (size_t i = 0; i < CM_COUNT(ways); i++) {
		mount_disk(f, "mode=0755,size=1m,nr_inodes=100", 0);
		assert_int_equal(mobile_log_in(f, &before, false, cm_clock_now()), CM_OK);
		mobile_expect_warning(f, NULL);
		mount_disk(f, ways[i].options, MS_REMOUNT | ways[i].flags);
		expect_goes_on(f, &now, ways[i].why, CM_COUNT(records));
		mobile_expect_alice(f, true);
		assert_int_equal(mobile_settle(f, cm_clock_now()), CM_ERR_SYSTEM);
		mobile_expect_alice(f, true);
		mount_disk(f, "size=1m,nr_inodes=100", MS_REMOUNT);
		assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
		mobile_expect_file(f, "alice.user", ALICE_SH);
		assert_int_equal(check_folder(f, false), CM_COUNT(records));
		assert_int_equal(umount(f->userdb), 0);
	}
}

/* One that could never be written: nobody is named, and nothing else is lost. */
static void
a_disk_that_is_read_only(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = alice(false);

	assert_int_equal(mkdir(f->userdb, 0755), 0);
	mount_disk(f, "mode=0755", MS_RDONLY);
	expect_goes_on(f, &a, "Read-only file system", 0);
	assert_int_equal(check_folder(f, false), 0);
	mount_disk(f, "size=1m", MS_REMOUNT);
	assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
	assert_int_equal(check_folder(f, false), CM_COUNT(records));
	assert_int_equal(umount(f->userdb), 0);
}

/* ---- a damaged store */

struct image {
	uint8_t *octets;
	size_t len;
};

static const char *const people[] = { "alice", "bob", "carol" };

/* Closed, so that all of it is in one file. */
static struct image
make_store(struct fixture *f)
{
	struct image all = { NULL, 0 };
	sqlite3 *db = NULL;
	struct stat st;
	FILE *in;

	for (size_t i = 0; i < CM_COUNT(people); i++) {
		const struct cm_account a = mobile_account(people[i], 10001 + (uid_t)i);

		assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	}
	cm_accounts_close(&f->h.store);
	assert_int_equal(sqlite3_open(f->store, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(stat(f->store, &st), 0);
	all.len = (size_t)st.st_size;
	assert_non_null(all.octets = malloc(all.len));
	assert_non_null(in = fopen(f->store, "re"));
	assert_int_equal(fread(all.octets, 1, all.len, in), all.len);
	fclose(in);
	return all;
}

static void
write_store(const struct fixture *f, const struct image *all)
{
	char path[80];
	FILE *out;

	snprintf(path, sizeof(path), "%s-wal", f->store);
	(void)!unlink(path);
	snprintf(path, sizeof(path), "%s-shm", f->store);
	(void)!unlink(path);
	assert_non_null(out = fopen(f->store, "we"));
	assert_int_equal(fwrite(all->octets, 1, all->len, out), all->len);
	assert_int_equal(fclose(out), 0);
}

struct outcome {
	size_t right, refused, lost, names_lost;
};

static void
expect_same(const struct cm_account *a, const struct cm_account *b)
{
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_string_equal(a->home, b->home);
	assert_string_equal(a->shell, b->shell);
	assert_string_equal(a->gecos, b->gecos);
	assert_int_equal(a->group_count, b->group_count);
	for (size_t i = 0; i < a->group_count; i++) {
		assert_string_equal(a->groups[i].name, b->groups[i].name);
		assert_int_equal(a->groups[i].gid, b->groups[i].gid);
	}
}

/* What a card opens, and what the mobile account is: the right one, none, or why that cannot be told. */
static void
ask_for(struct fixture *f, const char *name, uid_t uid, struct outcome *o)
{
	const struct cm_account whole = mobile_account(name, uid);
	struct cm_kept_row *row = NULL;
	struct cm_account *mobile = NULL;
	bool declined = false;
	time_t made;
	enum cm_err err;

	cm_trace_clear_reason(f->t);
	if ((err = cm_accounts_find_row(f->h.store, cm_blob_str(name), cm_clock_now(), f->t, &row)) == CM_OK) {
		expect_same(row->account, &whole);
		o->right++;
	} else if (err == CM_ERR_ABSENT) {
		o->lost++;
	} else {
		assert_int_equal(err, CM_ERR_SYSTEM);
		assert_int_equal(cm_trace_reason(f->t), CM_REASON_STORE);
		o->refused++;
	}
	cm_kept_row_free(&row);
	if ((err = cm_mobile_find(f->h.store, name, NULL, &mobile, &declined, &made)) == CM_OK) {
		assert_false(declined);
		expect_same(mobile, &whole);
	} else {
		assert_true(err == CM_ERR_SYSTEM || err == CM_ERR_ABSENT);
	}
	cm_account_free(&mobile);
}

/* Records are what they were, or away; what settling takes for right is right. */
static void
check_records(struct fixture *f, struct outcome *o)
{
	for (size_t i = 0; i < CM_COUNT(people); i++) {
		char name[32], text[1024], want[256];

		snprintf(name, sizeof(name), "%s.user", people[i]);
		snprintf(want, sizeof(want), "{\"gid\":10000,\"homeDirectory\":\"/home/%s\",\"realName\":\"Alice \\\"Q\\\" Exampl\303\251\","
		    "\"shell\":\"/bin/bash\",\"uid\":%zu,\"userName\":\"%s\"}\n", people[i], 10001 + i, people[i]);
		if (read_record(f, name, text, sizeof(text)) > 0)
			assert_string_equal(text, want);
		else
			o->names_lost++;
		snprintf(name, sizeof(name), "%zu.user", 10001 + i);
		snprintf(want, sizeof(want), "%s.user", people[i]);
		if (read_record(f, name, text, sizeof(text)) > 0)
			assert_string_equal(text, want);
	}
}

static void
ask_all(struct fixture *f, const struct image *damaged, struct outcome *o)
{
	const struct cm_accounts_options options = { .path = f->store, .offline_max = 30 * (int64_t)DAY, .first_uid = 1000, .first_gid = 1000 };
	enum cm_err err;

	write_store(f, damaged);
	cm_trace_clear_reason(f->t);
	if ((err = cm_accounts_open(&options, f->t, &f->h.store)) != CM_OK) {
		assert_int_equal(err, CM_ERR_SYSTEM);
		assert_int_equal(cm_trace_reason(f->t), CM_REASON_STORE);
		o->refused++;
		return;
	}
	for (size_t i = 0; i < CM_COUNT(people); i++)
		ask_for(f, people[i], 10001 + (uid_t)i, o);
	cm_trace_clear_reason(f->t);
	err = cm_mobile_settle(&f->h, cm_clock_now(), f->t, NULL, NULL);
	assert_true(err == CM_OK || err == CM_ERR_SYSTEM);
	check_records(f, o);
	cm_accounts_close(&f->h.store);
}

/* The folder as it was, for the next. */
static void
put_back(struct fixture *f, const struct image *good, struct outcome *o)
{
	if (o->names_lost == 0)
		return;
	write_store(f, good);
	mobile_reopen(f);
	assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
	cm_accounts_close(&f->h.store);
}

static void
try_damage(struct fixture *f, const struct image *good, const struct image *damaged, struct outcome *all)
{
	struct outcome o = { 0 };

	ask_all(f, damaged, &o);
	put_back(f, good, &o);
	all->right += o.right;
	all->refused += o.refused;
	all->lost += o.lost;
	all->names_lost += o.names_lost;
}

/* Every 64th octet; every page without content, with another's, and missing with all that follows it. */
static void
every_page_damaged(void **state)
{
	struct fixture *f = *state;
	const struct image good = make_store(f);
	struct image bad = { malloc(good.len), good.len };
	struct outcome o = { 0 };

	assert_non_null(bad.octets);
	memcpy(bad.octets, good.octets, good.len);
	for (size_t i = 0; i < good.len; i += 64) {
		bad.octets[i + (i / PAGE) % 64] ^= 0xff;
		try_damage(f, &good, &bad, &o);
		bad.octets[i + (i / PAGE) % 64] ^= 0xff;
	}
	/* One bit of each octet that says how a page is arranged. */
	for (size_t i = 0; i < good.len; i += i % PAGE < 24 ? 1 : PAGE - 24) {
		bad.octets[i] ^= 1;
		try_damage(f, &good, &bad, &o);
		bad.octets[i] ^= 1;
	}
	for (size_t i = 0; i < good.len; i += PAGE) {
		memset(bad.octets + i, 0, PAGE);
		try_damage(f, &good, &bad, &o);
		memcpy(bad.octets + i, good.octets + (i + PAGE) % good.len, PAGE);
		try_damage(f, &good, &bad, &o);
		memcpy(bad.octets + i, good.octets + i, PAGE);
		bad.len = i;
		try_damage(f, &good, &bad, &o);
		bad.len = good.len;
	}
	print_message("%zu pages: %zu answers right, %zu refused, %zu absent; %zu records gone\n", good.len / PAGE, o.right, o.refused, o.lost,
	    o.names_lost);
	assert_true(o.right > 0 && o.refused > 0);
	assert_int_equal(o.names_lost, 0);
	write_store(f, &good);
	mobile_reopen(f);
	free(bad.octets);
	free(good.octets);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, mobile_set_up, mobile_tear_down)
	const struct CMUnitTest tests[] = {
		T(dies_at_each_step), T(full_disks), T(a_disk_that_filled_up), T(a_disk_that_is_read_only), T(every_page_damaged),
	};

	return cmocka_run_group_tests(tests, enter, NULL);
}
