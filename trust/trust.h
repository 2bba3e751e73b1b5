/* trust/trust.h - may this certificate be believed: its chain, its pins, its revocation. */
#ifndef CM_TRUST_TRUST_H
#define CM_TRUST_TRUST_H

#include "base/clock.h"
#include "base/trace.h"
#include "card/cert.h"

/* SmartCardServices(7), checkCertificateTrust. */
enum cm_trust_level {
	CM_TRUST_OFF = 0,	/* nothing is checked; only the hash of the whole key may bind */
	CM_TRUST_CHAIN = 1,	/* the chain must verify */
	CM_TRUST_SOFT = 2,	/* and it must not be known to be revoked; no answer passes */
	CM_TRUST_HARD = 3,	/* and a verified good answer is needed */
};

/* "soft 72h".  How each kind of evidence is judged at each: the table in decide.c, and cardmap-revocation(7). */
struct cm_trust_policy {
	enum cm_trust_level level;
	int64_t max_age;		/* seconds since a source last said so; 0: any age */
};

enum cm_trust_hash { CM_TRUST_SHA1, CM_TRUST_SHA256 };

/* Texts are borrowed for the life of the trust; NULL: not set. */
struct cm_trust_options {
	enum cm_trust_level level;
	int64_t max_age;			/* seconds; 0: none.  With level: the policy where no other is given */
	bool leaf_only;				/* only the leaf is asked about, not the CAs above it */
	bool crl_first;				/* lists are asked before responders; else responders first */
	bool ask_always;			/* though what is kept is still good */
	int64_t undated_max;			/* seconds that an answer without nextUpdate counts; 0: CM_UNDATED_MAX */
	const char *const *anchors;		/* NULL-terminated paths: a file (PEM, or DER) or a folder of them,
						 * by their names (.pem .crt .cer .der) or hashed (openssl rehash) */
	const char *const *intermediates;
	bool anchors_if_there;			/* paths that are not there, and empty folders, are no mistake */
	bool intermediates_if_there;
	const uint8_t (*pins)[32];		/* SHA-256 of CA certificates: the leaf's issuer must be one of them */
	size_t pin_count;
	const char *const *ocsp_urls;		/* asked instead of the certificate's AIA, when there are any */
	const char *const *crls;		/* http(s) URLs, files and folders of files (.crl .pem .der, or hashed),
						 * asked beside the certificate's CDPs */
	const char *crl_dir;			/* where indexes of lists are kept; NULL: nowhere */
	bool crl_keep;				/* new ones too, and the folder is made for them; else nothing is written */
	const char *crl_also;			/* another such folder, root's: read where this user may, never written; NULL: none */
	const char *const *crl_mirrors;		/* "FROM TO": addresses that begin with FROM are asked at TO first */
	bool use_ocsp, use_crl;
	bool require_nonce;
	bool ocsp_get;				/* RFC 5019: short requests go by GET, without a nonce */
	enum cm_trust_hash ocsp_hash;		/* of the CertID that is asked with; either is understood in an answer */
	bool private_redirects;			/* a server may send us on to a loopback, link-local or private address */
	const struct cm_ldap_fetching *ldap;	/* how ldap: addresses are asked, and where serverless ones go (ldap/fetch.h); NULL: not */
	size_t ocsp_max, crl_max;		/* bytes read at most */
};

struct cm_trust;

/*
 * Load anchors and intermediates.  Never the system's web store.
 * CM_ERR_CONFIG  CONFIG names the file, and the block of it, that is no certificate
 */
CM_MUST_USE enum cm_err cm_trust_open(const struct cm_trust_options *o, struct cm_trace *t,
    struct cm_trust **out);
void cm_trust_close(struct cm_trust **tr);
size_t cm_trust_anchor_count(const struct cm_trust *tr);	/* at level off none is loaded */

/*
 * Evidence: what was learned of one certificate, from whom, until when.  Made
 * by this module from a verified answer; kept by the cache; never made by others
 * but from their own store.
 */
