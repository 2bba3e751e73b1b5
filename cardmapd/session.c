/* cardmapd/session.c - a card that is in: prepared before anybody asks, then a login, then prepared anew. */
#include "cardmapd/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cardmapd/processes.h"
#include "cardmapd/record.h"
#include "cardmapd/session_internal.h"
#include "service/card_log.h"
#include "service/disabled.h"

/* Where a process dies again and again, it is not started as fast as it dies. */
#define PAUSE_FIRST	100	/* ms */
#define PAUSE_MOST	10000
#define REST_MS		1000
#define LET_GO_MS	2000	/* above what helper/guard.c gives it */
#define ANEW_MOST	3	/* times that a card which others reset is read anew before anybody is told */
#define STEADY_US	((int64_t)10 * 1000000)

#define PROCESSES	2	/* the card's helper and the resolver: enum cm_process */

/* ---- for the main thread */

void
cm_session_wake(struct cm_session *s, bool cut)
{
	const uint64_t one = 1;

	/* What is asked of another process ends with the connection to it, and so does that process's work. */
	for (size_t i = 0; cut && i < CM_COUNT(s->lines); i++)
		if (s->lines[i] >= 0)
			(void)shutdown(s->lines[i], SHUT_RDWR);
	(void)!write(s->wake, &one, sizeof(one));
}

void
cm_session_remove(struct cm_session *s, bool swapped)
{
	s->removed = true;
	s->swapped = swapped;
	cm_session_wake(s, true);
}

void
cm_session_attach(struct cm_session *s, struct cm_attempt *a)
{
	s->attempt = a;
	a->session = s;
	s->state = CM_SESSION_BUSY;
	cm_session_wake(s, false);
}

void
cm_session_look_again(struct cm_session *s)
{
	s->state = CM_SESSION_READING;
	s->again = true;
	cm_session_wake(s, false);
}

static void
forget_found(struct cm_session *s)
{
	free(s->user);
	free(s->name);
	free(s->subject);
	free(s->text);
	s->user = s->name = s->subject = s->text = NULL;
	for (size_t i = 0; i < s->choice_count; i++) {
		free(s->choices[i].name);
		free(s->choices[i].text);
	}
	s->choice_count = 0;
	s->reason = CM_REASON_NONE;
	s->uid = (uid_t)-1;
}

void
cm_session_free(struct cm_session **s)
{
	if (*s == NULL)
		return;
	pthread_join((*s)->thread, NULL);
	close((*s)->wake);
	if ((*s)->log >= 0)
		close((*s)->log);
	forget_found(*s);
	free((*s)->reader);
	free((*s)->atr);
	free(*s);
	*s = NULL;
}

enum cm_err
cm_session_card(const struct cm_session *s, struct cm_buf *out)
{
	cm_buf_addf(out, "%u %s", (unsigned)s->insertion, s->reader);
	return cm_buf_status(out);
}

/* ---- in its thread: connections, which the main thread can end */

static int
connect_to(void *arg, enum cm_process which)
{
	struct cm_session *s = arg;
	const int fd = cm_processes_connect(s->daemon->processes,
	    which == CM_PROCESS_CARD ? CM_KIND_CARD : CM_KIND_RESOLVER);
	bool removed;

	if (fd < 0)
		return -1;
	pthread_mutex_lock(&s->daemon->lock);
	removed = s->removed;
	if (s->lines[which] >= 0)
		close(s->lines[which]);
	s->lines[which] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	pthread_mutex_unlock(&s->daemon->lock);
	if (!removed)
		return fd;
	close(fd);
	return -1;
}

static void
drop_lines(struct cm_session *s)
{
	pthread_mutex_lock(&s->daemon->lock);
	for (size_t i = 0; i < CM_COUNT(s->lines); i++) {
		if (s->lines[i] >= 0)
			close(s->lines[i]);
		s->lines[i] = -1;
	}
	pthread_mutex_unlock(&s->daemon->lock);
}

