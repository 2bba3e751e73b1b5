/* base/list.c - lists of texts, ended by NULL. */
#include "base/list.h"

#include <stdlib.h>

size_t
cm_list_length(char *const *list)
{
	size_t n = 0;

	while (list != NULL && list[n] != NULL)
		n++;
	return n;
}

enum cm_err
cm_list_add(char ***list, struct cm_blob text)
{
	const size_t n = cm_list_length(*list);
	char **more = realloc(*list, (n + 2) * sizeof(*more));

	if (more == NULL)
		return CM_ERR_NOMEM;
	*list = more;
	more[n + 1] = NULL;
	more[n] = strndup((const char *)text.ptr, text.len);
	return more[n] != NULL ? CM_OK : CM_ERR_NOMEM;
}

void
cm_list_free(char ***list)
{
	for (char **p = *list; p != NULL && *p != NULL; p++)
		free(*p);
	free(*list);
	*list = NULL;
}
