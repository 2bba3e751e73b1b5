/* cardmapd/entrance.c - the account phase: may somebody enter now, who shows no card? */
#include "cardmapd/entrance.h"

#include <stdlib.h>

#include "cardmapd/record.h"
#include "cardmapd/removal.h"
#include "cardmapd/standing.h"
#include "service/enforcement.h"
#include "service/policy.h"

#define RUNNING_MOST	32
#define FRESH_S		60	/* as a login's own answers (service/login.c) */

struct cm_entrance {
	struct cm_attempt *attempt;
	pthread_t thread;
	int64_t proven_s;		/* seconds since its process was let in by a card; -1: it was not */
	bool ended;			/* under the daemon's lock */
};

/* For struct cm_entering.  A resolver that cannot be had is no silence of the directory's. */
static enum cm_err
ask(void *arg, const char *user, struct cm_trace *t, struct cm_account **out, struct cm_facts *said)
{
	return cm_daemon_ask_standing(arg, &(struct cm_standing_question){ .user = user }, t, out, said);
}

/* ---- judging */

static void
tell(struct cm_attempt *a, enum cm_err err, struct cm_account *account, const struct cm_trace *t)
{
	const enum cm_reason reason = cm_trace_reason(t);

	if (err == CM_OK) {
		const struct cm_granting g = { .account = account, .kept_age = -1 };

		cm_attempt_tell(a, &(struct cm_told){ .state = CM_ATTEMPT_GRANTED, .user = a->user, .grant = cm_attempt_grant(&g) });
	} else if (err == CM_ERR_ABSENT && reason == CM_REASON_NONE) {
		/* None of ours: without a reason; and he may, or there were one. */
		a->may_use_password = true;
		cm_attempt_tell(a, &(struct cm_told){ .state = CM_ATTEMPT_REFUSED, .user = a->user });
	} else {
		struct cm_log_entry e = cm_attempt_entry(a, reason != CM_REASON_NONE ? reason : CM_REASON_SYSTEM, cm_trace_message(t));

		e.event = "account";
		cm_attempt_refuse(a, &e);
	}
}

static void
tell_skip(const struct cm_attempt *a, const struct cm_skip *m)
{
	char made[CM_TIME_SIZE];
	struct cm_buf text = { 0 };
	struct cm_log_entry e;

	cm_buf_addf(&text, "%s entered without a card, by what root said at %s; that is used up", a->user, cm_clock_text(m->made, made));
	e = cm_attempt_entry(a, CM_REASON_NONE, cm_buf_str(&text));
	e.event = "skip-once-used";
	cm_record_write(a->daemon->record, &e);
	cm_buf_free(&text);
}

static void
judge(struct cm_entrance *e)
{
	struct cm_skip used = { .made = 0 };
	struct cm_attempt *a = e->attempt;
	struct cm_entering q = { .conf = a->daemon->conf, .user = a->user, .service = a->service, .skip = &used, .asker = a->uid, .proven = e->proven_s >= 0,
		.fresh = e->proven_s >= 0 && e->proven_s < FRESH_S, .arg = a->daemon };
	struct cm_account *account = NULL;
	struct cm_trace *t = NULL;
	enum cm_err err = cm_trace_new(&t);

	if (a->uid == 0)
		q.ask = ask;
	if (err == CM_OK && (err = cm_daemon_open_store(a->daemon, t, &q.store)) == CM_OK)
		err = cm_policy_account(&q, t, &account);
	if (used.made != 0)
		tell_skip(a, &used);
	if (e->proven_s < 0 && (err == CM_OK || (err == CM_ERR_ABSENT && cm_trace_reason(t) == CM_REASON_NONE)))
		cm_removal_without_card(a->daemon->removal, a);
	tell(a, err, account, t);
	cm_account_free(&account);
	cm_accounts_close(&q.store);
	cm_trace_free(&t);
}

/* ---- may he use a password?  Of a login, before anything is told of it */

