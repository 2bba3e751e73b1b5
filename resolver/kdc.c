/* resolver/kdc.c - does a KDC answer?  A thread probes, so that no login waits for one that is silent. */
#include "resolver/kdc.h"

#include <pthread.h>
#include <stdlib.h>

#include "service/host.h"

#define FRESH_US	((int64_t)30 * 1000000)	/* an answer counts for a card that comes within */
#define FIRST_MS	1000
#define MOST_MS		30000

struct cm_kdcs {
	const struct cm_conf *conf;
	struct cm_host *host;		/* the thread's, with pkinit alone; pkinit NULL: no Kerberos here */
	pthread_t thread;
	bool runs;
	pthread_mutex_t lock;		/* of all below */
	pthread_cond_t changed;		/* on CLOCK_MONOTONIC */
	bool stopped, wanted, silent;
	int64_t answered_us;		/* 0: never */
	cm_deadline due;		/* while silent: the next probe */
	unsigned wait;
	char *why;			/* of the last probe that failed; owned */
};

/* Under the lock: until a probe is wanted, or due; false: stopped. */
static bool
await_turn(struct cm_kdcs *k)
{
	while (!k->stopped && !k->wanted && !(k->silent && cm_deadline_passed(k->due))) {
		if (k->silent) {
			const struct timespec until = { .tv_sec = k->due / 1000, .tv_nsec = k->due % 1000 * 1000000 };

			pthread_cond_timedwait(&k->changed, &k->lock, &until);
		} else {
			pthread_cond_wait(&k->changed, &k->lock);
		}
	}
	return !k->stopped;
}

static void
put_off(struct cm_kdcs *k)
{
	k->wait = k->wait == 0 ? FIRST_MS : k->wait * 2 < MOST_MS ? k->wait * 2 : MOST_MS;
	k->due = cm_deadline_in(k->wait);
}

static void
take_answer(struct cm_kdcs *k, enum cm_err err, const char *why)
{
	k->silent = err == CM_ERR_OFFLINE;
	if (k->silent) {
		free(k->why);
		k->why = strdup(why);
		put_off(k);
		return;
	}
	k->wait = 0;
	k->answered_us = cm_clock_us();
}

/* What was wanted while a probe was under way is answered by that. */
static void *
probe(void *arg)
{
	struct cm_kdcs *k = arg;
	struct cm_trace *t = NULL;

	if (cm_trace_new(&t) != CM_OK)
		return NULL;
	pthread_mutex_lock(&k->lock);
	while (await_turn(k)) {
		enum cm_err err;

		pthread_mutex_unlock(&k->lock);
		cm_trace_clear_reason(t);
		err = cm_pkinit_probe(k->host->pkinit, cm_deadline_in(k->conf->kerberos.timeout), t);
		pthread_mutex_lock(&k->lock);
		k->wanted = false;
		take_answer(k, err, cm_trace_message(t));
	}
	pthread_mutex_unlock(&k->lock);
	cm_trace_free(&t);
	return NULL;
}

static void
init_lock(struct cm_kdcs *k)
{
	pthread_condattr_t a;

	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&k->changed, &a);
	pthread_condattr_destroy(&a);
}

enum cm_err
cm_kdcs_new(const struct cm_conf *conf, struct cm_trace *t, struct cm_kdcs **out)
{
	struct cm_kdcs *k = calloc(1, sizeof(*k));
	enum cm_err err;

	*out = NULL;
	if (k == NULL)
		return CM_ERR_NOMEM;
	k->conf = conf;
	init_lock(k);
	err = cm_host_open(conf, CM_NEED_KERBEROS, t, &k->host);
	if (err == CM_OK && k->host->pkinit != NULL) {
		k->runs = pthread_create(&k->thread, NULL, probe, k) == 0;
		err = k->runs ? CM_OK : CM_ERR_SYSTEM;
	}
	if (err == CM_OK)
		*out = k;
	else
		cm_kdcs_free(&k);
	return err;
}

void
cm_kdcs_free(struct cm_kdcs **kdcs)
{
	struct cm_kdcs *k = *kdcs;

	*kdcs = NULL;
	if (k == NULL)
		return;
	if (k->runs) {
		pthread_mutex_lock(&k->lock);
		k->stopped = true;
		pthread_cond_broadcast(&k->changed);
		pthread_mutex_unlock(&k->lock);
		pthread_join(k->thread, NULL);
	}
	cm_host_close(&k->host);
	pthread_cond_destroy(&k->changed);
	pthread_mutex_destroy(&k->lock);
	free(k->why);
	free(k);
}

void
cm_kdcs_warm(struct cm_kdcs *k)
{
	pthread_mutex_lock(&k->lock);
	/* one that is silent has a probe of its own */
	if (!k->silent && (k->answered_us == 0 || cm_clock_us() - k->answered_us > FRESH_US))
		k->wanted = true;
	pthread_cond_broadcast(&k->changed);
	pthread_mutex_unlock(&k->lock);
}

void
cm_kdcs_note_silent(struct cm_kdcs *k)
{
	pthread_mutex_lock(&k->lock);
	if (k->runs && !k->silent) {
		k->silent = true;
		k->wait = 0;
		put_off(k);
		free(k->why);
		k->why = strdup("no KDC answered a login in time");
	}
	pthread_cond_broadcast(&k->changed);
	pthread_mutex_unlock(&k->lock);
}

bool
cm_kdcs_silent(struct cm_kdcs *k, char **why)
{
	bool silent;

	pthread_mutex_lock(&k->lock);
	silent = k->silent;
	*why = strdup(silent && k->why != NULL ? k->why : "");
	pthread_mutex_unlock(&k->lock);
	return silent;
}
