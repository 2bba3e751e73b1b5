/* tests/card/test_cert.c - each field of a certificate, as it is read and as it is shown. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <pthread.h>

#include "card/cert_internal.h"
#include "tests/card/der_text.h"

/* Decoded, and read the same by OpenSSL. */
static struct cm_cert *
make(const struct cert_text *parts)
{
	struct cm_buf text = { .ptr = NULL }, der = { .ptr = NULL };
	struct cm_trace *t = NULL;
	struct cm_cert *c = NULL;
	X509 *x = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	cert_text(parts, &text);
	assert_true(der_text(cm_buf_str(&text), 0, DER_RIGHT, &der));
	if (cm_cert_decode(cm_buf_blob(&der), t, &c) != CM_OK)
		fail_msg("%s: %s", cm_trace_message(t), cm_buf_str(&text));
	if (cm_cert_x509(c, t, &x) != CM_OK)
		fail_msg("%s: %s", cm_trace_message(t), cm_buf_str(&text));
	cm_buf_free(&text);
	cm_buf_free(&der);
	cm_trace_free(&t);
	return c;
}

static void
assert_blob(struct cm_blob v, const void *want, size_t len)
{
	assert_int_equal(v.len, len);
	if (len > 0)
		assert_memory_equal(v.ptr, want, len);
}

#define assert_text(v, s)	assert_blob(v, s, sizeof(s) - 1)

static void
test_ad_sample(void **state)
{
	static const char *const fields[CM_CERT_FIELD_COUNT] = {
		[CM_CERT_COMMON_NAME] = "Alice Example",	/* the last, not "Users" */
		[CM_CERT_RFC822_NAME] = "alice@dod.test",
		[CM_CERT_UPN] = "alice@dod.local",
		[CM_CERT_DNS_NAME] = "ws1.dod.test",
		[CM_CERT_URI] = "URN:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
		[CM_CERT_UUID] = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
		[CM_CERT_SID] = "S-1-5-21-1004336348-1177238915-682003330-1105",
		[CM_CERT_FASC_N] = "\xD4\xE7\x39\xDA\x73\x9C\xED\x39\xCE\x73\x9D\xA1\x68\x5A"
		    "\x10\x82\x10\x8C\xE7\x39\x84\x10\x8C\xA3\xFC",
		[CM_CERT_SUBJECT_KEY_ID] = "\1\2\3\4\5\6\7\x8",
		[CM_CERT_AUTHORITY_KEY_ID] = "\xA1\xA2\xA3\xA4",
	};
	static const char *const urls[][2] = {
		[CM_URL_CDP] = { "ldap:///CN=CA?certificateRevocationList?base", "http://crl.test/ca.crl" },
		[CM_URL_OCSP] = { "http://ocsp.test/" },
		[CM_URL_CA_ISSUERS] = { "http://aia.test/ca.cer" },
	};
	static const size_t url_counts[] = { 3, 1, 1 };
	static const int san_tags[] = { 0, 1, 0, 2, 6, 7, 4, 8, 1 };
	struct cm_cert *c = make(&ad_sample);
	const struct cm_cert_san *sans;
	unsigned usage = 0;
	size_t count;

	(void)state;
	for (unsigned f = 0; f < CM_CERT_FIELD_COUNT; f++) {
		const char *want = fields[f] != NULL ? fields[f] : "";

		assert_blob(cm_cert_field(c, f), want, strlen(want));
		assert_non_null(cm_cert_field_name(f));
	}
	assert_int_equal(cm_cert_field_count(c, CM_CERT_COMMON_NAME), 2);
	assert_int_equal(cm_cert_field_count(c, CM_CERT_RFC822_NAME), 2);
	assert_int_equal(cm_cert_field_count(c, CM_CERT_COUNTRY), 0);
	assert_false(cm_cert_field_is_text(CM_CERT_FASC_N));
	assert_true(cm_cert_field_is_text(CM_CERT_SID));
	assert_blob(cm_cert_serial(c), "\x10\xE8\xBD\x03\0\0\0\0\0\x32", 10);
	assert_int_equal(cm_cert_not_before(c), 1767225600);	/* date -d 2026-01-01Z +%s */
	assert_int_equal(cm_cert_not_after(c), 2082758400);	/* date -d 2036-01-01Z +%s */
	assert_true(cm_cert_key_usage(c, &usage));
	assert_int_equal(usage, CM_KU_DIGITAL_SIGNATURE | 1u << 2);
	cm_cert_ekus(c, &count);
	assert_int_equal(count, 2);
	assert_true(cm_cert_has_eku(c, "1.3.6.1.5.5.7.3.2"));
	assert_true(cm_cert_has_eku(c, "1.3.6.1.4.1.311.20.2.2"));
	assert_false(cm_cert_has_eku(c, "1.3.6.1.5.5.7.3"));
	sans = cm_cert_sans(c, &count);
	assert_int_equal(count, CM_COUNT(san_tags));
	for (size_t i = 0; i < count; i++)
		assert_int_equal(sans[i].tag, san_tags[i]);
	assert_text(sans[0].value, "\x0C\x0F" "alice@dod.local");
	assert_text(sans[5].value, "\x7F\0\0\1");
	assert_text(sans[6].value, "0\x10" "1\x0E" "0\x0C\6\3U\4\3\x0C\5Other");
	assert_text(sans[8].value, "second@dod.test");
	for (unsigned kind = 0; kind < CM_COUNT(urls); kind++) {
		const struct cm_blob *list = cm_cert_urls(c, kind, &count);

		assert_int_equal(count, url_counts[kind]);
		for (size_t i = 0; i < 2 && urls[kind][i] != NULL; i++)
			assert_blob(list[i], urls[kind][i], strlen(urls[kind][i]));
	}
	assert_string_equal(cm_cert_subject_text(c), "CN=Alice Example,CN=Users,DC=dod,DC=local");
	assert_string_equal(cm_cert_issuer_text(c), "CN=SpatDoD Root CA,DC=dod,DC=local");
	cm_cert_free(&c);
	assert_null(c);
	cm_cert_free(&c);
}

