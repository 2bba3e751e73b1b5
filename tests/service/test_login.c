/* tests/service/test_login.c - the stages in order: each can stop a login, none can be left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "service/login_here.h"

struct fixture {
	struct cm_trace *trace;
	struct cm_conf *conf;
	struct cm_host *host;
	struct cm_login login;
	struct cm_secret *pin;
	char store[64];
};

/* A host of its own with an empty store, and a card file in the reader's place. */
static void
begin(struct fixture *f, const char *card, const char *set)
{
	char text[512];

	*f = (struct fixture){ .store = "/run/rig/store-XXXXXX" };
	assert_non_null(mkdtemp(f->store));
	assert_int_equal(cm_trace_new(&f->trace), CM_OK);
	assert_int_equal(cm_conf_load(getenv("CM_RIG_CONF"), f->trace, &f->conf), CM_OK);
	snprintf(text, sizeof(text), "card.source=file:%s/%s.pem", getenv("CM_RIG_PKI"), card);
	assert_int_equal(cm_conf_set(f->conf, text, "test", f->trace), CM_OK);
	snprintf(text, sizeof(text), "accounts.path=%s/accounts.db", f->store);
	assert_int_equal(cm_conf_set(f->conf, text, "test", f->trace), CM_OK);
	assert_int_equal(cm_conf_set(f->conf, "service.log=none", "test", f->trace), CM_OK);
	if (set != NULL)
		assert_int_equal(cm_conf_set(f->conf, set, "test", f->trace), CM_OK);
	assert_int_equal(cm_host_open(f->conf, CM_NEED_LOGIN, f->trace, &f->host), CM_OK);
	f->login = (struct cm_login){ .work = &cm_login_here, .host = f->host, .trace = f->trace };
	assert_int_equal(cm_secret_new(cm_blob_str("40718259"), &f->pin), CM_OK);
}

static void
end(struct fixture *f)
{
	char path[128];

	unsetenv("CM_FAULT");
	cm_login_clear(&f->login);
	cm_secret_free(&f->pin);
	cm_host_close(&f->host);
	cm_conf_free(&f->conf);
	cm_trace_free(&f->trace);
	for (const char *const *s = (const char *const[]){ "", "-wal", "-shm", NULL }; *s != NULL; s++) {
		snprintf(path, sizeof(path), "%s/accounts.db%s", f->store, *s);
		unlink(path);
	}
	rmdir(f->store);
}

static enum cm_err
finish(struct fixture *f)
{
	return cm_login_finish(&f->login, &(struct cm_pin){ .secret = f->pin, .fd = -1 });
}

static enum cm_err
run(struct fixture *f)
{
	enum cm_err err = cm_login_prepare(&f->login);

	return err != CM_OK ? err : finish(f);
}

static unsigned
times_run(const struct fixture *f, const char *stage)
{
	unsigned n = 0;

	for (size_t i = 0; i < cm_trace_count(f->trace); i++)
		n += strcmp(cm_trace_stage(f->trace, i)->name, stage) == 0;
	return n;
}

static enum cm_err
count_kept(void *arg, const struct cm_kept *k)
{
	(void)k;
	++*(unsigned *)arg;
	return CM_OK;
}

static unsigned
kept(const struct fixture *f)
{
	unsigned n = 0;

	assert_int_equal(cm_accounts_list(f->host->accounts, NULL, count_kept, &n), CM_OK);
	return n;
}

static void
test_granted_and_kept(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "alice-p256", NULL);
	assert_int_equal(run(&f), CM_OK);
	assert_string_equal(cm_grant_account(f.login.grant)->name, "alice");
	assert_true(f.login.remembered);
	assert_false(f.login.account_kept);
	assert_non_null(f.login.ccache);
	assert_null(cm_login_here_proof(&f.login));	/* the ticket was the proof: one key operation */
	assert_int_equal(cm_card_stats(cm_login_here_card(&f.login)).key_operations, 1);
	assert_int_equal(kept(&f), 1);
	end(&f);
}

static time_t
floor_kept(const struct fixture *f)
{
	struct cm_memory *m = NULL;
	time_t kept;

	assert_int_equal(cm_accounts_recall(f->host->accounts, cm_clock_now(), NULL, &m), CM_OK);
	kept = m->known.floor;
	cm_memory_free(&m);
	return kept;
}

/* With no revocation asked the KDC's time is the clock's floor: once the host keytab opened the ticket, not before. */
static void
test_kdc_time_is_a_floor(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "alice-p256", "trust.level=chain");
	assert_int_equal(run(&f), CM_OK);
	assert_in_range(floor_kept(&f), cm_clock_now() - 60, cm_clock_now());
	end(&f);

	begin(&f, "alice-p256", "trust.level=chain");
	cm_host_close(&f.host);
	assert_int_equal(cm_conf_set(f.conf, "kerberos.keytab=/nonexistent/keytab", "test", f.trace), CM_OK);
	assert_int_equal(cm_host_open(f.conf, CM_NEED_LOGIN, f.trace, &f.host), CM_OK);
	f.login = (struct cm_login){ .work = &cm_login_here, .host = f.host, .trace = f.trace };
	assert_int_equal(run(&f), CM_OK);
	assert_non_null(cm_login_here_ticket(&f.login));
	assert_true(f.login.remembered);
	assert_int_equal(floor_kept(&f), 0);
	end(&f);
}

