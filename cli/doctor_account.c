/* cli/doctor_account.c - what is kept of accounts, and until when it opens them: evidence, certificates, tickets. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/service.h"
#include "krb5/renew.h"

/* What mends it. */
#define ONLINE	"with the network: cardmap login"
#define REFRESH	"cardmap revocation refresh"
#define RENEW	"have the card renewed: cardmap cards status shows what is on it"

struct looking {
	struct cm_doctor *doctor;
	unsigned found;
	bool tickets;			/* the row is that of tickets */
};

/* Opens tomorrow, and until then. */
static void
tell_end(struct cm_doctor *d, const char *name, const json_t *o, bool unknown)
{
	const time_t after = cm_clock_now() + 2 * CM_DOCTOR_TOMORROW;
	time_t end = 0;
	char text[CM_TIME_SIZE];
	bool soon;

	if (!cm_cli_read_time(o, "until", &end))
		end = after - 1;
	soon = end != 0 && end < after;
	cm_doctor_say(d, soon ? CM_DOCTOR_WARNING : CM_DOCTOR_OK, soon ? REFRESH : NULL, "%s: opens with no network %s%s%s", name,
	    end == 0 ? "for more than a year" : "until ", end == 0 ? "" : cm_clock_text(end, text),
	    unknown ? "; nobody has said that the card is not revoked" : "");
}

static const char *
text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "";
}

static void
tell_login(struct cm_doctor *d, const struct cm_kept *k, const struct cm_cert *cert)
{
	const char *name = k->account->name;
	const json_t *tomorrow;
	json_t *o = NULL;

	/* what the service keeps to itself then is no more than this */
	if (k->offline_until != 0 && k->offline_until <= cm_clock_now()) {
		cm_doctor_say(d, CM_DOCTOR_FAILURE, ONLINE, "%s: a login with no network is refused: %s", name,
		    cm_reason_name(CM_REASON_KEPT_TOO_OLD));
	} else if (cm_doctor_outlook(d, cert, &o) != CM_OK) {
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "cardmap config check", "%s: no login is possible: %s", name, cm_trace_message(d->cli->trace));
	} else {
		tomorrow = json_object_get(o, "tomorrow");
		if (json_is_true(json_object_get(tomorrow, "opens")))
			tell_end(d, name, o, json_is_true(json_object_get(tomorrow, "unknown")));
		else
			cm_doctor_say(d, CM_DOCTOR_FAILURE, REFRESH "; then, " ONLINE, "%s: tomorrow a login with no network is refused: %s: %s",
			    name, text_of(tomorrow, "reason"), text_of(tomorrow, "text"));
	}
	json_decref(o);
}

static void
tell_certificate(struct cm_doctor *d, const struct cm_kept *k, const struct cm_cert *cert)
{
	const time_t end = cm_cert_not_after(cert), now = cm_clock_now();
	char text[CM_TIME_SIZE];

	cm_clock_text(end, text);
	if (end <= now + CM_DOCTOR_TOMORROW)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, RENEW, "%s: the certificate %s %s", k->account->name,
		    end < now ? "has expired" : "expires", text);
	else if (end < now + CM_DOCTOR_SOON)
		cm_doctor_say(d, CM_DOCTOR_WARNING, RENEW, "%s: the certificate expires %s", k->account->name, text);
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
		cm_doctor_say(d, CM_DOCTOR_FAILURE, ONLINE, "%s: kept until %s and no longer: "
		    "accounts.offline_days", name, cm_clock_text(end, text));
	else if (end != 0 && end < now + 3 * CM_DOCTOR_TOMORROW)
		cm_doctor_say(d, CM_DOCTOR_WARNING, ONLINE, "%s: kept until %s",
		    name, cm_clock_text(end, text));
	else
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s is kept, last online %s", name, cm_clock_text(k->last_online, text));
}

/* krb5/ccache_put.c puts it there; what is in it is its owner's to read. */
static void
tell_own(struct cm_doctor *d, const char *name, const char *ccache)
{
	struct cm_renewed seen;
	char text[CM_TIME_SIZE];
	const enum cm_err err = cm_ticket_look(ccache, d->cli->trace, &seen);

	if (err != CM_OK)
		cm_doctor_say(d, CM_DOCTOR_WARNING, "cardmap login --refresh", "%s: no ticket: %s", name, cm_trace_message(d->cli->trace));
	else if (seen.expires <= cm_clock_now())
		cm_doctor_say(d, CM_DOCTOR_WARNING, "cardmap login --refresh", "%s: the ticket in %s has expired %s", name, ccache,
		    cm_clock_text(seen.expires, text));
	else
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s: of %s, in %s until %s; a flight needs none", name, seen.principal, ccache,
		    cm_clock_text(seen.expires, text));
	cm_renewed_clear(&seen);
}

