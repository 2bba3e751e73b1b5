/*
 * krb5/pkinit.c - the order of a PKINIT login: the card's key to a TGT, the TGT
 * to proof.
 *
 * libkrb5 makes and reads the messages, exchange.c carries them, module.c lends
 * it the card.
 */
#include "krb5/pkinit.h"

#include <errno.h>
#include <stdlib.h>

#include "krb5/pkinit_internal.h"

/* A password is never typed here: every question has this answer. */
static krb5_error_code
no_prompt(krb5_context context, void *data, const char *name, const char *banner, int count,
    krb5_prompt prompts[])
{
	(void)context;
	(void)data;
	(void)name;
	(void)banner;
	(void)count;
	(void)prompts;
	return KRB5_LIBOS_CANTREADPWD;
}

/*
 * libkrb5's trace: what the pkinit plugin learns, for people, and nothing of
 * keys; and why it failed, as "Preauth module pkinit (17) (real) returned:
 * CODE/WORDS" tells and no error code does.
 */
static void
overhear(krb5_context context, const krb5_trace_info *info, void *data)
{
	static const char learned[] = "PKINIT client ", ended[] = "Preauth module pkinit", with[] = " returned: ";
	const char *text = info != NULL ? info->message : "", *p;
	struct cm_pkinit_attempt *a = data;

	(void)context;
	if ((p = strstr(text, learned)) != NULL && strstr(p, "key") == NULL) {
		p += sizeof("PKINIT");
		cm_trace_add(a->x.trace, "pkinit", "%.*s", (int)strcspn(p, "\n"), p);
	}
	if (strstr(text, ended) == NULL || (p = strstr(text, with)) == NULL)
		return;
	p += sizeof(with) - 1;
	if (*p == '0' || (p = strchr(p, '/')) == NULL)
		return;
	cm_buf_truncate(&a->said, 0);
	cm_buf_add(&a->said, p + 1, strcspn(p + 1, "\n"));
}

static krb5_error_code
as_step(krb5_context context, void *state, krb5_data *in, krb5_data *out, krb5_data *realm,
    unsigned *flags)
{
	return krb5_init_creds_step(context, state, in, out, realm, flags);
}

static krb5_error_code
make_options(const struct cm_pkinit *p, krb5_context c, krb5_get_init_creds_opt **out)
{
	krb5_error_code code = krb5_get_init_creds_opt_alloc(c, out);

	if (code != 0)
		return code;
	krb5_get_init_creds_opt_set_canonicalize(*out, 0);
	if (p->renew_days > 0)		/* a KDC that renews none, or for less, gives what it gives */
		krb5_get_init_creds_opt_set_renew_life(*out, (krb5_deltat)p->renew_days * 86400);
	code = krb5_get_init_creds_opt_set_pa(c, *out, "X509_user_identity", CM_MODULE_IDENTITY);
	for (char **a = p->anchors; code == 0 && a != NULL && *a != NULL; a++)
		code = krb5_get_init_creds_opt_set_pa(c, *out, "X509_anchors", *a);
	return code;
}

/* The context's plugins are loaded with its first exchange and go with it; a copy loads them anew, but finds them in memory. */
void
cm_pkinit_warm(struct cm_pkinit *p)
{
	krb5_init_creds_context as = NULL;
	krb5_principal client = NULL;
	krb5_data none = { 0 }, request = { 0 }, realm = { 0 };
	unsigned flags = 0;

	/* A name that is nobody's, as for the probe; its request is made, and goes nowhere. */
	if (krb5_build_principal(p->context, &client, (unsigned)strlen(p->realm), p->realm, KRB5_WELLKNOWN_NAMESTR,
	    KRB5_ANONYMOUS_PRINCSTR, (char *)NULL) == 0 &&
	    krb5_init_creds_init(p->context, client, no_prompt, NULL, 0, NULL, &as) == 0)
		(void)krb5_init_creds_step(p->context, as, &none, &request, &realm, &flags);
	krb5_free_data_contents(p->context, &request);
	krb5_free_data_contents(p->context, &realm);
	if (as != NULL)
		krb5_init_creds_free(p->context, as);
	krb5_free_principal(p->context, client);
}

/* The AS exchange (RFC 4556): a->code and a->x.err tell; the TGT goes into the ticket. */
static void
as_exchange(struct cm_pkinit_attempt *a)
{
	struct cm_ticket *k = a->ticket;
	krb5_get_init_creds_opt *options = NULL;
	krb5_init_creds_context as = NULL;

	if ((a->code = make_options(a->x.pkinit, k->context, &options)) == 0)
		a->code = krb5_init_creds_init(k->context, k->client, no_prompt, NULL, 0, options, &as);
	if (a->code == 0) {
		cm_module_enter(&a->module);
		a->code = cm_exchange_run(&a->x, as_step, as, &a->module.err);
		cm_module_leave();
	}
	if (a->code == 0 && a->x.err == CM_OK && a->module.err == CM_OK)
		a->code = krb5_init_creds_get_creds(k->context, as, &k->tgt);
	if (as != NULL)
		krb5_init_creds_free(k->context, as);
	krb5_get_init_creds_opt_free(k->context, options);
}

