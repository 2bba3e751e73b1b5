/* tests/krb5/test_card.c - PKINIT with the virtual card in pcscd's reader: what it costs, and how it fails. */
#include "krb5_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Another card, or the same with faults, in the reader. */
static void
put_card(const char *spec, const char *faults)
{
	char program[RIG_PATH], out[4096];
	char *const argv[] = { program, "card", (char *)spec, "--faults", (char *)faults, NULL };

	snprintf(program, sizeof(program), "%s", rig("CM_RIG"));
	if (run(argv, out, sizeof(out)) != 0)
		fail_msg("rig.py card %s: %s", spec, out);
}

static unsigned
count(const char *text, const char *word)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, word)) != NULL; p++)
		n++;
	return n;
}

/* One private-key operation: the ticket, opened with the keytab, is the proof. */
static void
test_one_operation(void **state)
{
	static const struct {
		const char *card;
		unsigned commands;	/* of the signature: short APDUs, chained */
	} rows[] = { { "alice-rsa2048", 3 }, { "alice-p256", 1 }, { "alice-p384", 1 } };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct login l;
		unsigned before;

		put_card(rows[i].card, "");
		login_begin(&l, "reader");
		before = cm_card_stats(l.card).commands;
		assert_int_equal(login_run(&l), CM_OK);
		assert_true(cm_ticket_proves(l.ticket, &l.account, l.cert));
		assert_int_equal(cm_card_stats(l.card).key_operations, 1);
		assert_in_range(cm_card_stats(l.card).commands - before, 1, rows[i].commands);
		assert_int_equal(cm_card_stats(l.card).verifies, 1);
		login_end(&l);
	}
}

/*
 * The card fails while it signs: the KDC gets the first question, and nothing
 * after it, though this principal has a password and the KDC offers ways to use it.
 */
static void
test_card_fails_while_signing(void **state)
{
	static const struct {
		const char *fault;
		enum cm_reason reason;
	} rows[] = {
		{ "remove@ins87", CM_REASON_CARD_REMOVED },
		{ "sw=6982@ins87", CM_REASON_CARD_KEY },
	};

	(void)state;
	kadmin("cpw -pw secret alice");
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		char said[16384];
		struct kdc kdc;
		struct login l;

		start_kdc(&kdc, "kdc", "spake_preauth_groups = edwards25519");
		put_card("alice-p256", rows[i].fault);
		login_begin(&l, "reader");
		l.kdcs[0] = SECOND_KDC;
		__lsan_disable();	/* the pkinit plugin leaks when the card does not sign */
		assert_int_equal(login_run(&l), cm_reason_err(rows[i].reason));
		__lsan_enable();
		if (cm_trace_reason(l.trace) != rows[i].reason)
			fail_msg("%s: %s", cm_reason_name(cm_trace_reason(l.trace)), cm_trace_message(l.trace));
		login_end(&l);
		stop_kdc(&kdc, said, sizeof(said));
		assert_int_equal(count(said, "AS_REQ"), 1);
		assert_int_equal(count(said, "NEEDED_PREAUTH"), 1);
	}
}

/* With all other ways on offer it is still the card's key that opens the account, once. */
static void
test_password_is_no_way(void **state)
{
	char said[16384];
	struct kdc kdc;
	struct login l;

	(void)state;
	start_kdc(&kdc, "kdc", "spake_preauth_groups = edwards25519");
	put_card("alice-p256", "");
	login_begin(&l, "reader");
	l.kdcs[0] = SECOND_KDC;
	assert_int_equal(login_run(&l), CM_OK);
	assert_int_equal(cm_card_stats(l.card).key_operations, 1);
	login_end(&l);
	stop_kdc(&kdc, said, sizeof(said));
	assert_int_equal(count(said, "AS_REQ"), 2);
}

/* A card that takes its time: the deadline of the call holds for it as well. */
static void
test_slow_card(void **state)
{
	struct login l;
	int64_t began;

	(void)state;
	put_card("alice-p256", "slow=4000@ins87");
	login_begin(&l, "reader");
	l.deadline_ms = 1000;
	began = cm_clock_us();
	__lsan_disable();
	assert_int_equal(login_run(&l), CM_ERR_OFFLINE);
	__lsan_enable();
	assert_int_equal(cm_trace_reason(l.trace), CM_REASON_CARD_SILENT);
	assert_in_range(cm_clock_us() - began, 800000, 2500000);
	login_end(&l);
}

/* Card swapped between map and sign: another key signs, and the KDC gets nothing of it. */
static void
test_signature_of_another_key(void **state)
{
	struct login l;

	(void)state;
	put_card("alice-p256", "wrong-key");
	login_begin(&l, "reader");
	__lsan_disable();	/* the pkinit plugin leaks when its module does not sign */
	assert_int_equal(login_run(&l), CM_ERR_REFUSED);
	__lsan_enable();
	assert_int_equal(cm_trace_reason(l.trace), CM_REASON_CARD_KEY);
	login_end(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_operation),
		cmocka_unit_test(test_card_fails_while_signing),
		cmocka_unit_test(test_password_is_no_way),
		cmocka_unit_test(test_slow_card),
		cmocka_unit_test(test_signature_of_another_key),
	};

	return cmocka_run_group_tests_name("krb5.card", tests, NULL, NULL);
}
