/* pam/change.c - the purpose of changing a card's PIN. */
#include <string.h>

#include "pam/pam_internal.h"

#define LINE	256	/* octets of a prompt */

static int
ask_new(struct cm_pam *p, char **out)
{
	for (;;) {
		char *again = NULL;
		bool same;
		int code = cm_pam_ask(p, false, out, "New PIN: ");

		if (code == PAM_SUCCESS && (*out)[0] == '\0')
			code = PAM_AUTHTOK_ERR;
		if (code == PAM_SUCCESS)
			code = cm_pam_ask(p, false, &again, "New PIN again: ");
		same = code == PAM_SUCCESS && strcmp(*out, again) == 0;
		cm_pam_forget(&again);
		if (same)
			return PAM_SUCCESS;
		cm_pam_forget(out);
		if (code != PAM_SUCCESS)
			return code;
		cm_pam_complain(p, "The two new PINs differ");
	}
}

static int
hand_over(struct cm_pam *p, struct cardmap_login *l, const char *old, const char *new)
{
	return cm_pam_handed_over(p, l, cardmap_change_pin(l, old, strlen(old), new, strlen(new), cardmap_is_last_try(l)));
}

static int
ask_both(struct cm_pam *p, struct cardmap_login *l)
{
	char prompt[LINE], *old = NULL, *new = NULL;
	int code;

	if (cardmap_reason(l) != NULL)
		cm_pam_complain(p, "%s (%s)", cardmap_text(l) != NULL ? cardmap_text(l) : "Try again", cardmap_reason(l));
	if ((code = cm_pam_ask_last_try(p, l)) != PAM_SUCCESS)
		return code == PAM_AUTH_ERR ? p->purpose->refused : code;
	cm_pam_pin_prompt(l, "Current PIN", prompt, sizeof(prompt));
	code = cm_pam_ask(p, false, &old, "%s", prompt);
	if (code == PAM_SUCCESS && old[0] == '\0')
		code = p->purpose->refused;
	if (code == PAM_SUCCESS && (code = ask_new(p, &new)) == PAM_SUCCESS)
		code = hand_over(p, l, old, new);
	cm_pam_forget(&old);
	cm_pam_forget(&new);
	return code;
}

static int
changed(struct cm_pam *p, struct cardmap_login *l)
{
	(void)l;
	cm_pam_say(p, "The card's PIN is changed");
	return PAM_SUCCESS;
}

/* PAM_PRELIM_CHECK asks nobody anything: the service is there, and does not refuse. */
static int
can_be(struct cm_pam *p, struct cardmap_login *l)
{
	(void)p;
	(void)l;
	return PAM_SUCCESS;
}

static int
can_be_later(struct cm_pam *p, struct cardmap_login *l)
{
	return cm_pam_fall_back(p, l, "no card is in") == PAM_IGNORE ? PAM_IGNORE : PAM_SUCCESS;
}

const struct cm_pam_purpose cm_pam_change = {
	.name = "chauthtok", .card = cm_pam_await_card, .choose = cm_pam_choose, .pin = ask_both, .granted = changed,
	.could_not_ask = PAM_AUTHTOK_ERR, .refused = PAM_PERM_DENIED, .may_fall_back = true,
};
const struct cm_pam_purpose cm_pam_change_prelim = {
	.name = "chauthtok", .card = can_be_later, .choose = can_be, .pin = can_be,
	.could_not_ask = PAM_TRY_AGAIN, .refused = PAM_PERM_DENIED, .may_fall_back = true,
};
