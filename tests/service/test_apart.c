/* tests/service/test_apart.c - a login by card helper and resolver: what is asked, what is decided, and what no answer can do. */
#include "apart_play.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "service/grant.h"

static void
expect(struct play *p, enum cm_err got, enum cm_err err, enum cm_reason reason)
{
	if (got != err || cm_trace_reason(p->h.trace) != reason)
		fail_msg("%s, %s: %s", cm_err_name(got), cm_reason_name(cm_trace_reason(p->h.trace)), cm_trace_message(p->h.trace));
	assert_true((got == CM_OK && p->login.phase == CM_LOGIN_DONE) == (p->login.grant != NULL));
}

static size_t
kept(const struct play *p)
{
	struct cm_kept_row *row = NULL;
	struct card c;
	size_t n;

	card_load(&c, p->card);
	n = cm_accounts_find_row(p->h.store, cm_cert_der(c.cert), cm_clock_now(), NULL, &row) == CM_OK;
	cm_kept_row_free(&row);
	card_free(&c);
	return n;
}

/* The first login, by the KDC's word: one key operation, and what the next one needs is kept. */
static void
test_first_and_next(void **state)
{
	struct play p;

	(void)state;
	play_make(&p, "alice-p256");
	p.has_guid = true;
	play_login(&p, NULL);
	expect(&p, play_run(&p), CM_OK, CM_REASON_NONE);
	assert_string_equal(cm_grant_account(p.login.grant)->name, "alice");
	assert_int_equal(cm_grant_account(p.login.grant)->uid, 10001);
	assert_non_null(p.login.ccache);
	assert_true(p.login.remembered);
	assert_false(p.login.cached);
	assert_int_equal(p.asked[CM_MESSAGE_SIGN], 0);
	assert_non_null(cm_trace_find(p.h.trace, "filter"));	/* which the resolver told */
	assert_int_equal(kept(&p), 1);

	play_login(&p, "alice");
	expect(&p, play_run(&p), CM_OK, CM_REASON_NONE);
	assert_true(p.login.cached);
	assert_int_equal(p.asked[CM_MESSAGE_VERIFY], 1);
	play_end(&p);
}

/* Whatever stage fails, there is no grant, and nothing was kept. */
static void
test_every_stage_can_refuse(void **state)
{
	static const char *const stages[] = { "certificate", "chain", "account", "revocation", "fresh", "pin", "possession", "ticket",
		"admit" };
	struct play p;

	(void)state;
	play_make(&p, "alice-p256");
	for (size_t i = 0; i < CM_COUNT(stages); i++) {
		play_login(&p, NULL);
		setenv("CM_FAULT", stages[i], 1);
		expect(&p, play_run(&p), CM_ERR_SYSTEM, CM_REASON_INJECTED);
		unsetenv("CM_FAULT");
		assert_null(p.login.grant);
		assert_int_equal(kept(&p), 0);
	}
	play_end(&p);
}

/* A KDC that is known to be silent is not waited for: the card that was here signs, and its row vouches. */
static bool
kdc_is_silent(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_KDC_STATE)
		a->kdc_silent = 1;
	return true;
}

static void
test_silent_kdc(void **state)
{
	struct play p;

	(void)state;
	play_make(&p, "alice-p256");
	p.spoil = kdc_is_silent;
	play_login(&p, NULL);
	expect(&p, play_run(&p), CM_ERR_REFUSED, CM_REASON_NOT_VOUCHED);	/* never here: nobody vouches */
	assert_int_equal(p.asked[CM_MESSAGE_GET_TICKET], 0);
	p.spoil = NULL;
	play_login(&p, NULL);
	expect(&p, play_run(&p), CM_OK, CM_REASON_NONE);
	p.spoil = kdc_is_silent;
	play_login(&p, NULL);
	expect(&p, play_run(&p), CM_OK, CM_REASON_NONE);
	assert_true(p.login.kdc_silent);
	assert_null(p.login.ccache);
	assert_int_equal(p.asked[CM_MESSAGE_GET_TICKET], 0);
	assert_int_equal(p.asked[CM_MESSAGE_SIGN], 1);
	play_end(&p);
}

