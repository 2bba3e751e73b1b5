/* trust/plan.c - who may know whether a certificate was revoked: responders, distribution points, what is configured. */
#include <stdlib.h>

#include "base/list.h"
#include "trust/inquiry_internal.h"

#define SEEN_AGAIN	86400	/* seconds: how exactly it is kept when a source was last named */

struct planning {
	struct cm_inquiry *i;
	struct cm_asked *about;
	enum cm_err err;	/* sticks */
};

static void collect_responders(struct planning *p);
static void collect_points(struct planning *p);
static void collect_lists(struct planning *p);

/* Each makes lanes: one for each list, one for all responders.  A new kind of source is one row. */
static const struct source {
	bool lists;
	void (*collect)(struct planning *);
} sources[] = {
	{ false, collect_responders },
	{ true, collect_points },
	{ true, collect_lists },
};

/* ---- How it stands with who is asked. */

static bool
is_same(const struct cm_source *a, const struct cm_source *b)
{
	return a->kind == b->kind && strcmp(a->url, b->url) == 0 &&
	    memcmp(a->issuer_key, b->issuer_key, sizeof(a->issuer_key)) == 0;
}

static const struct cm_source *
known_source(const struct cm_inquiry *i, const struct cm_source *like)
{
	for (size_t n = 0; n < i->known->source_count; n++)
		if (is_same(&i->known->sources[n], like))
			return &i->known->sources[n];
	return NULL;
}

struct cm_source_state *
cm_source_of(struct cm_inquiry *i, const struct cm_lane *l, const char *url)
{
	struct cm_source_state *s;
	const struct cm_source *known;
	struct cm_source name = { .kind = l->kind, .seen = i->known->now };

	if (strlen(url) >= sizeof(name.url))
		return NULL;
	memcpy(name.url, url, strlen(url));
	memcpy(name.issuer_key, l->about->name.issuer_key, sizeof(name.issuer_key));
	for (s = i->sources; s != NULL; s = s->next)
		if (is_same(&s->s, &name))
			return s;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	known = known_source(i, &name);
	s->s = known != NULL ? *known : name;
	s->about = l->about;
	if (known == NULL || s->s.seen > i->known->now || i->known->now - s->s.seen >= SEEN_AGAIN) {
		s->s.seen = i->known->now;
		s->changed = true;
	}
	s->next = i->sources;
	i->sources = s;
	return s;
}

/* ---- Lanes. */

void
cm_lane_free(struct cm_lane **lp)
{
	struct cm_lane *l = *lp;

	if (l == NULL)
		return;
	cm_list_free(&l->urls);
	cm_ocsp_request_free(&l->request);
	cm_crl_coming_free(&l->coming);
	cm_fetch_clear(&l->fetch);
	cm_buf_free(&l->url);
	cm_buf_free(&l->answer);
	cm_buf_free(&l->why);
	free(l->asked_url);
	free(l);
	*lp = NULL;
}

static struct cm_lane *
new_lane(struct planning *p, enum cm_source_kind kind)
{
	struct cm_lane *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		p->err = CM_ERR_NOMEM;
		return NULL;
	}
	l->kind = kind;
	l->about = p->about;
	l->flight = -1;
	cm_buf_init(&l->url, 0);
	cm_buf_init(&l->answer, p->i->trust->o.ocsp_max);
	cm_buf_init(&l->why, 0);
	cm_fetch_clear(&l->fetch);
	return l;
}

static bool
has_address(const struct cm_lane *l, const char *url)
{
	for (size_t n = 0; n < l->url_count; n++)
		if (strcmp(l->urls[n], url) == 0)
			return true;
	return false;
}

/* One that asks for nothing new is left out. */
static bool
is_planned(const struct planning *p, const struct cm_lane *l)
{
	for (const struct cm_lane *o = p->i->lanes; o != NULL; o = o->next) {
		size_t n = 0;

		if (o->about != l->about || o->kind != l->kind || o->probe)
			continue;
		while (n < l->url_count && has_address(o, l->urls[n]))
			n++;
		if (n == l->url_count)
			return true;
	}
	return false;
}

