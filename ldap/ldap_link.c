/* ldap/ldap_link.c - a TCP connection for libldap on which nothing waits beyond a deadline. */
#include "ldap/ldap_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ldap.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/net.h"

/* An idle connection that died unseen is found out after this many seconds, and two probes. */
#define KEEPALIVE_IDLE_S	30
#define KEEPALIVE_PROBE_S	5
#define KEEPALIVE_PROBES	2
/* How often it is looked whether a lookup was cancelled. */
#define LOOK_MS			20
/* An answer that comes sooner needs no poll(2) before it is received. */
#define RECEIVE_MS		100

/* A resolver is a thread's own: this one's knows /etc/hosts, and no name server.  Nothing of ours uses the name. */
static void *
first_use(void *unused)
{
	LDAP *ld = NULL;

	if (res_init() == 0)
		_res.nscount = 0;
	if (ldap_create(&ld) == LDAP_SUCCESS)
		(void)ldap_unbind_ext(ld, NULL, NULL);
	return unused;
}

void
cm_link_start_libldap(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, first_use, NULL) == 0)
		(void)pthread_join(thread, NULL);
}

static bool
is_loopback_address(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET)	/* RFC 1122 section 3.2.1.3 (g) */
		return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == 127;
	return a->sa_family == AF_INET6 &&
	    IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

bool
cm_link_is_loopback(const char *host)
{
	struct in6_addr a6;
	struct in_addr a4;

	if (inet_pton(AF_INET, host, &a4) == 1)
		return ntohl(a4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &a6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&a6);
	return strcasecmp(host, "localhost") == 0;	/* RFC 6761 section 6.3 */
}

static bool
wait_for(struct cm_link *l, short events)
{
	const int e = cm_net_wait_unless(l->cancel, l->fd, events, l->deadline);

	l->silent = l->silent || e == ETIMEDOUT;
	l->cancelled = l->cancelled || e == ECANCELED;
	return e == 0;
}

static void
set_options(int fd)
{
	static const struct { int level, name, value; } options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_PROBE_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES },
	};

	for (size_t i = 0; i < CM_COUNT(options); i++)
		(void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
		    sizeof(options[i].value));
}

/* Each address in turn; one that is silent leaves the others their share of the time. */
static int
connect_any(struct cm_link *l, const struct addrinfo *list, bool loopback_only)
{
	int error = EADDRNOTAVAIL, rest = 0;

	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
		rest++;
	for (const struct addrinfo *a = list; a != NULL && error != 0; a = a->ai_next, rest--) {
		if (loopback_only && !is_loopback_address(a->ai_addr))
			continue;
		error = cm_net_connect_unless(l->cancel, a, SOCK_STREAM,
		    cm_deadline_in((unsigned)(cm_deadline_left(l->deadline) / rest)), &l->fd);
		if (error == ECANCELED)
			break;
	}
	l->silent = error == ETIMEDOUT;
	l->cancelled = error == ECANCELED;
	return error;
}

/* Nothing wakes whoever waits for glibc's lookup, so what cancels is looked at now and then. */
static int
resolve(struct cm_link *l, struct cm_link_target *target, struct addrinfo **list)
{
	char port[8];
	int error;

	snprintf(port, sizeof(port), "%u", target->port);
	if (l->cancel < 0)
		return cm_net_resolve(target->host, port, l->deadline, &target->lookup, list);
	do {
		error = cm_net_resolve(target->host, port,
		    cm_deadline_earlier(l->deadline, cm_deadline_in(LOOK_MS)), &target->lookup, list);
		l->cancelled = error == EAI_INPROGRESS &&
		    cm_net_wait(l->cancel, POLLIN, 0) == 0;
	} while (error == EAI_INPROGRESS && !l->cancelled && !cm_deadline_passed(l->deadline));
	return error;
}

enum cm_err
cm_link_connect(struct cm_link_target *target, const char *uri, struct cm_trace *t,
    struct cm_link *l)
{
	static const struct timeval at_most = { .tv_usec = RECEIVE_MS * 1000 };
	struct addrinfo *list = NULL;
	int error, flags;

	l->fd = -1;
	l->waits = l->silent = l->ended = l->cancelled = l->unnamed = false;
	l->received = 0;
	l->at = l->len = 0;
	if ((error = resolve(l, target, &list)) != 0) {
		l->silent = error == EAI_INPROGRESS && !l->cancelled;
		l->unnamed = !l->silent && !l->cancelled;
		return cm_trace_fail(t, CM_REASON_DIRECTORY_OFFLINE,
		    "%s: the name %s could not be looked up: %s", uri, target->host,
		    l->cancelled ? "given up" : l->silent ? "no answer in time" : gai_strerror(error));
	}
	error = connect_any(l, list, target->loopback_only);
	freeaddrinfo(list);
	if (error != 0)
		return cm_trace_fail(t, CM_REASON_DIRECTORY_OFFLINE, "%s: connecting: %s", uri,
		    l->cancelled ? "given up" : l->silent ? "no answer in time" : strerror(error));
	set_options(l->fd);
	/* What is not to wait says so each time. */
	flags = fcntl(l->fd, F_GETFL);
	l->waits = flags >= 0 && fcntl(l->fd, F_SETFL, flags & ~O_NONBLOCK) == 0 &&
	    setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &at_most, sizeof(at_most)) == 0;
	return CM_OK;
}

