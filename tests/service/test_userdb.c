/* tests/service/test_userdb.c - a client of varlink that is not ours: systemd's NSS module asks our framing for users. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/varlink.h"

#define SOON	20000	/* ms */
#define SERVICE	"org.example.Cards"
#define SOCKET	"/run/systemd/userdb/" SERVICE

static const struct cm_wire_limits limits = { .message_max = 65536 };

/* Of https://systemd.io/USER_GROUP_API: as much of it as these calls need. */
static const char description[] =
	"interface io.systemd.UserDatabase\n"
	"method GetUserRecord(uid: ?int, userName: ?string, service: string) -> (record: object, incomplete: bool)\n"
	"error NoRecordFound()\n"
	"error BadService()\n";

static const struct user {
	const char *name;
	int uid;
} users[] = { { "cm-alice", 61001 }, { "cm-bob", 61002 }, { "cm-carol", 61003 } };

static json_t *
describe(const struct user *u)
{
	return json_pack("{s:{s:s, s:s, s:i, s:i, s:s, s:s, s:s}, s:b}", "record", "service", SERVICE, "userName", u->name, "uid",
	    u->uid, "gid", u->uid, "realName", "A Card", "homeDirectory", "/var/empty", "shell", "/bin/sh", "incomplete", 0);
}

static enum cm_err
get_user(struct cm_varlink_request *r)
{
	const char *name = NULL, *where = NULL;
	int uid = -1;

	if (json_unpack(r->call->parameters, "{s:s, s?s, s?i !}", "service", &where, "userName", &name, "uid", &uid) != 0)
		return cm_varlink_invalid(&r->turn, "service", r->deadline);
	if (strcmp(where, SERVICE) != 0)
		return cm_varlink_error(&r->turn, "io.systemd.UserDatabase.BadService", json_object(), r->deadline);
	for (size_t i = 0; i < CM_COUNT(users); i++) {
		if (name == NULL && uid == -1) {
			const enum cm_err err = i + 1 < CM_COUNT(users) ?
			    cm_varlink_continue(&r->turn, describe(&users[i]), r->deadline) :
			    cm_varlink_answer(&r->turn, describe(&users[i]), r->deadline);

			if (err != CM_OK)
				return err;
		} else if (uid == users[i].uid || (name != NULL && strcmp(name, users[i].name) == 0)) {
			return cm_varlink_answer(&r->turn, describe(&users[i]), r->deadline);
		}
	}
	return r->turn.answered ? CM_OK :
	    cm_varlink_error(&r->turn, "io.systemd.UserDatabase.NoRecordFound", json_object(), r->deadline);
}

static const struct cm_varlink_method methods[] = { { "GetUserRecord", get_user, 0 } };
static const struct cm_varlink_interface interface = {
	"io.systemd.UserDatabase", description, methods, CM_COUNT(methods),
};
static const struct cm_varlink_interface *const interfaces[] = { &interface };
static const struct cm_varlink_service service = { "Example", "Cards", "1", "https://example.org/", interfaces, 1 };

static bool
write_map(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	const bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return written;
}

/* Who is not root is, in a namespace of its own (user_namespaces(7)). */
static bool
become_root(void)
{
	char uid[32], gid[32];

	snprintf(uid, sizeof(uid), "0 %u 1", geteuid());
	snprintf(gid, sizeof(gid), "0 %u 1", getegid());
	return unshare(CLONE_NEWUSER) == 0 && write_map("/proc/self/setgroups", "deny") &&
	    write_map("/proc/self/uid_map", uid) && write_map("/proc/self/gid_map", gid);
}

/* A /run of our own, which the program that asks sees, too. */
static int
set_up(void **state)
{
	(void)state;
	if ((geteuid() != 0 && !become_root()) || unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("none", "/run", "tmpfs", 0, "mode=755") != 0 ||
	    mkdir("/run/systemd", 0755) != 0 || mkdir("/run/systemd/userdb", 0755) != 0)
		return -1;
	return 0;
}

/* getent, with systemd's module alone; its output on *out. */
static pid_t
start_getent(const char *key, int *out)
{
	pid_t child;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	if ((child = fork()) == 0) {
		dup2(fds[1], STDOUT_FILENO);
		execl("/usr/bin/getent", "getent", "-s", "passwd:systemd", "passwd", key, NULL);
		_exit(127);
	}
	assert_true(child > 0);
	close(fds[1]);
	*out = fds[0];
	return child;
}

/* One connection at a time, until the program that asks has closed its output. */
static unsigned
serve_until_closed(int listener, int out, struct cm_buf *text)
{
	const cm_deadline deadline = cm_deadline_in(SOON);
	struct pollfd p[] = { { .fd = listener, .events = POLLIN }, { .fd = out, .events = POLLIN } };
	unsigned calls = 0;

	for (;;) {
		struct cm_wire *w = NULL;
		struct cm_blob m;
		char chunk[512];
		ssize_t n;

		assert_true(poll(p, CM_COUNT(p), cm_deadline_left(deadline)) > 0);
		if (p[0].revents != 0 && cm_wire_accept(listener, &limits, &w) == CM_OK) {
			for (; cm_wire_receive(w, deadline, &m) == CM_OK; calls++)
				assert_int_equal(cm_varlink_serve(&service, w, m, NULL, deadline), CM_OK);
			assert_int_equal(cm_wire_end(w), CM_WIRE_CLOSED);
			cm_wire_free(&w);
		}
		if (p[1].revents == 0)
			continue;
		if ((n = read(out, chunk, sizeof(chunk))) <= 0)
			return calls;
		cm_buf_add(text, chunk, (size_t)n);
	}
}

static void
test_nss(void **state)
{
	static const struct {
		const char *key;	/* NULL: all */
		int status;
		const char *output;
	} cases[] = {
		{ "cm-alice", 0, "cm-alice:x:61001:61001:A Card:/var/empty:/bin/sh\n" },
		{ "61002", 0, "cm-bob:x:61002:61002:A Card:/var/empty:/bin/sh\n" },
		{ "cm-mallory", 2, "" },
		{ NULL, 0, "cm-alice:x:61001:61001:A Card:/var/empty:/bin/sh\ncm-bob:x:61002:61002:A Card:/var/empty:/bin/sh\n"
		    "cm-carol:x:61003:61003:A Card:/var/empty:/bin/sh\n" },
	};
	struct cm_varlink_fault f;
	int listener;

	(void)state;
	assert_int_equal(cm_varlink_interface_check(&interface, &f), CM_OK);
	assert_int_equal(cm_wire_listen(SOCKET, 0666, NULL, &listener), CM_OK);
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_buf text = { 0 };
		int out, status;
		const pid_t child = start_getent(cases[i].key, &out);

		assert_true(serve_until_closed(listener, out, &text) > 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), cases[i].status);
		assert_string_equal(cm_buf_str(&text), cases[i].output);
		cm_buf_free(&text);
		close(out);
	}
	close(listener);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_nss) };

	return cmocka_run_group_tests(tests, set_up, NULL);
}
