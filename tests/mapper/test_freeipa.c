/* tests/mapper/test_freeipa.c - FreeIPA's rules: their entries as rules of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mapper/import.h"

#define DN	"cn=r,cn=certmaprules,cn=certmap,dc=x,dc=org"

/* One entry: the rule it makes as text, or "" when it makes none, or the message. */
static void
expect(const struct cm_ipa_rule *r, const char *want)
{
	struct cm_import *i = NULL;
	struct cm_trace *t = NULL;
	struct cm_buf b = { 0 };

	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "import");
	assert_int_equal(cm_import_new("ldap://x", "FreeIPA", &i), CM_OK);
	if (cm_import_freeipa_rule(i, r, "x.org", t) != CM_OK)
		cm_buf_add_str(&b, cm_trace_message(t));
	for (size_t k = 0; k < i->rule_count; k++) {
		cm_buf_addf(&b, "%s [%s] %s %s", i->rules[k].name, i->rules[k].origin, i->rules[k].match, i->rules[k].filter);
		for (char **d = i->rules[k].domains; *d != NULL; d++)
			cm_buf_addf(&b, " %s", *d);
		if (i->rules[k].priority != CM_RULE_PRIORITY_LAST)
			cm_buf_addf(&b, " %u", i->rules[k].priority);
	}
	for (size_t k = 0; k < i->note_count; k++)
		cm_buf_add_str(&b, i->notes[k].text);
	assert_string_equal(cm_buf_str(&b), want);
	cm_buf_free(&b);
	cm_import_free(&i);
	cm_trace_free(&t);
}

static void
entries(void **state)
{
	static const char *const domains[] = { "x.org", "ad.org", NULL };
	static const struct { struct cm_ipa_rule rule; const char *want; } rows[] = {
		{ { .name = "r", .enabled = "TRUE", .match = "<ISSUER>^CN=x$", .map = "LDAPU1:(a={sid})", .priority = "7", .domains = domains },
		  "r [" DN "] <ISSUER>^CN=x$ LDAPU1:(a={sid}) x.org ad.org 7" },
		/* what it lacks is as in sss-certmap(5); a rule without a domain is for the server's own */
		{ { .name = "r", .enabled = "true" }, "r [" DN "] KRB5:<KU>digitalSignature<EKU>clientAuth "
		  "LDAP:(userCertificate;binary={cert!bin}) x.org" },
		{ { .name = "r", .enabled = "TRUE", .map = "(a:b:=KRB5:{cert})", .priority = "4294967295" },
		  "r [" DN "] KRB5:<KU>digitalSignature<EKU>clientAuth LDAP:(a:b:=KRB5:{cert}) x.org" },
		/* not in force there, not in force here */
		{ { .name = "r", .enabled = "FALSE", .match = "x" }, DN ": is not enabled (ipaEnabledFlag): left out" },
		{ { .name = "r" }, DN ": is not enabled (ipaEnabledFlag): left out" },
		/* mistakes */
		{ { .name = "r", .enabled = "TRUE", .priority = "-1" }, DN ": ipaCertMapPriority is \"-1\"; write a number from 0 to 4294967295" },
		{ { .name = "r", .enabled = "TRUE", .priority = "4294967296" }, DN ": ipaCertMapPriority is \"4294967296\"; write a number from 0 to 4294967295" },
		{ { .name = "r", .enabled = "TRUE", .map = "KRB5:x" }, DN ": ipaCertMapMapRule begins with a kind that is not known; write LDAP: or LDAPU1:" },
		{ { .enabled = "TRUE" }, DN ": the entry has no cn; give it one" },
	};

	(void)state;
	for (size_t k = 0; k < CM_COUNT(rows); k++) {
		struct cm_ipa_rule r = rows[k].rule;

		r.dn = DN;
		expect(&r, rows[k].want);
	}
}

/* A directory may show an entry twice; two entries of one name are two rules. */
static void
shown_twice(void **state)
{
	struct cm_ipa_rule r = { .dn = DN, .name = "r", .enabled = "TRUE" };
	struct cm_import *i = NULL;

	(void)state;
	assert_int_equal(cm_import_new("ldap://x", "FreeIPA", &i), CM_OK);
	assert_int_equal(cm_import_freeipa_rule(i, &r, NULL, NULL), CM_OK);
	assert_int_equal(cm_import_freeipa_rule(i, &r, NULL, NULL), CM_OK);
	assert_int_equal(i->rule_count, 1);
	r.dn = "cn=r,cn=other";
	assert_int_equal(cm_import_freeipa_rule(i, &r, NULL, NULL), CM_OK);
	assert_int_equal(i->rule_count, 2);
	assert_string_equal(i->rules[1].name, "r (2)");
	cm_import_free(&i);
}

static void
places(void **state)
{
	static const struct { const char *base, *rules, *domain; } rows[] = {
		{ "dc=x,dc=org", "cn=certmap,dc=x,dc=org", "x.org" },
		{ "cn=accounts,dc=x,dc=org", "cn=certmap,dc=x,dc=org", "x.org" },
		{ "ou=a,dc=no,ou=b, DC=X, dc=Org", "cn=certmap,DC=X, dc=Org", "X.Org" },
		{ "dc=org", "cn=certmap,dc=org", "org" },
		{ "o=x", "cn=certmap,o=x", "" },
		{ "dc=x,o=y", "cn=certmap,dc=x,o=y", "" },
		{ "", "cn=certmap,", "" },
	};

	(void)state;
	for (size_t k = 0; k < CM_COUNT(rows); k++) {
		struct cm_buf b = { 0 };

		cm_freeipa_base(rows[k].base, &b);
		assert_string_equal(cm_buf_str(&b), rows[k].rules);
		cm_buf_truncate(&b, 0);
		cm_freeipa_domain(rows[k].base, &b);
		assert_string_equal(cm_buf_str(&b), rows[k].domain);
		cm_buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries),
		cmocka_unit_test(shown_twice),
		cmocka_unit_test(places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
