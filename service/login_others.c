/*
 * service/login_others.c - a card with several certificates: which of them the login is about.
 *
 * The first (slot 9A) is looked at as if there were no others; only where it is
 * not there, opens no account, or another than the one that is wanted, the card
 * is asked what else it has.
 */
#include <stdlib.h>

#include "service/host.h"
#include "service/login_others_internal.h"

/* What the others are looked at for, and is told again if none of them will do. */
struct refusal {
	enum cm_err err;
	enum cm_reason reason;
	char *text, *subject, *serial;
};

void
cm_login_forget_openings(struct cm_login *l)
{
	for (size_t i = 0; i < l->opening_count; i++) {
		free(l->openings[i].name);
		free(l->openings[i].gecos);
		free(l->openings[i].subject);
	}
	free(l->openings);
	l->openings = NULL;
	l->opening_count = 0;
	l->unclear = false;
}

static enum cm_err
take_refusal(struct cm_login *l, enum cm_err err, struct refusal *r)
{
	*r = (struct refusal){ .err = err, .reason = cm_trace_reason(l->trace), .subject = l->subject, .serial = l->serial };
	l->subject = l->serial = NULL;
	return (r->text = strdup(cm_trace_message(l->trace))) != NULL ? CM_OK : CM_ERR_NOMEM;
}

/* It stands; who reads of it is told of the certificate that it is about. */
static enum cm_err
tell_refusal(struct cm_login *l, struct refusal *r)
{
	free(l->subject);
	free(l->serial);
	l->subject = r->subject;
	l->serial = r->serial;
	r->subject = r->serial = NULL;
	return cm_trace_fail(l->trace, r->reason, "%s", r->text);
}

static void
clear_refusal(struct refusal *r)
{
	free(r->text);
	free(r->subject);
	free(r->serial);
}

/*
 * An answer about a certificate, or that nobody could be asked about it; not what
 * became of the card or of us.  Of a card that has one certificate revoked no
 * other is taken, and of processes that contradict each other nothing is.
 */
static bool
is_about_certificate(enum cm_err err, enum cm_reason reason)
{
	if (reason == CM_REASON_REVOKED || reason == CM_REASON_PROOF_MISSING || reason == CM_REASON_PIN_BLOCKED || reason == CM_REASON_CARD_REMOVED ||
	    reason == CM_REASON_CARD_SILENT || reason == CM_REASON_NO_READER || reason == CM_REASON_NO_CARD ||
	    reason == CM_REASON_CARD_NOT_PIV || reason == CM_REASON_CARD_MALFORMED)
		return false;
	return err == CM_ERR_ABSENT || err == CM_ERR_AMBIGUOUS || err == CM_ERR_REFUSED || err == CM_ERR_OFFLINE || err == CM_ERR_SYNTAX;
}

/* "Opens no account" is an answer; whose account it opens may not be known, or it may only not be let in now. */
static bool
opens_none(const struct refusal *r)
{
	return r->err != CM_ERR_OFFLINE && r->reason != CM_REASON_REVOCATION_UNKNOWN && r->reason != CM_REASON_REVOCATION_TOO_OLD &&
	    r->err != CM_ERR_AMBIGUOUS;
}

static void
begin(struct cm_login *l)
{
	cm_trace_clear_reason(l->trace);
	l->deadline = cm_deadline_in((l->conf != NULL ? l->conf : l->host->conf)->card.timeout);
	cm_trace_begin(l->trace, "certificate");
}

static enum cm_err
try(struct cm_login *l, size_t n)
{
	enum cm_err err;

	begin(l);
	cm_account_free(&l->account);
	err = l->work->use(l, n);
	if (err == CM_OK)
		cm_trace_add(l->trace, "slot", "%02X", l->slot);
	cm_trace_end(l->trace, err);
	return err == CM_OK ? cm_login_ask_all(l) : err;
}

static enum cm_err
find_more(struct cm_login *l, bool kept)
{
	const unsigned before = l->work->commands(l);
	enum cm_err err;

	begin(l);
	err = l->work->others(l, kept);
	if (l->work->commands(l) > before)
		cm_trace_add(l->trace, "card commands", "%u", l->work->commands(l) - before);
	cm_trace_end(l->trace, err == CM_ERR_ABSENT ? CM_OK : err);
	return err;
}

/* One certificate for an account is enough. */
static enum cm_err
note_opening(struct cm_login *l)
{
	struct cm_opening *grown, *o;

	for (size_t i = 0; i < l->opening_count; i++)
		if (strcmp(l->openings[i].name, l->account->name) == 0)
			return CM_OK;
	if ((grown = realloc(l->openings, (l->opening_count + 1) * sizeof(*grown))) == NULL)
		return CM_ERR_NOMEM;
	l->openings = grown;
	o = &grown[l->opening_count++];
	*o = (struct cm_opening){ .certificate = l->certificate, .slot = l->slot, .uid = l->account->uid,
		.name = strdup(l->account->name), .gecos = strdup(l->account->gecos), .subject = strdup(l->subject) };
	return o->name != NULL && o->gecos != NULL && o->subject != NULL ? CM_OK : CM_ERR_NOMEM;
}

