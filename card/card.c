/* card/card.c - a card of any kind: which, when a PIN may be sent, and proof that it holds the key. */
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "card/card_internal.h"

/* A new kind of card is one row here. */
static const struct cm_backend *const backends[] = {
	&cm_backend_piv,
	&cm_backend_file,
	&cm_backend_token,
};

/* name is what stands behind "PREFIX:", "" when there is no colon. */
static const struct cm_backend *
find_backend(const char *source, const char **name)
{
	const size_t len = strcspn(source, ":");

	*name = source[len] == ':' ? source + len + 1 : "";
	for (size_t i = 0; i < CM_COUNT(backends); i++)
		if (strlen(backends[i]->prefix) == len &&
		    memcmp(backends[i]->prefix, source, len) == 0)
			return backends[i];
	return NULL;
}

/* Its PIV application or file, or the token that the source names. */
static enum cm_err
open_itself(struct cm_card *c, const struct cm_card_from *from, const char *name, cm_deadline deadline, struct cm_trace *t)
{
	enum cm_err err;

	c->recogniser = from->recogniser;
	if ((err = c->backend->open(c, name, from->purpose, deadline, t)) == CM_OK)
		c->recogniser = NULL;
	return err;
}

static enum cm_err
new_card(const struct cm_backend *backend, struct cm_card **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	(*out)->backend = backend;
	return CM_OK;
}

enum cm_err
cm_card_open_from(const struct cm_card_from *from, cm_deadline deadline, struct cm_trace *t, struct cm_card **out)
{
	const char *name = "";
	const struct cm_backend *backend = find_backend(from->source, &name);
	const bool by_module = backend == &cm_backend_piv && from->modules != NULL && from->modules[0] != NULL;
	struct cm_card *c = NULL;
	enum cm_err err = CM_ERR_ABSENT;

	*out = NULL;
	if (backend == NULL)
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "\"%s\" names no card: say reader, reader:NAME, file:PATH or token:PATH", from->source);
	if (!by_module || !from->modules_only) {
		if ((err = new_card(backend, &c)) != CM_OK)
			return err;
		if ((err = open_itself(c, from, name, deadline, t)) != CM_OK)
			cm_card_close(&c);
	}
	/* ABSENT: a card, and no PIV application on it */
	if (by_module && err == CM_ERR_ABSENT) {
		if ((err = new_card(&cm_backend_token, &c)) != CM_OK)
			return err;
		if ((err = cm_token_open_card(c, from, name, deadline, t)) != CM_OK)
			cm_card_close(&c);
	}
	*out = c;
	return err;
}

enum cm_err
cm_card_open(const char *source, enum cm_card_purpose purpose, cm_deadline deadline,
    struct cm_trace *t, struct cm_card **out)
{
	return cm_card_open_from(&(struct cm_card_from){ .source = source, .purpose = purpose }, deadline, t, out);
}

enum cm_err
cm_card_open_known(const char *source, const struct cm_card_recogniser *r, cm_deadline deadline,
    struct cm_trace *t, struct cm_card **out)
{
	return cm_card_open_from(&(struct cm_card_from){ .source = source, .purpose = CM_CARD_LOGIN, .recogniser = r }, deadline, t, out);
}

void
cm_card_close(struct cm_card **c)
{
	if (*c == NULL)
		return;
	(*c)->backend->close(*c);
	cm_cert_free(&(*c)->known);
	cm_buf_free(&(*c)->where);
	free(*c);
	*c = NULL;
}

enum cm_err
cm_card_certificate(struct cm_card *c, enum cm_slot slot, cm_deadline deadline,
    struct cm_trace *t, struct cm_cert **out)
{
	*out = NULL;
	return c->backend->certificate(c, slot, deadline, t, out);
}

enum cm_err
cm_card_read_again(struct cm_card *c, enum cm_slot slot, cm_deadline deadline, struct cm_trace *t,
    struct cm_cert **out)
{
	*out = NULL;
	cm_cert_free(&c->known);
	if (c->backend->again == NULL)
		return c->backend->certificate(c, slot, deadline, t, out);
	return c->backend->again(c, slot, deadline, t, out);
}

enum cm_err
cm_card_others(struct cm_card *c, const struct cm_card_slots *wanted, cm_deadline deadline, struct cm_trace *t)
{
	return c->backend->others != NULL && wanted->count > 0 ? c->backend->others(c, wanted, deadline, t) : CM_OK;
}

enum cm_slot
cm_card_slot(const struct cm_card *c)
{
	return c->known != NULL ? c->known_slot : CM_SLOT_AUTHENTICATION;
}

/* --- PIN --- */

enum cm_err
cm_card_pin_tries(struct cm_card *c, cm_deadline deadline, struct cm_trace *t, unsigned *tries)
{
	enum cm_err err;

	if ((err = c->backend->tries(c, deadline, t, tries)) != CM_OK)
		return err;
	c->tries_asked = true;
	c->tries = *tries;
	if (*tries != CM_TRIES_UNKNOWN)
		cm_trace_add(t, "tries", "%u", *tries);
	return CM_OK;
}

