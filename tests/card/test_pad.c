/* tests/card/test_pad.c - the PIN typed on the reader: a driver of the rig's in the real pcscd, and the virtual card. */
#include "card_rig.h"

#include <stdio.h>
#include <stdlib.h>

struct session {
	struct cm_card *card;
	struct cm_cert *cert;
	cm_deadline deadline;
	unsigned tries, left;
};

static void
begin(struct session *s, const char *conf)
{
	*s = (struct session){ .deadline = cm_deadline_in(20000) };
	card_become(card_make("alice-p256", "alice-p256", conf));
	assert_int_equal(cm_card_open("reader", CM_CARD_LOGIN, s->deadline, test_trace(), &s->card), CM_OK);
	assert_true(cm_card_has_pad(s->card));
	assert_int_equal(cm_card_pin_tries(s->card, s->deadline, test_trace(), &s->tries), CM_OK);
	assert_int_equal(cm_card_certificate(s->card, CM_SLOT_AUTHENTICATION, s->deadline, test_trace(), &s->cert), CM_OK);
}

static enum cm_err
verify(struct session *s, bool last_try)
{
	cm_trace_clear_reason(test_trace());
	return cm_card_verify_pad(s->card, last_try, s->deadline, test_trace(), &s->left);
}

static void
end(struct session *s)
{
	cm_cert_free(&s->cert);
	cm_card_close(&s->card);
}

static void
test_pin_from_the_pad_unlocks(void **state)
{
	static const char *const confs[] = { "", "pin_policy=global\n" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(confs); i++) {
		struct cm_proof *proof = NULL;
		struct session s;

		pad_type(PIN);
		begin(&s, confs[i]);
		assert_int_equal(verify(&s, false), CM_OK);
		assert_int_equal(cm_card_prove(s.card, CM_SLOT_AUTHENTICATION, s.cert, s.deadline, test_trace(), &proof), CM_OK);
		assert_int_equal(cm_card_stats(s.card).verifies, 1);
		assert_int_equal(cm_card_stats(s.card).commands, card_counts().commands);
		cm_proof_free(&proof);
		end(&s);
		/* the card saw one VERIFY of the right kind, and a reset at the end */
		assert_int_equal(card_log_count(i == 0 ? " 0020008008" : " 0020000008"), 1);
		assert_int_equal(card_counts().resets, 1);
	}
}

static const struct row {
	const char *typed;
	enum cm_reason reason;
	unsigned tries;		/* the card's, afterwards */
} rows[] = {
	{ "30927461", CM_REASON_PIN_WRONG, 2 },
	{ "12345678", CM_REASON_PIN_WRONG, 2 },
	{ "", CM_REASON_PIN_MISSING, 3 },
	{ "cancel", CM_REASON_CANCELLED, 3 },
	{ "12345", CM_REASON_PIN_FORM, 3 },
	{ "123456789", CM_REASON_PIN_FORM, 3 },
};

static void
test_what_else_may_be_typed(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct session s;

		pad_type(rows[i].typed);
		begin(&s, "");
		assert_int_equal(verify(&s, false), cm_reason_err(rows[i].reason));
		assert_int_equal(cm_trace_reason(test_trace()), rows[i].reason);
		assert_int_equal(s.left, rows[i].tries);
		assert_int_equal(card_tries(), rows[i].tries);
		/* and again, with the right one */
		pad_type(PIN);
		assert_int_equal(verify(&s, false), CM_OK);
		end(&s);
	}
}

static void
test_last_try_is_not_offered_to_the_pad(void **state)
{
	struct session s;

	(void)state;
	pad_type(PIN);
	card_become(card_make("alice-p256", "alice-p256", ""));
	begin(&s, "retries=1\n");
	card_control("tries 1");
	assert_int_equal(cm_card_pin_tries(s.card, s.deadline, test_trace(), &s.tries), CM_OK);
	assert_int_equal(verify(&s, false), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_PIN_LAST_TRY);
	assert_int_equal(card_log_count(" 0020008008"), 0);
	assert_int_equal(verify(&s, true), CM_OK);
	end(&s);
}

/* Another card than was read is not given to the pad either. */
static void
test_swapped_before_the_pad(void **state)
{
	struct session s;
	char bob[512];

	(void)state;
	pad_type(PIN);
	begin(&s, "");
	snprintf(bob, sizeof(bob), "%s", card_make("bob", "bob", ""));
	card_control("swap %s", bob);
	card_control("zero");
	assert_int_equal(verify(&s, false), CM_ERR_OFFLINE);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_REMOVED);
	assert_int_equal(card_counts().commands, 0);
	end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pin_from_the_pad_unlocks),
		cmocka_unit_test(test_what_else_may_be_typed),
		cmocka_unit_test(test_last_try_is_not_offered_to_the_pad),
		cmocka_unit_test(test_swapped_before_the_pad),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
