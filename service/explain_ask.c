/* service/explain_ask.c - how the questions of explain.c are asked, and answers told. */
#include "service/explain_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

void
cm_seen_clear(struct cm_seen_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		for (size_t k = 0; k < l->entries[i].count; k++) {
			free(l->entries[i].values[k].attribute);
			cm_blob_free(&l->entries[i].values[k].value);
		}
		free(l->entries[i].values);
		free(l->entries[i].dn);
	}
	l->count = 0;
}

/* ---- asking */

static enum cm_err
keep_value(struct cm_seen *s, const struct cm_value *v)
{
	struct cm_seen_value *to = &s->values[s->count];
	uint8_t *copy = malloc(v->value.len + 1);

	to->attribute = strndup((const char *)v->attribute.ptr, v->attribute.len);
	if (copy == NULL || to->attribute == NULL) {
		free(to->attribute);
		free(copy);
		return CM_ERR_NOMEM;
	}
	if (v->value.len > 0)
		memcpy(copy, v->value.ptr, v->value.len);
	copy[v->value.len] = '\0';
	to->value = (struct cm_blob){ copy, v->value.len };
	s->count++;
	return CM_OK;
}

static enum cm_err
keep_entry(void *arg, const struct cm_entry *e)
{
	struct cm_seen_list *l = arg;
	struct cm_seen *s = &l->entries[l->count];
	enum cm_err err = CM_OK;

	if (l->count == CM_SEEN_MAX)
		return CM_OK;
	*s = (struct cm_seen){ .dn = strndup((const char *)e->dn.ptr, e->dn.len),
		.values = calloc(e->count + 1, sizeof(*s->values)) };
	l->count++;
	if (s->dn == NULL || s->values == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; err == CM_OK && i < e->count; i++)
		err = keep_value(s, &e->values[i]);
	return err;
}

enum cm_err
cm_explain_look(struct cm_explaining *x, struct cm_look *l, struct cm_seen_list *out)
{
	l->limit = CM_SEEN_MAX;
	return cm_directory_look(x->in->host->directory, l, x->deadline, x->trace, keep_entry, out);
}

const struct cm_seen_value *
cm_seen_first(const struct cm_seen *s, const char *attribute)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcasecmp(s->values[i].attribute, attribute) == 0)
			return &s->values[i];
	return NULL;
}

/* ---- telling */

enum cm_err
cm_explain_tell(struct cm_explaining *x, const char *cause, char *mend, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&x->out->text, fmt, ap);
	va_end(ap);
	if (len < 0)
		x->out->text = NULL;
	x->out->cause = strdup(cause);
	x->out->mend = mend;
	return x->out->cause == NULL || x->out->text == NULL || mend == NULL ? CM_ERR_NOMEM : CM_OK;
}

char *
cm_explain_text(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&s, fmt, ap);
	va_end(ap);
	return len < 0 ? NULL : s;
}

/* Bytes are nothing to copy from a screen. */
static bool
is_text(struct cm_blob v)
{
	for (size_t i = 0; i < v.len; i++)
		if (v.ptr[i] < ' ' || v.ptr[i] == 0x7f)
			return false;
	return v.len > 0;
}

/* The strongest built-in form that this card has a value for; its value is written to b. */
static const struct cm_form *
best_form(const struct cm_cert *c, struct cm_buf *b)
{
	size_t count;
	const struct cm_form *forms = cm_forms(&count);

	for (size_t i = 0; i < count; i++) {
		cm_buf_truncate(b, 0);
		if (forms[i].strength == CM_STRONG && !forms[i].alternative && !forms[i].ad &&
		    cm_form_value(&forms[i], c, b) == CM_OK)
			return &forms[i];
	}
	return NULL;
}

static char *
written(const char *attribute, struct cm_blob value)
{
	struct cm_buf shown = { 0 };
	char *line;

	cm_buf_add_printable(&shown, value);
	line = cm_explain_text("%s: %s", attribute, cm_buf_str(&shown));
	cm_buf_free(&shown);
	return line;
}

/* Of "(attribute=value)" alone the value as it is to be written, unescaped (RFC 4515 section 3); NULL: it is another. */
static char *
written_of_filter(struct cm_blob f)
{
	const uint8_t *equals = memchr(f.ptr, '=', f.len);
	char attribute[128] = "", *line = NULL;
	struct cm_buf value = { 0 };
	size_t i = 0;
	uint8_t byte;

	if (equals == NULL || f.len < 4 || (size_t)(equals - f.ptr) >= sizeof(attribute) || f.ptr[0] != '(')
		return NULL;
	memcpy(attribute, f.ptr + 1, (size_t)(equals - f.ptr) - 1);
	for (i = (size_t)(equals - f.ptr) + 1; i + 1 < f.len && strchr("()*", f.ptr[i]) == NULL; i++) {
		if (f.ptr[i] == '\\' && i + 3 < f.len &&
		    cm_hex_parse((struct cm_blob){ f.ptr + i + 1, 2 }, &byte, 1) == 2) {
			cm_buf_add_byte(&value, byte);
			i += 2;
		} else {
			cm_buf_add_byte(&value, f.ptr[i]);
		}
	}
	/* RFC 4512 section 1.4, keystring; "&(a", "a:", "a~" are none. */
	if (i + 1 == f.len && f.ptr[i] == ')' && is_text(cm_buf_blob(&value)) && attribute[strspn(attribute,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.;")] == '\0')
		line = written(attribute, cm_buf_blob(&value));
	cm_buf_free(&value);
	return line;
}

char *
cm_explain_value(const struct cm_explaining *x)
{
	const struct cm_query_term *best = NULL;

	for (size_t i = 0; x->query != NULL && i < x->query->count; i++) {
		const struct cm_query_term *t = &x->query->terms[i];

		if (t->attribute != NULL && !t->pairing && !t->local && is_text(t->value) &&
		    (best == NULL || (best->strength == CM_WEAK && t->strength == CM_STRONG)))
			best = t;
	}
	if (best != NULL)
		return written(best->attribute, best->value);
	for (size_t i = 0; x->query != NULL && i < x->query->count; i++) {
		char *line = x->query->terms[i].attribute == NULL ? written_of_filter(x->query->terms[i].value) : NULL;

		if (line != NULL)
			return line;
	}
	return x->query != NULL ? written("what this filter asks for", x->query->terms[0].value) : cm_explain_rule(x);
}

char *
cm_explain_rule(const struct cm_explaining *x)
{
	struct cm_buf b = { 0 };
	const struct cm_form *f = best_form(x->in->cert, &b);
	char *value = NULL, *line = NULL;

	if (f == NULL)
		line = cm_explain_text("have the card issued with what the rules ask for");
	else if ((value = written(f->attribute, cm_buf_blob(&b))) != NULL)
		line = cm_explain_text("change that rule, or add one that this card fits: rule \"%s\" { attribute = "
		    "'%s' value = '%s' }, and write %s", f->name, f->attribute, f->value, value);
	free(value);
	cm_buf_free(&b);
	return line;
}
