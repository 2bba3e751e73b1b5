/*
 * card/token_jobs.c - calls of a PKCS #11 module, in a worker's thread.  PKCS #11 v2.40 is cited by function.
 *
 * The module is somebody else's and in this process: what it writes where it
 * may not nothing here can catch, and so the service has it in a process of its
 * own.  What it answers is checked as what any card answers.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "card/token_internal.h"

#define SLOTS_MAX	64
#define OBJECTS_MAX	64

/* false: noted, and the job ends. */
static bool
called(struct cm_token *k, const char *step, CK_RV rv)
{
	k->step = step;
	k->rv = rv;
	if (rv != CKR_OK)
		k->end = CM_TOKEN_FAILED;
	return rv == CKR_OK;
}

static bool
ends(struct cm_token *k, enum cm_token_end end)
{
	k->end = end;
	return false;
}

/* --- The module --- */

static bool
has_functions(const CK_FUNCTION_LIST *f)
{
	return f != NULL && f->version.major >= 2 && f->C_Initialize != NULL && f->C_Finalize != NULL && f->C_GetSlotList != NULL &&
	    f->C_GetSlotInfo != NULL && f->C_GetTokenInfo != NULL && f->C_OpenSession != NULL && f->C_CloseSession != NULL &&
	    f->C_GetSessionInfo != NULL && f->C_Login != NULL && f->C_Logout != NULL && f->C_SetPIN != NULL &&
	    f->C_FindObjectsInit != NULL && f->C_FindObjects != NULL && f->C_FindObjectsFinal != NULL &&
	    f->C_GetAttributeValue != NULL && f->C_SignInit != NULL && f->C_Sign != NULL;
}

/* It stays loaded until the process ends: modules leave threads and handlers behind. */
static bool
load(struct cm_token *k)
{
	CK_C_GetFunctionList get;
	CK_C_INITIALIZE_ARGS arguments = { .flags = CKF_OS_LOCKING_OK };
	CK_RV rv;

	k->step = "dlopen";
	if ((k->library = dlopen(k->path, RTLD_NOW | RTLD_LOCAL)) == NULL) {
		k->trouble = dlerror();
		return ends(k, CM_TOKEN_FAILED);
	}
	*(void **)&get = dlsym(k->library, "C_GetFunctionList");	/* POSIX has it so */
	if (get == NULL) {
		k->trouble = "it has no C_GetFunctionList: it is no PKCS #11 module";
		return ends(k, CM_TOKEN_FAILED);
	}
	if (!called(k, "C_GetFunctionList", get(&k->f)))
		return false;
	if (!has_functions(k->f)) {
		k->trouble = "its list of functions lacks some that a card needs";
		return ends(k, CM_TOKEN_FAILED);
	}
	/* section 5.4: a library that knows no locks is called from this one thread, too */
	if ((rv = k->f->C_Initialize(&arguments)) == CKR_CANT_LOCK)
		rv = k->f->C_Initialize(NULL);
	if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED)
		return true;	/* whoever did finalizes it */
	k->initialized = rv == CKR_OK;
	return called(k, "C_Initialize", rv);
}

/* --- The token --- */

/* section 3: texts are padded with blanks, and have no NUL.  A longer name is cut. */
static bool
is_reader(const CK_SLOT_INFO *info, const char *reader)
{
	size_t len = CM_TOKEN_READER_MAX, wanted = strnlen(reader, CM_TOKEN_READER_MAX);

	while (len > 0 && (info->slotDescription[len - 1] == ' ' || info->slotDescription[len - 1] == '\0'))
		len--;
	while (wanted > 0 && reader[wanted - 1] == ' ')
		wanted--;
	return len == wanted && memcmp(info->slotDescription, reader, wanted) == 0;
}

static bool
list_slots(struct cm_token *k, CK_SLOT_ID slots[SLOTS_MAX], CK_ULONG *count)
{
	*count = 0;
	if (!called(k, "C_GetSlotList", k->f->C_GetSlotList(CK_TRUE, NULL, count)))
		return false;
	if (*count > SLOTS_MAX)
		return ends(k, CM_TOKEN_LIES);
	if (*count > 0 && !called(k, "C_GetSlotList", k->f->C_GetSlotList(CK_TRUE, slots, count)))
		return false;
	return *count <= SLOTS_MAX ? true : ends(k, CM_TOKEN_LIES);
}

