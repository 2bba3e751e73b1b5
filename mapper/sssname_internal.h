/* mapper/sssname_internal.h - names as libsss_certmap writes them */
#ifndef CM_MAPPER_SSSNAME_INTERNAL_H
#define CM_MAPPER_SSSNAME_INTERNAL_H

#include "base/buf.h"
#include "card/cert.h"

/*
 * The four texts that sss-certmap(5) has for a name: nss_x500 is neither,
 * nss_ldap (also "nss" and the default, and what <ISSUER> and <SUBJECT> match)
 * is LEAF_FIRST, ad_x500 ("ad") is AD, ad_ldap both.  They are that library's
 * own, not RFC 4514: the attributes of one RDN stand as if each were an RDN,
 * every octet above 0x7F is \XX, types without a name are "UNDEF".
 */
#define CM_SSS_LEAF_FIRST	(1u << 0)
#define CM_SSS_AD		(1u << 1)
#define CM_SSS_TYPES		(1u << 2)	/* "OID.1.2.3" for UNDEF: two unlike names have no text in common */
/* CM_OK, also for the empty name; CM_ERR_SYNTAX: a value is empty (that library refuses the certificate). */
CM_MUST_USE enum cm_err cm_name_sss(const struct cm_cert_name *n, unsigned flags,
    struct cm_buf *out);

/* One attribute's name in these texts, which a type has in OpenSSL; and its value, escaped. */
void cm_sss_type(struct cm_blob oid, unsigned flags, struct cm_buf *out);
void cm_sss_value(const struct cm_cert_attr *a, struct cm_buf *out);

#endif /* CM_MAPPER_SSSNAME_INTERNAL_H */
