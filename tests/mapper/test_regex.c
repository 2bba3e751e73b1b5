/* tests/mapper/test_regex.c - the same answers as regexec(3), and none that costs more than its limits. */
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "mapper/regex_internal.h"

static struct cm_regexes *
make(bool back_references)
{
	struct cm_regexes *r = NULL;

	assert_int_equal(cm_regexes_new(back_references, &r), CM_OK);
	return r;
}

static size_t
add(struct cm_regexes *r, const char *pattern, unsigned flags)
{
	const struct cm_regex x = { .pattern = cm_blob_str(pattern), .flags = flags };
	struct cm_syntax why;
	size_t id = 0;

	if (cm_regexes_add(r, &x, &id, &why) != CM_OK)
		fail_msg("%s: %s", pattern, why.what);
	return id;
}

static bool
matches(struct cm_regexes *r, size_t id, const char *text)
{
	const enum cm_err err = cm_regexes_match(r, id, cm_blob_str(text), NULL);

	assert_true(err == CM_OK || err == CM_ERR_ABSENT);
	return err == CM_OK;
}

static const struct {
	const char *pattern;
	unsigned flags;
	const char *text;
	bool match, child;
} rows[] = {
	{ "", 0, "abc", true, false },
	{ "^$", 0, "", true, false },
	{ "^$", 0, "a", false, false },
	{ "CN=A", 0, "O=x,CN=Ab", true, false },
	{ "^CN=A$", 0, "CN=A", true, false },
	{ "^CN=A$", 0, "CN=AB", false, false },
	{ "^CN=A", 0, "xCN=A", false, false },
	{ "A$", 0, "CN=A", true, false },
	{ "^a\\.b$", 0, "a.b", true, false },
	{ "^a\\.b$", 0, "axb", false, false },
	{ "^a.b$", 0, "axb", true, false },
	{ "a\\$", 0, "a$b", true, false },
	{ "a\\\\$", 0, "a\\", true, false },
	{ "abc", CM_REGEX_IGNORE_CASE, "xAbC", true, false },
	{ "a+b", CM_REGEX_BASIC, "a+b", true, false },
	{ "a+b", CM_REGEX_BASIC, "aab", false, false },
	{ "a+b", 0, "aab", true, true },
	{ "^(CN|O)=[A-Z]{2,3}$", 0, "O=AB", true, true },
	{ "^(CN|O)=[A-Z]{2,3}$", 0, "O=A", false, true },
	{ "^\\(a\\|b\\)\\+$", CM_REGEX_BASIC, "abba", true, true },
	{ "^[a-z]*$", CM_REGEX_IGNORE_CASE, "ABC", true, true },
	{ ".*", 0, "", true, true },
	{ "^...$", 0, "\xC3\xA4", false, false },	/* octets, not characters */
	{ "^[^x]{2}$", 0, "\xC3\xA4", true, true },
};

static void
test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_regexes *r = make(false);
		const size_t id = add(r, rows[i].pattern, rows[i].flags);

		if (matches(r, id, rows[i].text) != rows[i].match)
			fail_msg("%s on %s", rows[i].pattern, rows[i].text);
		if ((cm_regexes_child(r) != 0) != rows[i].child)
			fail_msg("%s: child", rows[i].pattern);
		cm_regexes_free(&r);
		assert_null(r);
	}
}

static void
test_syntax(void **state)
{
	static const struct { const char *pattern; size_t column; const char *what; } bad[] = {
		{ "(", 1, "Unmatched ( or \\(" },
		{ "a{2,1}", 1, "Invalid content of \\{\\}" },
		{ "[b", 1, "Unmatched [, [^, [:, [., or [=" },
		{ "(a)\\1", 4, "back-references are not allowed" },
		{ "[\\1](a)\\1", 8, "back-references are not allowed" },
		{ "[]\\1](a)\\1", 9, "back-references are not allowed" },
		{ "[[:digit:]\\1]\\1", 14, "back-references are not allowed" },
	};
	struct cm_regexes *r = make(false);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(bad); i++) {
		const struct cm_regex x = { .pattern = cm_blob_str(bad[i].pattern) };
		struct cm_syntax why;
		size_t id = 0;

		assert_int_equal(cm_regexes_add(r, &x, &id, &why), CM_ERR_SYNTAX);
		assert_string_equal(why.what, bad[i].what);
		assert_int_equal(why.column, bad[i].column);
	}
	/* what was wrong stays without effect on what is right */
	assert_true(matches(r, add(r, "[\\1]+", 0), "\\1"));
	cm_regexes_free(&r);
	r = make(true);
	assert_true(matches(r, add(r, "^(a+)b\\1$", 0), "aabaa"));
	cm_regexes_free(&r);
}

