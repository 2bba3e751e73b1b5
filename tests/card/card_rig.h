/* tests/card/card_rig.h - the virtual card of the rig, as the tests of card/ use it. */
#ifndef TEST_CARD_RIG_H
#define TEST_CARD_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <winscard.h>

#include "card/card.h"
#include "tests/rig/rig_pin.h"

#define PIN	rig_pin()	/* of every card here */

/* What vcard counted since zero. */
struct vcard_counts {
	unsigned commands, operations, resets;
	size_t in, out;
};

/* One line to vcard's control socket; its answer, which must be "ok ...". */
const char *card_control(const char *fmt, ...) CM_PRINTF(1, 2);
struct vcard_counts card_counts(void);

/* A folder for vcard: the certificate and key of slot 9A by their names in the PKI, and lines of card.conf. */
const char *card_make(const char *cert, const char *key, const char *conf);

/*
 * This card is in the reader with three tries, no fault and nothing counted.
 * card_become() is at once and unseen by pcscd: the ATR stays.  card_insert()
 * takes out the one that is there.
 */
void card_become(const char *dir);
void card_insert(const char *dir);

/* Tries of the application PIN left, as vcard has them. */
unsigned card_tries(void);

/* Lines of vcard's log that hold this text, since it was counted last with NULL. */
unsigned card_log_count(const char *text);

struct cm_trace *test_trace(void);	/* one for a whole test; the group's teardown frees it */
int rig_setup(void **state);
int rig_teardown(void **state);

/* Another program's connection: plain PC/SC. */
struct other {
	SCARDCONTEXT context;
	SCARDHANDLE card;
};
void other_connect(struct other *o);
uint16_t other_send(struct other *o, const char *hex);	/* status word */
void other_disconnect(struct other *o, DWORD disposition);

/* All that a login does, up to the first failure. */
struct login {
	const char *source, *pin;
	bool last_try;
	unsigned deadline_ms;
	/* results */
	unsigned tries, left;
	struct cm_card_stats stats;
	bool proven;
	enum cm_reason reason;
	uint8_t guid[16];
	bool has_guid;
};
enum cm_err login(struct login *l);

struct cm_secret *secret(const char *text);

/* Of the PKI, by its name. */
struct cm_cert *pki_cert(const char *name);
/* Commands that read its object: 53 { 70 certificate, 71 one byte, FE empty }, lengths on two bytes each, 256 bytes at a time. */
size_t object_chunks(const struct cm_cert *cert);

/* What the reader's pad will have been given: digits, "" or "cancel". */
void pad_type(const char *digits);

#endif