/* Whatever stage fails, there is no grant, no later stage runs, and nothing was kept. */
static void
test_every_stage_can_refuse(void **state)
{
	static const char *const stages[] = { "certificate", "chain", "account", "revocation",
	    "fresh", "pin", "possession", "ticket", "admit" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(stages); i++) {
		struct fixture f;

		begin(&f, "alice-p256", NULL);
		setenv("CM_FAULT", stages[i], 1);
		assert_int_equal(run(&f), CM_ERR_SYSTEM);
		assert_int_equal(cm_trace_reason(f.trace), CM_REASON_INJECTED);
		assert_null(f.login.grant);
		assert_int_equal(times_run(&f, stages[i]), 1);
		for (size_t later = i + 1; later < CM_COUNT(stages); later++)
			assert_int_equal(times_run(&f, stages[later]), 0);
		assert_int_equal(times_run(&f, "remember"), 0);
		assert_int_equal(kept(&f), 0);
		end(&f);
	}
}

/* After a refusal the login is over: it cannot be finished all the same. */
static void
test_no_way_around(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "alice-p256", NULL);
	assert_int_equal(finish(&f), CM_ERR_STATE);
	assert_null(f.login.grant);
	end(&f);

	begin(&f, "carol", NULL);
	assert_int_equal(cm_login_prepare(&f.login), CM_ERR_ABSENT);
	assert_int_equal(finish(&f), CM_ERR_STATE);
	assert_int_equal(cm_login_prepare(&f.login), CM_ERR_STATE);
	assert_null(f.login.grant);
	end(&f);

	begin(&f, "alice-p256", NULL);
	assert_int_equal(cm_login_explain(&f.login), CM_OK);
	assert_int_equal(finish(&f), CM_ERR_STATE);
	assert_int_equal(cm_login_prepare(&f.login), CM_ERR_STATE);
	assert_int_equal(kept(&f), 0);
	end(&f);
}

/* "An answer prepared yesterday": a card left in overnight is asked about again. */
static void
test_old_answers_are_asked_again(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "alice-p256", NULL);
	assert_int_equal(cm_login_prepare(&f.login), CM_OK);
	f.login.prepared_us -= (CM_LOGIN_FRESH_SECONDS + 1) * 1000000LL;
	assert_int_equal(finish(&f), CM_OK);
	assert_int_equal(times_run(&f, "certificate"), 1);
	assert_int_equal(times_run(&f, "chain"), 2);
	assert_int_equal(times_run(&f, "account"), 2);
	assert_int_equal(times_run(&f, "revocation"), 2);
	end(&f);

	/* In a suspend, however short, CLOCK_MONOTONIC stands still: boot time tells. */
	begin(&f, "alice-p256", NULL);
	assert_int_equal(cm_login_prepare(&f.login), CM_OK);
	f.login.prepared_boot -= 3;
	setenv("CM_FAULT", "revocation", 1);	/* what is learned on the second asking counts */
	assert_int_equal(finish(&f), CM_ERR_SYSTEM);
	assert_null(f.login.grant);
	assert_int_equal(cm_card_stats(cm_login_here_card(&f.login)).verifies, 0);
	end(&f);
}

/* The PIN was typed for the account on the screen, and opens no other. */
static void
test_account_may_not_change_at_the_prompt(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "alice-p256", NULL);
	assert_int_equal(cm_login_prepare(&f.login), CM_OK);
	f.login.account->name[0] = 'm';	/* what was shown differs from what is found now */
	f.login.prepared_boot -= CM_LOGIN_FRESH_SECONDS + 1;
	assert_int_equal(finish(&f), CM_ERR_AGAIN);
	assert_int_equal(cm_trace_reason(f.trace), CM_REASON_ACCOUNT_CHANGED);
	assert_null(f.login.grant);
	end(&f);
}

/* Whoever answers with another's certificate is not the directory: that could not be asked, and is not heard. */
static void
test_impostor_directory_is_silence(void **state)
{
	struct fixture f;
	char text[512];

	(void)state;
	begin(&f, "alice-p256", NULL);
	assert_int_equal(run(&f), CM_OK);
	cm_login_clear(&f.login);
	cm_host_close(&f.host);
	snprintf(text, sizeof(text), "directory.ca=%s/stranger-root.crt", getenv("CM_RIG_PKI"));
	assert_int_equal(cm_conf_set(f.conf, text, "test", f.trace), CM_OK);
	assert_int_equal(cm_host_open(f.conf, CM_NEED_LOGIN, f.trace, &f.host), CM_OK);
	f.login = (struct cm_login){ .work = &cm_login_here, .host = f.host, .trace = f.trace };
	assert_int_equal(run(&f), CM_OK);
	assert_true(f.login.account_kept);
	assert_non_null(strstr(cm_trace_find(f.trace, "offline"), "certificate is not accepted"));
	end(&f);
}

