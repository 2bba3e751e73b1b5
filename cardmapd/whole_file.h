/* cardmapd/whole_file.h - a small file of root's own that a service which is started anew reads. */
#ifndef CM_CARDMAPD_WHOLE_FILE_H
#define CM_CARDMAPD_WHOLE_FILE_H

#include <jansson.h>

#include "base/blob.h"
#include "base/trace.h"

/* Whole or not at all, in place of what was there; mode 0600.  CM_ERR_SYSTEM */
CM_MUST_USE enum cm_err cm_whole_file_write(const char *path, struct cm_blob text, struct cm_trace *t);

/* The list's row at I as an object, which is the caller's; NULL: memory is short, or a text of it is no UTF-8. */
typedef json_t *cm_table_describe(const void *list, size_t i);
/* False: the object is no such row. */
typedef bool cm_table_take(void *list, size_t i, const json_t *row);

/* A list as text, a JSON array of objects; it is the caller's to free.  NULL as above. */
char *cm_table_text(const void *list, size_t count, cm_table_describe *describe);
/* The other way: how many rows there are; -1: it is not such a text of at most max rows. */
ssize_t cm_table_parse(struct cm_blob text, void *list, size_t max, cm_table_take *take);
/* A number of a row, from 0 to max. */
bool cm_table_number(const json_t *row, const char *key, json_int_t max, json_int_t *to);

#endif /* CM_CARDMAPD_WHOLE_FILE_H */
