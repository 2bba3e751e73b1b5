/*
 * trust/refresh.c - have here, before logins want it, what an issuer's lists and responders say.
 *
 * In three phases, each of all its sources at once: complete lists, changes to them, and answers about the
 * certificates that no list here speaks of.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/list.h"
#include "trust/refresh_internal.h"

#define PAUSE		300	/* seconds until what has ended, and was asked for, is asked for again */

static uint64_t
hash_of(const char *text)
{
	uint64_t h = 0xcbf29ce484222325;	/* FNV-1a */

	for (; *text != '\0'; text++)
		h = (h ^ (uint8_t)*text) * 0x100000001b3;
	return h;
}

/* When what was confirmed last then, and is good from this until that time, is due. */
static time_t
due_at(const struct cm_refresh_run *run, const char *source, const struct cm_evidence *e)
{
	const time_t until = cm_evidence_end(e, cm_undated_max(run->trust));
	const time_t had = e->confirmed != 0 ? e->confirmed : e->learned;
	const time_t due = cm_trust_refresh_due(had, until, run->r->seed ^ hash_of(source));
	const int64_t part = (until - e->this_update) / 4, pause = part > 0 && part < PAUSE ? part : PAUSE;

	/* Its source has no other yet, or will in a moment: that needs no asking all the time. */
	return due > had + pause ? due : had + pause;
}

static void
note_next(struct cm_refresh_run *run, time_t due)
{
	if (run->next == 0 || due < run->next)
		run->next = due;
}

static time_t
list_due_at(const struct cm_refresh_run *run, const struct cm_crl_index *x, const char *url)
{
	const struct cm_evidence e = { .this_update = x->about.this_update, .next_update = x->about.next_update,
		.learned = x->learned, .confirmed = x->confirmed };

	return due_at(run, url, &e);
}

void
cm_refresh_note_list(struct cm_refresh_run *run, const struct cm_crl_index *x, const char *url)
{
	note_next(run, list_due_at(run, x, url));
}

/* ---- the issuer */

static bool
verify(struct cm_refresh_run *run, STACK_OF(X509) *between, int *error)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok = false;

	if (ctx != NULL && X509_STORE_CTX_init(ctx, run->trust->store, run->issuer, between) == 1) {
		X509_STORE_CTX_set_time(ctx, 0, cm_known_time(run->known));
		ok = X509_verify_cert(ctx) == 1;
		*error = X509_STORE_CTX_get_error(ctx);
		run->chain = ok ? X509_STORE_CTX_get1_chain(ctx) : NULL;
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return run->chain != NULL;
}

static enum cm_err
open_issuer(struct cm_refresh_run *run)
{
	const uint8_t *p = run->r->issuer.ptr;
	int error = X509_V_ERR_OUT_OF_MEM;
	struct cm_buf who;
	enum cm_err err;

	if (run->r->issuer.len > 0)
		run->issuer = d2i_X509(NULL, &p, (long)run->r->issuer.len);
	if (run->issuer == NULL)
		return cm_trace_fail(run->trace, CM_REASON_CERT_MALFORMED, "a CA's certificate cannot be read");
	if (!cm_crl_key(run->issuer, run->key))
		return CM_ERR_NOMEM;
	if (verify(run, run->trust->intermediates, &error))
		return CM_OK;
	cm_buf_init(&who, 0);
	cm_name_text(X509_get_subject_name(run->issuer), &who);
	err = cm_trace_fail(run->trace, error == X509_V_ERR_CERT_HAS_EXPIRED ? CM_REASON_CERT_EXPIRED : CM_REASON_CERT_UNTRUSTED,
	    "the CA certificate of %s does not verify any more: %s", cm_buf_str(&who), X509_verify_cert_error_string(error));
	cm_buf_free(&who);
	return err;
}

/* ---- certificates of it */

static X509 *
cert_of(struct cm_blob der)
{
	const uint8_t *p = der.ptr;

	return der.len > 0 ? d2i_X509(NULL, &p, (long)der.len) : NULL;
}

/* One that stands for all: it has the issuer's name, and no extension that would narrow anything. */
static X509 *
anyone(const struct cm_refresh_run *run, struct cm_blob serial)
{
	X509 *x = X509_new();
	BIGNUM *n = BN_bin2bn(serial.ptr, (int)serial.len, NULL);

	if (x != NULL && n != NULL && X509_set_version(x, X509_VERSION_3) == 1 &&
	    X509_set_issuer_name(x, X509_get_subject_name(run->issuer)) == 1 &&
	    BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL) {
		BN_free(n);
		return x;
	}
	BN_free(n);
	X509_free(x);
	return NULL;
}

