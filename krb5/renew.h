/* krb5/renew.h - a ticket that is in the user's own ccache gets a longer life, with no card (RFC 4120 section 2.3). */
#ifndef CM_KRB5_RENEW_H
#define CM_KRB5_RENEW_H

#include "krb5/pkinit.h"

/* What the ccache has afterwards.  Times are the KDC's, UTC. */
struct cm_renewed {
	bool renewed;		/* false: it was not due, and nobody was asked */
	char *principal;	/* owned */
	time_t expires, renew_till;
};

/*
 * Of the TGT in the ccache so named ("FILE:/tmp/krb5cc_1000"), by its user's own
 * process: whose name it is in, and how long it may be renewed, is the ticket's
 * to say and the KDC's to judge.  One request to a KDC, within the deadline; no
 * key of a card, no keytab.  The ccache is replaced whole, as
 * cm_ccache_write() does, or stays as it was; other tickets in it go with the
 * TGT that they were got by.  What a login wrote meanwhile is left alone.
 *
 * due: ask only where cm_renewal_is_due() says so.
 *
 * CM_OK           *out is to be cleared
 * CM_ERR_ABSENT   NO_TICKET: there is none, it is no regular file of this user's, has expired, or may be renewed no longer
 * CM_ERR_REFUSED  KDC_REFUSED; TICKET_FORGED: the answer is of another principal
 * CM_ERR_OFFLINE  KDC_OFFLINE
 * CM_ERR_CONFIG   CONFIG: krb5.conf
 * CM_ERR_SYSTEM   CCACHE: it cannot be read, or not be written
 * CM_ERR_NOMEM
 */
struct cm_renewal {
	const char *ccache;
	bool due;
};
CM_MUST_USE enum cm_err cm_ticket_renew(struct cm_pkinit *p, const struct cm_renewal *r, cm_deadline deadline,
    struct cm_trace *t, struct cm_renewed *out);
void cm_renewed_clear(struct cm_renewed *r);

/*
 * What is in it, with nobody asked and nothing judged: expires may be over.  Of a ccache of this process's user alone.
 * CM_ERR_ABSENT NO_TICKET; CM_ERR_SYSTEM CCACHE; CM_ERR_CONFIG CONFIG: krb5.conf; CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_ticket_look(const char *ccache, struct cm_trace *t, struct cm_renewed *out);

/* Half of its life is over, the rest is not, and there is more to be had. */
bool cm_renewal_is_due(time_t start, time_t end, time_t renew_till, time_t now);

#endif /* CM_KRB5_RENEW_H */
