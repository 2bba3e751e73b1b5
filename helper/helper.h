/* helper/helper.h - the process that talks to readers and cards, in parts: one of it watches, one of it has one card. */
#ifndef CM_HELPER_HELPER_H
#define CM_HELPER_HELPER_H

#include <stdatomic.h>

#include "card/card.h"
#include "service/channel.h"

/*
 * guard.c: a thread that ends this process when its channel closes.  A call to
 * pcscd has no deadline, and a reader may hang: whoever asked is gone then,
 * and so is the right to go on.  Who is not busy has a moment to let go of the
 * card in order; pcscd resets it for who has not.
 */
struct cm_guard {
	int fd;
	_Atomic bool busy;
};
/* g and fd stay as long as the process.  CM_ERR_SYSTEM */
CM_MUST_USE enum cm_err cm_guard_start(struct cm_guard *g, int fd);

/* sandbox.c: no program is started from here on, nothing new is won, and no other process looked into.  CM_ERR_SYSTEM */
CM_MUST_USE enum cm_err cm_helper_confine(void);

/*
 * Both serve until the channel closes.
 * CM_ERR_OFFLINE  it has closed
 * CM_ERR_STATE    what came is not permitted now: who sends that is not cardmapd as it should be
 * CM_ERR_SYNTAX, CM_ERR_SYSTEM, CM_ERR_NOMEM
 */
struct cm_helper {
	struct cm_channel *channel;
	struct cm_guard *guard;
	const char *config;		/* cardmap.conf; NULL: the system's */
	int log;			/* where APDUs are written down; -1: nowhere */
};
/* watch.c: after WATCH */
CM_MUST_USE enum cm_err cm_helper_watch(const struct cm_helper *h);
/* session.c: after OPEN, which is first; cleared by the caller */
CM_MUST_USE enum cm_err cm_helper_session(const struct cm_helper *h, const struct cm_message *first);

/* ticket.c: PKINIT with the card, as cardmap.conf has it, but without this host's keytab. */
struct cm_kerberos;
/*
 * Read the configuration and make ready, so that nothing of it is left for when
 * the PIN is there.  Sends nothing.  NULL: it cannot be; asked again, it says why.
 */
struct cm_kerberos *cm_kerberos_open(const char *config, struct cm_trace *t, enum cm_err *err);
void cm_kerberos_close(struct cm_kerberos **k);
/*
 * A GET_TICKET for this principal will come, or will not: begin what needs no PIN (krb5/ahead.h), and return at once.
 * What was begun for it is kept as long as it is fresh.
 */
void cm_kerberos_expect(struct cm_kerberos *k, const struct cm_cert *cert, const struct cm_message *q);
/* Nothing that was begun counts any more. */
void cm_kerberos_expect_none(struct cm_kerberos *k);
/* A TICKET's principal, ap_req (where q has a host_principal), ticket and kdc_silent. */
struct cm_card_key {
	struct cm_card *card;
	enum cm_slot slot;
	const struct cm_cert *cert;
};
CM_MUST_USE enum cm_err cm_kerberos_get(struct cm_kerberos *k, const struct cm_card_key *key, const struct cm_message *q,
    struct cm_trace *t, struct cm_message *a);

/*
 * secret.c: what UNSEAL asks of a card that is unlocked: the secret goes to fd, which is the caller's, and what is to be
 * kept into a.  As cm_secret_by_card()
 */
CM_MUST_USE enum cm_err cm_helper_unseal(struct cm_card *card, const struct cm_message *q, int fd, struct cm_trace *t,
    struct cm_message *a);

#endif /* CM_HELPER_HELPER_H */
