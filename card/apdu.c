/* card/apdu.c - one command with all its answer, whatever number of APDUs that takes. */
#include "card/card_internal.h"

/* ISO/IEC 7816-4 5.1: one octet of length, or 00 and two. */
#define SHORT_DATA_MAX	255
#define SHORT_ANSWER_MAX 256
#define STATUS_LEN	2

/* A card that sends a byte at a time is given up: CM_ANSWER_MAX in full pieces is 256. */
#define ROUNDS_MAX	600

#define CLA_CHAIN	0x10	/* ISO/IEC 7816-4 5.1.1.1: not the last link */
#define INS_GET_RESPONSE 0xC0

/* What goes with each APDU of an exchange. */
struct exchange {
	struct cm_wire *wire;
	struct cm_card_stats *stats;
	cm_deadline deadline;
	struct cm_trace *t;
	struct cm_buf *answer;	/* data, without status words */
};

/* One APDU.  le is the most octets of answer wanted, 0 for none. */
struct link {
	uint8_t cla;
	const struct cm_apdu *a;
	struct cm_blob data;
	size_t le;
};

static void
put_length(struct cm_buf *out, size_t len, bool extended)
{
	if (extended)
		cm_buf_add_byte(out, (uint8_t)(len >> 8));
	cm_buf_add_byte(out, (uint8_t)len);	/* 256 and 65536 are written 0 */
}

/* ISO/IEC 7816-4 5.1, the four cases; T=0 takes case 4 without Le (ISO/IEC 7816-3 12.2.1). */
static void
build(const struct exchange *x, const struct link *k, struct cm_buf *out)
{
	const bool extended = k->data.len > SHORT_DATA_MAX || k->le > SHORT_ANSWER_MAX;
	const bool has_le = k->le > 0 && !(x->wire->t0 && k->data.len > 0);
	const uint8_t head[] = { k->cla, k->a->ins, k->a->p1, k->a->p2 };

	cm_buf_add(out, head, sizeof(head));
	if (extended)
		cm_buf_add_byte(out, 0);
	if (k->data.len > 0)
		put_length(out, k->data.len, extended);
	cm_buf_add_blob(out, k->data);
	if (has_le)
		put_length(out, k->le, extended);
}

/* The answer without its last two bytes, which are *sw. */
static enum cm_err
take_status(const struct exchange *x, size_t le, struct cm_blob raw, uint16_t *sw)
{
	if (raw.len < STATUS_LEN)
		return cm_trace_fail(x->t, CM_REASON_CARD_MALFORMED,
		    "the card answered %zu bytes, without a status word", raw.len);
	raw.len -= STATUS_LEN;
	if (raw.len > le)
		return cm_trace_fail(x->t, CM_REASON_CARD_MALFORMED,
		    "the card answered %zu bytes where %zu were asked for", raw.len, le);
	*sw = (uint16_t)(raw.ptr[raw.len] << 8 | raw.ptr[raw.len + 1]);
	if (raw.len > CM_ANSWER_MAX - x->answer->len)
		return cm_trace_fail(x->t, CM_REASON_CARD_MALFORMED,
		    "the card answered more than %zu bytes", CM_ANSWER_MAX);
	cm_buf_add_blob(x->answer, raw);
	return cm_buf_status(x->answer);
}

static enum cm_err
send_once(const struct exchange *x, const struct link *k, uint16_t *sw)
{
	/* VERIFY holds a PIN; what a Key Management key makes opens a secret */
	struct cm_buf command = { .secret = true }, raw = { .secret = true };
	enum cm_err err;

	build(x, k, &command);
	if ((err = cm_buf_status(&command)) != CM_OK)
		goto out;
	x->stats->commands++;
	x->stats->sent += command.len;
	err = x->wire->ops->transmit(x->wire->self, cm_buf_blob(&command), x->deadline, x->t, &raw);
	if (x->wire->log != NULL)
		cm_apdu_log(x->wire->log, cm_buf_blob(&command), &raw);
	if (err != CM_OK)
		goto out;
	x->stats->received += raw.len;
	err = take_status(x, k->le, cm_buf_blob(&raw), sw);
out:
	cm_buf_free(&command);
	cm_buf_free(&raw);
	return err;
}

