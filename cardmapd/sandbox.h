/* cardmapd/sandbox.h - what cardmapd can never do: reach a network, trace a process, change the kernel or its mounts. */
#ifndef CM_CARDMAPD_SANDBOX_H
#define CM_CARDMAPD_SANDBOX_H

#include "base/err.h"
#include "base/trace.h"

/* For this process, its threads to come and what it starts.  CM_ERR_SYSTEM */
CM_MUST_USE enum cm_err cm_sandbox_enter(struct cm_trace *t);
/* Try what must not go, by trying.  CM_ERR_STATE (SYSTEM): something went; the text says what. */
CM_MUST_USE enum cm_err cm_sandbox_check(struct cm_trace *t);

#endif /* CM_CARDMAPD_SANDBOX_H */
