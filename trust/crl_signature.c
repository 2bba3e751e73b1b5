/* trust/crl_signature.c - verify while the octets pass, by what AlgorithmIdentifier says. */
#include <openssl/objects.h>
#include <openssl/rsa.h>

#include "trust/crl_internal.h"

static const EVP_MD *
digest_of(const X509_ALGOR *alg)
{
	const ASN1_OBJECT *oid = NULL;

	if (alg == NULL)
		return EVP_sha1();	/* RFC 4055 section 3.1: the default */
	X509_ALGOR_get0(&oid, NULL, NULL, alg);
	return EVP_get_digestbyobj(oid);
}

/* The hash in MGF1's own parameters. */
static const EVP_MD *
mask_digest(const RSA_PSS_PARAMS *pss)
{
	const EVP_MD *md = EVP_sha1();
	const ASN1_OBJECT *oid = NULL;
	const void *value = NULL;
	X509_ALGOR *inner;
	int type;

	if (pss->maskGenAlgorithm == NULL)
		return md;
	X509_ALGOR_get0(&oid, &type, &value, pss->maskGenAlgorithm);
	if (OBJ_obj2nid(oid) != NID_mgf1 || type != V_ASN1_SEQUENCE ||
	    (inner = ASN1_item_unpack(value, ASN1_ITEM_rptr(X509_ALGOR))) == NULL)
		return NULL;
	md = digest_of(inner);
	X509_ALGOR_free(inner);
	return md;
}

/* RFC 4055 section 3.1. */
static bool
begin_pss(EVP_MD_CTX *ctx, EVP_PKEY *key, const X509_ALGOR *alg)
{
	const ASN1_OBJECT *oid = NULL;
	const void *value = NULL;
	const EVP_MD *md, *mask;
	RSA_PSS_PARAMS *pss;
	EVP_PKEY_CTX *how = NULL;
	bool ok = false;
	long salt;
	int type;

	X509_ALGOR_get0(&oid, &type, &value, alg);
	if (type != V_ASN1_SEQUENCE || (pss = ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS))) == NULL)
		return false;
	salt = pss->saltLength != NULL ? ASN1_INTEGER_get(pss->saltLength) : 20;
	md = digest_of(pss->hashAlgorithm);
	mask = mask_digest(pss);
	/* Below 0 OpenSSL means something else by it. */
	if (md != NULL && mask != NULL && salt >= 0 && salt <= 1024 &&
	    (pss->trailerField == NULL || ASN1_INTEGER_get(pss->trailerField) == 1) &&
	    EVP_DigestVerifyInit(ctx, &how, md, NULL, key) == 1)
		ok = EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_rsa_mgf1_md(how, mask) == 1 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(how, (int)salt) == 1;
	RSA_PSS_PARAMS_free(pss);
	return ok;
}

static bool
begin_plain(EVP_MD_CTX *ctx, EVP_PKEY *key, const X509_ALGOR *alg)
{
	const ASN1_OBJECT *oid = NULL;
	int md = NID_undef, kind = NID_undef;

	X509_ALGOR_get0(&oid, NULL, NULL, alg);
	return OBJ_find_sigid_algs(OBJ_obj2nid(oid), &md, &kind) == 1 && EVP_PKEY_is_a(key, OBJ_nid2sn(kind)) == 1 &&
	    EVP_DigestVerifyInit(ctx, NULL, EVP_get_digestbynid(md), NULL, key) == 1;
}

EVP_MD_CTX *
cm_crl_signature_begin(EVP_PKEY *key, const X509_ALGOR *alg)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const ASN1_OBJECT *oid = NULL;

	X509_ALGOR_get0(&oid, NULL, NULL, alg);
	if (ctx != NULL && (OBJ_obj2nid(oid) == NID_rsassaPss ? begin_pss(ctx, key, alg) : begin_plain(ctx, key, alg)))
		return ctx;
	EVP_MD_CTX_free(ctx);
	return NULL;
}
