/*
 * tests/service/test_logind.c - a session locked or ended by logind: what its answers mean, and that nobody waits for it for ever.
 *
 * The bus is a real dbus-daemon of this test's own; what has logind's name on it is a service of this test's (sd-bus),
 * which answers, refuses, or says nothing.  What a real logind does is tests/packaging/test_unit_login.py's.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/logind.h"

#define NAME	"org.freedesktop.login1"
#define LONG_MS	20000	/* nobody takes it: only what fails does */
#define SHORT_MS 300
#define LATE_MS	10000	/* a machine may be busy */

struct world {
	char folder[64], socket[96], config[96];
	pid_t daemon, logind;
	struct cm_trace *trace;
};

/* ---- logind, of this test's making */

/* The session's name says what it answers. */
static int
act(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	const char *session = "";

	(void)arg;
	sd_bus_message_read(m, "s", &session);
	if (strcmp(session, "silent") == 0)
		return 1;
	if (strcmp(session, "gone") == 0)
		return sd_bus_error_set(error, "org.freedesktop.login1.NoSuchSession", "there is none");
	if (strcmp(session, "denied") == 0)
		return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "not you");
	if (strcmp(session, "broken") == 0)
		return sd_bus_error_set(error, SD_BUS_ERROR_FAILED, "it is broken");
	/* Each action has one session of its own, so that one is not taken for the other. */
	if (strcmp(session, sd_bus_message_is_method_call(m, NULL, "LockSession") ? "to-lock" : "to-end") != 0)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "the other action");
	return sd_bus_reply_method_return(m, "");
}

static _Noreturn void
be_logind(const char *address)
{
	static const sd_bus_vtable table[] = {
		SD_BUS_VTABLE_START(0),
		SD_BUS_METHOD("LockSession", "s", "", act, SD_BUS_VTABLE_UNPRIVILEGED),
		SD_BUS_METHOD("TerminateSession", "s", "", act, SD_BUS_VTABLE_UNPRIVILEGED),
		SD_BUS_VTABLE_END,
	};
	sd_bus *bus = NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, address) < 0 || sd_bus_set_bus_client(bus, true) < 0 ||
	    sd_bus_start(bus) < 0 || sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/login1", NAME ".Manager", table, NULL) < 0 ||
	    sd_bus_request_name(bus, NAME, 0) < 0)
		_exit(1);
	for (;;)
		if (sd_bus_process(bus, NULL) == 0)
			sd_bus_wait(bus, UINT64_MAX);
}

static bool
has_name(const char *address)
{
	sd_bus *bus = NULL;
	bool has = sd_bus_new(&bus) >= 0 && sd_bus_set_address(bus, address) >= 0 && sd_bus_set_bus_client(bus, true) >= 0 &&
	    sd_bus_start(bus) >= 0 && sd_bus_get_name_creds(bus, NAME, 0, NULL) >= 0;

	sd_bus_flush_close_unref(bus);
	return has;
}

/* ---- the bus */

static void
write_config(const struct world *w)
{
	FILE *f = fopen(w->config, "we");

	assert_non_null(f);
	fprintf(f, "<busconfig><type>session</type><listen>unix:path=%s</listen><policy context=\"default\">"
	    "<allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>\n", w->socket);
	assert_int_equal(fclose(f), 0);
}

static int
set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char address[128];
	cm_deadline deadline = cm_deadline_in(LONG_MS);

	assert_non_null(w);
	snprintf(w->folder, sizeof(w->folder), "/tmp/cardmap-bus.XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->socket, sizeof(w->socket), "%s/bus", w->folder);
	snprintf(w->config, sizeof(w->config), "%s/conf", w->folder);
	snprintf(address, sizeof(address), "unix:path=%s", w->socket);
	write_config(w);
	if ((w->daemon = fork()) == 0) {
		char option[128];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(option, sizeof(option), "--config-file=%s", w->config);
		execlp("dbus-daemon", "dbus-daemon", option, "--nofork", "--nopidfile", "--nosyslog", (char *)NULL);
		_exit(127);
	}
	while (access(w->socket, F_OK) != 0 && !cm_deadline_passed(deadline))
		usleep(5000);
	if ((w->logind = fork()) == 0)
		be_logind(address);
	while (!has_name(address))
		assert_false(cm_deadline_passed(deadline));
	assert_int_equal(cm_trace_new(&w->trace), CM_OK);
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	kill(w->logind, SIGKILL);
	kill(w->daemon, SIGKILL);
	waitpid(w->logind, NULL, 0);
	waitpid(w->daemon, NULL, 0);
	unlink(w->socket);
	unlink(w->config);
	rmdir(w->folder);
	cm_trace_free(&w->trace);
	free(w);
	return 0;
}

