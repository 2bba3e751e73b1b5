/* mapper/fields_internal.h - how a field's octets become text: shared by the fields' files */
#ifndef CM_MAPPER_FIELDS_INTERNAL_H
#define CM_MAPPER_FIELDS_INTERNAL_H

#include "mapper/template_internal.h"

#define CM_IN_OWN	(1u << CM_DIALECT_OWN)
#define CM_IN_LDAPU1	(CM_IN_OWN | 1u << CM_DIALECT_LDAPU1)
#define CM_IN_ALL	(CM_IN_LDAPU1 | 1u << CM_DIALECT_LDAP)

/* What may stand behind the dot; name NULL ends a table.  CM_PART_ANY: any text does. */
struct cm_field_part {
	const char *name;
	unsigned dialects;
};
#define CM_PART_ANY	"*"

/* What may stand behind the exclamation mark. */
struct cm_conversion {
	const char *name;		/* NULL ends a table */
	unsigned dialects;
	unsigned traits;		/* CM_CONVERSION_* */
	int style;			/* of names: enum cm_dn_style */
	const EVP_MD *(*digest)(void);
	enum cm_err (*write)(struct cm_blob v, const struct cm_field_ref *ref, struct cm_buf *out);
};
#define CM_CONVERSION_ANY_CASE	(1u << 0)
#define CM_CONVERSION_HEX	(1u << 1)	/* _u, _c and _r may follow, in any order */
#define CM_CONVERSION_OCTETS	(1u << 2)	/* makes octets, not text: NUL may be among them */

extern const struct cm_conversion cm_conversions_cert[], cm_conversions_digest[],
    cm_conversions_hex[], cm_conversions_serial[];

/* Shared by rows that have no other way: v by the conversion.  CM_ERR_ABSENT when v is empty. */
CM_MUST_USE enum cm_err cm_field_convert(struct cm_blob v, const struct cm_field_ref *ref,
    struct cm_buf *out);

/* template.c, fields.c: the field of that very name in the dialect, or NULL. */
const struct cm_rule_field *cm_field_find(struct cm_blob name, enum cm_dialect dialect);

#endif /* CM_MAPPER_FIELDS_INTERNAL_H */
