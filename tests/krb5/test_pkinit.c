/* tests/krb5/test_pkinit.c - a card file, the MIT KDC, and a ticket between them. */
#include "krb5_rig.h"

#include <krb5/krb5.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static void
refused(struct login *l, enum cm_reason reason, const char *text)
{
	assert_int_equal(login_run(l), cm_reason_err(reason));
	if (cm_trace_reason(l->trace) != reason || strstr(cm_trace_message(l->trace), text) == NULL)
		fail_msg("%s: %s", cm_reason_name(cm_trace_reason(l->trace)), cm_trace_message(l->trace));
}

static void
test_key_kinds(void **state)
{
	static const char *const cards[] = { "alice-rsa2048", "alice-p256", "alice-p384", "alice-rsa3072",
	    "alice-rsa4096" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cards); i++) {
		struct login l;

		login_begin(&l, cards[i]);
		assert_int_equal(login_run(&l), CM_OK);
		assert_true(cm_pkinit_has_keytab(l.pkinit));
		assert_true(cm_ticket_proves(l.ticket, &l.account, l.cert));
		assert_string_equal(cm_ticket_principal(l.ticket), "alice@CARDMAP.TEST");
		assert_true(cm_ticket_expires(l.ticket) > cm_clock_now());
		assert_in_range(cm_ticket_signed_time(l.ticket), cm_clock_now() - 10, cm_clock_now() + 1);
		assert_int_equal(cm_card_stats(l.card).key_operations, 1);
		login_end(&l);
	}
}

static void
test_whom_it_serves(void **state)
{
	static const struct {
		const char *principal;
		bool serves;
	} rows[] = {
		{ "alice@CARDMAP.TEST", true }, { "host/alice@CARDMAP.TEST", true }, { "alice\\@x@CARDMAP.TEST", true },
		{ "alice@OTHER.TEST", false }, { "alice@cardmap.test", false }, { "alice@CARDMAP.TEST.OTHER", false },
		{ "alice", false }, { "", false }, { "@CARDMAP.TEST@OTHER.TEST", false },
	};
	struct login l;

	(void)state;
	login_begin(&l, "alice-p256");
	assert_int_equal(cm_pkinit_open(&l.options, l.trace, &l.pkinit), CM_OK);
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		l.account.principal = (char *)rows[i].principal;
		assert_int_equal(cm_pkinit_serves(l.pkinit, &l.account), rows[i].serves);
	}
	login_end(&l);
}

/* A ticket proves for its own account and its own certificate, and for nobody else's. */
static void
test_proof_is_bound(void **state)
{
	struct login l, other;

	(void)state;
	login_begin(&l, "alice-p256");
	login_begin(&other, "alice-p384");
	assert_int_equal(login_run(&l), CM_OK);
	assert_true(cm_ticket_proves(l.ticket, &l.account, l.cert));
	assert_false(cm_ticket_proves(l.ticket, &l.account, other.cert));
	other.account.principal = "bob@CARDMAP.TEST";
	assert_false(cm_ticket_proves(l.ticket, &other.account, l.cert));
	login_end(&other);
	login_end(&l);
}

static void
test_without_keytab(void **state)
{
	static const char *const keytabs[] = { NULL, "/nonexistent/host.keytab" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(keytabs); i++) {
		struct login l;

		login_begin(&l, "alice-p256");
		l.options.keytab = keytabs[i];
		assert_int_equal(login_run(&l), CM_OK);
		assert_false(cm_pkinit_has_keytab(l.pkinit));
		assert_false(cm_ticket_proves(l.ticket, &l.account, l.cert));
		assert_int_equal(cm_ticket_signed_time(l.ticket), 0);
		login_end(&l);
	}
}

/* One open pkinit serves login after login, refusals in between. */
static void
test_again(void **state)
{
	struct login l;

	(void)state;
	login_begin(&l, "alice-p256");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(login_run(&l), CM_OK);
		cm_ticket_free(&l.ticket);
		l.account.principal = "nobody@CARDMAP.TEST";
		assert_int_equal(login_run(&l), CM_ERR_REFUSED);
		l.account.principal = "alice@CARDMAP.TEST";
	}
	login_end(&l);
}

