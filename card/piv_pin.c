/* card/piv_pin.c - the PIN of the PIV application: VERIFY and CHANGE REFERENCE DATA (NIST SP 800-73-4 Part 2, 3.2). */
#include "card/card_internal.h"

#define INS_VERIFY	0x20
#define INS_CHANGE	0x24
#define INS_RESET_RETRY	0x2C

#define PAD_SPARE_MS	2000

#define PIN_MIN		6
#define PIN_MAX		8

/* Tries as a status word tells them; false: it does not. */
static bool
tries_of(uint16_t sw, unsigned *tries)
{
	if (sw == 0x6983)
		*tries = 0;
	else if ((sw & 0xFFF0) == 0x63C0)
		*tries = sw & 0x000F;
	else
		return false;
	return true;
}

/* Without data VERIFY only asks.  9000: somebody has unlocked the card, and the count is not told. */
static enum cm_err
ask_tries(struct cm_card *c, cm_deadline deadline, struct cm_trace *t, unsigned *tries)
{
	const struct cm_apdu a = { .ins = INS_VERIFY, .p2 = c->pin_reference };
	struct cm_buf answer = { 0 };
	uint16_t sw = 0;
	enum cm_err err;

	err = cm_apdu_exchange(&c->wire, &c->stats, &a, deadline, t, &answer, &sw);
	cm_buf_free(&answer);
	if (err != CM_OK)
		return err;
	if (sw == 0x9000)
		*tries = CM_TRIES_UNKNOWN;
	else if (!tries_of(sw, tries))
		return cm_trace_fail(t, CM_REASON_CARD_MALFORMED,
		    "the card answered %04X when asked for the PIN tries left", sw);
	return CM_OK;
}

/* A card of which the wrong PIN was kept, as one that was set up anew, is asked which it wants. */
enum cm_err
cm_piv_tries(struct cm_card *c, cm_deadline deadline, struct cm_trace *t, unsigned *tries)
{
	const uint8_t kept = c->pin_reference;
	enum cm_err err = ask_tries(c, deadline, t, tries);

	if (err != CM_ERR_SYNTAX || c->known == NULL)
		return err;
	if ((err = cm_piv_discover(c, deadline, t)) != CM_OK)
		return err;
	return c->pin_reference != kept ? ask_tries(c, deadline, t, tries) : CM_ERR_SYNTAX;
}

/* SP 800-73-4 Part 2, 2.4.3: 6 to 8 digits, then FF.  The card would count others as a wrong PIN. */
static enum cm_err
pad_pin(struct cm_blob pin, struct cm_trace *t, uint8_t padded[PIN_MAX])
{
	bool digits = true;

	for (size_t i = 0; i < pin.len; i++)
		digits = digits && pin.ptr[i] >= '0' && pin.ptr[i] <= '9';
	if (!digits || pin.len < PIN_MIN || pin.len > PIN_MAX)
		return cm_trace_fail(t, CM_REASON_PIN_FORM,
		    "this cannot be a card's PIN: nothing was sent, no try was spent");
	memset(padded, 0xFF, PIN_MAX);
	memcpy(padded, pin.ptr, pin.len);
	return CM_OK;
}

static enum cm_err
judge_pin(uint16_t sw, struct cm_trace *t, unsigned *left)
{
	if (sw == 0x9000)
		return CM_OK;
	if (!tries_of(sw, left))
		return cm_trace_fail(t, CM_REASON_CARD_MALFORMED,
		    "the card answered %04X to the PIN", sw);
	if (*left == 0)
		return cm_trace_fail(t, CM_REASON_PIN_BLOCKED,
		    "the PIN is wrong, and the card is blocked now");
	return cm_trace_fail(t, CM_REASON_PIN_WRONG, "the PIN is wrong: %u %s left", *left,
	    *left == 1 ? "try" : "tries");
}

/*
 * From here on nobody else reaches the card, and it is reset at the end.  Fails
 * when the card is not the one that was opened, or was reset since.
 */
static enum cm_err
begin(struct cm_card *c, cm_deadline deadline, struct cm_trace *t)
{
	enum cm_err err;

	if (!c->locked && (err = c->wire.ops->lock(c->wire.self, deadline, t)) != CM_OK)
		return err;
	c->locked = true;
	return CM_OK;
}

