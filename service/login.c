/*
 * service/login.c - the order of a login, and what follows from each answer.
 *
 * Each stage asks whoever does the work (struct cm_login_work) and is a few
 * lines.  The table is the documentation: run_stage() gives every stage its
 * deadline, its line in the trace and its fault point, so no stage can forget
 * them.
 */
#include "service/login.h"

#include <stdlib.h>

#include "base/fault.h"
#include "base/log.h"
#include "service/host.h"
#include "service/login_others_internal.h"

/* Why a stage is asked again: its answer has grown old, or somebody has said who logs in. */
enum { AGAIN_OLD = 1, AGAIN_NAMED = 2 };

static const struct cm_conf *
conf_of(const struct cm_login *l)
{
	return l->conf != NULL ? l->conf : l->host->conf;
}

/* The card may be any card until "possession"; nothing before grants. */
static enum cm_err
read_certificate(struct cm_login *l)
{
	return l->work->certificate(l);
}

/* No network here: a stranger's card must not make this host send a byte. */
static enum cm_err
check_chain(struct cm_login *l)
{
	const enum cm_err err = l->work->chain(l);

	l->chained = err == CM_OK;
	return err;
}

/*
 * The directory answers with one account, none, or silence; only silence lets
 * the kept account speak.  It says nothing about any other server.
 */
static enum cm_err
find_account(struct cm_login *l)
{
	return l->work->account(l);
}

static enum cm_err
check_revocation(struct cm_login *l)
{
	return l->work->revocation(l);
}

static void
note_prepared(struct cm_login *l)
{
	l->prepared_us = cm_clock_us();
	l->prepared_boot = cm_clock_boottime();
}

bool
cm_login_stale(const struct cm_login *l)
{
	const int64_t awake = (cm_clock_us() - l->prepared_us) / 1000000;
	const int64_t passed = cm_clock_boottime() - l->prepared_boot;

	return awake > CM_LOGIN_FRESH_SECONDS || passed > awake + 1;	/* both are whole seconds */
}

static enum cm_err run_again(struct cm_login *l, unsigned again, const char *stage);

/* The PIN was typed for the account that was shown then, and opens no other. */
static enum cm_err
ask_again(struct cm_login *l, const char *stage)
{
	struct cm_account *shown = l->account;
	enum cm_err err;

	l->account = NULL;
	if ((err = run_again(l, AGAIN_OLD, stage)) == CM_OK &&
	    (strcmp(shown->name, l->account->name) != 0 || shown->uid != l->account->uid))
		err = cm_trace_fail(l->trace, CM_REASON_ACCOUNT_CHANGED,
		    "the PIN was asked for %s, and meanwhile the card has become %s's",
		    shown->name, l->account->name);
	cm_account_free(&shown);
	return err;
}

/* A card left in overnight is not judged by yesterday's answers. */
static enum cm_err
check_fresh(struct cm_login *l)
{
	enum cm_err err;

	if (!cm_login_stale(l))
		return CM_OK;
	cm_trace_add(l->trace, "asked again", "the answers were %lld s old",
	    (long long)(cm_clock_boottime() - l->prepared_boot));
	err = ask_again(l, "fresh");
	note_prepared(l);
	return err;
}

/* One VERIFY for one PIN typed; the last try is never spent unasked. */
static enum cm_err
unlock_card(struct cm_login *l)
{
	return l->work->unlock(l);
}

static bool
signs_once(const struct cm_login *l)
{
	return cm_slot_signs_once((enum cm_slot)l->slot);
}

/* A silent KDC is not a card that failed while it was being asked. */
static enum cm_err
ask_kdc(struct cm_login *l)
{
	const enum cm_err err = l->work->get_ticket(l);

	l->kdc_silent = err == CM_ERR_OFFLINE && cm_trace_reason(l->trace) == CM_REASON_KDC_OFFLINE;
	if (l->kdc_silent)
		cm_trace_add(l->trace, "kdc", "%s", cm_trace_message(l->trace));
	return err;
}

