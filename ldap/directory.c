/* ldap/directory.c - ask the servers in order for the one account. */
#include "ldap/directory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ldap/directory_internal.h"
#include "ldap/silence_internal.h"

/* A new kind of directory is one row here. */
static const struct cm_backend *const backends[] = {
	&cm_backend_ldap,
	&cm_backend_ldaps,
	&cm_backend_ldif,
	&cm_backend_local,
};

struct cm_directory {
	struct cm_directory_options options;
	struct cm_directory_stats stats;
	struct cm_source *sources;	/* in the order they are asked in */
	size_t count;
	struct cm_source local;		/* the accounts of this computer */
	struct cm_silence *silence;	/* borrowed; NULL: this handle is alone */
};

static const struct cm_backend *
find_backend(const char *uri)
{
	for (size_t i = 0; i < CM_COUNT(backends); i++)
		if (strncasecmp(uri, backends[i]->scheme, strlen(backends[i]->scheme)) == 0)
			return backends[i];
	return NULL;
}

/* Everything but local accounts is one more to ask; those are asked for themselves. */
static enum cm_err
open_source(struct cm_directory *d, const char *uri, struct cm_trace *t)
{
	const struct cm_backend *backend = find_backend(uri);
	struct cm_source *s = backend == &cm_backend_local ? &d->local : &d->sources[d->count];

	if (backend == NULL)
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "directory.uri %s: write ldap://SERVER, ldaps://SERVER, ldif:FILE or local:", uri);
	if (s->backend != NULL)
		return cm_trace_fail(t, CM_REASON_CONFIG, "directory.uri: local: stands there twice");
	if (backend->needs_base && (d->options.base == NULL || d->options.base[0] == '\0'))
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "directory.base is not set: %s is not searched without it", uri);
	*s = (struct cm_source){ .backend = backend, .uri = uri };
	if (s != &d->local)
		d->count++;	/* from here on closed by cm_directory_close() */
	return backend->open(&d->options, uri, &d->stats, t, &s->state);
}

enum cm_err
cm_directory_open(const struct cm_directory_options *o, struct cm_trace *t,
    struct cm_directory **out)
{
	struct cm_directory *d = NULL;
	enum cm_err err = CM_ERR_NOMEM;
	const char *wrong = cm_idmap_check(&o->idmap);
	size_t n = 0;

	if (wrong != NULL)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s", wrong);
	while (o->uris != NULL && o->uris[n] != NULL)
		n++;
	if (n == 0)
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "no directory: set directory.uri, or say --directory ldif:PATH");
	if ((d = calloc(1, sizeof(*d))) == NULL ||
	    (d->sources = calloc(n, sizeof(*d->sources))) == NULL)
		goto out;
	d->options = *o;
	for (size_t i = 0; i < n; i++)
		if ((err = open_source(d, o->uris[i], t)) != CM_OK)
			goto out;
	if (d->local.backend == NULL && (err = open_source(d, cm_backend_local.scheme, t)) != CM_OK)
		goto out;
	*out = d;
	d = NULL;
out:
	cm_directory_close(&d);
	return err;
}

void
cm_directory_close(struct cm_directory **d)
{
	if (*d == NULL)
		return;
	for (size_t i = 0; i < (*d)->count; i++)
		(*d)->sources[i].backend->close(&(*d)->sources[i].state);
	if ((*d)->local.backend != NULL)
		(*d)->local.backend->close(&(*d)->local.state);
	free((*d)->sources);
	free(*d);
	*d = NULL;
}

struct cm_directory_stats
cm_directory_stats(const struct cm_directory *d)
{
	return d->stats;
}

/* What is asked, and of whom; found and looked at alike. */
struct question {
	struct cm_asked *directory, *local;
	struct cm_trace *trace;
	cm_deadline deadline;
	/* asks one source; *elsewhere: it failed, and another may answer */
	enum cm_err (*ask)(struct cm_directory *d, struct question *q,
	    const struct cm_source *source, cm_deadline deadline, bool *elsewhere);
	const char *user;
	const struct cm_facts_question *wanted;	/* NULL: no facts are */
	struct cm_facts facts;		/* out, with the account: */
	struct cm_account *account;	/* out, of cm_directory_find() */
	struct look *look;		/* of cm_directory_look() */
	const struct cm_facts_walk *walk;
};

