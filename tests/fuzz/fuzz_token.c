/*
 * tests/fuzz/fuzz_token.c - what a PKCS #11 module answers, from the slots to the signature.
 *
 * The first byte chooses the key that is asked for and whether the PIN is
 * changed.  Each call then takes one byte for what it returns, and what it
 * fills in, each with two bytes of length before it: an array takes the length
 * that was told, whether or not so much was there.  The certificate that goes
 * with "certificate" is a real one, so that what comes behind it is reached.
 */
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "card/token_internal.h"

#define CHANGE		0x01
#define RSA		0x02
#define READER		0x04

#define CHECK(x)	do { if (!(x)) { fprintf(stderr, "%d: %s\n", __LINE__, #x); abort(); } } while (0)

static struct {
	const uint8_t *p;
	size_t left;
	uint8_t *der;		/* made once */
	int der_len;
	unsigned pins;
} in;

static uint8_t
byte(void)
{
	if (in.left == 0)
		return 0;
	in.left--;
	return *in.p++;
}

static CK_ULONG
number(void)
{
	const uint8_t high = byte();

	return high == 0xFF ? CK_UNAVAILABLE_INFORMATION - byte() : (CK_ULONG)high << 8 | byte();
}

static void
fill(void *to, size_t len)
{
	uint8_t *p = to;

	for (size_t i = 0; i < len; i++)
		p[i] = byte();
}

/* CKR_OK mostly, else one of the first 256, or the codes for sessions and tokens. */
static CK_RV
result(void)
{
	const uint8_t b = byte();

	return b < 0xC0 ? CKR_OK : (CK_RV)b << 2;
}

static CK_RV
get_slot_list(unsigned char present, CK_SLOT_ID *list, CK_ULONG *count)
{
	const CK_ULONG max = *count;

	CHECK(present == CK_TRUE);
	*count = number();
	if (list != NULL)
		fill(list, (*count < max ? *count : max) * sizeof(*list));
	return result();
}

static CK_RV
get_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
	(void)slot;
	memset(info->slotDescription, ' ', sizeof(info->slotDescription));
	info->slotDescription[0] = byte() % 2 == 0 ? 'R' : 'S';
	info->flags = byte();
	return result();
}

static CK_RV
get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	(void)slot;
	info->serialNumber[0] = byte();
	info->flags = (CK_FLAGS)byte() << 16 | CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED;
	info->ulMinPinLen = byte();
	info->ulMaxPinLen = number();
	return result();
}

static CK_RV
open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
	(void)slot, (void)application;
	CHECK((flags & CKF_SERIAL_SESSION) != 0 && notify == NULL);
	*session = byte();
	return result();
}

static CK_RV one(CK_SESSION_HANDLE session) { (void)session; return result(); }

static CK_RV
get_session_info(CK_SESSION_HANDLE session, CK_SESSION_INFO *info)
{
	(void)session;
	info->state = byte();
	return result();
}

static CK_RV
login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin, CK_ULONG len)
{
	(void)session;
	CHECK(user == CKU_USER && pin != NULL && len == 8);
	in.pins++;
	return result();
}

static CK_RV
set_pin(CK_SESSION_HANDLE session, unsigned char *pin, CK_ULONG len, unsigned char *next, CK_ULONG next_len)
{
	(void)session, (void)pin, (void)next;
	CHECK(len == 8 && next_len == 8);
	in.pins++;
	return result();
}

static CK_RV
find_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count)
{
	(void)session, (void)template;
	CHECK(count == 2);
	return result();
}

static CK_RV
find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG max, CK_ULONG *count)
{
	(void)session;
	*count = number();
	fill(objects, (*count < max ? *count : max) * sizeof(*objects));
	return result();
}

static CK_RV
get_attribute(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *a, CK_ULONG count)
{
	const CK_ULONG max = a->ulValueLen;

	(void)session, (void)object;
	CHECK(count == 1);
	if (a->type == CKA_VALUE && byte() % 2 == 0) {
		if (a->pValue != NULL && max >= (CK_ULONG)in.der_len)
			memcpy(a->pValue, in.der, (size_t)in.der_len);
		a->ulValueLen = (CK_ULONG)in.der_len;
		return CKR_OK;
	}
	a->ulValueLen = number();
	if (a->pValue != NULL)
		fill(a->pValue, a->ulValueLen < max ? a->ulValueLen : max);
	return result();
}

static CK_RV
sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	(void)session, (void)key;
	CHECK(mechanism->mechanism == CKM_RSA_PKCS || mechanism->mechanism == CKM_ECDSA);
	return result();
}

static CK_RV
sign(CK_SESSION_HANDLE session, unsigned char *data, CK_ULONG data_len, unsigned char *out, CK_ULONG *len)
{
	const CK_ULONG max = *len;

	(void)session, (void)data;
	CHECK(data_len <= CM_TOKEN_INPUT_MAX);
	*len = number();
	fill(out, *len < max ? *len : max);
	return result();
}

static CK_FUNCTION_LIST functions = {
	.version = { 2, 40 }, .C_GetSlotList = get_slot_list, .C_GetSlotInfo = get_slot_info, .C_GetTokenInfo = get_token_info,
	.C_OpenSession = open_session, .C_CloseSession = one, .C_GetSessionInfo = get_session_info, .C_Login = login, .C_Logout = one,
	.C_SetPIN = set_pin, .C_FindObjectsInit = find_init, .C_FindObjects = find, .C_FindObjectsFinal = one,
	.C_GetAttributeValue = get_attribute, .C_SignInit = sign_init, .C_Sign = sign,
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	(void)argc, (void)argv;
	CHECK(key != NULL && x != NULL && X509_set_version(x, 2) == 1);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"alice", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	CHECK(X509_sign(x, key, EVP_sha256()) > 0 && (in.der_len = i2d_X509(x, &in.der)) > 0);
	X509_free(x);
	EVP_PKEY_free(key);
	return 0;
}

static void
log_in(struct cm_token *k, uint8_t flags)
{
	cm_token_job_tries(k);
	memcpy(k->pin, "40718259", k->pin_len = 8);
	memcpy(k->next, "90817263", 8);
	k->next_len = (flags & CHANGE) != 0 ? 8 : 0;
	cm_token_job_pin(k);
	CHECK(in.pins <= 2 && k->pin[0] == 0 && k->next[0] == 0);
	if (k->end != CM_TOKEN_OK)
		return;
	CHECK(in.pins > 0);
	k->mechanism = (flags & RSA) != 0 ? CKM_RSA_PKCS : CKM_ECDSA;
	k->input_len = 32;
	cm_token_job_sign(k);
	CHECK(k->end == CM_TOKEN_OK || k->output_len == 0);
	CHECK(k->output_len <= sizeof(k->output));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_token *k = calloc(1, sizeof(*k));
	uint8_t flags;

	CHECK(k != NULL);
	in.p = data;
	in.left = size;
	in.pins = 0;
	flags = byte();
	k->f = &functions;
	k->reader = (flags & READER) != 0 ? (char *)(uintptr_t)"R" : NULL;
	k->step = "";
	if (cm_token_find(k)) {
		CHECK(k->count <= CM_TOKEN_CERTIFICATES);
		for (size_t i = 0; i < k->count; i++)
			CHECK(k->certificates[i].id_len > 0 && k->certificates[i].der.len <= CM_CERT_MAX);
		if (k->count > 0)
			log_in(k, flags);
	}
	cm_token_job_release(k);
	for (size_t i = 0; i < k->count; i++)
		cm_buf_free(&k->certificates[i].der);
	free(k);
	return 0;
}
