/* tests/trust/web.c - a small HTTP server in threads, that answers as a test says. */
#include "tests/trust/web.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "trust/fetch.h"

#define HUGE_SIZE	(42 << 20)

/* One connection while it is served. */
struct conn {
	struct web *w;
	const struct web_wire *wire;
	void *c;
	int fd;
	bool over;		/* nothing more is answered on it */
};

static void *
plain_open(struct web *w, int fd)
{
	(void)w;
	return (void *)(intptr_t)(fd + 1);
}

static long
plain_receive(void *c, void *p, size_t len)
{
	return recv((int)(intptr_t)c - 1, p, len, 0);
}

static long
plain_send(void *c, const void *p, size_t len)
{
	return send((int)(intptr_t)c - 1, p, len, MSG_NOSIGNAL);
}

static void
plain_close(void *c)
{
	(void)c;
}

static const struct web_wire plain = { plain_open, plain_receive, plain_send, plain_close };

static bool
send_all(struct conn *c, const void *p, size_t len)
{
	const uint8_t *from = p;

	while (len > 0) {
		const long n = c->wire->send(c->c, from, len);

		if (n <= 0) {
			c->over = true;
			return false;
		}
		from += n;
		len -= (size_t)n;
	}
	return true;
}

static bool
send_text(struct conn *c, const char *text)
{
	return send_all(c, text, strlen(text));
}

/* length -1: the end of the connection is the end of the answer, or more says where it is. */
static void
send_head(struct conn *c, int status, const char *more, long length)
{
	struct cm_buf head = { 0 };

	cm_buf_addf(&head, "HTTP/1.1 %d X\r\n%s%s", status, c->w->head != NULL ? c->w->head : "", more);
	if (length >= 0)
		cm_buf_addf(&head, "Content-Length: %ld\r\n", length);
	else if (strstr(more, "chunked") == NULL)
		c->over = true;
	cm_buf_add_str(&head, c->over ? "Connection: close\r\n\r\n" : "\r\n");
	send_text(c, cm_buf_str(&head));
	cm_buf_free(&head);
}

/* Until the client leaves; pace in ms. */
static bool
client_stays(struct conn *c, int pace)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	char byte;

	return poll(&p, 1, pace) == 0 || recv(c->fd, &byte, 1, 0) > 0;
}

static void
send_zeros(struct conn *c, long announced)
{
	static const uint8_t zeros[1 << 16];

	send_head(c, 200, "", announced);
	for (size_t sent = 0; sent < HUGE_SIZE; sent += sizeof(zeros))
		if (!send_all(c, zeros, sizeof(zeros)))
			return;
}

/* RFC 5019 section 5: the request is the last part of the path.  Its length; 0: there is none. */
static size_t
asked_by_get(const char *request, uint8_t der[512])
{
	const char *at = memrchr(request, '/', strlen("GET ") + strcspn(request + strlen("GET "), " ?\r"));
	uint8_t text[512];
	size_t len = 0, n;

	for (at = at != NULL ? at + 1 : ""; *at != '\0' && *at != ' ' && *at != '?' && len < sizeof(text); at++) {
		char hex[3] = "";

		text[len++] = (uint8_t)*at;
		if (*at == '%' && at[1] != '\0' && at[2] != '\0') {
			memcpy(hex, at + 1, 2);
			text[len - 1] = (uint8_t)strtoul(hex, NULL, 16);
			at += 2;
		}
	}
	n = cm_base64_parse((struct cm_blob){ text, len }, true, der);
	return n != SIZE_MAX ? n : 0;
}

static void
send_answer(struct conn *c, const char *request, const uint8_t *body, size_t len)
{
	uint8_t asked[512], *der;
	int n;

	if (strncmp(request, "GET ", 4) == 0) {
		len = asked_by_get(request, asked);
		body = asked;
	}
	der = make_answer(&c->w->answer, body, len, &n);
	send_head(c, 200, "", n);
	send_all(c, der, (size_t)n);
	OPENSSL_free(der);
}

/* ---- conditions and ranges (RFC 9110, 13 and 14) */

/* Does the request have this header line? */
static bool
has_line(const char *request, const char *name, const char *value)
{
	char want[256];

	if (value == NULL)
		return false;
	snprintf(want, sizeof(want), "\r\n%s: %s\r\n", name, value);
	return strcasestr(request, want) != NULL;
}

static bool
unchanged(const struct web *w, const char *request)
{
	if (strcasestr(request, "\r\nIf-None-Match:") != NULL)
		return has_line(request, "If-None-Match", w->etag);
	return has_line(request, "If-Modified-Since", w->modified);
}

/* Where the range that is asked for begins; 0: none that holds. */
static size_t
range_begins(const struct web *w, const char *request)
{
	const char *range = strcasestr(request, "\r\nRange: bytes=");

	if (range == NULL || w->range == WEB_RANGE_NONE || !has_line(request, "If-Range", w->etag))
		return 0;
	return strtoul(range + 15, NULL, 10);
}

