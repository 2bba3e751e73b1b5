/*
 * mapper/plist_binary.c - the binary form, "bplist00".
 *
 * Read here and not by libplist: that one (2.2) copies an array for every
 * reference to it, so 121 bytes fill the memory, and ends the whole program by
 * assert() when a key holds a NUL.  The tests write with it.
 *
 *	file    = "bplist00" objects offsets trailer
 *	trailer = 6 bytes, size of an offset, size of a reference,
 *	          number of objects (8 bytes), top object (8), where offsets start (8)
 *	object  = marker: high four bits the type, low four the length; 15: an
 *	          integer object with the length follows; then the content
 *
 * All numbers are big-endian.  (CFBinaryPList.c of Apple's CoreFoundation.)
 */
#include "mapper/plist_internal.h"

#include <stdlib.h>

#define TRAILER	32

enum { TYPE_SIMPLE = 0, TYPE_INTEGER = 1, TYPE_ASCII = 5, TYPE_UTF16 = 6, TYPE_ARRAY = 0xA, TYPE_DICT = 0xD };

struct reader {
	struct cm_plist_file *file;
	const uint8_t *ptr;
	uint64_t count, table;		/* objects, and where their offsets start */
	uint64_t top;
	size_t offset_size, ref_size;
};

/* An object's type, length in its own units, and where its content is. */
struct object {
	unsigned type;
	uint64_t len, at;
};

static enum cm_err
broken(const struct reader *r)
{
	return cm_plist_fail(r->file, 0, "not a whole binary property list; make it anew with "
	    "plutil -convert binary1");
}

static uint64_t
number(const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	for (size_t i = 0; i < size; i++)
		v = v << 8 | p[i];
	return v;
}

static bool
read_trailer(struct reader *r, struct cm_blob bytes)
{
	const uint8_t *t;

	if (bytes.len < 8 + TRAILER)
		return false;
	t = bytes.ptr + bytes.len - TRAILER;
	r->ptr = bytes.ptr;
	r->offset_size = t[6];
	r->ref_size = t[7];
	r->count = number(t + 8, 8);
	r->top = number(t + 16, 8);
	r->table = number(t + 24, 8);
	return r->offset_size >= 1 && r->offset_size <= 8 && r->ref_size >= 1 &&
	    r->ref_size <= 8 && r->count <= bytes.len && r->table <= bytes.len - TRAILER &&
	    r->count * r->offset_size <= bytes.len - TRAILER - r->table;
}

/* Objects stand before the table of their offsets. */
static bool
read_object(const struct reader *r, uint64_t index, struct object *o)
{
	uint64_t size;

	if (index >= r->count)
		return false;
	o->at = number(r->ptr + r->table + index * r->offset_size, r->offset_size);
	if (o->at < 8 || o->at >= r->table)
		return false;
	o->type = r->ptr[o->at] >> 4;
	o->len = r->ptr[o->at++] & 15;
	if (o->len != 15 || o->type < 4)
		return true;
	if (o->at >= r->table || r->ptr[o->at] >> 4 != TYPE_INTEGER)
		return false;
	size = (uint64_t)1 << (r->ptr[o->at++] & 15);
	if (size > 8 || size > r->table - o->at)
		return false;
	o->len = number(r->ptr + o->at, size);
	o->at += size;
	return true;
}

/* RFC 2781 section 2.2; false: half a pair, or a NUL. */
static bool
add_utf16(struct cm_buf *out, const uint8_t *p, uint64_t units)
{
	uint8_t utf8[4];

	for (uint64_t i = 0; i < units; i++) {
		uint32_t c = (uint32_t)number(p + 2 * i, 2);

		if (c >= 0xD800 && c < 0xDC00 && i + 1 < units) {
			const uint32_t low = (uint32_t)number(p + 2 * ++i, 2);

			if (low < 0xDC00 || low > 0xDFFF)
				return false;
			c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
		} else if (c == 0 || (c >= 0xD800 && c <= 0xDFFF)) {
			return false;
		}
		cm_buf_add(out, utf8, cm_utf8_put(c, utf8));
	}
	return true;
}

static bool
is_ascii(const uint8_t *p, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		if (p[i] == 0 || p[i] >= 0x80)
			return false;
	return true;
}

