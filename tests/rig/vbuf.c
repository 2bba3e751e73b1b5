/* tests/rig/vbuf.c - growable bytes and BER-TLV for the virtual card. */
#include "vbuf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
grow(struct vbuf *b, size_t more)
{
	size_t cap = b->cap > 0 ? b->cap : 64;
	uint8_t *p;

	while (cap - b->len < more)
		cap *= 2;
	if (cap == b->cap)
		return;
	if ((p = realloc(b->p, cap)) == NULL) {
		fputs("vcard: out of memory\n", stderr);
		exit(1);
	}
	b->p = p;
	b->cap = cap;
}

void
vbuf_put(struct vbuf *b, const void *p, size_t len)
{
	if (len == 0)
		return;
	grow(b, len);
	memcpy(b->p + b->len, p, len);
	b->len += len;
}

void
vbuf_byte(struct vbuf *b, uint8_t byte)
{
	vbuf_put(b, &byte, 1);
}

void
vbuf_tag(struct vbuf *b, uint32_t tag)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		if (tag >> shift != 0)
			vbuf_byte(b, (uint8_t)(tag >> shift));
}

/* ISO/IEC 7816-4 5.2.2.2: BER-TLV length fields of one to four bytes. */
void
vbuf_length(struct vbuf *b, size_t len)
{
	if (len > 0xffff) {
		vbuf_byte(b, 0x83);
		vbuf_byte(b, (uint8_t)(len >> 16));
		vbuf_byte(b, (uint8_t)(len >> 8));
	} else if (len > 0xff) {
		vbuf_byte(b, 0x82);
		vbuf_byte(b, (uint8_t)(len >> 8));
	} else if (len > 0x7f) {
		vbuf_byte(b, 0x81);
	}
	vbuf_byte(b, (uint8_t)len);
}

void
vbuf_tlv(struct vbuf *b, uint32_t tag, const void *p, size_t len)
{
	vbuf_tag(b, tag);
	vbuf_length(b, len);
	vbuf_put(b, p, len);
}

void
vbuf_tlv_byte(struct vbuf *b, uint32_t tag, uint8_t byte)
{
	vbuf_tlv(b, tag, &byte, 1);
}

void
vbuf_wrap(struct vbuf *b, uint32_t tag)
{
	struct vbuf whole = {0};

	vbuf_tlv(&whole, tag, b->p, b->len);
	vbuf_move(b, &whole);
}

void
vbuf_shift(struct vbuf *b, size_t len)
{
	if (len == 0)
		return;
	memmove(b->p, b->p + len, b->len - len);
	b->len -= len;
}

void
vbuf_cut(struct vbuf *b, size_t len)
{
	if (len < b->len)
		b->len = len;
}

void
vbuf_move(struct vbuf *to, struct vbuf *from)
{
	vbuf_free(to);
	*to = *from;
	*from = (struct vbuf){0};
}

void
vbuf_free(struct vbuf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->cap);
	free(b->p);
	*b = (struct vbuf){0};
}

static int
nibble(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

bool
vbuf_hex(struct vbuf *b, const char *hex)
{
	for (; hex[0] != '\0'; hex += 2) {
		const int high = nibble(hex[0]);
		const int low = high < 0 ? -1 : nibble(hex[1]);

		if (low < 0)
			return false;
		vbuf_byte(b, (uint8_t)(high << 4 | low));
	}
	return true;
}

bool
tlv_read(const uint8_t *p, size_t len, struct tlv *out)
{
	size_t at = 0, more;

	*out = (struct tlv){ .head = p };
	if (len < 2)
		return false;
	out->tag = p[at++];
	if ((out->tag & 0x1f) == 0x1f) {
		do {
			if (at == len || at == 4)
				return false;
			out->tag = out->tag << 8 | p[at];
		} while ((p[at++] & 0x80) != 0);
	}
	out->tag_len = at;
	if (at == len)
		return false;
	if ((out->len = p[at++]) > 0x7f) {
		more = out->len & 0x7f;
		if (more == 0 || more > 3 || len - at < more)
			return false;
		for (out->len = 0; more > 0; more--)
			out->len = out->len << 8 | p[at++];
	}
	out->p = p + at;
	return len - at >= out->len;
}

bool
tlv_next(const uint8_t **p, size_t *len, struct tlv *out)
{
	size_t used;

	if (!tlv_read(*p, *len, out))
		return false;
	used = (size_t)(out->p - *p) + out->len;
	*p += used;
	*len -= used;
	return true;
}
