/* service/userdb.h - files by which nss-systemd(8) knows an account: what is in them, and how they come and go. */
#ifndef CM_SERVICE_USERDB_H
#define CM_SERVICE_USERDB_H

#include "cache/mobile.h"

/*
 * "User/Group Records" of nss-systemd(8), and https://systemd.io/USER_RECORD: in
 * one folder NAME.user (JSON) and UID.user (a link to it), for each group NAME.group
 * and GID.group, for each membership USER:GROUP.membership.  Of what JSON could say
 * a fixed list is written: userName, uid, gid, realName, homeDirectory, shell;
 * groupName, gid.  A group that somebody else describes has its membership and nothing more.
 */
struct cm_userdb_file {
	char *name;
	char *content;		/* of a file; or where a link leads */
	bool link;
	uint8_t digest[32];	/* of both */
};
struct cm_userdb_files {
	struct cm_userdb_file *rows;
	size_t count, room;
};
/*
 * What describes this account, appended; a has its groups filtered (service/local.h),
 * and its home is what is written.
 * CM_ERR_REFUSED  ACCOUNT_MALFORMED: a text that no file may have;  CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_userdb_describe(const struct cm_account *a, struct cm_trace *t, struct cm_userdb_files *out);
void cm_userdb_files_free(struct cm_userdb_files *f);

/*
 * The folder; made with mode 0755 where it is not there.
 * CM_ERR_SYSTEM  SYSTEM: it cannot be had, or others than root may write it
 */
struct cm_userdb;
CM_MUST_USE enum cm_err cm_userdb_open(const char *path, struct cm_trace *t, struct cm_userdb **out);
/* Until it is closed no other process writes there: waits 2 s at most for one that does.  CM_ERR_SYSTEM  SYSTEM */
CM_MUST_USE enum cm_err cm_userdb_lock(struct cm_userdb *u, struct cm_trace *t);
void cm_userdb_close(struct cm_userdb **u);

/* A file of this name as it is, against its mark (NULL: it has none). */
enum cm_userdb_look {
	CM_USERDB_ABSENT,
	CM_USERDB_OURS,		/* it is what the mark says, now or before, or was cut off when the power went */
	CM_USERDB_CURRENT,	/* ... what it says now */
	CM_USERDB_FOREIGN,	/* somebody else's: never touched */
};
enum cm_userdb_look cm_userdb_look(const struct cm_userdb *u, const char *name, const struct cm_userdb_mark *mark);
/* Do both names lead to one file? */
bool cm_userdb_is_same(const struct cm_userdb *u, const char *one, const char *other);

/*
 * With the lock.  Write it, whole or not at all; new: nothing may be there yet.
 * CM_ERR_STATE   new, and there is something
 * CM_ERR_SYSTEM  SYSTEM: the disk is full, or cannot be written
 */
CM_MUST_USE enum cm_err cm_userdb_write(struct cm_userdb *u, const struct cm_userdb_file *f, bool new, struct cm_trace *t);
CM_MUST_USE enum cm_err cm_userdb_remove(struct cm_userdb *u, const char *name, struct cm_trace *t);
/* Files that a process left half written. */
void cm_userdb_sweep(struct cm_userdb *u);

#endif /* CM_SERVICE_USERDB_H */
