/*
 * mapper/sssd_conf.c - sssd.conf (sssd.conf(5)) in cardmap's words: which of its domains, and what they set.
 *
 * SSSD serves several domains at once, cardmap asks one directory: the first
 * enabled domain with a server is that, and rules keep the domains they name.
 */
#include "mapper/sssd_internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

bool
cm_sssd_next(const char **list, const char **item, size_t *len)
{
	while (**list != '\0') {
		const char *p = *list, *end = p + strcspn(p, ",");

		*list = *end == ',' ? end + 1 : end;
		while (p < end && isspace((unsigned char)*p))
			p++;
		while (end > p && isspace((unsigned char)end[-1]))
			end--;
		if (p < end) {
			*item = p;
			*len = (size_t)(end - p);
			return true;
		}
	}
	return false;
}

static bool
lists(const char *list, const char *name)
{
	const char *item;
	size_t len;

	while (cm_sssd_next(&list, &item, &len))
		if (strlen(name) == len && strncasecmp(item, name, len) == 0)
			return true;
	return false;
}

/* Has the section this key with this value, letter case ignored? */
static bool
says(const struct cm_ini_section *s, const char *key, const char *value)
{
	const struct cm_ini_key *k = cm_ini_key(s, key);

	return k != NULL && strcasecmp(k->value, value) == 0;
}

/* "true" or "false", which SSSD takes in any letter case. */
static enum cm_err
read_bool(const struct cm_sssd *s, const struct cm_ini_key *k, bool *out)
{
	*out = strcasecmp(k->value, "true") == 0;
	if (*out || strcasecmp(k->value, "false") == 0)
		return CM_OK;
	return cm_import_fail(s->path, k->line, s->trace, "%s = %s; write true or false", k->name, k->value);
}

static enum cm_err
read_number(const struct cm_sssd *s, const struct cm_ini_key *k, unsigned long *out)
{
	char *end = NULL;

	*out = strtoul(k->value, &end, 10);
	if (isdigit((unsigned char)k->value[0]) && *end == '\0' && *out <= INT32_MAX)
		return CM_OK;
	return cm_import_fail(s->path, k->line, s->trace, "%s = %s; write a number", k->name, k->value);
}

/*
 * What becomes of a key: one row each.  A reader of a key appends to the
 * import; the section is there for those that are read together.
 */
struct option;
typedef enum cm_err (*take)(const struct cm_sssd *s, const struct option *o,
    const struct cm_ini_section *section, const struct cm_ini_key *k);
struct option {
	const char *key;
	take take;
	const char *sets;	/* key of cardmap.conf; or what there is to say */
	unsigned long times, min, max;	/* of a number: to cardmap's unit, and cardmap's range */
};

static enum cm_err
take_text(const struct cm_sssd *s, const struct option *o, const struct cm_ini_section *section,
    const struct cm_ini_key *k)
{
	(void)section;
	return cm_import_set(s->out, k->line, o->sets, k->value);
}

/* It has no counterpart: its name and why, never its value, which may be a secret. */
static enum cm_err
take_note(const struct cm_sssd *s, const struct option *o, const struct cm_ini_section *section,
    const struct cm_ini_key *k)
{
	(void)section;
	return cm_import_note(s->out, k->line, "%s: %s", k->name, o->sets);
}

static enum cm_err
take_number(const struct cm_sssd *s, const struct option *o, const struct cm_ini_section *section,
    const struct cm_ini_key *k)
{
	unsigned long v = 0;
	char text[24];
	enum cm_err err;

	(void)section;
	if ((err = read_number(s, k, &v)) != CM_OK)
		return err;
	v *= o->times;
	if (v < o->min || v > o->max)
		return cm_import_note(s->out, k->line, "%s = %s: %s goes from %lu to %lu; its default holds",
		    k->name, k->value, o->sets, o->min, o->max);
	snprintf(text, sizeof(text), "%lu", v);
	return cm_import_set(s->out, k->line, o->sets, text);
}

