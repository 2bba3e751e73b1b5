/* tests/service/test_policy.c - who may use a password, and which account may enter now. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cache/pairings.h"
#include "service/policy.h"
#include "../mapper/make_cert.h"

#define DAY	86400

struct fixture {
	char folder[64], path[96];
	struct cm_accounts *store;
	struct cm_trace *trace;
	struct cm_conf conf;
	struct cm_blob certificate;	/* of who is kept; none: his name */
	struct {
		const char *asked;	/* NULL: nobody asks it */
		uid_t uid;
		enum cm_reason reason;	/* NONE: it says yes */
	} directory;
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct cm_accounts_options o = { .offline_max = 30 * (int64_t)DAY, .first_uid = 1000, .first_gid = 1000 };

	snprintf(f->folder, sizeof(f->folder), "/tmp/cardmap-policy-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/accounts.db", f->folder);
	o.path = f->path;
	assert_int_equal(cm_trace_new(&f->trace), CM_OK);
	assert_int_equal(cm_accounts_open(&o, f->trace, &f->store), CM_OK);
	f->conf.accounts.first_uid = f->conf.accounts.first_gid = 1000;
	f->conf.enforcement.allow_cards = true;
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	struct fixture *f = *state;
	char path[128];

	cm_accounts_close(&f->store);
	cm_trace_free(&f->trace);
	for (size_t i = 0; i < CM_COUNT(ends); i++) {
		snprintf(path, sizeof(path), "%s%s", f->path, ends[i]);
		unlink(path);
	}
	rmdir(f->folder);
	free(f);
	return 0;
}

static void
keep(struct fixture *f, const char *name, uid_t uid, time_t when)
{
	const struct cm_account a = {
		.name = (char *)(uintptr_t)name, .uid = uid, .gid = 10000, .home = (char[]){ "/home/x" }, .shell = (char[]){ "/bin/sh" },
		.gecos = (char[]){ "X" }, .principal = (char[]){ "" }, .dn = (char[]){ "" }, .rule = (char[]){ "r" },
		.attribute = (char[]){ "a" }, .matched = (char[]){ "m" }, .source = (char[]){ "s" },
	};
	/* opaque to the store */
	const struct cm_blob der = f->certificate.len > 0 ? f->certificate : cm_blob_str(name);
	const struct cm_remember_apart r = {
		.account = &a, .certificate = der, .chain = &der, .chain_count = 1, .now = when, .account_online = true,
	};

	assert_int_equal(cm_accounts_remember_apart(f->store, &r, f->trace), CM_OK);
}

/* A directory, as the resolver tells of it. */
static enum cm_err
answer(void *arg, struct cm_blob certificate, struct cm_trace *t, struct cm_account **out)
{
	struct fixture *f = arg;
	const struct cm_account a = {
		.name = (char *)(uintptr_t)f->directory.asked, .uid = f->directory.uid, .gid = 10000, .home = (char[]){ "/home/x" },
		.shell = (char[]){ "/bin/sh" }, .gecos = (char[]){ "" }, .principal = (char[]){ "" }, .dn = (char[]){ "" },
		.rule = (char[]){ "r" }, .attribute = (char[]){ "a" }, .matched = (char[]){ "m" }, .source = (char[]){ "s" },
	};

	assert_true(cm_blob_equal(certificate, f->certificate));
	if (f->directory.reason != CM_REASON_NONE)
		return cm_trace_fail(t, f->directory.reason, "as it is");
	return cm_account_copy(&a, out);
}

static enum cm_err
enter(struct fixture *f, const char *user, bool proven, uid_t asker)
{
	const struct cm_entering e = { .conf = &f->conf, .store = f->store, .user = user, .proven = proven, .asker = asker,
		.ask = f->directory.asked != NULL ? answer : NULL, .arg = f };
	struct cm_account *a = NULL;
	enum cm_err err;

	cm_trace_clear_reason(f->trace);
	err = cm_policy_account(&e, f->trace, &a);
	assert_true((err == CM_OK) == (a != NULL));
	if (a != NULL)
		assert_string_equal(a->name, user);
	cm_account_free(&a);
	return err;
}

static enum cm_err
ask(struct fixture *f, const char *user, bool proven)
{
	return enter(f, user, proven, 0);
}

