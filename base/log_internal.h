/* base/log_internal.h - the line on its way to the system's log. */
#ifndef CM_BASE_LOG_INTERNAL_H
#define CM_BASE_LOG_INTERNAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"

/* systemd-journald.service(8) */
#define CM_LOG_JOURNAL	"/run/systemd/journal/socket"

/* One datagram to the socket at path.  false: nobody took it until the deadline. */
bool cm_log_datagram(const char *path, struct cm_blob message, cm_deadline deadline);

/*
 * Send line to the log daemon's socket at path (RFC 3164 section 4.1, as
 * syslog(3) writes it) with this facility and severity.  false: nobody took it
 * until the deadline.
 */
bool cm_log_send(const char *path, int priority, const char *line, cm_deadline deadline);

/*
 * Append a field of the journal's own protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): with its length in front, so
 * that nothing in the value ends it.
 */
void cm_log_add_field(struct cm_buf *message, const char *name, struct cm_blob value);

/* Is descriptor fd what the service manager tied to the journal (systemd.exec(5), JOURNAL_STREAM)? */
bool cm_log_is_journal(int fd, const char *journal_stream);

#endif /* CM_BASE_LOG_INTERNAL_H */
