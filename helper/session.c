/*
 * helper/session.c - one card, from the first look to the reset: what may be asked of it, and when.
 *
 * The table is the documentation.  Everything asked for has an answer that says
 * how it ended; what is asked for out of order has none, and ends the process.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/list.h"
#include "base/secret.h"
#include "helper/helper.h"
#include "service/possession.h"

/* Until the daemon, which is beside us on this computer, has answered or taken an answer. */
#define CHANNEL_MS	10000
#define IDLE_MS		3600000

enum state {
	NEW = 1 << 0,		/* nothing is known of the card */
	OPENED = 1 << 1,	/* it was read, and the PIN is awaited */
	UNLOCKED = 1 << 2,
	OVER = 1 << 3,		/* nothing more may be asked: close the channel */
	BARE = 1 << 4,		/* as OPENED, of a card whose first slot holds no certificate */
};
#define CERTIFICATES_TOTAL	((size_t)96 << 10)	/* octets of all that one message tells of */

struct session {
	const struct cm_helper *h;
	struct cm_kerberos *kerberos;
	enum state state;
	struct cm_card *card;
	enum cm_slot slot;	/* what was told of it last: this slot, */
	struct cm_cert *cert;	/* its certificate; NULL: it has none */
	bool cached;		/* which was not read from it */
	unsigned tries;		/* when it was opened */
	struct cm_trace *t;	/* of the request being served */
};

/* --- OPEN, READ_AGAIN, OTHERS, USE --- */

/* Whose certificate goes with this GUID is kept in the daemon's store. */
static enum cm_err
recognise(void *arg, struct cm_blob guid, cm_deadline deadline, struct cm_trace *t,
    struct cm_card_known *out)
{
	const struct session *s = arg;
	struct cm_message q = { .kind = CM_MESSAGE_RECOGNISE, .guid = guid }, a = { 0 };
	enum cm_err err;

	(void)t;
	err = cm_channel_ask(s->h->channel, &q, NULL, 0, CM_MESSAGE_RECOGNISED,
	    cm_deadline_earlier(deadline, cm_deadline_in(CHANNEL_MS)), &a);
	if (err == CM_OK) {
		cm_buf_add_blob(&out->certificate, a.certificate);
		out->slot = (enum cm_slot)a.slot;
		out->global_pin = a.global_pin != 0;
	}
	cm_message_clear(&a);
	return err;
}

static enum cm_err
tell_opened(struct session *s, struct cm_message *a)
{
	enum cm_err err;

	a->cached = s->cached;
	a->global_pin = cm_card_global_pin(s->card);
	a->pad = cm_card_has_pad(s->card);
	if ((err = cm_blob_copy(cm_card_guid(s->card), &a->guid)) != CM_OK || s->cert == NULL ||
	    (err = cm_blob_copy(cm_cert_der(s->cert), &a->certificate)) != CM_OK)
		return err;
	return cm_key_take(s->cert, s->t, &a->key);
}

/* A card without it may have others: nothing is told but what it is known by. */
static enum cm_err
read_first(struct session *s, cm_deadline deadline, struct cm_message *a)
{
	enum cm_err err, told;

	s->slot = cm_card_slot(s->card);
	s->cached = cm_card_is_cached(s->card);
	err = cm_card_certificate(s->card, s->slot, deadline, s->t, &s->cert);
	if (err != CM_OK && err != CM_ERR_ABSENT)
		return err;
	if ((told = tell_opened(s, a)) != CM_OK)
		return told;
	s->state = err == CM_OK ? OPENED : BARE;
	return err;
}

/* Paths for cm_card_open_from(); NULL: no memory. */
static char **
take_modules(const struct cm_octets_list *l)
{
	char **paths = calloc(l->count + 1, sizeof(*paths));

	for (size_t i = 0; paths != NULL && i < l->count; i++)
		if ((paths[i] = strndup((const char *)l->rows[i].ptr, l->rows[i].len)) == NULL) {
			cm_list_free(&paths);
			return NULL;
		}
	return paths;
}

