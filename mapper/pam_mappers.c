/* mapper/pam_mappers.c - pam_pkcs11's mappers, each as rules that give the same account. */
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "mapper/pam_pkcs11_internal.h"

/* What stands for a login: the directory's accounts and those of /etc/passwd have it. */
#define LOGIN	"uid"

/* cert_item of the generic mapper, and the right sides of the ldap mapper's attribute_map. */
static const struct field {
	const char *item, *value;
} fields[] = {
	{ "cn", "{common_name}" },
	{ "subject", "{subject_dn!oneline}" },
	{ "kpn", "{subject_pkinit_principal}" },
	{ "email", "{subject_rfc822_name}" },
	{ "upn", "{subject_nt_principal}" },
	{ "uid", "{subject_dn_component.uid}" },
	{ "serial", "{serial_number!hex_uc}" },
};

const char *
cm_pam_field(const char *item, size_t len)
{
	for (size_t i = 0; i < CM_COUNT(fields); i++)
		if (strlen(fields[i].item) == len && strncasecmp(fields[i].item, item, len) == 0)
			return fields[i].value;
	return NULL;
}

static char *
copy(const char *text, bool *failed)
{
	char *c = text != NULL ? strdup(text) : NULL;

	*failed |= text != NULL && c == NULL;
	return c;
}

enum cm_err
cm_pam_add_rule(struct cm_pam_reading *r, int line, const struct cm_pam_rule *rule)
{
	struct cm_conf_rule made = { .priority = CM_RULE_PRIORITY_LAST };
	bool failed = false;

	made.name = copy(rule->name, &failed);
	made.match = copy(rule->match, &failed);
	made.upn_suffix = copy(rule->upn_suffix, &failed);
	made.attribute = copy(rule->attribute, &failed);
	made.value = copy(rule->value, &failed);
	made.filter = copy(rule->filter, &failed);
	made.map_file = copy(rule->map_file, &failed);
	made.ignore_case = rule->ignore_case;
	made.local = rule->local;
	if (failed) {
		cm_conf_rule_clear(&made);
		return CM_ERR_NOMEM;
	}
	return cm_import_add_rule(r->import, line, &made);
}

/* One mapper being read. */
struct mapper {
	struct cm_pam_reading *r;
	const struct cm_scconf_item *block;	/* NULL: all defaults */
	const char *name;
	int line;
	const char *map_file;			/* NULL: none */
	bool usable;				/* what the map file is called can be used here */
};

#define note(m, ...)	cm_import_note((m)->r->import, (m)->line, __VA_ARGS__)

/* "file:///etc/map", a path; "none" and "" are no file. */
static enum cm_err
find_map_file(struct mapper *m)
{
	const char *text = cm_scconf_text(m->block, "mapfile", "none");
	const int line = cm_scconf_line(m->block, "mapfile");

	m->usable = true;
	if (text[0] == '\0' || strcmp(text, "none") == 0)
		return CM_OK;
	if (strncasecmp(text, "file://", 7) == 0)
		text += 7;
	else if (strncasecmp(text, "file:", 5) == 0)
		text += 5;
	if (text[0] != '/') {
		m->usable = false;
		return cm_import_note(m->r->import, line, "mapper %s: mapfile %s is no file of this computer: "
		    "the mapper is left out; copy it here and name it file:///PATH", m->name, text);
	}
	m->map_file = text;
	return cm_import_note(m->r->import, line, "mapper %s: pam_pkcs11 takes what the map file does not name for "
	    "the login itself; here such a card has no user by this rule", m->name);
}

/* An account by its login; where the mapper says so, of this computer and by its full name too. */
static enum cm_err
add_login_rule(const struct mapper *m, const char *value, bool passwd)
{
	struct cm_pam_rule rule = { .name = m->name, .attribute = LOGIN, .value = value,
	    .map_file = m->map_file, .local = passwd, .ignore_case = cm_scconf_flag(m->block, "ignorecase", false) };
	struct cm_buf name;
	enum cm_err err = cm_pam_add_rule(m->r, m->line, &rule);

	if (err != CM_OK || !passwd)
		return err;
	cm_buf_init(&name, 0);
	cm_buf_addf(&name, "%s-gecos", m->name);
	rule.name = cm_buf_str(&name);
	rule.attribute = "gecos";
	if ((err = cm_buf_status(&name)) == CM_OK)
		err = cm_pam_add_rule(m->r, m->line, &rule);
	cm_buf_free(&name);
	return err;
}

