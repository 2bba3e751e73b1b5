/* mapper/try.c - one certificate against one rule, as sss-certmap(5) has them. */
#include "mapper/rules_internal.h"

#include <stdlib.h>

#define DEFAULT_MATCH	"<KU>digitalSignature<EKU>clientAuth"
#define DEFAULT_MAP	"LDAP:(userCertificate;binary={cert!bin})"

/* A mapping rule without a prefix is LDAP's; ours, a filter without one, is not. */
static enum cm_err
filter_text(const char *map, char **out)
{
	struct cm_buf b;

	cm_buf_init(&b, 0);
	if (map == NULL)
		map = DEFAULT_MAP;
	else if (strncmp(map, "LDAP:", 5) != 0 && strncmp(map, "LDAPU1:", 7) != 0)
		cm_buf_add_str(&b, "LDAP:");
	cm_buf_add_str(&b, map);
	*out = cm_buf_take(&b);
	return *out != NULL ? CM_OK : CM_ERR_NOMEM;
}

/* The answer of rules that hold this one rule. */
static enum cm_err
ask(const struct cm_rules *r, const struct cm_cert *c, enum cm_rule_answer *answer,
    struct cm_buf *out)
{
	struct cm_query *q = NULL;
	struct cm_trace *t = NULL;
	enum cm_err err;

	if ((err = cm_trace_new(&t)) != CM_OK)
		return err;
	err = cm_rules_map(r, c, t, &q);
	if (err == CM_OK) {
		*answer = CM_RULE_MATCH;
		cm_query_filter(q, out);
	} else if (err == CM_ERR_ABSENT) {
		*answer = CM_RULE_NO_MATCH;
		err = CM_OK;
	} else if (err == CM_ERR_CONFIG) {
		*answer = CM_RULE_ERROR;
		cm_buf_add_str(out, cm_trace_message(t));
		err = CM_OK;
	}
	cm_query_free(&q);
	cm_trace_free(&t);
	return err;
}

enum cm_err
cm_rules_test(const char *match, const char *map, const struct cm_cert *c,
    enum cm_rule_answer *answer, struct cm_buf *out)
{
	const struct cm_rules_options o = { .domain = NULL };
	struct cm_conf_rule rule = {
		.name = (char *)"test", .match = (char *)(match != NULL ? match : DEFAULT_MATCH),
		.priority = CM_RULE_PRIORITY_LAST,
	};
	struct cm_rules *r = NULL;
	struct cm_rule_report report = { .trace = NULL };
	enum cm_err err;

	*answer = CM_RULE_ERROR;
	if ((err = filter_text(map, &rule.filter)) != CM_OK || (err = cm_rules_new(&o, &r)) != CM_OK)
		goto out;
	if ((err = cm_rules_add_one(r, &rule, NULL, &report)) == CM_OK &&
	    (err = cm_rules_index(r)) == CM_OK)
		err = ask(r, c, answer, out);
	else if (err == CM_ERR_CONFIG)
		err = CM_OK;
	cm_buf_add_blob(out, cm_buf_blob(&report.first));
	if (err == CM_OK)
		err = cm_buf_status(out);
out:
	cm_buf_free(&report.first);
	cm_rules_free(&r);
	free(rule.filter);
	return err;
}
