/* cache/store_server.c - a store served to a process that is not believed: a table of what may be asked. */
#include "cache/store_server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/net.h"
#include "cache/store_wire_internal.h"

#define SEND_MS		5000		/* who takes no answer for so long is gone */
#define EVIDENCE_MOST	100000		/* rows; what more of it would do is fill the disk */
#define SOURCES_MOST	4000
#define PART		((size_t)96 << 10)	/* octets after which a reply goes on in another datagram */

struct server {
	int fd;
	struct cm_accounts *store;
	const struct cm_store_selector *selector;	/* NULL: there is none */
	struct cm_trace *trace;		/* of the caller: how the connection ended */
	struct cm_trace *asked;		/* of the requests */
	struct cm_keeping *keeping;	/* a connection of its own to the file */
	struct cm_keeper keeper;
	int64_t evidence_room, sources_room;	/* rows that may be added before they are counted again */
	int64_t session;		/* no other connection's versions are this one's */
	uint8_t *buffer;		/* CM_STORE_WIRE_MAX */
	struct cm_buf reply;
};

/* ---- replies */

/* The result, and that more follow, go where they belong once they are known. */
static void
begin_reply(struct server *v, uint8_t kind)
{
	cm_buf_truncate(&v->reply, 0);
	cm_buf_add_byte(&v->reply, kind);
	cm_buf_add(&v->reply, "\0\0", 3);	/* CM_OK, CM_REASON_NONE */
	cm_put_text(&v->reply, "");
	cm_buf_add_byte(&v->reply, 0);
}
#define MORE_AT	8	/* kind, err, reason, the length of no text */

static enum cm_err
send_reply(struct server *v)
{
	const cm_deadline deadline = cm_deadline_in(SEND_MS);
	enum cm_err err;

	if ((err = cm_buf_status(&v->reply)) != CM_OK)
		return err;
	for (;;) {
		if (send(v->fd, v->reply.ptr, v->reply.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)v->reply.len)
			return CM_OK;
		if (errno != EAGAIN && errno != EINTR)
			return errno == EPIPE || errno == ECONNRESET ? CM_ERR_OFFLINE : CM_ERR_SYSTEM;
		if (cm_net_wait(v->fd, POLLOUT, deadline) != 0)
			return CM_ERR_OFFLINE;
	}
}

static enum cm_err
send_part(struct server *v, uint8_t kind)
{
	enum cm_err err;

	if (cm_buf_status(&v->reply) == CM_OK)
		v->reply.ptr[MORE_AT] = 1;
	err = send_reply(v);
	begin_reply(v, kind);
	return err;
}

/* "No", or why it could not be: no fields. */
static void
tell_failure(struct server *v, uint8_t kind, enum cm_err err)
{
	const enum cm_reason reason = cm_trace_reason(v->asked);
	const bool said = reason != CM_REASON_NONE && cm_reason_err(reason) == err;
	const char *text = said ? cm_trace_message(v->asked) : "";

	cm_buf_truncate(&v->reply, 0);
	cm_buf_add_byte(&v->reply, kind);
	cm_buf_add_byte(&v->reply, (uint8_t)err);
	cm_buf_add_byte(&v->reply, said ? (uint8_t)reason : 0);
	cm_buf_add_byte(&v->reply, said ? (uint8_t)(reason >> 8) : 0);
	cm_put_octets(&v->reply, (struct cm_blob){ (const uint8_t *)text, strnlen(text, 2048) });
	cm_buf_add_byte(&v->reply, 0);
}

/* ---- requests: CM_OK the fields of the reply are written; CM_ERR_USAGE: the request's fields are none */

/* What was written by this connection to the file counts, and what by any other. */
static enum cm_err
read_version(struct server *v, int64_t *version)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if ((err = cm_store_prepare(v->store, "PRAGMA data_version", NULL, 0, v->asked, &q)) == CM_OK &&
	    (err = cm_store_step(v->store, q, v->asked)) == CM_OK)
		*version = sqlite3_column_int64(q, 0) << 32 | (int64_t)(uint32_t)sqlite3_total_changes64(v->store->db);
	sqlite3_finalize(q);
	return err;
}

struct rows {
	size_t at, count;
	const void *first;
};

/* As many rows as fit: their number goes before them. */
static void
put_rows(struct server *v, struct rows *r, void (*put)(struct cm_buf *, const void *, size_t))
{
	struct cm_buf some = { 0 };
	size_t n = 0;

	for (; r->at + n < r->count && v->reply.len + some.len < PART; n++)
		put(&some, r->first, r->at + n);
	r->at += n;
	cm_put_number(&v->reply, (int64_t)n);
	cm_buf_add_blob(&v->reply, cm_buf_blob(&some));
	if (cm_buf_status(&some) != CM_OK)
		v->reply.err = cm_buf_status(&some);
	cm_buf_free(&some);
}

