/* service/apart_internal.h - asking a card helper and a resolver: the worker of cm_login_apart. */
#ifndef CM_SERVICE_APART_INTERNAL_H
#define CM_SERVICE_APART_INTERNAL_H

#include "krb5/ccache_put.h"
#include "service/apart.h"
#include "service/channel.h"
#include "service/possession.h"

#define CM_APART_TRIES_MOST	255

#define CM_APART_CERTIFICATES_MAX	48

/* One of the card's, as the card helper says or as it is kept. */
struct cm_apart_certificate {
	unsigned slot;			/* enum cm_slot */
	struct cm_blob der;		/* owned; none: the first slot is empty */
	bool cached;
};

/* Messages are owned; one that did not come yet has kind CM_MESSAGE_NONE. */
struct cm_apart {
	struct cm_apart_options o;
	struct cm_channel *channels[2];		/* by enum cm_process */
	struct cm_message opened;		/* the last OPENED, CHAINED, JUDGED and TICKET that were CM_OK */
	struct cm_message chained, judged, ticket;
	struct cm_key first_key;		/* of the first certificate, where its chain is good; else CM_KEY_NONE */
	struct cm_vouched vouched;
	bool has_vouched;
	bool has_no_kerberos;			/* the helper says so */
	uint8_t nonce[32];
	time_t nonce_time;			/* 0: none was made yet */
	struct cm_blob signature;		/* owned */
	struct cm_ccache_putting *putting;	/* begun while the ticket is asked for; NULL: not */
	unsigned commands;			/* of the card so far */
	int secret;				/* the reading end of a pipe that has it, owned; -1: none */
	struct cm_apart_certificate certificates[CM_APART_CERTIFICATES_MAX];
	size_t certificate_count;
	bool others_read;			/* all that the card has is among them */
};

struct cm_apart_question {
	enum cm_process which;
	const struct cm_message *m;
	const int *fds;
	size_t fd_count;
	enum cm_message_kind answer;
	void (*meanwhile)(struct cm_login *l);	/* once it is asked, before it is waited for; NULL: nothing */
};

/* service/apart_others.c: struct cm_login_work */
CM_MUST_USE enum cm_err cm_apart_others(struct cm_login *l, bool kept);
CM_MUST_USE enum cm_err cm_apart_use(struct cm_login *l, size_t n);
/* The first, as it was opened; and that of the one that is in use. */
CM_MUST_USE enum cm_err cm_apart_note_first(struct cm_login *l, unsigned slot);
CM_MUST_USE enum cm_err cm_apart_note_read(struct cm_login *l);
/* Is this OPENED what a helper may say?  handed: the certificate that it was given */
CM_MUST_USE enum cm_err cm_apart_judge_opened(struct cm_login *l, const struct cm_message *o, struct cm_blob handed);

/* service/apart.c */
CM_MUST_USE enum cm_err cm_apart_connect_to(struct cm_apart *a, enum cm_process which, struct cm_trace *t);
/* It has neither ended nor spoken unasked. */
bool cm_apart_is_quiet(const struct cm_apart *a, enum cm_process which);
/* *answer is the caller's to clear, whatever becomes of it.  How the answer says that it ended, or HELPER. */
CM_MUST_USE enum cm_err cm_apart_ask(struct cm_login *l, const struct cm_apart_question *q, struct cm_message *answer);
/* The card helper begins what a ticket needs besides the PIN, unless the KDC is known to be silent. */
void cm_apart_expect_ticket(struct cm_login *l);
/* Nothing is asked of that process any more: HELPER. */
enum cm_err cm_apart_refuse_answer(struct cm_apart *a, enum cm_process which, const char *what, struct cm_trace *t);
enum cm_err cm_apart_broken(struct cm_apart *a, enum cm_process which, enum cm_message_kind asked, enum cm_err err,
    struct cm_trace *t);
/* How a process said that it ended; t has its items and its reason. */
CM_MUST_USE enum cm_err cm_apart_heard(struct cm_apart *a, enum cm_process which, const struct cm_message *answer,
    struct cm_trace *t);
CM_MUST_USE enum cm_err cm_apart_judge_tries(struct cm_apart *a, const struct cm_message *m, struct cm_trace *t);
/* Of an answer to a PIN, that ended with err and t's reason: may the card have seen it, and its word did not come back? */
bool cm_apart_is_unheard(const struct cm_message *m, enum cm_err err, const struct cm_trace *t);
/* Milliseconds, as a message has them; and until when the answer is waited for. */
uint64_t cm_apart_time_left(cm_deadline deadline);
/* ... of a question to servers, after whose silence what is kept is found and judged within the same stage. */
uint64_t cm_apart_time_to_ask(cm_deadline deadline);
cm_deadline cm_apart_with_grace(cm_deadline deadline);
void cm_apart_forget_proof(struct cm_apart *a);
void cm_apart_forget(struct cm_apart *a);	/* and the card helper goes */

/* service/ccache_apart.c: the program begins; it gets the ticket, for the grant's account alone; struct cm_login_work's store_ticket. */
void cm_apart_begin_ccache(struct cm_login *l);
void cm_apart_write_ahead(struct cm_login *l);
CM_MUST_USE enum cm_err cm_apart_store_ticket(struct cm_login *l);

/* service/secret_apart.c: the work's open_secret. */
CM_MUST_USE enum cm_err cm_apart_open_secret(struct cm_login *l);

#endif /* CM_SERVICE_APART_INTERNAL_H */
