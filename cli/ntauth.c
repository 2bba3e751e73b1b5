/*
 * cli/ntauth.c - Active Directory's CAs: which may issue cards, which are roots.
 *
 * [MS-PKCA] 3.1.5.2.1.1: a domain controller takes only certificates whose
 * issuer stands in NTAuthCertificates.  That is what trust.pins says here.  The
 * containers beside it hold the roots and the CAs between.
 */
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "mapper/import.h"

#define ENTRIES_MAX	1000
#define CAS_MAX		1000
#define SERVICES	"CN=Public Key Services,CN=Services,"

/* One CA that the directory names, in one of its containers or in several. */
struct ca {
	struct cm_blob der;	/* owned */
	char sha256[65], *subject;	/* owned */
	bool issues, root;	/* in NTAuthCertificates; in Certification Authorities */
	bool self_signed, expired;
};

struct reading {
	struct cm_cli *cli;
	struct cm_import *out;
	struct cm_buf context;		/* the forest's configuration: "CN=Configuration,DC=..." */
	struct ca *cas;			/* owned */
	size_t count;
	/* of the value that is being looked at */
	struct cm_blob der;
	bool issues, root;
	bool full;			/* there were more CAs than are taken */
};

static bool
is_attribute(struct cm_blob a, const char *name)
{
	const size_t len = strlen(name);

	/* options may follow: "cACertificate;binary" */
	return a.len >= len && strncasecmp((const char *)a.ptr, name, len) == 0 && (a.len == len || a.ptr[len] == ';');
}

static enum cm_err
take_context(void *arg, const struct cm_entry *e)
{
	struct reading *r = arg;

	for (size_t i = 0; i < e->count; i++)
		if (is_attribute(e->values[i].attribute, "configurationNamingContext") && r->context.len == 0)
			cm_buf_add_blob(&r->context, e->values[i].value);
	return cm_buf_status(&r->context);
}

/* What the server's root entry names; where it names none, below directory.base. */
static enum cm_err
find_context(struct reading *r, struct cm_directory *d)
{
	static const char *const attributes[] = { "configurationNamingContext", NULL };
	const char *base = r->cli->conf->directory.base;
	struct cm_look look = { .base = "", .base_only = true, .filter = "(objectClass=*)", .attributes = attributes,
	    .limit = 1 };
	enum cm_err err = cm_directory_look(d, &look, cm_deadline_in(r->cli->conf->directory.timeout), r->cli->trace,
	    take_context, r);

	if (err != CM_OK || r->context.len > 0)
		return err;
	if (base == NULL)
		return cm_trace_fail(r->cli->trace, CM_REASON_CONFIG, "the server names no configurationNamingContext, "
		    "and directory.base is not set");
	cm_buf_addf(&r->context, "CN=Configuration,%s", base);
	return cm_buf_status(&r->context);
}

static struct ca *
find_ca(const struct reading *r, const char *sha256)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->cas[i].sha256, sha256) == 0)
			return &r->cas[i];
	return NULL;
}

static enum cm_err
take_ca(void *arg, const struct cm_trust_ca *shown)
{
	struct reading *r = arg;
	struct ca *ca = find_ca(r, shown->sha256), *more;
	uint8_t *copy;

	if (ca == NULL) {
		if ((r->full = r->count == CAS_MAX))
			return CM_OK;
		if ((more = realloc(r->cas, (r->count + 1) * sizeof(*more))) == NULL)
			return CM_ERR_NOMEM;
		r->cas = more;
		ca = &more[r->count++];
		*ca = (struct ca){ .self_signed = shown->self_signed, .expired = shown->not_after < cm_clock_now() };
		snprintf(ca->sha256, sizeof(ca->sha256), "%s", shown->sha256);
		if ((ca->subject = strdup(shown->subject)) == NULL || (copy = malloc(r->der.len)) == NULL)
			return CM_ERR_NOMEM;
		memcpy(copy, r->der.ptr, r->der.len);
		ca->der = (struct cm_blob){ copy, r->der.len };
	}
	ca->issues |= r->issues;
	ca->root |= r->root;
	return CM_OK;
}

/* Does the name hold this text, case ignored? */
static bool
dn_has(struct cm_blob dn, const char *part)
{
	const size_t len = strlen(part);

	for (size_t i = 0; i + len <= dn.len; i++)
		if (strncasecmp((const char *)dn.ptr + i, part, len) == 0)
			return true;
	return false;
}

static enum cm_err
take_entry(void *arg, const struct cm_entry *e)
{
	struct reading *r = arg;
	struct cm_buf name;
	enum cm_err err = CM_OK;

	cm_buf_init(&name, 0);
	cm_buf_add_printable(&name, e->dn);
	r->issues = e->dn.len > 22 && strncasecmp((const char *)e->dn.ptr, "CN=NTAuthCertificates,", 22) == 0;
	r->root = dn_has(e->dn, ",CN=Certification Authorities,");
	if ((err = cm_buf_status(&name)) != CM_OK)
		goto out;
	for (size_t i = 0; err == CM_OK && i < e->count; i++) {
		if (!is_attribute(e->values[i].attribute, "cACertificate"))
			continue;
		r->der = e->values[i].value;
		err = cm_trust_show(r->der, cm_buf_str(&name), r->cli->trace, take_ca, r);
		if (err == CM_ERR_CONFIG) {	/* an empty container holds a lone 00 */
			cm_trace_clear_reason(r->cli->trace);
			err = r->der.len <= 1 ? CM_OK : cm_import_note(r->out, 0, "%s: a value of cACertificate is no "
			    "certificate, and is left out", cm_buf_str(&name));
		}
	}
out:
	cm_buf_free(&name);
	return err;
}

