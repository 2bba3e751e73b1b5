/* mapper/dn_internal.h - distinguished names as the different directories have them written */
#ifndef CM_MAPPER_DN_INTERNAL_H
#define CM_MAPPER_DN_INTERNAL_H

#include "card/cert.h"

enum cm_dn_style {
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

#endif /* CM_MAPPER_DN_INTERNAL_H */
