/* tests/mapper/test_rules.c - from a certificate to what a directory is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "make_cert.h"
#include "mapper/rules_internal.h"

#define B(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }
#define DC	"0.9.2342.19200300.100.1.25"

static const struct part root_ca[] = {
	P(DC, "local"), P(DC, "dod"), P("CN", "SpatDoD Root CA"), { .oid = NULL },
};
static const struct part john[] = {
	P("C", "US", .type = V_ASN1_PRINTABLESTRING), P("O", "Example"), P("OU", "one"), P("OU", "two"),
	P("OU", "three"), P("CN", "John Appleseed"), { .oid = NULL },
};

/* Rules from fields ("a|b"), a format and an attribute. */
static struct cm_rules *
plist_rules(const char *fields, const char *format, const char *attribute)
{
	struct cm_rules *r = NULL;
	struct cm_trace *t = NULL;
	struct cm_buf b;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_buf_init(&b, 0);
	cm_buf_add_str(&b, "<plist><dict><key>AttributeMapping</key><dict><key>fields</key><array>");
	while (*fields != '\0') {
		const size_t n = strcspn(fields, "|");

		cm_buf_addf(&b, "<string>%.*s</string>", (int)n, fields);
		fields += n + (fields[n] == '|');
	}
	cm_buf_addf(&b, "</array><key>formatString</key><string>%s</string>"
	    "<key>dsAttributeString</key><string>%s</string></dict></dict></plist>", format, attribute);
	if (cm_rules_parse_plist(cm_buf_blob(&b), "test.plist", t, &r) != CM_OK)
		fail_msg("%s", cm_trace_message(t));
	cm_buf_free(&b);
	cm_trace_free(&t);
	return r;
}

/* The filter the rules make, for the caller to free; NULL when none applies. */
static char *
filter_of(const struct cm_rules *r, const struct cm_cert *c, struct cm_trace *t)
{
	struct cm_query *q = NULL;
	struct cm_buf b;
	char *text;
	enum cm_err err = cm_rules_map(r, c, t, &q);

	if (err == CM_ERR_ABSENT) {
		assert_null(q);
		return NULL;
	}
	assert_int_equal(err, CM_OK);
	cm_buf_init(&b, 0);
	cm_query_filter(q, &b);
	text = cm_buf_take(&b);
	cm_query_free(&q);
	assert_null(q);
	return text;
}

static void
expect(const struct cm_rules *r, const struct cert_spec *spec, const char *want)
{
	struct cm_cert *c = make_cert(spec);
	char *got = filter_of(r, c, NULL);

	if (want == NULL)
		assert_null(got);
	else if (got == NULL)
		fail_msg("no filter, wanted %s", want);
	else
		assert_string_equal(got, want);
	free(got);
	cm_cert_free(&c);
}

static void
defaults(void **state)
{
	static const struct {
		struct cert_spec spec;
		const char *want;
	} rows[] = {
		/* features.md section 2 */
		{ { .issuer = root_ca, .serial = "10e8bd03000000000032", .upn = B("alice@EXAMPLE.TEST") },
		    "(|(altSecurityIdentities=Kerberos:alice@EXAMPLE.TEST)(altSecurityIdentities="
		    "X509:<I>DC=local,DC=dod,CN=SpatDoD Root CA<SR>32000000000003bde810))" },
		/* no UPN: that rule is left out */
		{ { .issuer = root_ca, .serial = "0A0b" },
		    "(altSecurityIdentities=X509:<I>DC=local,DC=dod,CN=SpatDoD Root CA<SR>0b0a)" },
		/* DER writes 00 before a high bit; AD and libsss_certmap do not */
		{ { .issuer = root_ca, .serial = "a0bd03000000000032" },
		    "(altSecurityIdentities=X509:<I>DC=local,DC=dod,CN=SpatDoD Root CA"
		    "<SR>32000000000003bda0)" },
		{ { .issuer = root_ca, .serial = "00" },
		    "(altSecurityIdentities=X509:<I>DC=local,DC=dod,CN=SpatDoD Root CA<SR>00)" },
		/* an empty UPN is none */
		{ { .serial = "01", .upn = B("") }, "(altSecurityIdentities=X509:<I>CN=issuer<SR>01)" },
	};
	struct cm_rules *r = NULL;

	(void)state;
	assert_int_equal(cm_rules_default(&r), CM_OK);
	assert_string_equal(r->origin, "built in");
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		expect(r, &rows[i].spec, rows[i].want);
	cm_rules_free(&r);
	assert_null(r);
}

