/* service/answer.h - what a question about a card comes to, in the words of the interface io.cardmap: made and read. */
#ifndef CM_SERVICE_ANSWER_H
#define CM_SERVICE_ANSWER_H

#include <jansson.h>

#include "service/explain.h"

/* text into o, made printable: UTF-8 and nothing that moves a terminal's cursor, whoever it is from.  NULL is "". */
void cm_answer_set_text(json_t *o, const char *key, const char *text);
/* The same where there is any; NULL and "" leave o as it is. */
void cm_answer_add_text(json_t *o, const char *key, const char *text);

/* Texts are made printable.  NULL: no memory. */
json_t *cm_answer_account(const struct cm_account *a);	/* Account */
/* Outcome: how a question ended, the reason of the stage that failed (without one: of t), and the stages from first on. */
json_t *cm_answer_outcome(enum cm_err err, const struct cm_trace *t, size_t first);
/* The same, of all stages, appended as text. */
void cm_answer_write_account(const struct cm_account *a, struct cm_buf *out);
void cm_answer_write_text(const char *text, struct cm_buf *out);	/* a string, made printable */
void cm_answer_write_outcome(enum cm_err err, const struct cm_trace *t, struct cm_buf *out);
/* {cause, text, mend, near_misses: [{dn, attribute, stored, wanted, differs_at, causes: [], because: []}]}; because: causes in words */
json_t *cm_answer_explanation(const struct cm_explanation *x);

/*
 * The other way.  Whoever reads believes nothing of it: it is shown to people.
 *
 * CM_ERR_SYNTAX  it is none
 */
CM_MUST_USE enum cm_err cm_answer_read_account(const json_t *o, struct cm_account **out);
/* The stages into t, which then borrows their names from o; *err is how the question ended, and t has its reason and text. */
CM_MUST_USE enum cm_err cm_answer_read_outcome(const json_t *o, struct cm_trace *t, enum cm_err *err);

#endif /* CM_SERVICE_ANSWER_H */
