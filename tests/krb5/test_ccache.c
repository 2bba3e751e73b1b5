/* tests/krb5/test_ccache.c - the ticket in the user's own ccache. */
#include "krb5_rig.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "krb5/ccache_put.h"

static struct login l;
static struct cm_buf packed;
static char folder[RIG_PATH];	/* as /tmp is: anybody may write, the sticky bit set */
static bool other_users;	/* there are any to become (a user namespace may hold one only) */

static int
setup(void **state)
{
	int status = -1;
	pid_t child;

	(void)state;
	login_begin(&l, "alice-p256");
	assert_int_equal(login_run(&l), CM_OK);
	assert_int_equal(cm_ticket_pack(l.ticket, &packed), CM_OK);
	snprintf(folder, sizeof(folder), "%s/tmp", rig("CM_RIG_DIR"));
	if ((child = fork()) == 0)
		_exit(setgroups(0, NULL) == 0 && setresuid(10002, 10002, 10002) == 0 ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	other_users = status == 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	cm_buf_free(&packed);
	login_end(&l);
	return 0;
}

static enum cm_err
store_for(const struct cm_account *account, const char *program, const char *pattern, unsigned ms, char **name)
{
	const struct cm_ccache_put p = { .program = program, .pattern = pattern, .account = account,
	    .ticket = cm_buf_blob(&packed) };

	return cm_ccache_put(&p, cm_deadline_in(ms), l.trace, name);
}

static enum cm_err
store(const char *pattern, char **name)
{
	return store_for(&l.account, CM_CCACHE_PROGRAM, pattern, 5000, name);
}

/* FOLDER/file, with FILE: before it in pattern. */
static void
place(const char *file, char path[RIG_PATH], char pattern[RIG_PATH])
{
	assert_true(snprintf(path, RIG_PATH, "%.400s/%s", folder, file) < RIG_PATH);
	assert_true(snprintf(pattern, RIG_PATH, "FILE:%.400s/%s", folder, file) < RIG_PATH);
}

static void
assert_ccache_of(const char *path, uid_t uid, gid_t gid)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
}

/* klist is not ours: what it reads, others read. */
static void
test_klist_reads_it(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], wanted[RIG_PATH], out[4096], *name = NULL;
	char *const argv[] = { "klist", "-c", path, NULL };

	(void)state;
	if (!other_users)
		skip();
	place("krb5cc_%{uid}", path, pattern);
	place("krb5cc_10001", path, wanted);
	if (store(pattern, &name) != CM_OK)
		fail_msg("%s", cm_trace_message(l.trace));
	assert_string_equal(name, wanted);
	assert_ccache_of(path, 10001, 10000);
	assert_int_equal(run(argv, out, sizeof(out)), 0);
	assert_non_null(strstr(out, "Default principal: alice@CARDMAP.TEST"));
	assert_non_null(strstr(out, "krbtgt/CARDMAP.TEST@CARDMAP.TEST"));
	assert_null(strstr(out, "host/"));
	assert_int_equal(geteuid(), 0);		/* only the child became the user */
	assert_int_equal(getuid(), 0);
	free(name);
	if (store(pattern, &name) != CM_OK)
		fail_msg("%s", cm_trace_message(l.trace));	/* and once more over it */
	assert_ccache_of(path, 10001, 10000);
	free(name);
	unlink(path);
}

static void
test_name_is_replaced_too(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], *name = NULL;

	(void)state;
	if (!other_users)
		skip();
	place("cc_%{name}_%{uid}", path, pattern);
	assert_int_equal(store(pattern + 5, &name), CM_OK);	/* a bare path is a FILE: */
	place("cc_alice_10001", path, pattern);
	assert_string_equal(name, path);
	assert_ccache_of(path, 10001, 10000);
	free(name);
	unlink(path);
}

/* The kernel's keyrings go by uid: what the child stored is the user's. */
static void
test_keyring(void **state)
{
	char out[4096], *name = NULL;
	char *list[] = { "setpriv", "--reuid=10001", "--regid=10000", "--clear-groups", "klist", "-c",
	    "KEYRING:persistent:10001", NULL };

	(void)state;
	if (!other_users || access("/proc/keys", F_OK) != 0)
		skip();
	assert_int_equal(store("KEYRING:persistent:%{uid}", &name), CM_OK);
	assert_string_equal(name, "KEYRING:persistent:10001");
	free(name);
	assert_int_equal(run(list, out, sizeof(out)), 0);
	assert_non_null(strstr(out, "Default principal: alice@CARDMAP.TEST"));
	list[4] = "kdestroy";
	assert_int_equal(run(list, out, sizeof(out)), 0);
}

static void
refused(const char *pattern, const char *text)
{
	char *name = NULL;

	assert_int_equal(store(pattern, &name), CM_ERR_SYSTEM);
	assert_null(name);
	assert_int_equal(cm_trace_reason(l.trace), CM_REASON_CCACHE);
	if (strstr(cm_trace_message(l.trace), text) == NULL)
		fail_msg("%s", cm_trace_message(l.trace));
}

