/* service/login_internal.h - what a login holds whose stages run in this process. */
#ifndef CM_SERVICE_LOGIN_INTERNAL_H
#define CM_SERVICE_LOGIN_INTERNAL_H

#include "card/card.h"
#include "krb5/pkinit.h"
#include "service/host.h"
#include "service/login.h"
#include "service/login_slots_internal.h"

/* One of the card's; cert NULL: the first slot is empty. */
struct cm_here_certificate {
	unsigned slot;			/* enum cm_slot */
	struct cm_cert *cert;
};

/* All owned; a login's worker. */
struct cm_here {
	struct cm_card *card;
	struct cm_here_certificate certificates[1 + CM_LOGIN_SLOTS_MAX];
	size_t certificate_count;
	bool others_read;
	struct cm_cert *cert;
	struct cm_memory *memory;	/* what this host knew when it began */
	struct cm_known known;		/* the same, as trust/ takes it; borrows from memory */
	struct cm_verdict *verdict;
	struct cm_inquiry *inquiry;	/* after its revocation: under way while the directory is asked */
	struct cm_proof *proof;
	struct cm_ticket *ticket;
};

static inline struct cm_here *
cm_here(const struct cm_login *l)
{
	return l->worker;
}

/* It, made where there is none yet; NULL: no memory. */
struct cm_here *cm_here_make(struct cm_login *l);
/* After its certificate is there: subject and serial number, as texts.  CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_here_note_certificate(struct cm_login *l);

/* Begin to ask; its inquiry is the login's.  Results are those of cm_trust_ask_revocation(). */
CM_MUST_USE enum cm_err cm_login_ask_revocation(struct cm_login *l);

#endif /* CM_SERVICE_LOGIN_INTERNAL_H */
