/* cardmapd/daemon.h - what the parts of cardmapd share. */
#ifndef CM_CARDMAPD_DAEMON_H
#define CM_CARDMAPD_DAEMON_H

#include <pthread.h>
#include <time.h>

#include "base/conf.h"
#include "cache/accounts.h"
#include "krb5/hostcheck.h"
#include "service/names.h"

struct cm_closing;
struct cm_processes;
struct cm_clients;
struct cm_logins;
struct cm_cards;
struct cm_record;
struct cm_removal;
struct cm_jobs;
struct cm_stores;
struct cm_selectors;
struct cm_mobiles;
struct cm_spents;

/*
 * The main thread has the sockets, the clients and what is served quickly. Each
 * inserted card has a thread (session.c), each long job one (jobs.c), each
 * connection of the resolver to the store one.  They share what stands below
 * under lock, and tell the main thread by cm_daemon_wake(); nobody waits for
 * anything while holding it.
 */
struct cm_daemon {
	const struct cm_conf *conf;
	const char *run_dir;
	const char *ccache_program;
	struct cm_names_how names;		/* its program is beside that */
	time_t started;
	struct cm_hostcheck *hostcheck;		/* NULL: this host has no keytab */
	struct cm_closing *closing;		/* of what clients passed */
	struct cm_processes *processes;
	struct cm_clients *clients;
	struct cm_logins *logins;
	struct cm_cards *cards;
	struct cm_record *record;
	struct cm_removal *removal;
	struct cm_spents *spents;
	struct cm_jobs *jobs;
	struct cm_stores *stores;
	struct cm_selectors *selectors;		/* NULL: none is configured */
	struct cm_mobiles *mobiles;		/* NULL: not yet */
	pthread_mutex_t lock;
	int wake;				/* eventfd(2) */
};

/* Any thread: have the main thread look at what changed. */
void cm_daemon_wake(const struct cm_daemon *d);
/* A connection to the store for the calling thread; the path and limits are the configuration's. */
CM_MUST_USE enum cm_err cm_daemon_open_store(const struct cm_daemon *d, struct cm_trace *t, struct cm_accounts **out);

#endif /* CM_CARDMAPD_DAEMON_H */
