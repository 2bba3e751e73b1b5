/* tests/card/test_known.c - a card that this host knows: what is not read again, and what shows that it was a mistake. */
#include "card_rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "card/card_internal.h"

#define GUID	"guid=00112233445566778899aabbccddeeff\n"

/* What a store would have: one certificate, whoever asks. */
struct store {
	struct cm_cert *cert;	/* NULL: nothing */
	bool global_pin;
	enum cm_err err;
	unsigned asked;
	uint8_t guid[16];
};

static enum cm_err
recognise(void *arg, struct cm_blob guid, cm_deadline deadline, struct cm_trace *t,
    struct cm_card_known *out)
{
	struct store *s = arg;

	(void)deadline, (void)t;
	s->asked++;
	assert_int_equal(guid.len, sizeof(s->guid));
	memcpy(s->guid, guid.ptr, sizeof(s->guid));
	if (s->cert != NULL)
		cm_buf_add_blob(&out->certificate, cm_cert_der(s->cert));
	out->global_pin = s->global_pin;
	return s->err;
}

/* One login as a service does it, with what the steps gave. */
struct session {
	struct cm_card *card;
	struct cm_cert *cert;
	cm_deadline deadline;
	unsigned tries, left;
};

static enum cm_err
begin(struct session *s, struct store *store)
{
	const struct cm_card_recogniser r = { .recognise = recognise, .arg = store };
	enum cm_err err;

	*s = (struct session){ .deadline = cm_deadline_in(20000) };
	cm_trace_clear_reason(test_trace());
	if ((err = cm_card_open_known("reader", &r, s->deadline, test_trace(), &s->card)) != CM_OK ||
	    (err = cm_card_pin_tries(s->card, s->deadline, test_trace(), &s->tries)) != CM_OK)
		return err;
	return cm_card_certificate(s->card, CM_SLOT_AUTHENTICATION, s->deadline, test_trace(), &s->cert);
}

static enum cm_err
unlock(struct session *s)
{
	struct cm_secret *pin = secret(PIN);
	enum cm_err err = cm_card_verify_pin(s->card, pin, false, s->deadline, test_trace(), &s->left);

	cm_secret_free(&pin);
	return err;
}

static enum cm_err
prove(struct session *s)
{
	struct cm_proof *proof = NULL;
	enum cm_err err = cm_card_prove(s->card, CM_SLOT_AUTHENTICATION, s->cert, s->deadline, test_trace(), &proof);

	assert_int_equal(cm_proof_is_for(proof, s->cert), err == CM_OK);
	cm_proof_free(&proof);
	return err;
}

static void
end(struct session *s)
{
	cm_cert_free(&s->cert);
	cm_card_close(&s->card);
}

/* SELECT, CHUID, tries; VERIFY, GENERAL AUTHENTICATE: the figures are those that are promised. */
static const struct row {
	const char *name;
	unsigned commands;
} rows[] = {
	{ "alice-rsa2048", 7 },
	{ "alice-rsa3072", 7 },
	{ "alice-p256", 5 },
	{ "alice-p384", 5 },
};

static void
test_known_card_is_not_read_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct store store = { .cert = pki_cert(rows[i].name) };
		struct session s;

		card_become(card_make(rows[i].name, rows[i].name, GUID));
		cm_trace_begin(test_trace(), "certificate");
		assert_int_equal(begin(&s, &store), CM_OK);
		cm_trace_end(test_trace(), CM_OK);
		assert_int_equal(store.asked, 1);
		assert_memory_equal(store.guid, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
		assert_true(cm_card_is_cached(s.card));
		assert_string_equal(cm_trace_find(test_trace(), "guid"), "00112233445566778899aabbccddeeff");
		assert_true(cm_blob_equal(cm_cert_der(s.cert), cm_cert_der(store.cert)));
		assert_int_equal(cm_card_stats(s.card).commands, 3);
		assert_int_equal(s.tries, 3);
		assert_int_equal(unlock(&s), CM_OK);
		assert_int_equal(prove(&s), CM_OK);
		assert_int_equal(cm_card_stats(s.card).commands, rows[i].commands);
		assert_int_equal(card_counts().commands, rows[i].commands);
		assert_int_equal(card_counts().operations, 1);
		assert_int_equal(cm_card_stats(s.card).verifies, 1);
		end(&s);
		assert_int_equal(card_log_count("5C035FC105"), 0);
		assert_int_equal(card_log_count("5C017E"), 0);
		cm_cert_free(&store.cert);
	}
}