/* ---- lists */

static bool
is_in_lane(const struct cm_refresh_lane *l, const char *url)
{
	for (size_t i = 0; l->urls[i] != NULL; i++)
		if (strcmp(l->urls[i], url) == 0)
			return true;
	return false;
}

static bool
is_planned(const struct cm_refresh_run *run, enum cm_source_kind kind, const char *url)
{
	for (size_t i = 0; i < run->lane_count; i++)
		if (run->lanes[i].kind == kind && is_in_lane(&run->lanes[i], url))
			return true;
	return false;
}

/* Addresses of one list; a lane that has one of them already is the same. */
static enum cm_err
add_list_lane(struct cm_refresh_run *run, enum cm_source_kind kind, const char *const *urls, size_t count, X509 *cert)
{
	char **all = NULL;
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < count; i++) {
		if (is_planned(run, kind, urls[i]))
			goto out;
		err = cm_source_add_list(&run->trust->o, urls[i], &all);
	}
	if (err == CM_OK)
		err = cm_refresh_add_lane(run, kind, &all, cert);
out:
	cm_list_free(&all);
	return err;
}

struct planning {
	struct cm_refresh_run *run;
	X509 *cert;
	bool delta;
	enum cm_err err;
};

static bool
plan_point(void *arg, const struct cm_crl_point *point)
{
	struct planning *p = arg;

	if (point->delta == p->delta && point->count > 0)
		p->err = add_list_lane(p->run, p->delta ? CM_SOURCE_DELTA : CM_SOURCE_CRL, point->urls, point->count, p->cert);
	return p->err == CM_OK;
}

/* The points that a certificate names; then what else was seen or configured. */
static enum cm_err
plan_lists(struct cm_refresh_run *run, bool delta, X509 *any)
{
	const enum cm_source_kind kind = delta ? CM_SOURCE_DELTA : CM_SOURCE_CRL;
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i <= run->r->cert_count; i++) {
		struct planning p = { .run = run, .delta = delta };
		struct cm_question q;

		p.cert = i < run->r->cert_count ? cert_of(run->r->certs[i]) : X509_up_ref(any) == 1 ? any : NULL;
		if (p.cert == NULL)
			continue;
		if ((err = cm_refresh_begin_question(run, p.cert, &q)) == CM_OK &&
		    !cm_crl_addresses(&q, plan_point, &p) && p.err == CM_OK)
			p.err = CM_ERR_NOMEM;
		cm_refresh_end_question(&q);
		X509_free(p.cert);
		err = err == CM_ERR_SYNTAX ? CM_OK : err != CM_OK ? err : p.err;
	}
	for (size_t i = 0; err == CM_OK && i < run->source_count; i++) {
		const char *url = run->sources[i].url;

		if (run->sources[i].kind == kind)
			err = add_list_lane(run, kind, &url, 1, any);
	}
	return err;
}

static void
note_due(struct cm_refresh_run *run, struct cm_refresh_lane *l)
{
	struct cm_crl_lists lists;
	struct cm_question q;
	char url[CM_SOURCE_URL_MAX];

	if (cm_refresh_begin_question(run, l->cert, &q) != CM_OK)
		goto out;
	cm_crl_gather(&q, &lists);
	for (const struct cm_crl_index *x = lists.kept; x != NULL; x = x->next) {
		time_t due;

		if (x->beside || x->gone || x->source.len >= sizeof(url))
			continue;
		memcpy(url, x->source.ptr, x->source.len);
		url[x->source.len] = '\0';
		if (is_in_lane(l, url) && (due = list_due_at(run, x, url)) > l->due)
			l->due = due;
	}
	cm_crl_list_close(&lists.kept);
	ERR_clear_error();
out:
	cm_refresh_end_question(&q);
}

/* ---- what is due */

/* While all its addresses are known silent it is not their turn before the first may be probed. */
static time_t
not_before(struct cm_refresh_run *run, const struct cm_refresh_lane *l)
{
	time_t first = 0;

	for (size_t i = 0; l->urls[i] != NULL; i++) {
		const struct cm_source *s = cm_refresh_source(run, l->kind, l->urls[i]);

		if (s == NULL || !cm_source_is_silent(s, run->known->now))
			return 0;
		if (first == 0 || s->probe_at < first)
			first = s->probe_at;
	}
	return first;
}

