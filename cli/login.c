/* cli/login.c - a login in this process, with what it opened and what was kept. */
#include <unistd.h>

#include "cli/service.h"
#include "service/login_here.h"

static enum cm_err
ask_and_finish(struct cm_cli *c, struct cm_login *l)
{
	struct cm_secret *secret = NULL;
	enum cm_err err;

	if (l->pad && c->pin_fd < 0) {
		if (!c->json)
			fputs("cardmap: type the PIN at the reader\n", stderr);
		return cm_login_finish(l, &(struct cm_pin){ .fd = -1, .pad = true, .last_try = c->last_try });
	}
	if ((err = cm_cli_ask_pin(c, l->account->name, l->tries_left, &secret)) == CM_OK)
		err = cm_login_finish(l, &(struct cm_pin){ .secret = secret, .fd = -1, .last_try = c->last_try });
	cm_secret_free(&secret);
	return err;
}

/* The piece of evidence about this certificate, the first in the chain, that a person wants to know. */
static void
tell_evidence(const struct cm_cli *c, const struct cm_login *l)
{
	size_t count = 0;
	const struct cm_verdict *v = cm_login_here_verdict(l);
	const struct cm_evidence *e = cm_verdict_evidence(v, &count);
	char age[CM_TIME_SIZE], until[CM_TIME_SIZE];

	if (cm_verdict_status(v) != CM_STATUS_GOOD || count == 0) {
		cm_cli_line(c, "evidence", "none about revocation");
		return;
	}
	cm_clock_age(cm_clock_now() - e->learned, age);
	cm_cli_line(c, "evidence", "not revoked, learned %s ago from %s, good until %s", age,
	    e->source, cm_cli_end(e->next_update, until));
	cm_cli_set(c->answer, "evidence_source", e->source);
	json_object_set_new(c->answer, "evidence_age", json_integer(cm_clock_now() - e->learned));
}

static void
tell_network(const struct cm_cli *c, const struct cm_login *l)
{
	char age[CM_TIME_SIZE];

	json_object_set_new(c->answer, "offline", json_boolean(l->account_kept));
	if (!l->account_kept) {
		cm_cli_line(c, "directory", "online");
		return;
	}
	json_object_set_new(c->answer, "kept_age", json_integer(l->kept_age));
	cm_cli_line(c, "directory", "offline: account as kept %s ago", cm_clock_age(l->kept_age, age));
}

static void
tell_ticket(const struct cm_cli *c, const struct cm_login *l)
{
	const struct cm_ticket *ticket = cm_login_here_ticket(l);
	char until[CM_TIME_SIZE];

	if (ticket == NULL) {
		cm_cli_line(c, "ticket", "none%s", l->kdc_silent ? ": no KDC answered" : "");
		return;
	}
	cm_cli_line(c, "ticket", "%s until %s", cm_ticket_principal(ticket),
	    cm_clock_text(cm_ticket_expires(ticket), until));
	cm_cli_set(c->answer, "principal", cm_ticket_principal(ticket));
	if (l->ccache != NULL) {
		cm_cli_line(c, "KRB5CCNAME", "%s", l->ccache);
		cm_cli_set(c->answer, "ccache", l->ccache);
	}
}

static void
tell_kept(const struct cm_cli *c, const struct cm_login *l)
{
	const char *kept = "account, mapping, certificate, chain and evidence, for use with no network";

	if (!l->remembered)
		kept = "nothing of this login: see the warning under --verbose";
	else if (l->account->local)
		kept = "evidence; the account is this computer's own";
	else if (l->account_kept)
		kept = "what was kept before stays";
	json_object_set_new(c->answer, "kept", json_boolean(l->remembered));
	cm_cli_line(c, "kept", "%s", kept);
}

static void
tell_cost(struct cm_cli *c, const struct cm_login *l)
{
	const struct cm_card_stats s = cm_card_stats(cm_login_here_card(l));
	json_t *o = json_object();

	json_object_set_new(o, "commands", json_integer(s.commands));
	json_object_set_new(o, "sent", json_integer((json_int_t)s.sent));
	json_object_set_new(o, "received", json_integer((json_int_t)s.received));
	json_object_set_new(o, "verifies", json_integer(s.verifies));
	json_object_set_new(o, "key_operations", json_integer(s.key_operations));
	json_object_set_new(c->answer, "card", o);
	if (s.commands > 0)
		cm_cli_line(c, "card", "%u commands, %u PIN, %u key operation%s", s.commands,
		    s.verifies, s.key_operations, s.key_operations == 1 ? "" : "s");
}

static enum cm_err
login_here(struct cm_cli *c)
{
	struct cm_login l = { .work = &cm_login_here, .trace = c->trace, .user = c->args[0], .for_ticket = c->refresh };
	struct cm_host *host = NULL;
	enum cm_err err;

	cm_trace_begin(c->trace, "start");
	err = cm_host_open(c->conf, CM_NEED_LOGIN, c->trace, &host);
	cm_trace_end(c->trace, err);
	l.host = host;
	if (err == CM_OK)
		err = cm_login_prepare(&l);
	if (err == CM_OK && c->refresh && l.account->uid != getuid())
		err = cm_trace_fail(c->trace, CM_REASON_NOT_HERE, "the card opens %s, and --refresh is for the caller's own account",
		    l.account->name);
	if (err == CM_OK)
		err = ask_and_finish(c, &l);
	if (err == CM_OK) {
		cm_cli_set_account(c->answer, cm_grant_account(l.grant));
		cm_cli_account(c, cm_grant_account(l.grant));
		tell_network(c, &l);
		tell_evidence(c, &l);
		tell_ticket(c, &l);
		tell_kept(c, &l);
	}
	if (cm_login_here_card(&l) != NULL) {
		tell_cost(c, &l);
		if (l.tries_left != CM_TRIES_UNKNOWN)
			json_object_set_new(c->answer, "tries_left", json_integer(l.tries_left));
	}
	if (c->verbose || c->json)
		cm_cli_stages(c);
	cm_login_clear(&l);
	cm_host_close(&host);
	return err;
}

static enum cm_err
check_options(struct cm_cli *c)
{
	if (c->refresh && c->renew)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "say one of --refresh, with the card, and --renew, without");
	if (c->due && !c->renew)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "--due goes with --renew");
	if (c->renew && (c->arg_count > 0 || c->pin_fd >= 0 || c->last_try))
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "--renew is for the caller's own ticket, and takes no card and no PIN");
	if (c->refresh && getuid() == 0)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "--refresh is for the caller's own account, and no card opens root");
	return CM_OK;
}

/* Of this computer's own accounts a user has neither the keytab nor what is kept: a ticket by the system's configuration is the service's to get. */
static enum cm_err
find_service(struct cm_cli *c, struct cm_wire **out)
{
	enum cm_err err = cm_cli_service_start(c, CM_CLI_DAEMON, out);

	if (err == CM_OK && *out == NULL && c->refresh && !c->alone && !c->configured)
		err = cm_cli_service_need(c, CM_CLI_DAEMON, out);
	return err;
}

int
cm_cli_login(struct cm_cli *c)
{
	struct cm_wire *service = NULL;
	enum cm_err err;

	cm_secret_harden_process();
	if ((err = check_options(c)) != CM_OK || c->renew)
		return cm_cli_finish(c, err == CM_OK ? cm_cli_renew(c) : err);
	err = find_service(c, &service);
	if (service != NULL)
		err = cm_cli_login_by_service(c);
	else if (err == CM_OK)
		err = login_here(c);
	cm_wire_free(&service);
	return cm_cli_finish(c, err);
}
