/* cache/store_server.h - a store served to a process that is not believed. */
#ifndef CM_CACHE_STORE_SERVER_H
#define CM_CACHE_STORE_SERVER_H

#include "cache/accounts.h"

/*
 * Runs the selector of this process's configuration, for keys and a user whose
 * numbers and lengths are within their limits, and nothing else of them checked.  Results are those of
 * cm_accounts_select(), and CM_ERR_USAGE: that may not be asked at all.  Called
 * by the thread of each connection.
 */
struct cm_store_selector {
	enum cm_err (*run)(void *arg, const struct cm_selection *q, struct cm_trace *t, struct cm_buf *answer);
	void *arg;
};

/*
 * Serve one connection of that process (SOCK_SEQPACKET, given) until it ends, or
 * until another thread shuts it down (shutdown(2)).  store is this thread's alone
 * for so long; it is of a file, and is guarded from here on.
 *
 * May be asked: what is kept, and the pairing of a key.  May be added: evidence
 * and sources.  May be withdrawn: a kept account.  May be run: the selector, where there is one (NULL: none).  Nothing adds an account, a
 * pairing or a key, and nobody who is revoked, or on hold, is forgiven: that
 * takes root (cardmap revocation refresh, forget).  Every field is checked;
 * certificates are bytes here, and never decoded.
 *
 * CM_OK          it ended, or was shut down
 * CM_ERR_SYNTAX  it sent what is no request, or one that nobody may make: t says what; the connection is closed
 * CM_ERR_STATE   store is none of a file
 * CM_ERR_OFFLINE it takes no answer; CM_ERR_NOMEM, CM_ERR_SYSTEM
 */
CM_MUST_USE enum cm_err cm_store_serve(int fd, struct cm_accounts *store, const struct cm_store_selector *selector,
    struct cm_trace *t);

#endif /* CM_CACHE_STORE_SERVER_H */
