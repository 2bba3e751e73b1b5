/* tests/helper/test_cards.c - cards and readers through the channel: hostile ones end a request with its reason, never the helper. */
#include "helper_rig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static const uint8_t nonce[32] = { 1 };

static const struct hostile_row {
	const char *fault;
	enum cm_message_kind at;	/* which answer has the reason */
	enum cm_reason reason;
} hostile[] = {
	{ "sw=6a82@insa4", CM_MESSAGE_OPENED, CM_REASON_CARD_NOT_PIV },
	{ "overlong@insa4", CM_MESSAGE_OPENED, CM_REASON_CARD_MALFORMED },
	{ "endless-61@tag7e", CM_MESSAGE_OPENED, CM_REASON_CARD_MALFORMED },
	{ "wrong-tag@tag5fc105", CM_MESSAGE_OPENED, CM_REASON_CARD_MALFORMED },
	{ "tlv-huge@tag5fc105", CM_MESSAGE_OPENED, CM_REASON_CARD_MALFORMED },
	{ "truncate@tag5fc105", CM_MESSAGE_OPENED, CM_REASON_CARD_MALFORMED },
	{ "trailing=60000@tag5fc105", CM_MESSAGE_OPENED, CM_REASON_CARD_MALFORMED },
	{ "gzip-bomb=64@tag5fc105", CM_MESSAGE_OPENED, CM_REASON_CARD_MALFORMED },
	{ "endless-61@tag5fc105", CM_MESSAGE_OPENED, CM_REASON_CARD_MALFORMED },
	{ "sw=6f00@ins20#1", CM_MESSAGE_OPENED, CM_REASON_CARD_MALFORMED },
	{ "verify-6f00@ins20#2", CM_MESSAGE_VERIFIED, CM_REASON_CARD_MALFORMED },
	{ "one-byte@ins20#2", CM_MESSAGE_VERIFIED, CM_REASON_CARD_MALFORMED },
	{ "sw=6982@ins87", CM_MESSAGE_SIGNED, CM_REASON_CARD_KEY },
	{ "overlong=100@ins87", CM_MESSAGE_SIGNED, CM_REASON_CARD_MALFORMED },
	{ "garbage-signature", CM_MESSAGE_SIGNED, CM_REASON_CARD_MALFORMED },
	{ "wrong-key", CM_MESSAGE_SIGNED, CM_REASON_CARD_KEY },
	{ "wrong-key", CM_MESSAGE_TICKET, CM_REASON_CARD_KEY },
	{ "garbage-signature", CM_MESSAGE_TICKET, CM_REASON_CARD_MALFORMED },
	/* where the ticket was begun before the PIN came */
	{ "wrong-key", CM_MESSAGE_EXPECT_TICKET, CM_REASON_CARD_KEY },
	{ "garbage-signature", CM_MESSAGE_EXPECT_TICKET, CM_REASON_CARD_MALFORMED },
	{ "sw=6982@ins87", CM_MESSAGE_EXPECT_TICKET, CM_REASON_CARD_KEY },
};

static void
expect(struct helper *h, const struct hostile_row *r, enum cm_message_kind kind, enum cm_err err)
{
	const bool here = r->at == kind || (r->at == CM_MESSAGE_EXPECT_TICKET && kind == CM_MESSAGE_TICKET);
	const enum cm_reason want = here ? r->reason : CM_REASON_NONE;

	if (helper_reason(h) != want || err != cm_reason_err(want))
		fail_msg("%s: %s: %s: %s", r->fault, cm_message_kind_name(kind), cm_reason_name(helper_reason(h)), h->answer.text);
}

static void
go_through(struct helper *h, const struct hostile_row *r)
{
	const struct cm_message expected = { .kind = CM_MESSAGE_EXPECT_TICKET, .principal = "alice@CARDMAP.TEST", .deadline = 20000 };
	const struct cm_message ticket = { .kind = CM_MESSAGE_GET_TICKET, .principal = "alice@CARDMAP.TEST", .deadline = 20000 };

	expect(h, r, CM_MESSAGE_OPENED, helper_open(h));
	if (r->at == CM_MESSAGE_OPENED)
		return;
	if (r->at == CM_MESSAGE_EXPECT_TICKET)
		helper_send(h, &expected, NULL, NULL);
	expect(h, r, CM_MESSAGE_VERIFIED, helper_verify(h, PIN));
	if (r->at == CM_MESSAGE_VERIFIED)
		return;
	if (r->at == CM_MESSAGE_SIGNED) {
		expect(h, r, CM_MESSAGE_SIGNED, helper_sign(h, nonce));
		assert_int_equal(h->answer.signature.len, 0);
	} else {
		expect(h, r, CM_MESSAGE_TICKET, helper_ask(h, &ticket, NULL, CM_MESSAGE_TICKET));
		assert_int_equal(h->answer.ticket.len, 0);
	}
}

