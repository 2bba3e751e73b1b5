/* mapper/conversions.c - octets of a certificate as text: {field!conversion} of sss-certmap(5). */
#include "mapper/fields_internal.h"

#include <arpa/inet.h>
#include <openssl/err.h>

#include "mapper/dn_internal.h"

static enum cm_err
write_hex(struct cm_blob v, const struct cm_field_ref *ref, struct cm_buf *out)
{
	const char *digits = (ref->flags & CM_HEX_UPPER) != 0 ? "0123456789ABCDEF" : "0123456789abcdef";
	const bool reversed = (ref->flags & CM_HEX_REVERSED) != 0;
	const bool colons = (ref->flags & CM_HEX_COLONS) != 0;
	uint8_t *to = cm_buf_extend(out, 2 * v.len + (colons && v.len > 0 ? v.len - 1 : 0));

	for (size_t i = 0; to != NULL && i < v.len; i++) {
		const uint8_t octet = v.ptr[reversed ? v.len - 1 - i : i];

		if (colons && i > 0)
			*to++ = ':';
		*to++ = (uint8_t)digits[octet >> 4];
		*to++ = (uint8_t)digits[octet & 15];
	}
	return cm_buf_status(out);
}

static enum cm_err
write_octets(struct cm_blob v, const struct cm_field_ref *ref, struct cm_buf *out)
{
	(void)ref;
	cm_buf_add_blob(out, v);
	return CM_OK;
}

static enum cm_err
write_base64(struct cm_blob v, const struct cm_field_ref *ref, struct cm_buf *out)
{
	(void)ref;
	cm_buf_add_base64(out, v);
	return cm_buf_status(out);
}

static enum cm_err
write_digest(struct cm_blob v, const struct cm_field_ref *ref, struct cm_buf *out)
{
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (ref->md == NULL || EVP_Digest(v.ptr, v.len, md, &len, ref->md, NULL) != 1) {
		ERR_clear_error();	/* switched off in this OpenSSL: FIPS, or a policy */
		return CM_ERR_SYNTAX;
	}
	return write_hex((struct cm_blob){ md, len }, ref, out);
}

/* Most octets of a number written in decimal: the work grows with their square. */
#define DECIMAL_MAX	512

/* The magnitude of a two's complement number: what the sign makes of v, in out of v.len octets. */
static void
magnitude(struct cm_blob v, bool negative, uint8_t *out)
{
	unsigned carry = 1;

	for (size_t i = v.len; i-- > 0;) {
		const unsigned octet = negative ? (uint8_t)~v.ptr[i] + carry : v.ptr[i];

		out[i] = (uint8_t)octet;
		carry = octet >> 8;
	}
}

/* Divide the number by 10^9: the remainder. */
static uint32_t
divide(uint8_t *number, size_t len)
{
	uint64_t rest = 0;

	for (size_t i = 0; i < len; i++) {
		rest = rest << 8 | number[i];
		number[i] = (uint8_t)(rest / 1000000000);
		rest %= 1000000000;
	}
	return (uint32_t)rest;
}

/* v is the content of an INTEGER: two's complement (X.690 8.3.3) */
static enum cm_err
write_decimal(struct cm_blob v, const struct cm_field_ref *ref, struct cm_buf *out)
{
	const bool negative = v.len > 0 && v.ptr[0] >= 0x80;
	uint32_t groups[DECIMAL_MAX * 8 / 29 + 1];	/* each takes more than 29 bits */
	uint8_t number[DECIMAL_MAX];
	size_t count = 0, start = 0;

	(void)ref;
	if (v.len > sizeof(number))
		return CM_ERR_SYNTAX;
	magnitude(v, negative, number);
	do {
		groups[count++] = divide(number + start, v.len - start);
		while (start < v.len && number[start] == 0)
			start++;
	} while (start < v.len);
	cm_buf_addf(out, "%s%u", negative ? "-" : "", groups[--count]);
	while (count > 0)
		cm_buf_addf(out, "%09u", groups[--count]);
	return CM_OK;
}

#define DIGEST(name, get) \
	{ name, CM_IN_LDAPU1, CM_CONVERSION_ANY_CASE | CM_CONVERSION_HEX, 0, get, write_digest }
