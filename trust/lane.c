/* trust/lane.c - one lane of an inquiry: its addresses in turn, each with an equal share of the time that is left. */
#include <stdlib.h>

#include "trust/inquiry_internal.h"

#define OTHER_LOGIN	"another login is asking it, and has no answer yet"

static const char *
url_of(const struct cm_lane *l)
{
	return l->urls[l->at];
}

static void
begin_question(struct cm_inquiry *i, const struct cm_lane *l, struct cm_asking *k)
{
	cm_asking_begin(k, i, l->about);
	cm_asking_source(k, l->kind, url_of(l));
	k->q.network = true;
	k->q.deadline = l->until;
}

/* What became of this address; nobody waits for a probe's, but what it says is heard. */
static void
tell(struct cm_inquiry *i, struct cm_lane *l, struct cm_asking *k, enum cm_status status)
{
	if (status != CM_STATUS_UNKNOWN || !l->probe)
		cm_inquiry_tell(i, l->about, k, status);
}

/* ---- Whose turn it is. */

static bool
is_silent(const struct cm_inquiry *i, const struct cm_source_state *s)
{
	return s != NULL && cm_source_is_silent(&s->s, i->known->now);
}

static bool
can_be_asked(struct cm_inquiry *i, const struct cm_lane *l, size_t n)
{
	return cm_fetch_can(l->urls[n]) && (l->probe || !is_silent(i, cm_source_of(i, l, l->urls[n])));
}

static cm_deadline
share(struct cm_inquiry *i, const struct cm_lane *l)
{
	unsigned asking = 0;

	if (l->probe)
		return cm_deadline_in((unsigned)i->length);
	for (size_t n = l->at; n < l->url_count; n++)
		asking += can_be_asked(i, l, n);
	return cm_deadline_in((unsigned)cm_deadline_left(i->deadline) / (asking > 0 ? asking : 1));
}

/* Whoever asks, or (known) has asked, the same address of a list for another certificate. */
static const struct cm_lane *
twin(const struct cm_inquiry *i, const struct cm_lane *l, bool *known)
{
	*known = false;
	if (l->kind == CM_SOURCE_OCSP)
		return NULL;
	for (const struct cm_lane *o = i->lanes; o != NULL; o = o->next) {
		if (o == l || o->kind == CM_SOURCE_OCSP)
			continue;
		*known = o->asked_url != NULL && strcmp(o->asked_url, url_of(l)) == 0;
		if (*known)
			return o;
		if ((o->state == CM_LANE_LOCKED || o->state == CM_LANE_ASKED) && strcmp(url_of(o), url_of(l)) == 0 &&
		    o->probe == l->probe)
			return o;
	}
	return NULL;
}

static bool
is_unverified(enum cm_objection o)
{
	return o >= CM_OBJECTION_NOT_OCSP;
}

static void
remember(struct cm_lane *l, bool arrived, enum cm_objection objection, const char *why)
{
	free(l->asked_url);
	l->asked_url = strdup(url_of(l));
	l->arrived = arrived;
	l->objection = objection;
	cm_buf_truncate(&l->why, 0);
	cm_buf_add_str(&l->why, why);
}

/* Lists that came say nothing that a mirror's would not say too. */
static bool
ends_lane(enum cm_objection o)
{
	return o == CM_OBJECTION_SCOPE || o == CM_OBJECTION_SOME_REASONS || o == CM_OBJECTION_NO_BASE ||
	    o == CM_OBJECTION_UNLISTABLE || o == CM_OBJECTION_NONE_KEPT || o == CM_OBJECTION_NOT_A_LIST_SIGNER;
}

/*
 * What the lists that are here say, now that one more is.  true: the lane is done.
 * It was the same list if it was another lane's: nobody else needs to be asked.
 */
static bool
take_lists(struct cm_inquiry *i, struct cm_lane *l)
{
	struct cm_asking k;
	enum cm_status status;
	bool done;

	begin_question(i, l, &k);
	status = cm_inquiry_ask_lists(i, l->about, &k, url_of(l));
	done = status != CM_STATUS_UNKNOWN || ends_lane(k.q.objection);
	tell(i, l, &k, status);
	cm_asking_end(&k);
	return done;
}

