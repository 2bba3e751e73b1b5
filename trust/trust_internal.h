/* trust/trust_internal.h - what the files of this folder share. */
#ifndef CM_TRUST_TRUST_INTERNAL_H
#define CM_TRUST_TRUST_INTERNAL_H

#include <openssl/ocsp.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "trust/fetch.h"
#include "trust/objection.h"
#include "trust/trust.h"

/* How long an answer that names no nextUpdate counts, seconds. */
#define CM_UNDATED_MAX		3600

struct cm_trust {
	struct cm_trust_options o;
	STACK_OF(X509) *anchors, *intermediates;	/* owned */
	X509_STORE *store;				/* of the anchors; owned */
	struct cm_buf anchors_pem;			/* for https servers */
};

struct cm_verdict {
	const struct cm_trust *trust;	/* whose verdict it is; compared, never followed */
	struct cm_cert *cert;		/* a reference */
	STACK_OF(X509) *chain;		/* leaf first, anchor last; NULL at level 0 */
	struct cm_blob *der;		/* the same as DER; owned, each ptr too */
	size_t der_count;
	bool chain_passed, revocation_passed;
	enum cm_status status;		/* of the leaf */
	struct cm_evidence *evidence;
	size_t evidence_count;
	time_t signed_time;
};

/* verdict.c */
CM_MUST_USE enum cm_err cm_verdict_new(const struct cm_trust *tr, const struct cm_cert *c,
    struct cm_verdict **out);
/* Keep a reference to each certificate of chain, and its DER. */
CM_MUST_USE enum cm_err cm_verdict_keep_chain(struct cm_verdict *v, STACK_OF(X509) *chain);
CM_MUST_USE enum cm_err cm_verdict_add(struct cm_verdict *v, const struct cm_evidence *e);

/*
 * One certificate whose revocation is asked for.  A source answers with a
 * status; UNKNOWN leaves the reason in why, which is empty when it is called.
 */
struct cm_question {
	const struct cm_trust *trust;
	const struct cm_known *known;
	X509 *cert, *issuer;		/* borrowed */
	STACK_OF(X509) *chain;		/* borrowed: leaf first, anchor last; NULL: not known */
	time_t now;			/* cm_known_time() */
	cm_deadline deadline;		/* of this source */
	struct cm_evidence answer;	/* issuer_key, serial, learned and source are set; the source fills in the rest */
	enum cm_objection objection;	/* UNKNOWN: why, by name; set beside why (cm_object) */
	struct cm_buf why;		/* and in words */
	const char *note;		/* said beside a good answer: static text, or "" */
	bool kept;			/* the answer was kept here: it says nothing of what the time is now */
	bool network;			/* a server is asked: its answer is of now, unless it was kept */
	bool ended_counts;		/* asked is also what has ended: who decides looks at its dates himself */
	struct cm_buf *warning;		/* borrowed: for people, whatever the answer; NULL: not wanted */
	struct cm_crl_index **lists;	/* borrowed: lists that came in this round, of all its questions, for cm_crl_list_close(); NULL: none are kept for others */
};

/* trust/pem.c: the certificates of a file (PEM, or one in DER), of a folder's files; cert is borrowed. */
typedef enum cm_err (*cm_pem_visit)(void *arg, const char *file, X509 *cert);
CM_MUST_USE enum cm_err cm_pem_each(const char *path, bool if_there, struct cm_trace *t,
    cm_pem_visit visit, void *arg);
CM_MUST_USE enum cm_err cm_pem_parse(struct cm_blob text, const char *path, struct cm_trace *t,
    STACK_OF(X509) *out);
/* The same, but private keys are passed over, with a "warning" in the trace. */
CM_MUST_USE enum cm_err cm_pem_parse_beside_keys(struct cm_blob text, const char *path,
    struct cm_trace *t, STACK_OF(X509) *out);

/*
 * trust/folder.c: the files of a folder whose names are wanted, sorted by name.
 * CM_OK          each was visited, be it none; *count of them
 * CM_ERR_CONFIG  the folder cannot be read (reason set), or the visitor's
 */
typedef bool (*cm_folder_wants)(const char *name, const void *arg);
typedef enum cm_err (*cm_folder_visit)(void *arg, const char *path);
struct cm_folder {
	const char *path;
	int fd;			/* the folder, open; AT_FDCWD: it is opened by its path */
	cm_folder_wants wants;
	const void *wants_arg;
	size_t count;		/* out */
};
CM_MUST_USE enum cm_err cm_folder_each(struct cm_folder *f, struct cm_trace *t,
    cm_folder_visit visit, void *arg);
