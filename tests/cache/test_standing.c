/* tests/cache/test_standing.c - what a directory said last of an account outlives what is kept of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "cache/pairings.h"
#include "cache/standing.h"
#include "store_rig.h"

static void
expect(struct rig *r, enum cm_reason reason, uid_t uid, const char *text)
{
	struct cm_standing st;

	assert_int_equal(cm_standing_find(r->store, "alice", r->trace, &st), CM_OK);
	assert_true(st.carded);
	assert_int_equal(st.reason, reason);
	assert_int_equal(st.uid, uid);
	assert_string_equal(st.text, text);
	cm_standing_clear(&st);
}

static void
expect_none(struct rig *r, enum cm_err err)
{
	struct cm_standing st;

	cm_trace_clear_reason(r->trace);
	assert_int_equal(cm_standing_find(r->store, "alice", r->trace, &st), err);
	assert_null(st.text);
	assert_int_equal(cm_trace_reason(r->trace), err == CM_ERR_ABSENT ? CM_REASON_NONE : CM_REASON_STORE);
}

static struct cm_standing_word
disabled(void)
{
	return (struct cm_standing_word){ .name = "alice", .uid = 4000, .reason = CM_REASON_ACCOUNT_DISABLED, .text = "locked",
		.at = NOW, .ends = true };
}

/* The name stays when what was kept of it ends, until its card opens it again, or root forgets it. */
static void
withdrawn(void **state)
{
	struct cm_account another = rig_account(4001);
	struct rig *r = *state;

	rig_keep_alice(r, 4000, NOW);
	expect_none(r, CM_ERR_ABSENT);
	assert_int_equal(cm_accounts_withdraw_others(rig_asked(r), r->cert, &another, r->trace), CM_OK);
	rig_reopen(r);
	expect(r, CM_REASON_NOT_KEPT, 4000, "its card opens it no more");
	assert_int_equal(cm_accounts_withdraw(rig_asked(r), r->cert, r->trace), CM_OK);	/* of none: it stays */
	expect(r, CM_REASON_NOT_KEPT, 4000, "its card opens it no more");
	rig_keep_alice(r, 4002, NOW);
	expect(r, CM_REASON_NONE, 4002, "");
	assert_int_equal(cm_accounts_withdraw(rig_asked(r), r->cert, r->trace), CM_OK);
	expect(r, CM_REASON_NOT_KEPT, 4002, "its card opens it no more");
	assert_int_equal(cm_accounts_forget(r->store, "alice", r->trace), CM_OK);
	expect_none(r, CM_ERR_ABSENT);
	assert_int_equal(cm_accounts_forget(r->store, "alice", r->trace), CM_ERR_ABSENT);
}

static void
denied(void **state)
{
	struct cm_standing_word w = disabled();
	struct rig *r = *state;

	rig_keep_alice(r, 4000, NOW);
	w.ends = false;
	assert_int_equal(cm_standing_note(r->store, &w, r->trace), CM_OK);
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
	w.ends = true;
	assert_int_equal(cm_standing_note(r->store, &w, r->trace), CM_OK);
	assert_int_equal(rig_log_size(r), 0);	/* a damaged log does not bring it back */
	rig_expect(r, NOW, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT, "");
	rig_reopen(r);
	expect(r, CM_REASON_ACCOUNT_DISABLED, 4000, "locked");
	w = (struct cm_standing_word){ .name = "alice", .uid = 4000, .at = NOW + 1 };
	assert_int_equal(cm_standing_note(r->store, &w, r->trace), CM_OK);
	expect(r, CM_REASON_NONE, 4000, "");
}

/* Damage is no word of a directory's, and a login online mends it; a reason of another version's is a no. */
static void
attack_damaged(void **state)
{
	static const char *const changes[] = {
		"UPDATE standing SET reason = ''", "UPDATE standing SET carded = 0", "UPDATE standing SET uid = 0",
		"UPDATE standing SET facts = x'01'", "UPDATE standing SET name = 'alice', at = 1", "UPDATE standing SET digest = x''",
	};
	const struct cm_standing_word w = disabled();
	struct rig *r = *state;

	for (size_t i = 0; i < CM_COUNT(changes); i++) {
		rig_keep_alice(r, 4000, NOW);
		assert_int_equal(cm_standing_note(r->store, &w, r->trace), CM_OK);
		rig_sql(r, changes[i]);
		expect_none(r, CM_ERR_SYSTEM);
		rig_keep_alice(r, 4000, NOW);
		expect(r, CM_REASON_NONE, 4000, "");
	}
	rig_sql(r, "UPDATE standing SET uid = 0");
	assert_int_equal(cm_accounts_forget(r->store, "alice", r->trace), CM_OK);
	expect_none(r, CM_ERR_ABSENT);
}