/* Is it its turn in this run?  If not, it is noted when. */
static bool
is_its_turn(struct cm_refresh_run *run, const struct cm_refresh_lane *l)
{
	const time_t silent = not_before(run, l), due = l->due > silent ? l->due : silent;

	if (!run->r->due_only || due <= run->known->now)
		return true;
	note_next(run, due);
	return false;
}

static enum cm_err
ask_what_is_due(struct cm_refresh_run *run)
{
	for (size_t i = run->lane_count; i-- > 0;)
		if (!is_its_turn(run, &run->lanes[i]))
			cm_refresh_leave_out(run, i);
	return cm_refresh_ask(run);
}

/* When what was just asked for, or failed, is due again. */
static enum cm_err
note_lists(struct cm_refresh_run *run, bool delta, X509 *any)
{
	enum cm_err err = plan_lists(run, delta, any);

	for (size_t i = 0; err == CM_OK && i < run->lane_count; i++) {
		struct cm_refresh_lane *l = &run->lanes[i];
		time_t silent;

		note_due(run, l);
		silent = not_before(run, l);
		if (l->due > 0 || silent > 0)
			note_next(run, l->due > silent ? l->due : silent);
	}
	cm_refresh_free_lanes(run);
	return err;
}

static enum cm_err
refresh_lists(struct cm_refresh_run *run, bool delta, X509 *any)
{
	enum cm_err err = plan_lists(run, delta, any);

	for (size_t i = 0; err == CM_OK && i < run->lane_count; i++)
		note_due(run, &run->lanes[i]);
	if (err == CM_OK)
		err = ask_what_is_due(run);
	return err == CM_OK ? note_lists(run, delta, any) : err;
}

/* ---- responders */

/* The newest that a responder said. */
static const struct cm_evidence *
kept_answer(const struct cm_refresh_run *run, const struct cm_evidence *name)
{
	const struct cm_evidence *best = NULL;

	for (size_t i = 0; i < run->known->count; i++) {
		const struct cm_evidence *e = &run->known->evidence[i];

		if (e->status == CM_STATUS_GOOD && !e->by_list && cm_evidence_is_about(e, name) &&
		    (best == NULL || e->this_update > best->this_update))
			best = e;
	}
	return best;
}

static enum cm_err
add_responders(struct cm_refresh_run *run, X509 *cert)
{
	char **urls = NULL;
	enum cm_err err = cm_source_add_responders(&run->trust->o, cert, &urls);

	if (err == CM_OK)
		err = cm_refresh_add_lane(run, CM_SOURCE_OCSP, &urls, cert);
	cm_list_free(&urls);
	return err;
}

/* What lists say is kept, so that it stays when they are gone; nobody else needs to be asked then. */
static bool
lists_speak(struct cm_refresh_run *run, struct cm_question *q)
{
	struct cm_evidence *e = &q->answer;

	if (!run->trust->o.use_crl)
		return false;
	e->status = cm_crl_ask_kept(q);
	cm_refresh_keep(run, e);
	return e->status != CM_STATUS_UNKNOWN;
}

/* *needs: a responder has to know it. */
static enum cm_err
plan_answer(struct cm_refresh_run *run, X509 *cert, bool *needs)
{
	const size_t before = run->lane_count;
	const struct cm_evidence *kept;
	struct cm_question q;
	enum cm_err err;

	if ((err = cm_refresh_begin_question(run, cert, &q)) == CM_OK) {
		const struct cm_evidence name = q.answer, *revoked = cm_known_revoked(run->known, &name);

		if ((revoked == NULL || revoked->on_hold) && !lists_speak(run, &q) && run->trust->o.use_ocsp &&
		    (err = add_responders(run, cert)) == CM_OK && run->lane_count > before &&
		    (kept = kept_answer(run, &name)) != NULL)
			run->lanes[before].due = due_at(run, kept->source, kept);
	}
	*needs = run->lane_count > before;
	cm_refresh_end_question(&q);
	return err == CM_ERR_SYNTAX ? CM_OK : err;
}

