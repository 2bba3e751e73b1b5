/* ldap/directory.c - ask the servers in order for the one account. */
#include "ldap/directory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ldap/directory_internal.h"

/* Most accounts that are named when there are several. */
#define ACCOUNTS_MAX	16

/* A new kind of directory is one row here. */
static const struct cm_backend *const backends[] = {
	&cm_backend_ldap,
	&cm_backend_ldaps,
	&cm_backend_ldif,
};

struct source {
	const struct cm_backend *backend;
	const char *uri;
	void *state;
};

struct cm_directory {
	struct cm_directory_options options;
	struct cm_directory_stats stats;
	struct source *sources;
	size_t count;
};

static const struct cm_backend *
find_backend(const char *uri)
{
	for (size_t i = 0; i < CM_COUNT(backends); i++)
		if (strncasecmp(uri, backends[i]->scheme, strlen(backends[i]->scheme)) == 0)
			return backends[i];
	return NULL;
}

static enum cm_err
open_source(struct cm_directory *d, const char *uri, struct cm_trace *t)
{
	struct source *s = &d->sources[d->count];

	*s = (struct source){ .backend = find_backend(uri), .uri = uri };
	if (s->backend == NULL)
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "directory.uri %s: write ldap://SERVER, ldaps://SERVER or ldif:FILE", uri);
	if (s->backend->needs_base && (d->options.base == NULL || d->options.base[0] == '\0'))
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "directory.base is not set: %s is not searched without it", uri);
	d->count++;	/* from here on closed by cm_directory_close() */
	return s->backend->open(&d->options, uri, &d->stats, t, &s->state);
}

enum cm_err
cm_directory_open(const struct cm_directory_options *o, struct cm_trace *t,
    struct cm_directory **out)
{
	struct cm_directory *d = NULL;
	enum cm_err err = CM_ERR_NOMEM;
	size_t n = 0;

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
	free((*d)->sources);
	free(*d);
	*d = NULL;
}

struct cm_directory_stats
cm_directory_stats(const struct cm_directory *d)
{
	return d->stats;
}

/* What one source answered so far. */
struct finding {
	const struct cm_directory *directory;
	const struct source *source;
	const struct cm_query *query;
	struct cm_trace *trace;
	char *dns[ACCOUNTS_MAX];	/* of the entries that answer the query */
	size_t count;
	char *hidden;			/* an entry found by an attribute that is not shown */
	struct cm_account *account;	/* the first entry's, unless it describes none: */
	enum cm_err err;
	struct cm_groups *groups;
};

static void
clear(struct finding *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->dns[i]);
	free(f->hidden);
	cm_account_free(&f->account);
	cm_groups_free(&f->groups);
}

