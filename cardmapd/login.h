/* cardmapd/login.h - a login that somebody has begun: what he is told, and what he answers. */
#ifndef CM_CARDMAPD_LOGIN_H
#define CM_CARDMAPD_LOGIN_H

#include <jansson.h>

#include "base/list.h"
#include "base/log.h"
#include "cardmapd/clients.h"
#include "ldap/directory.h"

#define CM_HANDLE_OCTETS	16	/* 128 random bits */
#define CM_HANDLE_SIZE		(2 * CM_HANDLE_OCTETS + 1)

enum cm_purpose { CM_PURPOSE_LOGIN, CM_PURPOSE_ACCOUNT, CM_PURPOSE_CHAUTHTOK, CM_PURPOSE_REFRESH, CM_PURPOSE_PAIR };
enum cm_attempt_state {
	CM_ATTEMPT_NONE, CM_ATTEMPT_CARD, CM_ATTEMPT_READING, CM_ATTEMPT_CHOOSE, CM_ATTEMPT_PIN, CM_ATTEMPT_WORKING,
	CM_ATTEMPT_GRANTED, CM_ATTEMPT_REFUSED,
};

struct cm_session;

/* As the interface has it. */
const char *cm_attempt_state_name(enum cm_attempt_state state);

/* What came with Answer; descriptors are owned, -1: none. */
struct cm_answer {
	bool there, last_try;
	int fds[2];
	struct cm_closing *closing;	/* where they are closed, as the user's who passed them */
	uid_t whose;
	char *choice;
};

/*
 * One Begin.  The main thread makes and frees it; while a session has it
 * (session is not NULL) that session's thread tells and ends it.
 */
struct cm_attempt {
	struct cm_attempt *next;
	struct cm_daemon *daemon;
	/* as it was begun: */
	char handle[CM_HANDLE_SIZE];
	char *user, *service, *rhost, *tty, *reader;	/* NULL: not said */
	enum cm_purpose purpose;
	pid_t pid;
	uid_t uid;
	int pidfd;			/* -1: this kernel has none */
	bool wants_secret;
	int64_t begun_us;
	cm_deadline card_due;		/* until when it waits for a card */
	/* under the daemon's lock: */
	enum cm_attempt_state state;
	enum cm_reason reason;		/* told with the state */
	json_t *out;			/* replies to be sent, an array */
	struct cm_answer answer;
	bool cancelled, ended;
	bool may_use_password;
	bool unsettled;			/* whether he may is being asked: nothing is sent until it is known */
	bool sent_end;			/* the main thread's */
	struct cm_session *session;
	char *chosen;			/* the account it is about, of several */
	char **tried;			/* cards that do not open the account that is wanted: cm_session_card() */
	struct cm_account *pairs;	/* of a pairing: whose card it is to be; owned */
	struct cm_entrance *entrance;	/* of an account phase: a thread that asks, which has this */
	char *untold;			/* cm_untold_note(); its session's thread's, and the main thread's once it has ended */
	int secret;			/* the reading end of a pipe, which goes beside the grant; owned, -1: none */
	json_t *why;			/* reason, text and remedy for the next time that something is asked; or NULL */
	/* the main thread's: */
	struct cm_client *client;	/* NULL: nobody is there any more */
};

/* One state told.  Everything is borrowed, but json, which is given. */
struct cm_told {
	enum cm_attempt_state state;
	const char *name, *user, *reader;
	enum cm_log_online online;
	unsigned tries;			/* CM_TRIES_UNKNOWN: absent */
	bool has_tries, last_try, pad;
	enum cm_reason reason;
	const char *text;
	json_t *choices, *grant;
};
/* Any thread, not under the lock. */
void cm_attempt_tell(struct cm_attempt *a, const struct cm_told *t);
/* The same, under the lock. */
void cm_attempt_tell_locked(struct cm_attempt *a, const struct cm_told *t);
/* End it as refused, and write that down; not under the lock. */
void cm_attempt_refuse(struct cm_attempt *a, const struct cm_log_entry *e);
/* An entry for the log about it, with what it is known by. */
struct cm_log_entry cm_attempt_entry(const struct cm_attempt *a, enum cm_reason reason, const char *text);

/* It is known whether its user may use a password: said with all that is told of it.  Any thread, not under the lock. */
void cm_attempt_settle(struct cm_attempt *a, bool may_use_password);

/* The answer, if there is one: the caller's to clear.  Under the lock. */
bool cm_attempt_take_answer(struct cm_attempt *a, struct cm_answer *out);
void cm_answer_clear(struct cm_answer *a);

/* The interface's Grant.  ccache NULL: none, and ccache_later is where the next ticket will be, or NULL; kept_age -1: the directory answered. */
struct cm_granting {
	const struct cm_account *account;
	const char *ccache, *ccache_later, *serial, *subject;
	int64_t kept_age;
	json_t *warnings;	/* given; NULL: none */
};
json_t *cm_attempt_grant(const struct cm_granting *g);

/* ---- all of them; main thread */
struct cm_logins;
CM_MUST_USE enum cm_err cm_logins_new(struct cm_daemon *d, struct cm_logins **out);
void cm_logins_free(struct cm_logins **l);
/* Send what there is to be told, let go of those that are over, and find cards for those that wait. */
void cm_logins_look(struct cm_logins *l);
cm_deadline cm_logins_next(const struct cm_logins *l);
/* A row for each process that waits, which can be read when it has ended. */
size_t cm_logins_poll(const struct cm_logins *l, struct pollfd *p, size_t max);
/* Those that have not ended end as refused: the service stops. */
void cm_logins_stop(struct cm_logins *l);

struct cm_attempt *cm_logins_add(struct cm_logins *l, struct cm_client *c);
/* By the handle, of the process that began it. */
struct cm_attempt *cm_logins_find(const struct cm_logins *l, const char *handle, const struct cm_client *c);
/* The newest; the others by next. */
const struct cm_attempt *cm_logins_first(const struct cm_logins *l);
void cm_attempt_cancel(struct cm_attempt *a);
/* Its client is another's no more: neither is told when the other goes, and nothing more is sent. */
void cm_attempt_part(struct cm_attempt *a);

/* How long ago, in seconds, c's process was let in by a card as user, for its account phase; -1: it was not, or too long ago.  Main thread. */
int64_t cm_logins_proven_for(struct cm_logins *l, const struct cm_client *c, const char *user);

#endif /* CM_CARDMAPD_LOGIN_H */
