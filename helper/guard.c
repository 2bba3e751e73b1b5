/* helper/guard.c - who asks no more is served no more, whatever a reader is at. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "helper/helper.h"

/* For letting go in order: below the 2 s after which cardmapd, or a person, takes the helper for stuck. */
#define GRACE_MS	1500

static void *
guard(void *arg)
{
	struct cm_guard *g = arg;
	struct pollfd p = { .fd = g->fd, .events = POLLRDHUP };

	while (poll(&p, 1, -1) <= 0)
		;
	if (!atomic_load(&g->busy))
		poll(NULL, 0, GRACE_MS);
	_exit(0);
}

enum cm_err
cm_guard_start(struct cm_guard *g, int fd)
{
	sigset_t all, before;
	pthread_t thread;
	bool started;

	g->fd = fd;
	atomic_init(&g->busy, false);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = pthread_create(&thread, NULL, guard, g) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!started)
		return CM_ERR_SYSTEM;
	pthread_detach(thread);
	return CM_OK;
}
