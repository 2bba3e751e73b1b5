/* base/fault.h - places where a test build can be told to fail, or to die. */
#ifndef CM_BASE_FAULT_H
#define CM_BASE_FAULT_H

#include "base/err.h"

#ifdef CM_FAULT_POINTS
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With CM_FAULT_ONCE=FILE only the process that takes FILE away acts: the one that takes its place does not. */
static inline bool
cm_fault_is_due(void)
{
	const char *once = getenv("CM_FAULT_ONCE");

	return once == NULL || unlink(once) == 0;
}

/*
 * CM_ERR_SYSTEM when the environment's CM_FAULT names this point; "kill:" before
 * the name ends this process as kill -9 does, "stop:" halts it there, until
 * somebody sends SIGCONT.  Only in builds for tests.
 */
static inline enum cm_err
cm_fault_point(const char *name)
{
	static const struct {
		const char *word;
		int signal;
	} signals[] = { { "kill:", SIGKILL }, { "stop:", SIGSTOP } };
	const char *want = getenv("CM_FAULT");

	if (want == NULL)
		return CM_OK;
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (strncmp(want, signals[i].word, 5) != 0)
			continue;
		if (strcmp(want + 5, name) == 0 && cm_fault_is_due())
			raise(signals[i].signal);
		return CM_OK;
	}
	return strcmp(want, name) == 0 && cm_fault_is_due() ? CM_ERR_SYSTEM : CM_OK;
}
/* What usually takes ms takes as many as the environment's variable says. */
static inline int
cm_fault_ms(const char *variable, int ms)
{
	const char *want = getenv(variable);

	return want != NULL ? (int)strtol(want, NULL, 10) : ms;
}
#else
static inline enum cm_err
cm_fault_point(const char *name)
{
	(void)name;
	return CM_OK;
}

static inline int
cm_fault_ms(const char *variable, int ms)
{
	(void)variable;
	return ms;
}
#endif

#endif /* CM_BASE_FAULT_H */
