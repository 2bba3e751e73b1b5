/* tests/service/test_possession.c - a signature counts for the key, the nonce and the form it should have, and for nothing else. */
#include "apart_fixture.h"

#include <stdlib.h>

#include "cache/pairings.h"
#include "service/possession.h"

static const char *const names[] = { "alice-rsa2048", "alice-rsa3072", "alice-rsa4096", "alice-p256", "alice-p384" };

static void
test_every_key(void **state)
{
	const uint8_t nonce[32] = { 1 }, other[32] = { 2 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(names); i++) {
		struct cm_blob s;
		struct cm_trace *t = NULL;
		struct card c;

		card_load(&c, names[i]);
		s = card_sign(&c, nonce);
		assert_int_equal(cm_trace_new(&t), CM_OK);
		assert_int_equal(cm_possession_check(&c.key, nonce, s, t), CM_OK);
		assert_int_equal(cm_possession_check(&c.key, other, s, t), CM_ERR_REFUSED);
		assert_int_equal(cm_trace_reason(t), CM_REASON_CARD_KEY);
		assert_int_equal(cm_possession_check(&c.key, nonce, (struct cm_blob){ s.ptr, s.len - 1 }, t), CM_ERR_REFUSED);
		assert_int_equal(cm_possession_check(&c.key, nonce, (struct cm_blob){ NULL, 0 }, t), CM_ERR_REFUSED);
		for (size_t at = 0; at < s.len; at++) {
			((uint8_t *)(uintptr_t)s.ptr)[at] ^= 1;
			assert_int_equal(cm_possession_check(&c.key, nonce, s, NULL), CM_ERR_REFUSED);
			((uint8_t *)(uintptr_t)s.ptr)[at] ^= 1;
		}
		cm_blob_free(&s);
		cm_trace_free(&t);
		card_free(&c);
	}
}

/* Same value, another encoding: a second form of one signature is none. */
static void
test_other_forms(void **state)
{
	static const struct {
		size_t at;		/* an octet is put in before this one of the first INTEGER, or of the whole */
		uint8_t octet;
	} forms[] = { { 4, 0 }, { 2, 2 } };
	const uint8_t nonce[32] = { 1 };
	uint8_t longer[128];
	struct cm_blob s;
	struct card c;

	(void)state;
	card_load(&c, "alice-p256");
	s = card_sign(&c, nonce);
	for (size_t i = 0; i < CM_COUNT(forms); i++) {
		memcpy(longer, s.ptr, forms[i].at);
		longer[forms[i].at] = forms[i].octet;
		memcpy(longer + forms[i].at + 1, s.ptr + forms[i].at, s.len - forms[i].at);
		longer[1]++;
		if (forms[i].at == 4)
			longer[3]++;
		assert_int_equal(cm_possession_check(&c.key, nonce, (struct cm_blob){ longer, s.len + 1 }, NULL), CM_ERR_REFUSED);
	}
	cm_blob_free(&s);
	card_free(&c);
}

static void
shorter(struct cm_key *k)
{
	k->len--;
}

static void
no_kind(struct cm_key *k)
{
	k->kind = CM_KEY_NONE;
}

static void
other_kind(struct cm_key *k)
{
	k->kind = CM_KEY_P384;
}

static void
beyond_kinds(struct cm_key *k)
{
	k->kind = (enum cm_key_kind)77;
}

static void
beyond_room(struct cm_key *k)
{
	k->len = 100000;
}

static void
even(struct cm_key *k)
{
	k->octets[k->len - 1] ^= 1;	/* of a point: beside its curve */
}

static void
compressed(struct cm_key *k)
{
	k->octets[0] = 2;
}

static void
leading_zero(struct cm_key *k)
{
	k->octets[0] = 0;
}

static void
exponent_one(struct cm_key *k)
{
	k->exponent = 1;
}

static void
exponent_even(struct cm_key *k)
{
	k->exponent = 65536;
}

