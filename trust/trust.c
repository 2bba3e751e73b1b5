/* trust/trust.c - open with what is trusted: anchors and intermediates. */
#include "trust/trust.h"

#include <openssl/x509_vfy.h>
#include <stdlib.h>

#include "trust/trust_internal.h"

/* Root, and what may stand between it and a card: more is no real chain. */
#define DEPTH_MAX	8

static enum cm_err
load_all(const char *const *paths, struct cm_trace *t, STACK_OF(X509) *out, struct cm_buf *raw)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && paths != NULL && paths[i] != NULL; i++)
		err = cm_pem_load(paths[i], t, out, raw);
	return err;
}

static enum cm_err
make_store(struct cm_trust *tr)
{
	X509_VERIFY_PARAM *p;

	if ((tr->store = X509_STORE_new()) == NULL)
		return CM_ERR_NOMEM;
	for (int i = 0; i < sk_X509_num(tr->anchors); i++)
		if (X509_STORE_add_cert(tr->store, sk_X509_value(tr->anchors, i)) != 1)
			return CM_ERR_NOMEM;
	p = X509_STORE_get0_param(tr->store);
	/* RFC 5280 6.1.1 (d): any CA may be an anchor, signed by itself or not. */
	if (X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN) != 1)
		return CM_ERR_NOMEM;
	X509_VERIFY_PARAM_set_depth(p, DEPTH_MAX);
	/* NIST SP 800-57 Part 1, table 2: 112 bits are RSA-2048; no SHA-1 in signatures. */
	X509_VERIFY_PARAM_set_auth_level(p, 2);
	return CM_OK;
}

static enum cm_err
fill(struct cm_trust *tr, struct cm_trace *t)
{
	enum cm_err err;

	cm_buf_init(&tr->anchors_pem, 0);
	if ((tr->anchors = sk_X509_new_null()) == NULL ||
	    (tr->intermediates = sk_X509_new_null()) == NULL)
		return CM_ERR_NOMEM;
	if (tr->o.level == CM_TRUST_OFF)
		return CM_OK;
	if ((err = load_all(tr->o.anchors, t, tr->anchors, &tr->anchors_pem)) != CM_OK)
		return err;
	if ((err = load_all(tr->o.intermediates, t, tr->intermediates, NULL)) != CM_OK)
		return err;
	return make_store(tr);
}

enum cm_err
cm_trust_open(const struct cm_trust_options *o, struct cm_trace *t, struct cm_trust **out)
{
	enum cm_err err;

	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	(*out)->o = *o;
	if ((err = fill(*out, t)) != CM_OK)
		cm_trust_close(out);
	return err;
}

void
cm_trust_close(struct cm_trust **tr)
{
	if (*tr == NULL)
		return;
	X509_STORE_free((*tr)->store);
	sk_X509_pop_free((*tr)->anchors, X509_free);
	sk_X509_pop_free((*tr)->intermediates, X509_free);
	cm_buf_free(&(*tr)->anchors_pem);
	free(*tr);
	*tr = NULL;
}
