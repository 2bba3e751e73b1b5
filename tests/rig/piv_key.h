/*
 * tests/rig/piv_key.h - what a PIV card does with one private key.
 * All keys are borrowed; results are appended to out. A function that answers bool is false for input a card refuses.
 */
#ifndef RIG_PIV_KEY_H
#define RIG_PIV_KEY_H

#include <openssl/evp.h>

#include "vbuf.h"

/* The algorithm reference, NIST SP 800-78-4 table 6-2 (16 for RSA 4096 is later than it); 0 for any other key. */
uint8_t piv_key_algorithm(EVP_PKEY *key);
/* RSA: in to the private exponent, no padding. EC: an ECDSA signature over the hash in, DER. */
bool piv_key_sign(EVP_PKEY *key, const uint8_t *in, size_t len, struct vbuf *out);
/* ECDH with an uncompressed point; out is the x coordinate. */
bool piv_key_agree(EVP_PKEY *key, const uint8_t *point, size_t len, struct vbuf *out);
bool piv_key_is_rsa(EVP_PKEY *key);
/* A new key of the same kind; the caller frees it. NULL when it cannot be made. */
EVP_PKEY *piv_key_like(EVP_PKEY *key);

#endif