/* What is said of enforcement, also of who has no card; how the account stands and that do not touch each other. */
static void
facts(void **state)
{
	static const uint8_t some[] = { 1, 0, 2, 0xFF }, many[CM_STANDING_FACTS_MAX + 1];
	const struct cm_blob first = { some, 3 }, second = { some, 4 };
	const struct cm_standing_word w = disabled();
	struct cm_standing st;
	struct rig *r = *state;

	assert_int_equal(cm_standing_note_facts(r->store, "alice", first, NOW, r->trace), CM_OK);
	assert_int_equal(cm_standing_note_facts(r->store, "alice", first, NOW + 60, r->trace), CM_OK);
	assert_int_equal(cm_standing_find(r->store, "alice", r->trace, &st), CM_OK);
	assert_false(st.carded);
	assert_int_equal(st.facts_at, NOW);	/* the same within an hour is no write */
	cm_standing_clear(&st);
	assert_int_equal(cm_standing_note_facts(r->store, "alice", first, NOW + 7200, r->trace), CM_OK);
	assert_int_equal(cm_standing_find(r->store, "alice", r->trace, &st), CM_OK);
	assert_int_equal(st.facts_at, NOW + 7200);
	assert_true(cm_blob_equal((struct cm_blob){ st.facts, st.facts_len }, first));
	cm_standing_clear(&st);
	assert_int_equal(cm_standing_note(r->store, &w, r->trace), CM_OK);
	assert_int_equal(cm_standing_note_facts(r->store, "alice", second, NOW, r->trace), CM_OK);
	rig_reopen(r);
	expect(r, CM_REASON_ACCOUNT_DISABLED, 4000, "locked");
	rig_keep_alice(r, 4000, NOW);
	assert_int_equal(cm_standing_find(r->store, "alice", r->trace, &st), CM_OK);
	assert_true(cm_blob_equal((struct cm_blob){ st.facts, st.facts_len }, second));
	cm_standing_clear(&st);
	assert_int_equal(cm_standing_note_facts(r->store, "alice", (struct cm_blob){ many, sizeof(many) }, NOW, r->trace), CM_ERR_USAGE);
	assert_int_equal(cm_standing_note_facts(r->store, "alice", (struct cm_blob){ many, CM_STANDING_FACTS_MAX }, NOW, r->trace), CM_OK);
}

/* Root unpaired the card: nothing is said against its account, which is not forgotten by that. */
static void
unpaired(void **state)
{
	struct rig *r = *state;
	struct cm_account a = rig_account(4000);
	struct cm_store_login l;
	struct cm_pairing p;

	a.rule = (char *)CM_PAIRING_RULE;
	l = rig_login(r, &a, NOW);
	assert_int_equal(cm_pairing_make(r->cert, "alice", false, NOW, &p), CM_OK);
	assert_int_equal(cm_pairings_add(r->store, &p, false, r->trace), CM_OK);
	cm_pairing_clear(&p);
	rig_keep(r, &l);
	assert_int_equal(cm_pairings_remove(r->store, "alice", NULL, r->trace), CM_OK);
	rig_expect(r, NOW, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT, "");
	expect(r, CM_REASON_NONE, 4000, "");
}

/* A full or read-only disk: what was kept goes all the same where it can, and a note that cannot be is told. */
static void
cannot_be_written(void **state)
{
	const struct cm_standing_word w = disabled();
	struct rig *r = *state;

	rig_keep_alice(r, 4000, NOW);
	rig_sql(r, "CREATE TABLE standing (name TEXT)");	/* of somebody else's making: no row of ours goes into it */
	assert_int_equal(cm_standing_note(r->store, &w, r->trace), CM_ERR_SYSTEM);
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");	/* nothing has changed */
	assert_int_equal(cm_accounts_withdraw(rig_asked(r), r->cert, r->trace), CM_OK);
	rig_expect(r, NOW, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT, "");
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, rig_open, rig_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(withdrawn),
		TEST(denied),
		TEST(attack_damaged),
		TEST(facts),
		TEST(unpaired),
		TEST(cannot_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
