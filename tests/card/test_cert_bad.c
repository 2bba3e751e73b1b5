/* tests/card/test_cert_bad.c - certificates that break the rules, and two readers who must agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "card/cert_internal.h"
#include "tests/card/der_text.h"

/* The bytes of parts, whose wrong-th length takes this form; false: there are not so many. */
static bool
make_der(const struct cert_text *parts, size_t wrong, enum der_form form, struct cm_buf *der)
{
	struct cm_buf text = { .ptr = NULL };
	bool made;

	cert_text(parts, &text);
	made = der_text(cm_buf_str(&text), wrong, form, der);
	cm_buf_free(&text);
	return made;
}

/* Read by both; the first refusal counts. */
static enum cm_err
read_both(struct cm_blob der, struct cm_trace *t)
{
	struct cm_cert *c = NULL;
	X509 *x = NULL;
	enum cm_err err;

	if ((err = cm_cert_decode(der, t, &c)) == CM_OK)
		err = cm_cert_x509(c, t, &x);
	cm_cert_free(&c);
	return err;
}

#define TIMES(a)	"30{" a " 17{'360101000000Z'}}"
#define CN_OF(value)	NAME(RDN(OID_CN, value))
#define ONE(oid, value)	EXTENSIONS(EXT(oid, value))

