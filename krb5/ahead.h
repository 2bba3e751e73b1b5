/* krb5/ahead.h - what of a ticket needs no PIN, while a person looks for it. */
#ifndef CM_KRB5_AHEAD_H
#define CM_KRB5_AHEAD_H

#include "krb5/pkinit.h"

/*
 * A ticket takes two requests to the KDC (RFC 4120 section 3.1; RFC 4556 section
 * 3.1), and of the second one all but the card's signature can be made before
 * anybody may use the card: the first request, its answer, the key for
 * Diffie-Hellman and the message that is to be signed.  A thread does that and
 * waits where the card signs.  Nothing of it is proof of anything.
 */
struct cm_ahead;

/*
 * Returns at once.  certificate (DER) and account are copied.  Until it is dropped
 * or taken, p is the thread's.  deadline is that of the first request.
 * CM_ERR_NOMEM, CM_ERR_SYSTEM
 */
CM_MUST_USE enum cm_err cm_ahead_begin(struct cm_pkinit *p, struct cm_blob certificate, const struct cm_account *account,
    cm_deadline deadline, struct cm_ahead **out);

/* It was begun for this principal and this certificate, and neither CM_AHEAD_SECONDS nor a suspend ago. */
bool cm_ahead_is_for(const struct cm_ahead *h, const char *principal, struct cm_blob certificate);
/* What is signed holds the time when it was made, which a KDC compares with its clock; and answers grow old. */
#define CM_AHEAD_SECONDS	60

/*
 * The rest of cm_pkinit_get_ticket(), whose results and reasons are these.  Where
 * the first request is still under way it is waited for.  The thread has ended
 * then, and p is the caller's.
 * CM_ERR_ABSENT  nothing came of it, and the card was not asked: cm_pkinit_get_ticket() may find out why
 */
CM_MUST_USE enum cm_err cm_ahead_take(struct cm_ahead **h, struct cm_card *card, enum cm_slot slot, cm_deadline deadline,
    struct cm_trace *t, struct cm_ticket **out);

/* The card is not asked, nothing more is sent, and the thread has ended.  Accepts NULL, sets NULL. */
void cm_ahead_drop(struct cm_ahead **h);

#endif /* CM_KRB5_AHEAD_H */
