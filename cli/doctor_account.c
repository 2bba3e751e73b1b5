/* cli/doctor_account.c - what is kept of accounts, and until when it opens them: evidence, certificates, tickets. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/accounts.h"
#include "cli/doctor.h"
#include "service/forecast.h"

#define HORIZON		((time_t)400 * 24 * 3600)
#define STEPS		20		/* of a search by halves: to about half a minute */

struct looking {
	struct cm_doctor *doctor;
	unsigned found;
	bool tickets;			/* the row is that of tickets */
};

/* A login with nobody answering, at that time; why not, where why is given. */
static bool
opens(struct cm_doctor *d, const struct cm_cert *cert, time_t at, struct cm_buf *why, bool *unknown)
{
	struct cm_trace *t = NULL;
	const struct cm_trace_stage *failed;
	bool yes = false;

	if (cm_trace_new(&t) != CM_OK)
		return false;
	yes = cm_forecast_login(d->host, &d->memory->known, cert, at, t) == CM_OK;
	failed = cm_trace_failed(t);
	if (!yes && why != NULL)
		cm_buf_addf(why, "%s: %s", cm_reason_name(failed != NULL ? failed->reason : cm_trace_reason(t)), cm_trace_why(t, failed));
	for (size_t i = 0; yes && unknown != NULL && i < cm_trace_count(t); i++)
		for (size_t k = 0; k < cm_trace_stage(t, i)->count; k++)
			*unknown |= strcmp(cm_trace_stage(t, i)->items[k].key, "status") == 0 &&
			    strstr(cm_trace_stage(t, i)->items[k].text, "unknown: ") != NULL;
	cm_trace_free(&t);
	return yes;
}

/* What opens at from, and not at the horizon, ends in between; it does not begin again. */
static time_t
end_of(struct cm_doctor *d, const struct cm_cert *cert, time_t from)
{
	time_t good = from, bad = from + HORIZON;

	if (opens(d, cert, bad, NULL, NULL))
		return bad;
	for (unsigned i = 0; i < STEPS; i++) {
		const time_t middle = good + (bad - good) / 2;

		if (opens(d, cert, middle, NULL, NULL))
			good = middle;
		else
			bad = middle;
	}
	return good;
}

static void
tell_login(struct cm_doctor *d, const struct cm_kept *k, const struct cm_cert *cert)
{
	const time_t tomorrow = cm_clock_now() + CM_DOCTOR_TOMORROW;
	const char *name = k->account->name;
	struct cm_buf why = { 0 };
	char text[CM_TIME_SIZE];
	bool unknown = false;
	time_t end;

	if (d->host->trust == NULL) {
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "cardmap config check", "%s: no login is possible: %s", name,
		    d->refused != NULL ? d->refused : "the configuration");
	} else if (!opens(d, cert, tomorrow, &why, &unknown)) {
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "cardmap revocation refresh; then log in once with the network",
		    "%s: tomorrow a login with no network is refused: %s", name, cm_buf_str(&why));
	} else {
		end = end_of(d, cert, tomorrow);
		cm_doctor_say(d, end < tomorrow + CM_DOCTOR_TOMORROW ? CM_DOCTOR_WARNING : CM_DOCTOR_OK,
		    end < tomorrow + CM_DOCTOR_TOMORROW ? "cardmap revocation refresh" : NULL,
		    "%s: opens with no network %s%s%s", name, end >= tomorrow + HORIZON ? "for more than a year" : "until ",
		    end >= tomorrow + HORIZON ? "" : cm_clock_text(end, text), unknown ? "; nobody has said that the card is not revoked" : "");
	}
	cm_buf_free(&why);
}

static void
tell_certificate(struct cm_doctor *d, const struct cm_kept *k, const struct cm_cert *cert)
{
	const time_t end = cm_cert_not_after(cert), now = cm_clock_now();
	char text[CM_TIME_SIZE];

	cm_clock_text(end, text);
	if (end <= now + CM_DOCTOR_TOMORROW)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "have the card renewed", "%s: the certificate %s %s", k->account->name,
		    end < now ? "has expired" : "expires", text);
	else if (end < now + CM_DOCTOR_SOON)
		cm_doctor_say(d, CM_DOCTOR_WARNING, "have the card renewed", "%s: the certificate expires %s", k->account->name, text);
	else
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s: the certificate is valid until %s", k->account->name, text);
}

static void
tell_age(struct cm_doctor *d, const struct cm_kept *k)
{
	const char *name = k->account->name;
	const time_t end = k->offline_until, now = cm_clock_now();
	char text[CM_TIME_SIZE];

	if (end != 0 && end <= now + CM_DOCTOR_TOMORROW)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "log in once with the card and the network", "%s: kept until %s and no longer: "
		    "accounts.offline_days", name, cm_clock_text(end, text));
	else if (end != 0 && end < now + 3 * CM_DOCTOR_TOMORROW)
		cm_doctor_say(d, CM_DOCTOR_WARNING, "log in once with the card and the network", "%s: kept until %s",
		    name, cm_clock_text(end, text));
	else
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s is kept, last online %s", name, cm_clock_text(k->last_online, text));
}