/* true: this address is done with. */
static bool
take_after(struct cm_inquiry *i, struct cm_lane *l, const struct cm_lane *o)
{
	struct cm_asking k;

	if (o->arrived) {
		if (take_lists(i, l))
			l->state = CM_LANE_DONE;
		return true;
	}
	if (is_unverified(o->objection) && memcmp(o->about->name.issuer_key, l->about->name.issuer_key, 32) != 0)
		return false;
	begin_question(i, l, &k);
	cm_object(&k.q, o->objection, "%s", cm_buf_str(&o->why));
	tell(i, l, &k, CM_STATUS_UNKNOWN);
	cm_asking_end(&k);
	return true;
}

/* ---- The question. */

static void
prepare_ocsp(struct cm_lane *l, struct cm_asking *k)
{
	cm_buf_truncate(&l->answer, 0);
	l->fetch.out = &l->answer;
	if (cm_ocsp_prepare(&k->q, url_of(l), &l->request, &l->url, &l->fetch) != CM_OK)
		cm_object(&k->q, CM_OBJECTION_NOT_ASKABLE, "the request could not be made: out of memory");
}

static void
prepare_list(struct cm_lane *l, struct cm_asking *k)
{
	if (cm_crl_prepare(&k->q, url_of(l), &l->fetch, &l->coming) != CM_OK && k->q.objection == CM_OBJECTION_NONE)
		cm_object(&k->q, CM_OBJECTION_NOT_ASKABLE, "it cannot be asked for: out of memory");
}

static void (*const prepare[])(struct cm_lane *, struct cm_asking *) = {
	[CM_SOURCE_OCSP] = prepare_ocsp,
	[CM_SOURCE_CRL] = prepare_list,
	[CM_SOURCE_DELTA] = prepare_list,
};

/* false: it could not even be sent, which was told. */
static bool
send(struct cm_inquiry *i, struct cm_lane *l)
{
	struct cm_asking k;
	bool sent = false;

	begin_question(i, l, &k);
	cm_fetch_clear(&l->fetch);
	l->fetch = (struct cm_fetch){ .deadline = l->until, .fd = -1, .asker = l, .max_age = -1 };
	prepare[l->kind](l, &k);
	if (k.q.objection == CM_OBJECTION_NONE) {
		sent = cm_fetcher_add(i->fetcher, &l->fetch) == CM_OK;
		if (!sent)
			cm_object(&k.q, CM_OBJECTION_NOT_ASKABLE, "it cannot be asked: out of memory");
	}
	if (sent) {
		l->state = CM_LANE_ASKED;
	} else {
		tell(i, l, &k, CM_STATUS_UNKNOWN);
		cm_crl_coming_free(&l->coming);
		cm_flight_release(i, l);
	}
	cm_asking_end(&k);
	return sent;
}

/* Another login may have had the answer while this one waited, or after it looked. */
static bool
was_answered_meanwhile(struct cm_inquiry *i, struct cm_lane *l)
{
	const struct cm_keeper *keeper = i->known->keeper;
	enum cm_status status = CM_STATUS_UNKNOWN;
	struct cm_asking k;
	bool answered;

	if ((i->trust->o.ask_always || l->kind == CM_SOURCE_DELTA) && !l->waited)
		return false;
	begin_question(i, l, &k);
	if (l->kind != CM_SOURCE_OCSP) {
		status = cm_inquiry_ask_lists(i, l->about, &k, url_of(l));
	} else if (keeper != NULL && keeper->find(keeper->arg, &k.q.answer) == CM_OK) {
		status = k.q.answer.status;
		k.q.kept = true;
	}
	if (status == CM_STATUS_GOOD && k.q.answer.learned >= i->known->now)
		k.q.note = ", had by another login";
	if (status != CM_STATUS_UNKNOWN)
		cm_inquiry_tell(i, l->about, &k, status);
	answered = l->kind != CM_SOURCE_DELTA || k.q.answer.ask_after == 0;
	cm_asking_end(&k);
	return answered && status != CM_STATUS_UNKNOWN && (cm_inquiry_satisfied(i, l->about) || cm_inquiry_revoked(i, l->about));
}

