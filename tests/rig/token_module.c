/*
 * tests/rig/token_module.c - a PKCS #11 module with a token of its own, which misbehaves on command.  It uses no code of ours.
 *
 * All stands in the folder that the module is in, and is read anew at each call:
 *	pin		the PIN
 *	1.crt 1.key ...	its certificates and keys, CKA_ID 01 and so on
 *	state		"TRIES LOGINS SIGNATURES FORKS", written back: tries left, and what was done so far
 *	conf		lines of
 *		reader NAME		what its slot is called
 *		serial TEXT
 *		tokens N		so many slots of that name, the first without certificates
 *		hang FUNCTION		never returns
 *		crash FUNCTION
 *		print FUNCTION		writes to standard output
 *		speak FUNCTION		writes into descriptor 3
 *		fork FUNCTION		tries to start a process, counts those that it could
 *		fail FUNCTION HEX	returns this, having done nothing
 *		many FUNCTION		tells of more than there can be
 *		open			its keys sign without the PIN
 *		each			its keys ask for the PIN at each signature
 *		pad			the PIN is typed elsewhere: it takes none, and is in
 *		bare			it says that it wants no PIN
 *		swap N			signs with the key of the certificate N
 */
#include <dlfcn.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OBJECTS_MAX	16

static bool logged_in;
static void *volatile nowhere;
static CK_OBJECT_HANDLE found[OBJECTS_MAX];
static CK_ULONG found_count, found_told;
static CK_SLOT_ID session_slot;
static int sign_key;
static bool sign_rsa;

/* --- Its folder --- */

static FILE *
open_file(const char *name, const char *mode)
{
	char path[512];
	Dl_info info;

	if (dladdr((void *)open_file, &info) == 0)
		return NULL;
	snprintf(path, sizeof(path), "%.*s/%s", (int)(strrchr(info.dli_fname, '/') - info.dli_fname), info.dli_fname, name);
	return fopen(path, mode);
}

/* The rest of the line of conf that begins so; NULL: none. */
static const char *
conf(const char *key, const char *function)
{
	static char line[256];
	char wanted[128];
	FILE *f = open_file("conf", "re");
	const char *rest = NULL;

	snprintf(wanted, sizeof(wanted), "%s%s%s", key, function != NULL ? " " : "", function != NULL ? function : "");
	while (f != NULL && rest == NULL && fgets(line, sizeof(line), f) != NULL) {
		const size_t len = strlen(wanted);

		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, wanted, len) == 0 && (line[len] == '\0' || line[len] == ' '))
			rest = line[len] == ' ' ? line + len + 1 : line + len;
	}
	if (f != NULL)
		fclose(f);
	return rest;
}

struct state { int tries, logins, signatures, forks; };

static struct state
get_state(void)
{
	struct state s = { 3, 0, 0, 0 };
	char line[64] = "";
	char *at = line;
	FILE *f = open_file("state", "re");

	if (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		s.tries = (int)strtol(at, &at, 10);
		s.logins = (int)strtol(at, &at, 10);
		s.signatures = (int)strtol(at, &at, 10);
		s.forks = (int)strtol(at, &at, 10);
	}
	if (f != NULL)
		fclose(f);
	return s;
}

static void
put_state(struct state s)
{
	FILE *f = open_file("state", "r+e");

	if (f == NULL)
		return;
	fprintf(f, "%d %d %d %d\n", s.tries, s.logins, s.signatures, s.forks);
	fclose(f);
}

/* --- Misbehaviour --- */

static void
try_fork(void)
{
	const pid_t pid = fork();
	struct state s;

	if (pid == 0)
		_exit(0);
	if (pid > 0) {
		waitpid(pid, NULL, 0);
		s = get_state();
		s.forks++;
		put_state(s);
	}
}

/* CKR_OK: nothing is wrong with it today. */
static CK_RV
begin(const char *function)
{
	const char *rv;

	while (conf("hang", function) != NULL)
		pause();
	if (conf("crash", function) != NULL)
		*(volatile int *)nowhere = 0;
	if (conf("print", function) != NULL) {
		printf("the module says hello\n");
		fflush(stdout);
	}
	if (conf("speak", function) != NULL)
		(void)!write(3, "hello", 5);
	if (conf("fork", function) != NULL)
		try_fork();
	return (rv = conf("fail", function)) != NULL ? strtoul(rv, NULL, 16) : CKR_OK;
}

