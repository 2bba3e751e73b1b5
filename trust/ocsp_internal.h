/* trust/ocsp_internal.h - what the files of OCSP share. */
#ifndef CM_TRUST_OCSP_INTERNAL_H
#define CM_TRUST_OCSP_INTERNAL_H

#include <openssl/ocsp.h>

#include "trust/trust_internal.h"

/* ---- ocsp_request.c */

struct cm_ocsp_request {
	OCSP_REQUEST *request;		/* that is posted; owned */
	struct cm_buf post, get;	/* DER: with a nonce; without */
	bool may_get;
};
/* The certificate's name in requests and answers, made with this hash; NULL: out of memory. */
OCSP_CERTID *cm_ocsp_id(const struct cm_question *q, const EVP_MD *md);

/* ---- ocsp_signer.c */

/* Did one sign who may, and rightly?  Then q->answer.signer names that one; if not, q says why. */
bool cm_ocsp_signed_well(struct cm_question *q, OCSP_BASICRESP *basic);

/* ---- ocsp_answer.c */

/* An OCSPResponse, whole and as DER has it, with an answer in it; NULL: q says why.  The caller frees. */
OCSP_BASICRESP *cm_ocsp_decode(struct cm_question *q, struct cm_blob der);
/* May the extensions of the answer as a whole be passed over, where they are not understood?  If not, q says why. */
bool cm_ocsp_understood(struct cm_question *q, OCSP_BASICRESP *basic);
/* What it says of the certificate; several times, of which none says revoked, is no answer. */
OCSP_SINGLERESP *cm_ocsp_find(struct cm_question *q, OCSP_BASICRESP *basic);
/* The same of the extensions of one certificate's answer. */
bool cm_ocsp_single_understood(struct cm_question *q, OCSP_SINGLERESP *single);

/* ---- ocsp.c */

/* What one certificate's answer says of it, of an answer that was signed well; as cm_ocsp_judge(). */
enum cm_status cm_ocsp_judge_single(struct cm_question *q, OCSP_BASICRESP *basic, OCSP_SINGLERESP *single,
    const struct cm_ocsp_request *asked);

#endif /* CM_TRUST_OCSP_INTERNAL_H */
