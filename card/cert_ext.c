/* card/cert_ext.c - the extensions (RFC 5280 section 4.2) that somebody uses later. */
#include "card/cert_internal.h"

#include <stdlib.h>
#include <strings.h>

/* A blob more in l. */
static enum cm_err
add_blob(struct cm_cert_list *l, struct cm_blob v)
{
	struct cm_blob *items = cm_cert_grow(l->items, l->count, sizeof(*items));

	if (items == NULL)
		return CM_ERR_NOMEM;
	items[l->count++] = v;
	l->items = items;
	return CM_OK;
}

/* AnotherName: type-id, [0] EXPLICIT value (RFC 5280 4.2.1.6) */
static bool
get_other_name(struct cm_blob content, struct cm_cert_san *s)
{
	struct cm_der in = cm_der_in(content), inner;
	struct cm_blob value;

	return cm_der_oid(&in, &s->oid) &&
	    cm_der_enter(&in, CM_DER_CONSTRUCTED + 0, &inner) && cm_der_done(&in) &&
	    cm_der_any(&inner, &s->value, &value) && cm_der_done(&inner);
}

/* Name is a CHOICE, so its tag is EXPLICIT (X.680 31.2.7). */
static enum cm_err
get_directory_name(struct cm_cert *c, struct cm_der in, struct cm_cert_san *s)
{
	struct cm_cert_name *n = calloc(1, sizeof(*n));
	enum cm_err err;

	if (n == NULL)
		return CM_ERR_NOMEM;
	if ((err = cm_cert_name_parse(c, &in, n)) == CM_OK && !cm_der_done(&in))
		err = CM_ERR_SYNTAX;
	s->name = n;
	s->value = n->der;
	if (err != CM_OK)
		cm_cert_san_clear(s);
	return err;
}

void
cm_cert_san_clear(struct cm_cert_san *s)
{
	if (s->name != NULL)
		free((void *)s->name->attrs);
	free((void *)s->name);
	s->name = NULL;
}

/*
 * GeneralName ::= CHOICE of nine context tags; the four that are SEQUENCEs or
 * EXPLICIT are constructed.  *s is for cm_cert_san_clear(), on failure empty.
 */
static enum cm_err
get_general_name(struct cm_cert *c, struct cm_der *in, struct cm_cert_san *s)
{
	struct cm_blob whole, value;

	*s = (struct cm_cert_san){ .tag = -1 };
	if (!cm_der_any(in, &whole, &value))
		return CM_ERR_SYNTAX;
	s->tag = whole.ptr[0] & 0x1F;
	s->value = value;
	switch (whole.ptr[0]) {
	case CM_DER_CONSTRUCTED + 0:	/* otherName */
		return get_other_name(value, s) ? CM_OK : CM_ERR_SYNTAX;
	case CM_DER_CONTEXT + 1:	/* rfc822Name, dNSName, URI: IA5String */
	case CM_DER_CONTEXT + 2:
	case CM_DER_CONTEXT + 6:
		return cm_cert_is_ascii(value) ? CM_OK : CM_ERR_SYNTAX;
	case CM_DER_CONSTRUCTED + 3:	/* x400Address, ediPartyName: kept as they are */
	case CM_DER_CONSTRUCTED + 5:
		s->value = whole;
		return CM_OK;
	case CM_DER_CONSTRUCTED + 4:
		return get_directory_name(c, cm_der_in(value), s);
	case CM_DER_CONTEXT + 7:	/* iPAddress: four or sixteen octets */
		return value.len == 4 || value.len == 16 ? CM_OK : CM_ERR_SYNTAX;
	case CM_DER_CONTEXT + 8:
		return cm_der_is_oid(value) ? CM_OK : CM_ERR_SYNTAX;
	default:
		return CM_ERR_SYNTAX;
	}
}