/* A name mistyped at the prompt does not end what is kept for the card. */
static void
test_another_user_is_refused_and_nothing_withdrawn(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "alice-p256", NULL);
	assert_int_equal(run(&f), CM_OK);
	cm_login_clear(&f.login);
	f.login = (struct cm_login){ .work = &cm_login_here, .host = f.host, .trace = f.trace, .user = "bob" };
	assert_int_equal(run(&f), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(f.trace), CM_REASON_NOT_THIS_USER);
	assert_null(f.login.grant);
	assert_int_equal(kept(&f), 1);
	end(&f);
}

/* At level 0 anybody can sign a certificate with Alice's UPN: only the hash of the key is asked for. */
static void
test_level_off_is_no_master_key(void **state)
{
	static const char key[] = "{public_key!sha1}", upn[] = "{nt_principal_name}";
	struct fixture f;

	(void)state;
	begin(&f, "self-signed", "trust.level=off");
	assert_int_equal(run(&f), CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(f.trace), CM_REASON_NO_ACCOUNT);
	assert_null(f.login.grant);
	assert_null(strstr(cm_trace_find(f.trace, "filter"), "Kerberos:"));
	assert_non_null(strstr(cm_trace_find(f.trace, "filter"), "<SHA1-PUKEY>"));
	end(&f);
	/* a rule of one's own that binds by something else is a mistake, told when the host is opened */
	for (size_t i = 0; i < 2; i++) {
		struct cm_conf_rule rule = {
			.name = (char *)"own", .attribute = (char *)"x", .value = (char *)(i == 0 ? key : upn),
			.priority = CM_RULE_PRIORITY_LAST,
		};
		struct cm_host *h = NULL;

		begin(&f, "self-signed", "trust.level=off");
		f.conf->rules = &rule;
		f.conf->rule_count = 1;
		assert_int_equal(cm_host_open(f.conf, CM_NEED_RULES, f.trace, &h),
		    i == 0 ? CM_OK : CM_ERR_CONFIG);
		assert_int_equal(cm_trace_reason(f.trace), i == 0 ? CM_REASON_NONE : CM_REASON_CONFIG);
		cm_host_close(&h);
		f.conf->rules = NULL;
		f.conf->rule_count = 0;
		end(&f);
	}
}

/* A grant needs account, verdict and proof, each for the others. */
static void
test_grant_needs_all_three(void **state)
{
	struct fixture f, other;
	struct cm_grant *g = NULL;

	(void)state;
	begin(&f, "alice-p256", NULL);
	begin(&other, "bob", NULL);
	assert_int_equal(run(&f), CM_OK);
	assert_int_equal(run(&other), CM_OK);
	const struct cm_grant_basis whole = {
		.account = f.login.account, .cert = cm_login_here_cert(&f.login), .verdict = cm_login_here_verdict(&f.login),
		.ticket = cm_login_here_ticket(&f.login), .limits = { .first_uid = 1000, .first_gid = 1000 },
	};
	struct cm_grant_basis bad[7];

	for (size_t i = 0; i < CM_COUNT(bad); i++)
		bad[i] = whole;
	bad[0].account = NULL;
	bad[1].verdict = NULL;
	bad[2].ticket = NULL;
	bad[3].verdict = cm_login_here_verdict(&other.login);	/* good, but of another certificate */
	bad[4].ticket = cm_login_here_ticket(&other.login);	/* proof of another's card */
	bad[5].account = other.login.account;	/* not the ticket's principal */
	bad[6].limits.first_uid = 20000;
	assert_int_equal(cm_grant_make(&whole, NULL, &g), CM_OK);
	cm_grant_free(&g);
	for (size_t i = 0; i < CM_COUNT(bad); i++) {
		assert_int_equal(cm_grant_make(&bad[i], NULL, &g), CM_ERR_REFUSED);
		assert_null(g);
	}
	end(&other);
	end(&f);
}


int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_granted_and_kept),
		cmocka_unit_test(test_kdc_time_is_a_floor),
		cmocka_unit_test(test_every_stage_can_refuse),
		cmocka_unit_test(test_no_way_around),
		cmocka_unit_test(test_old_answers_are_asked_again),
		cmocka_unit_test(test_account_may_not_change_at_the_prompt),
		cmocka_unit_test(test_impostor_directory_is_silence),
		cmocka_unit_test(test_another_user_is_refused_and_nothing_withdrawn),
		cmocka_unit_test(test_level_off_is_no_master_key),
		cmocka_unit_test(test_grant_needs_all_three),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
