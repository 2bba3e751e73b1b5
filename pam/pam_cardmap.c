/*
 * pam/pam_cardmap.c - the login module: PAM's six calls, each a client of cardmapd.
 *
 * What each call returns.  PAM_IGNORE means one thing: this user may use a
 * password.  An error is never that, and never PAM_SUCCESS.
 *
 *	PAM_SUCCESS          authenticate: granted, and name and uid are those NSS has; acct_mgmt: may enter now;
 *	                     chauthtok: the PIN is changed, or (PAM_PRELIM_CHECK) can be; setcred, open_session,
 *	                     close_session: done, or there was nothing to do, which lets nobody in
 *	PAM_IGNORE           root, of whom no card is asked; or the service says that this user may use a password, and there is
 *	                     no card, or nobody wants to use it, or it was refused; setcred: it was so.  acct_mgmt: root,
 *	                     and who is none of the service's.  chauthtok: what has expired is a password
 *	PAM_AUTH_ERR         authenticate: refused, or nothing was typed
 *	PAM_MAXTRIES         the card's PIN is blocked or held back, or too many questions were asked
 *	PAM_PERM_DENIED      acct_mgmt, chauthtok: refused; authenticate: the grant is not this user's
 *	PAM_ACCT_EXPIRED     acct_mgmt: the account is disabled or has expired
 *	PAM_AUTHINFO_UNAVAIL could not ask: no service, no directory, no reader, no answer in time
 *	PAM_TRY_AGAIN        chauthtok, PAM_PRELIM_CHECK: the same
 *	PAM_AUTHTOK_ERR      chauthtok: the same, or the two new PINs were not equal
 *	PAM_CONV_ERR         the program could not ask a person
 *	PAM_SERVICE_ERR      an option of the module is wrong
 *	PAM_BUF_ERR          no memory
 */
#include <stdlib.h>

#include "pam/pam_internal.h"

#define EXPORT	__attribute__((visibility("default")))

/* Root first: neither a wrong option nor a service that does not run takes root's way in by password. */
static int
run(pam_handle_t *h, int flags, int argc, const char **argv, const struct cm_pam_purpose *purpose)
{
	struct cm_pam p = { .h = h, .silent = (flags & PAM_SILENT) != 0, .purpose = purpose };
	const int options = cm_pam_options_read(h, argc, argv, &p.options);
	int code = cm_pam_user(&p);

	if (code == PAM_SUCCESS && options != PAM_SUCCESS) {
		cm_pam_complain(&p, "Card login is not set up: see the system's log");
		code = options;
	}
	if (code == PAM_SUCCESS)
		code = cm_pam_run(&p);
	free(p.said);
	cm_pam_forget(&p.tried);
	return code;
}

EXPORT int
pam_sm_authenticate(pam_handle_t *h, int flags, int argc, const char **argv)
{
	struct cm_pam p = { .h = h };
	int code = cm_pam_session_forget(&p), kept;

	if (code == PAM_SUCCESS)
		code = run(h, flags, argc, argv, &cm_pam_login);
	if (code == PAM_IGNORE && (kept = cm_pam_session_password(&p)) != PAM_SUCCESS)
		code = kept;
	return code;
}

EXPORT int
pam_sm_acct_mgmt(pam_handle_t *h, int flags, int argc, const char **argv)
{
	return run(h, flags, argc, argv, &cm_pam_account);
}

EXPORT int
pam_sm_chauthtok(pam_handle_t *h, int flags, int argc, const char **argv)
{
	/* A PIN does not expire: what did is a password. */
	if ((flags & PAM_CHANGE_EXPIRED_AUTHTOK) != 0)
		return PAM_IGNORE;
	return run(h, flags, argc, argv, (flags & PAM_PRELIM_CHECK) != 0 ? &cm_pam_change_prelim : &cm_pam_change);
}

EXPORT int
pam_sm_setcred(pam_handle_t *h, int flags, int argc, const char **argv)
{
	(void)argc;
	(void)argv;
	return (flags & PAM_DELETE_CRED) != 0 ? cm_pam_session_unset(h) : cm_pam_session_set(h);
}

EXPORT int
pam_sm_open_session(pam_handle_t *h, int flags, int argc, const char **argv)
{
	int code = cm_pam_session_set(h);

	(void)flags;
	(void)argc;
	(void)argv;
	/* That a password was used is no matter of the session. */
	return code == PAM_IGNORE ? PAM_SUCCESS : code;
}

EXPORT int
pam_sm_close_session(pam_handle_t *h, int flags, int argc, const char **argv)
{
	(void)h;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_SUCCESS;
}
