/* tests/trust/test_listed.c - single lists that are kept: what one decides at each level and time, whom it names. */
#include "tests/trust/fixture.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOUR	3600
#define NOW	((time_t)1800000000)

static struct cm_trust *
open_trust(struct cm_trust_options *o)
{
	static const char *const anchors[] = { PKI("root.crt"), NULL }, *const between[] = { PKI("inter.crt"), NULL };
	struct cm_trust *tr = NULL;

	o->level = CM_TRUST_SOFT;
	o->anchors = anchors;
	o->intermediates = between;
	o->use_crl = true;
	assert_int_equal(cm_trust_open(o, NULL, &tr), CM_OK);
	return tr;
}

/* Made at NOW, confirmed then, and good for two days. */
static void
test_levels_and_times(void **state)
{
	static const struct {
		struct cm_trust_policy policy;
		long at;		/* seconds after NOW */
		enum cm_reason reason;	/* NONE: it lets in */
		const char *says;
	} rows[] = {
		{ { CM_TRUST_OFF, 0 }, 90 * DAY, CM_REASON_NONE, "not asked for" },
		{ { CM_TRUST_CHAIN, 0 }, 90 * DAY, CM_REASON_NONE, "not asked for" },
		{ { CM_TRUST_SOFT, 0 }, HOUR, CM_REASON_NONE, "good until" },
		{ { CM_TRUST_SOFT, 0 }, 3 * DAY, CM_REASON_NONE, "unknown" },
		{ { CM_TRUST_SOFT, DAY }, DAY - 1, CM_REASON_NONE, "good until" },
		{ { CM_TRUST_SOFT, DAY }, DAY + 1, CM_REASON_REVOCATION_TOO_OLD, "24 h is allowed" },
		{ { CM_TRUST_SOFT, 3 * DAY }, 2 * DAY + HOUR, CM_REASON_NONE, "ended, and young enough" },
		{ { CM_TRUST_SOFT, 3 * DAY }, 3 * DAY + HOUR, CM_REASON_REVOCATION_TOO_OLD, "3 d 0 h is allowed" },
		{ { CM_TRUST_HARD, 0 }, 2 * DAY - 1, CM_REASON_NONE, "good until" },
		{ { CM_TRUST_HARD, 0 }, 2 * DAY + HOUR, CM_REASON_REVOCATION_UNKNOWN, "number 17 ends 2027-01-17 08:00:00 UTC" },
		{ { CM_TRUST_HARD, DAY }, DAY + 1, CM_REASON_REVOCATION_TOO_OLD, "24 h is allowed" },
		{ { CM_TRUST_HARD, DAY }, 2 * DAY + HOUR, CM_REASON_REVOCATION_UNKNOWN, "ends" },
	};
	const struct cm_kept_list l = { .issuer = "CN=CA", .source = "http://ca/x.crl", .number = "17", .this_update = NOW,
		.next_update = NOW + 2 * DAY, .learned = NOW, .confirmed = NOW };
	struct cm_trust_options o = { 0 };
	struct cm_trust *tr = open_trust(&o);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct cm_known known = { .now = NOW + rows[i].at };
		struct cm_trace *t = NULL;
		enum cm_err err;

		assert_int_equal(cm_trace_new(&t), CM_OK);
		cm_trace_begin(t, "revocation");
		err = cm_trust_judge_list(tr, &l, &rows[i].policy, &known, t);
		if (err != (rows[i].reason == CM_REASON_NONE ? CM_OK : CM_ERR_REFUSED) || cm_trace_reason(t) != rows[i].reason)
			fail_msg("row %zu: %s, %s", i, cm_err_name(err), cm_trace_message(t));
		assert_has(err == CM_OK ? cm_trace_find(t, "status") : cm_trace_message(t), rows[i].says);
		cm_trace_end(t, err);
		cm_trace_free(&t);
	}
	cm_trust_close(&tr);
}

static void
test_a_clock_that_is_behind(void **state)
{
	const struct cm_kept_list l = { .issuer = "CN=CA", .source = "x", .this_update = NOW, .next_update = NOW + DAY,
		.learned = NOW, .confirmed = NOW };
	const struct cm_known known[] = {
		{ .now = NOW + HOUR, .stale_clock = true }, { .now = NOW - HOUR, .floor = NOW }, { .now = NOW - HOUR },
	};
	const struct cm_trust_policy hard = { CM_TRUST_HARD, 0 };
	struct cm_trust_options o = { 0 };
	struct cm_trust *tr = open_trust(&o);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(known); i++)
		assert_int_equal(cm_trust_judge_list(tr, &l, &hard, &known[i], NULL), CM_ERR_REFUSED);
	cm_trust_close(&tr);
}

/* The list of a file, in force in a folder of its own. */
static void
import(struct cm_trust *tr, const struct crl_recipe *r)
{
	const struct cm_known known = { .now = time(NULL) };
	struct cm_trust_import i = { .path = scratch("list.crl") };
	struct cm_buf said = { 0 };
	int len;
	uint8_t *der = make_crl(r, &len);

	write_bytes(i.path, der, (size_t)len);
	assert_int_equal(cm_trust_import(tr, &i, &known, NULL, &said), CM_OK);
	cm_buf_free(&said);
	OPENSSL_free(der);
}

struct key {
	uint8_t of[32];
};

static enum cm_err
take_key(void *arg, const struct cm_trust_issuer *i)
{
	struct key *k = arg;

	if (strstr(i->subject, "Issuing CA") != NULL)
		memcpy(k->of, i->key, sizeof(k->of));
	assert_true(i->signs_lists);
	assert_true(i->der.len > 0);
	return CM_OK;
}

static void
test_whom_a_list_names(void **state)
{
	char folder[512];
	struct cm_trust_options o = { .crl_dir = folder, .crl_keep = true, .crl_max = 1 << 20 };
	struct cm_trust *tr;
	struct cm_cert *alice = load_cert("alice-p256"), *bob = load_cert("bob");
	struct cm_evidence e;
	struct key key = { { 0 } };

	(void)state;
	snprintf(folder, sizeof(folder), "%s", scratch("kept"));
	tr = open_trust(&o);
	assert_int_equal(cm_trust_each_issuer(tr, take_key, &key), CM_OK);
	assert_int_equal(cm_trust_find_listed(tr, key.of, cm_cert_serial(alice), &e, NULL), CM_ERR_ABSENT);
	import(tr, &(struct crl_recipe){ .issuer = "inter", .names = "alice-p256", .reason = KEY_COMPROMISE, .from = -60, .to = DAY });
	assert_int_equal(cm_trust_find_listed(tr, key.of, cm_cert_serial(alice), &e, NULL), CM_OK);
	assert_int_equal(e.status, CM_STATUS_REVOKED);
	assert_false(e.on_hold);
	assert_has(e.source, "list.crl");
	assert_int_equal(cm_trust_find_listed(tr, key.of, cm_cert_serial(bob), &e, NULL), CM_ERR_ABSENT);
	memset(key.of, 0, sizeof(key.of));
	assert_int_equal(cm_trust_find_listed(tr, key.of, cm_cert_serial(alice), &e, NULL), CM_ERR_ABSENT);
	cm_cert_free(&alice);
	cm_cert_free(&bob);
	cm_trust_close(&tr);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels_and_times),
		cmocka_unit_test(test_a_clock_that_is_behind),
		cmocka_unit_test(test_whom_a_list_names),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
