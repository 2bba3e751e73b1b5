/* service/forecast.h - what a login with no network will decide, today or next week. */
#ifndef CM_SERVICE_FORECAST_H
#define CM_SERVICE_FORECAST_H

#include "service/host.h"

/*
 * The stages of a login before the PIN for the kept account of c, at the time
 * at, with nobody answering: the chain, the kept account, and what is kept about
 * revocation, judged at the policy of the account's rule.  The stages are those
 * of a login, and their reasons; a program that mapper.selector names is not
 * called.  Asks nobody, keeps nothing.
 *
 * h has trust and accounts; without rules it is not looked at whether they
 * still lead to the account.  known is what the host knows, of
 * evidence what is revoked at least; its clock is not used.
 * CM_OK  it goes on to the PIN; the item "status" of t says on what evidence
 * Else the first stage that says no, its reason in t
 */
CM_MUST_USE enum cm_err cm_forecast_login(const struct cm_host *h, const struct cm_known *known,
    const struct cm_cert *c, time_t at, struct cm_trace *t);

#endif /* CM_SERVICE_FORECAST_H */
