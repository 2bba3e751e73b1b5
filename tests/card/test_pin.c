/* tests/card/test_pin.c - another PIN for the old one, and PINs that the reader takes. */
#include "card_rig.h"

#include <reader.h>
#include <stdio.h>
#include <stdlib.h>

#include "card/card_internal.h"

/* --- CHANGE REFERENCE DATA --- */

struct change {
	const char *now, *next;
	bool last_try;
	unsigned left;
};

static enum cm_err
change(struct change *c)
{
	const cm_deadline deadline = cm_deadline_in(20000);
	struct cm_secret *now = secret(c->now), *next = secret(c->next);
	const struct cm_card_pins pins = { now, next, c->last_try };
	struct cm_card *card = NULL;
	unsigned tries = 0;
	enum cm_err err;

	cm_trace_clear_reason(test_trace());
	assert_int_equal(cm_card_open("reader", CM_CARD_LOGIN, deadline, test_trace(), &card), CM_OK);
	assert_int_equal(cm_card_pin_tries(card, deadline, test_trace(), &tries), CM_OK);
	err = cm_card_change_pin(card, &pins, deadline, test_trace(), &c->left);
	cm_card_close(&card);
	cm_secret_free(&now);
	cm_secret_free(&next);
	return err;
}

static void
expect(struct change c, enum cm_reason reason, unsigned tries)
{
	assert_int_equal(change(&c), cm_reason_err(reason));
	assert_int_equal(cm_trace_reason(test_trace()), reason);
	assert_int_equal(card_tries(), tries);
	if (reason == CM_REASON_PIN_WRONG || reason == CM_REASON_PIN_BLOCKED)
		assert_int_equal(c.left, tries);
}

static void
test_pin_is_changed(void **state)
{
	struct login l = { .pin = "52640917" };

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	expect((struct change){ PIN, "52640917", false, 0 }, CM_REASON_NONE, 3);
	/* the session that changed it ended with a reset: nobody finds the card unlocked */
	assert_int_equal(card_counts().resets, 1);
	assert_int_equal(login(&l), CM_OK);
	l.pin = PIN;
	assert_int_equal(login(&l), CM_ERR_REFUSED);
	assert_int_equal(l.reason, CM_REASON_PIN_WRONG);
}

static void
test_wrong_old_pin_spends_a_try_and_never_the_last_one_unasked(void **state)
{
	struct login l = { 0 };

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	expect((struct change){ "30927461", "52640917", false, 0 }, CM_REASON_PIN_WRONG, 2);
	expect((struct change){ "30927461", "52640917", false, 0 }, CM_REASON_PIN_WRONG, 1);
	expect((struct change){ "30927461", "52640917", false, 0 }, CM_REASON_PIN_LAST_TRY, 1);
	expect((struct change){ PIN, "52640917", false, 0 }, CM_REASON_PIN_LAST_TRY, 1);
	/* nothing was changed by any of them */
	l.last_try = true;
	assert_int_equal(login(&l), CM_OK);
	card_control("tries 1");
	expect((struct change){ "30927461", "52640917", true, 0 }, CM_REASON_PIN_BLOCKED, 0);
	expect((struct change){ PIN, "52640917", true, 0 }, CM_REASON_PIN_BLOCKED, 0);
}

static void
test_what_cannot_be_a_pin_does_not_become_one(void **state)
{
	static const char *const pins[] = { "", "12345", "123456789", "12345a", "123456\n" };
	struct login l = { 0 };

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	for (size_t i = 0; i < CM_COUNT(pins); i++) {
		expect((struct change){ PIN, pins[i], false, 0 }, CM_REASON_PIN_FORM, 3);
		expect((struct change){ pins[i], "52640917", false, 0 }, CM_REASON_PIN_FORM, 3);
	}
	assert_int_equal(card_log_count(" 00240080"), 0);
	/* a card may be stricter than the standard */
	card_control("fault sw=6a80@ins24");
	expect((struct change){ PIN, "111111", false, 0 }, CM_REASON_PIN_FORM, 3);
	card_control("clear");
	assert_int_equal(login(&l), CM_OK);
}

static void
test_global_pin_is_changed_where_it_is_the_one(void **state)
{
	(void)state;
	card_become(card_make("alice-p256", "alice-p256", "pin_policy=global\n"));
	assert_int_equal(change(&(struct change){ PIN, "52640917", false, 0 }), CM_OK);
	assert_int_equal(card_log_count(" 0024000010"), 1);
}

