/* trust/revocation.c - whom to ask about each certificate, in which order, and what follows at each level. */
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "trust/trust_internal.h"

struct step;

/* One call of cm_trust_check_revocation(). */
struct round {
	const struct cm_trust *trust;
	struct cm_verdict *v;
	const struct cm_known *known;
	cm_deadline deadline;
	struct cm_trace *t;
	struct step *steps;		/* owned; certificate by certificate, leaf first */
	size_t count;
	enum cm_err err;		/* of making the steps: sticks */
};

/* Adds a step for each place where this kind of source may know cert. */
typedef void (*collect_fn)(struct round *r, int cert);

static void collect_ocsp(struct round *r, int cert);
static void collect_crl_urls(struct round *r, int cert);
static void collect_crl_files(struct round *r, int cert);
static void collect_kept(struct round *r, int cert);

enum { OCSP, CRL_URL, CRL_FILE, KEPT };

/* In this order; the first that knows ends the search.  A new source is one row. */
static const struct source {
	const char *key;	/* in the trace */
	const char *name;
	bool network;
	bool always;		/* heard whatever others say: who put a file there may say "revoked" */
	collect_fn collect;
	enum cm_status (*ask)(struct cm_question *, const char *where);
} sources[] = {
	[OCSP] = { "ocsp", "OCSP", true, false, collect_ocsp, cm_ocsp_ask },
	[CRL_URL] = { "crl", "CRL", true, false, collect_crl_urls, cm_crl_ask_url },
	[CRL_FILE] = { "crl", "CRL", false, true, collect_crl_files, cm_crl_ask_file },
	[KEPT] = { "evidence", "kept", false, false, collect_kept, cm_evidence_ask },
};

struct step {
	const struct source *source;
	int cert;		/* index in the chain */
	char *where;		/* owned */
};

static void
add_step(struct round *r, int row, int cert, const char *where, size_t len)
{
	struct step *more;
	char *copy;

	/* A NUL inside would make another address of it. */
	if (r->err != CM_OK || len == 0 || memchr(where, '\0', len) != NULL)
		return;
	for (size_t i = 0; i < r->count; i++)
		if (r->steps[i].cert == cert && r->steps[i].source == &sources[row] &&
		    strlen(r->steps[i].where) == len && memcmp(r->steps[i].where, where, len) == 0)
			return;
	copy = strndup(where, len);
	more = realloc(r->steps, (r->count + 1) * sizeof(*more));
	if (more != NULL)
		r->steps = more;
	if (more == NULL || copy == NULL) {
		free(copy);
		r->err = CM_ERR_NOMEM;
		return;
	}
	r->steps[r->count++] = (struct step){ &sources[row], cert, copy };
}

static X509 *
cert_at(const struct round *r, int i)
{
	return sk_X509_value(r->v->chain, i);
}

static void
collect_ocsp(struct round *r, int cert)
{
	const char *const *urls = r->trust->o.ocsp_urls;
	STACK_OF(OPENSSL_STRING) *aia = NULL;

	if (!r->trust->o.use_ocsp)
		return;
	if (urls != NULL && urls[0] != NULL) {
		for (; *urls != NULL; urls++)
			add_step(r, OCSP, cert, *urls, strlen(*urls));
		return;
	}
	aia = X509_get1_ocsp(cert_at(r, cert));
	for (int i = 0; i < sk_OPENSSL_STRING_num(aia); i++)
		add_step(r, OCSP, cert, sk_OPENSSL_STRING_value(aia, i),
		    strlen(sk_OPENSSL_STRING_value(aia, i)));
	X509_email_free(aia);
}

static void
add_point(struct round *r, int cert, const DIST_POINT *point)
{
	/* A list for some reasons only, or of another issuer, cannot say "good". */
	if (point->distpoint == NULL || point->distpoint->type != 0 ||
	    point->reasons != NULL || point->CRLissuer != NULL)
		return;
	for (int i = 0; i < sk_GENERAL_NAME_num(point->distpoint->name.fullname); i++) {
		int type;
		const ASN1_STRING *uri = GENERAL_NAME_get0_value(
		    sk_GENERAL_NAME_value(point->distpoint->name.fullname, i), &type);

		if (type == GEN_URI)
			add_step(r, CRL_URL, cert, (const char *)ASN1_STRING_get0_data(uri),
			    (size_t)ASN1_STRING_length(uri));
	}
}

