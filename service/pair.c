/*
 * service/pair.c - pair a card with an account: its steps in order.
 *
 * Who pairs somebody's card with an account gives that account away, so it
 * takes root, the PIN, and the card's own proof: a copied certificate pairs
 * nothing.
 */
#include "service/disabled.h"
#include "service/pair.h"

#include <stdlib.h>
#include <unistd.h>

#include "service/login_slots_internal.h"
#include "service/mapping.h"

enum cm_err
cm_pair_check_root(struct cm_trace *t)
{
	return geteuid() == 0 ? CM_OK :
	    cm_trace_fail(t, CM_REASON_NOT_ROOT, "root alone changes who may log in with a card (uid %u asked)", geteuid());
}

/* SmartCardServices(7), UserPairing: no new ones; those there are go on. */
static enum cm_err
check_allowed(struct cm_pair *p)
{
	if (p->where == CM_PAIR_LDIF)
		return CM_OK;
	if (!p->host->conf->accounts.user_pairing)
		return cm_trace_fail(p->trace, CM_REASON_PAIRING_OFF, "accounts.user_pairing = no: no card is paired with %s",
		    p->user);
	return cm_pair_check_root(p->trace);
}

static enum cm_err
check_key(const struct cm_pair *p)
{
	char wanted[CM_SELECTOR_KEY_SIZE], there[CM_SELECTOR_KEY_SIZE];
	struct cm_selector_key key;

	cm_key_hash(p->cert, key.sha1);
	if (p->key == NULL || memcmp(p->key->sha1, key.sha1, sizeof(key.sha1)) == 0)
		return CM_OK;
	return cm_trace_fail(p->trace, CM_REASON_OTHER_CARD, "the card in %s has the key %s, not %s",
	    cm_card_where(p->card), cm_selector_key_text(&key, there), cm_selector_key_text(p->key, wanted));
}

static enum cm_slot
slot_of(const struct cm_pair *p)
{
	return p->slot != 0 ? p->slot : CM_SLOT_AUTHENTICATION;
}

/* What no login looks into is not paired: it would open nothing. */
static enum cm_err
check_slot(const struct cm_pair *p)
{
	struct cm_login_slots looked;

	cm_login_slots(p->host->conf, &looked);
	if (slot_of(p) == CM_SLOT_AUTHENTICATION || memchr(looked.octets, (int)p->slot, looked.count) != NULL)
		return CM_OK;
	return cm_trace_fail(p->trace, CM_REASON_USAGE, "slot %02X: card.slots leaves it out, so that no login looks into it", p->slot);
}

static enum cm_err
read_certificate(struct cm_pair *p)
{
	const struct cm_card_from from = cm_disabled_from(p->host->conf, p->host->conf->card.source, CM_CARD_LOGIN);
	enum cm_err err;

	if ((err = check_slot(p)) != CM_OK || (err = cm_card_open_from(&from, p->deadline, p->trace, &p->card)) != CM_OK ||
	    (err = cm_disabled_judge_card(p->host->conf, cm_card_where(p->card), p->trace)) != CM_OK ||
	    (err = cm_card_pin_tries(p->card, p->deadline, p->trace, &p->tries_left)) != CM_OK)
		return err;
	if (p->tries_left == 0)
		return cm_trace_fail(p->trace, CM_REASON_PIN_BLOCKED, "no PIN tries are left on the card in %s",
		    cm_card_where(p->card));
	if ((err = cm_card_certificate(p->card, slot_of(p), p->deadline, p->trace, &p->cert)) != CM_OK)
		return err;
	cm_trace_add(p->trace, "certificate", "%s", cm_cert_subject_text(p->cert));
	if (slot_of(p) != CM_SLOT_AUTHENTICATION && !cm_cert_is_for_login(p->cert))
		return cm_trace_fail(p->trace, CM_REASON_CERT_USAGE, "the certificate in slot %02X is not meant for logging in", p->slot);
	return check_key(p);
}

