/* tests/fuzz/fuzz_selector.c - a selector's answer: any bytes give clean names for keys that were asked, or a mistake. */
#include <stdlib.h>

#include "service/selector_internal.h"

#define KEYS	3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* By other means than the parser's. */
static bool
is_fit(const char *name)
{
	struct cm_buf b = { 0 };
	bool same;

	cm_buf_add_printable(&b, cm_blob_str(name));
	same = strcmp(cm_buf_str(&b), name) == 0;
	cm_buf_free(&b);
	return same && name[0] != '\0' && name[0] != '-' && strchr(name, '/') == NULL &&
	    strlen(name) <= CM_SELECTOR_NAME_MAX && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cm_selector_key keys[KEYS] = { { { 0 } }, { { 0xAA, 0xAA } }, { { 1, 2, 3 } } };
	char *users[KEYS];
	struct cm_trace *t = NULL;
	enum cm_err err;
	unsigned found = 0;

	if (cm_trace_new(&t) != CM_OK)
		abort();
	cm_trace_begin(t, "account");
	err = cm_selector_parse("/selector", (struct cm_blob){ data, size }, keys, KEYS, t, users);
	for (size_t i = 0; i < KEYS; i++) {
		if (users[i] != NULL && (err != CM_OK || !is_fit(users[i])))
			abort();
		found += users[i] != NULL;
		free(users[i]);
	}
	if ((err == CM_OK && size > 0 && found == 0) ||
	    (err != CM_OK && cm_trace_reason(t) != CM_REASON_SELECTOR))
		abort();
	cm_trace_free(&t);
	return 0;
}
