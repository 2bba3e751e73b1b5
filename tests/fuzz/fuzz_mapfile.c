/* tests/fuzz/fuzz_mapfile.c - a hostile map file: no line speaks for a value that is not its key. */
#include <stdlib.h>

#include "mapper/mapfile_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each literal key leads to a value, and it is one of the file's; a key with a NUL to none. */
static void
try_value(const struct cm_map_file *m, struct cm_blob file, struct cm_blob value)
{
	struct cm_blob out = { NULL, 0 };
	const enum cm_err err = cm_map_file_find(m, value, NULL, &out);

	if (err == CM_OK && (out.len == 0 || memmem(file.ptr, file.len, out.ptr, out.len) == NULL))
		abort();
	if (err == CM_OK && memchr(value.ptr, '\0', value.len) != NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cm_blob file = { data, size };
	struct cm_regexes *re = NULL;
	struct cm_map_file *m = NULL;

	if (cm_regexes_new(false, &re) != CM_OK)
		abort();
	if (cm_map_file_parse(file, "f", re, size % 2 == 0, NULL, &m) == CM_OK) {
		const uint8_t *p = data, *const end = data + size;

		for (int i = 0; i < 8 && p < end; i++) {
			const uint8_t *stop = memmem(p, (size_t)(end - p), " -> ", 4);
			const size_t len = stop != NULL ? (size_t)(stop - p) : (size_t)(end - p);

			if (len > 0)
				try_value(m, file, (struct cm_blob){ p, len });
			p += len + 4 < (size_t)(end - p) ? len + 4 : (size_t)(end - p);
		}
	}
	cm_map_file_free(&m);
	cm_regexes_free(&re);
	return 0;
}
