/* tests/fuzz/fuzz_pem.c - files of anchors. */
#include <stdlib.h>

#include "trust/trust_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	struct cm_trace *t = NULL;
	enum cm_err err;

	if (cm_trace_new(&t) != CM_OK)
		abort();
	err = cm_pem_parse((struct cm_blob){ data, size }, "anchors.pem", t, certs);
	if (err == CM_OK && sk_X509_num(certs) == 0)
		abort();
	if (err != CM_OK && cm_trace_reason(t) != CM_REASON_CONFIG)
		abort();
	cm_trace_free(&t);
	sk_X509_pop_free(certs, X509_free);
	return 0;
}
