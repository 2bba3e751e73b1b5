/* base/conf.h - /etc/cardmap/cardmap.conf: every key a row, every value with its origin. */
#ifndef CM_BASE_CONF_H
#define CM_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/trace.h"

#define CM_CONF_PATH	"/etc/cardmap/cardmap.conf"
#define CM_CONF_MANAGED	"managed.d"	/* a folder beside the file: what its files set wins */

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
/* Who may say which principal is an account's: its name must be the first part, or the directory's word is taken. */
enum cm_conf_principal { CM_PRINCIPAL_NAME, CM_PRINCIPAL_DIRECTORY };
/* On whose word the service lets a card in that it never saw: a KDC's (through the keytab), or the resolver's. */
enum cm_conf_vouch { CM_VOUCH_KEYTAB, CM_VOUCH_RESOLVER };
/* Are uid and gid made from an entry's SID: never, where it has neither uidNumber nor gidNumber, or whatever else it has? */
enum cm_conf_idmap { CM_IDMAP_OFF, CM_IDMAP_SID, CM_IDMAP_ALWAYS };
/* What taking the card out does to the session. */
enum cm_conf_mobile { CM_MOBILE_OFF, CM_MOBILE_ALL, CM_MOBILE_GROUP, CM_MOBILE_ASK };
enum cm_conf_removal { CM_REMOVAL_NONE, CM_REMOVAL_LOCK, CM_REMOVAL_LOGOUT };
/* Whose revocation is asked about: every certificate's below the anchor, or the card's alone. */
enum cm_conf_check { CM_CHECK_ALL, CM_CHECK_LEAF };
/* Which kind of source is asked first. */
enum cm_conf_order { CM_ORDER_OCSP, CM_ORDER_CRL };
/* The hash in what OCSP is asked with. */
enum cm_conf_ocsp_hash { CM_OCSP_HASH_SHA1, CM_OCSP_HASH_SHA256 };

/* "soft 72h": WORD [NUMBER (s|m|h|d)], an age with soft and hard only; 0 to 3 may stand for the word. */
struct cm_conf_level {
	unsigned level;		/* enum cm_trust_level */
	unsigned max_age;	/* seconds; 0: none */
};
/* false: it is none, and *out is as it was. */
CM_MUST_USE bool cm_conf_level_parse(const char *text, struct cm_conf_level *out);
void cm_conf_level_text(const struct cm_conf_level *l, struct cm_buf *out);

/*
 * One mapping rule as it is written: a section rule "NAME" of cardmap.conf, or
 * the same of another system's file (mapper/import.h).  Texts that were not
 * given are NULL.  cardmap-rules(5) has the languages; mapper/ compiles them.
 */
#define CM_RULE_PRIORITY_LAST	UINT32_MAX
enum cm_rule_key {
	CM_RULE_KEY_MATCH, CM_RULE_KEY_ISSUER, CM_RULE_KEY_UPN_SUFFIX, CM_RULE_KEY_ATTRIBUTE, CM_RULE_KEY_VALUE,
	CM_RULE_KEY_FILTER, CM_RULE_KEY_MAP_FILE, CM_RULE_KEY_DOMAINS, CM_RULE_KEY_PRIORITY, CM_RULE_KEY_IGNORE_CASE,
	CM_RULE_KEY_ACCOUNTS, CM_RULE_KEY_LEVEL, CM_RULE_KEYS,
};
struct cm_conf_rule {
	char *name;
	char *origin;		/* "FILE:LINE" of the rule, for messages */
	char *match;		/* matching rule of sss-certmap(5); NULL: every certificate */
	char *issuer;		/* exact DN of the issuer, RFC 4514; NULL: any */
	char *upn_suffix;	/* every UPN must end with "@" and this, case ignored */
	char *attribute, *value;	/* an attribute and the template of its value; or: */
	char *filter;		/* the template of a filter; "LDAP:" or "LDAPU1:" before it: as sss-certmap(5) */
	char *map_file;		/* the value is looked up here first (pam_pkcs11's form) */
	char **domains;		/* NULL-terminated; the rule is for these; NULL or empty: any */
	uint32_t priority;	/* 0 is asked first; CM_RULE_PRIORITY_LAST: not given */
	bool ignore_case;	/* the value is put in lower case (ASCII) */
	bool local;		/* names accounts of this computer, not of the directory */
	char *level;		/* as cm_conf_level_parse() takes it, never off; NULL: trust.level */
	unsigned lines[CM_RULE_KEYS];	/* of each key, in origin's file; 0: that of origin */
};
/* Free what it holds; it is then a rule with nothing given. */
void cm_conf_rule_clear(struct cm_conf_rule *r);
/* Append "FILE:LINE" of a key, or of the rule where the key's line is not known (or k is CM_RULE_KEYS). */
void cm_conf_rule_place(const struct cm_conf_rule *r, enum cm_rule_key k, struct cm_buf *out);
const char *cm_conf_rule_key_name(enum cm_rule_key k);	/* "match" */
/*
 * What is wrong with keys that are there together, or missing beside others;
 * NULL: nothing.  *about is the key it is about, or CM_RULE_KEYS for the whole.
 */
