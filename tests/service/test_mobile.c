/* tests/service/test_mobile.c - mobile accounts: who gets one, the files that name them, and what becomes of both. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/list.h"
#include "service/mobile.h"

#define DAY	86400

struct fixture {
	char folder[32], store[64], userdb[64];
	struct cm_conf conf;
	struct cm_mobile_host h;
	struct cm_trace *t;
	unsigned ended[3];
	char last[64];
};

static void
reopen(struct fixture *f)
{
	const struct cm_accounts_options o = { .path = f->store, .offline_max = 30 * (int64_t)DAY, .first_uid = 1000, .first_gid = 1000,
		.local_groups = (const char *const *)f->conf.accounts.local_groups };

	cm_accounts_close(&f->h.store);
	assert_int_equal(cm_accounts_open(&o, f->t, &f->h.store), CM_OK);
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char group[80];
	FILE *out;

	assert_non_null(f);
	/* In memory where that can be had: what a disk loses is tested elsewhere. */
	snprintf(f->folder, sizeof(f->folder), "/dev/shm/cm-mobile-XXXXXX");
	if (mkdtemp(f->folder) == NULL) {
		snprintf(f->folder, sizeof(f->folder), "/tmp/cm-mobile-XXXXXX");
		assert_non_null(mkdtemp(f->folder));
	}
	snprintf(f->store, sizeof(f->store), "%s/accounts.db", f->folder);
	snprintf(f->userdb, sizeof(f->userdb), "%s/userdb", f->folder);
	f->conf.accounts.mobile = CM_MOBILE_ALL;
	f->conf.accounts.userdb = f->userdb;
	f->conf.accounts.first_uid = f->conf.accounts.first_gid = 1000;
	assert_int_equal(cm_list_add(&f->conf.accounts.home_roots, cm_blob_str("/home")), CM_OK);
	f->h.conf = &f->conf;
	f->h.etc = f->folder;		/* with no nsswitch.conf: no other source of names */
	snprintf(group, sizeof(group), "%s/group", f->folder);
	assert_non_null(out = fopen(group, "we"));
	assert_true(fputs("root:x:0:\n", out) >= 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(cm_trace_new(&f->t), CM_OK);
	reopen(f);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	char command[80];

	cm_accounts_close(&f->h.store);
	cm_trace_free(&f->t);
	cm_list_free(&f->conf.accounts.home_roots);
	cm_list_free(&f->conf.accounts.local_groups);
	snprintf(command, sizeof(command), "rm -rf %s", f->folder);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static char none[] = "";
static struct cm_group groups[] = { { .name = "staff10000", .gid = 10000 }, { .name = "laptops", .gid = 10003 } };

static struct cm_account
account(const char *name, uid_t uid)
{
	static char homes[4][64];
	char *home = homes[uid % 4];

	if (strcmp(name, "mallory") == 0)
		home = homes[0];
	snprintf(home, sizeof(homes[0]), "/home/%s", name);
	return (struct cm_account){
		.name = (char *)(uintptr_t)name, .principal = none, .dn = none, .home = home, .shell = (char *)(uintptr_t)"/bin/bash",
		.gecos = (char *)(uintptr_t)"Alice \"Q\" Exampl\303\251", .uid = uid, .gid = 10000, .groups = groups, .group_count = 2,
		.rule = none, .attribute = none, .matched = none, .source = none,
	};
}

/* As a login does; what the certificate is does not matter here. */
static enum cm_err
log_in(struct fixture *f, const struct cm_account *a, bool asked, time_t now)
{
	const struct cm_blob der = cm_blob_str(a->name);
	struct cm_remember_apart r = {
		.account = a, .certificate = der, .chain = &der, .chain_count = 1, .now = now, .account_online = true,
	};
	struct cm_mobile_plan *p;
	enum cm_err err;

	cm_trace_free(&f->t);
	assert_int_equal(cm_trace_new(&f->t), CM_OK);
	cm_trace_begin(f->t, "remember");
	p = cm_mobile_begin(&f->h, a, asked, f->t);
	r.mobile = cm_mobile_plan_row(p);
	err = cm_accounts_remember_apart(f->h.store, &r, f->t);
	cm_mobile_end(&p, err, f->t);
	cm_trace_end(f->t, err);
	return err;
}

static void
told(void *arg, const struct cm_account *a, enum cm_mobile_end end)
{
	struct fixture *f = arg;

	f->ended[end]++;
	snprintf(f->last, sizeof(f->last), "%s", a->name);
}

static enum cm_err
settle(struct fixture *f, time_t now)
{
	cm_trace_clear_reason(f->t);
	return cm_mobile_settle(&f->h, now, f->t, told, f);
}

static void
expect_file(const struct fixture *f, const char *name, const char *content)
{
	char path[256], text[512] = "";
	struct stat st;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->userdb, name);
	if (content == NULL) {
		assert_int_equal(access(path, F_OK), -1);
		return;
	}
	if (lstat(path, &st) != 0)
		fail_msg("%s is not there", path);
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, text, sizeof(text) - 1);
	} else {
		assert_int_equal(st.st_mode & 0777, 0644);
		assert_true((fd = open(path, O_RDONLY)) >= 0);
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	assert_true(n >= 0);
	assert_string_equal(text, content);
}

