/* card/card_internal.h - what the parts of card/ share: the open card, its backends, the wire, TLV. */
#ifndef CM_CARD_CARD_INTERNAL_H
#define CM_CARD_CARD_INTERNAL_H

#include "card/card.h"

/* worker.c - a thread for calls that have no deadline of their own. */

struct cm_worker;
/* abandon(arg) is called in it when nobody waits any more: it lets go of arg and frees it.  NULL: no memory, no thread. */
struct cm_worker *cm_worker_new(void *arg, void (*abandon)(void *arg));
/* Let it do one job(arg).  false: it was not done by the deadline; arg is the worker's then, for it may be at it still. */
CM_MUST_USE bool cm_worker_run(struct cm_worker *w, void (*job)(void *arg), cm_deadline deadline);
/* No more jobs come, and w is gone.  true: arg is the caller's; false: it is still at a job, and abandons arg after it. */
CM_MUST_USE bool cm_worker_end(struct cm_worker *w);

/* tlv.c - BER-TLV data objects (ISO/IEC 7816-4 5.2.2), a cursor over borrowed bytes. */

struct cm_tlv {
	uint32_t tag;		/* all its octets, first one highest: 0x5F2F */
	struct cm_blob value;
};

/*
 * Read the head at the start of *in and move past it; the value need not be
 * all there.  CM_ERR_ABSENT: in is empty; CM_ERR_SYNTAX.
 */
CM_MUST_USE enum cm_err cm_tlv_head(struct cm_blob *in, uint32_t *tag, size_t *len);

/* Read one whole data object and move past it.  As cm_tlv_head(); SYNTAX too when it is cut short. */
CM_MUST_USE enum cm_err cm_tlv_next(struct cm_blob *in, struct cm_tlv *out);

/* in is one data object of this tag and nothing else.  CM_ERR_SYNTAX */
CM_MUST_USE enum cm_err cm_tlv_only(struct cm_blob in, uint32_t tag, struct cm_blob *value);

/* The one data object of this tag in in; every object is read.  ABSENT; SYNTAX, also when it is there twice. */
CM_MUST_USE enum cm_err cm_tlv_find(struct cm_blob in, uint32_t tag, struct cm_blob *value);

/* Append tag and length; the value is the caller's to add. */
void cm_tlv_put(struct cm_buf *out, uint8_t tag, size_t len);

/*
 * The wire to one card, with a row of functions behind it: pcsc.c, or the bytes
 * of a test.  Failures are reported here (CARD_REMOVED, CARD_SILENT,
 * CARD_CHANGED), and after one of them nothing more is ever sent.
 */
struct cm_wire_ops {
	/* One command APDU, one response APDU with its status word, appended to answer. */
	enum cm_err (*transmit)(void *self, struct cm_blob command, cm_deadline deadline,
	    struct cm_trace *t, struct cm_buf *answer);
	/* Nobody else reaches the card from here to close; fails if it was reset meanwhile. */
	enum cm_err (*lock)(void *self, cm_deadline deadline, struct cm_trace *t);
	/* Others may use the card again. */
	enum cm_err (*unlock)(void *self, cm_deadline deadline, struct cm_trace *t);
	/* Let go, after a reset if so asked; frees self. */
	void (*close)(void *self, bool reset);
	/* FEATURE_VERIFY_PIN_DIRECT with this PIN_VERIFY_STRUCTURE; answer: as of a command.  NULL: never has_pad. */
	enum cm_err (*pad)(void *self, struct cm_blob structure, cm_deadline deadline,
	    struct cm_trace *t, struct cm_buf *answer);
};

/* apdu_log.c: where the exchange is written down, without what is secret. */
struct cm_apdu_log {
	int fd;			/* -1: nowhere */
	uint8_t ins;		/* of the last command but GET RESPONSE */
	bool full;		/* it was said that no more is written */
};
/* One command APDU, and what came: with its status word, or nothing. */
void cm_apdu_log(struct cm_apdu_log *l, struct cm_blob command, const struct cm_buf *answer);

struct cm_wire {
	const struct cm_wire_ops *ops;	/* NULL: not connected */
	void *self;
	bool extended;		/* card and reader take extended length fields */
	bool t0;		/* T=0: no Le beside data (ISO/IEC 7816-3 12.2.1) */
	bool has_pad;		/* the reader takes PINs itself */
	struct cm_apdu_log *log;	/* borrowed; NULL: none */
};

/* apdu.c - one command with all its answer, whatever number of APDUs that takes. */

