/*
 * mapper/regex_serve.c - inside the child: few rights, little memory, and regcomp(3).
 *
 * Compiled expressions are a cache: where memory runs out all are forgotten,
 * and the one that is asked for gets a second try on its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mapper/regex_child_internal.h"

struct expression {
	char *text;		/* owned; NULL: not stored */
	uint32_t flags;
	bool compiled;
	regex_t re;
};
struct server {
	int fd;
	struct expression *all;
	size_t count;
};

/* Whoever does not understand its parent, or cannot answer, is of no use. */
static _Noreturn void
give_up(void)
{
	_exit(1);
}

static void
get(const struct server *s, void *p, size_t len)
{
	uint8_t *to = p;

	while (len > 0) {
		const ssize_t n = recv(s->fd, to, len, 0);

		if (n <= 0)
			_exit(0);	/* the parent is gone */
		to += n;
		len -= (size_t)n;
	}
}

static void
put(const struct server *s, const void *p, size_t len)
{
	if (send(s->fd, p, len, MSG_NOSIGNAL) != (ssize_t)len)
		give_up();
}

/* len octets and a NUL; the caller's. */
static char *
get_text(const struct server *s, size_t len)
{
	char *text = malloc(len + 1);

	if (text == NULL)
		give_up();
	get(s, text, len);
	text[len] = '\0';
	return text;
}

static void
forget_compiled(struct server *s)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->all[i].compiled)
			regfree(&s->all[i].re);
		s->all[i].compiled = false;
	}
}

static int
compile(struct expression *x)
{
	const int flags = ((x->flags & CM_REGEX_BASIC) != 0 ? 0 : REG_EXTENDED) |
	    ((x->flags & CM_REGEX_IGNORE_CASE) != 0 ? REG_ICASE : 0) | REG_NOSUB;
	int code;

	if (x->compiled)
		return 0;
	code = regcomp(&x->re, x->text, flags);
	x->compiled = code == 0;
	return code;
}

static struct expression *
find(const struct server *s, uint32_t id)
{
	if (id >= s->count || s->all[id].text == NULL)
		give_up();
	return &s->all[id];
}

static void
store(struct server *s, const struct cm_regex_request *q)
{
	if (q->id >= s->count) {
		const size_t count = q->id < 64 ? 128 : 2 * (size_t)q->id;
		struct expression *all = realloc(s->all, count * sizeof(*all));

		if (all == NULL)
			give_up();
		memset(all + s->count, 0, (count - s->count) * sizeof(*all));
		s->all = all;
		s->count = count;
	}
	if (s->all[q->id].text != NULL)
		give_up();
	s->all[q->id].flags = q->flags;
	s->all[q->id].text = get_text(s, q->len);
}

static void
answer_compile(struct server *s, const struct cm_regex_request *q)
{
	struct cm_regex_compiled out = { .answer = CM_REGEX_YES };
	struct expression *x = find(s, q->id);
	int code = compile(x);

	if (code == REG_ESPACE) {
		forget_compiled(s);
		code = compile(x);
	}
	if (code != 0) {
		out.answer = code == REG_ESPACE ? CM_REGEX_FULL : CM_REGEX_NO;
		regerror(code, NULL, out.why, sizeof(out.why));
	}
	put(s, &out, sizeof(out));
}

/*
 * glibc's regexec(3) says REG_NOMATCH where it ran out of memory, so that an
 * expression over its limit would be a no; re_search() keeps the two apart.
 * No more is made of errno than that a no is not believed.
 */
static uint8_t
match_once(struct expression *x, const char *text, size_t len)
{
	regoff_t at;

	if (compile(x) != 0)
		return CM_REGEX_FULL;
	errno = 0;
	at = re_search(&x->re, text, (regoff_t)len, 0, (regoff_t)len, NULL);
	if (at >= 0)
		return CM_REGEX_YES;
	return at == -1 && errno != ENOMEM ? CM_REGEX_NO : CM_REGEX_FULL;
}

/* Each answer goes out at once: the parent sees which expression it waits for. */
static void
answer_match(struct server *s, const struct cm_regex_request *q)
{
	char *text = get_text(s, q->len);
	uint32_t *ids = malloc(q->id * sizeof(*ids));

	if (ids == NULL)
		give_up();
	get(s, ids, q->id * sizeof(*ids));
	for (uint32_t i = 0; i < q->id; i++) {
		struct expression *x = find(s, ids[i]);
		uint8_t answer = match_once(x, text, q->len);

		if (answer == CM_REGEX_FULL) {
			forget_compiled(s);
			answer = match_once(x, text, q->len);
		}
		put(s, &answer, 1);
	}
	free(ids);
	free(text);
}

/* Bytes of address space and of data that are in use now; proc(5), statm. */
static void
memory_now(rlim_t *space, rlim_t *data)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char text[256], *p = text;
	const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	unsigned long long column[6] = { 0 };

	if (n <= 0)
		give_up();
	text[n] = '\0';
	for (size_t i = 0; i < CM_COUNT(column); i++)
		column[i] = strtoull(p, &p, 10);
	*space = column[0] * page;
	*data = column[5] * page;
}

/* No more than max from here on, and for good where hard; what is lower already stays. */
static void
limit(int what, rlim_t max, bool hard)
{
	struct rlimit r;

	if (getrlimit(what, &r) != 0)
		give_up();
	r.rlim_cur = max < r.rlim_max ? max : r.rlim_max;
	if (hard)
		r.rlim_max = r.rlim_cur;
	if (setrlimit(what, &r) != 0)
		give_up();
}

/*
 * Address space, and private writable memory besides: a program built with
 * AddressSanitizer reserved its address space long ago.
 */
static void
limit_memory(void)
{
	rlim_t space = 0, data = 0;

	memory_now(&space, &data);
	limit(RLIMIT_AS, space + CM_REGEX_MEMORY, true);
	limit(RLIMIT_DATA, data + CM_REGEX_MEMORY, true);
}

/* Should the parent be stopped or slow to end it: three seconds from here are enough. */
static void
limit_time(void)
{
	struct rusage used;

	if (getrusage(RUSAGE_SELF, &used) != 0)
		give_up();
	limit(RLIMIT_CPU, (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + 3, false);
}

/* The parent's handlers are not for here, nor is what it blocked. */
static void
reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);	/* SIGKILL and SIGSTOP cannot be set */
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		give_up();
}

static void
drop_rights(int *fd)
{
	const locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);

	reset_signals();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    c == (locale_t)0 || uselocale(c) == (locale_t)0)
		give_up();
	limit_memory();
	if (*fd != 0 && (dup2(*fd, 0) != 0))
		give_up();
	*fd = 0;
	if (close_range(1, ~0u, 0) != 0)
		give_up();
	limit(RLIMIT_NOFILE, 0, true);
	limit(RLIMIT_CORE, 0, true);
	limit(RLIMIT_FSIZE, 0, true);
}

_Noreturn void
cm_regex_serve(int fd)
{
	struct server s = { .fd = fd };
	struct cm_regex_request q;

	drop_rights(&s.fd);
	for (;;) {
		get(&s, &q, sizeof(q));
		limit_time();
		switch (q.op) {
		case CM_REGEX_OP_STORE:
			store(&s, &q);
			break;
		case CM_REGEX_OP_COMPILE:
			answer_compile(&s, &q);
			break;
		case CM_REGEX_OP_MATCH:
			answer_match(&s, &q);
			break;
		default:
			give_up();
		}
	}
}
