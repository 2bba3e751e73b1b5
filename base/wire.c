/* base/wire.c - messages over a Unix stream socket: each ends in a NUL, all bounded, with descriptors beside them. */
#include "base/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/closing.h"
#include "base/net.h"

/* Of <asm/socket.h>, which Debian 12's headers lack. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD	77
#endif

#define CHUNK	16384

/* SCM_MAX_FD, of the kernel's <net/scm.h>: with room for all, it closes none itself, which would be in our thread. */
#define SENT_MOST	253

struct cm_wire {
	int fd;
	struct cm_wire_limits limits;
	enum cm_wire_end end;
	struct cm_wire_peer peer;
	struct cm_buf in;	/* the message under way, or the last one */
	bool whole;		/* the last one: the next receive begins anew */
	cm_deadline due;	/* when the one under way must be whole */
	int fds[CM_WIRE_DESCRIPTORS_MAX];
	size_t fd_count, fd_taken;
};

/* As large as any, and aligned. */
union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(SENT_MOST * sizeof(int))];
};

static const struct end {
	const char *name, *text;
	enum cm_err err;
} ends[] = {
#define X(name, err, text) { #name, text, CM_ERR_##err },
#define CM_ERR_OK CM_OK
	CM_WIRE_ENDS(X)
#undef CM_ERR_OK
#undef X
};

static void
drop_descriptors(struct cm_wire *w)
{
	cm_closing_give(w->limits.closing, w->peer.uid, w->fds + w->fd_taken, w->fd_count - w->fd_taken);
	w->fd_taken = w->fd_count = 0;
}

/* The first end is the one that counts.  The other side is told: it may wait. */
static enum cm_err
finish(struct cm_wire *w, enum cm_wire_end end)
{
	if (w->end == CM_WIRE_OPEN) {
		w->end = end;
		drop_descriptors(w);
		(void)shutdown(w->fd, SHUT_RDWR);
	}
	return ends[w->end].err;
}

/* What an inherited or accepted socket may have been set to: none of it is wanted here. */
static bool
is_usable(int fd)
{
	const int off = 0;
	int domain = 0, type = 0, flags;
	socklen_t len = sizeof(domain), type_len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_STREAM &&
	    /* Credentials beside messages would take the room of descriptors. */
	    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off)) == 0 &&
	    (flags = fcntl(fd, F_GETFL)) >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static enum cm_err
see_peer(struct cm_wire *w)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(w->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
		return CM_ERR_SYSTEM;
	w->peer = (struct cm_wire_peer){ who.pid, who.uid, who.gid };
	return CM_OK;
}

enum cm_err
cm_wire_new(int fd, const struct cm_wire_limits *limits, struct cm_wire **out)
{
	struct cm_wire *w = NULL;
	enum cm_err err = CM_ERR_USAGE;

	*out = NULL;
	if (limits->message_max == 0 || limits->message_max > CM_BUF_MAX || limits->sent_max > CM_BUF_MAX ||
	    limits->descriptors_max > CM_WIRE_DESCRIPTORS_MAX || !is_usable(fd)) {
		close(fd);
		return err;
	}
	if ((w = calloc(1, sizeof(*w))) == NULL) {
		close(fd);
		return CM_ERR_NOMEM;
	}
	w->fd = fd;
	w->limits = *limits;
	cm_buf_init(&w->in, limits->message_max);
	if ((err = see_peer(w)) == CM_OK)
		*out = w;
	else
		cm_wire_free(&w);
	return err;
}

void
cm_wire_free(struct cm_wire **w)
{
	if (*w == NULL)
		return;
	drop_descriptors(*w);
	cm_closing_give_socket((*w)->limits.closing, (*w)->peer.uid, (*w)->fd);
	cm_buf_free(&(*w)->in);
	free(*w);
	*w = NULL;
}

int
cm_wire_fd(const struct cm_wire *w)
{
	return w->fd;
}

enum cm_wire_end
cm_wire_end(const struct cm_wire *w)
{
	return w->end;
}

const char *
cm_wire_end_name(enum cm_wire_end end)
{
	return (size_t)end < CM_COUNT(ends) ? ends[end].name : "UNKNOWN";
}

