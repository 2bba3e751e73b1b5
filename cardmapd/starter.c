/* cardmapd/starter.c - the process that starts the others: cardmapd itself may not do what they need to. */
#include "cardmapd/starter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define FIRST		3	/* of the descriptors that a process is given */
#define KEPT		16	/* above those two that the starter holds */
#define CHILDREN_MAX	64
#define ENVIRONMENT_MAX	24
#define ANSWER_MS	5000	/* a starter that says nothing for so long cannot start anything any more */
#define END_MS		2000	/* until one that does not end is ended */

static const struct kind {
	const char *name, *program, *folder;
	bool wants_run_dir;
} kinds[CM_KIND_COUNT] = {
	[CM_KIND_WATCHER] = { "watcher", "cardmap-card", "helper", false },
	[CM_KIND_CARD] = { "card", "cardmap-card", "helper", false },
	[CM_KIND_RESOLVER] = { "resolver", "cardmap-resolver", "resolver", true },
};

struct cm_starter {
	pid_t pid;
	int requests, exits;	/* our ends */
	pthread_mutex_t lock;	/* one request at a time */
	bool broken;		/* under the lock: an answer that may still come would be another request's */
};

struct request {
	uint32_t kind;		/* of which one is started ... */
	int32_t kill;		/* ... or, if this is not 0, the pid of the child that is ended */
};

struct answer {
	int32_t error, pid;
};

struct ended {
	int32_t pid, status;
};

const char *
cm_kind_name(enum cm_kind k)
{
	return kinds[k].name;
}

/* ---- in the starter's process, which has one thread */

struct serving {
	const struct cm_starter_options *options;
	char *programs[CM_KIND_COUNT];
	char *environment[ENVIRONMENT_MAX];
	char cache[4096 + 32];	/* the resolver's alone: the first rows of its environment */
	size_t cache_rows;
	int requests, exits, signals;
	pid_t children[CHILDREN_MAX];
};

/* The descriptors become 3, 4, 5, and nothing else is left open: first out of each other's way, then into place. */
static bool
place_descriptors(const int *fds, size_t count)
{
	int high[CM_STARTER_DESCRIPTORS];

	for (size_t i = 0; i < count; i++)
		if ((high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST + CM_STARTER_DESCRIPTORS)) < 0)
			return false;
	for (size_t i = 0; i < count; i++)
		if (dup2(high[i], FIRST + (int)i) < 0)
			return false;
	return true;
}

static bool
become(const struct cm_starter_options *o, enum cm_kind kind)
{
	if (!o->drop)
		return true;
	return setgroups(0, NULL) == 0 && setresgid(o->ids[kind].gid, o->ids[kind].gid, o->ids[kind].gid) == 0 &&
	    setresuid(o->ids[kind].uid, o->ids[kind].uid, o->ids[kind].uid) == 0;
}

