/* service/carry.h - accounts carried to a new computer: sealed there and back, and put in with all that belongs to them. */
#ifndef CM_SERVICE_CARRY_H
#define CM_SERVICE_CARRY_H

#include "service/mobile.h"

/*
 * The file; nothing stands behind it:
 *
 *	carried = head cipher tag
 *	head    = "CMACCT" version nonce	; the additional data
 *	version = %x01
 *	nonce   = 12OCTET
 *	cipher  = *OCTET			; AES-256-GCM (SP 800-38D) of what cache/transfer.h collects
 *	tag     = 16OCTET
 *
 * The key is made for one export and no other, and has a file of its own, mode
 * 0600: 64 hexadecimal digits and a newline.  Who has both has what lets the
 * cards in with no network; who has one of them has nothing.
 */
#define CM_CARRY_KEY	32
#define CM_CARRY_MAX	((size_t)(64 << 20) + 64)

CM_MUST_USE enum cm_err cm_carry_seal(struct cm_blob plain, const uint8_t key[CM_CARRY_KEY], struct cm_buf *out);
/* Append what was sealed.  CM_ERR_SYNTAX  STORE: it is no such file, was changed, or has another key */
CM_MUST_USE enum cm_err cm_carry_open(struct cm_blob sealed, const uint8_t key[CM_CARRY_KEY], struct cm_trace *t, struct cm_buf *out);

/* Of this file, which must not be there yet; and read back, CM_FILE_SECRET.  CM_ERR_CONFIG  CONFIG; CM_ERR_SYSTEM  SYSTEM */
CM_MUST_USE enum cm_err cm_carry_key_make(const char *path, struct cm_trace *t, uint8_t key[CM_CARRY_KEY]);
CM_MUST_USE enum cm_err cm_carry_key_read(const char *path, struct cm_trace *t, uint8_t key[CM_CARRY_KEY]);
/* A new file, mode 0600, on the disk when this is done; it must not be there yet.  CM_ERR_SYSTEM  SYSTEM: nothing is left of it */
CM_MUST_USE enum cm_err cm_carry_write(const char *path, struct cm_blob octets, struct cm_trace *t);

/*
 * What was opened, into the store of the host, as cm_transfer_apply(); besides, it takes no name or id of this computer's
 * (/etc/passwd; etc NULL: /etc), and its certificate must have the kept key.  Each that came in gets its mobile account as
 * after a login: what keeps it from that is a "warning" in t.
 */
struct cm_carry {
	const struct cm_mobile_host *host;
	const char *etc;
	time_t now;
	void (*told)(void *arg, const struct cm_account *a, const char *left);	/* left NULL: it came in */
	void *arg;
};
CM_MUST_USE enum cm_err cm_carry_apply(const struct cm_carry *how, struct cm_blob plain, struct cm_trace *t);

#endif /* CM_SERVICE_CARRY_H */
