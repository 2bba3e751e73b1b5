/* mapper/fields.c - what a template may name, and how each is read from a certificate. */
#include "mapper/fields_internal.h"

static enum cm_err
write_text(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_text(cm_cert_field(c, ref->field->source), '@', ref, out);
}

/* {organizational_unit} is the first. */
static enum cm_err
write_numbered(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	const int number = ref->index == 0 ? 1 : ref->index;

	return cm_field_text(cm_cert_field(c, ref->field->source + (enum cm_cert_field)(number - 1)),
	    '\0', ref, out);
}

static enum cm_err
write_octets(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_convert(cm_cert_field(c, ref->field->source), ref, out);
}

static enum cm_err
write_cert(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	if (ref->conversion->digest == EVP_sha256)	/* known already: it is the certificate's identity */
		return cm_field_convert(cm_cert_sha256(c), &(struct cm_field_ref){
		    .conversion = &cm_conversions_hex[0], .flags = ref->flags }, out);
	return cm_field_convert(cm_cert_der(c), ref, out);
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

/* .short_name is what stands before the @ (in a DNS name, before the first dot), .realm what follows. */
static const struct cm_field_part principal_parts[] = {
	{ "short_name", CM_IN_ALL }, { "realm", CM_IN_OWN }, { NULL, 0 },
};
static const struct cm_field_part dns_parts[] = { { "short_name", CM_IN_ALL }, { NULL, 0 } };
static const struct cm_field_part sid_parts[] = { { "rid", CM_IN_LDAPU1 }, { NULL, 0 } };
static const struct cm_field_part any_part[] = { { CM_PART_ANY, CM_IN_ALL }, { NULL, 0 } };

/* Our own fields: what SmartcardLogin.plist names, and more. */
#define TEXT(n, f) \
	{ .name = n, .dialects = CM_IN_OWN, .source = f, .write = write_text }
#define TEXT_PARTS(n, f) \
	{ .name = n, .dialects = CM_IN_OWN, .source = f, .parts = principal_parts, \
	    .write = write_text }
/* sss-certmap(5)'s alternative names. */
#define SAN(n, p, w)	{ .name = "subject_" n, .dialects = CM_IN_ALL, .parts = p, .write = w }
#define SAN_AS(n, conv, w) \
	{ .name = "subject_" n, .dialects = CM_IN_ALL, .conversions = conv, .write = w }

/* A new field is one new row here. */
static const struct cm_rule_field fields[] = {
	TEXT("common_name", CM_CERT_COMMON_NAME),
	TEXT_PARTS("rfc822_name", CM_CERT_RFC822_NAME),
	TEXT_PARTS("nt_principal_name", CM_CERT_UPN),
	TEXT("organization", CM_CERT_ORGANIZATION),
	{ .name = "organizational_unit", .dialects = CM_IN_OWN,
	    .source = CM_CERT_ORGANIZATIONAL_UNIT_1, .max_index = 3, .write = write_numbered },
	TEXT("country", CM_CERT_COUNTRY),
	TEXT("uuid", CM_CERT_UUID),
	{ .name = "fasc_n", .dialects = CM_IN_OWN, .source = CM_CERT_FASC_N,
	    .conversions = cm_conversions_hex, .write = write_octets },
	{ .name = "issuer_dn", .dialects = CM_IN_ALL, .binds = CM_BINDS_ISSUER,
	    .conversions = cm_conversions_dn, .write = cm_write_issuer },
	{ .name = "subject_dn", .dialects = CM_IN_ALL,
	    .conversions = cm_conversions_dn, .write = cm_write_subject },
	{ .name = "issuer_dn_component", .dialects = CM_IN_LDAPU1, .parts = any_part,
	    .write = cm_write_issuer_component },
	{ .name = "subject_dn_component", .dialects = CM_IN_LDAPU1, .parts = any_part,
	    .write = cm_write_subject_component },
	{ .name = "serial_number", .dialects = CM_IN_LDAPU1, .binds = CM_BINDS_SERIAL,
	    .conversions = cm_conversions_serial, .write = write_serial },
	{ .name = "subject_key_id", .dialects = CM_IN_LDAPU1, .binds = CM_BINDS_SKI,
	    .source = CM_CERT_SUBJECT_KEY_ID, .conversions = cm_conversions_hex,
	    .write = write_octets },
	{ .name = "cert", .dialects = CM_IN_ALL, .binds = CM_BINDS_CERT,
	    .conversions = cm_conversions_cert, .write = write_cert },
	{ .name = "public_key", .dialects = CM_IN_OWN, .binds = CM_BINDS_KEY,
	    .conversions = cm_conversions_digest, .write = cm_write_public_key },
	{ .name = "spki", .dialects = CM_IN_OWN, .binds = CM_BINDS_KEY,
	    .conversions = cm_conversions_digest, .write = cm_write_spki },
	{ .name = "ssh_public_key", .dialects = CM_IN_OWN, .binds = CM_BINDS_KEY,
	    .write = cm_write_ssh_key },
	{ .name = "sid", .dialects = CM_IN_LDAPU1, .binds = CM_BINDS_SID,
	    .conversions = cm_conversions_sid, .parts = sid_parts, .write = cm_write_sid },
	{ .name = "sid_uri", .dialects = CM_IN_OWN, .binds = CM_BINDS_SID,
	    .conversions = cm_conversions_sid, .parts = sid_parts, .write = cm_write_sid_uri },
	SAN("rfc822_name", principal_parts, cm_write_san_rfc822),
	SAN("dns_name", dns_parts, cm_write_san_dns),
	SAN("directory_name", NULL, cm_write_san_directory),
	SAN("uri", NULL, cm_write_san_uri),
	SAN("registered_id", NULL, cm_write_san_rid),
	SAN("pkinit_principal", principal_parts, cm_write_san_pkinit),
	SAN("nt_principal", principal_parts, cm_write_san_upn),
	SAN("principal", principal_parts, cm_write_san_principal),
	SAN_AS("x400_address", cm_conversions_octets, cm_write_san_x400),
	SAN_AS("ediparty_name", cm_conversions_octets, cm_write_san_edi),
	SAN_AS("ip_address", cm_conversions_ip, cm_write_san_ip),
};

const struct cm_rule_field *
cm_fields(size_t *count)
{
	*count = CM_COUNT(fields);
	return fields;
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
