/*
 * tests/rig/vcard_link.c - the virtual card's link to vpcd, and the card that is in.
 *
 * vpcd's protocol, over TCP: frames of a two-byte big-endian length and bytes. A frame of one byte from vpcd is control
 * (0 off, 1 on, 2 reset, 4 ATR wanted), any other a command APDU. Only the ATR and APDUs are answered.
 */
#include "vcard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { RETRY_MS = 20, PULL_MS = 5000, LOG_BYTES = 21 };

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

void
vcard_link_close(struct vcard *v)
{
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
	v->received.len = 0;
	v->busy = false;
	apdu_reset(&v->card);
}

void
vcard_link_pulled(struct vcard *v)
{
	struct piv_content *next = v->next;

	vcard_link_close(v);
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
		vcard_link_pulled(v);
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

void
vcard_link_finish(struct vcard *v)
{
	finish_command(v);
	handle_frames(v);
}

static void
link_ended(struct vcard *v)
{
	if (v->link == LINK_PULLING) {
		vcard_link_pulled(v);
		return;
	}
	/* pcscd went away, or could not make sense of a faulty answer: still in the reader */
	vcard_log(v, "# vpcd closed\n");
	vcard_link_close(v);
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

void
vcard_link_read(struct vcard *v)
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

void
vcard_link_connect(struct vcard *v)
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
