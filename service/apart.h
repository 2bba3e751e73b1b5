/* service/apart.h - a login whose stages are done by a card helper and a resolver: asked by messages, believed by nobody. */
#ifndef CM_SERVICE_APART_H
#define CM_SERVICE_APART_H

#include "base/conf.h"
#include "cache/accounts.h"
#include "krb5/hostcheck.h"
#include "service/login.h"
#include "service/names.h"

enum cm_process { CM_PROCESS_CARD, CM_PROCESS_RESOLVER };

/* All borrowed for its life. */
struct cm_apart_options {
	const struct cm_conf *conf;
	struct cm_accounts *store;		/* of this thread */
	struct cm_hostcheck *hostcheck;		/* NULL: this host has no keytab */
	/* A connected SOCK_SEQPACKET socket of AF_UNIX, given; -1: it cannot be had. */
	int (*connect)(void *arg, enum cm_process which);
	void *arg;
	const char *ccache_program;		/* cardmap-ccache by its whole path; NULL: beside this program */
	/* Before this account's ccache gets its name, in the thread that asks; NULL: nobody wants to know. */
	void (*naming)(void *arg, const struct cm_account *account);
	const struct cm_names_how *names;	/* service/mobile.h */
	const char *reader;			/* by its whole name */
	uint32_t insertion;
	const char *etc;			/* where passwd and group are; NULL: /etc */
	const int *card_log;			/* a file for APDUs; NULL: none */
	bool unknown;				/* the card is read as if it had never been here */
};

/* One card in one reader.  One thread at a time. */
struct cm_apart;
CM_MUST_USE enum cm_err cm_apart_new(const struct cm_apart_options *o, struct cm_apart **out);
void cm_apart_free(struct cm_apart **a);

/*
 * The work of a login whose worker is a struct cm_apart, and whose conf is its.
 * The worker stays the caller's: cm_login_clear() lets go of the card helper
 * (which resets the card) and of what was told, and the next login begins with
 * a new one; the resolver's connection stays.
 *
 * A helper or resolver that dies, is late, or answers what it may not is CM_ERR_SYSTEM (HELPER).
 */
extern const struct cm_login_work cm_login_apart;

/*
 * For poll(2) while nobody asks: each is readable, or hangs up, when that process
 * has ended (or speaks unasked, which ends it too).  -1: there is none.
 */
void cm_apart_fds(const struct cm_apart *a, int fds[2]);	/* by enum cm_process */
/*
 * While nobody asks, the resolver ended, and the card helper did not: what it has told stands, and whoever has
 * something to ask makes another connection.  False: it was not that.
 */
bool cm_apart_let_resolver_go(struct cm_apart *a);

/*
 * Append what the card that was read is known by: its GUID, or where it has none its key.  What the card
 * helper says, and no proof of anything.  false: none was read, or memory is short.
 */
bool cm_apart_card(const struct cm_apart *a, struct cm_buf *out);

/* Nobody types a PIN any more: what began for that ends, with nothing done. */
void cm_apart_expect_none(struct cm_apart *a);

/*
 * The card that is in has not the key of the certificate that was kept for it: its like is read from now on, at the next
 * insertion too.  Where that cannot be kept the next insertion finds out anew.
 */
void cm_apart_mistook(struct cm_apart *a);

/*
 * Nothing more is asked of the card helper: until it has let go of the card, which
 * it resets where a PIN was sent; whoever opened it before would find it reset.
 */
void cm_apart_let_go(struct cm_apart *a, cm_deadline deadline);

/*
 * The reading end of a pipe that has the account's secret, given, after a login that wanted it; -1: there is none.
 * Nothing in this process reads from it.
 */
int cm_apart_take_secret(struct cm_apart *a);

/*
 * Another PIN for the old one, both through pipes (their reading ends, borrowed);
 * after cm_login_prepare().  *tries as after a VERIFY.
 * Results and reasons are those of the card's: PIN_WRONG, PIN_BLOCKED, PIN_FORM, PIN_LAST_TRY, ...; or HELPER
 */
struct cm_apart_pins {
	int now, next;
	bool last_try;
	bool *sent;	/* set: the old one was handed on, and nobody told what the card said to it */
};
CM_MUST_USE enum cm_err cm_apart_change_pin(struct cm_apart *a, const struct cm_apart_pins *pins, cm_deadline deadline,
    struct cm_trace *t, unsigned *tries);

#endif /* CM_SERVICE_APART_H */
