/* tests/mapper/test_template.c - templates: what they may say, and what they make of a certificate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "make_cert.h"
#include "mapper/template_internal.h"

#define DC	"0.9.2342.19200300.100.1.25"

static const struct part issuer[] = { P(DC, "com"), P("O", "A, Inc"), P("CN", "CA"), { .oid = NULL } };
static const struct part subject[] = { P("C", "US"), P("O", "Org*(x)"), P("OU", "one"), P("OU", "two"),
	P("CN", "Alice"), { .oid = NULL } };
static const struct cert_spec spec = { .subject = subject, .issuer = issuer, .serial = "8a0102",
	.upn = { (const uint8_t *)"alice@EXAMPLE.COM", 17 }, .mail = { (const uint8_t *)"a\\b@x", 5 } };

struct row {
	const char *text;
	enum cm_dialect dialect;
	bool escape;
	const char *want;
};

static const struct row values[] = {
	{ "{common_name}", CM_DIALECT_OWN, false, "Alice" },
	{ "Kerberos:{nt_principal_name}", CM_DIALECT_OWN, false, "Kerberos:alice@EXAMPLE.COM" },
	{ "X509:<I>{issuer_dn!pkca}<SR>{serial_number!hex_r}", CM_DIALECT_OWN, false,
	    "X509:<I>DC=com,O=\"A, Inc\",CN=CA<SR>02018a" },
	{ "{{{organizational_unit[2]}}}", CM_DIALECT_OWN, false, NULL },
	{ "{{{organizational_unit[2]}x}}", CM_DIALECT_OWN, false, "{twox}" },
	{ "{organizational_unit}", CM_DIALECT_OWN, false, "one" },
	{ "{serial_number}", CM_DIALECT_LDAPU1, true, "8a0102" },
	{ "{serial_number!HEX_cRu}", CM_DIALECT_LDAPU1, true, "02:01:8A" },
	{ "{serial_number!dec}", CM_DIALECT_LDAPU1, true, "9044226" },
	{ "(o={organization})", CM_DIALECT_OWN, true, "(o=Org\\2a\\28x\\29)" },
	{ "(o={organization})", CM_DIALECT_OWN, false, "(o=Org*(x))" },
	{ "{rfc822_name}", CM_DIALECT_OWN, true, "a\\5cb@x" },
};

static void
made(void **state)
{
	struct cm_cert *c = make_cert(&spec);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(values); i++) {
		struct cm_template tp;
		struct cm_syntax why;
		struct cm_buf b = { 0 };

		if (values[i].want == NULL) {
			assert_int_equal(cm_template_parse(values[i].text, values[i].dialect,
			    values[i].escape, &tp, &why), CM_ERR_SYNTAX);
			continue;
		}
		assert_int_equal(cm_template_parse(values[i].text, values[i].dialect,
		    values[i].escape, &tp, &why), CM_OK);
		assert_int_equal(cm_template_write(&tp, c, &b, NULL), CM_OK);
		assert_string_equal(cm_buf_str(&b), values[i].want);
		cm_buf_free(&b);
		cm_template_clear(&tp);
	}
	cm_cert_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