#define BEGIN()	do { const CK_RV rv_ = begin(__func__); if (rv_ != CKR_OK) return rv_; } while (0)
#define MANY()	(conf("many", __func__) != NULL)

/* --- Slots and tokens --- */

CK_RV C_Initialize(void *arguments) { (void)arguments; logged_in = false; BEGIN(); return CKR_OK; }
CK_RV C_Finalize(void *reserved) { (void)reserved; BEGIN(); return CKR_OK; }

static CK_ULONG
slots(void)
{
	const char *n = conf("tokens", NULL);

	return n != NULL ? strtoul(n, NULL, 10) : 1;
}

CK_RV
C_GetSlotList(unsigned char present, CK_SLOT_ID *list, CK_ULONG *count)
{
	const CK_ULONG n = slots();

	(void)present;
	BEGIN();
	for (CK_ULONG i = 0; list != NULL && i < n && i < *count; i++)
		list[i] = i + 1;
	*count = MANY() ? 1UL << 40 : n;
	return CKR_OK;
}

static void
pad(unsigned char *to, size_t size, const char *text)
{
	memset(to, ' ', size);
	memcpy(to, text, strlen(text) < size ? strlen(text) : size);
}

CK_RV
C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
	const char *reader;

	(void)slot;
	BEGIN();
	reader = conf("reader", NULL);
	pad(info->slotDescription, sizeof(info->slotDescription), reader != NULL ? reader : "somewhere");
	pad(info->manufacturerID, sizeof(info->manufacturerID), "rig");
	info->flags = CKF_TOKEN_PRESENT | CKF_HW_SLOT | CKF_REMOVABLE_DEVICE;
	return CKR_OK;
}

CK_RV
C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	const struct state s = get_state();
	const char *serial;

	(void)slot;
	BEGIN();
	serial = conf("serial", NULL);
	pad(info->serialNumber, sizeof(info->serialNumber), serial != NULL ? serial : "1");
	pad(info->label, sizeof(info->label), "rig's token");
	pad(info->manufacturerID, sizeof(info->manufacturerID), "rig");
	pad(info->model, sizeof(info->model), "file");
	info->flags = CKF_TOKEN_INITIALIZED | CKF_USER_PIN_INITIALIZED | (conf("bare", NULL) == NULL ? CKF_LOGIN_REQUIRED : 0) |
	    (conf("pad", NULL) != NULL ? CKF_PROTECTED_AUTHENTICATION_PATH : 0) | (s.tries < 3 ? CKF_USER_PIN_COUNT_LOW : 0) |
	    (s.tries == 1 ? CKF_USER_PIN_FINAL_TRY : 0) | (s.tries == 0 ? CKF_USER_PIN_LOCKED : 0);
	info->ulMinPinLen = 4;
	info->ulMaxPinLen = 16;
	return CKR_OK;
}

/* --- Sessions and the PIN --- */

CK_RV
C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
	(void)flags, (void)application, (void)notify;
	BEGIN();
	session_slot = slot;
	*session = slot;
	return CKR_OK;
}

CK_RV C_CloseSession(CK_SESSION_HANDLE session) { (void)session; BEGIN(); return CKR_OK; }
CK_RV C_Logout(CK_SESSION_HANDLE session) { (void)session; BEGIN(); logged_in = false; return CKR_OK; }

CK_RV
C_GetSessionInfo(CK_SESSION_HANDLE session, CK_SESSION_INFO *info)
{
	BEGIN();
	*info = (CK_SESSION_INFO){ .slotID = session, .state = logged_in ? CKS_RO_USER_FUNCTIONS : CKS_RO_PUBLIC_SESSION };
	return CKR_OK;
}

static bool
is_pin(const unsigned char *pin, CK_ULONG len)
{
	char right[64] = "";
	FILE *f = open_file("pin", "re");
	const bool ok = f != NULL && fgets(right, sizeof(right), f) != NULL;

	if (f != NULL)
		fclose(f);
	right[strcspn(right, "\n")] = '\0';
	return ok && pin != NULL && strlen(right) == len && memcmp(right, pin, len) == 0;
}

/* A try is spent by a wrong PIN alone. */
static CK_RV
judge(bool right)
{
	struct state s = get_state();

	if (s.tries == 0)
		return CKR_PIN_LOCKED;
	s.logins++;
	s.tries = right ? 3 : s.tries - 1;
	put_state(s);
	return right ? CKR_OK : CKR_PIN_INCORRECT;
}

