/* trust/crl_internal.h - revocation lists: read once in a stream, kept as a sorted file, asked by serial number. */
#ifndef CM_TRUST_CRL_INTERNAL_H
#define CM_TRUST_CRL_INTERNAL_H

#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "trust/trust_internal.h"

/* RFC 5280 4.1.2.2: octets of a serial number; 5.2.3: of a list's number. */
#define CM_CRL_SERIAL_MAX	20
#define CM_CRL_NUMBER_MAX	20
/* Octets that one entry, and all else in a list but the entries, may have. */
#define CM_CRL_ELEMENT_MAX	65536

/* RFC 5280 5.3.1; an entry without a reason has 0 (unspecified). */
enum { CM_CRL_ON_HOLD = 6, CM_CRL_REMOVED = 8, CM_CRL_REASON_LAST = 10 };
/* Of several entries about one certificate the lowest counts. */
static inline uint8_t
cm_crl_class(uint8_t reason)
{
	return reason == CM_CRL_REMOVED ? 2 : reason == CM_CRL_ON_HOLD ? 1 : 0;
}

/* ---- crl_der.c: DER (X.690), nothing of BER: definite lengths, as short as they can be. */

struct cm_der {
	uint8_t tag;		/* the whole identifier octet: 0x30 is a SEQUENCE */
	size_t head;		/* octets before the content: 2 to 6 */
	size_t len;		/* octets of the content */
};
/* Read what the octets at p begin with; the content need not be there.  false: no DER, or longer than 4 GiB. */
bool cm_der_head(const uint8_t *p, size_t left, struct cm_der *out);
/* Take one element off in; its content is borrowed.  false: there is none with this tag, whole. */
bool cm_der_take(struct cm_blob *in, uint8_t tag, struct cm_blob *content);
/* RFC 5280 4.1.2.5: UTCTime (0x17) and GeneralizedTime (0x18) to the second, in Zulu. */
bool cm_der_time(uint8_t tag, struct cm_blob v, time_t *out);
/* INTEGER content that is not negative and as short as can be, its leading zero taken off; at most max octets. */
bool cm_der_unsigned(struct cm_blob v, size_t max, struct cm_blob *out);

/* ---- crl_bytes.c: a file's DER, which may stand there as PEM, through a window. */

struct cm_crl_bytes {
	int fd;				/* borrowed */
	uint8_t *window, *raw;		/* owned; raw: of PEM, before it is decoded */
	size_t at, end;			/* in the window: the next octet, and behind the last */
	size_t hashed;			/* in the window: digested up to here */
	uint64_t offset;		/* of the window's first octet in the DER */
	uint64_t size, max;		/* of the file; bytes read at most */
	uint64_t taken;			/* bytes of the file that were read */
	EVP_ENCODE_CTX *base64;		/* NULL: the file is DER */
	char tail[32];			/* of PEM: what follows the base64, white space left out */
	size_t tail_len;
	EVP_MD_CTX *whole;		/* SHA-256 of all octets */
	EVP_MD_CTX *part;		/* borrowed: verifies what is taken now; NULL: none */
	const char *fault;		/* why no more can be had, or NULL */
};
/* From the file's beginning.  CM_ERR_SYNTAX: fault says why; CM_ERR_NOMEM.  To be closed either way. */
CM_MUST_USE enum cm_err cm_crl_bytes_open(struct cm_crl_bytes *b, int fd, uint64_t max);
void cm_crl_bytes_close(struct cm_crl_bytes *b);
/* Octets to come, n of them if there are so many (n at most CM_CRL_ELEMENT_MAX); *have tells.  Borrowed until the next call. */
const uint8_t *cm_crl_bytes_peek(struct cm_crl_bytes *b, size_t n, size_t *have);
void cm_crl_bytes_skip(struct cm_crl_bytes *b, size_t n);	/* no more than was peeked at */
/* From the octet at index begin of the window on, part verifies what is taken; NULL: from here on no more. */
bool cm_crl_bytes_verify(struct cm_crl_bytes *b, EVP_MD_CTX *part, size_t begin);
uint64_t cm_crl_bytes_offset(const struct cm_crl_bytes *b);
bool cm_crl_bytes_digest(struct cm_crl_bytes *b, uint8_t sha256[32]);

/* ---- crl_parse.c, crl_entry.c: CertificateList (RFC 5280 section 5.1). */

struct cm_crl_number {
	uint8_t octets[CM_CRL_NUMBER_MAX];	/* right-aligned */
	bool there;
};

