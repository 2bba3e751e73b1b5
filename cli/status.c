/* cli/status.c - what the service does, and what it decided: status, log. */
#include <inttypes.h>

#include "cli/service.h"

#define ASK_MS	10000

static const char *
text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "";
}

static json_int_t
number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* ---- log */

/* As the log has it: its parts behind the text, those that are known. */
static void
tell_entry(const struct cm_cli *c, const char *key, const json_t *e)
{
	static const struct { const char *key, *word; } parts[] = {
		{ "text", "" }, { "service", "service " }, { "rhost", "from " }, { "tty", "at " }, { "reader", "reader " }, { "serial", "serial " },
		{ "stages", "stages " },
	};
	const char *between = ": ";
	char when[CM_TIME_SIZE];
	struct cm_buf line = { 0 };

	cm_buf_addf(&line, "%s %s %s", cm_clock_text((time_t)number_of(e, "time"), when), text_of(e, "event"), text_of(e, "result"));
	if (text_of(e, "reason")[0] != '\0')
		cm_buf_addf(&line, " reason=%s", text_of(e, "reason"));
	for (size_t i = 0; i < CM_COUNT(parts); i++) {
		const char *text = text_of(e, parts[i].key);

		if (text[0] == '\0')
			continue;
		cm_buf_addf(&line, "%s%s%s", between, parts[i].word, text);
		between = "; ";
	}
	if (key != NULL)
		cm_cli_line(c, key, "%s", cm_buf_str(&line));
	else
		cm_cli_text(c, cm_buf_str(&line));
	cm_buf_free(&line);
}

/* A person reads lines; a program, with --follow, one object a line as it comes. */
static enum cm_err
see_entry(struct cm_cli *c, const json_t *parameters, bool *enough)
{
	json_t *entry = json_object_get(parameters, "entry");

	if (!json_is_object(entry))
		*enough = !c->follow;	/* the mark behind those there were */
	else if (c->json && !c->follow)
		json_array_append(json_object_get(c->answer, "entries"), entry);
	else if (c->json && json_dumpf(entry, stdout, JSON_COMPACT) == 0)
		putchar('\n');
	else
		tell_entry(c, NULL, entry);
	return fflush(stdout) == 0 ? CM_OK : cm_trace_fail(c->trace, CM_REASON_SYSTEM, "the answer could not be written");
}

int
cm_cli_log(struct cm_cli *c)
{
	struct cm_wire *service = NULL;
	enum cm_err err = cm_cli_service_need(c, CM_CLI_DAEMON, &service);

	json_object_set_new(c->answer, "entries", json_array());
	if (err == CM_OK)
		err = cm_cli_service_ask_more(c, service, "io.cardmap.Log", json_pack("{s:i}", "last", (int)c->last), see_entry);
	cm_wire_free(&service);
	return cm_cli_finish(c, err);
}

/* ---- status */

static void
tell_processes(const struct cm_cli *c, const json_t *list)
{
	char up[CM_TIME_SIZE];
	json_t *p;
	size_t i;

	json_array_foreach(list, i, p) {
		const json_int_t restarts = number_of(p, "restarts");

		cm_cli_line(c, text_of(p, "kind"), restarts > 0 ? "pid %" JSON_INTEGER_FORMAT ", for %s, restarts: %"
		    JSON_INTEGER_FORMAT " (the system's log says why)" : "pid %" JSON_INTEGER_FORMAT ", for %s", number_of(p, "pid"),
		    cm_clock_age(number_of(p, "seconds"), up), restarts);
	}
}

static void
tell_cards(const struct cm_cli *c, const json_t *list)
{
	json_t *card;
	size_t i;

	json_array_foreach(list, i, card) {
		const char *user = text_of(card, "user");

		if (!json_is_true(json_object_get(card, "present")))
			cm_cli_line(c, "reader", "%s: no card", text_of(card, "reader"));
		else
			cm_cli_line(c, "reader", "%s: %s%s%s", text_of(card, "reader"), text_of(card, "state"),
			    user[0] != '\0' ? ", card of " : "", user);
	}
}

/* Lists of texts, and what a line of each is called. */
static const struct { const char *key, *word; } lists[] = {
	{ "directory", "directory" }, { "directory_connections", "  connections" }, { "directory_searches", "  searches" },
	{ "silent", "silent" }, { "kdc", "silent" }, { "responders", "silent" },
};

static void
tell_servers(const struct cm_cli *c, const json_t *s)
{
	json_t *one;
	size_t i;

	if (json_is_false(json_object_get(s, "resolver")))
		cm_cli_line(c, "resolver", "does not answer");
	for (size_t k = 0; k < CM_COUNT(lists); k++)
		json_array_foreach(json_object_get(s, lists[k].key), i, one)
			cm_cli_line(c, lists[k].word, "%s", json_is_string(one) ? json_string_value(one) : "");
}

static void
tell_status(const struct cm_cli *c, const json_t *s)
{
	const char *host = text_of(s, "host_principal");
	const json_t *last = json_object_get(s, "last");
	json_t *one;
	size_t i;

	cm_cli_line(c, "version", "%s", text_of(s, "version"));
	tell_processes(c, json_object_get(s, "processes"));
	cm_cli_line(c, "connections", "%" JSON_INTEGER_FORMAT " of callers", number_of(s, "connections"));
	cm_cli_line(c, "keytab", "%s", host[0] != '\0' ? host : "none: tickets prove nothing here");
	tell_servers(c, s);
	tell_cards(c, json_object_get(s, "cards"));
	json_array_foreach(json_object_get(s, "sessions"), i, one)
		cm_cli_line(c, "session", "%s of %s, by the card in %s%s", text_of(one, "session"), text_of(one, "user"),
		    text_of(one, "reader"), json_is_true(json_object_get(one, "away")) ? ", which was taken out" : "");
	json_array_foreach(last, i, one)
		tell_entry(c, "last", one);
}

int
cm_cli_status_of_service(struct cm_cli *c)
{
	struct cm_wire *service = NULL;
	json_t *reply = NULL;
	enum cm_err err = cm_cli_service_need(c, CM_CLI_DAEMON, &service);

	if (err == CM_OK)
		err = cm_cli_service_ask(c, service, "io.cardmap.Status", NULL, ASK_MS, &reply);
	if (err == CM_OK) {
		json_object_update(c->answer, json_object_get(reply, "status"));
		tell_status(c, json_object_get(reply, "status"));
	}
	json_decref(reply);
	cm_wire_free(&service);
	return cm_cli_finish(c, err);
}
