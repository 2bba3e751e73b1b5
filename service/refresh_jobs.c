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
			free((void *)(uintptr_t)j->certs[k].ptr);
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
	*j = (struct cm_refresh_job){ .der = copy(i->der), .der_len = i->der.len, .subject = strdup(i->subject) };
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

/* Did some issuer's list come from there?  Then no other's does. */
static bool
is_of_another(const struct collecting *c, const struct cm_refresh_job *j, const char *url)
{
	for (size_t i = 0; i < c->jobs->count; i++) {
		const struct cm_refresh_job *other = &c->jobs->jobs[i];

		for (size_t k = 0; other != j && k < other->source_count; k++)
			if (other->sources[k].kind == CM_SOURCE_CRL && other->sources[k].answered != 0 &&
			    strcmp(other->sources[k].url, url) == 0)
				return true;
	}
	return false;
}

static enum cm_err
add_configured(const struct collecting *c, struct cm_refresh_job *j, enum cm_source_kind kind, char *const *urls)
{
	enum cm_err err = CM_OK;

	for (; err == CM_OK && *urls != NULL; urls++) {
		struct cm_source s = { .kind = kind };

		if (!is_address(*urls) || strlen(*urls) >= sizeof(s.url) ||
		    (kind == CM_SOURCE_CRL && is_of_another(c, j, *urls)))
			continue;
		memcpy(s.issuer_key, j->key, sizeof(s.issuer_key));
		snprintf(s.url, sizeof(s.url), "%s", *urls);
		err = add_source(j, &s);
	}
	return err;
}

/* Whose list a configured address has is not known before it was asked: then every CA here may be it. */
static enum cm_err
add_issuer(void *arg, const struct cm_trust_issuer *i)
{
	struct collecting *c = arg;
	const struct cm_conf *conf = c->r->host->conf;
	enum cm_err err = CM_OK;

	if (!i->signs_lists || conf->trust.crl[0] == NULL)
		return CM_OK;
	if ((err = find_job(c, i)) != CM_OK || c->found == NULL)
		return err;
	return add_configured(c, c->found, CM_SOURCE_CRL, conf->trust.crl);
}

enum cm_err
cm_refresh_collect(const struct cm_refreshing *r, const struct cm_known *known, struct cm_trace *t,
    struct cm_refresh_jobs *out)
{
	struct collecting c = { .r = r, .known = known, .trace = t, .jobs = out };
	struct cm_accounts *store = r->host->accounts;
	enum cm_err err;

	if ((err = cm_accounts_each_source(store, t, add_seen, &c)) != CM_OK ||
	    (err = cm_accounts_list(store, t, add_kept, &c)) != CM_OK ||
	    (err = cm_trust_each_issuer(r->host->trust, add_issuer, &c)) != CM_OK)
		return err;
	for (size_t i = 0; i < out->count; i++)
		if ((err = add_configured(&c, &out->jobs[i], CM_SOURCE_OCSP, r->host->conf->trust.ocsp_url)) != CM_OK)
			return err;
	if (out->count > 0 || r->issuers == NULL || r->issuers[0] == NULL)
		return CM_OK;
	cm_trace_fail(t, CM_REASON_NO_SUCH_ISSUER, "%s: no CA with this in its subject has certificates, lists or sources here",
	    r->issuers[0]);
	return CM_ERR_ABSENT;
}
