/*
 * mapper/sssname.c - names as libsss_certmap writes them.
 *
 * Rules written for SSSD were tried against its texts, so these are the same
 * octet by octet, peculiarities too (2.8, as in Debian 12).
 */
#include "mapper/sssname_internal.h"

#include "mapper/dn_internal.h"

/* Content octets of the OID; the name in nss_* texts; the name in ad_* texts where it is another. */
struct sss_name {
	uint8_t oid[10];
	uint8_t len;
	const char *nss, *ad;
};
#define X520(n)	{ 0x55, 0x04, n }, 3
#define PILOT(n) { 0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 0x01, n }, 10
static const struct sss_name names[] = {
	{ X520(0x03), "CN", NULL },
	{ X520(0x0B), "OU", NULL },
	{ X520(0x0A), "O", NULL },
	{ X520(0x06), "C", NULL },
	{ PILOT(0x19), "DC", NULL },
	{ PILOT(0x01), "UID", "OID.0.9.2342.19200300.100.1.1" },
	{ { 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x01 }, 9, "E", NULL },
	{ X520(0x08), "ST", "S" },
	{ X520(0x07), "L", NULL },
	{ X520(0x05), "serialNumber", "SERIALNUMBER" },
	{ X520(0x04), "SN", NULL },
	{ X520(0x2A), "givenName", "G" },
	{ X520(0x2B), "initials", "I" },
	{ X520(0x0C), "title", "T" },
	{ X520(0x09), "STREET", NULL },
	{ X520(0x2E), "dnQualifier", NULL },
	{ X520(0x2C), "generationQualifier", "OID.2.5.4.44" },
	{ X520(0x0D), "OID.2.5.4.13", "Description" },
	{ X520(0x10), "postalAddress", "OID.2.5.4.16" },
	{ X520(0x11), "postalCode", "PostalCode" },
	{ X520(0x12), "postOfficeBox", "POBox" },
	{ X520(0x33), "houseIdentifier", "OID.2.5.4.51" },
	{ X520(0x41), "pseudonym", "OID.2.5.4.65" },
	{ X520(0x0F), "businessCategory", "OID.2.5.4.15" },
	{ X520(0x29), "name", "OID.2.5.4.41" },
	{ PILOT(0x03), "MAIL", "OID,0.9.2342.19200300.100.1.3" },	/* the comma is theirs */
};

void
cm_sss_type(struct cm_blob oid, unsigned flags, struct cm_buf *out)
{
	const char *name;

	for (size_t i = 0; i < CM_COUNT(names); i++)
		if (oid.len == names[i].len && memcmp(oid.ptr, names[i].oid, oid.len) == 0) {
			if ((flags & CM_SSS_AD) == 0 || names[i].ad == NULL)
				cm_buf_add_str(out, names[i].nss);
			else if ((flags & CM_SSS_TYPES) != 0 && strncmp(names[i].ad, "OID,", 4) == 0)
				cm_buf_addf(out, "OID.%s", names[i].ad + 4);
			else
				cm_buf_add_str(out, names[i].ad);
			return;
		}
	if ((name = cm_oid_short_name(oid)) != NULL) {
		cm_buf_add_str(out, name);
	} else if ((flags & CM_SSS_TYPES) != 0) {
		cm_buf_add_str(out, "OID.");
		cm_oid_text(oid, out);
	} else {
		cm_buf_add_str(out, "UNDEF");
	}
}

static void
add_hex_octet(struct cm_buf *out, uint8_t c)
{
	static const char digits[] = "0123456789ABCDEF";

	cm_buf_add_byte(out, (uint8_t)digits[c >> 4]);
	cm_buf_add_byte(out, (uint8_t)digits[c & 0xF]);
}

/*
 * RFC 2253 section 2.4 as OpenSSL's ASN1_STRFLGS_RFC2253 has it: control octets
 * and those above 0x7F are \XX.  A "#" that is the whole value stays bare there.
 */
static void
add_text(struct cm_blob v, struct cm_buf *out)
{
	size_t plain = 0;	/* octets before i that wait to be added as they are */

	for (size_t i = 0; i < v.len; i++) {
		const uint8_t c = v.ptr[i];
		const bool hex = c < 0x20 || c >= 0x7F;

		plain++;
		if (!hex && memchr("\"+,;<>\\", c, 7) == NULL && (c != '#' || i > 0 || v.len == 1) &&
		    (c != ' ' || (i > 0 && i < v.len - 1)))
			continue;
		cm_buf_add(out, v.ptr + i + 1 - plain, plain - 1);
		cm_buf_add_byte(out, '\\');
		if (hex)
			add_hex_octet(out, c);
		plain = !hex;	/* the octet itself comes with those behind it */
	}
	cm_buf_add(out, v.ptr + v.len - plain, plain);
}

void
cm_sss_value(const struct cm_cert_attr *a, struct cm_buf *out)
{
	if (a->text) {
		add_text(a->value, out);
		return;
	}
	cm_buf_add_byte(out, '#');
	for (size_t i = 0; i < a->der.len; i++)
		add_hex_octet(out, a->der.ptr[i]);
}

enum cm_err
cm_name_sss(const struct cm_cert_name *n, unsigned flags, struct cm_buf *out)
{
	for (size_t i = 0; i < n->count; i++) {
		const size_t at = (flags & CM_SSS_LEAF_FIRST) != 0 ? n->count - 1 - i : i;

		if (n->attrs[at].text && n->attrs[at].value.len == 0)
			return CM_ERR_SYNTAX;
		if (i > 0)
			cm_buf_add_byte(out, ',');
		cm_sss_type(n->attrs[at].oid, flags, out);
		cm_buf_add_byte(out, '=');
		cm_sss_value(&n->attrs[at], out);
	}
	return cm_buf_status(out);
}
