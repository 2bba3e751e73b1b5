/* tests/trust/test_ocsp_import.c - OCSP responses from files: whose, about whom, and what they may change. */
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/trust/fixture.h"
#include "trust/trust_internal.h"

#define GOOD	V_OCSP_CERTSTATUS_GOOD
#define REVOKED	V_OCSP_CERTSTATUS_REVOKED
#define HOLD	OCSP_REVOKED_STATUS_CERTIFICATEHOLD
#define STOLEN	OCSP_REVOKED_STATUS_KEYCOMPROMISE
#define HOUR	3600

/* What is kept: one row for each certificate, as the caller's evidence. */
struct kept {
	struct cm_evidence e[8];
	size_t count;
	bool full;		/* nothing more goes in */
};

static struct cm_evidence *
row_of(struct kept *k, const struct cm_evidence *e)
{
	for (size_t i = 0; i < k->count; i++)
		if (k->e[i].serial_len == e->serial_len && memcmp(k->e[i].serial, e->serial, e->serial_len) == 0 &&
		    memcmp(k->e[i].issuer_key, e->issuer_key, 32) == 0)
			return &k->e[i];
	return NULL;
}

static enum cm_err
find(void *arg, struct cm_evidence *e)
{
	const struct cm_evidence *row = row_of(arg, e);

	if (row == NULL)
		return CM_ERR_ABSENT;
	*e = *row;
	return CM_OK;
}

static enum cm_err
keep(void *arg, const struct cm_evidence *e)
{
	struct kept *k = arg;
	struct cm_evidence *row = row_of(k, e);

	if (k->full)
		return CM_ERR_SYSTEM;
	if (row == NULL && k->count == CM_COUNT(k->e))
		return CM_ERR_NOMEM;
	*(row != NULL ? row : &k->e[k->count++]) = *e;
	return CM_OK;
}

static const char *
why(void *arg)
{
	(void)arg;
	return "the disk is full";
}

/* What a file is and what came of it. */
struct imported {
	enum cm_err err;
	enum cm_reason reason;
	char message[1024], ocsp[1024], out[1024];
	unsigned progress;
};

static void
count_progress(void *arg, const char *path, uint64_t done, uint64_t total)
{
	assert_has(path, "/");
	assert_true(done <= total || total == 0);
	++*(unsigned *)arg;
}

static const char *const anchors[] = { PKI("root.crt"), NULL }, *const inters[] = { PKI("inter.crt"), NULL };
static const struct cm_trust_options usual = { .level = CM_TRUST_HARD, .anchors = anchors, .intermediates = inters,
    .use_ocsp = true, .ocsp_max = 65536, .crl_max = 1 << 20 };

static struct imported
import_with(const char *path, struct kept *k, const struct cm_trust_options *o, struct cm_blob issuer)
{
	const struct cm_keeper keeper = { .arg = k, .find = find, .keep = keep, .why = why };
	const struct cm_known known = { .now = time(NULL), .keeper = k != NULL ? &keeper : NULL };
	struct imported r = { 0 };
	const struct cm_trust_import i = { .path = path, .issuers = &issuer, .issuer_count = issuer.len > 0,
	    .progress = count_progress, .arg = &r.progress };
	struct cm_trust *tr = NULL;
	struct cm_trace *t = NULL;
	struct cm_buf out;

	cm_buf_init(&out, 0);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "import");
	assert_int_equal(cm_trust_open(o, t, &tr), CM_OK);
	r.err = cm_trust_import(tr, &i, &known, t, &out);
	r.reason = cm_trace_reason(t);
	snprintf(r.message, sizeof(r.message), "%s", cm_trace_message(t));
	snprintf(r.ocsp, sizeof(r.ocsp), "%s", cm_trace_find(t, "ocsp") != NULL ? cm_trace_find(t, "ocsp") : "");
	snprintf(r.out, sizeof(r.out), "%s", cm_buf_str(&out));
	assert_int_equal(r.err == CM_OK, r.out[0] != '\0');
	assert_int_equal(r.err == CM_OK, r.reason == CM_REASON_NONE);
	cm_buf_free(&out);
	cm_trust_close(&tr);
	cm_trace_free(&t);
	return r;
}

