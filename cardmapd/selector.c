/* cardmapd/selector.c - the configured selector, run for the resolver, which may start no program. */
#include "cardmapd/selector.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/net.h"
#include "service/selector.h"

#define SPARE_MS	2000	/* after the program's deadline, for the words about it */
#define TEXT_MAX	2048
#define REQUESTS	3	/* the runner's only descriptor, beside the first three */

struct cm_selectors {
	const char *program;
	pid_t pid;
	int requests;
	pthread_mutex_t lock;
	unsigned running;	/* under the lock */
};

/* Both ways the same program: no more is checked than that it is whole. */
struct asked {
	uint32_t ms, key_count;
	struct cm_selector_key keys[CM_SELECTOR_KEYS_MAX];
	char user[CM_SELECTOR_NAME_MAX + 1];	/* empty: not known */
};

struct answered {
	int32_t err, reason;
	uint32_t text_len, output_len;
	char text[TEXT_MAX];
	uint8_t output[CM_SELECTOR_ANSWER_MAX];
};

/* ---- in the runner, and in the process that it forks for each question */

static void
answer(const struct asked *a, const char *program, int to)
{
	const struct cm_selector_call call = { .program = program, .operation = CM_SELECTOR_MAP, .keys = a->keys,
		.user = a->user[0] != '\0' ? a->user : NULL, .key_count = a->key_count };
	struct answered said = { .err = CM_OK };
	struct cm_buf output = { 0 };
	struct cm_trace *t = NULL;
	const char *text;

	if (cm_trace_new(&t) != CM_OK)
		return;
	said.err = cm_selector_run(&call, cm_deadline_in(a->ms), t, &output);
	said.reason = cm_trace_reason(t);
	text = said.reason != CM_REASON_NONE ? cm_trace_message(t) : "";
	said.text_len = (uint32_t)strnlen(text, sizeof(said.text) - 1);
	memcpy(said.text, text, said.text_len);
	if (said.err == CM_OK && output.len <= sizeof(said.output)) {
		said.output_len = (uint32_t)output.len;
		memcpy(said.output, cm_buf_str(&output), output.len);
	}
	(void)!send(to, &said, sizeof(said), MSG_NOSIGNAL);
	cm_buf_free(&output);
	cm_trace_free(&t);
}

static void
fork_for(const struct asked *a, const char *program, int to)
{
	const pid_t runner = getpid();

	if (fork() != 0)
		return;
	close(REQUESTS);
	signal(SIGCHLD, SIG_DFL);	/* how the program ends is looked at */
	/* With the runner, which ends with cardmapd; and the program with us (base/child.h). */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == runner)
		answer(a, program, to);
	_exit(0);
}

static int
descriptor_of(struct msghdr *m)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd = -1;

	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static bool
serve_request(const char *program)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct asked a;
	struct iovec part = { &a, sizeof(a) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	const ssize_t n = recvmsg(REQUESTS, &m, MSG_CMSG_CLOEXEC);
	int to;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	if ((to = descriptor_of(&m)) < 0)
		return true;
	if (n == (ssize_t)sizeof(a))
		fork_for(&a, program, to);
	close(to);
	return true;
}

static _Noreturn void
be_runner(const char *program, int requests)
{
	sigset_t none;

	prctl(PR_SET_NAME, "cardmapd-select");
	sigemptyset(&none);
	if (dup2(requests, REQUESTS) < 0 || fcntl(REQUESTS, F_SETFD, FD_CLOEXEC) != 0 || close_range(REQUESTS + 1, ~0U, 0) != 0)
		_exit(1);
	/* A terminal's Ctrl-C is for cardmapd, whose end is ours. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);	/* nobody waits for who answered */
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(077);
	while (chdir("/") == 0 && serve_request(program))
		;
	_exit(0);
}

/* ---- in cardmapd */

enum cm_err
cm_selectors_new(const char *program, struct cm_trace *t, struct cm_selectors **out)
{
	struct cm_selectors *s = calloc(1, sizeof(*s));
	int pair[2];

	*out = NULL;
	if (s == NULL)
		return CM_ERR_NOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		free(s);
		return cm_trace_fail(t, CM_REASON_SYSTEM, "socketpair: %s", strerror(errno));
	}
	if ((s->pid = fork()) == 0)
		be_runner(program, pair[1]);
	close(pair[1]);
	s->program = program;
	s->requests = pair[0];
	pthread_mutex_init(&s->lock, NULL);
	*out = s;
	if (s->pid > 0)
		return CM_OK;
	cm_selectors_free(out);
	return cm_trace_fail(t, CM_REASON_SYSTEM, "fork: %s", strerror(errno));
}

