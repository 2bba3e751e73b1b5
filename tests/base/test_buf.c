/* tests/base/test_buf.c - a text is whole or it is not used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "base/buf.h"

static void
test_limit_sticks(void **state)
{
	struct cm_buf b;

	(void)state;
	cm_buf_init(&b, 8);
	cm_buf_add_str(&b, "12345");
	cm_buf_add_str(&b, "6789");	/* one too many: nothing of it is taken */
	cm_buf_add_str(&b, "6");
	assert_int_equal(cm_buf_status(&b), CM_ERR_SYNTAX);
	assert_string_equal(cm_buf_str(&b), "12345");
	assert_null(cm_buf_take(&b));
	cm_buf_truncate(&b, 5);
	cm_buf_add_str(&b, "678");
	assert_int_equal(cm_buf_status(&b), CM_OK);
	assert_string_equal(cm_buf_str(&b), "12345678");
	cm_buf_free(&b);
}

static void
test_builds(void **state)
{
	struct cm_buf b = { 0 };
	char *text;

	(void)state;
	assert_string_equal(cm_buf_str(&b), "");
	cm_buf_addf(&b, "%s=%u", "uid", 7u);
	cm_buf_add_byte(&b, ' ');
	cm_buf_add_hex(&b, (struct cm_blob){ (const uint8_t *)"\x00\xfe", 2 });
	for (int i = 0; i < 1000; i++)
		cm_buf_add_str(&b, "x");
	assert_int_equal(b.len, 6 + 4 + 1000);
	assert_memory_equal(b.ptr, "uid=7 00fexx", 12);
	text = cm_buf_take(&b);
	assert_non_null(text);
	assert_int_equal(strlen(text), 1010);
	free(text);
	assert_int_equal(b.len, 0);
	cm_buf_free(&b);
}

/* What comes from a card or a directory must not move somebody's cursor or split a log line. */
static void
test_printable(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
	} rows[] = {
		{ "plain", 5, "plain" }, { "Gr\xC3\xA4" "ce", 6, "Gr\xC3\xA4" "ce" },
		{ "a\nb", 3, "a\\x0ab" }, { "a\0b", 3, "a\\x00b" }, { "\x1b[31m", 5, "\\x1b[31m" },
		{ "\xC2\x9B" "31m", 5, "\\xc2\\x9b31m" },	/* CSI as one character of C1 */
		{ "\xC3", 1, "\\xc3" }, { "\xC0\x80", 2, "\\xc0\\x80" }, { "\xED\xA0\x80", 3, "\\xed\\xa0\\x80" },
		{ "\xF0\x9F\x82\xA1", 4, "\xF0\x9F\x82\xA1" }, { "\xF4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80" },
		{ "\x7f", 1, "\\x7f" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_buf b = { 0 };

		cm_buf_add_printable(&b, (struct cm_blob){ (const uint8_t *)rows[i].in, rows[i].len });
		assert_string_equal(cm_buf_str(&b), rows[i].out);
		cm_buf_free(&b);
	}
}