static const struct malformed {
	const char *what;
	struct cert_text parts;
	const char *field;	/* what the refusal names */
} malformed[] = {
	{ "trailing garbage", { .tail = "00" }, "Certificate" },
	{ "signature with padding", { .signature = "030201 01" }, "Certificate" },
	{ "no signature", { .signature = "" }, "Certificate" },
	{ "another algorithm outside", { .outer_algorithm = "30{06{2A8648CE3D040303}}" }, "signature" },
	{ "algorithm without OID", { .algorithm = "30{}" }, "Certificate" },
	{ "version 1 written", { .version = "A0{020100}" }, "version" },
	{ "version 4", { .version = "A0{020103}" }, "version" },
	{ "version 1 with extensions", { .version = "", .extensions = ONE("2A03", "") }, "extensions" },
	{ "empty serial", { .serial = "0200" }, "serialNumber" },
	{ "padded serial", { .serial = "02020001" }, "serialNumber" },
	{ "padded negative serial", { .serial = "0202FFFF" }, "serialNumber" },
	{ "serial of another type", { .serial = "0A0101" }, "serialNumber" },
	{ "no seconds", { .validity = TIMES("17{'2601010000Z'}") }, "validity" },
	{ "local time", { .validity = TIMES("17{'260101000000+0100'}") }, "validity" },
	{ "fraction", { .validity = TIMES("18{'20260101000000.5Z'}") }, "validity" },
	{ "month 13", { .validity = TIMES("17{'261301000000Z'}") }, "validity" },
	{ "month 0", { .validity = TIMES("17{'260001000000Z'}") }, "validity" },
	{ "29 February 2100", { .validity = TIMES("18{'21000229000000Z'}") }, "validity" },
	{ "31 April", { .validity = TIMES("17{'260431000000Z'}") }, "validity" },
	{ "day 0", { .validity = TIMES("17{'260400000000Z'}") }, "validity" },
	{ "hour 24", { .validity = TIMES("17{'260401240000Z'}") }, "validity" },
	{ "second 60", { .validity = TIMES("17{'260401235960Z'}") }, "validity" },
	{ "letters", { .validity = TIMES("17{'26O101000000Z'}") }, "validity" },
	{ "sign in the year", { .validity = TIMES("18{'-0260101000000Z'}") }, "validity" },
	{ "one time", { .validity = "30{17{'260101000000Z'}}" }, "validity" },
	{ "overlong UTF-8", { .subject = CN_OF("0C{C0AF}") }, "subject" },
	{ "UTF-8 surrogate", { .subject = CN_OF("0C{EDA080}") }, "subject" },
	{ "cut UTF-8", { .subject = CN_OF("0C{41C3}") }, "subject" },
	{ "UTF-8 above U+10FFFF", { .issuer = CN_OF("0C{F4908080}") }, "issuer" },
	{ "BMP of odd length", { .subject = CN_OF("1E{004100}") }, "subject" },
	{ "BMP surrogate", { .subject = CN_OF("1E{D83DDE00}") }, "subject" },
	{ "Universal above U+10FFFF", { .subject = CN_OF("1C{00110000}") }, "subject" },
	{ "Universal of five octets", { .subject = CN_OF("1C{0000004100}") }, "subject" },
	{ "8 bits in PrintableString", { .subject = CN_OF("13{E9}") }, "subject" },
	{ "8 bits in IA5String", { .subject = CN_OF("16{E9}") }, "subject" },
	{ "empty RDN", { .subject = NAME("31{}") }, "subject" },
	{ "attribute without value", { .subject = NAME("31{30{0603550403}}") }, "subject" },
	{ "attribute with two values", { .subject = CN_OF("0C{'a'} 0C{'b'}") }, "subject" },
	{ "type that is no OID", { .subject = NAME(RDN("0603558003", UTF8("a"))) }, "subject" },
	{ "long tag", { .subject = CN_OF("1F210161") }, "subject" },
	{ "no extension", { .extensions = EXTENSIONS("") }, "extensions" },
	{ "critical false, written", { .extensions = EXTENSIONS("30{06{2A03} 010100 04{}}") }, "extensions" },
	{ "critical 1", { .extensions = EXTENSIONS("30{06{2A03} 010101 04{}}") }, "extensions" },
	{ "extension without value", { .extensions = EXTENSIONS("30{06{2A03}}") }, "extensions" },
	{ "bytes after extensions", { .extensions = ONE("2A03", "") "0500" }, "extensions" },
	{ "bytes beside extensions", { .extensions = "A3{30{" EXT("2A03", "") "} 0500}" }, "extensions" },
	{ "unknown extension twice",
	    { .extensions = EXTENSIONS(EXT("2A03", "") EXT("2A04", "") EXT("2A03", "")) }, "twice" },
	{ "two SubjectAltNames",
	    { .extensions = EXTENSIONS(SAN(UPN("a")) SAN(UPN("b"))) }, "twice" },
	{ "empty SAN", { .extensions = EXTENSIONS(SAN("")) }, "subjectAltName" },
	{ "bytes after SAN", { .extensions = ONE("551D11", "30{81{'a'}} 00") }, "subjectAltName" },
	{ "8 bits in mail", { .extensions = EXTENSIONS(SAN("81{E9}")) }, "subjectAltName" },
	{ "SAN of no kind", { .extensions = EXTENSIONS(SAN("89{'a'}")) }, "subjectAltName" },
	{ "constructed mail", { .extensions = EXTENSIONS(SAN("A1{81{'a'}}")) }, "subjectAltName" },
	{ "IP of five octets", { .extensions = EXTENSIONS(SAN("87{0102030405}")) }, "subjectAltName" },
	{ "UPN that is no string",
	    { .extensions = EXTENSIONS(SAN(OTHER(OID_UPN, "020101"))) }, "subjectAltName" },
	{ "UPN of broken UTF-8",
	    { .extensions = EXTENSIONS(SAN(OTHER(OID_UPN, "0C{FF}"))) }, "subjectAltName" },
	{ "UPN with two values",
	    { .extensions = EXTENSIONS(SAN(OTHER(OID_UPN, UTF8("a") UTF8("b")))) }, "subjectAltName" },
	{ "otherName without value", { .extensions = EXTENSIONS(SAN("A0{06{2A03}}")) }, "subjectAltName" },
	{ "FASC-N that is no OCTET STRING",
	    { .extensions = EXTENSIONS(SAN(OTHER(OID_FASC_N, "0C{'a'}"))) }, "subjectAltName" },
	{ "otherName of a constructed string",
	    { .extensions = EXTENSIONS(SAN(OTHER("2A03", "35{04{'a'}}"))) }, "subjectAltName" },
	{ "otherName of a primitive SEQUENCE",
	    { .extensions = EXTENSIONS(SAN(OTHER("2A03", "10{}"))) }, "subjectAltName" },
	{ "otherName of end-of-contents",
	    { .extensions = EXTENSIONS(SAN(OTHER("2A03", "00{}"))) }, "subjectAltName" },
	{ "broken directoryName", { .extensions = EXTENSIONS(SAN("A4{30{3000}}")) }, "subjectAltName" },
	{ "SID that is none", { .extensions = EXTENSIONS(SID_EXT("S-1-5-21-")) }, "SID" },
	{ "SID with more behind", { .extensions = EXTENSIONS(SID_EXT("S-1-5-21)(uid=*")) }, "SID" },
	{ "SID with two dashes", { .extensions = EXTENSIONS(SID_EXT("S-1-5--21")) }, "SID" },
	{ "empty SID", { .extensions = EXTENSIONS(SID_EXT("")) }, "SID" },
	{ "two SIDs", { .extensions = ONE(OID_SID, "30{" OTHER(OID_SID "01", "04{'S-1-5'}")
	    OTHER(OID_SID "01", "04{'S-1-6'}") "}") }, "SID" },
	{ "SID of another type",
	    { .extensions = ONE(OID_SID, "30{" OTHER(OID_SID "01", UTF8("S-1-5")) "}") }, "SID" },
	{ "KU of no octet", { .extensions = ONE("551D0F", "0300") }, "keyUsage" },
	{ "KU with nine of padding", { .extensions = ONE("551D0F", "03020900") }, "keyUsage" },
	{ "KU with dirty padding", { .extensions = ONE("551D0F", "030207FF") }, "keyUsage" },
	{ "KU of three octets", { .extensions = ONE("551D0F", "030400808080") }, "keyUsage" },
	{ "empty EKU", { .extensions = ONE("551D25", "3000") }, "extKeyUsage" },
	{ "EKU of no OID", { .extensions = ONE("551D25", "30{020101}") }, "extKeyUsage" },
	{ "SKI of no octets", { .extensions = ONE("551D0E", "020101") }, "subjectKeyIdentifier" },
	{ "bytes after AKI", { .extensions = ONE("551D23", "30{80{01} 0500}") }, "authorityKeyIdentifier" },
	{ "empty CDP", { .extensions = ONE("551D1F", "3000") }, "cRLDistributionPoints" },
	{ "CDP of no name", { .extensions = ONE("551D1F", "30{30{A0{86{'x'}}}}") }, "cRLDistributionPoints" },
	{ "8 bits in CDP", { .extensions = ONE("551D1F", "30{30{A0{A0{86{FF}}}}}") }, "cRLDistributionPoints" },
	{ "empty AIA", { .extensions = ONE("2B06010505070101", "3000") }, "authorityInfoAccess" },
	{ "AIA without place", { .extensions = ONE("2B06010505070101", "30{30{06{2A03}}}") },
	    "authorityInfoAccess" },
	{ "subject unique ID in version 1", { .version = "", .extensions = "82{00 01}" }, "uniqueID" },
};

