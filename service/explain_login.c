/* service/explain_login.c - which refusals of a login are worth a second look at the directory. */
#include <errno.h>
#include <unistd.h>

#include "service/explain.h"

/* The stage that looked for the account, or NULL. */
static const struct cm_trace_stage *
account_stage(const struct cm_trace *t)
{
	for (size_t i = cm_trace_count(t); i-- > 0;)
		if (strcmp(cm_trace_stage(t, i)->name, "account") == 0)
			return cm_trace_stage(t, i);
	return NULL;
}

/* Then its word is the last, and no value of the directory mends what it says. */
static bool
selector_speaks(const struct cm_conf *c)
{
	return c->mapper.selector != NULL && (access(c->mapper.selector, F_OK) == 0 || errno != ENOENT);
}

static bool
is_explained(const struct cm_trace_stage *s)
{
	return s->err == CM_ERR_ABSENT || s->reason == CM_REASON_NOT_THIS_USER ||
	    s->reason == CM_REASON_ACCOUNT_DISABLED || s->reason == CM_REASON_DIRECTORY_REFUSED ||
	    s->reason == CM_REASON_WEAK_BINDING;
}

void
cm_explain_login(const struct cm_explain *e, enum cm_err err, bool kept, struct cm_trace *t,
    struct cm_explanation **out)
{
	const struct cm_trace_stage *s = account_stage(t);
	struct cm_explain all = *e;

	*out = NULL;
	if (err == CM_OK || e->cert == NULL || kept || s == NULL || selector_speaks(e->host->conf) || !is_explained(s))
		return;
	all.why = cm_trace_why(t, s);
	all.reason = s->reason;
	cm_trace_begin(t, "near misses");
	err = cm_explain_account(&all, cm_deadline_in(e->host->conf->directory.timeout), t, out);
	if (err != CM_OK)
		cm_trace_add(t, "not looked into", "%s", cm_trace_message(t));
	cm_trace_clear_reason(t);
	cm_trace_end(t, CM_OK);
}
