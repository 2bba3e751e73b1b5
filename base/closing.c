/* base/closing.c - descriptors that somebody else passed are closed where nobody waits for it. */
#include "base/closing.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/thread.h"

#define THREADS_MOST	4		/* of one user; what comes when all are stuck waits behind them */
#define STACK		((size_t)256 << 10)

struct queue {
	struct queue *next;
	struct cm_closing *of;
	uid_t whose;
	int *fds;
	size_t count, room;
	size_t threads, closing;	/* closing: in close(2) now */
};

struct cm_closing {
	pthread_mutex_t lock;		/* of all below */
	struct queue *first;
	size_t users;			/* the owner, and each thread */
};

enum cm_err
cm_closing_new(struct cm_closing **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	pthread_mutex_init(&(*out)->lock, NULL);
	(*out)->users = 1;
	return CM_OK;
}

/* Under the lock, which is given up. */
static void
let_go(struct cm_closing *c)
{
	const bool last = --c->users == 0;

	pthread_mutex_unlock(&c->lock);
	if (!last)
		return;
	while (c->first != NULL) {
		struct queue *q = c->first;

		c->first = q->next;
		free(q->fds);	/* no thread could be made for them: they go with the process */
		free(q);
	}
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void
cm_closing_free(struct cm_closing **c)
{
	if (*c == NULL)
		return;
	pthread_mutex_lock(&(*c)->lock);
	let_go(*c);
	*c = NULL;
}

static void
drop_queue(struct queue *q)
{
	struct queue **at = &q->of->first;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	free(q->fds);
	free(q);
}

static void *
work(void *arg)
{
	struct queue *q = arg;
	struct cm_closing *c = q->of;

	pthread_mutex_lock(&c->lock);
	while (q->count > 0) {
		const int fd = q->fds[--q->count];

		q->closing++;
		pthread_mutex_unlock(&c->lock);
		close(fd);
		pthread_mutex_lock(&c->lock);
		q->closing--;
	}
	if (--q->threads == 0)
		drop_queue(q);
	let_go(c);
	return NULL;
}

static struct queue *
queue_of(struct cm_closing *c, uid_t whose)
{
	struct queue *q = c->first;

	while (q != NULL && q->whose != whose)
		q = q->next;
	if (q != NULL || (q = calloc(1, sizeof(*q))) == NULL)
		return q;
	*q = (struct queue){ .next = c->first, .of = c, .whose = whose };
	return c->first = q;
}

static bool
add(struct queue *q, const int *fds, size_t count)
{
	if (q->count + count > q->room) {
		const size_t room = q->count + count + 16;
		int *more = realloc(q->fds, room * sizeof(*more));

		if (more == NULL)
			return false;
		q->fds = more;
		q->room = room;
	}
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			q->fds[q->count++] = fds[i];
	return true;
}

/* One thread more, unless there are as many as there may be. */
static void
start(struct queue *q)
{
	pthread_attr_t a;
	pthread_t thread;

	if (q->threads == THREADS_MOST)
		return;
	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&a, STACK);
	if (cm_thread_start(&thread, &a, work, q) == 0) {
		q->threads++;
		q->of->users++;
	}
	pthread_attr_destroy(&a);
}

static void
close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static bool
has_any(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			return true;
	return false;
}

void
cm_closing_give(struct cm_closing *c, uid_t whose, const int *fds, size_t count)
{
	struct queue *q;
	bool given;

	if (c == NULL || !has_any(fds, count)) {
		close_all(fds, count);
		return;
	}
	pthread_mutex_lock(&c->lock);
	given = (q = queue_of(c, whose)) != NULL && add(q, fds, count);
	if (q != NULL)
		start(q);
	/* Without a thread, and none to come: they are closed with the next that there is one for. */
	if (q != NULL && q->threads == 0 && q->count == 0)
		drop_queue(q);
	pthread_mutex_unlock(&c->lock);
	if (!given)
		close_all(fds, count);
}

void
cm_closing_give_socket(struct cm_closing *c, uid_t whose, int fd)
{
	char byte;

	if (c == NULL) {
		close(fd);	/* another process may hold it too, and go on with it */
		return;
	}
	/* Nothing comes any more; what came before may have descriptors beside it. */
	(void)shutdown(fd, SHUT_RDWR);
	if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		cm_closing_give(c, whose, &fd, 1);
	else
		close(fd);
}

size_t
cm_closing_left(struct cm_closing *c, uid_t whose)
{
	size_t left = 0;

	if (c == NULL)
		return 0;
	pthread_mutex_lock(&c->lock);
	for (const struct queue *q = c->first; q != NULL; q = q->next)
		if (q->whose == whose)
			left = q->count + q->closing;
	pthread_mutex_unlock(&c->lock);
	return left;
}
