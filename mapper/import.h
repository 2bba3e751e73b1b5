/* mapper/import.h - what another system's configuration says, in cardmap's words. */
#ifndef CM_MAPPER_IMPORT_H
#define CM_MAPPER_IMPORT_H

#include "base/buf.h"
#include "base/conf.h"
#include "base/trace.h"

/*
 * One file read: its rules as sections of cardmap.conf would have them, the
 * keys it sets, and what has no counterpart.  Loading (rules that are in force
 * while the file stays where it is) and importing (cardmap.conf written once)
 * both start from this, so they cannot differ.  Owned by whoever asked.
 */
struct cm_import_setting {
	int line;		/* of the file it came from; 0: it has no lines */
	char *key;		/* "trust.pins" */
	char **values;		/* NULL-terminated; more than one only for lists */
};
struct cm_import_note {
	int line;
	char *text;		/* "Logging has no counterpart" */
};
struct cm_import {
	char *path;
	const char *from;	/* "SmartcardLogin.plist" */
	struct cm_conf_rule *rules;
	size_t rule_count;
	struct cm_import_setting *settings;
	size_t setting_count;
	struct cm_import_note *notes;
	size_t note_count;
};
void cm_import_free(struct cm_import **i);

/*
 * The readers.  bytes is the whole file, path its name for messages.
 * CM_ERR_CONFIG  CONFIG: "FILE:LINE: what; remedy"
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_import_plist(struct cm_blob bytes, const char *path,
    struct cm_trace *t, struct cm_import **out);
/* sss-certmap(5), sssd.conf(5): [certmap/DOMAIN/NAME], [domain/NAME], [pam]. */
CM_MUST_USE enum cm_err cm_import_sssd(struct cm_blob bytes, const char *path,
    struct cm_trace *t, struct cm_import **out);
/* pam_pkcs11.conf in its scconf form, with the mappers that use_mappers names. */
CM_MUST_USE enum cm_err cm_import_pam_pkcs11(struct cm_blob bytes, const char *path,
    struct cm_trace *t, struct cm_import **out);

/*
 * One rule of FreeIPA as its entry has it (objectClass ipaCertMapRule); texts
 * that the entry lacks are NULL, all are borrowed for the call.  domain is that
 * of the server itself, for rules that name none.  One that is not enabled, or
 * that was added before, is left out.
 * CM_ERR_CONFIG  CONFIG: "DN: what; remedy"
 */
struct cm_ipa_rule {
	const char *dn, *name, *match, *map, *priority, *enabled;
	const char *const *domains;	/* NULL-terminated */
};
CM_MUST_USE enum cm_err cm_import_freeipa_rule(struct cm_import *i, const struct cm_ipa_rule *r,
    const char *domain, struct cm_trace *t);
/* Where its rules stand: "cn=certmap,SUFFIX"; and the domain of that suffix.  base is any DN below it. */
void cm_freeipa_base(const char *base, struct cm_buf *out);
void cm_freeipa_domain(const char *base, struct cm_buf *out);

/* Read the file (CM_FILE_TRUSTED) and then one of the above; notes go into the trace.  CM_ERR_ABSENT: no such file. */
typedef enum cm_err (*cm_import_reader)(struct cm_blob bytes, const char *path,
    struct cm_trace *t, struct cm_import **out);
CM_MUST_USE enum cm_err cm_import_load(const char *path, cm_import_reader read,
    struct cm_trace *t, struct cm_import **out);

/*
 * Put it into force: its rules behind those of c, its settings wherever nobody
 * has set the key (cm_conf_set_default()).  The import's rules are moved into c.
 * CM_ERR_CONFIG  CONFIG: "FILE:LINE: SECTION.KEY: ..."
 */
CM_MUST_USE enum cm_err cm_import_apply(struct cm_import *i, struct cm_conf *c, struct cm_trace *t);
/*
 * The same with each file that the configuration names (mapper.plist,
 * mapper.sssd): once, when everything that is stronger has been set.  Results
 * are those of the readers; only mapper.plist's default may be missing.
 */
CM_MUST_USE enum cm_err cm_import_configured(struct cm_conf *c, struct cm_trace *t);
/* Its settings alone, told to visit() in the order in which they would be set; place: "FILE:LINE".  c stays as it is. */
typedef enum cm_err (*cm_import_visit)(void *arg, const char *place, const struct cm_import_setting *s);
CM_MUST_USE enum cm_err cm_import_each(const struct cm_conf *c, struct cm_trace *t, cm_import_visit visit, void *arg);

/* Append the equivalent cardmap.conf: a comment with the line each thing came from, notes at the end. */
CM_MUST_USE enum cm_err cm_import_write(const struct cm_import *i, struct cm_buf *out);

/* ---- for readers */

/* A mistake: "PATH:LINE: what; remedy", without the line when it is 0.  Returns CM_ERR_CONFIG. */
enum cm_err cm_import_fail(const char *path, int line, struct cm_trace *t, const char *fmt, ...) CM_PRINTF(4, 5);
/* path is copied; from: the kind of file, static text.  CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_import_new(const char *path, const char *from, struct cm_import **out);
/*
 * The rule's content becomes the import's; *r is emptied whatever happens.  A
 * name that is taken gets a number; one without an origin comes from that line.
 */
CM_MUST_USE enum cm_err cm_import_add_rule(struct cm_import *i, int line, struct cm_conf_rule *r);
/* A copy; a second call with the same key adds a value to the list. */
CM_MUST_USE enum cm_err cm_import_set(struct cm_import *i, int line, const char *key, const char *value);
CM_MUST_USE enum cm_err cm_import_note(struct cm_import *i, int line, const char *fmt, ...) CM_PRINTF(3, 4);
/* All values of a key, or NULL. */
const struct cm_import_setting *cm_import_find(const struct cm_import *i, const char *key);

#endif /* CM_MAPPER_IMPORT_H */
