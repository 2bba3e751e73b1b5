/* ldap/ldif_backend.c - accounts from an LDIF file, indexed in memory. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "ldap/directory_internal.h"

/* By attribute type, its options aside, then by value. */
static int
compare_values(const struct cm_value *a, const struct cm_value *b)
{
	const size_t x = cm_attribute_type_length(a->attribute);
	const size_t y = cm_attribute_type_length(b->attribute);
	const int c = strncasecmp((const char *)a->attribute.ptr, (const char *)b->attribute.ptr,
	    x < y ? x : y);

	if (c != 0 || x != y)
		return c != 0 ? c : (x > y) - (x < y);
	return cm_value_compare(a->value, b->value);
}

/* Equal values in the file's order. */
static int
compare_order(const void *a, const void *b, void *arg)
{
	const size_t i = *(const size_t *)a, k = *(const size_t *)b;
	const struct cm_value *values = arg;
	const int c = compare_values(&values[i], &values[k]);

	return c != 0 ? c : (i > k) - (i < k);
}

/* Where the values not below wanted begin. */
static size_t
lower_bound(const struct cm_ldif *l, const struct cm_value *wanted)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (compare_values(&l->values[l->order[middle]], wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static enum cm_err
check_twice(const struct cm_ldif *l, const char *name, struct cm_trace *t)
{
	const struct cm_value any = { cm_blob_str("entryDN"), cm_blob_str("") };
	size_t i = lower_bound(l, &any);

	for (; i + 1 < l->count; i++) {
		const size_t a = l->order[i], b = l->order[i + 1];

		if (!cm_attribute_is(l->values[b].attribute, "entryDN"))
			break;
		/* an export with operational attributes names it once more */
		if (l->entry_of[a] != l->entry_of[b] &&
		    compare_values(&l->values[a], &l->values[b]) == 0)
			return cm_trace_fail(t, CM_REASON_LDIF_MALFORMED,
			    "%s:%zu: this entry stands in line %zu already", name,
			    l->lines[l->entry_of[b]], l->lines[l->entry_of[a]]);
	}
	return CM_OK;
}

enum cm_err
cm_ldif_index(struct cm_ldif *l, const char *name, struct cm_trace *t)
{
	if (l->count == 0)
		return CM_OK;
	if ((l->order = calloc(l->count, sizeof(*l->order))) == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; i < l->count; i++)
		l->order[i] = i;
	qsort_r(l->order, l->count, sizeof(*l->order), compare_order, l->values);
	return check_twice(l, name, t);
}

static enum cm_err
open_ldif(const struct cm_directory_options *o, const char *uri,
    struct cm_directory_stats *stats, struct cm_trace *t, void **state)
{
	const char *path = uri + strlen(cm_backend_ldif.scheme);
	struct cm_ldif *l = NULL;
	struct cm_buf text;
	enum cm_err err;

	(void)o;
	(void)stats;
	cm_buf_init(&text, 0);
	/* It says who is who: as much a matter of trust as the configuration. */
	err = cm_file_read(path, CM_BUF_MAX, CM_FILE_TRUSTED, t, &text);
	if (err == CM_ERR_ABSENT)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: there is no such file", path);
	if (err == CM_OK && (err = cm_ldif_parse(&text, path, t, &l)) == CM_OK)
		*state = l;
	cm_buf_free(&text);
	return err;
}

/* DNs as people write them: case, and spaces around separators, are no matter. */
static void
add_dn(struct cm_blob dn, struct cm_buf *out)
{
	static const char separators[] = ",+=";

	for (size_t i = 0; i < dn.len; i++) {
		const uint8_t c = dn.ptr[i];
		size_t k = i;

		while (k < dn.len && dn.ptr[k] == ' ')
			k++;
		if (c == ' ' && (out->len == 0 || strchr(separators, out->ptr[out->len - 1]) != NULL ||
		    k == dn.len || (dn.ptr[k] != '\0' && strchr(separators, dn.ptr[k]) != NULL)))
			continue;
		cm_buf_add_byte(out, c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c);
	}
}

/* Is dn the base, or below it? */
static enum cm_err
is_within(struct cm_blob dn, const struct cm_search *s, bool *out)
{
	struct cm_buf a = { 0 }, b = { 0 };
	enum cm_err err;

	*out = true;
	if (s->base == NULL || s->base[0] == '\0')
		return CM_OK;
	add_dn(dn, &a);
	add_dn(cm_blob_str(s->base), &b);
	if ((err = cm_buf_status(&a)) == CM_OK && (err = cm_buf_status(&b)) == CM_OK)
		*out = a.len == b.len || (!s->base_only && a.len > b.len && a.ptr[a.len - b.len - 1] == ',' &&
		    (a.len == b.len + 1 || a.ptr[a.len - b.len - 2] != '\\')) ?
		    memcmp(a.ptr + a.len - b.len, b.ptr, b.len) == 0 : false;
	cm_buf_free(&a);
	cm_buf_free(&b);
	return err;
}

/* One term of a search, and the entry the index or the scan came to. */
struct term_search {
	const struct cm_ldif *ldif;
	struct cm_search *search;
	const struct cm_query_term *term;
	const struct cm_filter *filter;
	size_t *shown;
};

static enum cm_err
show(const struct term_search *ts, const struct cm_entry *e)
{
	struct cm_judged j = { .all_shown = true };
	struct cm_search *s = ts->search;
	enum cm_err err;
	bool within;

	/* what cannot be judged is shown: the visitor says so */
	if ((err = cm_term_judge(ts->term, ts->filter, e, &j)) != CM_OK || j.judgement == CM_JUDGED_FALSE)
		return err;
	if ((err = is_within(e->dn, s, &within)) != CM_OK || !within || (s->holds != NULL && !s->holds(e)))
		return err;
	if ((s->more = ++*ts->shown > s->limit))
		return CM_OK;
	return s->visit(s->arg, e);
}

static enum cm_err
search_index(const struct term_search *ts, const char *attribute, struct cm_blob value)
{
	const struct cm_value wanted = { cm_blob_str(attribute), value };
	const struct cm_ldif *l = ts->ldif;
	enum cm_err err = CM_OK;

	for (size_t i = lower_bound(l, &wanted); err == CM_OK && !ts->search->more && i < l->count; i++) {
		if (compare_values(&l->values[l->order[i]], &wanted) != 0)
			break;
		err = show(ts, &l->entries[l->entry_of[l->order[i]]]);
	}
	return err;
}

/* By an equality that must hold; a filter without one is held against every entry. */
static enum cm_err
search_term(const struct term_search *ts)
{
	const struct cm_filter_node *anchor;
	enum cm_err err = CM_OK;

	if (ts->filter == NULL)
		return search_index(ts, ts->term->attribute, ts->term->value);
	if ((anchor = cm_filter_anchor(ts->filter)) != NULL)
		return search_index(ts, anchor->attribute, anchor->value);
	for (size_t i = 0; err == CM_OK && !ts->search->more && i < ts->ldif->entry_count; i++)
		err = show(ts, &ts->ldif->entries[i]);
	return err;
}

static enum cm_err
search_ldif(void *state, struct cm_search *s, cm_deadline deadline, struct cm_trace *t)
{
	struct term_search ts = { .ldif = state, .search = s };
	enum cm_err err = CM_OK;
	size_t shown = 0;

	(void)deadline;	/* nothing here waits */
	(void)t;
	ts.shown = &shown;
	for (size_t i = 0; err == CM_OK && !s->more && i < s->query->count; i++) {
		ts.term = &s->query->terms[i];
		ts.filter = s->filters != NULL ? s->filters[i] : NULL;
		err = search_term(&ts);
	}
	return err;
}

static void
close_ldif(void **state)
{
	struct cm_ldif *l = *state;

	cm_ldif_free(&l);
	*state = NULL;
}

const struct cm_backend cm_backend_ldif = {
	.scheme = "ldif:", .all_shown = true,
	.open = open_ldif,
	.search = search_ldif,
	.close = close_ldif,
};
