/* tests/mapper/test_fields.c - what each field of a template is on a certificate that has it, and on odd ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "gen_cert.h"
#include "make_cert.h"
#include "mapper/fields_internal.h"

#define DC	"0.9.2342.19200300.100.1.25"
#define B(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }

/* What the template makes; the result is what the last call gave. */
static enum cm_err
expand(const char *text, enum cm_dialect dialect, bool escape, const struct cm_cert *c, struct cm_buf *out)
{
	struct cm_template tp;
	struct cm_syntax why;
	enum cm_err err;

	if (cm_template_parse(text, dialect, escape, &tp, &why) != CM_OK)
		fail_msg("%s: column %zu: %s", text, why.column, why.what);
	cm_buf_truncate(out, 0);
	err = cm_template_write(&tp, c, out, NULL);
	cm_template_clear(&tp);
	return err;
}

struct row {
	const char *text, *want;	/* NULL: the certificate has none */
};

static void
try_rows(const struct row *rows, size_t count, enum cm_dialect dialect, const struct cm_cert *c)
{
	struct cm_buf b = { 0 };

	for (size_t i = 0; i < count; i++) {
		const enum cm_err err = expand(rows[i].text, dialect, false, c, &b);

		if (err != (rows[i].want != NULL ? CM_OK : CM_ERR_ABSENT))
			fail_msg("%s: %s", rows[i].text, cm_err_name(err));
		assert_string_equal(cm_buf_str(&b), rows[i].want != NULL ? rows[i].want : "");
	}
	cm_buf_free(&b);
}

static const struct part issuer[] = { P(DC, "com"), P("O", "A, Inc"), P("CN", "CA"), P("UID", "u", .joined = true),
	{ .oid = NULL } };
static const struct part subject[] = { P("C", "US"), P("O", "Org"), P("OU", "one"), P("OU", ""), P("OU", "three"),
	P("CN", "Al \"M\xc3\xbcller\", x"), P("2.999.1", "unknown"), { .oid = NULL } };
static const struct ext extensions[] = {
	{ "subjectKeyIdentifier", "00FFA1" },
	{ "1.3.6.1.4.1.311.25.2", "DER:303EA03C060A2B060104018237190201A02E042C"
	    "532D312D352D32312D333632333831313031352D333336313034343334382D33303330303832302D31303133" },
	/* UPNs first@EXAMPLE.COM and last@b@C (BMPString); one@a, two@b.c; pc.example.com; urn:uuid:, a SID's
	   tag: and http://x/; 192.168.0.1; RID 2.25.N; FASC-N d4e739da */
	{ "subjectAltName", "DER:"
	    "30820104A021060A2B060104018237140203A0130C116669727374404558414D504C452E434F4DA020060A2B"
	    "060104018237140203A0121E10006C006100730074004000620040004381056F6E654061810774776F40622E"
	    "63820E70632E6578616D706C652E636F6D862D75726E3A757569643A32616637643163342D313131312D3232"
	    "32322D333333332D34343434343434343434343486337461673A6D6963726F736F66742E636F6D2C32303232"
	    "2D30392D31343A7369643A532D312D352D32312D312D322D332D3530308609687474703A2F2F782F8704C0A8"
	    "000188146983F09DA7EBCFDEE0C7A1A7B2C0948CC8F9D776A01206086086480165030606A0060404D4E739DA" },
	{ NULL, NULL },
};
static const struct cert_spec full = { .subject = subject, .issuer = issuer, .serial = "8a0102",
	.extensions = extensions };

