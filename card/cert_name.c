/* card/cert_name.c - distinguished names: read (RFC 5280 4.1.2.4), and written as RFC 4514 has them. */
#include "card/cert_internal.h"

#include <inttypes.h>
#include <stdlib.h>

static enum cm_err
parse_attr(struct cm_cert *c, struct cm_der *rdn, unsigned number, struct cm_cert_name *n)
{
	struct cm_cert_attr a = { .rdn = number, .text = true };
	struct cm_cert_attr *attrs;
	struct cm_der attr;
	struct cm_blob value;
	enum cm_err err;

	if (n->count == CM_NAME_ATTRS_MAX || !cm_der_enter(rdn, CM_DER_SEQUENCE, &attr) ||
	    !cm_der_oid(&attr, &a.oid) || !cm_der_any(&attr, &a.der, &value) ||
	    !cm_der_done(&attr))
		return CM_ERR_SYNTAX;
	if ((err = cm_cert_text(c, a.der, &a.value)) == CM_ERR_ABSENT) {
		a.value = a.der;
		a.text = false;
	} else if (err != CM_OK) {
		return err;
	}
	attrs = (struct cm_cert_attr *)n->attrs;
	if ((attrs = cm_cert_grow(attrs, n->count, sizeof(*attrs))) == NULL)
		return CM_ERR_NOMEM;
	attrs[n->count++] = a;
	n->attrs = attrs;
	return CM_OK;
}

/*
 * The order of a SET OF (X.690 11.6) is not insisted on: CAs in the field
 * write CN+UID as it comes, the bytes are compared as they stand, and OpenSSL
 * does the same.
 */
enum cm_err
cm_cert_name_parse(struct cm_cert *c, struct cm_der *in, struct cm_cert_name *n)
{
	struct cm_der rdns, rdn;
	struct cm_blob value;
	enum cm_err err;

	if (!cm_der_is(in, CM_DER_SEQUENCE) || !cm_der_any(in, &n->der, &value))
		return CM_ERR_SYNTAX;
	rdns = cm_der_in(value);
	for (unsigned number = 0; !cm_der_done(&rdns); number++) {
		/* SET SIZE (1..MAX) OF AttributeTypeAndValue */
		if (!cm_der_enter(&rdns, CM_DER_SET, &rdn))
			return CM_ERR_SYNTAX;
		do {
			if ((err = parse_attr(c, &rdn, number, n)) != CM_OK)
				return err;
		} while (!cm_der_done(&rdn));
	}
	return CM_OK;
}

/* RFC 4514 section 3, and descriptors of the LDAP registry that stand in certificates (RFC 4519, RFC 5280). */
static const struct short_name {
	struct cm_blob oid;
	const char *text;
} short_names[] = {
	{ CM_OID("\x55\x04\x03"), "CN" },
	{ CM_OID("\x55\x04\x0B"), "OU" },
	{ CM_OID("\x55\x04\x0A"), "O" },
	{ CM_OID("\x55\x04\x06"), "C" },
	{ CM_OID("\x09\x92\x26\x89\x93\xF2\x2C\x64\x01\x19"), "DC" },
	{ CM_OID("\x09\x92\x26\x89\x93\xF2\x2C\x64\x01\x01"), "UID" },
	{ CM_OID("\x55\x04\x07"), "L" },
	{ CM_OID("\x55\x04\x08"), "ST" },
	{ CM_OID("\x55\x04\x09"), "STREET" },
	{ CM_OID("\x55\x04\x04"), "SN" },
	{ CM_OID("\x55\x04\x05"), "serialNumber" },
	{ CM_OID("\x55\x04\x0C"), "title" },
	{ CM_OID("\x55\x04\x2A"), "givenName" },
	{ CM_OID("\x55\x04\x2B"), "initials" },
	{ CM_OID("\x55\x04\x2C"), "generationQualifier" },
	{ CM_OID("\x55\x04\x2E"), "dnQualifier" },
	{ CM_OID("\x2A\x86\x48\x86\xF7\x0D\x01\x09\x01"), "emailAddress" },
};

/* RFC 4514 section 2.4 */
static void
add_value(struct cm_buf *out, struct cm_blob v)
{
	for (size_t i = 0; i < v.len; i++) {
		const uint8_t ch = v.ptr[i];

		if (ch == '\0')
			cm_buf_add_str(out, "\\00");
		else if (memchr("\"+,;<>\\", ch, 7) != NULL ||
		    (ch == ' ' && (i == 0 || i == v.len - 1)) || (ch == '#' && i == 0))
			cm_buf_addf(out, "\\%c", ch);
		else
			cm_buf_add_byte(out, ch);
	}
}

/* RFC 4514 sections 2.3 and 2.4: a type without a short name, or no string, is written by its DER. */
static void
add_attr(struct cm_buf *out, const struct cm_cert_attr *a)
{
	const char *name = NULL;

	for (size_t i = 0; i < CM_COUNT(short_names) && name == NULL; i++)
		if (cm_blob_equal(short_names[i].oid, a->oid))
			name = short_names[i].text;
	if (name != NULL)
		cm_buf_add_str(out, name);
	else
		cm_cert_oid_text(a->oid, out);
	cm_buf_add_byte(out, '=');
	if (name != NULL && a->text) {
		add_value(out, a->value);
	} else {
		cm_buf_add_byte(out, '#');
		cm_buf_add_hex(out, a->der);
	}
}

/* RFC 4514 section 2.1: the last RDN first; within one, the attributes as encoded. */
void
cm_cert_name_rfc4514(const struct cm_cert_name *n, struct cm_buf *out)
{
	size_t end = n->count;

	while (end > 0) {
		size_t start = end - 1;

		while (start > 0 && n->attrs[start - 1].rdn == n->attrs[end - 1].rdn)
			start--;
		for (size_t i = start; i < end; i++) {
			if (i > start)
				cm_buf_add_byte(out, '+');
			add_attr(out, &n->attrs[i]);
		}
		if (start > 0)
			cm_buf_add_byte(out, ',');
		end = start;
	}
}

/* Arcs made of UUIDs (2.25.N) are longer than our numbers: nine octets hold 63 bits. */
static bool
has_long_arc(struct cm_blob oid)
{
	size_t octets = 0;

	for (size_t i = 0; i < oid.len; i++) {
		if (++octets > 9)
			return true;
		if (oid.ptr[i] < 0x80)
			octets = 0;
	}
	return false;
}

static void
add_arc(struct cm_buf *out, uint64_t arc, bool first)
{
	/* X.690 8.19.4: the first two arcs share one number; the first is 0, 1 or 2. */
	const uint64_t root = arc < 80 ? arc / 40 : 2;

	if (first)
		cm_buf_addf(out, "%" PRIu64 ".%" PRIu64, root, arc - root * 40);
	else
		cm_buf_addf(out, ".%" PRIu64, arc);
}

void
cm_cert_oid_text(struct cm_blob oid, struct cm_buf *out)
{
	uint64_t arc = 0;
	bool first = true;

	if (!cm_der_is_oid(oid))
		return;
	if (has_long_arc(oid)) {
		cm_buf_add_byte(out, '#');
		cm_buf_add_hex(out, oid);
		return;
	}
	for (size_t i = 0; i < oid.len; i++) {
		arc = arc << 7 | (oid.ptr[i] & 0x7F);
		if (oid.ptr[i] >= 0x80)
			continue;
		add_arc(out, arc, first);
		first = false;
		arc = 0;
	}
}