/* Only what stands in the certificate is there. */
static void
test_bare(void **state)
{
	struct cm_cert *c = make(&(struct cert_text){ .version = "", .subject = NAME("") });
	unsigned usage = 1;
	size_t count = 1;
	EVP_PKEY *key = NULL;
	uint8_t sha256[32];

	(void)state;
	for (unsigned f = 0; f < CM_CERT_FIELD_COUNT; f++) {
		assert_null(cm_cert_field(c, f).ptr);
		assert_int_equal(cm_cert_field_count(c, f), 0);
	}
	assert_false(cm_cert_key_usage(c, &usage));
	cm_cert_ekus(c, &count);
	assert_int_equal(count, 0);
	cm_cert_sans(c, &count);
	assert_int_equal(count, 0);
	for (unsigned kind = 0; kind <= CM_URL_CA_ISSUERS; kind++) {
		cm_cert_urls(c, kind, &count);
		assert_int_equal(count, 0);
	}
	assert_int_equal(cm_cert_subject(c)->count, 0);
	assert_string_equal(cm_cert_subject_text(c), "(empty name)");
	assert_int_equal(cm_cert_key(c, NULL, &key), CM_OK);
	assert_int_equal(EVP_PKEY_get_bits(key), 256);
	assert_int_equal(EVP_Digest(cm_cert_der(c).ptr, cm_cert_der(c).len, sha256, NULL,
	    EVP_sha256(), NULL), 1);
	assert_blob(cm_cert_sha256(c), sha256, sizeof(sha256));
	cm_cert_free(&c);
}

#define OU(s)	RDN(OID_OU, UTF8(s))