/* krb5/ccache_put.c puts it there; what is in it is its owner's to read (klist(1)). */
static void
tell_ticket(struct cm_doctor *d, const struct cm_kept *k)
{
	const char *pattern = d->cli->conf->kerberos.ccache, *mark = strstr(pattern, "%{uid}");
	struct cm_buf path = { 0 };
	struct stat s;

	if (strncmp(pattern, "FILE:", 5) != 0 || mark == NULL || strchr(mark + 1, '%') != NULL) {
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s: in %s: klist, as that user, tells", k->account->name, pattern);
		return;
	}
	cm_buf_addf(&path, "%.*s%u%s", (int)(mark - pattern) - 5, pattern + 5, (unsigned)k->account->uid, mark + 6);
	if (lstat(cm_buf_str(&path), &s) != 0)
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s: none now; the first login or unlock with the network gets one", k->account->name);
	else if (!S_ISREG(s.st_mode) || s.st_uid != k->account->uid)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "remove that file", "%s: %s is another's: no ticket can be put there",
		    k->account->name, cm_buf_str(&path));
	else
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s: in %s; a flight needs none", k->account->name, cm_buf_str(&path));
	cm_buf_free(&path);
}

static enum cm_err
visit(void *arg, const struct cm_kept *k)
{
	struct looking *l = arg;
	struct cm_cert *cert = NULL;

	if (l->tickets) {
		tell_ticket(l->doctor, k);
		l->found++;
		return CM_OK;
	}
	if (cm_cert_decode(k->cert_der, l->doctor->cli->trace, &cert) != CM_OK)
		return CM_OK;
	l->found++;
	tell_age(l->doctor, k);
	l->doctor->check = "evidence";
	tell_login(l->doctor, k, cert);
	l->doctor->check = "certificate";
	tell_certificate(l->doctor, k, cert);
	l->doctor->check = "account";
	cm_cert_free(&cert);
	return CM_OK;
}

static enum cm_err
each(struct looking *l)
{
	struct cm_doctor *d = l->doctor;

	return d->user != NULL ? cm_accounts_list_of(d->host->accounts, d->user, d->cli->trace, visit, l) :
	    cm_accounts_list(d->host->accounts, d->cli->trace, visit, l);
}

void
cm_doctor_account(struct cm_doctor *d)
{
	struct looking l = { .doctor = d };

	if (d->memory == NULL && !d->nothing_kept)
		cm_doctor_say(d, CM_DOCTOR_WARNING, "sudo cardmap doctor", "what is kept cannot be read");
	else if (d->memory != NULL && each(&l) != CM_OK)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "cardmap accounts list", "%s", cm_trace_message(d->cli->trace));
	else if (l.found == 0)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "log in once with the card and the network", "%s%s", d->user != NULL ? d->user : "",
		    d->user != NULL ? " is not kept" : "no account is kept");
}

void
cm_doctor_ticket(struct cm_doctor *d)
{
	struct looking l = { .doctor = d, .tickets = true };

	if (d->cli->conf->kerberos.ticket == CM_TICKET_OFF)
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "kerberos.ticket = off: none is asked for");
	else if (d->memory == NULL || each(&l) != CM_OK || l.found == 0)
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "nobody's is known here");
}

/* ---- CAs */

struct authorities {
	struct cm_doctor *doctor;
	unsigned anchors, bad;
};

static enum cm_err
see_ca(void *arg, const struct cm_trust_ca *ca)
{
	struct authorities *a = arg;
	const time_t now = cm_clock_now();
	char text[CM_TIME_SIZE];

	a->anchors += ca->anchor;
	if (ca->not_after >= now + CM_DOCTOR_SOON)
		return CM_OK;
	a->bad++;
	cm_doctor_say(a->doctor, ca->not_after < now + CM_DOCTOR_TOMORROW ? CM_DOCTOR_FAILURE : CM_DOCTOR_WARNING,
	    "cardmap trust add its successor, and trust remove it", "%s %s %s", ca->subject,
	    ca->not_after < now ? "has expired" : "expires", cm_clock_text(ca->not_after, text));
	return CM_OK;
}

void
cm_doctor_cas(struct cm_doctor *d)
{
	const struct cm_trust_options o = cm_cli_trust_options(d->cli);
	struct authorities a = { .doctor = d };

	if (d->cli->conf->trust.level.level == CM_TRUST_OFF)
		cm_doctor_say(d, CM_DOCTOR_WARNING, "set trust.level = soft", "trust.level = off: no CA is asked for");
	else if (cm_trust_each(&o, d->cli->trace, see_ca, &a) != CM_OK)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "cardmap trust list", "%s", cm_trace_message(d->cli->trace));
	else if (a.anchors == 0)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "cardmap trust add FILE", "trust.anchors holds no CA: no card is believed");
	else if (a.bad == 0)
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%u %s, none of which ends soon", a.anchors, a.anchors == 1 ? "root" : "roots");
}