static const struct row own[] = {
	{ "{common_name}", "Al \"M\xc3\xbcller\", x" }, { "{organization}", "Org" }, { "{country}", "US" },
	{ "{organizational_unit}", "one" }, { "{organizational_unit[1]}", "one" },
	{ "{organizational_unit[2]}", NULL }, { "{organizational_unit[3]}", "three" },
	{ "{rfc822_name}", "one@a" }, { "{subject_rfc822_name}", "two@b.c" },
	{ "{rfc822_name.short_name}", "one" }, { "{rfc822_name.realm}", "a" },
	{ "{nt_principal_name}", "first@EXAMPLE.COM" }, { "{nt_principal_name.short_name}", "first" },
	{ "{nt_principal_name.realm}", "EXAMPLE.COM" },
	{ "{subject_nt_principal}", "last@b@C" }, { "{subject_nt_principal.short_name}", "last" },
	{ "{subject_nt_principal.realm}", "b@C" }, { "{subject_principal}", "last@b@C" },
	{ "{subject_pkinit_principal}", NULL }, { "{subject_dns_name}", "pc.example.com" },
	{ "{subject_dns_name.short_name}", "pc" }, { "{subject_uri}", "http://x/" },
	{ "{subject_ip_address}", "192.168.0.1" }, { "{subject_ip_address!text}", "192.168.0.1" },
	{ "{subject_registered_id}", "2.25.329800735698586629295641978511506172918" },
	{ "{subject_directory_name}", NULL }, { "{subject_x400_address}", NULL },
	{ "{subject_ediparty_name}", NULL },
	{ "{uuid}", "2af7d1c4-1111-2222-3333-444444444444" }, { "{fasc_n}", "d4e739da" },
	{ "{fasc_n!hex_uc}", "D4:E7:39:DA" },
	{ "{sid}", "S-1-5-21-3623811015-3361044348-30300820-1013" }, { "{sid.rid}", "1013" },
	{ "{sid_uri}", "S-1-5-21-1-2-3-500" }, { "{sid_uri.rid}", "500" },
	{ "{subject_key_id}", "00ffa1" }, { "{subject_key_id!hex_ru}", "A1FF00" },
	{ "{serial_number}", "8a0102" }, { "{serial_number!hex_r}", "02018a" }, { "{serial_number!dec}", "9044226" },
	{ "{issuer_dn}", "UID=u,CN=CA,O=A\\, Inc,DC=com" }, { "{issuer_dn!ad_x500}",
	    "DC=com,O=A\\, Inc,CN=CA,OID.0.9.2342.19200300.100.1.1=u" },
	{ "{issuer_dn!pkca}", "DC=com,O=\"A, Inc\",CN=CA OID.0.9.2342.19200300.100.1.1=u" },
	{ "{issuer_dn!oneline}", "/DC=com/O=A, Inc/CN=CA+UID=u" },
	{ "{subject_dn_component}", "unknown" }, { "{subject_dn_component[1]}", "unknown" },
	{ "{subject_dn_component.cn}", "Al \"M\xc3\xbcller\", x" },
	{ "{subject_dn_component.[2]}", "Al \"M\xc3\xbcller\", x" },
	{ "{subject_dn_component.ou}", "three" }, { "{subject_dn_component.OU[3]}", "three" },
	{ "{subject_dn_component.ou[-3]}", "one" }, { "{subject_dn_component.ou[1]}", NULL },
	{ "{subject_dn_component.[-1]}", "US" }, { "{subject_dn_component.[8]}", NULL },
	{ "{subject_dn_component.[-8]}", NULL }, { "{subject_dn_component.undef}", NULL },
	{ "{issuer_dn_component.uid}", "u" },
};

/* libsss_certmap's value is a piece of its text of the name. */
static const struct row ldapu1[] = {
	{ "{subject_dn_component.cn}", "Al \\\"M\\C3\\BCller\\\"\\, x" },
	{ "{subject_nt_principal}", "last@b@C" }, { "{sid.rid}", "1013" },
	{ "{subject_registered_id}", "2.25.329800735698586629295641978511506172918" },
};

static void
every_field(void **state)
{
	struct cm_cert *c = make_cert(&full);

	(void)state;
	try_rows(own, CM_COUNT(own), CM_DIALECT_OWN, c);
	try_rows(ldapu1, CM_COUNT(ldapu1), CM_DIALECT_LDAPU1, c);
	cm_cert_free(&c);
}