/* While the PIN is typed the KDC may be asked what needs none, unless it is known to be silent, or nobody wants a ticket. */
static void
test_ticket_is_expected(void **state)
{
	static const struct {
		bool (*spoil)(struct play *p, const struct cm_message *q, struct cm_message *a);
		enum cm_conf_ticket ticket;
		unsigned asked;
	} rows[] = {
		{ NULL, CM_TICKET_OPTIONAL, 1 }, { NULL, CM_TICKET_REQUIRED, 1 }, { NULL, CM_TICKET_OFF, 0 }, { kdc_is_silent, CM_TICKET_OPTIONAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct play p;

		play_make(&p, "alice-p256");
		p.h.conf->kerberos.ticket = rows[i].ticket;
		play_login(&p, NULL);
		cm_login_expect_pin(&p.login);		/* nothing is known yet */
		assert_int_equal(play_prepare(&p), CM_OK);
		p.spoil = rows[i].spoil;
		cm_login_expect_pin(&p.login);
		p.spoil = NULL;
		p.h.conf->kerberos.ticket = CM_TICKET_OPTIONAL;
		expect(&p, play_finish(&p), CM_OK, CM_REASON_NONE);
		assert_int_equal(p.asked[CM_MESSAGE_EXPECT_TICKET], rows[i].asked);
		assert_int_equal(p.asked[CM_MESSAGE_GET_TICKET], 1);
		play_end(&p);
	}
}

/* A resolver that is lost at the prompt is another one afterwards, and the login goes on. */
static bool
dies_when_asked_for_the_kdc(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	(void)a;
	return q->kind != CM_MESSAGE_KDC_STATE;
}

static void
test_resolver_lost_at_the_prompt(void **state)
{
	struct play p;

	(void)state;
	play_make(&p, "alice-p256");
	play_login(&p, NULL);
	assert_int_equal(play_prepare(&p), CM_OK);
	p.spoil = dies_when_asked_for_the_kdc;
	cm_login_expect_pin(&p.login);
	p.spoil = NULL;
	assert_int_equal(p.asked[CM_MESSAGE_EXPECT_TICKET], 0);
	expect(&p, play_finish(&p), CM_OK, CM_REASON_NONE);
	play_end(&p);
}

/* The card keeps its CHUID, and has another certificate and key now: read again, without another VERIFY. */
static void
test_issued_anew(void **state)
{
	static const struct {
		const char *card;
		enum cm_err err;
		enum cm_reason reason;
	} rows[] = {
		{ "alice-rsa2048", CM_OK, CM_REASON_NONE },
		{ "bob", CM_ERR_AGAIN, CM_REASON_ACCOUNT_CHANGED },
		{ "revoked", CM_ERR_REFUSED, CM_REASON_REVOKED },
		{ "stranger", CM_ERR_REFUSED, CM_REASON_CERT_UNTRUSTED },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct play p;

		play_make(&p, "alice-rsa3072");
		p.has_guid = true;
		play_login(&p, NULL);
		expect(&p, play_run(&p), CM_OK, CM_REASON_NONE);
		p.card = rows[i].card;
		play_login(&p, NULL);
		assert_int_equal(play_prepare(&p), CM_OK);
		assert_true(p.login.cached);
		expect(&p, play_finish(&p), rows[i].err, rows[i].reason);
		assert_int_equal(p.asked[CM_MESSAGE_VERIFY], 1);
		assert_int_equal(p.asked[CM_MESSAGE_READ_AGAIN], 1);
		assert_int_equal(p.asked[CM_MESSAGE_CHAIN], 2);
		play_end(&p);
	}
}

/* What is kept for the card is refused: then the card has the word, and if it says the same, that stands. */
static bool
refuse_kept(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	struct card c;

	if (q->kind != CM_MESSAGE_CHAIN)
		return true;
	card_load(&c, "alice-rsa3072");
	if (cm_blob_equal(q->certificate, cm_cert_der(c.cert))) {
		cm_message_clear(a);
		*a = (struct cm_message){ .kind = CM_MESSAGE_CHAINED, .err = CM_ERR_REFUSED, .reason = CM_REASON_CERT_EXPIRED };
		assert_non_null(a->text = strdup("it has expired"));
	}
	card_free(&c);
	(void)p;
	return true;
}

static void
test_renewed(void **state)
{
	static const struct {
		const char *card;
		enum cm_err err;
		enum cm_reason reason;
		unsigned chains;
	} rows[] = {
		{ "alice-rsa2048", CM_OK, CM_REASON_NONE, 2 },
		{ "stranger", CM_ERR_REFUSED, CM_REASON_CERT_UNTRUSTED, 2 },
		{ "alice-rsa3072", CM_ERR_REFUSED, CM_REASON_CERT_EXPIRED, 1 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct play p;

		play_make(&p, "alice-rsa3072");
		p.has_guid = true;
		play_login(&p, NULL);
		expect(&p, play_run(&p), CM_OK, CM_REASON_NONE);
		p.card = rows[i].card;
		p.spoil = refuse_kept;
		play_login(&p, NULL);
		expect(&p, play_prepare(&p), rows[i].err, rows[i].reason);
		assert_int_equal(p.asked[CM_MESSAGE_READ_AGAIN], 1);
		assert_int_equal(p.asked[CM_MESSAGE_CHAIN], rows[i].chains);
		assert_int_equal(p.asked[CM_MESSAGE_VERIFY], 0);
		assert_false(p.login.cached);
		if (rows[i].err == CM_OK)
			expect(&p, play_finish(&p), CM_OK, CM_REASON_NONE);
		else
			assert_string_not_equal(cm_trace_message(p.h.trace), "");
		play_end(&p);
	}
}

/* bob's own card and ticket, and a copy of alice's certificate: the KDC names bob. */
static bool
copy_of_alices_certificate(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	struct card alice;

	(void)p;
	if (q->kind != CM_MESSAGE_OPEN && q->kind != CM_MESSAGE_GET_TICKET)
		return true;
	card_load(&alice, "alice-p256");
	a->key = alice.key;
	if (q->kind == CM_MESSAGE_OPEN) {
		cm_blob_free(&a->certificate);
		assert_int_equal(cm_blob_copy(cm_cert_der(alice.cert), &a->certificate), CM_OK);
	}
	card_free(&alice);
	return true;
}

static void
test_ticket_of_another(void **state)
{
	struct play p;

	(void)state;
	play_make(&p, "bob");
	p.spoil = copy_of_alices_certificate;
	p.own_principal = "bob@CARDMAP.TEST";
	play_login(&p, NULL);
	expect(&p, play_run(&p), CM_ERR_REFUSED, CM_REASON_TICKET_FORGED);
	assert_string_equal(p.login.account->name, "alice");
	assert_non_null(strstr(cm_trace_message(p.h.trace), "bob@CARDMAP.TEST"));
	play_end(&p);
}

/* Somebody else's name: nobody is asked about the one it is, and the other is asked about once. */
static void
test_named(void **state)
{
	struct play p;

	(void)state;
	play_make(&p, "alice-p256");
	play_login(&p, NULL);
	assert_int_equal(cm_login_name(&p.login, "alice"), CM_ERR_STATE);
	assert_int_equal(play_prepare(&p), CM_OK);
	assert_int_equal(cm_login_name(&p.login, "alice"), CM_OK);
	assert_int_equal(p.asked[CM_MESSAGE_ACCOUNT], 1);
	assert_int_equal(cm_login_name(&p.login, "bob"), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(p.h.trace), CM_REASON_NOT_THIS_USER);
	assert_int_equal(play_finish(&p), CM_ERR_STATE);
	assert_int_equal(cm_login_name(&p.login, "alice"), CM_OK);
	assert_int_equal(p.asked[CM_MESSAGE_CHAIN], 1);
	expect(&p, play_finish(&p), CM_OK, CM_REASON_NONE);
	assert_int_equal(cm_login_name(&p.login, "alice"), CM_ERR_STATE);
	play_end(&p);
}

/* bob's certificate is in 9C of alice's card: found by his name, signed with its key, and the next time not read. */
static void
test_other_certificate(void **state)
{
	struct play p;

	(void)state;
	play_make(&p, "alice-p256");
	p.other = "bob";
	p.has_guid = true;
	for (int next = 0; next < 2; next++) {
		play_login(&p, NULL);
		assert_int_equal(play_prepare(&p), CM_OK);
		assert_string_equal(p.login.account->name, "alice");
		assert_int_equal(p.asked[CM_MESSAGE_OTHERS], 0);
		assert_int_equal(cm_login_name(&p.login, "bob"), CM_OK);
		assert_string_equal(p.login.account->name, "bob");
		assert_int_equal(p.asked[CM_MESSAGE_OTHERS], next == 0);
		assert_int_equal(p.login.slot, CM_SLOT_SIGNATURE);
		expect(&p, play_finish(&p), CM_OK, CM_REASON_NONE);
		assert_int_equal(cm_grant_account(p.login.grant)->uid, 10002);
		assert_int_equal(p.asked[CM_MESSAGE_GET_TICKET], 1);
		assert_int_equal(p.asked[CM_MESSAGE_SIGN], 0);
	}
	play_end(&p);
}

/* Nobody is named, and the first opens no account; another name is looked for from the first on. */
static void
test_other_certificate_of_nobody(void **state)
{
	struct play p;

	(void)state;
	play_make(&p, "carol");
	p.other = "bob";
	p.has_guid = true;
	play_login(&p, NULL);
	assert_int_equal(play_prepare(&p), CM_OK);
	assert_string_equal(p.login.account->name, "bob");
	assert_int_equal(cm_login_name(&p.login, "alice"), CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(p.h.trace), CM_REASON_NO_ACCOUNT);
	assert_int_equal(cm_login_name(&p.login, "bob"), CM_OK);
	expect(&p, play_finish(&p), CM_OK, CM_REASON_NONE);
	/* the first could only not be asked about: no other is taken for it, but one may be named */
	play_stop(&p);
	play_end(&p);
	play_make(&p, "alice-p256");
	p.other = "bob";
	p.has_guid = true;
	play_login(&p, "bob");
	expect(&p, play_run(&p), CM_OK, CM_REASON_NONE);
	host_set(&p.h, "directory.uri=ldap://127.0.0.1:1");
	play_login(&p, NULL);
	expect(&p, play_prepare(&p), CM_ERR_OFFLINE, CM_REASON_NOT_KEPT);
	assert_int_equal(p.login.opening_count, 1);
	assert_int_equal(cm_login_name(&p.login, "bob"), CM_OK);
	assert_true(p.login.account_kept);
	play_end(&p);
}

/* Before the PIN the resolver dies, and another takes its place: whoever asks next finds that one. */
static void
test_resolver_replaced(void **state)
{
	int fds[2];
	struct play p;

	(void)state;
	for (int stale = 0; stale < 2; stale++) {
		play_make(&p, "alice-p256");
		play_login(&p, NULL);
		assert_int_equal(play_prepare(&p), CM_OK);
		cm_apart_fds(p.apart, fds);
		shutdown(cm_channel_fd(p.players[1].channel), SHUT_RDWR);
		assert_int_equal(poll(&(struct pollfd){ .fd = fds[CM_PROCESS_RESOLVER], .events = POLLIN }, 1, 20000), 1);
		if (stale != 0)
			p.login.prepared_us -= (CM_LOGIN_FRESH_SECONDS + 1) * 1000000LL;
		else
			assert_int_equal(cm_login_name(&p.login, "bob"), CM_ERR_REFUSED);
		if (stale == 0)
			assert_int_equal(cm_login_name(&p.login, "alice"), CM_OK);
		assert_int_equal(cm_login_stale(&p.login), stale != 0);
		expect(&p, play_finish(&p), CM_OK, CM_REASON_NONE);
		assert_int_equal(p.asked[CM_MESSAGE_CHAIN], 2);
		play_end(&p);
	}
}

/* Each dies instead of answering: that request is refused with HELPER, and the next login is as if nothing had been. */
static bool
die(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)a;
	return q->kind != p->at;
}

static void
test_deaths(void **state)
{
	static const enum cm_message_kind kinds[] = { CM_MESSAGE_OPEN, CM_MESSAGE_CHAIN, CM_MESSAGE_ACCOUNT, CM_MESSAGE_REVOCATION,
		CM_MESSAGE_VERIFY, CM_MESSAGE_GET_TICKET };
	struct play p;

	(void)state;
	play_make(&p, "alice-p256");
	p.spoil = die;
	for (size_t i = 0; i < CM_COUNT(kinds); i++) {
		p.at = kinds[i];
		play_login(&p, NULL);
		expect(&p, play_run(&p), CM_ERR_SYSTEM, CM_REASON_HELPER);
		assert_int_equal(kept(&p), 0);
	}
	p.at = CM_MESSAGE_NONE;
	play_login(&p, NULL);
	expect(&p, play_run(&p), CM_OK, CM_REASON_NONE);
	play_end(&p);
}

/* ---- What no answer can do. */

static void
set_blob(struct cm_blob *b, struct cm_blob v)
{
	cm_blob_free(b);
	assert_int_equal(cm_blob_copy(v, b), CM_OK);
}

static void
set_text(char **text, const char *value)
{
	free(*text);
	assert_non_null(*text = strdup(value));
}

static bool
no_certificate(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_OPEN)
		cm_blob_free(&a->certificate);
	return true;
}

