/* tests/cache/test_evidence.c - what stays known of certificates and of the time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "store_rig.h"

struct names {
	struct cm_evidence rows[64];
	size_t count;
};

static enum cm_err
take_name(void *arg, const struct cm_evidence *e)
{
	struct names *n = arg;

	assert_true(n->count < CM_COUNT(n->rows));
	n->rows[n->count++] = (struct cm_evidence){ .serial_len = e->serial_len };
	memcpy(n->rows[n->count - 1].issuer_key, e->issuer_key, sizeof(e->issuer_key));
	memcpy(n->rows[n->count - 1].serial, e->serial, e->serial_len);
	return CM_OK;
}

/* All that is kept: a remote store tells what is revoked, and then whatever it is asked about. */
static struct cm_memory *
recall(struct rig *r, time_t now)
{
	struct cm_memory *m = NULL;
	struct names n = { .count = 0 };

	assert_int_equal(cm_accounts_recall(rig_asked(r), now, r->trace, &m), CM_OK);
	if (rig_asked(r) == r->store)
		return m;
	assert_int_equal(cm_accounts_each_evidence(r->store, r->trace, take_name, &n), CM_OK);
	assert_int_equal(cm_accounts_recall_about(rig_asked(r), n.rows, n.count, r->trace, m), CM_OK);
	return m;
}

/* The one piece of evidence that is kept; fails when there is another number. */
static struct cm_evidence
only(struct rig *r)
{
	struct cm_memory *m = recall(r, NOW);
	struct cm_evidence e;

	assert_int_equal(m->known.count, 1);
	e = m->known.evidence[0];
	cm_memory_free(&m);
	assert_null(m);
	return e;
}

static size_t
count(struct rig *r)
{
	struct cm_memory *m = recall(r, NOW);
	size_t n;

	n = m->known.count;
	cm_memory_free(&m);
	return n;
}

static void
comes_back_as_it_was(void **state)
{
	struct rig *r = *state;
	struct cm_evidence e = rig_evidence(1, CM_STATUS_REVOKED, NOW - 10), got;

	e.serial[0] = 0;	/* a leading 00 and a NUL are part of it */
	e.confirmed = NOW - 3;
	e.ask_after = NOW + 77;
	memset(e.source, 's', sizeof(e.source) - 1);
	memset(e.signer, 'n', sizeof(e.signer) - 1);
	rig_keep_evidence(r, &e, 0, NOW);
	rig_reopen(r);
	got = only(r);
	assert_memory_equal(got.issuer_key, e.issuer_key, sizeof(e.issuer_key));
	assert_int_equal(got.serial_len, e.serial_len);
	assert_memory_equal(got.serial, e.serial, e.serial_len);
	assert_int_equal(got.status, e.status);
	assert_int_equal(got.this_update, e.this_update);
	assert_int_equal(got.next_update, e.next_update);
	assert_int_equal(got.revoked_at, e.revoked_at);
	assert_int_equal(got.learned, e.learned);
	assert_int_equal(got.confirmed, e.confirmed);
	assert_int_equal(got.ask_after, e.ask_after);
	assert_string_equal(got.source, e.source);
	assert_string_equal(got.signer, e.signer);
}

struct seen {
	unsigned count;
	uint8_t first[4], last[4];	/* of each one's issuer key and serial */
	enum cm_err answer;
};

static enum cm_err
see(void *arg, const struct cm_evidence *e)
{
	struct seen *seen = arg;

	assert_true(seen->count < 4);
	seen->first[seen->count] = e->issuer_key[0];
	seen->last[seen->count++] = e->serial[1];
	return seen->answer;
}

