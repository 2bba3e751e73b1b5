/* ldap/directory_internal.h - what the directory and its backends share. */
#ifndef CM_LDAP_DIRECTORY_INTERNAL_H
#define CM_LDAP_DIRECTORY_INTERNAL_H

#include <stdbool.h>

#include "ldap/directory.h"
#include "ldap/facts.h"
#include "ldap/filter_internal.h"

/* Most attributes that a search asks for by name. */
#define CM_ATTRIBUTES_MAX	64

/* A search page by page (RFC 2696): the next one is asked for with the cookie of the one before, on the same connection. */
struct cm_page {
	size_t size;
	struct cm_buf cookie;	/* owned */
	bool more;		/* out */
};

/* One search of the whole tree below base, or of the base alone. */
struct cm_search {
	const char *base;	/* NULL: everything (not for LDAP) */
	bool base_only;
	const struct cm_query *query;
	struct cm_filter *const *filters;	/* of the terms that are filters, parsed; NULL: none is one */
	const char *within;	/* a filter that holds for the entries too; NULL: none */
	bool (*holds)(const struct cm_entry *e);	/* the same, where there are no filters */
	const char *attributes[CM_ATTRIBUTES_MAX + 1];	/* NULL-terminated; none: all */
	size_t limit;		/* most entries shown */
	struct cm_page *page;	/* NULL: in one go; a file has one page */
	bool more;		/* out: there are more than limit */
	bool elsewhere;		/* out: it failed, and another server may answer */
	cm_entry_visit visit;
	void *arg;
};

/*
 * What a kind of URI is: one row of the table in directory.c.
 *
 * open    as cm_directory_open; options, their texts and stats live as long as the state
 * search  CM_OK: the server answered; errors as cm_directory_find, or the visitor's.
 *         A backend shows entries that may match: the visitor compares again
 * close   accepts NULL, sets NULL
 */
struct cm_backend {
	const char *scheme;	/* with its colon */
	bool needs_base;
	bool all_shown;		/* what an entry does not show it does not have, and no server judges filters */
	enum cm_err (*open)(const struct cm_directory_options *o, const char *uri,
	    struct cm_directory_stats *stats, struct cm_trace *t, void **state);
	enum cm_err (*search)(void *state, struct cm_search *s, cm_deadline deadline,
	    struct cm_trace *t);
	void (*close)(void **state);
};
/* ldif.c: RFC 2849 content records, as they stand in one buffer that is theirs. */
struct cm_ldif {
	struct cm_buf text;		/* unfolded and decoded in place; values point into it */
	struct cm_value *values;	/* by entry, in the file's order; the first is entryDN (RFC 5020) */
	size_t *entry_of;		/* of each value */
	size_t *order;			/* of the values, sorted by attribute and value */
	size_t count;
	struct cm_entry *entries;
	size_t *lines;			/* of each entry, for messages */
	size_t entry_count;
};

/*
 * Takes the content of text.  name is for messages.
 * CM_ERR_SYNTAX  LDIF_MALFORMED: "name:line: what; remedy"
 */
CM_MUST_USE enum cm_err cm_ldif_parse(struct cm_buf *text, const char *name,
    struct cm_trace *t, struct cm_ldif **out);
/* Sort, and refuse an entry that is there twice. */
CM_MUST_USE enum cm_err cm_ldif_index(struct cm_ldif *l, const char *name, struct cm_trace *t);
void cm_ldif_free(struct cm_ldif **l);

extern const struct cm_backend cm_backend_ldap, cm_backend_ldaps, cm_backend_ldif, cm_backend_local;

/* One server or file, opened. */
struct cm_source {
	const struct cm_backend *backend;
	const char *uri;
	void *state;
};

/* asked.c: what one place is asked; the query's texts are borrowed. */
struct cm_asked {
	struct cm_query query;		/* the terms that belong there; may be none */
	struct cm_filter **filters;	/* of each term; NULL where it has an attribute and a value */
	unsigned *hits;			/* of each term: entries that answer it, as far as can be told */
};
/*
 * The terms of q that belong there.
 * CM_ERR_CONFIG  CONFIG: a filter or an attribute that is none, with its rule; nothing may be sent
 */
