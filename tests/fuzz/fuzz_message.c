/* tests/fuzz/fuzz_message.c - any octets are one message, said the same again, or none. */
#include <stdlib.h>

#include "service/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_message m;
	struct cm_trace *t = NULL;
	struct cm_buf said = { 0 };

	if (cm_message_read((struct cm_blob){ data, size }, &m) != CM_OK) {
		require(m.kind == CM_MESSAGE_NONE && m.account == NULL && m.items.rows == NULL);
		return 0;
	}
	require(cm_message_write(&m, &said) == CM_OK);
	require(cm_blob_equal(cm_buf_blob(&said), (struct cm_blob){ data, size }));
	if (cm_trace_new(&t) == CM_OK) {
		cm_trace_begin(t, "stage");
		require((cm_message_reported(&m, t) == CM_OK) == (m.err == CM_OK && m.reason == CM_REASON_NONE));
	}
	cm_trace_free(&t);
	cm_buf_free(&said);
	cm_message_clear(&m);
	return 0;
}