static void
listed_by_issuer_and_serial(void **state)
{
	static const uint8_t issuers[] = { 2, 1, 1 }, serials[] = { 1, 9, 3 };
	struct rig *r = *state;
	struct seen seen = { .count = 0 };

	assert_int_equal(cm_accounts_each_evidence(r->store, r->trace, see, &seen), CM_OK);
	assert_int_equal(seen.count, 0);
	for (size_t i = 0; i < CM_COUNT(issuers); i++) {
		struct cm_evidence e = rig_evidence(issuers[i], CM_STATUS_GOOD, NOW);

		e.serial[1] = serials[i];
		rig_keep_evidence(r, &e, 0, NOW);
	}
	assert_int_equal(cm_accounts_each_evidence(r->store, r->trace, see, &seen), CM_OK);
	assert_int_equal(seen.count, 3);
	assert_memory_equal(seen.first, ((const uint8_t[]){ 1, 1, 2 }), 3);
	assert_memory_equal(seen.last, ((const uint8_t[]){ 3, 9, 1 }), 3);
	seen = (struct seen){ .answer = CM_ERR_USAGE };	/* the visitor's answer is handed through */
	assert_int_equal(cm_accounts_each_evidence(r->store, r->trace, see, &seen), CM_ERR_USAGE);
	assert_int_equal(seen.count, 1);
	seen = (struct seen){ .answer = CM_OK };
	rig_sql(r, "UPDATE evidence SET status = 2");
	assert_int_equal(cm_accounts_each_evidence(r->store, r->trace, see, &seen), CM_ERR_SYSTEM);
	assert_int_equal(cm_trace_reason(r->trace), CM_REASON_STORE);
}

/* Only an administrator forgives, one certificate at a time, and a damaged log does not undo it. */
static void
forgotten_by_hand(void **state)
{
	struct rig *r = *state;
	struct cm_evidence e = rig_evidence(1, CM_STATUS_REVOKED, NOW), other = e;
	const struct cm_blob serial = { e.serial, e.serial_len }, shorter = { e.serial, 1 };

	other.serial[1] = 2;
	rig_keep_evidence(r, &e, 0, NOW);
	rig_keep_evidence(r, &other, 0, NOW);
	assert_int_equal(cm_accounts_forget_evidence(r->store, e.issuer_key, shorter, r->trace), CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(r->trace), CM_REASON_NONE);
	assert_int_equal(count(r), 2);
	assert_int_equal(cm_accounts_forget_evidence(r->store, e.issuer_key, serial, r->trace), CM_OK);
	assert_int_equal(rig_log_size(r), 0);
	assert_int_equal(only(r).serial[1], 2);
	assert_int_equal(cm_accounts_forget_evidence(r->store, e.issuer_key, serial, r->trace), CM_ERR_ABSENT);
	/* and what is damaged can be forgotten as well */
	rig_sql(r, "UPDATE evidence SET digest = x''");
	assert_int_equal(cm_accounts_forget_evidence(r->store, other.issuer_key,
	    (struct cm_blob){ other.serial, other.serial_len }, r->trace), CM_OK);
	assert_int_equal(count(r), 0);
}

/* The same answer again is as young as the last time that somebody gave it. */
static void
confirmed_again(void **state)
{
	static const struct { time_t this_update, confirmed; bool replaces; } rows[] = {
		{ NOW - 100, NOW - 90, true }, { NOW - 100, NOW - 95, false }, { NOW - 100, NOW - 50, true },
		{ NOW - 101, NOW, false }, { NOW - 99, NOW - 80, true },
		/* of a clock that was far ahead: whatever comes later replaces it */
		{ NOW - 99, NOW + DAY, true }, { NOW - 99, NOW - 10, true }, { NOW - 200, NOW - 5, false },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_evidence e = rig_evidence(1, CM_STATUS_GOOD, rows[i].this_update), before = { 0 }, after;

		before = i > 0 ? only(r) : before;
		e.confirmed = e.learned = rows[i].confirmed;
		rig_keep_evidence(r, &e, 0, NOW);
		after = only(r);
		assert_int_equal(after.confirmed, rows[i].replaces ? e.confirmed : before.confirmed);
		assert_int_equal(after.this_update, rows[i].replaces ? e.this_update : before.this_update);
	}
}

/* SSSD#7404: a serial once seen revoked is never forgiven. */
static void
attack_revoked_serial_forgiven(void **state)
{
	struct rig *r = *state;
	struct cm_evidence revoked = rig_evidence(1, CM_STATUS_REVOKED, NOW - 1000);
	struct cm_evidence good = rig_evidence(1, CM_STATUS_GOOD, NOW);
	struct cm_account a = rig_account(4000);
	struct cm_store_login l = rig_login(r, &a, NOW);

	rig_keep_evidence(r, &revoked, 0, NOW - 1000);
	rig_keep_evidence(r, &good, NOW, NOW);
	assert_int_equal(only(r).status, CM_STATUS_REVOKED);
	/* years after the list that said it has ended */
	rig_keep_evidence(r, &good, NOW + 3000 * DAY, NOW + 3000 * DAY);
	assert_int_equal(only(r).status, CM_STATUS_REVOKED);
	/* nor with the account it belonged to */
	rig_keep(r, &l);
	assert_int_equal(cm_accounts_withdraw(rig_asked(r), r->cert, r->trace), CM_OK);
	rig_keep(r, &l);
	assert_int_equal(cm_accounts_forget(r->store, "alice", r->trace), CM_OK);
	assert_int_equal(only(r).status, CM_STATUS_REVOKED);
}