/* Revocation is asked at each login: a pairing is not worth more than its card. */
static enum cm_err
check_chain(struct cm_pair *p)
{
	struct cm_known known = { .now = cm_clock_now() };
	struct cm_memory *memory = NULL;
	struct cm_verdict *verdict = NULL;
	enum cm_err err = CM_OK;

	if (p->host->accounts != NULL &&
	    (err = cm_accounts_recall_revoked(p->host->accounts, known.now, p->trace, &memory)) == CM_OK)
		known = memory->known;
	if (err == CM_OK)
		err = cm_trust_check_chain(p->host->trust, p->cert, &known, p->trace, &verdict);
	cm_verdict_free(&verdict);
	cm_memory_free(&memory);
	return err;
}

static enum cm_err
find_in(struct cm_pair *p, enum cm_account_place place)
{
	const struct cm_named named = { .rule = CM_PAIRING_RULE, .name = p->user, .place = place };
	struct cm_query *q = NULL;
	enum cm_err err = cm_mapping_add_name(&q, &named);

	/* A certificate that says whose it is is not paired with another. */
	if (err == CM_OK)
		err = cm_query_set_sid(&q, p->cert);
	if (err == CM_OK)
		err = cm_directory_find(p->host->directory, q, p->user, p->deadline, p->trace, &p->account);
	cm_query_free(&q);
	return err;
}

static enum cm_err
find_account(struct cm_pair *p)
{
	enum cm_err err = CM_ERR_ABSENT;

	if (p->where == CM_PAIR_ANY || p->where == CM_PAIR_LOCAL)
		err = find_in(p, CM_PLACE_LOCAL);
	if (err == CM_ERR_ABSENT && p->where != CM_PAIR_LOCAL) {
		cm_trace_clear_reason(p->trace);
		err = find_in(p, CM_PLACE_DIRECTORY);
	}
	return err;
}

