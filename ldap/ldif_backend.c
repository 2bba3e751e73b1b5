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

static enum cm_err
search_term(const struct cm_ldif *l, const struct cm_query_term *term, struct cm_search *s,
    size_t *shown)
{
	const struct cm_value wanted = { cm_blob_str(term->attribute), term->value };
	const struct cm_entry *e;
	enum cm_err err = CM_OK;

	for (size_t i = lower_bound(l, &wanted); err == CM_OK && i < l->count; i++) {
		const struct cm_value *v = &l->values[l->order[i]];

		if (compare_values(v, &wanted) != 0)
			break;
		e = &l->entries[l->entry_of[l->order[i]]];
		if (!cm_term_matches(term, v) || (s->holds != NULL && !s->holds(e)))
			continue;
		if ((s->more = ++*shown > s->limit))
			break;
		err = s->visit(s->arg, e);
	}
	return err;
}

static enum cm_err
search_ldif(void *state, struct cm_search *s, cm_deadline deadline, struct cm_trace *t)
{
	const struct cm_ldif *l = state;
	enum cm_err err = CM_OK;
	size_t shown = 0;

	(void)deadline;	/* nothing here waits */
	(void)t;
	for (size_t i = 0; err == CM_OK && !s->more && i < s->query->count; i++)
		err = search_term(l, &s->query->terms[i], s, &shown);
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
	.scheme = "ldif:",
	.open = open_ldif,
	.search = search_ldif,
	.close = close_ldif,
};
