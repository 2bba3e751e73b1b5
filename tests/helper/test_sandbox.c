/* tests/helper/test_sandbox.c - what cardmap-card cannot do once it is confined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper/helper.h"

static bool
no_exec(void)
{
	char *const arguments[] = { "true", NULL };

	return execve("/bin/true", arguments, arguments + 1) == -1 && errno == EPERM;
}

static bool
no_fork(void)
{
	return fork() == -1 && errno == EPERM && vfork() == -1 && errno == EPERM;
}

static void *
nothing(void *arg)
{
	return arg;
}

static bool
threads(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

static bool
no_look_into_others(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1 && errno == EPERM;
}

static bool
no_sockets_of_other_families(void)
{
	static const int families[] = { AF_PACKET, AF_BLUETOOTH, AF_VSOCK, AF_KEY, AF_ALG };

	for (size_t i = 0; i < CM_COUNT(families); i++)
		if (socket(families[i], SOCK_RAW, 0) != -1 || errno != EAFNOSUPPORT)
			return false;
	return true;
}

static bool
sockets_that_are_needed(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 && socket(AF_INET, SOCK_DGRAM, 0) >= 0 &&
	    (socket(AF_INET6, SOCK_DGRAM, 0) >= 0 || errno == EAFNOSUPPORT);
}

static bool
no_other_user(void)
{
	return setuid(65534) == -1 && errno == EPERM && setresgid(65534, 65534, 65534) == -1 && errno == EPERM;
}

static bool
no_files_of_others(void)
{
	return chmod("/tmp", 0777) == -1 && errno == EPERM && chown("/tmp", 0, 0) == -1 && errno == EPERM;
}

static bool
no_new_privileges(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static const struct row {
	const char *what;
	bool (*holds)(void);
} rows[] = {
	{ "no program is started", no_exec },
	{ "no process is made", no_fork },
	{ "threads are", threads },
	{ "nobody is traced", no_look_into_others },
	{ "no sockets but those to pcscd and KDCs", no_sockets_of_other_families },
	{ "those", sockets_that_are_needed },
	{ "no other user", no_other_user },
	{ "no change of others' files", no_files_of_others },
	{ "no new privileges", no_new_privileges },
};

/* Each in a process of its own. */
static void
test_what_is_left(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const pid_t child = fork();
		int status = 0;

		assert_true(child >= 0);
		if (child == 0) {

			if (cm_helper_confine() != CM_OK)
				_exit(2);
			_exit(rows[i].holds() ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status != 0)
			fail_msg("%s: status %d", rows[i].what, status);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
