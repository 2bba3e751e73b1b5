/* tests/trust/test_ocsp_kept.c - OCSP answers from login to login: asked once, kept, asked again in time, never forgiven. */
#include <openssl/ocsp.h>
#include <stdio.h>
#include <string.h>

#include "tests/trust/web.h"

#define GOOD	V_OCSP_CERTSTATUS_GOOD
#define REVOKED	V_OCSP_CERTSTATUS_REVOKED
#define HOLD	OCSP_REVOKED_STATUS_CERTIFICATEHOLD
#define STOLEN	OCSP_REVOKED_STATUS_KEYCOMPROMISE
#define MIN	60
#define HOUR	3600

/* A store, as far as one card and its responders go. */
struct kept {
	struct cm_evidence e[4];
	size_t count;
	struct cm_source sources[4];
	size_t source_count;
};

static enum cm_err
find(void *arg, struct cm_evidence *e)
{
	const struct kept *k = arg;

	for (size_t i = 0; i < k->count; i++)
		if (k->e[i].serial_len == e->serial_len && memcmp(k->e[i].serial, e->serial, e->serial_len) == 0) {
			*e = k->e[i];
			return CM_OK;
		}
	return CM_ERR_ABSENT;
}

static enum cm_err
keep(void *arg, const struct cm_evidence *e)
{
	struct kept *k = arg;
	size_t i = 0;

	while (i < k->count && (k->e[i].serial_len != e->serial_len ||
	    memcmp(k->e[i].serial, e->serial, e->serial_len) != 0))
		i++;
	if (i == CM_COUNT(k->e))
		return CM_ERR_NOMEM;
	/* As the store of this host has it: only the end of a hold, or what makes it final, takes the place of "revoked". */
	if (i < k->count && k->e[i].status == CM_STATUS_REVOKED && !cm_evidence_ends_hold(&k->e[i], e) &&
	    !(k->e[i].on_hold && e->status == CM_STATUS_REVOKED))
		return CM_OK;
	k->count += i == k->count;
	k->e[i] = *e;
	return CM_OK;
}

static enum cm_err
keep_source(void *arg, const struct cm_source *s, struct cm_blob issuer)
{
	struct kept *k = arg;
	size_t i = 0;

	(void)issuer;
	while (i < k->source_count && strcmp(k->sources[i].url, s->url) != 0)
		i++;
	if (i == CM_COUNT(k->sources))
		return CM_ERR_NOMEM;
	k->source_count += i == k->source_count;
	k->sources[i] = *s;
	return CM_OK;
}

static const char *
why(void *arg)
{
	(void)arg;
	return "";
}

/* The issuing CA is the anchor, so that alice-p256 is all there is to ask about. */
static const char *const anchor[] = { PKI("inter.crt"), NULL };

/* A login with what is kept, so many seconds from now. */
struct login {
	struct kept *kept;
	const char *const *urls, *const *crls;
	enum cm_trust_level level;
	int64_t max_age, undated_max;
	long at;
	time_t floor;
	bool get, offline;
	unsigned ms;		/* 0: more than it takes */
};

static struct outcome
login(const struct login *l)
{
	const struct cm_keeper keeper = { .arg = l->kept, .find = find, .keep = keep, .keep_source = keep_source, .why = why };
	const struct kept before = *l->kept;
	const struct cm_known known = { .now = time(NULL) + l->at, .floor = l->floor, .keeper = &keeper, .offline = l->offline,
	    .evidence = before.e, .count = before.count, .sources = before.sources, .source_count = before.source_count };
	const struct cm_trust_options o = { .level = l->level != 0 ? l->level : CM_TRUST_HARD, .max_age = l->max_age,
	    .undated_max = l->undated_max, .anchors = anchor, .ocsp_urls = l->urls, .crls = l->crls, .use_ocsp = true,
	    .use_crl = l->crls != NULL, .ocsp_get = l->get, .ocsp_max = 65536, .crl_max = 1 << 20 };
	struct cm_cert *c = load_cert("alice-p256");
	const struct outcome r = judge(c, &o, &known, l->ms != 0 ? l->ms : 5000);

	cm_cert_free(&c);
	return r;
}