/* Each row of the table makes something of a certificate that has it all, or says that there is none. */
static void
no_field_without_a_case(void **state)
{
	size_t count;
	const struct cm_rule_field *f = cm_fields(&count);
	static const char *const elsewhere[] = { "cert", "public_key", "spki", "ssh_public_key", "subject_dn" };

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const size_t len = strlen(f[i].name);
		bool found = false;

		for (size_t k = 0; k < CM_COUNT(elsewhere); k++)
			found |= strcmp(elsewhere[k], f[i].name) == 0;
		for (size_t k = 0; k < CM_COUNT(own); k++)
			found |= strncmp(own[k].text + 1, f[i].name, len) == 0 &&
			    strchr(".!}[", own[k].text[1 + len]) != NULL;
		if (!found)
			fail_msg("%s", f[i].name);
	}
}

/* [MS-DTYP] 2.4.2.2; the digits by another program. */
static void
binary_sid(void **state)
{
	static const uint8_t want[] = { 1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 0xc7, 0xf7, 0xfe, 0xd7, 0x7c, 0x77,
		0x55, 0xc8, 0x94, 0x5a, 0xce, 0x01, 0xf5, 0x03, 0, 0 };
	struct cm_cert *c = make_cert(&full);
	struct cm_buf b = { 0 };

	(void)state;
	assert_int_equal(expand("{sid!bin}", CM_DIALECT_OWN, false, c, &b), CM_OK);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.ptr, want, sizeof(want));
	assert_int_equal(expand("(objectSid={sid!bin})", CM_DIALECT_OWN, true, c, &b), CM_OK);
	assert_string_equal(cm_buf_str(&b), "(objectSid=\\01\\05\\00\\00\\00\\00\\00\\05\\15\\00\\00\\00\\c7\\f7\\fe"
	    "\\d7\\7c\\77\\55\\c8\\94\\5a\\ce\\01\\f5\\03\\00\\00)");
	cm_buf_free(&b);
	cm_cert_free(&c);
}

static struct cm_cert *
with_sid_uri(const char *sid, struct cm_buf *value)
{
	static const char prefix[] = "tag:microsoft.com,2022-09-14:sid:";
	const size_t len = strlen(prefix) + strlen(sid);
	struct ext e[] = { { "subjectAltName", NULL }, { NULL, NULL } };

	assert_true(len < 0x7E);
	cm_buf_addf(value, "DER:30%02zx86%02zx", len + 2, len);
	cm_buf_add_hex(value, cm_blob_str(prefix));
	cm_buf_add_hex(value, cm_blob_str(sid));
	e[0].value = cm_buf_str(value);
	return make_cert(&(struct cert_spec){ .extensions = e });
}

/* What is no SID finds nobody, and fits no account that has one: numbers too large, too many, none. */
static void
attack_sid_in_a_uri(void **state)
{
	static const char *const uris[] = { "S-1", "S-1-", "S-1-5-4294967296", "S-1-281474976710656-1", "S-1-5-", "S-1-5--1",
		"S-1-5-21-1-2-3-500*", "s-1-5-21", "S-2-5-21", "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
		"S-1-5-99999999999999999999999999" };
	struct cm_buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(uris); i++) {
		struct cm_buf value = { 0 };
		struct cm_cert *c = with_sid_uri(uris[i], &value);

		cm_buf_free(&value);
		assert_int_equal(expand("{sid_uri}", CM_DIALECT_OWN, false, c, &b), CM_ERR_SYNTAX);
		assert_int_equal(expand("{sid_uri!bin}", CM_DIALECT_OWN, false, c, &b), CM_ERR_SYNTAX);
		assert_int_equal(b.len, 0);
		assert_true(cm_cert_sid(c, &b).len > 0);
		cm_buf_truncate(&b, 0);
		cm_cert_free(&c);
	}
	cm_buf_free(&b);
}

