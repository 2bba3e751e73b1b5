/* service/login.h - a login: its stages in order, before the PIN and after it. */
#ifndef CM_SERVICE_LOGIN_H
#define CM_SERVICE_LOGIN_H

#include "base/secret.h"
#include "base/trace.h"
#include "service/grant.h"
#include "service/host.h"

enum cm_login_phase { CM_BEFORE_PIN, CM_AFTER_PIN, CM_LOGIN_DONE };

/* Answers older than this when the PIN comes, or from before a suspend, are asked again. */
#define CM_LOGIN_FRESH_SECONDS	60

/*
 * One login.  The first part is the caller's, borrowed; the rest is filled by
 * the stages, owned by the login, and may be read between and after the calls.
 */
struct cm_login {
	const struct cm_host *host;	/* made with CM_NEED_LOGIN */
	struct cm_trace *trace;		/* never NULL here: stages read its reason */
	const char *user;		/* who wants to log in; NULL: whoever the card names */
	bool last_try;			/* the PIN's last try may be spent */
	bool look_only;			/* set by cm_login_explain(): nothing is kept, changed or granted */

	enum cm_login_phase phase;
	cm_deadline deadline;		/* of the stage that runs */
	const struct cm_secret *pin;	/* borrowed while cm_login_finish() runs */
	int64_t prepared_us;		/* on CLOCK_MONOTONIC, when the answers were asked */
	int64_t prepared_boot;		/* on CLOCK_BOOTTIME: differs after a suspend */

	struct cm_card *card;
	struct cm_cert *cert;
	unsigned tries_left;		/* CM_TRIES_UNKNOWN: the card does not count */
	struct cm_memory *memory;	/* what this host knew when it began */
	struct cm_known known;		/* the same, as trust/ takes it; borrows from memory */
	struct cm_verdict *verdict;
	struct cm_inquiry *inquiry;	/* after its revocation: under way while the directory is asked */
	struct cm_account *account;
	bool account_kept;		/* the directory was silent: this is the kept account */
	int64_t kept_age;		/* seconds since its last online login */
	struct cm_proof *proof;
	struct cm_ticket *ticket;
	bool kdc_silent;
	struct cm_grant *grant;		/* not NULL: the login is granted */
	bool remembered;
	char *ccache;			/* name for KRB5CCNAME, or NULL */
};

/*
 * All stages before the PIN.  On any error the login is over: clear it.
 * Results and reasons are those of the stages.
 */
CM_MUST_USE enum cm_err cm_login_prepare(struct cm_login *l);

/*
 * All stages after it.  pin is borrowed.  After CM_ERR_REFUSED with reason
 * PIN_WRONG this may be called again with another PIN; after any other error
 * the login is over.
 */
CM_MUST_USE enum cm_err cm_login_finish(struct cm_login *l, const struct cm_secret *pin);

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
