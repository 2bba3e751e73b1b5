/* card/card.h - one card: its certificates, its PIN, and proof that it holds the key. */
#ifndef CM_CARD_CARD_H
#define CM_CARD_CARD_H

#include "base/clock.h"
#include "base/secret.h"
#include "base/trace.h"
#include "card/cert.h"

/* Slots by their key reference (NIST SP 800-73-4 Part 1, table 4b). */
enum cm_slot {
	CM_SLOT_AUTHENTICATION = 0x9A,
	CM_SLOT_SIGNATURE = 0x9C,
	CM_SLOT_KEY_MANAGEMENT = 0x9D,
	CM_SLOT_CARD_AUTHENTICATION = 0x9E,
	CM_SLOT_RETIRED_FIRST = 0x82,	/* of 20 former Key Management keys, or keys beside */
	CM_SLOT_RETIRED_LAST = 0x95,
};
bool cm_slot_is_retired(enum cm_slot slot);
/* Its key may let somebody in: 9A, 9C or a retired one.  9D is for others' secrets, and 9E asks for no PIN. */
bool cm_slot_is_for_login(enum cm_slot slot);
/*
 * Its key signs once for each VERIFY, which comes right before (SP 800-73-4 Part 1, table 4b: PIN Always).
 */
bool cm_slot_signs_once(enum cm_slot slot);

/*
 * An open card.  One thread at a time.  Over PC/SC it is a connection to the
 * reader; over a file it is a certificate and its key in PEM.
 */
struct cm_card;

/* What the exchange cost, counted where the bytes pass. */
struct cm_card_stats {
	unsigned commands;	/* APDUs, GET RESPONSE and each link of a chain counted */
	size_t sent, received;	/* bytes */
	unsigned verifies;	/* VERIFY commands that carried a PIN */
	unsigned key_operations;/* GENERAL AUTHENTICATE exchanges, or file key signatures */
};

/*
 * Open the card that source names:
 *	"reader"	the one card in any reader
 *	"reader:NAME"	the card in the reader so named (a part of the name will do, where none has it whole)
 *	"file:PATH"	a card file: certificate and key in PEM; its key may be
 *			encrypted, and the PIN is then its password
 *	"token:PATH"	the one token of this PKCS #11 module that holds a certificate, with a reader or without
 * The context says what it is opened for: with CM_CARD_LOGIN the PIV discovery
 * object and the CHUID's head are read too, so that the card is recognised and
 * its PIN policy known; CM_CARD_LOOK reads nothing but what is asked for.
 * The card is locked for others, until the first certificate has been read
 * (CM_CARD_LOGIN) or it is closed (CM_CARD_LOOK).
 *
 * CM_OK           *out is the caller's, for cm_card_close
 * CM_ERR_OFFLINE  NO_READER, NO_CARD, CARD_SILENT
 * CM_ERR_USAGE    SEVERAL_CARDS: the text names the readers
 * CM_ERR_ABSENT   CARD_NOT_PIV
 * CM_ERR_CONFIG   CARD_FILE; or source has no such form (CONFIG)
 */
enum cm_card_purpose { CM_CARD_LOOK, CM_CARD_LOGIN };
CM_MUST_USE enum cm_err cm_card_open(const char *source, enum cm_card_purpose purpose,
    cm_deadline deadline, struct cm_trace *t, struct cm_card **out);

struct cm_card_recogniser;

/*
 * The same, and with modules: a card in a reader that has no PIV application is
 * opened by the first of these PKCS #11 modules (absolute paths, NULL-terminated;
 * NULL: none) which has a token in a slot of that reader's name.  What such a
 * card has is told in terms of slots: its certificates for logging in are, by
 * their CKA_ID, 9A, 82, 83 and so on.  It counts no tries: CM_TRIES_UNKNOWN, 1
 * or 0; it is never recognised, and has neither a Key Management key nor a PUK here.
 *
 * Besides: CM_ERR_CONFIG CARD_MODULE: a module may be written by others than root, does
 * not load, or does not start
 */