static struct imported
import(const char *path, struct kept *k)
{
	return import_with(path, k, &usual, (struct cm_blob){ NULL, 0 });
}

/* The answer to a question about these certificates of this CA's, as it would be posted. */
static uint8_t *
answer_of(const char *issuer, const char *const *names, const struct answer *a, int *len)
{
	OCSP_REQUEST *request = OCSP_REQUEST_new();
	X509 *inter = load_x509(issuer);
	uint8_t *asked = NULL, *der;
	int asked_len;

	for (; *names != NULL; names++) {
		X509 *cert = load_x509(*names);

		assert_non_null(OCSP_request_add0_id(request, OCSP_cert_to_id(EVP_sha1(), cert, inter)));
		X509_free(cert);
	}
	assert_int_equal(OCSP_request_add1_nonce(request, NULL, 32), 1);
	asked_len = i2d_OCSP_REQUEST(request, &asked);
	der = make_answer(a, asked, (size_t)asked_len, len);
	OPENSSL_free(asked);
	OCSP_REQUEST_free(request);
	X509_free(inter);
	return der;
}

static uint8_t *
answer_about(const char *const *names, const struct answer *a, int *len)
{
	return answer_of("inter", names, a, len);
}

static const char *
answer_file(const char *name, const char *const *names, const struct answer *a)
{
	const char *path = scratch(name);
	int len;
	uint8_t *der = answer_about(names, a, &len);

	write_bytes(path, der, (size_t)len);
	OPENSSL_free(der);
	return path;
}

static const char *const alice[] = { "alice-p256", NULL }, *const three[] = { "alice-p256", "bob", "alice-rsa2048", NULL };

/* What is kept is what it said, and when; its age counts from then. */
static void
a_good_answer(void **state)
{
	const struct answer a = { .from = -HOUR, .to = DAY };
	const char *path = answer_file("good.der", alice, &a);
	const time_t now = time(NULL);
	struct kept k = { 0 };
	struct imported r = import(path, &k);
	char source[512];

	(void)state;
	assert_int_equal(r.err, CM_OK);
	assert_string_equal(r.out, "OCSP response of CN=Cardmap Test OCSP,DC=cardmap,DC=test, 1 certificate");
	assert_int_equal(r.progress, 1);
	assert_int_equal(k.count, 1);
	assert_int_equal(k.e[0].status, CM_STATUS_GOOD);
	assert_in_range(k.e[0].this_update, now - HOUR - 5, now - HOUR + 1);
	assert_int_equal(k.e[0].confirmed, k.e[0].this_update);
	assert_in_range(k.e[0].next_update, now + DAY - 5, now + DAY + 1);
	assert_in_range(k.e[0].learned, now, now + 5);
	assert_int_equal(k.e[0].ask_after, 0);
	assert_false(k.e[0].by_list);
	snprintf(source, sizeof(source), "OCSP %s", path);
	assert_string_equal(k.e[0].source, source);
	assert_has(k.e[0].signer, "CN=Cardmap Test OCSP");
}

