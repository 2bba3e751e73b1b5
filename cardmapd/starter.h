/* cardmapd/starter.h - the process that starts the others: cardmapd itself may not do what they need to. */
#ifndef CM_CARDMAPD_STARTER_H
#define CM_CARDMAPD_STARTER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/trace.h"

/*
 * A seccomp filter is inherited, and cardmapd's forbids the network that its
 * resolver is there for.  So a small process is forked before the filter is
 * installed and before there are threads: it waits for "start one of this
 * kind, with these descriptors", does that as the kind's user, and tells of
 * each that ends.  When cardmapd is gone it kills what is left and ends too.
 */
enum cm_kind { CM_KIND_WATCHER, CM_KIND_CARD, CM_KIND_RESOLVER, CM_KIND_COUNT };
const char *cm_kind_name(enum cm_kind k);	/* "watcher" */

#define CM_STARTER_DESCRIPTORS	3	/* given to a process as 3, 4 and 5 */

struct cm_starter_options {
	const char *libexec;		/* folder of the programs; of a build tree, the folder above theirs */
	const char *config;		/* cardmap.conf; NULL: the default */
	const char *run_dir;
	const char *cache;		/* folder of the resolver's own, its $CACHE_DIRECTORY; NULL: none */
	bool drop;			/* become these: */
	struct { uid_t uid; gid_t gid; } ids[CM_KIND_COUNT];
};

struct cm_starter;

/* CM_ERR_CONFIG  CONFIG: a program is missing, or others may write it; CM_ERR_SYSTEM, CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_starter_begin(const struct cm_starter_options *o, struct cm_trace *t, struct cm_starter **out);
/* The process ends, with all that it started. */
void cm_starter_end(struct cm_starter **s);

/* Thread-safe.  Descriptors stay the caller's.  CM_ERR_SYSTEM: it could not be started; errno says why. */
CM_MUST_USE enum cm_err cm_starter_run(struct cm_starter *s, enum cm_kind kind, const int *fds, size_t count, pid_t *pid);

/* End one that was started and says nothing; its end is told as any other.  Nothing happens where it has ended.  Thread-safe. */
void cm_starter_kill(struct cm_starter *s, pid_t pid);

/* For poll(2): readable when one has ended. */
int cm_starter_fd(const struct cm_starter *s);
/* The next that ended, and how (waitpid(2)).  False: none so far.  *pid is 0 when the starter itself is gone. */
bool cm_starter_ended(struct cm_starter *s, pid_t *pid, int *status);

#endif /* CM_CARDMAPD_STARTER_H */
