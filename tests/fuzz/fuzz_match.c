/* tests/fuzz/fuzz_match.c - a match part, a NUL, and a certificate that it is tried on. */
#include <stdlib.h>

#include "mapper/match_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Once more gives the same, and the issuer that it says it needs is the one that it got. */
static void
try_certificate(const struct cm_match *m, const struct cm_cert *c)
{
	struct cm_match_cert mc;
	struct cm_buf why;
	enum cm_err err, again;

	cm_match_cert_init(&mc, c);
	cm_buf_init(&why, 0);
	err = cm_match_test_on(m, &mc, NULL, &why);
	if ((err == CM_ERR_ABSENT) != (why.len > 0))
		abort();
	if (err == CM_OK && cm_match_issuer(m) != NULL &&
	    (cm_match_cert_issuer(&mc) == NULL || strcmp(cm_match_cert_issuer(&mc), cm_match_issuer(m)) != 0))
		abort();
	again = cm_match_test_on(m, &mc, NULL, NULL);
	if (err != CM_ERR_CONFIG && again != CM_ERR_CONFIG && again != err)	/* over a limit only now: slow, not wrong */
		abort();
	cm_buf_free(&why);
	cm_match_cert_clear(&mc);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
	const size_t len = nul != NULL ? (size_t)(nul - data) : size;
	char *rule = strndup((const char *)data, len);
	struct cm_regexes *re = NULL;
	struct cm_match *m = NULL;
	struct cm_cert *c = NULL;
	struct cm_syntax why;
	enum cm_err err;

	if (rule == NULL || cm_regexes_new(false, &re) != CM_OK)
		abort();
	err = cm_match_parse(rule, re, &m, &why);
	if (err == CM_ERR_SYNTAX && (why.column == 0 || why.column > len + 1 || why.what[0] == '\0'))
		abort();
	if (err == CM_OK && nul != NULL &&
	    cm_cert_decode((struct cm_blob){ nul + 1, size - len - 1 }, NULL, &c) == CM_OK)
		try_certificate(m, c);
	cm_cert_free(&c);
	cm_match_free(&m);
	cm_regexes_free(&re);
	free(rule);
	return 0;
}