/* RFC 5280 5.3.1: a hold ends, by what a later list says and by nothing else; or it becomes for good. */
static void
a_hold_ends(void **state)
{
	static const struct {
		enum cm_status status;
		bool on_hold, by_list;
		time_t this_update;
		bool replaces;
	} rows[] = {
		{ CM_STATUS_GOOD, false, false, NOW, false }, { CM_STATUS_GOOD, false, true, NOW - 1000, false },
		{ CM_STATUS_GOOD, false, true, NOW - 2000, false }, { CM_STATUS_REVOKED, true, true, NOW - 2000, false },
		{ CM_STATUS_REVOKED, true, true, NOW - 900, true }, { CM_STATUS_GOOD, false, true, NOW - 900, false },
		{ CM_STATUS_GOOD, false, true, NOW - 800, true }, { CM_STATUS_REVOKED, true, true, NOW - 700, true },
		{ CM_STATUS_REVOKED, false, true, NOW - 3000, true }, { CM_STATUS_GOOD, false, true, NOW, false },
	};
	struct rig *r = *state;
	struct cm_evidence held = rig_evidence(1, CM_STATUS_REVOKED, NOW - 1000);

	held.on_hold = held.by_list = true;
	rig_keep_evidence(r, &held, 0, NOW);
	assert_true(only(r).on_hold);
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct cm_evidence before = only(r);
		struct cm_evidence e = rig_evidence(1, rows[i].status, rows[i].this_update), after;

		e.on_hold = rows[i].on_hold;
		e.by_list = rows[i].by_list;
		rig_keep_evidence(r, &e, 0, NOW);
		after = only(r);
		assert_int_equal(after.status, rows[i].replaces ? e.status : before.status);
		assert_int_equal(after.on_hold, rows[i].replaces ? e.on_hold : before.on_hold);
		assert_int_equal(after.this_update, rows[i].replaces ? e.this_update : before.this_update);
	}
	assert_int_equal(only(r).status, CM_STATUS_REVOKED);
	assert_false(only(r).on_hold);
}

static void
newer_good_replaces_older(void **state)
{
	struct rig *r = *state;
	struct cm_evidence first = rig_evidence(1, CM_STATUS_GOOD, NOW - 100);
	struct cm_evidence newer = rig_evidence(1, CM_STATUS_GOOD, NOW - 50);
	struct cm_evidence revoked = rig_evidence(1, CM_STATUS_REVOKED, NOW - 200);

	rig_keep_evidence(r, &first, 0, NOW);
	rig_keep_evidence(r, &newer, 0, NOW);
	assert_int_equal(only(r).this_update, NOW - 50);
	rig_keep_evidence(r, &first, 0, NOW);
	assert_int_equal(only(r).this_update, NOW - 50);
	/* revoked wins whatever its date */
	rig_keep_evidence(r, &revoked, 0, NOW);
	assert_int_equal(only(r).status, CM_STATUS_REVOKED);
}

static void
each_certificate_has_its_own(void **state)
{
	struct rig *r = *state;
	struct cm_evidence a = rig_evidence(1, CM_STATUS_GOOD, NOW), b = a;

	b.issuer_key[0] ^= 1;
	rig_keep_evidence(r, &a, 0, NOW);
	rig_keep_evidence(r, &b, 0, NOW);
	b.serial_len = 1;
	rig_keep_evidence(r, &b, 0, NOW);
	assert_int_equal(count(r), 3);
}

