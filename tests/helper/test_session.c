/* tests/helper/test_session.c - one card in a process of its own: what it is asked, and what comes back. */
#include "helper_rig.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <unistd.h>

#include "krb5/hostcheck.h"
#include "service/possession.h"

static void
nonce_new(uint8_t nonce[32])
{
	assert_int_equal(RAND_bytes(nonce, 32), 1);
}

/* The whole login without a KDC; what it signed verifies with the key that it told of, in a process that parses nothing. */
static void
login_by_signature(struct helper *h)
{
	uint8_t nonce[32];
	struct cm_key key;

	assert_int_equal(helper_open(h), CM_OK);
	key = h->answer.key;
	assert_int_equal(h->answer.tries, 3);
	assert_int_equal(helper_verify(h, PIN), CM_OK);
	nonce_new(nonce);
	assert_int_equal(helper_sign(h, nonce), CM_OK);
	assert_int_equal(cm_possession_check(&key, nonce, h->answer.signature, test_trace()), CM_OK);
	nonce[0] ^= 1;
	assert_int_equal(cm_possession_check(&key, nonce, h->answer.signature, test_trace()), CM_ERR_REFUSED);
}

/* By the helper itself, or by pcscd once it is gone. */
static void
wait_for_reset(void)
{
	const cm_deadline deadline = cm_deadline_in(20000);

	while (card_counts().resets == 0)
		assert_false(cm_deadline_passed(deadline));
	assert_int_equal(card_counts().resets, 1);
}

static const struct card_row {
	const char *name;
	unsigned known;		/* commands of a login with a card that is known */
} cards[] = {
	{ "alice-rsa2048", 7 },
	{ "alice-p256", 5 },
	{ "alice-p384", 5 },
};

static void
test_first_login(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(cards); i++) {
		struct cm_cert *cert = pki_cert(cards[i].name);
		struct helper h;

		card_become(card_make(cards[i].name, cards[i].name, GUID));
		helper_start(&h, NULL);
		assert_int_equal(helper_open(&h), CM_OK);
		assert_true(cm_blob_equal(h.answer.certificate, cm_cert_der(cert)));
		assert_int_equal(h.answer.guid.len, 16);
		assert_int_equal(h.answer.cached, 0);
		assert_int_equal(h.answer.pad, 0);
		assert_int_equal(h.answer.global_pin, 0);
		assert_int_equal(h.recognised, 1);
		assert_int_equal(h.answer.commands, card_counts().commands);
		helper_end(&h);
		/* no PIN was sent, so nobody else is disturbed by a reset */
		assert_int_equal(card_counts().resets, 0);
		helper_start(&h, NULL);
		login_by_signature(&h);
		assert_int_equal(card_counts().operations, 1);
		helper_end(&h);
		wait_for_reset();
		cm_cert_free(&cert);
	}
}

static void
test_known_card(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(cards); i++) {
		struct helper h;

		card_become(card_make(cards[i].name, cards[i].name, GUID));
		helper_start(&h, NULL);
		h.known = pki_cert(cards[i].name);
		login_by_signature(&h);
		assert_int_equal(h.answer.commands, cards[i].known);
		assert_int_equal(card_counts().commands, cards[i].known);
		assert_int_equal(card_counts().operations, 1);
		helper_end(&h);
		assert_int_equal(card_log_count(" 0020008008"), 1);
	}
}

static void
test_known_card_with_a_global_pin(void **state)
{
	struct helper h;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", GUID "pin_policy=global\n"));
	helper_start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(h.answer.global_pin, 1);
	helper_end(&h);
	helper_start(&h, NULL);
	h.known = pki_cert("alice-p256");
	h.known_global = true;
	login_by_signature(&h);
	assert_int_equal(h.answer.commands, 5);
	helper_end(&h);
	assert_int_equal(card_log_count(" 0020000008"), 1);
	assert_int_equal(card_log_count(" 0020008008"), 0);
}

