/* client/cardmap.h - <cardmap.h>: log somebody in by smart card, through cardmapd: for login helpers (link with -lcardmap). */
#ifndef CARDMAP_H
#define CARDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/*
 * One login, from Begin to its end.  Not thread-safe: one thread per login; several at once are fine.
 * Texts are UTF-8, safe for a terminal, owned by the login, and good until the next cardmap_next() on it.
 * Functions return 0, or a negative errno value:
 *	-ECONNREFUSED	cardmapd does not run here
 *	-ECONNRESET	it went away in the middle: the login is over
 *	-EACCES		this process may not ask (another user, remote, another seat); cardmap_text() says why, if there is a login
 *	-ETIMEDOUT	no answer in time; of cardmap_next(): none yet, ask again
 *	-EPROTO		what answered is no cardmapd
 *	-EINVAL		a parameter is wrong, or what was asked for is not on now
 *	-ENOMEM		and what system calls say
 * Three answers, never two: only CARDMAP_GRANTED lets somebody in, only CARDMAP_REFUSED is a no, and
 * an error is neither: nobody could be asked.  No function prints, raises SIGPIPE, waits without a deadline
 * or leaves a descriptor open behind it; all descriptors are close-on-exec.
 */
struct cardmap_login;

/* More may come: a state that is not known here is one to wait in. */
enum cardmap_state {
	CARDMAP_CARD,		/* put a card in; cardmap_text(): why none will do so far */
	CARDMAP_READING,	/* it is being read and looked up */
	CARDMAP_CHOOSE,		/* cardmap_choice(): answer by cardmap_choose() */
	CARDMAP_PIN,		/* answer by cardmap_pin() or, at a reader with a PIN pad, cardmap_pin_at_reader() */
	CARDMAP_WORKING,
	CARDMAP_GRANTED,	/* the end: cardmap_grant_*() */
	CARDMAP_REFUSED,	/* the end: cardmap_reason(), cardmap_text(), cardmap_remedy() */
};

/*
 * What a login is begun with.  Zero it, then set size to sizeof(struct cardmap_request): later
 * versions have members behind these, and take the size that any version before them had.  NULL: not known.
 * Nothing of it is kept.
 */
struct cardmap_request {
	size_t size;
	const char *user;	/* who wants to log in; NULL: whoever the card names */
	const char *service;	/* PAM service; for who is not PAM, the program's name */
	const char *tty;
	const char *rhost;	/* where from; NULL: from this computer's seat */
	const char *reader;
	const char *purpose;	/* "login" (also NULL), "account" (asks for no card: may this account enter now?), "chauthtok",
				   "refresh" (a ticket for the caller's own account, and no session), "pair" */
	bool secret;		/* the user's secret is wanted too: cardmap_secret() */
};

/*
 * Begin a login with the service of this computer, at /run/cardmap/io.cardmap; it must be root's.
 * *out is the caller's, for cardmap_free(); NULL after an error.
 */
int cardmap_begin(const struct cardmap_request *r, struct cardmap_login **out);
/* The same with a service whose folder of sockets is another: root's, or this user's own. */
int cardmap_begin_at(const char *run_dir, const struct cardmap_request *r, struct cardmap_login **out);
/* Accepts NULL.  A login that has not ended is cancelled. */
void cardmap_free(struct cardmap_login *l);

/*
 * Wait for the next state, at most timeout_ms; -1: as long as the service takes, which has deadlines of its own,
 * but no longer than CARDMAP_PATIENCE.  The first state comes within 10 s of Begin, or never.
 * After the end it is the end again, and after an error that error.
 */
#define CARDMAP_PATIENCE	620000	/* ms; service.wait has at most 600000 */
int cardmap_next(struct cardmap_login *l, int timeout_ms, enum cardmap_state *state);
/* For poll(2): readable when cardmap_next() has something. */
int cardmap_fd(const struct cardmap_login *l);
/* What a result means, in words: static text. */
const char *cardmap_error(int result);

