/* cardmapd/login.c - a login that somebody has begun: what he is told, and what he answers. */
#include "cardmapd/login.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/closing.h"
#include "cardmapd/entrance.h"
#include "cardmapd/match.h"
#include "cardmapd/record.h"
#include "cardmapd/session.h"
#include "cardmapd/untold.h"
#include "service/answer.h"

#define PROVEN_MAX	64
#define PROVEN_US	((int64_t)600 * 1000000)	/* an account phase follows soon, or is somebody else's */

struct proven {
	char *user;
	pid_t pid;
	uid_t uid;
	int pidfd;
	int64_t at_us;
};

struct cm_logins {
	struct cm_daemon *daemon;
	struct cm_attempt *first;
	struct proven proven[PROVEN_MAX];
	size_t proven_at;		/* the oldest, to be written over */
};

static const char *const state_names[] = {
	[CM_ATTEMPT_NONE] = "begun", [CM_ATTEMPT_CARD] = "card", [CM_ATTEMPT_READING] = "reading",
	[CM_ATTEMPT_CHOOSE] = "choose", [CM_ATTEMPT_PIN] = "pin", [CM_ATTEMPT_WORKING] = "working", [CM_ATTEMPT_GRANTED] = "granted",
	[CM_ATTEMPT_REFUSED] = "refused",
};

const char *
cm_attempt_state_name(enum cm_attempt_state state)
{
	return state_names[state];
}

/* ---- telling */

static void
set_why(json_t *o, enum cm_reason reason, const char *text)
{
	if (reason == CM_REASON_NONE)
		return;
	cm_answer_add_text(o, "reason", cm_reason_name(reason));
	cm_answer_add_text(o, "text", text);
	cm_answer_add_text(o, "remedy", cm_reason_remedy(reason));
}

static json_t *
describe(struct cm_attempt *a, const struct cm_told *t)
{
	json_t *o = json_pack("{s:s, s:s}", "handle", a->handle, "state", state_names[t->state]);

	if (o == NULL)
		return NULL;
	cm_answer_add_text(o, "name", t->name);
	cm_answer_add_text(o, "user", t->user);
	cm_answer_add_text(o, "reader", t->reader);
	if (t->online != CM_LOG_NOT_SAID)
		json_object_set_new(o, "online", json_boolean(t->online == CM_LOG_ONLINE));
	if (t->has_tries)
		json_object_set_new(o, "tries", json_integer(t->tries));
	if (t->state == CM_ATTEMPT_PIN) {
		json_object_set_new(o, "last_try", json_boolean(t->last_try));
		json_object_set_new(o, "pad", json_boolean(t->pad));
	}
	set_why(o, t->reason, t->text);
	if (a->may_use_password)
		json_object_set_new(o, "may_use_password", json_true());
	return o;
}

/* What was wrong with the last answer is told with the next question. */
static void
add_why(struct cm_attempt *a, json_t *o, enum cm_attempt_state state)
{
	if (a->why == NULL || (state != CM_ATTEMPT_PIN && state != CM_ATTEMPT_CHOOSE))
		return;
	if (json_object_get(o, "reason") == NULL)
		json_object_update(o, a->why);
	json_decref(a->why);
	a->why = NULL;
}

void
cm_attempt_tell_locked(struct cm_attempt *a, const struct cm_told *t)
{
	json_t *o = a->ended ? NULL : describe(a, t);

	if (o != NULL) {
		add_why(a, o, t->state);
		if (t->choices != NULL)
			json_object_set(o, "choices", t->choices);
		if (t->grant != NULL)
			json_object_set(o, "grant", t->grant);
		json_array_append_new(a->out, o);
		a->state = t->state;
		a->reason = t->reason;
		a->ended = t->state == CM_ATTEMPT_GRANTED || t->state == CM_ATTEMPT_REFUSED;
	}
	json_decref(t->choices);
	json_decref(t->grant);
	cm_daemon_wake(a->daemon);
}

void
cm_attempt_tell(struct cm_attempt *a, const struct cm_told *t)
{
	pthread_mutex_lock(&a->daemon->lock);
	cm_attempt_tell_locked(a, t);
	pthread_mutex_unlock(&a->daemon->lock);
}

