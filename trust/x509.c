/* trust/x509.c - what OpenSSL's X.509 gives, in this program's types. */
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "trust/trust_internal.h"

bool
cm_asn1_time(const ASN1_TIME *t, time_t *out)
{
	struct tm tm;

	/* Without a time, ASN1_TIME_to_tm() gives now. */
	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*out = timegm(&tm);
	return true;
}

void
cm_name_text(const X509_NAME *name, struct cm_buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len;

	if (bio == NULL)
		return;
	if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0 &&
	    (len = BIO_get_mem_data(bio, &text)) > 0)
		cm_buf_add(out, text, (size_t)len);
	BIO_free(bio);
}

void
cm_name_der_text(struct cm_blob der, struct cm_buf *out)
{
	const uint8_t *p = der.ptr;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)der.len);

	if (name != NULL)
		cm_name_text(name, out);
	X509_NAME_free(name);
}

void
cm_name_cut(const X509_NAME *name, char *out, size_t size)
{
	struct cm_buf text;
	size_t len;

	cm_buf_init(&text, 0);
	cm_name_text(name, &text);
	len = text.len < size ? text.len : size - 1;
	/* RFC 3629 section 3: what goes on with a character begins with the bits 10. */
	while (len < text.len && len > 0 && (text.ptr[len] & 0xc0) == 0x80)
		len--;
	memcpy(out, cm_buf_str(&text), len);
	out[len] = '\0';
	cm_buf_free(&text);
}

/* The hash of RSASSA-PSS stands in its parameters; absent, it is SHA-1 (RFC 4055 section 3.1). */
static int
pss_digest(const X509_ALGOR *alg)
{
	const ASN1_OBJECT *oid = NULL;
	const void *value = NULL;
	RSA_PSS_PARAMS *pss;
	int type, nid = NID_sha1;

	X509_ALGOR_get0(NULL, &type, &value, alg);
	if (type != V_ASN1_SEQUENCE)
		return NID_undef;
	if ((pss = ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS))) == NULL)
		return NID_undef;
	if (pss->hashAlgorithm != NULL) {
		X509_ALGOR_get0(&oid, NULL, NULL, pss->hashAlgorithm);
		nid = OBJ_obj2nid(oid);
	}
	RSA_PSS_PARAMS_free(pss);
	return nid;
}

bool
cm_signature_is_strong(const X509_ALGOR *alg)
{
	const ASN1_OBJECT *oid = NULL;
	const EVP_MD *md;
	int digest = NID_undef, signature;

	X509_ALGOR_get0(&oid, NULL, NULL, alg);
	signature = OBJ_obj2nid(oid);
	if (signature == NID_rsassaPss)
		digest = pss_digest(alg);
	else if (OBJ_find_sigid_algs(signature, &digest, NULL) != 1)
		return false;
	md = EVP_get_digestbynid(digest);
	return md != NULL && EVP_MD_get_size(md) >= 28;
}
