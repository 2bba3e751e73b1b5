/*
 * service/login.c - the order of a login, and nothing else.
 *
 * Each stage coordinates one module and is a few lines; what it knows how to
 * do lives in that module's folder.  The table is the documentation: run()
 * gives every stage its deadline, its line in the trace and its fault point,
 * so no stage can forget them.
 */
#include "service/login.h"

#include <stdlib.h>

#include "base/fault.h"
#include "base/log.h"
#include "service/login_internal.h"
#include "service/mapping.h"

/* The card may be any card until "possession"; nothing before grants. */
static enum cm_err
read_certificate(struct cm_login *l)
{
	enum cm_err err;

	if ((err = cm_card_open(l->host->conf->card.source, CM_CARD_LOGIN, l->deadline,
	    l->trace, &l->card)) != CM_OK)
		return err;
	cm_trace_add(l->trace, "card", "%s", cm_card_where(l->card));
	if ((err = cm_card_pin_tries(l->card, l->deadline, l->trace, &l->tries_left)) != CM_OK)
		return err;
	if (l->tries_left == 0)
		return cm_trace_fail(l->trace, CM_REASON_PIN_BLOCKED,
		    "no PIN tries are left on the card in %s", cm_card_where(l->card));
	return cm_card_certificate(l->card, CM_SLOT_AUTHENTICATION, l->deadline, l->trace,
	    &l->cert);
}

/*
 * No network here: a stranger's card must not make this host send a byte.
 * What the host knows is read first, for the clock's floor; a host that cannot
 * read what it knows cannot say that a card is not revoked.
 */
static enum cm_err
check_chain(struct cm_login *l)
{
	enum cm_err err;

	cm_inquiry_end(&l->inquiry);
	cm_verdict_free(&l->verdict);
	cm_memory_free(&l->memory);
	l->known = (struct cm_known){ .now = cm_clock_now() };
	cm_trace_add(l->trace, "certificate", "%s", cm_cert_subject_text(l->cert));
	if (l->host->accounts != NULL) {
		if ((err = cm_accounts_recall(l->host->accounts, l->known.now, l->trace,
		    &l->memory)) != CM_OK)
			return err;
		l->known = l->memory->known;
	}
	if (l->look_only)
		l->known.keeper = NULL;
	return cm_trust_check_chain(l->host->trust, l->cert, &l->known, l->trace, &l->verdict);
}

/* It stands on a rule still, and is the one that is wanted. */
static enum cm_err
check_kept(struct cm_login *l, const struct cm_mapping *m)
{
	enum cm_err err;

	if ((err = cm_mapping_check_kept(m, l->account)) != CM_OK)
		return err;
	if (l->account->several && (l->user == NULL || l->host->conf->mapper.several_accounts != CM_SEVERAL_HINT))
		return cm_trace_fail(l->trace, CM_REASON_SEVERAL_ACCOUNTS, "the card opened several accounts with the "
		    "network, and %s is the one kept: say who is to log in", l->account->name);
	if (l->user != NULL && strcmp(l->user, l->account->name) != 0)
		return cm_trace_fail(l->trace, CM_REASON_NOT_THIS_USER, "this card opens the kept account %s, "
		    "not %s", l->account->name, l->user);
	return CM_OK;
}

/* Who has a network and a silent directory is not helped by "log in with the network" alone. */
static enum cm_err
name_both(struct cm_login *l, enum cm_err err)
{
	const char *directory = cm_trace_find(l->trace, "offline");
	char *why = strdup(cm_trace_message(l->trace));

	if (why != NULL && directory != NULL && (err == CM_ERR_OFFLINE || err == CM_ERR_REFUSED))
		err = cm_trace_fail(l->trace, cm_trace_reason(l->trace), "%s; and the directory: %s",
		    why, directory);
	free(why);
	return err;
}

static enum cm_err
find_kept_account(struct cm_login *l, const struct cm_mapping *m)
{
	char age[CM_TIME_SIZE];
	enum cm_err err;

	cm_trace_add(l->trace, "offline", "%s", cm_trace_message(l->trace));
	if (l->host->accounts == NULL)
		return CM_ERR_OFFLINE;
	if ((err = cm_accounts_find(l->host->accounts, l->cert, cm_clock_now(), l->trace,
	    &l->account, &l->kept_age)) != CM_OK)
		return name_both(l, err);
	l->account_kept = true;
	cm_trace_add(l->trace, "kept", "%s, from an online login %s ago", l->account->name,
	    cm_clock_age(l->kept_age, age));
	return check_kept(l, m);
}

