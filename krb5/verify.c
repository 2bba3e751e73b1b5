/*
 * krb5/verify.c - is the TGT from this host's own KDC?
 *
 * Anybody can play KDC.  Only the true one can make a ticket that opens with
 * this host's key (what krb5_verify_init_creds() does, with verify_ap_req_nofail,
 * over our own sockets).
 */
#include "krb5/pkinit_internal.h"

static krb5_error_code
tgs_step(krb5_context context, void *state, krb5_data *in, krb5_data *out, krb5_data *realm,
    unsigned *flags)
{
	return krb5_tkt_creds_step(context, state, in, out, realm, flags);
}

static krb5_error_code
get_host_ticket(struct cm_exchange *x, struct cm_ticket *k, krb5_creds *creds)
{
	krb5_tkt_creds_context tgs = NULL;
	krb5_creds wanted = { .client = k->client, .server = x->pkinit->host };
	krb5_error_code code;

	if ((code = krb5_tkt_creds_init(k->context, k->memory, &wanted, 0, &tgs)) != 0)
		return code;
	if ((code = cm_exchange_run(x, tgs_step, tgs, NULL)) == 0 && x->err == CM_OK)
		code = krb5_tkt_creds_get_creds(k->context, tgs, creds);
	krb5_tkt_creds_free(k->context, tgs);
	return code;
}

/* Use the ticket on ourselves.  Flags 0: no replay cache, we made the request this moment. */
static krb5_error_code
open_host_ticket(struct cm_exchange *x, krb5_creds *creds, krb5_ticket **ticket)
{
	krb5_auth_context ours = NULL, theirs = NULL;
	krb5_data request = { 0 };
	krb5_error_code code;

	code = krb5_mk_req_extended(x->context, &ours, 0, NULL, creds, &request);
	if (code == 0)
		code = krb5_auth_con_init(x->context, &theirs);
	if (code == 0)
		code = krb5_auth_con_setflags(x->context, theirs, 0);
	if (code == 0)
		code = krb5_rd_req(x->context, &theirs, &request, x->pkinit->host,
		    x->pkinit->keytab, NULL, ticket);
	krb5_free_data_contents(x->context, &request);
	krb5_auth_con_free(x->context, ours);
	krb5_auth_con_free(x->context, theirs);
	return code;
}

/*
 * CVE-2025-11561: the name inside, sealed by the KDC, is the account's
 * principal, letter by letter.  RFC 4120 section 3.3.3: authtime is the TGT's,
 * so this is no ticket of another day.
 */
static enum cm_err
check_host_ticket(struct cm_exchange *x, struct cm_ticket *k, const krb5_ticket *ticket)
{
	const krb5_enc_tkt_part *inside = ticket->enc_part2;

	if (!krb5_principal_compare(k->context, inside->client, k->client) ||
	    inside->times.authtime != k->tgt.times.authtime)
		return cm_trace_fail(x->trace, CM_REASON_TICKET_FORGED,
		    "the ticket for %s that KDC %s gave is not for this login of %s",
		    x->pkinit->host_text, cm_exchange_kdc(x), k->principal);
	k->verified = true;
	k->authtime = CM_KRB5_TIME(inside->times.authtime);
	return CM_OK;
}

static enum cm_err
not_opened(struct cm_exchange *x, krb5_error_code code)
{
	const char *words = krb5_get_error_message(x->context, code);
	enum cm_err err;

	err = cm_trace_fail(x->trace, CM_REASON_TICKET_FORGED,
	    "the ticket for %s that KDC %s gave does not open with %s: %s", x->pkinit->host_text,
	    cm_exchange_kdc(x), x->pkinit->keytab_path, words);
	krb5_free_error_message(x->context, words);
	return err;
}

enum cm_err
cm_verify_with_keytab(struct cm_exchange *x, struct cm_ticket *k)
{
	krb5_creds creds = { 0 };
	krb5_ticket *ticket = NULL;
	krb5_error_code code = get_host_ticket(x, k, &creds);
	enum cm_err err = x->err;

	if (err == CM_OK && code != 0)
		err = cm_exchange_refused(x, x->pkinit->host_text, code);
	else if (err == CM_OK && (code = open_host_ticket(x, &creds, &ticket)) != 0)
		err = not_opened(x, code);
	else if (err == CM_OK)
		err = check_host_ticket(x, k, ticket);
	krb5_free_ticket(x->context, ticket);
	krb5_free_cred_contents(x->context, &creds);
	return err;
}