static void
expect(const struct outcome *r, enum cm_reason reason, struct web *w, unsigned asked)
{
	if (r->reason != reason)
		print_error("%s\n%s\n%s\n", r->message, r->ocsp, r->kept);
	assert_int_equal(r->reason, reason);
	assert_int_equal(atomic_load(&w->asked), asked);
}

/* Asked once; then the answer is used until its nextUpdate, and then asked for again. */
static void
used_until_its_end(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = { .from = -MIN, .to = HOUR } };
	const char *urls[] = { w.url, NULL };
	struct kept k = { 0 };
	struct login l = { .kept = &k, .urls = urls };
	struct outcome r;

	(void)state;
	web_start(&w);
	r = login(&l);
	expect(&r, CM_REASON_NONE, &w, 1);
	assert_int_equal(k.count, 1);
	assert_int_equal(k.e[0].status, CM_STATUS_GOOD);
	assert_int_equal(k.e[0].ask_after, 0);
	assert_int_equal(k.e[0].confirmed, k.e[0].learned);
	assert_has(k.e[0].source, w.url);
	assert_has(k.e[0].signer, "CN=Cardmap Test OCSP");
	for (l.at = 0; l.at < HOUR; l.at += 20 * MIN - 10) {
		r = login(&l);
		expect(&r, CM_REASON_NONE, &w, 1);
		assert_int_equal(r.signed_time, 0);	/* nothing signed came now */
	}
	l.at = HOUR + MIN;
	w.answer.to = 2 * HOUR;
	r = login(&l);
	expect(&r, CM_REASON_NONE, &w, 2);
	assert_int_equal(k.count, 1);
	assert_true(k.e[0].next_update > time(NULL) + HOUR);
	web_stop(&w);
}

/* Cache-Control says when to ask again; what is kept is still good then, and counts when nobody answers. */
static void
asked_again_when_the_responder_says(void **state)
{
	static const struct row {
		const char *head;
		long after;		/* seconds after which it is asked again; -1: at its nextUpdate */
	} rows[] = {
		{ "Cache-Control: max-age=600\r\n", 600 },
		{ "Cache-Control: public, max-age=600, must-revalidate\r\n", 600 },
		{ "Cache-Control: max-age=600\r\nAge: 500\r\n", 100 },
		{ "Cache-Control: max-age=600\r\nAge: 900\r\n", 0 },
		{ "Cache-Control: max-age=0\r\n", 0 },
		{ "Cache-Control: no-store\r\n", 0 },
		{ "Cache-Control: no-cache\r\n", 0 },
		{ "Cache-Control: max-age=86400\r\n", -1 },
		{ "Cache-Control: private\r\n", -1 },
		{ "Cache-Control: max-age=x\r\n", 0 },	/* RFC 9111 section 4.2.1: invalid is stale */
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct web w = { .mode = WEB_OCSP, .answer = { .to = HOUR }, .head = rows[i].head };
		const char *urls[] = { w.url, NULL };
		struct kept k = { 0 };
		struct login l = { .kept = &k, .urls = urls };
		struct outcome r;

		web_start(&w);
		r = login(&l);
		expect(&r, CM_REASON_NONE, &w, 1);
		if ((rows[i].after < 0) != (k.e[0].ask_after == 0))
			print_error("%s", rows[i].head);
		if (rows[i].after < 0)
			assert_int_equal(k.e[0].ask_after, 0);
		else
			assert_int_equal(k.e[0].ask_after - k.e[0].learned, rows[i].after);
		if (rows[i].after != 0) {
			l.at = rows[i].after < 0 ? HOUR - MIN : rows[i].after - 20;
			r = login(&l);
			expect(&r, CM_REASON_NONE, &w, 1);
		}
		if (rows[i].after >= 0) {
			l.at = rows[i].after + 20;
			r = login(&l);
			expect(&r, CM_REASON_NONE, &w, 2);
			w.mode = WEB_STATUS;
			w.status = 503;
			l.at = 2 * rows[i].after + 60;
			r = login(&l);
			expect(&r, CM_REASON_NONE, &w, 3);
			assert_int_equal(r.status, CM_STATUS_GOOD);
		}
		web_stop(&w);
	}
}