/* A responder that is marked silent, and that nobody needs to ask: about whomever this issuer has. */
static enum cm_err
plan_probes(struct cm_refresh_run *run)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < run->source_count; i++) {
		const struct cm_source *s = &run->sources[i];
		char **urls = NULL;
		X509 *cert = NULL;

		if (s->kind != CM_SOURCE_OCSP || s->probe_at == 0 || is_planned(run, s->kind, s->url))
			continue;
		if (run->r->cert_count > 0)
			cert = cert_of(run->r->certs[0]);
		for (size_t k = 0; cert == NULL && k < run->known->count; k++)
			if (memcmp(run->known->evidence[k].issuer_key, run->key, sizeof(run->key)) == 0)
				cert = anyone(run, (struct cm_blob){ run->known->evidence[k].serial, run->known->evidence[k].serial_len });
		if (cert != NULL && (err = cm_list_add(&urls, cm_blob_str(s->url))) == CM_OK &&
		    (err = cm_refresh_add_lane(run, CM_SOURCE_OCSP, &urls, cert)) == CM_OK)
			run->lanes[run->lane_count - 1].probe = true;
		cm_list_free(&urls);
		X509_free(cert);
	}
	return err;
}

/* What was asked is due by the answer that came, which the keeper has. */
static void
note_answers(struct cm_refresh_run *run, X509 *cert)
{
	const struct cm_keeper *k = run->known->keeper;
	struct cm_evidence e;

	if (k == NULL || cm_evidence_name(cert, run->issuer, &e) != CM_OK || k->find(k->arg, &e) != CM_OK ||
	    e.status != CM_STATUS_GOOD || e.by_list)
		return;
	note_next(run, due_at(run, e.source, &e));
}

static void
note_silent_responders(struct cm_refresh_run *run)
{
	for (size_t i = 0; i < run->source_count; i++)
		if (run->sources[i].kind == CM_SOURCE_OCSP && run->sources[i].probe_at > run->known->now)
			note_next(run, run->sources[i].probe_at);
}

static enum cm_err
refresh_answers(struct cm_refresh_run *run)
{
	const size_t count = run->r->cert_count;
	X509 **certs = calloc(count + 1, sizeof(*certs));
	bool *needs = calloc(count + 1, sizeof(*needs));
	enum cm_err err = certs != NULL && needs != NULL ? CM_OK : CM_ERR_NOMEM;

	for (size_t i = 0; err == CM_OK && i < count; i++)
		if ((certs[i] = cert_of(run->r->certs[i])) != NULL)
			err = plan_answer(run, certs[i], &needs[i]);
	if (err == CM_OK && run->trust->o.use_ocsp)
		err = plan_probes(run);
	if (err == CM_OK)
		err = ask_what_is_due(run);
	for (size_t i = 0; err == CM_OK && i < count; i++)
		if (needs[i])
			note_answers(run, certs[i]);
	note_silent_responders(run);
	for (size_t i = 0; certs != NULL && i < count; i++)
		X509_free(certs[i]);
	free(certs);
	free(needs);
	return err;
}

/* ---- all of it */

static enum cm_err
refresh(struct cm_refresh_run *run)
{
	static const uint8_t one = 1;
	X509 *any = NULL;
	enum cm_err err;

	if ((err = open_issuer(run)) != CM_OK)
		return err;
	if (run->r->source_count > 0) {
		if ((run->sources = calloc(run->r->source_count, sizeof(*run->sources))) == NULL)
			return CM_ERR_NOMEM;
		memcpy(run->sources, run->r->sources, run->r->source_count * sizeof(*run->sources));
		run->source_count = run->r->source_count;
	}
	if ((any = anyone(run, (struct cm_blob){ &one, 1 })) == NULL)
		return CM_ERR_NOMEM;
	if (run->trust->o.use_crl && cm_crl_may_sign(run->issuer) && (err = refresh_lists(run, false, any)) == CM_OK)
		err = refresh_lists(run, true, any);
	if (err == CM_OK)
		err = refresh_answers(run);
	X509_free(any);
	return err != CM_OK ? err : run->failed ? CM_ERR_OFFLINE : CM_OK;
}

enum cm_err
cm_trust_refresh(struct cm_trust *tr, const struct cm_refresh *r, const struct cm_known *known,
    cm_deadline deadline, struct cm_trace *t)
{
	struct cm_refresh_run run = { .trust = tr, .r = r, .known = known, .deadline = deadline, .trace = t,
		.began_us = cm_clock_us() };
	enum cm_err err = CM_OK;

	/* Nothing is verified at level off, so nothing could be believed. */
	if (tr->o.level != CM_TRUST_OFF)
		err = refresh(&run);
	if (r->next != NULL)
		*r->next = run.next;
	cm_refresh_free_lanes(&run);
	cm_fetcher_free(&run.fetcher);
	cm_list_free(&run.silent);
	sk_X509_pop_free(run.chain, X509_free);
	X509_free(run.issuer);
	free(run.sources);
	return err;
}
