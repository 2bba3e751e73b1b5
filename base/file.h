/* base/file.h - read a file whose content decides something. */
#ifndef CM_BASE_FILE_H
#define CM_BASE_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/trace.h"

enum cm_file_trust {
	CM_FILE_ANY,		/* input that is judged itself: a certificate, a CRL */
	CM_FILE_TRUSTED,	/* configuration: owned by root or this user, written by nobody else */
	CM_FILE_SECRET,		/* as TRUSTED, and read by nobody else; of root's by group _cardmap, whose only member asks for the service */
};

/*
 * Append the whole file to out; not a device or pipe, not above max bytes.
 * Opened once; owner and mode are those of the open file, so a swap of its
 * name afterwards changes nothing.  A link is followed: what counts is the
 * file that was opened.
 *
 * CM_ERR_ABSENT   there is no such file (no reason is set)
 * CM_ERR_CONFIG   cannot be opened, too large, or others may write (read) it:
 *                 reason CONFIG names file and remedy
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_file_read(const char *path, size_t max,
    enum cm_file_trust need, struct cm_trace *t, struct cm_buf *out);
/* The same of a name in a folder that is open: path is what the reason calls it. */
struct cm_file_in {
	int folder;
	const char *name, *path;
};
CM_MUST_USE enum cm_err cm_file_read_in(const struct cm_file_in *f, size_t max,
    enum cm_file_trust need, struct cm_trace *t, struct cm_buf *out);

/*
 * Open a file or a folder for a library that reads it by itself, or by name: it
 * gets the descriptor, or /proc/self/fd/N, and so the very thing that was
 * judged.  need is ANY or TRUSTED; of a folder: who may make files in it.
 *
 * CM_OK           *fd is the caller's to close
 * CM_ERR_ABSENT, CM_ERR_CONFIG as above
 */
CM_MUST_USE enum cm_err cm_file_hold(const char *path, enum cm_file_trust need, struct cm_trace *t, int *fd, bool *is_folder);

#endif /* CM_BASE_FILE_H */
