/* base/conf.h - /etc/cardmap/cardmap.conf: every key a row, every value with its origin. */
#ifndef CM_BASE_CONF_H
#define CM_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "base/trace.h"

#define CM_CONF_PATH	"/etc/cardmap/cardmap.conf"

/* Is a Kerberos ticket part of a login? */
enum cm_conf_ticket {
	CM_TICKET_OFF,		/* no KDC is asked */
	CM_TICKET_OPTIONAL,	/* taken where a KDC answers; a KDC's refusal still refuses */
	CM_TICKET_REQUIRED,	/* no login without one while the directory is online */
};

/* May a value bind that others could come to have (KB5014754)? */
enum cm_conf_binding { CM_BINDING_ANY, CM_BINDING_STRONG };
/* One card, several accounts: nobody's, or the login says whose. */
enum cm_conf_several { CM_SEVERAL_REFUSE, CM_SEVERAL_HINT };

/*
 * One mapping rule as it is written: a section rule "NAME" of cardmap.conf, or
 * the same of another system's file (mapper/import.h).  Texts that were not
 * given are NULL.  cardmap-rules(5) has the languages; mapper/ compiles them.
 */
#define CM_RULE_PRIORITY_LAST	UINT32_MAX
struct cm_conf_rule {
	char *name;
	char *origin;		/* "FILE:LINE" of the rule, for messages */
	char *match;		/* matching rule of sss-certmap(5); NULL: every certificate */
	char *issuer;		/* exact DN of the issuer, RFC 4514; NULL: any */
	char *upn_suffix;	/* the UPN must end with "@" and this, case ignored */
	char *attribute, *value;	/* an attribute and the template of its value; or: */
	char *filter;		/* the template of a filter; "LDAP:" or "LDAPU1:" before it: as sss-certmap(5) */
	char *map_file;		/* the value is looked up here first (pam_pkcs11's form) */
	char **domains;		/* NULL-terminated; the rule is for these; NULL or empty: any */
	uint32_t priority;	/* 0 is asked first; CM_RULE_PRIORITY_LAST: not given */
	bool ignore_case;	/* the value is put in lower case (ASCII) */
	bool local;		/* names accounts of this computer, not of the directory */
};
void cm_conf_rule_clear(struct cm_conf_rule *r);

/*
 * Values in force, valid and in range.  Times in milliseconds, sizes in bytes,
 * unless the name says otherwise.  A text that is not set is NULL, a list that
 * is not set holds only its final NULL.  Owned by the struct.
 */
struct cm_conf {
	struct {
		char **uri;
		char *base, *group_base, *bind_dn, *bind_password_file, *ca;
		char *domain;		/* the domain that rules may be limited to, and of UPNs: "example.org" */
		bool starttls;
		unsigned timeout;
	} directory;
	struct {
		char *plist, *sssd, *selector;
		char **forms;		/* built-in rules used where nothing else gives any */
		unsigned binding;	/* enum cm_conf_binding */
		unsigned several_accounts;	/* enum cm_conf_several */
		bool skip_bad_rules, back_references;
	} mapper;
	struct {
		unsigned level;		/* enum cm_trust_level */
		char **anchors, **intermediates, **pins, **ocsp_url, **crl;
		bool use_ocsp, use_crl, require_nonce;
		unsigned timeout, ocsp_max, crl_max;
	} trust;
	struct {
		unsigned ticket;	/* enum cm_conf_ticket */
		char *config, *realm, **kdc, **anchors, **intermediates;
		char *keytab, *host_principal, *ccache;
		unsigned timeout;
	} kerberos;
	struct {
		char *source;
		unsigned timeout;
	} card;
	struct {
		char *path;
		unsigned offline_days, first_uid, first_gid;
		bool user_pairing, one_card_per_user;
	} accounts;
	struct {
		unsigned log;		/* enum cm_log_target */
	} service;
	struct cm_conf_rule *rules;	/* sections rule "NAME", in the file's order */
	size_t rule_count;
	char **origins;			/* one for each row of the table; owned */
};

/*
 * Read path, or CM_CONF_PATH when it is NULL; without that file all values are
 * the defaults.  A file given by name must exist.  It must be CM_FILE_TRUSTED.
 *
 * CM_ERR_CONFIG  reason CONFIG: "FILE:LINE: key: what is wrong; what is expected".
 *                Every mistake is in the trace ("mistake"), the first in the message.
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_conf_load(const char *path, struct cm_trace *t,
    struct cm_conf **out);
void cm_conf_free(struct cm_conf **c);

/*
 * Set one value from outside the file: "trust.level=hard".  A list is replaced
 * by the one value.  CM_ERR_USAGE (USAGE): no such key, or not its type or range.
 */
CM_MUST_USE enum cm_err cm_conf_set(struct cm_conf *c, const char *assignment,
    const char *origin, struct cm_trace *t);

/* One key with its value, for people and for man pages; texts borrowed for the call. */
struct cm_conf_item {
	const char *key;	/* "trust.level" */
	const char *value;	/* "soft"; lists joined by ", "; "" when not set */
	const char *origin;	/* "default", "/etc/cardmap/cardmap.conf:12", "command line" */
	const char *type, *unit, *fallback, *help;
	unsigned min, max;	/* for numbers; both 0 otherwise */
};
typedef void (*cm_conf_visit)(void *arg, const struct cm_conf_item *item);
void cm_conf_each(const struct cm_conf *c, cm_conf_visit visit, void *arg);

#endif /* CM_BASE_CONF_H */
