/*
 * tests/service/test_secret_card.c - a user's secret and a card: made, opened, sealed anew when the card was renewed;
 * how often the card's keys are used for it, and what follows where none of them fits.
 */
#include "../card/card_rig.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/secret_card.h"

#define DEADLINE	cm_deadline_in(20000)

static const struct cm_sealed_for alice = { .name = "alice", .uid = 10001 };

/* Certificate and key of the PKI in a slot; cert NULL: the key alone. */
struct slot {
	const char *slot, *cert, *key;
};

static void
put(const char *folder, const struct slot *s, const char *name, const char *form)
{
	char from[PATH_MAX], to[PATH_MAX];

	if (name == NULL)
		return;
	snprintf(from, sizeof(from), "%s/%s.%s", getenv("CM_RIG_PKI"), name, form);
	snprintf(to, sizeof(to), "%s/%s.%s", folder, s->slot, form);
	assert_int_equal(symlink(from, to), 0);
}

/* A card with these slots beside 9A, open and unlocked, nothing counted. */
static struct cm_card *
card_with(const struct slot *slots, size_t count)
{
	const char *folder = card_make("alice-rsa2048", "alice-rsa2048", "");
	struct cm_secret *pin = secret(PIN);
	struct cm_card *c = NULL;
	struct cm_cert *cert = NULL;
	unsigned tries;

	for (size_t i = 0; i < count; i++) {
		put(folder, &slots[i], slots[i].cert, "crt");
		put(folder, &slots[i], slots[i].key, "key");
	}
	card_become(folder);
	assert_int_equal(cm_card_open("reader", CM_CARD_LOGIN, DEADLINE, test_trace(), &c), CM_OK);
	assert_int_equal(cm_card_certificate(c, CM_SLOT_AUTHENTICATION, DEADLINE, test_trace(), &cert), CM_OK);
	assert_int_equal(cm_card_pin_tries(c, DEADLINE, test_trace(), &tries), CM_OK);
	assert_int_equal(cm_card_verify_pin(c, pin, false, DEADLINE, test_trace(), &tries), CM_OK);
	cm_cert_free(&cert);
	cm_secret_free(&pin);
	return c;
}

struct asking {
	struct cm_blob sealed[4];
	size_t count;
	struct cm_blob recovery;
	struct cm_secret_given given;
	unsigned operations;
};

/* Ask a card with these slots. */
static enum cm_err
ask(struct asking *a, const struct slot *slots, size_t count)
{
	const struct cm_secret_asked asked = { .whose = alice, .sealed = a->sealed, .count = a->count, .recovery = a->recovery };
	struct cm_card *c = card_with(slots, count);
	const unsigned before = cm_card_stats(c).key_operations;
	enum cm_err err = cm_secret_by_card(c, &asked, DEADLINE, test_trace(), &a->given);

	a->operations = cm_card_stats(c).key_operations - before;
	cm_card_close(&c);
	return err;
}

static void
expect(struct asking *a, const struct slot *slots, size_t count, const struct cm_secret *is, unsigned operations)
{
	assert_int_equal(ask(a, slots, count), CM_OK);
	assert_memory_equal(cm_secret_bytes(a->given.secret).ptr, cm_secret_bytes(is).ptr, CM_SECRET_LEN);
	assert_int_equal(a->operations, operations);
	assert_false(a->given.made);
}

static void
refused(struct asking *a, const struct slot *slots, size_t count, enum cm_err err, enum cm_reason reason)
{
	assert_int_equal(ask(a, slots, count), err);
	assert_int_equal(cm_trace_reason(test_trace()), reason);
	assert_null(a->given.secret);
	assert_int_equal(a->given.sealed.len + a->given.recovery.len, 0);
}

static const char *const kinds[] = { "alice-9d", "alice-rsa3072", "alice-rsa4096", "alice-p256", "alice-p384" };

