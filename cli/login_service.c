/* cli/login_service.c - a login by the service: what it asks for is asked here, and what it decided is told. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/service.h"
#include "client/cardmap.h"

/* What the client library returns is an errno value. */
enum cm_err
cm_cli_login_failed(struct cm_cli *c, struct cardmap_login *l, int result)
{
	const char *text = l != NULL ? cardmap_text(l) : NULL;

	if (result == -EACCES)
		return cm_trace_fail(c->trace, CM_REASON_NOT_HERE, "%s", text != NULL ? text : cardmap_error(result));
	return cm_trace_fail(c->trace, result == -ENOMEM ? CM_REASON_SYSTEM : CM_REASON_NO_SERVICE, "%s: %s",
	    c->run_dir, cardmap_error(result));
}

/* The reason by its name, as the service has it. */
enum cm_err
cm_cli_login_refused(struct cm_cli *c, const struct cardmap_login *l)
{
	const char *name = cardmap_reason(l), *text = cardmap_text(l);
	const enum cm_reason r = cm_reason_named(name);

	if (r != CM_REASON_NONE)
		return cm_trace_fail(c->trace, r, "%s", text != NULL ? text : "");
	return cm_trace_fail(c->trace, CM_REASON_SYSTEM, "%s (%s)", text != NULL ? text : "refused", name != NULL ? name : "no reason");
}

static void
say(const struct cm_cli *c, const struct cardmap_login *l, const char *what)
{
	if (!c->json)
		fprintf(stderr, "cardmap: %s%s%s\n", what, cardmap_text(l) != NULL ? ": " : "", cardmap_text(l) != NULL ? cardmap_text(l) : "");
}

static bool
was_wrong(const struct cardmap_login *l)
{
	return cm_reason_named(cardmap_reason(l)) == CM_REASON_PIN_WRONG;
}

/*
 * One PIN for one call, as alone: after a wrong one it is refused, and says how
 * many are left.  A card that was taken out and put in wants it again: the one
 * typed before went to nobody.
 */
static enum cm_err
answer_pin(struct cm_cli *c, struct cardmap_login *l, bool *asked)
{
	const int tries = cardmap_tries(l);
	const char *whose = cardmap_name(l) != NULL ? cardmap_name(l) : cardmap_user(l);
	struct cm_secret *pin = NULL;
	struct cm_blob text;
	enum cm_err err;
	int result;

	if (tries >= 0)
		json_object_set_new(c->answer, "tries_left", json_integer(tries));
	if (*asked && was_wrong(l))
		return cm_cli_login_refused(c, l);
	*asked = true;
	if (cardmap_is_last_try(l) && !c->last_try)
		return cm_trace_fail(c->trace, CM_REASON_PIN_LAST_TRY, "one PIN try is left on the card");
	if (cardmap_has_pad(l) && c->pin_fd < 0) {
		say(c, l, "type the PIN at the reader");
		result = cardmap_pin_at_reader(l, c->last_try);
		return result == 0 || result == -EAGAIN ? CM_OK : cm_cli_login_failed(c, l, result);
	}
	if ((err = cm_cli_ask_pin(c, whose != NULL ? whose : "this card", tries >= 0 ? (unsigned)tries : CM_TRIES_UNKNOWN, &pin)) != CM_OK)
		return err;
	text = cm_secret_bytes(pin);
	result = cardmap_pin(l, (const char *)text.ptr, text.len, c->last_try);
	cm_secret_free(&pin);
	if (result == -EINVAL)
		return cm_trace_fail(c->trace, CM_REASON_PIN_FORM, "what was typed cannot be a PIN");
	/* -EAGAIN: meanwhile it is asked for no more; the next state says why */
	return result == 0 || result == -EAGAIN ? CM_OK : cm_cli_login_failed(c, l, result);
}

/* Several accounts, or certificates: whose name is given chooses, else the terminal is asked. */
static enum cm_err
answer_choice(struct cm_cli *c, struct cardmap_login *l)
{
	const char *id, *text, *chosen = NULL;
	char line[32] = "";
	long number;
	int result;

	if (!isatty(STDIN_FILENO))
		return cm_trace_fail(c->trace, CM_REASON_SEVERAL_ACCOUNTS, "there is more than one to choose from: name the user");
	for (unsigned i = 0; (text = cardmap_choice(l, i, &id)) != NULL; i++)
		fprintf(stderr, "%u  %s\n", i + 1, text);
	fputs("Which? ", stderr);
	if (fgets(line, sizeof(line), stdin) == NULL || (number = strtol(line, NULL, 10)) < 1 || number > 1000 ||
	    cardmap_choice(l, (unsigned)number - 1, &chosen) == NULL)
		return cm_trace_fail(c->trace, CM_REASON_SEVERAL_ACCOUNTS, "none of them was chosen");
	result = cardmap_choose(l, chosen);
	return result == 0 || result == -EAGAIN ? CM_OK : cm_cli_login_failed(c, l, result);
}

