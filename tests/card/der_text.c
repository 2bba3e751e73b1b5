/* tests/card/der_text.c - certificates written as text, right or wrong in any place. */
#include "tests/card/der_text.h"

#include <ctype.h>

struct maker {
	const char *p;
	size_t wrong, count;
	enum der_form form;
};

static void
add_length(struct cm_buf *out, size_t len)
{
	if (len > 0xFF)
		cm_buf_add(out, (uint8_t[]){ 0x82, (uint8_t)(len >> 8), (uint8_t)len }, 3);
	else if (len > 0x7F)
		cm_buf_add(out, (uint8_t[]){ 0x81, (uint8_t)len }, 2);
	else
		cm_buf_add_byte(out, (uint8_t)len);
}

static void
add_long_length(struct cm_buf *out, size_t len)
{
	if (len > 0xFF)
		cm_buf_add(out, (uint8_t[]){ 0x83, 0, (uint8_t)(len >> 8), (uint8_t)len }, 4);
	else if (len > 0x7F)
		cm_buf_add(out, (uint8_t[]){ 0x82, 0, (uint8_t)len }, 3);
	else
		cm_buf_add(out, (uint8_t[]){ 0x81, (uint8_t)len }, 2);
}

static void
add_element(struct cm_buf *out, struct cm_blob content, enum der_form form)
{
	if (form == DER_LONG)
		add_long_length(out, content.len);
	else if (form == DER_INDEFINITE)
		cm_buf_add_byte(out, 0x80);
	else if (form == DER_HUGE)
		cm_buf_add(out, "\x84\x7F\xFF\xFF\xFF", 5);
	else if (form == DER_OVER)
		add_length(out, content.len + 1);
	else if (form == DER_SHORT)
		add_length(out, content.len > 0 ? content.len - 1 : 1);
	else
		add_length(out, content.len);
	cm_buf_add_blob(out, content);
	if (form == DER_INDEFINITE)
		cm_buf_add(out, "\0\0", 2);
}

static void make_content(struct maker *m, struct cm_buf *out);

static void
make_element(struct maker *m, struct cm_buf *out)
{
	const enum der_form form = m->count++ == m->wrong ? m->form : DER_RIGHT;
	struct cm_buf inner = { .ptr = NULL };

	m->p++;
	make_content(m, &inner);
	m->p++;
	add_element(out, cm_buf_blob(&inner), form);
	cm_buf_free(&inner);
}

static unsigned
digit(char ch)
{
	return (unsigned)(isdigit((unsigned char)ch) ? ch - '0' : toupper((unsigned char)ch) - 'A' + 10);
}

static void
make_content(struct maker *m, struct cm_buf *out)
{
	while (*m->p != '\0' && *m->p != '}') {
		if (*m->p == '{') {
			make_element(m, out);
		} else if (*m->p == '\'') {
			for (m->p++; *m->p != '\''; m->p++)
				cm_buf_add(out, m->p, 1);
			m->p++;
		} else if (isxdigit((unsigned char)*m->p)) {
			cm_buf_add_byte(out, (uint8_t)(digit(m->p[0]) << 4 | digit(m->p[1])));
			m->p += 2;
		} else {
			m->p++;
		}
	}
}

bool
der_text(const char *text, size_t wrong, enum der_form form, struct cm_buf *out)
{
	struct maker m = { .p = text, .wrong = wrong, .form = form };

	make_content(&m, out);
	return form == DER_RIGHT || m.count > wrong;
}

#define ECDSA_SHA256	"30{06{2A8648CE3D040302}}"
/* The generator of P-256 (FIPS 186-4 D.1.2.3) is a public key like any other. */
#define P256_KEY \
	"30{30{06{2A8648CE3D0201} 06{2A8648CE3D030107}} 03{00 04" \
	"6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296" \
	"4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5}}"

static const char *
either(const char *given, const char *usual)
{
	return given != NULL ? given : usual;
}

void
cert_text(const struct cert_text *c, struct cm_buf *text)
{
	const char *algorithm = either(c->algorithm, ECDSA_SHA256);

	cm_buf_addf(text, "30{30{%s %s %s %s %s %s %s %s} %s %s} %s",
	    either(c->version, "A0{020102}"), either(c->serial, "020101"), algorithm,
	    either(c->issuer, NAME(RDN(OID_CN, UTF8("CA")))),
	    either(c->validity, "30{17{'260101000000Z'} 17{'360101000000Z'}}"),
	    either(c->subject, NAME(RDN(OID_CN, UTF8("Alice")))),
	    either(c->spki, P256_KEY), either(c->extensions, ""),
	    either(c->outer_algorithm, algorithm),
	    either(c->signature, "03{00 3006020101020101}"), either(c->tail, ""));
}

const struct cert_text ad_sample = {
	.serial = "02{10E8BD03000000000032}",
	.issuer = NAME(RDN(OID_DC, "16{'local'}") RDN(OID_DC, "16{'dod'}")
	    RDN(OID_CN, UTF8("SpatDoD Root CA"))),
	.subject = NAME(RDN(OID_DC, "16{'local'}") RDN(OID_DC, "16{'dod'}")
	    RDN(OID_CN, UTF8("Users")) RDN(OID_CN, UTF8("Alice Example"))),
	.extensions = EXTENSIONS(
	    EXT("2B0601040182371402", "1E080055007300650072")
	    EXT("551D25", "30{06{2B06010505070302} 06{2B060104018237140202}}")
	    CRITICAL("551D0F", "030205A0")
	    EXT("551D0E", "04{0102030405060708}")
	    EXT("551D23", "30{80{A1A2A3A4}}")
	    EXT("551D1F", "30{30{A0{A0{A4{30{" RDN(OID_CN, UTF8("CDP")) "}} 86{'ldap:///CN=CA?certificateRevocationList?base'}"
	    " 86{'http://crl.test/ca.crl'}}}} 30{A0{A0{86{'http://crl2.test/ca.crl'}}} 81020640}}")
	    EXT("2B06010505070101", "30{30{06{2B06010505073002} 86{'http://aia.test/ca.cer'}}"
	    " 30{06{2B06010505073001} A4{30{" RDN(OID_CN, UTF8("OCSP")) "}}}"
	    " 30{06{2B06010505073001} 86{'http://ocsp.test/'}} 30{06{2A0304} 86{'http://other.test/'}}}")
	    SAN("A0{06{2B060104018237140203} A0{0C{'alice@dod.local'}}} 81{'alice@dod.test'}"
	    " A0{06{6086480165030606} A0{04{D4E739DA739CED39CE739DA1685A1082108CE73984108CA3FC}}}"
	    " 82{'ws1.dod.test'} 86{'URN:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6'} 87{7F000001}"
	    " A4{30{31{30{0603550403 0C{'Other'}}}}} 88{2A0304} 81{'second@dod.test'}")
	    SID_EXT("S-1-5-21-1004336348-1177238915-682003330-1105")),
};
