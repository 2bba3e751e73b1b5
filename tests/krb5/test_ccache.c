/* tests/krb5/test_ccache.c - the ticket in the user's own ccache. */
#include "krb5_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "krb5/ccache_put.h"
#include "krb5/ccache_write.h"

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
remove_for(const struct cm_account *account, const char *pattern)
{
	const struct cm_ccache_put p = { .program = CM_CCACHE_PROGRAM, .pattern = pattern, .account = account };

	return cm_ccache_remove(&p, cm_deadline_in(20000), l.trace);
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

/* Where other users reach it. */
static void
copy_program(char path[RIG_PATH])
{
	const int in = open(CM_CCACHE_PROGRAM, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int out;

	assert_true(snprintf(path, RIG_PATH, "%.400s/cardmap-ccache", rig("CM_RIG_DIR")) < RIG_PATH);
	assert_true(in >= 0 && fstat(in, &st) == 0);
	assert_true((out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755)) >= 0);
	for (off_t left = st.st_size; left > 0;) {
		const ssize_t n = sendfile(out, in, NULL, (size_t)left);

		assert_true(n > 0);
		left -= n;
	}
	close(in);
	close(out);
}

/* An ordinary user can store for themselves, and for nobody else. */
static int
as_user(uid_t uid, const char *program, const char *pattern)
{
	char *name = NULL;
	int status = 0;
	pid_t child;

	if ((child = fork()) == 0) {
		if (setgroups(0, NULL) != 0 || setresgid(10000, 10000, 10000) != 0 || setresuid(uid, uid, uid) != 0)
			_exit(99);
		if (store_for(&l.account, program, pattern, 5000, &name) == CM_OK)
			_exit(0);
		_exit(strstr(cm_trace_message(l.trace), "run this as root, or as that user") != NULL ? 1 : 98);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

static void
test_without_root(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], program[RIG_PATH];

	(void)state;
	if (!other_users)
		skip();
	copy_program(program);
	place("krb5cc_10001", path, pattern);
	assert_int_equal(as_user(10001, program, pattern), 0);
	assert_ccache_of(path, 10001, 10000);
	unlink(path);
	assert_int_equal(as_user(10002, program, pattern), 1);
	assert_int_not_equal(access(path, F_OK), 0);
	unlink(program);
}

/* ---- attacks and mishaps */

static void
make_program(char path[RIG_PATH], const char *text)
{
	assert_true(snprintf(path, RIG_PATH, "%.400s/program", rig("CM_RIG_DIR")) < RIG_PATH);
	write_bytes(path, text, strlen(text));
	assert_int_equal(chmod(path, 0755), 0);
}

static void
fails(const char *program, const char *pattern, unsigned ms, const char *text)
{
	char *name = NULL;

	assert_int_equal(store_for(&l.account, program, pattern, ms, &name), CM_ERR_SYSTEM);
	assert_null(name);
	assert_int_equal(cm_trace_reason(l.trace), CM_REASON_CCACHE);
	if (strstr(cm_trace_message(l.trace), text) == NULL)
		fail_msg("%s", cm_trace_message(l.trace));
}

/* Nothing of ours goes with it: no variable, no descriptor, no group; and a ticket is in no argument. */
static void
test_what_the_program_gets(void **state)
{
	static const char script[] = "#!/bin/sh\necho $(env | grep -v ^PWD= | grep -v ^_=)/$(ls /proc/self/fd)/"
	    "$(id -u):$(id -g):$(id -G)/$(umask)/$(wc -c)/$*; exit 1\n";
	struct cm_group groups[] = { { .name = "a", .gid = 10003 }, { .name = "b", .gid = 10004 } };
	char path[RIG_PATH], wanted[256];

	(void)state;
	if (!other_users)
		skip();
	make_program(path, script);
	l.account.groups = groups;
	l.account.group_count = 2;
	assert_int_equal(setenv("CM_SECRET", "of the parent", 1), 0);
	/* 3 is the script itself and a fourth the folder that ls looks into */
	snprintf(wanted, sizeof(wanted), "PATH=/usr/bin:/bin/0 1 2 3 4/10001:10000:10000 10003 10004/0077/%zu/KCM: alice@CARDMAP.TEST",
	    CM_CCACHE_HEAD + packed.len + 1);	/* ... and the word that gives it */
	fails(path, "KCM:", 5000, wanted);
	l.account.groups = NULL;
	l.account.group_count = 0;
	unsetenv("CM_SECRET");
	unlink(path);
}

static void
test_program_that_hangs_lies_or_is_not_there(void **state)
{
	const int64_t began = cm_clock_us();
	char path[RIG_PATH];

	(void)state;
	if (!other_users)
		skip();
	make_program(path, "#!/bin/sh\nsleep 600 & sleep 600\n");
	fails(path, "KCM:", 200, "ccache KCM:: not written in time");
	assert_true(cm_clock_us() - began < 10000000);
	make_program(path, "#!/bin/sh\nkill -9 $$\n");
	fails(path, "KCM:", 5000, "it was ended by SIGKILL");
	make_program(path, "#!/bin/sh\nexit 3\n");
	fails(path, "KCM:", 5000, "ended early (status 3)");
	make_program(path, "#!/bin/sh\nexit 0\n");	/* it did not say that it is done */
	fails(path, "KCM:", 5000, "ended early (status 0)");
	make_program(path, "#!/bin/sh\nyes | head -c 100000; exit 1\n");
	fails(path, "KCM:", 5000, "wrote more than");
	unlink(path);
	fails(path, "KCM:", 5000, "cardmap-ccache is missing");
}

/* Who has said that it is done keeps nobody waiting: neither where its end is not, nor once it is dropped. */
static void
test_end_is_not_waited_for(void **state)
{
	char path[RIG_PATH], *name = NULL;
	const struct cm_ccache_put p = { .program = path, .pattern = "KCM:", .account = &l.account };
	struct cm_ccache_putting *putting = NULL;

	(void)state;
	if (!other_users)
		skip();
	make_program(path, "#!/bin/sh\nprintf '\\006'\nexec sleep 600\n");
	assert_int_equal(cm_ccache_put_begin(&p, cm_deadline_in(20000), l.trace, &putting), CM_OK);
	assert_int_equal(cm_ccache_put_end(putting, cm_buf_blob(&packed), cm_deadline_in(20000), l.trace, &name), CM_OK);
	assert_string_equal(name, "KCM:");
	assert_int_equal(waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT), 0);	/* it is there yet ... */
	assert_false(cm_ccache_put_is_for(putting, &l.account));	/* ... and takes no other ticket */
	cm_ccache_put_drop(&putting);
	assert_int_equal(waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT), -1);
	assert_int_equal(errno, ECHILD);
	free(name);
	unlink(path);
}

