/*
 * tests/rig/vcard.c - a virtual PIV card in the reader of vpcd (vsmartcard).
 *
 * vpcd's protocol, over TCP: frames of a two-byte big-endian length and bytes. A frame of one byte from vpcd is control
 * (0 off, 1 on, 2 reset, 4 ATR wanted), any other a command APDU. Only the ATR and APDUs are answered.
 */
#include "vcard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { RETRY_MS = 20, PULL_MS = 5000, LOG_BYTES = 21 };

int64_t
vcard_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
vcard_log(struct vcard *v, const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	if (v->log_fd < 0)
		return;
	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	/* one write a line: a reader never sees half of one */
	if (n > 0)
		(void)!write(v->log_fd, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* --- which card is in --- */

static void
remember_tries(struct vcard *v)
{
	size_t i = 0;

	while (i < v->remembered_len && strcmp(v->remembered[i].dir, v->content->dir) != 0)
		i++;
	if (i == REMEMBERED_MAX)
		return;
	if (i == v->remembered_len)
		v->remembered_len++;
	memcpy(v->remembered[i].dir, v->content->dir, sizeof(v->remembered[i].dir));
	memcpy(v->remembered[i].tries, v->card.piv.tries, sizeof(v->remembered[i].tries));
}

/* --state is of the card given at the start; others keep theirs in their folder, or in memory. */
static void
use_content(struct vcard *v, struct piv_content *next)
{
	const bool first = v->content == NULL;

	if (!first)
		remember_tries(v);
	piv_content_free(&v->content);
	v->content = next;
	if (first && v->state_file != NULL)
		memcpy(v->first_dir, next->dir, sizeof(v->first_dir));
	apdu_reset(&v->card);
	piv_insert(&v->card.piv, next, strcmp(v->first_dir, next->dir) == 0 ? v->state_file : NULL);
	for (size_t i = 0; v->card.piv.tries_file[0] == '\0' && i < v->remembered_len; i++)
		if (strcmp(v->remembered[i].dir, next->dir) == 0)
			memcpy(v->card.piv.tries, v->remembered[i].tries, sizeof(v->card.piv.tries));
	vcard_log(v, "# card %s\n", next->dir);
}

void
vcard_become(struct vcard *v, struct piv_content *next)
{
	use_content(v, next);
}

static void
set_link(struct vcard *v, enum link_state link, unsigned int after_ms)
{
	v->link = link;
	v->due = vcard_now() + after_ms;
}

void
vcard_push(struct vcard *v, struct piv_content *next)
{
	if (next != NULL)
		use_content(v, next);
	set_link(v, LINK_CONNECTING, 0);
	v->connect_deadline = v->due + v->connect_ms;
}

static void
close_link(struct vcard *v)
{
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
	v->received.len = 0;
	v->busy = false;
	apdu_reset(&v->card);
}

static void
pulled(struct vcard *v)
{
	struct piv_content *next = v->next;

	close_link(v);
	v->next = NULL;
	vcard_log(v, "# removed\n");
	set_link(v, LINK_OUT, 0);
	if (v->put_back) {
		vcard_push(v, next);
		/* vpcd takes a waiting card at once after a failed exchange, and pcscd would never have seen the reader empty */
		v->due += v->gap_ms;
		v->connect_deadline += v->gap_ms;
	}
	vcard_control_wake(v, WAIT_REMOVED);
}

void
vcard_pull(struct vcard *v, bool put_back, struct piv_content *next)
{
	piv_content_free(&v->next);
	v->put_back = put_back;
	v->next = next;
	v->busy = false;
	apdu_reset(&v->card);
	if (v->link == LINK_PULLING)
		return;
	if (v->link != LINK_IN) {
		pulled(v);
		return;
	}
	/* vpcd reads the end and closes: then pcscd knows */
	(void)shutdown(v->fd, SHUT_WR);
	set_link(v, LINK_PULLING, PULL_MS);
}

static bool
act(struct vcard *v, enum card_action action)
{
	char error[256];
	struct piv_content *next = NULL;

	if (action == CARD_SWAP || action == CARD_BECOME) {
		if ((next = piv_content_load(v->x.dir, error, sizeof(error))) == NULL) {
			fprintf(stderr, "vcard: %s\n", error);
			action = CARD_REMOVE;
		}
	}
	switch (action) {
	case CARD_STAYS:
		return true;
	case CARD_RESET:
		apdu_reset(&v->card);
		return true;
	case CARD_BECOME:
		vcard_become(v, next);
		return true;
	case CARD_REMOVE:
	case CARD_SWAP:
		vcard_pull(v, next != NULL, next);
		return false;
	}
	return true;
}

/* --- one command --- */

/* A PIN is never written: commands that carry one show its length. */
static void
log_command(struct vcard *v, bool answered)
{
	static const uint8_t secret[] = { 0x20, 0x24, 0x2c };
	const struct vbuf *c = &v->command, *a = &v->x.answer;
	char hex[2 * LOG_BYTES + 32] = "", sw[8] = "none";
	const bool hide = c->len > 5 && memchr(secret, c->p[1], sizeof(secret)) != NULL;
	const size_t show = hide ? 5 : c->len < LOG_BYTES ? c->len : LOG_BYTES;
	size_t at = 0;

	for (size_t i = 0; i < show; i++, at += 2)
		snprintf(hex + at, sizeof(hex) - at, "%02X", c->p[i]);
	if (hide)
		snprintf(hex + at, sizeof(hex) - at, "[%zu]", c->len - 5);
	else if (show < c->len)
		snprintf(hex + at, sizeof(hex) - at, "..");
	if (answered && a->len >= 2)
		snprintf(sw, sizeof(sw), "%02X%02X", a->p[a->len - 2], a->p[a->len - 1]);
	vcard_log(v, "%u %s sw=%s in=%zu out=%zu at=%lld\n", v->stats.commands, hex, sw, c->len,
	    answered ? a->len : 0, (long long)(vcard_now() - v->started));
}

static bool
send_frame(struct vcard *v, const uint8_t *p, size_t len)
{
	struct vbuf frame = {0};
	bool ok;

	vbuf_byte(&frame, (uint8_t)(len >> 8));
	vbuf_byte(&frame, (uint8_t)len);
	vbuf_put(&frame, p, len);
	ok = send(v->fd, frame.p, frame.len, MSG_NOSIGNAL) == (ssize_t)frame.len;
	vbuf_free(&frame);
	return ok;
}

static void
finish_command(struct vcard *v)
{
	v->busy = false;
	v->stats.out += v->x.answer.len;
	log_command(v, true);
	/* a failure shows as the end of the connection at the next read */
	(void)send_frame(v, v->x.answer.p, v->x.answer.len);
	(void)act(v, v->x.after);
}

static void
start_command(struct vcard *v, const uint8_t *p, size_t len)
{
	struct exchange *x = &v->x;

	vbuf_free(&x->answer);
	*x = (struct exchange){0};
	vbuf_free(&v->command);
	vbuf_put(&v->command, p, len);
	x->well_formed = apdu_parse(v->command.p, len, &x->cmd);
	x->tag = x->well_formed ? piv_data_tag(&x->cmd) : 0;
	v->stats.commands++;
	v->stats.in += len;
	vcard_faults_begin(&v->faults, x);
	vcard_faults_run(&v->faults, FAULT_COMMAND, x, &x->answer);
	if (!act(v, x->before)) {
		log_command(v, false);
		return;
	}
	if (!x->answered)
		apdu_answer(&v->card, &v->faults, x);
	vcard_faults_run(&v->faults, FAULT_ANSWER, x, &x->answer);
	v->busy = true;
	v->answer_at = vcard_now() + x->delay_ms;
	if (x->delay_ms == 0)
		finish_command(v);
}

/* --- vpcd --- */

static void
on_power_off(struct vcard *v)
{
	vcard_log(v, "# power-off\n");
	apdu_reset(&v->card);
}

static void
powered(struct vcard *v)
{
	apdu_reset(&v->card);
	if (v->ready_fd >= 0) {
		(void)!write(v->ready_fd, "ready\n", 6);
		close(v->ready_fd);
		v->ready_fd = -1;
	}
	vcard_control_wake(v, WAIT_POWERED);
}

static void
on_power_on(struct vcard *v)
{
	v->stats.power_ons++;
	vcard_log(v, "# power-on\n");
	powered(v);
}

static void
on_reset(struct vcard *v)
{
	v->stats.resets++;
	vcard_log(v, "# reset\n");
	powered(v);
}

static void
on_atr(struct vcard *v)
{
	(void)send_frame(v, v->content->atr.p, v->content->atr.len);
}

static const struct {
	uint8_t code;
	void (*run)(struct vcard *v);
} signals[] = {
	{ 0, on_power_off },
	{ 1, on_power_on },
	{ 2, on_reset },
	{ 4, on_atr },
};

static void
handle_frame(struct vcard *v, const uint8_t *p, size_t len)
{
	if (len != 1) {
		start_command(v, p, len);
		return;
	}
	for (size_t i = 0; i < COUNT(signals); i++)
		if (signals[i].code == p[0])
			signals[i].run(v);
}

static void
handle_frames(struct vcard *v)
{
	struct vbuf frame = {0};

	while (v->link == LINK_IN && !v->busy && v->received.len >= 2) {
		const size_t len = (size_t)v->received.p[0] << 8 | v->received.p[1];

		if (v->received.len < 2 + len)
			break;
		frame.len = 0;
		vbuf_put(&frame, v->received.p + 2, len);
		vbuf_shift(&v->received, 2 + len);
		if (len > 0)
			handle_frame(v, frame.p, len);
	}
	vbuf_free(&frame);
}

static void
link_ended(struct vcard *v)
{
	if (v->link == LINK_PULLING) {
		pulled(v);
		return;
	}
	/* pcscd went away, or could not make sense of a faulty answer: still in the reader */
	vcard_log(v, "# vpcd closed\n");
	close_link(v);
	vcard_push(v, NULL);
	v->due += v->gap_ms;
	v->connect_deadline += v->gap_ms;
}

/* Without it delayed ACKs cost 44 ms a command; the kernel forgets it, so it is set around every recv. */
static void
quick_ack(int fd)
{
	const int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static void
read_link(struct vcard *v)
{
	uint8_t part[8192];
	ssize_t n;

	quick_ack(v->fd);
	n = recv(v->fd, part, sizeof(part), MSG_DONTWAIT);
	quick_ack(v->fd);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		link_ended(v);
		return;
	}
	if (v->link != LINK_IN)
		return;
	vbuf_put(&v->received, part, (size_t)n);
	handle_frames(v);
}

static void
try_connect(struct vcard *v)
{
	const struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)v->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int on = 1;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		quick_ack(fd);
		v->fd = fd;
		v->link = LINK_IN;
		vcard_log(v, "# inserted\n");
		return;
	}
	if (vcard_now() >= v->connect_deadline) {
		fprintf(stderr, "vcard: 127.0.0.1:%u: %s: is pcscd running with vpcd?\n", v->port, strerror(errno));
		v->done = true;
		v->status = 1;
	}
	if (fd >= 0)
		close(fd);
	set_link(v, LINK_CONNECTING, RETRY_MS);
}

