/* service/apart.c - a card helper and a resolver: connected to, asked, and let go when they do not keep to what was agreed. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/apart_internal.h"

#define EXPECT_MS	200	/* nobody waits at the prompt for what only makes a login faster */
#define GRACE_MS	1000	/* a process that was told a deadline answers at the latest by then */

static const char *const process_names[] = {
	[CM_PROCESS_CARD] = "card helper",
	[CM_PROCESS_RESOLVER] = "resolver",
};

enum cm_err
cm_apart_new(const struct cm_apart_options *o, struct cm_apart **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	(*out)->o = *o;
	(*out)->secret = -1;
	return CM_OK;
}

void
cm_apart_forget_proof(struct cm_apart *a)
{
	cm_message_clear(&a->ticket);
	cm_vouched_clear(&a->vouched);
	a->has_vouched = false;
	cm_blob_free(&a->signature);
	explicit_bzero(a->nonce, sizeof(a->nonce));
	a->nonce_time = 0;
}

void
cm_apart_forget(struct cm_apart *a)
{
	cm_apart_forget_proof(a);
	cm_ccache_put_drop(&a->putting);
	cm_channel_free(&a->channels[CM_PROCESS_CARD]);
	cm_message_clear(&a->opened);
	cm_message_clear(&a->chained);
	cm_message_clear(&a->judged);
	for (size_t i = 0; i < a->certificate_count; i++)
		cm_blob_free(&a->certificates[i].der);
	a->certificate_count = 0;
	a->others_read = false;
	a->has_no_kerberos = false;
	a->first_key.kind = CM_KEY_NONE;
	a->commands = 0;
	if (a->secret >= 0)
		close(a->secret);
	a->secret = -1;
}

void
cm_apart_free(struct cm_apart **a)
{
	if (*a == NULL)
		return;
	cm_apart_forget(*a);
	cm_channel_free(&(*a)->channels[CM_PROCESS_RESOLVER]);
	free(*a);
	*a = NULL;
}

void
cm_apart_mistook(struct cm_apart *a)
{
	if (a->opened.certificate.len > 0)
		(void)!cm_accounts_mistook(a->o.store, a->opened.certificate, NULL);
}

void
cm_apart_let_go(struct cm_apart *a, cm_deadline deadline)
{
	struct pollfd p = { .fd = -1 };	/* for its end, which nobody needs to ask for: poll(2) */

	if (a->channels[CM_PROCESS_CARD] == NULL)
		return;
	p.fd = cm_channel_fd(a->channels[CM_PROCESS_CARD]);
	(void)shutdown(p.fd, SHUT_WR);
	while (poll(&p, 1, cm_deadline_left(deadline)) < 0 && errno == EINTR)
		;
}

int
cm_apart_take_secret(struct cm_apart *a)
{
	const int fd = a->secret;

	a->secret = -1;
	return fd;
}

void
cm_apart_fds(const struct cm_apart *a, int fds[2])
{
	for (size_t i = 0; i < 2; i++)
		fds[i] = a->channels[i] != NULL ? cm_channel_fd(a->channels[i]) : -1;
}

enum cm_err
cm_apart_connect_to(struct cm_apart *a, enum cm_process which, struct cm_trace *t)
{
	const int fd = a->o.connect(a->o.arg, which);
	enum cm_err err;

	cm_channel_free(&a->channels[which]);
	if (fd < 0)
		return cm_trace_fail(t, CM_REASON_HELPER, "no %s can be had: %s", process_names[which], strerror(errno));
	if ((err = cm_channel_new(fd, &a->channels[which])) != CM_OK)
		close(fd);
	return err == CM_ERR_USAGE ? cm_trace_fail(t, CM_REASON_HELPER, "what leads to the %s is no socket for messages",
	    process_names[which]) : err;
}

bool
cm_apart_is_quiet(const struct cm_apart *a, enum cm_process which)
{
	struct pollfd p = { .fd = -1, .events = POLLIN };

	if (a->channels[which] == NULL || cm_channel_is_gone(a->channels[which]))
		return false;
	p.fd = cm_channel_fd(a->channels[which]);
	return poll(&p, 1, 0) == 0;
}

bool
cm_apart_let_resolver_go(struct cm_apart *a)
{
	if (a->channels[CM_PROCESS_RESOLVER] == NULL || cm_apart_is_quiet(a, CM_PROCESS_RESOLVER) ||
	    !cm_apart_is_quiet(a, CM_PROCESS_CARD))
		return false;
	cm_channel_free(&a->channels[CM_PROCESS_RESOLVER]);
	return true;
}