static void
test_a_nul_is_matched_by_none(void **state)
{
	static const char *const patterns[] = { "", "alice", "^alice", "ali(c|k)e", ".*" };
	struct cm_regexes *r = make(false);
	const struct cm_blob text = { (const uint8_t *)"alice\0@evil", 11 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(patterns); i++) {
		const size_t id = add(r, patterns[i], 0);

		assert_int_equal(cm_regexes_match(r, id, text, NULL), CM_ERR_ABSENT);
	}
	cm_regexes_free(&r);
}

/* Marsaglia's xorshift: the same numbers in every run. */
static unsigned
number(unsigned below)
{
	static uint32_t x = 2463534242u;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x % below;
}

/* Few different octets, so that matches happen; each with a meaning somewhere. */
static void
random_text(char *out, size_t max, const char *alphabet)
{
	const size_t n = number((unsigned)max), letters = strlen(alphabet);

	for (size_t i = 0; i < n; i++)
		out[i] = alphabet[number((unsigned)letters)];
	out[n] = '\0';
}

static void
test_literals_as_regexec_has_them(void **state)
{
	static const char alphabet[] = "aaabbAB\\\\..$^{}]),+*?|<-=\xC3\xA4\n";
	size_t literal = 0;

	(void)state;
	for (int i = 0; i < 60000; i++) {
		const unsigned flags = number(4);
		char pattern[8], text[10];
		struct cm_literal l = { 0 };
		struct cm_regex x;
		regex_t re;

		random_text(pattern, sizeof(pattern), alphabet);
		random_text(text, sizeof(text), "aabbABab.$^\\,\xC3\xA4\n");
		x = (struct cm_regex){ .pattern = cm_blob_str(pattern), .flags = flags };
		if (cm_literal_parse(&x, &l) != CM_OK)
			continue;
		literal++;
		if (regcomp(&re, pattern, (flags & CM_REGEX_BASIC ? 0 : REG_EXTENDED) |
		    (flags & CM_REGEX_IGNORE_CASE ? REG_ICASE : 0)) != 0)
			fail_msg("\"%s\" does not compile", pattern);
		if ((regexec(&re, text, 0, NULL, 0) == 0) != cm_literal_match(&l, cm_blob_str(text)))
			fail_msg("\"%s\" on \"%s\", flags %u", pattern, text, flags);
		regfree(&re);
		cm_literal_clear(&l);
	}
	assert_true(literal > 10000);
}

/* Expressions and texts at random: the child and its kept answers against regexec(3) here. */
static void
test_child_as_regexec_has_it(void **state)
{
	struct cm_regexes *r = make(false);
	regex_t all[100];
	size_t ids[100];

	(void)state;
	for (size_t i = 0; i < CM_COUNT(all);) {
		char pattern[12];

		random_text(pattern, sizeof(pattern), "aabb.*+?()|[^]$");
		if (regcomp(&all[i], pattern, REG_EXTENDED) != 0)
			continue;
		ids[i++] = add(r, pattern, 0);
	}
	for (int k = 0; k < 60; k++) {
		char text[10];

		random_text(text, sizeof(text), "abc");
		for (size_t i = 0; i < CM_COUNT(all); i++) {
			const size_t at = k % 3 == 0 ? number(CM_COUNT(all)) : i;

			assert_int_equal(matches(r, ids[at], text), regexec(&all[at], text, 0, NULL, 0) == 0);
		}
	}
	for (size_t i = 0; i < CM_COUNT(all); i++)
		regfree(&all[i]);
	cm_regexes_free(&r);
}