/* DER and PEM, text before it, several responses in one. */
static void
forms(void **state)
{
	const struct answer good = { .to = DAY }, revoked = { .to = DAY, .status = REVOKED, .reason = STOLEN };
	static const char *const bob[] = { "bob", NULL };
	const char *path = scratch("two.pem");
	struct kept k = { 0 };
	struct imported r;
	int first, second;
	uint8_t *a = answer_about(alice, &good, &first), *b = answer_about(bob, &revoked, &second);
	FILE *f = fopen(path, "w");

	(void)state;
	assert_non_null(f);
	fprintf(f, "Answers of Tuesday\n");
	PEM_write(f, "OCSP RESPONSE", "", a, first);
	PEM_write(f, "OCSP RESPONSE", "", b, second);
	fclose(f);
	r = import(path, &k);
	assert_int_equal(r.err, CM_OK);
	assert_has(r.out, "2 certificates, 1 revoked");
	assert_int_equal(k.count, 2);
	assert_int_equal(k.e[0].status, CM_STATUS_GOOD);
	assert_int_equal(k.e[1].status, CM_STATUS_REVOKED);
	OPENSSL_free(a);
	OPENSSL_free(b);
}

/* Each certificate by itself; either hash; those of others are let be. */
static void
several_certificates(void **state)
{
	struct answer a = { .to = DAY, .others = 2, .sha256 = true };
	struct kept k = { 0 };
	struct imported r = import(answer_file("three.der", three, &a), &k);
	X509 *cert = load_x509("alice-p256"), *inter = load_x509("inter");
	struct cm_evidence of_alice;

	(void)state;
	assert_int_equal(r.err, CM_OK);
	assert_has(r.out, "5 certificates");	/* the others are this CA's too */
	a.but_revoked = true;			/* alice, twice */
	a.reason = STOLEN;
	r = import(answer_file("three.der", three, &a), &k);
	assert_int_equal(r.err, CM_OK);
	assert_has(r.out, "6 certificates, 1 revoked");
	assert_int_equal(cm_evidence_name(cert, inter, &of_alice), CM_OK);
	for (size_t i = 0; i < k.count; i++)
		assert_int_equal(k.e[i].status, row_of(&k, &of_alice) == &k.e[i] ? CM_STATUS_REVOKED : CM_STATUS_GOOD);
	X509_free(cert);
	X509_free(inter);
}