/* Servers in their order; "_srv_" asks DNS, which cardmap does not believe. */
static enum cm_err
add_servers(const struct cm_sssd *s, const struct cm_ini_key *k, const char *sets, const char *prefix)
{
	const char *list = k->value, *item;
	enum cm_err err = CM_OK;
	size_t len;

	while (err == CM_OK && cm_sssd_next(&list, &item, &len)) {
		char *text = NULL;

		if (len == 5 && strncasecmp(item, "_srv_", 5) == 0) {
			err = cm_import_note(s->out, k->line, "%s: _srv_ asks DNS for servers: name them in %s",
			    k->name, sets);
			continue;
		}
		if (asprintf(&text, "%s%.*s", prefix, (int)len, item) < 0)
			return CM_ERR_NOMEM;
		err = cm_import_set(s->out, k->line, sets, text);
		free(text);
	}
	return err;
}

static enum cm_err
take_servers(const struct cm_sssd *s, const struct option *o, const struct cm_ini_section *section,
    const struct cm_ini_key *k)
{
	(void)section;
	return add_servers(s, k, o->sets, "");
}

/* ad_server and ipa_server name a host, which is the KDC too. */
static enum cm_err
take_hosts(const struct cm_sssd *s, const struct option *o, const struct cm_ini_section *section,
    const struct cm_ini_key *k)
{
	const enum cm_err err = cm_ini_key(section, "ldap_uri") == NULL ? add_servers(s, k, o->sets, "ldap://") : CM_OK;

	return err == CM_OK && cm_ini_key(section, "krb5_server") == NULL ?
	    add_servers(s, k, "kerberos.kdc", "") : err;
}

/* sssd-ldap(5): BASE[?SCOPE?[FILTER][?BASE?SCOPE?[FILTER]]*]; the base alone has a counterpart. */
static enum cm_err
take_base(const struct cm_sssd *s, const struct option *o, const struct cm_ini_section *section,
    const struct cm_ini_key *k)
{
	const size_t len = strcspn(k->value, "?");
	char *base;
	enum cm_err err;

	/* That of users is more exact than that of everything. */
	if (strcmp(o->key, "ldap_search_base") == 0 && cm_ini_key(section, "ldap_user_search_base") != NULL)
		return CM_OK;
	if (len == 0)
		return cm_import_note(s->out, k->line, "%s names no base; set %s", k->name, o->sets);
	if ((base = strndup(k->value, len)) == NULL)
		return CM_ERR_NOMEM;
	err = cm_import_set(s->out, k->line, o->sets, base);
	free(base);
	if (err == CM_OK && k->value[len] == '?')
		err = cm_import_note(s->out, k->line, "%s: what stands behind ? (scope, filter, further bases) "
		    "has no counterpart: the first base is searched whole", k->name);
	return err;
}

static enum cm_err
take_starttls(const struct cm_sssd *s, const struct option *o, const struct cm_ini_section *section,
    const struct cm_ini_key *k)
{
	bool on = false;
	enum cm_err err;

	(void)section;
	if ((err = read_bool(s, k, &on)) != CM_OK)
		return err;
	return on ? cm_import_set(s->out, k->line, o->sets, "yes") :
	    cm_import_note(s->out, k->line, "%s = false: StartTLS stays on; plain LDAP is for loopback alone", k->name);
}

static enum cm_err
take_cert_auth(const struct cm_sssd *s, const struct option *o, const struct cm_ini_section *section,
    const struct cm_ini_key *k)
{
	bool on = false;
	const enum cm_err err = read_bool(s, k, &on);

	(void)section;
	if (err != CM_OK || on)
		return err;
	return cm_import_note(s->out, k->line, "%s = false: SSSD let nobody in by card; %s", k->name, o->sets);
}