/* Another asks.  Half of the time is waited for that, and the other half is for asking oneself. */
static void
wait_for_other(struct cm_lane *l)
{
	l->state = l->probe ? CM_LANE_DONE : CM_LANE_LOCKED;	/* one probe does for all */
	if (!l->waited)
		l->patience = cm_deadline_in((unsigned)cm_deadline_left(l->until) / 2);
	l->waited = true;
}

/* true: it is asked, or waited for, or the lane is done; false: this address gives nothing, which was told. */
static bool
take_turn(struct cm_inquiry *i, struct cm_lane *l)
{
	switch (cm_flight_take(i, l)) {
	case CM_FLIGHT_TAKEN:
		if (l->waited && cm_deadline_passed(l->patience))
			break;
		wait_for_other(l);
		return true;
	case CM_FLIGHT_OURS:
		if (!l->probe && was_answered_meanwhile(i, l)) {
			l->state = CM_LANE_DONE;
			cm_flight_release(i, l);
			return true;
		}
		break;
	case CM_FLIGHT_NONE:
		break;
	}
	return send(i, l);
}

static void
object_and_tell(struct cm_inquiry *i, struct cm_lane *l, enum cm_objection o, const char *why)
{
	struct cm_asking k;

	begin_question(i, l, &k);
	cm_object(&k.q, o, "%s", why);
	tell(i, l, &k, CM_STATUS_UNKNOWN);
	cm_asking_end(&k);
}

static void
skip_silent(struct cm_inquiry *i, struct cm_lane *l, struct cm_source_state *s)
{
	const bool due = i->known->now >= s->s.probe_at;
	char since[CM_TIME_SIZE], next[CM_TIME_SIZE];
	struct cm_asking k;
	struct cm_lane *probe;

	begin_question(i, l, &k);
	cm_object(&k.q, CM_OBJECTION_KNOWN_SILENT, "known silent since %s (%s); %s%s; now: cardmap revocation refresh",
	    cm_clock_text(s->s.asked, since), s->s.why, due ? "it is probed now" : "it is probed again by a login after ",
	    due ? "" : cm_clock_text(s->s.probe_at, next));
	tell(i, l, &k, CM_STATUS_UNKNOWN);
	cm_asking_end(&k);
	if (!due || (probe = cm_inquiry_add_probe(i, l, url_of(l))) == NULL)
		return;
	cm_source_probed(&s->s, i->known->now);
	s->changed = true;
	cm_lane_begin(i, probe);
}

/* As take_turn(). */
static bool
begin_address(struct cm_inquiry *i, struct cm_lane *l)
{
	struct cm_source_state *s = cm_source_of(i, l, url_of(l));
	const struct cm_lane *o;
	bool known;

	l->until = share(i, l);
	l->begun_us = cm_clock_us();
	if (!l->probe && is_silent(i, s))
		skip_silent(i, l, s);
	else if (cm_deadline_passed(l->until))
		object_and_tell(i, l, CM_OBJECTION_NO_TIME, "no time was left to ask it");
	else if ((o = twin(i, l, &known)) != NULL && !known)
		l->state = CM_LANE_FOLLOWS;
	else if (o == NULL || !take_after(i, l, o))
		return take_turn(i, l);
	return l->state != CM_LANE_PLANNED;
}

/* What is known already is not asked for; changes of a list are, though that list is good. */
static bool
is_spared(const struct cm_inquiry *i, const struct cm_lane *l)
{
	return !l->probe && l->kind != CM_SOURCE_DELTA && cm_inquiry_satisfied(i, l->about);
}

static void
go_on(struct cm_inquiry *i, struct cm_lane *l)
{
	l->state = CM_LANE_PLANNED;
	for (; l->at < l->url_count; l->at++) {
		l->waited = false;
		if (is_spared(i, l) || begin_address(i, l))
			break;
	}
	if (l->state == CM_LANE_PLANNED)
		l->state = CM_LANE_DONE;
}

