/* tests/mapper/test_mapfile.c - pam_pkcs11's map files: which line counts, and what is no line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "mapper/mapfile_internal.h"

static struct cm_regexes *
regexes(void)
{
	struct cm_regexes *re = NULL;

	assert_int_equal(cm_regexes_new(false, &re), CM_OK);
	return re;
}

static const char text[] =
    "# who is who\n"
    "\n"
    "alice@example.com -> alice\n"
    "  \tAlice Example -> alice   \n"
    "#bob@example.com -> eve\n"
    "^.*@sales\\.example\\.com$ -> sales\n"
    "carol@sales.example.com -> carol\n"		/* the line above comes first */
    "dan@example.com -> dan -> erin\n"
    "alice@example.com -> mallory\n"
    "a+b@example.com -> plus\n"
    "^[0-9]\\{4\\}$ -> number\n"
    "1234 -> never\n"
    "last@example.com -> last";

static const struct {
	const char *value;
	bool ignore_case;
	const char *to;		/* NULL: no line */
} rows[] = {
	{ "alice@example.com", false, "alice" },
	{ "ALICE@example.com", false, NULL },
	{ "ALICE@example.com", true, "alice" },
	{ "Alice Example", false, "alice   " },
	{ "bob@example.com", false, NULL },
	{ "#bob@example.com", false, NULL },
	{ "x@sales.example.com", false, "sales" },
	{ "x@Sales.example.com", false, NULL },
	{ "x@Sales.example.com", true, "sales" },
	{ "carol@sales.example.com", false, "sales" },
	{ "dan@example.com", false, "dan -> erin" },
	{ "a+b@example.com", false, "plus" },
	{ "1234", false, "number" },
	{ "12345", false, NULL },
	{ "evil\n1234", false, NULL },		/* an expression fits all of the value, not a line in it */
	{ "last@example.com", false, "last" },
	{ "last@example.co", false, NULL },
	{ "", false, NULL },
	{ "zzz", false, NULL },
};

static void
test_lines(void **state)
{
	struct cm_regexes *re = regexes();
	struct cm_map_file *files[2] = { NULL, NULL };

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(cm_map_file_parse(cm_blob_str(text), "map", re, i == 1, NULL,
		    &files[i]), CM_OK);
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_blob out = { NULL, 0 };
		const enum cm_err err = cm_map_file_find(files[rows[i].ignore_case],
		    cm_blob_str(rows[i].value), NULL, &out);

		if (err != (rows[i].to != NULL ? CM_OK : CM_ERR_ABSENT) ||
		    (err == CM_OK && !cm_blob_equal(out, cm_blob_str(rows[i].to))))
			fail_msg("%s", rows[i].value);
	}
	for (int i = 0; i < 2; i++)
		cm_map_file_free(&files[i]);
	cm_regexes_free(&re);
}

static void
test_a_nul_in_the_value(void **state)
{
	struct cm_regexes *re = regexes();
	struct cm_map_file *m = NULL;
	struct cm_blob out;

	(void)state;
	assert_int_equal(cm_map_file_parse(cm_blob_str("^al.*$ -> a\nalice -> b\n"), "map", re, false,
	    NULL, &m), CM_OK);
	assert_int_equal(cm_map_file_find(m, (struct cm_blob){ (const uint8_t *)"alice\0x", 7 }, NULL,
	    &out), CM_ERR_ABSENT);
	cm_map_file_free(&m);
	cm_regexes_free(&re);
}

static void
test_mistakes(void **state)
{
#define B(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }
	static const struct { struct cm_blob bytes; const char *message; } bad[] = {
		{ B("a -> b\nno arrow\n"), "map:2: no arrow; expected KEY -> VALUE" },
		{ B("a->b"), "map:1: no arrow" },
		{ B(" -> b"), "map:1: no arrow" },
		{ B("\n\na -> \n"), "map:3: nothing behind the arrow" },
		{ B("a -> b\nc\0 -> d\n"), "map:2: the line holds a NUL" },
		{ B("a -> b\r\n"), "map:1: the line ends as on DOS" },
		{ B("\r\n"), "map:1: the line ends as on DOS" },
		{ B("^\\(a$ -> b\n"), "map:1: column 1: regular expression: Unmatched ( or \\(" },
		{ B("^\\(a\\)\\1$ -> b\n"), "map:1: column 7: regular expression: back-references are not" },
	};
	struct cm_regexes *re = regexes();

	(void)state;
	for (size_t i = 0; i < CM_COUNT(bad); i++) {
		struct cm_map_file *m = NULL;
		struct cm_trace *t = NULL;

		assert_int_equal(cm_trace_new(&t), CM_OK);
		assert_int_equal(cm_map_file_parse(bad[i].bytes, "map", re, false, t, &m), CM_ERR_CONFIG);
		assert_null(m);
		assert_int_equal(cm_trace_reason(t), CM_REASON_CONFIG);
		if (strncmp(cm_trace_message(t), bad[i].message, strlen(bad[i].message)) != 0)
			fail_msg("%s", cm_trace_message(t));
		cm_trace_free(&t);
	}
	cm_regexes_free(&re);
}