static enum cm_err
replace(char **text, struct cm_blob v)
{
	struct cm_buf b;

	cm_buf_init(&b, 0);
	cm_buf_add_printable(&b, v);
	free(*text);
	*text = cm_buf_take(&b);
	cm_buf_free(&b);
	return *text != NULL ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
describe(struct finding *f, const struct cm_entry *e, const struct cm_query_term *term)
{
	const struct cm_directory_options *o = &f->directory->options;
	struct cm_account *a;
	enum cm_err err;

	if ((err = cm_account_from_entry(o->realm, e, f->trace, &f->account)) != CM_OK)
		return err;
	a = f->account;
	if ((err = replace(&a->rule, cm_blob_str(term->rule))) != CM_OK ||
	    (err = replace(&a->matched, term->value)) != CM_OK ||
	    (err = replace(&a->source, cm_blob_str(f->source->uri))) != CM_OK)
		return err;
	return cm_groups_new(a, e, o->first_gid, f->trace, &f->groups);
}

static bool
shows_any(const struct cm_query *q, const struct cm_entry *e)
{
	for (size_t i = 0; i < q->count; i++)
		for (size_t k = 0; k < e->count; k++)
			if (cm_attribute_is_type(e->values[k].attribute, q->terms[i].attribute))
				return true;
	return false;
}

/* It does not answer the query, as far as can be seen. */
static enum cm_err
ignore(struct finding *f, const struct cm_entry *e)
{
	cm_trace_add(f->trace, "entry ignored", "%.*s: none of its values is one that was asked for",
	    (int)e->dn.len, (const char *)e->dn.ptr);
	if (f->hidden != NULL || shows_any(f->query, e))
		return CM_OK;
	f->hidden = strndup((const char *)e->dn.ptr, e->dn.len);
	return f->hidden != NULL ? CM_OK : CM_ERR_NOMEM;
}

/* An entry the source thinks is meant: only what answers the query here as well counts, and once. */
static enum cm_err
see(void *arg, const struct cm_entry *e)
{
	struct finding *f = arg;
	const struct cm_query_term *term = cm_query_match(f->query, e);

	if (term == NULL)
		return ignore(f, e);
	for (size_t i = 0; i < f->count; i++)
		if (cm_value_compare(cm_blob_str(f->dns[i]), e->dn) == 0)
			return CM_OK;
	if (f->count == ACCOUNTS_MAX)
		return CM_OK;
	if ((f->dns[f->count] = strndup((const char *)e->dn.ptr, e->dn.len)) == NULL)
		return CM_ERR_NOMEM;
	cm_trace_add(f->trace, "entry", "%s: %s", f->dns[f->count], term->attribute);
	if (f->count++ == 0)
		f->err = describe(f, e, term);
	return f->err == CM_ERR_NOMEM ? f->err : CM_OK;
}

static enum cm_err
no_account(const struct finding *f)
{
	struct cm_buf b;
	enum cm_err err;

	cm_buf_init(&b, 0);
	for (size_t i = 0; i < f->query->count; i++) {
		cm_buf_addf(&b, "%s%s=", i > 0 ? " or " : "", f->query->terms[i].attribute);
		cm_buf_add_printable(&b, f->query->terms[i].value);
	}
	err = cm_trace_fail(f->trace, CM_REASON_NO_ACCOUNT, "%s has no account with %s",
	    f->source->uri, cm_buf_str(&b));
	cm_buf_free(&b);
	return err;
}

static enum cm_err
several_accounts(const struct finding *f, bool more)
{
	struct cm_buf b;
	enum cm_err err;

	cm_buf_init(&b, 0);
	for (size_t i = 0; i < f->count; i++)
		cm_buf_addf(&b, "%s%s", i > 0 ? "; " : "", f->dns[i]);
	err = cm_trace_fail(f->trace, CM_REASON_SEVERAL_ACCOUNTS, "%s has several accounts for this card: %s%s",
	    f->source->uri, cm_buf_str(&b), more ? "; and more" : "");
	cm_buf_free(&b);
	return err;
}

/* One, none or several: the whole of it. */
static enum cm_err
decide(const struct finding *f, bool more)
{
	const struct cm_directory_options *o = &f->directory->options;

	if (f->count > 1)
		return several_accounts(f, more);
	if (more)	/* what was not shown may answer the query too */
		return cm_trace_fail(f->trace, CM_REASON_DIRECTORY_REFUSED,
		    "%s: the server's size limit hides some of the entries found", f->source->uri);
	if (f->hidden != NULL)	/* beside one that is shown, it makes them several */
		return cm_trace_fail(f->trace, CM_REASON_DIRECTORY_REFUSED,
		    "%s: finds %s, but does not show its %s: allow reading it, or write the "
		    "attribute as the server names it", f->source->uri, f->hidden,
		    f->query->terms[0].attribute);
	if (f->count == 0)
		return no_account(f);
	if (f->err != CM_OK)
		return f->err;
	return cm_account_check(f->account, o->first_uid, o->first_gid, f->trace);
}

static enum cm_err
run(const struct finding *f, struct cm_search *s, const char *what, cm_deadline deadline)
{
	const struct source *source = f->source;
	const int64_t start = cm_clock_us();
	const enum cm_err err = source->backend->search(source->state, s, deadline, f->trace);

	cm_trace_add(f->trace, what, "%lld us", (long long)(cm_clock_us() - start));
	return err;
}

static enum cm_err
find_account(struct finding *f, cm_deadline deadline, bool *elsewhere)
{
	const struct cm_directory_options *o = &f->directory->options;
	struct cm_search s = {
		.base = o->base, .query = f->query, .limit = ACCOUNTS_MAX, .visit = see, .arg = f,
	};
	enum cm_err err;

	cm_account_attributes(&s);
	for (size_t i = 0; i < f->query->count; i++)
		cm_search_want(&s, f->query->terms[i].attribute);
	err = run(f, &s, "account search", deadline);
	*elsewhere = s.elsewhere;
	return err == CM_OK ? decide(f, s.more) : err;
}

static enum cm_err
find_groups(struct finding *f, cm_deadline deadline, bool *elsewhere)
{
	const struct cm_directory_options *o = &f->directory->options;
	struct cm_search s;
	enum cm_err err;

	cm_groups_search(f->groups, &s);
	s.base = o->group_base != NULL ? o->group_base : o->base;
	err = run(f, &s, "groups search", deadline);
	*elsewhere = s.elsewhere;
	if (err == CM_OK && s.more)
		err = cm_trace_fail(f->trace, CM_REASON_DIRECTORY_REFUSED,
		    "%s: account %s is in more groups than the server shows, or in more than %zu",
		    f->source->uri, f->account->name, s.limit);
	return err;
}

static enum cm_err
ask(const struct cm_directory *d, const struct source *source, const struct cm_query *q,
    cm_deadline deadline, struct cm_trace *t, bool *elsewhere, struct cm_account **out)
{
	struct finding f = { .directory = d, .source = source, .query = q, .trace = t };
	enum cm_err err;

	cm_trace_add(t, "directory", "%s", source->uri);
	if ((err = find_account(&f, deadline, elsewhere)) == CM_OK &&
	    (err = find_groups(&f, deadline, elsewhere)) == CM_OK) {
		*out = f.account;
		f.account = NULL;
	}
	clear(&f);
	return err;
}

/* What is left is shared by those not yet asked, so that a silent one leaves time for the next. */
static cm_deadline
share(const struct cm_directory *d, size_t i, cm_deadline deadline)
{
	return cm_deadline_in((unsigned)cm_deadline_left(deadline) / (unsigned)(d->count - i));
}

/*
 * The first source that answers decides, be it yes or no.  One that cannot be
 * asked is passed over, and said; the last word then is a certificate that was
 * not accepted, if there was one: that is for a person to look at.  Whoever
 * showed it is not the directory, so the directory could not be asked.
 */
enum cm_err
cm_directory_find(struct cm_directory *d, const struct cm_query *q, const char *user,
    cm_deadline deadline, struct cm_trace *t, struct cm_account **out)
{
	enum cm_err err = CM_ERR_OFFLINE;
	bool elsewhere = true, distrusted = false;
	struct cm_buf all;

	(void)user;
	cm_buf_init(&all, 0);
	for (size_t i = 0; elsewhere && i < d->count; i++) {
		elsewhere = false;
		err = ask(d, &d->sources[i], q, share(d, i, deadline), t, &elsewhere, out);
		if (!elsewhere)
			break;
		cm_trace_add(t, "passed over", "%s", cm_trace_message(t));
		cm_buf_addf(&all, "%s%s", i > 0 ? "; " : "", cm_trace_message(t));
		distrusted = distrusted || cm_trace_reason(t) == CM_REASON_DIRECTORY_TLS;
	}
	if (err == CM_OK)
		cm_trace_clear_reason(t);
	else if (elsewhere)
		err = cm_trace_fail(t, distrusted ? CM_REASON_DIRECTORY_TLS : CM_REASON_DIRECTORY_OFFLINE,
		    "%s", cm_buf_str(&all));
	cm_buf_free(&all);
	return err;
}
