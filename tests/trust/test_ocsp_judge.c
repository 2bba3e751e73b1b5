/* tests/trust/test_ocsp_judge.c - each OCSP answer that does not count has its own objection, and what counts says what it said. */
#include <openssl/ocsp.h>
#include <stdio.h>
#include <string.h>

#include "tests/trust/fixture.h"
#include "trust/trust_internal.h"

#define GOOD	V_OCSP_CERTSTATUS_GOOD
#define REVOKED	V_OCSP_CERTSTATUS_REVOKED
#define UNKNOWN	V_OCSP_CERTSTATUS_UNKNOWN
#define HOLD	OCSP_REVOKED_STATUS_CERTIFICATEHOLD
#define STOLEN	OCSP_REVOKED_STATUS_KEYCOMPROMISE
#define MIN	60
#define HOUR	3600

/* What was asked, and what came of one answer. */
struct asked {
	struct cm_trust tr;
	struct cm_known known;
	struct cm_question q;
	struct cm_ocsp_request *request;
	enum cm_status status;
};

static void
begin(struct asked *k, const struct cm_trust_options *o)
{
	*k = (struct asked){ .tr.o = *o, .known.now = time(NULL) };
	k->q = (struct cm_question){ .trust = &k->tr, .known = &k->known, .now = k->known.now, .note = "",
	    .cert = load_x509("alice-p256"), .issuer = load_x509("inter") };
	assert_int_equal(cm_evidence_name(k->q.cert, k->q.issuer, &k->q.answer), CM_OK);
	assert_int_equal(cm_ocsp_request_new(&k->q, &k->request), CM_OK);
}

static void
hear(struct asked *k, const struct answer *a, bool posted)
{
	const struct cm_blob body = cm_ocsp_request_body(k->request);
	int len;
	uint8_t *der = make_answer(a, body.ptr, body.len, &len);

	cm_buf_truncate(&k->q.why, 0);
	k->q.objection = CM_OBJECTION_NONE;
	k->q.note = "";
	k->q.kept = false;
	k->status = cm_ocsp_judge(&k->q, (struct cm_blob){ der, (size_t)len }, k->request, posted);
	OPENSSL_free(der);
	/* Whatever came: unknown has a name and words, anything else has neither. */
	assert_int_equal(k->status == CM_STATUS_UNKNOWN, k->q.objection != CM_OBJECTION_NONE);
	assert_int_equal(k->status == CM_STATUS_UNKNOWN, k->q.why.len > 0);
}

static void
end(struct asked *k)
{
	X509_free(k->q.cert);
	X509_free(k->q.issuer);
	cm_buf_free(&k->q.why);
	cm_ocsp_request_free(&k->request);
}

