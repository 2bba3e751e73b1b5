/* service/card_log.c - what goes between a reader and its card, written down once: macOS's Logging. */
#include "service/card_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "service/mark.h"

void
cm_card_log_path(const struct cm_conf *conf, struct cm_buf *out)
{
	cm_mark_path(conf, "card.log", out);
}

enum cm_err
cm_card_log_switch(const struct cm_conf *conf, bool on, struct cm_trace *t)
{
	return cm_mark_switch(conf, CM_MARK_CARD_LOG, on, t);
}

bool
cm_card_log_is_on(const struct cm_conf *conf)
{
	return cm_mark_is_on(conf, CM_MARK_CARD_LOG);
}

enum cm_err
cm_card_log_begin(const struct cm_conf *conf, struct cm_trace *t)
{
	enum cm_err err;

	if (!conf->card.log_next)
		return cm_mark_switch(conf, CM_MARK_CARD_LOGGED, false, t);
	if (cm_mark_is_on(conf, CM_MARK_CARD_LOGGED))
		return CM_OK;
	if ((err = cm_mark_switch(conf, CM_MARK_CARD_LOG, true, t)) != CM_OK)
		return err;
	return cm_mark_switch(conf, CM_MARK_CARD_LOGGED, true, t);
}

/* A file of its own: nobody who has the one before open sees what comes. */
static int
begin_file(const char *path, const char *reader, const char *atr, struct cm_trace *t)
{
	char when[CM_TIME_SIZE];
	int fd;

	(void)unlink(path);
	if ((fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
		(void)cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s", path, strerror(errno));
	else
		(void)dprintf(fd, "%s reader %s, ATR %s\n", cm_clock_text(cm_clock_now(), when), reader, atr);
	return fd;
}

int
cm_card_log_take(const struct cm_conf *conf, const char *reader, const char *atr, struct cm_trace *t)
{
	struct cm_buf path = { 0 };
	int fd = -1;

	cm_card_log_path(conf, &path);
	if (cm_buf_status(&path) == CM_OK && cm_mark_take(conf, CM_MARK_CARD_LOG))
		fd = begin_file(cm_buf_str(&path), reader, atr, t);
	cm_buf_free(&path);
	return fd;
}
