/* tests/card/test_piv_hostile.c - cards, readers and neighbours that misbehave; the attacks of features.md 6. */
#include "card_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* A deadline may be missed by this much on a busy machine. */
#define SLACK_MS	1000

static void
alice(void)
{
	card_become(card_make("alice-p256", "alice-p256", ""));
}

/* --- Hostile card: lengths, endless 61xx, wrong tags --- */

static const struct hostile_row {
	const char *fault;
	enum cm_reason reason;
} hostile[] = {
	{ "sw=6a82@insa4", CM_REASON_CARD_NOT_PIV },
	{ "sw=9000@insa4", CM_REASON_CARD_MALFORMED },
	{ "one-byte@insa4", CM_REASON_CARD_MALFORMED },
	{ "overlong@insa4", CM_REASON_CARD_MALFORMED },
	{ "overlong=60000@inscb", CM_REASON_CARD_MALFORMED },
	{ "wrong-tag@tag7e", CM_REASON_CARD_MALFORMED },
	{ "wrong-tag=inner@tag7e", CM_REASON_NONE },	/* its AID, which we do not need */
	{ "tlv-long@tag7e", CM_REASON_CARD_MALFORMED },
	{ "endless-61@tag7e", CM_REASON_CARD_MALFORMED },
	{ "wrong-tag@tag5fc102", CM_REASON_NONE },	/* not recognised next time, no more */
	{ "tlv-huge=inner@tag5fc102", CM_REASON_NONE },
	{ "endless-61@tag5fc102", CM_REASON_NONE },
	{ "wrong-tag@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "wrong-tag=inner@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "tlv-long@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "tlv-long=inner@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "tlv-short@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "tlv-short=inner@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "tlv-zero@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "tlv-zero=inner@tag5fc105", CM_REASON_CARD_NO_CERTIFICATE },
	{ "tlv-huge@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "tlv-huge=inner@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "tlv-indefinite@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "tlv-indefinite=inner@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "truncate@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "truncate=1@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "truncate=0@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "trailing@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "trailing=60000@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "trailing=70000@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "gzip-flag@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "gzip-bomb=64@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "endless-61@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "one-byte@insc0", CM_REASON_CARD_MALFORMED },
	{ "overlong=300@insc0", CM_REASON_CARD_MALFORMED },
	{ "sw=6f00@insc0", CM_REASON_CARD_MALFORMED },
	{ "sw=6c00@insc0", CM_REASON_CARD_MALFORMED },
	{ "sw=6c10@inscb", CM_REASON_CARD_MALFORMED },
	{ "sw=6982@tag5fc105", CM_REASON_CARD_MALFORMED },
	{ "sw=6f00@ins20", CM_REASON_CARD_MALFORMED },
	{ "sw=6300@ins20", CM_REASON_CARD_MALFORMED },
	{ "sw=63c0@ins20", CM_REASON_PIN_BLOCKED },
	{ "verify-6f00@ins20#2", CM_REASON_CARD_MALFORMED },
	{ "one-byte@ins20#2", CM_REASON_CARD_MALFORMED },
	{ "sw=6982@ins87", CM_REASON_CARD_KEY },
	{ "sw=9000@ins87", CM_REASON_CARD_MALFORMED },
	{ "overlong=100@ins87", CM_REASON_CARD_MALFORMED },
	{ "garbage-signature", CM_REASON_CARD_MALFORMED },
	{ "wrong-key", CM_REASON_CARD_KEY },
};

static void
test_hostile_card(void **state)
{
	(void)state;
	alice();
	for (size_t i = 0; i < CM_COUNT(hostile); i++) {
		struct login l = { 0 };
		const int64_t start = cm_clock_us();
		enum cm_err err;

		card_control("clear");
		card_control("tries 3");
		card_control("fault %s", hostile[i].fault);
		err = login(&l);
		if (l.reason != hostile[i].reason || err != cm_reason_err(l.reason) ||
		    l.proven != (err == CM_OK))
			fail_msg("%s: %s %s: %s", hostile[i].fault, cm_err_name(err),
			    cm_reason_name(l.reason), cm_trace_message(test_trace()));
		/* Nothing here is a matter of waiting. */
		assert_true(cm_clock_us() - start < 5000000);
		assert_true(l.stats.verifies <= 1);
	}
}

/* --- Copied public certificate without the key (CVE-2025-24032) --- */

static void
test_copied_certificate_is_refused(void **state)
{
	static const struct {
		const char *cert, *key;
	} rows[] = {
		{ "alice-rsa2048", "bob" },		/* a key of the same kind */
		{ "alice-p256", "alice-p384" },
		{ "alice-rsa2048", "alice-p256" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct login l = { 0 };

		card_become(card_make(rows[i].cert, rows[i].key, ""));
		assert_int_equal(login(&l), CM_ERR_REFUSED);
		assert_int_equal(l.reason, CM_REASON_CARD_KEY);
		assert_false(l.proven);
	}
}

/* --- Removal mid-exchange --- */

static void
test_removed_at_each_command(void **state)
{
	const char *dir = card_make("alice-rsa2048", "alice-rsa2048", "");
	char path[512];

	(void)state;
	snprintf(path, sizeof(path), "%s", dir);
	for (unsigned n = 1; n <= 13; n++) {
		struct login l = { 0 };

		card_insert(path);
		card_control("fault remove@%u", n);
		if (login(&l) != CM_ERR_OFFLINE || l.reason != CM_REASON_CARD_REMOVED)
			fail_msg("removed at command %u: %s: %s", n, cm_reason_name(l.reason),
			    cm_trace_message(test_trace()));
		assert_false(l.proven);
		assert_true(card_tries() == 3);
	}
	card_insert(path);
}

/* --- Slow card, frozen pcscd: every wait ends at its deadline --- */

static int64_t
ms_since(int64_t start_us)
{
	return (cm_clock_us() - start_us) / 1000;
}

static void
test_slow_card_ends_at_the_deadline(void **state)
{
	static const char *const faults[] = { "slow=1500@insa4", "slow=1500@tag7e", "slow=1500@tag5fc105",
		"slow=1500@insc0", "slow=1500@ins20#1", "slow=1500@ins20#2", "slow=1500@ins87" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(faults); i++) {
		struct login l = { .deadline_ms = 500 };
		const int64_t start = cm_clock_us();

		alice();
		card_control("fault %s", faults[i]);
		assert_int_equal(login(&l), CM_ERR_OFFLINE);
		assert_int_equal(l.reason, CM_REASON_CARD_SILENT);
		assert_in_range(ms_since(start), 490, 1490);
		/* The worker left behind lets go of the card when it has answered. */
		l.deadline_ms = 20000;
		card_control("clear");
		while (login(&l) == CM_ERR_AGAIN)	/* it was reset under us */
			assert_true(ms_since(start) < 10000);
		if (!l.proven)
			fail_msg("after %s: %s", faults[i], cm_trace_message(test_trace()));
	}
}

/* A PIN whose answer came too late has unlocked nothing for anybody. */
static void
test_late_pin_does_not_leave_the_card_unlocked(void **state)
{
	struct login l = { .deadline_ms = 300 };
	struct other o;

	(void)state;
	alice();
	card_control("fault slow=1000@ins20#2");
	assert_int_equal(login(&l), CM_ERR_OFFLINE);
	assert_int_equal(l.stats.verifies, 1);
	/* Its transaction keeps us out until the reset. */
	while (card_counts().resets == 0)
		;
	other_connect(&o);
	assert_int_equal(other_send(&o, "00200080") & 0xFFF0, 0x63C0);
	other_disconnect(&o, SCARD_LEAVE_CARD);
}

static void
assert_silent_within(unsigned ms)
{
	const cm_deadline deadline = cm_deadline_in(ms);
	const int64_t start = cm_clock_us();
	struct cm_card *card = NULL;

	assert_int_equal(cm_card_open("reader", CM_CARD_LOGIN, deadline, test_trace(), &card),
	    CM_ERR_OFFLINE);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_SILENT);
	assert_true(ms_since(start) < ms + SLACK_MS);
}

static enum cm_err
no_visit(void *arg, const struct cm_reader *r)
{
	(void)arg, (void)r;
	return CM_OK;
}

static void
test_frozen_pcscd_ends_at_the_deadline(void **state)
{
	const pid_t pcscd = (pid_t)strtol(getenv("CM_RIG_PID_PCSCD"), NULL, 10);
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;
	struct login l = { 0 };
	int64_t start;

	(void)state;
	alice();
	assert_int_equal(cm_card_open("reader", CM_CARD_LOOK, cm_deadline_in(5000), NULL, &card),
	    CM_OK);
	assert_int_equal(kill(pcscd, SIGSTOP), 0);
	/* in the middle, and at the start; a second time too */
	start = cm_clock_us();
	assert_int_equal(cm_card_certificate(card, CM_SLOT_AUTHENTICATION, cm_deadline_in(300),
	    test_trace(), &cert), CM_ERR_OFFLINE);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_SILENT);
	cm_card_close(&card);
	assert_true(ms_since(start) < 300 + SLACK_MS);
	assert_silent_within(300);
	assert_silent_within(300);
	assert_int_equal(cm_card_readers(cm_deadline_in(300), NULL, no_visit, NULL), CM_ERR_OFFLINE);
	assert_int_equal(kill(pcscd, SIGCONT), 0);
	assert_int_equal(login(&l), CM_OK);
	assert_true(l.proven);
}

/* --- Swapped or reset between reading and VERIFY --- */

/* Open and read alice's card, ask its tries. */
static struct cm_card *
open_alice(struct cm_cert **cert)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	struct cm_card *card = NULL;
	unsigned tries = 0;

	assert_int_equal(cm_card_open("reader", CM_CARD_LOGIN, deadline, NULL, &card), CM_OK);
	assert_int_equal(cm_card_certificate(card, CM_SLOT_AUTHENTICATION, deadline, NULL, cert),
	    CM_OK);
	assert_int_equal(cm_card_pin_tries(card, deadline, NULL, &tries), CM_OK);
	return card;
}

