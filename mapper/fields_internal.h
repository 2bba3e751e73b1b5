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
#define CM_CONVERSION_EVERY	(1u << 3)	/* a filter escapes every one of them */
/* A name that no template can write: only ever a default. */
#define CM_CONVERSION_UNNAMED	""

extern const struct cm_conversion cm_conversions_cert[], cm_conversions_digest[],
    cm_conversions_dn[], cm_conversions_hex[], cm_conversions_ip[], cm_conversions_octets[],
    cm_conversions_serial[], cm_conversions_sid[];

/* v by the conversion written or the default.  CM_ERR_ABSENT when v is empty. */
CM_MUST_USE enum cm_err cm_field_convert(struct cm_blob v, const struct cm_field_ref *ref,
    struct cm_buf *out);
/*
 * Text, or its part: .short_name up to delim, .realm behind it.  CM_ERR_ABSENT
 * when that is empty; CM_ERR_SYNTAX when a NUL stands anywhere in v.
 */
CM_MUST_USE enum cm_err cm_field_text(struct cm_blob v, char delim, const struct cm_field_ref *ref,
    struct cm_buf *out);

/* fields.c: the field of that very name in the dialect, or NULL. */
const struct cm_rule_field *cm_field_find(struct cm_blob name, enum cm_dialect dialect);

/* As struct cm_rule_field's write.  fields_name.c: */
CM_MUST_USE enum cm_err cm_write_issuer(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_subject(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_issuer_component(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_subject_component(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
/* fields_san.c: where a kind stands several times, the last, as libsss_certmap has it. */
CM_MUST_USE enum cm_err cm_write_san_rfc822(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_san_dns(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_san_x400(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_san_directory(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_san_edi(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_san_uri(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_san_ip(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_san_rid(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_san_pkinit(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_san_upn(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_san_principal(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
/* fields_key.c */
CM_MUST_USE enum cm_err cm_write_public_key(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_spki(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_ssh_key(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
/* fields_sid.c: S-1-... as text, its last number, or the octets of objectSid ([MS-DTYP] 2.4.2.2). */
CM_MUST_USE enum cm_err cm_write_sid(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);
CM_MUST_USE enum cm_err cm_write_sid_uri(const struct cm_cert *c, const struct cm_field_ref *ref,
    struct cm_buf *out);

/*
 * The SID of the account that the certificate was issued to, from its extension
 * or else from a SAN URI (then in scratch); empty: it names none.
 */
struct cm_blob cm_cert_sid(const struct cm_cert *c, struct cm_buf *scratch);

/* ---- principal.c */

/* DER (X.690): the next element of *in if its identifier octet is tag: its content; *in moves behind it. */
CM_MUST_USE bool cm_element(struct cm_blob *in, uint8_t tag, struct cm_blob *out);

/* otherName types whose value is a principal (RFC 4556 3.2.2; [MS-WCCE]), content octets. */
bool cm_san_is_pkinit(const struct cm_cert_san *s);
bool cm_san_is_upn(const struct cm_cert_san *s);
/*
 * The principal of an otherName: "alice@REALM", the components of a
 * KRB5PrincipalName parted by "/", nothing escaped.
 * CM_ERR_ABSENT  the otherName is of another type
 * CM_ERR_SYNTAX  it does not hold what its type promises
 */
CM_MUST_USE enum cm_err cm_san_principal(const struct cm_cert_san *s, struct cm_buf *out);

#endif /* CM_MAPPER_FIELDS_INTERNAL_H */
