/* mapper/match_internal.h - the match part of a rule: sss-certmap(5) */
#ifndef CM_MAPPER_MATCH_INTERNAL_H
#define CM_MAPPER_MATCH_INTERNAL_H

#include "mapper/regex_internal.h"

struct cm_match;

/*
 * Compile a matching rule of sss-certmap(5), "KRB5:" before it or not.
 * CM_ERR_SYNTAX as cm_template_parse; CM_ERR_CONFIG: the expressions' process could not be used.
 */
CM_MUST_USE enum cm_err cm_match_parse(const char *text, struct cm_regexes *re,
    struct cm_match **out, struct cm_syntax *why);
void cm_match_free(struct cm_match **m);
/*
 * CM_OK           it matches
 * CM_ERR_ABSENT   it does not; why (may be NULL) gets the component that fails, as written
 * CM_ERR_CONFIG   RULE_REGEX: an expression could not be matched within its limits
 */
CM_MUST_USE enum cm_err cm_match_test(const struct cm_match *m, const struct cm_cert *c,
    struct cm_trace *t, struct cm_buf *why);
/* The one issuer DN (RFC 4514 text) without which it cannot match, where it says so; else NULL. */
const char *cm_match_issuer(const struct cm_match *m);

#endif /* CM_MAPPER_MATCH_INTERNAL_H */
