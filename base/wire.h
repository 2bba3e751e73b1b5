/* base/wire.h - messages over a Unix stream socket: each ends in a NUL, all bounded, with descriptors beside them. */
#ifndef CM_BASE_WIRE_H
#define CM_BASE_WIRE_H

#include <sys/types.h>

#include "base/blob.h"
#include "base/clock.h"
#include "base/trace.h"

/*
 * The framing of varlink (varlink.org, "Method Call"): a message is text
 * without a NUL, then one NUL.  Whatever is read is from outside: it is bounded
 * here and judged elsewhere.  No secret is ever inside a message, so buffers are
 * not wiped: a PIN goes through a pipe whose descriptor is passed beside one.
 *
 * Nothing is read ahead: what was not received yet stays in the kernel, so that
 * poll(2) on cm_wire_fd() tells of it, and descriptors belong to the message in
 * which the first byte they were sent with stands.  SIGPIPE is never raised.
 */
struct cm_wire;
struct cm_closing;

#define CM_WIRE_DESCRIPTORS_MAX	16

struct cm_wire_limits {
	size_t message_max;	/* bytes of one message, either way, without its NUL */
	size_t sent_max;	/* of one that is sent, where that is another limit; 0: message_max */
	unsigned descriptors_max;	/* beside one message that is received, at most CM_WIRE_DESCRIPTORS_MAX */
	unsigned message_ms;	/* from a message's first byte to its last; 0: as long as the caller waits */
	struct cm_closing *closing;	/* closes what strangers sent (base/closing.h), and outlives the wire; NULL: closed here */
};

/* How a connection ended: name, the result that a call on it has from then on, and in words. */
#define CM_WIRE_ENDS(X) \
	X(OPEN, OK, "it is open") \
	X(CLOSED, ABSENT, "the other side closed it, between messages") \
	X(CUT, OFFLINE, "the other side closed it in the middle of a message") \
	X(GONE, OFFLINE, "the other side is gone and takes no message") \
	X(SLOW, OFFLINE, "the other side took too long over one message") \
	X(TOO_LONG, SYNTAX, "the other side sent a longer message than is allowed") \
	X(EMPTY, SYNTAX, "the other side sent a message of no bytes") \
	X(DESCRIPTORS, SYNTAX, "the other side sent more descriptors than are allowed, or ones that cannot be closed") \
	X(GIVEN_UP, OFFLINE, "it was given up on this side") \
	X(NO_MEMORY, NOMEM, "no memory is left") \
	X(FAILED, SYSTEM, "the system failed to read or write")

enum cm_wire_end {
#define X(name, err, text) CM_WIRE_##name,
	CM_WIRE_ENDS(X)
#undef X
};

/*
 * fd is a connected socket of AF_UNIX and SOCK_STREAM, and is given: closed by
 * cm_wire_free(), or here when this fails.
 *
 * CM_ERR_USAGE    it is none, or the limits are (no bytes, too many descriptors)
 * CM_ERR_SYSTEM, CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_wire_new(int fd, const struct cm_wire_limits *limits, struct cm_wire **out);
void cm_wire_free(struct cm_wire **w);

/* For poll(2) alone. */
int cm_wire_fd(const struct cm_wire *w);
enum cm_wire_end cm_wire_end(const struct cm_wire *w);
/* The end's name ("too_long") and its words. */
const char *cm_wire_end_name(enum cm_wire_end end);
const char *cm_wire_end_text(enum cm_wire_end end);
/* End it from this side: what is on its way belongs to nobody any more. */
void cm_wire_give_up(struct cm_wire *w);

/* Is a message half here?  Then it must be whole at *due, or the connection ends; when nobody waits, the caller looks. */
bool cm_wire_is_due(const struct cm_wire *w, cm_deadline *due);

/*
 * The next message, borrowed until the next receive and followed by a NUL.
 * Descriptors beside the one before that nobody took are closed.
 *
 * CM_ERR_ABSENT   the other side closed, and nothing is left to receive
 * CM_ERR_OFFLINE  the deadline passed: the connection is open, and what came of
 *                 a message is kept; or it ended, and cm_wire_end() says how
 * CM_ERR_SYNTAX   the other side broke a limit: the connection ended
 * CM_ERR_NOMEM, CM_ERR_SYSTEM: it ended
 */
