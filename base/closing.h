/* base/closing.h - descriptors that somebody else passed are closed where nobody waits for it. */
#ifndef CM_BASE_CLOSING_H
#define CM_BASE_CLOSING_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * close(2) of a descriptor that came from a stranger may take for ever: a
 * socket that lingers (SO_LINGER, socket(7)) for a peer who reads nothing, a
 * file of a file system that its owner serves (fuse(4)), a pipe that another
 * thread holds in the middle of a write.  The same goes for a Unix socket with
 * such a descriptor still in its queue.  So threads of their own close them,
 * few for each user, and how many one has under way counts against him.
 */
struct cm_closing;

/* Of one user.  Who has more under way is heard no more. */
#define CM_CLOSING_MOST	64

CM_MUST_USE enum cm_err cm_closing_new(struct cm_closing **out);
/* Never waits: what is under way goes on, and the last of it lets go. */
void cm_closing_free(struct cm_closing **c);

/* They are given; -1 among them: none.  Never waits, but where c is NULL: closed at once, for who knows what they are. */
void cm_closing_give(struct cm_closing *c, uid_t whose, const int *fds, size_t count);
/* A connected Unix socket, given: closed at once if nothing is left unread in it. */
void cm_closing_give_socket(struct cm_closing *c, uid_t whose, int fd);
/* How many are not closed yet. */
size_t cm_closing_left(struct cm_closing *c, uid_t whose);

#endif /* CM_BASE_CLOSING_H */
