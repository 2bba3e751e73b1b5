/* ldap/facts_entry.c - what an entry says of whether its account must use a card. */
#include "ldap/directory_internal.h"
#include "ldap/facts.h"

#define CONTROL	"userAccountControl"

/* RFC 4517 section 3.3.16, as MS-ADTS stores 32 bits of flags: signed. */
static bool
read_bits(struct cm_blob v, uint32_t *out)
{
	const bool minus = v.len > 1 && v.ptr[0] == '-';
	unsigned n = 0;

	if (!cm_number_parse(minus ? (struct cm_blob){ v.ptr + 1, v.len - 1 } : v, &n))
		return false;
	*out = minus ? (uint32_t)0 - n : n;
	return true;
}

static struct cm_fact
malformed(struct cm_blob v)
{
	struct cm_buf text = { 0 };
	struct cm_fact f;

	cm_buf_add_printable(&text, v);
	f = cm_fact_make(CM_FACT_MALFORMED, 0, cm_buf_str(&text));
	cm_buf_free(&text);
	return f;
}

/* RFC 4512 section 2.5.2: a value with options ("SmartCardEnforcement;x-hr") is one of the attribute too. */
static size_t
values_of(const struct cm_entry *e, const char *attribute, struct cm_blob *first)
{
	size_t n = 0;

	*first = (struct cm_blob){ NULL, 0 };
	for (size_t i = 0; i < e->count; i++)
		if (cm_attribute_answers(e->values[i].attribute, attribute) && n++ == 0)
			*first = e->values[i].value;
	return n;
}

/* One number, or it means nothing: of two nobody knows which holds. */
static struct cm_fact
number_of(const struct cm_entry *e, const char *attribute)
{
	struct cm_blob v;
	const size_t n = values_of(e, attribute, &v);
	uint32_t value = 0;

	if (n == 0)
		return cm_fact_make(CM_FACT_NONE, 0, NULL);
	if (n > 1)
		return cm_fact_make(CM_FACT_MALFORMED, 0, "several values");
	return read_bits(v, &value) ? cm_fact_make(CM_FACT_VALUE, value, attribute) : malformed(v);
}

static struct cm_fact
mapped_by(const struct cm_entry *e, const char *const *attributes)
{
	for (; attributes != NULL && *attributes != NULL; attributes++)
		for (const char *name = *attributes; name != NULL; name = cm_attribute_other_name(name))
			for (size_t i = 0; i < e->count; i++)
				if (cm_attribute_answers(e->values[i].attribute, name) && e->values[i].value.len > 0)
					return cm_fact_make(CM_FACT_VALUE, 1, *attributes);
	return cm_fact_make(CM_FACT_VALUE, 0, NULL);
}

void
cm_facts_of_entry(const struct cm_facts_question *q, const struct cm_entry *e, struct cm_facts *out)
{
	const bool asked = q->attribute != NULL && q->attribute[0] != '\0';
	struct cm_blob name;

	*out = (struct cm_facts){
		.attribute = asked ? number_of(e, q->attribute) : cm_fact_make(CM_FACT_NONE, 0, NULL),
		.control = number_of(e, CONTROL),
		.group = cm_fact_make(CM_FACT_NONE, 0, NULL),
		.mapped = mapped_by(e, q->mapped),
	};
	if (cm_entry_values(e, "uid", &name) > 0 || cm_entry_values(e, "sAMAccountName", &name) > 0)
		cm_facts_set_name(out, name);
}

void
cm_facts_attributes(const struct cm_facts_question *q, struct cm_search *s)
{
	if (q->attribute != NULL && q->attribute[0] != '\0')
		cm_search_want(s, q->attribute);
	cm_search_want(s, CONTROL);
	for (size_t i = 0; q->mapped != NULL && q->mapped[i] != NULL; i++)
		cm_search_want(s, q->mapped[i]);
}

/* Of Active Directory, where it is a user too.  Elsewhere nobody knows the class, so that no filter may ask for those without it. */
static bool
is_computer(const struct cm_entry *e)
{
	for (size_t i = 0; i < e->count; i++)
		if (cm_attribute_is(e->values[i].attribute, "objectClass") &&
		    cm_value_compare(e->values[i].value, cm_blob_str("computer")) == 0)
			return true;
	return false;
}

enum cm_err
cm_facts_walk_entry(void *arg, const struct cm_entry *e)
{
	const struct cm_facts_walk *w = arg;
	struct cm_buf name = { 0 };
	struct cm_facts said;
	struct cm_blob v;
	enum cm_err err;

	if (is_computer(e) || (cm_entry_values(e, "uid", &v) == 0 && cm_entry_values(e, "sAMAccountName", &v) == 0))
		return CM_OK;
	cm_facts_of_entry(w->question, e, &said);
	cm_buf_add_printable(&name, v);
	if ((err = cm_buf_status(&name)) == CM_OK)
		err = w->each(w->arg, cm_buf_str(&name), &said);
	cm_buf_free(&name);
	return err;
}
