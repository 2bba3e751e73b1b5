/* tests/mapper/test_evaluate.c - from a certificate to what a directory is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
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

/* One rule of an attribute and a template. */
static struct cm_rules *
one_rule(const char *attribute, const char *value)
{
	const struct cm_rules_options o = { .domain = NULL };
	const struct cm_conf_rule rule = {
		.name = (char *)"test", .origin = (char *)"test.conf:1", .attribute = (char *)attribute,
		.value = (char *)value, .priority = CM_RULE_PRIORITY_LAST,
	};
	struct cm_rules *r = NULL;
	struct cm_trace *t = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_int_equal(cm_rules_new(&o, &r), CM_OK);
	if (cm_rules_add(r, &rule, 1, t) != CM_OK)
		fail_msg("%s", cm_trace_message(t));
	cm_trace_free(&t);
	return r;
}

static struct cm_rules *
form_rules(const char *const *forms)
{
	const struct cm_rules_options o = { .forms = forms };
	struct cm_rules *r = NULL;

	assert_int_equal(cm_rules_new(&o, &r), CM_OK);
	assert_int_equal(cm_rules_add_forms(r, NULL), CM_OK);
	return r;
}

static const char *const two_forms[] = { "issuer-serial", "kerberos", NULL };

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
		    "(|(altSecurityIdentities=X509:<I>DC=local,DC=dod,CN=SpatDoD Root CA"
		    "<SR>32000000000003bde810)(altSecurityIdentities=Kerberos:alice@EXAMPLE.TEST))" },
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
	struct cm_rules *r = form_rules(two_forms);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		expect(r, &rows[i].spec, rows[i].want);
	cm_rules_free(&r);
	assert_null(r);
}