struct cm_card_from {
	const char *source;			/* as of cm_card_open() */
	enum cm_card_purpose purpose;
	const char *const *modules;
	bool modules_only;			/* its PIV application is not looked for */
	const struct cm_card_recogniser *recogniser;	/* NULL: it is read whole */
};
CM_MUST_USE enum cm_err cm_card_open_from(const struct cm_card_from *from, cm_deadline deadline, struct cm_trace *t,
    struct cm_card **out);

/*
 * What a host kept of a card, to be found by its GUID (of the CHUID).  A card
 * without a CHUID, with a GUID of zeros, or with the FASC-N that is the same on
 * every token as it is delivered has none, and is read whole each time.
 */
struct cm_card_known {
	struct cm_buf certificate;	/* DER; empty: not known */
	enum cm_slot slot;		/* which it is of; 0: 9A */
	bool global_pin;		/* cm_card_global_pin() when it was kept */
};
/*
 * Asked once, while the card is opened and locked for others: it is to be quick.
 * *out is empty, and the caller's of this to free.  Whatever fails here only
 * means that the card is read.
 */
struct cm_card_recogniser {
	enum cm_err (*recognise)(void *arg, struct cm_blob guid, cm_deadline deadline,
	    struct cm_trace *t, struct cm_card_known *out);
	void *arg;
	const int *log;		/* a descriptor to which each APDU is written, without what is secret; NULL: none */
};
/*
 * As cm_card_open() for a login, but of a card that is recognised neither
 * certificate nor discovery object is read again: cm_card_certificate() gives
 * what was kept.  That it is still the card's own only a proof shows.
 */
CM_MUST_USE enum cm_err cm_card_open_known(const char *source, const struct cm_card_recogniser *r,
    cm_deadline deadline, struct cm_trace *t, struct cm_card **out);
/* Its certificate was not read from it. */
bool cm_card_is_cached(const struct cm_card *c);
/* The slot of the certificate that it was recognised by; else 9A. */
enum cm_slot cm_card_slot(const struct cm_card *c);
/* It wants its global PIN (SP 800-73-4 Part 1, 3.3.2), not that of its application. */
bool cm_card_global_pin(const struct cm_card *c);

/*
 * The certificate that was kept is of no use, or its key did not prove itself:
 * read that of the slot, in this session.  A card that was unlocked stays so; no PIN is sent.
 * Results as cm_card_certificate().
 */
CM_MUST_USE enum cm_err cm_card_read_again(struct cm_card *c, enum cm_slot slot, cm_deadline deadline,
    struct cm_trace *t, struct cm_cert **out);

/*
 * The certificates in these slots, as far as they are there and meant for
 * logging in (cm_cert_is_for_login()): read in one PC/SC transaction, which ends
 * with them, before any PIN.  Of the retired slots only those are asked for that
 * the card's key history (SP 800-73-4 Part 1, 3.3.3) tells of, if it has one.
 * cert is borrowed for the call of the visitor, whose failure ends it.
 *
 * CM_OK, also where there is none; CM_ERR_STATE: a PIN was sent; else as cm_card_certificate()
 */
typedef enum cm_err (*cm_slot_visit)(void *arg, enum cm_slot slot, struct cm_cert *cert);
struct cm_card_slots {
	const uint8_t *slots;
	size_t count;
	cm_slot_visit visit;
	void *arg;
};
CM_MUST_USE enum cm_err cm_card_others(struct cm_card *c, const struct cm_card_slots *wanted, cm_deadline deadline,
    struct cm_trace *t);

/*
 * Reset the card if a PIN was sent to it, let go of it, free.  Accepts NULL.
 * Waits for a reader that does not answer for 2 s at most; the reset then
 * follows when it does, or when this process ends.
 */
void cm_card_close(struct cm_card **c);

/*
 * Read the slot's certificate.  *out is a reference of the caller's.
 *
 * CM_ERR_ABSENT   CARD_NO_CERTIFICATE
 * CM_ERR_OFFLINE  CARD_REMOVED, CARD_SILENT (deadline)
 * CM_ERR_SYNTAX   CARD_MALFORMED, CERT_MALFORMED
 * CM_ERR_AGAIN    CARD_CHANGED: reset or swapped by somebody since it was opened
 */
