/* tests/mapper/test_match.c - which certificates a match part of sss-certmap(5) takes, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "make_cert.h"
#include "mapper/match_internal.h"

#define DC	"0.9.2342.19200300.100.1.25"

static const struct part ca[] = { P(DC, "com"), P(DC, "example"), P("CN", "Example CA"), { .oid = NULL } };
static const struct part alice[] = {
	P("O", "Example"), P("CN", "Alice M\xC3\xBCller"), { .oid = NULL },
};

/* Alice's card: every kind of name, each once but the mail addresses. */
static const struct ext full[] = {
	{ "keyUsage", "digitalSignature,nonRepudiation,decipherOnly,keyAgreement" },
	{ "extendedKeyUsage", "clientAuth,1.3.6.1.4.1.311.20.2.2" },
	{ "subjectAltName", "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:alice@EXAMPLE.COM,"
	    "email:alice@example.com,email:a.m@example.com,DNS:pc.example.com,"
	    "URI:urn:uuid:1234,IP:192.1.2.3,RID:1.2.3.4,otherName:1.2.3;UTF8:badge 42" },
	{ NULL, NULL },
};
/* A KRB5PrincipalName bob@R (RFC 4556 section 3.2.2) and a directoryName DC=x, CN=b. */
static const struct ext pkinit[] = {
	{ "subjectAltName", "DER:3048"
	    "A02306062B0601050202A0193017A0031B0152A110300EA003020101A10730051B03626F62"
	    "A421301F3111300F060A0992268993F22C6401191601783" "10A300806035504030C0162" },
	{ NULL, NULL },
};
static const struct ext none[] = { { NULL, NULL } };

static struct cm_cert *
card(const struct ext *extensions)
{
	return make_cert(&(struct cert_spec){ .subject = alice, .issuer = ca, .extensions = extensions });
}

static struct cm_match *
parse(struct cm_regexes *re, const char *text)
{
	struct cm_match *m = NULL;
	struct cm_syntax why;

	if (cm_match_parse(text, re, &m, &why) != CM_OK)
		fail_msg("%s: column %zu: %s", text, why.column, why.what);
	return m;
}

/* The rules of a table against one certificate. */
struct row {
	const char *rule;
	bool match;
};
static void
try_rows(struct cm_cert *c, const struct row *r, size_t count)
{
	struct cm_regexes *re = NULL;

	assert_int_equal(cm_regexes_new(false, &re), CM_OK);
	for (size_t i = 0; i < count; i++) {
		struct cm_match *m = parse(re, r[i].rule);

		if (cm_match_test(m, c, NULL, NULL) != (r[i].match ? CM_OK : CM_ERR_ABSENT))
			fail_msg("%s", r[i].rule);
		cm_match_free(&m);
		assert_null(m);
	}
	cm_regexes_free(&re);
	cm_cert_free(&c);
}

