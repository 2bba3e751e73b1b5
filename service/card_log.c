/* service/card_log.c - what goes between a reader and its card, written down once: macOS's Logging. */
#include "service/card_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static void
beside_store(const struct cm_conf *conf, const char *name, struct cm_buf *out)
{
	const char *path = conf->accounts.path, *slash = strrchr(path, '/');

	if (slash != NULL)
		cm_buf_add(out, path, (size_t)(slash + 1 - path));
	cm_buf_add_str(out, name);
}

void
cm_card_log_path(const struct cm_conf *conf, struct cm_buf *out)
{
	beside_store(conf, "card.log", out);
}

/* Removing it is how the service takes it: one of two that try has it. */
static bool
take_mark(const char *mark)
{
	return unlink(mark) == 0;
}

enum cm_err
cm_card_log_switch(const struct cm_conf *conf, bool on, struct cm_trace *t)
{
	struct cm_buf mark = { 0 };
	enum cm_err err;
	int fd;

	beside_store(conf, "log-next", &mark);
	if ((err = cm_buf_status(&mark)) != CM_OK)
		goto out;
	if (!on && !take_mark(cm_buf_str(&mark)) && errno != ENOENT)
		err = cm_trace_fail(t, errno == EACCES || errno == EPERM ? CM_REASON_NOT_ROOT : CM_REASON_SYSTEM, "%s: %s",
		    cm_buf_str(&mark), strerror(errno));
	if (on && (fd = open(cm_buf_str(&mark), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)) >= 0)
		close(fd);
	else if (on)
		err = cm_trace_fail(t, errno == EACCES || errno == EPERM ? CM_REASON_NOT_ROOT : CM_REASON_SYSTEM, "%s: %s",
		    cm_buf_str(&mark), strerror(errno));
out:
	cm_buf_free(&mark);
	return err;
}

bool
cm_card_log_is_on(const struct cm_conf *conf)
{
	struct cm_buf mark = { 0 };
	bool on;

	beside_store(conf, "log-next", &mark);
	on = cm_buf_status(&mark) == CM_OK && access(cm_buf_str(&mark), F_OK) == 0;
	cm_buf_free(&mark);
	return on;
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
	struct cm_buf mark = { 0 }, path = { 0 };
	int fd = -1;

	beside_store(conf, "log-next", &mark);
	cm_card_log_path(conf, &path);
	if (cm_buf_status(&mark) == CM_OK && cm_buf_status(&path) == CM_OK && take_mark(cm_buf_str(&mark)))
		fd = begin_file(cm_buf_str(&path), reader, atr, t);
	cm_buf_free(&mark);
	cm_buf_free(&path);
	return fd;
}
