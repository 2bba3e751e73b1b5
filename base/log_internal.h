/* base/log_internal.h - the line on its way to the system's log. */
#ifndef CM_BASE_LOG_INTERNAL_H
#define CM_BASE_LOG_INTERNAL_H

#include <stdbool.h>

#include "base/clock.h"

/*
 * Send line to the log daemon's socket at path (RFC 3164 section 4.1, as
 * syslog(3) writes it) with this facility and severity.  false: nobody took it
 * until the deadline.
 */
bool cm_log_send(const char *path, int priority, const char *line, cm_deadline deadline);

#endif /* CM_BASE_LOG_INTERNAL_H */