static void
test_each_kind_of_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(kinds); i++) {
		const struct slot own = { "9d", kinds[i], kinds[i] }, other = { "9d", kinds[(i + 1) % CM_COUNT(kinds)], kinds[(i + 1) % CM_COUNT(kinds)] };
		struct asking first = { .count = 0 }, again = { .count = 1 };

		assert_int_equal(ask(&first, &own, 1), CM_OK);
		assert_true(first.given.made);
		assert_int_equal(first.operations, 1);	/* it was opened once before it is kept */
		assert_true(first.given.sealed.len > 0);
		again.sealed[0] = cm_buf_blob(&first.given.sealed);
		expect(&again, &own, 1, first.given.secret, 1);
		assert_int_equal(again.given.sealed.len, 0);
		cm_secret_given_clear(&again.given);
		refused(&again, &other, 1, CM_ERR_REFUSED, CM_REASON_SECRET_SEALED);
		cm_secret_given_clear(&first.given);
	}
}

/* The certificate is a copy of another key's: what is sealed to it the card does not open, so nothing is kept. */
static void
test_a_certificate_without_its_key(void **state)
{
	const struct slot copied[] = { { "9d", "alice-9d", "bob" }, { "9d", "alice-p256", "alice-p384" } };
	struct asking a = { .count = 0 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(copied); i++) {
		assert_int_equal(ask(&a, &copied[i], 1), CM_ERR_REFUSED);
		assert_null(a.given.secret);
		assert_int_equal(a.given.sealed.len, 0);
	}
	refused(&a, NULL, 0, CM_ERR_ABSENT, CM_REASON_SECRET_KEY);
}

static void
test_a_renewed_card(void **state)
{
	const struct slot before[] = { { "9d", "alice-9d", "alice-9d" } };
	const struct slot with[] = { { "9d", "alice-p256", "alice-p256" }, { "82", "bob", "bob" }, { "83", "alice-9d", "alice-9d" } };
	const struct slot without[] = { { "9d", "alice-p384", "alice-p384" }, { "94", NULL, "alice-9d" }, { "95", NULL, "bob" } };
	struct asking first = { .count = 0 }, a = { .count = 1 }, both = { .count = 2 };

	(void)state;
	assert_int_equal(ask(&first, before, 1), CM_OK);
	a.sealed[0] = both.sealed[1] = cm_buf_blob(&first.given.sealed);
	/* 9D in vain, 83 by its certificate, and the new one opened once */
	expect(&a, with, CM_COUNT(with), first.given.secret, 3);
	assert_true(a.given.sealed.len > 0);
	/* sealed to the new key it takes no other; an old one in front costs one operation in vain, and a certificate */
	both.sealed[0] = cm_buf_blob(&a.given.sealed);
	expect(&both, with, 1, first.given.secret, 1);
	cm_secret_given_clear(&both.given);
	both.sealed[0] = cm_buf_blob(&first.given.sealed);
	both.sealed[1] = cm_buf_blob(&a.given.sealed);
	expect(&both, with, 1, first.given.secret, 2);
	assert_int_equal(both.given.sealed.len, 0);
	cm_secret_given_clear(&both.given);
	cm_secret_given_clear(&a.given);
	/* of a key without a certificate nobody says whose it is: 95 is another's, 94 opens it */
	expect(&a, without, CM_COUNT(without), first.given.secret, 4);
	assert_true(a.given.sealed.len > 0);
	cm_secret_given_clear(&a.given);
	cm_secret_given_clear(&first.given);
}