static bool
no_key(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_OPEN)
		a->key.kind = CM_KEY_NONE;
	return true;
}

static bool
many_tries(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_OPEN)
		a->tries = 4711;
	return true;
}

static bool
no_tries(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_OPEN)
		a->tries = 0;
	return true;
}

/* One is left, and nobody said that it may be spent: nothing is sent. */
static bool
one_try(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	assert_true(q->kind != CM_MESSAGE_VERIFY);
	if (q->kind == CM_MESSAGE_OPEN)
		a->tries = 1;
	return true;
}

static bool
as_if_handed(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_OPEN)
		a->cached = 1;
	return true;
}

/* bob's certificate, in alice's card. */
static bool
certificate_of_bob(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	struct card bob;

	(void)p;
	if (q->kind != CM_MESSAGE_OPEN)
		return true;
	card_load(&bob, "bob");
	set_blob(&a->certificate, cm_cert_der(bob.cert));
	card_free(&bob);
	return true;
}

/* ... with his key, as it would be: what is missing is the key itself. */
static bool
copy_of_bobs_card(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	struct card bob;

	certificate_of_bob(p, q, a);
	if (q->kind != CM_MESSAGE_OPEN && q->kind != CM_MESSAGE_GET_TICKET && q->kind != CM_MESSAGE_SIGN)
		return true;
	card_load(&bob, "bob");
	a->key = bob.key;
	if (q->kind == CM_MESSAGE_GET_TICKET) {	/* the KDC is not asked: then only a signature is left */
		cm_message_clear(a);
		*a = (struct cm_message){ .kind = CM_MESSAGE_TICKET, .err = CM_ERR_OFFLINE, .reason = CM_REASON_KDC_OFFLINE, .kdc_silent = 1 };
	}
	card_free(&bob);
	return true;
}