static const struct {
	const char *card, *principal;
	enum cm_reason reason;
	const char *text;
	unsigned signatures;
} refusals[] = {
	{ "alice-p256", "bob@CARDMAP.TEST", CM_REASON_KDC_REFUSED, "the certificate is not this principal's", 1 },
	{ "alice-p256", "nobody@CARDMAP.TEST", CM_REASON_KDC_REFUSED, "nobody@CARDMAP.TEST: it does not know", 0 },
	{ "alice-p256", "alice@OTHER.TEST", CM_REASON_NO_KDC, "no KDC was asked", 0 },
	{ "alice-p256", "alice", CM_REASON_NO_KDC, "no KDC was asked", 0 },
	{ "alice-p256", "", CM_REASON_NO_KDC, "no KDC was asked", 0 },
	{ "alice-p256", "alice@CARDMAP.TEST@OTHER.TEST", CM_REASON_NO_KDC, "no KDC was asked", 0 },
	/* a copied public certificate without its key (CVE-2025-24032) */
	{ "copied", "alice@CARDMAP.TEST", CM_REASON_CARD_KEY, "does not verify", 1 },
	{ "wrong-eku", "alice@CARDMAP.TEST", CM_REASON_KDC_REFUSED, "extended key usage", 1 },
	{ "expired", "alice@CARDMAP.TEST", CM_REASON_CERT_UNTRUSTED, "has expired", 0 },
	{ "stranger", "alice@CARDMAP.TEST", CM_REASON_CERT_UNTRUSTED, "local issuer", 0 },
	{ "self-signed", "alice@CARDMAP.TEST", CM_REASON_CERT_UNTRUSTED, "self-signed", 0 },
};

static void
test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(refusals); i++) {
		struct login l;

		login_begin(&l, refusals[i].card);
		l.account.principal = (char *)refusals[i].principal;
		__lsan_disable();	/* the pkinit plugin leaks when the chain of its own certificate fails */
		refused(&l, refusals[i].reason, refusals[i].text);
		__lsan_enable();
		assert_int_equal(cm_card_stats(l.card).key_operations, refusals[i].signatures);
		login_end(&l);
	}
}

/* Attack "KDC spoofing": whoever made this ticket does not share this host's key. */
static void
spoil_keytab(const char *path)
{
	char name[RIG_PATH];
	krb5_context c;
	krb5_keytab from, to;
	krb5_kt_cursor cursor;
	krb5_keytab_entry e;

	assert_int_equal(krb5_init_context(&c), 0);
	snprintf(name, sizeof(name), "FILE:%.400s", rig("CM_RIG_KEYTAB"));
	assert_int_equal(krb5_kt_resolve(c, name, &from), 0);
	snprintf(name, sizeof(name), "FILE:%.400s", path);
	assert_int_equal(krb5_kt_resolve(c, name, &to), 0);
	assert_int_equal(krb5_kt_start_seq_get(c, from, &cursor), 0);
	while (krb5_kt_next_entry(c, from, &e, &cursor) == 0) {
		e.key.contents[0] ^= 1;
		assert_int_equal(krb5_kt_add_entry(c, to, &e), 0);
		krb5_free_keytab_entry_contents(c, &e);
	}
	krb5_kt_end_seq_get(c, from, &cursor);
	krb5_kt_close(c, from);
	krb5_kt_close(c, to);
	krb5_free_context(c);
}

static void
test_keytab_of_another_key(void **state)
{
	char path[RIG_PATH];
	struct login l;

	(void)state;
	snprintf(path, sizeof(path), "%s/spoiled.keytab", rig("CM_RIG_DIR"));
	spoil_keytab(path);
	login_begin(&l, "alice-p256");
	l.options.keytab = path;
	refused(&l, CM_REASON_TICKET_FORGED, "does not open with FILE:/");
	login_end(&l);
	unlink(path);
}