/* What we do not look into, OpenSSL does. */
static const struct malformed left_to_openssl[] = {
	{ "key that is none", { .spki = "30{}" }, "OpenSSL cannot read" },
	{ "AKI issuer that is none", { .extensions = ONE("551D23", "30{A1{0500} 82{01}}") }, "extensions can be" },
	{ "reasons that are none", { .extensions = ONE("551D1F", "30{30{81{}}}") }, "extensions can be" },
};

static void
assert_refused(const struct malformed *m, const char *how, struct cm_trace *t)
{
	struct cm_buf der = { .ptr = NULL };

	assert_true(make_der(&m->parts, 0, DER_RIGHT, &der));
	cm_trace_clear_reason(t);
	if (read_both(cm_buf_blob(&der), t) != CM_ERR_SYNTAX ||
	    cm_trace_reason(t) != CM_REASON_CERT_MALFORMED ||
	    strstr(cm_trace_message(t), m->field) == NULL || strstr(cm_trace_message(t), how) == NULL)
		fail_msg("%s: \"%s\"", m->what, cm_trace_message(t));
	cm_buf_free(&der);
}

static void
test_malformed(void **state)
{
	struct cm_trace *t = NULL;

	(void)state;
	assert_int_equal(cm_trace_new(&t), CM_OK);
	for (size_t i = 0; i < CM_COUNT(malformed); i++)
		assert_refused(&malformed[i], "is not as RFC 5280", t);
	for (size_t i = 0; i < CM_COUNT(left_to_openssl); i++)
		assert_refused(&left_to_openssl[i], "", t);
	cm_trace_free(&t);
}