CM_MUST_USE enum cm_err cm_asked_new(const struct cm_query *q,
    bool (*belongs)(const struct cm_query_term *), struct cm_trace *t, struct cm_asked **out);
void cm_asked_free(struct cm_asked **a);
/* Append the attributes that the terms are about. */
void cm_asked_attributes(const struct cm_asked *a, struct cm_search *s);

/* One term's answer about an entry, or the best of several; all borrowed. */
struct cm_judged {
	bool all_shown;			/* in: of the backend */
	enum cm_judgement judgement;
	const struct cm_query_term *term;
	bool mapping;			/* one that is no pairing found it */
	struct cm_blob part;		/* HIDDEN: the attribute; UNKNOWN: the filter's part */
};
/* filter is the term's, NULL where it has an attribute.  Sets all but mapping.  CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_term_judge(const struct cm_query_term *term,
    const struct cm_filter *filter, const struct cm_entry *e, struct cm_judged *j);
/* The term that e is named by: the strongest that holds.  Counts the hits.  CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_asked_judge(const struct cm_asked *a, const struct cm_entry *e,
    struct cm_judged *best);

/* How many entries answered each rule, in one line of the trace. */
void cm_asked_note_hits(const struct cm_asked *a, struct cm_trace *t);

/* The filter of a search, as it is sent. */
CM_MUST_USE enum cm_err cm_search_filter(const struct cm_search *s, struct cm_buf *out);
/* "mail=a@b.test", for people: a long value's beginning, and how long it is. */
void cm_term_text(const struct cm_query_term *term, struct cm_buf *out);

/* standing.c */
#define CM_SID_ATTRIBUTE	"objectSid"
#define CM_SID_OCTETS		68	/* most: MS-DTYP section 2.4.2.2 */
/* *out: the entry's SID, if it shows one that is not sid; else NULL, as without sid.  CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_entry_other_sid(const struct cm_entry *e, const char *sid, char **out);
/* Append S-1-..., of bytes (MS-DTYP section 2.4.2.2) or text; anything else as it is. */
void cm_sid_text(struct cm_blob v, struct cm_buf *out);
/* What disables the account, static text; NULL: nothing. */
const char *cm_entry_disabled(const struct cm_entry *e);
/* Append the attributes that the above read; sid as there. */
void cm_standing_attributes(struct cm_search *s, const char *sid);

/* facts_entry.c: group is NONE until somebody climbs */
void cm_facts_of_entry(const struct cm_facts_question *q, const struct cm_entry *e, struct cm_facts *out);
void cm_facts_attributes(const struct cm_facts_question *q, struct cm_search *s);
/* A cm_entry_visit; arg is a struct cm_facts_walk. */
CM_MUST_USE enum cm_err cm_facts_walk_entry(void *arg, const struct cm_entry *e);

/* climb.c: all borrowed, for as long as the climb */
struct cm_climber {
	const char *name, *dn;
	gid_t gid;		/* primary group; 0: none */
	struct cm_blob primary;	/* its objectSid, in Active Directory; {NULL, 0}: none */
};
struct cm_climb;
CM_MUST_USE enum cm_err cm_climb_new(const char *group, const struct cm_climber *who, struct cm_climb **out);
void cm_climb_free(struct cm_climb **c);
/* Fill in all but the base, until false: nothing more is to be asked. */
CM_MUST_USE bool cm_climb_next(struct cm_climb *c, struct cm_search *s);
/* more: a search had more entries than were shown */
void cm_climb_fact(const struct cm_climb *c, bool more, struct cm_fact *out);

