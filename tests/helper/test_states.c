/* tests/helper/test_states.c - what cardmap-card permits, and when; anything else ends it, with nothing sent to the card. */
#include "helper_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_PROTOCOL	76

enum { NEW = 1, OPENED = 2, UNLOCKED = 4, CHANGED = 8, FAILED = 16, WATCHING = 32 };

static const struct state_row {
	int state;
	const char *name;
} states[] = {
	{ NEW, "new" }, { OPENED, "opened" }, { UNLOCKED, "unlocked" }, { CHANGED, "PIN changed" }, { FAILED, "could not open" },
};

/* Each kind of message there is: where it is served, with how many descriptors, and what answers it. */
static const struct kind_row {
	enum cm_message_kind kind;
	int states;
	int descriptors;
	enum cm_message_kind answer;
} kinds[] = {
	{ CM_MESSAGE_WATCH, NEW, 0, CM_MESSAGE_READER },
	{ CM_MESSAGE_READER, 0, 0, 0 },
	{ CM_MESSAGE_ALIVE, 0, 0, 0 },
	{ CM_MESSAGE_OPEN, NEW, 0, CM_MESSAGE_OPENED },
	{ CM_MESSAGE_RECOGNISE, 0, 0, 0 },
	{ CM_MESSAGE_RECOGNISED, 0, 0, 0 },
	{ CM_MESSAGE_READ_AGAIN, OPENED | UNLOCKED, 0, CM_MESSAGE_OPENED },
	{ CM_MESSAGE_OPENED, 0, 0, 0 },
	{ CM_MESSAGE_VERIFY, OPENED, 1, CM_MESSAGE_VERIFIED },
	{ CM_MESSAGE_VERIFIED, 0, 0, 0 },
	{ CM_MESSAGE_SIGN, UNLOCKED, 0, CM_MESSAGE_SIGNED },
	{ CM_MESSAGE_SIGNED, 0, 0, 0 },
	{ CM_MESSAGE_EXPECT_TICKET, OPENED, 0, CM_MESSAGE_NONE },
	{ CM_MESSAGE_GET_TICKET, UNLOCKED, 0, CM_MESSAGE_TICKET },
	{ CM_MESSAGE_TICKET, 0, 0, 0 },
	{ CM_MESSAGE_CHANGE_PIN, OPENED, 2, CM_MESSAGE_CHANGED_PIN },
	{ CM_MESSAGE_CHANGED_PIN, 0, 0, 0 },
	{ CM_MESSAGE_UNSEAL, UNLOCKED, 1, CM_MESSAGE_UNSEALED },
	{ CM_MESSAGE_UNSEALED, 0, 0, 0 },
	{ CM_MESSAGE_OTHERS, OPENED, 0, CM_MESSAGE_FOUND_OTHERS },
	{ CM_MESSAGE_FOUND_OTHERS, 0, 0, 0 },
	{ CM_MESSAGE_USE, OPENED, 0, CM_MESSAGE_OPENED },
	/* the resolver's */
	{ CM_MESSAGE_CHAIN, 0, 0, 0 },
	{ CM_MESSAGE_ACCOUNT, 0, 0, 0 },
	{ CM_MESSAGE_REVOCATION, 0, 0, 0 },
	{ CM_MESSAGE_KDC_STATE, 0, 0, 0 },
	{ CM_MESSAGE_KDC_SILENT, 0, 0, 0 },
	{ CM_MESSAGE_FOUND, 0, 0, 0 },
	{ CM_MESSAGE_JUDGED, 0, 0, 0 },
	{ CM_MESSAGE_CHAINED, 0, 0, 0 },
	{ CM_MESSAGE_KDC_STATED, 0, 0, 0 },
	{ CM_MESSAGE_STATE, 0, 0, 0 },
	{ CM_MESSAGE_STATED, 0, 0, 0 },
	{ CM_MESSAGE_STANDING, 0, 0, 0 },
};

static const uint8_t nonce[32] = { 1 };
static struct cm_cert *alice;	/* while each message is tried */

