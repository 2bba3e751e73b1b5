/* service/policy.h - who may use a password, and which account may enter now: what holds without a card. */
#ifndef CM_SERVICE_POLICY_H
#define CM_SERVICE_POLICY_H

#include "base/conf.h"
#include "base/trace.h"
#include "cache/skip.h"
#include "ldap/facts.h"

/* All borrowed. */
struct cm_password {
	const struct cm_conf *conf;
	struct cm_accounts *store;	/* NULL: it cannot be had, and nothing is known of what it keeps */
	const char *user;
	const struct cm_facts *said;	/* what a directory says of him now; NULL: nobody was asked, or nobody answered */
	bool entering;			/* he is past his password: kept also where no directory has him */
};
/*
 * May this user log in without a card?  The five steps (service/enforcement.h), with
 * what was said last where nothing is said now; and what is said now is kept.
 *
 * CM_OK
 * CM_ERR_REFUSED  CARD_REQUIRED: the text names the step that decided, and its value
 * CM_ERR_SYSTEM   STORE, SYSTEM: it could not be told what is known of him: he may not
 */
CM_MUST_USE enum cm_err cm_policy_may_use_password(const struct cm_password *p, struct cm_trace *t);

/*
 * Has root said that this user may log in once without a card (cache/skip.h)?  It uses nothing up: the account
 * phase does.  What cannot be read says no, and t why.
 */
bool cm_policy_may_skip(struct cm_accounts *store, const char *user, struct cm_trace *t);

/* An account of uid 0, by name: root, and what /etc/passwd has under that number.  Read without NSS. */
bool cm_policy_is_root(const char *user);

/* CM_ERR_REFUSED (CARDS_OFF): enforcement.allow_cards = no */
CM_MUST_USE enum cm_err cm_policy_allow_cards(const struct cm_conf *conf, struct cm_trace *t);

/* The account phase, which has no card: who asks about whom.  All borrowed. */
struct cm_entering {
	const struct cm_conf *conf;
	struct cm_accounts *store;
	const char *user;
	const char *service;	/* PAM's; NULL: not said */
	uid_t asker;		/* 0: root, about anybody; another: of accounts that are not his nothing is known */
	bool proven;		/* this very process was let in as that user by its card */
	bool fresh;		/* ... so lately that nobody is asked again */
	/*
	 * How does the directory's account of this name stand?  NULL: nobody is asked, as if it were silent.
	 * CM_OK (*out is the caller's), a no (ABSENT, AMBIGUOUS, REFUSED, with its reason), CM_ERR_OFFLINE:
	 * it is silent; anything else, with its reason: it could not be asked, and nobody enters by that.
	 * said: what the directory says of enforcement, whatever becomes of the account; all UNKNOWN: nothing
	 */
	enum cm_err (*ask)(void *arg, const char *user, struct cm_trace *t, struct cm_account **out, struct cm_facts *said);
	void *arg;
	struct cm_skip *skip;	/* out: the mark that was used up; made 0: none was */
};

/*
 * May this account enter now?  Of whom a card opened here the directory is asked, by name: whatever became
 * of the card, it is the account that must stand.  What it answers is kept (cache/standing.h), and speaks
 * where it is silent: whom it denied last stays outside until it says otherwise, or a card opens the account
 * online, or root forgets it.  Of anybody else, but this computer's own, it is asked whether he needs a card.
 *
 * Who must use a card and did not enters by the mark that root made, for root's programs and after all else
 * was judged: it is used up by that.  Programs that nobody logs in by (systemd-user, cron, at) want no card,
 * and use no mark up.
 *
 * CM_OK           *out is the caller's: the account as kept, or of /etc/passwd where a card is paired with it
 * CM_ERR_ABSENT, no reason set  it is none of ours: no card opens it here, and no directory has anything against it
 * CM_ERR_ABSENT, AMBIGUOUS, REFUSED  as the directory says, or said last; NOT_THIS_USER: it has another by that name;
 *                 KEPT_TOO_OLD, CLOCK_BEHIND, ACCOUNT_FORBIDDEN; CARD_REQUIRED: it must use a card, and did not
 * CM_ERR_OFFLINE  NOT_KEPT: its card opens it no more, and no directory can be asked
 * CM_ERR_SYSTEM   STORE; others: as ask
 */
CM_MUST_USE enum cm_err cm_policy_account(const struct cm_entering *e, struct cm_trace *t, struct cm_account **out);

#endif /* CM_SERVICE_POLICY_H */
