/* service/local.h - this computer's own accounts, against those of a directory: /etc/passwd and /etc/group, without NSS. */
#ifndef CM_SERVICE_LOCAL_H
#define CM_SERVICE_LOCAL_H

#include <pwd.h>

#include "base/conf.h"
#include "base/trace.h"
#include "ldap/directory.h"

/* What accounts of a directory may have here (accounts.first_uid, first_gid, local_groups); its list is the configuration's. */
struct cm_account_limits cm_local_limits(const struct cm_conf *conf);

/*
 * An account of a directory takes neither name nor id of one of this computer's;
 * its groups that do are dropped, each with an item "group dropped", but for those of accounts.local_groups that have
 * name and gid of one group here and no other: it may be the primary one too, unless cm_group_is_privileged().  An account
 * that is said to be local is there, with that uid, and group, home, shell and
 * gecos become what is written there; it brings no groups.
 * etc: the folder of both files, NULL for /etc.
 *
 * CM_OK
 * CM_ERR_REFUSED  LOCAL_COLLISION: its name, uid or gid is one of this computer's; or it is local, and not there
 * CM_ERR_SYSTEM   SYSTEM: a file cannot be read, or others may write it: nobody is let in
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_local_check(const char *etc, const struct cm_conf *conf, struct cm_account *a, struct cm_trace *t);

/*
 * The first entry of /etc/passwd that is(entry, name), without NSS: that may mean asking the
 * very directory that does not answer, and none of its modules runs in this process.  Its texts are in texts.
 */
#define CM_LOCAL_TEXTS	4096
bool cm_local_find_user(const char *name, bool (*is)(const struct passwd *, const char *), struct passwd *out,
    char texts[CM_LOCAL_TEXTS]);

/*
 * Is this user in that group of /etc/group: named there, or it is his own, which
 * gid says (0: not looked at)?  *in false: no, or there is no such group.
 * etc as above.  CM_ERR_SYSTEM  SYSTEM: the file cannot be read, or others may write it; CM_ERR_NOMEM
 */
struct cm_local_member {
	const char *user, *group;
	gid_t gid;
};
CM_MUST_USE enum cm_err cm_local_is_member(const char *etc, const struct cm_local_member *m, struct cm_trace *t, bool *in);

/* Has /etc/group a group of this name?  etc and errors as above. */
CM_MUST_USE enum cm_err cm_local_has_group(const char *etc, const char *name, struct cm_trace *t, bool *has);

#endif /* CM_SERVICE_LOCAL_H */
