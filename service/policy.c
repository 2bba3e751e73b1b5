/* service/policy.c - who may use a password: what holds without a card.  The account phase: policy_account.c. */
#include "service/policy.h"

#include <string.h>

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

bool
cm_policy_may_use_password(const struct cm_conf *conf, const char *user)
{
	return !conf->enforcement.required || (user != NULL && cm_policy_is_root(user));
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
