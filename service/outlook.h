/* service/outlook.h - what is kept about revocation, and what logins without a network will make of it: as JSON. */
#ifndef CM_SERVICE_OUTLOOK_H
#define CM_SERVICE_OUTLOOK_H

#include <jansson.h>

#include "service/host.h"

/* The columns of an outlook: {"now": {opens, unknown, reason, text}, "tomorrow": ..., "in_a_week": ...}. */
#define CM_OUTLOOK_TIMES	3
extern const struct cm_outlook_time {
	const char *name, *title;
	int seconds;			/* ahead */
} cm_outlook_times[CM_OUTLOOK_TIMES];

/*
 * A list, as cardmap revocation status --json has it, and issuer_key beside; its
 * "forecast" is the outlook of a login that has this list and nothing else.
 * known: its clock, by which it is "now", and floor.  h has trust.
 * CM_OK  *out is the caller's
 */
CM_MUST_USE enum cm_err cm_outlook_list(const struct cm_host *h, const struct cm_known *known,
    const struct cm_kept_list *l, json_t **out);

/*
 * The outlook of logins with this certificate, for which an account is kept.
 * h has trust and accounts; as cm_forecast_login() (service/forecast.h).
 * CM_OK  *out is the caller's
 */
CM_MUST_USE enum cm_err cm_outlook_login(const struct cm_host *h, const struct cm_known *known,
    const struct cm_cert *c, json_t **out);

/*
 * Until when such a login opens, if it does at from: then it ends once, and does not begin again.
 * 0: for longer than CM_OUTLOOK_FAR seconds.  To about half a minute.
 */
#define CM_OUTLOOK_FAR	((time_t)400 * 24 * 3600)
time_t cm_outlook_until(const struct cm_host *h, const struct cm_known *known, const struct cm_cert *c, time_t from);

#endif /* CM_SERVICE_OUTLOOK_H */