enum cm_status { CM_STATUS_UNKNOWN, CM_STATUS_GOOD, CM_STATUS_REVOKED };
#define CM_NEVER_ISSUED	((time_t)-1)	/* in place of when it was revoked: its CA does not know of it (RFC 6960 4.4.8) */
struct cm_evidence {
	uint8_t issuer_key[32];		/* SHA-256 of the issuer's SubjectPublicKeyInfo */
	uint8_t serial[32];		/* content octets of serialNumber */
	size_t serial_len;
	enum cm_status status;
	time_t this_update;
	time_t next_update;		/* 0: the answer named none */
	time_t revoked_at;		/* 0: not revoked; CM_NEVER_ISSUED */
	bool on_hold;			/* revoked by certificateHold: a later list may end it, and nothing else */
	bool by_list;			/* a complete list of the issuer's key says so, or that with its delta */
	time_t learned;			/* this host's clock when it was verified */
	time_t confirmed;		/* when a source last said so: of a server learned, or a later "not modified"; of a file thisUpdate */
	time_t ask_after;		/* Cache-Control: until then nobody needs to be asked again; 0: until next_update */
	char source[256];		/* "OCSP http://...", "CRL http://... number 17" */
	char signer[256];		/* subject of who signed it, RFC 4514, cut at a character; "" unknown */
};
/* "good until 2026-11-24 14:00 UTC, CRL http://... number 17 of CN=..."; what people read wherever evidence is named. */
void cm_evidence_text(const struct cm_evidence *e, struct cm_buf *out);

/* Does e, about the same certificate, end this hold?  RFC 5280 5.3.1: a later list that says no more of it does. */
bool cm_evidence_ends_hold(const struct cm_evidence *held, const struct cm_evidence *e);

/*
 * Whom this host asked, on behalf of which issuer, and how that went.  A
 * source that was silent is not waited for again before a probe saw it alive:
 * logins send a probe beside their other questions once probe_at has come, and
 * wait for its answer only where they would be refused without it, for a sixth
 * of their time; cardmap revocation refresh probes them all.
 * A mark counts for CM_SOURCE_SILENT_MAX seconds after asked, if nobody probed.
 */
enum cm_source_kind { CM_SOURCE_OCSP, CM_SOURCE_CRL, CM_SOURCE_DELTA };
#define CM_SOURCE_URL_MAX	1024
#define CM_SOURCE_SILENT_MAX	3600
struct cm_source {
	enum cm_source_kind kind;
	uint8_t issuer_key[32];		/* SHA-256 of the SubjectPublicKeyInfo that signs the certificates asked about */
	char url[CM_SOURCE_URL_MAX];
	time_t seen;			/* when a certificate last named it */
	time_t asked, answered;		/* last; 0: never.  answered: with what could be verified */
	time_t probe_at;		/* 0: it is alive, or was never asked */
	unsigned failures;		/* in a row */
	char why[256];			/* of the last failure */
};
const char *cm_source_name(enum cm_source_kind kind);	/* "OCSP", "CRL", "delta CRL": before its address, for people */
/* Would a login at now pass it by? */
bool cm_source_is_silent(const struct cm_source *s, time_t now);

/*
 * Where what is learned is kept at once, whatever becomes of the login, so that
 * others who wait for the same answer find it (cache/accounts.h makes one).
 * Called by one thread at a time, never the one that made it.  A failure is
 * said as a warning, and refuses nobody.
 */
struct cm_keeper {
	void *arg;
	/* The evidence of this certificate (issuer_key and serial of *e) as it is kept now.  CM_ERR_ABSENT: none. */
	enum cm_err (*find)(void *arg, struct cm_evidence *e);
	enum cm_err (*keep)(void *arg, const struct cm_evidence *e);
	/* issuer: DER of the CA's certificate; replaces what was kept of this kind, key and URL. */
	enum cm_err (*keep_source)(void *arg, const struct cm_source *s, struct cm_blob issuer);
	/* What failed last, for the warning; NULL: nobody tells. */
	const char *(*why)(void *arg);
};