static void
each_by_its_name(void **state)
{
	static const struct row {
		const char *name;
		struct answer a;
		enum cm_objection o;
		const char *part;	/* of its words, or of the note beside an answer that counts */
	} rows[] = {
		{ "good", { .to = HOUR }, CM_OBJECTION_NONE, "" },
		{ "try later", { .response_status = 3 }, CM_OBJECTION_RESPONDER_ERROR, "trylater" },
		{ "unauthorized", { .response_status = 6 }, CM_OBJECTION_RESPONDER_ERROR, "unauthorized" },
		{ "a status that is not used", { .response_status = 4 }, CM_OBJECTION_RESPONDER_ERROR, "says 4, which" },
		{ "a status nobody knows", { .response_status = 9 }, CM_OBJECTION_RESPONDER_ERROR, "says 9, which" },

		{ "attack: trailing octet", { .to = HOUR, .trailing = true }, CM_OBJECTION_NOT_OCSP, "no OCSP response" },
		{ "attack: BER", { .to = HOUR, .ber = true }, CM_OBJECTION_NOT_OCSP, "(DER)" },

		{ "attack: signer without OCSPSigning", { .signer = "ocsp-no-eku", .to = HOUR }, CM_OBJECTION_UNAUTHORISED,
		    "OCSPSigning" },
		{ "attack: another CA's responder", { .signer = "ocsp-stranger", .to = HOUR }, CM_OBJECTION_UNAUTHORISED,
		    "not appointed" },
		{ "attack: another CA", { .signer = "root", .to = HOUR }, CM_OBJECTION_UNAUTHORISED, "not appointed" },
		{ "attack: a card", { .signer = "bob", .to = HOUR }, CM_OBJECTION_UNAUTHORISED, "OCSPSigning" },
		{ "responder's certificate has ended", { .signer = "ocsp-expired", .to = HOUR }, CM_OBJECTION_UNAUTHORISED,
		    "not valid now" },
		{ "signer is not in it", { .no_certificate = true, .to = HOUR }, CM_OBJECTION_UNAUTHORISED, "is not in it" },
		{ "the CA is not in it either", { .signer = "inter", .no_certificate = true, .to = HOUR }, CM_OBJECTION_NONE, "" },
		{ "attack: signature spoiled", { .spoiled = true, .to = HOUR }, CM_OBJECTION_SIGNATURE, "signature is wrong" },
		{ "attack: revoked by a stranger", { .signer = "ocsp-stranger", .status = REVOKED, .reason = STOLEN, .to = HOUR },
		    CM_OBJECTION_UNAUTHORISED, "not appointed" },
		{ "attack: revoked, spoiled", { .spoiled = true, .status = REVOKED, .reason = STOLEN, .to = HOUR },
		    CM_OBJECTION_SIGNATURE, "signature is wrong" },
		{ "SHA-1", { .md_sha1 = true, .to = HOUR }, CM_OBJECTION_WEAK_SIGNATURE, "a hash that is broken" },

		{ "attack: replay", { .nonce = NONCE_OTHER, .to = HOUR }, CM_OBJECTION_OTHER_NONCE, "nonce is not ours" },
		{ "no nonce", { .nonce = NONCE_NONE, .to = HOUR }, CM_OBJECTION_NONE, ", without nonce" },
		{ "attack: replayed hold", { .nonce = NONCE_OTHER, .status = REVOKED, .reason = HOLD, .to = HOUR },
		    CM_OBJECTION_OTHER_NONCE, "nonce is not ours" },

		{ "attack: wrong serial", { .other_serial = true, .to = HOUR }, CM_OBJECTION_OTHER_CERTIFICATE, "another certificate" },
		{ "attack: wrong issuer", { .other_issuer = true, .to = HOUR }, CM_OBJECTION_OTHER_CERTIFICATE, "another certificate" },
		{ "attack: wrong serial, revoked", { .other_serial = true, .status = REVOKED, .reason = STOLEN, .to = HOUR },
		    CM_OBJECTION_OTHER_CERTIFICATE, "another certificate" },
		{ "good for others only", { .other_serial = true, .others = 200, .to = HOUR }, CM_OBJECTION_OTHER_CERTIFICATE,
		    "another certificate" },
		{ "good among two hundred", { .others = 200, .to = HOUR }, CM_OBJECTION_NONE, "" },
		{ "attack: twice", { .twice = true, .to = HOUR }, CM_OBJECTION_AMBIGUOUS, "answers twice" },
		{ "unknown", { .status = UNKNOWN, .to = HOUR }, CM_OBJECTION_UNKNOWN_CERTIFICATE, "does not know the certificate" },

		{ "critical extension", { .extension = "1.2.3.4=critical,ASN1:NULL", .to = HOUR }, CM_OBJECTION_NOT_UNDERSTOOD,
		    "(1.2.3.4)" },
		{ "extension", { .extension = "1.2.3.4=ASN1:NULL", .to = HOUR }, CM_OBJECTION_NONE, "" },
		{ "critical extension of the certificate's", { .single = "1.2.3.4=critical,ASN1:NULL", .to = HOUR },
		    CM_OBJECTION_NOT_UNDERSTOOD, "(1.2.3.4)" },
		{ "extension of the certificate's", { .single = "1.2.3.4=ASN1:NULL", .to = HOUR }, CM_OBJECTION_NONE, "" },
		{ "critical archive cutoff", { .single = "1.3.6.1.5.5.7.48.1.6=critical,ASN1:GENERALIZEDTIME:20200101000000Z",
		    .to = HOUR }, CM_OBJECTION_NONE, "" },
		{ "revoked, but by a rule unknown here", { .status = REVOKED, .reason = STOLEN,
		    .single = "1.2.3.4=critical,ASN1:NULL", .to = HOUR }, CM_OBJECTION_NOT_UNDERSTOOD, "(1.2.3.4)" },
		{ "attack: two nonces", { .extension = "1.3.6.1.5.5.7.48.1.2=DER:04020000", .to = HOUR }, CM_OBJECTION_NOT_OCSP,
		    "an extension twice" },

		{ "clocks differ a little", { .from = 4 * MIN, .to = HOUR }, CM_OBJECTION_NONE, "" },
		{ "future", { .from = DAY, .to = 2 * DAY, .produced = DAY }, CM_OBJECTION_FUTURE, "ahead of this computer's clock" },
		{ "made tomorrow", { .produced = DAY, .to = HOUR }, CM_OBJECTION_FUTURE, "ahead of this computer" },
		{ "made before it was true", { .from = -MIN, .produced = -HOUR, .to = HOUR }, CM_OBJECTION_MALFORMED_DATES,
		    "producedAt before thisUpdate" },
		{ "ends before it begins", { .from = -MIN, .to = -2 * MIN }, CM_OBJECTION_MALFORMED_DATES,
		    "nextUpdate before thisUpdate" },
		{ "just over", { .from = -HOUR, .to = -4 * MIN }, CM_OBJECTION_NONE, "" },
		{ "stale", { .from = -2 * DAY, .to = -DAY }, CM_OBJECTION_STALE, " ago" },
		{ "undated", { .from = -10 * MIN }, CM_OBJECTION_NONE, "" },
		{ "undated, stale", { .from = -70 * MIN }, CM_OBJECTION_STALE, "names no nextUpdate and so counted for 60 min" },
	};
	static const struct cm_trust_options o;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct row *r = &rows[i];
		struct asked k;

		begin(&k, &o);
		hear(&k, &r->a, true);
		if (k.q.objection != r->o)
			print_error("%s: %s: %s\n", r->name, cm_objection_name(k.q.objection), cm_buf_str(&k.q.why));
		assert_int_equal(k.q.objection, r->o);
		assert_has(r->o != CM_OBJECTION_NONE ? cm_buf_str(&k.q.why) : k.q.note, r->part);
		assert_true(k.status != CM_STATUS_REVOKED);
		end(&k);
	}
}

