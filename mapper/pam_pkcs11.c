/* mapper/pam_pkcs11.c - pam_pkcs11.conf: which mappers, whose certificates, and what has no counterpart. */
#include <limits.h>
#include <strings.h>
#include <unistd.h>

#include "mapper/pam_pkcs11_internal.h"

#define ROOT		"pam_pkcs11"
#define DEFAULT_CA_DIR	"/etc/pam_pkcs11/cacerts"
#define DEFAULT_CRL_DIR	"/etc/pam_pkcs11/crls"

/* Words of cert_policy. */
#define POLICY_CA		(1u << 0)
#define POLICY_SIGNATURE	(1u << 1)
#define POLICY_CRL_ONLINE	(1u << 2)
#define POLICY_CRL_OFFLINE	(1u << 3)
#define POLICY_OCSP		(1u << 4)
#define POLICY_CRL		(POLICY_CRL_ONLINE | POLICY_CRL_OFFLINE)
static const struct {
	const char *word;
	unsigned sets;
} policies[] = {
	{ "ca", POLICY_CA },
	{ "signature", POLICY_SIGNATURE },
	{ "crl_online", POLICY_CRL_ONLINE },
	{ "crl_offline", POLICY_CRL_OFFLINE },
	{ "crl_auto", POLICY_CRL },
	{ "ocsp_on", POLICY_OCSP },
};

/* Keys that ask for something else than a mapping, and what is said of them; text NULL: it changes nothing here. */
struct other {
	const char *key, *text;
};
static const struct other root_keys[] = {
	{ "card_only", "is said in the PAM stack here: which services ask for a card is their files' matter" },
	{ "wait_for_card", "has no counterpart: who wants to wait puts the card in and starts again" },
	{ "screen_savers", "has no counterpart: a screen saver's PAM file says whether it asks for a card" },
	{ "nullok", "has no counterpart: no PIN is ever left out" },
	{ "use_first_pass", "has no counterpart: the PIN is asked for by cardmap itself" },
	{ "try_first_pass", "has no counterpart: the PIN is asked for by cardmap itself" },
	{ "use_authtok", "has no counterpart: passwords are not changed here" },
	{ "use_authok", "has no counterpart: passwords are not changed here" },
	{ "err_display_time", "has no counterpart" },
	{ "mapper_search_path", NULL }, { "debug", NULL }, { "quiet", NULL },
	{ "use_pkcs11_module", NULL }, { "use_mappers", NULL },
};
static const struct other module_keys[] = {
	{ "module", "has no counterpart: PIV and CAC cards are read through PC/SC, with no module" },
	{ "slot_description", "has no counterpart: name a reader with card.source = reader:NAME" },
	{ "slot_num", "has no counterpart: name a reader with card.source = reader:NAME" },
	{ "nss_dir", "is an NSS database: write its CAs into files, certutil -L -d DIR -n NAME -a, and add them: "
	    "cardmap trust add FILE" },
	{ "crl_policy", "is no setting of pam_pkcs11's: see cert_policy" },
	{ "support_threads", NULL }, { "description", NULL }, { "token_type", NULL },
	{ "ca_dir", NULL }, { "crl_dir", NULL }, { "cert_policy", NULL },
};

static const struct other *
find_other(const struct other *keys, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(keys[i].key, key) == 0)
			return &keys[i];
	return NULL;
}

/* Is the setting one that asks for something?  "slot_description = none" and "card_only = false" are the defaults. */
static bool
asks(const struct cm_scconf_item *i)
{
	return i->count > 0 && i->values[0][0] != '\0' && strcasecmp(i->values[0], "none") != 0 &&
	    strcasecmp(i->values[0], "false") != 0 && strcasecmp(i->values[0], "no") != 0;
}

static enum cm_err
note_others(const struct cm_pam_reading *r, const struct cm_scconf_item *in, const struct other *keys, size_t count)
{
	enum cm_err err = CM_OK;

	for (const struct cm_scconf_item *i = in->child; err == CM_OK && i != NULL; i = i->next) {
		const struct other *o = find_other(keys, count, i->key);

		if (i->block || !asks(i) || (o != NULL && o->text == NULL))
			continue;
		err = cm_import_note(r->import, i->line, "%s %s", i->key,
		    o != NULL ? o->text : "is no setting of pam_pkcs11's");
	}
	return err;
}