static void
tell_grant(struct cm_cli *c, const struct cardmap_login *l)
{
	const long long age = cardmap_grant_kept_age(l);
	const char *ccache = cardmap_grant_ccache(l), *warning;
	json_t *o = json_object(), *warnings = json_array();
	char text[CM_TIME_SIZE];

	cm_cli_set(o, "name", cardmap_grant_user(l));
	json_object_set_new(o, "uid", json_integer(cardmap_grant_uid(l)));
	json_object_set_new(o, "gid", json_integer(cardmap_grant_gid(l)));
	cm_cli_set(o, "home", cardmap_grant_home(l));
	cm_cli_set(o, "shell", cardmap_grant_shell(l));
	json_object_set_new(c->answer, "account", o);
	json_object_set_new(c->answer, "offline", json_boolean(age >= 0));
	cm_cli_line(c, "account", "%s", cardmap_grant_user(l));
	cm_cli_line(c, "uid, gid", "%u, %u", cardmap_grant_uid(l), cardmap_grant_gid(l));
	cm_cli_line(c, "home, shell", "%s, %s", cardmap_grant_home(l), cardmap_grant_shell(l));
	if (age >= 0) {
		json_object_set_new(c->answer, "kept_age", json_integer(age));
		cm_cli_line(c, "directory", "offline: account as kept %s ago", cm_clock_age(age, text));
	} else {
		cm_cli_line(c, "directory", "online");
	}
	if (ccache != NULL) {
		cm_cli_set(c->answer, "ccache", ccache);
		cm_cli_line(c, "KRB5CCNAME", "%s", ccache);
	}
	for (unsigned i = 0; (warning = cardmap_grant_warning(l, i)) != NULL; i++) {
		json_array_append_new(warnings, json_string(warning));
		if (!c->json)
			fprintf(stderr, "cardmap: %s\n", warning);
	}
	json_object_set_new(c->answer, "warnings", warnings);
}

/* State after state, until it ends. */
static enum cm_err
follow(struct cm_cli *c, struct cardmap_login *l)
{
	enum cardmap_state state, before = CARDMAP_WORKING;
	bool asked = false;
	enum cm_err err = CM_OK;
	int result;

	while (err == CM_OK && (result = cardmap_next(l, -1, &state)) == 0) {
		if (state == CARDMAP_REFUSED)
			return cm_cli_login_refused(c, l);
		if (state == CARDMAP_GRANTED) {
			tell_grant(c, l);
			return CM_OK;
		}
		if (state == CARDMAP_CARD && before != CARDMAP_CARD)
			say(c, l, "put the card into the reader");
		else if (state == CARDMAP_CHOOSE)
			err = answer_choice(c, l);
		else if (state == CARDMAP_PIN)
			err = answer_pin(c, l, &asked);
		before = state;
	}
	return err != CM_OK ? err : cm_cli_login_failed(c, l, result);
}

enum cm_err
cm_cli_login_begin(struct cm_cli *c, struct cardmap_request *r, struct cardmap_login **out)
{
	static const char prefix[] = "reader:";
	const char *source = c->conf->card.source;
	int result;

	r->size = sizeof(*r);
	r->service = "cardmap";
	if (r->reader == NULL && strncmp(source, prefix, strlen(prefix)) == 0)
		r->reader = source + strlen(prefix);
	else if (r->reader == NULL && strcmp(source, "reader") != 0)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "%s: the service reads cards in readers; --no-service reads others", source);
	result = strcmp(c->run_dir, CM_CLI_RUN_DIR) == 0 ? cardmap_begin(r, out) : cardmap_begin_at(c->run_dir, r, out);
	return result == 0 ? CM_OK : cm_cli_login_failed(c, *out, result);
}

enum cm_err
cm_cli_login_by_service(struct cm_cli *c)
{
	struct cardmap_request r = { .user = c->args[0], .purpose = c->refresh ? "refresh" : NULL };
	struct cardmap_login *l = NULL;
	enum cm_err err = cm_cli_login_begin(c, &r, &l);

	if (err == CM_OK)
		err = follow(c, l);
	cardmap_free(l);
	return err;
}
