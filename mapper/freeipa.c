/* mapper/freeipa.c - FreeIPA's certificate mapping rules (ipa help certmap): entries below cn=certmap. */
#include "mapper/sssd_internal.h"

#include <stdlib.h>
#include <strings.h>

#include "base/list.h"

/* A value of dc=, of len bytes, if that is what stands at p; NULL otherwise. */
static const char *
dc_at(const char *p, size_t *len)
{
	while (*p == ' ')
		p++;
	if (strncasecmp(p, "dc=", 3) != 0)
		return NULL;
	*len = strcspn(p + 3, ",");
	return p + 3;
}

/* The part of a DN that is dc= to its end: a FreeIPA server's suffix. */
static const char *
suffix_of(const char *base)
{
	const char *suffix = NULL;

	for (const char *p = base; p != NULL; p = (p = strchr(p, ',')) != NULL ? p + 1 : NULL) {
		size_t len;

		if (dc_at(p, &len) == NULL)
			suffix = NULL;
		else if (suffix == NULL)
			suffix = p + strspn(p, " ");
	}
	return suffix;
}

void
cm_freeipa_base(const char *base, struct cm_buf *out)
{
	const char *suffix = suffix_of(base);

	cm_buf_addf(out, "cn=certmap,%s", suffix != NULL ? suffix : base);
}

void
cm_freeipa_domain(const char *base, struct cm_buf *out)
{
	const char *p = suffix_of(base), *value;
	size_t len;

	for (bool first = true; p != NULL; first = false) {
		if ((value = dc_at(p, &len)) == NULL)
			return;
		cm_buf_addf(out, "%s%.*s", first ? "" : ".", (int)len, value);
		p = value[len] == ',' ? value + len + 1 : NULL;
	}
}

static enum cm_err
set_priority(const struct cm_ipa_rule *r, struct cm_conf_rule *out, struct cm_trace *t)
{
	if (r->priority == NULL || cm_sss_priority(r->priority, &out->priority))
		return CM_OK;
	return cm_import_fail(r->dn, 0, t, "ipaCertMapPriority is \"%s\"; write a number from 0 to 4294967295",
	    r->priority);
}

/* A rule without associatedDomain is for FreeIPA's own (sss-certmap(5)). */
static enum cm_err
set_domains(const struct cm_ipa_rule *r, const char *domain, struct cm_conf_rule *out)
{
	enum cm_err err = CM_OK;

	for (const char *const *d = r->domains; err == CM_OK && d != NULL && *d != NULL; d++)
		err = cm_list_add(&out->domains, cm_blob_str(*d));
	return err == CM_OK && out->domains == NULL && domain != NULL ?
	    cm_list_add(&out->domains, cm_blob_str(domain)) : err;
}

static enum cm_err
make_rule(const struct cm_ipa_rule *r, const char *domain, struct cm_trace *t, struct cm_conf_rule *out)
{
	enum cm_err err;

	if ((err = set_priority(r, out, t)) != CM_OK || (err = set_domains(r, domain, out)) != CM_OK)
		return err;
	out->name = strdup(r->name);
	out->origin = strdup(r->dn);
	out->match = strdup(r->match != NULL ? r->match : CM_SSS_MATCH);
	if (out->name == NULL || out->origin == NULL || out->match == NULL)
		return CM_ERR_NOMEM;
	if ((err = cm_sss_filter(r->map != NULL ? r->map : CM_SSS_MAP, &out->filter)) == CM_ERR_SYNTAX)
		return cm_import_fail(r->dn, 0, t, "ipaCertMapMapRule begins with a kind that is not known; "
		    "write LDAP: or LDAPU1:");
	return err;
}

/* A directory may show an entry twice. */
static bool
was_added(const struct cm_import *i, const char *dn)
{
	for (size_t k = 0; k < i->rule_count; k++)
		if (strcmp(i->rules[k].origin, dn) == 0)
			return true;
	return false;
}

enum cm_err
cm_import_freeipa_rule(struct cm_import *i, const struct cm_ipa_rule *r, const char *domain,
    struct cm_trace *t)
{
	struct cm_conf_rule out = { .priority = CM_RULE_PRIORITY_LAST };
	enum cm_err err;

	if (r->name == NULL || r->name[0] == '\0')
		return cm_import_fail(r->dn, 0, t, "the entry has no cn; give it one");
	if (was_added(i, r->dn))
		return CM_OK;
	if (r->enabled == NULL || strcasecmp(r->enabled, "TRUE") != 0)
		return cm_import_note(i, 0, "%s: is not enabled (ipaEnabledFlag): left out", r->dn);
	if ((err = make_rule(r, domain, t, &out)) == CM_OK)
		return cm_import_add_rule(i, 0, &out);
	cm_conf_rule_clear(&out);
	return err;
}
