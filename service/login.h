/* service/login.h - a login: its stages in order, before the PIN and after it. */
#ifndef CM_SERVICE_LOGIN_H
#define CM_SERVICE_LOGIN_H

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/trace.h"
#include "card/card.h"
#include "ldap/facts.h"
#include "service/grant.h"

enum cm_login_phase { CM_BEFORE_PIN, CM_AFTER_PIN, CM_LOGIN_DONE };

/* Answers older than this when the PIN comes, or from before a suspend, are asked again. */
#define CM_LOGIN_FRESH_SECONDS	60

/* How the PIN comes. */
struct cm_pin {
	const struct cm_secret *secret;	/* in this process; NULL: through fd, or the pad */
	int fd;				/* the reading end of a pipe, for the card helper alone; -1: none */
	bool pad;			/* it is typed at the reader */
	bool last_try;			/* the PIN's last try may be spent */
};

struct cm_login;

/*
 * Who does the work of the stages: this process (service/login_here.h), or the
 * card helper and the resolver that it asks (service/apart.h).  What follows
 * from it is decided in service/login.c alone.  Each returns what its stage
 * does, with the reason in l->trace, within l->deadline.
 */
struct cm_login_work {
	/* Sets tries_left, cached, reader, subject and serial, as far as they are known. */
	enum cm_err (*certificate)(struct cm_login *l);
	enum cm_err (*chain)(struct cm_login *l);
	/* Sets account, account_kept and kept_age. */
	enum cm_err (*account)(struct cm_login *l);
	enum cm_err (*revocation)(struct cm_login *l);
	/* One VERIFY with l->pin; sets tries_left. */
	enum cm_err (*unlock)(struct cm_login *l);
	/* Can the account have a ticket of this host's realm?  Is there a keytab, so that one can be proof? */
	bool (*serves)(const struct cm_login *l);
	bool (*has_keytab)(const struct cm_login *l);
	/* CM_ERR_OFFLINE with KDC_OFFLINE: no KDC answered; of a card that failed it is another reason. */
	enum cm_err (*get_ticket)(struct cm_login *l);
	/* It will be wanted once the PIN is there: what needs none may begin.  Waits for nobody, fails nobody.  NULL where nothing can. */
	void (*expect_ticket)(struct cm_login *l);
	const char *(*principal)(const struct cm_login *l);	/* of the ticket; NULL: there is none */
	bool (*ticket_proves)(const struct cm_login *l);
	/* CM_ERR_REFUSED with CARD_KEY: the card has another key than its certificate. */
	enum cm_err (*sign)(struct cm_login *l);
	/*
	 * More certificates of the card, beside the one of "certificate", which is number 0: kept, one that let l->user in
	 * before; else all that the card has for logging in, read from it.  Sets certificates.  CM_ERR_ABSENT: no more.
	 * NULL: it has one and no more.
	 */
	enum cm_err (*others)(struct cm_login *l, bool kept);
	/* From now on it is about certificate n.  Sets certificate, slot, cached.  CM_ERR_ABSENT: number 0 is not there */
	enum cm_err (*use)(struct cm_login *l, size_t n);
	/* Read the certificate that was not read from the card; no second VERIFY.  CM_ERR_ABSENT: it is the same.  NULL where none is kept. */
	enum cm_err (*read_again)(struct cm_login *l);
	enum cm_err (*admit)(struct cm_login *l);
	enum cm_err (*remember)(struct cm_login *l);
	/* Put the ticket where the account's programs find it; sets ccache. */
	enum cm_err (*store_ticket)(struct cm_login *l);
	/* Have the card open the account's secret, for whoever logs in.  NULL where nobody can be given it. */
	enum cm_err (*open_secret)(struct cm_login *l);
	unsigned (*commands)(const struct cm_login *l);		/* of the card, so far */
	void (*clear)(struct cm_login *l);			/* let go of all it holds; worker is NULL then, if it made it */
};

/* An account that a card opens by one of its certificates, where somebody must say which. */
struct cm_opening {
	size_t certificate;
	unsigned slot;			/* enum cm_slot */
	uid_t uid;
	char *name, *gecos, *subject;
};

/*
 * One login.  The first part is the caller's, borrowed; the rest is filled by
 * the stages, owned by the login, and may be read between and after the calls.
 */
