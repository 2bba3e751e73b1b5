/* trust/fetch_sink.c - where an answer goes: a buffer, or a file, and memory in its place when the disk is full. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trust/fetch_internal.h"

/* Where the disk is full, memory has room yet. */
static bool
move_to_memory(struct cm_fetch *f)
{
	const int fd = memfd_create("cardmap-answer", MFD_CLOEXEC);
	off_t from = 0;
	struct stat st;
	bool ok = fd >= 0 && fstat(f->fd, &st) == 0;

	while (ok && from < st.st_size)
		ok = sendfile(fd, f->fd, &from, (size_t)(st.st_size - from)) > 0;
	ok = ok && dup3(fd, f->fd, O_CLOEXEC) >= 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool
write_file(struct cm_transfer *t, const char *p, size_t len)
{
	while (len > 0) {
		const ssize_t n = write(t->f->fd, p, len);

		if (n < 0 && (errno == EINTR || ((errno == ENOSPC || errno == EDQUOT) && !t->moved &&
		    (t->moved = move_to_memory(t->f)))))
			continue;
		if (n <= 0) {
			cm_transfer_object(t, CM_OBJECTION_NOT_KEPT, "the answer cannot be written to a file: %s",
			    strerror(n < 0 ? errno : ENOSPC));
			return false;
		}
		p += n;
		len -= (size_t)n;
	}
	return true;
}

bool
cm_sink_write(struct cm_transfer *t, const void *p, size_t len)
{
	if (t->f->out == NULL)
		return write_file(t, p, len);
	cm_buf_add(t->f->out, p, len);
	if (cm_buf_status(t->f->out) == CM_OK)
		return true;
	cm_transfer_object(t, CM_OBJECTION_NOT_KEPT, "the answer does not fit into memory");
	return false;
}

void
cm_sink_begin(struct cm_transfer *t, uint64_t at)
{
	struct cm_fetch *f = t->f;

	t->here = at;
	if (f->out != NULL) {
		cm_buf_truncate(f->out, 0);
		return;
	}
	if (ftruncate(f->fd, (off_t)at) != 0 || lseek(f->fd, (off_t)at, SEEK_SET) < 0)
		cm_transfer_object(t, CM_OBJECTION_NOT_KEPT, "the answer cannot be written to a file: %s",
		    strerror(errno));
	f->from_start = f->from_start || at < f->have;
}
