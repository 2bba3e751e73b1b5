/* service/level.h - how revocation is judged, by the configuration alone. */
#ifndef CM_SERVICE_LEVEL_H
#define CM_SERVICE_LEVEL_H

#include "base/conf.h"
#include "trust/trust.h"

/* As cm_host_strictest() and cm_host_policy_of() (service/host.h), for processes that have no such host. */
struct cm_trust_policy cm_level_strictest(const struct cm_conf *c);
struct cm_trust_policy cm_level_of_rule(const struct cm_conf *c, const char *rule);

#endif /* CM_SERVICE_LEVEL_H */