/* SP 800-73-4 Part 1, 3.3: FASC-N is an OCTET STRING */
static enum cm_err
note_octets(struct cm_cert *c, enum cm_cert_field f, struct cm_cert_san *s)
{
	struct cm_der in = cm_der_in(s->value);
	struct cm_blob v;

	if (!cm_der_get(&in, CM_DER_OCTET_STRING, &v))
		return CM_ERR_SYNTAX;
	cm_cert_note(c, f, v);
	return CM_OK;
}

/* [MS-WCCE] asks for UTF8String; some CAs write IA5String or BMPString, which say the same. */
static enum cm_err
note_string(struct cm_cert *c, enum cm_cert_field f, struct cm_cert_san *s)
{
	enum cm_err err;

	if ((err = cm_cert_text(c, s->value, &s->text)) == CM_OK)
		cm_cert_note(c, f, s->text);
	return err == CM_ERR_ABSENT ? CM_ERR_SYNTAX : err;
}

static enum cm_err
note_value(struct cm_cert *c, enum cm_cert_field f, struct cm_cert_san *s)
{
	cm_cert_note(c, f, s->value);
	return CM_OK;
}

/* RFC 9562 section 4: "urn:uuid:" and the text, in any case (RFC 8141 section 3.1). */
static enum cm_err
note_uuid(struct cm_cert *c, enum cm_cert_field f, struct cm_cert_san *s)
{
	static const char prefix[] = "urn:uuid:";
	const size_t n = sizeof(prefix) - 1;

	if (s->value.len > n && strncasecmp((const char *)s->value.ptr, prefix, n) == 0)
		cm_cert_note(c, f, (struct cm_blob){ s->value.ptr + n, s->value.len - n });
	return CM_OK;
}

/* A new field that is an alternative name is one row here. */
static const struct san_field {
	int tag;
	struct cm_blob oid;
	enum cm_cert_field field;
	enum cm_err (*note)(struct cm_cert *, enum cm_cert_field, struct cm_cert_san *);
} san_fields[] = {
	{ 0, CM_OID("\x2B\x06\x01\x04\x01\x82\x37\x14\x02\x03"), CM_CERT_UPN, note_string },
	{ 0, CM_OID("\x60\x86\x48\x01\x65\x03\x06\x06"), CM_CERT_FASC_N, note_octets },
	{ 1, { NULL, 0 }, CM_CERT_RFC822_NAME, note_value },
	{ 2, { NULL, 0 }, CM_CERT_DNS_NAME, note_value },
	{ 6, { NULL, 0 }, CM_CERT_URI, note_value },
	{ 6, { NULL, 0 }, CM_CERT_UUID, note_uuid },
};

static enum cm_err
note_san(struct cm_cert *c, struct cm_cert_san *s)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < CM_COUNT(san_fields); i++) {
		const struct san_field *f = &san_fields[i];

		if (f->tag == s->tag && cm_blob_equal(f->oid, s->oid))
			err = f->note(c, f->field, s);
	}
	return err;
}

/* RFC 5280 4.2.1.6: GeneralNames ::= SEQUENCE SIZE (1..MAX) */
static enum cm_err
parse_san(struct cm_cert *c, struct cm_der in)
{
	struct cm_der names;
	struct cm_cert_san *sans, s;
	enum cm_err err;

	if (!cm_der_enter(&in, CM_DER_SEQUENCE, &names) || !cm_der_done(&in))
		return CM_ERR_SYNTAX;
	do {
		if ((err = get_general_name(c, &names, &s)) != CM_OK)
			return err;
		if ((sans = cm_cert_grow(c->sans, c->san_count, sizeof(*sans))) == NULL) {
			cm_cert_san_clear(&s);
			return CM_ERR_NOMEM;
		}
		c->sans = sans;
		sans[c->san_count++] = s;
		if ((err = note_san(c, &sans[c->san_count - 1])) != CM_OK)
			return err;
	} while (!cm_der_done(&names));
	return CM_OK;
}

