/* mapper/rules_internal.h - the one form every rule language compiles into. */
#ifndef CM_MAPPER_RULES_INTERNAL_H
#define CM_MAPPER_RULES_INTERNAL_H

#include "mapper/mapper.h"

/*
 * A field a rule may name.  write() appends its value from the certificate.
 *
 * CM_OK          the whole value was written, and it is not empty
 * CM_ERR_ABSENT  the certificate has no such field
 * CM_ERR_SYNTAX  the field holds what no directory value can (a NUL)
 */
struct cm_rule_field {
	const char *name;		/* in rules and in messages */
	enum cm_cert_field source;	/* for write functions that serve several fields */
	bool plist;			/* SmartCardServices(7) knows it */
	enum cm_err (*write)(const struct cm_cert *c, enum cm_cert_field source,
	    struct cm_buf *out);
};

/* The field of that very name, or NULL; and the table, for messages. */
const struct cm_rule_field *cm_rule_field_find(struct cm_blob name);
const struct cm_rule_field *cm_rule_fields(size_t *count);

/* A piece of a value: fixed text, or a field of the certificate. */
struct cm_segment {
	const struct cm_rule_field *field;	/* NULL: literal */
	struct cm_blob literal;			/* owned by the rule */
};

struct cm_rule {
	char *name;		/* "default issuer-serial" */
	char *text;		/* "altSecurityIdentities = Kerberos:{NT Principal Name}" */
	char *attribute;
	struct cm_segment *segments;
	size_t count;
};

struct cm_rules {
	struct cm_rule *rules;
	size_t count;
	struct cm_rules_pin *pins;
	size_t pin_count;
	char *origin;		/* "file:line" or "built in", for people */
};

/* Empty rules; CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_rules_new(const char *origin, struct cm_rules **out);

/* Add a rule: its value is the segments, one after the other.  All is copied. */
CM_MUST_USE enum cm_err cm_rules_add(struct cm_rules *r, const char *name,
    const char *attribute, const struct cm_segment *segments, size_t count);

/* Add the rules that hold without any configuration. */
CM_MUST_USE enum cm_err cm_rules_add_default(struct cm_rules *r);

/* cm_rules_load_plist() from bytes; name is for messages. */
CM_MUST_USE enum cm_err cm_rules_parse_plist(struct cm_blob plist, const char *name,
    struct cm_trace *t, struct cm_rules **out);

/*
 * adname.c: AD's text of a name: root first, "," without a space, AD's attribute
 * names ([MS-PKCA] 3.1.5.2.1.3).
 * CM_ERR_ABSENT  the name is empty
 * CM_ERR_SYNTAX  a value holds a NUL, or out is full
 */
CM_MUST_USE enum cm_err cm_name_ad(const struct cm_cert_name *n, struct cm_buf *out);

#endif /* CM_MAPPER_RULES_INTERNAL_H */
