/* tests/krb5/test_hostcheck_forged.c - tickets sealed with this host's key, and each of them wrong in one thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "forge.h"
#include "krb5/hostcheck.h"

#define DAY	86400

static const uint8_t nonce[32] = "a nonce of thirty-two octets ...", other[32] = "another one";
static char keytab[64], conf[80];
static struct cm_hostcheck *h;
static struct cm_trace *t;
static time_t now;

static int
setup(void **state)
{
	const struct cm_hostcheck_options o = { .config = conf, .keytab = keytab };
	struct forge f;

	(void)state;
	now = cm_clock_now();
	snprintf(keytab, sizeof(keytab), "/tmp/cm-forged-%u", (unsigned)getpid());
	snprintf(conf, sizeof(conf), "%s.conf", keytab);
	forge_defaults(&f, nonce, now);
	forge_keytab(&f, keytab);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "ticket");
	assert_int_equal(cm_hostcheck_open(&o, t, &h), CM_OK);
	assert_string_equal(cm_hostcheck_principal(h), FORGE_HOST);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	cm_hostcheck_close(&h);
	cm_trace_free(&t);
	unlink(keytab);
	unlink(conf);
	return 0;
}

static void
make(const struct forge *f, struct cm_buf *request)
{
	struct cm_buf ticket = { 0 }, authenticator = { 0 };

	forge_ticket(f, &ticket);
	forge_authenticator(f, &authenticator);
	forge_request(f, cm_buf_blob(&ticket), cm_buf_blob(&authenticator), request);
	cm_buf_free(&ticket);
	cm_buf_free(&authenticator);
}

static enum cm_err
verify(const struct forge *f, struct cm_vouched *v)
{
	struct cm_buf request = { 0 };
	enum cm_err err;

	make(f, &request);
	err = cm_hostcheck_verify(h, cm_buf_blob(&request), nonce, now, t, v);
	cm_buf_free(&request);
	return err;
}

static void
good(const struct forge *f, const char *name)
{
	struct cm_vouched v;

	if (verify(f, &v) != CM_OK)
		fail_msg("%s", cm_trace_message(t));
	assert_string_equal(v.principal, name);
	assert_int_equal(v.authtime, f->authtime);
	assert_int_equal(v.expires, f->endtime);
	cm_vouched_clear(&v);
}

static void
forged(const struct forge *f, const char *why)
{
	struct cm_vouched v;

	assert_int_equal(verify(f, &v), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(t), CM_REASON_TICKET_FORGED);
	assert_null(v.principal);
	if (strstr(cm_trace_message(t), why) == NULL)
		fail_msg("not \"%s\": %s", why, cm_trace_message(t));
}

/* The names come back as a KDC sealed them, and nothing makes one look like another (CVE-2025-11561). */
static void
test_names(void **state)
{
	static const struct {
		const char *sealed, *name;
	} rows[] = {
		{ "alice", "alice@CARDMAP.TEST" }, { "alice/admin", "alice/admin@CARDMAP.TEST" },
		{ "root", "root@CARDMAP.TEST" }, { "Alice", "Alice@CARDMAP.TEST" },
		{ "alice\n", "alice\\n@CARDMAP.TEST" }, { "", "@CARDMAP.TEST" },
	};
	struct forge f;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		forge_defaults(&f, nonce, now);
		f.client = f.maker = rows[i].sealed;
		good(&f, rows[i].name);
	}
}

static void
test_nonce(void **state)
{
	static const krb5_cksumtype unkeyed[] = { CKSUMTYPE_RSA_MD5, CKSUMTYPE_NIST_SHA };
	struct forge f;

	(void)state;
	forge_defaults(&f, nonce, now);
	good(&f, "alice@CARDMAP.TEST");
	f.nonce = other;
	forged(&f, "made for another one");
	f.nonce = nonce;
	f.usage = KRB5_KEYUSAGE_AP_REQ_AUTH_CKSUM + 1;
	forged(&f, "made for another one");
	f.usage = KRB5_KEYUSAGE_AP_REQ_AUTH_CKSUM;
	f.checksum = 0;
	forged(&f, "no keyed checksum");
	/* MITKRB5-SA-2010-007: a checksum without the key is none */
	for (size_t i = 0; i < CM_COUNT(unkeyed); i++) {
		f.checksum = unkeyed[i];
		forged(&f, "no keyed checksum");
	}
}

static void
test_times(void **state)
{
	struct forge f;

	(void)state;
	forge_defaults(&f, nonce, now);
	f.authtime = now - CM_CLOCK_SKEW + 30;
	good(&f, "alice@CARDMAP.TEST");
	f.authtime = now - CM_CLOCK_SKEW - 1;
	forged(&f, "its client was let in at 20");
	f.authtime = f.starttime = now - DAY;		/* yesterday's TGT, that is good until tomorrow */
	f.endtime = now + DAY;
	forged(&f, "its client was let in at 20");
	f.authtime = 0;
	forged(&f, "its client was let in at 1970");
	forge_defaults(&f, nonce, now);
	f.authtime = now + CM_CLOCK_SKEW + 30;		/* a KDC whose clock is ahead */
	forged(&f, "its client was let in at 20");
	forge_defaults(&f, nonce, now);
	f.authtime = f.starttime = now - 2 * DAY;
	f.endtime = now - DAY;
	forged(&f, "expired");
	forge_defaults(&f, nonce, now);
	f.starttime = now + DAY;
	forged(&f, "not yet valid");
	forge_defaults(&f, nonce, now);
	f.ctime = now - 2 * CM_CLOCK_SKEW;
	forged(&f, "skew");
}

