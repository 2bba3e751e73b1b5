/* service/refresh_jobs.c - every issuer seen or configured, with its sources and the certificates that logins will show. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service/refresh_internal.h"

struct collecting {
	const struct cm_refreshing *r;
	const struct cm_known *known;
	struct cm_trace *trace;
	struct cm_refresh_jobs *jobs;
	struct cm_refresh_job *found;	/* by the last cm_trust_issuer_of() */
};

void
cm_refresh_jobs_free(struct cm_refresh_jobs *all)
{
	for (size_t i = 0; i < all->count; i++) {
		struct cm_refresh_job *j = &all->jobs[i];

		for (size_t k = 0; k < j->cert_count; k++)
			cm_blob_free(&j->certs[k]);
		for (size_t k = 0; k < j->progress_count; k++)
			free(j->progress[k].url);
		free(j->progress);
		free(j->certs);
		free(j->sources);
		free(j->subject);
		free(j->der);
		free(j->why);
		free(j->warning);
	}
	free(all->jobs);
	*all = (struct cm_refresh_jobs){ 0 };
}

static bool
is_wanted(const struct cm_refreshing *r, const char *subject)
{
	if (r->issuers == NULL || r->issuers[0] == NULL)
		return true;
	for (char *const *want = r->issuers; *want != NULL; want++)
		if (strcasestr(subject, *want) != NULL)
			return true;
	return false;
}

static uint8_t *
copy(struct cm_blob b)
{
	uint8_t *p = malloc(b.len > 0 ? b.len : 1);

	if (p != NULL && b.len > 0)
		memcpy(p, b.ptr, b.len);
	return p;
}

/* The job of this key, made where there is none; c->found is NULL where it is not wanted. */
static enum cm_err
find_job(void *arg, const struct cm_trust_issuer *i)
{
	struct collecting *c = arg;
	struct cm_refresh_job *more, *j;

	c->found = NULL;
	for (size_t k = 0; k < c->jobs->count; k++)
		if (memcmp(c->jobs->jobs[k].key, i->key, sizeof(i->key)) == 0)
			c->found = &c->jobs->jobs[k];
	if (c->found != NULL || !is_wanted(c->r, i->subject))
		return CM_OK;
	if ((more = reallocarray(c->jobs->jobs, c->jobs->count + 1, sizeof(*more))) == NULL)
		return CM_ERR_NOMEM;
	c->jobs->jobs = more;
	j = &more[c->jobs->count++];
	*j = (struct cm_refresh_job){ .der = copy(i->der), .der_len = i->der.len, .subject = strdup(i->subject),
		.signs_lists = i->signs_lists };
	memcpy(j->key, i->key, sizeof(j->key));
	c->found = j;
	return j->der != NULL && j->subject != NULL ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
add_source(struct cm_refresh_job *j, const struct cm_source *s)
{
	struct cm_source *more;

	for (size_t i = 0; i < j->source_count; i++)
		if (j->sources[i].kind == s->kind && strcmp(j->sources[i].url, s->url) == 0)
			return CM_OK;
	if ((more = reallocarray(j->sources, j->source_count + 1, sizeof(*more))) == NULL)
		return CM_ERR_NOMEM;
	j->sources = more;
	j->sources[j->source_count++] = *s;
	return CM_OK;
}

static enum cm_err
add_cert(struct cm_refresh_job *j, struct cm_blob der)
{
	struct cm_blob *more;
	uint8_t *p;

	for (size_t i = 0; i < j->cert_count; i++)
		if (cm_blob_equal(j->certs[i], der))
			return CM_OK;
	if ((more = reallocarray(j->certs, j->cert_count + 1, sizeof(*more))) == NULL)
		return CM_ERR_NOMEM;
	j->certs = more;
	if ((p = copy(der)) == NULL)
		return CM_ERR_NOMEM;
	j->certs[j->cert_count++] = (struct cm_blob){ p, der.len };
	return CM_OK;
}

static enum cm_err
add_seen(void *arg, struct cm_blob issuer, const struct cm_source *s)
{
	struct collecting *c = arg;
	enum cm_err err = cm_trust_issuer_of(issuer, find_job, c);

	return err == CM_OK && c->found != NULL ? add_source(c->found, s) : err;
}

/* Each certificate of the chain below the anchor, at its issuer's. */
static enum cm_err
add_chain(struct collecting *c, const struct cm_verdict *v)
{
	size_t count = 0;
	const struct cm_blob *chain = cm_verdict_chain(v, &count);
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i + 1 < count; i++) {
		if (i > 0 && c->r->host->conf->trust.check == CM_CHECK_LEAF)
			break;
		if ((err = cm_trust_issuer_of(chain[i + 1], find_job, c)) == CM_OK && c->found != NULL)
			err = add_cert(c->found, chain[i]);
	}
	return err;
}