static const struct row rows[] = {
	{ "<SUBJECT>^CN=Alice", true },
	{ "KRB5:<SUBJECT>^CN=Alice", true },
	{ ":<SUBJECT>^CN=Alice", true },
	{ "<SUBJECT>^O=Example", false },			/* leaf first */
	{ "<SUBJECT>^CN=Alice M\\\\C3\\\\BCller,O=Example$", true },	/* \XX above 0x7F */
	{ "<SUBJECT>M.ller", false },
	{ "<ISSUER>^CN=Example CA,DC=example,DC=com$", true },
	{ "<ISSUER>^CN=Example CA,DC=example$", false },
	{ "<ISSUER>DC=(example|test),DC=com$", true },
	{ "&&<ISSUER>Example<SUBJECT>Bob", false },
	{ "||<ISSUER>Example<SUBJECT>Bob", true },
	{ "||<ISSUER>Test<SUBJECT>Bob", false },
	{ "<KU>digitalSignature", true },
	{ "<KU>DIGITALSIGNATURE , nonRepudiation,", true },
	{ "<KU>digitalSignature,keyEncipherment", false },
	{ "<KU>decipherOnly", true },
	{ "<KU>encipherOnly", false },
	{ "<KU>128", true },
	{ "<KU>0x80C8", true },					/* without keyAgreement's other half */
	{ "<KU>0x20", false },
	{ "<EKU>clientAuth", true },
	{ "<EKU>clientAuth,msScLogin", true },
	{ "<EKU>clientAuth,1.3.6.1.5.2.3.4", false },
	{ "||<EKU>serverAuth,clientAuth", true },
	{ "<EKU>1.3.6.1.5.5.7.3.2", true },
	{ "<EKU>1.3.6.1.5.5.7.3.02", false },
	{ "<SAN>^alice@EXAMPLE.COM$", true },
	{ "<SAN:>^alice@", true },
	{ "<SAN:Principal>^alice@", true },
	{ "<SAN:principal>^bob@", false },
	{ "<SAN:ntPrincipalName>^alice@", true },
	{ "<SAN:nt>^alice@", true },
	{ "<SAN:pkinit>^alice@", false },
	{ "<SAN:rfc822Name>@example.com$", true },		/* both */
	{ "<SAN:rfc822Name>^alice", false },			/* only one of two */
	{ "<SAN:dNSName>^pc\\.", true },
	{ "<SAN:uniformResourceIdentifier>urn:uuid:", true },
	{ "<SAN:iPAddress>^\xC0\x01\x02\x03$", true },		/* octets */
	{ "<SAN:registeredID>^1\\.2\\.3\\.4$", true },
	{ "<SAN:directoryName>.*", false },
	{ "<SAN:1.2.3>badge 42$", true },			/* behind the DER's header */
	{ "<SAN:1.2.3>^badge", false },
	{ "<SAN:1.2.3>^..badge", true },
	{ "<SAN:1.2.4>badge", false },
	{ "<SAN:stringOtherName>badge", false },
	{ "<SAN:otherName>YWxpY2VA", false },			/* "alice@" is not in each */
	{ "<SAN:x400Address>YWxpY2VA", false },
	{ "<KU>digitalSignature<EKU>clientAuth<SAN:dNSName>pc", true },
	{ "", false },
	{ "KRB5:", false },
	{ "&&", false },
	{ "||", false },
};

static void
test_rules(void **state)
{
	(void)state;
	try_rows(card(full), rows, CM_COUNT(rows));
}

/* What a certificate does not have: any usage is right, no purpose and no name is. */
static void
test_bare_certificate(void **state)
{
	static const struct row bare[] = {
		{ "<KU>digitalSignature,cRLSign", true },
		{ "<EKU>clientAuth", false },
		{ "<SAN>.*", false },
		{ "<SAN:rfc822Name>.*", false },
		{ "<SAN:otherName>YQ==", false },
	};

	(void)state;
	try_rows(card(none), bare, CM_COUNT(bare));
}

static void
test_pkinit_and_directory_names(void **state)
{
	static const struct row names[] = {
		{ "<SAN>^bob@R$", true },
		{ "<SAN:pkinit>^bob@R$", true },
		{ "<SAN:PKINITSAN>^b(o|a)b@", true },
		{ "<SAN:ntPrincipalName>bob", false },
		{ "<SAN:directoryName>^CN=b,DC=x$", true },
		{ "<SAN:1.3.6.1.5.2.2>bob$", true },
		{ "<SAN:otherName>Ym9i", true },	/* "bob" */
		{ "<SAN:otherName>Ym9iUg==", false },
	};

	(void)state;
	try_rows(card(pkinit), names, CM_COUNT(names));
}

static void
test_a_nul_in_a_name(void **state)
{
	static const uint8_t upn[] = "alice@EXAMPLE.COM\0.evil.test";
	const struct cert_spec spec = { .upn = { upn, sizeof(upn) - 1 } };
	struct cm_cert *c = make_cert(&spec);
	struct cm_regexes *re = NULL;
	struct cm_match *m;

	(void)state;
	assert_int_equal(cm_regexes_new(false, &re), CM_OK);
	m = parse(re, "<SAN>^alice@EXAMPLE.COM");
	assert_int_equal(cm_match_test(m, c, NULL, NULL), CM_ERR_ABSENT);
	cm_match_free(&m);
	m = parse(re, "<SAN>^(alice|bob)@EXAMPLE.COM$");
	assert_int_equal(cm_match_test(m, c, NULL, NULL), CM_ERR_ABSENT);
	cm_match_free(&m);
	cm_regexes_free(&re);
	cm_cert_free(&c);
}

