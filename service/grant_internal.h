/* service/grant_internal.h - for the makers of a grant, and nobody else. */
#ifndef CM_SERVICE_GRANT_INTERNAL_H
#define CM_SERVICE_GRANT_INTERNAL_H

#include "service/grant.h"

/* Of a copy of this account.  CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_grant_new(const struct cm_account *a, struct cm_grant **out);

#endif /* CM_SERVICE_GRANT_INTERNAL_H */
