/* tests/fuzz/fuzz_rules.c - a hostile certificate through the rules: the filter stays one value each. */
#include <stdlib.h>

#include "mapper/rules_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Only the parentheses and the equals sign of the filter itself may stand bare. */
static void
check_filter(const struct cm_query *q)
{
	struct cm_buf b;
	size_t open = 0;

	cm_buf_init(&b, 0);
	cm_query_filter(q, &b);
	if (cm_buf_status(&b) != CM_OK)
		abort();
	for (size_t i = 0; i < b.len; i++) {
		if (b.ptr[i] == '*' || b.ptr[i] == '\0' || b.ptr[i] >= 0x80)
			abort();
		open += b.ptr[i] == '(';
	}
	if (open != q->count + (q->count > 1))
		abort();
	cm_buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cm_rules_options o = { .domain = NULL };
	const struct cm_conf_rule two_fields = {
		.name = (char *)"two fields", .attribute = (char *)"email",
		.value = (char *)"{common_name}-{rfc822_name}", .priority = CM_RULE_PRIORITY_LAST,
	};
	struct cm_rules *rules[2] = { NULL, NULL };
	struct cm_query *q = NULL;
	struct cm_cert *c = NULL;

	if (cm_cert_decode((struct cm_blob){ data, size }, NULL, &c) != CM_OK)
		return 0;
	if (cm_rules_new(&o, &rules[0]) != CM_OK || cm_rules_add_forms(rules[0], NULL) != CM_OK ||
	    cm_rules_new(&o, &rules[1]) != CM_OK || cm_rules_add(rules[1], &two_fields, 1, NULL) != CM_OK)
		abort();
	for (size_t i = 0; i < CM_COUNT(rules); i++) {
		if (cm_rules_map(rules[i], c, NULL, &q) == CM_OK)
			check_filter(q);
		cm_query_free(&q);
		cm_rules_free(&rules[i]);
	}
	cm_cert_free(&c);
	return 0;
}