/*
 * What is known of the card forbids or allows a VERIFY.  Unknown tries do not
 * forbid it: a card file counts none, and a card that somebody has unlocked
 * has them all, since the right PIN sets the count back and a wrong one locks
 * (SP 800-73-4 Part 2, 3.2.1).
 */
static enum cm_err
check_tries(const struct cm_card *c, bool last_try, struct cm_trace *t)
{
	if (!c->tries_asked)
		return CM_ERR_STATE;
	if (c->tries == 0)
		return cm_trace_fail(t, CM_REASON_PIN_BLOCKED,
		    "the card in \"%s\" has no PIN tries left: nothing was sent",
		    cm_buf_str(&c->where));
	if (c->tries == 1 && !last_try)
		return cm_trace_fail(t, CM_REASON_PIN_LAST_TRY,
		    "the card in \"%s\" has one PIN try left: nothing was sent",
		    cm_buf_str(&c->where));
	return CM_OK;
}

/* After a wrong PIN its answer counts as asked; short of an answer the card is to be asked again.  A token was. */
static void
note_tries(struct cm_card *c, unsigned left)
{
	c->tries = left;
	c->tries_asked = left != CM_TRIES_UNKNOWN || (c->token != NULL && c->lost == CM_REASON_NONE);
}

enum cm_err
cm_card_verify_pin(struct cm_card *c, const struct cm_secret *pin, bool last_try,
    cm_deadline deadline, struct cm_trace *t, unsigned *left)
{
	enum cm_err err;

	*left = c->tries_asked ? c->tries : CM_TRIES_UNKNOWN;
	if ((err = check_tries(c, last_try, t)) != CM_OK)
		return err;
	err = c->backend->verify(c, cm_secret_bytes(pin), deadline, t, left);
	note_tries(c, *left);
	return err;
}

bool
cm_card_has_pad(const struct cm_card *c)
{
	return c->wire.has_pad;
}

enum cm_err
cm_card_verify_pad(struct cm_card *c, bool last_try, cm_deadline deadline, struct cm_trace *t,
    unsigned *left)
{
	enum cm_err err;

	*left = c->tries_asked ? c->tries : CM_TRIES_UNKNOWN;
	if (c->backend->verify_pad == NULL || !cm_card_has_pad(c))
		return cm_trace_fail(t, CM_REASON_PIN_MISSING, "\"%s\" takes no PIN by itself",
		    cm_buf_str(&c->where));
	if ((err = check_tries(c, last_try, t)) != CM_OK)
		return err;
	err = c->backend->verify_pad(c, deadline, t, left);
	note_tries(c, *left);
	return err;
}

enum cm_err
cm_card_change_pin(struct cm_card *c, const struct cm_card_pins *pins, cm_deadline deadline,
    struct cm_trace *t, unsigned *left)
{
	enum cm_err err;

	*left = c->tries_asked ? c->tries : CM_TRIES_UNKNOWN;
	if (c->backend->change == NULL)
		return cm_trace_fail(t, CM_REASON_CARD_FILE,
		    "%s: its PIN is the password of its key: change that with openssl pkey",
		    cm_buf_str(&c->where));
	if ((err = check_tries(c, pins->last_try, t)) != CM_OK)
		return err;
	err = c->backend->change(c, pins, deadline, t, left);
	note_tries(c, *left);
	return err;
}

enum cm_err
cm_card_unblock_pin(struct cm_card *c, const struct cm_secret *puk, const struct cm_secret *next,
    cm_deadline deadline, struct cm_trace *t, unsigned *left)
{
	const struct cm_card_puk pins = { puk, next };
	enum cm_err err;

	*left = CM_TRIES_UNKNOWN;
	if (c->backend->unblock == NULL)
		return cm_trace_fail(t, c->token != NULL ? CM_REASON_CARD_MODULE : CM_REASON_CARD_FILE, c->token != NULL ?
		    "\"%s\" is used by a PKCS #11 module: its maker's program unblocks it" :
		    "%s: a file has no PUK: its PIN is the password of its key", cm_buf_str(&c->where));
	err = c->backend->unblock(c, &pins, deadline, t, left);
	note_tries(c, CM_TRIES_UNKNOWN);
	return err;
}

/* --- Signing and proof --- */

/* The digest as it was signed, with the certificate's own key: RFC 8017 8.2.2, FIPS 186-4 6.4. */
static bool
verifies(EVP_PKEY *key, const char *md, struct cm_blob digest, struct cm_blob signature)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	const bool ok = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(md)) == 1 &&
	    EVP_PKEY_verify(ctx, signature.ptr, signature.len, digest.ptr, digest.len) == 1;

	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

