/* cardmapd/processes.c - the other processes: started, connected to, and replaced when they die. */
#include "cardmapd/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/wire.h"
#include "cardmapd/sockets.h"
#include "service/channel.h"
#include "service/local.h"

#define RUNNING_MAX	64
#define EXIT_CONFIG	78
#define BACKOFF_FIRST	100	/* ms until the resolver is started again; doubled each time ... */
#define BACKOFF_MOST	10000
#define DOUBT_MS	2000	/* a resolver that cannot say how it is for so long hangs ... */
#define DOUBT_AFTER_US	((int64_t)3 * 1000000)	/* ... unless it has just begun */
#define STEADY_SECONDS	30	/* ... until it has run for so long */

struct running {
	pid_t pid;		/* 0: a free place */
	enum cm_kind kind;
	int64_t since_us;
};

struct cm_processes {
	struct cm_processes_options options;
	struct cm_starter *starter;	/* NULL: the service manager is */
	pthread_mutex_t lock;		/* of the two below */
	struct running running[RUNNING_MAX];
	unsigned restarts[CM_KIND_COUNT];
	int control, whois;		/* the resolver's sockets, which outlive it: who connects waits for the next one */
	int lifeline[2];		/* nothing is written to it: its end tells the resolver that we are gone */
	cm_deadline resolver_due;	/* when it is started again; INT64_MAX: it runs */
	unsigned backoff;
};

static bool
is_named(const struct passwd *e, const char *name)
{
	return strcmp(e->pw_name, name) == 0;
}

enum cm_err
cm_processes_user(const char *name, struct cm_trace *t, uid_t *uid, gid_t *gid)
{
	struct passwd entry;
	char texts[CM_LOCAL_TEXTS];
	const bool there = cm_local_find_user(name, is_named, &entry, texts);

	if (!there || entry.pw_uid == 0)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: no user of /etc/passwd is named so%s: systemd-sysusers makes "
		    "those that cardmap has (service.user, service.card_user)", name, there ? " but root" : "");
	*uid = entry.pw_uid;
	*gid = entry.pw_gid;
	return CM_OK;
}

/* ---- sockets */

static char *
path_in(const char *run_dir, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", run_dir, name);
	return strdup(path);
}

/* Both are made here and handed over, so that nobody is refused while a resolver takes another's place. */
static enum cm_err
listen_for_resolver(struct cm_processes *p, struct cm_trace *t)
{
	char *control = path_in(p->options.run_dir, "private/resolver");
	char *whois = path_in(p->options.run_dir, "io.cardmap.Resolver");
	enum cm_err err = CM_ERR_NOMEM;

	if (control != NULL && whois != NULL &&
	    (err = cm_sockets_listen(control, 0600, (gid_t)-1, t, &p->control)) == CM_OK)
		err = cm_wire_listen(whois, 0666, t, &p->whois);
	free(control);
	free(whois);
	return err;
}

/* ---- starting */

/* Under the lock, so that the end of one that ends at once finds its row. */
static enum cm_err
run(struct cm_processes *p, enum cm_kind kind, const int *fds, size_t count)
{
	struct running *free_row = NULL;
	enum cm_err err = CM_ERR_SYSTEM;
	pid_t pid;

	errno = EAGAIN;
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < RUNNING_MAX && free_row == NULL; i++)
		if (p->running[i].pid == 0)
			free_row = &p->running[i];
	if (free_row != NULL && (err = cm_starter_run(p->starter, kind, fds, count, &pid)) == CM_OK)
		*free_row = (struct running){ pid, kind, cm_clock_us() };
	pthread_mutex_unlock(&p->lock);
	if (err != CM_OK)
		cm_log_event(p->options.conf->service.log, "process", err, CM_REASON_SYSTEM, "%s: it cannot be started: %s",
		    cm_kind_name(kind), strerror(errno));
	return err;
}

static int
spawn_connected(struct cm_processes *p, enum cm_kind kind)
{
	int pair[2];
	enum cm_err err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	err = run(p, kind, &pair[1], 1);
	close(pair[1]);
	if (err == CM_OK)
		return pair[0];
	close(pair[0]);
	return -1;
}

