/* tests/cache/test_pairings.c - whom a card's key is paired with: kept whole, found by both hashes, removed for good. */
#include "store_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "cache/pairings.h"
#include "mapper/mapper.h"
#include "../mapper/make_cert.h"

static struct cm_pairing
pairing(const struct cm_cert *c, const char *user, bool local)
{
	struct cm_pairing p;

	assert_int_equal(cm_pairing_make(c, user, local, NOW, &p), CM_OK);
	return p;
}

static enum cm_err
add(struct rig *r, const struct cm_cert *c, const char *user, bool local, bool one)
{
	struct cm_pairing p = pairing(c, user, local);
	enum cm_err err;

	cm_trace_clear_reason(r->trace);
	err = cm_pairings_add(r->store, &p, one, r->trace);
	cm_pairing_clear(&p);
	return err;
}

static void
refused(struct rig *r, enum cm_err is, enum cm_err err, enum cm_reason reason, const char *text)
{
	assert_int_equal(is, err);
	assert_int_equal(cm_trace_reason(r->trace), reason);
	if (strstr(cm_trace_message(r->trace), text) == NULL)
		fail_msg("\"%s\" is not in: %s", text, cm_trace_message(r->trace));
}

static void
expect(struct rig *r, const struct cm_cert *c, const char *user, bool local)
{
	struct cm_pairing p;
	uint8_t hash[20];

	cm_trace_clear_reason(r->trace);
	cm_key_hash(c, hash);
	assert_int_equal(cm_pairings_find(rig_asked(r), c, r->trace, &p), user != NULL ? CM_OK : CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(r->trace), CM_REASON_NONE);
	if (user != NULL) {
		assert_string_equal(p.user, user);
		assert_int_equal(p.local, local);
		assert_string_equal(p.subject, "CN=subject");
		assert_int_equal(p.made, NOW);
		assert_memory_equal(p.hash, hash, sizeof(hash));
	} else {
		assert_null(p.user);
	}
	cm_pairing_clear(&p);
	assert_int_equal(cm_pairings_find_hash(rig_asked(r), hash, NULL, &p), user != NULL ? CM_OK : CM_ERR_ABSENT);
	cm_pairing_clear(&p);
}

static void
test_kept(void **state)
{
	struct rig *r = *state;

	expect(r, r->cert, NULL, false);
	assert_int_equal(add(r, r->cert, "alice", true, false), CM_OK);
	assert_int_equal(add(r, r->other, "bob", false, false), CM_OK);
	expect(r, r->cert, "alice", true);
	expect(r, r->other, "bob", false);
	rig_reopen(r);
	expect(r, r->cert, "alice", true);
	assert_int_equal(add(r, r->cert, "alice", true, true), CM_OK);	/* again: nothing changes */
	expect(r, r->cert, "alice", true);
	refused(r, add(r, r->cert, "", true, false), CM_ERR_STATE, CM_REASON_NONE, "");
}

static void
test_one_key_one_user(void **state)
{
	struct rig *r = *state;

	assert_int_equal(add(r, r->cert, "alice", false, false), CM_OK);
	refused(r, add(r, r->cert, "bob", false, false), CM_ERR_AMBIGUOUS, CM_REASON_PAIRED_OTHERWISE, "paired with alice");
	/* Another account of the same name. */
	refused(r, add(r, r->cert, "alice", true, false), CM_ERR_AMBIGUOUS, CM_REASON_PAIRED_OTHERWISE, "alice");
	expect(r, r->cert, "alice", false);
}

static void
test_one_card_per_user(void **state)
{
	struct rig *r = *state;

	assert_int_equal(add(r, r->cert, "alice", false, true), CM_OK);
	refused(r, add(r, r->other, "alice", false, true), CM_ERR_REFUSED, CM_REASON_ONE_CARD, "alice is paired with another card");
	expect(r, r->other, NULL, false);
	assert_int_equal(add(r, r->other, "bob", false, true), CM_OK);
	assert_int_equal(cm_pairings_remove(r->store, "bob", NULL, r->trace), CM_OK);
	assert_int_equal(add(r, r->other, "alice", false, false), CM_OK);	/* as the administrator said now */
}

/* SHA-1 can be made to fit; the key is another. */
static void
test_both_hashes_must_fit(void **state)
{
	struct rig *r = *state;
	struct cm_pairing p = pairing(r->other, "alice", true), found;

	cm_key_hash(r->cert, p.hash);
	assert_int_equal(cm_pairings_add(r->store, &p, false, r->trace), CM_OK);
	assert_int_equal(cm_pairings_find(rig_asked(r), r->cert, r->trace, &found), CM_ERR_ABSENT);
	assert_non_null(strstr(cm_trace_find(r->trace, "warning"), "is another"));
	assert_int_equal(cm_pairings_find(rig_asked(r), r->other, r->trace, &found), CM_ERR_ABSENT);
	refused(r, add(r, r->cert, "alice", true, false), CM_ERR_AMBIGUOUS, CM_REASON_PAIRED_OTHERWISE, "alice");
	cm_pairing_clear(&p);
}

static enum cm_err
count(void *arg, const struct cm_pairing *p)
{
	assert_non_null(p->user);
	return ++*(unsigned *)arg < 2 ? CM_OK : CM_ERR_ABSENT;
}

static unsigned
listed(struct rig *r, const char *user)
{
	unsigned n = 0;

	assert_int_equal(cm_pairings_list(r->store, user, r->trace, count, &n), CM_OK);
	return n;
}

