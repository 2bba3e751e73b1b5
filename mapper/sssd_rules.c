/* mapper/sssd_rules.c - sections [certmap/DOMAIN/NAME] of sssd.conf: their texts unchanged, their defaults written out. */
#include "mapper/sssd_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/list.h"

enum cm_err
cm_sss_filter(const char *map, char **out)
{
	const size_t len = strspn(map, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

	*out = NULL;
	/* sss-certmap(5): a prefix is upper-case letters and digits before a colon. */
	if (len == 0 || map[len] != ':')
		return asprintf(out, "LDAP:%s", map) >= 0 ? CM_OK : CM_ERR_NOMEM;
	if (strncmp(map, "LDAP:", 5) != 0 && strncmp(map, "LDAPU1:", 7) != 0)
		return CM_ERR_SYNTAX;
	return (*out = strdup(map)) != NULL ? CM_OK : CM_ERR_NOMEM;
}

bool
cm_sss_priority(const char *text, uint32_t *out)
{
	char *end = NULL;
	const unsigned long long v = strtoull(text, &end, 10);

	if (!isdigit((unsigned char)text[0]) || *end != '\0' || v > UINT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

static enum cm_err
fail(const struct cm_sssd *s, const struct cm_ini_section *section, int line, const char *what)
{
	return cm_import_fail(s->path, line, s->trace, "[%s]: %s", section->name, what);
}

static enum cm_err
set_priority(const struct cm_sssd *s, const struct cm_ini_section *section, struct cm_conf_rule *r)
{
	const struct cm_ini_key *k = cm_ini_key(section, "priority");

	if (k == NULL)
		return CM_OK;
	if (!cm_sss_priority(k->value, &r->priority))
		return fail(s, section, k->line, "priority is no number from 0 to 4294967295; write one");
	r->lines[CM_RULE_KEY_PRIORITY] = (unsigned)k->line;
	return CM_OK;
}

/* sssd.conf(5): without "domains" a rule is for the domain in its section's name. */
static enum cm_err
set_domains(const struct cm_ini_section *section, const char *domain, struct cm_conf_rule *r)
{
	const struct cm_ini_key *k = cm_ini_key(section, "domains");
	const char *list = k != NULL ? k->value : "", *item;
	enum cm_err err = CM_OK;
	size_t len;

	while (err == CM_OK && cm_sssd_next(&list, &item, &len))
		err = cm_list_add(&r->domains, (struct cm_blob){ (const uint8_t *)item, len });
	if (err == CM_OK && r->domains == NULL)
		err = cm_list_add(&r->domains, cm_blob_str(domain));
	if (k != NULL)
		r->lines[CM_RULE_KEY_DOMAINS] = (unsigned)k->line;
	return err;
}

/*
 * sssd.conf(5): of local accounts a rule names the user: in parentheses, as
 * text or template, or by its own name.  Text of the filter must stay text.
 */
static enum cm_err
set_local(const struct cm_sssd *s, const struct cm_ini_section *section, const char *name,
    struct cm_conf_rule *r)
{
	const struct cm_ini_key *k = cm_ini_key(section, "maprule");
	const char *text = k != NULL ? k->value + 1 : name;
	size_t len = k != NULL ? strlen(k->value) : 0;
	bool field = false;

	if (k != NULL && (len < 3 || k->value[0] != '(' || k->value[len - 1] != ')'))
		return fail(s, section, k->line, "maprule of local accounts stands in parentheses: write "
		    "(USERNAME), or a template as ({subject_rfc822_name.short_name})");
	len = k != NULL ? len - 2 : strlen(name);
	for (size_t i = 0; i < len; i++) {
		field = text[i] == '{' || (field && text[i] != '}');
		if (!field && strchr("()*\\", text[i]) != NULL)
			return fail(s, section, k != NULL ? k->line : section->line,
			    "no user's name has (, ), * or \\ in it; write the name itself");
	}
	r->local = true;
	r->lines[CM_RULE_KEY_FILTER] = k != NULL ? (unsigned)k->line : 0;
	return asprintf(&r->filter, "LDAP:(uid=%.*s)", (int)len, text) >= 0 ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
set_filter(const struct cm_sssd *s, const struct cm_ini_section *section, struct cm_conf_rule *r)
{
	const struct cm_ini_key *k = cm_ini_key(section, "maprule");
	const enum cm_err err = cm_sss_filter(k != NULL ? k->value : CM_SSS_MAP, &r->filter);

	if (err == CM_ERR_SYNTAX)
		return fail(s, section, k->line, "maprule begins with a kind that is not known; write LDAP: or LDAPU1:");
	r->lines[CM_RULE_KEY_FILTER] = k != NULL ? (unsigned)k->line : 0;
	return err;
}

static enum cm_err
set_match(const struct cm_ini_section *section, struct cm_conf_rule *r)
{
	const struct cm_ini_key *k = cm_ini_key(section, "matchrule");

	r->lines[CM_RULE_KEY_MATCH] = k != NULL ? (unsigned)k->line : 0;
	return (r->match = strdup(k != NULL ? k->value : CM_SSS_MATCH)) != NULL ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
add_rule(const struct cm_sssd *s, const struct cm_ini_section *section, const char *domain,
    const char *name, bool files)
{
	struct cm_conf_rule r = { .priority = CM_RULE_PRIORITY_LAST,
	    .name = strdup(section->name + strlen("certmap/")) };
	enum cm_err err;

	if ((err = set_match(section, &r)) == CM_OK && (err = set_priority(s, section, &r)) == CM_OK &&
	    (err = files ? set_local(s, section, name, &r) : set_filter(s, section, &r)) == CM_OK &&
	    !files)
		err = set_domains(section, domain, &r);
	if (err == CM_OK)
		return cm_import_add_rule(s->out, section->line, &r);
	cm_conf_rule_clear(&r);
	return err;
}

/* [certmap/DOMAIN/NAME]; what SSSD would not use is left out, and said. */
static enum cm_err
read_section(const struct cm_sssd *s, const struct cm_ini_section *section)
{
	const char *path = section->name + strlen("certmap/"), *slash = strchr(path, '/');
	const struct cm_ini_section *of;
	struct cm_buf domain;
	enum cm_err err;

	cm_buf_init(&domain, 0);
	if (slash == NULL || slash == path || slash[1] == '\0' || strchr(slash + 1, '/') != NULL)
		return cm_import_note(s->out, section->line, "[%s]: SSSD reads [certmap/DOMAIN/NAME] alone, and "
		    "so does cardmap: it has no effect", section->name);
	cm_buf_addf(&domain, "domain/%.*s", (int)(slash - path), path);
	of = cm_ini_section(&s->ini, cm_buf_str(&domain));
	if ((err = cm_buf_status(&domain)) != CM_OK)
		goto out;
	if (!cm_sssd_is_enabled(s, cm_buf_str(&domain) + 7))
		err = cm_import_note(s->out, section->line, "[%s]: its domain is not enabled: it has no effect",
		    section->name);
	else
		err = add_rule(s, section, cm_buf_str(&domain) + 7, slash + 1,
		    cm_sssd_is_files(of, cm_buf_str(&domain) + 7));
out:
	cm_buf_free(&domain);
	return err;
}

/* Is there a rule for the domain itself?  Then SSSD's own does not hold. */
static bool
has_rule_for(const struct cm_import *i, const struct cm_ini_section *domain)
{
	const size_t len = strlen(domain->name + 7);

	for (size_t k = 0; k < i->rule_count; k++)
		if (strncasecmp(i->rules[k].name, domain->name + 7, len) == 0 && i->rules[k].name[len] == '/')
			return true;
	return false;
}

/* sssd-ldap(5), ldap_user_certificate: where there is no rule the whole certificate is looked for. */
static enum cm_err
add_default(const struct cm_sssd *s)
{
	const struct cm_ini_key *k = cm_ini_key(s->domain, "ldap_user_certificate");
	struct cm_conf_rule r = { .priority = CM_RULE_PRIORITY_LAST, .name = strdup(s->domain->name + 7) };

	r.match = strdup("KRB5:<EKU>clientAuth");	/* CERT_AUTH_DEFAULT_MATCHING_RULE */
	if (asprintf(&r.filter, "LDAP:(%s={cert!bin})", k != NULL ? k->value : "userCertificate;binary") < 0)
		r.filter = NULL;
	r.lines[CM_RULE_KEY_FILTER] = k != NULL ? (unsigned)k->line : 0;
	if (r.match != NULL && r.filter != NULL)
		return cm_import_add_rule(s->out, s->domain->line, &r);
	cm_conf_rule_clear(&r);
	return CM_ERR_NOMEM;
}

static bool
share_priority(const struct cm_import *i)
{
	for (size_t a = 0; a < i->rule_count; a++)
		for (size_t b = a + 1; b < i->rule_count; b++)
			if (i->rules[a].priority == i->rules[b].priority)
				return true;
	return false;
}

enum cm_err
cm_sssd_rules(const struct cm_sssd *s)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < s->ini.count; i++)
		if (strncasecmp(s->ini.sections[i].name, "certmap/", 8) == 0)
			err = read_section(s, &s->ini.sections[i]);
	if (err == CM_OK && s->domain != NULL && !has_rule_for(s->out, s->domain))
		err = add_default(s);
	if (err == CM_OK && share_priority(s->out))
		err = cm_import_note(s->out, 0, "of several rules with one priority SSSD takes any; here all of "
		    "them are asked, and two accounts are refused");
	return err;
}
