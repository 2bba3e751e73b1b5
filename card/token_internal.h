/* card/token_internal.h - a token behind somebody's PKCS #11 module: what its worker does, and what its owner is told. */
#ifndef CM_CARD_TOKEN_INTERNAL_H
#define CM_CARD_TOKEN_INTERNAL_H

#include <p11-kit/pkcs11.h>

#include "card/card_internal.h"

#define CM_TOKEN_CERTIFICATES	21	/* slot 9A, and the retired ones behind it */
#define CM_TOKEN_ID_MAX		255
#define CM_TOKEN_INPUT_MAX	128	/* a DigestInfo, or a digest */
#define CM_TOKEN_OUTPUT_MAX	1024	/* RSA-8192 fits */
#define CM_TOKEN_PIN_MAX	255
#define CM_TOKEN_READER_MAX	sizeof(((CK_SLOT_INFO *)0)->slotDescription)	/* octets of a reader's name that a module is told, or tells */

struct cm_token_certificate {
	uint8_t id[CM_TOKEN_ID_MAX];	/* CKA_ID: what leads to its key */
	size_t id_len;
	struct cm_buf der;
};

/* What a job ended with; rv says more. */
enum cm_token_end {
	CM_TOKEN_OK,
	CM_TOKEN_FAILED,	/* rv */
	CM_TOKEN_NONE,		/* no token in that reader; no such key */
	CM_TOKEN_SEVERAL,	/* no reader was named, and several tokens have certificates */
	CM_TOKEN_OTHER,		/* not the token, or the certificate, that was read */
	CM_TOKEN_LAST,		/* one try of the PIN is left, which was not so before: nothing was sent */
	CM_TOKEN_LIES,		/* lengths or counts that cannot be */
	CM_TOKEN_UNFIT,		/* the key signs without the PIN, or asks for it again at each signature */
};

/* The worker's while it is at a job, the owner's otherwise. */
struct cm_token {
	struct cm_worker *worker;
	char *path;			/* of the module */
	char *reader;			/* as pcscd names it; NULL: the module's one token */
	void *library;
	CK_FUNCTION_LIST *f;
	bool initialized, has_session;
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE session;
	CK_TOKEN_INFO info;
	struct cm_token_certificate certificates[CM_TOKEN_CERTIFICATES];
	size_t count;

	/* of a job */
	enum cm_token_end end;
	CK_RV rv;
	const char *step;		/* what the module was at: its function */
	const char *trouble;		/* of dlopen(3); static, or dlerror()'s until the next call */
	size_t which;			/* certificate */
	bool typed_there;		/* the PIN, on the token's or the reader's own pad */
	uint8_t pin[CM_TOKEN_PIN_MAX], next[CM_TOKEN_PIN_MAX];
	size_t pin_len, next_len;	/* next_len: 0 unless the PIN is to be changed */
	CK_MECHANISM_TYPE mechanism;
	uint8_t input[CM_TOKEN_INPUT_MAX], output[CM_TOKEN_OUTPUT_MAX];
	size_t input_len, output_len;
};

/* token_jobs.c: the second half of cm_token_job_open(), by k->f.  false: k->end says why */
bool cm_token_find(struct cm_token *k);
/* token_jobs.c: for cm_worker_run(); arg is the struct cm_token. */
void cm_token_job_open(void *arg);	/* load the module, find the token, read its certificates */
void cm_token_job_tries(void *arg);	/* read info again */
void cm_token_job_pin(void *arg);	/* still the same?  C_Login, or C_SetPIN; then info */
void cm_token_job_sign(void *arg);
void cm_token_job_release(void *arg);	/* log out, and end the module */

#endif /* CM_CARD_TOKEN_INTERNAL_H */