static void
what_is_not_kept(void **state)
{
	struct rig *r = *state;
	struct cm_evidence e = rig_evidence(1, CM_STATUS_UNKNOWN, NOW);

	rig_keep_evidence(r, &e, 0, NOW);
	assert_int_equal(count(r), 0);
	/* dated ahead of this host's clock: five minutes and no more */
	e = rig_evidence(1, CM_STATUS_GOOD, NOW + 301);
	rig_keep_evidence(r, &e, 0, NOW);
	assert_int_equal(count(r), 0);
	e = rig_evidence(1, CM_STATUS_GOOD, NOW + 300);
	rig_keep_evidence(r, &e, 0, NOW);
	assert_int_equal(count(r), 1);
	/* revoked is kept even so: to forget it would be the greater mistake */
	e = rig_evidence(2, CM_STATUS_REVOKED, NOW + 9999);
	rig_keep_evidence(r, &e, 0, NOW);
	assert_int_equal(count(r), 2);
}

static void
old_good_evidence_goes(void **state)
{
	struct rig *r = *state;
	struct cm_evidence e = rig_evidence(1, CM_STATUS_GOOD, NOW - 40 * DAY);

	rig_keep_evidence(r, &e, 0, NOW - 40 * DAY);
	assert_int_equal(count(r), 1);
	rig_keep_evidence(r, NULL, 0, NOW - 12 * DAY);
	assert_int_equal(count(r), 1);
	rig_keep_evidence(r, NULL, 0, NOW);
	assert_int_equal(count(r), 0);
}

static struct cm_known
known_at(struct rig *r, time_t now)
{
	struct cm_memory *m = NULL;
	struct cm_known k;

	assert_int_equal(cm_accounts_recall(rig_asked(r), now, r->trace, &m), CM_OK);
	k = m->known;
	assert_int_equal(k.now, now);
	cm_memory_free(&m);
	return k;
}

static void
attack_clock_rollback(void **state)
{
	struct rig *r = *state;

	rig_boot_id = NULL;	/* the wall clock alone */
	assert_int_equal(known_at(r, NOW).floor, 0);
	assert_false(known_at(r, NOW).stale_clock);
	rig_keep_evidence(r, NULL, NOW - 100, NOW);
	rig_reopen(r);
	assert_int_equal(known_at(r, NOW).floor, NOW - 100);
	assert_false(known_at(r, NOW).stale_clock);
	assert_false(known_at(r, NOW - 100).stale_clock);
	assert_true(known_at(r, NOW - 101).stale_clock);
	/* it never sinks */
	rig_keep_evidence(r, NULL, NOW - 5000, NOW);
	rig_keep_evidence(r, NULL, 0, NOW);
	assert_int_equal(known_at(r, NOW).floor, NOW - 100);
	rig_keep_evidence(r, NULL, NOW - 50, NOW);
	assert_int_equal(known_at(r, NOW).floor, NOW - 50);
}

/* A server whose clock is ahead must not lock everybody out. */
static void
floor_is_not_ahead_of_the_clock(void **state)
{
	struct rig *r = *state;

	rig_keep_evidence(r, NULL, NOW + 200, NOW);
	assert_int_equal(known_at(r, NOW).floor, NOW);
	rig_keep_evidence(r, NULL, NOW + 99999, NOW);
	assert_int_equal(known_at(r, NOW).floor, NOW);
}

static void
attack_clock_set_back_within_one_boot(void **state)
{
	struct rig *r = *state;
	struct cm_account a = rig_account(4000);
	struct cm_store_login l = rig_login(r, &a, NOW);

	rig_keep(r, &l);
	rig_boottime += 10 * DAY;
	assert_false(known_at(r, NOW + 10 * DAY).stale_clock);
	assert_false(known_at(r, NOW + 10 * DAY - 300).stale_clock);
	assert_true(known_at(r, NOW + 10 * DAY - 301).stale_clock);
	/* an offline login under the wrong clock does not make it the measure */
	rig_keep_evidence(r, NULL, 0, NOW);
	assert_true(known_at(r, NOW).stale_clock);
	/* a login online does: its time was checked there */
	l.now = NOW + DAY;
	rig_keep(r, &l);
	assert_false(known_at(r, NOW + DAY).stale_clock);
	/* after a restart only the floor can tell */
	rig_boottime = 5;
	rig_boot_id = "99999999-2222-3333-4444-555555555555";
	assert_false(known_at(r, NOW).stale_clock);
}

