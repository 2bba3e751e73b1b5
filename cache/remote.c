/*
 * cache/remote.c - a store that another process has: asked over its socket, so that whoever maps cards opens no file of root's.
 *
 * One connection for what logins ask and another for what they learn, each with
 * a lock; both are made again when they end.  What is known to be revoked comes
 * once, and then only when it has changed; what is good, of a chain.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/net.h"
#include "cache/store_wire_internal.h"

/* The store may wait two seconds for another process (cache/accounts.c), and a disk for longer. */
#define ANSWER_MS	5000
#define DOWN_MS		1000	/* ... who may do without does not wait again for so long */

/* What the store knew at a version of it; shared by all memories that borrow from it. */
struct cm_snapshot {
	unsigned users;			/* under snapshot_lock of the remote */
	struct cm_remote *remote;
	int64_t version[2];
	struct cm_store_clock clock;
	struct cm_evidence *evidence;
	struct cm_source *sources;
	size_t count, source_count;
};

struct line {
	pthread_mutex_t lock;
	int fd;				/* -1: not connected */
	uint8_t *buffer;		/* CM_STORE_WIRE_MAX */
	bool ended;			/* by the other side, before it answered */
	cm_deadline down_until;		/* it did not answer; only where that is to be remembered */
};

struct cm_remote {
	char *path;
	unsigned answer_ms;		/* 0: as long as ever */
	struct line asking, learning;
	pthread_mutex_t snapshot_lock;
	struct cm_snapshot *snapshot;	/* of the asking line as it is connected */
	cm_deadline unpaired_until;	/* under the asking line's lock: there is no pairing at all, or */
	cm_deadline paired_until;	/* ... there is some, and that need not be asked again */
};

/* ---- the connection */

static enum cm_err
unreachable(const struct cm_remote *r, struct cm_trace *t, const char *doing, int error)
{
	return cm_trace_fail(t, CM_REASON_STORE, "%s: %s: %s", r->path, doing, strerror(error));
}