/* Not as login.c's example: what a card cannot do is the daemon's to judge, so no tries are no failure here. */
static enum cm_err
serve_open(struct session *s, const struct cm_message *q, const int *fds, struct cm_message *a)
{
	const struct cm_card_recogniser r = { .recognise = recognise, .arg = s, .log = s->h->log >= 0 ? &s->h->log : NULL };
	const cm_deadline deadline = cm_deadline_in((unsigned)q->deadline);
	char **modules = take_modules(&q->modules);
	struct cm_card_from from = { .purpose = CM_CARD_LOGIN, .modules = (const char *const *)modules,
		.modules_only = q->modules_only != 0, .recogniser = &r };
	struct cm_buf source = { 0 };
	enum cm_err err;

	(void)fds;
	s->state = OVER;
	s->tries = CM_TRIES_UNKNOWN;
	cm_buf_addf(&source, "reader:%s", q->reader);
	from.source = cm_buf_str(&source);
	if ((err = modules != NULL ? cm_buf_status(&source) : CM_ERR_NOMEM) == CM_OK &&
	    (err = cm_card_open_from(&from, deadline, s->t, &s->card)) == CM_OK &&
	    (err = cm_card_pin_tries(s->card, deadline, s->t, &s->tries)) == CM_OK)
		err = read_first(s, deadline, a);
	a->tries = s->tries;
	cm_buf_free(&source);
	cm_list_free(&modules);
	return err;
}

static enum cm_err
serve_read_again(struct session *s, const struct cm_message *q, const int *fds, struct cm_message *a)
{
	enum cm_err err;

	(void)fds;
	cm_cert_free(&s->cert);
	if (s->kerberos != NULL)
		cm_kerberos_expect_none(s->kerberos);
	a->tries = CM_TRIES_UNKNOWN;
	s->cached = false;
	err = cm_card_read_again(s->card, s->slot, cm_deadline_in((unsigned)q->deadline), s->t, &s->cert);
	if (err == CM_OK)
		err = tell_opened(s, a);
	if (err != CM_OK)
		s->state = OVER;
	return err;
}

struct found {
	struct session *s;
	struct cm_message *a;
	size_t total;
};

/* For cm_card_others(): a row of the answer, as far as a message holds it. */
static enum cm_err
tell_other(void *arg, enum cm_slot slot, struct cm_cert *cert)
{
	struct found *f = arg;
	struct cm_octets_list *list = &f->a->certificates;
	const struct cm_blob der = cm_cert_der(cert);
	uint8_t *row;

	if (der.len + 1 > CM_MESSAGE_OCTETS_MAX || f->total + der.len > CERTIFICATES_TOTAL) {
		cm_trace_add(f->s->t, "warning", "slot %02X: its certificate is too long, with those before it", slot);
		return CM_OK;
	}
	if ((row = malloc(der.len + 1)) == NULL)
		return CM_ERR_NOMEM;
	row[0] = (uint8_t)slot;
	memcpy(row + 1, der.ptr, der.len);
	list->rows[list->count++] = (struct cm_blob){ row, der.len + 1 };
	f->total += der.len;
	return CM_OK;
}

static enum cm_err
serve_others(struct session *s, const struct cm_message *q, const int *fds, struct cm_message *a)
{
	struct found f = { s, a, 0 };
	const struct cm_card_slots wanted = { q->slots.ptr, q->slots.len, tell_other, &f };
	enum cm_err err;

	(void)fds;
	for (size_t i = 0; i < q->slots.len; i++)
		if (!cm_slot_is_for_login(q->slots.ptr[i]))
			return CM_ERR_STATE;
	if (q->slots.len > 0 && (a->certificates.rows = calloc(q->slots.len, sizeof(*a->certificates.rows))) == NULL)
		return CM_ERR_NOMEM;
	err = cm_card_others(s->card, &wanted, cm_deadline_in((unsigned)q->deadline), s->t);
	if (err != CM_OK)
		s->state = OVER;
	return err;
}

