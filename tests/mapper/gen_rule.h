/* tests/mapper/gen_rule.h - rules of sss-certmap(5) at random, and broken ones. */
#ifndef CM_TESTS_GEN_RULE_H
#define CM_TESTS_GEN_RULE_H

#include "gen_cert.h"

/* out is emptied first. */
void gen_map(struct gen *g, struct cm_buf *out);
void gen_match(struct gen *g, struct cm_buf *out);

/* Add one field, "{...}", of LDAPU1. */
void gen_field(struct gen *g, struct cm_buf *out);

/* Match and map parts for the differences that are too seldom otherwise. */
extern const char *const gen_special[][2];
extern const size_t gen_special_count;

#endif /* CM_TESTS_GEN_RULE_H */
