/* tests/trust/test_revocation.c - level by evidence by network: who passes; then the same with real servers. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/ocsp.h>

#include "tests/trust/web.h"

#define MIN	60

static const char *const root[] = { PKI("root.crt"), NULL };
static const char *const inters[] = { PKI("intermediates.d"), NULL };
/* With the issuing CA as anchor there is only the card to ask about. */
static const char *const inter_anchor[] = { PKI("inter.crt"), NULL };

static struct outcome
check(const char *cert, struct cm_trust_options o, const struct cm_known *known, unsigned ms)
{
	struct cm_cert *c = load_cert(cert);
	struct outcome r;

	o.ocsp_max = o.crl_max = 1 << 20;
	r = judge(c, &o, known, ms);
	cm_cert_free(&c);
	return r;
}

/* Evidence about alice-p256 as this module makes it. */
static struct cm_evidence
learn(int status, long from, long to)
{
	struct web w = { .mode = WEB_OCSP, .answer = { .status = V_OCSP_CERTSTATUS_GOOD, .to = 60 * MIN } };
	const char *urls[] = { w.url, NULL };
	const struct cm_trust_options o = { .level = CM_TRUST_SOFT, .anchors = inter_anchor, .ocsp_urls = urls,
	    .use_ocsp = true };
	const time_t now = time(NULL);
	const struct cm_known known = { .now = now };
	struct outcome r;

	web_start(&w);
	r = check("alice-p256", o, &known, 5000);
	web_stop(&w);
	assert_int_equal(r.count, 1);
	r.evidence[0].status = status;
	r.evidence[0].this_update = now + from;
	r.evidence[0].next_update = to != 0 ? now + to : 0;
	r.evidence[0].revoked_at = status == CM_STATUS_REVOKED ? now + from : 0;
	r.evidence[0].learned = now + from;
	return r.evidence[0];
}

/* The four outcomes by a letter: good and revoked; unknown that passes, unknown that is refused. */
static char
letter(const struct outcome *r)
{
	if (r->passes != (r->err == CM_OK))
		return '!';
	if (r->err == CM_OK)
		return r->status == CM_STATUS_GOOD ? 'G' : r->status == CM_STATUS_UNKNOWN ? 'u' : '!';
	if (r->err != CM_ERR_REFUSED)
		return '!';
	if (r->reason == CM_REASON_REVOKED)
		return r->status == CM_STATUS_REVOKED ? 'R' : '!';
	return r->reason == CM_REASON_REVOCATION_UNKNOWN && r->status == CM_STATUS_UNKNOWN ? 'X' : '!';
}

enum kept { NOTHING, KEPT_GOOD, KEPT_EXPIRED, KEPT_REVOKED, KEPTS };
enum network { SAYS_GOOD, SAYS_REVOKED, BROKEN, UNPLUGGED, NETWORKS };

