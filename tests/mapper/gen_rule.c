/* tests/mapper/gen_rule.c - rules of sss-certmap(5) at random, and broken ones. */
#include "gen_rule.h"

#define PICK(g, array)	((array)[gen_number((g), CM_COUNT(array))])
/* Seldom one of the last n, which are odd or wrong. */
#define PICK_BUT(g, array, n) \
	((array)[gen_number((g), CM_COUNT(array) - (gen_once_in((g), 8) ? 0 : (n)))])

/* With "%" something of the kind is put there. */
static const char *const fields[] = {
	"issuer_dn!N", "issuer_dn!N", "issuer_dn!N", "subject_dn!N", "subject_dn!N", "subject_dn!N", "subject_dn!N",
	"issuer_dn_component", "issuer_dn_component.P", "subject_dn_component.P", "subject_dn_component.P",
	"serial_number!H", "serial_number!dec", "cert!D", "cert!D", "subject_principal", "subject_directory_name",
	"subject_rfc822_name", "subject_dns_name", "subject_nt_principal.short_name", "subject_uri", "subject_key_id!H",
	"issuer_dn!N", "issuer_dn!N", "subject_dn!N", "subject_dn!N", "issuer_dn", "subject_dn",
	"cert", "cert!bin", "cert!base64", "cert!D", "cert!D",
	"subject_rfc822_name", "subject_rfc822_name.short_name", "subject_dns_name",
	"subject_dns_name.short_name", "subject_x400_address", "subject_directory_name",
	"subject_directory_name", "subject_ediparty_name", "subject_uri", "subject_ip_address",
	"subject_registered_id", "subject_pkinit_principal", "subject_pkinit_principal.short_name",
	"subject_nt_principal", "subject_nt_principal.short_name", "subject_principal",
	"subject_principal.short_name",
	"serial_number", "serial_number!H", "serial_number!H", "serial_number!dec", "serial_number!DEC",
	"subject_key_id", "subject_key_id!H",
	"issuer_dn_component", "issuer_dn_component.C", "issuer_dn_component.C", "subject_dn_component",
	"subject_dn_component.C", "subject_dn_component.C", "subject_dn_component.C",
	"sid", "sid.rid",
};
static const char *const names[] = { "ad_x500", "ad", "ad_ldap", "nss_x500", "nss", "nss_ldap" };
static const char *const hexes[] = { "hex", "hex_u", "hex_c", "hex_r", "hex_uc", "HEX_RUC", "hex_", "Hex_crcru" };
static const char *const digests[] = { "sha1", "sha256", "SHA256_u", "sha512_cr", "md5", "sha512-256",
	"sha3-256_UC", "blake2b512", "ripemd160", "rmd160_r", "ssl3-md5", "sm3", "shake128", "md5-sha1", "sha224",
	"sha384_", "ripemd", "ssl3-sha1", "shake256", "blake2s256", "sha3-224", "sha3-384", "sha3-512",
	"sha512-224" };
static const char *const components[] = { "cn", "CN", "o", "ou", "OU", "c", "dc", "uid", "e", "mail", "st",
	"serialNumber", "givenName", "title", "street", "undef", "undef", "undef", "nothing", "[1]", "[2]", "[3]", "[-1]", "[-2]",
	"[9]", "[-9]", "cn[1]", "ou[2]", "OU[-2]", "cn[-1]", "[+1]", "[ 2]", "x[1]", "[2147483647]", "pseudonym" };

static const char *const places[] = { "[1]", "[2]", "[3]", "[-1]", "[-2]" };

/* What no rule may say. */
static const char *const broken[] = {
	"{}", "{", "}", "{cert", "cert}", "{cert}}", "{{cert}", "{cert!}", "{cert.}", "{cert!bin!bin}",
	"{subject_dn_component.cn.ou}", "{.cn}", "{!bin}", "{cert.x}", "{cert!hex}", "{serial_number!dec_u}",
	"{serial_number!hex_x}", "{subject_key_id!dec}", "{subject_dn!AD}", "{unknown}", "{Cert}", "{ cert}",
	"{subject_rfc822_name.Short_Name}", "{subject_uri.short_name}", "{sid.x}", "{sid!hex}",
	"{subject_dn_component.[0]}", "{subject_dn_component.[}", "{subject_dn_component.[]}",
	"{subject_dn_component.[1]]}", "{subject_dn_component.[x]}", "{subject_dn_component.[1]x}",
	"{subject_dn_component.[1 ]}", "{subject_dn_component.[4294967297]}", "{subject_dn_component[1]}",
	"{issuer_dn_component.!x}", "{cert!sha257}", "{cert!sha256_x}", "{cert!SHA1-}", "{a{b}}", "no field",
	"{subject_dn_component.cn]}", "{common_name}", "{issuer_dn!pkca}", "{issuer_dn!oneline}", "{sid!bin}",
	"{public_key!sha1}", "{serial_number.}", "{serial_number.!hex}", "{cert!_u}", "{serial_number!hexu}",
};