static struct cm_message
message_of(enum cm_message_kind kind)
{
	struct cm_message m = { .kind = kind };

	/* of the fields only those of the kind are sent */
	m.reader = READER;
	m.deadline = 20000;
	m.insertion = 1;
	m.nonce = (struct cm_blob){ nonce, sizeof(nonce) };
	m.principal = "alice@CARDMAP.TEST";
	m.user = "alice";
	m.slot = CM_SLOT_SIGNATURE;
	if (alice != NULL)
		m.certificate = cm_cert_der(alice);
	return m;
}

static void
bring_to(struct helper *h, int state)
{
	const struct cm_message change = message_of(CM_MESSAGE_CHANGE_PIN);

	card_become(card_make("alice-p256", "alice-p256", GUID));
	helper_start(h, NULL);
	if (state == FAILED) {
		card_control("fault sw=6a82@insa4");
		assert_int_equal(helper_open(h), CM_ERR_ABSENT);
		card_control("clear");
	} else if (state != NEW) {
		assert_int_equal(helper_open(h), CM_OK);
	}
	if (state == UNLOCKED)
		assert_int_equal(helper_verify(h, PIN), CM_OK);
	if (state == CHANGED) {
		helper_send(h, &change, PIN, "52640917");
		cm_message_clear(&h->answer);
		assert_int_equal(cm_channel_receive(h->channel, cm_deadline_in(20000), &h->answer, NULL, 0), CM_OK);
		assert_int_equal(h->answer.err, CM_OK);
	}
}

static void
expect_end(struct helper *h, const struct cm_message *m, int pins, const char *what)
{
	const unsigned before = card_counts().commands;
	int status;

	helper_send(h, m, pins > 0 ? PIN : NULL, pins > 1 ? "52640917" : NULL);
	/* nothing is answered */
	cm_message_clear(&h->answer);
	assert_int_equal(cm_channel_receive(h->channel, cm_deadline_in(20000), &h->answer, NULL, 0), CM_ERR_OFFLINE);
	assert_true(cm_channel_is_gone(h->channel));
	if ((status = helper_wait(h, 10000)) != EXIT_PROTOCOL)
		fail_msg("%s in state %s: status %d", cm_message_kind_name(m->kind), what, status);
	assert_int_equal(card_counts().commands, before);
}

static void
expect_served(struct helper *h, const struct kind_row *k, const char *what)
{
	const struct cm_message m = message_of(k->kind), again = message_of(CM_MESSAGE_READ_AGAIN);

	if (k->answer == CM_MESSAGE_NONE) {	/* it is served all the same: the next is answered */
		helper_send(h, &m, NULL, NULL);
		assert_int_equal(helper_ask(h, &again, NULL, CM_MESSAGE_OPENED), CM_OK);
		helper_end(h);
		return;
	}
	helper_send(h, &m, k->descriptors > 0 ? PIN : NULL, k->descriptors > 1 ? "52640917" : NULL);
	do {
		cm_message_clear(&h->answer);
		if (cm_channel_receive(h->channel, cm_deadline_in(20000), &h->answer, NULL, 0) != CM_OK)
			fail_msg("%s in state %s is not served", cm_message_kind_name(k->kind), what);
		if (h->answer.kind == CM_MESSAGE_RECOGNISE) {
			const struct cm_message none = { .kind = CM_MESSAGE_RECOGNISED };

			assert_int_equal(cm_channel_send(h->channel, &none, NULL, 0, cm_deadline_in(20000)), CM_OK);
		}
	} while (h->answer.kind == CM_MESSAGE_RECOGNISE);
	assert_int_equal(h->answer.kind, k->answer);
	/* the cards here have nothing in 9D */
	if (h->answer.err != (k->kind == CM_MESSAGE_UNSEAL ? CM_ERR_ABSENT : CM_OK))
		fail_msg("%s in state %s: %s", cm_message_kind_name(k->kind), what, h->answer.text);
	helper_end(h);
}

static void
test_every_message_in_every_state(void **state)
{
	(void)state;
	assert_int_equal(CM_COUNT(kinds), CM_MESSAGE_KIND_COUNT - 1);
	alice = pki_cert("alice-p256");
	for (size_t i = 0; i < CM_COUNT(kinds); i++)
		for (size_t j = 0; j < CM_COUNT(states); j++) {
			const struct cm_message m = message_of(kinds[i].kind);
			struct helper h;

			bring_to(&h, states[j].state);
			if ((kinds[i].states & states[j].state) != 0)
				expect_served(&h, &kinds[i], states[j].name);
			else
				expect_end(&h, &m, kinds[i].descriptors, states[j].name);
		}
	cm_cert_free(&alice);
}

