/* tests/trust/web.c - a small HTTP server in a thread, that answers as a test says. */
#include "tests/trust/web.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HUGE_SIZE	(42 << 20)

static bool
send_all(int fd, const void *p, size_t len)
{
	const uint8_t *from = p;

	while (len > 0) {
		const ssize_t n = send(fd, from, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		from += n;
		len -= (size_t)n;
	}
	return true;
}

static void
send_head(int fd, int status, const char *more, long length)
{
	char head[512];
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nConnection: close\r\n%s", status, more);

	if (length >= 0)
		n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Length: %ld\r\n", length);
	n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
	send_all(fd, head, (size_t)n);
}

static void
send_body(int fd, const void *p, size_t len)
{
	send_head(fd, 200, "", (long)len);
	send_all(fd, p, len);
}

/* Until the client leaves; pace in ms. */
static bool
client_stays(int fd, int pace)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	return poll(&p, 1, pace) == 0 || recv(fd, &c, 1, 0) > 0;
}

static void
send_zeros(int fd, long announced)
{
	static const uint8_t zeros[1 << 16];

	send_head(fd, 200, "", announced);
	for (size_t sent = 0; sent < HUGE_SIZE; sent += sizeof(zeros))
		if (!send_all(fd, zeros, sizeof(zeros)))
			return;
}

static void
send_answer(struct web *w, int fd, const uint8_t *body, size_t len)
{
	int n;
	uint8_t *der = make_answer(&w->answer, body, len, &n);

	send_body(fd, der, (size_t)n);
	OPENSSL_free(der);
}

static void
reply(struct web *w, int fd, const uint8_t *body, size_t len)
{
	char location[256];

	switch (w->mode) {
	case WEB_OCSP:
		send_answer(w, fd, body, len);
		break;
	case WEB_BYTES:
		send_body(fd, w->bytes, w->len);
		break;
	case WEB_STATUS:
		send_head(fd, w->status, "", 0);
		break;
	case WEB_SILENT:
		while (client_stays(fd, 1000))
			continue;
		break;
	case WEB_DRIP:
		send_head(fd, 200, "", 1000);
		while (client_stays(fd, 50) && send_all(fd, "0", 1))
			continue;
		break;
	case WEB_HUGE:
		send_zeros(fd, HUGE_SIZE);
		break;
	case WEB_ENDLESS:
		send_zeros(fd, -1);
		break;
	case WEB_SHORT:
		send_head(fd, 200, "", 1000);
		send_all(fd, "0\x82\x03", 3);
		break;
	case WEB_REDIRECT:
		snprintf(location, sizeof(location), "Location: %s\r\n", w->location);
		send_head(fd, 302, location, 0);
		break;
	}
}

static size_t
content_length(const char *head)
{
	const char *p = strcasestr(head, "\r\nContent-Length:");

	return p != NULL ? strtoul(p + 17, NULL, 10) : 0;
}

static void
serve(struct web *w, int fd)
{
	char request[8192] = "";
	size_t len = 0;
	ssize_t n;

	while ((n = recv(fd, request + len, sizeof(request) - 1 - len, 0)) > 0) {
		const char *end;

		len += (size_t)n;
		request[len] = '\0';
		if ((end = memmem(request, len, "\r\n\r\n", 4)) == NULL)
			continue;
		end += 4;
		if (len - (size_t)(end - request) < content_length(request))
			continue;
		atomic_fetch_add(&w->asked, 1);
		reply(w, fd, (const uint8_t *)end, len - (size_t)(end - request));
		return;
	}
}

static void *
run(void *arg)
{
	struct web *w = arg;
	int fd;

	while ((fd = accept(w->fd, NULL, NULL)) >= 0) {
		serve(w, fd);
		close(fd);
	}
	return NULL;
}

void
web_start(struct web *w)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);

	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(w->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(w->fd, 16), 0);
	assert_int_equal(getsockname(w->fd, (struct sockaddr *)&a, &len), 0);
	snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%d/", ntohs(a.sin_port));
	atomic_store(&w->asked, 0);
	assert_int_equal(pthread_create(&w->thread, NULL, run, w), 0);
}

void
web_stop(struct web *w)
{
	shutdown(w->fd, SHUT_RDWR);	/* wakes accept() */
	pthread_join(w->thread, NULL);
	close(w->fd);
}