/* candidates.c: the entries that answer, until it is known whose card it is. */
#define CM_CANDIDATES_MAX	16
struct cm_place {
	const struct cm_source *source;
	const struct cm_asked *asked;
};
struct cm_candidate {
	const struct cm_place *place;
	char *dn, *name;		/* printable name, for messages */
	const struct cm_query_term *term;	/* the strongest that found it */
	bool mapping;			/* one that is no pairing found it */
	bool dropped;			/* it does not count: a mapping names another */
	struct cm_account *account;	/* NULL: it describes none, and: */
	enum cm_err err;
	enum cm_reason reason;
	char *why;
	const char *disabled;		/* what disables it, or NULL */
	char *other_sid;		/* its SID, where the certificate's is another */
	struct cm_facts facts;		/* where they were asked for */
	struct cm_groups *groups;
	struct cm_buf primary;		/* objectSid of the primary group; empty: no account of Active Directory's */
};
struct cm_finding {
	const struct cm_directory_options *options;
	const char *user, *sid;		/* NULL: any */
	const struct cm_facts_question *facts;	/* NULL: nobody wants them */
	struct cm_trace *trace;
	struct cm_place places[2];	/* that are asked: directory, this computer */
	size_t place_count;
	const struct cm_place *place;	/* whose answer is being looked at */
	struct cm_candidate candidates[CM_CANDIDATES_MAX];
	size_t count;
	bool more;			/* there are entries that were not looked at */
	bool others;			/* a server showed entries that do not answer, as far as can be seen here */
	char *hidden;			/* an entry about which it cannot be told whether it answers, */
	bool unjudged;			/* ... since no server is there to judge the filter; */
	char *hidden_part;		/* the attribute, or part of the filter, that stands in the way, */
	const char *hidden_rule;	/* and its rule */
};
/* A cm_entry_visit; arg is the finding, with place set. */
CM_MUST_USE enum cm_err cm_finding_see(void *arg, const struct cm_entry *e);
/* The one that counts, for the life of the finding; errors as cm_directory_find. */
CM_MUST_USE enum cm_err cm_finding_decide(struct cm_finding *f, struct cm_candidate **out);
/* Whose facts are told; NULL: *none says whether that is because there is no such entry, or because nobody knows which. */
const struct cm_candidate *cm_finding_subject(struct cm_finding *f, const struct cm_candidate *decided, bool *none);
void cm_finding_clear(struct cm_finding *f);

/* membership.c: one search, timed in the trace under what; errors as of the backend */
CM_MUST_USE enum cm_err cm_source_search(const struct cm_source *source, struct cm_search *s, const char *what, cm_deadline deadline,
    struct cm_trace *t);
/* Where its accounts are; NULL: everywhere. */
const char *cm_source_base(const struct cm_source *source, const struct cm_directory_options *o);
/* The groups of a candidate; what Active Directory says of them is asked once.  All but out is borrowed. */
struct cm_membership {
	const struct cm_directory_options *options;
	const struct cm_candidate *candidate;
	struct cm_trace *trace;
	cm_deadline deadline;
	bool elsewhere;			/* out: a search failed, and another server may answer */
	bool asked;
	struct cm_tokens *tokens;	/* owned */
};
/* Into the candidate's account; errors as cm_directory_find(). */
CM_MUST_USE enum cm_err cm_membership_find(struct cm_membership *m);
/* Is it in the group of this name, itself or through others?  *out is set where CM_OK is returned. */
CM_MUST_USE enum cm_err cm_membership_judge(struct cm_membership *m, const char *group, struct cm_fact *out);
void cm_membership_clear(struct cm_membership *m);

/* tokens.c: SIDs of the groups that an account of Active Directory's is in (MS-ADTS section 3.1.1.4.5.19, tokenGroups) */
struct cm_tokens;
CM_MUST_USE enum cm_err cm_tokens_new(struct cm_tokens **out);
void cm_tokens_free(struct cm_tokens **k);
/* Fill in all: the account is shown, and what it is in is taken. */
void cm_tokens_search(struct cm_tokens *k, const char *dn, struct cm_search *s);
size_t cm_tokens_count(const struct cm_tokens *k);
bool cm_tokens_are_cut(const struct cm_tokens *k);
struct cm_blob cm_tokens_get(const struct cm_tokens *k, size_t i);
/* Fill in all but the base: which SID has the group of that name?  group is borrowed until the fact is told. */
void cm_tokens_search_named(struct cm_tokens *k, const char *group, struct cm_search *s);
/* false: it cannot be told by SIDs */
CM_MUST_USE bool cm_tokens_fact(const struct cm_tokens *k, bool more, struct cm_fact *out);

/* entry.c: values */

/*
 * As caseIgnoreMatch orders them: ASCII letters without case, spaces at the ends
 * dropped and runs of them taken as one (RFC 4518 sections 2.2 and 2.6.1).
 * Below, equal, above zero.
 */
