/* cache/accounts.h - mobile accounts: what lets a known card in with no network. */
#ifndef CM_CACHE_ACCOUNTS_H
#define CM_CACHE_ACCOUNTS_H

#include "base/clock.h"
#include "base/trace.h"
#include "card/cert.h"
#include "ldap/directory.h"
#include "trust/trust.h"

/*
 * The store: one SQLite file, WAL, synchronous=FULL (but for the times of a login
 * like the last), mode 0600, under umask 077.  Its schema is a grammar at the top of accounts.c.  Or, where the path is
 * a socket, that of the process which serves it (cache/store_server.h): then
 * recall, find, withdraw and the search for pairings are asked of that, several
 * threads may call them at once, and everything else is CM_ERR_STATE.
 */
struct cm_accounts;
struct cm_mobile;
struct cm_mobile_seen;

struct cm_accounts_options {
	const char *path;
	bool remote;		/* path is a socket, also while nobody listens there: asked when it is needed */
	unsigned answer_ms;	/* of a remote store: who did not answer within is not asked again for a second; 0: 5 s, and asked each time */
	unsigned unpaired_ms;	/* of a remote store: that it has no pairing at all is believed for so long; 0: asked each time */
	int64_t offline_max;	/* seconds an account may stay without an online login; 0: for ever */
	uid_t first_uid;	/* kept accounts are checked again when they are read */
	gid_t first_gid;
	const char *const *local_groups;	/* struct cm_account_limits; NULL: none.  Borrowed while the store is open */
	void (*ended)(void *arg);	/* NULL, or: called after something that was kept was withdrawn or forgotten through this */
	void *ended_arg;
};

/*
 * Open, or create with the folder above it existing.  Refuses a file that
 * others own or may read or write.
 * CM_ERR_SYSTEM  STORE: names the file and what failed
 */
CM_MUST_USE enum cm_err cm_accounts_open(const struct cm_accounts_options *o,
    struct cm_trace *t, struct cm_accounts **out);
void cm_accounts_close(struct cm_accounts **s);

/*
 * Have the process that serves a remote store run the selector that its
 * configuration names (service/selector.h), which this process could not: it is
 * told the keys and the user, and no program.
 *
 * CM_OK          answer has what the program wrote, unread by anybody
 * CM_ERR_ABSENT  no such program (no reason set)
 * CM_ERR_SYSTEM  SELECTOR, STORE: it could not be run or ended badly; nobody answered
 * CM_ERR_STATE   the store is a file; CM_ERR_NOMEM
 */
struct cm_selection {
	struct cm_blob hashes;	/* SHA-1, 20 octets for each key; 1 to 64 of them */
	const char *user;	/* NULL: not known */
	cm_deadline deadline;
};
CM_MUST_USE enum cm_err cm_accounts_select(const struct cm_accounts *s, const struct cm_selection *q, struct cm_trace *t,
    struct cm_buf *answer);

/*
 * What the host knows, for trust/: sources, the clock's floor, and evidence.
 * now is this host's clock.  known borrows from the struct made here.
 */
struct cm_keeping;
struct cm_remote_keeping;
struct cm_snapshot;
struct cm_memory {
	struct cm_known known;		/* with a keeper, that of this store */
	struct cm_evidence *evidence;
	struct cm_source *sources;
	struct cm_keeper keeper;	/* has a connection of its own, made when it is first used */
	struct cm_keeping *keeping;	/* that */
	struct cm_snapshot *snapshot;	/* of a store on a socket: what known borrows from; the store outlives it */
	struct cm_remote_keeping *remote_keeping;
};
/* Of evidence every piece there is, of any certificate; a remote store tells what is revoked, and no more. */
CM_MUST_USE enum cm_err cm_accounts_recall(struct cm_accounts *s, time_t now,
    struct cm_trace *t, struct cm_memory **out);
/*
 * What a login needs, however many are kept: of evidence what is revoked, whoever
 * it is of (who signs answers may be among them); and, once its chain is there,
 * what is kept of the certificates below the anchor is added.  A failure leaves
 * m as it was.
 */
CM_MUST_USE enum cm_err cm_accounts_recall_revoked(struct cm_accounts *s, time_t now,
    struct cm_trace *t, struct cm_memory **out);
CM_MUST_USE enum cm_err cm_accounts_recall_chain(struct cm_accounts *s, const struct cm_verdict *v, struct cm_trace *t,
    struct cm_memory *m);
void cm_memory_free(struct cm_memory **m);

/*
 * The account that this very certificate opened online before.
 *
 * CM_OK           *out is the caller's; *age_s: seconds since its last online login
 *                 (the greater of wall clock and, within one boot, CLOCK_BOOTTIME)
 * CM_ERR_OFFLINE  NOT_KEPT: never seen online, forgotten, or its mapping was withdrawn
 * CM_ERR_REFUSED  KEPT_TOO_OLD, CLOCK_BEHIND, ACCOUNT_FORBIDDEN
 * CM_ERR_SYSTEM   STORE: the stored account is damaged or cannot be read
 */
