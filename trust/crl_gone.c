/*
 * trust/crl_gone.c - what a list revoked and its successor no longer lists is revoked for ever (only a hold can end).
 *
 * SCOPE.gone is an index as any other, of such entries alone; about is that of the list that listed them last.
 */
#include <sys/mman.h>

#include "trust/crl_internal.h"

#define DROP_EVERY	65536	/* entries, after which pages that were read need not stay */

/* A sorted file that is read from its beginning, as far as another one has come. */
struct cursor {
	const struct cm_crl_index *x;
	uint64_t at;
};

struct carrying {
	const struct cm_crl_gone *g;
	struct cursor fresh;
	struct cm_buf names;		/* of the other issuers, in the new file */
	struct cm_crl_about about;
	cm_crl_visit visit;
	void *arg;
	uint64_t seen;
};

static void
drop_pages(const struct cm_crl_index *x)
{
	if (x != NULL)
		madvise((void *)(uintptr_t)x->map, x->size, MADV_DONTNEED);
}

static int
compare(const struct cm_crl_entry *a, const struct cm_crl_entry *b)
{
	return memcmp(a->serial, b->serial, sizeof(a->serial));
}

/* Both ascend, and neither names other issuers: one reading of each. */
static bool
stands_at(struct cursor *c, const struct cm_crl_entry *e)
{
	struct cm_crl_entry other;

	for (; c->at < c->x->about.entries; c->at++) {
		int order;

		if (!cm_crl_index_entry(c->x, c->at, &other) || (order = compare(&other, e)) < 0)
			continue;
		if (order > 0)
			return false;
		if (cm_crl_class(other.reason) == 0)
			return true;
	}
	return false;
}

/* n-th Name of an index, 0: its own; DER. */
static struct cm_blob
name_at(const struct cm_crl_index *x, unsigned n)
{
	struct cm_blob left = x->about.issuers, content, before = x->about.issuer;

	for (unsigned i = 0; i < n; i++) {
		before = left;
		if (!cm_der_take(&left, 0x30, &content))
			return (struct cm_blob){ 0 };
		before.len -= left.len;
	}
	return before;
}

static bool
is_revoked_in(const struct cm_crl_index *x, struct cm_blob name, const struct cm_crl_entry *e)
{
	uint8_t serial[CM_CRL_SERIAL_MAX + 1] = { 0 };
	const uint8_t *p = name.ptr;
	struct cm_crl_entry found;
	X509_NAME *issuer;
	size_t zeros = 0;
	bool there;

	if (x == NULL || (issuer = d2i_X509_NAME(NULL, &p, (long)name.len)) == NULL)
		return false;
	memcpy(serial + 1, e->serial, CM_CRL_SERIAL_MAX);
	/* X.690 8.3.2: as short as can be, and not negative. */
	while (zeros < CM_CRL_SERIAL_MAX && serial[zeros] == 0 && (serial[zeros + 1] & 0x80) == 0)
		zeros++;
	there = cm_crl_index_find(x, issuer, (struct cm_blob){ serial + zeros, sizeof(serial) - zeros }, &found) == CM_OK &&
	    cm_crl_class(found.reason) == 0;
	X509_NAME_free(issuer);
	return there;
}

/* Another CA's certificate may have the same number, in an indirect list. */
bool
cm_crl_gone_is_of(const struct cm_crl_index *x, const struct cm_crl_entry *e, const uint8_t serial[CM_CRL_SERIAL_MAX],
    const X509_NAME *issuer)
{
	const struct cm_blob der = name_at(x, e->issuer);
	const uint8_t *p = der.ptr;
	X509_NAME *name;
	bool same;

	if (memcmp(serial, e->serial, sizeof(e->serial)) != 0)
		return false;
	if (issuer == NULL)
		return e->issuer == 0;
	name = d2i_X509_NAME(NULL, &p, (long)der.len);
	same = name != NULL && X509_NAME_cmp(name, issuer) == 0;
	X509_NAME_free(name);
	return same;
}

static bool
is_forgotten(const struct cm_crl_gone *g, const struct cm_crl_index *from, const struct cm_crl_entry *e)
{
	return g->forget != NULL && cm_crl_gone_is_of(from, e, g->forget, g->issuer);
}

/* Does what is in force from now on say it? */
static bool
is_said(struct carrying *c, const struct cm_crl_index *from, const struct cm_crl_entry *e)
{
	if (c->g->fresh == NULL)
		return false;
	if (!from->about.indirect && !c->g->fresh->about.indirect && c->g->base == NULL)
		return stands_at(&c->fresh, e);
	return is_revoked_in(c->g->fresh, name_at(from, e->issuer), e) || is_revoked_in(c->g->base, name_at(from, e->issuer), e);
}

static enum cm_err
carry_from(struct carrying *c, const struct cm_crl_index *from)
{
	enum cm_err err = CM_OK;
	struct cm_crl_entry e;

	c->fresh.at = 0;
	for (uint64_t i = 0; err == CM_OK && from != NULL && i < from->about.entries; i++) {
		if (++c->seen % DROP_EVERY == 0) {
			drop_pages(from);
			drop_pages(c->g->fresh);
		}
		const bool whole = cm_crl_index_entry(from, i, &e);

		/* Nobody else has it: then nothing is written over. */
		if (!whole && from == c->g->gone)
			return CM_ERR_SYNTAX;
		if (!whole || cm_crl_class(e.reason) != 0 || is_forgotten(c->g, from, &e) ||
		    is_said(c, from, &e))
			continue;
		if (e.issuer != 0 && cm_crl_entry_issuer(&c->names, name_at(from, e.issuer), &e.issuer) != NULL)
			return CM_ERR_SYSTEM;
		c->about.issuers = cm_buf_blob(&c->names);
		c->about.entries++;
		err = c->visit(c->arg, &e);
	}
	return err;
}

static enum cm_err
feed(void *arg, cm_crl_visit visit, void *visit_arg)
{
	struct carrying *c = arg;
	enum cm_err err;

	c->visit = visit;
	c->arg = visit_arg;
	if ((err = carry_from(c, c->g->gone)) == CM_OK)
		err = carry_from(c, c->g->old);
	drop_pages(c->g->old);
	drop_pages(c->g->gone);
	drop_pages(c->g->fresh);
	return err;
}

enum cm_err
cm_crl_gone_build(const struct cm_crl_gone *g, struct cm_crl_building *b, struct cm_buf *why)
{
	const struct cm_crl_index *of = g->old != NULL ? g->old : g->gone;
	struct carrying c = { .g = g, .fresh = { g->fresh, 0 } };
	struct cm_buf source;
	enum cm_err err;

	if (g->old != NULL && g->fresh != NULL && memcmp(g->old->about.sha256, g->fresh->about.sha256, 32) == 0)
		return CM_ERR_ABSENT;
	cm_buf_init(&c.names, 0);
	cm_buf_init(&source, 0);
	cm_buf_add_blob(&source, of->source);
	c.about = of->about;
	c.about.entries = 0;
	c.about.issuers = (struct cm_blob){ 0 };
	c.about.width = CM_CRL_SERIAL_MAX;
	c.about.delta = c.about.base.there = false;
	/* It is no list, and never the same as one. */
	c.about.size = 0;
	memset(c.about.sha256, 0, sizeof(c.about.sha256));
	b->issuer_key = of->issuer_key;
	b->origin = (struct cm_crl_origin){ cm_buf_str(&source), "", "", of->learned, of->confirmed };
	err = cm_crl_build_from(b, &c.about, feed, &c, why);
	cm_buf_free(&source);
	cm_buf_free(&c.names);
	return err;
}
