/* service/policy_account.c - the account phase: may somebody enter now, of whom no card was asked? */
#include <stdlib.h>
#include <string.h>

#include "cache/pairings.h"
#include "cache/standing.h"
#include "service/enforcement.h"
#include "service/local.h"
#include "service/policy.h"

struct finding {
	const struct cm_entering *e;
	struct cm_account *account;
	bool found;		/* it is kept */
	bool paired;		/* it is this computer's own */
	bool usable;		/* by one of its cards, with no network */
	bool asked;
	struct cm_facts said;	/* where it was: of whether it needs a card */
	struct cm_standing last;	/* what was said of it; carded: what was kept of it has ended, or was denied */
	struct cm_trace *trace;
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

	if (!is_askers(f, k->account->uid))
		return CM_OK;
	/* the last is that of the card that was used last */
	cm_account_free(&f->account);
	f->found = true;
	return cm_account_copy(k->account, &f->account);
}

static enum cm_err
see_usable(void *arg, const struct cm_kept *k)
{
	struct finding *f = arg;
	struct cm_kept_row *row = NULL;
	enum cm_err err = cm_accounts_find_row(f->e->store, k->cert_der, cm_clock_now(), f->trace, &row);

	if (err == CM_OK && row->usable == CM_OK)
		f->usable = true;
	else if (err == CM_OK)
		cm_trace_fail(f->trace, row->reason, "%s", row->why);
	cm_kept_row_free(&row);
	return err;
}

/* One card that would open it now, with no network, is enough. */
static enum cm_err
judge_kept(struct finding *f)
{
	const enum cm_err err = cm_accounts_list_of(f->e->store, f->e->user, f->trace, see_usable, f);

	if (err != CM_OK)
		return err;
	if (!f->usable)
		return cm_reason_err(cm_trace_reason(f->trace));
	cm_trace_clear_reason(f->trace);
	return CM_OK;
}

/* ---- of this computer's own users: who is paired */

static enum cm_err
see_pairing(void *arg, const struct cm_pairing *p)
{
	struct finding *f = arg;

	f->paired = f->paired || p->local;
	return CM_OK;
}

