/* tests/card/test_piv.c - PIV cards through the real pcscd: what is read, what it costs, what a PIN may do. */
#include "card_rig.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- What it costs --- */

/* Ours and the card's own count of everything that passed. */
static void
assert_counts(struct cm_card_stats ours, size_t commands)
{
	const struct vcard_counts card = card_counts();

	assert_int_equal(ours.commands, commands);
	assert_int_equal(ours.commands, card.commands);
	assert_int_equal(ours.sent, card.in);
	assert_int_equal(ours.received, card.out);
	assert_int_equal(ours.key_operations, card.operations);
}

static void
look(const char *source, const char *name, size_t commands)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	struct cm_cert *want = pki_cert(name), *cert = NULL;
	struct cm_card *card = NULL;

	assert_int_equal(cm_card_open(source, CM_CARD_LOOK, deadline, test_trace(), &card), CM_OK);
	assert_int_equal(cm_card_certificate(card, CM_SLOT_AUTHENTICATION, deadline, test_trace(),
	    &cert), CM_OK);
	assert_true(cm_blob_equal(cm_cert_der(cert), cm_cert_der(want)));
	assert_string_equal(cm_card_where(card), "Virtual PCD 00 00");
	assert_int_equal(cm_card_guid(card).len, 0);
	assert_counts(cm_card_stats(card), commands != 0 ? commands : 1 + object_chunks(want));
	cm_card_close(&card);
	cm_cert_free(&cert);
	cm_cert_free(&want);
	/* Nothing of the card's was changed, so nobody else is disturbed by a reset. */
	assert_int_equal(card_counts().resets, 0);
}

static void
test_look_costs_select_and_certificate(void **state)
{
	(void)state;
	card_become(card_make("alice-rsa2048", "alice-rsa2048", ""));
	look("reader", "alice-rsa2048", 6);
	card_become(card_make("alice-p384", "alice-p384", ""));
	look("reader:virtual pcd 00 00", "alice-p384", 0);
}

static const struct key_row {
	const char *name;
	unsigned authenticate;	/* APDUs of GENERAL AUTHENTICATE */
	unsigned total;		/* 0: follows from the certificate */
} keys[] = {
	{ "alice-rsa2048", 3, 13 },
	{ "alice-rsa3072", 3, 0 },
	{ "alice-rsa4096", 5, 0 },
	{ "alice-p256", 1, 0 },
	{ "alice-p384", 1, 0 },
};

/* SELECT, discovery, CHUID head, tries, certificate, VERIFY, GENERAL AUTHENTICATE */
static void
test_login_costs_and_proves_every_key_type(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(keys); i++) {
		const struct key_row *k = &keys[i];
		struct cm_cert *cert = pki_cert(k->name);
		struct login l = { 0 };
		size_t want = 4 + object_chunks(cert) + 1 + k->authenticate;

		card_become(card_make(k->name, k->name, ""));
		assert_int_equal(login(&l), CM_OK);
		assert_true(l.proven);
		assert_int_equal(l.tries, 3);
		assert_int_equal(l.stats.verifies, 1);
		assert_int_equal(l.stats.key_operations, 1);
		if (k->total != 0)
			assert_int_equal(k->total, want);
		assert_counts(l.stats, want);
		cm_cert_free(&cert);
	}
}

static void
test_extended_length_where_the_atr_has_it(void **state)
{
	struct login l = { 0 };

	(void)state;
	card_insert(card_make("alice-rsa2048", "alice-rsa2048", "extended=yes\n"));
	look("reader", "alice-rsa2048", 2);
	card_control("zero");
	assert_int_equal(login(&l), CM_OK);
	assert_true(l.proven);
	assert_counts(l.stats, 7);
	card_insert(card_make("alice-rsa2048", "alice-rsa2048", ""));
}

static void
test_gzip_certificate(void **state)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	struct cm_cert *want = pki_cert("alice-rsa2048"), *cert = NULL;
	struct cm_card *card = NULL;

	(void)state;
	card_become(card_make("alice-rsa2048", "alice-rsa2048", "gzip=yes\n"));
	assert_int_equal(cm_card_open("reader", CM_CARD_LOOK, deadline, NULL, &card), CM_OK);
	assert_int_equal(cm_card_certificate(card, CM_SLOT_AUTHENTICATION, deadline, NULL, &cert),
	    CM_OK);
	assert_true(cm_blob_equal(cm_cert_der(cert), cm_cert_der(want)));
	assert_true(cm_card_stats(card).commands < 1 + object_chunks(want));
	cm_card_close(&card);
	cm_cert_free(&cert);
	cm_cert_free(&want);
}

