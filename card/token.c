/*
 * card/token.c - a card, or another token, that somebody's PKCS #11 module knows: for logins as a PIV card is.
 *
 * A module's calls have no deadline, so a worker makes them (worker.c); one that
 * is late is left behind with the module, and this token is never asked again.
 * Of a token in a reader we look by ourselves whether it is still the card that
 * was there when it was read: whatever the module makes of a card that was
 * swapped, the PIN is not typed into it.
 */
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/place.h"
#include "card/token_internal.h"

#define CLOSE_MS	2000

/* --- What the module answered, in words --- */

static const struct meaning {
	CK_RV rv;
	enum cm_reason reason;
	const char *words;
} meanings[] = {
	{ CKR_DEVICE_REMOVED, CM_REASON_CARD_REMOVED, "the token was taken out" },
	{ CKR_TOKEN_NOT_PRESENT, CM_REASON_CARD_REMOVED, "the token was taken out" },
	{ CKR_SLOT_ID_INVALID, CM_REASON_CARD_REMOVED, "its reader is gone" },
	/* section 5.6: sessions end with the token that they are with */
	{ CKR_SESSION_HANDLE_INVALID, CM_REASON_CARD_CHANGED, "its session has ended: taken out, or reset by another program" },
	{ CKR_SESSION_CLOSED, CM_REASON_CARD_CHANGED, "its session has ended: taken out, or reset by another program" },
	{ CKR_OBJECT_HANDLE_INVALID, CM_REASON_CARD_CHANGED, "what was on it is not there any more" },
	{ CKR_PIN_INCORRECT, CM_REASON_PIN_WRONG, "the PIN is wrong" },
	/* a try may have been spent by these two: our own look at the length comes before */
	{ CKR_PIN_INVALID, CM_REASON_PIN_WRONG, "this is no PIN of this token's" },
	{ CKR_PIN_LEN_RANGE, CM_REASON_PIN_WRONG, "a PIN of this token's is not as long" },
	{ CKR_PIN_LOCKED, CM_REASON_PIN_BLOCKED, "the PIN is blocked" },
	{ CKR_USER_PIN_NOT_INITIALIZED, CM_REASON_PIN_BLOCKED, "no PIN was set on it yet" },
	{ CKR_PIN_EXPIRED, CM_REASON_PIN_FORM, "its PIN has expired, and must be changed: cardmap pin change" },
	{ CKR_FUNCTION_CANCELED, CM_REASON_CANCELLED, "cancelled where the PIN is typed" },
	{ CKR_USER_NOT_LOGGED_IN, CM_REASON_CARD_KEY, "the PIN was not verified" },
	{ CKR_KEY_FUNCTION_NOT_PERMITTED, CM_REASON_CARD_KEY, "its key does not sign" },
	{ CKR_KEY_TYPE_INCONSISTENT, CM_REASON_CARD_KEY, "its key is of another kind than its certificate's" },
	{ CKR_KEY_SIZE_RANGE, CM_REASON_CARD_KEY, "its key is of another kind than its certificate's" },
	{ CKR_MECHANISM_INVALID, CM_REASON_CARD_KEY, "it does not sign as logins need it" },
	{ CKR_DEVICE_ERROR, CM_REASON_CARD_SILENT, "the token or its reader failed" },
};

static enum cm_err
fail_called(const struct cm_card *c, struct cm_trace *t)
{
	const struct cm_token *k = c->token;

	if (k->trouble != NULL)
		return cm_trace_fail(t, CM_REASON_CARD_MODULE, "%s: %s", k->path, k->trouble);
	for (size_t i = 0; i < CM_COUNT(meanings); i++)
		if (meanings[i].rv == k->rv)
			return cm_trace_fail(t, meanings[i].reason, "%s: %s (%s)", cm_buf_str(&c->where), meanings[i].words, k->step);
	return cm_trace_fail(t, strcmp(k->step, "C_Initialize") == 0 || strcmp(k->step, "C_GetFunctionList") == 0 ||
	    strcmp(k->step, "C_GetSlotList") == 0 ? CM_REASON_CARD_MODULE : CM_REASON_CARD_MALFORMED,
	    "%s: %s answered %s with %#lX", cm_buf_str(&c->where), k->path, k->step, k->rv);
}