static bool
wants_ticket(const struct cm_login *l)
{
	/* An account of this computer is nobody's at the KDC, whoever has its name there. */
	return conf_of(l)->kerberos.ticket != CM_TICKET_OFF && !l->account->local && l->work->serves(l);
}

/*
 * A ticket that the host keytab verified for the mapped principal is proof
 * as well as ticket; short of that, the card signs our own nonce.
 */
static enum cm_err
prove(struct cm_login *l)
{
	const unsigned before = l->work->commands(l);
	enum cm_err err;

	if (wants_ticket(l) && l->work->has_keytab(l)) {
		if ((err = ask_kdc(l)) != CM_OK && !l->kdc_silent)
			return err;
		if (l->work->ticket_proves(l))
			return CM_OK;
	}
	if (signs_once(l) && l->work->commands(l) > before)
		return cm_trace_fail(l->trace, l->kdc_silent ? CM_REASON_KDC_OFFLINE : CM_REASON_NOT_VOUCHED, "the key of slot %02X signs once for "
		    "each PIN, and %s: log in again", l->slot, l->kdc_silent ? "no KDC answered to what it signed; it will not be "
		    "waited for" : "the ticket that it signed for is no proof of its account");
	/* A silent KDC took all of its own time; the card's is another. */
	l->deadline = cm_deadline_in(conf_of(l)->card.timeout);
	return l->work->sign(l);
}

/*
 * A card that was issued anew keeps its CHUID: with another key than that of
 * the certificate which was kept for it, it has one that was not read yet.  It
 * is unlocked already.
 */
static enum cm_err
prove_possession(struct cm_login *l)
{
	enum cm_err err = prove(l);

	if (err != CM_ERR_REFUSED || cm_trace_reason(l->trace) != CM_REASON_CARD_KEY || !l->cached ||
	    l->work->read_again == NULL || signs_once(l))
		return err;
	cm_trace_add(l->trace, "read again", "%s", cm_trace_message(l->trace));
	cm_trace_clear_reason(l->trace);
	l->deadline = cm_deadline_in(conf_of(l)->card.timeout);
	if ((err = l->work->read_again(l)) == CM_ERR_ABSENT)
		return cm_trace_fail(l->trace, CM_REASON_CARD_KEY, "the card in %s has the certificate that is kept for it, and not its key",
		    l->reader != NULL ? l->reader : "the reader");
	if (err != CM_OK)
		return err;
	l->cached = false;
	if ((err = ask_again(l, "possession")) != CM_OK)
		return err;
	l->deadline = cm_deadline_in(conf_of(l)->kerberos.timeout);
	return prove(l);
}

/* A KDC that cannot be reached is not a refusal: the configuration says what it is. */
static enum cm_err
without_ticket(struct cm_login *l)
{
	if (l->for_ticket)
		return cm_trace_fail(l->trace, CM_REASON_KDC_OFFLINE, "there is no ticket: no KDC answered");
	if (conf_of(l)->kerberos.ticket == CM_TICKET_REQUIRED && !l->account_kept)
		return cm_trace_fail(l->trace, CM_REASON_KDC_OFFLINE,
		    "kerberos.ticket = required, and no KDC answered");
	cm_trace_add(l->trace, "ticket", "none: no KDC answered");
	return CM_OK;
}

/* The nonce had it: a ticket would take the PIN once more. */
static enum cm_err
without_second_signature(struct cm_login *l)
{
	if (conf_of(l)->kerberos.ticket == CM_TICKET_REQUIRED)
		return cm_trace_fail(l->trace, CM_REASON_NO_KDC, "kerberos.ticket = required, and the key of slot %02X signs once for each "
		    "PIN: it takes a host keytab, so that its ticket is the proof", l->slot);
	cm_trace_add(l->trace, "ticket", "none: the key of slot %02X signs once for each PIN", l->slot);
	return CM_OK;
}

