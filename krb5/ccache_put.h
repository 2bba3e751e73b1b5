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

#endif /* CM_KRB5_CCACHE_PUT_H */