/* "S-1-", then numbers with "-" between ([MS-DTYP] 2.4.2.1). */
static bool
is_sid(struct cm_blob v)
{
	bool digit = false;

	if (v.len < 5 || memcmp(v.ptr, "S-1-", 4) != 0)
		return false;
	for (size_t i = 4; i < v.len; i++) {
		if (v.ptr[i] == '-' ? !digit : v.ptr[i] < '0' || v.ptr[i] > '9')
			return false;
		digit = v.ptr[i] != '-';
	}
	return digit;
}

/* [MS-WCCE] 2.2.2.7.7.4 szOID_NTDS_CA_SECURITY_EXT: one otherName, 1.3.6.1.4.1.311.25.2.1, an OCTET STRING. */
static enum cm_err
parse_sid(struct cm_cert *c, struct cm_der in)
{
	static const struct cm_blob objectsid = CM_OID("\x2B\x06\x01\x04\x01\x82\x37\x19\x02\x01");
	struct cm_der names, value;
	struct cm_cert_san s;
	struct cm_blob sid;
	enum cm_err err;

	c->sid_extension = (struct cm_blob){ in.p, (size_t)(in.end - in.p) };
	if (!cm_der_enter(&in, CM_DER_SEQUENCE, &names) || !cm_der_done(&in))
		return CM_ERR_SYNTAX;
	if ((err = get_general_name(c, &names, &s)) != CM_OK)
		return err;
	cm_cert_san_clear(&s);
	value = cm_der_in(s.value);
	if (!cm_der_done(&names) || s.tag != 0 || !cm_blob_equal(s.oid, objectsid) ||
	    !cm_der_get(&value, CM_DER_OCTET_STRING, &sid) || !is_sid(sid))
		return CM_ERR_SYNTAX;
	cm_cert_note(c, CM_CERT_SID, sid);
	return CM_OK;
}

/* RFC 5280 4.2.1.3: nine bits, the first is the highest of the first octet. */
static enum cm_err
parse_key_usage(struct cm_cert *c, struct cm_der in)
{
	struct cm_blob v;

	if (!cm_der_bits(&in, &v) || !cm_der_done(&in) || v.len > 2)
		return CM_ERR_SYNTAX;
	c->has_key_usage = true;
	for (unsigned bit = 0; bit < 8 * v.len; bit++)
		if ((v.ptr[bit / 8] & 0x80 >> bit % 8) != 0)
			c->key_usage |= 1u << bit;
	return CM_OK;
}

/* RFC 5280 4.2.1.12: SEQUENCE SIZE (1..MAX) OF OBJECT IDENTIFIER */
static enum cm_err
parse_eku(struct cm_cert *c, struct cm_der in)
{
	struct cm_der list;
	struct cm_blob oid;
	enum cm_err err;

	if (!cm_der_enter(&in, CM_DER_SEQUENCE, &list) || !cm_der_done(&in))
		return CM_ERR_SYNTAX;
	do {
		if (!cm_der_oid(&list, &oid))
			return CM_ERR_SYNTAX;
		if ((err = add_blob(&c->ekus, oid)) != CM_OK)
			return err;
	} while (!cm_der_done(&list));
	return CM_OK;
}

/* RFC 5280 4.2.1.2 */
static enum cm_err
parse_ski(struct cm_cert *c, struct cm_der in)
{
	struct cm_blob v;

	if (!cm_der_get(&in, CM_DER_OCTET_STRING, &v) || !cm_der_done(&in))
		return CM_ERR_SYNTAX;
	cm_cert_note(c, CM_CERT_SUBJECT_KEY_ID, v);
	return CM_OK;
}

/* Step over the element with this tag, if it stands here. */
static bool
skip(struct cm_der *in, uint8_t tag)
{
	struct cm_blob value;

	return !cm_der_is(in, tag) || cm_der_get(in, tag, &value);
}