/* A card that has expired, or whose CA is trusted no more, is nobody's to ask about. */
static enum cm_err
add_kept(void *arg, const struct cm_kept *k)
{
	struct collecting *c = arg;
	struct cm_verdict *v = NULL;
	struct cm_cert *cert = NULL;
	enum cm_err err;

	if ((err = cm_cert_decode(k->cert_der, NULL, &cert)) == CM_OK &&
	    (err = cm_trust_check_chain(c->r->host->trust, cert, c->known, NULL, &v)) == CM_OK)
		err = add_chain(c, v);
	cm_verdict_free(&v);
	cm_cert_free(&cert);
	return err == CM_ERR_REFUSED || err == CM_ERR_SYNTAX ? CM_OK : err;
}

static bool
is_address(const char *text)
{
	return strstr(text, "://") != NULL;
}

static enum cm_err
add_configured(struct cm_refresh_job *j, enum cm_source_kind kind, const char *url)
{
	struct cm_source s = { .kind = kind };

	if (!is_address(url) || strlen(url) >= sizeof(s.url))
		return CM_OK;
	memcpy(s.issuer_key, j->key, sizeof(s.issuer_key));
	snprintf(s.url, sizeof(s.url), "%s", url);
	return add_source(j, &s);
}

static void
remove_source(struct cm_refresh_job *j, const char *url)
{
	for (size_t i = j->source_count; i-- > 0;)
		if (j->sources[i].kind == CM_SOURCE_CRL && strcmp(j->sources[i].url, url) == 0)
			memmove(&j->sources[i], &j->sources[i + 1], (--j->source_count - i) * sizeof(*j->sources));
}

/* Whose list is kept from this address. */
struct owner {
	const char *url;
	uint8_t key[32];
	bool known;
};

static enum cm_err
find_owner(void *arg, const struct cm_kept_list *l)
{
	struct owner *o = arg;

	if (!o->known && strcmp(l->source, o->url) == 0) {
		memcpy(o->key, l->issuer_key, sizeof(o->key));
		o->known = true;
	}
	return CM_OK;
}

/* Who signs lists for others (RFC 5280 section 5, indirect CRLs) need not have a job. */
static bool
has_job(const struct collecting *c, const struct owner *o)
{
	for (size_t i = 0; o->known && i < c->jobs->count; i++)
		if (memcmp(c->jobs->jobs[i].key, o->key, sizeof(o->key)) == 0)
			return true;
	return false;
}

/*
 * Every login asks a configured list about every CA, but it is one CA's: it is
 * fetched for that one, or for any, where it is not known yet whose it is.
 */
static enum cm_err
share_out(struct collecting *c, const char *url, size_t number)
{
	struct owner o = { .url = url };
	struct cm_refresh_job *to = NULL;
	enum cm_err err = cm_trust_each_kept_list(c->r->host->trust, find_owner, &o);

	o.known = has_job(c, &o);
	for (size_t i = 0; err == CM_OK && i < c->jobs->count; i++) {
		/* Anybody's work is shared by all. */
		struct cm_refresh_job *j = &c->jobs->jobs[(i + number) % c->jobs->count];

		if (to == NULL && (o.known ? memcmp(j->key, o.key, sizeof(o.key)) == 0 : j->signs_lists))
			to = j;
		else
			remove_source(j, url);
	}
	return err == CM_OK && to != NULL ? add_configured(to, CM_SOURCE_CRL, url) : err;
}

/* A CA of the configuration may be the one whose list is configured, though no card of it was seen. */
static enum cm_err
add_issuer(void *arg, const struct cm_trust_issuer *i)
{
	return i->signs_lists ? find_job(arg, i) : CM_OK;
}

enum cm_err
cm_refresh_collect(const struct cm_refreshing *r, const struct cm_known *known, struct cm_trace *t,
    struct cm_refresh_jobs *out)
{
	struct collecting c = { .r = r, .known = known, .trace = t, .jobs = out };
	const struct cm_conf *conf = r->host->conf;
	struct cm_accounts *store = r->host->accounts;
	enum cm_err err;

	if ((err = cm_accounts_each_source(store, t, add_seen, &c)) != CM_OK ||
	    (err = cm_accounts_list(store, t, add_kept, &c)) != CM_OK)
		return err;
	if (conf->trust.crl[0] != NULL && (err = cm_trust_each_issuer(r->host->trust, add_issuer, &c)) != CM_OK)
		return err;
	for (size_t i = 0; err == CM_OK && conf->trust.crl[i] != NULL; i++)
		err = share_out(&c, conf->trust.crl[i], i);
	for (size_t i = 0; i < out->count; i++)
		for (char *const *url = conf->trust.ocsp_url; err == CM_OK && *url != NULL; url++)
			err = add_configured(&out->jobs[i], CM_SOURCE_OCSP, *url);
	if (err != CM_OK || out->count > 0 || r->issuers == NULL || r->issuers[0] == NULL)
		return err;
	cm_trace_fail(t, CM_REASON_NO_SUCH_ISSUER, "%s: no CA with this in its subject has certificates, lists or sources here",
	    r->issuers[0]);
	return CM_ERR_ABSENT;
}