static enum cm_err
make_cn(struct mapper *m)
{
	return add_login_rule(m, cm_pam_field("cn", 2), false);
}

static enum cm_err
make_uid(struct mapper *m)
{
	return add_login_rule(m, cm_pam_field("uid", 3), false);
}

static enum cm_err
make_pwent(struct mapper *m)
{
	m->map_file = NULL;	/* that mapper reads none */
	return add_login_rule(m, cm_pam_field("cn", 2), true);
}

static enum cm_err
make_serial(struct mapper *m)
{
	enum cm_err err = note(m, "mapper %s: here a serial number has no 00 before its first digit; "
	    "pam_pkcs11 writes one before a number whose first digit is 8 or above", m->name);

	return err == CM_OK ? add_login_rule(m, cm_pam_field("serial", 6), false) : err;
}

static enum cm_err
make_generic(struct mapper *m)
{
	const char *item = cm_scconf_text(m->block, "cert_item", "cn");
	const char *value = cm_pam_field(item, strlen(item));
	enum cm_err err = CM_OK;

	if (strcasecmp(item, "serial") == 0)
		return make_serial(m);
	if (value == NULL) {
		value = cm_pam_field("cn", 2);
		err = cm_import_note(m->r->import, cm_scconf_line(m->block, "cert_item"),
		    "mapper %s: there is no cert_item %s: cn is taken, as pam_pkcs11 does", m->name, item);
	}
	if (err != CM_OK)
		return err;
	return add_login_rule(m, value, cm_scconf_flag(m->block, "use_getpwent", false));
}

/* Without its file such a mapper finds nobody: no login looks like that. */
static enum cm_err
make_mapped(struct mapper *m, const char *value, bool ignore_case)
{
	const struct cm_pam_rule rule = { .name = m->name, .attribute = LOGIN, .value = value,
	    .map_file = m->map_file, .ignore_case = ignore_case };

	if (m->map_file == NULL)
		return note(m, "mapper %s: without a mapfile it finds nobody, and is left out", m->name);
	return cm_pam_add_rule(m->r, m->line, &rule);
}

static enum cm_err
make_subject(struct mapper *m)
{
	return make_mapped(m, cm_pam_field("subject", 7), cm_scconf_flag(m->block, "ignorecase", false));
}

/* OpenSSL's names; what it does not know, and what it no longer knows, pam_pkcs11 reads as sha1. */
static const char *
find_digest(const char *algorithm)
{
	static const char *const known[] = {
		"sha1", "sha224", "sha256", "sha384", "sha512", "md5", "ripemd160",
	};

	for (size_t i = 0; i < CM_COUNT(known); i++)
		if (strcasecmp(known[i], algorithm) == 0)
			return known[i];
	return NULL;
}

static enum cm_err
make_digest(struct mapper *m)
{
	const char *algorithm = cm_scconf_text(m->block, "algorithm", "sha1");
	const char *digest = find_digest(algorithm);
	enum cm_err err = CM_OK;
	struct cm_buf value;

	if (digest == NULL) {
		digest = "sha1";
		err = cm_import_note(m->r->import, cm_scconf_line(m->block, "algorithm"),
		    "mapper %s: algorithm %s: sha1 is taken, as pam_pkcs11 does where OpenSSL has no such "
		    "algorithm; if the map file holds others, make it anew", m->name, algorithm);
	}
	cm_buf_init(&value, 0);
	cm_buf_addf(&value, "{cert!%s_uc}", digest);
	if (err == CM_OK && (err = cm_buf_status(&value)) == CM_OK)
		err = make_mapped(m, cm_buf_str(&value), true);
	cm_buf_free(&value);
	return err;
}

/* A label of a host's name in a regular expression that ignores case. */
static void
add_literal(const char *text, struct cm_buf *out)
{
	for (; *text != '\0'; text++) {
		const char lower = (char)tolower((unsigned char)*text), upper = (char)toupper((unsigned char)*text);

		if (lower != upper)
			cm_buf_addf(out, "[%c%c]", lower, upper);
		else
			cm_buf_addf(out, "%s%c", *text == '.' ? "\\" : "", *text);
	}
}

