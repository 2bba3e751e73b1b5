/* tests/fuzz/fuzz_entered.c - who came in by which card, as it is kept: what is read is within its limits, and is written as it was. */
#include <stdlib.h>

#include "cardmapd/removal_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct cm_entered *a, const struct cm_entered *b)
{
	if (strcmp(a->card, b->card) != 0 || strcmp(a->user, b->user) != 0 || strcmp(a->session, b->session) != 0 ||
	    strcmp(a->reader, b->reader) != 0 || a->uid != b->uid || a->pid != b->pid || a->started != b->started)
		abort();
	if (a->uid == (uid_t)-1 || a->pid < 0 || a->due != INT64_MAX || a->lost || a->failed != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_entered_list list, again;
	char *text;

	if (!cm_entered_parse((struct cm_blob){ data, size }, &list)) {
		if (list.count != 0)
			abort();
		return 0;
	}
	if (list.count > CM_ENTERED_MAX || (text = cm_entered_text(&list)) == NULL ||
	    !cm_entered_parse((struct cm_blob){ (const uint8_t *)text, strlen(text) }, &again) || again.count != list.count)
		abort();
	for (size_t i = 0; i < list.count; i++)
		check(&list.rows[i], &again.rows[i]);
	free(text);
	return 0;
}
