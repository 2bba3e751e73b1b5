/* tests/helper/test_end.c - how cardmap-card ends: with its channel, whatever the card is at, and the card is reset. */
#include "helper_rig.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* What is promised; the sanitizers' own end takes some of it. */
#define GONE_MS	2500

static const uint8_t nonce[32] = { 1 };

static void
start(struct helper *h, const char *const *environment)
{
	card_become(card_make("alice-p256", "alice-p256", GUID));
	helper_start(h, environment);
	h->known = pki_cert("alice-p256");
}

/* pcscd resets the card for who did not, once it sees that he is gone. */
static void
assert_locked_again(void)
{
	const cm_deadline deadline = cm_deadline_in(20000);
	struct other o;

	while (card_counts().resets == 0) {
		assert_false(cm_deadline_passed(deadline));
		poll(NULL, 0, 5);
	}
	other_connect(&o);
	assert_int_equal(other_send(&o, "00200080") & 0xFFF0, 0x63C0);
	other_disconnect(&o, SCARD_LEAVE_CARD);
}

/* --- The channel closes while the card hangs, at each kind of command --- */

static const struct hang_row {
	const char *fault;
	enum cm_message_kind kind;	/* in the middle of what */
} hangs[] = {
	{ "slow=3000@insa4", CM_MESSAGE_OPEN },
	{ "slow=3000@ins20", CM_MESSAGE_VERIFY },
	{ "slow=3000@ins24", CM_MESSAGE_CHANGE_PIN },
	{ "slow=3000@ins87", CM_MESSAGE_SIGN },
	{ "slow=3000@ins87", CM_MESSAGE_GET_TICKET },
};

static void
ask_and_leave(struct helper *h, const struct hang_row *r)
{
	const struct cm_message m = { .kind = r->kind, .reader = READER, .insertion = 1, .deadline = 60000,
		.nonce = { nonce, sizeof(nonce) }, .principal = "alice@CARDMAP.TEST" };
	const cm_deadline deadline = cm_deadline_in(20000);
	const bool pin = r->kind == CM_MESSAGE_VERIFY || r->kind == CM_MESSAGE_CHANGE_PIN;

	helper_send(h, &m, pin ? PIN : NULL, r->kind == CM_MESSAGE_CHANGE_PIN ? "52640917" : NULL);
	/* until the card has the command, which it does not answer: it counts it when it comes */
	while (card_counts().commands == 0) {
		assert_false(cm_deadline_passed(deadline));
		poll(NULL, 0, 5);
	}
	cm_channel_free(&h->channel);
}

static void
test_channel_closed_while_the_card_hangs(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(hangs); i++) {
		struct helper h;
		int64_t since;

		start(&h, NULL);
		if (hangs[i].kind != CM_MESSAGE_OPEN)
			assert_int_equal(helper_open(&h), CM_OK);
		if (hangs[i].kind == CM_MESSAGE_SIGN || hangs[i].kind == CM_MESSAGE_GET_TICKET)
			assert_int_equal(helper_verify(&h, PIN), CM_OK);
		if (hangs[i].kind != CM_MESSAGE_OPEN)
			card_control("zero");
		card_control("fault %s", hangs[i].fault);
		ask_and_leave(&h, &hangs[i]);
		since = cm_clock_us();
		assert_int_equal(helper_wait(&h, GONE_MS), 0);
		if (cm_clock_us() - since > GONE_MS * 1000)
			fail_msg("%s: %d ms", hangs[i].fault, (int)((cm_clock_us() - since) / 1000));
		assert_locked_again();
	}
}

/* --- It is killed --- */

/* Neither at the prompt, with what was begun for the PIN, nor while a KDC is silent, does its end wait for anything. */
static void
test_closed_at_the_prompt(void **state)
{
	const struct cm_message expect = { .kind = CM_MESSAGE_EXPECT_TICKET, .deadline = 60000, .principal = "alice@CARDMAP.TEST" };
	const struct cm_message again = { .kind = CM_MESSAGE_READ_AGAIN, .deadline = 20000 };
	const pid_t kdc = (pid_t)strtol(getenv("CM_RIG_PID_KDC"), NULL, 10);

	(void)state;
	for (int frozen = 0; frozen < 2; frozen++) {
		struct helper h;

		if (frozen)
			assert_int_equal(kill(kdc, SIGSTOP), 0);
		start(&h, NULL);
		assert_int_equal(helper_open(&h), CM_OK);
		helper_send(&h, &expect, NULL, NULL);
		if (frozen) {	/* it serves on, and lets go of what it began for another certificate */
			assert_int_equal(helper_ask(&h, &again, NULL, CM_MESSAGE_OPENED), CM_OK);
			helper_send(&h, &expect, NULL, NULL);
		}
		cm_channel_free(&h.channel);
		assert_int_equal(helper_wait(&h, GONE_MS), 0);
	}
	assert_int_equal(kill(kdc, SIGCONT), 0);
}

static void
test_killed_with_the_card_unlocked(void **state)
{
	struct helper h;

	(void)state;
	start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(helper_verify(&h, PIN), CM_OK);
	assert_int_equal(kill(h.pid, SIGKILL), 0);
	assert_int_equal(helper_wait(&h, 10000), 128 + SIGKILL);
	assert_locked_again();
}

