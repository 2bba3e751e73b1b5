/* mapper/pending.c - until mapfile.c is here: what needs them is refused. */
#include "mapper/rules_internal.h"

#define PENDING	__attribute__((weak))

PENDING enum cm_err
cm_map_file_load(const char *path, struct cm_regexes *re, bool ignore_case, struct cm_trace *t,
    struct cm_map_file **out)
{
	(void)re;
	(void)ignore_case;
	*out = NULL;
	return cm_trace_fail(t, CM_REASON_CONFIG, "%s: map files cannot be read yet", path);
}

PENDING void
cm_map_file_free(struct cm_map_file **m)
{
	*m = NULL;
}

PENDING enum cm_err
cm_map_file_find(const struct cm_map_file *m, struct cm_blob value, struct cm_trace *t,
    struct cm_blob *out)
{
	(void)m;
	(void)value;
	(void)t;
	(void)out;
	return CM_ERR_ABSENT;
}
