/* trust/verdict.c - the verdict: made here only, and read as yes in one place. */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "trust/trust_internal.h"

enum cm_err
cm_verdict_new(const struct cm_trust *tr, const struct cm_cert *c, struct cm_verdict **out)
{
	struct cm_verdict *v = calloc(1, sizeof(*v));

	if ((*out = v) == NULL)
		return CM_ERR_NOMEM;
	v->trust = tr;
	v->cert = cm_cert_ref(c);
	return CM_OK;
}

enum cm_err
cm_verdict_keep_chain(struct cm_verdict *v, STACK_OF(X509) *chain)
{
	const int count = sk_X509_num(chain);

	if ((v->chain = X509_chain_up_ref(chain)) == NULL ||
	    (v->der = calloc((size_t)count, sizeof(*v->der))) == NULL)
		return CM_ERR_NOMEM;
	for (int i = 0; i < count; i++) {
		unsigned char *der = NULL;
		const int len = i2d_X509(sk_X509_value(chain, i), &der);

		if (len <= 0)
			return CM_ERR_NOMEM;
		v->der[v->der_count++] = (struct cm_blob){ der, (size_t)len };
	}
	return CM_OK;
}

enum cm_err
cm_verdict_add(struct cm_verdict *v, const struct cm_evidence *e)
{
	struct cm_evidence *more = realloc(v->evidence, (v->evidence_count + 1) * sizeof(*more));

	if (more == NULL)
		return CM_ERR_NOMEM;
	v->evidence = more;
	v->evidence[v->evidence_count++] = *e;
	return CM_OK;
}

bool
cm_verdict_passes(const struct cm_verdict *v, const struct cm_cert *c)
{
	return v != NULL && c != NULL && v->chain_passed && v->revocation_passed &&
	    cm_blob_equal(cm_cert_sha256(v->cert), cm_cert_sha256(c));
}

enum cm_status
cm_verdict_status(const struct cm_verdict *v)
{
	return v->status;
}

const struct cm_evidence *
cm_verdict_evidence(const struct cm_verdict *v, size_t *count)
{
	*count = v->evidence_count;
	return v->evidence;
}

time_t
cm_verdict_signed_time(const struct cm_verdict *v)
{
	return v->signed_time;
}

const struct cm_blob *
cm_verdict_chain(const struct cm_verdict *v, size_t *count)
{
	*count = v->der_count;
	return v->der;
}

enum cm_err
cm_verdict_name(const struct cm_verdict *v, size_t i, struct cm_evidence *name)
{
	if (v->chain == NULL || i + 1 >= (size_t)sk_X509_num(v->chain))
		return CM_ERR_ABSENT;
	return cm_evidence_name(sk_X509_value(v->chain, (int)i), sk_X509_value(v->chain, (int)i + 1), name);
}

void
cm_verdict_free(struct cm_verdict **v)
{
	if (*v == NULL)
		return;
	cm_cert_free(&(*v)->cert);
	sk_X509_pop_free((*v)->chain, X509_free);
	for (size_t i = 0; i < (*v)->der_count; i++)
		OPENSSL_free((void *)(uintptr_t)(*v)->der[i].ptr);
	free((*v)->der);
	free((*v)->evidence);
	free(*v);
	*v = NULL;
}
