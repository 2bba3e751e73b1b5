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

/* What is none, where, and what is said of it. */
static const struct {
	const char *text;
	enum cm_dialect dialect;
	size_t column;
	const char *what;
} mistakes[] = {
	{ "", CM_DIALECT_OWN, 1, "names no field" },
	{ "plain", CM_DIALECT_OWN, 1, "names no field" },
	{ "{{{{}}", CM_DIALECT_LDAP, 1, "names no field" },
	{ "a{", CM_DIALECT_OWN, 2, "has no }" },
	{ "a{cert", CM_DIALECT_OWN, 2, "has no }" },
	{ "a}", CM_DIALECT_OWN, 2, "has no {" },
	{ "{cert}}", CM_DIALECT_OWN, 6, "}} where a field ends" },
	{ "{ce{rt}}", CM_DIALECT_OWN, 4, "no { within a field" },
	{ "{}", CM_DIALECT_OWN, 2, "name of a field" },
	{ "{!bin}", CM_DIALECT_OWN, 2, "name of a field" },
	{ "x{nt_princpal}", CM_DIALECT_OWN, 3, "unknown field \"nt_princpal\"" },
	{ "{Cert}", CM_DIALECT_OWN, 2, "unknown field" },
	{ "{common_name}", CM_DIALECT_LDAPU1, 2, "unknown field" },
	{ "{serial_number}", CM_DIALECT_LDAP, 2, "unknown field" },
	{ "{cert!sha1}", CM_DIALECT_LDAP, 7, "expected one of bin base64" },
	{ "{cert!}", CM_DIALECT_LDAPU1, 0, NULL },
	{ "{cert.}", CM_DIALECT_LDAPU1, 0, NULL },
	{ "{cert!bin!bin}", CM_DIALECT_OWN, 7, "one conversion" },
	{ "{cert.a.b}", CM_DIALECT_OWN, 7, "one part" },
	{ "{cert.a}", CM_DIALECT_OWN, 7, "cert has no parts" },
	{ "{common_name!hex}", CM_DIALECT_OWN, 14, "common_name has no conversions" },
	{ "{sid!hex}", CM_DIALECT_LDAPU1, 6, "sid has no conversions" },
	{ "{sid!hex}", CM_DIALECT_OWN, 6, "expected one of bin" },
	{ "{sid.x}", CM_DIALECT_OWN, 6, "expected one of .rid" },
	{ "{nt_principal_name.SHORT_NAME}", CM_DIALECT_OWN, 20, "expected one of .short_name .realm" },
	{ "{subject_principal.realm}", CM_DIALECT_LDAPU1, 20, "expected one of .short_name" },
	{ "{serial_number!hex_x}", CM_DIALECT_OWN, 16, "unknown conversion" },
	{ "{serial_number!dec_u}", CM_DIALECT_OWN, 16, "unknown conversion" },
	{ "{subject_key_id!dec}", CM_DIALECT_LDAPU1, 17, "expected one of hex" },
	{ "{organizational_unit[4]}", CM_DIALECT_OWN, 2, "has no [4]" },
	{ "{organizational_unit[0]}", CM_DIALECT_OWN, 21, "a number other than 0" },
	{ "{organizational_unit[x]}", CM_DIALECT_OWN, 21, "a number other than 0" },
	{ "{organizational_unit[-1]}", CM_DIALECT_OWN, 2, "has no [-1]" },
	{ "{common_name[1]}", CM_DIALECT_OWN, 2, "has no [1]" },
	{ "{subject_dn_component.cn[1]x}", CM_DIALECT_OWN, 25, "a number other than 0" },
	{ "{subject_dn_component.[99999999999]}", CM_DIALECT_OWN, 23, "a number other than 0" },
	{ "{issuer_dn!pkca}", CM_DIALECT_LDAPU1, 12, "expected one of nss_ldap" },
};

