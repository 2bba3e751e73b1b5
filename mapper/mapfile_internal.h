/* mapper/mapfile_internal.h - "from -> to" lines of pam_pkcs11's mappers */
#ifndef CM_MAPPER_MAPFILE_INTERNAL_H
#define CM_MAPPER_MAPFILE_INTERNAL_H

#include "mapper/regex_internal.h"

struct cm_map_file;
CM_MUST_USE enum cm_err cm_map_file_parse(struct cm_blob bytes, const char *path,
    struct cm_regexes *re, bool ignore_case, struct cm_trace *t, struct cm_map_file **out);
CM_MUST_USE enum cm_err cm_map_file_load(const char *path, struct cm_regexes *re,
    bool ignore_case, struct cm_trace *t, struct cm_map_file **out);
void cm_map_file_free(struct cm_map_file **m);
/* What value becomes; CM_ERR_ABSENT: no line has it; CM_ERR_CONFIG: RULE_REGEX. */
CM_MUST_USE enum cm_err cm_map_file_find(const struct cm_map_file *m, struct cm_blob value,
    struct cm_trace *t, struct cm_blob *out);

#endif /* CM_MAPPER_MAPFILE_INTERNAL_H */