static void
templates(void **state)
{
	static const struct cert_spec full = { .subject = john, .upn = B("john@X.TEST"),
		.mail = B("j@x.test") };
	static const struct {
		const char *attribute, *value, *want;
	} rows[] = {
		/* features.md section 1 */
		{ "email", "{common_name}-{rfc822_name}", "(email=John Appleseed-j@x.test)" },
		{ "altSecurityIdentities", "PlatformSSO:{nt_principal_name}",
		    "(altSecurityIdentities=PlatformSSO:john@X.TEST)" },
		{ "homeDirectory", "/home/{common_name}", "(homeDirectory=/home/John Appleseed)" },
		{ "title", "{country}/{organization}/{organizational_unit[1]}/{organizational_unit[2]}/"
		    "{organizational_unit[3]}", "(title=US/Example/one/two/three)" },
		{ "x", "{common_name}{common_name} costs $ {{1}}",
		    "(x=John AppleseedJohn Appleseed costs $ {1})" },
		/* the format is the administrator's text, and is escaped all the same */
		{ "x", "*({common_name})", "(x=\\2a\\28John Appleseed\\29)" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_rules *r = one_rule(rows[i].attribute, rows[i].value);

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
		{ { .subject = no_cn, .mail = B("j@x.test") }, "has no common_name" },
		{ { .subject = john }, "has no rfc822_name" },
		{ { .subject = john, .mail = B("") }, "has no rfc822_name" },
		{ { .subject = nul, .mail = B("j@x.test") }, "has a NUL byte in its common_name" },
	};
	struct cm_rules *r = one_rule("email", "x:{common_name}-{rfc822_name}");

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
	struct cm_rules *r = one_rule("email", "{common_name}-{rfc822_name}");

	(void)state;
	expect(r, &first, "(email=a-b-c)");
	expect(r, &second, "(email=a-b-c)");
	expect_ambiguity(r, &first, "\"-\" stands between common_name and rfc822_name, and in one of them");
	expect_ambiguity(r, &second, "other cards may make the same value");
	expect_ambiguity(r, &plain, NULL);
	cm_rules_free(&r);
	r = one_rule("email", "{common_name}{rfc822_name}");
	expect_ambiguity(r, &plain, "nothing stands between common_name and rfc822_name");
	cm_rules_free(&r);
}

static void
attack_filter_injection(void **state)
{
	static const struct part cn[] = { P("CN", ")(|(uid=*"), { .oid = NULL } };
	static const struct part refs[] = { P("CN", "$2{issuer_dn}"), { .oid = NULL } };
	const struct cert_spec spec = { .subject = cn, .upn = B("*)(uid=root)(a=") };
	const struct cert_spec again = { .subject = refs, .mail = B("m") };
	struct cm_rules *r = one_rule("x", "{common_name}"), *d = form_rules(two_forms);

	(void)state;
	expect(r, &spec, "(x=\\29\\28|\\28uid=\\2a)");
	cm_rules_free(&r);
	expect(d, &spec, "(|(altSecurityIdentities=X509:<I>CN=issuer<SR>01)"
	    "(altSecurityIdentities=Kerberos:\\2a\\29\\28uid=root\\29\\28a=))");
	cm_rules_free(&d);
	/* what a field holds is never read as format */
	r = one_rule("x", "{common_name}");
	expect(r, &again, "(x=$2{issuer_dn})");
	cm_rules_free(&r);
}

/* A filter, for principals of example.test. */
static struct cm_rules *
realm_rule(const char *filter)
{
	const struct cm_rules_options o = { .domain = NULL };
	const struct cm_conf_rule rule = {
		.name = (char *)"realm", .filter = (char *)(uintptr_t)filter, .upn_suffix = (char *)"example.test",
		.priority = CM_RULE_PRIORITY_LAST,
	};
	struct cm_rules *r = NULL;

	assert_int_equal(cm_rules_new(&o, &r), CM_OK);
	assert_int_equal(cm_rules_add(r, &rule, 1, NULL), CM_OK);
	return r;
}

/* Of several principals a field takes the first or the last: none may be of another realm. */
static void
attack_second_principal(void **state)
{
#define UPN(n)	"otherName:1.3.6.1.4.1.311.20.2.3;UTF8:" n
	static const struct {
		const char *sans;
		bool upn, pkinit;
	} rows[] = {
		{ UPN("bob@example.test"), true, true },
		{ UPN("bob@example.test") "," UPN("bob2@EXAMPLE.TEST"), true, true },
		{ UPN("bob@example.test") "," UPN("alice@evil.test"), false, false },
		{ UPN("alice@evil.test") "," UPN("bob@example.test"), false, false },
		{ UPN("bob@example.test") ",email:x@evil.test", true, true },
		/* a KRB5PrincipalName that is none */
		{ UPN("bob@example.test") ",otherName:1.3.6.1.5.2.2;UTF8:alice@example.test", true, false },
		{ "email:x@example.test", false, false },
	};
	struct cm_rules *by_upn = realm_rule("(u={subject_nt_principal.short_name})");
	struct cm_rules *by_pkinit = realm_rule("(u={subject_nt_principal}{subject_principal})");

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct ext ext[] = { { "subjectAltName", rows[i].sans }, { .name = NULL } };
		struct cm_cert *c = make_cert(&(struct cert_spec){ .extensions = ext });
		char *upn = filter_of(by_upn, c, NULL), *pkinit = filter_of(by_pkinit, c, NULL);

		assert_int_equal(upn != NULL, rows[i].upn);
		assert_int_equal(pkinit != NULL, rows[i].pkinit);
		free(upn);
		free(pkinit);
		cm_cert_free(&c);
	}
	cm_rules_free(&by_upn);
	cm_rules_free(&by_pkinit);
}

/* A value beyond the limit is refused by name, never cut. */
static void
overlong_value(void **state)
{
	struct cert_spec spec = { .serial = "01" };
	struct cm_rules *r = one_rule("x", "{rfc822_name}{rfc822_name}{rfc822_name}");
	struct cm_trace *t = NULL;
	char text[CM_VALUE_MAX / 3 + 1];
	struct cm_cert *c;

	(void)state;
	memset(text, 'a', sizeof(text));
	spec.mail = (struct cm_blob){ (const uint8_t *)text, sizeof(text) };
	c = make_cert(&spec);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_null(filter_of(r, c, t));
	assert_non_null(strstr(cm_trace_message(t), "longer than 8192 bytes"));
	cm_trace_free(&t);
	cm_cert_free(&c);
	spec.mail.len = CM_VALUE_MAX / 3;
	c = make_cert(&spec);
	free(filter_of(r, c, NULL));
	cm_cert_free(&c);
	cm_rules_free(&r);
}

