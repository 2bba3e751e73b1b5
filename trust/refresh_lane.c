/* trust/refresh_lane.c - asking: lists into their folder, responders about certificates, each source marked by how it went. */
#include <stdlib.h>

#include "base/list.h"
#include "trust/refresh_internal.h"

#define AT_ONCE		16	/* of one issuer */
#define LOOK_MS		200	/* how soon silence is seen */

/* ---- sources */

struct cm_source *
cm_refresh_source(struct cm_refresh_run *run, enum cm_source_kind kind, const char *url)
{
	struct cm_source *more, *s;

	for (size_t i = 0; i < run->source_count; i++)
		if (run->sources[i].kind == kind && strcmp(run->sources[i].url, url) == 0)
			return &run->sources[i];
	if (strlen(url) >= sizeof(more->url) ||
	    (more = reallocarray(run->sources, run->source_count + 1, sizeof(*more))) == NULL)
		return NULL;
	run->sources = more;
	s = &more[run->source_count++];
	*s = (struct cm_source){ .kind = kind, .seen = run->known->now };
	memcpy(s->issuer_key, run->key, sizeof(s->issuer_key));
	snprintf(s->url, sizeof(s->url), "%s", url);
	return s;
}

static void
keep_failed(struct cm_refresh_run *run)
{
	const struct cm_keeper *k = run->known->keeper;
	const char *why = k->why != NULL ? k->why(k->arg) : NULL;

	cm_trace_add(run->trace, "warning", "what was learned could not be kept%s%s", why != NULL ? ": " : "", why != NULL ? why : "");
}

/* A timer calls often: what says nothing new costs no write. */
void
cm_refresh_keep(struct cm_refresh_run *run, const struct cm_evidence *e)
{
	const struct cm_keeper *k = run->known->keeper;

	if (k != NULL && e->status != CM_STATUS_UNKNOWN && !cm_known_has(run->known, e) && k->keep(k->arg, e) != CM_OK)
		keep_failed(run);
}

struct of_key {
	struct cm_refresh_run *run;
	const struct cm_source *s;
	enum cm_err err;
	bool found;
};

static enum cm_err
keep_for(void *arg, const struct cm_trust_issuer *i)
{
	struct of_key *k = arg;
	const struct cm_keeper *keeper = k->run->known->keeper;

	if (!k->found && memcmp(i->key, k->s->issuer_key, sizeof(i->key)) == 0) {
		k->found = true;
		k->err = keeper->keep_source(keeper->arg, k->s, i->der);
	}
	return CM_OK;
}

static void
keep_source(struct cm_refresh_run *run, const struct cm_source *s)
{
	const struct cm_keeper *k = run->known->keeper;
	struct of_key other = { .run = run, .s = s };
	enum cm_err err;

	if (k == NULL)
		return;
	if (memcmp(s->issuer_key, run->key, sizeof(run->key)) == 0)
		err = k->keep_source(k->arg, s, run->r->issuer);
	else if ((err = cm_trust_each_issuer(run->trust, keep_for, &other)) == CM_OK)
		err = other.err;
	if (err != CM_OK)
		keep_failed(run);
}

/* This host's clock, as far as it went on since it was asked. */
static time_t
time_of(const struct cm_refresh_run *run)
{
	return run->known->now + (time_t)((cm_clock_us() - run->began_us) / 1000000);
}

static bool
is_silent(const struct cm_refresh_run *run, const struct cm_refresh_lane *l, const char *url)
{
	for (char *const *s = run->silent; l->kind == CM_SOURCE_OCSP && s != NULL && *s != NULL; s++)
		if (strcmp(*s, url) == 0)
			return true;
	return false;
}

/* ---- questions */

enum cm_err
cm_refresh_begin_question(struct cm_refresh_run *run, X509 *cert, struct cm_question *q)
{
	*q = (struct cm_question){
		.trust = run->trust, .known = run->known, .now = cm_known_time(run->known),
		.cert = cert, .issuer = run->issuer, .chain = run->chain, .deadline = run->deadline, .note = "",
	};
	cm_buf_init(&q->why, 0);
	if (cm_evidence_name(cert, run->issuer, &q->answer) != CM_OK)
		return CM_ERR_SYNTAX;
	q->answer.learned = run->known->now;
	return CM_OK;
}

void
cm_refresh_end_question(struct cm_question *q)
{
	cm_buf_free(&q->why);
}

/* ---- lanes */

