/* service/seat.c - a reader serves its own seat: who asks, and from where. */
#include "service/seat.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-login.h>
#include <unistd.h>

/* sd_pid_get_session(3) reads cgroups, which are there without logind; its sessions are not. */
#define LOGIND	"/run/systemd/sessions"

static const char *const usual_greeters[] = {
	"login", "gdm-smartcard", "gdm-password", "lightdm", "sddm", "greetd", NULL,
};

/* ---- looking */

/*
 * Neither a session's scope nor a user's slice is in any of its cgroups' paths
 * (systemd.io, "Control Group APIs and Delegation"): sd_pid_get_session(3) and sd_pid_get_owner_uid(3)
 * would read the same file twice, and that of process 1 too, to say so.  What is not seen whole does not count.
 */
static bool
is_of_no_user(pid_t pid)
{
	char path[32], text[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	n = read(fd, text, sizeof(text));
	close(fd);
	return n > 0 && (size_t)n < sizeof(text) && text[n - 1] == '\n' && memmem(text, (size_t)n, "session-", 8) == NULL &&
	    memmem(text, (size_t)n, "user-", 5) == NULL;
}

/* A terminal of a desktop is a service of the user's manager, and so in no session: its user's, at the seat, is meant. */
static int
find_session(pid_t pid, char **out)
{
	uid_t owner;
	int e;

	if (is_of_no_user(pid))
		return -ENODATA;
	e = sd_pid_get_session(pid, out);
	if (e == -ENODATA && (e = sd_pid_get_owner_uid(pid, &owner)) >= 0)
		e = sd_uid_get_display(owner, out);
	return e;
}

static bool
is_gone(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return pidfd >= 0 && poll(&p, 1, 0) != 0;
}

static void
describe(const char *session, struct cm_seat *s)
{
	char *seat = NULL;

	/* A session that ended meanwhile is none; whatever cannot be told of it counts against it. */
	s->session = sd_session_get_uid(session, &s->owner) >= 0;
	s->remote = sd_session_is_remote(session) != 0;
	s->active = sd_session_is_active(session) > 0;
	s->seat = sd_session_get_seat(session, &seat) >= 0;
	free(seat);
}

enum cm_err
cm_seat_look(pid_t pid, int pidfd, struct cm_trace *t, struct cm_seat *out)
{
	char *session = NULL;

	*out = (struct cm_seat){ .logind = access(LOGIND, F_OK) == 0, .owner = (uid_t)-1 };
	const int e = out->logind ? find_session(pid, &session) : -ENODATA;

	if (e >= 0)
		describe(session, out);
	free(session);
	if (is_gone(pidfd))
		return cm_trace_fail(t, CM_REASON_NOT_HERE, "the process that asked (pid %d) has ended", (int)pid);
	if (e < 0 && e != -ENODATA && e != -ENXIO && e != -ESRCH && e != -ENOENT)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "logind's word on pid %d cannot be read: %s", (int)pid, strerror(-e));
	return CM_OK;
}

/* ---- judging */

static bool
is_among(const char *name, char *const *list)
{
	for (size_t i = 0; list != NULL && list[i] != NULL; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

static bool
is_greeter(const struct cm_conf *conf, const char *service)
{
	char *const *list = conf->service.greeters;

	if (list == NULL || list[0] == NULL)
		list = (char *const *)(uintptr_t)usual_greeters;
	return service != NULL && is_among(service, list);
}

static enum cm_err
judge_session(const struct cm_seat *s, const struct cm_seat_request *r, struct cm_trace *t)
{
	if (s->remote)
		return cm_trace_fail(t, CM_REASON_NOT_HERE, "the session is a remote one: whoever is in it is not at this computer");
	if (!s->seat)
		return cm_trace_fail(t, CM_REASON_NOT_HERE, "the session has no seat: nobody sits at it");
	if (!s->active)
		return cm_trace_fail(t, CM_REASON_NOT_HERE, "the session is not the active one of its seat: another user is at it");
	if (r->uid != 0 && s->owner != r->uid)
		return cm_trace_fail(t, CM_REASON_NOT_HERE, "the session is another user's (uid %u)", (unsigned)s->owner);
	return CM_OK;
}

/* Whoever logs people in before there is a session. */
static enum cm_err
judge_without_session(const struct cm_conf *conf, const struct cm_seat *s, const struct cm_seat_request *r,
    struct cm_trace *t)
{
	const char *service = r->service != NULL ? r->service : "none";

	if (r->uid != 0)
		return cm_trace_fail(t, CM_REASON_NOT_HERE, "a process of uid %u in no session at this computer", (unsigned)r->uid);
	if (is_greeter(conf, r->service) || (!s->logind && r->service != NULL && is_among(r->service, conf->service.services)))
		return CM_OK;
	return cm_trace_fail(t, CM_REASON_NOT_HERE, "PAM service %s, in no session%s: it is none of service.greeters%s", service,
	    s->logind ? " at this computer" : ", and logind does not run", s->logind ? "" : " or service.services");
}

/*
 * A screen locker (xsecurelock) says "localhost" of itself.  Who is not root may say what he likes of where he is: his
 * session tells.  Of root's programs it is somebody who came over the network.
 */
static bool
is_from_elsewhere(const struct cm_seat_request *r)
{
	return r->rhost != NULL && r->rhost[0] != '\0' && (r->uid == 0 || strcmp(r->rhost, "localhost") != 0);
}

enum cm_err
cm_seat_judge(const struct cm_conf *conf, const struct cm_seat *s, const struct cm_seat_request *r, struct cm_trace *t)
{
	if (is_from_elsewhere(r) && conf->service.remote && r->uid == 0)
		return CM_OK;
	if (is_from_elsewhere(r) && !conf->service.remote)
		return cm_trace_fail(t, CM_REASON_NOT_HERE, "the login comes from %s, and the reader is here", r->rhost);
	return s->session ? judge_session(s, r, t) : judge_without_session(conf, s, r, t);
}

/* ---- whose session */

bool
cm_seat_has_session(const char *session, uid_t owner)
{
	uid_t uid;

	return sd_session_get_uid(session, &uid) >= 0 && uid == owner;
}

char *
cm_seat_session(pid_t pid, uid_t owner)
{
	char *session = NULL;

	if (access(LOGIND, F_OK) != 0)
		return NULL;
	if ((pid != 0 ? find_session(pid, &session) : sd_uid_get_display(owner, &session)) >= 0 &&
	    cm_seat_has_session(session, owner))
		return session;
	free(session);
	return NULL;
}