static enum cm_err
verify(struct cm_card *card, unsigned ms)
{
	struct cm_secret *pin = secret(PIN);
	unsigned left = 0;
	enum cm_err err;

	err = cm_card_verify_pin(card, pin, false, cm_deadline_in(ms), test_trace(), &left);
	cm_secret_free(&pin);
	return err;
}

/* "The PIN sent to a card swapped in after reading": the second card must see no VERIFY at all. */
static void
test_pin_is_not_sent_to_a_swapped_card(void **state)
{
	char bob[512];
	struct cm_cert *cert = NULL;
	struct cm_card *card;

	(void)state;
	alice();
	snprintf(bob, sizeof(bob), "%s", card_make("bob", "bob", ""));
	card = open_alice(&cert);
	card_log_count(NULL);
	card_control("swap %s", bob);
	card_control("zero");
	assert_int_equal(verify(card, 5000), CM_ERR_OFFLINE);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_REMOVED);
	/* and it stays so: nothing connects anew behind our back */
	assert_int_equal(verify(card, 5000), CM_ERR_OFFLINE);
	assert_int_equal(cm_card_stats(card).verifies, 0);
	assert_int_equal(card_counts().commands, 0);
	assert_int_equal(card_log_count(" 002000"), 0);
	cm_card_close(&card);
	cm_cert_free(&cert);
}

