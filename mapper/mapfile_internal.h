/* mapper/mapfile_internal.h - "from -> to" lines of pam_pkcs11's mappers */
#ifndef CM_MAPPER_MAPFILE_INTERNAL_H
#define CM_MAPPER_MAPFILE_INTERNAL_H

#include "mapper/regex_internal.h"

/* Largest map file, bytes; longest line. */
#define CM_MAP_FILE_MAX		((size_t)64 << 20)
#define CM_MAP_LINE_MAX		CM_VALUE_MAX

/*
 * As pam_pkcs11's src/mappers/mapper.c reads them: "#" begins a comment line,
 * the first " -> " parts key and value, the first line whose key fits counts;
 * "^...$" is a POSIX basic expression.  Where it passes over a line in silence
 * (no arrow, a bad expression) this is an error, and an expression has to fit
 * the whole value, not one line in it.  ignore_case is ASCII's.  Immutable once
 * made; re is borrowed for as long as the file is used.
 */
struct cm_map_file;
/*
 * CM_ERR_CONFIG  CONFIG: "PATH:LINE: what", the first mistake; all are in the trace ("mistake")
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_map_file_parse(struct cm_blob bytes, const char *path,
    struct cm_regexes *re, bool ignore_case, struct cm_trace *t, struct cm_map_file **out);
/* Also CM_ERR_CONFIG: no such file, too large, or others may write to it. */
CM_MUST_USE enum cm_err cm_map_file_load(const char *path, struct cm_regexes *re,
    bool ignore_case, struct cm_trace *t, struct cm_map_file **out);
void cm_map_file_free(struct cm_map_file **m);
/* What value becomes, borrowed from the file; CM_ERR_ABSENT: no line has it; CM_ERR_CONFIG: RULE_REGEX. */
CM_MUST_USE enum cm_err cm_map_file_find(const struct cm_map_file *m, struct cm_blob value,
    struct cm_trace *t, struct cm_blob *out);

#endif /* CM_MAPPER_MAPFILE_INTERNAL_H */
