/* tests/base/test_log.c - decisions on their way to the log daemon. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

/* ---- the journal's protocol: a socket at its own path, in a file system of this program's own */

static int
journal_setup(void **state)
{
	static struct daemon d;

	*state = NULL;
	if (geteuid() != 0)
		return 0;
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("tmpfs", "/run", "tmpfs", 0, NULL), 0);
	assert_int_equal(mkdir("/run/systemd", 0755) | mkdir("/run/systemd/journal", 0755), 0);
	d.at = (struct sockaddr_un){ .sun_family = AF_UNIX, .sun_path = CM_LOG_JOURNAL };
	d.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(d.fd, (struct sockaddr *)&d.at, sizeof(d.at)), 0);
	*state = &d;
	return 0;
}

static int
journal_teardown(void **state)
{
	struct daemon *d = *state;

	if (d != NULL)
		close(d->fd);
	return 0;
}

/* Fields as journald takes them apart: NAME, newline, 64 bits of length, value, newline.  One by one, and nothing else. */
struct fields {
	struct { char name[32]; char value[8192]; size_t len; } rows[32];
	size_t count;
};

static void
read_fields(int fd, struct fields *f)
{
	static uint8_t octets[65536];
	const ssize_t got = recv(fd, octets, sizeof(octets), MSG_DONTWAIT);
	const uint8_t *p = octets, *end = octets + (got > 0 ? got : 0);

	assert_true(got > 0);
	for (f->count = 0; p < end; f->count++) {
		const uint8_t *newline = memchr(p, '\n', (size_t)(end - p));
		size_t len = 0;

		assert_true(f->count < CM_COUNT(f->rows) && newline != NULL && newline - p < 32 && end - newline > 9);
		snprintf(f->rows[f->count].name, 32, "%.*s", (int)(newline - p), (const char *)p);
		assert_int_equal(strspn(f->rows[f->count].name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), newline - p);
		for (unsigned i = 0; i < 8; i++)
			len |= (size_t)newline[1 + i] << (8 * i);
		p = newline + 9;
		assert_true(len < 8192 && (size_t)(end - p) > len && p[len] == '\n');
		memcpy(f->rows[f->count].value, p, len);
		f->rows[f->count].value[len] = '\0';
		f->rows[f->count].len = len;
		p += len + 1;
	}
}

static const char *
value_of(const struct fields *f, const char *name)
{
	const char *found = NULL;

	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->rows[i].name, name) == 0) {
			assert_null(found);	/* each once */
			found = f->rows[i].value;
		}
	return found;
}

static const struct cm_log_entry decision = {
	.event = "login", .err = CM_ERR_REFUSED, .reason = CM_REASON_REVOKED, .text = "CN=Alice: revoked",
	.user = "alice", .uid = 10001, .reader = "Virtual PCD 00 00", .serial = "1a2b3c", .service = "sudo",
	.rhost = "10.0.0.7", .tty = "/dev/pts/3", .stages = "certificate 12.3 ms", .online = CM_LOG_ONLINE,
};

static void
test_journal_has_each_part_as_a_field(void **state)
{
	static const struct { const char *name, *value; } want[] = {
		{ "MESSAGE", "login refused reason=revoked: CN=Alice: revoked; service sudo; from 10.0.0.7; at /dev/pts/3; "
		    "reader Virtual PCD 00 00; serial 1a2b3c; stages certificate 12.3 ms" },
		{ "PRIORITY", "5" }, { "SYSLOG_FACILITY", "10" }, { "SYSLOG_IDENTIFIER", "cardmap" },
		{ "CARDMAP_EVENT", "login" }, { "CARDMAP_RESULT", "refused" }, { "CARDMAP_REASON", "revoked" },
		{ "CARDMAP_USER", "alice" }, { "CARDMAP_UID", "10001" }, { "CARDMAP_READER", "Virtual PCD 00 00" },
		{ "CARDMAP_SERIAL", "1a2b3c" }, { "CARDMAP_SERVICE", "sudo" }, { "CARDMAP_RHOST", "10.0.0.7" },
		{ "CARDMAP_TTY", "/dev/pts/3" }, { "CARDMAP_ONLINE", "yes" }, { "CARDMAP_STAGES", "certificate 12.3 ms" },
	};
	const struct daemon *d = *state;
	static struct fields f;

	if (d == NULL)
		skip();
	cm_log_write(CM_LOG_SYSLOG, &decision);
	read_fields(d->fd, &f);
	for (size_t i = 0; i < CM_COUNT(want); i++)
		assert_string_equal(value_of(&f, want[i].name), want[i].value);
	assert_int_equal(strlen(value_of(&f, "MESSAGE_ID")), 32);
	assert_int_equal(strspn(value_of(&f, "MESSAGE_ID"), "0123456789abcdef"), 32);
	assert_int_equal(f.count, CM_COUNT(want) + 1);
}

