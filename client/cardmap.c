/* client/cardmap.c - libcardmap: a login is begun, and its states come one after another. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/client_internal.h"

#define RUN_DIR		"/run/cardmap"
#define SOCKET		"io.cardmap"
#define BEGIN_MS	10000	/* to connect, and for the service to take what is asked; then as long for the first state */
/* From a reply's first octet to its last. */
static const struct cm_wire_limits limits = { .message_max = 64 << 10, .message_ms = 10000, .descriptors_max = 1 };

/* ---- results */

static const struct {
	enum cm_err err;
	int result;
} results[] = {
	{ CM_OK, 0 }, { CM_ERR_OFFLINE, -ECONNRESET }, { CM_ERR_ABSENT, -ECONNRESET }, { CM_ERR_REFUSED, -EACCES },
	{ CM_ERR_NOMEM, -ENOMEM }, { CM_ERR_SYNTAX, -EPROTO }, { CM_ERR_USAGE, -EINVAL }, { CM_ERR_SYSTEM, -EIO },
};

int
cm_client_errno(enum cm_err err)
{
	for (size_t i = 0; i < CM_COUNT(results); i++)
		if (results[i].err == err)
			return results[i].result;
	return -EIO;
}

static const struct {
	int result;
	const char *text;
} words[] = {
	{ 0, "done" },
	{ -ECONNREFUSED, "cardmapd does not run here" },
	{ -ECONNRESET, "cardmapd went away" },
	{ -EACCES, "cardmapd does not let this program ask" },
	{ -ETIMEDOUT, "cardmapd did not answer in time" },
	{ -EPROTO, "what answered is not cardmapd" },
	{ -EINVAL, "this cannot be asked now, or in this way" },
	{ -EAGAIN, "this is asked for no more" },
	{ -EPERM, "it is the PIN's last try" },
	{ -ENOMEM, "no memory is left" },
	{ -ECANCELED, "given up" },
};

const char *
cardmap_error(int result)
{
	for (size_t i = 0; i < CM_COUNT(words); i++)
		if (words[i].result == result)
			return words[i].text;
	return "the system refused";
}

/* ---- to begin */

int
cm_client_connect(const char *path, uid_t owner, cm_deadline deadline, struct cm_wire **out)
{
	enum cm_err err = cm_wire_connect(path, &limits, deadline, out);
	uid_t uid;

	if (err != CM_OK)
		return err != CM_ERR_OFFLINE ? cm_client_errno(err) : cm_deadline_passed(deadline) ? -ETIMEDOUT : -ECONNREFUSED;
	/* Who listens there decides who gets in: nobody but root, and for a service of one's own oneself. */
	uid = cm_wire_peer(*out).uid;
	if (uid == 0 || uid == owner)
		return 0;
	cm_wire_free(out);
	return -EPROTO;
}

static bool
set_text(json_t *parameters, const char *name, const char *text)
{
	return text == NULL || text[0] == '\0' || json_object_set_new(parameters, name, json_string(text)) == 0;
}

/* CM_ERR_USAGE: a text that is no UTF-8. */
static enum cm_err
make_call(const struct cardmap_request *r, bool secret, struct cm_buf *out)
{
	json_t *parameters = json_object();
	struct cm_varlink_call call = { .method = (char[]){ CM_CLIENT_INTERFACE ".Begin" }, .parameters = parameters, .more = true };
	enum cm_err err = parameters == NULL ? CM_ERR_NOMEM : CM_ERR_USAGE;

	if (parameters != NULL && set_text(parameters, "user", r->user) && set_text(parameters, "service", r->service) &&
	    set_text(parameters, "tty", r->tty) && set_text(parameters, "rhost", r->rhost) &&
	    set_text(parameters, "reader", r->reader) && set_text(parameters, "purpose", r->purpose) &&
	    (!secret || json_object_set_new(parameters, "secret", json_true()) == 0))
		err = cm_varlink_call_write(&call, out);
	json_decref(parameters);
	return err;
}

static int
send_begin(struct cardmap_login *l, const struct cardmap_request *r)
{
	const cm_deadline deadline = cm_deadline_in(BEGIN_MS);
	struct cm_buf text = { 0 };
	int result = cm_client_errno(make_call(r, l->wants_secret, &text));

	if (result == 0 && (result = cm_client_connect(l->path, l->owner, deadline, &l->wire)) == 0) {
		const enum cm_err err = cm_wire_send(l->wire, cm_buf_blob(&text), NULL, 0, deadline);

		result = err == CM_ERR_OFFLINE && cm_wire_end(l->wire) == CM_WIRE_OPEN ? -ETIMEDOUT : cm_client_errno(err);
		l->first = cm_deadline_in(BEGIN_MS);
	}
	cm_buf_free(&text);
	return result;
}

