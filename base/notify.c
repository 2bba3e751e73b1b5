/* base/notify.c - what a service says to its manager, sd_notify(3). */
#include "base/notify.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log_internal.h"

#define NOTIFY_MS	1000

bool
cm_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");

	return path != NULL && (path[0] == '/' || path[0] == '@') &&
	    cm_log_datagram(path, cm_blob_str(state), cm_deadline_in(NOTIFY_MS));
}

/* A decimal number and nothing else; 0: none. */
static unsigned long
number_of(const char *variable)
{
	const char *text = getenv(variable);
	char *end = NULL;
	unsigned long n;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	n = strtoul(text, &end, 10);
	return errno == 0 && *end == '\0' ? n : 0;
}

unsigned
cm_notify_watchdog(void)
{
	const unsigned long ms = number_of("WATCHDOG_USEC") / 2000;

	if (getenv("WATCHDOG_PID") != NULL && number_of("WATCHDOG_PID") != (unsigned long)getpid())
		return 0;
	return ms > INT_MAX ? INT_MAX : (unsigned)ms;
}