static void
decisions(void **state)
{
	static const char *const expected[4][KEPTS] = {
		[CM_TRUST_OFF] = { "uuuu", "uuuu", "uuuu", "uuuu" },
		[CM_TRUST_CHAIN] = { "uuuu", "uuuu", "uuuu", "uuuu" },
		[CM_TRUST_SOFT] = { "GRuu", "GRGG", "GRuu", "RRRR" },
		[CM_TRUST_HARD] = { "GRXX", "GRGG", "GRXX", "RRRR" },
	};
	const struct cm_evidence evidence[KEPTS] = {
		[KEPT_GOOD] = learn(CM_STATUS_GOOD, -60 * MIN, 60 * MIN),
		[KEPT_EXPIRED] = learn(CM_STATUS_GOOD, -60 * MIN, -1 * MIN),
		[KEPT_REVOKED] = learn(CM_STATUS_REVOKED, -2 * DAY, -DAY),
	};
	static const struct web webs[NETWORKS] = {
		[SAYS_GOOD] = { .mode = WEB_OCSP, .answer = { .to = 60 * MIN } },
		[SAYS_REVOKED] = { .mode = WEB_OCSP, .answer = { .status = V_OCSP_CERTSTATUS_REVOKED,
		    .reason = OCSP_REVOKED_STATUS_KEYCOMPROMISE, .to = 60 * MIN } },
		[BROKEN] = { .mode = WEB_STATUS, .status = 500 },
		[UNPLUGGED] = { .mode = WEB_OCSP, .answer = { .to = 60 * MIN } },
	};

	(void)state;
	/* What is kept and good is not asked for again, but with ask_always. */
	for (int n = 0; n < 2 * 4 * KEPTS * NETWORKS; n++) {
		const bool always = n % 2 == 1;
		const int level = n / 2 % 4, kept = n / 8 % KEPTS, network = n / 8 / KEPTS;
		struct web w = webs[network];
		const char *urls[] = { w.url, NULL };
		const struct cm_trust_options o = { .level = (enum cm_trust_level)level,
		    .anchors = inter_anchor, .ocsp_urls = urls, .use_ocsp = true,
		    .ask_always = always };
		const struct cm_known known = { .evidence = &evidence[kept],
		    .count = kept != NOTHING, .now = time(NULL) };
		const bool asks = level >= CM_TRUST_SOFT && kept != KEPT_REVOKED && network != UNPLUGGED &&
		    (always || kept != KEPT_GOOD);
		const char wanted = asks || level < CM_TRUST_SOFT || kept != KEPT_GOOD ? expected[level][kept][network] : 'G';
		struct outcome r;

		web_start(&w);
		r = check("alice-p256", o, &known, network != UNPLUGGED ? 3000 : 0);
		if (letter(&r) != wanted)
			print_error("level %d, kept %d, network %d, always %d: %s\n", level, kept, network, always, r.message);
		assert_int_equal(letter(&r), wanted);
		assert_int_equal(atomic_load(&w.asked), asks ? 1 : 0);
		/* What was relied on is handed over, the refusing answer too. */
		assert_int_equal(r.count, r.status != CM_STATUS_UNKNOWN ? 1 : 0);
		web_stop(&w);
	}
}

/* attack: clock rollback.  Kept good evidence counts only while the clock can be believed. */
static void
attack_clock_rollback(void **state)
{
	static const struct row {
		const char *name;
		long from, to, floor, learned;
		bool stale;
		char expected;
		const char *part;
	} rows[] = {
		{ "all is well", -60 * MIN, 60 * MIN, -10 * MIN, 0, false, 'G', "good, of " },
		{ "to its last second", -60 * MIN, 0, 0, 0, false, 'X', "expired" },
		{ "no end named, fresh", -10 * MIN, 0, 0, 0, false, 'G', "good, of " },
		{ "no end named, old", -120 * MIN, 0, 0, 0, false, 'X', "names no nextUpdate" },
		{ "the caller says so", -60 * MIN, 60 * MIN, 0, 0, true, 'X', "cannot be relied on [clock]" },
		{ "below the floor", -60 * MIN, 60 * MIN, 30 * MIN, 0, false, 'X', "was already seen [clock]" },
		{ "learned later than now", -60 * MIN, 60 * MIN, 0, 30 * MIN, false, 'X', "cannot be relied on" },
		{ "dated ahead", 30 * MIN, 60 * MIN, 0, 0, false, 'X', "ahead of this computer's clock" },
	};
	const struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = inter_anchor, .use_ocsp = true };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const time_t now = time(NULL);
		struct cm_evidence e = learn(CM_STATUS_GOOD, rows[i].from, rows[i].to);
		const struct cm_known known = { .evidence = &e, .count = 1, .now = now,
		    .floor = rows[i].floor != 0 ? now + rows[i].floor : 0, .stale_clock = rows[i].stale };
		struct outcome r;

		if (i == 1)	/* 0 would be: names none */
			e.next_update = now - 1;
		e.learned = now + rows[i].learned;
		r = check("alice-p256", o, &known, 0);
		if (letter(&r) != rows[i].expected)
			print_error("%s: %s\n", rows[i].name, r.kept);
		assert_int_equal(letter(&r), rows[i].expected);
		assert_has(r.kept, rows[i].part);
	}
}