static void
put_file(const struct fixture *f, const char *name, const char *content)
{
	char path[256];
	FILE *out;

	mkdir(f->userdb, 0755);
	snprintf(path, sizeof(path), "%s/%s", f->userdb, name);
	assert_non_null(out = fopen(path, "w"));
	fputs(content, out);
	fclose(out);
}

static unsigned
count_files(const struct fixture *f)
{
	DIR *d = opendir(f->userdb);
	unsigned n = 0;

	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	if (d != NULL)
		closedir(d);
	return n;
}

#define ALICE "{\"gid\":10000,\"homeDirectory\":\"/home/alice\",\"realName\":\"Alice \\\"Q\\\" Exampl\303\251\",\"shell\":\"/bin/bash\",\"uid\":10001,\"userName\":\"alice\"}\n"

static void
expect_alice(const struct fixture *f, bool there)
{
	expect_file(f, "alice.user", there ? ALICE : NULL);
	expect_file(f, "10001.user", there ? "alice.user" : NULL);
	expect_file(f, "alice:laptops.membership", there ? "{}\n" : NULL);
	expect_file(f, "alice:staff10000.membership", NULL);
}

static void
expect_warning(const struct fixture *f, const char *text)
{
	const char *warning = cm_trace_find(f->t, "warning");

	if (text == NULL && warning != NULL)
		fail_msg("a warning: %s", warning);
	if (text != NULL && (warning == NULL || strstr(warning, text) == NULL))
		fail_msg("\"%s\" is not in: %s", text, warning != NULL ? warning : "(no warning)");
}

static void
a_login_makes_records(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = account("alice", 10001);
	const time_t now = cm_clock_now();

	assert_int_equal(log_in(f, &a, false, now), CM_OK);
	expect_warning(f, NULL);
	expect_alice(f, true);
	expect_file(f, "staff10000.group", "{\"gid\":10000,\"groupName\":\"staff10000\"}\n");
	expect_file(f, "10000.group", "staff10000.group");
	expect_file(f, "laptops.group", "{\"gid\":10003,\"groupName\":\"laptops\"}\n");
	assert_int_equal(count_files(f), 7);
	assert_int_equal(settle(f, now), CM_OK);
	assert_int_equal(count_files(f), 7);
	expect_alice(f, true);
}