/* X.690 10.1: every length in a certificate, wrong in each way. */
static void
test_wrong_lengths(void **state)
{
	(void)state;
	for (enum der_form form = DER_LONG; form <= DER_SHORT; form++) {
		for (size_t i = 0;; i++) {
			struct cm_buf der = { .ptr = NULL };
			const bool made = make_der(&ad_sample, i, form, &der);

			if (made && read_both(cm_buf_blob(&der), NULL) != CM_ERR_SYNTAX)
				fail_msg("length %zu in form %u was read", i, form);
			cm_buf_free(&der);
			if (!made)
				break;
		}
	}
}

static void
test_cut_at_every_byte(void **state)
{
	struct cm_buf der = { .ptr = NULL };

	(void)state;
	assert_true(make_der(&ad_sample, 0, DER_RIGHT, &der));
	for (size_t n = 0; n < cm_buf_blob(&der).len; n++) {
		/* In memory of its own, where a read beyond is seen. */
		uint8_t *copy = malloc(n > 0 ? n : 1);

		assert_non_null(copy);
		memcpy(copy, cm_buf_str(&der), n);
		assert_int_equal(read_both((struct cm_blob){ copy, n }, NULL), CM_ERR_SYNTAX);
		free(copy);
	}
	assert_int_equal(read_both(cm_buf_blob(&der), NULL), CM_OK);
	cm_buf_free(&der);
}