/* Before the card was asked to sign: its key had no part in the failure. */
static enum cm_err
explain_unsigned(struct cm_pkinit_attempt *a)
{
	const char *kdc = cm_exchange_kdc(&a->x), *principal = a->ticket->principal;
	struct cm_trace *t = a->x.trace;

	if (a->x.kdc_error != 0 && a->x.kdc_error != KRB5KDC_ERR_PREAUTH_REQUIRED)
		return cm_exchange_refused(&a->x, principal, a->x.kdc_error);
	if (a->x.kdc_error != 0 && a->module.opened)
		return cm_trace_fail(t, CM_REASON_CERT_UNTRUSTED,
		    "the certificate of %s does not lead to an anchor for Kerberos, so nothing was signed: %s",
		    cm_cert_subject_text(a->module.cert), cm_buf_str(&a->said));
	if (a->x.kdc_error != 0)
		return cm_trace_fail(t, CM_REASON_KDC_REFUSED,
		    "KDC %s offers no PKINIT for %s, or libkrb5's plugin for it (package krb5-pkinit) is missing",
		    kdc, principal);
	if (a->x.reply.len > 0 && a->x.reply.ptr[0] == CM_AS_REP)
		return cm_trace_fail(t, CM_REASON_KDC_REFUSED,
		    "KDC %s did not ask %s for the card: the principal needs requires_preauth", kdc, principal);
	return cm_trace_fail(t, CM_REASON_KDC_OFFLINE, "KDC %s: its answer is not Kerberos", kdc);
}

static enum cm_err
answered_for_another(const struct cm_pkinit_attempt *a)
{
	return cm_trace_fail(a->x.trace, CM_REASON_TICKET_FORGED, "KDC %s answered for another than %s",
	    cm_exchange_kdc(&a->x), a->ticket->principal);
}

static enum cm_err
explain(struct cm_pkinit_attempt *a)
{
	if (a->module.err != CM_OK)
		return a->module.err;
	if (a->x.err != CM_OK)
		return a->x.err;
	if (a->code == ENOMEM)
		return CM_ERR_NOMEM;
	if (a->module.signatures == 0)
		return explain_unsigned(a);
	if (a->x.kdc_error != 0)
		return cm_exchange_refused(&a->x, a->ticket->principal, a->x.kdc_error);
	if (a->code == KRB5_KDCREP_SKEW)
		return cm_exchange_refused(&a->x, a->ticket->principal, KRB5KRB_AP_ERR_SKEW);
	if (a->code == KRB5_KDCREP_MODIFIED)
		return answered_for_another(a);
	return cm_trace_fail(a->x.trace, CM_REASON_KDC_UNTRUSTED, "the answer of KDC %s did not verify: %s",
	    cm_exchange_kdc(&a->x), cm_buf_str(&a->said));
}

/* CVE-2025-11561: the reply's client is the one we asked for, and its signature was this card's. */
static enum cm_err
check_tgt(struct cm_pkinit_attempt *a)
{
	const struct cm_ticket *k = a->ticket;

	if (a->module.signatures == 0 || !krb5_principal_compare(k->context, k->tgt.client, k->client))
		return answered_for_another(a);
	return CM_OK;
}

static enum cm_err
keep_tgt(struct cm_pkinit_attempt *a)
{
	struct cm_ticket *k = a->ticket;
	krb5_error_code code = krb5_cc_new_unique(k->context, "MEMORY", NULL, &k->memory);

	if (code == 0)
		code = krb5_cc_initialize(k->context, k->memory, k->client);
	if (code == 0)
		code = krb5_cc_store_cred(k->context, k->memory, &k->tgt);
	return code == 0 ? CM_OK : CM_ERR_NOMEM;
}

enum cm_err
cm_pkinit_attempt_run(struct cm_pkinit_attempt *a)
{
	enum cm_err err;

	as_exchange(a);
	if (a->code != 0 || a->x.err != CM_OK || a->module.err != CM_OK)
		return explain(a);
	if ((err = check_tgt(a)) != CM_OK || (err = keep_tgt(a)) != CM_OK)
		return err;
	cm_trace_add(a->x.trace, "kdc", "%s", cm_exchange_kdc(&a->x));
	if (a->x.pkinit->hostcheck != NULL && (err = cm_verify_here(&a->x, a->ticket)) != CM_OK)
		return err;
	cm_trace_add(a->x.trace, "host check", "%s", a->ticket->verified ?
	    cm_hostcheck_principal(a->x.pkinit->hostcheck) : "not done: this host has no keytab");
	return CM_OK;
}