void
cm_attempt_settle(struct cm_attempt *a, bool may_use_password)
{
	json_t *told;
	size_t i;

	pthread_mutex_lock(&a->daemon->lock);
	a->may_use_password = may_use_password;
	a->unsettled = false;
	if (may_use_password)
		json_array_foreach(a->out, i, told)
			json_object_set_new(told, "may_use_password", json_true());
	pthread_mutex_unlock(&a->daemon->lock);
	cm_daemon_wake(a->daemon);
}

struct cm_log_entry
cm_attempt_entry(const struct cm_attempt *a, enum cm_reason reason, const char *text)
{
	return (struct cm_log_entry){
		.event = a->purpose == CM_PURPOSE_PAIR ? "pair" : "login", .err = cm_reason_err(reason), .reason = reason, .text = text, .user = a->user,
		.uid = CM_LOG_NO_UID, .reader = a->reader, .service = a->service, .rhost = a->rhost, .tty = a->tty,
	};
}

void
cm_attempt_refuse(struct cm_attempt *a, const struct cm_log_entry *e)
{
	bool ended;

	pthread_mutex_lock(&a->daemon->lock);
	ended = a->ended;
	pthread_mutex_unlock(&a->daemon->lock);
	if (ended)
		return;
	cm_record_write(a->daemon->record, e);
	cm_attempt_tell(a, &(struct cm_told){ .state = CM_ATTEMPT_REFUSED, .user = e->user, .reader = e->reader,
	    .online = e->online, .reason = e->reason, .text = e->text });
}

json_t *
cm_attempt_grant(const struct cm_granting *g)
{
	const struct cm_account *a = g->account;
	json_t *o = json_pack("{s:I, s:I, s:b, s:o}", "uid", (json_int_t)a->uid, "gid", (json_int_t)a->gid,
	    "online", g->kept_age < 0, "warnings", g->warnings != NULL ? g->warnings : json_array());
	const struct {
		const char *key, *text;
	} texts[] = {
		{ "user", a->name }, { "home", a->home }, { "shell", a->shell }, { "gecos", a->gecos },
		{ "serial", g->serial }, { "subject", g->subject },
	};

	/* These are not optional: "" where there is none. */
	for (size_t i = 0; o != NULL && i < CM_COUNT(texts); i++)
		cm_answer_set_text(o, texts[i].key, texts[i].text);
	cm_answer_add_text(o, "ccache", g->ccache);
	cm_answer_add_text(o, "ccache_later", g->ccache_later);
	cm_answer_add_text(o, "principal", a->principal);
	if (o != NULL && g->kept_age >= 0)
		json_object_set_new(o, "kept_age", json_integer(g->kept_age));
	return o;
}

/* ---- answers */

void
cm_answer_clear(struct cm_answer *a)
{
	cm_closing_give(a->closing, a->whose, a->fds, CM_COUNT(a->fds));
	free(a->choice);
	*a = (struct cm_answer){ .fds = { -1, -1 } };
}

bool
cm_attempt_take_answer(struct cm_attempt *a, struct cm_answer *out)
{
	if (!a->answer.there)
		return false;
	*out = a->answer;
	a->answer = (struct cm_answer){ .fds = { -1, -1 } };
	return true;
}

void
cm_attempt_cancel(struct cm_attempt *a)
{
	pthread_mutex_lock(&a->daemon->lock);
	a->cancelled = true;
	cm_answer_clear(&a->answer);
	/* Before a PIN was handed on nothing is asked for this login alone: the card stays as it is, for the next. */
	if (a->session != NULL)
		cm_session_wake(a->session, a->state == CM_ATTEMPT_WORKING);
	pthread_mutex_unlock(&a->daemon->lock);
	cm_daemon_wake(a->daemon);
}

/* ---- all of them */

enum cm_err
cm_logins_new(struct cm_daemon *d, struct cm_logins **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	(*out)->daemon = d;
	for (size_t i = 0; i < PROVEN_MAX; i++)
		(*out)->proven[i].pidfd = -1;
	return CM_OK;
}

static void
free_attempt(struct cm_attempt *a)
{
	cm_entrance_free(&a->entrance);
	cm_answer_clear(&a->answer);
	cm_account_free(&a->pairs);
	if (a->pidfd >= 0)
		close(a->pidfd);
	if (a->secret >= 0)
		close(a->secret);
	cm_untold_told(&a->untold);
	json_decref(a->out);
	json_decref(a->why);
	free(a->user);
	free(a->service);
	free(a->rhost);
	free(a->tty);
	free(a->reader);
	free(a->chosen);
	cm_list_free(&a->tried);
	free(a);
}

