/* card/pad.c - what a reader with a pad is told, so that it takes the PIN and sends the VERIFY itself (PC/SC Part 10). */
#include "card/card_internal.h"

#define SECONDS_MAX	255
#define PIN_MIN		6
#define PIN_MAX		8

static void
put_le(struct cm_buf *out, uint32_t v, unsigned octets)
{
	for (; octets > 0; octets--, v >>= 8)
		cm_buf_add_byte(out, (uint8_t)v);
}

/* Part 10, 2.5.2: numbers have their low end first, and nothing stands between the fields. */
void
cm_pad_structure(struct cm_buf *out, uint8_t reference, unsigned seconds)
{
	/* NIST SP 800-73-4 Part 2, 3.2.1: VERIFY, its data all padding where the digits will stand (2.4.3) */
	const uint8_t command[] = { 0x00, 0x20, 0x00, reference, PIN_MAX,
		0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF };

	/* bTimerOut, bTimerOut2: 0 would be the reader's own time */
	seconds = seconds == 0 ? 1 : seconds > SECONDS_MAX ? SECONDS_MAX : seconds;
	put_le(out, seconds, 1);
	put_le(out, seconds, 1);
	put_le(out, 0x82, 1);	/* bmFormatString: in bytes, from the first of the data, left, ASCII */
	put_le(out, PIN_MAX, 1);	/* bmPINBlockString: the length is not sent, the block is 8 bytes */
	put_le(out, 0x00, 1);	/* bmPINLengthFormat: no length */
	put_le(out, PIN_MIN << 8 | PIN_MAX, 2);	/* wPINMaxExtraDigit: XXYY, least and most */
	put_le(out, 0x02, 1);	/* bEntryValidationCondition: the key for "done" */
	put_le(out, 0x01, 1);	/* bNumberMessage: one */
	put_le(out, 0x0409, 2);	/* wLangId: English, which every reader has */
	put_le(out, 0x00, 1);	/* bMsgIndex: the prompt for a PIN */
	put_le(out, 0x00, 3);	/* bTeoPrologue */
	put_le(out, sizeof(command), 4);
	cm_buf_add(out, command, sizeof(command));
}
