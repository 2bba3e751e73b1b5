/* base/child.c - run a program once: own uid, nothing inherited, bounded. */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/place.h"

#define ARGUMENTS_MAX	64
#define MEMORY_MAX	((size_t)256 << 20)	/* where none is named: a script's interpreter and its libraries */
#define FILE_MAX	((rlim_t)16 << 20)
#define PROCESSES_MAX	256	/* of the user, those that are none of ours counted */
#define DESCRIPTORS_MAX	64

/* In the child, where everything else is closed. */
enum { OUTPUT = STDOUT_FILENO, PROGRAM = 3, TROUBLE = 4, FIRST_CLOSED = 5 };

/* Made by the parent; the child only calls the kernel with it, since a fork of a threaded process may do no more. */
struct cm_child_process {
	const struct cm_child *c;	/* borrowed */
	struct cm_trace *trace;
	cm_deadline deadline;
	char *argv[ARGUMENTS_MAX + 2];
	char *environment[8];
	int program, null, input;
	int feed;			/* where its input goes, once there is some */
	int output[2], trouble[2];	/* pipes, read end first; trouble: the errno of what kept it from starting */
	bool script;
	pid_t parent, pid;
	int pidfd;
};

static enum cm_err
open_ours(const char *path, struct cm_trace *t, int *out)
{
	if ((*out = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) >= 0)
		return CM_OK;
	return errno == ENOENT ? CM_ERR_ABSENT : cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s", path, strerror(errno));
}

/* Out of the way of the numbers that the child gives them. */
static bool
move_up(int *fd)
{
	const int high = fcntl(*fd, F_DUPFD_CLOEXEC, 16);

	if (high < 0)
		return false;
	close(*fd);
	*fd = high;
	return true;
}

/* All of it before the program runs: nobody waits for a reader. */
static bool
write_input(struct cm_child_process *r)
{
	struct cm_blob left = r->c->input;

	if ((r->input = memfd_create("input", MFD_CLOEXEC)) < 0)
		return false;
	while (left.len > 0) {
		const ssize_t n = write(r->input, left.ptr, left.len);

		if (n < 0 && errno != EINTR)
			return false;
		left.ptr += n > 0 ? n : 0;
		left.len -= n > 0 ? (size_t)n : 0;
	}
	return lseek(r->input, 0, SEEK_SET) == 0;
}

/* What comes later comes by a socket, which raises no SIGPIPE, and closes if we go before. */
static bool
open_feed(struct cm_child_process *r)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
		return false;
	r->feed = ends[0];
	r->input = ends[1];
	return fcntl(r->input, F_SETFL, 0) == 0 && shutdown(r->input, SHUT_WR) == 0;
}

static bool
set_input(struct cm_child_process *r)
{
	if (r->c->given_input != NULL)
		return (r->input = fcntl(*r->c->given_input, F_DUPFD_CLOEXEC, 16)) >= 0;
	if (r->c->fed)
		return open_feed(r) && move_up(&r->input);
	return r->c->input.len == 0 || (write_input(r) && move_up(&r->input));
}

#ifdef CM_FAULT_POINTS
extern char **environ;
#endif

/* Nothing of ours, but where a test says at which point a program of ours is to fail, and what its sanitizers do. */
static void
set_environment(struct cm_child_process *r)
{
	size_t n = 0;

	r->environment[n++] = (char *)(uintptr_t)"PATH=/usr/bin:/bin";
#ifdef CM_FAULT_POINTS
	static const char *const passed[] = { "CM_FAULT=", "CM_FAULT_ONCE=", "ASAN_OPTIONS=", "LSAN_OPTIONS=", "UBSAN_OPTIONS=" };

	for (char **e = environ; r->c->ours && *e != NULL; e++)
		for (size_t i = 0; i < CM_COUNT(passed) && n + 1 < CM_COUNT(r->environment); i++)
			if (strncmp(*e, passed[i], strlen(passed[i])) == 0)
				r->environment[n++] = *e;
#endif
	r->environment[n] = NULL;
}

