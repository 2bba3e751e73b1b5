/* cli/cards_log.c - cards log-next: what goes between a reader and the next card, written down once. */
#include "cli/cli.h"
#include "service/card_log.h"

enum cm_err
cm_cli_cards_log(struct cm_cli *c)
{
	const char *what = c->arg_count > 1 ? c->args[1] : "on";
	const bool on = strcmp(what, "on") == 0, off = strcmp(what, "off") == 0;
	struct cm_buf path = { 0 };
	enum cm_err err = CM_OK;

	if (strcmp(c->args[0], "log-next") != 0 || (!on && !off && strcmp(what, "status") != 0) || c->follow || c->export)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "usage: cardmap cards [status | --export [SLOT] | log-next [on|off|status]]");
	if (on || off)
		err = cm_card_log_switch(c->conf, on, c->trace);
	if (err != CM_OK)
		return err;
	cm_card_log_path(c->conf, &path);
	json_object_set_new(c->answer, "log_next", json_boolean(cm_card_log_is_on(c->conf)));
	cm_cli_set(c->answer, "path", cm_buf_str(&path));
	cm_cli_line(c, "log next", "%s", cm_card_log_is_on(c->conf) ? "on: of the next card that is put in" : "off");
	cm_cli_line(c, "written to", "%s", cm_buf_str(&path));
	cm_buf_free(&path);
	return CM_OK;
}
