/* trust/evidence.c - what was learned before, and how long it counts. */
#include <openssl/evp.h>

#include "trust/trust_internal.h"

time_t
cm_known_time(const struct cm_known *known)
{
	return known->now > known->floor ? known->now : known->floor;
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
	unsigned char der[2 + sizeof(e->serial)], *p = der;
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
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

static bool
is_about(const struct cm_evidence *e, const struct cm_evidence *who)
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

		if (e->status != CM_STATUS_REVOKED || !is_about(e, who))
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

static time_t
end_of(const struct cm_evidence *e)
{
	return e->next_update != 0 ? e->next_update : e->this_update + CM_UNDATED_MAX;
}

bool
cm_evidence_current(const struct cm_evidence *e, time_t now, time_t skew, struct cm_buf *why)
{
	char when[CM_TIME_SIZE], age[CM_TIME_SIZE];

	if (e->this_update > now + CM_CLOCK_SKEW) {
		cm_buf_addf(why, "dated %s, %s ahead of this computer's clock",
		    cm_clock_text(e->this_update, when), cm_clock_age(e->this_update - now, age));
		return false;
	}
	if (e->next_update != 0 && e->next_update < e->this_update) {
		cm_buf_addf(why, "ends before it begins (nextUpdate before thisUpdate)");
		return false;
	}
	if (end_of(e) + skew >= now)
		return true;
	if (e->next_update == 0)
		cm_buf_addf(why, "of %s, names no nextUpdate and so counted for %d min only",
		    cm_clock_text(e->this_update, when), CM_UNDATED_MAX / 60);
	else
		cm_buf_addf(why, "expired %s, %s ago", cm_clock_text(e->next_update, when),
		    cm_clock_age(now - e->next_update, age));
	return false;
}

/* A clock that runs behind makes old evidence look young: then none counts. */
bool
cm_evidence_clock_is_sound(const struct cm_question *q, const struct cm_evidence *e, struct cm_buf *why)
{
	const struct cm_known *k = q->known;
	char now[CM_TIME_SIZE], then[CM_TIME_SIZE];

	if (!k->stale_clock && k->now >= k->floor && e->learned <= k->now + CM_CLOCK_SKEW)
		return true;
	cm_buf_addf(why, "kept from %s, counts as expired: this computer's clock says %s",
	    cm_clock_text(e->this_update, then), cm_clock_text(k->now, now));
	if (k->now < k->floor)
		cm_buf_addf(why, ", and an answer signed %s was already seen", cm_clock_text(k->floor, now));
	else
		cm_buf_add_str(why, ", and cannot be relied on");
	return false;
}

enum cm_status
cm_evidence_ask(struct cm_question *q, const char *unused)
{
	const struct cm_evidence *best = NULL;

	(void)unused;
	for (size_t i = 0; i < q->known->count; i++) {
		const struct cm_evidence *e = &q->known->evidence[i];

		if (e->status == CM_STATUS_GOOD && is_about(e, &q->answer) &&
		    (best == NULL || end_of(e) > end_of(best)))
			best = e;
	}
	if (best == NULL) {
		cm_buf_add_str(&q->why, "none is kept");
		return CM_STATUS_UNKNOWN;
	}
	if (!cm_evidence_clock_is_sound(q, best, &q->why) || !cm_evidence_current(best, q->now, 0, &q->why))
		return CM_STATUS_UNKNOWN;
	q->answer = *best;
	return CM_STATUS_GOOD;
}