/* Behind those there are: in the order in which they were named. */
static void
add_lane(struct planning *p, struct cm_lane *l)
{
	struct cm_lane **end = &p->i->lanes;

	if (l != NULL)
		l->url_count = cm_list_length(l->urls);
	if (l == NULL || p->err != CM_OK || l->url_count == 0 || is_planned(p, l)) {
		cm_lane_free(&l);
		return;
	}
	while (*end != NULL)
		end = &(*end)->next;
	*end = l;
	if (!p->about->has_source)	/* once: who judges reads it */
		p->about->has_source = true;
	for (size_t n = 0; n < l->url_count; n++)
		if (cm_fetch_can(l->urls[n]))
			cm_source_of(p->i, l, l->urls[n]);
}

static void
collect_responders(struct planning *p)
{
	struct cm_lane *l = new_lane(p, CM_SOURCE_OCSP);

	if (l != NULL)
		p->err = cm_source_add_responders(&p->i->trust->o, p->about->cert, &l->urls);
	add_lane(p, l);
}

static bool
add_point(void *arg, const struct cm_crl_point *at)
{
	struct planning *p = arg;
	struct cm_lane *l = new_lane(p, at->delta ? CM_SOURCE_DELTA : CM_SOURCE_CRL);

	for (size_t n = 0; p->err == CM_OK && n < at->count; n++)
		p->err = cm_source_add_list(&p->i->trust->o, at->urls[n], &l->urls);
	add_lane(p, l);
	return p->err == CM_OK;
}

static bool
add_changes(void *arg, const struct cm_crl_point *at)
{
	return !at->delta || add_point(arg, at);
}

static void
visit_points(struct planning *p, bool (*visit)(void *, const struct cm_crl_point *))
{
	struct cm_asking k;

	cm_asking_begin(&k, p->i, p->about);
	if (!cm_crl_addresses(&k.q, visit, p) && p->err == CM_OK)
		p->err = CM_ERR_NOMEM;
	cm_asking_end(&k);
}

static void
collect_points(struct planning *p)
{
	visit_points(p, add_point);
}

static void
collect_lists(struct planning *p)
{
	const char *const *url = p->i->trust->o.crls;

	for (; p->err == CM_OK && url != NULL && *url != NULL; url++) {
		struct cm_lane *l = cm_fetch_can(*url) ? new_lane(p, CM_SOURCE_CRL) : NULL;

		if (l != NULL)
			p->err = cm_source_add_list(&p->i->trust->o, *url, &l->urls);
		add_lane(p, l);
	}
}

enum cm_err
cm_inquiry_plan(struct cm_inquiry *i, struct cm_asked *a)
{
	const struct cm_trust_options *o = &i->trust->o;
	struct planning p = { .i = i, .about = a };

	for (size_t n = 0; p.err == CM_OK && n < CM_COUNT(sources); n++)
		if (sources[n].lists ? o->use_crl : o->use_ocsp)
			sources[n].collect(&p);
	return p.err;
}

enum cm_err
cm_inquiry_plan_changes(struct cm_inquiry *i, struct cm_asked *a)
{
	struct planning p = { .i = i, .about = a };

	visit_points(&p, add_changes);
	return p.err;
}

struct cm_lane *
cm_inquiry_add_probe(struct cm_inquiry *i, const struct cm_lane *of, const char *url)
{
	struct planning p = { .i = i, .about = of->about };
	struct cm_lane *l = new_lane(&p, of->kind);

	if (l == NULL)
		return NULL;
	l->probe = true;
	l->url_count = 1;
	if (cm_list_add(&l->urls, cm_blob_str(url)) != CM_OK) {
		cm_lane_free(&l);
		return NULL;
	}
	l->next = i->lanes;
	i->lanes = l;
	return l;
}
