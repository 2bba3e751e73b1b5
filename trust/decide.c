/* trust/decide.c - level by evidence by clock: who passes.  The table is that of cardmap-revocation(7). */
#include "trust/inquiry_internal.h"

/* What one piece of good evidence is worth. */
enum worth {
	WORTHLESS,		/* dated ahead, or no end to a hold */
	NOT_BY_THIS_CLOCK,	/* kept, and the clock cannot be relied on */
	ENDED_OLD, ENDED,	/* by its dates; and older than the age, or not */
	CURRENT_OLD, CURRENT,
	WORTHS
};

struct piece {
	const struct cm_heard *heard;
	enum worth worth;
	enum cm_decision leads_to;	/* the less, the better for who waits to be let in */
};

/*
 * What follows from the best piece.  The rows that a level does not tell apart
 * hold the same; without an age nothing is old.
 */
static const struct row {
	enum cm_trust_level level;
	bool has_age;
	enum cm_decision by[WORTHS];
} rows[] = {
#define ROW(level, age, worthless, clock, ended_old, ended, current_old, current) \
	{ CM_TRUST_##level, age, { CM_DECIDED_##worthless, CM_DECIDED_##clock, CM_DECIDED_##ended_old, \
	    CM_DECIDED_##ended, CM_DECIDED_##current_old, CM_DECIDED_##current } }
	/*                  nothing  clock    ended,old ended    current,old current */
	ROW(SOFT, false,    SOFT,    SOFT,    SOFT,     SOFT,    GOOD,       GOOD),
	ROW(SOFT, true,     UNKNOWN, UNKNOWN, TOO_OLD,  ENDED,   TOO_OLD,    GOOD),
	ROW(HARD, false,    UNKNOWN, UNKNOWN, UNKNOWN,  UNKNOWN, GOOD,       GOOD),
	ROW(HARD, true,     UNKNOWN, UNKNOWN, UNKNOWN,  UNKNOWN, TOO_OLD,    GOOD),
#undef ROW
};

bool
cm_decision_passes(enum cm_decision d)
{
	return d == CM_DECIDED_UNASKED || d == CM_DECIDED_GOOD || d == CM_DECIDED_ENDED || d == CM_DECIDED_SOFT;
}

/* A clock that runs behind makes old evidence look young. */
static bool
clock_is_sound(const struct cm_case *c, const struct cm_evidence *e)
{
	const struct cm_known *k = c->known;

	return !k->stale_clock && k->now >= k->floor && e->learned <= k->now + CM_CLOCK_SKEW &&
	    e->confirmed <= k->now + CM_CLOCK_SKEW;
}

/* Who confirms what has ended confirms it until its end: an expired list that somebody replays is as old as that. */
int64_t
cm_decide_age(const struct cm_case *c, const struct cm_heard *h)
{
	const time_t now = cm_known_time(c->known), end = cm_evidence_end(&h->e, c->undated_max);
	const time_t said = h->now ? now : h->e.confirmed != 0 ? h->e.confirmed : h->e.this_update;

	return now - (said > end ? end : said);
}

static enum worth
worth_of(const struct cm_case *c, const struct cm_heard *h, const struct cm_heard *held)
{
	const time_t now = cm_known_time(c->known), end = cm_evidence_end(&h->e, c->undated_max);
	const bool current = end + (h->now ? CM_CLOCK_SKEW : 0) >= now;
	const bool old = c->policy.max_age > 0 && cm_decide_age(c, h) > c->policy.max_age;

	if (h->e.status != CM_STATUS_GOOD || h->e.this_update > now + CM_CLOCK_SKEW || end < h->e.this_update)
		return WORTHLESS;
	/* A list that has ended does not end a hold: a later one may name it again. */
	if (held != NULL && (!current || !cm_evidence_ends_hold(&held->e, &h->e)))
		return WORTHLESS;
	if (!h->now && !clock_is_sound(c, &h->e))
		return NOT_BY_THIS_CLOCK;
	if (current)
		return old ? CURRENT_OLD : CURRENT;
	return old ? ENDED_OLD : ENDED;
}

/* Of two that lead to the same: what is worth more, what a server said now, what was said last, what holds on. */
static bool
is_better(const struct cm_case *c, const struct piece *a, const struct piece *b)
{
	const int64_t age_a = a->heard != NULL ? cm_decide_age(c, a->heard) : 0;
	const int64_t age_b = b->heard != NULL ? cm_decide_age(c, b->heard) : 0;

	if (b->heard == NULL || a->leads_to != b->leads_to)
		return b->heard == NULL || a->leads_to < b->leads_to;
	if (a->worth != b->worth)
		return a->worth > b->worth;
	if (a->heard->now != b->heard->now)
		return a->heard->now;
	return age_a != age_b ? age_a < age_b : cm_evidence_end(&a->heard->e, c->undated_max) > cm_evidence_end(&b->heard->e, c->undated_max);
}

/* Whoever revoked it, and whenever; else who put it on hold last. */
static const struct cm_heard *
revoked_by(const struct cm_case *c)
{
	const struct cm_heard *held = NULL;

	for (size_t i = 0; i < c->count; i++) {
		const struct cm_heard *h = &c->heard[i];

		if (h->e.status != CM_STATUS_REVOKED)
			continue;
		if (!h->e.on_hold)
			return h;
		if (held == NULL || h->e.this_update > held->e.this_update ||
		    (h->now && h->e.this_update == held->e.this_update))
			held = h;
	}
	return held;
}

static struct piece
find_best(struct cm_case *c, const struct row *row, const struct cm_heard *held)
{
	struct piece best = { .worth = WORTHLESS, .leads_to = row->by[WORTHLESS] };

	for (size_t i = 0; i < c->count; i++) {
		struct piece p = { .heard = &c->heard[i], .worth = worth_of(c, &c->heard[i], held) };

		p.leads_to = row->by[p.worth];
		c->clock = c->clock || p.worth == NOT_BY_THIS_CLOCK;
		if (p.worth != WORTHLESS && is_better(c, &p, &best))
			best = p;
	}
	return best;
}

static const struct row *
row_of(const struct cm_trust_policy *p)
{
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		if (rows[i].level == p->level && rows[i].has_age == (p->max_age > 0))
			return &rows[i];
	return &rows[CM_COUNT(rows) - 1];	/* no such level: as the strictest */
}

enum cm_decision
cm_decide(struct cm_case *c)
{
	const struct cm_heard *revoked = revoked_by(c);
	struct piece best = { .worth = WORTHLESS };

	c->by = NULL;
	c->clock = false;
	if (c->policy.level == CM_TRUST_OFF || c->policy.level == CM_TRUST_CHAIN)
		return CM_DECIDED_UNASKED;
	if (revoked == NULL || revoked->e.on_hold)
		best = find_best(c, row_of(&c->policy), revoked);
	if (revoked == NULL || best.worth >= CURRENT_OLD) {
		c->by = best.heard;
		return best.leads_to;
	}
	c->by = revoked;
	return CM_DECIDED_REVOKED;
}

bool
cm_decide_suffices(struct cm_case *c)
{
	const struct cm_trust_policy asked = c->policy;
	enum cm_decision d;

	/* Whatever the level, what is missing is a good answer that is current. */
	c->policy.level = CM_TRUST_HARD;
	d = cm_decide(c);
	c->policy = asked;
	if (d == CM_DECIDED_REVOKED)
		return !c->by->e.on_hold || c->by->now;
	return d == CM_DECIDED_GOOD &&
	    (c->by->now || c->by->e.ask_after == 0 || c->by->e.ask_after > c->known->now);
}
