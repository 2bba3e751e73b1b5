/* mapper/match_internal.h - the match part of a rule: sss-certmap(5) */
#ifndef CM_MAPPER_MATCH_INTERNAL_H
#define CM_MAPPER_MATCH_INTERNAL_H

#include "mapper/regex_internal.h"

/* Immutable once made; may be used by several threads. */
struct cm_match;

/*
 * Compile a matching rule of sss-certmap(5), "KRB5:" before it or not.  What it
 * means is what libsss_certmap 2.8 does, but that a list of key usages with
 * nothing in it is an error, that a number is a key usage as the man page says,
 * and that a text with a NUL matches no expression.
 * CM_ERR_SYNTAX  as cm_template_parse
 * CM_ERR_CONFIG  an expression takes too much memory or time to compile; *why too
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_match_parse(const char *text, struct cm_regexes *re,
    struct cm_match **out, struct cm_syntax *why);
void cm_match_free(struct cm_match **m);

/*
 * A certificate's texts, made when a component first asks for them.  Who tries
 * many rules on one certificate makes one of these for all.  For one thread.
 */
struct cm_match_cert {
	const struct cm_cert *cert;	/* borrowed */
	struct cm_match_name {
		enum cm_match_known { CM_MATCH_UNKNOWN, CM_MATCH_TEXT, CM_MATCH_NO_TEXT } known;
		struct cm_buf text;
	} issuer, subject;
};
void cm_match_cert_init(struct cm_match_cert *mc, const struct cm_cert *c);
void cm_match_cert_clear(struct cm_match_cert *mc);
/*
 * The text that <ISSUER> is compared with, and cm_match_issuer() is; borrowed.
 * NULL: it has none (a value in the name is empty).
 */
const char *cm_match_cert_issuer(struct cm_match_cert *mc);

/*
 * CM_OK           it matches
 * CM_ERR_ABSENT   it does not; why (may be NULL) gets the component that fails, as written
 * CM_ERR_CONFIG   RULE_REGEX: an expression on which it depends could not be matched within its limits
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_match_test_on(const struct cm_match *m, struct cm_match_cert *mc,
    struct cm_trace *t, struct cm_buf *why);
/* The same for one rule alone. */
CM_MUST_USE enum cm_err cm_match_test(const struct cm_match *m, const struct cm_cert *c,
    struct cm_trace *t, struct cm_buf *why);
/* The one issuer DN (as libsss_certmap has it) without which it cannot match, where it says so; else NULL. */
const char *cm_match_issuer(const struct cm_match *m);

/* match_parse.c -> match.c */
struct cm_component {
	const struct cm_component_kind *kind;
	char *text;		/* "<SUBJECT>^CN=", as written; owned */
	size_t regex;		/* id; of kinds that have one */
	unsigned usage;		/* of <KU>: X.509 bits as OpenSSL counts them (X509v3_KU_*) */
	char **oids;		/* of <EKU>: dotted, owned; of <SAN:1.2.3> one */
	size_t oid_count;
	uint8_t *bytes;		/* of <SAN:otherName> and its like; owned */
	size_t len;
};
struct cm_match {
	struct cm_regexes *regexes;	/* borrowed */
	struct cm_component *components;
	size_t count;
	bool any;		/* || */
	char *issuer;		/* NULL: any */
};

/* What is in a component's value, and how it is tried. */
struct cm_component_kind {
	const char *name;	/* "SUBJECT", "SAN:rfc822Name" */
	enum cm_component_value {
		CM_VALUE_REGEX, CM_VALUE_USAGES, CM_VALUE_OIDS, CM_VALUE_BASE64
	} value;
	int tag;		/* of a SAN: GeneralName's */
	enum cm_err (*test)(const struct cm_match *m, const struct cm_component *x,
	    struct cm_match_cert *mc, struct cm_trace *t);
};
/* The SAN kinds first, in the order in which abbreviations are looked for; ends with {NULL}. */
extern const struct cm_component_kind cm_component_kinds[];
/* <SAN:1.2.3> */
extern const struct cm_component_kind cm_component_oid_kind;

#endif /* CM_MAPPER_MATCH_INTERNAL_H */