/* A NUL is never cut off: of any part of the name the value is refused. */
static void
attack_nul(void **state)
{
	static const struct part cn[] = { P("CN", "root\0x", .len = 6), { .oid = NULL } };
	const struct cert_spec spec = { .subject = cn, .upn = B("root\0@x"), .mail = B("root@x\0y") };
	static const char *const refused[] = { "{common_name}", "{nt_principal_name}", "{nt_principal_name.short_name}",
		"{nt_principal_name.realm}", "{subject_nt_principal}", "{subject_principal.short_name}",
		"{rfc822_name.short_name}", "{subject_rfc822_name.short_name}", "{subject_rfc822_name}",
		"{subject_dn!pkca}", "{subject_dn_component.cn}" };
	struct cm_cert *c = make_cert(&spec);
	struct cm_buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(refused); i++)
		assert_int_equal(expand(refused[i], CM_DIALECT_OWN, true, c, &b), CM_ERR_SYNTAX);
	/* where the text of a name has a way to write it, it is written */
	assert_int_equal(expand("{subject_dn!nss}", CM_DIALECT_OWN, false, c, &b), CM_OK);
	assert_string_equal(cm_buf_str(&b), "CN=root\\00x");
	assert_int_equal(expand("{subject_dn!oneline}", CM_DIALECT_OWN, false, c, &b), CM_OK);
	assert_string_equal(cm_buf_str(&b), "/CN=root\\x00x");
	cm_buf_free(&b);
	cm_cert_free(&c);
}

/* RFC 4515 section 3, undone: what an attacker wrote stays the value of one attribute. */
static void
expect_escaped(const char *filter, const char *want, size_t len)
{
	size_t n = 0;

	for (const char *p = filter; *p != '\0'; p++, n++) {
		uint8_t c = (uint8_t)*p;

		assert_null(strchr("()*", *p));
		if (*p == '\\') {
			assert_int_equal(cm_hex_parse((struct cm_blob){ (const uint8_t *)p + 1, 2 }, &c, 1), 2);
			p += 2;
		}
		assert_true(n < len);
		assert_int_equal(c, (uint8_t)want[n]);
	}
	assert_int_equal(n, len);
}

static void
attack_injection(void **state)
{
	static const char *const texts[] = { "*", "*)(uid=*", "x)(|(a=*", "\\2a", "\\", "a\\29", "(&)", ")))",
		"\x01\x7f", "admin)(!(&(1=0", "*)(objectClass=*))(|(cn=" };
	static const char *const fields[] = { "{common_name}", "{nt_principal_name}", "{rfc822_name}",
		"{subject_nt_principal}", "{subject_rfc822_name}" };
	struct cm_buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(texts); i++) {
		const struct part cn[] = { P("CN", texts[i]), { .oid = NULL } };
		const struct cm_blob v = cm_blob_str(texts[i]);
		struct cm_cert *c = make_cert(&(struct cert_spec){ .subject = cn, .upn = v, .mail = v });

		for (size_t k = 0; k < CM_COUNT(fields); k++) {
			assert_int_equal(expand(fields[k], CM_DIALECT_OWN, true, c, &b), CM_OK);
			expect_escaped(cm_buf_str(&b), texts[i], v.len);
			if (k < 3)
				continue;
			assert_int_equal(expand(fields[k], CM_DIALECT_LDAP, true, c, &b), CM_OK);
			expect_escaped(cm_buf_str(&b), texts[i], v.len);
		}
		cm_cert_free(&c);
	}
	cm_buf_free(&b);
}

