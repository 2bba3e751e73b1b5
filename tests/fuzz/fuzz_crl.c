/* tests/fuzz/fuzz_crl.c - revocation lists, read, indexed and asked for a fixed issuer; and as they are shown. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/trust/fuzz_pki.h"
#include "trust/crl_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Without a signature to be right, the fuzzer gets further; nothing of it is believed. */
static void
show(int fd)
{
	const struct cm_crl_parsing parsing = { .fd = fd, .max = 1 << 20 };
	struct cm_crl_list list = { 0 };
	struct cm_buf why;
	enum cm_err err;

	cm_buf_init(&why, 0);
	err = cm_crl_parse(&parsing, &list, &why);
	if ((err == CM_OK) != (why.len == 0))
		abort();
	if (err == CM_OK && (list.about.width < 1 || list.about.width > CM_CRL_SERIAL_MAX || list.about.issuer.len == 0))
		abort();
	cm_crl_list_free(&list);
	cm_buf_free(&why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cm_trust tr = { .o.crl_max = 1 << 20 };
	static const struct cm_known known = { .now = FUZZ_NOW };
	struct cm_question q = fuzz_question(&tr, &known);
	const int fd = memfd_create("fuzz", MFD_CLOEXEC);
	enum cm_status status;
	char path[64];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
	    cm_evidence_name(q.cert, q.issuer, &q.answer) != CM_OK)
		abort();
	show(fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	status = cm_crl_ask_file(&q, path);
	/* Unknown has a reason, and a good answer has its dates. */
	if ((status == CM_STATUS_UNKNOWN) != (q.why.len > 0))
		abort();
	if (status == CM_STATUS_GOOD && (q.answer.this_update == 0 ||
	    q.answer.this_update > FUZZ_NOW + CM_CLOCK_SKEW))
		abort();
	close(fd);
	X509_free(q.cert);
	X509_free(q.issuer);
	cm_buf_free(&q.why);
	return 0;
}
