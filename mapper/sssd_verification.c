/* mapper/sssd_verification.c - certificate_verification of sssd.conf, or what [pam] says instead: whom SSSD asks about revocation. */
#include "mapper/sssd_internal.h"

#include <stdlib.h>

struct verification {
	bool no_ocsp, soft_ocsp, soft_crl, off, partial;
	bool crl;			/* a file is named */
};

/* sssd.conf(5): sha1, sha256, sha384 or sha512.  A responder that knows the last two knows sha256, too. */
static enum cm_err
take_ocsp_hash(const struct cm_sssd *s, const struct cm_ini_key *k, const char *hash)
{
	enum cm_err err;

	if (strcmp(hash, "sha1") == 0 || strcmp(hash, "sha256") == 0)
		return cm_import_set(s->out, k->line, "trust.ocsp_hash", hash);
	if (strcmp(hash, "sha384") != 0 && strcmp(hash, "sha512") != 0)
		return cm_import_note(s->out, k->line, "ocsp_dgst=%s: is no hash that SSSD knows", hash);
	if ((err = cm_import_set(s->out, k->line, "trust.ocsp_hash", "sha256")) != CM_OK)
		return err;
	return cm_import_note(s->out, k->line, "ocsp_dgst=%s: responders are asked with sha256 here", hash);
}

static enum cm_err
take_verification(const struct cm_sssd *s, const struct cm_ini_key *k, const char *item,
    struct verification *v)
{
	const char *value = strchr(item, '=');

	if (strcmp(item, "no_ocsp") == 0)
		v->no_ocsp = true;
	else if (strcmp(item, "soft_ocsp") == 0)
		v->soft_ocsp = true;
	else if (strcmp(item, "soft_crl") == 0)
		v->soft_crl = true;
	else if (strcmp(item, "no_verification") == 0)
		v->off = true;
	else if (strcmp(item, "partial_chain") == 0)
		v->partial = true;
	else if (strncmp(item, "crl_file=", 9) == 0 && value[1] != '\0') {
		v->crl = true;
		return cm_import_set(s->out, k->line, "trust.crl", value + 1);
	} else if (strncmp(item, "ocsp_default_responder=", 23) == 0 && value[1] != '\0')
		return cm_import_set(s->out, k->line, "trust.ocsp_url", value + 1);
	else if (strncmp(item, "ocsp_dgst=", 10) == 0)
		return take_ocsp_hash(s, k, value + 1);
	else
		return cm_import_note(s->out, k->line, "%s: %.*s: has no counterpart", k->name,
		    (int)strcspn(item, "="), item);
	return CM_OK;
}

/*
 * p11_child asks OCSP where the certificate or ocsp_default_responder names a
 * responder, and no answer refuses unless soft_ocsp; a crl_file must hold a
 * valid list, unless soft_crl.  One level covers both here: the harder one.
 */
static enum cm_err
set_level(const struct cm_sssd *s, int line, const struct verification *v)
{
	const bool ocsp_hard = !v->no_ocsp && !v->soft_ocsp, crl_hard = v->crl && !v->soft_crl;
	enum cm_err err = CM_OK;

	if (v->off)
		return cm_import_note(s->out, line, "no_verification: has no counterpart: a certificate that "
		    "nobody vouches for names whom it likes");
	if (v->no_ocsp)
		err = cm_import_set(s->out, line, "trust.use_ocsp", "no");
	if (err == CM_OK && v->no_ocsp && !v->crl)
		return cm_import_set(s->out, line, "trust.level", "chain");
	if (err == CM_OK)
		err = cm_import_set(s->out, line, "trust.level", ocsp_hard || crl_hard ? "hard" : "soft");
	if (err == CM_OK && (ocsp_hard || crl_hard))
		err = cm_import_note(s->out, line, "trust.level = hard: as in SSSD no answer about revocation "
		    "refuses; here that is so for CAs, too (trust.check = leaf: for the card alone), and where a certificate names "
		    "nobody to ask");
	return err;
}

enum cm_err
cm_sssd_verification(const struct cm_sssd *s, const struct cm_ini_section *pam, int line, const char *cas)
{
	const struct cm_ini_key *k = cm_ini_key(pam, "pam_cert_verification");
	struct verification v = { .no_ocsp = false };
	const char *list, *item;
	enum cm_err err = CM_OK;
	size_t len;

	if (k == NULL)
		k = cm_ini_key(cm_ini_section(&s->ini, "sssd"), "certificate_verification");
	list = k != NULL ? k->value : "";
	while (err == CM_OK && cm_sssd_next(&list, &item, &len)) {
		char *copy = strndup(item, len);

		err = copy != NULL ? take_verification(s, k, copy, &v) : CM_ERR_NOMEM;
		free(copy);
	}
	/* Without it a chain ends at a root, whatever else the file of CAs holds. */
	if (err == CM_OK && !v.partial)
		err = cm_import_set(s->out, line, "trust.intermediates", cas);
	return err == CM_OK ? set_level(s, k != NULL ? k->line : 0, &v) : err;
}
