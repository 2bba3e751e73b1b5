/* card/der.c - a strict, bounded reader of DER (X.690) over bytes nobody has checked. */
#include "card/der_internal.h"

/*
 * X.690 8.1.3 and 10.1: definite, in the fewest octets.  Three length octets
 * are more than any certificate we accept has.
 */
static bool
get_length(const uint8_t **p, const uint8_t *end, size_t *len)
{
	const uint8_t *q = *p;
	size_t n, v = 0;

	if (q == end)
		return false;
	if (*q < 0x80) {
		*len = *q;
		*p = q + 1;
		return true;
	}
	n = *q++ & 0x7F;
	if (n == 0 || n > 3 || (size_t)(end - q) < n || *q == 0)
		return false;
	for (; n > 0; n--)
		v = v << 8 | *q++;
	if (v < 0x80)
		return false;
	*len = v;
	*p = q;
	return true;
}

/*
 * X.690 8.1.2.4: tag numbers above 30 do not occur in a certificate.  8.9.1,
 * 8.11.1 and 10.2: of the universal types in one only SEQUENCE and SET are
 * constructed; 8.1.5: 00 is no type.
 */
static bool
is_identifier(uint8_t octet)
{
	const unsigned number = octet & 0x1F;

	if (number == 0x1F)
		return false;
	if (octet >= 0x40)
		return true;
	return number != 0 && ((octet & 0x20) != 0) == (number == 0x10 || number == 0x11);
}

bool
cm_der_any(struct cm_der *in, struct cm_blob *whole, struct cm_blob *value)
{
	const uint8_t *p = in->p;
	size_t len;

	if (p == in->end || !is_identifier(*p))
		return false;
	p++;
	if (!get_length(&p, in->end, &len) || (size_t)(in->end - p) < len)
		return false;
	*value = (struct cm_blob){ p, len };
	*whole = (struct cm_blob){ in->p, (size_t)(p - in->p) + len };
	in->p = p + len;
	return true;
}

bool
cm_der_get(struct cm_der *in, uint8_t tag, struct cm_blob *value)
{
	struct cm_blob whole;

	return cm_der_is(in, tag) && cm_der_any(in, &whole, value);
}

bool
cm_der_enter(struct cm_der *in, uint8_t tag, struct cm_der *inner)
{
	struct cm_blob value;

	if (!cm_der_get(in, tag, &value))
		return false;
	*inner = cm_der_in(value);
	return true;
}

bool
cm_der_integer(struct cm_der *in, struct cm_blob *value)
{
	struct cm_der at = *in;
	const uint8_t *v;

	if (!cm_der_get(&at, CM_DER_INTEGER, value) || value->len == 0)
		return false;
	/* X.690 8.3.2: the first nine bits are neither all zero nor all one. */
	v = value->ptr;
	if (value->len > 1 && ((v[0] == 0x00 && v[1] < 0x80) || (v[0] == 0xFF && v[1] >= 0x80)))
		return false;
	*in = at;
	return true;
}

bool
cm_der_is_oid(struct cm_blob v)
{
	bool first = true;

	/* X.690 8.19.2: bit 8 is set in all but the last octet of an arc, and no arc begins with 80. */
	for (size_t i = 0; i < v.len; i++) {
		if (first && v.ptr[i] == 0x80)
			return false;
		first = v.ptr[i] < 0x80;
	}
	return v.len > 0 && first;
}

bool
cm_der_oid(struct cm_der *in, struct cm_blob *value)
{
	struct cm_der at = *in;

	if (!cm_der_get(&at, CM_DER_OID, value) || !cm_der_is_oid(*value))
		return false;
	*in = at;
	return true;
}

bool
cm_der_bits(struct cm_der *in, struct cm_blob *octets)
{
	struct cm_der at = *in;
	struct cm_blob v;
	unsigned unused;

	if (!cm_der_get(&at, CM_DER_BIT_STRING, &v) || v.len == 0)
		return false;
	/* X.690 8.6.2 and 11.2.1: at most seven bits of padding, all zero, and none after no octets. */
	unused = v.ptr[0];
	if (unused > 7 || (v.len == 1 && unused != 0) ||
	    (v.ptr[v.len - 1] & ((1u << unused) - 1)) != 0)
		return false;
	*octets = (struct cm_blob){ v.ptr + 1, v.len - 1 };
	*in = at;
	return true;
}
