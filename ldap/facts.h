/* ldap/facts.h - what a directory says of whether an account must use a card. */
#ifndef CM_LDAP_FACTS_H
#define CM_LDAP_FACTS_H

#include "ldap/directory.h"

enum cm_fact_kind {
	CM_FACT_UNKNOWN,	/* it could not be asked; a zeroed struct says so of everything */
	CM_FACT_NONE,		/* asked, and nothing is there: no such attribute, or no such account */
	CM_FACT_VALUE,
	CM_FACT_MALFORMED,	/* what is there means nothing: no number, several values */
};

/*
 * text, printable, never more than its array holds:
 *   VALUE      where the value is from: the attribute, or the group, by name; so that who changes
 *              the configuration is not judged by an answer to another question
 *   MALFORMED  what stands there
 *   else       ""
 */
#define CM_FACT_TEXT	64
#define CM_FACT_NAME	256
struct cm_fact {
	enum cm_fact_kind kind;
	uint32_t value;
	char text[CM_FACT_TEXT];
};

struct cm_facts {
	struct cm_fact attribute;	/* SmartCardEnforcement: the number there */
	struct cm_fact control;		/* userAccountControl, all of its bits (MS-ADTS section 2.2.16) */
	struct cm_fact group;		/* 1: in the group that was asked about, itself or through others; 0: not */
	struct cm_fact mapped;		/* 1: an attribute that a rule searches has a value; 0: none has */
	char name[CM_FACT_NAME];	/* the account's own, as the directory writes it; "": not known, and none where there is no account */
};

/* A fact made: text is cut to what it holds, and made printable.  text NULL: "". */
struct cm_fact cm_fact_make(enum cm_fact_kind kind, uint32_t value, const char *text);
bool cm_fact_equal(const struct cm_fact *a, const struct cm_fact *b);

/* What cannot be told on one line, or is too long, is no name: "". */
void cm_facts_set_name(struct cm_facts *f, struct cm_blob name);

/* As octets, to be kept: at most CM_FACTS_OCTETS_MAX.  cm_facts_unpack(): false: they are none, and *out says UNKNOWN of everything. */
#define CM_FACTS_OCTETS_MAX	(4 * (6 + CM_FACT_TEXT) + CM_FACT_NAME)
void cm_facts_pack(const struct cm_facts *f, struct cm_buf *out);
CM_MUST_USE bool cm_facts_unpack(struct cm_blob octets, struct cm_facts *out);

/* What is asked of an account's entry.  Texts are borrowed; NULL: not asked, and the fact is NONE. */
struct cm_facts_question {
	const char *attribute;		/* "SmartCardEnforcement" */
	const char *group;		/* its name: cn or sAMAccountName */
	const char *const *mapped;	/* NULL-terminated: attributes that rules search */
};

/*
 * As cm_directory_find(), and what the directory says of that account, in the
 * same search; where a group is asked about, one more for each level of groups.
 * The facts are of the account that was found, or else of the one entry that the
 * query names, whatever its account is: disabled, another's than user, or none
 * that logs in.  All NONE: asked, and there is no such entry.  All UNKNOWN: it
 * could not be asked, or there are several.
 */
struct cm_facts_search {
	const struct cm_query *query;
	const char *user;		/* as of cm_directory_find() */
	const struct cm_facts_question *question;	/* NULL: no facts are asked for */
	cm_deadline deadline;
	struct cm_facts said;		/* out */
};
CM_MUST_USE enum cm_err cm_directory_find_facts(struct cm_directory *d, struct cm_facts_search *s, struct cm_trace *t,
    struct cm_account **out);

/*
 * Every account of the directory: the first server that answers shows them page
 * by page (RFC 2696), so that memory does not grow with them.  A group is not asked
 * about: that fact is NONE.  each: borrowed; what it returns other than CM_OK ends the walk.
 * CM_OK, or as cm_directory_look()
 */
struct cm_facts_walk {
	const struct cm_facts_question *question;
	unsigned timeout;	/* ms for each page */
	enum cm_err (*each)(void *arg, const char *name, const struct cm_facts *said);
	/* Between pages the directory may be asked other things. */
	enum cm_err (*page_done)(void *arg);
	void *arg;
};
CM_MUST_USE enum cm_err cm_directory_walk_facts(struct cm_directory *d, const struct cm_facts_walk *w, struct cm_trace *t);

#endif /* CM_LDAP_FACTS_H */
