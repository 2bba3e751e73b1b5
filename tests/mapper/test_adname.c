/* tests/mapper/test_adname.c - names as Active Directory writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "make_cert.h"
#include "mapper/rules_internal.h"

#define DC	"0.9.2342.19200300.100.1.25"

static const struct {
	struct part parts[8];
	const char *want;
} rows[] = {
	/* features.md section 2 */
	{ { P(DC, "com"), P(DC, "contoso"), P("CN", "CA") }, "DC=com,DC=contoso,CN=CA" },
	{ { P(DC, "local"), P(DC, "dod"), P("CN", "SpatDoD Root CA") },
	    "DC=local,DC=dod,CN=SpatDoD Root CA" },
	{ { P("C", "US", .type = V_ASN1_PRINTABLESTRING), P("O", "U.S. Government"), P("OU", "DoD"),
	    P("OU", "PKI"), P("CN", "DOD ID CA-59") },
	    "C=US,O=U.S. Government,OU=DoD,OU=PKI,CN=DOD ID CA-59" },
	/* AD's own names: S for ST, G, SN, I, T, E; OID. for the rest */
	{ { P("ST", "Bavaria"), P("L", "Munich"), P("street", "Way 1"), P("title", "Dr"),
	    P("GN", "Given"), P("SN", "Sur"), P("initials", "I.") },
	    "S=Bavaria,L=Munich,STREET=Way 1,T=Dr,G=Given,SN=Sur,I=I." },
	{ { P("UID", "u1"), P("emailAddress", "a@b", .type = V_ASN1_IA5STRING), P("serialNumber", "77"),
	    P("postalCode", "80331"), P("description", "d"), P("dnQualifier", "q"),
	    P("2.5.4.15", "bc") },
	    "OID.0.9.2342.19200300.100.1.1=u1,E=a@b,SERIALNUMBER=77,PostalCode=80331,Description=d,"
	    "dnQualifier=q,OID.2.5.4.15=bc" },
	/* CertNameToStr's quoting */
	{ { P("O", "Foo, Inc") }, "O=\"Foo, Inc\"" },
	{ { P("O", "a+b") }, "O=\"a+b\"" },
	{ { P("O", "a=b") }, "O=\"a=b\"" },
	{ { P("O", "a<b") }, "O=\"a<b\"" },
	{ { P("O", "a>b") }, "O=\"a>b\"" },
	{ { P("O", "a;b") }, "O=\"a;b\"" },
	{ { P("O", "a#b") }, "O=\"a#b\"" },
	{ { P("O", "say \"x\"") }, "O=\"say \"\"x\"\"\"" },
	{ { P("O", " lead") }, "O=\" lead\"" },
	{ { P("O", "trail ") }, "O=\"trail \"" },
	{ { P("O", "two  spaces") }, "O=two  spaces" },
	{ { P("O", "back\\slash") }, "O=back\\slash" },
	{ { P("O", "it's (c) *") }, "O=it's (c) *" },
	/* CR and LF become commas */
	{ { P("O", "a\r\nb") }, "O=\"a,,b\"" },
	{ { P("O", "a\rb") }, "O=a,b" },
	{ { P("O", "a\nb") }, "O=\"a,b\"" },
	/* one RDN with several attributes (DER sorts a SET by its bytes) */
	{ { P("C", "DE"), P("O", "x"), P("OU", "y", .joined = true), P("CN", "z") },
	    "C=DE,O=x OU=y,CN=z" },
	/* other encodings, by their characters */
	{ { P("CN", "\0D\0\xfc", .len = 4, .type = V_ASN1_BMPSTRING) }, "CN=D\xc3\xbc" },
	{ { P("CN", "D\xfc", .len = 2, .type = V_ASN1_T61STRING) }, "CN=D\xc3\xbc" },
	{ { P("CN", "\xd0\x96") }, "CN=\xd0\x96" },
};

static void
names(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct cert_spec spec = { .issuer = rows[i].parts };
		struct cm_cert *c = make_cert(&spec);
		struct cm_buf b;

		cm_buf_init(&b, 0);
		assert_int_equal(cm_name_ad(cm_cert_issuer(c), &b), CM_OK);
		assert_string_equal(cm_buf_str(&b), rows[i].want);
		cm_buf_free(&b);
		cm_cert_free(&c);
	}
}

/* A value that would be cut at its NUL somewhere makes no name at all. */
static void
nul_is_refused(void **state)
{
	const struct part parts[] = { P("CN", "CA\0evil", .len = 7), { .oid = NULL } };
	const struct cert_spec spec = { .issuer = parts };
	struct cm_cert *c = make_cert(&spec);
	struct cm_buf b;

	(void)state;
	cm_buf_init(&b, 0);
	assert_int_equal(cm_name_ad(cm_cert_issuer(c), &b), CM_ERR_SYNTAX);
	cm_buf_free(&b);
	cm_cert_free(&c);
}

static void
empty_name_is_absent(void **state)
{
	const struct cm_cert_name none = { .count = 0 };
	struct cm_buf b;

	(void)state;
	cm_buf_init(&b, 0);
	assert_int_equal(cm_name_ad(&none, &b), CM_ERR_ABSENT);
	cm_buf_free(&b);
}

/* Attributes of no string type, and empty values, which OpenSSL does not make. */
static void
odd_values(void **state)
{
	const struct cm_cert_attr attrs[] = {
		{ .oid = { (const uint8_t *)"\x55\x04\x03", 3 },
		    .value = { (const uint8_t *)"\x04\x01\xff", 3 }, .rdn = 0, .text = false },
		{ .oid = { (const uint8_t *)"\x55\x04\x0a", 3 }, .rdn = 1, .text = true },
	};
	const struct cm_cert_name n = { .attrs = attrs, .count = 2 };
	struct cm_buf b;

	(void)state;
	cm_buf_init(&b, 0);
	assert_int_equal(cm_name_ad(&n, &b), CM_OK);
	assert_string_equal(cm_buf_str(&b), "CN=#0401ff,O=\"\"");
	cm_buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(nul_is_refused),
		cmocka_unit_test(empty_name_is_absent),
		cmocka_unit_test(odd_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
