/* tests/mapper/test_sssname.c - names as OpenSSL prints them for libsss_certmap, and principals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <openssl/bio.h>

#include "make_cert.h"
#include "mapper/fields_internal.h"
#include "mapper/sssname_internal.h"

#define DC	"0.9.2342.19200300.100.1.25"

static const struct part mixed[] = {
	P(DC, "local"), P("ST", "Bavaria"), P("emailAddress", "a@b", .type = V_ASN1_IA5STRING),
	P("1.2.3.4", "x"), P("CN", "A,lice"), P("UID", "al", .joined = true), P("GN", "Al"),
	P("description", "d"), P("mail", "m"), P("telephoneNumber", "7"), { .oid = NULL },
};

static void
test_orders_and_names(void **state)
{
	static const struct { unsigned flags; const char *text; } rows[] = {
		{ 0, "DC=local,ST=Bavaria,E=a@b,UNDEF=x,CN=A\\,lice,UID=al,givenName=Al,"
		    "OID.2.5.4.13=d,MAIL=m,telephoneNumber=7" },
		{ CM_SSS_LEAF_FIRST, "telephoneNumber=7,MAIL=m,OID.2.5.4.13=d,givenName=Al,UID=al,"
		    "CN=A\\,lice,UNDEF=x,E=a@b,ST=Bavaria,DC=local" },
		{ CM_SSS_AD, "DC=local,S=Bavaria,E=a@b,UNDEF=x,CN=A\\,lice,"
		    "OID.0.9.2342.19200300.100.1.1=al,G=Al,Description=d,"
		    "OID,0.9.2342.19200300.100.1.3=m,telephoneNumber=7" },
	};
	struct cm_cert *c = make_cert(&(struct cert_spec){ .subject = mixed });

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_buf b;

		cm_buf_init(&b, 0);
		assert_int_equal(cm_name_sss(cm_cert_subject(c), rows[i].flags, &b), CM_OK);
		assert_string_equal(cm_buf_str(&b), rows[i].text);
		cm_buf_free(&b);
	}
	cm_cert_free(&c);
}

/* One value through OpenSSL and through us. */
static void
same_as_openssl(const uint8_t *p, size_t len)
{
	const struct cm_cert_attr a = { .oid = { (const uint8_t *)"\x55\x04\x03", 3 },
		.value = { p, len }, .text = true };
	const struct cm_cert_name n = { .attrs = &a, .count = 1 };
	ASN1_STRING *s = ASN1_STRING_type_new(V_ASN1_UTF8STRING);
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	struct cm_buf b;
	long n_text;

	cm_buf_init(&b, 0);
	assert_int_equal(ASN1_STRING_set(s, p, (int)len), 1);
	assert_true(ASN1_STRING_print_ex(bio, s, ASN1_STRFLGS_RFC2253) > 0);
	n_text = BIO_get_mem_data(bio, &text);
	assert_int_equal(cm_name_sss(&n, 0, &b), CM_OK);
	assert_int_equal(b.len, 3 + n_text);
	assert_memory_equal(b.ptr + 3, text, (size_t)n_text);
	cm_buf_free(&b);
	BIO_free(bio);
	ASN1_STRING_free(s);
}

static void
test_every_octet_in_every_place(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		const uint8_t v[] = { (uint8_t)c, 'x', (uint8_t)c, 'y', (uint8_t)c };

		same_as_openssl(v, 1);
		same_as_openssl(v, 2);
		same_as_openssl(v + 1, 2);
		same_as_openssl(v, sizeof(v));
	}
}

static void
test_not_a_string(void **state)
{
	static const struct part parts[] = {
		P("x500UniqueIdentifier", "\xA5", .type = V_ASN1_BIT_STRING), { .oid = NULL },
	};
	struct cm_cert *c = make_cert(&(struct cert_spec){ .subject = parts });
	struct cm_buf b;

	(void)state;
	cm_buf_init(&b, 0);
	assert_int_equal(cm_name_sss(cm_cert_subject(c), 0, &b), CM_OK);
	assert_string_equal(cm_buf_str(&b), "x500UniqueIdentifier=#030200A5");
	cm_buf_free(&b);
	cm_cert_free(&c);
}

static void
test_empty_value(void **state)
{
	const struct cm_cert_attr a = { .oid = { (const uint8_t *)"\x55\x04\x03", 3 }, .text = true };
	const struct cm_cert_name n = { .attrs = &a, .count = 1 };
	struct cm_buf b;

	(void)state;
	cm_buf_init(&b, 0);
	assert_int_equal(cm_name_sss(&n, 0, &b), CM_ERR_SYNTAX);
	cm_buf_free(&b);
}

#define UPN	"\x2B\x06\x01\x04\x01\x82\x37\x14\x02\x03"
#define KRB	"\x2B\x06\x01\x05\x02\x02"
static const struct {
	const char *oid;
	struct cm_blob der;
	enum cm_err err;
	const char *text;
} principals[] = {
#define B(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }
	{ UPN, B("\x0C\x03" "a@R"), CM_OK, "a@R" },
	{ UPN, B("\x0C\x00"), CM_OK, "" },
	{ UPN, B("\x16\x03" "a@R"), CM_ERR_SYNTAX, "" },
	{ UPN, B("\x0C\x02" "a@R"), CM_ERR_SYNTAX, "" },
	{ KRB, B("\x30\x1A\xA0\x03\x1B\x01R\xA1\x13\x30\x11\xA0\x03\x02\x01\x01\xA1\x0A\x30\x08"
	    "\x1B\x02" "ho" "\x1B\x02" "st"), CM_OK, "ho/st@R" },
	{ KRB, B("\x30\x16\xA0\x03\x1B\x01R\xA1\x0F\x30\x0D\xA0\x03\x02\x01\x01\xA1\x06\x30\x04"
	    "\x1B\x02" "ho"), CM_OK, "ho@R" },
	{ KRB, B("\x30\x12\xA0\x03\x1B\x01R\xA1\x0B\x30\x09\xA0\x03\x02\x01\x01\xA1\x02\x30\x00"),
	    CM_ERR_SYNTAX, "" },
	{ KRB, B("\x30\x81\x05\xA0\x03\x1B\x01R"), CM_ERR_SYNTAX, "" },
	{ KRB, B("\x30"), CM_ERR_SYNTAX, "" },
	{ KRB, B(""), CM_ERR_SYNTAX, "" },
	{ "\x2A\x03", B("\x0C\x03" "a@R"), CM_ERR_ABSENT, "" },
};

static void
test_principals(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(principals); i++) {
		const struct cm_cert_san s = { .tag = 0, .value = principals[i].der,
			.oid = cm_blob_str(principals[i].oid) };
		struct cm_buf b;

		cm_buf_init(&b, 0);
		cm_buf_add_str(&b, "=");
		if (cm_san_principal(&s, &b) != principals[i].err)
			fail_msg("row %zu", i);
		assert_string_equal(cm_buf_str(&b) + 1, principals[i].text);
		cm_buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orders_and_names),
		cmocka_unit_test(test_every_octet_in_every_place),
		cmocka_unit_test(test_not_a_string),
		cmocka_unit_test(test_empty_value),
		cmocka_unit_test(test_principals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
