/* cardmapd/clients.h - who is connected: bounded, served one message at a time, and missed when gone. */
#ifndef CM_CARDMAPD_CLIENTS_H
#define CM_CARDMAPD_CLIENTS_H

#include <poll.h>

#include "base/wire.h"
#include "cardmapd/daemon.h"
#include "cardmapd/permissions.h"
#include "service/varlink.h"

#define CM_CLIENTS_MAX		1024
#define CM_CLIENTS_PER_USER	64
#define CM_CLIENTS_ROOT		256
#define CM_CLIENT_MESSAGE_MAX	8192		/* bytes of a request */
#define CM_CLIENT_ANSWER_MAX	((size_t)4 << 20)
#define CM_CLIENT_MESSAGE_MS	10000		/* a request that is half here must be whole by then */

/* A connection.  The main thread's, but for its wire while a job has it. */
struct cm_client {
	struct cm_daemon *daemon;
	struct cm_wire *wire;
	struct cm_wire_peer peer;
	enum cm_caller who;
	/*
	 * A call that is answered later: nothing more is read meanwhile.  gone is called once
	 * if the other side goes away first, and the client is freed after it; NULL: nothing waits.
	 */
	void (*gone)(struct cm_client *c);
	void *waits;			/* its */
	struct cm_varlink_turn turn;
	bool lent;			/* a job has the wire: not polled, not freed */
	bool finished;			/* to be freed */
	struct cm_client *next;
};

struct cm_clients;
CM_MUST_USE enum cm_err cm_clients_new(struct cm_daemon *d, const struct cm_varlink_service *s, struct cm_clients **out);
void cm_clients_free(struct cm_clients **c);

/* Take in all who wait at the listener; who is one too many finds the connection closed. */
void cm_clients_accept(struct cm_clients *c, int listener);

/* A row for each that may be polled: at most max; then serve those that have something.  Rows and clients must not change in between. */
size_t cm_clients_poll(struct cm_clients *c, struct pollfd *p, size_t max);
void cm_clients_serve(struct cm_clients *c, const struct pollfd *p, size_t count);
cm_deadline cm_clients_next(const struct cm_clients *c);	/* when somebody's half-sent message is due */
size_t cm_clients_count(const struct cm_clients *c);

/* For who answers later: send, and let the client be served again if that was the last one.  What cannot be sent at once ends the connection. */
void cm_client_continue(struct cm_client *c, json_t *parameters);
void cm_client_answer(struct cm_client *c, json_t *parameters);
/* With a descriptor beside it, which stays the caller's; -1: none. */
void cm_client_answer_with(struct cm_client *c, json_t *parameters, int fd);
/* Keep the call of r for later. */
void cm_client_keep(struct cm_client *c, const struct cm_varlink_request *r, void (*gone)(struct cm_client *), void *waits);

#endif /* CM_CARDMAPD_CLIENTS_H */
