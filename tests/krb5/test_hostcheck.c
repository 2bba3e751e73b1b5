/* tests/krb5/test_hostcheck.c - the half with the keytab: an AP-REQ is this host's KDC's, for this nonce, of now, or it is refused. */
#include "krb5_rig.h"

#include <krb5/krb5.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "krb5/hostcheck.h"

static const uint8_t nonce[32] = "a nonce of thirty-two octets ...";

/* As the card helper: no keytab, a TGT, an AP-REQ. */
static void
begin_helper(struct login *l)
{
	login_begin(l, "alice-p256");
	l->options.keytab = NULL;
	assert_int_equal(login_run(l), CM_OK);
	assert_int_equal(cm_ticket_signed_time(l->ticket), 0);
}

static void
present(struct login *l, const uint8_t n[32], struct cm_buf *ap_req)
{
	assert_int_equal(cm_ticket_present(l->pkinit, l->ticket, rig("CM_RIG_HOST_PRINCIPAL"), n, cm_deadline_in(10000),
	    l->trace, ap_req), CM_OK);
}

static struct cm_hostcheck *
open_hostcheck(struct login *l, const char *keytab)
{
	const struct cm_hostcheck_options o = { .keytab = keytab };
	struct cm_hostcheck *h;

	assert_int_equal(cm_hostcheck_open(&o, l->trace, &h), CM_OK);
	return h;
}

static void
forged(struct login *l, struct cm_hostcheck *h, struct cm_blob ap_req, time_t since, const char *why)
{
	struct cm_vouched v;

	assert_int_equal(cm_hostcheck_verify(h, ap_req, nonce, since, l->trace, &v), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(l->trace), CM_REASON_TICKET_FORGED);
	assert_null(v.principal);
	assert_int_equal(v.authtime, 0);
	if (strstr(cm_trace_message(l->trace), why) == NULL)
		fail_msg("%s", cm_trace_message(l->trace));
}

static void
test_the_two_halves(void **state)
{
	const time_t since = cm_clock_now();
	struct cm_buf ap_req = { 0 };
	struct cm_hostcheck *h;
	struct cm_vouched v;
	struct login l;

	(void)state;
	begin_helper(&l);
	h = open_hostcheck(&l, rig("CM_RIG_KEYTAB"));
	assert_string_equal(cm_hostcheck_principal(h), rig("CM_RIG_HOST_PRINCIPAL"));
	assert_string_equal(cm_hostcheck_realm(h), "CARDMAP.TEST");
	present(&l, nonce, &ap_req);
	assert_int_equal(cm_hostcheck_verify(h, cm_buf_blob(&ap_req), nonce, since, l.trace, &v), CM_OK);
	assert_string_equal(v.principal, "alice@CARDMAP.TEST");
	assert_in_range(v.authtime, since - 10, cm_clock_now() + 1);
	assert_true(v.expires > cm_clock_now());
	assert_int_equal(cm_card_stats(l.card).key_operations, 1);
	cm_vouched_clear(&v);
	assert_null(v.principal);
	cm_buf_free(&ap_req);
	cm_hostcheck_close(&h);
	assert_null(h);
	login_end(&l);
}