static enum cm_err
read_text(const struct reader *r, const struct object *o, char **out)
{
	const uint64_t unit = o->type == TYPE_UTF16 ? 2 : 1;
	enum cm_err err = CM_OK;
	struct cm_buf b;

	cm_buf_init(&b, 0);
	if (o->type != TYPE_ASCII && o->type != TYPE_UTF16)
		return broken(r);
	if (o->len > (r->table - o->at) / unit)
		return broken(r);
	/* One text may be referred to from everywhere, and is copied each time. */
	if ((r->file->text += o->len * unit) > CM_PLIST_MAX)
		return cm_plist_fail(r->file, 0, "more than %zu bytes of text; remove some", CM_PLIST_MAX);
	if (o->type == TYPE_UTF16 ? !add_utf16(&b, r->ptr + o->at, o->len) :
	    !is_ascii(r->ptr + o->at, o->len))
		err = cm_plist_fail(r->file, 0, "a text holds a NUL or broken characters; write it anew");
	else if (o->type == TYPE_ASCII)
		cm_buf_add(&b, r->ptr + o->at, o->len);
	if (err == CM_OK && (*out = cm_buf_take(&b)) == NULL)
		err = CM_ERR_NOMEM;
	cm_buf_free(&b);
	return err;
}

static enum cm_err read_value(const struct reader *r, uint64_t index, unsigned depth,
    struct cm_plist_node **out);

/* An array is references to values; a dict is as many references to keys, then to values. */
static enum cm_err
read_children(const struct reader *r, const struct object *o, unsigned depth,
    struct cm_plist_node *n)
{
	const uint64_t refs = o->type == TYPE_DICT ? 2 : 1;
	const uint8_t *p = r->ptr + o->at;
	struct cm_plist_node **last = &n->child;
	enum cm_err err = CM_OK;

	if (o->len > (r->table - o->at) / refs / r->ref_size)
		return broken(r);
	for (uint64_t i = 0; err == CM_OK && i < o->len; i++, last = &(*last)->next) {
		const uint8_t *value = p + ((refs - 1) * o->len + i) * r->ref_size;
		struct object key;

		if ((err = read_value(r, number(value, r->ref_size), depth, last)) != CM_OK)
			break;
		if (o->type != TYPE_DICT)
			continue;
		err = read_object(r, number(p + i * r->ref_size, r->ref_size), &key) ?
		    read_text(r, &key, &(*last)->key) : broken(r);
	}
	return err;
}

/* Eight bytes have a sign, sixteen are beyond what any key here holds; fewer have none. */
static enum cm_err
read_integer(const struct reader *r, const struct object *o, struct cm_plist_node *n)
{
	const uint64_t size = (uint64_t)1 << o->len;

	if (o->len > 3 || size > r->table - o->at)
		return broken(r);
	n->number = (int64_t)number(r->ptr + o->at, size);
	return CM_OK;
}

static enum cm_plist_type
type_of(const struct object *o)
{
	switch (o->type) {
	case TYPE_DICT:
		return CM_PLIST_DICT;
	case TYPE_ARRAY:
		return CM_PLIST_ARRAY;
	case TYPE_ASCII:
	case TYPE_UTF16:
		return CM_PLIST_STRING;
	case TYPE_INTEGER:
		return CM_PLIST_INTEGER;
	case TYPE_SIMPLE:	/* 8: false, 9: true */
		return o->len == 8 || o->len == 9 ? CM_PLIST_BOOL : CM_PLIST_OTHER;
	default:
		return CM_PLIST_OTHER;
	}
}

/* However objects refer to each other, depth and number of nodes are bounded. */
static enum cm_err
read_value(const struct reader *r, uint64_t index, unsigned depth, struct cm_plist_node **out)
{
	struct object o;
	enum cm_err err;

	if (!read_object(r, index, &o))
		return broken(r);
	if (depth > CM_PLIST_DEPTH_MAX)
		return cm_plist_fail(r->file, 0, "nested too deep; flatten it");
	if ((err = cm_plist_node_new(r->file, type_of(&o), 0, out)) != CM_OK)
		return err;
	switch ((*out)->type) {
	case CM_PLIST_DICT:
	case CM_PLIST_ARRAY:
		return read_children(r, &o, depth + 1, *out);
	case CM_PLIST_STRING:
		return read_text(r, &o, &(*out)->text);
	case CM_PLIST_INTEGER:
		return read_integer(r, &o, *out);
	case CM_PLIST_BOOL:
		(*out)->number = o.len == 9;
		return CM_OK;
	case CM_PLIST_OTHER:
		break;
	}
	return CM_OK;
}

enum cm_err
cm_plist_read_binary(struct cm_plist_file *f, struct cm_blob bytes, struct cm_plist_node **out)
{
	struct reader r = { .file = f };
	enum cm_err err;

	*out = NULL;
	if (!read_trailer(&r, bytes))
		return broken(&r);
	if ((err = read_value(&r, r.top, 0, out)) != CM_OK)
		cm_plist_node_free(out);
	return err;
}