static void
test_list(void **state)
{
	struct rig *r = *state;
	const struct cert_spec third = { .serial = "0c" };
	struct cm_cert *c = make_cert(&third);

	assert_int_equal(listed(r, NULL), 0);
	assert_int_equal(add(r, r->cert, "alice", true, false), CM_OK);
	assert_int_equal(add(r, r->other, "bob", false, false), CM_OK);
	assert_int_equal(listed(r, NULL), 2);
	assert_int_equal(listed(r, "alice"), 1);
	assert_int_equal(listed(r, "carol"), 0);
	assert_int_equal(add(r, c, "bob", false, false), CM_OK);
	assert_int_equal(listed(r, NULL), 2);	/* the visitor wanted no more */
	cm_cert_free(&c);
}

static void
test_remove(void **state)
{
	struct rig *r = *state;
	const struct cert_spec third = { .serial = "0c" };
	struct cm_cert *c = make_cert(&third);
	uint8_t hash[20];

	refused(r, cm_pairings_remove(r->store, "alice", NULL, r->trace), CM_ERR_ABSENT, CM_REASON_NOT_PAIRED,
	    "no card is paired here with alice");
	assert_int_equal(add(r, r->cert, "alice", true, false), CM_OK);
	assert_int_equal(add(r, c, "alice", true, false), CM_OK);
	assert_int_equal(add(r, r->other, "bob", false, false), CM_OK);
	cm_key_hash(c, hash);
	refused(r, cm_pairings_remove(r->store, "bob", hash, r->trace), CM_ERR_ABSENT, CM_REASON_NOT_PAIRED,
	    "no such key is paired here with bob");
	assert_int_equal(cm_pairings_remove(r->store, NULL, hash, r->trace), CM_OK);
	assert_int_equal(rig_log_size(r), 0);	/* a damaged log must not bring it back */
	expect(r, c, NULL, false);
	expect(r, r->cert, "alice", true);
	assert_int_equal(add(r, c, "alice", true, false), CM_OK);
	assert_int_equal(cm_pairings_remove(r->store, "alice", NULL, r->trace), CM_OK);
	assert_int_equal(listed(r, NULL), 1);
	expect(r, r->other, "bob", false);
	assert_int_equal(cm_pairings_remove(r->store, NULL, NULL, r->trace), CM_ERR_STATE);
	cm_cert_free(&c);
}

/* What a pairing opened with the network ends with it; what a rule opened does not. */
static void
test_kept_account_ends_with_its_pairing(void **state)
{
	struct rig *r = *state;
	struct cm_account a = rig_account(4000);
	struct cm_store_login l = rig_login(r, &a, NOW);

	a.rule = (char *)CM_PAIRING_RULE;
	rig_keep(r, &l);
	l.cert_sha256 = cm_cert_sha256(r->other);
	l.cert_der = cm_cert_der(r->other);
	rig_keep(r, &l);
	assert_int_equal(add(r, r->cert, "alice", false, false), CM_OK);
	assert_int_equal(add(r, r->other, "bob", false, false), CM_OK);
	assert_int_equal(cm_pairings_remove(r->store, "bob", NULL, r->trace), CM_OK);
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
	assert_int_equal(cm_pairings_remove(r->store, "alice", NULL, r->trace), CM_OK);
	rig_expect(r, NOW, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT, "has not opened");

	rig_keep_alice(r, 4000, NOW);
	assert_int_equal(add(r, r->cert, "alice", false, false), CM_OK);
	assert_int_equal(cm_pairings_remove(r->store, "alice", NULL, r->trace), CM_OK);
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
}

static void
test_damage_is_told(void **state)
{
	static const char *const damages[] = {
		"UPDATE pairing SET user = 'mallory'", "UPDATE pairing SET local = 1",
		"UPDATE pairing SET spki_sha256 = x'00'", "UPDATE pairing SET user = ''",
	};
	struct rig *r = *state;
	struct cm_pairing p;
	unsigned n = 0;

	for (size_t i = 0; i < CM_COUNT(damages); i++) {
		assert_int_equal(add(r, r->cert, "alice", false, false), CM_OK);
		rig_sql(r, damages[i]);
		refused(r, cm_pairings_find(rig_asked(r), r->cert, r->trace, &p), CM_ERR_SYSTEM, CM_REASON_STORE, "damaged");
		assert_null(p.user);
		assert_int_equal(cm_pairings_list(r->store, NULL, r->trace, count, &n), CM_ERR_SYSTEM);
		assert_int_equal(add(r, r->cert, "alice", false, false), CM_ERR_SYSTEM);
		/* It can be removed all the same. */
		cm_key_hash(r->cert, p.hash);
		assert_int_equal(cm_pairings_remove(r->store, NULL, p.hash, r->trace), CM_OK);
		expect(r, r->cert, NULL, false);
	}
}

/* A store of before there were pairings gets the table; where that cannot be, there are none. */
static void
test_older_store(void **state)
{
	struct rig *r = *state;

	rig_former(r);
	rig_reopen(r);
	rig_keep_alice(r, 4000, NOW);
	assert_int_equal(add(r, r->cert, "alice", false, false), CM_OK);
	expect(r, r->cert, "alice", false);
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");

	rig_sql(r, "DROP TABLE pairing");
	expect(r, r->cert, NULL, false);
	assert_int_equal(listed(r, NULL), 0);
	refused(r, cm_pairings_remove(r->store, "alice", NULL, r->trace), CM_ERR_ABSENT, CM_REASON_NOT_PAIRED, "alice");
	assert_int_equal(add(r, r->cert, "alice", false, false), CM_ERR_SYSTEM);
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
}

int
main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, rig_open, rig_close)
	const struct CMUnitTest tests[] = {
		TEST(test_kept), TEST(test_one_key_one_user), TEST(test_one_card_per_user),
		TEST(test_both_hashes_must_fit), TEST(test_list), TEST(test_remove),
		TEST(test_kept_account_ends_with_its_pairing), TEST(test_damage_is_told), TEST(test_older_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
