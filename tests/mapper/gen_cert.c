/* tests/mapper/gen_cert.c - certificates at random: odd, but such as this project decodes. */
#include "gen_cert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>

uint32_t
gen_number(struct gen *g, uint32_t below)
{
	uint64_t z = g->state += 0x9E3779B97F4A7C15;	/* splitmix64 */

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
	z = (z ^ z >> 27) * 0x94D049BB133111EB;
	return (uint32_t)((z ^ z >> 31) >> 16) % below;
}

bool
gen_once_in(struct gen *g, uint32_t n)
{
	return gen_number(g, n) == 0;
}

#define PICK(g, array)	((array)[gen_number((g), CM_COUNT(array))])
#define B(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }
#define BLOB(s)	((struct cm_blob)B(s))

static const char *const types[] = {
	"2.5.4.3", "2.5.4.3", "2.5.4.3", "2.5.4.10", "2.5.4.10", "2.5.4.11", "2.5.4.11", "2.5.4.11",
	"2.5.4.6", "0.9.2342.19200300.100.1.25", "0.9.2342.19200300.100.1.25",
	"0.9.2342.19200300.100.1.1", "2.5.4.8", "2.5.4.7", "2.5.4.9", "2.5.4.4", "2.5.4.42", "2.5.4.43",
	"2.5.4.12", "2.5.4.5", "1.2.840.113549.1.9.1", "0.9.2342.19200300.100.1.3", "2.5.4.13",
	"2.5.4.16", "2.5.4.17", "2.5.4.18", "2.5.4.51", "2.5.4.65", "2.5.4.15", "2.5.4.41", "2.5.4.46",
	"2.5.4.44", "2.5.4.20", "2.5.4.45", "2.5.4.97", "2.5.4.24", "1.3.6.1.4.1.311.60.2.1.3", "2.5.4.72",
	"1.2.840.113549.1.9.2", "1.2.3.4", "2.999.1", "2.25.329800735698586629295641978511506172918",
};

static const struct cm_blob ascii_values[] = {
	B("Alice"), B("EXAMPLE"), B("com"), B("Example, Inc."), B("a+b"), B("a=b"), B("say \"x\""),
	B(" lead"), B("trail "), B(" "), B("  "), B("#hash"), B("#"), B("##"), B("a#b"), B("semi;colon"),
	B("<tag>"), B("back\\slash"), B("\\"), B("tail\\"), B("line\nfeed"), B("car\rriage"), B("\r\n"),
	B("tab\there"), B("del\x7f"), B("\x01\x1f"), B("star*"), B("(paren)"), B("*)(uid=*"), B("/slash/"),
	B("!bang"), B("a,b,c"), B(","), B("x\0y"), B("\0"), B("0"), B("DE"), B("CN=fake,O=evil"), B("{brace}"),
	B("0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
	  "789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012"),
};
static const struct cm_blob utf8_values[] = {
	B("M\xc3\xbcller"), B("\xc3\xa9"), B("\xd0\x96\xd0\xb5\xd0\xbd\xd1\x8f"), B("\xe6\x97\xa5\xe6\x9c\xac"),
	B("\xf0\x9f\x98\x80"), B("Z\xc3\xbcrich, AG"), B(" \xc3\xbc "), B("a\xc2\x80z"),
};

static void
add_tlv(struct cm_buf *out, uint8_t tag, struct cm_blob v)
{
	cm_buf_add_byte(out, tag);
	if (v.len < 0x80) {
		cm_buf_add_byte(out, (uint8_t)v.len);
	} else if (v.len < 0x100) {
		cm_buf_add_byte(out, 0x81);
		cm_buf_add_byte(out, (uint8_t)v.len);
	} else {
		cm_buf_add_byte(out, 0x82);
		cm_buf_add_byte(out, (uint8_t)(v.len >> 8));
		cm_buf_add_byte(out, (uint8_t)v.len);
	}
	cm_buf_add_blob(out, v);
}

