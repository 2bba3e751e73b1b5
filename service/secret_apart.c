/*
 * service/secret_apart.c - the account's secret, opened by the card helper for whoever logs in.
 *
 * This process keeps sealed octets and hands a pipe on: it never has the
 * secret.  What the helper says is to be kept is added to what is there, and
 * takes the place of nothing.
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cache/sealed.h"
#include "service/apart_internal.h"
#include "service/secret_card.h"

struct unsealing {
	struct cm_login *l;
	const struct cm_account *account;
	uint8_t beside[32];			/* of the certificate that the card has in 9A */
	uint8_t of_recovery[32];		/* of the recovery certificate's file */
	struct cm_buf recovery;			/* that file; empty: none */
	bool recoverable;			/* sealed to that already */
	size_t likely;				/* of rows, at the front: sealed beside this certificate */
	struct cm_blob rows[CM_SEALED_ROWS_MAX];	/* owned octets */
	size_t count, others;			/* others: of another uid */
};

static void
clear(struct unsealing *u)
{
	for (size_t i = 0; i < u->count; i++)
		cm_blob_free(&u->rows[i]);
	cm_buf_free(&u->recovery);
}

static bool
digest(struct cm_blob in, uint8_t out[32])
{
	return EVP_Digest(in.ptr, in.len, out, NULL, EVP_sha256(), NULL) == 1;
}

/* ---- what is kept */

/* Those beside this very certificate first, the newest of them at the front; then the others. */
static enum cm_err
take_row(void *arg, const struct cm_sealed_row *r)
{
	struct unsealing *u = arg;
	const bool likely = memcmp(r->beside, u->beside, sizeof(u->beside)) == 0;
	size_t at = u->count;
	struct cm_blob copy;
	enum cm_err err;

	if (r->uid != u->account->uid) {
		u->others++;
		return CM_OK;
	}
	if (r->use == CM_SEALED_RECOVERY) {
		u->recoverable = u->recoverable || memcmp(r->beside, u->of_recovery, sizeof(u->of_recovery)) == 0;
		return CM_OK;
	}
	if (u->count == CM_SEALED_ROWS_MAX)
		return CM_OK;
	if ((err = cm_blob_copy(r->octets, &copy)) != CM_OK)
		return err;
	if (likely) {
		at = u->likely++;
		memmove(&u->rows[at + 1], &u->rows[at], (u->count - at) * sizeof(u->rows[0]));
	}
	u->rows[at] = copy;
	u->count++;
	return CM_OK;
}

/* Without it the card opens the secret as well: that it cannot be recovered is told. */
static void
read_recovery(struct unsealing *u, const char *path)
{
	struct cm_trace *t = u->l->trace;
	enum cm_err err;

	if (path == NULL)
		return;
	if ((err = cm_file_read(path, 16384, CM_FILE_TRUSTED, t, &u->recovery)) == CM_OK && digest(cm_buf_blob(&u->recovery), u->of_recovery))
		return;
	cm_trace_add(t, "warning", "no recovery key for the secret: %s", err == CM_ERR_ABSENT ?
	    "the file of accounts.secret_recovery is not there" : cm_trace_message(t));
	cm_trace_clear_reason(t);
	cm_buf_truncate(&u->recovery, 0);
}

static enum cm_err
read_kept(struct unsealing *u)
{
	const struct cm_apart *a = u->l->worker;
	enum cm_err err;

	if (!digest(a->opened.certificate, u->beside))
		return CM_ERR_SYSTEM;
	read_recovery(u, a->o.conf->accounts.secret_recovery);
	if ((err = cm_sealed_list(a->o.store, u->account->name, u->l->trace, take_row, u)) != CM_OK)
		return err;
	/* A name that has become another's account: what was sealed for the one before is not his, and is not thrown away either. */
	if (u->count == 0 && u->others > 0)
		return cm_trace_fail(u->l->trace, CM_REASON_SECRET_SEALED, "the secret that is kept for %s is of another uid than %u",
		    u->account->name, (unsigned)u->account->uid);
	return CM_OK;
}

/* ---- what is to be kept */

