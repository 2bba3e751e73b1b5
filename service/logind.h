/* service/logind.h - a session locked or ended, by logind. */
#ifndef CM_SERVICE_LOGIND_H
#define CM_SERVICE_LOGIND_H

#include "base/clock.h"
#include "base/conf.h"
#include "base/trace.h"

#define CM_LOGIND_BUS	"/run/dbus/system_bus_socket"

/*
 * Have logind lock (CM_REMOVAL_LOCK: org.freedesktop.login1.Manager.LockSession, a signal
 * that the session's screen locker obeys) or end (CM_REMOVAL_LOGOUT: TerminateSession) a
 * session.  bus: the path of the message bus's socket.  Waits until logind has answered.
 *
 * CM_OK
 * CM_ERR_ABSENT   it has no such session any more; no reason is set
 * CM_ERR_REFUSED  NOT_ROOT: it does not let this process do that
 * CM_ERR_OFFLINE, CM_ERR_SYSTEM  SYSTEM: no bus, no logind, no answer by the deadline
 */
CM_MUST_USE enum cm_err cm_logind_act(const char *bus, const char *session, enum cm_conf_removal action,
    cm_deadline deadline, struct cm_trace *t);

#endif /* CM_SERVICE_LOGIND_H */
