/* ldap/asked.c - the terms of a query that one place is asked, and an entry judged by them. */
#include <stdlib.h>
#include <string.h>

#include "ldap/directory_internal.h"

/* Of a longer value, a certificate say, people are shown the first bytes. */
#define TEXT_MAX	256
#define TEXT_HEAD	16

/* RFC 4512 section 1.4, section 2.5: what may stand before the "=" of a filter. */
static bool
is_description(const char *attribute)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.;";

	return attribute[0] != '\0' && strchr("-.;", attribute[0]) == NULL &&
	    attribute[strspn(attribute, allowed)] == '\0';
}

/* Most terms are about the attribute of the one before. */
static bool
is_same(const struct cm_asked *a, size_t i)
{
	return i > 0 && a->query.terms[i - 1].attribute != NULL &&
	    strcmp(a->query.terms[i - 1].attribute, a->query.terms[i].attribute) == 0;
}

/* What is not known to be one filter is never sent. */
static enum cm_err
take_term(struct cm_asked *a, const struct cm_query_term *term, struct cm_trace *t)
{
	const size_t i = a->query.count++;
	struct cm_filter_mistake m;
	enum cm_err err;

	a->query.terms[i] = *term;
	if (term->attribute != NULL)
		return is_same(a, i) || is_description(term->attribute) ? CM_OK : cm_trace_fail(t, CM_REASON_CONFIG,
		    "rule \"%s\": \"%s\" is no LDAP attribute", term->rule, term->attribute);
	if ((err = cm_filter_parse(term->value, &m, &a->filters[i])) != CM_ERR_SYNTAX)
		return err;
	cm_trace_add_blob(t, "filter refused", term->value);
	return cm_trace_fail(t, CM_REASON_CONFIG, "rule \"%s\": its filter, column %zu: %s",
	    term->rule, m.column, m.what);
}

enum cm_err
cm_asked_new(const struct cm_query *q, bool (*belongs)(const struct cm_query_term *),
    struct cm_trace *t, struct cm_asked **out)
{
	struct cm_asked *a = calloc(1, sizeof(*a));
	enum cm_err err = CM_ERR_NOMEM;

	if (a == NULL || (a->query.terms = calloc(q->count + 1, sizeof(*a->query.terms))) == NULL ||
	    (a->filters = calloc(q->count + 1, sizeof(struct cm_filter *))) == NULL ||
	    (a->hits = calloc(q->count + 1, sizeof(*a->hits))) == NULL)
		goto out;
	a->query.sid = q->sid;
	err = CM_OK;
	for (size_t i = 0; i < q->count && err == CM_OK; i++)
		if (belongs(&q->terms[i]))
			err = take_term(a, &q->terms[i], t);
	if (err != CM_OK)
		goto out;
	*out = a;
	a = NULL;
out:
	cm_asked_free(&a);
	return err;
}

/* The texts are the query's. */
void
cm_asked_free(struct cm_asked **a)
{
	if (*a == NULL)
		return;
	for (size_t i = 0; (*a)->filters != NULL && i < (*a)->query.count; i++)
		cm_filter_free(&(*a)->filters[i]);
	free((*a)->filters);
	free((*a)->hits);
	free((*a)->query.terms);
	free(*a);
	*a = NULL;
}

void
cm_asked_attributes(const struct cm_asked *a, struct cm_search *s)
{
	for (size_t i = 0; i < a->query.count; i++) {
		const struct cm_filter *f = a->filters[i];

		if (f == NULL && !is_same(a, i))
			cm_search_want(s, a->query.terms[i].attribute);
		for (size_t k = 0; f != NULL && k < f->count; k++)
			if (f->nodes[k].attribute[0] != '\0')
				cm_search_want(s, f->nodes[k].attribute);
	}
}

enum cm_err
cm_search_filter(const struct cm_search *s, struct cm_buf *out)
{
	const struct cm_filter *only = s->query->count == 1 && s->filters != NULL ? s->filters[0] : NULL;

	if (s->within != NULL) {
		cm_buf_add_str(out, "(&");
		cm_buf_add_str(out, s->within);
	}
	if (only != NULL)	/* libldap takes no spaces around a filter that stands alone */
		cm_buf_add_blob(out, only->nodes[0].text);
	else
		cm_query_filter(s->query, out);
	if (s->within != NULL)
		cm_buf_add_byte(out, ')');
	return cm_buf_status(out);
}

