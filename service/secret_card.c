/* service/secret_card.c - a user's secret and the card's Key Management key: opened, made the first time, sealed anew. */
#include "service/secret_card.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

void
cm_secret_given_clear(struct cm_secret_given *g)
{
	cm_secret_free(&g->secret);
	cm_buf_free(&g->sealed);
	cm_buf_free(&g->recovery);
	g->made = false;
}

/* What one question goes through. */
struct work {
	struct cm_card *card;
	const struct cm_sealed_for *whose;
	cm_deadline deadline;
	struct cm_trace *t;
};

/* ---- one sealed secret, one slot */

static enum cm_err
open_in(const struct work *w, enum cm_slot slot, const struct cm_sealed *s, struct cm_secret **out)
{
	struct cm_buf raw = { .secret = true };
	enum cm_err err;

	*out = NULL;
	if ((err = cm_card_decipher(w->card, slot, s->share, w->deadline, w->t, &raw)) == CM_OK)
		err = cm_secret_open(s, w->whose, cm_buf_blob(&raw), w->t, out);
	cm_buf_free(&raw);
	return err;
}

/* Asked, and it is no: by the card, or by what came of its answer.  Then another key is tried. */
static bool
is_no(const struct work *w, enum cm_err err)
{
	const enum cm_reason r = cm_trace_reason(w->t);

	if (err != CM_ERR_REFUSED || (r != CM_REASON_CARD_KEY && r != CM_REASON_SECRET_SEALED))
		return false;
	cm_trace_clear_reason(w->t);
	return true;
}

/* The key of a slot's certificate, with a reference to that; the card's word, until it has opened something. */
static enum cm_err
read_key(const struct work *w, enum cm_slot slot, struct cm_cert **cert, EVP_PKEY **key, uint8_t hash[CM_SEALED_KEY_LEN])
{
	enum cm_err err = cm_card_certificate(w->card, slot, w->deadline, w->t, cert);

	if (err == CM_OK && (err = cm_cert_key(*cert, w->t, key)) == CM_OK)
		err = cm_sealed_key(*key, hash);
	return err;
}

/* ---- all there are */

/* NULL: none is sealed to that key. */
static const struct cm_sealed *
find(const struct cm_sealed *all, size_t count, const uint8_t hash[CM_SEALED_KEY_LEN])
{
	for (size_t i = 0; i < count; i++)
		if (memcmp(all[i].key.ptr, hash, CM_SEALED_KEY_LEN) == 0)
			return &all[i];
	return NULL;
}

/* CM_ERR_ABSENT: none is sealed to the key of this slot; what cannot be read is not it. */
static enum cm_err
open_by_certificate(const struct work *w, enum cm_slot slot, const struct cm_sealed *all, size_t count, struct cm_secret **out)
{
	uint8_t hash[CM_SEALED_KEY_LEN];
	const struct cm_sealed *s;
	struct cm_cert *cert = NULL;
	EVP_PKEY *key = NULL;
	enum cm_err err = read_key(w, slot, &cert, &key, hash);

	cm_cert_free(&cert);
	if (err == CM_ERR_ABSENT || err == CM_ERR_SYNTAX) {
		cm_trace_clear_reason(w->t);
		return CM_ERR_ABSENT;
	}
	if (err != CM_OK)
		return err;
	if ((s = find(all, count, hash)) == NULL)
		return CM_ERR_ABSENT;
	err = open_in(w, slot, s, out);
	return is_no(w, err) ? CM_ERR_ABSENT : err;
}

/* No certificate says whose key is in this slot: each is tried. */
static enum cm_err
open_by_trying(const struct work *w, enum cm_slot slot, const struct cm_sealed *all, size_t count, struct cm_secret **out)
{
	enum cm_err err = CM_ERR_ABSENT;

	for (size_t i = 0; err == CM_ERR_ABSENT && i < count; i++) {
		err = open_in(w, slot, &all[i], out);
		if (is_no(w, err))
			err = CM_ERR_ABSENT;
	}
	return err;
}

static enum cm_err
open_by_retired(const struct work *w, const struct cm_sealed *all, size_t count, struct cm_secret **out)
{
	struct cm_card_history history;
	enum cm_err err = cm_card_key_history(w->card, w->deadline, w->t, &history);

	if (err != CM_OK)
		return err;
	err = CM_ERR_ABSENT;
	for (unsigned i = 0; err == CM_ERR_ABSENT && i < history.with; i++)
		err = open_by_certificate(w, CM_SLOT_RETIRED_FIRST + i, all, count, out);
	for (unsigned i = 0; err == CM_ERR_ABSENT && i < history.without; i++)
		err = open_by_trying(w, CM_SLOT_RETIRED_LAST - i, all, count, out);
	return err;
}

/* In the order of what is likely, which is that of what it costs.  *renewed: by another key than that of 9D. */
static enum cm_err
open_any(const struct work *w, const struct cm_sealed *all, size_t count, struct cm_secret **out, bool *renewed)
{
	enum cm_err err = open_in(w, CM_SLOT_KEY_MANAGEMENT, &all[0], out);

	*renewed = false;
	if (!is_no(w, err))
		return err;
	if ((err = open_by_certificate(w, CM_SLOT_KEY_MANAGEMENT, all, count, out)) == CM_ERR_ABSENT) {
		*renewed = true;
		err = open_by_retired(w, all, count, out);
	}
	return err != CM_ERR_ABSENT ? err : cm_trace_fail(w->t, CM_REASON_SECRET_SEALED,
	    "the secret of %s is sealed to another card's key: neither slot 9D nor a retired key of this one opens it", w->whose->name);
}

