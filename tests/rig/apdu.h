/*
 * tests/rig/apdu.h - APDUs in and out of a card: lengths, command chaining, GET RESPONSE
 * (ISO/IEC 7816-4 5.1, 5.1.1.1, 7.6.1).
 */
#ifndef RIG_APDU_H
#define RIG_APDU_H

#include "piv_card.h"
#include "vcard_fault.h"

struct apdu_card {
	struct piv piv;
	struct vbuf chain;	/* data of a chained command so far */
	uint8_t chain_head[3];	/* its INS P1 P2 */
	struct vbuf rest;	/* answer data not yet asked for */
	size_t rest_at;
	bool endless;		/* fault: the rest never ends */
};

/* Data in *out is borrowed from apdu. False: not a command APDU by its lengths. */
bool apdu_parse(const uint8_t *apdu, size_t len, struct command *out);
/* Answer x->cmd into x->answer, running the faults that touch what the card says. */
void apdu_answer(struct apdu_card *card, struct vcard_faults *faults, struct exchange *x);
/* Power off or reset. */
void apdu_reset(struct apdu_card *card);
void apdu_clear(struct apdu_card *card);

#endif
