/* tests/rig/vcard_control.c - the virtual card's control socket. */
#include "vcard.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void __attribute__((format(printf, 2, 3)))
answer(const struct client *c, const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n > 0)
		(void)!send(c->fd, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1, MSG_NOSIGNAL);
}

/* NULL once the client has been told why. */
static struct piv_content *
load(const struct client *c, const char *dir)
{
	char error[256];
	struct piv_content *content = piv_content_load(dir, error, sizeof(error));

	if (content == NULL)
		answer(c, "error %s\n", error);
	return content;
}

static void
ctl_fault(struct vcard *v, struct client *c, const char *arg)
{
	char error[256] = "";

	if (vcard_faults_add(&v->faults, arg, error, sizeof(error)))
		answer(c, "ok\n");
	else
		answer(c, "error %s\n", error);
}

static void
ctl_clear(struct vcard *v, struct client *c, const char *arg)
{
	(void)arg;
	/* a command in hand may still point into them */
	v->x.dir = NULL;
	v->x.after = CARD_STAYS;
	/* nor does it keep the next program from its turn */
	v->answer_at = vcard_now();
	vcard_faults_clear(&v->faults);
	answer(c, "ok\n");
}

static void
ctl_remove(struct vcard *v, struct client *c, const char *arg)
{
	(void)arg;
	if (v->link == LINK_OUT) {
		answer(c, "ok\n");
		return;
	}
	c->wait = WAIT_REMOVED;
	vcard_pull(v, false, NULL);
}

static void
ctl_insert(struct vcard *v, struct client *c, const char *arg)
{
	struct piv_content *next = NULL;

	if (v->link != LINK_OUT) {
		answer(c, "error a card is in\n");
		return;
	}
	if (*arg != '\0' && (next = load(c, arg)) == NULL)
		return;
	c->wait = WAIT_POWERED;
	vcard_push(v, next);
}

static void
ctl_swap(struct vcard *v, struct client *c, const char *arg)
{
	struct piv_content *next = load(c, arg);

	if (next == NULL)
		return;
	c->wait = WAIT_POWERED;
	if (v->link == LINK_OUT)
		vcard_push(v, next);
	else
		vcard_pull(v, true, next);
}

static void
ctl_become(struct vcard *v, struct client *c, const char *arg)
{
	struct piv_content *next = load(c, arg);

	if (next == NULL)
		return;
	vcard_become(v, next);
	answer(c, "ok\n");
}

static void
ctl_reset(struct vcard *v, struct client *c, const char *arg)
{
	(void)arg;
	apdu_reset(&v->card);
	answer(c, "ok\n");
}

static void
ctl_stats(struct vcard *v, struct client *c, const char *arg)
{
	const struct vcard_stats *s = &v->stats;

	(void)arg;
	answer(c, "ok commands=%u in=%llu out=%llu operations=%u power_ons=%u resets=%u busy=%d\n",
	    s->commands, s->in, s->out, v->card.piv.operations - s->operations, s->power_ons, s->resets, v->busy);
}

static void
ctl_zero(struct vcard *v, struct client *c, const char *arg)
{
	(void)arg;
	v->stats = (struct vcard_stats){ .operations = v->card.piv.operations };
	answer(c, "ok\n");
}

static void
ctl_tries(struct vcard *v, struct client *c, const char *arg)
{
	struct piv *piv = &v->card.piv;

	if (*arg != '\0')
		piv_set_tries(piv, PIV_PIN_APPLICATION, (unsigned int)strtoul(arg, NULL, 10) & 0xf);
	answer(c, "ok %u %u\n", piv->tries[PIV_PIN_APPLICATION], piv->tries[PIV_PIN_GLOBAL]);
}

static void
ctl_quit(struct vcard *v, struct client *c, const char *arg)
{
	(void)arg;
	v->done = true;
	answer(c, "ok\n");
}