static void
test_fields(void **state)
{
	static const struct {
		const char *subject, *extensions;
		enum cm_cert_field field;
		size_t count;
		struct cm_blob want;
	} cases[] = {
#define IS(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }
		{ NAME(RDN(OID_CN, "1E{00410107}")), NULL, CM_CERT_COMMON_NAME, 1, IS("A\xC4\x87") },
		{ NAME(RDN(OID_CN, "14{41E9}")), NULL, CM_CERT_COMMON_NAME, 1, IS("A\xC3\xA9") },
		{ NAME(RDN(OID_CN, "1C{0001F600}")), NULL, CM_CERT_COMMON_NAME, 1, IS("\xF0\x9F\x98\x80") },
		{ NAME(RDN(OID_CN, "13{'a@b'}")), NULL, CM_CERT_COMMON_NAME, 1, IS("a@b") },
		{ NAME(RDN(OID_CN, "12{'1 2'}")), NULL, CM_CERT_COMMON_NAME, 1, IS("1 2") },
		{ NAME(RDN(OID_CN, "0C{'root'00'x'}")), NULL, CM_CERT_COMMON_NAME, 1, IS("root\0x") },
		{ NAME(RDN(OID_CN, "1E{00410000 0042}")), NULL, CM_CERT_COMMON_NAME, 1, IS("A\0B") },
		{ NAME(RDN(OID_CN, UTF8(""))), NULL, CM_CERT_COMMON_NAME, 0, { NULL, 0 } },
		{ NAME(RDN(OID_CN, UTF8("a")) RDN(OID_CN, UTF8(""))), NULL, CM_CERT_COMMON_NAME, 1, IS("a") },
		{ NAME(RDN(OID_CN, "30{020101}")), NULL, CM_CERT_COMMON_NAME, 0, { NULL, 0 } },
		{ NAME("31{" ATTR(OID_CN, UTF8("a")) ATTR(OID_CN, UTF8("b")) "}"), NULL,
		    CM_CERT_COMMON_NAME, 2, IS("b") },
		{ NAME(OU("a") OU("") OU("c") OU("d")), NULL, CM_CERT_ORGANIZATIONAL_UNIT_1, 1, IS("a") },
		{ NAME(OU("a") OU("") OU("c") OU("d")), NULL, CM_CERT_ORGANIZATIONAL_UNIT_2, 0, { NULL, 0 } },
		{ NAME(OU("a") OU("") OU("c") OU("d")), NULL, CM_CERT_ORGANIZATIONAL_UNIT_3, 1, IS("c") },
		{ NAME(OU("a") OU("b") OU("c") OU("d")), NULL, CM_CERT_COUNTRY, 0, { NULL, 0 } },
		{ NAME(RDN(OID_O, UTF8("x")) RDN(OID_O, UTF8("y"))), NULL, CM_CERT_ORGANIZATION, 2, IS("x") },
		{ NAME(RDN(OID_C, "13{'DE'}")), NULL, CM_CERT_COUNTRY, 1, IS("DE") },
		{ NULL, EXTENSIONS(SAN(UPN(""))), CM_CERT_UPN, 0, { NULL, 0 } },
		{ NULL, EXTENSIONS(SAN(UPN("") UPN("b@X") UPN("c@X"))), CM_CERT_UPN, 2, IS("b@X") },
		{ NULL, EXTENSIONS(SAN(OTHER(OID_UPN, "0C{'alice'00'@X'}"))), CM_CERT_UPN, 1, IS("alice\0@X") },
		{ NULL, EXTENSIONS(SAN(OTHER(OID_UPN, "1E{0061 00E9}"))), CM_CERT_UPN, 1, IS("a\xC3\xA9") },
		{ NULL, EXTENSIONS(SAN("81{}")), CM_CERT_RFC822_NAME, 0, { NULL, 0 } },
		{ NULL, EXTENSIONS(SAN("81{'a@x'00'.test'}")), CM_CERT_RFC822_NAME, 1, IS("a@x\0.test") },
		{ NULL, EXTENSIONS(SAN("86{'urn:uuid:'}")), CM_CERT_UUID, 0, { NULL, 0 } },
		{ NULL, EXTENSIONS(SAN("86{'urn:uuid:x'}")), CM_CERT_UUID, 1, IS("x") },
		{ NULL, EXTENSIONS(SAN("86{'http://x/'} 86{'urn:uuid:x'}")), CM_CERT_URI, 2, IS("http://x/") },
		{ NULL, EXTENSIONS(EXT("551D0E", "04{}")), CM_CERT_SUBJECT_KEY_ID, 0, { NULL, 0 } },
		{ NULL, EXTENSIONS(EXT("551D23", "30{}")), CM_CERT_AUTHORITY_KEY_ID, 0, { NULL, 0 } },
		{ NULL, EXTENSIONS(EXT("551D23", "30{80{AA} A1{A4{30{" RDN(OID_CN, UTF8("R")) "}}} 82{01}}")),
		    CM_CERT_AUTHORITY_KEY_ID, 1, IS("\xAA") },
#undef IS
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_cert *c = make(&(struct cert_text){ .subject = cases[i].subject,
		    .extensions = cases[i].extensions });
		const struct cm_blob v = cm_cert_field(c, cases[i].field);

		if (!cm_blob_equal(v, cases[i].want) || (v.len == 0 && v.ptr != NULL) ||
		    cm_cert_field_count(c, cases[i].field) != cases[i].count)
			fail_msg("case %zu: %zu x %zu bytes", i,
			    cm_cert_field_count(c, cases[i].field), v.len);
		cm_cert_free(&c);
	}
}

