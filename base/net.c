/* base/net.c - names looked up, connections and waits, each with a deadline. */
#include "base/net.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* glibc goes on with a lookup after we stopped waiting: what it uses stays alive here. */
struct cm_lookup {
	struct gaicb request;
	struct addrinfo hints;
	char *host, *port;
};

static void
destroy(struct cm_lookup **l)
{
	free((*l)->host);
	free((*l)->port);
	free(*l);
	*l = NULL;
}

static int
begin_lookup(const char *host, const char *port, struct cm_lookup **out)
{
	struct cm_lookup *l = calloc(1, sizeof(*l));
	struct gaicb *list[1];
	int status = EAI_MEMORY;

	if (l == NULL)
		return status;
	if ((l->host = strdup(host)) != NULL && (l->port = strdup(port)) != NULL) {
		l->hints = (struct addrinfo){ .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
		l->request = (struct gaicb){
			.ar_name = l->host, .ar_service = l->port, .ar_request = &l->hints,
		};
		list[0] = &l->request;
		status = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
	}
	if (status == 0)
		*out = l;
	else
		destroy(&l);
	return status;
}

static int
await_lookup(struct cm_lookup *l, cm_deadline deadline)
{
	const struct gaicb *const list[1] = { &l->request };
	int left;

	while (gai_error(&l->request) == EAI_INPROGRESS && (left = cm_deadline_left(deadline)) > 0) {
		const struct timespec ts = { left / 1000, left % 1000 * 1000000L };

		(void)gai_suspend(list, 1, &ts);
	}
	return gai_error(&l->request);
}

int
cm_net_resolve(const char *host, const char *port, cm_deadline deadline,
    struct cm_lookup **pending, struct addrinfo **out)
{
	const struct addrinfo numeric = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	};
	int status;

	if (getaddrinfo(host, port, &numeric, out) == 0)
		return 0;
	*out = NULL;
	if (*pending == NULL && (status = begin_lookup(host, port, pending)) != 0)
		return status;
	if ((status = await_lookup(*pending, deadline)) == EAI_INPROGRESS)
		return status;
	if (status == 0)
		*out = (*pending)->request.ar_result;
	destroy(pending);
	return status;
}

void
cm_lookup_free(struct cm_lookup **pending)
{
	struct cm_lookup *l = *pending;

	*pending = NULL;
	if (l == NULL)
		return;
	(void)gai_cancel(&l->request);
	if (gai_error(&l->request) == EAI_INPROGRESS)
		return;		/* a thread of glibc still writes to it: it must be lost */
	if (gai_error(&l->request) == 0)
		freeaddrinfo(l->request.ar_result);
	destroy(&l);
}

int
cm_net_wait(int fd, short events, cm_deadline deadline)
{
	return cm_net_wait_unless(-1, fd, events, deadline);
}

int
cm_net_wait_unless(int cancel, int fd, short events, cm_deadline deadline)
{
	struct pollfd p[] = { { .fd = fd, .events = events }, { .fd = cancel, .events = POLLIN } };

	for (;;) {
		/* poll(2) passes over what is negative */
		const int n = poll(p, CM_COUNT(p), cm_deadline_left(deadline));

		if (n > 0)
			return p[1].revents != 0 ? ECANCELED : 0;
		if (n == 0)
			return ETIMEDOUT;
		if (errno != EINTR)
			return errno;
	}
}

int
cm_net_connect(const struct addrinfo *to, int type, cm_deadline deadline, int *fd)
{
	return cm_net_connect_unless(-1, to, type, deadline, fd);
}

int
cm_net_connect_unless(int cancel, const struct addrinfo *to, int type, cm_deadline deadline,
    int *fd)
{
	int e = 0;
	socklen_t len = sizeof(e);

	if ((*fd = socket(to->ai_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
		return errno;
	if (connect(*fd, to->ai_addr, to->ai_addrlen) != 0 && (e = errno) == EINPROGRESS &&
	    (e = cm_net_wait_unless(cancel, *fd, POLLOUT, deadline)) == 0 &&
	    getsockopt(*fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
		e = errno;
	if (e != 0) {
		close(*fd);
		*fd = -1;
	}
	return e;
}
