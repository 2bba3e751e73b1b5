/* base/blob.h - bytes from outside: a pointer and a length, borrowed from their owner. */
#ifndef CM_BASE_BLOB_H
#define CM_BASE_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

struct cm_blob {
	const uint8_t *ptr;	/* may hold NUL bytes; not terminated */
	size_t len;		/* bytes; 0: there is none */
};

static inline struct cm_blob
cm_blob_str(const char *s)
{
	return (struct cm_blob){ (const uint8_t *)s, s != NULL ? strlen(s) : 0 };
}

static inline bool
cm_blob_equal(struct cm_blob a, struct cm_blob b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Letter case of ASCII ignored. */
static inline bool
cm_blob_equal_caseless(struct cm_blob a, struct cm_blob b)
{
	return a.len == b.len && (a.len == 0 ||
	    strncasecmp((const char *)a.ptr, (const char *)b.ptr, a.len) == 0);
}

/* What b points at, in memory of its own, for cm_blob_free(); of nothing, nothing.  CM_ERR_NOMEM: *out is empty. */
static inline CM_MUST_USE enum cm_err
cm_blob_copy(struct cm_blob b, struct cm_blob *out)
{
	uint8_t *copy = b.len > 0 ? malloc(b.len) : NULL;

	*out = (struct cm_blob){ NULL, 0 };
	if (b.len == 0)
		return CM_OK;
	if (copy == NULL)
		return CM_ERR_NOMEM;
	memcpy(copy, b.ptr, b.len);
	*out = (struct cm_blob){ copy, b.len };
	return CM_OK;
}

/* Of one whose bytes are the caller's own: they are freed, and it is empty. */
static inline void
cm_blob_free(struct cm_blob *b)
{
	free((void *)(uintptr_t)b->ptr);
	*b = (struct cm_blob){ NULL, 0 };
}

/* White space of ASCII. */
static inline bool
cm_is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

#endif /* CM_BASE_BLOB_H */
