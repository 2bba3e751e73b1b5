/*
 * service/pair_apart.c - a card that opens nothing, paired with its user's own account by the service.
 *
 * Who is paired is whoever asks, and cardmapd knows him from the kernel; which key,
 * the card proves to cardmapd itself.  So the resolver, which says that the card opens
 * nothing, can give nobody's account away: it can have somebody pair his own card twice.
 */
#include "service/pair_apart.h"

#include <stdlib.h>

#include "cache/pairings.h"
#include "service/apart_internal.h"

static struct cm_apart *
apart(const struct cm_login *l)
{
	return l->worker;
}

static bool
hash_key(const struct cm_key *key, uint8_t sha1[20], uint8_t spki[32])
{
	return key->kind != CM_KEY_NONE && cm_key_hashes(key, sha1, spki) == CM_OK;
}

bool
cm_apart_key_hash(const struct cm_apart *a, struct cm_buf *out)
{
	char text[CM_SELECTOR_KEY_SIZE];
	struct cm_selector_key key;
	uint8_t spki[32];

	if (!hash_key(&a->first_key, key.sha1, spki))
		return false;
	cm_buf_add_str(out, cm_selector_key_text(&key, text));
	return cm_buf_status(out) == CM_OK;
}

/* ---- before the PIN */

static enum cm_err
read_certificate(struct cm_login *l)
{
	return l->work->certificate(l);
}

static enum cm_err
check_chain(struct cm_login *l)
{
	return l->work->chain(l);
}

/* Only "no" will do: of a card that nobody could be asked about, somebody may be the owner. */
static enum cm_err
find_nobody(struct cm_login *l)
{
	const enum cm_err err = l->work->account(l);
	const enum cm_reason reason = cm_trace_reason(l->trace);

	cm_account_free(&l->account);
	if (err == CM_OK)
		return cm_trace_fail(l->trace, CM_REASON_CARD_OPENS, "the card in %s opens an account", l->reader);
	if (err != CM_ERR_ABSENT || (reason != CM_REASON_NO_ACCOUNT && reason != CM_REASON_NO_RULE))
		return err;
	cm_trace_clear_reason(l->trace);
	return CM_OK;
}

static enum cm_err
check_free(struct cm_login *l)
{
	struct cm_pairing other = { .user = NULL };
	uint8_t sha1[20], spki[32];
	enum cm_err err;

	if (!hash_key(&apart(l)->chained.key, sha1, spki))
		return cm_trace_fail(l->trace, CM_REASON_CERT_WEAK, "the key of the card in %s is of no kind that is used here", l->reader);
	if ((err = cm_pairings_find_hash(apart(l)->o.store, sha1, l->trace, &other)) == CM_OK)
		err = cm_trace_fail(l->trace, CM_REASON_PAIRED_OTHERWISE, "the key of the card in %s is paired with an account that it does not "
		    "open", l->reader);
	cm_pairing_clear(&other);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

/* ---- after it */

static enum cm_err
unlock_card(struct cm_login *l)
{
	return l->work->unlock(l);
}

/* The signature is of this process's own nonce, and checked with the key that card helper and resolver both name. */
static enum cm_err
prove_possession(struct cm_login *l)
{
	return l->work->sign(l);
}

static const struct step {
	bool after_pin, directory;	/* directory: whose milliseconds it has, not the card's */
	const char *name;
	enum cm_err (*run)(struct cm_login *);
} steps[] = {
	{ false, false, "certificate", read_certificate },
	{ false, false, "chain", check_chain },
	{ false, true, "account", find_nobody },
	{ false, false, "free", check_free },
	{ true, false, "pin", unlock_card },
	{ true, false, "possession", prove_possession },
};

static enum cm_err
run(struct cm_login *l, bool after_pin)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < CM_COUNT(steps); i++) {
		if (steps[i].after_pin != after_pin)
			continue;
		l->deadline = cm_deadline_in(steps[i].directory ? l->conf->directory.timeout : l->conf->card.timeout);
		cm_trace_begin(l->trace, steps[i].name);
		err = steps[i].run(l);
		cm_trace_end(l->trace, err);
	}
	return err;
}

static enum cm_err
count_one(void *arg, const struct cm_pairing *p)
{
	size_t *count = arg;

	(void)p;
	++*count;
	return CM_OK;
}

static enum cm_err
check_count(struct cm_login *l, const struct cm_account *account)
{
	size_t count = 0;
	const enum cm_err err = cm_pairings_list(apart(l)->o.store, account->name, l->trace, count_one, &count);

	if (err != CM_OK || count < CM_PAIR_APART_MOST)
		return err;
	return cm_trace_fail(l->trace, CM_REASON_PAIRING_FOR_ROOT, "%s is paired with %zu cards: a user may pair %d", account->name, count,
	    CM_PAIR_APART_MOST);
}

enum cm_err
cm_pair_apart_prepare(struct cm_login *l, const struct cm_account *account)
{
	enum cm_err err = run(l, false);

	if (err != CM_OK)
		return err;
	/* Who has as many as he may types nothing for it; counted once more when it is kept. */
	cm_trace_begin(l->trace, "pairing");
	err = check_count(l, account);
	cm_trace_end(l->trace, err);
	return err;
}

/* ---- kept */

static enum cm_err
keep(struct cm_login *l, const struct cm_account *account)
{
	struct cm_apart *a = apart(l);
	struct cm_pairing p = { .user = account->name, .local = true, .subject = l->subject, .made = cm_clock_now() };
	enum cm_err err;

	/* Again, as the grant does: no stage was left out. */
	if (a->nonce_time == 0 || a->signature.len == 0 || l->subject == NULL || !account->local ||
	    !cm_key_equal(&a->opened.key, &a->chained.key))
		return cm_trace_fail(l->trace, CM_REASON_PROOF_MISSING, "nothing proves that the card holds the key to be paired with %s",
		    account->name);
	if ((err = cm_possession_check(&a->opened.key, a->nonce, a->signature, l->trace)) != CM_OK ||
	    (err = cm_key_hashes(&a->opened.key, p.hash, p.spki_sha256)) != CM_OK || (err = check_count(l, account)) != CM_OK)
		return err;
	return cm_pairings_add(a->o.store, &p, l->conf->accounts.one_card_per_user, l->trace);
}

enum cm_err
cm_pair_apart_finish(struct cm_login *l, const struct cm_account *account, const struct cm_pin *pin)
{
	enum cm_err err;

	l->pin = pin;
	err = run(l, true);
	l->pin = NULL;
	if (err != CM_OK)
		return err;
	cm_trace_begin(l->trace, "pairing");
	err = keep(l, account);
	cm_trace_end(l->trace, err);
	return err;
}