/*
 * Who was never let in by the silent directory may still have an account of
 * this computer, which root paired with this card: no server is asked for that.
 */
static enum cm_err
find_without_directory(struct cm_login *l, const struct cm_mapping *m)
{
	struct cm_account *local = NULL;
	enum cm_err err = find_kept_account(l, m);

	if (err != CM_ERR_OFFLINE || (err = cm_mapping_find_local(m, &local)) == CM_ERR_OFFLINE)
		return err;
	cm_account_free(&l->account);
	l->account = local;
	l->account_kept = false;
	return err;
}

/*
 * Whatever becomes of this login: what was answered last is known, be it whose
 * card it is or that it is nobody's.  An account of this computer is not kept:
 * it is here.
 */
static void
withdraw(struct cm_login *l, enum cm_err answer, const struct cm_account *holder)
{
	struct cm_accounts *s = l->host->accounts;

	if (l->look_only)
		return;
	if ((answer == CM_OK && !holder->local ? cm_accounts_withdraw_others(s, l->cert, holder, NULL) :
	    cm_accounts_withdraw(s, l->cert, NULL)) != CM_OK)
		cm_trace_add(l->trace, "warning", "what was kept for this card could not be withdrawn");
}

/* Asked, and answered: everything but silence, and a failure of our own. */
static bool
is_answer(enum cm_err err)
{
	return err == CM_OK || err == CM_ERR_ABSENT || err == CM_ERR_AMBIGUOUS || err == CM_ERR_REFUSED;
}

/*
 * That a card does not open the account somebody named, or opens several, does
 * not yet say that it opens not the kept one: a slip of the pen takes nothing
 * from its holder, and who lost it to another does not keep it by naming himself.
 */
static void
withdraw_from_others(struct cm_login *l, const struct cm_mapping *m)
{
	struct cm_account *kept = NULL, *holder = NULL;
	int64_t age;
	enum cm_err err;

	if (l->look_only || cm_accounts_find(l->host->accounts, l->cert, cm_clock_now(), NULL, &kept,
	    &age) == CM_ERR_OFFLINE)
		return;
	/* what may not be used today, too old or by a clock set back, may be another day */
	err = cm_directory_find(l->host->directory, m->query, kept != NULL ? kept->name : NULL, l->deadline,
	    NULL, &holder);
	if (is_answer(err))
		withdraw(l, err, holder);
	cm_account_free(&kept);
	cm_account_free(&holder);
}

/* Is the answer about a name, the one that was given or the one that is missing? */
static bool
wants_name(const struct cm_login *l, enum cm_err err)
{
	return cm_trace_reason(l->trace) == CM_REASON_NOT_THIS_USER ||
	    (err == CM_ERR_AMBIGUOUS && l->host->conf->mapper.several_accounts == CM_SEVERAL_HINT);
}

/*
 * The directory answers with one account, none, or silence.  Only silence
 * lets the kept account speak.  It says nothing about any other server:
 * revocation and the KDC are asked all the same.  Any other answer than the
 * account ends what was kept for this card.
 */
static enum cm_err
find_account(struct cm_login *l)
{
	struct cm_mapping m = { .host = l->host, .cert = l->cert, .user = l->user, .deadline = l->deadline,
		.trace = l->trace, .every_rule = l->look_only };
	enum cm_err err;

	cm_account_free(&l->account);
	l->account_kept = false;
	if ((err = cm_mapping_make(&m)) != CM_OK) {
		/*
		 * Rules that do not apply are no answer: mended, they may lead to what is
		 * kept.  A selector that was asked about one user alone answers for that one.
		 */
		if (cm_trace_reason(l->trace) == CM_REASON_NOT_SELECTED && l->user == NULL)
			withdraw(l, err, NULL);
		else if (cm_trace_reason(l->trace) == CM_REASON_NOT_SELECTED && !l->look_only &&
		    cm_accounts_withdraw_user(l->host->accounts, l->cert, l->user, NULL) != CM_OK)
			cm_trace_add(l->trace, "warning", "what was kept for this card could not be withdrawn");
		goto out;
	}
	/* After the last child without exec of its own: a thread runs from here on. */
	if (l->verdict != NULL && (err = cm_login_ask_revocation(l)) != CM_OK)
		goto out;
	err = cm_mapping_find(&m, &l->account);
	if (err == CM_ERR_OFFLINE)
		err = find_without_directory(l, &m);
	else if (wants_name(l, err))
		withdraw_from_others(l, &m);
	else if (is_answer(err))
		withdraw(l, err, l->account);
out:
	cm_mapping_clear(&m);
	return err;
}

