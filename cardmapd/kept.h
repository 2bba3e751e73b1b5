/* cardmapd/kept.h - what is kept, as JSON: as the command line's --json has it. */
#ifndef CM_CARDMAPD_KEPT_H
#define CM_CARDMAPD_KEPT_H

#include <jansson.h>

#include "cache/accounts.h"
#include "service/varlink.h"

/* A time of 0 is null. */
void cm_kept_time(json_t *o, const char *key, time_t t);
json_t *cm_kept_evidence(const struct cm_evidence *e);
/* The certificate as it is: whoever asks decodes it, this process does not. */
json_t *cm_kept_account(const struct cm_kept *k);
/* The error io.cardmap.Failed, with the reason of t. */
enum cm_err cm_kept_fail(struct cm_varlink_turn *turn, const struct cm_trace *t);

#endif /* CM_CARDMAPD_KEPT_H */
