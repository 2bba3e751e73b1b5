/* cardmapd/imports.h - what SmartcardLogin.plist and sssd.conf set, where they are obeyed as they stand. */
#ifndef CM_CARDMAPD_IMPORTS_H
#define CM_CARDMAPD_IMPORTS_H

#include "base/blob.h"
#include "base/conf.h"
#include "base/trace.h"

/*
 * mapper.plist and mapper.sssd are read by a process without privilege, which ends then (cardmap-resolver --settings): this
 * one parses neither.  Of what it tells, the keys that are decided on here are set where nobody has set them.
 * uid (uid_t)-1: it stays this user.
 *
 * CM_OK           also where there is no such file
 * CM_ERR_CONFIG   CONFIG: a file cannot be read, is not root's, or has a mistake: by less would be decided than it says
 * CM_ERR_SYSTEM
 */
struct cm_imports {
	const char *config, *libexec;	/* as cardmapd was given them; config NULL: the usual */
	uid_t uid;
	gid_t gid;
};
CM_MUST_USE enum cm_err cm_imports_take(const struct cm_imports *i, struct cm_conf *conf, struct cm_trace *t);
/* ... and what that process tells: {"settings":[{"key","place","values"}]} or {"error"}.  CM_ERR_CONFIG; CM_ERR_SYNTAX (HELPER): it is none of this */
CM_MUST_USE enum cm_err cm_imports_parse(struct cm_blob output, struct cm_conf *conf, struct cm_trace *t);

#endif /* CM_CARDMAPD_IMPORTS_H */