static void
test_hostile_answers_to_a_change(void **state)
{
	static const char *const faults[] = { "sw=6f00@ins24", "one-byte@ins24", "overlong@ins24", "sw=6300@ins24" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(faults); i++) {
		card_become(card_make("alice-p256", "alice-p256", ""));
		card_control("fault %s", faults[i]);
		assert_int_equal(change(&(struct change){ PIN, "52640917", false, 0 }), CM_ERR_SYNTAX);
		assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_MALFORMED);
	}
}

static void
test_card_file_has_no_pin_to_change(void **state)
{
	struct cm_secret *pin = secret(PIN);
	const struct cm_card_pins pins = { pin, pin, false };
	struct cm_card *card = NULL;
	char source[600];
	unsigned left;

	(void)state;
	snprintf(source, sizeof(source), "file:%s/alice-p256.pem", getenv("CM_RIG_PKI"));
	assert_int_equal(cm_card_open(source, CM_CARD_LOGIN, cm_deadline_in(5000), test_trace(), &card), CM_OK);
	assert_false(cm_card_has_pad(card));
	assert_int_equal(cm_card_change_pin(card, &pins, cm_deadline_in(5000), test_trace(), &left), CM_ERR_CONFIG);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_FILE);
	assert_int_equal(cm_card_unblock_pin(card, pin, pin, cm_deadline_in(5000), test_trace(), &left), CM_ERR_CONFIG);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_FILE);
	assert_int_equal(cm_card_verify_pad(card, false, cm_deadline_in(5000), test_trace(), &left), CM_ERR_USAGE);
	cm_card_close(&card);
	cm_secret_free(&pin);
}

/* --- RESET RETRY COUNTER --- */

#define PUK "71930264"

static enum cm_err
unblock(const char *puk, const char *next, unsigned *left)
{
	const cm_deadline deadline = cm_deadline_in(20000);
	struct cm_secret *a = secret(puk), *b = secret(next);
	struct cm_card *card = NULL;
	enum cm_err err;

	cm_trace_clear_reason(test_trace());
	assert_int_equal(cm_card_open("reader", CM_CARD_LOGIN, deadline, test_trace(), &card), CM_OK);
	err = cm_card_unblock_pin(card, a, b, deadline, test_trace(), left);
	cm_card_close(&card);
	cm_secret_free(&a);
	cm_secret_free(&b);
	return err;
}

static void
expect_unblock(const char *puk, const char *next, enum cm_reason reason, unsigned left)
{
	unsigned found = 99;

	assert_int_equal(unblock(puk, next, &found), cm_reason_err(reason));
	assert_int_equal(cm_trace_reason(test_trace()), reason);
	assert_int_equal(found, left);
}

/* A card with a PUK, its PIN blocked. */
static void
blocked_card(const char *conf)
{
	const char *folder = card_make("alice-p256", "alice-p256", conf);
	char path[600];
	FILE *f;

	snprintf(path, sizeof(path), "%s/puk", folder);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(PUK, f) >= 0 && fclose(f) == 0);
	card_become(folder);
	card_control("tries 0");
}

static void
test_puk_gives_a_blocked_card_a_new_pin_and_its_tries(void **state)
{
	struct login l = { .pin = "52640917" };

	(void)state;
	blocked_card("");
	expect_unblock(PUK, "52640917", CM_REASON_NONE, CM_TRIES_UNKNOWN);
	assert_int_equal(card_tries(), 3);
	assert_int_equal(card_log_count(" 002C008010"), 1);
	assert_int_equal(login(&l), CM_OK);
}

static void
test_wrong_puk_spends_its_own_tries_until_none_is_left(void **state)
{
	(void)state;
	blocked_card("");
	expect_unblock("71930265", "52640917", CM_REASON_PUK_WRONG, 2);
	expect_unblock("71930265", "52640917", CM_REASON_PUK_WRONG, 1);
	expect_unblock("71930265", "52640917", CM_REASON_PUK_BLOCKED, 0);
	expect_unblock(PUK, "52640917", CM_REASON_PUK_BLOCKED, 0);
	assert_int_equal(card_tries(), 0);
}

