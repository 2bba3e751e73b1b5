/* service/mark.c - a switch that root sets by a command, and the service sees at once. */
#include "service/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void
cm_mark_path(const struct cm_conf *conf, const char *name, struct cm_buf *out)
{
	const char *path = conf->accounts.path, *slash = strrchr(path, '/');

	if (slash != NULL)
		cm_buf_add(out, path, (size_t)(slash + 1 - path));
	cm_buf_add_str(out, name);
}

static enum cm_err
fail(const char *path, struct cm_trace *t)
{
	return cm_trace_fail(t, errno == EACCES || errno == EPERM ? CM_REASON_NOT_ROOT : CM_REASON_SYSTEM, "%s: %s", path,
	    strerror(errno));
}

enum cm_err
cm_mark_switch(const struct cm_conf *conf, const char *name, bool on, struct cm_trace *t)
{
	struct cm_buf mark = { 0 };
	enum cm_err err;
	int fd;

	cm_mark_path(conf, name, &mark);
	if ((err = cm_buf_status(&mark)) != CM_OK)
		goto out;
	if (!on && unlink(cm_buf_str(&mark)) != 0 && errno != ENOENT)
		err = fail(cm_buf_str(&mark), t);
	if (on && (fd = open(cm_buf_str(&mark), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)) >= 0)
		close(fd);
	else if (on)
		err = fail(cm_buf_str(&mark), t);
out:
	cm_buf_free(&mark);
	return err;
}

bool
cm_mark_is_on(const struct cm_conf *conf, const char *name)
{
	struct cm_buf mark = { 0 };
	bool on;

	cm_mark_path(conf, name, &mark);
	on = cm_buf_status(&mark) == CM_OK && access(cm_buf_str(&mark), F_OK) == 0;
	cm_buf_free(&mark);
	return on;
}

bool
cm_mark_take(const struct cm_conf *conf, const char *name)
{
	struct cm_buf mark = { 0 };
	bool was_on;

	cm_mark_path(conf, name, &mark);
	was_on = cm_buf_status(&mark) == CM_OK && unlink(cm_buf_str(&mark)) == 0;
	cm_buf_free(&mark);
	return was_on;
}