/* ---- sealing */

enum cm_err
cm_secret_to_card(struct cm_card *c, const struct cm_sealed_for *whose, const struct cm_secret *secret, cm_deadline deadline,
    struct cm_trace *t, struct cm_buf *sealed)
{
	const struct work w = { c, whose, deadline, t };
	uint8_t hash[CM_SEALED_KEY_LEN];
	struct cm_secret *again = NULL;
	struct cm_cert *cert = NULL;
	EVP_PKEY *key = NULL;
	struct cm_sealed s;
	enum cm_err err = read_key(&w, CM_SLOT_KEY_MANAGEMENT, &cert, &key, hash);

	if (err == CM_ERR_ABSENT)
		err = cm_trace_fail(t, CM_REASON_SECRET_KEY, "the card in \"%s\" has no certificate in slot 9D", cm_card_where(c));
	if (err == CM_OK && (err = cm_secret_seal(key, whose, secret, t, sealed)) == CM_OK &&
	    (err = cm_sealed_read(cm_buf_blob(sealed), &s)) == CM_OK)
		err = open_in(&w, CM_SLOT_KEY_MANAGEMENT, &s, &again);
	if (err == CM_OK && CRYPTO_memcmp(cm_secret_bytes(again).ptr, cm_secret_bytes(secret).ptr, CM_SECRET_LEN) != 0)
		err = cm_trace_fail(t, CM_REASON_SECRET_SEALED, "the card opened something else than was sealed");
	cm_secret_free(&again);
	cm_cert_free(&cert);
	if (err != CM_OK)
		cm_buf_truncate(sealed, 0);
	return err;
}

static X509 *
read_certificate(struct cm_blob in)
{
	const uint8_t *p = in.ptr;
	X509 *x = NULL;
	BIO *b;

	if (in.len == 0 || in.len > CM_CERT_MAX)
		return NULL;
	if ((b = BIO_new_mem_buf(in.ptr, (int)in.len)) != NULL)
		x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	BIO_free(b);
	if (x == NULL && (x = d2i_X509(NULL, &p, (long)in.len)) != NULL && p != in.ptr + in.len) {
		X509_free(x);
		x = NULL;
	}
	ERR_clear_error();
	return x;
}

enum cm_err
cm_secret_to_certificate(struct cm_blob certificate, const struct cm_sealed_for *whose, const struct cm_secret *secret,
    struct cm_trace *t, struct cm_buf *sealed)
{
	X509 *x = read_certificate(certificate);
	EVP_PKEY *key = x != NULL ? X509_get0_pubkey(x) : NULL;
	enum cm_err err = CM_ERR_CONFIG;

	if (key == NULL)
		cm_trace_fail(t, CM_REASON_CONFIG, "accounts.secret_recovery holds no certificate with a key: name a file in PEM or DER");
	else if ((err = cm_secret_seal(key, whose, secret, t, sealed)) == CM_ERR_ABSENT)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "the key of accounts.secret_recovery is of no kind that is taken: "
		    "RSA of 2048, 3072 or 4096 bits, P-256 or P-384");
	X509_free(x);
	return err;
}

/* ---- */

/* Those of the right form; one that is damaged is no key's. */
static size_t
read_all(const struct cm_secret_asked *a, struct cm_trace *t, struct cm_sealed all[CM_SEALED_ROWS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < a->count && count < CM_SEALED_ROWS_MAX; i++)
		if (cm_sealed_read(a->sealed[i], &all[count]) == CM_OK)
			count++;
		else
			cm_trace_add(t, "warning", "a sealed secret of %s is damaged: it has not the form of one", a->whose.name);
	return count;
}

static enum cm_err
find_secret(const struct work *w, const struct cm_secret_asked *a, bool *seal, struct cm_secret_given *out)
{
	struct cm_sealed all[CM_SEALED_ROWS_MAX];
	const size_t count = read_all(a, w->t, all);

	/* What is there and cannot be read is no licence for another: what was encrypted with the first would be lost. */
	if (a->count > 0 && count == 0)
		return cm_trace_fail(w->t, CM_REASON_SECRET_SEALED, "what is kept of the secret of %s is damaged", a->whose.name);
	if (count > 0)
		return open_any(w, all, count, &out->secret, seal);
	*seal = out->made = true;
	return cm_secret_make(w->t, &out->secret);
}

enum cm_err
cm_secret_by_card(struct cm_card *c, const struct cm_secret_asked *a, cm_deadline deadline, struct cm_trace *t,
    struct cm_secret_given *out)
{
	const struct work w = { c, &a->whose, deadline, t };
	bool seal = false;
	enum cm_err err;

	*out = (struct cm_secret_given){ .secret = NULL };
	err = find_secret(&w, a, &seal, out);
	if (err == CM_OK && seal && (err = cm_secret_to_card(c, &a->whose, out->secret, deadline, t, &out->sealed)) != CM_OK && !out->made) {
		/* It is open, and stays sealed to the retired key: that the new one is of no use is told, and tried again. */
		cm_trace_add(t, "warning", "the secret is not sealed to the new key in slot 9D: %s", cm_trace_message(t));
		cm_trace_clear_reason(t);
		err = CM_OK;
	}
	if (err == CM_OK && a->recovery.len > 0 && cm_secret_to_certificate(a->recovery, &a->whose, out->secret, t, &out->recovery) != CM_OK) {
		cm_trace_add(t, "warning", "no recovery key for the secret: %s", cm_trace_message(t));
		cm_trace_clear_reason(t);
	}
	if (err != CM_OK)
		cm_secret_given_clear(out);
	return err;
}
