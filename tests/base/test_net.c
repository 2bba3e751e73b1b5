/* tests/base/test_net.c - waits and connections end at their deadline, and say why. (Names: tests/ldap, tests/krb5.) */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/net.h"

static void
test_wait(void **state)
{
	int ends[2];
	int64_t began;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	began = cm_clock_us();
	assert_int_equal(cm_net_wait(ends[0], POLLIN, cm_deadline_in(50)), ETIMEDOUT);
	assert_in_range(cm_clock_us() - began, 45000, 2000000);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(cm_net_wait(ends[0], POLLIN, cm_deadline_in(0)), 0);
	close(ends[0]);
	close(ends[1]);
}

/* An address is nobody's to look up: it is there though no time is left. */
static void
test_connect(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct cm_lookup *pending = NULL;
	struct addrinfo *to = NULL;
	socklen_t len = sizeof(at);
	char port[8];
	int fd = -1;

	(void)state;
	assert_int_equal(bind(server, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(server, (struct sockaddr *)&at, &len), 0);
	snprintf(port, sizeof(port), "%u", ntohs(at.sin_port));
	assert_int_equal(cm_net_resolve("127.0.0.1", port, cm_deadline_in(0), &pending, &to), 0);
	assert_null(pending);
	assert_int_equal(cm_net_connect(to, SOCK_STREAM, cm_deadline_in(1000), &fd), ECONNREFUSED);
	assert_int_equal(fd, -1);
	assert_int_equal(listen(server, 1), 0);
	assert_int_equal(cm_net_connect(to, SOCK_STREAM, cm_deadline_in(1000), &fd), 0);
	assert_true(fd >= 0);
	close(fd);
	close(server);
	freeaddrinfo(to);
	cm_lookup_free(&pending);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
