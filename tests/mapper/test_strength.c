/* tests/mapper/test_strength.c - what a rule's value is tied to, read from its template. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mapper/rules_internal.h"

#define T(s)	(char *)(uintptr_t)(s)
#define RULE(n, v)	{ .name = T(n), .attribute = T("x"), .value = T(v) }
#define FILTER(n, f)	{ .name = T(n), .filter = T(f) }

static struct cm_rules *
compile(const struct cm_conf_rule *rule)
{
	const struct cm_rules_options o = { .domain = NULL };
	struct cm_trace *t = NULL;
	struct cm_rules *r = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_int_equal(cm_rules_new(&o, &r), CM_OK);
	if (cm_rules_add(r, rule, 1, t) != CM_OK)
		fail_msg("%s", cm_trace_message(t));
	cm_trace_free(&t);
	return r;
}

/* KB5014754 */
static void
strengths(void **state)
{
	static const struct {
		struct cm_conf_rule rule;
		enum cm_strength want;
	} rows[] = {
		{ RULE("a", "{common_name}"), CM_WEAK },
		{ RULE("a", "{nt_principal_name}{rfc822_name}"), CM_WEAK },
		{ RULE("a", "{issuer_dn!pkca}"), CM_WEAK },
		{ RULE("a", "{serial_number!hex}"), CM_WEAK },
		{ RULE("a", "{issuer_dn!pkca}{subject_dn!pkca}"), CM_WEAK },
		{ RULE("a", "{issuer_dn_component.cn}{serial_number!hex}"), CM_WEAK },
		{ RULE("a", "{sid.rid}"), CM_WEAK },
		{ RULE("a", "{issuer_dn!pkca}{serial_number!hex_r}"), CM_STRONG },
		{ RULE("a", "{subject_key_id!hex}"), CM_STRONG },
		{ RULE("a", "{public_key!sha1}"), CM_STRONG },
		{ RULE("a", "{spki!sha1}"), CM_STRONG },
		{ RULE("a", "{cert!bin}"), CM_STRONG },
		{ RULE("a", "{cert!sha256_uc}"), CM_STRONG },
		{ RULE("a", "{sid}"), CM_STRONG },
		{ FILTER("a", "LDAP:(userCertificate;binary={cert!bin})"), CM_STRONG },
		{ FILTER("a", "LDAP:(ipacertmapdata=X509:<I>{issuer_dn!nss_x500}<S>{subject_dn!nss_x500})"), CM_WEAK },
		{ FILTER("a", "LDAP:(|(userPrincipal={subject_principal})(a={cert!bin}))"), CM_WEAK },
		{ FILTER("a", "LDAP:(|(a={cert!base64})(a={cert!bin}))"), CM_STRONG },
		{ FILTER("a", "(&(mail={rfc822_name})(a={cert!bin}))"), CM_STRONG },
		{ FILTER("a", "(&(i={issuer_dn})(s={serial_number}))"), CM_STRONG },
		{ FILTER("a", "(|(i={issuer_dn})(s={serial_number}))"), CM_WEAK },
		{ FILTER("a", "(| (a={cert!bin}) (& (i={issuer_dn}) (s={serial_number})) )"), CM_STRONG },
		{ FILTER("a", "(|(a={cert!bin})(b=*))"), CM_WEAK },
		{ FILTER("a", "(!(a={cert!bin}))"), CM_WEAK },
		{ FILTER("a", "(|(a={cert!bin})(&))"), CM_WEAK },
		{ FILTER("a", "(a=*{sid})"), CM_WEAK },
		{ FILTER("a", "(a<={sid})"), CM_WEAK },
		{ FILTER("a", "(a~={sid})"), CM_WEAK },
		{ FILTER("a", "(a:caseExactMatch:={sid})"), CM_STRONG },
		{ FILTER("a", "(a:2.5.13.5:={sid})"), CM_STRONG },
		{ FILTER("a", "(a:={sid})"), CM_STRONG },
		{ FILTER("a", "(a:caseIgnoreSubstringsMatch:={sid})"), CM_WEAK },
		{ FILTER("a", "(a:1.2.840.113556.1.4.804:={serial_number!dec}{issuer_dn})"), CM_WEAK },
		{ FILTER("a", "(a:dn:caseExactMatch:={sid})"), CM_WEAK },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_rules *r = compile(&rows[i].rule);

		if (r->rules[0].strength != rows[i].want)
			fail_msg("%s", r->rules[0].text);
		cm_rules_free(&r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
