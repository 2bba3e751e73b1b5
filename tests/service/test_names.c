/* tests/service/test_names.c - what other sources of nsswitch.conf say: libnss-extrausers, which is a real one with no daemon. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "service/mobile.h"

#define EXTRA	"/var/lib/extrausers"

struct fixture {
	char etc[32];
	_Atomic int64_t silent_until;
	struct cm_names_how how;
	struct cm_trace *t;
	struct cm_names_answer answers[CM_NAMES_QUESTIONS_MAX];
};

static void
write_file(const char *folder, const char *name, const char *text)
{
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	(void)!unlink(path);
	assert_non_null(out = fopen(path, "w"));
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

/* In a mount namespace of its own, where the source's folder is ours. */
static int
enter(void **state)
{
	(void)state;
	if (geteuid() != 0)
		assert_int_equal(unshare(CLONE_NEWUSER | CLONE_NEWNS), 0);
	else
		assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	if (access(EXTRA, F_OK) != 0)
		fail_msg(EXTRA " is not there: install libnss-extrausers (scripts/packages)");
	assert_int_equal(mount("none", EXTRA, "tmpfs", 0, "mode=0755"), 0);
	return 0;
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->etc, sizeof(f->etc), "/tmp/cm-names-XXXXXX");
	assert_non_null(mkdtemp(f->etc));
	write_file(f->etc, "nsswitch.conf", "passwd: files extrausers systemd\ngroup: files [SUCCESS=merge] extrausers [NOTFOUND=return] systemd\n");
	write_file(EXTRA, "passwd", "bob:x:10002:10000:Bob:/home/bob:/bin/sh\ncarol:x:10003:10000:Carol:/home/carol:/bin/sh\n");
	write_file(EXTRA, "group", "staff:x:10000:bob\nlab:x:10500:bob,carol\n");
	f->how = (struct cm_names_how){ .program = CM_NAMES_PROGRAM, .etc = f->etc, .uid = (uid_t)-1, .silent_until = &f->silent_until };
	assert_int_equal(cm_trace_new(&f->t), CM_OK);
	cm_trace_begin(f->t, "names");
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	char path[64];

	snprintf(path, sizeof(path), "%s/nsswitch.conf", f->etc);
	unlink(path);
	rmdir(f->etc);
	cm_trace_free(&f->t);
	free(f);
	return 0;
}

static struct cm_names_question
question(bool group, const char *name, uint32_t id)
{
	struct cm_names_question q = { .group = group, .id = id };

	snprintf(q.name, sizeof(q.name), "%s", name);
	return q;
}

/* ---- */

static void
sources_are_read(void **state)
{
	static const struct { const char *text, *passwd, *group; } rows[] = {
		{ "", "", "" }, { "passwd: files\ngroup: files systemd\n", "", "" },
		{ "passwd: files systemd sss\ngroup: files [SUCCESS=merge] systemd sss\n", "sss ", "sss " },
		{ "passwd:sss", "sss ", "" }, { "  passwd\t:\tldap\twinbind \n", "ldap winbind ", "" },
		{ "passwd: files [!SUCCESS=return NOTFOUND = continue]sss[UNAVAIL=return]ldap\n", "sss ldap ", "" },
		{ "#passwd: ldap\npasswd: sss # ldap\n", "sss ", "" }, { "passwd: [sss", "", "" }, { "passwd: sss]", "", "" },
		{ "shadow: sss\ngroups: sss\npasswd_compat: nis\ngroup: nis\r\n", "", "nis " },
		{ "passwd: ../evil /tmp/x a/b sss. sss\n", "sss ", "" }, { "passwd files\n", "", "" }, { "passwd:", "", "" },
		{ "passwd: a1 a2 a3 a4 a5 a6 a7 a8 a9\n", "a1 a2 a3 a4 a5 a6 a7 a8 ", "" },
		{ "passwd: sssssssssssssssssssssssssssssssss ok\n", "ok ", "" }, { "passwd: sss\npasswd: ldap\n", "sss ", "" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_buf passwd = { 0 }, group = { 0 };

		cm_names_sources(cm_blob_str(rows[i].text), "passwd", &passwd);
		cm_names_sources(cm_blob_str(rows[i].text), "group", &group);
		assert_string_equal(cm_buf_str(&passwd), rows[i].passwd);
		assert_string_equal(cm_buf_str(&group), rows[i].group);
		cm_buf_free(&passwd);
		cm_buf_free(&group);
	}
}

/* Each way in which a name and an id can meet another source's. */
static void
names_and_ids_meet(void **state)
{
	const struct { struct cm_names_question q; enum cm_names_state state; const char *name; uint32_t id; } rows[] = {
		{ question(false, "alice", 10001), CM_NAMES_FREE, "", 0 }, { question(false, "bob", 10002), CM_NAMES_FREE, "", 0 },
		{ question(false, "bob", 10001), CM_NAMES_TAKEN, "bob", 10002 }, { question(false, "alice", 10002), CM_NAMES_TAKEN, "bob", 10002 },
		{ question(false, "bob", 10003), CM_NAMES_TAKEN, "bob", 10002 }, { question(false, "staff", 10000), CM_NAMES_FREE, "", 0 },
		{ question(true, "staff", 10000), CM_NAMES_FREE, "", 0 }, { question(true, "staff", 10001), CM_NAMES_TAKEN, "staff", 10000 },
		{ question(true, "team", 10000), CM_NAMES_TAKEN, "staff", 10000 }, { question(true, "bob", 10002), CM_NAMES_FREE, "", 0 },
		{ question(true, "lab", 10500), CM_NAMES_FREE, "", 0 }, { question(true, "", 4294967295U), CM_NAMES_FREE, "", 0 },
	};
	struct fixture *f = *state;
	struct cm_names_question q[CM_COUNT(rows)];

	for (size_t i = 0; i < CM_COUNT(rows); i++)
		q[i] = rows[i].q;
	assert_int_equal(cm_names_ask(&f->how, q, CM_COUNT(q), f->t, f->answers), CM_OK);
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		if (f->answers[i].state != rows[i].state || strcmp(f->answers[i].name, rows[i].name) != 0 || f->answers[i].id != rows[i].id)
			fail_msg("%s %u: state %u, %s %u", q[i].name, q[i].id, f->answers[i].state, f->answers[i].name, f->answers[i].id);
		if (rows[i].state == CM_NAMES_TAKEN)
			assert_string_equal(f->answers[i].source, "extrausers");
	}
}

