/* mapper/fields.c - what a template may name, and how each is read from a certificate. */
#include "mapper/fields_internal.h"

#include "mapper/dn_internal.h"

static enum cm_err
write_text(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	const struct cm_blob v = cm_cert_field(c, ref->field->source);

	cm_buf_add_blob(out, v);
	return v.len > 0 ? CM_OK : CM_ERR_ABSENT;
}

/* {organizational_unit} is the first. */
static enum cm_err
write_numbered(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	const int number = ref->index == 0 ? 1 : ref->index;
	const struct cm_blob v = cm_cert_field(c, ref->field->source + (enum cm_cert_field)(number - 1));

	cm_buf_add_blob(out, v);
	return v.len > 0 ? CM_OK : CM_ERR_ABSENT;
}

static enum cm_err
write_octets(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_convert(cm_cert_field(c, ref->field->source), ref, out);
}

static enum cm_err
write_cert(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_convert(cm_cert_der(c), ref, out);
}

static enum cm_err
write_spki(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_convert(cm_cert_spki(c), ref, out);
}

static enum cm_err
write_public_key(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_convert(cm_cert_public_key(c), ref, out);
}

/*
 * [MS-PKCA] 3.1.5.2.1.3 "Serial Number field", as CERT_INFO.SerialNumber holds
 * it: "Leading 0x00 or 0xFF bytes are removed" (wincrypt.h, CERT_INFO).  So the
 * 00 that DER puts before a high bit is not written; libsss_certmap drops it
 * too.  Decimal needs it: it is the sign.
 */
static enum cm_err
write_serial(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	struct cm_blob v = cm_cert_serial(c);
	const bool hex = (ref->conversion->traits & CM_CONVERSION_HEX) != 0;

	if (hex && v.len > 1 && v.ptr[0] == 0) {
		v.ptr++;
		v.len--;
	}
	return cm_field_convert(v, ref, out);
}

static enum cm_err
write_issuer(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_dn_write(cm_cert_issuer(c), (enum cm_dn_style)ref->conversion->style, out);
}

static enum cm_err
write_subject(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_dn_write(cm_cert_subject(c), (enum cm_dn_style)ref->conversion->style, out);
}

static const struct cm_conversion dn_conversions[] = {
	{ .name = "pkca", .dialects = CM_IN_OWN, .style = CM_DN_PKCA },
	{ .name = NULL },
};

/* A new field is one new row here. */
static const struct cm_rule_field fields[] = {
	{ .name = "common_name", .plist = "Common Name", .dialects = CM_IN_OWN,
	    .source = CM_CERT_COMMON_NAME, .write = write_text },
	{ .name = "rfc822_name", .plist = "RFC 822 Name", .dialects = CM_IN_OWN,
	    .source = CM_CERT_RFC822_NAME, .write = write_text },
	{ .name = "nt_principal_name", .plist = "NT Principal Name", .dialects = CM_IN_OWN,
	    .source = CM_CERT_UPN, .write = write_text },
	{ .name = "organization", .plist = "Organization", .dialects = CM_IN_OWN,
	    .source = CM_CERT_ORGANIZATION, .write = write_text },
	{ .name = "organizational_unit", .plist = "OrganizationalUnit", .dialects = CM_IN_OWN,
	    .source = CM_CERT_ORGANIZATIONAL_UNIT_1, .max_index = 3, .write = write_numbered },
	{ .name = "country", .plist = "Country", .dialects = CM_IN_OWN,
	    .source = CM_CERT_COUNTRY, .write = write_text },
	{ .name = "issuer_dn", .dialects = CM_IN_OWN, .binds = CM_BINDS_ISSUER,
	    .conversions = dn_conversions, .write = write_issuer },
	{ .name = "subject_dn", .dialects = CM_IN_OWN,
	    .conversions = dn_conversions, .write = write_subject },
	{ .name = "serial_number", .dialects = CM_IN_LDAPU1, .binds = CM_BINDS_SERIAL,
	    .conversions = cm_conversions_serial, .write = write_serial },
	{ .name = "subject_key_id", .dialects = CM_IN_LDAPU1, .binds = CM_BINDS_SKI,
	    .source = CM_CERT_SUBJECT_KEY_ID, .conversions = cm_conversions_hex,
	    .write = write_octets },
	{ .name = "cert", .dialects = CM_IN_ALL, .binds = CM_BINDS_CERT,
	    .conversions = cm_conversions_cert, .write = write_cert },
	{ .name = "public_key", .dialects = CM_IN_OWN, .binds = CM_BINDS_KEY,
	    .conversions = cm_conversions_digest, .write = write_public_key },
	{ .name = "spki", .dialects = CM_IN_OWN, .binds = CM_BINDS_KEY,
	    .conversions = cm_conversions_digest, .write = write_spki },
	{ .name = "sid", .dialects = CM_IN_LDAPU1, .binds = CM_BINDS_SID,
	    .source = CM_CERT_SID, .write = write_text },
};

const struct cm_rule_field *
cm_fields(size_t *count)
{
	*count = CM_COUNT(fields);
	return fields;
}

const struct cm_rule_field *
cm_field_of_plist(struct cm_blob name)
{
	for (size_t i = 0; i < CM_COUNT(fields); i++)
		if (fields[i].plist != NULL && cm_blob_equal(cm_blob_str(fields[i].plist), name))
			return &fields[i];
	return NULL;
}

const struct cm_rule_field *
cm_field_find(struct cm_blob name, enum cm_dialect dialect)
{
	for (size_t i = 0; i < CM_COUNT(fields); i++)
		if ((fields[i].dialects & 1u << dialect) != 0 &&
		    cm_blob_equal(cm_blob_str(fields[i].name), name))
			return &fields[i];
	return NULL;
}
