/* mapper/rules_internal.h - the one form every rule language compiles into. */
#ifndef CM_MAPPER_RULES_INTERNAL_H
#define CM_MAPPER_RULES_INTERNAL_H

#include "mapper/mapfile_internal.h"
#include "mapper/match_internal.h"
#include "mapper/template_internal.h"

struct cm_rule {
	char *name;
	char *origin;		/* "FILE:LINE", "built in" */
	char *text;		/* for people: "kerberos: altSecurityIdentities = Kerberos:{nt_principal_name}" */
	char *attribute;	/* NULL: the template is a filter's */
	char *issuer;		/* text that the issuer must be; NULL: any */
	bool issuer_matched;	/* ... as <ISSUER> is matched (match_internal.h); else as cm_cert_issuer_text() */
	char *upn_suffix;	/* without the "@" */
	char *elsewhere;	/* why it does not hold on this host; NULL: it does */
	struct cm_match *match;	/* NULL: every certificate */
	struct cm_template value;
	struct cm_map_file *map_file;
	size_t number;		/* in the order of adding */
	size_t next;		/* in rules[]: the next rule of the same issuer; CM_RULE_NONE */
	uint32_t priority;
	enum cm_strength strength;
	bool ignore_case, local, pairing;
	bool list;		/* several filters side by side, of which all must hold */
	bool key;		/* it binds by the hash of the whole public key */
	bool pkinit;		/* it names a field that may be the principal of RFC 4556 */
};
#define CM_RULE_NONE	SIZE_MAX

struct cm_rules {
	struct cm_rule *rules;	/* by priority, then in the order of adding */
	size_t count;

	/* Which of them to look at for a certificate; all are places in rules[]. */
	size_t *any_issuer;	/* rules that name no issuer */
	size_t any_issuer_count;
	size_t *slots;		/* by hash of the issuer: the first rule of it, or CM_RULE_NONE */
	size_t slot_count;	/* a power of two; 0: no rule names an issuer */
	bool issuers_named, issuers_matched;	/* which texts of an issuer there are */

	struct cm_regexes *regexes;
	char *domain;
	char **forms;		/* NULL-terminated; NULL: not given */
	bool key_only, pinned, skip_bad;
};

/* Where the mistakes of rules are told: all of them, each as one text. */
struct cm_rule_report {
	struct cm_trace *trace;	/* gets each: "mistake", or "left out" where skip_bad passes over it */
	struct cm_buf first;	/* "FILE:LINE: rule "NAME": ...", the first that is not passed over */
	bool only_unfit;	/* nothing is wrong with the text, key_only does not let it hold here */
};
/*
 * Compile one rule and add it, in order; cm_rules_index() is needed after the
 * last.  elsewhere: why it does not hold here, or NULL.
 * CM_ERR_CONFIG  it was not added, and report says why
 */
CM_MUST_USE enum cm_err cm_rules_add_one(struct cm_rules *r, const struct cm_conf_rule *c,
    const char *elsewhere, struct cm_rule_report *report);
CM_MUST_USE enum cm_err cm_rules_index(struct cm_rules *r);
/* The first rule for this issuer, or CM_RULE_NONE. */
size_t cm_rules_of_issuer(const struct cm_rules *r, struct cm_blob issuer);

/*
 * strength.c: what a value or filter of this template binds to.  For a filter
 * its form is checked too: one filter in parentheses, fields only where values
 * stand.
 * CM_ERR_SYNTAX  why
 */
CM_MUST_USE enum cm_err cm_strength_of(const struct cm_template *tp, bool filter,
    enum cm_strength *strength, bool *key, struct cm_syntax *why);
/* Of a filter that cm_strength_of() has read: is it several, side by side? */
bool cm_filter_is_list(const struct cm_template *tp);

/* query.c: a query in one block, with copies of both runs of terms; sid may be empty. */
CM_MUST_USE enum cm_err cm_query_make(const struct cm_query_term *a, size_t a_count,
    const struct cm_query_term *b, size_t b_count, struct cm_blob sid, struct cm_query **out);

/* rules_test.c: cm_rules_test() with expressions that several rules share; CM_OK with a bad rule too. */
CM_MUST_USE enum cm_err cm_rules_test_with(struct cm_regexes *re, const char *const rule[2],
    const struct cm_cert *c, enum cm_rule_answer *answer, struct cm_buf *out);

#endif /* CM_MAPPER_RULES_INTERNAL_H */