/* A token went while the others are looked at: that is none of ours. */
static bool
is_candidate(struct cm_token *k, CK_SLOT_ID slot)
{
	CK_SLOT_INFO info = { .flags = 0 };

	if (k->f->C_GetSlotInfo(slot, &info) != CKR_OK || (info.flags & CKF_TOKEN_PRESENT) == 0)
		return false;
	if (k->reader != NULL && !is_reader(&info, k->reader))
		return false;
	return k->f->C_GetTokenInfo(slot, &k->info) == CKR_OK && (k->info.flags & CKF_TOKEN_INITIALIZED) != 0;
}

static void
close_session(struct cm_token *k)
{
	if (k->has_session)
		(void)k->f->C_CloseSession(k->session);
	k->has_session = false;
}

/* Whoever let this process in before did it for another: what is unlocked is locked again. */
static bool
open_session(struct cm_token *k, CK_FLAGS more)
{
	CK_SESSION_INFO info = { .state = CKS_RO_PUBLIC_SESSION };

	close_session(k);
	if (!called(k, "C_OpenSession", k->f->C_OpenSession(k->slot, CKF_SERIAL_SESSION | more, NULL, NULL, &k->session)))
		return false;
	k->has_session = true;
	if (!called(k, "C_GetSessionInfo", k->f->C_GetSessionInfo(k->session, &info)))
		return false;
	if (info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS)
		return called(k, "C_Logout", k->f->C_Logout(k->session));
	return true;
}

/* --- Objects --- */

static bool
find(struct cm_token *k, CK_ATTRIBUTE *template, CK_ULONG attributes, CK_OBJECT_HANDLE objects[OBJECTS_MAX], CK_ULONG *count)
{
	bool ok;

	*count = 0;
	if (!called(k, "C_FindObjectsInit", k->f->C_FindObjectsInit(k->session, template, attributes)))
		return false;
	ok = called(k, "C_FindObjects", k->f->C_FindObjects(k->session, objects, OBJECTS_MAX, count));
	(void)k->f->C_FindObjectsFinal(k->session);
	return ok && *count > OBJECTS_MAX ? ends(k, CM_TOKEN_LIES) : ok;
}

/* Into out, which is max long; *len: 0 where there is none. */
static bool
attribute(struct cm_token *k, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, uint8_t *out, size_t max, size_t *len)
{
	CK_ATTRIBUTE a = { .type = type };
	CK_RV rv = k->f->C_GetAttributeValue(k->session, object, &a, 1);

	*len = 0;
	/* section 5.7: what it has not, or does not show, is -1 long */
	if (rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE || (rv == CKR_OK && a.ulValueLen == CK_UNAVAILABLE_INFORMATION))
		return true;
	if (!called(k, "C_GetAttributeValue", rv))
		return false;
	if (a.ulValueLen > max)
		return ends(k, CM_TOKEN_LIES);
	a.pValue = out;
	if (a.ulValueLen > 0 && !called(k, "C_GetAttributeValue", k->f->C_GetAttributeValue(k->session, object, &a, 1)))
		return false;
	if (a.ulValueLen > max)
		return ends(k, CM_TOKEN_LIES);
	*len = a.ulValueLen;
	return true;
}

static bool
read_certificate(struct cm_token *k, CK_OBJECT_HANDLE object, struct cm_token_certificate *c)
{
	uint8_t *der = malloc(CM_CERT_MAX);
	size_t len = 0;
	bool ok = der != NULL ? attribute(k, object, CKA_ID, c->id, sizeof(c->id), &c->id_len) &&
	    attribute(k, object, CKA_VALUE, der, CM_CERT_MAX, &len) : called(k, "malloc", CKR_HOST_MEMORY);

	if (ok)
		cm_buf_add(&c->der, der, len);
	free(der);
	return ok && cm_buf_status(&c->der) != CM_OK ? called(k, "malloc", CKR_HOST_MEMORY) : ok;
}

/* Only what may let somebody in (card/card.h), and leads to a key. */
static bool
is_wanted(const struct cm_token_certificate *c)
{
	struct cm_cert *cert = NULL;
	const bool ok = c->id_len > 0 && c->der.len > 0 && cm_cert_decode(cm_buf_blob(&c->der), NULL, &cert) == CM_OK &&
	    cm_cert_is_for_login(cert);

	cm_cert_free(&cert);
	return ok;
}

static bool
goes_after(const struct cm_token_certificate *a, const struct cm_token_certificate *b)
{
	return a->id_len != b->id_len ? a->id_len > b->id_len : memcmp(a->id, b->id, a->id_len) > 0;
}

/* By their CKA_ID, which stays as it is whatever order the module finds them in. */
static void
insert(struct cm_token *k, const struct cm_token_certificate *c)
{
	size_t at = k->count;

	while (at > 0 && goes_after(&k->certificates[at - 1], c)) {
		k->certificates[at] = k->certificates[at - 1];
		at--;
	}
	k->certificates[at] = *c;
	k->count++;
}

