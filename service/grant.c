/* service/grant.c - permission to enter as one account: made in one place, from three things. */
#include "service/grant.h"

#include <stdlib.h>

struct cm_grant {
	struct cm_account *account;
};

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
	struct cm_grant *g = NULL;
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
	if ((err = cm_account_check(b->account, b->first_uid, b->first_gid, t)) != CM_OK)
		return err;
	if ((g = calloc(1, sizeof(*g))) == NULL)
		return CM_ERR_NOMEM;
	if ((err = cm_account_copy(b->account, &g->account)) != CM_OK)
		cm_grant_free(&g);
	*out = g;
	return err;
}

void
cm_grant_free(struct cm_grant **g)
{
	if (*g == NULL)
		return;
	cm_account_free(&(*g)->account);
	free(*g);
	*g = NULL;
}

const struct cm_account *
cm_grant_account(const struct cm_grant *g)
{
	return g->account;
}
