/* trust/ask.c - all questions of an inquiry at once, in a thread of its own, until it is decided. */
#include <poll.h>
#include <stdlib.h>

#include "trust/inquiry_internal.h"

#define LOOK_MS		5	/* how often it is looked whether another login has the answer */
#define FINISH_MS	200	/* for answers that are on their way when nobody waits any more: the next login finds them */
#define SETTLE_MS	30	/* for who was asked until the deadline: how far each came is said then */

/* Written by who waits, too. */
static bool
is_so(struct cm_inquiry *i, const bool *what)
{
	bool so;

	pthread_mutex_lock(&i->lock);
	so = *what;
	pthread_mutex_unlock(&i->lock);
	return so;
}

static void
close_it(struct cm_inquiry *i)
{
	pthread_mutex_lock(&i->lock);
	i->closed = true;
	pthread_cond_broadcast(&i->closing);
	pthread_mutex_unlock(&i->lock);
}

/* ---- Which lanes. */

static bool
is_list(const struct cm_lane *l)
{
	return l->kind != CM_SOURCE_OCSP;
}

static bool
is_open(const struct cm_lane *l)
{
	return !l->probe && l->state != CM_LANE_DONE && l->state != CM_LANE_PLANNED;
}

static bool
is_preferred(const struct cm_inquiry *i, const struct cm_lane *l)
{
	return is_list(l) == i->trust->o.crl_first;
}

static void
begin_lanes(struct cm_inquiry *i, const struct cm_asked *a, bool preferred)
{
	for (struct cm_lane *l = i->lanes; l != NULL; l = l->next)
		if (l->about == a && !l->probe && l->state == CM_LANE_PLANNED && is_preferred(i, l) == preferred)
			cm_lane_begin(i, l);
}

static bool
has_open(const struct cm_inquiry *i, const struct cm_asked *a, bool changes_only)
{
	for (const struct cm_lane *l = i->lanes; l != NULL; l = l->next)
		if (l->about == a && is_open(l) && (!changes_only || l->kind == CM_SOURCE_DELTA))
			return true;
	return false;
}

/* A list that is good is not all where its changes are on their way. */
static bool
is_answered(const struct cm_inquiry *i, const struct cm_asked *a)
{
	return cm_inquiry_satisfied(i, a) && !has_open(i, a, true);
}

static bool
is_revoked_for_good(const struct cm_asked *a)
{
	for (size_t n = 0; n < a->count; n++)
		if (a->heard[n].e.status == CM_STATUS_REVOKED && !a->heard[n].e.on_hold)
			return true;
	return false;
}

/* The end of a hold may be among changes that are on their way. */
static bool
is_refused(const struct cm_inquiry *i, const struct cm_asked *a)
{
	return cm_inquiry_revoked(i, a) && (is_revoked_for_good(a) || !has_open(i, a, true));
}

static bool
is_held(const struct cm_asked *a)
{
	for (size_t n = 0; n < a->count; n++)
		if (a->heard[n].e.status == CM_STATUS_REVOKED)
			return true;
	return false;
}

/* Of a hold only lists know the end. */
static void
begin_first(struct cm_inquiry *i)
{
	for (size_t n = 0; n < i->count; n++) {
		struct cm_asked *a = &i->certs[n];

		if (!a->missing)
			continue;
		begin_lanes(i, a, true);
		if (is_held(a)) {
			begin_lanes(i, a, false);
			a->other_kind = true;
		}
	}
}

/* The other kind, where the first failed or is slow. */
static void
begin_others(struct cm_inquiry *i)
{
	for (size_t n = 0; n < i->count; n++) {
		struct cm_asked *a = &i->certs[n];

		if (!a->missing || a->other_kind || is_answered(i, a) ||
		    (has_open(i, a, false) && !cm_deadline_passed(i->hedge)))
			continue;
		a->other_kind = true;
		begin_lanes(i, a, false);
	}
}

static void
look_at_waiting(struct cm_inquiry *i)
{
	for (struct cm_lane *l = i->lanes; l != NULL; l = l->next)
		if (l->state == CM_LANE_LOCKED || l->state == CM_LANE_FOLLOWS)
			cm_lane_look(i, l);
}

/*
 * Nobody waits for a probe, but who would be refused without it: for a sixth of
 * the time.  Else one bad moment of a responder would shut him out until a
 * probe of somebody else's.
 */
static bool
hopes_for_probe(const struct cm_inquiry *i, const struct cm_asked *a)
{
	struct cm_case c;

	cm_inquiry_case(i, a, &c);
	if (cm_deadline_passed(i->hedge) || cm_decision_passes(cm_decide(&c)))
		return false;
	for (const struct cm_lane *l = i->lanes; l != NULL; l = l->next)
		if (l->about == a && l->probe && l->state == CM_LANE_ASKED)
			return true;
	return false;
}

static bool
is_decided(const struct cm_inquiry *i)
{
	bool open = false;

	if (i->err != CM_OK)
		return true;
	for (size_t n = 0; n < i->count; n++) {
		const struct cm_asked *a = &i->certs[n];

		if (is_refused(i, a))
			return true;
		open = open || (a->missing && !is_answered(i, a) && (has_open(i, a, false) || !a->other_kind ||
		    hopes_for_probe(i, a)));
	}
	return !open;
}

/* Then who judges by less than the strictest policy may not need them. */
static void
note_probes_only(struct cm_inquiry *i)
{
	bool only = true;

	for (size_t n = 0; only && n < i->count; n++)
		only = !i->certs[n].missing || is_answered(i, &i->certs[n]) ||
		    (!has_open(i, &i->certs[n], false) && i->certs[n].other_kind);
	pthread_mutex_lock(&i->lock);
	if (only && !i->probes_only)
		pthread_cond_broadcast(&i->closing);
	i->probes_only = only;
	pthread_mutex_unlock(&i->lock);
}

