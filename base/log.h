/* base/log.h - one line for each decision, for administrators. */
#ifndef CM_BASE_LOG_H
#define CM_BASE_LOG_H

#include "base/err.h"
#include "base/trace.h"

enum cm_log_target {
	CM_LOG_NONE,
	CM_LOG_STDERR,
	CM_LOG_SYSLOG,		/* facility authpriv, identity "cardmap" */
};

/*
 * Write "event result reason=NAME: text".  fmt is printable text about public
 * things (account, certificate, server): no PIN, key or password comes here.
 * Bytes from outside are made printable.
 */
void cm_log_event(enum cm_log_target target, const char *event, enum cm_err err,
    enum cm_reason reason, const char *fmt, ...) CM_PRINTF(5, 6);

#endif /* CM_BASE_LOG_H */
