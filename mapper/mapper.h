/* mapper/mapper.h - from a certificate to what a directory is asked, and why. */
#ifndef CM_MAPPER_MAPPER_H
#define CM_MAPPER_MAPPER_H

#include "base/buf.h"
#include "base/trace.h"
#include "card/cert.h"

/* Rules compiled from any of the languages that configure them; immutable once made. */
struct cm_rules;

/*
 * What a directory is asked: the account that has any of these values in these
 * attributes.  Owned by whoever asked for it.
 */
struct cm_query_term {
	char *rule;		/* name of the rule that made it: "default issuer-serial" */
	char *attribute;	/* LDAP attribute description: "altSecurityIdentities" */
	struct cm_blob value;	/* the assertion value as it is, not escaped; owned */
};
struct cm_query {
	struct cm_query_term *terms;
	size_t count;		/* at least 1 */
};

/* Longest value a rule may make, bytes; longest format string. */
#define CM_VALUE_MAX	8192
#define CM_FORMAT_MAX	1024

/*
 * Without any configuration: altSecurityIdentities = Kerberos:UPN, and
 * = X509:<I>ISSUER<SR>SERIAL ([MS-PKCA] 3.1.5.2.1.3: issuer with the root first
 * in AD's names, serial's bytes reversed).
 */
CM_MUST_USE enum cm_err cm_rules_default(struct cm_rules **out);

/*
 * From an unchanged SmartcardLogin.plist, XML or binary (SmartCardServices(7)):
 * AttributeMapping with its eight fields, formatString and dsAttributeString.
 * A plist without AttributeMapping gives the default rules.
 * TrustedAuthorities are kept for cm_rules_pins().
 *
 * CM_ERR_ABSENT  no such file
 * CM_ERR_CONFIG  reason CONFIG: "FILE:LINE: what; remedy" (line where the form has lines)
 */
CM_MUST_USE enum cm_err cm_rules_load_plist(const char *path, struct cm_trace *t,
    struct cm_rules **out);

void cm_rules_free(struct cm_rules **r);

/* SHA-256 fingerprints of CAs that the plist lists (TrustedAuthorities): 32 bytes each. */
struct cm_rules_pin { uint8_t sha256[32]; };
const struct cm_rules_pin *cm_rules_pins(const struct cm_rules *r, size_t *count);

/*
 * Apply the rules.  A field that the certificate lacks, or that holds a NUL,
 * means that its rule does not apply (the trace says which field): never a
 * shorter value.  The trace gets a line for each rule: its text, and the value
 * it made or why none.
 *
 * CM_OK          *out is the caller's, for cm_query_free; one term at least
 * CM_ERR_ABSENT  NO_RULE: no rule applies
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_rules_map(const struct cm_rules *r, const struct cm_cert *c,
    struct cm_trace *t, struct cm_query **out);
void cm_query_free(struct cm_query **q);

/* Append the filter: "(a=v)" or "(|(a=v)(b=w))", values escaped as RFC 4515 section 3 asks. */
void cm_query_filter(const struct cm_query *q, struct cm_buf *out);

#endif /* CM_MAPPER_MAPPER_H */