/* Replay: an AP-REQ that somebody heard answers no other nonce, and half of it none at all. */
static void
test_other_nonce_and_no_whole(void **state)
{
	struct cm_buf ap_req = { 0 };
	struct cm_hostcheck *h;
	struct login l;
	uint8_t other[32];

	(void)state;
	begin_helper(&l);
	h = open_hostcheck(&l, rig("CM_RIG_KEYTAB"));
	for (size_t bit = 0; bit < 256; bit += 37) {
		memcpy(other, nonce, sizeof(other));
		other[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cm_buf_truncate(&ap_req, 0);
		present(&l, other, &ap_req);
		forged(&l, h, cm_buf_blob(&ap_req), cm_clock_now(), "made for another one");
	}
	cm_buf_truncate(&ap_req, 0);
	present(&l, nonce, &ap_req);
	for (size_t len = 0; len < ap_req.len; len++) {
		uint8_t *cut = malloc(len > 0 ? len : 1);	/* of its own, so that a read beyond it is seen */

		memcpy(cut, ap_req.ptr, len);
		forged(&l, h, (struct cm_blob){ cut, len }, cm_clock_now(), "does not open with FILE:/");
		free(cut);
	}
	cm_buf_free(&ap_req);
	cm_hostcheck_close(&h);
	login_end(&l);
}

static void
test_another_day(void **state)
{
	struct cm_buf ap_req = { 0 };
	struct cm_hostcheck *h;
	struct login l;

	(void)state;
	begin_helper(&l);
	h = open_hostcheck(&l, rig("CM_RIG_KEYTAB"));
	present(&l, nonce, &ap_req);
	forged(&l, h, cm_buf_blob(&ap_req), cm_clock_now() + CM_CLOCK_SKEW + 60, "its client was let in at 20");
	cm_buf_free(&ap_req);
	cm_hostcheck_close(&h);
	login_end(&l);
}

static void
test_what_cannot_be_opened(void **state)
{
	struct cm_hostcheck_options o = { 0 };
	char path[RIG_PATH], *content = read_text(rig("CM_RIG_KEYTAB"));
	struct cm_trace *t;
	struct cm_hostcheck *h;
	struct stat st;

	(void)state;
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "start");
	assert_int_equal(cm_hostcheck_open(&o, t, &h), CM_ERR_ABSENT);
	assert_non_null(strstr(cm_trace_message(t), "no keytab: set kerberos.keytab"));
	o.keytab = "/nonexistent/keytab";
	assert_int_equal(cm_hostcheck_open(&o, t, &h), CM_ERR_ABSENT);
	assert_non_null(strstr(cm_trace_message(t), "there is no /nonexistent/keytab"));
	o.keytab = rig("CM_RIG_KEYTAB");
	o.host_principal = "host/ws1@OTHER.TEST";
	assert_int_equal(cm_hostcheck_open(&o, t, &h), CM_ERR_CONFIG);
	o.host_principal = NULL;
	o.realm = "OTHER.TEST";
	assert_int_equal(cm_hostcheck_open(&o, t, &h), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "host/NAME@OTHER.TEST"));
	o.realm = NULL;
	snprintf(path, sizeof(path), "%s/open.keytab", rig("CM_RIG_DIR"));
	assert_int_equal(stat(rig("CM_RIG_KEYTAB"), &st), 0);
	write_bytes(path, content, (size_t)st.st_size);
	assert_int_equal(chmod(path, 0640), 0);
	o.keytab = path;
	assert_int_equal(cm_hostcheck_open(&o, t, &h), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "others may read it"));
	assert_null(h);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(cm_hostcheck_open(&o, t, &h), CM_OK);
	cm_hostcheck_close(&h);
	o.host_principal = "host/other.cardmap.test@CARDMAP.TEST";
	assert_int_equal(cm_hostcheck_open(&o, t, &h), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "it has no key of host/other.cardmap.test@CARDMAP.TEST"));
	assert_null(h);
	for (size_t cut = 0; cut < 12; cut += 6) {
		write_bytes(path, content, cut);
		assert_int_equal(cm_hostcheck_open(&o, t, &h), CM_ERR_CONFIG);
		assert_null(h);
	}
	unlink(path);
	free(content);
	cm_trace_free(&t);
}

/* Whoever's TGT it is, that name comes out (CVE-2025-11561): bob's never opens what is alice's. */
static void
test_ticket_of_another_user(void **state)
{
	struct cm_buf ap_req = { 0 };
	struct cm_hostcheck *h;
	struct cm_vouched v;
	struct login l;

	(void)state;
	login_begin(&l, "bob");
	l.account.name = "bob";
	l.account.principal = "bob@CARDMAP.TEST";
	l.options.keytab = NULL;
	assert_int_equal(login_run(&l), CM_OK);
	h = open_hostcheck(&l, rig("CM_RIG_KEYTAB"));
	present(&l, nonce, &ap_req);
	assert_int_equal(cm_hostcheck_verify(h, cm_buf_blob(&ap_req), nonce, cm_clock_now(), l.trace, &v), CM_OK);
	assert_string_equal(v.principal, "bob@CARDMAP.TEST");
	cm_vouched_clear(&v);
	cm_buf_free(&ap_req);
	cm_hostcheck_close(&h);
	login_end(&l);
}

