/* krb5/present.c - what is done with a TGT: it is shown to a host, and packed for the user. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "krb5/ccache_put.h"
#include "krb5/pkinit_internal.h"

#define NONCE_LEN	32

static krb5_error_code
tgs_step(krb5_context context, void *state, krb5_data *in, krb5_data *out, krb5_data *realm,
    unsigned *flags)
{
	return krb5_tkt_creds_step(context, state, in, out, realm, flags);
}

static krb5_error_code
get_host_ticket(struct cm_exchange *x, struct cm_ticket *k, krb5_principal host, krb5_creds *creds)
{
	krb5_tkt_creds_context tgs = NULL;
	krb5_creds wanted = { .client = k->client, .server = host };
	krb5_error_code code;

	if ((code = krb5_tkt_creds_init(k->context, k->memory, &wanted, 0, &tgs)) != 0)
		return code;
	if ((code = cm_exchange_run(x, tgs_step, tgs, NULL)) == 0 && x->err == CM_OK)
		code = krb5_tkt_creds_get_creds(k->context, tgs, creds);
	krb5_tkt_creds_free(k->context, tgs);
	return code;
}

/* RFC 4120 section 3.2.2; the checksum is of the kind that goes with the session key (RFC 3961 section 4), so a keyed one. */
static enum cm_err
make_request(krb5_context c, krb5_creds *creds, const uint8_t nonce[NONCE_LEN], struct cm_buf *ap_req)
{
	krb5_data data = { .length = NONCE_LEN, .data = (char *)(uintptr_t)nonce }, request = { 0 };
	krb5_auth_context auth = NULL;
	enum cm_err err = CM_ERR_NOMEM;

	if (krb5_mk_req_extended(c, &auth, 0, &data, creds, &request) == 0) {
		cm_buf_add(ap_req, request.data, request.length);
		err = cm_buf_status(ap_req);
	}
	krb5_free_data_contents(c, &request);
	krb5_auth_con_free(c, auth);
	return err;
}

static enum cm_err
parse_host(struct cm_exchange *x, const char *name, krb5_principal *out)
{
	const krb5_error_code code = krb5_parse_name(x->context, name, out);

	if (code == ENOMEM)
		return CM_ERR_NOMEM;
	if (code == 0 && cm_krb5_is_host_of(*out, x->pkinit->realm))
		return CM_OK;
	return cm_trace_fail(x->trace, CM_REASON_CONFIG, "\"%s\" is no principal host/NAME@%s", name, x->pkinit->realm);
}

static enum cm_err
present(struct cm_exchange *x, struct cm_ticket *k, const char *name, const uint8_t nonce[NONCE_LEN],
    struct cm_buf *ap_req)
{
	krb5_principal host = NULL;
	krb5_creds creds = { 0 };
	krb5_error_code code;
	enum cm_err err;

	if ((err = parse_host(x, name, &host)) == CM_OK) {
		code = get_host_ticket(x, k, host, &creds);
		if ((err = x->err) == CM_OK && code == ENOMEM)
			err = CM_ERR_NOMEM;
		else if (err == CM_OK && code != 0)
			err = cm_exchange_refused(x, name, code);
		else if (err == CM_OK)
			err = make_request(x->context, &creds, nonce, ap_req);
	}
	krb5_free_principal(x->context, host);
	krb5_free_cred_contents(x->context, &creds);
	return err;
}

enum cm_err
cm_ticket_present(struct cm_pkinit *p, struct cm_ticket *k, const char *host_principal, const uint8_t nonce[NONCE_LEN],
    cm_deadline deadline, struct cm_trace *t, struct cm_buf *ap_req)
{
	struct cm_exchange x = { .pkinit = p, .context = k->context, .route = &k->route, .deadline = deadline, .trace = t };
	enum cm_err err;

	if ((err = cm_exchange_begin(&x)) == CM_OK)
		err = present(&x, k, host_principal, nonce, ap_req);
	cm_exchange_free(&x);
	return err;
}

/*
 * CVE-2025-11561: the name inside, sealed by the KDC, is the account's
 * principal, letter by letter; and the ticket is of this very TGT.
 */