/* attack: clock rollback, to when an old list was valid; the floor tells that it is later. */
static void
attack_clock_rollback_revives_a_list(void **state)
{
	const struct crl_recipe recipe = { .issuer = "inter", .reason = NO_ENTRY, .from = -2 * DAY, .to = -DAY };
	const char *const crls[] = { scratch("old.crl"), NULL };
	const struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = inter_anchor, .crls = crls,
	    .use_crl = true };
	X509 *x;
	struct cm_known known = { .now = time(NULL) - DAY - 60 * MIN };
	int len;
	uint8_t *der = make_crl(&recipe, &len);
	struct outcome r;

	(void)state;
	write_bytes(crls[0], der, (size_t)len);
	OPENSSL_free(der);
	x = load_x509("alice-p256");
	/* The PKI may be younger than that: then its certificates are not valid yet, and there is nothing to see. */
	if (X509_cmp_time(X509_get0_notBefore(x), &known.now) < 0) {
		r = check("alice-p256", o, &known, 0);
		assert_int_equal(letter(&r), 'G');
	}
	known.floor = time(NULL);
	r = check("alice-p256", o, &known, 0);
	assert_int_equal(letter(&r), 'X');
	assert_has(r.crl, "expired ");
	X509_free(x);
}

/* attack: once seen revoked, a later "good" does not forgive; nobody is even asked. */
static void
attack_revoked_is_forgiven(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = { .status = V_OCSP_CERTSTATUS_REVOKED,
	    .reason = OCSP_REVOKED_STATUS_KEYCOMPROMISE, .to = 60 * MIN } };
	const char *urls[] = { w.url, NULL };
	const struct cm_trust_options o = { .level = CM_TRUST_SOFT, .anchors = inter_anchor, .ocsp_urls = urls,
	    .use_ocsp = true };
	struct cm_known known = { .now = time(NULL) };
	struct outcome first, second;

	(void)state;
	web_start(&w);
	first = check("alice-p256", o, &known, 3000);
	assert_int_equal(letter(&first), 'R');
	w.answer.status = V_OCSP_CERTSTATUS_GOOD;
	known.evidence = first.evidence;
	known.count = first.count;
	known.stale_clock = true;
	second = check("alice-p256", o, &known, 3000);
	assert_int_equal(letter(&second), 'R');
	assert_has(second.message, "says OCSP http://127.0.0.1:");
	assert_int_equal(atomic_load(&w.asked), 1);
	web_stop(&w);
}

/* RFC 5280 5.3.1: a hold ends when a later list of the CA says no more of it: nothing else that says "good" does that. */
static void
a_hold_ends_by_a_later_list_alone(void **state)
{
	static const struct row {
		int reason;		/* of the list that is then asked */
		long from, to;		/* the one with the hold is of an hour ago */
		bool ocsp;		/* a responder that says good is asked first */
		char expected;
	} rows[] = {
		{ NO_ENTRY, -1800, DAY, false, 'G' }, { NO_ENTRY, -1800, DAY, true, 'G' }, { NO_ENTRY, -7200, DAY, false, 'R' },
		{ NO_ENTRY, -3600, DAY, false, 'R' }, { NO_ENTRY, -1800, -600, true, 'R' }, { ON_HOLD, -1800, DAY, false, 'R' },
		{ KEY_COMPROMISE, -1800, DAY, false, 'R' },
	};
	struct web w = { .mode = WEB_OCSP, .answer = { .to = 60 * MIN } };
	const char *const crls[] = { scratch("hold.crl"), NULL }, *const urls[] = { w.url, NULL };
	struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = inter_anchor, .crls = crls,
	    .ocsp_urls = urls, .use_crl = true };
	const time_t now = time(NULL);

	(void)state;
	web_start(&w);
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct crl_recipe recipe = { .issuer = "inter", .names = "no-aia-cdp", .reason = ON_HOLD, .from = -3600, .to = DAY };
		struct cm_known known = { .now = now };
		struct outcome held, r;

		for (int k = 0; k < 2; k++) {
			int len;
			uint8_t *der = make_crl(&recipe, &len);

			write_bytes(crls[0], der, (size_t)len);
			OPENSSL_free(der);
			o.use_ocsp = k == 1 && rows[i].ocsp;
			r = check("no-aia-cdp", o, &known, 3000);
			if (k == 0)
				held = r;
			recipe.reason = rows[i].reason;
			recipe.from = rows[i].from;
			recipe.to = rows[i].to;
			known.evidence = held.evidence;
			known.count = held.count;
			/* "At the same second" is that of the evidence. */
			if (rows[i].from == -3600)
				held.evidence[0].this_update++;
		}
		assert_int_equal(letter(&held), 'R');
		assert_true(held.evidence[0].on_hold);
		if (letter(&r) != rows[i].expected)
			print_error("row %zu: %s\n", i, r.message);
		assert_int_equal(letter(&r), rows[i].expected);
		assert_int_equal(r.count, 1);
	}
	web_stop(&w);
}

