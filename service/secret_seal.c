/* service/secret_seal.c - a user's secret, sealed so that one private key alone opens it: made, read, opened. */
#include "service/secret_seal.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define VERSION		1
#define Z_MAX		48	/* octets of what both sides share: a field of P-384 */
#define Z_RSA		32
#define RSA_MAX		512	/* octets of a modulus */
#define NONCE_LEN	12
#define TAG_LEN		16
#define AES_KEY_LEN	32
#define NAME_MAX_LEN	256

static const uint8_t magic[] = { 'C', 'M', 'S', 'E', 'A', 'L', VERSION };
#define HEAD_LEN(share)	(sizeof(magic) + 1 + CM_SEALED_KEY_LEN + 2 + (share))

static const struct kind {
	enum cm_sealed_kind kind;
	const char *group;	/* of EC; NULL: RSA */
	size_t share;		/* octets */
	size_t z;		/* octets: SP 800-56A 5.7.1.2, "as long as the field" */
} kinds[] = {
	{ CM_SEALED_RSA, NULL, 256, Z_RSA },
	{ CM_SEALED_RSA, NULL, 384, Z_RSA },
	{ CM_SEALED_RSA, NULL, 512, Z_RSA },
	{ CM_SEALED_P256, "prime256v1", 65, 32 },
	{ CM_SEALED_P384, "secp384r1", 97, 48 },
};

/* NULL: there is none. */
static const struct kind *
find_kind(unsigned kind, size_t share)
{
	for (size_t i = 0; i < CM_COUNT(kinds); i++)
		if ((unsigned)kinds[i].kind == kind && kinds[i].share == share)
			return &kinds[i];
	return NULL;
}

static const struct kind *
kind_of_key(EVP_PKEY *key)
{
	char group[32] = "";
	const bool rsa = EVP_PKEY_is_a(key, "RSA") == 1;

	if (!rsa && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1)
		return NULL;
	for (size_t i = 0; i < CM_COUNT(kinds); i++)
		if (kinds[i].group == NULL ? rsa && EVP_PKEY_get_bits(key) == (int)kinds[i].share * 8 :
		    !rsa && strcmp(kinds[i].group, group) == 0)
			return &kinds[i];
	return NULL;
}

static enum cm_err
failed(struct cm_trace *t, const char *what)
{
	ERR_clear_error();
	return cm_trace_fail(t, CM_REASON_SYSTEM, "OpenSSL failed: %s", what);
}

/* ---- reading */

static struct cm_blob
take(struct cm_blob *in, size_t len)
{
	const struct cm_blob out = { in->ptr, len };

	in->ptr += len;
	in->len -= len;
	return out;
}

enum cm_err
cm_sealed_read(struct cm_blob octets, struct cm_sealed *out)
{
	const struct kind *k;
	struct cm_blob in = octets;
	size_t share;

	*out = (struct cm_sealed){ .head = { NULL, 0 } };
	if (in.len < HEAD_LEN(0) || memcmp(in.ptr, magic, sizeof(magic)) != 0)
		return CM_ERR_SYNTAX;
	share = (size_t)in.ptr[HEAD_LEN(0) - 2] << 8 | in.ptr[HEAD_LEN(0) - 1];
	if ((k = find_kind(in.ptr[sizeof(magic)], share)) == NULL ||
	    in.len != HEAD_LEN(share) + NONCE_LEN + CM_SECRET_LEN + TAG_LEN)
		return CM_ERR_SYNTAX;
	out->kind = k->kind;
	out->head = (struct cm_blob){ in.ptr, HEAD_LEN(share) };
	(void)take(&in, sizeof(magic) + 1);
	out->key = take(&in, CM_SEALED_KEY_LEN);
	(void)take(&in, 2);
	out->share = take(&in, share);
	out->nonce = take(&in, NONCE_LEN);
	out->cipher = take(&in, CM_SECRET_LEN);
	out->tag = take(&in, TAG_LEN);
	/* SEC 1 2.3.3: 04 X Y */
	return k->group == NULL || out->share.ptr[0] == 0x04 ? CM_OK : CM_ERR_SYNTAX;
}

