/* tests/cardmapd/test_spent.c - what is held where nobody can tell how many wrong PINs were typed, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cardmapd/spent.h"

struct place {
	char folder[64], secret[80], file[96], fresh[112];
};

static int
set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	snprintf(p->folder, sizeof(p->folder), "/tmp/cm_spent_XXXXXX");
	if (mkdtemp(p->folder) == NULL)
		return -1;
	snprintf(p->secret, sizeof(p->secret), "%s/private", p->folder);
	snprintf(p->file, sizeof(p->file), "%s/spent", p->secret);
	snprintf(p->fresh, sizeof(p->fresh), "%s.new", p->file);
	*state = p;
	return mkdir(p->secret, 0700);
}

static int
tear_down(void **state)
{
	struct place *p = *state;

	(void)remove(p->file);
	(void)remove(p->fresh);
	(void)rmdir(p->secret);
	(void)rmdir(p->folder);
	free(p);
	return 0;
}

static void
write_text(const struct place *p, const char *text, size_t times)
{
	FILE *f = fopen(p->file, "w");

	assert_non_null(f);
	for (size_t i = 0; i < times; i++)
		fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(p->file, 0600), 0);
}

static void
make_folder(const struct place *p)
{
	assert_int_equal(mkdir(p->file, 0700), 0);
}

static void
make_link(const struct place *p)
{
	assert_int_equal(symlink("/dev/null", p->file), 0);
}

static void
make_huge(const struct place *p)
{
	write_text(p, " ", (size_t)1 << 20);
}

static void
make_garbage(const struct place *p)
{
	write_text(p, "[{\"reader\":", 1);
}

static unsigned
wrong(struct cm_spents *s, const struct cm_insertion *in, bool first)
{
	struct cm_spent found;

	cm_spents_find(s, in, first, &found);
	return found.wrong;
}

/* A token is a reader too: who takes it out takes both, and both come back as if nobody had seen them before. */
static void
check_until_out(const struct place *p)
{
	const struct cm_insertion token = { "Token 00 00", 1, 1 }, other = { "Reader 01 00", 1, 1 };
	struct cm_spents *s = NULL;

	assert_int_equal(cm_spents_new(p->folder, CM_LOG_NONE, &s), CM_OK);
	cm_spents_begin(s);
	assert_int_equal(wrong(s, &token, true), CM_WRONG_PINS_MAX);
	assert_int_equal(wrong(s, &token, true), CM_WRONG_PINS_MAX);
	cm_spents_forget(s, token.reader);
	assert_int_equal(wrong(s, &token, true), 0);
	assert_int_equal(wrong(s, &other, true), CM_WRONG_PINS_MAX);
	cm_spents_free(&s);
}

static void
test_held_until_out(void **state)
{
	static void (*const make[])(const struct place *) = { make_garbage, make_folder, make_link, make_huge };
	const struct place *p = *state;

	for (size_t i = 0; i < CM_COUNT(make); i++) {
		(void)remove(p->file);
		make[i](p);
		check_until_out(p);
	}
}

/* As many readers as there are rows: each is remembered, and one more takes the oldest's. */
static void
test_full(void **state)
{
	const struct place *p = *state;
	struct cm_spent spent = { .in = { "", 1, 1 }, .wrong = 2 };
	struct cm_spents *s = NULL;

	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(cm_spents_new(p->folder, CM_LOG_NONE, &s), CM_OK);
		cm_spents_begin(s);
		for (unsigned i = 0; i < CM_SPENTS_MAX + 1; i++) {
			snprintf(spent.in.reader, sizeof(spent.in.reader), "Reader %u", i);
			if (round == 0)
				cm_spents_note(s, &spent);
			assert_int_equal(wrong(s, &spent.in, true), round == 1 && i == 0 ? 0 : 2);
		}
		cm_spents_free(&s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_held_until_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
