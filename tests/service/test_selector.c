/* tests/service/test_selector.c - a selector's answer to the letter, and how its program is called. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "service/selector_internal.h"

#define A	"00112233445566778899AABBCCDDEEFF00112233"
#define B	"0123456789abcdef0123456789abcdef01234567"
#define N10	"abcdefghij"
#define N50	N10 N10 N10 N10 N10
#define N250	N50 N50 N50 N50 N50

static struct cm_trace *
new_trace(void)
{
	struct cm_trace *t = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "account");
	return t;
}

static void
test_key_text(void **state)
{
	struct cm_selector_key k;
	char text[CM_SELECTOR_KEY_SIZE];
	static const char *const bad[] = { "", "00", A "00", "0011223344556677:899AABBCCDDEEFF00112233",
	    " 00112233445566778899AABBCCDDEEFF00112233", "G0112233445566778899AABBCCDDEEFF00112233", "0x112233445566778899AABBCCDDEEFF00112233" };

	(void)state;
	assert_true(cm_selector_key_parse(cm_blob_str(A), &k));
	assert_string_equal(cm_selector_key_text(&k, text), A);
	assert_true(cm_selector_key_parse(cm_blob_str(B), &k));
	assert_string_equal(cm_selector_key_text(&k, text), "0123456789ABCDEF0123456789ABCDEF01234567");
	for (size_t i = 0; i < CM_COUNT(bad); i++)
		assert_false(cm_selector_key_parse(cm_blob_str(bad[i]), &k));
}

static void
test_answers(void **state)
{
	static const struct {
		const char *answer;
		size_t len;		/* 0: strlen */
		const char *a, *b;	/* whose the two keys are; NULL: nobody's */
		const char *wrong;	/* NULL: it is taken */
	} cases[] = {
		{ "", 0, NULL, NULL, NULL },
		{ A "\talice\n", 0, "alice", NULL, NULL },
		{ A "\talice", 0, "alice", NULL, NULL },
		{ A "\talice\n" B "\tbob@example.org\n", 0, "alice", "bob@example.org", NULL },
		{ B "\tJ\xc3\xbcrgen\n", 0, NULL, "J\xc3\xbcrgen", NULL },
		{ A "\talice\n" A "\talice\n", 0, "alice", NULL, NULL },
		{ A "\ta b\n", 0, "a b", NULL, NULL },
		{ A "\t" N250 "12345\n", 0, N250 "12345", NULL, NULL },
		{ A "\t" N250 "123456\n", 0, NULL, NULL, "line 1 of its answer: a user's name has 1 to 255 bytes" },
		{ A "\talice\n" A "\tbob\n", 0, NULL, NULL, "line 2 of its answer: the same key has two users" },
		{ A "\t-rf\n", 0, NULL, NULL, "does not start with \"-\"" },
		{ A "\t\n", 0, NULL, NULL, "1 to 255" },
		{ A "\t../../etc\n", 0, NULL, NULL, "no \"/\"" },
		{ A "\t..\n", 0, NULL, NULL, "is not" },
		{ A "\t.\n", 0, NULL, NULL, "is not" },
		{ A "\talice\r\n", 0, NULL, NULL, "control character" },
		{ A "\tali\tce\n", 0, NULL, NULL, "control character" },
		{ A "\tali\033[2Jce\n", 0, NULL, NULL, "control character" },
		{ A "\tali\xc2\x85" "ce\n", 0, NULL, NULL, "control character" },
		{ A "\tali\x7f" "ce\n", 0, NULL, NULL, "control character" },
		{ A "\talice\0root\n", sizeof(A "\talice\0root\n") - 1, NULL, NULL, "control character" },
		{ A "\tali\xff" "ce\n", 0, NULL, NULL, "UTF-8" },
		{ A "\tali\xc3", 0, NULL, NULL, "UTF-8" },
		{ A " alice\n", 0, NULL, NULL, "a tab" },
		{ "alice\n", 0, NULL, NULL, "a tab" },
		{ A "\n", 0, NULL, NULL, "a tab" },
		{ "\n", 0, NULL, NULL, "a tab" },
		{ A "\talice\n\n", 0, NULL, NULL, "line 2" },
		{ "0" A "\talice\n", 0, NULL, NULL, "40 hex digits" },
		{ "\talice\n", 0, NULL, NULL, "40 hex digits" },
		{ "FF112233445566778899AABBCCDDEEFF00112233\talice\n", 0, NULL, NULL, "not asked" },
	};
	struct cm_selector_key keys[2];

	(void)state;
	assert_true(cm_selector_key_parse(cm_blob_str(A), &keys[0]));
	assert_true(cm_selector_key_parse(cm_blob_str(B), &keys[1]));
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const size_t len = cases[i].len != 0 ? cases[i].len : strlen(cases[i].answer);
		struct cm_trace *t = new_trace();
		char *users[2];
		const enum cm_err err = cm_selector_parse("/sel", (struct cm_blob){
		    (const uint8_t *)cases[i].answer, len }, keys, 2, t, users);

		assert_int_equal(err, cases[i].wrong == NULL ? CM_OK : CM_ERR_SYSTEM);
		assert_int_equal(cm_trace_reason(t), cases[i].wrong == NULL ? CM_REASON_NONE : CM_REASON_SELECTOR);
		if (cases[i].wrong != NULL && (strstr(cm_trace_message(t), cases[i].wrong) == NULL ||
		    strncmp(cm_trace_message(t), "/sel: ", 6) != 0))
			fail_msg("case %zu: %s", i, cm_trace_message(t));
		for (size_t k = 0; k < 2; k++) {
			const char *want = k == 0 ? cases[i].a : cases[i].b;

			assert_true((users[k] == NULL) == (want == NULL));
			if (want != NULL)
				assert_string_equal(users[k], want);
			free(users[k]);
		}
		cm_trace_free(&t);
	}
}

