/* service/policy.c - who may use a password, and which account may enter now: what holds without a card. */
#include "service/policy.h"

#include <stdlib.h>
#include <string.h>

#include "cache/pairings.h"
#include "service/local.h"

static bool
is_named(const struct passwd *e, const char *name)
{
	return strcmp(e->pw_name, name) == 0;
}

static bool
is_named_root(const struct passwd *e, const char *name)
{
	return e->pw_uid == 0 && is_named(e, name);
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

enum cm_err
cm_policy_allow_cards(const struct cm_conf *conf, struct cm_trace *t)
{
	return conf->enforcement.allow_cards ? CM_OK :
	    cm_trace_fail(t, CM_REASON_CARDS_OFF, "enforcement.allow_cards = no: no card opens anything here");
}

/* ---- the account phase */

struct finding {
	const char *user;
	struct cm_account *account;
	time_t until;		/* the latest of its cards; 0: for ever */
	bool found;
	enum cm_err err;
};

static enum cm_err
see_kept(void *arg, const struct cm_kept *k)
{
	struct finding *f = arg;

	if (strcmp(k->account->name, f->user) != 0)
		return CM_OK;
	if (!f->found || (f->until != 0 && (k->offline_until == 0 || k->offline_until > f->until))) {
		cm_account_free(&f->account);
		f->until = k->offline_until;
		f->err = cm_account_copy(k->account, &f->account);
	}
	f->found = true;
	return f->err;
}

static enum cm_err
judge_kept(const struct finding *f, struct cm_trace *t)
{
	char text[CM_TIME_SIZE];

	if (f->until != 0 && f->until < cm_clock_now())
		return cm_trace_fail(t, CM_REASON_KEPT_TOO_OLD, "the account %s was kept until %s", f->user,
		    cm_clock_text(f->until, text));
	return CM_OK;
}

static enum cm_err
see_pairing(void *arg, const struct cm_pairing *p)
{
	struct finding *f = arg;

	f->found = f->found || p->local;
	return CM_OK;
}

/* Texts of the entry, and none of a directory's: never NULL (ldap/directory.h). */
static enum cm_err
make_local(const char *user, struct cm_account **out)
{
	struct passwd entry;
	char texts[CM_LOCAL_TEXTS];

	if (!cm_local_find_user(user, is_named, &entry, texts))
		return CM_ERR_ABSENT;
	const struct cm_account a = {
		.name = entry.pw_name, .uid = entry.pw_uid, .gid = entry.pw_gid, .gecos = entry.pw_gecos, .home = entry.pw_dir,
		.shell = entry.pw_shell, .principal = (char[]){ "" }, .dn = (char[]){ "" }, .rule = (char[]){ CM_PAIRING_RULE },
		.attribute = (char[]){ "" }, .matched = (char[]){ "" }, .source = (char[]){ "/etc/passwd" }, .local = true,
	};

	return cm_account_copy(&a, out);
}

static enum cm_err
find_paired(struct cm_accounts *store, struct finding *f, struct cm_trace *t)
{
	enum cm_err err = cm_pairings_list(store, f->user, t, see_pairing, f);

	if (err != CM_OK)
		return err;
	return f->found ? make_local(f->user, &f->account) : CM_ERR_ABSENT;
}

static enum cm_err
find(struct cm_accounts *store, struct finding *f, struct cm_trace *t)
{
	enum cm_err err = cm_accounts_list(store, t, see_kept, f);

	if (err != CM_OK)
		return err;
	return f->found ? judge_kept(f, t) : find_paired(store, f, t);
}

enum cm_err
cm_policy_account(const struct cm_conf *conf, struct cm_accounts *store, const char *user, bool proven,
    struct cm_trace *t, struct cm_account **out)
{
	struct finding f = { .user = user };
	enum cm_err err = find(store, &f, t);

	*out = NULL;
	if (err == CM_OK)
		err = cm_account_check(f.account, conf->accounts.first_uid, conf->accounts.first_gid, t);
	/* Enforcement holds for those who are not ours too: they may come by a key of ssh, and have no card. */
	if ((err == CM_OK || err == CM_ERR_ABSENT) && !proven && !cm_policy_may_use_password(conf, user))
		err = cm_trace_fail(t, CM_REASON_CARD_REQUIRED, "%s has not used a card, and enforcement.required = yes", user);
	if (err == CM_OK) {
		*out = f.account;
		f.account = NULL;
	}
	cm_account_free(&f.account);
	return err;
}