/* --- What is on the card --- */

static void
test_guid_recognises_the_card(void **state)
{
	static const struct {
		const char *conf;
		bool known;
	} rows[] = {
		{ "guid=00112233445566778899aabbccddeeff\n", true },
		{ "guid=00000000000000000000000000000000\n", false },
		{ "chuid=no\n", false },
		{ "chuid=no\ndiscovery=no\nccc=no\nkey_history=no\n", false },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct login l = { 0 };

		card_become(card_make("alice-p256", "alice-p256", rows[i].conf));
		assert_int_equal(login(&l), CM_OK);
		assert_int_equal(l.has_guid, rows[i].known);
		if (rows[i].known)
			assert_memory_equal(l.guid, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa"
			    "\xbb\xcc\xdd\xee\xff", 16);
	}
}

static void
test_global_pin_where_the_card_says_so(void **state)
{
	struct login l = { 0 };

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", "pin_policy=global\n"));
	assert_int_equal(login(&l), CM_OK);
	assert_int_equal(card_log_count(" 00200000"), 2);	/* tries and VERIFY, both of P2 00 */
	card_become(card_make("alice-p256", "alice-p256", "pin_policy=both\n"));
	assert_int_equal(login(&l), CM_OK);
	assert_int_equal(card_log_count(" 00200080"), 2);
}

static void
test_no_certificate_is_an_answer(void **state)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	assert_int_equal(cm_card_open("reader", CM_CARD_LOOK, deadline, NULL, &card), CM_OK);
	assert_int_equal(cm_card_certificate(card, CM_SLOT_SIGNATURE, deadline, test_trace(),
	    &cert), CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_NO_CERTIFICATE);
	card_control("fault empty");
	assert_int_equal(cm_card_certificate(card, CM_SLOT_AUTHENTICATION, deadline, test_trace(),
	    &cert), CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_NO_CERTIFICATE);
	cm_card_close(&card);
}

static enum cm_err
count_readers(void *arg, const struct cm_reader *r)
{
	unsigned *seen = arg;

	seen[0]++;
	seen[1] += r->card_present && r->atr.len > 2;
	return CM_OK;
}

static void
test_readers_and_their_names(void **state)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	struct cm_card *card = NULL;
	unsigned seen[2] = { 0, 0 };

	(void)state;
	assert_int_equal(cm_card_readers(deadline, NULL, count_readers, seen), CM_OK);
	assert_int_equal(seen[0], 2);
	assert_int_equal(seen[1], 1);
	assert_int_equal(cm_card_open("reader:nobody's", CM_CARD_LOOK, deadline, test_trace(),
	    &card), CM_ERR_OFFLINE);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_NO_READER);
	assert_non_null(strstr(cm_trace_message(test_trace()), "Virtual PCD 00 01"));
	assert_int_equal(cm_card_open("reader:PCD 00 01", CM_CARD_LOOK, deadline, test_trace(),
	    &card), CM_ERR_OFFLINE);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_NO_CARD);
	assert_int_equal(cm_card_open("drawer:top", CM_CARD_LOOK, deadline, test_trace(), &card),
	    CM_ERR_CONFIG);
}

/* A card in the other reader, until it is killed; the count of readers with a card tells. */
static void
wait_for_cards(unsigned wanted)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	unsigned seen[2] = { 0, 0 };

	do {
		assert_false(cm_deadline_passed(deadline));
		poll(NULL, 0, 10);
		seen[1] = 0;
		assert_int_equal(cm_card_readers(deadline, NULL, count_readers, seen), CM_OK);
	} while (seen[1] != wanted);
}

static void
test_several_cards_are_not_guessed_between(void **state)
{
	const cm_deadline deadline = cm_deadline_in(20000);
	const char *dir = card_make("bob", "bob", "");
	struct cm_card *card = NULL;
	const pid_t second = fork();

	(void)state;
	if (second == 0) {
		execl(getenv("CM_VCARD"), "vcard", "--card", dir, "--port", "35964", (char *)NULL);
		_exit(127);
	}
	wait_for_cards(2);
	assert_int_equal(cm_card_open("reader", CM_CARD_LOOK, deadline, test_trace(), &card),
	    CM_ERR_USAGE);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_SEVERAL_CARDS);
	assert_non_null(strstr(cm_trace_message(test_trace()), "Virtual PCD 00 00"));
	assert_non_null(strstr(cm_trace_message(test_trace()), "Virtual PCD 00 01"));
	assert_int_equal(cm_card_open("reader:00 01", CM_CARD_LOOK, deadline, NULL, &card), CM_OK);
	assert_string_equal(cm_card_where(card), "Virtual PCD 00 01");
	cm_card_close(&card);
	kill(second, SIGTERM);
	waitpid(second, NULL, 0);
	wait_for_cards(1);
}

