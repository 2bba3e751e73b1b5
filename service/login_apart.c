/*
 * service/login_apart.c - the work of a login, done by a card helper and a resolver.
 *
 * Each question goes out with what time the stage has, and each answer is judged:
 * that it is of the one kind, that it says how it ended, and that what it names
 * is what the other process named.  The grant looks at all of it again
 * (grant_apart.c).
 */
#include <stdlib.h>
#include <sys/random.h>

#include "cache/slots.h"
#include "service/apart_internal.h"
#include "service/disabled.h"
#include "service/enforcement.h"
#include "service/grant_apart.h"
#include "service/mobile.h"

#define KDC_STATE_MS	1000	/* which the resolver knows, and need not find out */

static struct cm_apart *
apart(const struct cm_login *l)
{
	return l->worker;
}

static enum cm_err
ask_card(struct cm_login *l, const struct cm_message *m, enum cm_message_kind kind, struct cm_message *answer)
{
	return cm_apart_ask(l, &(struct cm_apart_question){ .which = CM_PROCESS_CARD, .m = m, .answer = kind }, answer);
}

static enum cm_err
ask_resolver(struct cm_login *l, const struct cm_message *m, enum cm_message_kind kind, struct cm_message *answer)
{
	return cm_apart_ask(l, &(struct cm_apart_question){ .which = CM_PROCESS_RESOLVER, .m = m, .answer = kind }, answer);
}

/* The answer that counts from now on; *answer is given. */
static void
keep_answer(struct cm_message *kept, struct cm_message *answer)
{
	cm_message_clear(kept);
	*kept = *answer;
	*answer = (struct cm_message){ .kind = CM_MESSAGE_NONE };
}

/* ---- The card, before the PIN. */

/* Whose certificate is that?  handed has it, to see that it comes back as it was. */
static enum cm_err
answer_recognise(struct cm_login *l, const struct cm_message *q, struct cm_recognised *handed)
{
	struct cm_apart *a = apart(l);
	struct cm_message r = { .kind = CM_MESSAGE_RECOGNISED };
	enum cm_err err = a->o.unknown ? CM_ERR_ABSENT : cm_accounts_recognise(a->o.store, q->guid, NULL, l->trace, handed);

	/* Who cannot be recognised is read: a damaged store says so where it decides. */
	if (err == CM_OK) {
		r.certificate = cm_buf_blob(&handed->certificate);
		r.slot = handed->slot;
		r.global_pin = handed->global_pin;
	} else {
		if (err != CM_ERR_ABSENT)
			cm_trace_add(l->trace, "warning", "the card cannot be recognised: %s", cm_trace_message(l->trace));
		cm_trace_clear_reason(l->trace);
	}
	return cm_channel_send(a->channels[CM_PROCESS_CARD], &r, NULL, 0, cm_apart_with_grace(l->deadline));
}

#define MODULES_MAX	16	/* as service/message.h has it */

/* The modules that may open it: paths, which the helper's own sandbox and rights let it load. */
static void
name_modules(const struct cm_conf *conf, struct cm_blob rows[MODULES_MAX], struct cm_message *open)
{
	const struct cm_card_from from = cm_disabled_from(conf, "", CM_CARD_LOGIN);
	size_t n = 0;

	for (; from.modules != NULL && from.modules[n] != NULL && n < MODULES_MAX; n++)
		rows[n] = cm_blob_str(from.modules[n]);
	open->modules = (struct cm_octets_list){ rows, n };
	open->modules_only = from.modules_only;
}

/* OPEN is answered by OPENED, and before it, once, the helper may ask whose the card is. */
static enum cm_err
open_and_answer(struct cm_login *l, struct cm_recognised *handed, struct cm_message *answer)
{
	struct cm_apart *a = apart(l);
	struct cm_channel *c = a->channels[CM_PROCESS_CARD];
	const cm_deadline deadline = cm_apart_with_grace(l->deadline);
	struct cm_message open = { .kind = CM_MESSAGE_OPEN, .reader = (char *)(uintptr_t)a->o.reader,
		.insertion = a->o.insertion, .deadline = cm_apart_time_left(l->deadline) };
	struct cm_blob modules[MODULES_MAX];
	enum cm_err err;

	name_modules(a->o.conf, modules, &open);
	if ((err = cm_channel_send(c, &open, a->o.card_log, a->o.card_log != NULL, deadline)) == CM_OK &&
	    (err = cm_channel_receive(c, deadline, answer, NULL, 0)) == CM_OK && answer->kind == CM_MESSAGE_RECOGNISE) {
		if ((err = answer_recognise(l, answer, handed)) == CM_OK) {
			cm_message_clear(answer);
			err = cm_channel_receive(c, deadline, answer, NULL, 0);
		}
	}
	if (err == CM_OK && answer->kind != CM_MESSAGE_OPENED)
		err = CM_ERR_SYNTAX;
	return err;
}