static bool
is_removed(const struct cm_session *s)
{
	bool removed;

	pthread_mutex_lock(&s->daemon->lock);
	removed = s->removed;
	pthread_mutex_unlock(&s->daemon->lock);
	return removed;
}

/* ---- preparing */

enum cm_err
cm_work_begin(struct cm_work *w)
{
	struct cm_session *s = w->session;
	const struct cm_apart_options o = {
		.names = &s->daemon->names,
		.conf = s->daemon->conf, .store = w->store, .hostcheck = s->daemon->hostcheck, .connect = connect_to, .arg = s, .naming = cm_session_naming,
		.ccache_program = s->daemon->ccache_program, .reader = s->reader, .insertion = s->insertion,
		.card_log = s->log >= 0 ? &s->log : NULL, .unknown = s->mistaken,
	};
	enum cm_err err;

	if ((err = cm_trace_new(&w->trace)) != CM_OK || (err = cm_apart_new(&o, &w->apart)) != CM_OK)
		return err;
	w->login = (struct cm_login){
		.work = &cm_login_apart, .worker = w->apart, .conf = s->daemon->conf, .trace = w->trace, .ahead = true,
		.told = cm_work_told, .told_arg = w,
	};
	return CM_OK;
}

/*
 * The connection to it was dropped, because it was too slow or said what it may
 * not; or it was never needed, or died while the PIN was asked.
 */
static bool
lost_resolver(const struct cm_work *w)
{
	int fds[PROCESSES] = { -1, -1 };

	cm_apart_fds(w->apart, fds);
	return fds[CM_PROCESS_RESOLVER] < 0;
}

void
cm_work_end(struct cm_work *w)
{
	const bool doubt = w->apart != NULL && !is_removed(w->session) && lost_resolver(w);

	if (w->apart != NULL && w->unlocking)
		cm_apart_let_go(w->apart, cm_deadline_in(LET_GO_MS));
	w->unlocking = false;
	if (w->apart != NULL)
		cm_login_clear(&w->login);
	cm_apart_free(&w->apart);
	cm_trace_free(&w->trace);
	drop_lines(w->session);
	w->ready = false;
	if (doubt)
		cm_processes_doubt_resolver(w->session->daemon->processes);
}

static bool
add_choice(struct cm_session *s, char *name, uid_t uid, char *text)
{
	if (name != NULL && text != NULL && s->choice_count < CM_CHOICES_MAX) {
		s->choices[s->choice_count++] = (struct cm_choice){ name, text, uid };
		return true;
	}
	free(name);
	free(text);
	return false;
}

/* Accounts of certificates of their own. */
static void
take_openings(struct cm_session *s, const struct cm_login *l)
{
	for (size_t i = 0; i < l->opening_count; i++) {
		const struct cm_opening *o = &l->openings[i];
		struct cm_buf text = { 0 };

		cm_buf_addf(&text, "%s%s%s%s, certificate %s in slot %02X", o->gecos, o->gecos[0] != '\0' ? " (" : "", o->name,
		    o->gecos[0] != '\0' ? ")" : "", o->subject, o->slot);
		(void)add_choice(s, strdup(o->name), o->uid, cm_buf_take(&text));
		cm_buf_free(&text);
	}
}

/* "NAME (uid N; DN; rule R, strong)": as ldap/candidates.c tells of each. */
static uid_t
uid_of(const char *behind)
{
	unsigned long n;
	char *end;

	if (strncmp(behind, " (uid ", 6) != 0)
		return (uid_t)-1;
	n = strtoul(behind + 6, &end, 10);
	return *end == ';' && n < UINT32_MAX ? (uid_t)n : (uid_t)-1;
}

/* Of one certificate that opens several. */
static void
take_candidates(struct cm_session *s, const struct cm_trace *t)
{
	for (size_t i = 0; i < cm_trace_count(t); i++) {
		const struct cm_trace_stage *stage = cm_trace_stage(t, i);

		for (size_t n = 0; n < stage->count; n++) {
			const char *text = stage->items[n].text;
			const char *end = strstr(text, " (");

			if (strcmp(stage->items[n].key, "candidate") == 0 && end != NULL)
				(void)add_choice(s, strndup(text, (size_t)(end - text)), uid_of(end), strndup(text, (size_t)(end - text)));
		}
	}
}

