/* tests/fuzz/fuzz_pam_pkcs11.c - pam_pkcs11.conf, and what is written of it. */
#include <stdlib.h>

#include "mapper/pam_pkcs11_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Texts that were not given are NULL; those that were, whole. */
static void
check(const struct cm_import *i)
{
	struct cm_buf text;

	for (size_t k = 0; k < i->rule_count; k++) {
		const struct cm_conf_rule *r = &i->rules[k];

		if (r->name == NULL || (r->filter == NULL) == (r->attribute == NULL || r->value == NULL))
			abort();
	}
	for (size_t k = 0; k < i->setting_count; k++)
		if (i->settings[k].values == NULL || i->settings[k].values[0] == NULL)
			abort();
	cm_buf_init(&text, 0);
	if (cm_import_write(i, &text) != CM_OK)
		abort();
	cm_buf_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_import *i = NULL;
	struct cm_trace *t = NULL;
	enum cm_err err;

	if (cm_trace_new(&t) != CM_OK)
		abort();
	err = cm_pam_pkcs11_read((struct cm_blob){ data, size }, "f", "pc.example.org", t, &i);
	if (err == CM_OK)
		check(i);
	else if (i != NULL || cm_trace_reason(t) != CM_REASON_CONFIG)
		abort();
	cm_import_free(&i);
	cm_trace_free(&t);
	return 0;
}
