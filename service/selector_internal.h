/* service/selector_internal.h - what a selector may answer. */
#ifndef CM_SERVICE_SELECTOR_INTERNAL_H
#define CM_SERVICE_SELECTOR_INTERNAL_H

#include "service/selector.h"

/*
 * The answer to "map":
 *
 *	answer = *( line LF ) [ line ]
 *	line   = hash HTAB user
 *	hash   = 40HEXDIG		; of a key that was asked about
 *	user   = 1*255OCTET		; UTF-8, no control character, no "/", not starting with "-",
 *					; not "." or ".."
 *
 * One key has one user; the same line may stand twice.
 *
 * CM_OK          users[] has count names for free(3), NULL for a key without one
 * CM_ERR_SYSTEM  SELECTOR: names program, line and mistake; users[] holds nothing
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_selector_parse(const char *program, struct cm_blob answer,
    const struct cm_selector_key *keys, size_t count, struct cm_trace *t, char **users);

#endif /* CM_SERVICE_SELECTOR_INTERNAL_H */
