/* trust/ocsp_request.c - what an OCSP responder is asked: by POST (RFC 6960 appendix A), or by GET (RFC 5019 section 5). */
#include <openssl/err.h>
#include <stdlib.h>

#include "trust/ocsp_internal.h"

/* RFC 9654 section 2.1: 32 octets. */
#define NONCE_SIZE	32
/* RFC 5019 section 5: a longer URL is asked by POST. */
#define GET_MAX		255

OCSP_CERTID *
cm_ocsp_id(const struct cm_question *q, const EVP_MD *md)
{
	return OCSP_cert_to_id(md, q->cert, q->issuer);
}

static enum cm_err
encode(OCSP_REQUEST *request, struct cm_buf *out)
{
	unsigned char *der = NULL;
	const int len = i2d_OCSP_REQUEST(request, &der);

	if (len <= 0)
		return CM_ERR_NOMEM;
	cm_buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
	return cm_buf_status(out);
}

/*
 * SHA-1 in the CertID names the issuer and protects nothing; many responders
 * know no other (RFC 5019 section 2.1.1).  Asked by GET there is no nonce: such
 * answers are made beforehand, and any cache may give them.
 */
static enum cm_err
fill(struct cm_ocsp_request *r, const struct cm_question *q)
{
	OCSP_CERTID *id = cm_ocsp_id(q, q->trust->o.ocsp_hash == CM_TRUST_SHA256 ? EVP_sha256() : EVP_sha1());
	enum cm_err err;

	r->may_get = q->trust->o.ocsp_get && !q->trust->o.require_nonce;
	if (id == NULL || (r->request = OCSP_REQUEST_new()) == NULL ||
	    OCSP_request_add0_id(r->request, id) == NULL) {
		OCSP_CERTID_free(id);
		return CM_ERR_NOMEM;
	}
	if ((err = encode(r->request, &r->get)) != CM_OK)
		return err;
	if (OCSP_request_add1_nonce(r->request, NULL, NONCE_SIZE) != 1)
		return CM_ERR_NOMEM;
	return encode(r->request, &r->post);
}

enum cm_err
cm_ocsp_request_new(const struct cm_question *q, struct cm_ocsp_request **out)
{
	enum cm_err err;

	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	if ((err = fill(*out, q)) != CM_OK)
		cm_ocsp_request_free(out);
	ERR_clear_error();
	return err;
}

void
cm_ocsp_request_free(struct cm_ocsp_request **r)
{
	if (*r == NULL)
		return;
	OCSP_REQUEST_free((*r)->request);
	cm_buf_free(&(*r)->post);
	cm_buf_free(&(*r)->get);
	free(*r);
	*r = NULL;
}

struct cm_blob
cm_ocsp_request_body(const struct cm_ocsp_request *r)
{
	return cm_buf_blob(&r->post);
}

/* RFC 3986 section 2.2: of base64's digits these three mean something else in a path. */
static void
add_path(struct cm_buf *out, const struct cm_buf *base64)
{
	for (size_t i = 0; i < base64->len; i++) {
		const char c = (char)base64->ptr[i];

		if (c == '+' || c == '/' || c == '=')
			cm_buf_addf(out, "%%%02X", (unsigned)c);
		else
			cm_buf_add_byte(out, (uint8_t)c);
	}
}

enum cm_err
cm_ocsp_request_url(const struct cm_ocsp_request *r, const char *base, struct cm_buf *url)
{
	const size_t path = strcspn(base, "?#"), query = strcspn(base + path, "#");
	struct cm_buf base64;
	enum cm_err err;

	if (!r->may_get)
		return CM_OK;
	cm_buf_init(&base64, 0);
	cm_buf_add_base64(&base64, cm_buf_blob(&r->get));
	cm_buf_add(url, base, path);
	if (path == 0 || base[path - 1] != '/')
		cm_buf_add_byte(url, '/');
	add_path(url, &base64);
	cm_buf_add(url, base + path, query);
	err = cm_buf_status(&base64) != CM_OK ? cm_buf_status(&base64) : cm_buf_status(url);
	cm_buf_free(&base64);
	if (err == CM_OK && url->len > GET_MAX)
		cm_buf_truncate(url, 0);
	return err;
}

enum cm_err
cm_ocsp_prepare(const struct cm_question *q, const char *url, struct cm_ocsp_request **r, struct cm_buf *get,
    struct cm_fetch *f)
{
	enum cm_err err;

	cm_buf_truncate(get, 0);
	if ((*r == NULL && (err = cm_ocsp_request_new(q, r)) != CM_OK) ||
	    (err = cm_ocsp_request_url(*r, url, get)) != CM_OK)
		return err;
	f->url = get->len > 0 ? cm_buf_str(get) : url;
	if (get->len == 0) {
		f->body = cm_ocsp_request_body(*r);
		f->type = "application/ocsp-request";
	}
	f->max = q->trust->o.ocsp_max;
	return CM_OK;
}
