/* cardmap.h - log somebody in by smart card, through cardmapd: for login helpers (link with -lcardmap). */
#ifndef CARDMAP_H
#define CARDMAP_H

#include <stdbool.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One login, from Begin to its end.  Not thread-safe: one thread per login; several at once are fine.
 * Texts are UTF-8, safe for a terminal, owned by the login, and good until the next call on it.
 * Functions return 0, or a negative errno value:
 *	-ECONNREFUSED, -ENOENT	cardmapd does not run here
 *	-EACCES			this process may not ask (another user, remote, another seat); cardmap_text() says why
 *	-ETIMEDOUT		no answer in time
 *	-EPROTO			what answered is no cardmapd
 *	-ENOMEM, -EINVAL	and what system calls say
 * No function prints, blocks without a deadline, or leaves a descriptor open behind it.
 */
struct cardmap_login;

enum cardmap_state {
	CARDMAP_CARD,		/* put a card in */
	CARDMAP_READING,	/* it is being read and looked up */
	CARDMAP_CHOOSE,		/* cardmap_choice(): answer by cardmap_choose() */
	CARDMAP_PIN,		/* answer by cardmap_pin() or, at a reader with a PIN pad, cardmap_pin_at_reader() */
	CARDMAP_WORKING,
	CARDMAP_GRANTED,	/* the end: cardmap_grant_*() */
	CARDMAP_REFUSED,	/* the end: cardmap_reason(), cardmap_text() */
};

/* What a login is begun with.  Zero it first; NULL: not known.  size is sizeof(struct cardmap_request): the ABI's version. */
struct cardmap_request {
	size_t size;
	const char *user;	/* who wants to log in; NULL: whoever the card names */
	const char *service;	/* PAM service; for who is not PAM, the program's name */
	const char *tty;
	const char *rhost;	/* where from; NULL: from this computer's seat */
	const char *reader;
	const char *purpose;	/* "login" (also NULL), "account", "chauthtok" */
};

int cardmap_begin(const struct cardmap_request *r, struct cardmap_login **out);
/* Accepts NULL.  A login that has not ended is cancelled. */
void cardmap_free(struct cardmap_login *l);

/* Wait for the next state, at most timeout_ms (-1: as long as the service takes; it has deadlines of its own). */
int cardmap_next(struct cardmap_login *l, int timeout_ms, enum cardmap_state *state);
/* For poll(2): readable when cardmap_next() has something. */
int cardmap_fd(const struct cardmap_login *l);

const char *cardmap_name(const struct cardmap_login *l);	/* "Alice Example"; NULL: not known yet */
const char *cardmap_user(const struct cardmap_login *l);
const char *cardmap_reader(const struct cardmap_login *l);
bool cardmap_is_online(const struct cardmap_login *l);
int cardmap_tries(const struct cardmap_login *l);		/* PIN tries left; -1: the card does not count */
bool cardmap_is_last_try(const struct cardmap_login *l);	/* the PIN must be given with may_spend_last */
bool cardmap_has_pad(const struct cardmap_login *l);
const char *cardmap_reason(const struct cardmap_login *l);	/* "pin_wrong"; NULL: none */
const char *cardmap_text(const struct cardmap_login *l);
const char *cardmap_remedy(const struct cardmap_login *l);
bool cardmap_may_use_password(const struct cardmap_login *l);

/* Choice i: its text, and its id for cardmap_choose(); NULL: there is none. */
const char *cardmap_choice(const struct cardmap_login *l, unsigned i, const char **id);
int cardmap_choose(struct cardmap_login *l, const char *id);

/*
 * Hand over a PIN.  It goes through a pipe to the process that talks to the
 * card; no message holds it.  The caller wipes its own copy.
 */
int cardmap_pin(struct cardmap_login *l, const char *pin, size_t len, bool may_spend_last);
int cardmap_pin_at_reader(struct cardmap_login *l, bool may_spend_last);
/* For "chauthtok": both at once. */
int cardmap_change_pin(struct cardmap_login *l, const char *old_pin, size_t old_len, const char *new_pin, size_t new_len);

/* After CARDMAP_GRANTED. */
uid_t cardmap_grant_uid(const struct cardmap_login *l);
gid_t cardmap_grant_gid(const struct cardmap_login *l);
const char *cardmap_grant_home(const struct cardmap_login *l);
const char *cardmap_grant_shell(const struct cardmap_login *l);
const char *cardmap_grant_ccache(const struct cardmap_login *l);	/* for KRB5CCNAME; NULL: no ticket */
long long cardmap_grant_kept_age(const struct cardmap_login *l);	/* seconds; -1: the directory answered */
const char *cardmap_grant_warning(const struct cardmap_login *l, unsigned i);	/* NULL: no more */

#ifdef __cplusplus
}
#endif

#endif /* CARDMAP_H */