bool cm_folder_name_ends(const char *name, const char *const *ends);	/* NULL-terminated; a leading dot never counts */
/* A name as openssl rehash makes it: eight hex digits, ".", the mark ("" or "r"), a number. */
bool cm_folder_name_hashed(const char *name, const char *mark);

/* trust/ocsp_request.c: one certificate's question, the same for every responder. */
struct cm_ocsp_request;
CM_MUST_USE enum cm_err cm_ocsp_request_new(const struct cm_question *q, struct cm_ocsp_request **out);
struct cm_blob cm_ocsp_request_body(const struct cm_ocsp_request *r);	/* for POST; borrowed */
/* Where a GET goes, at this responder (RFC 5019 section 5).  url stays empty: it is to be posted. */
CM_MUST_USE enum cm_err cm_ocsp_request_url(const struct cm_ocsp_request *r, const char *base, struct cm_buf *url);
void cm_ocsp_request_free(struct cm_ocsp_request **r);
/*
 * A responder's turn: *r is made if there is none, get is the address of a GET or empty; url, body, type and max of f are
 * filled in, and borrow from both.  CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_ocsp_prepare(const struct cm_question *q, const char *url, struct cm_ocsp_request **r,
    struct cm_buf *get, struct cm_fetch *f);
/*
 * trust/ocsp.c: judge an answer; r NULL: to nobody's request.  Fills in of
 * q->answer this_update, next_update, revoked_at, on_hold and signer.
 * GOOD, REVOKED, or UNKNOWN with q->objection and q->why.
 */
enum cm_status cm_ocsp_judge(struct cm_question *q, struct cm_blob der, const struct cm_ocsp_request *r, bool posted);

/*
 * trust/import.c: the CAs whose answers are understood here: anchors,
 * intermediates and i's issuers, each that verifies to an anchor, once.
 * CM_OK, CM_ERR_NOMEM, or what the visitor said, which ends it.
 */
typedef enum cm_err (*cm_ca_visit)(void *arg, X509 *ca);
CM_MUST_USE enum cm_err cm_ca_each(const struct cm_trust *tr, const struct cm_trust_import *i, time_t now,
    cm_ca_visit visit, void *arg);
/* As cm_trust_import(), of a file that looks like one. */
#define CM_OCSP_PEM	"OCSP RESPONSE"
CM_MUST_USE enum cm_err cm_ocsp_import_file(struct cm_trust *tr, const struct cm_trust_import *i,
    const struct cm_known *known, struct cm_trace *t, struct cm_buf *out);
CM_MUST_USE enum cm_err cm_crl_import_file(struct cm_trust *tr, const struct cm_trust_import *i,
    const struct cm_known *known, struct cm_trace *t, struct cm_buf *out);

/*
 * trust/crl.c: what all lists that are here say together (RFC 5280 6.3.3): those
 * in force, an administrator's files, this round's.  q->kept: nothing that came
 * in this round was needed.  A good answer that a delta CRL may make newer has ask_after in the past.
 */
enum cm_status cm_crl_ask_kept(struct cm_question *q);
enum cm_status cm_crl_ask_file(struct cm_question *q, const char *path);	/* or a folder: and with all that is here */
extern const char *const cm_crl_endings[];	/* of their files' names */
void cm_crl_list_close(struct cm_crl_index **head);	/* of q->lists, when the round has ended */

/*
 * trust/crl_store.c: what former lists revoked, and those in force do not list, is forgotten for this serial number
 * (content octets of the INTEGER).  CM_ERR_ABSENT: nothing of that; CM_ERR_SYSTEM
 */
CM_MUST_USE enum cm_err cm_crl_forget(const char *crl_dir, const uint8_t key[32], const X509_NAME *issuer,
    struct cm_blob serial);

/* trust/crl_point.c: where its lists are: the certificate's own points, then FreshestCRL of the certificate and of lists that are here. */
struct cm_crl_point {
	const char *const *urls;	/* of one list, to be asked in turn; any scheme */
	size_t count;
	bool delta;			/* changes only */
	uint16_t reasons;		/* bits as ReasonFlags'; CM_CRL_ALL_REASONS */
	bool other_issuer;		/* it names a cRLIssuer */
};
#define CM_CRL_ALL_REASONS	0x1fe
typedef bool (*cm_crl_point_visit)(void *arg, const struct cm_crl_point *p);	/* false ends it */
CM_MUST_USE bool cm_crl_addresses(struct cm_question *q, cm_crl_point_visit visit, void *arg);	/* false: it was ended, or memory did */

/*
 * trust/crl_fetch.c: a list that is to be fetched, for the certificate's issuer or who else issues lists about it.
 * prepare fills in url, max, fd, have, part_etag, etag and modified of f; what they point to is the coming's.
 * CM_ERR_SYSTEM: no file; objected to.  CM_ERR_NOMEM
 */