/* What a list says of itself. */
struct cm_crl_about {
	struct cm_blob issuer;		/* DER of its Name */
	struct cm_blob scope;		/* DER of issuingDistributionPoint; empty: it has none */
	struct cm_blob issuers;		/* of an indirect list: the other Names of its entries, DER one behind the other */
	struct cm_blob freshest;	/* addresses of its deltas, each ended by a NUL */
	struct cm_blob key_id;		/* of authorityKeyIdentifier; not kept in an index */
	time_t this_update, next_update;	/* next_update 0: it names none */
	struct cm_crl_number number, base;	/* base: of a delta CRL */
	bool delta, indirect, only_users, only_cas;
	uint64_t entries;
	size_t width;			/* octets of the longest serial number, at least 1 */
	uint64_t size;			/* octets of its DER */
	uint8_t sha256[32];		/* of its DER */
};

/* What it says of one certificate. */
struct cm_crl_entry {
	uint8_t serial[CM_CRL_SERIAL_MAX];	/* right-aligned */
	uint8_t reason;
	uint16_t issuer;		/* 0: the list's own; n: the n-th of issuers */
	time_t revoked_at;		/* at least 1 */
};

struct cm_crl_list {
	struct cm_crl_about about;	/* borrows from these */
	struct cm_buf issuer, scope, issuers, freshest, key_id;
};
void cm_crl_list_free(struct cm_crl_list *l);

/* Anything but CM_OK ends the reading with this result. */
typedef enum cm_err (*cm_crl_visit)(void *arg, const struct cm_crl_entry *e);
typedef void (*cm_crl_progress)(void *arg, uint64_t done, uint64_t total);	/* octets of the file */
struct cm_crl_parsing {
	int fd;			/* borrowed; read from its beginning */
	uint64_t max;		/* bytes */
	X509 *issuer;		/* whose list it must be, signed with its key; NULL: for showing only, nothing is verified */
	cm_crl_visit visit;	/* NULL: entries are checked and counted only */
	void *arg;
	cm_crl_progress progress;	/* NULL: not wanted */
	void *progress_arg;
};
/*
 * One pass.  What the visitor was given may not be believed before this says
 * CM_OK: the signature comes last.
 * CM_ERR_SYNTAX   it is no list, or not one to go by: why says what
 * CM_ERR_NOMEM, CM_ERR_SYSTEM (it cannot be read), the visitor's
 */
CM_MUST_USE enum cm_err cm_crl_parse(const struct cm_crl_parsing *p, struct cm_crl_list *out,
    struct cm_buf *why);
/* By what name a list is refused of which that is wrong. */
enum cm_objection cm_crl_objection_of(const char *why);
/* One entry's DER, without its head.  names: the Names so far, *issuer: the one that holds on.  NULL: it is one. */
const char *cm_crl_entry_parse(struct cm_blob der, struct cm_blob own, struct cm_buf *names,
    struct cm_crl_entry *e, size_t *width);
/* Which of the names (DER, one behind the other) this one is, from 1; it is added where it is new.  NULL: *out; or why not. */
const char *cm_crl_entry_issuer(struct cm_buf *names, struct cm_blob name, uint16_t *out);
/* Extensions ::= SEQUENCE OF: the next one's OID, whether critical, its value's content. */
bool cm_crl_extension_next(struct cm_blob *in, struct cm_blob *oid, bool *critical, struct cm_blob *value);

/* crl_signature.c: a context that verifies with key what is signed by alg (both borrowed); NULL: key and alg do not go together. */
EVP_MD_CTX *cm_crl_signature_begin(EVP_PKEY *key, const X509_ALGOR *alg);

/* ---- crl_index.c, crl_build.c: the sorted file; its grammar stands in crl_index.c. */

struct cm_crl_origin {
	const char *source;	/* URL or path */
	const char *etag;	/* of HTTP; of a file what tells that it changed */
	const char *modified;	/* Last-Modified */
	time_t learned;		/* this host's clock when it was verified */
	time_t confirmed;	/* what its trailer begins with */
};

#define CM_CRL_TRAILER	12	/* octets */

struct cm_crl_index {
	struct cm_crl_about about;	/* borrows from map */
	uint8_t issuer_key[32];		/* SHA-256 of the issuer's SubjectPublicKeyInfo */
	time_t learned;
	time_t confirmed;		/* when its source last said so; thisUpdate where the trailer is damaged */
	struct cm_blob source, etag, modified;
	const uint8_t *map;		/* owned */
	size_t size, header_size;
	size_t issuer_width;		/* 0, or 2 in an indirect list */
	uint32_t seed;			/* CRC-32 of the header's digest */

