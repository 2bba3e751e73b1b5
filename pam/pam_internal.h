/* pam/pam_internal.h - one call of the module: its options, its user, what it asks people, how it ends. */
#ifndef CM_PAM_PAM_INTERNAL_H
#define CM_PAM_PAM_INTERNAL_H

#include <security/pam_modules.h>

#include "client/cardmap.h"

#define CM_PAM_USER_MAX	256	/* octets of a name */

/* Result of a step that is not the last; PAM's own codes are not negative. */
#define CM_PAM_GOES_ON	(-1)

struct cm_pam_options {
	bool quiet;			/* say nothing but refusals and questions */
	bool wait_for_card;		/* even where the user may use a password */
	bool allow_missing_name;	/* nobody is asked for a name: the card gives it */
	bool authtok;			/* the user's secret becomes PAM_AUTHTOK, for the modules that follow */
	bool use_first_pass;		/* the PIN is what an earlier module asked for */
	unsigned timeout;		/* seconds for a card to be put in; 0: the service's */
	const char *reader;		/* borrowed from the arguments; NULL: any */
};

struct cm_pam_purpose;
struct cm_pam {
	pam_handle_t *h;
	bool silent;			/* PAM_SILENT */
	struct cm_pam_options options;
	const struct cm_pam_purpose *purpose;
	char user[CM_PAM_USER_MAX + 1];	/* "": not known, the card gives it */
	int left_ms, card_ms;		/* still to wait, altogether and for a card */
	unsigned questions;		/* asked so far */
	char *said;			/* the last thing said of a card awaited; owned */
	char *tried;			/* the PIN that was handed over last; owned, for cm_pam_forget() */
};

/* ---- options.c */

/* PAM_SUCCESS, or PAM_SERVICE_ERR: one that nobody knows, which may have been meant to forbid something. */
int cm_pam_options_read(pam_handle_t *h, int argc, const char **argv, struct cm_pam_options *out);

/* ---- talk.c */

#define CM_PAM_FORMAT(f, a)	__attribute__((format(printf, f, a)))

/* Nobody's login depends on what is only said: that a program shows none of it is no error. */
void cm_pam_say(const struct cm_pam *p, const char *format, ...) CM_PAM_FORMAT(2, 3);	/* not with quiet */
void cm_pam_complain(const struct cm_pam *p, const char *format, ...) CM_PAM_FORMAT(2, 3);
/*
 * Ask.  *answer is the caller's, for cm_pam_forget(), and never NULL after PAM_SUCCESS; "": nothing was typed.
 * PAM_CONV_ERR: it could not be asked, whatever the program called that; PAM_BUF_ERR; PAM_MAXTRIES: it was asked too often
 */
int cm_pam_ask(struct cm_pam *p, bool echo, char **answer, const char *format, ...) CM_PAM_FORMAT(4, 5);
/* One more that a person answers elsewhere: PAM_SUCCESS; PAM_MAXTRIES: there were too many */
int cm_pam_count_question(struct cm_pam *p);
/* Wipe, free, set NULL.  Accepts NULL. */
void cm_pam_forget(char **answer);
/* "PIN for Alice Example, 3 tries left (offline): ", cut to what a line holds. */
void cm_pam_pin_prompt(const struct cardmap_login *l, const char *what, char *out, size_t size);

/* ---- user.c */

/* PAM_SUCCESS: uid 0; PAM_USER_UNKNOWN: there is no such name; PAM_AUTHINFO_UNAVAIL: could not be looked up. */
int cm_pam_lookup(const char *user, uid_t *uid);
/* Into p->user.  PAM_SUCCESS, also where the card is to name the user; PAM_IGNORE: it is root; else an error. */
int cm_pam_user(struct cm_pam *p);
/* May this grant be this user's login?  PAM_SUCCESS, PAM_PERM_DENIED, PAM_AUTHINFO_UNAVAIL */
int cm_pam_check_grant(const struct cm_pam *p, const struct cardmap_login *l);

/* ---- results.c */

/* What is done with a login in each of its states: CM_PAM_GOES_ON, or the end. */
typedef int (*cm_pam_step)(struct cm_pam *p, struct cardmap_login *l);
struct cm_pam_purpose {
	const char *name;		/* of struct cardmap_request */
	cm_pam_step card, choose, pin, granted;	/* NULL: does not happen in this one */
	int could_not_ask, refused;	/* where no row of results.c says more */
	bool may_fall_back;		/* a refusal of who may use a password is PAM_IGNORE */
};
int cm_pam_refused(struct cm_pam *p, struct cardmap_login *l);
/* result is a negative one of libcardmap; l may be NULL. */
int cm_pam_could_not_ask(struct cm_pam *p, const struct cardmap_login *l, int result);
/* PAM_IGNORE: this user may use a password, and the service says so; else the purpose's refusal. */
int cm_pam_fall_back(const struct cm_pam *p, const struct cardmap_login *l, const char *why);

/* ---- run.c, login.c, change.c */

int cm_pam_run(struct cm_pam *p);
int cm_pam_await_card(struct cm_pam *p, struct cardmap_login *l);
int cm_pam_await_turn(struct cm_pam *p, const struct cardmap_login *l);
int cm_pam_choose(struct cm_pam *p, struct cardmap_login *l);
/* May the last try be spent?  PAM_SUCCESS, also where it is not the last; PAM_AUTH_ERR: no; errors of cm_pam_ask() */
int cm_pam_ask_last_try(struct cm_pam *p, const struct cardmap_login *l);
/* A result of cardmap_pin() and its like. */
int cm_pam_handed_over(struct cm_pam *p, const struct cardmap_login *l, int result);
extern const struct cm_pam_purpose cm_pam_login, cm_pam_account, cm_pam_change, cm_pam_change_prelim;

/* ---- session.c */

/*
 * What became of authenticate, kept for this handle's other calls: nothing secret.
 * PAM_SUCCESS, PAM_BUF_ERR, or PAM's own error.
 */
int cm_pam_session_forget(struct cm_pam *p);		/* it begins anew */
int cm_pam_session_password(struct cm_pam *p);		/* the user was let through to a password */
int cm_pam_session_keep(struct cm_pam *p, const struct cardmap_login *l);	/* granted: KRB5CCNAME is set */
/* For the session: KRB5CCNAME, if it is that user's.  PAM_SUCCESS; PAM_IGNORE: a password's; PAM_BUF_ERR */
int cm_pam_session_set(pam_handle_t *h);
int cm_pam_session_unset(pam_handle_t *h);

#endif /* CM_PAM_PAM_INTERNAL_H */
