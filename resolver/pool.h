/* resolver/pool.h - handles of the directory whose connections stay open, lent to one question at a time. */
#ifndef CM_RESOLVER_POOL_H
#define CM_RESOLVER_POOL_H

#include "base/conf.h"
#include "ldap/directory.h"

/*
 * The handle given back last is lent first, so that there are no more
 * connections than questions at once.  A thread of the pool probes servers that
 * gave no answer (cm_silence).  Safe to use from several threads.
 */
struct cm_pool;

#define CM_POOL_MAX	16	/* handles */

struct cm_lent {
	struct cm_directory *directory;
	size_t at;		/* the pool's */
};

/* conf is borrowed.  Results are those of cm_directory_open(); CM_ERR_SYSTEM: no thread */
CM_MUST_USE enum cm_err cm_pool_new(const struct cm_conf *conf, struct cm_trace *t, struct cm_pool **out);
/* All have been given back. */
void cm_pool_free(struct cm_pool **p);

/*
 * Lend one, made if all others are out; if all there may be are, wait.  A file
 * that changed since its handle was opened is read again.
 * CM_ERR_OFFLINE  DIRECTORY_OFFLINE: none came back within the deadline
 * others          as cm_directory_open()
 */
CM_MUST_USE enum cm_err cm_pool_take(struct cm_pool *p, cm_deadline deadline, struct cm_trace *t, struct cm_lent *out);
void cm_pool_give(struct cm_pool *p, struct cm_lent *lent);

/* All that was counted so far, and how many handles there are. */
struct cm_directory_stats cm_pool_stats(struct cm_pool *p, size_t *handles);
/* Servers that are known to be silent now. */
void cm_pool_each_silent(struct cm_pool *p, cm_silent_visit visit, void *arg);

#endif /* CM_RESOLVER_POOL_H */