static enum cm_err
look_for_cas(struct reading *r, struct cm_directory *d, const char *base)
{
	static const char *const attributes[] = { "cACertificate", NULL };
	struct cm_look look = { .base = base, .filter = "(cACertificate=*)", .attributes = attributes, .limit = ENTRIES_MAX };
	struct cm_trace *t = r->cli->trace;
	enum cm_err err = cm_directory_look(d, &look, cm_deadline_in(r->cli->conf->directory.timeout), t, take_entry, r);

	if (err == CM_OK && (look.more || r->full))
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: more than %d CAs", base, CAS_MAX);
	return err;
}

static enum cm_err
note_added(void *arg, const struct cm_trust_ca *ca)
{
	const struct reading *r = arg;

	return cm_import_note(r->out, 0, "%s: %s %s %s", ca->subject, ca->was_there ? "is there as" : "added as",
	    ca->anchor ? "anchor" : "intermediate", ca->file);
}

/* In Active Directory only the container of roots makes an anchor; what no chain would pass with stays away. */
static enum cm_err
add_ca(struct reading *r, const struct ca *ca)
{
	const struct cm_trust_options o = cm_cli_trust_options(r->cli);
	const struct cm_trust_adding a = { .bytes = ca->der, .name = ca->subject,
	    .intermediate = !ca->root || !ca->self_signed, .visit = note_added, .arg = r };
	enum cm_err err = cm_trust_add(&o, &a, r->cli->trace);
	const enum cm_reason reason = cm_trace_reason(r->cli->trace);

	if (err != CM_ERR_REFUSED || (reason != CM_REASON_NOT_A_CA && reason != CM_REASON_CA_WEAK))
		return err;
	err = cm_import_note(r->out, 0, "not added: %s", cm_trace_message(r->cli->trace));
	cm_trace_clear_reason(r->cli->trace);
	return err;
}

static enum cm_err
write_ca(struct reading *r, const struct ca *ca)
{
	enum cm_err err = CM_OK;

	if (ca->issues)
		err = cm_import_set(r->out, 0, "trust.pins", ca->sha256);
	if (err == CM_OK)
		err = cm_import_note(r->out, 0, "%s %s: %s%s%s", ca->sha256, ca->subject, ca->issues ? "may issue cards" :
		    ca->root ? "is a root" : "stands between", ca->issues && ca->root ? ", is a root" : "",
		    ca->expired ? ", has expired" : "");
	if (err == CM_OK && r->cli->add)
		err = ca->expired ? cm_import_note(r->out, 0, "not added: %s has expired", ca->subject) : add_ca(r, ca);
	return err;
}

static enum cm_err
write_cas(struct reading *r, const char *base)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < r->count; i++)
		err = write_ca(r, &r->cas[i]);
	if (err == CM_OK && cm_import_find(r->out, "trust.pins") == NULL)
		err = cm_trace_fail(r->cli->trace, CM_REASON_CONFIG, "CN=NTAuthCertificates,%s names no CA: see "
		    "directory.base, and that directory.bind_dn may read it", base);
	if (err == CM_OK && !r->cli->add)
		err = cm_import_note(r->out, 0, "with --add these CAs are put into the folders of trust.anchors and "
		    "trust.intermediates");
	return err;
}

enum cm_err
cm_cli_read_ntauth(struct cm_cli *c, struct cm_import **out)
{
	struct reading r = { .cli = c };
	struct cm_host *host = NULL;
	struct cm_buf base;
	enum cm_err err;

	cm_buf_init(&base, 0);
	cm_buf_init(&r.context, 0);
	if ((err = cm_host_open(c->conf, CM_NEED_DIRECTORY, c->trace, &host)) != CM_OK ||
	    (err = find_context(&r, host->directory)) != CM_OK)
		goto out;
	cm_buf_add_str(&base, SERVICES);
	cm_buf_add_blob(&base, cm_buf_blob(&r.context));
	if ((err = cm_buf_status(&base)) != CM_OK ||
	    (err = cm_import_new(cm_buf_str(&base), "Active Directory's CAs", out)) != CM_OK)
		goto out;
	r.out = *out;
	if ((err = look_for_cas(&r, host->directory, cm_buf_str(&base))) == CM_OK)
		err = write_cas(&r, cm_buf_str(&base));
out:
	for (size_t i = 0; i < r.count; i++) {
		cm_blob_free(&r.cas[i].der);
		free(r.cas[i].subject);
	}
	free(r.cas);
	cm_buf_free(&base);
	cm_buf_free(&r.context);
	cm_host_close(&host);
	return err;
}
