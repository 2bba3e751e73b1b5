/* tests/helper/test_pad.c - the PIN typed on the reader, asked for through the channel. */
#include "helper_rig.h"

static const uint8_t nonce[32] = { 1 };

static enum cm_err
verify_on_pad(struct helper *h, bool last_try)
{
	const struct cm_message m = { .kind = CM_MESSAGE_VERIFY, .pad = 1, .last_try = last_try, .deadline = 30000 };

	return helper_ask(h, &m, NULL, CM_MESSAGE_VERIFIED);
}

static void
test_login_with_the_pin_on_the_reader(void **state)
{
	struct helper h;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", GUID));
	helper_start(&h, NULL);
	h.known = pki_cert("alice-p256");
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(h.answer.pad, 1);
	pad_type("");
	assert_int_equal(verify_on_pad(&h, false), CM_ERR_USAGE);
	assert_int_equal(helper_reason(&h), CM_REASON_PIN_MISSING);
	pad_type("cancel");
	assert_int_equal(verify_on_pad(&h, false), CM_ERR_AGAIN);
	assert_int_equal(helper_reason(&h), CM_REASON_CANCELLED);
	assert_int_equal(h.answer.tries, 3);
	pad_type("30927461");
	assert_int_equal(verify_on_pad(&h, false), CM_ERR_REFUSED);
	assert_int_equal(helper_reason(&h), CM_REASON_PIN_WRONG);
	assert_int_equal(h.answer.tries, 2);
	pad_type(PIN);
	assert_int_equal(verify_on_pad(&h, false), CM_OK);
	assert_int_equal(helper_sign(&h, nonce), CM_OK);
	helper_end(&h);
	assert_int_equal(card_log_count(" 0020008008"), 2);
}

/* A PIN from the keyboard does as well. */
static void
test_pipe_on_a_reader_with_a_pad(void **state)
{
	struct helper h;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", GUID));
	helper_start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(helper_verify(&h, PIN), CM_OK);
	helper_end(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_login_with_the_pin_on_the_reader),
		cmocka_unit_test(test_pipe_on_a_reader_with_a_pad),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