static enum cm_err
make_row(const struct unsealing *u, enum cm_sealed_use use, struct cm_blob octets, struct cm_sealed_row *out)
{
	const bool card = use == CM_SEALED_CARD;
	struct cm_sealed s;

	if (cm_sealed_read(octets, &s) != CM_OK)
		return cm_apart_refuse_answer(u->l->worker, CM_PROCESS_CARD, "a sealed secret that is none", u->l->trace);
	*out = (struct cm_sealed_row){ .name = u->account->name, .uid = u->account->uid, .use = use, .octets = octets, .made = cm_clock_now() };
	memcpy(out->key, s.key.ptr, sizeof(out->key));
	memcpy(out->beside, card ? u->beside : u->of_recovery, sizeof(out->beside));
	return CM_OK;
}

/* A first one that cannot be kept is none: what somebody encrypted with it could never be opened again. */
static enum cm_err
keep(const struct unsealing *u, const struct cm_sealed_row *rows, size_t count)
{
	struct cm_accounts *store = ((const struct cm_apart *)u->l->worker)->o.store;
	struct cm_trace *t = u->l->trace;

	if (u->count == 0)
		return cm_sealed_add_first(store, rows, count, t);
	for (size_t i = 0; i < count; i++) {
		if (cm_sealed_add(store, &rows[i], t) == CM_OK)
			continue;
		cm_trace_add(t, "warning", "the secret is not kept for its new key: %s", cm_trace_message(t));
		cm_trace_clear_reason(t);
	}
	return CM_OK;
}

static enum cm_err
judge(const struct unsealing *u, const struct cm_message *answer)
{
	struct cm_sealed_row rows[2];
	size_t count = 0;
	enum cm_err err = CM_OK;

	if (answer->sealed.count > 1 || (u->count == 0 && answer->sealed.count == 0))
		return cm_apart_refuse_answer(u->l->worker, CM_PROCESS_CARD, "no secret, or several", u->l->trace);
	if (answer->sealed.count == 1)
		err = make_row(u, CM_SEALED_CARD, answer->sealed.rows[0], &rows[count++]);
	if (err == CM_OK && answer->recovery.len > 0)
		err = make_row(u, CM_SEALED_RECOVERY, answer->recovery, &rows[count++]);
	if (err == CM_OK && count > 0)
		err = keep(u, rows, count);
	if (err == CM_OK)
		cm_trace_add(u->l->trace, "secret", "%s", u->count == 0 ? "made, and sealed to the card" :
		    answer->sealed.count == 1 ? "opened by a retired key, and sealed to the card's new one" : "opened by the card");
	return err;
}

/* ---- */

static enum cm_err
ask(const struct unsealing *u, int to)
{
	const struct cm_message q = {
		.kind = CM_MESSAGE_UNSEAL, .user = u->account->name, .uid = u->account->uid,
		.sealed = { .rows = (struct cm_blob *)(uintptr_t)u->rows, .count = u->count },
		.recovery = u->recoverable ? (struct cm_blob){ NULL, 0 } : cm_buf_blob(&u->recovery),
		.deadline = cm_apart_time_left(u->l->deadline),
	};
	struct cm_message answer;
	enum cm_err err;

	err = cm_apart_ask(u->l, &(struct cm_apart_question){ .which = CM_PROCESS_CARD, .m = &q, .fds = &to, .fd_count = 1,
	    .answer = CM_MESSAGE_UNSEALED }, &answer);
	if (err == CM_OK)
		err = judge(u, &answer);
	cm_message_clear(&answer);
	return err;
}

enum cm_err
cm_apart_open_secret(struct cm_login *l)
{
	struct cm_apart *a = l->worker;
	struct unsealing u = { .l = l, .account = cm_grant_account(l->grant) };
	int ends[2] = { -1, -1 };
	enum cm_err err;

	if ((err = read_kept(&u)) == CM_OK && pipe2(ends, O_CLOEXEC) != 0)
		err = cm_trace_fail(l->trace, CM_REASON_SYSTEM, "no pipe for the secret");
	if (err == CM_OK)
		err = ask(&u, ends[1]);
	if (ends[1] >= 0)
		close(ends[1]);
	if (err == CM_OK)
		a->secret = ends[0];
	else if (ends[0] >= 0)
		close(ends[0]);
	clear(&u);
	return err;
}
