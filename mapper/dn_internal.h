/* mapper/dn_internal.h - distinguished names as the different directories have them written */
#ifndef CM_MAPPER_DN_INTERNAL_H
#define CM_MAPPER_DN_INTERNAL_H

#include "card/cert.h"

enum cm_dn_style {
	CM_DN_NSS_LDAP,		/* sss-certmap(5)'s four, with the types that it calls UNDEF named */
	CM_DN_NSS_X500,
	CM_DN_AD_LDAP,
	CM_DN_AD_X500,
	CM_DN_ONELINE,		/* pam_pkcs11's: OpenSSL's X509_NAME_oneline() */
	CM_DN_PKCA,		/* [MS-PKCA] 3.1.5.2.1.3, as Active Directory writes it (adname.c) */
};

/*
 * CM_ERR_ABSENT  the name is empty
 * CM_ERR_SYNTAX  a value holds what the style has no way to write (a NUL), or out is full
 */
CM_MUST_USE enum cm_err cm_dn_write(const struct cm_cert_name *n, enum cm_dn_style style,
    struct cm_buf *out);

/*
 * adname.c: AD's text of a name: root first, "," without a space, AD's attribute
 * names ([MS-PKCA] 3.1.5.2.1.3).  As cm_dn_write.
 */
CM_MUST_USE enum cm_err cm_name_ad(const struct cm_cert_name *n, struct cm_buf *out);

/* OpenSSL's short name of the type whose content octets these are; NULL: it knows none. */
const char *cm_oid_short_name(struct cm_blob oid);
/* Dotted, however long an arc is. */
void cm_oid_text(struct cm_blob oid, struct cm_buf *out);

#endif /* CM_MAPPER_DN_INTERNAL_H */
