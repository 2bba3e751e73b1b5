/* ldap/ldap_link.h - a TCP connection for libldap on which nothing waits beyond a deadline. */
#ifndef CM_LDAP_LDAP_LINK_H
#define CM_LDAP_LDAP_LINK_H

#include <lber.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/trace.h"

/* A server by name; the texts are borrowed. */
struct cm_link_target {
	const char *host;	/* a name or an address, without brackets */
	uint16_t port;
	bool loopback_only;	/* connect to no address but this host's own */
	struct cm_lookup *lookup;	/* of the name, when one is under way */
};

/* One answer to a search fits; a record of TLS is at most a little longer. */
#define CM_LINK_BUFFER	16384

struct cm_link {
	int fd;
	int cancel;		/* once this can be read all waits end; -1: nothing cancels */
	cm_deadline deadline;	/* of everything below; set anew for each use */
	bool waits;		/* recv(2) on it may wait for a moment */
	bool silent;		/* the deadline passed */
	bool cancelled;
	bool unnamed;		/* the name could not be looked up */
	bool ended;		/* the other side closed it, or it broke */
	uint64_t received;	/* octets, since it was connected */
	size_t at, len;		/* what was received and not yet read */
	uint8_t buffer[CM_LINK_BUFFER];
};

/*
 * Before anything else of libldap: at its first use it looks up this host's own
 * name, which a silent name server delays by ten seconds and more.
 */
void cm_link_start_libldap(void);

/* An address or name that means this host, whatever a resolver says. */
bool cm_link_is_loopback(const char *host);

/*
 * Look the name up and connect, within l->deadline, which is set before.
 * CM_ERR_OFFLINE  DIRECTORY_OFFLINE; uri is for the text
 */
CM_MUST_USE enum cm_err cm_link_connect(struct cm_link_target *target, const char *uri,
    struct cm_trace *t, struct cm_link *l);

/*
 * Could a connection that has rested still be used?  False: no network leads to that server any more, or it leaves this
 * computer from another address now: nothing comes back, and TCP says so to nobody for minutes.  Nothing is sent.
 */
bool cm_link_leads_there(const struct cm_link *l);

/* Wait until there is something to read, or the end of it; false: the deadline passed. */
bool cm_link_wait(struct cm_link *l);

/* Closed already is fine. */
void cm_link_close(struct cm_link *l);

/*
 * Make the link libldap's transport.  libldap and the TLS library below it know
 * no deadline for a handshake, the rest of a message, or a write to a full
 * buffer: here every byte has one.  From now on sb closes fd.
 */
CM_MUST_USE enum cm_err cm_link_attach(struct cm_link *l, Sockbuf *sb);

#endif /* CM_LDAP_LDAP_LINK_H */
