/* tests/krb5/test_module.c - the PKCS #11 module as libkrb5 1.20, 1.21 and 1.22 call it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <p11-kit/pkcs11.h>
#include <string.h>

#include "krb5/pkinit_internal.h"

static const uint8_t digest[32] = "a digest of thirty-two octets...";
static const uint8_t digest_info[51] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
    0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20, 'a', ' ', 'd', 'i', 'g', 'e', 's', 't', ' ', 'o', 'f', ' ', 't',
    'h', 'i', 'r', 't', 'y', '-', 't', 'w', 'o', ' ', 'o', 'c', 't', 'e', 't', 's', '.', '.', '.' };

static void
open_session(const char *source, struct cm_module_session *s)
{
	const cm_deadline deadline = cm_deadline_in(5000);
	struct cm_secret *pin = NULL;
	struct cm_cert *cert = NULL;
	unsigned tries;

	*s = (struct cm_module_session){ .slot = CM_SLOT_AUTHENTICATION, .deadline = deadline };
	assert_int_equal(cm_card_open(source, CM_CARD_LOGIN, deadline, NULL, &s->card), CM_OK);
	assert_int_equal(cm_card_certificate(s->card, s->slot, deadline, NULL, &cert), CM_OK);
	s->cert = cert;
	assert_int_equal(cm_cert_key(cert, NULL, &s->key), CM_OK);
	assert_int_equal(cm_card_pin_tries(s->card, deadline, NULL, &tries), CM_OK);
	assert_int_equal(cm_secret_new(cm_blob_str("40718259"), &pin), CM_OK);
	assert_int_equal(cm_card_verify_pin(s->card, pin, false, deadline, NULL, &tries), CM_OK);
	cm_secret_free(&pin);
	cm_module_enter(s);
}

static void
close_session(struct cm_module_session *s)
{
	struct cm_cert *cert = (struct cm_cert *)s->cert;

	cm_module_leave();
	cm_card_close(&s->card);
	cm_cert_free(&cert);
}

/* As the plugin finds it: "" is this executable. */
static CK_FUNCTION_LIST *
find_module(void)
{
	CK_FUNCTION_LIST *f = NULL;
	CK_RV (*get)(CK_FUNCTION_LIST **);
	void *self = dlopen("", RTLD_NOW | RTLD_LOCAL), *symbol;

	assert_non_null(self);
	symbol = dlsym(self, "C_GetFunctionList");
	assert_non_null(symbol);
	memcpy(&get, &symbol, sizeof(get));
	assert_int_equal(get(&f), CKR_OK);
	dlclose(self);
	return f;
}

/* C_Initialize to C_OpenSession; a second round must work as well. */
static void
begin(const CK_FUNCTION_LIST *f)
{
	CK_ULONG count = 0;
	CK_SLOT_ID slot = 99;
	CK_SESSION_HANDLE session = 0;
	CK_TOKEN_INFO info;

	assert_int_equal(f->C_Initialize(NULL), CKR_OK);
	assert_int_equal(f->C_GetSlotList(1, NULL, &count), CKR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(f->C_GetSlotList(1, &slot, &count), CKR_OK);
	assert_int_equal(slot, 0);
	assert_int_equal(f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
	assert_int_equal(f->C_GetTokenInfo(slot, &info), CKR_OK);
	assert_int_equal(info.flags & CKF_LOGIN_REQUIRED, 0);	/* or the plugin asks for a PIN */
	assert_memory_equal(info.label, "cardmap  ", 9);
}

static CK_OBJECT_HANDLE
find(const CK_FUNCTION_LIST *f, CK_OBJECT_CLASS class, CK_KEY_TYPE type)
{
	CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &class, sizeof(class) }, { CKA_KEY_TYPE, &type, sizeof(type) } };
	CK_OBJECT_HANDLE found = 0;
	CK_ULONG count = 0;

	assert_int_equal(f->C_FindObjectsInit(1, wanted, 2), CKR_OK);
	assert_int_equal(f->C_FindObjects(1, &found, 1, &count), CKR_OK);
	if (count == 1) {
		CK_OBJECT_HANDLE more;

		assert_int_equal(f->C_FindObjects(1, &more, 1, &count), CKR_OK);
		assert_int_equal(count, 0);
	}
	assert_int_equal(f->C_FindObjectsFinal(1), CKR_OK);
	return found;
}

