/* cardmapd/removal.c - the card is taken out: the session that it opened or unlocked is locked, or ended. */
#include <stdlib.h>

#include "cardmapd/cards.h"
#include "cardmapd/record.h"
#include "cardmapd/removal_internal.h"
#include "service/logind.h"
#include "service/seat.h"

#define START_MS	10000	/* until the readers of a service that is started anew have been looked at */
#define HOLD_MS		10000	/* until a card that was put in is known */
#define CALL_MS		5000
#define RETRY_MS	1000
#define FAILED_MAX	5
#define LOOK_FIRST	500	/* ms until somebody who came in is looked for in a session; doubled ... */
#define LOOK_MOST	60000

struct cm_removal {
	struct cm_daemon *daemon;
	char path[4096];
	/* under the daemon's lock: */
	struct cm_entered_list list;
	bool changed;			/* since it was written */
	unsigned pause;
	cm_deadline look;		/* when sessions are looked for; INT64_MAX: all are known */
	/* one at a time tells logind: */
	struct acting {
		struct cm_removal *removal;
		struct cm_entered what;
		pthread_t thread;
		bool runs, ended;	/* ended: under the lock */
		enum cm_err err;
	} acting;
};

static bool
is_on(const struct cm_removal *r)
{
	return r->daemon->conf->enforcement.removal != CM_REMOVAL_NONE;
}

enum cm_err
cm_removal_new(struct cm_daemon *d, struct cm_removal **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	(*out)->daemon = d;
	(*out)->look = INT64_MAX;
	snprintf((*out)->path, sizeof((*out)->path), "%s/private/entered", d->run_dir);
	return CM_OK;
}

/* Whose card was in is not known: it may have been taken out while nobody looked. */
void
cm_removal_begin(struct cm_removal *r)
{
	struct cm_trace *t = NULL;

	if (!is_on(r) || cm_trace_new(&t) != CM_OK)
		return;
	if (cm_entered_read(r->path, t, &r->list) == CM_ERR_CONFIG)
		cm_log_event(r->daemon->conf->service.log, "removal", CM_ERR_CONFIG, CM_REASON_CONFIG, "%s", cm_trace_message(t));
	for (size_t i = 0; i < r->list.count; i++) {
		r->list.rows[i].due = cm_deadline_in(START_MS + r->daemon->conf->enforcement.removal_grace);
		r->list.rows[i].hold = r->list.rows[i].due + HOLD_MS;
	}
	if (r->list.count > 0)
		r->look = cm_deadline_in(0);
	cm_trace_free(&t);
}

void
cm_removal_free(struct cm_removal **r)
{
	if (*r == NULL)
		return;
	if ((*r)->acting.runs)
		pthread_join((*r)->acting.thread, NULL);
	free(*r);
	*r = NULL;
}

/* ---- who comes in */

/*
 * These prove who somebody is within a session, or for a while: they open none and unlock none.
 * A name that is not here is a login program's or a screen locker's.
 */
static bool
opens_session(const char *service)
{
	static const char *const not[] = {
		"su", "su-l", "sudo", "sudo-i", "polkit-1", "doas", "runuser", "runuser-l", "passwd", "chsh", "chfn", "cron",
		"atd", "sshd", "cockpit", "samba", "cardmap-refresh",
	};

	for (size_t i = 0; service != NULL && i < CM_COUNT(not); i++)
		if (strcmp(service, not[i]) == 0)
			return false;
	return true;
}

static void
forget_row(struct cm_removal *r, size_t i)
{
	r->list.count--;
	memmove(&r->list.rows[i], &r->list.rows[i + 1], (r->list.count - i) * sizeof(*r->list.rows));
	r->changed = true;
}

/* A session has one card: the last that opened or unlocked it.  A process too. */
static void
forget_others(struct cm_removal *r, const struct cm_entered *e)
{
	for (size_t i = r->list.count; i-- > 0;) {
		const struct cm_entered *o = &r->list.rows[i];

		if (o != e && ((e->session[0] != '\0' && strcmp(o->session, e->session) == 0) ||
		    (e->session[0] == '\0' && o->pid == e->pid && o->started == e->started)))
			forget_row(r, i);
	}
}

static void
copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from != NULL ? from : "");
}

static void
look_soon(struct cm_removal *r)
{
	r->pause = LOOK_FIRST;
	r->look = cm_deadline_in(r->pause);
}

