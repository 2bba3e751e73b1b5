/* trust/crl_judge.c - what complete lists, deltas and lists of parts say together of one certificate: RFC 5280 6.3.3. */
#include <stdlib.h>

#include "trust/crl_internal.h"

/* What one list says. */
struct told {
	const struct cm_crl_index *x;
	struct cm_crl_fit fit;
	enum cm_err err;		/* of looking it up: CM_OK, CM_ERR_ABSENT; CM_ERR_SYNTAX: damaged there */
	struct cm_crl_entry entry;
	bool past;			/* of a key whose certificates are not current: only "revoked" counts */
	const struct told *delta;	/* of a complete list: the one that is applied to it, or NULL */
	bool good;			/* and it may say so now */
	enum cm_objection objection;	/* why it may not */
	struct cm_buf why;
};

struct judging {
	struct cm_question *q;
	struct told *told;		/* owned */
	size_t count;
	bool gone_damaged;		/* what former lists revoked cannot be read */
};

static bool
same_list(const struct cm_crl_index *a, const struct cm_crl_index *b)
{
	return memcmp(a->about.sha256, b->about.sha256, sizeof(a->about.sha256)) == 0 && a->about.size == b->about.size;
}

/* What came now stands first, and is the same list as the one that it was kept as. */
static bool
was_seen(const struct judging *j, const struct cm_crl_index *x)
{
	for (size_t i = 0; i < j->count; i++)
		if (same_list(j->told[i].x, x))
			return true;
	return false;
}

static bool
same_group(const struct told *a, const struct told *b)
{
	return memcmp(a->x->issuer_key, b->x->issuer_key, sizeof(a->x->issuer_key)) == 0 &&
	    cm_crl_same_scope(&a->x->about, &b->x->about);
}

static bool
is_ahead(const struct judging *j, const struct told *t)
{
	return t->x->about.this_update > j->q->now + CM_CLOCK_SKEW;
}

static bool
says(const struct told *t, uint8_t class)
{
	return t->fit.fits && t->err == CM_OK && cm_crl_class(t->entry.reason) == class;
}

/* removeFromCRL has no meaning in a list that is no delta (RFC 5280 5.3.1). */
static bool
says_nothing(const struct told *t)
{
	return t->fit.fits && (t->err == CM_ERR_ABSENT || (!t->x->about.delta && says(t, 2)));
}

/* ---- The dates and the name of an answer. */

static void
add_source(const struct cm_crl_index *x, struct cm_buf *out)
{
	cm_buf_add_blob(out, x->source);
	if (x->about.number.there) {
		cm_buf_add_str(out, " number ");
		cm_crl_number_text(&x->about.number, out);
	}
}

/* Cut where a character ends. */
static void
copy_text(const struct cm_buf *text, char *to, size_t size)
{
	size_t len = text->len < size ? text->len : size - 1;

	while (len > 0 && len < text->len && (text->ptr[len] & 0xc0) == 0x80)
		len--;
	memcpy(to, cm_buf_str(text), len);
	to[len] = '\0';
}

static void
name_answer(const struct told *t, size_t others, struct cm_evidence *e)
{
	struct cm_buf text;

	cm_buf_init(&text, 0);
	cm_buf_add_str(&text, t->x->gone ? "a former CRL " : "CRL ");
	add_source(t->x, &text);
	if (t->delta != NULL) {
		cm_buf_add_str(&text, " with changes ");
		add_source(t->delta->x, &text);
	}
	if (others > 0)
		cm_buf_addf(&text, " and %zu other%s", others, others > 1 ? "s" : "");
	copy_text(&text, e->source, sizeof(e->source));
	cm_buf_truncate(&text, 0);
	cm_name_der_text(t->x->about.issuer, &text);
	copy_text(&text, e->signer, sizeof(e->signer));
	cm_buf_free(&text);
}

/* RFC 5280 5.2.4: a list with its changes is of when they are of, and counts as long as they do. */
static void
date_answer(const struct told *t, struct cm_evidence *e)
{
	const struct cm_crl_index *x = t->delta != NULL ? t->delta->x : t->x;

	e->this_update = x->about.this_update;
	e->next_update = x->about.next_update;
	e->learned = x->learned;
	e->confirmed = x->confirmed;
	e->ask_after = 0;
	e->by_list = true;
}

