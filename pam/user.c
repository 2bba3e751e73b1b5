/* pam/user.c - who wants to log in, and whether a grant is theirs. */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <security/pam_ext.h>

#include "pam/pam_internal.h"

#define ENTRY_MAX	(1 << 20)	/* octets of an entry of NSS */

struct entry {
	struct passwd pw;
	char *text;	/* owned */
};

typedef int (*lookup)(const void *key, struct passwd *pw, char *text, size_t size, struct passwd **found);

static int
by_name(const void *key, struct passwd *pw, char *text, size_t size, struct passwd **found)
{
	return getpwnam_r(key, pw, text, size, found);
}

static int
by_uid(const void *key, struct passwd *pw, char *text, size_t size, struct passwd **found)
{
	return getpwuid_r(*(const uid_t *)key, pw, text, size, found);
}

/* getpwnam(3): for "no such name" some services return one of these instead of 0. */
static bool
means_none(int e)
{
	return e == 0 || e == ENOENT || e == ESRCH;
}

/* e->text is to be freed after PAM_SUCCESS. */
static int
find(lookup by, const void *key, struct entry *e)
{
	int failed = ERANGE;

	e->text = NULL;
	for (size_t size = 4096; failed == ERANGE && size <= ENTRY_MAX; size *= 4) {
		struct passwd *found = NULL;
		char *text = realloc(e->text, size);

		if (text == NULL)
			break;
		e->text = text;
		if ((failed = by(key, &e->pw, text, size, &found)) == 0 && found != NULL)
			return PAM_SUCCESS;
	}
	free(e->text);
	e->text = NULL;
	return means_none(failed) ? PAM_USER_UNKNOWN : PAM_AUTHINFO_UNAVAIL;
}

int
cm_pam_lookup(const char *user, uid_t *uid)
{
	struct entry e;
	const int code = find(by_name, user, &e);

	*uid = (uid_t)-1;
	if (code == PAM_SUCCESS)
		*uid = e.pw.pw_uid;
	free(e.text);
	return code;
}

/* Is there nobody else by this uid? */
static int
check_uid(uid_t uid, const char *user)
{
	struct entry e;
	int code = find(by_uid, &uid, &e);

	if (code == PAM_SUCCESS && strcmp(e.pw.pw_name, user) != 0)
		code = PAM_PERM_DENIED;
	else if (code == PAM_USER_UNKNOWN)
		code = PAM_SUCCESS;
	free(e.text);
	return code;
}

/* A program that has no prompt for it does not want anybody asked: the card gives the name. */
static bool
wants_name(const struct cm_pam *p)
{
	const void *prompt = NULL;

	return p->purpose != &cm_pam_login ||
	    (!p->options.allow_missing_name && pam_get_item(p->h, PAM_USER_PROMPT, &prompt) == PAM_SUCCESS && prompt != NULL);
}

static int
read_user(struct cm_pam *p)
{
	const void *item = NULL;
	const char *name = NULL;
	int code = pam_get_item(p->h, PAM_USER, &item);

	if (code == PAM_SUCCESS && ((name = item) == NULL || name[0] == '\0') && wants_name(p))
		code = pam_get_user(p->h, &name, NULL);
	if (code != PAM_SUCCESS)
		return code == PAM_BUF_ERR ? PAM_BUF_ERR : PAM_CONV_ERR;
	if (name == NULL)
		return PAM_SUCCESS;
	if (strlen(name) > CM_PAM_USER_MAX)
		return PAM_USER_UNKNOWN;
	memcpy(p->user, name, strlen(name) + 1);
	return PAM_SUCCESS;
}

int
cm_pam_user(struct cm_pam *p)
{
	uid_t uid;
	int code = read_user(p);

	if (code != PAM_SUCCESS)
		return code;
	if (p->user[0] == '\0')
		return p->purpose == &cm_pam_login ? PAM_SUCCESS : PAM_USER_UNKNOWN;
	/* Of root no card is asked, since none opens that account, and root always may use a password. */
	if ((code = cm_pam_lookup(p->user, &uid)) == PAM_SUCCESS && uid == 0)
		return PAM_IGNORE;
	/* One that NSS has not may be one that the card brings. */
	return code == PAM_USER_UNKNOWN ? PAM_SUCCESS : code;
}

/* The program may have been made to change its mind while the card was asked. */
static bool
is_still(const struct cm_pam *p)
{
	const void *item = NULL;

	if (pam_get_item(p->h, PAM_USER, &item) != PAM_SUCCESS)
		return false;
	return strcmp(item != NULL ? item : "", p->user) == 0;
}

/*
 * The session will be that of the uid that NSS has for PAM_USER: it must be the one that was granted.
 * Where NSS does not have the name, the two names must be one, and the uid nobody else's.
 */
int
cm_pam_check_grant(const struct cm_pam *p, const struct cardmap_login *l)
{
	const char *granted = cardmap_grant_user(l), *user = p->user[0] != '\0' ? p->user : granted;
	uid_t uid;
	int code = cm_pam_lookup(user, &uid);

	if (code == PAM_SUCCESS)
		code = uid != 0 && uid == cardmap_grant_uid(l) ? PAM_SUCCESS : PAM_PERM_DENIED;
	else if (code == PAM_USER_UNKNOWN)
		code = strcmp(user, granted) == 0 ? check_uid(cardmap_grant_uid(l), granted) : PAM_PERM_DENIED;
	if (code == PAM_SUCCESS && !is_still(p))
		code = PAM_PERM_DENIED;
	if (code != PAM_SUCCESS)
		pam_syslog(p->h, LOG_ERR, "granted %s (uid %lu), and %s is another here, or cannot be looked up: refused", granted,
		    (unsigned long)cardmap_grant_uid(l), user);
	return code;
}