static void
test_longest_line(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		struct cm_regexes *re = regexes();
		struct cm_map_file *m = NULL;
		struct cm_buf b;

		(void)state;
		cm_buf_init(&b, 0);
		cm_buf_add_str(&b, "k -> ");
		while (b.len < CM_MAP_LINE_MAX + more)
			cm_buf_add_byte(&b, 'v');
		assert_int_equal(cm_map_file_parse(cm_buf_blob(&b), "map", re, false, NULL, &m),
		    more == 0 ? CM_OK : CM_ERR_CONFIG);
		cm_map_file_free(&m);
		cm_buf_free(&b);
		cm_regexes_free(&re);
	}
}

/* A line for each of many people: the first of two with one key counts, as in the file's order. */
static void
test_many_lines(void **state)
{
	struct cm_regexes *re = regexes();
	struct cm_map_file *m = NULL;
	struct cm_buf b;

	(void)state;
	cm_buf_init(&b, 0);
	for (int i = 0; i < 20000; i++)
		cm_buf_addf(&b, "%d@x -> u%d\n", i * 7919 % 10007, i);
	assert_int_equal(cm_map_file_parse(cm_buf_blob(&b), "map", re, false, NULL, &m), CM_OK);
	for (int i = 0; i < 10007; i++) {
		char key[32], to[32];
		struct cm_blob out;

		(void)snprintf(key, sizeof(key), "%d@x", i * 7919 % 10007);
		(void)snprintf(to, sizeof(to), "u%d", i);
		assert_int_equal(cm_map_file_find(m, cm_blob_str(key), NULL, &out), CM_OK);
		assert_true(cm_blob_equal(out, cm_blob_str(to)));
	}
	cm_map_file_free(&m);
	cm_buf_free(&b);
	cm_regexes_free(&re);
}

/* Where an earlier line could not be tried, a later one does not speak. */
static void
test_an_expression_over_its_limit(void **state)
{
	struct cm_regexes *re = NULL;
	struct cm_map_file *m = NULL;
	char value[4001];
	struct cm_buf b;
	struct cm_blob out;

	(void)state;
	for (size_t i = 0; i < sizeof(value) - 1; i++)
		value[i] = 'a';
	value[sizeof(value) - 1] = '\0';
	assert_int_equal(cm_regexes_new(true, &re), CM_OK);
	cm_buf_init(&b, 0);
	cm_buf_addf(&b, "^\\(.*\\)\\(.*\\)\\(.*\\)\\(.*\\)\\4\\3\\2\\1x$ -> eve\n%s -> alice\n", value);
	assert_int_equal(cm_map_file_parse(cm_buf_blob(&b), "map", re, false, NULL, &m), CM_OK);
	assert_int_equal(cm_map_file_find(m, cm_blob_str(value), NULL, &out), CM_ERR_CONFIG);
	cm_map_file_free(&m);
	cm_buf_free(&b);
	cm_regexes_free(&re);
}

static void
test_files(void **state)
{
	char path[] = "/tmp/cardmap-test-XXXXXX";
	struct cm_regexes *re = regexes();
	struct cm_map_file *m = NULL;
	const int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "a -> b\n", 7), 7);
	assert_int_equal(cm_map_file_load(path, re, false, NULL, &m), CM_OK);
	cm_map_file_free(&m);
	assert_int_equal(fchmod(fd, 0666), 0);
	assert_int_equal(cm_map_file_load(path, re, false, NULL, &m), CM_ERR_CONFIG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(cm_map_file_load(path, re, false, NULL, &m), CM_ERR_CONFIG);
	assert_null(m);
	(void)close(fd);
	cm_regexes_free(&re);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_a_nul_in_the_value),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_longest_line),
		cmocka_unit_test(test_many_lines),
		cmocka_unit_test(test_an_expression_over_its_limit),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