int
cm_processes_connect(struct cm_processes *p, enum cm_kind kind)
{
	char *path;
	int fd;

	if (p->starter != NULL && kind != CM_KIND_RESOLVER)
		return spawn_connected(p, kind);
	path = path_in(p->options.run_dir, kind == CM_KIND_RESOLVER ? "private/resolver" : "private/card");
	fd = path != NULL ? cm_sockets_connect(path) : -1;
	free(path);
	return fd;
}

static enum cm_err
start_resolver(struct cm_processes *p)
{
	const int fds[] = { p->control, p->whois, p->lifeline[0] };

	p->resolver_due = INT64_MAX;
	return run(p, CM_KIND_RESOLVER, fds, CM_COUNT(fds));
}

/* ---- watching */

static void
say_ended(const struct cm_processes *p, enum cm_kind kind, pid_t pid, int status)
{
	if (WIFSIGNALED(status))
		cm_log_event(p->options.conf->service.log, "process", CM_ERR_SYSTEM, CM_REASON_HELPER,
		    "%s (pid %d) was ended by signal %d", cm_kind_name(kind), (int)pid, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		cm_log_event(p->options.conf->service.log, "process", CM_ERR_SYSTEM, CM_REASON_HELPER,
		    "%s (pid %d) ended with status %d%s%s", cm_kind_name(kind), (int)pid, WEXITSTATUS(status),
		    WEXITSTATUS(status) == EXIT_CONFIG ? ": it cannot use the configuration, which must be readable for " : "",
		    WEXITSTATUS(status) != EXIT_CONFIG ? "" : kind == CM_KIND_RESOLVER ? p->options.conf->service.user :
		    p->options.conf->service.card_user);
}

static void
plan_resolver(struct cm_processes *p, int64_t ran_us)
{
	if (ran_us > (int64_t)STEADY_SECONDS * 1000000)
		p->backoff = 0;
	p->resolver_due = cm_deadline_in(p->backoff);
	p->backoff = p->backoff == 0 ? BACKOFF_FIRST : p->backoff * 2 < BACKOFF_MOST ? p->backoff * 2 : BACKOFF_MOST;
}

static void
note_ended(struct cm_processes *p, pid_t pid, int status)
{
	struct running was = { 0 };

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < RUNNING_MAX; i++)
		if (p->running[i].pid == pid) {
			was = p->running[i];
			p->running[i].pid = 0;
			p->restarts[was.kind] += was.kind == CM_KIND_RESOLVER;
		}
	pthread_mutex_unlock(&p->lock);
	if (was.pid == 0)
		return;
	say_ended(p, was.kind, pid, status);
	if (was.kind == CM_KIND_RESOLVER)
		plan_resolver(p, cm_clock_us() - was.since_us);
}

bool
cm_processes_look(struct cm_processes *p)
{
	pid_t pid;
	int status;

	if (p->starter == NULL)
		return true;
	while (cm_starter_ended(p->starter, &pid, &status)) {
		if (pid == 0)
			return false;
		note_ended(p, pid, status);
	}
	if (cm_deadline_passed(p->resolver_due) && start_resolver(p) != CM_OK)
		plan_resolver(p, 0);
	return true;
}

/* ---- one that hangs */

static bool
resolver_answers(struct cm_processes *p)
{
	const struct cm_message question = { .kind = CM_MESSAGE_STATE };
	const int fd = cm_processes_connect(p, CM_KIND_RESOLVER);
	struct cm_message answer = { 0 };
	struct cm_channel *channel = NULL;
	enum cm_err err = CM_ERR_SYSTEM;

	if (fd >= 0 && (err = cm_channel_new(fd, &channel)) != CM_OK)
		close(fd);
	if (err == CM_OK)
		err = cm_channel_ask(channel, &question, NULL, 0, CM_MESSAGE_STATED, cm_deadline_in(DOUBT_MS), &answer);
	cm_message_clear(&answer);
	cm_channel_free(&channel);
	return err == CM_OK;
}

/* 0: none has run for so long. */
static pid_t
one_that_runs(struct cm_processes *p, enum cm_kind kind, int64_t us)
{
	pid_t pid = 0;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < RUNNING_MAX; i++)
		if (p->running[i].pid != 0 && p->running[i].kind == kind &&
		    cm_clock_us() - p->running[i].since_us > us)
			pid = p->running[i].pid;
	pthread_mutex_unlock(&p->lock);
	return pid;
}

