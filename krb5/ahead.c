/* krb5/ahead.c - a login's exchange with the KDC, in a thread that waits where the card is to sign. */
#include "krb5/ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"
#include "krb5/pkinit_internal.h"

enum turn {
	ASKING,		/* the first request is under way */
	AT_CARD,	/* the thread waits for the card */
	GIVEN,		/* it has the card */
	DROPPED,	/* nobody wants it any more */
	ENDED,
};

struct cm_ahead {
	struct cm_pkinit_attempt attempt;	/* the thread's, but for what take() fills in while it waits */
	struct cm_account account;		/* name and principal */
	struct cm_blob certificate;
	struct cm_trace *notes;			/* until there is a login's trace */
	struct cm_ticket *ticket;
	enum cm_err err;
	int cancel;				/* an eventfd */
	int64_t begun_us, begun_boot;
	pthread_t thread;
	pthread_mutex_t lock;			/* of turn */
	pthread_cond_t turned;			/* on CLOCK_MONOTONIC */
	enum turn turn;
};

/* ---- in the thread */

static void
set_turn(struct cm_ahead *h, enum turn turn)
{
	pthread_mutex_lock(&h->lock);
	if (h->turn != DROPPED || turn == ENDED)
		h->turn = turn;
	pthread_cond_broadcast(&h->turned);
	pthread_mutex_unlock(&h->lock);
}

/* Where the card is to sign: whoever gives it has set all that the rest needs. */
static enum cm_err
await_card(struct cm_module_session *s, void *arg)
{
	struct cm_ahead *h = arg;
	enum turn turn;

	(void)s;
	set_turn(h, AT_CARD);
	pthread_mutex_lock(&h->lock);
	while (h->turn == AT_CARD)
		pthread_cond_wait(&h->turned, &h->lock);
	turn = h->turn;
	pthread_mutex_unlock(&h->lock);
	return turn == GIVEN ? CM_OK : CM_ERR_STATE;
}

static void *
run(void *arg)
{
	struct cm_ahead *h = arg;
	struct cm_pkinit_attempt *a = &h->attempt;
	struct cm_cert *cert = NULL;
	enum cm_err err;

	if ((err = cm_cert_decode(h->certificate, h->notes, &cert)) == CM_OK) {
		a->module.cert = cert;
		if ((err = cm_pkinit_attempt_begin(a, &h->account)) == CM_OK)
			err = cm_pkinit_attempt_run(a);
	}
	cm_pkinit_attempt_end(a, err, &h->ticket);
	cm_cert_free(&cert);
	h->err = err;
	set_turn(h, ENDED);
	return NULL;
}

/* ---- for its owner */

static void
destroy(struct cm_ahead **ahead)
{
	struct cm_ahead *h = *ahead;

	*ahead = NULL;
	cm_ticket_free(&h->ticket);
	cm_trace_free(&h->notes);
	cm_blob_free(&h->certificate);
	free(h->account.name);
	free(h->account.principal);
	if (h->cancel >= 0)
		close(h->cancel);
	pthread_cond_destroy(&h->turned);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static void
init_lock(struct cm_ahead *h)
{
	pthread_condattr_t a;

	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&h->turned, &a);
	pthread_condattr_destroy(&a);
}

enum cm_err
cm_ahead_begin(struct cm_pkinit *p, struct cm_blob certificate, const struct cm_account *account, cm_deadline deadline,
    struct cm_ahead **out)
{
	struct cm_ahead *h = calloc(1, sizeof(*h));
	enum cm_err err;

	*out = NULL;
	if (h == NULL)
		return CM_ERR_NOMEM;
	init_lock(h);
	h->cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->begun_us = cm_clock_us();
	h->begun_boot = cm_clock_boottime();
	h->account.name = strdup(account->name);
	h->account.principal = strdup(account->principal);
	if ((err = cm_trace_new(&h->notes)) == CM_OK)
		err = cm_blob_copy(certificate, &h->certificate);
	if (err == CM_OK && (h->account.name == NULL || h->account.principal == NULL))
		err = CM_ERR_NOMEM;
	cm_trace_begin(h->notes, "ahead");
	h->attempt.x = (struct cm_exchange){ .pkinit = p, .deadline = deadline, .trace = h->notes, .cancel = &h->cancel };
	h->attempt.module = (struct cm_module_session){ .deadline = deadline, .trace = h->notes, .await = await_card, .await_arg = h };
	if (err == CM_OK && (h->cancel < 0 || cm_thread_start(&h->thread, NULL, run, h) != 0))
		err = CM_ERR_SYSTEM;
	if (err == CM_OK)
		*out = h;
	else
		destroy(&h);
	return err;
}