static bool
is_named(const struct passwd *e, const char *name)
{
	return strcmp(e->pw_name, name) == 0;
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
find_paired(struct finding *f)
{
	enum cm_err err = cm_pairings_list(f->e->store, f->e->user, f->trace, see_pairing, f);

	if (err != CM_OK)
		return err;
	return f->paired ? make_local(f, &f->account) : CM_ERR_ABSENT;
}

/* ---- of a directory's: what it says, or said last */

static bool
is_no(enum cm_err err)
{
	return err == CM_ERR_ABSENT || err == CM_ERR_AMBIGUOUS || err == CM_ERR_REFUSED;
}

/* Whose card opened it here: that account, and no other that has its name since. */
static uid_t
known_uid(const struct finding *f)
{
	return f->found ? f->account->uid : f->last.uid;
}

static enum cm_err
compare(const struct finding *f, const struct cm_account *answer)
{
	if (answer->uid == known_uid(f) && strcmp(answer->name, f->e->user) == 0)
		return CM_OK;
	return cm_trace_fail(f->trace, CM_REASON_NOT_THIS_USER, "the directory has %s (uid %u) by this name, and a card opened %s (uid %u) here: "
	    "its card, or cardmap accounts forget %s, tells that this is meant", answer->name, (unsigned)answer->uid, f->e->user,
	    (unsigned)known_uid(f), f->e->user);
}

/*
 * Where it cannot be written down it is asked about again.  That several are so
 * named is no end of the one that the card opens.
 */
static void
note(const struct finding *f, enum cm_err err)
{
	struct cm_trace *t = f->trace;
	const struct cm_standing_word w = {
		.name = f->e->user, .uid = known_uid(f), .reason = cm_trace_reason(t), .at = cm_clock_now(),
		.text = err != CM_OK ? cm_trace_message(t) : NULL, .ends = err != CM_OK && err != CM_ERR_AMBIGUOUS,
	};

	if (err == CM_OK && f->last.reason == CM_REASON_NONE)
		return;
	if (cm_standing_note(f->e->store, &w, NULL) != CM_OK)
		cm_trace_add(t, "warning", "how %s stands could not be written down", f->e->user);
}

/* What speaks where no directory does: its own last word, and then what is kept. */
static enum cm_err
judge_last(struct finding *f)
{
	struct cm_trace *t = f->trace;
	char text[CM_TIME_SIZE];

	cm_trace_clear_reason(t);
	if (f->last.reason != CM_REASON_NONE)
		return cm_trace_fail(t, f->last.reason, "%s: %s; a directory said so at %s, and none answers now", f->e->user,
		    f->last.text, cm_clock_text(f->last.at, text));
	return f->found ? judge_kept(f) : CM_ERR_ABSENT;
}

/* CM_ERR_ABSENT with no reason: it stands, and no card opens it any more. */
static enum cm_err
ask(struct finding *f)
{
	struct cm_trace *t = f->trace;
	struct cm_account *answer = NULL;
	enum cm_err err = f->e->ask != NULL ? f->e->ask(f->e->arg, f->e->user, t, &answer, &f->said) : CM_ERR_OFFLINE;

	f->asked = true;
	if (err == CM_ERR_OFFLINE)
		return judge_last(f);
	if (err == CM_OK) {
		cm_trace_clear_reason(t);
		err = compare(f, answer);
	}
	if (err == CM_OK || is_no(err))
		note(f, err);
	cm_account_free(&answer);
	return err == CM_OK && !f->found ? CM_ERR_ABSENT : err;
}

static enum cm_err
look_up(struct finding *f)
{
	enum cm_err err = cm_accounts_list_of(f->e->store, f->e->user, f->trace, see_kept, f);

	if (err == CM_OK && (err = cm_standing_find(f->e->store, f->e->user, f->trace, &f->last)) == CM_ERR_ABSENT)
		err = CM_OK;
	/* of another's nothing is known */
	if (err == CM_OK && f->last.carded && !is_askers(f, f->last.uid)) {
		f->last.carded = false;
		f->last.reason = CM_REASON_NONE;
	}
	return err;
}

static enum cm_err
find(struct finding *f)
{
	enum cm_err err = look_up(f);

	if (err != CM_OK)
		return err;
	if (!f->found && (err = find_paired(f)) != CM_ERR_ABSENT)
		return err;
	if (!f->found && !f->last.carded)
		return CM_ERR_ABSENT;
	return f->e->fresh && f->found ? CM_OK : ask(f);
}

/* ---- enforcement */

/*
 * They log nobody in: what they start for somebody follows from a login, or from
 * what he wrote down in one.  That the account stands is asked for them too.
 */
static bool
logs_nobody_in(const char *service)
{
	static const char *const services[] = { "systemd-user", "cron", "crond", "atd" };

	for (size_t i = 0; service != NULL && i < CM_COUNT(services); i++)
		if (strcmp(service, services[i]) == 0)
			return true;
	return false;
}

/*
 * A login manager opens a session for its own user, who has no card, and shows in it the screen at which others log in:
 * without that nobody could.  A person's name in that place would be a login without a card, and is no exception.
 */
static bool
is_login_screen(const struct cm_entering *e)
{
	static const char *const services[] = { "gdm-launch-environment", "lightdm-greeter", "sddm-greeter", "greetd-greeter" };
	struct passwd entry;
	char texts[CM_LOCAL_TEXTS];

	for (size_t i = 0; e->service != NULL && i < CM_COUNT(services); i++)
		if (strcmp(e->service, services[i]) == 0)
			return cm_local_find_user(e->user, is_named, &entry, texts) && entry.pw_uid < e->conf->accounts.first_uid;
	return false;
}

/* He has not used a card.  How the account stands is asked above; here it is no matter, nor is a silence. */
static enum cm_err
judge_password(struct finding *f)
{
	const struct cm_entering *e = f->e;
	const struct cm_password p = { .conf = e->conf, .store = e->store, .user = e->user, .said = &f->said, .entering = e->asker == 0 };
	struct cm_account *account = NULL;

	if (!f->asked && e->ask != NULL && cm_enforcement_wants_directory(e->conf, e->user))
		(void)!e->ask(e->arg, e->user, NULL, &account, &f->said);
	cm_account_free(&account);
	return cm_policy_may_use_password(&p, f->trace);
}

/* Which step decided, and by what value, is for root and for the account itself (io.cardmap's Enforcement). */
static enum cm_err
refuse(struct finding *f)
{
	const struct cm_entering *e = f->e;
	struct passwd entry;
	char texts[CM_LOCAL_TEXTS];

	if (e->asker == 0 || f->found || f->last.carded || (cm_local_find_user(e->user, is_named, &entry, texts) && entry.pw_uid == e->asker))
		return CM_ERR_REFUSED;
	cm_trace_clear_reason(f->trace);
	return cm_trace_fail(f->trace, CM_REASON_CARD_REQUIRED, "%s must use a card", e->user);
}

/*
 * Public-key ssh skips auth, so enforcement holds here too, and for those who are
 * not ours: they may have no card.  This is the last question: what is used up is used.
 */
static enum cm_err
enforce(struct finding *f)
{
	const struct cm_entering *e = f->e;
	struct cm_skip mark;
	enum cm_err err;

	if (e->proven || (e->asker == 0 && (logs_nobody_in(e->service) || is_login_screen(e))))
		return CM_OK;
	if ((err = judge_password(f)) != CM_ERR_REFUSED || e->asker != 0)
		return err == CM_ERR_REFUSED ? refuse(f) : err;
	if ((err = cm_skip_use(e->store, e->user, cm_clock_now(), NULL, &mark)) == CM_ERR_ABSENT)
		return CM_ERR_REFUSED;
	if (err != CM_OK)
		return cm_trace_fail(f->trace, CM_REASON_STORE, "whether root let %s in once could not be told", e->user);
	cm_trace_clear_reason(f->trace);
	if (e->skip != NULL)
		*e->skip = mark;
	return CM_OK;
}

enum cm_err
cm_policy_account(const struct cm_entering *e, struct cm_trace *t, struct cm_account **out)
{
	const struct cm_account_limits limits = cm_local_limits(e->conf);
	struct finding f = { .e = e, .trace = t };
	enum cm_err err = find(&f);
	bool stranger;

	*out = NULL;
	if (err == CM_OK)
		err = cm_account_check(f.account, &limits, t);
	stranger = err == CM_ERR_ABSENT && cm_trace_reason(t) == CM_REASON_NONE;
	if (err == CM_OK || stranger) {
		const enum cm_err enforced = enforce(&f);

		err = enforced != CM_OK ? enforced : err;
	}
	if (err == CM_OK) {
		*out = f.account;
		f.account = NULL;
	}
	cm_account_free(&f.account);
	cm_standing_clear(&f.last);
	return err;
}
