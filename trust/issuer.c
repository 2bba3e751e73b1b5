/* trust/issuer.c - CAs by their key and name, for those who ask on their behalf. */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "trust/crl_internal.h"

static enum cm_err
show(X509 *cert, cm_trust_issuer_visit visit, void *arg)
{
	struct cm_trust_issuer i = { .signs_lists = cm_crl_may_sign(cert) };
	unsigned char *der = NULL;
	const int len = i2d_X509(cert, &der);
	struct cm_buf subject;
	enum cm_err err = CM_ERR_NOMEM;

	cm_buf_init(&subject, 0);
	cm_name_text(X509_get_subject_name(cert), &subject);
	if (len > 0 && cm_crl_key(cert, i.key) && cm_buf_status(&subject) == CM_OK) {
		i.der = (struct cm_blob){ der, (size_t)len };
		i.subject = cm_buf_str(&subject);
		err = visit(arg, &i);
	}
	OPENSSL_free(der);
	cm_buf_free(&subject);
	return err;
}

enum cm_err
cm_trust_issuer_of(struct cm_blob der, cm_trust_issuer_visit visit, void *arg)
{
	const uint8_t *p = der.ptr;
	X509 *cert = der.len > 0 ? d2i_X509(NULL, &p, (long)der.len) : NULL;
	const enum cm_err err = cert != NULL ? show(cert, visit, arg) : CM_ERR_SYNTAX;

	X509_free(cert);
	ERR_clear_error();
	return err;
}

enum cm_err
cm_trust_each_issuer(const struct cm_trust *tr, cm_trust_issuer_visit visit, void *arg)
{
	STACK_OF(X509) *const lists[] = { tr->anchors, tr->intermediates };
	enum cm_err err = CM_OK;

	for (size_t i = 0; i < CM_COUNT(lists); i++)
		for (int k = 0; err == CM_OK && k < sk_X509_num(lists[i]); k++)
			if (X509_check_ca(sk_X509_value(lists[i], k)) != 0)
				err = show(sk_X509_value(lists[i], k), visit, arg);
	ERR_clear_error();
	return err;
}
