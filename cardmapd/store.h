/* cardmapd/store.h - the store served to the resolver: a thread for each of its connections. */
#ifndef CM_CARDMAPD_STORE_H
#define CM_CARDMAPD_STORE_H

#include "cardmapd/daemon.h"

#define CM_STORE_CONNECTIONS	128

struct cm_stores;
CM_MUST_USE enum cm_err cm_stores_new(struct cm_daemon *d, struct cm_stores **out);
/* Connections are shut down, and waited for. */
void cm_stores_free(struct cm_stores **s);
/* Main thread: take in all who wait at the listener, if they are this user or that one; let go of who went. */
void cm_stores_accept(struct cm_stores *s, int listener, uid_t user);
void cm_stores_look(struct cm_stores *s);

#endif /* CM_CARDMAPD_STORE_H */
