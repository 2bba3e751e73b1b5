/* card/cert_check.c - does OpenSSL read the same bytes as we did?  Field by field. */
#include <openssl/x509v3.h>

#include "card/cert_internal.h"

static struct cm_blob
of_string(const ASN1_STRING *s)
{
	return (struct cm_blob){ ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s) };
}

static struct cm_blob
of_object(const ASN1_OBJECT *o)
{
	return (struct cm_blob){ OBJ_get0_data(o), OBJ_length(o) };
}

/* Takes what an i2d function wrote. */
static bool
same_encoding(unsigned char *made, int len, struct cm_blob v)
{
	const bool same = len >= 0 && cm_blob_equal((struct cm_blob){ made, (size_t)len }, v);

	OPENSSL_free(made);
	return same;
}

/* Written anew from what OpenSSL understood, it must be what came: so there was no second way to write it. */
static bool
encoding(const struct cm_cert *c, X509 *x)
{
	unsigned char *tbs = NULL, *whole = NULL;
	int len;

	len = i2d_re_X509_tbs(x, &tbs);
	OPENSSL_free(tbs);
	if (len <= 0)
		return false;
	len = i2d_X509(x, &whole);
	return same_encoding(whole, len, c->der);
}

static bool
extensions(const struct cm_cert *c, X509 *x)
{
	(void)c;
	return X509_check_purpose(x, -1, 0) == 1 &&
	    (X509_get_extension_flags(x) & EXFLAG_INVALID) == 0;
}

static bool
same_text(const ASN1_STRING *s, struct cm_blob v)
{
	unsigned char *text = NULL;
	const int len = ASN1_STRING_to_UTF8(&text, s);

	return same_encoding(text, len, v);
}

static bool
same_name(const struct cm_cert_name *n, const X509_NAME *name)
{
	const unsigned char *der = NULL;
	size_t len = 0;

	if (X509_NAME_get0_der(name, &der, &len) != 1 ||
	    !cm_blob_equal(n->der, (struct cm_blob){ der, len }) ||
	    (size_t)X509_NAME_entry_count(name) != n->count)
		return false;
	for (size_t i = 0; i < n->count; i++) {
		const struct cm_cert_attr *a = &n->attrs[i];
		X509_NAME_ENTRY *e = X509_NAME_get_entry(name, (int)i);

		if (!cm_blob_equal(a->oid, of_object(X509_NAME_ENTRY_get_object(e))) ||
		    (unsigned)X509_NAME_ENTRY_set(e) != a->rdn)
			return false;
		if (a->text && !same_text(X509_NAME_ENTRY_get_data(e), a->value))
			return false;
	}
	return true;
}

static bool
subject(const struct cm_cert *c, X509 *x)
{
	return same_name(&c->subject, X509_get_subject_name(x));
}

static bool
issuer(const struct cm_cert *c, X509 *x)
{
	return same_name(&c->issuer, X509_get_issuer_name(x));
}

static bool
serial(const struct cm_cert *c, X509 *x)
{
	unsigned char *der = NULL;
	const int len = i2d_ASN1_INTEGER(X509_get0_serialNumber(x), &der);
	struct cm_der in = { der, der + (len > 0 ? len : 0) };
	struct cm_blob v;
	bool same;

	same = len > 0 && cm_der_integer(&in, &v) && cm_blob_equal(v, c->serial);
	OPENSSL_free(der);
	return same;
}

static bool
same_time(const ASN1_TIME *from, time_t t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(from, &tm) == 1 && timegm(&tm) == t;
}

static bool
validity(const struct cm_cert *c, X509 *x)
{
	return same_time(X509_get0_notBefore(x), c->not_before) &&
	    same_time(X509_get0_notAfter(x), c->not_after);
}

static bool
public_key(const struct cm_cert *c, X509 *x)
{
	unsigned char *der = NULL;
	const int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

	return same_encoding(der, len, c->spki);
}

static bool
same_san(const struct cm_cert_san *s, GENERAL_NAME *g)
{
	unsigned char *der = NULL;
	const unsigned char *name = NULL;
	size_t name_len = 0;
	int len;

	if (g->type != s->tag)
		return false;
	switch (g->type) {
	case GEN_OTHERNAME:
		len = i2d_ASN1_TYPE(g->d.otherName->value, &der);
		return same_encoding(der, len, s->value) &&
		    cm_blob_equal(s->oid, of_object(g->d.otherName->type_id));
	case GEN_EMAIL:
	case GEN_DNS:
	case GEN_URI:
	case GEN_IPADD:
		return cm_blob_equal(s->value, of_string(g->d.ia5));
	case GEN_DIRNAME:
		return X509_NAME_get0_der(g->d.directoryName, &name, &name_len) == 1 &&
		    cm_blob_equal(s->value, (struct cm_blob){ name, name_len });
	case GEN_RID:
		return cm_blob_equal(s->value, of_object(g->d.registeredID));
	default:
		len = i2d_GENERAL_NAME(g, &der);
		return same_encoding(der, len, s->value);
	}
}