/* The last that opened or unlocked a session.  One of no card stands in it until its session is known, and has no other row then. */
static void
add_row(struct cm_removal *r, const struct cm_entered *e)
{
	const bool stays = e->card[0] != '\0' || e->session[0] == '\0';

	pthread_mutex_lock(&r->daemon->lock);
	forget_others(r, e);
	if (stays && r->list.count == CM_ENTERED_MAX)
		forget_row(r, 0);
	if (stays)
		r->list.rows[r->list.count++] = *e;
	r->changed = true;
	look_soon(r);
	pthread_mutex_unlock(&r->daemon->lock);
	cm_daemon_wake(r->daemon);
}

/*
 * Programs after which somebody has a session, or his own again: login programs and screen lockers.  What is not here
 * proves who somebody is for something else, and makes no session its password's.
 */
static bool
unlocks_session(const char *service)
{
	static const char *const names[] = {
		"login", "gdm-password", "gdm-fingerprint", "lightdm", "sddm", "greetd", "kde", "kde-fingerprint", "swaylock", "hyprlock",
		"waylock", "gtklock", "vlock", "i3lock", "physlock", "xlock", "xscreensaver", "cinnamon-screensaver", "mate-screensaver",
		"light-locker", "gnome-screensaver",
	};

	for (size_t i = 0; service != NULL && i < CM_COUNT(names); i++)
		if (strcmp(service, names[i]) == 0)
			return true;
	return false;
}

/* Under the lock: whom some card let in, by name. */
static bool
find_uid(const struct cm_removal *r, const char *user, uid_t *uid)
{
	for (size_t i = 0; i < r->list.count; i++)
		if (r->list.rows[i].card[0] != '\0' && strcmp(r->list.rows[i].user, user) == 0) {
			*uid = r->list.rows[i].uid;
			return true;
		}
	return false;
}

static bool
is_believed(const struct cm_removal *r, const struct cm_attempt *a)
{
	return a->uid == 0 || r->daemon->conf->enforcement.removal == CM_REMOVAL_LOCK;
}

void
cm_removal_without_card(struct cm_removal *r, const struct cm_attempt *a)
{
	struct cm_entered e = { .pid = a->pid, .started = cm_entered_started(a->pid), .due = INT64_MAX };
	char *session = NULL;
	bool known;

	if (!is_on(r) || a->user == NULL || e.started == 0 || !unlocks_session(a->service) || !is_believed(r, a))
		return;
	pthread_mutex_lock(&r->daemon->lock);
	known = find_uid(r, a->user, &e.uid);
	pthread_mutex_unlock(&r->daemon->lock);
	if (!known || (a->uid != 0 && a->uid != e.uid))
		return;
	if ((session = cm_seat_session(a->pid, e.uid)) != NULL)
		copy(e.session, sizeof(e.session), session);
	free(session);
	copy(e.user, sizeof(e.user), a->user);
	add_row(r, &e);
}

void
cm_removal_admitted(struct cm_removal *r, const struct cm_session *s, const struct cm_attempt *a,
    const struct cm_account *account)
{
	struct cm_entered e = { .uid = account->uid, .pid = a->pid, .started = cm_entered_started(a->pid), .due = INT64_MAX };
	char *session;

	if (!is_on(r) || a->purpose != CM_PURPOSE_LOGIN || !opens_session(a->service) || e.started == 0)
		return;
	if ((session = cm_seat_session(a->pid, account->uid)) != NULL)
		copy(e.session, sizeof(e.session), session);
	free(session);
	copy(e.user, sizeof(e.user), account->name);
	copy(e.reader, sizeof(e.reader), s->reader);
	pthread_mutex_lock(&r->daemon->lock);
	copy(e.card, sizeof(e.card), s->card);
	pthread_mutex_unlock(&r->daemon->lock);
	add_row(r, &e);
}

/*
 * Whoever asked goes on to make the session (login, a display manager's worker), and is in it then.  Where it
 * has ended and was in none, it unlocked the one that the user has on the display.  False: there is none (yet).
 */
static bool
find_session(struct cm_entered *e)
{
	const bool lives = cm_entered_started(e->pid) == e->started;
	char *session;

	if (e->session[0] != '\0')
		return cm_seat_has_session(e->session, e->uid);
	session = cm_seat_session(lives ? e->pid : 0, e->uid);
	copy(e->session, sizeof(e->session), session);
	free(session);
	return e->session[0] != '\0';
}

/* Under the lock.  A look into /run and /proc, a few times for each who came in. */
static void
find_sessions(struct cm_removal *r)
{
	bool waits = false;

	if (!cm_deadline_passed(r->look))
		return;
	for (size_t i = r->list.count; i-- > 0;) {
		struct cm_entered *e = &r->list.rows[i];
		const bool known = e->session[0] != '\0';

		if (find_session(e)) {
			if (!known) {
				const struct cm_entered one = *e;

				r->changed = true;
				forget_row(r, i);
				forget_others(r, &one);
				if (one.card[0] != '\0')
					r->list.rows[r->list.count++] = one;
			}
		} else if (known || cm_entered_started(e->pid) != e->started) {
			forget_row(r, i);
		} else {
			waits = true;
		}
	}
	r->pause = r->pause * 2 < LOOK_MOST ? r->pause * 2 : LOOK_MOST;
	r->look = waits ? cm_deadline_in(r->pause) : INT64_MAX;
}

