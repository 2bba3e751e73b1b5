/* cardmapd/session_internal.h - what a session's thread has to itself; session.c prepares, session_login.c lets in, session_grant.c says so. */
#ifndef CM_CARDMAPD_SESSION_INTERNAL_H
#define CM_CARDMAPD_SESSION_INTERNAL_H

#include "cardmapd/session.h"
#include "service/apart.h"
#include "service/login.h"

struct cm_work {
	struct cm_session *session;
	struct cm_accounts *store;
	struct cm_trace *trace;
	struct cm_apart *apart;
	struct cm_login login;
	bool ready;			/* the login is prepared, or may be named */
	bool granted;			/* somebody was let in */
	bool unlocking;			/* a PIN may have been sent: its helper resets the card when it ends */
	bool untouched;			/* the login that was handed over ended before anything was asked for it */
	int64_t began_us;
	unsigned pause;			/* ms */
};

enum cm_work_event { CM_WORK_WOKEN, CM_WORK_DIED, CM_WORK_TIMEOUT };
/* Until the main thread has something, a process of this work dies, or the deadline (INT64_MAX: none). */
enum cm_work_event cm_work_wait(struct cm_work *w, cm_deadline deadline);

/* The card's helper and the resolver, for a login from its beginning; and let go of them. */
CM_MUST_USE enum cm_err cm_work_begin(struct cm_work *w);
void cm_work_end(struct cm_work *w);

/* session_pair.c: the pairing that was handed over, to its end; and whether the card is one to be paired.  The second under the lock */
void cm_work_pair(struct cm_work *w);
void cm_work_note_unpaired(struct cm_work *w, enum cm_err err, enum cm_reason reason);

/* session_login.c: what both do with who was handed over, and with PINs. */
void cm_work_refuse(struct cm_work *w, enum cm_reason reason, const char *text);
void cm_work_detach(struct cm_session *s, struct cm_attempt *a);
/* True: there is an answer.  Else it has ended, or begins anew. */
bool cm_work_await_answer(struct cm_work *w, struct cm_answer *out);
/* The card went while its helper was at work, and the connection to that was cut: true, and it was said so. */
bool cm_work_judge_removed(struct cm_work *w);

/* session_pins.c: before a PIN may be sent; it counts as a wrong one to a service that is started anew, until one of those below. */
void cm_work_spend_pin(struct cm_work *w, unsigned tries_before);
/* What became of it: nobody told what the card said, or it ended so.  A PIN that is wrong, or right, is counted by what follows. */
void cm_work_account_pin(struct cm_work *w, unsigned tries_before, bool unanswered, enum cm_err err);
void cm_work_forgive_pins(struct cm_session *s);
/* True: ask for it once more, on the same connection to the card.  Else it has ended. */
bool cm_work_judge_wrong_pin(struct cm_work *w);
/* True: ask for it once more, and whether it may be the last try; nothing was sent. */
bool cm_work_is_last_unsaid(const struct cm_work *w);
/* The card was asked how many tries it has: that tells what became of a PIN that nobody told of. */
void cm_work_settle_doubt(struct cm_session *s, unsigned tries);

/* The login that was handed over, to its end, or until it must begin anew with the same card or another. */
void cm_work_serve(struct cm_work *w);
/* Whoever logs in has given up. */
bool cm_work_is_cancelled(const struct cm_work *w);
/* For struct cm_apart_options; arg is the struct cm_session.  Its attempt has the note until it is told, or let go of. */
void cm_session_naming(void *arg, const struct cm_account *account);
/* What the login came to is told; the attempt is still to be let go of.  Who has gone meanwhile is left no ccache. */
void cm_work_grant(struct cm_work *w, struct cm_attempt *a);
/* For struct cm_login: arg is the work. */
void cm_work_told(void *arg, const struct cm_log_entry *e);
/* The card is out: the login that was handed over waits for it, or for another. */
void cm_work_begin_anew(struct cm_session *s, struct cm_attempt *a);

#endif /* CM_CARDMAPD_SESSION_INTERNAL_H */