static void
publish(struct cm_work *w, enum cm_err err, enum cm_reason reason, const char *text)
{
	struct cm_session *s = w->session;
	const struct cm_login *l = &w->login;
	struct cm_buf card = { 0 };

	pthread_mutex_lock(&s->daemon->lock);
	forget_found(s);
	if (w->apart != NULL && cm_apart_card(w->apart, &card) && card.len < sizeof(s->card))
		memcpy(s->card, cm_buf_str(&card), card.len + 1);
	s->subject = l->subject != NULL ? strdup(l->subject) : NULL;
	if (err == CM_OK) {
		s->user = strdup(l->account->name);
		s->name = strdup(l->account->gecos);
		s->uid = l->account->uid;
	} else {
		s->reason = reason;
		s->text = strdup(text);
		take_openings(s, l);
		if (reason == CM_REASON_SEVERAL_ACCOUNTS && s->daemon->conf->mapper.several_accounts == CM_SEVERAL_HINT)
			take_candidates(s, w->trace);
	}
	cm_work_note_unpaired(w, err, reason);
	s->state = err == CM_OK ? CM_SESSION_READY : CM_SESSION_REFUSED;
	s->settled_us = cm_clock_us();
	s->again = false;
	s->changed = true;
	pthread_mutex_unlock(&s->daemon->lock);
	cm_buf_free(&card);
	cm_daemon_wake(s->daemon);
}

/* What failed for want of memory or descriptors has no reason of its own. */
static enum cm_reason
reason_of(const struct cm_work *w)
{
	const enum cm_reason r = w->trace != NULL ? cm_trace_reason(w->trace) : CM_REASON_NONE;

	return r != CM_REASON_NONE ? r : CM_REASON_SYSTEM;
}

static enum cm_err
look_up(struct cm_work *w)
{
	struct cm_buf source = { 0 };
	enum cm_err err = cm_work_begin(w);

	cm_buf_addf(&source, "reader:%s", w->session->reader);
	if (err == CM_OK)
		err = cm_disabled_judge(w->session->daemon->conf, cm_buf_str(&source), w->trace);
	cm_buf_free(&source);
	return err == CM_OK ? cm_login_prepare(&w->login) : err;
}

static void
prepare(struct cm_work *w)
{
	enum cm_err err = look_up(w);

	/* The helper of the login before resets the card when it ends, which may come after the next has begun. */
	for (unsigned left = ANEW_MOST; left > 0 && err == CM_ERR_AGAIN && reason_of(w) == CM_REASON_CARD_CHANGED &&
	    !is_removed(w->session); left--) {
		cm_work_end(w);
		err = look_up(w);
	}
	if (w->login.reader != NULL && (err == CM_OK || w->login.subject != NULL))
		cm_work_settle_doubt(w->session, w->login.tries_left);
	if (w->session->spent.wrong >= CM_WRONG_PINS_MAX) {
		cm_work_end(w);
		w->login = (struct cm_login){ 0 };
		publish(w, CM_ERR_REFUSED, CM_REASON_PIN_HELD, "two wrong PINs were typed for the card since it was put in");
		return;
	}
	w->ready = err == CM_OK || reason_of(w) == CM_REASON_SEVERAL_ACCOUNTS || w->login.opening_count > 0;
	publish(w, err, reason_of(w), cm_trace_message(w->trace));
	if (!w->ready)
		cm_work_end(w);	/* nothing is held open for a card that opens nothing */
}

/* ---- waiting */

static void
drain(int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
}