const char *cm_conf_rule_check(const struct cm_conf_rule *r, enum cm_rule_key *about);

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
		struct cm_conf_level level;
		unsigned check;		/* enum cm_conf_check */
		unsigned order;		/* enum cm_conf_order */
		unsigned ocsp_hash;	/* enum cm_conf_ocsp_hash */
		unsigned undated_max;	/* seconds */
		bool ask_always, ocsp_get, private_redirects;
		char **crl_mirror;	/* "FROM TO" */
		char **anchors, **intermediates, **pins, **ocsp_url, **crl;
		char *crl_dir;		/* NULL: the folder crl beside accounts.path */
		const char *crl_also;	/* no key: root's such folder, for a process that keeps its own; borrowed */
		bool use_ocsp, use_crl, require_nonce;
		unsigned timeout, ocsp_max, crl_max;
	} trust;
	struct {
		unsigned ticket;	/* enum cm_conf_ticket */
		char *config, *realm, **kdc, **anchors, **intermediates;
		char *keytab, *host_principal, *ccache;
		unsigned principal;	/* enum cm_conf_principal */
		unsigned timeout, renew_days;
	} kerberos;
	struct {
		char *source;
		bool log_next;		/* once: service/card_log.h */
		char **disabled;	/* drivers and readers that are not used; service/disabled.h */
		char **slots;
		char **modules;		/* PKCS #11 modules, for cards without a PIV application */
		unsigned timeout;
	} card;
	struct {
		char *path;
		unsigned offline_days, first_uid, first_gid;
		unsigned mobile;	/* enum cm_conf_mobile */
		unsigned idmap;		/* enum cm_conf_idmap */
		unsigned idmap_range_min, idmap_range_max, idmap_range_size;
		char *idmap_domain_sid;
		char *mobile_group, *userdb;
		char **home_roots, **local_groups;
		bool user_pairing, one_card_per_user;
		bool secret;
		char *secret_recovery;	/* NULL: none */
	} accounts;
	struct {
		bool required, allow_unmapped_users, allow_cards;
		char *not_enforced_group;
		char *attribute;	/* of accounts; "": none is asked about */
		char **exempt;		/* accounts of this computer that keep a way in by password */
		unsigned removal;	/* enum cm_conf_removal */
		unsigned removal_grace;
	} enforcement;
	struct {
		unsigned log;		/* enum cm_log_target */
		unsigned vouch;		/* enum cm_conf_vouch */
		unsigned whois_age;	/* milliseconds that an answer of Whois is kept */
		unsigned wait;		/* milliseconds that a login waits for a card, and for a PIN */
		char *helpdesk_group, *user, *card_user;
		char **greeters, **services;	/* PAM services */
		bool remote;
	} service;
	struct cm_conf_rule *rules;	/* sections rule "NAME", in the file's order */
	size_t rule_count;
	char **origins;			/* one for each row of the table; owned */
	bool *managed;			/* the same: set by a file of managed.d; owned */
};

/*
 * Read path, or CM_CONF_PATH when it is NULL; without that file all values are
 * the defaults.  A file given by name must exist.  It must be CM_FILE_TRUSTED.
 *
 * Then each NAME.conf of the folder managed.d beside it, in the order of their
 * bytes: what they set wins over the file, the later over the earlier, a rule
 * over one of its name.  The folder too belongs to root or this user, and nobody
 * else may write it.  A property list there is not read: the trace says so ("left out").
 *
 * CM_ERR_CONFIG  reason CONFIG: "FILE:LINE: key: what is wrong; what is expected".
 *                Every mistake of the file is in the trace ("mistake"), the first in the message.
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_conf_load(const char *path, struct cm_trace *t,
    struct cm_conf **out);
void cm_conf_free(struct cm_conf **c);

/*
 * Set one value from outside the file: "trust.level=hard".  A list is replaced
 * by the one value.  CM_ERR_USAGE (USAGE): no such key, not its type or range, or it is managed.
 */
CM_MUST_USE enum cm_err cm_conf_set(struct cm_conf *c, const char *assignment,
    const char *origin, struct cm_trace *t);

/*
 * Set one key from another system's file, unless somebody has set it: what
 * cardmap.conf or the command line says is stronger.  values is NULL-terminated,
 * more than one only for a list.
 *
 * CM_ERR_ABSENT  it was set before and stays; no reason is set
 * CM_ERR_CONFIG  CONFIG: "ORIGIN: what is wrong": no such key, or not its type or range
 */
CM_MUST_USE enum cm_err cm_conf_set_default(struct cm_conf *c, const char *key,
    char *const *values, const char *origin, struct cm_trace *t);

/* Nobody has set this key ("trust.anchors"): its value is the default, or none. */
bool cm_conf_is_default(const struct cm_conf *c, const char *key);

/* One key with its value, for people and for man pages; texts borrowed for the call. */
struct cm_conf_item {
	const char *key;	/* "trust.level" */
	const char *value;	/* "soft"; lists joined by ", "; "" when not set */
	const char *origin;	/* "default", "/etc/cardmap/cardmap.conf:12", "command line" */
	const char *type, *unit, *fallback, *help;
	const char *alias;	/* the name that macOS has for it, which may stand in the file; NULL: none */
	unsigned min, max;	/* for numbers; both 0 otherwise */
	bool managed;		/* by a file of managed.d */
};
typedef void (*cm_conf_visit)(void *arg, const struct cm_conf_item *item);
void cm_conf_each(const struct cm_conf *c, cm_conf_visit visit, void *arg);
/* The same of one rule's keys: "match", where it stands; not set: "".  r NULL: the keys there are. */
void cm_conf_rule_each(const struct cm_conf_rule *r, cm_conf_visit visit, void *arg);

#endif /* CM_BASE_CONF_H */
