/* cardmapd/sockets.h - the sockets between our own processes: SOCK_SEQPACKET, in a folder of root's. */
#ifndef CM_CARDMAPD_SOCKETS_H
#define CM_CARDMAPD_SOCKETS_H

#include <sys/types.h>

#include "base/err.h"
#include "base/trace.h"

/* Who serves at RUN/io.cardmap holds that name's lock, so nobody else lives at these: what lies there is taken away. */

/* DIR (0755) and DIR/private (0711), made where they are not there, and looked at: root's or this user's, written by nobody else. */
CM_MUST_USE enum cm_err cm_sockets_make_folders(const char *dir, struct cm_trace *t);
/* Listen at path; group -1: this one.  CM_ERR_SYSTEM, CM_ERR_CONFIG */
CM_MUST_USE enum cm_err cm_sockets_listen(const char *path, mode_t mode, gid_t group, struct cm_trace *t, int *out);
/* Connect: -1, and errno. */
int cm_sockets_connect(const char *path);
/* A connection of who waits at a listener, close-on-exec, and the user it is of; -1: none. */
int cm_sockets_accept(int listener, uid_t *uid);

#endif /* CM_CARDMAPD_SOCKETS_H */
