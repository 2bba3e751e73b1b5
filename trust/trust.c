/* trust/trust.c - open with what is trusted: anchors and intermediates. */
#include "trust/trust.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>

#include "trust/trust_internal.h"

/* Root, and what may stand between it and a card: more is no real chain. */
#define DEPTH_MAX	8

/* Hashed folders show each certificate twice, by its name and by its link. */
static enum cm_err
add_once(void *arg, const char *file, X509 *cert)
{
	STACK_OF(X509) *out = arg;

	(void)file;
	for (int i = 0; i < sk_X509_num(out); i++)
		if (X509_cmp(sk_X509_value(out, i), cert) == 0)
			return CM_OK;
	if (X509_up_ref(cert) != 1)
		return CM_ERR_NOMEM;
	if (sk_X509_push(out, cert) > 0)
		return CM_OK;
	X509_free(cert);
	return CM_ERR_NOMEM;
}

static enum cm_err
load_all(const char *const *paths, bool if_there, struct cm_trace *t, STACK_OF(X509) *out)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && paths != NULL && paths[i] != NULL; i++)
		err = cm_pem_each(paths[i], if_there, t, add_once, out);
	return err;
}

static bool
has(STACK_OF(X509) *certs, const X509 *cert)
{
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (X509_cmp(sk_X509_value(certs, i), cert) == 0)
			return true;
	return false;
}

static bool
has_issuer_of(STACK_OF(X509) *certs, X509 *cert)
{
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (X509_cmp(sk_X509_value(certs, i), cert) != 0 &&
		    X509_check_issued(sk_X509_value(certs, i), cert) == X509_V_OK)
			return true;
	return false;
}

/*
 * A file that both lists name holds roots and what stands below them, as other
 * programs have it: the chain goes on to a root, and each CA below may be
 * revoked.  One whose issuer is not here stays an anchor: nothing is above it.
 */
static enum cm_err
leave_to_intermediates(STACK_OF(X509) *anchors, STACK_OF(X509) *intermediates)
{
	STACK_OF(X509) *all = X509_chain_up_ref(anchors);

	if (all == NULL)
		return CM_ERR_NOMEM;
	for (int i = sk_X509_num(all); i-- > 0;) {
		X509 *cert = sk_X509_value(all, i);

		if (X509_self_signed(cert, 1) == 0 && has(intermediates, cert) &&
		    (has_issuer_of(all, cert) || has_issuer_of(intermediates, cert)))
			X509_free(sk_X509_delete(anchors, i));
	}
	sk_X509_pop_free(all, X509_free);
	ERR_clear_error();
	return CM_OK;
}

/* For libcurl, which takes PEM. */
static enum cm_err
write_pem(STACK_OF(X509) *certs, struct cm_buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	enum cm_err err = bio != NULL ? CM_OK : CM_ERR_NOMEM;
	char *text = NULL;
	long len;

	for (int i = 0; err == CM_OK && i < sk_X509_num(certs); i++)
		if (PEM_write_bio_X509(bio, sk_X509_value(certs, i)) != 1)
			err = CM_ERR_NOMEM;
	if (err == CM_OK && (len = BIO_get_mem_data(bio, &text)) > 0)
		cm_buf_add(out, text, (size_t)len);
	BIO_free(bio);
	return err == CM_OK ? cm_buf_status(out) : err;
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
	if ((err = load_all(tr->o.anchors, tr->o.anchors_if_there, t, tr->anchors)) != CM_OK)
		return err;
	if ((err = load_all(tr->o.intermediates, tr->o.intermediates_if_there, t, tr->intermediates)) != CM_OK)
		return err;
	if ((err = leave_to_intermediates(tr->anchors, tr->intermediates)) != CM_OK ||
	    (err = write_pem(tr->anchors, &tr->anchors_pem)) != CM_OK)
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

size_t
cm_trust_anchor_count(const struct cm_trust *tr)
{
	return (size_t)sk_X509_num(tr->anchors);
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