	struct cm_crl_index *next;	/* of several; owned by the one before */
	bool beside;			/* kept, and not the one in force of its key and scope */
	bool also;			/* of trust's crl_also: nothing there is confirmed or replaced */
	bool gone;			/* no list: what former ones revoked */
	bool came;			/* by network, in this round */
	bool asked;			/* this one was asked for: why it does not count is said */
	enum cm_objection left_out;	/* of one that came: why it is not in force; NONE: it is, or the same is */
};
/* Map fd, which may be closed then.  CM_ERR_SYNTAX: it is no index, or a damaged one: why; CM_ERR_SYSTEM, CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_crl_index_open(int fd, struct cm_crl_index **out, struct cm_buf *why);
void cm_crl_index_close(struct cm_crl_index **x);
bool cm_crl_index_is_whole(const struct cm_crl_index *x);	/* every entry is as it was written */
/*
 * What the list says of the serial number (content octets of the INTEGER) of
 * the certificate issued by issuer, its own entry first, removeFromCRL last.
 * CM_ERR_ABSENT   nothing; the neighbours were seen whole
 * CM_ERR_SYNTAX   the file is damaged where it would stand, or the serial is no number that a list can hold
 */
CM_MUST_USE enum cm_err cm_crl_index_find(const struct cm_crl_index *x, const X509_NAME *issuer,
    struct cm_blob serial, struct cm_crl_entry *out);
/* The i-th, as it is sorted.  false: damaged. */
bool cm_crl_index_entry(const struct cm_crl_index *x, uint64_t i, struct cm_crl_entry *out);
/* Header as it stands in the file, digest included. */
void cm_crl_index_write_header(const struct cm_crl_about *a, const struct cm_crl_origin *o,
    const uint8_t issuer_key[32], struct cm_buf *out);
/* Of the entry at position i, at octets before its checksum. */
uint32_t cm_crl_index_crc(uint32_t seed, uint64_t i, const uint8_t *entry, size_t len);
uint32_t cm_crl_index_seed(const uint8_t digest[32]);
void cm_crl_index_write_trailer(uint32_t seed, uint64_t entries, time_t confirmed, uint8_t out[CM_CRL_TRAILER]);

struct cm_crl_building {
	int list;			/* borrowed: the list */
	int folder;			/* borrowed: where what is put aside may be, or -1: in memory */
	int (*create)(void *arg);	/* an empty file, for writing; asked when the list has passed; -1: errno */
	void *arg;
	uint64_t max;			/* bytes of the list */
	X509 *issuer;			/* whose list it must be */
	const uint8_t *issuer_key;	/* its SHA-256 */
	struct cm_crl_origin origin;
	cm_crl_progress progress;	/* NULL: not wanted */
	void *progress_arg;
};
/* As cm_crl_parse(); CM_ERR_SYSTEM also when the index cannot be written. */
CM_MUST_USE enum cm_err cm_crl_build(const struct cm_crl_building *b, struct cm_buf *why);
/*
 * Of no list: feed() gives the entries, in any order, and about is read when it
 * has returned.  CM_ERR_ABSENT: there were none, and nothing was created.
 */
typedef enum cm_err (*cm_crl_feed)(void *arg, cm_crl_visit visit, void *visit_arg);
CM_MUST_USE enum cm_err cm_crl_build_from(const struct cm_crl_building *b, const struct cm_crl_about *about,
    cm_crl_feed feed, void *arg, struct cm_buf *why);

/* ---- crl_gone.c: what a list said, and its successor says no more. */

struct cm_crl_gone {
	const struct cm_crl_index *gone;	/* so far; NULL: nothing */
	const struct cm_crl_index *old;		/* is replaced; NULL: nothing is */
	const struct cm_crl_index *fresh;	/* by this; NULL: by nothing */
	const struct cm_crl_index *base;	/* of a delta CRL: says it too; NULL: none */
	const uint8_t *forget;			/* not this serial number, CM_CRL_SERIAL_MAX octets; NULL: none is left out */
	const X509_NAME *issuer;		/* of whose certificate; NULL: of who issued the lists */
};
/* Is this entry of x that of the certificate with this number, of this issuer (NULL: who issued x)? */
bool cm_crl_gone_is_of(const struct cm_crl_index *x, const struct cm_crl_entry *e, const uint8_t serial[CM_CRL_SERIAL_MAX],
    const X509_NAME *issuer);
/* b: list, issuer and origin are not looked at.  CM_ERR_ABSENT: nothing is gone, or the list is the same; nothing was made. */
CM_MUST_USE enum cm_err cm_crl_gone_build(const struct cm_crl_gone *g, struct cm_crl_building *b, struct cm_buf *why);