/* As many as there may be, and a group with more members than fit at first. */
static void
many(void **state)
{
	struct fixture *f = *state;
	struct cm_names_question *q = calloc(CM_NAMES_QUESTIONS_MAX + 1, sizeof(*q));
	struct cm_buf members = { 0 };

	assert_non_null(q);
	cm_buf_add_str(&members, "lab:x:10500:");
	for (size_t i = 0; i < 4000; i++)
		cm_buf_addf(&members, "%smember%zu", i > 0 ? "," : "", i);
	cm_buf_add_str(&members, "\n");
	write_file(EXTRA, "group", cm_buf_str(&members));
	for (size_t i = 0; i < CM_NAMES_QUESTIONS_MAX; i++)
		q[i] = question(true, i == 1 ? "other" : "lab", 10500);
	assert_int_equal(cm_names_ask(&f->how, q, 16, f->t, f->answers), CM_OK);
	assert_int_equal(f->answers[0].state, CM_NAMES_FREE);
	assert_int_equal(f->answers[1].state, CM_NAMES_TAKEN);
	assert_int_equal(f->answers[15].state, CM_NAMES_FREE);
	write_file(EXTRA, "group", "lab:x:10500:\n");
	assert_int_equal(cm_names_ask(&f->how, q, CM_NAMES_QUESTIONS_MAX, f->t, f->answers), CM_OK);
	assert_int_equal(f->answers[CM_NAMES_QUESTIONS_MAX - 1].state, CM_NAMES_FREE);
	assert_int_equal(cm_names_ask(&f->how, q, CM_NAMES_QUESTIONS_MAX + 1, f->t, f->answers), CM_ERR_STATE);
	cm_buf_free(&members);
	free(q);
}

