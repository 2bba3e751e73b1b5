/* tests/fuzz/fuzz_spent.c - PINs that were spent, as they are kept: what is read is within its limits, and is written as it was. */
#include <stdlib.h>
#include <string.h>

#include "cardmapd/spent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct cm_spent *a, const struct cm_spent *b)
{
	if (!cm_insertion_equal(&a->in, &b->in) || a->wrong != b->wrong || a->doubtful != b->doubtful || a->tries_before != b->tries_before)
		abort();
	if (a->wrong == 0 || a->wrong > CM_WRONG_PINS_MAX || a->doubtful > a->wrong || a->in.reader[0] == '\0')
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_spent_list list, again;
	char *text;

	if (!cm_spent_parse((struct cm_blob){ data, size }, &list)) {
		if (list.count != 0)
			abort();
		return 0;
	}
	if (list.count > CM_SPENTS_MAX || (text = cm_spent_text(&list)) == NULL ||
	    !cm_spent_parse((struct cm_blob){ (const uint8_t *)text, strlen(text) }, &again) || again.count != list.count)
		abort();
	for (size_t i = 0; i < list.count; i++)
		check(&list.rows[i], &again.rows[i]);
	free(text);
	return 0;
}