void
cm_processes_doubt_resolver(struct cm_processes *p)
{
	const pid_t pid = p->starter != NULL ? one_that_runs(p, CM_KIND_RESOLVER, 0) : 0;

	if (pid == 0 || resolver_answers(p) || one_that_runs(p, CM_KIND_RESOLVER, DOUBT_AFTER_US) != pid)
		return;
	cm_log_event(p->options.conf->service.log, "process", CM_ERR_SYSTEM, CM_REASON_HELPER,
	    "resolver (pid %d) does not answer, and is replaced", (int)pid);
	cm_starter_kill(p->starter, pid);
}

void
cm_processes_end_watcher(struct cm_processes *p)
{
	const pid_t pid = p->starter != NULL ? one_that_runs(p, CM_KIND_WATCHER, 0) : 0;

	if (pid != 0)
		cm_starter_kill(p->starter, pid);
}

int
cm_processes_fd(const struct cm_processes *p)
{
	return p->starter != NULL ? cm_starter_fd(p->starter) : -1;
}

cm_deadline
cm_processes_next(const struct cm_processes *p)
{
	return p->resolver_due;
}

void
cm_processes_each(struct cm_processes *p, cm_process_visit visit, void *arg)
{
	const int64_t now = cm_clock_us();

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < RUNNING_MAX; i++) {
		const struct running *r = &p->running[i];
		const struct cm_process_seen seen = {
			.kind = cm_kind_name(r->kind), .pid = r->pid, .seconds = (now - r->since_us) / 1000000,
			.restarts = p->restarts[r->kind],
		};

		if (r->pid != 0)
			visit(arg, &seen);
	}
	pthread_mutex_unlock(&p->lock);
}

/* ---- */

static enum cm_err
begin_starter(struct cm_processes *p, struct cm_trace *t)
{
	const struct cm_processes_options *o = &p->options;
	struct cm_starter_options s = { .libexec = o->libexec, .config = o->config, .run_dir = o->run_dir, .cache = o->cache, .drop = o->drop };
	enum cm_err err = CM_OK;

	for (size_t i = 0; o->drop && err == CM_OK && i < CM_KIND_COUNT; i++)
		err = cm_processes_user(i == CM_KIND_RESOLVER ? o->conf->service.user : o->conf->service.card_user, t,
		    &s.ids[i].uid, &s.ids[i].gid);
	return err == CM_OK ? cm_starter_begin(&s, t, &p->starter) : err;
}

enum cm_err
cm_processes_new(const struct cm_processes_options *o, struct cm_trace *t, struct cm_processes **out)
{
	struct cm_processes *p = calloc(1, sizeof(*p));
	enum cm_err err = CM_OK;

	*out = NULL;
	if (p == NULL)
		return CM_ERR_NOMEM;
	p->options = *o;
	p->control = p->whois = p->lifeline[0] = p->lifeline[1] = -1;
	p->resolver_due = INT64_MAX;
	pthread_mutex_init(&p->lock, NULL);
	if (!o->activated)
		err = begin_starter(p, t);
	if (err == CM_OK)
		*out = p;
	else
		cm_processes_free(&p);
	return err;
}

enum cm_err
cm_processes_begin(struct cm_processes *p, struct cm_trace *t)
{
	enum cm_err err;

	if (p->starter == NULL)
		return CM_OK;
	if (pipe2(p->lifeline, O_CLOEXEC) != 0)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "pipe: %s", strerror(errno));
	if ((err = listen_for_resolver(p, t)) != CM_OK)
		return err;
	if ((err = start_resolver(p)) != CM_OK)
		cm_trace_fail(t, CM_REASON_SYSTEM, "the resolver cannot be started: %s", strerror(errno));
	return err;
}

void
cm_processes_free(struct cm_processes **p)
{
	if (*p == NULL)
		return;
	const int fds[] = { (*p)->control, (*p)->whois, (*p)->lifeline[0], (*p)->lifeline[1] };

	for (size_t i = 0; i < CM_COUNT(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	cm_starter_end(&(*p)->starter);
	pthread_mutex_destroy(&(*p)->lock);
	free(*p);
	*p = NULL;
}