/* 27 octets that took glibc 287 MB and seconds, and others of their kind. */
static void
test_too_much_to_compile(void **state)
{
	static const char *const bad[] = {
		"(((a{1,40}){1,40}){1,40})+b",
		"((a{1,255}){1,255}){1,255}",
		"((((a{0,99}){0,99}){0,99}){0,99})",
	};
	struct cm_regexes *r = make(false);
	const size_t good = add(r, "^a+$", 0);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(bad); i++) {
		const struct cm_regex x = { .pattern = cm_blob_str(bad[i]) };
		struct cm_syntax why;
		size_t id = 0;

		assert_int_equal(cm_regexes_add(r, &x, &id, &why), CM_ERR_CONFIG);
		assert_non_null(strstr(why.what, "takes too much"));
		assert_true(matches(r, good, "aaa"));
		assert_false(matches(r, good, "aab"));
	}
	cm_regexes_free(&r);
}

/* A text on which an expression that compiles takes for ever, or a state for each beginning. */
static void
test_too_much_to_match(void **state)
{
	static const char *const bad[] = {
		"^(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)\\9\\8\\7\\6\\5\\4\\3\\2\\1x$",
		"(a|b)*a(a|b){400}(a|b)*c",
	};
	char text[4001];
	struct cm_regexes *r = make(true);
	const size_t good = add(r, "^(a|b)+$", 0);

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = "ab"[number(2)];
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i < CM_COUNT(bad); i++) {
		const size_t id = add(r, bad[i], 0);
		struct cm_trace *t = NULL;

		assert_int_equal(cm_trace_new(&t), CM_OK);
		assert_int_equal(cm_regexes_match(r, id, cm_blob_str(text), t), CM_ERR_CONFIG);
		assert_int_equal(cm_trace_reason(t), CM_REASON_RULE_REGEX);
		assert_non_null(strstr(cm_trace_message(t), "takes too much"));
		assert_non_null(strstr(cm_trace_message(t), bad[i]));
		cm_trace_free(&t);
		assert_true(matches(r, good, text));
		assert_false(matches(r, id, "abc"));
	}
	cm_regexes_free(&r);
}

/*
 * The text matches, but only who has the memory for it can know: regexec(3)
 * says that it does not.  A limit is never a no.
 */
static void
test_too_little_memory_is_not_a_no(void **state)
{
	static const int lengths[] = { 500, 1000, 2000, 4000, 8000 };
	struct cm_regexes *r = make(false);
	const size_t id = add(r, "(a|b)*a(a|b){400}(a|b)*c", 0);
	char text[8001];

	(void)state;
	for (size_t i = 0; i < CM_COUNT(lengths); i++) {
		enum cm_err err;

		for (int k = 0; k < lengths[i]; k++)
			text[k] = "ab"[number(2)];
		text[lengths[i] - 1] = 'c';
		text[lengths[i]] = '\0';
		err = cm_regexes_match(r, id, cm_blob_str(text), NULL);
		if (err != CM_OK && err != CM_ERR_CONFIG)
			fail_msg("%d octets: %s", lengths[i], cm_err_name(err));
	}
	cm_regexes_free(&r);
}

static void
test_another_child_after_its_death(void **state)
{
	struct cm_regexes *r = make(false);
	const size_t id = add(r, "^(a|b)+$", 0);
	const int first = cm_regexes_child(r);

	(void)state;
	assert_true(matches(r, id, "ab"));
	assert_int_equal(kill(first, SIGKILL), 0);
	assert_false(matches(r, id, "abc"));
	assert_true(matches(r, id, "ba"));
	assert_int_not_equal(cm_regexes_child(r), 0);
	cm_regexes_free(&r);
}

/* One line of /proc/PID/FILE that begins with key. */
static void
proc_line(int pid, const char *file, const char *key, char line[256])
{
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	assert_non_null(f = fopen(path, "re"));
	do {
		assert_non_null(fgets(line, 256, f));
	} while (strncmp(line, key, strlen(key)) != 0);
	(void)fclose(f);
}

