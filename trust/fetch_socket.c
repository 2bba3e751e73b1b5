/* trust/fetch_socket.c - the connections of a fetcher: which addresses are connected to, how much comes over them. */
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "trust/fetch_internal.h"

static void
object_to_address(struct cm_transfer *t)
{
	cm_transfer_object(t, CM_OBJECTION_REDIRECTED_PRIVATE, "it sent us on to %s, which is a loopback, link-local or "
	    "private address; trust.private_redirects = yes allows that", cm_buf_str(&t->host));
}

/* The address that is connected to is judged, not the name: a name may lead anywhere. */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct cm_transfer *t = arg;
	struct cm_sockets *s = t->sockets;
	int fd;

	(void)purpose;
	t->named = true;
	if ((t->judged && cm_address_is_private(&a->addr)) || (t->not_own && cm_address_is_own(&a->addr))) {
		object_to_address(t);
		return CURL_SOCKET_BAD;
	}
	if (s->count == CM_COUNT(s->fds) || (fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol)) < 0)
		return CURL_SOCKET_BAD;
	s->fds[s->count++] = fd;
	t->f->connections++;
	return fd;
}

static int
close_socket(void *arg, curl_socket_t fd)
{
	struct cm_sockets *s = arg;

	for (size_t i = 0; i < s->count; i++)
		if (s->fds[i] == fd) {
			s->fds[i] = s->fds[--s->count];
			break;
		}
	return close(fd);
}

/* The connection's port at our end and at the server's, and the server's address as curl writes it. */
static bool
is_between(int fd, int own_port, int port, const char *address)
{
	struct sockaddr_storage own = { 0 }, peer = { 0 };
	socklen_t own_len = sizeof(own), peer_len = sizeof(peer);
	char host[NI_MAXHOST], server[NI_MAXSERV], client[NI_MAXSERV];

	return getsockname(fd, (struct sockaddr *)&own, &own_len) == 0 &&
	    getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
	    getnameinfo((struct sockaddr *)&own, own_len, NULL, 0, client, sizeof(client), NI_NUMERICSERV) == 0 &&
	    getnameinfo((struct sockaddr *)&peer, peer_len, host, sizeof(host), server, sizeof(server),
	    NI_NUMERICHOST | NI_NUMERICSERV) == 0 &&
	    strtol(client, NULL, 10) == own_port && strtol(server, NULL, 10) == port &&
	    strncmp(host, address, strcspn(host, "%")) == 0;
}

/* Octets that ever came over the connection. */
static uint64_t
received(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return fd >= 0 && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_bytes_received : 0;
}

/* A connection that another question made was judged for that one. */
static int
before_sending(void *arg, char *address, char *own, int port, int own_port)
{
	struct cm_transfer *t = arg;

	(void)own;
	if ((t->judged && cm_address_text_is_private(address)) || (t->not_own && cm_address_text_is_own(address))) {
		object_to_address(t);
		return CURL_PREREQFUNC_ABORT;
	}
	if (t->f->redirects == 0) {
		t->inside = cm_address_text_is_private(address);
		t->own = cm_address_text_is_own(address);
	}
	/* One that was refused is no objection when another of the name's was taken. */
	if (t->f->objection == CM_OBJECTION_REDIRECTED_PRIVATE)
		t->f->objection = CM_OBJECTION_NONE;
	t->named = t->sent = true;
	t->fd = -1;
	for (size_t i = 0; i < t->sockets->count && t->fd < 0; i++)
		if (is_between(t->sockets->fds[i], own_port, port, address))
			t->fd = t->sockets->fds[i];
	t->before = received(t->fd);
	return CURL_PREREQFUNC_OK;
}

/*
 * How an answer is packed (chunks with their extensions, records of TLS) is shown
 * to nobody, and may be without end: of that an eighth, and a page, is borne.
 */
static int
take_notice(void *arg, curl_off_t all, curl_off_t now, curl_off_t up, curl_off_t upped)
{
	struct cm_transfer *t = arg;
	const uint64_t max = t->f->max;

	(void)all;
	(void)now;
	(void)up;
	(void)upped;
	if (!t->sent || received(t->fd) <= t->before + max + max / 8 + 2 * CM_FETCH_HEAD_MAX)
		return 0;
	cm_transfer_object_to_size(t, 0);
	return 1;
}

bool
cm_sockets_watch(struct cm_transfer *t)
{
	bool ok = true;

#define SET(option, value) ok = ok && curl_easy_setopt(t->curl, CURLOPT_##option, value) == CURLE_OK
	SET(OPENSOCKETFUNCTION, open_socket);
	SET(OPENSOCKETDATA, t);
	/* Of a connection, which may outlive the question. */
	SET(CLOSESOCKETFUNCTION, close_socket);
	SET(CLOSESOCKETDATA, t->sockets);
	SET(PREREQFUNCTION, before_sending);
	SET(PREREQDATA, t);
	SET(NOPROGRESS, 0L);
	SET(XFERINFOFUNCTION, take_notice);
	SET(XFERINFODATA, t);
#undef SET
	return ok;
}
