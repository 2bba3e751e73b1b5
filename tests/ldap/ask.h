/* tests/ldap/ask.h - queries made by hand, and directories asked with them. */
#ifndef CM_TESTS_LDAP_ASK_H
#define CM_TESTS_LDAP_ASK_H

#include "ldap/directory.h"

/* A variable that the rig sets; fails the test outside it. */
const char *rig(const char *name);
/* The path of a file of the rig's certificates; borrowed until the next call. */
const char *pki(const char *file);
/* Lines of a file, a log, that hold the text. */
unsigned lines_with(const char *path, const char *text);
/* A cmocka set-up: the only name server of this process never answers, in a mount namespace of its own. */
int silence_the_resolver(void **state);

/* One term or two; the texts are borrowed.  attribute2 may be NULL. */
struct ask {
	struct cm_query query;
	struct cm_query_term terms[2];
};
const struct cm_query *ask_for(struct ask *a, const char *attribute, const char *value,
    const char *attribute2, const char *value2);

/* What a find ended with; released by answer_free. */
struct answer {
	enum cm_err err;
	enum cm_reason reason;
	struct cm_trace *trace;
	struct cm_account *account;
};
struct answer find(struct cm_directory *d, const char *attribute, const char *value);
struct answer find_query(struct cm_directory *d, const struct cm_query *q, unsigned ms);
struct answer find_user(struct cm_directory *d, const struct cm_query *q, const char *user, unsigned ms);
void answer_free(struct answer *a);

/* Fails the test unless the answer is this; prints what it was. */
void expect(struct answer *a, enum cm_reason reason, const char *text);

/* Open what must open; or expect it to fail with reason and a text that holds text. */
struct cm_directory *must_open(const struct cm_directory_options *o);
void must_not_open(const struct cm_directory_options *o, enum cm_reason reason, const char *text);

/* "a(1) b(2)": the groups in the order of their names. */
const char *groups_of(const struct cm_account *a);
bool trace_has(const struct cm_trace *t, const char *key, const char *text);

#endif /* CM_TESTS_LDAP_ASK_H */