static void
verify(const struct cm_module_session *s, const uint8_t *signature, size_t len)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(s->key, NULL);

	assert_non_null(c);
	assert_int_equal(EVP_PKEY_verify_init(c), 1);
	assert_int_equal(EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()), 1);
	assert_int_equal(EVP_PKEY_verify(c, signature, len, digest, sizeof(digest)), 1);
	EVP_PKEY_CTX_free(c);
}

static CK_ULONG
sign(const CK_FUNCTION_LIST *f, CK_MECHANISM_TYPE type, const uint8_t *data, size_t len, uint8_t out[1000])
{
	CK_MECHANISM m = { type, NULL, 0 };
	CK_ULONG out_len = 1000;

	assert_int_equal(f->C_SignInit(1, &m, find(f, CKO_PRIVATE_KEY, CKK_RSA)), CKR_OK);
	assert_int_equal(f->C_Sign(1, (uint8_t *)data, len, out, &out_len), CKR_OK);
	return out_len;
}

/* 1.20 and 1.21: CKK_RSA, CKM_RSA_PKCS and a DigestInfo, whatever the key. */
static void
test_as_1_20(void **state)
{
	static const char *const cards[] = { "file:" CM_PKI_DIR "/alice-rsa2048.pem",
	    "file:" CM_PKI_DIR "/alice-p256.pem", "file:" CM_PKI_DIR "/alice-p384.pem" };
	const CK_FUNCTION_LIST *f = find_module();
	uint8_t out[1000];

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cards); i++) {
		struct cm_module_session s;

		open_session(cards[i], &s);
		begin(f);
		assert_int_equal(f->C_CloseSession(1), CKR_OK);
		assert_int_equal(f->C_Finalize(NULL), CKR_OK);
		begin(f);
		verify(&s, out, sign(f, CKM_RSA_PKCS, digest_info, sizeof(digest_info), out));
		assert_int_equal(s.signatures, 1);
		assert_true(s.opened);
		close_session(&s);
	}
}

/* 1.22: CKK_EC, CKM_ECDSA, and r and s bare. */
static void
test_as_1_22(void **state)
{
	static const struct {
		const char *card;
		CK_ULONG len;
	} rows[] = { { "file:" CM_PKI_DIR "/alice-p256.pem", 64 }, { "file:" CM_PKI_DIR "/alice-p384.pem", 96 } };
	const CK_FUNCTION_LIST *f = find_module();

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_module_session s;
		CK_KEY_TYPE type = 0;
		CK_ATTRIBUTE a = { CKA_KEY_TYPE, &type, sizeof(type) };
		uint8_t out[1000], *der = NULL;
		ECDSA_SIG *sig = ECDSA_SIG_new();
		CK_ULONG half = rows[i].len / 2;
		int der_len;

		open_session(rows[i].card, &s);
		begin(f);
		assert_int_equal(f->C_GetAttributeValue(1, find(f, CKO_PRIVATE_KEY, CKK_EC), &a, 1), CKR_OK);
		assert_int_equal(type, CKK_EC);
		assert_int_equal(sign(f, CKM_ECDSA, digest, sizeof(digest), out), rows[i].len);
		assert_int_equal(ECDSA_SIG_set0(sig, BN_bin2bn(out, (int)half, NULL),
		    BN_bin2bn(out + half, (int)half, NULL)), 1);
		der_len = i2d_ECDSA_SIG(sig, &der);
		verify(&s, der, (size_t)der_len);
		OPENSSL_free(der);
		ECDSA_SIG_free(sig);
		close_session(&s);
	}
}

