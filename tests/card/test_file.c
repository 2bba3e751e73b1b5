/* tests/card/test_file.c - card files: PEM in any order, the PIN as password, proof. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "card/card.h"

#define PIN	"40718259"

static char dir[] = "/tmp/cm-card-file-XXXXXX";
static char source[512];

static struct cm_buf
pki(const char *name, const char *type)
{
	struct cm_buf b = { 0 };
	char path[512];

	snprintf(path, sizeof(path), "%s/%s.%s", CM_PKI_DIR, name, type);
	assert_int_equal(cm_file_read(path, 1 << 20, CM_FILE_ANY, NULL, &b), CM_OK);
	return b;
}

static EVP_PKEY *
key_of(const char *name)
{
	struct cm_buf b = pki(name, "key");
	BIO *in = BIO_new_mem_buf(b.ptr, (int)b.len);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);

	assert_non_null(key);
	BIO_free(in);
	cm_buf_free(&b);
	return key;
}

/* How the key is written. */
enum form { PLAIN, PKCS8, TRADITIONAL };

static void
write_key(FILE *f, const char *name, enum form form)
{
	EVP_PKEY *key = key_of(name);
	BIO *out = BIO_new_fp(f, BIO_NOCLOSE);
	const unsigned char *pin = (const unsigned char *)PIN;
	int ok = 0;

	if (form == PLAIN)
		ok = PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
	else if (form == PKCS8)
		ok = PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_256_cbc(), PIN, 8, NULL, NULL);
	else
		ok = PEM_write_bio_PrivateKey_traditional(out, key, EVP_aes_256_cbc(), pin, 8, NULL,
		    NULL);
	assert_int_equal(ok, 1);
	BIO_free(out);
	EVP_PKEY_free(key);
}

static void
write_cert(FILE *f, const char *name)
{
	struct cm_buf b = pki(name, "crt");

	fwrite(b.ptr, 1, b.len, f);
	cm_buf_free(&b);
}

/* "alice.pem" with these parts in order: c:NAME a certificate, k:NAME a key, t:TEXT some text. */
static const char *
card_file(enum form form, const char *const *parts)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/alice.pem", dir);
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fchmod(fileno(f), 0600), 0);
	for (; *parts != NULL; parts++) {
		if (**parts == 'c')
			write_cert(f, *parts + 2);
		else if (**parts == 'k')
			write_key(f, *parts + 2, form);
		else
			fputs(*parts + 2, f);
	}
	assert_int_equal(fclose(f), 0);
	snprintf(source, sizeof(source), "file:%s", path);
	return source;
}

/* As a login does it, up to the first failure. */
static enum cm_err
login(const char *from, const char *pin_text, struct cm_trace *t, struct cm_card_stats *stats)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	struct cm_secret *pin = NULL;
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;
	struct cm_proof *proof = NULL;
	unsigned tries = 0, left = 0;
	enum cm_err err;

	cm_trace_clear_reason(t);
	assert_int_equal(cm_secret_new(cm_blob_str(pin_text), &pin), CM_OK);
	if ((err = cm_card_open(from, CM_CARD_LOGIN, deadline, t, &card)) != CM_OK ||
	    (err = cm_card_certificate(card, CM_SLOT_AUTHENTICATION, deadline, t, &cert)) != CM_OK ||
	    (err = cm_card_pin_tries(card, deadline, t, &tries)) != CM_OK ||
	    (err = cm_card_verify_pin(card, pin, false, deadline, t, &left)) != CM_OK ||
	    (err = cm_card_prove(card, CM_SLOT_AUTHENTICATION, cert, deadline, t, &proof)) != CM_OK)
		goto out;
	assert_int_equal(tries, CM_TRIES_UNKNOWN);
	assert_true(cm_proof_is_for(proof, cert));
	*stats = cm_card_stats(card);
out:
	if (err != CM_OK)
		assert_null(proof);
	cm_proof_free(&proof);
	cm_cert_free(&cert);
	cm_card_close(&card);
	cm_secret_free(&pin);
	return err;
}

