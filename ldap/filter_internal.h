/* ldap/filter_internal.h - search filters (RFC 4515), read here and judged here. */
#ifndef CM_LDAP_FILTER_INTERNAL_H
#define CM_LDAP_FILTER_INTERNAL_H

#include "base/blob.h"
#include "base/err.h"
#include "ldap/directory.h"

/* Longest filter, bytes; most parts, and how deep they may stand in each other. */
#define CM_FILTER_MAX		((size_t)64 << 10)
#define CM_FILTER_NODES		256
#define CM_FILTER_DEPTH		32

/*
 * One part of a filter: what stands between "(" and its ")".  The parts stand
 * in the order they are written in; those inside of number i are i + 1 to
 * end - 1, and end is the next beside it.
 */
struct cm_filter_node {
	const struct cm_filter_kind *kind;
	size_t end;
	struct cm_blob text;	/* as written, with its parentheses */
	const char *attribute;	/* description as written; "" where an extensible part has none */
	const char *rule;	/* of an extensible part: its matching rule, or "" */
	bool dn;		/* ... and it is about the entry's DN too */
	struct cm_blob value;	/* unescaped */
	const struct cm_blob *pieces;	/* of substrings: the first and the last may be empty */
	size_t piece_count;
};

/* All texts and values are its own, nothing points into what was parsed. */
struct cm_filter {
	char *text;		/* as it was parsed: for column numbers and the trace */
	char *store;		/* attributes, rules and values, each NUL-terminated or unescaped */
	struct cm_blob *pieces;
	size_t piece_count;
	struct cm_filter_node *nodes;
	size_t count;		/* at least 1 */
};

/* Where a filter ends to be one. */
struct cm_filter_mistake {
	size_t column;		/* from 1 */
	const char *what;	/* static: what stands there and what was expected */
};

/*
 * RFC 4515, and the spaces between parts that libldap overlooks.  "(&)" and
 * "(|)" (RFC 4526) are refused: a rule that holds for everybody is none.
 * CM_ERR_SYNTAX  *m says where and why; nothing else is set
 */
CM_MUST_USE enum cm_err cm_filter_parse(struct cm_blob text, struct cm_filter_mistake *m,
    struct cm_filter **out);
void cm_filter_free(struct cm_filter **f);

/*
 * What is known of an entry: RFC 4511 section 4.5.1.7 has three values, and
 * Undefined is two here.  The order is that of "and" (least) and "or" (greatest).
 */
enum cm_judgement {
	CM_JUDGED_FALSE,
	CM_JUDGED_HIDDEN,	/* it asks for an attribute that the entry does not show */
	CM_JUDGED_UNKNOWN,	/* only the server can tell: a matching rule of its own, ... */
	CM_JUDGED_TRUE,
};

/*
 * all_shown: the entry is whole (a file's), so that what it does not show it
 * does not have.  part becomes the first part that decides a HIDDEN or UNKNOWN,
 * NULL otherwise.
 */
CM_MUST_USE enum cm_err cm_filter_judge(const struct cm_filter *f, const struct cm_entry *e,
    bool all_shown, enum cm_judgement *out, const struct cm_filter_node **part);

/* An equality that holds for every entry that the filter holds for; NULL: there is none. */
const struct cm_filter_node *cm_filter_anchor(const struct cm_filter *f);

/* How a part is read and judged: rows of the table in filter_judge.c. */
enum cm_filter_form { CM_FILTER_AND, CM_FILTER_OR, CM_FILTER_NOT, CM_FILTER_EQUAL, CM_FILTER_PRESENT,
	CM_FILTER_SUBSTRINGS, CM_FILTER_GREATER, CM_FILTER_LESS, CM_FILTER_APPROXIMATE,
	CM_FILTER_EXTENSIBLE, CM_FILTER_FORMS };
const struct cm_filter_kind *cm_filter_kind(enum cm_filter_form form);
bool cm_filter_is(const struct cm_filter_node *n, enum cm_filter_form form);

#endif /* CM_LDAP_FILTER_INTERNAL_H */
