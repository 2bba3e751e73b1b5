/*
 * resolver/whois.c - the socket of Whois and Explain: threads that stay wait for all connections together.
 *
 * A connection is one thread's from the moment it has something to read until
 * it is waited for again (EPOLLONESHOT), so that a question is read, asked and
 * answered with no thread handing it to another.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/closing.h"
#include "resolver/questions.h"

#define THREADS			8
#define ASKERS_MAX		1024
#define ASKERS_PER_USER		64
#define ASKERS_ROOT		256
#define MESSAGE_MAX		(32 << 10)	/* a certificate may have 16 KiB */
#define ANSWER_MAX		((size_t)4 << 20)
#define MESSAGE_MS		10000		/* a request that is half here must be whole by then */
#define SWEEP_MS		1000

struct connection {
	struct cm_asker asker;
	struct cm_wire *wire;
	bool half;			/* while it is waited for: a message is half here, */
	cm_deadline due;		/* ... and must be whole by then */
	bool waited_for;
	struct connection *next, *previous;
};

struct cm_whois {
	const struct cm_resolver *resolver;
	struct cm_kept_answers *kept;
	struct cm_closing *closing;
	int listener, epoll, stop;	/* stop: an eventfd; -1 each: not there */
	pthread_t threads[THREADS];
	size_t thread_count;
	pthread_mutex_t lock;		/* of all below, and of half, due and waited_for */
	struct connection *first;
	size_t count, halves;		/* ... of which sent half a message */
	cm_deadline swept;
};

/* What epoll(7) tells of: a connection, or one of these. */
static const char about_listener, about_stop;

/* ---- connections */

/* The other side closed it, and no thread has come to see that yet. */
static bool
has_left(const struct connection *c)
{
	char byte;

	return c->waited_for && recv(cm_wire_fd(c->wire), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Who left since takes no room from who comes; and who does nothing but come and leave has no more than twice his share. */
static bool
has_room(const struct cm_whois *w, uid_t uid)
{
	const size_t share = uid == 0 ? ASKERS_ROOT : ASKERS_PER_USER;
	size_t of_user = cm_closing_left(w->closing, uid), count = w->count;

	for (const struct connection *c = w->first; c != NULL; c = c->next)
		of_user += c->asker.uid == uid;
	if (count >= 2 * ASKERS_MAX || of_user >= 2 * share)
		return false;
	if (count < ASKERS_MAX && of_user < share)
		return true;
	for (const struct connection *c = w->first; c != NULL; c = c->next)
		if (has_left(c)) {
			count--;
			of_user -= c->asker.uid == uid;
		}
	return count < ASKERS_MAX && of_user < share;
}

static void
unlink_connection(struct cm_whois *w, struct connection *c)
{
	if (c->previous != NULL)
		c->previous->next = c->next;
	else
		w->first = c->next;
	if (c->next != NULL)
		c->next->previous = c->previous;
	w->count--;
	w->halves -= c->half;
}

static void
end_connection(struct cm_whois *w, struct connection *c)
{
	pthread_mutex_lock(&w->lock);
	unlink_connection(w, c);
	pthread_mutex_unlock(&w->lock);
	cm_wire_free(&c->wire);		/* its descriptor leaves the epoll set with it */
	free(c);
}

/* From here on it may be any thread's: nothing of it is looked at any more. */
static void
wait_for(struct cm_whois *w, struct connection *c, int operation)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data = { .ptr = c } };

	pthread_mutex_lock(&w->lock);
	c->half = cm_wire_is_due(c->wire, &c->due);
	w->halves += c->half;
	c->waited_for = true;
	pthread_mutex_unlock(&w->lock);
	/* not under the lock: whoever is woken by it wants that at once */
	if (epoll_ctl(w->epoll, operation, cm_wire_fd(c->wire), &e) != 0)
		end_connection(w, c);
}

/* The wire is given. */
static void
take_in(struct cm_whois *w, struct cm_wire *wire)
{
	const struct cm_wire_peer peer = cm_wire_peer(wire);
	struct connection *c = calloc(1, sizeof(*c));
	bool room;

	if (c == NULL) {
		cm_wire_free(&wire);
		return;
	}
	c->wire = wire;
	c->asker = (struct cm_asker){ .resolver = w->resolver, .kept = w->kept, .uid = peer.uid };
	pthread_mutex_lock(&w->lock);
	if ((room = has_room(w, peer.uid))) {
		c->next = w->first;
		if (w->first != NULL)
			w->first->previous = c;
		w->first = c;
		w->count++;
	}
	pthread_mutex_unlock(&w->lock);
	if (room) {
		wait_for(w, c, EPOLL_CTL_ADD);
		return;
	}
	cm_wire_free(&c->wire);
	free(c);
}

