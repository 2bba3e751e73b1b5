/* ldap/directory.h - the one account that a query names. */
#ifndef CM_LDAP_DIRECTORY_H
#define CM_LDAP_DIRECTORY_H

#include <sys/types.h>

#include "base/clock.h"
#include "base/trace.h"
#include "mapper/mapper.h"

/* A group the account is in; the primary group is among them where the directory has it. */
struct cm_group {
	char *name;
	gid_t gid;
};

/*
 * An account as the directory describes it, checked: name is a portable user
 * name (no "/", no control bytes, not only digits, not "." or "..", not starting
 * with "-"), home is absolute without "..", uid and gid are at least the first
 * allowed.  Every text is UTF-8, owned by the struct, never NULL but may be ""
 * (shell, gecos, home, principal).
 */
struct cm_account {
	char *name;
	char *principal;	/* Kerberos principal, NAME@REALM; "" when unknown */
	char *dn;
	char *home;
	char *shell;
	char *gecos;
	uid_t uid;
	gid_t gid;
	struct cm_group *groups;
	size_t group_count;
	char *rule;		/* the rule whose value found it */
	char *matched;		/* that value, printable */
	char *source;		/* "ldap://127.0.0.1:3890", "ldif:people.ldif" */
};
void cm_account_free(struct cm_account **a);
/* Deep copy; CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_account_copy(const struct cm_account *a, struct cm_account **out);
/*
 * The checks named above, for every source of accounts (directory, LDIF, kept).
 * CM_ERR_REFUSED  ACCOUNT_FORBIDDEN (uid, gid), ACCOUNT_MALFORMED (name, home, shell, ...)
 */
CM_MUST_USE enum cm_err cm_account_check(const struct cm_account *a, uid_t first_uid,
    gid_t first_gid, struct cm_trace *t);

/* All texts are borrowed for the life of the directory; NULL: not set. */
struct cm_directory_options {
	const char *const *uris;	/* NULL-terminated: ldap://, ldaps://, ldif:PATH; tried in order */
	const char *base;		/* required for ldap: no search without it */
	const char *group_base;		/* NULL: base */
	const char *bind_dn;		/* NULL: anonymous */
	const char *bind_password_file;	/* CM_FILE_SECRET; read at bind, held in a cm_secret */
	const char *ca;			/* PEM file with the CAs for the server's certificate */
	bool starttls;			/* for ldap://: default true.  Without it only loopback is allowed */
	const char *realm;		/* principal = name@realm where the entry has none; NULL: "" */
	uid_t first_uid;		/* accounts below are refused; never below 1 */
	gid_t first_gid;
};

struct cm_directory;

/*
 * Prepare; connects to nothing (an LDIF file is read and indexed here).
 *
 * CM_ERR_CONFIG  CONFIG (uri form, base missing, CA file), LDIF_MALFORMED with file:line
 */
CM_MUST_USE enum cm_err cm_directory_open(const struct cm_directory_options *o,
    struct cm_trace *t, struct cm_directory **out);
void cm_directory_close(struct cm_directory **d);

/*
 * The one account with any of the query's values.  One search for the account,
 * at most one more for its groups, and that only once it is known to be one;
 * one connection, kept for the next call, made anew when the server closed it.
 * Every value that came back is compared with the query again before it counts.
 *
 * CM_OK             *out is the caller's, for cm_account_free
 * CM_ERR_ABSENT     NO_ACCOUNT: a server said so; the text names the values asked
 * CM_ERR_AMBIGUOUS  SEVERAL_ACCOUNTS: the text names them all (up to 16)
 * CM_ERR_REFUSED    ACCOUNT_FORBIDDEN, ACCOUNT_MALFORMED
 * CM_ERR_OFFLINE    DIRECTORY_OFFLINE: no server answered within the deadline
 *                   (connect, TLS handshake, bind and search alike);
 *                   DIRECTORY_TLS: what answered is not known to be the directory
 * CM_ERR_CONFIG     DIRECTORY_REFUSED (bind refused, no access, no such base, size limit)
 */
CM_MUST_USE enum cm_err cm_directory_find(struct cm_directory *d, const struct cm_query *q,
    cm_deadline deadline, struct cm_trace *t, struct cm_account **out);

/* Counted, for tests and bench. */
struct cm_directory_stats {
	unsigned connections, searches, binds;
};
struct cm_directory_stats cm_directory_stats(const struct cm_directory *d);

#endif /* CM_LDAP_DIRECTORY_H */
