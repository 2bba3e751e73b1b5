/* tests/base/test_secret.c - a PIN in memory: read with a deadline, locked, gone from children and core files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/secret.h"

/* The page with the secret in it as it was last, between two that nobody may touch. */
static char last[CM_SECRET_MAX];
static unsigned given_back;

int __real_munmap(void *address, size_t length);
int __wrap_munmap(void *address, size_t length);

int
__wrap_munmap(void *address, size_t length)
{
	memcpy(last, (char *)address + sysconf(_SC_PAGESIZE), sizeof(last));
	given_back++;
	return __real_munmap(address, length);
}

static void
test_wiped(void **state)
{
	struct cm_secret *s = NULL;

	(void)state;
	assert_int_equal(cm_secret_new(cm_blob_str("654321"), &s), CM_OK);
	cm_secret_free(&s);
	assert_int_equal(given_back, 1);
	for (size_t i = 0; i < sizeof(last); i++)
		assert_int_equal(last[i], 0);
	cm_secret_free(&s);	/* NULL is fine */
	assert_int_equal(given_back, 1);
}

static void
test_read_line(void **state)
{
	struct cm_secret *s = NULL;
	char rest[8] = "";
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "40718259\nrest", 13), 13);
	assert_int_equal(cm_secret_read(p[0], cm_deadline_in(1000), &s), CM_OK);
	assert_true(cm_blob_equal(cm_secret_bytes(s), cm_blob_str("40718259")));
	assert_int_equal(read(p[0], rest, sizeof(rest)), 4);	/* what follows is the caller's */
	cm_secret_free(&s);
	assert_null(s);
	close(p[1]);
	assert_int_equal(cm_secret_read(p[0], cm_deadline_in(1000), &s), CM_ERR_ABSENT);
	close(p[0]);
}

static void
test_deadline_and_limit(void **state)
{
	struct cm_secret *s = NULL;
	char much[CM_SECRET_MAX + 1];
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(cm_secret_read(p[0], cm_deadline_in(20), &s), CM_ERR_OFFLINE);
	assert_null(s);
	memset(much, 'x', sizeof(much));
	assert_int_equal(write(p[1], much, sizeof(much)), (ssize_t)sizeof(much));
	assert_int_equal(cm_secret_read(p[0], cm_deadline_in(1000), &s), CM_ERR_SYNTAX);
	assert_null(s);
	close(p[0]);
	close(p[1]);
}

/* A child has nothing of it, the kernel keeps it out of swap and core files. */
static void
test_locked_and_not_inherited(void **state)
{
	struct cm_secret *s = NULL;
	char line[256];
	unsigned locked = 0, no_dump = 0;
	FILE *maps;
	int status;

	(void)state;
	assert_int_equal(cm_secret_new(cm_blob_str("654321"), &s), CM_OK);
	assert_non_null(maps = fopen("/proc/self/smaps", "r"));
	while (fgets(line, sizeof(line), maps) != NULL)
		if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " lo ") != NULL) {
			locked++;
			no_dump += strstr(line, " dd ") != NULL;
		}
	fclose(maps);
	assert_true(locked > 0);
	assert_int_equal(locked, no_dump);
	if (fork() == 0)
		_exit(cm_secret_bytes(s).len == 0 ? 0 : 1);
	wait(&status);
	assert_int_equal(WEXITSTATUS(status), 0);
	cm_secret_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wiped),
		cmocka_unit_test(test_read_line),
		cmocka_unit_test(test_deadline_and_limit),
		cmocka_unit_test(test_locked_and_not_inherited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
