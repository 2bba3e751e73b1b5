/*
 * service/possession.c - proof that a card holds a key, checked by a process that parses nothing.
 *
 * The key comes as numbers, each of the length that its kind has, and is put
 * together with EVP_PKEY_fromdata().  Of a signature only the one form there is
 * reaches OpenSSL: RSA's is as long as the modulus, an ECDSA-Sig-Value is looked
 * at octet by octet first.
 */
#include "service/possession.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#define RSA_MIN_OCTETS	256
#define DOMAIN		"cardmap possession"

static const struct kind {
	const char *type, *group;
	size_t coordinate;	/* octets */
} kinds[] = {
	[CM_KEY_NONE] = { NULL, NULL, 0 },
	[CM_KEY_RSA] = { "RSA", NULL, 0 },
	[CM_KEY_P256] = { "EC", "prime256v1", 32 },
	[CM_KEY_P384] = { "EC", "secp384r1", 48 },
};

/* 2048 to 4096 bits, odd modulus; an exponent that is odd and above 1; a point that is not compressed. */
static bool
has_form(const struct cm_key *k)
{
	if ((unsigned)k->kind >= CM_COUNT(kinds) || k->len > sizeof(k->octets))
		return false;
	if (k->kind == CM_KEY_RSA)
		return k->len >= RSA_MIN_OCTETS && k->octets[0] != 0 &&
		    (k->len > RSA_MIN_OCTETS || (k->octets[0] & 0x80) != 0) &&
		    (k->octets[k->len - 1] & 1) != 0 && k->exponent > 1 && (k->exponent & 1) != 0;
	return kinds[k->kind].coordinate > 0 && k->len == 1 + 2 * kinds[k->kind].coordinate && k->octets[0] == 4 &&
	    k->exponent == 0;
}

static bool
push_rsa(OSSL_PARAM_BLD *b, const struct cm_key *k, BIGNUM *n, BIGNUM *e)
{
	uint8_t exponent[8];

	for (size_t i = 0; i < sizeof(exponent); i++)
		exponent[i] = (uint8_t)(k->exponent >> (56 - 8 * i));
	return BN_bin2bn(k->octets, (int)k->len, n) != NULL && BN_bin2bn(exponent, sizeof(exponent), e) != NULL &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, e) == 1;
}

static bool
push_ec(OSSL_PARAM_BLD *b, const struct cm_key *k)
{
	return OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, kinds[k->kind].group, 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, k->octets, k->len) == 1;
}

/* NULL: it is none (a point beside its curve), or no memory. */
static EVP_PKEY *
make_key(const struct cm_key *k)
{
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	BIGNUM *n = BN_new(), *e = BN_new();
	EVP_PKEY_CTX *ctx = NULL;
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	if (b == NULL || n == NULL || e == NULL || !has_form(k))
		goto out;
	if (!(k->kind == CM_KEY_RSA ? push_rsa(b, k, n, e) : push_ec(b, k)) ||
	    (params = OSSL_PARAM_BLD_to_param(b)) == NULL ||
	    (ctx = EVP_PKEY_CTX_new_from_name(NULL, kinds[k->kind].type, NULL)) == NULL ||
	    EVP_PKEY_fromdata_init(ctx) != 1)
		goto out;
	if (EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
out:
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	BN_free(n);
	BN_free(e);
	return key;
}

bool
cm_key_equal(const struct cm_key *a, const struct cm_key *b)
{
	return a->kind != CM_KEY_NONE && a->kind == b->kind && a->exponent == b->exponent && a->len == b->len &&
	    a->len <= sizeof(a->octets) && memcmp(a->octets, b->octets, a->len) == 0;
}

struct cm_blob
cm_key_pack(const struct cm_key *key, uint8_t packed[CM_KEY_PACKED_MAX])
{
	if (key->kind == CM_KEY_NONE || key->len > sizeof(key->octets))
		return (struct cm_blob){ NULL, 0 };
	packed[0] = (uint8_t)key->kind;
	for (size_t i = 0; i < 8; i++)
		packed[1 + i] = (uint8_t)(key->exponent >> (56 - 8 * i));
	memcpy(packed + 9, key->octets, key->len);
	return (struct cm_blob){ packed, 9 + key->len };
}

bool
cm_key_unpack(struct cm_blob packed, struct cm_key *out)
{
	*out = (struct cm_key){ .kind = CM_KEY_NONE };
	if (packed.len < 10 || packed.len > CM_KEY_PACKED_MAX || packed.ptr[0] == CM_KEY_NONE || packed.ptr[0] > CM_KEY_P384)
		return false;
	out->kind = (enum cm_key_kind)packed.ptr[0];
	for (size_t i = 0; i < 8; i++)
		out->exponent = out->exponent << 8 | packed.ptr[1 + i];
	out->len = packed.len - 9;
	memcpy(out->octets, packed.ptr + 9, out->len);
	return true;
}

void
cm_possession_digest(const uint8_t nonce[32], uint8_t digest[CM_POSSESSION_DIGEST])
{
	uint8_t text[sizeof(DOMAIN) + 32];	/* with the NUL */

	memcpy(text, DOMAIN, sizeof(DOMAIN));
	memcpy(text + sizeof(DOMAIN), nonce, 32);
	if (EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha256(), NULL) != 1)
		memset(digest, 0, CM_POSSESSION_DIGEST);	/* no memory: a signature over this is none of ours */
}