CM_MUST_USE enum cm_err cm_wire_receive(struct cm_wire *w, cm_deadline deadline, struct cm_blob *message);

/* Descriptors beside the last message received, in their order; each is given, close-on-exec.  -1: no more. */
size_t cm_wire_descriptors(const struct cm_wire *w);
int cm_wire_take_descriptor(struct cm_wire *w);

/*
 * Send a message and descriptors beside its first byte; they stay the caller's.
 *
 * CM_ERR_OFFLINE  the deadline passed: the connection is open if not one byte
 *                 went out, and ended (GIVEN_UP) if the message was torn; or the other
 *                 side is gone
 * CM_ERR_USAGE    the message has a NUL, no byte or too many, or too many
 *                 descriptors: nothing was sent
 * CM_ERR_SYSTEM   it ended
 */
CM_MUST_USE enum cm_err cm_wire_send(struct cm_wire *w, struct cm_blob message,
    const int *fds, size_t count, cm_deadline deadline);

/* Who connected, or listened, as the kernel noted it then (SO_PEERCRED, unix(7)). */
struct cm_wire_peer {
	pid_t pid;	/* may be another process by now: hold it by its pidfd */
	uid_t uid;
	gid_t gid;
};
struct cm_wire_peer cm_wire_peer(const struct cm_wire *w);
/* A pidfd of that process, given (SO_PEERPIDFD, Linux 6.5); -1: this kernel has none, or the process is gone. */
int cm_wire_peer_pidfd(const struct cm_wire *w);

/* ---- sockets with a name */

/*
 * Listen at path with this mode.  Its folder is root's or this user's, no link,
 * and nobody else writes to it.  A socket that lies there is taken away only if
 * nobody answers at it; beside it lies a lock, path.lock, so that of two that
 * start at once one wins.  The socket is non-blocking and close-on-exec.
 *
 * CM_ERR_CONFIG   not that folder, something else lies there, or somebody serves
 *                 there already: the trace names it and the remedy
 * CM_ERR_SYSTEM
 */
CM_MUST_USE enum cm_err cm_wire_listen(const char *path, mode_t mode, struct cm_trace *t, int *out);

/* So many descriptors for a program that serves: its soft limit is raised as far as the hard one lets it (getrlimit(2)). */
void cm_wire_allow(unsigned descriptors);

/* CM_ERR_ABSENT: nobody waits.  CM_ERR_SYSTEM: no descriptor is left, and who waits goes on waiting. */
CM_MUST_USE enum cm_err cm_wire_accept(int listener, const struct cm_wire_limits *limits, struct cm_wire **out);

/*
 * CM_ERR_OFFLINE  nobody listens there, or not within the deadline
 * CM_ERR_REFUSED  this user may not
 * CM_ERR_USAGE    too long a path
 */
CM_MUST_USE enum cm_err cm_wire_connect(const char *path, const struct cm_wire_limits *limits,
    cm_deadline deadline, struct cm_wire **out);

/* ---- sockets from the service manager: sd_listen_fds(3) */

#define CM_WIRE_INHERITED_MAX	16
#define CM_WIRE_NAME_SIZE	256	/* FileDescriptorName= has at most 255 characters (systemd.socket(5)) */

struct cm_wire_inherited {
	size_t count;
	struct cm_wire_inherited_socket {
		int fd;		/* owned; -1: taken */
		int type;	/* SOCK_... */
		char name[CM_WIRE_NAME_SIZE];
	} sockets[CM_WIRE_INHERITED_MAX];
};

/*
 * The listening sockets that this process was started with, as LISTEN_PID,
 * LISTEN_FDS and LISTEN_FDNAMES say, which leave the environment whatever
 * follows.  To be called once, before there are threads.
 *
 * CM_OK           with none too: count is 0
 * CM_ERR_CONFIG   the variables contradict each other, or what was passed is no
 *                 listening Unix socket of streams or of sequenced packets; all of them are closed
 */
CM_MUST_USE enum cm_err cm_wire_inherit(struct cm_trace *t, struct cm_wire_inherited *out);
/* The first of this name and type (SOCK_...) that nobody took, given; -1: none. */
int cm_wire_inherited_take(struct cm_wire_inherited *i, const char *name, int type);
/* Close those that nobody took. */
void cm_wire_inherited_close(struct cm_wire_inherited *i);

#endif /* CM_BASE_WIRE_H */