static void
note_prepared(struct cm_login *l)
{
	l->prepared_us = cm_clock_us();
	l->prepared_boot = cm_clock_boottime();
}

static enum cm_err refresh(struct cm_login *l);

/*
 * A card left in overnight is not judged by yesterday's answers.  The PIN was
 * typed for the account that was shown then, and opens no other.
 */
static enum cm_err
check_fresh(struct cm_login *l)
{
	const int64_t awake = (cm_clock_us() - l->prepared_us) / 1000000;
	const int64_t passed = cm_clock_boottime() - l->prepared_boot;
	struct cm_account *shown = l->account;
	enum cm_err err;

	if (awake <= CM_LOGIN_FRESH_SECONDS && passed <= awake + 1)	/* both are whole seconds */
		return CM_OK;
	cm_trace_add(l->trace, "asked again", "the answers were %lld s old", (long long)passed);
	l->account = NULL;
	if ((err = refresh(l)) == CM_OK &&
	    (strcmp(shown->name, l->account->name) != 0 || shown->uid != l->account->uid))
		err = cm_trace_fail(l->trace, CM_REASON_ACCOUNT_CHANGED,
		    "the PIN was asked for %s, and meanwhile the card has become %s's",
		    shown->name, l->account->name);
	cm_account_free(&shown);
	return err;
}

/* One VERIFY for one PIN typed; the last try is never spent unasked. */
static enum cm_err
unlock_card(struct cm_login *l)
{
	const enum cm_err err = cm_card_verify_pin(l->card, l->pin, l->last_try, l->deadline,
	    l->trace, &l->tries_left);

	cm_secret_wipe_stack();
	return err;
}

/* A silent KDC is not a card that failed while it was being asked. */
static enum cm_err
ask_kdc(struct cm_login *l)
{
	enum cm_err err = cm_pkinit_get_ticket(l->host->pkinit, l->card, CM_SLOT_AUTHENTICATION,
	    l->cert, l->account, l->deadline, l->trace, &l->ticket);

	l->kdc_silent = err == CM_ERR_OFFLINE && cm_trace_reason(l->trace) == CM_REASON_KDC_OFFLINE;
	if (l->kdc_silent)
		cm_trace_add(l->trace, "kdc", "%s", cm_trace_message(l->trace));
	return err;
}

static bool
wants_ticket(const struct cm_login *l)
{
	/* An account of this computer is nobody's at the KDC, whoever has its name there. */
	return l->host->pkinit != NULL && !l->account->local && cm_pkinit_serves(l->host->pkinit, l->account);
}

/*
 * A ticket that the host keytab verified for the mapped principal is proof
 * as well as ticket; short of that, the card signs our own nonce.
 */
static enum cm_err
prove_possession(struct cm_login *l)
{
	enum cm_err err;

	if (wants_ticket(l) && cm_pkinit_has_keytab(l->host->pkinit)) {
		if ((err = ask_kdc(l)) != CM_OK && !l->kdc_silent)
			return err;
		if (l->ticket != NULL && cm_ticket_proves(l->ticket, l->account, l->cert))
			return CM_OK;
	}
	/* A silent KDC took all of its own time; the card's is another. */
	return cm_card_prove(l->card, CM_SLOT_AUTHENTICATION, l->cert,
	    cm_deadline_in(l->host->conf->card.timeout), l->trace, &l->proof);
}

/* A KDC that cannot be reached is not a refusal: the configuration says what it is. */
static enum cm_err
without_ticket(struct cm_login *l)
{
	if (l->host->conf->kerberos.ticket == CM_TICKET_REQUIRED && !l->account_kept)
		return cm_trace_fail(l->trace, CM_REASON_KDC_OFFLINE,
		    "kerberos.ticket = required, and no KDC answered");
	cm_trace_add(l->trace, "ticket", "none: no KDC answered");
	return CM_OK;
}

