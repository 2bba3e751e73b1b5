/* tests/service/test_seat.c - a reader serves its own seat: every row of that rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/seat.h"

#define USER	10001
#define OTHER	10002

/* logind, session, remote, active, seat, owner */
#define AT_SEAT		{ true, true, false, true, true, USER }
#define REMOTE		{ true, true, true, true, false, USER }
#define REMOTE_SEAT	{ true, true, true, true, true, USER }
#define SWITCHED_AWAY	{ true, true, false, false, true, USER }
#define NO_SEAT		{ true, true, false, true, false, USER }
#define OTHERS		{ true, true, false, true, true, OTHER }
#define BACKGROUND	{ true, false, false, false, false, (uid_t)-1 }
#define NO_LOGIND	{ false, false, false, false, false, (uid_t)-1 }

static const struct {
	const char *what;
	struct cm_seat seat;
	struct cm_seat_request request;
	const char *why;	/* NULL: may */
} rows[] = {
	/* su, sudo, a polkit helper: root's programs in somebody's session at this computer */
	{ "root, at the seat", AT_SEAT, { 0, "su", NULL }, NULL },
	{ "root, at the seat, of any service", AT_SEAT, { 0, "whatever", NULL }, NULL },
	{ "root, at the seat, no service said", AT_SEAT, { 0, NULL, NULL }, NULL },
	{ "root, in a remote session", REMOTE, { 0, "sudo", NULL }, "remote" },
	{ "root, in a remote session with a seat", REMOTE_SEAT, { 0, "sudo", NULL }, "remote" },
	{ "a greeter's service, in a remote session", REMOTE, { 0, "login", NULL }, "remote" },
	{ "root, in a session that is not the active one", SWITCHED_AWAY, { 0, "sudo", NULL }, "not the active one" },
	{ "root, in a session without a seat", NO_SEAT, { 0, "sudo", NULL }, "no seat" },
	/* from elsewhere */
	{ "sshd", BACKGROUND, { 0, "sshd", "198.51.100.7" }, "comes from 198.51.100.7" },
	{ "a greeter's service, from elsewhere", BACKGROUND, { 0, "login", "198.51.100.7" }, "comes from" },
	{ "root, at the seat, for somebody elsewhere", AT_SEAT, { 0, "sshd", "198.51.100.7" }, "comes from" },
	{ "a user, at the seat, for somebody elsewhere", AT_SEAT, { USER, "x", "198.51.100.7" }, "comes from" },
	{ "root, at the seat, for somebody of this computer over its network", AT_SEAT, { 0, "sshd", "localhost" }, "comes from localhost" },
	{ "an empty PAM_RHOST is none", AT_SEAT, { 0, "su", "" }, NULL },
	/* who logs people in */
	{ "login", BACKGROUND, { 0, "login", NULL }, NULL },
	{ "gdm", BACKGROUND, { 0, "gdm-smartcard", NULL }, NULL },
	{ "lightdm", BACKGROUND, { 0, "lightdm", NULL }, NULL },
	{ "a background process of root's", BACKGROUND, { 0, "cron", NULL }, "none of service.greeters" },
	{ "a background process that says nothing", BACKGROUND, { 0, NULL, NULL }, "none of service.greeters" },
	{ "a user who says that he is login", BACKGROUND, { USER, "login", NULL }, "in no session" },
	/* users, such as a screen locker */
	{ "a user in his session", AT_SEAT, { USER, "swaylock", NULL }, NULL },
	{ "a user in his session, who says so", AT_SEAT, { USER, "xsecurelock", "localhost" }, NULL },
	{ "a user in another's", OTHERS, { USER, "swaylock", NULL }, "another user's" },
	{ "a user in another's, who says that it is here", OTHERS, { USER, "xsecurelock", "localhost" }, "another user's" },
	{ "a user, remote, who says that it is here", REMOTE, { USER, "xsecurelock", "localhost" }, "remote" },
	{ "a user's background process that says it is here", BACKGROUND, { USER, "xsecurelock", "localhost" }, "in no session" },
	{ "a user, remote", REMOTE, { USER, "x", NULL }, "remote" },
	{ "a user, switched away", SWITCHED_AWAY, { USER, "swaylock", NULL }, "not the active one" },
	{ "a user's background process", BACKGROUND, { USER, "x", NULL }, "in no session" },
	/* without logind */
	{ "login, without logind", NO_LOGIND, { 0, "login", NULL }, NULL },
	{ "root's, without logind", NO_LOGIND, { 0, "su", NULL }, "logind does not run" },
	{ "a user's, without logind", NO_LOGIND, { USER, "login", NULL }, "in no session" },
};

