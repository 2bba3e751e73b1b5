/* service/password.h - is this the password of an account of this computer's?  Asked of a program of PAM's, and never read here. */
#ifndef CM_SERVICE_PASSWORD_H
#define CM_SERVICE_PASSWORD_H

#include "base/clock.h"
#include "base/trace.h"

/*
 * unix_chkpwd(8), as pam_unix(8) calls it: the program of which PAM's own module asks the same.  fd is the reading
 * end of a pipe that holds the password and a NUL, borrowed; it goes to that program unread.
 *
 * CM_OK
 * CM_ERR_REFUSED  PASSWORD_WRONG: it is not; or the account has none, which is never right
 * CM_ERR_SYSTEM   SYSTEM: could not ask: there is no such program, fd is no pipe, or no answer came within the deadline
 */
CM_MUST_USE enum cm_err cm_password_check(const char *user, int fd, cm_deadline deadline, struct cm_trace *t);

#endif /* CM_SERVICE_PASSWORD_H */