CK_RV
C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin, CK_ULONG len)
{
	CK_RV rv;

	(void)session, (void)user;
	BEGIN();
	if (logged_in)
		return CKR_USER_ALREADY_LOGGED_IN;
	rv = judge(pin == NULL ? conf("pad", NULL) != NULL : is_pin(pin, len));
	logged_in = rv == CKR_OK;
	return rv;
}

CK_RV
C_SetPIN(CK_SESSION_HANDLE session, unsigned char *pin, CK_ULONG len, unsigned char *next, CK_ULONG next_len)
{
	FILE *f;
	CK_RV rv;

	(void)session;
	BEGIN();
	rv = judge(is_pin(pin, len));
	f = rv == CKR_OK ? open_file("pin", "r+e") : NULL;
	if (f != NULL) {
		fprintf(f, "%.*s\n", (int)next_len, next);
		fclose(f);
	}
	return rv != CKR_OK || f != NULL ? rv : CKR_GENERAL_ERROR;
}

/* --- Objects: 2n - 1 is a certificate, 2n its key --- */

static X509 *
certificate(int n)
{
	char name[16];
	FILE *f;
	X509 *x;

	snprintf(name, sizeof(name), "%d.crt", n);
	if ((f = open_file(name, "re")) == NULL)
		return NULL;
	x = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	return x;
}

static EVP_PKEY *
private_key(int n)
{
	char name[16];
	FILE *f;
	EVP_PKEY *key;

	snprintf(name, sizeof(name), "%d.key", n);
	if ((f = open_file(name, "re")) == NULL)
		return NULL;
	key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	return key;
}

/* The slots before the last are another token's, with nothing on it. */
static bool
exists(CK_OBJECT_HANDLE object)
{
	X509 *x = session_slot == slots() ? certificate((int)(object + 1) / 2) : NULL;

	X509_free(x);
	return x != NULL && (object % 2 == 1 || logged_in || conf("open", NULL) != NULL);
}

static bool
matches(CK_OBJECT_HANDLE object, const CK_ATTRIBUTE *a)
{
	const CK_OBJECT_CLASS class = object % 2 == 1 ? CKO_CERTIFICATE : CKO_PRIVATE_KEY;
	const unsigned char id = (unsigned char)((object + 1) / 2);

	switch (a->type) {
	case CKA_CLASS:
		return memcmp(a->pValue, &class, sizeof(class)) == 0;
	case CKA_ID:
		return a->ulValueLen == 1 && *(const unsigned char *)a->pValue == id;
	default:
		return true;
	}
}

CK_RV
C_FindObjectsInit(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count)
{
	(void)session;
	BEGIN();
	found_count = found_told = 0;
	/* the last first: nobody is promised an order */
	for (CK_OBJECT_HANDLE object = OBJECTS_MAX; object > 0; object--) {
		bool ok = exists(object);

		for (CK_ULONG i = 0; ok && i < count; i++)
			ok = matches(object, &template[i]);
		if (ok)
			found[found_count++] = object;
	}
	return CKR_OK;
}

CK_RV
C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG max, CK_ULONG *count)
{
	(void)session;
	BEGIN();
	for (*count = 0; *count < max && found_told < found_count; found_told++)
		objects[(*count)++] = found[found_told];
	if (MANY())
		*count = 1UL << 40;
	return CKR_OK;
}

CK_RV C_FindObjectsFinal(CK_SESSION_HANDLE session) { (void)session; BEGIN(); return CKR_OK; }

static CK_RV
give(CK_ATTRIBUTE *a, const void *value, size_t len, bool lies)
{
	if (a->pValue != NULL && a->ulValueLen >= len)
		memcpy(a->pValue, value, len);
	a->ulValueLen = lies ? 1UL << 40 : len;
	return CKR_OK;
}

static CK_RV
give_certificate(CK_ATTRIBUTE *a, int n, bool lies)
{
	X509 *x = certificate(n);
	unsigned char *der = NULL;
	const int len = x != NULL ? i2d_X509(x, &der) : -1;
	const CK_RV rv = len > 0 ? give(a, der, (size_t)len, lies) : CKR_OBJECT_HANDLE_INVALID;

	OPENSSL_free(der);
	X509_free(x);
	return rv;
}

