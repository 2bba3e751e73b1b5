/* tests/base/test_file.c - whose file is believed, and whose secret is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whose_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
