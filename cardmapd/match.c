/* cardmapd/match.c - which card a login is for. */
#include "cardmapd/match.h"

#include <stdlib.h>

#include "cardmapd/cards.h"
#include "service/answer.h"

#define CHOICES_MAX	32

/* What the cards that are in come to, for one login. */
struct view {
	struct cm_daemon *daemon;
	struct cm_attempt *attempt;
	struct cm_session *fits;	/* ready, and the wanted user's */
	struct cm_session *nameable;	/* opens several accounts, one of which may be named */
	struct cm_session *other;	/* ready, and another user's */
	struct cm_session *foreign;	/* ready, and another user's than the caller, who is not root */
	struct cm_session *refused;	/* opens nothing */
	unsigned cards, fitting, unsettled, busy;
};

static const char *
wanted_user(const struct cm_attempt *a)
{
	return a->chosen != NULL ? a->chosen : a->user;
}

/* A refusal that is older than the login is asked about again: a server may be back. */
static bool
look_again(struct view *v, struct cm_session *s)
{
	if (s->state == CM_SESSION_READING && s->resting)
		cm_session_look_again(s);
	if (s->state != CM_SESSION_REFUSED || s->settled_us >= v->attempt->begun_us || s->reason == CM_REASON_PIN_HELD)
		return false;
	cm_session_look_again(s);
	return true;
}

static void
see_ready(struct view *v, struct cm_session *s)
{
	const char *user = wanted_user(v->attempt);

	/* Root's programs log anybody in; anybody else's only its own user: nobody's card is touched for another. */
	if (v->attempt->uid != 0 && s->uid != v->attempt->uid) {
		v->foreign = s;
		return;
	}
	if (user != NULL && strcmp(user, s->user) != 0) {
		v->other = s;
		return;
	}
	v->fits = s;
	v->fitting++;
}

static void
see(struct view *v, struct cm_session *s)
{
	if (s->removed || (v->attempt->reader != NULL && strcmp(v->attempt->reader, s->reader) != 0))
		return;
	v->cards++;
	if (s->state == CM_SESSION_BUSY)
		v->busy++;
	else if (look_again(v, s) || s->state == CM_SESSION_READING)
		v->unsettled++;
	else if (s->state == CM_SESSION_READY)
		see_ready(v, s);
	else if (s->candidates != NULL)
		v->nameable = s;
	else
		v->refused = s;
}

/* ---- what follows.  All under the lock */

static void
tell_once(struct cm_attempt *a, const struct cm_told *t)
{
	if (a->state != t->state || (t->reason == CM_REASON_BUSY && a->reason != CM_REASON_BUSY))
		cm_attempt_tell_locked(a, t);
	else
		json_decref(t->choices);
}

static json_t *
choice(const char *id, const char *text)
{
	json_t *o = json_object();

	cm_answer_set_text(o, "id", id);
	cm_answer_set_text(o, "text", text);
	return o;
}

/* Accounts of one card that opens several; or of several cards, one each.  The id is the account's name. */
static json_t *
list_choices(const struct view *v)
{
	json_t *list = json_array();

	for (const struct cm_session *s = cm_cards_first(v->daemon->cards); s != NULL; s = s->next) {
		if (s->removed || (v->attempt->reader != NULL && strcmp(v->attempt->reader, s->reader) != 0))
			continue;
		if (s->state == CM_SESSION_READY && (v->attempt->uid == 0 || s->uid == v->attempt->uid) &&
		    json_array_size(list) < CHOICES_MAX)
			json_array_append_new(list, choice(s->user, s->name[0] != '\0' ? s->name : s->user));
		for (size_t i = 0; s->state == CM_SESSION_REFUSED && s->candidates != NULL && s->candidates[i] != NULL &&
		    json_array_size(list) < CHOICES_MAX; i++)
			json_array_append_new(list, choice(s->candidates[i], s->candidates[i]));
	}
	return list;
}

static void match(struct cm_attempt *a);

/* It is answered by a name; one that was not among them is refused like one that was given at first. */
static void
choose(struct view *v)
{
	struct cm_attempt *a = v->attempt;
	struct cm_answer answer;

	if (a->state == CM_ATTEMPT_CHOOSE && cm_attempt_take_answer(a, &answer)) {
		a->chosen = answer.choice;
		answer.choice = NULL;
		cm_answer_clear(&answer);
		match(a);
		return;
	}
	tell_once(a, &(struct cm_told){ .state = CM_ATTEMPT_CHOOSE, .choices = list_choices(v) });
}

