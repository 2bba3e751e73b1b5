/* tests/cache/test_sources.c - whom this host asks, and for which CA, comes back as it was kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "store_rig.h"

static enum cm_err
keep(struct rig *r, const struct cm_source *s, struct cm_blob issuer)
{
	enum cm_err err;

	assert_int_equal(cm_store_begin(r->store, r->trace), CM_OK);
	err = cm_source_keep(r->store, s, issuer, r->trace);
	return cm_store_end(r->store, err, r->trace);
}

static void
expire(struct rig *r, time_t now)
{
	assert_int_equal(cm_source_expire(r->store, now, r->trace), CM_OK);
}

static size_t
count(struct rig *r)
{
	struct cm_memory *m = NULL;
	size_t n;

	assert_int_equal(cm_accounts_recall(rig_asked(r), NOW, r->trace, &m), CM_OK);
	n = m->known.source_count;
	cm_memory_free(&m);
	return n;
}

static void
expect_same(const struct cm_source *a, const struct cm_source *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_memory_equal(a->issuer_key, b->issuer_key, 32);
	assert_string_equal(a->url, b->url);
	assert_int_equal(a->seen, b->seen);
	assert_int_equal(a->asked, b->asked);
	assert_int_equal(a->answered, b->answered);
	assert_int_equal(a->probe_at, b->probe_at);
	assert_int_equal(a->failures, b->failures);
	assert_string_equal(a->why, b->why);
}

struct seen {
	struct cm_source sources[8];
	uint8_t issuer[8];	/* the last octet of each one's certificate */
	size_t count;
	enum cm_err answer;
};

static enum cm_err
visit(void *arg, struct cm_blob issuer, const struct cm_source *s)
{
	struct seen *seen = arg;

	assert_true(seen->count < CM_COUNT(seen->sources) && issuer.len > 0);
	seen->issuer[seen->count] = issuer.ptr[issuer.len - 1];
	seen->sources[seen->count++] = *s;
	return seen->answer;
}

static void
comes_back_as_it_was(void **state)
{
	struct rig *r = *state;
	const struct cm_blob der = cm_cert_der(r->other);
	struct cm_source s[3] = { rig_source(r, CM_SOURCE_OCSP, "http://ocsp.test/"),
		rig_source(r, CM_SOURCE_CRL, "ldap:///CN=x?certificateRevocationList?base"),
		rig_source(r, CM_SOURCE_DELTA, "http://ocsp.test/") };
	struct seen seen = { .count = 0 };

	memset(s[2].url, 'u', sizeof(s[2].url) - 1);	/* as long as one may be */
	memset(s[2].why, 'w', sizeof(s[2].why) - 1);
	s[2].failures = UINT32_MAX;
	for (size_t i = 0; i < CM_COUNT(s); i++)
		assert_int_equal(keep(r, &s[i], der), CM_OK);
	rig_reopen(r);
	assert_int_equal(count(r), 3);
	assert_int_equal(cm_accounts_each_source(r->store, r->trace, visit, &seen), CM_OK);
	assert_int_equal(seen.count, 3);
	for (size_t i = 0; i < CM_COUNT(s); i++) {
		expect_same(&seen.sources[i], &s[i]);
		assert_int_equal(seen.issuer[i], der.ptr[der.len - 1]);
	}
	/* what is kept again replaces what was, and an answer ends the visits */
	s[1].failures = 0;
	s[1].probe_at = 0;
	s[1].why[0] = '\0';
	assert_int_equal(cm_source_is_kept(r->store, &s[1], der, r->trace), CM_ERR_ABSENT);
	assert_int_equal(keep(r, &s[1], der), CM_OK);
	assert_int_equal(cm_source_is_kept(r->store, &s[1], der, r->trace), CM_OK);
	seen = (struct seen){ .answer = CM_ERR_USAGE };
	assert_int_equal(cm_accounts_each_source(r->store, r->trace, visit, &seen), CM_ERR_USAGE);
	assert_int_equal(seen.count, 1);
	assert_int_equal(count(r), 3);
}

/* An issuer is a CA's certificate with the key that the source is kept for, and no other. */
static void
attack_certificate_of_another_key(void **state)
{
	struct rig *r = *state;
	struct cm_source s = rig_source(r, CM_SOURCE_OCSP, "http://ocsp.test/");

	assert_int_equal(keep(r, &s, cm_cert_der(r->cert)), CM_ERR_STATE);
	assert_int_equal(keep(r, &s, cm_blob_str("no certificate")), CM_ERR_STATE);
	assert_int_equal(keep(r, &s, (struct cm_blob){ NULL, 0 }), CM_ERR_STATE);
	assert_int_equal(count(r), 0);
}