static void
forget_proven(struct proven *p)
{
	if (p->pidfd >= 0)
		close(p->pidfd);
	free(p->user);
	*p = (struct proven){ .pidfd = -1 };
}

void
cm_logins_free(struct cm_logins **l)
{
	if (*l == NULL)
		return;
	while ((*l)->first != NULL) {
		struct cm_attempt *a = (*l)->first;

		(*l)->first = a->next;
		free_attempt(a);
	}
	for (size_t i = 0; i < PROVEN_MAX; i++)
		forget_proven(&(*l)->proven[i]);
	free(*l);
	*l = NULL;
}

/* The process that asks is held from here on: its number may become another's. */
static int
hold_peer(const struct cm_client *c)
{
	const int fd = cm_wire_peer_pidfd(c->wire);

	return fd >= 0 ? fd : (int)syscall(SYS_pidfd_open, c->peer.pid, 0);
}

static bool
is_alive(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return pidfd < 0 || poll(&p, 1, 0) == 0;
}

struct cm_attempt *
cm_logins_add(struct cm_logins *l, struct cm_client *c)
{
	struct cm_attempt *a = calloc(1, sizeof(*a));
	uint8_t random[CM_HANDLE_OCTETS];
	struct cm_buf hex = { 0 };

	if (a == NULL || getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random) || (a->out = json_array()) == NULL) {
		free(a);
		return NULL;
	}
	cm_buf_add_hex(&hex, (struct cm_blob){ random, sizeof(random) });
	memcpy(a->handle, cm_buf_str(&hex), hex.len < CM_HANDLE_SIZE ? hex.len : CM_HANDLE_SIZE - 1);
	cm_buf_free(&hex);
	a->daemon = l->daemon;
	a->answer.fds[0] = a->answer.fds[1] = -1;
	a->secret = -1;
	a->pid = c->peer.pid;
	a->uid = c->peer.uid;
	a->pidfd = hold_peer(c);
	a->client = c;
	a->begun_us = cm_clock_us();
	a->card_due = cm_deadline_in(l->daemon->conf->service.wait);
	a->next = l->first;
	l->first = a;
	return a;
}

/* In time that does not depend on where two differ. */
static bool
is_handle(const char *a, const char *b)
{
	unsigned differ = strlen(b) != CM_HANDLE_SIZE - 1;

	for (size_t i = 0; differ == 0 && i < CM_HANDLE_SIZE - 1; i++)
		differ |= (unsigned char)a[i] ^ (unsigned char)b[i];
	return differ == 0;
}

struct cm_attempt *
cm_logins_find(const struct cm_logins *l, const char *handle, const struct cm_client *c)
{
	for (struct cm_attempt *a = l->first; a != NULL; a = a->next)
		if (is_handle(a->handle, handle))
			return a->pid == c->peer.pid && a->uid == c->peer.uid && is_alive(a->pidfd) ? a : NULL;
	return NULL;
}

const struct cm_attempt *
cm_logins_first(const struct cm_logins *l)
{
	return l->first;
}

/* ---- what was proven */

/* granted: the reply that lets it in. */
static void
note_proven(struct cm_logins *l, const struct cm_attempt *a, const json_t *granted)
{
	struct proven *p = NULL;
	const char *user = json_string_value(json_object_get(json_object_get(granted, "grant"), "user"));

	if (a->purpose != CM_PURPOSE_LOGIN || user == NULL || a->pidfd < 0)
		return;
	/* Of one process there is one; of those that have ended, none. */
	for (size_t i = 0; i < PROVEN_MAX; i++) {
		struct proven *other = &l->proven[i];

		if (other->user != NULL && (!is_alive(other->pidfd) || (other->pid == a->pid && other->uid == a->uid)))
			forget_proven(other);
		if (other->user == NULL)
			p = other;
	}
	if (p == NULL) {
		p = &l->proven[l->proven_at++ % PROVEN_MAX];
		forget_proven(p);
	}
	*p = (struct proven){ .user = strdup(user), .pid = a->pid, .uid = a->uid, .pidfd = dup(a->pidfd), .at_us = cm_clock_us() };
}

