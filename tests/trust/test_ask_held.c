/* tests/trust/test_ask_held.c - trust/ask.c: whoever stands still, or was silent for a moment, keeps nobody out. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/trust/web.h"
#include "trust/inquiry_internal.h"

#define CARD	"no-aia-cdp"

static const char *const anchor[] = { PKI("inter.crt"), NULL };
static const struct answer good = { .to = 3600 };

/* A login that asks, and was stopped (SIGSTOP, or ^Z at sudo's prompt) while it did. */
struct stopped {
	struct cm_trust trust;
	struct cm_inquiry inquiry;
	struct cm_asked about;
	struct cm_lane lane;
	char *urls[1];
};

static void
name_card(struct cm_evidence *e)
{
	X509 *card = load_x509(CARD), *issuer = load_x509("inter");

	assert_int_equal(cm_evidence_name(card, issuer, e), CM_OK);
	X509_free(card);
	X509_free(issuer);
}

static void
stop_one(struct stopped *s, const char *folder, enum cm_source_kind kind, char *url)
{
	*s = (struct stopped){ .trust.o = { .crl_dir = folder, .crl_keep = true }, .urls = { url } };
	s->inquiry = (struct cm_inquiry){ .trust = &s->trust, .length = 3000 };
	s->lane = (struct cm_lane){ .kind = kind, .about = &s->about, .urls = s->urls, .url_count = 1, .flight = -1 };
	name_card(&s->about.name);
	assert_int_equal(cm_flight_take(&s->inquiry, &s->lane), CM_FLIGHT_OURS);
}

static struct outcome
enter(const struct cm_trust_options *o, unsigned ms)
{
	const struct cm_known known = { .now = time(NULL) };
	struct cm_cert *c = load_cert(CARD);
	const struct outcome r = judge(c, o, &known, ms);

	cm_cert_free(&c);
	return r;
}

/* Those who came while it asked do so themselves, in time; those who come later wait for it no more. */
static void
attack_who_asks_is_stopped(void **state)
{
	static const int ages[] = { 0, -3600, 3600 };	/* by a clock set since, too */
	struct web w = { .mode = WEB_OCSP, .answer = good };
	const char *urls[] = { w.url, NULL };
	char folder[512];
	struct stopped s;

	(void)state;
	web_start(&w);
	for (size_t i = 0; i < CM_COUNT(ages); i++) {
		const unsigned ms = ages[i] == 0 ? 6000 : 60000;
		const struct timespec when[2] = { { .tv_sec = time(NULL) + ages[i] }, { .tv_sec = time(NULL) + ages[i] } };
		struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = anchor, .ocsp_urls = urls, .use_ocsp = true,
		    .ocsp_max = 65536, .crl_dir = folder, .crl_keep = true };
		struct outcome r;

		snprintf(folder, sizeof(folder), "%s", scratch("held"));
		stop_one(&s, folder, CM_SOURCE_OCSP, w.url);
		if (ages[i] != 0)
			assert_int_equal(futimens(s.lane.flight, when), 0);
		r = enter(&o, ms);
		if (r.err != CM_OK)
			print_error("%d: %s\n", ages[i], r.message);
		assert_int_equal(r.err, CM_OK);
		assert_true(r.ms < (ages[i] == 0 ? 6000 : 20000));
		assert_int_equal(atomic_load(&w.asked), i + 1);
		cm_flight_release(&s.inquiry, &s.lane);
	}
	web_stop(&w);
}

/* The folder of lists is locked by one who stands still: what comes is not kept, and holds up nobody beyond the deadline. */
static void
attack_who_keeps_is_stopped(void **state)
{
	const struct crl_recipe recipe = { .issuer = "inter", .names = CARD, .reason = NO_ENTRY, .from = -60, .to = DAY };
	struct web w = { .mode = WEB_BYTES };
	const char *urls[] = { w.url, NULL };
	char folder[512];
	struct cm_crl_store s;
	struct cm_evidence who;
	struct outcome r;
	uint8_t *list;
	int held, len;

	(void)state;
	snprintf(folder, sizeof(folder), "%s", scratch("locked"));
	name_card(&who);
	cm_crl_store_open(&s, folder, who.issuer_key, true, NULL);
	assert_true((held = cm_crl_store_lock(&s)) >= 0);
	w.bytes = list = make_crl(&recipe, &len);
	w.len = (size_t)len;
	web_start(&w);
	for (int n = 0; n < 2; n++) {
		const unsigned ms = n == 0 ? 3000 : 60000;
		const struct cm_trust_options o = { .level = n == 0 ? CM_TRUST_HARD : CM_TRUST_SOFT, .anchors = anchor, .crls = urls,
		    .use_crl = true, .crl_max = 1 << 20, .crl_dir = folder, .crl_keep = true };

		r = enter(&o, ms);
		assert_int_equal(r.err, CM_OK);
		assert_int_equal(r.status, CM_STATUS_GOOD);
		assert_true(r.ms < 20000);
	}
	web_stop(&w);
	OPENSSL_free(list);
	close(held);
	cm_crl_store_close(&s);
}

/* ---- what is kept */

/* A store that somebody else holds: whoever writes waits until the test lets go. */
struct held_store {
	pthread_mutex_t lock;
};

static enum cm_err
keep_when_let(void *arg, const struct cm_source *s, struct cm_blob issuer)
{
	struct held_store *h = arg;

	(void)s;
	(void)issuer;
	pthread_mutex_lock(&h->lock);
	pthread_mutex_unlock(&h->lock);
	return CM_OK;
}