/* pam_pkcs11's map files: what is looked up takes the value's place, and what is not there makes none. */
static void
map_files(void **state)
{
	static const struct {
		struct cert_spec spec;
		const char *want;
	} rows[] = {
		{ { .mail = B("alice@x.test") }, "(uid=alice)" },
		{ { .mail = B("Bob@X.test") }, "(uid=bob-of-x)" },
		{ { .mail = B("carol@y.test") }, NULL },
		{ { .upn = B("no mail") }, NULL },
	};
	static const char text[] = "# comment\nalice@x.test -> Alice\n^bob@.*$ -> bob-of-x\n";
	struct cm_conf_rule rule = {
		.name = (char *)"map", .origin = (char *)"test.conf:1", .attribute = (char *)"uid",
		.value = (char *)"{rfc822_name}", .ignore_case = true, .priority = CM_RULE_PRIORITY_LAST,
	};
	char path[] = "/tmp/cardmap-map-XXXXXX";
	const int fd = mkstemp(path);
	struct cm_rules *r = NULL;
	struct cm_trace *t = NULL;
	struct cm_cert *c;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	rule.map_file = path;
	assert_int_equal(cm_rules_new(&(struct cm_rules_options){ .domain = NULL }, &r), CM_OK);
	assert_int_equal(cm_rules_add(r, &rule, 1, NULL), CM_OK);
	unlink(path);	/* it is read once */
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		expect(r, &rows[i].spec, rows[i].want);
	c = make_cert(&rows[2].spec);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_null(filter_of(r, c, t));
	assert_non_null(strstr(cm_trace_message(t), "its map file has no line for carol@y.test"));
	cm_trace_free(&t);
	cm_cert_free(&c);
	cm_rules_free(&r);
}

/* An expression that takes too long is no answer: neither "it does not apply" nor another rule instead. */
static void
attack_regex_without_end(void **state)
{
	static const struct cm_conf_rule rules[] = {
		{ .name = (char *)"slow", .attribute = (char *)"x", .value = (char *)"{common_name}",
		    .match = (char *)"<SUBJECT>((((a*)*)*)*)*((((a*)*)*)*)*((((a*)*)*)*)*\\1\\3\\5b$",
		    .priority = CM_RULE_PRIORITY_LAST },
		{ .name = (char *)"plain", .attribute = (char *)"x", .value = (char *)"{common_name}",
		    .priority = CM_RULE_PRIORITY_LAST },
	};
	static const struct part cn[] = {
		P("CN", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), { .oid = NULL },
	};
	const struct cm_rules_options o = { .back_references = true };
	struct cm_cert *c = make_cert(&(struct cert_spec){ .subject = cn });
	struct cm_rules *r = NULL;
	struct cm_query *q = NULL;
	struct cm_trace *t = NULL;

	(void)state;
	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_int_equal(cm_rules_new(&o, &r), CM_OK);
	assert_int_equal(cm_rules_add(r, rules, CM_COUNT(rules), t), CM_OK);
	assert_int_equal(cm_rules_map(r, c, t, &q), CM_ERR_CONFIG);
	assert_int_equal(cm_trace_reason(t), CM_REASON_RULE_REGEX);
	assert_null(q);
	cm_rules_free(&r);
	cm_trace_free(&t);
	cm_cert_free(&c);
}

/* Each term says which rule made it, and the trace shows rule and value. */
static void
traced(void **state)
{
	const struct cert_spec spec = { .upn = B("a@B") };
	struct cm_cert *c = make_cert(&spec);
	struct cm_rules *r = form_rules(two_forms);
	struct cm_query *q = NULL;
	struct cm_trace *t = NULL;

	(void)state;
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "map");
	assert_int_equal(cm_rules_map(r, c, t, &q), CM_OK);
	assert_int_equal(q->count, 2);
	assert_string_equal(q->terms[0].rule, "issuer-serial");
	assert_string_equal(q->terms[0].attribute, "altSecurityIdentities");
	assert_int_equal(q->terms[0].strength, CM_STRONG);
	assert_string_equal(q->terms[1].rule, "kerberos");
	assert_int_equal(q->terms[1].value.len, strlen("Kerberos:a@B"));
	assert_int_equal(q->terms[1].strength, CM_WEAK);
	assert_string_equal(cm_trace_find(t, "rule"),
	    "kerberos: altSecurityIdentities = Kerberos:{nt_principal_name}");
	assert_string_equal(cm_trace_find(t, "value"), "Kerberos:a@B");
	assert_string_equal(cm_trace_find(t, "weak"), "another certificate could come to have it");
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
		cmocka_unit_test(templates),
		cmocka_unit_test(attack_missing_field_makes_a_constant),
		cmocka_unit_test(attack_format_ambiguity),
		cmocka_unit_test(attack_filter_injection),
		cmocka_unit_test(attack_second_principal),
		cmocka_unit_test(overlong_value),
		cmocka_unit_test(map_files),
		cmocka_unit_test(attack_regex_without_end),
		cmocka_unit_test(traced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