/*
 * One INTEGER of DER (X.690 8.3, 10.1) at *at, which moves behind it: positive,
 * no longer than a coordinate, no octet too many.
 */
static bool
skip_integer(struct cm_blob v, size_t *at, size_t coordinate)
{
	const uint8_t *p = v.ptr + *at;
	const size_t left = v.len - *at;
	size_t len;

	if (left < 3 || p[0] != 2 || p[1] == 0 || p[1] > coordinate + 1 || p[1] > left - 2)
		return false;
	len = p[1];
	if ((p[2] & 0x80) != 0 || (p[2] == 0 && (len == 1 || (p[3] & 0x80) == 0)) || (p[2] != 0 && len > coordinate))
		return false;
	*at += 2 + len;
	return true;
}

/* RFC 3279 2.2.3, Ecdsa-Sig-Value; of these curves it is shorter than 128 octets. */
static bool
is_ecdsa_value(struct cm_blob v, size_t coordinate)
{
	size_t at = 2;

	return v.len >= 2 && v.ptr[0] == 0x30 && v.ptr[1] < 0x80 && v.ptr[1] == v.len - 2 &&
	    skip_integer(v, &at, coordinate) && skip_integer(v, &at, coordinate) && at == v.len;
}

static bool
verifies(EVP_PKEY *key, const struct cm_key *k, const uint8_t digest[CM_POSSESSION_DIGEST], struct cm_blob signature)
{
	EVP_PKEY_CTX *ctx = NULL;
	bool ok;

	if (!(k->kind == CM_KEY_RSA ? signature.len == k->len : is_ecdsa_value(signature, kinds[k->kind].coordinate)))
		return false;
	/* RFC 8017 8.2.2: the padding is OpenSSL's default, PKCS #1 v1.5 */
	ok = (ctx = EVP_PKEY_CTX_new(key, NULL)) != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
	    EVP_PKEY_verify(ctx, signature.ptr, signature.len, digest, CM_POSSESSION_DIGEST) == 1;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

enum cm_err
cm_possession_check(const struct cm_key *key, const uint8_t nonce[32], struct cm_blob signature, struct cm_trace *t)
{
	uint8_t digest[CM_POSSESSION_DIGEST];
	EVP_PKEY *pkey = make_key(key);
	enum cm_err err = CM_OK;

	if (pkey == NULL) {
		cm_trace_fail(t, CM_REASON_CARD_KEY, "the card's key is neither RSA of 2048 to 4096 bits, nor a point of "
		    "P-256 or P-384");
		return CM_ERR_SYNTAX;
	}
	cm_possession_digest(nonce, digest);
	if (!verifies(pkey, key, digest, signature))
		err = cm_trace_fail(t, CM_REASON_CARD_KEY, "what the card signed does not verify with its certificate's key");
	EVP_PKEY_free(pkey);
	return err;
}

enum cm_err
cm_key_hashes(const struct cm_key *key, uint8_t sha1[20], uint8_t spki_sha256[32])
{
	EVP_PKEY *pkey = make_key(key);
	uint8_t *spki = NULL, *bits = NULL;
	int spki_len, bits_len;
	bool ok;

	if (pkey == NULL)
		return CM_ERR_SYNTAX;
	/* RFC 5280 4.1: AlgorithmIdentifier and BIT STRING; what it holds is RSAPublicKey, or the point. */
	spki_len = i2d_PUBKEY(pkey, &spki);
	bits_len = i2d_PublicKey(pkey, &bits);
	ok = spki_len > 0 && bits_len > 0 &&
	    EVP_Digest(spki, (size_t)spki_len, spki_sha256, NULL, EVP_sha256(), NULL) == 1 &&
	    EVP_Digest(bits, (size_t)bits_len, sha1, NULL, EVP_sha1(), NULL) == 1;
	OPENSSL_free(spki);
	OPENSSL_free(bits);
	EVP_PKEY_free(pkey);
	return ok ? CM_OK : CM_ERR_NOMEM;
}
