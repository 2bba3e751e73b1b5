/* mapper/sssd_internal.h - an sssd.conf being read. */
#ifndef CM_MAPPER_SSSD_INTERNAL_H
#define CM_MAPPER_SSSD_INTERNAL_H

#include "mapper/import.h"
#include "mapper/ini_internal.h"

struct cm_sssd {
	const char *path;
	struct cm_trace *trace;
	struct cm_ini ini;
	struct cm_import *out;
	const struct cm_ini_section *domain;	/* the one whose directory is asked; NULL: none */
};

/* Lists parted by commas: the next item, not terminated, without white space around it; false at the end. */
bool cm_sssd_next(const char **list, const char **item, size_t *len);

/* Are the domain's accounts those of /etc/passwd?  section may be NULL. */
bool cm_sssd_is_files(const struct cm_ini_section *section, const char *name);
bool cm_sssd_is_enabled(const struct cm_sssd *s, const char *name);

/* sssd_rules.c: the sections [certmap/DOMAIN/NAME], or the rule that holds without any. */
CM_MUST_USE enum cm_err cm_sssd_rules(const struct cm_sssd *s);

/* sssd_verification.c.  line: where cas, the file of CAs, is named; 0: nowhere. */
CM_MUST_USE enum cm_err cm_sssd_verification(const struct cm_sssd *s, const struct cm_ini_section *pam, int line,
    const char *cas);

/* What libsss_certmap and the providers take where nothing is said (sss_certmap.c, sssd.conf(5)). */
#define CM_SSS_MATCH	"KRB5:<KU>digitalSignature<EKU>clientAuth"
#define CM_SSS_MAP	"LDAP:(userCertificate;binary={cert!bin})"

/*
 * A mapping rule as a filter: "LDAP:" in front where it has no prefix.
 * CM_ERR_SYNTAX: the prefix is of no known kind.  CM_ERR_NOMEM.
 */
CM_MUST_USE enum cm_err cm_sss_filter(const char *map, char **out);
/* A rule's priority; false: it is no number of 32 bits. */
CM_MUST_USE bool cm_sss_priority(const char *text, uint32_t *out);

#endif /* CM_MAPPER_SSSD_INTERNAL_H */