/* What the host already knows, borrowed for a call. */
struct cm_known {
	const struct cm_evidence *evidence;	/* of any certificate; the matching ones are used */
	size_t count;
	time_t now;		/* this host's clock */
	time_t floor;		/* newest signed time ever accepted online; 0: none */
	bool stale_clock;	/* time may not be relied on (below the floor, or boot time contradicts): kept evidence counts as expired */
	const struct cm_source *sources;	/* of any issuer */
	size_t source_count;
	const struct cm_keeper *keeper;	/* NULL: nothing is kept */
	bool offline;		/* nobody is asked: what is kept decides */
};

/* The verdict.  Only this module makes one, and only cm_verdict_passes() reads it as yes. */
struct cm_verdict;

/*
 * The chain to an anchor, with no network: RFC 5280 section 6 by OpenSSL, at
 * known->now; the leaf must be one for logging in: EKU clientAuth
 * (1.3.6.1.5.5.7.3.2), msSmartcardLogin or pkinit KPClientAuth (anyEKU does not
 * do), KU digitalSignature, not PIV card authentication (2.16.840.1.101.3.6.8).
 *
 * CM_OK           *out is the caller's, for cm_verdict_free; its revocation is still open
 * CM_ERR_REFUSED  CERT_EXPIRED, CERT_NOT_YET_VALID, CERT_USAGE, CERT_WEAK, CERT_NOT_PINNED,
 *                 CERT_UNTRUSTED (a missing issuer is named by DN and key identifier)
 * CM_ERR_SYNTAX   CERT_MALFORMED
 */
CM_MUST_USE enum cm_err cm_trust_check_chain(struct cm_trust *tr, const struct cm_cert *c,
    const struct cm_known *known, struct cm_trace *t, struct cm_verdict **out);

/*
 * Revocation, of the leaf and every CA below the anchor, in two halves, so that
 * the questions are out while others are asked something else.
 *
 * What is known revoked stays revoked, and nobody is asked; of what is on hold
 * only a later list may say otherwise.  What is kept and still good at this
 * policy is not asked for.  All else is asked at once, within the deadline: the
 * preferred kind of source of every certificate goes out together, the other
 * kind follows where the first failed or is slow, addresses of one list in
 * turn.  The first verified answer decides, and "revoked" from anybody outweighs
 * "good".  Silent sources are skipped, the same question of several logins is
 * sent once (ask.c).  Signature and signer's authority are checked before a
 * status is read.
 *
 * v, known and what it points to are the inquiry's until it has ended.
 * policy: the strictest that may be judged by.
 * CM_OK          *out is the caller's, for cm_inquiry_end
 * CM_ERR_STATE   v is not a passed check of the chain by this very trust
 * CM_ERR_NOMEM
 */
struct cm_inquiry;
CM_MUST_USE enum cm_err cm_trust_ask_revocation(struct cm_trust *tr, struct cm_verdict *v,
    const struct cm_known *known, const struct cm_trust_policy *policy, cm_deadline deadline,
    struct cm_inquiry **out);
/*
 * Wait until it is decided, at the latest until its deadline, and judge.
 * CM_OK           passes at this policy; the trace says on what evidence, or that there was none
 * CM_ERR_REFUSED  REVOKED (at any level above 1); REVOCATION_UNKNOWN (hard, or no evidence of any age:
 *                 says what was missing), REVOCATION_TOO_OLD (older than max_age: names it)
 * CM_ERR_SYNTAX   CERT_MALFORMED: a serial number in the chain is longer than 20 octets
 * CM_ERR_STATE    the policy is stricter than the one that was asked by
 * CM_ERR_NOMEM    also where an answer was lost, for that may have been "revoked"
 */
CM_MUST_USE enum cm_err cm_trust_judge_revocation(struct cm_inquiry *i,
    const struct cm_trust_policy *policy, struct cm_trace *t);
/* Answers that are on their way have a moment more (0.2 s), for they are kept; a probe is let go at once.  Accepts NULL. */
void cm_inquiry_end(struct cm_inquiry **i);