/* Put all of inner into out as one element, and empty inner. */
static void
wrap(struct cm_buf *out, uint8_t tag, struct cm_buf *inner)
{
	add_tlv(out, tag, cm_buf_blob(inner));
	cm_buf_truncate(inner, 0);
}

static void
add_oid(struct cm_buf *out, const char *dotted)
{
	ASN1_OBJECT *o = OBJ_txt2obj(dotted, 1);

	assert_non_null(o);
	add_tlv(out, 0x06, (struct cm_blob){ OBJ_get0_data(o), OBJ_length(o) });
	ASN1_OBJECT_free(o);
}

/* Characters of v, each in size octets. */
static void
add_wide(struct cm_buf *out, struct cm_blob v, size_t size)
{
	for (size_t i = 0; i < v.len; i++) {
		for (size_t k = 1; k < size; k++)
			cm_buf_add_byte(out, 0);
		cm_buf_add_byte(out, v.ptr[i]);
	}
}

/* An attribute's value: any string type that can hold it, or none at all. */
static void
add_value(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	static const struct { uint8_t tag; size_t size; } string_types[] = {
		{ 0x0C, 1 }, { 0x0C, 1 }, { 0x13, 1 }, { 0x16, 1 }, { 0x14, 1 }, { 0x1E, 2 }, { 0x1C, 4 }, { 0x12, 1 },
	};
	const size_t type = gen_number(g, CM_COUNT(string_types));
	struct cm_buf text = { 0 };

	if (gen_once_in(g, 400)) {
		*odd |= ODD_EMPTY_ATTRIBUTE;
		add_tlv(out, 0x0C, BLOB(""));
	} else if (gen_once_in(g, 60)) {
		cm_buf_add_str(out, gen_once_in(g, 3) ? "\x30\x03\x02\x01\x05" : "\x03\x02\x01\xA4");
	} else if (gen_once_in(g, 8)) {	/* Teletex as ISO 8859-1, and BMP above it */
		if (gen_once_in(g, 2))
			add_tlv(out, 0x14, BLOB("D\xfcsseldorf"));
		else
			add_tlv(out, 0x1E, BLOB("\x04\x16\0,\x65\xe5"));
	} else if (gen_once_in(g, 6)) {
		add_tlv(out, 0x0C, PICK(g, utf8_values));
	} else {
		add_wide(&text, PICK(g, ascii_values), string_types[type].size);
		add_tlv(out, string_types[type].tag, cm_buf_blob(&text));
	}
	cm_buf_free(&text);
}

static void
add_attribute(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	struct cm_buf attribute = { 0 };

	add_oid(&attribute, PICK(g, types));
	add_value(g, &attribute, odd);
	wrap(out, 0x30, &attribute);
	cm_buf_free(&attribute);
}

static void
add_name(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	struct cm_buf rdns = { 0 }, rdn = { 0 };
	const uint32_t count = gen_once_in(g, 60) ? 0 : gen_once_in(g, 20) ? 30 : 1 + gen_number(g, 6);

	for (uint32_t i = 0; i < count; i++) {
		add_attribute(g, &rdn, odd);
		while (gen_once_in(g, 8))
			add_attribute(g, &rdn, odd);
		wrap(&rdns, 0x31, &rdn);
	}
	wrap(out, 0x30, &rdns);
	cm_buf_free(&rdn);
	cm_buf_free(&rdns);
}

static X509_NAME *
make_name(struct gen *g, unsigned *odd)
{
	struct cm_buf der = { 0 };
	const unsigned char *p;
	X509_NAME *n;

	add_name(g, &der, odd);
	p = der.ptr;
	n = d2i_X509_NAME(NULL, &p, (long)der.len);
	assert_non_null(n);
	cm_buf_free(&der);
	return n;
}

