/* trust/ocsp.c - judge what an OCSP responder says (RFC 6960, RFC 5019). */
#include <openssl/err.h>

#include "trust/ocsp_internal.h"

/* An answer whose signature and signer are in order. */
struct reading {
	OCSP_BASICRESP *basic;
	OCSP_SINGLERESP *single;
	time_t produced;
	int status, reason;
	const ASN1_GENERALIZEDTIME *revoked;
};

static enum cm_status
unknown(struct cm_question *q, enum cm_objection o, const char *text)
{
	cm_object(q, o, "%s", text);
	return CM_STATUS_UNKNOWN;
}

static bool
read_single(struct cm_question *q, struct reading *r)
{
	ASN1_GENERALIZEDTIME *revoked = NULL, *from = NULL, *to = NULL;

	r->status = OCSP_single_get0_status(r->single, &r->reason, &revoked, &from, &to);
	r->revoked = revoked;
	q->answer.on_hold = false;
	q->answer.next_update = q->answer.revoked_at = 0;
	if (cm_asn1_time(from, &q->answer.this_update) && (to == NULL || cm_asn1_time(to, &q->answer.next_update)) &&
	    cm_asn1_time(OCSP_resp_get0_produced_at(r->basic), &r->produced))
		return true;
	unknown(q, CM_OBJECTION_MALFORMED_DATES, "its dates are malformed");
	return false;
}

static bool
object_to_future(struct cm_question *q, time_t when)
{
	char text[CM_TIME_SIZE], age[CM_TIME_SIZE];

	cm_object(q, CM_OBJECTION_FUTURE, "dated %s, %s ahead of this computer's clock", cm_clock_text(when, text),
	    cm_clock_age(when - q->now, age));
	return false;
}

static bool
object_to_age(struct cm_question *q, time_t end)
{
	char when[CM_TIME_SIZE], age[CM_TIME_SIZE];

	if (q->answer.next_update == 0)
		cm_object(q, CM_OBJECTION_STALE, "of %s, names no nextUpdate and so counted for %s only",
		    cm_clock_text(q->answer.this_update, when), cm_clock_age(end - q->answer.this_update, age));
	else
		cm_object(q, CM_OBJECTION_STALE, "expired %s, %s ago", cm_clock_text(end, when),
		    cm_clock_age(q->now - end, age));
	return false;
}

/* RFC 6960 3.2 (5), (6); 4.2.2.1. */
static bool
is_current(struct cm_question *q, const struct reading *r)
{
	const struct cm_evidence *e = &q->answer;
	const time_t end = cm_evidence_end(e, cm_undated_max(q->trust));

	if (e->this_update > q->now + CM_CLOCK_SKEW || r->produced > q->now + CM_CLOCK_SKEW)
		return object_to_future(q, e->this_update > r->produced ? e->this_update : r->produced);
	if (end < e->this_update) {
		unknown(q, CM_OBJECTION_MALFORMED_DATES, "ends before it begins (nextUpdate before thisUpdate)");
		return false;
	}
	if (e->this_update > r->produced + CM_CLOCK_SKEW) {
		unknown(q, CM_OBJECTION_MALFORMED_DATES, "was made before it began to be true (producedAt before thisUpdate)");
		return false;
	}
	return end + CM_CLOCK_SKEW >= q->now || object_to_age(q, end);
}

/* No nonce in the answer is no replay: its dates tell (RFC 5019 section 4); another one is an answer to another request. */
static bool
answers_this(struct cm_question *q, const struct reading *r, const struct cm_ocsp_request *asked)
{
	if (asked == NULL)
		return true;
	switch (OCSP_check_nonce(asked->request, r->basic)) {
	case 1:
		return true;
	case 0:
		unknown(q, CM_OBJECTION_OTHER_NONCE, "its nonce is not ours: an answer to another request");
		return false;
	default:
		q->note = q->note[0] == '\0' ? ", without nonce" :
		    ", without nonce, by a responder of whose own revocation nothing is known";
		if (q->trust->o.require_nonce)
			unknown(q, CM_OBJECTION_NO_NONCE, "it holds no nonce, and trust.require_nonce is set");
		return !q->trust->o.require_nonce;
	}
}