/* The store has the certificate of before: found out by the proof, mended without another PIN. */
static void
test_reissued_card(void **state)
{
	const struct cm_message again = { .kind = CM_MESSAGE_READ_AGAIN, .deadline = 20000 };
	struct cm_cert *real = pki_cert("alice-rsa2048");
	uint8_t nonce[32] = { 1 };
	struct helper h;
	struct cm_key key;

	(void)state;
	card_become(card_make("alice-rsa2048", "alice-rsa2048", GUID));
	helper_start(&h, NULL);
	h.known = pki_cert("bob");
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(h.answer.cached, 1);
	assert_true(cm_blob_equal(h.answer.certificate, cm_cert_der(h.known)));
	assert_int_equal(helper_verify(&h, PIN), CM_OK);
	assert_int_equal(helper_sign(&h, nonce), CM_ERR_REFUSED);
	assert_int_equal(helper_reason(&h), CM_REASON_CARD_KEY);
	assert_int_equal(h.answer.signature.len, 0);
	assert_int_equal(helper_ask(&h, &again, NULL, CM_MESSAGE_OPENED), CM_OK);
	assert_int_equal(h.answer.cached, 0);
	assert_true(cm_blob_equal(h.answer.certificate, cm_cert_der(real)));
	key = h.answer.key;
	assert_int_equal(helper_sign(&h, nonce), CM_OK);
	assert_int_equal(cm_possession_check(&key, nonce, h.answer.signature, test_trace()), CM_OK);
	helper_end(&h);
	assert_int_equal(card_log_count(" 0020008008"), 1);
	cm_cert_free(&real);
}

/* --- The PIN --- */

static void
test_wrong_pins(void **state)
{
	const struct cm_message last = { .kind = CM_MESSAGE_VERIFY, .last_try = 1, .deadline = 20000 };
	struct helper h;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	helper_start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(helper_verify(&h, ""), CM_ERR_USAGE);
	assert_int_equal(helper_reason(&h), CM_REASON_PIN_MISSING);
	assert_int_equal(helper_verify(&h, "12345"), CM_ERR_REFUSED);
	assert_int_equal(helper_reason(&h), CM_REASON_PIN_FORM);
	assert_int_equal(card_tries(), 3);
	assert_int_equal(helper_verify(&h, "30927461"), CM_ERR_REFUSED);
	assert_int_equal(helper_reason(&h), CM_REASON_PIN_WRONG);
	assert_int_equal(h.answer.tries, 2);
	assert_int_equal(helper_verify(&h, "30927461"), CM_ERR_REFUSED);
	assert_int_equal(helper_verify(&h, PIN), CM_ERR_REFUSED);
	assert_int_equal(helper_reason(&h), CM_REASON_PIN_LAST_TRY);
	assert_int_equal(card_tries(), 1);
	assert_int_equal(helper_ask(&h, &last, PIN, CM_MESSAGE_VERIFIED), CM_OK);
	assert_int_equal(card_tries(), 3);
	helper_end(&h);
}

/* A pipe that nothing is written into ends with the deadline of the message. */
static void
test_pin_that_does_not_come(void **state)
{
	const struct cm_message m = { .kind = CM_MESSAGE_VERIFY, .deadline = 200 };
	int ends[2];
	struct helper h;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	helper_start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(pipe(ends), 0);
	cm_message_clear(&h.answer);
	assert_int_equal(cm_channel_ask(h.channel, &m, ends, 1, CM_MESSAGE_VERIFIED, cm_deadline_in(20000), &h.answer), CM_OK);
	assert_int_equal(helper_reason(&h), CM_REASON_PIN_MISSING);
	close(ends[0]);
	close(ends[1]);
	helper_end(&h);
	assert_int_equal(card_log_count(" 0020008008"), 0);
}

/* The reason of the answer. */
static enum cm_reason
change_pin(struct helper *h, const struct cm_message *m, const char *old)
{
	cm_message_clear(&h->answer);
	helper_send(h, m, old, "52640917");
	assert_int_equal(cm_channel_receive(h->channel, cm_deadline_in(20000), &h->answer, NULL, 0), CM_OK);
	assert_int_equal(h->answer.kind, CM_MESSAGE_CHANGED_PIN);
	return (enum cm_reason)h->answer.reason;
}

static void
test_pin_is_changed(void **state)
{
	const struct cm_message m = { .kind = CM_MESSAGE_CHANGE_PIN, .deadline = 20000 };
	const struct cm_message last = { .kind = CM_MESSAGE_CHANGE_PIN, .deadline = 20000, .last_try = 1 };
	struct helper h;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	helper_start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(change_pin(&h, &m, "30927461"), CM_REASON_PIN_WRONG);
	assert_int_equal(h.answer.tries, 2);
	assert_int_equal(change_pin(&h, &m, "30927461"), CM_REASON_PIN_WRONG);
	/* an old PIN is a try as any other is */
	assert_int_equal(change_pin(&h, &m, "30927461"), CM_REASON_PIN_LAST_TRY);
	assert_int_equal(card_tries(), 1);
	assert_int_equal(change_pin(&h, &last, PIN), CM_REASON_NONE);
	assert_int_equal(h.answer.err, CM_OK);
	helper_end(&h);
	helper_start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(helper_verify(&h, "52640917"), CM_OK);
	helper_end(&h);
}

