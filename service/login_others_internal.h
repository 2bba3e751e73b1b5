/* service/login_others_internal.h - a card with several certificates: which of them the login is about. */
#ifndef CM_SERVICE_LOGIN_OTHERS_INTERNAL_H
#define CM_SERVICE_LOGIN_OTHERS_INTERNAL_H

#include "service/login.h"

/* login.c: chain (ask_all), account and revocation of the certificate that is in use.  Results are those of the stages. */
CM_MUST_USE enum cm_err cm_login_ask_all(struct cm_login *l);
CM_MUST_USE enum cm_err cm_login_ask_named(struct cm_login *l);

/*
 * The certificate that was looked at will not do, for this refusal: look at what
 * else the card has.  With a user, it is the first that opens that account.
 * Without one, the only one that opens any; of several, and where the first could
 * only not be asked about, somebody must be named: they are l->openings.
 * CM_OK: all stages before the PIN have passed with it; else the refusal, which
 * stands, or SEVERAL_ACCOUNTS, or what became of the card.
 */
CM_MUST_USE enum cm_err cm_login_look_at_others(struct cm_login *l, enum cm_err refusal);
/* The same for a login that is named now: what was found before comes first, then the card's first certificate. */
CM_MUST_USE enum cm_err cm_login_look_for_user(struct cm_login *l);
void cm_login_forget_openings(struct cm_login *l);

#endif /* CM_SERVICE_LOGIN_OTHERS_INTERNAL_H */