static enum cm_err
get_ticket(struct cm_login *l)
{
	enum cm_err err = CM_OK;

	if (l->work->principal(l) == NULL && !l->kdc_silent && wants_ticket(l)) {
		if (signs_once(l))
			return without_second_signature(l);
		err = ask_kdc(l);
	}
	if (l->kdc_silent)
		return without_ticket(l);
	if (!wants_ticket(l) && l->for_ticket)
		return cm_trace_fail(l->trace, CM_REASON_NO_KDC, "there is no ticket: %s", conf_of(l)->kerberos.ticket == CM_TICKET_OFF ?
		    "kerberos.ticket = off" : "the account has no principal in this host's realm");
	if (!wants_ticket(l) && conf_of(l)->kerberos.ticket == CM_TICKET_REQUIRED)
		return cm_trace_fail(l->trace, CM_REASON_NO_KDC,
		    "kerberos.ticket = required, and account %s has no principal in this host's realm: \"%s\"",
		    l->account->name, l->account->principal);
	if (l->work->principal(l) != NULL)
		cm_trace_add(l->trace, "ticket", "%s", l->work->principal(l));
	return err;
}

/* The only maker of a grant. */
static enum cm_err
admit(struct cm_login *l)
{
	return l->work->admit(l);
}

/* A full disk is no reason to keep someone out: warn, and let them in. */
static enum cm_err
remember(struct cm_login *l)
{
	l->remembered = l->work->remember(l) == CM_OK;
	if (!l->remembered)
		cm_trace_add(l->trace, "warning", "not kept for offline use: %s",
		    cm_trace_message(l->trace));
	return CM_OK;
}

static enum cm_err
open_session(struct cm_login *l)
{
	enum cm_err err;

	if (l->work->principal(l) == NULL)
		return CM_OK;
	if ((err = l->work->store_ticket(l)) == CM_OK)
		cm_trace_add(l->trace, "ccache", "%s", l->ccache);
	else if (conf_of(l)->kerberos.ticket != CM_TICKET_REQUIRED && !l->for_ticket) {
		cm_trace_add(l->trace, "warning", "no ccache: %s", cm_trace_message(l->trace));
		err = CM_OK;
	}
	return err;
}

/* Who is let in is let in: without what he encrypted, and is told why. */
static enum cm_err
open_secret(struct cm_login *l)
{
	if (!l->wants_secret || !conf_of(l)->accounts.secret || l->work->open_secret == NULL)
		return CM_OK;
	if (l->work->open_secret(l) != CM_OK) {
		cm_trace_add(l->trace, "warning", "your secret stays sealed: %s", cm_trace_message(l->trace));
		cm_trace_clear_reason(l->trace);
	}
	return CM_OK;
}

#define BUDGET(key)	offsetof(struct cm_conf, key.timeout)

static const struct stage {
	enum cm_login_phase phase;
	size_t budget;		/* where the configuration has its milliseconds */
	unsigned again;		/* when it is asked again */
	const char *name;	/* in the trace, the log and the fault points */
	enum cm_err (*run)(struct cm_login *);
} stages[] = {
	{ CM_BEFORE_PIN, BUDGET(card),      0,                       "certificate", read_certificate },
	{ CM_BEFORE_PIN, BUDGET(card),      AGAIN_OLD,               "chain",       check_chain },
	{ CM_BEFORE_PIN, BUDGET(directory), AGAIN_OLD | AGAIN_NAMED, "account",     find_account },
	{ CM_BEFORE_PIN, BUDGET(trust),     AGAIN_OLD | AGAIN_NAMED, "revocation",  check_revocation },
	{ CM_AFTER_PIN,  BUDGET(card),      0,                       "fresh",       check_fresh },
	{ CM_AFTER_PIN,  BUDGET(card),      0,                       "pin",         unlock_card },
	{ CM_AFTER_PIN,  BUDGET(kerberos),  0,                       "possession",  prove_possession },
	{ CM_AFTER_PIN,  BUDGET(kerberos),  0,                       "ticket",      get_ticket },
	{ CM_AFTER_PIN,  BUDGET(card),      0,                       "admit",       admit },
	{ CM_AFTER_PIN,  BUDGET(card),      0,                       "remember",    remember },
	{ CM_AFTER_PIN,  BUDGET(card),      0,                       "secret",      open_secret },
	{ CM_AFTER_PIN,  BUDGET(kerberos),  0,                       "session",     open_session },
};