#define NOTHING_LIKE_IT	"has no counterpart"
static const struct option domain_options[] = {
	{ "ldap_uri", take_servers, "directory.uri", 0, 0, 0 },
	{ "ldap_backup_uri", take_servers, "directory.uri", 0, 0, 0 },
	{ "ad_server", take_hosts, "directory.uri", 0, 0, 0 },
	{ "ad_backup_server", take_hosts, "directory.uri", 0, 0, 0 },
	{ "ipa_server", take_hosts, "directory.uri", 0, 0, 0 },
	{ "ipa_backup_server", take_hosts, "directory.uri", 0, 0, 0 },
	{ "ldap_search_base", take_base, "directory.base", 0, 0, 0 },
	{ "ldap_user_search_base", take_base, "directory.base", 0, 0, 0 },
	{ "ldap_group_search_base", take_base, "directory.group_base", 0, 0, 0 },
	{ "ldap_default_bind_dn", take_text, "directory.bind_dn", 0, 0, 0 },
	{ "ldap_default_authtok", take_note, "write the password into a file of mode 0600 and name it in "
	  "directory.bind_password_file", 0, 0, 0 },
	{ "ldap_tls_cacert", take_text, "directory.ca", 0, 0, 0 },
	{ "ldap_tls_cacertdir", take_note, "put its certificates into one file and name it in directory.ca", 0, 0, 0 },
	{ "ldap_tls_reqcert", take_note, "the server's certificate is always checked", 0, 0, 0 },
	{ "ldap_id_use_start_tls", take_starttls, "directory.starttls", 0, 0, 0 },
	{ "ldap_sasl_mech", take_note, NOTHING_LIKE_IT ": the bind is simple or anonymous", 0, 0, 0 },
	{ "krb5_realm", take_text, "kerberos.realm", 0, 0, 0 },
	{ "krb5_server", take_servers, "kerberos.kdc", 0, 0, 0 },
	{ "krb5_backup_server", take_servers, "kerberos.kdc", 0, 0, 0 },
	{ "krb5_keytab", take_text, "kerberos.keytab", 0, 0, 0 },
	{ "krb5_ccname_template", take_note, "see kerberos.ccache, whose %{uid} and %{name} differ", 0, 0, 0 },
	{ "min_id", take_number, "accounts.first_uid", 1, 1, 2147483647 },
	{ "ldap_idmap_range_min", take_number, "accounts.idmap_range_min", 1, 1, 2147483647 },
	{ "ldap_idmap_range_max", take_number, "accounts.idmap_range_max", 1, 1, 2147483647 },
	{ "ldap_idmap_range_size", take_number, "accounts.idmap_range_size", 1, 1, 2147483647 },
	{ "ldap_idmap_default_domain_sid", take_text, "accounts.idmap_domain_sid", 0, 0, 0 },
	{ "access_provider", take_note, NOTHING_LIKE_IT ": who may log in is decided by account and card alone", 0, 0, 0 },
	{ "ldap_access_filter", take_note, NOTHING_LIKE_IT ": who may log in is decided by account and card alone", 0, 0, 0 },
	{ "override_homedir", take_note, NOTHING_LIKE_IT ": the directory's homeDirectory is taken", 0, 0, 0 },
	{ "override_shell", take_note, NOTHING_LIKE_IT ": the directory's loginShell is taken", 0, 0, 0 },
};

static const struct option pam_options[] = {
	{ "pam_cert_auth", take_cert_auth, "cardmap does as soon as it stands in the PAM stack", 0, 0, 0 },
	{ "p11_child_timeout", take_number, "card.timeout", 1000, 100, 60000 },
	{ "p11_uri", take_note, "name the reader in card.source", 0, 0, 0 },
	{ "p11_wait_for_card_timeout", take_note, NOTHING_LIKE_IT, 0, 0, 0 },
	{ "pam_p11_allowed_services", take_note, "put pam_cardmap.so into the PAM stacks that are to ask for a card", 0, 0, 0 },
	{ "offline_credentials_expiration", take_number, "accounts.offline_days", 1, 0, 3650 },
};

