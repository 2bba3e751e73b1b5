/* cardmapd/session_login.c - a login with a card that is prepared: the PIN asked for, handed on, and what comes of it. */
#include <string.h>

#include "cardmapd/record.h"
#include "cardmapd/session_internal.h"
#include "service/mobile.h"

#define WATCHER_MS	3000	/* until the watcher has seen what a card helper has */

static struct cm_attempt *
attempt_of(const struct cm_work *w)
{
	return w->session->attempt;	/* set by the main thread once, before it woke this one, which alone clears it */
}

/* ---- ends */

void
cm_work_detach(struct cm_session *s, struct cm_attempt *a)
{
	pthread_mutex_lock(&s->daemon->lock);
	s->attempt = NULL;
	a->session = NULL;
	if (!s->removed)
		s->state = CM_SESSION_READING;
	s->changed = true;
	pthread_mutex_unlock(&s->daemon->lock);
	cm_daemon_wake(s->daemon);
}

static struct cm_log_entry
entry_of(const struct cm_work *w, enum cm_reason reason, const char *text)
{
	const struct cm_login *l = &w->login;
	struct cm_log_entry e = cm_attempt_entry(attempt_of(w), reason, text);

	e.reader = w->session->reader;
	e.serial = l->serial;
	if (l->account != NULL) {
		e.user = l->account->name;
		e.uid = l->account->uid;
		e.online = l->account_kept ? CM_LOG_OFFLINE : CM_LOG_ONLINE;
	}
	return e;
}

void
cm_work_refuse(struct cm_work *w, enum cm_reason reason, const char *text)
{
	struct cm_attempt *a = attempt_of(w);
	const struct cm_log_entry e = entry_of(w, reason, text);

	cm_attempt_refuse(a, &e);
	cm_work_detach(w->session, a);
}

/* service/login.c has logged it. */
static void
refuse_logged(struct cm_work *w)
{
	struct cm_attempt *a = attempt_of(w);
	const enum cm_reason reason = cm_trace_reason(w->trace);
	const struct cm_log_entry e = entry_of(w, reason != CM_REASON_NONE ? reason : CM_REASON_SYSTEM, cm_trace_message(w->trace));

	cm_attempt_tell(a, &(struct cm_told){ .state = CM_ATTEMPT_REFUSED, .user = e.user, .reader = e.reader, .online = e.online,
	    .reason = e.reason, .text = e.text, .has_tries = w->login.tries_left != CM_TRIES_UNKNOWN, .tries = w->login.tries_left });
	cm_work_detach(w->session, a);
}

/* The main thread finds it a card again, this one or another; why is told with the next question. */
static void
begin_anew(struct cm_session *s, struct cm_attempt *a, enum cm_reason reason, const char *text)
{
	cm_attempt_tell(a, &(struct cm_told){ .state = CM_ATTEMPT_READING, .reader = s->reader, .reason = reason, .text = text });
	pthread_mutex_lock(&s->daemon->lock);
	cm_answer_clear(&a->answer);
	a->card_due = cm_deadline_in(s->daemon->conf->service.wait);
	if (reason != CM_REASON_NONE) {
		json_decref(a->why);
		a->why = json_pack("{s:s, s:s, s:s}", "reason", cm_reason_name(reason), "text", text, "remedy", cm_reason_remedy(reason));
	}
	pthread_mutex_unlock(&s->daemon->lock);
	cm_work_detach(s, a);
}

void
cm_work_begin_anew(struct cm_session *s, struct cm_attempt *a)
{
	bool swapped;

	pthread_mutex_lock(&s->daemon->lock);
	swapped = s->swapped;
	pthread_mutex_unlock(&s->daemon->lock);
	if (swapped)
		begin_anew(s, a, CM_REASON_CARD_CHANGED, "another card was put in");
	else
		begin_anew(s, a, CM_REASON_CARD_REMOVED, "the card was taken out");
}

bool
cm_work_is_cancelled(const struct cm_work *w)
{
	struct cm_attempt *a = attempt_of(w);
	bool cancelled;

	pthread_mutex_lock(&a->daemon->lock);
	cancelled = a->cancelled;
	pthread_mutex_unlock(&a->daemon->lock);
	return cancelled;
}

/* ---- the PIN */

static void
ask_pin(struct cm_work *w, enum cm_reason reason, const char *text)
{
	const struct cm_login *l = &w->login;

	cm_attempt_tell(attempt_of(w), &(struct cm_told){
		.state = CM_ATTEMPT_PIN, .name = l->account->gecos[0] != '\0' ? l->account->gecos : l->account->name,
		.user = l->account->name, .reader = w->session->reader, .online = l->account_kept ? CM_LOG_OFFLINE : CM_LOG_ONLINE,
		.has_tries = l->tries_left != CM_TRIES_UNKNOWN, .tries = l->tries_left, .last_try = l->tries_left == 1,
		.pad = l->pad, .reason = reason, .text = text,
	});
}