static void
add_validators(const struct web *w, const char *etag, struct cm_buf *more)
{
	if (etag != NULL)
		cm_buf_addf(more, "ETag: %s\r\n", etag);
	if (w->modified != NULL)
		cm_buf_addf(more, "Last-Modified: %s\r\n", w->modified);
}

static void
send_chunk(struct conn *c, const uint8_t *p, size_t len)
{
	char size[32];

	snprintf(size, sizeof(size), "%zx\r\n", len);
	send_text(c, size);
	send_all(c, p, len);
	send_text(c, "\r\n0\r\n\r\n");
}

static void
send_part(struct conn *c, size_t at)
{
	const struct web *w = c->w;
	struct cm_buf more = { 0 };
	size_t len = w->len - at;

	add_validators(w, w->range == WEB_RANGE_ETAG ? "\"other\"" : w->etag, &more);
	if (w->range != WEB_RANGE_UNNAMED)
		cm_buf_addf(&more, "Content-Range: bytes %zu-%zu/%zu\r\n", at - (w->range == WEB_RANGE_OTHER),
		    w->len - 1 - (w->range == WEB_RANGE_CUT), w->range == WEB_RANGE_TOTAL ? w->len - 1 : w->len);
	if (w->range == WEB_RANGE_LESS || w->range == WEB_RANGE_MORE) {
		cm_buf_add_str(&more, "Transfer-Encoding: chunked\r\n");
		send_head(c, 206, cm_buf_str(&more), -1);
		if (w->range == WEB_RANGE_LESS)
			send_chunk(c, w->bytes + at, len - 1);
		else
			send_chunk(c, w->bytes, w->len);
	} else {
		send_head(c, 206, cm_buf_str(&more), (long)len);
		send_all(c, w->bytes + at, len);
	}
	cm_buf_free(&more);
}

static void
send_bytes(struct conn *c, const char *request)
{
	const struct web *w = c->w;
	const size_t at = range_begins(w, request);
	struct cm_buf more = { 0 };

	add_validators(w, w->etag, &more);
	if (unchanged(w, request)) {
		send_head(c, 304, cm_buf_str(&more), -1);
		c->over = true;
	} else if (at > 0 && w->range == WEB_RANGE_REFUSED) {
		send_head(c, 416, cm_buf_str(&more), 0);
	} else if (at > 0) {
		send_part(c, at);
	} else {
		send_head(c, 200, cm_buf_str(&more), (long)w->len);
		send_all(c, w->bytes, w->sent > 0 ? w->sent : w->len);
		c->over = c->over || w->sent > 0;
	}
	cm_buf_free(&more);
}

/* ---- the other modes */

static void
send_redirect(struct conn *c)
{
	struct cm_buf more = { 0 };

	cm_buf_addf(&more, "Location: %s\r\n", c->w->location);
	send_head(c, c->w->status != 0 ? c->w->status : 302, cm_buf_str(&more), (long)c->w->len);
	for (size_t i = 0; i < c->w->len && send_all(c, ".", 1); i++)
		continue;
	cm_buf_free(&more);
}

static void
send_lines(struct conn *c)
{
	send_text(c, "HTTP/1.1 200 X\r\n");
	while (send_text(c, "X-Line: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n"))
		continue;
}

/* What begins so has no end. */
static void
send_endless(struct conn *c, const char *head)
{
	send_text(c, head);
	while (send_text(c, "0123456789012345678901234567890123456789012345678901234567890123456789"))
		continue;
}

static void
drip(struct conn *c, const char *head)
{
	send_text(c, head);
	while (client_stays(c, 50) && send_text(c, "0"))
		continue;
	c->over = true;
}

static void
reply(struct conn *c, const char *request, const uint8_t *body, size_t len)
{
	struct web *w = c->w;

	switch (w->mode) {
	case WEB_OCSP:
		send_answer(c, request, body, len);
		break;
	case WEB_BYTES:
		send_bytes(c, request);
		break;
	case WEB_STATUS:
		send_head(c, w->status, "", 0);
		break;
	case WEB_SILENT:
		while (client_stays(c, 1000))
			continue;
		c->over = true;
		break;
	case WEB_DRIP:
		send_head(c, w->status != 0 ? w->status : 200, "", 1000);
		drip(c, "");
		break;
	case WEB_DRIP_HEAD:
		drip(c, "HTTP/1.1 200 X\r\nX-Line: ");
		break;
	case WEB_HUGE:
		send_zeros(c, HUGE_SIZE);
		break;
	case WEB_ENDLESS:
		send_zeros(c, -1);
		break;
	case WEB_HEADERS:
		send_lines(c);
		break;
	case WEB_LINE:
		send_endless(c, "HTTP/1.1 200 X\r\nX-Line: ");
		break;
	case WEB_CHUNK:
		send_endless(c, "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n1;x=");
		break;
	case WEB_SHORT:
		send_head(c, 200, "", 1000);
		send_all(c, "0\x82\x03", 3);
		c->over = true;
		break;
	case WEB_CLOSE:
		c->over = true;
		break;
	case WEB_RAW:
		send_all(c, w->bytes, w->len);
		c->over = true;
		break;
	case WEB_REDIRECT:
		send_redirect(c);
		break;
	}
}

