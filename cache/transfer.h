/* cache/transfer.h - what is kept of accounts, taken from one computer's store and put into another's. */
#ifndef CM_CACHE_TRANSFER_H
#define CM_CACHE_TRANSFER_H

#include "cache/accounts.h"

/*
 * The octets are a store of this version (cache/accounts.c) that holds accounts,
 * the evidence about their chains, and the clock's floor: no pairing, no secret,
 * no mark of enforcement, nothing that is this computer's alone.  They let cards
 * in: they leave the computer sealed only (service/carry.h).
 */
#define CM_TRANSFER_MAX	((size_t)64 << 20)

/* Append those of one account (NULL: all); *count: rows.  CM_ERR_SYSTEM  STORE: also that a row is damaged; CM_ERR_STATE: not a file */
CM_MUST_USE enum cm_err cm_transfer_collect(struct cm_accounts *s, const char *name, struct cm_trace *t, struct cm_buf *out,
    size_t *count);

/* All borrowed for the time of a call. */
struct cm_transfer_row {
	const struct cm_account *account;
	struct cm_blob cert;	/* DER; its SHA-256 was compared */
	struct cm_blob key;	/* as cm_kept_card has it */
};
struct cm_transfer_watch {
	/* May it come in?  CM_ERR_REFUSED and its reason: it is left out; anything else ends the import. */
	enum cm_err (*permit)(void *arg, const struct cm_transfer_row *row, struct cm_trace *t);
	/* left NULL: it came in; or why it was left out. */
	void (*told)(void *arg, const struct cm_account *a, const char *left);
	void *arg;
};

/*
 * Put in what may, in one transaction.  An account is left out where this store
 * knows better: its row is as new; its card opens another account here; its name
 * or uid is another's; a directory told this computer that it does not stand; its
 * last login lies ahead of this clock, or longer ago than is allowed; its ids are
 * below the first allowed.  Its age goes on: only the wall clock tells it here.
 * Who is revoked or on hold here stays so, whatever the octets say.
 *
 * CM_ERR_SYNTAX   STORE: they are no such store, or a row of it is damaged: nothing was changed
 * CM_ERR_REFUSED  CLOCK_BEHIND: an answer they know was signed ahead of this computer's clock
 * CM_ERR_SYSTEM   STORE: this computer's; nothing was changed
 */
CM_MUST_USE enum cm_err cm_transfer_apply(struct cm_accounts *s, struct cm_blob octets, time_t now,
    const struct cm_transfer_watch *w, struct cm_trace *t);

#endif /* CM_CACHE_TRANSFER_H */