/* Serial numbers are each CA's own: what is known of another CA's, or of another serial, is not about this card. */
static void
evidence_of_others(void **state)
{
	const struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = inter_anchor, .use_ocsp = true };
	static const enum cm_status statuses[] = { CM_STATUS_GOOD, CM_STATUS_REVOKED };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(statuses); i++) {
		struct cm_evidence e[2] = { learn(statuses[i], -60 * MIN, 60 * MIN) };
		const struct cm_known known = { .evidence = e, .count = 2, .now = time(NULL) };
		struct outcome r;

		e[1] = e[0];
		e[0].issuer_key[31] ^= 1;
		e[1].serial[0] ^= 1;
		r = check("alice-p256", o, &known, 0);
		assert_int_equal(letter(&r), 'X');
		assert_has(r.kept, "none is kept");
	}
}

/* attack: hard level with no AIA/CDP must fail closed, and say what was missing */
static void
attack_hard_level_with_nobody_to_ask(void **state)
{
	static const struct row {
		bool use_ocsp, use_crl;
		const char *part;
	} rows[] = {
		{ true, true, "names neither an OCSP responder (authorityInfoAccess) nor a CRL (cRLDistributionPoints), "
		    "and trust.ocsp_url and trust.crl are not set" },
		{ true, false, "names no OCSP responder" },
		{ false, true, "names no CRL" },
		{ false, false, "are both off" },
	};
	const struct cm_known known = { .now = time(NULL) };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = inter_anchor,
		    .use_ocsp = rows[i].use_ocsp, .use_crl = rows[i].use_crl };
		struct outcome r = check("no-aia-cdp", o, &known, 1000);

		assert_int_equal(letter(&r), 'X');
		assert_has(r.message, "CN=Alice Example");
		assert_has(r.message, rows[i].part);
		o.level = CM_TRUST_SOFT;
		r = check("no-aia-cdp", o, &known, 1000);
		assert_int_equal(letter(&r), 'u');
	}
}

/* Each CA below the anchor is asked about as the card is. */
static void
intermediates(void **state)
{
	static const struct row {
		const char *cert, *first, *second;
		char soft, hard;
		const char *part;
	} rows[] = {
		{ "no-aia-cdp", PKI("inter.crl"), PKI("root.crl"), 'G', 'G', "" },
		{ "no-aia-cdp", PKI("inter.crl"), NULL, 'G', '!', "the CA certificate of CN=Cardmap Test Issuing CA" },
		{ "no-aia-cdp", PKI("root.crl"), NULL, 'u', 'X', "the certificate of CN=Alice Example" },
		{ "under-revoked-inter", PKI("root.crl"), NULL, '!', '!', "the CA certificate of CN=Cardmap Revoked Issuing CA" },
	};
	const struct cm_known known = { .now = time(NULL) };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const char *const crls[] = { rows[i].first, rows[i].second, NULL };
		struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = root, .intermediates = inters,
		    .crls = crls, .use_crl = true };
		struct outcome r = check(rows[i].cert, o, &known, 0);

		assert_int_equal(letter(&r), rows[i].hard);
		assert_has(r.message, rows[i].part);
		o.level = CM_TRUST_SOFT;
		r = check(rows[i].cert, o, &known, 0);
		assert_int_equal(letter(&r), rows[i].soft);
		if (i == 3) {	/* soft: the card is unknown, its CA is revoked */
			assert_int_equal(r.reason, CM_REASON_REVOKED);
			assert_has(r.message, "the CA certificate of CN=Cardmap Revoked Issuing CA");
		}
	}
}

