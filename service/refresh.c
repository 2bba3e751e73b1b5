/* service/refresh.c - one refresh: alone on this store, its issuers at once. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "service/refresh_internal.h"

#define AT_ONCE		8
#define ISSUER_MS	(15 * 60 * 1000)	/* a list of 64 MB at 70 kB/s */
#define SILENCE_TIMES	10			/* trust.timeout, in which a login has its answer */

/* One refresh; lock guards all that is changed while threads run. */
struct running {
	struct cm_refreshing *r;
	struct cm_refresh_jobs jobs;
	struct cm_known known;
	const struct cm_keeper *store;	/* takes one thread at a time, */
	struct cm_keeper keeper;	/* and this sees to it */
	char why[256];			/* something could not be kept */
	uint64_t seed;
	pthread_mutex_t lock, keeping;
	size_t next;			/* job */
	size_t working;			/* threads */
	int ended;			/* an eventfd: the last of them has */
	atomic_bool stop;
};

/* What the callbacks of one issuer need. */
struct telling {
	struct running *run;
	struct cm_refresh_job *job;
};

/* Locked.  The first failure is told: the store's own word for it is gone with its next call. */
static enum cm_err
note_failure(struct running *run, enum cm_err err)
{
	const char *why = NULL;

	if (err != CM_OK && err != CM_ERR_ABSENT && run->why[0] == '\0' && run->store->why != NULL)
		why = run->store->why(run->store->arg);
	if (why != NULL)
		snprintf(run->why, sizeof(run->why), "%s", why);
	return err;
}

static enum cm_err
keep_find(void *arg, struct cm_evidence *e)
{
	struct running *run = arg;
	enum cm_err err;

	pthread_mutex_lock(&run->keeping);
	err = note_failure(run, run->store->find(run->store->arg, e));
	pthread_mutex_unlock(&run->keeping);
	return err;
}

static enum cm_err
keep_evidence(void *arg, const struct cm_evidence *e)
{
	struct running *run = arg;
	enum cm_err err;

	pthread_mutex_lock(&run->keeping);
	err = note_failure(run, run->store->keep(run->store->arg, e));
	pthread_mutex_unlock(&run->keeping);
	return err;
}

static enum cm_err
keep_source(void *arg, const struct cm_source *s, struct cm_blob issuer)
{
	struct running *run = arg;
	enum cm_err err;

	pthread_mutex_lock(&run->keeping);
	err = note_failure(run, run->store->keep_source(run->store->arg, s, issuer));
	pthread_mutex_unlock(&run->keeping);
	return err;
}

/* It was set before anybody asks, once, and stays. */
static const char *
keep_why(void *arg)
{
	const struct running *run = arg;

	return run->why[0] != '\0' ? run->why : NULL;
}

/* FNV-1a of what this host alone has; without it, of nothing: then it asks when others like it do. */
static uint64_t
host_seed(void)
{
	uint64_t h = 0xcbf29ce484222325;
	char id[64];
	const int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);	/* machine-id(5) */
	const ssize_t n = fd >= 0 ? read(fd, id, sizeof(id)) : -1;
	size_t len = n > 0 ? (size_t)n : 0;

	if (fd >= 0)
		close(fd);
	if (len == 0 && gethostname(id, sizeof(id)) == 0)
		len = strnlen(id, sizeof(id));
	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)id[i]) * 0x100000001b3;
	return h;
}

static struct cm_refresh_progress *
find_progress(struct cm_refresh_job *j, const char *url)
{
	struct cm_refresh_progress *more;

	for (size_t i = 0; i < j->progress_count; i++)
		if (strcmp(j->progress[i].url, url) == 0)
			return &j->progress[i];
	if ((more = reallocarray(j->progress, j->progress_count + 1, sizeof(*more))) == NULL)
		return NULL;
	j->progress = more;
	more[j->progress_count] = (struct cm_refresh_progress){ .url = strdup(url) };
	return more[j->progress_count].url != NULL ? &more[j->progress_count++] : NULL;
}

/* Octets of all issuers together. */
static void
note_progress(void *arg, const char *url, uint64_t done, uint64_t total)
{
	const struct telling *t = arg;
	struct running *run = t->run;
	struct cm_refresh_progress *p;
	uint64_t all_done = 0, all = 0;

	pthread_mutex_lock(&run->lock);
	if ((p = find_progress(t->job, url)) != NULL) {
		p->done = done;
		p->total = total > done ? total : done;
	}
	for (size_t i = 0; i < run->jobs.count; i++)
		for (size_t k = 0; k < run->jobs.jobs[i].progress_count; k++) {
			all_done += run->jobs.jobs[i].progress[k].done;
			all += run->jobs.jobs[i].progress[k].total;
		}
	run->r->progress(run->r->arg, all_done, all);
	pthread_mutex_unlock(&run->lock);
}

