/* cardmapd/pairing.h - users who pair cards with their own accounts: who may, and of which card he is told. */
#ifndef CM_CARDMAPD_PAIRING_H
#define CM_CARDMAPD_PAIRING_H

#include "cardmapd/login.h"

/*
 * May this user pair a card with his own account?  Root switches it on (cardmap pairing-ui on), accounts.user_pairing
 * is not no, pairings are kept in the store (no mapper.selector), and he is one of this computer's own users, with an
 * account that cards may open.  Of the seat nothing is asked here.
 *
 * CM_OK           *out: his account, from /etc/passwd; the caller's
 * CM_ERR_REFUSED  PAIRING_OFF, PAIRING_FOR_ROOT, ACCOUNT_FORBIDDEN, LOCAL_COLLISION, CARDS_OFF
 * CM_ERR_SYSTEM
 */
CM_MUST_USE enum cm_err cm_pairing_judge(const struct cm_daemon *d, uid_t uid, struct cm_trace *t, struct cm_account **out);

/* Is whoever listens to be told that a card is one that he may pair: as above, and it is he who sits at the seat now. */
bool cm_pairing_is_offered(const struct cm_client *c);

#endif /* CM_CARDMAPD_PAIRING_H */
