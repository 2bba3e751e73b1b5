/* cardmapd/session.h - a card that is in: everything ready before the PIN, by a thread of its own. */
#ifndef CM_CARDMAPD_SESSION_H
#define CM_CARDMAPD_SESSION_H

#include "cardmapd/daemon.h"
#include "cardmapd/login.h"
#include "cardmapd/spent.h"
#include "service/message.h"
#include "service/selector.h"

#define CM_CARD_SIZE		80	/* of what a card is known by */

enum cm_session_state {
	CM_SESSION_READING,	/* its certificate is read and looked up, or will be */
	CM_SESSION_READY,	/* it opens an account */
	CM_SESSION_REFUSED,	/* it opens none */
	CM_SESSION_BUSY,	/* a login has it */
};

/* An account that a login may name. */
struct cm_choice {
	char *name, *text;	/* text: for people, who may see it */
	uid_t uid;		/* (uid_t)-1: not known */
};
#define CM_CHOICES_MAX	32

struct cm_session {
	struct cm_session *next;
	struct cm_daemon *daemon;
	char *reader;
	uint32_t insertion;
	char *atr;			/* hex */
	pthread_t thread;
	int wake;			/* eventfd(2) */
	int log;			/* where this insertion's APDUs are written down; -1: nowhere */
	struct cm_spent spent;		/* PINs, in this insertion, which stays as it is; the rest is the thread's */
	/* under the daemon's lock: */
	enum cm_session_state state;
	bool removed;			/* the card is out: the thread ends */
	bool swapped;			/* ... and another is in */
	bool ended;			/* the thread has: to be joined and freed */
	bool again;			/* look once more */
	bool resting;			/* somebody was let in: the card is looked at when he has settled, or somebody asks */
	bool changed;			/* since the main thread told of it */
	int64_t settled_us;		/* when it last became ready or refused */
	char card[CM_CARD_SIZE];	/* what it is known by (service/apart.h); "": not read yet */
	char *user, *name, *subject;	/* of the account it opens, and of the certificate; or NULL */
	uid_t uid;
	enum cm_reason reason;		/* why it opens none */
	char *text;
	char unpaired[CM_SELECTOR_KEY_SIZE];	/* it opens no account, asked and no: the hash by which it would be paired; else "" */
	struct cm_choice choices[CM_CHOICES_MAX];	/* accounts of which a login may name one; owned */
	size_t choice_count;
	bool mistaken;			/* what is kept for the card is not what it has: it is read whole; the thread's */
	struct cm_attempt *attempt;
	int lines[2];			/* descriptors of its connections, to end them by; -1: none */
};

/* "INSERTION READER": the card that is in.  CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_session_card(const struct cm_session *s, struct cm_buf *out);
/* Start one, for the card that a watcher saw (CM_MESSAGE_READER).  Main thread.  CM_ERR_SYSTEM, CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_session_new(struct cm_daemon *d, const struct cm_message *seen, const struct cm_spent *spent,
    struct cm_session **out);
/* Under the lock: its card is out, whatever it does ends. */
void cm_session_remove(struct cm_session *s, bool swapped);
/* Under the lock: hand a login to it, which is ready or may be named. */
void cm_session_attach(struct cm_session *s, struct cm_attempt *a);
/* Under the lock: look at the card once more. */
void cm_session_look_again(struct cm_session *s);
/* Under the lock: whatever it is waiting for, there is something new; cut: what it asks is not wanted any more. */
void cm_session_wake(struct cm_session *s, bool cut);
/* Its thread has ended, or will: join and free. */
void cm_session_free(struct cm_session **s);

#endif /* CM_CARDMAPD_SESSION_H */
