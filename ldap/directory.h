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
	bool local;	/* this computer has a record of it that is not ours: of a mobile account alone (cache/mobile.h) */
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
	char *rule;		/* the rule whose value found it; the strongest, where there were several */
	bool weak;		/* ... and its value is one that another certificate could come to have */
	bool several;		/* the card opens others too, and the login named this one */
	bool local;		/* an account of this computer, not of a directory */
	char *attribute;	/* that has the value; "" where the rule has a filter of its own */
	char *matched;		/* that value, or that filter, printable */
	char *source;		/* "ldap://127.0.0.1:3890", "ldif:people.ldif" */
};
void cm_account_free(struct cm_account **a);
/* Deep copy; CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_account_copy(const struct cm_account *a, struct cm_account **out);
/*
 * The checks named above, for every source of accounts (directory, LDIF, kept).
 * CM_ERR_REFUSED  ACCOUNT_FORBIDDEN (uid, gid), ACCOUNT_MALFORMED (name, home, shell, ...)
 */
struct cm_account_limits {
	uid_t first_uid;
	gid_t first_gid;
	/*
	 * accounts.local_groups, borrowed; NULL: none.  A group of such a name counts whatever its gid is, 0 apart; as
	 * primary group below first_gid too, where the account is in it and the name is none of cm_group_is_privileged().
	 */
	const char *const *local_groups;
	bool groups_unknown;	/* they are not asked for yet: such a primary group is looked at when they are */
};
CM_MUST_USE enum cm_err cm_account_check(const struct cm_account *a, const struct cm_account_limits *l, struct cm_trace *t);
/* A group that a directory may put somebody into: not one that gives rights on this host, unless its name is listed. */
bool cm_group_is_allowed(const struct cm_group *g, const struct cm_account_limits *l);
/* Whose members own a host, or nearly: by the names that Debian, and what runs containers, give them. */
bool cm_group_is_privileged(const char *name);
bool cm_group_is_listed(const char *const *names, const char *name);

/*
 * Ids from SIDs (accounts.idmap): as SSSD makes them, with its ldap_idmap_range_min, _max and _size.
 * In force it must pass cm_idmap_check().
 */
struct cm_idmap {
	enum cm_conf_idmap use;
	unsigned min, max, size;
	const char *domain_sid;		/* of the domain that has the first slice; NULL: none has */
};