const char *
cm_wire_end_text(enum cm_wire_end end)
{
	return (size_t)end < CM_COUNT(ends) ? ends[end].text : "unknown";
}

void
cm_wire_give_up(struct cm_wire *w)
{
	(void)finish(w, CM_WIRE_GIVEN_UP);
}

struct cm_wire_peer
cm_wire_peer(const struct cm_wire *w)
{
	return w->peer;
}

int
cm_wire_peer_pidfd(const struct cm_wire *w)
{
	int fd = -1;
	socklen_t len = sizeof(fd);

	return getsockopt(w->fd, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0 ? fd : -1;
}

/* ---- receiving */

static bool
is_under_way(const struct cm_wire *w)
{
	return !w->whole && w->in.len > 0;
}

bool
cm_wire_is_due(const struct cm_wire *w, cm_deadline *due)
{
	*due = w->due;
	return w->end == CM_WIRE_OPEN && is_under_way(w) && w->limits.message_ms != 0;
}

/* False: more came than may; what is kept goes with the end of the connection. */
static bool
keep_descriptors(struct cm_wire *w, struct msghdr *m)
{
	int surplus[SENT_MOST];
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
			int fd;

			memcpy(&fd, (const char *)c + at, sizeof(fd));
			if (w->fd_count < w->limits.descriptors_max)
				w->fds[w->fd_count++] = fd;
			else if (count < SENT_MOST)
				surplus[count++] = fd;
		}
	}
	cm_closing_give(w->limits.closing, w->peer.uid, surplus, count);
	/* MSG_CTRUNC: no more could be open here, and the kernel dropped some. */
	return count == 0 && (m->msg_flags & MSG_CTRUNC) == 0;
}

/* Take these bytes off the socket, which were seen there, and what was sent beside them. */
static ssize_t
take(struct cm_wire *w, uint8_t *bytes, size_t len, bool *all)
{
	union control control = { 0 };
	struct iovec part = { bytes, len };
	struct msghdr m = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
		/* CMSG_LEN, not CMSG_SPACE: its padding has room for one more. */
		.msg_controllen = CMSG_LEN(SENT_MOST * sizeof(int)),
	};
	const ssize_t n = recvmsg(w->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n > 0)
		*all = keep_descriptors(w, &m);
	return n;
}

static enum cm_err
judge_read(struct cm_wire *w, ssize_t n)
{
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return CM_ERR_AGAIN;
	/* ECONNRESET: it closed, and did not read all that we wrote */
	if (n == 0 || errno == ECONNRESET)
		return finish(w, is_under_way(w) ? CM_WIRE_CUT : CM_WIRE_CLOSED);
	return errno == EINTR ? CM_OK : finish(w, CM_WIRE_FAILED);
}

/* More of the message under way, to its NUL and no further.  CM_ERR_AGAIN: nothing is there now. */
static enum cm_err
read_some(struct cm_wire *w)
{
	uint8_t chunk[CHUNK];
	const size_t room = w->limits.message_max - w->in.len + 1;	/* with its NUL */
	bool all = true;
	ssize_t n = recv(w->fd, chunk, room < CHUNK ? room : CHUNK, MSG_PEEK | MSG_DONTWAIT);
	const uint8_t *end;

	if (n <= 0)
		return judge_read(w, n);
	end = memchr(chunk, '\0', (size_t)n);
	if (end == NULL && (size_t)n == room)
		return finish(w, CM_WIRE_TOO_LONG);
	if ((n = take(w, chunk, end != NULL ? (size_t)(end - chunk) + 1 : (size_t)n, &all)) <= 0)
		return judge_read(w, n);
	if (!all)
		return finish(w, CM_WIRE_DESCRIPTORS);
	if (w->in.len == 0)
		w->due = cm_deadline_in(w->limits.message_ms);
	w->whole = chunk[n - 1] == '\0';
	cm_buf_add(&w->in, chunk, (size_t)n - w->whole);
	if (cm_buf_status(&w->in) != CM_OK)
		return finish(w, CM_WIRE_NO_MEMORY);
	return w->whole && w->in.len == 0 ? finish(w, CM_WIRE_EMPTY) : CM_OK;
}

