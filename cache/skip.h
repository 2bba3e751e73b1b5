/* cache/skip.h - who may log in once without a card, by root's word: "cardmap enforcement skip-once". */
#ifndef CM_CACHE_SKIP_H
#define CM_CACHE_SKIP_H

#include "cache/accounts.h"

/*
 * One mark for each name, whoever has it.  It holds for a day of this
 * computer's clock, and within one boot for no more than a day of
 * CLOCK_BOOTTIME, whatever the clock is set to; not while the clock is behind
 * its making or a time that a server has signed.  A store on a socket has
 * none: CM_ERR_STATE.  now is this host's clock; times are seconds since 1970, UTC.
 */
#define CM_SKIP_S	(24 * 3600)
struct cm_skip {
	time_t made, expires;
};

/*
 * Make it, in place of an older one of the same name.
 * CM_ERR_REFUSED  CLOCK_BEHIND: it would not hold; CM_ERR_SYSTEM  STORE; CM_ERR_USAGE  no name
 */
CM_MUST_USE enum cm_err cm_skip_make(struct cm_accounts *s, const char *name, time_t now, struct cm_trace *t, struct cm_skip *out);
/*
 * Look at it; one that has expired is removed.
 * CM_OK          it holds; out may be NULL
 * CM_ERR_ABSENT  there is none that holds, and no reason is set; CM_ERR_SYSTEM  STORE
 */
CM_MUST_USE enum cm_err cm_skip_find(struct cm_accounts *s, const char *name, time_t now, struct cm_trace *t, struct cm_skip *out);
/*
 * Use it up, in one transaction, which no other process's or thread's does as well.
 * CM_OK          it held, and is gone from the disk; else as cm_skip_find(): after CM_ERR_SYSTEM nobody may enter by it
 */
CM_MUST_USE enum cm_err cm_skip_use(struct cm_accounts *s, const char *name, time_t now, struct cm_trace *t, struct cm_skip *out);

#endif /* CM_CACHE_SKIP_H */