/* RFC 5280 4.2.1.1: only keyIdentifier is used */
static enum cm_err
parse_aki(struct cm_cert *c, struct cm_der in)
{
	struct cm_der list;
	struct cm_blob v;

	if (!cm_der_enter(&in, CM_DER_SEQUENCE, &list) || !cm_der_done(&in))
		return CM_ERR_SYNTAX;
	if (cm_der_is(&list, CM_DER_CONTEXT + 0)) {
		if (!cm_der_get(&list, CM_DER_CONTEXT + 0, &v))
			return CM_ERR_SYNTAX;
		cm_cert_note(c, CM_CERT_AUTHORITY_KEY_ID, v);
	}
	return skip(&list, CM_DER_CONSTRUCTED + 1) && skip(&list, CM_DER_CONTEXT + 2) &&
	    cm_der_done(&list) ? CM_OK : CM_ERR_SYNTAX;
}

/* The URIs among GeneralNames, whose SEQUENCE names is inside of. */
static enum cm_err
add_uris(struct cm_cert *c, struct cm_der names, struct cm_cert_list *l)
{
	struct cm_cert_san s;
	enum cm_err err;

	do {
		if ((err = get_general_name(c, &names, &s)) == CM_OK && s.tag == 6)
			err = add_blob(l, s.value);
		cm_cert_san_clear(&s);
	} while (err == CM_OK && !cm_der_done(&names));
	return err;
}

/* DistributionPoint: [0] EXPLICIT name (a CHOICE), [1] reasons, [2] cRLIssuer */
static enum cm_err
parse_distribution_point(struct cm_cert *c, struct cm_der point)
{
	struct cm_der name, names;
	enum cm_err err;

	if (cm_der_is(&point, CM_DER_CONSTRUCTED + 0)) {
		if (!cm_der_enter(&point, CM_DER_CONSTRUCTED + 0, &name))
			return CM_ERR_SYNTAX;
		if (cm_der_enter(&name, CM_DER_CONSTRUCTED + 0, &names)) {	/* fullName */
			if ((err = add_uris(c, names, &c->urls[CM_URL_CDP])) != CM_OK)
				return err;
		} else if (!cm_der_enter(&name, CM_DER_CONSTRUCTED + 1, &names)) {
			return CM_ERR_SYNTAX;
		}
		if (!cm_der_done(&name))
			return CM_ERR_SYNTAX;
	}
	return skip(&point, CM_DER_CONTEXT + 1) && skip(&point, CM_DER_CONSTRUCTED + 2) &&
	    cm_der_done(&point) ? CM_OK : CM_ERR_SYNTAX;
}

/* SEQUENCE SIZE (1..MAX) OF SEQUENCE */
static enum cm_err
parse_each(struct cm_cert *c, struct cm_der in, enum cm_err (*parse)(struct cm_cert *, struct cm_der))
{
	struct cm_der list, one;
	enum cm_err err;

	if (!cm_der_enter(&in, CM_DER_SEQUENCE, &list) || !cm_der_done(&in))
		return CM_ERR_SYNTAX;
	do {
		if (!cm_der_enter(&list, CM_DER_SEQUENCE, &one))
			return CM_ERR_SYNTAX;
		if ((err = parse(c, one)) != CM_OK)
			return err;
	} while (!cm_der_done(&list));
	return CM_OK;
}

/* RFC 5280 4.2.1.13 */
static enum cm_err
parse_cdp(struct cm_cert *c, struct cm_der in)
{
	return parse_each(c, in, parse_distribution_point);
}