static bool
is_any(const struct cm_query_term *term)
{
	(void)term;
	return true;
}

static bool
is_local(const struct cm_query_term *term)
{
	return term->local;
}

static bool
is_remote(const struct cm_query_term *term)
{
	return !term->local;
}

/* Without a directory, all terms are about this computer's accounts. */
static enum cm_err
split(const struct cm_directory *d, const struct cm_query *query, struct question *q)
{
	enum cm_err err;

	if (d->count == 0)
		return cm_asked_new(query, is_any, q->trace, &q->local);
	if ((err = cm_asked_new(query, is_remote, q->trace, &q->directory)) != CM_OK)
		return err;
	return cm_asked_new(query, is_local, q->trace, &q->local);
}

static bool
has_terms(const struct cm_asked *a)
{
	return a != NULL && a->query.count > 0;
}

static enum cm_err
find_accounts(struct cm_directory *d, struct cm_finding *f, cm_deadline deadline, bool *elsewhere)
{
	const struct cm_place *place = f->place;
	struct cm_search s = {
		.base = cm_source_base(place->source, &d->options), .query = &place->asked->query,
		.filters = place->asked->filters, .limit = CM_CANDIDATES_MAX,
		.visit = cm_finding_see, .arg = f,
	};
	enum cm_err err;

	cm_trace_add(f->trace, "directory", "%s", place->source->uri);
	cm_account_attributes(&s);
	cm_standing_attributes(&s, f->sid);
	if (f->facts != NULL)
		cm_facts_attributes(f->facts, &s);
	cm_asked_attributes(place->asked, &s);
	err = cm_source_search(place->source, &s, "account search", deadline, f->trace);
	if (err == CM_OK)
		cm_asked_note_hits(place->asked, f->trace);
	*elsewhere = s.elsewhere;
	f->more = f->more || s.more;
	return err;
}

/* A question that breaks off says nothing: the fact stays unknown, and the account, with its reason, is what it is. */
static void
take_facts(struct cm_finding *f, const struct cm_candidate *decided, struct cm_membership *m, struct question *q)
{
	bool none;
	const struct cm_candidate *c = cm_finding_subject(f, decided, &none);
	const struct cm_fact nothing = cm_fact_make(CM_FACT_NONE, 0, NULL);

	if (none)
		q->facts = (struct cm_facts){ .attribute = nothing, .control = nothing, .group = nothing, .mapped = nothing };
	if (c == NULL)
		return;
	q->facts = c->facts;
	if (q->wanted->group == NULL)
		return;
	q->facts.group = (struct cm_fact){ .kind = CM_FACT_UNKNOWN };
	m->candidate = c;
	m->trace = NULL;
	if (cm_membership_judge(m, q->wanted->group, &q->facts.group) != CM_OK)
		cm_trace_add(q->trace, "warning", "whether %s is in %s could not be asked", c->name, q->wanted->group);
}

static enum cm_err
find_groups(struct cm_candidate *c, struct cm_membership *m, struct question *q, bool *elsewhere)
{
	enum cm_err err;

	m->candidate = c;
	m->trace = q->trace;
	err = cm_membership_find(m);
	*elsewhere = m->elsewhere;
	if (err == CM_OK) {
		q->account = c->account;
		c->account = NULL;
	}
	return err;
}

/*
 * This computer's part could not be asked.  Where the directory was and has
 * answered, that is not its silence: what was kept of it says nothing now.
 */
static enum cm_err
half_asked(const struct cm_source *source, struct cm_trace *t)
{
	char *why = strdup(cm_trace_message(t));
	enum cm_err err = CM_ERR_NOMEM;

	if (why != NULL)
		err = cm_trace_fail(t, CM_REASON_HOME_UNREAD, "%s; and %s, which answered, does not say whose "
		    "cards are named there", why, source->uri);
	free(why);
	return err;
}

