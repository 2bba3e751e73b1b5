/* base/blob.h - bytes from outside: a pointer and a length, borrowed from their owner. */
#ifndef CM_BASE_BLOB_H
#define CM_BASE_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

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

/* White space of ASCII. */
static inline bool
cm_is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

#endif /* CM_BASE_BLOB_H */
