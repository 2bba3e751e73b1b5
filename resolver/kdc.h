/* resolver/kdc.h - does a KDC answer?  Known before anybody waits for it. */
#ifndef CM_RESOLVER_KDC_H
#define CM_RESOLVER_KDC_H

#include "base/conf.h"
#include "base/trace.h"

/* A thread that probes the KDCs; safe to use from several. */
struct cm_kdcs;

/* conf is borrowed.  Without Kerberos here (off, or not configured) nobody is ever probed.  Results of cm_pkinit_open() but CM_ERR_ABSENT. */
CM_MUST_USE enum cm_err cm_kdcs_new(const struct cm_conf *conf, struct cm_trace *t, struct cm_kdcs **out);
void cm_kdcs_free(struct cm_kdcs **k);

/* A card came: a PIN may follow.  Asked in the background, unless it was lately. */
void cm_kdcs_warm(struct cm_kdcs *k);
/* Somebody waited in vain: silent from here on, and probed until one answers (1 s, doubled to 30 s). */
void cm_kdcs_note_silent(struct cm_kdcs *k);
/* Is none known to answer?  Nobody waits for this.  why: the caller's, for free(3), "" where it is not; NULL: no memory. */
bool cm_kdcs_silent(struct cm_kdcs *k, char **why);

#endif /* CM_RESOLVER_KDC_H */
