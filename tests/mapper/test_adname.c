/* tests/mapper/test_adname.c - names as Active Directory writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "make_cert.h"
#include "mapper/dn_internal.h"

#define DC	"0.9.2342.19200300.100.1.25"

/* Where a row comes from. */
#define PKCA	"[MS-PKCA] 3.1.5.2.1.3: the name as CertNameToStr writes it, CR and LF replaced with \",\""
#define KEYS	"wincrypt.h, CertNameToStr: the table of X.500 key names"
#define OID	"wincrypt.h, CertNameToStr: an OID without a name has the prefix \"OID.\""
#define QUOTES	"wincrypt.h, CERT_NAME_STR_NO_QUOTING_FLAG: what is quoted without it"
#define PLUS	"wincrypt.h, CERT_NAME_STR_NO_PLUS_FLAG: \" + \" of a multi-valued RDN becomes one space"
#define GUIDE	"an administrator's guide to altSecurityIdentities for US government cards"
#define KB	"KB5014754: its example of <I> and <SR>"
#define DOD	"the issuer of a CAC, as it was encoded"
#define EJBCA	"names as EJBCA and dogtag encode them: UID and emailAddress in the subject"
#define ADCS	"names as AD CS encodes them: PrintableString where it fits, BMPString or TeletexString in older ones"
#define QWAC	"eIDAS certificates: organizationIdentifier, businessCategory and jurisdiction have no name in that table"

static const struct {
	const char *from;
	struct part parts[8];
	const char *want;
} rows[] = {
	{ KB, { P(DC, "com"), P(DC, "contoso"), P("CN", "CONTOSO-DC-CA") }, "DC=com,DC=contoso,CN=CONTOSO-DC-CA" },
	{ GUIDE, { P(DC, "local"), P(DC, "dod"), P("CN", "SpatDoD Root CA") },
	    "DC=local,DC=dod,CN=SpatDoD Root CA" },
	{ DOD, { P("C", "US", .type = V_ASN1_PRINTABLESTRING), P("O", "U.S. Government"), P("OU", "DoD"),
	    P("OU", "PKI"), P("CN", "DOD ID CA-59") },
	    "C=US,O=U.S. Government,OU=DoD,OU=PKI,CN=DOD ID CA-59" },
	{ DOD, { P("C", "US", .type = V_ASN1_PRINTABLESTRING), P("O", "U.S. Government"), P("OU", "DoD"),
	    P("OU", "PKI"), P("OU", "USAF"), P("CN", "APPLESEED.JOHN.Q.1234567890") },
	    "C=US,O=U.S. Government,OU=DoD,OU=PKI,OU=USAF,CN=APPLESEED.JOHN.Q.1234567890" },
	/* the order is the encoded one, whatever it is: a CA that writes the leaf first gets it so */
	{ PKCA, { P("CN", "CA"), P("O", "x"), P("C", "DE") }, "CN=CA,O=x,C=DE" },
	/* AD's own names: S for ST, G, SN, I, T, E */
	{ KEYS, { P("ST", "Bavaria"), P("L", "Munich"), P("street", "Way 1"), P("title", "Dr"),
	    P("GN", "Given"), P("SN", "Sur"), P("initials", "I.") },
	    "S=Bavaria,L=Munich,STREET=Way 1,T=Dr,G=Given,SN=Sur,I=I." },
	{ KEYS, { P("serialNumber", "77"), P("postalCode", "80331"), P("description", "d"), P("dnQualifier", "q"),
	    P("2.5.4.18", "box"), P("2.5.4.20", "+49"), P("2.5.4.24", "x21") },
	    "SERIALNUMBER=77,PostalCode=80331,Description=d,dnQualifier=q,POBox=box,Phone=\"+49\",X21Address=x21" },
	{ EJBCA, { P("UID", "u1"), P("emailAddress", "a@b", .type = V_ASN1_IA5STRING), P("CN", "n") },
	    "OID.0.9.2342.19200300.100.1.1=u1,E=a@b,CN=n" },
	{ OID, { P("2.5.4.15", "bc"), P("1.3.6.1.4.1.311.60.2.1.3", "DE"), P("2.25.9", "u") },
	    "OID.2.5.4.15=bc,OID.1.3.6.1.4.1.311.60.2.1.3=DE,OID.2.25.9=u" },
	{ QWAC, { P("C", "DE"), P("O", "x"), P("2.5.4.97", "PSDDE-BAFIN-1"), P("CN", "x.test") },
	    "C=DE,O=x,OID.2.5.4.97=PSDDE-BAFIN-1,CN=x.test" },
	{ QUOTES, { P("O", "Foo, Inc") }, "O=\"Foo, Inc\"" },
	{ QUOTES, { P("O", "a+b") }, "O=\"a+b\"" },
	{ QUOTES, { P("O", "a=b") }, "O=\"a=b\"" },
	{ QUOTES, { P("O", "a<b") }, "O=\"a<b\"" },
	{ QUOTES, { P("O", "a>b") }, "O=\"a>b\"" },
	{ QUOTES, { P("O", "a;b") }, "O=\"a;b\"" },
	{ QUOTES, { P("O", "a#b") }, "O=\"a#b\"" },
	{ QUOTES, { P("O", "say \"x\"") }, "O=\"say \"\"x\"\"\"" },
	{ QUOTES, { P("O", "\"") }, "O=\"\"\"\"" },
	{ QUOTES, { P("O", " lead") }, "O=\" lead\"" },
	{ QUOTES, { P("O", "trail ") }, "O=\"trail \"" },
	{ QUOTES, { P("O", "\ttab") }, "O=\"\ttab\"" },
	{ QUOTES, { P("O", " ") }, "O=\" \"" },
	{ QUOTES, { P("O", "") }, "O=\"\"" },
	/* not in that list, so they stand bare; RFC 4514 would escape the first */
	{ QUOTES, { P("O", "back\\slash") }, "O=back\\slash" },
	{ QUOTES, { P("O", "two  spaces") }, "O=two  spaces" },
	{ QUOTES, { P("O", "it's (c) * & / | @ 100%") }, "O=it's (c) * & / | @ 100%" },
	{ PKCA, { P("O", "a\r\nb") }, "O=\"a,,b\"" },
	{ PKCA, { P("O", "a\rb") }, "O=a,b" },
	{ PKCA, { P("O", "a\nb") }, "O=\"a,b\"" },
	{ PKCA, { P("O", "a\r\nb"), P("CN", "c") }, "O=\"a,,b\",CN=c" },
	/* encoded order within the RDN: DER sorts a SET by its octets */
	{ PLUS, { P("C", "DE"), P("O", "x"), P("OU", "y", .joined = true), P("CN", "z") },
	    "C=DE,O=x OU=y,CN=z" },
	{ PLUS, { P("CN", "Bob"), P("UID", "bob1", .joined = true) },
	    "CN=Bob OID.0.9.2342.19200300.100.1.1=bob1" },
	/* other encodings, by their characters */
	{ ADCS, { P("CN", "\0D\0\xfc", .len = 4, .type = V_ASN1_BMPSTRING) }, "CN=D\xc3\xbc" },
	{ ADCS, { P("CN", "\0a\0,\0b", .len = 6, .type = V_ASN1_BMPSTRING) }, "CN=\"a,b\"" },
	{ ADCS, { P("CN", "D\xfc", .len = 2, .type = V_ASN1_T61STRING) }, "CN=D\xc3\xbc" },
	{ ADCS, { P("CN", "\0\0\0D\0\1\xf6\0", .len = 8, .type = V_ASN1_UNIVERSALSTRING) }, "CN=D\xf0\x9f\x98\x80" },
	{ ADCS, { P("CN", "\xd0\x96") }, "CN=\xd0\x96" },
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
		if (strcmp(cm_buf_str(&b), rows[i].want) != 0)
			fail_msg("%s, wanted %s (%s)", cm_buf_str(&b), rows[i].want, rows[i].from);
		cm_buf_free(&b);
		cm_cert_free(&c);
	}
}