/* --- The ticket --- */

static struct cm_message
ticket_message(const uint8_t nonce[32])
{
	return (struct cm_message){ .kind = CM_MESSAGE_GET_TICKET, .principal = "alice@CARDMAP.TEST",
		.host_principal = getenv("CM_RIG_HOST_PRINCIPAL"), .nonce = { nonce, 32 }, .deadline = 20000 };
}

static void
open_and_unlock(struct helper *h, const char *name)
{
	card_become(card_make(name, name, GUID));
	helper_start(h, NULL);
	h->known = pki_cert(name);
	assert_int_equal(helper_open(h), CM_OK);
	assert_int_equal(helper_verify(h, PIN), CM_OK);
}

/* What is begun while the PIN is typed is this principal's, uses no command of the card, and spends its key no more often. */
static void
test_ticket_is_expected(void **state)
{
	static const char *const expected[] = { "alice@CARDMAP.TEST", "bob@CARDMAP.TEST", "alice@OTHER.TEST", "" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cards) * CM_COUNT(expected); i++) {
		const char *name = cards[i % CM_COUNT(cards)].name;
		const struct cm_message expect = { .kind = CM_MESSAGE_EXPECT_TICKET, .deadline = 20000,
			.principal = (char *)(uintptr_t)expected[i / CM_COUNT(cards)] };
		struct cm_message m;
		uint8_t nonce[32];
		struct helper h;

		card_become(card_make(name, name, GUID));
		helper_start(&h, NULL);
		h.known = pki_cert(name);
		assert_int_equal(helper_open(&h), CM_OK);
		helper_send(&h, &expect, NULL, NULL);
		helper_send(&h, &expect, NULL, NULL);
		assert_int_equal(helper_verify(&h, "99999999"), CM_ERR_REFUSED);
		assert_int_equal(card_counts().operations, 0);
		helper_send(&h, &expect, NULL, NULL);
		assert_int_equal(helper_verify(&h, PIN), CM_OK);
		nonce_new(nonce);
		m = ticket_message(nonce);
		if (helper_ask(&h, &m, NULL, CM_MESSAGE_TICKET) != CM_OK)
			fail_msg("%s, %s: %s", name, expect.principal, h.answer.text);
		assert_string_equal(h.answer.principal, "alice@CARDMAP.TEST");
		assert_int_equal(card_counts().operations, 1);
		helper_end(&h);
	}
}

/* One signature of the card is ticket and proof: the keytab's holder opens what the helper made, and believes the KDC alone. */
static void
test_ticket_is_proof_for_who_has_the_keytab(void **state)
{
	const struct cm_hostcheck_options o = { .config = getenv("KRB5_CONFIG"), .realm = getenv("CM_RIG_REALM"),
		.keytab = getenv("CM_RIG_KEYTAB"), .host_principal = getenv("CM_RIG_HOST_PRINCIPAL") };
	struct cm_hostcheck *check = NULL;

	(void)state;
	assert_int_equal(cm_hostcheck_open(&o, test_trace(), &check), CM_OK);
	for (size_t i = 0; i < CM_COUNT(cards); i++) {
		struct cm_vouched vouched = { 0 };
		struct cm_message m;
		uint8_t nonce[32];
		struct helper h;

		open_and_unlock(&h, cards[i].name);
		nonce_new(nonce);
		m = ticket_message(nonce);
		if (helper_ask(&h, &m, NULL, CM_MESSAGE_TICKET) != CM_OK)
			fail_msg("%s", h.answer.text);
		assert_string_equal(h.answer.principal, "alice@CARDMAP.TEST");
		assert_true(h.answer.ticket.len > 100);
		assert_int_equal(card_counts().operations, 1);
		assert_int_equal(h.answer.commands, cards[i].known);
		assert_int_equal(h.answer.kdc_silent, 0);
		assert_int_equal(cm_hostcheck_verify(check, h.answer.ap_req, nonce, cm_clock_now() - 60, test_trace(),
		    &vouched), CM_OK);
		assert_string_equal(vouched.principal, "alice@CARDMAP.TEST");
		cm_vouched_clear(&vouched);
		/* of another nonce */
		nonce[5] ^= 0x40;
		assert_int_equal(cm_hostcheck_verify(check, h.answer.ap_req, nonce, cm_clock_now() - 60, test_trace(),
		    &vouched), CM_ERR_REFUSED);
		cm_vouched_clear(&vouched);
		helper_end(&h);
	}
	cm_hostcheck_close(&check);
}