/* Who is found by this source and, where that is asked, on this computer. */
static enum cm_err
ask_account(struct cm_directory *d, struct question *q, const struct cm_source *source,
    cm_deadline deadline, bool *elsewhere)
{
	struct cm_finding f = {
		.options = &d->options, .user = q->user, .trace = q->trace, .sid = q->local->query.sid, .facts = q->wanted,
	};
	struct cm_membership m = { .options = &d->options, .deadline = deadline };
	struct cm_candidate *c = NULL;
	bool asked;
	enum cm_err err = CM_OK;

	q->facts = (struct cm_facts){ .attribute.kind = CM_FACT_UNKNOWN };

	if (source != NULL)
		f.places[f.place_count++] = (struct cm_place){ source, q->directory };
	if (has_terms(q->local))
		f.places[f.place_count++] = (struct cm_place){ &d->local, q->local };
	for (f.place = f.places; err == CM_OK && f.place < f.places + f.place_count; f.place++)
		err = find_accounts(d, &f, deadline, elsewhere);
	if (err == CM_ERR_OFFLINE && f.place > f.places + 1)
		err = half_asked(source, q->trace);
	asked = err == CM_OK;
	if (asked)
		err = cm_finding_decide(&f, &c);
	if (asked && q->wanted != NULL)
		take_facts(&f, c, &m, q);
	if (err == CM_OK)
		err = find_groups(c, &m, q, elsewhere);
	cm_membership_clear(&m);
	cm_finding_clear(&f);
	return err;
}

/* What is left is shared by those not yet asked, so that a silent one leaves time for the next. */
static cm_deadline
share(const struct cm_directory *d, size_t i, cm_deadline deadline)
{
	return cm_deadline_in((unsigned)cm_deadline_left(deadline) / (unsigned)(d->count - i));
}

#define SLOW_US		1000000		/* a failure that took longer is one nobody should wait for again */

/* Who takes time and does not answer is marked; who answers is not silent. */
static void
note_answer(struct cm_directory *d, const struct cm_source *s, cm_deadline deadline, int64_t began_us,
    const struct question *q, bool elsewhere)
{
	if (!s->backend->needs_base || d->silence == NULL)
		return;
	if (!elsewhere)
		cm_silence_clear(d->silence, s->uri);
	else if (cm_trace_reason(q->trace) != CM_REASON_DIRECTORY_TLS &&
	    (cm_deadline_passed(deadline) || cm_clock_us() - began_us >= SLOW_US))
		cm_silence_mark(d->silence, s->uri, cm_trace_message(q->trace));
}

/* One source, unless it is known to be silent: then *elsewhere, at once. */
static enum cm_err
ask_source(struct cm_directory *d, struct question *q, const struct cm_source *s, cm_deadline deadline,
    bool *elsewhere)
{
	const int64_t began_us = cm_clock_us();
	char why[CM_SILENCE_WHY];
	enum cm_err err;

	if (s->backend->needs_base && cm_silence_knows(d->silence, s->uri, why)) {
		*elsewhere = true;
		return cm_trace_fail(q->trace, CM_REASON_DIRECTORY_OFFLINE, "%s", why);
	}
	*elsewhere = false;
	err = q->ask(d, q, s, deadline, elsewhere);
	note_answer(d, s, deadline, began_us, q, *elsewhere);
	return err;
}

/*
 * The first source that answers decides, be it yes or no.  One that cannot be
 * asked is passed over, and said; the last word then is a certificate that was
 * not accepted, if there was one: that is for a person to look at.  Whoever
 * showed it is not the directory, so the directory could not be asked.
 */
