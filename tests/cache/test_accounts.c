/* tests/cache/test_accounts.c - a known card opens its account offline, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/evp.h>

#include "store_rig.h"

static void
a_kept_account_comes_back(void **state)
{
	const struct cm_account want = rig_account(4000);
	struct rig *r = *state;
	struct cm_account *got = NULL;
	int64_t age = -1;

	rig_expect(r, NOW, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT, "CN=subject");
	rig_keep_alice(r, 4000, NOW);
	rig_reopen(r);
	assert_int_equal(rig_find(r, NOW + 60, &got, &age), CM_OK);
	assert_int_equal(age, 60);
	rig_assert_same(got, &want);
	cm_account_free(&got);
	/* another certificate opens nothing */
	assert_int_equal(cm_accounts_find(rig_asked(r), r->other, NOW, r->trace, &got, &age), CM_ERR_OFFLINE);
	/* a later login replaces it */
	rig_keep_alice(r, 4001, NOW + 100);
	assert_int_equal(rig_find(r, NOW + 100, &got, &age), CM_OK);
	assert_int_equal(got->uid, 4001);
	cm_account_free(&got);
}

static void
an_account_without_groups_and_texts(void **state)
{
	const struct cm_account bare = { .name = (char *)"bob", .principal = (char *)"", .dn = (char *)"cn=b",
		.home = (char *)"", .shell = (char *)"", .gecos = (char *)"", .uid = 1000, .gid = 1000,
		.rule = (char *)"r", .attribute = (char *)"", .matched = (char *)"m", .source = (char *)"s" };
	struct rig *r = *state;
	struct cm_store_login l = rig_login(r, &bare, NOW);
	struct cm_account *got = NULL;
	int64_t age;

	l.chain_count = 0;
	rig_keep(r, &l);
	assert_int_equal(rig_find(r, NOW, &got, &age), CM_OK);
	rig_assert_same(got, &bare);
	cm_account_free(&got);
}

static void
how_long_it_may_stay_offline(void **state)
{
	struct rig *r = *state;

	rig_boot_id = NULL;
	rig_keep_alice(r, 4000, NOW);
	rig_expect(r, NOW + DAY, CM_OK, CM_REASON_NONE, "");
	rig_expect(r, NOW + DAY + 1, CM_ERR_REFUSED, CM_REASON_KEPT_TOO_OLD, "alice");
	r->options.offline_max = 0;	/* for ever */
	rig_reopen(r);
	rig_expect(r, NOW + 10000 * (time_t)DAY, CM_OK, CM_REASON_NONE, "");
}

/* Offline, the clock is the user's to set: it must not stretch what is allowed. */
static void
attack_clock_rollback(void **state)
{
	struct rig *r = *state;

	rig_boot_id = NULL;
	rig_keep_alice(r, 4000, NOW);
	rig_expect(r, NOW - 1, CM_ERR_REFUSED, CM_REASON_CLOCK_BEHIND, "clock says");
	rig_keep_evidence(r, NULL, NOW + 50, NOW + 60);
	rig_expect(r, NOW + 49, CM_ERR_REFUSED, CM_REASON_CLOCK_BEHIND, "already seen");
	rig_expect(r, NOW + 50, CM_OK, CM_REASON_NONE, "");
	r->options.offline_max = 0;
	rig_reopen(r);
	rig_expect(r, NOW + 49, CM_ERR_REFUSED, CM_REASON_CLOCK_BEHIND, "already seen");
}

/* Within one boot CLOCK_BOOTTIME counts too, asleep or set back. */
static void
attack_clock_set_back_within_one_boot(void **state)
{
	struct rig *r = *state;
	struct cm_account *got = NULL;
	int64_t age = 0;

	rig_keep_alice(r, 4000, NOW);
	rig_boottime += 3600;
	assert_int_equal(rig_find(r, NOW + 10, &got, &age), CM_OK);
	assert_int_equal(age, 3600);
	cm_account_free(&got);
	assert_int_equal(rig_find(r, NOW + 7200, &got, &age), CM_OK);
	assert_int_equal(age, 7200);
	cm_account_free(&got);
	/* set back before the login: the other clock still tells */
	assert_int_equal(rig_find(r, NOW - 10, &got, &age), CM_OK);
	assert_int_equal(age, 3600);
	cm_account_free(&got);
	rig_boottime += DAY;
	rig_expect(r, NOW + 10, CM_ERR_REFUSED, CM_REASON_KEPT_TOO_OLD, "alice");
	/* another boot: the wall clock alone */
	rig_boot_id = "99999999-2222-3333-4444-555555555555";
	rig_expect(r, NOW + 10, CM_OK, CM_REASON_NONE, "");
	rig_expect(r, NOW - 10, CM_ERR_REFUSED, CM_REASON_CLOCK_BEHIND, "clock says");
}

