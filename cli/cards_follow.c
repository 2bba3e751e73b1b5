/* cli/cards_follow.c - cards that come and go, as the service sees them. */
#include "cli/service.h"

static const char *
text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "";
}

static void
tell(const struct cm_cli *c, const char *event, const json_t *card)
{
	const char *user = text_of(card, "user");
	char when[CM_TIME_SIZE];
	struct cm_buf line = { 0 };

	cm_buf_addf(&line, "%s %s %s", cm_clock_text(cm_clock_now(), when), event, text_of(card, "reader"));
	if (json_is_true(json_object_get(card, "present")) && text_of(card, "state")[0] != '\0')
		cm_buf_addf(&line, ": %s", text_of(card, "state"));
	if (user[0] != '\0')
		cm_buf_addf(&line, ", card of %s", user);
	cm_cli_text(c, cm_buf_str(&line));
	cm_buf_free(&line);
}

/* The mark between those that are there and those that come has no card. */
static enum cm_err
see(struct cm_cli *c, const json_t *parameters, bool *enough)
{
	const json_t *card = json_object_get(parameters, "card");

	*enough = false;
	if (!json_is_object(card))
		return CM_OK;
	if (!c->json)
		tell(c, text_of(parameters, "event"), card);
	else if (json_dumpf(parameters, stdout, JSON_COMPACT) == 0)
		putchar('\n');
	return fflush(stdout) == 0 ? CM_OK : cm_trace_fail(c->trace, CM_REASON_SYSTEM, "the answer could not be written");
}

enum cm_err
cm_cli_follow_cards(struct cm_cli *c)
{
	struct cm_wire *service = NULL;
	enum cm_err err = cm_cli_service_need(c, CM_CLI_DAEMON, &service);

	if (err == CM_OK)
		err = cm_cli_service_ask_more(c, service, "io.cardmap.Cards", NULL, see);
	cm_wire_free(&service);
	return err;
}