/* It is open, though the new key is of no use: let in with it, told, and nothing new is kept. */
static void
test_a_renewed_card_whose_new_key_is_none(void **state)
{
	const struct slot before = { "9d", "alice-9d", "alice-9d" };
	const struct slot after[] = { { "9d", "alice-p256", "alice-p384" }, { "82", "alice-9d", "alice-9d" } };
	struct asking first = { .count = 0 }, a = { .count = 1 };

	(void)state;
	assert_int_equal(ask(&first, &before, 1), CM_OK);
	a.sealed[0] = cm_buf_blob(&first.given.sealed);
	assert_int_equal(ask(&a, after, CM_COUNT(after)), CM_OK);
	assert_memory_equal(cm_secret_bytes(a.given.secret).ptr, cm_secret_bytes(first.given.secret).ptr, CM_SECRET_LEN);
	assert_int_equal(a.given.sealed.len, 0);
	cm_secret_given_clear(&a.given);
	cm_secret_given_clear(&first.given);
}

static struct cm_buf
read_pki(const char *name)
{
	struct cm_buf b = { 0 };
	char path[PATH_MAX], piece[4096];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", getenv("CM_RIG_PKI"), name);
	assert_non_null(f = fopen(path, "re"));
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		cm_buf_add(&b, piece, n);
	fclose(f);
	return b;
}

static void
test_a_recovery_key(void **state)
{
	static const char *const files[] = { "alice-p384.crt", "alice-p384.der" };
	const struct slot own = { "9d", "alice-9d", "alice-9d" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(files); i++) {
		struct cm_buf file = read_pki(files[i]);
		struct asking a = { .recovery = cm_buf_blob(&file) };
		struct cm_sealed s;

		assert_int_equal(ask(&a, &own, 1), CM_OK);
		assert_int_equal(cm_sealed_read(cm_buf_blob(&a.given.recovery), &s), CM_OK);
		assert_int_equal(s.kind, CM_SEALED_P384);
		cm_secret_given_clear(&a.given);
		cm_buf_free(&file);
	}
	/* What is no certificate keeps nobody from the secret. */
	struct asking a = { .recovery = cm_blob_str("-----BEGIN CERTIFICATE-----\n") };

	assert_int_equal(ask(&a, &own, 1), CM_OK);
	assert_int_equal(a.given.recovery.len, 0);
	cm_secret_given_clear(&a.given);
}

/* Cut short, of another account, or nothing that was ever sealed: no other is made in its place. */
static void
test_what_is_kept_is_of_no_use(void **state)
{
	const struct slot own = { "9d", "alice-9d", "alice-9d" };
	struct asking first = { .count = 0 }, a = { .count = 1 };
	struct cm_buf changed = { 0 };

	(void)state;
	assert_int_equal(ask(&first, &own, 1), CM_OK);
	a.sealed[0] = (struct cm_blob){ first.given.sealed.ptr, first.given.sealed.len - 1 };
	refused(&a, &own, 1, CM_ERR_REFUSED, CM_REASON_SECRET_SEALED);
	a.sealed[0] = (struct cm_blob){ NULL, 0 };
	refused(&a, &own, 1, CM_ERR_REFUSED, CM_REASON_SECRET_SEALED);
	cm_buf_add_blob(&changed, cm_buf_blob(&first.given.sealed));
	changed.ptr[changed.len - 1] ^= 1;
	a.sealed[0] = cm_buf_blob(&changed);
	refused(&a, &own, 1, CM_ERR_REFUSED, CM_REASON_SECRET_SEALED);
	/* a damaged one beside a whole one does no harm */
	a.sealed[1] = cm_buf_blob(&first.given.sealed);
	a.count = 2;
	assert_int_equal(ask(&a, &own, 1), CM_ERR_REFUSED);
	a.sealed[0] = (struct cm_blob){ changed.ptr, 10 };
	expect(&a, &own, 1, first.given.secret, 1);
	cm_secret_given_clear(&a.given);
	cm_buf_free(&changed);
	cm_secret_given_clear(&first.given);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind_of_key),
		cmocka_unit_test(test_a_certificate_without_its_key),
		cmocka_unit_test(test_a_renewed_card),
		cmocka_unit_test(test_a_renewed_card_whose_new_key_is_none),
		cmocka_unit_test(test_a_recovery_key),
		cmocka_unit_test(test_what_is_kept_is_of_no_use),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
