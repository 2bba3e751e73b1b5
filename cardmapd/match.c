/* cardmapd/match.c - which card a login is for. */
#include "cardmapd/match.h"

#include <stdlib.h>

#include "cardmapd/cards.h"
#include "service/answer.h"

/* What the cards that are in come to, for one login. */
struct view {
	struct cm_daemon *daemon;
	struct cm_attempt *attempt;
	struct cm_session *fits;	/* ready, and the wanted user's */
	struct cm_session *nameable;	/* may open the account that is named, or opens several, one of which may be named */
	struct cm_session *other;	/* was asked about the wanted user, and opens another's account */
	struct cm_session *foreign;	/* another user's than the caller, who is not root */
	struct cm_session *refused;	/* opens nothing */
	struct cm_session *opens;	/* is to be paired, and opens an account */
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

	/* The first of its certificates is another's: the card may have one of the wanted user's too. */
	if (user != NULL && strcmp(user, s->user) != 0) {
		v->nameable = s;
		return;
	}
	/* Root's programs log anybody in; anybody else's only its own user. */
	if (v->attempt->uid != 0 && s->uid != v->attempt->uid) {
		v->foreign = s;
		return;
	}
	v->fits = s;
	v->fitting++;
}

/* Who is not root is told of no accounts but his own. */
static bool
may_choose(const struct cm_attempt *a, const struct cm_choice *c)
{
	return a->uid == 0 || c->uid == a->uid;
}

static void
see_refused(struct view *v, struct cm_session *s)
{
	const bool named = wanted_user(v->attempt) != NULL;

	for (size_t i = 0; i < s->choice_count; i++)
		if (named || may_choose(v->attempt, &s->choices[i])) {
			v->nameable = s;
			return;
		}
	if (s->choice_count > 0)
		v->foreign = s;
	else
		v->refused = s;
}

static bool
was_tried(const struct cm_attempt *a, const struct cm_session *s)
{
	struct cm_buf card = { 0 };
	bool tried = false;

	for (size_t i = 0; cm_session_card(s, &card) == CM_OK && !tried && i < cm_list_length(a->tried); i++) {
		tried = strcmp(a->tried[i], cm_buf_str(&card)) == 0;
		cm_buf_truncate(&card, 0);
	}
	cm_buf_free(&card);
	return tried;
}

/* Pairing is for a card that opens nothing. */
static void
see_for_pairing(struct view *v, struct cm_session *s)
{
	if (s->state == CM_SESSION_READY || s->choice_count > 0) {
		v->opens = s;
	} else if (s->unpaired[0] == '\0') {
		v->refused = s;
	} else {
		v->fits = s;
		v->fitting++;
	}
}

static void
see(struct view *v, struct cm_session *s)
{
	if (s->removed || (v->attempt->reader != NULL && strcmp(v->attempt->reader, s->reader) != 0))
		return;
	v->cards++;
	if (was_tried(v->attempt, s))
		v->other = s;
	else if (s->state == CM_SESSION_BUSY)
		v->busy++;
	else if (look_again(v, s) || s->state == CM_SESSION_READING)
		v->unsettled++;
	else if (v->attempt->purpose == CM_PURPOSE_PAIR)
		see_for_pairing(v, s);
	else if (s->state == CM_SESSION_READY)
		see_ready(v, s);
	else
		see_refused(v, s);
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
		    json_array_size(list) < CM_CHOICES_MAX)
			json_array_append_new(list, choice(s->user, s->name[0] != '\0' ? s->name : s->user));
		for (size_t i = 0; s->state == CM_SESSION_REFUSED && i < s->choice_count && json_array_size(list) < CM_CHOICES_MAX; i++)
			if (may_choose(v->attempt, &s->choices[i]))
				json_array_append_new(list, choice(s->choices[i].name, s->choices[i].text));
	}
	return list;
}

static void match(struct cm_attempt *a);

/* Who can be nobody else is not asked who he is. */
static bool
take_only(struct view *v)
{
	struct cm_attempt *a = v->attempt;
	json_t *list = a->uid != 0 ? list_choices(v) : NULL;
	const bool one = json_array_size(list) == 1 &&
	    (a->chosen = strdup(json_string_value(json_object_get(json_array_get(list, 0), "id")))) != NULL;

	json_decref(list);
	if (one)
		match(a);
	return one;
}

/* It is answered by a name; one that was not among them is refused like one that was given at first. */
static void
choose(struct view *v)
{
	struct cm_attempt *a = v->attempt;
	struct cm_answer answer;

	if (take_only(v))
		return;
	if (a->state == CM_ATTEMPT_CHOOSE && cm_attempt_take_answer(a, &answer)) {
		a->chosen = answer.choice;
		answer.choice = NULL;
		cm_answer_clear(&answer);
		match(a);
		return;
	}
	tell_once(a, &(struct cm_told){ .state = CM_ATTEMPT_CHOOSE, .choices = list_choices(v) });
}

/* Whoever looked at the card has logged what came of it. */
static void
refuse_tried(struct view *v, enum cm_reason reason, const char *text)
{
	struct cm_attempt *a = v->attempt;

	cm_attempt_tell_locked(a, &(struct cm_told){ .state = CM_ATTEMPT_REFUSED, .user = wanted_user(a), .reader = v->other->reader,
	    .reason = reason, .text = text });
}

/* The log is written without the lock, which cm_match() gives up for it. */
static void
refuse(struct view *v, enum cm_reason reason, const char *text)
{
	const struct cm_session *s = v->foreign != NULL ? v->foreign : v->opens != NULL ? v->opens : v->refused;
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

	if (v->foreign != NULL || (v->other != NULL && v->attempt->uid != 0)) {
		reason = CM_REASON_NOT_HERE;
		cm_buf_add_str(&text, "the card is another user's than the caller");
	} else if (v->other != NULL) {
		reason = CM_REASON_NOT_THIS_USER;
		cm_buf_addf(&text, "the card in %s opens %s%s%s", v->other->reader, v->other->user != NULL ? v->other->user : "",
		    v->other->user != NULL ? ", not " : "no account of the name ", wanted_user(v->attempt));
	} else if (v->opens != NULL) {
		reason = CM_REASON_CARD_OPENS;
		cm_buf_addf(&text, "the card in %s opens an account", v->opens->reader);
	} else if (v->refused->reason == CM_REASON_SEVERAL_ACCOUNTS && v->attempt->uid != 0) {
		reason = v->refused->reason;
		cm_buf_add_str(&text, "the card opens several accounts");
	} else {
		reason = v->refused->reason;
		cm_buf_add_str(&text, v->refused->text);
	}
	if (v->other != NULL)
		refuse_tried(v, reason, cm_buf_str(&text));
	else
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