/* What is wrong, or does not count, changes nothing, and is refused by name. */
static void
refused(void **state)
{
	static const struct row {
		struct answer a;
		enum cm_err err;
		const char *part, *name;
	} rows[] = {
		{ { .signer = "ocsp-no-eku", .to = DAY }, CM_ERR_REFUSED, "OCSPSigning", "[unauthorised]" },
		{ { .signer = "ocsp-stranger", .to = DAY }, CM_ERR_REFUSED, "not appointed", "[unauthorised]" },
		{ { .signer = "ocsp-stranger", .status = REVOKED, .to = DAY }, CM_ERR_REFUSED, "not appointed", "[unauthorised]" },
		{ { .spoiled = true, .to = DAY }, CM_ERR_SYNTAX, "signature is wrong", "[signature]" },
		{ { .from = -2 * DAY, .to = -DAY }, CM_ERR_REFUSED, "expired ", "[stale]" },
		{ { .from = DAY, .to = 2 * DAY }, CM_ERR_REFUSED, "ahead of this computer's clock", "[future]" },
		{ { .status = V_OCSP_CERTSTATUS_UNKNOWN, .to = DAY }, CM_ERR_REFUSED, "does not know", "[unknown_certificate]" },
		{ { .extension = "1.2.3.4=critical,ASN1:NULL", .to = DAY }, CM_ERR_SYNTAX, "(1.2.3.4)", "[not_understood]" },
		{ { .other_issuer = true, .to = DAY, .signer = "ocsp" }, CM_ERR_REFUSED, "not appointed", "[unauthorised]" },
		{ { .response_status = 3 }, CM_ERR_SYNTAX, "trylater", "" },
		{ { .trailing = true, .to = DAY }, CM_ERR_SYNTAX, "no OCSP response", "" },
		{ { .ber = true, .to = DAY }, CM_ERR_SYNTAX, "(DER)", "" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct kept k = { 0 };
		const struct imported r = import(answer_file("wrong.der", alice, &rows[i].a), &k);

		if (r.err != rows[i].err)
			print_error("%s\n", r.message);
		assert_int_equal(r.err, rows[i].err);
		assert_int_equal(r.reason, CM_REASON_REVOCATION_DATA);
		assert_has(r.message, rows[i].part);
		assert_has(r.message, "/wrong.der: ");
		assert_has(r.ocsp, rows[i].name);
		assert_int_equal(k.count, 0);
	}
}

/* Files that are no answer. */
static void
other_files(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *part;
	} rows[] = {
		{ "", 0, "is neither" }, { "<html>", 6, "is neither" }, { "\x30\x80", 2, "is neither" }, { "\x30\xff", 2, "is neither" },
		{ "\x30\x03\x0a\x01", 4, "no OCSP response" },
		{ "-----BEGIN CERTIFICATE-----\n", 28, "is neither" },
		{ "-----BEGIN OCSP RESPONSE-----\n!!!!\n-----END OCSP RESPONSE-----\n", 64, "no PEM" },
		{ "-----BEGIN OCSP RESPONSE-----\n", 30, "no PEM" },
		{ "-----BEGIN OCSP RESPONSE-----\nAAAA\n-----END OCSP RESPONSE-----\n", 64, "no OCSP response" },
	};
	struct kept k = { 0 };
	struct imported r;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		write_bytes(scratch("other"), rows[i].bytes, rows[i].len);
		r = import(scratch("other"), &k);
		if (strstr(r.message, rows[i].part) == NULL)
			print_error("%zu\n", i);
		assert_has(r.message, rows[i].part);
		assert_int_equal(r.err, CM_ERR_SYNTAX);
		assert_int_equal(r.reason, CM_REASON_REVOCATION_DATA);
	}
	r = import(scratch("nothing"), &k);
	assert_int_equal(r.err, CM_ERR_SYSTEM);
	assert_has(r.message, "No such file");
	assert_int_equal(mkdir(scratch("folder"), 0700), 0);
	r = import(scratch("folder"), &k);
	assert_int_equal(r.err, CM_ERR_SYSTEM);
	assert_has(r.message, "it is a folder");
	assert_int_equal(mkfifo(scratch("pipe"), 0600), 0);	/* nobody writes there: it must not be waited for */
	r = import(scratch("pipe"), &k);
	assert_int_equal(r.err, CM_ERR_SYSTEM);
	assert_has(r.message, "it is no file");
	assert_int_equal(k.count, 0);
}

/* Known are anchors, intermediates and whoever is named with the file, if the chain verifies. */
static void
issuers(void **state)
{
	static const char *const its_own[] = { "ocsp-stranger", NULL };
	struct cm_trust_options o = usual;
	const struct answer a = { .to = DAY }, stranger = { .to = DAY, .signer = "ocsp-stranger" };
	const char *path = answer_file("whose.der", alice, &a);
	X509 *inter = load_x509("inter"), *lookalike = load_x509("stranger-inter");
	uint8_t *der = NULL, *other = NULL, *answer;
	const int len = i2d_X509(inter, &der), other_len = i2d_X509(lookalike, &other);
	int answer_len;
	struct kept k = { 0 };
	struct imported r;

	(void)state;
	o.intermediates = NULL;
	r = import_with(path, &k, &o, (struct cm_blob){ NULL, 0 });
	assert_int_equal(r.err, CM_ERR_REFUSED);
	assert_has(r.message, "speaks of no certificate of a CA that is known here");
	r = import_with(path, &k, &o, (struct cm_blob){ other, (size_t)other_len });
	assert_int_equal(r.err, CM_ERR_REFUSED);
	r = import_with(path, &k, &o, (struct cm_blob){ (const uint8_t *)"x", 1 });
	assert_int_equal(r.err, CM_ERR_REFUSED);
	assert_int_equal(k.count, 0);
	r = import_with(path, &k, &o, (struct cm_blob){ der, (size_t)len });
	assert_int_equal(r.err, CM_OK);
	assert_int_equal(k.count, 1);

	/* What a CA of no anchor's here says of its own, though it was named with the file. */
	answer = answer_of("stranger-inter", its_own, &stranger, &answer_len);
	write_bytes(path, answer, (size_t)answer_len);
	OPENSSL_free(answer);
	r = import_with(path, &k, &usual, (struct cm_blob){ other, (size_t)other_len });
	assert_int_equal(r.err, CM_ERR_REFUSED);
	assert_has(r.message, "speaks of no certificate of a CA that is known here");

	o.level = CM_TRUST_OFF;
	r = import_with(path, &k, &o, (struct cm_blob){ der, (size_t)len });
	assert_int_equal(r.err, CM_ERR_REFUSED);
	assert_has(r.message, "trust.level is off");
	OPENSSL_free(der);
	OPENSSL_free(other);
	X509_free(inter);
	X509_free(lookalike);
}