enum heard { HEARD_MORE, HEARD_ANSWER, HEARD_CANCEL, HEARD_GONE, HEARD_DEATH, HEARD_NOTHING };

static enum heard
listen_once(struct cm_work *w, enum cm_work_event event, struct cm_answer *out)
{
	struct cm_attempt *a = attempt_of(w);

	if (w->session->removed)
		return HEARD_GONE;
	if (a->cancelled)
		return HEARD_CANCEL;
	if (event == CM_WORK_DIED)
		return HEARD_DEATH;
	if (cm_attempt_take_answer(a, out))
		return HEARD_ANSWER;
	return event == CM_WORK_TIMEOUT ? HEARD_NOTHING : HEARD_MORE;
}

static enum heard
hear(struct cm_work *w, struct cm_answer *out)
{
	const cm_deadline deadline = cm_deadline_in(w->session->daemon->conf->service.wait);
	enum cm_work_event event = CM_WORK_WOKEN;
	enum heard heard;

	/* Looked at before the first wait: its wake may have been taken by who waited for the login itself. */
	for (;;) {
		pthread_mutex_lock(&w->session->daemon->lock);
		heard = listen_once(w, event, out);
		pthread_mutex_unlock(&w->session->daemon->lock);
		if (heard != HEARD_MORE)
			break;
		event = cm_work_wait(w, deadline);
		/* Whom another's question has killed is not asked for this login now: what it has told stands. */
		if (event == CM_WORK_DIED && cm_apart_let_resolver_go(w->apart))
			event = CM_WORK_WOKEN;
	}
	return heard;
}

/* True: there is an answer.  Else the login has ended, or begins anew. */
bool
cm_work_await_answer(struct cm_work *w, struct cm_answer *out)
{
	switch (hear(w, out)) {
	case HEARD_ANSWER:
		return true;
	case HEARD_CANCEL:
		cm_work_refuse(w, CM_REASON_CANCELLED, "the caller went away, or gave up");
		return false;
	case HEARD_GONE:
		cm_work_begin_anew(w->session, attempt_of(w));
		return false;
	case HEARD_DEATH:
		w->untouched = false;
		cm_work_refuse(w, CM_REASON_HELPER, "a process of the service died while the PIN was awaited");
		return false;
	default:
		cm_work_refuse(w, CM_REASON_CANCELLED, "no PIN came in time");
		return false;
	}
}

/*
 * A card helper may see that a card is gone before the watcher does.  Where that tells
 * of no removal it was another card, or the same one reset by another program.
 */
static void
end_without_card(struct cm_work *w)
{
	const cm_deadline deadline = cm_deadline_in(WATCHER_MS);
	struct cm_session *s = w->session;
	bool removed = false;
	struct cm_apart *apart = w->apart;

	w->apart = NULL;	/* its helper has ended, or will: that is no news */
	while (!removed && cm_work_wait(w, deadline) != CM_WORK_TIMEOUT) {
		pthread_mutex_lock(&s->daemon->lock);
		removed = s->removed;
		pthread_mutex_unlock(&s->daemon->lock);
	}
	w->apart = apart;
	if (removed)
		cm_work_begin_anew(s, attempt_of(w));
	else
		begin_anew(s, attempt_of(w), CM_REASON_CARD_CHANGED, "the card was exchanged, or reset by another program");
}

static bool
was_unlocked(const struct cm_trace *t)
{
	for (size_t i = 0; i < cm_trace_count(t); i++)
		if (strcmp(cm_trace_stage(t, i)->name, "pin") == 0 && cm_trace_stage(t, i)->err == CM_OK)
			return true;
	return false;
}

bool
cm_work_judge_removed(struct cm_work *w)
{
	bool removed;

	pthread_mutex_lock(&w->session->daemon->lock);
	removed = w->session->removed;
	pthread_mutex_unlock(&w->session->daemon->lock);
	if (!removed || cm_trace_reason(w->trace) != CM_REASON_HELPER)
		return false;
	if (was_unlocked(w->trace))
		cm_work_refuse(w, CM_REASON_CARD_REMOVED, "the card was taken out before the login was through");
	else
		cm_work_begin_anew(w->session, attempt_of(w));
	return true;
}