static bool
named_before(const struct cm_scconf_item *list, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(list->values[k], list->values[i]) == 0)
			return true;
	return false;
}

static enum cm_err
read_mappers(struct cm_pam_reading *r, struct cm_trace *t)
{
	const struct cm_scconf_item *list = cm_scconf_setting(r->root, "use_mappers");
	enum cm_err err = CM_OK;

	if (list == NULL)
		return cm_import_fail(r->import->path, r->root->line, t, "use_mappers is missing, and so nobody's card "
		    "is known; name the mappers: use_mappers = cn, mail;");
	for (size_t i = 0; err == CM_OK && i < list->count; i++)
		if (!named_before(list, i))
			err = cm_pam_mapper(r, list->values[i], list->line,
			    cm_scconf_block(r->root, "mapper", list->values[i]));
	if (err == CM_OK && r->mappers > 1)
		err = cm_import_note(r->import, list->line, "use_mappers: pam_pkcs11 takes the first that names a user; "
		    "here all are asked, and a card for which two name different users is refused");
	if (err == CM_OK && r->import->rule_count > 0)
		err = cm_import_note(r->import, list->line, "use_mappers: logins are looked for as the attribute uid; "
		    "in Active Directory write sAMAccountName instead");
	return err;
}

/* pam_pkcs11 asks whatever nsswitch.conf names; without an ldap mapper that is this computer, as far as the file tells. */
static enum cm_err
name_directory(const struct cm_pam_reading *r)
{
	const int line = cm_scconf_line(r->root, "use_mappers");
	enum cm_err err;

	if (r->ldap || r->import->rule_count == 0)
		return CM_OK;
	if ((err = cm_import_set(r->import, line, "directory.uri", "local:")) != CM_OK)
		return err;
	return cm_import_note(r->import, line, "no ldap mapper: accounts are those of this computer (local:); where "
	    "they come from a directory, set directory.uri and directory.base");
}

static enum cm_err
read_policy(const struct cm_pam_reading *r, const struct cm_scconf_item *module, unsigned *policy)
{
	const struct cm_scconf_item *list = cm_scconf_setting(module, "cert_policy");
	enum cm_err err = CM_OK;

	*policy = 0;
	for (size_t i = 0; err == CM_OK && list != NULL && i < list->count; i++) {
		size_t k = 0;

		if (strcmp(list->values[i], "none") == 0) {
			*policy = 0;
			break;
		}
		while (k < CM_COUNT(policies) && strcmp(policies[k].word, list->values[i]) != 0)
			k++;
		if (k < CM_COUNT(policies))
			*policy |= policies[k].sets;
		else
			err = cm_import_note(r->import, list->line, "cert_policy: %s is no word of pam_pkcs11's",
			    list->values[i]);
	}
	return err;
}

/* A text that is there, or the default of pam_pkcs11. */
static enum cm_err
set_path(const struct cm_pam_reading *r, const struct cm_scconf_item *module, const char *key, const char *to,
    const char *fallback)
{
	const char *path = cm_scconf_text(module, key, fallback);
	const int line = module != NULL ? cm_scconf_line(module, key) : cm_scconf_line(r->root, "use_pkcs11_module");

	return path[0] != '\0' ? cm_import_set(r->import, line, to, path) : CM_OK;
}

static enum cm_err
set_revocation(const struct cm_pam_reading *r, const struct cm_scconf_item *module, unsigned policy)
{
	const int line = module != NULL ? cm_scconf_line(module, "cert_policy") : r->root->line;
	const bool any = (policy & (POLICY_CRL | POLICY_OCSP)) != 0;
	enum cm_err err;

	if ((err = cm_import_set(r->import, line, "trust.level", any ? "hard" : "chain")) != CM_OK || !any)
		return err;
	if ((err = cm_import_set(r->import, line, "trust.use_ocsp", policy & POLICY_OCSP ? "yes" : "no")) != CM_OK ||
	    (err = cm_import_set(r->import, line, "trust.use_crl", policy & POLICY_CRL ? "yes" : "no")) != CM_OK)
		return err;
	if ((policy & POLICY_CRL_OFFLINE) != 0 &&
	    (err = set_path(r, module, "crl_dir", "trust.crl", DEFAULT_CRL_DIR)) != CM_OK)
		return err;
	if ((policy & POLICY_CRL) == POLICY_CRL_OFFLINE)
		err = cm_import_note(r->import, line, "cert_policy: crl_offline: the lists that certificates name are "
		    "asked too; what a file says is revoked stays refused");
	if (err == CM_OK)
		err = cm_import_note(r->import, line, "trust.level = hard: as in pam_pkcs11 no answer about revocation "
		    "refuses; here that is so for CAs, too (trust.check = leaf: for the card alone)");
	return err;
}

