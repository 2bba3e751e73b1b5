/* tests/trust/test_decide.c - trust/decide.c: every cell of level by evidence by clock. */
#include "tests/trust/fixture.h"
#include "trust/inquiry_internal.h"

#define HOUR	3600
#define NOW	((time_t)1800000000)
#define AGE	(72 * HOUR)

static const struct cm_trust_policy policies[] = {
	{ CM_TRUST_OFF, 0 }, { CM_TRUST_CHAIN, 0 }, { CM_TRUST_SOFT, 0 }, { CM_TRUST_SOFT, AGE },
	{ CM_TRUST_HARD, 0 }, { CM_TRUST_HARD, AGE },
};

/* Hours from now. */
struct piece {
	enum { NOTHING, GOOD, REVOKED, HELD } says;
	int from, to;			/* thisUpdate, nextUpdate; to 0: it names none */
	int confirmed;			/* 0: as from */
	bool by_list, now;
};

/* The clock: sound, or unsound in each of the ways that are noticed. */
enum clock { SOUND, BEHIND, CONTRADICTED };

#define FRESH		{ GOOD, -24, 24, 0, false, false }
#define FRESH_LIST	{ GOOD, -24, 24, 0, true, false }
#define HOLD		{ HELD, -48, 24, 0, true, false }