CM_MUST_USE enum cm_err cm_accounts_find(struct cm_accounts *s, const struct cm_cert *c,
    time_t now, struct cm_trace *t, struct cm_account **out, int64_t *age_s);

/*
 * What lets a card be recognised, and judged with no network by who parses no
 * certificate; zero: not known.  All borrowed.
 */
#define CM_KEPT_KEY_MAX	1024
struct cm_kept_card {
	struct cm_blob guid;		/* of the CHUID, 16 octets; none: it cannot be recognised */
	bool global_pin;		/* its PIN is the card's global one */
	struct cm_blob key;		/* its public key, opaque here: at most CM_KEPT_KEY_MAX octets */
	const struct cm_blob *links;	/* issuer_key and, behind it, serial: of each certificate below the anchor, leaf first */
	size_t link_count;
	time_t not_after;		/* the least of the chain */
};

/* One complete online login; every pointer borrowed.  One transaction. */
struct cm_remember {
	const struct cm_account *account;
	const struct cm_cert *cert;
	const struct cm_verdict *verdict;	/* chain and evidence are taken from it */
	time_t signed_time;			/* newest signed time accepted online; 0: none */
	time_t now;
	bool account_online;			/* false: from the store itself; only evidence and floor are new */
	struct cm_kept_card card;		/* links and not_after are taken from the verdict */
};
CM_MUST_USE enum cm_err cm_accounts_remember(struct cm_accounts *s,
    const struct cm_remember *r, struct cm_trace *t);

/*
 * The same of facts that other processes told, none of them believed further
 * than the grant did: nobody who is revoked or on hold is forgiven by it.
 */
struct cm_remember_apart {
	const struct cm_account *account;
	struct cm_blob certificate;		/* DER */
	const struct cm_blob *chain;		/* DER each, leaf first */
	size_t chain_count;
	const struct cm_evidence *evidence;
	size_t evidence_count;
	struct cm_kept_card card;
	time_t signed_time, now;
	bool account_online;
	const struct cm_mobile *mobile;		/* kept with it (cache/mobile.h); NULL: none */
};
/* CM_ERR_STATE: it is not the leaf of that chain, or a field of the card is none; else as cm_accounts_remember() */
CM_MUST_USE enum cm_err cm_accounts_remember_apart(struct cm_accounts *s, const struct cm_remember_apart *r, struct cm_trace *t);

/*
 * A certificate that a card with this GUID had at an online login: that of slot
 * 9A, or else the one that it opened an account with where nobody was named; and
 * of a user (not NULL) the one that let that account in.  Of several the last.
 * CM_OK          *out is the caller's, for cm_buf_free(&out->certificate)
 * CM_ERR_ABSENT  none that could be used, and no reason is set: the card is to be read
 * CM_ERR_SYSTEM  STORE
 */
struct cm_recognised {
	struct cm_buf certificate;	/* DER */
	unsigned slot;			/* enum cm_slot */
	bool global_pin;
};
CM_MUST_USE enum cm_err cm_accounts_recognise(struct cm_accounts *s, struct cm_blob guid, const char *user, struct cm_trace *t,
    struct cm_recognised *out);

/*
 * A card with the GUID of this kept certificate has not its key: none is recognised by it any more.  The account stays
 * kept as it was, and the next complete login of a card that was read recognises that card again.
 * CM_ERR_ABSENT  it is not kept
 * CM_ERR_STATE   the store is another process's, or of another version
 * CM_ERR_SYSTEM  STORE
 */
CM_MUST_USE enum cm_err cm_accounts_mistook(struct cm_accounts *s, struct cm_blob certificate, struct cm_trace *t);

/*
 * What is kept of this certificate, for who decides.  All owned by the struct.
 * CM_OK          *out is the caller's, whatever usable says
 * CM_ERR_ABSENT  nothing, and no reason is set; CM_ERR_SYSTEM  STORE; CM_ERR_NOMEM
 */
struct cm_kept_row {
	struct cm_account *account;
	struct cm_kept_card card;	/* key.len 0: kept by a former version */
	int64_t age;			/* seconds since the last online login */
	enum cm_err usable;		/* CM_OK, or as cm_accounts_find(): KEPT_TOO_OLD, CLOCK_BEHIND, ACCOUNT_FORBIDDEN */
	enum cm_reason reason;
	char *why;
};
CM_MUST_USE enum cm_err cm_accounts_find_row(struct cm_accounts *s, struct cm_blob certificate, time_t now, struct cm_trace *t,
    struct cm_kept_row **out);
void cm_kept_row_free(struct cm_kept_row **r);

/*
 * Whose is this uid, if any other's than this name's: files on this computer are theirs.
 * CM_OK          *holder is the caller's, for free(3)
 * CM_ERR_ABSENT  nobody's that is kept, and no reason is set; CM_ERR_SYSTEM  STORE; CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_accounts_find_holder(struct cm_accounts *s, uid_t uid, const char *name, struct cm_trace *t,
    char **holder);

/*
 * What is kept of the certificate with this issuer_key and, behind it, serial.
 * CM_ERR_ABSENT: nothing, and no reason is set; CM_ERR_SYSTEM  STORE
 */
