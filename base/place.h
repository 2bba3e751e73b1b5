/* base/place.h - somebody else's program or library, at a place that only root can have put it. */
#ifndef CM_BASE_PLACE_H
#define CM_BASE_PLACE_H

#include "base/err.h"
#include "base/trace.h"

enum cm_place { CM_PLACE_PROGRAM, CM_PLACE_LIBRARY };

/*
 * Open the file at this absolute path, part by part from the root.  It and every
 * folder above it must belong to root and be writable by root alone, and no part
 * is a link: whoever is not root can put nothing else there, then or later.  A
 * program must be executable besides.
 *
 * CM_OK           *fd is the caller's to close
 * CM_ERR_ABSENT   there is none (no reason set: the caller knows what that means)
 * CM_ERR_REFUSED  CHILD: others could have written it, or the path is none of these: the text says which
 * CM_ERR_SYSTEM   SYSTEM; CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_place_open(const char *path, enum cm_place what, struct cm_trace *t, int *fd);

#endif /* CM_BASE_PLACE_H */