/* A file that has no name, of folder, or in memory where folder is -1 or takes none.  -1: errno says why. */
int cm_crl_temporary(int folder);

/* ---- crl_store.c: indexes kept in a folder for each issuer's key. */

#define CM_CRL_NAME	40	/* octets of a file's name */

struct cm_crl_store {
	int folder;			/* of this issuer's key; -1: nothing is kept */
	bool keeps;			/* what is imported too */
	const uint8_t *issuer_key;	/* borrowed: SHA-256 */
	cm_deadline until;		/* nobody who holds its lock is waited for longer; 0: not set */
};
/* Makes the folders when it keeps what is imported.  Where that cannot be, nothing is, and warning says why if it is amiss. */
void cm_crl_store_open(struct cm_crl_store *s, const char *path, const uint8_t issuer_key[32],
    bool keeps, struct cm_buf *warning);
void cm_crl_store_close(struct cm_crl_store *s);
cm_deadline cm_crl_lock_until(const struct cm_question *q);	/* for .until */

/* Every whole index, put in front of *head; what lies there damaged is left out.  False: that was what former lists revoked. */
bool cm_crl_store_load(const struct cm_crl_store *s, struct cm_crl_index **head);

/* RFC 5280 5.2.3: numbers ascend.  Older in one of number and thisUpdate is older: an honest CA's newer list is so in neither. */
bool cm_crl_is_older(const struct cm_crl_about *a, const struct cm_crl_about *b);
/* Of the same issuer's name and issuingDistributionPoint? */
bool cm_crl_same_scope(const struct cm_crl_about *a, const struct cm_crl_about *b);
/* RFC 5280 5.2.4 (c), (d): may delta be applied to base? */
bool cm_crl_delta_fits(const struct cm_crl_about *delta, const struct cm_crl_about *base);
/* "number 17, of 2026-11-21 14:00:00 UTC" */
void cm_crl_describe(const struct cm_crl_about *a, struct cm_buf *out);

/* Its source said at now that it is still its list.  CM_ERR_ABSENT: it is not there any more. */
CM_MUST_USE enum cm_err cm_crl_store_confirm(const struct cm_crl_store *s, const struct cm_crl_index *x, time_t now);

/*
 * What was fetched of a list before it broke off: taken, it is a file as
 * cm_crl_store_create() makes, at its end; -1: there is none.
 */
int cm_crl_store_take_part(const struct cm_crl_store *s, const char *url, char name[CM_CRL_NAME], char *etag, size_t size);
CM_MUST_USE enum cm_err cm_crl_store_keep_part(const struct cm_crl_store *s, const char *url, const char *name, const char *etag);
void cm_crl_store_remove(const struct cm_crl_store *s, const char *name);

/* Of crl_store.c for crl_part.c and crl_keep.c.  NULL or -1: errno. */
#define CM_CRL_NEW	"new."
#define CM_CRL_PART	"part."
void cm_crl_hex_name(const uint8_t digest[32], const char *end, char *name, size_t size);
void cm_crl_name_in_force(const struct cm_crl_about *a, char name[CM_CRL_NAME]);
void cm_crl_name_beside(struct cm_blob source, char name[CM_CRL_NAME]);	/* of an administrator's file */
bool cm_crl_folder_counts(int fd);
#define CM_CRL_FOLDER_WRONG	"it and all in it must be root's (or this user's), and nobody else may write it"
int cm_crl_store_lock(const struct cm_crl_store *s);	/* held until it is closed */
struct cm_crl_index *cm_crl_store_open_index(const struct cm_crl_store *s, const char *name);	/* of this key, and whole */
DIR *cm_crl_store_entries(const struct cm_crl_store *s);
int cm_crl_store_create_locked(const struct cm_crl_store *s, char name[CM_CRL_NAME]);
bool cm_crl_part_is_recent(int fd);

/* A new file of this folder, held so that nobody sweeps it away: name is where it is.  -1: errno. */
int cm_crl_store_create(const struct cm_crl_store *s, char name[CM_CRL_NAME]);

struct cm_crl_import {
	int list;			/* borrowed */
	uint64_t max;			/* bytes of it */
	X509 *issuer;			/* whose it must be */
	struct cm_crl_origin origin;	/* confirmed 0: as the list's thisUpdate */
	time_t now;
	bool beside;			/* an administrator's file: kept beside one in force that is not older */
	struct cm_buf *warning;		/* NULL: not wanted */
	cm_crl_progress progress;	/* NULL: not wanted */
	void *progress_arg;
	enum cm_objection left_out;	/* out: NONE: it is kept; ROLLBACK, FUTURE, NO_BASE, NOT_KEPT (said in warning, if amiss) */
};
/* What is wrong with a list that was left out, but for NOT_KEPT. */
const char *cm_crl_left_out_text(enum cm_objection o);
/*
 * Index a list, and put it in force unless a newer one of its issuer and scope
 * is, or it is dated ahead.
 * CM_OK  *out is to be asked; where it could not be kept, warning says so, and nothing on disk has changed.
 * Errors as cm_crl_build().
 */
