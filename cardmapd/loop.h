/* cardmapd/loop.h - the main thread: who waits, what ended, what is due. */
#ifndef CM_CARDMAPD_LOOP_H
#define CM_CARDMAPD_LOOP_H

#include "cardmapd/daemon.h"

struct cm_loop {
	struct cm_daemon *daemon;
	int listener;		/* RUN/io.cardmap */
	int store;		/* RUN/private/store */
	int signals;		/* signalfd(2) of those that end us */
	uid_t store_user;	/* who may connect to the store, beside this user */
};

/* Until a signal ends it (CM_OK), or the starter, or who runs selectors, is gone (CM_ERR_SYSTEM). */
CM_MUST_USE enum cm_err cm_loop_run(struct cm_loop *l);

#endif /* CM_CARDMAPD_LOOP_H */