/* A folder that a group may write lets in who is in that group, and nobody else. */
static void
test_groups_of_the_account(void **state)
{
	struct cm_group group = { .name = "staff", .gid = 10003 };
	char shared[RIG_PATH], pattern[RIG_PATH], *name = NULL;

	(void)state;
	if (!other_users)
		skip();
	snprintf(shared, sizeof(shared), "%.400s/shared", folder);
	snprintf(pattern, sizeof(pattern), "FILE:%.400s/shared/cc", folder);
	assert_int_equal(mkdir(shared, 0770), 0);
	assert_int_equal(chown(shared, 0, 10003), 0);
	assert_int_equal(chmod(shared, 0770), 0);
	refused(pattern, "Permission denied");
	l.account.groups = &group;
	l.account.group_count = 1;
	assert_int_equal(store(pattern, &name), CM_OK);
	l.account.groups = NULL;
	l.account.group_count = 0;
	free(name);
	assert_ccache_of(pattern + 5, 10001, 10000);
	unlink(pattern + 5);
	rmdir(shared);
}

static void
test_file_of_another_user(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], *text;

	(void)state;
	if (!other_users)
		skip();
	place("krb5cc_10001", path, pattern);
	write_bytes(path, "theirs", 6);
	assert_int_equal(chown(path, 10002, 10000), 0);
	assert_int_equal(chmod(path, 0666), 0);
	refused(pattern, "not permitted");
	text = read_text(path);
	assert_string_equal(text, "theirs");
	free(text);
	unlink(path);
	assert_int_equal(rmdir(folder) == 0 ? mkdir(folder, 01777) : -1, 0);	/* it was empty: nothing stayed beside the name */
	assert_int_equal(chmod(folder, 01777), 0);
}

