/* cardmapd/match.h - which card a login is for. */
#ifndef CM_CARDMAPD_MATCH_H
#define CM_CARDMAPD_MATCH_H

#include "cardmapd/session.h"

/*
 * Main thread: where a has no card yet, give it one, say what it waits for, let a
 * person choose, or refuse it; nothing changes where nothing is new.
 */
void cm_match(struct cm_attempt *a);

#endif /* CM_CARDMAPD_MATCH_H */
