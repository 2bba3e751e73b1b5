/* tests/mapper/test_searched.c - which attributes rules search by what a certificate holds: whoever has a value there may have a card. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/list.h"
#include "mapper/mapper.h"

/* What a row says stands behind what all have. */
#pragma GCC diagnostic ignored "-Woverride-init"

#define T(s)	(char *)(uintptr_t)(s)
#define AT(a, v, ...)	{ .name = T("r"), .origin = T("c.conf:7"), .attribute = T(a), .value = T(v), .priority = CM_RULE_PRIORITY_LAST, __VA_ARGS__ }
#define FILTER(f, ...)	{ .name = T("r"), .origin = T("c.conf:7"), .filter = T(f), .priority = CM_RULE_PRIORITY_LAST, __VA_ARGS__ }

/* What they search, joined by spaces. */
static void
expect(const struct cm_rules *r, const char *what, const char *want)
{
	char **names = NULL;
	struct cm_buf b = { 0 };

	assert_int_equal(cm_rules_searched(r, &names), CM_OK);
	for (char *const *name = names; name != NULL && *name != NULL; name++)
		cm_buf_addf(&b, "%s%s", b.len > 0 ? " " : "", *name);
	if (strcmp(cm_buf_str(&b), want) != 0)
		fail_msg("%s: \"%s\", and not \"%s\"", what, cm_buf_str(&b), want);
	cm_list_free(&names);
	cm_buf_free(&b);
}

static void
expect_rules(const struct cm_rules_options *o, const struct cm_conf_rule *rules, size_t count, const char *what, const char *want)
{
	struct cm_trace *t = NULL;
	struct cm_rules *r = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_int_equal(cm_rules_new(o, &r), CM_OK);
	if (cm_rules_add(r, rules, count, t) != CM_OK)
		fail_msg("%s: %s", what, cm_trace_message(t));
	expect(r, what, want);
	cm_rules_free(&r);
	cm_trace_free(&t);
}

static char map_file[] = "/tmp/cm_test_searched.XXXXXX";

static int
make_map_file(void **state)
{
	const int fd = mkstemp(map_file);

	(void)state;
	return fd >= 0 && write(fd, "a -> b\n", 7) == 7 && fchmod(fd, 0644) == 0 && close(fd) == 0 ? 0 : -1;
}

static int
remove_map_file(void **state)
{
	(void)state;
	return unlink(map_file);
}