/* A full disk: what stood there stays, and nothing stays beside it. */
static void
test_full_disk(void **state)
{
	char full[RIG_PATH], path[RIG_PATH], pattern[RIG_PATH], *zeros = calloc(1, 8192), *text;

	(void)state;
	if (!other_users)
		skip();
	snprintf(full, sizeof(full), "%.400s/full", rig("CM_RIG_DIR"));
	assert_int_equal(mkdir(full, 0755), 0);
	assert_int_equal(mount("full", full, "tmpfs", 0, "size=8k,mode=1777"), 0);
	snprintf(path, sizeof(path), "%.400s/krb5cc", full);
	snprintf(pattern, sizeof(pattern), "FILE:%.400s/krb5cc", full);
	write_bytes(path, zeros, 8192);
	assert_int_equal(chown(path, 10001, 10000), 0);
	refused(pattern, "No space left");
	text = read_text(path);
	free(text);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(full) != 0 && umount(full) == 0 ? rmdir(full) : -1, 0);
	free(zeros);
}

/* Of DIR: only a folder of the user's own will do: whoever may write there chooses which ticket is taken. */
static void
test_folder_of_caches(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], out[4096], *name = NULL;
	char *const argv[] = { "klist", "-c", pattern, NULL }, *const clean[] = { "rm", "-r", path, NULL };

	(void)state;
	if (!other_users)
		skip();
	snprintf(path, sizeof(path), "%.400s/ccdir", folder);
	snprintf(pattern, sizeof(pattern), "DIR:%.400s/ccdir", folder);
	assert_int_equal(store(pattern, &name), CM_OK);
	free(name);
	assert_int_equal(run(argv, out, sizeof(out)), 0);
	assert_non_null(strstr(out, "Default principal: alice@CARDMAP.TEST"));
	assert_int_equal(chown(path, 10002, 10000), 0);
	assert_int_equal(chmod(path, 0777), 0);
	refused(pattern, "not the user's alone");
	assert_int_equal(chown(path, 10001, 10000), 0);
	refused(pattern, "not the user's alone");
	assert_int_equal(run(clean, out, sizeof(out)), 0);
	assert_int_equal(symlink(folder, path), 0);
	refused(pattern, "not the user's alone");
	unlink(path);
	refused("DIR::/tmp/x/tkt", "name the folder alone");
}

/* kill -9 when all is written but the name: neither a ccache nor a half of one is there, and the next one is. */
static void
test_killed(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], out[4096], *name = NULL;
	char *const argv[] = { "ls", "-A", folder, NULL };

	(void)state;
	if (!other_users)
		skip();
	place("krb5cc_10001", path, pattern);
	for (unsigned old = 0; old < 2; old++) {
		assert_int_equal(setenv("CM_FAULT", "kill:ccache.written", 1), 0);
		refused(pattern, "it was ended by SIGKILL");
		assert_int_equal(run(argv, out, sizeof(out)), 0);
		assert_string_equal(out, old == 0 ? "" : "krb5cc_10001\n");
		assert_int_equal(setenv("CM_FAULT", "ccache.written", 1), 0);
		refused(pattern, "system");
		assert_int_equal(unsetenv("CM_FAULT"), 0);
		assert_int_equal(store(pattern, &name), CM_OK);
		free(name);
		assert_ccache_of(path, 10001, 10000);
	}
	unlink(path);
}

