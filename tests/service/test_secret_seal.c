/* tests/service/test_secret_seal.c - a sealed secret opens with its key, for its account, whole; and in no other way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "service/secret_seal.h"

static const struct cm_sealed_for alice = { .name = "alice", .uid = 10001 };

static const struct made {
	const char *name, *group;	/* NULL: RSA */
	unsigned bits;
	size_t len;
} kinds[] = {
	{ "RSA 2048", NULL, 2048, 42 + 256 + 60 },
	{ "P-256", "prime256v1", 0, 42 + 65 + 60 },
	{ "P-384", "secp384r1", 0, 42 + 97 + 60 },
};

static EVP_PKEY *
make_key(const struct made *m)
{
	EVP_PKEY *key = m->group != NULL ? EVP_EC_gen(m->group) : EVP_RSA_gen(m->bits);

	assert_non_null(key);
	return key;
}

/* Of two keys the first has the smaller modulus, so that the other takes what was made for it (RFC 8017 5.1.2 step 1). */
static void
order(EVP_PKEY **small, EVP_PKEY **large)
{
	BIGNUM *n = NULL, *m = NULL;

	if (EVP_PKEY_is_a(*small, "RSA") == 1) {
		assert_int_equal(EVP_PKEY_get_bn_param(*small, OSSL_PKEY_PARAM_RSA_N, &n), 1);
		assert_int_equal(EVP_PKEY_get_bn_param(*large, OSSL_PKEY_PARAM_RSA_N, &m), 1);
		if (BN_cmp(n, m) > 0) {
			EVP_PKEY *const swap = *small;

			*small = *large;
			*large = swap;
		}
	}
	BN_free(n);
	BN_free(m);
}

static struct cm_buf
seal(EVP_PKEY *key, const struct cm_secret *secret)
{
	struct cm_buf b = { 0 };

	assert_int_equal(cm_secret_seal(key, &alice, secret, NULL, &b), CM_OK);
	return b;
}

static struct cm_secret *
make_secret(void)
{
	struct cm_secret *s = NULL;

	assert_int_equal(cm_secret_make(NULL, &s), CM_OK);
	assert_int_equal(cm_secret_bytes(s).len, CM_SECRET_LEN);
	return s;
}

/* As a card does it: SP 800-73-4 Part 2, 3.2.4: bare RSA, or the X coordinate. */
static struct cm_buf
raw_of(EVP_PKEY *key, const struct cm_sealed *s)
{
	struct cm_buf b = { 0 };
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	uint8_t out[512];
	size_t len = sizeof(out);

	if (s->kind == CM_SEALED_RSA) {
		assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING), 1);
		assert_int_equal(EVP_PKEY_decrypt(ctx, out, &len, s->share.ptr, s->share.len), 1);
	} else {
		EVP_PKEY *peer = EVP_PKEY_new();

		assert_int_equal(EVP_PKEY_copy_parameters(peer, key), 1);
		assert_int_equal(EVP_PKEY_set1_encoded_public_key(peer, s->share.ptr, s->share.len), 1);
		assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
		assert_int_equal(EVP_PKEY_derive_set_peer(ctx, peer), 1);
		assert_int_equal(EVP_PKEY_derive(ctx, out, &len), 1);
		EVP_PKEY_free(peer);
	}
	EVP_PKEY_CTX_free(ctx);
	cm_buf_add(&b, out, len);
	return b;
}

static void
opens(const struct cm_sealed *s, struct cm_blob raw, const struct cm_secret *is)
{
	struct cm_secret *found = NULL;

	assert_int_equal(cm_secret_open(s, &alice, raw, NULL, &found), CM_OK);
	assert_memory_equal(cm_secret_bytes(found).ptr, cm_secret_bytes(is).ptr, CM_SECRET_LEN);
	cm_secret_free(&found);
}

static void
refused(const struct cm_sealed *s, const struct cm_sealed_for *whose, struct cm_blob raw)
{
	struct cm_secret *found = NULL;
	struct cm_trace *t = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_int_equal(cm_secret_open(s, whose, raw, t, &found), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(t), CM_REASON_SECRET_SEALED);
	assert_null(found);
	cm_trace_free(&t);
}

