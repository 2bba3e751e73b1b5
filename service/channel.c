/* service/channel.c - a connection between two of our processes: one message, one datagram, descriptors beside it. */
#include "service/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct cm_channel {
	int fd;
	bool gone;	/* nothing comes or goes any more */
};

/* More than may be sent, so that too many are seen, and closed. */
#define ROOM	(CM_CHANNEL_DESCRIPTORS + 1)

union ancillary {
	struct cmsghdr align;
	uint8_t octets[CMSG_SPACE(ROOM * sizeof(int))];
};

static bool
is_seqpacket(int fd)
{
	socklen_t len = sizeof(int);
	int domain = 0, type = 0;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

enum cm_err
cm_channel_new(int fd, struct cm_channel **out)
{
	struct cm_channel *c;

	*out = NULL;
	if (!is_seqpacket(fd))
		return CM_ERR_USAGE;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return CM_ERR_NOMEM;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	c->fd = fd;
	*out = c;
	return CM_OK;
}

void
cm_channel_free(struct cm_channel **c)
{
	if (*c == NULL)
		return;
	close((*c)->fd);
	free(*c);
	*c = NULL;
}

int
cm_channel_fd(const struct cm_channel *c)
{
	return c->fd;
}

bool
cm_channel_is_gone(const struct cm_channel *c)
{
	return c->gone;
}

/* CM_ERR_OFFLINE: not in time. */
static enum cm_err
await(int fd, short events, cm_deadline deadline)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		const int n = poll(&p, 1, cm_deadline_left(deadline));

		if (n > 0)
			return CM_OK;	/* an end or an error shows when it is read */
		if (n == 0 && cm_deadline_passed(deadline))
			return CM_ERR_OFFLINE;
		if (n < 0 && errno != EINTR)
			return CM_ERR_SYSTEM;
	}
}

static enum cm_err
send_octets(struct cm_channel *c, struct msghdr *h, cm_deadline deadline)
{
	enum cm_err err;

	for (;;) {
		if (sendmsg(c->fd, h, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return CM_OK;
		if (errno == EINTR)
			continue;
		if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) {
			c->gone = true;
			return CM_ERR_OFFLINE;
		}
		if (errno != EAGAIN)
			return errno == ENOMEM || errno == ENOBUFS ? CM_ERR_NOMEM : CM_ERR_SYSTEM;
		if ((err = await(c->fd, POLLOUT, deadline)) != CM_OK)
			return err;
	}
}

enum cm_err
cm_channel_send(struct cm_channel *c, const struct cm_message *m, const int *fds, size_t count, cm_deadline deadline)
{
	union ancillary beside = { .octets = { 0 } };
	struct msghdr h = { .msg_iovlen = 1 };
	struct iovec part;
	struct cm_buf octets;
	enum cm_err err;

	if (count > CM_CHANNEL_DESCRIPTORS)
		return CM_ERR_USAGE;
	if (c->gone)
		return CM_ERR_OFFLINE;
	cm_buf_init_secret(&octets, 0);	/* a ticket may be in it */
	if ((err = cm_message_write(m, &octets)) != CM_OK)
		goto out;
	part = (struct iovec){ octets.ptr, octets.len };
	h.msg_iov = &part;
	if (count > 0) {
		h.msg_control = &beside;
		h.msg_controllen = CMSG_SPACE(count * sizeof(int));
		beside.align = (struct cmsghdr){ .cmsg_len = CMSG_LEN(count * sizeof(int)),
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&beside.align), fds, count * sizeof(int));
	}
	err = send_octets(c, &h, deadline);
out:
	cm_buf_free(&octets);
	return err;
}

/* Those that came, in order, into got[ROOM]; how many. */
static size_t
descriptors_of(struct msghdr *h, int got[ROOM])
{
	size_t n = 0;

	for (struct cmsghdr *a = CMSG_FIRSTHDR(h); a != NULL; a = CMSG_NXTHDR(h, a)) {
		if (a->cmsg_level != SOL_SOCKET || a->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; n < ROOM && CMSG_LEN((i + 1) * sizeof(int)) <= a->cmsg_len; i++)
			memcpy(&got[n++], CMSG_DATA(a) + i * sizeof(int), sizeof(int));
	}
	return n;
}