/* A UPN may name another realm: its KDCs are not ours to ask. */
bool
cm_pkinit_serves(const struct cm_pkinit *p, const struct cm_account *a)
{
	krb5_principal name = NULL;
	bool ours;

	ours = krb5_parse_name_flags(p->context, a->principal, KRB5_PRINCIPAL_PARSE_REQUIRE_REALM, &name) == 0 &&
	    cm_krb5_is_of(name, p->realm);
	krb5_free_principal(p->context, name);
	return ours;
}

static enum cm_err
make_ticket(const struct cm_pkinit *p, const struct cm_account *a, const struct cm_cert *cert,
    struct cm_trace *t, struct cm_ticket **out)
{
	struct cm_ticket *k = NULL;

	*out = NULL;
	if (!cm_pkinit_serves(p, a))
		return cm_trace_fail(t, CM_REASON_NO_KDC,
		    "account %s has no principal in this host's realm %s (\"%s\"): no KDC was asked",
		    a->name, p->realm, a->principal);
	if ((*out = k = calloc(1, sizeof(*k))) == NULL ||
	    krb5_copy_context(p->context, &k->context) != 0 ||
	    krb5_parse_name(k->context, a->principal, &k->client) != 0 ||
	    (k->principal = strdup(a->principal)) == NULL)
		return CM_ERR_NOMEM;
	memcpy(k->cert_sha256, cm_cert_sha256(cert).ptr, sizeof(k->cert_sha256));
	return CM_OK;
}

enum cm_err
cm_pkinit_attempt_begin(struct cm_pkinit_attempt *a, const struct cm_account *account)
{
	enum cm_err err;

	cm_buf_init(&a->said, 0);
	if ((err = make_ticket(a->x.pkinit, account, a->module.cert, a->x.trace, &a->ticket)) != CM_OK ||
	    (err = cm_cert_key(a->module.cert, a->x.trace, &a->module.key)) != CM_OK)
		return err;
	a->x.context = a->ticket->context;
	a->x.route = &a->ticket->route;
	krb5_set_trace_callback(a->ticket->context, overhear, a);
	return cm_exchange_begin(&a->x);
}

void
cm_pkinit_attempt_end(struct cm_pkinit_attempt *a, enum cm_err err, struct cm_ticket **out)
{
	if (a->ticket != NULL && a->ticket->context != NULL)
		krb5_set_trace_callback(a->ticket->context, NULL, NULL);
	cm_exchange_free(&a->x);
	cm_buf_free(&a->said);
	*out = NULL;
	if (err == CM_OK)
		*out = a->ticket;
	else
		cm_ticket_free(&a->ticket);
	a->ticket = NULL;
}

enum cm_err
cm_pkinit_get_ticket(struct cm_pkinit *p, struct cm_card *card, enum cm_slot slot,
    const struct cm_cert *cert, const struct cm_account *account, cm_deadline deadline,
    struct cm_trace *t, struct cm_ticket **out)
{
	struct cm_pkinit_attempt a = { .x = { .pkinit = p, .deadline = deadline, .trace = t },
	    .module = { .card = card, .slot = slot, .cert = cert, .deadline = deadline, .trace = t } };
	enum cm_err err;

	if ((err = cm_pkinit_attempt_begin(&a, account)) == CM_OK)
		err = cm_pkinit_attempt_run(&a);
	cm_pkinit_attempt_end(&a, err, out);
	return err;
}

bool
cm_ticket_proves(const struct cm_ticket *k, const struct cm_account *a, const struct cm_cert *c)
{
	return k->verified && strcmp(k->principal, a->principal) == 0 &&
	    cm_blob_equal((struct cm_blob){ k->cert_sha256, sizeof(k->cert_sha256) },
	    cm_cert_sha256(c));
}

const char *
cm_ticket_principal(const struct cm_ticket *k)
{
	return k->principal;
}

time_t
cm_ticket_expires(const struct cm_ticket *k)
{
	return CM_KRB5_TIME(k->tgt.times.endtime);
}

time_t
cm_ticket_signed_time(const struct cm_ticket *k)
{
	return k->verified ? k->authtime : 0;
}

void
cm_ticket_free(struct cm_ticket **ticket)
{
	struct cm_ticket *k = *ticket;

	if (k == NULL)
		return;
	if (k->context != NULL) {
		if (k->memory != NULL)
			krb5_cc_destroy(k->context, k->memory);
		krb5_free_cred_contents(k->context, &k->tgt);
		krb5_free_principal(k->context, k->client);
		krb5_free_context(k->context);
	}
	cm_route_free(&k->route);
	free(k->principal);
	free(k);
	*ticket = NULL;
}
