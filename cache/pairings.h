/* cache/pairings.h - fixed pairings of a card's key with an account, kept on this computer. */
#ifndef CM_CACHE_PAIRINGS_H
#define CM_CACHE_PAIRINGS_H

#include "cache/accounts.h"

/*
 * sc_auth(8) pair: the hash is SHA-1 of the public key (cm_key_hash()).
 * Because SHA-1 alone is weak, the SHA-256 of the SubjectPublicKeyInfo is kept
 * beside it, and both must fit.
 */
struct cm_pairing {
	uint8_t hash[20];
	uint8_t spki_sha256[32];
	char *user;
	bool local;		/* an account of /etc/passwd; else the directory's */
	char *subject;		/* of the certificate it was paired with, for people */
	time_t made;
};
void cm_pairing_clear(struct cm_pairing *p);
/* Of a certificate; *out is the caller's, to be cleared.  CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_pairing_make(const struct cm_cert *c, const char *user, bool local,
    time_t now, struct cm_pairing *out);

/* What an account that a pairing found has as its rule. */
#define CM_PAIRING_RULE	"pairing"

/*
 * Keep one.  The same key paired again with the same user changes nothing.
 * CM_ERR_AMBIGUOUS  PAIRED_OTHERWISE: the key is another user's: unpair it first
 * CM_ERR_REFUSED    ONE_CARD: one_card_per_user, and the user has another
 * CM_ERR_SYSTEM     STORE
 */
CM_MUST_USE enum cm_err cm_pairings_add(struct cm_accounts *s, const struct cm_pairing *p,
    bool one_card_per_user, struct cm_trace *t);
/* The pairing of this key.  CM_ERR_ABSENT (no reason set): none.  CM_ERR_SYSTEM: STORE. */
CM_MUST_USE enum cm_err cm_pairings_find(struct cm_accounts *s, const struct cm_cert *c,
    struct cm_trace *t, struct cm_pairing *out);
/* By hash, for cardmap selector. */
CM_MUST_USE enum cm_err cm_pairings_find_hash(struct cm_accounts *s, const uint8_t hash[20],
    struct cm_trace *t, struct cm_pairing *out);
/*
 * All of a user (hash NULL), the one with this hash (user NULL), or that one if
 * it is the user's.  What a removed pairing opened with the network is kept no
 * longer.  CM_ERR_ABSENT (NOT_PAIRED): there is none.
 */
CM_MUST_USE enum cm_err cm_pairings_remove(struct cm_accounts *s, const char *user,
    const uint8_t *hash, struct cm_trace *t);
/* A user's, or all (NULL), in the order they were made. */
typedef enum cm_err (*cm_pairing_visit)(void *arg, const struct cm_pairing *p);
CM_MUST_USE enum cm_err cm_pairings_list(struct cm_accounts *s, const char *user,
    struct cm_trace *t, cm_pairing_visit visit, void *arg);

#endif /* CM_CACHE_PAIRINGS_H */