static enum cm_err
fail_ended(const struct cm_card *c, struct cm_trace *t)
{
	const struct cm_token *k = c->token;
	const char *where = cm_buf_str(&c->where);

	switch (k->end) {
	case CM_TOKEN_OK:
		return CM_OK;
	case CM_TOKEN_NONE:
		return cm_trace_fail(t, CM_REASON_CARD_KEY, "%s: it has no private key beside its certificate", where);
	case CM_TOKEN_SEVERAL:
		return cm_trace_fail(t, CM_REASON_SEVERAL_CARDS, "%s: several of its tokens hold certificates", where);
	case CM_TOKEN_OTHER:
		return cm_trace_fail(t, CM_REASON_CARD_CHANGED, "%s: this is not the token that was read", where);
	case CM_TOKEN_LAST:
		return cm_trace_fail(t, CM_REASON_PIN_LAST_TRY, "%s: others have typed wrong PINs meanwhile, and one try is left: nothing was sent",
		    where);
	case CM_TOKEN_LIES:
		return cm_trace_fail(t, CM_REASON_CARD_MALFORMED, "%s: %s told of more than there can be (%s)", where, k->path, k->step);
	case CM_TOKEN_UNFIT:
		return cm_trace_fail(t, CM_REASON_CARD_KEY, "%s: its key is not one that a PIN opens once for a login", where);
	default:
		return fail_called(c, t);
	}
}

/* One job.  After a deadline, or a token that is gone, there is no other; after a wrong PIN there is. */
static enum cm_err
run(struct cm_card *c, void (*job)(void *arg), cm_deadline deadline, struct cm_trace *t)
{
	enum cm_err err;

	if (c->lost != CM_REASON_NONE)
		return cm_trace_fail(t, c->lost, "%s: the session with the token is over", cm_buf_str(&c->where));
	if (!cm_worker_run(c->token->worker, job, deadline)) {
		c->lost = CM_REASON_CARD_SILENT;
		return cm_trace_fail(t, c->lost, "%s: its PKCS #11 module did not answer before the deadline", cm_buf_str(&c->where));
	}
	if ((err = fail_ended(c, t)) == CM_ERR_OFFLINE || err == CM_ERR_AGAIN || err == CM_ERR_SYNTAX || err == CM_ERR_CONFIG)
		c->lost = cm_trace_reason(t) != CM_REASON_NONE ? cm_trace_reason(t) : CM_REASON_CARD_SILENT;
	return err;
}

/* Before anything that the PIN opens: the card in the reader is the one that was read. */
static enum cm_err
check_same(struct cm_card *c, cm_deadline deadline, struct cm_trace *t)
{
	enum cm_err err;

	if (c->lost != CM_REASON_NONE)
		return cm_trace_fail(t, c->lost, "%s: the session with the token is over", cm_buf_str(&c->where));
	if (c->wire.ops == NULL)
		return CM_OK;
	if ((err = c->wire.ops->lock(c->wire.self, deadline, t)) != CM_OK && c->lost == CM_REASON_NONE)
		c->lost = cm_trace_reason(t) == CM_REASON_CARD_REMOVED ? CM_REASON_CARD_REMOVED : CM_REASON_CARD_CHANGED;
	return err;
}

/* --- Open and close --- */

static void
destroy(struct cm_token *k)
{
	for (size_t i = 0; i < k->count; i++)
		cm_buf_free(&k->certificates[i].der);
	explicit_bzero(k->pin, sizeof(k->pin));
	explicit_bzero(k->next, sizeof(k->next));
	free(k->path);
	free(k->reader);
	free(k);
}