static enum cm_err
serve_use(struct session *s, const struct cm_message *q, const int *fds, struct cm_message *a)
{
	enum cm_err err;

	(void)fds;
	if (!cm_slot_is_for_login((enum cm_slot)q->slot))
		return CM_ERR_STATE;
	cm_cert_free(&s->cert);
	s->slot = (enum cm_slot)q->slot;
	s->cached = false;
	a->tries = s->tries;
	if ((err = cm_cert_decode(q->certificate, s->t, &s->cert)) == CM_OK)
		err = tell_opened(s, a);
	s->state = err == CM_OK ? OPENED : BARE;
	return err;
}

/* --- VERIFY, CHANGE_PIN --- */

static enum cm_err
read_pin(struct session *s, int fd, cm_deadline deadline, struct cm_secret **pin)
{
	switch (cm_secret_read(fd, deadline, pin)) {
	case CM_OK:
		return CM_OK;
	case CM_ERR_ABSENT:
		return cm_trace_fail(s->t, CM_REASON_PIN_MISSING, "no PIN was handed over");
	case CM_ERR_OFFLINE:
		return cm_trace_fail(s->t, CM_REASON_PIN_MISSING, "no PIN was handed over in time");
	case CM_ERR_SYNTAX:
		return cm_trace_fail(s->t, CM_REASON_PIN_FORM, "what was handed over is longer than any PIN: nothing was sent");
	default:
		return cm_trace_fail(s->t, CM_REASON_SYSTEM, "the PIN cannot be taken: no memory that is locked (RLIMIT_MEMLOCK), or no pipe");
	}
}

static enum cm_err
serve_verify(struct session *s, const struct cm_message *q, const int *fds, struct cm_message *a)
{
	const cm_deadline deadline = cm_deadline_in((unsigned)q->deadline);
	struct cm_secret *pin = NULL;
	unsigned left = CM_TRIES_UNKNOWN;
	enum cm_err err;

	if (q->pad != 0)
		err = cm_card_verify_pad(s->card, q->last_try != 0, deadline, s->t, &left);
	else if ((err = read_pin(s, fds[0], deadline, &pin)) == CM_OK)
		err = cm_card_verify_pin(s->card, pin, q->last_try != 0, deadline, s->t, &left);
	cm_secret_free(&pin);
	cm_secret_wipe_stack();
	a->tries = left;
	if (err == CM_OK)
		s->state = UNLOCKED;
	return err;
}

static enum cm_err
serve_change_pin(struct session *s, const struct cm_message *q, const int *fds, struct cm_message *a)
{
	const cm_deadline deadline = cm_deadline_in((unsigned)q->deadline);
	struct cm_secret *now = NULL, *next = NULL;
	struct cm_card_pins pins = { .last_try = q->last_try != 0 };
	unsigned left = CM_TRIES_UNKNOWN;
	enum cm_err err;

	if ((err = read_pin(s, fds[0], deadline, &now)) == CM_OK &&
	    (err = read_pin(s, fds[1], deadline, &next)) == CM_OK) {
		pins.now = now;
		pins.next = next;
		err = cm_card_change_pin(s->card, &pins, deadline, s->t, &left);
	}
	cm_secret_free(&now);
	cm_secret_free(&next);
	cm_secret_wipe_stack();
	a->tries = left;
	if (err == CM_OK)
		s->state = OVER;
	return err;
}

/* --- SIGN, EXPECT_TICKET, GET_TICKET --- */

static enum cm_err
serve_sign(struct session *s, const struct cm_message *q, const int *fds, struct cm_message *a)
{
	uint8_t digest[CM_POSSESSION_DIGEST];
	struct cm_buf signature = { 0 };
	enum cm_err err;

	(void)fds;
	if (q->nonce.len != 32)
		return CM_ERR_STATE;
	cm_possession_digest(q->nonce.ptr, digest);
	err = cm_card_sign(s->card, s->slot, s->cert, "SHA256",
	    (struct cm_blob){ digest, sizeof(digest) }, cm_deadline_in((unsigned)q->deadline), s->t, &signature);
	if (err == CM_OK)
		err = cm_blob_copy(cm_buf_blob(&signature), &a->signature);
	cm_buf_free(&signature);
	return err;
}

