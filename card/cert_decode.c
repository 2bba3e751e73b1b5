/* card/cert_decode.c - Certificate and TBSCertificate (RFC 5280 4.1), read in order. */
#include "card/cert_internal.h"

struct decoder {
	struct cm_cert *c;
	struct cm_der tbs;
	struct cm_blob algorithm;	/* the signature's, outside TBSCertificate */
	unsigned version;		/* 1, 2 or 3 */
	const char *field;
};

/* RFC 5280 4.1.2.1; X.690 11.5: version 1 is the default and so is not written. */
static enum cm_err
version(struct decoder *d)
{
	struct cm_der in;
	struct cm_blob v;

	d->version = 1;
	if (!cm_der_is(&d->tbs, CM_DER_CONSTRUCTED + 0))
		return CM_OK;
	if (!cm_der_enter(&d->tbs, CM_DER_CONSTRUCTED + 0, &in) || !cm_der_integer(&in, &v) ||
	    !cm_der_done(&in) || v.len != 1 || v.ptr[0] < 1 || v.ptr[0] > 2)
		return CM_ERR_SYNTAX;
	d->version = v.ptr[0] + 1u;
	return CM_OK;
}

/* RFC 5280 4.1.2.2: users must be prepared for serials that are negative, zero, or long. */
static enum cm_err
serial_number(struct decoder *d)
{
	return cm_der_integer(&d->tbs, &d->c->serial) ? CM_OK : CM_ERR_SYNTAX;
}

/* AlgorithmIdentifier: an OBJECT IDENTIFIER and at most one element more. */
static bool
get_algorithm(struct cm_der *from, struct cm_blob *whole)
{
	struct cm_blob value, oid, parameters, v;
	struct cm_der in;

	if (!cm_der_is(from, CM_DER_SEQUENCE) || !cm_der_any(from, whole, &value))
		return false;
	in = cm_der_in(value);
	if (!cm_der_oid(&in, &oid))
		return false;
	return cm_der_done(&in) || (cm_der_any(&in, &parameters, &v) && cm_der_done(&in));
}

/* RFC 5280 4.1.1.2: the same inside as outside. */
static enum cm_err
signature(struct decoder *d)
{
	struct cm_blob inner;

	return get_algorithm(&d->tbs, &inner) && cm_blob_equal(inner, d->algorithm) ?
	    CM_OK : CM_ERR_SYNTAX;
}

static enum cm_err
issuer(struct decoder *d)
{
	return cm_cert_name_parse(d->c, &d->tbs, &d->c->issuer);
}

static enum cm_err
subject(struct decoder *d)
{
	return cm_cert_name_parse(d->c, &d->tbs, &d->c->subject);
}

/* n decimal digits at p. */
static bool
get_number(const uint8_t *p, size_t n, int *out)
{
	*out = 0;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		*out = *out * 10 + (p[i] - '0');
	}
	return true;
}

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days since 1970-01-01 in the Gregorian calendar; years 0 to 9999, the day is there in its month. */
static bool
get_days(int year, int month, int day, time_t *out)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };
	const int past = year - 1;	/* whole years since the year 1; -1 in the year 0, a leap year */
	const int leaps = past >= 0 ? past / 4 - past / 100 + past / 400 : -1;
	int last;

	if (month < 1 || month > 12)
		return false;
	last = before[month] - before[month - 1] + (month == 2 && is_leap(year));
	if (day < 1 || day > last)
		return false;
	*out = (time_t)past * 365 + leaps + before[month - 1] +
	    (month > 2 && is_leap(year)) + day - 1 - 719162;
	return true;
}

/*
 * RFC 5280 4.1.2.5.1 and 4.1.2.5.2: YYMMDDHHMMSSZ and YYYYMMDDHHMMSSZ and no
 * other form.  A GeneralizedTime before 2050 is read: applications must be
 * able to process either (4.1.2.5).
 */
static bool
get_time(struct cm_der *in, time_t *out)
{
	const bool utc = cm_der_is(in, CM_DER_UTC_TIME);
	const size_t digits = utc ? 2 : 4;
	int year, month, day, hour, minute, second;
	struct cm_blob v;
	time_t days;

	if (!cm_der_get(in, utc ? CM_DER_UTC_TIME : CM_DER_GENERALIZED_TIME, &v) ||
	    v.len != digits + 11 || v.ptr[v.len - 1] != 'Z')
		return false;
	if (!get_number(v.ptr, digits, &year) || !get_number(v.ptr + digits, 2, &month) ||
	    !get_number(v.ptr + digits + 2, 2, &day) || !get_number(v.ptr + digits + 4, 2, &hour) ||
	    !get_number(v.ptr + digits + 6, 2, &minute) ||
	    !get_number(v.ptr + digits + 8, 2, &second))
		return false;
	if (utc)
		year += year >= 50 ? 1900 : 2000;
	if (!get_days(year, month, day, &days) || hour > 23 || minute > 59 || second > 59)
		return false;
	*out = days * 86400 + hour * 3600 + minute * 60 + second;
	return true;
}