static bool
is_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr == ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
	return IN6_ARE_ADDR_EQUAL(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr);
}

/* connect(2) of a datagram socket asks the kernel for the way, and for the address to leave from. */
bool
cm_link_leads_there(const struct cm_link *l)
{
	struct sockaddr_storage peer = { .ss_family = AF_UNSPEC }, mine = peer, now = peer;
	socklen_t peer_len = sizeof(peer), mine_len = sizeof(mine), now_len = sizeof(now);
	bool leads = true;
	int fd;

	if (getpeername(l->fd, (struct sockaddr *)&peer, &peer_len) != 0 || getsockname(l->fd, (struct sockaddr *)&mine, &mine_len) != 0 ||
	    (fd = socket(peer.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return true;	/* whatever that is, its use will tell */
	if (connect(fd, (struct sockaddr *)&peer, peer_len) != 0)
		leads = errno != ENETUNREACH && errno != ENETDOWN;
	else if (getsockname(fd, (struct sockaddr *)&now, &now_len) == 0)
		leads = is_same_address(&mine, &now);
	close(fd);
	return leads;
}

static int
io_setup(Sockbuf_IO_Desc *d, void *link)
{
	d->sbiod_pvt = link;
	return 0;
}

static int
io_remove(Sockbuf_IO_Desc *d)
{
	(void)d;
	return 0;
}

static int
io_ctrl(Sockbuf_IO_Desc *d, int option, void *arg)
{
	const struct cm_link *l = d->sbiod_pvt;

	(void)arg;
	return option == LBER_SB_OPT_DATA_READY && l->len > 0;
}

/* After a try that gave -1: may it be tried again? */
static bool
again(struct cm_link *l, short events)
{
	if (errno == EINTR)
		return true;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		return false;
	if (wait_for(l, events))
		return true;
	errno = ETIMEDOUT;	/* never EAGAIN: libldap would come back at once, for ever */
	return false;
}

/* A stream that never pauses ends at the deadline too, and when it is cancelled. */
static bool
in_time(struct cm_link *l)
{
	l->cancelled = l->cancelled || (l->cancel >= 0 && cm_net_wait(l->cancel, POLLIN, 0) == 0);
	if (!l->cancelled && !cm_deadline_passed(l->deadline))
		return true;
	l->silent = !l->cancelled;
	errno = ETIMEDOUT;
	return false;
}

/* Can recv(2) itself wait for so long as it does, well before the deadline? */
static bool
may_wait(const struct cm_link *l)
{
	return l->waits && l->cancel < 0 && cm_deadline_left(l->deadline) > 2 * RECEIVE_MS;
}

/*
 * Receive what is there, or wait for it: libldap reads a message in pieces of a
 * few bytes, and an answer to a search is several messages.  Bytes, 0 at the
 * end, -1.
 */
static ssize_t
fill(struct cm_link *l)
{
	ssize_t n;

	do {
		if (!in_time(l))
			return -1;
		n = recv(l->fd, l->buffer, sizeof(l->buffer), may_wait(l) ? 0 : MSG_DONTWAIT);
	} while (n < 0 && again(l, POLLIN));
	l->ended = n == 0 || (n < 0 && !l->silent && !l->cancelled);
	l->at = 0;
	l->len = n > 0 ? (size_t)n : 0;
	l->received += l->len;
	return n;
}

static ber_slen_t
io_read(Sockbuf_IO_Desc *d, void *buf, ber_len_t len)
{
	struct cm_link *l = d->sbiod_pvt;
	ssize_t n;

	if (l->len == 0 && (n = fill(l)) <= 0)
		return n;
	len = len < l->len ? len : l->len;
	memcpy(buf, l->buffer + l->at, len);
	l->at += len;
	l->len -= len;
	return (ber_slen_t)len;
}

bool
cm_link_wait(struct cm_link *l)
{
	return l->len > 0 || ((may_wait(l) || wait_for(l, POLLIN)) && (fill(l) >= 0 || (!l->silent && !l->cancelled)));
}

static ber_slen_t
io_write(Sockbuf_IO_Desc *d, void *buf, ber_len_t len)
{
	struct cm_link *l = d->sbiod_pvt;
	ssize_t n;

	do {
		if (!in_time(l))
			return -1;
		n = send(l->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && again(l, POLLOUT));
	l->ended = n < 0 && !l->silent && !l->cancelled;
	return n;
}

void
cm_link_close(struct cm_link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

static int
io_close(Sockbuf_IO_Desc *d)
{
	cm_link_close(d->sbiod_pvt);
	return 0;
}

enum cm_err
cm_link_attach(struct cm_link *l, Sockbuf *sb)
{
	static const Sockbuf_IO io = {
		.sbi_setup = io_setup, .sbi_remove = io_remove, .sbi_ctrl = io_ctrl,
		.sbi_read = io_read, .sbi_write = io_write, .sbi_close = io_close,
	};

	/* liblber only reads it */
	return ber_sockbuf_add_io(sb, (Sockbuf_IO *)(uintptr_t)&io, LBER_SBIOD_LEVEL_PROVIDER,
	    l) == 0 ? CM_OK : CM_ERR_NOMEM;
}