/* Written, each end of every length is read back as just that long. */
static void
test_utf8(void **state)
{
	static const struct {
		uint32_t c;
		const char *text;
	} rows[] = {
		{ 0x01, "\x01" }, { 0x7F, "\x7F" }, { 0x80, "\xC2\x80" }, { 0x7FF, "\xDF\xBF" },
		{ 0x800, "\xE0\xA0\x80" }, { 0xFFFF, "\xEF\xBF\xBF" },
		{ 0x10000, "\xF0\x90\x80\x80" }, { 0x10FFFF, "\xF4\x8F\xBF\xBF" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		uint8_t out[4];
		const size_t len = cm_utf8_put(rows[i].c, out);

		assert_int_equal(len, strlen(rows[i].text));
		assert_memory_equal(out, rows[i].text, len);
		assert_int_equal(cm_utf8_length(out, len), len);
	}
}

static void
test_hex(void **state)
{
	static const struct {
		const char *text;
		size_t digits;
		const char *bytes;
	} rows[] = {
		{ "", 0, "" }, { "00fE", 4, "\x00\xFE" }, { "A0:b1 C2\n", 6, "\xA0\xB1\xC2" },
		{ "0011223344", 10, "\x00\x11\x22" },	/* counted, not written */
		{ "12 3", 3, "\x12\x30" }, { "0g", SIZE_MAX, "" }, { "0x12", SIZE_MAX, "" }, { "-1", SIZE_MAX, "" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		uint8_t out[4] = { 0xAA, 0xAA, 0xAA, 0xAA };

		assert_int_equal(cm_hex_parse(cm_blob_str(rows[i].text), out, 3), rows[i].digits);
		assert_memory_equal(out, rows[i].bytes, strlen(rows[i].bytes));
		assert_int_equal(out[3], 0xAA);
	}
	assert_int_equal(cm_hex_parse((struct cm_blob){ (const uint8_t *)"\0", 1 }, NULL, 0), SIZE_MAX);
}

/* Room that the caller fills; none where the limit is. */
static void
test_base64(void **state)
{
	static const struct {
		const char *text;
		bool strict;
		size_t len;
		const char *octets;
	} rows[] = {
		{ "", true, 0, "" }, { "QUJD", true, 3, "ABC" }, { "QUI=", true, 2, "AB" }, { "QQ==", true, 1, "A" },
		{ "QR==", true, SIZE_MAX, "" }, { "QR==", false, 1, "A" }, { "QUJ=", false, 2, "AB" },
		{ "Q===", false, SIZE_MAX, "" }, { "====", true, SIZE_MAX, "" }, { "QUJ", true, SIZE_MAX, "" },
		{ "QU JD", true, SIZE_MAX, "" }, { "Q=JD", true, SIZE_MAX, "" }, { "+/+/", true, 3, "\xfb\xff\xbf" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_buf b = { 0 };
		uint8_t out[3];

		assert_int_equal(cm_base64_parse(cm_blob_str(rows[i].text), rows[i].strict, out), rows[i].len);
		if (rows[i].len == SIZE_MAX)
			continue;
		assert_memory_equal(out, rows[i].octets, rows[i].len);
		cm_buf_add_base64(&b, (struct cm_blob){ out, rows[i].len });
		if (rows[i].strict)
			assert_string_equal(cm_buf_str(&b), rows[i].text);
		cm_buf_free(&b);
	}
}

static void
test_extend(void **state)
{
	struct cm_buf b;
	uint8_t *p;

	(void)state;
	cm_buf_init(&b, 6);
	cm_buf_add_str(&b, "ab");
	assert_non_null(p = cm_buf_extend(&b, 4));
	memcpy(p, "cdef", 4);
	assert_string_equal(cm_buf_str(&b), "abcdef");
	assert_int_equal(b.len, 6);
	assert_non_null(cm_buf_extend(&b, 0));
	assert_null(cm_buf_extend(&b, 1));
	assert_int_equal(cm_buf_status(&b), CM_ERR_SYNTAX);
	assert_string_equal(cm_buf_str(&b), "abcdef");
	cm_buf_free(&b);
}

static void
test_blob_copied(void **state)
{
	char octets[] = "a\0b";
	struct cm_blob copy, none = { (const uint8_t *)octets, 0 };

	(void)state;
	assert_int_equal(cm_blob_copy((struct cm_blob){ (const uint8_t *)octets, 3 }, &copy), CM_OK);
	octets[0] = 'x';
	assert_int_equal(copy.len, 3);
	assert_memory_equal(copy.ptr, "a\0b", 3);
	cm_blob_free(&copy);
	assert_null(copy.ptr);
	assert_int_equal(copy.len, 0);
	cm_blob_free(&copy);
	assert_int_equal(cm_blob_copy(none, &copy), CM_OK);
	assert_null(copy.ptr);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_sticks),
		cmocka_unit_test(test_builds),
		cmocka_unit_test(test_extend),
		cmocka_unit_test(test_blob_copied),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
