/* service/login_here.c - the work of a login, all of it in this process. */
#include "service/disabled.h"
#include "service/login_here.h"

#include <stdlib.h>

#include "cache/slots.h"
#include "service/enforcement.h"
#include "service/local.h"
#include "service/login_internal.h"
#include "service/possession.h"
#include "service/stages.h"

const struct cm_cert *
cm_login_here_cert(const struct cm_login *l)
{
	return l->worker != NULL ? cm_here(l)->cert : NULL;
}

const struct cm_verdict *
cm_login_here_verdict(const struct cm_login *l)
{
	return l->worker != NULL ? cm_here(l)->verdict : NULL;
}

const struct cm_proof *
cm_login_here_proof(const struct cm_login *l)
{
	return l->worker != NULL ? cm_here(l)->proof : NULL;
}

const struct cm_ticket *
cm_login_here_ticket(const struct cm_login *l)
{
	return l->worker != NULL ? cm_here(l)->ticket : NULL;
}

const struct cm_card *
cm_login_here_card(const struct cm_login *l)
{
	return l->worker != NULL ? cm_here(l)->card : NULL;
}

static enum cm_err
open_card(struct cm_login *l, struct cm_here *h)
{
	const struct cm_card_from from = cm_disabled_from(l->host->conf, l->host->conf->card.source, CM_CARD_LOGIN);
	enum cm_err err;

	if ((err = cm_card_open_from(&from, l->deadline, l->trace, &h->card)) != CM_OK)
		return err;
	cm_trace_add(l->trace, "card", "%s", cm_card_where(h->card));
	if ((err = cm_disabled_judge_card(l->host->conf, cm_card_where(h->card), l->trace)) != CM_OK)
		return err;
	if ((l->reader = strdup(cm_card_where(h->card))) == NULL)
		return CM_ERR_NOMEM;
	if ((err = cm_card_pin_tries(h->card, l->deadline, l->trace, &l->tries_left)) != CM_OK)
		return err;
	l->pad = cm_card_has_pad(h->card);
	if (l->tries_left == 0)
		return cm_trace_fail(l->trace, CM_REASON_PIN_BLOCKED,
		    "no PIN tries are left on the card in %s", cm_card_where(h->card));
	return CM_OK;
}

static enum cm_err
read_certificate(struct cm_login *l)
{
	const enum cm_slot slot = l->only_slot != 0 ? (enum cm_slot)l->only_slot : CM_SLOT_AUTHENTICATION;
	struct cm_here *h = cm_here_make(l);
	enum cm_err err;

	if (h == NULL)
		return CM_ERR_NOMEM;
	if ((err = open_card(l, h)) != CM_OK)
		return err;
	h->others_read = l->only_slot != 0;
	err = cm_card_certificate(h->card, slot, l->deadline, l->trace, &h->cert);
	if (err == CM_OK || cm_trace_reason(l->trace) == CM_REASON_CARD_NO_CERTIFICATE) {
		h->certificates[0] = (struct cm_here_certificate){ slot, h->cert != NULL ? cm_cert_ref(h->cert) : NULL };
		h->certificate_count = l->certificates = 1;
		l->slot = slot;
	}
	return err == CM_OK ? cm_here_note_certificate(l) : err;
}

/* For cm_card_others(). */
static enum cm_err
add_certificate(void *arg, enum cm_slot slot, struct cm_cert *cert)
{
	struct cm_here *h = arg;

	if (h->certificate_count < CM_COUNT(h->certificates))
		h->certificates[h->certificate_count++] = (struct cm_here_certificate){ slot, cm_cert_ref(cert) };
	return CM_OK;
}

/* Nothing of a card is kept for a process that reads it whole each time. */
static enum cm_err
read_others(struct cm_login *l, bool kept)
{
	struct cm_here *h = cm_here(l);
	struct cm_login_slots slots;
	enum cm_err err;

	if (kept || h->others_read)
		return kept ? CM_ERR_ABSENT : CM_OK;
	cm_login_slots(l->host->conf, &slots);
	err = cm_card_others(h->card, &(struct cm_card_slots){ slots.octets, slots.count, add_certificate, h }, l->deadline, l->trace);
	h->others_read = err == CM_OK;
	l->certificates = h->certificate_count;
	return err;
}

static enum cm_err
use(struct cm_login *l, size_t n)
{
	struct cm_here *h = cm_here(l);
	enum cm_err err;

	if (h->certificates[n].cert == NULL)
		return CM_ERR_ABSENT;
	if ((err = cm_stages_take(l, cm_cert_der(h->certificates[n].cert))) == CM_OK) {
		l->certificate = n;
		l->slot = h->certificates[n].slot;
	}
	return err;
}

static enum cm_err
unlock(struct cm_login *l)
{
	enum cm_err err;

	if (l->pin->pad) {	/* a person types it there */
		l->deadline = cm_deadline_in(l->host->conf->service.wait);
		return cm_card_verify_pad(cm_here(l)->card, l->pin->last_try, l->deadline, l->trace, &l->tries_left);
	}
	if (l->pin->secret == NULL)
		return CM_ERR_STATE;
	err = cm_card_verify_pin(cm_here(l)->card, l->pin->secret, l->pin->last_try, l->deadline, l->trace, &l->tries_left);
	cm_secret_wipe_stack();
	return err;
}