static bool
other_kind(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	if (q->kind == p->at)
		cm_message_clear(a), a->kind = CM_MESSAGE_KDC_SILENT;
	return true;
}

static bool
reason_that_does_not_fit(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	if (q->kind == p->at)
		a->reason = CM_REASON_REVOKED;
	return true;
}

/* The AP-REQ of a login that was granted: it is of another nonce. */
static bool
old_ap_req(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	if (q->kind != CM_MESSAGE_GET_TICKET)
		return true;
	if (p->kept_octets.ptr == NULL)
		set_blob(&p->kept_octets, a->ap_req);
	else
		set_blob(&a->ap_req, p->kept_octets);
	return true;
}

static bool
no_ap_req(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_GET_TICKET)
		cm_blob_free(&a->ap_req);
	return true;
}

static bool
no_ticket(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_GET_TICKET)
		cm_blob_free(&a->ticket);
	return true;
}

/* No KDC answered, it says, and it signs something else, or with nothing. */
static bool
bad_signature(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	kdc_is_silent(p, q, a);
	if (q->kind == CM_MESSAGE_SIGN)
		((uint8_t *)(uintptr_t)a->signature.ptr)[a->signature.len / 2] ^= 1;
	return true;
}

static bool
key_of_bob(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	struct card bob;

	(void)p;
	if (q->kind != CM_MESSAGE_CHAIN)
		return true;
	card_load(&bob, "bob");
	a->key = bob.key;
	card_free(&bob);
	return true;
}

