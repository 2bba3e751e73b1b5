/* tests/trust/test_ocsp.c - which OCSP answers are believed.  At level hard only a good one lets pass. */
#include <dlfcn.h>
#include <netdb.h>
#include <openssl/ocsp.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "tests/trust/web.h"

#define GOOD	V_OCSP_CERTSTATUS_GOOD
#define REVOKED	V_OCSP_CERTSTATUS_REVOKED
#define UNKNOWN	V_OCSP_CERTSTATUS_UNKNOWN
#define MIN	60

/* libcurl's name look-ups pass here: one name is never answered. */
static sem_t never;

__attribute__((visibility("default"))) int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = NULL;

	if (node != NULL && strcmp(node, "never.test") == 0) {
		while (sem_wait(&never) != 0)
			continue;
		return EAI_AGAIN;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, out);
}

/* The issuing CA is the anchor, so that alice-p256 is all there is to ask about. */
static const char *const anchor[] = { PKI("inter.crt"), NULL };

static struct cm_trust_options
options(const char *const *urls)
{
	return (struct cm_trust_options){ .level = CM_TRUST_HARD, .anchors = anchor, .ocsp_urls = urls,
	    .use_ocsp = true, .ocsp_max = 65536, .crl_max = 1 << 20 };
}

static struct outcome
ask_with(const struct cm_trust_options *o, const struct cm_known *known, unsigned ms)
{
	struct cm_cert *c = load_cert("alice-p256");
	const struct outcome r = judge(c, o, known, ms);

	cm_cert_free(&c);
	return r;
}

static struct outcome
ask(struct web *w, bool require_nonce)
{
	const struct cm_known known = { .now = time(NULL) };
	const char *urls[] = { NULL, NULL };
	struct cm_trust_options o = options(urls);
	struct outcome r;

	web_start(w);
	urls[0] = w->url;
	o.require_nonce = require_nonce;
	r = ask_with(&o, &known, 5000);
	assert_int_equal(atomic_load(&w->asked), 1);
	web_stop(w);
	return r;
}

