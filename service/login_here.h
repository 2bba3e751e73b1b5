/* service/login_here.h - a login whose stages all run in this process: `cardmap login` and `cardmap explain` alone. */
#ifndef CM_SERVICE_LOGIN_HERE_H
#define CM_SERVICE_LOGIN_HERE_H

#include "card/card.h"
#include "krb5/pkinit.h"
#include "service/host.h"
#include "service/login.h"

/* Takes a login with a host, made with CM_NEED_LOGIN, and the PIN as a secret. */
extern const struct cm_login_work cm_login_here;

/* What it found, borrowed; NULL: not yet, or not at all. */
const struct cm_cert *cm_login_here_cert(const struct cm_login *l);
const struct cm_verdict *cm_login_here_verdict(const struct cm_login *l);
const struct cm_proof *cm_login_here_proof(const struct cm_login *l);
const struct cm_ticket *cm_login_here_ticket(const struct cm_login *l);
const struct cm_card *cm_login_here_card(const struct cm_login *l);

#endif /* CM_SERVICE_LOGIN_HERE_H */