void
cm_lane_begin(struct cm_inquiry *i, struct cm_lane *l)
{
	l->at = 0;
	go_on(i, l);
}

void
cm_lane_look(struct cm_inquiry *i, struct cm_lane *l)
{
	bool waits = false;

	if (l->state == CM_LANE_FOLLOWS) {
		bool known;

		if (twin(i, l, &known) == NULL || known)
			go_on(i, l);
		return;
	}
	if (l->state != CM_LANE_LOCKED)
		return;
	if (cm_deadline_passed(l->until)) {
		object_and_tell(i, l, CM_OBJECTION_NO_ANSWER, OTHER_LOGIN);
		remember(l, false, CM_OBJECTION_NO_ANSWER, OTHER_LOGIN);
	} else {
		l->state = CM_LANE_PLANNED;
		waits = take_turn(i, l);
	}
	if (!waits) {
		l->at++;
		go_on(i, l);
	}
}

/* ---- The answer. */

static enum cm_status
judge_ocsp(struct cm_inquiry *i, struct cm_lane *l, struct cm_asking *k)
{
	enum cm_status status;

	if (l->fetch.objection != CM_OBJECTION_NONE) {
		cm_object(&k->q, l->fetch.objection, "%s", cm_buf_str(&l->fetch.why));
		return CM_STATUS_UNKNOWN;
	}
	status = cm_ocsp_judge(&k->q, cm_buf_blob(&l->answer), l->request, l->fetch.body.len > 0);
	cm_evidence_confirm(&k->q.answer, i->known->now, l->fetch.max_age);
	return status;
}

/* It may be about others too: an indirect list, or one that is configured for all. */
static void
tell_others(struct cm_inquiry *i, const struct cm_lane *l)
{
	for (size_t n = 0; n < i->count; n++) {
		struct cm_asked *a = &i->certs[n];
		struct cm_asking k;
		enum cm_status status;

		if (a == l->about || !a->missing || cm_inquiry_satisfied(i, a))
			continue;
		cm_asking_begin(&k, i, a);
		cm_asking_source(&k, l->kind, url_of(l));
		k.q.network = true;
		if ((status = cm_inquiry_ask_lists(i, a, &k, url_of(l))) != CM_STATUS_UNKNOWN && !k.q.kept)
			cm_inquiry_tell(i, a, &k, status);
		cm_asking_end(&k);
	}
}

/* A connection that is refused at once costs nobody time, and says more of this host's network than of the source. */
static bool
failed_at_once(const struct cm_inquiry *i, const struct cm_lane *l, enum cm_objection o)
{
	return (o == CM_OBJECTION_NO_NAME || o == CM_OBJECTION_NO_CONNECTION) && l->fetch.us < i->length * 1000 / 10;
}

static void
mark(struct cm_inquiry *i, const struct cm_lane *l, enum cm_objection o, const char *why)
{
	struct cm_source_state *s = cm_source_of(i, l, url_of(l));

	if (s == NULL || failed_at_once(i, l, o) || o == CM_OBJECTION_NOT_KEPT || o == CM_OBJECTION_NOT_ASKABLE)
		return;
	if (o == CM_OBJECTION_NONE || o == CM_OBJECTION_UNKNOWN_CERTIFICATE)
		cm_source_alive(&s->s, i->known->now);
	else
		cm_source_failed(&s->s, i->known->now, why);
	s->changed = true;
}

static bool
ocsp_arrived(struct cm_inquiry *i, struct cm_lane *l)
{
	struct cm_asking k;
	enum cm_status status;

	begin_question(i, l, &k);
	status = judge_ocsp(i, l, &k);
	mark(i, l, status != CM_STATUS_UNKNOWN ? CM_OBJECTION_NONE : k.q.objection, cm_buf_str(&k.q.why));
	tell(i, l, &k, status);
	cm_asking_end(&k);
	return status != CM_STATUS_UNKNOWN;
}