/* ---- What is kept. */

/* What failed first. */
static void
note_failure(const struct cm_keeper *keeper, enum cm_err err, struct cm_buf *why)
{
	if (err != CM_OK && why->len == 0)
		cm_buf_addf(why, ": %s", keeper->why != NULL ? keeper->why(keeper->arg) : "see accounts.path");
}

static void
warn(struct cm_inquiry *i, const struct cm_buf *why)
{
	pthread_mutex_lock(&i->lock);
	if (!i->closed)
		cm_trace_add(i->trace, "warning", "what was learned about revocation could not be kept%s", cm_buf_str(why));
	pthread_mutex_unlock(&i->lock);
}

static void
keep_sources(struct cm_inquiry *i, const struct cm_keeper *keeper, struct cm_buf *why)
{
	for (struct cm_source_state *s = i->sources; s != NULL; s = s->next) {
		const size_t n = s->about->number + 1;

		if (!s->changed || n >= i->v->der_count)
			continue;
		note_failure(keeper, keeper->keep_source(keeper->arg, &s->s, i->v->der[n]), why);
		s->changed = false;
	}
}

/* Answers first; then others, who wait for them, may look. */
static void
flush(struct cm_inquiry *i)
{
	const struct cm_keeper *keeper = i->known->keeper;
	struct cm_buf why = { 0 };

	for (size_t n = 0; n < i->to_keep_count; n++)
		note_failure(keeper, keeper->keep(keeper->arg, &i->to_keep[n]), &why);
	i->to_keep_count = 0;
	for (struct cm_lane *l = i->lanes; l != NULL; l = l->next)
		if (l->state == CM_LANE_DONE)
			cm_flight_release(i, l);
	if (keeper != NULL)
		keep_sources(i, keeper, &why);
	if (why.len > 0)
		warn(i, &why);
	cm_buf_free(&why);
}

/* ---- The loop. */

static bool
is_asking(const struct cm_inquiry *i, bool probes)
{
	for (const struct cm_lane *l = i->lanes; l != NULL; l = l->next)
		if (l->state == CM_LANE_ASKED && (probes || !l->probe))
			return true;
	return false;
}

static cm_deadline
next_look(const struct cm_inquiry *i, cm_deadline last)
{
	cm_deadline until = last;

	for (size_t n = 0; n < i->count; n++)
		if (i->certs[n].missing && (!i->certs[n].other_kind || hopes_for_probe(i, &i->certs[n])))
			until = cm_deadline_earlier(until, i->hedge);
	for (const struct cm_lane *l = i->lanes; l != NULL; l = l->next)
		if (l->state == CM_LANE_LOCKED)
			until = cm_deadline_earlier(until, cm_deadline_in(LOOK_MS));
	return until;
}

static bool
take_arrived(struct cm_inquiry *i, cm_deadline until)
{
	struct cm_fetch *f = cm_fetcher_next(i->fetcher, until);

	if (f == NULL)
		return false;
	cm_lane_arrived(i, f->asker);
	return true;
}

static void
wait_for_more(struct cm_inquiry *i, cm_deadline last)
{
	const cm_deadline until = next_look(i, last);

	/* With nobody asked there is nothing that could wake us but time: another login asks. */
	if (!is_asking(i, true))
		poll(NULL, 0, cm_deadline_left(until) < LOOK_MS ? cm_deadline_left(until) : LOOK_MS);
	else
		take_arrived(i, until);
}

static void
ask_until_decided(struct cm_inquiry *i)
{
	cm_deadline last = i->deadline + SETTLE_MS;
	bool ending = false;

	begin_first(i);
	for (;;) {
		if (!ending) {
			begin_others(i);
			look_at_waiting(i);
		}
		/* What has come is heard, though all is said: it may say "revoked". */
		if (take_arrived(i, cm_deadline_in(0)))
			continue;
		if (!ending && (ending = is_so(i, &i->ending)))
			last = cm_deadline_earlier(last, cm_deadline_in(FINISH_MS));
		if (is_decided(i) || is_so(i, &i->closed) || cm_deadline_passed(last) || (ending && !is_asking(i, false)))
			return;
		flush(i);
		note_probes_only(i);
		if (!is_decided(i))
			wait_for_more(i, last);
	}
}

static void
stop_lanes(struct cm_inquiry *i, bool probes, bool late)
{
	for (struct cm_lane *l = i->lanes; l != NULL; l = l->next)
		if (l->probe == probes)
			cm_lane_stop(i, l, late);
}

static bool
has_revoked_to_keep(const struct cm_inquiry *i)
{
	for (size_t n = 0; n < i->to_keep_count; n++)
		if (i->to_keep[n].status == CM_STATUS_REVOKED)
			return true;
	return false;
}

void *
cm_inquiry_run(void *arg)
{
	struct cm_inquiry *i = arg;

	ask_until_decided(i);
	stop_lanes(i, false, !is_decided(i) && cm_deadline_passed(i->deadline));
	/* Good is kept when all is said.  A refusal is kept first, for where it cannot be, that is part of it. */
	if (has_revoked_to_keep(i))
		flush(i);
	close_it(i);
	flush(i);
	while (!is_so(i, &i->ending) && is_asking(i, true))
		if (take_arrived(i, cm_deadline_in(1000)))
			flush(i);
	stop_lanes(i, true, false);
	flush(i);
	return NULL;
}
