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
	struct cm_vouched v;
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
	for (size_t at = 0; at < ap_req.len; at++) {
		ap_req.ptr[at] ^= 0x40;
		if (cm_hostcheck_verify(h, cm_buf_blob(&ap_req), nonce, cm_clock_now(), l.trace, &v) == CM_OK)
			assert_string_equal(v.principal, "alice@CARDMAP.TEST");	/* what is not sealed may say what it wants */
		cm_vouched_clear(&v);
		ap_req.ptr[at] ^= 0x40;
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
	unlink(path);
	free(content);
	cm_trace_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_two_halves),
		cmocka_unit_test(test_other_nonce_and_no_whole),
		cmocka_unit_test(test_another_day),
		cmocka_unit_test(test_what_cannot_be_opened),
	};

	return cmocka_run_group_tests_name("krb5.hostcheck", tests, NULL, NULL);
}
