/* mapper/ini_internal.h - a file of sections and keys, as libini_config reads it for SSSD. */
#ifndef CM_MAPPER_INI_INTERNAL_H
#define CM_MAPPER_INI_INTERNAL_H

#include "base/blob.h"
#include "base/err.h"
#include "base/trace.h"

/* An sssd.conf is a few KB; these bound what a hostile one costs. */
#define CM_INI_MAX		((size_t)1 << 20)	/* bytes */
#define CM_INI_SECTIONS_MAX	4096
#define CM_INI_KEYS_MAX		8192

struct cm_ini_key {
	char *name, *value;		/* owned; value without white space around it; empty: as none */
	int line;
};
struct cm_ini_section {
	char *name;			/* owned; of all sections with this name (letter case ignored) */
	int line;			/* of the first */
	struct cm_ini_key *keys;	/* owned; each name once (letter case ignored): the last one counts */
	size_t count;
};
struct cm_ini {
	struct cm_ini_section *sections;	/* owned, in the file's order */
	size_t count, key_count;
};

/* name is the file's, for messages.  CM_ERR_CONFIG (CONFIG): "NAME:LINE: what; remedy".  CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_ini_read(struct cm_blob bytes, const char *name, struct cm_trace *t,
    struct cm_ini *out);
void cm_ini_clear(struct cm_ini *i);

/* Names are compared without regard to letter case.  NULL: there is none. */
const struct cm_ini_section *cm_ini_section(const struct cm_ini *i, const char *name);
const struct cm_ini_key *cm_ini_key(const struct cm_ini_section *s, const char *name);

#endif /* CM_MAPPER_INI_INTERNAL_H */
