/* cli/pins.c - a card's PIN by hand: pin verify, change, unblock. */
#include "cli/cli.h"
#include "service/disabled.h"

struct handling {
	struct cm_cli *cli;
	struct cm_card *card;
	cm_deadline deadline;
	unsigned tries;		/* of the PIN, before */
	unsigned left;		/* of what was typed first, afterwards */
	bool puk;		/* that was the PUK */
	struct cm_secret *first, *next;	/* the PIN or the PUK; the new PIN */
};

/* What a person typed takes as long as it takes: the card's time begins behind it. */
static cm_deadline
again(const struct handling *h)
{
	return cm_deadline_in(h->cli->conf->card.timeout);
}

/* At the terminal twice, since nobody sees it; a program that hands it over knows what it wrote. */
static enum cm_err
ask_new(struct handling *h)
{
	struct cm_cli *c = h->cli;
	struct cm_secret *same = NULL;
	struct cm_blob a, b;
	enum cm_err err = cm_cli_ask_secret(c, "New PIN (6 to 8 digits): ", &h->next);

	if (err != CM_OK || c->pin_fd >= 0)
		return err;
	if ((err = cm_cli_ask_secret(c, "New PIN, once more: ", &same)) != CM_OK)
		return err;
	a = cm_secret_bytes(h->next);
	b = cm_secret_bytes(same);
	if (!cm_blob_equal(a, b))
		err = cm_trace_fail(c->trace, CM_REASON_PIN_DIFFERS, "the two new PINs are not the same");
	cm_secret_free(&same);
	return err;
}

static enum cm_err
verify(struct handling *h)
{
	struct cm_cli *c = h->cli;
	enum cm_err err;

	if (c->pin_fd < 0 && cm_card_has_pad(h->card)) {
		fprintf(stderr, "Type the PIN on the reader.\n");
		return cm_card_verify_pad(h->card, c->last_try, cm_deadline_in(60000), c->trace, &h->left);
	}
	if ((err = cm_cli_ask_pin(c, cm_card_where(h->card), h->tries, &h->first)) != CM_OK)
		return err;
	return cm_card_verify_pin(h->card, h->first, c->last_try, again(h), c->trace, &h->left);
}

static enum cm_err
change(struct handling *h)
{
	struct cm_cli *c = h->cli;
	struct cm_card_pins pins = { .last_try = c->last_try };
	enum cm_err err;

	if ((err = cm_cli_ask_pin(c, cm_card_where(h->card), h->tries, &h->first)) != CM_OK || (err = ask_new(h)) != CM_OK)
		return err;
	pins.now = h->first;
	pins.next = h->next;
	return cm_card_change_pin(h->card, &pins, again(h), c->trace, &h->left);
}

static enum cm_err
unblock(struct handling *h)
{
	struct cm_cli *c = h->cli;
	struct cm_buf prompt = { 0 };
	enum cm_err err;

	cm_buf_addf(&prompt, "PUK for %s: ", cm_card_where(h->card));
	err = cm_cli_ask_secret(c, cm_buf_str(&prompt), &h->first);
	cm_buf_free(&prompt);
	if (err != CM_OK || (err = ask_new(h)) != CM_OK)
		return err;
	return cm_card_unblock_pin(h->card, h->first, h->next, again(h), c->trace, &h->left);
}

static const struct way {
	const char *name, *done;
	enum cm_err (*run)(struct handling *);
	bool blocked_too;	/* also where no try of the PIN is left */
} ways[] = {
	{ "verify", "the PIN is right", verify, false },
	{ "change", "the card has the new PIN", change, false },
	{ "unblock", "the card has the new PIN, and all its tries", unblock, true },
};

static const struct way *
find(const char *name)
{
	for (size_t i = 0; i < CM_COUNT(ways); i++)
		if (strcmp(ways[i].name, name) == 0)
			return &ways[i];
	return NULL;
}

/* Others may use the card again once its certificate was read, while somebody types. */
static enum cm_err
let_go(struct handling *h)
{
	struct cm_cert *cert = NULL;
	enum cm_err err = cm_card_certificate(h->card, CM_SLOT_AUTHENTICATION, h->deadline, h->cli->trace, &cert);

	cm_cert_free(&cert);
	if (err != CM_ERR_ABSENT && err != CM_ERR_SYNTAX)
		return err;
	cm_trace_clear_reason(h->cli->trace);	/* its PIN is one all the same */
	return CM_OK;
}

static enum cm_err
run(struct handling *h, const struct way *w)
{
	struct cm_cli *c = h->cli;
	const struct cm_card_from from = cm_disabled_from(c->conf, c->conf->card.source, CM_CARD_LOGIN);
	enum cm_err err;

	/* as for a login: the discovery object says which PIN it is */
	if ((err = cm_card_open_from(&from, h->deadline, c->trace, &h->card)) != CM_OK ||
	    (err = cm_card_pin_tries(h->card, h->deadline, c->trace, &h->tries)) != CM_OK)
		return err;
	if (h->tries == 0 && !w->blocked_too)
		return cm_trace_fail(c->trace, CM_REASON_PIN_BLOCKED, "no PIN tries are left on the card in %s",
		    cm_card_where(h->card));
	return (err = let_go(h)) == CM_OK ? w->run(h) : err;
}

int
cm_cli_pin(struct cm_cli *c)
{
	const struct way *w = find(c->args[0]);
	struct handling h = { .cli = c, .left = CM_TRIES_UNKNOWN, .tries = CM_TRIES_UNKNOWN };
	enum cm_err err;

	if (w == NULL)
		return cm_cli_finish(c, cm_trace_fail(c->trace, CM_REASON_USAGE, "usage: cardmap pin verify | change | unblock"));
	cm_secret_harden_process();
	cm_trace_begin(c->trace, "pin");
	h.deadline = again(&h);
	err = run(&h, w);
	cm_trace_end(c->trace, err);
	if (h.card != NULL)
		cm_cli_set(c->answer, "reader", cm_card_where(h.card));
	if (err == CM_OK)
		cm_cli_line(c, "pin", "%s", w->done);
	if (h.left != CM_TRIES_UNKNOWN)
		json_object_set_new(c->answer, w->run == unblock ? "puk_tries_left" : "tries_left", json_integer(h.left));
	cm_secret_free(&h.first);
	cm_secret_free(&h.next);
	cm_secret_wipe_stack();
	cm_card_close(&h.card);
	if (c->verbose || c->json)
		cm_cli_stages(c);
	return cm_cli_finish(c, err);
}