/* All texts are borrowed for the life of the directory; NULL: not set. */
struct cm_directory_options {
	const char *const *uris;	/* NULL-terminated: ldap://, ldaps://, ldif:PATH, tried in order; local: alone
					 * is no directory but this computer's accounts.  Beside others local:DIR
					 * says where those are: DIR/etc/passwd */
	const char *base;		/* required for ldap: no search without it */
	const char *group_base;		/* NULL: base */
	const char *bind_dn;		/* NULL: anonymous */
	const char *bind_password_file;	/* CM_FILE_SECRET; read at bind, held in a cm_secret */
	const char *ca;			/* PEM file with the CAs for the server's certificate */
	bool starttls;			/* for ldap://: default true.  Without it only loopback is allowed */
	const char *realm;		/* principal = name@realm where the entry has none; NULL: "" */
	uid_t first_uid;		/* accounts below are refused; never below 1 */
	gid_t first_gid;
	const char *const *local_groups;	/* struct cm_account_limits; NULL: none */
	enum cm_conf_binding binding;
	enum cm_conf_several several;
	struct cm_idmap idmap;
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
 * The one account with any of the query's values.  One search for the account
 * that asks all terms, at most one more for its groups, and that only once it
 * is known to be one; one connection, kept for the next call, made anew when
 * the server closed it.  Every value that came back is compared with the query
 * again before it counts; a filter is judged again on the entry, as far as that
 * can be done here (filter.c).  Terms about local accounts are asked of this
 * computer (local:), the others of the directory; a query without the latter
 * sends nothing.  A filter that does not parse is never sent.
 *
 * Who counts: accounts that a mapping names; only where there is none, those
 * that a pairing names (UserSelector(7)).  Two that count are ambiguous, be
 * they from one rule or two, strong or weak, local or not, and of one name.
 * The account's rule is its strongest term that is seen to hold; where only the
 * server can tell which holds, the weakest.
 *
 * user      NULL, or the name somebody wants to log in with: with CM_SEVERAL_HINT
 *           it chooses among several, unless strong values found some of them and
 *           weak ones the others; in any case it must be the account's
 *
 * CM_OK             *out is the caller's, for cm_account_free
 * CM_ERR_ABSENT     NO_ACCOUNT: a server said so; the text names the values asked
 * CM_ERR_AMBIGUOUS  SEVERAL_ACCOUNTS: the text names them all (up to 16), and each
 *                   is an item "candidate" of the trace
 * CM_ERR_REFUSED    ACCOUNT_FORBIDDEN, ACCOUNT_MALFORMED; NOT_THIS_USER; ACCOUNT_DISABLED
 *                   (userAccountControl 0x2 or 0x10, nsAccountLock); WEAK_BINDING (binding = strong
 *                   and no strong value found it: the text has the first strong one that
 *                   the query asked for, to be written); OTHER_SID (objectSid is not the query's)
 * CM_ERR_OFFLINE    DIRECTORY_OFFLINE: no server answered within the deadline
 *                   (connect, TLS handshake, bind and search alike), or a home directory
 *                   that a local term is about could not be read and no directory was asked;
 *                   DIRECTORY_TLS: what answered is not known to be the directory
 * CM_ERR_SYSTEM     HOME_UNREAD: such a home, and the directory has answered
 * CM_ERR_CONFIG     DIRECTORY_REFUSED (bind refused, no access, no such base, size limit, an
 *                   entry found by what it does not show); CONFIG (a rule's filter or
 *                   attribute that is none, or that a file cannot be asked; /etc/passwd)
 */
CM_MUST_USE enum cm_err cm_directory_find(struct cm_directory *d, const struct cm_query *q,
    const char *user, cm_deadline deadline, struct cm_trace *t, struct cm_account **out);

/* An entry as a server shows it; everything is borrowed for the time of a call. */
struct cm_value {
	struct cm_blob attribute;	/* as returned, options and all: "userCertificate;binary" */
	struct cm_blob value;
};
struct cm_entry {
	struct cm_blob dn;
	const struct cm_value *values;
	size_t count;
};
/* Anything but CM_OK ends the search with this result.  An entry may be shown twice. */
typedef enum cm_err (*cm_entry_visit)(void *arg, const struct cm_entry *e);

/*
 * A bounded, read-only look for people (explain, import): nothing found here
 * logs anybody in, and nothing is compared again.  The first server that
 * answers is asked; of this computer's accounts, the query's local terms, or
 * all where there is no directory.
 * CM_OK           the server answered, be it with no entry; *more: there were more than limit
 * errors as cm_directory_find, or the visitor's
 */
struct cm_look {
	const char *base;		/* NULL: directory.base; of a file: all of it */
	bool base_only;			/* the base entry alone (scope base) */
	const char *filter;		/* RFC 4515; or: */
	const struct cm_query *query;	/* the entries that any of these terms finds */
	const char *const *attributes;	/* NULL-terminated; NULL: all that may be read */
	size_t limit;			/* most entries */
	bool more;			/* out */
};
CM_MUST_USE enum cm_err cm_directory_look(struct cm_directory *d, struct cm_look *l,
    cm_deadline deadline, struct cm_trace *t, cm_entry_visit visit, void *arg);

/* Counted, for tests and bench. */
struct cm_directory_stats {
	unsigned connections, searches, binds;
};
struct cm_directory_stats cm_directory_stats(const struct cm_directory *d);

/*
 * Servers that gave no answer, known to all handles that share this: nobody
 * waits for one that is marked, its turn is passed at once (DIRECTORY_OFFLINE where
 * all are), until a probe was answered.  Who refuses connections is asked each
 * time, since that takes none.  Safe to use from several threads, and outlives the handles.
 */
struct cm_silence;
CM_MUST_USE enum cm_err cm_silence_new(struct cm_silence **out);
void cm_silence_free(struct cm_silence **s);
/* This handle tells, and is told, from here on. */
void cm_directory_share(struct cm_directory *d, struct cm_silence *s);

/* For a thread that probes: wait until a probe is due (1 s after the mark, then twice as long each time, at most 30 s); false: stopped. */
CM_MUST_USE bool cm_silence_wait(struct cm_silence *s);
void cm_silence_stop(struct cm_silence *s);
/* Ask each server that is due whether it answers anything; d is that thread's own, and shares. */
void cm_directory_probe(struct cm_directory *d, unsigned ms);
/* Those that are marked now, for people: seconds since the mark. */
typedef void (*cm_silent_visit)(void *arg, const char *uri, const char *why, int64_t seconds);
void cm_silence_each(struct cm_silence *s, cm_silent_visit visit, void *arg);

#endif /* CM_LDAP_DIRECTORY_H */
