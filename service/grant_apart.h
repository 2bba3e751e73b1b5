/* service/grant_apart.h - a grant from what other processes told, none of which is believed. */
#ifndef CM_SERVICE_GRANT_APART_H
#define CM_SERVICE_GRANT_APART_H

#include "base/conf.h"
#include "cache/accounts.h"
#include "krb5/hostcheck.h"
#include "service/grant.h"
#include "service/message.h"
#include "service/possession.h"

/*
 * What was told, and by whom; all borrowed for the call.  The card helper may
 * lie about certificate, key and signature, the resolver about all that it made
 * of the certificate: each of them alone, and whoever sits in both, opens no
 * account that nobody else vouches for:
 *
 * - a KDC: the AP-REQ that was opened here names the account's principal, and that is the account's name
 *   in this realm (kerberos.principal = name), or what the directory says (= directory), or what it was
 *   when this very certificate let the same account in before;
 * - the store: this very certificate opened this account before, and the card signed our nonce with the
 *   key that was kept then;
 * - a pairing of the card's key with this account, and the card signed our nonce;
 * - the administrator, by service.vouch = resolver: the resolver's word, and the card signed our nonce.
 */
struct cm_grant_apart {
	const struct cm_conf *conf;
	struct cm_accounts *store;
	const char *etc;			/* where passwd and group are; NULL: /etc */
	const char *realm;			/* of the host keytab; NULL: there is none */
	/* the card helper */
	struct cm_blob certificate;		/* which the resolver was sent, octet by octet */
	const struct cm_key *read_key;
	struct cm_blob signature;		/* over nonce; none: it made none */
	/* the resolver */
	const struct cm_key *judged_key;
	const struct cm_account *account;
	bool kept;				/* the directory was silent */
	const struct cm_octets_list *links;
	const struct cm_evidence_list *evidence;
	time_t not_after;
	/* of this process */
	const uint8_t *nonce;			/* 32 octets, of this login alone */
	const struct cm_vouched *ticket;	/* opened with the keytab, over nonce; NULL: none */
};

/*
 * CM_OK           *out is the caller's, for cm_grant_free
 * CM_ERR_REFUSED  PROOF_MISSING: a part is missing, or helper and resolver do not say the same, or the store
 *                 knows better; LOCAL_COLLISION (also where the uid is of another who is kept), ACCOUNT_FORBIDDEN, ACCOUNT_MALFORMED; TICKET_FORGED: the
 *                 ticket is another principal's; CARD_KEY: the signature is not of that key; NOT_VOUCHED;
 *                 KEPT_TOO_OLD, CLOCK_BEHIND; CERT_EXPIRED; REVOKED, REVOCATION_UNKNOWN, REVOCATION_TOO_OLD
 * CM_ERR_OFFLINE  NOT_KEPT: said to be kept, and it is not
 * CM_ERR_SYSTEM   STORE, SYSTEM; CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_grant_make_apart(const struct cm_grant_apart *b, struct cm_trace *t, struct cm_grant **out);

/* Does the ticket do, so that no signature is needed?  Of the basis: conf, store, realm, certificate, account, ticket. */
bool cm_grant_is_vouched_by_ticket(const struct cm_grant_apart *b);

/* What can be told of an account before any proof: its ids, and those of this computer (service/local.h).  a loses groups. */
CM_MUST_USE enum cm_err cm_grant_check_account(const struct cm_conf *conf, const char *etc, struct cm_account *a, struct cm_trace *t);

#endif /* CM_SERVICE_GRANT_APART_H */
