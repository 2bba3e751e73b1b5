/* resolver/kept.h - answers of Whois, for a few seconds; never for a login. */
#ifndef CM_RESOLVER_KEPT_H
#define CM_RESOLVER_KEPT_H

#include <jansson.h>
#include <sys/types.h>

#include "base/blob.h"
#include "base/clock.h"

/* Bounded: the one used least lately makes room.  Safe to use from several threads. */
struct cm_kept_answers;

#define CM_KEPT_MAX	4096
#define CM_KEPT_KEY	32	/* SHA-256 of what was asked */

struct cm_kept_answer {
	json_t *parameters;	/* of the reply; immutable once it is kept */
	uid_t uid;		/* whose account it is; (uid_t)-1: there is none */
};

/* CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_kept_new(struct cm_kept_answers **out);
void cm_kept_free(struct cm_kept_answers **k);
/* Not older than it may be: then out->parameters is the caller's, for json_decref(). */
bool cm_kept_find(struct cm_kept_answers *k, const uint8_t key[CM_KEPT_KEY], struct cm_kept_answer *out);
/* Until then; parameters stay the caller's too. */
void cm_kept_put(struct cm_kept_answers *k, const uint8_t key[CM_KEPT_KEY], const struct cm_kept_answer *a, unsigned ms);

#endif /* CM_RESOLVER_KEPT_H */