/* What follows at off, chain, soft, soft 72h, hard, hard 72h; and what it stands on: -1 nothing. */
static const struct row {
	const char *name;
	struct piece pieces[3];
	enum clock clock;
	const char *expected;
	int by[2];			/* at soft 72h, at hard 72h */
} rows[] = {
	{ "none", { { 0 } }, SOUND, "--sUUU", { -1, -1 } },
	{ "fresh", { FRESH }, SOUND, "--GGGG", { 0, 0 } },
	{ "aged", { { GOOD, -80, 24, 0, true, false } }, SOUND, "--GOGO", { 0, 0 } },
	{ "aged, confirmed since", { { GOOD, -80, 24, -1, true, false } }, SOUND, "--GGGG", { 0, 0 } },
	{ "lapsed", { { GOOD, -24, -1, 0, true, false } }, SOUND, "--sEUU", { 0, 0 } },
	{ "old", { { GOOD, -80, -1, 0, true, false } }, SOUND, "--sOUU", { 0, 0 } },
	{ "to its last second", { { GOOD, -24, 0, 0, true, false } }, SOUND, "--sEUU", { 0, 0 } },
	{ "no end named, young", { { GOOD, -1, 0, 0, false, false } }, SOUND, "--GGGG", { 0, 0 } },
	{ "dated ahead", { { GOOD, 1, 24, -1, false, false } }, SOUND, "--sUUU", { -1, -1 } },
	{ "ends before it begins", { { GOOD, -1, -2, 0, false, true } }, SOUND, "--sUUU", { -1, -1 } },
	{ "confirmed ahead", { { GOOD, -1, 24, 1, false, false } }, SOUND, "--sUUU", { 0, 0 } },
	{ "behind what was signed", { FRESH }, BEHIND, "--sUUU", { 0, 0 } },
	{ "lapsed, and behind", { { GOOD, -24, -1, 0, true, false } }, BEHIND, "--sUUU", { 0, 0 } },
	{ "the clock is contradicted", { FRESH }, CONTRADICTED, "--sUUU", { 0, 0 } },
	{ "a server says so now", { { GOOD, -24, 24, 0, false, true } }, SOUND, "--GGGG", { 0, 0 } },
	{ "a server, and the clock is behind", { { GOOD, -24, 24, 0, false, true } }, BEHIND, "--GGGG", { 0, 0 } },
	{ "a server, and it is contradicted", { { GOOD, -24, 24, 0, false, true } }, CONTRADICTED, "--GGGG", { 0, 0 } },
	{ "a server's old list that is still the last", { { GOOD, -100, 24, 0, true, true } }, SOUND, "--GGGG", { 0, 0 } },

	{ "a server's list that has ended", { { GOOD, -24, -1, 0, true, true } }, SOUND, "--sEUU", { 0, 0 } },
	{ "a server that replays one ended long ago", { { GOOD, -100, -80, 0, true, true } }, SOUND, "--sOUU", { 0, 0 } },
	{ "confirmed after its end", { { GOOD, -100, -80, -1, true, false } }, SOUND, "--sOUU", { 0, 0 } },

	{ "revoked", { { REVOKED, -24, 24, 0, false, false } }, SOUND, "--RRRR", { 0, 0 } },
	{ "revoked, ended", { { REVOKED, -80, -24, 0, false, false } }, SOUND, "--RRRR", { 0, 0 } },
	{ "revoked, behind", { { REVOKED, -24, 24, 0, false, false } }, BEHIND, "--RRRR", { 0, 0 } },
	{ "revoked, dated ahead", { { REVOKED, 24, 48, 0, false, false } }, SOUND, "--RRRR", { 0, 0 } },
	{ "revoked, and later good", { { REVOKED, -80, -24, 0, true, false }, { GOOD, -1, 24, 0, true, true } }, SOUND, "--RRRR", { 0, 0 } },
	{ "good, and revoked now", { FRESH, { REVOKED, -1, 24, 0, false, true } }, SOUND, "--RRRR", { 1, 1 } },

	{ "held", { HOLD }, SOUND, "--RRRR", { 0, 0 } },
	{ "held, ended", { { HELD, -48, -24, 0, true, false } }, SOUND, "--RRRR", { 0, 0 } },
	{ "held, behind", { HOLD }, BEHIND, "--RRRR", { 0, 0 } },
	{ "held, and a later list", { HOLD, FRESH_LIST }, SOUND, "--GGGG", { 1, 1 } },
	{ "held, and a later list now", { HOLD, { GOOD, -1, 24, 0, true, true } }, BEHIND, "--GGGG", { 1, 1 } },
	{ "held, and a later list, by no sound clock", { HOLD, FRESH_LIST }, CONTRADICTED, "--RRRR", { 0, 0 } },
	{ "held, and a later list that has ended", { HOLD, { GOOD, -24, -1, 0, true, true } }, SOUND, "--RRRR", { 0, 0 } },
	{ "held, and an earlier list", { HOLD, { GOOD, -49, 24, 0, true, false } }, SOUND, "--RRRR", { 0, 0 } },
	{ "held, and the very list", { HOLD, { GOOD, -48, 24, 0, true, true } }, SOUND, "--RRRR", { 0, 0 } },
	{ "held, and a responder", { HOLD, { GOOD, -1, 24, 0, false, true } }, SOUND, "--RRRR", { 0, 0 } },
	{ "held, ended by an aged list", { { HELD, -100, -1, 0, true, false }, { GOOD, -80, 24, 0, true, false } }, SOUND, "--GOGO", { 1, 1 } },
	{ "held twice, and a list between", { { HELD, -80, 24, 0, true, false }, FRESH_LIST, { HELD, -1, 24, 0, true, false } }, SOUND, "--RRRR", { 2, 2 } },
	{ "held, and revoked", { HOLD, { REVOKED, -80, -48, 0, false, false }, FRESH_LIST }, SOUND, "--RRRR", { 1, 1 } },

	/* Of several, the one that lets in. */
	{ "aged and lapsed", { { GOOD, -80, 24, 0, true, false }, { GOOD, -24, -1, 0, false, false } }, SOUND, "--GEGO", { 1, 0 } },
	{ "old and fresh", { { GOOD, -80, -24, 0, false, false }, FRESH }, SOUND, "--GGGG", { 1, 1 } },
	{ "fresh and fresher", { FRESH, { GOOD, -2, 12, 0, false, false } }, SOUND, "--GGGG", { 1, 1 } },
	{ "kept and now", { { GOOD, -2, 48, 0, false, false }, { GOOD, -24, 24, 0, true, true } }, SOUND, "--GGGG", { 1, 1 } },
};

static struct cm_heard
heard_of(const struct piece *p)
{
	struct cm_heard h = { .now = p->now };

	h.e.status = p->says == GOOD ? CM_STATUS_GOOD : CM_STATUS_REVOKED;
	h.e.on_hold = p->says == HELD;
	h.e.by_list = p->by_list;
	h.e.this_update = NOW + p->from * HOUR;
	h.e.next_update = p->to != 0 ? NOW + p->to * HOUR : 0;
	h.e.confirmed = NOW + (p->confirmed != 0 ? p->confirmed : p->from) * HOUR;
	h.e.learned = p->from < 0 ? h.e.this_update : NOW;
	return h;
}