/* ---- cards that go and come */

void
cm_removal_taken(struct cm_removal *r, const struct cm_session *s)
{
	const cm_deadline due = cm_deadline_in(r->daemon->conf->enforcement.removal_grace);

	pthread_mutex_lock(&r->daemon->lock);
	for (size_t i = 0; i < r->list.count; i++) {
		struct cm_entered *e = &r->list.rows[i];

		if (s->card[0] == '\0' || strcmp(e->card, s->card) != 0)
			continue;
		e->due = due;
		e->hold = due + HOLD_MS;
		e->failed = 0;
		e->lost = false;
	}
	pthread_mutex_unlock(&r->daemon->lock);
}

void
cm_removal_lost(struct cm_removal *r)
{
	pthread_mutex_lock(&r->daemon->lock);
	for (size_t i = 0; i < r->list.count; i++)
		if (r->list.rows[i].due != INT64_MAX) {
			r->list.rows[i].due = INT64_MAX;
			r->list.rows[i].lost = true;
		}
	pthread_mutex_unlock(&r->daemon->lock);
}

void
cm_removal_back(struct cm_removal *r)
{
	pthread_mutex_lock(&r->daemon->lock);
	for (size_t i = 0; i < r->list.count; i++) {
		struct cm_entered *e = &r->list.rows[i];

		if (!e->lost)
			continue;
		e->lost = false;
		e->due = cm_deadline_in(START_MS + r->daemon->conf->enforcement.removal_grace);
		e->hold = e->due + HOLD_MS;
	}
	pthread_mutex_unlock(&r->daemon->lock);
}

enum whereabouts { AWAY, PERHAPS, IN };

/* Under the lock. */
static enum whereabouts
find_card(const struct cm_removal *r, const struct cm_entered *e)
{
	enum whereabouts found = AWAY;

	for (const struct cm_session *s = cm_cards_first(r->daemon->cards); s != NULL; s = s->next) {
		if (s->removed)
			continue;
		if (strcmp(s->card, e->card) == 0)
			return IN;
		if (s->card[0] == '\0' && s->state == CM_SESSION_READING)
			found = PERHAPS;
	}
	return found;
}

/* ---- the action */

static void
tell(const struct cm_removal *r, const struct cm_entered *e, enum cm_err err, const struct cm_trace *t)
{
	const bool ends = r->daemon->conf->enforcement.removal == CM_REMOVAL_LOGOUT;
	struct cm_log_entry entry = { .event = "removal", .err = err, .user = e->user, .uid = e->uid, .reader = e->reader };
	struct cm_buf text = { 0 };

	if (err == CM_OK) {
		cm_buf_addf(&text, "the card was taken out: session %s %s", e->session, ends ? "ends" : "is locked");
	} else {
		entry.reason = cm_trace_reason(t) != CM_REASON_NONE ? cm_trace_reason(t) : CM_REASON_SYSTEM;
		cm_buf_add_str(&text, cm_trace_message(t));
	}
	entry.text = cm_buf_str(&text);
	cm_record_write(r->daemon->record, &entry);
	cm_buf_free(&text);
}

static void *
act(void *arg)
{
	struct acting *a = arg;
	struct cm_removal *r = a->removal;
	struct cm_trace *t = NULL;

	if ((a->err = cm_trace_new(&t)) == CM_OK)
		a->err = cm_logind_act(CM_LOGIND_BUS, a->what.session, r->daemon->conf->enforcement.removal, cm_deadline_in(CALL_MS), t);
	if (a->err != CM_ERR_ABSENT)	/* it is over: nobody is there to be locked out */
		tell(r, &a->what, a->err, t);
	cm_trace_free(&t);
	pthread_mutex_lock(&r->daemon->lock);
	a->ended = true;
	pthread_mutex_unlock(&r->daemon->lock);
	cm_daemon_wake(r->daemon);
	return NULL;
}

/* Under the lock.  logind may be starting anew: it is asked again, some times. */
static void
settle(struct cm_removal *r, const struct cm_entered *what, enum cm_err err)
{
	for (size_t i = 0; i < r->list.count; i++) {
		struct cm_entered *e = &r->list.rows[i];

		if (strcmp(e->session, what->session) != 0 || strcmp(e->card, what->card) != 0)
			continue;
		if (err == CM_OK && r->daemon->conf->enforcement.removal == CM_REMOVAL_LOCK)
			return;		/* locked by it once more, when it is put in and taken out again */
		if (err == CM_OK || err == CM_ERR_ABSENT || ++e->failed >= FAILED_MAX)
			forget_row(r, i);
		else
			e->due = cm_deadline_in(RETRY_MS);
		return;
	}
}

