/* pam/login.c - the purposes of a login and of its account phase: what is asked of people, and what a grant leads to. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pam/pam_internal.h"

#define LINE	256	/* octets of a prompt */

/* ---- a card */

static void
say_once(struct cm_pam *p, const char *text)
{
	if (p->said != NULL && strcmp(p->said, text) == 0)
		return;
	free(p->said);
	p->said = strdup(text);
	cm_pam_say(p, "%s", text);
}

int
cm_pam_await_card(struct cm_pam *p, struct cardmap_login *l)
{
	const char *reason = cardmap_reason(l), *why = cardmap_text(l);
	char line[LINE];

	if (reason != NULL && strcmp(reason, "no_card") == 0)
		why = NULL;	/* as the line says itself */
	if (!p->options.wait_for_card && cm_pam_fall_back(p, l, "no card is in") == PAM_IGNORE)
		return PAM_IGNORE;
	snprintf(line, sizeof(line), "Insert your card%s%s", why != NULL ? ": " : "", why != NULL ? why : "");
	say_once(p, line);
	return CM_PAM_GOES_ON;
}

/* A card is read so fast that nobody need be told; another login's prompt may stand for a minute. */
int
cm_pam_await_turn(struct cm_pam *p, const struct cardmap_login *l)
{
	const char *reason = cardmap_reason(l);

	if (reason != NULL && strcmp(reason, "busy") == 0)
		say_once(p, "Wait: another login uses the card");
	return CM_PAM_GOES_ON;
}

/* ---- a choice */

/* SIZE_MAX: not one of them. */
static size_t
read_number(const char *answer, size_t count)
{
	char *end;
	const unsigned long n = strtoul(answer, &end, 10);

	return answer[0] < '0' || answer[0] > '9' || *end != '\0' || n == 0 || n > count ? SIZE_MAX : n - 1;
}

static size_t
list_choices(struct cm_pam *p, const struct cardmap_login *l)
{
	size_t count = 0;

	for (const char *text; (text = cardmap_choice(l, (unsigned)count, NULL)) != NULL; count++) {
		/* Not with cm_pam_say(): who is to choose must see of what. */
		const struct cm_pam loud = { .h = p->h };

		cm_pam_say(&loud, "%zu  %s", count + 1, text);
	}
	return count;
}

int
cm_pam_choose(struct cm_pam *p, struct cardmap_login *l)
{
	const size_t count = list_choices(p, l);
	size_t chosen = SIZE_MAX;

	while (chosen == SIZE_MAX) {
		char *answer;
		const int code = cm_pam_ask(p, true, &answer, "Which one, 1 to %zu: ", count);

		if (code != PAM_SUCCESS)
			return code;
		if (answer[0] == '\0') {
			cm_pam_forget(&answer);
			return p->purpose->refused;
		}
		chosen = read_number(answer, count);
		cm_pam_forget(&answer);
	}
	const char *id = NULL;

	(void)cardmap_choice(l, (unsigned)chosen, &id);
	return cm_pam_handed_over(p, l, cardmap_choose(l, id));
}

/* ---- the PIN */

int
cm_pam_handed_over(struct cm_pam *p, const struct cardmap_login *l, int result)
{
	/* It was taken out, or the like, while a person was asked: the next state tells. */
	if (result == 0 || result == -EAGAIN)
		return CM_PAM_GOES_ON;
	if (result == -EINVAL) {
		cm_pam_complain(p, "That is no PIN");
		return p->purpose->refused;
	}
	return cm_pam_could_not_ask(p, l, result);
}

int
cm_pam_ask_last_try(struct cm_pam *p, const struct cardmap_login *l)
{
	char *answer;
	int code;

	if (!cardmap_is_last_try(l))
		return PAM_SUCCESS;
	if ((code = cm_pam_ask(p, true, &answer, "This is the card's last try: a wrong PIN blocks it. Use it? [y/N] ")) != PAM_SUCCESS)
		return code;
	code = strcmp(answer, "y") == 0 || strcmp(answer, "Y") == 0 || strcmp(answer, "yes") == 0 ? PAM_SUCCESS : PAM_AUTH_ERR;
	cm_pam_forget(&answer);
	return code;
}

static void
say_wrong(const struct cm_pam *p, const struct cardmap_login *l)
{
	const char *text = cardmap_text(l), *reason = cardmap_reason(l);

	if (reason != NULL || text != NULL)
		cm_pam_complain(p, "%s (%s)", text != NULL ? text : "Try again", reason != NULL ? reason : "none");
}

static int
at_reader(struct cm_pam *p, struct cardmap_login *l, const char *prompt)
{
	const int code = cm_pam_count_question(p);
	/* The reader waits: whoever is to type must be told, however quiet this is. */
	const struct cm_pam loud = { .h = p->h };

	if (code != PAM_SUCCESS)
		return code;
	cm_pam_say(&loud, "%stype it at the reader", prompt);
	return cm_pam_handed_over(p, l, cardmap_pin_at_reader(l, cardmap_is_last_try(l)));
}

/* What an earlier module asked for is a PIN only where the administrator says so; it is tried once, and never as the last try. */
static int
from_first_pass(struct cm_pam *p, struct cardmap_login *l)
{
	const void *token = NULL;

	if (cardmap_is_last_try(l) || cardmap_reason(l) != NULL || p->questions++ > 0 ||
	    pam_get_item(p->h, PAM_AUTHTOK, &token) != PAM_SUCCESS || token == NULL || *(const char *)token == '\0') {
		cm_pam_complain(p, "The PIN given before is not tried again");
		return cm_pam_fall_back(p, l, "no PIN was given before");
	}
	return cm_pam_handed_over(p, l, cardmap_pin(l, token, strlen(token), false));
}

