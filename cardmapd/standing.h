/* cardmapd/standing.h - the resolver asked about somebody by name. */
#ifndef CM_CARDMAPD_STANDING_H
#define CM_CARDMAPD_STANDING_H

#include "cardmapd/daemon.h"
#include "ldap/facts.h"

/*
 * How does the directory's account of this name stand, and what does it say of whether
 * it needs a card?  group: another than the configuration's to ask about; NULL: that one.
 * Any thread; waits for directory.timeout and two seconds more at most.
 *
 * CM_OK          *out is the caller's
 * CM_ERR_ABSENT, AMBIGUOUS, REFUSED, OFFLINE  as the directory answers, or does not
 * CM_ERR_SYSTEM  HELPER: the resolver cannot be had, or its answer is none
 * said: whatever becomes of the account; all UNKNOWN: nothing was said
 */
struct cm_standing_question {
	const char *user, *group;
};
CM_MUST_USE enum cm_err cm_daemon_ask_standing(const struct cm_daemon *d, const struct cm_standing_question *q, struct cm_trace *t,
    struct cm_account **out, struct cm_facts *said);

#endif /* CM_CARDMAPD_STANDING_H */