/* Both halves and the end, at the policy of the options. */
CM_MUST_USE enum cm_err cm_trust_check_revocation(struct cm_trust *tr, struct cm_verdict *v,
    const struct cm_known *known, cm_deadline deadline, struct cm_trace *t);

/*
 * What is known of one certificate, judged by the same table, by who parses nothing and asks nobody.
 * CM_OK           passes at this policy
 * CM_ERR_REFUSED  REVOKED, REVOCATION_UNKNOWN, REVOCATION_TOO_OLD
 * CM_ERR_NOMEM
 */
struct cm_trust_kept {
	const struct cm_known *known;	/* its clock, floor and evidence */
	struct cm_blob link;		/* SHA-256 of the issuer's SubjectPublicKeyInfo and, behind it, the content octets of serialNumber */
	const char *who;		/* for people: "the card's certificate" */
	struct cm_trust_policy policy;
	int64_t undated_max;		/* as in the options */
	time_t said_since;		/* what was learned from then on was said now; 0: nothing was */
};
CM_MUST_USE enum cm_err cm_trust_judge_kept(const struct cm_trust_kept *k, struct cm_trace *t);

/* Both checks passed, at this level, for this very certificate. */
bool cm_verdict_passes(const struct cm_verdict *v, const struct cm_cert *c);

enum cm_status cm_verdict_status(const struct cm_verdict *v);	/* of the leaf */
/* Everything learned or relied on, the refusing answer too; borrowed. */
const struct cm_evidence *cm_verdict_evidence(const struct cm_verdict *v, size_t *count);
/* Newest thisUpdate accepted online in this check; 0: none. */
time_t cm_verdict_signed_time(const struct cm_verdict *v);
/* The verified chain, leaf first, DER each; borrowed. */
const struct cm_blob *cm_verdict_chain(const struct cm_verdict *v, size_t *count);
/*
 * Whom evidence about the certificate number i of that chain names, the leaf's is 0: issuer_key and serial of *name, all else zero.
 * CM_ERR_ABSENT: it is the anchor, or there is none; CM_ERR_SYNTAX: its serial number is longer than 20 octets; CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_verdict_name(const struct cm_verdict *v, size_t i, struct cm_evidence *name);
void cm_verdict_free(struct cm_verdict **v);

/*
 * Beside logins (refresh.c): learn again, for one issuer, what logins will want
 * to know.  Lists are fetched only when they changed (ETag, Last-Modified), and
 * go on where a download broke off; of the certificates, those that this
 * issuer's lists do not speak of are asked about at responders.  Of several
 * addresses of one list the first that has it is enough; silent sources are
 * asked too.
 */
struct cm_refresh {
	struct cm_blob issuer;			/* DER of the CA's certificate; its chain must verify here */
	const struct cm_source *sources;	/* of this issuer, configured ones too */
	size_t source_count;
	const struct cm_blob *certs;		/* DER of certificates by this issuer that logins here will show */
	size_t cert_count;
	bool due_only;				/* leave out what is not due yet: cm_trust_refresh_due() */
	uint64_t seed;				/* the host's own */
	unsigned silence;			/* ms: who sends nothing for so long is silent */
	/* For a progress bar: bytes so far and in all (0: not known), of one address.  NULL: not wanted. */
	void (*progress)(void *arg, const char *url, uint64_t done, uint64_t total);
	/* Each source when it is done: what it is now, and what became of it ("list number 17, 5,000 entries", "not modified"). */
	void (*told)(void *arg, const struct cm_source *s, bool ok, const char *text);
	bool (*stop)(void *arg);		/* asked all the time; true: let go, and keep what came.  NULL: go on to the end */
	void *arg;
	time_t *next;				/* set: when the first of all this is due again; 0: there is nothing to ask.  NULL: not wanted */
};
/*
 * CM_OK           all was learned, or was not due
 * CM_ERR_OFFLINE  something could not be; each source was told, unless it was stopped
 * CM_ERR_REFUSED, CM_ERR_SYNTAX  the issuer's certificate does not verify
 */
CM_MUST_USE enum cm_err cm_trust_refresh(struct cm_trust *tr, const struct cm_refresh *r,
    const struct cm_known *known, cm_deadline deadline, struct cm_trace *t);