static bool
read_certificates(struct cm_token *k)
{
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_CERTIFICATE_TYPE type = CKC_X_509;
	CK_ATTRIBUTE template[] = { { CKA_CLASS, &class, sizeof(class) }, { CKA_CERTIFICATE_TYPE, &type, sizeof(type) } };
	CK_OBJECT_HANDLE objects[OBJECTS_MAX];
	CK_ULONG count = 0;

	if (!find(k, template, CM_COUNT(template), objects, &count))
		return false;
	for (CK_ULONG i = 0; i < count && k->count < CM_TOKEN_CERTIFICATES; i++) {
		struct cm_token_certificate c = { .der = { .max = CM_CERT_MAX } };
		const bool ok = read_certificate(k, objects[i], &c);

		if (ok && is_wanted(&c))
			insert(k, &c);
		else
			cm_buf_free(&c.der);
		if (!ok)
			return false;
	}
	return true;
}

/* Of several tokens in one reader, as some modules show one card, the first that holds such a certificate. */
static bool
choose(struct cm_token *k, const CK_SLOT_ID *slots, CK_ULONG count)
{
	CK_TOKEN_INFO info = { .flags = 0 };
	CK_SLOT_ID slot = 0;
	unsigned tokens = 0, fit = 0;

	for (CK_ULONG i = 0; i < count; i++) {
		const size_t before = k->count;

		if ((fit > 0 && k->reader != NULL) || !is_candidate(k, slots[i]))
			continue;
		tokens++;
		k->slot = slots[i];
		if (!open_session(k, 0) || !read_certificates(k))
			return false;
		if (k->count > before && ++fit > 1)
			return ends(k, CM_TOKEN_SEVERAL);
		if (fit == 1 && k->count > before) {
			slot = k->slot;
			info = k->info;
		}
	}
	if (tokens == 0)
		return ends(k, CM_TOKEN_NONE);
	if (fit == 0)
		return true;
	k->info = info;
	if (k->slot == slot)
		return true;
	k->slot = slot;
	return open_session(k, 0);
}

bool
cm_token_find(struct cm_token *k)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = 0;

	return list_slots(k, slots, &count) && choose(k, slots, count);
}

void
cm_token_job_open(void *arg)
{
	struct cm_token *k = arg;

	k->end = CM_TOKEN_OK;
	if (load(k))
		(void)cm_token_find(k);
}

/* --- The PIN --- */

static bool
read_info(struct cm_token *k, CK_TOKEN_INFO *info)
{
	*info = (CK_TOKEN_INFO){ .flags = 0 };
	return called(k, "C_GetTokenInfo", k->f->C_GetTokenInfo(k->slot, info));
}

static bool
is_same(const CK_TOKEN_INFO *a, const CK_TOKEN_INFO *b)
{
	return memcmp(a->serialNumber, b->serialNumber, sizeof(a->serialNumber)) == 0 &&
	    memcmp(a->label, b->label, sizeof(a->label)) == 0 && memcmp(a->model, b->model, sizeof(a->model)) == 0 &&
	    memcmp(a->manufacturerID, b->manufacturerID, sizeof(a->manufacturerID)) == 0;
}

void
cm_token_job_tries(void *arg)
{
	struct cm_token *k = arg;
	CK_TOKEN_INFO info;

	k->end = CM_TOKEN_OK;
	if (read_info(k, &info) && !is_same(&info, &k->info))
		k->end = CM_TOKEN_OTHER;
	else if (k->end == CM_TOKEN_OK)
		k->info = info;
}

static bool
find_one(struct cm_token *k, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *out)
{
	struct cm_token_certificate *c = &k->certificates[k->which];
	CK_ATTRIBUTE template[] = { { CKA_CLASS, &class, sizeof(class) }, { CKA_ID, c->id, c->id_len } };
	CK_OBJECT_HANDLE objects[OBJECTS_MAX];
	CK_ULONG count = 0;

	if (!find(k, template, CM_COUNT(template), objects, &count))
		return false;
	*out = objects[0];
	return count > 0 ? true : ends(k, CM_TOKEN_NONE);
}

/* Others may have typed PINs since it was asked; a last try that somebody allowed is known already. */
static bool
has_become_last(struct cm_token *k, const CK_TOKEN_INFO *now)
{
	const bool last = (now->flags & ~k->info.flags & CKF_USER_PIN_FINAL_TRY) != 0;

	k->info.flags = now->flags;
	return last;
}