static void
test_passwords(void **state)
{
	struct fixture *f = *state;

	assert_true(cm_policy_may_use_password(&f->conf, "alice"));
	assert_true(cm_policy_may_use_password(&f->conf, NULL));
	f->conf.enforcement.required = true;
	/* keys that are not in force exempt nobody */
	f->conf.enforcement.allow_unmapped_users = true;
	f->conf.enforcement.not_enforced_group = (char[]){ "staff" };
	assert_false(cm_policy_may_use_password(&f->conf, "alice"));
	assert_false(cm_policy_may_use_password(&f->conf, NULL));
	assert_false(cm_policy_may_use_password(&f->conf, ""));
	assert_true(cm_policy_may_use_password(&f->conf, "root"));
}

static void
test_cards_off(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(cm_policy_allow_cards(&f->conf, f->trace), CM_OK);
	f->conf.enforcement.allow_cards = false;
	assert_int_equal(cm_policy_allow_cards(&f->conf, f->trace), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(f->trace), CM_REASON_CARDS_OFF);
}

static void
test_account(void **state)
{
	struct fixture *f = *state;
	const time_t now = cm_clock_now();

	keep(f, "alice", 10001, now);
	keep(f, "carol", 10003, now - 40 * DAY);
	assert_int_equal(ask(f, "alice", false), CM_OK);
	assert_int_equal(ask(f, "nobody-here", false), CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(f->trace), CM_REASON_NONE);
	assert_int_equal(ask(f, "carol", true), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(f->trace), CM_REASON_KEPT_TOO_OLD);
	/* a second card of the same account: the younger counts */
	assert_int_equal(cm_accounts_forget(f->store, "alice", f->trace), CM_OK);
	assert_int_equal(ask(f, "alice", false), CM_ERR_ABSENT);
	/* ids below the first are refused here too, whatever is kept */
	f->conf.accounts.first_uid = 20000;
	keep(f, "alice", 10001, now);
	assert_int_equal(ask(f, "alice", true), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(f->trace), CM_REASON_ACCOUNT_FORBIDDEN);
}

/* Public-key ssh skips auth: who must use a card and did not, does not enter, be he ours or not. */
static void
test_enforced(void **state)
{
	struct fixture *f = *state;

	keep(f, "alice", 10001, cm_clock_now());
	f->conf.enforcement.required = true;
	assert_int_equal(ask(f, "alice", true), CM_OK);
	assert_int_equal(ask(f, "alice", false), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(f->trace), CM_REASON_CARD_REQUIRED);
	assert_int_equal(ask(f, "nobody-here", false), CM_ERR_REFUSED);
	assert_int_equal(ask(f, "nobody-here", true), CM_ERR_ABSENT);
	assert_int_equal(ask(f, "root", false), CM_ERR_ABSENT);
}

/* This computer's own users, whatever they are called: a paired one is found, and judged by its ids. */
static void
test_paired(void **state)
{
	struct fixture *f = *state;
	struct cm_pairing p = { .user = (char[]){ "daemon" }, .subject = (char[]){ "CN=x" }, .local = true, .made = cm_clock_now() };

	assert_int_equal(ask(f, "daemon", false), CM_ERR_ABSENT);
	assert_int_equal(cm_pairings_add(f->store, &p, false, f->trace), CM_OK);
	assert_int_equal(ask(f, "daemon", false), CM_ERR_REFUSED);	/* uid 1 */
	assert_int_equal(cm_trace_reason(f->trace), CM_REASON_ACCOUNT_FORBIDDEN);
	f->conf.accounts.first_uid = f->conf.accounts.first_gid = 1;
	assert_int_equal(ask(f, "daemon", false), CM_OK);
	/* of the directory: not of /etc/passwd, whoever has that name there */
	p = (struct cm_pairing){ .user = (char[]){ "bin" }, .subject = (char[]){ "CN=y" }, .hash = { 1 }, .spki_sha256 = { 1 } };
	assert_int_equal(cm_pairings_add(f->store, &p, false, f->trace), CM_OK);
	assert_int_equal(ask(f, "bin", false), CM_ERR_ABSENT);
}

