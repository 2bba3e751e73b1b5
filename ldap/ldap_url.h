/* ldap/ldap_url.h - inside ldap/: an LDAP URL (RFC 4516) that names one attribute. */
#ifndef CM_LDAP_LDAP_URL_H
#define CM_LDAP_LDAP_URL_H

#include <ldap.h>

#include "base/buf.h"
#include "ldap/directory.h"

struct cm_ldap_url {
	LDAPURLDesc *parts;	/* owned: lud_host (NULL: serverless), lud_port, lud_dn, lud_scope */
	struct cm_buf server;	/* "ldap://[::1]:389"; empty: serverless */
	struct cm_buf filter;	/* in parentheses */
	struct cm_buf attribute, binary;	/* its name without ";binary", and with it */
	bool says_binary;		/* it is written so */
};
/*
 * CM_ERR_SYNTAX  it is none, asks for several attributes, or has an extension that must be understood: why
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_ldap_url_parse(const char *text, struct cm_ldap_url *out,
    struct cm_buf *why);
void cm_ldap_url_clear(struct cm_ldap_url *u);

/*
 * Its value among those of an entry, borrowed, sent as ";binary" or not; *count
 * of different ones that are not empty.
 */
struct cm_blob cm_ldap_url_pick(const struct cm_ldap_url *u, const struct cm_value *values,
    size_t n, size_t *count);

#endif /* CM_LDAP_LDAP_URL_H */
