/* service/explain.h - why a card leads to no account, or to another than expected: for people. */
#ifndef CM_SERVICE_EXPLAIN_H
#define CM_SERVICE_EXPLAIN_H

#include "mapper/diagnose.h"
#include "service/host.h"

/* Most values that are shown beside what they should be. */
#define CM_EXPLAIN_MAX	8

/* A value that some account has, and what is wrong with it. */
struct cm_explained_value {
	char *dn;
	struct cm_near_miss *miss;
};

/* All owned by the struct. */
struct cm_explanation {
	char *cause;	/* for programs: "serial_not_reversed", "account_disabled", ... */
	char *text;	/* the cause in a sentence, naming account and value */
	char *mend;	/* the value to write, the key to set, or the command to run */
	struct cm_explained_value values[CM_EXPLAIN_MAX];	/* nearest first */
	size_t count;
};

/*
 * What is to be explained, all borrowed.  found is the account that the card
 * leads to, or NULL; user is the one it was expected to lead to, or NULL.
 */
struct cm_explain {
	const struct cm_host *host;
	const struct cm_cert *cert;
	const struct cm_account *found;
	const char *user;
	const char *why;	/* what the stage that looked for the account said; "" when it found one */
	enum cm_reason reason;	/* with which it ended */
};

/*
 * Searches of the directory, bounded in number, entries and time, that only
 * read.  What they find is shown and never accepted.
 * CM_OK           *out is the caller's
 * CM_ERR_OFFLINE  and what else cm_directory_look() returns, with its reason
 */
CM_MUST_USE enum cm_err cm_explain_account(const struct cm_explain *e, cm_deadline deadline,
    struct cm_trace *t, struct cm_explanation **out);
/*
 * The same after cm_login_explain(), which ended with err and left its stages
 * in t: where the directory answered with no account, with a wrong one, or with
 * one that may not enter, a second look is worth it, as a stage "near misses".
 * kept: the account is the kept one.  e's why and reason are taken from t.
 * *out is the caller's, or NULL: there is nothing to explain, or it was not looked into (the stage says why).
 */
void cm_explain_login(const struct cm_explain *e, enum cm_err err, bool kept, struct cm_trace *t,
    struct cm_explanation **out);
void cm_explanation_free(struct cm_explanation **x);

#endif /* CM_SERVICE_EXPLAIN_H */