static void
hang_up(struct line *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

static enum cm_err
ensure_connected(const struct cm_remote *r, struct line *l, struct cm_trace *t)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (l->fd >= 0)
		return CM_OK;
	if (strlen(r->path) >= sizeof(to.sun_path))
		return unreachable(r, t, "connecting", ENAMETOOLONG);
	memcpy(to.sun_path, r->path, strlen(r->path));
	if ((l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) < 0)
		return unreachable(r, t, "connecting", errno);
	if (connect(l->fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
		const int error = errno;

		hang_up(l);
		return unreachable(r, t, "connecting", error);
	}
	return CM_OK;
}

static enum cm_err
send_request(const struct cm_remote *r, struct line *l, const struct cm_buf *request, struct cm_trace *t)
{
	enum cm_err err;

	if ((err = cm_buf_status(request)) != CM_OK)
		return err == CM_ERR_NOMEM ? err : unreachable(r, t, "asking", EMSGSIZE);
	if ((err = ensure_connected(r, l, t)) != CM_OK)
		return err;
	if (send(l->fd, request->ptr, request->len, MSG_NOSIGNAL) == (ssize_t)request->len)
		return CM_OK;
	l->ended = errno == EPIPE || errno == ECONNRESET;
	return unreachable(r, t, "asking", errno);
}

/* A datagram of the reply: *g is behind its head, borrowed from the line until the next one. */
static enum cm_err
receive(const struct cm_remote *r, struct line *l, cm_deadline deadline, struct cm_trace *t, struct cm_got *g)
{
	const int error = cm_net_wait(l->fd, POLLIN, deadline);
	ssize_t n;

	if (error != 0)
		return unreachable(r, t, "waiting for the answer", error);
	if ((n = recv(l->fd, l->buffer, CM_STORE_WIRE_MAX, MSG_TRUNC)) <= 0) {
		l->ended = n == 0 || errno == ECONNRESET;
		return unreachable(r, t, "waiting for the answer", n == 0 ? ECONNRESET : errno);
	}
	*g = (struct cm_got){ .left = { l->buffer, (size_t)n } };
	return (size_t)n > CM_STORE_WIRE_MAX ? unreachable(r, t, "reading the answer", EMSGSIZE) : CM_OK;
}

static enum cm_err
malformed(const struct cm_remote *r, struct cm_trace *t)
{
	return cm_trace_fail(t, CM_REASON_STORE, "%s: the answer is none to what was asked", r->path);
}

/* How it ended stands before the fields; a result and a reason that do not go together are no answer. */
static enum cm_err
read_head(const struct cm_remote *r, uint8_t kind, struct cm_got *g, struct cm_trace *t, bool *more)
{
	const bool same = cm_get_byte(g) == kind;
	const uint8_t err = cm_get_byte(g), low = cm_get_byte(g), high = cm_get_byte(g);
	const unsigned reason = low | (unsigned)high << 8;
	char *text = cm_get_text(g, 2048);
	enum cm_err result;

	*more = cm_get_byte(g) != 0;
	if (g->bad || !same || reason >= CM_REASON_COUNT)
		result = malformed(r, t);
	else if (err == CM_OK || (reason == CM_REASON_NONE && (err == CM_ERR_ABSENT || err == CM_ERR_NOMEM || err == CM_ERR_STATE)))
		result = (enum cm_err)err;
	else if (reason != CM_REASON_NONE && cm_reason_err((enum cm_reason)reason) == (enum cm_err)err)
		result = cm_trace_fail(t, (enum cm_reason)reason, "%s", text);
	else
		result = malformed(r, t);
	free(text);
	return result;
}

static enum cm_err
ask_once(const struct cm_remote *r, struct line *l, const struct cm_remote_question *q, struct cm_trace *t)
{
	const cm_deadline deadline = q->deadline != 0 ? q->deadline :
	    cm_deadline_in(r->answer_ms != 0 ? r->answer_ms : ANSWER_MS);
	struct cm_got g = { .bad = true };
	enum cm_err err, result = CM_OK;
	bool more = true, some = false;

	l->ended = false;
	if ((err = send_request(r, l, &q->request, t)) != CM_OK)
		goto out;
	while (result == CM_OK && more) {
		if ((err = receive(r, l, deadline, t, &g)) != CM_OK)
			goto out;
		some = true;
		if ((result = read_head(r, q->request.ptr[0], &g, t, &more)) == CM_OK && q->take != NULL)
			result = q->take(&g, q->out);
		if (result == CM_OK && !cm_got_all(&g))
			err = malformed(r, t);
		if (err != CM_OK)
			goto out;
	}
	return result;
out:
	l->ended = l->ended && !some;
	hang_up(l);	/* an answer might yet come, to another question */
	return err;
}

/* A connection that the other side ended before it answered is made again, once: all requests may be said twice. */
static enum cm_err
ask(struct cm_remote *r, struct line *l, struct cm_remote_question *q, struct cm_trace *t)
{
	enum cm_err err;

	if (!cm_deadline_passed(l->down_until))
		err = unreachable(r, t, "asking", ETIMEDOUT);
	else if ((err = ask_once(r, l, q, t)) == CM_ERR_SYSTEM && l->ended)
		err = ask_once(r, l, q, t);
	/* hung up: it was the connection, and no answer that told of a failure */
	if (err == CM_ERR_SYSTEM && l->fd < 0 && r->answer_ms != 0 && cm_deadline_passed(l->down_until))
		l->down_until = cm_deadline_in(DOWN_MS);
	cm_buf_free(&q->request);
	return err;
}

static enum cm_err
ask_locked(struct cm_remote *r, struct line *l, struct cm_remote_question *q, struct cm_trace *t)
{
	enum cm_err err;

	pthread_mutex_lock(&l->lock);
	err = ask(r, l, q, t);
	pthread_mutex_unlock(&l->lock);
	return err;
}

void
cm_remote_begin(struct cm_remote_question *q, enum cm_store_request kind)
{
	cm_buf_init(&q->request, CM_STORE_WIRE_MAX);
	cm_buf_add_byte(&q->request, (uint8_t)kind);
}

enum cm_err
cm_remote_learn(struct cm_remote *r, struct cm_remote_question *q, struct cm_trace *t)
{
	return ask_locked(r, &r->learning, q, t);
}

/* ---- made and ended */

static bool
line_init(struct line *l)
{
	l->fd = -1;
	pthread_mutex_init(&l->lock, NULL);
	return (l->buffer = malloc(CM_STORE_WIRE_MAX)) != NULL;
}

static void
line_clear(struct line *l)
{
	hang_up(l);
	pthread_mutex_destroy(&l->lock);
	free(l->buffer);
}

enum cm_err
cm_remote_new(const struct cm_accounts_options *o, struct cm_remote **out)
{
	struct cm_remote *r = calloc(1, sizeof(*r));
	enum cm_err err = CM_ERR_NOMEM;
	bool lines;

	*out = NULL;
	if (r == NULL)
		return err;
	pthread_mutex_init(&r->snapshot_lock, NULL);
	r->path = strdup(o->path);
	r->answer_ms = o->answer_ms;
	lines = line_init(&r->asking);
	if (line_init(&r->learning) && lines && r->path != NULL)
		err = CM_OK;
	if (err == CM_OK)
		*out = r;
	else
		cm_remote_free(&r);
	return err;
}

void
cm_remote_free(struct cm_remote **r)
{
	if (*r == NULL)
		return;
	cm_snapshot_release(&(*r)->snapshot);
	line_clear(&(*r)->asking);
	line_clear(&(*r)->learning);
	pthread_mutex_destroy(&(*r)->snapshot_lock);
	free((*r)->path);
	free(*r);
	*r = NULL;
}

/* ---- what is known of revocation */

void
cm_snapshot_release(struct cm_snapshot **n)
{
	struct cm_snapshot *old = *n;
	bool last;

	*n = NULL;
	if (old == NULL)
		return;
	pthread_mutex_lock(&old->remote->snapshot_lock);
	last = --old->users == 0;
	pthread_mutex_unlock(&old->remote->snapshot_lock);
	if (!last)
		return;
	free(old->evidence);
	free(old->sources);
	free(old);
}

struct recall {
	struct cm_snapshot *made;
	bool same;	/* as what is known */
};

static bool
make_room(void **rows, size_t count, size_t more, size_t size)
{
	void *larger = more > 0 ? reallocarray(*rows, count + more, size) : *rows;

	if (more > 0 && larger != NULL)
		*rows = larger;
	return more == 0 || larger != NULL;
}

/* version same clock count evidence... count source... */
static enum cm_err
take_recall(struct cm_got *g, void *out)
{
	struct recall *k = out;
	struct cm_snapshot *n = k->made;
	size_t count;

	n->version[0] = cm_get_number(g);
	n->version[1] = cm_get_number(g);
	k->same = cm_get_byte(g) == 1;
	cm_get_clock(g, &n->clock);
	count = (size_t)cm_get_number(g);
	g->bad = g->bad || count > CM_STORE_WIRE_MAX;
	if (!g->bad && !make_room((void **)&n->evidence, n->count, count, sizeof(*n->evidence)))
		return CM_ERR_NOMEM;
	for (; count > 0 && !g->bad; count--)
		cm_get_evidence(g, &n->evidence[n->count++]);
	count = (size_t)cm_get_number(g);
	g->bad = g->bad || count > CM_STORE_WIRE_MAX;
	if (!g->bad && !make_room((void **)&n->sources, n->source_count, count, sizeof(*n->sources)))
		return CM_ERR_NOMEM;
	for (; count > 0 && !g->bad; count--)
		cm_get_source(g, &n->sources[n->source_count++]);
	return CM_OK;
}

static enum cm_err
ask_snapshot(struct cm_remote *r, struct recall *k, struct cm_trace *t)
{
	struct cm_remote_question q = { .take = take_recall, .out = k };

	*k->made = (struct cm_snapshot){ .users = 1, .remote = r };
	cm_remote_begin(&q, CM_STORE_RECALL);
	cm_put_number(&q.request, r->snapshot != NULL ? r->snapshot->version[0] : 0);
	cm_put_number(&q.request, r->snapshot != NULL ? r->snapshot->version[1] : 0);
	return ask(r, &r->asking, &q, t);
}

/* Under the asking line's lock. */
static enum cm_err
renew_snapshot(struct cm_remote *r, struct cm_trace *t)
{
	struct recall k = { .made = calloc(1, sizeof(*k.made)) };
	enum cm_err err;

	if (k.made == NULL)
		return CM_ERR_NOMEM;
	err = ask_snapshot(r, &k, t);
	if (err == CM_OK && k.same && r->snapshot == NULL)
		err = malformed(r, t);
	if (err == CM_OK && !k.same) {
		cm_snapshot_release(&r->snapshot);
		r->snapshot = k.made;
		return CM_OK;
	}
	free(k.made->evidence);
	free(k.made->sources);
	free(k.made);
	return err;
}

static enum cm_err
borrow_snapshot(struct cm_remote *r, struct cm_trace *t, struct cm_snapshot **out)
{
	enum cm_err err;

	pthread_mutex_lock(&r->asking.lock);
	if ((err = renew_snapshot(r, t)) == CM_OK) {
		pthread_mutex_lock(&r->snapshot_lock);
		r->snapshot->users++;
		pthread_mutex_unlock(&r->snapshot_lock);
		*out = r->snapshot;
	}
	pthread_mutex_unlock(&r->asking.lock);
	return err;
}

enum cm_err
cm_remote_recall(const struct cm_accounts *s, time_t now, struct cm_trace *t, struct cm_memory **out)
{
	struct cm_memory *m = calloc(1, sizeof(*m));
	enum cm_err err = CM_ERR_NOMEM;

	if (m != NULL && (err = borrow_snapshot(s->remote, t, &m->snapshot)) == CM_OK &&
	    (err = cm_remote_keeping_new(s, &m->keeper, &m->remote_keeping)) == CM_OK) {
		m->known = (struct cm_known){ .evidence = m->snapshot->evidence, .count = m->snapshot->count,
			.sources = m->snapshot->sources, .source_count = m->snapshot->source_count };
		cm_memory_date(m, &m->snapshot->clock, now);
		*out = m;
		m = NULL;
	}
	cm_memory_free(&m);
	return err;
}

static enum cm_err
take_evidence(struct cm_got *g, void *out)
{
	cm_get_evidence(g, out);
	return CM_OK;
}

enum cm_err
cm_remote_find_evidence(const struct cm_accounts *s, struct cm_blob issuer_key, struct cm_blob serial, struct cm_trace *t,
    struct cm_evidence *out)
{
	struct cm_remote_question q = { .take = take_evidence, .out = out };

	cm_remote_begin(&q, CM_STORE_FIND_EVIDENCE);
	cm_put_octets(&q.request, issuer_key);
	cm_put_octets(&q.request, serial);
	return ask_locked(s->remote, &s->remote->asking, &q, t);
}

/* ---- accounts and pairings */

struct found {
	struct cm_account *account;
	int64_t age;
};

static enum cm_err
take_account(struct cm_got *g, void *out)
{
	struct found *f = out;

	f->account = cm_get_account(g);
	f->age = cm_get_number(g);
	if (!cm_got_all(g))
		cm_account_free(&f->account);
	return CM_OK;
}

enum cm_err
cm_remote_find(const struct cm_accounts *s, const struct cm_cert *c, time_t now, struct cm_trace *t,
    struct cm_account **out, int64_t *age_s)
{
	struct found f = { .age = 0 };
	struct cm_remote_question q = { .take = take_account, .out = &f };
	enum cm_err err;

	cm_remote_begin(&q, CM_STORE_FIND);
	cm_put_octets(&q.request, cm_cert_der(c));
	cm_put_number(&q.request, now);
	err = ask_locked(s->remote, &s->remote->asking, &q, t);
	if (err == CM_ERR_ABSENT)
		return cm_accounts_not_kept(c, t);
	if (err == CM_OK && (err = cm_account_check(f.account, &s->limits, t)) == CM_OK) {
		*out = f.account;
		*age_s = f.age;
		return CM_OK;
	}
	cm_account_free(&f.account);
	return err;
}

enum cm_err
cm_remote_withdraw(const struct cm_accounts *s, const struct cm_cert *c, const char *name, int64_t uid, struct cm_trace *t)
{
	struct cm_remote_question q = { .take = NULL };

	cm_remote_begin(&q, name == NULL ? CM_STORE_WITHDRAW : uid < 0 ? CM_STORE_WITHDRAW_USER : CM_STORE_WITHDRAW_OTHERS);
	cm_put_octets(&q.request, cm_cert_sha256(c));
	if (name != NULL)
		cm_put_text(&q.request, name);
	if (name != NULL && uid >= 0)
		cm_put_number(&q.request, uid);
	return ask_locked(s->remote, &s->remote->asking, &q, t);
}

static enum cm_err
take_pairing(struct cm_got *g, void *out)
{
	struct cm_pairing *p = out;

	cm_get_pairing(g, p);
	if (!cm_got_all(g))
		cm_pairing_clear(p);
	return CM_OK;
}

static enum cm_err
take_number(struct cm_got *g, void *out)
{
	*(int64_t *)out = cm_get_number(g);
	return CM_OK;
}

/* That most computers have no pairing is worth knowing for a moment: it saves a question about each card. */
static bool
is_unpaired(const struct cm_accounts *s)
{
	struct cm_remote *r = s->remote;
	struct cm_remote_question q = { .take = take_number };
	int64_t any = 1;
	bool none;

	if (s->unpaired_ms == 0)
		return false;
	pthread_mutex_lock(&r->asking.lock);
	if (cm_deadline_passed(r->unpaired_until) && cm_deadline_passed(r->paired_until)) {
		q.out = &any;
		cm_remote_begin(&q, CM_STORE_ANY_PAIRING);
		if (ask(r, &r->asking, &q, NULL) == CM_OK)
			*(any == 0 ? &r->unpaired_until : &r->paired_until) = cm_deadline_in(s->unpaired_ms);
	}
	none = !cm_deadline_passed(r->unpaired_until);
	pthread_mutex_unlock(&r->asking.lock);
	return none;
}

enum cm_err
cm_remote_pairing(const struct cm_accounts *s, const uint8_t hash[20], struct cm_trace *t, struct cm_pairing *out)
{
	struct cm_remote_question q = { .take = take_pairing, .out = out };
	enum cm_err err;

	*out = (struct cm_pairing){ .user = NULL };
	if (is_unpaired(s))
		return CM_ERR_ABSENT;
	cm_remote_begin(&q, CM_STORE_PAIRING);
	cm_put_octets(&q.request, (struct cm_blob){ hash, 20 });
	if ((err = ask_locked(s->remote, &s->remote->asking, &q, t)) == CM_OK && memcmp(out->hash, hash, 20) != 0) {
		cm_pairing_clear(out);
		err = malformed(s->remote, t);
	}
	return err;
}

/* ---- selectors */

static enum cm_err
take_selected(struct cm_got *g, void *out)
{
	cm_buf_add_blob(out, cm_get_octets(g, 0, CM_STORE_SELECTED_MAX));
	return cm_buf_status(out);
}

/* On a connection of its own: nobody waits behind a program that takes its time. */
enum cm_err
cm_remote_select(const struct cm_accounts *s, const struct cm_selection *q, struct cm_trace *t, struct cm_buf *answer)
{
	struct cm_remote_question question = { .take = take_selected, .out = answer, .deadline = q->deadline };
	/* Its end is told, not waited for: it has the less time. */
	const int left = cm_deadline_left(q->deadline), most = left - left / 8;
	struct line l;
	enum cm_err err = CM_ERR_NOMEM;

	cm_remote_begin(&question, CM_STORE_SELECT);
	cm_put_octets(&question.request, q->hashes);
	cm_put_text(&question.request, q->user);
	cm_put_number(&question.request, most < 1 ? 1 : most > CM_STORE_SELECT_MS ? CM_STORE_SELECT_MS : most);
	l = (struct line){ .fd = -1 };
	if (line_init(&l))
		err = ask(s->remote, &l, &question, t);
	else
		cm_buf_free(&question.request);
	line_clear(&l);
	return err;
}