/* ---- 6.3.3 (i) and (j): what stands in them. */

static bool
look_up(struct judging *j, const struct cm_crl_lists *lists, const struct cm_crl_index *x)
{
	const struct cm_blob serial = { j->q->answer.serial, j->q->answer.serial_len };
	struct told *more, *t;

	if ((more = realloc(j->told, (j->count + 1) * sizeof(*more))) == NULL)
		return false;
	j->told = more;
	t = &j->told[j->count++];
	*t = (struct told){ .x = x, .past = cm_crl_is_past(lists, x->issuer_key) };
	if (!cm_crl_lists_of(lists, x->issuer_key)) {
		t->fit = (struct cm_crl_fit){ .why = "it is the list of another CA", .objection = CM_OBJECTION_OTHER_ISSUER };
		return true;
	}
	cm_crl_fit(j->q->cert, &x->about, &t->fit);
	t->err = cm_crl_index_find(x, X509_get_issuer_name(j->q->cert), serial, &t->entry);
	return true;
}

/* Whatever its dates: a revocation ends by nothing. */
static const struct told *
revoked_by(const struct judging *j)
{
	const struct told *best = NULL;

	for (size_t i = 0; i < j->count; i++) {
		const struct told *t = &j->told[i];

		/* A list that is in force is named rather than a former one. */
		if (says(t, 0) && (best == NULL || (best->x->gone && !t->x->gone) ||
		    (best->x->gone == t->x->gone && t->entry.revoked_at < best->entry.revoked_at)))
			best = t;
	}
	return best;
}

/* RFC 5280 5.3.1: a hold ends by a later list of the same key and scope without it, or by removeFromCRL in a delta that fits. */
static bool
ends_hold(const struct judging *j, const struct told *held, const struct told *t)
{
	if (t->x->gone || !same_group(held, t) || is_ahead(j, t) || t->x->about.this_update <= held->x->about.this_update)
		return false;
	if (!t->x->about.delta)
		return says_nothing(t);
	return t->good && says(t, 2) && cm_crl_delta_fits(&t->x->about, &held->x->about);
}

static const struct told *
held_by(const struct judging *j)
{
	for (size_t i = 0; i < j->count; i++) {
		bool ended = false;

		if (!says(&j->told[i], 1))
			continue;
		for (size_t k = 0; !ended && k < j->count; k++)
			ended = ends_hold(j, &j->told[i], &j->told[k]);
		if (!ended)
			return &j->told[i];
	}
	return NULL;
}

/* ---- May it say "good"? */

/* Objections are made in the words of a question of its own. */
static void
object_as(struct told *t, struct cm_question *one)
{
	t->objection = one->objection;
	t->why = one->why;
}

static const struct told *
newer_than(const struct judging *j, const struct told *t)
{
	for (size_t i = 0; i < j->count; i++) {
		const struct told *o = &j->told[i];

		if (o != t && o->fit.fits && !o->x->gone && o->x->about.delta == t->x->about.delta && same_group(o, t) && !is_ahead(j, o) &&
		    cm_crl_is_older(&t->x->about, &o->x->about))
			return o;
	}
	return NULL;
}

static bool
is_newest(const struct judging *j, const struct told *t, struct cm_question *one)
{
	const struct told *newer = newer_than(j, t);
	struct cm_buf text;

	if (newer == NULL)
		return true;
	cm_buf_init(&text, 0);
	cm_buf_add_str(&text, "a rollback: it is older (");
	cm_crl_describe(&t->x->about, &text);
	cm_buf_add_str(&text, ") than the list that is in force here (");
	cm_crl_describe(&newer->x->about, &text);
	cm_buf_add_str(&text, ")");
	cm_object(one, CM_OBJECTION_ROLLBACK, "%s", cm_buf_str(&text));
	cm_buf_free(&text);
	return false;
}

