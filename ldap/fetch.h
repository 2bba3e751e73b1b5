/* ldap/fetch.h - one attribute's value from a directory, by an LDAP URL (RFC 4516): where CAs publish revocation lists. */
#ifndef CM_LDAP_FETCH_H
#define CM_LDAP_FETCH_H

#include "base/buf.h"
#include "base/clock.h"

/*
 * Serverless addresses (ldap:///CN=..., as AD CS writes them) go to the
 * configured directory, bound as for accounts, with its TLS rules.  Addresses
 * that name a server are asked anonymously: what comes is signed, so plain
 * ldap: is no harm.  Texts are borrowed.
 */
struct cm_ldap_fetching {
	const char *const *uris;	/* of the directory, in order; NULL or empty: serverless addresses cannot be asked */
	const char *bind_dn, *bind_password_file, *ca;	/* as struct cm_directory_options */
	bool starttls;
};

struct cm_ldap_fetch {
	const struct cm_ldap_fetching *how;
	const char *url;	/* ldap: or ldaps:, one attribute named or certificateRevocationList, ";binary" or not, scope base or what it says */
	size_t max;		/* octets of the value; libldap reads no message that is much longer */
	cm_deadline deadline;
	int cancel;		/* readable: give up.  -1: none */
	int fd;			/* borrowed: the value is written there */
	/* out */
	uint64_t bytes;
	unsigned connections;
	bool silent;		/* the deadline passed */
	bool too_large;
};

/*
 * CM_OK           the value is in fd
 * CM_ERR_ABSENT   the directory answered, and there is no such entry, attribute or value: why names it
 * CM_ERR_AMBIGUOUS  several values: which is the list?
 * CM_ERR_OFFLINE  no answer: why says what was wrong
 * CM_ERR_SYNTAX   the URL is none, has a critical extension, or asks for several attributes
 * CM_ERR_CONFIG   serverless, and no directory is configured
 * CM_ERR_SYSTEM   it cannot be written
 */
CM_MUST_USE enum cm_err cm_ldap_fetch(struct cm_ldap_fetch *f, struct cm_buf *why);

#endif /* CM_LDAP_FETCH_H */
