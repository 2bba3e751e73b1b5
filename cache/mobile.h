/* cache/mobile.h - mobile accounts: who is somebody on this computer while the directory is away. */
#ifndef CM_CACHE_MOBILE_H
#define CM_CACHE_MOBILE_H

#include "cache/accounts.h"

/*
 * A kept account (cache/accounts.h) opens with no network; a mobile one has,
 * beside that, its name, ids, groups and home known to this computer, by files
 * for nss-systemd(8) (service/userdb.h).  The store's table "mobile" says whose
 * that are and what is in them, "userdb" which files are ours and what was
 * written to them: what is not in there is somebody else's, and never touched.
 *
 * A row counts while the account it is of is kept: it ends with the last card
 * that opened that (withdrawn, forgotten), and rests while no card of it may open
 * it (accounts.offline_days).  A remote store refuses all this (CM_ERR_STATE).
 */

/* One file of the folder; all is borrowed. */
#define CM_USERDB_NAME_MAX	600
struct cm_userdb_mark {
	const char *name;
	uint8_t now[32];	/* SHA-256 of what it holds, or is about to */
	uint8_t before[32];	/* ... of what it held until then; zeros: nothing */
};

/* Of one account; all is borrowed. */
struct cm_mobile {
	const struct cm_account *account;	/* name, uid, gid, home, shell, gecos and groups are kept */
	bool declined;				/* its owner was asked, and wants none */
	time_t made;
	const struct cm_userdb_mark *files;	/* to be marked as ours; their "before" is found here */
	size_t file_count;
};

/* What becomes of a row now. */
enum cm_mobile_state {
	CM_MOBILE_KEPT,		/* its files are to be there */
	CM_MOBILE_RESTS,	/* no card may open it offline any more: no files, until somebody was online again */
	CM_MOBILE_GONE,		/* the account is no longer kept: no files, and no row */
	CM_MOBILE_DECLINED,
};

/*
 * With its marks, in one transaction.  cm_accounts_remember_apart() does the
 * same in its own.  The row's "made" stays what it was.
 * CM_ERR_SYSTEM  STORE
 */
CM_MUST_USE enum cm_err cm_mobile_put(struct cm_accounts *s, const struct cm_mobile *m, struct cm_trace *t);

/* CM_OK: *out is the caller's, *declined and *made are set.  CM_ERR_ABSENT: none so named (no reason is set).  CM_ERR_SYSTEM  STORE */
CM_MUST_USE enum cm_err cm_mobile_find(struct cm_accounts *s, const char *name, struct cm_trace *t, struct cm_account **out,
    bool *declined, time_t *made);
/* Whose is this uid, if another mobile account's than this name's?  *holder is the caller's, for free(3).  CM_ERR_ABSENT: nobody's */
CM_MUST_USE enum cm_err cm_mobile_find_holder(struct cm_accounts *s, uid_t uid, const char *name, struct cm_trace *t, char **holder);

/* A mobile account as it stands, for people. */
struct cm_mobile_seen {
	bool exists;			/* or there is none, and all else is 0 */
	bool unknown;			/* its row cannot be read */
	enum cm_mobile_state state;
	time_t made;
	time_t refreshed;		/* its last login with the network, by any of its cards */
	time_t expires;			/* then its names rest; 0: never */
};
void cm_mobile_see(struct cm_accounts *s, const char *name, time_t now, struct cm_mobile_seen *out);
/* "known", "rests", "gone", "declined", "unknown"; and back, false: it is none of these */
const char *cm_mobile_seen_word(const struct cm_mobile_seen *seen);
bool cm_mobile_seen_take_word(struct cm_mobile_seen *seen, const char *word);

/*
 * Every row, by name.  A row that is damaged is left out, *whole becomes false:
 * then nobody knows which files are wanted.  Anything but CM_OK of the visitor ends it.
 */
typedef enum cm_err (*cm_mobile_visit)(void *arg, const struct cm_mobile *m, enum cm_mobile_state state);
CM_MUST_USE enum cm_err cm_mobile_each(struct cm_accounts *s, time_t now, struct cm_trace *t, bool *whole, cm_mobile_visit visit,
    void *arg);
/*
 * Is the store's file arranged as it should be?  A page that was changed on the disk may have lost rows without a word:
 * before a name is taken away because no row has it.  Reads all of it.  CM_ERR_SYSTEM  STORE: it is not
 */
CM_MUST_USE enum cm_err cm_mobile_check_store(struct cm_accounts *s, struct cm_trace *t);
/* The row goes; its files, by whoever settles them.  CM_ERR_ABSENT: there is none (no reason is set) */
CM_MUST_USE enum cm_err cm_mobile_forget(struct cm_accounts *s, const char *name, struct cm_trace *t);

/* Which files are ours.  A mark that is damaged is left out, *whole becomes false. */
typedef enum cm_err (*cm_mark_visit)(void *arg, const struct cm_userdb_mark *m);
CM_MUST_USE enum cm_err cm_marks_each(struct cm_accounts *s, struct cm_trace *t, bool *whole, cm_mark_visit visit, void *arg);
/* CM_ERR_ABSENT: it is not ours (no reason is set) */
CM_MUST_USE enum cm_err cm_marks_find(struct cm_accounts *s, const char *name, struct cm_trace *t, struct cm_userdb_mark *out);
/* Mark files as ours that are about to be written; and, once it is away, that one is not. */
CM_MUST_USE enum cm_err cm_marks_put(struct cm_accounts *s, const struct cm_userdb_mark *files, size_t count, struct cm_trace *t);
CM_MUST_USE enum cm_err cm_marks_drop(struct cm_accounts *s, const char *name, struct cm_trace *t);

#endif /* CM_CACHE_MOBILE_H */
