/* mapper/template_internal.h - what a template may name, and templates compiled */
#ifndef CM_MAPPER_TEMPLATE_INTERNAL_H
#define CM_MAPPER_TEMPLATE_INTERNAL_H

#include "mapper/mapper.h"

/* What a template wrote between { and }, taken apart: {name.part[index]!conversion}. */
struct cm_rule_field;
struct cm_conversion;	/* fields_internal.h */
struct cm_field_ref {
	const struct cm_rule_field *field;
	char *part;		/* "short_name", "cn", "rid"; NULL without; owned by the template */
	int index;		/* [2], [-1]; 0: not given */
	const struct cm_conversion *conversion;	/* the field's own default when none was written */
	unsigned flags;		/* CM_HEX_UPPER and so on */
	EVP_MD *md;		/* of a digest: fetched when the template is made; owned by it */
};
#define CM_HEX_UPPER	(1u << 0)	/* _u */
#define CM_HEX_COLONS	(1u << 1)	/* _c */
#define CM_HEX_REVERSED	(1u << 2)	/* _r */
#define CM_REF_SSS	(1u << 3)	/* as libsss_certmap writes it: LDAP and LDAPU1 */

/* Which words a template may use. */
enum cm_dialect {
	CM_DIALECT_OWN,		/* all of them */
	CM_DIALECT_LDAP,	/* sss-certmap(5) "LDAP:" */
	CM_DIALECT_LDAPU1,	/* sss-certmap(5) "LDAPU1:" */
};

/*
 * A field a rule may name: one row of a table.  write() appends its value from
 * the certificate.
 *
 * CM_OK          the whole value was written, and it is not empty
 * CM_ERR_ABSENT  the certificate has no such field
 * CM_ERR_SYNTAX  the field holds what no directory value can (a NUL)
 */
struct cm_rule_field {
	const char *name;		/* in rules and in messages */
	unsigned dialects;		/* bit 1 << enum cm_dialect */
	unsigned binds;			/* CM_BINDS_*: what a value made with it is tied to */
	enum cm_cert_field source;	/* for write functions that serve several fields */
	const struct cm_conversion *conversions;	/* first is the default; NULL: none */
	const struct cm_field_part *parts;		/* NULL: none */
	int max_index;			/* [1] to [max_index] may follow its name; 0: none */
	enum cm_err (*write)(const struct cm_cert *c, const struct cm_field_ref *ref,
	    struct cm_buf *out);
};
#define CM_BINDS_KEY		(1u << 0)	/* the whole public key, by hash */
#define CM_BINDS_CERT		(1u << 1)	/* the whole certificate */
#define CM_BINDS_SKI		(1u << 2)
#define CM_BINDS_SID		(1u << 3)
#define CM_BINDS_ISSUER		(1u << 4)	/* strong together with the serial number */
#define CM_BINDS_SERIAL		(1u << 5)

/* The table, for tests. */
const struct cm_rule_field *cm_fields(size_t *count);

/* A piece of a value: fixed text, or a field of the certificate. */
struct cm_segment {
	struct cm_field_ref ref;	/* field NULL: literal */
	struct cm_blob literal;		/* owned by the template */
};
struct cm_template {
	struct cm_segment *segments;
	size_t count;
	unsigned binds;			/* of all its fields */
	bool escape;			/* values are escaped as RFC 4515 asks: it is a filter's */
	enum cm_dialect dialect;
};

/* Where and why a text does not parse. */
struct cm_syntax {
	size_t column;			/* bytes from 1 */
	char what[160];			/* "unknown field "serial"; expected one of ..." */
};

/*
 * What follows the prefix of a mapping rule: "LDAP:", "LDAPU1:"; without one
 * (or with ":" alone) *dialect is as it was.  NULL: a prefix that nobody knows.
 */
const char *cm_template_prefix(const char *rule, enum cm_dialect *dialect);

/*
 * CM_ERR_SYNTAX  *why says where and what was expected; also: it names no field at all
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_template_parse(const char *text, enum cm_dialect dialect,
    bool escape, struct cm_template *out, struct cm_syntax *why);
/* A text without { and }, on purpose: the same for every certificate.  CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_template_constant(const char *text, bool escape, struct cm_template *out);
void cm_template_clear(struct cm_template *tp);
/*
 * Append the value.  As struct cm_rule_field's write; *missing (may be NULL) is
 * the segment that stands in the way, and then out is as it was.
 * CM_ERR_SYNTAX also, with *missing NULL: it does not fit into out (cm_buf_status)
 */
CM_MUST_USE enum cm_err cm_template_write(const struct cm_template *tp, const struct cm_cert *c,
    struct cm_buf *out, const struct cm_segment **missing);

#endif /* CM_MAPPER_TEMPLATE_INTERNAL_H */
