/* service/pair.h - pair a card with an account: its steps in order, before the PIN and after it. */
#ifndef CM_SERVICE_PAIR_H
#define CM_SERVICE_PAIR_H

#include "base/secret.h"
#include "cache/pairings.h"
#include "card/card.h"
#include "service/host.h"
#include "service/selector.h"

/*
 * One pairing.  The first part is the caller's, borrowed; the rest is filled by
 * the steps, owned by it, and may be read between and after the calls.
 */
struct cm_pair {
	const struct cm_host *host;	/* made with CM_NEED_PAIR; without accounts for CM_PAIR_LDIF */
	struct cm_trace *trace;		/* never NULL */
	const char *user;		/* the account's name */
	enum cm_pair_where {
		CM_PAIR_ANY,		/* this computer's account where there is one so named, else the directory's */
		CM_PAIR_LOCAL,		/* this computer's */
		CM_PAIR_DIRECTORY,	/* the directory's, on this computer */
		CM_PAIR_LDIF,		/* the directory's, in the directory: nothing is kept, the caller writes the change */
	} where;
	enum cm_slot slot;		/* of the certificate; 0: 9A.  Another must be one that logins look into */
	const struct cm_selector_key *key;	/* the card's key must be this; NULL: any */
	bool last_try;			/* the PIN's last try may be spent */

	const struct cm_secret *pin;	/* borrowed while cm_pair_finish() runs */
	cm_deadline deadline;		/* of the step that runs */
	struct cm_card *card;
	struct cm_cert *cert;
	unsigned tries_left;
	struct cm_account *account;
	struct cm_proof *proof;
	bool by_selector;		/* the configured selector was told instead of the store */
};
#define CM_NEED_PAIR	(CM_NEED_RULES | CM_NEED_DIRECTORY | CM_NEED_TRUST | CM_NEED_ACCOUNTS)

/*
 * Before the PIN: the certificate, its chain (unless trust.level = off), the
 * account with all rules for accounts.
 *
 * CM_ERR_REFUSED    NOT_ROOT, PAIRING_OFF (neither for CM_PAIR_LDIF); as the card, trust and directory
 * CM_ERR_USAGE      USAGE: card.slots leaves the slot out
 * CM_ERR_AMBIGUOUS  PAIRED_OTHERWISE
 * others            as cm_card_open(), cm_trust_check_chain(), cm_directory_find()
 */
CM_MUST_USE enum cm_err cm_pair_prepare(struct cm_pair *p);

/*
 * After it: one VERIFY, the card's proof that it holds the key, and only then
 * the pairing is kept, by the selector where there is one.
 * Results are those of cm_card_verify_pin(), cm_card_prove(), cm_pairings_add()
 * and cm_selector_ask().
 */
CM_MUST_USE enum cm_err cm_pair_finish(struct cm_pair *p, const struct cm_secret *pin);
void cm_pair_clear(struct cm_pair *p);

/*
 * End pairings: all of user's (key NULL), or that key's, if user is NULL or has
 * it.  Where a selector is configured it is told too, about key.
 *
 * CM_ERR_REFUSED  NOT_ROOT
 * CM_ERR_ABSENT   NOT_PAIRED
 * CM_ERR_SYSTEM   STORE, SELECTOR
 */
CM_MUST_USE enum cm_err cm_pair_end(const struct cm_host *h, const char *user,
    const struct cm_selector_key *key, struct cm_trace *t);

/* What both ask first.  CM_ERR_REFUSED: NOT_ROOT. */
CM_MUST_USE enum cm_err cm_pair_check_root(struct cm_trace *t);

#endif /* CM_SERVICE_PAIR_H */
