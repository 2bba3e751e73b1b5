/*
 * krb5/module.c - a PKCS #11 module inside this executable: one token, one
 * certificate, one private key, which are those of the card already open.
 *
 * libkrb5's pkinit plugin can use a key it cannot see only through PKCS #11.
 * It opens "" as module, which is this executable, and finds the one symbol
 * that is exported from it.  There is no PIN (no CKF_LOGIN_REQUIRED): the card
 * is verified before.  PKCS #11 v2.40 is cited by function.
 */
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <p11-kit/pkcs11.h>
#include <stdlib.h>

#include "krb5/pkinit_internal.h"

#define SLOT	0UL
#define SESSION	1UL
#define CERTIFICATE	1UL	/* object handles */
#define PRIVATE_KEY	2UL

/* PKCS #11 passes no context: the one mutable global of this program, for the length of an exchange. */
static _Thread_local struct cm_module_session *current;

void
cm_module_enter(struct cm_module_session *s)
{
	current = s;
}

void
cm_module_leave(void)
{
	current = NULL;
}

static CK_RV
initialize(void *arguments)
{
	(void)arguments;
	if (current == NULL)
		return CKR_DEVICE_ERROR;
	current->opened = true;
	return CKR_OK;
}

static CK_RV
finalize(void *reserved)
{
	(void)reserved;
	return CKR_OK;
}

static CK_RV
get_slot_list(unsigned char token_present, CK_SLOT_ID *slots, CK_ULONG *count)
{
	(void)token_present;
	if (slots != NULL && *count < 1)
		return CKR_BUFFER_TOO_SMALL;
	if (slots != NULL)
		slots[0] = SLOT;
	*count = 1;
	return CKR_OK;
}

static CK_RV
get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	static const char label[] = "cardmap";

	if (slot != SLOT)
		return CKR_SLOT_ID_INVALID;
	*info = (CK_TOKEN_INFO){ .flags = CKF_TOKEN_INITIALIZED };
	memset(info->label, ' ', sizeof(info->label));
	memcpy(info->label, label, sizeof(label) - 1);
	return CKR_OK;
}

static CK_RV
open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
    CK_SESSION_HANDLE *session)
{
	(void)flags;
	(void)application;
	(void)notify;
	if (current == NULL || slot != SLOT)
		return CKR_SLOT_ID_INVALID;
	*session = SESSION;
	return CKR_OK;
}

static CK_RV
close_session(CK_SESSION_HANDLE session)
{
	(void)session;
	return CKR_OK;
}

/*
 * By class alone: the plugin also names the id, which is the one we gave it,
 * and a key type, which in 1.20 and 1.21 is CKK_RSA whatever the key.
 */
static CK_RV
find_objects_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE *wanted, unsigned long count)
{
	CK_OBJECT_CLASS class = CKO_VENDOR_DEFINED;

	(void)session;
	if (current == NULL)
		return CKR_SESSION_HANDLE_INVALID;
	for (unsigned long i = 0; i < count; i++)
		if (wanted[i].type == CKA_CLASS && wanted[i].ulValueLen == sizeof(class))
			memcpy(&class, wanted[i].pValue, sizeof(class));
	current->found = class == CKO_CERTIFICATE ? CERTIFICATE :
	    class == CKO_PRIVATE_KEY ? PRIVATE_KEY : 0;
	return CKR_OK;
}

static CK_RV
find_objects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, unsigned long max,
    CK_ULONG *count)
{
	(void)session;
	*count = 0;
	if (current == NULL)
		return CKR_SESSION_HANDLE_INVALID;
	if (max < 1 || current->found == 0)
		return CKR_OK;
	objects[0] = current->found;
	current->found = 0;
	*count = 1;
	return CKR_OK;
}

static CK_RV
find_objects_final(CK_SESSION_HANDLE session)
{
	(void)session;
	return CKR_OK;
}