static void
told(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(mistakes); i++) {
		struct cm_template tp;
		struct cm_syntax why;
		const enum cm_err err = cm_template_parse(mistakes[i].text, mistakes[i].dialect, false, &tp, &why);

		if (err != (mistakes[i].what != NULL ? CM_ERR_SYNTAX : CM_OK) || why.column != mistakes[i].column ||
		    (mistakes[i].what != NULL && strstr(why.what, mistakes[i].what) == NULL))
			fail_msg("%s: column %zu: %s", mistakes[i].text, why.column, why.what);
		if (err != CM_OK) {
			assert_int_equal(tp.count, 0);
			assert_null(tp.segments);
		}
		cm_template_clear(&tp);
	}
}

static void
too_long(void **state)
{
	struct cm_buf b = { 0 };
	struct cm_template tp;
	struct cm_syntax why;

	(void)state;
	while (b.len < CM_FORMAT_MAX - 6)
		cm_buf_add_byte(&b, 'x');
	cm_buf_add_str(&b, "{cert}");
	assert_int_equal(cm_template_parse(cm_buf_str(&b), CM_DIALECT_OWN, false, &tp, &why), CM_OK);
	cm_template_clear(&tp);
	cm_buf_add_byte(&b, 'x');
	assert_int_equal(cm_template_parse(cm_buf_str(&b), CM_DIALECT_OWN, false, &tp, &why), CM_ERR_SYNTAX);
	cm_buf_free(&b);
}

/* What stands in the way is told, and nothing is left of what was begun. */
static void
nothing_half(void **state)
{
	static const struct { const char *text; size_t max; enum cm_err err; const char *missing; } rows[] = {
		{ "a{common_name}b{uuid}c", 0, CM_ERR_ABSENT, "uuid" },
		{ "{common_name}{country}", 0, CM_OK, NULL },
		{ "{common_name}{country}", 14, CM_OK, NULL },
		{ "{common_name}{country}", 13, CM_ERR_SYNTAX, NULL },
		{ "{cert!sha1}", 20, CM_ERR_SYNTAX, NULL },
		{ "({cert!bin})", 200, CM_ERR_SYNTAX, NULL },
	};
	struct cm_cert *c = make_cert(&spec);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct cm_segment *missing = NULL;
		struct cm_template tp;
		struct cm_syntax why;
		struct cm_buf b;

		cm_buf_init(&b, rows[i].max);
		cm_buf_add_str(&b, "before.");
		assert_int_equal(cm_template_parse(rows[i].text, CM_DIALECT_OWN, true, &tp, &why), CM_OK);
		assert_int_equal(cm_template_write(&tp, c, &b, &missing), rows[i].err);
		assert_string_equal(cm_buf_str(&b), rows[i].err == CM_OK ? "before.AliceUS" : "before.");
		if (rows[i].missing != NULL)
			assert_string_equal(missing->ref.field->name, rows[i].missing);
		else
			assert_null(missing);
		cm_template_clear(&tp);
		cm_buf_free(&b);
	}
	cm_cert_free(&c);
}

static void
prefixes(void **state)
{
	static const struct { const char *rule, *rest; enum cm_dialect dialect; } rows[] = {
		{ "LDAP:x", "x", CM_DIALECT_LDAP }, { "LDAPU1:x", "x", CM_DIALECT_LDAPU1 }, { "x", "x", CM_DIALECT_OWN },
		{ ":x", "x", CM_DIALECT_OWN }, { "LDAP", "LDAP", CM_DIALECT_OWN }, { "", "", CM_DIALECT_OWN },
		{ "ldap:x", "ldap:x", CM_DIALECT_OWN }, { "(a:dn:=b)", "(a:dn:=b)", CM_DIALECT_OWN },
		{ "LDAPU2:x", NULL, CM_DIALECT_OWN }, { "KRB5:x", NULL, CM_DIALECT_OWN },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		enum cm_dialect dialect = CM_DIALECT_OWN;
		const char *rest = cm_template_prefix(rows[i].rule, &dialect);

		assert_int_equal(rest == NULL, rows[i].rest == NULL);
		if (rest != NULL)
			assert_string_equal(rest, rows[i].rest);
		assert_int_equal(dialect, rows[i].dialect);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made),
		cmocka_unit_test(told),
		cmocka_unit_test(too_long),
		cmocka_unit_test(nothing_half),
		cmocka_unit_test(prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
