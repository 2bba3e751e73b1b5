/* base/notify.h - what a service says to its manager: sd_notify(3), without libsystemd and all that comes with it. */
#ifndef CM_BASE_NOTIFY_H
#define CM_BASE_NOTIFY_H

#include <stdbool.h>

/*
 * One state of sd_notify(3), as "READY=1", to the socket that NOTIFY_SOCKET
 * names (a path, or "@" and an abstract name); at most a second.  false: there
 * is none, or it did not take it.
 */
bool cm_notify(const char *state);

/* How often to say "WATCHDOG=1", in milliseconds: half of what WATCHDOG_USEC and WATCHDOG_PID give (sd_watchdog_enabled(3)).  0: nobody watches. */
unsigned cm_notify_watchdog(void);

#endif /* CM_BASE_NOTIFY_H */