/* The next login says how it is now; who is in no group any more has no record of it, where nobody else has. */
static void
a_login_refreshes_them(void **state)
{
	struct fixture *f = *state;
	struct cm_account a = account("alice", 10001);
	const struct cm_account b = account("bob", 10002);
	const time_t now = cm_clock_now();

	assert_int_equal(log_in(f, &a, false, now), CM_OK);
	a.shell = (char *)(uintptr_t)"/bin/sh";
	a.group_count = 1;
	assert_int_equal(log_in(f, &a, false, now), CM_OK);
	assert_int_equal(settle(f, now), CM_OK);
	expect_file(f, "alice:laptops.membership", NULL);
	expect_file(f, "laptops.group", NULL);
	expect_file(f, "alice.user", "{\"gid\":10000,\"homeDirectory\":\"/home/alice\",\"realName\":\"Alice \\\"Q\\\" Exampl\303\251\",\"shell\":\"/bin/sh\",\"uid\":10001,\"userName\":\"alice\"}\n");
	assert_int_equal(log_in(f, &b, false, now), CM_OK);
	expect_file(f, "laptops.group", "{\"gid\":10003,\"groupName\":\"laptops\"}\n");
	assert_int_equal(cm_accounts_forget(f->h.store, "bob", f->t), CM_OK);
	assert_int_equal(settle(f, now), CM_OK);
	expect_file(f, "bob.user", NULL);
	expect_file(f, "laptops.group", NULL);
	expect_file(f, "staff10000.group", "{\"gid\":10000,\"groupName\":\"staff10000\"}\n");
	expect_file(f, "10001.user", "alice.user");
}

/* A primary group that the directory has no name for. */
static void
a_group_of_ones_own(void **state)
{
	struct fixture *f = *state;
	struct cm_account a = account("alice", 10001);

	a.group_count = 0;
	a.gid = 10001;
	a.home = none;
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	expect_file(f, "alice.group", "{\"gid\":10001,\"groupName\":\"alice\"}\n");
	expect_file(f, "10001.group", "alice.group");
	expect_file(f, "alice.user", "{\"gid\":10001,\"homeDirectory\":\"/home/alice\",\"realName\":\"Alice \\\"Q\\\" Exampl\303\251\",\"shell\":\"/bin/bash\",\"uid\":10001,\"userName\":\"alice\"}\n");
}

static void
policy_says_who(void **unused)
{
	static const struct {
		enum cm_conf_mobile mobile;
		const char *group;
		bool asked, made;
	} cases[] = {
		{ CM_MOBILE_OFF, NULL, false, false }, { CM_MOBILE_OFF, NULL, true, false }, { CM_MOBILE_ALL, NULL, false, true },
		{ CM_MOBILE_GROUP, "laptops", false, true }, { CM_MOBILE_GROUP, "desktops", false, false }, { CM_MOBILE_GROUP, NULL, false, false },
		{ CM_MOBILE_ASK, NULL, false, false }, { CM_MOBILE_ASK, NULL, true, true },
	};

	(void)unused;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		void *own = NULL;
		struct fixture *f;
		const struct cm_account a = account("alice", 10001);

		set_up(&own);
		f = own;
		f->conf.accounts.mobile = cases[i].mobile;
		f->conf.accounts.mobile_group = (char *)(uintptr_t)cases[i].group;
		assert_int_equal(log_in(f, &a, cases[i].asked, cm_clock_now()), CM_OK);
		expect_warning(f, NULL);
		expect_alice(f, cases[i].made);
		tear_down(&own);
	}
}

static void
who_was_asked_is_not_asked_again(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = account("alice", 10001), b = account("bob", 10002);

	f->conf.accounts.mobile = CM_MOBILE_ASK;
	assert_true(cm_mobile_must_ask(&f->h, &a));
	assert_int_equal(cm_mobile_decline(&f->h, &a, f->t), CM_OK);
	assert_false(cm_mobile_must_ask(&f->h, &a));
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	expect_alice(f, false);
	assert_int_equal(settle(f, cm_clock_now()), CM_OK);
	assert_false(cm_mobile_must_ask(&f->h, &a));
	assert_int_equal(cm_accounts_forget(f->h.store, "alice", f->t), CM_OK);
	assert_true(cm_mobile_must_ask(&f->h, &a));
	assert_int_equal(log_in(f, &b, true, cm_clock_now()), CM_OK);
	assert_false(cm_mobile_must_ask(&f->h, &b));
	assert_int_equal(log_in(f, &b, false, cm_clock_now()), CM_OK);
	expect_file(f, "10002.user", "bob.user");
}

