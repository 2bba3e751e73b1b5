/* ldap/facts.c - what is said of whether an account must use a card, made, compared and kept. */
#include "ldap/facts.h"

#include <string.h>

struct cm_fact
cm_fact_make(enum cm_fact_kind kind, uint32_t value, const char *text)
{
	struct cm_fact f = { .kind = kind, .value = value };
	struct cm_buf b = { 0 };
	size_t len = 0, one;

	cm_buf_add_printable(&b, cm_blob_str(text != NULL ? text : ""));
	/* cut between characters: what is printable stays so */
	while (len < b.len && (one = cm_utf8_length(b.ptr + len, b.len - len)) > 0 && len + one < sizeof(f.text))
		len += one;
	if (len > 0)
		memcpy(f.text, b.ptr, len);
	cm_buf_free(&b);
	return f;
}

bool
cm_fact_equal(const struct cm_fact *a, const struct cm_fact *b)
{
	return a->kind == b->kind && a->value == b->value && strcmp(a->text, b->text) == 0;
}

/* kind, value (little end first), length of the text, text */
static void
pack(const struct cm_fact *f, struct cm_buf *out)
{
	const size_t len = strnlen(f->text, sizeof(f->text) - 1);

	cm_buf_add_byte(out, (uint8_t)f->kind);
	for (unsigned i = 0; i < 4; i++)
		cm_buf_add_byte(out, (uint8_t)(f->value >> 8 * i));
	cm_buf_add_byte(out, (uint8_t)len);
	cm_buf_add(out, f->text, len);
}

static bool
unpack(struct cm_blob *left, struct cm_fact *out)
{
	const uint8_t *p = left->ptr;
	struct cm_fact made;
	size_t len;

	if (left->len < 6 || p[0] > CM_FACT_MALFORMED || (len = p[5]) >= sizeof(out->text) || left->len < 6 + len)
		return false;
	*out = (struct cm_fact){ .kind = p[0], .value = (uint32_t)p[1] | (uint32_t)p[2] << 8 | (uint32_t)p[3] << 16 | (uint32_t)p[4] << 24 };
	memcpy(out->text, p + 6, len);
	*left = (struct cm_blob){ p + 6 + len, left->len - 6 - len };
	made = cm_fact_make(out->kind, out->value, out->text);
	return cm_fact_equal(&made, out) && strlen(out->text) == len;
}

void
cm_facts_pack(const struct cm_facts *f, struct cm_buf *out)
{
	pack(&f->attribute, out);
	pack(&f->control, out);
	pack(&f->group, out);
	pack(&f->mapped, out);
	if (f->name[0] == '\0')
		return;
	cm_buf_add_byte(out, (uint8_t)strlen(f->name));
	cm_buf_add_str(out, f->name);
}

static bool
is_name(struct cm_blob v)
{
	struct cm_buf text = { 0 };
	bool same;

	cm_buf_add_printable(&text, v);
	same = v.len < CM_FACT_NAME && cm_blob_equal(cm_buf_blob(&text), v);
	cm_buf_free(&text);
	return same;
}

void
cm_facts_set_name(struct cm_facts *f, struct cm_blob name)
{
	const size_t len = is_name(name) ? name.len : 0;

	memset(f->name, 0, sizeof(f->name));
	if (len > 0)
		memcpy(f->name, name.ptr, len);
}

/* At the end, where there is one: its length, and it. */
static bool
unpack_name(struct cm_blob left, struct cm_facts *out)
{
	const struct cm_blob name = { left.ptr + 1, left.len - 1 };

	memset(out->name, 0, sizeof(out->name));
	if (left.len == 0)
		return true;
	if (left.len == 1 || left.ptr[0] != name.len || !is_name(name))
		return false;
	cm_facts_set_name(out, name);
	return true;
}

bool
cm_facts_unpack(struct cm_blob octets, struct cm_facts *out)
{
	const bool whole = unpack(&octets, &out->attribute) && unpack(&octets, &out->control) &&
	    unpack(&octets, &out->group) && unpack(&octets, &out->mapped) && unpack_name(octets, out);

	if (!whole)
		*out = (struct cm_facts){ .attribute.kind = CM_FACT_UNKNOWN };
	return whole;
}
