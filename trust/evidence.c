/* trust/evidence.c - what was learned before, and how long it counts. */
#include <openssl/evp.h>
#include <stdarg.h>

#include "trust/trust_internal.h"

time_t
cm_known_time(const struct cm_known *known)
{
	return known->now > known->floor ? known->now : known->floor;
}

void
cm_object(struct cm_question *q, enum cm_objection o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cm_buf_addv(&q->why, fmt, ap);
	va_end(ap);
	q->objection = o;
}

/* "Tue 2026-11-24 14:00 UTC": whoever reads it plans with days. */
static void
add_moment(struct cm_buf *out, time_t t)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL)
		cm_buf_addf(out, "%lld", (long long)t);
	else
		cm_buf_addf(out, "%s %04d-%02d-%02d %02d:%02d UTC", days[tm.tm_wday], tm.tm_year + 1900, tm.tm_mon + 1,
		    tm.tm_mday, tm.tm_hour, tm.tm_min);
}

void
cm_evidence_text(const struct cm_evidence *e, struct cm_buf *out)
{
	if (e->revoked_at == CM_NEVER_ISSUED) {
		cm_buf_add_str(out, "never issued by its CA");
	} else if (e->status == CM_STATUS_REVOKED) {
		cm_buf_addf(out, "%s ", e->on_hold ? "on hold since" : "revoked on");
		add_moment(out, e->revoked_at != 0 ? e->revoked_at : e->this_update);
	} else if (e->next_update != 0) {
		cm_buf_add_str(out, "good until ");
		add_moment(out, e->next_update);
	} else {
		cm_buf_add_str(out, "good on ");
		add_moment(out, e->this_update);
	}
	cm_buf_addf(out, ", %s%s%s", e->source, e->signer[0] != '\0' ? " of " : "", e->signer);
}

static bool
name_issuer(X509 *issuer, struct cm_evidence *e)
{
	unsigned char *spki = NULL;
	const int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(issuer), &spki);
	const bool ok = len > 0 &&
	    EVP_Digest(spki, (size_t)len, e->issuer_key, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_free(spki);
	return ok;
}

enum cm_err
cm_evidence_name(X509 *cert, X509 *issuer, struct cm_evidence *e)
{
	return cm_evidence_name_serial(X509_get0_serialNumber(cert), issuer, e);
}

enum cm_err
cm_evidence_name_serial(const ASN1_INTEGER *serial, X509 *issuer, struct cm_evidence *e)
{
	unsigned char der[2 + sizeof(e->serial)], *p = der;
	const int len = i2d_ASN1_INTEGER(serial, NULL);

	*e = (struct cm_evidence){ 0 };
	/* RFC 5280 4.1.2.2: not longer than 20 octets, so tag and length are one octet each. */
	if (len < 3 || (size_t)len > sizeof(der))
		return CM_ERR_SYNTAX;
	i2d_ASN1_INTEGER(serial, &p);
	e->serial_len = (size_t)len - 2;
	memcpy(e->serial, der + 2, e->serial_len);
	return name_issuer(issuer, e) ? CM_OK : CM_ERR_NOMEM;
}

bool
cm_evidence_is_about(const struct cm_evidence *e, const struct cm_evidence *who)
{
	return e->serial_len == who->serial_len &&
	    memcmp(e->serial, who->serial, who->serial_len) == 0 &&
	    memcmp(e->issuer_key, who->issuer_key, sizeof(who->issuer_key)) == 0;
}

/* Whatever its dates: what was revoked stays so when the list that said it expires. */
const struct cm_evidence *
cm_known_revoked(const struct cm_known *known, const struct cm_evidence *who)
{
	const struct cm_evidence *held = NULL;

	for (size_t i = 0; i < known->count; i++) {
		const struct cm_evidence *e = &known->evidence[i];

		if (e->status != CM_STATUS_REVOKED || !cm_evidence_is_about(e, who))
			continue;
		if (!e->on_hold)
			return e;
		held = held == NULL || held->this_update < e->this_update ? e : held;
	}
	return held;
}

bool
cm_evidence_ends_hold(const struct cm_evidence *held, const struct cm_evidence *e)
{
	return held->on_hold && e->status == CM_STATUS_GOOD && e->by_list && e->this_update > held->this_update;
}

