/* service/policy.h - who may use a password, and which account may enter now: what holds without a card. */
#ifndef CM_SERVICE_POLICY_H
#define CM_SERVICE_POLICY_H

#include "base/conf.h"
#include "base/trace.h"
#include "cache/accounts.h"

/*
 * May this user log in without a card?  enforcement.required = no: everybody may; yes: root
 * alone, who has a way in by password.  user NULL: nobody in particular.
 * enforcement.not_enforced_group, allow_unmapped_users and what the directory says of a user
 * (SmartCardEnforcement, SMARTCARD_REQUIRED) are not looked at yet: with required = yes they exempt nobody.
 */
bool cm_policy_may_use_password(const struct cm_conf *conf, const char *user);

/* An account of uid 0, by name: root, and what /etc/passwd has under that number.  Read without NSS. */
bool cm_policy_is_root(const char *user);

/* CM_ERR_REFUSED (CARDS_OFF): enforcement.allow_cards = no */
CM_MUST_USE enum cm_err cm_policy_allow_cards(const struct cm_conf *conf, struct cm_trace *t);

/* The account phase, which has no card: who asks about whom.  All borrowed. */
struct cm_entering {
	const struct cm_conf *conf;
	struct cm_accounts *store;
	const char *user;
	uid_t asker;		/* 0: root, about anybody; another: of accounts that are not his nothing is known */
	bool proven;		/* this very process was let in as that user by its card */
	/*
	 * Does this certificate, which opened the account before, open it today?  NULL: nobody is asked.
	 * CM_OK (*out is the caller's), a no (ABSENT, AMBIGUOUS, REFUSED, with its reason), or could not ask
	 */
	enum cm_err (*ask)(void *arg, struct cm_blob certificate, struct cm_trace *t, struct cm_account **out);
	void *arg;
};

/*
 * May this account enter now?  What a directory says of those whom a card opened here decides; where it
 * is silent, what is kept does.
 *
 * CM_OK           *out is the caller's: the account as kept, or of /etc/passwd where a card is paired with it
 * CM_ERR_ABSENT, no reason set  it is none of ours: no card opened it here, and none is paired with it
 * CM_ERR_ABSENT, AMBIGUOUS, REFUSED  as the directory says; KEPT_TOO_OLD, CLOCK_BEHIND, ACCOUNT_FORBIDDEN;
 *                 CARD_REQUIRED: it must use a card, and did not
 * CM_ERR_OFFLINE  NOT_KEPT: a directory withdrew it, and now none can be asked
 * CM_ERR_SYSTEM   STORE
 */
CM_MUST_USE enum cm_err cm_policy_account(const struct cm_entering *e, struct cm_trace *t, struct cm_account **out);

#endif /* CM_SERVICE_POLICY_H */