/* Whether it can be had says GET_TICKET. */
static enum cm_err
serve_expect_ticket(struct session *s, const struct cm_message *q, const int *fds, struct cm_message *a)
{
	(void)fds;
	(void)a;
	if (s->kerberos != NULL)
		cm_kerberos_expect(s->kerberos, s->cert, q);
	return CM_OK;
}

static enum cm_err
serve_get_ticket(struct session *s, const struct cm_message *q, const int *fds, struct cm_message *a)
{
	enum cm_err err = CM_OK;

	(void)fds;
	if (s->kerberos == NULL)
		s->kerberos = cm_kerberos_open(s->h->config, s->t, &err);
	if (err == CM_OK)
		err = cm_kerberos_get(s->kerberos, &(struct cm_card_key){ s->card, s->slot, s->cert }, q, s->t, a);
	return err == CM_OK ? cm_key_take(s->cert, s->t, &a->key) : err;
}

/* --- UNSEAL --- */

static enum cm_err
serve_unseal(struct session *s, const struct cm_message *q, const int *fds, struct cm_message *a)
{
	return cm_helper_unseal(s->card, q, fds[0], s->t, a);
}

/* --- What may be asked, when, with how many descriptors, and what answers it --- */

static const struct request {
	enum cm_message_kind kind;
	unsigned states;
	int descriptors;
	enum cm_message_kind answer;	/* NONE: there is none */
	enum cm_err (*serve)(struct session *s, const struct cm_message *q, const int *fds, struct cm_message *a);
	const char *fault;
} requests[] = {
	{ CM_MESSAGE_OPEN,       NEW,               0, CM_MESSAGE_OPENED,      serve_open,       "helper.OPEN" },
	{ CM_MESSAGE_READ_AGAIN, OPENED | UNLOCKED, 0, CM_MESSAGE_OPENED,      serve_read_again, "helper.READ_AGAIN" },
	{ CM_MESSAGE_OTHERS,     OPENED | BARE,     0, CM_MESSAGE_FOUND_OTHERS, serve_others,    "helper.OTHERS" },
	{ CM_MESSAGE_USE,        OPENED | BARE,     0, CM_MESSAGE_OPENED,      serve_use,        "helper.USE" },
	{ CM_MESSAGE_VERIFY,     OPENED,            1, CM_MESSAGE_VERIFIED,    serve_verify,     "helper.VERIFY" },
	{ CM_MESSAGE_SIGN,       UNLOCKED,          0, CM_MESSAGE_SIGNED,      serve_sign,       "helper.SIGN" },
	{ CM_MESSAGE_EXPECT_TICKET, OPENED,         0, CM_MESSAGE_NONE,        serve_expect_ticket, "helper.EXPECT_TICKET" },
	{ CM_MESSAGE_GET_TICKET, UNLOCKED,          0, CM_MESSAGE_TICKET,      serve_get_ticket, "helper.GET_TICKET" },
	{ CM_MESSAGE_UNSEAL,     UNLOCKED,          1, CM_MESSAGE_UNSEALED,    serve_unseal,     "helper.UNSEAL" },
	{ CM_MESSAGE_CHANGE_PIN, OPENED,            2, CM_MESSAGE_CHANGED_PIN, serve_change_pin, "helper.CHANGE_PIN" },
};

/* NULL: it is not permitted now, or comes with other descriptors than it should. */
static const struct request *
find_request(const struct session *s, const struct cm_message *q, const int *fds)
{
	int got = 0;

	while (got < CM_CHANNEL_DESCRIPTORS && fds[got] >= 0)
		got++;
	for (size_t i = 0; i < CM_COUNT(requests); i++)
		if (requests[i].kind == q->kind)
			return (requests[i].states & s->state) != 0 &&
			    got == (q->pad != 0 ? 0 : requests[i].descriptors) ? &requests[i] : NULL;
	return NULL;
}

