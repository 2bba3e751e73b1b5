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
#include "cache/standing.h"
#include "mobile_fixture.h"

static void
a_login_makes_records(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = mobile_account("alice", 10001);
	const time_t now = cm_clock_now();

	assert_int_equal(mobile_log_in(f, &a, false, now), CM_OK);
	mobile_expect_warning(f, NULL);
	mobile_expect_alice(f, true);
	mobile_expect_file(f, "staff10000.group", "{\"gid\":10000,\"groupName\":\"staff10000\"}\n");
	mobile_expect_file(f, "10000.group", "staff10000.group");
	mobile_expect_file(f, "laptops.group", "{\"gid\":10003,\"groupName\":\"laptops\"}\n");
	assert_int_equal(mobile_count_files(f), 7);
	assert_int_equal(mobile_settle(f, now), CM_OK);
	assert_int_equal(mobile_count_files(f), 7);
	mobile_expect_alice(f, true);
}

/* The next login says how it is now; who is in no group any more has no record of it, where nobody else has. */
static void
a_login_refreshes_them(void **state)
{
	struct fixture *f = *state;
	struct cm_account a = mobile_account("alice", 10001);
	const struct cm_account b = mobile_account("bob", 10002);
	const time_t now = cm_clock_now();

	assert_int_equal(mobile_log_in(f, &a, false, now), CM_OK);
	a.shell = (char *)(uintptr_t)"/bin/sh";
	a.group_count = 1;
	assert_int_equal(mobile_log_in(f, &a, false, now), CM_OK);
	assert_int_equal(mobile_settle(f, now), CM_OK);
	mobile_expect_file(f, "alice:laptops.membership", NULL);
	mobile_expect_file(f, "laptops.group", NULL);
	mobile_expect_file(f, "alice.user", "{\"gid\":10000,\"homeDirectory\":\"/home/alice\",\"realName\":\"Alice \\\"Q\\\" Exampl\303\251\",\"shell\":\"/bin/sh\",\"uid\":10001,\"userName\":\"alice\"}\n");
	assert_int_equal(mobile_log_in(f, &b, false, now), CM_OK);
	mobile_expect_file(f, "laptops.group", "{\"gid\":10003,\"groupName\":\"laptops\"}\n");
	assert_int_equal(cm_accounts_forget(f->h.store, "bob", f->t), CM_OK);
	assert_int_equal(mobile_settle(f, now), CM_OK);
	mobile_expect_file(f, "bob.user", NULL);
	mobile_expect_file(f, "laptops.group", NULL);
	mobile_expect_file(f, "staff10000.group", "{\"gid\":10000,\"groupName\":\"staff10000\"}\n");
	mobile_expect_file(f, "10001.user", "alice.user");
}

/* A primary group that the directory has no name for. */
static void
a_group_of_ones_own(void **state)
{
	struct fixture *f = *state;
	struct cm_account a = mobile_account("alice", 10001);

	a.group_count = 0;
	a.gid = 10001;
	a.home = (char *)(uintptr_t)"";
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	mobile_expect_file(f, "alice.group", "{\"gid\":10001,\"groupName\":\"alice\"}\n");
	mobile_expect_file(f, "10001.group", "alice.group");
	mobile_expect_file(f, "alice.user", "{\"gid\":10001,\"homeDirectory\":\"/home/alice\",\"realName\":\"Alice \\\"Q\\\" Exampl\303\251\",\"shell\":\"/bin/bash\",\"uid\":10001,\"userName\":\"alice\"}\n");
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
		const struct cm_account a = mobile_account("alice", 10001);

		mobile_set_up(&own);
		f = own;
		f->conf.accounts.mobile = cases[i].mobile;
		f->conf.accounts.mobile_group = (char *)(uintptr_t)cases[i].group;
		assert_int_equal(mobile_log_in(f, &a, cases[i].asked, cm_clock_now()), CM_OK);
		mobile_expect_warning(f, NULL);
		mobile_expect_alice(f, cases[i].made);
		mobile_tear_down(&own);
	}
}

