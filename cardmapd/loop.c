/* cardmapd/loop.c - the main thread: who waits, what ended, what is due. */
#include "cardmapd/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/notify.h"
#include "cardmapd/cards.h"
#include "cardmapd/jobs.h"
#include "cardmapd/processes.h"
#include "cardmapd/record.h"
#include "cardmapd/removal.h"
#include "cardmapd/selector.h"
#include "cardmapd/store.h"

#define WATCHDOG_NONE	INT64_MAX

/* Rows of poll(2) that are always there; those of clients follow. */
enum { AT_SIGNALS, AT_WAKE, AT_PROCESSES, AT_WATCHER, AT_LISTENER, AT_STORE, AT_SELECTORS, AT_CLIENTS };

struct beat {
	unsigned every;		/* ms; 0: no watchdog watches */
	cm_deadline due;
};

void
cm_daemon_wake(const struct cm_daemon *d)
{
	const uint64_t one = 1;

	(void)!write(d->wake, &one, sizeof(one));
}

static struct beat
begin_beat(void)
{
	const unsigned every = cm_notify_watchdog();

	return (struct beat){ .every = every, .due = every > 0 ? cm_deadline_in(0) : WATCHDOG_NONE };
}

static void
keep_beat(struct beat *b)
{
	if (b->every == 0 || !cm_deadline_passed(b->due))
		return;
	(void)cm_notify("WATCHDOG=1");
	b->due = cm_deadline_in(b->every);
}

static int
time_left(const struct cm_loop *l, const struct beat *b)
{
	const struct cm_daemon *d = l->daemon;
	cm_deadline next = cm_deadline_earlier(b->due, cm_processes_next(d->processes));

	next = cm_deadline_earlier(next, cm_clients_next(d->clients));
	next = cm_deadline_earlier(next, cm_cards_next(d->cards));
	next = cm_deadline_earlier(next, cm_logins_next(d->logins));
	next = cm_deadline_earlier(next, cm_removal_next(d->removal));
	return next == INT64_MAX ? -1 : cm_deadline_left(next);
}

static void
drain(int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
}

/* What other threads did since. */
static void
look_around(const struct cm_daemon *d)
{
	cm_jobs_look(d->jobs);
	cm_stores_look(d->stores);
	cm_cards_look(d->cards);
	cm_logins_look(d->logins);
	cm_removal_look(d->removal);
	cm_record_look(d->record);
}

/* The rows that are always there, and those of clients and of who waits for a login behind them. */
static size_t
set_rows(const struct cm_loop *l, struct pollfd *p, size_t *clients)
{
	const struct cm_daemon *d = l->daemon;
	const int fds[] = {
		[AT_SIGNALS] = l->signals, [AT_WAKE] = d->wake, [AT_PROCESSES] = cm_processes_fd(d->processes),
		[AT_WATCHER] = cm_cards_fd(d->cards), [AT_LISTENER] = l->listener, [AT_STORE] = l->store,
		[AT_SELECTORS] = cm_selectors_fd(d->selectors),
	};

	for (size_t i = 0; i < AT_CLIENTS; i++)
		p[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	*clients = cm_clients_poll(d->clients, p + AT_CLIENTS, 2 * CM_CLIENTS_MAX);
	return AT_CLIENTS + *clients + cm_logins_poll(d->logins, p + AT_CLIENTS + *clients, CM_CLIENTS_MAX);
}

enum cm_err
cm_loop_run(struct cm_loop *l)
{
	const struct cm_daemon *d = l->daemon;
	struct pollfd *p = calloc(AT_CLIENTS + 3 * CM_CLIENTS_MAX, sizeof(*p));
	struct beat beat = begin_beat();
	enum cm_err err = p != NULL ? CM_OK : CM_ERR_NOMEM;

	while (err == CM_OK) {
		size_t clients;
		const size_t count = set_rows(l, p, &clients);

		if (poll(p, count, time_left(l, &beat)) < 0 && errno != EINTR)
			err = CM_ERR_SYSTEM;
		keep_beat(&beat);
		if (p[AT_SIGNALS].revents != 0)
			break;
		if (p[AT_WAKE].revents != 0)
			drain(d->wake);
		if (!cm_processes_look(d->processes) || cm_selectors_gone(d->selectors))
			err = CM_ERR_SYSTEM;
		cm_clients_serve(d->clients, p + AT_CLIENTS, clients);
		if (p[AT_LISTENER].revents != 0)
			cm_clients_accept(d->clients, l->listener);
		if (p[AT_STORE].revents != 0)
			cm_stores_accept(d->stores, l->store, l->store_user);
		look_around(d);
	}
	free(p);
	return err;
}
