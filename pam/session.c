/* pam/session.c - what a login leaves to the session: the name of the ccache, for the user that it was granted to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <security/pam_ext.h>

#include "pam/pam_internal.h"

#define DATA	"cardmap_session"
#define VARIABLE	"KRB5CCNAME"

struct session {
	bool password;
	uid_t uid;	/* of who was granted */
	char *ccache;	/* "KRB5CCNAME=..."; owned; NULL: none */
};

static void
destroy(struct session *s)
{
	if (s != NULL)
		free(s->ccache);
	free(s);
}

static void
forget(pam_handle_t *h, void *data, int error_status)
{
	(void)h;
	(void)error_status;
	destroy(data);
}

/* s is given. */
static int
keep(pam_handle_t *h, struct session *s)
{
	int code = pam_set_data(h, DATA, s, forget);

	if (code != PAM_SUCCESS) {
		destroy(s);
		code = PAM_BUF_ERR;
	}
	return code;
}

static const struct session *
kept(pam_handle_t *h)
{
	const void *data = NULL;

	return pam_get_data(h, DATA, &data) == PAM_SUCCESS ? data : NULL;
}

int
cm_pam_session_forget(struct cm_pam *p)
{
	if (kept(p->h) == NULL)
		return PAM_SUCCESS;
	(void)cm_pam_session_unset(p->h);
	return keep(p->h, NULL);
}

int
cm_pam_session_password(struct cm_pam *p)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return PAM_BUF_ERR;
	s->password = true;
	return keep(p->h, s);
}

int
cm_pam_session_keep(struct cm_pam *p, const struct cardmap_login *l)
{
	const char *now = cardmap_grant_ccache(l), *name = now != NULL ? now : cardmap_grant_ccache_later(l);
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return PAM_BUF_ERR;
	s->uid = cardmap_grant_uid(l);
	if (name != NULL && asprintf(&s->ccache, "%s=%s", VARIABLE, name) < 0) {
		s->ccache = NULL;
		destroy(s);
		return PAM_BUF_ERR;
	}
	/* At once: sshd asks the card in a child, and takes from there what the environment is. */
	if (s->ccache != NULL && pam_putenv(p->h, s->ccache) != PAM_SUCCESS) {
		destroy(s);
		return PAM_BUF_ERR;
	}
	return keep(p->h, s);
}

/* sudo asks for who it is, and opens the session of another. */
static bool
is_theirs(pam_handle_t *h, const struct session *s)
{
	const void *user = NULL;
	uid_t uid;
	int code;

	if (pam_get_item(h, PAM_USER, &user) != PAM_SUCCESS || user == NULL)
		return false;
	code = cm_pam_lookup(user, &uid);
	return code == PAM_SUCCESS && uid == s->uid;
}

int
cm_pam_session_unset(pam_handle_t *h)
{
	const struct session *s = kept(h);
	const char *now = pam_getenv(h, VARIABLE);

	/* Only what was set here. */
	if (s != NULL && s->ccache != NULL && now != NULL && strcmp(now, strchr(s->ccache, '=') + 1) == 0)
		(void)pam_putenv(h, VARIABLE);
	return PAM_SUCCESS;
}

int
cm_pam_session_set(pam_handle_t *h)
{
	const struct session *s = kept(h);

	if (s != NULL && s->password)
		return PAM_IGNORE;
	if (s == NULL || s->ccache == NULL)
		return PAM_SUCCESS;
	if (!is_theirs(h, s))
		return cm_pam_session_unset(h);
	return pam_putenv(h, s->ccache) == PAM_SUCCESS ? PAM_SUCCESS : PAM_BUF_ERR;
}
