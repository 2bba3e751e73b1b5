/* krb5/ccache_put.h - a ticket into the user's own ccache, by a program that has become the user. */
#ifndef CM_KRB5_CCACHE_PUT_H
#define CM_KRB5_CCACHE_PUT_H

#include "base/blob.h"
#include "base/clock.h"
#include "base/trace.h"
#include "ldap/directory.h"

/* Everything is borrowed. */
struct cm_ccache_put {
	const char *program;			/* cardmap-ccache by its whole path; NULL: the one beside this program */
	const char *pattern;			/* "FILE:/tmp/krb5cc_%{uid}", "KCM:%{uid}", "KEYRING:persistent:%{uid}", "DIR:..." */
	const struct cm_account *account;	/* whose it is; its principal is whose ticket it is to be */
	struct cm_blob ticket;			/* cm_ticket_pack()'s octets; opaque here */
};

/* What the pattern is of this account, whose uid and name alone are read; *name is to be freed.  CM_ERR_SYSTEM CCACHE; CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_ccache_name(const char *pattern, const struct cm_account *account, struct cm_trace *t, char **name);

/*
 * %{uid} and %{name} of the pattern are replaced; *name is what came of it, for
 * KRB5CCNAME; the caller frees it.  The program has the account's uid, gid and
 * groups and nothing of ours, so nobody's links lead it astray; it gets the
 * ticket by its standard input, and is killed when the deadline has passed.
 * From a process with threads too.  A ccache is there whole, or as it was.
 *
 * CM_ERR_SYSTEM  CCACHE: the text says why
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_ccache_put(const struct cm_ccache_put *p, cm_deadline deadline, struct cm_trace *t, char **name);

/*
 * The same in two parts: the program starts, as that user and with nothing to
 * write, while the ticket is still asked for.  The ticket of p is not looked at
 * and p is not kept.  Who begins and who ends it is one thread.  If we end in
 * between, or drop it, there is no ticket for it and it writes none.
 */
struct cm_ccache_putting;
CM_MUST_USE enum cm_err cm_ccache_put_begin(const struct cm_ccache_put *p, cm_deadline deadline, struct cm_trace *t,
    struct cm_ccache_putting **out);
/* It is there still, and has become this account: its ids, its groups, its name and its principal. */
bool cm_ccache_put_is_for(const struct cm_ccache_putting *u, const struct cm_account *a);
/* The ticket before its time: it is written where nobody sees it, and is there with cm_ccache_put_end().  What goes wrong, that tells. */
void cm_ccache_put_ahead(struct cm_ccache_putting *u, struct cm_blob ticket, cm_deadline deadline);
/*
 * The same ticket, if there was one ahead.  The ccache is there with CM_OK; the
 * program's own end is not waited for: it is to be dropped when there is
 * time, whatever is returned, and is good for nothing else.
 */
CM_MUST_USE enum cm_err cm_ccache_put_end(struct cm_ccache_putting *putting, struct cm_blob ticket, cm_deadline deadline,
    struct cm_trace *t, char **name);
void cm_ccache_put_drop(struct cm_ccache_putting **putting);	/* NULL inside: nothing */

/*
 * Takes away what was put, of any kind, by the same program: if it is still that
 * principal's.  One that is not there is gone.  The ticket of p is not looked at.
 */
CM_MUST_USE enum cm_err cm_ccache_remove(const struct cm_ccache_put *p, cm_deadline deadline, struct cm_trace *t);

#endif /* CM_KRB5_CCACHE_PUT_H */