/*
 * When to ask again for what ends at until (learned: when it was had): between
 * half and nine tenths of its life, at a point that seed (the host's own) and
 * the source choose, so that 10,000 hosts do not ask at once.
 */
time_t cm_trust_refresh_due(time_t learned, time_t until, uint64_t seed);

/* A CA that may sign certificates, from anchors and intermediates; texts and octets are borrowed for the visit. */
struct cm_trust_issuer {
	struct cm_blob der;
	uint8_t key[32];	/* SHA-256 of its SubjectPublicKeyInfo */
	const char *subject;	/* RFC 4514 */
	bool signs_lists;	/* cRLSign, or no keyUsage */
};
typedef enum cm_err (*cm_trust_issuer_visit)(void *arg, const struct cm_trust_issuer *i);
CM_MUST_USE enum cm_err cm_trust_each_issuer(const struct cm_trust *tr, cm_trust_issuer_visit visit, void *arg);
/* The same of a certificate's DER.  CM_ERR_SYNTAX: it is none. */
CM_MUST_USE enum cm_err cm_trust_issuer_of(struct cm_blob der, cm_trust_issuer_visit visit, void *arg);

/* A list that is kept (crl_dir), for people; texts are borrowed for the visit. */
struct cm_kept_list {
	uint8_t issuer_key[32];
	const char *issuer;		/* RFC 4514 */
	const char *source;		/* URL, or file */
	char number[48];		/* "": it has none */
	bool delta, indirect;
	time_t this_update, next_update, learned, confirmed;
	uint64_t entries;
	uint64_t list_size, index_size;	/* octets */
	const char *damage;		/* NULL: it is whole, as far as its header tells */
};
typedef enum cm_err (*cm_kept_list_visit)(void *arg, const struct cm_kept_list *l);
/* Every index in trust.crl_dir; asks nobody, reads headers only. */
CM_MUST_USE enum cm_err cm_trust_each_kept_list(const struct cm_trust *tr, cm_kept_list_visit visit, void *arg);

/*
 * What a login decides, with nobody to ask, about a certificate that this list
 * alone speaks of, and calls good: for forecasts.  known: its clock and floor.
 * Results and reasons are those of cm_trust_judge_revocation().
 */
CM_MUST_USE enum cm_err cm_trust_judge_list(const struct cm_trust *tr, const struct cm_kept_list *l,
    const struct cm_trust_policy *policy, const struct cm_known *known, struct cm_trace *t);
/*
 * Does a list that is kept name this serial number?
 * CM_OK          *e has source, dates and status, and to file was added where the list is kept; NULL: not wanted
 * CM_ERR_ABSENT  none does
 */
CM_MUST_USE enum cm_err cm_trust_find_listed(const struct cm_trust *tr, const uint8_t issuer_key[32], struct cm_blob serial,
    struct cm_evidence *e, struct cm_buf *file);
/* Was this serial number of this CA carried over from a list that no longer names it? */
bool cm_trust_has_carried(const struct cm_trust *tr, const uint8_t issuer_key[32], struct cm_blob serial);
/* What was carried over from lists that no longer name it goes.  CM_ERR_ABSENT: there was nothing; CM_ERR_SYSTEM: SYSTEM */
CM_MUST_USE enum cm_err cm_trust_forget_listed(const struct cm_trust *tr, const uint8_t issuer_key[32], struct cm_blob serial,
    struct cm_trace *t);

/*
 * A list or an OCSP response (DER or PEM) from a file, for a host that reaches
 * no server: verified as one that was fetched, its age counted from thisUpdate.
 * issuers: DER of CA certificates beside those of the options.
 * CM_OK           *out says what came of it ("CRL number 17 of CN=..., 5,000 entries")
 * CM_ERR_SYNTAX   REVOCATION_DATA: what the file holds is neither, or is wrong, and how
 * CM_ERR_REFUSED  REVOCATION_DATA: of no issuer that is known here; a rollback; dated ahead
 * CM_ERR_SYSTEM   SYSTEM: it cannot be read, or nothing can be kept
 */
