/* cli/pair_own.c - a card paired with one's own account, which the service does; and whether users may. */
#include <errno.h>
#include <unistd.h>

#include "cli/service.h"
#include "service/mark.h"

/* ---- pair, without USER */

static enum cm_err
give(struct cm_cli *c, struct cardmap_login *l, const struct cm_secret *pin, const struct cm_secret *password)
{
	const struct cm_blob p = pin != NULL ? cm_secret_bytes(pin) : (struct cm_blob){ NULL, 0 }, w = cm_secret_bytes(password);
	const int result = cardmap_pair(l, (const char *)p.ptr, p.len, (const char *)w.ptr, w.len, c->last_try);

	if (result == -EINVAL)
		return cm_trace_fail(c->trace, CM_REASON_PIN_FORM, "what was typed can be no PIN, or no password");
	/* -EAGAIN: meanwhile it is asked for no more; the next state says why */
	return result == 0 || result == -EAGAIN ? CM_OK : cm_cli_login_failed(c, l, result);
}

/* As for a login: one PIN for one call. */
static enum cm_err
answer(struct cm_cli *c, struct cardmap_login *l, bool *asked)
{
	const int tries = cardmap_tries(l);
	const bool pad = cardmap_has_pad(l) && c->pin_fd < 0;
	struct cm_secret *pin = NULL, *password = NULL;
	struct cm_buf prompt = { 0 };
	enum cm_err err = CM_OK;

	if (*asked && cardmap_reason(l) != NULL)
		return cm_cli_login_refused(c, l);
	*asked = true;
	if (cardmap_is_last_try(l) && !c->last_try)
		return cm_trace_fail(c->trace, CM_REASON_PIN_LAST_TRY, "one PIN try is left on the card");
	if (pad)
		fputs("cardmap: type the PIN at the reader, after the password\n", stderr);
	else
		err = cm_cli_ask_pin(c, cardmap_name(l) != NULL ? cardmap_name(l) : "this card", tries >= 0 ? (unsigned)tries :
		    CM_TRIES_UNKNOWN, &pin);
	cm_buf_addf(&prompt, "Password of %s on this computer: ", cardmap_user(l) != NULL ? cardmap_user(l) : "your account");
	if (err == CM_OK)
		err = cm_cli_ask_secret(c, cm_buf_str(&prompt), &password);
	if (err == CM_OK)
		err = give(c, l, pin, password);
	cm_buf_free(&prompt);
	cm_secret_free(&pin);
	cm_secret_free(&password);
	return err;
}

static void
tell(struct cm_cli *c, const struct cardmap_login *l)
{
	cm_cli_set(c->answer, "user", cardmap_grant_user(l));
	cm_cli_line(c, "paired", "with your account %s (uid %u)", cardmap_grant_user(l), (unsigned)cardmap_grant_uid(l));
}

static enum cm_err
follow(struct cm_cli *c, struct cardmap_login *l)
{
	enum cardmap_state state, before = CARDMAP_WORKING;
	bool asked = false;
	enum cm_err err = CM_OK;
	int result = 0;

	while (err == CM_OK && (result = cardmap_next(l, -1, &state)) == 0) {
		if (state == CARDMAP_REFUSED)
			return cm_cli_login_refused(c, l);
		if (state == CARDMAP_GRANTED) {
			tell(c, l);
			return CM_OK;
		}
		if (state == CARDMAP_CARD && before != CARDMAP_CARD && !c->json)
			fputs("cardmap: put the card into the reader\n", stderr);
		else if (state == CARDMAP_PIN)
			err = answer(c, l, &asked);
		before = state;
	}
	return err != CM_OK ? err : cm_cli_login_failed(c, l, result);
}

enum cm_err
cm_cli_pair_own(struct cm_cli *c, const char *reader)
{
	struct cardmap_request r = { .purpose = "pair", .reader = reader };
	struct cardmap_login *l = NULL;
	enum cm_err err;

	if (geteuid() == 0)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "name the USER whose card it is to be: no card opens root");
	cm_secret_harden_process();
	if ((err = cm_cli_login_begin(c, &r, &l)) == CM_OK)
		err = follow(c, l);
	cardmap_free(l);
	return err;
}

/* ---- pairing-ui */

static const char *
state_of(const struct cm_conf *conf)
{
	if (!cm_mark_is_on(conf, CM_MARK_PAIRING_UI))
		return "off";
	if (!conf->accounts.user_pairing)
		return "on, without effect: accounts.user_pairing = no";
	return conf->mapper.selector != NULL ? "on, without effect: mapper.selector keeps the pairings" : "on";
}

int
cm_cli_pairing_ui(struct cm_cli *c)
{
	const char *what = c->arg_count > 0 ? c->args[0] : "status";
	const bool on = strcmp(what, "on") == 0, off = strcmp(what, "off") == 0;
	enum cm_err err = CM_OK;

	if (!on && !off && strcmp(what, "status") != 0)
		err = cm_trace_fail(c->trace, CM_REASON_USAGE, "usage: cardmap pairing-ui [on | off | status]");
	else if (on || off)
		err = cm_mark_switch(c->conf, CM_MARK_PAIRING_UI, on, c->trace);
	if (err == CM_OK) {
		json_object_set_new(c->answer, "pairing_ui", json_boolean(strcmp(state_of(c->conf), "on") == 0));
		cm_cli_line(c, "pairing ui", "%s", state_of(c->conf));
	}
	return cm_cli_finish(c, err);
}