struct cm_apdu {
	uint8_t ins, p1, p2;
	struct cm_blob data;
	bool answers;		/* an answer is wanted */
	bool head;		/* only its first 256 bytes; the card may keep the rest */
};

/* Longest answer taken, bytes without the status word. */
#define CM_ANSWER_MAX	((size_t)64 << 10)

/*
 * answer is emptied first.  *sw is the status word after the last APDU, CM_OK
 * whatever it says; *sw is 0x9000 for a head whose rest was left in the card.
 * CM_ERR_SYNTAX CARD_MALFORMED: more than was asked for, no end to it, no
 * status word.  Other failures are the wire's.
 */
CM_MUST_USE enum cm_err cm_apdu_exchange(struct cm_wire *w, struct cm_card_stats *stats,
    const struct cm_apdu *a, cm_deadline deadline, struct cm_trace *t,
    struct cm_buf *answer, uint16_t *sw);

/* Do these historical bytes promise extended length (ISO/IEC 7816-4 8.1.1.2.7)? */
bool cm_atr_extended(struct cm_blob atr);

/* An open card. */

struct cm_backend;

struct cm_card {
	const struct cm_backend *backend;
	struct cm_buf where;
	struct cm_card_stats stats;
	bool tries_asked;
	unsigned tries;		/* what the card said last; CM_TRIES_UNKNOWN */
	const struct cm_card_recogniser *recogniser;	/* borrowed, while it is opened; NULL: everything is read */
	struct cm_cert *known;	/* owned: what the recogniser knew; NULL: it is read from the card */
	enum cm_slot known_slot;

	/* piv.c */
	struct cm_wire wire;
	struct cm_apdu_log log;
	uint8_t pin_reference;	/* 80 the application's, 00 the global PIN */
	bool reading;		/* in a transaction, which reading the certificate ends: a person is asked next */
	bool locked;		/* in a transaction, and the PIN was sent: to be reset */
	bool has_guid;
	uint8_t guid[16];

	/* file.c */
	struct cm_buf pem;	/* the file as it was opened; wiped */
	bool others_read;	/* others than its owner may read the file */
	EVP_PKEY *key;		/* NULL until the PIN was given */

	/* token.c */
	struct cm_token *token;	/* a token's wire only looks whether it is still there */
	enum cm_reason lost;	/* why the module is not called any more */
	bool unlocked;
};

struct cm_card_puk {
	const struct cm_secret *puk, *next;	/* borrowed */
};

/* What a card can do; the contracts are card.h's.  A new kind of card is one row in card.c. */
struct cm_backend {
	const char *prefix;	/* of the source: "reader", "file", "token" */
	enum cm_err (*open)(struct cm_card *c, const char *name, enum cm_card_purpose purpose,
	    cm_deadline deadline, struct cm_trace *t);
	enum cm_err (*certificate)(struct cm_card *c, enum cm_slot slot, cm_deadline deadline,
	    struct cm_trace *t, struct cm_cert **out);
	enum cm_err (*tries)(struct cm_card *c, cm_deadline deadline, struct cm_trace *t,
	    unsigned *tries);
	/* *left comes as what is known; it changes once the PIN was sent. */
	enum cm_err (*verify)(struct cm_card *c, struct cm_blob pin, cm_deadline deadline,
	    struct cm_trace *t, unsigned *left);
	enum cm_err (*sign)(struct cm_card *c, enum cm_slot slot, const struct cm_cert *cert,
	    const char *md, struct cm_blob digest, cm_deadline deadline, struct cm_trace *t,
	    struct cm_buf *signature);
	void (*close)(struct cm_card *c);
	/* NULL: it has none. */
	enum cm_err (*again)(struct cm_card *c, enum cm_slot slot, cm_deadline deadline, struct cm_trace *t,
	    struct cm_cert **out);
	enum cm_err (*verify_pad)(struct cm_card *c, cm_deadline deadline, struct cm_trace *t,
	    unsigned *left);
	enum cm_err (*change)(struct cm_card *c, const struct cm_card_pins *pins,
	    cm_deadline deadline, struct cm_trace *t, unsigned *left);
	enum cm_err (*unblock)(struct cm_card *c, const struct cm_card_puk *puk,
	    cm_deadline deadline, struct cm_trace *t, unsigned *left);
	enum cm_err (*decipher)(struct cm_card *c, enum cm_slot slot, struct cm_blob input,
	    cm_deadline deadline, struct cm_trace *t, struct cm_buf *out);
	enum cm_err (*history)(struct cm_card *c, cm_deadline deadline, struct cm_trace *t,
	    struct cm_card_history *out);
	enum cm_err (*others)(struct cm_card *c, const struct cm_card_slots *wanted, cm_deadline deadline, struct cm_trace *t);
};