static const struct control {
	const char *name;
	void (*run)(struct vcard *v, struct client *c, const char *arg);
	bool needs_arg;
} controls[] = {
	{ "fault", ctl_fault, true },	/* SPEC */
	{ "clear", ctl_clear, false },	/* all faults; an answer that was to be late comes now */
	{ "remove", ctl_remove, false },
	{ "insert", ctl_insert, false },	/* [DIR] */
	{ "swap", ctl_swap, true },	/* DIR */
	{ "become", ctl_become, true },	/* DIR */
	{ "reset", ctl_reset, false },
	{ "stats", ctl_stats, false },
	{ "zero", ctl_zero, false },	/* the counts of stats */
	{ "tries", ctl_tries, false },	/* [N] */
	{ "quit", ctl_quit, false },
};

static void
run_line(struct vcard *v, struct client *c, char *line)
{
	char *arg = line + strcspn(line, " ");

	if (*arg != '\0')
		*arg++ = '\0';
	for (size_t i = 0; i < COUNT(controls); i++) {
		if (strcmp(controls[i].name, line) != 0)
			continue;
		if (controls[i].needs_arg && *arg == '\0')
			answer(c, "error %s what?\n", line);
		else
			controls[i].run(v, c, arg);
		return;
	}
	answer(c, "error unknown command\n");
}

/* Lines after one that waits stay for later. */
static void
run_lines(struct vcard *v, struct client *c)
{
	uint8_t *end;

	while (c->wait == WAIT_NOTHING && c->line.len > 0 &&
	    (end = memchr(c->line.p, '\n', c->line.len)) != NULL) {
		const size_t used = (size_t)(end - c->line.p) + 1;
		char *line = strndup((char *)c->line.p, used - 1);

		vbuf_shift(&c->line, used);
		if (line != NULL)
			run_line(v, c, line);
		free(line);
	}
}

static void
drop_client(struct client *c)
{
	close(c->fd);
	vbuf_free(&c->line);
	*c = (struct client){ .fd = -1 };
}

void
vcard_control_read(struct vcard *v, struct client *c)
{
	char part[1024];
	const ssize_t n = recv(c->fd, part, sizeof(part), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || c->line.len + (size_t)n > LINE_MAX_LEN) {
		drop_client(c);
		return;
	}
	vbuf_put(&c->line, part, (size_t)n);
	run_lines(v, c);
}

void
vcard_control_wake(struct vcard *v, enum client_wait what)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &v->clients[i];

		if (c->fd < 0 || c->wait != what)
			continue;
		c->wait = WAIT_NOTHING;
		answer(c, "ok\n");
		run_lines(v, c);
	}
}

void
vcard_control_accept(struct vcard *v)
{
	const int fd = accept4(v->listener, NULL, NULL, SOCK_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < CLIENTS_MAX; i++) {
		if (v->clients[i].fd >= 0)
			continue;
		v->clients[i].fd = fd;
		return;
	}
	if (fd >= 0)
		close(fd);
}

bool
vcard_control_open(struct vcard *v)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const int n = snprintf(to.sun_path, sizeof(to.sun_path), "%s", v->control_path);

	if (n < 0 || (size_t)n >= sizeof(to.sun_path)) {
		fprintf(stderr, "vcard: %s: too long for a socket\n", v->control_path);
		return false;
	}
	(void)unlink(v->control_path);
	if ((v->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0 ||
	    bind(v->listener, (const struct sockaddr *)&to, sizeof(to)) != 0 ||
	    listen(v->listener, CLIENTS_MAX) != 0) {
		fprintf(stderr, "vcard: %s: %s\n", v->control_path, strerror(errno));
		return false;
	}
	return true;
}

void
vcard_control_close(struct vcard *v)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (v->clients[i].fd >= 0)
			drop_client(&v->clients[i]);
	if (v->listener >= 0) {
		close(v->listener);
		(void)unlink(v->control_path);
	}
}