static void
tell(void *arg, const struct cm_source *s, bool ok, const char *text)
{
	const struct telling *t = arg;
	struct cm_refreshed told = { .issuer = t->job->subject, .source = s, .ok = ok, .text = text };

	for (size_t i = 0; i < t->run->jobs.count; i++)
		if (memcmp(t->run->jobs.jobs[i].key, s->issuer_key, sizeof(s->issuer_key)) == 0)
			told.issuer = t->run->jobs.jobs[i].subject;
	pthread_mutex_lock(&t->run->lock);
	t->run->r->asked++;
	t->run->r->failed += !ok;
	if (t->run->r->told != NULL)
		t->run->r->told(t->run->r->arg, &told);
	pthread_mutex_unlock(&t->run->lock);
}

static bool
is_stopped(void *arg)
{
	const struct telling *t = arg;

	return atomic_load(&t->run->stop);
}

static void
run_job(struct running *run, struct cm_refresh_job *j)
{
	struct telling telling = { run, j };
	const struct cm_refresh r = {
		.issuer = { j->der, j->der_len },
		.sources = j->sources, .source_count = j->source_count,
		.certs = j->certs, .cert_count = j->cert_count,
		.due_only = run->r->due_only, .seed = run->seed,
		.silence = run->r->host->conf->trust.timeout * SILENCE_TIMES,
		.progress = run->r->progress != NULL ? note_progress : NULL,
		.told = tell, .stop = is_stopped, .arg = &telling, .next = &j->next,
	};
	struct cm_trace *t = NULL;

	if ((j->err = cm_trace_new(&t)) != CM_OK)
		return;
	cm_trace_begin(t, "refresh");
	j->err = cm_trust_refresh(run->r->host->trust, &r, &run->known, cm_deadline_in(ISSUER_MS), t);
	j->reason = cm_trace_reason(t);
	j->why = strdup(cm_trace_message(t));
	if (cm_trace_find(t, "warning") != NULL)
		j->warning = strdup(cm_trace_find(t, "warning"));
	cm_trace_end(t, j->err);
	cm_trace_free(&t);
}

static void *
work(void *arg)
{
	struct running *run = arg;
	struct cm_refresh_job *j;
	bool last;

	do {
		pthread_mutex_lock(&run->lock);
		j = !atomic_load(&run->stop) && run->next < run->jobs.count ? &run->jobs.jobs[run->next++] : NULL;
		pthread_mutex_unlock(&run->lock);
		if (j != NULL)
			run_job(run, j);
	} while (j != NULL);
	pthread_mutex_lock(&run->lock);
	last = --run->working == 0;
	pthread_mutex_unlock(&run->lock);
	if (last && run->ended >= 0)
		(void)eventfd_write(run->ended, 1);
	return NULL;
}

