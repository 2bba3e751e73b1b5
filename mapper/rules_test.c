/* mapper/rules_test.c - one certificate against one rule, as sss-certmap(5) reads it. */
#include "mapper/rules_internal.h"
#include "mapper/sssd_internal.h"

/* CM_ERR_SYNTAX: out says what is wrong */
static enum cm_err
parse_match(const char *match, struct cm_regexes *re, struct cm_match **m, struct cm_buf *out)
{
	struct cm_syntax why = { .column = 0 };
	const enum cm_err err = cm_match_parse(match, re, m, &why);

	if (err != CM_ERR_SYNTAX && err != CM_ERR_CONFIG)
		return err;
	cm_buf_addf(out, "match: column %zu: %s", why.column, why.what);
	return CM_ERR_SYNTAX;
}

static enum cm_err
parse_map(const char *map, struct cm_template *tp, struct cm_buf *out)
{
	enum cm_dialect dialect = CM_DIALECT_LDAP;
	const char *rest = cm_template_prefix(map, &dialect);
	struct cm_syntax why = { .column = 0 };
	enum cm_err err;

	if (rest == NULL) {
		cm_buf_add_str(out, "map: unknown type of rule; expected LDAP: or LDAPU1:");
		return CM_ERR_SYNTAX;
	}
	if ((err = cm_template_parse(rest, dialect, true, tp, &why)) == CM_ERR_SYNTAX)
		cm_buf_addf(out, "map: column %zu: %s", (size_t)(rest - map) + why.column, why.what);
	return err;
}

static enum cm_err
write_map(const struct cm_template *tp, const struct cm_cert *c, enum cm_rule_answer *answer,
    struct cm_buf *out)
{
	const struct cm_segment *missing = NULL;
	const enum cm_err err = cm_template_write(tp, c, out, &missing);

	if (err == CM_OK)
		*answer = CM_RULE_MATCH;
	if (err == CM_OK || missing == NULL || err == CM_ERR_NOMEM)
		return err;
	cm_buf_addf(out, err == CM_ERR_ABSENT ? "the certificate has no %s" :
	    "the certificate's %s is not what a directory can hold", missing->ref.field->name);
	return CM_OK;
}

/* The match part; *answer stays an error when it could not be tried. */
static enum cm_err
try_match(const struct cm_match *m, const struct cm_cert *c, enum cm_rule_answer *answer,
    struct cm_buf *out)
{
	struct cm_trace *t = NULL;
	enum cm_err err;

	if ((err = cm_trace_new(&t)) != CM_OK)
		return err;
	err = cm_match_test(m, c, t, NULL);
	if (err == CM_ERR_ABSENT)
		*answer = CM_RULE_NO_MATCH;
	else if (err == CM_ERR_CONFIG)
		cm_buf_add_str(out, cm_trace_message(t));
	cm_trace_free(&t);
	return err == CM_ERR_CONFIG ? CM_ERR_SYNTAX : err;
}

/* CM_ERR_SYNTAX: the rule cannot be used, or not be tried; out says why. */
static enum cm_err
test(struct cm_regexes *re, const char *const rule[2], const struct cm_cert *c,
    enum cm_rule_answer *answer, struct cm_buf *out)
{
	struct cm_template tp = { .count = 0 };
	struct cm_match *m = NULL;
	enum cm_err err;

	*answer = CM_RULE_ERROR;
	if ((err = parse_match(rule[0] != NULL ? rule[0] : CM_SSS_MATCH, re, &m, out)) == CM_OK &&
	    (err = parse_map(rule[1] != NULL ? rule[1] : CM_SSS_MAP, &tp, out)) == CM_OK &&
	    (err = try_match(m, c, answer, out)) == CM_OK)
		err = write_map(&tp, c, answer, out);
	cm_template_clear(&tp);
	cm_match_free(&m);
	if (err == CM_ERR_ABSENT)
		err = CM_OK;
	return cm_buf_status(out) != CM_OK ? cm_buf_status(out) : err;
}

enum cm_err
cm_rules_test_with(struct cm_regexes *re, const char *const rule[2], const struct cm_cert *c,
    enum cm_rule_answer *answer, struct cm_buf *out)
{
	const enum cm_err err = test(re, rule, c, answer, out);

	return err == CM_ERR_SYNTAX && cm_buf_status(out) == CM_OK ? CM_OK : err;
}

enum cm_err
cm_rules_test(const char *match, const char *map, const struct cm_cert *c,
    enum cm_rule_answer *answer, struct cm_buf *out)
{
	struct cm_regexes *re = NULL;
	enum cm_err err;

	*answer = CM_RULE_ERROR;
	if ((err = cm_regexes_new(false, &re)) == CM_OK)
		err = test(re, (const char *const[2]){ match, map }, c, answer, out);
	cm_regexes_free(&re);
	return err == CM_ERR_SYNTAX && cm_buf_status(out) == CM_OK ? CM_ERR_CONFIG : err;
}
