/* base/fault.h - places where a test build can be told to fail. */
#ifndef CM_BASE_FAULT_H
#define CM_BASE_FAULT_H

#include "base/err.h"

#ifdef CM_FAULT_POINTS
#include <stdlib.h>
#include <string.h>

/* CM_ERR_SYSTEM when the environment's CM_FAULT names this point; only in builds for tests. */
static inline enum cm_err
cm_fault_point(const char *name)
{
	const char *want = getenv("CM_FAULT");

	return want != NULL && strcmp(want, name) == 0 ? CM_ERR_SYSTEM : CM_OK;
}
#else
static inline enum cm_err
cm_fault_point(const char *name)
{
	(void)name;
	return CM_OK;
}
#endif

#endif /* CM_BASE_FAULT_H */