/* NULL and *absent when there is no such extension, NULL when it cannot be read. */
static void *
get_extension(X509 *x, int nid, bool *absent)
{
	int critical = 0;
	void *value = X509_get_ext_d2i(x, nid, &critical, NULL);

	*absent = value == NULL && critical == -1;
	return value;
}

static bool
sans(const struct cm_cert *c, X509 *x)
{
	bool absent, same;
	GENERAL_NAMES *names = get_extension(x, NID_subject_alt_name, &absent);

	if (names == NULL)
		return absent && c->san_count == 0;
	same = (size_t)sk_GENERAL_NAME_num(names) == c->san_count;
	for (size_t i = 0; same && i < c->san_count; i++)
		same = same_san(&c->sans[i], sk_GENERAL_NAME_value(names, (int)i));
	GENERAL_NAMES_free(names);
	return same;
}

/* The first name of this type that is not empty; *f is set to what OpenSSL takes from inside it. */
static bool
same_other_name(const struct cm_cert *c, const char *dotted, enum cm_cert_field f)
{
	ASN1_OBJECT *type = OBJ_txt2obj(dotted, 1);
	bool found = false, same = type != NULL;

	for (size_t i = 0; same && !found && i < c->san_count; i++) {
		const struct cm_cert_san *s = &c->sans[i];
		const unsigned char *p = s->value.ptr;
		ASN1_TYPE *v;

		if (s->tag != GEN_OTHERNAME || !cm_blob_equal(s->oid, of_object(type)))
			continue;
		v = d2i_ASN1_TYPE(NULL, &p, (long)s->value.len);
		if (v == NULL) {
			same = false;
		} else if (ASN1_STRING_length(v->value.asn1_string) > 0) {
			found = true;
			same = cm_cert_field_is_text(f) ? same_text(v->value.asn1_string, c->fields[f]) :
			    v->type == V_ASN1_OCTET_STRING &&
			    cm_blob_equal(of_string(v->value.octet_string), c->fields[f]);
		}
		ASN1_TYPE_free(v);
	}
	ASN1_OBJECT_free(type);
	return same && found == (c->fields[f].len > 0);
}

static bool
upn(const struct cm_cert *c, X509 *x)
{
	(void)x;
	return same_other_name(c, "1.3.6.1.4.1.311.20.2.3", CM_CERT_UPN);
}

static bool
fasc_n(const struct cm_cert *c, X509 *x)
{
	(void)x;
	return same_other_name(c, "2.16.840.1.101.3.6.6", CM_CERT_FASC_N);
}

static bool
same_sid(const struct cm_cert *c, const ASN1_OCTET_STRING *value)
{
	const struct cm_blob v = of_string(value);
	const unsigned char *p = v.ptr;
	GENERAL_NAMES *names = d2i_GENERAL_NAMES(NULL, &p, (long)v.len);
	const GENERAL_NAME *g = sk_GENERAL_NAME_num(names) == 1 ? sk_GENERAL_NAME_value(names, 0) : NULL;
	const bool same = cm_blob_equal(v, c->sid_extension) && g != NULL && p == v.ptr + v.len &&
	    g->type == GEN_OTHERNAME && g->d.otherName->value->type == V_ASN1_OCTET_STRING &&
	    cm_blob_equal(of_string(g->d.otherName->value->value.octet_string),
	    c->fields[CM_CERT_SID]);

	GENERAL_NAMES_free(names);
	return same;
}

static bool
sid(const struct cm_cert *c, X509 *x)
{
	ASN1_OBJECT *type = OBJ_txt2obj("1.3.6.1.4.1.311.25.2", 1);
	const int at = type != NULL ? X509_get_ext_by_OBJ(x, type, -1) : -1;

	ASN1_OBJECT_free(type);
	if (type == NULL || at < 0)
		return type != NULL && c->fields[CM_CERT_SID].len == 0;
	return same_sid(c, X509_EXTENSION_get_data(X509_get_ext(x, at)));
}

static bool
key_usage(const struct cm_cert *c, X509 *x)
{
	const uint32_t theirs = X509_get_key_usage(x);
	uint32_t ours = 0;

	if (!c->has_key_usage)
		return theirs == UINT32_MAX;
	/* OpenSSL: the first octet below the second, bit 0 on top of each. */
	for (unsigned bit = 0; bit < 16; bit++)
		if ((c->key_usage & 1u << bit) != 0)
			ours |= 0x80u >> bit % 8 << (bit / 8 * 8);
	return theirs == ours;
}