/* ---- connections */

static size_t
content_length(const char *head)
{
	const char *p = strcasestr(head, "\r\nContent-Length:");

	return p != NULL ? strtoul(p + 17, NULL, 10) : 0;
}

/* Until as many have come as are to. */
static void
gather(struct web *w, const char *request)
{
	pthread_mutex_lock(&w->lock);
	memcpy(w->request, request, strlen(request) + 1);
	atomic_fetch_add(&w->asked, 1);
	pthread_cond_broadcast(&w->gathered);
	while (atomic_load(&w->asked) < w->gather && !w->stopping)
		pthread_cond_wait(&w->gathered, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

/* One request off the connection, and its answer. */
static void
serve(struct conn *c)
{
	char request[sizeof(c->w->request)] = "";
	const char *end = NULL;
	size_t len = 0;
	long n;

	while (end == NULL || len - (size_t)(end + 4 - request) < content_length(request)) {
		if (len == sizeof(request) - 1 ||
		    (n = c->wire->receive(c->c, request + len, sizeof(request) - 1 - len)) <= 0) {
			c->over = true;
			return;
		}
		len += (size_t)n;
		request[len] = '\0';
		end = memmem(request, len, "\r\n\r\n", 4);
	}
	gather(c->w, request);
	reply(c, request, (const uint8_t *)end + 4, len - (size_t)(end + 4 - request));
}

static void *
run_connection(void *arg)
{
	struct web_connection *at = arg;
	struct web *w = at->web;
	struct conn c = { .w = w, .wire = w->wire != NULL ? w->wire : &plain, .fd = at->fd };

	if ((c.c = c.wire->open(w, c.fd)) != NULL) {
		while (!c.over)
			serve(&c);
		c.wire->close(c.c);
	}
	/* The descriptor lives until the server stops. */
	shutdown(c.fd, SHUT_RDWR);
	return NULL;
}

static void *
run(void *arg)
{
	struct web *w = arg;
	int fd;

	while ((fd = accept(w->fd, NULL, NULL)) >= 0) {
		struct web_connection *c = &w->conns[w->count];

		if (w->count == WEB_CONNECTIONS_MAX) {
			close(fd);
			continue;
		}
		*c = (struct web_connection){ .web = w, .fd = fd };
		atomic_fetch_add(&w->connections, 1);
		if (pthread_create(&c->thread, NULL, run_connection, c) == 0)
			w->count++;
		else
			close(fd);
	}
	return NULL;
}

void
web_start(struct web *w)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	const char *host = w->host != NULL ? w->host : "127.0.0.1";
	socklen_t len = sizeof(a);

	assert_int_equal(inet_pton(AF_INET, host, &a.sin_addr), 1);
	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(w->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(w->fd, 16), 0);
	assert_int_equal(getsockname(w->fd, (struct sockaddr *)&a, &len), 0);
	snprintf(w->url, sizeof(w->url), "http%s://%s:%d/", w->wire != NULL ? "s" : "", host, ntohs(a.sin_port));
	atomic_store(&w->asked, 0);
	atomic_store(&w->connections, 0);
	w->count = 0;
	w->stopping = false;
	assert_int_equal(pthread_mutex_init(&w->lock, NULL), 0);
	assert_int_equal(pthread_cond_init(&w->gathered, NULL), 0);
	assert_int_equal(pthread_create(&w->thread, NULL, run, w), 0);
}

void
web_stop(struct web *w)
{
	shutdown(w->fd, SHUT_RDWR);	/* wakes accept() */
	pthread_join(w->thread, NULL);
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->gathered);
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < w->count; i++) {
		shutdown(w->conns[i].fd, SHUT_RDWR);
		pthread_join(w->conns[i].thread, NULL);
		close(w->conns[i].fd);
	}
	close(w->fd);
	pthread_cond_destroy(&w->gathered);
	pthread_mutex_destroy(&w->lock);
}

void
web_fetch(struct cm_fetch *f)
{
	const struct cm_fetcher_options o = { 0 };
	struct cm_fetcher *fetcher;

	assert_int_equal(cm_fetcher_new(&o, &fetcher), CM_OK);
	assert_int_equal(cm_fetcher_add(fetcher, f), CM_OK);
	assert_ptr_equal(cm_fetcher_next(fetcher, f->deadline + 20000), f);
	cm_fetcher_free(&fetcher);
}