static void
who_was_asked_is_not_asked_again(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = mobile_account("alice", 10001), b = mobile_account("bob", 10002);

	f->conf.accounts.mobile = CM_MOBILE_ASK;
	assert_true(cm_mobile_must_ask(&f->h, &a));
	assert_int_equal(cm_mobile_decline(&f->h, &a, f->t), CM_OK);
	assert_false(cm_mobile_must_ask(&f->h, &a));
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	mobile_expect_alice(f, false);
	assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
	assert_false(cm_mobile_must_ask(&f->h, &a));
	assert_int_equal(cm_accounts_forget(f->h.store, "alice", f->t), CM_OK);
	assert_true(cm_mobile_must_ask(&f->h, &a));
	assert_int_equal(mobile_log_in(f, &b, true, cm_clock_now()), CM_OK);
	assert_false(cm_mobile_must_ask(&f->h, &b));
	assert_int_equal(mobile_log_in(f, &b, false, cm_clock_now()), CM_OK);
	mobile_expect_file(f, "10002.user", "bob.user");
}

/* A policy that became stricter ends what it no longer lets have one. */
static void
policy_that_changed_ends_it(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = mobile_account("alice", 10001);

	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	f->conf.accounts.mobile = CM_MOBILE_OFF;
	assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
	assert_int_equal(mobile_count_files(f), 0);
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
		struct cm_account a = mobile_account("alice", 10001);

		mobile_set_up(&own);
		f = own;
		a.home = (char *)(uintptr_t)cases[i].home;
		assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
		mobile_expect_warning(f, cases[i].made ? NULL : "accounts.home_roots");
		assert_int_equal(mobile_count_files(f) > 0, cases[i].made);
		mobile_tear_down(&own);
	}
}

/* What somebody else put there is neither changed nor taken away, whatever it is called. */
static void
records_of_others_stay(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = mobile_account("alice", 10001);
	char path[128];

	mobile_put_file(f, "alice.user", "{\"userName\":\"alice\",\"uid\":4711}");
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	mobile_expect_warning(f, "alice.user is somebody else's");
	assert_int_equal(mobile_count_files(f), 1);
	mobile_expect_file(f, "alice.user", "{\"userName\":\"alice\",\"uid\":4711}");
	/* The same account, from somebody else: nothing to do, nothing to say. */
	snprintf(path, sizeof(path), "%s/10001.user", f->userdb);
	assert_int_equal(symlink("alice.user", path), 0);
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	mobile_expect_warning(f, NULL);
	assert_int_equal(mobile_count_files(f), 2);
	assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
	assert_int_equal(mobile_count_files(f), 2);
}

static void
a_uid_is_one_accounts(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = mobile_account("alice", 10001), thief = mobile_account("mallory", 10001);

	mobile_put_file(f, "10002.user", "{}");
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	assert_int_equal(mobile_log_in(f, &thief, false, cm_clock_now()), CM_OK);
	mobile_expect_warning(f, "uid 10001 is that of the mobile account alice");
	mobile_expect_alice(f, true);
	mobile_expect_file(f, "mallory.user", NULL);
	const struct cm_account b = mobile_account("bob", 10002);
	assert_int_equal(mobile_log_in(f, &b, false, cm_clock_now()), CM_OK);
	mobile_expect_warning(f, "10002.user is somebody else's");
	mobile_expect_file(f, "10002.user", "{}");
}