/* ---- */

static void
test_answers(void **state)
{
	static const struct {
		const char *session;
		enum cm_conf_removal action;
		enum cm_err err;
		enum cm_reason reason;
	} cases[] = {
		{ "to-lock", CM_REMOVAL_LOCK, CM_OK, CM_REASON_NONE },
		{ "to-end", CM_REMOVAL_LOGOUT, CM_OK, CM_REASON_NONE },
		{ "to-end", CM_REMOVAL_LOCK, CM_ERR_SYSTEM, CM_REASON_SYSTEM },
		{ "gone", CM_REMOVAL_LOCK, CM_ERR_ABSENT, CM_REASON_NONE },
		{ "denied", CM_REMOVAL_LOGOUT, CM_ERR_REFUSED, CM_REASON_NOT_ROOT },
		{ "broken", CM_REMOVAL_LOCK, CM_ERR_SYSTEM, CM_REASON_SYSTEM },
	};
	struct world *w = *state;

	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		cm_trace_clear_reason(w->trace);
		assert_int_equal(cm_logind_act(w->socket, cases[i].session, cases[i].action, cm_deadline_in(LONG_MS), w->trace), cases[i].err);
		assert_int_equal(cm_trace_reason(w->trace), cases[i].reason);
	}
}

/* Ends at its deadline, and says whom it waited for. */
static void
check_late(struct world *w, const char *bus, const char *session)
{
	const cm_deadline late = cm_deadline_in(LATE_MS);

	cm_trace_clear_reason(w->trace);
	assert_int_equal(cm_logind_act(bus, session, CM_REMOVAL_LOCK, cm_deadline_in(SHORT_MS), w->trace), CM_ERR_SYSTEM);
	assert_int_equal(cm_trace_reason(w->trace), CM_REASON_SYSTEM);
	assert_non_null(strstr(cm_trace_message(w->trace), session));
	assert_false(cm_deadline_passed(late));
}

static void
test_logind_that_says_nothing(void **state)
{
	struct world *w = *state;

	check_late(w, w->socket, "silent");
	kill(w->logind, SIGSTOP);
	check_late(w, w->socket, "to-lock");
	kill(w->logind, SIGCONT);
	assert_int_equal(cm_logind_act(w->socket, "to-lock", CM_REMOVAL_LOCK, cm_deadline_in(LONG_MS), w->trace), CM_OK);
}

static void
test_a_bus_that_hangs(void **state)
{
	struct world *w = *state;

	kill(w->daemon, SIGSTOP);
	check_late(w, w->socket, "to-lock");
	kill(w->daemon, SIGCONT);
	assert_int_equal(cm_logind_act(w->socket, "to-lock", CM_REMOVAL_LOCK, cm_deadline_in(LONG_MS), w->trace), CM_OK);
}

/* Somebody who listens and takes nobody in, with no more room for those who wait. */
static void
test_a_bus_that_is_full(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct world *w = *state;
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), others[8];

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/full", w->folder);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 0), 0);
	check_late(w, a.sun_path, "to-lock");
	for (size_t i = 0; i < CM_COUNT(others); i++) {
		others[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)!connect(others[i], (struct sockaddr *)&a, sizeof(a));
	}
	check_late(w, a.sun_path, "to-lock");
	for (size_t i = 0; i < CM_COUNT(others); i++)
		close(others[i]);
	close(listener);
	unlink(a.sun_path);
	check_late(w, a.sun_path, "to-lock");	/* and one that is not there */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_logind_that_says_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_bus_that_hangs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_bus_that_is_full, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