/* Returns only when it could not: errno says why. */
static void
run_program(const struct serving *s, enum cm_kind kind, const int *fds, size_t count, int failed)
{
	char *arguments[8];
	size_t n = 0;
	sigset_t none;

	arguments[n++] = s->programs[kind];
	if (s->options->config != NULL) {
		arguments[n++] = (char *)(uintptr_t)"--config";
		arguments[n++] = (char *)(uintptr_t)s->options->config;
	}
	if (kinds[kind].wants_run_dir) {
		arguments[n++] = (char *)(uintptr_t)"--run-dir";
		arguments[n++] = (char *)(uintptr_t)s->options->run_dir;
	}
	arguments[n] = NULL;
	if (!place_descriptors(fds, count) || dup2(failed, FIRST + (int)count) < 0 ||
	    fcntl(FIRST + (int)count, F_SETFD, FD_CLOEXEC) != 0 ||
	    close_range(FIRST + (unsigned)count + 1, ~0U, 0) != 0 || !become(s->options, kind))
		return;
	/* After the change of user, which clears it.  The starter has one thread, so its end is the process's. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(s->programs[kind], arguments, kinds[kind].wants_run_dir ? s->environment : s->environment + s->cache_rows);
}

/* The child tells by a pipe that execve(2) closes why it could not become the program. */
static pid_t
start(struct serving *s, enum cm_kind kind, const int *fds, size_t count, int *error)
{
	int told[2];
	pid_t pid;

	if (pipe2(told, O_CLOEXEC) != 0) {
		*error = errno;
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		const int failed = fcntl(told[1], F_DUPFD_CLOEXEC, FIRST + 2 * CM_STARTER_DESCRIPTORS);

		run_program(s, kind, fds, count, failed);
		*error = errno;
		(void)!write(FIRST + (int)count, error, sizeof(*error));
		_exit(127);
	}
	*error = pid < 0 ? errno : 0;
	close(told[1]);
	if (pid > 0 && read(told[0], error, sizeof(*error)) != (ssize_t)sizeof(*error))
		*error = 0;
	close(told[0]);
	if (pid > 0 && *error != 0)
		waitpid(pid, NULL, 0);
	return *error == 0 ? pid : -1;
}

static pid_t *
find_child(struct serving *s, pid_t pid)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (s->children[i] == pid)
			return &s->children[i];
	return NULL;
}

static size_t
take_descriptors(struct msghdr *m, int fds[CM_STARTER_DESCRIPTORS])
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), count * sizeof(int));
		}
	return count;
}

/* False: cardmapd is gone. */
static bool
serve_request(struct serving *s)
{
	int fds[CM_STARTER_DESCRIPTORS] = { -1, -1, -1 };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(fds))];
	struct request request = { .kind = CM_KIND_COUNT };
	struct iovec part = { &request, sizeof(request) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct answer answer = { .error = EINVAL, .pid = -1 };
	const ssize_t n = recvmsg(s->requests, &m, MSG_CMSG_CLOEXEC);
	pid_t *place = find_child(s, 0);
	size_t count;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	count = take_descriptors(&m, fds);
	if (n == (ssize_t)sizeof(request) && request.kill > 0)
		answer.error = find_child(s, request.kill) != NULL && kill(request.kill, SIGKILL) == 0 ? 0 : ESRCH;
	else if (place == NULL)
		answer.error = EAGAIN;
	else if (n == (ssize_t)sizeof(request) && request.kind < CM_KIND_COUNT &&
	    (answer.pid = start(s, request.kind, fds, count, &answer.error)) > 0)
		*place = answer.pid;
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	return send(s->requests, &answer, sizeof(answer), MSG_NOSIGNAL) == (ssize_t)sizeof(answer);
}

static void
tell_ended(struct serving *s)
{
	struct signalfd_siginfo drained;
	int status;

	(void)!read(s->signals, &drained, sizeof(drained));
	for (;;) {
		const pid_t pid = waitpid(-1, &status, WNOHANG);
		const struct ended note = { pid, status };
		pid_t *place;

		if (pid <= 0)
			return;
		if ((place = find_child(s, pid)) == NULL)
			continue;
		*place = 0;
		(void)send(s->exits, &note, sizeof(note), MSG_NOSIGNAL);
	}
}