/* True: ask again. */
static bool
judge(struct cm_work *w, enum cm_err err)
{
	const enum cm_reason reason = cm_trace_reason(w->trace);

	if (err == CM_OK) {
		cm_work_grant(w, attempt_of(w));
		cm_work_forgive_pins(w->session);
		cm_work_detach(w->session, attempt_of(w));
		return false;
	}
	if (reason == CM_REASON_PIN_WRONG)
		return cm_work_judge_wrong_pin(w);
	if (cm_work_is_last_unsaid(w))
		return true;
	if (cm_work_is_cancelled(w)) {
		cm_work_refuse(w, CM_REASON_CANCELLED, "the caller went away, or gave up");
	} else if (cm_work_judge_removed(w)) {
		return false;
	} else if (was_unlocked(w->trace)) {
		refuse_logged(w);
	} else if (reason == CM_REASON_CARD_CHANGED || reason == CM_REASON_CARD_REMOVED) {
		end_without_card(w);
	} else if (reason == CM_REASON_PIN_FORM) {
		begin_anew(w->session, attempt_of(w), reason, cm_trace_message(w->trace));
	} else {
		refuse_logged(w);
	}
	return false;
}

static enum cm_err
finish(struct cm_work *w, struct cm_answer *answer)
{
	const struct cm_pin pin = { .fd = answer->fds[0], .pad = answer->fds[0] < 0, .last_try = answer->last_try };
	const unsigned tries_before = w->login.tries_left;
	enum cm_err err;

	w->untouched = false;
	cm_trace_clear_reason(w->trace);
	cm_attempt_tell(attempt_of(w), &(struct cm_told){ .state = CM_ATTEMPT_WORKING, .user = w->login.account->name,
	    .reader = w->session->reader });
	cm_work_spend_pin(w, tries_before);
	err = cm_login_finish(&w->login, &pin);
	cm_work_account_pin(w, tries_before, w->login.pin_sent, err);
	/* What is kept for the card leads to a key that it has not. */
	w->session->mistaken = err != CM_OK && w->login.cached && cm_trace_reason(w->trace) == CM_REASON_CARD_KEY;
	if (w->session->mistaken)
		cm_apart_mistook(w->apart);
	cm_answer_clear(answer);
	return err;
}

/* ---- another PIN for the old one */

static void
grant_changed(struct cm_work *w)
{
	const struct cm_login *l = &w->login;
	struct cm_attempt *a = attempt_of(w);
	struct cm_log_entry e = entry_of(w, CM_REASON_NONE, "the card's PIN was changed");
	const struct cm_granting g = {
		.account = l->account, .serial = l->serial, .subject = l->subject, .kept_age = l->account_kept ? l->kept_age : -1,
	};

	e.event = "change-pin";
	cm_record_write(a->daemon->record, &e);
	cm_attempt_tell(a, &(struct cm_told){ .state = CM_ATTEMPT_GRANTED, .user = l->account->name, .reader = w->session->reader,
	    .grant = cm_attempt_grant(&g) });
	cm_work_detach(w->session, a);
}

/* True: ask again. */
static bool
change_pin(struct cm_work *w, struct cm_answer *answer)
{
	const unsigned tries_before = w->login.tries_left;
	bool sent = false;
	const struct cm_apart_pins pins = { .now = answer->fds[0], .next = answer->fds[1], .last_try = answer->last_try, .sent = &sent };
	enum cm_err err;

	w->untouched = false;
	cm_attempt_tell(attempt_of(w), &(struct cm_told){ .state = CM_ATTEMPT_WORKING, .user = w->login.account->name });
	cm_trace_begin(w->trace, "change");
	cm_work_spend_pin(w, tries_before);
	err = cm_apart_change_pin(w->apart, &pins, cm_deadline_in(w->session->daemon->conf->card.timeout), w->trace, &w->login.tries_left);
	cm_trace_end(w->trace, err);
	cm_work_account_pin(w, tries_before, sent, err);
	cm_answer_clear(answer);
	if (err == CM_OK) {
		cm_work_forgive_pins(w->session);
		grant_changed(w);
		return false;
	}
	if (cm_trace_reason(w->trace) == CM_REASON_PIN_WRONG)
		return cm_work_judge_wrong_pin(w);
	if (cm_trace_reason(w->trace) == CM_REASON_PIN_FORM || cm_work_is_last_unsaid(w))
		return true;
	if (!cm_work_judge_removed(w))
		cm_work_refuse(w, cm_trace_reason(w->trace), cm_trace_message(w->trace));
	return false;
}

/* ---- */

/* Root's programs log anybody in; anybody else's only its own user. */
static bool
is_for_caller(const struct cm_work *w)
{
	const struct cm_attempt *a = attempt_of(w);

	return (a->uid == 0 && a->purpose != CM_PURPOSE_REFRESH) || a->uid == w->login.account->uid;
}

