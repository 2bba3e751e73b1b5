/* service/password.c - is this the password of an account of this computer's? */
#include "service/password.h"

#include <fcntl.h>
#include <security/_pam_types.h>

#include "base/child.h"

#define PROGRAM	"/usr/sbin/unix_chkpwd"

enum cm_err
cm_password_check(const char *user, int fd, cm_deadline deadline, struct cm_trace *t)
{
	const char *const arguments[] = { user, "nonull", NULL };
	const struct cm_child c = { .path = PROGRAM, .arguments = arguments, .uid = (uid_t)-1, .given_input = &fd };
	struct cm_buf out = { 0 };
	enum cm_err err;
	int status = -1;

	/* A terminal, or a file of a file system of the caller's own making, may keep whoever reads it waiting. */
	if (fcntl(fd, F_GETPIPE_SZ) < 0)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "the password of %s did not come by a pipe", user);
	err = cm_child_run(&c, deadline, t, &out, &status);
	cm_buf_free(&out);
	if (err == CM_ERR_ABSENT)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "%s is not there: it comes with PAM's pam_unix", PROGRAM);
	if (err != CM_OK)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "%s does not say whether the password of %s is right", PROGRAM, user);
	if (status == PAM_AUTH_ERR || status == PAM_USER_UNKNOWN)
		return cm_trace_fail(t, CM_REASON_PASSWORD_WRONG, "what was typed is not the password of %s on this computer", user);
	return status == PAM_SUCCESS ? CM_OK : cm_trace_fail(t, CM_REASON_SYSTEM, "%s cannot tell whether the password of %s is right: "
	    "it ended with %d", PROGRAM, user, status);
}