static void
abandon(void *arg)
{
	cm_token_job_release(arg);
	destroy(arg);
}

static void
end_token(struct cm_token *k)
{
	(void)!cm_worker_run(k->worker, cm_token_job_release, cm_deadline_in(CLOSE_MS));
	if (cm_worker_end(k->worker))
		destroy(k);
}

static void
token_close(struct cm_card *c)
{
	if (c->token != NULL)
		end_token(c->token);
	if (c->wire.ops != NULL)
		c->wire.ops->close(c->wire.self, false);
}

static enum cm_err
new_token(const char *path, const char *reader, struct cm_token **out)
{
	struct cm_token *k = calloc(1, sizeof(*k));

	*out = NULL;
	if (k == NULL || (k->path = strdup(path)) == NULL || (reader != NULL && (k->reader = strdup(reader)) == NULL) ||
	    (k->worker = cm_worker_new(k, abandon)) == NULL) {
		if (k != NULL)
			destroy(k);
		return CM_ERR_NOMEM;
	}
	*out = k;
	return CM_OK;
}

/* It runs in this process: only root may have put it there.  What was opened is not loaded by its descriptor, which $ORIGIN knows not. */
static enum cm_err
check_module(const char *path, struct cm_trace *t)
{
	struct cm_buf why = { 0 };
	int fd = -1;
	enum cm_err err = cm_place_open(path, CM_PLACE_LIBRARY, t, &fd);

	if (err == CM_OK) {
		close(fd);
		return CM_OK;
	}
	cm_buf_add_str(&why, err == CM_ERR_ABSENT ? "there is no such file" : cm_trace_message(t));
	err = cm_trace_fail(t, CM_REASON_CARD_MODULE, "PKCS #11 module %s: %s", path, cm_buf_str(&why));
	cm_buf_free(&why);
	return err;
}

