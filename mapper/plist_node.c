/* mapper/plist_node.c - the tree that both forms of property list become. */
#include "mapper/plist_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "mapper/import.h"

enum cm_err
cm_plist_fail(const struct cm_plist_file *f, int line, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return cm_import_fail(f->name, line, f->trace, "%s", text);
}

enum cm_err
cm_plist_node_new(struct cm_plist_file *f, enum cm_plist_type type, int line,
    struct cm_plist_node **out)
{
	if (f->nodes++ == CM_PLIST_NODES_MAX)
		return cm_plist_fail(f, line, "more than %d values; remove some", CM_PLIST_NODES_MAX);
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	(*out)->type = type;
	(*out)->line = line;
	return CM_OK;
}

/* Depth is bounded by CM_PLIST_DEPTH_MAX, length is not: siblings are a loop. */
void
cm_plist_node_free(struct cm_plist_node **n)
{
	struct cm_plist_node *p = *n;

	while (p != NULL) {
		struct cm_plist_node *next = p->next;

		cm_plist_node_free(&p->child);
		free(p->key);
		free(p->text);
		free(p);
		p = next;
	}
	*n = NULL;
}