/* One group described by another: a member of it, and no second description; two that differ are not mixed. */
static void
groups_of_others(void **state)
{
	struct fixture *f = *state;
	struct cm_account a = mobile_account("alice", 10001);
	char path[128];

	mobile_put_file(f, "laptops.group", "{\"groupName\":\"laptops\",\"gid\":10003,\"description\":\"ours\"}");
	snprintf(path, sizeof(path), "%s/10003.group", f->userdb);
	assert_int_equal(symlink("laptops.group", path), 0);
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	mobile_expect_file(f, "laptops.group", "{\"groupName\":\"laptops\",\"gid\":10003,\"description\":\"ours\"}");
	mobile_expect_file(f, "alice:laptops.membership", "{}\n");
	assert_int_equal(cm_accounts_forget(f->h.store, "alice", f->t), CM_OK);
	assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
	assert_int_equal(mobile_count_files(f), 2);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	assert_non_null(cm_trace_find(f->t, "group dropped"));
	mobile_expect_file(f, "alice:laptops.membership", NULL);
	mobile_expect_file(f, "10001.user", "alice.user");
}

/* A primary group without a name would get the user's own, by which sudo and others give rights. */
static void
own_group_of_this_computer(void **state)
{
	struct fixture *f = *state;
	struct cm_account a = mobile_account("games", 10001), b = mobile_account("docker", 10002), c = mobile_account("carol", 10003);
	char path[80];
	FILE *group;

	a.group_count = b.group_count = c.group_count = 0;
	snprintf(path, sizeof(path), "%s/group", f->folder);
	assert_non_null(group = fopen(path, "we"));
	assert_true(fputs("root:x:0:\ngames:x:60:\n", group) >= 0);
	assert_int_equal(fclose(group), 0);
	f->h.etc = f->folder;
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	mobile_expect_warning(f, "is a group of this computer's");
	assert_int_equal(mobile_log_in(f, &b, false, cm_clock_now()), CM_OK);
	mobile_expect_warning(f, "gives rights on this computer");
	assert_int_equal(mobile_count_files(f), 0);
	assert_int_equal(mobile_log_in(f, &c, false, cm_clock_now()), CM_OK);
	mobile_expect_file(f, "carol.group", "{\"gid\":10000,\"groupName\":\"carol\"}\n");
}

/* accounts.local_groups: whom /etc/group describes gets a member and no record; whom nobody describes both; not listed any more, neither. */
static void
listed_groups(void **state)
{
	struct cm_group both[] = { { .name = "users", .gid = 100 }, { .name = "plugdev", .gid = 46 }, { .name = "lab", .gid = 300 } };
	struct fixture *f = *state;
	struct cm_account a = mobile_account("alice", 10001);
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
	mobile_reopen(f);
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	mobile_expect_file(f, "users.group", NULL);
	mobile_expect_file(f, "alice.group", NULL);
	mobile_expect_file(f, "alice:users.membership", NULL);	/* it is the primary one */
	mobile_expect_file(f, "plugdev.group", NULL);
	mobile_expect_file(f, "alice:plugdev.membership", "{}\n");
	mobile_expect_file(f, "lab.group", "{\"gid\":300,\"groupName\":\"lab\"}\n");
	mobile_expect_file(f, "alice:lab.membership", "{}\n");
	assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
	assert_int_equal(mobile_count_files(f), 6);
	free(f->conf.accounts.local_groups[1]);
	f->conf.accounts.local_groups[1] = NULL;	/* "users" is left */
	assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
	mobile_expect_file(f, "10001.user", "alice.user");
	mobile_expect_file(f, "alice:plugdev.membership", NULL);
	mobile_expect_file(f, "lab.group", NULL);
	free(f->conf.accounts.local_groups[2]);
	f->conf.accounts.local_groups[2] = NULL;
	cm_list_free(&f->conf.accounts.local_groups);
	assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
	assert_int_equal(f->ended[CM_MOBILE_END_POLICY], 1);
	assert_int_equal(mobile_count_files(f), 0);
	mobile_reopen(f);
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_ERR_REFUSED);
}

