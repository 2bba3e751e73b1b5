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
	const char *url;	/* ldap: or ldaps:, one attribute named, or it is certificateRevocationList, ";binary" or not, scope base or what it says */
	size_t max;		/* octets of the value; libldap reads no message that is much longer */
	cm_deadline deadline;
	int cancel;		/* readable: give up.  -1: none */
	bool (*take)(void *arg, struct cm_blob value);	/* given the value, once; it is gone afterwards.  false: it has no room for it */
	void *arg;
	/* out */
	uint64_t bytes;		/* that came from servers */
	unsigned connections;
	bool answered;		/* a server did: with the value, that there is none, or with an error */
	bool silent;		/* the deadline passed; with bytes: in the middle of an answer */
	bool cancelled;
	bool unnamed;		/* the server's name could not be looked up */
	bool distrusted;	/* TLS: its certificate is not accepted, or it has none */
	bool too_large;
};

/*
 * Who fails adds to why, which is empty before.
 * CM_OK           the value was taken
 * CM_ERR_ABSENT   the directory answered, and there is no such entry, attribute or value: why names it
 * CM_ERR_AMBIGUOUS  several values: which is the list?
 * CM_ERR_OFFLINE  no usable answer: why and the fields above say what was wrong
 * CM_ERR_SYNTAX   the URL is none, has a critical extension, or asks for several attributes
 * CM_ERR_CONFIG   serverless, and no directory is configured, or its CA or password cannot be read; ldaps: without a CA
 * CM_ERR_SYSTEM   it was not: who takes it knows why
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_ldap_fetch(struct cm_ldap_fetch *f, struct cm_buf *why);

#endif /* CM_LDAP_FETCH_H */