static void
test_ticket_of_others(void **state)
{
	struct forge f;

	(void)state;
	forge_defaults(&f, nonce, now);
	f.client_realm = "OTHER.TEST";
	forged(&f, "of another realm");
	f.client_realm = "CARDMAP.TES";
	forged(&f, "of another realm");
	f.client_realm = "cardmap.test";
	forged(&f, "of another realm");
	forge_defaults(&f, nonce, now);
	f.maker = "mallory";		/* who made it is not who the KDC let in */
	forged(&f, "does not open with");
	forge_defaults(&f, nonce, now);
	f.flags = TKT_FLG_FORWARDABLE;
	forged(&f, "asked its client for no proof");
	forge_defaults(&f, nonce, now);
	f.flags |= TKT_FLG_INVALID;
	forged(&f, "does not open with");
	forge_defaults(&f, nonce, now);
	f.host_key[31] ^= 1;		/* a KDC without this host's key */
	forged(&f, "does not open with");
}

static void
test_cut_anywhere(void **state)
{
	struct cm_buf request = { 0 };
	struct cm_vouched v;
	struct forge f;

	(void)state;
	forge_defaults(&f, nonce, now);
	make(&f, &request);
	for (size_t len = 0; len < request.len; len++) {
		uint8_t *cut = malloc(len > 0 ? len : 1);

		memcpy(cut, request.ptr, len);
		assert_int_equal(cm_hostcheck_verify(h, (struct cm_blob){ cut, len }, nonce, now, t, &v), CM_ERR_REFUSED);
		free(cut);
	}
	cm_buf_free(&request);
}

/* Of what is sealed, every bit counts; what is not may only break it. */
static void
test_bits(void **state)
{
	struct cm_buf request = { 0 };
	struct cm_vouched v;
	unsigned passed = 0;
	struct forge f;

	(void)state;
	forge_defaults(&f, nonce, now);
	make(&f, &request);
	for (size_t bit = 0; bit < 8 * request.len; bit++) {
		request.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (cm_hostcheck_verify(h, cm_buf_blob(&request), nonce, now, t, &v) == CM_OK) {
			assert_string_equal(v.principal, "alice@CARDMAP.TEST");
			passed++;
		}
		cm_vouched_clear(&v);
		request.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(passed < 8 * 64);	/* the ticket's outer names, options and numbers of keys: no more than that is open */
	cm_buf_free(&request);
}

/* The host's key was renewed while the service ran: the new one counts at once, the old one no more. */
static void
test_renewed_key(void **state)
{
	struct forge f, renewed;

	(void)state;
	forge_defaults(&f, nonce, now);
	renewed = f;
	memset(renewed.host_key, 'n', FORGE_KEY);
	forged(&renewed, "does not open with");
	forge_keytab(&renewed, keytab);
	good(&renewed, "alice@CARDMAP.TEST");
	forged(&f, "does not open with");
	forge_keytab(&f, keytab);
	good(&f, "alice@CARDMAP.TEST");
}

/* Could not ask is no "no", and no "yes": a keytab that others may read, or that is gone. */
static void
test_keytab_taken_over(void **state)
{
	struct cm_vouched v;
	struct forge f;

	(void)state;
	forge_defaults(&f, nonce, now);
	assert_int_equal(chmod(keytab, 0644), 0);
	assert_int_equal(verify(&f, &v), CM_ERR_CONFIG);
	assert_int_equal(cm_trace_reason(t), CM_REASON_CONFIG);
	assert_null(v.principal);
	assert_int_equal(chmod(keytab, 0600), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(keytab, 10002, 0), 0);
		assert_int_equal(verify(&f, &v), CM_ERR_CONFIG);
		assert_int_equal(chown(keytab, 0, 0), 0);
	}
	assert_int_equal(unlink(keytab), 0);
	assert_int_equal(verify(&f, &v), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "is gone"));
	forge_keytab(&f, keytab);
	good(&f, "alice@CARDMAP.TEST");
}

static void *
verify_often(void *arg)
{
	struct cm_buf request = { 0 };
	struct forge f;
	size_t *right = arg;

	forge_defaults(&f, nonce, now);
	make(&f, &request);
	for (unsigned i = 0; i < 50; i++) {
		struct cm_vouched v;

		*right += cm_hostcheck_verify(h, cm_buf_blob(&request), nonce, now, NULL, &v) == CM_OK &&
		    strcmp(v.principal, "alice@CARDMAP.TEST") == 0;
		cm_vouched_clear(&v);
		*right += cm_hostcheck_verify(h, cm_buf_blob(&request), other, now, NULL, &v) == CM_ERR_REFUSED;
	}
	cm_buf_free(&request);
	return NULL;
}

static void
test_threads(void **state)
{
	pthread_t threads[4];
	size_t right[4] = { 0 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, verify_often, &right[i]), 0);
	for (size_t i = 0; i < CM_COUNT(threads); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(right[i], 100);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_nonce),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_ticket_of_others),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_renewed_key),
		cmocka_unit_test(test_keytab_taken_over),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("krb5.hostcheck_forged", tests, setup, teardown);
}