/* What takes a card away is heard whenever it was said; what may end is not. */
static void
revoked(void **state)
{
	static const struct row {
		const char *name;
		struct answer a;
		bool counts, on_hold;
		long at;		/* 1: CM_NEVER_ISSUED; else seconds from now */
		const char *note;
	} rows[] = {
		{ "revoked", { .reason = STOLEN, .from = -MIN, .revoked = -DAY, .to = HOUR }, true, false, -DAY, "" },
		{ "no reason", { .reason = -1, .from = -MIN, .to = HOUR }, true, false, -MIN, "" },
		{ "a reason that means nothing", { .reason = 7, .from = -MIN, .to = HOUR }, true, false, -MIN, "" },
		{ "on hold", { .reason = HOLD, .from = -MIN, .to = HOUR }, true, true, -MIN, "" },
		{ "removed from a list that it is on", { .reason = OCSP_REVOKED_STATUS_REMOVEFROMCRL, .from = -MIN, .to = HOUR },
		    true, true, -MIN, "" },
		{ "revoked tomorrow", { .reason = STOLEN, .from = -MIN, .revoked = DAY, .to = HOUR }, true, false, -MIN, "" },
		{ "stale", { .reason = STOLEN, .from = -2 * DAY, .to = -DAY }, true, false, -2 * DAY, "" },
		{ "replayed", { .reason = STOLEN, .nonce = NONCE_OTHER, .from = -MIN, .to = HOUR }, true, false, -MIN, "" },
		{ "on hold, stale", { .reason = HOLD, .from = -2 * DAY, .to = -DAY }, false, false, 0, "" },
		{ "never issued", { .reason = HOLD, .never_issued = true, .from = -MIN, .to = HOUR,
		    .extension = "1.3.6.1.5.5.7.48.1.9=critical,ASN1:NULL" }, true, true, 1, "never issued" },
		{ "never issued, without the extension", { .reason = HOLD, .never_issued = true, .from = -MIN, .to = HOUR },
		    true, true, 1, "never issued" },
		{ "stolen in 1970", { .reason = STOLEN, .never_issued = true, .from = -MIN, .to = HOUR }, true, false, -MIN, "" },
	};
	static const struct cm_trust_options o = { .require_nonce = false };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct answer a = rows[i].a;
		struct asked k;

		a.status = REVOKED;
		begin(&k, &o);
		hear(&k, &a, true);
		if ((k.status == CM_STATUS_REVOKED) != rows[i].counts)
			print_error("%s\n", rows[i].name);
		assert_int_equal(k.status, rows[i].counts ? CM_STATUS_REVOKED : CM_STATUS_UNKNOWN);
		assert_has(k.q.note, rows[i].note);
		if (rows[i].counts) {
			const time_t at = rows[i].at == 1 ? CM_NEVER_ISSUED : k.known.now + rows[i].at;

			assert_int_equal(k.q.answer.on_hold, rows[i].on_hold);
			assert_in_range(k.q.answer.revoked_at, at, rows[i].at == 1 ? at : at + 5);
		}
		end(&k);
	}
}