/* What went wrong between us and the process: never a word about card or account. */
enum cm_err
cm_apart_broken(struct cm_apart *a, enum cm_process which, enum cm_message_kind asked, enum cm_err err, struct cm_trace *t)
{
	const char *what = err == CM_ERR_SYNTAX ? "answered what it may not" : err == CM_ERR_OFFLINE ?
	    "ended, or did not answer in time" : err == CM_ERR_USAGE ? "cannot be asked" : "cannot be reached";

	cm_channel_free(&a->channels[which]);
	if (err == CM_ERR_NOMEM)
		return err;
	return cm_trace_fail(t, CM_REASON_HELPER, "the %s %s: %s", process_names[which], what, cm_message_kind_name(asked));
}

enum cm_err
cm_apart_refuse_answer(struct cm_apart *a, enum cm_process which, const char *what, struct cm_trace *t)
{
	cm_channel_free(&a->channels[which]);
	return cm_trace_fail(t, CM_REASON_HELPER, "the %s answered what it may not: %s", process_names[which], what);
}

uint64_t
cm_apart_time_left(cm_deadline deadline)
{
	const int left = cm_deadline_left(deadline);

	return left > 120000 ? 120000 : (uint64_t)left;
}

uint64_t
cm_apart_time_to_ask(cm_deadline deadline)
{
	const uint64_t left = cm_apart_time_left(deadline);

	return left - left / 50;
}

cm_deadline
cm_apart_with_grace(cm_deadline deadline)
{
	return cm_deadline_in((unsigned)cm_apart_time_left(deadline) + GRACE_MS);
}

/* Commands are counted by the helper, and only ever grow. */
static void
count_commands(struct cm_apart *a, const struct cm_message *m)
{
	if (m->commands > a->commands && m->commands < 100000)
		a->commands = (unsigned)m->commands;
}

/* How a process said that it ended; t has its items and its reason. */
enum cm_err
cm_apart_heard(struct cm_apart *a, enum cm_process which, const struct cm_message *answer, struct cm_trace *t)
{
	const enum cm_err err = cm_message_reported(answer, t);

	count_commands(a, answer);
	return err == CM_ERR_SYNTAX && cm_trace_reason(t) == CM_REASON_HELPER ?
	    cm_apart_refuse_answer(a, which, "a result and a reason that do not go together", t) : err;
}

/* cm_channel_ask(), with something done while the other side works. */
static enum cm_err
ask(struct cm_login *l, struct cm_channel *c, const struct cm_apart_question *q, struct cm_message *answer)
{
	const cm_deadline deadline = cm_apart_with_grace(l->deadline);
	enum cm_err err;

	if ((err = cm_channel_send(c, q->m, q->fds, q->fd_count, deadline)) != CM_OK)
		return err;
	if (q->meanwhile != NULL)
		q->meanwhile(l);
	if ((err = cm_channel_receive(c, deadline, answer, NULL, 0)) == CM_OK && answer->kind != q->answer) {
		cm_message_clear(answer);
		err = CM_ERR_SYNTAX;
	}
	return err;
}

/* *answer is the caller's to clear, whatever becomes of it. */
enum cm_err
cm_apart_ask(struct cm_login *l, const struct cm_apart_question *q, struct cm_message *answer)
{
	struct cm_apart *a = l->worker;
	enum cm_err err;

	*answer = (struct cm_message){ .kind = CM_MESSAGE_NONE };
	if (a->channels[q->which] == NULL)
		return cm_trace_fail(l->trace, CM_REASON_HELPER, "the %s has ended", process_names[q->which]);
	if ((err = ask(l, a->channels[q->which], q, answer)) != CM_OK)
		return cm_apart_broken(a, q->which, q->m->kind, err, l->trace);
	return cm_apart_heard(a, q->which, answer, l->trace);
}

/*
 * A resolver that says nothing now may do so later, when something else is
 * waited for: the connection goes, and whoever asks it next makes another.
 */