/* No other source, or one that no module is there for, has no names; a file that others may write says nothing about them. */
static void
nobody_to_ask(void **state)
{
	struct fixture *f = *state;
	const struct cm_names_question q = question(false, "bob", 10001);
	char path[64];

	write_file(f->etc, "nsswitch.conf", "passwd: files systemd\ngroup: files systemd\n");
	assert_int_equal(cm_names_ask(&f->how, &q, 1, f->t, f->answers), CM_ERR_ABSENT);
	write_file(f->etc, "nsswitch.conf", "passwd: files nosuchmodule\n");
	assert_int_equal(cm_names_ask(&f->how, &q, 1, f->t, f->answers), CM_OK);
	assert_int_equal(f->answers[0].state, CM_NAMES_FREE);
	snprintf(path, sizeof(path), "%s/nsswitch.conf", f->etc);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(cm_names_ask(&f->how, &q, 1, f->t, f->answers), CM_ERR_CONFIG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(cm_names_ask(&f->how, &q, 1, NULL, f->answers), CM_ERR_ABSENT);
}

/* What cannot be read is no "nobody has that name". */
static void
could_not_be_asked(void **state)
{
	struct fixture *f = *state;
	const struct cm_names_question q[] = { question(true, "lab", 10500), question(false, "alice", 10001) };

	assert_int_equal(unlink(EXTRA "/passwd"), 0);
	assert_int_equal(cm_names_ask(&f->how, q, 2, f->t, f->answers), CM_OK);
	assert_int_equal(f->answers[0].state, CM_NAMES_FREE);
	assert_int_equal(f->answers[1].state, CM_NAMES_UNASKED);
	assert_int_equal(f->answers[1].error, ENOENT);
	f->how.program = "/nonexistent/cardmap-names";
	assert_int_equal(cm_names_ask(&f->how, q, 2, f->t, f->answers), CM_ERR_SYSTEM);
	assert_non_null(strstr(cm_trace_message(f->t), "is missing"));
	f->how.program = "/bin/false";
	assert_int_equal(cm_names_ask(&f->how, q, 2, NULL, f->answers), CM_ERR_SYSTEM);
	f->how.program = "/bin/echo";		/* something else than answers */
	assert_int_equal(cm_names_ask(&f->how, q, 2, NULL, f->answers), CM_ERR_SYSTEM);
}

/* One that hangs (a file that never comes) is waited for once, and not again for a while. */
static void
one_that_hangs(void **state)
{
	struct fixture *f = *state;
	const struct cm_names_question q = question(false, "alice", 10001);
	int64_t began;

	assert_int_equal(unlink(EXTRA "/passwd"), 0);
	assert_int_equal(mkfifo(EXTRA "/passwd", 0644), 0);
	assert_int_equal(cm_names_ask(&f->how, &q, 1, f->t, f->answers), CM_ERR_SYSTEM);
	assert_non_null(strstr(cm_trace_message(f->t), "does not answer"));
	assert_true(f->silent_until > cm_clock_us());
	write_file(EXTRA, "passwd", "");
	f->how.program = "/nonexistent/cardmap-names";	/* who is not asked is not started either */
	began = f->silent_until;
	cm_trace_clear_reason(f->t);
	assert_int_equal(cm_names_ask(&f->how, &q, 1, f->t, f->answers), CM_ERR_SYSTEM);
	assert_non_null(strstr(cm_trace_message(f->t), "has not answered lately"));
	assert_true(f->silent_until == began);
	f->how.program = CM_NAMES_PROGRAM;
	f->silent_until = 0;
	assert_int_equal(cm_names_ask(&f->how, &q, 1, f->t, f->answers), CM_OK);
}

/* A login keeps the account whatever comes of it; its record is made where nobody else has the name or the uid, and can say so. */
static void
a_mobile_account(void **state)
{
	static char text[] = "", name[] = "alice", home[] = "/home/alice", root[] = "/home", *roots[] = { root, NULL };
	struct cm_group groups[] = { { .name = (char[]){ "staff" }, .gid = 10000 }, { .name = (char[]){ "lab" }, .gid = 10501 } };
	const struct cm_account a = { .name = name, .principal = text, .dn = text, .home = home, .shell = text, .gecos = text, .uid = 10001,
		.gid = 10000, .groups = groups, .group_count = 2, .rule = text, .attribute = text, .matched = text, .source = text };
	struct fixture *f = *state;
	char store[64], userdb[64];
	const struct cm_accounts_options o = { .path = store, .first_uid = 1000, .first_gid = 1000 };
	struct cm_conf conf = { .accounts = { .mobile = CM_MOBILE_ALL, .userdb = userdb, .home_roots = roots, .first_uid = 1000, .first_gid = 1000 } };
	struct cm_mobile_host h = { .conf = &conf, .etc = f->etc, .names = &f->how };
	struct cm_mobile_plan *p = NULL;

	snprintf(store, sizeof(store), EXTRA "/accounts.db");
	snprintf(userdb, sizeof(userdb), EXTRA "/userdb");
	assert_int_equal(cm_accounts_open(&o, f->t, &h.store), CM_OK);
	assert_int_equal(cm_mobile_plan(&h, &a, false, f->t, &p), CM_OK);
	assert_non_null(strstr(cm_trace_find(f->t, "group dropped"), "lab"));
	assert_int_equal(cm_mobile_plan_row(p)->account->group_count, 1);
	cm_mobile_plan_free(&p);
	write_file(EXTRA, "passwd", "mallory:x:10001:10000::/home/mallory:/bin/sh\n");
	assert_int_equal(cm_mobile_plan(&h, &a, false, f->t, &p), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(f->t), CM_REASON_LOCAL_COLLISION);
	assert_int_equal(unlink(EXTRA "/passwd"), 0);
	cm_trace_clear_reason(f->t);
	assert_int_equal(cm_mobile_plan(&h, &a, false, f->t, &p), CM_ERR_SYSTEM);
	assert_non_null(strstr(cm_trace_message(f->t), "extrausers of nsswitch.conf could not be asked whose alice is"));
	assert_int_equal(mkfifo(EXTRA "/passwd", 0644), 0);
	assert_null(cm_mobile_begin(&h, &a, false, f->t));
	assert_non_null(strstr(cm_trace_find(f->t, "warning"), "does not answer"));
	assert_int_equal(cm_trace_reason(f->t), CM_REASON_NONE);
	assert_int_equal(rmdir(userdb), 0);	/* there is nothing in it */
	cm_accounts_close(&h.store);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources_are_read), T(names_and_ids_meet), T(many), T(nobody_to_ask), T(could_not_be_asked), T(one_that_hangs), T(a_mobile_account),
	};

	return cmocka_run_group_tests(tests, enter, NULL);
}