static bool
may_use_password(struct cm_attempt *a)
{
	const struct cm_daemon *d = a->daemon;
	struct cm_facts said = { .attribute.kind = CM_FACT_UNKNOWN };
	struct cm_password p = { .conf = d->conf, .user = a->user, .said = &said };
	struct cm_account *account = NULL;
	enum cm_err err;
	bool may;

	/* Who is not root has what is kept looked at, and sends nobody anywhere. */
	if (a->uid == 0 && cm_enforcement_wants_directory(d->conf, a->user))
		(void)!ask(a->daemon, a->user, NULL, &account, &said);
	cm_account_free(&account);
	if ((err = cm_daemon_open_store(d, NULL, &p.store)) == CM_OK)
		err = cm_policy_may_use_password(&p, NULL);
	/* Root's programs alone use a mark up, so that they alone learn of it. */
	may = err == CM_OK || (err == CM_ERR_REFUSED && a->uid == 0 && cm_policy_may_skip(p.store, a->user, NULL));
	cm_accounts_close(&p.store);
	return may;
}

static void
judge_password(struct cm_entrance *e)
{
	cm_attempt_settle(e->attempt, may_use_password(e->attempt));
}

static void *
run(void *arg)
{
	struct cm_entrance *e = arg;
	struct cm_daemon *d = e->attempt->daemon;

	if (e->attempt->purpose == CM_PURPOSE_ACCOUNT)
		judge(e);
	else
		judge_password(e);
	pthread_mutex_lock(&d->lock);
	e->ended = true;
	pthread_mutex_unlock(&d->lock);
	cm_daemon_wake(d);
	return NULL;
}

/* Those that are being asked about, and not who waits for a card since: of whom nobody is asked there is none too many. */
static bool
is_busy(struct cm_attempt *one)
{
	struct cm_daemon *d = one->daemon;
	unsigned running = 0;

	if (cm_enforcement_is_exempt(d->conf, one->user))
		return false;
	pthread_mutex_lock(&d->lock);
	for (const struct cm_attempt *a = cm_logins_first(d->logins); a != NULL; a = a->next)
		running += cm_entrance_runs(a->entrance);
	pthread_mutex_unlock(&d->lock);
	return running >= RUNNING_MOST;
}

static void
refuse_busy(struct cm_attempt *a)
{
	struct cm_log_entry e = cm_attempt_entry(a, CM_REASON_BUSY, "as many accounts as may be are being asked about");

	e.event = "account";
	cm_attempt_refuse(a, &e);
}

static enum cm_err
start(struct cm_attempt *a, int64_t proven_s)
{
	struct cm_entrance *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return CM_ERR_NOMEM;
	e->attempt = a;
	e->proven_s = proven_s;
	if (pthread_create(&e->thread, NULL, run, e) != 0) {
		free(e);
		return CM_ERR_SYSTEM;
	}
	a->entrance = e;
	return CM_OK;
}

enum cm_err
cm_entrance_begin(struct cm_attempt *a, int64_t proven_s)
{
	if (a->uid != 0) {
		judge(&(struct cm_entrance){ .attempt = a, .proven_s = proven_s });
		return CM_OK;
	}
	if (is_busy(a)) {
		refuse_busy(a);
		return CM_OK;
	}
	return start(a, proven_s);
}

void
cm_entrance_ask_password(struct cm_attempt *a)
{
	if (a->user == NULL || a->user[0] == '\0')
		return;
	if (cm_enforcement_is_exempt(a->daemon->conf, a->user)) {
		cm_attempt_settle(a, true);
	} else if (a->uid != 0) {
		cm_attempt_settle(a, may_use_password(a));
	} else if (!is_busy(a)) {
		a->unsettled = true;
		if (start(a, -1) != CM_OK)
			a->unsettled = false;
	}
}

bool
cm_entrance_runs(const struct cm_entrance *e)
{
	return e != NULL && !e->ended;
}

void
cm_entrance_free(struct cm_entrance **e)
{
	if (*e == NULL)
		return;
	pthread_join((*e)->thread, NULL);
	free(*e);
	*e = NULL;
}