enum cm_err
cm_sealed_key(EVP_PKEY *key, uint8_t out[CM_SEALED_KEY_LEN])
{
	uint8_t *der = NULL;
	const int len = i2d_PUBKEY(key, &der);
	const bool ok = len > 0 && EVP_Digest(der, (size_t)len, out, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	ERR_clear_error();
	return ok ? CM_OK : CM_ERR_SYSTEM;
}

/* ---- from what both sides share to the key of the cipher */

/* RFC 5869 */
static bool
derive(const struct cm_sealed *s, struct cm_blob z, uint8_t key[AES_KEY_LEN])
{
	static const char label[] = "cardmap sealed secret";
	uint8_t info[sizeof(label) - 1 + 2 + RSA_MAX];
	size_t len = sizeof(label) - 1;
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
	bool ok;

	memcpy(info, label, len);
	info[len++] = VERSION;
	info[len++] = (uint8_t)s->kind;
	memcpy(info + len, s->share.ptr, s->share.len);
	len += s->share.len;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){ "SHA256" }, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)z.ptr, z.len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)s->key.ptr, s->key.len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, len),
		OSSL_PARAM_construct_end(),
	};

	ok = ctx != NULL && EVP_KDF_derive(ctx, key, AES_KEY_LEN, params) == 1;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok;
}

/* uid, name-len, name */
static bool
put_whose(const struct cm_sealed_for *w, struct cm_buf *out)
{
	const size_t len = strlen(w->name);
	const uint8_t numbers[] = { (uint8_t)(w->uid >> 24), (uint8_t)(w->uid >> 16), (uint8_t)(w->uid >> 8), (uint8_t)w->uid,
		(uint8_t)(len >> 8), (uint8_t)len };

	if (len == 0 || len > NAME_MAX_LEN)
		return false;
	cm_buf_add(out, numbers, sizeof(numbers));
	cm_buf_add_str(out, w->name);
	return cm_buf_status(out) == CM_OK;
}

/* SP 800-38D; sealing: in is the secret and tag is written, else in is the cipher. */
static bool
gcm(const struct cm_sealed *s, const struct cm_sealed_for *whose, const uint8_t key[AES_KEY_LEN], bool sealing,
    struct cm_blob in, uint8_t *out, uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	struct cm_buf w = { 0 };
	int len = 0, rest = 0;
	bool ok = ctx != NULL && put_whose(whose, &w) &&
	    EVP_CipherInit_ex2(ctx, EVP_aes_256_gcm(), key, s->nonce.ptr, sealing, NULL) == 1 &&
	    EVP_CipherUpdate(ctx, NULL, &len, s->head.ptr, (int)s->head.len) == 1 &&
	    EVP_CipherUpdate(ctx, NULL, &len, w.ptr, (int)w.len) == 1 &&
	    EVP_CipherUpdate(ctx, out, &len, in.ptr, (int)in.len) == 1 && len == (int)in.len;

	if (ok && !sealing)
		ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, (void *)(uintptr_t)s->tag.ptr) == 1;
	ok = ok && EVP_CipherFinal_ex(ctx, out + len, &rest) == 1;
	if (ok && sealing)
		ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	cm_buf_free(&w);
	return ok;
}

/* ---- sealing */

enum cm_err
cm_secret_make(struct cm_trace *t, struct cm_secret **out)
{
	uint8_t octets[CM_SECRET_LEN];
	enum cm_err err = CM_ERR_SYSTEM;

	*out = NULL;
	if (RAND_priv_bytes(octets, sizeof(octets)) == 1)
		err = cm_secret_new((struct cm_blob){ octets, sizeof(octets) }, out);
	OPENSSL_cleanse(octets, sizeof(octets));
	return err == CM_OK ? err : cm_trace_fail(t, CM_REASON_SYSTEM, "no random octets, or no locked memory, for a secret");
}

/* RFC 8017 7.1, as the format has it. */
static bool
set_oaep(EVP_PKEY_CTX *ctx)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;
}

