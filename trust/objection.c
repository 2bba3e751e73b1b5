/* trust/objection.c - the names of objections. */
#include "trust/objection.h"

#include <stddef.h>

#include "base/err.h"

static const char *const names[] = {
#define X(name, word, text) [CM_OBJECTION_##name] = word,
	CM_OBJECTIONS(X)
#undef X
};

const char *
cm_objection_name(enum cm_objection o)
{
	return names[(size_t)o < CM_COUNT(names) ? o : CM_OBJECTION_NONE];
}
