/*
 * tests/fuzz/fuzz_local.c - passwd(5), group(5), and what people keep in their homes.
 *
 * Input: the first byte says which ("p", "g", "c" for certificates, all else
 * for ssh keys), the rest is the file.
 */
#include <stdlib.h>
#include <string.h>

#include "ldap/local_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the line held, an entry names one account and nothing of the next line. */
static enum cm_err
visit(void *arg, const struct cm_entry *e)
{
	struct cm_account *a = NULL;
	struct cm_blob name;

	(void)arg;
	if (e->dn.len == 0)
		abort();
	for (size_t i = 0; i < e->count; i++)
		if (e->values[i].value.len > 0 && memchr(e->values[i].value.ptr, '\n', e->values[i].value.len) != NULL)
			abort();
	if (cm_entry_values(e, "uid", &name) + cm_entry_values(e, "cn", &name) == 0)
		abort();
	if (cm_account_from_entry(NULL, e, NULL, &a) == CM_OK && a->principal[0] != '\0')
		abort();
	cm_account_free(&a);
	return CM_OK;
}

static bool
holds(const struct cm_entry *e)
{
	(void)e;
	return true;
}

static void
search(struct cm_blob text, bool groups)
{
	static const struct cm_directory_options o = { .first_uid = 1000 };
	static const struct cm_local local = { &o, "/nonexistent" };
	struct cm_query_term term = { .rule = (char *)(uintptr_t)"r", .value = cm_blob_str("(objectClass=*)") };
	const struct cm_query q = { .terms = &term, .count = 1 };
	struct cm_filter_mistake m;
	struct cm_filter *f = NULL;
	struct cm_search s = { .query = &q, .filters = &f, .holds = groups ? holds : NULL, .limit = 1000, .visit = visit };

	if (cm_filter_parse(term.value, &m, &f) != CM_OK || cm_local_search(&s, text, &local, NULL, NULL) != CM_OK)
		abort();
	cm_filter_free(&f);
}

/* Values lie in the text, and no two share a byte. */
static void
take(struct cm_blob from, void (*add)(struct cm_buf *, struct cm_buf *))
{
	struct cm_buf text = { 0 }, values = { 0 };
	const struct cm_value *v;
	const uint8_t *end;

	cm_buf_add_blob(&text, from);
	add(&text, &values);
	v = (const struct cm_value *)(const void *)values.ptr;
	end = text.ptr;
	for (size_t i = 0; i < values.len / sizeof(*v); i++) {
		if (v[i].value.len == 0 || v[i].value.ptr < end)
			abort();
		end = v[i].value.ptr + v[i].value.len;
		if (end > text.ptr + text.len)
			abort();
	}
	cm_buf_free(&text);
	cm_buf_free(&values);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_blob text = { data, size };

	if (size == 0)
		return 0;
	text.ptr++, text.len--;
	if (data[0] == 'p' || data[0] == 'g')
		search(text, data[0] == 'g');
	else
		take(text, data[0] == 'c' ? cm_home_certificates : cm_home_ssh_keys);
	return 0;
}
