/* base/buf.h - text and bytes under construction: bounded, and an error sticks. */
#ifndef CM_BASE_BUF_H
#define CM_BASE_BUF_H

#include <stdarg.h>

#include "base/blob.h"
#include "base/err.h"

/*
 * Additions never fail one by one: the first that does not fit leaves the
 * buffer as it was, makes every later one do nothing, and cm_buf_status()
 * tells.  So a text is built in one go and checked once, and is never used
 * shortened.  A zeroed struct is an empty buffer without a limit of its own
 * (CM_BUF_MAX holds).
 */
struct cm_buf {
	uint8_t *ptr;		/* owned; always followed by a NUL when not NULL */
	size_t len;		/* bytes, the final NUL not counted */
	size_t cap;
	size_t max;		/* most bytes ever held; 0: CM_BUF_MAX */
	enum cm_err err;	/* CM_OK, or why the text is not whole */
	bool secret;		/* wiped when it grows and when it is freed */
};

#define CM_BUF_MAX	((size_t)64 << 20)

void cm_buf_init(struct cm_buf *b, size_t max);
void cm_buf_init_secret(struct cm_buf *b, size_t max);
void cm_buf_free(struct cm_buf *b);

void cm_buf_add(struct cm_buf *b, const void *p, size_t len);
void cm_buf_add_byte(struct cm_buf *b, uint8_t byte);
/* Add len bytes that the caller writes at once; where they begin, borrowed until the next change.  NULL: not added. */
uint8_t *cm_buf_extend(struct cm_buf *b, size_t len);
void cm_buf_add_str(struct cm_buf *b, const char *s);
void cm_buf_add_blob(struct cm_buf *b, struct cm_blob v);
void cm_buf_add_hex(struct cm_buf *b, struct cm_blob v);	/* lower case */
void cm_buf_add_base64(struct cm_buf *b, struct cm_blob v);	/* RFC 4648 section 4, padded, in one line */
void cm_buf_addf(struct cm_buf *b, const char *fmt, ...) CM_PRINTF(2, 3);
void cm_buf_addv(struct cm_buf *b, const char *fmt, va_list ap) CM_PRINTF(2, 0);

/*
 * The other way: hex digits in any case, with colons and white space between
 * them as tools print fingerprints.  Bytes beyond size are counted and not
 * written.  How many digits there are; SIZE_MAX when something else stands there.
 */
size_t cm_hex_parse(struct cm_blob text, uint8_t *out, size_t size);

/*
 * RFC 4648 section 4, padded, with nothing between the digits; strict: unused
 * bits are zero (3.5).  out has room for three bytes of each four, and may be the
 * text itself.  Bytes written; SIZE_MAX when it is not that.
 */
size_t cm_base64_parse(struct cm_blob text, bool strict, uint8_t *out);

/* As text for a person's terminal or log: control bytes and broken UTF-8 become \xNN. */
void cm_buf_add_printable(struct cm_buf *b, struct cm_blob v);

/* Write the UTF-8 of c, a Unicode scalar value, into out: its length in bytes. */
size_t cm_utf8_put(uint32_t c, uint8_t out[4]);

/* Bytes of the well-formed UTF-8 sequence (RFC 3629 section 4) that begins at p, left of them there (at least 1); or 0. */
size_t cm_utf8_length(const uint8_t *p, size_t left);

/* Shorten to len bytes (no longer than now) and forget an error. */
void cm_buf_truncate(struct cm_buf *b, size_t len);

/* CM_OK, CM_ERR_NOMEM, or CM_ERR_SYNTAX when max would be passed. */
CM_MUST_USE enum cm_err cm_buf_status(const struct cm_buf *b);

/* The content, borrowed until the next change; "" when empty. */
const char *cm_buf_str(const struct cm_buf *b);
struct cm_blob cm_buf_blob(const struct cm_buf *b);

/* Give the content away, NUL-terminated, to be freed by free(3); NULL if the status is not CM_OK. */
CM_MUST_USE char *cm_buf_take(struct cm_buf *b);

#endif /* CM_BASE_BUF_H */
