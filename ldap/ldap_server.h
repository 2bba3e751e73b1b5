/* ldap/ldap_server.h - inside ldap/: one LDAP server: reached, trusted and bound as said, through libldap. */
#ifndef CM_LDAP_LDAP_SERVER_H
#define CM_LDAP_LDAP_SERVER_H

#include <ldap.h>

#include "ldap/directory.h"
#include "ldap/ldap_link.h"

/* Texts are borrowed for the life of the server. */
struct cm_server_options {
	const char *uri;		/* ldap://HOST[:PORT] or ldaps: */
	const char *bind_dn, *bind_password_file;	/* NULL: anonymous; as struct cm_directory_options */
	const char *ca;			/* needed for TLS */
	bool starttls;			/* of ldap: */
	bool clear;			/* ldap: without StartTLS may leave this host: what comes proves itself */
	size_t message_max;		/* octets of one message */
	int cancel;			/* see struct cm_link */
	struct cm_directory_stats *stats;	/* borrowed */
};

struct cm_server {
	struct cm_server_options options;
	LDAPURLDesc *url;
	bool ldaps;
	struct cm_link_target target;
	struct cm_link link;	/* its deadline is set before each use */
	LDAP *ld;		/* NULL: not connected */
	int64_t asked_us;	/* when it was last asked for anything */
	bool lost;		/* the last use ended with the connection */
	bool distrusted;	/* the last use ended with TLS */
};

/*
 * All that can be found wrong without the network is found here.
 * CM_ERR_CONFIG  CONFIG names the URI, directory.ca or the password's file; CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_server_new(const struct cm_server_options *o, struct cm_trace *t,
    struct cm_server **out);
void cm_server_free(struct cm_server **s);

/* After any failure, and when lost is set. */
void cm_server_disconnect(struct cm_server *s);

struct cm_server_search {
	const char *base;
	int scope;			/* LDAP_SCOPE_... */
	const char *filter;
	const char *const *attributes;	/* NULL-terminated; none: all */
	size_t limit;			/* entries that the server need show at most; 0: all */
	const struct cm_page *page;	/* NULL: in one go */
};
/* Send it, connecting first.  CM_OK: *msgid is that of its answers, the first of which is awaited. */
CM_MUST_USE enum cm_err cm_server_search(struct cm_server *s, const struct cm_server_search *q,
    struct cm_trace *t, int *msgid);
/*
 * The next message that answers msgid, for ldap_msgfree(3); its type, or -1.
 * libldap itself never waits: its own timeouts follow the wall clock, which
 * anybody may set.
 */
int cm_server_next(struct cm_server *s, int msgid, LDAPMessage **out);
/* Of an entry: its name and values (struct cm_value, one behind the other), borrowed from the message.  false: it is malformed. */
bool cm_server_values(struct cm_server *s, LDAPMessage *message, struct cm_blob *dn,
    struct cm_buf *values);
/* What ends a search: its result code, and the server's words, for ldap_memfree(3).  CM_ERR_OFFLINE as cm_server_lost(). */
CM_MUST_USE enum cm_err cm_server_result(struct cm_server *s, LDAPMessage *message,
    struct cm_trace *t, int *code, char **diagnostic);

/* The same message's cookie into page, whose more is true where there is one (RFC 2696).  CM_ERR_OFFLINE as cm_server_lost(). */
CM_MUST_USE enum cm_err cm_server_page(struct cm_server *s, LDAPMessage *message, struct cm_trace *t, struct cm_page *page);

/* The connection is of no more use: the server is silent, gone, or speaks no LDAP.  DIRECTORY_OFFLINE. */
enum cm_err cm_server_lost(struct cm_server *s, const char *doing, struct cm_trace *t);
/*
 * A result code that is not success (RFC 4511 section 4.1.9, Appendix A):
 * DIRECTORY_OFFLINE where the server says that it cannot answer now, else
 * DIRECTORY_REFUSED.  It never means "there is no such entry": that is success
 * with no entry, or LDAP_NO_SUCH_OBJECT, which is the caller's.
 */
enum cm_err cm_server_refused(struct cm_server *s, const char *doing, int code,
    const char *diagnostic, struct cm_trace *t);

#endif /* CM_LDAP_LDAP_SERVER_H */