/* --- the loop --- */

static int64_t
next_timer(const struct vcard *v)
{
	int64_t at = INT64_MAX;

	if (v->link == LINK_CONNECTING || v->link == LINK_PULLING)
		at = v->due;
	if (v->busy && v->answer_at < at)
		at = v->answer_at;
	return at;
}

static void
run_timers(struct vcard *v)
{
	const int64_t now = vcard_now();

	if (v->busy && now >= v->answer_at) {
		finish_command(v);
		handle_frames(v);
	}
	if (v->link == LINK_CONNECTING && now >= v->due)
		try_connect(v);
	else if (v->link == LINK_PULLING && now >= v->due)
		pulled(v);
}

static void
wait_and_run(struct vcard *v)
{
	struct pollfd fds[3 + CLIENTS_MAX];
	const int64_t at = next_timer(v), now = vcard_now();
	const int timeout = at == INT64_MAX ? -1 : at <= now ? 0 : (int)(at - now);

	fds[0] = (struct pollfd){ .fd = v->signal_fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = v->fd, .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = v->listener, .events = POLLIN };
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		fds[3 + i] = (struct pollfd){ .events = POLLIN,
			.fd = v->clients[i].wait == WAIT_NOTHING ? v->clients[i].fd : -1 };
	if (poll(fds, COUNT(fds), timeout) < 0)
		return;
	if (fds[0].revents != 0)
		v->done = true;
	if (fds[1].revents != 0)
		read_link(v);
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (fds[3 + i].fd >= 0 && fds[3 + i].revents != 0)
			vcard_control_read(v, &v->clients[i]);
	if (fds[2].revents != 0)
		vcard_control_accept(v);
	run_timers(v);
}

