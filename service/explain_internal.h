/* service/explain_internal.h - what the questions of explain.c ask and tell with. */
#ifndef CM_SERVICE_EXPLAIN_INTERNAL_H
#define CM_SERVICE_EXPLAIN_INTERNAL_H

#include "service/explain.h"

#define CM_SEEN_MAX	8

/* Copies of entries; all owned by the list. */
struct cm_seen_value {
	char *attribute;
	struct cm_blob value;	/* a NUL stands behind it */
};
struct cm_seen {
	char *dn;
	struct cm_seen_value *values;
	size_t count;
};
struct cm_seen_list {
	struct cm_seen entries[CM_SEEN_MAX];
	size_t count;
};
void cm_seen_clear(struct cm_seen_list *l);
/* NULL: it has none. */
const struct cm_seen_value *cm_seen_first(const struct cm_seen *s, const char *attribute);

struct cm_explaining {
	const struct cm_explain *in;
	cm_deadline deadline;
	struct cm_trace *trace;
	struct cm_query *query;		/* what the rules ask; NULL: no rule applies */
	struct cm_account *other;	/* whom the card leads to, asked without naming anybody; owned */
	struct cm_seen_list users;	/* entries of the expected user */
	enum cm_err base_err;		/* what the search for them ended with */
	struct cm_explanation *out;
};

/* cm_directory_look(), the entries copied behind those of out. */
CM_MUST_USE enum cm_err cm_explain_look(struct cm_explaining *x, struct cm_look *l, struct cm_seen_list *out);

/* The answer: mend becomes the explanation's, NULL for out of memory.  CM_OK, CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_explain_tell(struct cm_explaining *x, const char *cause, char *mend,
    const char *fmt, ...) CM_PRINTF(4, 5);

/* What mends; the caller's, NULL for out of memory. */
char *cm_explain_text(const char *fmt, ...) CM_PRINTF(1, 2);
/* "ATTRIBUTE: VALUE", the strongest that the rules in force would find this card by. */
char *cm_explain_value(const struct cm_explaining *x);
/* Where no rule applies: a rule that does, and its value. */
char *cm_explain_rule(const struct cm_explaining *x);

#endif /* CM_SERVICE_EXPLAIN_INTERNAL_H */
