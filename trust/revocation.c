/* trust/revocation.c - an inquiry after revocation, from its beginning to what follows of it. */
#include <errno.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/conf.h"
#include "base/thread.h"
#include "trust/inquiry_internal.h"

#define CLOSING_MS	100	/* for the thread to say itself who was silent until the deadline */

/* ---- The first half: what is known here, and the questions. */

static enum cm_err
new_inquiry(struct cm_inquiry **out)
{
	struct cm_inquiry *i = calloc(1, sizeof(*i));

	if ((*out = i) == NULL)
		return CM_ERR_NOMEM;
	pthread_mutex_init(&i->lock, NULL);
	pthread_cond_init(&i->closing, NULL);
	if (cm_trace_new(&i->trace) != CM_OK)
		return CM_ERR_NOMEM;
	cm_trace_begin(i->trace, "revocation");
	return CM_OK;
}

/* Below the anchor: nobody can revoke an anchor but who trusts it. */
static enum cm_err
name_certificates(struct cm_inquiry *i)
{
	const int all = sk_X509_num(i->v->chain) - 1;
	const size_t count = all < 0 ? 0 : i->trust->o.leaf_only && all > 1 ? 1 : (size_t)all;
	enum cm_err err = CM_OK;

	if (count == 0)
		return CM_OK;
	if ((i->certs = calloc(count, sizeof(*i->certs))) == NULL)
		return CM_ERR_NOMEM;
	for (; err == CM_OK && i->count < count; i->count++) {
		struct cm_asked *a = &i->certs[i->count];

		a->number = i->count;
		a->cert = sk_X509_value(i->v->chain, (int)i->count);
		a->issuer = sk_X509_value(i->v->chain, (int)i->count + 1);
		cm_buf_init(&a->failures, 0);
		cm_buf_init(&a->kept_failure, 0);
		err = cm_evidence_name(a->cert, a->issuer, &a->name);
	}
	if (err == CM_ERR_SYNTAX) {
		cm_trace_fail(i->trace, CM_REASON_CERT_MALFORMED,
		    "a serial number in the chain is longer than 20 octets (RFC 5280 4.1.2.2)");
		err = CM_OK;	/* said when it is judged */
	}
	return err;
}

/* What is known revoked for good: then nobody is asked about anything. */
static bool
is_known_revoked(const struct cm_inquiry *i)
{
	for (size_t n = 0; n < i->count; n++) {
		const struct cm_evidence *e = cm_known_revoked(i->known, &i->certs[n].name);

		if (e != NULL && !e->on_hold)
			return true;
	}
	return false;
}

/* In the thread nothing of the certificates is written: what OpenSSL works out once and keeps is worked out here. */
static void
warm(const struct cm_inquiry *i)
{
	for (int n = 0; n < sk_X509_num(i->v->chain); n++)
		X509_check_purpose(sk_X509_value(i->v->chain, n), -1, 0);
}

static void
object_to_all(struct cm_inquiry *i, enum cm_objection o, const char *why)
{
	for (struct cm_lane *l = i->lanes; l != NULL; l = l->next)
		for (size_t n = 0; n < l->url_count; n++) {
			struct cm_asking k;

			cm_asking_begin(&k, i, l->about);
			cm_asking_source(&k, l->kind, l->urls[n]);
			k.q.network = true;
			if (o != CM_OBJECTION_NONE)
				cm_object(&k.q, o, "%s", why);
			else
				cm_buf_add_str(&k.q.why, why);
			cm_inquiry_tell(i, l->about, &k, CM_STATUS_UNKNOWN);
			cm_asking_end(&k);
		}
}

