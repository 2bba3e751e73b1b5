/*
 * service/grant_apart.c - a grant from what other processes told, none of which is believed.
 *
 * checks[] is the whole of it: each row takes what was told against something
 * that this process knows itself, and the last one that is needed makes the
 * grant.
 */
#include "service/grant_apart.h"

#include <stdlib.h>

#include "cache/pairings.h"
#include "service/grant_internal.h"
#include "service/level.h"
#include "service/local.h"

/* Evidence that the resolver has just learned was said now. */
#define SAID_NOW	120

struct making {
	const struct cm_grant_apart *b;
	struct cm_trace *t;
	time_t now;
	struct cm_kept_row *row;	/* what is kept of this certificate; NULL: nothing */
	struct cm_account *account;	/* whom it is for; ours */
	bool is_signed;			/* the card signed our nonce with the key that all name */
	bool is_vouched;
};

static enum cm_err
check_whole(struct making *m)
{
	const struct cm_grant_apart *b = m->b;

	if (b->account == NULL || b->certificate.len == 0 || b->read_key == NULL || b->judged_key == NULL || b->nonce == NULL ||
	    (b->ticket == NULL && b->signature.len == 0))
		return cm_trace_fail(m->t, CM_REASON_PROOF_MISSING, "a stage of the login was left out");
	if (!cm_key_equal(b->read_key, b->judged_key))
		return cm_trace_fail(m->t, CM_REASON_PROOF_MISSING, "the key that the card helper names for the certificate is not the "
		    "one that the resolver names");
	return CM_OK;
}

enum cm_err
cm_grant_check_account(const struct cm_conf *conf, const char *etc, struct cm_account *a, struct cm_trace *t)
{
	const struct cm_account_limits limits = cm_local_limits(conf);
	enum cm_err err;

	if ((err = cm_local_check(etc, conf, a, t)) != CM_OK)
		return err;
	return cm_account_check(a, &limits, t);
}

static enum cm_err
check_account(struct making *m)
{
	enum cm_err err;

	if ((err = cm_account_copy(m->b->account, &m->account)) != CM_OK)
		return err;
	return cm_grant_check_account(m->b->conf, m->b->etc, m->account, m->t);
}

static bool
is_same_account(const struct cm_account *a, const struct cm_account *b)
{
	return strcmp(a->name, b->name) == 0 && a->uid == b->uid;
}

static enum cm_err
check_key_of_row(const struct making *m)
{
	struct cm_key key;

	if (m->row->card.key.len == 0)
		return CM_OK;
	if (!cm_key_unpack(m->row->card.key, &key) || !cm_key_equal(&key, m->b->read_key))
		return cm_trace_fail(m->t, CM_REASON_PROOF_MISSING, "the key that is named for the certificate is not the one that it "
		    "had when it opened %s here", m->row->account->name);
	return CM_OK;
}

static enum cm_err
check_leaf_of_row(const struct making *m)
{
	const struct cm_octets_list *links = m->b->links;

	if (m->row->card.link_count == 0)
		return CM_OK;
	if (links == NULL || links->count == 0 || !cm_blob_equal(links->rows[0], m->row->card.links[0]))
		return cm_trace_fail(m->t, CM_REASON_PROOF_MISSING, "the issuer and serial number that are named for the certificate are "
		    "not those that it had when it opened %s here", m->row->account->name);
	return CM_OK;
}

/* Whoever has the uid has the files: nobody else's name comes to it while its holder is kept. */
static enum cm_err
check_uid(struct making *m)
{
	char *holder = NULL;
	enum cm_err err;

	if (m->account->local)
		return CM_OK;
	err = cm_accounts_find_holder(m->b->store, m->account->uid, m->account->name, m->t, &holder);
	if (err == CM_OK)
		err = cm_trace_fail(m->t, CM_REASON_LOCAL_COLLISION, "%s is said to have uid %u, which is kept here as %s's: if that account is "
		    "no more, cardmap accounts forget %s", m->account->name, m->account->uid, holder, holder);
	else if (err == CM_ERR_ABSENT)
		err = CM_OK;
	free(holder);
	return err;
}

/*
 * Who holds this very certificate was let in as somebody before: the directory
 * may give it to another, and then the resolver withdraws what is kept before
 * it names that one.  What is kept and still says otherwise is not forgotten.
 */
static enum cm_err
check_kept(struct making *m)
{
	enum cm_err err = cm_accounts_find_row(m->b->store, m->b->certificate, m->now, m->t, &m->row);

	if (err == CM_ERR_ABSENT && m->b->kept)
		return cm_trace_fail(m->t, CM_REASON_NOT_KEPT, "%s is said to be kept, and this certificate has not opened an account "
		    "here with the network", m->account->name);
	if (err == CM_ERR_ABSENT)
		return CM_OK;
	if (err != CM_OK)
		return err;
	if (!is_same_account(m->row->account, m->account))
		return cm_trace_fail(m->t, CM_REASON_PROOF_MISSING, "this certificate is said to be of %s (uid %u), and it is kept here "
		    "as that of %s (uid %u)", m->account->name, m->account->uid, m->row->account->name, m->row->account->uid);
	if ((err = check_key_of_row(m)) != CM_OK || (err = check_leaf_of_row(m)) != CM_OK)
		return err;
	if (m->b->kept && m->row->usable != CM_OK)
		return cm_trace_fail(m->t, m->row->reason, "%s", m->row->why);
	return CM_OK;
}

