/* tests/base/test_log.c - decisions on their way to the log daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/log_internal.h"

/* A log daemon's socket of this test's own. */
struct daemon {
	struct sockaddr_un at;
	int fd;
};

static void
begin(struct daemon *d)
{
	d->at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(d->at.sun_path, sizeof(d->at.sun_path), "/tmp/cardmap-log-%d", (int)getpid());
	unlink(d->at.sun_path);
	d->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(d->fd, (struct sockaddr *)&d->at, sizeof(d->at)), 0);
}

static void
end(struct daemon *d)
{
	close(d->fd);
	unlink(d->at.sun_path);
}

static void
test_line_is_what_syslog_writes(void **state)
{
	char line[256] = "", want[64];
	struct daemon d;

	(void)state;
	begin(&d);
	assert_true(cm_log_send(d.at.sun_path, LOG_AUTHPRIV | LOG_NOTICE, "login refused", cm_deadline_in(5000)));
	assert_true(recv(d.fd, line, sizeof(line) - 1, 0) > 0);
	/* authpriv is 10, notice 5: RFC 3164 section 4.1.1; then "Nov 21 09:00:00", 15 characters */
	assert_memory_equal(line, "<85>", 4);
	snprintf(want, sizeof(want), " cardmap[%d]: login refused", (int)getpid());
	assert_string_equal(line + 4 + 15, want);
	end(&d);
}

static void
test_daemon_that_hangs_is_given_up(void **state)
{
	struct daemon d;
	unsigned sent = 0;

	(void)state;
	begin(&d);
	while (cm_log_send(d.at.sun_path, LOG_AUTHPRIV | LOG_INFO, "login ok", cm_deadline_in(50)))
		assert_true(++sent < 100000);
	assert_true(sent > 0);
	end(&d);
	assert_false(cm_log_send(d.at.sun_path, LOG_AUTHPRIV | LOG_INFO, "login ok", cm_deadline_in(50)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_is_what_syslog_writes),
		cmocka_unit_test(test_daemon_that_hangs_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