static enum cm_err
run_stage(struct cm_login *l, const struct stage *s)
{
	const char *budgets = (const char *)conf_of(l);
	const unsigned before = l->work->commands(l);
	unsigned used;
	enum cm_err err;

	l->deadline = cm_deadline_in(*(const unsigned *)(const void *)(budgets + s->budget));
	cm_trace_begin(l->trace, s->name);
	if ((err = cm_fault_point(s->name)) == CM_OK)
		err = s->run(l);
	else
		cm_trace_fail(l->trace, CM_REASON_INJECTED, "fault point %s", s->name);
	if ((used = l->work->commands(l) - before) > 0)
		cm_trace_add(l->trace, "card commands", "%u", used);
	cm_trace_end(l->trace, err);
	return err;
}

/* Those of them that are asked again for this cause. */
static enum cm_err
run_those(struct cm_login *l, unsigned again)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < CM_COUNT(stages); i++)
		if ((stages[i].again & again) != 0)
			err = run_stage(l, &stages[i]);
	return err;
}

enum cm_err
cm_login_ask_all(struct cm_login *l)
{
	return run_those(l, AGAIN_OLD);
}

enum cm_err
cm_login_ask_named(struct cm_login *l)
{
	return run_those(l, AGAIN_NAMED);
}

/* From within a stage of that name: what follows is its own again. */
static enum cm_err
run_again(struct cm_login *l, unsigned again, const char *stage)
{
	const cm_deadline deadline = l->deadline;
	enum cm_err err;

	cm_trace_end(l->trace, CM_OK);
	if ((err = run_those(l, again)) == CM_OK)
		cm_trace_begin(l->trace, stage);
	l->deadline = deadline;
	return err;
}

static void
report(const struct cm_login *l, enum cm_err err)
{
	const char *subject = l->subject != NULL ? l->subject : "no certificate";
	struct cm_buf text = { 0 }, times = { 0 };
	struct cm_log_entry e = {
		.event = l->for_ticket ? "refresh" : "login", .err = err, .reason = err == CM_OK ? CM_REASON_NONE : cm_trace_reason(l->trace),
		.user = l->account != NULL ? l->account->name : l->user, .uid = l->account != NULL ? l->account->uid : CM_LOG_NO_UID,
		.reader = l->reader, .serial = l->serial, .service = l->service, .rhost = l->rhost, .tty = l->tty,
	};

	if (err == CM_OK)
		cm_buf_addf(&text, "%s (uid %u) by %s, rule %s%s, %s", l->account->name, l->account->uid, subject,
		    l->account->rule, l->account->weak ? " (weak)" : "", l->account_kept ? "offline" : "online");
	else
		cm_buf_addf(&text, "%s: %s", subject, cm_trace_message(l->trace));
	if (l->account != NULL)
		e.online = l->account_kept ? CM_LOG_OFFLINE : CM_LOG_ONLINE;
	cm_log_stages(l->trace, &times);
	e.text = cm_buf_str(&text);
	e.stages = cm_buf_str(&times);
	if (l->told != NULL)
		l->told(l->told_arg, &e);
	else
		cm_log_write((enum cm_log_target)conf_of(l)->service.log, &e);
	cm_buf_free(&text);
	cm_buf_free(&times);
}

/* What a phase ended with. */
static enum cm_err
end_phase(struct cm_login *l, enum cm_login_phase phase, enum cm_err err)
{
	if (err == CM_OK)
		l->phase = phase + 1;
	else if (cm_trace_reason(l->trace) != CM_REASON_PIN_WRONG && cm_trace_reason(l->trace) != CM_REASON_PIN_LAST_TRY)
		l->phase = CM_LOGIN_DONE;	/* over: nothing more runs */
	if (err != CM_OK)
		cm_grant_free(&l->grant);
	if ((err != CM_OK && !l->ahead) || phase == CM_AFTER_PIN)
		report(l, err);
	return err;
}