/* With no network all that is said of the account is what is kept here, and nobody else's word. */
static enum cm_err
use_kept_account(struct making *m)
{
	enum cm_err err;

	if (!m->b->kept)
		return CM_OK;
	cm_account_free(&m->account);
	if ((err = cm_account_copy(m->row->account, &m->account)) != CM_OK)
		return err;
	return cm_grant_check_account(m->b->conf, m->b->etc, m->account, m->t);
}

/* NAME@REALM, of one component, where nothing is escaped: RFC 4120 6.2, as krb5_unparse_name() writes it. */
static bool
is_principal_of(const char *principal, const char *name, const char *realm)
{
	const size_t len = strlen(name);

	return strpbrk(name, "/@\\") == NULL && strncmp(principal, name, len) == 0 && principal[len] == '@' &&
	    strcmp(principal + len + 1, realm) == 0;
}

static bool
kdc_vouches(const struct cm_grant_apart *b, const struct cm_kept_row *row)
{
	const char *principal = b->ticket != NULL ? b->ticket->principal : NULL;

	if (principal == NULL || b->realm == NULL || b->account->local || strcmp(principal, b->account->principal) != 0)
		return false;
	if (b->conf->kerberos.principal == CM_PRINCIPAL_DIRECTORY || is_principal_of(principal, b->account->name, b->realm))
		return true;
	return row != NULL && is_same_account(row->account, b->account) && strcmp(row->account->principal, principal) == 0;
}

bool
cm_grant_is_vouched_by_ticket(const struct cm_grant_apart *b)
{
	struct cm_kept_row *row = NULL;
	bool vouches;

	if (cm_accounts_find_row(b->store, b->certificate, cm_clock_now(), NULL, &row) != CM_OK)
		row = NULL;
	vouches = kdc_vouches(b, row);
	cm_kept_row_free(&row);
	return vouches;
}

/* CVE-2025-11561: whoever a ticket is of, the account has to be that one's. */
static enum cm_err
check_ticket(struct making *m)
{
	const struct cm_grant_apart *b = m->b;

	if (b->ticket == NULL)
		return CM_OK;
	if (strcmp(b->ticket->principal, b->account->principal) != 0)
		return cm_trace_fail(m->t, CM_REASON_TICKET_FORGED, "the ticket is of %s, and account %s has the principal \"%s\"",
		    b->ticket->principal, b->account->name, b->account->principal);
	m->is_vouched = kdc_vouches(b, m->row);
	if (m->is_vouched)
		cm_trace_add(m->t, "vouched for by", "the KDC: %s", b->ticket->principal);
	return CM_OK;
}

static enum cm_err
check_signature(struct making *m)
{
	enum cm_err err;

	if (m->b->signature.len == 0)
		return CM_OK;
	if ((err = cm_possession_check(m->b->read_key, m->b->nonce, m->b->signature, m->t)) != CM_OK)
		return err;
	m->is_signed = true;
	return CM_OK;
}

/* The key of the row is the card's: check_key_of_row(). */
static enum cm_err
ask_store(struct making *m, bool *vouches)
{
	*vouches = m->row != NULL && m->row->usable == CM_OK && m->row->card.key.len > 0;
	return CM_OK;
}

static enum cm_err
ask_pairings(struct making *m, bool *vouches)
{
	uint8_t sha1[20], spki[32];
	struct cm_pairing p = { .user = NULL };
	enum cm_err err;

	if ((err = cm_key_hashes(m->b->read_key, sha1, spki)) != CM_OK ||
	    (err = cm_pairings_find_hash(m->b->store, sha1, m->t, &p)) != CM_OK)
		return err == CM_ERR_ABSENT ? CM_OK : err;
	*vouches = memcmp(p.spki_sha256, spki, sizeof(spki)) == 0 && p.local == m->account->local &&
	    strcmp(p.user, m->account->name) == 0;
	cm_pairing_clear(&p);
	return CM_OK;
}

static enum cm_err
ask_configuration(struct making *m, bool *vouches)
{
	*vouches = m->b->conf->service.vouch == CM_VOUCH_RESOLVER;
	return CM_OK;
}

/* Who else may vouch for a card that signed our nonce. */
static const struct voucher {
	const char *name;
	enum cm_err (*ask)(struct making *m, bool *vouches);
} vouchers[] = {
	{ "its last login with the network", ask_store },
	{ "the pairing of its key", ask_pairings },
	{ "the resolver, by service.vouch", ask_configuration },
};