struct cm_trust_import {
	const char *path;
	const struct cm_blob *issuers;
	size_t issuer_count;
	void (*progress)(void *arg, const char *path, uint64_t done, uint64_t total);
	void *arg;
};
CM_MUST_USE enum cm_err cm_trust_import(struct cm_trust *tr, const struct cm_trust_import *i,
    const struct cm_known *known, struct cm_trace *t, struct cm_buf *out);

/*
 * CAs on disk, for people (store.c).  Here only anchors and intermediates of
 * the options count, and crls where lists are shown; the level does not.
 * Texts are borrowed for the visit.  Anything but CM_OK ends it with this result.
 */
struct cm_trust_ca {
	const char *file;		/* where it is, or now is, or was */
	const char *subject, *issuer;	/* RFC 4514 */
	char sha256[65];		/* of the certificate, lower case */
	bool anchor;			/* else an intermediate */
	bool self_signed;
	bool was_there;			/* cm_trust_add(): nothing had to be written */
	time_t not_before, not_after;
};
typedef enum cm_err (*cm_trust_visit)(void *arg, const struct cm_trust_ca *ca);

/* Each certificate of each file, anchors first.  Errors as cm_trust_open(). */
CM_MUST_USE enum cm_err cm_trust_each(const struct cm_trust_options *o, struct cm_trace *t,
    cm_trust_visit visit, void *arg);

/* The certificates in bytes (PEM or DER), from nowhere yet: file is name.  CM_ERR_CONFIG: there is none. */
CM_MUST_USE enum cm_err cm_trust_show(struct cm_blob bytes, const char *name, struct cm_trace *t,
    cm_trust_visit visit, void *arg);

/* A revocation list in a file. */
struct cm_trust_list {
	const char *file;		/* the address, where it is one */
	const char *issuer;		/* NULL: not read, or no list */
	time_t this_update, next_update;	/* 0: not read, or it names none */
	size_t entries;
};
typedef enum cm_err (*cm_trust_list_visit)(void *arg, const struct cm_trust_list *l);
/* Each of crls, files of folders one by one; addresses are shown and not asked. */
CM_MUST_USE enum cm_err cm_trust_each_list(const struct cm_trust_options *o, struct cm_trace *t,
    cm_trust_list_visit visit, void *arg);

/*
 * Copy the CAs of a file (PEM or DER; name is for messages) into
 * the first folder that the options name, as SHA256.pem, mode 0644: one that is
 * signed by itself into that of the anchors, any other, and with intermediate
 * each, into that of the intermediates.  All are judged before the first is
 * written; each is written whole or not at all.  Private keys beside them are
 * never copied.  A trace's items "warning" are for people.
 *
 * CM_ERR_REFUSED  NOT_A_CA, CA_WEAK (nothing was written), NOT_ROOT (no right to write there)
 * CM_ERR_CONFIG   CONFIG: the file holds no certificate; no folder is named
 * CM_ERR_SYSTEM   SYSTEM: it could not be written
 */
struct cm_trust_adding {
	struct cm_blob bytes;
	const char *name;
	bool intermediate;
	cm_trust_visit visit;		/* shown each that is there now */
	void *arg;
};
CM_MUST_USE enum cm_err cm_trust_add(const struct cm_trust_options *o,
    const struct cm_trust_adding *a, struct cm_trace *t);

/*
 * Remove one from these folders by its SHA-256, of which at least 8 digits are
 * given.  Each file that is gone is shown, with file, subject, sha256 and anchor.
 * CM_ERR_ABSENT   NO_SUCH_CA
 * CM_ERR_USAGE    USAGE: no such digits; several begin so
 * CM_ERR_REFUSED  NOT_ROOT
 * CM_ERR_CONFIG   CONFIG: it comes from elsewhere; the text says whence
 */
CM_MUST_USE enum cm_err cm_trust_remove(const struct cm_trust_options *o, const char *sha256,
    struct cm_trace *t, cm_trust_visit visit, void *arg);

#endif /* CM_TRUST_TRUST_H */
