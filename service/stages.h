/* service/stages.h - the stages that parse what comes from outside, one by one: for the process that does that for others. */
#ifndef CM_SERVICE_STAGES_H
#define CM_SERVICE_STAGES_H

#include "service/host.h"
#include "service/login.h"
#include "service/message.h"

/*
 * The bodies of the stages chain, account and revocation, as cm_login_here runs
 * them.  The caller makes a struct cm_login with host, trace and (for the
 * account) user, sets its deadline before each, and clears it by
 * cm_stages_clear().  Results and reasons are those of the stages.  One thread
 * at a time.
 */

/* This certificate, and nothing of another any more.  CM_ERR_SYNTAX (CERT_MALFORMED), CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_stages_take(struct cm_login *l, struct cm_blob der);
/* CM_ERR_STATE: no certificate was taken. */
CM_MUST_USE enum cm_err cm_stages_chain(struct cm_login *l);
/* Questions about revocation are out from here on, if the chain is good.  CM_ERR_STATE as above */
CM_MUST_USE enum cm_err cm_stages_account(struct cm_login *l);
/* CM_ERR_STATE: the chain was not found good. */
CM_MUST_USE enum cm_err cm_stages_revocation(struct cm_login *l);
/* All that was found, and the worker. */
void cm_stages_clear(struct cm_login *l);

/*
 * What each found, as fields of CHAINED, FOUND and JUDGED; how it ended is
 * cm_message_report()'s.  After a stage that failed: nothing, but for evidence,
 * which is told whatever follows from it.
 * CM_ERR_REFUSED (CERT_WEAK): the key is of another kind; CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_stages_tell_chain(const struct cm_login *l, struct cm_message *m);
CM_MUST_USE enum cm_err cm_stages_tell_account(const struct cm_login *l, struct cm_message *m);
CM_MUST_USE enum cm_err cm_stages_tell_revocation(const struct cm_login *l, struct cm_message *m);

/* A field of FOUND, whatever becomes of the account. */
CM_MUST_USE enum cm_err cm_stages_tell_facts(const struct cm_facts *said, struct cm_message *m);

#endif /* CM_SERVICE_STAGES_H */