static enum cm_err
check_vouched(struct making *m)
{
	enum cm_err err;

	for (size_t i = 0; m->is_signed && !m->is_vouched && i < CM_COUNT(vouchers); i++) {
		if ((err = vouchers[i].ask(m, &m->is_vouched)) != CM_OK)
			return err;
		if (m->is_vouched)
			cm_trace_add(m->t, "vouched for by", "%s", vouchers[i].name);
	}
	if (m->is_vouched)
		return CM_OK;
	if (m->b->ticket != NULL)
		return cm_trace_fail(m->t, CM_REASON_NOT_VOUCHED, "the KDC knows the card as %s, and only the directory says that this is "
		    "account %s: see kerberos.principal", m->b->ticket->principal, m->account->name);
	return cm_trace_fail(m->t, CM_REASON_NOT_VOUCHED, "the card proved its key, but only the resolver says that it is %s's: no KDC "
	    "that this host's keytab knows did, and the card has not been here with one", m->account->name);
}

/* What is kept says it of the certificate itself; what is told, of one that was not here before. */
static const struct cm_blob *
links_of(const struct making *m, size_t *count)
{
	const bool kept = m->row != NULL && m->row->card.link_count > 0;

	*count = kept ? m->row->card.link_count : m->b->links != NULL ? m->b->links->count : 0;
	return kept ? m->row->card.links : m->b->links != NULL ? m->b->links->rows : NULL;
}

/* Nobody who is kept as revoked, or on hold, is forgiven by what another process says now. */
static enum cm_err
judge_link(const struct making *m, struct cm_blob link, const char *who, struct cm_known *known)
{
	struct cm_evidence kept, *all;
	struct cm_trust_kept k = { .link = link, .who = who, .policy = cm_level_of_rule(m->b->conf, m->account->rule),
		.undated_max = m->b->conf->trust.undated_max, .said_since = m->now - SAID_NOW };
	const size_t told = m->b->evidence != NULL ? m->b->evidence->count : 0;
	enum cm_err err = cm_accounts_find_evidence(m->b->store, link, m->t, &kept);

	if (err != CM_OK && err != CM_ERR_ABSENT)
		return err == CM_ERR_STATE ? cm_trace_fail(m->t, CM_REASON_PROOF_MISSING, "of %s no issuer and serial number are told", who) : err;
	if (err == CM_OK && kept.status == CM_STATUS_REVOKED && k.policy.level >= CM_TRUST_SOFT) {
		known->evidence = &kept;
		known->count = 1;
		k.known = known;
		return cm_trust_judge_kept(&k, m->t);
	}
	if ((all = calloc(told + 1, sizeof(*all))) == NULL)
		return CM_ERR_NOMEM;
	if (told > 0)
		memcpy(all, m->b->evidence->rows, told * sizeof(*all));
	if (err == CM_OK)
		all[told] = kept;
	known->evidence = all;
	known->count = told + (err == CM_OK);
	k.known = known;
	err = cm_trust_judge_kept(&k, m->t);
	free(all);
	return err;
}

static enum cm_err
check_revocation(struct making *m)
{
	const bool leaf_only = m->b->conf->trust.check == CM_CHECK_LEAF;
	const enum cm_trust_level level = cm_level_of_rule(m->b->conf, m->account->rule).level;
	struct cm_known known;
	size_t count = 0;
	const struct cm_blob *links = links_of(m, &count);
	enum cm_err err;

	if (count == 0 && level >= CM_TRUST_CHAIN)
		return cm_trace_fail(m->t, CM_REASON_PROOF_MISSING, "the resolver names no issuer of the certificate");
	if ((err = cm_accounts_clock(m->b->store, m->now, m->t, &known)) != CM_OK)
		return err;
	for (size_t i = 0; err == CM_OK && i < count && (i == 0 || !leaf_only); i++)
		err = judge_link(m, links[i], i == 0 ? "the card's certificate" : "a CA above the card's certificate", &known);
	return err;
}

static enum cm_err
check_dates(struct making *m)
{
	const time_t kept = m->row != NULL ? m->row->card.not_after : 0;
	const time_t end = kept != 0 && kept < m->b->not_after ? kept : m->b->not_after;
	char text[CM_TIME_SIZE];

	if (m->now <= end)
		return CM_OK;
	return cm_trace_fail(m->t, CM_REASON_CERT_EXPIRED, "the card's certificate, or one above it, was good until %s",
	    cm_clock_text(end, text));
}

static enum cm_err (*const checks[])(struct making *) = {
	check_whole,
	check_account,
	check_kept,
	check_uid,
	use_kept_account,
	check_ticket,
	check_signature,
	check_vouched,
	check_dates,
	check_revocation,
};

enum cm_err
cm_grant_make_apart(const struct cm_grant_apart *b, struct cm_trace *t, struct cm_grant **out)
{
	struct making m = { .b = b, .t = t, .now = cm_clock_now() };
	enum cm_err err = CM_OK;

	*out = NULL;
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(checks); i++)
		err = checks[i](&m);
	if (err == CM_OK)
		err = m.is_vouched ? cm_grant_new(m.account, out) : CM_ERR_STATE;
	cm_account_free(&m.account);
	cm_kept_row_free(&m.row);
	return err;
}
