/* base/net.h - names looked up, connections and waits, each with a deadline. */
#ifndef CM_BASE_NET_H
#define CM_BASE_NET_H

#include <netdb.h>

#include "base/clock.h"

/* A lookup under way. */
struct cm_lookup;

/*
 * The addresses of host; of one that is an address itself nobody is asked.
 * port is a number in text.  *pending, at first NULL, is the lookup under way:
 * after EAI_INPROGRESS the next call for this host waits for the same one.
 *
 * 0               *out is the caller's, for freeaddrinfo(3)
 * EAI_INPROGRESS  the deadline passed
 * other EAI_...   as getaddrinfo(3), for gai_strerror(3)
 */
CM_MUST_USE int cm_net_resolve(const char *host, const char *port, cm_deadline deadline,
    struct cm_lookup **pending, struct addrinfo **out);
void cm_lookup_free(struct cm_lookup **pending);

/* Until one of these events of poll(2): 0, ETIMEDOUT, or another errno. */
CM_MUST_USE int cm_net_wait(int fd, short events, cm_deadline deadline);
/* The same, and ECANCELED once cancel can be read; -1: nothing cancels. */
CM_MUST_USE int cm_net_wait_unless(int cancel, int fd, short events, cm_deadline deadline);

/* A connected, non-blocking socket of this type (SOCK_...): 0 and *fd, ETIMEDOUT, or another errno. */
CM_MUST_USE int cm_net_connect(const struct addrinfo *to, int type, cm_deadline deadline, int *fd);
CM_MUST_USE int cm_net_connect_unless(int cancel, const struct addrinfo *to, int type,
    cm_deadline deadline, int *fd);

#endif /* CM_BASE_NET_H */