/* By the names that libsss_certmap takes: OpenSSL 3.0's list of those that begin in lower case. */
#define DIGESTS \
	DIGEST("sha1", EVP_sha1), DIGEST("sha224", EVP_sha224), DIGEST("sha256", EVP_sha256), \
	DIGEST("sha384", EVP_sha384), DIGEST("sha512", EVP_sha512), \
	DIGEST("sha512-224", EVP_sha512_224), DIGEST("sha512-256", EVP_sha512_256), \
	DIGEST("sha3-224", EVP_sha3_224), DIGEST("sha3-256", EVP_sha3_256), \
	DIGEST("sha3-384", EVP_sha3_384), DIGEST("sha3-512", EVP_sha3_512), \
	DIGEST("shake128", EVP_shake128), DIGEST("shake256", EVP_shake256), \
	DIGEST("blake2s256", EVP_blake2s256), DIGEST("blake2b512", EVP_blake2b512), \
	DIGEST("sm3", EVP_sm3), DIGEST("md5", EVP_md5), DIGEST("md5-sha1", EVP_md5_sha1), \
	DIGEST("ripemd", EVP_ripemd160), DIGEST("ripemd160", EVP_ripemd160), \
	DIGEST("rmd160", EVP_ripemd160), DIGEST("ssl3-md5", EVP_md5), DIGEST("ssl3-sha1", EVP_sha1)
#define HEX \
	{ "hex", CM_IN_LDAPU1, CM_CONVERSION_ANY_CASE | CM_CONVERSION_HEX, 0, NULL, write_hex }
#define BIN(dialects) \
	{ "bin", dialects, CM_CONVERSION_OCTETS | CM_CONVERSION_EVERY, 0, NULL, write_octets }
#define BASE64	{ "base64", CM_IN_ALL, 0, 0, NULL, write_base64 }
#define DEC	{ "dec", CM_IN_LDAPU1, CM_CONVERSION_ANY_CASE, 0, NULL, write_decimal }
#define NAME(name, style, dialects)	{ name, dialects, 0, style, NULL, NULL }
#define END	{ .name = NULL }

const struct cm_conversion cm_conversions_cert[] = { BIN(CM_IN_ALL), BASE64, DIGESTS, END };
const struct cm_conversion cm_conversions_digest[] = { DIGESTS, END };
const struct cm_conversion cm_conversions_hex[] = { HEX, BIN(CM_IN_OWN), END };
const struct cm_conversion cm_conversions_serial[] = { HEX, DEC, END };
const struct cm_conversion cm_conversions_dn[] = {
	NAME("nss_ldap", CM_DN_NSS_LDAP, CM_IN_ALL), NAME("nss", CM_DN_NSS_LDAP, CM_IN_ALL),
	NAME("nss_x500", CM_DN_NSS_X500, CM_IN_ALL), NAME("ad_x500", CM_DN_AD_X500, CM_IN_ALL),
	NAME("ad", CM_DN_AD_X500, CM_IN_ALL), NAME("ad_ldap", CM_DN_AD_LDAP, CM_IN_ALL),
	NAME("pkca", CM_DN_PKCA, CM_IN_OWN), NAME("oneline", CM_DN_ONELINE, CM_IN_OWN), END,
};
const struct cm_conversion cm_conversions_octets[] = {
	{ CM_CONVERSION_UNNAMED, CM_IN_ALL, CM_CONVERSION_OCTETS | CM_CONVERSION_EVERY, 0, NULL, write_octets },
	END,
};

/* libsss_certmap writes an address as the octets they are; ours is RFC 2307's ipHostNumber. */
static enum cm_err
write_address(struct cm_blob v, const struct cm_field_ref *ref, struct cm_buf *out)
{
	char text[INET6_ADDRSTRLEN];

	(void)ref;
	if (inet_ntop(v.len == 4 ? AF_INET : AF_INET6, v.ptr, text, sizeof(text)) == NULL)
		return CM_ERR_SYNTAX;
	cm_buf_add_str(out, text);
	return CM_OK;
}

const struct cm_conversion cm_conversions_ip[] = {
	{ "text", CM_IN_OWN, 0, 0, NULL, write_address },
	{ CM_CONVERSION_UNNAMED, CM_IN_ALL & ~CM_IN_OWN, CM_CONVERSION_OCTETS, 0, NULL, write_octets },
	BIN(CM_IN_OWN), END,
};

enum cm_err
cm_field_convert(struct cm_blob v, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return v.len == 0 ? CM_ERR_ABSENT : ref->conversion->write(v, ref, out);
}

enum cm_err
cm_field_text(struct cm_blob v, char delim, const struct cm_field_ref *ref, struct cm_buf *out)
{
	const uint8_t *at = v.len > 0 ? memchr(v.ptr, delim, v.len) : NULL;

	if (v.len > 0 && memchr(v.ptr, '\0', v.len) != NULL)
		return CM_ERR_SYNTAX;
	if (ref->part != NULL && strcmp(ref->part, "realm") == 0)
		v = at == NULL ? (struct cm_blob){ NULL, 0 } :
		    (struct cm_blob){ at + 1, (size_t)(v.ptr + v.len - at - 1) };
	else if (ref->part != NULL && at != NULL)
		v.len = (size_t)(at - v.ptr);
	cm_buf_add_blob(out, v);
	return v.len > 0 ? CM_OK : CM_ERR_ABSENT;
}