static bool
serves(const struct cm_login *l)
{
	return l->host->pkinit != NULL && cm_pkinit_serves(l->host->pkinit, l->account);
}

static bool
has_keytab(const struct cm_login *l)
{
	return cm_pkinit_has_keytab(l->host->pkinit);
}

static enum cm_err
get_ticket(struct cm_login *l)
{
	struct cm_here *h = cm_here(l);

	return cm_pkinit_get_ticket(l->host->pkinit, h->card, (enum cm_slot)l->slot, h->cert, l->account, l->deadline,
	    l->trace, &h->ticket);
}

static const char *
principal(const struct cm_login *l)
{
	return cm_here(l)->ticket != NULL ? cm_ticket_principal(cm_here(l)->ticket) : NULL;
}

static bool
ticket_proves(const struct cm_login *l)
{
	return cm_here(l)->ticket != NULL && cm_ticket_proves(cm_here(l)->ticket, l->account, cm_here(l)->cert);
}

static enum cm_err
sign(struct cm_login *l)
{
	struct cm_here *h = cm_here(l);

	return cm_card_prove(h->card, (enum cm_slot)l->slot, h->cert, l->deadline, l->trace, &h->proof);
}

/* It cannot be called without all three. */
static enum cm_err
admit(struct cm_login *l)
{
	const struct cm_here *h = cm_here(l);
	const struct cm_grant_basis basis = {
		.account = l->account, .cert = h->cert, .verdict = h->verdict,
		.proof = h->proof, .ticket = h->ticket,
		.limits = cm_local_limits(l->host->conf),
	};

	return cm_grant_make(&basis, l->trace, &l->grant);
}

static time_t
newest_signed_time(const struct cm_here *h)
{
	const time_t evidence = cm_verdict_signed_time(h->verdict);
	const time_t ticket = h->ticket != NULL ? cm_ticket_signed_time(h->ticket) : 0;

	return evidence > ticket ? evidence : ticket;
}

static enum cm_err
remember(struct cm_login *l)
{
	const struct cm_here *h = cm_here(l);
	uint8_t packed[CM_KEY_PACKED_MAX];
	const struct cm_kept_slot slot = { l->slot, l->unnamed };
	struct cm_key key;
	enum cm_err err;
	struct cm_remember r = {
		.account = l->account, .cert = h->cert, .verdict = h->verdict,
		.signed_time = newest_signed_time(h), .now = cm_clock_now(),
		.account_online = !l->account_kept && !l->account->local,
		.card = { .guid = cm_card_guid(h->card), .global_pin = cm_card_global_pin(h->card) },
	};

	/* What the service will want of it; a key that it does not know is read again there. */
	if (cm_key_take(h->cert, NULL, &key) == CM_OK)
		r.card.key = cm_key_pack(&key, packed);
	if ((err = cm_slots_keep(l->host->accounts, cm_cert_der(h->cert), &slot, l->trace)) != CM_OK)
		return err;
	if (r.account_online && cm_enforcement_keep(l->host->accounts, r.account->name, &l->said, true, NULL) != CM_OK)
		cm_trace_add(l->trace, "warning", "what the directory says of %s and cards could not be kept", r.account->name);
	return cm_accounts_remember(l->host->accounts, &r, l->trace);
}

static enum cm_err
store_ticket(struct cm_login *l)
{
	struct cm_here *h = cm_here(l);

	/* A child writes it: of a process with one thread.  Whoever is still asked (a probe) is let go. */
	cm_inquiry_end(&h->inquiry);
	return cm_ticket_store(h->ticket, l->host->conf->kerberos.ccache, l->account, l->deadline, l->trace, &l->ccache);
}

static unsigned
commands(const struct cm_login *l)
{
	return cm_login_here_card(l) != NULL ? cm_card_stats(cm_here(l)->card).commands : 0;
}

static void
clear(struct cm_login *l)
{
	struct cm_here *h = cm_here(l);

	if (h == NULL)
		return;
	cm_ticket_free(&h->ticket);
	cm_proof_free(&h->proof);
	cm_card_close(&h->card);
	for (size_t i = 0; i < h->certificate_count; i++)
		cm_cert_free(&h->certificates[i].cert);
	cm_stages_clear(l);
}

const struct cm_login_work cm_login_here = {
	.certificate = read_certificate,
	.chain = cm_stages_chain,
	.account = cm_stages_account,
	.revocation = cm_stages_revocation,
	.unlock = unlock,
	.serves = serves,
	.has_keytab = has_keytab,
	.get_ticket = get_ticket,
	.principal = principal,
	.ticket_proves = ticket_proves,
	.sign = sign,
	.others = read_others,
	.use = use,
	.admit = admit,
	.remember = remember,
	.store_ticket = store_ticket,
	.commands = commands,
	.clear = clear,
};
