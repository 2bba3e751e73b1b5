/* cli/whois.c - whose card is this? */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/service.h"
#include "service/disabled.h"
#include "service/mapping.h"

/* A login's card must have PIN tries left. */
static enum cm_err
check_tries(struct cm_cli *c, struct cm_card *card, cm_deadline deadline)
{
	unsigned tries;
	enum cm_err err;

	cm_trace_add(c->trace, "card", "%s", cm_card_where(card));
	if ((err = cm_card_pin_tries(card, deadline, c->trace, &tries)) == CM_OK && tries == 0)
		err = cm_trace_fail(c->trace, CM_REASON_PIN_BLOCKED, "no PIN tries are left on the card in %s", cm_card_where(card));
	return err;
}

enum cm_err
cm_cli_read_certificate(struct cm_cli *c, enum cm_card_purpose purpose, struct cm_card **card, struct cm_cert **cert)
{
	const struct cm_card_from from = cm_disabled_from(c->conf, c->conf->card.source, purpose);
	const cm_deadline deadline = cm_deadline_in(c->conf->card.timeout);
	enum cm_err err;

	cm_trace_begin(c->trace, "certificate");
	if ((err = cm_card_open_from(&from, deadline, c->trace, card)) == CM_OK &&
	    purpose == CM_CARD_LOGIN)
		err = check_tries(c, *card, deadline);
	if (err == CM_OK)
		err = cm_card_certificate(*card, c->slot, deadline, c->trace, cert);
	if (*card != NULL && cm_card_stats(*card).commands > 0)
		cm_trace_add(c->trace, "card commands", "%u", cm_card_stats(*card).commands);
	cm_trace_end(c->trace, err);
	return err;
}

/* "No" to what was asked; a pairing could not be. */
static enum cm_err
tell_unread(struct cm_cli *c)
{
	char *why = strdup(cm_trace_message(c->trace));
	const enum cm_err err = cm_trace_fail(c->trace, cm_trace_reason(c->trace),
	    "%s; and whether its key is paired here cannot be read by this user", why != NULL ? why : "");

	free(why);
	return err;
}

static enum cm_err
find_account(struct cm_cli *c, const struct cm_host *host, const struct cm_cert *cert,
    struct cm_account **account)
{
	struct cm_mapping m = { .host = host, .cert = cert, .user = c->args[0], .trace = c->trace,
		.deadline = cm_deadline_in(c->conf->directory.timeout) };
	enum cm_err err;

	cm_trace_begin(c->trace, "account");
	if ((err = cm_mapping_make(&m)) == CM_OK && (err = cm_mapping_find(&m, account)) == CM_ERR_OFFLINE)
		err = cm_mapping_find_local(&m, account);
	if (err == CM_ERR_ABSENT && c->store_unread)
		err = tell_unread(c);
	cm_trace_end(c->trace, err);
	cm_mapping_clear(&m);
	return err;
}

enum cm_err
cm_cli_open_host(struct cm_cli *c, unsigned needs, struct cm_host **host)
{
	enum cm_err err;

	cm_trace_begin(c->trace, "start");
	/* Opening would make the file. */
	if (access(c->conf->accounts.path, F_OK) != 0 && errno == ENOENT) {
		cm_trace_add(c->trace, "without", "what is kept: nothing yet");
		err = cm_host_open(c->conf, needs, c->trace, host);
	} else {
		err = cm_host_open(c->conf, needs | CM_NEED_ACCOUNTS, c->trace, host);
	}
	if (err != CM_OK && cm_trace_reason(c->trace) == CM_REASON_STORE) {
		cm_trace_add(c->trace, "without", "what is kept: %s", cm_trace_message(c->trace));
		c->store_unread = true;
		err = cm_host_open(c->conf, needs, c->trace, host);
	}
	cm_trace_end(c->trace, err);
	return err;
}

/* Each account that the card belongs to, where there are several. */
static void
set_candidates(struct cm_cli *c)
{
	const struct cm_trace_stage *s = cm_trace_stage(c->trace, cm_trace_count(c->trace) - 1);
	json_t *found = json_array();

	for (size_t i = 0; s != NULL && i < s->count; i++)
		if (strcmp(s->items[i].key, "candidate") == 0)
			json_array_append_new(found, json_string(s->items[i].text));
	json_object_set_new(c->answer, "candidates", found);
}

static enum cm_err
ask_here(struct cm_cli *c, struct cm_account **account)
{
	struct cm_host *host = NULL;
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;
	enum cm_err err;

	if ((err = cm_cli_open_host(c, CM_NEED_RULES | CM_NEED_DIRECTORY, &host)) != CM_OK)
		goto out;
	if ((err = cm_cli_read_certificate(c, CM_CARD_LOOK, &card, &cert)) != CM_OK)
		goto out;
	cm_cli_set(c->answer, "certificate", cm_cert_subject_text(cert));
	err = find_account(c, host, cert, account);
out:
	cm_cert_free(&cert);
	cm_card_close(&card);
	cm_host_close(&host);
	return err;
}

int
cm_cli_whois(struct cm_cli *c)
{
	struct cm_cli_question q = { .method = "io.cardmap.Whois", .purpose = CM_CARD_LOOK };
	struct cm_wire *service = NULL;
	enum cm_err err = cm_cli_service_start(c, CM_CLI_RESOLVER, &service);

	if (service != NULL)
		err = cm_cli_service_question(c, service, &q);
	else if (err == CM_OK)
		err = ask_here(c, &q.account);
	if (err == CM_ERR_AMBIGUOUS)
		set_candidates(c);
	if (err == CM_OK && q.account != NULL) {
		cm_cli_set_account(c->answer, q.account);
		cm_cli_account(c, q.account);
	}
	if (c->verbose || c->json)
		cm_cli_trace(c);
	json_decref(q.explanation);
	cm_account_free(&q.account);
	cm_wire_free(&service);
	return cm_cli_finish(c, err);
}