/* A CA whose certificate was renewed with its key is one, and each of its certificates is taken once. */
static void
renewed_issuer(void **state)
{
	const struct answer a = { .to = DAY };
	const char *path = answer_file("renewed.der", alice, &a);
	X509 *inter = load_x509("inter"), *renewed = X509_dup(inter);
	EVP_PKEY *root = load_key("root");
	uint8_t *der = NULL;
	struct kept k = { 0 };
	struct imported r;
	int len;

	(void)state;
	ASN1_INTEGER_set(X509_get_serialNumber(renewed), 0x7777);
	assert_true(X509_sign(renewed, root, EVP_sha256()) > 0);
	len = i2d_X509(renewed, &der);
	r = import_with(path, &k, &usual, (struct cm_blob){ der, (size_t)len });
	assert_int_equal(r.err, CM_OK);
	assert_has(r.out, ", 1 certificate");
	assert_null(strstr(r.out, "certificates"));
	assert_int_equal(k.count, 1);
	OPENSSL_free(der);
	EVP_PKEY_free(root);
	X509_free(renewed);
	X509_free(inter);
}

/* What may take the place of what: good answers go forward only, revoked is always taken. */
static void
rollback(void **state)
{
	static const struct row {
		struct answer before, after;
		const char *part;	/* of the refusal; "": taken */
		const char *name;
	} rows[] = {
		{ { .from = -HOUR, .to = DAY }, { .from = -60, .to = DAY }, "", "" },
		{ { .from = -60, .to = DAY }, { .from = -60, .to = DAY }, "", "" },
		{ { .from = -60, .to = DAY }, { .from = -HOUR, .to = DAY }, "older than what is kept", "[rollback]" },
		{ { .from = -60, .to = DAY }, { .from = -HOUR, .to = DAY, .status = REVOKED, .reason = STOLEN }, "", "" },
		{ { .from = -60, .to = DAY }, { .from = -2 * DAY, .to = -DAY, .status = REVOKED, .reason = STOLEN }, "", "" },
		{ { .from = -HOUR, .to = DAY, .status = REVOKED, .reason = STOLEN }, { .from = -60, .to = DAY },
		    "it was revoked before", "[rollback]" },
		{ { .from = -HOUR, .to = DAY, .status = REVOKED, .reason = HOLD }, { .from = -60, .to = DAY },
		    "it was on hold before", "[not_the_end_of_hold]" },
		{ { .from = -HOUR, .to = DAY, .status = REVOKED, .reason = HOLD },
		    { .from = -2 * HOUR, .to = DAY, .status = REVOKED, .reason = STOLEN }, "", "" },
		{ { .from = -60, .to = DAY }, { .from = -HOUR, .to = DAY, .status = REVOKED, .reason = HOLD }, "", "" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct kept k = { 0 };
		struct imported r = import(answer_file("before.der", alice, &rows[i].before), &k);
		struct cm_evidence before;

		assert_int_equal(r.err, CM_OK);
		before = k.e[0];
		r = import(answer_file("after.der", alice, &rows[i].after), &k);
		if ((r.err == CM_OK) != (rows[i].part[0] == '\0'))
			print_error("%zu: %s\n", i, r.message);
		assert_int_equal(r.err, rows[i].part[0] == '\0' ? CM_OK : CM_ERR_REFUSED);
		assert_has(r.message, rows[i].part);
		assert_has(r.ocsp, rows[i].name);
		assert_int_equal(k.count, 1);
		if (r.err != CM_OK)
			assert_memory_equal(&k.e[0], &before, sizeof(before));
		else
			assert_has(k.e[0].source, "after.der");
	}
}

/* What was revoked for good is not made a hold of. */
static void
hold_after_revoked(void **state)
{
	const struct answer revoked = { .from = -HOUR, .to = DAY, .status = REVOKED, .reason = STOLEN },
	    hold = { .from = -60, .to = DAY, .status = REVOKED, .reason = HOLD };
	struct kept k = { 0 };

	(void)state;
	assert_int_equal(import(answer_file("revoked.der", alice, &revoked), &k).err, CM_OK);
	assert_int_equal(import(answer_file("hold.der", alice, &hold), &k).err, CM_OK);
	assert_int_equal(k.e[0].status, CM_STATUS_REVOKED);
	assert_false(k.e[0].on_hold);
	assert_has(k.e[0].source, "revoked.der");
}

/* A large one: each is kept, and how far it is can be shown. */
static void
many_certificates(void **state)
{
	const struct answer a = { .to = DAY, .others = 500, .status = V_OCSP_CERTSTATUS_UNKNOWN };
	struct kept k = { 0 };
	struct imported r = import(answer_file("many.der", alice, &a), &k);

	(void)state;
	assert_int_equal(r.err, CM_ERR_REFUSED);
	assert_has(r.message, "does not know the certificate");
	assert_in_range(r.progress, 30, 32);
	assert_int_equal(k.count, 0);
}

/* A hold that a later list has ended is not told again by an older answer. */
static void
hold_of_before_the_list(void **state)
{
	const struct answer hold = { .from = -HOUR, .to = DAY, .status = REVOKED, .reason = HOLD };
	const char *path = answer_file("hold.der", alice, &hold);
	struct kept k = { 0 };
	struct imported r;

	(void)state;
	assert_int_equal(import(path, &k).err, CM_OK);
	k.e[0].status = CM_STATUS_GOOD;
	k.e[0].on_hold = false;
	k.e[0].by_list = true;
	k.e[0].this_update += 60;
	r = import(path, &k);
	assert_int_equal(r.err, CM_ERR_REFUSED);
	assert_has(r.ocsp, "[rollback]");
	k.e[0].this_update -= 120;
	assert_int_equal(import(path, &k).err, CM_OK);
	assert_int_equal(k.e[0].status, CM_STATUS_REVOKED);
}

/* Where nothing can be kept, that is said. */
static void
nowhere_to_keep(void **state)
{
	const struct answer a = { .to = DAY };
	const char *path = answer_file("good.der", alice, &a);
	struct kept k = { .full = true };
	struct imported r = import(path, &k);

	(void)state;
	assert_int_equal(r.err, CM_ERR_SYSTEM);
	assert_has(r.message, "cannot be kept: the disk is full");
	r = import(path, NULL);
	assert_int_equal(r.err, CM_ERR_SYSTEM);
	assert_has(r.message, "no store");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_answer),
		cmocka_unit_test(forms),
		cmocka_unit_test(several_certificates),
		cmocka_unit_test(refused),
		cmocka_unit_test(other_files),
		cmocka_unit_test(issuers),
		cmocka_unit_test(renewed_issuer),
		cmocka_unit_test(rollback),
		cmocka_unit_test(hold_after_revoked),
		cmocka_unit_test(many_certificates),
		cmocka_unit_test(hold_of_before_the_list),
		cmocka_unit_test(nowhere_to_keep),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
