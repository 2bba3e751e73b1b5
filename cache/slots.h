/* cache/slots.h - which slot of its card a kept certificate is of, where that is not 9A. */
#ifndef CM_CACHE_SLOTS_H
#define CM_CACHE_SLOTS_H

#include "cache/accounts.h"

/*
 * It says which key a card that is recognised is to be asked to sign with, and no
 * more: the signature is checked with the key of the certificate, whatever stands here.
 */
struct cm_kept_slot {
	unsigned slot;		/* enum cm_slot */
	bool unnamed;		/* it is what the card opens where nobody says who is to log in */
};

/*
 * Of this certificate, by its SHA-256; *out is 9A's where nothing is kept.
 * CM_ERR_SYSTEM  STORE
 */
CM_MUST_USE enum cm_err cm_slots_find(struct cm_accounts *s, struct cm_blob sha256, struct cm_trace *t, struct cm_kept_slot *out);

/*
 * Keep it, before the account is: an account without it would be one of 9A.
 * What is kept of certificates that are kept no longer goes.  Nothing is written for 9A where nothing was.
 * CM_ERR_STATE: the store is another process's; CM_ERR_SYSTEM  STORE
 */
CM_MUST_USE enum cm_err cm_slots_keep(struct cm_accounts *s, struct cm_blob certificate, const struct cm_kept_slot *k,
    struct cm_trace *t);

#endif /* CM_CACHE_SLOTS_H */
