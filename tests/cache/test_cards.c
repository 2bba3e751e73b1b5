/* tests/cache/test_cards.c - what is kept of a card: recognised by its GUID, judged by who decides, believed of nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "store_rig.h"

static const uint8_t guids[2][16] = { "card one's GUID", "card two's GUID" };
static const uint8_t links[2][36] = { { 1, 2, 3 }, { 4, 5, 6 } };

/* alice with that certificate, as processes told it. */
static struct cm_remember_apart
told(struct rig *r, const struct cm_cert *c, unsigned guid, time_t now)
{
	static struct cm_account a;
	static struct cm_blob chain[2], rows[2];

	a = rig_account(4001);
	chain[0] = cm_cert_der(c);
	chain[1] = cm_cert_der(r->other);
	for (size_t i = 0; i < 2; i++)
		rows[i] = (struct cm_blob){ links[i], sizeof(links[i]) };
	return (struct cm_remember_apart){ .account = &a, .certificate = cm_cert_der(c), .chain = chain, .chain_count = 2,
		.card = { .guid = { guids[guid], 16 }, .global_pin = guid == 1, .key = { (const uint8_t *)"a key", 5 }, .links = rows,
			.link_count = 2, .not_after = NOW + 100 * DAY },
		.now = now, .account_online = true };
}

static void
keep(struct rig *r, const struct cm_remember_apart *m)
{
	if (cm_accounts_remember_apart(r->store, m, r->trace) != CM_OK)
		fail_msg("%s", cm_trace_message(r->trace));
}

static enum cm_err
recognise(struct rig *r, unsigned guid, const struct cm_cert *want, bool *global_pin)
{
	struct cm_recognised found;
	const enum cm_err err = cm_accounts_recognise(r->store, (struct cm_blob){ guids[guid], 16 }, NULL, r->trace, &found);

	assert_true(err != CM_OK || cm_blob_equal(cm_buf_blob(&found.certificate), cm_cert_der(want)));
	assert_true(err == CM_OK || found.certificate.len == 0);
	*global_pin = found.global_pin;
	cm_buf_free(&found.certificate);
	return err;
}

static void
known_by_guid(void **state)
{
	struct rig *r = *state;
	struct cm_remember_apart m = told(r, r->cert, 1, NOW);
	struct cm_recognised found;
	bool global_pin = false;

	keep(r, &m);
	assert_int_equal(recognise(r, 1, r->cert, &global_pin), CM_OK);
	assert_true(global_pin);
	assert_int_equal(recognise(r, 0, NULL, &global_pin), CM_ERR_ABSENT);
	assert_false(global_pin);
	/* a card that cannot be recognised is nobody's */
	m.card.guid.len = 0;
	keep(r, &m);
	assert_int_equal(recognise(r, 1, NULL, &global_pin), CM_ERR_ABSENT);
	assert_int_equal(cm_accounts_recognise(r->store, (struct cm_blob){ NULL, 0 }, NULL, r->trace, &found), CM_ERR_ABSENT);
	assert_int_equal(cm_accounts_recognise(r->store, (struct cm_blob){ guids[1], 15 }, NULL, r->trace, &found), CM_ERR_ABSENT);
}

/* Issued anew with the same GUID: the certificate of its last login, whichever was written last. */
static void
newest_of_a_card(void **state)
{
	struct rig *r = *state;
	struct cm_remember_apart m = told(r, r->cert, 0, NOW + DAY);
	struct cm_blob chain[] = { cm_cert_der(r->other) };
	bool global_pin;

	keep(r, &m);
	m = told(r, r->other, 0, NOW);
	m.chain = chain;
	m.chain_count = 1;
	keep(r, &m);
	assert_int_equal(recognise(r, 0, r->cert, &global_pin), CM_OK);
	m.now = NOW + 2 * DAY;
	keep(r, &m);
	assert_int_equal(recognise(r, 0, r->other, &global_pin), CM_OK);
	assert_int_equal(cm_accounts_withdraw(r->store, r->cert, r->trace), CM_OK);
	assert_int_equal(recognise(r, 0, r->other, &global_pin), CM_OK);
	/* what is damaged is said */
	rig_sql(r, "UPDATE account SET uid = 5");
	assert_int_equal(recognise(r, 0, NULL, &global_pin), CM_ERR_SYSTEM);
	assert_int_equal(cm_trace_reason(r->trace), CM_REASON_STORE);
}

