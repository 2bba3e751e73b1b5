/* cli/enforcement_explain.c - why somebody must use a card, or need not: by the service, or here. */
#include <stdlib.h>
#include <string.h>

#include "cli/service.h"
#include "service/enforcement_explain.h"

#define ASK_MS	70000	/* more than directory.timeout may be */
#define SHOWN	80
#define NAME_MOST	255	/* octets of a user's name */
#define SUPPOSED_MOST	4096	/* of all that is supposed: a request to the service has twice as many */

/* ---- what is supposed */

/* KEY=VALUE of each --what-if. */
static enum cm_err
read_suppositions(struct cm_cli *c, json_t **out)
{
	size_t all = 0;

	*out = json_object();
	for (size_t i = 0; i < c->what_if_count; i++) {
		const char *text = c->what_if[i], *value = strchr(text, '=');
		struct cm_buf key = { 0 };

		if (value == NULL || value == text)
			return cm_trace_fail(c->trace, CM_REASON_USAGE, "--what-if %s: expected KEY=VALUE", text);
		if ((all += strlen(text)) > SUPPOSED_MOST)
			return cm_trace_fail(c->trace, CM_REASON_USAGE, "--what-if %.*s...: too long: expected at most %d octets in all", SHOWN, text,
			    SUPPOSED_MOST);
		cm_buf_add(&key, text, (size_t)(value - text));
		cm_cli_set(*out, cm_buf_str(&key), value + 1);
		cm_buf_free(&key);
	}
	return CM_OK;
}

/* ---- asked */

static enum cm_err
by_service(struct cm_cli *c, struct cm_wire *w, const json_t *what_if, json_t **told)
{
	json_t *reply = NULL;
	enum cm_err err = cm_cli_service_ask(c, w, "io.cardmap.Enforcement", json_pack("{s:s, s:s, s:{s:O}}", "action", "explain",
	    "user", c->args[1], "parameters", "what_if", what_if), ASK_MS, &reply);

	if (err == CM_OK && !json_is_array(json_object_get(json_object_get(reply, "result"), "steps")))
		err = cm_trace_fail(c->trace, CM_REASON_NO_SERVICE, "what the service in %s answers makes no sense: is it of another "
		    "version than this program?", c->run_dir);
	if (err == CM_OK)
		*told = json_incref(json_object_get(reply, "result"));
	json_decref(reply);
	return err;
}

static enum cm_err
ask_directory(void *arg, const char *user, const char *group, struct cm_trace *t, struct cm_facts *said)
{
	const struct cm_host *host = arg;
	const struct cm_enforcement_asking a = { .host = host, .directory = host->directory, .user = user, .group = group,
		.deadline = cm_deadline_in(host->conf->directory.timeout) };
	struct cm_account *account = NULL;
	const enum cm_err err = cm_enforcement_ask(&a, t, &account, said);

	cm_account_free(&account);
	return err;
}

static enum cm_err
here(struct cm_cli *c, const json_t *what_if, json_t **told)
{
	struct cm_host *host = NULL;
	struct cm_enforcement_explaining x = { .conf = c->conf, .user = c->args[1], .what_if = what_if, .ask = ask_directory };
	const unsigned needs = CM_NEED_RULES | (cm_enforcement_wants_directory(c->conf, c->args[1]) ? CM_NEED_DIRECTORY : 0);
	enum cm_err err = cm_cli_open_host(c, needs | CM_LOOKS_ONLY, &host);

	if (err == CM_OK) {
		x.store = host->accounts;
		x.arg = host;
		err = cm_enforcement_explain(&x, c->trace, told);
	}
	/* A kept account and a pairing are cards that belong to somebody. */
	if (err == CM_OK && c->store_unread)
		cm_cli_set(*told, "without", "what is kept could not be read: run it as root");
	cm_host_close(&host);
	return err;
}

/* ---- told */

static void
tell_steps(const struct cm_cli *c, const json_t *told)
{
	const char *decided = json_string_value(json_object_get(told, "decided"));
	json_t *step;
	size_t i;

	json_array_foreach(json_object_get(told, "steps"), i, step) {
		const char *name = json_string_value(json_object_get(step, "step")), *value = json_string_value(json_object_get(step, "value"));
		const bool here = name != NULL && decided != NULL && strcmp(name, decided) == 0;
		const json_int_t number = json_integer_value(json_object_get(step, "number"));

		if (number == 0)
			cm_cli_line(c, name != NULL ? name : "", "%s%s", value != NULL ? value : "", here ? "  <- decides" : "");
		else
			cm_cli_line(c, name != NULL ? name : "", "%d. %s%s", (int)number, value != NULL ? value : "", here ? "  <- decides" : "");
	}
}

static const char *
outcome(const json_t *told)
{
	return json_is_true(json_object_get(told, "card_required")) ? "must use a card" : "may use a password";
}

static void
tell(const struct cm_cli *c, const json_t *told)
{
	const json_t *before = json_object_get(told, "before");
	const char *kept = json_string_value(json_object_get(told, "kept")), *offline = json_string_value(json_object_get(told, "offline")),
	    *skip = json_string_value(json_object_get(told, "skip_once")), *made = json_string_value(json_object_get(told, "skip_once_made")),
	    *without = json_string_value(json_object_get(told, "without"));

	if (without != NULL)
		cm_cli_line(c, "without", "%s", without);
	cm_cli_line(c, "outcome", "%s %s%s", c->args[1], before != NULL ? "then " : "", outcome(told));
	if (before != NULL)
		cm_cli_line(c, "now", "%s %s", c->args[1], outcome(before));
	if (offline != NULL)
		cm_cli_line(c, "offline", "%s", offline);
	if (kept != NULL)
		cm_cli_line(c, "as kept", "since %s", kept);
	tell_steps(c, told);
	if (skip != NULL)
		cm_cli_line(c, "skip once", "root lets %s in once without a card: said at %s, holds until %s", c->args[1], made != NULL ? made : "?",
		    skip);
}

enum cm_err
cm_cli_explain_enforcement(struct cm_cli *c)
{
	struct cm_wire *service = NULL;
	json_t *what_if = NULL, *told = NULL;
	enum cm_err err = read_suppositions(c, &what_if);

	if (err == CM_OK && strlen(c->args[1]) > NAME_MOST)
		err = cm_trace_fail(c->trace, CM_REASON_USAGE, "%.*s...: too long: expected a user's name of at most %d octets", SHOWN, c->args[1],
		    NAME_MOST);
	if (err == CM_OK && (err = cm_cli_service_start(c, CM_CLI_DAEMON, &service)) == CM_OK)
		err = service != NULL ? by_service(c, service, what_if, &told) : here(c, what_if, &told);
	if (err == CM_OK) {
		json_object_update(c->answer, told);
		tell(c, told);
	}
	json_decref(told);
	json_decref(what_if);
	cm_wire_free(&service);
	return err;
}