static const struct cm_blob principals[] = {
	B("alice@EXAMPLE.COM"), B("bob@example.com"), B("alice"), B("@REALM"), B("a@b@C"), B("*@x"),
	B("o(d)d\\@x"), B("with space@x"), B("host.example.com"), B("a.b.c"), B(".lead"), B("user@"),
	B("tab\t@x"), B("cr\r\n@x"), B("al\0ice@x"), B("alice@x\0evil"), B("\0"), B("_*_"), B("a/b@R"),
};

static struct cm_blob
principal(struct gen *g, unsigned *odd)
{
	const struct cm_blob v = PICK(g, principals);

	if (memchr(v.ptr, '\0', v.len) != NULL) {
		if (!gen_once_in(g, 8))
			return (struct cm_blob)B("carol@EXAMPLE.COM");
		*odd |= ODD_NUL;
	}
	return v;
}

static void
add_other_name(struct cm_buf *out, const char *type, struct cm_buf *value)
{
	struct cm_buf other = { 0 };

	add_oid(&other, type);
	wrap(&other, 0xA0, value);
	wrap(out, 0xA0, &other);
	cm_buf_free(&other);
}

static void
add_upn(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	struct cm_buf value = { 0 };

	if (gen_once_in(g, 40)) {
		*odd |= ODD_UPN_TYPE;
		add_tlv(&value, 0x16, BLOB("alice@IA5"));
	} else if (gen_once_in(g, 10)) {
		add_tlv(&value, 0x0C, BLOB("j\xc3\xbcrgen@EXAMPLE.COM"));
	} else if (gen_once_in(g, 30)) {
		*odd |= ODD_NUL;	/* its length */
		add_tlv(&value, 0x0C, BLOB(""));
	} else {
		add_tlv(&value, 0x0C, principal(g, odd));
	}
	add_other_name(out, "1.3.6.1.4.1.311.20.2.3", &value);
	cm_buf_free(&value);
}

/* RFC 4556 3.2.2 */
static void
add_pkinit(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	static const struct cm_blob realms[] = { B("EXAMPLE.COM"), B("R"), B("a@b"), B("x*") };
	struct cm_buf list = { 0 }, seq = { 0 }, name = { 0 }, value = { 0 };

	add_tlv(&seq, 0x1B, PICK(g, realms));
	wrap(&name, 0xA0, &seq);
	do
		add_tlv(&seq, 0x1B, principal(g, odd));
	while (gen_once_in(g, 3));
	wrap(&list, 0x30, &seq);
	cm_buf_add_str(&seq, "\xA0\x03\x02\x01\x01");
	wrap(&seq, 0xA1, &list);
	wrap(&list, 0x30, &seq);
	wrap(&name, 0xA1, &list);
	if (gen_once_in(g, 50)) {
		*odd |= ODD_PKINIT;
		cm_buf_truncate(&name, 0);
		add_tlv(&name, 0xA0, BLOB("\x1B\x01R"));
	}
	wrap(&value, 0x30, &name);
	add_other_name(out, "1.3.6.1.5.2.2", &value);
	cm_buf_free(&list);
	cm_buf_free(&seq);
	cm_buf_free(&name);
	cm_buf_free(&value);
}

static void
add_some_other(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	struct cm_buf value = { 0 };

	(void)odd;
	if (gen_once_in(g, 2)) {
		add_tlv(&value, 0x04, BLOB("\xd4\xe7\x39\xda\x73\x9c\xed\x39\xce\x73"));
		add_other_name(out, "2.16.840.1.101.3.6.6", &value);	/* FASC-N */
	} else {
		add_tlv(&value, 0x0C, BLOB("anything"));
		add_other_name(out, "1.2.3.4.5", &value);
	}
	cm_buf_free(&value);
}

static void
add_string(struct gen *g, struct cm_buf *out, uint8_t tag, unsigned *odd)
{
	if (gen_once_in(g, 60)) {
		*odd |= ODD_EMPTY_SAN;
		add_tlv(out, tag, BLOB(""));
	} else {
		add_tlv(out, tag, principal(g, odd));
	}
}

static void
add_mail(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	add_string(g, out, 0x81, odd);
}

