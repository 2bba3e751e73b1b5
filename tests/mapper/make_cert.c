/* tests/mapper/make_cert.c - certificates with just the fields a test is about. */
#include "make_cert.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/conf.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

static void
set_name(X509_NAME *name, const struct part *parts, const char *fallback)
{
	const struct part cn[] = { P("CN", fallback), { .oid = NULL } };

	for (const struct part *p = parts != NULL ? parts : cn; p->oid != NULL; p++) {
		ASN1_OBJECT *oid = OBJ_txt2obj(p->oid, 0);

		assert_non_null(oid);
		assert_int_equal(X509_NAME_add_entry_by_OBJ(name, oid,
		    p->type != 0 ? p->type : V_ASN1_UTF8STRING, (const unsigned char *)p->value,
		    p->len != 0 ? p->len : (int)strlen(p->value), -1, p->joined ? -1 : 0), 1);
		ASN1_OBJECT_free(oid);
	}
}

static void
set_serial(X509 *x, const char *hex)
{
	BIGNUM *bn = NULL;

	assert_true(BN_hex2bn(&bn, hex) > 0);
	assert_non_null(BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)));
	BN_free(bn);
}

static ASN1_STRING *
string(int type, struct cm_blob v)
{
	ASN1_STRING *s = ASN1_STRING_type_new(type);

	assert_int_equal(ASN1_STRING_set(s, v.ptr, (int)v.len), 1);
	return s;
}

static void
add_sans(X509 *x, const struct cert_spec *spec)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

	if (spec->upn.ptr != NULL) {
		GENERAL_NAME *g = GENERAL_NAME_new();
		ASN1_TYPE *value = ASN1_TYPE_new();

		ASN1_TYPE_set(value, V_ASN1_UTF8STRING, string(V_ASN1_UTF8STRING, spec->upn));
		assert_int_equal(GENERAL_NAME_set0_othername(g,
		    OBJ_txt2obj("1.3.6.1.4.1.311.20.2.3", 1), value), 1);
		sk_GENERAL_NAME_push(names, g);
	}
	if (spec->mail.ptr != NULL) {
		GENERAL_NAME *g = GENERAL_NAME_new();

		GENERAL_NAME_set0_value(g, GEN_EMAIL, string(V_ASN1_IA5STRING, spec->mail));
		sk_GENERAL_NAME_push(names, g);
	}
	if (sk_GENERAL_NAME_num(names) > 0)
		assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0), 1);
	GENERAL_NAMES_free(names);
}

static void
add_extensions(X509 *x, const struct ext *e)
{
	CONF *conf = NCONF_new(NULL);
	X509V3_CTX ctx;

	assert_non_null(conf);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	X509V3_set_nconf(&ctx, conf);
	for (; e != NULL && e->name != NULL; e++) {
		X509_EXTENSION *ext = X509V3_EXT_nconf(conf, &ctx, e->name, e->value);

		assert_non_null(ext);
		assert_int_equal(X509_add_ext(x, ext, -1), 1);
		X509_EXTENSION_free(ext);
	}
	NCONF_free(conf);
}

struct cm_cert *
make_cert(const struct cert_spec *spec)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct cm_cert *c = NULL;
	uint8_t *der = NULL;
	X509 *x = X509_new();
	int len;

	assert_non_null(key);
	X509_set_version(x, X509_VERSION_3);
	set_serial(x, spec->serial != NULL ? spec->serial : "01");
	set_name(X509_get_subject_name(x), spec->subject, "subject");
	set_name(X509_get_issuer_name(x), spec->issuer, "issuer");
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	add_sans(x, spec);
	add_extensions(x, spec->extensions);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	len = i2d_X509(x, &der);
	assert_true(len > 0);
	assert_int_equal(cm_cert_decode((struct cm_blob){ der, (size_t)len }, NULL, &c), CM_OK);
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
	return c;
}
