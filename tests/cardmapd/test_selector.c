/* tests/cardmapd/test_selector.c - real selectors, run by the process that cardmapd forks for that; hostile ones among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cardmapd/selector.h"
#include "service/selector.h"

#define KEY	"\x01\x23\x45\x67\x89\xAB\xCD\xEF\x01\x23\x45\x67\x89\xAB\xCD\xEF\x01\x23\x45\x67"
#define TEXT	"0123456789ABCDEF0123456789ABCDEF01234567"

/* A folder of root's, and a program in it that is written anew by each test. */
struct place {
	char folder[64], program[96], seen[96];
	struct cm_selectors *selectors;
	struct cm_trace *trace;
};

static void
write_program(const struct place *p, const char *text, mode_t mode)
{
	const int fd = open(p->program, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(fd >= 0 && dprintf(fd, "#!/bin/sh\n%s\n", text) > 0 && fchmod(fd, mode) == 0);
	close(fd);
}

static int
set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	snprintf(p->folder, sizeof(p->folder), "/run/cm_selectors_XXXXXX");
	if (mkdtemp(p->folder) == NULL || chmod(p->folder, 0755) != 0)
		return -1;
	snprintf(p->program, sizeof(p->program), "%s/program", p->folder);
	snprintf(p->seen, sizeof(p->seen), "%s/seen", p->folder);
	close(open(p->seen, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
	chmod(p->seen, 0666);
	*state = p;
	return cm_trace_new(&p->trace) == CM_OK && cm_selectors_new(p->program, p->trace, &p->selectors) == CM_OK ? 0 : -1;
}

static int
tear_down(void **state)
{
	struct place *p = *state;
	char command[128];

	cm_selectors_free(&p->selectors);
	cm_trace_free(&p->trace);
	snprintf(command, sizeof(command), "rm -rf %s", p->folder);
	free(p);
	return system(command);
}

static enum cm_err
ask(struct place *p, const char *user, unsigned ms, struct cm_buf *answer)
{
	const struct cm_selection q = { .hashes = cm_blob_str(KEY), .user = user, .deadline = cm_deadline_in(ms) };

	cm_trace_clear_reason(p->trace);
	return cm_selectors_ask(p->selectors, &q, p->trace, answer);
}

static void
expect_failure(struct place *p, unsigned ms, const char *why)
{
	struct cm_buf answer = { 0 };

	assert_int_equal(ask(p, NULL, ms, &answer), CM_ERR_SYSTEM);
	assert_int_equal(cm_trace_reason(p->trace), CM_REASON_SELECTOR);
	if (strstr(cm_trace_message(p->trace), why) == NULL)
		fail_msg("\"%s\" is not in: %s", why, cm_trace_message(p->trace));
	assert_int_equal(answer.len, 0);
	cm_buf_free(&answer);
}

/* Its own user, the arguments of UserSelector(7), none of ours in it; and its words as they are. */
static void
test_it_is_run(void **state)
{
	struct place *p = *state;
	struct cm_buf answer = { 0 };

	write_program(p, "echo \"$*\"; test \"$(id -u)\" != 0 && ls /proc/$$/fd | tr '\\n' ' '; env | grep -c CM_", 0755);
	setenv("CM_SECRET", "ours", 1);
	assert_int_equal(ask(p, "alice", 20000, &answer), CM_ERR_SYSTEM);	/* grep's status */
	write_program(p, "echo \"$*\"; test \"$(id -u)\" != 0 && echo $$ && env | grep -c CM_; true", 0755);
	assert_int_equal(ask(p, "alice", 20000, &answer), CM_OK);
	assert_int_equal(strncmp(cm_buf_str(&answer), "-o map -u alice -i " TEXT "\n", strlen("-o map -u alice -i " TEXT "\n")), 0);
	assert_non_null(strstr(cm_buf_str(&answer), "\n0\n"));
	cm_buf_truncate(&answer, 0);
	write_program(p, "echo \"$*\"", 0755);
	assert_int_equal(ask(p, NULL, 20000, &answer), CM_OK);
	assert_string_equal(cm_buf_str(&answer), "-o map -i " TEXT "\n");
	cm_buf_free(&answer);
}

static void
test_hostile_programs(void **state)
{
	struct place *p = *state;
	char other[128];
	struct cm_buf answer = { 0 };

	write_program(p, "while :; do echo flood; done", 0755);
	expect_failure(p, 20000, "it wrote more than 16384 bytes");
	write_program(p, "echo said; exit 3", 0755);
	expect_failure(p, 20000, "it ended with status 3");
	write_program(p, "echo said; kill -9 $$", 0755);
	expect_failure(p, 20000, "it was ended by SIGKILL");
	write_program(p, "echo said", 0775);
	expect_failure(p, 20000, "others may write it");
	write_program(p, "echo said", 0755);
	assert_int_equal(chown(p->program, 65534, 0), 0);
	expect_failure(p, 20000, "belongs to uid 65534");
	assert_int_equal(chown(p->program, 0, 0), 0);
	snprintf(other, sizeof(other), "%s/other", p->folder);
	assert_int_equal(rename(p->program, other), 0);
	assert_int_equal(symlink(other, p->program), 0);
	expect_failure(p, 20000, "is a link");
	assert_int_equal(unlink(p->program), 0);
	assert_int_equal(ask(p, NULL, 20000, &answer), CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(p->trace), CM_REASON_NONE);
	cm_buf_free(&answer);
}

/* The resolver sends nothing of that: whoever does is none that is answered. */
static void
test_questions_that_nobody_may_ask(void **state)
{
	static const char *const users[] = { "--help", "-o", "a/b", "..", "a\nb", "a\x1b[2J", "\xff", "" };
	struct place *p = *state;
	struct cm_buf answer = { 0 };
	struct cm_selection q = { .hashes = cm_blob_str(KEY "x"), .deadline = cm_deadline_in(20000) };

	write_program(p, "echo \"$*\" >>\"${0%/*}/seen\"", 0755);
	for (size_t i = 0; i < CM_COUNT(users); i++)
		assert_int_equal(ask(p, users[i], 20000, &answer), CM_ERR_USAGE);
	assert_int_equal(cm_selectors_ask(p->selectors, &q, p->trace, &answer), CM_ERR_USAGE);
	q.hashes.len = 0;
	assert_int_equal(cm_selectors_ask(p->selectors, &q, p->trace, &answer), CM_ERR_USAGE);
	assert_int_equal(answer.len, 0);
}

struct waiting {
	struct place *p;
	enum cm_err err;
	struct cm_trace *trace;
};

static void *
wait_for_answer(void *arg)
{
	struct waiting *w = arg;
	const struct cm_selection q = { .hashes = cm_blob_str(KEY), .user = "slow", .deadline = cm_deadline_in(60000) };
	struct cm_buf answer = { 0 };

	w->err = cm_selectors_ask(w->p->selectors, &q, w->trace, &answer);
	cm_buf_free(&answer);
	return NULL;
}

/* The pid that it wrote down, once it has. */
static pid_t
pid_of_program(const struct place *p)
{
	const cm_deadline deadline = cm_deadline_in(20000);
	long pid = 0;

	while (pid == 0 && !cm_deadline_passed(deadline)) {
		FILE *in = fopen(p->seen, "r");
		char line[32];

		if (in != NULL && fgets(line, sizeof(line), in) != NULL && strchr(line, '\n') != NULL)
			pid = strtol(line, NULL, 10);
		if (in != NULL)
			fclose(in);
		(void)poll(NULL, 0, 5);
	}
	assert_true(pid > 1);
	return (pid_t)pid;
}

static void
expect_end(pid_t pid)
{
	const cm_deadline deadline = cm_deadline_in(20000);

	while (kill(pid, 0) == 0) {
		assert_false(cm_deadline_passed(deadline));
		(void)poll(NULL, 0, 5);
	}
}

/* One that hangs is ended at its deadline; and holds up nobody else until then. */
static void
test_a_hanging_program(void **state)
{
	struct place *p = *state;
	struct waiting w = { .p = p };
	struct cm_buf answer = { 0 };
	char text[256];
	pthread_t thread;
	pid_t pid;

	snprintf(text, sizeof(text), "echo $$ >>%s; exec sleep 1000", p->seen);
	write_program(p, text, 0755);
	expect_failure(p, 500, "it took too long and was ended");
	expect_end(pid_of_program(p));

	assert_int_equal(truncate(p->seen, 0), 0);
	snprintf(text, sizeof(text), "test \"$4\" = slow || exit 0; echo $$ >>%s; exec sleep 1000", p->seen);
	write_program(p, text, 0755);
	assert_int_equal(cm_trace_new(&w.trace), CM_OK);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_answer, &w), 0);
	pid = pid_of_program(p);
	assert_int_equal(ask(p, "fast", 20000, &answer), CM_OK);

	/* cardmapd ends: who waits is told, and what runs ends too */
	assert_false(cm_selectors_gone(p->selectors));
	cm_selectors_stop(p->selectors);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(w.err, CM_ERR_SYSTEM);
	assert_int_equal(cm_trace_reason(w.trace), CM_REASON_SELECTOR);
	expect_end(pid);
	assert_true(cm_selectors_gone(p->selectors));
	expect_failure(p, 20000, p->program);
	cm_trace_free(&w.trace);
	cm_buf_free(&answer);
}

int
main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_it_is_run),
		T(test_hostile_programs),
		T(test_questions_that_nobody_may_ask),
		T(test_a_hanging_program),
	};
#undef T

	if (geteuid() != 0) {
		puts("[  SKIPPED ] programs are root's, and are run as another user");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