/* A policy that became stricter ends what it no longer lets have one. */
static void
policy_that_changed_ends_it(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = account("alice", 10001);

	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	f->conf.accounts.mobile = CM_MOBILE_OFF;
	assert_int_equal(settle(f, cm_clock_now()), CM_OK);
	assert_int_equal(count_files(f), 0);
	assert_int_equal(f->ended[CM_MOBILE_END_POLICY], 1);
	assert_string_equal(f->last, "alice");
}

static void
homes_stay_below_their_roots(void **unused)
{
	static const struct {
		const char *home;
		bool made;
	} cases[] = {
		{ "/home/alice", true }, { "/etc", false }, { "/home", false }, { "/home/", false }, { "/homes/alice", false },
		{ "/home//alice", false }, { "/home/./x", false }, { "/", false }, { "/srv/alice", false },
	};

	(void)unused;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		void *own = NULL;
		struct fixture *f;
		struct cm_account a = account("alice", 10001);

		set_up(&own);
		f = own;
		a.home = (char *)(uintptr_t)cases[i].home;
		assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
		expect_warning(f, cases[i].made ? NULL : "accounts.home_roots");
		assert_int_equal(count_files(f) > 0, cases[i].made);
		tear_down(&own);
	}
}

/* What somebody else put there is neither changed nor taken away, whatever it is called. */
static void
records_of_others_stay(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = account("alice", 10001);
	char path[128];

	put_file(f, "alice.user", "{\"userName\":\"alice\",\"uid\":4711}");
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	expect_warning(f, "alice.user is somebody else's");
	assert_int_equal(count_files(f), 1);
	expect_file(f, "alice.user", "{\"userName\":\"alice\",\"uid\":4711}");
	/* The same account, from somebody else: nothing to do, nothing to say. */
	snprintf(path, sizeof(path), "%s/10001.user", f->userdb);
	assert_int_equal(symlink("alice.user", path), 0);
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	expect_warning(f, NULL);
	assert_int_equal(count_files(f), 2);
	assert_int_equal(settle(f, cm_clock_now()), CM_OK);
	assert_int_equal(count_files(f), 2);
}

static void
a_uid_is_one_accounts(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = account("alice", 10001), thief = account("mallory", 10001);

	put_file(f, "10002.user", "{}");
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	assert_int_equal(log_in(f, &thief, false, cm_clock_now()), CM_OK);
	expect_warning(f, "uid 10001 is that of the mobile account alice");
	expect_alice(f, true);
	expect_file(f, "mallory.user", NULL);
	const struct cm_account b = account("bob", 10002);
	assert_int_equal(log_in(f, &b, false, cm_clock_now()), CM_OK);
	expect_warning(f, "10002.user is somebody else's");
	expect_file(f, "10002.user", "{}");
}

/* One group described by another: a member of it, and no second description; two that differ are not mixed. */
static void
groups_of_others(void **state)
{
	struct fixture *f = *state;
	struct cm_account a = account("alice", 10001);
	char path[128];

	put_file(f, "laptops.group", "{\"groupName\":\"laptops\",\"gid\":10003,\"description\":\"ours\"}");
	snprintf(path, sizeof(path), "%s/10003.group", f->userdb);
	assert_int_equal(symlink("laptops.group", path), 0);
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	expect_file(f, "laptops.group", "{\"groupName\":\"laptops\",\"gid\":10003,\"description\":\"ours\"}");
	expect_file(f, "alice:laptops.membership", "{}\n");
	assert_int_equal(cm_accounts_forget(f->h.store, "alice", f->t), CM_OK);
	assert_int_equal(settle(f, cm_clock_now()), CM_OK);
	assert_int_equal(count_files(f), 2);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	assert_non_null(cm_trace_find(f->t, "group dropped"));
	expect_file(f, "alice:laptops.membership", NULL);
	expect_file(f, "10001.user", "alice.user");
}

