/* cardmapd/clients.c - who is connected: bounded, served one message at a time, and missed when gone. */
#include "cardmapd/clients.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/closing.h"

struct cm_clients {
	struct cm_daemon *daemon;
	const struct cm_varlink_service *service;
	struct cm_client *first;
	size_t count;
};

enum cm_err
cm_clients_new(struct cm_daemon *d, const struct cm_varlink_service *s, struct cm_clients **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	(*out)->daemon = d;
	(*out)->service = s;
	return CM_OK;
}

static void
free_client(struct cm_client *c)
{
	if (c->gone != NULL)
		c->gone(c);
	cm_wire_free(&c->wire);
	free(c);
}

void
cm_clients_free(struct cm_clients **c)
{
	if (*c == NULL)
		return;
	while ((*c)->first != NULL) {
		struct cm_client *gone = (*c)->first;

		(*c)->first = gone->next;
		free_client(gone);
	}
	free(*c);
	*c = NULL;
}

size_t
cm_clients_count(const struct cm_clients *c)
{
	return c->count;
}

/* ---- coming */

static bool
has_room(const struct cm_clients *c, uid_t uid)
{
	size_t of_user = cm_closing_left(c->daemon->closing, uid), count = 0;

	for (const struct cm_client *i = c->first; i != NULL; i = i->next) {
		count += !i->finished;
		of_user += !i->finished && i->peer.uid == uid;
	}
	return count < CM_CLIENTS_MAX && c->count < 2 * CM_CLIENTS_MAX &&
	    of_user < (uid == 0 ? CM_CLIENTS_ROOT : CM_CLIENTS_PER_USER);
}

/* Who left since nobody looked takes no room from who comes. */
static void
see_who_left(struct cm_clients *c)
{
	char byte;

	for (struct cm_client *i = c->first; i != NULL; i = i->next)
		if (!i->lent && recv(cm_wire_fd(i->wire), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
			i->finished = true;
}

static bool
take_in(struct cm_clients *c, struct cm_wire *w)
{
	struct cm_client *client = NULL;
	const struct cm_wire_peer peer = cm_wire_peer(w);

	if (!has_room(c, peer.uid))
		see_who_left(c);
	if (!has_room(c, peer.uid) || (client = calloc(1, sizeof(*client))) == NULL)
		return false;
	*client = (struct cm_client){
		.daemon = c->daemon, .wire = w, .peer = peer, .next = c->first,
		.who = cm_permissions_caller(c->daemon->conf, cm_wire_fd(w), peer.uid, peer.gid),
	};
	c->first = client;
	c->count++;
	return true;
}

void
cm_clients_accept(struct cm_clients *c, int listener)
{
	const struct cm_wire_limits limits = {
		.message_max = CM_CLIENT_MESSAGE_MAX, .sent_max = CM_CLIENT_ANSWER_MAX, .descriptors_max = 2,
		.message_ms = CM_CLIENT_MESSAGE_MS, .closing = c->daemon->closing,
	};
	struct cm_wire *w;

	while (cm_wire_accept(listener, &limits, &w) == CM_OK)
		if (!take_in(c, w))
			cm_wire_free(&w);
}

/* ---- going */

static void
remove_finished(struct cm_clients *c)
{
	struct cm_client **at = &c->first;

	while (*at != NULL) {
		struct cm_client *i = *at;

		if (!i->finished || i->lent) {
			at = &i->next;
			continue;
		}
		*at = i->next;
		c->count--;
		free_client(i);
	}
}

/* ---- being served */

static bool
waits(const struct cm_client *c)
{
	return c->gone != NULL;
}

size_t
cm_clients_poll(struct cm_clients *c, struct pollfd *p, size_t max)
{
	size_t n = 0;

	remove_finished(c);
	for (const struct cm_client *i = c->first; i != NULL && n < max; i = i->next)
		if (!i->lent)
			/* While a call waits, its caller is only missed. */
			p[n++] = (struct pollfd){ .fd = cm_wire_fd(i->wire), .events = waits(i) ? POLLRDHUP : POLLIN | POLLRDHUP };
	return n;
}

static void
serve_message(const struct cm_clients *c, struct cm_client *i)
{
	struct cm_blob message;
	const enum cm_err err = cm_wire_receive(i->wire, 0, &message);

	if (err == CM_OK) {
		/* A reply that does not fit into the socket at once is not waited for: others are served here too. */
		if (cm_varlink_serve(c->service, i->wire, message, i, cm_deadline_in(0)) != CM_OK)
			i->finished = true;
	} else if (err != CM_ERR_OFFLINE || cm_wire_end(i->wire) != CM_WIRE_OPEN) {
		i->finished = true;
	}
}

static bool
is_overdue(const struct cm_client *i)
{
	cm_deadline due;

	return cm_wire_is_due(i->wire, &due) && cm_deadline_passed(due);
}

void
cm_clients_serve(struct cm_clients *c, const struct pollfd *p, size_t count)
{
	size_t n = 0;

	/* The rows of p are those of the list, in its order; whoever was taken in since stands before them and has none. */
	for (struct cm_client *i = c->first; i != NULL; i = i->next) {
		const short seen = n < count && !i->lent && cm_wire_fd(i->wire) == p[n].fd ? p[n++].revents : 0;

		if (waits(i) ? (seen & (POLLHUP | POLLERR | POLLRDHUP)) != 0 : false)
			i->finished = true;
		else if (!waits(i) && !i->lent && (seen != 0 || is_overdue(i)))
			serve_message(c, i);
	}
}

cm_deadline
cm_clients_next(const struct cm_clients *c)
{
	cm_deadline first = INT64_MAX, due;

	for (const struct cm_client *i = c->first; i != NULL; i = i->next)
		if (!i->lent && cm_wire_is_due(i->wire, &due))
			first = cm_deadline_earlier(first, due);
	return first;
}

/* ---- answering later */

void
cm_client_keep(struct cm_client *c, const struct cm_varlink_request *r, void (*gone)(struct cm_client *), void *held)
{
	c->turn = r->turn;
	c->gone = gone;
	c->waits = held;
}

static void
judge_sent(struct cm_client *c, enum cm_err err)
{
	if (err != CM_OK)
		c->finished = true;
}

void
cm_client_continue(struct cm_client *c, json_t *parameters)
{
	judge_sent(c, cm_varlink_continue(&c->turn, parameters, cm_deadline_in(0)));
}

void
cm_client_answer_with(struct cm_client *c, json_t *parameters, int fd)
{
	c->gone = NULL;
	judge_sent(c, cm_varlink_answer_with(&c->turn, parameters, fd, cm_deadline_in(0)));
}

void
cm_client_answer(struct cm_client *c, json_t *parameters)
{
	cm_client_answer_with(c, parameters, -1);
}
