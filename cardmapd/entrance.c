/* cardmapd/entrance.c - the account phase: may somebody enter now, who shows no card? */
#include "cardmapd/entrance.h"

#include <stdlib.h>

#include "cardmapd/processes.h"
#include "cardmapd/record.h"
#include "service/channel.h"
#include "service/policy.h"

#define RUNNING_MOST	32
#define FRESH_S		60	/* as a login's own answers (service/login.c) */
#define GRACE_MS	2000	/* the resolver's own answer that it was too slow is better than none */

struct cm_entrance {
	struct cm_attempt *attempt;
	pthread_t thread;
	int64_t proven_s;		/* seconds since its process was let in by a card; -1: it was not */
	bool ended;			/* under the daemon's lock */
};

/* ---- asking the resolver */

/* What the resolver knows from the store is no answer of a directory. */
static enum cm_err
hear(const struct cm_message *answer, const char *user, struct cm_trace *t)
{
	const enum cm_err err = cm_message_reported(answer, t);

	if (err == CM_ERR_SYNTAX)
		return cm_trace_fail(t, CM_REASON_HELPER, "the resolver's result and reason do not go together");
	if (err == CM_OK && (answer->account == NULL || answer->kept != 0))
		return cm_trace_fail(t, CM_REASON_HELPER, "the resolver answered what it may not, of %s", user);
	return err;
}

/* For struct cm_entering.  A resolver that cannot be had is no silence of the directory's. */
static enum cm_err
ask(void *arg, const char *user, struct cm_trace *t, struct cm_account **out)
{
	const struct cm_daemon *d = arg;
	const struct cm_message q = { .kind = CM_MESSAGE_STANDING, .user = (char *)(uintptr_t)user, .deadline = d->conf->directory.timeout };
	const int fd = cm_processes_connect(d->processes, CM_KIND_RESOLVER);
	struct cm_message answer = { .kind = CM_MESSAGE_NONE };
	struct cm_channel *resolver = NULL;
	enum cm_err err = fd >= 0 ? cm_channel_new(fd, &resolver) : CM_ERR_OFFLINE;

	cm_trace_begin(t, cm_message_kind_name(q.kind));
	if (err == CM_OK)
		err = cm_channel_ask(resolver, &q, NULL, 0, CM_MESSAGE_FOUND, cm_deadline_in((unsigned)q.deadline + GRACE_MS), &answer);
	if (err == CM_OK)
		err = hear(&answer, user, t);
	else if (err != CM_ERR_NOMEM)
		err = cm_trace_fail(t, CM_REASON_HELPER, "the resolver cannot be had, or did not answer: how %s stands is not known", user);
	if (err == CM_OK) {
		*out = answer.account;
		answer.account = NULL;
	}
	cm_trace_end(t, err);
	cm_message_clear(&answer);
	cm_channel_free(&resolver);
	return err;
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
		/* None of ours: without a reason. */
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
	tell(a, err, account, t);
	cm_account_free(&account);
	cm_accounts_close(&q.store);
	cm_trace_free(&t);
}

static void *
run(void *arg)
{
	struct cm_entrance *e = arg;
	struct cm_daemon *d = e->attempt->daemon;

	judge(e);
	pthread_mutex_lock(&d->lock);
	e->ended = true;
	pthread_mutex_unlock(&d->lock);
	cm_daemon_wake(d);
	return NULL;
}

static bool
is_busy(const struct cm_daemon *d)
{
	unsigned running = 0;

	for (const struct cm_attempt *a = cm_logins_first(d->logins); a != NULL; a = a->next)
		running += a->entrance != NULL;
	return running >= RUNNING_MOST;
}

static void
refuse_busy(struct cm_attempt *a)
{
	struct cm_log_entry e = cm_attempt_entry(a, CM_REASON_BUSY, "as many accounts as may be are being asked about");

	e.event = "account";
	cm_attempt_refuse(a, &e);
}

enum cm_err
cm_entrance_begin(struct cm_attempt *a, int64_t proven_s)
{
	struct cm_entrance *e;

	if (a->uid != 0) {
		judge(&(struct cm_entrance){ .attempt = a, .proven_s = proven_s });
		return CM_OK;
	}
	if (is_busy(a->daemon)) {
		refuse_busy(a);
		return CM_OK;
	}
	if ((e = calloc(1, sizeof(*e))) == NULL)
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
