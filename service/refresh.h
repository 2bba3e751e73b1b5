/* service/refresh.h - beside logins: have everything here that they will want to know about revocation. */
#ifndef CM_SERVICE_REFRESH_H
#define CM_SERVICE_REFRESH_H

#include "service/host.h"

/* One source, when it is done; texts are borrowed for the call. */
struct cm_refreshed {
	const char *issuer;		/* its subject, RFC 4514 */
	const struct cm_source *source;	/* as it is now */
	bool ok;
	const char *text;		/* what became of it */
};

/*
 * For every issuer whose sources a certificate has named here, whose
 * certificates are kept here, or that the configuration names sources for.
 * The first part is the caller's, borrowed; the rest is filled in.  The callbacks come one at a time,
 * though issuers are asked at once.
 */
struct cm_refreshing {
	const struct cm_host *host;	/* with trust and accounts */
	bool due_only;
	char *const *issuers;		/* NULL-terminated: only those with one of these in their subject, case ignored; NULL or empty: all */
	void (*progress)(void *arg, uint64_t done, uint64_t total);	/* octets of everything, as far as it is known; NULL: not wanted */
	void (*told)(void *arg, const struct cm_refreshed *r);
	void *arg;
	bool interruptible;		/* SIGINT and SIGTERM end it, so that what came of a download stays; not beside other threads */

	int signal;			/* that ended it: the caller ends as it asks; 0: none */
	size_t issuer_count;		/* that were gone through */
	size_t asked, failed;		/* sources */
	time_t next;			/* when the first of all this is due again; 0: nothing will be */
};

/*
 * One at a time for each store: others are told to try again.  An issuer whose
 * own certificate does not verify any more is left out, with a "warning" in t.
 * CM_OK            all was learned, or was not due
 * CM_ERR_OFFLINE   SOURCE_SILENT: some sources could not be asked; each was told, the others were asked
 * CM_ERR_AGAIN     REFRESH_RUNS: another one is at it
 * CM_ERR_ABSENT    NO_SUCH_ISSUER: there is none with such a subject
 * CM_ERR_SYSTEM    STORE
 */
CM_MUST_USE enum cm_err cm_refresh_all(struct cm_refreshing *r, struct cm_trace *t);

#endif /* CM_SERVICE_REFRESH_H */
