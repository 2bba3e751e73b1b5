/* cardmapd/session_pair.c - a card that opens nothing, paired with the account of whoever put it in and asks for that. */
#include "cardmapd/record.h"
#include "cardmapd/session_internal.h"
#include "service/disabled.h"
#include "service/pair_apart.h"
#include "service/password.h"

#define PASSWORD_MS	10000	/* a hash is made slow, and the computer may be busy */

void
cm_work_note_unpaired(struct cm_work *w, enum cm_err err, enum cm_reason reason)
{
	const bool opens_none = err == CM_ERR_ABSENT && (reason == CM_REASON_NO_ACCOUNT || reason == CM_REASON_NO_RULE);
	struct cm_buf hash = { 0 };

	w->session->unpaired[0] = '\0';
	if (opens_none && w->login.opening_count == 0 && !w->login.unclear && w->apart != NULL && cm_apart_key_hash(w->apart, &hash) &&
	    hash.len < sizeof(w->session->unpaired))
		memcpy(w->session->unpaired, cm_buf_str(&hash), hash.len + 1);
	cm_buf_free(&hash);
}

static void
refuse(struct cm_work *w, enum cm_err err)
{
	const enum cm_reason reason = cm_trace_reason(w->trace);

	cm_work_refuse(w, reason != CM_REASON_NONE ? reason : CM_REASON_SYSTEM, reason != CM_REASON_NONE ? cm_trace_message(w->trace) :
	    cm_err_name(err));
}

/* The card is read whole, also one that is known: what was kept for it is not what is to be paired. */
static enum cm_err
prepare(struct cm_work *w)
{
	struct cm_session *s = w->session;
	struct cm_buf source = { 0 };
	enum cm_err err;

	cm_work_end(w);
	s->mistaken = true;
	err = cm_work_begin(w);
	s->mistaken = false;
	cm_buf_addf(&source, "reader:%s", s->reader);
	if (err == CM_OK)
		err = cm_disabled_judge(s->daemon->conf, cm_buf_str(&source), w->trace);
	cm_buf_free(&source);
	return err == CM_OK ? cm_pair_apart_prepare(&w->login, s->attempt->pairs) : err;
}

static void
ask(struct cm_work *w, enum cm_reason reason, const char *text)
{
	const struct cm_login *l = &w->login;
	const struct cm_account *account = w->session->attempt->pairs;

	cm_attempt_tell(w->session->attempt, &(struct cm_told){
		.state = CM_ATTEMPT_PIN, .name = l->subject, .user = account->name, .reader = w->session->reader,
		.has_tries = l->tries_left != CM_TRIES_UNKNOWN, .tries = l->tries_left, .last_try = l->tries_left == 1, .pad = l->pad,
		.reason = reason, .text = text,
	});
}

static void
grant(struct cm_work *w)
{
	struct cm_attempt *a = w->session->attempt;
	struct cm_buf hash = { 0 }, text = { 0 };
	struct cm_log_entry e;
	const struct cm_granting g = { .account = a->pairs, .serial = w->login.serial, .subject = w->login.subject, .kept_age = -1 };

	(void)!cm_apart_key_hash(w->apart, &hash);
	cm_buf_addf(&text, "the card's key %s is paired with %s, by himself", cm_buf_str(&hash), a->pairs->name);
	e = cm_attempt_entry(a, CM_REASON_NONE, cm_buf_str(&text));
	e.uid = a->pairs->uid;
	e.reader = w->session->reader;
	e.serial = w->login.serial;
	cm_record_write(a->daemon->record, &e);
	cm_attempt_tell(a, &(struct cm_told){ .state = CM_ATTEMPT_GRANTED, .user = a->pairs->name, .reader = w->session->reader,
	    .grant = cm_attempt_grant(&g) });
	cm_work_detach(w->session, a);
	cm_buf_free(&text);
	cm_buf_free(&hash);
}

/* His password first: who only found the session open spends no try of the card's. */
static enum cm_err
finish(struct cm_work *w, const struct cm_answer *answer)
{
	const bool pad = answer->fds[1] < 0;
	const struct cm_pin pin = { .fd = pad ? -1 : answer->fds[0], .pad = pad, .last_try = answer->last_try };
	const struct cm_account *account = w->session->attempt->pairs;
	const unsigned tries_before = w->login.tries_left;
	enum cm_err err;

	cm_trace_clear_reason(w->trace);
	if (pad && !w->login.pad)
		return cm_trace_fail(w->trace, CM_REASON_PIN_MISSING, "the reader %s takes no PIN itself", w->session->reader);
	cm_trace_begin(w->trace, "password");
	err = cm_password_check(account->name, answer->fds[pad ? 0 : 1], cm_deadline_in(PASSWORD_MS), w->trace);
	cm_trace_end(w->trace, err);
	if (err != CM_OK)
		return err;
	cm_work_spend_pin(w, tries_before);
	err = cm_pair_apart_finish(&w->login, account, &pin);
	cm_work_account_pin(w, tries_before, w->login.pin_sent, err);
	return err;
}

/* True: ask again. */
static bool
judge(struct cm_work *w, enum cm_err err)
{
	const enum cm_reason reason = cm_trace_reason(w->trace);

	if (err == CM_OK) {
		cm_work_forgive_pins(w->session);
		grant(w);
		return false;
	}
	if (reason == CM_REASON_PIN_WRONG)
		return cm_work_judge_wrong_pin(w);
	if (reason == CM_REASON_PIN_FORM || cm_work_is_last_unsaid(w))
		return true;
	if (!cm_work_judge_removed(w))
		refuse(w, err);
	return false;
}

void
cm_work_pair(struct cm_work *w)
{
	enum cm_reason reason = CM_REASON_NONE;
	struct cm_buf text = { 0 };
	struct cm_answer answer;
	enum cm_err err;
	bool again;

	if ((err = prepare(w)) != CM_OK) {
		refuse(w, err);
		return;
	}
	do {
		ask(w, reason, cm_buf_str(&text));
		if (!cm_work_await_answer(w, &answer))
			break;
		cm_buf_truncate(&text, 0);
		if (w->login.tries_left == 1 && !answer.last_try) {
			again = true;
			reason = CM_REASON_PIN_LAST_TRY;
			cm_buf_add_str(&text, "one try is left for this PIN");
		} else {
			cm_attempt_tell(w->session->attempt, &(struct cm_told){ .state = CM_ATTEMPT_WORKING, .reader = w->session->reader });
			err = finish(w, &answer);
			again = judge(w, err);
			reason = cm_trace_reason(w->trace);
			cm_buf_add_str(&text, cm_trace_message(w->trace));
		}
		cm_answer_clear(&answer);
	} while (again);
	cm_buf_free(&text);
}