/* Characters, whatever they are encoded in. */
static void
encodings(void **state)
{
	static const struct part parts[] = {
		P("CN", "\0J\0\xfc\x04\x16", .len = 6, .type = V_ASN1_BMPSTRING),
		P("O", "J\xfc", .len = 2, .type = V_ASN1_T61STRING),
		P("OU", "\0\1\xf6\0", .len = 4, .type = V_ASN1_UNIVERSALSTRING), { .oid = NULL },
	};
	static const struct row rows[] = {
		{ "{common_name}", "J\xc3\xbc\xd0\x96" }, { "{organization}", "J\xc3\xbc" },
		{ "{organizational_unit}", "\xf0\x9f\x98\x80" }, { "{subject_dn_component.o}", "J\xc3\xbc" },
		{ "{subject_dn}", "OU=\\F0\\9F\\98\\80,O=J\\C3\\BC,CN=J\\C3\\BC\\D0\\96" },
	};
	struct cm_cert *c = make_cert(&(struct cert_spec){ .subject = parts });
	struct cm_buf b = { 0 };

	(void)state;
	try_rows(rows, CM_COUNT(rows), CM_DIALECT_OWN, c);
	assert_int_equal(expand("{common_name}", CM_DIALECT_OWN, true, c, &b), CM_OK);
	assert_string_equal(cm_buf_str(&b), "J\\c3\\bc\\d0\\96");
	cm_buf_free(&b);
	cm_cert_free(&c);
}

/* OpenSSL's own answers, on many odd certificates. */
static void
as_openssl(void **state)
{
	struct gen g = { .state = 7 };
	struct cm_buf der = { 0 }, b = { 0 }, want = { 0 };

	(void)state;
	for (int i = 0; i < 500; i++) {
		const unsigned char *p;
		struct cm_cert *c = NULL;
		uint8_t md[EVP_MAX_MD_SIZE];
		unsigned len, odd;
		char *line;
		X509 *x;

		gen_cert(&g, &der, &odd);
		p = der.ptr;
		assert_non_null(x = d2i_X509(NULL, &p, (long)der.len));
		assert_int_equal(cm_cert_decode(cm_buf_blob(&der), NULL, &c), CM_OK);
		if (cm_cert_subject(c)->count > 0) {
			assert_int_equal(expand("{subject_dn!oneline}", CM_DIALECT_OWN, false, c, &b), CM_OK);
			line = X509_NAME_oneline(X509_get_subject_name(x), NULL, 0);
			assert_string_equal(cm_buf_str(&b), line);
			OPENSSL_free(line);
		}
		assert_int_equal(expand("{public_key!sha1}", CM_DIALECT_OWN, false, c, &b), CM_OK);
		assert_int_equal(X509_pubkey_digest(x, EVP_sha1(), md, &len), 1);
		cm_buf_truncate(&want, 0);
		cm_buf_add_hex(&want, (struct cm_blob){ md, len });
		assert_string_equal(cm_buf_str(&b), cm_buf_str(&want));
		assert_int_equal(expand("{cert!sha256}", CM_DIALECT_OWN, false, c, &b), CM_OK);
		assert_int_equal(X509_digest(x, EVP_sha256(), md, &len), 1);
		cm_buf_truncate(&want, 0);
		cm_buf_add_hex(&want, (struct cm_blob){ md, len });
		assert_string_equal(cm_buf_str(&b), cm_buf_str(&want));
		cm_cert_free(&c);
		X509_free(x);
	}
	cm_buf_free(&der);
	cm_buf_free(&b);
	cm_buf_free(&want);
}

