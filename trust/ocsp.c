/* trust/ocsp.c - ask an OCSP responder (RFC 6960), and judge what it says. */
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "trust/trust_internal.h"

/* RFC 9654 section 2.1: 32 octets. */
#define NONCE_SIZE	32

/* Add what stands wrong, and answer UNKNOWN: "return unknown(q, ...)". */
static enum cm_status
unknown(struct cm_question *q, const char *text)
{
	cm_buf_add_str(&q->why, text);
	return CM_STATUS_UNKNOWN;
}

/*
 * SHA-1 in the CertID names the issuer and protects nothing; many responders
 * know no other (RFC 5019 section 2.1.1).  *id lives as long as the request.
 */
static OCSP_REQUEST *
make_request(X509 *cert, X509 *issuer, OCSP_CERTID **id)
{
	OCSP_REQUEST *request = OCSP_REQUEST_new();

	if (request == NULL || (*id = OCSP_cert_to_id(EVP_sha1(), cert, issuer)) == NULL)
		goto fail;
	if (OCSP_request_add0_id(request, *id) == NULL) {
		OCSP_CERTID_free(*id);
		goto fail;
	}
	if (OCSP_request_add1_nonce(request, NULL, NONCE_SIZE) == 1)
		return request;
fail:
	OCSP_REQUEST_free(request);
	return NULL;
}

static bool
is_in_time(X509 *cert, time_t now)
{
	time_t from = 0, to = 0;

	return cm_asn1_time(X509_get0_notBefore(cert), &from) &&
	    cm_asn1_time(X509_get0_notAfter(cert), &to) && from <= now && now <= to;
}

/*
 * RFC 6960 4.2.2.2: the CA itself, or one to whom this very CA gave
 * id-kp-OCSPSigning.  Responders trusted by other means are not known here.
 */
static const char *
objection_to(X509 *signer, const struct cm_question *q)
{
	struct cm_evidence who;

	if (X509_cmp(signer, q->issuer) == 0)
		return NULL;
	if (X509_check_issued(q->issuer, signer) != X509_V_OK ||
	    X509_verify(signer, X509_get0_pubkey(q->issuer)) != 1)
		return "its signer was not appointed by the CA that issued the certificate";
	if ((X509_get_extension_flags(signer) & EXFLAG_XKUSAGE) == 0 ||
	    (X509_get_extended_key_usage(signer) & XKU_OCSP_SIGN) == 0)
		return "its signer may not sign OCSP answers (no OCSPSigning in extKeyUsage)";
	if ((X509_get_extension_flags(signer) & (EXFLAG_INVALID | EXFLAG_CRITICAL)) != 0)
		return "its signer's certificate has a critical extension that is not understood";
	if ((X509_get_key_usage(signer) & KU_DIGITAL_SIGNATURE) == 0)
		return "its signer's keyUsage lacks digitalSignature";
	if (!is_in_time(signer, q->now))
		return "its signer's certificate is not valid now";
	if (EVP_PKEY_get_security_bits(X509_get0_pubkey(signer)) < 112)
		return "its signer's key is weak";
	if (cm_evidence_name(signer, q->issuer, &who) != CM_OK ||
	    cm_known_revoked(q->known, &who) != NULL)
		return "its signer was revoked";
	return NULL;
}

static bool
verify_with(OCSP_BASICRESP *basic, X509 *signer)
{
	STACK_OF(X509) *only = sk_X509_new_null();
	bool ok = false;

	/* NOVERIFY leaves out the signer's chain, which objection_to() judged; the signature is checked. */
	if (only != NULL && sk_X509_push(only, signer) > 0)
		ok = OCSP_basic_verify(basic, only, NULL, OCSP_NOINTERN | OCSP_NOVERIFY) == 1;
	sk_X509_free(only);
	ERR_clear_error();
	return ok;
}

/* NULL: signed by one who may. */
static const char *
objection_to_signature(OCSP_BASICRESP *basic, const struct cm_question *q)
{
	STACK_OF(X509) *known = sk_X509_new_null();
	const char *why = "its signer's certificate is not in it";
	X509 *signer = NULL;

	if (known != NULL && sk_X509_push(known, q->issuer) > 0 &&
	    OCSP_resp_get0_signer(basic, &signer, known) == 1)
		why = objection_to(signer, q);
	if (why == NULL && !cm_signature_is_strong(OCSP_resp_get0_tbs_sigalg(basic)))
		why = "its signature uses a hash that is broken";
	if (why == NULL && !verify_with(basic, signer))
		why = "its signature is wrong";
	sk_X509_free(known);
	ERR_clear_error();
	return why;
}

/* NULL: it answers this request, or it does not say which. */
static const char *
objection_to_nonce(struct cm_question *q, OCSP_REQUEST *request, OCSP_BASICRESP *basic)
{
	switch (OCSP_check_nonce(request, basic)) {
	case 1:
		return NULL;
	case 0:
		return "its nonce is not ours: an answer to another request";
	default:
		q->note = ", without nonce";
		return q->trust->o.require_nonce ? "it holds no nonce, and trust.require_nonce is set" : NULL;
	}
}