void
cm_term_text(const struct cm_query_term *term, struct cm_buf *out)
{
	const struct cm_blob head = { term->value.ptr, TEXT_HEAD };

	if (term->attribute != NULL)
		cm_buf_addf(out, "%s=", term->attribute);
	if (term->attribute != NULL && cm_attribute_is(cm_blob_str(term->attribute), CM_SID_ATTRIBUTE)) {
		cm_sid_text(term->value, out);
	} else if (term->value.len <= TEXT_MAX) {
		cm_buf_add_printable(out, term->value);
	} else if (term->attribute != NULL && cm_attribute_is_exact(term->attribute)) {
		cm_buf_add_hex(out, head);
		cm_buf_addf(out, "... (%zu bytes)", term->value.len);
	} else {
		cm_buf_add_printable(out, (struct cm_blob){ term->value.ptr, TEXT_MAX });
		cm_buf_addf(out, "... (%zu bytes)", term->value.len);
	}
}

static enum cm_judgement
judge_value(const struct cm_query_term *term, const struct cm_entry *e, bool all_shown)
{
	bool shown = false;

	for (const char *name = term->attribute; name != NULL && !shown; name = cm_attribute_other_name(name))
		for (size_t i = 0; i < e->count; i++) {
			if (!cm_attribute_answers(e->values[i].attribute, name))
				continue;
			if (cm_value_answers(name, term->value, e->values[i].value))
				return CM_JUDGED_TRUE;
			shown = true;
		}
	return shown || all_shown ? CM_JUDGED_FALSE : CM_JUDGED_HIDDEN;
}

enum cm_err
cm_term_judge(const struct cm_query_term *term, const struct cm_filter *filter,
    const struct cm_entry *e, struct cm_judged *j)
{
	const struct cm_filter_node *node = NULL;
	enum cm_err err;

	j->term = term;
	if (filter == NULL) {
		j->judgement = judge_value(term, e, j->all_shown);
		j->part = cm_blob_str(term->attribute);
		return CM_OK;
	}
	if ((err = cm_filter_judge(filter, e, j->all_shown, &j->judgement, &node)) != CM_OK)
		return err;
	j->part = node == NULL ? (struct cm_blob){ NULL, 0 } :
	    j->judgement == CM_JUDGED_HIDDEN ? cm_blob_str(node->attribute) : node->text;
	return CM_OK;
}

/*
 * Is a the better one to name the account by?  What is seen to hold counts
 * more than the server's word, and a strong value more than a weak one.  But
 * of several that only the server can tell about, nobody knows which holds:
 * the weakest speaks.
 */
static bool
is_better(const struct cm_judged *a, const struct cm_judged *b)
{
	if (b->term == NULL || a->judgement != b->judgement)
		return b->term == NULL || a->judgement > b->judgement;
	if (a->term->strength != b->term->strength)
		return (a->term->strength == CM_STRONG) == (a->judgement == CM_JUDGED_TRUE);
	return b->term->pairing && !a->term->pairing;
}

enum cm_err
cm_asked_judge(const struct cm_asked *a, const struct cm_entry *e, struct cm_judged *best)
{
	const bool all_shown = best->all_shown;
	bool mapping = false;
	enum cm_err err;

	best->term = NULL;
	for (size_t i = 0; i < a->query.count; i++) {
		struct cm_judged j = { .all_shown = all_shown };

		if ((err = cm_term_judge(&a->query.terms[i], a->filters[i], e, &j)) != CM_OK)
			return err;
		mapping = mapping || (j.judgement >= CM_JUDGED_UNKNOWN && !j.term->pairing);
		/* what only the server can tell is its word */
		a->hits[i] += j.judgement == CM_JUDGED_TRUE || (j.judgement == CM_JUDGED_UNKNOWN && !all_shown);
		if (is_better(&j, best))
			*best = j;
	}
	best->mapping = mapping;
	return CM_OK;
}

void
cm_asked_note_hits(const struct cm_asked *a, struct cm_trace *t)
{
	struct cm_buf b = { 0 };
	size_t with = 0;

	for (size_t i = 0; i < a->query.count; i++)
		if (a->hits[i] > 0)
			cm_buf_addf(&b, "%srule %s %u", with++ > 0 ? ", " : "", a->query.terms[i].rule, a->hits[i]);
	if (with == 0)
		cm_buf_add_str(&b, "no rule has any");
	else if (with < a->query.count)
		cm_buf_add_str(&b, ", no other rule any");
	cm_trace_add(t, "hits", "%s", cm_buf_str(&b));
	cm_buf_free(&b);
}