/* Keys that are read with something else, or say nothing about who comes in by card. */
static const char *const quiet[] = {
	"id_provider", "auth_provider", "chpass_provider", "proxy_lib_name", "ad_domain", "ipa_domain", "enabled",
	"ldap_id_mapping", "ldap_idmap_autorid_compat", "ldap_idmap_default_domain", "ldap_idmap_helper_table_size",
	"ldap_user_certificate", "cache_credentials", "enumerate", "ipa_hostname",
	"krb5_store_password_if_offline", "debug_level", "description",
	"pam_cert_db_path", "pam_cert_verification", "pam_verbosity",
};

static bool
is_quiet(const char *key)
{
	for (size_t i = 0; i < CM_COUNT(quiet); i++)
		if (strcasecmp(quiet[i], key) == 0)
			return true;
	return false;
}

/* Whatever else is asked for: who may come in may hang on it (simple_allow_users, max_id). */
static enum cm_err
note_others(const struct cm_sssd *s, const struct cm_ini_section *section, const struct option *options,
    size_t count)
{
	enum cm_err err = CM_OK;

	for (size_t k = 0; err == CM_OK && section != NULL && k < section->count; k++) {
		bool known = section->keys[k].value[0] == '\0' || is_quiet(section->keys[k].name);

		for (size_t i = 0; !known && i < count; i++)
			known = strcasecmp(options[i].key, section->keys[k].name) == 0;
		if (!known)
			err = cm_import_note(s->out, section->keys[k].line, "%s: is not read: what it sets does not "
			    "hold here", section->keys[k].name);
	}
	return err;
}

static enum cm_err
take_options(const struct cm_sssd *s, const struct cm_ini_section *section, const struct option *options,
    size_t count)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < count; i++) {
		const struct cm_ini_key *k = cm_ini_key(section, options[i].key);

		if (k != NULL)
			err = options[i].take(s, &options[i], section, k);
	}
	return err == CM_OK ? note_others(s, section, options, count) : err;
}

/* What says how cards are trusted; only where SSSD was asked to look at any. */
static enum cm_err
read_pam(const struct cm_sssd *s)
{
	const struct cm_ini_section *pam = cm_ini_section(&s->ini, "pam");
	const struct cm_ini_key *anchors = cm_ini_key(pam, "pam_cert_db_path");
	const char *cas;
	enum cm_err err;
	int line;

	if ((err = take_options(s, pam, pam_options, CM_COUNT(pam_options))) != CM_OK)
		return err;
	if (anchors == NULL && !says(pam, "pam_cert_auth", "true"))
		return CM_OK;
	line = anchors != NULL ? anchors->line : 0;
	cas = anchors != NULL ? anchors->value : "/etc/sssd/pki/sssd_auth_ca_db.pem";
	err = cm_import_set(s->out, line, "trust.anchors", cas);
	return err == CM_OK ? cm_sssd_verification(s, pam, line, cas) : err;
}

/* ---- domains */

/* sssd.conf(5): id_provider = files, or proxy to the library of that name. */
bool
cm_sssd_is_files(const struct cm_ini_section *domain, const char *name)
{
	if (domain == NULL)
		return strcasecmp(name, "implicit_files") == 0;
	return says(domain, "id_provider", "files") ||
	    (says(domain, "id_provider", "proxy") && says(domain, "proxy_lib_name", "files"));
}

bool
cm_sssd_is_enabled(const struct cm_sssd *s, const char *name)
{
	const struct cm_ini_section *sssd = cm_ini_section(&s->ini, "sssd"), *domain;
	const struct cm_ini_key *domains = cm_ini_key(sssd, "domains");
	struct cm_buf section;

	cm_buf_init(&section, 0);
	cm_buf_addf(&section, "domain/%s", name);
	domain = cm_ini_section(&s->ini, cm_buf_str(&section));
	cm_buf_free(&section);
	if (cm_ini_key(domain, "enabled") != NULL)
		return says(domain, "enabled", "true");
	if (strcasecmp(name, "implicit_files") == 0 && says(sssd, "enable_files_domain", "true"))
		return true;
	return domains == NULL || lists(domains->value, name);
}