/* Certificates in base64, and what ssh-keygen -i -m PKCS8 makes of their keys (of Ed25519, RFC 8709's own form). */
static const struct {
	const char *cert, *ssh;
} ssh_keys[] = {
	{
	    "MIIB8zCCAVygAwIBAgITOpWNSa03/qvO+gHec491rYaTWjANBgkqhkiG9w0BAQsF"
	    "ADAMMQowCAYDVQQDDAF4MB4XDTI2MTEyMTEyMjgyOVoXDTM2MTExODEyMjgyOVow"
	    "DDEKMAgGA1UEAwwBeDCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAykXQAFYx"
	    "l6jELnDTzM8EmJ+n9z4CSK4sc/wBw/sl9xx1ZhxM8Uscdq3nJGdW/jR9Ip9NQS7I"
	    "X/xsllcmeofu5bGaj78/FY8fVcCfvHeUmZokK3+pnPo3ek9kB/Hai8T/QLsdermS"
	    "K4Ym708sCSzNSX0TFXzmT2xXV37DkQWh3w8CAwEAAaNTMFEwHQYDVR0OBBYEFHyL"
	    "q+XfEh4RXuEEKIKD+bjeHhRbMB8GA1UdIwQYMBaAFHyLq+XfEh4RXuEEKIKD+bje"
	    "HhRbMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADgYEAdR3QqKOnB97Y"
	    "ZiNmmqkJfCUYH6II8Zj76swIHy6+DUfrH7WGIIDEYz83rrUxUUkb05B6ApWv6FMK"
	    "LFRb0ORJQI9c42UJclxe/qywmaEKo/zr3fSVZAhd4B67EDxKsiw48Tn7TrU7y+86"
	    "fwhhfs1/5TMFVc/Gu594ge2VsbULdUY=",
	    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDKRdAAVjGXqMQucNPMzwSYn6f3PgJIrixz/AHD+yX3HHVmHEzx"
	    "Sxx2reckZ1b+NH0in01BLshf/GyWVyZ6h+7lsZqPvz8Vjx9VwJ+8d5SZmiQrf6mc+jd6T2QH8dqLxP9Aux16uZIr"
	    "hibvTywJLM1JfRMVfOZPbFdXfsORBaHfDw==",
	},
	{
	    "MIIBbTCCAROgAwIBAgIUX09R1tMNmHrR9YBBK5/BKmmPqzswCgYIKoZIzj0EAwIw"
	    "DDEKMAgGA1UEAwwBeDAeFw0yNjExMjExMjI4MjlaFw0zNjExMTgxMjI4MjlaMAwx"
	    "CjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATZKjc2QzTlQ1jv"
	    "tmhwirQQV/STxyQNExbhJpZwSPAAifvm35d1ekWihvSSXixpgpzCfBiFNClziLKs"
	    "cruEbha7o1MwUTAdBgNVHQ4EFgQUSKj5WQ7g6ugSNqLQ0y+uCdWHemcwHwYDVR0j"
	    "BBgwFoAUSKj5WQ7g6ugSNqLQ0y+uCdWHemcwDwYDVR0TAQH/BAUwAwEB/zAKBggq"
	    "hkjOPQQDAgNIADBFAiEAvU61Uw97VLZeBwsEhE068rgb0wBgM6EROJsVV7yWRGUC"
	    "IFOR8Quzsf162ss01I2zdUnHu57Ye2yoigCDJ7iY7sys",
	    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBNkqNzZDNOVDWO+2"
	    "aHCKtBBX9JPHJA0TFuEmlnBI8ACJ++bfl3V6RaKG9JJeLGmCnMJ8GIU0KXOIsqxyu4RuFrs=",
	},
	{
	    "MIIBqzCCATCgAwIBAgIUYzQgcRrh2RsvuBXDgCH6g0nWLFwwCgYIKoZIzj0EAwIw"
	    "DDEKMAgGA1UEAwwBeDAeFw0yNjExMjExMjI4MjlaFw0zNjExMTgxMjI4MjlaMAwx"
	    "CjAIBgNVBAMMAXgwdjAQBgcqhkjOPQIBBgUrgQQAIgNiAAQ0QroHRP+GgaSl7HRc"
	    "dtMBnFvvOL+Iw3+xJ65NEAmp3oD+2RSHNPhbtBgj9zHFXEteVhhGnbCT3IU4lIrL"
	    "1T72ZgwFpUqg/6v0GhSkEZcSq3AO3442bRZNZyph4V7EPhKjUzBRMB0GA1UdDgQW"
	    "BBSxNb+KXgwdw/pPcugeCFaxIvBM1TAfBgNVHSMEGDAWgBSxNb+KXgwdw/pPcuge"
	    "CFaxIvBM1TAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA2kAMGYCMQDMpHl7"
	    "qde/0mtYG5SZzUBJ8OPA1SnRwEpxGeHXy/GHS2HIBXH+jfwR95+IT1NQmn0CMQDo"
	    "Uh+8/AGqraNwmYPi8q2z+MHPh90YoQ40Ufada/2wmWD5O77yMTl7kUSv+bhQBqE=",
	    "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBDRCugdE/4aBpKXs"
	    "dFx20wGcW+84v4jDf7Enrk0QCanegP7ZFIc0+Fu0GCP3McVcS15WGEadsJPchTiUisvVPvZmDAWlSqD/q/QaFKQR"
	    "lxKrcA7fjjZtFk1nKmHhXsQ+Eg==",
	},
	{
	    "MIIB8zCCAVagAwIBAgIUFftrR1nopXXkS5N0EEUU6DO7cGIwCgYIKoZIzj0EAwIw"
	    "DDEKMAgGA1UEAwwBeDAeFw0yNjExMjExMjUyMzdaFw0zNjExMTgxMjUyMzdaMAwx"
	    "CjAIBgNVBAMMAXgwgZswEAYHKoZIzj0CAQYFK4EEACMDgYYABAGkHehKWmxVnl19"
	    "4yegGN38qUCQzXYBMHdnog6STxqA+ruJ3oGGjEn7VvnWDAGvxR2shUJ4ls253kSK"
	    "hWowo7Ks1gHputCyCGs43OtJL8pxo/2pDRMwc/MViaomZL1F2n0wUULjz66PRGHq"
	    "gsEaUTsxvjD+Pb/5NWYAEjQI0YbvJMpLuqNTMFEwHQYDVR0OBBYEFNBZKqWMuc1M"
	    "erfozHDcQrfSGyMNMB8GA1UdIwQYMBaAFNBZKqWMuc1MerfozHDcQrfSGyMNMA8G"
	    "A1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDgYoAMIGGAkF6Fu1DTyUd+9BzGo5R"
	    "suIpyuq1opqXATY9B8An4Wgn4Ho7OxAJPBGjkCzHBl6KnsuFse70SBEU19wAOjIc"
	    "UWsfoAJBFnzpj7u90W9YWMeP87JuSOwPHT1Euu6iu7XmWFT95LTe1mYDVO0fDRXU"
	    "PigYxs7xLZGuQD0A/AtoX/wuHwu0VbE=",
	    "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAGkHehKWmxVnl19"
	    "4yegGN38qUCQzXYBMHdnog6STxqA+ruJ3oGGjEn7VvnWDAGvxR2shUJ4ls253kSKhWowo7Ks1gHputCyCGs43OtJ"
	    "L8pxo/2pDRMwc/MViaomZL1F2n0wUULjz66PRGHqgsEaUTsxvjD+Pb/5NWYAEjQI0YbvJMpLug==",
	},
	{
	    "MIIBLDCB36ADAgECAhQTXu54Vdjzu5SRHHbyl9JFCH3juDAFBgMrZXAwDDEKMAgG"
	    "A1UEAwwBeDAeFw0yNjExMjExMjI4MjlaFw0zNjExMTgxMjI4MjlaMAwxCjAIBgNV"
	    "BAMMAXgwKjAFBgMrZXADIQCMOyCTdSw/y524SZFFDuxVWK9YeoHC07cAbFwyhGfQ"
	    "4KNTMFEwHQYDVR0OBBYEFBGS2Gos5XlZvmZvLElEN4Jbieq3MB8GA1UdIwQYMBaA"
	    "FBGS2Gos5XlZvmZvLElEN4Jbieq3MA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EA"
	    "MDUuTsMEaDmmKd18N5ojR1VerYUHIRViGIxQ/cDaLyXhduquwGduWmuz8Bz9xxVq"
	    "tQ//mM9MuoWTycot1jztAA==",
	    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIw7IJN1LD/LnbhJkUUO7FVYr1h6gcLTtwBsXDKEZ9Dg",
	},
};

