/* resolver/pool.c - handles of the directory whose connections stay open, lent to one question at a time. */
#include "resolver/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "service/host.h"

#define PROBE_MS	3000	/* a server that takes longer to say anything is silent still */

/* What a file of accounts was when it was read. */
struct stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

struct handle {
	struct cm_host *host;		/* with a directory alone; NULL: not made */
	struct stamp stamp;
	bool out;
};

struct cm_pool {
	const struct cm_conf *conf;
	struct cm_silence *silence;
	struct cm_host *probing;	/* the prober's own */
	pthread_t prober;
	bool probes;
	pthread_mutex_t lock;		/* of all below */
	pthread_cond_t given;		/* on CLOCK_MONOTONIC */
	struct handle handles[CM_POOL_MAX];
	size_t free[CM_POOL_MAX];	/* made and not lent: the last one is lent next */
	size_t free_count, made;
	struct cm_directory_stats gone;	/* counted by handles that are no more */
};

/* ---- files: a person edits them and expects that to count */

static void
add_stamp(const char *path, struct stamp *s)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return;
	s->device ^= st.st_dev;
	s->inode += st.st_ino;
	s->size += st.st_size;
	s->changed.tv_sec += st.st_mtim.tv_sec;
	s->changed.tv_nsec += st.st_mtim.tv_nsec;
}

static struct stamp
look_at_files(const struct cm_conf *c)
{
	static const char ldif[] = "ldif:";
	struct stamp s = { .size = 0 };

	for (char **uri = c->directory.uri; *uri != NULL; uri++)
		if (strncasecmp(*uri, ldif, strlen(ldif)) == 0)
			add_stamp(*uri + strlen(ldif), &s);
	return s;
}

static bool
is_same(const struct stamp *a, const struct stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	    a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* ---- made and ended */

static enum cm_err
open_handle(const struct cm_pool *p, struct cm_trace *t, struct cm_host **out)
{
	const enum cm_err err = cm_host_open(p->conf, CM_NEED_DIRECTORY, t, out);

	if (err == CM_OK)
		cm_directory_share((*out)->directory, p->silence);
	return err;
}

static void *
probe(void *arg)
{
	struct cm_pool *p = arg;

	while (cm_silence_wait(p->silence))
		cm_directory_probe(p->probing->directory, PROBE_MS);
	return NULL;
}

static void
init_lock(struct cm_pool *p)
{
	pthread_condattr_t a;

	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&p->given, &a);
	pthread_condattr_destroy(&a);
}

enum cm_err
cm_pool_new(const struct cm_conf *conf, struct cm_trace *t, struct cm_pool **out)
{
	struct cm_pool *p = calloc(1, sizeof(*p));
	enum cm_err err;

	*out = NULL;
	if (p == NULL)
		return CM_ERR_NOMEM;
	p->conf = conf;
	init_lock(p);
	if ((err = cm_silence_new(&p->silence)) == CM_OK && (err = open_handle(p, t, &p->probing)) == CM_OK) {
		p->probes = pthread_create(&p->prober, NULL, probe, p) == 0;
		err = p->probes ? CM_OK : CM_ERR_SYSTEM;
	}
	if (err == CM_OK)
		*out = p;
	else
		cm_pool_free(&p);
	return err;
}

void
cm_pool_free(struct cm_pool **pool)
{
	struct cm_pool *p = *pool;

	*pool = NULL;
	if (p == NULL)
		return;
	if (p->probes) {
		cm_silence_stop(p->silence);
		pthread_join(p->prober, NULL);
	}
	for (size_t i = 0; i < CM_POOL_MAX; i++)
		cm_host_close(&p->handles[i].host);
	cm_host_close(&p->probing);
	cm_silence_free(&p->silence);
	pthread_cond_destroy(&p->given);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* ---- lent and given back */

static bool
await_given(struct cm_pool *p, cm_deadline deadline)
{
	const struct timespec until = { .tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000 };

	return !cm_deadline_passed(deadline) && pthread_cond_timedwait(&p->given, &p->lock, &until) == 0;
}

/* Under the lock: a place, SIZE_MAX when none came back in time. */
static size_t
choose(struct cm_pool *p, cm_deadline deadline)
{
	while (p->free_count == 0 && p->made == CM_POOL_MAX)
		if (!await_given(p, deadline) && p->free_count == 0)
			return SIZE_MAX;
	return p->free_count > 0 ? p->free[--p->free_count] : p->made++;
}

static void
count_gone(struct cm_pool *p, const struct cm_host *h)
{
	const struct cm_directory_stats s = cm_directory_stats(h->directory);

	p->gone.connections += s.connections;
	p->gone.searches += s.searches;
	p->gone.binds += s.binds;
}

/* The place is this thread's; the handle is made where there is none, or where its files are others now. */
static enum cm_err
prepare(struct cm_pool *p, struct handle *h, struct cm_trace *t)
{
	const struct stamp now = look_at_files(p->conf);
	struct cm_host *made = NULL, *old = h->host;
	enum cm_err err;

	if (old != NULL && is_same(&h->stamp, &now))
		return CM_OK;
	if ((err = open_handle(p, t, &made)) != CM_OK)
		return err;
	pthread_mutex_lock(&p->lock);
	if (old != NULL)
		count_gone(p, old);
	h->host = made;
	h->stamp = now;
	pthread_mutex_unlock(&p->lock);
	cm_host_close(&old);
	return CM_OK;
}

enum cm_err
cm_pool_take(struct cm_pool *p, cm_deadline deadline, struct cm_trace *t, struct cm_lent *out)
{
	enum cm_err err;
	size_t at;

	out->directory = NULL;
	pthread_mutex_lock(&p->lock);
	if ((at = choose(p, deadline)) != SIZE_MAX)
		p->handles[at].out = true;
	pthread_mutex_unlock(&p->lock);
	if (at == SIZE_MAX)
		return cm_trace_fail(t, CM_REASON_DIRECTORY_OFFLINE, "all %d connections to the directory are in use, and "
		    "none became free in time", CM_POOL_MAX);
	out->at = at;
	if ((err = prepare(p, &p->handles[at], t)) != CM_OK)
		cm_pool_give(p, out);
	else
		out->directory = p->handles[at].host->directory;
	return err;
}

void
cm_pool_give(struct cm_pool *p, struct cm_lent *lent)
{
	pthread_mutex_lock(&p->lock);
	p->handles[lent->at].out = false;
	p->free[p->free_count++] = lent->at;
	pthread_cond_signal(&p->given);
	pthread_mutex_unlock(&p->lock);
	lent->directory = NULL;
}

struct cm_directory_stats
cm_pool_stats(struct cm_pool *p, size_t *handles)
{
	struct cm_directory_stats all;

	pthread_mutex_lock(&p->lock);
	all = p->gone;
	for (size_t i = 0; i < p->made; i++) {
		/* one that is out counts what it does when it is back */
		const struct cm_directory_stats s = p->handles[i].host != NULL && !p->handles[i].out ?
		    cm_directory_stats(p->handles[i].host->directory) : (struct cm_directory_stats){ 0 };

		all.connections += s.connections;
		all.searches += s.searches;
		all.binds += s.binds;
	}
	*handles = p->made;
	pthread_mutex_unlock(&p->lock);
	return all;
}

void
cm_pool_each_silent(struct cm_pool *p, cm_silent_visit visit, void *arg)
{
	cm_silence_each(p->silence, visit, arg);
}