/* One datagram, at most size octets.  CM_ERR_AGAIN: none is there. */
static enum cm_err
receive_octets(struct cm_channel *c, uint8_t *octets, size_t size, struct msghdr *h, size_t *len)
{
	struct iovec part = { octets, size };
	ssize_t n;

	h->msg_iov = &part;
	h->msg_iovlen = 1;
	do {
		n = recvmsg(c->fd, h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return CM_ERR_AGAIN;
	if (n <= 0) {
		c->gone = true;
		return CM_ERR_OFFLINE;
	}
	*len = (size_t)n;
	return CM_OK;
}

/* How long the next datagram is, so that no more memory is taken than it needs. */
static enum cm_err
wait_for_one(struct cm_channel *c, cm_deadline deadline, size_t *len)
{
	enum cm_err err;
	uint8_t one;
	ssize_t n;

	for (;;) {
		n = recv(c->fd, &one, 1, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
		if (n > 0) {
			*len = (size_t)n < CM_MESSAGE_MAX ? (size_t)n : CM_MESSAGE_MAX;
			return CM_OK;
		}
		if (n < 0 && errno == EAGAIN) {
			if ((err = await(c->fd, POLLIN, deadline)) != CM_OK)
				return err;
		} else if (n == 0 || errno != EINTR) {
			c->gone = true;
			return CM_ERR_OFFLINE;
		}
	}
}

/* What is wrong with it ends the connection. */
static enum cm_err
take_message(struct cm_channel *c, uint8_t *octets, size_t size, struct cm_message *out, int got[ROOM], size_t *count)
{
	union ancillary beside;
	struct msghdr h = { .msg_control = &beside, .msg_controllen = sizeof(beside) };
	size_t len = 0;
	enum cm_err err = receive_octets(c, octets, size, &h, &len);

	if (err != CM_OK)
		return err;
	*count = descriptors_of(&h, got);
	if ((h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
		return CM_ERR_SYNTAX;
	return cm_message_read((struct cm_blob){ octets, len }, out);
}

enum cm_err
cm_channel_receive(struct cm_channel *c, cm_deadline deadline, struct cm_message *out, int *fds, size_t count)
{
	uint8_t *octets = NULL;
	size_t size = 0, came = 0;
	int got[ROOM];
	enum cm_err err;

	*out = (struct cm_message){ .kind = CM_MESSAGE_NONE };
	for (size_t i = 0; i < count; i++)
		fds[i] = -1;
	if (c->gone)
		return CM_ERR_OFFLINE;
	if ((err = wait_for_one(c, deadline, &size)) != CM_OK)
		return err;
	if ((octets = malloc(size)) == NULL)
		return CM_ERR_NOMEM;
	err = take_message(c, octets, size, out, got, &came);
	if (err == CM_OK && came > count)
		err = CM_ERR_SYNTAX;
	for (size_t i = 0; i < came; i++) {
		if (err == CM_OK)
			fds[i] = got[i];
		else
			close(got[i]);
	}
	if (err != CM_OK) {
		c->gone = true;
		cm_message_clear(out);
	}
	explicit_bzero(octets, size);
	free(octets);
	return err;
}

enum cm_err
cm_channel_ask(struct cm_channel *c, const struct cm_message *question, const int *fds, size_t count,
    enum cm_message_kind kind, cm_deadline deadline, struct cm_message *answer)
{
	enum cm_err err;

	*answer = (struct cm_message){ .kind = CM_MESSAGE_NONE };
	if ((err = cm_channel_send(c, question, fds, count, deadline)) != CM_OK)
		return err;
	if ((err = cm_channel_receive(c, deadline, answer, NULL, 0)) == CM_OK && answer->kind != kind) {
		cm_message_clear(answer);
		err = CM_ERR_SYNTAX;
	}
	c->gone = c->gone || err != CM_OK;
	return err;
}