/* A primary group without a name would get the user's own, by which sudo and others give rights. */
static void
own_group_of_this_computer(void **state)
{
	struct fixture *f = *state;
	struct cm_account a = account("games", 10001), b = account("docker", 10002), c = account("carol", 10003);
	char path[80];
	FILE *group;

	a.group_count = b.group_count = c.group_count = 0;
	snprintf(path, sizeof(path), "%s/group", f->folder);
	assert_non_null(group = fopen(path, "we"));
	assert_true(fputs("root:x:0:\ngames:x:60:\n", group) >= 0);
	assert_int_equal(fclose(group), 0);
	f->h.etc = f->folder;
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	expect_warning(f, "is a group of this computer's");
	assert_int_equal(log_in(f, &b, false, cm_clock_now()), CM_OK);
	expect_warning(f, "gives rights on this computer");
	assert_int_equal(count_files(f), 0);
	assert_int_equal(log_in(f, &c, false, cm_clock_now()), CM_OK);
	expect_file(f, "carol.group", "{\"gid\":10000,\"groupName\":\"carol\"}\n");
}

/* accounts.local_groups: whom /etc/group describes gets a member and no record; whom nobody describes both; not listed any more, neither. */
static void
listed_groups(void **state)
{
	struct cm_group both[] = { { .name = "users", .gid = 100 }, { .name = "plugdev", .gid = 46 }, { .name = "lab", .gid = 300 } };
	struct fixture *f = *state;
	struct cm_account a = account("alice", 10001);
	char path[80];
	FILE *group;

	a.gid = 100;
	a.groups = both;
	a.group_count = CM_COUNT(both);
	snprintf(path, sizeof(path), "%s/group", f->folder);
	assert_non_null(group = fopen(path, "we"));
	assert_true(fputs("root:x:0:\nusers:x:100:\nplugdev:x:46:\n", group) >= 0);
	assert_int_equal(fclose(group), 0);
	f->h.etc = f->folder;
	for (size_t i = 0; i < CM_COUNT(both); i++)
		assert_int_equal(cm_list_add(&f->conf.accounts.local_groups, cm_blob_str(both[i].name)), CM_OK);
	reopen(f);
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	expect_file(f, "users.group", NULL);
	expect_file(f, "alice.group", NULL);
	expect_file(f, "alice:users.membership", NULL);	/* it is the primary one */
	expect_file(f, "plugdev.group", NULL);
	expect_file(f, "alice:plugdev.membership", "{}\n");
	expect_file(f, "lab.group", "{\"gid\":300,\"groupName\":\"lab\"}\n");
	expect_file(f, "alice:lab.membership", "{}\n");
	assert_int_equal(settle(f, cm_clock_now()), CM_OK);
	assert_int_equal(count_files(f), 6);
	free(f->conf.accounts.local_groups[1]);
	f->conf.accounts.local_groups[1] = NULL;	/* "users" is left */
	assert_int_equal(settle(f, cm_clock_now()), CM_OK);
	expect_file(f, "10001.user", "alice.user");
	expect_file(f, "alice:plugdev.membership", NULL);
	expect_file(f, "lab.group", NULL);
	free(f->conf.accounts.local_groups[2]);
	f->conf.accounts.local_groups[2] = NULL;
	cm_list_free(&f->conf.accounts.local_groups);
	assert_int_equal(settle(f, cm_clock_now()), CM_OK);
	assert_int_equal(f->ended[CM_MOBILE_END_POLICY], 1);
	assert_int_equal(count_files(f), 0);
	reopen(f);
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_ERR_REFUSED);
}