static void
test_what_the_child_may(void **state)
{
	struct cm_regexes *r = NULL;
	char line[256], path[64];
	int pid, secret = open("/dev/null", O_RDONLY);	/* not close-on-exec: a child would have it */

	(void)state;
	assert_true(secret >= 0);
	r = make(false);
	assert_true(matches(r, add(r, "a+", 0), "a"));
	pid = cm_regexes_child(r);
	proc_line(pid, "status", "NoNewPrivs", line);
	assert_string_equal(line, "NoNewPrivs:\t1\n");
	proc_line(pid, "limits", "Max open files", line);
	assert_non_null(strstr(line, " 0 "));
	proc_line(pid, "limits", "Max address space", line);
	assert_null(strstr(line, "unlimited"));
	proc_line(pid, "limits", "Max cpu time", line);
	assert_int_not_equal(strtol(line + strlen("Max cpu time"), NULL, 10), 0);
	if (geteuid() == 0) {	/* not dumpable: only root may look */
		for (int fd = 1; fd < 64; fd++) {
			(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
			assert_int_equal(readlink(path, line, sizeof(line)), -1);
		}
	} else {
		(void)snprintf(path, sizeof(path), "/proc/%d/mem", pid);
		assert_int_equal(open(path, O_RDONLY | O_CLOEXEC), -1);
	}
	cm_regexes_free(&r);
	(void)close(secret);
}

/* After a fork both processes ask, and neither gets the other's answers. */
static void
test_after_a_fork(void **state)
{
	struct cm_regexes *r = make(false);
	const size_t a = add(r, "^(a|x)+$", 0), b = add(r, "^(b|x)+$", 0);
	const int mine = cm_regexes_child(r);
	int status = -1;
	pid_t pid;

	(void)state;
	assert_int_equal(cm_regexes_child(r), mine);
	if ((pid = fork()) == 0) {
		int bad = cm_regexes_child(r) != 0;

		for (int i = 0; i < 50; i++) {
			char text[8];

			(void)snprintf(text, sizeof(text), "b%.*s", i % 4, "xxxx");
			bad |= cm_regexes_match(r, a, cm_blob_str(text), NULL) != CM_ERR_ABSENT;
			bad |= cm_regexes_match(r, b, cm_blob_str(text), NULL) != CM_OK;
		}
		bad |= cm_regexes_child(r) == mine;
		cm_regexes_free(&r);
		_exit(bad);
	}
	for (int i = 0; i < 50; i++) {
		char text[8];

		(void)snprintf(text, sizeof(text), "a%.*s", i % 4, "xxxx");
		assert_true(matches(r, a, text));
		assert_false(matches(r, b, text));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(cm_regexes_child(r), mine);
	cm_regexes_free(&r);
}

struct work {
	struct cm_regexes *r;
	size_t a, b;
	unsigned seed;
	int bad;
};

static void *
ask_much(void *arg)
{
	struct work *w = arg;

	for (unsigned i = 0; i < 400; i++) {
		const unsigned n = (w->seed * 31 + i * 17) % 97;
		char text[16];

		(void)snprintf(text, sizeof(text), "%c%u", n % 2 == 0 ? 'a' : 'b', n);
		w->bad += cm_regexes_match(w->r, w->a, cm_blob_str(text), NULL) !=
		    (n % 2 == 0 ? CM_OK : CM_ERR_ABSENT);
		w->bad += cm_regexes_match(w->r, w->b, cm_blob_str(text), NULL) !=
		    (n % 2 == 0 ? CM_ERR_ABSENT : CM_OK);
	}
	return NULL;
}

static void
test_threads(void **state)
{
	struct cm_regexes *r = make(false);
	const size_t a = add(r, "^a[0-9]+$", 0), b = add(r, "^b[0-9]+$", 0);
	struct work works[4];
	pthread_t threads[4];

	(void)state;
	for (unsigned i = 0; i < CM_COUNT(works); i++) {
		works[i] = (struct work){ .r = r, .a = a, .b = b, .seed = i };
		assert_int_equal(pthread_create(&threads[i], NULL, ask_much, &works[i]), 0);
	}
	for (unsigned i = 0; i < CM_COUNT(works); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(works[i].bad, 0);
	}
	cm_regexes_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_a_nul_is_matched_by_none),
		cmocka_unit_test(test_literals_as_regexec_has_them),
		cmocka_unit_test(test_child_as_regexec_has_it),
		cmocka_unit_test(test_too_much_to_compile),
		cmocka_unit_test(test_too_much_to_match),
		cmocka_unit_test(test_too_little_memory_is_not_a_no),
		cmocka_unit_test(test_another_child_after_its_death),
		cmocka_unit_test(test_what_the_child_may),
		cmocka_unit_test(test_after_a_fork),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
