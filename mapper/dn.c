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

/* The content octets of a value as they are encoded, not converted. */
static struct cm_blob
content(struct cm_blob der)
{
	const size_t head = der.ptr[1] < 0x80 ? 2 : 2 + (size_t)(der.ptr[1] & 0x7F);

	return (struct cm_blob){ der.ptr + head, der.len - head };
}

/* X509_NAME_oneline(3), which pam_pkcs11 compares: root first, octets outside ASCII's print as \xNN. */
static void
write_oneline(const struct cm_cert_name *n, struct cm_buf *out)
{
	for (size_t i = 0; i < n->count; i++) {
		const struct cm_blob v = content(n->attrs[i].der);
		const char *name = cm_oid_short_name(n->attrs[i].oid);

		cm_buf_add_byte(out, '/');
		if (name != NULL)
			cm_buf_add_str(out, name);
		else
			cm_oid_text(n->attrs[i].oid, out);
		cm_buf_add_byte(out, '=');
		for (size_t k = 0; k < v.len; k++) {
			if (v.ptr[k] >= ' ' && v.ptr[k] <= '~')
				cm_buf_add_byte(out, v.ptr[k]);
			else
				cm_buf_addf(out, "\\x%02X", v.ptr[k]);
		}
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