/* ISO/IEC 7816-4 5.1.3: 6Cxx says how much there is, and wants the same command with that Le. */
static enum cm_err
send_link(const struct exchange *x, struct link k, uint16_t *sw)
{
	enum cm_err err = send_once(x, &k, sw);

	if (err != CM_OK || *sw >> 8 != 0x6C || k.le == 0)
		return err;
	k.le = (*sw & 0xFF) != 0 ? *sw & 0xFF : SHORT_ANSWER_MAX;
	return send_once(x, &k, sw);
}

/* ISO/IEC 7816-4 5.1.1.1: all but the last link are answered by a status word alone. */
static enum cm_err
send_chain(const struct exchange *x, const struct cm_apdu *a, uint16_t *sw)
{
	const size_t piece = x->wire->extended ? UINT16_MAX : SHORT_DATA_MAX;
	struct link k = { .cla = CLA_CHAIN, .a = a, .data = { a->data.ptr, piece } };
	size_t left = a->data.len;
	enum cm_err err;

	for (; left > piece; left -= piece, k.data.ptr += piece)
		if ((err = send_link(x, k, sw)) != CM_OK || *sw != 0x9000)
			return err;
	k.cla = 0;
	k.data.len = left;
	if (a->answers)
		k.le = x->wire->extended && !a->head ? CM_ANSWER_MAX : SHORT_ANSWER_MAX;
	return send_link(x, k, sw);
}

/*
 * ISO/IEC 7816-4 7.6.1: 61xx says that at least xx octets wait (00: 256 and
 * more).  They may be left there: SP 800-73-4 Part 2, 3.1.2.
 */
static enum cm_err
get_responses(const struct exchange *x, bool head, uint16_t *sw)
{
	static const struct cm_apdu more = { .ins = INS_GET_RESPONSE };
	struct link k = { .a = &more };
	enum cm_err err;

	for (unsigned rounds = 0; *sw >> 8 == 0x61; rounds++) {
		if (head && x->answer->len > 0) {
			*sw = 0x9000;
			break;
		}
		if (rounds == ROUNDS_MAX)
			return cm_trace_fail(x->t, CM_REASON_CARD_MALFORMED,
			    "the card's answer does not end after %u pieces", rounds);
		k.le = (*sw & 0xFF) != 0 ? *sw & 0xFF : SHORT_ANSWER_MAX;
		if ((err = send_link(x, k, sw)) != CM_OK)
			return err;
	}
	return CM_OK;
}

enum cm_err
cm_apdu_exchange(struct cm_wire *w, struct cm_card_stats *stats, const struct cm_apdu *a,
    cm_deadline deadline, struct cm_trace *t, struct cm_buf *answer, uint16_t *sw)
{
	const struct exchange x = { w, stats, deadline, t, answer };
	enum cm_err err;

	cm_buf_truncate(answer, 0);
	if ((err = send_chain(&x, a, sw)) != CM_OK)
		return err;
	return get_responses(&x, a->head, sw);
}

/* ISO/IEC 7816-3 8.2: where the historical bytes stand.  {NULL, 0}: nowhere. */
static struct cm_blob
historical_bytes(struct cm_blob atr)
{
	size_t at = 1, count = 0;
	unsigned present = 0;

	if (atr.len < 2)
		return (struct cm_blob){ NULL, 0 };
	count = atr.ptr[1] & 0x0F;
	/* T0 and each TDi say which of TA, TB, TC and TD follow. */
	for (;;) {
		present = atr.ptr[at++] >> 4;
		at += (present & 1) + (present >> 1 & 1) + (present >> 2 & 1);
		if ((present & 8) == 0)
			break;
		if (at >= atr.len)
			return (struct cm_blob){ NULL, 0 };
	}
	if (at > atr.len || count > atr.len - at)
		return (struct cm_blob){ NULL, 0 };
	return (struct cm_blob){ atr.ptr + at, count };
}

bool
cm_atr_extended(struct cm_blob atr)
{
	struct cm_blob h = historical_bytes(atr);

	/* ISO/IEC 7816-4 8.1.1.1: COMPACT-TLV objects follow 80; after 00 so do three status bytes. */
	if (h.len == 0 || (h.ptr[0] != 0x80 && (h.ptr[0] != 0x00 || h.len < 4)))
		return false;
	h.len -= h.ptr[0] == 0x00 ? 3 : 0;
	for (size_t i = 1; i < h.len; i += 1 + (h.ptr[i] & 0x0F))
		/* 8.1.1.2.7: card capabilities, third function table: bit 7, extended Lc and Le */
		if (h.ptr[i] == 0x73 && h.len - i > 3)
			return (h.ptr[i + 3] & 0x40) != 0;
	return false;
}
