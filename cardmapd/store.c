/* cardmapd/store.c - the store served to the resolver: a thread for each of its connections. */
#include "cardmapd/store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache/store_server.h"
#include "cardmapd/selector.h"
#include "cardmapd/sockets.h"

struct place {
	struct cm_daemon *daemon;
	pthread_t thread;
	int fd;			/* given to the thread */
	int line;		/* the same connection, to end it by; -1: a free place */
	bool ended;		/* under the daemon's lock */
};

struct cm_stores {
	struct cm_daemon *daemon;
	struct place places[CM_STORE_CONNECTIONS];
};

enum cm_err
cm_stores_new(struct cm_daemon *d, struct cm_stores **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	(*out)->daemon = d;
	for (size_t i = 0; i < CM_STORE_CONNECTIONS; i++)
		(*out)->places[i].line = -1;
	return CM_OK;
}

static void *
serve(void *arg)
{
	struct place *p = arg;
	const struct cm_store_selector selector = { .run = cm_selectors_ask, .arg = p->daemon->selectors };
	struct cm_accounts *store = NULL;
	struct cm_trace *t = NULL;
	enum cm_err err = cm_trace_new(&t);

	if (err == CM_OK && (err = cm_daemon_open_store(p->daemon, t, &store)) == CM_OK)
		err = cm_store_serve(p->fd, store, selector.arg != NULL ? &selector : NULL, t);
	else
		close(p->fd);
	if (err != CM_OK && err != CM_ERR_OFFLINE)
		cm_log_event(p->daemon->conf->service.log, "store", err, cm_trace_reason(t), "the resolver's connection: %s",
		    cm_trace_message(t));
	cm_accounts_close(&store);
	cm_trace_free(&t);
	pthread_mutex_lock(&p->daemon->lock);
	p->ended = true;
	pthread_mutex_unlock(&p->daemon->lock);
	cm_daemon_wake(p->daemon);
	return NULL;
}

static bool
begin(struct cm_stores *s, int fd)
{
	for (size_t i = 0; i < CM_STORE_CONNECTIONS; i++) {
		struct place *p = &s->places[i];

		if (p->line >= 0)
			continue;
		*p = (struct place){ .daemon = s->daemon, .fd = fd, .line = fcntl(fd, F_DUPFD_CLOEXEC, 3) };
		if (p->line >= 0 && pthread_create(&p->thread, NULL, serve, p) == 0)
			return true;
		if (p->line >= 0)
			close(p->line);
		p->line = -1;
		return false;
	}
	return false;
}

void
cm_stores_accept(struct cm_stores *s, int listener, uid_t user)
{
	uid_t uid;
	int fd;

	while ((fd = cm_sockets_accept(listener, &uid)) >= 0)
		if ((uid != user && uid != geteuid()) || !begin(s, fd))
			close(fd);
}

static void
let_go(struct place *p)
{
	pthread_join(p->thread, NULL);
	close(p->line);
	p->line = -1;
}

void
cm_stores_look(struct cm_stores *s)
{
	for (size_t i = 0; i < CM_STORE_CONNECTIONS; i++) {
		struct place *p = &s->places[i];
		bool ended;

		if (p->line < 0)
			continue;
		pthread_mutex_lock(&s->daemon->lock);
		ended = p->ended;
		pthread_mutex_unlock(&s->daemon->lock);
		if (ended)
			let_go(p);
	}
}

void
cm_stores_free(struct cm_stores **s)
{
	if (*s == NULL)
		return;
	for (size_t i = 0; i < CM_STORE_CONNECTIONS; i++)
		if ((*s)->places[i].line >= 0) {
			(void)shutdown((*s)->places[i].line, SHUT_RDWR);
			let_go(&(*s)->places[i]);
		}
	free(*s);
	*s = NULL;
}
