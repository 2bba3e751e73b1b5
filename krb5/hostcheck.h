/* krb5/hostcheck.h - the half of a Kerberos login that needs the host keytab: for the process that lets people in. */
#ifndef CM_KRB5_HOSTCHECK_H
#define CM_KRB5_HOSTCHECK_H

#include <time.h>

#include "base/blob.h"
#include "base/trace.h"

/*
 * The card helper has no keytab: it gets a TGT by PKINIT, with it a ticket for
 * this host, and makes an AP-REQ (RFC 4120 5.5.1) whose authenticator's checksum
 * covers the nonce that this process chose for this login.  Here it is opened
 * with the keytab.  Sends nothing, needs no network.  Thread-safe.
 */
struct cm_hostcheck;

struct cm_hostcheck_options {
	const char *config;		/* krb5.conf; NULL: the system's */
	const char *realm;		/* NULL: the configuration's default realm */
	const char *keytab;
	const char *host_principal;	/* NULL: the first host/ in the keytab */
};

/*
 * CM_ERR_ABSENT  no keytab, or no realm: nobody can be checked (reason CONFIG says which)
 * CM_ERR_CONFIG  CONFIG: the keytab or krb5.conf cannot be read, or others may read the keytab
 */
CM_MUST_USE enum cm_err cm_hostcheck_open(const struct cm_hostcheck_options *o, struct cm_trace *t, struct cm_hostcheck **out);
void cm_hostcheck_close(struct cm_hostcheck **h);
/* "host/ws1.example.org@EXAMPLE.ORG": whom the helper asks a ticket for. */
const char *cm_hostcheck_principal(const struct cm_hostcheck *h);
const char *cm_hostcheck_realm(const struct cm_hostcheck *h);

/*
 * CM_OK           a KDC that shares this host's key let that principal in, by a TGT that is no older than since
 *                 (less CM_CLOCK_SKEW), and whoever holds it made this AP-REQ for this nonce
 * CM_ERR_REFUSED  TICKET_FORGED: it does not open, is of another nonce, another day or another realm, or is replayed
 * CM_ERR_NOMEM
 */
struct cm_vouched {
	char *principal;	/* owned */
	time_t authtime;	/* the KDC's clock */
	time_t expires;		/* of the host ticket */
};
CM_MUST_USE enum cm_err cm_hostcheck_verify(struct cm_hostcheck *h, struct cm_blob ap_req, const uint8_t nonce[32],
    time_t since, struct cm_trace *t, struct cm_vouched *out);
void cm_vouched_clear(struct cm_vouched *v);

#endif /* CM_KRB5_HOSTCHECK_H */
