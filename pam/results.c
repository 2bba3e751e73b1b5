/* pam/results.c - how a login that was not granted ends, for PAM and for people. */
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include <security/pam_ext.h>

#include "pam/pam_internal.h"

enum kind { REFUSED, EXPIRED, HELD, UNAVAILABLE };

/*
 * Reasons (cardmap-login(7)) that end otherwise than as refused, which is every one that says "could not ask", and those
 * whose remedy is the user's own to take.
 */
static const struct row {
	const char *reason;
	enum kind kind;
	bool remedy, no_card;
} rows[] = {
	{ "no_reader", UNAVAILABLE, true, true },
	{ "no_card", UNAVAILABLE, true, true },
	{ "several_cards", UNAVAILABLE, true, false },
	{ "card_removed", UNAVAILABLE, true, false },
	{ "card_changed", UNAVAILABLE, true, false },
	{ "card_silent", UNAVAILABLE, true, false },
	{ "card_malformed", UNAVAILABLE, true, false },
	{ "card_not_piv", REFUSED, true, false },
	{ "card_no_certificate", REFUSED, true, false },
	{ "pin_wrong", REFUSED, true, false },
	{ "pin_form", REFUSED, true, false },
	{ "pin_blocked", HELD, true, false },
	{ "pin_held", HELD, true, false },
	{ "cert_expired", REFUSED, true, false },
	{ "revoked", REFUSED, true, false },
	{ "not_this_user", REFUSED, true, false },
	{ "card_required", REFUSED, true, false },
	{ "account_disabled", EXPIRED, true, false },
	{ "kept_too_old", EXPIRED, true, false },
	{ "not_kept", UNAVAILABLE, true, false },
	{ "account_changed", UNAVAILABLE, true, false },
	{ "busy", UNAVAILABLE, true, false },
	{ "cancelled", UNAVAILABLE, true, false },
	{ "not_here", REFUSED, false, true },
	{ "source_silent", UNAVAILABLE, false, false },
	{ "directory_offline", UNAVAILABLE, false, false },
	{ "directory_refused", UNAVAILABLE, false, false },
	{ "directory_tls", UNAVAILABLE, false, false },
	{ "kdc_offline", UNAVAILABLE, false, false },
	{ "no_kdc", UNAVAILABLE, false, false },
	{ "home_unread", UNAVAILABLE, false, false },
	{ "selector", UNAVAILABLE, false, false },
	{ "ccache", UNAVAILABLE, false, false },
	{ "store", UNAVAILABLE, false, false },
	{ "no_service", UNAVAILABLE, false, false },
	{ "helper", UNAVAILABLE, true, false },
	{ "config", UNAVAILABLE, false, false },
	{ "system", UNAVAILABLE, false, false },
	{ "injected", UNAVAILABLE, false, false },
	{ "usage", UNAVAILABLE, false, false },
	{ "card_file", UNAVAILABLE, false, false },
	{ "card_module", UNAVAILABLE, false, false },
	{ "pin_missing", UNAVAILABLE, false, false },
	{ "cert_malformed", UNAVAILABLE, true, false },
	{ "revocation_data", UNAVAILABLE, false, false },
	{ "refresh_runs", UNAVAILABLE, false, false },
	{ "rule_regex", UNAVAILABLE, false, false },
	{ "ldif_malformed", UNAVAILABLE, false, false },
};

static const struct row *
row_of(const char *reason)
{
	static const struct row other = { "", REFUSED, false, false };

	for (size_t i = 0; reason != NULL && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].reason, reason) == 0)
			return &rows[i];
	return &other;
}

static int
code_of(const struct cm_pam *p, enum kind kind)
{
	switch (kind) {
	case UNAVAILABLE:
		return p->purpose->could_not_ask;
	case HELD:
		return PAM_MAXTRIES;
	case EXPIRED:
		/* A code of the account phase alone (pam_sm_acct_mgmt(3)). */
		return p->purpose == &cm_pam_account ? PAM_ACCT_EXPIRED : p->purpose->refused;
	default:
		return p->purpose->refused;
	}
}

/*
 * The service says so of a user by name: of who is not known yet nobody can.  In the account phase
 * a password is past, so that only who is none of the service's (no reason) is left to others.
 */
static bool
may_use_password(const struct cm_pam *p, const struct cardmap_login *l)
{
	if (p->user[0] == '\0' || !cardmap_may_use_password(l))
		return false;
	return p->purpose->may_fall_back || (p->purpose == &cm_pam_account && cardmap_reason(l) == NULL);
}

int
cm_pam_fall_back(const struct cm_pam *p, const struct cardmap_login *l, const char *why)
{
	if (!may_use_password(p, l))
		return p->purpose->refused;
	pam_syslog(p->h, LOG_INFO, "%s: %s may use a password", why, p->user);
	return PAM_IGNORE;
}

static void
explain(const struct cm_pam *p, const struct cardmap_login *l, const struct row *row)
{
	const char *text = cardmap_text(l), *remedy = cardmap_remedy(l), *reason = cardmap_reason(l);

	cm_pam_complain(p, "Card refused: %s (%s)", text != NULL ? text : "no reason was given", reason != NULL ? reason : "none");
	if (row->remedy && remedy != NULL)
		cm_pam_complain(p, "What to do: %s", remedy);
}

int
cm_pam_refused(struct cm_pam *p, struct cardmap_login *l)
{
	const struct row *row = row_of(cardmap_reason(l));
	const bool password = may_use_password(p, l);

	/* Who has no card in, and may use a password, need not hear of cards. */
	if (!password || (cardmap_reason(l) != NULL && !row->no_card))
		explain(p, l, row);
	if (password)
		return cm_pam_fall_back(p, l, cardmap_reason(l) != NULL ? cardmap_reason(l) : "no card");
	return code_of(p, row->kind);
}

int
cm_pam_could_not_ask(struct cm_pam *p, const struct cardmap_login *l, int result)
{
	const char *text = l != NULL && result == -EACCES ? cardmap_text(l) : NULL;

	pam_syslog(p->h, LOG_ERR, "could not ask: %s (%s)", text != NULL ? text : cardmap_error(result), strerror(-result));
	cm_pam_complain(p, "Card login is not possible now: %s (%s)", text != NULL ? text : cardmap_error(result),
	    l != NULL && cardmap_reason(l) != NULL ? cardmap_reason(l) : "no_service");
	if (result == -ENOMEM)
		return PAM_BUF_ERR;
	/* Who may not ask was told no; all others could not ask. */
	return result == -EACCES ? p->purpose->refused : p->purpose->could_not_ask;
}