/* The first enabled domain that has a directory: the one cardmap asks. */
static const struct cm_ini_section *
main_domain(const struct cm_sssd *s)
{
	const struct cm_ini_section *first = NULL;
	const struct cm_ini_key *domains = cm_ini_key(cm_ini_section(&s->ini, "sssd"), "domains");
	const char *list = domains != NULL ? domains->value : "", *item;
	size_t len;

	for (size_t i = 0; i < s->ini.count && first == NULL; i++) {
		const struct cm_ini_section *d = &s->ini.sections[i];

		if (strncasecmp(d->name, "domain/", 7) == 0 && d->name[7] != '\0' && cm_sssd_is_enabled(s, d->name + 7) &&
		    !cm_sssd_is_files(d, d->name + 7))
			first = d;
	}
	while (cm_sssd_next(&list, &item, &len)) {	/* the order is that of "domains" */
		char name[256];
		const struct cm_ini_section *d;

		snprintf(name, sizeof(name), "domain/%.*s", (int)len, item);
		if ((d = cm_ini_section(&s->ini, name)) != NULL && cm_sssd_is_enabled(s, d->name + 7) &&
		    !cm_sssd_is_files(d, d->name + 7))
			return d;
	}
	return first;
}

/* dc=example,dc=org: where the entries of a DNS domain stand (RFC 2247). */
static enum cm_err
set_base(const struct cm_sssd *s, int line, const char *prefix, const char *domain)
{
	struct cm_buf base;
	enum cm_err err;

	cm_buf_init(&base, 0);
	cm_buf_addf(&base, "%sdc=", prefix);
	for (; *domain != '\0'; domain++) {
		if (*domain == '.')
			cm_buf_add_str(&base, ",dc=");
		else if (isalnum((unsigned char)*domain) || *domain == '-' || *domain == '_')
			cm_buf_add_byte(&base, (uint8_t)*domain);
		else
			goto out;	/* not a DNS name: somebody must say */
	}
	if ((err = cm_buf_status(&base)) == CM_OK)
		err = cm_import_set(s->out, line, "directory.base", cm_buf_str(&base));
	cm_buf_free(&base);
	return err;
out:
	cm_buf_free(&base);
	return cm_import_note(s->out, line, "directory.base must be set");
}

/*
 * sssd-ldap(5), ldap_id_mapping: off, but for id_provider = ad.  Where SSSD numbers domains in the order it meets
 * them, nobody else can know the ids.
 */
static enum cm_err
set_idmap(const struct cm_sssd *s, const struct cm_ini_section *d)
{
	const struct cm_ini_key *k = cm_ini_key(d, "ldap_id_mapping"), *autorid = cm_ini_key(d, "ldap_idmap_autorid_compat");
	bool on = says(d, "id_provider", "ad"), in_order = false;
	enum cm_err err;

	if ((k != NULL && (err = read_bool(s, k, &on)) != CM_OK) || (autorid != NULL && (err = read_bool(s, autorid, &in_order)) != CM_OK))
		return err;
	if (on && in_order)
		return cm_import_note(s->out, autorid->line, "ldap_idmap_autorid_compat has no counterpart: no id is made from a SID; "
		    "with accounts.idmap = always the ids would be others than SSSD's");
	return on ? cm_import_set(s->out, k != NULL ? k->line : d->line, "accounts.idmap", "always") : CM_OK;
}