static void
add_dns(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	add_string(g, out, 0x82, odd);
}

static void
add_uri(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	static const struct cm_blob uris[] = { B("https://example.com/(a)*"), B("ldap://x/?a?b"),
		B("urn:uuid:2af7d1c4-0001-0002-0003-000000000001"),
		B("tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-1104") };

	if (gen_once_in(g, 2))
		add_tlv(out, 0x86, PICK(g, uris));
	else
		add_string(g, out, 0x86, odd);
}

static void
add_ip(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	static const struct cm_blob addresses[] = { B("\xc0\xa8\x01\x02"), B("\x0a\x14\x1e\x28"),
		B("*()\\"), B(" \t\r\n"), B("\x7f\0\0\x01"),
		B("\x20\x01\x0d\xb8\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01") };
	const struct cm_blob v = PICK(g, addresses);

	if (memchr(v.ptr, '\0', v.len) != NULL)
		*odd |= ODD_NUL;
	add_tlv(out, 0x87, v);
}

static void
add_rid(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	struct cm_buf oid = { 0 };

	if (gen_once_in(g, 4)) {
		*odd |= ODD_LONG_OID;
		cm_buf_add_byte(&oid, 0x2A);
		for (int i = 0; i < 40; i++)
			cm_buf_add_str(&oid, "\x8f\xff\x7f");
	} else if (gen_once_in(g, 4)) {
		cm_buf_add_str(&oid, "\x69\x83\xf8\x9e\xb5\xe4\xcc\xa0\x91\xc3\xb6\xa7\x8a\xb2\x93\xb4\x95\x9e\x56");
	} else {
		cm_buf_add_str(&oid, "\x2A\x03\x04");
	}
	wrap(out, 0x88, &oid);
	cm_buf_free(&oid);
}

static void
add_directory(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	struct cm_buf name = { 0 };

	add_name(g, &name, odd);
	wrap(out, 0xA4, &name);
	cm_buf_free(&name);
}

static void
add_x400(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	if (gen_once_in(g, 30)) {
		*odd |= ODD_X400;
		add_tlv(out, 0xA3, BLOB("\x30\x04\x61\x02\x13\x00"));
	}
}

static void
add_edi(struct gen *g, struct cm_buf *out, unsigned *odd)
{
	if (gen_once_in(g, 30)) {
		*odd |= ODD_EDI;
		add_tlv(out, 0xA5, BLOB("\xA1\x05\x13\x03" "edi"));
	}
}

static void
add_extension(X509 *x, const char *oid, struct cm_buf *value)
{
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
	X509_EXTENSION *e;

	assert_int_equal(ASN1_OCTET_STRING_set(s, value->ptr, (int)value->len), 1);
	assert_non_null(e = X509_EXTENSION_create_by_OBJ(NULL, o, 0, s));
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(s);
	ASN1_OBJECT_free(o);
	cm_buf_truncate(value, 0);
}

static void
add_sans(struct gen *g, X509 *x, unsigned *odd)
{
	static void (*const kinds[])(struct gen *, struct cm_buf *, unsigned *) = {
		add_upn, add_upn, add_pkinit, add_some_other, add_mail, add_mail, add_dns, add_uri, add_ip,
		add_rid, add_directory, add_x400, add_edi,
	};
	struct cm_buf names = { 0 }, value = { 0 };

	for (uint32_t n = gen_once_in(g, 8) ? 0 : 3 + gen_number(g, 7); n > 0; n--)
		PICK(g, kinds)(g, &names, odd);
	if (names.len > 0) {
		wrap(&value, 0x30, &names);
		add_extension(x, "2.5.29.17", &value);
	}
	cm_buf_free(&names);
	cm_buf_free(&value);
}

