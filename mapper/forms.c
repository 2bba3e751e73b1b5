/*
 * mapper/forms.c - the rules that hold where none are configured: every form of
 * altSecurityIdentities, and what else Active Directory binds a certificate by.
 */
#include "mapper/rules_internal.h"

#include <stdlib.h>

#define ALT(n, v, ...)	{ .name = n, .attribute = "altSecurityIdentities", .value = v, __VA_ARGS__ }
#define STRONG	.strength = CM_STRONG
#define NOTHING	.survives = 0
#define KEY	.survives = CM_SURVIVES_RENEWAL
#define ISSUER	.survives = CM_SURVIVES_RENEWAL | CM_SURVIVES_NEW_KEY
#define SUBJECT	.survives = CM_SURVIVES_RENEWAL | CM_SURVIVES_NEW_KEY | CM_SURVIVES_NEW_CA

/*
 * [MS-PKCA] 3.1.5.2.1.3 has the forms and KB5014754 their strength; sc_auth(8)
 * the last two of the first attribute.  The specification says "SHA-1 of the
 * public key", and tools in the field write three different things; one prints
 * a space behind "X509:".  A new form is one new row here.
 */
static const struct cm_form forms[] = {
	ALT("issuer-serial", "X509:<I>{issuer_dn!pkca}<SR>{serial_number!hex_r}",
	    .about = "issuer and serial number", STRONG, NOTHING),
	ALT("ski", "X509:<SKI>{subject_key_id!hex}",
	    .about = "subject key identifier", STRONG, KEY),
	ALT("sha1-pukey", "X509:<SHA1-PUKEY>{public_key!sha1}",
	    .about = "SHA-1 of the public key", STRONG, KEY),
	ALT("sha1-pukey-spki", "X509:<SHA1-PUKEY>{spki!sha1}",
	    .about = "SHA-1 of the public key with its algorithm (SubjectPublicKeyInfo)", STRONG, KEY,
	    .alternative = true),
	ALT("sha1-pukey-thumbprint", "X509:<SHA1-PUKEY>{cert!sha1}",
	    .about = "SHA-1 of the certificate, where the key's is meant", STRONG, NOTHING,
	    .alternative = true),
	ALT("issuer-sid", "X509:<I>{issuer_dn!pkca}<SID>{sid}",
	    .about = "issuer and the SID it put into the certificate", STRONG, ISSUER),
	ALT("issuer-subject", "X509:<I>{issuer_dn!pkca}<S>{subject_dn!pkca}",
	    .about = "issuer and subject", ISSUER),
	ALT("subject", "X509:<S>{subject_dn!pkca}",
	    .about = "subject", SUBJECT),
	ALT("rfc822", "X509:<RFC822>{rfc822_name}",
	    .about = "e-mail address", SUBJECT),
	ALT("rfc822-space", "X509: <RFC822>{rfc822_name}",
	    .about = "e-mail address, written with a space", SUBJECT, .alternative = true),
	ALT("kerberos", "Kerberos:{nt_principal_name}",
	    .about = "NT principal name (UPN)", SUBJECT),
	ALT("tokenidentity", ";tokenidentity;{public_key!sha1_u}",
	    .about = "pairing with the public key (sc_auth)", STRONG, KEY, .pairing = true),
	ALT("pubkeyhash", ";pubkeyhash;{public_key!sha1_u}",
	    .about = "pairing with the public key, as it was written before", STRONG, KEY, .pairing = true,
	    .alternative = true),
	{ .name = "sid", .attribute = "objectSid", .value = "{sid!bin}",
	    .about = "SID of the account, which the issuer put into the certificate", STRONG, SUBJECT,
	    .ad = true },
	{ .name = "sid-uri", .attribute = "objectSid", .value = "{sid_uri!bin}",
	    .about = "SID of the account, in a URI of the certificate", STRONG, SUBJECT,
	    .ad = true },
	{ .name = "upn", .attribute = "userPrincipalName", .value = "{nt_principal_name}",
	    .about = "the account's user principal name", SUBJECT, .ad = true },
	{ .name = "sam", .attribute = "sAMAccountName", .value = "{nt_principal_name.short_name}",
	    .about = "the account's name, for principals of directory.domain", SUBJECT, .ad = true },
};

const struct cm_form *
cm_forms(size_t *count)
{
	*count = CM_COUNT(forms);
	return forms;
}

