/*
 * tests/rig/vcard.h - the virtual card as a process: its link to vpcd, its control socket.
 * Times are milliseconds of the monotonic clock.
 */
#ifndef RIG_VCARD_H
#define RIG_VCARD_H

#include "apdu.h"

enum { CLIENTS_MAX = 8, LINE_MAX_LEN = 8192, REMEMBERED_MAX = 16 };

enum link_state {
	LINK_OUT,		/* no card in the reader */
	LINK_CONNECTING,	/* the next attempt is at v->due */
	LINK_IN,
	LINK_PULLING,		/* taken out; vpcd has not closed yet, given up at v->due */
};

enum client_wait { WAIT_NOTHING, WAIT_REMOVED, WAIT_POWERED };

struct client {
	int fd;			/* -1 = free */
	enum client_wait wait;	/* its last command is answered when this happens */
	struct vbuf line;
};

struct vcard_stats {
	unsigned int commands, operations, power_ons, resets;
	unsigned long long in, out;	/* bytes of APDUs */
};

struct vcard {
	/* from the command line, borrowed */
	const char *dir, *state_file, *control_path, *log_path, *faults_spec;
	unsigned int port, connect_ms, gap_ms;
	int ready_fd;		/* -1 once told */

	struct piv_content *content, *next;	/* owned; next goes in when the link is made again */
	char first_dir[PATH_MAX];		/* whose tries --state keeps */
	bool put_back;				/* after LINK_PULLING */
	struct apdu_card card;
	struct vcard_faults faults;
	struct {
		char dir[PATH_MAX];
		unsigned int tries[PIV_PINS];
	} remembered[REMEMBERED_MAX];		/* cards out of the reader keep their tries */
	size_t remembered_len;

	enum link_state link;
	int fd;
	struct vbuf received;
	int64_t due, connect_deadline;

	/* the command in hand */
	bool busy;
	struct exchange x;
	struct vbuf command;
	int64_t answer_at;

	struct vcard_stats stats;
	int64_t started;
	int log_fd, listener, signal_fd;
	struct client clients[CLIENTS_MAX];
	bool done;
	int status;
};

int64_t vcard_now(void);
void vcard_log(struct vcard *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Take the card out; next (given, may be NULL) goes in afterwards when put_back. */
void vcard_pull(struct vcard *v, bool put_back, struct piv_content *next);
/* Put the card, or next (given, may be NULL), in. */
void vcard_push(struct vcard *v, struct piv_content *next);
/* Another card's content (given) in the same breath: no removal is seen. */
void vcard_become(struct vcard *v, struct piv_content *next);

/* The link, as the loop drives it: try to connect, bytes have come, the answer's time has come, vpcd did not close. */
void vcard_link_connect(struct vcard *v);
void vcard_link_read(struct vcard *v);
void vcard_link_finish(struct vcard *v);
void vcard_link_pulled(struct vcard *v);
void vcard_link_close(struct vcard *v);

/* The control socket. Answers: a line "ok ..." or "error ...". */
bool vcard_control_open(struct vcard *v);
void vcard_control_accept(struct vcard *v);
void vcard_control_read(struct vcard *v, struct client *c);
/* Answer those who wait for this. */
void vcard_control_wake(struct vcard *v, enum client_wait what);
void vcard_control_close(struct vcard *v);

#endif
