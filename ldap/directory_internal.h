/* ldap/directory_internal.h - what the directory and its backends share. */
#ifndef CM_LDAP_DIRECTORY_INTERNAL_H
#define CM_LDAP_DIRECTORY_INTERNAL_H

#include <stdbool.h>

#include "ldap/directory.h"

/* Most values of attributes that a search asks for. */
#define CM_ATTRIBUTES_MAX	64

/* One search of the whole tree below base. */
struct cm_search {
	const char *base;
	const struct cm_query *query;
	const char *within;	/* a filter that holds for the entries too; NULL: none */
	bool (*holds)(const struct cm_entry *e);	/* the same, where there are no filters */
	const char *attributes[CM_ATTRIBUTES_MAX + 1];	/* NULL-terminated */
	size_t limit;		/* most entries shown */
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

extern const struct cm_backend cm_backend_ldap, cm_backend_ldaps, cm_backend_ldif;

/* entry.c: values */

/*
 * As caseIgnoreMatch orders them: ASCII letters without case, spaces at the ends
 * dropped and runs of them taken as one (RFC 4518 sections 2.2 and 2.6.1).
 * Below, equal, above zero.
 */
int cm_value_compare(struct cm_blob a, struct cm_blob b);
/* The same, or name with options: a subtype of it (RFC 4512 section 2.5.2). */
bool cm_attribute_is_type(struct cm_blob attribute, const char *name);
/* Bytes of the type, without its options (RFC 4512 section 2.5). */
size_t cm_attribute_type_length(struct cm_blob attribute);
/* Attribute descriptions ignore case (RFC 4512 section 2.5). */
bool cm_attribute_is(struct cm_blob attribute, const char *name);
/* Does this value answer this term?  Options of the returned attribute are ignored. */
bool cm_term_matches(const struct cm_query_term *term, const struct cm_value *v);
/* The first term of q that one of the entry's values answers, or NULL. */
const struct cm_query_term *cm_query_match(const struct cm_query *q, const struct cm_entry *e);

/* How many values of one attribute there are, and the first: {NULL, 0} without one. */
size_t cm_entry_values(const struct cm_entry *e, const char *attribute, struct cm_blob *first);

/* RFC 4517 3.3.16 without sign, at most 2^31 - 1. */
bool cm_number_parse(struct cm_blob v, unsigned *out);

/*
 * The account an entry describes, not yet checked and without its groups; realm
 * is that of struct cm_directory_options.
 * CM_ERR_REFUSED  ACCOUNT_MALFORMED names entry and attribute
 */
CM_MUST_USE enum cm_err cm_account_from_entry(const char *realm,
    const struct cm_entry *e, struct cm_trace *t, struct cm_account **out);
/* Append the attributes that cm_account_from_entry and cm_groups_new read. */
void cm_account_attributes(struct cm_search *s);
/* Append, unless it is there. */
void cm_search_want(struct cm_search *s, const char *attribute);

/* groups.c */
struct cm_groups;
/* What to ask for the groups of the account that e describes.  Keeps account, borrowed. */
CM_MUST_USE enum cm_err cm_groups_new(struct cm_account *account, const struct cm_entry *e,
    gid_t first_gid, struct cm_trace *t, struct cm_groups **out);
void cm_groups_free(struct cm_groups **g);
/* Fill in all but the base; each group shown is added to the account, or dropped and the trace says why. */
void cm_groups_search(struct cm_groups *g, struct cm_search *s);

/* account.c */
/* All texts "". */
CM_MUST_USE enum cm_err cm_account_new(struct cm_account **out);
bool cm_name_is_portable(const char *name);
/* A group that a directory may put somebody into: not one that gives rights on this host. */
bool cm_group_is_allowed(const struct cm_group *g, gid_t first_gid);

#endif /* CM_LDAP_DIRECTORY_INTERNAL_H */