/* Two groups of one number: the second has no record, and a member of it none. */
static void
member_of_what_is_described(void **state)
{
	static struct cm_group same[] = { { .name = (char *)(uintptr_t)"laptops", .gid = 10003 },
		{ .name = (char *)(uintptr_t)"printers", .gid = 10003 } };
	struct fixture *f = *state;
	struct cm_account a = mobile_account("alice", 10001);

	a.groups = same;
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	mobile_expect_file(f, "alice:laptops.membership", "{}\n");
	mobile_expect_file(f, "printers.group", NULL);
	mobile_expect_file(f, "alice:printers.membership", NULL);
}

/* Of hostile directories: what an account's check lets through is written as JSON and nothing else. */
static void
texts_of_a_directory(void **state)
{
	static const char gecos[] = "x\",\"uid\":0,\"disposition\":\"system\\\t";
	static struct cm_group bad[] = { { .name = (char *)(uintptr_t)"../../etc/passwd", .gid = 10009 } };
	struct fixture *f = *state;
	struct cm_userdb_files files = { .rows = NULL };
	struct cm_account a = mobile_account("alice", 10001);
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
	a = mobile_account("alice", 10001);
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
	const struct cm_account a = mobile_account("alice", 10001);
	const time_t now = cm_clock_now();

	assert_int_equal(mobile_log_in(f, &a, false, now), CM_OK);
	assert_int_equal(mobile_settle(f, now + 29 * DAY), CM_OK);
	mobile_expect_alice(f, true);
	assert_int_equal(mobile_settle(f, now + 365 * DAY), CM_OK);
	assert_int_equal(mobile_count_files(f), 0);
	assert_int_equal(f->ended[CM_MOBILE_END_RESTS], 1);
	assert_int_equal(mobile_settle(f, now + 366 * DAY), CM_OK);
	assert_int_equal(f->ended[CM_MOBILE_END_RESTS], 1);	/* said once */
	assert_int_equal(mobile_settle(f, now), CM_OK);		/* the clock was wrong */
	mobile_expect_alice(f, true);
	assert_int_equal(mobile_settle(f, now - 365 * DAY), CM_OK);
	mobile_expect_alice(f, true);
	assert_int_equal(mobile_settle(f, now + 365 * DAY), CM_OK);
	assert_int_equal(mobile_log_in(f, &a, false, now + 365 * DAY), CM_OK);
	mobile_expect_alice(f, true);
}

static void
expect_seen(struct fixture *f, time_t now, const struct cm_mobile_seen *want)
{
	struct cm_mobile_seen seen;

	cm_mobile_see(f->h.store, "alice", now, &seen);
	assert_int_equal(seen.exists, want->exists);
	assert_int_equal(seen.state, want->state);
	assert_int_equal(seen.made, want->made);
	assert_int_equal(seen.refreshed, want->refreshed);
	assert_int_equal(seen.expires, want->expires);
}

static enum cm_err
see_closed(void *arg, const char *name, const struct cm_standing *st)
{
	struct fixture *f = arg;

	snprintf(f->last, sizeof(f->last), "%s %u %s", name, st->uid, cm_reason_name(st->reason));
	return CM_OK;
}