/* Said twice, once each way: the worse counts. */
static void
twice_and_once_revoked(void **state)
{
	static const struct cm_trust_options o;
	struct asked k;

	(void)state;
	begin(&k, &o);
	hear(&k, &(const struct answer){ .but_revoked = true, .reason = STOLEN, .to = HOUR }, true);
	assert_int_equal(k.status, CM_STATUS_REVOKED);
	end(&k);
}

/* Asked with either hash, answered with either. */
static void
either_hash(void **state)
{
	(void)state;
	for (int asked = CM_TRUST_SHA1; asked <= CM_TRUST_SHA256; asked++)
		for (int answered = 0; answered < 2; answered++) {
			const struct cm_trust_options o = { .ocsp_hash = asked };
			struct answer a = { .to = HOUR };
			struct asked k;

			*(answered == 0 ? &a.sha1 : &a.sha256) = true;
			begin(&k, &o);
			hear(&k, &a, true);
			assert_int_equal(k.status, CM_STATUS_GOOD);
			a.other_serial = true;
			hear(&k, &a, true);
			assert_int_equal(k.q.objection, CM_OBJECTION_OTHER_CERTIFICATE);
			end(&k);
		}
}

/* RFC 5019: who asked by GET sent no nonce, and takes what a cache has. */
static void
nonces(void **state)
{
	static const struct row {
		bool posted, required;
		int nonce;
		enum cm_objection o;
	} rows[] = {
		{ true, false, NONCE_KEPT, CM_OBJECTION_NONE }, { true, true, NONCE_KEPT, CM_OBJECTION_NONE },
		{ true, false, NONCE_NONE, CM_OBJECTION_NONE }, { true, true, NONCE_NONE, CM_OBJECTION_NO_NONCE },
		{ true, false, NONCE_OTHER, CM_OBJECTION_OTHER_NONCE }, { true, true, NONCE_OTHER, CM_OBJECTION_OTHER_NONCE },
		{ false, false, NONCE_KEPT, CM_OBJECTION_NONE }, { false, false, NONCE_NONE, CM_OBJECTION_NONE },
		{ false, false, NONCE_OTHER, CM_OBJECTION_NONE },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct cm_trust_options o = { .require_nonce = rows[i].required };
		const struct answer a = { .to = HOUR, .nonce = rows[i].nonce };
		struct asked k;

		begin(&k, &o);
		hear(&k, &a, rows[i].posted);
		assert_int_equal(k.q.objection, rows[i].o);
		end(&k);
	}
}