CM_MUST_USE enum cm_err cm_card_certificate(struct cm_card *c, enum cm_slot slot,
    cm_deadline deadline, struct cm_trace *t, struct cm_cert **out);

/*
 * PIN tries left, asked without spending one (empty VERIFY, SP 800-73-4 Part 2,
 * 3.2.1).  *tries is CM_TRIES_UNKNOWN where the card does not count (a file).
 * A blocked card is CM_OK and 0.
 */
#define CM_TRIES_UNKNOWN	UINT32_MAX
CM_MUST_USE enum cm_err cm_card_pin_tries(struct cm_card *c, cm_deadline deadline,
    struct cm_trace *t, unsigned *tries);

/*
 * One VERIFY for one PIN.  Starts the exchange that cm_card_close() ends; the
 * card is locked for others (SCardBeginTransaction) from here on.  Never sent
 * when the card was reset or swapped since its certificate was read, when no
 * tries are known to be left, or when one is left and last_try is false.
 * cm_card_pin_tries() must have been called before: its answer is used.
 * A card already unlocked by somebody is asked all the same.
 * *left is what the card says after it, or CM_TRIES_UNKNOWN.
 *
 * CM_ERR_REFUSED  PIN_WRONG (the text says how many tries are left),
 *                 PIN_BLOCKED, PIN_LAST_TRY, PIN_FORM (nothing was sent; a token's length)
 * CM_ERR_AGAIN    CARD_CHANGED (nothing was sent)
 * CM_ERR_OFFLINE  CARD_REMOVED, CARD_SILENT
 * CM_ERR_STATE    the tries were not asked for
 */
CM_MUST_USE enum cm_err cm_card_verify_pin(struct cm_card *c, const struct cm_secret *pin,
    bool last_try, cm_deadline deadline, struct cm_trace *t, unsigned *left);

/* The reader takes the PIN by itself (PC/SC Part 10, FEATURE_VERIFY_PIN_DIRECT), so that no program sees it. */
bool cm_card_has_pad(const struct cm_card *c);
/*
 * As cm_card_verify_pin(), with the PIN typed on the reader: within the
 * deadline, of which the reader is told.
 *
 * Besides: CM_ERR_USAGE PIN_MISSING (nobody typed; or no such reader), CM_ERR_AGAIN
 * CANCELLED (on the reader), CM_ERR_REFUSED PIN_FORM (too short); no try was spent then
 */
CM_MUST_USE enum cm_err cm_card_verify_pad(struct cm_card *c, bool last_try,
    cm_deadline deadline, struct cm_trace *t, unsigned *left);

/*
 * Another PIN for this one (CHANGE REFERENCE DATA, SP 800-73-4 Part 2, 3.2.2), by
 * the rules of cm_card_verify_pin(): a wrong old PIN spends a try.
 *
 * Besides: CM_ERR_REFUSED PIN_FORM also where the card does not take the new one; CM_ERR_CONFIG
 * CARD_FILE: a card file's PIN is its key's password, and other programs change that
 */
struct cm_card_pins {
	const struct cm_secret *now, *next;	/* borrowed */
	bool last_try;
};
CM_MUST_USE enum cm_err cm_card_change_pin(struct cm_card *c, const struct cm_card_pins *pins,
    cm_deadline deadline, struct cm_trace *t, unsigned *left);

/*
 * A new PIN, and all its tries, by the PUK (RESET RETRY COUNTER, SP 800-73-4 Part 2, 3.2.3), whatever
 * tries the PIN has left.  The PUK's own are not to be had beforehand: a wrong one spends
 * one of them, and the last ends the PUK.  Resets only the application's PIN (Part 1, table 6).
 * *left: the PUK's tries, or CM_TRIES_UNKNOWN.
 *
 * CM_ERR_REFUSED  PUK_WRONG, PUK_BLOCKED; PUK_FORM, PIN_FORM: nothing was sent, or the card does not take the new PIN
 * CM_ERR_CONFIG   CARD_FILE; others as cm_card_change_pin()
 */
