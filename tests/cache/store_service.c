/* tests/cache/store_service.c - the store of a rig, served by threads of this program as cardmapd does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cache/store_server.h"
#include "store_rig.h"

#define CONNECTIONS	64

struct rig_service {
	struct cm_accounts_options options;
	char path[96], store[96];
	int listener;
	pthread_t acceptor, threads[CONNECTIONS];
	int fds[CONNECTIONS];
	size_t count;
	const struct cm_store_selector *selector;
	enum cm_err verdict;		/* of the last that did not end well */
	pthread_mutex_t lock;
};

struct connection {
	struct rig_service *s;
	int fd;
};

static void *
serve(void *arg)
{
	struct connection *c = arg;
	struct cm_accounts *store = NULL;
	enum cm_err err;

	if ((err = cm_accounts_open(&c->s->options, NULL, &store)) != CM_OK)
		close(c->fd);
	else
		err = cm_store_serve(c->fd, store, c->s->selector, NULL);
	cm_accounts_close(&store);
	pthread_mutex_lock(&c->s->lock);
	if (err != CM_OK)
		c->s->verdict = err;
	pthread_mutex_unlock(&c->s->lock);
	free(c);
	return NULL;
}

static void *
accept_all(void *arg)
{
	struct rig_service *s = arg;
	int fd;

	while (s->count < CONNECTIONS && (fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct connection *c = malloc(sizeof(*c));

		assert_non_null(c);
		*c = (struct connection){ s, fd };
		s->fds[s->count] = dup(fd);	/* the server closes its own */
		assert_int_equal(pthread_create(&s->threads[s->count++], NULL, serve, c), 0);
	}
	return NULL;
}

struct rig_service *
rig_service_start(const struct cm_accounts_options *options, const char *path)
{
	return rig_service_start_selecting(options, path, NULL);
}

struct rig_service *
rig_service_start_selecting(const struct cm_accounts_options *options, const char *path, const struct cm_store_selector *selector)
{
	struct rig_service *s = calloc(1, sizeof(*s));
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	assert_non_null(s);
	s->options = *options;
	s->selector = selector;
	snprintf(s->store, sizeof(s->store), "%s", options->path);
	s->options.path = s->store;
	snprintf(s->path, sizeof(s->path), "%s", path);
	memcpy(at.sun_path, s->path, strlen(s->path));
	unlink(path);
	pthread_mutex_init(&s->lock, NULL);
	assert_true((s->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) >= 0);
	assert_int_equal(bind(s->listener, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(s->listener, 16), 0);
	assert_int_equal(pthread_create(&s->acceptor, NULL, accept_all, s), 0);
	return s;
}

enum cm_err
rig_service_verdict(struct rig_service *s)
{
	enum cm_err err;

	pthread_mutex_lock(&s->lock);
	err = s->verdict;
	pthread_mutex_unlock(&s->lock);
	return err;
}

void
rig_service_stop(struct rig_service **service)
{
	struct rig_service *s = *service;

	*service = NULL;
	if (s == NULL)
		return;
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->acceptor, NULL);
	for (size_t i = 0; i < s->count; i++) {
		shutdown(s->fds[i], SHUT_RDWR);
		pthread_join(s->threads[i], NULL);
		close(s->fds[i]);
	}
	close(s->listener);
	unlink(s->path);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

#ifdef RIG_REMOTE
struct cm_accounts *
rig_asked(struct rig *r)
{
	struct cm_accounts_options o = r->options;
	char path[96];

	if (r->remote != NULL)
		return r->remote;
	snprintf(path, sizeof(path), "%s/socket", r->folder);
	r->service = rig_service_start(&r->options, path);
	o.path = path;
	if (cm_accounts_open(&o, r->trace, &r->remote) != CM_OK)
		fail_msg("%s", cm_trace_message(r->trace));
	return r->remote;
}
#else
struct cm_accounts *
rig_asked(struct rig *r)
{
	return r->store;
}
#endif

void
rig_stop_asking(struct rig *r)
{
	cm_accounts_close(&r->remote);
	rig_service_stop(&r->service);
}
