/* tests/cardmapd/test_permissions.c - who may call what: every cell of the table, and as whom somebody calls. */
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cardmapd/permissions.h"

#define NO	CM_MAY_NOT
#define OWN	CM_MAY_OWN
#define ALL	CM_MAY

/* As cardmap-protocol(7) has it: a user about his own card, a helpdesk whose any card is and why, root all. */
static const struct {
	const char *method;
	enum cm_permission root, helpdesk, anybody;
} wanted[] = {
	{ "io.cardmap.Login.Begin",	ALL, OWN, OWN },
	{ "io.cardmap.Login.Answer",	OWN, OWN, OWN },	/* nobody's but who began: root's neither */
	{ "io.cardmap.Login.Cancel",	OWN, OWN, OWN },
	{ "io.cardmap.Whois",		ALL, ALL, OWN },
	{ "io.cardmap.Explain",		ALL, ALL, OWN },
	{ "io.cardmap.Cards",		ALL, ALL, OWN },
	{ "io.cardmap.Accounts",	ALL, NO,  NO },
	{ "io.cardmap.Doctor",		ALL, OWN, OWN },
	{ "io.cardmap.Revocation",	ALL, ALL, OWN },
	{ "io.cardmap.Enforcement",	ALL, ALL, OWN },	/* skip_once is root's alone: test_live.py */
	{ "io.cardmap.Status",		ALL, ALL, NO },
	{ "io.cardmap.Log",		ALL, NO,  NO },
};

static void
test_cells(void **state)
{
	struct cm_permission_row row;
	size_t rows = 0;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(wanted); i++) {
		assert_int_equal(cm_permissions_of(wanted[i].method, CM_CALLER_ROOT), wanted[i].root);
		assert_int_equal(cm_permissions_of(wanted[i].method, CM_CALLER_HELPDESK), wanted[i].helpdesk);
		assert_int_equal(cm_permissions_of(wanted[i].method, CM_CALLER_ANYBODY), wanted[i].anybody);
	}
	while (cm_permissions_row(rows, &row))
		rows++;
	assert_int_equal(rows, CM_COUNT(wanted));
}

static void
test_unknown_is_nobodys(void **state)
{
	static const char *const none[] = { "", "Status", "io.cardmap.status", "io.cardmap.Status2", "io.cardmap", "org.example.Status" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(none); i++)
		for (int who = 0; who < CM_CALLER_COUNT; who++)
			assert_int_equal(cm_permissions_of(none[i], (enum cm_caller)who), CM_MAY_NOT);
}

/* In a child of this user and these groups: as whom it calls, by a socket pair of its own making. */
static enum cm_caller
caller_of(const char *helpdesk, uid_t uid, gid_t gid, gid_t other)
{
	struct cm_conf conf = { .service = { .helpdesk_group = (char *)(uintptr_t)helpdesk } };
	int status = -1;
	const pid_t pid = fork();

	if (pid == 0) {
		int pair[2];

		if (setgroups(1, &other) != 0 || setgid(gid) != 0 || setuid(uid) != 0 ||
		    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
			_exit(99);
		_exit((int)cm_permissions_caller(&conf, pair[0], uid, gid));
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return (enum cm_caller)WEXITSTATUS(status);
}

static void
test_callers(void **state)
{
	const struct group *staff = getgrnam("staff");
	const gid_t gid = staff != NULL ? staff->gr_gid : 50;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(staff);
	assert_int_equal(caller_of("staff", 0, 0, 0), CM_CALLER_ROOT);
	assert_int_equal(caller_of("staff", 4711, 4711, gid), CM_CALLER_HELPDESK);
	assert_int_equal(caller_of("staff", 4711, gid, 4711), CM_CALLER_HELPDESK);
	assert_int_equal(caller_of("staff", 4711, 4711, gid + 1), CM_CALLER_ANYBODY);
	assert_int_equal(caller_of(NULL, 4711, 4711, gid), CM_CALLER_ANYBODY);
	assert_int_equal(caller_of("no-such-group", 4711, 4711, gid), CM_CALLER_ANYBODY);
}

int
main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_unknown_is_nobodys),
		cmocka_unit_test(test_callers),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}
