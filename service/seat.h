/* service/seat.h - a reader serves its own seat: who asks, and from where. */
#ifndef CM_SERVICE_SEAT_H
#define CM_SERVICE_SEAT_H

#include <sys/types.h>

#include "base/conf.h"
#include "base/trace.h"

/* What logind knows of the process that asks.  Of one that is in no session, but of a user with a session at a seat, that one (as polkit has it). */
struct cm_seat {
	bool logind;		/* it runs here */
	bool session;		/* the process is in one: what follows is its */
	bool remote, active;
	bool seat;		/* it has one: this computer's screen and readers */
	uid_t owner;
};

/*
 * Look it up.  pid is the process's for as long as pidfd says that it lives; -1: it cannot be held, and what is
 * found counts as found.  CM_ERR_REFUSED (NOT_HERE): it is gone; CM_ERR_SYSTEM: logind's files cannot be read
 */
CM_MUST_USE enum cm_err cm_seat_look(pid_t pid, int pidfd, struct cm_trace *t, struct cm_seat *out);

/*
 * May a process of user uid, for this PAM service and with this PAM_RHOST (NULL: none), have this computer's reader?
 *
 * CM_OK
 * CM_ERR_REFUSED  NOT_HERE: the text says why
 */
struct cm_seat_request {
	uid_t uid;
	const char *service, *rhost;
};
CM_MUST_USE enum cm_err cm_seat_judge(const struct cm_conf *conf, const struct cm_seat *s, const struct cm_seat_request *r,
    struct cm_trace *t);

/*
 * The session of this user that the process is in; or, where pid is 0, that of the user's display.  new.  NULL: there is none
 */
char *cm_seat_session(pid_t pid, uid_t owner);
/* Is it still there, and this user's? */
bool cm_seat_has_session(const char *session, uid_t owner);

#endif /* CM_SERVICE_SEAT_H */