/* RSA with 2047 bits. */
static void
few_bits(struct cm_key *k)
{
	k->octets[0] &= 0x7F;
}

static void
test_no_keys(void **state)
{
	static const struct {
		const char *card;
		void (*spoil)(struct cm_key *);
	} rows[] = {
		{ "alice-p256", shorter }, { "alice-p256", no_kind }, { "alice-p256", other_kind }, { "alice-p256", beyond_kinds },
		{ "alice-p256", beyond_room }, { "alice-p256", even }, { "alice-p256", compressed }, { "alice-p256", exponent_one },
		{ "alice-p384", even }, { "alice-rsa2048", shorter }, { "alice-rsa2048", even }, { "alice-rsa2048", leading_zero },
		{ "alice-rsa2048", exponent_one }, { "alice-rsa2048", exponent_even }, { "alice-rsa2048", few_bits },
		{ "alice-rsa4096", beyond_room },
	};
	const uint8_t nonce[32] = { 1 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		uint8_t sha1[20], sha256[32];
		struct cm_trace *t = NULL;
		struct cm_blob s;
		struct card c;

		card_load(&c, rows[i].card);
		s = card_sign(&c, nonce);
		rows[i].spoil(&c.key);
		assert_int_equal(cm_trace_new(&t), CM_OK);
		assert_int_equal(cm_possession_check(&c.key, nonce, s, t), CM_ERR_SYNTAX);
		assert_int_equal(cm_trace_reason(t), CM_REASON_CARD_KEY);
		assert_int_equal(cm_key_hashes(&c.key, sha1, sha256), CM_ERR_SYNTAX);
		cm_blob_free(&s);
		cm_trace_free(&t);
		card_free(&c);
	}
}

/* The hashes are those of the certificate's own octets, as a pairing has them. */
static void
test_hashes(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(names); i++) {
		uint8_t sha1[20], sha256[32];
		struct cm_pairing p;
		struct card c;

		card_load(&c, names[i]);
		assert_int_equal(cm_pairing_make(c.cert, "x", false, 0, &p), CM_OK);
		assert_int_equal(cm_key_hashes(&c.key, sha1, sha256), CM_OK);
		assert_memory_equal(sha1, p.hash, sizeof(sha1));
		assert_memory_equal(sha256, p.spki_sha256, sizeof(sha256));
		cm_pairing_clear(&p);
		card_free(&c);
	}
}

static void
test_packed(void **state)
{
	static const uint8_t bad[CM_KEY_PACKED_MAX + 1] = { CM_KEY_RSA };
	struct cm_key k, none = { .kind = CM_KEY_NONE };
	uint8_t packed[CM_KEY_PACKED_MAX];

	(void)state;
	for (size_t i = 0; i < CM_COUNT(names); i++) {
		struct card c;

		card_load(&c, names[i]);
		assert_true(cm_key_unpack(cm_key_pack(&c.key, packed), &k));
		assert_true(cm_key_equal(&k, &c.key));
		k.octets[k.len - 1] ^= 1;
		assert_false(cm_key_equal(&k, &c.key));
		k.octets[k.len - 1] ^= 1;
		k.exponent += 2;
		assert_false(cm_key_equal(&k, &c.key));
		card_free(&c);
	}
	assert_int_equal(cm_key_pack(&none, packed).len, 0);
	assert_false(cm_key_equal(&none, &none));
	assert_false(cm_key_unpack((struct cm_blob){ NULL, 0 }, &k));
	assert_false(cm_key_unpack((struct cm_blob){ bad, 9 }, &k));
	assert_false(cm_key_unpack((struct cm_blob){ bad, sizeof(bad) }, &k));
	assert_false(cm_key_unpack((struct cm_blob){ (const uint8_t *)"\4zzzzzzzzzz", 11 }, &k));
	assert_false(cm_key_unpack((struct cm_blob){ (const uint8_t *)"\0zzzzzzzzzz", 11 }, &k));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_other_forms),
		cmocka_unit_test(test_no_keys),
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_packed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