/* A program of root's, in a folder of root's. */
static char folder[64], path[96];

static int
write_program(void **state)
{
	static const char text[] = "#!/bin/sh\n"
	    "test \"$2\" = unbind && exit 7\n"
	    "test \"$(id -u)\" != 0 || exit 8\n"
	    "test \"$2\" = map && { test $# = 4 || test \"$3 $4\" = '-u alice'; } || exit 9\n"
	    "for last; do :; done\n"
	    "printf '%s\\tname-of-%s\\n' \"${last%%,*}\" \"$#\"\n";
	int fd;

	(void)state;
	if (geteuid() != 0)
		return 0;
	snprintf(folder, sizeof(folder), "/run/cm_selector_XXXXXX");
	if (mkdtemp(folder) == NULL || chmod(folder, 0755) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/program", folder);
	if ((fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755)) < 0 ||
	    write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1 || fchmod(fd, 0755) != 0)
		return -1;
	return close(fd);
}

static int
remove_program(void **state)
{
	(void)state;
	unlink(path);
	rmdir(folder);
	return 0;
}

static void
test_call(void **state)
{
	struct cm_trace *t = new_trace();
	struct cm_selector_key keys[2];
	struct cm_selector_call call = { .program = path, .keys = keys, .key_count = 1 };
	char *users[2];

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_true(cm_selector_key_parse(cm_blob_str(A), &keys[0]));
	assert_true(cm_selector_key_parse(cm_blob_str(B), &keys[1]));
	assert_int_equal(cm_selector_ask(&call, cm_deadline_in(20000), t, users), CM_OK);
	assert_string_equal(users[0], "name-of-4");
	free(users[0]);
	call.user = "alice";
	call.key_count = 2;
	assert_int_equal(cm_selector_ask(&call, cm_deadline_in(20000), t, users), CM_OK);
	assert_string_equal(users[0], "name-of-6");
	assert_null(users[1]);
	free(users[0]);

	call.user = "--help";
	assert_int_equal(cm_selector_ask(&call, cm_deadline_in(20000), t, users), CM_ERR_SYSTEM);
	assert_non_null(strstr(cm_trace_message(t), "is not asked about \"--help\""));
	call.user = NULL;
	call.operation = CM_SELECTOR_UNBIND;
	assert_int_equal(cm_selector_ask(&call, cm_deadline_in(20000), t, NULL), CM_ERR_SYSTEM);
	assert_int_equal(cm_trace_reason(t), CM_REASON_SELECTOR);
	assert_non_null(strstr(cm_trace_message(t), "it ended with status 7"));
	call.key_count = 0;
	assert_int_equal(cm_selector_ask(&call, cm_deadline_in(20000), t, NULL), CM_ERR_STATE);
	cm_trace_free(&t);
}

static void
test_program_that_is_not_there(void **state)
{
	static const struct cm_selector_key key;
	struct cm_selector_call call = { .program = "/usr/bin/no-such-selector", .keys = &key, .key_count = 1 };
	struct cm_trace *t = new_trace();
	char *users[1];

	(void)state;
	assert_int_equal(cm_selector_ask(&call, cm_deadline_in(20000), t, users), CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(t), CM_REASON_NONE);
	/* One that others could have put there is told as the selector's fault: it is no "nobody". */
	call.program = "/etc/passwd";
	assert_int_equal(cm_selector_ask(&call, cm_deadline_in(20000), t, users), CM_ERR_SYSTEM);
	assert_int_equal(cm_trace_reason(t), CM_REASON_SELECTOR);
	assert_non_null(strstr(cm_trace_message(t), "/etc/passwd: not a program"));
	cm_trace_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_text),
		cmocka_unit_test(test_answers),
		cmocka_unit_test_setup_teardown(test_call, write_program, remove_program),
		cmocka_unit_test(test_program_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