/* Until the last thread has ended; a signal asks them to. */
static void
wait_for_all(struct running *run, int signals)
{
	struct pollfd p[] = { { .fd = run->ended, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
	struct signalfd_siginfo got;

	while (p[0].fd >= 0 && (poll(p, CM_COUNT(p), -1) >= 0 || errno == EINTR) && p[0].revents == 0)
		if (p[1].revents != 0 && read(signals, &got, sizeof(got)) == sizeof(got)) {
			run->r->signal = (int)got.ssi_signo;
			atomic_store(&run->stop, true);
		}
}

/* The keeper is not for the thread that made it; where none can be made, it has to do. */
static void
run_threads(struct running *run, int signals)
{
	const size_t want = run->jobs.count < AT_ONCE ? run->jobs.count : AT_ONCE;
	pthread_t threads[AT_ONCE];
	size_t n = 0;

	run->working = want;
	run->ended = eventfd(0, EFD_CLOEXEC);
	while (n < want && pthread_create(&threads[n], NULL, work, run) == 0)
		n++;
	pthread_mutex_lock(&run->lock);
	run->working -= want - n;
	if (run->working == 0 && run->ended >= 0)	/* as fast as they were made */
		(void)eventfd_write(run->ended, 1);
	run->working += n == 0;
	pthread_mutex_unlock(&run->lock);
	if (n > 0)
		wait_for_all(run, signals);
	else
		work(run);
	while (n > 0)
		pthread_join(threads[--n], NULL);
	if (run->ended >= 0)
		close(run->ended);
}

/* Threads inherit what is blocked: a signal is read here, and ends nobody in the middle of something. */
static void
run_all(struct running *run)
{
	sigset_t ends, before;
	int signals = -1;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	if (run->r->interruptible && pthread_sigmask(SIG_BLOCK, &ends, &before) == 0 &&
	    (signals = signalfd(-1, &ends, SFD_CLOEXEC)) < 0)
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	run_threads(run, signals);
	if (signals >= 0) {
		close(signals);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
}

/* Of an issuer that is trusted no more nobody needs to know anything; that it has expired surprises nobody. */
static void
note_refused(const struct cm_refresh_job *j, struct cm_trace *t)
{
	if (j->reason != CM_REASON_CERT_EXPIRED)
		cm_trace_add(t, "warning", "left out: %s", j->why != NULL ? j->why : j->subject);
}

static enum cm_err
sum_up(struct running *run, struct cm_trace *t)
{
	struct cm_refreshing *r = run->r;
	bool silent = false;

	r->issuer_count = run->jobs.count;
	for (size_t i = 0; i < run->jobs.count; i++) {
		const struct cm_refresh_job *j = &run->jobs.jobs[i];

		if (j->warning != NULL)
			cm_trace_add(t, "warning", "%s: %s", j->subject, j->warning);
		if (j->next != 0 && (r->next == 0 || j->next < r->next))
			r->next = j->next;
		if (j->err == CM_ERR_OFFLINE)
			silent = true;
		else if (j->err == CM_ERR_REFUSED || j->err == CM_ERR_SYNTAX)
			note_refused(j, t);
		else if (j->err != CM_OK)
			return j->err;
	}
	if (!silent)
		return CM_OK;
	return cm_trace_fail(t, CM_REASON_SOURCE_SILENT, "%zu of %zu sources gave nothing that counts", r->failed, r->asked);
}

/* Held until the descriptor is closed, so it ends with the program.  -1: reason set. */
static int
lock_store(const char *path, struct cm_trace *t, enum cm_err *err)
{
	struct cm_buf name;
	int fd;

	cm_buf_init(&name, 0);
	cm_buf_addf(&name, "%s.refresh", path);
	fd = open(cm_buf_str(&name), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		*err = cm_trace_fail(t, CM_REASON_STORE, "%s: %s", cm_buf_str(&name), strerror(errno));
	} else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		*err = errno != EWOULDBLOCK ?
		    cm_trace_fail(t, CM_REASON_STORE, "%s: %s", cm_buf_str(&name), strerror(errno)) :
		    cm_trace_fail(t, CM_REASON_REFRESH_RUNS, "another cardmap revocation refresh is at work on %s", path);
		close(fd);
		fd = -1;
	}
	cm_buf_free(&name);
	return fd;
}

static enum cm_err
run_refresh(struct cm_refreshing *r, struct cm_trace *t)
{
	struct running run = { .r = r, .seed = host_seed(), .lock = PTHREAD_MUTEX_INITIALIZER,
		.keeping = PTHREAD_MUTEX_INITIALIZER };
	struct cm_memory *memory = NULL;
	enum cm_err err;

	if ((err = cm_accounts_recall(r->host->accounts, cm_clock_now(), t, &memory)) != CM_OK)
		goto out;
	run.known = memory->known;
	if ((err = cm_refresh_collect(r, &run.known, t, &run.jobs)) != CM_OK)
		goto out;
	run.keeper = (struct cm_keeper){
		.arg = &run, .find = keep_find, .keep = keep_evidence, .keep_source = keep_source, .why = keep_why,
	};
	run.store = memory->known.keeper;
	if (run.store != NULL)
		run.known.keeper = &run.keeper;
	run_all(&run);
	err = sum_up(&run, t);
out:
	cm_refresh_jobs_free(&run.jobs);
	cm_memory_free(&memory);
	return err;
}

enum cm_err
cm_refresh_all(struct cm_refreshing *r, struct cm_trace *t)
{
	enum cm_err err = CM_ERR_SYSTEM;
	int lock;

	r->issuer_count = r->asked = r->failed = 0;
	r->signal = 0;
	r->next = 0;
	if ((lock = lock_store(r->host->conf->accounts.path, t, &err)) < 0)
		return err;
	err = run_refresh(r, t);
	close(lock);
	return err;
}
