/* service/grant.h - permission to enter as one account: made in one place, from three things. */
#ifndef CM_SERVICE_GRANT_H
#define CM_SERVICE_GRANT_H

#include "base/trace.h"
#include "ldap/directory.h"

struct cm_cert;
struct cm_grant;
struct cm_proof;
struct cm_ticket;
struct cm_verdict;

/*
 * account, verdict and certificate, and proof that the card holds the key: a
 * signature over this host's nonce (proof), or a ticket that the host keytab
 * verified for this account's principal (ticket); one may be NULL.  All
 * borrowed for the call.
 *
 * CM_OK           *out is the caller's, for cm_grant_free
 * CM_ERR_REFUSED  PROOF_MISSING: the verdict does not pass for this very
 *                 certificate, or neither proof is for it and this account
 */
struct cm_grant_basis {
	const struct cm_account *account;
	const struct cm_cert *cert;
	const struct cm_verdict *verdict;
	const struct cm_proof *proof;
	const struct cm_ticket *ticket;
	struct cm_account_limits limits;
};
CM_MUST_USE enum cm_err cm_grant_make(const struct cm_grant_basis *b, struct cm_trace *t,
    struct cm_grant **out);
void cm_grant_free(struct cm_grant **g);

/* The account that may enter; borrowed from the grant, which has a copy of its own. */
const struct cm_account *cm_grant_account(const struct cm_grant *g);

#endif /* CM_SERVICE_GRANT_H */