static enum cm_err
take_opened(struct cm_login *l, struct cm_message *o, unsigned slot)
{
	l->tries_left = (unsigned)o->tries;
	l->cached = o->cached != 0;
	l->pad = o->pad != 0;
	keep_answer(&apart(l)->opened, o);
	if (l->tries_left == 0)
		return cm_trace_fail(l->trace, CM_REASON_PIN_BLOCKED, "no PIN tries are left on the card in %s", l->reader);
	return cm_apart_note_first(l, l->cached ? slot : CM_SLOT_AUTHENTICATION);
}

/* A card whose first slot is empty is told of all the same: it may have others. */
static enum cm_err
take_bare(struct cm_login *l, struct cm_message *o)
{
	enum cm_err err;

	if (o->certificate.len != 0 || (o->guid.len != 0 && o->guid.len != 16))
		return cm_apart_refuse_answer(apart(l), CM_PROCESS_CARD, "a card that is there and is not", l->trace);
	o->cached = 0;
	if ((err = cm_apart_judge_tries(apart(l), o, l->trace)) == CM_OK)
		err = take_opened(l, o, CM_SLOT_AUTHENTICATION);
	return err;
}

static enum cm_err
judge_and_take(struct cm_login *l, struct cm_message *answer, const struct cm_recognised *handed)
{
	enum cm_err taken, err = cm_apart_heard(apart(l), CM_PROCESS_CARD, answer, l->trace);

	if (err == CM_ERR_ABSENT && cm_trace_reason(l->trace) == CM_REASON_CARD_NO_CERTIFICATE)
		return (taken = take_bare(l, answer)) == CM_OK ? err : taken;
	if (err == CM_OK && (err = cm_apart_judge_opened(l, answer, cm_buf_blob(&handed->certificate))) == CM_OK)
		err = take_opened(l, answer, handed->slot);
	return err;
}

static enum cm_err
read_certificate(struct cm_login *l)
{
	struct cm_apart *a = apart(l);
	struct cm_message answer = { .kind = CM_MESSAGE_NONE };
	struct cm_recognised handed = { .slot = 0 };
	enum cm_err err;

	free(l->reader);
	if ((l->reader = strdup(a->o.reader)) == NULL)
		return CM_ERR_NOMEM;
	cm_trace_add(l->trace, "card", "%s", l->reader);
	if ((err = cm_apart_connect_to(a, CM_PROCESS_CARD, l->trace)) != CM_OK)
		return err;
	if ((err = open_and_answer(l, &handed, &answer)) != CM_OK)
		err = cm_apart_broken(a, CM_PROCESS_CARD, CM_MESSAGE_OPEN, err, l->trace);
	else
		err = judge_and_take(l, &answer, &handed);
	cm_message_clear(&answer);
	cm_buf_free(&handed.certificate);
	return err;
}

/* ---- The resolver. */

static enum cm_err
judge_chained(struct cm_login *l, const struct cm_message *c)
{
	struct cm_apart *a = apart(l);

	if (!cm_key_equal(&c->key, &a->opened.key))
		return cm_trace_fail(l->trace, CM_REASON_PROOF_MISSING, "the key that the card helper names for the certificate is not "
		    "the one that the resolver names");
	for (size_t i = 0; i < c->links.count; i++)
		if (c->links.rows[i].len < 33 || c->links.rows[i].len > 64)
			return cm_apart_refuse_answer(a, CM_PROCESS_RESOLVER, "an issuer and serial number that are none", l->trace);
	return CM_OK;
}