static enum cm_status
judge_revoked(struct cm_question *q, int reason, const ASN1_GENERALIZEDTIME *when, bool current)
{
	/* Nothing ends a revocation but the release of a hold: other stale answers still say the truth. */
	if (!current && reason == OCSP_REVOKED_STATUS_CERTIFICATEHOLD)
		return CM_STATUS_UNKNOWN;
	cm_buf_truncate(&q->why, 0);
	if (!cm_asn1_time(when, &q->answer.revoked_at))
		q->answer.revoked_at = q->answer.this_update;
	return CM_STATUS_REVOKED;
}

static enum cm_status
judge_single(struct cm_question *q, OCSP_SINGLERESP *single)
{
	ASN1_GENERALIZEDTIME *revoked = NULL, *from = NULL, *to = NULL;
	int reason = -1;
	const int status = OCSP_single_get0_status(single, &reason, &revoked, &from, &to);
	bool current;

	if (!cm_asn1_time(from, &q->answer.this_update) ||
	    (to != NULL && !cm_asn1_time(to, &q->answer.next_update)))
		return unknown(q, "its dates are malformed");
	current = cm_evidence_current(q, &q->answer, CM_CLOCK_SKEW);
	if (status == V_OCSP_CERTSTATUS_REVOKED)
		return judge_revoked(q, reason, revoked, current);
	if (status != V_OCSP_CERTSTATUS_GOOD) {
		cm_buf_truncate(&q->why, 0);
		return unknown(q, "the responder does not know the certificate");
	}
	return current ? CM_STATUS_GOOD : CM_STATUS_UNKNOWN;
}

static enum cm_status
judge_basic(struct cm_question *q, OCSP_BASICRESP *basic, OCSP_REQUEST *request, OCSP_CERTID *id)
{
	const char *why;
	int i;

	/* RFC 6960 3.2: signature and signer before anything that it says. */
	if ((why = objection_to_signature(basic, q)) != NULL)
		return unknown(q, why);
	if ((why = objection_to_nonce(q, request, basic)) != NULL)
		return unknown(q, why);
	if ((i = OCSP_resp_find(basic, id, -1)) < 0)
		return unknown(q, "it is about another certificate");
	if (OCSP_resp_find(basic, id, i) >= 0)
		return unknown(q, "it answers twice about the certificate");
	return judge_single(q, OCSP_resp_get0(basic, i));
}

enum cm_status
cm_ocsp_judge(struct cm_question *q, struct cm_blob der, OCSP_REQUEST *request, OCSP_CERTID *id)
{
	const uint8_t *p = der.ptr;
	OCSP_RESPONSE *response = der.len > 0 ? d2i_OCSP_RESPONSE(NULL, &p, (long)der.len) : NULL;
	OCSP_BASICRESP *basic = NULL;
	enum cm_status status = CM_STATUS_UNKNOWN;

	if (response == NULL || p != der.ptr + der.len) {
		cm_buf_add_str(&q->why, "the answer is no OCSP response");
		goto out;
	}
	if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
		cm_buf_addf(&q->why, "the responder says: %s",
		    OCSP_response_status_str(OCSP_response_status(response)));
		goto out;
	}
	if ((basic = OCSP_response_get1_basic(response)) == NULL) {
		cm_buf_add_str(&q->why, "the answer is of a kind that is not understood");
		goto out;
	}
	status = judge_basic(q, basic, request, id);
out:
	ERR_clear_error();
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	return status;
}

static enum cm_err
exchange(struct cm_question *q, const char *url, OCSP_REQUEST *request, struct cm_buf *answer)
{
	unsigned char *der = NULL;
	const int len = i2d_OCSP_REQUEST(request, &der);
	enum cm_err err = CM_ERR_NOMEM;

	if (len > 0) {
		const struct cm_fetch f = {	/* RFC 6960 appendix A.1: POST */
			.url = url, .body = { der, (size_t)len },
			.type = "Content-Type: application/ocsp-request",
			.max = q->trust->o.ocsp_max, .deadline = q->deadline,
			.anchors = cm_buf_blob(&q->trust->anchors_pem),
		};

		err = cm_fetch(&f, answer, &q->why);
	}
	OPENSSL_free(der);
	return err;
}

enum cm_status
cm_ocsp_ask(struct cm_question *q, const char *url)
{
	OCSP_CERTID *id = NULL;
	OCSP_REQUEST *request = make_request(q->cert, q->issuer, &id);
	enum cm_status status = CM_STATUS_UNKNOWN;
	struct cm_buf answer;

	if (request == NULL)
		return unknown(q, "the request could not be made: out of memory");
	cm_buf_init(&answer, q->trust->o.ocsp_max);
	if (exchange(q, url, request, &answer) == CM_OK)
		status = cm_ocsp_judge(q, cm_buf_blob(&answer), request, id);
	cm_buf_free(&answer);
	OCSP_REQUEST_free(request);
	return status;
}