static bool
is_ec(void)
{
	return EVP_PKEY_get_base_id(current->key) == EVP_PKEY_EC;
}

static struct cm_blob
certificate_value(void)
{
	return cm_cert_der(current->cert);
}

static struct cm_blob
object_id(void)
{
	return (struct cm_blob){ (const uint8_t *)"\x01", 1 };	/* joins certificate and key */
}

static struct cm_blob
key_type(void)
{
	static const CK_KEY_TYPE rsa = CKK_RSA, ec = CKK_EC;

	return (struct cm_blob){ (const uint8_t *)(is_ec() ? &ec : &rsa), sizeof(rsa) };
}

static const struct attribute {
	CK_OBJECT_HANDLE object;
	CK_ATTRIBUTE_TYPE type;
	struct cm_blob (*value)(void);
} attributes[] = {
	{ CERTIFICATE, CKA_VALUE, certificate_value },
	{ CERTIFICATE, CKA_ID, object_id },
	{ PRIVATE_KEY, CKA_ID, object_id },
	{ PRIVATE_KEY, CKA_KEY_TYPE, key_type },
};

/* PKCS #11 v2.40 section 5.7, C_GetAttributeValue: no value pointer asks for the length. */
static CK_RV
give_attribute(CK_OBJECT_HANDLE object, CK_ATTRIBUTE *a)
{
	struct cm_blob v = { NULL, 0 };

	for (size_t i = 0; i < CM_COUNT(attributes); i++)
		if (attributes[i].object == object && attributes[i].type == a->type)
			v = attributes[i].value();
	if (v.len == 0 || (a->pValue != NULL && a->ulValueLen < v.len)) {
		a->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return v.len == 0 ? CKR_ATTRIBUTE_TYPE_INVALID : CKR_BUFFER_TOO_SMALL;
	}
	if (a->pValue != NULL)
		memcpy(a->pValue, v.ptr, v.len);
	a->ulValueLen = v.len;
	return CKR_OK;
}

static CK_RV
get_attribute_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
    CK_ATTRIBUTE *a, unsigned long count)
{
	CK_RV rv = CKR_OK;

	(void)session;
	if (current == NULL)
		return CKR_SESSION_HANDLE_INVALID;
	for (unsigned long i = 0; i < count; i++) {
		const CK_RV one = give_attribute(object, &a[i]);

		rv = one != CKR_OK ? one : rv;
	}
	return rv;
}

static CK_RV
sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	(void)session;
	if (current == NULL)
		return CKR_SESSION_HANDLE_INVALID;
	if (key != PRIVATE_KEY)
		return CKR_KEY_HANDLE_INVALID;
	if (m->mechanism != CKM_RSA_PKCS && !(m->mechanism == CKM_ECDSA && is_ec()))
		return CKR_MECHANISM_INVALID;
	current->mechanism = m->mechanism;
	return CKR_OK;
}

#define SHA256_LEN	32

/*
 * The digest in what is to be signed.  CKM_RSA_PKCS brings a DigestInfo (1.20
 * and 1.21 for EC keys as well), CKM_ECDSA the digest bare.
 */
static bool
digest_of(const uint8_t *data, size_t len, struct cm_blob *digest)
{
	/* RFC 8017 section 9.2, note 1: DigestInfo of SHA-256 */
	static const uint8_t prefix[] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
	    0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };
	const size_t skip = current->mechanism == CKM_ECDSA ? 0 : sizeof(prefix);

	if (len != skip + SHA256_LEN || memcmp(data, prefix, skip) != 0)
		return false;
	*digest = (struct cm_blob){ data + skip, SHA256_LEN };
	return true;
}