/*
 * pam_pkcs11 wants the mail's domain to be a part of this computer's name, any
 * part.  Here it must be the name, or the domain it is in, or one above that.
 */
static bool
write_domains(const char *host, struct cm_buf *out)
{
	const char *dot;
	bool any = false;

	if (strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != strlen(host))
		return false;
	cm_buf_add_str(out, "<SAN:rfc822Name>@(");
	for (; (dot = strchr(host, '.')) != NULL && dot != host && dot[1] != '\0'; host = dot + 1) {
		cm_buf_add_str(out, any ? "|" : "");
		add_literal(host, out);
		any = true;
	}
	cm_buf_add_str(out, ")$");
	return any;
}

static enum cm_err
make_checked_mail(struct mapper *m, struct cm_pam_rule *rule)
{
	const int line = cm_scconf_line(m->block, "ignoredomain");
	enum cm_err err = CM_ERR_NOMEM;
	struct cm_buf match;

	cm_buf_init(&match, 0);
	if (!write_domains(m->r->host, &match)) {
		err = cm_import_note(m->r->import, line, "mapper %s: ignoredomain = false: the mail's domain must be "
		    "part of this computer's name (%s), which names none: the mapper is left out", m->name, m->r->host);
		goto out;
	}
	rule->match = cm_buf_str(&match);
	if ((err = cm_buf_status(&match)) != CM_OK)
		goto out;
	err = cm_import_note(m->r->import, line, "mapper %s: ignoredomain = false: the domains that are "
	    "allowed are those of this computer's name, %s, and the certificate's first mail address names the user; "
	    "elsewhere import the file again", m->name, m->r->host);
	if (err == CM_OK)
		err = cm_pam_add_rule(m->r, m->line, rule);
out:
	cm_buf_free(&match);
	return err;
}

static enum cm_err
make_mail(struct mapper *m)
{
	struct cm_pam_rule rule = { .name = m->name, .attribute = LOGIN, .map_file = m->map_file,
	    .value = m->map_file != NULL ? "{subject_rfc822_name}" : "{subject_rfc822_name.short_name}",
	    .ignore_case = cm_scconf_flag(m->block, "ignorecase", true) };

	/* With a map file the domain is not looked at. */
	if (m->map_file != NULL || cm_scconf_flag(m->block, "ignoredomain", true))
		return cm_pam_add_rule(m->r, m->line, &rule);
	return make_checked_mail(m, &rule);
}

/* The key is domainname; pam_pkcs11's own example has long called it domain, and then no domain was checked. */
static enum cm_err
find_domain(const struct mapper *m, const char **domain)
{
	*domain = cm_scconf_text(m->block, "domainname", "");
	if ((*domain)[0] != '\0')
		return note(m, "mapper %s: the UPN must end with @%s; some versions of pam_pkcs11 take every other "
		    "domain instead, by mistake", m->name, *domain);
	*domain = cm_scconf_text(m->block, "domain", "");
	if ((*domain)[0] != '\0')
		return cm_import_note(m->r->import, cm_scconf_line(m->block, "domain"), "mapper %s: domain is taken "
		    "for domainname: pam_pkcs11 itself does not read it", m->name);
	return note(m, "mapper %s: no domainname, and ignoredomain is not true: no UPN can match, and the mapper is "
	    "left out; name the domain, or say ignoredomain = true", m->name);
}

static enum cm_err
make_ms(struct mapper *m)
{
	struct cm_pam_rule rule = { .name = m->name, .attribute = LOGIN, .value = "{subject_nt_principal.short_name}",
	    .ignore_case = cm_scconf_flag(m->block, "ignorecase", false) };
	enum cm_err err = CM_OK;

	if (cm_scconf_setting(m->block, "domainnickname") != NULL)
		err = cm_import_note(m->r->import, cm_scconf_line(m->block, "domainnickname"), "mapper %s: "
		    "domainnickname has no counterpart: accounts are found by their own names", m->name);
	if (err == CM_OK && !cm_scconf_flag(m->block, "ignoredomain", false)) {
		if ((err = find_domain(m, &rule.upn_suffix)) == CM_OK && rule.upn_suffix[0] == '\0')
			return CM_OK;
	}
	return err == CM_OK ? cm_pam_add_rule(m->r, m->line, &rule) : err;
}