static const struct {
	const char *rule;
	size_t column;
	const char *what;
} mistakes[] = {
	{ "SUBJECT>a", 1, "expected a component as <ISSUER>" },
	{ "KRB5: <KU>keyAgreement", 6, "expected a component" },
	{ "LDAP:<SUBJECT>a", 1, "unknown language \"LDAP:\"; expected KRB5: or none" },
	{ "<SUBJECT", 2, "has no end; expected >" },
	{ "<subject>a", 2, "unknown component \"<subject>\"; expected <ISSUER>" },
	{ "<ISSUER>a<SUBJECT>", 19, "<SUBJECT> has no value" },
	{ "<ISSUER><SUBJECT>a", 9, "<ISSUER> has no value" },
	{ "<SUBJECT>(a", 10, "regular expression: Unmatched ( or \\(" },
	{ "<KU>keyAgreement<SUBJECT>(a)\\1", 29, "regular expression: back-references are not allowed" },
	{ "<KU>digitalSignature,sign", 22, "unknown key usage \"sign\"; expected digitalSignature" },
	{ "<KU>0", 5, "unknown key usage \"0\"" },
	{ "<KU>4294967296", 5, "unknown key usage \"4294967296\"" },
	{ "<KU>,", 5, "the list is empty" },
	{ "<EKU> , ", 6, "the list is empty" },
	{ "<EKU>clientAuth,smartcard", 17, "unknown extended key usage \"smartcard\"; expected clientAuth" },
	{ "<EKU>1", 6, "unknown extended key usage \"1\"" },
	{ "<SAN:mail>a", 6, "unknown kind of name \"mail\"; expected Principal" },
	{ "<SAN:otherName>YQ", 16, "expected base64" },
	{ "<SAN:otherName>Y\xC3==", 16, "expected base64" },
	{ "<SAN:otherName>====", 16, "expected base64" },
};

static void
test_mistakes(void **state)
{
	struct cm_regexes *re = NULL;

	(void)state;
	assert_int_equal(cm_regexes_new(false, &re), CM_OK);
	for (size_t i = 0; i < CM_COUNT(mistakes); i++) {
		struct cm_match *m = NULL;
		struct cm_syntax why;

		if (cm_match_parse(mistakes[i].rule, re, &m, &why) != CM_ERR_SYNTAX)
			fail_msg("%s", mistakes[i].rule);
		assert_null(m);
		if (why.column != mistakes[i].column || strstr(why.what, mistakes[i].what) == NULL)
			fail_msg("%s: column %zu: %s", mistakes[i].rule, why.column, why.what);
	}
	cm_regexes_free(&re);
}

static void
test_issuers(void **state)
{
	static const struct { const char *rule, *issuer; } issuers[] = {
		{ "<ISSUER>^CN=CA,DC=x$", "CN=CA,DC=x" },
		{ "<SUBJECT>a<ISSUER>^CN=C\\.A$<KU>keyAgreement", "CN=C.A" },
		{ "||<ISSUER>^CN=CA$", "CN=CA" },
		{ "||<ISSUER>^CN=CA$<SUBJECT>a", NULL },
		{ "<ISSUER>^CN=CA", NULL },
		{ "<ISSUER>CN=CA$", NULL },
		{ "<ISSUER>^CN=.CA$", NULL },
		{ "<ISSUER>^CN=(CA|CB)$", NULL },
		{ "<SUBJECT>^CN=CA$", NULL },
	};
	struct cm_regexes *re = NULL;

	(void)state;
	assert_int_equal(cm_regexes_new(false, &re), CM_OK);
	for (size_t i = 0; i < CM_COUNT(issuers); i++) {
		struct cm_match *m = parse(re, issuers[i].rule);

		if (issuers[i].issuer == NULL)
			assert_null(cm_match_issuer(m));
		else
			assert_string_equal(cm_match_issuer(m), issuers[i].issuer);
		cm_match_free(&m);
	}
	cm_regexes_free(&re);
}