/* ABSENT: it has no token there; no reason is set. */
static enum cm_err
open_module(struct cm_card *c, const char *path, const char *reader, cm_deadline deadline, struct cm_trace *t)
{
	enum cm_err err;

	c->lost = CM_REASON_NONE;
	if ((err = check_module(path, t)) != CM_OK || (err = new_token(path, reader, &c->token)) != CM_OK)
		return err;
	if (cm_worker_run(c->token->worker, cm_token_job_open, deadline)) {
		if (c->token->end == CM_TOKEN_NONE)
			return CM_ERR_ABSENT;
		err = fail_ended(c, t);
	} else {
		err = cm_trace_fail(t, c->lost = CM_REASON_CARD_SILENT, "%s: PKCS #11 module %s did not answer before the deadline",
		    cm_buf_str(&c->where), path);
	}
	if (err == CM_OK) {
		c->wire.has_pad = (c->token->info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
		cm_trace_add(t, "module", "%s", path);
	}
	return err;
}

static enum cm_err
token_open(struct cm_card *c, const char *path, enum cm_card_purpose purpose, cm_deadline deadline, struct cm_trace *t)
{
	enum cm_err err;

	(void)purpose;
	cm_buf_add_str(&c->where, "token:");
	cm_buf_add_printable(&c->where, cm_blob_str(path));
	if ((err = cm_buf_status(&c->where)) == CM_OK && (err = open_module(c, path, NULL, deadline, t)) == CM_ERR_ABSENT)
		err = cm_trace_fail(t, CM_REASON_NO_CARD, "%s: the module has no token", cm_buf_str(&c->where));
	return err;
}

static void
drop_token(struct cm_card *c)
{
	if (c->token != NULL)
		end_token(c->token);
	c->token = NULL;
}

enum cm_err
cm_token_open_card(struct cm_card *c, const struct cm_card_from *from, const char *name, cm_deadline deadline, struct cm_trace *t)
{
	struct cm_buf reader = { 0 };
	enum cm_err failed = CM_OK, err;

	if ((err = cm_pcsc_look(name, CM_TOKEN_READER_MAX, deadline, t, &c->wire, &reader)) != CM_OK)
		goto out;
	cm_buf_add_printable(&c->where, cm_buf_blob(&reader));
	err = CM_ERR_ABSENT;
	/* one that fails says nothing of the card: another may know it */
	for (size_t i = 0; err != CM_OK && from->modules[i] != NULL && !cm_deadline_passed(deadline); i++) {
		drop_token(c);
		if ((err = open_module(c, from->modules[i], cm_buf_str(&reader), deadline, t)) != CM_OK && err != CM_ERR_ABSENT) {
			cm_trace_add(t, "module", "%s: %s", from->modules[i], cm_trace_message(t));
			failed = err;
		}
	}
	if (err == CM_OK)
		cm_trace_clear_reason(t);
	else if (failed != CM_OK)
		err = failed;
	else
		err = cm_trace_fail(t, CM_REASON_CARD_NOT_PIV, "the card in \"%s\" has no PIV application that is used, and no module of "
		    "card.modules knows it", cm_buf_str(&c->where));
out:
	cm_buf_free(&reader);
	return err;
}

/* --- Certificates --- */

/* Which of them stands for this slot. */
static bool
index_of(const struct cm_token *k, enum cm_slot slot, size_t *at)
{
	if (slot == CM_SLOT_AUTHENTICATION)
		*at = 0;
	else if (cm_slot_is_retired(slot))
		*at = (size_t)(slot - CM_SLOT_RETIRED_FIRST) + 1;
	else
		return false;
	return *at < k->count;
}

/* It was read when the token was opened, and is compared before the PIN. */
static enum cm_err
token_certificate(struct cm_card *c, enum cm_slot slot, cm_deadline deadline, struct cm_trace *t, struct cm_cert **out)
{
	size_t at;

	(void)deadline;
	if (!index_of(c->token, slot, &at))
		return cm_trace_fail(t, CM_REASON_CARD_NO_CERTIFICATE, "%s: %s", cm_buf_str(&c->where), c->token->count == 0 ?
		    "the token holds no certificate for logging in" : "the token holds no more certificates for logging in");
	return cm_cert_decode(cm_buf_blob(&c->token->certificates[at].der), t, out);
}

static enum cm_err
token_others(struct cm_card *c, const struct cm_card_slots *wanted, cm_deadline deadline, struct cm_trace *t)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0, at; err == CM_OK && i < wanted->count; i++) {
		struct cm_cert *cert = NULL;

		if (!index_of(c->token, wanted->slots[i], &at))
			continue;
		if ((err = token_certificate(c, wanted->slots[i], deadline, t, &cert)) == CM_OK)
			err = wanted->visit(wanted->arg, wanted->slots[i], cert);
		cm_cert_free(&cert);
	}
	return err;
}

/* Those behind the first, which stand in retired slots. */
static enum cm_err
token_history(struct cm_card *c, cm_deadline deadline, struct cm_trace *t, struct cm_card_history *out)
{
	(void)deadline, (void)t;
	out->with = c->token->count > 0 ? (unsigned)c->token->count - 1 : 0;
	return CM_OK;
}

/* --- The PIN --- */

/* section 3.2: a token counts, and says no number. */
static unsigned
tries_of(const CK_TOKEN_INFO *info)
{
	if ((info->flags & CKF_USER_PIN_LOCKED) != 0)
		return 0;
	return (info->flags & CKF_USER_PIN_FINAL_TRY) != 0 ? 1 : CM_TRIES_UNKNOWN;
}

static enum cm_err
token_tries(struct cm_card *c, cm_deadline deadline, struct cm_trace *t, unsigned *tries)
{
	const enum cm_err err = run(c, cm_token_job_tries, deadline, t);

	if (err != CM_OK)
		return err;
	*tries = tries_of(&c->token->info);
	if (*tries == CM_TRIES_UNKNOWN && (c->token->info.flags & CKF_USER_PIN_COUNT_LOW) != 0)
		cm_trace_add(t, "tries", "fewer than there were: a wrong PIN was typed");
	return CM_OK;
}

