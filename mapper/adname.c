/*
 * mapper/adname.c - a name as Active Directory writes it in altSecurityIdentities.
 *
 * [MS-PKCA] 3.1.5.2.1.3 "Issuer Name field with \r and \n replaced with ,".
 * The field is what CertNameToStr(CERT_X500_NAME_STR | CERT_NAME_STR_CRLF_FLAG |
 * CERT_NAME_STR_NO_PLUS_FLAG) makes (wincrypt.h): encoded order, that is root
 * first; RDNs parted by what becomes the comma; the attributes of one RDN
 * parted by a space.
 */
#include "mapper/dn_internal.h"

/* wincrypt.h, "X.500 key names": content octets of the OID, and the name. */
static const struct key_name {
	uint8_t oid[10];
	uint8_t len;
	const char *name;
} key_names[] = {
	{ { 0x55, 0x04, 0x03 }, 3, "CN" },
	{ { 0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 0x01, 0x19 }, 10, "DC" },
	{ { 0x55, 0x04, 0x0B }, 3, "OU" },
	{ { 0x55, 0x04, 0x0A }, 3, "O" },
	{ { 0x55, 0x04, 0x06 }, 3, "C" },
	{ { 0x55, 0x04, 0x07 }, 3, "L" },
	{ { 0x55, 0x04, 0x08 }, 3, "S" },	/* stateOrProvinceName, not ST */
	{ { 0x55, 0x04, 0x09 }, 3, "STREET" },
	{ { 0x55, 0x04, 0x04 }, 3, "SN" },
	{ { 0x55, 0x04, 0x05 }, 3, "SERIALNUMBER" },
	{ { 0x55, 0x04, 0x0C }, 3, "T" },
	{ { 0x55, 0x04, 0x0D }, 3, "Description" },
	{ { 0x55, 0x04, 0x11 }, 3, "PostalCode" },
	{ { 0x55, 0x04, 0x12 }, 3, "POBox" },
	{ { 0x55, 0x04, 0x14 }, 3, "Phone" },
	{ { 0x55, 0x04, 0x18 }, 3, "X21Address" },
	{ { 0x55, 0x04, 0x2A }, 3, "G" },
	{ { 0x55, 0x04, 0x2B }, 3, "I" },
	{ { 0x55, 0x04, 0x2E }, 3, "dnQualifier" },
	{ { 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x01 }, 9, "E" },
};

/* "If the OID does not have a corresponding X.500 name, the OID is used with a prefix of OID." */
static void
add_type(struct cm_blob oid, struct cm_buf *out)
{
	for (size_t i = 0; i < CM_COUNT(key_names); i++) {
		if (oid.len == key_names[i].len &&
		    memcmp(oid.ptr, key_names[i].oid, oid.len) == 0) {
			cm_buf_add_str(out, key_names[i].name);
			return;
		}
	}
	cm_buf_add_str(out, "OID.");
	cm_oid_text(oid, out);
}

/* "Empty strings are quoted", and values with a space at an end or one of these characters. */
static bool
needs_quotes(struct cm_blob v)
{
	static const char quoted[] = { ',', '+', '=', '"', '\n', '<', '>', '#', ';' };

	if (v.len == 0 || cm_is_space(v.ptr[0]) || cm_is_space(v.ptr[v.len - 1]))
		return true;
	for (size_t i = 0; i < v.len; i++)
		if (memchr(quoted, v.ptr[i], sizeof(quoted)) != NULL)
			return true;
	return false;
}

static void
add_text(struct cm_blob v, struct cm_buf *out)
{
	const bool quotes = needs_quotes(v);

	if (!quotes && memchr(v.ptr, '\r', v.len) == NULL) {
		cm_buf_add_blob(out, v);
		return;
	}
	if (quotes)
		cm_buf_add_byte(out, '"');
	for (size_t i = 0; i < v.len; i++) {
		if (v.ptr[i] == '"')	/* "Embedded quotes are double-quoted" */
			cm_buf_add_byte(out, '"');
		cm_buf_add_byte(out, v.ptr[i] == '\r' || v.ptr[i] == '\n' ? ',' : v.ptr[i]);
	}
	if (quotes)
		cm_buf_add_byte(out, '"');
}

enum cm_err
cm_name_ad(const struct cm_cert_name *n, struct cm_buf *out)
{
	if (n->count == 0)
		return CM_ERR_ABSENT;
	for (size_t i = 0; i < n->count; i++) {
		const struct cm_cert_attr *a = &n->attrs[i];

		if (a->text && a->value.len > 0 && memchr(a->value.ptr, '\0', a->value.len) != NULL)
			return CM_ERR_SYNTAX;
		if (i > 0)
			cm_buf_add_byte(out, a->rdn == n->attrs[i - 1].rdn ? ' ' : ',');
		add_type(a->oid, out);
		cm_buf_add_byte(out, '=');
		if (a->text) {
			add_text(a->value, out);
		} else {	/* "formatted in hexadecimal" */
			cm_buf_add_byte(out, '#');
			cm_buf_add_hex(out, a->value);
		}
	}
	return cm_buf_status(out);
}