static void
answers(void **state)
{
	static const struct row {
		const char *name;
		struct answer a;
		bool require_nonce;
		enum cm_reason reason;
		const char *part;	/* of the trace's line about the responder */
	} rows[] = {
		{ "good", { .to = 60 * MIN }, false, CM_REASON_NONE, ": good, of " },
		{ "good, nonce required", { .to = 60 * MIN }, true, CM_REASON_NONE, ": good, of " },
		{ "signed by the CA itself", { .signer = "inter", .to = 60 * MIN }, false, CM_REASON_NONE, ": good" },
		{ "revoked", { .status = REVOKED, .reason = OCSP_REVOKED_STATUS_KEYCOMPROMISE, .to = 60 * MIN },
		    false, CM_REASON_REVOKED, ": revoked on " },
		{ "on hold", { .status = REVOKED, .reason = OCSP_REVOKED_STATUS_CERTIFICATEHOLD, .to = 60 * MIN },
		    false, CM_REASON_REVOKED, ": revoked on " },
		{ "unknown", { .status = UNKNOWN, .to = 60 * MIN }, false, CM_REASON_REVOCATION_UNKNOWN,
		    "the responder does not know the certificate" },
		{ "try later", { .response_status = OCSP_RESPONSE_STATUS_TRYLATER }, false,
		    CM_REASON_REVOCATION_UNKNOWN, "trylater" },
		{ "clocks differ a little", { .from = 4 * MIN, .to = 60 * MIN }, false, CM_REASON_NONE, ": good" },
		{ "just over", { .from = -60 * MIN, .to = -4 * MIN }, false, CM_REASON_NONE, ": good" },

		{ "attack: missing nonce", { .nonce = NONCE_NONE, .to = 60 * MIN }, false, CM_REASON_NONE,
		    ", without nonce" },
		{ "attack: missing nonce, required", { .nonce = NONCE_NONE, .to = 60 * MIN }, true,
		    CM_REASON_REVOCATION_UNKNOWN, "holds no nonce, and trust.require_nonce is set" },
		{ "attack: replay to another nonce", { .nonce = NONCE_OTHER, .to = 60 * MIN }, false,
		    CM_REASON_REVOCATION_UNKNOWN, "its nonce is not ours" },
		{ "attack: replay of an old answer", { .nonce = NONCE_NONE, .from = -2 * DAY, .to = -DAY }, false,
		    CM_REASON_REVOCATION_UNKNOWN, "expired " },
		{ "attack: no nextUpdate, fresh", { .from = -10 * MIN }, false, CM_REASON_NONE, ": good" },
		{ "attack: no nextUpdate, old", { .from = -70 * MIN }, false, CM_REASON_REVOCATION_UNKNOWN,
		    "names no nextUpdate" },
		{ "future", { .from = DAY, .to = 2 * DAY }, false, CM_REASON_REVOCATION_UNKNOWN,
		    "ahead of this computer's clock" },
		{ "ends before it begins", { .from = -MIN, .to = -2 * MIN }, false, CM_REASON_REVOCATION_UNKNOWN,
		    "nextUpdate before thisUpdate" },
		{ "attack: responder without OCSPSigning EKU", { .signer = "ocsp-no-eku", .to = 60 * MIN }, false,
		    CM_REASON_REVOCATION_UNKNOWN, "no OCSPSigning in extKeyUsage" },
		{ "attack: responder of another CA", { .signer = "ocsp-stranger", .to = 60 * MIN }, false,
		    CM_REASON_REVOCATION_UNKNOWN, "not appointed by the CA" },
		{ "attack: the root is not the issuer", { .signer = "root", .to = 60 * MIN }, false,
		    CM_REASON_REVOCATION_UNKNOWN, "not appointed by the CA" },
		{ "attack: look-alike CA signs", { .signer = "look-alike-ca", .to = 60 * MIN }, false,
		    CM_REASON_REVOCATION_UNKNOWN, "its signature is wrong" },
		{ "attack: the card signs for itself", { .signer = "alice-p256", .to = 60 * MIN }, false,
		    CM_REASON_REVOCATION_UNKNOWN, "no OCSPSigning in extKeyUsage" },
		{ "attack: revoked, said by a stranger", { .signer = "ocsp-stranger", .status = REVOKED,
		    .to = 60 * MIN }, false, CM_REASON_REVOCATION_UNKNOWN, "not appointed by the CA" },
		{ "attack: answer for another serial", { .other_serial = true, .to = 60 * MIN }, false,
		    CM_REASON_REVOCATION_UNKNOWN, "it is about another certificate" },
		{ "attack: answer for another issuer", { .other_issuer = true, .to = 60 * MIN }, false,
		    CM_REASON_REVOCATION_UNKNOWN, "it is about another certificate" },
		{ "two answers", { .twice = true, .to = 60 * MIN }, false, CM_REASON_REVOCATION_UNKNOWN, "twice" },
		{ "bad signature", { .spoiled = true, .to = 60 * MIN }, false, CM_REASON_REVOCATION_UNKNOWN,
		    "its signature is wrong" },
		{ "signer not in it", { .no_certificate = true, .to = 60 * MIN }, false,
		    CM_REASON_REVOCATION_UNKNOWN, "its signer's certificate is not in it" },
		{ "SHA-1", { .md_sha1 = true, .to = 60 * MIN }, false, CM_REASON_REVOCATION_UNKNOWN,
		    "a hash that is broken" },

		/* Nothing takes a revocation back, so an old answer that tells of one is still true... */
		{ "revoked, stale", { .status = REVOKED, .reason = OCSP_REVOKED_STATUS_KEYCOMPROMISE,
		    .nonce = NONCE_NONE, .from = -2 * DAY, .to = -DAY }, false, CM_REASON_REVOKED, ": revoked on " },
		/* ...and a clock set back does not hide one. */
		{ "attack: clock rollback hides a revocation", { .status = REVOKED,
		    .reason = OCSP_REVOKED_STATUS_KEYCOMPROMISE, .from = 10 * DAY, .to = 11 * DAY }, false,
		    CM_REASON_REVOKED, ": revoked on " },
		/* A hold may have ended since. */
		{ "on hold, stale", { .status = REVOKED, .reason = OCSP_REVOKED_STATUS_CERTIFICATEHOLD,
		    .nonce = NONCE_NONE, .from = -2 * DAY, .to = -DAY }, false, CM_REASON_REVOCATION_UNKNOWN, "expired " },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct web w = { .mode = WEB_OCSP, .answer = rows[i].a };
		const struct outcome r = ask(&w, rows[i].require_nonce);

		if (r.reason != rows[i].reason || strstr(r.ocsp, rows[i].part) == NULL)
			print_error("%s: %s\n", rows[i].name, r.ocsp);
		assert_int_equal(r.reason, rows[i].reason);
		assert_int_equal(r.err, cm_reason_err(rows[i].reason));
		assert_has(r.ocsp, rows[i].part);
		assert_int_equal(r.count, r.status == CM_STATUS_UNKNOWN ? 0 : 1);
		assert_true((r.status == CM_STATUS_GOOD) == (r.reason == CM_REASON_NONE));
		assert_true((r.status == CM_STATUS_REVOKED) == (r.reason == CM_REASON_REVOKED));
		assert_true(r.signed_time <= time(NULL) + 5 * MIN);
	}
}