/* What people are told: made, refreshed, expires, closed. */
static void
it_is_told(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = mobile_account("alice", 10001), b = mobile_account("bob", 10002);
	const time_t now = cm_clock_now(), later = now + 5 * DAY;
	struct cm_mobile_seen bob;

	expect_seen(f, now, &(struct cm_mobile_seen){ .exists = false });
	assert_int_equal(mobile_log_in(f, &a, false, now), CM_OK);
	expect_seen(f, now, &(struct cm_mobile_seen){ true, false, CM_MOBILE_KEPT, now, now, now + 30 * DAY });
	assert_int_equal(mobile_log_in(f, &a, false, later), CM_OK);
	expect_seen(f, later, &(struct cm_mobile_seen){ true, false, CM_MOBILE_KEPT, now, later, later + 30 * DAY });
	expect_seen(f, later + 31 * DAY, &(struct cm_mobile_seen){ true, false, CM_MOBILE_RESTS, now, later, later + 30 * DAY });
	assert_int_equal(cm_mobile_decline(&f->h, &b, f->t), CM_OK);
	cm_mobile_see(f->h.store, "bob", now, &bob);
	assert_true(bob.exists && bob.state == CM_MOBILE_DECLINED && bob.refreshed == 0);
	assert_int_equal(cm_standing_each_closed(f->h.store, f->t, see_closed, f), CM_OK);
	assert_string_equal(f->last, "");
	assert_int_equal(cm_standing_note(f->h.store, &(struct cm_standing_word){ .name = "alice", .uid = 10001,
	    .reason = CM_REASON_ACCOUNT_DISABLED, .text = "disabled", .at = later, .ends = true }, f->t), CM_OK);
	expect_seen(f, later, &(struct cm_mobile_seen){ true, false, CM_MOBILE_GONE, now, 0, 0 });
	assert_int_equal(cm_standing_each_closed(f->h.store, f->t, see_closed, f), CM_OK);
	assert_string_equal(f->last, "alice 10001 account_disabled");
	assert_int_equal(mobile_settle(f, later), CM_OK);
	expect_seen(f, later, &(struct cm_mobile_seen){ .exists = false });
}

static void
expect_opens(struct fixture *f, time_t now, enum cm_reason reason)
{
	struct cm_kept_row *row = NULL;

	assert_int_equal(cm_accounts_find_row(f->h.store, cm_blob_str("alice"), now, f->t, &row), CM_OK);
	assert_int_equal(row->reason, reason);
	assert_int_equal(row->usable, cm_reason_err(reason));
	cm_kept_row_free(&row);
}

/* A clock a year ahead, and one a year behind: nobody is let in by it, each says why, and when it is right again nothing is lost. */
static void
a_clock_that_is_wrong(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = mobile_account("alice", 10001);
	const time_t now = cm_clock_now(), ahead = now + 365 * DAY, behind = now - 365 * DAY;

	f->signed_time = now;
	assert_int_equal(mobile_log_in(f, &a, false, now), CM_OK);
	expect_opens(f, now, CM_REASON_NONE);
	expect_opens(f, ahead, CM_REASON_KEPT_TOO_OLD);
	assert_int_equal(mobile_settle(f, ahead), CM_OK);
	mobile_expect_alice(f, false);
	expect_opens(f, behind, CM_REASON_CLOCK_BEHIND);
	assert_int_equal(mobile_settle(f, behind), CM_OK);
	mobile_expect_alice(f, true);		/* whose files they are is known, how long ago it was is not */
	assert_int_equal(mobile_settle(f, now), CM_OK);
	mobile_expect_alice(f, true);
	expect_opens(f, now, CM_REASON_NONE);
	/* A login with the network while it is ahead; the clock of this boot tells how long ago that was. */
	assert_int_equal(mobile_log_in(f, &a, false, ahead), CM_OK);
	expect_opens(f, ahead, CM_REASON_NONE);
	expect_opens(f, now, CM_REASON_NONE);
	expect_opens(f, behind, CM_REASON_CLOCK_BEHIND);
	assert_int_equal(mobile_settle(f, now), CM_OK);
	mobile_expect_alice(f, true);
	assert_int_equal(mobile_log_in(f, &a, false, now), CM_OK);
	expect_opens(f, now, CM_REASON_NONE);
	mobile_expect_alice(f, true);
}

