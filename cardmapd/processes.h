/* cardmapd/processes.h - the other processes: started, connected to, and replaced when they die. */
#ifndef CM_CARDMAPD_PROCESSES_H
#define CM_CARDMAPD_PROCESSES_H

#include "base/clock.h"
#include "base/conf.h"
#include "cardmapd/starter.h"

struct cm_processes_options {
	const struct cm_conf *conf;
	const char *config;	/* as the command line has it, or NULL */
	const char *run_dir, *libexec;
	const char *cache;	/* the resolver's own folder; NULL: none */
	bool drop;		/* they become users of their own */
	bool activated;		/* the service manager starts them, when somebody connects to their sockets */
};

/* All is borrowed for its life.  Functions are for the main thread but where it is said. */
struct cm_processes;

/* Before there are threads, and before the sandbox: the starter is forked here.  CM_ERR_CONFIG, CM_ERR_SYSTEM, CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_processes_new(const struct cm_processes_options *o, struct cm_trace *t, struct cm_processes **out);
void cm_processes_free(struct cm_processes **p);
/* Start what runs always: the resolver. */
CM_MUST_USE enum cm_err cm_processes_begin(struct cm_processes *p, struct cm_trace *t);

/*
 * A connection to a process of this kind: a new one of its own for the watcher
 * and each card, to the one resolver otherwise.  A SOCK_SEQPACKET socket, close-on-exec;
 * -1: it cannot be had now, and errno says why.  Thread-safe.
 */
int cm_processes_connect(struct cm_processes *p, enum cm_kind kind);

/* For poll(2), -1: none; then cm_processes_look().  Until *next at most. */
int cm_processes_fd(const struct cm_processes *p);
cm_deadline cm_processes_next(const struct cm_processes *p);
/* Say who died, and start the resolver again when it is time.  False: the starter is gone, and nothing can be started any more. */
bool cm_processes_look(struct cm_processes *p);

/*
 * Something that the resolver was asked got no answer.  One that runs and does not even tell its state is ended, so that
 * another takes its place; with a service manager, its watchdog does that.  Waits 2 s at most.  Thread-safe.
 */
void cm_processes_doubt_resolver(struct cm_processes *p);

/* The watcher hangs: nothing it is asked ends it.  One that the service manager started is left to that.  Thread-safe. */
void cm_processes_end_watcher(struct cm_processes *p);

/* Those that run, for people. */
struct cm_process_seen {
	const char *kind;
	pid_t pid;
	int64_t seconds;	/* since its start */
	unsigned restarts;
};
typedef void (*cm_process_visit)(void *arg, const struct cm_process_seen *s);
void cm_processes_each(struct cm_processes *p, cm_process_visit visit, void *arg);	/* thread-safe */

/* The user and group named so in /etc/passwd, which is read without NSS.  CM_ERR_CONFIG: there is none. */
CM_MUST_USE enum cm_err cm_processes_user(const char *name, struct cm_trace *t, uid_t *uid, gid_t *gid);

#endif /* CM_CARDMAPD_PROCESSES_H */