enum cm_err
cm_piv_verify(struct cm_card *c, struct cm_blob pin, cm_deadline deadline, struct cm_trace *t,
    unsigned *left)
{
	uint8_t padded[PIN_MAX];
	const struct cm_apdu a = { .ins = INS_VERIFY, .p2 = c->pin_reference,
		.data = { padded, sizeof(padded) } };
	struct cm_buf answer = { 0 };
	uint16_t sw = 0;
	enum cm_err err;

	if ((err = pad_pin(pin, t, padded)) != CM_OK || (err = begin(c, deadline, t)) != CM_OK)
		goto out;
	c->stats.verifies++;
	*left = CM_TRIES_UNKNOWN;
	if ((err = cm_apdu_exchange(&c->wire, &c->stats, &a, deadline, t, &answer, &sw)) == CM_OK)
		err = judge_pin(sw, t, left);
out:
	explicit_bzero(padded, sizeof(padded));
	cm_buf_free(&answer);
	return err;
}

/* --- CHANGE REFERENCE DATA: SP 800-73-4 Part 2, 3.2.2 --- */

/* 6A80: the new PIN is none for this card; the old one was right, or was not looked at. */
static enum cm_err
judge_change(uint16_t sw, unsigned before, struct cm_trace *t, unsigned *left)
{
	if (sw != 0x6A80)
		return judge_pin(sw, t, left);
	*left = before;
	return cm_trace_fail(t, CM_REASON_PIN_FORM, "the card does not take the new PIN: the old one is still valid");
}

enum cm_err
cm_piv_change(struct cm_card *c, const struct cm_card_pins *pins, cm_deadline deadline,
    struct cm_trace *t, unsigned *left)
{
	uint8_t both[2 * PIN_MAX];
	const struct cm_apdu a = { .ins = INS_CHANGE, .p2 = c->pin_reference,
		.data = { both, sizeof(both) } };
	const unsigned before = *left;
	struct cm_buf answer = { 0 };
	uint16_t sw = 0;
	enum cm_err err;

	if ((err = pad_pin(cm_secret_bytes(pins->now), t, both)) != CM_OK ||
	    (err = pad_pin(cm_secret_bytes(pins->next), t, both + PIN_MAX)) != CM_OK ||
	    (err = begin(c, deadline, t)) != CM_OK)
		goto out;
	c->stats.verifies++;
	*left = CM_TRIES_UNKNOWN;
	if ((err = cm_apdu_exchange(&c->wire, &c->stats, &a, deadline, t, &answer, &sw)) == CM_OK)
		err = judge_change(sw, before, t, left);
out:
	explicit_bzero(both, sizeof(both));
	cm_buf_free(&answer);
	return err;
}

/* --- RESET RETRY COUNTER: SP 800-73-4 Part 2, 3.2.3 --- */

/* Part 2, 2.4.3: 8 bytes of any value; the shorter ones that some cards take are padded as a PIN is. */
static enum cm_err
pad_puk(struct cm_blob puk, struct cm_trace *t, uint8_t padded[PIN_MAX])
{
	if (puk.len < PIN_MIN || puk.len > PIN_MAX)
		return cm_trace_fail(t, CM_REASON_PUK_FORM, "this cannot be a card's PUK: nothing was sent, no try was spent");
	memset(padded, 0xFF, PIN_MAX);
	memcpy(padded, puk.ptr, puk.len);
	return CM_OK;
}

static enum cm_err
judge_unblock(uint16_t sw, struct cm_trace *t, unsigned *left)
{
	if (sw == 0x9000)
		return CM_OK;
	if (sw == 0x6A80)
		return cm_trace_fail(t, CM_REASON_PIN_FORM, "the card does not take the new PIN: nothing was changed");
	if (!tries_of(sw, left))
		return cm_trace_fail(t, CM_REASON_CARD_MALFORMED, "the card answered %04X to the PUK", sw);
	if (*left == 0)
		return cm_trace_fail(t, CM_REASON_PUK_BLOCKED, "the card takes no PUK any more: no try of it is left");
	return cm_trace_fail(t, CM_REASON_PUK_WRONG, "the PUK is wrong: %u %s left", *left, *left == 1 ? "try" : "tries");
}

