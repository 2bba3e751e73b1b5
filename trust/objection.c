/* trust/objection.c - the names of objections. */
#include "trust/objection.h"

#include <stddef.h>

#include "base/err.h"

static const struct row {
	const char *name, *text;
} rows[] = {
#define X(name, word, text) [CM_OBJECTION_##name] = { word, text },
	CM_OBJECTIONS(X)
#undef X
};

static const struct row *
row(enum cm_objection o)
{
	return &rows[(size_t)o < CM_COUNT(rows) ? o : CM_OBJECTION_NONE];
}

const char *
cm_objection_name(enum cm_objection o)
{
	return row(o)->name;
}

const char *
cm_objection_text(enum cm_objection o)
{
	return row(o)->text;
}
