/* card/piv_key.c - what a key of the PIV application makes: signatures, and what opens what is sealed (GENERAL AUTHENTICATE). */
#include <openssl/ecdsa.h>
#include <openssl/err.h>

#include "card/card_internal.h"

#define INS_GENERAL_AUTHENTICATE 0x87

#define TAG_DYNAMIC	0x7C	/* SP 800-73-4 Part 2, table 7: dynamic authentication template */
#define TAG_RESPONSE	0x82
#define TAG_CHALLENGE	0x81
#define TAG_POINT	0x85	/* exponentiation: the other side's public key */

/* RFC 8017 section 9.2, note 1: DER of DigestInfo before the hash; the last OID arc and the length differ. */
#define DIGEST_INFO(arc, len) { 0x30, 17 + (len), 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, \
	0x01, 0x65, 0x03, 0x04, 0x02, (arc), 0x05, 0x00, 0x04, (len) }

static const struct hash {
	const char *name;
	size_t len;
	uint8_t info[19];
} hashes[] = {
	{ "SHA256", 32, DIGEST_INFO(1, 32) },
	{ "SHA384", 48, DIGEST_INFO(2, 48) },
	{ "SHA512", 64, DIGEST_INFO(3, 64) },
};

/* --- What the card is to work on, and what it must answer --- */

/* RFC 8017 section 9.2: 00 01 FF ... FF 00 DigestInfo; the card does the bare RSA. */
static void
put_pkcs1(struct cm_buf *out, const struct hash *h, struct cm_blob digest, size_t size)
{
	cm_buf_add_byte(out, 0x00);
	cm_buf_add_byte(out, 0x01);
	for (size_t i = 3 + sizeof(h->info) + digest.len; i < size; i++)
		cm_buf_add_byte(out, 0xFF);
	cm_buf_add_byte(out, 0x00);
	cm_buf_add(out, h->info, sizeof(h->info));
	cm_buf_add_blob(out, digest);
}

/* FIPS 186-4 section 6.4: the leftmost bits of a hash longer than the field; zeros before a shorter one. */
static void
put_field(struct cm_buf *out, const struct hash *h, struct cm_blob digest, size_t size)
{
	(void)h;
	for (size_t i = digest.len; i < size; i++)
		cm_buf_add_byte(out, 0x00);
	cm_buf_add(out, digest.ptr, digest.len < size ? digest.len : size);
}

static bool
is_rsa_size(struct cm_blob signature, size_t size)
{
	return signature.len == size;
}

/* RFC 3279 section 2.2.3: DER of ECDSA-Sig-Value, nothing behind it. */
static bool
is_ecdsa_value(struct cm_blob signature, size_t size)
{
	const uint8_t *p = signature.ptr;
	ECDSA_SIG *value = d2i_ECDSA_SIG(NULL, &p, (long)signature.len);
	const bool ok = value != NULL && p == signature.ptr + signature.len &&
	    BN_num_bytes(ECDSA_SIG_get0_r(value)) <= (int)size &&
	    BN_num_bytes(ECDSA_SIG_get0_s(value)) <= (int)size;

	ECDSA_SIG_free(value);
	ERR_clear_error();
	return ok;
}

/* SP 800-78-4 table 6-2: algorithm identifiers. */
static const struct algorithm {
	uint8_t id;
	const char *type;	/* as OpenSSL names it */
	const char *group;	/* of EC, else NULL */
	size_t size;		/* bytes of modulus or field */
	void (*put)(struct cm_buf *out, const struct hash *h, struct cm_blob digest, size_t size);
	bool (*check)(struct cm_blob signature, size_t size);
} algorithms[] = {
	{ 0x07, "RSA", NULL, 256, put_pkcs1, is_rsa_size },
	{ 0x05, "RSA", NULL, 384, put_pkcs1, is_rsa_size },
	{ 0x16, "RSA", NULL, 512, put_pkcs1, is_rsa_size },
	{ 0x11, "EC", "prime256v1", 32, put_field, is_ecdsa_value },
	{ 0x14, "EC", "secp384r1", 48, put_field, is_ecdsa_value },
};