static void
test_what_is_no_puk_or_no_pin_is_not_sent(void **state)
{
	(void)state;
	blocked_card("");
	expect_unblock("12345", "52640917", CM_REASON_PUK_FORM, CM_TRIES_UNKNOWN);
	expect_unblock("123456789", "52640917", CM_REASON_PUK_FORM, CM_TRIES_UNKNOWN);
	expect_unblock(PUK, "12345a", CM_REASON_PIN_FORM, CM_TRIES_UNKNOWN);
	card_control("fault sw=6a80@ins2c");
	expect_unblock(PUK, "11111111", CM_REASON_PIN_FORM, CM_TRIES_UNKNOWN);
	card_control("clear");
	assert_int_equal(card_log_count(" 002C0080"), 1);
	/* the application's PIN is another than the one that this card wants */
	blocked_card("pin_policy=global\n");
	expect_unblock(PUK, "52640917", CM_REASON_PUK_BLOCKED, CM_TRIES_UNKNOWN);
	card_control("fault sw=6f00@ins2c");
	blocked_card("");
	card_control("fault sw=6f00@ins2c");
	expect_unblock(PUK, "52640917", CM_REASON_CARD_MALFORMED, CM_TRIES_UNKNOWN);
}

/* --- The pad --- */

/* PC/SC Part 10 (v2.02.09), 2.5.2, table 2, field by field; VERIFY as SP 800-73-4 Part 2, 3.2.1 has it. */
static void
test_pad_structure_byte_for_byte(void **state)
{
	static const uint8_t want[] = {
		0x1E,			/* bTimerOut: 30 s */
		0x1E,			/* bTimerOut2 */
		0x82,			/* bmFormatString: bytes, position 0, left, ASCII */
		0x08,			/* bmPINBlockString: no length inserted, block of 8 */
		0x00,			/* bmPINLengthFormat */
		0x08, 0x06,		/* wPINMaxExtraDigit 0608: least 6, most 8 */
		0x02,			/* bEntryValidationCondition: validation key */
		0x01,			/* bNumberMessage */
		0x09, 0x04,		/* wLangId 0409 */
		0x00,			/* bMsgIndex */
		0x00, 0x00, 0x00,	/* bTeoPrologue */
		0x0D, 0x00, 0x00, 0x00,	/* ulDataLength */
		0x00, 0x20, 0x00, 0x80, 0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
	};
	struct cm_buf b = { 0 };

	(void)state;
	cm_pad_structure(&b, CM_PIN_APPLICATION, 30);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.ptr, want, sizeof(want));
	/* other people's reading of the same table */
	assert_int_equal(offsetof(PIN_VERIFY_STRUCTURE, ulDataLength), 15);
	assert_int_equal(offsetof(PIN_VERIFY_STRUCTURE, abData), 19);
	cm_buf_free(&b);
	cm_pad_structure(&b, CM_PIN_GLOBAL, 0);		/* 0 would be the reader's own time, which may be none */
	assert_int_equal(b.ptr[0], 1);
	assert_int_equal(b.ptr[22], 0x00);
	cm_buf_free(&b);
	cm_pad_structure(&b, CM_PIN_GLOBAL, 300);
	assert_int_equal(b.ptr[0], 255);
	cm_buf_free(&b);
}

/* What the reader answers, as bytes of a test: the seam that card/pcsc.c fills. */
struct reader {
	uint8_t answer[4];
	size_t len;
	unsigned locked, asked;
};

static enum cm_err
reader_transmit(void *self, struct cm_blob command, cm_deadline deadline, struct cm_trace *t, struct cm_buf *answer)
{
	(void)self, (void)command, (void)deadline, (void)t;
	cm_buf_add(answer, (const uint8_t[]){ 0x63, 0xC3 }, 2);	/* the tries */
	return CM_OK;
}

static enum cm_err
reader_lock(void *self, cm_deadline deadline, struct cm_trace *t)
{
	(void)deadline, (void)t;
	((struct reader *)self)->locked++;
	return CM_OK;
}

static void
reader_close(void *self, bool reset)
{
	assert_int_equal(reset, ((struct reader *)self)->locked > 0);
}

static enum cm_err
reader_pad(void *self, struct cm_blob structure, cm_deadline deadline, struct cm_trace *t, struct cm_buf *answer)
{
	struct reader *r = self;

	(void)deadline, (void)t;
	assert_int_equal(r->locked, 1);
	assert_int_equal(structure.len, 32);
	r->asked++;
	cm_buf_add(answer, r->answer, r->len);
	return CM_OK;
}