static bool
share_rsa(EVP_PKEY *to, uint8_t *share, size_t share_len, uint8_t z[Z_MAX])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, to, NULL);
	size_t len = share_len;
	const bool ok = ctx != NULL && RAND_priv_bytes(z, Z_RSA) == 1 && EVP_PKEY_encrypt_init(ctx) == 1 && set_oaep(ctx) &&
	    EVP_PKEY_encrypt(ctx, share, &len, z, Z_RSA) == 1 && len == share_len;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

/* SP 800-56A 5.7.1.2; OpenSSL pads the coordinate to the field's length. */
static bool
agree(EVP_PKEY *own, EVP_PKEY *peer, uint8_t *z, size_t z_len)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	size_t len = z_len;
	const bool ok = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
	    EVP_PKEY_derive(ctx, z, &len) == 1 && len == z_len;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static bool
share_ec(EVP_PKEY *to, const struct kind *k, uint8_t *share, uint8_t z[Z_MAX])
{
	EVP_PKEY *own = EVP_EC_gen(k->group);
	uint8_t *point = NULL;
	const bool ok = own != NULL && EVP_PKEY_get1_encoded_public_key(own, &point) == k->share && point[0] == 0x04 &&
	    agree(own, to, z, k->z);

	if (ok)
		memcpy(share, point, k->share);
	OPENSSL_free(point);
	EVP_PKEY_free(own);
	return ok;
}

/* The head with its share, and the cipher's key. */
static enum cm_err
begin_sealed(EVP_PKEY *to, const struct kind *k, uint8_t octets[CM_SEALED_MAX], uint8_t key[AES_KEY_LEN], struct cm_sealed *s)
{
	uint8_t *const share = octets + HEAD_LEN(0), z[Z_MAX] = { 0 };
	bool ok;

	memcpy(octets, magic, sizeof(magic));
	octets[sizeof(magic)] = (uint8_t)k->kind;
	octets[HEAD_LEN(0) - 2] = (uint8_t)(k->share >> 8);
	octets[HEAD_LEN(0) - 1] = (uint8_t)k->share;
	ok = cm_sealed_key(to, octets + sizeof(magic) + 1) == CM_OK && RAND_bytes(share + k->share, NONCE_LEN) == 1 &&
	    (k->group == NULL ? share_rsa(to, share, k->share, z) : share_ec(to, k, share, z)) &&
	    cm_sealed_read((struct cm_blob){ octets, HEAD_LEN(k->share) + NONCE_LEN + CM_SECRET_LEN + TAG_LEN }, s) == CM_OK &&
	    derive(s, (struct cm_blob){ z, k->z }, key);
	OPENSSL_cleanse(z, sizeof(z));
	return ok ? CM_OK : CM_ERR_SYSTEM;
}

enum cm_err
cm_secret_seal(EVP_PKEY *to, const struct cm_sealed_for *whose, const struct cm_secret *secret, struct cm_trace *t, struct cm_buf *out)
{
	const struct kind *k = kind_of_key(to);
	uint8_t octets[CM_SEALED_MAX] = { 0 }, key[AES_KEY_LEN];
	struct cm_sealed s;
	bool ok;

	if (k == NULL)
		return cm_trace_fail(t, CM_REASON_SECRET_KEY, "a secret is sealed to RSA keys of 2048, 3072 or 4096 bits, "
		    "and to P-256 and P-384: this is another");
	if (cm_secret_bytes(secret).len != CM_SECRET_LEN)
		return CM_ERR_STATE;
	ok = begin_sealed(to, k, octets, key, &s) == CM_OK &&
	    gcm(&s, whose, key, true, cm_secret_bytes(secret), octets + (s.cipher.ptr - octets), octets + (s.tag.ptr - octets));
	OPENSSL_cleanse(key, sizeof(key));
	if (!ok)
		return failed(t, "a secret cannot be sealed");
	cm_buf_add(out, octets, (size_t)(s.tag.ptr + TAG_LEN - octets));
	return cm_buf_status(out);
}

/* ---- opening */

static const struct kind *
kind_of(const struct cm_sealed *s)
{
	return find_kind((unsigned)s->kind, s->share.len);
}

static enum cm_err
refuse(struct cm_trace *t)
{
	ERR_clear_error();
	return cm_trace_fail(t, CM_REASON_SECRET_SEALED, "the sealed secret does not open: it is for another key or account, or damaged");
}

