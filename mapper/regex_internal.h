/* mapper/regex_internal.h - POSIX extended expressions in a child with little memory and time */
#ifndef CM_MAPPER_REGEX_INTERNAL_H
#define CM_MAPPER_REGEX_INTERNAL_H

#include "mapper/template_internal.h"

struct cm_regexes;

CM_MUST_USE enum cm_err cm_regexes_new(bool back_references, struct cm_regexes **out);
void cm_regexes_free(struct cm_regexes **r);
/*
 * Compile.  *id is for cm_regexes_match().  Literal text, anchored or not, is
 * matched here; for anything else the child is started.
 * CM_ERR_SYNTAX  why: what regcomp() says, or "back-references are not allowed"
 * CM_ERR_CONFIG  too much memory or time
 */
CM_MUST_USE enum cm_err cm_regexes_add(struct cm_regexes *r, struct cm_blob pattern, size_t *id,
    struct cm_syntax *why);
/* CM_OK: it matches; CM_ERR_ABSENT: it does not; CM_ERR_CONFIG: RULE_REGEX, limits. */
CM_MUST_USE enum cm_err cm_regexes_match(struct cm_regexes *r, size_t id, struct cm_blob text,
    struct cm_trace *t);

#endif /* CM_MAPPER_REGEX_INTERNAL_H */