bool
cm_ahead_is_for(const struct cm_ahead *h, const char *principal, struct cm_blob certificate)
{
	const int64_t awake = (cm_clock_us() - h->begun_us) / 1000000;
	const int64_t passed = cm_clock_boottime() - h->begun_boot;

	/* CLOCK_MONOTONIC stands while the machine sleeps; both are whole seconds */
	return awake < CM_AHEAD_SECONDS && passed <= awake + 1 && strcmp(h->account.principal, principal) == 0 &&
	    cm_blob_equal(h->certificate, certificate);
}

/* Until the thread is no more at its first request. */
static bool
await_asked(struct cm_ahead *h, cm_deadline deadline)
{
	const struct timespec until = { .tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000 };
	bool in_time = true;

	while (h->turn == ASKING && in_time)
		in_time = pthread_cond_timedwait(&h->turned, &h->lock, &until) == 0;
	return h->turn != ASKING;
}

/* Told from the beginning, as if the card had been there all the time. */
static void
hand_over(const struct cm_trace *notes, struct cm_trace *t)
{
	const struct cm_trace_stage *s = cm_trace_stage(notes, 0);

	for (size_t i = 0; i < s->count; i++)
		cm_trace_add(t, s->items[i].key, "%s", s->items[i].text);
}

/* Under the lock, while the thread waits. */
static void
give_card(struct cm_ahead *h, struct cm_card *card, enum cm_slot slot, cm_deadline deadline, struct cm_trace *t)
{
	hand_over(h->notes, t);
	h->attempt.module.card = card;
	h->attempt.module.slot = slot;
	h->attempt.module.deadline = h->attempt.x.deadline = deadline;
	h->attempt.module.trace = h->attempt.x.trace = t;
	h->turn = GIVEN;
	pthread_cond_broadcast(&h->turned);
}

/* Under the lock.  The thread goes on where it is, and ends at the next wait or at the card. */
static void
cancel(struct cm_ahead *h)
{
	const uint64_t one = 1;

	if (h->turn == ASKING || h->turn == AT_CARD)
		h->turn = DROPPED;
	(void)!write(h->cancel, &one, sizeof(one));
	pthread_cond_broadcast(&h->turned);
}

enum cm_err
cm_ahead_take(struct cm_ahead **ahead, struct cm_card *card, enum cm_slot slot, cm_deadline deadline, struct cm_trace *t,
    struct cm_ticket **out)
{
	struct cm_ahead *h = *ahead;
	enum cm_err err = CM_ERR_ABSENT;
	bool waited, given = false;

	*ahead = NULL;
	*out = NULL;
	pthread_mutex_lock(&h->lock);
	waited = h->turn == ASKING;
	if (!await_asked(h, deadline))
		cancel(h);
	else if ((given = h->turn == AT_CARD))
		give_card(h, card, slot, deadline, t);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	if (given) {
		err = h->err;
		*out = h->ticket;
		h->ticket = NULL;
	} else if (waited && cm_trace_reason(h->notes) == CM_REASON_KDC_OFFLINE) {
		/* the same wait a second time would find the same silence */
		err = cm_trace_fail(t, CM_REASON_KDC_OFFLINE, "%s", cm_trace_message(h->notes));
	}
	destroy(&h);
	return err;
}

void
cm_ahead_drop(struct cm_ahead **ahead)
{
	struct cm_ahead *h = *ahead;

	*ahead = NULL;
	if (h == NULL)
		return;
	pthread_mutex_lock(&h->lock);
	cancel(h);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	destroy(&h);
}
