/* helper/ticket.c - a Kerberos ticket with the card's key, and with it a word for the process that has the host keytab. */
#include "base/conf.h"
#include "helper/helper.h"
#include "krb5/ahead.h"

#include <stdlib.h>

struct cm_kerberos {
	struct cm_conf *conf;
	struct cm_pkinit *pkinit;
	struct cm_ticket *given;	/* let go of when nobody waits for that */
	struct cm_ahead *ahead;		/* NULL: nothing was begun; else pkinit is its thread's */
};

static const char *const *
list_or_null(char **l)
{
	return l[0] != NULL ? (const char *const *)l : NULL;
}

/* The keytab stays out: whoever talks to cards may not make tickets for this host. */
static enum cm_err
open_parts(struct cm_kerberos *k, const char *config, struct cm_trace *t)
{
	struct cm_pkinit_options o = { .keytab = NULL };
	enum cm_err err;

	if ((err = cm_conf_load(config, t, &k->conf)) != CM_OK)
		return err;
	o.config = k->conf->kerberos.config;
	o.realm = k->conf->kerberos.realm;
	o.kdcs = list_or_null(k->conf->kerberos.kdc);
	o.anchors = list_or_null(k->conf->kerberos.anchors);
	o.intermediates = list_or_null(k->conf->kerberos.intermediates);
	o.renew_days = k->conf->kerberos.renew_days;
	if ((err = cm_pkinit_open(&o, t, &k->pkinit)) == CM_OK)
		cm_pkinit_warm(k->pkinit);
	return err;
}

struct cm_kerberos *
cm_kerberos_open(const char *config, struct cm_trace *t, enum cm_err *err)
{
	struct cm_kerberos *k = calloc(1, sizeof(*k));

	*err = k == NULL ? CM_ERR_NOMEM : open_parts(k, config, t);
	if (*err != CM_OK && k != NULL)
		cm_kerberos_close(&k);
	return k;
}

void
cm_kerberos_close(struct cm_kerberos **k)
{
	if (*k == NULL)
		return;
	cm_ahead_drop(&(*k)->ahead);
	cm_ticket_free(&(*k)->given);
	cm_pkinit_close(&(*k)->pkinit);
	cm_conf_free(&(*k)->conf);
	free(*k);
	*k = NULL;
}

/* Who that is decides cardmapd, by the name that the KDC vouches for: here it is a principal and no more. */
static struct cm_account
account_of(const struct cm_message *q, char *none)
{
	return (struct cm_account){ .name = q->principal, .principal = q->principal, .dn = none, .home = none, .shell = none,
		.gecos = none, .rule = none, .attribute = none, .matched = none, .source = none };
}

void
cm_kerberos_expect_none(struct cm_kerberos *k)
{
	cm_ahead_drop(&k->ahead);
}

void
cm_kerberos_expect(struct cm_kerberos *k, const struct cm_cert *cert, const struct cm_message *q)
{
	char none[] = "";
	const struct cm_account account = account_of(q, none);

	if (k->ahead != NULL && cm_ahead_is_for(k->ahead, q->principal, cm_cert_der(cert)))
		return;
	cm_ahead_drop(&k->ahead);
	(void)!cm_ahead_begin(k->pkinit, cm_cert_der(cert), &account, cm_deadline_in((unsigned)q->deadline), &k->ahead);
}

/* With what the KDC gave: shown to this host, and handed on for the account's ccache. */
static enum cm_err
take(struct cm_kerberos *k, struct cm_ticket *ticket, const struct cm_message *q, struct cm_trace *t,
    struct cm_message *a)
{
	struct cm_buf ap_req = { 0 }, packed = { 0 };
	enum cm_err err = CM_OK;

	cm_buf_init_secret(&packed, 0);
	if (q->host_principal[0] != '\0')
		err = cm_ticket_present(k->pkinit, ticket, q->host_principal, q->nonce.ptr,
		    cm_deadline_in((unsigned)q->deadline), t, &ap_req);
	if (err == CM_OK && (err = cm_ticket_pack(ticket, &packed)) == CM_OK &&
	    (err = cm_blob_copy(cm_buf_blob(&ap_req), &a->ap_req)) == CM_OK &&
	    (err = cm_blob_copy(cm_buf_blob(&packed), &a->ticket)) == CM_OK) {
		a->principal = strdup(cm_ticket_principal(ticket));
		err = a->principal != NULL ? CM_OK : CM_ERR_NOMEM;
	}
	cm_buf_free(&ap_req);
	cm_buf_free(&packed);
	return err;
}

/* What was begun goes on where it is for this login; else there is another. */
static enum cm_err
get(struct cm_kerberos *k, const struct cm_card_key *key, const struct cm_message *q, struct cm_trace *t,
    struct cm_ticket **out)
{
	char none[] = "";
	const struct cm_account account = account_of(q, none);
	const cm_deadline deadline = cm_deadline_in((unsigned)q->deadline);
	enum cm_err err = CM_ERR_ABSENT;

	if (k->ahead != NULL && cm_ahead_is_for(k->ahead, q->principal, cm_cert_der(key->cert)))
		err = cm_ahead_take(&k->ahead, key->card, key->slot, deadline, t, out);
	cm_ahead_drop(&k->ahead);
	if (err != CM_ERR_ABSENT)
		return err;
	return cm_pkinit_get_ticket(k->pkinit, key->card, key->slot, key->cert, &account, deadline, t, out);
}

enum cm_err
cm_kerberos_get(struct cm_kerberos *k, const struct cm_card_key *key, const struct cm_message *q,
    struct cm_trace *t, struct cm_message *a)
{
	enum cm_err err;

	if (q->host_principal[0] != '\0' && q->nonce.len != 32)
		return CM_ERR_STATE;
	cm_ticket_free(&k->given);
	if ((err = get(k, key, q, t, &k->given)) == CM_OK)
		err = take(k, k->given, q, t, a);
	a->kdc_silent = err == CM_ERR_OFFLINE && cm_trace_reason(t) == CM_REASON_KDC_OFFLINE;
	return err;
}