/* An answer that names no end is asked for at each login, and counts for trust.undated_max when nobody answers. */
static void
undated(void **state)
{
	static const struct {
		int64_t max;
		long at;
		enum cm_reason reason;
	} rows[] = {
		{ 0, HOUR - MIN, CM_REASON_NONE }, { 0, HOUR + MIN, CM_REASON_REVOCATION_UNKNOWN },
		{ DAY, DAY - MIN, CM_REASON_NONE }, { DAY, DAY + MIN, CM_REASON_REVOCATION_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct web w = { .mode = WEB_OCSP };
		const char *urls[] = { w.url, NULL };
		struct kept k = { 0 };
		struct login l = { .kept = &k, .urls = urls, .undated_max = rows[i].max };
		struct outcome r;

		web_start(&w);
		for (unsigned n = 1; n <= 3; n++) {
			r = login(&l);
			expect(&r, CM_REASON_NONE, &w, n);
		}
		w.mode = WEB_CLOSE;
		l.at = rows[i].at;
		r = login(&l);
		expect(&r, rows[i].reason, &w, 4);
		web_stop(&w);
	}
}

/* A responder that goes silent: what is kept counts as long as it does, at each level. */
static void
silent_and_kept(void **state)
{
	static const struct row {
		enum cm_trust_level level;
		int64_t max_age;
		long at;
		enum cm_reason reason;
		enum cm_status status;
	} rows[] = {
		{ CM_TRUST_HARD, 0, HOUR - MIN, CM_REASON_NONE, CM_STATUS_GOOD },
		{ CM_TRUST_HARD, 0, HOUR + MIN, CM_REASON_REVOCATION_UNKNOWN, CM_STATUS_UNKNOWN },
		{ CM_TRUST_HARD, 600, 500, CM_REASON_NONE, CM_STATUS_GOOD },
		{ CM_TRUST_HARD, 600, 700, CM_REASON_REVOCATION_TOO_OLD, CM_STATUS_UNKNOWN },
		{ CM_TRUST_SOFT, 0, HOUR + MIN, CM_REASON_NONE, CM_STATUS_UNKNOWN },
		{ CM_TRUST_SOFT, DAY, 2 * HOUR, CM_REASON_NONE, CM_STATUS_GOOD },
		{ CM_TRUST_SOFT, DAY, DAY + MIN, CM_REASON_REVOCATION_TOO_OLD, CM_STATUS_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		for (int offline = 0; offline < 2; offline++) {
			struct web w = { .mode = WEB_OCSP, .answer = { .to = HOUR } };
			const char *urls[] = { w.url, NULL };
			struct kept k = { 0 };
			struct login l = { .kept = &k, .urls = urls, .level = rows[i].level, .max_age = rows[i].max_age };
			struct outcome r;

			web_start(&w);
			r = login(&l);
			expect(&r, CM_REASON_NONE, &w, 1);
			w.mode = WEB_SILENT;
			l.at = rows[i].at;
			l.offline = offline;
			l.ms = 300;		/* nobody answers in more either */
			r = login(&l);
			if (r.reason != rows[i].reason)
				print_error("row %zu, %s: %s\n", i, offline ? "offline" : "online", r.message);
			assert_int_equal(r.reason, rows[i].reason);
			if (r.reason == CM_REASON_NONE)
				assert_int_equal(r.status, rows[i].status);
			else
				assert_has(r.message, w.url);	/* what was kept is named */
			assert_true(!offline || atomic_load(&w.asked) == 1);
			web_stop(&w);
		}
}

/* Revoked once: whatever the responder says later, whatever the clock says, and nobody is asked. */
static void
attack_revoked_is_forgiven(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = { .status = REVOKED, .reason = STOLEN, .to = HOUR } };
	static const long at[] = { 0, 2 * HOUR, 300L * DAY, -DAY, -365L * DAY };
	const char *urls[] = { w.url, NULL };
	struct kept k = { 0 };
	struct login l = { .kept = &k, .urls = urls, .level = CM_TRUST_SOFT };
	struct outcome r;

	(void)state;
	web_start(&w);
	r = login(&l);
	expect(&r, CM_REASON_REVOKED, &w, 1);
	assert_int_equal(k.count, 1);
	assert_int_equal(k.e[0].status, CM_STATUS_REVOKED);
	assert_false(k.e[0].on_hold);
	w.answer.status = GOOD;
	for (size_t i = 0; i < CM_COUNT(at); i++)
		for (int offline = 0; offline < 2; offline++) {
			l.at = at[i];
			l.offline = offline;
			l.floor = k.e[0].this_update;
			r = login(&l);
			expect(&r, CM_REASON_REVOKED, &w, 1);
			assert_has(r.message, w.url);
			assert_int_equal(k.e[0].status, CM_STATUS_REVOKED);
		}
	web_stop(&w);
}

/* Nor by a later list of its CA that does not name it: only a hold ends so. */
static void
attack_a_later_list_forgives(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = { .status = REVOKED, .reason = STOLEN, .from = -HOUR, .to = HOUR } };
	const struct crl_recipe recipe = { .issuer = "inter", .names = "alice-p256", .reason = NO_ENTRY, .from = -MIN, .to = DAY };
	const char *const crls[] = { scratch("forgives.crl"), NULL }, *urls[] = { w.url, NULL };
	const struct cm_evidence listed = { .status = CM_STATUS_GOOD, .by_list = true, .this_update = time(NULL) };
	struct kept k = { 0 };
	struct login l = { .kept = &k, .urls = urls, .level = CM_TRUST_SOFT };
	struct outcome r;
	int len;
	uint8_t *der = make_crl(&recipe, &len);

	(void)state;
	write_bytes(crls[0], der, (size_t)len);
	OPENSSL_free(der);
	web_start(&w);
	r = login(&l);
	expect(&r, CM_REASON_REVOKED, &w, 1);
	assert_false(cm_evidence_ends_hold(&k.e[0], &listed));
	l.crls = crls;
	for (int offline = 0; offline < 2; offline++) {
		l.offline = offline;
		r = login(&l);
		expect(&r, CM_REASON_REVOKED, &w, 1);
	}
	web_stop(&w);
}

/* On hold: asked again each time, and neither "good" nor time ends it, but a later list; or it becomes final. */
static void
hold_ends_by_a_later_list(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = { .status = REVOKED, .reason = HOLD, .from = -HOUR, .to = HOUR } };
	const char *const crls[] = { scratch("later.crl"), NULL }, *urls[] = { w.url, NULL };
	struct crl_recipe recipe = { .issuer = "inter", .names = "alice-p256", .reason = NO_ENTRY, .from = -2 * HOUR, .to = DAY };
	struct kept k = { 0 };
	struct login l = { .kept = &k, .urls = urls };
	struct outcome r;

	(void)state;
	web_start(&w);
	r = login(&l);
	expect(&r, CM_REASON_REVOKED, &w, 1);
	assert_true(k.count == 1 && k.e[0].on_hold);
	w.answer.status = GOOD;
	w.answer.from = -MIN;
	r = login(&l);
	assert_int_equal(r.reason, CM_REASON_REVOKED);
	assert_true(k.e[0].on_hold);
	l.offline = true;
	l.at = 30 * MIN;
	r = login(&l);
	assert_int_equal(r.reason, CM_REASON_REVOKED);
	l.offline = false;
	l.at = 0;
	l.crls = crls;
	for (int later = 0; later < 2; later++) {
		int len;
		uint8_t *der;

		recipe.from = later ? -HOUR + MIN : -2 * HOUR;
		der = make_crl(&recipe, &len);
		write_bytes(crls[0], der, (size_t)len);
		OPENSSL_free(der);
		r = login(&l);
		if (r.reason != (later ? CM_REASON_NONE : CM_REASON_REVOKED))
			print_error("%s %s\n", r.message, r.crl);
		assert_int_equal(r.reason, later ? CM_REASON_NONE : CM_REASON_REVOKED);
	}
	web_stop(&w);
}