/* --- PIN --- */

static void
test_wrong_pin_spends_exactly_one_try(void **state)
{
	struct login l = { .pin = "30927461" };

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	assert_int_equal(login(&l), CM_ERR_REFUSED);
	assert_int_equal(l.reason, CM_REASON_PIN_WRONG);
	assert_non_null(strstr(cm_trace_message(test_trace()), "2 tries left"));
	assert_int_equal(l.tries, 3);
	assert_int_equal(l.left, 2);
	assert_int_equal(l.stats.verifies, 1);
	assert_int_equal(card_tries(), 2);
	/* and the right one gives them all back */
	l.pin = PIN;
	assert_int_equal(login(&l), CM_OK);
	assert_int_equal(l.tries, 2);
	assert_int_equal(card_tries(), 3);
}

static void
test_last_try_is_never_spent_silently(void **state)
{
	struct login l = { .pin = "30927461" };

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	card_control("tries 1");
	assert_int_equal(login(&l), CM_ERR_REFUSED);
	assert_int_equal(l.reason, CM_REASON_PIN_LAST_TRY);
	assert_int_equal(l.stats.verifies, 0);
	assert_int_equal(card_tries(), 1);
	l.last_try = true;
	assert_int_equal(login(&l), CM_ERR_REFUSED);
	assert_int_equal(l.reason, CM_REASON_PIN_BLOCKED);
	assert_int_equal(l.left, 0);
	assert_int_equal(card_tries(), 0);
	/* Blocked: nothing is sent, not even the right PIN. */
	card_log_count(NULL);
	l.pin = PIN;
	assert_int_equal(login(&l), CM_ERR_REFUSED);
	assert_int_equal(l.reason, CM_REASON_PIN_BLOCKED);
	assert_int_equal(l.stats.verifies, 0);
	assert_int_equal(card_log_count("0020008008"), 0);
}

static void
test_what_cannot_be_a_pin_is_not_sent(void **state)
{
	static const char *const pins[] = { "", "12345", "123456789", "12345a", "12 456", "123456\n" };

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	for (size_t i = 0; i < CM_COUNT(pins); i++) {
		struct login l = { .pin = pins[i] };

		assert_int_equal(login(&l), CM_ERR_REFUSED);
		assert_int_equal(l.reason, CM_REASON_PIN_FORM);
		assert_int_equal(l.stats.verifies, 0);
		assert_int_equal(l.left, 3);
	}
	assert_int_equal(card_log_count("0020008008"), 0);
	assert_int_equal(card_tries(), 3);
}

static void
test_tries_are_asked_before_a_pin_is_sent(void **state)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	struct cm_secret *pin = secret(PIN), *wrong = secret("30927461");
	struct cm_card *card = NULL;
	unsigned n = 0;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	assert_int_equal(cm_card_open("reader", CM_CARD_LOOK, deadline, NULL, &card), CM_OK);
	assert_int_equal(cm_card_verify_pin(card, pin, false, deadline, NULL, &n), CM_ERR_STATE);
	assert_int_equal(cm_card_pin_tries(card, deadline, NULL, &n), CM_OK);
	assert_int_equal(n, 3);
	/* A wrong PIN's answer says how many are left: no need to ask again. */
	assert_int_equal(cm_card_verify_pin(card, wrong, false, deadline, NULL, &n), CM_ERR_REFUSED);
	assert_int_equal(cm_card_verify_pin(card, wrong, false, deadline, NULL, &n), CM_ERR_REFUSED);
	assert_int_equal(n, 1);
	assert_int_equal(cm_card_verify_pin(card, pin, false, deadline, NULL, &n), CM_ERR_REFUSED);
	assert_int_equal(card_tries(), 1);
	assert_int_equal(cm_card_verify_pin(card, pin, true, deadline, NULL, &n), CM_OK);
	assert_int_equal(card_tries(), 3);
	cm_card_close(&card);
	cm_secret_free(&pin);
	cm_secret_free(&wrong);
}