static bool
account_of_bob(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_ACCOUNT) {
		set_text(&a->account->name, "bob");
		set_text(&a->account->principal, "bob@CARDMAP.TEST");
		a->account->uid = 10002;
	}
	return true;
}

static bool
later_account_of_bob(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	return q->kind != CM_MESSAGE_ACCOUNT || kept(p) == 0 || account_of_bob(p, q, a);
}

/* With alice's own principal, so that the KDC is content. */
static bool
name_of_bob(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_ACCOUNT)
		set_text(&a->account->name, "bob");
	return true;
}

static bool
account_of_root(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_ACCOUNT)
		a->account->uid = 0;
	return true;
}

static bool
account_of_clerk(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_ACCOUNT)
		set_text(&a->account->name, "clerk");
	return true;
}

static bool
no_account(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_ACCOUNT)
		cm_account_free(&a->account);
	return true;
}

static bool
said_to_be_kept(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_ACCOUNT)
		a->kept = 1;
	return true;
}

static bool
ticket_by_bobs_key(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	struct card bob;

	(void)p;
	if (q->kind != CM_MESSAGE_GET_TICKET)
		return true;
	card_load(&bob, "bob");
	a->key = bob.key;
	card_free(&bob);
	return true;
}

static bool
local_and_kept(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_ACCOUNT)
		a->kept = a->account->local = true;
	return true;
}