extern const struct cm_backend cm_backend_piv;	/* piv.c: c->wire, once connected */
extern const struct cm_backend cm_backend_file;	/* file.c */
extern const struct cm_backend cm_backend_token;/* token.c */
/*
 * token.c: the card in the readers whose name holds name, by the first of these modules that knows it;
 * c is empty, of that backend.  ABSENT CARD_NOT_PIV: none does
 */
CM_MUST_USE enum cm_err cm_token_open_card(struct cm_card *c, const struct cm_card_from *from, const char *name,
    cm_deadline deadline, struct cm_trace *t);
/* piv_key.c: DER of DigestInfo before a hash of this name and length (RFC 8017 section 9.2); {NULL, 0}: no such */
struct cm_blob cm_card_digest_info(const char *md, size_t len);

/*
 * piv.c: SELECT, and for a login the CHUID's head, then, unless c->recogniser knows the card,
 * the discovery object, over c->wire.
 */
CM_MUST_USE enum cm_err cm_piv_start(struct cm_card *c, enum cm_card_purpose purpose,
    cm_deadline deadline, struct cm_trace *t);
/* The discovery object alone. */
CM_MUST_USE enum cm_err cm_piv_discover(struct cm_card *c, cm_deadline deadline,
    struct cm_trace *t);

/* piv_pin.c: what the PIV backend does with PINs; the contracts are card.h's. */
#define CM_PIN_APPLICATION	0x80	/* SP 800-73-4 Part 1, table 4a: key references */
#define CM_PIN_GLOBAL		0x00
CM_MUST_USE enum cm_err cm_piv_tries(struct cm_card *c, cm_deadline deadline,
    struct cm_trace *t, unsigned *tries);
CM_MUST_USE enum cm_err cm_piv_verify(struct cm_card *c, struct cm_blob pin,
    cm_deadline deadline, struct cm_trace *t, unsigned *left);
CM_MUST_USE enum cm_err cm_piv_verify_pad(struct cm_card *c, cm_deadline deadline,
    struct cm_trace *t, unsigned *left);
CM_MUST_USE enum cm_err cm_piv_change(struct cm_card *c, const struct cm_card_pins *pins,
    cm_deadline deadline, struct cm_trace *t, unsigned *left);
CM_MUST_USE enum cm_err cm_piv_unblock(struct cm_card *c, const struct cm_card_puk *puk,
    cm_deadline deadline, struct cm_trace *t, unsigned *left);

/* pad.c: PIN_VERIFY_STRUCTURE (PC/SC Part 10, 2.5.2) for VERIFY of this key reference, seconds for typing. */
void cm_pad_structure(struct cm_buf *out, uint8_t reference, unsigned seconds);

/* piv_key.c: the GENERAL AUTHENTICATE of cm_card_sign(). */
CM_MUST_USE enum cm_err cm_piv_decipher(struct cm_card *c, enum cm_slot slot, struct cm_blob input,
    cm_deadline deadline, struct cm_trace *t, struct cm_buf *out);
CM_MUST_USE enum cm_err cm_piv_sign(struct cm_card *c, enum cm_slot slot,
    const struct cm_cert *cert, const char *md, struct cm_blob digest,
    cm_deadline deadline, struct cm_trace *t, struct cm_buf *signature);

/*
 * pcsc.c: connect to the one card in the readers whose name holds name ("": any);
 * its name goes to where.  It is locked.
 */
CM_MUST_USE enum cm_err cm_pcsc_connect(const char *name, cm_deadline deadline,
    struct cm_trace *t, struct cm_wire *wire, struct cm_buf *where);

/*
 * pcsc.c: the same reader, with no connection made: of the wire there is lock alone, which
 * fails where the card is not the one that was there now, and close.  where: as pcscd has it.
 * CM_ERR_USAGE SEVERAL_CARDS also where another reader that holds a card has a name with the same first seen octets.
 */
CM_MUST_USE enum cm_err cm_pcsc_look(const char *name, size_t seen, cm_deadline deadline,
    struct cm_trace *t, struct cm_wire *wire, struct cm_buf *where);

/* pcsc_reason.c: why rv is not SCARD_S_SUCCESS; words are static, or valid until the next call. */
enum cm_reason cm_pcsc_reason(long rv, const char **words);

#endif /* CM_CARD_CARD_INTERNAL_H */
