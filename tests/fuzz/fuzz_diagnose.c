/* tests/fuzz/fuzz_diagnose.c - any value of a directory beside any certificate: two bytes of length, the value, DER. */
#include <stdlib.h>

#include "mapper/diagnose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct cm_near_miss *m)
{
	if (m->cause_count > CM_CAUSES_MAX || m->wanted == NULL || m->stored == NULL)
		abort();
	for (size_t i = 0; i < m->cause_count; i++)
		if (m->causes[i] == NULL || m->causes[i]->text[0] == '\0')
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_query_term term = { .rule = (char *)"r", .attribute = (char *)"altSecurityIdentities" };
	const struct cm_query q = { .terms = &term, .count = 1 };
	struct cm_near_miss *m = NULL;
	struct cm_query *variants = NULL;
	struct cm_cert *c = NULL;
	size_t len;

	if (size < 2 || (len = (size_t)data[0] << 8 | data[1]) > size - 2)
		return 0;
	if (cm_cert_decode((struct cm_blob){ data + 2 + len, size - 2 - len }, NULL, &c) != CM_OK)
		return 0;
	term.value = (struct cm_blob){ data + 2, len };
	if (cm_diagnose_value(c, &q, "altSecurityIdentities", term.value, &m) == CM_OK)
		check(m);
	cm_near_miss_free(&m);
	if (len > 0 && cm_diagnose_variants(&q, 64, &variants) == CM_OK && variants->count > 64)
		abort();
	cm_query_free(&variants);
	cm_cert_free(&c);
	return 0;
}