bool
cm_known_has(const struct cm_known *known, const struct cm_evidence *e)
{
	for (size_t i = 0; i < known->count; i++) {
		const struct cm_evidence *k = &known->evidence[i];

		if (cm_evidence_is_about(k, e) && k->status == e->status && k->on_hold == e->on_hold &&
		    k->this_update == e->this_update && k->next_update == e->next_update && k->confirmed >= e->confirmed)
			return true;
	}
	return false;
}

/* RFC 9111 5.2.2: no longer than the server lets it be used unasked; without nextUpdate at each login (RFC 6960 2.4). */
void
cm_evidence_confirm(struct cm_evidence *e, time_t now, long max_age)
{
	e->confirmed = now;
	if (e->next_update == 0)
		e->ask_after = now;
	else if (max_age >= 0 && now + max_age < e->next_update)
		e->ask_after = now + max_age;
}

int64_t
cm_undated_max(const struct cm_trust *tr)
{
	return tr->o.undated_max > 0 ? tr->o.undated_max : CM_UNDATED_MAX;
}

time_t
cm_evidence_end(const struct cm_evidence *e, int64_t undated_max)
{
	return e->next_update != 0 ? e->next_update : e->this_update + undated_max;
}

bool
cm_evidence_current(struct cm_question *q, const struct cm_evidence *e, time_t skew)
{
	const time_t end = cm_evidence_end(e, cm_undated_max(q->trust));
	char when[CM_TIME_SIZE], age[CM_TIME_SIZE];

	if (e->this_update > q->now + CM_CLOCK_SKEW) {
		cm_object(q, CM_OBJECTION_FUTURE, "dated %s, %s ahead of this computer's clock",
		    cm_clock_text(e->this_update, when), cm_clock_age(e->this_update - q->now, age));
		return false;
	}
	if (e->next_update != 0 && e->next_update < e->this_update) {
		cm_object(q, CM_OBJECTION_MALFORMED_DATES, "ends before it begins (nextUpdate before thisUpdate)");
		return false;
	}
	if (end + skew >= q->now || q->ended_counts)
		return true;
	if (e->next_update == 0)
		cm_object(q, CM_OBJECTION_STALE, "of %s, names no nextUpdate and so counted for %s only",
		    cm_clock_text(e->this_update, when), cm_clock_age(end - e->this_update, age));
	else
		cm_object(q, CM_OBJECTION_STALE, "expired %s, %s ago", cm_clock_text(end, when),
		    cm_clock_age(q->now - end, age));
	return false;
}

/* A clock that runs behind makes old evidence look young: then none counts. */
bool
cm_evidence_clock_is_sound(struct cm_question *q, const struct cm_evidence *e)
{
	const struct cm_known *k = q->known;
	char now[CM_TIME_SIZE], then[CM_TIME_SIZE];

	if (!k->stale_clock && k->now >= k->floor && e->learned <= k->now + CM_CLOCK_SKEW)
		return true;
	cm_object(q, CM_OBJECTION_CLOCK, "kept from %s, counts as expired: this computer's clock says %s",
	    cm_clock_text(e->this_update, then), cm_clock_text(k->now, now));
	if (k->now < k->floor)
		cm_buf_addf(&q->why, ", and an answer signed %s was already seen", cm_clock_text(k->floor, now));
	else
		cm_buf_add_str(&q->why, ", and cannot be relied on");
	return false;
}

enum cm_status
cm_evidence_ask(struct cm_question *q)
{
	const int64_t undated = cm_undated_max(q->trust);
	const struct cm_evidence *best = NULL;

	for (size_t i = 0; i < q->known->count; i++) {
		const struct cm_evidence *e = &q->known->evidence[i];

		if (e->status == CM_STATUS_GOOD && cm_evidence_is_about(e, &q->answer) &&
		    (best == NULL || cm_evidence_end(e, undated) > cm_evidence_end(best, undated)))
			best = e;
	}
	if (best == NULL) {
		cm_object(q, CM_OBJECTION_NONE_KEPT, "none is kept");
		return CM_STATUS_UNKNOWN;
	}
	if (!cm_evidence_clock_is_sound(q, best) || !cm_evidence_current(q, best, 0))
		return CM_STATUS_UNKNOWN;
	q->answer = *best;
	return CM_STATUS_GOOD;
}