static bool
is_algorithm(const struct algorithm *a, EVP_PKEY *key)
{
	char group[32] = "";

	if (EVP_PKEY_is_a(key, a->type) != 1)
		return false;
	if (a->group == NULL)
		return EVP_PKEY_get_bits(key) == (int)a->size * 8;
	return EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
	    strcmp(group, a->group) == 0;
}

static enum cm_err
find_algorithm(const struct cm_cert *cert, struct cm_trace *t, const struct algorithm **out)
{
	EVP_PKEY *key = NULL;
	enum cm_err err;

	if ((err = cm_cert_key(cert, t, &key)) != CM_OK)
		return err;
	for (size_t i = 0; i < CM_COUNT(algorithms); i++)
		if (is_algorithm(&algorithms[i], key)) {
			*out = &algorithms[i];
			return CM_OK;
		}
	return cm_trace_fail(t, CM_REASON_CARD_KEY,
	    "PIV cards have no such key as that of %s (%s, %d bits)", cm_cert_subject_text(cert),
	    EVP_PKEY_get0_type_name(key), EVP_PKEY_get_bits(key));
}

static const struct hash *
find_hash(const char *md, size_t len)
{
	for (size_t i = 0; i < CM_COUNT(hashes); i++)
		if (strcmp(hashes[i].name, md) == 0 && hashes[i].len == len)
			return &hashes[i];
	return NULL;
}

struct cm_blob
cm_card_digest_info(const char *md, size_t len)
{
	const struct hash *h = find_hash(md, len);

	return h != NULL ? (struct cm_blob){ h->info, sizeof(h->info) } : (struct cm_blob){ NULL, 0 };
}

/* --- The exchange --- */

/* SP 800-73-4 Part 2, table 7 and appendix A: 7C { 82 empty: wanted, 81 challenge or 85 point } */
static void
put_template(struct cm_buf *out, uint8_t tag, struct cm_blob input)
{
	struct cm_buf inner = { 0 };

	cm_tlv_put(&inner, TAG_RESPONSE, 0);
	cm_tlv_put(&inner, tag, input.len);
	cm_buf_add_blob(&inner, input);
	cm_tlv_put(out, TAG_DYNAMIC, inner.len);
	cm_buf_add_blob(out, cm_buf_blob(&inner));
	if (out->err == CM_OK)
		out->err = cm_buf_status(&inner);
	cm_buf_free(&inner);
}

/* *value is borrowed from answer. */
static enum cm_err
take_value(struct cm_blob answer, struct cm_trace *t, struct cm_blob *value)
{
	struct cm_blob inner = { 0 };

	if (cm_tlv_only(answer, TAG_DYNAMIC, &inner) == CM_OK && cm_tlv_only(inner, TAG_RESPONSE, value) == CM_OK)
		return CM_OK;
	return cm_trace_fail(t, CM_REASON_CARD_MALFORMED, "the card's answer of %zu bytes holds no result of its key", answer.len);
}

struct use {
	enum cm_slot slot;
	uint8_t algorithm;
	const char *what;	/* it is asked to */
};

/* *value is borrowed from answer. */
static enum cm_err
authenticate(struct cm_card *c, const struct use *u, struct cm_blob tmpl, cm_deadline deadline, struct cm_trace *t,
    struct cm_buf *answer, struct cm_blob *value)
{
	const struct cm_apdu a = { INS_GENERAL_AUTHENTICATE, u->algorithm, (uint8_t)u->slot, tmpl, true, false };
	uint16_t sw = 0;
	enum cm_err err;