static void
a_hold_becomes_final(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = { .status = REVOKED, .reason = HOLD, .from = -HOUR, .to = HOUR } };
	const char *urls[] = { w.url, NULL };
	struct kept k = { 0 };
	struct login l = { .kept = &k, .urls = urls };
	struct outcome r;

	(void)state;
	web_start(&w);
	r = login(&l);
	expect(&r, CM_REASON_REVOKED, &w, 1);
	assert_true(k.e[0].on_hold);
	w.answer.reason = STOLEN;
	w.answer.from = -MIN;
	r = login(&l);
	expect(&r, CM_REASON_REVOKED, &w, 2);
	assert_false(k.e[0].on_hold);
	r = login(&l);
	expect(&r, CM_REASON_REVOKED, &w, 2);
	web_stop(&w);
}

/* What the CA does not know is refused, said so, and looked at again: a responder may be behind its CA. */
static void
never_issued(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = { .status = REVOKED, .reason = HOLD, .never_issued = true, .to = HOUR,
	    .extension = "1.3.6.1.5.5.7.48.1.9=ASN1:NULL" } };
	const char *urls[] = { w.url, NULL };
	struct kept k = { 0 };
	struct login l = { .kept = &k, .urls = urls, .level = CM_TRUST_SOFT };
	struct outcome r;

	(void)state;
	web_start(&w);
	r = login(&l);
	expect(&r, CM_REASON_REVOKED, &w, 1);
	assert_has(r.message, "never issued");
	assert_null(strstr(r.message, "1970"));
	assert_has(r.ocsp, "never issued");
	assert_null(strstr(r.ocsp, "1970"));
	r = login(&l);
	expect(&r, CM_REASON_REVOKED, &w, 2);
	assert_has(r.message, "never issued");
	web_stop(&w);
}