static char
letter(enum cm_decision d)
{
	static const char letters[] = {
		[CM_DECIDED_UNASKED] = '-', [CM_DECIDED_GOOD] = 'G', [CM_DECIDED_ENDED] = 'E', [CM_DECIDED_SOFT] = 's',
		[CM_DECIDED_REVOKED] = 'R', [CM_DECIDED_TOO_OLD] = 'O', [CM_DECIDED_UNKNOWN] = 'U',
	};

	return letters[d];
}

static struct cm_known
clock_of(enum clock c)
{
	return (struct cm_known){ .now = NOW, .floor = c == BEHIND ? NOW + 1 : NOW, .stale_clock = c == CONTRADICTED };
}

static void
every_cell(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct cm_known known = clock_of(rows[i].clock);
		struct cm_heard heard[3];
		size_t count = 0;

		while (count < CM_COUNT(heard) && rows[i].pieces[count].says != NOTHING) {
			heard[count] = heard_of(&rows[i].pieces[count]);
			count++;
		}
		/* 0 is "no end": a second ago is meant. */
		if (strcmp(rows[i].name, "to its last second") == 0)
			heard[0].e.next_update = NOW - 1;
		for (size_t p = 0; p < CM_COUNT(policies); p++) {
			struct cm_case c = { .policy = policies[p], .known = &known, .undated_max = HOUR, .heard = heard, .count = count };
			const enum cm_decision d = cm_decide(&c);

			if (letter(d) != rows[i].expected[p])
				print_error("%s, policy %zu: %c\n", rows[i].name, p, letter(d));
			assert_int_equal(letter(d), rows[i].expected[p]);
			assert_int_equal(cm_decision_passes(d), strchr("-GEs", rows[i].expected[p]) != NULL);
			if (policies[p].max_age == AGE)
				assert_int_equal(c.by != NULL ? c.by - heard : -1,
				    rows[i].by[policies[p].level == CM_TRUST_HARD]);
		}
	}
}

/* What need not be asked for: good, current, young enough, not to be asked again yet; or revoked. */
static void
what_suffices(void **state)
{
	static const struct {
		struct piece p;
		int ask_after;		/* hours from now; 0: at its end */
		enum clock clock;
		const char *expected;	/* at soft, soft 72h, hard, hard 72h */
	} cases[] = {
		{ FRESH, 0, SOUND, "yyyy" }, { FRESH, 1, SOUND, "yyyy" }, { FRESH, -1, SOUND, "nnnn" },
		{ { GOOD, -24, 24, 0, false, true }, -1, SOUND, "yyyy" },
		{ { GOOD, -80, 24, 0, true, false }, 0, SOUND, "ynyn" }, { { GOOD, -24, -1, 0, true, false }, 0, SOUND, "nnnn" },
		{ FRESH, 0, BEHIND, "nnnn" }, { { REVOKED, -80, -1, 0, true, false }, 0, BEHIND, "yyyy" },
		{ HOLD, 0, SOUND, "nnnn" }, { { HELD, -1, 24, 0, false, true }, 0, SOUND, "yyyy" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const struct cm_known known = clock_of(cases[i].clock);
		struct cm_heard h = heard_of(&cases[i].p);

		h.e.ask_after = cases[i].ask_after != 0 ? NOW + cases[i].ask_after * HOUR : 0;
		for (size_t p = 0; p < 4; p++) {
			struct cm_case c = { .policy = policies[2 + p], .known = &known, .undated_max = HOUR, .heard = &h, .count = 1 };

			if (cm_decide_suffices(&c) != (cases[i].expected[p] == 'y'))
				print_error("case %zu, policy %zu\n", i, p);
			assert_int_equal(cm_decide_suffices(&c), cases[i].expected[p] == 'y');
			assert_int_equal(c.policy.level, policies[2 + p].level);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell),
		cmocka_unit_test(what_suffices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
