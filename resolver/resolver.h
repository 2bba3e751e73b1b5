/* resolver/resolver.h - what all parts of the process that asks directories and responders share. */
#ifndef CM_RESOLVER_RESOLVER_H
#define CM_RESOLVER_RESOLVER_H

#include "resolver/kdc.h"
#include "resolver/pool.h"
#include "service/host.h"

/* Made by main() before any thread, and then only read. */
struct cm_resolver {
	struct cm_conf *conf;
	struct cm_host *host;		/* rules, trust, and the store of cardmapd; no directory: that is lent */
	struct cm_accounts *asked;	/* the same store for Whois and Explain, of which nobody's login depends */
	struct cm_pool *pool;
	struct cm_kdcs *kdcs;
	char *daemon;			/* where cardmapd serves what is not served here: path of its socket */
};

/* session.c: serve one card's connection (SOCK_SEQPACKET, given) until it ends; called by a thread of its own. */
void cm_session_run(const struct cm_resolver *r, int fd);

/*
 * whois.c: serve Whois and Explain at this listener (given) by threads that
 * stay.  CM_ERR_SYSTEM: no threads, no descriptors.
 */
struct cm_whois;
CM_MUST_USE enum cm_err cm_whois_new(const struct cm_resolver *r, int listener, struct cm_whois **out);
void cm_whois_free(struct cm_whois **w);

/* sandbox.c: from here on this process does what it needs to and nothing else (seccomp(2)).  CM_ERR_SYSTEM: t says what failed. */
CM_MUST_USE enum cm_err cm_resolver_confine(struct cm_trace *t);

#endif /* CM_RESOLVER_RESOLVER_H */
