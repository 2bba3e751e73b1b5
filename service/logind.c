/* service/logind.c - a session locked or ended, by logind: one call over the message bus, every wait with its deadline. */
#include "service/logind.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define NAME		"org.freedesktop.login1"
#define OBJECT		"/org/freedesktop/login1"
#define MANAGER		"org.freedesktop.login1.Manager"

struct call {
	bool answered;
	enum cm_err err;
	const char *method, *session;
	struct cm_trace *trace;
};

/* What logind answered, in our words; errors of the bus itself come the same way. */
static enum cm_err
judge(const struct call *c, const sd_bus_error *e)
{
	if (e == NULL)
		return CM_OK;
	if (sd_bus_error_has_name(e, "org.freedesktop.login1.NoSuchSession"))
		return CM_ERR_ABSENT;
	if (sd_bus_error_has_name(e, SD_BUS_ERROR_ACCESS_DENIED) ||
	    sd_bus_error_has_name(e, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
		return cm_trace_fail(c->trace, CM_REASON_NOT_ROOT, "logind: %s %s: %s", c->method, c->session,
		    e->message != NULL ? e->message : e->name);
	return cm_trace_fail(c->trace, CM_REASON_SYSTEM, "logind: %s %s: %s", c->method, c->session,
	    e->message != NULL ? e->message : e->name);
}

static int
answered(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct call *c = arg;

	(void)error;
	c->answered = true;
	c->err = judge(c, sd_bus_message_get_error(m));
	return 1;
}

/* Not sd_bus_open_system(3): its connect(2) waits for a bus that does not accept. */
static int
connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, path, strlen(path) + 1);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) != 0) {
		const int e = errno;

		close(fd);
		return -e;
	}
	return fd;
}

static int
open_bus(const char *path, sd_bus **out)
{
	int fd = connect_to(path), e;

	if (fd < 0)
		return fd;
	if ((e = sd_bus_new(out)) < 0 || (e = sd_bus_set_fd(*out, fd, fd)) < 0) {
		close(fd);
		return e;
	}
	if ((e = sd_bus_set_bus_client(*out, true)) < 0)
		return e;
	return sd_bus_start(*out);
}

static int
send_call(sd_bus *bus, struct call *c, cm_deadline deadline)
{
	sd_bus_message *m = NULL;
	int e;

	if ((e = sd_bus_message_new_method_call(bus, &m, NAME, OBJECT, MANAGER, c->method)) >= 0 &&
	    (e = sd_bus_message_append(m, "s", c->session)) >= 0)
		e = sd_bus_call_async(bus, NULL, m, answered, c, (uint64_t)cm_deadline_left(deadline) * 1000 + 1);
	sd_bus_message_unref(m);
	return e;
}

/* Whatever the bus does: it says nothing, says half, or goes on for ever. */
static int
await(sd_bus *bus, const struct call *c, cm_deadline deadline)
{
	int e = 0;

	while (!c->answered && e >= 0) {
		if (cm_deadline_passed(deadline))
			return -ETIMEDOUT;
		if ((e = sd_bus_process(bus, NULL)) == 0)
			e = sd_bus_wait(bus, (uint64_t)cm_deadline_left(deadline) * 1000);
	}
	return e;
}

enum cm_err
cm_logind_act(const char *bus, const char *session, enum cm_conf_removal action, cm_deadline deadline,
    struct cm_trace *t)
{
	struct call c = { .method = action == CM_REMOVAL_LOGOUT ? "TerminateSession" : "LockSession", .session = session, .trace = t };
	sd_bus *b = NULL;
	int e = open_bus(bus, &b);

	if (e >= 0 && (e = send_call(b, &c, deadline)) >= 0)
		e = await(b, &c, deadline);
	sd_bus_close(b);
	sd_bus_unref(b);
	if (e < 0)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "%s: logind cannot be told to %s session %s: %s", bus,
		    action == CM_REMOVAL_LOGOUT ? "end" : "lock", session, strerror(-e));
	return c.err;
}
