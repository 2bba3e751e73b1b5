/* cardmapd/whole_file.c - a small file of root's own that a service which is started anew reads. */
#include "cardmapd/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

static bool
put(int fd, struct cm_blob text)
{
	size_t done = 0;

	while (done < text.len) {
		const ssize_t n = write(fd, text.ptr + done, text.len - done);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			done += (size_t)n;
	}
	return true;
}

enum cm_err
cm_whole_file_write(const char *path, struct cm_blob text, struct cm_trace *t)
{
	struct cm_buf fresh = { 0 };
	enum cm_err err = CM_OK;
	int fd = -1;

	cm_buf_addf(&fresh, "%s.new", path);
	if (cm_buf_status(&fresh) != CM_OK ||
	    (fd = open(cm_buf_str(&fresh), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0) {
		err = cm_trace_fail(t, CM_REASON_SYSTEM, "%s.new: %s", path, strerror(errno));
	} else {
		const bool whole = put(fd, text);

		if (close(fd) != 0 || !whole || rename(cm_buf_str(&fresh), path) != 0)
			err = cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s", path, strerror(errno));
	}
	cm_buf_free(&fresh);
	return err;
}