static void
add_usage(struct gen *g, X509 *x)
{
	static const char *const ekus[] = { "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.311.20.2.2",
		"1.3.6.1.5.5.7.3.4", "1.3.6.1.5.2.3.4", "1.3.6.1.5.5.7.3.1", "1.2.3.4.5.6.7", "2.5.29.37.0" };
	struct cm_buf value = { 0 }, list = { 0 };

	if (!gen_once_in(g, 5)) {
		const uint8_t bits = (uint8_t)(gen_once_in(g, 6) ? 0x40 >> gen_number(g, 6) : 0x80);
		const uint8_t ku[] = { 0x03, 0x02, bits == 0x80 ? 7 : bits == 0x02 ? 1 : 0, bits };

		cm_buf_add(&value, ku, sizeof(ku));
		add_extension(x, "2.5.29.15", &value);
	}
	if (!gen_once_in(g, 9)) {
		if (!gen_once_in(g, 9))
			add_oid(&list, ekus[0]);
		while (list.len == 0 || gen_once_in(g, 2))
			add_oid(&list, PICK(g, ekus));
		wrap(&value, 0x30, &list);
		add_extension(x, "2.5.29.37", &value);
	}
	cm_buf_free(&list);
	cm_buf_free(&value);
}

static void
add_ids(struct gen *g, X509 *x)
{
	static const struct cm_blob skis[] = { B("\x01\x02\xfe\xff"), B("\0"), B("0123456789abcdefghij"), B("") };
	static const struct cm_blob sids[] = { B("S-1-5-21-3213849245-1-2-1104"), B("S-1-5-32-544"), B("S-1-0") };
	struct cm_buf value = { 0 }, inner = { 0 };

	if (!gen_once_in(g, 4)) {
		add_tlv(&value, 0x04, PICK(g, skis));
		add_extension(x, "2.5.29.14", &value);
	}
	if (!gen_once_in(g, 3)) {
		add_tlv(&inner, 0x04, PICK(g, sids));
		add_other_name(&value, "1.3.6.1.4.1.311.25.2.1", &inner);
		wrap(&inner, 0x30, &value);
		add_extension(x, "1.3.6.1.4.1.311.25.2", &inner);
	}
	cm_buf_free(&inner);
	cm_buf_free(&value);
}

static void
set_serial(struct gen *g, X509 *x, unsigned *odd)
{
	static const char *const serials[] = { "1", "80", "7f", "ff", "0100", "8000", "deadbeef",
		"00c0ffee00", "ffffffffffffffffffffffffffffffffffffffff", "7fffffffffffffffffffffffffffffffffffffff",
		"8a0102030405060708090a0b0c0d0e0f10111213", "3b9aca00", "de0b6b3a7640000", "0" , "-5", "-8000" };
	BIGNUM *bn = NULL;
	const char *hex = PICK(g, serials);

	if ((*hex == '0' && hex[1] == '\0') || *hex == '-') {
		if (gen_once_in(g, 6))
			*odd |= ODD_SERIAL;
		else
			hex = "1234567890";
	}
	assert_true(BN_hex2bn(&bn, hex) > 0);
	assert_non_null(BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)));
	BN_free(bn);
}

void
gen_cert(struct gen *g, struct cm_buf *der, unsigned *odd)
{
	static EVP_PKEY *key;	/* the signature is of no interest, nor is the key */
	X509 *x = X509_new();
	X509_NAME *subject, *issuer;
	uint8_t *p = NULL;
	int len;

	*odd = 0;
	if (key == NULL)
		key = EVP_EC_gen("P-256");
	X509_set_version(x, X509_VERSION_3);
	set_serial(g, x, odd);
	X509_set_subject_name(x, subject = make_name(g, odd));
	X509_set_issuer_name(x, issuer = make_name(g, odd));
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	add_usage(g, x);
	add_ids(g, x);
	add_sans(g, x, odd);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_true((len = i2d_X509(x, &p)) > 0);
	cm_buf_truncate(der, 0);
	cm_buf_add(der, p, (size_t)len);
	OPENSSL_free(p);
	X509_NAME_free(subject);
	X509_NAME_free(issuer);
	X509_free(x);
}
