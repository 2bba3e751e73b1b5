/* tests/fuzz/fuzz_ldif.c - LDIF files: the parser, and its index. */
#include <stdlib.h>

#include "ldap/directory_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every value is found again under its own name, and lies inside the text. */
static void
check(const struct cm_ldif *l)
{
	const uint8_t *start = l->text.ptr, *end = start + l->text.len;
	size_t values = 0;

	for (size_t i = 0; i < l->entry_count; i++) {
		const struct cm_entry *e = &l->entries[i];

		values += e->count;
		if (e->dn.len == 0 || e->count < 2 || l->lines[i] == 0)
			abort();
		for (size_t k = 0; k < e->count; k++) {
			const struct cm_blob v = e->values[k].value;

			if (v.len > 0 && (v.ptr < start || v.ptr + v.len > end))
				abort();
			if (cm_value_compare(v, v) != 0)
				abort();
		}
	}
	if (values != l->count)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_ldif *l = NULL;
	struct cm_buf text;

	cm_buf_init(&text, 0);
	cm_buf_add(&text, data, size);
	if (cm_ldif_parse(&text, "fuzz.ldif", NULL, &l) == CM_OK)
		check(l);
	cm_ldif_free(&l);
	cm_buf_free(&text);
	return 0;
}
