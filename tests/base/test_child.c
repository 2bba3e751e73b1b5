/* tests/base/test_child.c - a program of somebody else's: what it gets, what it may do, how it ends. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/child.h"
#include "base/file.h"

#define SHELL		"/usr/bin/dash"
#define WAIT_MS		20000	/* more than any of these takes */

struct rig {
	struct cm_trace *trace;
	struct cm_child child;
	const char *arguments[8];
	struct cm_buf out;
	int status;
	char folder[64], path[128];
};

static int
set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(cm_trace_new(&r->trace), CM_OK);
	cm_trace_begin(r->trace, "test");
	r->child = (struct cm_child){ .path = SHELL, .arguments = r->arguments, .uid = (uid_t)-1, .output_max = 4096 };
	r->arguments[0] = "-c";
	*state = r;
	return 0;
}

static int
tear_down(void **state)
{
	struct rig *r = *state;

	if (r->path[0] != '\0')
		unlink(r->path);
	if (r->folder[0] != '\0')
		rmdir(r->folder);
	cm_buf_free(&r->out);
	cm_trace_free(&r->trace);
	free(r);
	return 0;
}

static enum cm_err
run_for(struct rig *r, unsigned ms)
{
	cm_trace_clear_reason(r->trace);
	cm_buf_truncate(&r->out, 0);
	return cm_child_run(&r->child, cm_deadline_in(ms), r->trace, &r->out, &r->status);
}

/* A shell's command, which must end well with this output. */
static const char *
say(struct rig *r, const char *command)
{
	r->arguments[1] = command;
	if (run_for(r, WAIT_MS) != CM_OK)
		fail_msg("%s: %s", command, cm_trace_message(r->trace));
	return cm_buf_str(&r->out);
}

static void
refused(struct rig *r, unsigned ms, const char *why)
{
	assert_int_equal(run_for(r, ms), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(r->trace), CM_REASON_CHILD);
	if (strstr(cm_trace_message(r->trace), why) == NULL)
		fail_msg("\"%s\" is not in: %s", why, cm_trace_message(r->trace));
}

/* A program in a folder of root's; only root can make one. */
static void
write_program(struct rig *r, const char *text)
{
	int fd;

	if (geteuid() != 0)
		skip();
	snprintf(r->folder, sizeof(r->folder), "/run/cm_child_XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	assert_int_equal(chmod(r->folder, 0755), 0);
	snprintf(r->path, sizeof(r->path), "%s/program", r->folder);
	fd = open(r->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, 0755), 0);
	close(fd);
	r->child.path = r->path;
}

static void
test_output_and_status(void **state)
{
	struct rig *r = *state;

	assert_string_equal(say(r, "echo one; echo two >&2; exit 3"), "one\n");
	assert_int_equal(r->status, 3);
	assert_string_equal(say(r, "cat"), "");	/* nothing to read */
	assert_int_equal(r->status, 0);
	r->arguments[2] = "name";
	r->arguments[3] = "a b";
	r->arguments[4] = "$(id)";
	assert_string_equal(say(r, "printf '%s,' \"$@\""), "a b,$(id),");
}

static void
test_nothing_is_inherited(void **state)
{
	struct rig *r = *state;
	const int leak = open("/dev/null", O_RDONLY), high = fcntl(leak, F_DUPFD, 200);
	const char *open_there;

	assert_true(leak >= 0 && high >= 200);
	setenv("CM_CHILD_SECRET", "1234", 1);
	/* dash adds PWD of its own; the kernel tells what it was given. */
	assert_string_equal(say(r, "tr '\\0' '\\n' </proc/$$/environ"), "PATH=/usr/bin:/bin\n");
	/* Without a pipe of the shell's own, which it would have open for a moment: its number stays in. */
	open_there = say(r, "for f in /proc/$$/fd/*; do readlink $f; done");
	assert_memory_equal(open_there, "/dev/null\npipe:[", 16);
	assert_string_equal(open_there + 16 + strspn(open_there + 16, "0123456789"), "]\n/dev/null\n");
	assert_string_equal(say(r, "pwd; umask"), "/\n0077\n");
	unsetenv("CM_CHILD_SECRET");
	close(high);
	close(leak);
}