/* A principal names its realm: alice@OTHER is another's. */
static enum cm_err
make_krb(struct mapper *m)
{
	const struct cm_pam_rule rule = { .name = m->name, .attribute = "krbPrincipalName",
	    .value = cm_pam_field("kpn", 3) };
	enum cm_err err;

	if (m->map_file != NULL)
		return add_login_rule(m, cm_pam_field("kpn", 3), false);
	err = note(m, "mapper %s: the whole principal is looked for, as krbPrincipalName; pam_pkcs11 compares it with "
	    "the login", m->name);
	return err == CM_OK ? cm_pam_add_rule(m->r, m->line, &rule) : err;
}

/* ~/.eid/authorized_certificates, ~/.ssh/authorized_keys */
static enum cm_err
make_opensc(struct mapper *m)
{
	const struct cm_pam_rule rule = { .name = m->name, .attribute = "authorizedCertificate",
	    .value = "{cert!bin}", .local = true };

	return cm_pam_add_rule(m->r, m->line, &rule);
}

static enum cm_err
make_openssh(struct mapper *m)
{
	const struct cm_pam_rule rule = { .name = m->name, .attribute = "sshPublicKey",
	    .value = "{ssh_public_key}", .local = true };

	return cm_pam_add_rule(m->r, m->line, &rule);
}

static enum cm_err
make_ldap(struct mapper *m)
{
	return cm_pam_ldap(m->r, m->name, m->line, m->block);
}

static enum cm_err
make_null(struct mapper *m)
{
	const char *user = cm_scconf_text(m->block, "default_user", "nobody");

	if (!cm_scconf_flag(m->block, "default_match", false))
		return note(m, "mapper %s: lets nobody in (default_match is not true), and is left out", m->name);
	return note(m, "mapper %s: refused: it lets every card in as %s; pair cards with that account instead: "
	    "cardmap pair", m->name, user);
}

static const struct kind {
	const char *name;
	bool map_file;		/* reads one */
	enum cm_err (*make)(struct mapper *m);
} kinds[] = {
	{ "cn", true, make_cn },
	{ "uid", true, make_uid },
	{ "mail", true, make_mail },
	{ "ms", false, make_ms },
	{ "krb", true, make_krb },
	{ "pwent", false, make_pwent },
	{ "subject", true, make_subject },
	{ "digest", true, make_digest },
	{ "serial", true, make_serial },
	{ "generic", true, make_generic },
	{ "ldap", false, make_ldap },
	{ "opensc", false, make_opensc },
	{ "openssh", false, make_openssh },
	{ "null", false, make_null },
};

/* "internal", and without a module: the mapper's name; else the file's: /usr/lib/pam_pkcs11/cn_mapper.so */
static const struct kind *
find_kind(const char *name, const struct cm_scconf_item *block)
{
	const char *module = cm_scconf_text(block, "module", "internal"), *slash = strrchr(module, '/');
	const char *base = slash != NULL ? slash + 1 : module;
	size_t len = strlen(name);

	if (strcmp(module, "internal") != 0) {
		const char *end = strstr(base, "_mapper.so");

		name = base;
		len = end != NULL ? (size_t)(end - base) : 0;
	}
	for (size_t i = 0; i < CM_COUNT(kinds); i++)
		if (strlen(kinds[i].name) == len && memcmp(kinds[i].name, name, len) == 0)
			return &kinds[i];
	return NULL;
}

enum cm_err
cm_pam_mapper(struct cm_pam_reading *r, const char *name, int line, const struct cm_scconf_item *block)
{
	struct mapper m = { .r = r, .block = block, .name = name, .line = block != NULL ? block->line : line,
	    .usable = true };
	const struct kind *k = find_kind(name, block);
	const size_t before = r->import->rule_count;
	enum cm_err err = CM_OK;

	if (k == NULL)
		return note(&m, "mapper %s: %s is no mapper of pam_pkcs11's own, and is left out", name,
		    cm_scconf_text(block, "module", name));
	if (k->map_file)
		err = find_map_file(&m);
	if (err == CM_OK && m.usable)
		err = k->make(&m);
	r->mappers += r->import->rule_count > before;
	return err;
}