/* The log is written without the lock, which cm_match() gives up for it. */
static void
refuse(struct view *v, enum cm_reason reason, const char *text)
{
	const struct cm_session *s = v->other != NULL ? v->other : v->foreign != NULL ? v->foreign : v->refused;
	struct cm_log_entry e = cm_attempt_entry(v->attempt, reason, text);
	char *reader = s != NULL ? strdup(s->reader) : NULL;

	if (reader != NULL)
		e.reader = reader;
	pthread_mutex_unlock(&v->daemon->lock);
	cm_attempt_refuse(v->attempt, &e);
	pthread_mutex_lock(&v->daemon->lock);
	free(reader);
}

static void
refuse_cards(struct view *v)
{
	struct cm_buf text = { 0 };
	enum cm_reason reason;

	if (v->other != NULL) {
		reason = CM_REASON_NOT_THIS_USER;
		cm_buf_addf(&text, "the card in %s opens %s, not %s", v->other->reader, v->other->user, wanted_user(v->attempt));
	} else if (v->foreign != NULL) {
		reason = CM_REASON_NOT_HERE;
		cm_buf_add_str(&text, "the card is another user's than the caller");
	} else {
		reason = v->refused->reason;
		cm_buf_add_str(&text, v->refused->text);
	}
	refuse(v, reason, cm_buf_str(&text));
	cm_buf_free(&text);
}

static void
wait_for_card(struct view *v)
{
	const bool reader = cm_cards_has_reader(v->daemon->cards);

	tell_once(v->attempt, &(struct cm_told){ .state = CM_ATTEMPT_CARD, .user = v->attempt->user,
	    .reason = reader ? CM_REASON_NO_CARD : CM_REASON_NO_READER,
	    .text = reader ? "no card is in the reader" : "no reader is connected" });
}

static void
run_out_of_time(struct view *v)
{
	if (v->busy > 0)
		refuse(v, CM_REASON_BUSY, "another login uses the card, and has not ended in time");
	else if (v->cards > 0 && v->attempt->state != CM_ATTEMPT_CHOOSE)
		refuse(v, CM_REASON_CARD_SILENT, "the card was not read in time");
	else if (v->attempt->state == CM_ATTEMPT_CHOOSE)
		refuse(v, CM_REASON_CANCELLED, "nothing was chosen in time");
	else
		refuse(v, cm_cards_has_reader(v->daemon->cards) ? CM_REASON_NO_CARD : CM_REASON_NO_READER,
		    "no card was put in in time");
}

static void
decide(struct view *v)
{
	struct cm_attempt *a = v->attempt;
	const char *user = wanted_user(a);

	if (v->fits != NULL && (user != NULL || (v->fitting == 1 && v->unsettled == 0 && v->nameable == NULL)))
		cm_session_attach(v->fits, a);
	else if (cm_deadline_passed(a->card_due))
		run_out_of_time(v);
	else if (v->cards == 0)
		wait_for_card(v);
	else if (v->unsettled > 0 || v->busy > 0)
		tell_once(a, &(struct cm_told){ .state = CM_ATTEMPT_READING, .user = a->user,
		    .reason = v->busy > 0 ? CM_REASON_BUSY : CM_REASON_NONE, .text = "another login uses the card" });
	else if (user != NULL && v->nameable != NULL)
		cm_session_attach(v->nameable, a);
	else if (v->fits != NULL || v->nameable != NULL)
		choose(v);
	else
		refuse_cards(v);
}

static void
match(struct cm_attempt *a)
{
	struct view v = { .daemon = a->daemon, .attempt = a };

	for (struct cm_session *s = cm_cards_first(v.daemon->cards); s != NULL; s = s->next)
		see(&v, s);
	decide(&v);
}

void
cm_match(struct cm_attempt *a)
{
	pthread_mutex_lock(&a->daemon->lock);
	if (a->purpose != CM_PURPOSE_ACCOUNT && a->session == NULL && !a->ended && !a->cancelled)
		match(a);
	pthread_mutex_unlock(&a->daemon->lock);
}