enum cm_err
cm_card_sign(struct cm_card *c, enum cm_slot slot, const struct cm_cert *cert, const char *md,
    struct cm_blob digest, cm_deadline deadline, struct cm_trace *t, struct cm_buf *signature)
{
	const size_t start = signature->len;
	EVP_PKEY *key = NULL;	/* borrowed from cert */
	enum cm_err err;

	if ((err = cm_cert_key(cert, t, &key)) != CM_OK)
		return err;
	if ((err = c->backend->sign(c, slot, cert, md, digest, deadline, t, signature)) != CM_OK)
		return err;
	if (verifies(key, md, digest, (struct cm_blob){ signature->ptr + start, signature->len - start }))
		return CM_OK;
	cm_buf_truncate(signature, start);
	return cm_trace_fail(t, CM_REASON_CARD_KEY,
	    "the signature by \"%s\" does not verify with the certificate of %s",
	    cm_buf_str(&c->where), cm_cert_subject_text(cert));
}

struct cm_proof {
	uint8_t cert[32];	/* cm_cert_sha256() of the certificate whose key it was */
};

#define NONCE_LEN	32

/* SP 800-78-4 table 3-2: P-384 goes with SHA-384, every other key with SHA-256. */
static const char *
proof_hash(EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_bits(key) == 384 ? "SHA384" : "SHA256";
}

/* The card signs bytes it has never seen and could not choose. */
static enum cm_err
challenge(struct cm_card *c, enum cm_slot slot, const struct cm_cert *cert, EVP_PKEY *key,
    cm_deadline deadline, struct cm_trace *t)
{
	const char *md = proof_hash(key);
	uint8_t nonce[NONCE_LEN], digest[EVP_MAX_MD_SIZE];
	size_t len = 0;
	struct cm_buf signature = { 0 };
	enum cm_err err;

	if (RAND_bytes(nonce, sizeof(nonce)) != 1 ||
	    EVP_Q_digest(NULL, md, NULL, nonce, sizeof(nonce), digest, &len) != 1)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "no random bytes for the card to sign");
	err = cm_card_sign(c, slot, cert, md, (struct cm_blob){ digest, len }, deadline, t, &signature);
	cm_buf_free(&signature);
	return err;
}

enum cm_err
cm_card_prove(struct cm_card *c, enum cm_slot slot, const struct cm_cert *cert,
    cm_deadline deadline, struct cm_trace *t, struct cm_proof **out)
{
	EVP_PKEY *key = NULL;	/* borrowed from cert */
	enum cm_err err;

	*out = NULL;
	if ((err = cm_cert_key(cert, t, &key)) != CM_OK)
		return err;
	if ((err = challenge(c, slot, cert, key, deadline, t)) != CM_OK)
		return err;
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	memcpy((*out)->cert, cm_cert_sha256(cert).ptr, sizeof((*out)->cert));
	return CM_OK;
}

bool
cm_proof_is_for(const struct cm_proof *p, const struct cm_cert *cert)
{
	return p != NULL && memcmp(p->cert, cm_cert_sha256(cert).ptr, sizeof(p->cert)) == 0;
}

void
cm_proof_free(struct cm_proof **p)
{
	free(*p);
	*p = NULL;
}

/* --- What it opens --- */

enum cm_err
cm_card_decipher(struct cm_card *c, enum cm_slot slot, struct cm_blob input, cm_deadline deadline, struct cm_trace *t,
    struct cm_buf *out)
{
	if (c->backend->decipher == NULL)
		return cm_trace_fail(t, c->token != NULL ? CM_REASON_CARD_MODULE : CM_REASON_CARD_FILE, c->token != NULL ?
		    "\"%s\" is used by a PKCS #11 module, which opens no secrets here" :
		    "\"%s\" is a card file: it has no Key Management key", cm_buf_str(&c->where));
	return c->backend->decipher(c, slot, input, deadline, t, out);
}

enum cm_err
cm_card_key_history(struct cm_card *c, cm_deadline deadline, struct cm_trace *t, struct cm_card_history *out)
{
	*out = (struct cm_card_history){ 0 };
	return c->backend->history != NULL ? c->backend->history(c, deadline, t, out) : CM_OK;
}

/* --- What is known of it --- */

struct cm_card_stats
cm_card_stats(const struct cm_card *c)
{
	return c->stats;
}

const char *
cm_card_where(const struct cm_card *c)
{
	return cm_buf_str(&c->where);
}

bool
cm_card_is_cached(const struct cm_card *c)
{
	return c->known != NULL;
}

bool
cm_card_global_pin(const struct cm_card *c)
{
	return c->backend == &cm_backend_piv && c->pin_reference == CM_PIN_GLOBAL;
}

struct cm_blob
cm_card_guid(const struct cm_card *c)
{
	return c->has_guid ? (struct cm_blob){ c->guid, sizeof(c->guid) } :
	    (struct cm_blob){ NULL, 0 };
}
