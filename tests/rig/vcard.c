/* tests/rig/vcard.c - a virtual PIV card in the reader of vpcd (vsmartcard): options, and the loop that waits. */
#include "vcard.h"

#include <fcntl.h>
#include <getopt.h>
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
		vcard_link_finish(v);
	}
	if (v->link == LINK_CONNECTING && now >= v->due)
		vcard_link_connect(v);
	else if (v->link == LINK_PULLING && now >= v->due)
		vcard_link_pulled(v);
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
		vcard_link_read(v);
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
	vcard_faults_help(to);
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
	vcard_link_close(v);
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