static void
presents(struct login *l, const char *host, enum cm_reason reason, const char *text)
{
	struct cm_buf ap_req = { 0 };

	assert_int_equal(cm_ticket_present(l->pkinit, l->ticket, host, nonce, cm_deadline_in(500), l->trace, &ap_req),
	    cm_reason_err(reason));
	assert_int_equal(cm_trace_reason(l->trace), reason);
	if (strstr(cm_trace_message(l->trace), text) == NULL)
		fail_msg("%s", cm_trace_message(l->trace));
	assert_int_equal(ap_req.len, 0);
	cm_buf_free(&ap_req);
}

static void
test_what_cannot_be_presented(void **state)
{
	const pid_t kdc = (pid_t)strtol(rig("CM_RIG_PID_KDC"), NULL, 10);
	struct cm_buf ap_req = { 0 };
	struct login l;

	(void)state;
	begin_helper(&l);
	presents(&l, "host/ws1@OTHER.TEST", CM_REASON_CONFIG, "is no principal host/NAME@CARDMAP.TEST");
	presents(&l, "krbtgt/CARDMAP.TEST@CARDMAP.TEST", CM_REASON_CONFIG, "is no principal host/NAME");
	presents(&l, "", CM_REASON_CONFIG, "is no principal host/NAME");
	presents(&l, "host/nobody@CARDMAP.TEST", CM_REASON_KDC_REFUSED, "it does not know this host's principal");
	assert_int_equal(kill(kdc, SIGSTOP), 0);
	presents(&l, rig("CM_RIG_HOST_PRINCIPAL"), CM_REASON_KDC_OFFLINE, "127.0.0.1:8800: no answer in time");
	assert_int_equal(kill(kdc, SIGCONT), 0);
	present(&l, nonce, &ap_req);
	assert_int_equal(kill(kdc, SIGSTOP), 0);
	present(&l, nonce, &ap_req);		/* the ticket is here: nobody is asked again */
	assert_int_equal(kill(kdc, SIGCONT), 0);
	assert_int_equal(cm_card_stats(l.card).key_operations, 1);
	cm_buf_free(&ap_req);
	login_end(&l);
}

static void
test_probe(void **state)
{
	const pid_t kdc = (pid_t)strtol(rig("CM_RIG_PID_KDC"), NULL, 10);
	struct login l;
	int64_t began;

	(void)state;
	login_begin(&l, "alice-p256");
	l.kdcs[1] = l.kdcs[0];
	l.kdcs[0] = "127.0.0.1:1";
	assert_int_equal(cm_pkinit_open(&l.options, l.trace, &l.pkinit), CM_OK);
	assert_int_equal(cm_pkinit_probe(l.pkinit, cm_deadline_in(5000), l.trace), CM_OK);
	assert_int_equal(cm_pkinit_probe(l.pkinit, cm_deadline_in(5000), l.trace), CM_OK);
	assert_int_equal(kill(kdc, SIGSTOP), 0);
	began = cm_clock_us();
	assert_int_equal(cm_pkinit_probe(l.pkinit, cm_deadline_in(300), l.trace), CM_ERR_OFFLINE);
	assert_in_range(cm_clock_us() - began, 100000, 2000000);
	assert_int_equal(cm_trace_reason(l.trace), CM_REASON_KDC_OFFLINE);
	assert_non_null(strstr(cm_trace_message(l.trace), "127.0.0.1:8800: no answer in time; 127.0.0.1:1: Connection refused"));
	assert_int_equal(kill(kdc, SIGCONT), 0);
	assert_int_equal(cm_pkinit_probe(l.pkinit, cm_deadline_in(5000), l.trace), CM_OK);
	assert_int_equal(cm_card_stats(l.card).key_operations, 0);
	login_end(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_two_halves),
		cmocka_unit_test(test_other_nonce_and_no_whole),
		cmocka_unit_test(test_another_day),
		cmocka_unit_test(test_what_cannot_be_opened),
		cmocka_unit_test(test_ticket_of_another_user),
		cmocka_unit_test(test_what_cannot_be_presented),
		cmocka_unit_test(test_probe),
	};

	return cmocka_run_group_tests_name("krb5.hostcheck", tests, NULL, NULL);
}