int64_t
cm_logins_proven_for(struct cm_logins *l, const struct cm_client *c, const char *user)
{
	for (size_t i = 0; i < PROVEN_MAX; i++) {
		struct proven *p = &l->proven[i];

		if (p->user != NULL && (cm_clock_us() - p->at_us > PROVEN_US || p->pidfd < 0 || !is_alive(p->pidfd)))
			forget_proven(p);
		else if (p->user != NULL && p->pid == c->peer.pid && p->uid == c->peer.uid && strcmp(p->user, user) == 0)
			return (cm_clock_us() - p->at_us) / 1000000;
	}
	return -1;
}

/* ---- the main thread's round */

void
cm_attempt_part(struct cm_attempt *a)
{
	a->sent_end = true;
	if (a->client != NULL)
		a->client->gone = NULL;
	a->client = NULL;
}

/* Replies in their order; the last one is the answer. */
static void
send_told(struct cm_logins *l, struct cm_attempt *a)
{
	json_t *out, *one;
	bool ended;
	size_t i;
	int secret;

	pthread_mutex_lock(&l->daemon->lock);
	if (a->unsettled) {
		pthread_mutex_unlock(&l->daemon->lock);
		return;
	}
	out = a->out;
	secret = a->secret;
	a->out = json_array();
	ended = a->ended;
	if (ended && a->state == CM_ATTEMPT_GRANTED && !a->sent_end && a->client != NULL)
		note_proven(l, a, json_array_get(out, json_array_size(out) - 1));
	pthread_mutex_unlock(&l->daemon->lock);
	json_array_foreach(out, i, one) {
		const bool last = ended && i + 1 == json_array_size(out);

		if (a->client == NULL || a->client->finished)
			break;
		if (last)
			cm_client_answer_with(a->client, json_incref(one), secret);
		else
			cm_client_continue(a->client, json_incref(one));
	}
	if (ended) {
		cm_untold_told(&a->untold);
		cm_attempt_part(a);
	}
	json_decref(out);
}

static bool
is_over(struct cm_attempt *a)
{
	bool over;

	pthread_mutex_lock(&a->daemon->lock);
	over = a->session == NULL && !cm_entrance_runs(a->entrance) && ((a->ended && a->sent_end) || a->cancelled);
	pthread_mutex_unlock(&a->daemon->lock);
	return over;
}

static void
let_go(struct cm_attempt *a)
{
	if (a->client != NULL)
		a->client->finished = true;
	cm_attempt_part(a);
	free_attempt(a);
}

static void
look_at_caller(struct cm_attempt *a)
{
	bool cancelled;

	pthread_mutex_lock(&a->daemon->lock);
	cancelled = a->cancelled || a->ended;
	pthread_mutex_unlock(&a->daemon->lock);
	if (!cancelled && (a->client == NULL || !is_alive(a->pidfd)))
		cm_attempt_cancel(a);
}

cm_deadline
cm_logins_next(const struct cm_logins *l)
{
	cm_deadline next = INT64_MAX;

	pthread_mutex_lock(&l->daemon->lock);
	for (const struct cm_attempt *a = l->first; a != NULL; a = a->next)
		if (a->session == NULL && !a->ended && !a->cancelled)
			next = cm_deadline_earlier(next, a->card_due);
	pthread_mutex_unlock(&l->daemon->lock);
	return next;
}

size_t
cm_logins_poll(const struct cm_logins *l, struct pollfd *p, size_t max)
{
	size_t n = 0;

	for (const struct cm_attempt *a = l->first; a != NULL && n < max; a = a->next)
		if (a->pidfd >= 0 && a->client != NULL)
			p[n++] = (struct pollfd){ .fd = a->pidfd, .events = POLLIN };
	return n;
}

void
cm_logins_stop(struct cm_logins *l)
{
	for (struct cm_attempt *a = l->first; a != NULL; a = a->next) {
		cm_attempt_tell(a, &(struct cm_told){ .state = CM_ATTEMPT_REFUSED, .reason = CM_REASON_CANCELLED,
		    .text = "the service stops" });
		send_told(l, a);
	}
}

void
cm_logins_look(struct cm_logins *l)
{
	struct cm_attempt **at = &l->first;

	for (struct cm_attempt *a = l->first; a != NULL; a = a->next) {
		look_at_caller(a);
		cm_match(a);
	}
	while (*at != NULL) {
		struct cm_attempt *a = *at;

		send_told(l, a);
		if (!is_over(a)) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		let_go(a);
	}
}