static void
test_what_cannot_be(void **state)
{
	(void)state;
	if (!other_users)
		skip();
	refused("FILE:/tmp/krb5cc_%{TEMP}", "only %{uid} and %{name}");
	refused("FILE:/nonexistent/krb5cc_%{uid}", "No such file");
	refused("FILE:/root/krb5cc_%{uid}", "Permission denied");
	refused("FILE:/etc/passwd", "Permission denied");
	refused("NOSUCH:krb5cc", "ccache NOSUCH:krb5cc: ");
	refused("MEMORY:krb5cc", "gone before the user can use it");
	refused("KEYRING:process:krb5cc", "gone before the user can use it");
}

/* Attack: a link of somebody else waits under the name of the ccache. */
static void
test_link_of_another_user(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], victim[RIG_PATH], *text, *name = NULL;

	(void)state;
	if (!other_users)
		skip();
	snprintf(victim, sizeof(victim), "%s/victim", rig("CM_RIG_DIR"));
	write_bytes(victim, "precious", 8);
	assert_int_equal(chmod(victim, 0666), 0);
	place("krb5cc_10001", path, pattern);
	assert_int_equal(symlink(victim, path), 0);
	assert_int_equal(lchown(path, 10002, 10000), 0);
	refused(pattern, "not permitted");
	text = read_text(victim);
	assert_string_equal(text, "precious");
	free(text);
	unlink(path);

	/* and the user's own link is replaced, not followed */
	assert_int_equal(symlink(victim, path), 0);
	assert_int_equal(lchown(path, 10001, 10000), 0);
	if (store(pattern, &name) != CM_OK)
		fail_msg("%s", cm_trace_message(l.trace));
	free(name);
	assert_ccache_of(path, 10001, 10000);
	text = read_text(victim);
	assert_string_equal(text, "precious");
	free(text);
	unlink(path);
	unlink(victim);
}

/* A failure leaves nothing behind beside the name. */
static void
test_nothing_left_over(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], out[4096];
	char *const argv[] = { "ls", "-A", folder, NULL };

	(void)state;
	if (!other_users)
		skip();
	place("krb5cc_10001", path, pattern);
	assert_int_equal(mkdir(path, 0755), 0);
	refused(pattern, "krb5cc_10001");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(run(argv, out, sizeof(out)), 0);
	assert_null(strstr(out, "krb5cc"));
}

static void
test_deadline(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], *name = NULL;

	(void)state;
	place("krb5cc_10001", path, pattern);
	assert_int_equal(store_for(&l.account, CM_CCACHE_PROGRAM, pattern, 0, &name), CM_ERR_SYSTEM);
	assert_non_null(strstr(cm_trace_message(l.trace), "not written in time"));
	assert_null(name);
	unlink(path);
}

/* Whoever the account is already needs to become nobody. */
static void
test_as_oneself(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], *name = NULL;
	struct cm_account self = l.account;

	(void)state;
	self.uid = getuid();
	self.gid = getgid();
	place("cc_self", path, pattern);
	assert_int_equal(store_for(&self, CM_CCACHE_PROGRAM, pattern, 5000, &name), CM_OK);
	assert_ccache_of(path, getuid(), getgid());
	free(name);
	unlink(path);
}

/* An ordinary user can store for themselves, and for nobody else. */
static int
as_user(uid_t uid, const char *pattern)
{
	char *name = NULL;
	int status = 0;
	pid_t child;

	if ((child = fork()) == 0) {
		if (setgroups(0, NULL) != 0 || setresgid(10000, 10000, 10000) != 0 || setresuid(uid, uid, uid) != 0)
			_exit(99);
		if (store(pattern, &name) == CM_OK)
			_exit(0);
		_exit(strstr(cm_trace_message(l.trace), "run this as root, or as that user") != NULL ? 1 : 98);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

static void
test_without_root(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH];

	(void)state;
	if (!other_users)
		skip();
	place("krb5cc_10001", path, pattern);
	assert_int_equal(as_user(10001, pattern), 0);
	assert_ccache_of(path, 10001, 10000);
	unlink(path);
	assert_int_equal(as_user(10002, pattern), 1);
	assert_int_not_equal(access(path, F_OK), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_klist_reads_it),
		cmocka_unit_test(test_name_is_replaced_too),
		cmocka_unit_test(test_keyring),
		cmocka_unit_test(test_what_cannot_be),
		cmocka_unit_test(test_link_of_another_user),
		cmocka_unit_test(test_nothing_left_over),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_as_oneself),
		cmocka_unit_test(test_without_root),
	};

	return cmocka_run_group_tests_name("krb5.ccache", tests, setup, teardown);
}