static void
test_unknown_card_is_read_whole(void **state)
{
	struct cm_cert *cert = pki_cert("alice-rsa2048");
	struct store store = { 0 };
	struct session s;

	(void)state;
	card_become(card_make("alice-rsa2048", "alice-rsa2048", GUID));
	assert_int_equal(begin(&s, &store), CM_OK);
	assert_int_equal(store.asked, 1);
	assert_false(cm_card_is_cached(s.card));
	assert_true(cm_blob_equal(cm_cert_der(s.cert), cm_cert_der(cert)));
	assert_int_equal(unlock(&s), CM_OK);
	assert_int_equal(prove(&s), CM_OK);
	/* a first login: 8 + ceil(object / 256) */
	assert_int_equal(card_counts().commands, 8 + object_chunks(cert));
	end(&s);
	/* who cannot be asked, and what does not decode, only cost the reading */
	store = (struct store){ .err = CM_ERR_OFFLINE };
	assert_int_equal(begin(&s, &store), CM_OK);
	assert_false(cm_card_is_cached(s.card));
	assert_true(cm_blob_equal(cm_cert_der(s.cert), cm_cert_der(cert)));
	end(&s);
	cm_cert_free(&cert);
}

static enum cm_err
give_garbage(void *arg, struct cm_blob guid, cm_deadline deadline, struct cm_trace *t,
    struct cm_card_known *out)
{
	(void)arg, (void)guid, (void)deadline, (void)t;
	cm_buf_add_str(&out->certificate, "not a certificate");
	out->global_pin = true;
	return CM_OK;
}

static void
test_what_was_kept_wrongly_is_as_good_as_nothing(void **state)
{
	const struct cm_card_recogniser r = { .recognise = give_garbage };
	struct cm_card *card = NULL;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", GUID));
	assert_int_equal(cm_card_open_known("reader", &r, cm_deadline_in(20000), test_trace(), &card), CM_OK);
	assert_false(cm_card_is_cached(card));
	assert_false(cm_card_global_pin(card));
	cm_card_close(&card);
}

/* features.md section 5: which cards are not recognised by their CHUID. */
static void
test_cards_that_cannot_be_recognised(void **state)
{
	static const char *const confs[] = {
		"guid=00000000000000000000000000000000\n", "chuid=no\n",
		GUID "fascn=d4e739da739ced39ce739d836858210842108421c84210c3eb\n",
		GUID "fascn=d4e739da739ced39ce739d836858210842108421384210c3f5\n",
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(confs); i++) {
		struct store store = { .cert = pki_cert("bob") };
		struct session s;

		card_become(card_make("alice-p256", "alice-p256", confs[i]));
		assert_int_equal(begin(&s, &store), CM_OK);
		assert_int_equal(store.asked, 0);
		assert_int_equal(cm_card_guid(s.card).len, 0);
		assert_false(cm_card_is_cached(s.card));
		assert_int_equal(unlock(&s), CM_OK);
		assert_int_equal(prove(&s), CM_OK);
		end(&s);
		cm_cert_free(&store.cert);
	}
}

/* --- Which PIN --- */

static void
test_known_card_gets_the_pin_that_it_wants(void **state)
{
	struct store store = { .cert = pki_cert("alice-p256"), .global_pin = true };
	struct session s;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", GUID "pin_policy=global\n"));
	assert_int_equal(begin(&s, &store), CM_OK);
	assert_true(cm_card_global_pin(s.card));
	assert_int_equal(unlock(&s), CM_OK);
	assert_int_equal(prove(&s), CM_OK);
	assert_int_equal(card_counts().commands, 5);
	end(&s);
	assert_int_equal(card_log_count(" 00200000"), 2);
	assert_int_equal(card_log_count(" 00200080"), 0);
	cm_cert_free(&store.cert);
}

/* The card was set up anew, with a PIN of its application alone: no PIN goes where it does not belong. */
static void
test_wrong_pin_reference_is_found_out_before_the_pin(void **state)
{
	struct store store = { .cert = pki_cert("alice-p256"), .global_pin = true };
	struct session s;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", GUID));
	assert_int_equal(begin(&s, &store), CM_OK);
	assert_false(cm_card_global_pin(s.card));
	assert_int_equal(s.tries, 3);
	assert_int_equal(unlock(&s), CM_OK);
	assert_int_equal(prove(&s), CM_OK);
	end(&s);
	assert_int_equal(card_log_count(" 0020000008"), 0);
	cm_cert_free(&store.cert);
}

/* --- The kept certificate is not the card's any more --- */

