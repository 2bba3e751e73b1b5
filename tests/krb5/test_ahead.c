/* tests/krb5/test_ahead.c - what is done of a ticket before the card may be used: it is used once, or not at all. */
#include "krb5_rig.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "krb5/ahead.h"

static struct cm_ahead *
begin(struct login *l, unsigned ms)
{
	struct cm_ahead *h = NULL;

	if (l->pkinit == NULL)
		assert_int_equal(cm_pkinit_open(&l->options, l->trace, &l->pkinit), CM_OK);
	assert_int_equal(cm_ahead_begin(l->pkinit, cm_cert_der(l->cert), &l->account, cm_deadline_in(ms), &h), CM_OK);
	return h;
}

static enum cm_err
take(struct login *l, struct cm_ahead *h)
{
	const enum cm_err err = cm_ahead_take(&h, l->card, CM_SLOT_AUTHENTICATION, cm_deadline_in(l->deadline_ms), l->trace, &l->ticket);

	assert_null(h);
	if (err != CM_OK)
		assert_null(l->ticket);
	return err;
}

static void
test_it_is_the_same_ticket(void **state)
{
	static const char *const cards[] = { "alice-rsa2048", "alice-p256", "alice-p384", "alice-rsa4096" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cards); i++) {
		struct cm_ahead *h;
		struct login l;

		login_begin(&l, cards[i]);
		h = begin(&l, 10000);
		assert_int_equal(cm_card_stats(l.card).key_operations, 0);
		if (take(&l, h) != CM_OK)
			fail_msg("%s: %s", cards[i], cm_trace_message(l.trace));
		assert_true(cm_ticket_proves(l.ticket, &l.account, l.cert));
		assert_string_equal(cm_ticket_principal(l.ticket), "alice@CARDMAP.TEST");
		assert_int_equal(cm_card_stats(l.card).key_operations, 1);
		/* what was heard before there was a trace to tell is told */
		assert_non_null(strstr(cm_trace_find(l.trace, "pkinit"), "client matched KDC principal"));
		login_end(&l);
	}
}

/*
 * Whoever takes it has what cm_pkinit_get_ticket() would say, where the card had a part in it; else that is to be asked.
 * Cards that do not sign as they should are in tests/helper/test_cards.c: the pkinit plugin leaks where a signature fails.
 */
static const struct refusal_row {
	const char *card, *principal;
	enum cm_err err;
	enum cm_reason reason;
	unsigned signatures;
} refusals[] = {
	{ "alice-p256", "bob@CARDMAP.TEST", CM_ERR_REFUSED, CM_REASON_KDC_REFUSED, 1 },
	{ "wrong-eku", "alice@CARDMAP.TEST", CM_ERR_REFUSED, CM_REASON_KDC_REFUSED, 1 },
	{ "alice-p256", "nobody@CARDMAP.TEST", CM_ERR_ABSENT, CM_REASON_NONE, 0 },
	{ "alice-p256", "alice@OTHER.TEST", CM_ERR_ABSENT, CM_REASON_NONE, 0 },
};

static void
test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(refusals); i++) {
		const struct refusal_row *r = &refusals[i];
		struct login l;
		enum cm_err err;

		login_begin(&l, r->card);
		l.account.principal = (char *)(uintptr_t)r->principal;
		err = take(&l, begin(&l, 10000));
		if (err != r->err || cm_trace_reason(l.trace) != r->reason)
			fail_msg("%s, %s: %s: %s", r->card, r->principal, cm_err_name(err), cm_trace_message(l.trace));
		assert_int_equal(cm_card_stats(l.card).key_operations, r->signatures);
		login_end(&l);
	}
}

/* Until the KDC has answered the first request. */
static void
await_needed(struct kdc *k, char *said, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (strstr(said, "NEEDED_PREAUTH") == NULL) {
		n = read(k->log, said + len, size - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
		said[len] = '\0';
	}
}

/* Dropped where the card would sign: it is not asked, the KDC hears nothing more, and the same pkinit serves the next. */
static void
test_dropped(void **state)
{
	char said[16384] = "", rest[16384] = "";
	struct cm_ahead *h;
	struct login l;
	struct kdc kdc;

	(void)state;
	start_kdc(&kdc, "kdc", "");
	login_begin(&l, "alice-rsa2048");
	l.kdcs[0] = SECOND_KDC;
	h = begin(&l, 60000);
	await_needed(&kdc, said, sizeof(said));
	cm_ahead_drop(&h);
	assert_null(h);
	cm_ahead_drop(&h);
	assert_int_equal(cm_card_stats(l.card).key_operations, 0);
	stop_kdc(&kdc, rest, sizeof(rest));
	assert_null(strstr(said, "ISSUE"));
	assert_null(strstr(rest, "ISSUE"));
	login_end(&l);

	login_begin(&l, "alice-rsa2048");
	h = begin(&l, 60000);
	cm_ahead_drop(&h);
	assert_int_equal(take(&l, begin(&l, 10000)), CM_OK);
	assert_int_equal(cm_card_stats(l.card).key_operations, 1);
	login_end(&l);
}

/* A silent KDC is waited for once, within the deadline of whoever waits; who drops it waits for nothing. */
static void
test_frozen_kdc(void **state)
{
	const pid_t kdc = (pid_t)strtol(rig("CM_RIG_PID_KDC"), NULL, 10);
	struct cm_ahead *h;
	struct login l;
	int64_t began;

	(void)state;
	login_begin(&l, "alice-p256");
	assert_int_equal(kill(kdc, SIGSTOP), 0);
	began = cm_clock_us();
	h = begin(&l, 600000);
	cm_ahead_drop(&h);
	assert_in_range(cm_clock_us() - began, 0, 60000000);

	assert_int_equal(take(&l, begin(&l, 500)), CM_ERR_OFFLINE);
	assert_int_equal(cm_trace_reason(l.trace), CM_REASON_KDC_OFFLINE);
	assert_non_null(strstr(cm_trace_message(l.trace), "127.0.0.1:8800"));

	/* its own request has more time than who takes it */
	began = cm_clock_us();
	l.deadline_ms = 500;
	h = begin(&l, 600000);
	assert_int_not_equal(take(&l, h), CM_OK);
	assert_in_range(cm_clock_us() - began, 400000, 60000000);
	assert_int_equal(cm_card_stats(l.card).key_operations, 0);
	assert_int_equal(kill(kdc, SIGCONT), 0);
	login_end(&l);
}

static void
test_whose_it_is(void **state)
{
	struct login l, other;
	struct cm_ahead *h;

	(void)state;
	login_begin(&l, "alice-p256");
	login_begin(&other, "alice-p384");
	h = begin(&l, 10000);
	assert_true(cm_ahead_is_for(h, "alice@CARDMAP.TEST", cm_cert_der(l.cert)));
	assert_false(cm_ahead_is_for(h, "bob@CARDMAP.TEST", cm_cert_der(l.cert)));
	assert_false(cm_ahead_is_for(h, "alice@CARDMAP.TEST", cm_cert_der(other.cert)));
	cm_ahead_drop(&h);
	login_end(&other);
	login_end(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_the_same_ticket),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_frozen_kdc),
		cmocka_unit_test(test_whose_it_is),
	};

	return cmocka_run_group_tests_name("krb5.ahead", tests, NULL, NULL);
}