void
cm_selectors_stop(struct cm_selectors *s)
{
	(void)shutdown(s->requests, SHUT_RDWR);
	if (s->pid > 0)
		waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

void
cm_selectors_free(struct cm_selectors **s)
{
	if (*s == NULL)
		return;
	cm_selectors_stop(*s);
	close((*s)->requests);
	pthread_mutex_destroy(&(*s)->lock);
	free(*s);
	*s = NULL;
}

int
cm_selectors_fd(const struct cm_selectors *s)
{
	return s != NULL ? s->requests : -1;
}

bool
cm_selectors_gone(struct cm_selectors *s)
{
	struct pollfd p = { .fd = s != NULL ? s->requests : -1, .events = POLLIN };

	return poll(&p, 1, 0) > 0;	/* it says nothing there: it can only have ended */
}

static enum cm_err
cannot(const struct cm_selectors *s, struct cm_trace *t, const char *why)
{
	return cm_trace_fail(t, CM_REASON_SELECTOR, "%s: %s", s->program, why);
}

/* Our end of what it is to be answered on; -1: errno says why. */
static int
send_question(const struct cm_selectors *s, const struct asked *a)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { (void *)(uintptr_t)a, sizeof(*a) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(c), &pair[1], sizeof(int));
	error = sendmsg(s->requests, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(*a) ? 0 : errno;
	close(pair[1]);
	if (error == 0)
		return pair[0];
	close(pair[0]);
	errno = error;
	return -1;
}

static enum cm_err
take_answer(const struct cm_selectors *s, const struct answered *said, struct cm_trace *t, struct cm_buf *output)
{
	if (said->text_len >= sizeof(said->text) || said->output_len > sizeof(said->output) ||
	    (said->reason != CM_REASON_NONE && said->reason != CM_REASON_SELECTOR))
		return cannot(s, t, "what became of it is not known");
	if (said->reason == CM_REASON_SELECTOR)
		return cm_trace_fail(t, CM_REASON_SELECTOR, "%.*s", (int)said->text_len, said->text);
	if (said->err != CM_OK)
		return said->err == CM_ERR_ABSENT ? CM_ERR_ABSENT : CM_ERR_NOMEM;
	cm_buf_add(output, said->output, said->output_len);
	return cm_buf_status(output);
}

static enum cm_err
ask(const struct cm_selectors *s, const struct asked *a, struct cm_trace *t, struct cm_buf *output)
{
	struct answered *said = malloc(sizeof(*said));
	const int fd = said != NULL ? send_question(s, a) : -1;
	enum cm_err err;

	if (said == NULL)
		return CM_ERR_NOMEM;
	if (fd < 0)
		err = cannot(s, t, strerror(errno));
	else if (cm_net_wait(fd, POLLIN, cm_deadline_in(a->ms + SPARE_MS)) != 0 ||
	    recv(fd, said, sizeof(*said), 0) != (ssize_t)sizeof(*said))
		err = cannot(s, t, "who ran it gave no answer");
	else
		err = take_answer(s, said, t, output);
	if (fd >= 0)
		close(fd);
	free(said);
	return err;
}

static bool
enter(struct cm_selectors *s)
{
	bool room;

	pthread_mutex_lock(&s->lock);
	room = s->running < CM_SELECTORS_MOST;
	s->running += room;
	pthread_mutex_unlock(&s->lock);
	return room;
}

static void
leave(struct cm_selectors *s)
{
	pthread_mutex_lock(&s->lock);
	s->running--;
	pthread_mutex_unlock(&s->lock);
}

enum cm_err
cm_selectors_ask(void *selectors, const struct cm_selection *q, struct cm_trace *t, struct cm_buf *answer)
{
	struct cm_selectors *s = selectors;
	const size_t count = q->hashes.len / sizeof(struct cm_selector_key);
	struct asked a = { .ms = (uint32_t)cm_deadline_left(q->deadline), .key_count = (uint32_t)count };
	enum cm_err err;

	/* The resolver judged the name too: it sends none of these. */
	if (count == 0 || count > CM_SELECTOR_KEYS_MAX || q->hashes.len % sizeof(struct cm_selector_key) != 0 ||
	    (q->user != NULL && cm_selector_judge_name(cm_blob_str(q->user)) != NULL))
		return CM_ERR_USAGE;
	memcpy(a.keys, q->hashes.ptr, q->hashes.len);
	if (q->user != NULL)
		memcpy(a.user, q->user, strlen(q->user));
	if (!enter(s))
		return cannot(s, t, "too many ask at once: try again");
	err = ask(s, &a, t, answer);
	leave(s);
	return err;
}