static void
take_back(struct cm_removal *r)
{
	struct acting *a = &r->acting;
	bool ended;

	pthread_mutex_lock(&r->daemon->lock);
	ended = a->runs && a->ended;
	pthread_mutex_unlock(&r->daemon->lock);
	if (!ended)
		return;
	pthread_join(a->thread, NULL);
	a->runs = false;
	pthread_mutex_lock(&r->daemon->lock);
	settle(r, &a->what, a->err);
	pthread_mutex_unlock(&r->daemon->lock);
}

/* Under the lock: the next whose time has come, whose card is in no reader, and who has a session. */
static bool
find_due(struct cm_removal *r, struct cm_entered *out)
{
	for (size_t i = r->list.count; i-- > 0;) {
		struct cm_entered *e = &r->list.rows[i];
		const enum whereabouts where = e->due != INT64_MAX ? find_card(r, e) : IN;

		if (where == IN)
			e->due = INT64_MAX;	/* it was put back */
		if (!cm_deadline_passed(e->due) || (where == PERHAPS && !cm_deadline_passed(e->hold)))
			continue;
		e->due = INT64_MAX;
		if (find_session(e)) {
			*out = *e;
			return true;
		}
		forget_row(r, i);
	}
	return false;
}

static void
start_next(struct cm_removal *r)
{
	struct acting *a = &r->acting;
	bool due;

	if (a->runs)
		return;
	*a = (struct acting){ .removal = r };
	pthread_mutex_lock(&r->daemon->lock);
	due = find_due(r, &a->what);
	pthread_mutex_unlock(&r->daemon->lock);
	if (!due)
		return;
	if (pthread_create(&a->thread, NULL, act, a) == 0) {
		a->runs = true;
		return;
	}
	pthread_mutex_lock(&r->daemon->lock);
	settle(r, &a->what, CM_ERR_SYSTEM);
	pthread_mutex_unlock(&r->daemon->lock);
}

static void
keep(struct cm_removal *r)
{
	struct cm_entered_list now;
	struct cm_trace *t = NULL;
	bool changed;

	pthread_mutex_lock(&r->daemon->lock);
	changed = r->changed;
	r->changed = false;
	if (changed)
		now = r->list;
	pthread_mutex_unlock(&r->daemon->lock);
	if (!changed || cm_trace_new(&t) != CM_OK)
		return;
	if (cm_entered_write(r->path, &now, t) != CM_OK)
		cm_log_event(r->daemon->conf->service.log, "removal", CM_ERR_SYSTEM, CM_REASON_SYSTEM, "%s", cm_trace_message(t));
	cm_trace_free(&t);
}

void
cm_removal_look(struct cm_removal *r)
{
	if (!is_on(r))
		return;
	pthread_mutex_lock(&r->daemon->lock);
	find_sessions(r);
	pthread_mutex_unlock(&r->daemon->lock);
	take_back(r);
	start_next(r);
	keep(r);
}

cm_deadline
cm_removal_next(const struct cm_removal *r)
{
	cm_deadline next;

	pthread_mutex_lock(&r->daemon->lock);
	next = r->look;
	for (size_t i = 0; !r->acting.runs && i < r->list.count; i++) {
		const struct cm_entered *e = &r->list.rows[i];

		/* A card that is being read wakes the main thread when it is known. */
		next = cm_deadline_earlier(next, cm_deadline_passed(e->due) ? e->hold : e->due);
	}
	pthread_mutex_unlock(&r->daemon->lock);
	return next;
}

json_t *
cm_removal_list(const struct cm_removal *r)
{
	json_t *list = json_array();

	pthread_mutex_lock(&r->daemon->lock);
	for (size_t i = 0; i < r->list.count; i++) {
		const struct cm_entered *e = &r->list.rows[i];

		if (e->card[0] == '\0' || (e->session[0] != '\0' && !cm_seat_has_session(e->session, e->uid)))
			continue;	/* it is of no card; or has ended, and is forgotten when somebody looks */
		json_array_append_new(list, json_pack("{s:s, s:s*, s:s, s:b}", "user", e->user, "session",
		    e->session[0] != '\0' ? e->session : NULL, "reader", e->reader, "away", e->due != INT64_MAX || e->lost));
	}
	pthread_mutex_unlock(&r->daemon->lock);
	return list;
}