/* PKCS #11 v2.40 mechanisms, section 2.3.1: r and s, each as long as the order of the curve. */
static bool
to_raw(struct cm_buf *signature)
{
	const size_t half = ((size_t)EVP_PKEY_get_bits(current->key) + 7) / 8;
	const uint8_t *p = signature->ptr;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)signature->len);
	uint8_t raw[2 * 66];
	bool ok;

	ok = s != NULL && 2 * half <= sizeof(raw) &&
	    BN_bn2binpad(ECDSA_SIG_get0_r(s), raw, (int)half) > 0 &&
	    BN_bn2binpad(ECDSA_SIG_get0_s(s), raw + half, (int)half) > 0;
	ECDSA_SIG_free(s);
	if (ok) {
		cm_buf_truncate(signature, 0);
		cm_buf_add(signature, raw, 2 * half);
	}
	return ok && cm_buf_status(signature) == CM_OK;
}

/* Who left before the card could be asked: a failure makes libkrb5's plugin leave its request behind, so it gets what is no signature and goes nowhere. */
static CK_RV
no_signature(struct cm_buf *signature)
{
	for (size_t n = (size_t)EVP_PKEY_get_size(current->key); n > 0; n--)
		cm_buf_add_byte(signature, 0);
	return cm_buf_status(signature) == CM_OK ? CKR_OK : CKR_DEVICE_ERROR;
}

static CK_RV
card_sign(struct cm_blob digest, struct cm_buf *signature)
{
	if (current->await != NULL && (current->err = current->await(current, current->await_arg)) != CM_OK)
		return no_signature(signature);
	current->err = cm_card_sign(current->card, current->slot, current->cert, "SHA256", digest,
	    current->deadline, current->trace, signature);
	if (current->err != CM_OK)
		return CKR_DEVICE_ERROR;
	current->signatures++;
	if (current->mechanism == CKM_ECDSA && !to_raw(signature))
		return CKR_DEVICE_ERROR;
	return CKR_OK;
}

/* The length is settled before the card is asked: it signs once. */
static CK_RV
sign(CK_SESSION_HANDLE session, unsigned char *data, unsigned long data_len,
    unsigned char *out, unsigned long *out_len)
{
	struct cm_blob digest;
	struct cm_buf signature;
	unsigned long room = *out_len;
	CK_RV rv;

	(void)session;
	if (current == NULL || current->err != CM_OK)
		return CKR_DEVICE_ERROR;
	if (!digest_of(data, data_len, &digest))
		return CKR_DATA_INVALID;
	*out_len = (unsigned long)EVP_PKEY_get_size(current->key);
	if (out == NULL)
		return CKR_OK;
	if (room < *out_len)
		return CKR_BUFFER_TOO_SMALL;
	cm_buf_init(&signature, *out_len);
	if ((rv = card_sign(digest, &signature)) == CKR_OK) {
		memcpy(out, signature.ptr, signature.len);
		*out_len = signature.len;
	}
	cm_buf_free(&signature);
	return rv;
}

/*
 * What the plugin would use for an RSA-encrypted reply, which we never ask
 * for: a KDC that sends one all the same is refused, and must find no NULL.
 */
static CK_RV
decrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	(void)session;
	(void)m;
	(void)key;
	return CKR_FUNCTION_NOT_SUPPORTED;
}

__attribute__((visibility("default"))) CK_RV
C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	static const CK_FUNCTION_LIST functions = {
		.version = { 2, 40 },
		.C_Initialize = initialize,
		.C_Finalize = finalize,
		.C_GetFunctionList = C_GetFunctionList,
		.C_GetSlotList = get_slot_list,
		.C_GetTokenInfo = get_token_info,
		.C_OpenSession = open_session,
		.C_CloseSession = close_session,
		.C_FindObjectsInit = find_objects_init,
		.C_FindObjects = find_objects,
		.C_FindObjectsFinal = find_objects_final,
		.C_GetAttributeValue = get_attribute_value,
		.C_SignInit = sign_init,
		.C_Sign = sign,
		.C_DecryptInit = decrypt_init,
	};

	*list = (CK_FUNCTION_LIST *)&functions;
	return CKR_OK;
}
