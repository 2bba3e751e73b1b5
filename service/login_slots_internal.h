/* service/login_slots_internal.h - card.slots: which slots a card is looked into beside 9A. */
#ifndef CM_SERVICE_LOGIN_SLOTS_INTERNAL_H
#define CM_SERVICE_LOGIN_SLOTS_INTERNAL_H

#include "base/conf.h"
#include "card/card.h"

#define CM_LOGIN_SLOTS_MAX	21	/* 9C, 82 to 95 */

struct cm_login_slots {
	uint8_t octets[CM_LOGIN_SLOTS_MAX];	/* enum cm_slot, in the order they are looked into; each once */
	size_t count;				/* 0: the configuration names 9A alone */
};
void cm_login_slots(const struct cm_conf *conf, struct cm_login_slots *out);

#endif /* CM_SERVICE_LOGIN_SLOTS_INTERNAL_H */