/* Whatever is in it, it is read the same by both or refused. */
static void
test_every_bit_flipped(void **state)
{
	struct cm_buf der = { .ptr = NULL };

	(void)state;
	assert_true(make_der(&ad_sample, 0, DER_RIGHT, &der));
	for (size_t bit = 0; bit < 8 * cm_buf_blob(&der).len; bit++) {
		enum cm_err err;

		der.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
		err = read_both(cm_buf_blob(&der), NULL);
		assert_true(err == CM_OK || err == CM_ERR_SYNTAX);
		der.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	cm_buf_free(&der);
}

static void
test_sizes(void **state)
{
	struct cm_buf text = { .ptr = NULL }, subject = { .ptr = NULL }, der = { .ptr = NULL };
	struct cm_trace *t = NULL;
	uint8_t *big = calloc(1, CM_CERT_MAX + 1);

	(void)state;
	assert_non_null(big);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_int_equal(read_both((struct cm_blob){ big, CM_CERT_MAX + 1 }, t), CM_ERR_SYNTAX);
	assert_non_null(strstr(cm_trace_message(t), "65537"));
	assert_int_equal(read_both((struct cm_blob){ big, CM_CERT_MAX }, t), CM_ERR_SYNTAX);
	assert_int_equal(read_both((struct cm_blob){ NULL, 0 }, t), CM_ERR_SYNTAX);
	/* More attributes and more extensions than anyone has. */
	cm_buf_add_str(&subject, "30{");
	cm_buf_add_str(&text, "A3{30{");
	for (unsigned i = 0; i <= CM_NAME_ATTRS_MAX; i++) {
		cm_buf_add_str(&subject, RDN(OID_CN, UTF8("a")));
		cm_buf_addf(&text, "30{06{2A%02x} 04{}}", i % 128);
	}
	cm_buf_add_str(&subject, "}");
	cm_buf_add_str(&text, "}}");
	assert_true(make_der(&(struct cert_text){ .subject = cm_buf_str(&subject) }, 0, DER_RIGHT, &der));
	assert_int_equal(read_both(cm_buf_blob(&der), t), CM_ERR_SYNTAX);
	assert_non_null(strstr(cm_trace_message(t), "subject"));
	cm_buf_truncate(&der, 0);
	assert_true(make_der(&(struct cert_text){ .extensions = cm_buf_str(&text) }, 0, DER_RIGHT, &der));
	assert_int_equal(read_both(cm_buf_blob(&der), t), CM_ERR_SYNTAX);
	assert_non_null(strstr(cm_trace_message(t), "extensions"));
	cm_buf_free(&der);
	cm_buf_free(&text);
	cm_buf_free(&subject);
	cm_trace_free(&t);
	free(big);
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static size_t allocations_left = SIZE_MAX;	/* what card/ may still ask for */

static bool
may_allocate(void)
{
	if (allocations_left == SIZE_MAX)
		return true;
	return allocations_left > 0 && allocations_left-- > 0;
}

void *
__wrap_malloc(size_t size)
{
	return may_allocate() ? __real_malloc(size) : NULL;
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *
__wrap_realloc(void *p, size_t size)
{
	return may_allocate() ? __real_realloc(p, size) : NULL;
}

/* Whichever allocation fails, the answer is that, and nothing leaks. */
static void
test_no_memory(void **state)
{
	struct cert_text parts = ad_sample;
	struct cm_buf der = { .ptr = NULL };
	struct cm_cert *c = NULL;
	enum cm_err err = CM_ERR_NOMEM;
	size_t n = 0;

	(void)state;
	parts.issuer = CN_OF("1E{00410042}");
	assert_true(make_der(&parts, 0, DER_RIGHT, &der));
	for (; err == CM_ERR_NOMEM; n++) {
		assert_null(c);
		allocations_left = n;
		err = cm_cert_decode(cm_buf_blob(&der), NULL, &c);
		allocations_left = SIZE_MAX;
	}
	assert_int_equal(err, CM_OK);
	assert_true(n > 10);
	allocations_left = 0;
	assert_string_equal(cm_cert_subject_text(c), "(no memory to show its name)");
	allocations_left = SIZE_MAX;
	assert_string_equal(cm_cert_issuer_text(c), "CN=AB");
	cm_cert_free(&c);
	cm_buf_free(&der);
}

/* What OpenSSL did not read: each has its line in the comparison. */
static const struct cm_blob other = CM_OID("\x2A\x03\x04");

static void spoil_encoding(struct cm_cert *c) { c->der.len--; }
static void spoil_subject(struct cm_cert *c) { c->subject.count--; }
static void spoil_issuer(struct cm_cert *c) { ((struct cm_cert_attr *)c->issuer.attrs)[1].rdn = 0; }
static void spoil_name_text(struct cm_cert *c) { ((struct cm_cert_attr *)c->subject.attrs)[2].value = other; }
static void spoil_name_oid(struct cm_cert *c) { ((struct cm_cert_attr *)c->subject.attrs)[2].oid = other; }
static void spoil_serial(struct cm_cert *c) { c->serial.ptr++, c->serial.len--; }
static void spoil_start(struct cm_cert *c) { c->not_before++; }
static void spoil_end(struct cm_cert *c) { c->not_after--; }
static void spoil_key(struct cm_cert *c) { c->spki = other; }
static void spoil_san_count(struct cm_cert *c) { c->san_count--; }
static void spoil_san_tag(struct cm_cert *c) { c->sans[1].tag = 2; }
static void spoil_san_oid(struct cm_cert *c) { c->sans[0].oid = other; }
static void spoil_san_other(struct cm_cert *c) { c->sans[0].value.len--; }
static void spoil_san_mail(struct cm_cert *c) { c->sans[1].value.len--; }
static void spoil_san_name(struct cm_cert *c) { c->sans[6].value = other; }
static void spoil_san_id(struct cm_cert *c) { c->sans[7].value.len--; }
static void spoil_upn(struct cm_cert *c) { c->fields[CM_CERT_UPN].len--; }
static void spoil_no_upn(struct cm_cert *c) { c->fields[CM_CERT_UPN].len = 0; }
static void spoil_fasc_n(struct cm_cert *c) { c->fields[CM_CERT_FASC_N] = other; }
static void spoil_sid(struct cm_cert *c) { c->fields[CM_CERT_SID].len--; }
static void spoil_no_sid(struct cm_cert *c) { c->fields[CM_CERT_SID].len = 0; }
static void spoil_usage(struct cm_cert *c) { c->key_usage ^= 1u << 8; }
static void spoil_no_usage(struct cm_cert *c) { c->has_key_usage = false; }
static void spoil_eku(struct cm_cert *c) { c->ekus.items[1] = other; }
static void spoil_eku_count(struct cm_cert *c) { c->ekus.count = 0; }
static void spoil_ski(struct cm_cert *c) { c->fields[CM_CERT_SUBJECT_KEY_ID].len--; }
static void spoil_aki(struct cm_cert *c) { c->fields[CM_CERT_AUTHORITY_KEY_ID] = other; }
static void spoil_cdp(struct cm_cert *c) { c->urls[CM_URL_CDP].items[2] = other; }
static void spoil_cdp_count(struct cm_cert *c) { c->urls[CM_URL_CDP].count--; }
static void spoil_ocsp(struct cm_cert *c) { c->urls[CM_URL_OCSP].items[0].len--; }
static void spoil_issuers(struct cm_cert *c) { c->urls[CM_URL_CA_ISSUERS].count = 0; }

static const struct spoil {
	void (*spoil)(struct cm_cert *);
	const char *field;
} spoils[] = {
	{ spoil_encoding, "encoding" }, { spoil_subject, "subject" }, { spoil_issuer, "issuer" },
	{ spoil_name_text, "subject" }, { spoil_name_oid, "subject" },
	{ spoil_serial, "serialNumber" }, { spoil_start, "validity" }, { spoil_end, "validity" },
	{ spoil_key, "subjectPublicKeyInfo" }, { spoil_san_count, "subjectAltName" },
	{ spoil_san_tag, "subjectAltName" }, { spoil_san_oid, "subjectAltName" },
	{ spoil_san_other, "subjectAltName" }, { spoil_san_mail, "subjectAltName" },
	{ spoil_san_name, "subjectAltName" }, { spoil_san_id, "subjectAltName" },
	{ spoil_upn, "NT Principal Name" }, { spoil_no_upn, "NT Principal Name" },
	{ spoil_fasc_n, "FASC-N" }, { spoil_sid, "SID" }, { spoil_no_sid, "SID" },
	{ spoil_usage, "keyUsage" }, { spoil_no_usage, "keyUsage" },
	{ spoil_eku, "extKeyUsage" }, { spoil_eku_count, "extKeyUsage" },
	{ spoil_ski, "subjectKeyIdentifier" }, { spoil_aki, "authorityKeyIdentifier" },
	{ spoil_cdp, "cRLDistributionPoints" }, { spoil_cdp_count, "cRLDistributionPoints" },
	{ spoil_ocsp, "authorityInfoAccess" }, { spoil_issuers, "authorityInfoAccess" },
};

static void
test_differences_are_found(void **state)
{
	struct cm_buf der = { .ptr = NULL };
	const unsigned char *p;
	X509 *x;

	(void)state;
	assert_true(make_der(&ad_sample, 0, DER_RIGHT, &der));
	p = der.ptr;
	assert_non_null(x = d2i_X509(NULL, &p, (long)der.len));
	for (size_t i = 0; i < CM_COUNT(spoils); i++) {
		struct cm_cert *c = NULL;
		const char *field;

		assert_int_equal(cm_cert_decode(cm_buf_blob(&der), NULL, &c), CM_OK);
		assert_null(cm_cert_differs(c, x));
		spoils[i].spoil(c);
		field = cm_cert_differs(c, x);
		if (field == NULL || strcmp(field, spoils[i].field) != 0)
			fail_msg("spoil %zu: %s for %s", i, field != NULL ? field : "nothing", spoils[i].field);
		cm_cert_free(&c);
	}
	X509_free(x);
	cm_buf_free(&der);
}

/* A reader that is more lenient than we are must not bring the rest in: asked twice, refused twice. */
static void
test_refused_stays_refused(void **state)
{
	struct cm_buf der = { .ptr = NULL };
	struct cm_cert *c = NULL;
	EVP_PKEY *key = NULL;
	X509 *x = NULL;

	(void)state;
	assert_true(make_der(&(struct cert_text){ .spki = "30{30{06{2A03}} 03{00 01}}" }, 0, DER_RIGHT, &der));
	assert_int_equal(cm_cert_decode(cm_buf_blob(&der), NULL, &c), CM_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(cm_cert_key(c, NULL, &key), CM_ERR_SYNTAX);
		assert_null(key);
	}
	cm_cert_free(&c);
	cm_buf_truncate(&der, 0);
	assert_true(make_der(&(struct cert_text){ .spki = "30{}" }, 0, DER_RIGHT, &der));
	assert_int_equal(cm_cert_decode(cm_buf_blob(&der), NULL, &c), CM_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(cm_cert_x509(c, NULL, &x), CM_ERR_SYNTAX);
		assert_null(x);
	}
	cm_cert_free(&c);
	cm_buf_free(&der);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_wrong_lengths),
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_every_bit_flipped),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_differences_are_found),
		cmocka_unit_test(test_refused_stays_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