/* Certificates that openssl made from a configuration (rig/pki.py), subject and issuer. */
static void
rig_names(void **state)
{
	static const struct {
		const char *cert, *subject, *issuer;
	} certs[] = {
		{ "spatdod", "DC=local,DC=dod,CN=Users,CN=Bob Example", "DC=local,DC=dod,CN=SpatDoD Root CA" },
		{ "quoted", "C=US,S=New York,O=\"Acme, Inc.\",CN=\"Example, \"\"Bob\"\"\"", NULL },
		/* DER sorts a SET by its octets, and the shorter value comes first */
		{ "joined", "C=DE,OU=Cards O=Cardmap,CN=Bob Example OID.0.9.2342.19200300.100.1.1=bob1", NULL },
		{ "lines", "C=DE,O=\"Line one,,Line two\",CN=Bob Example", NULL },
		{ "attributes", "C=DE,S=Bayern,L=M\xc3\xbcnchen,STREET=Weg 1,T=Dr,G=Bob,SN=Example,"
		    "OID.0.9.2342.19200300.100.1.1=bob1,SERIALNUMBER=77,E=bob@cardmap.test,CN=Bob Example", NULL },
		{ "alice-rsa2048", NULL, "DC=test,DC=cardmap,CN=Cardmap Test Issuing CA" },
	};

	(void)state;
	for (size_t i = 0; i < 2 * CM_COUNT(certs); i++) {
		const char *want = i % 2 == 0 ? certs[i / 2].subject : certs[i / 2].issuer;
		struct cm_cert *c = NULL;
		struct cm_buf b;
		char path[512];

		if (want == NULL)
			continue;
		snprintf(path, sizeof(path), "%s/%s.der", CM_PKI_DIR, certs[i / 2].cert);
		assert_int_equal(cm_cert_load(path, NULL, &c), CM_OK);
		cm_buf_init(&b, 0);
		assert_int_equal(cm_name_ad(i % 2 == 0 ? cm_cert_subject(c) : cm_cert_issuer(c), &b), CM_OK);
		assert_string_equal(cm_buf_str(&b), want);
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
		cmocka_unit_test(rig_names),
		cmocka_unit_test(nul_is_refused),
		cmocka_unit_test(empty_name_is_absent),
		cmocka_unit_test(odd_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
