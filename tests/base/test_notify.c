/* tests/base/test_notify.c - what a service manager is told, as sd_notify(3) and sd_watchdog_enabled(3) have it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/notify.h"

/* A manager's socket, of a path or, with "@", of an abstract name; NOTIFY_SOCKET says which. */
static int
manage(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const size_t len = strlen(name);
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0 && len < sizeof(a.sun_path));
	memcpy(a.sun_path, name, len);
	if (name[0] == '@')
		a.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	return fd;
}

static void
test_states(void **state)
{
	char folder[] = "/tmp/cm_test_notify.XXXXXX", path[64], name[64], got[64];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	snprintf(name, sizeof(name), "@cm_test_notify.%d", getpid());
	for (int i = 0; i < 2; i++) {
		const int fd = manage(i == 0 ? path : name);

		assert_true(cm_notify("READY=1"));
		assert_true(cm_notify("WATCHDOG=1"));
		assert_int_equal(recv(fd, got, sizeof(got), 0), 7);
		assert_memory_equal(got, "READY=1", 7);
		assert_int_equal(recv(fd, got, sizeof(got), 0), 10);
		assert_memory_equal(got, "WATCHDOG=1", 10);
		close(fd);
		assert_false(cm_notify("READY=1"));
	}
	unlink(path);
	rmdir(folder);
}

static void
test_nobody_listens(void **state)
{
	static const char *const names[] = { "", "relative", "/nowhere/socket", "vsock:2:9999" };
	char longest[200];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_false(cm_notify("READY=1"));
	for (size_t i = 0; i < CM_COUNT(names); i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		assert_false(cm_notify("READY=1"));
	}
	/* longer than a socket's name can be: not the socket of its beginning */
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	longest[0] = '@';
	setenv("NOTIFY_SOCKET", longest, 1);
	assert_false(cm_notify("READY=1"));
}

static void
test_watchdog(void **state)
{
	char own[16];
	const struct {
		const char *usec, *pid;
		unsigned want;
	} cases[] = {
		{ NULL, NULL, 0 }, { "30000000", NULL, 15000 }, { "30000000", own, 15000 }, { "30000000", "1", 0 },
		{ "30000000", "", 0 }, { "1999", NULL, 0 }, { "2000", NULL, 1 }, { "", NULL, 0 }, { "-1", NULL, 0 },
		{ "30s", NULL, 0 }, { "18446744073709551615", NULL, 2147483647 }, { "18446744073709551616", NULL, 0 },
	};

	(void)state;
	snprintf(own, sizeof(own), "%d", getpid());
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		unsetenv("WATCHDOG_USEC");
		unsetenv("WATCHDOG_PID");
		if (cases[i].usec != NULL)
			setenv("WATCHDOG_USEC", cases[i].usec, 1);
		if (cases[i].pid != NULL)
			setenv("WATCHDOG_PID", cases[i].pid, 1);
		if (cm_notify_watchdog() != cases[i].want)
			fail_msg("WATCHDOG_USEC=%s: %u", cases[i].usec != NULL ? cases[i].usec : "-", cm_notify_watchdog());
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_watchdog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