static void *
store_often(void *arg)
{
	const char *pattern = arg;
	size_t *good = calloc(1, sizeof(*good));

	for (unsigned i = 0; i < 8; i++) {
		const struct cm_ccache_put p = { .program = CM_CCACHE_PROGRAM, .pattern = pattern, .account = &l.account,
		    .ticket = cm_buf_blob(&packed) };
		char *name = NULL;

		*good += cm_ccache_put(&p, cm_deadline_in(20000), NULL, &name) == CM_OK;
		free(name);
	}
	return good;
}

/* Begun before there is a ticket: it writes none until one comes, and none at all where none does. */
static void
test_begun_before_the_ticket(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], out[4096];
	char *const argv[] = { "klist", "-c", path, NULL };
	const struct cm_ccache_put p = { .program = CM_CCACHE_PROGRAM, .pattern = pattern, .account = &l.account };
	struct cm_ccache_putting *putting = NULL;
	struct cm_account other = l.account;
	char *name = NULL;

	(void)state;
	if (!other_users)
		skip();
	place("begun", path, pattern);
	assert_int_equal(cm_ccache_put_begin(&p, cm_deadline_in(20000), l.trace, &putting), CM_OK);
	cm_ccache_put_drop(&putting);
	assert_null(putting);
	assert_int_equal(access(path, F_OK), -1);

	assert_int_equal(cm_ccache_put_begin(&p, cm_deadline_in(20000), l.trace, &putting), CM_OK);
	assert_true(cm_ccache_put_is_for(putting, &l.account));
	other.uid++;
	assert_false(cm_ccache_put_is_for(putting, &other));
	other = l.account;
	other.group_count = 0;
	assert_int_equal(cm_ccache_put_is_for(putting, &other), l.account.group_count == 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(cm_ccache_put_end(putting, cm_buf_blob(&packed), cm_deadline_in(20000), l.trace, &name), CM_OK);
	cm_ccache_put_drop(&putting);
	assert_string_equal(name, pattern);
	assert_int_equal(run(argv, out, sizeof(out)), 0);
	free(name);

	/* what comes is cut off, as when we die: nothing is written over what stands there */
	assert_int_equal(cm_ccache_put_begin(&p, cm_deadline_in(20000), l.trace, &putting), CM_OK);
	assert_int_equal(cm_ccache_put_end(putting, (struct cm_blob){ packed.ptr, packed.len / 2 }, cm_deadline_in(20000),
	    l.trace, &name), CM_ERR_SYSTEM);
	cm_ccache_put_drop(&putting);
	assert_null(name);
	assert_int_equal(run(argv, out, sizeof(out)), 0);
	unlink(path);
}

/* What was put is taken away by who put it; another principal's stays, and what is not there is gone. */
static void
test_removed(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], out[4096], *name = NULL;
	char *const klist[] = { "klist", "-c", pattern, NULL }, *const clean[] = { "rm", "-r", path, NULL };
	struct cm_account other = l.account;

	(void)state;
	if (!other_users)
		skip();
	other.principal = (char[]){ "bob@CARDMAP.TEST" };
	place("removed", path, pattern);
	for (unsigned folders = 0; folders < 2; folders++) {
		if (folders)
			snprintf(pattern, sizeof(pattern), "DIR:%.400s/removed", folder);
		assert_int_equal(store(pattern, &name), CM_OK);
		free(name);
		assert_int_equal(remove_for(&other, pattern), CM_ERR_SYSTEM);
		assert_non_null(strstr(cm_trace_message(l.trace), "another principal's"));
		cm_trace_clear_reason(l.trace);
		assert_int_equal(run(klist, out, sizeof(out)), 0);
		assert_int_equal(remove_for(&l.account, pattern), CM_OK);
		assert_int_equal(remove_for(&l.account, pattern), CM_OK);
		assert_int_not_equal(run(klist, out, sizeof(out)), 0);
	}
	assert_int_equal(run(clean, out, sizeof(out)), 0);
}

