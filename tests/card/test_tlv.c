/* tests/card/test_tlv.c - BER-TLV data objects, and the extended length bit of an ATR. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "card/card_internal.h"

#define BYTES(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }

static const struct next_row {
	struct cm_blob in;
	enum cm_err err;
	uint32_t tag;
	size_t len, rest;
} next_rows[] = {
	{ BYTES(""), CM_ERR_ABSENT, 0, 0, 0 },
	{ BYTES("\x70\x00"), CM_OK, 0x70, 0, 0 },
	{ BYTES("\x70\x02xy\xFE\x00"), CM_OK, 0x70, 2, 2 },
	{ BYTES("\x5F\x2F\x02\x40\x00"), CM_OK, 0x5F2F, 2, 0 },
	{ BYTES("\x5F\xC1\x05\x01x"), CM_OK, 0x5FC105, 1, 0 },
	{ BYTES("\x5F\xC1\x85\x05\x01x"), CM_ERR_SYNTAX, 0, 0, 0 },	/* four octets of tag */
	{ BYTES("\x5F"), CM_ERR_SYNTAX, 0, 0, 0 },
	{ BYTES("\x70"), CM_ERR_SYNTAX, 0, 0, 0 },
	{ BYTES("\x70\x01"), CM_ERR_SYNTAX, 0, 0, 0 },
	{ BYTES("\x70\x81\x01x"), CM_OK, 0x70, 1, 0 },	/* cards may write more than they need */
	{ BYTES("\x70\x82\x00\x01x"), CM_OK, 0x70, 1, 0 },
	{ BYTES("\x70\x84\x00\x00\x00\x01x"), CM_OK, 0x70, 1, 0 },
	{ BYTES("\x70\x82\x00"), CM_ERR_SYNTAX, 0, 0, 0 },
	{ BYTES("\x70\x84\xFF\xFF\xFF\xFFx"), CM_ERR_SYNTAX, 0, 0, 0 },
	{ BYTES("\x70\x85\x00\x00\x00\x00\x01x"), CM_ERR_SYNTAX, 0, 0, 0 },
	{ BYTES("\x70\x80x\x00\x00"), CM_ERR_SYNTAX, 0, 0, 0 },	/* indefinite */
};

static void
test_next(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(next_rows); i++) {
		const struct next_row *r = &next_rows[i];
		struct cm_blob in = r->in;
		struct cm_tlv t = { 0 };

		assert_int_equal(cm_tlv_next(&in, &t), r->err);
		if (r->err != CM_OK)
			continue;
		assert_int_equal(t.tag, r->tag);
		assert_int_equal(t.value.len, r->len);
		assert_int_equal(in.len, r->rest);
	}
}

static void
test_only_and_find(void **state)
{
	static const struct cm_blob one = BYTES("\x70\x02xy"), trailing = BYTES("\x70\x02xy\x00"),
	    twice = BYTES("\x70\x01x\x71\x00\x70\x01y"), cut = BYTES("\x70\x01x\x71\x05\x00");
	struct cm_blob v = { 0 };

	(void)state;
	assert_int_equal(cm_tlv_only(one, 0x70, &v), CM_OK);
	assert_int_equal(v.len, 2);
	assert_int_equal(cm_tlv_only(one, 0x71, &v), CM_ERR_SYNTAX);
	assert_int_equal(cm_tlv_only(trailing, 0x70, &v), CM_ERR_SYNTAX);
	assert_int_equal(cm_tlv_find(twice, 0x71, &v), CM_OK);
	assert_int_equal(cm_tlv_find(twice, 0x72, &v), CM_ERR_ABSENT);
	assert_int_equal(cm_tlv_find(twice, 0x70, &v), CM_ERR_SYNTAX);
	/* What stands behind the element asked for is checked as well. */
	assert_int_equal(cm_tlv_find(cut, 0x70, &v), CM_ERR_SYNTAX);
}

static void
test_put_is_what_next_reads(void **state)
{
	static const uint8_t value[70000];

	(void)state;
	for (size_t len = 0; len < 0xFFFF; len = len * 2 + 1) {
		struct cm_buf b = { 0 };
		struct cm_blob v = { 0 };

		cm_tlv_put(&b, 0x7C, len);
		cm_buf_add(&b, value, len);
		assert_int_equal(cm_tlv_only(cm_buf_blob(&b), 0x7C, &v), CM_OK);
		assert_int_equal(v.len, len);
		cm_buf_free(&b);
	}
}

static const struct atr_row {
	struct cm_blob atr;
	bool extended;
} atrs[] = {
	{ BYTES(""), false },
	{ BYTES("\x3B"), false },
	{ BYTES("\x3B\x80\x80\x01\x01"), false },		/* no historical bytes */
	{ BYTES("\x3B\x85\x80\x01\x80\x73\xC0\x01\xC0\x76"), true },	/* vcard, extended=yes */
	{ BYTES("\x3B\x85\x80\x01\x80\x73\xC0\x01\x80\x36"), false },	/* chaining alone */
	{ BYTES("\x3B\x85\x80\x01\x80\x73\xC0"), false },		/* cut short */
	/* YubiKey 5: ATR 3BFD1300008131FE158073C021C057597562694B657940 */
	{ BYTES("\x3B\xFD\x13\x00\x00\x81\x31\xFE\x15\x80\x73\xC0\x21\xC0\x57\x59\x75\x62\x69\x4B"
	    "\x65\x79\x40"), true },
	{ BYTES("\x3B\x88\x80\x01\x00\x73\xC0\x01\xC0\x05\x90\x00\x00"), true },	/* status at the end */
	{ BYTES("\x3B\x84\x80\x01\x00\x73\xC0\x01\xC0"), false },	/* the status, not the capabilities */
	{ BYTES("\x3B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), false },
	{ BYTES("\x3B\x84\x80\x01\x10\x73\xC0\x01"), false },		/* DIR data reference */
};

static void
test_atr(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(atrs); i++)
		assert_int_equal(cm_atr_extended(atrs[i].atr), atrs[i].extended);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_only_and_find),
		cmocka_unit_test(test_put_is_what_next_reads),
		cmocka_unit_test(test_atr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