/* The certificate's own, then the configured ones of this form. */
static void
collect_crl_urls(struct round *r, int cert)
{
	const char *const *extra = r->trust->o.crls;
	CRL_DIST_POINTS *points;

	if (!r->trust->o.use_crl)
		return;
	points = X509_get_ext_d2i(cert_at(r, cert), NID_crl_distribution_points, NULL, NULL);
	for (int i = 0; i < sk_DIST_POINT_num(points); i++)
		add_point(r, cert, sk_DIST_POINT_value(points, i));
	CRL_DIST_POINTS_free(points);
	for (; extra != NULL && *extra != NULL; extra++)
		if (cm_fetch_can(*extra))
			add_step(r, CRL_URL, cert, *extra, strlen(*extra));
}

static void
collect_crl_files(struct round *r, int cert)
{
	const char *const *extra = r->trust->o.use_crl ? r->trust->o.crls : NULL;

	for (; extra != NULL && *extra != NULL; extra++)
		if (!cm_fetch_can(*extra))
			add_step(r, CRL_FILE, cert, *extra, strlen(*extra));
}

static void
collect_kept(struct round *r, int cert)
{
	add_step(r, KEPT, cert, "evidence", strlen("evidence"));
}

/* Below the anchor: nobody can revoke an anchor but who trusts it. */
static int
last_cert(const struct round *r)
{
	return sk_X509_num(r->v->chain) - 2;
}

static enum cm_err
plan(struct round *r)
{
	for (int cert = 0; cert <= last_cert(r); cert++)
		for (size_t i = 0; i < CM_COUNT(sources); i++)
			sources[i].collect(r, cert);
	return r->err;
}

static bool
goes_out(const struct step *s)
{
	return s->source->network && cm_fetch_can(s->where);
}

/* What is left is shared by all that may still have to be asked, so that a silent one leaves time for the next. */
static cm_deadline
share(const struct round *r, const struct step *s)
{
	const unsigned left = (unsigned)cm_deadline_left(r->deadline);
	unsigned asking = 0;

	for (; s < r->steps + r->count; s++)
		asking += goes_out(s);
	return cm_deadline_in(asking == 0 ? 0 : left / asking);
}

static void
trace_step(const struct round *r, const char *key, const struct cm_question *q, enum cm_status status)
{
	const struct cm_evidence *e = &q->answer;
	char from[CM_TIME_SIZE], to[CM_TIME_SIZE];

	if (status == CM_STATUS_UNKNOWN)
		cm_trace_add(r->t, key, q->objection != CM_OBJECTION_NONE ? "%s: %s [%s]" : "%s: %s", e->source,
		    cm_buf_str(&q->why), cm_objection_name(q->objection));
	else if (status == CM_STATUS_REVOKED)
		cm_trace_add(r->t, key, "%s: revoked on %s%s", e->source,
		    cm_clock_text(e->revoked_at, from), q->note);
	else
		cm_trace_add(r->t, key, "%s: good, of %s%s%s%s", e->source,
		    cm_clock_text(e->this_update, from), e->next_update != 0 ? " until " : "",
		    e->next_update != 0 ? cm_clock_text(e->next_update, to) : "", q->note);
}

static enum cm_status
run_step(const struct round *r, const struct step *s, struct cm_question *q)
{
	if (s->source->network && !cm_fetch_can(s->where)) {
		cm_buf_add_str(&q->why, "only http:// and https:// addresses can be asked");
		return CM_STATUS_UNKNOWN;
	}
	q->deadline = share(r, s);
	return s->source->ask(q, s->where);
}

/* One source.  On an answer, *e is what it said; else *failures is longer. */
static enum cm_status
ask(struct round *r, const struct step *s, struct cm_evidence *e, struct cm_buf *failures)
{
	struct cm_question q = {
		.trust = r->trust, .known = r->known, .now = cm_known_time(r->known),
		.cert = cert_at(r, s->cert), .issuer = cert_at(r, s->cert + 1),
		.answer = *e, .note = "",
	};
	struct cm_buf warning;
	enum cm_status status;

	cm_buf_init(&q.why, 0);
	cm_buf_init(&warning, 0);
	q.warning = &warning;
	q.answer.learned = r->known->now;
	snprintf(q.answer.source, sizeof(q.answer.source), "%s %s", s->source->name, s->where);
	status = run_step(r, s, &q);
	trace_step(r, s->source->key, &q, status);
	if (warning.len > 0)
		cm_trace_add(r->t, "warning", "%s", cm_buf_str(&warning));
	if (status == CM_STATUS_UNKNOWN) {
		cm_buf_addf(failures, "%s%s: %s", failures->len > 0 ? "; " : "", q.answer.source,
		    cm_buf_str(&q.why));
	} else {
		*e = q.answer;
		e->status = status;
		/* The clock's floor is made of what came now, and is not ahead. */
		if (goes_out(s) && !q.kept && e->this_update <= q.now + CM_CLOCK_SKEW &&
		    e->this_update > r->v->signed_time)
			r->v->signed_time = e->this_update;
	}
	cm_buf_free(&q.why);
	cm_buf_free(&warning);
	return status;
}

