/* card/der_internal.h - a strict, bounded reader of DER (X.690) over bytes nobody has checked. */
#ifndef CM_CARD_DER_INTERNAL_H
#define CM_CARD_DER_INTERNAL_H

#include <stdbool.h>

#include "base/blob.h"
#include "base/err.h"

/*
 * A place in borrowed bytes.  Nothing is copied: what is read points into
 * them.  Every function returns false when the bytes are not what was asked
 * for, and then the place has not moved.
 */
struct cm_der {
	const uint8_t *p;
	const uint8_t *end;
};

/* Identifier octets (X.690 8.1.2). */
enum {
	CM_DER_BOOLEAN = 0x01,
	CM_DER_INTEGER = 0x02,
	CM_DER_BIT_STRING = 0x03,
	CM_DER_OCTET_STRING = 0x04,
	CM_DER_OID = 0x06,
	CM_DER_UTF8 = 0x0C,
	CM_DER_NUMERIC = 0x12,
	CM_DER_PRINTABLE = 0x13,
	CM_DER_TELETEX = 0x14,
	CM_DER_IA5 = 0x16,
	CM_DER_UTC_TIME = 0x17,
	CM_DER_GENERALIZED_TIME = 0x18,
	CM_DER_VISIBLE = 0x1A,
	CM_DER_UNIVERSAL = 0x1C,
	CM_DER_BMP = 0x1E,
	CM_DER_SEQUENCE = 0x30,
	CM_DER_SET = 0x31,
	CM_DER_CONTEXT = 0x80,		/* + tag: IMPLICIT over a primitive type */
	CM_DER_CONSTRUCTED = 0xA0,	/* + tag: EXPLICIT, or IMPLICIT over SEQUENCE and SET */
};

static inline struct cm_der
cm_der_in(struct cm_blob v)
{
	return (struct cm_der){ v.ptr, v.ptr + v.len };
}

static inline bool
cm_der_done(const struct cm_der *in)
{
	return in->p == in->end;
}

/* Is the next element's identifier this one? */
static inline bool
cm_der_is(const struct cm_der *in, uint8_t tag)
{
	return in->p < in->end && *in->p == tag;
}

/* The next element, whatever it is: all its octets, and its content octets. */
CM_MUST_USE bool cm_der_any(struct cm_der *in, struct cm_blob *whole, struct cm_blob *value);

/* The next element's content octets, if its identifier is tag. */
CM_MUST_USE bool cm_der_get(struct cm_der *in, uint8_t tag, struct cm_blob *value);

/* The same, to be read on inside. */
CM_MUST_USE bool cm_der_enter(struct cm_der *in, uint8_t tag, struct cm_der *inner);

/* INTEGER and OBJECT IDENTIFIER in their shortest form; BIT STRING whose padding is zero. */
CM_MUST_USE bool cm_der_integer(struct cm_der *in, struct cm_blob *value);
CM_MUST_USE bool cm_der_oid(struct cm_der *in, struct cm_blob *value);
CM_MUST_USE bool cm_der_bits(struct cm_der *in, struct cm_blob *octets);

/* Are these the content octets of an OBJECT IDENTIFIER (X.690 8.19)? */
bool cm_der_is_oid(struct cm_blob v);

#endif /* CM_CARD_DER_INTERNAL_H */
