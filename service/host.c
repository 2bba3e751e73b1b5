/* service/host.c - the parts of a login, made from one configuration. */
#include "service/host.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/list.h"
#include "service/level.h"
#include "service/mapping.h"

/* Configuration keeps its lists as char **; what borrows them promises not to write. */
static const char *const *
list(char **l)
{
	return (const char *const *)l;
}

/* An empty list means "not set" where a part has a default of its own. */
static const char *const *
list_or_null(char **l)
{
	return l[0] != NULL ? list(l) : NULL;
}

/* The built-in forms hold only where nobody wrote a rule: a rule that was left out is no licence for all of them. */
static enum cm_err
open_rules(struct cm_host *h, struct cm_trace *t)
{
	const struct cm_conf *c = h->conf;
	const struct cm_rules_options o = {
		.domain = c->directory.domain,
		.forms = list(c->mapper.forms),
		.key_only = c->trust.level.level == CM_TRUST_OFF,
		.pinned = c->trust.pins[0] != NULL,
		.skip_bad = c->mapper.skip_bad_rules,
		.back_references = c->mapper.back_references,
	};
	enum cm_err err;

	if ((err = cm_rules_new(&o, &h->rules)) != CM_OK)
		return err;
	err = c->rule_count == 0 ? cm_rules_add_forms(h->rules, t) : cm_rules_add(h->rules, c->rules, c->rule_count, t);
	return err == CM_OK ? cm_rules_searched(h->rules, &h->searched) : err;
}

static enum cm_err
open_directory(struct cm_host *h, struct cm_trace *t)
{
	const struct cm_conf *c = h->conf;
	const struct cm_directory_options o = {
		.uris = list(c->directory.uri),
		.base = c->directory.base,
		.group_base = c->directory.group_base,
		.bind_dn = c->directory.bind_dn,
		.bind_password_file = c->directory.bind_password_file,
		.ca = c->directory.ca,
		.starttls = c->directory.starttls,
		.realm = c->kerberos.realm,
		.first_uid = c->accounts.first_uid,
		.first_gid = c->accounts.first_gid,
		.local_groups = list(c->accounts.local_groups),
		.binding = (enum cm_conf_binding)c->mapper.binding,
		.several = (enum cm_conf_several)c->mapper.several_accounts,
		.idmap = { (enum cm_conf_idmap)c->accounts.idmap, c->accounts.idmap_range_min, c->accounts.idmap_range_max,
		    c->accounts.idmap_range_size, c->accounts.idmap_domain_sid },
	};

	return cm_directory_open(&o, t, &h->directory);
}

