/* service/stages_revocation.c - a login's questions about revocation: when they go out, and by which level they are judged. */
#include "service/login_internal.h"
#include "service/stages.h"

/*
 * Questions about a card that somebody's rules map go out here, so that they are
 * under way while the directory is asked, whatever state that is in.  Whose
 * rule judges them is not known yet: the strictest asks.
 */
enum cm_err
cm_login_ask_revocation(struct cm_login *l)
{
	const struct cm_trust_policy strictest = cm_host_strictest(l->host);
	const unsigned whole = l->host->conf->trust.timeout;

	/* What comes after the last answer, or instead of it, is of the stage's time too: judging, telling, handing on. */
	cm_inquiry_end(&cm_here(l)->inquiry);
	return cm_trust_ask_revocation(l->host->trust, cm_here(l)->verdict, &cm_here(l)->known, &strictest,
	    cm_deadline_in(whole - whole / 50), &cm_here(l)->inquiry);
}

/* By the level of the rule that mapped the card, be its account kept or not. */
enum cm_err
cm_stages_revocation(struct cm_login *l)
{
	const struct cm_trust_policy policy = cm_host_policy_of(l->host, l->account != NULL ? l->account->rule : NULL);
	enum cm_err err = CM_OK;

	if (l->worker == NULL || cm_here(l)->verdict == NULL)
		return CM_ERR_STATE;
	if (cm_here(l)->inquiry == NULL)
		err = cm_login_ask_revocation(l);
	if (err == CM_OK)
		err = cm_trust_judge_revocation(cm_here(l)->inquiry, &policy, l->trace);
	return err;
}
