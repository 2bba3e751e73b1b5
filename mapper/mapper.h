/* mapper/mapper.h - from a certificate to what a directory is asked, and why. */
#ifndef CM_MAPPER_MAPPER_H
#define CM_MAPPER_MAPPER_H

#include "base/buf.h"
#include "base/conf.h"
#include "base/trace.h"
#include "card/cert.h"

/*
 * Rules compiled from any of the languages that configure them; immutable once
 * made, may be used by several threads.  Where a rule has a regular expression
 * that is more than literal text, they hold a child process that matches it
 * (regex.c), and the rules must stay with the process that made them.
 */
struct cm_rules;

/* Could another person's certificate come to have this value? (KB5014754) */
enum cm_strength { CM_WEAK, CM_STRONG };

/*
 * What a directory is asked: the account that has any of these.  Owned by
 * whoever asked for it.
 */
struct cm_query_term {
	char *rule;		/* name of the rule that made it: "issuer-serial" */
	char *attribute;	/* LDAP attribute description: "altSecurityIdentities"; NULL: a filter */
	struct cm_blob value;	/* the assertion value as it is, not escaped; of a filter its text,
				 * RFC 4515, with what came from the certificate escaped; owned */
	enum cm_strength strength;
	bool pairing;		/* counts only where no other term finds an account */
	bool local;		/* is about accounts of this computer, not the directory's */
};
struct cm_query {
	struct cm_query_term *terms;
	size_t count;		/* at least 1 */
	char *sid;		/* the certificate's SID, "S-1-..."; NULL: it has none.  An account
				 * with another objectSid is not its holder's (CVE-2022-26923) */
};

/* Longest value a rule may make, bytes; longest template; most rules. */
#define CM_VALUE_MAX	8192
#define CM_FORMAT_MAX	8192
#define CM_RULES_MAX	65536

/* How rules are compiled and which of them hold here.  All borrowed for the call. */
struct cm_rules_options {
	const char *domain;	/* this host's; NULL: rules limited to domains do not hold */
	const char *const *forms;	/* names of forms, CM_FORMS_ALT, CM_FORMS_AD; NULL-terminated;
				 * NULL: CM_FORMS_ALT; used by cm_rules_add_forms() */
	bool key_only;		/* trust level off: only the hash of a whole public key may bind */
	bool pinned;		/* trust.pins lists the CAs: only then is a SID in a SAN URI believed */
	bool skip_bad;		/* a rule that does not compile is left out, and the trace says so */
	bool back_references;	/* allowed in regular expressions */
};
#define CM_FORMS_ALT	"altSecurityIdentities"	/* every form of that attribute */
#define CM_FORMS_AD	"ad"			/* the forms of attributes that only Active Directory has */

/*
 * Compile rules from their texts.  cm_rules_add() is called once or several
 * times; who was given no rule at all adds forms instead.
 *
 * CM_ERR_CONFIG  CONFIG: "FILE:LINE: rule "NAME": match: column 7: what; what was expected"
 *                every mistake is in the trace ("mistake", or "left out" with skip_bad), the
 *                first in the message; with key_only: a rule that binds by anything but the
 *                key's hash, skip_bad or not.  The good ones have been added all the same.
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_rules_new(const struct cm_rules_options *o, struct cm_rules **out);
CM_MUST_USE enum cm_err cm_rules_add(struct cm_rules *r, const struct cm_conf_rule *rules,
    size_t count, struct cm_trace *t);
/*
 * The built-in rules that options.forms names (forms.c), last in priority; with
 * key_only those of them that bind by the key's hash.
 * CM_ERR_CONFIG  CONFIG: no such form, or key_only leaves none
 */
CM_MUST_USE enum cm_err cm_rules_add_forms(struct cm_rules *r, struct cm_trace *t);
void cm_rules_free(struct cm_rules **r);