static int
begin(const char *run_dir, uid_t owner, const struct cardmap_request *r, struct cardmap_login **out)
{
	struct cardmap_login *l;
	int result = -ENOMEM;

	*out = NULL;
	/* A size of a later version has members that nobody here knows: what they ask for would be left out in silence. */
	if (r->size != sizeof(*r) && r->size != offsetof(struct cardmap_request, secret))
		return -EINVAL;
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return result;
	l->owner = owner;
	l->secret = -1;
	l->wants_secret = r->size == sizeof(*r) && r->secret;
	cm_client_state_clear(&l->now);
	if (asprintf(&l->path, "%s/%s", run_dir, SOCKET) < 0)
		l->path = NULL;
	else
		result = send_begin(l, r);
	if (result == 0)
		*out = l;
	else
		cardmap_free(l);
	return result;
}

int
cardmap_begin(const struct cardmap_request *r, struct cardmap_login **out)
{
	return begin(RUN_DIR, 0, r, out);
}

int
cardmap_begin_at(const char *run_dir, const struct cardmap_request *r, struct cardmap_login **out)
{
	return begin(run_dir, geteuid(), r, out);
}

void
cardmap_free(struct cardmap_login *l)
{
	if (l == NULL)
		return;
	/* Ended, and not only closed: a child that was forked meanwhile may hold the descriptor too. */
	if (l->wire != NULL)
		cm_wire_give_up(l->wire);
	cm_wire_free(&l->wire);
	cm_client_state_clear(&l->now);
	if (l->secret >= 0)
		close(l->secret);
	free(l->path);
	free(l);
}

/* ---- to wait */

/* An error of the interface: only one of them is the service's word on this login. */
static int
judge_error(struct cardmap_login *l, const struct cm_varlink_reply *reply)
{
	int result;

	if (strcmp(reply->error, CM_VARLINK_PERMISSION_DENIED) == 0)
		return -EACCES;
	if (strcmp(reply->error, CM_CLIENT_INTERFACE ".NotAllowed") != 0)
		return -EPROTO;
	cm_client_state_clear(&l->now);
	result = cm_client_state_denied(reply->parameters, &l->now);
	return result != 0 ? result : -EACCES;
}

static bool
is_end(enum cardmap_state state)
{
	return state == CARDMAP_GRANTED || state == CARDMAP_REFUSED;
}

/* The first reply gives the handle; one that changed would be another login's. */
static int
take_handle(struct cardmap_login *l, const char *handle)
{
	if (!l->any)
		memcpy(l->handle, handle, strlen(handle) + 1);	/* cm_client_state_read() bounds it */
	return strcmp(l->handle, handle) == 0 ? 0 : -EPROTO;
}

static int
take_reply(struct cardmap_login *l, const struct cm_varlink_reply *reply)
{
	const char *handle;
	int result;

	if (reply->error != NULL)
		return judge_error(l, reply);
	cm_client_state_clear(&l->now);
	if ((result = cm_client_state_read(reply->parameters, &l->now, &handle)) == 0 &&
	    (result = take_handle(l, handle)) == 0 && is_end(l->now.state) == reply->continues)
		result = -EPROTO;	/* the last state is the last reply, and no other is */
	l->any = result == 0;
	if (result == 0 && l->wants_secret && l->now.state == CARDMAP_GRANTED)
		l->secret = cm_wire_take_descriptor(l->wire);	/* others are closed with the wire */
	return result;
}

static int
receive(struct cardmap_login *l, cm_deadline deadline)
{
	struct cm_varlink_reply reply = { 0 };
	struct cm_blob message;
	enum cm_err err = cm_wire_receive(l->wire, deadline, &message);
	int result;

	if (err == CM_ERR_OFFLINE && cm_wire_end(l->wire) == CM_WIRE_OPEN)
		return -ETIMEDOUT;
	if (err == CM_OK)
		err = cm_varlink_reply_parse(message, &reply);
	result = err == CM_OK ? take_reply(l, &reply) : cm_client_errno(err);
	cm_varlink_reply_free(&reply);
	return result;
}

/* No error leaves a state that could be taken for an answer; who may not ask keeps why. */
static void
end(struct cardmap_login *l, int result)
{
	l->over = true;
	l->result = result;
	if (result != 0 && result != -EACCES)
		cm_client_state_clear(&l->now);
	cm_wire_give_up(l->wire);
}

/* No state in time is no end, but for the first one: nobody waits there. */
static bool
is_over(const struct cardmap_login *l, int result)
{
	if (result == -ETIMEDOUT)
		return !l->any && cm_deadline_passed(l->first);
	return result != 0 || is_end(l->now.state);
}

int
cardmap_next(struct cardmap_login *l, int timeout_ms, enum cardmap_state *state)
{
	const unsigned ms = timeout_ms < 0 || timeout_ms > CARDMAP_PATIENCE ? CARDMAP_PATIENCE : (unsigned)timeout_ms;
	const cm_deadline asked = cm_deadline_in(ms);
	int result = l->result;

	*state = CARDMAP_REFUSED;	/* for who does not look at the result */
	if (!l->over && is_over(l, result = receive(l, l->any ? asked : cm_deadline_earlier(asked, l->first))))
		end(l, result);
	if (result == 0)
		*state = l->now.state;
	return result;
}

int
cardmap_fd(const struct cardmap_login *l)
{
	return cm_wire_fd(l->wire);
}