enum cm_err
cm_refresh_add_lane(struct cm_refresh_run *run, enum cm_source_kind kind, char ***urls, X509 *cert)
{
	struct cm_refresh_lane *more, *l;

	if (*urls == NULL)
		return CM_OK;
	if ((more = reallocarray(run->lanes, run->lane_count + 1, sizeof(*more))) == NULL)
		return CM_ERR_NOMEM;
	run->lanes = more;
	l = &more[run->lane_count++];
	*l = (struct cm_refresh_lane){ .kind = kind, .urls = *urls };
	*urls = NULL;
	if (X509_up_ref(cert) != 1)
		return CM_ERR_NOMEM;
	l->cert = cert;
	return CM_OK;
}

static void
end_asking(struct cm_refresh_lane *l)
{
	cm_crl_coming_free(&l->coming);
	cm_ocsp_request_free(&l->request);
	cm_fetch_clear(&l->fetch);
	cm_refresh_end_question(&l->q);
	cm_buf_free(&l->warning);
	cm_buf_free(&l->url);
	cm_buf_free(&l->answer);
	l->asked = false;
}

static void
clear_lane(struct cm_refresh_run *run, struct cm_refresh_lane *l)
{
	if (l->asked) {
		cm_fetcher_remove(run->fetcher, &l->fetch);
		end_asking(l);
	}
	cm_list_free(&l->urls);
	X509_free(l->cert);
}

void
cm_refresh_leave_out(struct cm_refresh_run *run, size_t lane)
{
	clear_lane(run, &run->lanes[lane]);
	run->lane_count--;
	memmove(&run->lanes[lane], &run->lanes[lane + 1], (run->lane_count - lane) * sizeof(*run->lanes));
}

void
cm_refresh_free_lanes(struct cm_refresh_run *run)
{
	for (size_t i = 0; i < run->lane_count; i++)
		clear_lane(run, &run->lanes[i]);
	free(run->lanes);
	run->lanes = NULL;
	run->lane_count = 0;
}

/* ---- what came */

/* "list number 17, 5000 entries", of the one that came last. */
static void
describe_list(const struct cm_crl_index *x, bool same, struct cm_buf *out)
{
	cm_buf_addf(out, "%s%s", x->about.delta ? "changes" : "list", x->about.number.there ? " number " : "");
	cm_crl_number_text(&x->about.number, out);
	cm_buf_addf(out, ", %llu %s%s", (unsigned long long)x->about.entries, x->about.entries == 1 ? "entry" : "entries",
	    same ? ": not modified" : "");
}

/* Whose list a configured address has is known now; no other lane tells when it is due. */
static void
note_whose(struct cm_refresh_run *run, const struct cm_refresh_lane *l, const struct cm_crl_index *x)
{
	struct cm_source *s = cm_refresh_source(run, l->kind, l->urls[l->at]);

	if (s == NULL || s->seen != 0)
		return;
	memcpy(s->issuer_key, x->issuer_key, sizeof(s->issuer_key));
	cm_refresh_note_list(run, x, l->urls[l->at]);
}

/* It came, it is right, and logins will not have it. */
static enum cm_err
object_to_left_out(struct cm_refresh_lane *l, const struct cm_crl_index *x)
{
	struct cm_buf what;

	if (x->left_out == CM_OBJECTION_NOT_KEPT) {
		/* Once is enough. */
		cm_object(&l->q, CM_OBJECTION_NOT_KEPT, "%s", l->warning.len > 0 ? cm_buf_str(&l->warning) : "no folder keeps it");
		cm_buf_truncate(&l->warning, 0);
		return CM_ERR_SYSTEM;
	}
	cm_buf_init(&what, 0);
	cm_crl_describe(&x->about, &what);
	cm_object(&l->q, x->left_out, "it is not taken (%s): %s", cm_buf_str(&what), cm_crl_left_out_text(x->left_out));
	cm_buf_free(&what);
	return CM_ERR_REFUSED;
}

static enum cm_err
take_list(struct cm_refresh_run *run, struct cm_refresh_lane *l, struct cm_buf *text)
{
	struct cm_crl_index *lists = NULL;
	enum cm_err err;

	l->q.lists = &lists;
	l->q.objection = CM_OBJECTION_NONE;
	err = cm_crl_arrived(&l->q, &l->coming, &l->fetch);
	if (err == CM_OK && lists != NULL && lists->left_out != CM_OBJECTION_NONE) {
		err = object_to_left_out(l, lists);
	} else if (err == CM_OK && lists != NULL) {
		describe_list(lists, l->fetch.not_modified, text);
		note_whose(run, l, lists);
		l->ended = lists->about.next_update != 0 && lists->about.next_update < run->known->now;
	}
	cm_crl_list_close(&lists);
	l->q.lists = NULL;
	return err;
}

