/* pam/run.c - a login at the service, state after state, to its end. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "pam/pam_internal.h"

static long long
now_ms(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static int
less(int left, long long spent)
{
	return spent < left ? left - (int)spent : 0;
}

/* What waiting there is, between people's answers, has an end, however many states there are. */
static int
next(struct cm_pam *p, struct cardmap_login *l, enum cardmap_state *state)
{
	const bool card = *state == CARDMAP_CARD && p->options.timeout != 0;
	const long long began = now_ms();
	const int result = cardmap_next(l, card && p->card_ms < p->left_ms ? p->card_ms : p->left_ms, state);
	const long long spent = now_ms() - began;

	p->left_ms = less(p->left_ms, spent);
	if (card)
		p->card_ms = less(p->card_ms, spent);
	return result;
}

static int
act(struct cm_pam *p, struct cardmap_login *l, enum cardmap_state state)
{
	const struct cm_pam_purpose *purpose = p->purpose;
	cm_pam_step step = NULL;

	switch (state) {
	case CARDMAP_READING:
		return cm_pam_await_turn(p, l);
	case CARDMAP_WORKING:
		return CM_PAM_GOES_ON;
	case CARDMAP_CARD:
		step = purpose->card;
		break;
	case CARDMAP_CHOOSE:
		step = purpose->choose;
		break;
	case CARDMAP_PIN:
		step = purpose->pin;
		break;
	case CARDMAP_GRANTED:
		step = purpose->granted;
		break;
	case CARDMAP_REFUSED:
		return cm_pam_refused(p, l);
	}
	/* It asks for what this purpose has no use for: it is no cardmapd. */
	return step != NULL ? step(p, l) : cm_pam_could_not_ask(p, l, -EPROTO);
}

static int
no_card_came(struct cm_pam *p, const struct cardmap_login *l)
{
	if (cm_pam_fall_back(p, l, "no card was put in") == PAM_IGNORE)
		return PAM_IGNORE;
	cm_pam_complain(p, "No card was put in (no_card)");
	return p->purpose->could_not_ask;
}

static int
follow(struct cm_pam *p, struct cardmap_login *l)
{
	enum cardmap_state state = CARDMAP_READING;
	int code = CM_PAM_GOES_ON;

	while (code == CM_PAM_GOES_ON) {
		const bool card = state == CARDMAP_CARD;
		const int result = next(p, l, &state);

		if (result == 0)
			code = act(p, l, state);
		else if (result == -ETIMEDOUT && card && p->left_ms > 0)
			code = no_card_came(p, l);
		else
			code = cm_pam_could_not_ask(p, l, result);
	}
	return code;
}

static const char *
item(const struct cm_pam *p, int which)
{
	const void *value = NULL;

	return pam_get_item(p->h, which, &value) == PAM_SUCCESS ? value : NULL;
}

int
cm_pam_run(struct cm_pam *p)
{
	const struct cardmap_request r = {
		.size = sizeof(r), .user = p->user, .service = item(p, PAM_SERVICE), .tty = item(p, PAM_TTY),
		.rhost = item(p, PAM_RHOST), .reader = p->options.reader, .purpose = p->purpose->name,
		.secret = p->options.authtok && p->purpose == &cm_pam_login,
	};
	struct cardmap_login *l = NULL;
	int result, code;

	p->left_ms = CARDMAP_PATIENCE;
	p->card_ms = (int)p->options.timeout * 1000;
	result = cardmap_begin(&r, &l);
	code = result == 0 ? follow(p, l) : cm_pam_could_not_ask(p, NULL, result);
	cardmap_free(l);
	return code;
}
