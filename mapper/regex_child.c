/* mapper/regex_child.c - the parent's side: start the child, ask it, end it when it takes too long. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "mapper/regex_child_internal.h"

/*
 * What a question may cost is the child's time on the processor, so that a busy
 * machine makes no expression bad; a child that gets no time at all is waited for so long.
 */
#define WALL_MS		10000

bool
cm_regex_child_is_there(const struct cm_regex_child *c)
{
	return c->fd >= 0 && c->owner == getpid();
}

enum cm_err
cm_regex_child_start(struct cm_regex_child *c)
{
	int pair[2];

	cm_regex_child_stop(c);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return CM_ERR_SYSTEM;
	c->owner = getpid();
	c->pid = fork();
	/*
	 * When this process dies the socket ends; an expression that runs then has no
	 * more than its limit of time.  A signal at the parent's death would come with
	 * the end of the thread that forks (prctl(2), PR_SET_PDEATHSIG).
	 */
	if (c->pid == 0)
		cm_regex_serve(pair[1]);
	(void)close(pair[1]);
	c->fd = pair[0];
	if (c->pid < 0) {
		(void)close(c->fd);
		c->fd = -1;
		return CM_ERR_SYSTEM;
	}
	return CM_OK;
}

void
cm_regex_child_stop(struct cm_regex_child *c)
{
	if (c->fd < 0)
		return;
	(void)close(c->fd);
	c->fd = -1;
	if (c->owner != getpid())
		return;		/* inherited over a fork: the child of another */
	(void)kill(c->pid, SIGKILL);
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Milliseconds that the child has had on the processor; -1: it is gone. */
static int64_t
child_ms(const struct cm_regex_child *c)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(c->pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
		return -1;
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* How much longer a question may take. */
struct budget {
	int64_t until_ms;	/* of the child's processor time */
	cm_deadline wall;
};

static struct budget
budget_of(const struct cm_regex_child *c, unsigned ms)
{
	return (struct budget){ child_ms(c) + ms, cm_deadline_in(WALL_MS) };
}

/* Wait until the socket is ready. */
static enum cm_regex_end
wait_for(const struct cm_regex_child *c, short events, const struct budget *b)
{
	for (;;) {
		struct pollfd p = { .fd = c->fd, .events = events };
		const int64_t used = child_ms(c);
		int left = cm_deadline_left(b->wall), n;

		if (used < 0)
			return CM_REGEX_ENDED;
		if (used >= b->until_ms || left == 0)
			return CM_REGEX_SLOW;
		if (left > b->until_ms - used)
			left = (int)(b->until_ms - used);
		n = poll(&p, 1, left);
		if (n > 0)
			return CM_REGEX_DONE;
		if (n < 0 && errno != EINTR)
			return CM_REGEX_ENDED;
	}
}

static bool
is_later(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

static enum cm_regex_end
put(const struct cm_regex_child *c, const void *p, size_t len, const struct budget *b)
{
	const uint8_t *from = p;
	enum cm_regex_end end;

	while (len > 0) {
		const ssize_t n = send(c->fd, from, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (is_later(n)) {
			if ((end = wait_for(c, POLLOUT, b)) != CM_REGEX_DONE)
				return end;
		} else if (n < 0) {
			return CM_REGEX_ENDED;
		} else {
			from += n;
			len -= (size_t)n;
		}
	}
	return CM_REGEX_DONE;
}

/* *got is how many came, whatever ended it; each restarts the clock: they are answers to as many questions. */
static enum cm_regex_end
get(const struct cm_regex_child *c, uint8_t *p, size_t len, size_t *got, unsigned ms)
{
	struct budget b = budget_of(c, ms);
	enum cm_regex_end end;

	for (*got = 0; *got < len;) {
		const ssize_t n = recv(c->fd, p + *got, len - *got, MSG_DONTWAIT);

		if (is_later(n)) {
			if ((end = wait_for(c, POLLIN, &b)) != CM_REGEX_DONE)
				return end;
		} else if (n <= 0) {
			return CM_REGEX_ENDED;
		} else {
			*got += (size_t)n;
			b = budget_of(c, ms);
		}
	}
	return CM_REGEX_DONE;
}

static enum cm_regex_end
ask(const struct cm_regex_child *c, const struct cm_regex_request *q, const void *p)
{
	const struct budget b = budget_of(c, CM_REGEX_MATCH_MS);
	enum cm_regex_end end = put(c, q, sizeof(*q), &b);

	return end == CM_REGEX_DONE ? put(c, p, q->len, &b) : end;
}

/* What ended badly leaves no child. */
static enum cm_regex_end
ended(struct cm_regex_child *c, enum cm_regex_end end)
{
	if (end != CM_REGEX_DONE)
		cm_regex_child_stop(c);
	return end;
}

enum cm_regex_end
cm_regex_child_store(struct cm_regex_child *c, uint32_t id, const struct cm_regex *x)
{
	const struct cm_regex_request q = { CM_REGEX_OP_STORE, id, x->flags, (uint32_t)x->pattern.len };

	return ended(c, ask(c, &q, x->pattern.ptr));
}

enum cm_regex_end
cm_regex_child_compile(struct cm_regex_child *c, uint32_t id, uint8_t *answer,
    char why[CM_REGEX_WHY])
{
	const struct cm_regex_request q = { CM_REGEX_OP_COMPILE, id, 0, 0 };
	struct cm_regex_compiled out;
	enum cm_regex_end end;
	size_t got;

	if ((end = ask(c, &q, NULL)) == CM_REGEX_DONE)
		end = get(c, (uint8_t *)&out, sizeof(out), &got, CM_REGEX_COMPILE_MS);
	if (end == CM_REGEX_DONE) {
		*answer = out.answer;
		memcpy(why, out.why, CM_REGEX_WHY);
		why[CM_REGEX_WHY - 1] = '\0';
	}
	return ended(c, end);
}

enum cm_regex_end
cm_regex_child_match(struct cm_regex_child *c, struct cm_blob text, const uint32_t *ids,
    uint32_t count, uint8_t *answers, uint32_t *done)
{
	const struct cm_regex_request q = { CM_REGEX_OP_MATCH, count, 0, (uint32_t)text.len };
	const struct budget b = budget_of(c, CM_REGEX_MATCH_MS);
	enum cm_regex_end end;
	size_t got = 0;

	if ((end = ask(c, &q, text.ptr)) == CM_REGEX_DONE &&
	    (end = put(c, ids, count * sizeof(*ids), &b)) == CM_REGEX_DONE)
		end = get(c, answers, count, &got, CM_REGEX_MATCH_MS);
	*done = (uint32_t)got;
	return ended(c, end);
}
