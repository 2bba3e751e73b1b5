/* cache/sealed.h - secrets of accounts, sealed to keys of cards: kept as octets that nobody here can open. */
#ifndef CM_CACHE_SEALED_H
#define CM_CACHE_SEALED_H

#include "cache/accounts.h"

/*
 * One secret has a row for each key that it is sealed to: a card's Key Management
 * key, its successor, a recovery key.  A row is added and never changed, so that
 * who is lied to about a new key still has the old.  The octets are service/secret_seal.h's.
 */
enum cm_sealed_use { CM_SEALED_CARD, CM_SEALED_RECOVERY };
struct cm_sealed_row {
	char *name;			/* of the account */
	uid_t uid;
	enum cm_sealed_use use;
	uint8_t key[32];		/* SHA-256 of the SubjectPublicKeyInfo of that key */
	uint8_t beside[32];		/* of a card: SHA-256 of its 9A certificate then; of recovery: of the certificate's file */
	struct cm_blob octets;		/* at most CM_SEALED_OCTETS_MAX */
	time_t made;
};
#define CM_SEALED_OCTETS_MAX	768
#define CM_SEALED_ROWS		8	/* of one account and use */

/*
 * Keep one.  What is there is never written over: not by a card that was renewed,
 * nor by an import.
 * CM_ERR_REFUSED  SECRET_THERE: one to this key is kept for this account; or there are CM_SEALED_ROWS of it
 * CM_ERR_SYSTEM   STORE; CM_ERR_STATE: a store of another process
 */
CM_MUST_USE enum cm_err cm_sealed_add(struct cm_accounts *s, const struct cm_sealed_row *row, struct cm_trace *t);
/* The same only where the account has none at all, of any uid, key or use: for a first one, and for imports of several, in *rows. */
CM_MUST_USE enum cm_err cm_sealed_add_first(struct cm_accounts *s, const struct cm_sealed_row *rows, size_t count,
    struct cm_trace *t);

/*
 * Those of an account (NULL: of all), each shown to visit(), borrowed for its
 * call: by name, then the newest first.  A damaged one is STORE, after all others were shown.
 */
typedef enum cm_err (*cm_sealed_visit)(void *arg, const struct cm_sealed_row *row);
CM_MUST_USE enum cm_err cm_sealed_list(struct cm_accounts *s, const char *name, struct cm_trace *t, cm_sealed_visit visit,
    void *arg);

/* All of an account.  CM_ERR_ABSENT (no reason set): there is none.  CM_ERR_SYSTEM: STORE */
CM_MUST_USE enum cm_err cm_sealed_forget(struct cm_accounts *s, const char *name, struct cm_trace *t);

#endif /* CM_CACHE_SEALED_H */
