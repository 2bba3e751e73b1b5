/* cardmapd/session_pins.c - the PINs that are typed for a card: two wrong ones in an insertion, whatever dies meanwhile. */
#include "cardmapd/session_internal.h"

static void
note(const struct cm_session *s)
{
	cm_spents_note(s->daemon->spents, &s->spent);
}

/*
 * Whoever goes, or kills a process, while the card looks at his PIN is not told
 * that it was wrong, and would have as many more as he likes: it counts as
 * wrong, until the card itself says that it has as many tries as before.
 */
static void
count_doubtful(struct cm_spent *s, unsigned tries_before)
{
	if (s->doubtful++ == 0)
		s->tries_before = tries_before;
	s->wrong++;
}

void
cm_work_spend_pin(struct cm_work *w, unsigned tries_before)
{
	struct cm_spent spent = w->session->spent;

	w->unlocking = true;
	count_doubtful(&spent, tries_before);
	cm_spents_note(w->session->daemon->spents, &spent);
}

void
cm_work_account_pin(struct cm_work *w, unsigned tries_before, bool unanswered, enum cm_err err)
{
	struct cm_session *s = w->session;

	if (unanswered)
		count_doubtful(&s->spent, tries_before);
	if (unanswered || (err != CM_OK && cm_trace_reason(w->trace) != CM_REASON_PIN_WRONG))
		note(s);
}

void
cm_work_settle_doubt(struct cm_session *s, unsigned tries)
{
	struct cm_spent *p = &s->spent;

	if (p->doubtful == 0 || tries == CM_TRIES_UNKNOWN)
		return;
	if (p->tries_before != CM_TRIES_UNKNOWN && tries >= p->tries_before)
		p->wrong -= p->doubtful;
	p->doubtful = 0;
	note(s);
}

/* True: ask for the PIN once more, on the same connection to the card. */
bool
cm_work_judge_wrong_pin(struct cm_work *w)
{
	struct cm_session *s = w->session;

	s->spent.wrong++;
	note(s);
	if (s->spent.wrong < CM_WRONG_PINS_MAX)
		return true;
	cm_work_refuse(w, CM_REASON_PIN_HELD, "two wrong PINs were typed for the card since it was put in");
	return false;
}

/* Others spent tries while the PIN was typed, and it was not sent: whoever typed it may say now that it is to be. */
bool
cm_work_is_last_unsaid(const struct cm_work *w)
{
	return cm_trace_reason(w->trace) == CM_REASON_PIN_LAST_TRY && w->login.tries_left == 1;
}

/* The right PIN sets the card's own count back too. */
void
cm_work_forgive_pins(struct cm_session *s)
{
	s->spent.wrong = s->spent.doubtful = 0;
	note(s);
}
