/* ldap/local_internal.h - what people keep in their home directories about their cards. */
#ifndef CM_LDAP_LOCAL_INTERNAL_H
#define CM_LDAP_LOCAL_INTERNAL_H

#include <sys/types.h>

#include "ldap/directory_internal.h"

/* Attributes of a local account: certificates (DER), and keys as "ssh-rsa AAAA...". */
#define CM_HOME_CERTIFICATE	"authorizedCertificate"
#define CM_HOME_SSH_KEY		"sshPublicKey"

struct cm_local {
	const struct cm_directory_options *options;	/* borrowed */
	const char *root;				/* borrowed; "" for this computer's */
};

/* The files of one home directory after the other; zero but for the first two. */
struct cm_homes {
	struct cm_trace *trace;
	cm_deadline deadline;
	struct cm_home_job *job;	/* the last one read; values point into it */
	char *unread;			/* why one could not be read: the first */
};

/*
 * Append what the user's own files hold to values, an array of struct cm_value,
 * valid until cm_homes_forget().  A file counts only if it and the folders
 * that hold it are the user's or root's and nobody else may write them; the
 * trace says which do not.  root is put before home.
 */
void cm_homes_read(struct cm_homes *h, const char *root, struct cm_blob home, uid_t uid,
    struct cm_buf *values);
void cm_homes_forget(struct cm_homes *h);
/* CM_ERR_OFFLINE  DIRECTORY_OFFLINE: one of them could not be read, or not in time */
CM_MUST_USE enum cm_err cm_homes_status(const struct cm_homes *h);
void cm_homes_clear(struct cm_homes *h);

/* The text of one such file, taken apart in place: what it holds is appended to values and points into it. */
void cm_home_certificates(struct cm_buf *text, struct cm_buf *values);
void cm_home_ssh_keys(struct cm_buf *text, struct cm_buf *values);

/*
 * local_backend.c: a search of text, the content of passwd(5), or of group(5)
 * where s has a condition of its own.  homes reads home directories; NULL: none are.
 */
CM_MUST_USE enum cm_err cm_local_search(struct cm_search *s, struct cm_blob text,
    const struct cm_local *local, struct cm_homes *homes, struct cm_trace *t);

#endif /* CM_LDAP_LOCAL_INTERNAL_H */