static enum cm_err
read_card(struct cm_login *l)
{
	enum cm_err err;

	l->deadline = cm_deadline_in(conf_of(l)->card.timeout);
	cm_trace_begin(l->trace, "certificate");
	err = l->work->read_again(l);
	l->cached = l->cached && err != CM_OK && err != CM_ERR_ABSENT;
	cm_trace_end(l->trace, err == CM_ERR_ABSENT ? CM_OK : err);
	return err;
}

/*
 * A card that was issued anew keeps its CHUID, and the certificate that was kept
 * for it has expired, was revoked or is nobody's any more: what the card has now
 * decides.  If that is the same, the refusal stands.
 */
static enum cm_err
look_at_card(struct cm_login *l, enum cm_err refusal)
{
	const enum cm_reason reason = cm_trace_reason(l->trace);
	char *why;
	enum cm_err err;

	if (!l->cached || l->work->read_again == NULL || (refusal != CM_ERR_REFUSED && refusal != CM_ERR_ABSENT))
		return refusal;
	if ((why = strdup(cm_trace_message(l->trace))) == NULL)
		return CM_ERR_NOMEM;
	if ((err = read_card(l)) == CM_OK)
		err = run_those(l, AGAIN_OLD);
	else if (err == CM_ERR_ABSENT) {
		cm_trace_fail(l->trace, reason, "%s", why);
		err = refusal;
	}
	free(why);
	return err;
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
	if (err != CM_OK && phase == CM_BEFORE_PIN && (err = look_at_card(l, err)) != CM_OK)
		err = cm_login_look_at_others(l, err);
	return end_phase(l, phase, err);
}

enum cm_err
cm_login_prepare(struct cm_login *l)
{
	if ((l->host != NULL && l->host->accounts == NULL) || l->look_only)
		return CM_ERR_STATE;
	l->chained = false;
	l->unnamed = true;
	note_prepared(l);
	return run(l, CM_BEFORE_PIN);
}

enum cm_err
cm_login_name(struct cm_login *l, const char *user)
{
	if ((!l->chained && l->opening_count == 0) || l->look_only)
		return CM_ERR_STATE;
	l->user = user;
	if (l->phase == CM_AFTER_PIN && user != NULL && strcmp(l->account->name, user) == 0)
		return CM_OK;
	l->phase = CM_BEFORE_PIN;
	return end_phase(l, CM_BEFORE_PIN, cm_login_look_for_user(l));
}

void
cm_login_expect_pin(struct cm_login *l)
{
	if (l->phase == CM_AFTER_PIN && l->work->expect_ticket != NULL && wants_ticket(l))
		l->work->expect_ticket(l);
}

enum cm_err
cm_login_explain(struct cm_login *l)
{
	enum cm_err first = CM_OK;

	l->look_only = true;
	for (size_t i = 0; i < CM_COUNT(stages) && stages[i].phase == CM_BEFORE_PIN; i++) {
		enum cm_err err;

		if (stages[i].run == check_revocation && !l->chained)
			continue;	/* a stranger's certificate causes no questions */
		err = run_stage(l, &stages[i]);
		first = first != CM_OK ? first : err;
		if (err != CM_OK && stages[i].run == read_certificate)
			break;
	}
	return first;
}

enum cm_err
cm_login_finish(struct cm_login *l, const struct cm_pin *pin)
{
	enum cm_err err;

	l->chained = l->chained && l->phase != CM_AFTER_PIN;
	l->pin = pin;
	err = run(l, CM_AFTER_PIN);
	l->pin = NULL;
	return err;
}

void
cm_login_clear(struct cm_login *l)
{
	char **texts[] = { &l->reader, &l->subject, &l->serial, &l->ccache };

	cm_grant_free(&l->grant);
	cm_account_free(&l->account);
	cm_login_forget_openings(l);
	if (l->work != NULL)
		l->work->clear(l);
	for (size_t i = 0; i < CM_COUNT(texts); i++) {
		free(*texts[i]);
		*texts[i] = NULL;
	}
}