enum cm_work_event
cm_work_wait(struct cm_work *w, cm_deadline deadline)
{
	struct pollfd p[1 + PROCESSES] = { { .fd = w->session->wake, .events = POLLIN } };
	int fds[PROCESSES] = { -1, -1 };

	if (w->apart != NULL)
		cm_apart_fds(w->apart, fds);
	for (size_t i = 0; i < PROCESSES; i++)
		p[1 + i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	const int n = poll(p, CM_COUNT(p), deadline == INT64_MAX ? -1 : cm_deadline_left(deadline));

	if (n == 0)
		return CM_WORK_TIMEOUT;
	if (n > 0 && p[0].revents == 0)
		return CM_WORK_DIED;	/* nobody was asked: whatever one of them says now is that it is gone, or out of its mind */
	drain(w->session->wake);
	return CM_WORK_WOKEN;
}

enum idle { IDLE_GONE, IDLE_ASKED, IDLE_AGAIN, IDLE_DIED, IDLE_STILL };

static enum idle
look(struct cm_session *s, enum cm_work_event event)
{
	enum idle idle = s->removed ? IDLE_GONE : s->attempt != NULL ? IDLE_ASKED : s->again ? IDLE_AGAIN :
	    event == CM_WORK_DIED ? IDLE_DIED : IDLE_STILL;

	if (idle == IDLE_AGAIN || idle == IDLE_DIED)
		s->state = CM_SESSION_READING;
	return idle;
}

/* Until there is something to do. */
static enum idle
wait_idle(struct cm_work *w)
{
	struct cm_session *s = w->session;
	enum cm_work_event event = CM_WORK_WOKEN;
	enum idle idle;

	for (;;) {
		pthread_mutex_lock(&s->daemon->lock);
		idle = look(s, event);
		pthread_mutex_unlock(&s->daemon->lock);
		if (idle != IDLE_STILL)
			return idle;
		event = cm_work_wait(w, INT64_MAX);
	}
}

static void
pause_after_death(struct cm_work *w)
{
	if (cm_clock_us() - w->began_us > STEADY_US)
		w->pause = 0;
	const cm_deadline deadline = cm_deadline_in(w->pause);

	/* A card that is taken out, or the end of the service, waits for no pause. */
	while (w->pause != 0 && !is_removed(w->session) && cm_work_wait(w, deadline) != CM_WORK_TIMEOUT)
		;
	w->pause = w->pause == 0 ? PAUSE_FIRST : w->pause * 2 < PAUSE_MOST ? w->pause * 2 : PAUSE_MOST;
}

/* ---- the thread */

/* A login that is handed over in the moment the card goes finds that out here. */
static void
leave_attempt(struct cm_session *s)
{
	struct cm_attempt *a;

	pthread_mutex_lock(&s->daemon->lock);
	a = s->attempt;
	pthread_mutex_unlock(&s->daemon->lock);
	if (a != NULL)
		cm_work_begin_anew(s, a);
}

/* Whoever was let in has a session to begin; his card is not read beside that, unless somebody asks for it. */
static enum idle
rest(struct cm_work *w)
{
	const cm_deadline deadline = cm_deadline_in(REST_MS);
	struct cm_session *s = w->session;
	enum cm_work_event event = CM_WORK_WOKEN;
	enum idle idle = IDLE_STILL;

	while (idle == IDLE_STILL && event != CM_WORK_TIMEOUT) {
		pthread_mutex_lock(&s->daemon->lock);
		idle = look(s, event);
		s->resting = idle == IDLE_STILL;
		pthread_mutex_unlock(&s->daemon->lock);
		if (idle == IDLE_STILL)
			event = cm_work_wait(w, deadline);
	}
	pthread_mutex_lock(&s->daemon->lock);
	s->resting = false;
	pthread_mutex_unlock(&s->daemon->lock);
	return idle;
}

/* What was prepared is as good as before: nobody's PIN went to the card, and nobody was asked. */
static void
keep_prepared(struct cm_work *w)
{
	struct cm_session *s = w->session;

	w->login.user = w->login.service = w->login.rhost = w->login.tty = NULL;	/* they were the other login's */
	w->login.ahead = true;
	w->login.wants_secret = false;
	pthread_mutex_lock(&s->daemon->lock);
	s->state = CM_SESSION_READY;
	s->changed = true;
	pthread_mutex_unlock(&s->daemon->lock);
	cm_daemon_wake(s->daemon);
}

static enum idle
serve(struct cm_work *w)
{
	enum idle idle = IDLE_ASKED;

	while (idle == IDLE_ASKED) {
		cm_work_serve(w);
		if (!w->untouched)
			break;
		keep_prepared(w);
		idle = wait_idle(w);
	}
	return idle;
}

static void
live(struct cm_work *w)
{
	enum idle idle = IDLE_STILL;

	while (idle != IDLE_GONE) {
		w->began_us = cm_clock_us();
		w->granted = false;
		prepare(w);
		idle = wait_idle(w);
		if (idle == IDLE_ASKED)
			idle = serve(w);
		cm_work_end(w);
		if (idle == IDLE_DIED)
			pause_after_death(w);
		if (w->granted)
			idle = rest(w);
	}
}

/* Where that cannot be done now, it is tried again for whoever asks.  False: the card is out. */
static bool
open_store(struct cm_work *w)
{
	const struct cm_session *s = w->session;
	enum idle idle = IDLE_AGAIN;

	while (idle != IDLE_GONE) {
		enum cm_err err = cm_trace_new(&w->trace);

		if (err == CM_OK)
			err = cm_daemon_open_store(s->daemon, w->trace, &w->store);
		if (err != CM_OK)
			publish(w, err, reason_of(w), cm_trace_message(w->trace));
		cm_trace_free(&w->trace);
		if (err == CM_OK)
			return true;
		idle = wait_idle(w);
	}
	return false;
}

static void *
run(void *arg)
{
	struct cm_session *s = arg;
	struct cm_work w = { .session = s };

	if (open_store(&w))
		live(&w);
	leave_attempt(s);
	cm_work_end(&w);
	cm_accounts_close(&w.store);
	pthread_mutex_lock(&s->daemon->lock);
	s->ended = true;
	pthread_mutex_unlock(&s->daemon->lock);
	cm_daemon_wake(s->daemon);
	return NULL;
}

/* Where root asked for the next insertion's APDUs, this is the one. */
static void
begin_log(struct cm_session *s)
{
	struct cm_log_entry e = { .event = "card-log", .uid = CM_LOG_NO_UID, .reader = s->reader };
	struct cm_trace *t = NULL;

	if (cm_trace_new(&t) != CM_OK)
		return;
	s->log = cm_card_log_take(s->daemon->conf, s->reader, s->atr, t);
	e.reason = cm_trace_reason(t);
	e.err = cm_reason_err(e.reason);
	e.text = s->log >= 0 ? "what goes to the card and comes from it is written down, until it is taken out" : cm_trace_message(t);
	if (s->log >= 0 || e.reason != CM_REASON_NONE)
		cm_record_write(s->daemon->record, &e);
	cm_trace_free(&t);
}

enum cm_err
cm_session_new(struct cm_daemon *d, const struct cm_message *seen, const struct cm_spent *spent, struct cm_session **out)
{
	struct cm_session *s = calloc(1, sizeof(*s));
	struct cm_buf hex = { 0 };
	enum cm_err err = CM_ERR_NOMEM;

	*out = NULL;
	if (s == NULL)
		return err;
	cm_buf_add_hex(&hex, seen->atr);
	*s = (struct cm_session){
		.daemon = d, .insertion = (uint32_t)seen->insertion, .reader = strdup(seen->reader), .atr = strdup(cm_buf_str(&hex)), .spent = *spent,
		.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .lines = { -1, -1 }, .uid = (uid_t)-1, .changed = true,
	};
	cm_buf_free(&hex);
	s->log = -1;
	if (s->reader != NULL && s->atr != NULL) {
		begin_log(s);
		err = s->wake >= 0 && pthread_create(&s->thread, NULL, run, s) == 0 ? CM_OK : CM_ERR_SYSTEM;
	}
	if (err == CM_OK) {
		*out = s;
		return err;
	}
	if (s->wake >= 0)
		close(s->wake);
	if (s->log >= 0)
		close(s->log);
	free(s->reader);
	free(s->atr);
	free(s);
	return err;
}