/* Every way that a rule may be written, each alone. */
static void
test_each_syntax(void **state)
{
	const struct {
		struct cm_conf_rule rule;
		const char *want;
	} cases[] = {
		/* an attribute and its value */
		{ AT("mail", "{rfc822_name}"), "mail" },
		{ AT("userCertificate;binary", "{cert!bin}"), "userCertificate;binary" },
		{ AT("altSecurityIdentities", "Kerberos:{nt_principal_name}"), "altSecurityIdentities" },
		{ AT("uid", "{common_name}", .map_file = map_file), "uid" },
		{ AT("mail", "{rfc822_name}", .issuer = T("CN=CA"), .upn_suffix = T("x.test"), .match = T("<SUBJECT>CN=")), "mail" },
		/* filters */
		{ FILTER("(mail={rfc822_name})"), "mail" },
		{ FILTER("(&(objectClass=person)(mail={rfc822_name}))"), "mail" },
		{ FILTER("(|(mail={rfc822_name})(uid={common_name}))"), "mail uid" },
		{ FILTER("(&(|(mail={rfc822_name})(x=y))(MAIL={common_name}))"), "mail" },
		{ FILTER("(&(mail={rfc822_name})(!(cn={common_name})))"), "mail cn" },
		{ FILTER("(mail=*{rfc822_name}*)"), "mail" },
		{ FILTER("(description=a=b{common_name})"), "description" },
		{ FILTER("(description=\\28cn={common_name}\\29)"), "description" },
		{ FILTER("(& (mail={rfc822_name}) (uid={common_name}) )"), "mail uid" },
		{ FILTER("( mail={rfc822_name})"), "mail" },
		{ FILTER("(mail ={rfc822_name})"), "mail" },
		{ FILTER("(cn~={common_name})"), "cn" },
		{ FILTER("(cn>={common_name})"), "cn" },
		{ FILTER("(cn<={common_name})"), "cn" },
		{ FILTER("(cn:caseExactMatch:={common_name})"), "cn" },
		{ FILTER("(cn:dn:={common_name})"), "cn" },
		{ FILTER("(userCertificate;binary={cert!bin})"), "userCertificate" },
		{ FILTER("LDAP:(mail={subject_rfc822_name})(uid={subject_rfc822_name.short_name})"), "mail uid" },
		/* a part that names no attribute is about all of them, and everybody has one */
		{ FILTER("(:caseExactMatch:={common_name})"), "objectClass" },
		{ FILTER("(:dn:2.5.13.5:={common_name})"), "objectClass" },
		/* sss-certmap(5) */
		{ FILTER("LDAP:(userCertificate;binary={cert!bin})"), "userCertificate" },
		{ FILTER("LDAP:(&(objectClass=user)(altSecurityIdentities=X509:<I>{issuer_dn!ad_x500}<S>{subject_dn!ad_x500}))"), "altSecurityIdentities" },
		{ FILTER("LDAP:(|(mail={subject_rfc822_name})(uid={subject_rfc822_name.short_name}))"), "mail uid" },
		{ FILTER("LDAPU1:(ipaCertMapData=X509:<SR>{serial_number!hex_ur})"), "ipaCertMapData" },
		{ FILTER("LDAPU1:(objectSid={sid})"), "objectSid" },
		/* other accounts than the directory's, and other directories than this */
		{ AT("uid", "{common_name}", .local = true), "" },
		{ AT("mail", "{rfc822_name}", .domains = (char *[]){ T("other.test"), NULL }), "" },
		{ AT("mail", "{rfc822_name}", .domains = (char *[]){ T("other.test"), T("EXAMPLE.test"), NULL }), "mail" },
	};
	const struct cm_rules_options o = { .domain = "example.test" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++)
		expect_rules(&o, &cases[i].rule, 1, cases[i].rule.filter != NULL ? cases[i].rule.filter : cases[i].rule.value, cases[i].want);
}

/* Of all rules together, each once and however they are written; of those that were left out nothing. */
static void
test_together(void **state)
{
	const struct cm_conf_rule rules[] = {
		AT("Mail", "{rfc822_name}", .priority = 1), FILTER("(mail={rfc822_name})", .priority = 2), AT("cn", "{common_name}"),
		FILTER("(&(CN={common_name})(uid={common_name}))"), AT("sn", "{no_such_field}"), FILTER("(sn={common_name}"),
	};
	const struct cm_rules_options o = { .skip_bad = true };

	(void)state;
	expect_rules(&o, rules, CM_COUNT(rules), "together", "Mail cn uid");
	expect_rules(&o, NULL, 0, "none", "");
}

static void
test_forms(void **state)
{
	static const char *const both[] = { CM_FORMS_ALT, CM_FORMS_AD, NULL };
	static const struct {
		const struct cm_rules_options o;
		const char *want;
	} cases[] = {
		{ { .domain = NULL }, "altSecurityIdentities" },
		{ { .domain = "example.test", .forms = both, .pinned = true }, "altSecurityIdentities objectSid userPrincipalName sAMAccountName" },
		{ { .key_only = true }, "altSecurityIdentities" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_rules *r = NULL;

		assert_int_equal(cm_rules_new(&cases[i].o, &r), CM_OK);
		assert_int_equal(cm_rules_add_forms(r, NULL), CM_OK);
		expect(r, "forms", cases[i].want);
		cm_rules_free(&r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_syntax),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_forms),
	};

	return cmocka_run_group_tests(tests, make_map_file, remove_map_file);
}
