/* trust/hear.c - what was said about a certificate: by what is kept here, by files, by whoever was asked. */
#include <stdlib.h>

#include "trust/inquiry_internal.h"

void
cm_asking_begin(struct cm_asking *k, struct cm_inquiry *i, const struct cm_asked *a)
{
	*k = (struct cm_asking){ .key = "evidence", .q = {
		.trust = i->trust, .known = i->known, .now = cm_known_time(i->known), .cert = a->cert,
		.issuer = a->issuer, .chain = i->v->chain, .lists = &i->lists, .answer = a->name, .note = "",
	} };
	k->q.answer.learned = i->known->now;
	k->q.warning = &k->warning;
	cm_buf_init(&k->q.why, 0);
	cm_buf_init(&k->warning, 0);
}

void
cm_asking_source(struct cm_asking *k, enum cm_source_kind kind, const char *url)
{
	k->key = kind == CM_SOURCE_OCSP ? "ocsp" : "crl";
	snprintf(k->q.answer.source, sizeof(k->q.answer.source), "%s %s", cm_source_name(kind), url);
}

void
cm_asking_end(struct cm_asking *k)
{
	cm_buf_free(&k->q.why);
	cm_buf_free(&k->warning);
}

void
cm_inquiry_case(const struct cm_inquiry *i, const struct cm_asked *a, struct cm_case *c)
{
	*c = (struct cm_case){
		.policy = i->policy, .known = i->known, .heard = a->heard, .count = a->count,
		.undated_max = cm_undated_max(i->trust),
	};
}

bool
cm_inquiry_satisfied(const struct cm_inquiry *i, const struct cm_asked *a)
{
	struct cm_case c;

	cm_inquiry_case(i, a, &c);
	return cm_decide_suffices(&c) && (!i->trust->o.ask_always || !a->missing ||
	    c.by->e.status == CM_STATUS_REVOKED || c.by->asked);
}

/* By anybody for good, or by somebody who was asked. */
bool
cm_inquiry_revoked(const struct cm_inquiry *i, const struct cm_asked *a)
{
	struct cm_case c;

	cm_inquiry_case(i, a, &c);
	return cm_decide(&c) == CM_DECIDED_REVOKED && (!c.by->e.on_hold || c.by->now);
}

/* Of each certificate the same: once. */
static void
trace_warning(struct cm_trace *t, const struct cm_asking *k)
{
	const char *said = cm_trace_find(t, "warning");

	if (k->warning.len > 0 && (said == NULL || strcmp(said, cm_buf_str(&k->warning)) != 0))
		cm_trace_add(t, "warning", "%s", cm_buf_str(&k->warning));
}

static void
trace_answer(struct cm_trace *t, const struct cm_asking *k, enum cm_status status)
{
	const struct cm_evidence *e = &k->q.answer;
	char from[CM_TIME_SIZE], to[CM_TIME_SIZE];

	if (status == CM_STATUS_UNKNOWN && k->q.objection != CM_OBJECTION_NONE)
		cm_trace_add(t, k->key, "%s: %s [%s]", e->source, cm_buf_str(&k->q.why), cm_objection_name(k->q.objection));
	else if (status == CM_STATUS_UNKNOWN)
		cm_trace_add(t, k->key, "%s: %s", e->source, cm_buf_str(&k->q.why));
	else if (status == CM_STATUS_REVOKED && e->revoked_at == CM_NEVER_ISSUED)
		cm_trace_add(t, k->key, "%s: never issued by its CA", e->source);
	else if (status == CM_STATUS_REVOKED)
		cm_trace_add(t, k->key, "%s: revoked on %s%s%s", e->source, cm_clock_text(e->revoked_at, from),
		    e->on_hold ? ", on hold" : "", k->q.note);
	else
		cm_trace_add(t, k->key, "%s: good, of %s%s%s%s", e->source, cm_clock_text(e->this_update, from),
		    e->next_update != 0 ? " until " : "", e->next_update != 0 ? cm_clock_text(e->next_update, to) : "",
		    k->q.note);
	trace_warning(t, k);
}

static void
add_failure(struct cm_asked *a, const struct cm_asking *k)
{
	struct cm_buf *to = k->q.network || strcmp(k->key, "evidence") != 0 ? &a->failures : &a->kept_failure;

	cm_buf_addf(to, "%s%s: %s", to->len > 0 ? "; " : "", k->q.answer.source, cm_buf_str(&k->q.why));
}

/* What is lost may have been "revoked": then nobody judges. */
static void
add_heard(struct cm_inquiry *i, struct cm_asked *a, const struct cm_evidence *e, bool now, bool asked)
{
	struct cm_heard *more = realloc(a->heard, (a->count + 1) * sizeof(*more));

	if (more == NULL) {
		i->err = CM_ERR_NOMEM;
		return;
	}
	a->heard = more;
	a->heard[a->count++] = (struct cm_heard){ .e = *e, .now = now, .asked = asked };
}

/* What a server said; and that it is revoked, whoever said so. */
static void
queue_for_keeper(struct cm_inquiry *i, const struct cm_question *q)
{
	const struct cm_evidence *e = &q->answer;
	struct cm_evidence *more;

	if (i->known->keeper == NULL || cm_known_has(i->known, e) ||
	    ((!q->network || q->kept) && e->status != CM_STATUS_REVOKED))
		return;
	if ((more = realloc(i->to_keep, (i->to_keep_count + 1) * sizeof(*more))) == NULL)
		return;
	i->to_keep = more;
	i->to_keep[i->to_keep_count++] = *e;
}

