/* card/worker.c - a thread for calls that have no deadline of their own: its owner waits no longer than it may. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"
#include "card/card_internal.h"

struct cm_worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	void (*job)(void *arg);		/* what it is at; NULL: nothing */
	bool leave;			/* no more jobs will come */
	bool abandoned;			/* nobody waits for it: it frees */
	void *arg;
	void (*abandon)(void *arg);
};

static void
destroy(struct cm_worker *w)
{
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static void *
work(void *arg)
{
	struct cm_worker *w = arg;
	bool abandoned;

	pthread_mutex_lock(&w->lock);
	while (!w->leave) {
		if (w->job == NULL) {
			pthread_cond_wait(&w->changed, &w->lock);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		w->job(w->arg);
		pthread_mutex_lock(&w->lock);
		w->job = NULL;
		pthread_cond_broadcast(&w->changed);
	}
	abandoned = w->abandoned;
	pthread_mutex_unlock(&w->lock);
	if (abandoned) {
		w->abandon(w->arg);
		destroy(w);
	}
	return NULL;
}

struct cm_worker *
cm_worker_new(void *arg, void (*abandon)(void *arg))
{
	struct cm_worker *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;

	if (w == NULL)
		return NULL;
	w->arg = arg;
	w->abandon = abandon;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (cm_thread_start(&w->thread, NULL, work, w) != 0) {
		destroy(w);
		return NULL;
	}
	return w;
}

bool
cm_worker_run(struct cm_worker *w, void (*job)(void *arg), cm_deadline deadline)
{
	/* cm_deadline is CLOCK_MONOTONIC, and so is the condition's clock. */
	const struct timespec until = { .tv_sec = deadline / 1000,
		.tv_nsec = deadline % 1000 * 1000000 };
	bool done;

	pthread_mutex_lock(&w->lock);
	if (w->job == NULL && !cm_deadline_passed(deadline)) {
		w->job = job;
		pthread_cond_broadcast(&w->changed);
		while (w->job != NULL &&
		    pthread_cond_timedwait(&w->changed, &w->lock, &until) == 0)
			;
		done = w->job == NULL;
	} else {
		done = false;
	}
	pthread_mutex_unlock(&w->lock);
	return done;
}

bool
cm_worker_end(struct cm_worker *w)
{
	const pthread_t thread = w->thread;	/* once it is abandoned, w may be gone at once */
	bool abandoned;

	pthread_mutex_lock(&w->lock);
	abandoned = w->abandoned = w->job != NULL;
	w->leave = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	if (abandoned) {
		pthread_detach(thread);
		return false;
	}
	pthread_join(thread, NULL);
	destroy(w);
	return true;
}