/* Nothing is recognised by what was mistaken, until that is kept anew; the account is kept as it was. */
static void
mistaken(void **state)
{
	struct rig *r = *state;
	const struct cm_remember_apart m = told(r, r->cert, 1, NOW);
	struct cm_kept_row *row = NULL;
	bool global_pin;

	assert_int_equal(cm_accounts_mistook(r->store, cm_cert_der(r->cert), r->trace), CM_ERR_ABSENT);
	keep(r, &m);
	assert_int_equal(cm_accounts_mistook(r->store, cm_cert_der(r->other), r->trace), CM_ERR_ABSENT);
	assert_int_equal(recognise(r, 1, r->cert, &global_pin), CM_OK);
	assert_int_equal(cm_accounts_mistook(r->store, cm_cert_der(r->cert), r->trace), CM_OK);
	assert_int_equal(recognise(r, 1, NULL, &global_pin), CM_ERR_ABSENT);
	assert_int_equal(cm_accounts_find_row(r->store, cm_cert_der(r->cert), NOW + 50, r->trace, &row), CM_OK);
	rig_assert_same(row->account, m.account);
	assert_int_equal(row->usable, CM_OK);
	assert_int_equal(row->age, 50);
	assert_true(cm_blob_equal(row->card.key, m.card.key));
	assert_int_equal(row->card.guid.len, 0);
	cm_kept_row_free(&row);
	keep(r, &m);
	assert_int_equal(recognise(r, 1, r->cert, &global_pin), CM_OK);
}

static void
row_is_whole(void **state)
{
	struct rig *r = *state;
	const struct cm_remember_apart m = told(r, r->cert, 1, NOW);
	struct cm_kept_row *row = NULL;

	assert_int_equal(cm_accounts_find_row(r->store, cm_cert_der(r->cert), NOW, r->trace, &row), CM_ERR_ABSENT);
	assert_null(row);
	keep(r, &m);
	assert_int_equal(cm_accounts_find_row(r->store, cm_cert_der(r->cert), NOW + 50, r->trace, &row), CM_OK);
	rig_assert_same(row->account, m.account);
	assert_true(cm_blob_equal(row->card.key, m.card.key));
	assert_true(cm_blob_equal(row->card.guid, m.card.guid));
	assert_true(row->card.global_pin);
	assert_int_equal(row->card.link_count, 2);
	assert_true(cm_blob_equal(row->card.links[1], m.card.links[1]));
	assert_int_equal(row->card.not_after, NOW + 100 * DAY);
	assert_int_equal(row->usable, CM_OK);
	assert_int_equal(row->age, 50);
	cm_kept_row_free(&row);
	/* one day offline is allowed here: it is there, and why it does not do is told beside it */
	assert_int_equal(cm_accounts_find_row(r->store, cm_cert_der(r->cert), NOW + 2 * DAY, r->trace, &row), CM_OK);
	assert_int_equal(row->usable, CM_ERR_REFUSED);
	assert_int_equal(row->reason, CM_REASON_KEPT_TOO_OLD);
	assert_non_null(strstr(row->why, "alice"));
	assert_int_equal(cm_trace_reason(r->trace), CM_REASON_NONE);
	cm_kept_row_free(&row);
}

