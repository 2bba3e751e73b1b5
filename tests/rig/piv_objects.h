/*
 * tests/rig/piv_objects.h - the data objects of a PIV card (NIST SP 800-73-4 Part 1), made from what they hold.
 * Each is written to out, an empty vbuf of the caller's, as GET DATA answers it. A seed is 32 bytes.
 */
#ifndef RIG_PIV_OBJECTS_H
#define RIG_PIV_OBJECTS_H

#include "vbuf.h"

enum { PIV_FASCN_LEN = 25, PIV_GUID_LEN = 16, PIV_SIZE_MAX = 0xffff };

/* All borrowed. */
struct piv_chuid {
	const struct vbuf *fascn, *guid;
	const char *expires;	/* YYYYMMDD */
	const uint8_t *seed;
};

/* In place; false when zlib fails. */
bool piv_gzip(struct vbuf *b);
/* size: bytes of the whole object, 0 = as it comes. False when they cannot be met. */
bool piv_certificate_object(const struct vbuf *cert, bool gzip, size_t size, struct vbuf *out);
void piv_chuid_object(const struct piv_chuid *chuid, size_t size, struct vbuf *out);
void piv_ccc_object(const uint8_t *seed, struct vbuf *out);
void piv_discovery_object(const uint8_t policy[2], struct vbuf *out);
void piv_key_history_object(uint8_t with, uint8_t without, struct vbuf *out);
void piv_make_fascn(const uint8_t *seed, struct vbuf *out);
void piv_make_guid(const uint8_t *seed, struct vbuf *out);

#endif