static enum cm_err
get_ticket(struct cm_login *l)
{
	enum cm_err err = CM_OK;

	if (l->ticket == NULL && !l->kdc_silent && wants_ticket(l))
		err = ask_kdc(l);
	if (l->kdc_silent)
		return without_ticket(l);
	if (!wants_ticket(l) && l->host->conf->kerberos.ticket == CM_TICKET_REQUIRED)
		return cm_trace_fail(l->trace, CM_REASON_NO_KDC,
		    "kerberos.ticket = required, and account %s has no principal in this host's realm: \"%s\"",
		    l->account->name, l->account->principal);
	if (l->ticket != NULL)
		cm_trace_add(l->trace, "ticket", "%s", cm_ticket_principal(l->ticket));
	return err;
}

/* The only maker of a grant: it cannot be called without all three. */
static enum cm_err
admit(struct cm_login *l)
{
	const struct cm_grant_basis basis = {
		.account = l->account, .cert = l->cert, .verdict = l->verdict,
		.proof = l->proof, .ticket = l->ticket,
		.first_uid = l->host->conf->accounts.first_uid,
		.first_gid = l->host->conf->accounts.first_gid,
	};

	return cm_grant_make(&basis, l->trace, &l->grant);
}

static time_t
newest_signed_time(const struct cm_login *l)
{
	const time_t evidence = cm_verdict_signed_time(l->verdict);
	const time_t ticket = l->ticket != NULL ? cm_ticket_signed_time(l->ticket) : 0;

	return evidence > ticket ? evidence : ticket;
}

/* A full disk is no reason to keep someone out: warn, and let them in. */
static enum cm_err
remember(struct cm_login *l)
{
	const struct cm_remember r = {
		.account = l->account, .cert = l->cert, .verdict = l->verdict,
		.signed_time = newest_signed_time(l), .now = cm_clock_now(),
		.account_online = !l->account_kept && !l->account->local,
	};

	l->remembered = cm_accounts_remember(l->host->accounts, &r, l->trace) == CM_OK;
	if (!l->remembered)
		cm_trace_add(l->trace, "warning", "not kept for offline use: %s",
		    cm_trace_message(l->trace));
	return CM_OK;
}

static enum cm_err
open_session(struct cm_login *l)
{
	enum cm_err err;

	if (l->ticket == NULL)
		return CM_OK;
	/* A child writes it: of a process with one thread.  Whoever is still asked (a probe) is let go. */
	cm_inquiry_end(&l->inquiry);
	if ((err = cm_ticket_store(l->ticket, l->host->conf->kerberos.ccache, l->account,
	    l->deadline, l->trace, &l->ccache)) == CM_OK)
		cm_trace_add(l->trace, "ccache", "%s", l->ccache);
	else if (l->host->conf->kerberos.ticket != CM_TICKET_REQUIRED) {
		cm_trace_add(l->trace, "warning", "no ccache: %s", cm_trace_message(l->trace));
		err = CM_OK;
	}
	return err;
}

#define BUDGET(key)	offsetof(struct cm_conf, key.timeout)

static const struct stage {
	enum cm_login_phase phase;
	size_t budget;		/* where the configuration has its milliseconds */
	bool repeat;		/* asked again when its answer has grown old */
	const char *name;	/* in the trace, the log and the fault points */
	enum cm_err (*run)(struct cm_login *);
} stages[] = {
	{ CM_BEFORE_PIN, BUDGET(card),      false, "certificate", read_certificate },
	{ CM_BEFORE_PIN, BUDGET(card),      true,  "chain",       check_chain },
	{ CM_BEFORE_PIN, BUDGET(directory), true,  "account",     find_account },
	{ CM_BEFORE_PIN, BUDGET(trust),     true,  "revocation",  cm_login_check_revocation },
	{ CM_AFTER_PIN,  BUDGET(card),      false, "fresh",       check_fresh },
	{ CM_AFTER_PIN,  BUDGET(card),      false, "pin",         unlock_card },
	{ CM_AFTER_PIN,  BUDGET(kerberos),  false, "possession",  prove_possession },
	{ CM_AFTER_PIN,  BUDGET(kerberos),  false, "ticket",      get_ticket },
	{ CM_AFTER_PIN,  BUDGET(card),      false, "admit",       admit },
	{ CM_AFTER_PIN,  BUDGET(card),      false, "remember",    remember },
	{ CM_AFTER_PIN,  BUDGET(kerberos),  false, "session",     open_session },
};