static void
test_names(void **state)
{
	static const struct {
		const char *name, *text;
		size_t len;
	} cases[] = {
#define IS(s)	s, sizeof(s) - 1
		{ NAME(""), IS("") },
		{ NAME(RDN(OID_C, "13{'DE'}") RDN(OID_O, UTF8("a, b")) RDN(OID_CN, UTF8("c"))),
		    IS("CN=c,O=a\\, b,C=DE") },
		/* RFC 4514 section 4 */
		{ NAME(RDN(OID_DC, "16{'net'}") RDN(OID_DC, "16{'example'}")
		    "31{" ATTR(OID_OU, UTF8("Sales")) ATTR(OID_CN, UTF8("J.  Smith")) "}"),
		    IS("OU=Sales+CN=J.  Smith,DC=example,DC=net") },
		{ NAME(RDN(OID_CN, "0C{'James '22'Jim'22' Smith, III'}")),
		    IS("CN=James \\\"Jim\\\" Smith\\, III") },
		{ NAME(RDN("06{2B06010401957F00}", "0C{'Hi'}")), IS("1.3.6.1.4.1.2815.0=#0c024869") },
		{ NAME(RDN(OID_CN, "03020080")), IS("CN=#03020080") },
		{ NAME(RDN(OID_CN, "0C{' a '}")), IS("CN=\\ a\\ ") },
		{ NAME(RDN(OID_CN, "0C{' '}")), IS("CN=\\ ") },
		{ NAME(RDN(OID_CN, "0C{'#a#'}")), IS("CN=\\#a#") },
		{ NAME(RDN(OID_CN, "0C{'a'00'b'}")), IS("CN=a\\00b") },
		{ NAME(RDN(OID_CN, "0C{'a+b;c<d>e\\f=g'}")), IS("CN=a\\+b\\;c\\<d\\>e\\\\f=g") },
		{ NAME(RDN(OID_CN, "14{4CE9}")), IS("CN=L\xC3\xA9") },
		{ NAME(RDN(OID_UID, UTF8("u"))), IS("UID=u") },
#undef IS
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_buf text = { .ptr = NULL };
		struct cm_cert *c;

		c = make(&(struct cert_text){ .subject = cases[i].name });
		cm_cert_name_rfc4514(cm_cert_subject(c), &text);
		if (!cm_blob_equal(cm_buf_blob(&text),
		    (struct cm_blob){ (const uint8_t *)cases[i].text, cases[i].len }))
			fail_msg("case %zu: %s", i, cm_buf_str(&text));
		cm_buf_free(&text);
		cm_cert_free(&c);
	}
}

