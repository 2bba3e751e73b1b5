/*
 * tests/rig/vbuf.h - growable bytes and BER-TLV for the virtual card.
 * Lengths are bytes. A vbuf owns its bytes; {0} is an empty one.
 * Running out of memory ends the program: this is a test tool.
 */
#ifndef RIG_VBUF_H
#define RIG_VBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vbuf {
	uint8_t *p;
	size_t len;
	size_t cap;
};

/* One data object as read; every pointer is borrowed from what was read. */
struct tlv {
	uint32_t tag;
	size_t tag_len;		/* bytes of the tag */
	const uint8_t *head;	/* where the tag starts */
	const uint8_t *p;	/* the value */
	size_t len;
};

void vbuf_put(struct vbuf *b, const void *p, size_t len);
void vbuf_byte(struct vbuf *b, uint8_t byte);
void vbuf_tag(struct vbuf *b, uint32_t tag);
void vbuf_length(struct vbuf *b, size_t len);
void vbuf_tlv(struct vbuf *b, uint32_t tag, const void *p, size_t len);
void vbuf_tlv_byte(struct vbuf *b, uint32_t tag, uint8_t byte);
/* Put what b holds inside one data object. */
void vbuf_wrap(struct vbuf *b, uint32_t tag);
/* Remove len bytes from the front. */
void vbuf_shift(struct vbuf *b, size_t len);
/* Cut to len bytes. */
void vbuf_cut(struct vbuf *b, size_t len);
void vbuf_move(struct vbuf *to, struct vbuf *from);
/* Wipes, frees, leaves {0}. */
void vbuf_free(struct vbuf *b);
/* True when hex was whole octets and nothing else. */
bool vbuf_hex(struct vbuf *b, const char *hex);

/* Read the data object at p; false when it does not fit in len. */
bool tlv_read(const uint8_t *p, size_t len, struct tlv *out);
/* The same, and move *p past it. */
bool tlv_next(const uint8_t **p, size_t *len, struct tlv *out);

#endif