CM_MUST_USE enum cm_err cm_crl_store_import(struct cm_crl_store *s, struct cm_crl_import *i,
    struct cm_crl_index **out, struct cm_buf *why);
/* The number for people: decimal, or hexadecimal with 0x where it is long; "" when there is none. */
void cm_crl_number_text(const struct cm_crl_number *n, struct cm_buf *out);


/* ---- crl_issuer.c: whose list it is. */

struct cm_crl_asker {
	const struct cm_trust *trust;
	const struct cm_known *known;
	time_t now;
	X509 *issuer;			/* borrowed: of the certificate; NULL: none in particular */
	STACK_OF(X509) *more;		/* borrowed: looked through first, as the chain's; NULL: none */
	const X509 *anchor;		/* that paths have to end at; NULL: any of trust's */
	bool any_time;			/* a path that has expired is one too: enough for "revoked" */
};
bool cm_crl_key(X509 *issuer, uint8_t key[32]);	/* SHA-256 of its SubjectPublicKeyInfo */
bool cm_crl_may_sign(X509 *issuer);
/* Certificates known here by name (NULL: all of them), the certificate's issuer first; the same key may come again.  False ends it. */
typedef bool (*cm_crl_issuer_visit)(void *arg, X509 *issuer);
void cm_crl_each_issuer(const struct cm_crl_asker *a, const X509_NAME *name, cm_crl_issuer_visit visit, void *arg);
/* By the list's name and authorityKeyIdentifier; borrowed.  NULL: nobody that is known here, or no name could be read. */
X509 *cm_crl_choose_issuer(const struct cm_crl_asker *a, int fd, uint64_t max, bool *named);
/* RFC 5280 6.3.3 (f).  NULL: it may. */
const char *cm_crl_issuer_objection(const struct cm_crl_asker *a, X509 *issuer);

/* ---- crl_point.c, crl_scope.c: distribution points. */

/* Bit n: ReasonFlags' n (RFC 5280 4.2.1.13). */
uint16_t cm_crl_reasons(const ASN1_BIT_STRING *flags);	/* NULL: all */
void cm_crl_point_urls(const DIST_POINT *point, struct cm_buf *out);	/* each ended by a NUL */

struct cm_crl_fit {
	bool fits;			/* it speaks of the certificate, of these reasons; if not: */
	uint16_t reasons;
	enum cm_objection objection;
	const char *why;
};
void cm_crl_fit(X509 *cert, const struct cm_crl_about *a, struct cm_crl_fit *fit);

/* ---- crl.c, crl_fetch.c: the sources. */

/* All lists that are here of who may speak of a certificate. */
struct cm_crl_lists {
	const struct cm_crl_index *round;	/* borrowed: those that came in this round; of the same list the one here is heard */
	struct cm_crl_index *kept;		/* owned: to be closed with cm_crl_list_close() */
	uint8_t keys[8][32];			/* whose may be heard: of one name, and of the issuers that the certificate names */
	size_t key_count;
	size_t current;			/* of keys, those before it; of the others no certificate is current: "revoked" alone counts */
	bool gone_damaged;			/* what former lists of one of them revoked cannot be read */
};
void cm_crl_gather(const struct cm_question *q, struct cm_crl_lists *out);	/* of current keys alone */
bool cm_crl_lists_of(const struct cm_crl_lists *l, const uint8_t key[32]);
bool cm_crl_is_past(const struct cm_crl_lists *l, const uint8_t key[32]);	/* its "revoked" alone counts */
/* What came goes to q->lists; where there is none it is closed. */
void cm_crl_keep_for_round(struct cm_question *q, struct cm_crl_index **x);
/* Find who signed it, and import it there; a file that is indexed as it is is not read again.  Objects on failure. */
CM_MUST_USE enum cm_err cm_crl_import_as(struct cm_question *q, struct cm_crl_import *i, struct cm_crl_index **out);

/* ---- crl_judge.c: what several lists say together (RFC 5280 6.3.3). */

/* Fills q->answer, or objects.  q->kept: nothing that came now was needed. */
enum cm_status cm_crl_judge(struct cm_question *q, const struct cm_crl_lists *lists);

#endif /* CM_TRUST_CRL_INTERNAL_H */
