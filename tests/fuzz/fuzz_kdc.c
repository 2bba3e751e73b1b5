/* tests/fuzz/fuzz_kdc.c - KDC addresses, as people write them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "krb5/pkinit_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct cm_kdc k;

	if (text == NULL)
		return 0;
	if (cm_kdc_parse(text, &k) == CM_OK) {
		assert(k.host[0] != '\0' && strlen(k.host) <= strlen(text));
		assert(k.port[0] != '\0' && strspn(k.port, "0123456789") == strlen(k.port));
	}
	cm_kdc_free(&k);
	free(text);
	return 0;
}
