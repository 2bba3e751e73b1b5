/* cache/store_wire_internal.h - what is said about a store over a socket: requests, replies, and their fields. */
#ifndef CM_CACHE_STORE_WIRE_INTERNAL_H
#define CM_CACHE_STORE_WIRE_INTERNAL_H

#include "cache/accounts_internal.h"
#include "cache/pairings.h"

/*
 * One request and its reply are datagrams of a SOCK_SEQPACKET socket:
 *
 *	request = kind(1) fields
 *	reply   = kind(1) err(1) reason(2) text more(1) fields    ; fields only where err is CM_OK
 *	number  = 8 octets, little end first
 *	octets  = length(4, little end first) *OCTET
 *	text    = octets                                          ; UTF-8 without NUL
 *
 * A reply with more set is followed by another of the same request.  Both sides
 * check every field: nothing stands behind the last, nothing is over its limit.
 */
#define CM_STORE_WIRE_MAX	((size_t)128 << 10)
#define CM_STORE_CERT_MAX	16384
#define CM_STORE_TEXT_MAX	((size_t)64 << 10)	/* of one text of an account: a certificate may be the value that matched */
#define CM_STORE_GROUPS_MAX	4096
#define CM_STORE_USER_MAX	255
#define CM_STORE_HASH_SIZE	20
#define CM_STORE_HASHES_MAX	64	/* keys of a question to a selector */
#define CM_STORE_SELECT_MS	60000	/* the longest that one may be waited for */
#define CM_STORE_SELECTED_MAX	16384	/* octets of its answer */

/*
 * All that may be asked.  Nothing else is there to be asked, whoever asks: no
 * account is added, no pairing, no key, and nobody who is revoked is forgiven.
 */
#define CM_STORE_REQUESTS(X) \
	X(RECALL)		/* number number (the version that is known; 0 0: none) -> memory, what is revoked */ \
	X(FIND)			/* octets (DER) number (now) -> account number (age) */ \
	X(WITHDRAW)		/* octets (SHA-256 of the certificate) -> */ \
	X(WITHDRAW_USER)	/* octets text (name) -> */ \
	X(WITHDRAW_OTHERS)	/* octets text number (uid) -> */ \
	X(PAIRING)		/* octets (SHA-1) -> pairing */ \
	X(ANY_PAIRING)		/* -> number (0: there is none at all) */ \
	X(FIND_EVIDENCE)	/* octets (issuer's key) octets (serial) -> evidence */ \
	X(KEEP_EVIDENCE)	/* evidence -> */ \
	X(KEEP_SOURCE)		/* source octets (DER of the issuer) -> */ \
	X(SELECT)		/* octets (SHA-1 of each key) text (user, or empty) number (ms) -> octets (what the selector wrote) */

enum cm_store_request {
	CM_STORE_NONE,
#define X(name) CM_STORE_##name,
	CM_STORE_REQUESTS(X)
#undef X
	CM_STORE_REQUEST_COUNT
};

/* ---- writing: into a buffer that is sticky */
void cm_put_number(struct cm_buf *b, int64_t n);
void cm_put_octets(struct cm_buf *b, struct cm_blob v);
void cm_put_text(struct cm_buf *b, const char *s);
void cm_put_evidence(struct cm_buf *b, const struct cm_evidence *e);
void cm_put_source(struct cm_buf *b, const struct cm_source *s);
void cm_put_account(struct cm_buf *b, const struct cm_account *a);
void cm_put_pairing(struct cm_buf *b, const struct cm_pairing *p);
void cm_put_clock(struct cm_buf *b, const struct cm_store_clock *c);

/* ---- reading: bad once, bad for good; what is borrowed is so from the datagram */
struct cm_got {
	struct cm_blob left;
	bool bad;
};
uint8_t cm_get_byte(struct cm_got *g);
int64_t cm_get_number(struct cm_got *g);
struct cm_blob cm_get_octets(struct cm_got *g, size_t min, size_t max);
/* The caller's, never NULL unless g is bad. */
char *cm_get_text(struct cm_got *g, size_t max);
void cm_get_evidence(struct cm_got *g, struct cm_evidence *e);
void cm_get_source(struct cm_got *g, struct cm_source *s);
/* The caller's; NULL when g is bad. */
struct cm_account *cm_get_account(struct cm_got *g);
void cm_get_pairing(struct cm_got *g, struct cm_pairing *p);
void cm_get_clock(struct cm_got *g, struct cm_store_clock *c);
/* All was there, and nothing is behind it. */
bool cm_got_all(const struct cm_got *g);

/* ---- remote.c: a store on the other end of a socket; functions that are safe to call from several threads */
struct cm_remote;
CM_MUST_USE enum cm_err cm_remote_new(const struct cm_accounts_options *o, struct cm_remote **out);	/* connects to nobody yet */
void cm_remote_free(struct cm_remote **r);
CM_MUST_USE enum cm_err cm_remote_recall(const struct cm_accounts *s, time_t now, struct cm_trace *t,
    struct cm_memory **out);
/* CM_ERR_ABSENT: nothing is kept of it, and no reason is set. */
CM_MUST_USE enum cm_err cm_remote_find_evidence(const struct cm_accounts *s, struct cm_blob issuer_key, struct cm_blob serial,
    struct cm_trace *t, struct cm_evidence *out);
CM_MUST_USE enum cm_err cm_remote_find(const struct cm_accounts *s, const struct cm_cert *c, time_t now,
    struct cm_trace *t, struct cm_account **out, int64_t *age_s);
/* name NULL: whoever it is of; uid -1: the account so named, else all but that. */
CM_MUST_USE enum cm_err cm_remote_withdraw(const struct cm_accounts *s, const struct cm_cert *c, const char *name,
    int64_t uid, struct cm_trace *t);
CM_MUST_USE enum cm_err cm_remote_pairing(const struct cm_accounts *s, const uint8_t hash[20], struct cm_trace *t,
    struct cm_pairing *out);
CM_MUST_USE enum cm_err cm_remote_select(const struct cm_accounts *s, const struct cm_selection *q, struct cm_trace *t,
    struct cm_buf *answer);
/* One request and all datagrams of its reply; take() has the fields of each.  On the connection for what is learned; the request is freed. */
struct cm_remote_question {
	struct cm_buf request;
	enum cm_err (*take)(struct cm_got *g, void *out);	/* NULL: there are none */
	void *out;
	cm_deadline deadline;	/* 0: as long as the store may take */
};
void cm_remote_begin(struct cm_remote_question *q, enum cm_store_request kind);
CM_MUST_USE enum cm_err cm_remote_learn(struct cm_remote *r, struct cm_remote_question *q, struct cm_trace *t);

/* remote_keeper.c: *keeper is good while *out and the store are there. */
struct cm_remote_keeping;
CM_MUST_USE enum cm_err cm_remote_keeping_new(const struct cm_accounts *s, struct cm_keeper *keeper,
    struct cm_remote_keeping **out);
void cm_remote_keeping_free(struct cm_remote_keeping **k);

/* pairings.c: is there any at all? */
CM_MUST_USE enum cm_err cm_pairings_any(struct cm_accounts *s, struct cm_trace *t, bool *any);

/* What a memory borrows of what was asked before. */
struct cm_snapshot;
void cm_snapshot_release(struct cm_snapshot **n);

#endif /* CM_CACHE_STORE_WIRE_INTERNAL_H */