static void
test_every_kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(kinds); i++) {
		EVP_PKEY *key = make_key(&kinds[i]), *other = make_key(&kinds[i]);
		struct cm_secret *secret = make_secret(), *found = NULL;
		struct cm_buf b, again, raw, wrong;
		uint8_t hash[CM_SEALED_KEY_LEN];
		struct cm_sealed s;

		order(&key, &other);
		b = seal(key, secret);
		again = seal(key, secret);
		assert_int_equal(b.len, kinds[i].len);
		assert_int_equal(again.len, b.len);
		assert_memory_not_equal(again.ptr, b.ptr, b.len);
		assert_int_equal(cm_sealed_read(cm_buf_blob(&b), &s), CM_OK);
		assert_int_equal(cm_sealed_key(key, hash), CM_OK);
		assert_memory_equal(s.key.ptr, hash, sizeof(hash));
		raw = raw_of(key, &s);
		opens(&s, cm_buf_blob(&raw), secret);
		assert_int_equal(cm_secret_open_with(&s, &alice, key, NULL, &found), CM_OK);
		assert_memory_equal(cm_secret_bytes(found).ptr, cm_secret_bytes(secret).ptr, CM_SECRET_LEN);
		cm_secret_free(&found);
		/* another key, which answers as a card with it would */
		wrong = raw_of(other, &s);
		refused(&s, &alice, cm_buf_blob(&wrong));
		assert_int_equal(cm_secret_open_with(&s, &alice, other, NULL, &found), CM_ERR_REFUSED);
		/* another account, another uid */
		refused(&s, &(struct cm_sealed_for){ .name = "bob", .uid = 10001 }, cm_buf_blob(&raw));
		refused(&s, &(struct cm_sealed_for){ .name = "alice", .uid = 10002 }, cm_buf_blob(&raw));
		refused(&s, &(struct cm_sealed_for){ .name = "alice2", .uid = 10001 }, cm_buf_blob(&raw));
		refused(&s, &(struct cm_sealed_for){ .name = "alicf", .uid = 10001 }, cm_buf_blob(&raw));
		/* what a card could answer besides */
		refused(&s, &alice, (struct cm_blob){ raw.ptr, raw.len - 1 });
		refused(&s, &alice, (struct cm_blob){ NULL, 0 });
		cm_buf_free(&raw);
		cm_buf_free(&wrong);
		cm_buf_free(&b);
		cm_buf_free(&again);
		cm_secret_free(&secret);
		EVP_PKEY_free(key);
		EVP_PKEY_free(other);
	}
}

/* Every octet of it counts, and so does where it ends. */
static void
test_changed_or_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(kinds); i++) {
		EVP_PKEY *key = make_key(&kinds[i]);
		struct cm_secret *secret = make_secret();
		struct cm_buf b = seal(key, secret), raw;
		struct cm_sealed s;

		assert_int_equal(cm_sealed_read(cm_buf_blob(&b), &s), CM_OK);
		raw = raw_of(key, &s);
		for (size_t at = 0; at < b.len; at++) {
			b.ptr[at] ^= 1;
			if (cm_sealed_read(cm_buf_blob(&b), &s) == CM_OK)
				refused(&s, &alice, cm_buf_blob(&raw));	/* with what the card makes of the right share */
			b.ptr[at] ^= 1;
			assert_int_equal(cm_sealed_read((struct cm_blob){ b.ptr, at }, &s), CM_ERR_SYNTAX);
		}
		cm_buf_add_byte(&b, 0);
		assert_int_equal(cm_sealed_read(cm_buf_blob(&b), &s), CM_ERR_SYNTAX);
		b.len--;
		assert_int_equal(cm_sealed_read(cm_buf_blob(&b), &s), CM_OK);
		opens(&s, cm_buf_blob(&raw), secret);
		cm_buf_free(&raw);
		cm_buf_free(&b);
		cm_secret_free(&secret);
		EVP_PKEY_free(key);
	}
}

