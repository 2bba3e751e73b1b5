/* service/varlink_internal.h - the grammar of varlink's names. */
#ifndef CM_SERVICE_VARLINK_INTERNAL_H
#define CM_SERVICE_VARLINK_INTERNAL_H

#include "base/blob.h"

/* https://varlink.org/Interface-Definition, "Grammar": interface_name, name, field_name. */
bool cm_varlink_interface_name(struct cm_blob text);
bool cm_varlink_member_name(struct cm_blob text);
bool cm_varlink_field_name(struct cm_blob text);

/* Of interface.Member the interface, to its last dot. */
struct cm_blob cm_varlink_interface_of(const char *name);

#endif /* CM_SERVICE_VARLINK_INTERNAL_H */