static void
test_reissued_card_is_read_again_without_another_pin(void **state)
{
	static const char *const kept[] = { "bob", "alice-p256" };	/* a key of the same kind, and of another */

	(void)state;
	for (size_t i = 0; i < CM_COUNT(kept); i++) {
		struct store store = { .cert = pki_cert(kept[i]) };
		struct cm_cert *real = pki_cert("alice-rsa2048");
		struct session s;
		unsigned before;

		card_become(card_make("alice-rsa2048", "alice-rsa2048", GUID));
		assert_int_equal(begin(&s, &store), CM_OK);
		assert_int_equal(unlock(&s), CM_OK);
		assert_int_equal(prove(&s), CM_ERR_REFUSED);
		assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_KEY);
		before = card_counts().commands;
		cm_cert_free(&s.cert);
		assert_int_equal(cm_card_read_again(s.card, CM_SLOT_AUTHENTICATION, s.deadline, test_trace(), &s.cert), CM_OK);
		assert_int_equal(card_counts().commands, before + object_chunks(real));
		assert_false(cm_card_is_cached(s.card));
		assert_true(cm_blob_equal(cm_cert_der(s.cert), cm_cert_der(real)));
		assert_int_equal(prove(&s), CM_OK);
		assert_int_equal(cm_card_stats(s.card).verifies, 1);
		end(&s);
		assert_int_equal(card_log_count(" 0020008008"), 1);
		cm_cert_free(&store.cert);
		cm_cert_free(&real);
	}
}

/* Before the PIN, as when the kept certificate has expired: another program may have been there since. */
static void
test_read_again_before_the_pin(void **state)
{
	struct store store = { .cert = pki_cert("bob") };
	struct cm_cert *real = pki_cert("alice-p256");
	struct session s;
	struct other o;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", GUID));
	assert_int_equal(begin(&s, &store), CM_OK);
	other_connect(&o);
	cm_cert_free(&s.cert);
	assert_int_equal(cm_card_read_again(s.card, CM_SLOT_AUTHENTICATION, s.deadline, test_trace(), &s.cert), CM_OK);
	assert_true(cm_blob_equal(cm_cert_der(s.cert), cm_cert_der(real)));
	/* and nobody is kept out while a person is asked */
	assert_int_equal(other_send(&o, "00200080"), 0x63C3);
	assert_int_equal(unlock(&s), CM_OK);
	assert_int_equal(prove(&s), CM_OK);
	end(&s);
	other_disconnect(&o, SCARD_LEAVE_CARD);
	cm_cert_free(&store.cert);
	cm_cert_free(&real);
}

/* --- Swapped: a kept certificate makes nothing of that harmless --- */

static void
test_known_card_that_was_swapped_gets_no_pin(void **state)
{
	struct store store = { .cert = pki_cert("alice-p256") };
	struct session s;
	char other[512];

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", GUID));
	/* the same GUID: a copy of all that is public */
	snprintf(other, sizeof(other), "%s", card_make("alice-p256", "bob", GUID));
	assert_int_equal(begin(&s, &store), CM_OK);
	card_log_count(NULL);
	card_control("swap %s", other);
	card_control("zero");
	assert_int_equal(unlock(&s), CM_ERR_OFFLINE);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_CARD_REMOVED);
	cm_cert_free(&s.cert);
	assert_int_equal(cm_card_read_again(s.card, CM_SLOT_AUTHENTICATION, s.deadline, test_trace(), &s.cert), CM_ERR_OFFLINE);
	assert_null(s.cert);
	assert_int_equal(card_counts().commands, 0);
	end(&s);
	cm_cert_free(&store.cert);
}

/* The very moment: it goes while the VERIFY is on its way.  Nothing that comes after reaches the other card. */
static void
test_swapped_while_the_pin_is_sent(void **state)
{
	struct store store = { .cert = pki_cert("alice-p256") };
	struct session s;
	char other[512], alice[512];

	(void)state;
	snprintf(alice, sizeof(alice), "%s", card_make("alice-p256", "alice-p256", GUID));
	snprintf(other, sizeof(other), "%s", card_make("bob", "bob", GUID));
	card_insert(alice);
	card_log_count(NULL);
	assert_int_equal(begin(&s, &store), CM_OK);
	card_control("fault swap=%s@ins20", other);
	assert_int_equal(unlock(&s), CM_ERR_OFFLINE);
	assert_int_equal(prove(&s), CM_ERR_OFFLINE);
	end(&s);
	assert_true(card_log_count(" 0020008008") <= 1);
	card_insert(alice);
	cm_cert_free(&store.cert);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_card_is_not_read_again),
		cmocka_unit_test(test_unknown_card_is_read_whole),
		cmocka_unit_test(test_what_was_kept_wrongly_is_as_good_as_nothing),
		cmocka_unit_test(test_cards_that_cannot_be_recognised),
		cmocka_unit_test(test_known_card_gets_the_pin_that_it_wants),
		cmocka_unit_test(test_wrong_pin_reference_is_found_out_before_the_pin),
		cmocka_unit_test(test_reissued_card_is_read_again_without_another_pin),
		cmocka_unit_test(test_read_again_before_the_pin),
		cmocka_unit_test(test_known_card_that_was_swapped_gets_no_pin),
		cmocka_unit_test(test_swapped_while_the_pin_is_sent),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