static void
unseen_ones_go(void **state)
{
	struct rig *r = *state;
	const struct cm_blob der = cm_cert_der(r->other);
	struct cm_source named = rig_source(r, CM_SOURCE_OCSP, "http://a/"), asked = rig_source(r, CM_SOURCE_CRL, "http://b/"),
	    answered = rig_source(r, CM_SOURCE_CRL, "http://c/"), gone = rig_source(r, CM_SOURCE_CRL, "http://d/");
	struct seen seen = { .count = 0 };
	sqlite3_stmt *q = NULL;

	named.seen = asked.asked = answered.answered = NOW - 89 * DAY;
	named.asked = named.answered = asked.seen = asked.answered = answered.seen = answered.asked = NOW - 200 * DAY;
	gone.seen = gone.asked = gone.answered = NOW - 91 * DAY;
	assert_int_equal(keep(r, &named, der), CM_OK);
	assert_int_equal(keep(r, &asked, der), CM_OK);
	assert_int_equal(keep(r, &answered, der), CM_OK);
	assert_int_equal(keep(r, &gone, der), CM_OK);
	/* with a login, too */
	rig_keep_evidence(r, NULL, 0, NOW);
	assert_int_equal(cm_accounts_each_source(r->store, r->trace, visit, &seen), CM_OK);
	assert_int_equal(seen.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_not_equal(seen.sources[i].url, "http://d/");
	expire(r, NOW + 2 * DAY);
	assert_int_equal(count(r), 0);
	/* and the certificate of a CA that nobody speaks for any more */
	assert_int_equal(keep(r, &named, der), CM_OK);
	rig_sql(r, "DELETE FROM source");
	expire(r, NOW);
	assert_int_equal(cm_store_prepare(r->store, "SELECT * FROM issuer", NULL, 0, r->trace, &q), CM_OK);
	assert_int_equal(cm_store_step(r->store, q, r->trace), CM_ERR_ABSENT);
	sqlite3_finalize(q);
}

/* A damaged row is a hint less, and keeps nobody out. */
static void
damaged_rows_are_left_out(void **state)
{
	static const char *const damages[] = {
		"UPDATE source SET kind = 7 WHERE kind = 0", "UPDATE source SET url = 'http://evil/' WHERE kind = 0",
		"UPDATE source SET probe_at = 0 WHERE kind = 0", "UPDATE source SET why = 'a' || char(0) || 'b' WHERE kind = 0",
		"UPDATE source SET failures = -1 WHERE kind = 0", "UPDATE source SET issuer_key = x'00' WHERE kind = 0",
		"UPDATE source SET digest = x'' WHERE kind = 0",
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(damages); i++) {
		struct cm_source a, b;
		struct rig *r;
		void *own = NULL;

		rig_open(&own);
		r = own;
		a = rig_source(r, CM_SOURCE_OCSP, "http://a/");
		b = rig_source(r, CM_SOURCE_CRL, "http://b/");
		assert_int_equal(keep(r, &a, cm_cert_der(r->other)), CM_OK);
		assert_int_equal(keep(r, &b, cm_cert_der(r->other)), CM_OK);
		rig_sql(r, damages[i]);
		if (count(r) != 1)
			fail_msg("not noticed: %s", damages[i]);
		if (rig_asked(r) == r->store)	/* whoever serves it tells no hints */
			assert_non_null(strstr(cm_trace_find(r->trace, "warning"), "an address of a server is damaged"));
		/* and is made anew when it is named again */
		assert_int_equal(cm_source_is_kept(r->store, &a, cm_cert_der(r->other), r->trace), CM_ERR_ABSENT);
		assert_int_equal(keep(r, &a, cm_cert_der(r->other)), CM_OK);
		assert_true(count(r) == 2);
		rig_close(&own);
	}
}

static void
damaged_issuer_is_left_out(void **state)
{
	struct rig *r = *state;
	const struct cm_source s = rig_source(r, CM_SOURCE_OCSP, "http://a/");
	struct seen seen = { .count = 0 };

	assert_int_equal(keep(r, &s, cm_cert_der(r->other)), CM_OK);
	rig_sql(r, "UPDATE issuer SET cert = x'30'");
	assert_int_equal(cm_accounts_each_source(r->store, r->trace, visit, &seen), CM_OK);
	assert_int_equal(seen.count, 0);
	assert_non_null(strstr(cm_trace_find(r->trace, "warning"), "http://a/ is left out"));
	assert_int_equal(cm_source_is_kept(r->store, &s, cm_cert_der(r->other), r->trace), CM_ERR_ABSENT);
	assert_int_equal(keep(r, &s, cm_cert_der(r->other)), CM_OK);
	assert_int_equal(cm_accounts_each_source(r->store, r->trace, visit, &seen), CM_OK);
	assert_int_equal(seen.count, 1);
}

/* However many addresses somebody's certificates name: those that were named last stay. */
static void
not_without_end(void **state)
{
	struct rig *r = *state;
	struct cm_memory *m = NULL;
	char url[32];

	assert_int_equal(cm_store_begin(r->store, r->trace), CM_OK);
	for (unsigned i = 0; i < 4100; i++) {
		struct cm_source s;

		snprintf(url, sizeof(url), "http://%u/", i);
		s = rig_source(r, CM_SOURCE_CRL, url);
		s.seen = NOW + i;
		assert_int_equal(cm_source_keep(r->store, &s, cm_cert_der(r->other), r->trace), CM_OK);
	}
	assert_int_equal(cm_store_end(r->store, CM_OK, r->trace), CM_OK);
	expire(r, NOW);
	assert_int_equal(cm_accounts_recall(rig_asked(r), NOW, r->trace, &m), CM_OK);
	assert_int_equal(m->known.source_count, 4096);
	for (size_t i = 0; i < m->known.source_count; i++)
		assert_true(m->known.sources[i].seen >= NOW + 4);
	cm_memory_free(&m);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, rig_open, rig_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(comes_back_as_it_was),
		TEST(attack_certificate_of_another_key),
		TEST(unseen_ones_go),
		cmocka_unit_test(damaged_rows_are_left_out),
		TEST(damaged_issuer_is_left_out),
		TEST(not_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