static void
test_ticket_without_host(void **state)
{
	struct cm_message m = ticket_message(NULL);
	struct helper h;

	(void)state;
	m.host_principal = NULL;
	m.nonce = (struct cm_blob){ NULL, 0 };
	open_and_unlock(&h, "alice-p256");
	assert_int_equal(helper_ask(&h, &m, NULL, CM_MESSAGE_TICKET), CM_OK);
	assert_true(h.answer.ticket.len > 100);
	assert_int_equal(h.answer.ap_req.len, 0);
	helper_end(&h);
}

static void
test_ticket_refusals(void **state)
{
	static const struct {
		const char *principal;
		enum cm_reason reason;
	} rows[] = {
		{ "nobody@CARDMAP.TEST", CM_REASON_KDC_REFUSED },
		{ "bob@CARDMAP.TEST", CM_REASON_KDC_REFUSED },
		{ "alice@ELSEWHERE.TEST", CM_REASON_NO_KDC },
		{ "", CM_REASON_NO_KDC },
	};
	uint8_t nonce[32] = { 0 };
	struct cm_message m = ticket_message(nonce);
	struct helper h;

	(void)state;
	open_and_unlock(&h, "alice-p256");
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		m.principal = (char *)(uintptr_t)rows[i].principal;
		assert_int_equal(helper_ask(&h, &m, NULL, CM_MESSAGE_TICKET), cm_reason_err(rows[i].reason));
		assert_int_equal(helper_reason(&h), rows[i].reason);
		assert_int_equal(h.answer.kdc_silent, 0);
		assert_int_equal(h.answer.ticket.len, 0);
	}
	/* and after all that the card still signs */
	assert_int_equal(helper_sign(&h, nonce), CM_OK);
	helper_end(&h);
}

static void
test_silent_kdc_is_told_as_that(void **state)
{
	uint8_t nonce[32] = { 0 };
	struct cm_message m = ticket_message(nonce);
	struct helper h;

	(void)state;
	open_and_unlock(&h, "alice-p256");
	rig_command("freeze kdc");
	m.deadline = 1000;
	assert_int_equal(helper_ask(&h, &m, NULL, CM_MESSAGE_TICKET), CM_ERR_OFFLINE);
	rig_command("thaw kdc");
	assert_int_equal(helper_reason(&h), CM_REASON_KDC_OFFLINE);
	assert_int_equal(h.answer.kdc_silent, 1);
	assert_int_equal(helper_sign(&h, nonce), CM_OK);
	helper_end(&h);
}

/* --- Opening that fails --- */

static void
test_what_keeps_a_card_from_being_opened(void **state)
{
	struct cm_message m = { .kind = CM_MESSAGE_OPEN, .reader = "Virtual PCD 00 01", .insertion = 1, .deadline = 20000 };
	struct helper h;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	helper_start(&h, NULL);
	assert_int_equal(helper_ask(&h, &m, NULL, CM_MESSAGE_OPENED), CM_ERR_OFFLINE);
	assert_int_equal(helper_reason(&h), CM_REASON_NO_CARD);
	helper_end(&h);
	m.reader = "no such reader";
	helper_start(&h, NULL);
	assert_int_equal(helper_ask(&h, &m, NULL, CM_MESSAGE_OPENED), CM_ERR_OFFLINE);
	assert_int_equal(helper_reason(&h), CM_REASON_NO_READER);
	helper_end(&h);
	card_control("fault empty@tag5fc105");
	helper_start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_ERR_ABSENT);
	assert_int_equal(helper_reason(&h), CM_REASON_CARD_NO_CERTIFICATE);
	helper_end(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_login),
		cmocka_unit_test(test_known_card),
		cmocka_unit_test(test_known_card_with_a_global_pin),
		cmocka_unit_test(test_reissued_card),
		cmocka_unit_test(test_wrong_pins),
		cmocka_unit_test(test_pin_that_does_not_come),
		cmocka_unit_test(test_pin_is_changed),
		cmocka_unit_test(test_ticket_is_expected),
		cmocka_unit_test(test_ticket_is_proof_for_who_has_the_keytab),
		cmocka_unit_test(test_ticket_without_host),
		cmocka_unit_test(test_ticket_refusals),
		cmocka_unit_test(test_silent_kdc_is_told_as_that),
		cmocka_unit_test(test_what_keeps_a_card_from_being_opened),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