/* It has all of the ticket, and nothing is there before it is told so: nor where who would tell it has ended. */
static void
test_ticket_ahead(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], out[4096];
	char *const list[] = { "ls", "-A", folder, NULL }, *const argv[] = { "klist", "-c", path, NULL };
	const struct cm_ccache_put p = { .program = CM_CCACHE_PROGRAM, .pattern = pattern, .account = &l.account };
	struct cm_ccache_putting *putting = NULL;
	char *name = NULL;

	(void)state;
	if (!other_users)
		skip();
	place("ahead", path, pattern);
	for (int dropped = 1; dropped >= 0; dropped--) {
		assert_int_equal(cm_ccache_put_begin(&p, cm_deadline_in(20000), l.trace, &putting), CM_OK);
		cm_ccache_put_ahead(putting, cm_buf_blob(&packed), cm_deadline_in(20000));
		assert_int_equal(run(list, out, sizeof(out)), 0);
		assert_string_equal(out, "");
		if (dropped)
			cm_ccache_put_drop(&putting);
	}
	assert_int_equal(cm_ccache_put_end(putting, cm_buf_blob(&packed), cm_deadline_in(20000), l.trace, &name), CM_OK);
	cm_ccache_put_drop(&putting);
	assert_string_equal(name, pattern);
	assert_int_equal(run(argv, out, sizeof(out)), 0);
	assert_int_equal(run(list, out, sizeof(out)), 0);
	assert_string_equal(out, "ahead\n");
	free(name);
	unlink(path);
}

/* That the program is told this and no more; it ends with what it says. */
static void
told(const char *pattern, struct cm_blob octets, const char *says)
{
	const char *const arguments[] = { pattern, "alice@CARDMAP.TEST", NULL };
	const struct cm_child c = { .path = CM_CCACHE_PROGRAM, .arguments = arguments, .uid = (uid_t)-1, .ours = true, .fed = true,
		.output_max = 1024, .memory_max = SIZE_MAX };
	struct cm_child_process *process = NULL;
	struct cm_buf said = { 0 };
	int status = -1;
	const struct cm_child_end e = { .input = octets, .deadline = cm_deadline_in(20000), .trace = l.trace, .out = &said,
		.status = &status };

	assert_int_equal(cm_child_start(&c, cm_deadline_in(20000), l.trace, &process), CM_OK);
	assert_int_equal(cm_child_finish(&process, &e), CM_OK);
	assert_int_equal(status, 1);
	assert_non_null(strstr(cm_buf_str(&said), says));
	cm_buf_free(&said);
}

/* Who would have said more has ended: no ccache. */
static void
test_told_less(void **state)
{
	const uint8_t head[] = { 0, 0, (uint8_t)(packed.len >> 8), (uint8_t)packed.len };
	const size_t lengths[] = { 0, 3, sizeof(head), sizeof(head) + packed.len - 1, sizeof(head) + packed.len };
	char path[RIG_PATH], pattern[RIG_PATH];
	struct cm_buf whole = { 0 };

	(void)state;
	place("told", path, pattern);
	cm_buf_add(&whole, head, sizeof(head));
	cm_buf_add_blob(&whole, cm_buf_blob(&packed));
	for (size_t i = 0; i < CM_COUNT(lengths); i++) {
		told(pattern, (struct cm_blob){ whole.ptr, lengths[i] }, "has ended");
		assert_int_equal(access(path, F_OK), -1);
	}
	told(pattern, cm_blob_str("\377\377\377\377"), "too long");
	assert_int_equal(access(path, F_OK), -1);
	cm_buf_free(&whole);
}