/* A stranger's card: no verdict, so there is nothing to ask about. */
static void
unknown_issuer_causes_no_traffic(void **state)
{
	struct web w = { .mode = WEB_OCSP };
	const char *urls[] = { w.url, NULL };
	const struct cm_trust_options o = { .level = CM_TRUST_SOFT, .anchors = root, .intermediates = inters,
	    .ocsp_urls = urls, .crls = urls, .use_ocsp = true, .use_crl = true, .ocsp_max = 1000, .crl_max = 1000 };
	const struct cm_known known = { .now = time(NULL) };
	struct cm_cert *c = load_cert("stranger"), *alice = load_cert("alice-p256");
	struct cm_trust *tr = NULL, *other = NULL;
	struct cm_verdict *v = NULL;

	(void)state;
	web_start(&w);
	assert_int_equal(cm_trust_open(&o, NULL, &tr), CM_OK);
	assert_int_equal(cm_trust_open(&o, NULL, &other), CM_OK);
	assert_int_equal(cm_trust_check_chain(tr, c, &known, NULL, &v), CM_ERR_REFUSED);
	assert_null(v);
	assert_int_equal(cm_trust_check_revocation(tr, v, &known, cm_deadline_in(1000), NULL), CM_ERR_STATE);
	/* And a verdict is only for the trust that made it. */
	assert_int_equal(cm_trust_check_chain(tr, alice, &known, NULL, &v), CM_OK);
	assert_int_equal(cm_trust_check_revocation(other, v, &known, cm_deadline_in(1000), NULL), CM_ERR_STATE);
	assert_false(cm_verdict_passes(v, alice));
	assert_int_equal(atomic_load(&w.asked), 0);
	web_stop(&w);
	cm_verdict_free(&v);
	cm_trust_close(&tr);
	cm_trust_close(&other);
	cm_cert_free(&c);
	cm_cert_free(&alice);
}

/* ---- With openssl's responder and a web server, at the addresses that stand in the certificates */

static void
rig(const char *action, const char *what)
{
	const pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		execl(getenv("CM_RIG"), "rig.py", action, what, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
}

static const struct cm_trust_options live = { .level = CM_TRUST_HARD, .anchors = root, .intermediates = inters,
    .use_ocsp = true, .use_crl = true, .ask_always = true };

static void
live_good_and_revoked(void **state)
{
	struct cm_known known = { .now = time(NULL) };
	struct outcome r = check("alice-p256", live, &known, 3000), kept;

	(void)state;
	assert_int_equal(letter(&r), 'G');
	assert_has(r.ocsp, "OCSP http://127.0.0.1:8081/: good");
	assert_has(r.crl, "CRL http://127.0.0.1:8080/root.crl number ");
	assert_int_equal(r.count, 2);
	kept = r;

	r = check("revoked", live, &known, 3000);
	assert_int_equal(letter(&r), 'R');

	rig("revoke", "alice-p256");
	known.evidence = kept.evidence;	/* still good there, but a newer answer is to be had */
	known.count = kept.count;
	r = check("alice-p256", live, &known, 3000);
	assert_int_equal(letter(&r), 'R');
	rig("stop", "ocsp");
	r = check("alice-p256", live, &known, 3000);
	assert_int_equal(letter(&r), 'R');	/* by the list */
	assert_has(r.message, "says CRL http://127.0.0.1:8080/inter.crl number ");

	known.evidence = r.evidence;
	known.count = r.count;
	rig("unrevoke", "alice-p256");
	rig("start", "ocsp");
	r = check("alice-p256", live, &known, 3000);
	assert_int_equal(letter(&r), 'R');	/* for good */
}

static void
live_servers_stopped(void **state)
{
	const struct cm_known known = { .now = time(NULL) };
	struct cm_trust_options soft = live;
	struct outcome r;

	(void)state;
	soft.level = CM_TRUST_SOFT;
	rig("freeze", "ocsp");
	r = check("alice-p256", live, &known, 1500);
	assert_int_equal(letter(&r), 'G');	/* by the list, in the time the silent one left */
	assert_has(r.ocsp, "no answer within ");
	assert_true(r.ms < 1500);
	rig("stop", "ocsp");
	rig("stop", "http");
	r = check("alice-p256", live, &known, 1500);
	assert_int_equal(letter(&r), 'X');
	assert_has(r.message, "OCSP http://127.0.0.1:8081/: ");
	assert_has(r.message, "CRL http://127.0.0.1:8080/inter.crl: ");
	assert_has(r.message, "kept evidence: none is kept");
	r = check("alice-p256", soft, &known, 1500);
	assert_int_equal(letter(&r), 'u');
	rig("start", "http");
	rig("freeze", "http");
	r = check("alice-p256", live, &known, 600);
	assert_int_equal(letter(&r), 'X');
	assert_true(r.ms < 1600);
	rig("stop", "http");
	rig("start", "http");
	rig("start", "ocsp");
}

static void
live_bad_responders(void **state)
{
	static const struct row {
		const char *mode;
		char expected;
		const char *part;
	} rows[] = {
		{ "good", 'G', ": good" },
		{ "no-nonce", 'G', ", without nonce" },
		{ "wrong-nonce", 'X', "its nonce is not ours" },
		{ "wrong-serial", 'X', "about another certificate" },
		{ "no-eku", 'X', "no OCSPSigning" },
		{ "stranger", 'X', "not appointed by the CA" },
		{ "bad-signature", 'X', "its signature is wrong" },
		{ "stale", 'X', "expired " },
		{ "future", 'X', "" },
		{ "no-next-update", 'G', ": good" },
		{ "unknown", 'X', "does not know the certificate" },
		{ "try-later", 'X', "trylater" },
		{ "replay=ocsp-good.der", 'X', "about another certificate" },
		{ "silent", 'X', "no answer within" },
		{ "drip", 'X', "not the whole answer within" },
		{ "huge", 'X', "larger than" },
		{ "endless", 'X', "larger than" },
		{ "early-close", 'X', "broke off after " },
		{ "reset", 'X', "" },
		{ "redirect-file", 'X', "HTTP status 302" },
		{ "garbage", 'X', "no OCSP response" },
	};
	const struct cm_known known = { .now = time(NULL) };
	struct cm_trust_options o = live;

	(void)state;
	o.anchors = inter_anchor;
	o.intermediates = NULL;
	o.use_crl = false;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct outcome r;

		rig("bad", rows[i].mode);
		r = check("alice-p256", o, &known, 1500);
		if (letter(&r) != rows[i].expected || strstr(r.ocsp, rows[i].part) == NULL)
			print_error("%s: %s\n", rows[i].mode, r.ocsp);
		assert_int_equal(letter(&r), rows[i].expected);
		assert_has(r.ocsp, rows[i].part);
		assert_true(r.ms < 2500);
	}
	rig("start", "ocsp");
}