static bool
may_ask_kdc(struct cm_apart *a)
{
	const struct cm_message q = { .kind = CM_MESSAGE_KDC_STATE };
	struct cm_message answer = { .kind = CM_MESSAGE_NONE };
	bool answers = false;

	if (a->channels[CM_PROCESS_RESOLVER] == NULL)
		return false;
	if (cm_channel_ask(a->channels[CM_PROCESS_RESOLVER], &q, NULL, 0, CM_MESSAGE_KDC_STATED, cm_deadline_in(EXPECT_MS), &answer) == CM_OK)
		answers = answer.kdc_silent == 0;
	else
		cm_channel_free(&a->channels[CM_PROCESS_RESOLVER]);
	cm_message_clear(&answer);
	return answers;
}

/* Who is known to be silent is not asked.  A helper that cannot be told will say so when it is asked. */
void
cm_apart_expect_ticket(struct cm_login *l)
{
	struct cm_apart *a = l->worker;
	const struct cm_message q = { .kind = CM_MESSAGE_EXPECT_TICKET, .principal = l->account->principal,
		.deadline = a->o.conf->kerberos.timeout };

	if (a->channels[CM_PROCESS_CARD] == NULL || !may_ask_kdc(a))
		return;
	(void)!cm_channel_send(a->channels[CM_PROCESS_CARD], &q, NULL, 0, cm_deadline_in(EXPECT_MS));
	cm_apart_begin_ccache(l);
}

void
cm_apart_expect_none(struct cm_apart *a)
{
	cm_ccache_put_drop(&a->putting);
}

enum cm_err
cm_apart_judge_tries(struct cm_apart *a, const struct cm_message *m, struct cm_trace *t)
{
	return m->tries <= CM_APART_TRIES_MOST || m->tries == UINT32_MAX ? CM_OK :
	    cm_apart_refuse_answer(a, CM_PROCESS_CARD, "more tries than a card can have", t);
}

/*
 * From when a PIN is sent its tries are unknown until the card has said how many there are (card/card.c).  A reader that
 * fails then, or a card that is slow, has the PIN all the same.
 */
bool
cm_apart_is_unheard(const struct cm_message *m, enum cm_err err, const struct cm_trace *t)
{
	static const enum cm_reason others[] = {	/* the card judged it, or never saw it */
		CM_REASON_PIN_WRONG, CM_REASON_PIN_BLOCKED, CM_REASON_PIN_FORM, CM_REASON_PIN_MISSING, CM_REASON_PIN_LAST_TRY,
		CM_REASON_CANCELLED, CM_REASON_CARD_CHANGED,
	};

	for (size_t i = 0; i < CM_COUNT(others); i++)
		if (cm_trace_reason(t) == others[i])
			return false;
	return err != CM_OK && m->tries > CM_APART_TRIES_MOST;
}

bool
cm_apart_card(const struct cm_apart *a, struct cm_buf *out)
{
	uint8_t sha1[20], spki[32];

	if (a->opened.kind != CM_MESSAGE_OPENED)
		return false;
	if (a->opened.guid.len > 0) {
		cm_buf_add_str(out, "guid:");
		cm_buf_add_hex(out, a->opened.guid);
	} else {
		if (cm_key_hashes(&a->opened.key, sha1, spki) != CM_OK)
			return false;
		cm_buf_add_str(out, "key:");
		cm_buf_add_hex(out, (struct cm_blob){ spki, sizeof(spki) });
	}
	return cm_buf_status(out) == CM_OK;
}

enum cm_err
cm_apart_change_pin(struct cm_apart *a, const struct cm_apart_pins *pins, cm_deadline deadline, struct cm_trace *t, unsigned *tries)
{
	const struct cm_message q = { .kind = CM_MESSAGE_CHANGE_PIN, .last_try = pins->last_try, .deadline = cm_apart_time_left(deadline) };
	struct cm_login l = { .worker = a, .trace = t, .deadline = deadline };
	struct cm_message answer;
	enum cm_err err, wrong;

	*tries = UINT32_MAX;
	err = cm_apart_ask(&l, &(struct cm_apart_question){ .which = CM_PROCESS_CARD, .m = &q, .fds = (const int[]){ pins->now, pins->next },
	    .fd_count = 2, .answer = CM_MESSAGE_CHANGED_PIN }, &answer);
	if (answer.kind == CM_MESSAGE_CHANGED_PIN) {
		if ((wrong = cm_apart_judge_tries(a, &answer, t)) != CM_OK)
			err = wrong;
		else
			*tries = (unsigned)answer.tries;
	}
	*pins->sent = answer.kind != CM_MESSAGE_CHANGED_PIN || cm_apart_is_unheard(&answer, err, t);
	cm_message_clear(&answer);
	return err;
}