static enum cm_err
take_pin(const struct cm_card *c, struct cm_blob pin, struct cm_trace *t, uint8_t *to, size_t *len)
{
	const CK_TOKEN_INFO *info = &c->token->info;

	if (pin.len == 0 || pin.len > CM_TOKEN_PIN_MAX || pin.len < info->ulMinPinLen ||
	    (info->ulMaxPinLen > 0 && info->ulMaxPinLen != CK_UNAVAILABLE_INFORMATION && pin.len > info->ulMaxPinLen))
		return cm_trace_fail(t, CM_REASON_PIN_FORM, "%s: its PINs have %lu to %lu characters: nothing was sent, no try was spent",
		    cm_buf_str(&c->where), info->ulMinPinLen, info->ulMaxPinLen);
	memcpy(to, pin.ptr, pin.len);
	*len = pin.len;
	return CM_OK;
}

/* As for a PIV card: what is left is said with the reason. */
static enum cm_err
judge_pin(struct cm_card *c, enum cm_err err, struct cm_trace *t, unsigned *left)
{
	if (c->lost != CM_REASON_NONE) {
		*left = CM_TRIES_UNKNOWN;
		return err;
	}
	*left = tries_of(&c->token->info);
	if (err == CM_OK || cm_trace_reason(t) != CM_REASON_PIN_WRONG)
		return err;
	if (*left == 0)
		return cm_trace_fail(t, CM_REASON_PIN_BLOCKED, "the PIN is wrong, and the token is blocked now");
	return *left == 1 ? cm_trace_fail(t, CM_REASON_PIN_WRONG, "the PIN is wrong: 1 try left") : err;
}

static enum cm_err
send_pin(struct cm_card *c, cm_deadline deadline, struct cm_trace *t, unsigned *left)
{
	enum cm_err err;

	if ((err = check_same(c, deadline, t)) == CM_OK) {
		c->stats.verifies++;
		err = judge_pin(c, run(c, cm_token_job_pin, deadline, t), t, left);
	}
	if (c->lost != CM_REASON_CARD_SILENT) {	/* else they are the worker's still */
		explicit_bzero(c->token->pin, sizeof(c->token->pin));
		explicit_bzero(c->token->next, sizeof(c->token->next));
	}
	return err;
}

static enum cm_err
token_verify(struct cm_card *c, struct cm_blob pin, cm_deadline deadline, struct cm_trace *t, unsigned *left)
{
	enum cm_err err;

	c->token->typed_there = false;
	c->token->next_len = 0;
	if ((err = take_pin(c, pin, t, c->token->pin, &c->token->pin_len)) != CM_OK)
		return err;
	err = send_pin(c, deadline, t, left);
	c->unlocked = err == CM_OK;
	return err;
}

static enum cm_err
token_verify_pad(struct cm_card *c, cm_deadline deadline, struct cm_trace *t, unsigned *left)
{
	enum cm_err err;

	c->token->typed_there = true;
	c->token->next_len = 0;
	err = send_pin(c, deadline, t, left);
	c->unlocked = err == CM_OK;
	return err;
}

static enum cm_err
token_change(struct cm_card *c, const struct cm_card_pins *pins, cm_deadline deadline, struct cm_trace *t, unsigned *left)
{
	enum cm_err err;

	c->token->typed_there = false;
	if ((err = take_pin(c, cm_secret_bytes(pins->now), t, c->token->pin, &c->token->pin_len)) != CM_OK ||
	    (err = take_pin(c, cm_secret_bytes(pins->next), t, c->token->next, &c->token->next_len)) != CM_OK)
		return err;
	return send_pin(c, deadline, t, left);
}

/* --- The key --- */

