/* resolver/kept.h - answers of Whois, for a few seconds; never for a login. */
#ifndef CM_RESOLVER_KEPT_H
#define CM_RESOLVER_KEPT_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/clock.h"

/* Bounded: the one used least lately makes room.  Safe to use from several threads. */
struct cm_kept_answers;

#define CM_KEPT_MAX	1024
#define CM_KEPT_LONGEST	((size_t)16 << 10)	/* octets of an answer; a longer one is not kept */
#define CM_KEPT_KEY	32	/* SHA-256 of what was asked */

struct cm_kept_answer {
	struct cm_buf text;	/* the whole reply; owned */
	uid_t uid;		/* whose account it is; (uid_t)-1: there is none */
};

/* CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_kept_new(struct cm_kept_answers **out);
void cm_kept_free(struct cm_kept_answers **k);
/* What was asked, about whom (NULL: it was not said); false: no memory. */
bool cm_kept_key(const struct cm_kept_answers *k, struct cm_blob certificate, const char *user, uint8_t out[CM_KEPT_KEY]);
/* Not older than it may be: then it is appended to out->text. */
bool cm_kept_find(struct cm_kept_answers *k, const uint8_t key[CM_KEPT_KEY], struct cm_kept_answer *out);
/* A copy, until then. */
void cm_kept_put(struct cm_kept_answers *k, const uint8_t key[CM_KEPT_KEY], const struct cm_kept_answer *a, unsigned ms);

#endif /* CM_RESOLVER_KEPT_H */