static enum cm_err
ask_in_order(struct cm_directory *d, struct question *q)
{
	enum cm_err err = CM_ERR_OFFLINE;
	bool elsewhere = true, distrusted = false;
	struct cm_buf all;

	cm_buf_init(&all, 0);
	for (size_t i = 0; elsewhere && i < d->count; i++) {
		err = ask_source(d, q, &d->sources[i], share(d, i, q->deadline), &elsewhere);
		if (!elsewhere)
			break;
		cm_trace_add(q->trace, "passed over", "%s", cm_trace_message(q->trace));
		cm_buf_addf(&all, "%s%s", i > 0 ? "; " : "", cm_trace_message(q->trace));
		distrusted = distrusted || cm_trace_reason(q->trace) == CM_REASON_DIRECTORY_TLS;
	}
	if (err != CM_OK && elsewhere)
		err = cm_trace_fail(q->trace, distrusted ? CM_REASON_DIRECTORY_TLS :
		    CM_REASON_DIRECTORY_OFFLINE, "%s", cm_buf_str(&all));
	cm_buf_free(&all);
	return err;
}

static enum cm_err
ask(struct cm_directory *d, const struct cm_query *query, struct question *q)
{
	bool elsewhere;
	enum cm_err err = split(d, query, q);

	if (err == CM_OK)
		err = has_terms(q->directory) ? ask_in_order(d, q) :
		    q->ask(d, q, NULL, q->deadline, &elsewhere);
	if (err == CM_OK)
		cm_trace_clear_reason(q->trace);
	cm_asked_free(&q->directory);
	cm_asked_free(&q->local);
	return err;
}

enum cm_err
cm_directory_find(struct cm_directory *d, const struct cm_query *query, const char *user,
    cm_deadline deadline, struct cm_trace *t, struct cm_account **out)
{
	struct question q = { .trace = t, .deadline = deadline, .ask = ask_account, .user = user };
	const enum cm_err err = ask(d, query, &q);

	if (err == CM_OK)
		*out = q.account;
	return err;
}

enum cm_err
cm_directory_find_facts(struct cm_directory *d, struct cm_facts_search *s, struct cm_trace *t, struct cm_account **out)
{
	struct question q = { .trace = t, .deadline = s->deadline, .ask = ask_account, .user = s->user, .wanted = s->question };
	const enum cm_err err = ask(d, s->query, &q);

	if (err == CM_OK)
		*out = q.account;
	s->said = q.facts;
	return err;
}

/* ---- all of them */

#define PAGE	500

/* Another server has the pages of its own only: what began at one ends there. */
static enum cm_err
ask_walk(struct cm_directory *d, struct question *q, const struct cm_source *source, cm_deadline deadline, bool *elsewhere)
{
	const struct cm_facts_walk *w = q->walk;
	struct cm_page page = { .size = PAGE };
	enum cm_err err = CM_OK;

	for (bool first = true; err == CM_OK && (first || page.more); first = false) {
		struct cm_search s = {
			.base = cm_source_base(source, &d->options), .query = &q->directory->query, .filters = q->directory->filters,
			.limit = SIZE_MAX - 1, .page = &page, .visit = cm_facts_walk_entry, .arg = (void *)(uintptr_t)w,
		};

		page.more = false;
		cm_search_want(&s, "objectClass");
		cm_search_want(&s, "uid");
		cm_search_want(&s, "sAMAccountName");
		cm_facts_attributes(w->question, &s);
		err = source->backend->search(source->state, &s, first ? deadline : cm_deadline_in(w->timeout), q->trace);
		*elsewhere = first && s.elsewhere;
		if (err == CM_OK)
			err = w->page_done(w->arg);
	}
	cm_buf_free(&page.cookie);
	return err;
}

enum cm_err
cm_directory_walk_facts(struct cm_directory *d, const struct cm_facts_walk *w, struct cm_trace *t)
{
	struct question q = { .trace = t, .deadline = cm_deadline_in(w->timeout), .ask = ask_walk, .walk = w };
	struct cm_query_term term = { .rule = (char *)(uintptr_t)"accounts",
		.value = cm_blob_str("(|(objectClass=posixAccount)(objectClass=user))") };
	const struct cm_query whole = { .terms = &term, .count = 1 };

	return d->count > 0 ? ask(d, &whole, &q) : CM_OK;
}

struct look {
	struct cm_look *look;
	cm_entry_visit visit;
	void *arg;
	size_t shown;
};

