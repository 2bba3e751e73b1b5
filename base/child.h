/* base/child.h - run a program once: own uid, nothing inherited, bounded. */
#ifndef CM_BASE_CHILD_H
#define CM_BASE_CHILD_H

#include <sys/types.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/trace.h"

/*
 * What is run, and as whom.  Somebody else's program and every folder above it must belong
 * to root and be writable by root alone; it is opened first, checked by its
 * descriptor, and run by that descriptor (fexecve), so that what was checked is
 * what runs.  No part of the path is a link.
 * The child has an environment of PATH=/usr/bin:/bin and nothing else, no
 * descriptor but 0 (its input, or /dev/null), 1 (ours) and 2 (/dev/null), its own session,
 * no_new_privs, the limits below, and dies with us.  A script ("#!") has itself
 * open too, to be read, as descriptor 3: its interpreter opens it by that.
 * When the program has ended, its process group is killed with all that it left
 * in the background, and only what was written until then counts.
 */
struct cm_child {
	const char *path;		/* absolute */
	const char *const *arguments;	/* NULL-terminated, without argv[0] */
	uid_t uid;			/* become this user and group; (uid_t)-1: stay */
	gid_t gid;
	const gid_t *groups;		/* supplementary ones; NULL: none */
	size_t group_count;
	bool ours;			/* a program of this installation: who could write it could write us, so its place is not judged */
	struct cm_blob input;		/* its standard input, in memory; empty: /dev/null */
	const int *given_input;		/* a descriptor that is its standard input instead, borrowed; NULL: none */
	bool fed;			/* its standard input comes by cm_child_feed() and cm_child_finish(), instead */
	size_t output_max;		/* bytes of standard output; more is an error */
	size_t memory_max;		/* bytes of address space, program and libraries counted; 0: 256 MiB; SIZE_MAX: any */
};

/*
 * CM_OK           *status is its exit status; out has what it wrote
 * CM_ERR_ABSENT   no such program (no reason set: the caller knows what that means)
 * CM_ERR_REFUSED  CHILD: others could have written it, or it was ended by a signal,
 *                 wrote too much or took too long: the text says which
 * CM_ERR_SYSTEM   SYSTEM: it cannot be started (as that user, or at all)
 * CM_ERR_NOMEM    CM_ERR_STATE: more than 64 arguments
 */
CM_MUST_USE enum cm_err cm_child_run(const struct cm_child *c, cm_deadline deadline,
    struct cm_trace *t, struct cm_buf *out, int *status);

/*
 * The same in two parts: it starts while its input is made.  c is borrowed until
 * it has ended; the thread that starts it must still be there then.  What is not
 * finished is to be dropped: it is killed.  If we end before, its input ends.
 */
struct cm_child_process;

struct cm_child_end {
	struct cm_blob input;		/* of a child that is fed: the last of it */
	cm_deadline deadline;
	struct cm_trace *trace;
	struct cm_buf *out;
	int *status;
	uint8_t word;			/* its output begins with this octet once it has done what it is for; 0: it ends then */
};

/* The errors of cm_child_run() that come before it runs. */
CM_MUST_USE enum cm_err cm_child_start(const struct cm_child *c, cm_deadline deadline, struct cm_trace *t,
    struct cm_child_process **out);
bool cm_child_lives(const struct cm_child_process *process);
/* A part of the input of a child that is fed.  One that reads no more has its reasons, which cm_child_finish() tells. */
void cm_child_feed(struct cm_child_process *process, struct cm_blob part, cm_deadline deadline);
/*
 * The others; *process is NULL afterwards, unless it said its word: then *status
 * is 0, its end is not waited for, and it is to be dropped before long.
 */
CM_MUST_USE enum cm_err cm_child_finish(struct cm_child_process **process, const struct cm_child_end *e);
void cm_child_drop(struct cm_child_process **process);	/* NULL inside: nothing */

#endif /* CM_BASE_CHILD_H */