static enum cm_err
run(struct session *s, const struct request *r, const struct cm_message *q, const int *fds,
    struct cm_message *a)
{
	enum cm_err err;

	cm_trace_begin(s->t, cm_message_kind_name(r->kind));
	if (cm_fault_point(r->fault) != CM_OK)
		err = cm_trace_fail(s->t, CM_REASON_INJECTED, "fault point %s", r->fault);
	else
		err = r->serve(s, q, fds, a);
	cm_trace_end(s->t, err);
	if (s->card != NULL)
		a->commands = cm_card_stats(s->card).commands;
	return err;
}

/* How it ended is in the answer; the result is of the session: does it go on? */
static enum cm_err
serve(struct session *s, const struct cm_message *q, const int *fds)
{
	const struct request *r = find_request(s, q, fds);
	struct cm_message a = { 0 };
	enum cm_err err;

	if (r == NULL)
		return CM_ERR_STATE;
	a.kind = r->answer;
	cm_trace_free(&s->t);
	if ((err = cm_trace_new(&s->t)) != CM_OK)
		return err;
	err = run(s, r, q, fds, &a);
	/* the card has answered: whoever leaves from here on is seen in time, and lets go in order */
	atomic_store(&s->h->guard->busy, false);
	if (r->answer == CM_MESSAGE_NONE)
		err = CM_OK;
	else if (err != CM_ERR_STATE &&
	    (err = cm_message_report(&a, err, s->t)) == CM_OK)
		err = cm_channel_send(s->h->channel, &a, NULL, 0, cm_deadline_in(CHANNEL_MS));
	cm_message_clear(&a);
	return err;
}

static void
close_all(int fds[CM_CHANNEL_DESCRIPTORS])
{
	for (size_t i = 0; i < CM_CHANNEL_DESCRIPTORS; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* One after the other.  While it waits it is not busy: helper/guard.c */
static enum cm_err
serve_next(struct session *s)
{
	int fds[CM_CHANNEL_DESCRIPTORS] = { -1, -1 };
	struct cm_message q = { 0 };
	enum cm_err err;

	atomic_store(&s->h->guard->busy, false);
	err = cm_channel_receive(s->h->channel, cm_deadline_in(IDLE_MS), &q, fds, CM_CHANNEL_DESCRIPTORS);
	if (err == CM_OK) {
		atomic_store(&s->h->guard->busy, true);
		err = serve(s, &q, fds);
	} else if (err == CM_ERR_OFFLINE && !cm_channel_is_gone(s->h->channel)) {
		err = CM_OK;
	}
	close_all(fds);
	cm_message_clear(&q);
	return err;
}

/* While a person looks for the PIN: what GET_TICKET needs, if there is any. */
static void
make_ready(struct session *s)
{
	enum cm_err err;

	if (s->state == OPENED)
		s->kerberos = cm_kerberos_open(s->h->config, NULL, &err);
}

enum cm_err
cm_helper_session(const struct cm_helper *h, const struct cm_message *first)
{
	const int none[CM_CHANNEL_DESCRIPTORS] = { -1, -1 };
	struct session s = { .h = h, .state = NEW };
	enum cm_err err;

	atomic_store(&h->guard->busy, true);
	if ((err = serve(&s, first, none)) == CM_OK)
		make_ready(&s);
	while (err == CM_OK)
		err = serve_next(&s);
	/* in order, with a reset if a PIN was sent; a reader that hangs is the guard's affair */
	atomic_store(&h->guard->busy, false);
	cm_kerberos_close(&s.kerberos);
	cm_card_close(&s.card);
	cm_cert_free(&s.cert);
	cm_trace_free(&s.t);
	return err;
}
