/* mapper/fields_san.c - alternative names of the subject (RFC 5280 4.2.1.6). */
#include "mapper/fields_internal.h"

#include "mapper/dn_internal.h"

enum tag { RFC822 = 1, DNS = 2, X400 = 3, DIRECTORY = 4, EDI = 5, URI = 6, IP = 7, RID = 8 };

/* The last; {NULL, 0} without. */
static struct cm_blob
last_value(const struct cm_cert *c, enum tag tag)
{
	size_t n;
	const struct cm_cert_san *s = cm_cert_sans(c, &n);

	while (n-- > 0)
		if (s[n].tag == (int)tag)
			return s[n].value;
	return (struct cm_blob){ NULL, 0 };
}

enum cm_err
cm_write_san_rfc822(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_text(last_value(c, RFC822), '@', ref, out);
}

enum cm_err
cm_write_san_dns(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_text(last_value(c, DNS), '.', ref, out);
}

enum cm_err
cm_write_san_uri(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_text(last_value(c, URI), '\0', ref, out);
}

enum cm_err
cm_write_san_x400(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_convert(last_value(c, X400), ref, out);
}

enum cm_err
cm_write_san_edi(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_convert(last_value(c, EDI), ref, out);
}

enum cm_err
cm_write_san_ip(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_convert(last_value(c, IP), ref, out);
}

enum cm_err
cm_write_san_rid(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	const struct cm_blob oid = last_value(c, RID);

	(void)ref;
	if (oid.len == 0)
		return CM_ERR_ABSENT;
	cm_oid_text(oid, out);
	return cm_buf_status(out);
}

/* Always in the order of nss_ldap: this field has no conversions. */
enum cm_err
cm_write_san_directory(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	size_t n;
	const struct cm_cert_san *s = cm_cert_sans(c, &n);

	(void)ref;
	while (n-- > 0)
		if (s[n].name != NULL)
			return cm_dn_write(s[n].name, CM_DN_NSS_LDAP, out);
	return CM_ERR_ABSENT;
}

/* The last principal of a kind that takes, and its part. */
static enum cm_err
write_principal(const struct cm_cert *c, bool (*takes)(const struct cm_cert_san *),
    const struct cm_field_ref *ref, struct cm_buf *out)
{
	const size_t start = out->len;
	size_t n;
	const struct cm_cert_san *s = cm_cert_sans(c, &n);
	struct cm_buf whole = { 0 };
	enum cm_err err;

	while (n > 0 && !takes(&s[n - 1]))
		n--;
	if (n == 0)
		return CM_ERR_ABSENT;
	if (cm_san_is_upn(&s[n - 1]))
		return cm_field_text(s[n - 1].text, '@', ref, out);
	if (ref->part == NULL) {
		if ((err = cm_san_principal(&s[n - 1], out)) != CM_OK)
			return err;
		return out->len > start ? CM_OK : CM_ERR_ABSENT;
	}
	if ((err = cm_san_principal(&s[n - 1], &whole)) == CM_OK)
		err = cm_field_text(cm_buf_blob(&whole), '@', ref, out);
	cm_buf_free(&whole);
	return err;
}

enum cm_err
cm_write_san_pkinit(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return write_principal(c, cm_san_is_pkinit, ref, out);
}

enum cm_err
cm_write_san_upn(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return write_principal(c, cm_san_is_upn, ref, out);
}

static bool
is_principal(const struct cm_cert_san *s)
{
	return cm_san_is_upn(s) || cm_san_is_pkinit(s);
}

enum cm_err
cm_write_san_principal(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return write_principal(c, is_principal, ref, out);
}
