/* base/file.c - read a file whose content decides something. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The directory's password is read by two: root, whose commands ask alone, and
 * the service's process that asks directories, which is no other user's.
 */
#define READER_GROUP	"_cardmap"

static bool
is_readers_own(const struct stat *st)
{
	struct group entry, *found = NULL;
	char texts[4096];

	return st->st_uid == 0 && (st->st_mode & 037) == 0 &&
	    getgrgid_r(st->st_gid, &entry, texts, sizeof(texts), &found) == 0 && found != NULL &&
	    strcmp(found->gr_name, READER_GROUP) == 0;
}

/* Of what is open, whatever its name has become since. */
static enum cm_err
check_owner(const struct stat *st, const char *path, enum cm_file_trust need, struct cm_trace *t)
{
	if (need == CM_FILE_ANY)
		return CM_OK;
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "%s: owned by uid %u: chown root it", path, st->st_uid);
	if ((st->st_mode & 022) != 0)
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "%s: others may write it: chmod go-w it", path);
	if (need == CM_FILE_SECRET && (st->st_mode & 077) != 0 && !is_readers_own(st))
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "%s: others may read it: chmod 600 it", path);
	return CM_OK;
}

static enum cm_err
check_mode(int fd, const char *path, size_t max, enum cm_file_trust need,
    struct cm_trace *t)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: not a regular file", path);
	if ((size_t)st.st_size > max)
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "%s: larger than %zu bytes", path, max);
	return check_owner(&st, path, need, t);
}

static enum cm_err
read_all(int fd, const char *path, size_t max, struct cm_trace *t, struct cm_buf *out)
{
	uint8_t chunk[16384];
	size_t total = 0;
	enum cm_err err;
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cm_trace_fail(t, CM_REASON_CONFIG, "%s: %s", path, strerror(errno));
		if ((total += (size_t)n) > max)
			return cm_trace_fail(t, CM_REASON_CONFIG,
			    "%s: larger than %zu bytes", path, max);
		cm_buf_add(out, chunk, (size_t)n);
	}
	explicit_bzero(chunk, sizeof(chunk));
	if ((err = cm_buf_status(out)) == CM_ERR_SYNTAX)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: too large", path);
	return err;
}

static enum cm_err
open_at(const struct cm_file_in *f, struct cm_trace *t, int *fd)
{
	/* O_NONBLOCK: a pipe put in the file's place must not hold us up. */
	*fd = openat(f->folder, f->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*fd >= 0)
		return CM_OK;
	if (errno == ENOENT || errno == ENOTDIR)
		return CM_ERR_ABSENT;
	return cm_trace_fail(t, CM_REASON_CONFIG, "%s: %s", f->path, strerror(errno));
}

enum cm_err
cm_file_read_in(const struct cm_file_in *f, size_t max, enum cm_file_trust need,
    struct cm_trace *t, struct cm_buf *out)
{
	int fd;
	enum cm_err err = open_at(f, t, &fd);

	if (err != CM_OK)
		return err;
	if ((err = check_mode(fd, f->path, max, need, t)) == CM_OK)
		err = read_all(fd, f->path, max, t, out);
	close(fd);
	return err;
}

enum cm_err
cm_file_read(const char *path, size_t max,
    enum cm_file_trust need, struct cm_trace *t, struct cm_buf *out)
{
	return cm_file_read_in(&(const struct cm_file_in){ AT_FDCWD, path, path }, max, need, t, out);
}

enum cm_err
cm_file_hold(const char *path, enum cm_file_trust need, struct cm_trace *t, int *fd, bool *is_folder)
{
	enum cm_err err = open_at(&(const struct cm_file_in){ AT_FDCWD, path, path }, t, fd);
	struct stat st;

	if (err != CM_OK)
		return err;
	if (fstat(*fd, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: neither a file nor a folder", path);
	else
		err = check_owner(&st, path, need, t);
	*is_folder = err == CM_OK && S_ISDIR(st.st_mode);
	if (err != CM_OK) {
		close(*fd);
		*fd = -1;
	}
	return err;
}