CK_RV
C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *a, CK_ULONG count)
{
	const int n = (int)(object + 1) / 2;
	const unsigned char id = (unsigned char)n, yes = CK_TRUE, no = CK_FALSE;

	(void)session, (void)count;
	BEGIN();
	switch (a->type) {
	case CKA_ID:
		return give(a, &id, 1, false);
	case CKA_VALUE:
		return give_certificate(a, n, MANY());
	case CKA_PRIVATE:
		return give(a, conf("open", NULL) != NULL ? &no : &yes, 1, false);
	case CKA_ALWAYS_AUTHENTICATE:
		return give(a, conf("each", NULL) != NULL ? &yes : &no, 1, false);
	default:
		a->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_ATTRIBUTE_TYPE_INVALID;
	}
}

/* --- The key --- */

CK_RV
C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	(void)session;
	BEGIN();
	if (!exists(key))
		return CKR_KEY_HANDLE_INVALID;
	sign_key = conf("swap", NULL) != NULL ? (int)strtol(conf("swap", NULL), NULL, 10) : (int)key / 2;
	sign_rsa = mechanism->mechanism == CKM_RSA_PKCS;
	return sign_rsa || mechanism->mechanism == CKM_ECDSA ? CKR_OK : CKR_MECHANISM_INVALID;
}

/* PKCS #11 v2.40 mechanisms, 2.3.1: r and s, each as long as the order. */
static CK_RV
unpack(const unsigned char *der, size_t der_len, int field, unsigned char *out, CK_ULONG *len)
{
	ECDSA_SIG *value = d2i_ECDSA_SIG(NULL, &der, (long)der_len);
	const CK_RV rv = value != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(value), out, field) > 0 &&
	    BN_bn2binpad(ECDSA_SIG_get0_s(value), out + field, field) > 0 ? CKR_OK : CKR_DEVICE_ERROR;

	*len = 2 * (CK_ULONG)field;
	ECDSA_SIG_free(value);
	return rv;
}

CK_RV
C_Sign(CK_SESSION_HANDLE session, unsigned char *data, CK_ULONG data_len, unsigned char *out, CK_ULONG *len)
{
	EVP_PKEY *key;
	EVP_PKEY_CTX *ctx;
	unsigned char value[1024];
	size_t value_len = sizeof(value);
	struct state s;
	CK_RV rv = CKR_DEVICE_ERROR;

	(void)session;
	BEGIN();
	s = get_state();
	s.signatures++;
	put_state(s);
	key = private_key(sign_key);
	ctx = key != NULL ? EVP_PKEY_CTX_new(key, NULL) : NULL;
	/* a DigestInfo is there already: no digest is named */
	if (ctx != NULL && EVP_PKEY_is_a(key, sign_rsa ? "RSA" : "EC") == 1 && EVP_PKEY_sign_init(ctx) == 1 &&
	    EVP_PKEY_sign(ctx, value, &value_len, data, data_len) == 1) {
		rv = sign_rsa ? CKR_OK : unpack(value, value_len, (EVP_PKEY_get_bits(key) + 7) / 8, out, len);
		if (sign_rsa) {
			memcpy(out, value, value_len < *len ? value_len : *len);
			*len = value_len;
		}
	}
	if (MANY())
		*len = 1UL << 40;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return rv;
}

static CK_FUNCTION_LIST functions = {
	.version = { 2, 40 }, .C_Initialize = C_Initialize, .C_Finalize = C_Finalize, .C_GetSlotList = C_GetSlotList,
	.C_GetSlotInfo = C_GetSlotInfo, .C_GetTokenInfo = C_GetTokenInfo, .C_SetPIN = C_SetPIN, .C_OpenSession = C_OpenSession,
	.C_CloseSession = C_CloseSession, .C_GetSessionInfo = C_GetSessionInfo, .C_Login = C_Login, .C_Logout = C_Logout,
	.C_GetAttributeValue = C_GetAttributeValue, .C_FindObjectsInit = C_FindObjectsInit, .C_FindObjects = C_FindObjects,
	.C_FindObjectsFinal = C_FindObjectsFinal, .C_SignInit = C_SignInit, .C_Sign = C_Sign,
};

CK_RV __attribute__((visibility("default")))
C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	BEGIN();
	if (MANY())
		functions.C_Sign = NULL;
	*list = &functions;
	return CKR_OK;
}