/* Two groups of one number: the second has no record, and a member of it none. */
static void
member_of_what_is_described(void **state)
{
	static struct cm_group same[] = { { .name = (char *)(uintptr_t)"laptops", .gid = 10003 },
		{ .name = (char *)(uintptr_t)"printers", .gid = 10003 } };
	struct fixture *f = *state;
	struct cm_account a = account("alice", 10001);

	a.groups = same;
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	expect_file(f, "alice:laptops.membership", "{}\n");
	expect_file(f, "printers.group", NULL);
	expect_file(f, "alice:printers.membership", NULL);
}

/* Of hostile directories: what an account's check lets through is written as JSON and nothing else. */
static void
texts_of_a_directory(void **state)
{
	static const char gecos[] = "x\",\"uid\":0,\"disposition\":\"system\\\t";
	static struct cm_group bad[] = { { .name = (char *)(uintptr_t)"../../etc/passwd", .gid = 10009 } };
	struct fixture *f = *state;
	struct cm_userdb_files files = { .rows = NULL };
	struct cm_account a = account("alice", 10001);
	static const char *const names[] = { "../alice", "a/b", ".", "", ".hidden", "a:b", "a\nb", "\377" };

	a.gecos = (char *)(uintptr_t)gecos;
	assert_int_equal(cm_userdb_describe(&a, f->t, &files), CM_ERR_REFUSED);
	a.gecos = (char *)(uintptr_t)"x\",\"uid\",0,\"disposition\",\"system\\";
	assert_int_equal(cm_userdb_describe(&a, f->t, &files), CM_OK);
	assert_string_equal(files.rows[0].content, "{\"gid\":10000,\"homeDirectory\":\"/home/alice\",\"realName\":\"x\\\",\\\"uid\\\",0,"
	    "\\\"disposition\\\",\\\"system\\\\\",\"shell\":\"/bin/bash\",\"uid\":10001,\"userName\":\"alice\"}\n");
	cm_userdb_files_free(&files);
	for (size_t i = 0; i < CM_COUNT(names); i++) {
		a.name = (char *)(uintptr_t)names[i];
		assert_int_equal(cm_userdb_describe(&a, f->t, &files), CM_ERR_REFUSED);
		cm_userdb_files_free(&files);
	}
	a = account("alice", 10001);
	a.groups = bad;
	a.group_count = 1;
	assert_int_equal(cm_userdb_describe(&a, f->t, &files), CM_ERR_REFUSED);
	cm_userdb_files_free(&files);
}

/* Too long offline: its names rest, and come back with the clock, or with a login. */
static void
rests_after_its_time(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = account("alice", 10001);
	const time_t now = cm_clock_now();

	assert_int_equal(log_in(f, &a, false, now), CM_OK);
	assert_int_equal(settle(f, now + 29 * DAY), CM_OK);
	expect_alice(f, true);
	assert_int_equal(settle(f, now + 365 * DAY), CM_OK);
	assert_int_equal(count_files(f), 0);
	assert_int_equal(f->ended[CM_MOBILE_END_RESTS], 1);
	assert_int_equal(settle(f, now + 366 * DAY), CM_OK);
	assert_int_equal(f->ended[CM_MOBILE_END_RESTS], 1);	/* said once */
	assert_int_equal(settle(f, now), CM_OK);		/* the clock was wrong */
	expect_alice(f, true);
	assert_int_equal(settle(f, now - 365 * DAY), CM_OK);
	expect_alice(f, true);
	assert_int_equal(settle(f, now + 365 * DAY), CM_OK);
	assert_int_equal(log_in(f, &a, false, now + 365 * DAY), CM_OK);
	expect_alice(f, true);
}

