/* tests/base/test_file.c - whose file is believed, and whose secret is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define GROUP	4242	/* _cardmap's, in the namespace of the test */

static int
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	return f != NULL && fputs(text, f) >= 0 && fclose(f) == 0 ? 0 : -1;
}

static const struct {
	uid_t owner;
	gid_t group;
	mode_t mode;
	enum cm_err err;
} cases[] = {
	{ 0, 0, 0600, CM_OK },
	{ 0, GROUP, 0640, CM_OK },		/* read by the process that asks directories, too */
	{ 0, GROUP, 0440, CM_OK },
	{ 0, GROUP + 1, 0640, CM_ERR_CONFIG },
	{ 0, 0, 0640, CM_ERR_CONFIG },
	{ 0, GROUP, 0660, CM_ERR_CONFIG },
	{ 0, GROUP, 0644, CM_ERR_CONFIG },
	{ GROUP, GROUP, 0640, CM_ERR_CONFIG },
	{ GROUP, GROUP, 0600, CM_ERR_CONFIG },	/* another's */
};

/* With an /etc/group of its own: the number of the case that is wrong, from 1; 0: none; 99: it could not be tried. */
static int
try_cases(const char *folder)
{
	char groups[64], secret[64];

	snprintf(groups, sizeof(groups), "%s/group", folder);
	snprintf(secret, sizeof(secret), "%s/secret", folder);
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    write_file(groups, "root:x:0:\n_cardmap:x:4242:\nothers:x:4243:\n") != 0 ||
	    mount(groups, "/etc/group", NULL, MS_BIND, NULL) != 0 || write_file(secret, "secret\n") != 0)
		return 99;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_buf b = { 0 };
		enum cm_err err;

		if (chown(secret, cases[i].owner, cases[i].group) != 0 || chmod(secret, cases[i].mode) != 0)
			return 99;
		err = cm_file_read(secret, 100, CM_FILE_SECRET, NULL, &b);
		cm_buf_free(&b);
		if (err != cases[i].err)
			return (int)i + 1;
	}
	return 0;
}

static void
whose_secret(void **state)
{
	char folder[] = "/tmp/cm_file_XXXXXX", command[64];
	int status = 0;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(folder));
	if ((pid = fork()) == 0)
		_exit(try_cases(folder));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- names that lead elsewhere from one moment to the next */

/* Ours and another's change places for as long as this lives. */
static _Noreturn void
swap(const char *one, const char *other)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		if (renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) != 0)
			_exit(1);
}

struct seen {
	unsigned ours, refused, others;
};

static void
look(const char *path, bool held, struct seen *seen)
{
	struct cm_buf b = { 0 };
	char name[64];
	bool is_folder;
	enum cm_err err;
	int fd = -1;

	if (held && (err = cm_file_hold(path, CM_FILE_TRUSTED, NULL, &fd, &is_folder)) == CM_OK) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		assert_int_equal(cm_file_read(name, 100, CM_FILE_ANY, NULL, &b), CM_OK);	/* as a library does */
		close(fd);
	} else if (!held) {
		err = cm_file_read(path, 100, CM_FILE_SECRET, NULL, &b);
	}
	assert_true(err == CM_OK || err == CM_ERR_CONFIG);
	seen->refused += err == CM_ERR_CONFIG;
	seen->ours += err == CM_OK && strcmp(cm_buf_str(&b), "ours") == 0;
	seen->others += err == CM_OK && strcmp(cm_buf_str(&b), "ours") != 0;
	cm_buf_free(&b);
}

/* What was judged is what is read, though the name leads to another file in between. */
static void
swapped_between(void **state)
{
	char folder[] = "/tmp/cm_file_XXXXXX", ours[64], others[64], command[64];

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(folder));
	snprintf(ours, sizeof(ours), "%s/ours", folder);
	snprintf(others, sizeof(others), "%s/others", folder);
	for (int held = 0; held < 2; held++) {
		const cm_deadline deadline = cm_deadline_in(60000);
		struct seen seen = { 0 };
		int status;
		pid_t pid;

		assert_int_equal(write_file(ours, "ours"), 0);
		assert_int_equal(write_file(others, "others"), 0);
		assert_int_equal(chmod(ours, 0600), 0);
		assert_int_equal(chmod(others, 0600), 0);
		assert_int_equal(chown(others, GROUP, GROUP), 0);
		if ((pid = fork()) == 0)
			swap(ours, others);
		while ((seen.ours < 500 || seen.refused < 500) && !cm_deadline_passed(deadline))
			look(ours, held, &seen);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(seen.others, 0);
		assert_true(seen.ours >= 500 && seen.refused >= 500);
		unlink(ours);
		unlink(others);
	}
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
}

/* Who may make files in a folder; and what is neither. */
static void
held(void **state)
{
	char folder[] = "/tmp/cm_file_XXXXXX", path[64], pipe[64], command[64];
	bool is_folder = false;
	int fd = -1;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/file", folder);
	snprintf(pipe, sizeof(pipe), "%s/pipe", folder);
	assert_int_equal(cm_file_hold(path, CM_FILE_TRUSTED, NULL, &fd, &is_folder), CM_ERR_ABSENT);
	assert_int_equal(write_file(path, "x"), 0);
	assert_int_equal(cm_file_hold(path, CM_FILE_TRUSTED, NULL, &fd, &is_folder), CM_OK);
	assert_false(is_folder);
	close(fd);
	assert_int_equal(chmod(path, 0646), 0);
	assert_int_equal(cm_file_hold(path, CM_FILE_TRUSTED, NULL, &fd, &is_folder), CM_ERR_CONFIG);
	assert_int_equal(fd, -1);
	assert_int_equal(cm_file_hold(folder, CM_FILE_TRUSTED, NULL, &fd, &is_folder), CM_OK);
	assert_true(is_folder);
	close(fd);
	assert_int_equal(chmod(folder, 0770), 0);
	assert_int_equal(cm_file_hold(folder, CM_FILE_TRUSTED, NULL, &fd, &is_folder), CM_ERR_CONFIG);
	assert_int_equal(mkfifo(pipe, 0600), 0);
	assert_int_equal(cm_file_hold(pipe, CM_FILE_ANY, NULL, &fd, &is_folder), CM_ERR_CONFIG);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whose_secret),
		cmocka_unit_test(swapped_between),
		cmocka_unit_test(held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