/* sssd-ad(5), sssd-ipa(5): what these providers know without being told. */
static enum cm_err
set_provider_defaults(const struct cm_sssd *s, const struct cm_ini_section *d)
{
	const bool ad = says(d, "id_provider", "ad"), ipa = says(d, "id_provider", "ipa");
	const struct cm_ini_key *k = cm_ini_key(d, ad ? "ad_domain" : "ipa_domain");
	const char *domain = k != NULL ? k->value : d->name + 7;
	char *realm;
	enum cm_err err = CM_OK;

	/* sssd-ldap(5), ldap_tls_cacert: "Default: use OpenLDAP defaults" */
	if (!ipa && cm_import_find(s->out, "directory.uri") != NULL && cm_import_find(s->out, "directory.ca") == NULL)
		err = cm_import_note(s->out, d->line, "without ldap_tls_cacert SSSD takes ldap.conf's TLS_CACERT: name "
		    "the directory's CA in directory.ca");
	if (err != CM_OK || (!ad && !ipa))
		return err;
	if (cm_ini_key(d, "ldap_sasl_mech") == NULL)
		err = cm_import_note(s->out, d->line, "SSSD binds with this host's Kerberos key; cardmap binds "
		    "anonymously unless directory.bind_dn is set");
	if (err == CM_OK && ipa)
		err = cm_import_note(s->out, d->line, "SSSD takes the rules that the FreeIPA server holds before those "
		    "of this file: cardmap import freeipa reads them");
	if (err == CM_OK && ipa && cm_import_find(s->out, "directory.ca") == NULL)
		err = cm_import_set(s->out, d->line, "directory.ca", "/etc/ipa/ca.crt");
	if (err == CM_OK && cm_import_find(s->out, "directory.uri") == NULL)
		err = cm_import_note(s->out, d->line, "SSSD asks DNS for the domain's servers: name them in directory.uri");
	if (err == CM_OK && cm_import_find(s->out, "directory.base") == NULL)
		err = set_base(s, k != NULL ? k->line : d->line, ad ? "" : "cn=accounts,", domain);
	if (err != CM_OK || cm_import_find(s->out, "kerberos.realm") != NULL)
		return err;
	if ((realm = strdup(domain)) == NULL)
		return CM_ERR_NOMEM;
	for (char *p = realm; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	err = cm_import_set(s->out, k != NULL ? k->line : d->line, "kerberos.realm", realm);
	free(realm);
	return err;
}

/* Its users are found there by card, and not here. */
static enum cm_err
note_other_domains(const struct cm_sssd *s)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < s->ini.count; i++) {
		const struct cm_ini_section *d = &s->ini.sections[i];

		if (d != s->domain && strncasecmp(d->name, "domain/", 7) == 0 && d->name[7] != '\0' &&
		    cm_sssd_is_enabled(s, d->name + 7) && !cm_sssd_is_files(d, d->name + 7))
			err = cm_import_note(s->out, d->line, "[%s]: its accounts are not looked for: there is one "
			    "directory, that of [%s]", d->name, s->domain->name);
	}
	return err;
}

static enum cm_err
read_domain(struct cm_sssd *s)
{
	enum cm_err err;

	if ((s->domain = main_domain(s)) == NULL)
		return CM_OK;
	if ((err = cm_import_set(s->out, s->domain->line, "directory.domain", s->domain->name + 7)) != CM_OK ||
	    (err = take_options(s, s->domain, domain_options, CM_COUNT(domain_options))) != CM_OK)
		return err;
	if ((err = set_idmap(s, s->domain)) != CM_OK || (err = set_provider_defaults(s, s->domain)) != CM_OK)
		return err;
	return note_other_domains(s);
}

enum cm_err
cm_import_sssd(struct cm_blob bytes, const char *path, struct cm_trace *t, struct cm_import **out)
{
	struct cm_sssd s = { .path = path, .trace = t };
	enum cm_err err;

	*out = NULL;
	if ((err = cm_ini_read(bytes, path, t, &s.ini)) != CM_OK)
		return err;
	if ((err = cm_import_new(path, "sssd.conf", &s.out)) == CM_OK && (err = read_domain(&s)) == CM_OK &&
	    (err = read_pam(&s)) == CM_OK)
		err = cm_sssd_rules(&s);
	cm_ini_clear(&s.ini);
	if (err == CM_OK)
		*out = s.out;
	else
		cm_import_free(&s.out);
	return err;
}