struct cm_crl_coming;
struct cm_fetch;	/* trust/fetch.h */
CM_MUST_USE enum cm_err cm_crl_prepare(struct cm_question *q, const char *url, struct cm_fetch *f,
    struct cm_crl_coming **out);
/*
 * f is done: index the list and put it in force, or mark it as confirmed, or keep the part that came; frees *c.
 * CM_OK           cm_crl_ask_kept() speaks of it: of this question at once, of others too where q->lists is theirs
 * CM_ERR_OFFLINE  nothing came; CM_ERR_SYNTAX, CM_ERR_ABSENT, CM_ERR_SYSTEM, CM_ERR_NOMEM: it is of no use.  Objected to
 */
CM_MUST_USE enum cm_err cm_crl_arrived(struct cm_question *q, struct cm_crl_coming **c, const struct cm_fetch *f);
void cm_crl_coming_free(struct cm_crl_coming **c);	/* of what is not waited for any more; closes its file.  Accepts NULL */

/* trust/source.c: whom logins and refresh ask. */
void cm_source_alive(struct cm_source *s, time_t now);	/* it gave what could be verified */
/* It did not: it is probed in 5 s, 10 s, 20 s, ... 5 min. */
void cm_source_failed(struct cm_source *s, time_t now, const char *why);
void cm_source_probed(struct cm_source *s, time_t now);	/* a probe is out: others need not send one too */
/* Append a list's address, its mirrors first; what is in urls (base/list.h) already is not added again.  CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_source_add_list(const struct cm_trust_options *o, const char *url, char ***urls);
/* Append the responders for cert: those that are configured, or else those it names.  CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_source_add_responders(const struct cm_trust_options *o, X509 *cert, char ***urls);
/* One that asks as tr's options say; progress may be NULL.  As cm_fetcher_new(). */
CM_MUST_USE enum cm_err cm_source_fetcher(const struct cm_trust *tr, void (*progress)(void *arg, const struct cm_fetch *f),
    void *arg, struct cm_fetcher **out);

/* trust/evidence.c */
/* This host's clock, or the floor when the clock is behind what was once signed. */
time_t cm_known_time(const struct cm_known *known);
/* Who is asked about: fills in issuer_key and serial.  CM_ERR_SYNTAX: the serial is longer than evidence holds. */
CM_MUST_USE enum cm_err cm_evidence_name(X509 *cert, X509 *issuer, struct cm_evidence *e);
/* The same by the serial number alone. */
CM_MUST_USE enum cm_err cm_evidence_name_serial(const ASN1_INTEGER *serial, X509 *issuer, struct cm_evidence *e);
bool cm_evidence_is_about(const struct cm_evidence *e, const struct cm_evidence *who);	/* the same certificate */
/* Kept evidence that it is revoked, a hold last, or NULL. */
const struct cm_evidence *cm_known_revoked(const struct cm_known *known, const struct cm_evidence *who);
/* A source: kept good evidence that still counts. */
enum cm_status cm_evidence_ask(struct cm_question *q);
/* Is this very answer known already, confirmed then or later? */
bool cm_known_has(const struct cm_known *known, const struct cm_evidence *e);
/* A server said so now; max_age as in struct cm_fetch. */
void cm_evidence_confirm(struct cm_evidence *e, time_t now, long max_age);
/* May what was kept be believed by this host's clock?  If not, it is objected to. */
bool cm_evidence_clock_is_sound(struct cm_question *q, const struct cm_evidence *e);
/* Until when it counts: an answer that names no end, for undated_max seconds. */
time_t cm_evidence_end(const struct cm_evidence *e, int64_t undated_max);
int64_t cm_undated_max(const struct cm_trust *tr);	/* the options', for that */
/* Do these dates hold at q->now?  If not, they are objected to. */
bool cm_evidence_current(struct cm_question *q, const struct cm_evidence *e, time_t skew);
/* A source's answer does not count: set why by name, and append the words to q->why. */
void cm_object(struct cm_question *q, enum cm_objection o, const char *fmt, ...) CM_PRINTF(3, 4);

/* trust/x509.c */
bool cm_asn1_time(const ASN1_TIME *t, time_t *out);
void cm_name_text(const X509_NAME *name, struct cm_buf *out);	/* RFC 4514 */
void cm_name_der_text(struct cm_blob der, struct cm_buf *out);
void cm_name_cut(const X509_NAME *name, char *out, size_t size);	/* RFC 4514, cut at a character */
/* SHA-224 or stronger: SHA-1 and MD5 can be made to collide. */
bool cm_signature_is_strong(const X509_ALGOR *alg);

#endif /* CM_TRUST_TRUST_INTERNAL_H */