/* A card that was swapped under the module: before it gets a PIN, the session, token, certificate and tries are what they were. */
static bool
still_there(struct cm_token *k)
{
	struct cm_token_certificate now = { .der = { .max = CM_CERT_MAX } };
	CK_SESSION_INFO session = { .state = CKS_RO_PUBLIC_SESSION };
	CK_OBJECT_HANDLE object;
	CK_TOKEN_INFO info;
	bool ok = called(k, "C_GetSessionInfo", k->f->C_GetSessionInfo(k->session, &session)) && read_info(k, &info) &&
	    (is_same(&info, &k->info) || ends(k, CM_TOKEN_OTHER)) && (!has_become_last(k, &info) || ends(k, CM_TOKEN_LAST));

	k->which = 0;
	if (!ok || k->count == 0)
		return ok;
	ok = find_one(k, CKO_CERTIFICATE, &object) && read_certificate(k, object, &now);
	if (ok && !cm_blob_equal(cm_buf_blob(&now.der), cm_buf_blob(&k->certificates[k->which].der)))
		ok = ends(k, CM_TOKEN_OTHER);
	if (!ok && k->end == CM_TOKEN_NONE)
		k->end = CM_TOKEN_OTHER;
	cm_buf_free(&now.der);
	return ok;
}

/* Who is in already is asked all the same: out, and in by this PIN. */
static CK_RV
log_in(struct cm_token *k)
{
	uint8_t *pin = k->typed_there ? NULL : k->pin;
	const CK_ULONG len = k->typed_there ? 0 : k->pin_len;
	CK_RV rv = k->f->C_Login(k->session, CKU_USER, pin, len);

	if (rv == CKR_USER_ALREADY_LOGGED_IN && (rv = k->f->C_Logout(k->session)) == CKR_OK)
		rv = k->f->C_Login(k->session, CKU_USER, pin, len);
	return rv;
}

void
cm_token_job_pin(void *arg)
{
	struct cm_token *k = arg;
	const bool changes = k->next_len > 0;
	CK_TOKEN_INFO info;
	CK_RV rv;

	k->end = CM_TOKEN_OK;
	if ((k->info.flags & CKF_LOGIN_REQUIRED) == 0) {
		k->end = CM_TOKEN_UNFIT;
	} else if ((!changes || open_session(k, CKF_RW_SESSION)) && still_there(k)) {
		rv = changes ? k->f->C_SetPIN(k->session, k->pin, k->pin_len, k->next, k->next_len) : log_in(k);
		/* the tries left stand in info; a token that is gone meanwhile says so by rv */
		if (read_info(k, &info))
			k->info.flags = info.flags;
		k->end = CM_TOKEN_OK;
		(void)called(k, changes ? "C_SetPIN" : "C_Login", rv);
	}
	explicit_bzero(k->pin, sizeof(k->pin));
	explicit_bzero(k->next, sizeof(k->next));
}

/* --- The key --- */

static bool
flag(struct cm_token *k, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, bool *out)
{
	uint8_t value = CK_FALSE;
	size_t len = 0;

	if (!attribute(k, object, type, &value, sizeof(value), &len))
		return false;
	*out = len == sizeof(value) && value != CK_FALSE;
	return true;
}

void
cm_token_job_sign(void *arg)
{
	struct cm_token *k = arg;
	CK_MECHANISM mechanism = { .mechanism = k->mechanism };
	CK_OBJECT_HANDLE key = 0;
	bool private = false, each_time = false;
	CK_ULONG len = sizeof(k->output);

	k->end = CM_TOKEN_OK;
	k->output_len = 0;
	if (!find_one(k, CKO_PRIVATE_KEY, &key) || !flag(k, key, CKA_PRIVATE, &private) ||
	    !flag(k, key, CKA_ALWAYS_AUTHENTICATE, &each_time))
		return;
	if (!private || each_time) {
		k->end = CM_TOKEN_UNFIT;
		return;
	}
	if (!called(k, "C_SignInit", k->f->C_SignInit(k->session, &mechanism, key)) ||
	    !called(k, "C_Sign", k->f->C_Sign(k->session, k->input, k->input_len, k->output, &len)))
		return;
	if (len > sizeof(k->output))
		k->end = CM_TOKEN_LIES;
	else
		k->output_len = len;
}

void
cm_token_job_release(void *arg)
{
	struct cm_token *k = arg;

	if (k->has_session)
		(void)k->f->C_Logout(k->session);
	close_session(k);
	if (k->initialized)
		(void)k->f->C_Finalize(NULL);
	k->initialized = false;
}