/* --- start and end --- */

static void
usage(FILE *to)
{
	fputs("usage: vcard --card DIR [--port 35963] [--faults SPEC] [--ready-fd N] [--state FILE]\n"
	    "             [--control SOCKET] [--log FILE] [--connect-ms 10000] [--gap-ms 1000]\n"
	    "  --card     folder with 9a.crt 9a.key ... pin, card.conf (piv_content.h)\n"
	    "  --faults   NAME[=ARG][@WHEN],...   WHEN: N, N+, insXX, tagXXXXXX, insXX#N ...\n"
	    "  --ready-fd \"ready\" is written there once the reader has powered the card\n"
	    "  --state    file of the tries left: application PIN, global PIN, one a line\n"
	    "  --control  Unix socket: fault SPEC, clear, remove, insert [DIR], swap DIR, become DIR, reset,\n"
	    "             stats, zero, tries [N], quit; a line each, answered \"ok ...\" or \"error ...\"\n"
	    "  --log      a line per command APDU; lines that start with # are events\n"
	    "  --connect-ms  how long to try to reach vpcd   --gap-ms  how long the reader is empty in a swap\n"
	    "faults:\n", to);
	fflush(to);
	vcard_faults_help();
}

static bool
parse_number(const char *text, unsigned int max, unsigned int *out)
{
	char *end = NULL;
	const unsigned long n = strtoul(text, &end, 10);

	*out = (unsigned int)n;
	return *text >= '0' && *text <= '9' && *end == '\0' && n <= max;
}

