/* trust/ocsp_signer.c - who signed an OCSP answer, and whether that one may (RFC 6960 section 4.2.2.2). */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "trust/ocsp_internal.h"

/* Why a signer is not heard; text NULL: it is. */
struct objection {
	enum cm_objection name;
	const char *text;
};
#define UNAUTHORISED(text)	((struct objection){ CM_OBJECTION_UNAUTHORISED, text })
#define HEARD			((struct objection){ CM_OBJECTION_NONE, NULL })

static bool
is_in_time(X509 *cert, time_t now)
{
	time_t from = 0, to = 0;

	return cm_asn1_time(X509_get0_notBefore(cert), &from) && cm_asn1_time(X509_get0_notAfter(cert), &to) &&
	    from <= now + CM_CLOCK_SKEW && now <= to;
}

static enum cm_status
ask_lists(const struct cm_question *q, X509 *signer, const struct cm_evidence *who)
{
	struct cm_question of_signer = *q;
	enum cm_status status;

	of_signer.cert = signer;
	of_signer.answer = *who;
	of_signer.warning = NULL;
	cm_buf_init(&of_signer.why, 0);
	status = cm_crl_ask_kept(&of_signer);
	cm_buf_free(&of_signer.why);
	return status;
}

/*
 * Its own revocation (RFC 6960 4.2.2.2.1): what is known here decides, of who
 * bears no ocsp-nocheck the lists too that are here.  What nobody said is said,
 * and is no objection: to ask a responder about itself would go round in circles.
 */
static struct objection
object_to_revoked(X509 *signer, struct cm_question *q)
{
	const struct cm_evidence *e;
	enum cm_status listed = CM_STATUS_GOOD;
	struct cm_evidence who;

	if (cm_evidence_name(signer, q->issuer, &who) != CM_OK)
		return UNAUTHORISED("its signer's serial number is longer than 20 octets");
	if ((e = cm_known_revoked(q->known, &who)) != NULL)
		return UNAUTHORISED(e->on_hold ? "its signer is on hold" : "its signer was revoked");
	if (X509_get_ext_by_NID(signer, NID_id_pkix_OCSP_noCheck, -1) < 0)
		listed = q->trust->o.use_crl ? ask_lists(q, signer, &who) : CM_STATUS_UNKNOWN;
	if (listed == CM_STATUS_UNKNOWN)
		q->note = ", by a responder of whose own revocation nothing is known";
	return listed == CM_STATUS_REVOKED ? UNAUTHORISED("its signer was revoked, says a list that is here") : HEARD;
}

/* The CA itself, or one to whom this very CA gave id-kp-OCSPSigning.  Responders trusted by other means are not known here. */
static struct objection
object_to(X509 *signer, struct cm_question *q)
{
	if (X509_cmp(signer, q->issuer) == 0)
		return HEARD;
	if (X509_check_issued(q->issuer, signer) != X509_V_OK ||
	    X509_verify(signer, X509_get0_pubkey(q->issuer)) != 1)
		return UNAUTHORISED("its signer was not appointed by the CA that issued the certificate");
	if (!cm_signature_is_strong(X509_get0_tbs_sigalg(signer)))
		return (struct objection){ CM_OBJECTION_WEAK_SIGNATURE,
		    "its signer's certificate is signed with a hash that is broken" };
	if ((X509_get_extension_flags(signer) & EXFLAG_XKUSAGE) == 0 ||
	    (X509_get_extended_key_usage(signer) & XKU_OCSP_SIGN) == 0)
		return UNAUTHORISED("its signer may not sign OCSP answers (no OCSPSigning in extKeyUsage)");
	if ((X509_get_extension_flags(signer) & (EXFLAG_INVALID | EXFLAG_CRITICAL)) != 0)
		return UNAUTHORISED("its signer's certificate has a critical extension that is not understood");
	if ((X509_get_key_usage(signer) & KU_DIGITAL_SIGNATURE) == 0)
		return UNAUTHORISED("its signer's keyUsage lacks digitalSignature");
	if (!is_in_time(signer, q->now))
		return UNAUTHORISED("its signer's certificate is not valid now");
	if (EVP_PKEY_get_security_bits(X509_get0_pubkey(signer)) < 112)
		return (struct objection){ CM_OBJECTION_WEAK_SIGNATURE, "its signer's key is weak" };
	return object_to_revoked(signer, q);
}

static bool
verify_with(OCSP_BASICRESP *basic, X509 *signer)
{
	STACK_OF(X509) *only = sk_X509_new_null();
	bool ok = false;

	/* NOVERIFY leaves out the signer's chain, which object_to() judged; the signature is checked. */
	if (only != NULL && sk_X509_push(only, signer) > 0)
		ok = OCSP_basic_verify(basic, only, NULL, OCSP_NOINTERN | OCSP_NOVERIFY) == 1;
	sk_X509_free(only);
	return ok;
}

bool
cm_ocsp_signed_well(struct cm_question *q, OCSP_BASICRESP *basic)
{
	STACK_OF(X509) *known = sk_X509_new_null();
	struct objection o = UNAUTHORISED("its signer's certificate is not in it");
	X509 *signer = NULL;

	if (known != NULL && sk_X509_push(known, q->issuer) > 0 && OCSP_resp_get0_signer(basic, &signer, known) == 1)
		o = object_to(signer, q);
	if (o.text == NULL && !cm_signature_is_strong(OCSP_resp_get0_tbs_sigalg(basic)))
		o = (struct objection){ CM_OBJECTION_WEAK_SIGNATURE, "its signature uses a hash that is broken" };
	if (o.text == NULL && !verify_with(basic, signer))
		o = (struct objection){ CM_OBJECTION_SIGNATURE, "its signature is wrong" };
	if (o.text != NULL)
		cm_object(q, o.name, "%s", o.text);
	else
		cm_name_cut(X509_get_subject_name(signer), q->answer.signer, sizeof(q->answer.signer));
	sk_X509_free(known);
	ERR_clear_error();
	return o.text == NULL;
}