static void
put_evidence_row(struct cm_buf *b, const void *rows, size_t i)
{
	cm_put_evidence(b, (const struct cm_evidence *)rows + i);
}

static void
put_source_row(struct cm_buf *b, const void *rows, size_t i)
{
	cm_put_source(b, (const struct cm_source *)rows + i);
}

static enum cm_err
tell_memory(struct server *v, int64_t version, const struct cm_store_clock *c, const struct cm_memory *m)
{
	struct rows evidence = { .count = m->known.count, .first = m->evidence };
	struct rows sources = { .count = m->known.source_count, .first = m->sources };

	for (;;) {
		enum cm_err err;

		cm_put_number(&v->reply, v->session);
		cm_put_number(&v->reply, version);
		cm_buf_add_byte(&v->reply, 0);
		cm_put_clock(&v->reply, c);
		put_rows(v, &evidence, put_evidence_row);
		put_rows(v, &sources, put_source_row);
		if (evidence.at == evidence.count && sources.at == sources.count)
			return CM_OK;
		if ((err = send_part(v, CM_STORE_RECALL)) != CM_OK)
			return err;
	}
}

/* The version is read first: what is written from then on makes the next one. */
static enum cm_err
recall(struct server *v, struct cm_got *g)
{
	const int64_t session = cm_get_number(g), known = cm_get_number(g);
	struct cm_store_clock c;
	struct cm_memory *m = NULL;
	int64_t version;
	enum cm_err err;

	if (!cm_got_all(g))
		return CM_ERR_USAGE;
	if ((err = read_version(v, &version)) != CM_OK || (err = cm_clock_load(v->store, v->asked, &c)) != CM_OK)
		return err;
	if (session == v->session && known == version) {
		cm_put_number(&v->reply, v->session);
		cm_put_number(&v->reply, version);
		cm_buf_add_byte(&v->reply, 1);
		cm_put_clock(&v->reply, &c);
		cm_put_number(&v->reply, 0);
		cm_put_number(&v->reply, 0);
		return CM_OK;
	}
	if ((err = cm_accounts_recall_revoked(v->store, cm_clock_now(), v->asked, &m)) == CM_OK)
		err = tell_memory(v, version, &c, m);
	cm_memory_free(&m);
	return err;
}

static enum cm_err
find(struct server *v, struct cm_got *g)
{
	const struct cm_blob der = cm_get_octets(g, 1, CM_STORE_CERT_MAX);
	const int64_t now = cm_get_number(g);
	struct cm_account *a = NULL;
	int64_t age;
	enum cm_err err;

	if (!cm_got_all(g))
		return CM_ERR_USAGE;
	if ((err = cm_accounts_find_der(v->store, der, now, v->asked, &a, &age)) != CM_OK)
		return err;
	cm_put_account(&v->reply, a);
	cm_put_number(&v->reply, age);
	cm_account_free(&a);
	if (cm_buf_status(&v->reply) == CM_ERR_SYNTAX)
		return cm_trace_fail(v->asked, CM_REASON_STORE, "a kept account is larger than is told to another process");
	return CM_OK;
}

/* Of the three kinds; each has one field more than the one before. */
static enum cm_err
withdraw_with(struct server *v, struct cm_got *g, unsigned fields)
{
	const struct cm_blob sha256 = cm_get_octets(g, 32, 32);
	char *name = fields > 1 ? cm_get_text(g, 256) : NULL;
	const int64_t uid = fields > 2 ? cm_get_number(g) : -1;
	enum cm_err err = CM_ERR_USAGE;

	if (cm_got_all(g) && (fields < 3 || (uid >= 0 && uid <= UINT32_MAX)))
		err = cm_accounts_withdraw_sha256(v->store, sha256, name, uid, v->asked);
	free(name);
	return err;
}

static enum cm_err
withdraw(struct server *v, struct cm_got *g)
{
	return withdraw_with(v, g, 1);
}

static enum cm_err
withdraw_user(struct server *v, struct cm_got *g)
{
	return withdraw_with(v, g, 2);
}

static enum cm_err
withdraw_others(struct server *v, struct cm_got *g)
{
	return withdraw_with(v, g, 3);
}

static enum cm_err
find_pairing(struct server *v, struct cm_got *g)
{
	const struct cm_blob hash = cm_get_octets(g, 20, 20);
	struct cm_pairing p;
	enum cm_err err;

	if (!cm_got_all(g))
		return CM_ERR_USAGE;
	if ((err = cm_pairings_find_hash(v->store, hash.ptr, v->asked, &p)) == CM_OK)
		cm_put_pairing(&v->reply, &p);
	cm_pairing_clear(&p);
	return err;
}

