/* tests/mapper/test_diagnose.c - what is wrong with a stored value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "make_cert.h"
#include "mapper/diagnose_internal.h"

#define DC	"0.9.2342.19200300.100.1.25"
#define B(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }

static const struct part issuer[] = {
	P(DC, "test"), P(DC, "corp"), P("ST", "Bavaria"), P("O", "Foo, Inc"), P("CN", "Issuing CA"), { 0 },
};
static const struct part subject[] = {
	P("C", "DE"), P("O", "Corp"), P("CN", "Alice Example"), P("emailAddress", "alice@corp.test", .type = 22), { 0 },
};
#define ISSUER	"DC=test,DC=corp,S=Bavaria,O=\"Foo, Inc\",CN=Issuing CA"
#define SUBJECT	"C=DE,O=Corp,CN=Alice Example,E=alice@corp.test"
#define SERIAL	"e0bd8a12"	/* the certificate's is 128abde0, reversed */

static struct cm_cert *
make(void)
{
	return make_cert(&(struct cert_spec){ .subject = subject, .issuer = issuer, .serial = "128abde0",
	    .upn = B("alice@corp.test"), .mail = B("alice@corp.test") });
}

/* A value somebody wrote, the causes in order, and what it should have been. */
static const struct {
	const char *stored, *causes, *wanted;
} rows[] = {
	{ "X509:<I>" ISSUER "<SR>" SERIAL, "same_value", "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "X509:<I>" ISSUER "<SR>E0BD8A12", "letter_case", "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "X509:<I>" ISSUER "<SR>128abde0", "serial_not_reversed", "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "X509:<I>" ISSUER "<SR>12:8A:BD:E0", "serial_form serial_not_reversed", "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "X509:<I>" ISSUER "<SR>0x128abde0", "serial_form serial_not_reversed", "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "X509:<I>" ISSUER "<SR>311082464", "serial_decimal", "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "X509:<I>CN=Issuing CA,O=\"Foo, Inc\",S=Bavaria,DC=corp,DC=test<SR>" SERIAL, "rfc4514_order",
	    "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "X509:<I>CN=Issuing CA,O=Foo\\, Inc,ST=Bavaria,DC=corp,DC=test<SR>" SERIAL,
	    "rfc4514_order st_for_s escaping", "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "X509:<I>DC=test,DC=corp,ST=Bavaria,O=\"Foo, Inc\",CN=Issuing CA<SR>" SERIAL, "st_for_s",
	    "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "X509:<I>DC=test, DC=corp, S=Bavaria, O=\"Foo, Inc\", CN=Issuing CA<SR>" SERIAL, "space_after_comma",
	    "X509:<I>" ISSUER "<SR>" SERIAL },
	{ " X509:<I>" ISSUER "<SR>" SERIAL "  ", "outer_space", "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "X509: <I>" ISSUER "<SR>" SERIAL, "tag_space", "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "<I>" ISSUER "<SR>" SERIAL, "x509_missing", "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "X509:<I>" ISSUER "<SR>0102", "renewed_card", "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "X509:<I>CN=Old CA<SR>" SERIAL, "other_issuer", "X509:<I>" ISSUER "<SR>" SERIAL },
	{ "X509:<S>/C=DE/O=Corp/CN=Alice Example/emailAddress=alice@corp.test", "slash_form attribute_names",
	    "X509:<S>" SUBJECT },
	{ "X509:<S>C=DE,O=Corp,CN=Alice Example,emailAddress=alice@corp.test", "attribute_names",
	    "X509:<S>" SUBJECT },
	{ "X509:<I>" ISSUER "<S>C=DE, O=Corp, CN=Alice Example, E=alice@corp.test", "space_after_comma",
	    "X509:<I>" ISSUER "<S>" SUBJECT },
	{ "alice@corp.test", "kerberos_missing", "Kerberos:alice@corp.test" },
	{ "Kerberos:alice@old.test", "upn_suffix", "Kerberos:alice@corp.test" },
	{ "Kerberos:al@corp.test", "upn_name", "Kerberos:alice@corp.test" },
};

static void
join(const struct cm_near_miss *m, struct cm_buf *out)
{
	for (size_t i = 0; i < m->cause_count; i++)
		cm_buf_addf(out, "%s%s", i > 0 ? " " : "", m->causes[i]->name);
}