/* Responders that the CA appointed, but that may not speak now or in this way. */
static void
appointed_responders(void **state)
{
	static const struct row {
		struct recipe r;
		enum cm_reason reason;
		const char *part;
	} rows[] = {
		{ { .key = "P-256" }, CM_REASON_NONE, ": good" },
		{ { .key = "P-256", .ku = "digitalSignature" }, CM_REASON_NONE, ": good" },
		{ { .key = "P-256", .from = -2 * DAY, .to = -DAY }, CM_REASON_REVOCATION_UNKNOWN, "is not valid now" },
		{ { .key = "P-256", .from = DAY, .to = 2 * DAY }, CM_REASON_REVOCATION_UNKNOWN, "is not valid now" },
		{ { .key = "P-256", .ku = "keyEncipherment" }, CM_REASON_REVOCATION_UNKNOWN, "lacks digitalSignature" },
		{ { .key = "P-256", .signer = "stranger-inter" }, CM_REASON_REVOCATION_UNKNOWN, "was not appointed" },
		{ { .key = "P-256", .md = "SHA1" }, CM_REASON_REVOCATION_UNKNOWN, "certificate is signed with a hash that is broken" },
		{ { .key = "rsa1024" }, CM_REASON_REVOCATION_UNKNOWN, "its signer's key is weak" },
		{ { .key = "P-256", .more = "1.2.3.4=critical,ASN1:NULL" }, CM_REASON_REVOCATION_UNKNOWN,
		    "critical extension" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct recipe recipe = rows[i].r;
		struct web w = { .mode = WEB_OCSP, .answer = { .to = 60 * MIN } };
		struct outcome r;

		recipe.cn = "Made OCSP";
		recipe.issuer = "inter";
		recipe.eku = "OCSPSigning";
		recipe.to = recipe.to != 0 ? recipe.to : DAY;
		w.answer.made = make_x509(&recipe, &w.answer.made_key);
		r = ask(&w, false);
		assert_int_equal(r.reason, rows[i].reason);
		assert_has(r.ocsp, rows[i].part);
		X509_free(w.answer.made);
		EVP_PKEY_free(w.answer.made_key);
	}
}

/* What is handed to the cache is what the answer said. */
static void
evidence_of_an_answer(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = { .from = -10 * MIN, .to = 60 * MIN } };
	const time_t now = time(NULL);
	const struct outcome r = ask(&w, true);
	struct cm_cert *c = load_cert("alice-p256");
	const struct cm_blob serial = { r.evidence[0].serial, r.evidence[0].serial_len };

	(void)state;
	assert_int_equal(r.evidence[0].status, CM_STATUS_GOOD);
	assert_true(cm_blob_equal(serial, cm_cert_serial(c)));
	assert_in_range(r.evidence[0].this_update, now - 10 * MIN - 1, now - 10 * MIN + 5);
	assert_in_range(r.evidence[0].next_update, now + 60 * MIN - 1, now + 60 * MIN + 5);
	assert_in_range(r.evidence[0].learned, now, now + 5);
	assert_int_equal(r.evidence[0].revoked_at, 0);
	assert_int_equal(r.signed_time, r.evidence[0].this_update);
	assert_has(r.evidence[0].source, "OCSP http://127.0.0.1:");
	cm_cert_free(&c);
}