static void
watch_listener(struct cm_whois *w, int operation)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT, .data = { .ptr = (void *)(uintptr_t)&about_listener } };

	(void)epoll_ctl(w->epoll, operation, w->listener, &e);
}

static void
accept_all(struct cm_whois *w)
{
	const struct cm_wire_limits limits = {
		.message_max = MESSAGE_MAX, .sent_max = ANSWER_MAX, .message_ms = MESSAGE_MS, .closing = w->closing,
	};
	struct cm_wire *wire = NULL;

	while (cm_wire_accept(w->listener, &limits, &wire) == CM_OK)
		take_in(w, wire);
	watch_listener(w, EPOLL_CTL_MOD);
}

/* One message: whether another is there already epoll(7) knows, and others wait, too. */
static void
serve_connection(struct cm_whois *w, struct connection *c)
{
	struct cm_blob message;

	pthread_mutex_lock(&w->lock);
	w->halves -= c->half;
	c->half = c->waited_for = false;
	pthread_mutex_unlock(&w->lock);
	/* how it went shows in whether the connection is open still */
	if (cm_wire_receive(c->wire, 0, &message) == CM_OK)
		(void)!cm_varlink_serve(&cm_questions_service, c->wire, message, &c->asker, cm_deadline_in(CM_QUESTION_SEND_MS));
	if (cm_wire_end(c->wire) != CM_WIRE_OPEN)
		end_connection(w, c);
	else
		wait_for(w, c, EPOLL_CTL_MOD);
}

/* Whoever sent half a message and no more is ended, which wakes a thread for it.  How long to wait at most, ms; -1: for ever. */
static int
sweep(struct cm_whois *w)
{
	bool halves;

	pthread_mutex_lock(&w->lock);
	halves = w->halves > 0;
	if (halves && cm_deadline_passed(w->swept)) {
		for (struct connection *c = w->first; c != NULL; c = c->next)
			if (c->waited_for && c->half && cm_deadline_passed(c->due))
				(void)shutdown(cm_wire_fd(c->wire), SHUT_RDWR);
		w->swept = cm_deadline_in(SWEEP_MS);
	}
	pthread_mutex_unlock(&w->lock);
	return halves ? SWEEP_MS : -1;
}

/* ---- threads */

static void *
run(void *arg)
{
	struct cm_whois *w = arg;

	for (;;) {
		struct epoll_event e;
		const int n = epoll_wait(w->epoll, &e, 1, sweep(w));

		if (n < 0 && errno != EINTR)
			return NULL;
		if (n <= 0)
			continue;
		if (e.data.ptr == &about_stop)
			return NULL;
		if (e.data.ptr == &about_listener)
			accept_all(w);
		else
			serve_connection(w, e.data.ptr);
	}
}

static bool
watch_all(struct cm_whois *w)
{
	struct epoll_event stop = { .events = EPOLLIN, .data = { .ptr = (void *)(uintptr_t)&about_stop } };

	if ((w->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 || (w->stop = eventfd(0, EFD_CLOEXEC)) < 0 ||
	    epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->stop, &stop) != 0)
		return false;
	watch_listener(w, EPOLL_CTL_ADD);
	while (w->thread_count < THREADS && pthread_create(&w->threads[w->thread_count], NULL, run, w) == 0)
		w->thread_count++;
	return w->thread_count == THREADS;
}

enum cm_err
cm_whois_new(const struct cm_resolver *r, int listener, struct cm_whois **out)
{
	struct cm_whois *w = calloc(1, sizeof(*w));
	enum cm_err err;

	*out = NULL;
	if (w == NULL) {
		close(listener);
		return CM_ERR_NOMEM;
	}
	w->resolver = r;
	w->listener = listener;
	w->epoll = w->stop = -1;
	pthread_mutex_init(&w->lock, NULL);
	err = cm_closing_new(&w->closing);
	if (err == CM_OK && r->conf->service.whois_age > 0)
		err = cm_kept_new(&w->kept);
	if (err == CM_OK && !watch_all(w))
		err = CM_ERR_SYSTEM;
	if (err == CM_OK)
		*out = w;
	else
		cm_whois_free(&w);
	return err;
}

void
cm_whois_free(struct cm_whois **whois)
{
	struct cm_whois *w = *whois;
	const uint64_t one = 1;

	*whois = NULL;
	if (w == NULL)
		return;
	if (w->stop >= 0)
		(void)!write(w->stop, &one, sizeof(one));
	for (size_t i = 0; i < w->thread_count; i++)
		pthread_join(w->threads[i], NULL);
	while (w->first != NULL)
		end_connection(w, w->first);
	cm_kept_free(&w->kept);
	cm_closing_free(&w->closing);
	close(w->listener);
	if (w->epoll >= 0)
		close(w->epoll);
	if (w->stop >= 0)
		close(w->stop);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