/* The clock's floor is made of what came now, and is not ahead. */
static void
note_time(struct cm_inquiry *i, const struct cm_question *q)
{
	const time_t t = q->answer.this_update;

	if (q->network && !q->kept && t <= q->now + CM_CLOCK_SKEW && t > i->signed_time)
		i->signed_time = t;
}

void
cm_inquiry_tell(struct cm_inquiry *i, struct cm_asked *a, struct cm_asking *k, enum cm_status status)
{
	struct cm_evidence *e = &k->q.answer;

	e->status = status;
	if (status != CM_STATUS_UNKNOWN) {
		k->q.objection = CM_OBJECTION_NONE;
		queue_for_keeper(i, &k->q);
	}
	pthread_mutex_lock(&i->lock);
	if (!i->closed) {
		if (status == CM_STATUS_UNKNOWN) {
			add_failure(a, k);
		} else {
			add_heard(i, a, e, k->q.network && !k->q.kept,
			    k->q.network && (!k->q.kept || e->confirmed >= i->known->now));
			note_time(i, &k->q);
		}
		i->clock = i->clock || k->q.objection == CM_OBJECTION_CLOCK;
		trace_answer(i->trace, k, status);
	}
	pthread_mutex_unlock(&i->lock);
}

/* ---- What is here. */

/* Expired, it may still be young enough for a level with an age. */
static void
hear_ended_lists(struct cm_inquiry *i, struct cm_asked *a)
{
	struct cm_asking k;

	cm_asking_begin(&k, i, a);
	k.q.ended_counts = true;
	if (cm_crl_ask_kept(&k.q) == CM_STATUS_GOOD) {
		k.q.answer.status = CM_STATUS_GOOD;
		pthread_mutex_lock(&i->lock);
		if (!i->closed)
			add_heard(i, a, &k.q.answer, !k.q.kept, false);
		pthread_mutex_unlock(&i->lock);
	}
	cm_asking_end(&k);
}

enum cm_status
cm_inquiry_ask_lists(struct cm_inquiry *i, struct cm_asked *a, struct cm_asking *k, const char *url)
{
	enum cm_status status;

	/* Why lists of others do not count is not what is asked. */
	for (struct cm_crl_index *x = i->lists; x != NULL; x = x->next)
		x->asked = url != NULL && cm_blob_equal(x->source, cm_blob_str(url));
	status = cm_crl_ask_kept(&k->q);

	if (status == CM_STATUS_UNKNOWN && k->q.objection == CM_OBJECTION_STALE)
		hear_ended_lists(i, a);
	if (status != CM_STATUS_UNKNOWN && k->q.kept)
		k->q.note = ", kept here";
	return status;
}

void
cm_inquiry_hear_known(struct cm_inquiry *i, struct cm_asked *a)
{
	bool revoked = false;
	struct cm_asking k;
	enum cm_status status;

	for (size_t n = 0; n < i->known->count; n++) {
		const struct cm_evidence *e = &i->known->evidence[n];

		if (e->status == CM_STATUS_UNKNOWN || !cm_evidence_is_about(e, &a->name))
			continue;
		add_heard(i, a, e, false, false);
		revoked = revoked || e->status == CM_STATUS_REVOKED;
		if (e->status == CM_STATUS_REVOKED)
			cm_trace_add(i->trace, "evidence", e->on_hold ? "%s: on hold: only a later list of the CA ends that" :
			    "%s: revoked; nobody was asked again", e->source);
	}
	if (revoked)
		return;
	cm_asking_begin(&k, i, a);
	snprintf(k.q.answer.source, sizeof(k.q.answer.source), "kept evidence");
	status = cm_evidence_ask(&k.q);
	/* It is heard already: this is for people. */
	i->clock = i->clock || k.q.objection == CM_OBJECTION_CLOCK;
	trace_answer(i->trace, &k, status);
	if (status == CM_STATUS_UNKNOWN)
		add_failure(a, &k);
	cm_asking_end(&k);
}

static void
hear_files(struct cm_inquiry *i, struct cm_asked *a)
{
	const char *const *path = i->trust->o.crls;

	for (; path != NULL && *path != NULL; path++) {
		struct cm_asking k;

		if (cm_fetch_can(*path))
			continue;
		a->has_source = true;
		cm_asking_begin(&k, i, a);
		cm_asking_source(&k, CM_SOURCE_CRL, *path);
		cm_inquiry_tell(i, a, &k, cm_crl_ask_file(&k.q, *path));
		cm_asking_end(&k);
	}
}

static void
hear_lists(struct cm_inquiry *i, struct cm_asked *a)
{
	struct cm_asking k;
	enum cm_status status;

	cm_asking_begin(&k, i, a);
	k.key = "crl";
	snprintf(k.q.answer.source, sizeof(k.q.answer.source), "CRLs kept here");
	status = cm_inquiry_ask_lists(i, a, &k, NULL);
	if (status != CM_STATUS_UNKNOWN || k.q.objection != CM_OBJECTION_NONE_KEPT)
		cm_inquiry_tell(i, a, &k, status);
	else
		trace_warning(i->trace, &k);
	cm_asking_end(&k);
}

void
cm_inquiry_hear_kept(struct cm_inquiry *i, struct cm_asked *a)
{
	cm_inquiry_hear_known(i, a);
	if (i->trust->o.use_crl && !cm_inquiry_revoked(i, a)) {
		hear_files(i, a);
		hear_lists(i, a);
	}
}
