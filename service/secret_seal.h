/* service/secret_seal.h - a user's secret, sealed so that one private key alone opens it: made, read, opened. */
#ifndef CM_SERVICE_SECRET_SEAL_H
#define CM_SERVICE_SECRET_SEAL_H

#include <openssl/evp.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/secret.h"
#include "base/trace.h"

/*
 * The format; its lengths follow from kind, and nothing stands behind it:
 *
 *	sealed    = head nonce cipher tag
 *	head      = magic version kind key share-len share
 *	magic     = "CMSEAL"
 *	version   = %x01
 *	kind      = %x01 / %x02 / %x03	; RSA; ECDH P-256; ECDH P-384
 *	key       = 32OCTET		; SHA-256 of the SubjectPublicKeyInfo it is sealed to
 *	share-len = 2OCTET		; big end first: RSA 256, 384 or 512; P-256 65; P-384 97
 *	share     = *OCTET		; RSA: RSAES-OAEP (RFC 8017 7.1; SHA-256, MGF1 of SHA-256, no label) of 32
 *					; random octets; ECDH: an ephemeral public key as an uncompressed point
 *					; (SEC 1 2.3.3)
 *	nonce     = 12OCTET		; random
 *	cipher    = 32OCTET		; AES-256-GCM (SP 800-38D) of the secret
 *	tag       = 16OCTET
 *
 *	aes-key   = HKDF-SHA-256(salt = key, IKM = z, info = "cardmap sealed secret" version kind share, L = 32)	; RFC 5869
 *	z         = the 32 octets under OAEP, or the X coordinate of ECDH, as long as the field (SP 800-56A 5.7.1.2)
 *	aad       = head uid name-len name
 *	uid       = 4OCTET		; big end first, as name-len
 *	name-len  = 2OCTET
 *
 * So it opens for no other account, uid or key than it was made for, and what a
 * card does for it is one GENERAL AUTHENTICATE (SP 800-73-4 Part 2, 3.2.4) over
 * share.  What is wrong with one that does not open nobody is told: wrong key
 * and changed octets are one refusal, taken off in constant time.
 */
#define CM_SECRET_LEN		32	/* octets of a secret */
#define CM_SEALED_KEY_LEN	32
#define CM_SEALED_MAX		768	/* octets of a sealed one, of any kind */

enum cm_sealed_kind { CM_SEALED_RSA = 1, CM_SEALED_P256 = 2, CM_SEALED_P384 = 3 };

/* All borrowed from the octets that were read. */
struct cm_sealed {
	enum cm_sealed_kind kind;
	struct cm_blob head, key, share, nonce, cipher, tag;
};
/* CM_ERR_SYNTAX: it has not that form (no reason is set).  Whether share is a point of the curve is seen when it is opened. */
CM_MUST_USE enum cm_err cm_sealed_read(struct cm_blob octets, struct cm_sealed *out);

/* Whose it is. */
struct cm_sealed_for {
	const char *name;
	uid_t uid;
};

/* SHA-256 of its SubjectPublicKeyInfo, as key has it.  CM_ERR_SYSTEM */
CM_MUST_USE enum cm_err cm_sealed_key(EVP_PKEY *key, uint8_t out[CM_SEALED_KEY_LEN]);

/* CM_SECRET_LEN random octets.  CM_ERR_SYSTEM: SYSTEM */
CM_MUST_USE enum cm_err cm_secret_make(struct cm_trace *t, struct cm_secret **out);

/*
 * Append secret, sealed to a public key.
 * CM_ERR_ABSENT  SECRET_KEY: no such key is taken: RSA of 2048, 3072 or 4096 bits, P-256, P-384
 * CM_ERR_SYSTEM  SYSTEM; CM_ERR_STATE: it is no secret of that length
 */
CM_MUST_USE enum cm_err cm_secret_seal(EVP_PKEY *to, const struct cm_sealed_for *whose, const struct cm_secret *secret,
    struct cm_trace *t, struct cm_buf *out);

/*
 * Open it with what the card's key made of share: RSA: the bare private operation;
 * ECDH: the X coordinate.  Or with a private key that is here.
 * CM_ERR_REFUSED  SECRET_SEALED: it is for another key or account, or damaged
 */
CM_MUST_USE enum cm_err cm_secret_open(const struct cm_sealed *s, const struct cm_sealed_for *whose, struct cm_blob raw,
    struct cm_trace *t, struct cm_secret **out);
CM_MUST_USE enum cm_err cm_secret_open_with(const struct cm_sealed *s, const struct cm_sealed_for *whose, EVP_PKEY *key,
    struct cm_trace *t, struct cm_secret **out);

#endif /* CM_SERVICE_SECRET_SEAL_H */
