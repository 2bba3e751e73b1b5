/* base/log.c - one line for each decision, for administrators. */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/log_internal.h"

/* A log daemon that hangs does not keep people out. */
#define SYSLOG_WAIT_MS	500

static int
connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* syslog(3) would wait for ever. */
bool
cm_log_send(const char *path, int priority, const char *line, cm_deadline deadline)
{
	struct pollfd p = { .fd = connect_to(path), .events = POLLOUT };
	const time_t now = time(NULL);
	struct cm_buf message;
	char date[32] = "";
	struct tm tm;
	ssize_t sent;

	if (p.fd < 0)
		return false;
	if (localtime_r(&now, &tm) != NULL)
		strftime(date, sizeof(date), "%b %e %T", &tm);
	cm_buf_init(&message, 0);
	cm_buf_addf(&message, "<%d>%s cardmap[%d]: %s", priority, date, (int)getpid(), line);
	while ((sent = send(p.fd, cm_buf_str(&message), message.len, MSG_NOSIGNAL)) < 0 &&
	    (errno == EAGAIN || errno == EINTR) && poll(&p, 1, cm_deadline_left(deadline)) != 0)
		;
	cm_buf_free(&message);
	close(p.fd);
	return sent >= 0;
}

void
cm_log_event(enum cm_log_target target, const char *event, enum cm_err err,
    enum cm_reason reason, const char *fmt, ...)
{
	char text[1024];
	struct cm_buf line;
	va_list ap;

	if (target == CM_LOG_NONE)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cm_buf_init(&line, 0);
	cm_buf_addf(&line, "%s %s", event, cm_err_name(err));
	if (reason != CM_REASON_NONE)
		cm_buf_addf(&line, " reason=%s", cm_reason_name(reason));
	cm_buf_add_str(&line, ": ");
	cm_buf_add_printable(&line, cm_blob_str(text));
	if (target == CM_LOG_STDERR)
		fprintf(stderr, "cardmap: %s\n", cm_buf_str(&line));
	else
		(void)cm_log_send("/dev/log", LOG_AUTHPRIV | (err == CM_OK ? LOG_INFO : LOG_NOTICE),
		    cm_buf_str(&line), cm_deadline_in(SYSLOG_WAIT_MS));
	cm_buf_free(&line);
}