static enum cm_err
prepare(struct cm_child_process *r)
{
	char head[2];
	size_t n = 0;

	r->argv[n++] = (char *)(uintptr_t)r->c->path;
	for (const char *const *a = r->c->arguments; *a != NULL; a++) {
		if (n > ARGUMENTS_MAX)
			return CM_ERR_STATE;
		r->argv[n++] = (char *)(uintptr_t)*a;
	}
	set_environment(r);
	r->parent = getpid();
	r->script = pread(r->program, head, sizeof(head), 0) == 2 && memcmp(head, "#!", 2) == 0;
	if ((r->null = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0 ||
	    !set_input(r) || pipe2(r->output, O_CLOEXEC) != 0 ||
	    pipe2(r->trouble, O_CLOEXEC) != 0 || !move_up(&r->program) || !move_up(&r->null) ||
	    !move_up(&r->output[1]) || !move_up(&r->trouble[1]) ||
	    fcntl(r->output[0], F_SETFL, O_NONBLOCK) != 0)
		return cm_trace_fail(r->trace, CM_REASON_SYSTEM, "%s: %s", r->c->path, strerror(errno));
	return CM_OK;
}

static void
close_all(struct cm_child_process *r)
{
	const int fds[] = { r->program, r->null, r->input, r->feed, r->output[0], r->output[1], r->trouble[0], r->trouble[1], r->pidfd };

	for (size_t i = 0; i < CM_COUNT(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* ---- in the child */

static bool
limit(int what, rlim_t most)
{
	const struct rlimit l = { .rlim_cur = most, .rlim_max = most };

	return setrlimit(what, &l) == 0;
}

static bool
set_limits(const struct cm_child_process *r)
{
	const rlim_t seconds = (rlim_t)cm_deadline_left(r->deadline) / 1000 + 1;
	const rlim_t memory = r->c->memory_max != 0 ? r->c->memory_max : MEMORY_MAX;

	return (memory == SIZE_MAX || limit(RLIMIT_AS, memory)) && limit(RLIMIT_CPU, seconds) && limit(RLIMIT_FSIZE, FILE_MAX) &&
	    limit(RLIMIT_NPROC, PROCESSES_MAX) && limit(RLIMIT_NOFILE, DESCRIPTORS_MAX) && limit(RLIMIT_CORE, 0);
}

static void
reset_signals(void)
{
	const struct sigaction usual = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		sigaction(s, &usual, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool
set_descriptors(const struct cm_child_process *r)
{
	return dup2(r->input >= 0 ? r->input : r->null, STDIN_FILENO) >= 0 && dup2(r->null, STDERR_FILENO) >= 0 &&
	    dup2(r->output[1], OUTPUT) >= 0 &&
	    /* An interpreter opens its script by this number: it stays open for it alone. */
	    dup3(r->program, PROGRAM, r->script ? 0 : O_CLOEXEC) >= 0 &&
	    dup3(r->trouble[1], TROUBLE, O_CLOEXEC) >= 0 && close_range(FIRST_CLOSED, ~0U, 0) == 0;
}

static bool
become(const struct cm_child *c)
{
	if (c->uid == (uid_t)-1)
		return true;
	return setgroups(c->group_count, c->groups) == 0 && setresgid(c->gid, c->gid, c->gid) == 0 &&
	    setresuid(c->uid, c->uid, c->uid) == 0;
}

static _Noreturn void
run_program(const struct cm_child_process *r)
{
	int why;

	reset_signals();
	umask(077);
	if (set_descriptors(r) && setsid() >= 0 && chdir("/") == 0 && become(r->c) && set_limits(r) &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    /* After the change of user, which clears it. */
	    prctl(PR_SET_PDEATHSIG, SIGKILL) == 0) {
		if (getppid() == r->parent)
			fexecve(PROGRAM, r->argv, r->environment);
		else
			errno = ESRCH;
	}
	why = errno;
	_exit(write(TROUBLE, &why, sizeof(why)) == sizeof(why) ? 127 : 126);
}

/* ---- in the parent */

/* What there is now: CM_ERR_AGAIN until its end. */
static enum cm_err
read_output(const struct cm_child_process *r, struct cm_buf *out, size_t *total)
{
	uint8_t chunk[4096];
	ssize_t n;

	while ((n = read(r->output[0], chunk, sizeof(chunk))) > 0) {
		if ((*total += (size_t)n) > r->c->output_max)
			return cm_trace_fail(r->trace, CM_REASON_CHILD, "%s: it wrote more than %zu bytes",
			    r->c->path, r->c->output_max);
		cm_buf_add(out, chunk, (size_t)n);
	}
	if (n == 0)
		return cm_buf_status(out);
	return errno == EAGAIN || errno == EINTR ? CM_ERR_AGAIN :
	    cm_trace_fail(r->trace, CM_REASON_SYSTEM, "%s: %s", r->c->path, strerror(errno));
}

static bool
has_said(const struct cm_child_end *e)
{
	return e->word != 0 && e->out->len > 0 && e->out->ptr[0] == e->word;
}

/*
 * Until it has ended or has said its word, be its output closed or not: what it
 * left behind in the background may hold the pipe for ever.
 */
static enum cm_err
follow(struct cm_child_process *r, const struct cm_child_end *e)
{
	struct pollfd fds[] = { { .fd = r->pidfd, .events = POLLIN }, { .fd = r->output[0], .events = POLLIN } };
	size_t total = 0;
	enum cm_err err;

	for (;;) {
		const int ready = poll(fds, 2, cm_deadline_left(r->deadline));

		if (ready < 0 && errno != EINTR)
			return cm_trace_fail(r->trace, CM_REASON_SYSTEM, "%s: %s", r->c->path, strerror(errno));
		if ((err = read_output(r, e->out, &total)) != CM_OK && err != CM_ERR_AGAIN)
			return err;
		if ((ready > 0 && fds[0].revents != 0) || has_said(e))
			return CM_OK;
		if (err == CM_OK)
			fds[1].fd = -1;		/* closed, and it goes on */
		if (cm_deadline_passed(r->deadline))
			return cm_trace_fail(r->trace, CM_REASON_CHILD, "%s: it took too long and was ended",
			    r->c->path);
	}
}

#define UNSEEN	(-1)	/* no status of wait(2) */

/*
 * Its number is its own until it is waited for, and so is its group's.  UNSEEN:
 * where SIGCHLD is ignored nobody waits for it, and how it ended is lost.
 */
static int
end_and_reap(const struct cm_child_process *r)
{
	int status = UNSEEN;

	kill(-r->pid, SIGKILL);
	kill(r->pid, SIGKILL);	/* it may not lead a group yet */
	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static enum cm_err
judge(const struct cm_child_process *r, int ended, int *status)
{
	int why = 0;

	if (ended == UNSEEN)
		return cm_trace_fail(r->trace, CM_REASON_SYSTEM, "%s: how it ended cannot be seen: SIGCHLD is ignored",
		    r->c->path);
	if (read(r->trouble[0], &why, sizeof(why)) == sizeof(why))
		return cm_trace_fail(r->trace, CM_REASON_SYSTEM, "%s: it cannot be run as uid %u: %s", r->c->path,
		    r->c->uid != (uid_t)-1 ? r->c->uid : geteuid(), strerror(why));
	if (WIFSIGNALED(ended))
		return cm_trace_fail(r->trace, CM_REASON_CHILD, "%s: it was ended by SIG%s", r->c->path,
		    sigabbrev_np(WTERMSIG(ended)) != NULL ? sigabbrev_np(WTERMSIG(ended)) : "?");
	*status = WEXITSTATUS(ended);
	return CM_OK;
}

static enum cm_err
start(struct cm_child_process *r)
{
	if ((r->pid = fork()) == 0)
		run_program(r);
	if (r->pid < 0)
		return cm_trace_fail(r->trace, CM_REASON_SYSTEM, "%s: %s", r->c->path, strerror(errno));
	/* The ends that the child alone writes. */
	close(r->output[1]);
	close(r->trouble[1]);
	r->output[1] = r->trouble[1] = -1;
	/* ... and that it alone reads: when it has ended, nobody waits to feed it. */
	if (r->input >= 0)
		close(r->input);
	r->input = -1;
	if ((r->pidfd = pidfd_open(r->pid, 0)) >= 0)
		return CM_OK;
	cm_trace_fail(r->trace, CM_REASON_SYSTEM, "%s: %s", r->c->path, strerror(errno));
	end_and_reap(r);
	return CM_ERR_SYSTEM;
}

enum cm_err
cm_child_start(const struct cm_child *c, cm_deadline deadline, struct cm_trace *t, struct cm_child_process **out)
{
	struct cm_child_process *r = malloc(sizeof(*r));
	enum cm_err err;

	*out = NULL;
	if (r == NULL)
		return CM_ERR_NOMEM;
	*r = (struct cm_child_process){ .c = c, .trace = t, .deadline = deadline, .program = -1, .null = -1, .input = -1, .feed = -1,
		.output = { -1, -1 }, .trouble = { -1, -1 }, .pidfd = -1 };
	err = c->ours ? open_ours(c->path, t, &r->program) : cm_place_open(c->path, CM_PLACE_PROGRAM, t, &r->program);
	if (err == CM_OK && (err = prepare(r)) == CM_OK && (err = start(r)) == CM_OK) {
		*out = r;
		return CM_OK;
	}
	close_all(r);
	free(r);
	return err;
}

bool
cm_child_lives(const struct cm_child_process *r)
{
	struct pollfd p = { .fd = r->pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

void
cm_child_feed(struct cm_child_process *r, struct cm_blob part, cm_deadline deadline)
{
	struct cm_blob left = part;

	while (r->feed >= 0 && left.len > 0) {
		const ssize_t n = send(r->feed, left.ptr, left.len, MSG_NOSIGNAL);
		struct pollfd p = { .fd = r->feed, .events = POLLOUT };

		if (n < 0 && errno == EAGAIN) {
			if (poll(&p, 1, cm_deadline_left(deadline)) == 0)
				break;
		} else if (n < 0 && errno != EINTR) {
			break;
		}
		left.ptr += n > 0 ? n : 0;
		left.len -= n > 0 ? (size_t)n : 0;
	}
}

/* With its end. */
static void
feed_last(struct cm_child_process *r, struct cm_blob last)
{
	cm_child_feed(r, last, r->deadline);
	close(r->feed);
	r->feed = -1;
}

enum cm_err
cm_child_finish(struct cm_child_process **process, const struct cm_child_end *e)
{
	struct cm_child_process *r = *process;
	enum cm_err err;
	int ended;

	*process = NULL;
	*e->status = -1;
	r->trace = e->trace;
	r->deadline = e->deadline;
	if (r->feed >= 0)
		feed_last(r, e->input);
	if ((err = follow(r, e)) == CM_OK && has_said(e)) {
		r->trace = NULL;	/* the caller's */
		*e->status = 0;
		*process = r;
		return CM_OK;
	}
	ended = end_and_reap(r);
	if (err == CM_OK)
		err = judge(r, ended, e->status);
	close_all(r);
	free(r);
	return err;
}

void
cm_child_drop(struct cm_child_process **process)
{
	if (*process == NULL)
		return;
	end_and_reap(*process);
	close_all(*process);
	free(*process);
	*process = NULL;
}

enum cm_err
cm_child_run(const struct cm_child *c, cm_deadline deadline, struct cm_trace *t, struct cm_buf *out,
    int *status)
{
	const struct cm_child_end e = { .deadline = deadline, .trace = t, .out = out, .status = status };
	struct cm_child_process *r = NULL;
	enum cm_err err;

	*status = -1;
	if ((err = cm_child_start(c, deadline, t, &r)) == CM_OK)
		err = cm_child_finish(&r, &e);
	return err;
}