static void
damaged_rows_are_said(void **state)
{
	static const char *const damages[] = {
		"UPDATE evidence SET status = 1", "UPDATE evidence SET serial = x'1002'",
		"UPDATE evidence SET issuer_key = x'00'", "UPDATE evidence SET next_update = 0",
		"UPDATE evidence SET source = 'a' || char(0) || 'b'", "UPDATE evidence SET confirmed = confirmed + 1",
		"UPDATE evidence SET ask_after = 1", "UPDATE evidence SET signer = 'CN=x'", "UPDATE evidence SET status = 7",
		"UPDATE evidence SET digest = x''", "UPDATE clock SET floor = 1", "UPDATE clock SET id = 2",
		"UPDATE clock SET boot_id = printf('%99d', 1)",
		"DROP TABLE clock", "ALTER TABLE evidence ADD COLUMN more TEXT",
	};
	struct rig *r = *state;

	for (size_t i = 0; i < CM_COUNT(damages); i++) {
		struct cm_evidence e = rig_evidence(1, CM_STATUS_REVOKED, NOW);
		struct cm_memory *m = NULL;
		void *own = NULL;

		rig_open(&own);
		r = own;
		rig_keep_evidence(r, &e, NOW, NOW);
		rig_sql(r, damages[i]);
		cm_trace_clear_reason(r->trace);
		/* as a login reads it: what is revoked, and what is kept of its certificate */
		if (cm_accounts_recall_revoked(rig_asked(r), NOW, r->trace, &m) == CM_OK &&
		    cm_accounts_recall_about(rig_asked(r), &e, 1, r->trace, m) != CM_ERR_SYSTEM)
			fail_msg("not noticed: %s", damages[i]);
		cm_memory_free(&m);
		assert_int_equal(cm_trace_reason(r->trace), CM_REASON_STORE);
		assert_non_null(strstr(cm_trace_message(r->trace), r->path));
		rig_close(&own);
	}
}

/* A revoked card's refusal is kept by the keeper while trust/ judges by a real list, whatever becomes of the login. */
static void
a_refused_login_is_remembered(void **state)
{
	static const char *const anchors[] = { CM_PKI_DIR "/root.crt", NULL };
	static const char *const inters[] = { CM_PKI_DIR "/inter.crt", NULL };
	static const char *const crls[] = { CM_PKI_DIR "/inter.crl", NULL };
	const struct cm_trust_options o = { .level = CM_TRUST_SOFT, .anchors = anchors,
		.intermediates = inters, .crls = crls, .use_crl = true,
		.crl_max = 1 << 20 };
	struct rig *r = *state;
	struct cm_memory *m = NULL;
	struct cm_verdict *v = NULL;
	struct cm_trust *tr = NULL;
	struct cm_cert *c = NULL;
	struct cm_evidence got;

	assert_int_equal(cm_trust_open(&o, r->trace, &tr), CM_OK);
	assert_int_equal(cm_cert_load(CM_PKI_DIR "/revoked.crt", r->trace, &c), CM_OK);
	assert_int_equal(cm_accounts_recall(rig_asked(r), cm_clock_now(), r->trace, &m), CM_OK);
	assert_int_equal(cm_trust_check_chain(tr, c, &m->known, r->trace, &v), CM_OK);
	assert_int_equal(cm_trust_check_revocation(tr, v, &m->known, cm_deadline_in(5000), r->trace),
	    CM_ERR_REFUSED);
	cm_memory_free(&m);
	assert_int_equal(rig_log_size(r), 0);	/* a damaged log does not undo it */
	rig_reopen(r);
	got = only(r);
	assert_int_equal(got.status, CM_STATUS_REVOKED);
	assert_memory_equal(got.serial, cm_cert_serial(c).ptr, got.serial_len);
	/* such a verdict makes no kept account */
	assert_int_equal(cm_accounts_remember(r->store, &(struct cm_remember){ .cert = c, .verdict = v,
	    .now = NOW }, r->trace), CM_ERR_STATE);
	cm_verdict_free(&v);
	cm_cert_free(&c);
	cm_trust_close(&tr);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, rig_open, rig_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(comes_back_as_it_was),
		TEST(listed_by_issuer_and_serial),
		TEST(forgotten_by_hand),
		TEST(confirmed_again),
		TEST(attack_revoked_serial_forgiven),
		TEST(a_hold_ends),
		TEST(newer_good_replaces_older),
		TEST(each_certificate_has_its_own),
		TEST(what_is_not_kept),
		TEST(old_good_evidence_goes),
		TEST(attack_clock_rollback),
		TEST(floor_is_not_ahead_of_the_clock),
		TEST(attack_clock_set_back_within_one_boot),
		cmocka_unit_test(damaged_rows_are_said),
		TEST(a_refused_login_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
