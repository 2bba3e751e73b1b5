/* cardmapd/whole_file.h - a small file of root's own that a service which is started anew reads. */
#ifndef CM_CARDMAPD_WHOLE_FILE_H
#define CM_CARDMAPD_WHOLE_FILE_H

#include "base/blob.h"
#include "base/trace.h"

/* Whole or not at all, in place of what was there; mode 0600.  CM_ERR_SYSTEM */
CM_MUST_USE enum cm_err cm_whole_file_write(const char *path, struct cm_blob text, struct cm_trace *t);

#endif /* CM_CARDMAPD_WHOLE_FILE_H */