/* Of the state that cardmap_next() gave.  NULL: not known, or there is none. */
const char *cardmap_name(const struct cardmap_login *l);	/* "Alice Example" */
const char *cardmap_user(const struct cardmap_login *l);
const char *cardmap_reader(const struct cardmap_login *l);
bool cardmap_is_online(const struct cardmap_login *l);		/* false: the directory is silent, the account one kept from before */
int cardmap_tries(const struct cardmap_login *l);		/* PIN tries left; -1: the card does not count */
bool cardmap_is_last_try(const struct cardmap_login *l);	/* the PIN must be given with may_spend_last */
bool cardmap_has_pad(const struct cardmap_login *l);		/* the reader takes the PIN: cardmap_pin_at_reader() */
const char *cardmap_reason(const struct cardmap_login *l);	/* "pin_wrong": as in cardmap-login(7) */
const char *cardmap_text(const struct cardmap_login *l);
const char *cardmap_remedy(const struct cardmap_login *l);
bool cardmap_may_use_password(const struct cardmap_login *l);	/* the service says so of this user, by name; else false */

/* Choice i, from 0: its text, and its id for cardmap_choose(); NULL: there is none. */
const char *cardmap_choice(const struct cardmap_login *l, unsigned i, const char **id);
/* -EAGAIN, here and below: the service asks for that no more (the card was taken out, say): cardmap_next() tells. */
int cardmap_choose(struct cardmap_login *l, const char *id);

/*
 * Hand over a PIN of len octets, 1 to CARDMAP_PIN_MAX, no NUL and no end of line among them.  It goes through a
 * pipe to the process that talks to the card; no message holds it, and no copy is made here.  The caller wipes its own.
 * -EPERM: it is the last try, and may_spend_last is false; nothing was sent.
 */
#define CARDMAP_PIN_MAX	256
int cardmap_pin(struct cardmap_login *l, const char *pin, size_t len, bool may_spend_last);
/* It is typed on the reader's own pad, which waits from here on: tell whoever is to type.  -EINVAL: the reader has none */
int cardmap_pin_at_reader(struct cardmap_login *l, bool may_spend_last);
/* For "chauthtok": both at once. */
int cardmap_change_pin(struct cardmap_login *l, const char *old_pin, size_t old_len, const char *new_pin, size_t new_len,
    bool may_spend_last);

/*
 * For "pair": the card, which opens nothing, is to open this process's own account from now on.  The PIN, NULL where the
 * reader takes it (cardmap_has_pad()), and the account's password on this computer, both as cardmap_pin() takes a PIN.
 */
int cardmap_pair(struct cardmap_login *l, const char *pin, size_t pin_len, const char *password, size_t password_len,
    bool may_spend_last);

/* After CARDMAP_GRANTED; else NULL, and (uid_t)-1.  Never uid 0. */
const char *cardmap_grant_user(const struct cardmap_login *l);
uid_t cardmap_grant_uid(const struct cardmap_login *l);
gid_t cardmap_grant_gid(const struct cardmap_login *l);
const char *cardmap_grant_home(const struct cardmap_login *l);
const char *cardmap_grant_shell(const struct cardmap_login *l);
const char *cardmap_grant_ccache(const struct cardmap_login *l);	/* for KRB5CCNAME; NULL: no ticket */
/* For KRB5CCNAME too, of a session that begins without a ticket since no KDC answered: where a later one will be.  Else NULL. */
const char *cardmap_grant_ccache_later(const struct cardmap_login *l);
long long cardmap_grant_kept_age(const struct cardmap_login *l);	/* seconds; -1: the directory answered */
const char *cardmap_grant_warning(const struct cardmap_login *l, unsigned i);	/* NULL: no more */

/*
 * The user's secret, which the card's Key Management key has opened (accounts.secret in cardmap.conf(5)): text of
 * CARDMAP_SECRET_MAX octets at most and a NUL, for PAM_AUTHTOK.  Once, after CARDMAP_GRANTED, of a login begun with
 * request.secret.  It is read from a pipe, straight into out, and no copy stays here: the caller locks out if it
 * can, and wipes it.  size is that of out, at least CARDMAP_SECRET_MAX + 1.
 * Its length; 0: there is none (off, or a warning says why); else a negative errno value, and out is wiped.
 */
#define CARDMAP_SECRET_MAX	128
int cardmap_secret(struct cardmap_login *l, char *out, size_t size);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif /* CARDMAP_H */
