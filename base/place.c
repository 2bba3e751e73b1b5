/* base/place.c - somebody else's program or library, at a place that only root can have put it. */
#include "base/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum cm_err
refuse_others(const struct stat *st, const char *path, const char *place, struct cm_trace *t)
{
	if (st->st_uid != 0)
		return cm_trace_fail(t, CM_REASON_CHILD, "%s: %s belongs to uid %u: chown root it", path,
		    place, st->st_uid);
	if ((st->st_mode & 022) != 0)
		return cm_trace_fail(t, CM_REASON_CHILD, "%s: others may write %s: chmod go-w it", path, place);
	return CM_OK;
}

/* What an open of one part of the path ended with. */
static enum cm_err
refuse_part(const char *path, const char *part, struct cm_trace *t)
{
	switch (errno) {
	case ENOENT:
		return CM_ERR_ABSENT;
	case ELOOP:
	case ENOTDIR:	/* a link to a folder, opened as one */
		return cm_trace_fail(t, CM_REASON_CHILD, "%s: \"%s\" in it is a link, or no folder: name the place itself",
		    path, part);
	default:
		return cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s", path, strerror(errno));
	}
}

static enum cm_err
judge_file(const struct stat *st, const char *path, enum cm_place what, struct cm_trace *t)
{
	if (what == CM_PLACE_PROGRAM && (!S_ISREG(st->st_mode) || (st->st_mode & 0111) == 0))
		return cm_trace_fail(t, CM_REASON_CHILD, "%s: not a program: name one that may be run (chmod 755)", path);
	if (!S_ISREG(st->st_mode))
		return cm_trace_fail(t, CM_REASON_CHILD, "%s: not a file", path);
	return CM_OK;
}

/* Go down one part: *folder is closed and becomes the part's.  what: of the last one; NULL: a folder. */
static enum cm_err
enter(const char *path, const char *part, const enum cm_place *what, struct cm_trace *t, int *folder)
{
	const bool last = what != NULL;
	const int flags = O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (last ? O_RDONLY : O_PATH | O_DIRECTORY);
	const int fd = openat(*folder, part, flags);
	struct stat st;
	enum cm_err err;

	if (fd < 0)
		return refuse_part(path, part, t);
	close(*folder);
	*folder = fd;
	if (fstat(fd, &st) != 0)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s", path, strerror(errno));
	if (last && (err = judge_file(&st, path, *what, t)) != CM_OK)
		return err;
	return refuse_others(&st, path, last ? "it" : part, t);
}

/*
 * Down from the root, so that nobody can have put anything else at this place:
 * who owns a folder above could.
 */
enum cm_err
cm_place_open(const char *path, enum cm_place what, struct cm_trace *t, int *out)
{
	enum cm_err err = CM_OK;
	char *copy = NULL, *part, *next;
	struct stat st;
	int fd = -1;

	if (path[0] != '/')
		return cm_trace_fail(t, CM_REASON_CHILD, "%s: write its whole path", path);
	if ((copy = strdup(path)) == NULL)
		return CM_ERR_NOMEM;
	if ((fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0 || fstat(fd, &st) != 0)
		err = cm_trace_fail(t, CM_REASON_SYSTEM, "/: %s", strerror(errno));
	else
		err = refuse_others(&st, path, "/", t);
	part = copy + strspn(copy, "/");
	if (err == CM_OK && part[0] == '\0')
		err = cm_trace_fail(t, CM_REASON_CHILD, "%s: not a %s", path, what == CM_PLACE_PROGRAM ? "program" : "file");
	for (; err == CM_OK && part[0] != '\0'; part = next) {
		next = part + strcspn(part, "/");
		if (next[0] != '\0') {
			*next++ = '\0';
			next += strspn(next, "/");
		}
		err = strcmp(part, "..") == 0 ? cm_trace_fail(t, CM_REASON_CHILD,
		    "%s: write it without \"..\"", path) : enter(path, part, next[0] == '\0' ? &what : NULL, t, &fd);
	}
	free(copy);
	if (err == CM_OK)
		*out = fd;
	else if (fd >= 0)
		close(fd);
	return err;
}