static enum cm_err
collect_pins(struct cm_host *h, struct cm_trace *t)
{
	char **texts = h->conf->trust.pins;
	const size_t n = cm_list_length(texts);

	if (n == 0)
		return CM_OK;
	if ((h->pins = calloc(n, sizeof(*h->pins))) == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		if (cm_hex_parse(cm_blob_str(texts[i]), h->pins[h->pin_count++], 32) != 64)
			return cm_trace_fail(t, CM_REASON_CONFIG,
			    "trust.pins: %s: not a SHA-256 fingerprint of 64 hex digits", texts[i]);
	return CM_OK;
}

/* /var/lib/cardmap/accounts.db: /var/lib/cardmap/crl */
static enum cm_err
name_crl_dir(struct cm_host *h, struct cm_trace *t)
{
	const char *given = h->conf->trust.crl_dir, *path = h->conf->accounts.path, *slash = strrchr(path, '/');
	struct cm_buf b;

	/* What was once revoked must not hang on the folder that a login is begun in. */
	if (given != NULL && given[0] != '/')
		return cm_trace_fail(t, CM_REASON_CONFIG, "trust.crl_dir = %s: must begin with /", given);
	cm_buf_init(&b, 0);
	if (given != NULL) {
		cm_buf_add_str(&b, given);
	} else {
		cm_buf_add(&b, path, slash != NULL ? (size_t)(slash - path) + 1 : 0);
		cm_buf_add_str(&b, "crl");
	}
	h->crl_dir = cm_buf_take(&b);
	cm_buf_free(&b);
	return h->crl_dir != NULL ? CM_OK : CM_ERR_NOMEM;
}

/* Serverless addresses (ldap:///CN=...) go to the servers of directory.uri that are any. */
static enum cm_err
name_ldap(struct cm_host *h)
{
	const struct cm_conf *c = h->conf;
	size_t n = 0;

	if ((h->ldap_uris = calloc(cm_list_length(c->directory.uri) + 1, sizeof(*h->ldap_uris))) == NULL)
		return CM_ERR_NOMEM;
	for (char **uri = c->directory.uri; *uri != NULL; uri++)
		if (strncasecmp(*uri, "ldap://", 7) == 0 || strncasecmp(*uri, "ldaps://", 8) == 0)
			h->ldap_uris[n++] = *uri;
	h->ldap = (struct cm_ldap_fetching){
		.uris = h->ldap_uris, .bind_dn = c->directory.bind_dn,
		.bind_password_file = c->directory.bind_password_file, .ca = c->directory.ca,
		.starttls = c->directory.starttls,
	};
	return CM_OK;
}

/* Keys that say two things of one matter. */
static enum cm_err
check_revocation(const struct cm_conf *c, struct cm_trace *t)
{
	struct cm_buf place;

	if (c->trust.require_nonce && c->trust.ocsp_get)
		return cm_trace_fail(t, CM_REASON_CONFIG, "trust.require_nonce and trust.ocsp_get: a request by GET "
		    "has no nonce, so that no answer to one would count; set one of them to no");
	for (size_t i = 0; c->trust.level.level == CM_TRUST_OFF && i < c->rule_count; i++) {
		if (c->rules[i].level == NULL)
			continue;
		cm_buf_init(&place, 0);
		cm_conf_rule_place(&c->rules[i], CM_RULE_KEY_LEVEL, &place);
		cm_trace_fail(t, CM_REASON_CONFIG, "%s: rule \"%s\": level: trust.level = off, and then no chain is "
		    "checked that revocation could be judged for; leave it out, or set trust.level to chain, soft or "
		    "hard", cm_buf_str(&place), c->rules[i].name);
		cm_buf_free(&place);
		return CM_ERR_CONFIG;
	}
	return CM_OK;
}

static enum cm_err
open_trust(struct cm_host *h, struct cm_trace *t)
{
	const struct cm_conf *c = h->conf;
	struct cm_trust_options o = {
		.level = (enum cm_trust_level)c->trust.level.level,
		.max_age = c->trust.level.max_age,
		.leaf_only = c->trust.check == CM_CHECK_LEAF,
		.crl_first = c->trust.order == CM_ORDER_CRL,
		.ask_always = c->trust.ask_always,
		/* There 0 is the default; here such an answer then counts in its own second alone. */
		.undated_max = c->trust.undated_max != 0 ? c->trust.undated_max : 1,
		.anchors = list(c->trust.anchors),
		.intermediates = list(c->trust.intermediates),
		.anchors_if_there = cm_conf_is_default(c, "trust.anchors"),
		.intermediates_if_there = cm_conf_is_default(c, "trust.intermediates"),
		.ocsp_urls = list(c->trust.ocsp_url),
		.crls = list(c->trust.crl),
		.use_ocsp = c->trust.use_ocsp,
		.use_crl = c->trust.use_crl,
		.require_nonce = c->trust.require_nonce,
		.crl_mirrors = list(c->trust.crl_mirror),
		.ocsp_get = c->trust.ocsp_get,
		.ocsp_hash = c->trust.ocsp_hash == CM_OCSP_HASH_SHA256 ? CM_TRUST_SHA256 : CM_TRUST_SHA1,
		.private_redirects = c->trust.private_redirects,
		.ldap = &h->ldap,
		.ocsp_max = c->trust.ocsp_max,
		.crl_max = c->trust.crl_max,
	};
	enum cm_err err;

	if ((err = check_revocation(c, t)) != CM_OK || (err = collect_pins(h, t)) != CM_OK ||
	    (err = name_crl_dir(h, t)) != CM_OK || (err = name_ldap(h)) != CM_OK)
		return err;
	o.crl_dir = h->crl_dir;
	o.crl_keep = h->keeps;
	o.crl_also = c->trust.crl_also;
	o.pins = (const uint8_t (*)[32])h->pins;
	o.pin_count = h->pin_count;
	return cm_trust_open(&o, t, &h->trust);
}

static enum cm_err
open_kerberos(struct cm_host *h, struct cm_trace *t)
{
	const struct cm_conf *c = h->conf;
	const struct cm_pkinit_options o = {
		.config = c->kerberos.config,
		.realm = c->kerberos.realm,
		.kdcs = list_or_null(c->kerberos.kdc),
		.anchors = list_or_null(c->kerberos.anchors),
		.intermediates = list_or_null(c->kerberos.intermediates),
		.keytab = c->kerberos.keytab,
		.host_principal = c->kerberos.host_principal,
		.renew_days = c->kerberos.renew_days,
	};
	enum cm_err err;

	if (c->kerberos.ticket == CM_TICKET_OFF)
		return CM_OK;
	if ((err = cm_pkinit_open(&o, t, &h->pkinit)) != CM_ERR_ABSENT)
		return err;
	if (c->kerberos.ticket == CM_TICKET_REQUIRED)
		return CM_ERR_CONFIG;		/* for the reason that is set */
	cm_trace_add(t, "kerberos", "none here: %s", cm_trace_message(t));
	cm_trace_clear_reason(t);
	return CM_OK;
}

static enum cm_err
open_accounts(struct cm_host *h, struct cm_trace *t)
{
	const struct cm_accounts_options o = {
		.path = h->conf->accounts.path,
		.remote = h->remote,
		.offline_max = (int64_t)h->conf->accounts.offline_days * 86400,
		.first_uid = h->conf->accounts.first_uid,
		.first_gid = h->conf->accounts.first_gid,
		.local_groups = list(h->conf->accounts.local_groups),
	};

	return cm_accounts_open(&o, t, &h->accounts);
}

static const struct part {
	enum cm_need need;
	enum cm_err (*open)(struct cm_host *, struct cm_trace *);
} parts[] = {
	{ CM_NEED_RULES, open_rules },
	{ CM_NEED_DIRECTORY, open_directory },
	{ CM_NEED_TRUST, open_trust },
	{ CM_NEED_KERBEROS, open_kerberos },
	{ CM_NEED_ACCOUNTS, open_accounts },
};

enum cm_err
cm_host_open(const struct cm_conf *conf, unsigned needs, struct cm_trace *t,
    struct cm_host **out)
{
	struct cm_host *h = calloc(1, sizeof(*h));
	enum cm_err err = h != NULL ? CM_OK : CM_ERR_NOMEM;

	*out = NULL;
	if (h != NULL) {
		h->conf = conf;
		h->remote = (needs & CM_STORE_REMOTE) != 0;
		h->keeps = (needs & (CM_NEED_ACCOUNTS | CM_LOOKS_ONLY)) == CM_NEED_ACCOUNTS;
	}
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(parts); i++)
		if ((needs & parts[i].need) != 0)
			err = parts[i].open(h, t);
	if (err == CM_OK)
		*out = h;
	else
		cm_host_close(&h);
	return err;
}

void
cm_host_close(struct cm_host **h)
{
	if (*h == NULL)
		return;
	cm_accounts_close(&(*h)->accounts);
	cm_pkinit_close(&(*h)->pkinit);
	cm_trust_close(&(*h)->trust);
	cm_directory_close(&(*h)->directory);
	cm_rules_free(&(*h)->rules);
	cm_list_free(&(*h)->searched);
	free((*h)->pins);
	free((*h)->crl_dir);
	free((*h)->ldap_uris);
	free(*h);
	*h = NULL;
}

struct cm_trust_policy
cm_host_strictest(const struct cm_host *h)
{
	return cm_level_strictest(h->conf);
}

struct cm_trust_policy
cm_host_policy_of(const struct cm_host *h, const char *rule)
{
	return cm_level_of_rule(h->conf, rule);
}