static enum cm_err
any_pairing(struct server *v, struct cm_got *g)
{
	bool any;
	enum cm_err err;

	if (!cm_got_all(g))
		return CM_ERR_USAGE;
	if ((err = cm_pairings_any(v->store, v->asked, &any)) == CM_OK)
		cm_put_number(&v->reply, any);
	return err;
}

static enum cm_err
find_evidence(struct server *v, struct cm_got *g)
{
	const struct cm_blob key = cm_get_octets(g, 32, 32), serial = cm_get_octets(g, 1, 32);
	struct cm_evidence e;
	enum cm_err err;

	if (!cm_got_all(g))
		return CM_ERR_USAGE;
	if ((err = cm_evidence_find(v->store, key, serial, v->asked, &e)) == CM_OK)
		cm_put_evidence(&v->reply, &e);
	return err;
}

/*
 * Counting reads all of them, so a sixteenth of what is left may be added unseen,
 * by each connection: it is the disk that is spared, not a number that is kept.
 */
static enum cm_err
check_room(struct server *v, const char *sql, int64_t most, int64_t *room)
{
	sqlite3_stmt *q = NULL;
	int64_t left = 0;
	enum cm_err err;

	if (*room > 0) {
		--*room;
		return CM_OK;
	}
	if ((err = cm_store_prepare(v->store, sql, NULL, 0, v->asked, &q)) == CM_OK &&
	    (err = cm_store_step(v->store, q, v->asked)) == CM_OK && (left = most - sqlite3_column_int64(q, 0)) <= 0)
		err = cm_trace_fail(v->asked, CM_REASON_STORE, "%s: full: no more than %lld answers about revocation, or "
		    "servers, are kept for others", v->store->path, (long long)most);
	*room = left > 0 ? left / 16 : 0;
	sqlite3_finalize(q);
	return err;
}

/* Text that a person reads later, and no date that nobody can have seen. */
static bool
is_sound(const char *text)
{
	struct cm_buf b = { 0 };
	bool sound;

	cm_buf_add_printable(&b, cm_blob_str(text));
	sound = cm_buf_status(&b) == CM_OK && strcmp(cm_buf_str(&b), text) == 0;
	cm_buf_free(&b);
	return sound;
}

static bool
is_dated(const struct cm_evidence *e)
{
	const time_t limit = cm_clock_now() + CM_CLOCK_SKEW;

	return e->learned <= limit && e->confirmed <= limit && e->learned >= 0 && e->confirmed >= 0;
}

static enum cm_err
tell_keeper(struct server *v, enum cm_err err)
{
	const char *why = v->keeper.why(v->keeper.arg);

	/* what the keeper fails with is the store's, and its own words */
	return err == CM_ERR_SYSTEM ? cm_trace_fail(v->asked, CM_REASON_STORE, "%s", why) : err;
}

static enum cm_err
keep_evidence(struct server *v, struct cm_got *g)
{
	struct cm_evidence e, old;
	enum cm_err err;

	cm_get_evidence(g, &e);
	if (!cm_got_all(g) || !is_sound(e.source) || !is_sound(e.signer) || !is_dated(&e))
		return CM_ERR_USAGE;
	err = cm_evidence_find(v->store, (struct cm_blob){ e.issuer_key, sizeof(e.issuer_key) },
	    (struct cm_blob){ e.serial, e.serial_len }, v->asked, &old);
	/* The guarded store would keep what it has, and not say so. */
	if (err == CM_OK && old.status == CM_STATUS_REVOKED && e.status != CM_STATUS_REVOKED)
		return cm_trace_fail(v->asked, CM_REASON_REVOKED, "the store says revoked%s: only root changes that, by "
		    "cardmap revocation refresh or forget", old.on_hold ? " (on hold)" : "");
	if (err != CM_OK && (err != CM_ERR_ABSENT ||
	    (err = check_room(v, "SELECT count(*) FROM evidence", EVIDENCE_MOST, &v->evidence_room)) != CM_OK))
		return err;
	return tell_keeper(v, v->keeper.keep(v->keeper.arg, &e));
}

static enum cm_err
keep_source(struct server *v, struct cm_got *g)
{
	struct cm_blob issuer;
	struct cm_source s;
	enum cm_err err;

	cm_get_source(g, &s);
	issuer = cm_get_octets(g, 1, CM_STORE_CERT_MAX);
	if (!cm_got_all(g) || !is_sound(s.url) || !is_sound(s.why))
		return CM_ERR_USAGE;
	if ((err = check_room(v, "SELECT count(*) FROM source", SOURCES_MOST, &v->sources_room)) != CM_OK)
		return err;
	return tell_keeper(v, v->keeper.keep_source(v->keeper.arg, &s, issuer));
}