/* A name from outside cannot write to a terminal. */
static void
test_name_text_is_printable(void **state)
{
	struct cm_cert *c = make(&(struct cert_text){ .subject = NAME(RDN(OID_CN, "0C{1B'[2J'0A}")) });

	(void)state;
	assert_string_equal(cm_cert_subject_text(c), "CN=\\x1b[2J\\x0a");
	assert_ptr_equal(cm_cert_subject_text(c), cm_cert_subject_text(c));
	cm_cert_free(&c);
}

static void
test_attributes(void **state)
{
	struct cm_cert *c = make(&(struct cert_text){ .subject = NAME(RDN(OID_C, "13{'DE'}")
	    "31{" ATTR(OID_CN, "1E{0041}") ATTR(OID_UID, "03{0080}") "}") });
	const struct cm_cert_name *n = cm_cert_subject(c);

	(void)state;
	assert_int_equal(n->count, 3);
	assert_int_equal(n->attrs[0].rdn, 0);
	assert_int_equal(n->attrs[1].rdn, 1);
	assert_int_equal(n->attrs[2].rdn, 1);
	assert_text(n->attrs[1].oid, "\x55\4\3");
	assert_text(n->attrs[1].value, "A");
	assert_text(n->attrs[1].der, "\x1E\2\0A");
	assert_true(n->attrs[1].text);
	assert_false(n->attrs[2].text);
	assert_text(n->attrs[2].value, "\3\2\0\x80");
	assert_int_equal(n->der.ptr[0], CM_DER_SEQUENCE);
	cm_cert_free(&c);
}