/* Its dates, and those of this computer. */
static bool
counts_now(const struct judging *j, const struct told *t, struct cm_question *one)
{
	struct cm_evidence e = j->q->answer;

	date_answer(t, &e);
	return cm_evidence_current(one, &e, t->x->came ? CM_CLOCK_SKEW : 0) &&
	    (t->x->came || cm_evidence_clock_is_sound(one, &e));
}

static struct cm_question
question_like(const struct cm_question *q)
{
	struct cm_question one = *q;

	one.objection = CM_OBJECTION_NONE;
	cm_buf_init(&one.why, 0);
	return one;
}

/* What holds of complete lists and of changes to them. */
static bool
may_be_believed(const struct told *t, struct cm_question *one)
{
	if (t->err == CM_ERR_SYNTAX)
		cm_object(one, CM_OBJECTION_DAMAGED, "its index is damaged");
	else if (t->past)
		cm_object(one, CM_OBJECTION_NOT_A_LIST_SIGNER, "the certificate of who signed it, or one above it, is not current");
	return one->objection == CM_OBJECTION_NONE;
}

static void
judge_delta(const struct judging *j, struct told *t)
{
	struct cm_question one = question_like(j->q);

	t->good = may_be_believed(t, &one) && is_newest(j, t, &one) && counts_now(j, t, &one);
	object_as(t, &one);
}

/* Of those that fit, the newest. */
static const struct told *
delta_of(const struct judging *j, const struct told *base)
{
	const struct told *best = NULL;

	for (size_t i = 0; i < j->count; i++) {
		const struct told *d = &j->told[i];

		if (d->good && d->x->about.delta && same_group(d, base) && cm_crl_delta_fits(&d->x->about, &base->x->about) &&
		    (best == NULL || cm_crl_is_older(&best->x->about, &d->x->about)))
			best = d;
	}
	return best;
}

static void
judge_complete(const struct judging *j, struct told *t)
{
	struct cm_question one = question_like(j->q);

	if (may_be_believed(t, &one) && is_newest(j, t, &one)) {
		t->delta = delta_of(j, t);
		/* What changes end the list itself still says. */
		if (says(t, 1) && t->delta == NULL)
			cm_object(&one, CM_OBJECTION_NOT_THE_END_OF_HOLD, "the hold that it says was ended by what does not count any more");
		else
			t->good = counts_now(j, t, &one);
	}
	object_as(t, &one);
}

static void
judge_deltas(struct judging *j)
{
	for (size_t i = 0; i < j->count; i++)
		if (j->told[i].fit.fits && !j->told[i].x->gone && j->told[i].x->about.delta)
			judge_delta(j, &j->told[i]);
}

static void
judge_lists(struct judging *j)
{
	for (size_t i = 0; i < j->count; i++)
		if (j->told[i].fit.fits && !j->told[i].x->gone && !j->told[i].x->about.delta)
			judge_complete(j, &j->told[i]);
}

/* ---- Together. */

static bool
is_good_list(const struct told *t)
{
	return t->good && !t->x->about.delta;
}

/* Of lists that speak of all reasons alone, the one that says so last; or NULL. */
static const struct told *
best_of_all_reasons(const struct judging *j)
{
	const int64_t undated = cm_undated_max(j->q->trust);
	const struct told *best = NULL;
	struct cm_evidence e = { 0 }, least = { 0 };

	for (size_t i = 0; i < j->count; i++) {
		const struct told *t = &j->told[i];

		if (!is_good_list(t) || t->fit.reasons != CM_CRL_ALL_REASONS)
			continue;
		date_answer(t, &e);
		if (best == NULL || cm_evidence_end(&e, undated) > cm_evidence_end(&least, undated)) {
			best = t;
			least = e;
		}
	}
	return best;
}

/* Where changes are to be had and none are here that count, others may know more: they need not be waited for. */
static bool
lacks_changes(const struct judging *j, const struct told *t)
{
	return t->delta == NULL && (t->x->about.freshest.len > 0 ||
	    X509_get_ext_by_NID(j->q->cert, NID_freshest_crl, -1) >= 0);
}

