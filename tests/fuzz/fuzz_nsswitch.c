/* tests/fuzz/fuzz_nsswitch.c - any file is nsswitch.conf: what comes of it names modules, and leads nowhere else. */
#include <stdlib.h>
#include <string.h>

#include "service/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_buf out = { 0 };
	size_t count = 0;

	cm_names_sources((struct cm_blob){ data, size }, "passwd", &out);
	cm_names_sources((struct cm_blob){ data, size }, "group", &out);
	for (size_t i = 0; i < out.len; i++) {
		if (strchr("./\\:%\n\"", out.ptr[i]) != NULL)	/* strchr() finds a NUL too */
			abort();
		count += out.ptr[i] == ' ';
	}
	if (count > 2 * (size_t)CM_NAMES_SOURCES_MAX)
		abort();
	cm_buf_free(&out);
	return 0;
}