static enum cm_err
take_answer(struct cm_refresh_run *run, struct cm_refresh_lane *l, struct cm_buf *text)
{
	struct cm_evidence *e = &l->q.answer;

	if (l->fetch.objection != CM_OBJECTION_NONE) {
		cm_object(&l->q, l->fetch.objection, "%s", cm_buf_str(&l->fetch.why));
		return CM_ERR_OFFLINE;
	}
	e->status = cm_ocsp_judge(&l->q, cm_buf_blob(&l->answer), l->request, l->fetch.body.len > 0);
	if (e->status == CM_STATUS_UNKNOWN)
		return CM_ERR_SYNTAX;
	cm_evidence_confirm(e, run->known->now, l->fetch.max_age);
	cm_refresh_keep(run, e);
	cm_buf_addf(text, "serial ");
	cm_buf_add_hex(text, (struct cm_blob){ e->serial, e->serial_len });
	cm_buf_add_str(text, ": ");
	cm_evidence_text(e, text);
	return CM_OK;
}

/* Such as a serverless ldap: address where there is no directory: the list has others. */
static bool
is_not_for_us(const struct cm_refresh_lane *l)
{
	return l->q.objection == CM_OBJECTION_NOT_ASKABLE && l->urls[l->at + 1] != NULL;
}

/* One that does not know the certificate is alive all the same. */
static void
conclude(struct cm_refresh_run *run, struct cm_refresh_lane *l, enum cm_err err, const struct cm_buf *text)
{
	struct cm_source *s = cm_refresh_source(run, l->kind, l->urls[l->at]);
	const bool alive = err == CM_OK || l->q.objection == CM_OBJECTION_UNKNOWN_CERTIFICATE;
	struct cm_buf why;

	l->well = l->well || err == CM_OK;
	run->failed = run->failed || (err != CM_OK && (s == NULL || !is_not_for_us(l)));
	/* Of several that waited for the same responder the first has told. */
	if (s == NULL || is_not_for_us(l) || is_silent(run, l, s->url))
		return;
	if (l->kind == CM_SOURCE_OCSP && l->fetch.objection != CM_OBJECTION_NONE &&
	    cm_list_add(&run->silent, cm_blob_str(s->url)) != CM_OK)
		cm_trace_add(run->trace, "warning", "out of memory");
	cm_buf_init(&why, 0);
	cm_buf_addf(&why, "%s [%s]", cm_buf_str(&l->q.why), cm_objection_name(l->q.objection));
	/* This computer's disk says nothing of the source. */
	if (l->q.objection != CM_OBJECTION_NOT_KEPT) {
		if (alive)
			cm_source_alive(s, time_of(run));
		else
			cm_source_failed(s, time_of(run), cm_buf_str(&l->q.why));
		keep_source(run, s);
	}
	if (err == CM_OK)
		cm_trace_add(run->trace, "learned", "%s: %s", s->url, cm_buf_str(text));
	else
		cm_trace_add(run->trace, "failed", "%s: %s", s->url, cm_buf_str(&why));
	if (l->warning.len > 0)
		cm_trace_add(run->trace, "warning", "%s", cm_buf_str(&l->warning));
	if (run->r->told != NULL)
		run->r->told(run->r->arg, s, err == CM_OK, cm_buf_str(err == CM_OK ? text : &why));
	cm_buf_free(&why);
}

static void
take(struct cm_refresh_run *run, struct cm_refresh_lane *l)
{
	struct cm_buf text;
	enum cm_err err;
	bool full;

	cm_buf_init(&text, 0);
	err = l->kind == CM_SOURCE_OCSP ? take_answer(run, l, &text) : take_list(run, l, &text);
	full = err != CM_OK && l->q.objection == CM_OBJECTION_NOT_KEPT;
	conclude(run, l, err, &text);
	end_asking(l);
	cm_buf_free(&text);
	/* Of a list that has ended another address may have the next. */
	l->at = (err == CM_OK && !l->ended) || full ? SIZE_MAX : l->at + 1;
}

/* ---- asking */