enum cm_err
cm_form_value(const struct cm_form *f, const struct cm_cert *c, struct cm_buf *out)
{
	struct cm_template tp = { .count = 0 };
	struct cm_syntax why;
	enum cm_err err;

	if ((err = cm_template_parse(f->value, CM_DIALECT_OWN, false, &tp, &why)) == CM_OK)
		err = cm_template_write(&tp, c, out, NULL);
	cm_template_clear(&tp);
	/* A NUL in a field, or no such field: either way there is no value. */
	return err == CM_ERR_SYNTAX ? CM_ERR_ABSENT : err;
}

static bool
is_named(const struct cm_form *f, const char *name)
{
	if (strcmp(name, CM_FORMS_ALT) == 0)
		return !f->ad;
	return strcmp(name, CM_FORMS_AD) == 0 ? f->ad : strcmp(name, f->name) == 0;
}

static enum cm_err
unknown(const char *name, struct cm_trace *t)
{
	struct cm_buf known;
	enum cm_err err;

	cm_buf_init(&known, 0);
	for (size_t i = 0; i < CM_COUNT(forms); i++)
		cm_buf_addf(&known, ", %s", forms[i].name);
	err = cm_trace_fail(t, CM_REASON_CONFIG, "mapper.forms: there is no form \"%s\"; write "
	    CM_FORMS_ALT ", " CM_FORMS_AD "%s", name, cm_buf_str(&known));
	cm_buf_free(&known);
	return err;
}

static enum cm_err
check_names(const char *const *names, struct cm_trace *t)
{
	for (; *names != NULL; names++) {
		bool found = false;

		for (size_t i = 0; !found && i < CM_COUNT(forms); i++)
			found = is_named(&forms[i], *names);
		if (!found)
			return unknown(*names, t);
	}
	return CM_OK;
}

static bool
is_wanted(const struct cm_form *f, const char *const *names)
{
	for (; *names != NULL; names++)
		if (is_named(f, *names))
			return true;
	return false;
}

/* The UPN's first part names an account only in the domain itself ([MS-KILE] 3.3.5.6.1). */
static const char *
elsewhere(const struct cm_rules *r, const struct cm_form *f)
{
	if (strcmp(f->name, "sam") != 0 || r->domain != NULL)
		return NULL;
	return "is for principals of directory.domain, which is not set";
}

/* Forms that key_only does not allow are left out: CM_OK. */
static enum cm_err
add_form(struct cm_rules *r, const struct cm_form *f, struct cm_trace *t)
{
	char *sam_domain = strcmp(f->name, "sam") == 0 ? r->domain : NULL;
	const struct cm_conf_rule rule = {
		.name = (char *)f->name, .origin = (char *)"built in", .attribute = (char *)f->attribute,
		.value = (char *)f->value, .upn_suffix = sam_domain, .priority = CM_RULE_PRIORITY_LAST,
	};
	struct cm_rule_report report = { .trace = NULL };
	enum cm_err err;

	err = cm_rules_add_one(r, &rule, elsewhere(r, f), &report);
	if (err == CM_OK)
		r->rules[r->count - 1].pairing = f->pairing;
	else if (err == CM_ERR_CONFIG && report.only_unfit)
		err = CM_OK;
	else if (err == CM_ERR_CONFIG)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s", cm_buf_str(&report.first));
	cm_buf_free(&report.first);
	return err;
}

enum cm_err
cm_rules_add_forms(struct cm_rules *r, struct cm_trace *t)
{
	static const char *const usual[] = { CM_FORMS_ALT, NULL };
	const char *const *names = r->forms != NULL ? (const char *const *)r->forms : usual;
	const size_t before = r->count;
	enum cm_err err = check_names(names, t);

	for (size_t i = 0; err == CM_OK && i < CM_COUNT(forms); i++)
		if (is_wanted(&forms[i], names))
			err = add_form(r, &forms[i], t);
	if (err == CM_OK && r->key_only && names[0] != NULL && r->count == before)
		return cm_trace_fail(t, CM_REASON_CONFIG, "trust.level = off: then only the hash of a whole "
		    "public key may bind, and no form that mapper.forms names does; add sha1-pukey, or "
		    "set trust.level to chain, soft or hard");
	return err == CM_OK ? cm_rules_index(r) : err;
}