/* An already unlocked card must still ask the PIN (features.md 6). */
static void
test_unlocked_card_is_asked_all_the_same(void **state)
{
	struct login l = { .pin = "30927461" };
	struct other o;
	char verify[27] = "0020008008";

	(void)state;
	for (size_t i = 0; i < 8; i++)
		snprintf(verify + 10 + 2 * i, 3, "%02X", (unsigned char)PIN[i]);
	card_become(card_make("alice-p256", "alice-p256", ""));
	other_connect(&o);
	assert_int_equal(other_send(&o, verify), 0x9000);
	assert_int_equal(login(&l), CM_ERR_REFUSED);
	assert_int_equal(l.reason, CM_REASON_PIN_WRONG);
	assert_int_equal(l.tries, CM_TRIES_UNKNOWN);
	assert_int_equal(l.left, 2);
	other_disconnect(&o, SCARD_RESET_CARD);
}

/* --- Afterwards --- */

static enum cm_err
sign_without_pin(void)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	static const uint8_t digest[32] = { 1 };
	struct cm_buf signature = { 0 };
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;
	enum cm_err err;

	assert_int_equal(cm_card_open("reader", CM_CARD_LOOK, deadline, NULL, &card), CM_OK);
	assert_int_equal(cm_card_certificate(card, CM_SLOT_AUTHENTICATION, deadline, NULL, &cert),
	    CM_OK);
	err = cm_card_sign(card, CM_SLOT_AUTHENTICATION, cert, "SHA256",
	    (struct cm_blob){ digest, sizeof(digest) }, deadline, test_trace(), &signature);
	cm_buf_free(&signature);
	cm_cert_free(&cert);
	cm_card_close(&card);
	return err;
}

static void
test_reset_at_the_end_forgets_the_pin(void **state)
{
	struct login l = { 0 };
	struct other o;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	/* The other's connection keeps pcscd from powering the card off by itself. */
	other_connect(&o);
	card_control("zero");
	assert_int_equal(login(&l), CM_OK);
	assert_int_equal(card_counts().resets, 1);
	assert_int_equal(sign_without_pin(), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_KEY);
	assert_int_equal(card_counts().operations, 1);
	other_disconnect(&o, SCARD_LEAVE_CARD);
}

/* Between VERIFY and the reset nobody else may use the unlocked card. */
static void
test_unlocked_card_is_ours_alone(void **state)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	struct cm_secret *pin = secret(PIN);
	struct cm_card *ours = NULL, *theirs = NULL;
	unsigned n = 0;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", ""));
	assert_int_equal(cm_card_open("reader", CM_CARD_LOOK, deadline, NULL, &ours), CM_OK);
	assert_int_equal(cm_card_pin_tries(ours, deadline, NULL, &n), CM_OK);
	assert_int_equal(cm_card_verify_pin(ours, pin, false, deadline, NULL, &n), CM_OK);
	assert_int_equal(cm_card_open("reader", CM_CARD_LOOK, cm_deadline_in(300), test_trace(),
	    &theirs), CM_ERR_OFFLINE);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_SILENT);
	cm_card_close(&ours);
	cm_secret_free(&pin);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_look_costs_select_and_certificate),
		cmocka_unit_test(test_login_costs_and_proves_every_key_type),
		cmocka_unit_test(test_extended_length_where_the_atr_has_it),
		cmocka_unit_test(test_gzip_certificate),
		cmocka_unit_test(test_guid_recognises_the_card),
		cmocka_unit_test(test_global_pin_where_the_card_says_so),
		cmocka_unit_test(test_no_certificate_is_an_answer),
		cmocka_unit_test(test_readers_and_their_names),
		cmocka_unit_test(test_several_cards_are_not_guessed_between),
		cmocka_unit_test(test_wrong_pin_spends_exactly_one_try),
		cmocka_unit_test(test_last_try_is_never_spent_silently),
		cmocka_unit_test(test_what_cannot_be_a_pin_is_not_sent),
		cmocka_unit_test(test_tries_are_asked_before_a_pin_is_sent),
		cmocka_unit_test(test_unlocked_card_is_asked_all_the_same),
		cmocka_unit_test(test_reset_at_the_end_forgets_the_pin),
		cmocka_unit_test(test_unlocked_card_is_ours_alone),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
