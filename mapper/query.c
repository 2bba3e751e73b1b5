/* mapper/query.c - what a directory is asked, as an LDAP filter. */
#include "mapper/rules_internal.h"

#include <stdlib.h>

#include "mapper/fields_internal.h"

/*
 * RFC 4515 section 3: these five octets must be written as \ and two hex
 * digits, any other may.  Octets above 0x7F are too: then nothing depends on
 * whether they are well-formed UTF-8.
 */
static bool
is_plain(uint8_t c)
{
	return c != '\0' && c != '(' && c != ')' && c != '*' && c != '\\' && c < 0x80;
}

static void
add_escaped(struct cm_blob v, struct cm_buf *out)
{
	for (size_t i = 0, n; i < v.len; i += n) {
		for (n = 0; i + n < v.len && is_plain(v.ptr[i + n]);)
			n++;
		cm_buf_add(out, v.ptr + i, n);
		if (i + n == v.len)
			return;
		cm_buf_add_byte(out, '\\');
		cm_buf_add_hex(out, (struct cm_blob){ v.ptr + i + n, 1 });
		n++;
	}
}

/* A filter stands as its rule made it: what came from the certificate is escaped in it. */
static void
add_term(const struct cm_query_term *t, struct cm_buf *out)
{
	if (t->attribute == NULL) {
		cm_buf_add_blob(out, t->value);
		return;
	}
	cm_buf_add_byte(out, '(');
	cm_buf_add_str(out, t->attribute);
	cm_buf_add_byte(out, '=');
	add_escaped(t->value, out);
	cm_buf_add_byte(out, ')');
}

void
cm_query_filter(const struct cm_query *q, struct cm_buf *out)
{
	if (q->count > 1)
		cm_buf_add_str(out, "(|");
	for (size_t i = 0; i < q->count; i++)
		add_term(&q->terms[i], out);
	if (q->count > 1)
		cm_buf_add_byte(out, ')');
}

static size_t
text_size(const char *s)
{
	return s != NULL ? strlen(s) + 1 : 0;
}

static size_t
terms_size(const struct cm_query_term *terms, size_t count)
{
	size_t size = count * sizeof(*terms);

	for (size_t i = 0; i < count; i++)
		size += text_size(terms[i].rule) + text_size(terms[i].attribute) + terms[i].value.len + 1;
	return size;
}

/* Copies to *p, which moves on. */
static char *
put(char **p, const void *from, size_t len)
{
	char *start = *p;

	if (len > 0)
		memcpy(start, from, len);
	start[len] = '\0';
	*p += len + 1;
	return start;
}

static void
put_terms(struct cm_query *q, const struct cm_query_term *terms, size_t count, char **p)
{
	for (size_t i = 0; i < count; i++) {
		struct cm_query_term *t = &q->terms[q->count++];

		*t = terms[i];
		if (t->rule != NULL)
			t->rule = put(p, terms[i].rule, strlen(terms[i].rule));
		if (t->attribute != NULL)
			t->attribute = put(p, terms[i].attribute, strlen(terms[i].attribute));
		t->value.ptr = (uint8_t *)put(p, terms[i].value.ptr, terms[i].value.len);
	}
}

/* One block holds the query, its terms and their texts: one allocation for each certificate. */
enum cm_err
cm_query_make(const struct cm_query_term *a, size_t a_count, const struct cm_query_term *b,
    size_t b_count, struct cm_blob sid, struct cm_query **out)
{
	struct cm_query *q = malloc(sizeof(*q) + terms_size(a, a_count) + terms_size(b, b_count) +
	    sid.len + 1);
	char *p;

	if ((*out = q) == NULL)
		return CM_ERR_NOMEM;
	*q = (struct cm_query){ .terms = (struct cm_query_term *)(q + 1) };
	p = (char *)&q->terms[a_count + b_count];
	put_terms(q, a, a_count, &p);
	put_terms(q, b, b_count, &p);
	if (sid.len > 0)
		q->sid = put(&p, sid.ptr, sid.len);
	return CM_OK;
}

enum cm_err
cm_query_append(struct cm_query **q, const struct cm_query_term *terms, size_t count)
{
	const struct cm_query none = { .count = 0 }, *old = *q != NULL ? *q : &none;
	struct cm_query *made = NULL;

	if (count == 0)
		return CM_OK;
	if (cm_query_make(old->terms, old->count, terms, count, cm_blob_str(old->sid), &made) != CM_OK)
		return CM_ERR_NOMEM;
	free(*q);
	*q = made;
	return CM_OK;
}

enum cm_err
cm_query_set_sid(struct cm_query **q, const struct cm_cert *c)
{
	struct cm_query *made = NULL;
	struct cm_buf uri = { 0 };
	const struct cm_blob sid = cm_cert_sid(c, &uri);
	enum cm_err err = cm_buf_status(&uri);

	if (err == CM_OK)
		err = cm_query_make((*q)->terms, (*q)->count, NULL, 0, sid, &made);
	cm_buf_free(&uri);
	if (err != CM_OK)
		return CM_ERR_NOMEM;
	free(*q);
	*q = made;
	return CM_OK;
}

/* cm_query_make() made it in one block. */
void
cm_query_free(struct cm_query **q)
{
	free(*q);
	*q = NULL;
}