static void
test_it_is_bound(void **state)
{
	struct rig *r = *state;

	assert_string_equal(say(r, "grep -E '^(NoNewPrivs|SigIgn|SigBlk)' /proc/self/status"),
	    "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nNoNewPrivs:\t1\n");
	assert_string_equal(say(r, "set -- $(cat /proc/$$/stat); test $1 = $5 -a $1 = $6 && echo leads"), "leads\n");
	assert_string_equal(say(r, "ulimit -c"), "0\n");
	assert_string_equal(say(r, "ulimit -v"), "262144\n");
	r->child.memory_max = 64 << 20;
	assert_string_equal(say(r, "ulimit -v"), "65536\n");
	assert_string_equal(say(r, "ulimit -n"), "64\n");
	assert_in_range(strtol(say(r, "ulimit -t"), NULL, 10), WAIT_MS / 1000, WAIT_MS / 1000 + 1);
}

static void
ignore(int number)
{
	(void)number;
}

/* SIGPIPE ignored, SIGTERM blocked: a server's ways are not its programs'. */
static void
test_signals_are_the_usual_ones(void **state)
{
	const struct sigaction a = { .sa_handler = SIG_IGN }, b = { .sa_handler = ignore };
	struct sigaction pipe_before, usr_before;
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaction(SIGPIPE, &a, &pipe_before);
	sigaction(SIGUSR1, &b, &usr_before);
	sigprocmask(SIG_BLOCK, &set, &before);
	test_it_is_bound(state);
	sigprocmask(SIG_SETMASK, &before, NULL);
	sigaction(SIGPIPE, &pipe_before, NULL);
	sigaction(SIGUSR1, &usr_before, NULL);
}

static void
test_how_it_may_not_end(void **state)
{
	struct rig *r = *state;

	r->arguments[1] = "kill -SEGV $$";
	refused(r, WAIT_MS, SHELL ": it was ended by SIGSEGV");
	r->arguments[1] = "while :; do echo more; done";
	refused(r, WAIT_MS, "it wrote more than 4096 bytes");
	assert_true(r->out.len <= 4096);
	r->arguments[1] = "exec sleep 1000";
	refused(r, 300, "it took too long");
	r->arguments[1] = "trap '' TERM HUP INT; exec >&-; sleep 1000";
	refused(r, 300, "it took too long");
	r->child.output_max = 5;
	assert_string_equal(say(r, "echo four"), "four\n");
	r->arguments[1] = "echo fives";
	refused(r, WAIT_MS, "it wrote more than 5 bytes");
}

/* Killed; whether init has reaped it yet is init's. */
static void
wait_for_its_end(long pid)
{
	char name[64];

	assert_true(pid > 1);
	snprintf(name, sizeof(name), "/proc/%ld/stat", pid);
	for (int i = 0; i < 500; i++) {
		struct cm_buf stat = { 0 };
		const bool gone = cm_file_read(name, 4096, CM_FILE_ANY, NULL, &stat) != CM_OK ||
		    strstr(cm_buf_str(&stat), ") Z") != NULL || strstr(cm_buf_str(&stat), "(sleep)") == NULL;

		cm_buf_free(&stat);
		if (gone)
			return;
		poll(NULL, 0, 20);
	}
	fail_msg("%s lives on", name);
}

/* What it leaves behind neither holds us up nor lives on. */
static void
test_background(void **state)
{
	struct rig *r = *state;

	wait_for_its_end(strtol(say(r, "sleep 1000 & echo $!"), NULL, 10));
}

/* The number of a process that has become "sleep", a child of this one; 0: not yet. */
static long
sleeping_child(pid_t of)
{
	struct cm_buf text = { 0 };
	char name[64];
	long pid;

	snprintf(name, sizeof(name), "/proc/%d/task/%d/children", of, of);
	assert_int_equal(cm_file_read(name, 4096, CM_FILE_ANY, NULL, &text), CM_OK);
	pid = strtol(cm_buf_str(&text), NULL, 10);
	cm_buf_truncate(&text, 0);
	snprintf(name, sizeof(name), "/proc/%ld/stat", pid);
	if (pid > 0 && (cm_file_read(name, 4096, CM_FILE_ANY, NULL, &text) != CM_OK ||
	    strstr(cm_buf_str(&text), "(sleep)") == NULL))
		pid = 0;
	cm_buf_free(&text);
	return pid;
}