/* It is trusted, and yet "nobody's" was not the answer. */
static bool
may_be_somebodys(const struct cm_login *l, enum cm_err err)
{
	return err == CM_ERR_OFFLINE || err == CM_ERR_AMBIGUOUS || (err != CM_OK && err != CM_ERR_ABSENT && l->chained);
}

/* CM_ERR_ABSENT: none of them.  several: one was met that opens several accounts itself, of which one may be named. */
static enum cm_err
try_each(struct cm_login *l, size_t from, bool *several)
{
	enum cm_err err;

	for (size_t n = from; n < l->certificates; n++) {
		if ((err = try(l, n)) == CM_OK && l->user != NULL)
			return CM_OK;
		if (err == CM_OK && (err = note_opening(l)) != CM_OK)
			return err;
		if (err != CM_OK && !is_about_certificate(err, cm_trace_reason(l->trace)))
			return err;
		*several = *several || err == CM_ERR_AMBIGUOUS;
		l->unclear = l->unclear || may_be_somebodys(l, err);
	}
	return CM_ERR_ABSENT;
}

/* What is kept of the user's certificate needs no reading; what is read is everything else. */
static enum cm_err
try_all(struct cm_login *l, bool *several)
{
	size_t known = l->certificates;
	enum cm_err err;

	if (l->user != NULL && known == 1) {
		if ((err = find_more(l, true)) == CM_OK && ((err = try_each(l, known, several)) == CM_OK || err != CM_ERR_ABSENT))
			return err;
		if (err != CM_OK && err != CM_ERR_ABSENT)
			return err;
		known = l->certificates;
	} else {
		known = 1;	/* they are asked about again, for somebody else */
	}
	if ((err = find_more(l, false)) != CM_OK && err != CM_ERR_ABSENT)
		return err;
	return try_each(l, known, several);
}

static enum cm_err
refuse_several(struct cm_login *l)
{
	struct cm_buf text = { 0 };
	enum cm_err err;

	for (size_t i = 0; i < l->opening_count; i++)
		cm_buf_addf(&text, "%s%s (slot %02X)", i > 0 ? ", " : "", l->openings[i].name, l->openings[i].slot);
	err = cm_trace_fail(l->trace, CM_REASON_SEVERAL_ACCOUNTS, "the card has certificates for several accounts, %s: say who is to log in",
	    cm_buf_str(&text));
	cm_buf_free(&text);
	return err;
}

/* All was looked at, and nobody is named. */
static enum cm_err
choose(struct cm_login *l, const struct refusal *r, bool several)
{
	if (!opens_none(r) || (l->opening_count == 0 && !several))
		return CM_ERR_ABSENT;
	if (l->opening_count != 1 || several)
		return refuse_several(l);
	return l->certificate == l->openings[0].certificate && l->account != NULL ? CM_OK : try(l, l->openings[0].certificate);
}

enum cm_err
cm_login_look_at_others(struct cm_login *l, enum cm_err refusal)
{
	struct refusal r;
	bool several = false;
	enum cm_err err;

	if (l->work->others == NULL || l->certificates == 0 || !is_about_certificate(refusal, cm_trace_reason(l->trace)))
		return refusal;
	if ((err = take_refusal(l, refusal, &r)) == CM_OK) {
		if (l->user == NULL)
			cm_login_forget_openings(l);
		else
			l->unnamed = false;
		err = try_all(l, &several);
		if (err == CM_ERR_ABSENT && l->user == NULL)
			err = choose(l, &r, several);
		if (err == CM_ERR_ABSENT)
			err = tell_refusal(l, &r);
		if (err != CM_OK)
			cm_account_free(&l->account);
	}
	if (err == CM_OK)
		cm_trace_clear_reason(l->trace);
	clear_refusal(&r);
	return err;
}

/* Back to it, if it is another that is in use. */
static enum cm_err
ask_first(struct cm_login *l)
{
	enum cm_err err;

	if (l->certificate == 0)
		return cm_login_ask_named(l);
	begin(l);
	if ((err = l->work->use(l, 0)) == CM_ERR_ABSENT)
		err = cm_trace_fail(l->trace, CM_REASON_CARD_NO_CERTIFICATE, "slot %02X of the card in %s holds no certificate",
		    CM_SLOT_AUTHENTICATION, l->reader);
	cm_trace_end(l->trace, err);
	return err == CM_OK ? cm_login_ask_all(l) : err;
}

enum cm_err
cm_login_look_for_user(struct cm_login *l)
{
	enum cm_err err;

	for (size_t i = 0; l->user != NULL && i < l->opening_count; i++)
		if (strcmp(l->openings[i].name, l->user) == 0) {
			l->unnamed = false;
			return try(l, l->openings[i].certificate);
		}
	err = ask_first(l);
	return err == CM_OK || l->user == NULL ? err : cm_login_look_at_others(l, err);
}