/* Where memory does not do for asking for them, they may have said "revoked": nobody judges. */
static void
begin_changes(struct cm_inquiry *i, struct cm_asked *a)
{
	if (cm_inquiry_plan_changes(i, a) != CM_OK) {
		pthread_mutex_lock(&i->lock);
		if (!i->closed)
			i->err = CM_ERR_NOMEM;
		pthread_mutex_unlock(&i->lock);
		return;
	}
	for (struct cm_lane *o = i->lanes; o != NULL; o = o->next)
		if (o->kind == CM_SOURCE_DELTA && o->about == a && o->state == CM_LANE_PLANNED)
			cm_lane_begin(i, o);
}

static bool
list_arrived(struct cm_inquiry *i, struct cm_lane *l)
{
	struct cm_asking k;
	bool done = false, arrived;

	begin_question(i, l, &k);
	arrived = cm_crl_arrived(&k.q, &l->coming, &l->fetch) == CM_OK;
	if (!arrived && k.q.objection == CM_OBJECTION_NONE)
		cm_object(&k.q, CM_OBJECTION_NOT_A_LIST, "it could not be read: out of memory");
	mark(i, l, arrived ? CM_OBJECTION_NONE : k.q.objection, cm_buf_str(&k.q.why));
	remember(l, arrived, k.q.objection, cm_buf_str(&k.q.why));
	if (!arrived)
		tell(i, l, &k, CM_STATUS_UNKNOWN);
	cm_asking_end(&k);
	if (!arrived)
		return false;
	done = take_lists(i, l);
	tell_others(i, l);
	if (l->kind == CM_SOURCE_CRL && !l->probe)
		begin_changes(i, l->about);
	return done;
}

void
cm_lane_arrived(struct cm_inquiry *i, struct cm_lane *l)
{
	const bool done = l->kind == CM_SOURCE_OCSP ? ocsp_arrived(i, l) : list_arrived(i, l);

	if (done) {
		l->state = CM_LANE_DONE;	/* others may look once the answer is kept */
		return;
	}
	cm_flight_release(i, l);
	l->at++;
	go_on(i, l);
}

/* Its time is over: the source had its share, but for what another login asks. */
static void
object_to_silence(struct cm_inquiry *i, struct cm_lane *l)
{
	char why[64];

	if (l->state != CM_LANE_ASKED) {
		object_and_tell(i, l, CM_OBJECTION_NO_ANSWER, OTHER_LOGIN);
		return;
	}
	snprintf(why, sizeof(why), "no answer within %lld ms", (long long)(cm_clock_us() - l->begun_us) / 1000);
	l->fetch.us = cm_clock_us() - l->begun_us;
	object_and_tell(i, l, l->fetch.bytes > 0 ? CM_OBJECTION_SLOW_ANSWER : CM_OBJECTION_NO_ANSWER, why);
	mark(i, l, CM_OBJECTION_NO_ANSWER, why);
}

/* Others, who were asked because this one was silent, answered. */
static bool
was_slow(const struct cm_inquiry *i, const struct cm_lane *l)
{
	return l->state == CM_LANE_ASKED && !l->probe && cm_deadline_passed(i->hedge) &&
	    (cm_clock_us() - l->begun_us) * 2 * CM_HEDGE >= i->length * 1000;
}

void
cm_lane_stop(struct cm_inquiry *i, struct cm_lane *l, bool late)
{
	struct cm_asking k;

	if (l->state == CM_LANE_DONE || l->state == CM_LANE_PLANNED)
		return;
	if (late || was_slow(i, l))
		object_to_silence(i, l);
	if (l->state == CM_LANE_ASKED)
		cm_fetcher_remove(i->fetcher, &l->fetch);
	l->state = CM_LANE_DONE;
	/* What there is of a list stays, for who goes on with it. */
	if (l->coming != NULL) {
		begin_question(i, l, &k);
		l->fetch.objection = CM_OBJECTION_NO_TIME;
		if (cm_crl_arrived(&k.q, &l->coming, &l->fetch) == CM_OK)
			cm_crl_coming_free(&l->coming);
		cm_asking_end(&k);
	}
	cm_flight_release(i, l);
}