static void
ssh_public_keys(void **state)
{
	struct cm_buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(ssh_keys); i++) {
		const size_t len = strlen(ssh_keys[i].cert), pad = len - strcspn(ssh_keys[i].cert, "=");
		struct cm_cert *c = NULL;
		uint8_t der[1024], md[32];
		int size;

		assert_true(len / 4 * 3 <= sizeof(der));
		assert_true((size = EVP_DecodeBlock(der, (const uint8_t *)ssh_keys[i].cert, (int)len)) > 0);
		assert_int_equal(cm_cert_decode((struct cm_blob){ der, (size_t)size - pad }, NULL, &c), CM_OK);
		assert_int_equal(expand("{ssh_public_key}", CM_DIALECT_OWN, false, c, &b), CM_OK);
		assert_string_equal(cm_buf_str(&b), ssh_keys[i].ssh);
		assert_int_equal(expand("{spki!sha256}", CM_DIALECT_OWN, false, c, &b), CM_OK);
		assert_int_equal(EVP_Digest(cm_cert_spki(c).ptr, cm_cert_spki(c).len, md, NULL, EVP_sha256(), NULL), 1);
		for (size_t k = 0; k < sizeof(md); k++)
			assert_memory_equal(cm_buf_str(&b) + 2 * k, ((const char[2]){ "0123456789abcdef"[md[k] >> 4],
			    "0123456789abcdef"[md[k] & 15] }), 2);
		cm_cert_free(&c);
	}
	cm_buf_free(&b);
}

