/* helper/secret.c - a user's secret, opened by the card: into a pipe, which whoever logs in reads, and nobody between. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "helper/helper.h"
#include "service/secret_card.h"

/* As PAM_AUTHTOK is a text: base64 without an end of line, whole or not at all (pipe(7), PIPE_BUF). */
static enum cm_err
hand_over(int fd, const struct cm_secret *secret, struct cm_trace *t)
{
	struct cm_buf text = { .secret = true, .max = PIPE_BUF };
	ssize_t n = -1;

	cm_buf_add_base64(&text, cm_secret_bytes(secret));
	if (cm_buf_status(&text) == CM_OK)
		while ((n = write(fd, text.ptr, text.len)) < 0 && errno == EINTR)
			;
	const bool whole = n >= 0 && (size_t)n == text.len;

	cm_buf_free(&text);
	return whole ? CM_OK : cm_trace_fail(t, CM_REASON_SYSTEM, "the secret cannot be handed over: no pipe");
}

/* What is to be kept, if there is anything. */
static enum cm_err
tell(const struct cm_secret_given *g, struct cm_message *a)
{
	enum cm_err err = CM_OK;

	if (g->sealed.len > 0) {
		if ((a->sealed.rows = calloc(1, sizeof(*a->sealed.rows))) == NULL)
			return CM_ERR_NOMEM;
		a->sealed.count = 1;
		err = cm_blob_copy(cm_buf_blob(&g->sealed), &a->sealed.rows[0]);
	}
	return err == CM_OK && g->recovery.len > 0 ? cm_blob_copy(cm_buf_blob(&g->recovery), &a->recovery) : err;
}

enum cm_err
cm_helper_unseal(struct cm_card *card, const struct cm_message *q, int fd, struct cm_trace *t, struct cm_message *a)
{
	const struct cm_secret_asked asked = {
		.whose = { .name = q->user, .uid = (uid_t)q->uid }, .sealed = q->sealed.rows, .count = q->sealed.count,
		.recovery = q->recovery,
	};
	struct cm_secret_given given = { .secret = NULL };
	enum cm_err err;

	if ((err = cm_secret_by_card(card, &asked, cm_deadline_in((unsigned)q->deadline), t, &given)) == CM_OK &&
	    (err = tell(&given, a)) == CM_OK)
		err = hand_over(fd, given.secret, t);
	cm_secret_given_clear(&given);
	cm_secret_wipe_stack();
	return err;
}
