/* cardmapd/removal.h - the card is taken out: the session that it opened or unlocked is locked, or ended. */
#ifndef CM_CARDMAPD_REMOVAL_H
#define CM_CARDMAPD_REMOVAL_H

#include "cardmapd/session.h"

/*
 * Who came in by which card is kept in RUN/private/entered, so that a service
 * that is started anew still knows.  It is written where enforcement.removal says so.
 */
struct cm_removal;
CM_MUST_USE enum cm_err cm_removal_new(struct cm_daemon *d, struct cm_removal **out);
/* What was kept is read.  What is damaged is written to the log, and nothing is known then. */
void cm_removal_begin(struct cm_removal *r);
/* Waits until logind has answered, or its deadline has passed. */
void cm_removal_free(struct cm_removal **r);

/* A session's thread: the card opened this account for the attempt's process, which still waits to be told. */
void cm_removal_admitted(struct cm_removal *r, const struct cm_session *s, const struct cm_attempt *a,
    const struct cm_account *account);

/*
 * Any thread: whom the attempt is about has entered or unlocked by other means, so that the session is no card's any more.
 * Where it would end with the card (logout) root's programs alone are believed that; a user's own locker, where it is locked.
 */
void cm_removal_without_card(struct cm_removal *r, const struct cm_attempt *a);

/* ---- main thread */
/* The card of this session was taken out. */
void cm_removal_taken(struct cm_removal *r, const struct cm_session *s);
/* pcscd went, and with it every reader: nobody took a card out.  And it is back. */
void cm_removal_lost(struct cm_removal *r);
void cm_removal_back(struct cm_removal *r);
/* Do what is due. */
void cm_removal_look(struct cm_removal *r);
cm_deadline cm_removal_next(const struct cm_removal *r);
/* Who came in by a card: user, session where it is known, reader, and away: its time runs.  New */
json_t *cm_removal_list(const struct cm_removal *r);

#endif /* CM_CARDMAPD_REMOVAL_H */