static void
attribute_mapping(void **state)
{
	static const struct cert_spec full = { .subject = john, .upn = B("john@X.TEST"),
		.mail = B("j@x.test") };
	static const struct {
		const char *fields, *format, *attribute, *want;
	} rows[] = {
		/* features.md section 1 */
		{ "Common Name|RFC 822 Name", "$1-$2", "dsAttrTypeNative:email",
		    "(email=John Appleseed-j@x.test)" },
		{ "NT Principal Name", "Kerberos:$1", "dsAttrTypeStandard:AltSecurityIdentities",
		    "(altSecurityIdentities=Kerberos:john@X.TEST)" },
		{ "NT Principal Name", "PlatformSSO:$1", "dsAttrTypeStandard:AltSecurityIdentities",
		    "(altSecurityIdentities=PlatformSSO:john@X.TEST)" },
		{ "Common Name", "$1", "dsAttrTypeStandard:RecordName",
		    "(|(uid=John Appleseed)(sAMAccountName=John Appleseed))" },
		{ "Common Name", "$1", "dsAttrTypeStandard:RealName",
		    "(|(cn=John Appleseed)(displayName=John Appleseed))" },
		{ "RFC 822 Name", "$1", "dsAttrTypeStandard:EMailAddress", "(mail=j@x.test)" },
		{ "Common Name", "$1", "dsAttrTypeStandard:UniqueID", "(uidNumber=John Appleseed)" },
		{ "Common Name", "$1", "dsAttrTypeStandard:PrimaryGroupID", "(gidNumber=John Appleseed)" },
		{ "Common Name", "/home/$1", "dsAttrTypeStandard:NFSHomeDirectory",
		    "(homeDirectory=/home/John Appleseed)" },
		{ "Common Name", "$1", "dsAttrTypeStandard:UserShell", "(loginShell=John Appleseed)" },
		{ "Organization|OrganizationalUnit:1|OrganizationalUnit:2|OrganizationalUnit:3|Country",
		    "$5/$1/$2/$3/$4", "dsAttrTypeNative:title", "(title=US/Example/one/two/three)" },
		/* a reference twice, a "$" that is none, braces */
		{ "Common Name", "$1$1 costs $ {1}", "dsAttrTypeNative:x",
		    "(x=John AppleseedJohn Appleseed costs $ {1})" },
		/* two digits are one number */
		{ "Country|Country|Country|Country|Country|Country|Country|Country|Country|Organization",
		    "$10", "dsAttrTypeNative:x", "(x=Example)" },
		/* the format is the administrator's text, and is escaped all the same */
		{ "Common Name", "*($1)", "dsAttrTypeNative:x", "(x=\\2a\\28John Appleseed\\29)" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_rules *r = plist_rules(rows[i].fields, rows[i].format, rows[i].attribute);

		assert_string_equal(r->origin, "test.plist:1");
		expect(r, &full, rows[i].want);
		cm_rules_free(&r);
	}
}

/* A field missing, empty or with a NUL: never a shorter value, never a constant. */
static void
attack_missing_field_makes_a_constant(void **state)
{
	static const struct part no_cn[] = { P("O", "Example"), { .oid = NULL } };
	static const struct part nul[] = { P("CN", "John\0x", .len = 6), { .oid = NULL } };
	static const struct {
		struct cert_spec spec;
		const char *why;
	} rows[] = {
		{ { .subject = no_cn, .mail = B("j@x.test") }, "has no Common Name" },
		{ { .subject = john }, "has no RFC 822 Name" },
		{ { .subject = john, .mail = B("") }, "has no RFC 822 Name" },
		{ { .subject = nul, .mail = B("j@x.test") }, "has a NUL byte in its Common Name" },
	};
	struct cm_rules *r = plist_rules("Common Name|RFC 822 Name", "x:$1-$2", "dsAttrTypeNative:email");

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_cert *c = make_cert(&rows[i].spec);
		struct cm_trace *t = NULL;

		assert_int_equal(cm_trace_new(&t), CM_OK);
		cm_trace_begin(t, "map");
		assert_null(filter_of(r, c, t));
		assert_int_equal(cm_trace_reason(t), CM_REASON_NO_RULE);
		assert_non_null(strstr(cm_trace_message(t), rows[i].why));
		assert_non_null(strstr(cm_trace_find(t, "does not apply"), rows[i].why));
		cm_trace_free(&t);
		cm_cert_free(&c);
	}
	cm_rules_free(&r);
}

/* "a-b","c" and "a","b-c" reach one text: the directory's count decides, so the text must be equal. */
/* What the trace says of two ways to make one value; NULL: nothing. */
static void
expect_ambiguity(const struct cm_rules *r, const struct cert_spec *spec, const char *want)
{
	struct cm_cert *c = make_cert(spec);
	struct cm_trace *t = NULL;
	const char *said;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "map");
	free(filter_of(r, c, t));
	said = cm_trace_find(t, "ambiguous");
	if (want == NULL)
		assert_null(said);
	else
		assert_non_null(strstr(said, want));
	cm_trace_free(&t);
	cm_cert_free(&c);
}