static bool
short_link(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_CHAIN)
		a->links.rows[0].len = 32;
	return true;
}

/* A ticket whose principal is not the account's name does not do: the card signs too, and somebody else vouches. */
static void
test_ticket_that_does_not_vouch(void **state)
{
	struct play p;

	(void)state;
	play_make(&p, "alice-p256");
	host_set(&p.h, "service.vouch=resolver");
	p.spoil = name_of_bob;
	play_login(&p, NULL);
	expect(&p, play_run(&p), CM_OK, CM_REASON_NONE);
	assert_int_equal(p.asked[CM_MESSAGE_GET_TICKET], 1);
	assert_int_equal(p.asked[CM_MESSAGE_SIGN], 1);
	play_end(&p);
}

static bool
slot_not_asked_for(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_OTHERS)
		((uint8_t *)(uintptr_t)a->certificates.rows[0].ptr)[0] = CM_SLOT_KEY_MANAGEMENT;
	return true;
}

static bool
used_another(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	struct card alice;

	(void)p;
	if (q->kind != CM_MESSAGE_USE)
		return true;
	card_load(&alice, "alice-p256");
	set_blob(&a->certificate, cm_cert_der(alice.cert));
	card_free(&alice);
	return true;
}

static bool
used_with_another_key(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	struct card alice;

	(void)p;
	if (q->kind != CM_MESSAGE_USE)
		return true;
	card_load(&alice, "alice-p256");
	a->key = alice.key;
	card_free(&alice);
	return true;
}

static bool
used_of_another_card(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_USE)
		set_blob(&a->guid, (struct cm_blob){ (const uint8_t *)"another's own id", 16 });
	return true;
}