static unsigned
commands_used(const struct cm_login *l)
{
	return l->card != NULL ? cm_card_stats(l->card).commands : 0;
}

static enum cm_err
run_stage(struct cm_login *l, const struct stage *s)
{
	const char *budgets = (const char *)l->host->conf;
	const unsigned before = commands_used(l);
	unsigned used;
	enum cm_err err;

	l->deadline = cm_deadline_in(*(const unsigned *)(const void *)(budgets + s->budget));
	cm_trace_begin(l->trace, s->name);
	if ((err = cm_fault_point(s->name)) == CM_OK)
		err = s->run(l);
	else
		cm_trace_fail(l->trace, CM_REASON_INJECTED, "fault point %s", s->name);
	if ((used = commands_used(l) - before) > 0)
		cm_trace_add(l->trace, "card commands", "%u", used);
	cm_trace_end(l->trace, err);
	return err;
}

static enum cm_err
refresh(struct cm_login *l)
{
	enum cm_err err = CM_OK;

	cm_trace_end(l->trace, CM_OK);
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(stages); i++)
		if (stages[i].repeat)
			err = run_stage(l, &stages[i]);
	if (err == CM_OK)
		cm_trace_begin(l->trace, "fresh");	/* what follows is its own again */
	note_prepared(l);
	return err;
}

static void
report(const struct cm_login *l, enum cm_err err)
{
	const char *subject = l->cert != NULL ? cm_cert_subject_text(l->cert) : "no certificate";

	if (err == CM_OK)
		cm_log_event(l->host->conf->service.log, "login", err, CM_REASON_NONE,
		    "%s (uid %u) by %s, rule %s%s, %s", l->account->name, l->account->uid, subject,
		    l->account->rule, l->account->weak ? " (weak)" : "", l->account_kept ? "offline" : "online");
	else
		cm_log_event(l->host->conf->service.log, "login", err, cm_trace_reason(l->trace),
		    "%s: %s", subject, cm_trace_message(l->trace));
}

/* Stages of one phase, in order, each only after all before it passed. */
static enum cm_err
run(struct cm_login *l, enum cm_login_phase phase)
{
	enum cm_err err = CM_OK;

	if (l->phase != phase)
		return CM_ERR_STATE;
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(stages); i++)
		if (stages[i].phase == phase)
			err = run_stage(l, &stages[i]);
	if (err == CM_OK)
		l->phase = phase + 1;
	else if (cm_trace_reason(l->trace) != CM_REASON_PIN_WRONG)
		l->phase = CM_LOGIN_DONE;	/* over: nothing more runs */
	if (err != CM_OK)
		cm_grant_free(&l->grant);
	if (err != CM_OK || phase == CM_AFTER_PIN)
		report(l, err);
	return err;
}

enum cm_err
cm_login_prepare(struct cm_login *l)
{
	if (l->host->accounts == NULL || l->look_only)
		return CM_ERR_STATE;
	note_prepared(l);
	return run(l, CM_BEFORE_PIN);
}

enum cm_err
cm_login_explain(struct cm_login *l)
{
	enum cm_err first = CM_OK;

	l->look_only = true;
	for (size_t i = 0; i < CM_COUNT(stages) && stages[i].phase == CM_BEFORE_PIN; i++) {
		enum cm_err err;

		if (stages[i].run == cm_login_check_revocation && l->verdict == NULL)
			continue;	/* a stranger's certificate causes no questions */
		err = run_stage(l, &stages[i]);
		first = first != CM_OK ? first : err;
		if (l->cert == NULL)
			break;
	}
	return first;
}

enum cm_err
cm_login_finish(struct cm_login *l, const struct cm_secret *pin)
{
	enum cm_err err;

	l->pin = pin;
	err = run(l, CM_AFTER_PIN);
	l->pin = NULL;
	return err;
}

void
cm_login_clear(struct cm_login *l)
{
	cm_grant_free(&l->grant);
	cm_ticket_free(&l->ticket);
	cm_proof_free(&l->proof);
	cm_account_free(&l->account);
	cm_inquiry_end(&l->inquiry);
	cm_verdict_free(&l->verdict);
	cm_memory_free(&l->memory);
	cm_cert_free(&l->cert);
	cm_card_close(&l->card);
	free(l->ccache);
	l->ccache = NULL;
}
