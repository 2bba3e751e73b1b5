/* tests/rig/apdu.c - APDUs in and out of a card. */
#include "apdu.h"

#include <string.h>

enum {
	SHORT_MAX = 256,
	/* 65536 less the status word and what fits vpcd's two-byte frame length */
	EXTENDED_MAX = 65533,
	CHAIN_MAX = 4096,
};

static size_t
big_endian(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

/* ISO/IEC 7816-4 5.1, extended: 00, two bytes of Lc or Le */
static bool
parse_extended(const uint8_t *body, size_t len, struct command *out)
{
	size_t le;

	out->extended = true;
	if (len == 2) {
		le = big_endian(body);
		out->le = le > 0 && le < EXTENDED_MAX ? le : EXTENDED_MAX;
		return true;
	}
	if (len < 2 || (out->len = big_endian(body)) == 0 || out->len > len - 2)
		return false;
	out->data = body + 2;
	if (len - 2 == out->len)
		return true;
	if (len - 2 != out->len + 2)
		return false;
	le = big_endian(body + 2 + out->len);
	out->le = le > 0 && le < EXTENDED_MAX ? le : EXTENDED_MAX;
	return true;
}

static bool
parse_short(const uint8_t *body, size_t len, struct command *out)
{
	if (len == 1) {
		out->le = body[0] != 0 ? body[0] : SHORT_MAX;
		return true;
	}
	if ((out->len = body[0]) > len - 1)
		return false;
	out->data = body + 1;
	if (len - 1 == out->len)
		return true;
	if (len - 1 != out->len + 1)
		return false;
	out->le = body[len - 1] != 0 ? body[len - 1] : SHORT_MAX;
	return true;
}

bool
apdu_parse(const uint8_t *apdu, size_t len, struct command *out)
{
	*out = (struct command){0};
	if (len < 4)
		return false;
	out->cla = apdu[0];
	out->ins = apdu[1];
	out->p1 = apdu[2];
	out->p2 = apdu[3];
	if (len == 4)
		return true;
	if (len > 5 && apdu[4] == 0)
		return parse_extended(apdu + 5, len - 5, out);
	return parse_short(apdu + 4, len - 4, out);
}

static void
put_sw(struct vbuf *out, uint16_t sw)
{
	vbuf_byte(out, (uint8_t)(sw >> 8));
	vbuf_byte(out, (uint8_t)sw);
}

static void
drop_rest(struct apdu_card *card)
{
	vbuf_free(&card->rest);
	card->rest_at = 0;
	card->endless = false;
}

/* What Le asks for, then 61xx while there is more: ISO/IEC 7816-4 5.1.3. */
static void
put_rest(struct apdu_card *card, size_t le, struct vbuf *out)
{
	size_t left = card->rest.len - card->rest_at;
	const size_t n = left < le ? left : le;

	if (n > 0)
		vbuf_put(out, card->rest.p + card->rest_at, n);
	card->rest_at += n;
	left -= n;
	if (left == 0 && card->endless) {
		card->rest_at = 0;
		left = card->rest.len;
	}
	put_sw(out, left == 0 ? SW_OK : (uint16_t)(SW_MORE | (left < SHORT_MAX ? left : 0)));
	if (left == 0)
		drop_rest(card);
}

static void
get_response(struct apdu_card *card, const struct command *cmd, struct vbuf *out)
{
	if (cmd->p1 != 0 || cmd->p2 != 0)
		put_sw(out, SW_P1P2);
	else if (card->rest.len == 0)
		put_sw(out, SW_CONDITIONS);
	else
		put_rest(card, cmd->le, out);
}

/* True when cmd is now whole; else *sw is the answer to this link of the chain. */
static bool
chain_link(struct apdu_card *card, struct command *cmd, uint16_t *sw)
{
	const uint8_t head[3] = { cmd->ins, cmd->p1, cmd->p2 };
	const bool more = (cmd->cla & 0x10) != 0;

	/* any other command ends a chain unfinished */
	if (card->chain.len > 0 && memcmp(head, card->chain_head, sizeof(head)) != 0)
		vbuf_free(&card->chain);
	if (!more && card->chain.len == 0)
		return true;
	*sw = SW_CHAINING;
	if (cmd->ins != INS_GENERAL_AUTHENTICATE)
		return false;
	*sw = SW_LENGTH;
	if (card->chain.len + cmd->len > CHAIN_MAX) {
		vbuf_free(&card->chain);
		return false;
	}
	memcpy(card->chain_head, head, sizeof(head));
	vbuf_put(&card->chain, cmd->data, cmd->len);
	*sw = SW_OK;
	if (more)
		return false;
	cmd->data = card->chain.p;
	cmd->len = card->chain.len;
	return true;
}

static uint16_t
class_status(const struct apdu_card *card, const struct command *cmd)
{
	/* ISO/IEC 7816-4 5.1.1.1, table 2 */
	if ((cmd->cla & 0xe0) != 0)
		return SW_CLA;
	if ((cmd->cla & 0x0c) != 0)
		return SW_SECURE_MESSAGING;
	if ((cmd->cla & 0x03) != 0)
		return SW_CHANNEL;
	if (cmd->extended && !card->piv.content->extended)
		return SW_LENGTH;
	return SW_OK;
}

static void
run(struct apdu_card *card, struct vcard_faults *faults, struct exchange *x)
{
	struct vbuf data = {0};
	uint16_t sw;

	card->piv.wrong_key = x->wrong_key;
	sw = piv_command(&card->piv, &x->cmd, &data);
	vbuf_free(&card->chain);
	x->cmd.data = NULL;
	if (sw != SW_OK) {
		put_sw(&x->answer, sw);
	} else {
		vbuf_move(&card->rest, &data);
		vcard_faults_run(faults, FAULT_DATA, x, &card->rest);
		card->endless = x->endless;
		put_rest(card, x->cmd.le, &x->answer);
	}
	vbuf_free(&data);
}

void
apdu_answer(struct apdu_card *card, struct vcard_faults *faults, struct exchange *x)
{
	uint16_t sw = x->well_formed ? class_status(card, &x->cmd) : SW_LENGTH;

	if (sw != SW_OK) {
		drop_rest(card);
		put_sw(&x->answer, sw);
	} else if (x->cmd.ins == INS_GET_RESPONSE) {
		get_response(card, &x->cmd, &x->answer);
	} else {
		/* another command abandons the rest */
		drop_rest(card);
		if (chain_link(card, &x->cmd, &sw))
			run(card, faults, x);
		else
			put_sw(&x->answer, sw);
	}
}

void
apdu_reset(struct apdu_card *card)
{
	piv_reset(&card->piv);
	vbuf_free(&card->chain);
	drop_rest(card);
}

void
apdu_clear(struct apdu_card *card)
{
	apdu_reset(card);
	piv_clear(&card->piv);
}