static void
test_keys_that_are_not_taken(void **state)
{
	EVP_PKEY *keys[] = { EVP_RSA_gen(1024), EVP_EC_gen("secp521r1"), EVP_PKEY_Q_keygen(NULL, NULL, "X25519") };
	struct cm_secret *secret = make_secret();

	(void)state;
	for (size_t i = 0; i < CM_COUNT(keys); i++) {
		struct cm_buf b = { 0 };
		struct cm_trace *t = NULL;

		assert_int_equal(cm_trace_new(&t), CM_OK);
		assert_non_null(keys[i]);
		assert_int_equal(cm_secret_seal(keys[i], &alice, secret, t, &b), CM_ERR_ABSENT);
		assert_int_equal(cm_trace_reason(t), CM_REASON_SECRET_KEY);
		assert_int_equal(b.len, 0);
		cm_trace_free(&t);
		EVP_PKEY_free(keys[i]);
	}
	cm_secret_free(&secret);
}

/*
 * The format of service/secret_seal.h, as others write it: python3-cryptography, from that comment alone, of octets 0 to 31
 * for alice.  What was sealed by an earlier version opens.
 */
static const struct {
	const char *sealed, *z;
} written[] = {
	{ "434d5345414c0102cbb4170a83efbd6e29a241ef901a4d1654218487dbfb7854ed833ff03bacc0e400410410a4905239"
	  "55cbc2c2d3452458fcdf97c4733469f187905f5cb67347f4244eb8725142ef53dc5f96cd9b28a7cdb01259e21aad08c2"
	  "c137fe1689d6315d37a37fa0a1a2a3a4a5a6a7a8a9aaab544a9d6a258f46820e20a6769d30762034116aaf59cbb72993"
	  "10561fb37575e1fce80b1cb0015bcebc1e9c62188ed028",
	  "49cb9055e1de7fd1ded358832febec844ca3ff14b160d73e99d31e11bf794899" },
	{ "434d5345414c0103849931cd087194633d2bf5116a9ecbcbe766f9ee4d7b8fb18cf6775eb5809fbe0061048568a35a87"
	  "9b0d506132993c6d911d3136a731409ab8c5d26fd7a01e81425281453a6c6adf4cd2f38c77a5042815ea48e85ac9cdee"
	  "d95c699ca799b9c730b120f39454a5373ea1f6c64c4319553a389a28f46b7a4617ce87b26bde1769573a09a0a1a2a3a4"
	  "a5a6a7a8a9aaab682363d8d65cbeb7f7562cdc51db10dc79a08f231d15509415d5c08b119062ef9267cd66b7213f1bf2"
	  "f419fbc74c69a4",
	  "12712b22668cfe63ce488369234a4a742db28cabd6fd2660bf21c00c58d7f845e9fa0a20be94320b07e07a90841e4172" },
};

static struct cm_buf
octets_of(const char *hex)
{
	struct cm_buf b = { 0 };
	unsigned octet;
	char digits[3] = "";

	for (; hex[0] != '\0'; hex += 2) {
		memcpy(digits, hex, 2);
		octet = (unsigned)strtoul(digits, NULL, 16);
		cm_buf_add_byte(&b, (uint8_t)octet);
	}
	assert_int_equal(cm_buf_status(&b), CM_OK);
	return b;
}

static void
test_written_by_others(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(written); i++) {
		struct cm_buf sealed = octets_of(written[i].sealed), z = octets_of(written[i].z);
		struct cm_secret *found = NULL;
		struct cm_sealed s;

		assert_int_equal(cm_sealed_read(cm_buf_blob(&sealed), &s), CM_OK);
		assert_int_equal(cm_secret_open(&s, &alice, cm_buf_blob(&z), NULL, &found), CM_OK);
		for (size_t at = 0; at < CM_SECRET_LEN; at++)
			assert_int_equal(cm_secret_bytes(found).ptr[at], at);
		cm_secret_free(&found);
		cm_buf_free(&sealed);
		cm_buf_free(&z);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_changed_or_cut),
		cmocka_unit_test(test_keys_that_are_not_taken),
		cmocka_unit_test(test_written_by_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