enum cm_err
cm_piv_unblock(struct cm_card *c, const struct cm_card_puk *puk, cm_deadline deadline, struct cm_trace *t,
    unsigned *left)
{
	uint8_t both[2 * PIN_MAX];
	const struct cm_apdu a = { .ins = INS_RESET_RETRY, .p2 = CM_PIN_APPLICATION,
		.data = { both, sizeof(both) } };
	struct cm_buf answer = { 0 };
	uint16_t sw = 0;
	enum cm_err err;

	/* Part 1, 3.3.2: nothing resets the global PIN; another PIN's tries are not what was asked for */
	if (c->pin_reference != CM_PIN_APPLICATION)
		return cm_trace_fail(t, CM_REASON_PUK_BLOCKED, "the card in \"%s\" wants its global PIN, which no PUK resets: "
		    "nothing was sent", cm_buf_str(&c->where));
	if ((err = pad_puk(cm_secret_bytes(puk->puk), t, both)) != CM_OK ||
	    (err = pad_pin(cm_secret_bytes(puk->next), t, both + PIN_MAX)) != CM_OK ||
	    (err = begin(c, deadline, t)) != CM_OK)
		goto out;
	c->stats.verifies++;
	if ((err = cm_apdu_exchange(&c->wire, &c->stats, &a, deadline, t, &answer, &sw)) == CM_OK)
		err = judge_unblock(sw, t, left);
out:
	explicit_bzero(both, sizeof(both));
	cm_buf_free(&answer);
	return err;
}

/* --- PINs typed on the reader --- */

/* PC/SC Part 10, 2.5.2, table 5: what the reader says by itself, with no VERIFY sent. */
static const struct pad_row {
	uint16_t sw;
	enum cm_reason reason;
	const char *words;
} pad_rows[] = {
	{ 0x6400, CM_REASON_PIN_MISSING, "no PIN was typed on the reader in time" },
	{ 0x6401, CM_REASON_CANCELLED, "cancelled on the reader" },
	{ 0x6403, CM_REASON_PIN_FORM, "what was typed on the reader is no PIN of 6 to 8 digits" },
};

static enum cm_err
judge_pad(uint16_t sw, unsigned before, struct cm_trace *t, unsigned *left)
{
	for (size_t i = 0; i < CM_COUNT(pad_rows); i++)
		if (pad_rows[i].sw == sw) {
			*left = before;
			return cm_trace_fail(t, pad_rows[i].reason, "%s: no try was spent", pad_rows[i].words);
		}
	return judge_pin(sw, t, left);
}

enum cm_err
cm_piv_verify_pad(struct cm_card *c, cm_deadline deadline, struct cm_trace *t, unsigned *left)
{
	const unsigned before = *left, left_ms = (unsigned)cm_deadline_left(deadline);
	struct cm_buf structure = { 0 }, answer = { 0 };
	enum cm_err err;

	/* the reader gives up first, and says so: who stops waiting for it knows nothing of the card any more */
	cm_pad_structure(&structure, c->pin_reference, left_ms > PAD_SPARE_MS ? (left_ms - PAD_SPARE_MS) / 1000 : 0);
	if ((err = cm_buf_status(&structure)) != CM_OK || (err = begin(c, deadline, t)) != CM_OK)
		goto out;
	c->stats.verifies++;
	c->stats.commands++;
	*left = CM_TRIES_UNKNOWN;
	if ((err = c->wire.ops->pad(c->wire.self, cm_buf_blob(&structure), deadline, t, &answer)) != CM_OK)
		goto out;
	if (answer.len != 2)
		err = cm_trace_fail(t, CM_REASON_CARD_MALFORMED,
		    "the reader answered %zu bytes to the PIN where a status word was wanted", answer.len);
	else
		err = judge_pad((uint16_t)(answer.ptr[0] << 8 | answer.ptr[1]), before, t, left);
out:
	cm_buf_free(&structure);
	cm_buf_free(&answer);
	return err;
}