/* Without "ca" every certificate is believed there: with a mapping by name, everybody is who they say. */
static enum cm_err
read_trust(const struct cm_pam_reading *r, const struct cm_scconf_item *module)
{
	const int line = module != NULL ? cm_scconf_line(module, "cert_policy") : r->root->line;
	unsigned policy;
	enum cm_err err = read_policy(r, module, &policy);

	if (err == CM_OK)
		err = set_path(r, module, "ca_dir", "trust.anchors", DEFAULT_CA_DIR);
	/* Of the same folder what is no root only stands below one. */
	if (err == CM_OK)
		err = set_path(r, module, "ca_dir", "trust.intermediates", DEFAULT_CA_DIR);
	if (err == CM_OK)
		err = set_revocation(r, module, policy);
	if (err == CM_OK && (policy & POLICY_CA) == 0)
		err = cm_import_note(r->import, line, "cert_policy without ca: pam_pkcs11 believes every certificate, so "
		    "that anybody can make one with somebody's name; here the chain must lead to a CA of trust.anchors");
	if (err == CM_OK && (policy & POLICY_SIGNATURE) == 0)
		err = cm_import_note(r->import, line, "cert_policy without signature: pam_pkcs11 lets a copied certificate "
		    "in; here the card must prove that it holds the key");
	return err;
}

static enum cm_err
read_module(const struct cm_pam_reading *r)
{
	const char *name = cm_scconf_text(r->root, "use_pkcs11_module", "default");
	const struct cm_scconf_item *module = cm_scconf_block(r->root, "pkcs11_module", name);
	enum cm_err err = CM_OK;

	if (module == NULL)
		err = cm_import_note(r->import, cm_scconf_line(r->root, "use_pkcs11_module"), "there is no block "
		    "pkcs11_module %s: pam_pkcs11's defaults hold", name);
	else
		err = note_others(r, module, module_keys, CM_COUNT(module_keys));
	return err == CM_OK ? read_trust(r, module) : err;
}

static enum cm_err
read_root(struct cm_pam_reading *r, struct cm_trace *t)
{
	enum cm_err err;

	if ((err = note_others(r, r->root, root_keys, CM_COUNT(root_keys))) != CM_OK)
		return err;
	if ((err = read_module(r)) != CM_OK || (err = read_mappers(r, t)) != CM_OK)
		return err;
	return name_directory(r);
}

enum cm_err
cm_pam_pkcs11_read(struct cm_blob bytes, const char *path, const char *host, struct cm_trace *t,
    struct cm_import **out)
{
	struct cm_pam_reading r = { .host = host };
	struct cm_scconf_item *file = NULL;
	enum cm_err err;

	if ((err = cm_import_new(path, "pam_pkcs11.conf", out)) != CM_OK)
		return err;
	r.import = *out;
	if ((err = cm_scconf_read(bytes, *out, t, &file)) != CM_OK)
		goto out;
	if ((r.root = cm_scconf_block(file, ROOT, NULL)) == NULL)
		err = cm_import_fail(path, 0, t, "there is no block " ROOT " { ... }: this is no pam_pkcs11.conf");
	else
		err = read_root(&r, t);
out:
	cm_scconf_free(&file);
	if (err != CM_OK)
		cm_import_free(out);
	return err;
}

enum cm_err
cm_import_pam_pkcs11(struct cm_blob bytes, const char *path, struct cm_trace *t, struct cm_import **out)
{
	char host[HOST_NAME_MAX + 1] = "";

	if (gethostname(host, sizeof(host) - 1) != 0)
		host[0] = '\0';
	return cm_pam_pkcs11_read(bytes, path, host, t, out);
}
