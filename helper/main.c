/* helper/main.c - cardmap-card: descriptor 3 is its channel to cardmapd, and the first message says what it is to do. */
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/secret.h"
#include "helper/helper.h"

#define CHANNEL		3	/* spawned with it, or from the service manager: sd_listen_fds(3) begins there too */
#define FIRST_MS	30000
#define HEAP_STEP	(256 << 10)

/* sysexits.h */
#define EXIT_USAGE	64
#define EXIT_NO_CHANNEL	69
#define EXIT_FAILED	71
#define EXIT_PROTOCOL	76

static enum cm_err
serve(struct cm_helper *h)
{
	struct cm_message first = { 0 };
	enum cm_err err = cm_channel_receive(h->channel, cm_deadline_in(FIRST_MS), &first, &h->log, 1);

	if (err != CM_OK)
		return err;
	if (first.kind == CM_MESSAGE_WATCH && h->log < 0)
		err = cm_helper_watch(h);
	else if (first.kind == CM_MESSAGE_OPEN)
		err = cm_helper_session(h, &first);
	else
		err = CM_ERR_STATE;
	cm_message_clear(&first);
	return err;
}

static int
status_of(enum cm_err err)
{
	switch (err) {
	case CM_OK:
	case CM_ERR_OFFLINE:
		return 0;
	case CM_ERR_STATE:
	case CM_ERR_SYNTAX:
		fprintf(stderr, "cardmap-card: what came on the channel is not permitted now: this is no cardmapd\n");
		return EXIT_PROTOCOL;
	default:
		fprintf(stderr, "cardmap-card: %s\n", cm_err_name(err));
		return EXIT_FAILED;
	}
}

static bool
parse(int argc, char **argv, struct cm_helper *h)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o != 'c')
			return false;
		h->config = optarg;
	}
	return optind == argc;
}

int
main(int argc, char **argv)
{
	struct cm_guard guard;		/* its thread has it until the process ends: main() does not return once it runs */
	struct cm_helper h = { .guard = &guard, .log = -1 };
	enum cm_err err;

	/* What a thread leaves free another uses, and memory is not asked for page by page while somebody waits. */
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_TOP_PAD, HEAP_STEP);
	cm_secret_harden_process();
	if (!parse(argc, argv, &h)) {
		fprintf(stderr, "usage: cardmap-card [--config FILE], descriptor 3 being a channel of cardmapd\n");
		return EXIT_USAGE;
	}
	if (cm_channel_new(CHANNEL, &h.channel) != CM_OK) {
		fprintf(stderr, "cardmap-card: descriptor 3 is no channel: it is started by cardmapd, not by hand\n");
		return EXIT_NO_CHANNEL;
	}
	if ((err = cm_helper_confine()) == CM_OK &&
	    (err = cm_guard_start(&guard, cm_channel_fd(h.channel))) == CM_OK)
		err = serve(&h);
	exit(status_of(err));
}
