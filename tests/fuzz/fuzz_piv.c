/*
 * tests/fuzz/fuzz_piv.c - a card's answers, through a whole login.
 *
 * The first byte chooses what the card can do and which key its certificate
 * names; then come its answers, each behind two bytes of length.  When there
 * are no more the card is gone.
 */
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "card/card_internal.h"

#define EXTENDED	0x01
#define T0		0x02
#define RSA		0x04
#define KNOWN		0x08	/* its certificate was kept */
#define CHANGE		0x10	/* its PIN is changed, instead of a login */
#define PAD		0x20	/* the reader takes the PIN */
#define SECRET		0x40	/* it tells of retired keys, and opens what is sealed, besides */
#define OTHERS		0x80	/* its other slots are looked into before the PIN */

#define CHECK(x)	do { if (!(x)) { fprintf(stderr, "%d: %s\n", __LINE__, #x); abort(); } } while (0)

struct answers {
	const uint8_t *p;
	size_t left;
	bool extended, locked;
	unsigned commands, pins;
};

static enum cm_err
transmit(void *self, struct cm_blob command, cm_deadline deadline, struct cm_trace *t,
    struct cm_buf *answer)
{
	struct answers *a = self;
	size_t len;

	(void)deadline;
	CHECK(command.len >= 4 && (a->extended || command.len <= 4 + 1 + 255 + 1));
	a->commands++;
	if (command.ptr[1] == 0x20 && command.len > 5) {
		CHECK(a->locked && command.len == 5 + 8);
		a->pins++;
	}
	if (command.ptr[1] == 0x24) {
		CHECK(a->locked && command.len == 5 + 16);
		a->pins++;
	}
	if (a->left < 2)
		return cm_trace_fail(t, CM_REASON_CARD_REMOVED, "no more answers");
	len = (size_t)a->p[0] << 8 | a->p[1];
	a->p += 2;
	a->left -= 2;
	if (len > a->left)
		len = a->left;
	cm_buf_add(answer, a->p, len);
	a->p += len;
	a->left -= len;
	return cm_buf_status(answer);
}

static enum cm_err
lock(void *self, cm_deadline deadline, struct cm_trace *t)
{
	(void)deadline, (void)t;
	((struct answers *)self)->locked = true;
	return CM_OK;
}

static enum cm_err
unlock(void *self, cm_deadline deadline, struct cm_trace *t)
{
	(void)deadline, (void)t;
	((struct answers *)self)->locked = false;
	return CM_OK;
}

/* The answer's own bytes come from the same place; none of them is a command of ours. */
static enum cm_err
pad(void *self, struct cm_blob structure, cm_deadline deadline, struct cm_trace *t, struct cm_buf *answer)
{
	static const uint8_t ask[] = { 0x00, 0x20, 0x00, 0x80 };
	struct answers *a = self;

	CHECK(a->locked && structure.len == 19 + 13);
	a->pins++;
	return transmit(a, (struct cm_blob){ ask, sizeof(ask) }, deadline, t, answer);
}

static void
let_go(void *self, bool reset)
{
	const struct answers *a = self;

	CHECK(reset == (a->pins > 0));
}

static const struct cm_wire_ops ops = { transmit, lock, unlock, let_go, pad };

/* A certificate for a key of this kind, so that signatures are parsed whatever the card's own says. */
static struct cm_cert *
make_cert(EVP_PKEY *key)
{
	X509 *x = X509_new();
	uint8_t *der = NULL;
	struct cm_cert *cert = NULL;
	int len;

	CHECK(key != NULL && x != NULL && X509_set_version(x, 2) == 1);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
	    (const unsigned char *)"alice", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	CHECK(X509_sign(x, key, EVP_sha256()) > 0);
	CHECK((len = i2d_X509(x, &der)) > 0);
	CHECK(cm_cert_decode((struct cm_blob){ der, (size_t)len }, NULL, &cert) == CM_OK);
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
	return cert;
}

static struct {		/* made once */
	struct cm_cert *rsa, *ec;
	struct cm_secret *pin;
} made;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	made.rsa = make_cert(EVP_RSA_gen(2048));
	made.ec = make_cert(EVP_EC_gen("P-256"));
	CHECK(cm_secret_new(cm_blob_str("40718259"), &made.pin) == CM_OK);
	return 0;
}

static enum cm_err
recognise(void *arg, struct cm_blob guid, cm_deadline deadline, struct cm_trace *t,
    struct cm_card_known *out)
{
	(void)deadline, (void)t;
	CHECK(guid.len == 16);
	cm_buf_add_blob(&out->certificate, cm_cert_der(arg));
	return CM_OK;
}

static void
change(struct cm_card *c)
{
	const struct cm_card_pins pins = { made.pin, made.pin, false };
	unsigned left = 0;

	(void)!cm_card_change_pin(c, &pins, cm_deadline_in(60000), NULL, &left);
	CHECK(c->stats.verifies <= 1);
}