/* Which program is not for the asker to say, nor what it is to do but name users. */
static enum cm_err
select_user(struct server *v, struct cm_got *g)
{
	const struct cm_blob hashes = cm_get_octets(g, CM_STORE_HASH_SIZE, CM_STORE_HASH_SIZE * CM_STORE_HASHES_MAX);
	char *user = cm_get_text(g, CM_STORE_USER_MAX);
	const int64_t ms = cm_get_number(g);
	struct cm_buf answer = { 0 };
	enum cm_err err = CM_ERR_USAGE;

	if (!cm_got_all(g) || v->selector == NULL || hashes.len % CM_STORE_HASH_SIZE != 0 || ms < 1 || ms > CM_STORE_SELECT_MS)
		goto out;
	cm_buf_init(&answer, CM_STORE_SELECTED_MAX);
	err = v->selector->run(v->selector->arg, &(struct cm_selection){ .hashes = hashes,
	    .user = user[0] != '\0' ? user : NULL, .deadline = cm_deadline_in((unsigned)ms) }, v->asked, &answer);
	if (err == CM_OK && (err = cm_buf_status(&answer)) == CM_OK)
		cm_put_octets(&v->reply, cm_buf_blob(&answer));
out:
	cm_buf_free(&answer);
	free(user);
	return err;
}

/* All that may be asked is here. */
static const struct row {
	enum cm_store_request kind;
	enum cm_err (*serve)(struct server *v, struct cm_got *g);
} permitted[] = {
	{ CM_STORE_RECALL, recall },
	{ CM_STORE_FIND, find },
	{ CM_STORE_WITHDRAW, withdraw },
	{ CM_STORE_WITHDRAW_USER, withdraw_user },
	{ CM_STORE_WITHDRAW_OTHERS, withdraw_others },
	{ CM_STORE_PAIRING, find_pairing },
	{ CM_STORE_ANY_PAIRING, any_pairing },
	{ CM_STORE_FIND_EVIDENCE, find_evidence },
	{ CM_STORE_KEEP_EVIDENCE, keep_evidence },
	{ CM_STORE_KEEP_SOURCE, keep_source },
	{ CM_STORE_SELECT, select_user },
};

/* ---- the connection */

static enum cm_err
serve_request(struct server *v, struct cm_blob request)
{
	struct cm_got g = { .left = request };
	const uint8_t kind = cm_get_byte(&g);
	const struct row *r = NULL;
	enum cm_err err;

	for (size_t i = 0; i < CM_COUNT(permitted) && r == NULL; i++)
		if (permitted[i].kind == kind)
			r = &permitted[i];
	if (r == NULL) {
		cm_trace_add(v->trace, "store", "request %u is none that may be made", kind);
		return CM_ERR_SYNTAX;
	}
	cm_trace_clear_reason(v->asked);
	begin_reply(v, kind);
	if ((err = r->serve(v, &g)) == CM_ERR_USAGE) {
		cm_trace_add(v->trace, "store", "the fields of request %u are not what they may be", kind);
		return CM_ERR_SYNTAX;
	}
	if (err != CM_OK)
		tell_failure(v, kind, err);
	return send_reply(v);
}

static enum cm_err
serve(struct server *v)
{
	enum cm_err err = CM_OK;

	while (err == CM_OK) {
		const ssize_t n = recv(v->fd, v->buffer, CM_STORE_WIRE_MAX, MSG_TRUNC);

		if (n == 0 || (n < 0 && (errno == ECONNRESET || errno == EPIPE)))
			return CM_OK;
		if (n < 0)
			err = errno == EINTR ? CM_OK : CM_ERR_SYSTEM;
		else if ((size_t)n > CM_STORE_WIRE_MAX)
			err = CM_ERR_SYNTAX;
		else
			err = serve_request(v, (struct cm_blob){ v->buffer, (size_t)n });
	}
	return err;
}

enum cm_err
cm_store_serve(int fd, struct cm_accounts *store, const struct cm_store_selector *selector, struct cm_trace *t)
{
	struct server v = { .fd = fd, .store = store, .selector = selector, .trace = t, .session = cm_clock_us() };
	enum cm_err err = CM_ERR_STATE;

	if (store->remote != NULL)
		goto out;
	store->guarded = true;
	cm_buf_init(&v.reply, CM_STORE_WIRE_MAX);
	if ((v.buffer = malloc(CM_STORE_WIRE_MAX)) == NULL || (err = cm_trace_new(&v.asked)) != CM_OK ||
	    (err = cm_keeping_new(store, &v.keeping, &v.keeper)) != CM_OK)
		goto out;
	err = serve(&v);
out:
	cm_keeping_free(&v.keeping);
	cm_trace_free(&v.asked);
	cm_buf_free(&v.reply);
	free(v.buffer);
	(void)shutdown(fd, SHUT_RDWR);	/* whoever holds it to end it must not keep the other side waiting */
	close(fd);
	return err;
}