/* The card opens accounts of others; another card that is in may be the wanted user's.  service/login.c has logged it. */
static void
pass_on(struct cm_work *w)
{
	struct cm_session *s = w->session;
	struct cm_attempt *a = attempt_of(w);
	struct cm_buf card = { 0 };
	enum cm_err err;

	pthread_mutex_lock(&s->daemon->lock);
	if ((err = cm_session_card(s, &card)) == CM_OK)
		err = cm_list_add(&a->tried, cm_buf_blob(&card));
	pthread_mutex_unlock(&s->daemon->lock);
	cm_buf_free(&card);
	if (err == CM_OK)
		begin_anew(s, a, CM_REASON_NONE, NULL);
	else
		refuse_logged(w);
}

/* It is prepared for whoever the card names: now somebody is. */
static enum cm_err
name(struct cm_work *w)
{
	struct cm_attempt *a = attempt_of(w);
	struct cm_login *l = &w->login;
	const char *user = a->chosen != NULL ? a->chosen : a->user;

	l->ahead = false;
	l->service = a->service;
	l->rhost = a->rhost;
	l->tty = a->tty;
	l->wants_secret = a->wants_secret;
	l->for_ticket = a->purpose == CM_PURPOSE_REFRESH;
	return user != NULL ? cm_login_name(l, user) : CM_OK;
}

static void
ask(struct cm_work *w)
{
	const bool changes = attempt_of(w)->purpose == CM_PURPOSE_CHAUTHTOK;
	enum cm_reason reason = CM_REASON_NONE;
	struct cm_buf text = { 0 };
	struct cm_answer answer;
	bool again = true;

	while (again) {
		if (!changes)
			cm_login_expect_pin(&w->login);
		ask_pin(w, reason, cm_buf_str(&text));
		if (!cm_work_await_answer(w, &answer))
			break;
		if (w->login.tries_left == 1 && !answer.last_try) {
			cm_answer_clear(&answer);
			reason = CM_REASON_PIN_LAST_TRY;
			cm_buf_truncate(&text, 0);
			cm_buf_add_str(&text, "one try is left for this PIN");
			continue;
		}
		again = changes ? change_pin(w, &answer) : judge(w, finish(w, &answer));
		reason = cm_trace_reason(w->trace);
		cm_buf_truncate(&text, 0);
		cm_buf_add_str(&text, cm_trace_message(w->trace));
	}
	cm_apart_expect_none(w->apart);
	cm_buf_free(&text);
}

/* accounts.mobile = ask: once for an account, while the directory is there.  False: the login has ended, or begins anew. */
static bool
ask_to_keep(struct cm_work *w)
{
	const struct cm_mobile_host h = { .conf = w->session->daemon->conf, .store = w->store };
	struct cm_login *l = &w->login;
	struct cm_answer answer;

	l->keep_here = l->keep_never = false;
	if (attempt_of(w)->purpose != CM_PURPOSE_LOGIN || l->account_kept || !cm_mobile_must_ask(&h, l->account))
		return true;
	cm_attempt_tell(attempt_of(w), &(struct cm_told){ .state = CM_ATTEMPT_CHOOSE, .user = l->account->name,
	    .reader = w->session->reader, .choices = json_pack("[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]",
	    "id", "keep", "text", "keep this account on this computer, for when the network is away",
	    "id", "not-now", "text", "do not keep it now", "id", "never", "text", "do not keep it, and do not ask again") });
	if (!cm_work_await_answer(w, &answer))
		return false;
	l->keep_here = answer.choice != NULL && strcmp(answer.choice, "keep") == 0;
	/* Until the PIN it may be anybody who found the card. */
	l->keep_never = answer.choice != NULL && strcmp(answer.choice, "never") == 0;
	cm_answer_clear(&answer);
	return true;
}

void
cm_work_serve(struct cm_work *w)
{
	if (attempt_of(w)->purpose == CM_PURPOSE_PAIR) {
		w->untouched = false;
		cm_work_pair(w);
		return;
	}
	/* Named already, or by the name that the card gave: then nobody is asked for it. */
	w->untouched = w->login.account != NULL;
	if (name(w) != CM_OK) {
		w->untouched = false;
		if (cm_trace_reason(w->trace) == CM_REASON_NOT_THIS_USER)
			pass_on(w);
		else
			refuse_logged(w);
		return;
	}
	if (!is_for_caller(w)) {
		cm_work_refuse(w, CM_REASON_NOT_HERE, "the card is another user's than the caller");
		return;
	}
	if (ask_to_keep(w))
		ask(w);
}

void
cm_work_told(void *arg, const struct cm_log_entry *e)
{
	const struct cm_work *w = arg;

	cm_record_write(w->session->daemon->record, e);
}