static enum cm_err
check_vouched(struct cm_exchange *x, struct cm_ticket *k, const struct cm_vouched *v)
{
	char *name = NULL;
	bool same;

	if (krb5_unparse_name(k->context, k->client, &name) != 0)
		return CM_ERR_NOMEM;
	same = strcmp(name, v->principal) == 0 && v->authtime == CM_KRB5_TIME(k->tgt.times.authtime);
	krb5_free_unparsed_name(k->context, name);
	if (!same)
		return cm_trace_fail(x->trace, CM_REASON_TICKET_FORGED,
		    "the ticket for %s that KDC %s gave is not for this login of %s",
		    cm_hostcheck_principal(x->pkinit->hostcheck), cm_exchange_kdc(x), k->principal);
	k->verified = true;
	k->authtime = v->authtime;
	return CM_OK;
}

enum cm_err
cm_verify_here(struct cm_exchange *x, struct cm_ticket *k)
{
	struct cm_hostcheck *h = x->pkinit->hostcheck;
	struct cm_vouched v = { 0 };
	struct cm_buf ap_req;
	uint8_t nonce[NONCE_LEN];
	enum cm_err err;

	cm_buf_init(&ap_req, 0);
	if (getrandom(nonce, sizeof(nonce), 0) != sizeof(nonce))
		err = cm_trace_fail(x->trace, CM_REASON_SYSTEM, "no random numbers: %s", strerror(errno));
	else if ((err = present(x, k, cm_hostcheck_principal(h), nonce, &ap_req)) == CM_OK &&
	    (err = cm_hostcheck_verify(h, cm_buf_blob(&ap_req), nonce, CM_KRB5_TIME(k->tgt.times.authtime), x->trace, &v)) == CM_OK)
		err = check_vouched(x, k, &v);
	cm_vouched_clear(&v);
	cm_buf_free(&ap_req);
	return err;
}

/* ---- packed: MIT Kerberos, "Credential cache file format", version 4; numbers big end first */

#define TAG_TIME_OFFSET	1

static void
add_number(struct cm_buf *b, unsigned octets, uint32_t n)
{
	while (octets-- > 0)
		cm_buf_add_byte(b, (uint8_t)(n >> (8 * octets)));
}

static void
add_counted(struct cm_buf *b, const krb5_data *d)
{
	add_number(b, 4, d->length);
	cm_buf_add(b, d->data, d->length);
}

static void
add_principal(struct cm_buf *b, krb5_const_principal p)
{
	add_number(b, 4, (uint32_t)p->type);
	add_number(b, 4, (uint32_t)p->length);
	add_counted(b, &p->realm);
	for (krb5_int32 i = 0; i < p->length; i++)
		add_counted(b, &p->data[i]);
}

/* The KDC's clock less ours, so that others who use the ccache are on its clock too. */
static void
add_header(struct cm_buf *b, krb5_context c)
{
	krb5_timestamp seconds = 0;
	krb5_int32 us = 0;
	const bool offset = krb5_get_time_offsets(c, &seconds, &us) == 0 && (seconds != 0 || us != 0);

	add_number(b, 2, 0x0504);
	add_number(b, 2, offset ? 12 : 0);
	if (offset) {
		add_number(b, 2, TAG_TIME_OFFSET);
		add_number(b, 2, 8);
		add_number(b, 4, (uint32_t)seconds);
		add_number(b, 4, (uint32_t)us);
	}
}

enum cm_err
cm_ticket_pack(const struct cm_ticket *k, struct cm_buf *ccache)
{
	krb5_data *creds = NULL;

	if (krb5_marshal_credentials(k->context, (krb5_creds *)(uintptr_t)&k->tgt, &creds) != 0)
		return CM_ERR_NOMEM;
	add_header(ccache, k->context);
	add_principal(ccache, k->client);
	cm_buf_add(ccache, creds->data, creds->length);
	explicit_bzero(creds->data, creds->length);
	krb5_free_data(k->context, creds);
	return cm_buf_status(ccache);
}

enum cm_err
cm_ticket_store(const struct cm_ticket *k, const char *ccache, const struct cm_account *account,
    cm_deadline deadline, struct cm_trace *t, char **name)
{
	struct cm_buf packed;
	enum cm_err err;

	*name = NULL;
	cm_buf_init_secret(&packed, 0);
	if ((err = cm_ticket_pack(k, &packed)) == CM_OK) {
		const struct cm_ccache_put p = { .pattern = ccache, .account = account, .ticket = cm_buf_blob(&packed) };

		err = cm_ccache_put(&p, deadline, t, name);
	}
	cm_buf_free(&packed);
	return err;
}
