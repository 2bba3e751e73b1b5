/* base/log_send.c - datagrams to the system's log, each with a deadline: a log that hangs keeps nobody out. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log_internal.h"

static int
connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const int len = snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t size = sizeof(a);

	if (path[0] == '@') {		/* unix(7): an abstract name has a length, and no NUL at its end */
		a.sun_path[0] = '\0';
		size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len);
	}
	if (fd >= 0 && ((size_t)len >= sizeof(a.sun_path) || connect(fd, (const struct sockaddr *)&a, size) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* syslog(3) and sd_journal_sendv(3) would wait for ever. */
bool
cm_log_datagram(const char *path, struct cm_blob message, cm_deadline deadline)
{
	struct pollfd p = { .fd = connect_to(path), .events = POLLOUT };
	ssize_t sent;

	if (p.fd < 0)
		return false;
	while ((sent = send(p.fd, message.ptr, message.len, MSG_NOSIGNAL)) < 0 &&
	    (errno == EAGAIN || errno == EINTR) && poll(&p, 1, cm_deadline_left(deadline)) != 0)
		;
	close(p.fd);
	return sent >= 0;
}

bool
cm_log_send(const char *path, int priority, const char *line, cm_deadline deadline)
{
	const time_t now = time(NULL);
	struct cm_buf message;
	char date[32] = "";
	struct tm tm;
	bool sent;

	if (localtime_r(&now, &tm) != NULL)
		strftime(date, sizeof(date), "%b %e %T", &tm);
	cm_buf_init(&message, 0);
	cm_buf_addf(&message, "<%d>%s cardmap[%d]: %s", priority, date, (int)getpid(), line);
	sent = cm_log_datagram(path, cm_buf_blob(&message), deadline);
	cm_buf_free(&message);
	return sent;
}

/* NAME, newline, length in 64 bits, little end first, value, newline. */
void
cm_log_add_field(struct cm_buf *message, const char *name, struct cm_blob value)
{
	cm_buf_add_str(message, name);
	cm_buf_add_byte(message, '\n');
	for (unsigned shift = 0; shift < 64; shift += 8)
		cm_buf_add_byte(message, (uint8_t)((uint64_t)value.len >> shift));
	cm_buf_add_blob(message, value);
	cm_buf_add_byte(message, '\n');
}

bool
cm_log_is_journal(int fd, const char *journal_stream)
{
	char own[64];
	struct stat st;

	if (journal_stream == NULL || fstat(fd, &st) != 0)
		return false;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(own, journal_stream) == 0;
}