static void
causes(void **state)
{
	struct cm_cert *c = make();

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_near_miss *m = NULL;
		struct cm_buf b = { 0 };

		print_message("%s\n", rows[i].stored);
		assert_int_equal(cm_diagnose_value(c, NULL, "altSecurityIdentities", cm_blob_str(rows[i].stored), &m), CM_OK);
		join(m, &b);
		assert_string_equal(cm_buf_str(&b), rows[i].causes);
		assert_string_equal(m->wanted, rows[i].wanted);
		cm_buf_free(&b);
		cm_near_miss_free(&m);
	}
	cm_cert_free(&c);
}

static void
first_difference(void **state)
{
	static const struct { const char *stored; size_t differs; } cases[] = {
		{ "X509:<I>" ISSUER "<SR>128abde0", sizeof("X509:<I>" ISSUER "<SR>") - 1 },
		{ "X509:<i>" ISSUER "<SR>E0BD8A13", sizeof("X509:<I>" ISSUER "<SR>" SERIAL) - 2 },
		{ "X509:<I>" ISSUER "<SR>E0BD8A12", sizeof("X509:<I>" ISSUER "<SR>") - 1 },
	};
	struct cm_cert *c = make();

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_near_miss *m = NULL;

		assert_int_equal(cm_diagnose_value(c, NULL, "altSecurityIdentities", cm_blob_str(cases[i].stored), &m), CM_OK);
		assert_int_equal(m->differs, cases[i].differs);
		cm_near_miss_free(&m);
	}
	cm_cert_free(&c);
}

/* What has nothing to do with the certificate, or is of no form, is no near miss. */
static void
strangers(void **state)
{
	static const char *const values[] = { "", "Alice", "X509:<FOO>x" };
	struct cm_cert *c = make();

	(void)state;
	for (size_t i = 0; i < CM_COUNT(values); i++) {
		struct cm_near_miss *m = NULL;

		assert_int_equal(cm_diagnose_value(c, NULL, "altSecurityIdentities", cm_blob_str(values[i]), &m), CM_ERR_ABSENT);
		assert_null(m);
	}
	cm_cert_free(&c);
}

/* Each single mistake that can be made is found again by its name. */
static void
variants_are_diagnosed(void **state)
{
	struct cm_cert *c = make();
	struct cm_query_term term = { .rule = (char *)(uintptr_t)"r", .attribute = (char *)(uintptr_t)"altSecurityIdentities",
		.value = B("X509:<I>" ISSUER "<SR>" SERIAL) };
	const struct cm_query q = { .terms = &term, .count = 1 };
	struct cm_query *variants = NULL;

	(void)state;
	assert_int_equal(cm_diagnose_variants(&q, 64, &variants), CM_OK);
	assert_in_range(variants->count, 8, 64);
	for (size_t i = 0; i < variants->count && i < 8; i++) {
		struct cm_near_miss *m = NULL;

		assert_int_equal(cm_diagnose_value(c, &q, "altSecurityIdentities", variants->terms[i].value, &m), CM_OK);
		assert_in_range(m->distance, 1, 5);
		assert_string_equal(m->wanted, "X509:<I>" ISSUER "<SR>" SERIAL);
		cm_near_miss_free(&m);
	}
	cm_query_free(&variants);
	assert_int_equal(cm_diagnose_variants(&q, 3, &variants), CM_OK);
	assert_int_equal(variants->count, 3);
	cm_query_free(&variants);
	cm_cert_free(&c);
}

/* A filter's assertions are values too. */
static void
of_a_filter(void **state)
{
	struct cm_cert *c = make();
	struct cm_query_term term = { .rule = (char *)(uintptr_t)"r",
		.value = B("(&(objectClass=person)(mail=alice\\40corp.test))") };
	const struct cm_query q = { .terms = &term, .count = 1 };
	struct cm_near_miss *m = NULL;

	(void)state;
	assert_int_equal(cm_diagnose_value(c, &q, "mail", cm_blob_str("alice@corp.example"), &m), CM_OK);
	assert_string_equal(m->wanted, "alice@corp.test");
	assert_string_equal(m->causes[0]->name, "upn_suffix");
	cm_near_miss_free(&m);
	cm_cert_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(causes),
		cmocka_unit_test(first_difference),
		cmocka_unit_test(strangers),
		cmocka_unit_test(variants_are_diagnosed),
		cmocka_unit_test(of_a_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