static enum cm_err
start(struct cm_inquiry *i)
{
	enum cm_err err;

	if ((err = cm_source_fetcher(i->trust, NULL, NULL, &i->fetcher)) != CM_OK)
		return err;
	warm(i);
	i->runs = cm_thread_start(&i->thread, NULL, cm_inquiry_run, i) == 0;
	return i->runs ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
ask(struct cm_inquiry *i)
{
	bool missing = false;
	enum cm_err err;

	for (size_t n = 0; n < i->count; n++)
		cm_inquiry_hear_kept(i, &i->certs[n]);
	if (i->err != CM_OK)
		return i->err;
	for (size_t n = 0; n < i->count; n++)
		if (cm_inquiry_revoked(i, &i->certs[n]))
			return i->to_keep_count > 0 ? start(i) : CM_OK;
	for (size_t n = 0; n < i->count; n++) {
		struct cm_asked *a = &i->certs[n];

		a->missing = i->trust->o.ask_always || !cm_inquiry_satisfied(i, a);
		if (a->missing && (err = cm_inquiry_plan(i, a)) != CM_OK)
			return err;
		missing = missing || a->missing;
	}
	if (i->known->offline)
		object_to_all(i, CM_OBJECTION_NONE, "offline: nobody is asked");
	else if (cm_deadline_passed(i->deadline))
		object_to_all(i, CM_OBJECTION_NO_TIME, "no time was left to ask it");
	else if ((missing && i->lanes != NULL) || i->to_keep_count > 0)
		return start(i);
	return CM_OK;
}

static void
forget_answers(struct cm_verdict *v)
{
	v->revocation_passed = false;
	v->status = CM_STATUS_UNKNOWN;
	v->evidence_count = 0;
	v->signed_time = 0;
}

enum cm_err
cm_trust_ask_revocation(struct cm_trust *tr, struct cm_verdict *v, const struct cm_known *known,
    const struct cm_trust_policy *policy, cm_deadline deadline, struct cm_inquiry **out)
{
	struct cm_inquiry *i;
	enum cm_err err;

	*out = NULL;
	/* Only of a chain that this trust verified: a stranger's card causes no traffic. */
	if (v == NULL || !v->chain_passed || v->trust != tr)
		return CM_ERR_STATE;
	forget_answers(v);
	if ((err = new_inquiry(&i)) != CM_OK)
		goto out;
	i->trust = tr;
	i->v = v;
	i->known = known;
	i->policy = *policy;
	i->deadline = deadline;
	i->length = cm_deadline_left(deadline);
	i->hedge = cm_deadline_in((unsigned)i->length / CM_HEDGE);
	if (policy->level < CM_TRUST_SOFT || (err = name_certificates(i)) != CM_OK ||
	    cm_trace_reason(i->trace) != CM_REASON_NONE)
		goto out;
	if (is_known_revoked(i)) {
		for (size_t n = 0; n < i->count; n++)
			cm_inquiry_hear_known(i, &i->certs[n]);
		err = i->err;
	} else {
		err = ask(i);
	}
out:
	if (err == CM_OK)
		*out = i;
	else
		cm_inquiry_end(&i);
	return err;
}

/* ---- The second half: what follows. */

/* Locked: nothing is known that this policy would refuse. */
static bool
passes_so_far(const struct cm_inquiry *i, const struct cm_trust_policy *p)
{
	for (size_t n = 0; n < i->count; n++) {
		struct cm_case c;

		cm_inquiry_case(i, &i->certs[n], &c);
		c.policy = *p;
		if (!cm_decision_passes(cm_decide(&c)))
			return false;
	}
	return true;
}

/* Locked. */
static void
note_late(struct cm_inquiry *i)
{
	static const char late[] = "at the deadline an answer was still being read";

	cm_trace_add(i->trace, "warning", "%s", late);
	for (size_t n = 0; n < i->count; n++) {
		struct cm_asked *a = &i->certs[n];

		if (a->missing && !cm_inquiry_satisfied(i, a))
			cm_buf_addf(&a->failures, "%s%s", a->failures.len > 0 ? "; " : "", late);
	}
}

static void
wait_until_decided(struct cm_inquiry *i, const struct cm_trust_policy *p)
{
	const cm_deadline last = i->deadline + CLOSING_MS;
	const struct timespec until = { .tv_sec = (time_t)(last / 1000), .tv_nsec = (long)(last % 1000) * 1000000 };
	int rc = 0;

	pthread_mutex_lock(&i->lock);
	while (i->runs && !i->closed && rc == 0 && !(i->probes_only && passes_so_far(i, p)))
		rc = pthread_cond_clockwait(&i->closing, &i->lock, CLOCK_MONOTONIC, &until);
	if (!i->closed && i->runs && rc != 0)
		note_late(i);
	i->closed = true;
	pthread_mutex_unlock(&i->lock);
}

static void
copy_trace(const struct cm_inquiry *i, struct cm_trace *t)
{
	const struct cm_trace_stage *s = cm_trace_stage(i->trace, 0);

	for (size_t n = 0; s != NULL && n < s->count; n++)
		cm_trace_add(t, s->items[n].key, "%s", s->items[n].text);
}

struct judging {
	struct cm_inquiry *i;
	const struct cm_asked *a;
	struct cm_case c;
	struct cm_trace *t;
	struct cm_buf who, level, evidence;
};

static void
judging_begin(struct judging *j, struct cm_inquiry *i, const struct cm_asked *a, const struct cm_trust_policy *p)
{
	const struct cm_conf_level l = { .level = (unsigned)p->level, .max_age = p->max_age };

	j->i = i;
	j->a = a;
	cm_inquiry_case(i, a, &j->c);
	j->c.policy = *p;
	cm_buf_init(&j->who, 0);
	cm_buf_init(&j->level, 0);
	cm_buf_init(&j->evidence, 0);
	cm_buf_add_str(&j->who, a->number == 0 ? "the certificate of " : "the CA certificate of ");
	cm_name_text(X509_get_subject_name(a->cert), &j->who);
	cm_conf_level_text(&l, &j->level);
}

static void
judging_end(struct judging *j)
{
	cm_buf_free(&j->who);
	cm_buf_free(&j->level);
	cm_buf_free(&j->evidence);
}

static const char *
nobody_to_ask(const struct judging *j)
{
	const struct cm_trust_options *o = &j->i->trust->o;

	if (j->a->has_source)
		return "";
	if (!o->use_ocsp && !o->use_crl)
		return "trust.use_ocsp and trust.use_crl are both off; ";
	if (!o->use_ocsp)
		return "it names no CRL (cRLDistributionPoints), trust.crl is not set, and trust.use_ocsp is off; ";
	if (!o->use_crl)
		return "it names no OCSP responder (authorityInfoAccess), trust.ocsp_url is not set, "
		    "and trust.use_crl is off; ";
	return "it names neither an OCSP responder (authorityInfoAccess) nor a CRL "
	    "(cRLDistributionPoints), and trust.ocsp_url and trust.crl are not set; ";
}

/* Who was asked and why that was of no use; then what is kept. */
static void
add_failures(const struct judging *j, struct cm_buf *out)
{
	cm_buf_add_str(out, cm_buf_str(&j->a->failures));
	if (j->a->kept_failure.len > 0)
		cm_buf_addf(out, "%s%s", out->len > 0 ? "; " : "", cm_buf_str(&j->a->kept_failure));
	if (j->c.by != NULL && j->c.by->e.status == CM_STATUS_GOOD) {
		cm_buf_addf(out, "%slast said: ", out->len > 0 ? "; " : "");
		cm_evidence_text(&j->c.by->e, out);
	}
}

static enum cm_err
pass_good(struct judging *j)
{
	cm_evidence_text(&j->c.by->e, &j->evidence);
	if (j->a->number == 0)
		j->i->v->status = CM_STATUS_GOOD;
	cm_trace_add(j->t, "status", "good: %s: %s", cm_buf_str(&j->who), cm_buf_str(&j->evidence));
	return cm_verdict_add(j->i->v, &j->c.by->e);
}

static enum cm_err
pass_ended(struct judging *j)
{
	char age[CM_TIME_SIZE];

	cm_evidence_text(&j->c.by->e, &j->evidence);
	if (j->a->number == 0)
		j->i->v->status = CM_STATUS_GOOD;
	cm_trace_add(j->t, "status", "good: %s: %s; that has ended, and is %s old: passes at level %s", cm_buf_str(&j->who),
	    cm_buf_str(&j->evidence), cm_clock_age(cm_decide_age(&j->c, j->c.by), age), cm_buf_str(&j->level));
	return cm_verdict_add(j->i->v, &j->c.by->e);
}

/* SmartCardServices(7): at 2 an answer that cannot be had passes, at 3 it does not. */
static enum cm_err
pass_unknown(struct judging *j)
{
	cm_trace_add(j->t, "status", "unknown: %s: passes at level %s", cm_buf_str(&j->who), cm_buf_str(&j->level));
	return CM_OK;
}

static enum cm_err
refuse_revoked(struct judging *j)
{
	const struct cm_evidence *e = &j->c.by->e;
	char when[CM_TIME_SIZE];
	enum cm_err err;

	if ((err = cm_verdict_add(j->i->v, e)) != CM_OK)
		return err;
	if (j->a->number == 0)
		j->i->v->status = CM_STATUS_REVOKED;
	cm_trace_add(j->t, "status", "revoked: %s", cm_buf_str(&j->who));
	if (e->revoked_at == CM_NEVER_ISSUED)
		return cm_trace_fail(j->t, CM_REASON_REVOKED, "%s was never issued by its CA, says %s", cm_buf_str(&j->who),
		    e->source);
	return cm_trace_fail(j->t, CM_REASON_REVOKED, "%s was revoked on %s, says %s", cm_buf_str(&j->who),
	    cm_clock_text(e->revoked_at != 0 ? e->revoked_at : e->this_update, when), e->source);
}

static enum cm_err
refuse_too_old(struct judging *j)
{
	char age[CM_TIME_SIZE];

	cm_evidence_text(&j->c.by->e, &j->evidence);
	cm_trace_add(j->t, "status", "too old: %s: refused at level %s", cm_buf_str(&j->who), cm_buf_str(&j->level));
	return cm_trace_fail(j->t, CM_REASON_REVOCATION_TOO_OLD, "nobody has said for %s that %s is good, and level %s "
	    "wants it said since: %s%s%s%s", cm_clock_age(cm_decide_age(&j->c, j->c.by), age), cm_buf_str(&j->who),
	    cm_buf_str(&j->level), nobody_to_ask(j), cm_buf_str(&j->a->failures), j->a->failures.len > 0 ? "; last said: " :
	    "last said: ", cm_buf_str(&j->evidence));
}

static enum cm_err
refuse_unknown(struct judging *j)
{
	add_failures(j, &j->evidence);
	cm_trace_add(j->t, "status", "unknown: %s: refused at level %s", cm_buf_str(&j->who), cm_buf_str(&j->level));
	return cm_trace_fail(j->t, CM_REASON_REVOCATION_UNKNOWN, "nobody said that %s is good, and level %s wants it: %s%s",
	    cm_buf_str(&j->who), cm_buf_str(&j->level), nobody_to_ask(j), cm_buf_str(&j->evidence));
}

static enum cm_err
pass_unasked(struct judging *j)
{
	cm_trace_add(j->t, "status", "not asked for: the level is %s", cm_buf_str(&j->level));
	return CM_OK;
}

static enum cm_err (*const outcomes[])(struct judging *) = {
	[CM_DECIDED_UNASKED] = pass_unasked,
	[CM_DECIDED_GOOD] = pass_good,
	[CM_DECIDED_ENDED] = pass_ended,
	[CM_DECIDED_SOFT] = pass_unknown,
	[CM_DECIDED_REVOKED] = refuse_revoked,
	[CM_DECIDED_TOO_OLD] = refuse_too_old,
	[CM_DECIDED_UNKNOWN] = refuse_unknown,
};

static void
warn_of_clock(const struct cm_inquiry *i, struct cm_trace *t)
{
	char now[CM_TIME_SIZE], then[CM_TIME_SIZE];
	const struct cm_known *k = i->known;

	if (k->now < k->floor)
		cm_trace_add(t, "warning", "this computer's clock says %s, before %s that was already signed, so that nothing "
		    "good that is kept counts: set it", cm_clock_text(k->now, now), cm_clock_text(k->floor, then));
	else
		cm_trace_add(t, "warning", "this computer's clock says %s, and cannot be relied on, so that nothing good that "
		    "is kept counts: set it", cm_clock_text(k->now, now));
}

/* The revoked first: of others nobody may have waited for an answer. */
static enum cm_err
judge_all(struct cm_inquiry *i, const struct cm_trust_policy *p, struct cm_trace *t)
{
	bool clock = i->clock;
	enum cm_err err = CM_OK;

	for (int round = 0; err == CM_OK && round < 2; round++)
		for (size_t n = 0; err == CM_OK && n < i->count; n++) {
			struct judging j = { .t = t };
			enum cm_decision d;

			judging_begin(&j, i, &i->certs[n], p);
			d = cm_decide(&j.c);
			clock = clock || j.c.clock;
			if (round == 1 || d == CM_DECIDED_REVOKED)
				err = outcomes[d](&j);
			judging_end(&j);
		}
	if (clock)
		warn_of_clock(i, t);
	return err;
}

static bool
is_stricter(const struct cm_trust_policy *a, const struct cm_trust_policy *b)
{
	return a->level > b->level || (a->level >= CM_TRUST_SOFT && a->max_age > 0 &&
	    (b->max_age == 0 || a->max_age < b->max_age));
}

enum cm_err
cm_trust_judge_revocation(struct cm_inquiry *i, const struct cm_trust_policy *policy, struct cm_trace *t)
{
	enum cm_err err;

	forget_answers(i->v);
	/* What was not asked for cannot be judged. */
	if (is_stricter(policy, &i->policy))
		return CM_ERR_STATE;
	if (policy->level < CM_TRUST_SOFT) {
		cm_trace_add(t, "status", "not asked for: trust.level is %s", policy->level == CM_TRUST_OFF ? "off" : "chain");
		i->v->revocation_passed = true;
		return CM_OK;
	}
	wait_until_decided(i, policy);
	copy_trace(i, t);
	if (i->err != CM_OK)
		return i->err;
	if (cm_trace_reason(i->trace) != CM_REASON_NONE)
		return cm_trace_fail(t, cm_trace_reason(i->trace), "%s", cm_trace_message(i->trace));
	i->v->signed_time = i->signed_time;
	err = judge_all(i, policy, t);
	i->v->revocation_passed = err == CM_OK;
	return err;
}

void
cm_inquiry_end(struct cm_inquiry **ip)
{
	struct cm_inquiry *i = *ip;

	if (i == NULL)
		return;
	*ip = NULL;
	pthread_mutex_lock(&i->lock);
	i->ending = true;
	pthread_mutex_unlock(&i->lock);
	if (i->runs) {
		cm_fetcher_wake(i->fetcher);
		pthread_join(i->thread, NULL);
	}
	while (i->lanes != NULL) {
		struct cm_lane *l = i->lanes;

		i->lanes = l->next;
		cm_lane_free(&l);
	}
	while (i->sources != NULL) {
		struct cm_source_state *s = i->sources;

		i->sources = s->next;
		free(s);
	}
	for (size_t n = 0; n < i->count; n++) {
		free(i->certs[n].heard);
		cm_buf_free(&i->certs[n].failures);
		cm_buf_free(&i->certs[n].kept_failure);
	}
	free(i->certs);
	free(i->to_keep);
	cm_fetcher_free(&i->fetcher);
	cm_crl_list_close(&i->lists);
	cm_trace_free(&i->trace);
	pthread_cond_destroy(&i->closing);
	pthread_mutex_destroy(&i->lock);
	free(i);
}

enum cm_err
cm_trust_check_revocation(struct cm_trust *tr, struct cm_verdict *v, const struct cm_known *known,
    cm_deadline deadline, struct cm_trace *t)
{
	const struct cm_trust_policy policy = { .level = tr->o.level, .max_age = tr->o.max_age };
	struct cm_inquiry *i = NULL;
	enum cm_err err = cm_trust_ask_revocation(tr, v, known, &policy, deadline, &i);

	if (err == CM_OK)
		err = cm_trust_judge_revocation(i, &policy, t);
	cm_inquiry_end(&i);
	return err;
}
