/* cardmapd/cards.h - the readers, as the watcher tells of them, and a session for each card. */
#ifndef CM_CARDMAPD_CARDS_H
#define CM_CARDMAPD_CARDS_H

#include "cardmapd/session.h"

struct cm_cards;
CM_MUST_USE enum cm_err cm_cards_new(struct cm_daemon *d, struct cm_cards **out);
/* Every session ends. */
void cm_cards_free(struct cm_cards **c);

/* For poll(2), -1: none; and until when at most. */
int cm_cards_fd(const struct cm_cards *c);
cm_deadline cm_cards_next(const struct cm_cards *c);
/* Take what the watcher said, start it anew where it is gone, let go of sessions that have ended, and tell who listens. */
void cm_cards_look(struct cm_cards *c);

struct cm_session *cm_cards_first(const struct cm_cards *c);
bool cm_cards_has_reader(const struct cm_cards *c);
/* Each card and empty reader as the interface's Card, to this caller; new. */
json_t *cm_cards_list(struct cm_cards *c, const struct cm_client *who);

#endif /* CM_CARDMAPD_CARDS_H */
