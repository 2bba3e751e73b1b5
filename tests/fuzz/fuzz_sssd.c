/* tests/fuzz/fuzz_sssd.c - sssd.conf, as SSSD would read it. */
#include "import_again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_import *r = NULL;
	struct cm_trace *t = NULL;
	enum cm_err err;

	if (cm_trace_new(&t) != CM_OK)
		return 0;
	cm_trace_begin(t, "sssd");
	err = cm_import_sssd((struct cm_blob){ data, size }, "f", t, &r);
	/* A refusal says why; success gives an import. */
	if ((err == CM_OK) != (r != NULL) ||
	    (err == CM_ERR_CONFIG) != (cm_trace_reason(t) == CM_REASON_CONFIG))
		abort();
	if (r != NULL)
		import_again(r);
	cm_import_free(&r);
	cm_trace_free(&t);
	return 0;
}