static enum cm_err
validity(struct decoder *d)
{
	struct cm_der in;

	return cm_der_enter(&d->tbs, CM_DER_SEQUENCE, &in) && get_time(&in, &d->c->not_before) &&
	    get_time(&in, &d->c->not_after) && cm_der_done(&in) ? CM_OK : CM_ERR_SYNTAX;
}

/* Its inside is OpenSSL's, in cm_cert_x509(): looking there is what costs d2i_X509 its 100 us. */
static enum cm_err
public_key(struct decoder *d)
{
	struct cm_blob value;

	return cm_der_is(&d->tbs, CM_DER_SEQUENCE) &&
	    cm_der_any(&d->tbs, &d->c->spki, &value) ? CM_OK : CM_ERR_SYNTAX;
}

/* RFC 5280 4.1.2.8: issuerUniqueID [1], subjectUniqueID [2]; not in version 1 */
static enum cm_err
unique_ids(struct decoder *d)
{
	struct cm_blob v;

	for (uint8_t tag = CM_DER_CONTEXT + 1; tag <= CM_DER_CONTEXT + 2; tag++)
		if (cm_der_is(&d->tbs, tag) &&
		    (d->version == 1 || !cm_der_get(&d->tbs, tag, &v) || v.len == 0))
			return CM_ERR_SYNTAX;
	return CM_OK;
}

/* RFC 5280 4.1.2.9: only in version 3 */
static enum cm_err
extensions(struct decoder *d)
{
	struct cm_der outer, in;

	if (cm_der_done(&d->tbs))
		return CM_OK;
	if (d->version != 3 || !cm_der_enter(&d->tbs, CM_DER_CONSTRUCTED + 3, &outer) ||
	    !cm_der_done(&d->tbs) || !cm_der_enter(&outer, CM_DER_SEQUENCE, &in) ||
	    !cm_der_done(&outer))
		return CM_ERR_SYNTAX;
	return cm_cert_extensions(d->c, &in, &d->field);
}

static const struct step {
	const char *field;
	enum cm_err (*read)(struct decoder *);
} steps[] = {
	{ "version", version },
	{ "serialNumber", serial_number },
	{ "signature", signature },
	{ "issuer", issuer },
	{ "validity", validity },
	{ "subject", subject },
	{ "subjectPublicKeyInfo", public_key },
	{ "uniqueID", unique_ids },
	{ "extensions", extensions },
};

/* Fields that are an attribute of the subject. */
static const struct subject_field {
	struct cm_blob oid;
	enum cm_cert_field field;
} subject_fields[] = {
	{ CM_OID("\x55\x04\x03"), CM_CERT_COMMON_NAME },
	{ CM_OID("\x55\x04\x0A"), CM_CERT_ORGANIZATION },
	{ CM_OID("\x55\x04\x0B"), CM_CERT_ORGANIZATIONAL_UNIT_1 },
	{ CM_OID("\x55\x04\x06"), CM_CERT_COUNTRY },
};

static void
note_attr(struct cm_cert *c, enum cm_cert_field f, struct cm_blob v, size_t *units)
{
	/* The root comes first, so the last common name is the person's. */
	if (f == CM_CERT_COMMON_NAME && v.len > 0)
		c->fields[f] = (struct cm_blob){ NULL, 0 };
	/* An empty unit keeps its place: else the next would pass for it. */
	if (f == CM_CERT_ORGANIZATIONAL_UNIT_1) {
		if (*units > 2)
			return;
		f += (*units)++;
	}
	cm_cert_note(c, f, v);
}

static void
note_subject(struct cm_cert *c)
{
	size_t units = 0;

	for (size_t i = 0; i < c->subject.count; i++) {
		const struct cm_cert_attr *a = &c->subject.attrs[i];

		for (size_t k = 0; a->text && k < CM_COUNT(subject_fields); k++)
			if (cm_blob_equal(subject_fields[k].oid, a->oid))
				note_attr(c, subject_fields[k].field, a->value, &units);
	}
}

/* Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue } */
static bool
open_certificate(struct decoder *d)
{
	struct cm_der in = cm_der_in(d->c->der), certificate;
	struct cm_blob bits;

	return cm_der_enter(&in, CM_DER_SEQUENCE, &certificate) && cm_der_done(&in) &&
	    cm_der_enter(&certificate, CM_DER_SEQUENCE, &d->tbs) &&
	    get_algorithm(&certificate, &d->algorithm) && cm_der_bits(&certificate, &bits) &&
	    cm_der_done(&certificate);
}

enum cm_err
cm_cert_parse(struct cm_cert *c, const char **field)
{
	struct decoder d = { .c = c, .field = "Certificate" };
	enum cm_err err = open_certificate(&d) ? CM_OK : CM_ERR_SYNTAX;

	for (size_t i = 0; err == CM_OK && i < CM_COUNT(steps); i++) {
		d.field = steps[i].field;
		err = steps[i].read(&d);
	}
	if (err == CM_OK)
		note_subject(c);
	*field = d.field;
	return err;
}
