/* service/channel.h - a connection between two of our processes: one message, one datagram, descriptors beside it. */
#ifndef CM_SERVICE_CHANNEL_H
#define CM_SERVICE_CHANNEL_H

#include "service/message.h"

/* A connected SOCK_SEQPACKET socket of AF_UNIX.  One thread at a time. */
struct cm_channel;

#define CM_CHANNEL_DESCRIPTORS	2

/* fd is given.  CM_ERR_USAGE: it is no such socket; CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_channel_new(int fd, struct cm_channel **out);
void cm_channel_free(struct cm_channel **c);
int cm_channel_fd(const struct cm_channel *c);	/* for poll(2) */

/*
 * Descriptors stay the caller's.  SIGPIPE is never raised.
 * CM_ERR_OFFLINE  the other process is gone, or did not take it in time
 * CM_ERR_USAGE, CM_ERR_NOMEM as cm_message_write(); CM_ERR_SYSTEM
 */
CM_MUST_USE enum cm_err cm_channel_send(struct cm_channel *c, const struct cm_message *m, const int *fds, size_t count,
    cm_deadline deadline);
/*
 * The next message, the caller's to clear, and the descriptors beside it, given: at most count, -1 behind them;
 * more than that, or a datagram cut short, is CM_ERR_SYNTAX, and the connection is of no use any more.
 * CM_ERR_OFFLINE  the deadline passed, or the other process is gone (cm_channel_is_gone() says which)
 */
CM_MUST_USE enum cm_err cm_channel_receive(struct cm_channel *c, cm_deadline deadline, struct cm_message *out,
    int *fds, size_t count);
bool cm_channel_is_gone(const struct cm_channel *c);

/*
 * Ask and wait for the one kind of answer.  A message of another kind is CM_ERR_SYNTAX.
 * After that, and after an answer that did not come in time, the connection is of no use
 * any more: what came later could be taken for the answer to something else.
 * *answer is empty unless this is CM_OK; how the question ended stands in it.
 */
CM_MUST_USE enum cm_err cm_channel_ask(struct cm_channel *c, const struct cm_message *question, const int *fds, size_t count,
    enum cm_message_kind kind, cm_deadline deadline, struct cm_message *answer);

#endif /* CM_SERVICE_CHANNEL_H */
