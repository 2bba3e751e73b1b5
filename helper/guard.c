/* helper/guard.c - who asks no more is served no more, whatever a reader is at. */
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/thread.h"
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
	pthread_t thread;

	g->fd = fd;
	atomic_init(&g->busy, false);
	if (cm_thread_start(&thread, NULL, guard, g) != 0)
		return CM_ERR_SYSTEM;
	pthread_detach(thread);
	return CM_OK;
}
