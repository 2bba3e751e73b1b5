/*
 * service/stages.c - whose card is it, and may it be believed: the bodies of these stages, for whoever
 * has a certificate.  service/login_here.c reads it from the card; the resolver was sent it.
 */
#include "service/stages.h"

#include <stdlib.h>

#include "service/login_internal.h"
#include "service/mapping.h"

struct cm_here *
cm_here_make(struct cm_login *l)
{
	if (l->worker == NULL)
		l->worker = calloc(1, sizeof(struct cm_here));
	return l->worker;
}

static void
forget_certificate(struct cm_login *l)
{
	struct cm_here *h = cm_here(l);

	cm_account_free(&l->account);
	cm_inquiry_end(&h->inquiry);
	cm_verdict_free(&h->verdict);
	cm_memory_free(&h->memory);
	cm_cert_free(&h->cert);
	free(l->subject);
	free(l->serial);
	l->subject = l->serial = NULL;
}

enum cm_err
cm_here_note_certificate(struct cm_login *l)
{
	struct cm_buf serial = { 0 };

	cm_buf_add_hex(&serial, cm_cert_serial(cm_here(l)->cert));
	l->serial = cm_buf_take(&serial);
	l->subject = strdup(cm_cert_subject_text(cm_here(l)->cert));
	return l->serial != NULL && l->subject != NULL ? CM_OK : CM_ERR_NOMEM;
}

enum cm_err
cm_stages_take(struct cm_login *l, struct cm_blob der)
{
	struct cm_here *h = cm_here_make(l);
	enum cm_err err;

	if (h == NULL)
		return CM_ERR_NOMEM;
	forget_certificate(l);
	if ((err = cm_cert_decode(der, l->trace, &h->cert)) != CM_OK)
		return err;
	return cm_here_note_certificate(l);
}

void
cm_stages_clear(struct cm_login *l)
{
	if (l->worker == NULL)
		return;
	forget_certificate(l);
	free(l->worker);
	l->worker = NULL;
}

/* What is kept of others' certificates is not read: a login among ten thousand kept accounts reads as much as one alone. */
static enum cm_err
recall_chain(struct cm_login *l)
{
	struct cm_here *h = cm_here(l);
	enum cm_err err;

	if (h->memory == NULL)
		return CM_OK;
	if ((err = cm_accounts_recall_chain(l->host->accounts, h->verdict, l->trace, h->memory)) != CM_OK)
		return err;
	h->known.evidence = h->memory->known.evidence;
	h->known.count = h->memory->known.count;
	return CM_OK;
}

/*
 * No network here: a stranger's card must not make this host send a byte.
 * What the host knows is read first, for the clock's floor; a host that cannot
 * read what it knows cannot say that a card is not revoked.
 */
enum cm_err
cm_stages_chain(struct cm_login *l)
{
	enum cm_err err;

	if (l->worker == NULL || cm_here(l)->cert == NULL)
		return CM_ERR_STATE;
	cm_inquiry_end(&cm_here(l)->inquiry);
	cm_verdict_free(&cm_here(l)->verdict);
	cm_memory_free(&cm_here(l)->memory);
	cm_here(l)->known = (struct cm_known){ .now = cm_clock_now() };
	cm_trace_add(l->trace, "certificate", "%s", cm_cert_subject_text(cm_here(l)->cert));
	if (l->host->accounts != NULL) {
		if ((err = cm_accounts_recall_revoked(l->host->accounts, cm_here(l)->known.now, l->trace,
		    &cm_here(l)->memory)) != CM_OK)
			return err;
		cm_here(l)->known = cm_here(l)->memory->known;
	}
	if (l->look_only)
		cm_here(l)->known.keeper = NULL;
	err = cm_trust_check_chain(l->host->trust, cm_here(l)->cert, &cm_here(l)->known, l->trace, &cm_here(l)->verdict);
	return err == CM_OK ? recall_chain(l) : err;
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
	if ((err = cm_accounts_find(l->host->accounts, cm_here(l)->cert, cm_clock_now(), l->trace,
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
	if ((answer == CM_OK && !holder->local ? cm_accounts_withdraw_others(s, cm_here(l)->cert, holder, NULL) :
	    cm_accounts_withdraw(s, cm_here(l)->cert, NULL)) != CM_OK)
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

	if (l->look_only || cm_accounts_find(l->host->accounts, cm_here(l)->cert, cm_clock_now(), NULL, &kept,
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
	struct cm_mapping m = { .host = l->host, .cert = cm_here(l)->cert, .user = l->user, .deadline = l->deadline,
		.trace = l->trace, .every_rule = l->look_only, .wants_facts = !l->look_only };
	enum cm_err err;

	cm_account_free(&l->account);
	l->account_kept = false;
	l->kept_age = 0;
	l->said = (struct cm_facts){ .attribute.kind = CM_FACT_UNKNOWN };
	if ((err = cm_mapping_make(&m)) != CM_OK) {
		/*
		 * Rules that do not apply are no answer: mended, they may lead to what is
		 * kept.  A selector that was asked about one user alone answers for that one.
		 */
		if (cm_trace_reason(l->trace) == CM_REASON_NOT_SELECTED && l->user == NULL)
			withdraw(l, err, NULL);
		else if (cm_trace_reason(l->trace) == CM_REASON_NOT_SELECTED && !l->look_only &&
		    cm_accounts_withdraw_user(l->host->accounts, cm_here(l)->cert, l->user, NULL) != CM_OK)
			cm_trace_add(l->trace, "warning", "what was kept for this card could not be withdrawn");
		goto out;
	}
	/* After the last child without exec of its own: a thread runs from here on. */
	if (cm_here(l)->verdict != NULL && (err = cm_login_ask_revocation(l)) != CM_OK)
		goto out;
	if ((err = cm_mapping_find(&m, &l->account)) == CM_OK && !l->account->local)
		l->said = m.said;
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

enum cm_err
cm_stages_account(struct cm_login *l)
{
	return l->worker != NULL && cm_here(l)->cert != NULL ? find_account(l) : CM_ERR_STATE;
}