static enum cm_err
open_by(const struct cm_sealed *s, const struct cm_sealed_for *whose, struct cm_blob z, struct cm_trace *t, struct cm_secret **out)
{
	uint8_t key[AES_KEY_LEN], octets[CM_SECRET_LEN];
	enum cm_err err = CM_ERR_REFUSED;

	if (derive(s, z, key) && gcm(s, whose, key, false, s->cipher, octets, NULL))
		err = cm_secret_new((struct cm_blob){ octets, sizeof(octets) }, out);
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(octets, sizeof(octets));
	if (err == CM_ERR_SYSTEM || err == CM_ERR_NOMEM)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "no locked memory for a secret (RLIMIT_MEMLOCK)");
	return err == CM_OK ? err : refuse(t);
}

/*
 * RFC 8017 7.1.2 step 3, by OpenSSL and in constant time.  Where it fails, random
 * octets go on: the cipher's tag refuses them as it would another key's.
 * EVP unpads only with a private key, which the card has: the older function is the only one that takes its result.
 */
static bool
unpad(struct cm_blob raw, uint8_t z[Z_MAX])
{
	uint8_t found[Z_RSA];
	int len;

	if (RAND_priv_bytes(z, Z_RSA) != 1)
		return false;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	len = RSA_padding_check_PKCS1_OAEP_mgf1(found, sizeof(found), raw.ptr, (int)raw.len, (int)raw.len, NULL, 0, EVP_sha256(), EVP_sha256());
#pragma GCC diagnostic pop
	if (len == Z_RSA)
		memcpy(z, found, Z_RSA);
	OPENSSL_cleanse(found, sizeof(found));
	return true;
}

enum cm_err
cm_secret_open(const struct cm_sealed *s, const struct cm_sealed_for *whose, struct cm_blob raw, struct cm_trace *t,
    struct cm_secret **out)
{
	const struct kind *k = kind_of(s);
	uint8_t z[Z_MAX] = { 0 };
	enum cm_err err;

	*out = NULL;
	if (k == NULL || raw.len != (k->group == NULL ? k->share : k->z))
		return refuse(t);
	if (k->group != NULL)
		memcpy(z, raw.ptr, k->z);
	else if (!unpad(raw, z))
		return failed(t, "no random octets");
	err = open_by(s, whose, (struct cm_blob){ z, k->z }, t, out);
	OPENSSL_cleanse(z, sizeof(z));
	return err;
}

static bool
decrypt_rsa(const struct cm_sealed *s, EVP_PKEY *key, uint8_t z[Z_MAX])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	uint8_t found[RSA_MAX];
	size_t len = sizeof(found);
	const bool ok = ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1 && set_oaep(ctx) &&
	    EVP_PKEY_decrypt(ctx, found, &len, s->share.ptr, s->share.len) == 1 && len == Z_RSA;

	if (ok)
		memcpy(z, found, Z_RSA);
	OPENSSL_cleanse(found, sizeof(found));
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

/* OpenSSL takes no point that is not on the curve (SP 800-56A 5.6.2.3.3). */
static bool
agree_with(const struct cm_sealed *s, const struct kind *k, EVP_PKEY *key, uint8_t z[Z_MAX])
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)k->group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)s->share.ptr, s->share.len),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *peer = NULL;
	const bool ok = ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &peer, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)(uintptr_t)params) == 1 && agree(key, peer, z, k->z);

	EVP_PKEY_free(peer);
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

enum cm_err
cm_secret_open_with(const struct cm_sealed *s, const struct cm_sealed_for *whose, EVP_PKEY *key, struct cm_trace *t,
    struct cm_secret **out)
{
	const struct kind *k = kind_of(s);
	uint8_t z[Z_MAX] = { 0 };
	enum cm_err err;

	*out = NULL;
	if (k == NULL || kind_of_key(key) != k || !(k->group == NULL ? decrypt_rsa(s, key, z) : agree_with(s, k, key, z)))
		return refuse(t);
	err = open_by(s, whose, (struct cm_blob){ z, k->z }, t, out);
	OPENSSL_cleanse(z, sizeof(z));
	return err;
}