/* removeFromCRL belongs into delta lists, where it ends a hold (RFC 5280 5.3.1): said beside "revoked", it can mean no more. */
static bool
may_end(int reason)
{
	return reason == OCSP_REVOKED_STATUS_CERTIFICATEHOLD || reason == OCSP_REVOKED_STATUS_REMOVEFROMCRL;
}

/*
 * When.  Later than the answer it cannot be, and RFC 6960 4.4.8 has 1970 for
 * what was never issued: as a hold, for a responder may be behind its CA.
 */
static time_t
revoked_at(const struct cm_question *q, const struct reading *r)
{
	time_t at = 0;

	if (!cm_asn1_time(r->revoked, &at) || at > q->answer.this_update)
		return q->answer.this_update;
	if (at == 0 && r->reason == OCSP_REVOKED_STATUS_CERTIFICATEHOLD)
		return CM_NEVER_ISSUED;
	return at > 0 ? at : q->answer.this_update;
}

/*
 * Nothing ends a revocation but the release of a hold: any other answer says
 * the truth whatever its dates, and whoever asked for it.
 */
static enum cm_status
judge_revoked(struct cm_question *q, const struct reading *r, const struct cm_ocsp_request *asked)
{
	q->answer.on_hold = may_end(r->reason);
	if (q->answer.on_hold && (!answers_this(q, r, asked) || !is_current(q, r)))
		return CM_STATUS_UNKNOWN;
	q->answer.revoked_at = revoked_at(q, r);
	if (q->answer.revoked_at == CM_NEVER_ISSUED)
		q->note = ", as one that its CA never issued";
	return CM_STATUS_REVOKED;
}

enum cm_status
cm_ocsp_judge_single(struct cm_question *q, OCSP_BASICRESP *basic, OCSP_SINGLERESP *single,
    const struct cm_ocsp_request *asked)
{
	struct reading r = { .basic = basic, .single = single, .reason = -1 };

	if (!read_single(q, &r) || !cm_ocsp_single_understood(q, single))
		return CM_STATUS_UNKNOWN;
	if (r.status == V_OCSP_CERTSTATUS_REVOKED)
		return judge_revoked(q, &r, asked);
	if (!answers_this(q, &r, asked))
		return CM_STATUS_UNKNOWN;
	if (r.status != V_OCSP_CERTSTATUS_GOOD)
		return unknown(q, CM_OBJECTION_UNKNOWN_CERTIFICATE, "the responder does not know the certificate");
	return is_current(q, &r) ? CM_STATUS_GOOD : CM_STATUS_UNKNOWN;
}

static enum cm_status
judge_basic(struct cm_question *q, OCSP_BASICRESP *basic, const struct cm_ocsp_request *asked)
{
	OCSP_SINGLERESP *single;

	/* RFC 6960 3.2: signature and signer before anything that it says. */
	if (!cm_ocsp_signed_well(q, basic) || !cm_ocsp_understood(q, basic) || (single = cm_ocsp_find(q, basic)) == NULL)
		return CM_STATUS_UNKNOWN;
	return cm_ocsp_judge_single(q, basic, single, asked);
}

enum cm_status
cm_ocsp_judge(struct cm_question *q, struct cm_blob der, const struct cm_ocsp_request *r, bool posted)
{
	OCSP_BASICRESP *basic = cm_ocsp_decode(q, der);
	enum cm_status status = CM_STATUS_UNKNOWN;

	/* By GET no nonce was sent: what a cache gives may hold that of somebody else. */
	if (basic != NULL)
		status = judge_basic(q, basic, posted ? r : NULL);
	OCSP_BASICRESP_free(basic);
	ERR_clear_error();
	return status;
}