CM_MUST_USE enum cm_err cm_card_unblock_pin(struct cm_card *c, const struct cm_secret *puk, const struct cm_secret *next,
    cm_deadline deadline, struct cm_trace *t, unsigned *left);

/*
 * Sign with the slot's key.  cert is the certificate of that slot: it says which
 * algorithm to ask the card for.  digest is the hash itself, md its algorithm
 * ("SHA256", "SHA384", "SHA512").  RSA: PKCS #1 v1.5 (RFC 8017 section 9.2); EC:
 * DER ECDSA-Sig-Value.
 * The signature verifies with that certificate's own key, or is not given: a
 * copied certificate ends here, before anybody else sees what the card signed.
 *
 * CM_ERR_OFFLINE, CM_ERR_AGAIN as above; CM_ERR_REFUSED CARD_KEY: the card has
 * no such key, refuses it, or signed with another; CM_ERR_SYNTAX CARD_MALFORMED; CM_ERR_STATE: md and
 * digest do not go together
 */
CM_MUST_USE enum cm_err cm_card_sign(struct cm_card *c, enum cm_slot slot,
    const struct cm_cert *cert, const char *md, struct cm_blob digest,
    cm_deadline deadline, struct cm_trace *t, struct cm_buf *signature);

/*
 * What the slot's key makes of input, bare (SP 800-73-4 Part 2, 3.2.4): of 256, 384
 * or 512 octets the RSA private operation, as long as that: padding is the
 * caller's to take off; of 65 or 97 octets, an uncompressed point of P-256 or
 * P-384, the X coordinate of ECDH.  The card is unlocked.  The result is as
 * secret as what it opens: out is a buffer of secrets.
 *
 * CM_ERR_REFUSED CARD_KEY: the slot has no key of that kind, or the card does not use it so; CM_ERR_SYNTAX
 * CARD_MALFORMED; CM_ERR_STATE: input is of another length; CM_ERR_CONFIG CARD_FILE: a card file has no such key; others as above
 */
CM_MUST_USE enum cm_err cm_card_decipher(struct cm_card *c, enum cm_slot slot, struct cm_blob input,
    cm_deadline deadline, struct cm_trace *t, struct cm_buf *out);

/*
 * How many retired Key Management keys the card says it has (SP 800-73-4 Part 1, 3.3.3): with their certificates
 * on it, from slot 82 up, and without, from 95 down.  None where it has no key history object.
 */
struct cm_card_history {
	unsigned with, without;
};
CM_MUST_USE enum cm_err cm_card_key_history(struct cm_card *c, cm_deadline deadline, struct cm_trace *t,
    struct cm_card_history *out);

/*
 * Proof that this card holds the private key of this certificate: the card
 * signs 32 random bytes of this host's (never of the card's), and the signature
 * verifies with the certificate's own public key.  Only this function makes one.
 */
struct cm_proof;
CM_MUST_USE enum cm_err cm_card_prove(struct cm_card *c, enum cm_slot slot,
    const struct cm_cert *cert, cm_deadline deadline, struct cm_trace *t,
    struct cm_proof **out);
bool cm_proof_is_for(const struct cm_proof *p, const struct cm_cert *cert);
void cm_proof_free(struct cm_proof **p);

struct cm_card_stats cm_card_stats(const struct cm_card *c);

/* "Virtual PCD 00 00", "file:alice.pem": for people. */
const char *cm_card_where(const struct cm_card *c);
/* GUID of the CHUID as read at CM_CARD_LOGIN, 16 bytes; {NULL, 0}: not recognisable (absent, zero, a vendor's fixed FASC-N). */
struct cm_blob cm_card_guid(const struct cm_card *c);

/* One reader, for listing.  Texts are borrowed for the call of the visitor. */
struct cm_reader {
	const char *name;
	bool card_present;
	struct cm_blob atr;
};
typedef enum cm_err (*cm_reader_visit)(void *arg, const struct cm_reader *r);
/* Each reader in turn; CM_ERR_OFFLINE NO_READER when there is none or no pcscd. */
CM_MUST_USE enum cm_err cm_card_readers(cm_deadline deadline, struct cm_trace *t,
    cm_reader_visit visit, void *arg);

#endif /* CM_CARD_CARD_H */
