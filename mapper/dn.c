/* mapper/dn.c - distinguished names as the different directories have them written. */
#include "mapper/dn_internal.h"

#include <openssl/objects.h>
#include <stdlib.h>

#include "mapper/sssname_internal.h"

/* For types outside our tables; to be freed. */
static ASN1_OBJECT *
make_object(struct cm_blob oid)
{
	const size_t long_form = oid.len < 0x80 ? 0 : 2;
	uint8_t *der = malloc(2 + long_form + oid.len);
	const unsigned char *p = der;
	ASN1_OBJECT *o = NULL;

	if (der == NULL || oid.len == 0 || oid.len > 0xFFFF)
		goto out;
	der[0] = 0x06;
	der[1] = long_form == 0 ? (uint8_t)oid.len : 0x82;	/* lengths in BER: 00 may lead */
	if (long_form > 0) {
		der[2] = (uint8_t)(oid.len >> 8);
		der[3] = (uint8_t)oid.len;
	}
	memcpy(der + 2 + long_form, oid.ptr, oid.len);
	o = d2i_ASN1_OBJECT(NULL, &p, (long)(2 + long_form + oid.len));
out:
	free(der);
	return o;
}

const char *
cm_oid_short_name(struct cm_blob oid)
{
	ASN1_OBJECT *o = make_object(oid);
	const int nid = o != NULL ? OBJ_obj2nid(o) : NID_undef;

	ASN1_OBJECT_free(o);
	return nid != NID_undef ? OBJ_nid2sn(nid) : NULL;
}

void
cm_oid_text(struct cm_blob oid, struct cm_buf *out)
{
	const size_t start = out->len;
	ASN1_OBJECT *o;
	char *text;
	int len;

	cm_cert_oid_text(oid, out);
	if (out->len == start || out->ptr[start] != '#' || (o = make_object(oid)) == NULL)
		return;
	/* An arc of more than 63 bits. */
	if ((len = OBJ_obj2txt(NULL, 0, o, 1)) > 0 && (text = malloc((size_t)len + 1)) != NULL) {
		cm_buf_truncate(out, start);
		if (OBJ_obj2txt(text, len + 1, o, 1) == len)
			cm_buf_add(out, text, (size_t)len);
		free(text);
	}
	ASN1_OBJECT_free(o);
}

/*
 * The octets that OpenSSL has of a value, not converted: its content, of a BIT
 * STRING without the count of unused bits, of a SEQUENCE all of it.
 */
static struct cm_blob
content(struct cm_blob der)
{
	size_t head = der.ptr[1] < 0x80 ? 2 : 2 + (size_t)(der.ptr[1] & 0x7F);

	if (der.ptr[0] == 0x30)
		return der;
	if (der.ptr[0] == 0x03 && der.len > head)
		head++;
	return (struct cm_blob){ der.ptr + head, der.len - head };
}

static void
add_oneline(struct cm_blob v, struct cm_buf *out)
{
	for (size_t i = 0; i < v.len; i++) {
		const uint8_t c = v.ptr[i];

		if (c < ' ' || c > '~')
			cm_buf_addf(out, "\\x%02X", c);
		else if (c == '/' || c == '+')
			cm_buf_addf(out, "\\%c", c);
		else
			cm_buf_add_byte(out, c);
	}
}

/* X509_NAME_oneline(3) as OpenSSL 3.0 has it, which pam_pkcs11 compares: root first, a value's own octets. */
static void
write_oneline(const struct cm_cert_name *n, struct cm_buf *out)
{
	for (size_t i = 0; i < n->count; i++) {
		const char *name = cm_oid_short_name(n->attrs[i].oid);

		cm_buf_add_byte(out, i > 0 && n->attrs[i].rdn == n->attrs[i - 1].rdn ? '+' : '/');
		if (name != NULL)
			cm_buf_add_str(out, name);
		else
			cm_oid_text(n->attrs[i].oid, out);
		cm_buf_add_byte(out, '=');
		add_oneline(content(n->attrs[i].der), out);
	}
}

enum cm_err
cm_dn_write(const struct cm_cert_name *n, enum cm_dn_style style, struct cm_buf *out)
{
	static const unsigned sss[] = {
		[CM_DN_NSS_LDAP] = CM_SSS_TYPES | CM_SSS_LEAF_FIRST,
		[CM_DN_NSS_X500] = CM_SSS_TYPES,
		[CM_DN_AD_LDAP] = CM_SSS_TYPES | CM_SSS_AD | CM_SSS_LEAF_FIRST,
		[CM_DN_AD_X500] = CM_SSS_TYPES | CM_SSS_AD,
	};

	if (n->count == 0)
		return CM_ERR_ABSENT;
	if (style == CM_DN_PKCA)
		return cm_name_ad(n, out);
	if (style != CM_DN_ONELINE)
		return cm_name_sss(n, sss[style], out);
	write_oneline(n, out);
	return cm_buf_status(out);
}