static void
ends_with_its_account(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = mobile_account("alice", 10001), b = mobile_account("bob", 10002);

	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	assert_int_equal(mobile_log_in(f, &b, false, cm_clock_now()), CM_OK);
	mobile_reopen(f);
	sqlite3 *db;
	assert_int_equal(sqlite3_open(f->store, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "DELETE FROM account WHERE name = 'alice'", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
	mobile_expect_alice(f, false);
	mobile_expect_file(f, "10002.user", "bob.user");
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
		const struct cm_account a = mobile_account("alice", 10001), b = mobile_account("bob", 10002);
		char path[128];
		sqlite3 *db;

		mobile_set_up(&own);
		f = own;
		assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
		assert_int_equal(mobile_log_in(f, &b, false, cm_clock_now()), CM_OK);
		assert_int_equal(sqlite3_open(f->store, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, damages[i], NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(db);
		snprintf(path, sizeof(path), "%s/bob.user", f->userdb);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(mobile_settle(f, cm_clock_now()), CM_ERR_SYSTEM);
		assert_int_equal(cm_trace_reason(f->t), CM_REASON_STORE);
		mobile_expect_alice(f, true);
		mobile_expect_file(f, "10002.user", "bob.user");
		assert_int_equal(access(path, F_OK), 0);
		/* The next login mends what is its own. */
		assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
		mobile_expect_alice(f, true);
		mobile_tear_down(&own);
	}
}

/* Files that were lost, cut off, or are too many are put right; those that somebody changed are theirs from then on. */
static void
settling_mends(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = mobile_account("alice", 10001);
	char path[128];

	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	mobile_put_file(f, "alice.user", "");
	mobile_put_file(f, ".cardmap-77", "half");
	mobile_put_file(f, "laptops.group", "{\"groupName\":\"laptops\",\"gid\":10003,\"x\":1}");
	snprintf(path, sizeof(path), "%s/10001.user", f->userdb);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
	mobile_expect_alice(f, true);
	mobile_expect_file(f, ".cardmap-77", NULL);
	mobile_expect_file(f, "laptops.group", "{\"groupName\":\"laptops\",\"gid\":10003,\"x\":1}");
	assert_int_equal(cm_accounts_forget(f->h.store, "alice", f->t), CM_OK);
	assert_int_equal(mobile_settle(f, cm_clock_now()), CM_OK);
	mobile_expect_file(f, "laptops.group", "{\"groupName\":\"laptops\",\"gid\":10003,\"x\":1}");
	assert_int_equal(mobile_count_files(f), 1);
}

/* A folder that others may write, or that is none, is not used; the login goes on. */
static void
folders_that_are_not_used(void **state)
{
	struct fixture *f = *state;
	const struct cm_account a = mobile_account("alice", 10001);

	assert_int_equal(mkdir(f->userdb, 0777), 0);
	assert_int_equal(chmod(f->userdb, 0777), 0);
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	mobile_expect_warning(f, "others than root may write it");
	assert_int_equal(rmdir(f->userdb), 0);
	assert_int_equal(symlink("/tmp", f->userdb), 0);
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	mobile_expect_warning(f, f->userdb);
	assert_int_equal(unlink(f->userdb), 0);
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	mobile_expect_alice(f, true);
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
	const struct cm_account a = mobile_account("alice", 20001);
	sqlite3 *db = NULL;

	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
	assert_int_equal(sqlite3_open(f->store, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "DROP INDEX account_name; DROP INDEX account_uid; DROP INDEX mobile_uid", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(mobile_log_in(f, &a, false, cm_clock_now()), CM_OK);
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
#define T(name) cmocka_unit_test_setup_teardown(name, mobile_set_up, mobile_tear_down)
	const struct CMUnitTest tests[] = {
		T(a_login_makes_records), T(a_login_refreshes_them), T(a_group_of_ones_own), cmocka_unit_test(policy_says_who),
		T(who_was_asked_is_not_asked_again), T(policy_that_changed_ends_it), cmocka_unit_test(homes_stay_below_their_roots),
		T(records_of_others_stay), T(a_uid_is_one_accounts), T(groups_of_others), T(own_group_of_this_computer), T(listed_groups),
		T(member_of_what_is_described), T(texts_of_a_directory), T(rests_after_its_time), T(it_is_told), T(a_clock_that_is_wrong),
		T(ends_with_its_account), cmocka_unit_test(damage_takes_no_names_away), T(settling_mends),
		T(folders_that_are_not_used), T(many_are_as_fast_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