/* RSA: PKCS #11 v2.40 mechanisms, 2.1.8, over a DigestInfo; EC: 2.3.6, over the digest, whose answer is r and s in a row. */
static enum cm_err
put_input(struct cm_card *c, EVP_PKEY *key, const char *md, struct cm_blob digest)
{
	struct cm_token *k = c->token;
	const struct cm_blob info = cm_card_digest_info(md, digest.len);
	const bool rsa = EVP_PKEY_is_a(key, "RSA") == 1;
	const size_t field = (size_t)(EVP_PKEY_get_bits(key) + 7) / 8;

	if (info.len == 0 || info.len + digest.len > sizeof(k->input))
		return CM_ERR_STATE;
	k->mechanism = rsa ? CKM_RSA_PKCS : CKM_ECDSA;
	k->input_len = 0;
	if (rsa) {
		memcpy(k->input, info.ptr, info.len);
		k->input_len = info.len;
	} else if (digest.len > field) {
		digest.len = field;	/* FIPS 186-4 section 6.4: its leftmost bits */
	}
	memcpy(k->input + k->input_len, digest.ptr, digest.len);
	k->input_len += digest.len;
	return CM_OK;
}

/* RFC 3279 section 2.2.3: ECDSA-Sig-Value. */
static bool
put_ecdsa(struct cm_blob raw, struct cm_buf *out)
{
	ECDSA_SIG *value = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw.ptr, (int)raw.len / 2, NULL), *s = BN_bin2bn(raw.ptr + raw.len / 2, (int)raw.len / 2, NULL);
	unsigned char *der = NULL;
	int len = -1;

	if (value != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(value, r, s) == 1) {
		r = s = NULL;
		len = i2d_ECDSA_SIG(value, &der);
	}
	if (len > 0)
		cm_buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(value);
	ERR_clear_error();
	return len > 0;
}

static enum cm_err
take_signature(struct cm_card *c, EVP_PKEY *key, struct cm_trace *t, struct cm_buf *signature)
{
	const struct cm_blob raw = { c->token->output, c->token->output_len };
	const size_t size = (size_t)(EVP_PKEY_get_bits(key) + 7) / 8;
	const bool rsa = EVP_PKEY_is_a(key, "RSA") == 1;
	bool ok = raw.len == (rsa ? size : 2 * size);

	if (ok && rsa)
		cm_buf_add_blob(signature, raw);
	else if (ok)
		ok = put_ecdsa(raw, signature);
	if (!ok)
		return cm_trace_fail(t, CM_REASON_CARD_MALFORMED, "%s: its answer of %zu bytes is no signature of its key",
		    cm_buf_str(&c->where), raw.len);
	return cm_buf_status(signature);
}

static enum cm_err
token_sign(struct cm_card *c, enum cm_slot slot, const struct cm_cert *cert, const char *md, struct cm_blob digest,
    cm_deadline deadline, struct cm_trace *t, struct cm_buf *signature)
{
	EVP_PKEY *key = NULL;
	enum cm_err err;

	if (!c->unlocked)
		return cm_trace_fail(t, CM_REASON_CARD_KEY, "%s: the PIN was not verified", cm_buf_str(&c->where));
	if (!index_of(c->token, slot, &c->token->which))
		return CM_ERR_STATE;
	if ((err = cm_cert_key(cert, t, &key)) != CM_OK || (err = put_input(c, key, md, digest)) != CM_OK ||
	    (err = check_same(c, deadline, t)) != CM_OK)
		return err;
	c->stats.key_operations++;
	if ((err = run(c, cm_token_job_sign, deadline, t)) == CM_OK)
		err = take_signature(c, key, t, signature);
	return err;
}

const struct cm_backend cm_backend_token = {
	"token", token_open, token_certificate, token_tries, token_verify, token_sign, token_close,
	NULL, token_verify_pad, token_change, NULL, NULL, token_history, token_others,
};