/* Public-key ssh of somebody whom the directory has disowned since: the first time, and when nothing is kept any more. */
static void
test_disowned(void **state)
{
	static const enum cm_reason nos[] = {
		CM_REASON_ACCOUNT_DISABLED, CM_REASON_NO_ACCOUNT, CM_REASON_NOT_THIS_USER, CM_REASON_ACCOUNT_FORBIDDEN,
	};
	struct fixture *f = *state;
	struct cm_cert *cert = make_cert(&(struct cert_spec){ .serial = "0a" });

	f->certificate = cm_cert_der(cert);
	f->directory.asked = "alice";
	f->directory.uid = 10001;
	for (size_t i = 0; i < CM_COUNT(nos); i++) {
		keep(f, "alice", 10001, cm_clock_now());
		f->directory.reason = CM_REASON_NONE;
		assert_int_equal(ask(f, "alice", false), CM_OK);
		f->directory.reason = CM_REASON_DIRECTORY_OFFLINE;
		assert_int_equal(ask(f, "alice", false), CM_OK);
		f->directory.reason = nos[i];
		assert_int_not_equal(ask(f, "alice", false), CM_OK);
		assert_int_equal(cm_trace_reason(f->trace), nos[i]);
		/* as the resolver does with such an answer */
		assert_int_equal(cm_accounts_withdraw(f->store, cert, f->trace), CM_OK);
		assert_int_not_equal(ask(f, "alice", false), CM_OK);
		assert_int_equal(cm_trace_reason(f->trace), nos[i]);
		f->directory.reason = CM_REASON_DIRECTORY_OFFLINE;
		assert_int_equal(ask(f, "alice", false), CM_ERR_OFFLINE);
		assert_int_equal(cm_trace_reason(f->trace), CM_REASON_NOT_KEPT);
		/* it has thought better of it: a stranger, as before her first card */
		f->directory.reason = CM_REASON_NONE;
		assert_int_equal(ask(f, "alice", false), CM_ERR_ABSENT);
		assert_int_equal(cm_trace_reason(f->trace), CM_REASON_NONE);
		f->conf.enforcement.required = true;
		assert_int_equal(ask(f, "alice", false), CM_ERR_REFUSED);
		f->conf.enforcement.required = false;
	}
	assert_int_equal(cm_accounts_forget(f->store, "alice", f->trace), CM_OK);
	f->directory.reason = CM_REASON_DIRECTORY_OFFLINE;
	assert_int_equal(ask(f, "alice", false), CM_ERR_ABSENT);
	/* another uid than what was kept */
	keep(f, "alice", 10001, cm_clock_now());
	f->directory.reason = CM_REASON_NONE;
	f->directory.uid = 10002;
	assert_int_not_equal(ask(f, "alice", false), CM_OK);
	assert_int_equal(cm_trace_reason(f->trace), CM_REASON_NOT_THIS_USER);
	cm_cert_free(&cert);
}

/* What is known of others is not a user's to learn: neither whether, nor whose. */
static void
test_others(void **state)
{
	struct fixture *f = *state;
	struct cm_pairing p = { .user = (char[]){ "daemon" }, .subject = (char[]){ "CN=x" }, .local = true, .made = cm_clock_now() };

	keep(f, "alice", 10001, cm_clock_now());
	keep(f, "carol", 10003, cm_clock_now() - 40 * DAY);
	assert_int_equal(cm_pairings_add(f->store, &p, false, f->trace), CM_OK);
	assert_int_equal(enter(f, "alice", false, 10001), CM_OK);
	assert_int_equal(enter(f, "carol", false, 10003), CM_ERR_REFUSED);
	for (size_t i = 0; i < 4; i++) {
		static const char *const names[] = { "alice", "carol", "daemon", "nobody-here" };

		assert_int_equal(enter(f, names[i], false, 10009), CM_ERR_ABSENT);
		assert_int_equal(cm_trace_reason(f->trace), CM_REASON_NONE);
	}
}

static void
test_root(void **state)
{
	(void)state;
	assert_true(cm_policy_is_root("root"));
	assert_false(cm_policy_is_root("daemon"));
	assert_false(cm_policy_is_root("nobody-here"));
	assert_false(cm_policy_is_root(""));
}

int
main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test_setup_teardown(test_passwords, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cards_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_account, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_enforced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_paired, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_disowned, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_others, set_up, tear_down),
		cmocka_unit_test(test_root),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}