/*
 * A screen locker that was given one text by its user answers every question of a login with it: what the card has refused
 * is not sent again, where it would spend the next try.
 */
static bool
was_refused(const struct cm_pam *p, const struct cardmap_login *l, const char *pin)
{
	const char *reason = cardmap_reason(l);

	return reason != NULL && (strcmp(reason, "pin_wrong") == 0 || strcmp(reason, "pin_form") == 0) &&
	    p->tried != NULL && strcmp(p->tried, pin) == 0;
}

static int
hand_over(struct cm_pam *p, struct cardmap_login *l)
{
	return cm_pam_handed_over(p, l, cardmap_pin(l, p->tried, strlen(p->tried), cardmap_is_last_try(l)));
}

static int
at_prompt(struct cm_pam *p, struct cardmap_login *l, const char *prompt)
{
	char *pin;
	int code = cm_pam_ask(p, false, &pin, "%s", prompt);

	if (code != PAM_SUCCESS)
		return code;
	if (pin[0] == '\0') {
		code = cm_pam_fall_back(p, l, "no PIN was typed");
	} else if (was_refused(p, l, pin)) {
		cm_pam_complain(p, "The same PIN again is not tried again");
		code = cm_pam_fall_back(p, l, "the PIN that was refused was given again");
	} else {
		cm_pam_forget(&p->tried);
		p->tried = pin;
		return hand_over(p, l);
	}
	cm_pam_forget(&pin);
	return code;
}

static int
ask_pin(struct cm_pam *p, struct cardmap_login *l)
{
	char prompt[LINE];
	int code;

	cm_pam_pin_prompt(l, "PIN", prompt, sizeof(prompt));
	say_wrong(p, l);
	if (p->options.use_first_pass)
		return from_first_pass(p, l);
	if ((code = cm_pam_ask_last_try(p, l)) != PAM_SUCCESS)
		return code == PAM_AUTH_ERR ? cm_pam_fall_back(p, l, "the last try was not spent") : code;
	return cardmap_has_pad(l) ? at_reader(p, l, prompt) : at_prompt(p, l, prompt);
}

/* ---- granted */

/* In the largest unit that has any of it. */
static void
tell_age(const struct cm_pam *p, long long age)
{
	static const struct {
		long long seconds;
		const char *name;
	} units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
	size_t i = 0;

	while (i + 1 < sizeof(units) / sizeof(units[0]) && age < units[i].seconds)
		i++;
	cm_pam_say(p, "Offline: the account as kept %lld %s ago", age / units[i].seconds, units[i].name);
}

static void
tell(const struct cm_pam *p, const struct cardmap_login *l)
{
	const char *warning;

	if (cardmap_grant_kept_age(l) >= 0)
		tell_age(p, cardmap_grant_kept_age(l));
	for (unsigned i = 0; (warning = cardmap_grant_warning(l, i)) != NULL; i++)
		cm_pam_say(p, "%s", warning);
}

/*
 * For the modules that follow, as if it had been typed (pam_get_authtok(3)): libpam keeps a copy of its own until
 * pam_authenticate(3) ends, and wipes it.  Who has none is let in all the same; a warning says why.
 */
static int
hand_on_secret(const struct cm_pam *p, struct cardmap_login *l)
{
	char text[CARDMAP_SECRET_MAX + 1];
	int result, code = PAM_SUCCESS;

	if (!p->options.authtok)
		return PAM_SUCCESS;
	if ((result = cardmap_secret(l, text, sizeof(text))) > 0)
		code = pam_set_item(p->h, PAM_AUTHTOK, text);
	else if (result < 0)
		cm_pam_complain(p, "Your secret stays sealed: %s", cardmap_error(result));
	explicit_bzero(text, sizeof(text));
	return code == PAM_SUCCESS ? code : PAM_BUF_ERR;
}

static int
let_in(struct cm_pam *p, struct cardmap_login *l)
{
	int code = cm_pam_check_grant(p, l);

	if (code != PAM_SUCCESS) {
		cm_pam_complain(p, "Card refused: %s is not who logs in here (not_this_user)", cardmap_grant_user(l));
		return code;
	}
	if (p->user[0] == '\0' && pam_set_item(p->h, PAM_USER, cardmap_grant_user(l)) != PAM_SUCCESS)
		return PAM_BUF_ERR;
	if ((code = hand_on_secret(p, l)) == PAM_SUCCESS && (code = cm_pam_session_keep(p, l)) == PAM_SUCCESS)
		tell(p, l);
	return code;
}

static int
may_enter(struct cm_pam *p, struct cardmap_login *l)
{
	return cm_pam_check_grant(p, l);
}

const struct cm_pam_purpose cm_pam_login = {
	.name = "login", .card = cm_pam_await_card, .choose = cm_pam_choose, .pin = ask_pin, .granted = let_in,
	.could_not_ask = PAM_AUTHINFO_UNAVAIL, .refused = PAM_AUTH_ERR, .may_fall_back = true,
};
const struct cm_pam_purpose cm_pam_account = {
	.name = "account", .granted = may_enter,
	.could_not_ask = PAM_AUTHINFO_UNAVAIL, .refused = PAM_PERM_DENIED,
};