/* trust.undated_max, where an answer names no end. */
static void
undated(void **state)
{
	static const struct {
		int64_t max;
		long from;
		bool good;
	} rows[] = {
		{ 0, -HOUR, true }, { 0, -HOUR - 10 * MIN, false }, { 600, -10 * MIN, true }, { 600, -20 * MIN, false },
		{ DAY, -DAY, true }, { DAY, -DAY - 10 * MIN, false },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct cm_trust_options o = { .undated_max = rows[i].max };
		const struct answer a = { .from = rows[i].from };
		struct asked k;

		begin(&k, &o);
		hear(&k, &a, true);
		assert_int_equal(k.q.objection, rows[i].good ? CM_OBJECTION_NONE : CM_OBJECTION_STALE);
		end(&k);
	}
}

/* What is handed on as evidence, and nothing of an answer before it. */
static void
what_it_said(void **state)
{
	static const struct cm_trust_options o;
	struct asked k;

	(void)state;
	begin(&k, &o);
	snprintf(k.q.answer.source, sizeof(k.q.answer.source), "OCSP here");
	hear(&k, &(const struct answer){ .status = REVOKED, .reason = HOLD, .to = HOUR }, true);
	assert_true(k.q.answer.on_hold);
	hear(&k, &(const struct answer){ .from = -HOUR, .signer = "inter" }, true);
	assert_int_equal(k.status, CM_STATUS_GOOD);
	assert_false(k.q.answer.on_hold);
	assert_int_equal(k.q.answer.revoked_at, 0);
	assert_int_equal(k.q.answer.next_update, 0);
	assert_in_range(k.q.answer.this_update, k.known.now - HOUR, k.known.now - HOUR + 5);
	assert_has(k.q.answer.signer, "CN=Cardmap Test Issuing CA");
	assert_string_equal(k.q.answer.source, "OCSP here");
	hear(&k, &(const struct answer){ .to = HOUR }, true);
	assert_in_range(k.q.answer.next_update, k.known.now + HOUR, k.known.now + HOUR + 5);
	assert_has(k.q.answer.signer, "CN=Cardmap Test OCSP");
	assert_false(k.q.answer.by_list);
	end(&k);
}

/* A responder whose own certificate is known to be revoked says nothing any more, whether it is to be checked or not. */
static void
revoked_responders(void **state)
{
	static const struct row {
		const char *signer;
		bool known, on_hold;
		const char *why, *note;
	} rows[] = {
		{ "ocsp", false, false, "", "" },
		{ "ocsp", true, false, "its signer was revoked", "" },
		{ "ocsp", true, true, "its signer is on hold", "" },
		{ "ocsp-checkable", false, false, "", "of whose own revocation nothing is known" },
		{ "ocsp-checkable", true, false, "its signer was revoked", "" },
	};
	static const struct cm_trust_options o;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		X509 *signer = load_x509(rows[i].signer);
		struct cm_evidence e;
		struct asked k;

		begin(&k, &o);
		assert_int_equal(cm_evidence_name(signer, k.q.issuer, &e), CM_OK);
		e.status = CM_STATUS_REVOKED;
		e.on_hold = rows[i].on_hold;
		k.known.evidence = &e;
		k.known.count = rows[i].known;
		hear(&k, &(const struct answer){ .signer = rows[i].signer, .to = HOUR }, true);
		assert_int_equal(k.q.objection, rows[i].known ? CM_OBJECTION_UNAUTHORISED : CM_OBJECTION_NONE);
		assert_has(cm_buf_str(&k.q.why), rows[i].why);
		assert_string_equal(rows[i].known ? "" : k.q.note, rows[i].known ? "" :
		    rows[i].note[0] == '\0' ? "" : ", by a responder of whose own revocation nothing is known");
		end(&k);
		X509_free(signer);
	}
}