/* By GET, where a cache answers with what others asked for. */
static void
by_get(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = { .nonce = NONCE_OTHER, .to = HOUR } };
	const char *urls[] = { w.url, NULL };
	struct kept k = { 0 };
	struct login l = { .kept = &k, .urls = urls, .get = true };
	struct outcome r;

	(void)state;
	web_start(&w);
	r = login(&l);
	expect(&r, CM_REASON_NONE, &w, 1);
	assert_memory_equal(w.request, "GET /M", 6);	/* base64 of a SEQUENCE */
	assert_has(k.e[0].source, w.url);
	assert_null(strstr(k.e[0].source, "/M"));	/* whom, not what */
	r = login(&l);
	expect(&r, CM_REASON_NONE, &w, 1);
	memset(&k, 0, sizeof(k));
	l.get = false;
	r = login(&l);
	expect(&r, CM_REASON_REVOCATION_UNKNOWN, &w, 2);
	assert_has(r.ocsp, "[other_nonce]");
	web_stop(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(used_until_its_end),
		cmocka_unit_test(asked_again_when_the_responder_says),
		cmocka_unit_test(undated),
		cmocka_unit_test(silent_and_kept),
		cmocka_unit_test(attack_revoked_is_forgiven),
		cmocka_unit_test(attack_a_later_list_forgives),
		cmocka_unit_test(hold_ends_by_a_later_list),
		cmocka_unit_test(a_hold_becomes_final),
		cmocka_unit_test(never_issued),
		cmocka_unit_test(by_get),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
