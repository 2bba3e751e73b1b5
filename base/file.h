/* base/file.h - read a file whose content decides something. */
#ifndef CM_BASE_FILE_H
#define CM_BASE_FILE_H

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

#endif /* CM_BASE_FILE_H */