/* What a helper says of another slot: alice's card, and bob's certificate, wherever he has it from. */
static void
test_lies_about_slots(void **state)
{
	static const struct {
		bool (*spoil)(struct play *p, const struct cm_message *q, struct cm_message *a);
		bool copies;
		enum cm_err err;
		enum cm_reason reason;
	} rows[] = {
		{ slot_not_asked_for, false, CM_ERR_SYSTEM, CM_REASON_HELPER },
		{ used_another, false, CM_ERR_SYSTEM, CM_REASON_HELPER },
		{ used_with_another_key, false, CM_ERR_REFUSED, CM_REASON_PROOF_MISSING },
		{ used_of_another_card, false, CM_ERR_SYSTEM, CM_REASON_HELPER },
		/* the key of 9A signs for the certificate that is said to be in 9C, for the KDC and without one */
		{ NULL, true, CM_ERR_REFUSED, CM_REASON_KDC_REFUSED },
		{ kdc_is_silent, true, CM_ERR_REFUSED, CM_REASON_CARD_KEY },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct play p;
		enum cm_err err;

		play_make(&p, "alice-p256");
		p.other = "bob";
		p.has_guid = true;
		p.spoil = rows[i].spoil;
		p.copies = rows[i].copies;
		play_login(&p, "bob");
		err = play_run(&p);
		if (err != rows[i].err || cm_trace_reason(p.h.trace) != rows[i].reason || p.login.grant != NULL)
			fail_msg("%zu: %s, %s: %s", i, cm_err_name(err), cm_reason_name(cm_trace_reason(p.h.trace)), cm_trace_message(p.h.trace));
		assert_int_equal(kept(&p), 0);
		play_end(&p);
	}
}

/* The card was revoked, and the resolver says it is well. */
static bool
good_all_the_same(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_REVOCATION) {
		a->err = CM_OK;
		a->reason = CM_REASON_NONE;
		for (size_t i = 0; i < a->evidence.count; i++)
			a->evidence.rows[i].status = CM_STATUS_GOOD;
	}
	return true;
}

static const struct {
	const char *name, *card, *user;
	bool (*spoil)(struct play *p, const struct cm_message *q, struct cm_message *a);
	enum cm_message_kind at;
	bool second;		/* the lie comes at the second login */
	enum cm_err err;
	enum cm_reason reason;
} lies[] = {
#define LIE(spoil, err, reason)		{ #spoil, "alice-p256", NULL, spoil, CM_MESSAGE_NONE, false, CM_ERR_##err, CM_REASON_##reason }
#define LIE_AT(spoil, at, err, reason)	{ #spoil " " #at, "alice-p256", NULL, spoil, CM_MESSAGE_##at, false, CM_ERR_##err, CM_REASON_##reason }
	LIE(no_certificate, SYSTEM, HELPER),
	LIE(no_key, SYSTEM, HELPER),
	LIE(many_tries, SYSTEM, HELPER),
	LIE(no_tries, REFUSED, PIN_BLOCKED),
	LIE(one_try, REFUSED, PIN_LAST_TRY),
	LIE(as_if_handed, SYSTEM, HELPER),
	LIE(certificate_of_bob, REFUSED, PROOF_MISSING),
	LIE(copy_of_bobs_card, REFUSED, CARD_KEY),
	LIE_AT(other_kind, OPEN, SYSTEM, HELPER),
	LIE_AT(other_kind, VERIFY, SYSTEM, HELPER),
	LIE_AT(other_kind, GET_TICKET, SYSTEM, HELPER),
	LIE_AT(other_kind, CHAIN, SYSTEM, HELPER),
	LIE_AT(other_kind, ACCOUNT, SYSTEM, HELPER),
	LIE_AT(other_kind, REVOCATION, SYSTEM, HELPER),
	LIE_AT(reason_that_does_not_fit, OPEN, SYSTEM, HELPER),
	LIE_AT(reason_that_does_not_fit, VERIFY, SYSTEM, HELPER),
	LIE_AT(reason_that_does_not_fit, ACCOUNT, SYSTEM, HELPER),
	LIE_AT(reason_that_does_not_fit, REVOCATION, SYSTEM, HELPER),
	{ "old_ap_req", "alice-p256", NULL, old_ap_req, CM_MESSAGE_NONE, true, CM_ERR_REFUSED, CM_REASON_TICKET_FORGED },
	LIE(no_ap_req, REFUSED, TICKET_FORGED),
	LIE(no_ticket, SYSTEM, HELPER),
	LIE(bad_signature, REFUSED, CARD_KEY),
	LIE(key_of_bob, REFUSED, PROOF_MISSING),
	LIE(account_of_bob, REFUSED, KDC_REFUSED),
	/* a card that is recognised, and is refused for what is no fault of its certificate: that is not read for it */
	{ "account_of_bob, of a known card", "alice-p256", NULL, later_account_of_bob, CM_MESSAGE_NONE, true, CM_ERR_REFUSED,
	    CM_REASON_KDC_REFUSED },
	{ "account_of_bob, asked for alice", "alice-p256", "alice", account_of_bob, CM_MESSAGE_NONE, false, CM_ERR_REFUSED,
	    CM_REASON_NOT_THIS_USER },
	LIE(name_of_bob, REFUSED, NOT_VOUCHED),
	LIE(account_of_root, REFUSED, LOCAL_COLLISION),
	LIE(account_of_clerk, REFUSED, LOCAL_COLLISION),
	LIE(no_account, SYSTEM, HELPER),
	LIE(said_to_be_kept, OFFLINE, NOT_KEPT),
	LIE(local_and_kept, SYSTEM, HELPER),
	LIE(ticket_by_bobs_key, SYSTEM, HELPER),
	LIE(short_link, SYSTEM, HELPER),
};

