/* mapper/pam_pkcs11_internal.h - pam_pkcs11.conf: its form, and what its parts become */
#ifndef CM_MAPPER_PAM_PKCS11_INTERNAL_H
#define CM_MAPPER_PAM_PKCS11_INTERNAL_H

#include "mapper/import.h"

/* A file is a few KB; these bound what a hostile one costs. */
#define CM_SCCONF_MAX		((size_t)1 << 20)	/* bytes */
#define CM_SCCONF_ITEMS_MAX	4096
#define CM_SCCONF_VALUES_MAX	1024			/* of one item */
#define CM_SCCONF_DEPTH_MAX	16

/* "key = value, value;" or "key name { ... }", owned by the item above it. */
struct cm_scconf_item {
	char *key;
	int line;			/* of the key */
	bool block;
	char **values;			/* NULL-terminated: the values, or a block's names; NULL: none */
	size_t count;
	struct cm_scconf_item *child;	/* first of a block's; owned */
	struct cm_scconf_item *next;	/* owned */
};

/*
 * Read the whole file as pam_pkcs11 does: no escapes, a ";" at a line's end may
 * be missing, keys given twice add to one list.  What it passes over in silence
 * becomes a note.  *root is a block without a key, for cm_scconf_free().
 * CM_ERR_CONFIG  CONFIG: "PATH:LINE: what; remedy"
 */
CM_MUST_USE enum cm_err cm_scconf_read(struct cm_blob bytes, struct cm_import *notes,
    struct cm_trace *t, struct cm_scconf_item **root);
void cm_scconf_free(struct cm_scconf_item **item);

/* The first block of this key, and of this first name unless it is NULL; case is ignored.  NULL: none. */
const struct cm_scconf_item *cm_scconf_block(const struct cm_scconf_item *in, const char *key,
    const char *name);
/* The setting of this key; NULL: there is none, or it has no value.  in may be NULL. */
const struct cm_scconf_item *cm_scconf_setting(const struct cm_scconf_item *in, const char *key);
/* Its first value, or fallback. */
const char *cm_scconf_text(const struct cm_scconf_item *in, const char *key, const char *fallback);
bool cm_scconf_flag(const struct cm_scconf_item *in, const char *key, bool fallback);
/* Where the key stands, or the block, or 0. */
int cm_scconf_line(const struct cm_scconf_item *in, const char *key);

/* One file on its way into an import. */
struct cm_pam_reading {
	struct cm_import *import;
	const char *host;		/* this computer's name; "" unknown */
	const struct cm_scconf_item *root;	/* the block pam_pkcs11 */
	unsigned mappers;		/* that made rules */
	bool ldap;			/* one of them asks a directory */
};

/* One mapper that use_mappers names, on that line; block is NULL where the file has none for it. */
CM_MUST_USE enum cm_err cm_pam_mapper(struct cm_pam_reading *r, const char *name, int line,
    const struct cm_scconf_item *block);

/* A rule about to be made; texts borrowed.  NULL and false: not set. */
struct cm_pam_rule {
	const char *name, *match, *upn_suffix, *attribute, *value, *filter, *map_file;
	bool ignore_case, local;
};
CM_MUST_USE enum cm_err cm_pam_add_rule(struct cm_pam_reading *r, int line,
    const struct cm_pam_rule *rule);

/* The ldap mapper: rules, and the keys of the directory. */
CM_MUST_USE enum cm_err cm_pam_ldap(struct cm_pam_reading *r, const char *name, int line,
    const struct cm_scconf_item *block);
/* What a mapper means by "cn", "subject", "kpn", "email", "upn", "uid" or "serial"; NULL: no such item. */
const char *cm_pam_field(const char *item, size_t len);

/* As cm_import_pam_pkcs11(), on a computer of this name. */
CM_MUST_USE enum cm_err cm_pam_pkcs11_read(struct cm_blob bytes, const char *path, const char *host,
    struct cm_trace *t, struct cm_import **out);

#endif /* CM_MAPPER_PAM_PKCS11_INTERNAL_H */
