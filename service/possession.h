/* service/possession.h - proof that a card holds a key, checked by a process that parses nothing. */
#ifndef CM_SERVICE_POSSESSION_H
#define CM_SERVICE_POSSESSION_H

#include "service/message.h"

/* What a card signs for nonce: SHA-256("cardmap possession" NUL nonce), so that nothing else is ever signed by our wish. */
#define CM_POSSESSION_DIGEST	32
void cm_possession_digest(const uint8_t nonce[32], uint8_t digest[CM_POSSESSION_DIGEST]);

/*
 * Does signature (RSA: PKCS #1 v1.5, RFC 8017 8.2.2; EC: DER ECDSA-Sig-Value) over that digest verify with key?
 * CM_OK, CM_ERR_REFUSED (CARD_KEY), CM_ERR_SYNTAX (CARD_KEY: it is no key of 2048 to 4096 bits, or no point of its curve), CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_possession_check(const struct cm_key *key, const uint8_t nonce[32], struct cm_blob signature,
    struct cm_trace *t);

/* The key of a certificate, taken apart.  For processes that parse certificates.  CM_ERR_REFUSED (CERT_WEAK): another kind. */
struct cm_cert;
CM_MUST_USE enum cm_err cm_key_take(const struct cm_cert *cert, struct cm_trace *t, struct cm_key *out);
bool cm_key_equal(const struct cm_key *a, const struct cm_key *b);
/*
 * As it is kept: kind (1 octet), exponent (8, big end first), octets.  Read back only where it is of that
 * form; whether it is a key is for cm_possession_check().
 */
#define CM_KEY_PACKED_MAX	(9 + CM_KEY_OCTETS_MAX)
struct cm_blob cm_key_pack(const struct cm_key *key, uint8_t packed[CM_KEY_PACKED_MAX]);	/* borrows packed; CM_KEY_NONE: empty */
CM_MUST_USE bool cm_key_unpack(struct cm_blob packed, struct cm_key *out);

/* As cm_pairing has them: SHA-1 of the subjectPublicKey bits, SHA-256 of the SubjectPublicKeyInfo (made again, in DER). */
/* CM_ERR_SYNTAX: it is no key, as above; CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_key_hashes(const struct cm_key *key, uint8_t sha1[20], uint8_t spki_sha256[32]);

#endif /* CM_SERVICE_POSSESSION_H */
