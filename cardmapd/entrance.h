/* cardmapd/entrance.h - the account phase: may somebody enter now, who shows no card? */
#ifndef CM_CARDMAPD_ENTRANCE_H
#define CM_CARDMAPD_ENTRANCE_H

#include "cardmapd/login.h"

/*
 * Begin it for the attempt, which is told how it ended.  For root's programs a
 * thread asks the resolver; for others nobody is asked: what is kept decides.
 * proven_s: cm_logins_proven_for().  Main thread.
 */
CM_MUST_USE enum cm_err cm_entrance_begin(struct cm_attempt *a, int64_t proven_s);
/*
 * Of a login: may its user use a password instead?  Where that has to be asked, nothing is told of
 * the login until it is known (cm_attempt_settle()).  Nobody in particular, and where
 * too many are being asked about: no.  Main thread.
 */
void cm_entrance_ask_password(struct cm_attempt *a);
/* Is the attempt still needed?  Under the lock; NULL: no. */
bool cm_entrance_runs(const struct cm_entrance *e);
/* Waits for its thread. */
void cm_entrance_free(struct cm_entrance **e);

#endif /* CM_CARDMAPD_ENTRANCE_H */