static void
test_serials(void **state)
{
	static const struct {
		const char *serial, *want;
		size_t len;
	} cases[] = {
		{ "020100", "\0", 1 },
		{ "0201FF", "\xFF", 1 },
		{ "02020080", "\0\x80", 2 },
		{ "0202FF7F", "\xFF\x7F", 2 },
		{ "0220 0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20",
		    "\1\2\3\4\5\6\7\x8\x9\xA\xB\xC\xD\xE\xF\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19"
		    "\x1A\x1B\x1C\x1D\x1E\x1F\x20", 32 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_cert *c = make(&(struct cert_text){ .serial = cases[i].serial });

		assert_blob(cm_cert_serial(c), cases[i].want, cases[i].len);
		cm_cert_free(&c);
	}
}

/* Expected values by date(1): date -d "2000-02-29 23:59:59Z" +%s */
static void
test_times(void **state)
{
	static const struct {
		const char *time;
		time_t want;
	} cases[] = {
		{ "17{'500101000000Z'}", -631152000 },
		{ "17{'491231235959Z'}", 2524607999 },
		{ "17{'000229235959Z'}", 951868799 },
		{ "17{'691231235959Z'}", -1 },
		{ "18{'20260101000000Z'}", 1767225600 },
		{ "18{'20500101000000Z'}", 2524608000 },
		{ "18{'24000229000000Z'}", 13574563200 },
		{ "18{'99991231235959Z'}", 253402300799 },
		{ "18{'00010101000000Z'}", -62135596800 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_buf validity = { .ptr = NULL };
		struct cm_cert *c;

		cm_buf_addf(&validity, "30{%s %s}", cases[i].time, cases[i].time);
		c = make(&(struct cert_text){ .validity = cm_buf_str(&validity) });
		assert_int_equal(cm_cert_not_before(c), cases[i].want);
		assert_int_equal(cm_cert_not_after(c), cases[i].want);
		cm_cert_free(&c);
		cm_buf_free(&validity);
	}
}

static void
test_key_usages(void **state)
{
	static const struct {
		const char *value;
		unsigned want;
	} cases[] = {
		{ "03020780", CM_KU_DIGITAL_SIGNATURE }, { "03020080", CM_KU_DIGITAL_SIGNATURE },
		{ "03020106", 1u << 5 | 1u << 6 }, { "0303070080", 1u << 8 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_buf ext = { .ptr = NULL };
		struct cm_cert *c;
		unsigned bits = 0;

		cm_buf_addf(&ext, EXTENSIONS(CRITICAL("551D0F", "%s")), cases[i].value);
		c = make(&(struct cert_text){ .extensions = cm_buf_str(&ext) });
		assert_true(cm_cert_key_usage(c, &bits));
		assert_int_equal(bits, cases[i].want);
		cm_cert_free(&c);
		cm_buf_free(&ext);
	}
}

static void
test_oids(void **state)
{
	static const struct {
		struct cm_blob oid;
		const char *want;
	} cases[] = {
		{ CM_OID("\x2B\x06"), "1.3.6" }, { CM_OID("\x00"), "0.0" }, { CM_OID("\x27"), "0.39" },
		{ CM_OID("\x28"), "1.0" }, { CM_OID("\x4F"), "1.39" }, { CM_OID("\x50"), "2.0" },
		{ CM_OID("\x88\x37"), "2.999" },
		{ CM_OID("\x2A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"), "1.2.9223372036854775807" },
		{ CM_OID("\x2A\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00"), "#2a81808080808080808000" },
		{ CM_OID("\x2A\x80\x01"), "" }, { CM_OID("\x2A\x81"), "" }, { { NULL, 0 }, "" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_buf text = { .ptr = NULL };

		cm_cert_oid_text(cases[i].oid, &text);
		assert_string_equal(cm_buf_str(&text), cases[i].want);
		cm_buf_free(&text);
	}
}

/* Critical and unknown: the decoder reads on, trust/ judges. */
static void
test_unknown_critical_extension(void **state)
{
	struct cm_cert *c = make(&(struct cert_text){
	    .extensions = EXTENSIONS(CRITICAL("2A0304", "0500") SAN("81{'a@x'}")) });

	(void)state;
	assert_text(cm_cert_field(c, CM_CERT_RFC822_NAME), "a@x");
	cm_cert_free(&c);
}

static void *
ask_x509(void *certificate)
{
	struct cm_cert *c = cm_cert_ref(certificate);
	X509 *x = NULL;

	if (cm_cert_x509(c, NULL, &x) != CM_OK || strcmp(cm_cert_issuer_text(c), "CN=CA") != 0)
		x = NULL;
	cm_cert_free(&c);
	return x;
}

static void
test_threads_get_one_x509(void **state)
{
	struct cm_buf text = { .ptr = NULL }, der = { .ptr = NULL };
	struct cm_cert *c = NULL;
	pthread_t threads[8];
	void *x[CM_COUNT(threads)];

	(void)state;
	cert_text(&(struct cert_text){ .version = NULL }, &text);
	assert_true(der_text(cm_buf_str(&text), 0, DER_RIGHT, &der));
	assert_int_equal(cm_cert_decode(cm_buf_blob(&der), NULL, &c), CM_OK);
	for (size_t i = 0; i < CM_COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_x509, c), 0);
	for (size_t i = 0; i < CM_COUNT(threads); i++)
		assert_int_equal(pthread_join(threads[i], &x[i]), 0);
	assert_non_null(x[0]);
	for (size_t i = 0; i < CM_COUNT(threads); i++)
		assert_ptr_equal(x[i], x[0]);
	cm_cert_free(&c);
	cm_buf_free(&text);
	cm_buf_free(&der);
}

static void
write_file(const char *path, struct cm_blob v)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, v.ptr, v.len), v.len);
	close(fd);
}