/*
 * Apply the rules.  Those whose match part holds for the certificate, and
 * whose every field it has, apply; of them the ones with the lowest priority
 * number make the query, all of them together: two that lead to different
 * accounts are an ambiguity that the directory's answer shows.  A field that
 * the certificate lacks, or that holds a NUL, means that its rule does not
 * apply: never a shorter value.  The trace gets a line for each rule looked
 * at: its text, and the value it made or why none, and whether that value is
 * weak; one line for all rules of other issuers, and one for those of later
 * priority.
 *
 * CM_OK          *out is the caller's, for cm_query_free; one term at least
 * CM_ERR_ABSENT  NO_RULE: no rule applies
 * CM_ERR_CONFIG  RULE_REGEX: an expression could not be matched within its limits
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_rules_map(const struct cm_rules *r, const struct cm_cert *c,
    struct cm_trace *t, struct cm_query **out);

/* The same answer, for people: rules of other issuers and of later priority stand in the trace one by one. */
CM_MUST_USE enum cm_err cm_rules_explain(const struct cm_rules *r, const struct cm_cert *c,
    struct cm_trace *t, struct cm_query **out);

/*
 * The attributes of a directory that these rules search by what a certificate
 * holds, each once, as the rules name them: whoever has a value in none of them
 * is found by no card.  *out is the caller's, for cm_list_free(); NULL: none.
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_rules_searched(const struct cm_rules *r, char ***out);

/* Put copies of terms behind those of *q, which may be NULL; the old *q is freed. */
CM_MUST_USE enum cm_err cm_query_append(struct cm_query **q, const struct cm_query_term *terms,
    size_t count);
/*
 * The account must be its holder's, however it is found: set (*q)->sid to the
 * certificate's, where it has one, in its extension or in a SAN URI (believed or
 * not: here it only refuses).  *q may be another block afterwards.  CM_ERR_NOMEM.
 */
CM_MUST_USE enum cm_err cm_query_set_sid(struct cm_query **q, const struct cm_cert *c);
void cm_query_free(struct cm_query **q);

/* Append the filter: "(a=v)" or "(|(a=v)(b=w))", values escaped as RFC 4515 section 3 asks. */
void cm_query_filter(const struct cm_query *q, struct cm_buf *out);

/*
 * One certificate against one rule, for people and for tests (cardmap rules
 * test): match and map as in sss-certmap(5), either may be NULL for its default.
 */
enum cm_rule_answer { CM_RULE_NO_MATCH, CM_RULE_MATCH, CM_RULE_ERROR };
/*
 * Appended to out: the filter of a match, or what is wrong; nothing where it
 * does not match.  An error that comes with CM_OK is the certificate's: it
 * lacks a field that the filter names.
 * CM_ERR_CONFIG  the rule does not parse, or an expression takes too much memory or time
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_rules_test(const char *match, const char *map, const struct cm_cert *c,
    enum cm_rule_answer *answer, struct cm_buf *out);

/*
 * SHA-1 of the public key (subjectPublicKey's bits, RFC 5280 4.2.1.2 (1)), as
 * sc_auth(8) prints it; all zero where subjectPublicKeyInfo is malformed, which
 * cm_cert_key() refuses.
 */
void cm_key_hash(const struct cm_cert *c, uint8_t sha1[20]);

/*
 * One built-in form, for generators and diagnosis: the value it makes of a
 * certificate.  A new form is one row in forms.c.
 */
struct cm_form {
	const char *name;	/* "issuer-serial" */
	const char *attribute;	/* "altSecurityIdentities" */
	const char *value;	/* template */
	const char *about;	/* one line for people: "issuer and serial number" */
	enum cm_strength strength;
	bool ad;		/* an attribute only Active Directory has */
	bool alternative;	/* a second reading of a form: found, but never written */
	bool pairing;		/* counts only where no other term finds an account */
	unsigned survives;	/* CM_SURVIVES_*: after which reissues the same value still fits */
};
/* A card reissued for the same person under the same names: */
#define CM_SURVIVES_RENEWAL	(1u << 0)	/* by the same CA, with the same key: a new serial number */
#define CM_SURVIVES_NEW_KEY	(1u << 1)	/* by the same CA, with a new key */
#define CM_SURVIVES_NEW_CA	(1u << 2)	/* by another CA, with a new key */
const struct cm_form *cm_forms(size_t *count);
/* CM_ERR_ABSENT: the certificate lacks a field of it.  CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_form_value(const struct cm_form *f, const struct cm_cert *c,
    struct cm_buf *out);

#endif /* CM_MAPPER_MAPPER_H */
