/* cli/doctor_card.c - pcscd, the reader, and the card in it: its PIN tries, asked for without spending one. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "service/disabled.h"

#define PCSCD_SOCKET	"/run/pcscd/pcscd.comm"
#define READERS_MS	1000

/* pcscd's own name for its socket, in the environment of tests and containers. */
void
cm_doctor_pcscd(struct cm_doctor *d)
{
	const char *path = secure_getenv("PCSCLITE_CSOCK_NAME");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (path == NULL)
		path = PCSCD_SOCKET;
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "systemctl start pcscd.socket", "nobody listens at %s", path);
	else
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "pcscd listens");
	if (fd >= 0)
		close(fd);
}

struct readers {
	unsigned all, cards;
};

static enum cm_err
see_reader(void *arg, const struct cm_reader *r)
{
	struct readers *seen = arg;

	seen->all++;
	seen->cards += r->card_present;
	return CM_OK;
}

static void
tell_tries(struct cm_doctor *d, const char *where, unsigned tries)
{
	if (tries == 0)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "cardmap pin unblock", "%s: no PIN tries are left", where);
	else if (tries == 1)
		cm_doctor_say(d, CM_DOCTOR_WARNING, "cardmap pin verify --last-try", "%s: one PIN try is left", where);
	else if (tries == CM_TRIES_UNKNOWN)
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s: does not say how many PIN tries are left", where);
	else
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s: %u PIN tries are left", where, tries);
}

static void
look_at_card(struct cm_doctor *d)
{
	struct cm_cli *c = d->cli;
	const cm_deadline deadline = cm_deadline_in(c->conf->card.timeout);
	const struct cm_card_from from = cm_disabled_from(c->conf, c->conf->card.source, CM_CARD_LOGIN);
	struct cm_card *card = NULL;
	unsigned tries = 0;

	if (cm_card_open_from(&from, deadline, c->trace, &card) != CM_OK ||
	    cm_card_pin_tries(card, deadline, c->trace, &tries) != CM_OK)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "put it in again; cardmap cards status tells more", "%s", cm_trace_message(c->trace));
	else
		tell_tries(d, cm_card_where(card), tries);
	cm_card_close(&card);
}

void
cm_doctor_card(struct cm_doctor *d)
{
	struct cm_cli *c = d->cli;
	struct readers seen = { 0 };

	if (strncmp(c->conf->card.source, "file:", 5) == 0) {
		look_at_card(d);
		return;
	}
	d->check = "reader";
	if (cm_card_readers(cm_deadline_in(READERS_MS), c->trace, see_reader, &seen) != CM_OK || seen.all == 0) {
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "plug a reader in; cardmap cards status shows those that are seen", "%s", cm_trace_message(c->trace));
		return;
	}
	cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%u %s", seen.all, seen.all == 1 ? "reader" : "readers");
	d->check = "card";
	if (seen.cards > 0)
		look_at_card(d);
	else
		cm_doctor_say(d, CM_DOCTOR_WARNING, "put the card in; cardmap cards status shows it", "no card is in: its PIN tries are not known");
}
