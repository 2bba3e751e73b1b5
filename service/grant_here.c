/* service/grant_here.c - the grant of a login in this process: from three things, each made by the module that judges it. */
#include "card/card.h"
#include "krb5/pkinit.h"
#include "service/grant_internal.h"
#include "trust/trust.h"

static bool
is_proved(const struct cm_grant_basis *b)
{
	if (b->proof != NULL && cm_proof_is_for(b->proof, b->cert))
		return true;
	return b->ticket != NULL && cm_ticket_proves(b->ticket, b->account, b->cert);
}

enum cm_err
cm_grant_make(const struct cm_grant_basis *b, struct cm_trace *t, struct cm_grant **out)
{
	enum cm_err err;

	*out = NULL;
	if (b->account == NULL || b->cert == NULL || b->verdict == NULL)
		return cm_trace_fail(t, CM_REASON_PROOF_MISSING, "a stage of the login was left out");
	if (!cm_verdict_passes(b->verdict, b->cert))
		return cm_trace_fail(t, CM_REASON_PROOF_MISSING,
		    "the verdict is not for this certificate, or not whole");
	if (!is_proved(b))
		return cm_trace_fail(t, CM_REASON_PROOF_MISSING,
		    "nothing proves that the card holds the key of %s",
		    cm_cert_subject_text(b->cert));
	if ((err = cm_account_check(b->account, &b->limits, t)) != CM_OK)
		return err;
	return cm_grant_new(b->account, out);
}
