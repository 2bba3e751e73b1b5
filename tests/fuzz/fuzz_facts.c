/* tests/fuzz/fuzz_facts.c - any octets are four facts, kept the same again, or none; and they decide without a doubt. */
#include <stdlib.h>
#include <string.h>

#include "ldap/facts.h"

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
	static const struct cm_facts unknown = { .attribute.kind = CM_FACT_UNKNOWN };
	struct cm_facts f;
	struct cm_buf said = { 0 };

	if (!cm_facts_unpack((struct cm_blob){ data, size }, &f)) {
		require(memcmp(&f, &unknown, sizeof(f)) == 0);
		return 0;
	}
	require(size <= CM_FACTS_OCTETS_MAX);
	require(memchr(f.group.text, '\0', sizeof(f.group.text)) != NULL);
	cm_facts_pack(&f, &said);
	require(cm_blob_equal(cm_buf_blob(&said), (struct cm_blob){ data, size }));
	cm_buf_free(&said);
	return 0;
}
