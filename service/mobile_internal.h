/* service/mobile_internal.h - what a login (mobile.c) and the settling of all (mobile_settle.c) share. */
#ifndef CM_SERVICE_MOBILE_INTERNAL_H
#define CM_SERVICE_MOBILE_INTERNAL_H

#include "service/mobile.h"

/* accounts.mobile lets this account have one. */
bool cm_mobile_is_permitted(const struct cm_conf *conf, const struct cm_account *a);
/* Something of this name is there that is not ours. */
bool cm_mobile_is_foreign(const struct cm_mobile_host *h, const struct cm_userdb *folder, const char *name);
/* Where it is not as it should be.  A file that is not marked is left out. */
CM_MUST_USE enum cm_err cm_mobile_write_file(const struct cm_mobile_host *h, struct cm_userdb *folder, const struct cm_userdb_file *f,
    struct cm_trace *t);

#endif /* CM_SERVICE_MOBILE_INTERNAL_H */