	c->stats.key_operations++;
	if ((err = cm_apdu_exchange(&c->wire, &c->stats, &a, deadline, t, answer, &sw)) != CM_OK)
		return err;
	if (sw != 0x9000)
		return cm_trace_fail(t, CM_REASON_CARD_KEY, "the card answered %04X when asked to %s with slot %02X%s", sw, u->what,
		    u->slot, sw == 0x6982 ? ": the PIN was not verified" : ": it has no such key as its certificate names");
	return take_value(cm_buf_blob(answer), t, value);
}

static enum cm_err
take_signature(const struct algorithm *alg, struct cm_blob value, struct cm_trace *t, struct cm_buf *signature)
{
	if (!alg->check(value, alg->size))
		return cm_trace_fail(t, CM_REASON_CARD_MALFORMED, "the card's answer of %zu bytes is no signature of its key", value.len);
	cm_buf_add_blob(signature, value);
	return cm_buf_status(signature);
}

enum cm_err
cm_piv_sign(struct cm_card *c, enum cm_slot slot, const struct cm_cert *cert, const char *md,
    struct cm_blob digest, cm_deadline deadline, struct cm_trace *t, struct cm_buf *signature)
{
	const struct hash *h = find_hash(md, digest.len);
	const struct algorithm *alg = NULL;
	struct cm_buf challenge = { 0 }, tmpl = { 0 }, answer = { 0 };
	struct cm_blob value = { 0 };
	enum cm_err err;

	if (h == NULL)
		return CM_ERR_STATE;
	if ((err = find_algorithm(cert, t, &alg)) != CM_OK)
		return err;
	alg->put(&challenge, h, digest, alg->size);
	put_template(&tmpl, TAG_CHALLENGE, cm_buf_blob(&challenge));
	if ((err = cm_buf_status(&challenge)) == CM_OK && (err = cm_buf_status(&tmpl)) == CM_OK &&
	    (err = authenticate(c, &(struct use){ slot, alg->id, "sign" }, cm_buf_blob(&tmpl), deadline, t, &answer, &value)) == CM_OK)
		err = take_signature(alg, value, t, signature);
	cm_buf_free(&challenge);
	cm_buf_free(&tmpl);
	cm_buf_free(&answer);
	return err;
}

/* --- What opens what is sealed --- */

/* SP 800-78-4 table 6-2, by what such a key works on: an RSA block, or a point 04 X Y. */
static const struct algorithm *
algorithm_of(struct cm_blob input)
{
	for (size_t i = 0; i < CM_COUNT(algorithms); i++)
		if (input.len == (algorithms[i].group == NULL ? algorithms[i].size : 1 + 2 * algorithms[i].size))
			return &algorithms[i];
	return NULL;
}

/* SP 800-73-4 Part 2, 3.2.4 with tag 81 for RSA (appendix A.4) and tag 85 for ECDH (appendix A.5). */
enum cm_err
cm_piv_decipher(struct cm_card *c, enum cm_slot slot, struct cm_blob input, cm_deadline deadline, struct cm_trace *t,
    struct cm_buf *out)
{
	const struct algorithm *alg = algorithm_of(input);
	struct cm_buf tmpl = { 0 }, answer = { .secret = true };
	struct cm_blob value = { 0 };
	enum cm_err err;

	if (alg == NULL)
		return CM_ERR_STATE;
	put_template(&tmpl, alg->group == NULL ? TAG_CHALLENGE : TAG_POINT, input);
	if ((err = cm_buf_status(&tmpl)) == CM_OK &&
	    (err = authenticate(c, &(struct use){ slot, alg->id, "decipher" }, cm_buf_blob(&tmpl), deadline, t, &answer, &value)) == CM_OK &&
	    value.len != alg->size)
		err = cm_trace_fail(t, CM_REASON_CARD_MALFORMED, "the card's answer of %zu bytes is no result of its key", value.len);
	if (err == CM_OK) {
		cm_buf_add_blob(out, value);
		err = cm_buf_status(out);
	}
	cm_buf_free(&tmpl);
	cm_buf_free(&answer);
	return err;
}
