/* tests/fuzz/fuzz_ocsp.c - OCSP answers, parsed and judged for a fixed issuer. */
#include <openssl/ocsp.h>
#include <stdlib.h>

#include "tests/trust/fuzz_pki.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cm_trust tr;
	static const struct cm_known known = { .now = FUZZ_NOW };
	struct cm_question q = fuzz_question(&tr, &known);
	struct cm_ocsp_request *request = NULL;
	enum cm_status status;

	if (cm_ocsp_request_new(&q, &request) != CM_OK)
		abort();
	status = cm_ocsp_judge(&q, (struct cm_blob){ data, size }, request, true);
	/* Unknown has a reason, and a good answer has its dates. */
	if (status == CM_STATUS_UNKNOWN && (q.why.len == 0 || q.objection == CM_OBJECTION_NONE))
		abort();
	if (status == CM_STATUS_GOOD && (q.answer.this_update == 0 ||
	    q.answer.this_update > FUZZ_NOW + CM_CLOCK_SKEW))
		abort();
	cm_ocsp_request_free(&request);
	X509_free(q.cert);
	X509_free(q.issuer);
	cm_buf_free(&q.why);
	return 0;
}