/* What was not heard in time is named by who is refused for want of it. */
static void
refused_at_the_deadline_says_so(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = good, .gather = 2 };
	const char *urls[] = { w.url, NULL };
	const struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = anchor, .ocsp_urls = urls, .use_ocsp = true,
	    .ocsp_max = 65536 };
	const struct cm_trust_policy policy = { CM_TRUST_HARD, 0 };
	struct held_store held = { PTHREAD_MUTEX_INITIALIZER };
	const struct cm_keeper keeper = { .arg = &held, .keep_source = keep_when_let };
	const struct cm_known known = { .now = time(NULL), .keeper = &keeper };
	struct cm_cert *c = load_cert(CARD);
	struct cm_trust *tr = NULL;
	struct cm_verdict *v = NULL;
	struct cm_inquiry *inquiry = NULL;
	struct cm_trace *t = NULL;

	(void)state;
	web_start(&w);
	pthread_mutex_lock(&held.lock);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "revocation");
	assert_int_equal(cm_trust_open(&o, t, &tr), CM_OK);
	assert_int_equal(cm_trust_check_chain(tr, c, &known, t, &v), CM_OK);
	assert_int_equal(cm_trust_ask_revocation(tr, v, &known, &policy, cm_deadline_in(200), &inquiry), CM_OK);
	assert_int_equal(cm_trust_judge_revocation(inquiry, &policy, t), CM_ERR_REFUSED);
	assert_has(cm_trace_message(t), "at the deadline an answer was still being read");
	pthread_mutex_unlock(&held.lock);
	cm_inquiry_end(&inquiry);
	cm_verdict_free(&v);
	cm_trust_close(&tr);
	cm_trace_free(&t);
	cm_cert_free(&c);
	web_stop(&w);
}

/* ---- sources that were silent */

/* Once, ten seconds ago: a probe is due. */
static struct cm_source
silent_before(const char *url, time_t now)
{
	struct cm_source s = { .kind = CM_SOURCE_OCSP, .seen = now, .asked = now - 10, .probe_at = now - 5, .failures = 1,
	    .why = "HTTP status 503" };
	struct cm_evidence e;

	name_card(&e);
	memcpy(s.issuer_key, e.issuer_key, sizeof(s.issuer_key));
	snprintf(s.url, sizeof(s.url), "%s", url);
	return s;
}

/*
 * Who is refused for want of an answer waits for the probe, for a while: else
 * one bad moment of a responder would shut him out until somebody else's probe.
 * Who is let in without it waits for nobody, whatever others would have to.
 */
static void
a_probe_is_waited_for_by_who_needs_it(void **state)
{
	static const struct row {
		enum web_mode mode;
		struct cm_trust_policy asked, judged;
		unsigned ms;
		bool passes, good;
	} rows[] = {
		{ WEB_OCSP, { CM_TRUST_HARD, 0 }, { CM_TRUST_HARD, 0 }, 60000, true, true },
		{ WEB_OCSP, { CM_TRUST_SOFT, 3600 }, { CM_TRUST_SOFT, 3600 }, 60000, true, true },
		{ WEB_SILENT, { CM_TRUST_HARD, 0 }, { CM_TRUST_HARD, 0 }, 3000, false, false },
		{ WEB_SILENT, { CM_TRUST_SOFT, 0 }, { CM_TRUST_SOFT, 0 }, 600000, true, false },
		{ WEB_SILENT, { CM_TRUST_HARD, 0 }, { CM_TRUST_SOFT, 0 }, 600000, true, false },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct web w = { .mode = rows[i].mode, .answer = good };
		const char *urls[] = { w.url, NULL };
		const struct cm_trust_options o = { .level = rows[i].asked.level, .anchors = anchor, .ocsp_urls = urls,
		    .use_ocsp = true, .ocsp_max = 65536 };
		struct cm_known known = { .now = time(NULL), .source_count = 1 };
		const cm_deadline long_before = cm_deadline_in(60000);
		struct cm_cert *c = load_cert(CARD);
		struct cm_trust *tr = NULL;
		struct cm_verdict *v = NULL;
		struct cm_inquiry *inquiry = NULL;
		struct cm_trace *t = NULL;
		struct cm_source s;

		web_start(&w);
		s = silent_before(w.url, known.now);
		known.sources = &s;
		assert_int_equal(cm_trace_new(&t), CM_OK);
		cm_trace_begin(t, "revocation");
		assert_int_equal(cm_trust_open(&o, t, &tr), CM_OK);
		assert_int_equal(cm_trust_check_chain(tr, c, &known, t, &v), CM_OK);
		assert_int_equal(cm_trust_ask_revocation(tr, v, &known, &rows[i].asked, cm_deadline_in(rows[i].ms), &inquiry), CM_OK);
		if ((cm_trust_judge_revocation(inquiry, &rows[i].judged, t) == CM_OK) != rows[i].passes)
			fail_msg("row %zu: %s", i, cm_trace_message(t));
		cm_inquiry_end(&inquiry);
		assert_int_equal(cm_verdict_status(v) == CM_STATUS_GOOD, rows[i].good);
		/* Who waits for nobody may have ended before it came. */
		assert_in_range(atomic_load(&w.asked), rows[i].good, 1);
		assert_false(cm_deadline_passed(long_before));
		if (!rows[i].passes)
			assert_has(cm_trace_message(t), "known silent since");
		cm_verdict_free(&v);
		cm_trust_close(&tr);
		cm_trace_free(&t);
		cm_cert_free(&c);
		web_stop(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_probe_is_waited_for_by_who_needs_it),
		cmocka_unit_test(refused_at_the_deadline_says_so),
		cmocka_unit_test(attack_who_asks_is_stopped),
		cmocka_unit_test(attack_who_keeps_is_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
