/* cardmapd/cards.c - the readers, as the watcher tells of them, and a session for each card. */
#include "cardmapd/cards.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "cardmapd/methods.h"
#include "cardmapd/pairing.h"
#include "cardmapd/processes.h"
#include "cardmapd/record.h"
#include "cardmapd/removal.h"
#include "service/answer.h"
#include "service/channel.h"

#define BACKOFF_FIRST	200	/* ms until the watcher is started again; doubled each time ... */
#define BACKOFF_MOST	10000
#define READERS_MAX	32
#define SEND_MS		1000

struct reader {
	struct reader *next;
	char *name;
	bool present, told;		/* told: the listeners know that it is there */
	bool stale;			/* it was there before the watcher was started anew, which has not spoken of it yet */
	uint32_t insertion;		/* as this watcher counts */
	struct cm_session *session;	/* of the card in it; owned by the list of sessions */
};

struct listener {
	struct listener *next;
	struct cm_client *client;
};

struct cm_cards {
	struct cm_daemon *daemon;
	struct cm_channel *watcher;	/* NULL: none runs */
	cm_deadline due;		/* when it is started again */
	cm_deadline silent;		/* when one that says nothing hangs */
	int silent_ms;
	unsigned backoff;
	struct reader *readers;
	struct cm_session *sessions;
	struct listener *listeners;
};

enum cm_err
cm_cards_new(struct cm_daemon *d, struct cm_cards **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	(*out)->daemon = d;
	(*out)->due = cm_deadline_in(0);
	(*out)->silent_ms = 3 * cm_fault_ms("CM_WATCH_ALIVE_MS", CM_WATCH_SILENT_MS / 3);
	return CM_OK;
}

/* ---- telling who listens */

static const char *
state_of(const struct cm_session *s)
{
	static const char *const names[] = {
		[CM_SESSION_READING] = "reading", [CM_SESSION_READY] = "ready", [CM_SESSION_REFUSED] = "refused",
		[CM_SESSION_BUSY] = "busy",
	};

	if (s == NULL)
		return "empty";
	return s->state == CM_SESSION_REFUSED && s->reason == CM_REASON_PIN_HELD ? "held" : names[s->state];
}

/* Whose a card is learns who may know of any, and whose it is. */
static json_t *
describe(struct cm_cards *c, const struct reader *r, const struct cm_client *who)
{
	const struct cm_session *s = r->session;
	char unpaired[CM_SELECTOR_KEY_SIZE] = "";
	json_t *o = json_object();
	bool may;

	pthread_mutex_lock(&c->daemon->lock);
	may = cm_permissions_of("io.cardmap.Cards", who->who) == CM_MAY || (s != NULL && s->uid == who->peer.uid);
	cm_answer_set_text(o, "reader", r->name);
	json_object_set_new(o, "present", json_boolean(r->present));
	cm_answer_set_text(o, "atr", s != NULL && may ? s->atr : "");
	if (s != NULL && may) {
		cm_answer_add_text(o, "user", s->user);
		cm_answer_add_text(o, "subject", s->subject);
	}
	cm_answer_set_text(o, "state", state_of(s));
	json_object_set_new(o, "insertion", json_integer(s != NULL ? s->insertion : r->insertion));
	if (s != NULL && s->state == CM_SESSION_REFUSED)
		memcpy(unpaired, s->unpaired, sizeof(unpaired));
	pthread_mutex_unlock(&c->daemon->lock);
	/* Who may pair it hears of it, and nobody else: that it opens nothing is none of theirs. */
	if (unpaired[0] != '\0' && cm_pairing_is_offered(who))
		cm_answer_add_text(o, "unpaired", unpaired);
	return o;
}

static void
tell(struct cm_cards *c, const char *event, const struct reader *r)
{
	for (struct listener *l = c->listeners; l != NULL; l = l->next)
		if (!l->client->finished)
			cm_client_continue(l->client, json_pack("{s:s, s:o}", "event", event, "card", describe(c, r, l->client)));
}

json_t *
cm_cards_list(struct cm_cards *c, const struct cm_client *who)
{
	json_t *list = json_array();

	for (const struct reader *r = c->readers; r != NULL; r = r->next)
		json_array_append_new(list, describe(c, r, who));
	return list;
}

static void
leave(struct cm_client *client)
{
	struct listener **at = &client->daemon->cards->listeners;

	while (*at != NULL && (*at)->client != client)
		at = &(*at)->next;
	if (*at != NULL) {
		struct listener *gone = *at;

		*at = gone->next;
		free(gone);
	}
	client->gone = NULL;
}

enum cm_err
cm_method_cards(struct cm_varlink_request *r)
{
	struct cm_client *client = r->context;
	struct cm_cards *c = client->daemon->cards;
	struct listener *l;
	json_t *list, *card;
	enum cm_err err = CM_OK;
	size_t i;

	if (!cm_parameters_take(r, NULL, 0, &err))
		return err;
	list = cm_cards_list(c, client);
	json_array_foreach(list, i, card)
		if (err == CM_OK)
			err = cm_varlink_continue(&r->turn, json_pack("{s:s, s:O}", "event", "present", "card", card), r->deadline);
	json_decref(list);
	if (err == CM_OK)
		err = cm_varlink_continue(&r->turn, json_pack("{s:s}", "event", "listed"), r->deadline);
	if (err != CM_OK)
		return err;
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return CM_ERR_NOMEM;
	*l = (struct listener){ c->listeners, client };
	c->listeners = l;
	cm_client_keep(client, r, leave, l);
	return CM_OK;
}