/* A key may stand before the certificate; other text too. */
static void
write_pem(struct cm_buf *out, const struct cm_cert *c)
{
	char *text = NULL;
	long len;
	BIO *bio = BIO_new(BIO_s_mem());

	assert_non_null(bio);
	assert_true(PEM_write_bio(bio, "PRIVATE KEY", "", (const unsigned char *)"0", 1) > 0);
	assert_true(PEM_write_bio(bio, PEM_STRING_X509, "", cm_cert_der(c).ptr,
	    (long)cm_cert_der(c).len) > 0);
	len = BIO_get_mem_data(bio, &text);
	cm_buf_add_str(out, "subject=Alice\n");
	cm_buf_add(out, text, (size_t)len);
	BIO_free(bio);
}

static void
test_load(void **state)
{
	char path[] = "/tmp/cm-cert-XXXXXX";
	struct cm_cert *c = make(&ad_sample), *again = NULL;
	struct cm_buf pem = { .ptr = NULL };
	struct cm_trace *t = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	write_file(path, cm_cert_der(c));
	assert_int_equal(cm_cert_load(path, t, &again), CM_OK);
	assert_true(cm_blob_equal(cm_cert_der(c), cm_cert_der(again)));
	cm_cert_free(&again);
	write_pem(&pem, c);
	write_file(path, cm_buf_blob(&pem));
	assert_int_equal(cm_cert_load(path, t, &again), CM_OK);
	assert_true(cm_blob_equal(cm_cert_der(c), cm_cert_der(again)));
	cm_cert_free(&again);
	write_file(path, cm_blob_str("hello\n"));
	assert_int_equal(cm_cert_load(path, t, &again), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), path));
	write_file(path, cm_blob_str(""));
	assert_int_equal(cm_cert_load(path, t, &again), CM_ERR_CONFIG);
	unlink(path);
	assert_int_equal(cm_cert_load(path, t, &again), CM_ERR_CONFIG);
	assert_int_equal(cm_trace_reason(t), CM_REASON_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), path));
	assert_null(again);
	cm_trace_free(&t);
	cm_buf_free(&pem);
	cm_cert_free(&c);
}

/* Certificates that OpenSSL made, when the rig's are there. */
static void
test_pki(void **state)
{
	static const struct {
		const char *name;
		enum cm_cert_field field;
		struct cm_blob want;
	} cases[] = {
#define IS(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }
		{ "alice-rsa2048", CM_CERT_UPN, IS("alice@CARDMAP.TEST") },
		{ "alice-p384", CM_CERT_ORGANIZATIONAL_UNIT_2, IS("Engineering") },
		{ "bmp-cn", CM_CERT_COMMON_NAME, IS("Ali\xC4\x87" "e Example") },
		{ "empty-upn", CM_CERT_UPN, { NULL, 0 } },
		{ "no-upn", CM_CERT_UPN, { NULL, 0 } },
#undef IS
	};
	char path[4096];

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_cert *c = NULL;
		EVP_PKEY *key = NULL;

		snprintf(path, sizeof(path), "%s/%s.crt", CM_PKI_DIR, cases[i].name);
		assert_int_equal(cm_cert_load(path, NULL, &c), CM_OK);
		assert_true(cm_blob_equal(cm_cert_field(c, cases[i].field), cases[i].want));
		assert_int_equal(cm_cert_key(c, NULL, &key), CM_OK);
		cm_cert_free(&c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ad_sample),
		cmocka_unit_test(test_bare),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_name_text_is_printable),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_serials),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_key_usages),
		cmocka_unit_test(test_oids),
		cmocka_unit_test(test_unknown_critical_extension),
		cmocka_unit_test(test_threads_get_one_x509),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_pki),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