static void
test_certificate(void **state)
{
	const CK_FUNCTION_LIST *f = find_module();
	struct cm_module_session s;
	uint8_t value[4096], id[8];
	CK_ATTRIBUTE a[] = { { CKA_VALUE, NULL, 0 }, { CKA_ID, NULL, 0 } };
	CK_OBJECT_HANDLE cert;

	(void)state;
	open_session("file:" CM_PKI_DIR "/alice-p256.pem", &s);
	begin(f);
	cert = find(f, CKO_CERTIFICATE, 0);
	assert_int_equal(f->C_GetAttributeValue(1, cert, a, 2), CKR_OK);	/* lengths, then values */
	assert_int_equal(a[0].ulValueLen, cm_cert_der(s.cert).len);
	assert_true(a[1].ulValueLen > 0 && a[1].ulValueLen <= sizeof(id));
	a[0].pValue = value;
	a[1].pValue = id;
	a[0].ulValueLen--;
	assert_int_equal(f->C_GetAttributeValue(1, cert, a, 1), CKR_BUFFER_TOO_SMALL);
	a[0].ulValueLen = sizeof(value);
	assert_int_equal(f->C_GetAttributeValue(1, cert, a, 2), CKR_OK);
	assert_memory_equal(value, cm_cert_der(s.cert).ptr, cm_cert_der(s.cert).len);
	a[0].type = CKA_LABEL;
	assert_int_equal(f->C_GetAttributeValue(1, cert, a, 1), CKR_ATTRIBUTE_TYPE_INVALID);
	assert_int_equal(find(f, CKO_DATA, 0), 0);
	close_session(&s);
}

/* What is not the one thing it is for is refused, and the card is not asked. */
static void
test_refusals(void **state)
{
	const CK_FUNCTION_LIST *f = find_module();
	struct cm_module_session s;
	CK_MECHANISM pkcs = { CKM_RSA_PKCS, NULL, 0 }, ecdsa = { CKM_ECDSA, NULL, 0 };
	CK_MECHANISM md5 = { CKM_MD5_RSA_PKCS, NULL, 0 };
	uint8_t out[1000], sha1_info[51];
	CK_ULONG len = 1000;
	CK_OBJECT_HANDLE key;

	(void)state;
	open_session("file:" CM_PKI_DIR "/alice-rsa2048.pem", &s);
	begin(f);
	key = find(f, CKO_PRIVATE_KEY, CKK_RSA);
	assert_int_equal(f->C_SignInit(1, &md5, key), CKR_MECHANISM_INVALID);
	assert_int_equal(f->C_SignInit(1, &ecdsa, key), CKR_MECHANISM_INVALID);
	assert_int_equal(f->C_SignInit(1, &pkcs, key + 1), CKR_KEY_HANDLE_INVALID);
	assert_int_equal(f->C_SignInit(1, &pkcs, key), CKR_OK);
	assert_int_equal(f->C_Sign(1, (uint8_t *)digest, sizeof(digest), out, &len), CKR_DATA_INVALID);
	memcpy(sha1_info, digest_info, sizeof(sha1_info));
	sha1_info[13]++;
	assert_int_equal(f->C_Sign(1, sha1_info, sizeof(sha1_info), out, &len), CKR_DATA_INVALID);
	assert_int_equal(f->C_Sign(1, (uint8_t *)digest_info, sizeof(digest_info), NULL, &len), CKR_OK);
	assert_int_equal(len, 256);
	len = 255;
	assert_int_equal(f->C_Sign(1, (uint8_t *)digest_info, sizeof(digest_info), out, &len), CKR_BUFFER_TOO_SMALL);
	/* a KDC may send an RSA-encrypted reply, asked or not */
	assert_int_equal(f->C_DecryptInit(1, &pkcs, key), CKR_FUNCTION_NOT_SUPPORTED);
	assert_int_equal(cm_card_stats(s.card).key_operations, 0);
	close_session(&s);
}

/* Outside an exchange there is no token, whoever calls. */
static void
test_outside(void **state)
{
	const CK_FUNCTION_LIST *f = find_module();
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE object;
	CK_MECHANISM m = { CKM_RSA_PKCS, NULL, 0 };
	CK_ULONG len = 256;
	CK_ATTRIBUTE a = { CKA_VALUE, NULL, 0 };
	uint8_t out[256];

	(void)state;
	assert_int_not_equal(f->C_Initialize(NULL), CKR_OK);
	assert_int_not_equal(f->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
	assert_int_not_equal(f->C_FindObjectsInit(1, NULL, 0), CKR_OK);
	assert_int_not_equal(f->C_FindObjects(1, &object, 1, &len), CKR_OK);
	assert_int_not_equal(f->C_GetAttributeValue(1, 1, &a, 1), CKR_OK);
	assert_int_not_equal(f->C_SignInit(1, &m, 2), CKR_OK);
	assert_int_not_equal(f->C_Sign(1, (uint8_t *)digest_info, sizeof(digest_info), out, &len), CKR_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_1_20),
		cmocka_unit_test(test_as_1_22),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_outside),
	};

	return cmocka_run_group_tests_name("krb5.module", tests, NULL, NULL);
}