static const struct cm_wire_ops reader_ops = { reader_transmit, reader_lock, reader_lock, reader_close, reader_pad };

/* PC/SC Part 10, 2.5.2, table 5, and the card's own answers handed through. */
static const struct pad_row {
	uint8_t answer[4];
	size_t len;
	enum cm_reason reason;
	unsigned left;
} pad_rows[] = {
	{ { 0x90, 0x00 }, 2, CM_REASON_NONE, CM_TRIES_UNKNOWN },
	{ { 0x63, 0xC2 }, 2, CM_REASON_PIN_WRONG, 2 },
	{ { 0x69, 0x83 }, 2, CM_REASON_PIN_BLOCKED, 0 },
	{ { 0x64, 0x00 }, 2, CM_REASON_PIN_MISSING, 3 },
	{ { 0x64, 0x01 }, 2, CM_REASON_CANCELLED, 3 },
	{ { 0x64, 0x03 }, 2, CM_REASON_PIN_FORM, 3 },
	{ { 0x6B, 0x80 }, 2, CM_REASON_CARD_MALFORMED, CM_TRIES_UNKNOWN },
	{ { 0x90 }, 1, CM_REASON_CARD_MALFORMED, CM_TRIES_UNKNOWN },
	{ { 0x90, 0x00, 0x90, 0x00 }, 4, CM_REASON_CARD_MALFORMED, CM_TRIES_UNKNOWN },
	{ { 0 }, 0, CM_REASON_CARD_MALFORMED, CM_TRIES_UNKNOWN },
};

static void
test_what_the_pad_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(pad_rows); i++) {
		struct cm_card *card = calloc(1, sizeof(*card));
		struct reader r = { .len = pad_rows[i].len };
		unsigned tries = 0, left = 0;
		enum cm_err err;

		assert_non_null(card);
		memcpy(r.answer, pad_rows[i].answer, sizeof(r.answer));
		card->backend = &cm_backend_piv;
		card->wire = (struct cm_wire){ .ops = &reader_ops, .self = &r, .has_pad = true };
		assert_true(cm_card_has_pad(card));
		assert_int_equal(cm_card_verify_pad(card, false, cm_deadline_in(5000), test_trace(), &left), CM_ERR_STATE);
		assert_int_equal(cm_card_pin_tries(card, cm_deadline_in(5000), test_trace(), &tries), CM_OK);
		cm_trace_clear_reason(test_trace());
		err = cm_card_verify_pad(card, false, cm_deadline_in(5000), test_trace(), &left);
		assert_int_equal(cm_trace_reason(test_trace()), pad_rows[i].reason);
		assert_int_equal(err, cm_reason_err(pad_rows[i].reason));
		assert_int_equal(left, pad_rows[i].left);
		assert_int_equal(r.asked, 1);
		cm_card_close(&card);
	}
}

/* The reader of the rig has none, and says so by itself. */
static void
test_reader_without_pad(void **state)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	struct cm_card *card = NULL;
	unsigned left, tries;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	assert_int_equal(cm_card_open("reader", CM_CARD_LOGIN, deadline, test_trace(), &card), CM_OK);
	assert_int_equal(cm_card_pin_tries(card, deadline, test_trace(), &tries), CM_OK);
	assert_false(cm_card_has_pad(card));
	assert_int_equal(cm_card_verify_pad(card, false, deadline, test_trace(), &left), CM_ERR_USAGE);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_PIN_MISSING);
	cm_card_close(&card);
	assert_int_equal(card_tries(), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pin_is_changed),
		cmocka_unit_test(test_wrong_old_pin_spends_a_try_and_never_the_last_one_unasked),
		cmocka_unit_test(test_what_cannot_be_a_pin_does_not_become_one),
		cmocka_unit_test(test_global_pin_is_changed_where_it_is_the_one),
		cmocka_unit_test(test_hostile_answers_to_a_change),
		cmocka_unit_test(test_puk_gives_a_blocked_card_a_new_pin_and_its_tries),
		cmocka_unit_test(test_wrong_puk_spends_its_own_tries_until_none_is_left),
		cmocka_unit_test(test_what_is_no_puk_or_no_pin_is_not_sent),
		cmocka_unit_test(test_card_file_has_no_pin_to_change),
		cmocka_unit_test(test_pad_structure_byte_for_byte),
		cmocka_unit_test(test_what_the_pad_says),
		cmocka_unit_test(test_reader_without_pad),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