static void
test_swapped_between_pin_and_signature(void **state)
{
	char bob[512];
	struct cm_cert *cert = NULL;
	struct cm_card *card;
	struct cm_proof *proof = NULL;

	(void)state;
	alice();
	snprintf(bob, sizeof(bob), "%s", card_make("bob", "bob", ""));
	card = open_alice(&cert);
	assert_int_equal(verify(card, 5000), CM_OK);
	card_control("swap %s", bob);
	card_control("zero");
	assert_int_equal(cm_card_prove(card, CM_SLOT_AUTHENTICATION, cert, cm_deadline_in(5000),
	    test_trace(), &proof), CM_ERR_OFFLINE);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_REMOVED);
	assert_null(proof);
	assert_int_equal(card_counts().commands, 0);
	cm_card_close(&card);
	cm_cert_free(&cert);
}

static void
test_pin_is_not_sent_after_a_reset_by_others(void **state)
{
	struct cm_cert *cert = NULL;
	struct cm_card *card;
	struct other o;

	(void)state;
	alice();
	card = open_alice(&cert);
	other_connect(&o);
	other_disconnect(&o, SCARD_RESET_CARD);
	card_control("zero");
	assert_int_equal(verify(card, 5000), CM_ERR_AGAIN);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_CHANGED);
	assert_int_equal(card_counts().commands, 0);
	cm_card_close(&card);
	cm_cert_free(&cert);
}

