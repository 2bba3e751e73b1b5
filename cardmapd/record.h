/* cardmapd/record.h - the last decisions, and who is told of each as it is made. */
#ifndef CM_CARDMAPD_RECORD_H
#define CM_CARDMAPD_RECORD_H

#include <jansson.h>

#include "base/log.h"
#include "cardmapd/daemon.h"

#define CM_RECORD_ENTRIES	256

/* Nothing of it is kept on disk: that is the log's. */
struct cm_record;
CM_MUST_USE enum cm_err cm_record_new(struct cm_daemon *d, struct cm_record **out);
void cm_record_free(struct cm_record **r);

/* Log a decision, keep it and tell the subscribers.  Thread-safe, not under the daemon's lock. */
void cm_record_write(struct cm_record *r, const struct cm_log_entry *e);

/* The last entries, oldest first, at most so many; new.  Main thread. */
json_t *cm_record_last(struct cm_record *r, size_t most);
/* Main thread: hand on what was written since. */
void cm_record_look(struct cm_record *r);

#endif /* CM_CARDMAPD_RECORD_H */