static void
serve(struct serving *s)
{
	struct pollfd p[] = { { .fd = s->requests, .events = POLLIN }, { .fd = s->signals, .events = POLLIN } };

	for (;;) {
		if (poll(p, CM_COUNT(p), -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents != 0)
			tell_ended(s);
		if (p[0].revents != 0 && !serve_request(s))
			break;
	}
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (s->children[i] > 0)
			kill(s->children[i], SIGKILL);
}

/* Only what names its origin goes on; in a build for tests, also what the tests' servers and faults go by. */
static void
choose_environment(struct serving *v)
{
	char **out = v->environment;
	size_t n = 0;

	if (v->options->cache != NULL) {
		snprintf(v->cache, sizeof(v->cache), "CACHE_DIRECTORY=%s", v->options->cache);
		out[n++] = v->cache;
	}
	v->cache_rows = n;
	out[n++] = (char *)(uintptr_t)"PATH=/usr/bin:/bin";
#ifdef CM_FAULT_POINTS
	static const char *const names[] = {
		"CM_", "PCSCLITE_CSOCK_NAME=", "KRB5_CONFIG=", "KRB5_TRACE=", "SSSD_KRB5_LOCATOR_DISABLE=",
		"ASAN_OPTIONS=", "LSAN_OPTIONS=", "UBSAN_OPTIONS=",
	};

	for (char **e = environ; *e != NULL; e++)
		for (size_t i = 0; i < CM_COUNT(names); i++)
			if (strncmp(*e, names[i], strlen(names[i])) == 0 && n + 1 < ENVIRONMENT_MAX)
				out[n++] = *e;
#endif
	out[n] = NULL;
}

static void
be_starter(struct serving *s)
{
	sigset_t chld;

	prctl(PR_SET_NAME, "cardmapd-start");
	/* Nothing of cardmapd's is held open here: neither its sockets nor those of who waits for its end. */
	if ((s->requests = fcntl(s->requests, F_DUPFD_CLOEXEC, KEPT)) < 0 || (s->exits = fcntl(s->exits, F_DUPFD_CLOEXEC, KEPT)) < 0 ||
	    dup2(s->requests, FIRST) < 0 || dup2(s->exits, FIRST + 1) < 0 || close_range(FIRST + 2, ~0U, 0) != 0)
		_exit(1);
	s->requests = FIRST;
	s->exits = FIRST + 1;
	(void)fcntl(FIRST, F_SETFD, FD_CLOEXEC);
	(void)fcntl(FIRST + 1, F_SETFD, FD_CLOEXEC);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	/* A terminal's Ctrl-C is for cardmapd, which ends us. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	sigprocmask(SIG_SETMASK, &chld, NULL);
	s->signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	umask(077);
	if (s->signals >= 0 && chdir("/") == 0)
		serve(s);
	_exit(0);
}

/* ---- in cardmapd */

static void
free_programs(char *programs[CM_KIND_COUNT])
{
	for (size_t i = 0; i < CM_KIND_COUNT; i++)
		free(programs[i]);
}

static enum cm_err
check_program(const char *path, struct cm_trace *t)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: %s: install it, or name its folder by --libexec", path,
		    strerror(errno));
	if (!S_ISREG(st.st_mode) || (st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022) != 0)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: it must be a program of root's that nobody else may write", path);
	return CM_OK;
}

static enum cm_err
find_program(const char *libexec, const struct kind *k, struct cm_trace *t, char **out)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s/%s", libexec, k->folder, k->program);
	if (access(path, F_OK) != 0)
		snprintf(path, sizeof(path), "%s/%s", libexec, k->program);
	if ((*out = strdup(path)) == NULL)
		return CM_ERR_NOMEM;
	return check_program(path, t);
}

