/* service/secret_card.h - a user's secret and the card's Key Management key: opened, made the first time, sealed anew. */
#ifndef CM_SERVICE_SECRET_CARD_H
#define CM_SERVICE_SECRET_CARD_H

#include "card/card.h"
#include "service/secret_seal.h"

#define CM_SEALED_ROWS_MAX	8	/* of one account */

/* All borrowed. */
struct cm_secret_asked {
	struct cm_sealed_for whose;
	const struct cm_blob *sealed;	/* to keys of cards, the likeliest first; none: it is made now */
	size_t count;			/* at most CM_SEALED_ROWS_MAX */
	struct cm_blob recovery;	/* a certificate, PEM or DER, that it is to be sealed to as well; empty: to none */
};
/* For cm_secret_given_clear(). */
struct cm_secret_given {
	struct cm_secret *secret;
	struct cm_buf sealed;		/* to the key of slot 9D, to be kept; empty: it was sealed to that already */
	struct cm_buf recovery;		/* to the certificate's key, to be kept; empty: none was wanted, or it cannot be (the trace warns) */
	bool made;			/* there was none before */
};
void cm_secret_given_clear(struct cm_secret_given *g);

/*
 * The card is unlocked.  One that was sealed before costs one key operation;
 * where that is of no use, 9D's certificate is read, then the retired keys
 * (slots 82 to 95, by the key history object) are tried, and what a retired key
 * opened is sealed to 9D.  What is sealed here is opened by the card once
 * before it is given.
 *
 * CM_ERR_ABSENT   SECRET_KEY: slot 9D has no certificate, or a key of another kind
 * CM_ERR_REFUSED  SECRET_SEALED: none of them opens with a key of this card
 * others          the card's
 */
CM_MUST_USE enum cm_err cm_secret_by_card(struct cm_card *c, const struct cm_secret_asked *a, cm_deadline deadline,
    struct cm_trace *t, struct cm_secret_given *out);

/* Seal a secret to 9D of this card, which is unlocked and opens it once.  Results as above. */
CM_MUST_USE enum cm_err cm_secret_to_card(struct cm_card *c, const struct cm_sealed_for *whose, const struct cm_secret *secret,
    cm_deadline deadline, struct cm_trace *t, struct cm_buf *sealed);

/* Seal it to the key of a certificate in PEM or DER.  CM_ERR_CONFIG: CONFIG: it is none, or has no key of a kind that is taken */
CM_MUST_USE enum cm_err cm_secret_to_certificate(struct cm_blob certificate, const struct cm_sealed_for *whose,
    const struct cm_secret *secret, struct cm_trace *t, struct cm_buf *sealed);

#endif /* CM_SERVICE_SECRET_CARD_H */
