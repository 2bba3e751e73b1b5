/* service/policy.c - who may use a password: what holds without a card.  The account phase: policy_account.c. */
#include "service/policy.h"

#include <string.h>

#include "service/enforcement.h"
#include "service/local.h"

static bool
is_named_root(const struct passwd *e, const char *name)
{
	return e->pw_uid == 0 && strcmp(e->pw_name, name) == 0;
}

bool
cm_policy_is_root(const char *user)
{
	struct passwd entry;
	char texts[CM_LOCAL_TEXTS];

	return strcmp(user, "root") == 0 || cm_local_find_user(user, is_named_root, &entry, texts);
}

enum cm_err
cm_policy_may_use_password(const struct cm_password *p, struct cm_trace *t)
{
	struct cm_facts kept;
	struct cm_enforcement_sources s = { .conf = p->conf, .store = p->store, .said = p->said, .kept = &kept };
	struct cm_enforcement_facts facts;
	struct cm_enforcement_decision d;
	enum cm_err err;

	if (cm_enforcement_is_exempt(p->conf, p->user))
		return CM_OK;
	if ((err = cm_enforcement_find_kept(p->store, p->user, t, &kept, &s.at)) != CM_OK || (err = cm_enforcement_gather(&s, p->user, t, &facts)) != CM_OK)
		return err;
	if (p->said != NULL && p->store != NULL && cm_enforcement_keep(p->store, p->user, p->said, p->entering, NULL) != CM_OK)
		cm_trace_add(t, "warning", "what the directory says of %s could not be kept", p->user);
	cm_enforcement_decide(p->conf, &facts, &d);
	return cm_enforcement_judge(&d, p->user, t);
}

bool
cm_policy_may_skip(struct cm_accounts *store, const char *user, struct cm_trace *t)
{
	return cm_skip_find(store, user, cm_clock_now(), t, NULL) == CM_OK;
}

enum cm_err
cm_policy_allow_cards(const struct cm_conf *conf, struct cm_trace *t)
{
	return conf->enforcement.allow_cards ? CM_OK :
	    cm_trace_fail(t, CM_REASON_CARDS_OFF, "enforcement.allow_cards = no: no card opens anything here");
}