static enum cm_err
fork_starter(struct cm_starter *s, struct serving *v, struct cm_trace *t)
{
	const struct timeval most = { .tv_sec = ANSWER_MS / 1000 };
	int requests[2], exits[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, requests) != 0)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "socketpair: %s", strerror(errno));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, exits) != 0) {
		close(requests[0]);
		close(requests[1]);
		return cm_trace_fail(t, CM_REASON_SYSTEM, "socketpair: %s", strerror(errno));
	}
	s->requests = requests[0];
	s->exits = exits[0];
	(void)setsockopt(s->requests, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	(void)setsockopt(s->requests, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
	if ((s->pid = fork()) == 0) {
		v->requests = requests[1];
		v->exits = exits[1];
		be_starter(v);
	}
	close(requests[1]);
	close(exits[1]);
	return s->pid > 0 ? CM_OK : cm_trace_fail(t, CM_REASON_SYSTEM, "fork: %s", strerror(errno));
}

enum cm_err
cm_starter_begin(const struct cm_starter_options *o, struct cm_trace *t, struct cm_starter **out)
{
	struct serving v = { .options = o };
	struct cm_starter *s = calloc(1, sizeof(*s));
	enum cm_err err = s != NULL ? CM_OK : CM_ERR_NOMEM;

	*out = NULL;
	if (s != NULL) {
		s->requests = s->exits = -1;
		pthread_mutex_init(&s->lock, NULL);
	}
	for (size_t i = 0; err == CM_OK && i < CM_KIND_COUNT; i++)
		err = find_program(o->libexec, &kinds[i], t, &v.programs[i]);
	choose_environment(&v);
	if (err == CM_OK && (err = fork_starter(s, &v, t)) == CM_OK) {
		*out = s;
		s = NULL;
	}
	free_programs(v.programs);
	cm_starter_end(&s);
	return err;
}

/* It ends by itself when nobody can ask any more; one that is stopped, or hangs, does not.  What it started dies with it. */
static void
wait_for_end(pid_t pid)
{
	const cm_deadline deadline = cm_deadline_in(END_MS);
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };

	while (p.fd >= 0 && poll(&p, 1, cm_deadline_left(deadline)) < 0 && errno == EINTR)
		;
	if (p.revents == 0)
		kill(pid, SIGKILL);
	if (p.fd >= 0)
		close(p.fd);
	waitpid(pid, NULL, 0);
}

void
cm_starter_end(struct cm_starter **s)
{
	if (*s == NULL)
		return;
	if ((*s)->requests >= 0)
		close((*s)->requests);
	if ((*s)->pid > 0)
		wait_for_end((*s)->pid);
	if ((*s)->exits >= 0)
		close((*s)->exits);
	pthread_mutex_destroy(&(*s)->lock);
	free(*s);
	*s = NULL;
}

static int
ask(struct cm_starter *s, const struct request *r, const int *fds, size_t count, pid_t *pid)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(CM_STARTER_DESCRIPTORS * sizeof(int))] = { 0 };
	struct request request = *r;
	struct iovec part = { &request, sizeof(request) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	struct answer answer;

	if (count > 0) {
		struct cmsghdr *c;

		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int)) };
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	if (s->broken)
		return EPIPE;
	if (sendmsg(s->requests, &m, MSG_NOSIGNAL) < 0 ||
	    recv(s->requests, &answer, sizeof(answer), 0) != (ssize_t)sizeof(answer)) {
		s->broken = true;
		(void)shutdown(s->exits, SHUT_RDWR);	/* the main thread sees that it is gone */
		return EPIPE;
	}
	*pid = answer.pid;
	return answer.error;
}

enum cm_err
cm_starter_run(struct cm_starter *s, enum cm_kind kind, const int *fds, size_t count, pid_t *pid)
{
	int e = EINVAL;

	*pid = -1;
	if (count == 0 || count > CM_STARTER_DESCRIPTORS)
		return CM_ERR_STATE;
	pthread_mutex_lock(&s->lock);
	e = ask(s, &(struct request){ .kind = kind }, fds, count, pid);
	pthread_mutex_unlock(&s->lock);
	errno = e;
	return e == 0 ? CM_OK : CM_ERR_SYSTEM;
}

void
cm_starter_kill(struct cm_starter *s, pid_t pid)
{
	pid_t none;

	pthread_mutex_lock(&s->lock);
	(void)ask(s, &(struct request){ .kind = CM_KIND_COUNT, .kill = pid }, NULL, 0, &none);
	pthread_mutex_unlock(&s->lock);
}

int
cm_starter_fd(const struct cm_starter *s)
{
	return s->exits;
}

bool
cm_starter_ended(struct cm_starter *s, pid_t *pid, int *status)
{
	struct ended note;
	const ssize_t n = recv(s->exits, &note, sizeof(note), MSG_DONTWAIT);

	if (n < 0)
		return false;
	*pid = n == (ssize_t)sizeof(note) ? note.pid : 0;
	*status = n == (ssize_t)sizeof(note) ? note.status : 0;
	return true;
}
