/* base/err.c - names of results. */
#include "base/err.h"

const char *
cm_err_name(enum cm_err err)
{
	static const char *const names[] = {
		[CM_OK] = "ok", [CM_ERR_ABSENT] = "absent",
		[CM_ERR_AMBIGUOUS] = "ambiguous", [CM_ERR_REFUSED] = "refused",
		[CM_ERR_OFFLINE] = "could not ask", [CM_ERR_AGAIN] = "changed meanwhile",
		[CM_ERR_SYNTAX] = "malformed", [CM_ERR_CONFIG] = "configuration",
		[CM_ERR_USAGE] = "usage", [CM_ERR_NOMEM] = "out of memory",
		[CM_ERR_SYSTEM] = "system error", [CM_ERR_STATE] = "out of order",
	};

	return (unsigned)err < CM_COUNT(names) ? names[err] : "unknown";
}
