/* trust/ocsp_answer.c - an OCSP response taken apart: its form, its extensions, and where it speaks of the certificate. */
#include <openssl/err.h>

#include "trust/ocsp_internal.h"

static bool
object(struct cm_question *q, enum cm_objection o, const char *text)
{
	cm_object(q, o, "%s", text);
	return false;
}

/*
 * The signature is checked over what the decoded answer is encoded to again,
 * so that must be these very octets: nothing of BER, nothing behind the end.
 */
static bool
is_encoded_so(OCSP_BASICRESP *basic, struct cm_blob der)
{
	OCSP_RESPONSE *again = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	unsigned char *octets = NULL;
	const int len = again != NULL ? i2d_OCSP_RESPONSE(again, &octets) : 0;
	const bool same = len > 0 && cm_blob_equal(der, (struct cm_blob){ octets, (size_t)len });

	OPENSSL_free(octets);
	OCSP_RESPONSE_free(again);
	return same;
}

static void
object_to_status(struct cm_question *q, int status)
{
	/* RFC 6960 4.2.1: "(4) is not used". */
	if (status >= OCSP_RESPONSE_STATUS_MALFORMEDREQUEST && status <= OCSP_RESPONSE_STATUS_UNAUTHORIZED && status != 4)
		cm_object(q, CM_OBJECTION_RESPONDER_ERROR, "the responder says: %s", OCSP_response_status_str(status));
	else
		cm_object(q, CM_OBJECTION_RESPONDER_ERROR, "the responder says %d, which means nothing", status);
}

OCSP_BASICRESP *
cm_ocsp_decode(struct cm_question *q, struct cm_blob der)
{
	const uint8_t *p = der.ptr;
	OCSP_RESPONSE *response = der.len > 0 ? d2i_OCSP_RESPONSE(NULL, &p, (long)der.len) : NULL;
	OCSP_BASICRESP *basic = NULL;

	if (response == NULL || p != der.ptr + der.len)
		object(q, CM_OBJECTION_NOT_OCSP, "the answer is no OCSP response");
	else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		object_to_status(q, OCSP_response_status(response));
	else if ((basic = OCSP_response_get1_basic(response)) == NULL)
		object(q, CM_OBJECTION_NOT_OCSP, "the answer is of a kind that is not understood");
	else if (!is_encoded_so(basic, der)) {
		object(q, CM_OBJECTION_NOT_OCSP, "the answer is not encoded as it must be (DER)");
		OCSP_BASICRESP_free(basic);
		basic = NULL;
	}
	ERR_clear_error();
	OCSP_RESPONSE_free(response);
	return basic;
}

/* Of answers as a whole: RFC 6960 4.4.1, 4.4.8. */
static const char *const whole[] = { "1.3.6.1.5.5.7.48.1.2", "1.3.6.1.5.5.7.48.1.9", NULL };
/* Of one certificate's: 4.4.2 CrlID, 4.4.4 archive cutoff; RFC 5280 5.3.1 reasonCode, 5.3.2 invalidityDate. */
static const char *const single[] = { "1.3.6.1.5.5.7.48.1.3", "1.3.6.1.5.5.7.48.1.6", "2.5.29.21", "2.5.29.24", NULL };

/* RFC 6960 4.4: what is critical and not known forbids to go by the answer.  NULL: nothing is. */
static bool
understood(struct cm_question *q, X509_EXTENSION *e, const char *const *known)
{
	char oid[80] = "";

	if (!X509_EXTENSION_get_critical(e))
		return true;
	OBJ_obj2txt(oid, sizeof(oid), X509_EXTENSION_get_object(e), 1);
	for (; *known != NULL; known++)
		if (strcmp(*known, oid) == 0)
			return true;
	cm_object(q, CM_OBJECTION_NOT_UNDERSTOOD, "it holds a critical extension that is not understood (%s)", oid);
	return false;
}

bool
cm_ocsp_understood(struct cm_question *q, OCSP_BASICRESP *basic)
{
	for (int i = 0; i < OCSP_BASICRESP_get_ext_count(basic); i++) {
		X509_EXTENSION *e = OCSP_BASICRESP_get_ext(basic, i);

		if (!understood(q, e, whole))
			return false;
		if (OCSP_BASICRESP_get_ext_by_OBJ(basic, X509_EXTENSION_get_object(e), i) >= 0)
			return object(q, CM_OBJECTION_NOT_OCSP, "the answer holds an extension twice");
	}
	return true;
}

bool
cm_ocsp_single_understood(struct cm_question *q, OCSP_SINGLERESP *s)
{
	for (int i = 0; i < OCSP_SINGLERESP_get_ext_count(s); i++)
		if (!understood(q, OCSP_SINGLERESP_get_ext(s, i), single))
			return false;
	return true;
}

/* Whatever was asked with: a responder may know one hash only (RFC 5019 section 2.1.1, RFC 9654 appendix). */
struct names {
	OCSP_CERTID *sha1, *sha256;
};

static bool
is_about(const OCSP_SINGLERESP *s, const struct names *n)
{
	const OCSP_CERTID *id = OCSP_SINGLERESP_get0_id(s);

	return OCSP_id_cmp(id, n->sha1) == 0 || OCSP_id_cmp(id, n->sha256) == 0;
}

/* Of several the worse: revoked for good, on hold, any other. */
static int
weight(OCSP_SINGLERESP *s)
{
	int reason = -1;

	if (OCSP_single_get0_status(s, &reason, NULL, NULL, NULL) != V_OCSP_CERTSTATUS_REVOKED)
		return 0;
	return reason == OCSP_REVOKED_STATUS_CERTIFICATEHOLD || reason == OCSP_REVOKED_STATUS_REMOVEFROMCRL ? 1 : 2;
}

static OCSP_SINGLERESP *
search(struct cm_question *q, OCSP_BASICRESP *basic, const struct names *n)
{
	OCSP_SINGLERESP *found = NULL;
	unsigned times = 0;

	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *s = OCSP_resp_get0(basic, i);

		if (!is_about(s, n))
			continue;
		times++;
		if (found == NULL || weight(s) > weight(found))
			found = s;
	}
	if (times > 1 && weight(found) == 0) {
		object(q, CM_OBJECTION_AMBIGUOUS, "it answers twice about the certificate");
		return NULL;
	}
	if (found == NULL)
		object(q, CM_OBJECTION_OTHER_CERTIFICATE, "it is about another certificate");
	return found;
}

OCSP_SINGLERESP *
cm_ocsp_find(struct cm_question *q, OCSP_BASICRESP *basic)
{
	const struct names n = { cm_ocsp_id(q, EVP_sha1()), cm_ocsp_id(q, EVP_sha256()) };
	OCSP_SINGLERESP *found = NULL;

	if (n.sha1 != NULL && n.sha256 != NULL)
		found = search(q, basic, &n);
	else
		object(q, CM_OBJECTION_NOT_KEPT, "out of memory");
	OCSP_CERTID_free(n.sha1);
	OCSP_CERTID_free(n.sha256);
	return found;
}