static const struct row {
	enum form form;
	const char *parts[5];
	const char *pin;
	enum cm_reason reason;
} rows[] = {
	{ PLAIN, { "c:alice-rsa2048", "k:alice-rsa2048" }, PIN, CM_REASON_NONE },
	{ PLAIN, { "k:alice-rsa2048", "c:alice-rsa2048" }, PIN, CM_REASON_NONE },
	{ PLAIN, { "k:alice-p256", "c:alice-p256", "c:inter", "c:root" }, PIN, CM_REASON_NONE },
	{ PLAIN, { "t:about\n", "c:alice-p384", "t:\nmore\n", "k:alice-p384" }, PIN, CM_REASON_NONE },
	{ PLAIN, { "c:alice-rsa4096", "k:alice-rsa4096" }, "any pin", CM_REASON_NONE },
	{ PKCS8, { "c:alice-rsa2048", "k:alice-rsa2048" }, PIN, CM_REASON_NONE },
	{ PKCS8, { "k:alice-p256", "c:alice-p256" }, PIN, CM_REASON_NONE },
	{ TRADITIONAL, { "k:alice-p256", "c:alice-p256" }, PIN, CM_REASON_NONE },
	{ PKCS8, { "k:alice-p256", "c:alice-p256" }, "1234567", CM_REASON_PIN_WRONG },
	{ PKCS8, { "k:alice-p256", "c:alice-p256" }, "", CM_REASON_PIN_WRONG },
	{ TRADITIONAL, { "c:alice-rsa2048", "k:alice-rsa2048" }, "30927461", CM_REASON_PIN_WRONG },
	/* copied public certificate without the key (CVE-2025-24032) */
	{ PLAIN, { "c:alice-rsa2048", "k:bob" }, PIN, CM_REASON_CARD_KEY },
	{ PLAIN, { "c:alice-rsa2048", "k:alice-p256" }, PIN, CM_REASON_CARD_KEY },
	{ PLAIN, { "c:alice-rsa2048" }, PIN, CM_REASON_CARD_FILE },
	{ PLAIN, { "k:alice-rsa2048" }, PIN, CM_REASON_CARD_FILE },
	{ PLAIN, { "t:-----BEGIN CERTIFICATE-----\nAAAA\n" }, PIN, CM_REASON_CARD_FILE },
	{ PLAIN, { "t:-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }, PIN,
	    CM_REASON_CERT_MALFORMED },
	{ PLAIN, { "t:" }, PIN, CM_REASON_CARD_FILE },
};

static void
test_card_files(void **state)
{
	struct cm_trace *t = *state;

	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct row *r = &rows[i];
		struct cm_card_stats stats = { 0 };
		const enum cm_err err = login(card_file(r->form, r->parts), r->pin, t, &stats);

		if (cm_trace_reason(t) != r->reason || err != cm_reason_err(r->reason))
			fail_msg("row %zu: %s: %s", i, cm_err_name(err), cm_trace_message(t));
		if (err == CM_OK)
			assert_int_equal(stats.key_operations, 1);
		assert_int_equal(stats.commands, 0);
	}
}

static void
test_what_the_trace_says(void **state)
{
	static const char *const parts[] = { "c:alice-p256", "k:alice-p256", NULL };
	struct cm_trace *t = NULL;
	struct cm_card_stats stats;
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/alice.pem", dir);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "test");
	assert_int_equal(login(card_file(PKCS8, parts), PIN, t, &stats), CM_OK);
	assert_null(cm_trace_find(t, "pin"));
	assert_int_equal(login(card_file(PLAIN, parts), PIN, t, &stats), CM_OK);
	assert_string_equal(cm_trace_find(t, "pin"),
	    "key file is not encrypted: no PIN was checked");
	assert_null(cm_trace_find(t, "warning"));
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(login(source, PIN, t, &stats), CM_OK);
	assert_non_null(strstr(cm_trace_find(t, "warning"), "chmod 600"));
	cm_trace_end(t, CM_OK);
	cm_trace_free(&t);
}

/* whois on somebody's encrypted file needs no password. */
static void
test_certificate_without_a_pin(void **state)
{
	static const char *const parts[] = { "k:alice-p256", "c:alice-p256", NULL };
	const cm_deadline deadline = cm_deadline_in(10000);
	static const uint8_t digest[32];
	struct cm_buf signature = { 0 };
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;

	assert_int_equal(cm_card_open(card_file(PKCS8, parts), CM_CARD_LOOK, deadline, *state,
	    &card), CM_OK);
	assert_string_equal(cm_card_where(card), source);
	assert_int_equal(cm_card_certificate(card, CM_SLOT_AUTHENTICATION, deadline, *state, &cert),
	    CM_OK);
	/* and without one nothing is signed */
	assert_int_equal(cm_card_sign(card, CM_SLOT_AUTHENTICATION, cert, "SHA256",
	    (struct cm_blob){ digest, sizeof(digest) }, deadline, *state, &signature),
	    CM_ERR_REFUSED);
	assert_int_equal(signature.len, 0);
	cm_cert_free(&cert);
	cm_card_close(&card);
}

static void
test_files_that_cannot_be_read(void **state)
{
	struct cm_card *card = NULL;
	static const char *const sources[] = { "file:", "file:/nonexistent/alice.pem", "file:/tmp",
		"file:/dev/zero", "file" };

	for (size_t i = 0; i < CM_COUNT(sources); i++) {
		assert_int_equal(cm_card_open(sources[i], CM_CARD_LOOK, cm_deadline_in(1000), *state,
		    &card), CM_ERR_CONFIG);
		assert_int_equal(cm_trace_reason(*state), CM_REASON_CARD_FILE);
		assert_null(card);
	}
}

static int
setup(void **state)
{
	return mkdtemp(dir) != NULL && cm_trace_new((struct cm_trace **)state) == CM_OK ? 0 : -1;
}

static int
teardown(void **state)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/alice.pem", dir);
	unlink(path);
	rmdir(dir);
	cm_trace_free((struct cm_trace **)state);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_card_files),
		cmocka_unit_test(test_what_the_trace_says),
		cmocka_unit_test(test_certificate_without_a_pin),
		cmocka_unit_test(test_files_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
