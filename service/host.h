/* service/host.h - the parts of a login, made from one configuration. */
#ifndef CM_SERVICE_HOST_H
#define CM_SERVICE_HOST_H

#include "base/conf.h"
#include "base/trace.h"
#include "cache/accounts.h"
#include "krb5/pkinit.h"
#include "ldap/directory.h"
#include "ldap/fetch.h"
#include "mapper/mapper.h"
#include "trust/trust.h"

/* Which parts somebody needs; only those are made, and only their mistakes are told. */
enum cm_need {
	CM_NEED_RULES = 1 << 0,
	CM_NEED_DIRECTORY = 1 << 1,
	CM_NEED_TRUST = 1 << 2,
	CM_NEED_KERBEROS = 1 << 3,	/* left NULL with kerberos.ticket = off */
	CM_NEED_ACCOUNTS = 1 << 4,
	CM_NEED_LOGIN = (1 << 5) - 1,
	CM_LOOKS_ONLY = 1 << 5,		/* with accounts: lists that are fetched are not kept either */
	CM_STORE_REMOTE = 1 << 6,	/* accounts.path is a socket, be somebody there yet or not */
};

/* Parts that were not asked for are NULL.  All owned. */
struct cm_host {
	const struct cm_conf *conf;	/* borrowed */
	struct cm_rules *rules;
	char **searched;		/* the attributes that rules search; NULL: none */
	struct cm_directory *directory;
	struct cm_trust *trust;
	struct cm_pkinit *pkinit;
	struct cm_accounts *accounts;
	uint8_t (*pins)[32];		/* trust.pins */
	char *crl_dir;			/* trust.crl_dir, or what stands for it */
	bool keeps;			/* what is learned: who only looks makes no file */
	bool remote;			/* the store is another process's */
	struct cm_ldap_fetching ldap;	/* for lists in the directory */
	const char **ldap_uris;		/* its servers; texts are conf's */
	size_t pin_count;
};

/*
 * Make the parts; asks no server.  Results are those of the parts' own open
 * functions, with their reasons.
 */
CM_MUST_USE enum cm_err cm_host_open(const struct cm_conf *conf, unsigned needs,
    struct cm_trace *t, struct cm_host **out);
void cm_host_close(struct cm_host **h);

/*
 * How revocation is judged, by the configuration.  The strictest of trust.level
 * and all rules (the highest level, the least age) is what an inquiry is made
 * with, before it is known whose card it is; a mapping by a rule that has a
 * level is judged by that, and every other (rule NULL, a pairing, a built-in
 * form, one that is not there any more) by trust.level.
 */
struct cm_trust_policy cm_host_strictest(const struct cm_host *h);
struct cm_trust_policy cm_host_policy_of(const struct cm_host *h, const char *rule);

#endif /* CM_SERVICE_HOST_H */
