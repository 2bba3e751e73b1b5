/* tests/service/test_forecast.c - what an unplugged login will decide: every stage's reason, at the time that it comes true. */
#include "tests/trust/fixture.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/forecast.h"

#define HOUR	3600

/* A host whose lists are good for 5 days, and that alice's card was on. */
struct rig {
	struct cm_trace *t;
	struct cm_conf *conf;
	struct cm_host *h;
	struct cm_memory *memory;
	struct cm_cert *cert;
	time_t now;
};

static void
set(struct rig *r, const char *key, const char *value)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s=%s", key, value);
	if (cm_conf_set(r->conf, text, "test", r->t) != CM_OK)
		fail_msg("%s: %s", text, cm_trace_message(r->t));
}

static void
open_host(struct rig *r, const char *level)
{
	cm_memory_free(&r->memory);
	cm_host_close(&r->h);
	set(r, "trust.level", level);
	if (cm_host_open(r->conf, CM_NEED_TRUST | CM_NEED_RULES | CM_NEED_ACCOUNTS, r->t, &r->h) != CM_OK)
		fail_msg("%s", cm_trace_message(r->t));
	assert_int_equal(cm_accounts_recall(r->h->accounts, r->now, r->t, &r->memory), CM_OK);
}

static void
write_list(const char *issuer, const char *names, int reason, const char *path)
{
	const struct crl_recipe recipe = { .issuer = issuer, .names = names, .reason = reason, .from = -60, .to = 5 * DAY };
	int len;
	uint8_t *der = make_crl(&recipe, &len);

	write_bytes(path, der, (size_t)len);
	OPENSSL_free(der);
}

/* alice logs in with the network; the lists say good. */
static void
keep_alice(struct rig *r)
{
	struct cm_account a = { .name = "alice", .principal = "alice@CARDMAP.TEST", .dn = "uid=alice", .home = "/home/alice",
		.shell = "/bin/sh", .gecos = "Alice", .uid = 10001, .gid = 10000, .rule = "mail", .attribute = "mail",
		.matched = "alice@cardmap.test", .source = "test" };
	const struct cm_known *known = &r->memory->known;
	struct cm_remember m = { .account = &a, .cert = r->cert, .now = r->now, .account_online = true };
	struct cm_verdict *v = NULL;

	assert_int_equal(cm_trust_check_chain(r->h->trust, r->cert, known, r->t, &v), CM_OK);
	if (cm_trust_check_revocation(r->h->trust, v, known, cm_deadline_in(5000), r->t) != CM_OK)
		fail_msg("%s", cm_trace_message(r->t));
	m.verdict = v;
	if (cm_accounts_remember(r->h->accounts, &m, r->t) != CM_OK)
		fail_msg("%s", cm_trace_message(r->t));
	cm_verdict_free(&v);
}

static void
open_rig(struct rig *r, const char *names, int reason)
{
	char inter[512], root[512], store[512], both[1100];

	*r = (struct rig){ .now = time(NULL) };
	assert_int_equal(cm_trace_new(&r->t), CM_OK);
	cm_trace_begin(r->t, "test");
	write_bytes(scratch("empty.conf"), "rule mail { attribute = mail value = '{subject_rfc822_name}' }\n", 63);
	assert_int_equal(cm_conf_load(scratch("empty.conf"), r->t, &r->conf), CM_OK);
	snprintf(inter, sizeof(inter), "%s", scratch("inter.crl"));
	snprintf(root, sizeof(root), "%s", scratch("root.crl"));
	snprintf(store, sizeof(store), "%s", scratch("store"));
	mkdir(store, 0700);
	write_list("inter", names, reason, inter);
	write_list("root", "alice-p256", NO_ENTRY, root);
	set(r, "trust.anchors", PKI("root.crt"));
	set(r, "trust.intermediates", PKI("inter.crt"));
	set(r, "trust.crl", scratch(""));	/* the folder of both */
	snprintf(both, sizeof(both), "%s/accounts.db", store);
	unlink(both);
	set(r, "accounts.path", both);
	set(r, "accounts.offline_days", "0");
	r->cert = load_cert("alice-p256");
	open_host(r, "soft");
}

static void
close_rig(struct rig *r)
{
	cm_memory_free(&r->memory);
	cm_host_close(&r->h);
	cm_conf_free(&r->conf);
	cm_cert_free(&r->cert);
	cm_trace_free(&r->t);
}

/* NONE: it lets in.  says: in its reason, or in what it stands on. */
static void
expect(const struct rig *r, long seconds, enum cm_reason reason, const char *says)
{
	struct cm_trace *t = NULL;
	enum cm_err err;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	err = cm_forecast_login(r->h, &r->memory->known, r->cert, r->now + seconds, t);
	if ((err == CM_OK) != (reason == CM_REASON_NONE) || (err != CM_OK && cm_trace_reason(t) != reason))
		fail_msg("after %ld s: %s: %s", seconds, cm_err_name(err), cm_trace_message(t));
	if (says != NULL)
		assert_has(err == CM_OK ? cm_trace_find(t, "status") : cm_trace_message(t), says);
	cm_trace_free(&t);
}

static void
test_levels(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, "alice-p256", NO_ENTRY);
	expect(&r, 0, CM_REASON_NOT_KEPT, "has not opened an account here");
	keep_alice(&r);
	open_host(&r, "soft");
	expect(&r, HOUR, CM_REASON_NONE, "good");
	expect(&r, 6 * DAY, CM_REASON_NONE, "unknown");
	open_host(&r, "soft 2d");
	expect(&r, DAY, CM_REASON_NONE, "good");
	expect(&r, 3 * DAY, CM_REASON_REVOCATION_TOO_OLD, NULL);
	open_host(&r, "soft 7d");
	expect(&r, 6 * DAY, CM_REASON_NONE, NULL);
	open_host(&r, "hard");
	expect(&r, 4 * DAY, CM_REASON_NONE, "good until");
	expect(&r, 6 * DAY, CM_REASON_REVOCATION_UNKNOWN, NULL);
	open_host(&r, "chain");
	expect(&r, 6 * DAY, CM_REASON_NONE, NULL);
	close_rig(&r);
}

/* Whatever comes first in a login is the reason. */
static void
test_other_stages(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, "alice-p256", NO_ENTRY);
	keep_alice(&r);
	set(&r, "accounts.offline_days", "3");
	open_host(&r, "soft");
	expect(&r, 2 * DAY, CM_REASON_NONE, NULL);
	expect(&r, 4 * DAY, CM_REASON_KEPT_TOO_OLD, "3 d 0 h is allowed");
	expect(&r, 40 * 365 * DAY, CM_REASON_CERT_EXPIRED, "expired");
	expect(&r, -30 * DAY, CM_REASON_CERT_NOT_YET_VALID, NULL);
	close_rig(&r);
}

/* A hold that an administrator's list says, and the rule's own level. */
static void
test_revoked_whatever_the_time(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, "bob", KEY_COMPROMISE);
	keep_alice(&r);
	write_list("inter", "alice-p256", KEY_COMPROMISE, scratch("newer.crl"));
	open_host(&r, "soft");
	expect(&r, HOUR, CM_REASON_REVOKED, "newer.crl");
	expect(&r, 30 * DAY, CM_REASON_REVOKED, NULL);
	close_rig(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_levels, remove_scratch),
		cmocka_unit_test_teardown(test_other_stages, remove_scratch),
		cmocka_unit_test_teardown(test_revoked_whatever_the_time, remove_scratch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