int cm_value_compare(struct cm_blob a, struct cm_blob b);
/* The same, or name with options: a subtype of it (RFC 4512 section 2.5.2).  ";binary" in name is no matter. */
bool cm_attribute_answers(struct cm_blob attribute, const char *name);
/* What a server may call the same attribute (RFC 4519 and its like): "mail" for "rfc822Mailbox"; NULL: nothing else. */
const char *cm_attribute_other_name(const char *attribute);
/* Its values are compared byte by byte; names, mail and mappings ignore case. */
bool cm_attribute_is_exact(const char *attribute);
/* Bytes of the type, without its options (RFC 4512 section 2.5). */
size_t cm_attribute_type_length(struct cm_blob attribute);
/* Attribute descriptions ignore case (RFC 4512 section 2.5). */
bool cm_attribute_is(struct cm_blob attribute, const char *name);
/* Is the value v of this attribute the one asserted? */
bool cm_value_answers(const char *attribute, struct cm_blob asserted, struct cm_blob v);

/* How many values of one attribute there are, and the first: {NULL, 0} without one. */
size_t cm_entry_values(const struct cm_entry *e, const char *attribute, struct cm_blob *first);

/* RFC 4517 3.3.16 without sign, at most 2^31 - 1. */
bool cm_number_parse(struct cm_blob v, unsigned *out);

/*
 * The account an entry describes, not yet checked and without its groups; realm and idmap
 * are those of o.  NULL: an entry of this computer, which has neither.
 * CM_ERR_REFUSED  ACCOUNT_MALFORMED names entry and attribute
 */
CM_MUST_USE enum cm_err cm_account_from_entry(const struct cm_directory_options *o,
    const struct cm_entry *e, struct cm_trace *t, struct cm_account **out);
/* Append the attributes that cm_account_from_entry and cm_groups_new read. */
void cm_account_attributes(struct cm_search *s);
/* Append, unless it is there. */
void cm_search_want(struct cm_search *s, const char *attribute);

/* groups.c */
struct cm_groups;
/* What to ask for the groups of the account that e describes.  Keeps account and o, borrowed. */
CM_MUST_USE enum cm_err cm_groups_new(struct cm_account *account, const struct cm_entry *e,
    const struct cm_directory_options *o, struct cm_trace *t, struct cm_groups **out);
void cm_groups_free(struct cm_groups **g);
/* From here on they are asked for by these SIDs.  CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_groups_take_tokens(struct cm_groups *g, const struct cm_tokens *k);
/* Fill in all but the base; each group shown is added to the account, or dropped and the trace says why. */
void cm_groups_search(struct cm_groups *g, struct cm_search *s);
/* When that is done: may its primary group be so low?  As cm_account_check(). */
CM_MUST_USE enum cm_err cm_groups_judge(const struct cm_groups *g);

/* idmap.c */
/* What is wrong with it, static text; NULL: nothing. */
const char *cm_idmap_check(const struct cm_idmap *m);
/* Do this entry's ids come from its SID, be that there or not? */
bool cm_idmap_holds(const struct cm_idmap *m, const struct cm_entry *e);
/* false: it is no SID of a domain's, or the range has no slice left for its RID */
bool cm_idmap_id(const struct cm_idmap *m, const char *sid, unsigned *id);
/* gid is its primaryGroupID's.  What is wrong with objectSid, static text; NULL: both are set. */
const char *cm_idmap_user(const struct cm_idmap *m, const struct cm_entry *e, unsigned *uid, unsigned *gid);
bool cm_idmap_group(const struct cm_idmap *m, const struct cm_entry *e, unsigned *gid);
/* Append the primary group's objectSid, as Active Directory is asked for it; nothing where there is none. */
void cm_idmap_primary(const struct cm_entry *e, struct cm_buf *out);
/* Append the attributes that the above read. */
void cm_idmap_attributes(struct cm_search *s);

/* account.c */
/* All texts "". */
CM_MUST_USE enum cm_err cm_account_new(struct cm_account **out);

#endif /* CM_LDAP_DIRECTORY_INTERNAL_H */