struct cm_host;
struct cm_login {
	const struct cm_login_work *work;
	void *worker;			/* as the work wants it */
	const struct cm_host *host;	/* for work in this process */
	const struct cm_conf *conf;	/* NULL: the host's */
	struct cm_trace *trace;		/* never NULL here: stages read its reason */
	const char *user;		/* who wants to log in; NULL: whoever the card names */
	const char *service, *rhost, *tty;	/* for the log; NULL: not known */
	/* Who logs how it ends, and may keep it; NULL: cm_log_write() does. */
	void (*told)(void *arg, const struct cm_log_entry *e);
	void *told_arg;
	bool for_ticket;		/* a ticket is all that is wanted: without one it is refused */
	bool wants_secret;		/* the account's secret is to be opened too, where accounts.secret is on */
	bool ahead;			/* nobody has asked for it yet: a refusal is not logged */
	unsigned only_slot;		/* enum cm_slot: this certificate alone is looked at, of a card here; 0: 9A, then others */
	bool look_only;			/* set by cm_login_explain(): nothing is kept, changed or granted */

	enum cm_login_phase phase;
	cm_deadline deadline;		/* of the stage that runs */
	const struct cm_pin *pin;	/* borrowed while cm_login_finish() runs */
	int64_t prepared_us;		/* on CLOCK_MONOTONIC, when the answers were asked */
	int64_t prepared_boot;		/* on CLOCK_BOOTTIME: differs after a suspend */
	bool chained;			/* the chain was found good, and no PIN has come: it can be named */

	char *reader;			/* for people */
	char *subject, *serial;		/* of the certificate: RFC 4514; hex */
	size_t certificate, certificates;	/* which of the card's it is about, and how many are known; number 0 is looked at first */
	unsigned slot;			/* enum cm_slot; its */
	bool unnamed;			/* which it is follows from the card alone, and not from who wants to log in */
	struct cm_opening *openings;	/* accounts of which one must be named: cm_login_name() */
	size_t opening_count;
	bool unclear;			/* another of its certificates may be somebody's, who is not let in by it now */
	bool cached;			/* the certificate is one kept, of a card that was recognised */
	bool pad;			/* the reader takes the PIN itself */
	unsigned tries_left;		/* CM_TRIES_UNKNOWN: the card does not count */
	bool keep_here;			/* its owner was asked, and wants the account kept here (service/mobile.h) */
	bool keep_never;		/* ... or never to be asked again: written down once the card has shown that it was he */
	bool pin_sent;			/* a PIN was handed on, and nobody told what the card said to it */
	struct cm_account *account;
	bool account_kept;		/* the directory was silent: this is the kept account */
	int64_t kept_age;		/* seconds since its last online login */
	struct cm_facts said;		/* of whether the account needs a card, where the directory was asked */
	bool kdc_silent;
	struct cm_grant *grant;		/* not NULL: the login is granted */
	bool remembered;
	char *ccache;			/* name for KRB5CCNAME, or NULL */
};

/*
 * All stages before the PIN.  On any error the login is over, but for
 * cm_login_name(): clear it.  Results and reasons are those of the stages.
 */
CM_MUST_USE enum cm_err cm_login_prepare(struct cm_login *l);

/*
 * After that, be it CM_OK or not, and before any PIN: it is this user who wants
 * to log in, borrowed as l->user is.  Where the card opens that account already
 * nobody is asked; else the account, and its revocation, are asked about again, and where its first
 * certificate opens another the card's others are looked at.
 * CM_ERR_STATE: the card itself was refused, or a PIN has come; else as cm_login_prepare()
 */
CM_MUST_USE enum cm_err cm_login_name(struct cm_login *l, const char *user);

/* Answers older than CM_LOGIN_FRESH_SECONDS, or from before a suspend: cm_login_finish() will ask again. */
bool cm_login_stale(const struct cm_login *l);

/* The PIN is about to be asked for: what a ticket needs besides is had meanwhile.  Waits for nobody; may be called again. */
void cm_login_expect_pin(struct cm_login *l);

/*
 * All stages after it.  pin is borrowed.  After CM_ERR_REFUSED with reason
 * PIN_WRONG, and PIN_LAST_TRY (nothing was sent), this may be called again with another PIN; after any other error
 * the login is over.
 */
CM_MUST_USE enum cm_err cm_login_finish(struct cm_login *l, const struct cm_pin *pin);

/*
 * All stages before the PIN, for people: those that still make sense after one
 * has refused are run too, and nothing is kept, changed or granted.  The
 * host may lack its accounts.  Returns what the first refusing stage returned;
 * each stage's own reason stands in the trace.
 */
CM_MUST_USE enum cm_err cm_login_explain(struct cm_login *l);

/* Let go of the card and of all that was found. */
void cm_login_clear(struct cm_login *l);

#endif /* CM_SERVICE_LOGIN_H */