/* The address whose turn it is.  What cannot be begun is over at once. */
static void
begin(struct cm_refresh_run *run, struct cm_refresh_lane *l)
{
	const char *url = l->urls[l->at];
	enum cm_err err;

	l->fetch = (struct cm_fetch){ .fd = -1, .deadline = run->deadline, .asker = l };
	cm_buf_init(&l->warning, 0);
	cm_buf_init(&l->url, 0);
	cm_buf_init(&l->answer, 0);
	if (l->kind == CM_SOURCE_OCSP)
		l->fetch.out = &l->answer;
	err = cm_refresh_begin_question(run, l->cert, &l->q);
	l->q.warning = &l->warning;
	snprintf(l->q.answer.source, sizeof(l->q.answer.source), "%s %s",
	    cm_source_name(l->kind), url);
	if (err == CM_OK)
		err = l->kind == CM_SOURCE_OCSP ? cm_ocsp_prepare(&l->q, url, &l->request, &l->url, &l->fetch) :
		    cm_crl_prepare(&l->q, url, &l->fetch, &l->coming);
	l->seen = 0;
	l->moved_us = cm_clock_us();
	l->asked = true;
	if (err == CM_OK && (err = cm_fetcher_add(run->fetcher, &l->fetch)) == CM_OK)
		return;
	if (l->q.objection == CM_OBJECTION_NONE)
		cm_object(&l->q, CM_OBJECTION_NO_CONNECTION, "it could not be asked: %s", cm_err_name(err));
	conclude(run, l, err, NULL);
	end_asking(l);
	l->at++;
}

/* Nothing came for so long, or there is no time left: the next address may have it. */
static void
give_up_silent(struct cm_refresh_run *run)
{
	const int64_t now = cm_clock_us();

	for (size_t i = 0; i < run->lane_count; i++) {
		struct cm_refresh_lane *l = &run->lanes[i];

		if (!l->asked)
			continue;
		if (l->fetch.bytes != l->seen) {
			l->seen = l->fetch.bytes;
			l->moved_us = now;
		}
		if (now - l->moved_us < (int64_t)run->r->silence * 1000)
			continue;
		cm_fetcher_remove(run->fetcher, &l->fetch);
		l->fetch.objection = l->seen > 0 ? CM_OBJECTION_SLOW_ANSWER : CM_OBJECTION_NO_ANSWER;
		cm_buf_truncate(&l->fetch.why, 0);
		cm_buf_addf(&l->fetch.why, "%s within %u s", l->seen > 0 ? "nothing more came" : "no answer", (run->r->silence + 999) / 1000);
		take(run, l);
	}
}

/* What came of a list stays, for the next time; whose answer nobody waited for is no failure of his. */
static bool
let_go(struct cm_refresh_run *run)
{
	if (run->r->stop == NULL || !run->r->stop(run->r->arg))
		return false;
	for (size_t i = 0; i < run->lane_count; i++) {
		struct cm_refresh_lane *l = &run->lanes[i];

		if (l->asked && l->coming != NULL) {
			cm_fetcher_remove(run->fetcher, &l->fetch);
			l->fetch.objection = CM_OBJECTION_BROKEN_ANSWER;
			if (cm_crl_arrived(&l->q, &l->coming, &l->fetch) == CM_OK)
				l->well = true;
		}
	}
	return true;
}

static bool
has_more(const struct cm_refresh_run *run, const struct cm_refresh_lane *l)
{
	return !l->asked && l->at != SIZE_MAX && l->urls[l->at] != NULL && !cm_deadline_passed(run->deadline);
}

/* How many are being asked now. */
static size_t
begin_some(struct cm_refresh_run *run)
{
	size_t asked = 0;

	for (size_t i = 0; i < run->lane_count; i++)
		asked += run->lanes[i].asked;
	for (size_t i = 0; i < run->lane_count && asked < AT_ONCE; i++) {
		struct cm_refresh_lane *l = &run->lanes[i];

		while (has_more(run, l)) {
			if (is_silent(run, l, l->urls[l->at])) {
				l->at++;
				continue;
			}
			begin(run, l);
			asked += l->asked;
			if (l->asked)
				break;
		}
	}
	return asked;
}

static void
note_progress(void *arg, const struct cm_fetch *f)
{
	const struct cm_refresh_run *run = arg;

	run->r->progress(run->r->arg, f->url, f->bytes + (f->from_start ? 0 : f->have), f->total);
}

enum cm_err
cm_refresh_ask(struct cm_refresh_run *run)
{
	enum cm_err err = CM_OK;

	if (run->lane_count > 0 && run->fetcher == NULL)
		err = cm_source_fetcher(run->trust, run->r->progress != NULL ? note_progress : NULL, run, &run->fetcher);
	while (err == CM_OK && !let_go(run) && begin_some(run) > 0) {
		struct cm_fetch *f = cm_fetcher_next(run->fetcher, cm_deadline_in(LOOK_MS));

		if (f != NULL)
			take(run, f->asker);
		give_up_silent(run);
	}
	for (size_t i = 0; i < run->lane_count; i++)
		run->failed = run->failed || !run->lanes[i].well;
	cm_refresh_free_lanes(run);
	return err;
}
