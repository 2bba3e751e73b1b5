/* krb5/context_internal.h - libkrb5 with one configuration and one realm. */
#ifndef CM_KRB5_CONTEXT_INTERNAL_H
#define CM_KRB5_CONTEXT_INTERNAL_H

#include <krb5/krb5.h>

#include "base/trace.h"
#include "krb5/hostcheck.h"

/* config: krb5.conf, NULL: the system's.  *out is for krb5_free_context().  CM_ERR_CONFIG CONFIG */
CM_MUST_USE enum cm_err cm_krb5_context(const char *config, struct cm_trace *t, krb5_context *out);

/* realm, or the configuration's where that is NULL; *out is to be freed.  CM_ERR_ABSENT (CONFIG): there is none; CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_krb5_realm(krb5_context c, const char *realm, struct cm_trace *t, char **out);

/* CONFIG: what, and libkrb5's words. */
CM_MUST_USE enum cm_err cm_krb5_config_error(krb5_context c, krb5_error_code code, const char *what, struct cm_trace *t);

/* It is of this realm, letter by letter; and it is host/NAME there. */
bool cm_krb5_is_of(krb5_const_principal name, const char *realm);
bool cm_krb5_is_host_of(krb5_const_principal name, const char *realm);

/*
 * hostcheck.c: as cm_hostcheck_open(), with the configuration of c, which is
 * copied, and this realm.  CM_ERR_ABSENT: there is no keytab, and no reason is set.
 */
CM_MUST_USE enum cm_err cm_hostcheck_with(krb5_context c, const char *realm, const struct cm_hostcheck_options *o,
    struct cm_trace *t, struct cm_hostcheck **out);

/* krb5_timestamp is read unsigned, as libkrb5 does: to 2106. */
#define CM_KRB5_TIME(t)	((time_t)(uint32_t)(t))

#endif /* CM_KRB5_CONTEXT_INTERNAL_H */
