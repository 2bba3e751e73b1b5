/* service/mobile.h - mobile accounts: who gets one, and that the files which name them are what the store says. */
#ifndef CM_SERVICE_MOBILE_H
#define CM_SERVICE_MOBILE_H

#include "base/conf.h"
#include "service/names.h"
#include "service/userdb.h"

/* All borrowed. */
struct cm_mobile_host {
	const struct cm_conf *conf;
	struct cm_accounts *store;	/* a file; of this thread */
	const char *etc;		/* where group is; NULL: /etc */
	const struct cm_names_how *names;	/* how other sources of nsswitch.conf are asked; NULL: by ourselves, as we are */
};

/* accounts.mobile = ask, and nobody has said of this account whether it is to be kept here. */
bool cm_mobile_must_ask(const struct cm_mobile_host *h, const struct cm_account *a);
/* "never": its owner wants no mobile account, until cardmap accounts forget.  CM_ERR_SYSTEM  STORE */
CM_MUST_USE enum cm_err cm_mobile_decline(const struct cm_mobile_host *h, const struct cm_account *a, struct cm_trace *t);

/*
 * What a login with the network is about to keep.  a is who was let in: checked,
 * its groups without those of this computer's.  asked: its owner has said yes.
 *
 * CM_OK           *out is the caller's, for cm_mobile_plan_free(); the folder is locked until then.  Its row goes into the
 *                 transaction that keeps the account, then its files are written
 * CM_ERR_ABSENT   none is to be made, and no reason is set: accounts.mobile, or its owner, says so; or somebody else
 *                 gives this computer this very account
 * CM_ERR_REFUSED  LOCAL_COLLISION: the name or the uid is somebody else's, here or by another source of nsswitch.conf; ACCOUNT_FORBIDDEN: its home is outside
 *                 accounts.home_roots; ACCOUNT_MALFORMED
 * CM_ERR_SYSTEM   SYSTEM: the folder cannot be used, or such a source could not be asked; STORE; CM_ERR_NOMEM
 */
struct cm_mobile_plan;
CM_MUST_USE enum cm_err cm_mobile_plan(const struct cm_mobile_host *h, const struct cm_account *a, bool asked, struct cm_trace *t,
    struct cm_mobile_plan **out);
const struct cm_mobile *cm_mobile_plan_row(const struct cm_mobile_plan *p);
/* CM_ERR_SYSTEM  SYSTEM: what is missing is written by the next login, or when the service settles them */
CM_MUST_USE enum cm_err cm_mobile_plan_write(struct cm_mobile_plan *p, struct cm_trace *t);
void cm_mobile_plan_free(struct cm_mobile_plan **p);

/*
 * The same around cm_accounts_remember_apart(), for a login that fails by none of it: what went wrong is a "warning" in t,
 * what was done an item "mobile account".  NULL: none is made.
 */
struct cm_mobile_plan *cm_mobile_begin(const struct cm_mobile_host *h, const struct cm_account *a, bool asked, struct cm_trace *t);
void cm_mobile_end(struct cm_mobile_plan **p, enum cm_err kept, struct cm_trace *t);

/*
 * Make the folder what the store says: files of accounts that are no longer kept,
 * or rest (accounts.offline_days), go, and those that are missing come.  Nothing
 * goes while a row of the store is damaged; what others put there stays.
 * told: of each account whose names went, and why.
 * CM_ERR_SYSTEM  STORE, SYSTEM: the rest was done
 */
enum cm_mobile_end { CM_MOBILE_END_GONE, CM_MOBILE_END_RESTS, CM_MOBILE_END_POLICY };
typedef void (*cm_mobile_told)(void *arg, const struct cm_account *a, enum cm_mobile_end end);
CM_MUST_USE enum cm_err cm_mobile_settle(const struct cm_mobile_host *h, time_t now, struct cm_trace *t, cm_mobile_told told,
    void *arg);

#endif /* CM_SERVICE_MOBILE_H */