struct fixture {
	struct cm_conf conf;
	struct cm_trace *trace;
};

static void
judge(struct fixture *f, size_t i)
{
	const enum cm_err want = rows[i].why == NULL ? CM_OK : CM_ERR_REFUSED;
	const enum cm_err got = cm_seat_judge(&f->conf, &rows[i].seat, &rows[i].request, f->trace);

	if (got != want)
		fail_msg("%s: %s", rows[i].what, cm_err_name(got));
	if (got == CM_OK)
		return;
	assert_int_equal(cm_trace_reason(f->trace), CM_REASON_NOT_HERE);
	if (strstr(cm_trace_message(f->trace), rows[i].why) == NULL)
		fail_msg("%s: \"%s\"", rows[i].what, cm_trace_message(f->trace));
}

static void
test_rows(void **state)
{
	struct fixture f = { .trace = NULL };

	(void)state;
	assert_int_equal(cm_trace_new(&f.trace), CM_OK);
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		judge(&f, i);
	cm_trace_free(&f.trace);
}

/* The keys that widen it, each one thing. */
static void
test_keys(void **state)
{
	char *greeters[] = { (char[]){ "kiosk" }, NULL }, *services[] = { (char[]){ "su" }, NULL };
	const struct cm_seat background = BACKGROUND, none = NO_LOGIND, remote = REMOTE;
	const struct cm_seat_request su = { 0, "su", NULL }, kiosk = { 0, "kiosk", NULL }, login = { 0, "login", NULL };
	const struct cm_seat_request far = { 0, "sshd", "198.51.100.7" }, user = { USER, "su", NULL };
	const struct cm_seat_request far_user = { USER, "sshd", "198.51.100.7" };
	struct cm_conf conf = { .service = { .greeters = greeters, .services = services } };

	(void)state;
	assert_int_equal(cm_seat_judge(&conf, &background, &kiosk, NULL), CM_OK);
	assert_int_equal(cm_seat_judge(&conf, &background, &login, NULL), CM_ERR_REFUSED);	/* the list is replaced */
	assert_int_equal(cm_seat_judge(&conf, &none, &su, NULL), CM_OK);
	assert_int_equal(cm_seat_judge(&conf, &background, &su, NULL), CM_ERR_REFUSED);	/* where logind is, it knows better */
	assert_int_equal(cm_seat_judge(&conf, &none, &user, NULL), CM_ERR_REFUSED);
	assert_int_equal(cm_seat_judge(&conf, &background, &far, NULL), CM_ERR_REFUSED);
	conf.service.remote = true;
	assert_int_equal(cm_seat_judge(&conf, &background, &far, NULL), CM_OK);
	assert_int_equal(cm_seat_judge(&conf, &background, &far_user, NULL), CM_ERR_REFUSED);	/* it is for programs of root's */
	assert_int_equal(cm_seat_judge(&conf, &remote, &su, NULL), CM_ERR_REFUSED);	/* that key is about PAM_RHOST */
}

/* This very process: whatever it is in, the answer is one, and a process that has ended has none. */
static void
test_look(void **state)
{
	struct cm_seat seat;
	struct cm_trace *t = NULL;
	int ended[2];

	(void)state;
	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_int_equal(cm_seat_look(getpid(), -1, t, &seat), CM_OK);
	assert_int_equal(pipe(ended), 0);
	close(ended[1]);	/* as a pidfd of a process that has ended can be read */
	assert_int_equal(cm_seat_look(getpid(), ended[0], t, &seat), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(t), CM_REASON_NOT_HERE);
	close(ended[0]);
	cm_trace_free(&t);
}

int
main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_look),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}