static enum cm_err
await_more(struct cm_wire *w, cm_deadline deadline)
{
	cm_deadline due;
	const bool hurry = cm_wire_is_due(w, &due);
	const int e = cm_net_wait(w->fd, POLLIN, hurry ? cm_deadline_earlier(due, deadline) : deadline);

	if (e == 0)
		return CM_OK;
	if (e != ETIMEDOUT)
		return finish(w, CM_WIRE_FAILED);
	return hurry && cm_deadline_passed(due) ? finish(w, CM_WIRE_SLOW) : CM_ERR_OFFLINE;
}

enum cm_err
cm_wire_receive(struct cm_wire *w, cm_deadline deadline, struct cm_blob *message)
{
	enum cm_err err = ends[w->end].err;

	*message = (struct cm_blob){ NULL, 0 };
	if (w->whole) {
		w->whole = false;
		drop_descriptors(w);
		cm_buf_truncate(&w->in, 0);
	}
	if (err == CM_OK && cm_closing_left(w->limits.closing, w->peer.uid) > CM_CLOSING_MOST)
		err = finish(w, CM_WIRE_DESCRIPTORS);
	while (err == CM_OK && !w->whole)
		if ((err = read_some(w)) == CM_ERR_AGAIN)
			err = await_more(w, deadline);
	if (err == CM_OK)
		*message = cm_buf_blob(&w->in);
	return err;
}

size_t
cm_wire_descriptors(const struct cm_wire *w)
{
	return w->whole ? w->fd_count - w->fd_taken : 0;
}

int
cm_wire_take_descriptor(struct cm_wire *w)
{
	return cm_wire_descriptors(w) > 0 ? w->fds[w->fd_taken++] : -1;
}

/* ---- sending */

static ssize_t
send_some(const struct cm_wire *w, struct cm_blob rest, const int *fds, size_t count)
{
	struct iovec parts[] = { { (void *)(uintptr_t)rest.ptr, rest.len }, { (char[]){ '\0' }, 1 } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = CM_COUNT(parts) };
	union control control = { 0 };

	if (count > 0) {
		control.header = (struct cmsghdr){
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int)),
		};
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	return sendmsg(w->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A write that wrote nothing; torn: some of the message is out already, so it cannot be taken back. */
static enum cm_err
judge_write(struct cm_wire *w, bool torn, cm_deadline deadline)
{
	int e = errno;

	if (e == EAGAIN || e == EWOULDBLOCK)
		e = cm_net_wait(w->fd, POLLOUT, deadline);
	switch (e) {
	case 0:
	case EINTR:
		return CM_OK;
	case ETIMEDOUT:
		return torn ? finish(w, CM_WIRE_GIVEN_UP) : CM_ERR_OFFLINE;
	case EPIPE:
	case ECONNRESET:
		return finish(w, CM_WIRE_GONE);
	default:
		return finish(w, CM_WIRE_FAILED);
	}
}

enum cm_err
cm_wire_send(struct cm_wire *w, struct cm_blob message, const int *fds, size_t count,
    cm_deadline deadline)
{
	const size_t total = message.len + 1, most = w->limits.sent_max != 0 ? w->limits.sent_max : w->limits.message_max;
	size_t done = 0;
	enum cm_err err = ends[w->end].err;

	if (message.len == 0 || message.len > most || count > CM_WIRE_DESCRIPTORS_MAX ||
	    memchr(message.ptr, '\0', message.len) != NULL)
		return CM_ERR_USAGE;
	while (err == CM_OK && done < total) {
		const struct cm_blob rest = { message.ptr + done, message.len - done };
		const ssize_t n = send_some(w, rest, fds, done == 0 ? count : 0);

		if (n < 0)
			err = judge_write(w, done > 0, deadline);
		else
			done += (size_t)n;
	}
	/* That it was closed is an end for who receives; who sends could not. */
	return err == CM_ERR_ABSENT ? CM_ERR_OFFLINE : err;
}
