/* base/buf.c - text and bytes under construction: bounded, and an error sticks. */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

void
cm_buf_init(struct cm_buf *b, size_t max)
{
	*b = (struct cm_buf){ .max = max };
}

void
cm_buf_init_secret(struct cm_buf *b, size_t max)
{
	*b = (struct cm_buf){ .max = max, .secret = true };
}

static void
release(struct cm_buf *b)
{
	if (b->secret && b->ptr != NULL)
		explicit_bzero(b->ptr, b->cap);
	free(b->ptr);
}

void
cm_buf_free(struct cm_buf *b)
{
	release(b);
	*b = (struct cm_buf){ .max = b->max, .secret = b->secret };
}

static bool
grow(struct cm_buf *b, size_t extra)
{
	const size_t max = b->max != 0 ? b->max : CM_BUF_MAX;
	size_t cap = b->cap != 0 ? b->cap : 64;
	uint8_t *p;

	if (b->err != CM_OK)
		return false;
	if (extra > max - b->len) {
		b->err = CM_ERR_SYNTAX;
		return false;
	}
	if (b->ptr != NULL && b->cap - b->len > extra)
		return true;
	while (cap - b->len <= extra)
		cap *= 2;
	if ((p = malloc(cap)) == NULL) {
		b->err = CM_ERR_NOMEM;
		return false;
	}
	if (b->len > 0)
		memcpy(p, b->ptr, b->len);
	p[b->len] = '\0';
	release(b);
	b->ptr = p;
	b->cap = cap;
	return true;
}

void
cm_buf_add(struct cm_buf *b, const void *p, size_t len)
{
	if (!grow(b, len) || len == 0)
		return;
	memcpy(b->ptr + b->len, p, len);
	b->len += len;
	b->ptr[b->len] = '\0';
}

uint8_t *
cm_buf_extend(struct cm_buf *b, size_t len)
{
	uint8_t *begin;

	if (!grow(b, len))
		return NULL;
	begin = b->ptr + b->len;
	b->len += len;
	b->ptr[b->len] = '\0';
	return begin;
}

void
cm_buf_add_byte(struct cm_buf *b, uint8_t byte)
{
	cm_buf_add(b, &byte, 1);
}

void
cm_buf_add_str(struct cm_buf *b, const char *s)
{
	cm_buf_add(b, s, strlen(s));
}

void
cm_buf_add_blob(struct cm_buf *b, struct cm_blob v)
{
	cm_buf_add(b, v.ptr, v.len);
}

void
cm_buf_add_hex(struct cm_buf *b, struct cm_blob v)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < v.len; i++) {
		cm_buf_add(b, &digits[v.ptr[i] >> 4], 1);
		cm_buf_add(b, &digits[v.ptr[i] & 15], 1);
	}
}

static int
hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t
cm_hex_parse(struct cm_blob text, uint8_t *out, size_t size)
{
	size_t digits = 0;

	for (size_t i = 0; i < text.len; i++) {
		const int v = hex_value(text.ptr[i]);
		const size_t at = digits / 2;

		if (text.ptr[i] != '\0' && strchr(": \t\r\n", text.ptr[i]) != NULL)
			continue;
		if (v < 0)
			return SIZE_MAX;
		if (at < size)
			out[at] = (uint8_t)(digits % 2 == 0 ? v << 4 : out[at] | v);
		digits++;
	}
	return digits;
}

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
cm_buf_add_base64(struct cm_buf *b, struct cm_blob v)
{
	uint8_t *to = cm_buf_extend(b, (v.len + 2) / 3 * 4);

	for (size_t i = 0; to != NULL && i < v.len; i += 3, to += 4) {
		const size_t n = v.len - i < 3 ? v.len - i : 3;
		const uint32_t group = (uint32_t)v.ptr[i] << 16 |
		    (n > 1 ? (uint32_t)v.ptr[i + 1] << 8 : 0) | (n > 2 ? v.ptr[i + 2] : 0);

		to[0] = (uint8_t)base64[group >> 18];
		to[1] = (uint8_t)base64[group >> 12 & 63];
		to[2] = n > 1 ? (uint8_t)base64[group >> 6 & 63] : '=';
		to[3] = n > 2 ? (uint8_t)base64[group & 63] : '=';
	}
}

