/*
 * tests/rig/vcard_fault.h - a card that misbehaves on command.
 *
 * A specification is a list, comma between:  NAME[=ARG][@WHEN]
 *   WHEN  N        the N-th command it applies to, once (counted from when the fault was given)
 *         N+       from the N-th on
 *         insXX    every command with this INS (hex); insXX#N, insXX#N+
 *         tagXXXX  every GET DATA for this tag (hex); tagXXXX#N, tagXXXX#N+
 *   without WHEN: every command it applies to. The table in vcard_fault.c has the names.
 */
#ifndef RIG_VCARD_FAULT_H
#define RIG_VCARD_FAULT_H

#include <stdio.h>

#include "piv_card.h"

enum fault_phase {
	FAULT_COMMAND,	/* before the card sees the command */
	FAULT_DATA,	/* what the application answered, before it is cut for GET RESPONSE */
	FAULT_ANSWER,	/* the response APDU */
};

enum card_action { CARD_STAYS, CARD_RESET, CARD_REMOVE, CARD_SWAP, CARD_BECOME };

/* One command and its answer. */
struct exchange {
	struct command cmd;
	bool well_formed;
	uint32_t tag;		/* of GET DATA, else 0 */
	struct vbuf answer;	/* owned */
	bool answered;		/* by a fault: the card never sees the command */
	bool wrong_key;
	bool endless;
	unsigned int delay_ms;
	enum card_action before, after;
	const char *dir;	/* of CARD_SWAP and CARD_BECOME, borrowed */
};

struct fault_kind;

struct fault {
	const struct fault_kind *kind;
	char *arg;		/* owned, may be NULL */
	uint8_t ins;		/* 0 = the kind's own */
	uint32_t tag;		/* 0 = any */
	unsigned int number;	/* 0 = every */
	bool onward;
	unsigned int seen;
	bool due;		/* for the command in hand */
};

enum { FAULTS_MAX = 32 };

struct vcard_faults {
	struct fault list[FAULTS_MAX];
	size_t len;
};

/* Add a specification; false, and why in error, with nothing added. */
bool vcard_faults_add(struct vcard_faults *faults, const char *spec, char *error, size_t error_len);
void vcard_faults_clear(struct vcard_faults *faults);
/* Decide which faults this command meets. */
void vcard_faults_begin(struct vcard_faults *faults, const struct exchange *x);
void vcard_faults_run(struct vcard_faults *faults, enum fault_phase phase, struct exchange *x, struct vbuf *bytes);
/* Print the table of names. */
void vcard_faults_help(FILE *to);

#endif
