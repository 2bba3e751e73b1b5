/* service/key_take.c - a certificate's key, taken apart: by who parses, for who checks signatures and parses nothing. */
#include <openssl/core_names.h>

#include "card/cert.h"
#include "service/possession.h"

/* Big end first, filled up with zeros in front to len; false: no such number, or it is longer. */
static bool
take_number(EVP_PKEY *key, const char *name, uint8_t *out, size_t len)
{
	BIGNUM *n = NULL;
	const bool ok = EVP_PKEY_get_bn_param(key, name, &n) == 1 && BN_bn2binpad(n, out, (int)len) == (int)len;

	BN_free(n);
	return ok;
}

static bool
take_rsa(EVP_PKEY *key, struct cm_key *out)
{
	const int bits = EVP_PKEY_get_bits(key);
	uint8_t e[8];

	if (bits < 1 || bits > CM_KEY_OCTETS_MAX * 8)
		return false;
	out->kind = CM_KEY_RSA;
	out->len = ((size_t)bits + 7) / 8;
	if (!take_number(key, OSSL_PKEY_PARAM_RSA_N, out->octets, out->len) ||
	    !take_number(key, OSSL_PKEY_PARAM_RSA_E, e, sizeof(e)))
		return false;
	for (size_t i = 0; i < sizeof(e); i++)
		out->exponent = out->exponent << 8 | e[i];
	return true;
}

static const struct {
	const char *group;
	enum cm_key_kind kind;
	size_t len;		/* of a coordinate */
} curves[] = {
	{ "prime256v1", CM_KEY_P256, 32 },
	{ "secp384r1", CM_KEY_P384, 48 },
};

static bool
take_ec(EVP_PKEY *key, struct cm_key *out)
{
	char group[32];

	if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1)
		return false;
	for (size_t i = 0; i < CM_COUNT(curves); i++) {
		if (strcmp(curves[i].group, group) != 0)
			continue;
		out->kind = curves[i].kind;
		out->len = 1 + 2 * curves[i].len;
		out->octets[0] = 4;	/* SEC 1, 2.3.3: uncompressed */
		return take_number(key, OSSL_PKEY_PARAM_EC_PUB_X, out->octets + 1, curves[i].len) &&
		    take_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, out->octets + 1 + curves[i].len, curves[i].len);
	}
	return false;
}

enum cm_err
cm_key_take(const struct cm_cert *cert, struct cm_trace *t, struct cm_key *out)
{
	EVP_PKEY *key = NULL;
	enum cm_err err;

	*out = (struct cm_key){ .kind = CM_KEY_NONE };
	if ((err = cm_cert_key(cert, t, &key)) != CM_OK)
		return err;
	if (EVP_PKEY_is_a(key, "RSA") == 1 ? take_rsa(key, out) : EVP_PKEY_is_a(key, "EC") == 1 && take_ec(key, out))
		return CM_OK;
	*out = (struct cm_key){ .kind = CM_KEY_NONE };
	return cm_trace_fail(t, CM_REASON_CERT_WEAK, "the key of %s is neither RSA of at most 4096 bits, nor of P-256 or P-384",
	    cm_cert_subject_text(cert));
}