static void
test_what_is_not_known_is_no_field(void **state)
{
	const struct cm_log_entry e = { .event = "login", .text = "root", .uid = CM_LOG_NO_UID, .user = "" };
	const struct daemon *d = *state;
	static struct fields f;

	if (d == NULL)
		skip();
	cm_log_write(CM_LOG_SYSLOG, &e);
	read_fields(d->fd, &f);
	assert_string_equal(value_of(&f, "MESSAGE"), "login ok: root");
	assert_string_equal(value_of(&f, "PRIORITY"), "6");
	assert_null(value_of(&f, "CARDMAP_UID"));
	assert_null(value_of(&f, "CARDMAP_USER"));
	assert_null(value_of(&f, "CARDMAP_REASON"));
	assert_null(value_of(&f, "CARDMAP_ONLINE"));
}

/* Whoever chooses the text of a reader or of a host's name makes no field, and no second line, of his own. */
static void
test_no_value_breaks_the_fields(void **state)
{
	struct cm_log_entry e = decision;
	const struct daemon *d = *state;
	static struct fields f;
	char *flood = malloc(100001);

	assert_non_null(flood);
	memset(flood, 'x', 100000);
	flood[100000] = '\0';
	if (d == NULL)
		skip();
	e.rhost = "h\nCARDMAP_USER=root\nPRIORITY=0";
	e.user = "al\xff\x01ice\n";
	e.reader = flood;
	cm_log_write(CM_LOG_SYSLOG, &e);
	read_fields(d->fd, &f);
	assert_string_equal(value_of(&f, "CARDMAP_RHOST"), "h\\x0aCARDMAP_USER=root\\x0aPRIORITY=0");
	assert_string_equal(value_of(&f, "CARDMAP_USER"), "al\\xff\\x01ice\\x0a");
	assert_string_equal(value_of(&f, "PRIORITY"), "5");
	assert_int_equal(strlen(value_of(&f, "CARDMAP_READER")), 4096);
	assert_null(strchr(value_of(&f, "MESSAGE"), '\n'));
	free(flood);
}

/* Standard error goes to a person, unless the service manager says that it is the journal. */
static void
test_standard_error_is_the_journal_where_it_is_said_to_be(void **state)
{
	const struct daemon *d = *state;
	static struct fields f;
	char stream[64];
	struct stat st;

	if (d == NULL)
		skip();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	cm_log_write(CM_LOG_STDERR, &decision);
	assert_int_equal(recv(d->fd, stream, sizeof(stream), MSG_DONTWAIT), -1);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	cm_log_write(CM_LOG_STDERR, &decision);
	read_fields(d->fd, &f);
	assert_string_equal(value_of(&f, "CARDMAP_USER"), "alice");
	unsetenv("JOURNAL_STREAM");
}

static void
test_stages_are_told_with_their_times(void **state)
{
	struct cm_trace *t = NULL;
	struct cm_buf b = { 0 };

	(void)state;
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "certificate");
	cm_trace_end_told(t, CM_OK, CM_REASON_NONE, 12345);
	cm_trace_begin(t, "chain");
	(void)cm_trace_fail(t, CM_REASON_CERT_EXPIRED, "it expired");
	cm_trace_end_told(t, CM_ERR_REFUSED, CM_REASON_CERT_EXPIRED, 456);
	cm_log_stages(t, &b);
	assert_string_equal(cm_buf_str(&b), "certificate 12.3 ms, chain 0.4 ms (cert_expired)");
	cm_buf_free(&b);
	cm_trace_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_is_what_syslog_writes),
		cmocka_unit_test(test_daemon_that_hangs_is_given_up),
		cmocka_unit_test(test_journal_has_each_part_as_a_field),
		cmocka_unit_test(test_what_is_not_known_is_no_field),
		cmocka_unit_test(test_no_value_breaks_the_fields),
		cmocka_unit_test(test_standard_error_is_the_journal_where_it_is_said_to_be),
		cmocka_unit_test(test_stages_are_told_with_their_times),
	};

	return cmocka_run_group_tests(tests, journal_setup, journal_teardown);
}
