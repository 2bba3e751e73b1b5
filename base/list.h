/* base/list.h - lists of texts, ended by NULL. */
#ifndef CM_BASE_LIST_H
#define CM_BASE_LIST_H

#include "base/blob.h"
#include "base/err.h"

/* A list and its texts belong to who holds it; one that is NULL is empty. */

/* How many texts it has. */
size_t cm_list_length(char *const *list);
/* Append a copy.  CM_ERR_NOMEM: the list is as it was. */
CM_MUST_USE enum cm_err cm_list_add(char ***list, struct cm_blob text);
/* Free it; it is NULL then. */
void cm_list_free(char ***list);

#endif /* CM_BASE_LIST_H */
