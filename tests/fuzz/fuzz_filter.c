/*
 * tests/fuzz/fuzz_filter.c - search filters: the parser, and the judge.
 *
 * Input: a filter's text.  It is judged on an entry with a value of each kind.
 */
#include <stdlib.h>

#include "ldap/directory_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define V(attribute, value)	{ { (const uint8_t *)(attribute), sizeof(attribute) - 1 }, \
	{ (const uint8_t *)(value), sizeof(value) - 1 } }

static const struct cm_value values[] = {
	V("objectClass", "person"), V("uid", "alice"), V("cn", "Alice  Example"), V("mail;x-work", "a@b.test"),
	V("uidNumber", "10001"), V("userAccountControl", "514"), V("userCertificate;binary", "\x30\0\x41"),
	V("description", ""),
};
static const struct cm_entry entry = {
	.dn = { (const uint8_t *)"uid=alice", 9 }, .values = values, .count = CM_COUNT(values),
};

static enum cm_judgement
judge(const struct cm_filter *f, bool all_shown)
{
	const struct cm_filter_node *part;
	enum cm_judgement j;

	if (cm_filter_judge(f, &entry, all_shown, &j, &part) != CM_OK)
		abort();
	if ((part != NULL) != (j == CM_JUDGED_HIDDEN || j == CM_JUDGED_UNKNOWN))
		abort();
	return j;
}

/* Each part, read alone, is the same part; what a file hides it does not have. */
static void
check(const struct cm_filter *f)
{
	if (f->count == 0 || f->count > CM_FILTER_NODES || f->nodes[0].end != f->count)
		abort();
	if (judge(f, true) == CM_JUDGED_HIDDEN)
		abort();
	for (size_t i = 0; i < f->count; i++) {
		const struct cm_filter_node *n = &f->nodes[i];
		struct cm_filter_mistake m;
		struct cm_filter *again = NULL;

		if (n->end <= i || n->end > f->count)
			abort();
		if (cm_filter_parse(n->text, &m, &again) != CM_OK || again->count != n->end - i)
			abort();
		if (i == 0 && (judge(again, false) != judge(f, false) || judge(again, true) != judge(f, true)))
			abort();
		cm_filter_free(&again);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cm_blob text = { data, size };
	struct cm_filter_mistake m = { 0, NULL };
	struct cm_filter *f = NULL;

	if (cm_filter_parse(text, &m, &f) == CM_OK)
		check(f);
	else if (f != NULL || m.what == NULL || m.column == 0 || m.column > size + 1)
		abort();
	cm_filter_free(&f);
	return 0;
}