static void
test_hostile_cards_end_in_a_reason(void **state)
{
	/* libkrb5's pkinit plugin leaves its request behind where the signature fails */
	static const char *const no_leaks[] = { "ASAN_OPTIONS=detect_leaks=0", NULL };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(hostile); i++) {
		struct helper h;

		card_become(card_make("alice-p256", "alice-p256", GUID));
		card_control("fault %s", hostile[i].fault);
		helper_start(&h, hostile[i].at == CM_MESSAGE_TICKET || hostile[i].at == CM_MESSAGE_EXPECT_TICKET ? no_leaks : NULL);
		go_through(&h, &hostile[i]);
		helper_end(&h);		/* with status 0: it was never its end */
	}
}

static void
test_copied_certificate(void **state)
{
	struct helper h;

	(void)state;
	card_become(card_make("alice-rsa2048", "bob", GUID));
	helper_start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(helper_verify(&h, PIN), CM_OK);
	assert_int_equal(helper_sign(&h, nonce), CM_ERR_REFUSED);
	assert_int_equal(helper_reason(&h), CM_REASON_CARD_KEY);
	helper_end(&h);
}

/* --- WATCH --- */

static void
next_reader(struct helper *h)
{
	do {
		cm_message_clear(&h->answer);
		assert_int_equal(cm_channel_receive(h->channel, cm_deadline_in(30000), &h->answer, NULL, 0), CM_OK);
	} while (h->answer.kind == CM_MESSAGE_ALIVE);
	assert_int_equal(h->answer.kind, CM_MESSAGE_READER);
}

static void
test_watching(void **state)
{
	const struct cm_message m = { .kind = CM_MESSAGE_WATCH };
	char dir[512];
	struct helper h;

	(void)state;
	snprintf(dir, sizeof(dir), "%s", card_make("alice-p256", "alice-p256", GUID));
	card_insert(dir);
	helper_start(&h, NULL);
	helper_send(&h, &m, NULL, NULL);
	next_reader(&h);
	assert_string_equal(h.answer.reader, READER);
	assert_true(h.answer.present && h.answer.atr.len > 2 && h.answer.insertion == 1);
	next_reader(&h);
	assert_string_equal(h.answer.reader, "Virtual PCD 00 01");
	assert_true(!h.answer.present && h.answer.insertion == 0);
	card_control("remove");
	next_reader(&h);
	assert_string_equal(h.answer.reader, READER);
	assert_true(!h.answer.present && h.answer.insertion == 1 && !h.answer.gone);
	card_control("insert %s", dir);
	next_reader(&h);
	assert_true(h.answer.present && h.answer.insertion == 2);
	/* no command went to any card for all this */
	card_control("zero");
	cm_channel_free(&h.channel);
	assert_int_equal(helper_wait(&h, 2500), 0);
	assert_int_equal(card_counts().commands, 0);
}

/* The last one: who stops pcscd has no card for a while. */
static void
test_watching_without_pcscd(void **state)
{
	const struct cm_message m = { .kind = CM_MESSAGE_WATCH };
	struct helper h;

	(void)state;
	card_control("remove");
	rig_command("stop pcscd");
	helper_start(&h, NULL);
	helper_send(&h, &m, NULL, NULL);
	next_reader(&h);
	assert_string_equal(h.answer.reader, "");
	assert_int_equal(h.answer.err, CM_ERR_OFFLINE);
	assert_int_equal(h.answer.reason, CM_REASON_NO_READER);
	rig_command("start pcscd");
	next_reader(&h);
	assert_string_equal(h.answer.reader, "");
	assert_int_equal(h.answer.err, CM_OK);
	next_reader(&h);
	assert_string_equal(h.answer.reader, READER);
	helper_end(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile_cards_end_in_a_reason),
		cmocka_unit_test(test_copied_certificate),
		cmocka_unit_test(test_watching),
		cmocka_unit_test(test_watching_without_pcscd),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
