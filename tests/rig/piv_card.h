/*
 * tests/rig/piv_card.h - the PIV card application (NIST SP 800-73-4 Part 2), above chaining and GET RESPONSE.
 */
#ifndef RIG_PIV_CARD_H
#define RIG_PIV_CARD_H

#include "piv_content.h"

/* Status words, ISO/IEC 7816-4 5.1.3 */
enum {
	SW_OK = 0x9000,
	SW_MORE = 0x6100,
	SW_TRIES = 0x63c0,
	SW_LENGTH = 0x6700,
	SW_CHANNEL = 0x6881,
	SW_SECURE_MESSAGING = 0x6882,
	SW_CHAINING = 0x6884,
	SW_SECURITY = 0x6982,
	SW_BLOCKED = 0x6983,
	SW_CONDITIONS = 0x6985,
	SW_DATA = 0x6a80,
	SW_NOT_FOUND = 0x6a82,
	SW_P1P2 = 0x6a86,
	SW_REFERENCE = 0x6a88,
	SW_INS = 0x6d00,
	SW_CLA = 0x6e00,
	SW_FAILURE = 0x6f00,
};

enum {
	INS_VERIFY = 0x20,
	INS_CHANGE = 0x24,
	INS_RESET_RETRY = 0x2c,
	INS_GENERAL_AUTHENTICATE = 0x87,
	INS_SELECT = 0xa4,
	INS_GET_RESPONSE = 0xc0,
	INS_GET_DATA = 0xcb,
};

/* A command, its data borrowed. */
struct command {
	uint8_t cla, ins, p1, p2;
	const uint8_t *data;
	size_t len;
	size_t le;	/* 0 = the command asks for no data */
	bool extended;
};

struct piv {
	struct piv_content *content;	/* borrowed */
	bool selected;
	bool verified[PIV_PINS];
	bool fresh;			/* VERIFY was the command just before: slot 9C */
	unsigned int tries[PIV_PINS], puk_tries;
	char tries_file[PATH_MAX + 16];	/* "" = kept nowhere */
	bool wrong_key;			/* fault: sign with another key of the same kind */
	EVP_PKEY *other_key;		/* owned */
	unsigned int operations;	/* private-key operations done */
};

/* Put a card in; tries come from its file, or from its content. */
void piv_insert(struct piv *piv, struct piv_content *content, const char *tries_file);
/* Power off or reset: nothing selected, no PIN verified. */
void piv_reset(struct piv *piv);
/* Run one whole command; the answer's data is appended to out. Returns the status word. */
uint16_t piv_command(struct piv *piv, const struct command *cmd, struct vbuf *out);
/* The tag a GET DATA asks for; 0 when it is none or malformed. */
uint32_t piv_data_tag(const struct command *cmd);
/* Also kept in the file, when there is one. */
void piv_set_tries(struct piv *piv, enum piv_pin pin, unsigned int tries);
void piv_clear(struct piv *piv);

#endif