/* RFC 5280 4.2.2.1: accessMethod, accessLocation */
static enum cm_err
parse_access(struct cm_cert *c, struct cm_der access)
{
	static const struct {
		struct cm_blob oid;
		enum cm_cert_url kind;
	} methods[] = {
		{ CM_OID("\x2B\x06\x01\x05\x05\x07\x30\x01"), CM_URL_OCSP },
		{ CM_OID("\x2B\x06\x01\x05\x05\x07\x30\x02"), CM_URL_CA_ISSUERS },
	};
	struct cm_cert_san s;
	struct cm_blob method;
	enum cm_err err;

	if (!cm_der_oid(&access, &method))
		return CM_ERR_SYNTAX;
	if ((err = get_general_name(c, &access, &s)) != CM_OK)
		return err;
	cm_cert_san_clear(&s);
	if (!cm_der_done(&access))
		return CM_ERR_SYNTAX;
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(methods); i++)
		if (s.tag == 6 && cm_blob_equal(methods[i].oid, method))
			err = add_blob(&c->urls[methods[i].kind], s.value);
	return err;
}

static enum cm_err
parse_aia(struct cm_cert *c, struct cm_der in)
{
	return parse_each(c, in, parse_access);
}

/* A new extension is one row here. */
static const struct extension {
	struct cm_blob oid;
	const char *name;
	enum cm_err (*parse)(struct cm_cert *, struct cm_der);
} extensions[] = {
	{ CM_OID("\x55\x1D\x11"), "subjectAltName", parse_san },
	{ CM_OID("\x55\x1D\x0F"), "keyUsage", parse_key_usage },
	{ CM_OID("\x55\x1D\x25"), "extKeyUsage", parse_eku },
	{ CM_OID("\x55\x1D\x0E"), "subjectKeyIdentifier", parse_ski },
	{ CM_OID("\x55\x1D\x23"), "authorityKeyIdentifier", parse_aki },
	{ CM_OID("\x55\x1D\x1F"), "cRLDistributionPoints", parse_cdp },
	{ CM_OID("\x2B\x06\x01\x05\x05\x07\x01\x01"), "authorityInfoAccess", parse_aia },
	{ CM_OID("\x2B\x06\x01\x04\x01\x82\x37\x19\x02"), "SID extension 1.3.6.1.4.1.311.25.2", parse_sid },
};

static enum cm_err
parse_value(struct cm_cert *c, struct cm_blob oid, struct cm_blob value, const char **field)
{
	for (size_t i = 0; i < CM_COUNT(extensions); i++) {
		if (!cm_blob_equal(extensions[i].oid, oid))
			continue;
		*field = extensions[i].name;
		return extensions[i].parse(c, cm_der_in(value));
	}
	return CM_OK;
}

/* Extension ::= SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING } */
static bool
get_extension(struct cm_der *in, struct cm_blob *oid, struct cm_blob *value)
{
	struct cm_der ext;
	struct cm_blob critical;

	if (!cm_der_enter(in, CM_DER_SEQUENCE, &ext) || !cm_der_oid(&ext, oid))
		return false;
	/* X.690 11.1 and 11.5: TRUE is FF, and a default is not written. */
	if (cm_der_is(&ext, CM_DER_BOOLEAN) &&
	    (!cm_der_get(&ext, CM_DER_BOOLEAN, &critical) || critical.len != 1 ||
	    critical.ptr[0] != 0xFF))
		return false;
	return cm_der_get(&ext, CM_DER_OCTET_STRING, value) && cm_der_done(&ext);
}

enum cm_err
cm_cert_extensions(struct cm_cert *c, struct cm_der *in, const char **field)
{
	struct cm_blob seen[CM_CERT_EXTENSIONS_MAX], value;
	enum cm_err err;
	size_t n = 0;

	do {
		*field = "extensions";
		if (n == CM_CERT_EXTENSIONS_MAX || !get_extension(in, &seen[n], &value))
			return CM_ERR_SYNTAX;
		/* RFC 5280 4.2: no extension twice, known to us or not. */
		for (size_t i = 0; i < n; i++)
			if (cm_blob_equal(seen[i], seen[n])) {
				*field = "extensions (one stands twice)";
				return CM_ERR_SYNTAX;
			}
		if ((err = parse_value(c, seen[n], value, field)) != CM_OK)
			return err;
		n++;
	} while (!cm_der_done(in));
	return CM_OK;
}
