/* mapper/query.c - what a directory is asked, as an LDAP filter. */
#include "mapper/mapper.h"

#include <stdlib.h>

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

static void
add_term(const struct cm_query_term *t, struct cm_buf *out)
{
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

/* cm_rules_map() made it in one block. */
void
cm_query_free(struct cm_query **q)
{
	free(*q);
	*q = NULL;
}
