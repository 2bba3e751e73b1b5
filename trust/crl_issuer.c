/* trust/crl_issuer.c - whose list it is: the certificates of who may sign lists about others (RFC 5280 6.3.3 (f)). */
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "trust/crl_internal.h"

#define HEAD	65536	/* octets of a list in which its issuer's name stands */

bool
cm_crl_key(X509 *issuer, uint8_t key[32])
{
	unsigned char *spki = NULL;
	const int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(issuer), &spki);
	const bool ok = len > 0 && EVP_Digest(spki, (size_t)len, key, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_free(spki);
	return ok;
}

/* Without keyUsage OpenSSL answers with every bit. */
bool
cm_crl_may_sign(X509 *issuer)
{
	return (X509_get_key_usage(issuer) & KU_CRL_SIGN) != 0;
}

static bool
is_known_revoked(const struct cm_known *known, X509 *cert, X509 *issuer)
{
	struct cm_evidence name;

	return known != NULL && cm_evidence_name(cert, issuer, &name) == CM_OK && cm_known_revoked(known, &name) != NULL;
}

/* The certification path, to the very anchor that the certificate's own ends at, where that is known. */
static bool
has_path(const struct cm_crl_asker *a, X509 *issuer)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *built;
	bool ok = false;

	if (ctx == NULL || X509_STORE_CTX_init(ctx, a->trust->store, issuer, a->trust->intermediates) != 1)
		goto out;
	if (a->any_time)
		X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_NO_CHECK_TIME);
	else
		X509_STORE_CTX_set_time(ctx, 0, a->now);
	if (X509_verify_cert(ctx) != 1)
		goto out;
	built = X509_STORE_CTX_get0_chain(ctx);
	ok = a->anchor == NULL || X509_cmp(a->anchor, sk_X509_value(built, sk_X509_num(built) - 1)) == 0;
	for (int i = 0; ok && i + 1 < sk_X509_num(built); i++)
		ok = !is_known_revoked(a->known, sk_X509_value(built, i), sk_X509_value(built, i + 1));
out:
	X509_STORE_CTX_free(ctx);
	return ok;
}

const char *
cm_crl_issuer_objection(const struct cm_crl_asker *a, X509 *issuer)
{
	if (!cm_crl_may_sign(issuer))
		return "the CA may not sign revocation lists (no cRLSign in its keyUsage)";
	/* Of the certificate's own issuer the chain was checked. */
	if (issuer == a->issuer || has_path(a, issuer))
		return NULL;
	return "who signs it comes from no anchor that the certificate comes from";
}

static bool
visit_stack(STACK_OF(X509) *certs, const X509_NAME *name, cm_crl_issuer_visit visit, void *arg)
{
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *c = sk_X509_value(certs, i);

		if ((name == NULL || X509_NAME_cmp(X509_get_subject_name(c), name) == 0) && !visit(arg, c))
			return false;
	}
	return true;
}

void
cm_crl_each_issuer(const struct cm_crl_asker *a, const X509_NAME *name, cm_crl_issuer_visit visit, void *arg)
{
	if (a->issuer != NULL && (name == NULL || X509_NAME_cmp(X509_get_subject_name(a->issuer), name) == 0) &&
	    !visit(arg, a->issuer))
		return;
	if (visit_stack(a->more, name, visit, arg) && visit_stack(a->trust->intermediates, name, visit, arg))
		visit_stack(a->trust->anchors, name, visit, arg);
}

/* Which of those with this name. */
struct choosing {
	const struct cm_crl_asker *a;
	struct cm_blob key_id;		/* of the list; empty: it names none */
	X509 *best;
	bool by_id;			/* best has the identifier */
	unsigned count;			/* different keys */
	uint8_t key[32];		/* of best */
};

static bool
choose(void *arg, X509 *c)
{
	struct choosing *w = arg;
	const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(c);
	const bool same = id != NULL && w->key_id.len > 0 && cm_blob_equal(w->key_id,
	    (struct cm_blob){ ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id) });
	uint8_t key[32];

	if (!cm_crl_key(c, key) || (w->best != NULL && memcmp(key, w->key, sizeof(key)) == 0))
		return true;
	w->count++;
	if (w->best == NULL || (same && !w->by_id)) {
		w->best = c;
		w->by_id = same;
		memcpy(w->key, key, sizeof(key));
	}
	return true;
}

/* The name in the head of the list, DER or PEM; NULL: there is none, and what is wrong with it is said when it is read. */
static X509_NAME *
name_in(int fd)
{
	struct cm_crl_bytes b;
	X509_NAME *name = NULL;
	struct cm_blob in, list, tbs, skip;
	const uint8_t *p;
	struct cm_der d;

	if (cm_crl_bytes_open(&b, fd, UINT64_MAX) != CM_OK)
		goto out;
	in.ptr = cm_crl_bytes_peek(&b, HEAD, &in.len);
	/* Both sequences are longer than the window. */
	for (int i = 0; i < 2; i++) {
		if (!cm_der_head(in.ptr, in.len, &d) || d.tag != 0x30)
			goto out;
		in = (struct cm_blob){ in.ptr + d.head, in.len - d.head };
	}
	list = tbs = in;
	if (cm_der_take(&list, 0x02, &skip))
		tbs = list;
	if (!cm_der_take(&tbs, 0x30, &skip))
		goto out;
	p = tbs.ptr;
	name = d2i_X509_NAME(NULL, &p, (long)tbs.len);
out:
	cm_crl_bytes_close(&b);
	return name;
}

static void
read_key_id(int fd, uint64_t max, struct cm_crl_list *list)
{
	const struct cm_crl_parsing parsing = { .fd = fd, .max = max };
	struct cm_buf why;

	cm_buf_init(&why, 0);
	if (cm_crl_parse(&parsing, list, &why) != CM_OK)
		cm_buf_truncate(&list->key_id, 0);
	cm_buf_free(&why);
}

X509 *
cm_crl_choose_issuer(const struct cm_crl_asker *a, int fd, uint64_t max, bool *named)
{
	X509_NAME *name = name_in(fd);
	struct choosing w = { .a = a };
	struct cm_crl_list list = { 0 };

	*named = name != NULL;
	if (*named)
		cm_crl_each_issuer(a, name, choose, &w);
	/* RFC 5280 5.2.1: two keys of one name are told apart by the identifier; that stands behind all entries. */
	if (w.count > 1) {
		read_key_id(fd, max, &list);
		w = (struct choosing){ .a = a, .key_id = cm_buf_blob(&list.key_id) };
		cm_crl_each_issuer(a, name, choose, &w);
		cm_crl_list_free(&list);
	}
	X509_NAME_free(name);
	return w.best;
}
