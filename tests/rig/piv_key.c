/* tests/rig/piv_key.c - what a PIV card does with one private key. */
#include "piv_key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <string.h>

static const struct kind {
	uint8_t algorithm;
	int bits;
	const char *group;	/* NULL for RSA */
} kinds[] = {
	{ 0x07, 2048, NULL },
	{ 0x05, 3072, NULL },
	{ 0x16, 4096, NULL },
	{ 0x11, 256, "prime256v1" },
	{ 0x14, 384, "secp384r1" },
};

static const struct kind *
kind_of(EVP_PKEY *key)
{
	char group[64] = "";

	if (!piv_key_is_rsa(key) &&
	    !EVP_PKEY_get_group_name(key, group, sizeof(group), NULL))
		return NULL;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct kind *k = &kinds[i];

		if (EVP_PKEY_get_bits(key) == k->bits &&
		    strcmp(group, k->group != NULL ? k->group : "") == 0)
			return k;
	}
	return NULL;
}

bool
piv_key_is_rsa(EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "RSA") == 1;
}

uint8_t
piv_key_algorithm(EVP_PKEY *key)
{
	const struct kind *k = kind_of(key);

	return k != NULL ? k->algorithm : 0;
}

/* Padding is the host's work: NIST SP 800-73-4 Part 2, 3.2.4 and appendix A.1. */
static bool
rsa_private(EVP_PKEY_CTX *ctx, const uint8_t *in, size_t len, uint8_t *result, size_t *result_len)
{
	return EVP_PKEY_decrypt_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1 &&
	    EVP_PKEY_decrypt(ctx, result, result_len, in, len) == 1;
}

static bool
ecdsa(EVP_PKEY_CTX *ctx, const uint8_t *in, size_t len, uint8_t *result, size_t *result_len)
{
	return EVP_PKEY_sign_init(ctx) == 1 &&
	    EVP_PKEY_sign(ctx, result, result_len, in, len) == 1;
}

bool
piv_key_sign(EVP_PKEY *key, const uint8_t *in, size_t len, struct vbuf *out)
{
	const bool rsa = piv_key_is_rsa(key);
	const size_t octets = (size_t)(EVP_PKEY_get_bits(key) + 7) / 8;
	EVP_PKEY_CTX *ctx = NULL;
	uint8_t result[1024];
	size_t result_len = sizeof(result);
	bool ok = false;

	/* RSA takes exactly the modulus's size; a hash is never longer than the curve's field. */
	if (len == 0 || len > octets || (rsa && len != octets))
		goto out;
	if ((ctx = EVP_PKEY_CTX_new(key, NULL)) == NULL)
		goto out;
	if (!(rsa ? rsa_private : ecdsa)(ctx, in, len, result, &result_len))
		goto out;
	vbuf_put(out, result, result_len);
	ok = true;
out:
	EVP_PKEY_CTX_free(ctx);
	OPENSSL_cleanse(result, sizeof(result));
	return ok;
}

static EVP_PKEY *
peer_of(const struct kind *k, const uint8_t *point, size_t len)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)k->group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point, len),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *peer = NULL;

	if (ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1)
		(void)EVP_PKEY_fromdata(ctx, &peer, EVP_PKEY_PUBLIC_KEY, params);
	EVP_PKEY_CTX_free(ctx);
	return peer;
}

bool
piv_key_agree(EVP_PKEY *key, const uint8_t *point, size_t len, struct vbuf *out)
{
	const struct kind *k = kind_of(key);
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *peer = NULL;
	uint8_t secret[66];
	size_t secret_len = sizeof(secret);
	bool ok = false;

	if (k == NULL || k->group == NULL || len == 0 || point[0] != 0x04)
		goto out;
	if ((peer = peer_of(k, point, len)) == NULL)
		goto out;
	if ((ctx = EVP_PKEY_CTX_new(key, NULL)) == NULL || EVP_PKEY_derive_init(ctx) != 1 ||
	    EVP_PKEY_derive_set_peer(ctx, peer) != 1 ||
	    EVP_PKEY_derive(ctx, secret, &secret_len) != 1)
		goto out;
	vbuf_put(out, secret, secret_len);
	ok = true;
out:
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	OPENSSL_cleanse(secret, sizeof(secret));
	return ok;
}

EVP_PKEY *
piv_key_like(EVP_PKEY *key)
{
	const struct kind *k = kind_of(key);

	if (k == NULL)
		return NULL;
	return k->group != NULL ? EVP_EC_gen(k->group) : EVP_RSA_gen((unsigned int)k->bits);
}