/* A directory said no: the cache must not go on saying yes. */
static void
attack_mapping_deleted_but_cached(void **state)
{
	struct rig *r = *state;

	rig_keep_alice(r, 4000, NOW);
	assert_int_equal(cm_accounts_withdraw(rig_asked(r), r->cert, r->trace), CM_OK);
	assert_int_equal(rig_log_size(r), 0);	/* a damaged log does not bring it back */
	rig_expect(r, NOW, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT, "");
	assert_int_equal(cm_accounts_withdraw(rig_asked(r), r->cert, r->trace), CM_OK);	/* of none: fine */
}

/* attack: mapping changed but the cache still admits. */
static void
attack_mapping_of_another(void **state)
{
	struct cm_account same = rig_account(4000), renumbered = rig_account(4001), renamed = rig_account(4000);
	struct rig *r = *state;

	same.gecos = (char *)"another";
	renamed.name = (char *)"bob";
	rig_keep_alice(r, 4000, NOW);
	assert_int_equal(cm_accounts_withdraw_others(rig_asked(r), r->cert, &same, r->trace), CM_OK);
	assert_int_equal(cm_accounts_withdraw_others(rig_asked(r), r->other, &renamed, r->trace), CM_OK);
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
	assert_int_equal(cm_accounts_withdraw_others(rig_asked(r), r->cert, &renumbered, r->trace), CM_OK);
	rig_expect(r, NOW, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT, "");
	rig_keep_alice(r, 4000, NOW);
	assert_int_equal(cm_accounts_withdraw_others(rig_asked(r), r->cert, &renamed, r->trace), CM_OK);
	rig_expect(r, NOW, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT, "");
}

/* attack: the directory was asked about alice by name, and says that the card is not hers. */
static void
attack_mapping_of_a_named_user(void **state)
{
	struct rig *r = *state;

	rig_keep_alice(r, 4000, NOW);
	assert_int_equal(cm_accounts_withdraw_user(rig_asked(r), r->cert, "bob", r->trace), CM_OK);
	assert_int_equal(cm_accounts_withdraw_user(rig_asked(r), r->other, "alice", r->trace), CM_OK);
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
	assert_int_equal(cm_accounts_withdraw_user(rig_asked(r), r->cert, "alice", r->trace), CM_OK);
	rig_expect(r, NOW, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT, "");
}

/* CVE-2017-12173: names are values, never part of a statement. */
static void
attack_store_query_injection(void **state)
{
	static const char *const names[] = {
		"x' OR '1'='1", "alice'--", "*", "%", "a%", "", "ALICE", "alice\n",
		"'; DROP TABLE account; --",
	};
	struct cm_account a = rig_account(4000);
	struct rig *r = *state;
	struct cm_store_login l = rig_login(r, &a, NOW);

	rig_keep_alice(r, 4000, NOW);
	for (size_t i = 0; i < CM_COUNT(names); i++) {
		cm_trace_clear_reason(r->trace);
		assert_int_equal(cm_accounts_forget(r->store, names[i], r->trace), CM_ERR_ABSENT);
		assert_int_equal(cm_trace_reason(r->trace), CM_REASON_NOT_KEPT);
	}
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
	a.gecos = (char *)"'); DELETE FROM account; --";
	a.dn = (char *)"cn=' OR 1=1 --";
	rig_keep(r, &l);
	rig_expect(r, NOW, CM_OK, CM_REASON_NONE, "");
	assert_int_equal(cm_accounts_forget(r->store, "alice", r->trace), CM_OK);
	rig_expect(r, NOW, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT, "");
}

static void
attack_mapping_to_root_or_system_uid(void **state)
{
	static const struct {
		uid_t uid;
		gid_t gid;
		const char *name, *home;
	} bad[] = {
		{ 0, 4000, "alice", "/home/alice" }, { 999, 4000, "alice", "/home/alice" },
		{ 4000, 0, "alice", "/home/alice" }, { 4000, 4000, "../x", "/home/alice" },
		{ 4000, 4000, "-x", "/home/alice" }, { 4000, 4000, "alice", "/home/../etc" },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < CM_COUNT(bad); i++) {
		struct cm_account a = rig_account(bad[i].uid);
		const struct cm_store_login l = rig_login(r, &a, NOW);

		a.gid = bad[i].gid;
		a.name = (char *)(uintptr_t)bad[i].name;
		a.home = (char *)(uintptr_t)bad[i].home;
		assert_int_equal(cm_accounts_keep(r->store, &l, r->trace), CM_ERR_REFUSED);
		rig_expect(r, NOW, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT, "");
	}
	/* kept when it was allowed, and no more */
	rig_keep_alice(r, 4000, NOW);
	r->options.first_uid = 5000;
	rig_reopen(r);
	rig_expect(r, NOW, CM_ERR_REFUSED, CM_REASON_ACCOUNT_FORBIDDEN, "4000");
}

struct listed {
	unsigned count;
	struct cm_blob cert;
	enum cm_err answer;
};

static enum cm_err
visit(void *arg, const struct cm_kept *k)
{
	struct listed *l = arg;

	l->count++;
	assert_string_equal(k->account->name, "alice");
	assert_int_equal(k->account->group_count, 2);
	assert_int_equal(k->last_online, NOW);
	assert_int_equal(k->offline_until, NOW + DAY);
	assert_true(cm_blob_equal(k->cert_der, l->cert));
	assert_int_equal(k->evidence_count, 1);
	assert_int_equal(k->evidence[0].status, CM_STATUS_REVOKED);
	return l->answer;
}