/* A neighbour that keeps the card to itself costs the deadline, and no PIN. */
static void
test_neighbour_in_a_transaction(void **state)
{
	struct cm_cert *cert = NULL;
	struct cm_card *card;
	struct other o;
	struct login l = { 0 };
	int64_t start;

	(void)state;
	alice();
	card = open_alice(&cert);
	other_connect(&o);
	assert_int_equal(SCardBeginTransaction(o.card), SCARD_S_SUCCESS);
	card_control("zero");
	start = cm_clock_us();
	assert_int_equal(verify(card, 300), CM_ERR_OFFLINE);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_SILENT);
	assert_true(ms_since(start) < 300 + SLACK_MS);
	cm_card_close(&card);
	assert_int_equal(SCardEndTransaction(o.card, SCARD_LEAVE_CARD), SCARD_S_SUCCESS);
	assert_int_equal(card_counts().commands, 0);
	other_disconnect(&o, SCARD_LEAVE_CARD);
	assert_int_equal(login(&l), CM_OK);
	cm_cert_free(&cert);
}

/* The last test: nobody starts it again. */
static void
test_pcscd_that_ended_is_named(void **state)
{
	const pid_t pcscd = (pid_t)strtol(getenv("CM_RIG_PID_PCSCD"), NULL, 10);
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;

	(void)state;
	alice();
	assert_int_equal(cm_card_open("reader", CM_CARD_LOOK, cm_deadline_in(5000), NULL, &card),
	    CM_OK);
	assert_int_equal(kill(pcscd, SIGKILL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(cm_card_certificate(card, CM_SLOT_AUTHENTICATION, cm_deadline_in(5000),
		    test_trace(), &cert), CM_ERR_OFFLINE);
		assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_NO_READER);
	}
	cm_card_close(&card);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile_card),
		cmocka_unit_test(test_copied_certificate_is_refused),
		cmocka_unit_test(test_slow_card_ends_at_the_deadline),
		cmocka_unit_test(test_late_pin_does_not_leave_the_card_unlocked),
		cmocka_unit_test(test_frozen_pcscd_ends_at_the_deadline),
		cmocka_unit_test(test_pin_is_not_sent_to_a_swapped_card),
		cmocka_unit_test(test_swapped_between_pin_and_signature),
		cmocka_unit_test(test_pin_is_not_sent_after_a_reset_by_others),
		cmocka_unit_test(test_neighbour_in_a_transaction),
		cmocka_unit_test(test_removed_at_each_command),
		cmocka_unit_test(test_pcscd_that_ended_is_named),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
