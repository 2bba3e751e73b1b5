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

#define CARDS_MOST	4	/* of one account */

struct finding {
	const struct cm_entering *e;
	struct cm_account *account;
	struct cm_buf cards[CARDS_MOST];	/* their certificates */
	size_t count;
	time_t until;		/* the latest of its cards; 0: for ever */
	bool found;
	enum cm_err err;
};

static bool
is_askers(const struct finding *f, uid_t uid)
{
	return f->e->asker == 0 || f->e->asker == uid;
}

static enum cm_err
see_kept(void *arg, const struct cm_kept *k)
{
	struct finding *f = arg;

	if (strcmp(k->account->name, f->e->user) != 0 || !is_askers(f, k->account->uid))
		return CM_OK;
	if (f->count < CARDS_MOST)
		cm_buf_add_blob(&f->cards[f->count++], k->cert_der);
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
		return cm_trace_fail(t, CM_REASON_KEPT_TOO_OLD, "the account %s was kept until %s", f->e->user,
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
make_local(const struct finding *f, struct cm_account **out)
{
	struct passwd entry;
	char texts[CM_LOCAL_TEXTS];

	if (!cm_local_find_user(f->e->user, is_named, &entry, texts) || !is_askers(f, entry.pw_uid))
		return CM_ERR_ABSENT;
	const struct cm_account a = {
		.name = entry.pw_name, .uid = entry.pw_uid, .gid = entry.pw_gid, .gecos = entry.pw_gecos, .home = entry.pw_dir,
		.shell = entry.pw_shell, .principal = (char[]){ "" }, .dn = (char[]){ "" }, .rule = (char[]){ CM_PAIRING_RULE },
		.attribute = (char[]){ "" }, .matched = (char[]){ "" }, .source = (char[]){ "/etc/passwd" }, .local = true,
	};

	return cm_account_copy(&a, out);
}

static enum cm_err
find_paired(struct finding *f, struct cm_trace *t)
{
	enum cm_err err = cm_pairings_list(f->e->store, f->e->user, t, see_pairing, f);

	if (err != CM_OK)
		return err;
	return f->found ? make_local(f, &f->account) : CM_ERR_ABSENT;
}

static bool
is_no(enum cm_err err)
{
	return err == CM_ERR_ABSENT || err == CM_ERR_AMBIGUOUS || err == CM_ERR_REFUSED;
}

/* One card that opens it today is enough; a no of all of them is one.  CM_ERR_OFFLINE: nobody could say, and no reason is set. */
static enum cm_err
ask(struct finding *f, struct cm_trace *t)
{
	enum cm_err err = CM_ERR_OFFLINE, one = CM_ERR_OFFLINE;

	for (size_t i = 0; f->e->ask != NULL && i < f->count && one != CM_OK; i++) {
		struct cm_account *today = NULL;

		cm_trace_clear_reason(t);
		one = f->e->ask(f->e->arg, cm_buf_blob(&f->cards[i]), t, &today);
		if (one == CM_OK && (strcmp(today->name, f->e->user) != 0 || (f->account != NULL && today->uid != f->account->uid)))
			one = cm_trace_fail(t, CM_REASON_NOT_THIS_USER, "its card now opens %s (uid %u), and not the account %s that it did",
			    today->name, (unsigned)today->uid, f->e->user);
		cm_account_free(&today);
		err = one == CM_OK || is_no(one) ? one : CM_ERR_OFFLINE;
		if (err == CM_ERR_OFFLINE)
			break;
	}
	if (err == CM_ERR_OFFLINE || err == CM_OK)
		cm_trace_clear_reason(t);
	return err;
}

/* Disowned since: a stranger, unless the directory has thought better of it, or keeps silent. */
static enum cm_err
find_withdrawn(struct finding *f, struct cm_trace *t)
{
	uid_t uid;
	enum cm_err err = cm_accounts_find_withdrawn(f->e->store, f->e->user, t, &f->cards[0], &uid);

	if (err != CM_OK || !is_askers(f, uid))
		return err != CM_OK ? err : CM_ERR_ABSENT;
	f->count = 1;
	if ((err = ask(f, t)) == CM_OK)
		return CM_ERR_ABSENT;
	if (err == CM_ERR_OFFLINE)
		return cm_trace_fail(t, CM_REASON_NOT_KEPT, "the directory withdrew the account %s from its card, and cannot be asked now",
		    f->e->user);
	return err;
}

static enum cm_err
find(struct finding *f, struct cm_trace *t)
{
	enum cm_err err = cm_accounts_list(f->e->store, t, see_kept, f);

	if (err != CM_OK)
		return err;
	if (!f->found)
		return (err = find_paired(f, t)) == CM_ERR_ABSENT ? find_withdrawn(f, t) : err;
	return (err = ask(f, t)) == CM_ERR_OFFLINE ? judge_kept(f, t) : err;
}

enum cm_err
cm_policy_account(const struct cm_entering *e, struct cm_trace *t, struct cm_account **out)
{
	struct finding f = { .e = e };
	enum cm_err err = find(&f, t);
	bool stranger;

	*out = NULL;
	if (err == CM_OK)
		err = cm_account_check(f.account, e->conf->accounts.first_uid, e->conf->accounts.first_gid, t);
	stranger = err == CM_ERR_ABSENT && cm_trace_reason(t) == CM_REASON_NONE;
	/* Enforcement holds for those who are not ours too: they may come by a key of ssh, and have no card. */
	if ((err == CM_OK || stranger) && !e->proven && !cm_policy_may_use_password(e->conf, e->user))
		err = cm_trace_fail(t, CM_REASON_CARD_REQUIRED, "%s has not used a card, and enforcement.required = yes", e->user);
	if (err == CM_OK) {
		*out = f.account;
		f.account = NULL;
	}
	cm_account_free(&f.account);
	for (size_t i = 0; i < CARDS_MOST; i++)
		cm_buf_free(&f.cards[i]);
	return err;
}