/* A responder whose own certificate is known to be revoked says nothing any more. */
static void
revoked_responder(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = { .to = 60 * MIN } };
	struct cm_evidence e = ask(&w, false).evidence[0];	/* the issuer's key is the same */
	X509 *ocsp = load_x509("ocsp");
	const ASN1_INTEGER *serial = X509_get0_serialNumber(ocsp);
	const char *urls[] = { NULL, NULL };
	const struct cm_trust_options o = options(urls);
	const struct cm_known known = { .evidence = &e, .count = 1, .now = time(NULL) };
	struct outcome r;

	(void)state;
	e.status = CM_STATUS_REVOKED;
	e.serial_len = (size_t)ASN1_STRING_length(serial);
	memcpy(e.serial, ASN1_STRING_get0_data(serial), e.serial_len);
	web_start(&w);
	urls[0] = w.url;
	r = ask_with(&o, &known, 5000);
	web_stop(&w);
	assert_int_equal(r.reason, CM_REASON_REVOCATION_UNKNOWN);
	assert_has(r.ocsp, "its signer was revoked");
	X509_free(ocsp);
}

/* Servers that are no help: each refused with its reason, and within the time. */
static void
servers(void **state)
{
	static const struct row {
		const char *name;
		struct web w;
		unsigned ms;
		const char *part;
	} rows[] = {
		{ "attack: never answering", { .mode = WEB_SILENT }, 300, "no answer within " },
		{ "attack: slow drip", { .mode = WEB_DRIP }, 300, "not the whole answer within " },
		{ "attack: 42 MB answer", { .mode = WEB_HUGE }, 5000, "larger than 65536 bytes" },
		{ "attack: 42 MB answer, not announced", { .mode = WEB_ENDLESS }, 5000, "larger than 65536 bytes" },
		{ "ends early", { .mode = WEB_SHORT }, 5000, "broke off after 3 bytes of 1000" },
		{ "404", { .mode = WEB_STATUS, .status = 404 }, 5000, "HTTP status 404" },
		{ "204", { .mode = WEB_STATUS, .status = 204 }, 5000, "HTTP status 204" },
		{ "nothing in it", { .mode = WEB_STATUS, .status = 200 }, 5000, "no OCSP response" },
		{ "redirected", { .mode = WEB_REDIRECT, .location = "http://127.0.0.1:1/" }, 5000, "HTTP status 302" },
		{ "hotel network", { .mode = WEB_BYTES, .bytes = (const uint8_t *)"<html>", .len = 6 }, 5000,
		    "no OCSP response" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct cm_known known = { .now = time(NULL) };
		const char *urls[] = { NULL, NULL };
		const struct cm_trust_options o = options(urls);
		struct web w = rows[i].w;
		struct outcome r;

		web_start(&w);
		urls[0] = w.url;
		r = ask_with(&o, &known, rows[i].ms);
		web_stop(&w);
		if (strstr(r.ocsp, rows[i].part) == NULL)
			print_error("%s\n", rows[i].name);
		assert_has(r.ocsp, rows[i].part);
		if (strstr(r.ocsp, " [") != NULL)
			*strstr(r.ocsp, " [") = '\0';
		assert_has(r.message, r.ocsp);	/* the refusal tells it too */
		assert_int_equal(r.reason, CM_REASON_REVOCATION_UNKNOWN);
		assert_true(r.ms < rows[i].ms + 1000);
	}
}

/* Addresses that lead nowhere, and those that must not be followed. */
static void
addresses(void **state)
{
	static const struct row {
		const char *url, *part;
	} rows[] = {
		{ "http://127.0.0.1:1/", "connect" },
		{ "http://never.test/", "no answer within " },
		{ "ldap://127.0.0.1/", "only http:// and https:// addresses can be asked" },
		{ "file:///etc/passwd", "only http:// and https:// addresses can be asked" },
		{ "https://127.0.0.1:1/", "connect" },
		{ "http://", "" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct cm_known known = { .now = time(NULL) };
		const char *urls[] = { rows[i].url, NULL };
		const struct cm_trust_options o = options(urls);
		const struct outcome r = ask_with(&o, &known, 400);

		assert_has(r.ocsp, rows[i].part);
		assert_int_equal(r.reason, CM_REASON_REVOCATION_UNKNOWN);
		assert_true(r.ms < 1400);
	}
}

/* The person at the keyboard may set the environment; that must not lead answers through their hands. */
static void
attack_proxy_from_the_environment(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = { .to = 60 * MIN } };
	struct outcome r;

	(void)state;
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	r = ask(&w, false);
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
	assert_int_equal(r.reason, CM_REASON_NONE);
}

/* A silent responder leaves time for the next one. */
static void
several_in_turn(void **state)
{
	struct web silent = { .mode = WEB_SILENT }, broken = { .mode = WEB_STATUS, .status = 500 },
	    good = { .mode = WEB_OCSP, .answer = { .to = 60 * MIN } }, spare = good;
	const struct cm_known known = { .now = time(NULL) };
	const char *urls[] = { silent.url, broken.url, good.url, spare.url, NULL };
	const struct cm_trust_options o = options(urls);
	struct outcome r;

	(void)state;
	web_start(&silent);
	web_start(&broken);
	web_start(&good);
	web_start(&spare);
	r = ask_with(&o, &known, 2000);
	assert_int_equal(r.reason, CM_REASON_NONE);
	assert_has(r.ocsp, good.url);
	assert_int_equal(atomic_load(&silent.asked), 1);
	assert_int_equal(atomic_load(&broken.asked), 1);
	assert_int_equal(atomic_load(&good.asked), 1);
	assert_int_equal(atomic_load(&spare.asked), 0);
	assert_in_range(r.ms, 400, 1500);
	web_stop(&silent);
	web_stop(&broken);
	web_stop(&good);
	web_stop(&spare);
}

static void
no_time_left(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = { .to = 60 * MIN } };
	const struct cm_known known = { .now = time(NULL) };
	const char *urls[] = { w.url, NULL };
	const struct cm_trust_options o = options(urls);
	struct outcome r;

	(void)state;
	web_start(&w);
	r = ask_with(&o, &known, 0);
	assert_int_equal(atomic_load(&w.asked), 0);
	web_stop(&w);
	assert_int_equal(r.reason, CM_REASON_REVOCATION_UNKNOWN);
	assert_has(r.ocsp, "no time was left");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(appointed_responders),
		cmocka_unit_test(evidence_of_an_answer),
		cmocka_unit_test(revoked_responder),
		cmocka_unit_test(servers),
		cmocka_unit_test(addresses),
		cmocka_unit_test(attack_proxy_from_the_environment),
		cmocka_unit_test(several_in_turn),
		cmocka_unit_test(no_time_left),
	};

	sem_init(&never, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
