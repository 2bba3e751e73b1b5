/*
 * tests/rig/piv_content.h - what a virtual PIV card holds, read from a folder.
 *
 * The folder (every file may be missing):
 *   9a.crt 9a.key, 9c.*, 9d.*, 9e.*, 82.* to 95.*   PEM; 9a.der instead of 9a.crt is taken as it is, valid or not.
 *                 The key need not be the certificate's.
 *   chuid.bin     the whole CHUID as GET DATA answers it (53...), or what is inside
 *   pin           the application PIN, default 123456; pin.global the global one, default the same
 *   puk           the PUK; without it the card has none
 *   card.conf     key=value, # starts a comment:
 *     retries=3          tries of each PIN (1-15)
 *     pin_policy=application|both|global   which PIN opens the card, and the discovery object's policy
 *     extended=no        extended length; yes also announces it in the ATR
 *     gzip=no            certificates gzip-compressed
 *     discovery=yes chuid=yes ccc=yes key_history=yes   whether the object is there
 *     guid=HEX fascn=HEX default: made from the first certificate, so that two cards differ
 *     expires=YYYYMMDD   CHUID's date, default 20351231
 *     chuid_size=2600    bytes of the whole CHUID object (the signature fills it)
 *     size.9a=N          bytes of the whole certificate object; filled with tag 72 (MSCUID)
 *     atr=HEX            default 3B8580018073C00180TCK (chaining), ...C0TCK with extended length
 *     persist=no         yes keeps the tries left in DIR/tries (application, then global, one a line)
 */
#ifndef RIG_PIV_CONTENT_H
#define RIG_PIV_CONTENT_H

#include <limits.h>
#include <openssl/evp.h>

#include "vbuf.h"

enum { PIV_PIN_MAX = 8, PIV_KEYS_MAX = 24, PIV_OBJECTS_MAX = 32 };

/* Which of the two PINs. */
enum piv_pin { PIV_PIN_APPLICATION, PIV_PIN_GLOBAL, PIV_PINS };

struct piv_object {
	uint32_t tag;
	struct vbuf data;	/* as GET DATA answers it */
};

struct piv_content {
	char dir[PATH_MAX];
	struct piv_object objects[PIV_OBJECTS_MAX];
	size_t objects_len;
	struct {
		uint8_t ref;
		EVP_PKEY *key;
	} keys[PIV_KEYS_MAX];
	size_t keys_len;
	/* Padded with FF to eight bytes: NIST SP 800-73-4 Part 2, 2.4.3. */
	uint8_t pin[PIV_PINS][PIV_PIN_MAX];
	bool pin_used[PIV_PINS];
	uint8_t puk[PIV_PIN_MAX];
	bool has_puk;
	unsigned int retries;
	bool extended;
	bool persist;
	struct vbuf atr;
};

/* Owned by the caller. NULL, and the reason in error, when the folder cannot be used. */
struct piv_content *piv_content_load(const char *dir, char *error, size_t error_len);
void piv_content_free(struct piv_content **content);
/* Borrowed; NULL when the card has none. */
const struct piv_object *piv_content_object(const struct piv_content *content, uint32_t tag);
EVP_PKEY *piv_content_key(const struct piv_content *content, uint8_t ref);

#endif
