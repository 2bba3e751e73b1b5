/* tests/trust/test_judge_kept.c - what is known of a certificate, judged by who parses nothing: the same table, and no other's evidence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "trust/trust.h"

#define NOW	((time_t)1800000000)
#define HOUR	3600

static struct cm_evidence
evidence(uint8_t n, enum cm_status status)
{
	struct cm_evidence e = { .serial = { 7, n }, .serial_len = 2, .status = status, .this_update = NOW - HOUR,
		.next_update = NOW + HOUR, .learned = NOW - 60, .confirmed = NOW - 60, .source = "OCSP http://x" };

	memset(e.issuer_key, n, sizeof(e.issuer_key));
	return e;
}

static void
make_link(uint8_t link[34], uint8_t n)
{
	memset(link, n, 32);
	link[32] = 7;
	link[33] = n;
}

enum what { NOTHING, GOOD, REVOKED, HELD, GOOD_OF_ANOTHER, GOOD_OF_A_SIBLING, ENDED, UNDATED, OLD, AHEAD, BAD_CLOCK, GOOD_AND_REVOKED };

static const struct {
	enum what what;
	struct cm_trust_policy policy;
	enum cm_err err;
	enum cm_reason reason;
} rows[] = {
	{ NOTHING, { CM_TRUST_SOFT, 0 }, CM_OK, CM_REASON_NONE },
	{ NOTHING, { CM_TRUST_SOFT, HOUR }, CM_ERR_REFUSED, CM_REASON_REVOCATION_UNKNOWN },
	{ NOTHING, { CM_TRUST_HARD, 0 }, CM_ERR_REFUSED, CM_REASON_REVOCATION_UNKNOWN },
	{ NOTHING, { CM_TRUST_CHAIN, 0 }, CM_OK, CM_REASON_NONE },
	{ GOOD, { CM_TRUST_HARD, 0 }, CM_OK, CM_REASON_NONE },
	{ GOOD, { CM_TRUST_HARD, HOUR }, CM_OK, CM_REASON_NONE },
	{ GOOD, { CM_TRUST_HARD, 30 }, CM_ERR_REFUSED, CM_REASON_REVOCATION_TOO_OLD },
	{ GOOD_OF_ANOTHER, { CM_TRUST_HARD, 0 }, CM_ERR_REFUSED, CM_REASON_REVOCATION_UNKNOWN },
	{ GOOD_OF_A_SIBLING, { CM_TRUST_HARD, 0 }, CM_ERR_REFUSED, CM_REASON_REVOCATION_UNKNOWN },
	{ REVOKED, { CM_TRUST_CHAIN, 0 }, CM_OK, CM_REASON_NONE },
	{ REVOKED, { CM_TRUST_SOFT, 0 }, CM_ERR_REFUSED, CM_REASON_REVOKED },
	{ HELD, { CM_TRUST_SOFT, 0 }, CM_ERR_REFUSED, CM_REASON_REVOKED },
	{ GOOD_AND_REVOKED, { CM_TRUST_SOFT, 0 }, CM_ERR_REFUSED, CM_REASON_REVOKED },
	{ ENDED, { CM_TRUST_HARD, 0 }, CM_ERR_REFUSED, CM_REASON_REVOCATION_UNKNOWN },
	{ ENDED, { CM_TRUST_SOFT, 0 }, CM_OK, CM_REASON_NONE },
	{ UNDATED, { CM_TRUST_HARD, 0 }, CM_OK, CM_REASON_NONE },
	{ OLD, { CM_TRUST_HARD, 5 * HOUR }, CM_ERR_REFUSED, CM_REASON_REVOCATION_TOO_OLD },
	{ AHEAD, { CM_TRUST_HARD, 0 }, CM_ERR_REFUSED, CM_REASON_REVOCATION_UNKNOWN },
	{ BAD_CLOCK, { CM_TRUST_HARD, 0 }, CM_ERR_REFUSED, CM_REASON_REVOCATION_UNKNOWN },
};

static size_t
fill(enum what what, struct cm_evidence e[2], struct cm_known *k)
{
	e[0] = evidence(what == GOOD_OF_ANOTHER ? 2 : 1, what == REVOKED || what == HELD ? CM_STATUS_REVOKED : CM_STATUS_GOOD);
	e[0].on_hold = what == HELD;
	e[1] = evidence(1, CM_STATUS_REVOKED);
	if (what == GOOD_OF_ANOTHER)
		e[0].serial[1] = 1;	/* the same number, of another CA */
	else if (what == GOOD_OF_A_SIBLING)
		e[0].serial[1] = 2;
	else if (what == ENDED)
		e[0].next_update = NOW - 600;
	else if (what == UNDATED) {
		e[0].next_update = 0;
		e[0].this_update = NOW - HOUR / 2;
	} else if (what == OLD)
		e[0].confirmed = e[0].learned = e[0].this_update = NOW - 10 * HOUR;
	else if (what == AHEAD)
		e[0].this_update = NOW + HOUR / 2;
	k->stale_clock = what == BAD_CLOCK;
	return what == NOTHING ? 0 : what == GOOD_AND_REVOKED ? 2 : 1;
}

static void
test_table(void **state)
{
	uint8_t link[34];

	(void)state;
	make_link(link, 1);
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_evidence e[2];
		struct cm_known known = { .evidence = e, .now = NOW };
		const struct cm_trust_kept k = { .known = &known, .link = { link, sizeof(link) }, .who = "the card's certificate",
			.policy = rows[i].policy };
		struct cm_trace *t = NULL;
		enum cm_err err;

		known.count = fill(rows[i].what, e, &known);
		assert_int_equal(cm_trace_new(&t), CM_OK);
		cm_trace_begin(t, "admit");
		err = cm_trust_judge_kept(&k, t);
		if (err != rows[i].err || cm_trace_reason(t) != rows[i].reason)
			fail_msg("row %zu: %s, %s: %s", i, cm_err_name(err), cm_reason_name(cm_trace_reason(t)), cm_trace_message(t));
		assert_true(err == CM_OK || strstr(cm_trace_message(t), "the card's certificate") != NULL);
		cm_trace_free(&t);
	}
}

/* What a responder has said just now is not made older by a clock that cannot be relied on; what was kept is. */
static void
test_said_now(void **state)
{
	struct cm_evidence e = evidence(1, CM_STATUS_GOOD);
	const struct cm_known known = { .evidence = &e, .count = 1, .now = NOW, .stale_clock = true };
	struct cm_trust_kept k = { .known = &known, .who = "it", .policy = { CM_TRUST_HARD, 0 }, .said_since = NOW - 120 };
	uint8_t link[34];

	(void)state;
	make_link(link, 1);
	k.link = (struct cm_blob){ link, sizeof(link) };
	assert_int_equal(cm_trust_judge_kept(&k, NULL), CM_OK);
	k.said_since = NOW - 30;
	assert_int_equal(cm_trust_judge_kept(&k, NULL), CM_ERR_REFUSED);
	k.said_since = 0;
	assert_int_equal(cm_trust_judge_kept(&k, NULL), CM_ERR_REFUSED);
	/* no name is nobody's */
	k.said_since = NOW - 120;
	k.link.len = 32;
	assert_int_equal(cm_trust_judge_kept(&k, NULL), CM_ERR_REFUSED);
	k.link = (struct cm_blob){ NULL, 0 };
	assert_int_equal(cm_trust_judge_kept(&k, NULL), CM_ERR_REFUSED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_said_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
