/* tests/mapper/test_query.c - filters, and what must not get out of a value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mapper/mapper.h"

#define B(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }

/* RFC 4515 section 4 has the examples with parentheses, the star, NUL and Lučić. */
static void
escapes(void **state)
{
	static const struct {
		struct cm_blob value;
		const char *want;
	} rows[] = {
		{ B("plain text-1.2@x"), "plain text-1.2@x" },
		{ B("Parens R Us (for all your parenthetical needs)"),
		    "Parens R Us \\28for all your parenthetical needs\\29" },
		{ B("*"), "\\2a" },
		{ B("C:\\MyFile"), "C:\\5cMyFile" },
		{ B("\0\0\0\4"), "\\00\\00\\00\4" },
		{ B("Lu\xc4\x8di\xc4\x87"), "Lu\\c4\\8di\\c4\\87" },
		{ B("\xff\xfe"), "\\ff\\fe" },
		{ B(")(|(uid=*"), "\\29\\28|\\28uid=\\2a" },
		{ B(""), "" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_query_term term = { .attribute = "x", .value = rows[i].value };
		const struct cm_query q = { .terms = &term, .count = 1 };
		struct cm_buf b = { 0 }, want = { 0 };

		cm_query_filter(&q, &b);
		cm_buf_addf(&want, "(x=%s)", rows[i].want);
		assert_string_equal(cm_buf_str(&b), cm_buf_str(&want));
		cm_buf_free(&b);
		cm_buf_free(&want);
	}
}

static void
filters(void **state)
{
	struct cm_query_term terms[] = {
		{ .attribute = "mail", .value = B("j@x.test") },
		{ .attribute = "altSecurityIdentities", .value = B("X509:<I>CN=A (B)<SR>01") },
	};
	struct cm_query one = { .terms = terms, .count = 1 }, two = { .terms = terms, .count = 2 };
	struct cm_buf b;

	(void)state;
	cm_buf_init(&b, 0);
	cm_query_filter(&one, &b);
	assert_string_equal(cm_buf_str(&b), "(mail=j@x.test)");
	cm_buf_truncate(&b, 0);
	cm_query_filter(&two, &b);
	assert_string_equal(cm_buf_str(&b),
	    "(|(mail=j@x.test)(altSecurityIdentities=X509:<I>CN=A \\28B\\29<SR>01))");
	cm_buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escapes),
		cmocka_unit_test(filters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