/* What is of another form is not kept at all. */
static void
only_what_has_its_form(void **state)
{
	static const uint8_t much[CM_KEPT_KEY_MAX + 1];
	struct rig *r = *state;
	struct cm_remember_apart bad[8];
	struct cm_blob short_link[2] = { { links[0], 32 }, { links[1], 36 } }, long_link[2] = { { much, 65 }, { links[1], 36 } };

	for (size_t i = 0; i < CM_COUNT(bad); i++) {
		bad[i] = told(r, r->cert, 1, NOW);
		if (i == 0)
			bad[i].certificate = cm_cert_der(r->other);	/* not the chain's leaf */
		else if (i == 1)
			bad[i].certificate.len = 0;
		else if (i == 2)
			bad[i].card.guid.len = 8;
		else if (i == 3)
			bad[i].card.key = (struct cm_blob){ much, sizeof(much) };
		else if (i == 4)
			bad[i].card.links = short_link;
		else if (i == 5)
			bad[i].card.links = long_link;
		else if (i == 6)
			bad[i].card.not_after = -1;
		else
			bad[i].card.link_count = 17;
		assert_int_equal(cm_accounts_remember_apart(r->store, &bad[i], r->trace), CM_ERR_STATE);
	}
	rig_expect(r, NOW, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT, "");
}

/* Good, it is told, of whom the store knows to be revoked or on hold: neither is forgiven, and new evidence is kept. */
static void
nobody_is_forgiven(void **state)
{
	struct cm_evidence revoked = rig_evidence(1, CM_STATUS_REVOKED, NOW), held = rig_evidence(2, CM_STATUS_REVOKED, NOW);
	struct cm_evidence rows[3], e;
	struct rig *r = *state;
	struct cm_remember_apart m = told(r, r->cert, 1, NOW + 20);
	struct cm_buf link = { 0 };

	held.on_hold = true;
	rig_keep_evidence(r, &revoked, 0, NOW);
	rig_keep_evidence(r, &held, 0, NOW);
	for (uint8_t i = 0; i < 3; i++) {
		rows[i] = rig_evidence((uint8_t)(i + 1), CM_STATUS_GOOD, NOW + 10);
		rows[i].by_list = true;
	}
	m.evidence = rows;
	m.evidence_count = 3;
	keep(r, &m);
	for (uint8_t i = 0; i < 3; i++) {
		cm_buf_truncate(&link, 0);
		cm_buf_add(&link, rows[i].issuer_key, 32);
		cm_buf_add(&link, rows[i].serial, rows[i].serial_len);
		assert_int_equal(cm_accounts_find_evidence(r->store, cm_buf_blob(&link), r->trace, &e), CM_OK);
		assert_int_equal(e.status, i < 2 ? CM_STATUS_REVOKED : CM_STATUS_GOOD);
		assert_int_equal(e.on_hold, i == 1);
	}
	assert_int_equal(cm_accounts_find_evidence(r->store, (struct cm_blob){ links[0], 36 }, r->trace, &e), CM_ERR_ABSENT);
	assert_int_equal(cm_accounts_find_evidence(r->store, (struct cm_blob){ links[0], 32 }, r->trace, &e), CM_ERR_STATE);
	/* root's own, who parses what he is told, may end a hold */
	rig_keep_evidence(r, &rows[1], 0, NOW + 20);
	cm_buf_truncate(&link, 0);
	cm_buf_add(&link, rows[1].issuer_key, 32);
	cm_buf_add(&link, rows[1].serial, rows[1].serial_len);
	assert_int_equal(cm_accounts_find_evidence(r->store, cm_buf_blob(&link), r->trace, &e), CM_OK);
	assert_int_equal(e.status, CM_STATUS_GOOD);
	cm_buf_free(&link);
}

static void
clock_alone(void **state)
{
	struct rig *r = *state;
	struct cm_remember_apart m = told(r, r->cert, 1, NOW);
	struct cm_known k;

	m.signed_time = NOW - 5;
	keep(r, &m);
	assert_int_equal(cm_accounts_clock(r->store, NOW, r->trace, &k), CM_OK);
	assert_int_equal(k.now, NOW);
	assert_int_equal(k.floor, NOW - 5);
	assert_false(k.stale_clock);
	assert_int_equal(k.count, 0);
	assert_int_equal(cm_accounts_clock(r->store, NOW - DAY, r->trace, &k), CM_OK);
	assert_true(k.stale_clock);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, rig_open, rig_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(known_by_guid),
		TEST(newest_of_a_card),
		TEST(mistaken),
		TEST(row_is_whole),
		TEST(only_what_has_its_form),
		TEST(nobody_is_forgiven),
		TEST(clock_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
