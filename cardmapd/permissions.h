/* cardmapd/permissions.h - who may call what: a table. */
#ifndef CM_CARDMAPD_PERMISSIONS_H
#define CM_CARDMAPD_PERMISSIONS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/conf.h"

/* As whom somebody calls: root; a member of service.helpdesk_group; anybody. */
enum cm_caller { CM_CALLER_ROOT, CM_CALLER_HELPDESK, CM_CALLER_ANYBODY, CM_CALLER_COUNT };

/* What of a method somebody gets. */
enum cm_permission {
	CM_MAY_NOT,
	CM_MAY_OWN,	/* what is about the caller: his own card, account or login */
	CM_MAY,
};

/* Methods that are not in the table may nobody call.  method is whole: "io.cardmap.Status". */
enum cm_permission cm_permissions_of(const char *method, enum cm_caller who);

/*
 * As whom the process at the other end of a connected socket calls.  Its groups are
 * those that the kernel noted when it connected (SO_PEERGROUPS); the group's number comes
 * from /etc/group, read without NSS.
 */
enum cm_caller cm_permissions_caller(const struct cm_conf *conf, int fd, uid_t uid, gid_t gid);

/* The table, for pages and tests: row i, or false. */
struct cm_permission_row {
	const char *method;
	enum cm_permission may[CM_CALLER_COUNT];
};
bool cm_permissions_row(size_t i, struct cm_permission_row *out);

#endif /* CM_CARDMAPD_PERMISSIONS_H */