/* At each message it serves, by its fault point: what was open is closed, and the next helper works. */
static void
test_killed_at_each_message(void **state)
{
	static const char *const names[] = { "OPEN", "READ_AGAIN", "VERIFY", "SIGN", "GET_TICKET", "CHANGE_PIN" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(names); i++) {
		char fault[64];
		const char *const environment[] = { fault, NULL };
		struct cm_message m = { .deadline = 20000, .principal = "alice@CARDMAP.TEST", .nonce = { nonce, 32 } };
		struct helper h;
		enum cm_err err;

		snprintf(fault, sizeof(fault), "CM_FAULT=kill:helper.%s", names[i]);
		start(&h, environment);
		err = helper_open(&h);
		assert_int_equal(err, i == 0 ? CM_ERR_OFFLINE : CM_OK);
		if (err == CM_OK && strcmp(names[i], "CHANGE_PIN") == 0) {
			m.kind = CM_MESSAGE_CHANGE_PIN;
			helper_send(&h, &m, PIN, "52640917");
		} else if (err == CM_OK && strcmp(names[i], "READ_AGAIN") == 0) {
			m.kind = CM_MESSAGE_READ_AGAIN;
			assert_int_equal(helper_ask(&h, &m, NULL, CM_MESSAGE_OPENED), CM_ERR_OFFLINE);
		} else if (err == CM_OK && (err = helper_verify(&h, PIN)) == CM_OK) {
			assert_true(i > 2);
			m.kind = strcmp(names[i], "SIGN") == 0 ? CM_MESSAGE_SIGN : CM_MESSAGE_GET_TICKET;
			assert_int_equal(helper_ask(&h, &m, NULL, m.kind == CM_MESSAGE_SIGN ? CM_MESSAGE_SIGNED :
			    CM_MESSAGE_TICKET), CM_ERR_OFFLINE);
		}
		assert_int_equal(helper_wait(&h, 10000), 128 + SIGKILL);
		if (card_log_count(" 0020008008") > 0)
			assert_locked_again();
		assert_true(card_tries() == 3);
		helper_start(&h, NULL);
		assert_int_equal(helper_open(&h), CM_OK);
		assert_int_equal(helper_verify(&h, PIN), CM_OK);
		assert_int_equal(helper_sign(&h, nonce), CM_OK);
		helper_end(&h);
	}
}

static void
test_injected_failures_have_a_reason(void **state)
{
	static const char *const environment[] = { "CM_FAULT=helper.VERIFY", NULL };
	struct helper h;

	(void)state;
	start(&h, environment);
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(helper_verify(&h, PIN), CM_ERR_SYSTEM);
	assert_int_equal(helper_reason(&h), CM_REASON_INJECTED);
	helper_end(&h);
	assert_int_equal(card_log_count(" 0020008008"), 0);
}

/* --- The card goes, or is another --- */

static void
test_swapped_between_map_and_sign(void **state)
{
	char alice[512], bob[512];
	struct helper h;

	(void)state;
	snprintf(alice, sizeof(alice), "%s", card_make("alice-p256", "alice-p256", GUID));
	snprintf(bob, sizeof(bob), "%s", card_make("bob", "bob", GUID));
	card_insert(alice);
	helper_start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	card_control("swap %s", bob);
	card_control("zero");
	card_log_count(NULL);
	assert_int_equal(helper_verify(&h, PIN), CM_ERR_OFFLINE);
	assert_int_equal(helper_reason(&h), CM_REASON_CARD_REMOVED);
	assert_int_equal(helper_verify(&h, PIN), CM_ERR_OFFLINE);
	helper_end(&h);
	assert_int_equal(card_log_count(" 0020008008"), 0);
	assert_int_equal(card_counts().commands, 0);
	/* and with the PIN verified: the other card signs nothing */
	card_insert(alice);
	helper_start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(helper_verify(&h, PIN), CM_OK);
	card_control("swap %s", bob);
	card_control("zero");
	assert_int_equal(helper_sign(&h, nonce), CM_ERR_OFFLINE);
	assert_int_equal(h.answer.signature.len, 0);
	helper_end(&h);
	assert_int_equal(card_counts().operations, 0);
	card_insert(alice);
}

static void
test_reset_by_others_while_a_person_is_asked(void **state)
{
	struct helper h;
	struct other o;

	(void)state;
	start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	other_connect(&o);
	other_disconnect(&o, SCARD_RESET_CARD);
	assert_int_equal(helper_verify(&h, PIN), CM_ERR_AGAIN);
	assert_int_equal(helper_reason(&h), CM_REASON_CARD_CHANGED);
	helper_end(&h);
	assert_int_equal(card_log_count(" 0020008008"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_channel_closed_while_the_card_hangs),
		cmocka_unit_test(test_closed_at_the_prompt),
		cmocka_unit_test(test_killed_with_the_card_unlocked),
		cmocka_unit_test(test_killed_at_each_message),
		cmocka_unit_test(test_injected_failures_have_a_reason),
		cmocka_unit_test(test_swapped_between_map_and_sign),
		cmocka_unit_test(test_reset_by_others_while_a_person_is_asked),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