/* Told before a PIN is asked for; cm_pairings_add() has the last word. */
static enum cm_err
check_free(struct cm_pair *p)
{
	struct cm_pairing other;
	enum cm_err err;

	if (p->host->accounts == NULL || p->where == CM_PAIR_LDIF)
		return CM_OK;
	if ((err = cm_pairings_find(p->host->accounts, p->cert, p->trace, &other)) == CM_OK &&
	    (strcmp(other.user, p->account->name) != 0 || other.local != p->account->local))
		err = cm_trace_fail(p->trace, CM_REASON_PAIRED_OTHERWISE, "the card's key is paired with %s%s",
		    other.local ? "the local account " : "", other.user);
	cm_pairing_clear(&other);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static enum cm_err
unlock_card(struct cm_pair *p)
{
	const enum cm_err err = cm_card_verify_pin(p->card, p->pin, p->last_try, p->deadline, p->trace,
	    &p->tries_left);

	cm_secret_wipe_stack();
	return err;
}

static enum cm_err
prove_possession(struct cm_pair *p)
{
	return cm_card_prove(p->card, slot_of(p), p->cert, p->deadline, p->trace, &p->proof);
}

/* CM_ERR_ABSENT: there is no selector. */
static enum cm_err
tell_selector(const struct cm_host *h, enum cm_selector_operation operation, const char *user,
    const struct cm_selector_key *key, struct cm_trace *t)
{
	const struct cm_selector_call call = { .program = h->conf->mapper.selector, .operation = operation, .user = user,
		.keys = key, .key_count = 1 };
	enum cm_err err;

	if (h->conf->mapper.selector == NULL)
		return CM_ERR_ABSENT;
	err = cm_selector_ask(&call, cm_deadline_in(h->conf->directory.timeout), t, NULL);
	cm_trace_add(t, "selector", "%s %s", h->conf->mapper.selector, err == CM_OK ? "was told" :
	    err == CM_ERR_ABSENT ? "is not there: cardmap's own pairings are used" : "failed");
	return err;
}

static enum cm_err
keep(struct cm_pair *p)
{
	struct cm_selector_key key;
	struct cm_pairing made;
	enum cm_err err;

	if (!cm_proof_is_for(p->proof, p->cert))
		return cm_trace_fail(p->trace, CM_REASON_PROOF_MISSING, "nothing proves that the card holds the key of %s",
		    cm_cert_subject_text(p->cert));
	if (p->where == CM_PAIR_LDIF)
		return CM_OK;
	cm_key_hash(p->cert, key.sha1);
	if ((err = tell_selector(p->host, CM_SELECTOR_BIND, p->account->name, &key, p->trace)) != CM_ERR_ABSENT) {
		p->by_selector = err == CM_OK;
		return err;
	}
	if ((err = cm_pairing_make(p->cert, p->account->name, p->account->local, cm_clock_now(), &made)) == CM_OK)
		err = cm_pairings_add(p->host->accounts, &made, p->host->conf->accounts.one_card_per_user, p->trace);
	cm_pairing_clear(&made);
	return err;
}

#define BUDGET(key)	offsetof(struct cm_conf, key.timeout)

static const struct step {
	bool after_pin;
	size_t budget;		/* where the configuration has its milliseconds */
	const char *name;
	enum cm_err (*run)(struct cm_pair *);
} steps[] = {
	{ false, BUDGET(card),      "allowed",     check_allowed },
	{ false, BUDGET(card),      "certificate", read_certificate },
	{ false, BUDGET(card),      "chain",       check_chain },
	{ false, BUDGET(directory), "account",     find_account },
	{ false, BUDGET(card),      "free",        check_free },
	{ true,  BUDGET(card),      "pin",         unlock_card },
	{ true,  BUDGET(card),      "possession",  prove_possession },
	{ true,  BUDGET(directory), "pairing",     keep },
};

static enum cm_err
run(struct cm_pair *p, bool after_pin)
{
	const char *budgets = (const char *)p->host->conf;
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < CM_COUNT(steps); i++) {
		if (steps[i].after_pin != after_pin)
			continue;
		p->deadline = cm_deadline_in(*(const unsigned *)(const void *)(budgets + steps[i].budget));
		cm_trace_begin(p->trace, steps[i].name);
		err = steps[i].run(p);
		cm_trace_end(p->trace, err);
	}
	return err;
}

enum cm_err
cm_pair_prepare(struct cm_pair *p)
{
	if (p->account != NULL)
		return CM_ERR_STATE;
	return run(p, false);
}

enum cm_err
cm_pair_finish(struct cm_pair *p, const struct cm_secret *pin)
{
	enum cm_err err;

	if (p->account == NULL || p->proof != NULL)
		return CM_ERR_STATE;
	p->pin = pin;
	err = run(p, true);
	p->pin = NULL;
	return err;
}

void
cm_pair_clear(struct cm_pair *p)
{
	cm_proof_free(&p->proof);
	cm_account_free(&p->account);
	cm_cert_free(&p->cert);
	cm_card_close(&p->card);
}

enum cm_err
cm_pair_end(const struct cm_host *h, const char *user, const struct cm_selector_key *key,
    struct cm_trace *t)
{
	enum cm_err told = CM_ERR_ABSENT, err;

	if ((err = cm_pair_check_root(t)) != CM_OK)
		return err;
	if (key != NULL && (told = tell_selector(h, CM_SELECTOR_UNBIND, user, key, t)) != CM_OK &&
	    told != CM_ERR_ABSENT)
		return told;
	err = cm_pairings_remove(h->accounts, user, key != NULL ? key->sha1 : NULL, t);
	if (err != CM_ERR_ABSENT || told != CM_OK)
		return err;
	cm_trace_clear_reason(t);	/* it was the selector's alone */
	return CM_OK;
}