static bool
ext_key_usage(const struct cm_cert *c, X509 *x)
{
	bool absent, same;
	EXTENDED_KEY_USAGE *ekus = get_extension(x, NID_ext_key_usage, &absent);

	if (ekus == NULL)
		return absent && c->ekus.count == 0;
	same = (size_t)sk_ASN1_OBJECT_num(ekus) == c->ekus.count;
	for (size_t i = 0; same && i < c->ekus.count; i++)
		same = cm_blob_equal(c->ekus.items[i], of_object(sk_ASN1_OBJECT_value(ekus, (int)i)));
	EXTENDED_KEY_USAGE_free(ekus);
	return same;
}

/* An empty identifier is none. */
static bool
same_id(const ASN1_OCTET_STRING *id, struct cm_blob v)
{
	return cm_blob_equal(id != NULL ? of_string(id) : (struct cm_blob){ NULL, 0 }, v);
}

static bool
subject_key_id(const struct cm_cert *c, X509 *x)
{
	return same_id(X509_get0_subject_key_id(x), c->fields[CM_CERT_SUBJECT_KEY_ID]);
}

static bool
authority_key_id(const struct cm_cert *c, X509 *x)
{
	return same_id(X509_get0_authority_key_id(x), c->fields[CM_CERT_AUTHORITY_KEY_ID]);
}

/* If g is a URI it must be the next of l; *at counts them. */
static bool
same_uri(const struct cm_cert_list *l, const GENERAL_NAME *g, size_t *at)
{
	if (g->type != GEN_URI)
		return true;
	return *at < l->count &&
	    cm_blob_equal(l->items[(*at)++], of_string(g->d.uniformResourceIdentifier));
}

static bool
distribution_points(const struct cm_cert *c, X509 *x)
{
	const struct cm_cert_list *ours = &c->urls[CM_URL_CDP];
	bool absent, same = true;
	CRL_DIST_POINTS *points = get_extension(x, NID_crl_distribution_points, &absent);
	size_t at = 0;

	if (points == NULL)
		return absent && ours->count == 0;
	for (int i = 0; i < sk_DIST_POINT_num(points); i++) {
		const DIST_POINT_NAME *n = sk_DIST_POINT_value(points, i)->distpoint;

		if (n == NULL || n->type != 0)
			continue;
		for (int k = 0; same && k < sk_GENERAL_NAME_num(n->name.fullname); k++)
			same = same_uri(ours, sk_GENERAL_NAME_value(n->name.fullname, k), &at);
	}
	CRL_DIST_POINTS_free(points);
	return same && at == ours->count;
}

static bool
info_access(const struct cm_cert *c, X509 *x)
{
	const struct cm_cert_list *ocsp = &c->urls[CM_URL_OCSP], *ca = &c->urls[CM_URL_CA_ISSUERS];
	bool absent, same = true;
	AUTHORITY_INFO_ACCESS *list = get_extension(x, NID_info_access, &absent);
	size_t at_ocsp = 0, at_ca = 0;

	if (list == NULL)
		return absent && ocsp->count == 0 && ca->count == 0;
	for (int i = 0; same && i < sk_ACCESS_DESCRIPTION_num(list); i++) {
		const ACCESS_DESCRIPTION *a = sk_ACCESS_DESCRIPTION_value(list, i);

		if (OBJ_obj2nid(a->method) == NID_ad_OCSP)
			same = same_uri(ocsp, a->location, &at_ocsp);
		else if (OBJ_obj2nid(a->method) == NID_ad_ca_issuers)
			same = same_uri(ca, a->location, &at_ca);
	}
	AUTHORITY_INFO_ACCESS_free(list);
	return same && at_ocsp == ocsp->count && at_ca == ca->count;
}

static const struct check {
	const char *field;
	bool (*agrees)(const struct cm_cert *, X509 *);
} checks[] = {
	{ "encoding", encoding },
	{ "extensions", extensions },
	{ "subject", subject },
	{ "issuer", issuer },
	{ "serialNumber", serial },
	{ "validity", validity },
	{ "subjectPublicKeyInfo", public_key },
	{ "subjectAltName", sans },
	{ "NT Principal Name", upn },
	{ "FASC-N", fasc_n },
	{ "SID", sid },
	{ "keyUsage", key_usage },
	{ "extKeyUsage", ext_key_usage },
	{ "subjectKeyIdentifier", subject_key_id },
	{ "authorityKeyIdentifier", authority_key_id },
	{ "cRLDistributionPoints", distribution_points },
	{ "authorityInfoAccess", info_access },
};

const char *
cm_cert_differs(const struct cm_cert *c, X509 *x)
{
	for (size_t i = 0; i < CM_COUNT(checks); i++)
		if (!checks[i].agrees(c, x))
			return checks[i].field;
	return NULL;
}
