/*
 * tests/fuzz/fuzz_ruletext.c - a rule as it is written, and a certificate
 * through it: what compiles makes one filter that stays one among others.
 * The first three lines are match, issuer and upn_suffix ("": not given); then
 * a filter, or an attribute, "=" and a template; then a NUL and the certificate.
 */
#include <stdlib.h>

#include "mapper/rules_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next line of text, cut off; NULL: it is empty. */
static char *
line(char **text)
{
	char *start = *text, *end = strchrnul(start, '\n');

	*text = *end == '\n' ? end + 1 : end;
	*end = '\0';
	return start[0] != '\0' ? start : NULL;
}

/* Parentheses are balanced, the first closes with the last, and nothing in between is a NUL. */
static void
check_filter(const struct cm_query *q)
{
	struct cm_buf b;
	size_t depth = 0;

	cm_buf_init(&b, 0);
	cm_query_filter(q, &b);
	if (cm_buf_status(&b) != CM_OK || b.len < 2 || b.ptr[0] != '(' || b.ptr[b.len - 1] != ')')
		abort();
	for (size_t i = 0; i < b.len; i++) {
		if (b.ptr[i] == '\0' || (b.ptr[i] == ')' && depth == 0))
			abort();
		depth += b.ptr[i] == '(';
		depth -= b.ptr[i] == ')';
		if (depth == 0 && i + 1 < b.len)
			abort();
	}
	if (depth != 0)
		abort();
	cm_buf_free(&b);
}

static void
map(const struct cm_rules *r, const struct cm_cert *c, struct cm_trace *t)
{
	struct cm_query *q = NULL, *again = NULL;
	const enum cm_err err = cm_rules_map(r, c, t, &q);

	if ((err == CM_OK) != (q != NULL))
		abort();
	if (q != NULL)
		check_filter(q);
	if (cm_rules_explain(r, c, t, &again) != err)
		abort();
	cm_query_free(&again);
	cm_query_free(&q);
}

/* Expressions start a process each: fuzz_match.c is about them. */
static char *
literal(char *match)
{
	return match != NULL && strpbrk(match, "[]*+?{}|()\\") == NULL ? match : NULL;
}

static void
read_rule(char *text, struct cm_conf_rule *rule)
{
	char *equals;

	rule->match = literal(line(&text));
	rule->issuer = line(&text);
	rule->upn_suffix = line(&text);
	if (text[0] == '(' || strncmp(text, "LDAP", 4) == 0) {
		rule->filter = text;
	} else if ((equals = strchr(text, '=')) != NULL) {
		*equals = '\0';
		rule->attribute = text;
		rule->value = equals + 1;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cm_rules_options o = { .domain = "cardmap.test", .pinned = true };
	struct cm_conf_rule rule = { .name = (char *)"fuzz", .priority = CM_RULE_PRIORITY_LAST };
	char *text = strndup((const char *)data, size);
	const size_t len = strnlen((const char *)data, size);
	struct cm_rules *r = NULL;
	struct cm_trace *t = NULL;
	struct cm_cert *c = NULL;
	enum cm_err err;

	if (text == NULL || cm_trace_new(&t) != CM_OK || cm_rules_new(&o, &r) != CM_OK)
		abort();
	cm_trace_begin(t, "rules");
	read_rule(text, &rule);
	err = cm_rules_add(r, &rule, 1, t);
	if ((err == CM_OK) != (r->count == 1) ||
	    (err == CM_ERR_CONFIG) != (cm_trace_reason(t) == CM_REASON_CONFIG))
		abort();
	if (err == CM_OK && len < size &&
	    cm_cert_decode((struct cm_blob){ data + len + 1, size - len - 1 }, NULL, &c) == CM_OK)
		map(r, c, t);
	cm_cert_free(&c);
	cm_rules_free(&r);
	cm_trace_free(&t);
	free(text);
	return 0;
}