/* verify_ap_req_nofail: a keytab is there, so a ticket that cannot be checked is none. */
static void
test_host_unknown_to_the_kdc(void **state)
{
	struct login l;

	(void)state;
	login_begin(&l, "alice-p256");
	l.options.host_principal = "host/other.cardmap.test@CARDMAP.TEST";
	refused(&l, CM_REASON_KDC_REFUSED, "it does not know this host's principal");
	login_end(&l);
}

/* libkrb5 asks nobody itself: the KDC of its own configuration is a trap that nothing falls into. */
static void
test_libkrb5_opens_no_socket(void **state)
{
	static const char text[] = "[libdefaults]\n default_realm = CARDMAP.TEST\n"
	    "[realms]\n CARDMAP.TEST = {\n  kdc = 127.0.0.9:8899\n  primary_kdc = 127.0.0.9:8899\n }\n";
	const struct sockaddr_in trap = { .sin_family = AF_INET, .sin_port = htons(8899),
	    .sin_addr.s_addr = htonl(0x7F000009) };
	const int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
	struct pollfd sprung[] = { { .fd = udp, .events = POLLIN }, { .fd = tcp, .events = POLLIN } };
	char path[RIG_PATH];
	struct login l;

	(void)state;
	assert_int_equal(bind(udp, (const struct sockaddr *)&trap, sizeof(trap)), 0);
	assert_int_equal(bind(tcp, (const struct sockaddr *)&trap, sizeof(trap)), 0);
	assert_int_equal(listen(tcp, 5), 0);
	snprintf(path, sizeof(path), "%s/trap.conf", rig("CM_RIG_DIR"));
	write_bytes(path, text, sizeof(text) - 1);
	login_begin(&l, "alice-p256");
	l.options.config = path;
	assert_int_equal(login_run(&l), CM_OK);
	l.account.principal = "bob@CARDMAP.TEST";	/* a KDC that refuses is where libkrb5 would ask the primary */
	cm_ticket_free(&l.ticket);
	assert_int_equal(login_run(&l), CM_ERR_REFUSED);
	assert_int_equal(poll(sprung, 2, 0), 0);
	login_end(&l);
	close(udp);
	close(tcp);
}

/* The configuration's own KDC, anchors and pool, when the options name none. */
static void
test_all_from_krb5_conf(void **state)
{
	struct login l;

	(void)state;
	login_begin(&l, "alice-rsa2048");
	l.options.kdcs = l.options.anchors = l.options.intermediates = NULL;
	assert_int_equal(login_run(&l), CM_OK);
	assert_true(cm_ticket_proves(l.ticket, &l.account, l.cert));
	login_end(&l);
}

/* A principal that may do without the card: the reply is sealed with a password, which nobody is asked for. */
static void
test_principal_without_preauth(void **state)
{
	struct login l;

	(void)state;
	kadmin("addprinc -randkey -requires_preauth lax");
	login_begin(&l, "alice-p256");
	l.account.principal = "lax@CARDMAP.TEST";
	refused(&l, CM_REASON_KDC_REFUSED, "did not ask lax@CARDMAP.TEST for the card");
	assert_int_equal(cm_card_stats(l.card).key_operations, 0);
	login_end(&l);
}

static void
test_frozen_kdc(void **state)
{
	const pid_t kdc = (pid_t)strtol(rig("CM_RIG_PID_KDC"), NULL, 10);
	struct login l;
	int64_t began;

	(void)state;
	login_begin(&l, "alice-p256");
	l.deadline_ms = 700;
	assert_int_equal(kill(kdc, SIGSTOP), 0);
	began = cm_clock_us();
	refused(&l, CM_REASON_KDC_OFFLINE, "127.0.0.1:8800: no answer in time");
	assert_in_range(cm_clock_us() - began, 600000, 1700000);
	l.deadline_ms = 10000;
	assert_int_equal(kill(kdc, SIGCONT), 0);
	assert_int_equal(cm_card_stats(l.card).key_operations, 0);
	assert_int_equal(login_run(&l), CM_OK);
	login_end(&l);
}