static void
test_it_dies_with_us(void **state)
{
	struct rig *r = *state;
	const pid_t us = fork();
	long pid = 0;

	assert_true(us >= 0);
	if (us == 0) {
		r->arguments[1] = "exec sleep 1000";
		_exit(run_for(r, WAIT_MS) == CM_OK);
	}
	for (int i = 0; i < 500 && (pid = sleeping_child(us)) == 0; i++)
		poll(NULL, 0, 20);
	kill(us, SIGKILL);
	assert_int_equal(waitpid(us, NULL, 0), us);
	wait_for_its_end(pid);
}

static void
test_no_child_is_left(void **state)
{
	test_how_it_may_not_end(state);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static unsigned
descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
test_no_descriptor_is_left(void **state)
{
	struct rig *r = *state;
	const unsigned before = descriptors();

	say(r, "echo");
	test_how_it_may_not_end(state);
	r->child.path = "/usr/bin/no-such";
	assert_int_equal(run_for(r, WAIT_MS), CM_ERR_ABSENT);
	assert_int_equal(descriptors(), before);
}

static void
test_paths(void **state)
{
	struct rig *r = *state;

	r->child.path = "/usr/bin/no-such";
	assert_int_equal(run_for(r, WAIT_MS), CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(r->trace), CM_REASON_NONE);
	r->child.path = "/no-such/program";
	assert_int_equal(run_for(r, WAIT_MS), CM_ERR_ABSENT);
	r->child.path = "usr/bin/dash";
	refused(r, WAIT_MS, "write its whole path");
	r->child.path = "/usr/share/../bin/dash";
	refused(r, WAIT_MS, "without \"..\"");
	r->child.path = "/";
	refused(r, WAIT_MS, "not a program");
	r->child.path = "/usr/bin";
	refused(r, WAIT_MS, "not a program");
	r->child.path = "/etc/passwd";
	refused(r, WAIT_MS, "not a program");
	r->child.path = "//usr///bin//dash";
	assert_string_equal(say(r, "echo there"), "there\n");
}

static void
test_others_may_write(void **state)
{
	struct rig *r = *state;

	write_program(r, "#!/bin/sh\necho ran\n");
	assert_int_equal(chmod(r->path, 0775), 0);
	refused(r, WAIT_MS, "others may write it");
	assert_int_equal(chmod(r->path, 0757), 0);
	refused(r, WAIT_MS, "others may write it");
	assert_int_equal(chmod(r->path, 0644), 0);
	refused(r, WAIT_MS, "chmod 755");
	assert_int_equal(chmod(r->path, 0755), 0);
	assert_int_equal(chown(r->path, 1, 0), 0);
	refused(r, WAIT_MS, "belongs to uid 1");
	assert_int_equal(chown(r->path, 0, 0), 0);
	assert_int_equal(chmod(r->folder, 01777), 0);
	refused(r, WAIT_MS, "others may write cm_child_");
	assert_int_equal(chmod(r->folder, 0755), 0);
	assert_int_equal(chown(r->folder, 1, 0), 0);
	refused(r, WAIT_MS, "belongs to uid 1");
	assert_int_equal(chown(r->folder, 0, 0), 0);
	assert_string_equal(say(r, NULL), "ran\n");
}

static void
test_links(void **state)
{
	struct rig *r = *state;
	char path[160], link_to_folder[80];

	write_program(r, "#!/bin/sh\necho ran\n");
	snprintf(path, sizeof(path), "%s/link", r->folder);
	assert_int_equal(symlink(r->path, path), 0);
	r->child.path = path;
	refused(r, WAIT_MS, "is a link");
	unlink(path);
	snprintf(link_to_folder, sizeof(link_to_folder), "%s-link", r->folder);
	assert_int_equal(symlink(r->folder, link_to_folder), 0);
	snprintf(path, sizeof(path), "%s/program", link_to_folder);
	refused(r, WAIT_MS, "is a link");
	unlink(link_to_folder);
}

/* A script is what was checked too: its interpreter reads the descriptor. */
static void
test_script(void **state)
{
	struct rig *r = *state;

	write_program(r, "#!/bin/sh\necho \"$# $1\"; ls /proc/$$/fd; ls -l /proc/$$/fd | grep -c program\n");
	r->arguments[0] = "first";
	if (run_for(r, WAIT_MS) != CM_OK)
		fail_msg("%s", cm_trace_message(r->trace));
	/* sh opens it again, as 10; nothing of ours is there but 3. */
	assert_string_equal(cm_buf_str(&r->out), "1 first\n0\n1\n10\n2\n3\n2\n");
}

static void
test_user(void **state)
{
	struct rig *r = *state;

	if (geteuid() != 0)
		skip();
	r->child.uid = 65534;
	r->child.gid = 65533;
	assert_string_equal(say(r, "grep -E '^(Uid|Gid|Groups)' /proc/$$/status | tr -d ' '"),
	    "Uid:\t65534\t65534\t65534\t65534\nGid:\t65533\t65533\t65533\t65533\nGroups:\t\n");
	assert_string_equal(say(r, "grep CapEff /proc/$$/status"), "CapEff:\t0000000000000000\n");
	/* A program that the user may not run is named as that. */
	write_program(r, "#!/bin/sh\necho ran\n");
	assert_int_equal(chmod(r->path, 0700), 0);
	assert_int_equal(run_for(r, WAIT_MS), CM_ERR_SYSTEM);
	assert_non_null(strstr(cm_trace_message(r->trace), "cannot be run as uid 65534: Permission denied"));
}

static void
test_user_that_we_may_not_become(void **state)
{
	struct rig *r = *state;

	if (geteuid() == 0) {
		r->child.uid = (uid_t)-2;
		r->child.gid = (gid_t)-1;	/* setresgid(2) leaves it: root's groups are kept from nobody */
		assert_string_equal(say(r, "id -u"), "4294967294\n");
		return;
	}
	r->child.uid = 0;
	r->arguments[1] = "echo ran";
	assert_int_equal(run_for(r, WAIT_MS), CM_ERR_SYSTEM);
	assert_int_equal(r->out.len, 0);
}

/* Attack: started where SIGCHLD is ignored, no failure of a program would be seen. */
static void
an_end_that_is_not_seen_is_no_success(void **state)
{
	const struct sigaction ignored = { .sa_handler = SIG_IGN };
	struct sigaction before;
	struct rig *r = *state;
	enum cm_err err;

	sigaction(SIGCHLD, &ignored, &before);
	r->arguments[1] = "echo said; exit 1";
	err = run_for(r, WAIT_MS);
	sigaction(SIGCHLD, &before, NULL);
	assert_int_equal(err, CM_ERR_SYSTEM);
}

/* Its standard input: all of it, and then the end; more than a pipe holds too. */
static void
test_input(void **state)
{
	struct rig *r = *state;
	uint8_t *large = calloc(1, 200000);

	r->child.input = cm_blob_str("a ticket");
	assert_string_equal(say(r, "cat; echo .; cat"), "a ticket.\n");
	memset(large, 'x', 200000);
	r->child.input = (struct cm_blob){ large, 200000 };
	assert_string_equal(say(r, "tr -d x | wc -c; wc -c"), "0\n0\n");
	assert_string_equal(say(r, "wc -c"), "200000\n");
	free(large);
}

static void
test_groups(void **state)
{
	const gid_t groups[] = { 10003, 10004 };
	struct rig *r = *state;

	if (geteuid() != 0)
		skip();
	r->child.uid = 10001;
	r->child.gid = 10000;
	assert_string_equal(say(r, "id -G"), "10000\n");
	r->child.groups = groups;
	r->child.group_count = 2;
	assert_string_equal(say(r, "id -G"), "10000 10003 10004\n");
}

/* Of our own installation, wherever that is: /tmp is everybody's. */
static void
test_program_of_ours(void **state)
{
	struct rig *r = *state;
	char path[64];

	snprintf(path, sizeof(path), "/tmp/cm_ours_%u", (unsigned)getpid());
	assert_int_equal(symlink(SHELL, path), 0);
	r->child.path = path;
	r->arguments[1] = "echo ours";
	refused(r, WAIT_MS, path);
	r->child.ours = true;
	assert_string_equal(say(r, "echo ours"), "ours\n");
	unlink(path);
	assert_int_equal(run_for(r, WAIT_MS), CM_ERR_ABSENT);
}

static struct cm_child_process *
begin(struct rig *r, const char *command)
{
	struct cm_child_process *process = NULL;

	r->arguments[1] = command;
	r->child.fed = true;
	assert_int_equal(cm_child_start(&r->child, cm_deadline_in(WAIT_MS), r->trace, &process), CM_OK);
	return process;
}

/* What it reads is made while it starts already; more than a socket holds, too. */
static void
test_fed_later(void **state)
{
	static uint8_t much[1 << 20];
	struct rig *r = *state;
	struct cm_child_process *process = begin(r, "wc -c");
	const struct cm_child_end e = { .input = { memset(much, 'x', sizeof(much)), sizeof(much) }, .deadline = cm_deadline_in(WAIT_MS),
		.trace = r->trace, .out = &r->out, .status = &r->status };

	assert_int_equal(cm_child_finish(&process, &e), CM_OK);
	assert_null(process);
	assert_int_equal(r->status, 0);
	assert_string_equal(cm_buf_str(&r->out), "1048576\n");
}

/* By parts, the first of them while it runs. */
static void
test_fed_by_parts(void **state)
{
	struct rig *r = *state;
	struct cm_child_process *process = begin(r, "read -r first; echo \"<$first>\"; cat");
	const struct cm_child_end e = { .input = cm_blob_str("second\n"), .deadline = cm_deadline_in(WAIT_MS), .trace = r->trace,
		.out = &r->out, .status = &r->status };

	cm_child_feed(process, cm_blob_str("fir"), cm_deadline_in(WAIT_MS));
	cm_child_feed(process, cm_blob_str("st\n"), cm_deadline_in(WAIT_MS));
	assert_int_equal(cm_child_finish(&process, &e), CM_OK);
	assert_int_equal(r->status, 0);
	assert_string_equal(cm_buf_str(&r->out), "<first>\nsecond\n");
}

/* One that ends before it has read says why by its status, and its pipe breaks nothing of ours. */
static void
test_fed_in_vain(void **state)
{
	static const uint8_t much[1 << 20];
	struct rig *r = *state;
	struct cm_child_process *process = begin(r, "exec <&-; echo no; exit 3");
	const struct cm_child_end e = { .input = { much, sizeof(much) }, .deadline = cm_deadline_in(WAIT_MS),
		.trace = r->trace, .out = &r->out, .status = &r->status };

	assert_int_equal(cm_child_finish(&process, &e), CM_OK);
	assert_int_equal(r->status, 3);
	assert_string_equal(cm_buf_str(&r->out), "no\n");
}

/* Nothing of it is left: neither the program nor a descriptor. */
static void
test_dropped(void **state)
{
	struct rig *r = *state;
	struct cm_child_process *process;
	const int next = dup(0);

	close(next);
	process = begin(r, "cat");
	cm_child_drop(&process);
	assert_null(process);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(dup(0), next);
	close(next);
	cm_child_drop(&process);
}

int
main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_output_and_status), TEST(test_nothing_is_inherited), TEST(test_it_is_bound),
		TEST(test_signals_are_the_usual_ones), TEST(test_how_it_may_not_end), TEST(test_background), TEST(test_it_dies_with_us),
		TEST(test_no_child_is_left), TEST(test_no_descriptor_is_left), TEST(test_paths),
		TEST(test_others_may_write), TEST(test_links), TEST(test_script), TEST(test_user),
		TEST(test_user_that_we_may_not_become), TEST(an_end_that_is_not_seen_is_no_success),
		TEST(test_input),
		TEST(test_groups),
		TEST(test_program_of_ours),
		TEST(test_fed_later),
		TEST(test_fed_by_parts),
		TEST(test_fed_in_vain),
		TEST(test_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