static const char *const literals[] = { "(x=", "", "(altSecurityIdentities=X509:<I>", "<SR>", "{{", "x}}",
	"(&(a=b)(c=", "*", "a:b", "\\2a", "\xc3\xbc", "{{}}", "(cn:dn:=", "(userCertificate;binary=" };

void
gen_field(struct gen *g, struct cm_buf *out)
{
	const char *f = PICK(g, fields);
	const size_t len = strlen(f);

	cm_buf_addf(out, "{%.*s", (int)(len > 1 ? len - 1 : len), f);
	switch (f[len - 1]) {
	case 'N': cm_buf_add_str(out, PICK(g, names)); break;
	case 'H': cm_buf_add_str(out, PICK(g, hexes)); break;
	case 'D': cm_buf_add_str(out, PICK(g, digests)); break;
	default: cm_buf_add_byte(out, (uint8_t)f[len - 1]); break;
	case 'P': cm_buf_add_str(out, PICK(g, places)); break;
	case 'C':
		if (len > 3 && f[len - 2] == '.') {
			cm_buf_add_str(out, PICK(g, components));
		} else {
			cm_buf_add_byte(out, 'C');	/* of "DEC" */
		}
	}
	cm_buf_add_byte(out, '}');
}

void
gen_map(struct gen *g, struct cm_buf *out)
{
	static const char *const prefixes[] = { "LDAPU1:", "LDAPU1:", "LDAPU1:", "LDAPU1:", "LDAPU1:", "LDAPU1:",
		"LDAPU1:", "LDAPU1:", "LDAPU1:", "LDAPU1:", "LDAPU1:", "LDAPU1:", "LDAPU1:", "LDAPU1:", "LDAPU1:",
		"LDAP:", "LDAP:", "", "", ":", "LDAPU2:", "KRB5:", "ldap:" };
	const uint32_t count = gen_once_in(g, 5) ? 2 + gen_number(g, 2) : 1;

	cm_buf_truncate(out, 0);
	cm_buf_add_str(out, PICK_BUT(g, prefixes, 3));
	for (uint32_t i = 0; i < count; i++) {
		cm_buf_add_str(out, PICK(g, literals));
		if (gen_once_in(g, 12))
			cm_buf_add_str(out, PICK(g, broken));
		else
			gen_field(g, out);
	}
	cm_buf_add_str(out, PICK(g, literals));
	if (gen_once_in(g, 2))
		cm_buf_add_str(out, ")");
}

/* For the differences that are too seldom otherwise. */
const char *const gen_special[][2] = {
	{ "<KU>,", "LDAP:(x={cert!base64})" }, { "<KU> ", "LDAP:(x={cert!base64})" },
	{ "<KU>0x80", "LDAP:(x={cert!base64})" }, { "<KU>128", "LDAP:(x={cert!base64})" },
	{ "<EKU>,", "LDAP:(x={cert!base64})" }, { NULL, "LDAP:cert}" }, { NULL, "LDAP:no field" },
	{ NULL, "LDAPU1:{subject_dn_component.undef}" }, { NULL, "LDAPU1:{sid.rid}" },
	{ "||<SAN:registeredID>.<SAN:otherName>Kg==x", "LDAP:(x={subject_registered_id})" },
	{ NULL, "LDAP:(x={subject_ip_address})" }, { NULL, "LDAP:(x={subject_nt_principal})" },
	{ NULL, "LDAP:(x={subject_rfc822_name})" }, { NULL, "LDAP:(x={subject_directory_name})" },
	{ "||<SAN:Principal>^.*$<SAN:rfc822Name>.*", "LDAP:(x={subject_dn!ad_x500})" },
	{ NULL, "LDAP:(x={subject_uri})" },
};
const size_t gen_special_count = CM_COUNT(gen_special);