/* One dead (nothing listens), one with a name that is none, then the true one. */
static void
test_several_kdcs(void **state)
{
	struct login l;

	(void)state;
	login_begin(&l, "alice-p256");
	l.kdcs[2] = l.kdcs[0];
	l.kdcs[0] = "127.0.0.1:1";
	l.kdcs[1] = "kdc.invalid";
	assert_int_equal(login_run(&l), CM_OK);
	cm_ticket_free(&l.ticket);
	login_end(&l);

	login_begin(&l, "alice-p256");
	l.kdcs[0] = "kdc.invalid";
	refused(&l, CM_REASON_KDC_OFFLINE, "kdc.invalid: no address for this name");
	login_end(&l);

	login_begin(&l, "alice-p256");
	l.kdcs[0] = "127.0.0.1:1";
	l.kdcs[1] = "[::1]:1";
	refused(&l, CM_REASON_KDC_OFFLINE, "127.0.0.1:1: Connection refused; [::1]:1: ");
	login_end(&l);
}

static void
test_impostor_kdc(void **state)
{
	static const struct {
		const char *identity, *cause;
	} rows[] = {
		{ "server", "KDC name mismatch" },	/* trusted, but no KDC */
		{ "alice-rsa2048", "KDC name mismatch" },
		{ "ocsp-stranger", "Failed to verify received certificate" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct login l;
		char said[16384];
		struct kdc kdc;

		start_kdc(&kdc, rows[i].identity, "");
		login_begin(&l, "alice-p256");
		l.kdcs[0] = SECOND_KDC;
		refused(&l, CM_REASON_KDC_UNTRUSTED, rows[i].cause);
		assert_int_equal(cm_card_stats(l.card).key_operations, 1);
		login_end(&l);
		stop_kdc(&kdc, said, sizeof(said));
	}
}

/* What libkrb5 tells on the way is kept for people, but nothing of a key. */
static void
test_trace_is_redacted(void **state)
{
	const struct cm_trace_stage *s;
	struct login l;

	(void)state;
	login_begin(&l, "alice-p256");
	assert_int_equal(login_run(&l), CM_OK);
	assert_non_null(strstr(cm_trace_find(l.trace, "pkinit"), "client matched KDC principal"));
	assert_string_equal(cm_trace_find(l.trace, "host check"), rig("CM_RIG_HOST_PRINCIPAL"));
	s = cm_trace_stage(l.trace, 0);
	for (size_t i = 0; i < s->count; i++) {
		assert_null(strstr(s->items[i].text, "reply key"));
		assert_null(strchr(s->items[i].text, '\\'));	/* nothing had to be made printable */
	}
	login_end(&l);
}

/* Without a trace everything works the same. */
static void
test_no_trace(void **state)
{
	struct login l;

	(void)state;
	login_begin(&l, "alice-p256");
	cm_trace_free(&l.trace);
	assert_int_equal(login_run(&l), CM_OK);
	cm_ticket_free(&l.ticket);
	l.account.principal = "bob@CARDMAP.TEST";
	assert_int_equal(login_run(&l), CM_ERR_REFUSED);
	login_end(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_kinds),
		cmocka_unit_test(test_whom_it_serves),
		cmocka_unit_test(test_proof_is_bound),
		cmocka_unit_test(test_without_keytab),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_keytab_of_another_key),
		cmocka_unit_test(test_host_unknown_to_the_kdc),
		cmocka_unit_test(test_libkrb5_opens_no_socket),
		cmocka_unit_test(test_all_from_krb5_conf),
		cmocka_unit_test(test_principal_without_preauth),
		cmocka_unit_test(test_frozen_kdc),
		cmocka_unit_test(test_several_kdcs),
		cmocka_unit_test(test_impostor_kdc),
		cmocka_unit_test(test_trace_is_redacted),
		cmocka_unit_test(test_no_trace),
	};

	return cmocka_run_group_tests_name("krb5.pkinit", tests, NULL, NULL);
}
