/* service/login_internal.h - stages of the login that have a file of their own. */
#ifndef CM_SERVICE_LOGIN_INTERNAL_H
#define CM_SERVICE_LOGIN_INTERNAL_H

#include "service/login.h"

/* Begin to ask; l->inquiry is the login's.  Results are those of cm_trust_ask_revocation(). */
CM_MUST_USE enum cm_err cm_login_ask_revocation(struct cm_login *l);
/* The stage: begins to ask, where that was not done yet. */
CM_MUST_USE enum cm_err cm_login_check_revocation(struct cm_login *l);

#endif /* CM_SERVICE_LOGIN_INTERNAL_H */