/* Changes that are newer than the list, and cannot be applied to it or do not count, are said. */
static const char *
note_of(const struct judging *j, const struct told *t)
{
	for (size_t i = 0; t->delta == NULL && i < j->count; i++) {
		const struct told *d = &j->told[i];

		if (d->fit.fits && !d->x->gone && d->x->about.delta && same_group(d, t) && cm_crl_is_older(&t->x->about, &d->x->about))
			return d->good ? ", without its changes (delta CRL), which are of a later list [no_base]" :
			    d->objection == CM_OBJECTION_STALE ? ", without its changes (delta CRL), which have expired [stale]" :
			    ", without its changes (delta CRL), which do not count";
	}
	return "";
}

/* Changes end a hold by removeFromCRL, not by saying nothing: of what is newer than the list itself that tells nothing. */
static bool
may_end_hold(const struct judging *j, const struct told *t)
{
	const struct cm_evidence *held = cm_known_revoked(j->q->known, &j->q->answer);

	return held == NULL || t->delta == NULL || says(t->delta, 2) || t->x->about.this_update > held->this_update;
}

static void
take(struct judging *j, const struct told *t, struct cm_evidence *e)
{
	j->q->note = note_of(j, t);
	date_answer(t, e);
	e->by_list = may_end_hold(j, t);
	if (lacks_changes(j, t))
		e->ask_after = e->learned;
}

/* The oldest and shortest of what is put together is what it is worth. */
static void
take_worst(struct judging *j, const struct told *t, struct cm_evidence *e)
{
	const int64_t undated = cm_undated_max(j->q->trust);
	struct cm_evidence one = *e;

	take(j, t, &one);
	one.next_update = cm_evidence_end(&one, undated);
	if (one.this_update < e->this_update)
		e->this_update = one.this_update;
	e->next_update = cm_evidence_end(e, undated);
	if (one.next_update < e->next_update)
		e->next_update = one.next_update;
	if (one.learned < e->learned)
		e->learned = one.learned;
	if (one.confirmed < e->confirmed)
		e->confirmed = one.confirmed;
	e->by_list = e->by_list && one.by_list;
	if (one.ask_after != 0)
		e->ask_after = one.ask_after;
}

/* 6.3.3 (l): the reasons of all of them. */
static bool
good_together(struct judging *j)
{
	struct cm_evidence *e = &j->q->answer;
	const struct told *first = NULL;
	uint16_t reasons = 0;
	size_t others = 0;

	for (size_t i = 0; i < j->count; i++) {
		const struct told *t = &j->told[i];

		if (!is_good_list(t) || (t->fit.reasons & ~reasons) == 0)
			continue;
		reasons |= t->fit.reasons;
		j->q->kept = j->q->kept && !t->x->came;
		if (first == NULL) {
			first = t;
			take(j, t, e);
		} else {
			take_worst(j, t, e);
			others++;
		}
	}
	if (first != NULL)
		name_answer(first, others, e);
	return reasons == CM_CRL_ALL_REASONS;
}

static enum cm_status
refuse(struct judging *j, const struct told *t)
{
	struct cm_evidence *e = &j->q->answer;

	name_answer(t, 0, e);
	date_answer(t, e);
	e->revoked_at = t->entry.revoked_at;
	e->on_hold = cm_crl_class(t->entry.reason) == 1;
	j->q->kept = !t->x->came;
	return CM_STATUS_REVOKED;
}

/* What one list lacks. */
static void
object_to(struct cm_question *q, const struct told *t, bool several)
{
	enum cm_objection o = t->fit.fits ? t->objection : t->fit.objection;
	const char *words = t->fit.fits ? cm_buf_str(&t->why) : t->fit.why;

	if (t->fit.fits && t->good && t->x->about.delta) {
		o = CM_OBJECTION_NO_BASE;
		words = "it holds changes only (a delta CRL), and the list that they change is not here";
	} else if (t->fit.fits && t->good) {
		o = CM_OBJECTION_SOME_REASONS;
		words = "it is about some reasons only, and no list of the others is here";
	}
	if (several)
		cm_object(q, o, "%s%.*s: %s", q->why.len > 0 ? "; " : "", (int)t->x->source.len,
		    (const char *)t->x->source.ptr, words);
	else
		cm_object(q, o, "%s", words);
}