/* RFC 4648 section 4, each one more than it is: 0 is none of them. */
static const int8_t base64_values[UINT8_MAX + 1] = {
	['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8, ['I'] = 9,
	['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,
	['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27,
	['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
	['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45,
	['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,
	['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
	['/'] = 64,
};

static int
base64_value(uint8_t c)
{
	return base64_values[c] - 1;
}

size_t
cm_base64_parse(struct cm_blob text, bool strict, uint8_t *out)
{
	size_t pad = 0, n = 0;
	uint32_t bits = 0;

	while (pad < 2 && pad < text.len && text.ptr[text.len - 1 - pad] == '=')
		pad++;
	if (text.len % 4 != 0)
		return SIZE_MAX;
	for (size_t i = 0; i < text.len; i++) {
		const int value = i < text.len - pad ? base64_value(text.ptr[i]) : 0;

		if (value < 0)
			return SIZE_MAX;
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 != 3)
			continue;
		if (strict && i + 1 == text.len && (bits & ((1u << (8 * pad)) - 1)) != 0)
			return SIZE_MAX;
		out[n++] = (uint8_t)(bits >> 16);
		out[n++] = (uint8_t)(bits >> 8);
		out[n++] = (uint8_t)bits;
	}
	return n - pad;
}

void
cm_buf_addv(struct cm_buf *b, const char *fmt, va_list ap)
{
	const size_t room = b->ptr != NULL && b->err == CM_OK ? b->cap - b->len : 0;
	va_list again;
	int n;

	/* Where it fits, as most does, it is made once. */
	va_copy(again, ap);
	n = vsnprintf(room > 0 ? (char *)b->ptr + b->len : NULL, room, fmt, again);
	va_end(again);
	if (n < 0)
		b->err = b->err != CM_OK ? b->err : CM_ERR_SYNTAX;
	else if (grow(b, (size_t)n) && (size_t)n >= room)
		vsnprintf((char *)b->ptr + b->len, (size_t)n + 1, fmt, ap);
	if (b->err == CM_OK)
		b->len += (size_t)n;
	else if (room > 0)
		b->ptr[b->len] = '\0';
}

void
cm_buf_addf(struct cm_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cm_buf_addv(b, fmt, ap);
	va_end(ap);
}

/* RFC 3629 section 3 */
size_t
cm_utf8_put(uint32_t c, uint8_t out[4])
{
	static const uint8_t lead[] = { 0x00, 0x00, 0xC0, 0xE0, 0xF0 };	/* by length */
	const size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = len - 1; i > 0; i--, c >>= 6)
		out[i] = (uint8_t)(0x80 | (c & 0x3F));
	out[0] = (uint8_t)(lead[len] | c);
	return len;
}

size_t
cm_utf8_length(const uint8_t *p, size_t left)
{
	static const struct row {
		uint8_t first, last, low, high;	/* lead byte, and what the second may be */
		size_t len;
	} rows[] = {
		{ 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 },
		{ 0xE1, 0xEC, 0x80, 0xBF, 3 }, { 0xED, 0xED, 0x80, 0x9F, 3 },
		{ 0xEE, 0xEF, 0x80, 0xBF, 3 }, { 0xF0, 0xF0, 0x90, 0xBF, 4 },
		{ 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 },
	};

	if (p[0] < 0x80)
		return 1;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct row *r = &rows[i];

		if (p[0] < r->first || p[0] > r->last || left < r->len)
			continue;
		if (p[1] < r->low || p[1] > r->high)
			return 0;
		for (size_t k = 2; k < r->len; k++)
			if ((p[k] & 0xC0) != 0x80)
				return 0;
		return r->len;
	}
	return 0;
}

/* C0, DEL and C1 (which is U+0080 to U+009F) move cursors and change colours. */
static bool
is_control(const uint8_t *p, size_t n)
{
	return p[0] < 0x20 || p[0] == 0x7F || (n == 2 && p[0] == 0xC2 && p[1] < 0xA0);
}

/* Bytes at p that are plain ASCII: nearly all of a text, added in one piece. */
static size_t
plain_length(const uint8_t *p, size_t left)
{
	size_t n = 0;

	while (n < left && p[n] >= 0x20 && p[n] < 0x7F)
		n++;
	return n;
}

void
cm_buf_add_printable(struct cm_buf *b, struct cm_blob v)
{
	for (size_t i = 0; i < v.len;) {
		size_t n = plain_length(v.ptr + i, v.len - i);

		if (n == 0)
			n = cm_utf8_length(v.ptr + i, v.len - i);
		if (n == 0 || is_control(v.ptr + i, n)) {
			cm_buf_addf(b, "\\x%02x", v.ptr[i]);
			i++;
		} else {
			cm_buf_add(b, v.ptr + i, n);
			i += n;
		}
	}
}

void
cm_buf_truncate(struct cm_buf *b, size_t len)
{
	b->err = CM_OK;
	if (b->ptr == NULL || len >= b->len)
		return;
	if (b->secret)
		explicit_bzero(b->ptr + len, b->len - len);
	b->len = len;
	b->ptr[len] = '\0';
}

enum cm_err
cm_buf_status(const struct cm_buf *b)
{
	return b->err;
}

const char *
cm_buf_str(const struct cm_buf *b)
{
	return b->ptr != NULL ? (const char *)b->ptr : "";
}

struct cm_blob
cm_buf_blob(const struct cm_buf *b)
{
	return (struct cm_blob){ b->ptr, b->len };
}

char *
cm_buf_take(struct cm_buf *b)
{
	char *p;

	if (!grow(b, 0))
		return NULL;
	p = (char *)b->ptr;
	*b = (struct cm_buf){ .max = b->max, .secret = b->secret };
	return p;
}
