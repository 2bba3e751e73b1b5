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
	bool fresh;
	const char *service;
	bool skipped;			/* out: a mark was used up */
	struct {
		bool there;		/* false: nobody asks it */
		const char *name;	/* of the account it has; NULL: as asked */
		uid_t uid;
		enum cm_reason reason;	/* NONE: it says yes */
		unsigned asked;
		struct cm_facts said;
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
answer(void *arg, const char *user, struct cm_trace *t, struct cm_account **out, struct cm_facts *said)
{
	struct fixture *f = arg;
	const struct cm_account a = {
		.name = (char *)(uintptr_t)(f->directory.name != NULL ? f->directory.name : user), .uid = f->directory.uid, .gid = 10000,
		.home = (char[]){ "/home/of-the-answer" }, .shell = (char[]){ "/bin/sh" }, .gecos = (char[]){ "" },
		.principal = (char[]){ "" }, .dn = (char[]){ "" }, .rule = (char[]){ "r" }, .attribute = (char[]){ "a" },
		.matched = (char[]){ "m" }, .source = (char[]){ "s" },
	};

	f->directory.asked++;
	*said = f->directory.said;
	return f->directory.reason != CM_REASON_NONE ? cm_trace_fail(t, f->directory.reason, "directory: %s", user) : cm_account_copy(&a, out);
}

static enum cm_err
enter(struct fixture *f, const char *user, bool proven, uid_t asker)
{
	struct cm_skip skip = { .made = 0 };
	const struct cm_entering e = { .conf = &f->conf, .store = f->store, .user = user, .proven = proven, .fresh = f->fresh, .service = f->service, .skip = &skip, .asker = asker,
		.ask = f->directory.there ? answer : NULL, .arg = f };
	struct cm_account *a = NULL;
	enum cm_err err;

	cm_trace_clear_reason(f->trace);
	err = cm_policy_account(&e, f->trace, &a);
	assert_true((err == CM_OK) == (a != NULL));
	f->skipped = skip.made != 0;
	if (a != NULL) {
		assert_string_equal(a->name, user);
		/* what is kept, and nothing that was answered */
		assert_string_not_equal(a->home, "/home/of-the-answer");
	}
	cm_account_free(&a);
	return err;
}

static enum cm_err
ask(struct fixture *f, const char *user, bool proven)
{
	return enter(f, user, proven, 0);
}

static enum cm_err
by_password(struct fixture *f, const char *user, const struct cm_facts *said)
{
	const struct cm_password p = { .conf = &f->conf, .store = f->store, .user = user, .said = said };

	cm_trace_clear_reason(f->trace);
	return cm_policy_may_use_password(&p, f->trace);
}

static void
test_passwords(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(by_password(f, "alice", NULL), CM_OK);
	f->conf.enforcement.required = true;
	assert_int_equal(by_password(f, "alice", NULL), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(f->trace), CM_REASON_CARD_REQUIRED);
	assert_int_equal(by_password(f, "", NULL), CM_ERR_REFUSED);
	assert_int_equal(by_password(f, "root", NULL), CM_OK);
	f->conf.enforcement.allow_unmapped_users = true;
	assert_int_equal(by_password(f, "alice", NULL), CM_OK);
	keep(f, "alice", 20001, cm_clock_now());
	assert_int_equal(by_password(f, "alice", NULL), CM_ERR_REFUSED);
	assert_int_equal(by_password(f, "bob", NULL), CM_OK);
}

#define NONE		{ CM_FACT_NONE, 0, "" }
#define SAYS(n)		{ CM_FACT_VALUE, n, "SmartCardEnforcement" }

/* Nothing known: a card.  What was said holds while nothing is; what is said now replaces it, be it stricter or looser. */
static void
test_facts_are_kept(void **state)
{
	static char uri[] = "ldap://127.0.0.1", *uris[] = { uri, NULL };
	static const struct cm_facts password = { SAYS(2), NONE, NONE, NONE, "" }, card = { SAYS(1), NONE, NONE, NONE, "" },
	    nobody = { NONE, NONE, NONE, NONE, "" };
	struct fixture *f = *state;

	f->conf.directory.uri = uris;
	f->conf.enforcement.attribute = (char[]){ "SmartCardEnforcement" };
	assert_int_equal(by_password(f, "alice", NULL), CM_ERR_REFUSED);
	assert_int_equal(by_password(f, "root", NULL), CM_OK);
	assert_int_equal(by_password(f, "alice", &password), CM_OK);
	assert_int_equal(by_password(f, "alice", NULL), CM_OK);
	assert_int_equal(by_password(f, "alice", &card), CM_ERR_REFUSED);
	assert_int_equal(by_password(f, "alice", NULL), CM_ERR_REFUSED);
	assert_non_null(strstr(cm_trace_message(f->trace), "1: always a card"));
	assert_int_equal(by_password(f, "alice", &password), CM_OK);
	f->conf.enforcement.required = true;
	assert_int_equal(by_password(f, "alice", NULL), CM_OK);
	assert_int_equal(by_password(f, "bob", NULL), CM_ERR_REFUSED);
	f->conf.enforcement.required = false;
	/* a name that nobody has leaves nothing behind, but one that a directory had does */
	assert_int_equal(by_password(f, "bob", &nobody), CM_OK);
	assert_int_equal(by_password(f, "bob", NULL), CM_ERR_REFUSED);
	assert_int_equal(by_password(f, "alice", &nobody), CM_OK);
	assert_int_equal(by_password(f, "alice", NULL), CM_OK);
	/* the configuration asks for another attribute now */
	assert_int_equal(by_password(f, "carol", &card), CM_ERR_REFUSED);
	f->conf.enforcement.attribute = (char[]){ "employeeType" };
	assert_int_equal(by_password(f, "carol", NULL), CM_ERR_REFUSED);
	assert_non_null(strstr(cm_trace_message(f->trace), "could not be asked"));
	f->conf.directory.uri = NULL;
}

/* Who comes by a key of ssh has used no card, and is none of those that a card opened here. */
static void
test_entering_asks(void **state)
{
	static char uri[] = "ldap://127.0.0.1", *uris[] = { uri, NULL };
	struct fixture *f = *state;

	f->conf.directory.uri = uris;
	f->conf.enforcement.attribute = (char[]){ "SmartCardEnforcement" };
	f->directory.there = true;
	f->directory.uid = 20009;
	f->directory.said = (struct cm_facts){ SAYS(1), NONE, NONE, NONE, "" };
	assert_int_equal(ask(f, "stranger", false), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(f->trace), CM_REASON_CARD_REQUIRED);
	assert_int_equal(f->directory.asked, 1);
	f->directory.said.attribute.value = 2;
	assert_int_equal(ask(f, "stranger", false), CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(f->trace), CM_REASON_NONE);
	/* ... and this holds while it is silent */
	f->directory.there = false;
	assert_int_equal(ask(f, "stranger", false), CM_ERR_ABSENT);
	assert_int_equal(ask(f, "another", false), CM_ERR_REFUSED);
	/* of this computer's own nobody is asked */
	f->directory.there = true;
	f->directory.asked = 0;
	assert_int_equal(ask(f, "daemon", false), CM_ERR_ABSENT);
	assert_int_equal(f->directory.asked, 0);
	f->conf.directory.uri = NULL;
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
	/* by which step is for her to know, and for no other user */
	assert_int_equal(enter(f, "alice", false, 10001), CM_ERR_REFUSED);
	assert_non_null(strstr(cm_trace_message(f->trace), "step 5 (system)"));
	assert_int_equal(enter(f, "alice", false, 10002), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(f->trace), CM_REASON_CARD_REQUIRED);
	assert_string_equal(cm_trace_message(f->trace), "alice must use a card");
	assert_int_equal(enter(f, "daemon", false, 1), CM_ERR_REFUSED);
	assert_non_null(strstr(cm_trace_message(f->trace), "step 5 (system)"));
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

/* What the directory answers about alice, and how that ends. */
static void
expect(struct fixture *f, enum cm_reason answered, enum cm_err err, enum cm_reason reason)
{
	f->directory.reason = answered;
	assert_int_equal(ask(f, "alice", false), err);
	assert_int_equal(cm_trace_reason(f->trace), reason);
}

static unsigned
count_kept(struct fixture *f)
{
	struct cm_kept_row *row = NULL;
	const enum cm_err err = cm_accounts_find_row(f->store, f->certificate, cm_clock_now(), f->trace, &row);

	cm_kept_row_free(&row);
	return err == CM_OK;
}

static void
begin_alice(struct fixture *f)
{
	f->certificate = cm_blob_str("alice");
	f->directory.there = true;
	f->directory.uid = 10001;
	keep(f, "alice", 10001, cm_clock_now());
}

/* attack: public-key ssh past a disabled account.  What the directory said last holds while it is silent. */
static void
attack_disowned_since(void **state)
{
	static const enum cm_reason nos[] = {
		CM_REASON_ACCOUNT_DISABLED, CM_REASON_NO_ACCOUNT, CM_REASON_ACCOUNT_FORBIDDEN, CM_REASON_ACCOUNT_MALFORMED,
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < CM_COUNT(nos); i++) {
		begin_alice(f);
		expect(f, CM_REASON_NONE, CM_OK, CM_REASON_NONE);
		expect(f, CM_REASON_DIRECTORY_OFFLINE, CM_OK, CM_REASON_NONE);
		expect(f, nos[i], cm_reason_err(nos[i]), nos[i]);
		expect(f, CM_REASON_DIRECTORY_OFFLINE, cm_reason_err(nos[i]), nos[i]);
		assert_non_null(strstr(cm_trace_message(f->trace), "directory: alice"));
		/* her card opens nothing without the directory either */
		assert_int_equal(count_kept(f), 0);
		/* it has thought better of it: a stranger, as before her first card, and asked about still */
		expect(f, CM_REASON_NONE, CM_ERR_ABSENT, CM_REASON_NONE);
		expect(f, CM_REASON_DIRECTORY_OFFLINE, CM_ERR_ABSENT, CM_REASON_NONE);
		f->conf.enforcement.required = true;
		expect(f, CM_REASON_NONE, CM_ERR_REFUSED, CM_REASON_CARD_REQUIRED);
		f->conf.enforcement.required = false;
		expect(f, nos[i], cm_reason_err(nos[i]), nos[i]);
		/* her card opened it again */
		begin_alice(f);
		expect(f, CM_REASON_DIRECTORY_OFFLINE, CM_OK, CM_REASON_NONE);
	}
	expect(f, CM_REASON_ACCOUNT_DISABLED, CM_ERR_REFUSED, CM_REASON_ACCOUNT_DISABLED);
	assert_int_equal(cm_accounts_forget(f->store, "alice", f->trace), CM_OK);
	expect(f, CM_REASON_DIRECTORY_OFFLINE, CM_ERR_ABSENT, CM_REASON_NONE);
	assert_int_equal(cm_accounts_forget(f->store, "alice", f->trace), CM_ERR_ABSENT);
}

/* attack: a refused card ended what was kept of a disabled account, and so made a stranger of it. */
static void
attack_withdrawn_is_no_stranger(void **state)
{
	struct fixture *f = *state;
	struct cm_cert *cert = make_cert(&(struct cert_spec){ .serial = "0a" });

	begin_alice(f);
	assert_int_equal(cm_accounts_forget(f->store, "alice", f->trace), CM_OK);
	f->certificate = cm_cert_der(cert);
	keep(f, "alice", 10001, cm_clock_now());
	/* as the resolver does when a directory says so of the card */
	assert_int_equal(cm_accounts_withdraw(f->store, cert, f->trace), CM_OK);
	expect(f, CM_REASON_DIRECTORY_OFFLINE, CM_ERR_OFFLINE, CM_REASON_NOT_KEPT);
	expect(f, CM_REASON_ACCOUNT_DISABLED, CM_ERR_REFUSED, CM_REASON_ACCOUNT_DISABLED);
	expect(f, CM_REASON_DIRECTORY_OFFLINE, CM_ERR_REFUSED, CM_REASON_ACCOUNT_DISABLED);
	/* the mapping of the card is no more, and the account stands: any other permitted way is open, also offline */
	expect(f, CM_REASON_NONE, CM_ERR_ABSENT, CM_REASON_NONE);
	expect(f, CM_REASON_DIRECTORY_OFFLINE, CM_ERR_ABSENT, CM_REASON_NONE);
	cm_cert_free(&cert);
}

/* The name is another's since: neither has the old one's files, until a card or root says that it is meant. */
static void
attack_name_of_another(void **state)
{
	struct fixture *f = *state;

	begin_alice(f);
	f->directory.uid = 10002;
	for (size_t i = 0; i < 2; i++) {
		expect(f, CM_REASON_NONE, CM_ERR_REFUSED, CM_REASON_NOT_THIS_USER);
		assert_int_equal(count_kept(f), 0);
		expect(f, CM_REASON_DIRECTORY_OFFLINE, CM_ERR_REFUSED, CM_REASON_NOT_THIS_USER);
	}
	keep(f, "alice", 10002, cm_clock_now());
	expect(f, CM_REASON_NONE, CM_OK, CM_REASON_NONE);
	f->directory.name = "Alice";
	expect(f, CM_REASON_NONE, CM_ERR_REFUSED, CM_REASON_NOT_THIS_USER);
	assert_int_equal(cm_accounts_forget(f->store, "alice", f->trace), CM_OK);
	expect(f, CM_REASON_NONE, CM_ERR_ABSENT, CM_REASON_NONE);
}

static void
test_answers_that_are_none(void **state)
{
	static const enum cm_reason none[] = { CM_REASON_HELPER, CM_REASON_DIRECTORY_REFUSED, CM_REASON_SYSTEM, CM_REASON_CONFIG };
	struct fixture *f = *state;

	begin_alice(f);
	for (size_t i = 0; i < CM_COUNT(none); i++) {
		expect(f, none[i], cm_reason_err(none[i]), none[i]);
		/* it ended nothing, and is not held against her */
		expect(f, CM_REASON_DIRECTORY_OFFLINE, CM_OK, CM_REASON_NONE);
	}
	/* several of one name: who enters is not known, and her card opens one of them still */
	expect(f, CM_REASON_SEVERAL_ACCOUNTS, CM_ERR_AMBIGUOUS, CM_REASON_SEVERAL_ACCOUNTS);
	expect(f, CM_REASON_DIRECTORY_OFFLINE, CM_ERR_AMBIGUOUS, CM_REASON_SEVERAL_ACCOUNTS);
	assert_int_equal(count_kept(f), 1);
	expect(f, CM_REASON_NONE, CM_OK, CM_REASON_NONE);
	expect(f, CM_REASON_DIRECTORY_OFFLINE, CM_OK, CM_REASON_NONE);
}

/* Who is asked about, and how often. */
static void
test_asking(void **state)
{
	struct fixture *f = *state;

	begin_alice(f);
	assert_int_equal(ask(f, "nobody-here", false), CM_ERR_ABSENT);
	assert_int_equal(f->directory.asked, 0);
	/* whose card was judged a moment ago is not asked about again */
	f->fresh = true;
	expect(f, CM_REASON_ACCOUNT_DISABLED, CM_OK, CM_REASON_NONE);
	assert_int_equal(f->directory.asked, 0);
	f->fresh = false;
	/* how long it was offline is no matter while the directory answers */
	keep(f, "alice", 10001, cm_clock_now() - 40 * DAY);
	expect(f, CM_REASON_DIRECTORY_OFFLINE, CM_ERR_REFUSED, CM_REASON_KEPT_TOO_OLD);
	expect(f, CM_REASON_NONE, CM_OK, CM_REASON_NONE);
	/* nor does a card that is too old stand before one that is not */
	keep(f, "alice", 10001, cm_clock_now());
	f->certificate = cm_blob_str("another card of hers");
	keep(f, "alice", 10001, cm_clock_now() - 40 * DAY);
	expect(f, CM_REASON_DIRECTORY_OFFLINE, CM_OK, CM_REASON_NONE);
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
	f->directory.there = true;
	f->directory.reason = CM_REASON_ACCOUNT_DISABLED;
	assert_int_equal(enter(f, "alice", false, 0), CM_ERR_REFUSED);
	f->directory.there = false;
	assert_int_equal(enter(f, "alice", false, 10001), CM_ERR_REFUSED);
	for (size_t i = 0; i < 4; i++) {
		static const char *const names[] = { "alice", "carol", "daemon", "nobody-here" };

		assert_int_equal(enter(f, names[i], false, 10009), CM_ERR_ABSENT);
		assert_int_equal(cm_trace_reason(f->trace), CM_REASON_NONE);
	}
}

static void
expect_skip(struct fixture *f, const char *user, bool used, enum cm_err err)
{
	assert_int_equal(ask(f, user, false), err);
	assert_int_equal(cm_trace_reason(f->trace), err == CM_ERR_REFUSED ? CM_REASON_CARD_REQUIRED : CM_REASON_NONE);
	assert_int_equal(f->skipped, used);
}

/* Root's mark lets in once who must use a card, and nothing else uses it up. */
static void
test_skip_once(void **state)
{
	struct fixture *f = *state;
	struct cm_skip m;

	begin_alice(f);
	f->conf.enforcement.required = true;
	expect_skip(f, "alice", false, CM_ERR_REFUSED);
	assert_int_equal(cm_skip_make(f->store, "alice", cm_clock_now(), f->trace, &m), CM_OK);
	assert_true(cm_policy_may_skip(f->store, "alice", f->trace));
	assert_false(cm_policy_may_skip(f->store, "bob", f->trace));
	/* the way in by card, another's, root's, a program that logs nobody in, one that is not root's */
	assert_int_equal(ask(f, "alice", true), CM_OK);
	expect_skip(f, "bob", false, CM_ERR_REFUSED);
	expect_skip(f, "root", false, CM_ERR_ABSENT);
	f->service = "cron";
	expect_skip(f, "alice", false, CM_OK);
	assert_int_equal(enter(f, "alice", false, 10001), CM_ERR_REFUSED);
	f->service = "login";
	assert_int_equal(enter(f, "alice", false, 10001), CM_ERR_REFUSED);
	assert_int_equal(enter(f, "alice", false, 10009), CM_ERR_REFUSED);
	/* who may not enter for another reason */
	f->directory.reason = CM_REASON_HELPER;
	assert_int_equal(ask(f, "alice", false), CM_ERR_SYSTEM);
	f->conf.accounts.first_uid = 20000;
	f->directory.reason = CM_REASON_NONE;
	assert_int_equal(ask(f, "alice", false), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(f->trace), CM_REASON_ACCOUNT_FORBIDDEN);
	f->conf.accounts.first_uid = 1000;
	/* who need no card */
	f->conf.enforcement.required = false;
	expect_skip(f, "alice", false, CM_OK);
	f->conf.enforcement.required = true;
	assert_true(cm_policy_may_skip(f->store, "alice", f->trace));
	expect_skip(f, "alice", true, CM_OK);
	assert_false(cm_policy_may_skip(f->store, "alice", f->trace));
	expect_skip(f, "alice", false, CM_ERR_REFUSED);
	/* a stranger, who has no card */
	assert_int_equal(cm_skip_make(f->store, "nobody-here", cm_clock_now(), f->trace, &m), CM_OK);
	expect_skip(f, "nobody-here", true, CM_ERR_ABSENT);
	expect_skip(f, "nobody-here", false, CM_ERR_REFUSED);
	assert_int_equal(cm_skip_make(f->store, "alice", cm_clock_now() - DAY, f->trace, &m), CM_OK);
	expect_skip(f, "alice", false, CM_ERR_REFUSED);
}

/* The names of programs that log nobody in are root's to say: a user's own is asked for a card whatever it is called. */
static void
test_what_logs_nobody_in(void **state)
{
	static const char *const services[] = { "systemd-user", "cron", "crond", "atd" };
	static const char *const others[] = { "sshd", "login", "su", "", "cron2", "Cron" };
	struct fixture *f = *state;

	begin_alice(f);
	f->conf.enforcement.required = true;
	for (size_t i = 0; i < CM_COUNT(services); i++) {
		f->service = services[i];
		expect_skip(f, "alice", false, CM_OK);
		assert_int_equal(enter(f, "alice", false, 10001), CM_ERR_REFUSED);
		expect(f, CM_REASON_ACCOUNT_DISABLED, CM_ERR_REFUSED, CM_REASON_ACCOUNT_DISABLED);
		begin_alice(f);
		f->directory.reason = CM_REASON_NONE;
	}
	for (size_t i = 0; i < CM_COUNT(others); i++) {
		f->service = others[i];
		expect_skip(f, "alice", false, CM_ERR_REFUSED);
	}
}

/* A login manager's own user must be let in, or nobody is; daemon stands for it: every computer has that one. */
static void
test_login_screens(void **state)
{
	static const char *const services[] = { "gdm-launch-environment", "lightdm-greeter", "sddm-greeter", "greetd-greeter" };
	struct fixture *f = *state;

	begin_alice(f);
	f->conf.enforcement.required = true;
	for (size_t i = 0; i < CM_COUNT(services); i++) {
		f->service = services[i];
		expect_skip(f, "daemon", false, CM_ERR_ABSENT);
		assert_int_equal(enter(f, "daemon", false, 10001), CM_ERR_REFUSED);
		expect_skip(f, "alice", false, CM_ERR_REFUSED);
		expect_skip(f, "nobody-here", false, CM_ERR_REFUSED);
	}
	f->conf.accounts.first_uid = 1;
	expect_skip(f, "daemon", false, CM_ERR_REFUSED);
	f->conf.accounts.first_uid = 1000;
	f->service = "greetd";
	expect_skip(f, "daemon", false, CM_ERR_REFUSED);
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
		cmocka_unit_test_setup_teardown(test_facts_are_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_entering_asks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cards_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_account, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_enforced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_paired, set_up, tear_down),
		cmocka_unit_test_setup_teardown(attack_disowned_since, set_up, tear_down),
		cmocka_unit_test_setup_teardown(attack_withdrawn_is_no_stranger, set_up, tear_down),
		cmocka_unit_test_setup_teardown(attack_name_of_another, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_answers_that_are_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_asking, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_skip_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_logs_nobody_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_login_screens, set_up, tear_down),
		cmocka_unit_test(test_root),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}
