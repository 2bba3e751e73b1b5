/* service/card_log.h - what goes between a reader and its card, written down once: macOS's Logging. */
#ifndef CM_SERVICE_CARD_LOG_H
#define CM_SERVICE_CARD_LOG_H

#include "base/conf.h"
#include "base/trace.h"

/*
 * Beside the store, in a folder that root alone writes: log-next, which is there
 * while the next insertion is to be written down, and card.log, what was.
 */

/* Switch it on or off.  CM_ERR_SYSTEM, CM_ERR_REFUSED (NOT_ROOT): the folder is another's */
CM_MUST_USE enum cm_err cm_card_log_switch(const struct cm_conf *conf, bool on, struct cm_trace *t);
/* Is the next insertion to be written down? */
bool cm_card_log_is_on(const struct cm_conf *conf);
/* Append the file's path. */
void cm_card_log_path(const struct cm_conf *conf, struct cm_buf *out);

/*
 * The service starts: card.log_next (Logging of macOS) switches it on, once for each time that the key is set.
 * As cm_card_log_switch()
 */
CM_MUST_USE enum cm_err cm_card_log_begin(const struct cm_conf *conf, struct cm_trace *t);

/*
 * A card went in: where it is on it goes off, and the file is begun anew (0600) with
 * a line about the reader.  -1: it is off, or the file cannot be made (t has why).
 */
int cm_card_log_take(const struct cm_conf *conf, const char *reader, const char *atr, struct cm_trace *t);

#endif /* CM_SERVICE_CARD_LOG_H */