static void
listed_for_people(void **state)
{
	struct rig *r = *state;
	const struct cm_account a = rig_account(4000);
	struct cm_store_login l = rig_login(r, &a, NOW);
	struct cm_evidence e[2] = { rig_evidence(1, CM_STATUS_REVOKED, NOW),
		rig_evidence(9, CM_STATUS_GOOD, NOW) };
	const struct cm_blob spki = cm_cert_spki(r->other);
	uint8_t octets[33] = { [32] = 0x0a };
	const struct cm_blob link = { octets, sizeof(octets) };
	struct listed got = { .cert = cm_cert_der(r->cert) };

	/* of this certificate by the key of the next one in the chain */
	assert_int_equal(EVP_Digest(spki.ptr, spki.len, octets, NULL, EVP_sha256(), NULL), 1);
	memcpy(e[0].issuer_key, octets, sizeof(e[0].issuer_key));
	e[0].serial[0] = 0x0a;
	e[0].serial_len = 1;
	l.card.links = &link;
	l.card.link_count = 1;
	l.evidence = e;
	l.evidence_count = 2;
	assert_int_equal(cm_accounts_list(r->store, r->trace, visit, &got), CM_OK);
	assert_int_equal(got.count, 0);
	rig_keep(r, &l);
	assert_int_equal(cm_accounts_list(r->store, r->trace, visit, &got), CM_OK);
	assert_int_equal(got.count, 1);
	got.answer = CM_ERR_USAGE;	/* the visitor's answer is handed through */
	assert_int_equal(cm_accounts_list(r->store, r->trace, visit, &got), CM_ERR_USAGE);
}

/* From an offline login only evidence and floor are new. */
static void
an_offline_login_does_not_renew(void **state)
{
	struct rig *r = *state;
	const struct cm_account a = rig_account(4000);
	struct cm_store_login l = rig_login(r, &a, NOW);
	struct cm_account *got = NULL;
	int64_t age = 0;

	rig_keep(r, &l);
	l.account_online = false;
	l.now = NOW + 3600;
	rig_keep(r, &l);
	assert_int_equal(rig_find(r, NOW + 7200, &got, &age), CM_OK);
	assert_int_equal(age, 7200);
	cm_account_free(&got);
}

/* The real way in: a verdict of trust/, and the certificate it is about. */
static void
remembered_with_a_verdict(void **state)
{
	static const char *const anchors[] = { CM_PKI_DIR "/root.crt", NULL };
	static const char *const inters[] = { CM_PKI_DIR "/inter.crt", NULL };
	const struct cm_trust_options o = { .level = CM_TRUST_CHAIN, .anchors = anchors,
		.intermediates = inters };
	const struct cm_account a = rig_account(4000);
	struct rig *r = *state;
	struct cm_known known = { .now = cm_clock_now() };
	struct cm_remember m = { .account = &a, .now = NOW, .account_online = true };
	struct cm_account *got = NULL;
	struct cm_verdict *v = NULL;
	struct cm_trust *tr = NULL;
	struct cm_cert *c = NULL;
	int64_t age = 0;

	assert_int_equal(cm_trust_open(&o, r->trace, &tr), CM_OK);
	assert_int_equal(cm_cert_load(CM_PKI_DIR "/alice-p256.crt", r->trace, &c), CM_OK);
	if (cm_trust_check_chain(tr, c, &known, r->trace, &v) != CM_OK)
		fail_msg("%s", cm_trace_message(r->trace));
	m.cert = c;
	m.verdict = v;
	/* before revocation was judged there is nothing to remember */
	assert_int_equal(cm_accounts_remember(r->store, &m, r->trace), CM_ERR_STATE);
	assert_int_equal(cm_trust_check_revocation(tr, v, &known, 0, r->trace), CM_OK);
	/* of another certificate neither */
	m.cert = r->cert;
	assert_int_equal(cm_accounts_remember(r->store, &m, r->trace), CM_ERR_STATE);
	m.cert = c;
	assert_int_equal(cm_accounts_remember(r->store, &m, r->trace), CM_OK);
	assert_int_equal(cm_accounts_find(rig_asked(r), c, NOW, r->trace, &got, &age), CM_OK);
	rig_assert_same(got, &a);
	cm_account_free(&got);
	cm_verdict_free(&v);
	cm_cert_free(&c);
	cm_trust_close(&tr);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, rig_open, rig_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_kept_account_comes_back),
		TEST(an_account_without_groups_and_texts),
		TEST(how_long_it_may_stay_offline),
		TEST(attack_clock_rollback),
		TEST(attack_clock_set_back_within_one_boot),
		TEST(attack_mapping_deleted_but_cached),
		TEST(attack_mapping_of_another),
		TEST(attack_mapping_of_a_named_user),
		TEST(attack_store_query_injection),
		TEST(attack_mapping_to_root_or_system_uid),
		TEST(listed_for_people),
		TEST(an_offline_login_does_not_renew),
		TEST(remembered_with_a_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