static void
test_lies(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(lies); i++) {
		struct play p;
		enum cm_err err;

		play_make(&p, lies[i].card);
		p.spoil = lies[i].spoil;
		p.at = lies[i].at;
		p.has_guid = lies[i].second;
		if (lies[i].second) {
			play_login(&p, lies[i].user);
			assert_int_equal(play_run(&p), CM_OK);
		}
		play_login(&p, lies[i].user);
		err = play_run(&p);
		if (err != lies[i].err || cm_trace_reason(p.h.trace) != lies[i].reason || p.login.grant != NULL)
			fail_msg("%s: %s, %s: %s", lies[i].name, cm_err_name(err), cm_reason_name(cm_trace_reason(p.h.trace)),
			    cm_trace_message(p.h.trace));
		assert_true(lies[i].second || kept(&p) == 0);
		/* whom no card may open is told so before anybody types a PIN */
		if (lies[i].reason == CM_REASON_LOCAL_COLLISION)
			assert_int_equal(p.asked[CM_MESSAGE_VERIFY], 0);
		play_end(&p);
	}
}

/* It was told revoked once, by an honest resolver; the next one that lies finds it kept. */
static void
test_revoked_is_not_forgiven(void **state)
{
	struct play p;

	(void)state;
	play_make(&p, "revoked");
	play_login(&p, NULL);
	expect(&p, play_run(&p), CM_ERR_REFUSED, CM_REASON_REVOKED);
	p.spoil = good_all_the_same;
	play_login(&p, NULL);
	expect(&p, play_run(&p), CM_ERR_REFUSED, CM_REASON_REVOKED);
	assert_int_equal(p.asked[CM_MESSAGE_VERIFY], 1);	/* root's own store said it, at the end */
	play_end(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_and_next),
		cmocka_unit_test(test_every_stage_can_refuse),
		cmocka_unit_test(test_silent_kdc),
		cmocka_unit_test(test_ticket_is_expected),
		cmocka_unit_test(test_resolver_lost_at_the_prompt),
		cmocka_unit_test(test_issued_anew),
		cmocka_unit_test(test_renewed),
		cmocka_unit_test(test_ticket_of_another),
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_other_certificate),
		cmocka_unit_test(test_other_certificate_of_nobody),
		cmocka_unit_test(test_resolver_replaced),
		cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_lies_about_slots),
		cmocka_unit_test(test_ticket_that_does_not_vouch),
		cmocka_unit_test(test_revoked_is_not_forgiven),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