/* Numbers of every length, by OpenSSL. */
static void
serial_numbers(void **state)
{
	static const char *const hex[] = { "01", "7f", "80", "ff", "0100", "3b9aca00", "3b9ac9ff", "de0b6b3a7640000",
		"ffffffffffffffffffffffffffffffffffffffff", "8000000000000000000000000000000000000000", "-01", "-80",
		"-0100", "-de0b6b3a7640000" };
	struct cm_buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(hex); i++) {
		struct cm_cert *c = make_cert(&(struct cert_spec){ .serial = hex[i] });
		BIGNUM *bn = NULL;
		char *dec;

		assert_true(BN_hex2bn(&bn, hex[i]) > 0);
		dec = BN_bn2dec(bn);
		assert_int_equal(expand("{serial_number!dec}", CM_DIALECT_LDAPU1, true, c, &b), CM_OK);
		assert_string_equal(cm_buf_str(&b), dec);
		OPENSSL_free(dec);
		BN_free(bn);
		cm_cert_free(&c);
	}
	cm_buf_free(&b);
}

/* What binds what: the strength of a rule is made of this. */
static void
bindings(void **state)
{
	static const struct { const char *text; unsigned binds; } rows[] = {
		{ "{public_key!sha1}", CM_BINDS_KEY }, { "{spki!sha512}", CM_BINDS_KEY }, { "{ssh_public_key}", CM_BINDS_KEY },
		{ "{cert}", CM_BINDS_CERT }, { "{cert!sha1}", CM_BINDS_CERT }, { "{subject_key_id}", CM_BINDS_SKI },
		{ "{sid}", CM_BINDS_SID }, { "{issuer_dn}{serial_number}", CM_BINDS_ISSUER | CM_BINDS_SERIAL },
		{ "{subject_dn}{common_name}{nt_principal_name}{rfc822_name}{uuid}{fasc_n}", 0 },
		{ "{issuer_dn_component.cn}{subject_uri}{subject_principal}", 0 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_template tp;
		struct cm_syntax why;

		assert_int_equal(cm_template_parse(rows[i].text, CM_DIALECT_OWN, false, &tp, &why), CM_OK);
		assert_int_equal(tp.binds, rows[i].binds);
		cm_template_clear(&tp);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field),
		cmocka_unit_test(no_field_without_a_case),
		cmocka_unit_test(binary_sid),
		cmocka_unit_test(attack_sid_in_a_uri),
		cmocka_unit_test(attack_nul),
		cmocka_unit_test(attack_injection),
		cmocka_unit_test(encodings),
		cmocka_unit_test(as_openssl),
		cmocka_unit_test(ssh_public_keys),
		cmocka_unit_test(serial_numbers),
		cmocka_unit_test(bindings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