static void
attack_format_ambiguity(void **state)
{
	static const struct part one[] = { P("CN", "a-b"), { .oid = NULL } }, two[] = { P("CN", "a"), { .oid = NULL } };
	const struct cert_spec first = { .subject = one, .mail = B("c") };
	const struct cert_spec second = { .subject = two, .mail = B("b-c") };
	const struct cert_spec plain = { .subject = two, .mail = B("c") };
	struct cm_rules *r = plist_rules("Common Name|RFC 822 Name", "$1-$2", "dsAttrTypeNative:email");

	(void)state;
	expect(r, &first, "(email=a-b-c)");
	expect(r, &second, "(email=a-b-c)");
	expect_ambiguity(r, &first, "\"-\" stands between Common Name and RFC 822 Name, and in one of them");
	expect_ambiguity(r, &second, "other cards may make the same value");
	expect_ambiguity(r, &plain, NULL);
	cm_rules_free(&r);
	r = plist_rules("Common Name|RFC 822 Name", "$1$2", "dsAttrTypeNative:email");
	expect_ambiguity(r, &plain, "nothing stands between Common Name and RFC 822 Name");
	cm_rules_free(&r);
}

static void
attack_filter_injection(void **state)
{
	static const struct part cn[] = { P("CN", ")(|(uid=*"), { .oid = NULL } };
	static const struct part refs[] = { P("CN", "$2{issuer}"), { .oid = NULL } };
	const struct cert_spec spec = { .subject = cn, .upn = B("*)(uid=root)(a=") };
	const struct cert_spec again = { .subject = refs, .mail = B("m") };
	struct cm_rules *r = plist_rules("Common Name", "$1", "dsAttrTypeNative:x"), *d = NULL;

	(void)state;
	expect(r, &spec, "(x=\\29\\28|\\28uid=\\2a)");
	cm_rules_free(&r);
	assert_int_equal(cm_rules_default(&d), CM_OK);
	expect(d, &spec, "(|(altSecurityIdentities=Kerberos:\\2a\\29\\28uid=root\\29\\28a=)"
	    "(altSecurityIdentities=X509:<I>CN=issuer<SR>01))");
	cm_rules_free(&d);
	/* what a field holds is never read as format */
	r = plist_rules("Common Name|RFC 822 Name", "$1", "dsAttrTypeNative:x");
	expect(r, &again, "(x=$2{issuer})");
	cm_rules_free(&r);
}

/* A value beyond the limit is refused by name, never cut. */
static void
overlong_value(void **state)
{
	struct cert_spec spec = { .serial = "01" };
	struct cm_rules *r = plist_rules("RFC 822 Name", "$1$1$1", "dsAttrTypeNative:x");
	struct cm_trace *t = NULL;
	char text[CM_VALUE_MAX / 3 + 1];
	struct cm_cert *c;

	(void)state;
	memset(text, 'a', sizeof(text));
	spec.mail = (struct cm_blob){ (const uint8_t *)text, sizeof(text) };
	c = make_cert(&spec);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_null(filter_of(r, c, t));
	assert_non_null(strstr(cm_trace_message(t), "too long"));
	cm_trace_free(&t);
	cm_cert_free(&c);
	spec.mail.len = CM_VALUE_MAX / 3;
	c = make_cert(&spec);
	free(filter_of(r, c, NULL));
	cm_cert_free(&c);
	cm_rules_free(&r);
}

/* Each term says which rule made it, and the trace shows rule and value. */
static void
traced(void **state)
{
	const struct cert_spec spec = { .upn = B("a@B") };
	struct cm_cert *c = make_cert(&spec);
	struct cm_rules *r = NULL;
	struct cm_query *q = NULL;
	struct cm_trace *t = NULL;

	(void)state;
	assert_int_equal(cm_rules_default(&r), CM_OK);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "map");
	assert_int_equal(cm_rules_map(r, c, t, &q), CM_OK);
	assert_int_equal(q->count, 2);
	assert_string_equal(q->terms[0].rule, "default upn");
	assert_string_equal(q->terms[0].attribute, "altSecurityIdentities");
	assert_int_equal(q->terms[0].value.len, strlen("Kerberos:a@B"));
	assert_string_equal(q->terms[1].rule, "default issuer-serial");
	assert_string_equal(cm_trace_find(t, "rule"), "default issuer-serial: "
	    "altSecurityIdentities = X509:<I>{issuer}<SR>{serial reversed}");
	assert_string_equal(cm_trace_find(t, "value"), "X509:<I>CN=issuer<SR>01");
	cm_query_free(&q);
	cm_trace_free(&t);
	cm_rules_free(&r);
	cm_cert_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(attribute_mapping),
		cmocka_unit_test(attack_missing_field_makes_a_constant),
		cmocka_unit_test(attack_format_ambiguity),
		cmocka_unit_test(attack_filter_injection),
		cmocka_unit_test(overlong_value),
		cmocka_unit_test(traced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
