/* tests/card/test_watch.c - readers and cards as they come and go, told by the real pcscd. */
#include "card_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "card/watch.h"

#define FIRST	"Virtual PCD 00 00"
#define SECOND	"Virtual PCD 00 01"

static pid_t
pcscd_pid(void)
{
	char path[256], line[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/pcscd.pid", getenv("CM_RIG_DIR"));
	assert_non_null(f = fopen(path, "r"));
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	return (pid_t)strtol(line, NULL, 10);
}

static void
rig(const char *words)
{
	char command[512];

	snprintf(command, sizeof(command), "%s %s", getenv("CM_RIG"), words);
	assert_int_equal(system(command), 0);
}

/* What a step does once its event was seen. */
static void nothing(void) { }
static void take_out(void) { card_control("remove"); }
static void put_in(void) { card_control("insert"); }

/* Out and in again while nobody looks: pcscd counts both. */
static void
take_out_and_put_in(void)
{
	struct other o;
	DWORD state = 0;

	card_control("remove");
	assert_int_equal(SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &o.context), 0);
	for (int in = 0; in < 2; in++) {
		const cm_deadline deadline = cm_deadline_in(10000);
		SCARD_READERSTATE r;

		do {
			assert_false(cm_deadline_passed(deadline));
			r = (SCARD_READERSTATE){ .szReader = FIRST };
			assert_int_equal(SCardGetStatusChange(o.context, 0, &r, 1), 0);
			state = r.dwEventState;
		} while (((state & SCARD_STATE_PRESENT) != 0) != (in == 1));
		if (in == 0)
			card_control("insert");
	}
	SCardReleaseContext(o.context);
}

/* The readers of vpcd cannot be unplugged while pcscd runs; with it they all go. */
static void end_pcscd(void) { assert_int_equal(kill(pcscd_pid(), SIGKILL), 0); }
static void start_pcscd(void) { rig("start pcscd"); }

/* In this order, each once: nothing is told twice, and nothing is left out. */
static const struct step {
	const char *reader;
	enum cm_err err;
	bool present, gone;
	uint32_t insertion;
	void (*next)(void);
} steps[] = {
	{ FIRST,  CM_OK, true,  false, 1, nothing },
	{ SECOND, CM_OK, false, false, 0, take_out },
	{ FIRST,  CM_OK, false, false, 1, put_in },
	{ FIRST,  CM_OK, true,  false, 2, take_out_and_put_in },
	{ FIRST,  CM_OK, false, false, 2, nothing },
	{ FIRST,  CM_OK, true,  false, 3, take_out },
	{ FIRST,  CM_OK, false, false, 3, end_pcscd },
	{ NULL,   CM_ERR_OFFLINE, false, false, 0, start_pcscd },
	{ NULL,   CM_OK, false, false, 0, nothing },
	{ FIRST,  CM_OK, false, false, 0, nothing },
	{ SECOND, CM_OK, false, false, 0, put_in },
	{ FIRST,  CM_OK, true,  false, 4, NULL },
};

static enum cm_err
tell(void *arg, const struct cm_watch_event *e, struct cm_trace *t)
{
	const struct step **at = arg;
	const struct step *s = *at;

	if (e->alive)
		return CM_OK;
	(*at)++;
	if ((e->reader == NULL) != (s->reader == NULL) ||
	    (e->reader != NULL && strcmp(e->reader, s->reader) != 0) || e->err != s->err ||
	    e->present != s->present || e->gone != s->gone || e->insertion != s->insertion)
		fail_msg("step %td: %s err %d present %d gone %d insertion %u", s - steps,
		    e->reader != NULL ? e->reader : "pcscd", (int)e->err, e->present, e->gone, e->insertion);
	assert_int_equal(e->atr.len > 2, e->present);
	if (e->err != CM_OK)
		assert_int_equal(cm_trace_reason(t), CM_REASON_NO_READER);
	if (s->next == NULL)
		return CM_ERR_ABSENT;
	s->next();
	return CM_OK;
}

static void
test_everything_is_told_once_and_in_order(void **state)
{
	const struct step *at = steps;

	(void)state;
	assert_int_equal(cm_watch_readers(tell, &at, test_trace()), CM_ERR_ABSENT);
	assert_ptr_equal(at, steps + CM_COUNT(steps));
}

/* ---- what tells an insertion from every other, to whoever watches next */

struct first {
	uint32_t pcscd;
	uint16_t events;
};

static enum cm_err
tell_first(void *arg, const struct cm_watch_event *e, struct cm_trace *t)
{
	struct first *f = arg;

	(void)t;
	if (e->reader == NULL || strcmp(e->reader, FIRST) != 0 || !e->present)
		return CM_OK;
	*f = (struct first){ e->pcscd, e->events };
	return CM_ERR_ABSENT;
}

static struct first
look(void)
{
	struct first f = { 0 };

	assert_int_equal(cm_watch_readers(tell_first, &f, test_trace()), CM_ERR_ABSENT);
	assert_int_not_equal(f.pcscd, 0);
	return f;
}

static void
test_an_insertion_is_known_again(void **state)
{
	const struct first first = look(), same = look();
	struct first other;

	(void)state;
	assert_int_equal(same.pcscd, first.pcscd);
	assert_int_equal(same.events, first.events);
	take_out_and_put_in();
	other = look();
	assert_int_equal(other.pcscd, first.pcscd);
	assert_int_not_equal(other.events, first.events);
	end_pcscd();
	start_pcscd();
	assert_int_not_equal(look().pcscd, first.pcscd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_is_told_once_and_in_order),
		cmocka_unit_test(test_an_insertion_is_known_again),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