static void
name_cert(const struct round *r, int cert, struct cm_buf *out)
{
	cm_buf_init(out, 0);
	cm_buf_add_str(out, cert == 0 ? "the certificate of " : "the CA certificate of ");
	cm_name_text(X509_get_subject_name(cert_at(r, cert)), out);
}

static enum cm_err
refuse_revoked(struct round *r, int cert, const struct cm_evidence *e)
{
	char when[CM_TIME_SIZE];
	struct cm_buf who;
	enum cm_err err;

	name_cert(r, cert, &who);
	if (cert == 0)
		r->v->status = CM_STATUS_REVOKED;
	cm_trace_add(r->t, "status", "revoked: %s", cm_buf_str(&who));
	err = cm_trace_fail(r->t, CM_REASON_REVOKED, "%s was revoked on %s, says %s", cm_buf_str(&who),
	    cm_clock_text(e->revoked_at != 0 ? e->revoked_at : e->this_update, when), e->source);
	cm_buf_free(&who);
	return err;
}

static bool
has_source(const struct round *r, int cert)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->steps[i].cert == cert && r->steps[i].source != &sources[KEPT])
			return true;
	return false;
}

static const char *
nobody_to_ask(const struct round *r)
{
	const struct cm_trust_options *o = &r->trust->o;

	if (!o->use_ocsp && !o->use_crl)
		return "trust.use_ocsp and trust.use_crl are both off";
	if (!o->use_ocsp)
		return "it names no CRL (cRLDistributionPoints), trust.crl is not set, and trust.use_ocsp is off";
	if (!o->use_crl)
		return "it names no OCSP responder (authorityInfoAccess), trust.ocsp_url is not set, "
		    "and trust.use_crl is off";
	return "it names neither an OCSP responder (authorityInfoAccess) nor a CRL "
	    "(cRLDistributionPoints), and trust.ocsp_url and trust.crl are not set";
}

/* SmartCardServices(7): at 2 an answer that cannot be had passes, at 3 it does not. */
static enum cm_err
decide_unknown(struct round *r, int cert, const struct cm_buf *failures)
{
	const bool hard = r->trust->o.level == CM_TRUST_HARD;
	enum cm_err err = CM_OK;
	struct cm_buf who;

	name_cert(r, cert, &who);
	cm_trace_add(r->t, "status", "unknown: %s: %s", cm_buf_str(&who),
	    hard ? "refused at level hard" : "passes at level soft");
	if (hard)
		err = cm_trace_fail(r->t, CM_REASON_REVOCATION_UNKNOWN,
		    "nobody said that %s is good, and level hard wants it: %s%s%s", cm_buf_str(&who),
		    has_source(r, cert) ? "" : nobody_to_ask(r), has_source(r, cert) ? "" : "; ",
		    cm_buf_str(failures));
	cm_buf_free(&who);
	return err;
}

static enum cm_err
decide_known(struct round *r, int cert, const struct cm_evidence *e)
{
	struct cm_buf who;
	enum cm_err err;

	if ((err = cm_verdict_add(r->v, e)) != CM_OK)
		return err;
	if (e->status == CM_STATUS_REVOKED)
		return refuse_revoked(r, cert, e);
	if (cert == 0)
		r->v->status = CM_STATUS_GOOD;
	name_cert(r, cert, &who);
	cm_trace_add(r->t, "status", "good: %s", cm_buf_str(&who));
	cm_buf_free(&who);
	return CM_OK;
}