/* A pipe that is missing, or one too many: a PIN that stands about is taken by nobody. */
static void
test_descriptors_are_counted(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(kinds); i++)
		for (int pins = 0; pins <= 2; pins++) {
			struct cm_message m = message_of(kinds[i].kind);
			struct helper h;

			if (kinds[i].states == 0 || (kinds[i].states & NEW) != 0 || pins == kinds[i].descriptors)
				continue;
			bring_to(&h, (kinds[i].states & OPENED) != 0 ? OPENED : UNLOCKED);
			expect_end(&h, &m, pins, "with other descriptors");
		}
	/* the reader's own pad goes without */
	for (int pins = 0; pins <= 1; pins++) {
		struct cm_message m = message_of(CM_MESSAGE_VERIFY);
		struct helper h;

		m.pad = 1;
		bring_to(&h, OPENED);
		if (pins == 0) {
			assert_int_equal(helper_ask(&h, &m, NULL, CM_MESSAGE_VERIFIED), CM_ERR_USAGE);
			assert_int_equal(helper_reason(&h), CM_REASON_PIN_MISSING);
			helper_end(&h);
		} else {
			expect_end(&h, &m, pins, "pad with a pipe");
		}
	}
}

static void
test_nonces_have_their_length(void **state)
{
	static const enum cm_message_kind with_nonce[] = { CM_MESSAGE_SIGN, CM_MESSAGE_GET_TICKET };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(with_nonce); i++) {
		struct cm_message m = message_of(with_nonce[i]);
		struct helper h;

		m.nonce.len = 31;
		m.host_principal = getenv("CM_RIG_HOST_PRINCIPAL");
		bring_to(&h, UNLOCKED);
		expect_end(&h, &m, 0, "with a short nonce");
	}
}

/* What is no message ends it as well: the daemon's peer is not the only one who may come to hold that socket. */
static void
test_octets_that_are_no_message(void **state)
{
	static const char *const octets[] = { "", "x", "GET / HTTP/1.0\r\n\r\n", "\x03\x00\x00\x00\x00\x00\x00\x00" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(octets); i++) {
		struct helper h;

		bring_to(&h, OPENED);
		assert_true(write(cm_channel_fd(h.channel), octets[i], i == 3 ? 8 : strlen(octets[i])) >= 0);
		if (i == 0) {	/* an empty datagram is how an end looks to recvmsg(2) */
			cm_channel_free(&h.channel);
			assert_int_equal(helper_wait(&h, 10000), 0);
		} else {
			assert_int_equal(helper_wait(&h, 10000), EXIT_PROTOCOL);
		}
	}
}

/* Whoever answers RECOGNISE with something else is no daemon of ours: the card is read, and the next thing ends it. */
static void
test_wrong_answer_to_recognise(void **state)
{
	struct cm_message m = message_of(CM_MESSAGE_OPEN);
	struct helper h;

	(void)state;
	bring_to(&h, NEW);
	helper_send(&h, &m, NULL, NULL);
	cm_message_clear(&h.answer);
	assert_int_equal(cm_channel_receive(h.channel, cm_deadline_in(20000), &h.answer, NULL, 0), CM_OK);
	assert_int_equal(h.answer.kind, CM_MESSAGE_RECOGNISE);
	m = message_of(CM_MESSAGE_SIGN);
	helper_send(&h, &m, NULL, NULL);
	assert_true(helper_wait(&h, 10000) <= EXIT_PROTOCOL);
	assert_int_equal(card_counts().operations, 0);
	assert_int_equal(card_log_count(" 0020008008"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_message_in_every_state),
		cmocka_unit_test(test_descriptors_are_counted),
		cmocka_unit_test(test_nonces_have_their_length),
		cmocka_unit_test(test_octets_that_are_no_message),
		cmocka_unit_test(test_wrong_answer_to_recognise),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
