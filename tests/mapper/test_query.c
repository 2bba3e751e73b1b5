/* tests/mapper/test_query.c - filters, and what must not get out of a value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "make_cert.h"
#include "mapper/rules_internal.h"

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

/* A filter stands as its rule made it, among the others. */
static void
whole_filters(void **state)
{
	struct cm_query_term terms[] = {
		{ .value = B("(&(objectClass=user)(mail=j\\2a))") },
		{ .attribute = "uid", .value = B("(j*") },
	};
	struct cm_query one = { .terms = terms, .count = 1 }, two = { .terms = terms, .count = 2 };
	struct cm_buf b;

	(void)state;
	cm_buf_init(&b, 0);
	cm_query_filter(&one, &b);
	assert_string_equal(cm_buf_str(&b), "(&(objectClass=user)(mail=j\\2a))");
	cm_buf_truncate(&b, 0);
	cm_query_filter(&two, &b);
	assert_string_equal(cm_buf_str(&b), "(|(&(objectClass=user)(mail=j\\2a))(uid=\\28j\\2a))");
	cm_buf_free(&b);
}

static void
expect_terms(const struct cm_query *q, size_t count, const char *sid)
{
	assert_int_equal(q->count, count);
	if (sid == NULL)
		assert_null(q->sid);
	else
		assert_string_equal(q->sid, sid);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(q->terms[i].rule, i % 2 == 0 ? "bytes" : "filter");
		assert_int_equal(q->terms[i].value.len, i % 2 == 0 ? 4 : 5);
		assert_memory_equal(q->terms[i].value.ptr, i % 2 == 0 ? "a\0b\xff" : "(a=b)", q->terms[i].value.len);
		assert_int_equal(q->terms[i].strength, i % 2 == 0 ? CM_STRONG : CM_WEAK);
		assert_int_equal(q->terms[i].pairing, i % 2 == 0);
		assert_int_equal(q->terms[i].local, i % 2 == 1);
	}
}

/* Copies of everything, behind what was there; nothing of the caller's is kept. */
static void
appended(void **state)
{
	char attribute[] = "x", bytes[] = "a\0b\xff", filter[] = "(a=b)", names[2][8] = { "bytes", "filter" };
	const struct cm_query_term terms[] = {
		{ .rule = names[0], .attribute = attribute, .value = { (uint8_t *)bytes, 4 },
		    .strength = CM_STRONG, .pairing = true },
		{ .rule = names[1], .value = { (uint8_t *)filter, 5 }, .local = true },
	};
	struct cm_query *q = NULL;

	(void)state;
	assert_int_equal(cm_query_append(&q, terms, 0), CM_OK);
	assert_null(q);
	assert_int_equal(cm_query_append(&q, terms, 2), CM_OK);
	memset(attribute, '-', sizeof(attribute) - 1);
	expect_terms(q, 2, NULL);
	assert_string_equal(q->terms[0].attribute, "x");
	assert_null(q->terms[1].attribute);
	assert_int_equal(cm_query_append(&q, terms, 0), CM_OK);
	assert_int_equal(cm_query_append(&q, terms, 2), CM_OK);
	memset(bytes, '-', sizeof(bytes));
	memset(filter, '-', sizeof(filter));
	memset(names, '-', sizeof(names));
	expect_terms(q, 4, NULL);
	cm_query_free(&q);
	assert_null(q);
	cm_query_free(&q);
	/* the certificate's SID stays */
	assert_int_equal(cm_query_make(NULL, 0, NULL, 0, cm_blob_str("S-1-5"), &q), CM_OK);
	assert_int_equal(cm_query_append(&q, &(struct cm_query_term){ .rule = (char *)"r",
	    .attribute = (char *)"a", .value = B("v") }, 1), CM_OK);
	assert_string_equal(q->sid, "S-1-5");
	assert_int_equal(q->count, 1);
	cm_query_free(&q);
}

/* Whoever else made the terms: the certificate says whose it is, in its extension or in a SAN URI, or nothing. */
static void
sid_is_the_certificates(void **state)
{
	const struct cert_spec plain = { .serial = "01" };
	struct cm_cert *c = make_cert(&plain);
	struct cm_query *q = NULL;

	(void)state;
	assert_int_equal(cm_query_make(NULL, 0, NULL, 0, cm_blob_str("S-1-5"), &q), CM_OK);
	assert_int_equal(cm_query_append(&q, &(struct cm_query_term){ .rule = (char *)"r",
	    .attribute = (char *)"a", .value = B("v") }, 1), CM_OK);
	assert_int_equal(cm_query_set_sid(&q, c), CM_OK);
	assert_null(q->sid);
	assert_int_equal(q->count, 1);
	assert_string_equal(q->terms[0].rule, "r");
	cm_cert_free(&c);
	assert_int_equal(cm_cert_load(CM_PKI_DIR "/sid.crt", NULL, &c), CM_OK);
	assert_int_equal(cm_query_set_sid(&q, c), CM_OK);
	assert_string_equal(q->sid, "S-1-5-21-1004336348-1177238915-682003330-1105");
	cm_cert_free(&c);
	q->sid = NULL;
	assert_int_equal(cm_cert_load(CM_PKI_DIR "/sid-uri.crt", NULL, &c), CM_OK);
	assert_int_equal(cm_query_set_sid(&q, c), CM_OK);
	assert_string_equal(q->sid, "S-1-5-21-1004336348-1177238915-682003330-1105");
	cm_query_free(&q);
	cm_cert_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escapes),
		cmocka_unit_test(filters),
		cmocka_unit_test(whole_filters),
		cmocka_unit_test(appended),
		cmocka_unit_test(sid_is_the_certificates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
