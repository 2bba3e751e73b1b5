/* service/pair_apart.h - a card that opens nothing, paired with its user's own account by the service: of others' words nothing is believed. */
#ifndef CM_SERVICE_PAIR_APART_H
#define CM_SERVICE_PAIR_APART_H

#include "service/apart.h"
#include "service/selector.h"

/* Cards that one account may come to have this way: somebody who sits down at an open session does not fill the store. */
#define CM_PAIR_APART_MOST	8

/*
 * Append the hash by which a pairing names the card's first certificate (sc_auth(8)), which chains as trust.level has it.
 * False: there is none, or the card is not known to be such a one.
 */
bool cm_apart_key_hash(const struct cm_apart *a, struct cm_buf *out);

/*
 * Before the PIN, of a login whose work is cm_login_apart and that has done nothing yet: the certificate of slot 9A is read
 * from the card, its chain is good, it opens no account (asked, and it is no), its key is paired with nobody, and account,
 * which is to have it, has fewer than CM_PAIR_APART_MOST.
 *
 * CM_ERR_REFUSED  CARD_OPENS: it opens an account; PAIRING_FOR_ROOT: there are CM_PAIR_APART_MOST
 * CM_ERR_AMBIGUOUS  PAIRED_OTHERWISE, SEVERAL_ACCOUNTS
 * others          as the stages certificate, chain and account; where the directory is silent nobody knows
 */
CM_MUST_USE enum cm_err cm_pair_apart_prepare(struct cm_login *l, const struct cm_account *account);

/*
 * After it: one VERIFY, the card's signature of this process's own nonce, and then the pairing of the key that made it
 * with account, which is one of this computer's and was judged (cm_grant_check_account()).  pin is borrowed.
 *
 * CM_ERR_REFUSED  ONE_CARD, PAIRING_FOR_ROOT: there are CM_PAIR_APART_MOST; PIN_*; CARD_KEY
 * CM_ERR_SYSTEM   STORE, HELPER
 */
CM_MUST_USE enum cm_err cm_pair_apart_finish(struct cm_login *l, const struct cm_account *account, const struct cm_pin *pin);

#endif /* CM_SERVICE_PAIR_APART_H */