/* ---- readers */

static struct reader *
find_reader(struct cm_cards *c, const char *name)
{
	struct reader **end = &c->readers;
	unsigned count = 0;
	struct reader *r;

	for (; *end != NULL; end = &(*end)->next, count++)
		if (strcmp((*end)->name, name) == 0)
			return *end;
	if (count >= READERS_MAX || (r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	if ((r->name = strdup(name)) == NULL) {
		free(r);
		return NULL;
	}
	*end = r;	/* in the order they came */
	return r;
}

static void
say(struct cm_cards *c, const char *event, const struct reader *r)
{
	const struct cm_log_entry e = { .event = event, .uid = CM_LOG_NO_UID, .reader = r->name };

	cm_record_write(c->daemon->record, &e);
}

static void
take_out(struct cm_cards *c, struct reader *r, bool swapped)
{
	struct cm_session *s = r->session;

	r->session = NULL;
	r->present = false;
	if (s == NULL)
		return;
	pthread_mutex_lock(&c->daemon->lock);
	cm_session_remove(s, swapped);
	pthread_mutex_unlock(&c->daemon->lock);
	cm_removal_taken(c->daemon->removal, s);
	say(c, "card-removed", r);
	tell(c, "removed", r);
}

static void
name_insertion(const struct cm_message *m, struct cm_insertion *in)
{
	*in = (struct cm_insertion){ .pcscd = (uint32_t)m->pcscd, .events = (uint16_t)m->events };
	snprintf(in->reader, sizeof(in->reader), "%s", m->reader);
}

static void
put_in(struct cm_cards *c, struct reader *r, const struct cm_message *m, bool first)
{
	struct cm_session *s = NULL;
	struct cm_insertion in;
	struct cm_spent spent;

	r->present = true;
	r->insertion = (uint32_t)m->insertion;
	name_insertion(m, &in);
	cm_spents_find(c->daemon->spents, &in, first, &spent);
	if (cm_session_new(c->daemon, m, &spent, &s) != CM_OK) {
		cm_log_event(c->daemon->conf->service.log, "card", CM_ERR_SYSTEM, CM_REASON_SYSTEM,
		    "no thread can be made for the card in %s", r->name);
		return;
	}
	s->next = c->sessions;
	c->sessions = s;
	r->session = s;
	say(c, "card-inserted", r);
	tell(c, "inserted", r);
}

/*
 * A watcher that took another's place counts anew, and pcscd does not: a card
 * that is in before and after is the same where that has seen nothing
 * meanwhile, so that nobody gets two PINs more by its death.
 */
static bool
is_still_in(const struct reader *r, const struct cm_message *m)
{
	struct cm_insertion in;

	name_insertion(m, &in);
	return r->session != NULL && m->present != 0 && cm_insertion_equal(&in, &r->session->spent.in);
}

static void
see_reader(struct cm_cards *c, struct reader *r, const struct cm_message *m)
{
	const bool first = !r->told, stale = r->stale;

	r->told = true;
	r->stale = false;
	if (stale && is_still_in(r, m)) {
		r->insertion = (uint32_t)m->insertion;
		return;
	}
	if (!stale && m->present != 0 && r->session != NULL && r->insertion == (uint32_t)m->insertion)
		return;
	if (r->session != NULL) {
		take_out(c, r, m->present != 0);
		cm_spents_forget(c->daemon->spents, r->name);
	}
	if (m->present != 0)
		put_in(c, r, m, first);
	else if (first)
		tell(c, "present", r);
}

static void
free_reader(struct cm_cards *c, struct reader **at)
{
	struct reader *r = *at;

	take_out(c, r, false);
	tell(c, "gone", r);
	*at = r->next;
	free(r->name);
	free(r);
}

/* A pcscd that only could not be asked, as one that has all the clients it takes, still has the same insertions: PINs count on. */
static void
forget_readers(struct cm_cards *c)
{
	while (c->readers != NULL)
		free_reader(c, &c->readers);
}

static void
forget_reader(struct cm_cards *c, const char *name)
{
	for (struct reader **at = &c->readers; *at != NULL; at = &(*at)->next)
		if (strcmp((*at)->name, name) == 0) {
			free_reader(c, at);
			cm_spents_forget(c->daemon->spents, name);
			return;
		}
}

static void
take_message(struct cm_cards *c, const struct cm_message *m)
{
	struct reader *r;

	if (m->reader[0] == '\0') {
		/* pcscd went: so did every reader; or it is back, and they follow. */
		if (m->err != CM_OK) {
			cm_log_event(c->daemon->conf->service.log, "readers", (enum cm_err)m->err, (enum cm_reason)m->reason, "%s", m->text);
			forget_readers(c);
			cm_removal_lost(c->daemon->removal);
		} else {
			cm_removal_back(c->daemon->removal);
		}
	} else if (m->gone != 0) {
		forget_reader(c, m->reader);
	} else if ((r = find_reader(c, m->reader)) != NULL) {
		see_reader(c, r, m);
	}
}

/* ---- the watcher */

static void
lose_watcher(struct cm_cards *c)
{
	cm_channel_free(&c->watcher);
	c->due = cm_deadline_in(c->backoff);
	c->backoff = c->backoff == 0 ? BACKOFF_FIRST : c->backoff * 2 < BACKOFF_MOST ? c->backoff * 2 : BACKOFF_MOST;
	for (struct reader *r = c->readers; r != NULL; r = r->next)
		r->stale = true;
}

static void
start_watcher(struct cm_cards *c)
{
	const struct cm_message watch = { .kind = CM_MESSAGE_WATCH };
	const int fd = cm_processes_connect(c->daemon->processes, CM_KIND_WATCHER);

	c->due = INT64_MAX;
	c->silent = cm_deadline_in(c->silent_ms);
	if (fd < 0 || cm_channel_new(fd, &c->watcher) != CM_OK ||
	    cm_channel_send(c->watcher, &watch, NULL, 0, cm_deadline_in(SEND_MS)) != CM_OK)
		lose_watcher(c);
}

/* It is stopped or stuck, or pcscd, whom it asks, is. */
static void
replace_watcher(struct cm_cards *c)
{
	cm_log_event(c->daemon->conf->service.log, "readers", CM_ERR_SYSTEM, CM_REASON_HELPER,
	    "the process that watches the readers says nothing, and is replaced: if this goes on, pcscd hangs, and is to be restarted");
	cm_processes_end_watcher(c->daemon->processes);
	lose_watcher(c);
}

static void
hear_watcher(struct cm_cards *c)
{
	struct cm_message m = { 0 };
	enum cm_err err;

	while (c->watcher != NULL && (err = cm_channel_receive(c->watcher, 0, &m, NULL, 0)) != CM_ERR_OFFLINE) {
		if (err != CM_OK || (m.kind != CM_MESSAGE_READER && m.kind != CM_MESSAGE_ALIVE)) {
			cm_message_clear(&m);
			lose_watcher(c);
			return;
		}
		c->backoff = 0;
		c->silent = cm_deadline_in(c->silent_ms);
		if (m.kind == CM_MESSAGE_READER)
			take_message(c, &m);
		cm_message_clear(&m);
	}
	if (c->watcher != NULL && cm_channel_is_gone(c->watcher))
		lose_watcher(c);
	else if (c->watcher != NULL && cm_deadline_passed(c->silent))
		replace_watcher(c);
}

/* ---- sessions */

static void
tell_changed(struct cm_cards *c)
{
	for (struct reader *r = c->readers; r != NULL; r = r->next) {
		bool changed;

		if (r->session == NULL)
			continue;
		pthread_mutex_lock(&c->daemon->lock);
		changed = r->session->changed;
		r->session->changed = false;
		pthread_mutex_unlock(&c->daemon->lock);
		if (changed)
			tell(c, "changed", r);
	}
}

static void
let_go(struct cm_cards *c)
{
	struct cm_session **at = &c->sessions;

	while (*at != NULL) {
		struct cm_session *s = *at;
		bool over;

		pthread_mutex_lock(&c->daemon->lock);
		over = s->ended;
		pthread_mutex_unlock(&c->daemon->lock);
		if (!over) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		cm_session_free(&s);
	}
}

void
cm_cards_look(struct cm_cards *c)
{
	if (c->watcher == NULL && cm_deadline_passed(c->due))
		start_watcher(c);
	hear_watcher(c);
	tell_changed(c);
	let_go(c);
}

int
cm_cards_fd(const struct cm_cards *c)
{
	return c->watcher != NULL ? cm_channel_fd(c->watcher) : -1;
}

cm_deadline
cm_cards_next(const struct cm_cards *c)
{
	return c->watcher == NULL ? c->due : c->silent;
}

struct cm_session *
cm_cards_first(const struct cm_cards *c)
{
	return c->sessions;
}

bool
cm_cards_has_reader(const struct cm_cards *c)
{
	return c->readers != NULL;
}

void
cm_cards_free(struct cm_cards **c)
{
	if (*c == NULL)
		return;
	for (struct reader *r = (*c)->readers, *next; r != NULL; r = next) {
		next = r->next;
		free(r->name);
		free(r);
	}
	pthread_mutex_lock(&(*c)->daemon->lock);
	for (struct cm_session *s = (*c)->sessions; s != NULL; s = s->next)
		cm_session_remove(s, false);
	pthread_mutex_unlock(&(*c)->daemon->lock);
	while ((*c)->sessions != NULL) {
		struct cm_session *s = (*c)->sessions;

		(*c)->sessions = s->next;
		cm_session_free(&s);
	}
	cm_channel_free(&(*c)->watcher);
	free(*c);
	*c = NULL;
}