/* CM_ERR_REFUSED when one is known to be revoked: then nobody needs to be asked. */
static enum cm_err
check_known(struct round *r)
{
	struct cm_evidence name;
	enum cm_err err;

	for (int cert = 0; cert <= last_cert(r); cert++) {
		const struct cm_evidence *e;

		if ((err = cm_evidence_name(cert_at(r, cert), cert_at(r, cert + 1), &name)) != CM_OK)
			return err != CM_ERR_SYNTAX ? err : cm_trace_fail(r->t, CM_REASON_CERT_MALFORMED,
			    "a serial number in the chain is longer than 20 octets (RFC 5280 4.1.2.2)");
		if ((e = cm_known_revoked(r->known, &name)) == NULL || e->on_hold)
			continue;
		cm_trace_add(r->t, "evidence", "%s: revoked; nobody was asked again", e->source);
		return decide_known(r, cert, e);
	}
	return CM_OK;
}

/* Of who is known to be on hold "good" is heard only where it ends the hold. */
static bool
is_heard(struct round *r, const struct cm_evidence *held, const struct cm_evidence *e, struct cm_buf *failures)
{
	if (held == NULL || e->status != CM_STATUS_GOOD || cm_evidence_ends_hold(held, e))
		return true;
	cm_trace_add(r->t, "evidence", "%s: on hold: only a later list of the CA ends that, not %s", held->source, e->source);
	cm_buf_addf(failures, "%s%s: does not end the hold", failures->len > 0 ? "; " : "", e->source);
	return false;
}

/* name says who is asked about. */
static enum cm_status
search(struct round *r, int cert, const struct cm_evidence *name, struct cm_evidence *e,
    struct cm_buf *failures)
{
	const struct cm_evidence *held = cm_known_revoked(r->known, name);
	enum cm_status found = CM_STATUS_UNKNOWN;

	for (size_t i = 0; found != CM_STATUS_REVOKED && i < r->count; i++) {
		struct cm_evidence answer = *name;
		enum cm_status status;

		if (r->steps[i].cert != cert ||
		    (found == CM_STATUS_GOOD && !r->steps[i].source->always))
			continue;
		status = ask(r, &r->steps[i], &answer, failures);
		if (!is_heard(r, held, &answer, failures))
			continue;
		if (status == CM_STATUS_REVOKED || (status == CM_STATUS_GOOD && found == CM_STATUS_UNKNOWN)) {
			*e = answer;
			found = status;
		}
	}
	if (found == CM_STATUS_UNKNOWN && held != NULL) {
		*e = *held;
		found = CM_STATUS_REVOKED;
	}
	return found;
}

static enum cm_err
check_cert(struct round *r, int cert)
{
	enum cm_status status;
	struct cm_evidence name, e;
	struct cm_buf failures;
	enum cm_err err;

	if ((err = cm_evidence_name(cert_at(r, cert), cert_at(r, cert + 1), &name)) != CM_OK)
		return err;
	cm_buf_init(&failures, 0);
	status = search(r, cert, &name, &e, &failures);
	err = status == CM_STATUS_UNKNOWN ? decide_unknown(r, cert, &failures) :
	    decide_known(r, cert, &e);
	cm_buf_free(&failures);
	return err;
}

static enum cm_err
check_all(struct round *r)
{
	enum cm_err err;

	if ((err = check_known(r)) != CM_OK)
		return err;
	if ((err = plan(r)) != CM_OK)
		return err;
	for (int cert = 0; err == CM_OK && cert <= last_cert(r); cert++)
		err = check_cert(r, cert);
	return err;
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
cm_trust_check_revocation(struct cm_trust *tr, struct cm_verdict *v, const struct cm_known *known,
    cm_deadline deadline, struct cm_trace *t)
{
	struct round r = { .trust = tr, .v = v, .known = known, .deadline = deadline, .t = t };
	enum cm_err err = CM_OK;

	/* Only of a chain that this trust verified: a stranger's card causes no traffic. */
	if (v == NULL || !v->chain_passed || v->trust != tr)
		return CM_ERR_STATE;
	forget_answers(v);
	if (tr->o.level < CM_TRUST_SOFT)
		cm_trace_add(t, "status", "not asked for: trust.level is %s",
		    tr->o.level == CM_TRUST_OFF ? "off" : "chain");
	else
		err = check_all(&r);
	for (size_t i = 0; i < r.count; i++)
		free(r.steps[i].where);
	free(r.steps);
	v->revocation_passed = err == CM_OK;
	return err;
}