/* An https server must show a certificate of ours; its bytes are judged as any others. */
static void
live_https(void **state)
{
	static const struct row {
		const char *cert, *key;
		char expected;
		const char *part;
	} rows[] = {
		{ PKI("server-chain.pem"), PKI("server.key"), 'G', ": good" },
		{ PKI("stranger.crt"), PKI("stranger.key"), 'X', "certificate" },
	};
	const char *const crls[] = { "https://127.0.0.1:4433/inter.crl", NULL };
	const struct cm_trust_options both = { .level = CM_TRUST_HARD, .anchors = root, .intermediates = inters,
	    .crls = (const char *const[]){ crls[0], PKI("root.crl"), NULL }, .use_crl = true };
	const struct cm_known known = { .now = time(NULL) };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const pid_t pid = fork();
		struct outcome r = { 0 };
		int status;

		if (pid == 0) {
			if (chdir(CM_PKI_DIR) == 0)
				execlp("openssl", "openssl", "s_server", "-quiet", "-accept", "127.0.0.1:4433", "-WWW",
				    "-cert", rows[i].cert, "-cert_chain", rows[i].cert, "-key", rows[i].key, (char *)NULL);
			_exit(127);
		}
		/* Until it listens. */
		for (const cm_deadline d = cm_deadline_in(10000); !cm_deadline_passed(d);) {
			r = check("no-aia-cdp", both, &known, 3000);
			if (r.passes || strstr(r.message, "no connection to 127.0.0.1:4433") == NULL)
				break;
		}
		assert_int_equal(kill(pid, SIGTERM), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(letter(&r), rows[i].expected);
		assert_has(rows[i].expected == 'X' ? r.message : r.crl, rows[i].part);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions),
		cmocka_unit_test(attack_clock_rollback),
		cmocka_unit_test(attack_clock_rollback_revives_a_list),
		cmocka_unit_test(attack_revoked_is_forgiven),
		cmocka_unit_test(a_hold_ends_by_a_later_list_alone),
		cmocka_unit_test(evidence_of_others),
		cmocka_unit_test(attack_hard_level_with_nobody_to_ask),
		cmocka_unit_test(intermediates),
		cmocka_unit_test(unknown_issuer_causes_no_traffic),
		cmocka_unit_test(live_good_and_revoked),
		cmocka_unit_test(live_servers_stopped),
		cmocka_unit_test(live_bad_responders),
		cmocka_unit_test(live_https),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
