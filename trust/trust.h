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

/* Texts are borrowed for the life of the trust; NULL: not set. */
struct cm_trust_options {
	enum cm_trust_level level;
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
	bool use_ocsp, use_crl;
	bool require_nonce;
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
struct cm_evidence {
	uint8_t issuer_key[32];		/* SHA-256 of the issuer's SubjectPublicKeyInfo */
	uint8_t serial[32];		/* content octets of serialNumber */
	size_t serial_len;
	enum cm_status status;
	time_t this_update;
	time_t next_update;		/* 0: the answer named none */
	time_t revoked_at;		/* 0: not revoked */
	bool on_hold;			/* revoked by a list's certificateHold: a later list may end it, and nothing else */
	bool by_list;			/* a complete list of the issuer's key says so */
	time_t learned;			/* this host's clock when it was verified */
	char source[256];		/* "OCSP http://...", "CRL http://... number 17" */
};

/* Does e, about the same certificate, end this hold?  RFC 5280 5.3.1: a later list that says no more of it does. */
bool cm_evidence_ends_hold(const struct cm_evidence *held, const struct cm_evidence *e);

/* What the host already knows, borrowed for a call. */
struct cm_known {
	const struct cm_evidence *evidence;	/* of any certificate; the matching ones are used */
	size_t count;
	time_t now;		/* this host's clock */
	time_t floor;		/* newest signed time ever accepted online; 0: none */
	bool stale_clock;	/* time may not be relied on (below the floor, or boot time contradicts): kept evidence counts as expired */
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
 * Revocation at the configured level, for the leaf and every intermediate.
 * What is known revoked stays revoked and is refused without asking; of what is
 * on hold only a later list may say otherwise.  Else OCSP and CRL sources are asked within the deadline; kept good evidence that is still
 * valid counts where they do not answer.
 * Signature and signer's authority are checked before a status is read.
 *
 * CM_OK           passes at this level; the trace says on what evidence, or that there was none
 * CM_ERR_REFUSED  REVOKED (at any level above 1), REVOCATION_UNKNOWN (hard: says what was missing)
 * CM_ERR_STATE    v is not a passed check of the chain by this very trust
 */
CM_MUST_USE enum cm_err cm_trust_check_revocation(struct cm_trust *tr, struct cm_verdict *v,
    const struct cm_known *known, cm_deadline deadline, struct cm_trace *t);

/* Both checks passed, at this level, for this very certificate. */
bool cm_verdict_passes(const struct cm_verdict *v, const struct cm_cert *c);

enum cm_status cm_verdict_status(const struct cm_verdict *v);	/* of the leaf */
/* Everything learned or relied on, the refusing answer too; borrowed. */
const struct cm_evidence *cm_verdict_evidence(const struct cm_verdict *v, size_t *count);
/* Newest thisUpdate accepted online in this check; 0: none. */
time_t cm_verdict_signed_time(const struct cm_verdict *v);
/* The verified chain, leaf first, DER each; borrowed. */
const struct cm_blob *cm_verdict_chain(const struct cm_verdict *v, size_t *count);
void cm_verdict_free(struct cm_verdict **v);

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