static void
ends_with_its_account(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = account("alice", 10001), b = account("bob", 10002);

	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	assert_int_equal(log_in(f, &b, false, cm_clock_now()), CM_OK);
	reopen(f);
	sqlite3 *db;
	assert_int_equal(sqlite3_open(f->store, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "DELETE FROM account WHERE name = 'alice'", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(settle(f, cm_clock_now()), CM_OK);
	expect_alice(f, false);
	expect_file(f, "10002.user", "bob.user");
	assert_int_equal(f->ended[CM_MOBILE_END_GONE], 1);
	assert_string_equal(f->last, "alice");
}

/* Of a damaged row nobody knows whose it is: nothing goes, and it is said; what is missing still comes. */
static void
damage_takes_no_names_away(void **unused)
{
	static const char *const damages[] = {
		"UPDATE account SET uid = 4242 WHERE name = 'alice'", "UPDATE mobile SET uid = 4242 WHERE name = 'alice'",
		"UPDATE userdb SET now = zeroblob(32) WHERE name = 'alice.user'",
	};

	(void)unused;
	for (size_t i = 0; i < CM_COUNT(damages); i++) {
		void *own = NULL;
		struct fixture *f;
		const struct cm_account a = account("alice", 10001), b = account("bob", 10002);
		char path[128];
		sqlite3 *db;

		set_up(&own);
		f = own;
		assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
		assert_int_equal(log_in(f, &b, false, cm_clock_now()), CM_OK);
		assert_int_equal(sqlite3_open(f->store, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, damages[i], NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(db);
		snprintf(path, sizeof(path), "%s/bob.user", f->userdb);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(settle(f, cm_clock_now()), CM_ERR_SYSTEM);
		assert_int_equal(cm_trace_reason(f->t), CM_REASON_STORE);
		expect_alice(f, true);
		expect_file(f, "10002.user", "bob.user");
		assert_int_equal(access(path, F_OK), 0);
		/* The next login mends what is its own. */
		assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
		expect_alice(f, true);
		tear_down(&own);
	}
}

/* Files that were lost, cut off, or are too many are put right; those that somebody changed are theirs from then on. */
static void
settling_mends(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = account("alice", 10001);
	char path[128];

	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	put_file(f, "alice.user", "");
	put_file(f, ".cardmap-77", "half");
	put_file(f, "laptops.group", "{\"groupName\":\"laptops\",\"gid\":10003,\"x\":1}");
	snprintf(path, sizeof(path), "%s/10001.user", f->userdb);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(settle(f, cm_clock_now()), CM_OK);
	expect_alice(f, true);
	expect_file(f, ".cardmap-77", NULL);
	expect_file(f, "laptops.group", "{\"groupName\":\"laptops\",\"gid\":10003,\"x\":1}");
	assert_int_equal(cm_accounts_forget(f->h.store, "alice", f->t), CM_OK);
	assert_int_equal(settle(f, cm_clock_now()), CM_OK);
	expect_file(f, "laptops.group", "{\"groupName\":\"laptops\",\"gid\":10003,\"x\":1}");
	assert_int_equal(count_files(f), 1);
}

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
		reopen(f);
		(void)!log_in(f, a, false, cm_clock_now());
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	reopen(f);
}

/* Of a first login, and of one that finds another shell: whoever is there by number is there by name, and settling makes it whole. */
static void
dies_at_each_file(void **state)
{
	static const char *const names[] = {
		"alice.user", "10001.user", "staff10000.group", "10000.group", "laptops.group", "10003.group", "alice:laptops.membership",
	};
	struct fixture *f = *state;
	struct cm_account a = account("alice", 10001);

	for (size_t i = 0; i < CM_COUNT(names); i++) {
		char path[128];

		log_in_and_die(f, &a, names[i]);
		snprintf(path, sizeof(path), "%s/10001.user", f->userdb);
		if (access(path, F_OK) != 0)	/* (follows the link) */
			expect_file(f, "10001.user", NULL);
		assert_int_equal(settle(f, cm_clock_now()), CM_OK);
		expect_alice(f, true);
		assert_int_equal(count_files(f), 7);
		a.shell = (char *)(uintptr_t)"/bin/sh";
		log_in_and_die(f, &a, "alice.user");
		expect_alice(f, true);
		assert_int_equal(settle(f, cm_clock_now()), CM_OK);
		expect_file(f, "alice.user", "{\"gid\":10000,\"homeDirectory\":\"/home/alice\",\"realName\":\"Alice \\\"Q\\\" Exampl\303\251\",\"shell\":\"/bin/sh\",\"uid\":10001,\"userName\":\"alice\"}\n");
		a.shell = (char *)(uintptr_t)"/bin/bash";
		assert_int_equal(cm_accounts_forget(f->h.store, "alice", f->t), CM_OK);
		assert_int_equal(settle(f, cm_clock_now()), CM_OK);
		assert_int_equal(count_files(f), 0);
	}
}

/* A folder that others may write, or that is none, is not used; the login goes on. */
static void
folders_that_are_not_used(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = account("alice", 10001);

	assert_int_equal(mkdir(f->userdb, 0777), 0);
	assert_int_equal(chmod(f->userdb, 0777), 0);
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	expect_warning(f, "others than root may write it");
	assert_int_equal(rmdir(f->userdb), 0);
	assert_int_equal(symlink("/tmp", f->userdb), 0);
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	expect_warning(f, f->userdb);
	assert_int_equal(unlink(f->userdb), 0);
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	expect_alice(f, true);
}

/* Of many accounts none but the one asked about is read: what a login asks goes by an index, in a store of before too. */
static void
many_are_as_fast_as_one(void **state)
{
	static const char *const asked[] = {
		"SELECT * FROM account WHERE name = 'alice' ORDER BY last_online", "SELECT name FROM account WHERE uid = 20001 AND name <> 'alice' LIMIT 1",
		"SELECT * FROM account WHERE cert_sha256 = x'00'", "SELECT * FROM mobile WHERE name = 'alice'",
		"SELECT name FROM mobile WHERE uid = 20001 AND name <> 'alice' AND declined = 0",
	};
	struct fixture *f = *state;
	const struct cm_account a = account("alice", 20001);
	sqlite3 *db = NULL;

	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	assert_int_equal(sqlite3_open(f->store, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "DROP INDEX account_name; DROP INDEX account_uid; DROP INDEX mobile_uid", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(log_in(f, &a, false, cm_clock_now()), CM_OK);
	/* Anew: EXPLAIN does not look whether the tables have changed. */
	assert_int_equal(sqlite3_open(f->store, &db), SQLITE_OK);
	for (size_t i = 0; i < CM_COUNT(asked); i++) {
		struct cm_buf sql = { 0 };
		sqlite3_stmt *q = NULL;

		cm_buf_addf(&sql, "EXPLAIN QUERY PLAN %s", asked[i]);
		assert_int_equal(sqlite3_prepare_v2(db, cm_buf_str(&sql), -1, &q, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_step(q), SQLITE_ROW);
		if (strstr((const char *)sqlite3_column_text(q, 3), "SEARCH") == NULL)
			fail_msg("%s: %s", asked[i], (const char *)sqlite3_column_text(q, 3));
		sqlite3_finalize(q);
		cm_buf_free(&sql);
	}
	sqlite3_close(db);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_login_makes_records), T(a_login_refreshes_them), T(a_group_of_ones_own), cmocka_unit_test(policy_says_who),
		T(who_was_asked_is_not_asked_again), T(policy_that_changed_ends_it), cmocka_unit_test(homes_stay_below_their_roots),
		T(records_of_others_stay), T(a_uid_is_one_accounts), T(groups_of_others), T(own_group_of_this_computer), T(listed_groups),
		T(member_of_what_is_described), T(texts_of_a_directory), T(rests_after_its_time),
		T(ends_with_its_account), cmocka_unit_test(damage_takes_no_names_away), T(settling_mends), T(dies_at_each_file),
		T(folders_that_are_not_used), T(many_are_as_fast_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