static enum cm_err
note_certificate(struct cm_login *l, const struct cm_message *c)
{
	struct cm_buf serial = { 0 };

	free(l->subject);
	free(l->serial);
	cm_buf_add_hex(&serial, c->serial);
	l->serial = cm_buf_take(&serial);
	l->subject = strdup(c->subject);
	return l->serial != NULL && l->subject != NULL ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
check_chain(struct cm_login *l)
{
	struct cm_apart *a = apart(l);
	const struct cm_message q = { .kind = CM_MESSAGE_CHAIN, .certificate = a->opened.certificate,
		.deadline = cm_apart_time_left(l->deadline) };
	struct cm_message answer;
	enum cm_err err;

	cm_message_clear(&a->chained);
	cm_message_clear(&a->judged);
	if (a->opened.certificate.len == 0)
		return CM_ERR_STATE;
	if (!cm_apart_is_quiet(a, CM_PROCESS_RESOLVER) &&
	    (err = cm_apart_connect_to(a, CM_PROCESS_RESOLVER, l->trace)) != CM_OK)
		return err;
	if ((err = ask_resolver(l, &q, CM_MESSAGE_CHAINED, &answer)) == CM_OK && (err = judge_chained(l, &answer)) == CM_OK &&
	    (err = note_certificate(l, &answer)) == CM_OK) {
		keep_answer(&a->chained, &answer);
		if (l->certificate == 0)
			a->first_key = a->chained.key;
	}
	cm_message_clear(&answer);
	return err;
}

static enum cm_err
judge_found(struct cm_login *l, struct cm_message *f)
{
	struct cm_apart *a = apart(l);

	if (f->account == NULL)
		return cm_apart_refuse_answer(a, CM_PROCESS_RESOLVER, "no account", l->trace);
	if (f->facts.len > 0 && !cm_facts_unpack(f->facts, &l->said))
		return cm_apart_refuse_answer(a, CM_PROCESS_RESOLVER, "facts that are none", l->trace);
	if (f->account->local && f->kept != 0)
		return cm_apart_refuse_answer(a, CM_PROCESS_RESOLVER, "a local account that is kept", l->trace);
	if (l->user != NULL && strcmp(l->user, f->account->name) != 0)
		return cm_trace_fail(l->trace, CM_REASON_NOT_THIS_USER, "this card opens the account %s, not %s", f->account->name, l->user);
	return cm_grant_check_account(a->o.conf, a->o.etc, f->account, l->trace);
}

static enum cm_err
find_account(struct cm_login *l)
{
	const struct cm_message q = { .kind = CM_MESSAGE_ACCOUNT, .user = (char *)(uintptr_t)l->user,
		.deadline = cm_apart_time_to_ask(l->deadline) };
	struct cm_message answer;
	enum cm_err err;

	cm_account_free(&l->account);
	l->account_kept = false;
	l->kept_age = 0;
	l->said = (struct cm_facts){ .attribute.kind = CM_FACT_UNKNOWN };
	/* One that has taken its place while nobody asked does not know the card. */
	if (!cm_apart_is_quiet(apart(l), CM_PROCESS_RESOLVER) && (err = check_chain(l)) != CM_OK)
		return err;
	if ((err = ask_resolver(l, &q, CM_MESSAGE_FOUND, &answer)) == CM_OK && (err = judge_found(l, &answer)) == CM_OK) {
		l->account = answer.account;
		answer.account = NULL;
		l->account_kept = answer.kept != 0;
		l->kept_age = (int64_t)answer.kept_age;
	}
	cm_message_clear(&answer);
	return err;
}

static enum cm_err
check_revocation(struct cm_login *l)
{
	const struct cm_message q = { .kind = CM_MESSAGE_REVOCATION, .deadline = cm_apart_time_to_ask(l->deadline) };
	struct cm_message answer;
	enum cm_err err;

	if ((err = ask_resolver(l, &q, CM_MESSAGE_JUDGED, &answer)) == CM_OK)
		keep_answer(&apart(l)->judged, &answer);
	cm_message_clear(&answer);
	return err;
}

/* ---- The card, after it. */

static enum cm_err
unlock(struct cm_login *l)
{
	const struct cm_pin *p = l->pin;
	struct cm_message answer, q = { .kind = CM_MESSAGE_VERIFY, .last_try = p->last_try, .pad = p->pad };
	enum cm_err err, wrong;

	if (!p->pad && p->fd < 0)
		return CM_ERR_STATE;
	if (l->tries_left == 1 && !p->last_try)
		return cm_trace_fail(l->trace, CM_REASON_PIN_LAST_TRY, "one try is left on the card in %s", l->reader);
	if (p->pad)	/* a person types it there */
		l->deadline = cm_deadline_in(apart(l)->o.conf->service.wait);
	q.deadline = cm_apart_time_left(l->deadline);
	l->pin_sent = true;
	err = cm_apart_ask(l, &(struct cm_apart_question){ .which = CM_PROCESS_CARD, .m = &q, .fds = &p->fd, .fd_count = p->pad ? 0 : 1,
	    .answer = CM_MESSAGE_VERIFIED }, &answer);
	if (answer.kind == CM_MESSAGE_VERIFIED) {
		if ((wrong = cm_apart_judge_tries(apart(l), &answer, l->trace)) != CM_OK)
			err = wrong;
		else
			l->tries_left = (unsigned)answer.tries;
	}
	l->pin_sent = answer.kind != CM_MESSAGE_VERIFIED || cm_apart_is_unheard(&answer, err, l->trace);
	cm_message_clear(&answer);
	return err;
}

/* Nobody else makes it: what was signed before this login is of no use in it. */
static enum cm_err
make_nonce(struct cm_apart *a)
{
	if (a->nonce_time != 0)
		return CM_OK;
	if (getrandom(a->nonce, sizeof(a->nonce), 0) != (ssize_t)sizeof(a->nonce))
		return CM_ERR_SYSTEM;
	a->nonce_time = cm_clock_now();
	return CM_OK;
}

static struct cm_blob
nonce_of(const struct cm_apart *a)
{
	return (struct cm_blob){ a->nonce, sizeof(a->nonce) };
}

/* Of the account's principal that part behind the last "@" (what is escaped there is no realm of ours). */
static bool
serves(const struct cm_login *l)
{
	const struct cm_apart *a = apart(l);
	const char *realm = a->o.hostcheck != NULL ? cm_hostcheck_realm(a->o.hostcheck) : a->o.conf->kerberos.realm;
	const char *at = strrchr(l->account->principal, '@');

	return at != NULL && !a->has_no_kerberos && (realm == NULL || strcmp(at + 1, realm) == 0);
}

static bool
has_keytab(const struct cm_login *l)
{
	return apart(l)->o.hostcheck != NULL;
}

/* Asked right before: who is known to be silent is not waited for again.  A resolver that does not say keeps nobody out. */
static enum cm_err
check_kdc_state(struct cm_login *l)
{
	struct cm_apart *a = apart(l);
	const struct cm_message q = { .kind = CM_MESSAGE_KDC_STATE };
	struct cm_message answer = { .kind = CM_MESSAGE_NONE };
	struct cm_channel *c = a->channels[CM_PROCESS_RESOLVER];
	enum cm_err err = CM_OK;

	if (c == NULL || cm_channel_ask(c, &q, NULL, 0, CM_MESSAGE_KDC_STATED, cm_deadline_earlier(l->deadline,
	    cm_deadline_in(KDC_STATE_MS)), &answer) != CM_OK)
		cm_trace_add(l->trace, "warning", "the resolver does not say whether a KDC is known to be silent");
	else if (answer.kdc_silent != 0)
		err = cm_trace_fail(l->trace, CM_REASON_KDC_OFFLINE, "%s", answer.text[0] != '\0' ? answer.text : "no KDC answered before");
	cm_message_clear(&answer);
	return err;
}

/* So that the next login does not wait: the resolver probes until one answers. */
static void
tell_kdc_silent(struct cm_login *l)
{
	const struct cm_message m = { .kind = CM_MESSAGE_KDC_SILENT };
	struct cm_channel *c = apart(l)->channels[CM_PROCESS_RESOLVER];

	if (c == NULL || cm_channel_send(c, &m, NULL, 0, cm_deadline_in(KDC_STATE_MS)) != CM_OK)
		cm_trace_add(l->trace, "warning", "the resolver cannot be told that no KDC answered");
}

static enum cm_err
judge_ticket(struct cm_login *l, const struct cm_message *k)
{
	struct cm_apart *a = apart(l);
	enum cm_err err;

	if (k->ticket.len == 0)
		return cm_apart_refuse_answer(a, CM_PROCESS_CARD, "no ticket", l->trace);
	if (!cm_key_equal(&k->key, &a->opened.key))
		return cm_apart_refuse_answer(a, CM_PROCESS_CARD, "a ticket by another key", l->trace);
	if (a->o.hostcheck != NULL) {
		cm_vouched_clear(&a->vouched);
		if ((err = cm_hostcheck_verify(a->o.hostcheck, k->ap_req, a->nonce, a->nonce_time, l->trace, &a->vouched)) != CM_OK)
			return err;
		a->has_vouched = true;
	}
	if (strcmp(a->has_vouched ? a->vouched.principal : k->principal, l->account->principal) != 0)
		return cm_trace_fail(l->trace, CM_REASON_TICKET_FORGED, "the ticket is of %s, and account %s has the principal \"%s\"",
		    a->has_vouched ? a->vouched.principal : k->principal, l->account->name, l->account->principal);
	return CM_OK;
}

static enum cm_err
get_ticket(struct cm_login *l)
{
	struct cm_apart *a = apart(l);
	struct cm_message answer, q = { .kind = CM_MESSAGE_GET_TICKET, .principal = l->account->principal };
	enum cm_err err;

	/* Who wants nothing but a ticket has it asked for, though nobody answered before. */
	if ((!l->for_ticket && (err = check_kdc_state(l)) != CM_OK) || (err = make_nonce(a)) != CM_OK)
		return err;
	q.nonce = nonce_of(a);
	q.host_principal = a->o.hostcheck != NULL ? (char *)(uintptr_t)cm_hostcheck_principal(a->o.hostcheck) : NULL;
	q.deadline = cm_apart_time_left(l->deadline);
	if ((err = cm_apart_ask(l, &(struct cm_apart_question){ .which = CM_PROCESS_CARD, .m = &q, .answer = CM_MESSAGE_TICKET,
	    .meanwhile = cm_apart_begin_ccache }, &answer)) == CM_OK && (err = judge_ticket(l, &answer)) == CM_OK)
		keep_answer(&a->ticket, &answer);
	else if (err == CM_ERR_OFFLINE && cm_trace_reason(l->trace) == CM_REASON_KDC_OFFLINE)
		tell_kdc_silent(l);
	else if (err == CM_ERR_ABSENT && a->o.hostcheck == NULL) {
		cm_trace_add(l->trace, "kdc", "%s", cm_trace_message(l->trace));
		cm_trace_clear_reason(l->trace);
		a->has_no_kerberos = true;
		err = CM_OK;
	}
	if (a->ticket.principal == NULL)
		cm_ccache_put_drop(&a->putting);
	cm_message_clear(&answer);
	return err;
}

static const char *
principal(const struct cm_login *l)
{
	return apart(l)->ticket.principal;
}

static void
fill_basis(const struct cm_login *l, struct cm_grant_apart *b)
{
	const struct cm_apart *a = apart(l);

	*b = (struct cm_grant_apart){
		.conf = a->o.conf, .store = a->o.store, .etc = a->o.etc,
		.realm = a->o.hostcheck != NULL ? cm_hostcheck_realm(a->o.hostcheck) : NULL,
		.certificate = a->opened.certificate, .read_key = &a->opened.key, .signature = a->signature,
		.judged_key = &a->chained.key, .account = l->account, .kept = l->account_kept, .links = &a->chained.links,
		.evidence = &a->judged.evidence, .not_after = (time_t)a->chained.not_after,
		.nonce = a->nonce_time != 0 ? a->nonce : NULL, .ticket = a->has_vouched ? &a->vouched : NULL,
	};
}

static bool
ticket_proves(const struct cm_login *l)
{
	struct cm_grant_apart b;

	fill_basis(l, &b);
	return b.ticket != NULL && cm_grant_is_vouched_by_ticket(&b);
}

static enum cm_err
sign(struct cm_login *l)
{
	struct cm_apart *a = apart(l);
	struct cm_message answer, q = { .kind = CM_MESSAGE_SIGN, .deadline = cm_apart_time_left(l->deadline) };
	enum cm_err err;

	if ((err = make_nonce(a)) != CM_OK)
		return err;
	q.nonce = nonce_of(a);
	if ((err = ask_card(l, &q, CM_MESSAGE_SIGNED, &answer)) == CM_OK &&
	    (err = cm_possession_check(&a->opened.key, a->nonce, answer.signature, l->trace)) == CM_OK) {
		cm_blob_free(&a->signature);
		a->signature = answer.signature;
		answer.signature = (struct cm_blob){ NULL, 0 };
	}
	cm_message_clear(&answer);
	return err;
}

/* Of the same helper, which has the card unlocked: no second VERIFY. */
static enum cm_err
read_again(struct cm_login *l)
{
	struct cm_apart *a = apart(l);
	const struct cm_message q = { .kind = CM_MESSAGE_READ_AGAIN, .deadline = cm_apart_time_left(l->deadline) };
	struct cm_message answer;
	enum cm_err err;

	if ((err = ask_card(l, &q, CM_MESSAGE_OPENED, &answer)) == CM_OK &&
	    (err = cm_apart_judge_opened(l, &answer, (struct cm_blob){ NULL, 0 })) == CM_OK) {
		if (answer.cached != 0)
			err = cm_apart_refuse_answer(a, CM_PROCESS_CARD, "a certificate that it did not read", l->trace);
		else if (cm_blob_equal(answer.certificate, a->opened.certificate))
			err = CM_ERR_ABSENT;
		else {
			cm_apart_forget_proof(a);
			keep_answer(&a->opened, &answer);
			err = cm_apart_note_read(l);
		}
	}
	cm_message_clear(&answer);
	return err;
}

/* ---- Let in, and what follows. */

static enum cm_err
admit(struct cm_login *l)
{
	struct cm_grant_apart b;

	fill_basis(l, &b);
	return cm_grant_make_apart(&b, l->trace, &l->grant);
}

static time_t
newest_signed_time(const struct cm_apart *a)
{
	const time_t evidence = (time_t)a->judged.signed_time, ticket = a->has_vouched ? a->vouched.authtime : 0;

	return evidence > ticket ? evidence : ticket;
}

static enum cm_err
remember(struct cm_login *l)
{
	struct cm_apart *a = apart(l);
	const struct cm_mobile_host h = { .conf = a->o.conf, .store = a->o.store, .etc = a->o.etc, .names = a->o.names };
	struct cm_mobile_plan *plan = NULL;
	uint8_t packed[CM_KEY_PACKED_MAX];
	const struct cm_kept_slot slot = { l->slot, l->unnamed };
	struct cm_remember_apart r = {
		.account = cm_grant_account(l->grant), .certificate = a->opened.certificate,
		.chain = a->judged.chain.rows, .chain_count = a->judged.chain.count,
		.evidence = a->judged.evidence.rows, .evidence_count = a->judged.evidence.count,
		.card = { .guid = a->opened.guid, .global_pin = a->opened.global_pin != 0,
			.key = cm_key_pack(&a->opened.key, packed), .links = a->chained.links.rows,
			.link_count = a->chained.links.count, .not_after = (time_t)a->chained.not_after },
		.signed_time = newest_signed_time(a), .now = cm_clock_now(),
		.account_online = !l->account_kept && !l->account->local,
	};
	enum cm_err err;

	cm_apart_write_ahead(l);
	if ((err = cm_slots_keep(a->o.store, a->opened.certificate, &slot, l->trace)) != CM_OK)
		return err;
	if (r.account_online && cm_enforcement_keep(a->o.store, r.account->name, &l->said, true, NULL) != CM_OK)
		cm_trace_add(l->trace, "warning", "what the directory says of %s and cards could not be kept", r.account->name);
	plan = r.account_online ? cm_mobile_begin(&h, r.account, l->keep_here, l->trace) : NULL;
	r.mobile = cm_mobile_plan_row(plan);
	err = cm_accounts_remember_apart(a->o.store, &r, l->trace);
	cm_mobile_end(&plan, err, l->trace);
	if (err == CM_OK && r.account_online && l->keep_never && cm_mobile_must_ask(&h, r.account))
		(void)!cm_mobile_decline(&h, r.account, NULL);	/* then he is asked again */
	return err;
}

static unsigned
commands(const struct cm_login *l)
{
	return apart(l)->commands;
}

static void
clear(struct cm_login *l)
{
	cm_apart_forget(apart(l));
}

const struct cm_login_work cm_login_apart = {
	.certificate = read_certificate,
	.chain = check_chain,
	.account = find_account,
	.revocation = check_revocation,
	.unlock = unlock,
	.serves = serves,
	.has_keytab = has_keytab,
	.get_ticket = get_ticket,
	.expect_ticket = cm_apart_expect_ticket,
	.principal = principal,
	.ticket_proves = ticket_proves,
	.sign = sign,
	.others = cm_apart_others,
	.use = cm_apart_use,
	.read_again = read_again,
	.admit = admit,
	.remember = remember,
	.store_ticket = cm_apart_store_ticket,
	.open_secret = cm_apart_open_secret,
	.commands = commands,
	.clear = clear,
};
