/* cli/enforcement.c - who must use a card: why, and root's word that somebody need not, once. */
#include "base/log.h"
#include "cache/skip.h"
#include "cli/service.h"

#define ASK_MS		30000

/* ---- skip-once USER */

static enum cm_err
skip_by_service(struct cm_cli *c, struct cm_wire *w, const char *user, struct cm_skip *m)
{
	json_t *reply = NULL, *result;
	enum cm_err err = cm_cli_service_ask(c, w, "io.cardmap.Enforcement",
	    json_pack("{s:s, s:s}", "action", "skip_once", "user", user), ASK_MS, &reply);

	if (err == CM_OK) {
		result = json_object_get(reply, "result");
		if (!cm_cli_read_time(result, "made", &m->made) || !cm_cli_read_time(result, "expires", &m->expires))
			err = cm_trace_fail(c->trace, CM_REASON_NO_SERVICE, "what the service in %s answers makes no sense: is it of "
			    "another version than this program?", c->run_dir);
	}
	json_decref(reply);
	return err;
}

static enum cm_err
skip_here(struct cm_cli *c, const char *user, struct cm_skip *m)
{
	struct cm_host *host = NULL;
	enum cm_err err = cm_pair_check_root(c->trace);

	if (err == CM_OK && (err = cm_host_open(c->conf, CM_NEED_ACCOUNTS, c->trace, &host)) == CM_OK)
		err = cm_skip_make(host->accounts, user, cm_clock_now(), c->trace, m);
	if (err == CM_OK)
		cm_log_event((enum cm_log_target)c->conf->service.log, "skip-once", CM_OK, CM_REASON_NONE,
		    "%s may log in once without a card", user);
	cm_host_close(&host);
	return err;
}

static enum cm_err
skip_once(struct cm_cli *c)
{
	struct cm_skip m = { .made = 0 };
	struct cm_wire *service = NULL;
	char until[CM_TIME_SIZE];
	enum cm_err err = cm_cli_service_start(c, CM_CLI_DAEMON, &service);

	if (err == CM_OK)
		err = service != NULL ? skip_by_service(c, service, c->args[1], &m) : skip_here(c, c->args[1], &m);
	cm_wire_free(&service);
	if (err != CM_OK)
		return err;
	cm_cli_set(c->answer, "user", c->args[1]);
	cm_cli_set_time(c->answer, "made", m.made);
	cm_cli_set_time(c->answer, "expires", m.expires);
	cm_cli_line(c, "skip once", "%s may log in once without a card, until %s", c->args[1], cm_clock_text(m.expires, until));
	return CM_OK;
}

/* ---- all of them */

static const struct action {
	const char *name;
	int args;	/* behind the name */
	bool all;
	enum cm_err (*run)(struct cm_cli *c);
} actions[] = {
	{ "explain", 1, false, cm_cli_explain_enforcement },
	{ "explain", 0, true, cm_cli_explain_all },
	{ "skip-once", 1, false, skip_once },
};

int
cm_cli_enforcement(struct cm_cli *c)
{
	for (size_t i = 0; i < CM_COUNT(actions); i++)
		if (strcmp(actions[i].name, c->args[0]) == 0 && c->all == actions[i].all && c->arg_count == 1 + actions[i].args && (actions[i].args == 0 || c->args[1][0] != '\0'))
			return cm_cli_finish(c, actions[i].run(c));
	return cm_cli_finish(c, cm_trace_fail(c->trace, CM_REASON_USAGE, "usage: cardmap enforcement explain USER | explain --all | skip-once USER"));
}
