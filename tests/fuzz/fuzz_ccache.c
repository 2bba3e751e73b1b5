/* tests/fuzz/fuzz_ccache.c - what comes as a packed ticket: only one that is read to its last octet is written. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "krb5/ccache_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_buf why = { 0 };
	const enum cm_err err = cm_ccache_write("MEMORY:fuzz", "alice@CARDMAP.TEST", (struct cm_blob){ data, size }, &why);

	assert(err != CM_ERR_STATE && (err == CM_OK) == (why.len == 0));
	cm_buf_free(&why);
	return 0;
}