/* Of those that were asked for, else of those about this certificate, else of all. */
static bool
is_of_interest(const struct judging *j, const struct told *t)
{
	bool asked = false, fits = false;

	for (size_t i = 0; i < j->count; i++) {
		if (j->told[i].x->gone)
			continue;
		asked = asked || j->told[i].x->asked;
		fits = fits || j->told[i].fit.fits;
	}
	if (t->x->gone)
		return false;
	if (asked)
		return t->x->asked;
	return t->fit.fits || !fits;
}

static enum cm_status
object(struct judging *j)
{
	size_t several = 0;

	for (size_t i = 0; i < j->count; i++)
		several += is_of_interest(j, &j->told[i]);
	for (size_t i = 0; i < j->count; i++)
		if (is_of_interest(j, &j->told[i]))
			object_to(j->q, &j->told[i], several > 1);
	if (several == 0)
		cm_object(j->q, CM_OBJECTION_NONE_KEPT, "no list is kept");
	return CM_STATUS_UNKNOWN;
}

/* Who stood on a former list may have been any: until an administrator looks, no list says "good". */
static bool
knows_what_is_gone(const struct judging *j)
{
	const uint8_t *damaged = j->gone_damaged ? j->q->answer.issuer_key : NULL;
	char key[CM_CRL_NAME];

	for (size_t i = 0; damaged == NULL && i < j->count; i++)
		if (j->told[i].x->gone && j->told[i].fit.fits && j->told[i].err == CM_ERR_SYNTAX)
			damaged = j->told[i].x->issuer_key;
	if (damaged == NULL)
		return true;
	cm_crl_hex_name(damaged, "", key, sizeof(key));
	cm_object(j->q, CM_OBJECTION_DAMAGED, "what former lists revoked is damaged: a file .gone in %s/%s; move it away to "
	    "forget what it said", j->q->trust->o.crl_dir, key);
	return false;
}

static enum cm_status
decide(struct judging *j)
{
	const struct cm_evidence before = j->q->answer;
	const struct told *t;

	judge_deltas(j);
	if ((t = revoked_by(j)) != NULL || (t = held_by(j)) != NULL)
		return refuse(j, t);
	if (!knows_what_is_gone(j))
		return CM_STATUS_UNKNOWN;
	judge_lists(j);
	if ((t = best_of_all_reasons(j)) != NULL) {
		name_answer(t, 0, &j->q->answer);
		take(j, t, &j->q->answer);
		j->q->kept = !(t->delta != NULL ? t->delta : t)->x->came;
		return CM_STATUS_GOOD;
	}
	j->q->kept = true;
	if (good_together(j))
		return CM_STATUS_GOOD;
	j->q->answer = before;
	return object(j);
}

enum cm_status
cm_crl_judge(struct cm_question *q, const struct cm_crl_lists *lists)
{
	struct judging j = { .q = q, .gone_damaged = lists->gone_damaged };
	enum cm_status status = CM_STATUS_UNKNOWN;
	const struct cm_crl_index *x;
	bool ok = true;

	if (q->answer.serial_len == 0 || (q->answer.serial[0] & 0x80) != 0) {
		cm_object(q, CM_OBJECTION_UNLISTABLE, "no list can name this certificate: its serial number is negative");
		return CM_STATUS_UNKNOWN;
	}
	for (x = lists->round; ok && x != NULL; x = x->next)
		if (cm_crl_lists_of(lists, x->issuer_key) || x->asked)
			ok = was_seen(&j, x) || look_up(&j, lists, x);
	for (x = lists->kept; ok && x != NULL; x = x->next)
		ok = was_seen(&j, x) || look_up(&j, lists, x);
	if (ok)
		status = decide(&j);
	else
		cm_buf_add_str(&q->why, "out of memory");
	for (size_t i = 0; i < j.count; i++)
		cm_buf_free(&j.told[i].why);
	free(j.told);
	return status;
}