static bool
parse_ready_fd(struct vcard *v, const char *text)
{
	unsigned int n;

	if (!parse_number(text, 65535, &n))
		return false;
	v->ready_fd = (int)n;
	return true;
}

static bool
parse_options(struct vcard *v, int argc, char **argv)
{
	static const struct option options[] = {
		{ "card", required_argument, NULL, 'c' },
		{ "port", required_argument, NULL, 'p' },
		{ "faults", required_argument, NULL, 'f' },
		{ "ready-fd", required_argument, NULL, 'r' },
		{ "state", required_argument, NULL, 's' },
		{ "control", required_argument, NULL, 'u' },
		{ "log", required_argument, NULL, 'l' },
		{ "connect-ms", required_argument, NULL, 'w' },
		{ "gap-ms", required_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool ok = true;
	int o;

	while (ok && (o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'c': v->dir = optarg; break;
		case 'p': ok = parse_number(optarg, 65535, &v->port); break;
		case 'f': v->faults_spec = optarg; break;
		case 'r': ok = parse_ready_fd(v, optarg); break;
		case 's': v->state_file = optarg; break;
		case 'u': v->control_path = optarg; break;
		case 'l': v->log_path = optarg; break;
		case 'w': ok = parse_number(optarg, 3600000, &v->connect_ms); break;
		case 'g': ok = parse_number(optarg, 3600000, &v->gap_ms); break;
		case 'h':
			usage(stdout);
			exit(0);
		default: ok = false;
		}
	}
	return ok && optind == argc && v->dir != NULL;
}

static bool
open_signals(struct vcard *v)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return sigprocmask(SIG_BLOCK, &set, NULL) == 0 &&
	    (v->signal_fd = signalfd(-1, &set, SFD_CLOEXEC)) >= 0;
}

static bool
start(struct vcard *v)
{
	char error[256] = "";
	struct piv_content *content;

	if (v->log_path != NULL &&
	    (v->log_fd = open(v->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0) {
		perror(v->log_path);
		return false;
	}
	if (v->faults_spec != NULL && !vcard_faults_add(&v->faults, v->faults_spec, error, sizeof(error))) {
		fprintf(stderr, "vcard: %s\n", error);
		return false;
	}
	if ((content = piv_content_load(v->dir, error, sizeof(error))) == NULL) {
		fprintf(stderr, "vcard: %s\n", error);
		return false;
	}
	vcard_push(v, content);
	return (v->control_path == NULL || vcard_control_open(v)) && open_signals(v);
}

static void
end(struct vcard *v)
{
	vcard_control_close(v);
	close_link(v);
	apdu_clear(&v->card);
	vcard_faults_clear(&v->faults);
	piv_content_free(&v->next);
	piv_content_free(&v->content);
	vbuf_free(&v->received);
	vbuf_free(&v->command);
	vbuf_free(&v->x.answer);
	if (v->log_fd >= 0)
		close(v->log_fd);
	if (v->signal_fd >= 0)
		close(v->signal_fd);
}

int
main(int argc, char **argv)
{
	struct vcard *v = calloc(1, sizeof(*v));
	int status = 1;

	if (v == NULL)
		return 1;
	v->port = 35963;
	v->connect_ms = 10000;
	v->gap_ms = 1000;
	v->fd = v->log_fd = v->listener = v->signal_fd = v->ready_fd = -1;
	v->started = vcard_now();
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		v->clients[i].fd = -1;
	if (!parse_options(v, argc, argv)) {
		usage(stderr);
		free(v);
		return 2;
	}
	if (start(v)) {
		while (!v->done)
			wait_and_run(v);
		status = v->status;
	}
	end(v);
	free(v);
	return status;
}