static void
log_in(struct cm_card *c, const struct cm_cert *known, unsigned tries)
{
	const cm_deadline deadline = cm_deadline_in(60000);
	struct cm_cert *cert = NULL;
	struct cm_proof *proof = NULL;
	unsigned left = 0;
	enum cm_err err;

	if (cm_card_certificate(c, CM_SLOT_AUTHENTICATION, deadline, NULL, &cert) == CM_OK)
		CHECK(cm_cert_der(cert).len <= CM_CERT_MAX);
	err = cm_card_has_pad(c) ? cm_card_verify_pad(c, false, deadline, NULL, &left) :
	    cm_card_verify_pin(c, made.pin, false, deadline, NULL, &left);
	if (err == CM_OK)
		CHECK(c->stats.verifies == 1 && tries > 1);
	/* Its key was made a moment ago: no card can prove that it has it. */
	CHECK(cm_card_prove(c, CM_SLOT_AUTHENTICATION, known, deadline, NULL, &proof) != CM_OK);
	CHECK(proof == NULL && c->stats.verifies <= 1);
	cm_cert_free(&cert);
	if (cm_card_is_cached(c) && cm_card_read_again(c, CM_SLOT_AUTHENTICATION, deadline, NULL, &cert) == CM_OK)
		CHECK(!cm_card_is_cached(c) && cm_cert_der(cert).len <= CM_CERT_MAX);
	cm_cert_free(&cert);
}

struct seen {
	size_t count;
	uint8_t slots[24];
};

static enum cm_err
see_other(void *arg, enum cm_slot slot, struct cm_cert *cert)
{
	struct seen *seen = arg;

	CHECK(cm_slot_is_for_login(slot) && cm_cert_is_for_login(cert) && cm_cert_der(cert).len <= CM_CERT_MAX);
	CHECK(seen->count < sizeof(seen->slots) && memchr(seen->slots, (int)slot, seen->count) == NULL);
	seen->slots[seen->count++] = (uint8_t)slot;
	return CM_OK;
}

/* Nothing of it is unlocked, and others may use the card again behind it. */
static void
look_into_others(struct cm_card *c, const struct answers *a)
{
	static const uint8_t slots[] = { CM_SLOT_SIGNATURE, 0x82, 0x83, 0x95 };
	struct seen seen = { .count = 0 };
	const struct cm_card_slots wanted = { slots, sizeof(slots), see_other, &seen };

	if (cm_card_others(c, &wanted, cm_deadline_in(60000), NULL) == CM_OK)
		CHECK(!a->locked && seen.count <= sizeof(slots));
	CHECK(a->pins == 0 && c->stats.key_operations == 0);
}

static void
open_secret(struct cm_card *c, bool rsa)
{
	static const uint8_t sealed[256] = { 4 };
	const struct cm_blob input = { sealed, rsa ? 256 : 65 };
	struct cm_buf raw = { .secret = true };
	struct cm_card_history h;
	struct cm_cert *cert = NULL;

	if (cm_card_key_history(c, cm_deadline_in(60000), NULL, &h) != CM_OK)
		CHECK(h.with == 0 && h.without == 0);
	CHECK(h.with + h.without <= 20);
	if (cm_card_certificate(c, CM_SLOT_RETIRED_LAST, cm_deadline_in(60000), NULL, &cert) == CM_OK)
		CHECK(cm_cert_der(cert).len <= CM_CERT_MAX);
	cm_cert_free(&cert);
	if (cm_card_decipher(c, CM_SLOT_KEY_MANAGEMENT, input, cm_deadline_in(60000), NULL, &raw) == CM_OK)
		CHECK(raw.len == (rsa ? 256 : 32));
	else
		CHECK(raw.len == 0);
	cm_buf_free(&raw);
}

static void
run(struct cm_card *c, struct cm_cert *known, uint8_t flags, const struct answers *a)
{
	const struct cm_card_recogniser r = { .recognise = recognise, .arg = known };
	unsigned tries = 0;

	c->recogniser = (flags & KNOWN) != 0 ? &r : NULL;
	if (cm_piv_start(c, CM_CARD_LOGIN, cm_deadline_in(60000), NULL) != CM_OK)
		return;
	c->recogniser = NULL;
	CHECK(cm_card_guid(c).len == 0 || cm_card_guid(c).len == 16);
	if (cm_card_pin_tries(c, cm_deadline_in(60000), NULL, &tries) == CM_OK)
		CHECK(tries < 16 || tries == CM_TRIES_UNKNOWN);
	if ((flags & OTHERS) != 0)
		look_into_others(c, a);
	if ((flags & CHANGE) != 0)
		change(c);
	else
		log_in(c, known, tries);
	if ((flags & SECRET) != 0)
		open_secret(c, (flags & RSA) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_card *c = calloc(1, sizeof(*c));
	struct answers a = { 0 };
	uint8_t flags;

	if (c == NULL || size < 1) {
		free(c);
		return 0;
	}
	flags = data[0];
	a = (struct answers){ .p = data + 1, .left = size - 1,
		.extended = (flags & (EXTENDED | T0)) == EXTENDED };
	c->backend = &cm_backend_piv;
	c->wire = (struct cm_wire){ .ops = &ops, .self = &a, .extended = a.extended, .t0 = (flags & T0) != 0,
	    .has_pad = (flags & PAD) != 0 };
	run(c, (flags & RSA) != 0 ? made.rsa : made.ec, flags, &a);
	CHECK(a.commands == c->stats.commands && a.pins == c->stats.verifies);
	cm_card_close(&c);
	return 0;
}