static void
test_why(void **state)
{
	static const struct { const char *rule, *why; } whys[] = {
		{ "<ISSUER>Example<SUBJECT>^CN=Bob<KU>cRLSign", "<SUBJECT>^CN=Bob" },
		{ "||<SUBJECT>^CN=Bob<KU>cRLSign", "none of <SUBJECT>^CN=Bob <KU>cRLSign" },
		{ "", "a rule with no component matches no certificate" },
	};
	struct cm_cert *c = card(full);
	struct cm_regexes *re = NULL;

	(void)state;
	assert_int_equal(cm_regexes_new(false, &re), CM_OK);
	for (size_t i = 0; i < CM_COUNT(whys); i++) {
		struct cm_match *m = parse(re, whys[i].rule);
		struct cm_buf why;

		cm_buf_init(&why, 0);
		assert_int_equal(cm_match_test(m, c, NULL, &why), CM_ERR_ABSENT);
		assert_string_equal(cm_buf_str(&why), whys[i].why);
		cm_buf_free(&why);
		cm_match_free(&m);
	}
	cm_regexes_free(&re);
	cm_cert_free(&c);
}

/* An expression that cannot be tried: the answer is another component's, or there is none. */
static void
test_over_the_limit(void **state)
{
#define BAD	"(C|N|=|A)*N(C|N|=|.)*\\1\\1\\1.*\\1.*\\1.*\\1.*\\1.*\\1.*\\1x$"
	static const struct { const char *rule; enum cm_err err; } limits[] = {
		{ "<SUBJECT>" BAD, CM_ERR_CONFIG },
		{ "<SUBJECT>" BAD "<ISSUER>Example", CM_ERR_CONFIG },
		{ "<SUBJECT>" BAD "<ISSUER>^nobody", CM_ERR_ABSENT },
		{ "||<SUBJECT>" BAD "<ISSUER>Example", CM_OK },
		{ "||<SUBJECT>" BAD "<ISSUER>^nobody", CM_ERR_CONFIG },
	};
	char name[2001];
	const struct part long_name[] = { P("CN", name, .len = sizeof(name) - 1), { .oid = NULL } };
	struct cm_cert *c;
	struct cm_regexes *re = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = "CN=A"[(i * i / 3) % 4];
	c = make_cert(&(struct cert_spec){ .subject = long_name, .issuer = ca });
	assert_int_equal(cm_regexes_new(true, &re), CM_OK);
	for (size_t i = 0; i < CM_COUNT(limits); i++) {
		struct cm_match *m = parse(re, limits[i].rule);

		assert_int_equal(cm_match_test(m, c, NULL, NULL), limits[i].err);
		cm_match_free(&m);
	}
	cm_regexes_free(&re);
	cm_cert_free(&c);
}

/* One certificate against many rules of one kind: the texts are made once, the answers stay right. */
static void
test_many_rules(void **state)
{
	enum { N = 300 };
	struct cm_cert *c = card(full);
	struct cm_regexes *re = NULL;
	struct cm_match *rules[N];
	struct cm_match_cert mc;

	(void)state;
	assert_int_equal(cm_regexes_new(false, &re), CM_OK);
	for (int i = 0; i < N; i++) {
		char rule[64];

		(void)snprintf(rule, sizeof(rule), "<SUBJECT>^CN=(x%d|%s)", i, i % 7 == 0 ? "Alice" : "Bob");
		rules[i] = parse(re, rule);
	}
	cm_match_cert_init(&mc, c);
	for (int i = 0; i < N; i++)
		assert_int_equal(cm_match_test_on(rules[i], &mc, NULL, NULL),
		    i % 7 == 0 ? CM_OK : CM_ERR_ABSENT);
	assert_string_equal(cm_match_cert_issuer(&mc), "CN=Example CA,DC=example,DC=com");
	cm_match_cert_clear(&mc);
	for (int i = 0; i < N; i++)
		cm_match_free(&rules[i]);
	cm_regexes_free(&re);
	cm_cert_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_bare_certificate),
		cmocka_unit_test(test_pkinit_and_directory_names),
		cmocka_unit_test(test_a_nul_in_a_name),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_issuers),
		cmocka_unit_test(test_why),
		cmocka_unit_test(test_over_the_limit),
		cmocka_unit_test(test_many_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