CM_MUST_USE enum cm_err cm_accounts_find_evidence(struct cm_accounts *s, struct cm_blob link, struct cm_trace *t,
    struct cm_evidence *out);
/* This host's clock and what it knows of it, as cm_accounts_recall() has it: now, floor and stale_clock alone. */
CM_MUST_USE enum cm_err cm_accounts_clock(struct cm_accounts *s, time_t now, struct cm_trace *t, struct cm_known *out);

/* A directory answered that this certificate opens nothing: the kept mapping ends, and leaves its name (cache/standing.h). */
CM_MUST_USE enum cm_err cm_accounts_withdraw(struct cm_accounts *s, const struct cm_cert *c,
    struct cm_trace *t);
/* A directory answered that it does not open the account of this name: what is kept of that one ends. */
CM_MUST_USE enum cm_err cm_accounts_withdraw_user(struct cm_accounts *s, const struct cm_cert *c,
    const char *user, struct cm_trace *t);
/* A directory answered that it opens this account: a kept mapping to another (name or uid) ends. */
CM_MUST_USE enum cm_err cm_accounts_withdraw_others(struct cm_accounts *s, const struct cm_cert *c,
    const struct cm_account *a, struct cm_trace *t);

/* For people. */
struct cm_kept {
	const struct cm_account *account;
	struct cm_blob cert_der;
	time_t last_online;
	time_t offline_until;	/* 0: for ever */
	const struct cm_evidence *evidence;
	size_t evidence_count;
	const struct cm_mobile_seen *mobile;	/* NULL: not looked at (cache/mobile.h) */
};
typedef enum cm_err (*cm_kept_visit)(void *arg, const struct cm_kept *k);
CM_MUST_USE enum cm_err cm_accounts_list(struct cm_accounts *s, struct cm_trace *t,
    cm_kept_visit visit, void *arg);
/* The ones last used online, newest first, at most so many certificates; *more: how many there are beside them. */
#define CM_KEPT_LATEST	16	/* what a person reads */
CM_MUST_USE enum cm_err cm_accounts_list_latest(struct cm_accounts *s, size_t most, struct cm_trace *t, cm_kept_visit visit,
    void *arg, size_t *more);
/* Those of one account, the oldest first. */
CM_MUST_USE enum cm_err cm_accounts_list_of(struct cm_accounts *s, const char *name, struct cm_trace *t,
    cm_kept_visit visit, void *arg);
/* By account name, with what a directory said of it; revoked evidence stays.  CM_ERR_ABSENT (NOT_KEPT's text): none so named. */
CM_MUST_USE enum cm_err cm_accounts_forget(struct cm_accounts *s, const char *name,
    struct cm_trace *t);

/*
 * Every issuer that a certificate named sources of, and every source; issuer is
 * DER.  For refresh and status.  Damaged rows are left out, with a "warning" in
 * t.  Anything but CM_OK of the visitor ends it with this result.
 * CM_ERR_SYSTEM  STORE
 */
typedef enum cm_err (*cm_seen_visit)(void *arg, struct cm_blob issuer, const struct cm_source *s);
CM_MUST_USE enum cm_err cm_accounts_each_source(struct cm_accounts *s, struct cm_trace *t,
    cm_seen_visit visit, void *arg);
/* The same for a process that decodes nothing: issuer is whatever was kept, and whoever reads it asks cm_source_is_of() first. */
CM_MUST_USE enum cm_err cm_accounts_each_source_unread(struct cm_accounts *s, struct cm_trace *t,
    cm_seen_visit visit, void *arg);
/* False: issuer is no certificate, or of another key than this source's CA has. */
CM_MUST_USE bool cm_source_is_of(struct cm_blob issuer, const struct cm_source *s);
/* A "warning" in t that this source's CA cannot be read; always CM_OK. */
enum cm_err cm_source_leave_out(struct cm_trace *t, const struct cm_source *s);
/*
 * Every piece of evidence, by issuer and serial.  Anything but CM_OK of the
 * visitor ends it with this result.  CM_ERR_SYSTEM  STORE: also that a row is damaged
 */
typedef enum cm_err (*cm_evidence_visit)(void *arg, const struct cm_evidence *e);
CM_MUST_USE enum cm_err cm_accounts_each_evidence(struct cm_accounts *s, struct cm_trace *t,
    cm_evidence_visit visit, void *arg);
/*
 * An administrator forgives: what is kept of this certificate goes, revoked or
 * not.  The caller logs it.  CM_ERR_ABSENT: nothing was kept (no reason is set).
 */
CM_MUST_USE enum cm_err cm_accounts_forget_evidence(struct cm_accounts *s, const uint8_t issuer_key[32],
    struct cm_blob serial, struct cm_trace *t);

#endif /* CM_CACHE_ACCOUNTS_H */