/* A relation, then components: "V" is put where one's value stands, of its kind. */
static const char *const kinds[] = {
	"<ISSUER>R", "<ISSUER>R", "<SUBJECT>R", "<SUBJECT>R", "<KU>K", "<KU>K", "<EKU>E", "<EKU>E", "<SAN>R",
	"<SAN:rfc822Name>R", "<SAN:dNSName>R", "<SAN:directoryName>R", "<SAN:uniformResourceIdentifier>R",
	"<SAN:iPAddress>R", "<SAN:registeredID>R", "<SAN:pkinitSAN>R", "<SAN:ntPrincipalName>R",
	"<SAN:Principal>R", "<SAN:otherName>B", "<SAN:x400Address>B", "<SAN:ediPartyName>B",
	"<SAN:stringOtherName>R", "<SAN:1.3.6.1.4.1.311.20.2.3>R", "<SAN:1.2.3.4.5>R", "<SAN:RFC822NAME>R",
	"<SAN:rfc>R", "<SAN:>R",
};
static const char *const regexes[] = { ".*", ".*", ".*", ".", ".", "[^x]", "e|a|o", "^CN=", "CN=", "alice", "EXAMPLE", "@EXAMPLE[.]COM$", "^$", "o",
	"^.*@.*$", "[[:alpha:]]+@", "(a|b)", "x{2}", "a,b", "[^a]", "UNDEF", "\\\\", "\\.", "DC=com$", "=Alice,",
	"5cC3|C3", "[0-9]+", "^1\\.2\\.", "^[A-Z]", "\n", "^CN=.*,O=.*$", "O=EXAMPLE|O=Alice", "a*", "CN=Alice",
	"^https?:", "x\xc3\xbc", "lice@" };
static const char *const broken_regexes[] = { "(", "[a", "a{2,1}", "*", "a**", "[[:nothing:]]", ")", "+", "a|", "" };
static const char *const usages[] = { "digitalSignature", "digitalSignature", "digitalSignature", "nonRepudiation",
	"keyEncipherment", "digitalSignature,nonRepudiation", " digitalSignature , keyAgreement", "DIGITALSIGNATURE",
	"cRLSign", "decipherOnly", "encipherOnly", "dataEncipherment", "keyCertSign", "digitalSignatur", "0x80", "128",
	"digitalSignature,", ",", " ", "" };
static const char *const purposes[] = { "clientAuth", "clientAuth", "clientAuth", "msScLogin", "pkinit",
	"clientAuth,msScLogin", "1.3.6.1.5.5.7.3.2", "1.2.3.4.5.6.7", "clientAuth, 2.5.29.37.0", "CLIENTAUTH",
	"KPClientAuth", "serverAuth", "emailProtection", "codeSigning,timeStamping", "OCSPSigning", "nothing", ".1.2",
	"1.2.", "1", "1.2.3a", "", "," };
static const char *const base64s[] = { "Kg==", "DAhhbnl0aGluZw==", "1Oc52nOc7TnOcw==", "DA==",
	"YW55dGhpbmc=", "AAAA", "!", "", "A", "Kg==x" };

static void
add_component(struct gen *g, struct cm_buf *out)
{
	const char *k = PICK(g, kinds);
	const size_t len = strlen(k) - 1;

	cm_buf_add(out, k, len);
	switch (k[len]) {
	case 'K': cm_buf_add_str(out, PICK_BUT(g, usages, 7)); break;
	case 'E': cm_buf_add_str(out, PICK_BUT(g, purposes, 7)); break;
	case 'B': cm_buf_add_str(out, PICK_BUT(g, base64s, 5)); break;
	default:
		cm_buf_add_str(out, gen_once_in(g, 25) ? PICK(g, broken_regexes) : PICK(g, regexes));
	}
}

void
gen_match(struct gen *g, struct cm_buf *out)
{
	static const char *const relations[] = { "", "", "&&", "||", "||", "||", "||", "||", "KRB5:", "KRB5:||", ":", "LDAP:", "&", "|| " };
	static const char *const ends[] = { "<", "<X>y", "x", "<SAN:nothing>x", "<SAN:1.2>", "<san>x", "<KU >x" };

	cm_buf_truncate(out, 0);
	cm_buf_add_str(out, PICK_BUT(g, relations, 4));
	do
		add_component(g, out);
	while (gen_once_in(g, 3));
	if (gen_once_in(g, 60))
		cm_buf_add_str(out, PICK(g, ends));
}