static enum cm_err
look_at(void *arg, const struct cm_entry *e)
{
	struct look *k = arg;

	if (k->shown == k->look->limit) {
		k->look->more = true;
		return CM_OK;
	}
	k->shown++;
	return k->visit(k->arg, e);
}

static enum cm_err
look_in(struct cm_directory *d, const struct question *q, const struct cm_source *source,
    const struct cm_asked *a, cm_deadline deadline, bool *elsewhere)
{
	const struct cm_look *l = q->look->look;
	struct cm_search s = {
		.base = l->base != NULL ? l->base : cm_source_base(source, &d->options), .base_only = l->base_only,
		.query = &a->query, .filters = a->filters, .limit = l->limit, .visit = look_at, .arg = q->look,
	};
	enum cm_err err;

	cm_trace_add(q->trace, "directory", "%s", source->uri);
	for (size_t i = 0; l->attributes != NULL && l->attributes[i] != NULL; i++)
		cm_search_want(&s, l->attributes[i]);
	err = cm_source_search(source, &s, "look", deadline, q->trace);
	*elsewhere = s.elsewhere;
	q->look->look->more = q->look->look->more || s.more;
	return err;
}

static enum cm_err
ask_look(struct cm_directory *d, struct question *q, const struct cm_source *source,
    cm_deadline deadline, bool *elsewhere)
{
	enum cm_err err = CM_OK;

	q->look->shown = 0;
	q->look->look->more = false;
	if (source != NULL)
		err = look_in(d, q, source, q->directory, deadline, elsewhere);
	if (err == CM_OK && has_terms(q->local))
		err = look_in(d, q, &d->local, q->local, deadline, elsewhere);
	return err;
}

enum cm_err
cm_directory_look(struct cm_directory *d, struct cm_look *l, cm_deadline deadline,
    struct cm_trace *t, cm_entry_visit visit, void *arg)
{
	struct look k = { .look = l, .visit = visit, .arg = arg };
	struct question q = { .trace = t, .deadline = deadline, .ask = ask_look, .look = &k };
	struct cm_query_term term = { .rule = (char *)(uintptr_t)"filter", .value = cm_blob_str(l->filter) };
	const struct cm_query whole = { .terms = &term, .count = 1 };

	return ask(d, l->filter != NULL ? &whole : l->query, &q);
}

void
cm_directory_share(struct cm_directory *d, struct cm_silence *s)
{
	d->silence = s;
}

static enum cm_err
see_nothing(void *arg, const struct cm_entry *e)
{
	(void)arg;
	(void)e;
	return CM_OK;
}

/* The root DSE (RFC 4512 section 5.1); whatever is said about it is an answer. */
static void
probe(struct cm_directory *d, const struct cm_source *source, unsigned ms, struct cm_trace *t)
{
	static const char *const nothing[] = { "1.1", NULL };	/* RFC 4511 section 4.5.1.8 */
	struct cm_look l = { .base = "", .base_only = true, .attributes = nothing, .limit = 1 };
	struct cm_query_term term = { .rule = (char *)(uintptr_t)"probe", .value = cm_blob_str("(objectClass=*)") };
	const struct cm_query whole = { .terms = &term, .count = 1 };
	struct look k = { .look = &l, .visit = see_nothing };
	struct question q = { .trace = t, .look = &k };
	bool elsewhere = false;

	if (cm_asked_new(&whole, is_any, t, &q.directory) == CM_OK &&
	    look_in(d, &q, source, q.directory, cm_deadline_in(ms), &elsewhere) == CM_ERR_OFFLINE && elsewhere)
		cm_silence_mark(d->silence, source->uri, cm_trace_message(t));
	else
		cm_silence_clear(d->silence, source->uri);
	cm_asked_free(&q.directory);
}

void
cm_directory_probe(struct cm_directory *d, unsigned ms)
{
	struct cm_trace *t = NULL;

	if (cm_trace_new(&t) != CM_OK)
		return;
	for (size_t i = 0; i < d->count; i++)
		if (d->sources[i].backend->needs_base && cm_silence_is_due(d->silence, d->sources[i].uri))
			probe(d, &d->sources[i], ms, t);
	cm_trace_free(&t);
}
