/* service/mark.h - a switch that root sets by a command, and the service sees at once: a file beside the store, there or not. */
#ifndef CM_SERVICE_MARK_H
#define CM_SERVICE_MARK_H

#include "base/conf.h"
#include "base/trace.h"

/* In a folder that root alone writes, so it has no content. */
#define CM_MARK_CARD_LOG	"log-next"	/* the next insertion is to be written down: service/card_log.h */
#define CM_MARK_CARD_LOGGED	"log-done"	/* what card.log_next asks for has been had */
#define CM_MARK_PAIRING_UI	"pairing-ui"	/* users may pair cards with their own accounts: service/pair_apart.h */

/* Append the path of a file beside the store. */
void cm_mark_path(const struct cm_conf *conf, const char *name, struct cm_buf *out);
/* CM_ERR_SYSTEM, CM_ERR_REFUSED (NOT_ROOT): the folder is another's */
CM_MUST_USE enum cm_err cm_mark_switch(const struct cm_conf *conf, const char *name, bool on, struct cm_trace *t);
bool cm_mark_is_on(const struct cm_conf *conf, const char *name);
/* Was it on?  It is off then: of two that take it one has it. */
bool cm_mark_take(const struct cm_conf *conf, const char *name);

#endif /* CM_SERVICE_MARK_H */