/* Of a responder that is to be checked, the lists that are here tell. */
static void
responders_on_lists(void **state)
{
	static const struct row {
		const char *signer;
		int reason;
		bool use_crl, heard;
		const char *note;
	} rows[] = {
		{ "ocsp-checkable", NO_ENTRY, true, true, "" },
		{ "ocsp-checkable", KEY_COMPROMISE, true, false, "" },
		{ "ocsp-checkable", ON_HOLD, true, false, "" },
		{ "ocsp-checkable", KEY_COMPROMISE, false, true, "nothing is known" },
		{ "ocsp", KEY_COMPROMISE, true, true, "" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const char *const anchors[] = { PKI("inter.crt"), NULL };
		const struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = anchors, .crl_dir = scratch("lists"),
		    .crl_keep = true, .use_crl = rows[i].use_crl, .crl_max = 1 << 20 };
		const struct crl_recipe recipe = { .issuer = "inter", .names = rows[i].signer, .reason = rows[i].reason,
		    .from = -HOUR + 60 * (long)i, .to = HOUR };
		struct cm_trust *tr = NULL;
		struct asked k;
		int len;
		uint8_t *der = make_crl(&recipe, &len);

		write_bytes(scratch("of-signer.crl"), der, (size_t)len);
		OPENSSL_free(der);
		assert_int_equal(cm_trust_open(&o, NULL, &tr), CM_OK);
		begin(&k, &o);
		k.q.trust = tr;
		assert_int_equal(cm_crl_ask_file(&k.q, scratch("of-signer.crl")), CM_STATUS_GOOD);	/* and it is kept */
		hear(&k, &(const struct answer){ .signer = rows[i].signer, .to = HOUR }, true);
		assert_int_equal(k.q.objection, rows[i].heard ? CM_OBJECTION_NONE : CM_OBJECTION_UNAUTHORISED);
		assert_has(cm_buf_str(&k.q.why), rows[i].heard ? "" : "its signer was revoked, says a list");
		assert_has(k.q.note, rows[i].note);
		assert_int_equal(k.q.note[0] == '\0', rows[i].note[0] == '\0');
		end(&k);
		cm_trust_close(&tr);
	}
}

/* A signer's name that is too long for evidence ends with a whole character, whatever room there is. */
static void
long_names(void **state)
{
	static const char unit[] = "Z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x92\xb3";
	X509_NAME *name = X509_NAME_new();
	struct cm_buf whole;
	char cut[300];

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_UTF8, (const uint8_t *)unit, -1, -1, 0), 1);
	cm_buf_init(&whole, 0);
	cm_name_text(name, &whole);
	assert_true(whole.len > sizeof(cut));
	for (size_t size = 1; size <= sizeof(cut); size++) {
		size_t at = 0, n = 1;

		cm_name_cut(name, cut, size);
		assert_in_range(strlen(cut), size > 4 ? size - 4 : 0, size - 1);
		assert_memory_equal(cut, cm_buf_str(&whole), strlen(cut));
		for (; at < strlen(cut) && n > 0; at += n)
			n = cm_utf8_length((const uint8_t *)cut + at, strlen(cut) - at);
		assert_int_equal(at, strlen(cut));
	}
	cm_buf_free(&whole);
	X509_NAME_free(name);
}

/* Not OCSP at all. */
static void
other_bytes(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = { { "", 0 }, { "<html>", 6 }, { "\x30\x03\x0a\x01", 4 }, { "\x30\x03\x0a\x01\x00", 5 }, { "\x30\x80", 2 },
		{ "\x30\x84\xff\xff\xff\xff", 6 } };
	static const struct cm_trust_options o;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct asked k;

		begin(&k, &o);
		assert_int_equal(cm_ocsp_judge(&k.q, (struct cm_blob){ (const uint8_t *)rows[i].bytes, rows[i].len }, k.request,
		    true), CM_STATUS_UNKNOWN);
		assert_int_equal(k.q.objection, CM_OBJECTION_NOT_OCSP);
		end(&k);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_by_its_name),
		cmocka_unit_test(revoked),
		cmocka_unit_test(twice_and_once_revoked),
		cmocka_unit_test(either_hash),
		cmocka_unit_test(nonces),
		cmocka_unit_test(undated),
		cmocka_unit_test(what_it_said),
		cmocka_unit_test(revoked_responders),
		cmocka_unit_test(responders_on_lists),
		cmocka_unit_test(long_names),
		cmocka_unit_test(other_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