static void
tell_file(struct cm_doctor *d, const char *name, uid_t uid, const char *ccache)
{
	struct cm_buf remedy = { 0 };
	struct stat s;

	if (lstat(ccache + 5, &s) == 0 && (!S_ISREG(s.st_mode) || s.st_uid != uid)) {
		cm_buf_addf(&remedy, "rm %s", ccache + 5);
		cm_doctor_say(d, CM_DOCTOR_FAILURE, cm_buf_str(&remedy), "%s: %s is another's: no ticket can be put there", name, ccache + 5);
		cm_buf_free(&remedy);
	} else if (uid == geteuid()) {
		tell_own(d, name, ccache);
	} else {
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, access(ccache + 5, F_OK) == 0 ? "%s: in %s; klist, as that user, tells more" :
		    "%s: none in %s: the first login or unlock with the network gets one", name, ccache + 5);
	}
}

static void
tell_ticket(struct cm_doctor *d, const struct cm_kept *k)
{
	const char *pattern = d->cli->conf->kerberos.ccache, *mark = strstr(pattern, "%{uid}");
	struct cm_buf path = { 0 };

	if (strncmp(pattern, "FILE:", 5) != 0 || mark == NULL || strchr(mark + 1, '%') != NULL) {
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s: in %s: klist, as that user, tells", k->account->name, pattern);
		return;
	}
	cm_buf_addf(&path, "%.*s%u%s", (int)(mark - pattern), pattern, (unsigned)k->account->uid, mark + 6);
	tell_file(d, k->account->name, k->account->uid, cm_buf_str(&path));
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

void
cm_doctor_account(struct cm_doctor *d)
{
	struct looking l = { .doctor = d };

	if (d->denied)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, ONLINE, "%s is not kept, or not this user's to ask about", d->user != NULL ? d->user : "");
	else if (!d->knows && !d->nothing_kept)
		cm_doctor_say(d, CM_DOCTOR_WARNING, "systemctl start cardmapd.socket, or sudo cardmap doctor", "what is kept cannot be read");
	else if (d->knows && cm_doctor_each_kept(d, visit, &l) != CM_OK)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "cardmap accounts list", "%s", cm_trace_message(d->cli->trace));
	else if (l.found == 0)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, ONLINE, "%s%s", d->user != NULL ? d->user : "",
		    d->user != NULL ? " is not kept" : "no account is kept");
	if (d->more > 0)
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%zu more are kept, and last used before these: cardmap doctor USER tells", d->more);
}

void
cm_doctor_ticket(struct cm_doctor *d)
{
	struct looking l = { .doctor = d, .tickets = true };

	if (d->cli->conf->kerberos.ticket == CM_TICKET_OFF)
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "kerberos.ticket = off: none is asked for");
	else if (!d->knows || cm_doctor_each_kept(d, visit, &l) != CM_OK || l.found == 0)
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
	    "cardmap trust add FILE, of its successor; cardmap trust remove ends it", "%s %s %s", ca->subject,
	    ca->not_after < now ? "has expired" : "expires", cm_clock_text(ca->not_after, text));
	return CM_OK;
}

void
cm_doctor_cas(struct cm_doctor *d)
{
	const struct cm_trust_options o = cm_cli_trust_options(d->cli);
	struct authorities a = { .doctor = d };

	if (d->cli->conf->trust.level.level == CM_TRUST_OFF)
		cm_doctor_say(d, CM_DOCTOR_WARNING, "write trust.level = soft; cardmap config check", "trust.level = off: no CA is asked for");
	else if (cm_trust_each(&o, d->cli->trace, see_ca, &a) != CM_OK)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "cardmap trust list", "%s", cm_trace_message(d->cli->trace));
	else if (a.anchors == 0)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "cardmap trust add FILE", "trust.anchors holds no CA: no card is believed");
	else if (a.bad == 0)
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%u %s, none of which ends soon", a.anchors, a.anchors == 1 ? "root" : "roots");
}