/* From threads at once, over one name: each is whole, and one remains. */
static void
test_threads(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], out[4096];
	char *const list[] = { "ls", "-A", folder, NULL }, *const argv[] = { "klist", "-c", path, NULL };
	pthread_t threads[3];
	void *good;

	(void)state;
	if (!other_users)
		skip();
	place("krb5cc_10001", path, pattern);
	for (size_t i = 0; i < CM_COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, store_often, pattern), 0);
	for (size_t i = 0; i < CM_COUNT(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &good), 0);
		assert_int_equal(*(size_t *)good, 8);
		free(good);
	}
	assert_int_equal(run(list, out, sizeof(out)), 0);
	assert_string_equal(out, "krb5cc_10001\n");
	assert_int_equal(run(argv, out, sizeof(out)), 0);
	unlink(path);
}

static enum cm_err
write_here(const char *path, const char *principal, struct cm_blob ticket)
{
	struct cm_buf why = { 0 };
	const enum cm_err err = cm_ccache_write(path, principal, ticket, &why);

	assert_int_equal(err == CM_OK, why.len == 0);
	cm_buf_free(&why);
	return err;
}

/* Half a ticket, more than one, or somebody else's never takes the place of what the user has. */
static void
test_what_is_no_ticket(void **state)
{
	char path[RIG_PATH], pattern[RIG_PATH], *text;
	struct cm_buf longer = { 0 };

	(void)state;
	place("cc_kept", path, pattern);
	write_bytes(path, "kept", 4);
	for (size_t len = 0; len < packed.len; len++) {
		uint8_t *cut = malloc(len > 0 ? len : 1);

		memcpy(cut, packed.ptr, len);
		assert_int_equal(write_here(path, "alice@CARDMAP.TEST", (struct cm_blob){ cut, len }), CM_ERR_SYNTAX);
		free(cut);
	}
	cm_buf_add(&longer, packed.ptr, packed.len);
	cm_buf_add_byte(&longer, 0);
	assert_int_equal(write_here(path, "alice@CARDMAP.TEST", cm_buf_blob(&longer)), CM_ERR_SYNTAX);
	assert_int_equal(write_here(path, "bob@CARDMAP.TEST", cm_buf_blob(&packed)), CM_ERR_SYNTAX);
	assert_int_equal(write_here(path, "alice@OTHER.TEST", cm_buf_blob(&packed)), CM_ERR_SYNTAX);
	assert_int_equal(write_here(path, "alice/admin@CARDMAP.TEST", cm_buf_blob(&packed)), CM_ERR_SYNTAX);
	assert_int_equal(write_here(path, "alice", cm_buf_blob(&packed)), CM_ERR_SYSTEM);
	assert_int_equal(write_here("FILE:krb5cc", "alice@CARDMAP.TEST", cm_buf_blob(&packed)), CM_ERR_SYSTEM);
	text = read_text(path);
	assert_string_equal(text, "kept");
	free(text);
	assert_int_equal(write_here(path, "alice@CARDMAP.TEST", cm_buf_blob(&packed)), CM_OK);
	cm_buf_free(&longer);
	unlink(path);
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
		cmocka_unit_test(test_what_the_program_gets),
		cmocka_unit_test(test_program_that_hangs_lies_or_is_not_there),
		cmocka_unit_test(test_end_is_not_waited_for),
		cmocka_unit_test(test_groups_of_the_account),
		cmocka_unit_test(test_file_of_another_user),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_folder_of_caches),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_begun_before_the_ticket),
		cmocka_unit_test(test_ticket_ahead),
		cmocka_unit_test(test_told_less),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_what_is_no_ticket),
	};

	return cmocka_run_group_tests_name("krb5.ccache", tests, setup, teardown);
}
