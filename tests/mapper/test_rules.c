/* tests/mapper/test_rules.c - rules as they are written: which hold, in what order, and what is wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "make_cert.h"
#include "mapper/rules_internal.h"

#define B(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }
/* What a row says stands behind what all have. */
#pragma GCC diagnostic ignored "-Woverride-init"

/* A rule of cardmap.conf; its texts are constants here. */
#define T(s)	(char *)(uintptr_t)(s)
#define RULE(n, ...)	{ .name = T(n), .origin = T("c.conf:7"), .attribute = T("x"), \
	.value = T("{common_name}"), .priority = CM_RULE_PRIORITY_LAST, __VA_ARGS__ }
#define FILTER(n, f, ...)	{ .name = T(n), .origin = T("c.conf:7"), .filter = T(f), \
	.priority = CM_RULE_PRIORITY_LAST, __VA_ARGS__ }

static const struct cert_spec alice = { .upn = B("alice@Example.Test"), .mail = B("a@x.test") };
static const struct cm_rules_options plain = { .domain = NULL };

static struct cm_trace *
new_trace(void)
{
	struct cm_trace *t = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "map");
	return t;
}

static struct cm_rules *
compile(const struct cm_rules_options *o, const struct cm_conf_rule *rules, size_t count)
{
	struct cm_trace *t = new_trace();
	struct cm_rules *r = NULL;

	assert_int_equal(cm_rules_new(o, &r), CM_OK);
	if (cm_rules_add(r, rules, count, t) != CM_OK)
		fail_msg("%s", cm_trace_message(t));
	cm_trace_free(&t);
	return r;
}

/* The rules whose values are asked for, joined by spaces; "" when none applies. */
static void
expect_who(const struct cm_rules *r, const struct cert_spec *spec, const char *want)
{
	struct cm_cert *c = make_cert(spec);
	struct cm_trace *t = new_trace();
	struct cm_query *q = NULL, *again = NULL;
	struct cm_buf b;

	cm_buf_init(&b, 0);
	assert_int_equal(cm_rules_map(r, c, NULL, &q), want[0] != '\0' ? CM_OK : CM_ERR_ABSENT);
	for (size_t i = 0; q != NULL && i < q->count; i++)
		cm_buf_addf(&b, "%s%s", i > 0 ? " " : "", q->terms[i].rule);
	assert_string_equal(cm_buf_str(&b), want);
	/* the answer for people is the same */
	assert_int_equal(cm_rules_explain(r, c, t, &again), want[0] != '\0' ? CM_OK : CM_ERR_ABSENT);
	assert_int_equal(again != NULL ? again->count : 0, q != NULL ? q->count : 0);
	cm_buf_free(&b);
	cm_query_free(&q);
	cm_query_free(&again);
	cm_trace_free(&t);
	cm_cert_free(&c);
}

/* Of the rules that apply, the ones with the lowest number, all of them, in the order of the file. */
static void
priorities(void **state)
{
	static const struct cm_conf_rule rules[] = {
		RULE("last"),
		RULE("two-b", .priority = 2),
		RULE("one, for mail", .value = T("{rfc822_name}"), .priority = 1),
		RULE("two-a", .priority = 2),
		RULE("zero, for others", .issuer = T("CN=other"), .priority = 0),
		RULE("highest", .priority = CM_RULE_PRIORITY_LAST - 1),
	};
	static const struct part nobody[] = { P("O", "x"), { .oid = NULL } };
	struct cm_rules *r = compile(&plain, rules, CM_COUNT(rules));

	(void)state;
	assert_int_equal(r->count, CM_COUNT(rules));
	expect_who(r, &alice, "one, for mail");
	expect_who(r, &(struct cert_spec){ .serial = "01" }, "two-b two-a");
	expect_who(r, &(struct cert_spec){ .subject = nobody }, "");
	cm_rules_free(&r);
	/* what is added later comes later, but its priority counts */
	r = compile(&plain, rules, 2);
	assert_int_equal(cm_rules_add(r, &rules[3], 1, NULL), CM_OK);
	expect_who(r, &alice, "two-b two-a");
	assert_int_equal(cm_rules_add(r, &rules[2], 1, NULL), CM_OK);
	expect_who(r, &alice, "one, for mail");
	cm_rules_free(&r);
	/* not given, and the number that stands for it, are one class */
	r = compile(&plain, rules, 1);
	assert_int_equal(cm_rules_add_forms(r, NULL), CM_OK);
	expect_who(r, &(struct cert_spec){ .serial = "01" }, "last issuer-serial sha1-pukey sha1-pukey-spki "
	    "sha1-pukey-thumbprint issuer-subject subject tokenidentity pubkeyhash");
	cm_rules_free(&r);
}

static void
domains(void **state)
{
	static char *const here[] = { T("a.test"), T("Example.Test"), NULL }, *const there[] = { T("b.test"), NULL };
	static char *const nowhere[] = { NULL };
	static const struct cm_conf_rule rules[] = {
		RULE("here", .domains = (char **)here), RULE("there", .domains = (char **)there),
		RULE("any"), RULE("empty", .domains = (char **)nowhere),
	};
	const struct cm_rules_options o = { .domain = "example.TEST" };
	struct cm_rules *r = compile(&o, rules, CM_COUNT(rules));
	struct cm_cert *c = make_cert(&alice);
	struct cm_trace *t = new_trace();
	struct cm_query *q = NULL;

	(void)state;
	expect_who(r, &alice, "here any empty");
	cm_rules_free(&r);
	r = compile(&plain, rules, CM_COUNT(rules));
	expect_who(r, &alice, "any empty");
	cm_rules_free(&r);
	r = compile(&plain, rules, 2);
	assert_int_equal(cm_rules_map(r, c, t, &q), CM_ERR_ABSENT);
	assert_non_null(strstr(cm_trace_message(t), "2 rules do not hold on this computer"));
	assert_int_equal(cm_rules_explain(r, c, t, &q), CM_ERR_ABSENT);
	assert_string_equal(cm_trace_find(t, "does not apply"),
	    "is for other domains: b.test; directory.domain is not set");
	cm_rules_free(&r);
	cm_trace_free(&t);
	cm_cert_free(&c);
}

/* features.md section 6: UPN of another realm. */
static void
attack_upn_of_another_realm(void **state)
{
	static const struct cm_conf_rule rules[] = { RULE("upn", .upn_suffix = T("example.test")) };
	static const struct cm_conf_rule with_at[] = { RULE("upn", .upn_suffix = T("@EXAMPLE.TEST")) };
	static const struct {
		struct cm_blob upn;
		bool applies;
	} rows[] = {
		{ B("alice@example.test"), true }, { B("alice@EXAMPLE.test"), true },
		{ B("alice@example.test.evil"), false }, { B("alice@sub.example.test"), false },
		{ B("alice@badexample.test"), false }, { B("example.test"), false },
		{ B("@example.test"), false }, { B("alice@evil\0@example.test"), false },
		{ B("alice"), false }, { B(""), false }, { { NULL, 0 }, false },
		/* whose short name is "alice", and whose realm? */
		{ B("alice@evil@example.test"), false },
	};
	struct cm_rules *r = compile(&plain, rules, 1), *at = compile(&plain, with_at, 1);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct cert_spec spec = { .upn = rows[i].upn };

		expect_who(r, &spec, rows[i].applies ? "upn" : "");
		expect_who(at, &spec, rows[i].applies ? "upn" : "");
	}
	cm_rules_free(&r);
	cm_rules_free(&at);
}

static void
issuers(void **state)
{
	static const struct part ca[] = { P("C", "DE"), P("O", "Ac, Me"), P("CN", "CA"), { .oid = NULL } };
	static const struct part umlaut[] = { P("CN", "M\xc3\xbcller"), { .oid = NULL } };
	static const struct part empty_value[] = { P("CN", ""), { .oid = NULL } };
	static const struct part joined[] = { P("O", "x"), P("CN", "y", .joined = true), { .oid = NULL } };
	static const struct part parted[] = { P("CN", "y"), P("O", "x"), { .oid = NULL } };
	static const struct cm_conf_rule rules[] = {
		RULE("given", .issuer = T("CN=CA,O=Ac\\, Me,C=DE")),
		RULE("matched", .match = T("<ISSUER>^CN=CA,O=Ac\\\\, Me,C=DE$")),
		RULE("both", .issuer = T("CN=CA,O=Ac\\, Me,C=DE"), .match = T("<SUBJECT>^CN=subject$")),
		RULE("both, but no", .issuer = T("CN=CA,O=Ac\\, Me,C=DE"), .match = T("<SUBJECT>^CN=other$")),
		RULE("umlaut", .issuer = T("CN=M\xc3\xbcller")),
		RULE("umlaut matched", .match = T("<ISSUER>^CN=M\\\\C3\\\\BCller$")),
		/* libsss_certmap writes both names as one; a name is exact */
		RULE("both of them", .match = T("<ISSUER>^O=x,CN=y$")),
		RULE("parted", .issuer = T("O=x,CN=y")),
		RULE("joined", .issuer = T("O=x+CN=y")), RULE("joined too", .issuer = T("CN=y+O=x")),
		RULE("empty", .issuer = T("CN=")),
		RULE("case", .issuer = T("cn=ca,O=Ac\\, Me,C=DE")),
		RULE("any"),
	};
	struct cm_rules *r = compile(&plain, rules, CM_COUNT(rules));

	(void)state;
	assert_int_equal(r->any_issuer_count, 1);
	expect_who(r, &(struct cert_spec){ .issuer = ca }, "given matched both any");
	expect_who(r, &(struct cert_spec){ .issuer = umlaut }, "umlaut umlaut matched any");
	expect_who(r, &(struct cert_spec){ .issuer = empty_value }, "empty any");
	expect_who(r, &(struct cert_spec){ .issuer = parted }, "both of them parted any");
	expect_who(r, &(struct cert_spec){ .issuer = joined }, "both of them joined too any");
	expect_who(r, &alice, "any");
	cm_rules_free(&r);
}

/* Many issuers: each certificate meets its own rules and no others, in order and by priority. */
static void
many_issuers(void **state)
{
	enum { COUNT = 1000 };
	struct cm_conf_rule *rules = calloc(2 * COUNT, sizeof(*rules));
	char names[COUNT][24], issuers_of[COUNT][24], want[64];
	struct cm_cert *c;
	struct cm_trace *t = new_trace();
	struct cm_query *q = NULL;
	struct cm_rules *r;

	(void)state;
	assert_non_null(rules);
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof(names[i]), "rule%zu", i);
		snprintf(issuers_of[i], sizeof(issuers_of[i]), "CN=CA %zu", i);
		rules[i] = rules[2 * COUNT - 1 - i] = (struct cm_conf_rule)RULE("", .issuer = issuers_of[i]);
		rules[i].name = names[i];
		rules[2 * COUNT - 1 - i].name = T("second");
		rules[2 * COUNT - 1 - i].priority = i % 2 == 0 ? 5 : CM_RULE_PRIORITY_LAST;
	}
	r = compile(&plain, rules, 2 * COUNT);
	for (size_t i = 0; i < COUNT; i += 333) {
		const struct part issuer[] = { P("CN", issuers_of[i] + 3), { .oid = NULL } };

		snprintf(want, sizeof(want), i % 2 == 0 ? "second" : "rule%zu second", i);
		expect_who(r, &(struct cert_spec){ .issuer = issuer }, want);
	}
	c = make_cert(&alice);
	assert_int_equal(cm_rules_map(r, c, t, &q), CM_ERR_ABSENT);
	assert_string_equal(cm_trace_find(t, "passed over"), "2000 rules are for other issuers");
	assert_null(cm_trace_find(t, "rule"));
	assert_non_null(strstr(cm_trace_message(t), "2000 rules are for other issuers than CN=issuer"));
	/* for people, one by one */
	assert_int_equal(cm_rules_explain(r, c, t, &q), CM_ERR_ABSENT);
	assert_in_range(cm_trace_stage(t, 0)->count, 4000, 4010);
	cm_cert_free(&c);
	cm_rules_free(&r);
	cm_trace_free(&t);
	free(rules);
}

/* Everybody's line stands in the trace of cm_rules_explain(), each with its why. */
static void
explained(void **state)
{
	static const struct cm_conf_rule rules[] = {
		RULE("mine", .priority = 1), RULE("theirs", .issuer = T("CN=other")),
		RULE("later"), RULE("no mail", .value = T("{rfc822_name}"), .priority = 0),
		RULE("no match", .match = T("<SUBJECT>^CN=bob$"), .priority = 0),
	};
	static const char *const want[] = {
		"does not apply: the certificate has no rfc822_name",
		"does not apply: its match part does not hold: <SUBJECT>^CN=bob$",
		"value: subject",
		"does not apply: is for the issuer CN=other",
		"does not apply: comes after rules that do: those have priority 1",
	};
	struct cm_rules *r = compile(&plain, rules, CM_COUNT(rules));
	struct cm_cert *c = make_cert(&(struct cert_spec){ .serial = "01" });
	struct cm_trace *t = new_trace();
	const struct cm_trace_stage *s;
	struct cm_query *q = NULL;
	size_t found = 0;

	(void)state;
	assert_int_equal(cm_rules_explain(r, c, t, &q), CM_OK);
	s = cm_trace_stage(t, 0);
	for (size_t i = 0; i < s->count; i++) {
		char text[256];

		if (strcmp(s->items[i].key, "rule") == 0 || strcmp(s->items[i].key, "weak") == 0)
			continue;
		snprintf(text, sizeof(text), "%s: %s", s->items[i].key, s->items[i].text);
		assert_in_range(found, 0, CM_COUNT(want) - 1);
		assert_string_equal(text, want[found++]);
	}
	assert_int_equal(found, CM_COUNT(want));
	cm_query_free(&q);
	/* for a login, one line says how many were passed over */
	assert_int_equal(cm_rules_map(r, c, t, &q), CM_OK);
	assert_string_equal(cm_trace_find(t, "passed over"), "1 rule comes after priority 1");
	cm_query_free(&q);
	cm_trace_free(&t);
	cm_cert_free(&c);
	cm_rules_free(&r);
}

/* sssd.conf(5), "files" provider: a rule for certain certificates may name the account of this computer. */
static void
a_user_by_name(void **state)
{
	static const struct cm_conf_rule rules[] = {
		FILTER("alice", "LDAP:(uid=alice)", .match = T("<SAN:rfc822Name>^a@x.test$"), .local = true),
		FILTER("bob", "LDAP:(uid=bob)", .match = T("<SAN:rfc822Name>^b@x.test$"), .local = true),
	};
	struct cm_rules *r = compile(&plain, rules, CM_COUNT(rules));
	struct cm_cert *c = make_cert(&alice);
	struct cm_query *q = NULL;

	(void)state;
	assert_int_equal(cm_rules_map(r, c, NULL, &q), CM_OK);
	assert_int_equal(q->count, 1);
	assert_true(q->terms[0].local);
	assert_int_equal(q->terms[0].strength, CM_WEAK);
	assert_int_equal(q->terms[0].value.len, 11);
	assert_memory_equal(q->terms[0].value.ptr, "(uid=alice)", 11);
	cm_query_free(&q);
	cm_cert_free(&c);
	cm_rules_free(&r);
}

static void
mistakes(void **state)
{
	static const struct {
		struct cm_conf_rule rule;
		const char *want;
	} rows[] = {
		{ RULE("a", .value = T("x{common_nam}")),
		    "c.conf:7: rule \"a\": value: column 3: unknown field \"common_nam\"" },
		{ RULE("a", .value = T("constant")), "rule \"a\": value: column 1: it names no field" },
		{ RULE("a", .value = T("constant"), .local = true), "rule \"a\": value: column 1: it names no field" },
		{ FILTER("a", "LDAP:(uid=a)", .match = T("<SUBJECT>a")), "rule \"a\": filter: column 6: it names no field" },
		{ RULE("a", .value = T("x"), .lines = { [CM_RULE_KEY_MATCH] = 8, [CM_RULE_KEY_VALUE] = 9 }),
		    "c.conf:9: rule \"a\": value: column 1" },
		{ RULE("a", .value = T("{cert")), "rule \"a\": value: column 1: this { has no }" },
		{ RULE("a", .value = NULL), "rule \"a\": attribute: has no value: add value" },
		{ RULE("a", .attribute = NULL), "rule \"a\": value: has no attribute: add attribute" },
		{ RULE("a", .attribute = NULL, .value = NULL), "rule \"a\": asks for nothing: add attribute and" },
		{ RULE("a", .attribute = T("a)(b=*")), "rule \"a\": attribute: \"a)(b=*\" is no LDAP attribute" },
		{ RULE("a", .attribute = T("")), "rule \"a\": attribute: \"\" is no LDAP attribute" },
		{ RULE(NULL), "rule \"\": it has no name" },
		{ RULE("a", .filter = T("(a={cert})")), "rule \"a\": filter: stands beside attribute or value" },
		{ RULE("a", .issuer = T("")), "rule \"a\": issuer: is empty" },
		{ RULE("a", .upn_suffix = T("@")), "rule \"a\": upn_suffix: is empty" },
		{ RULE("a", .match = T("<SUBJECT>a<KUU>b")), "rule \"a\": match: column " },
		{ RULE("a", .match = T("<SUBJECT>(")), "rule \"a\": match: column " },
		{ RULE("a", .match = T("<SUBJECT>(a)\\1")), "rule \"a\": match: column " },
		{ RULE("a", .map_file = T("/nonexistent/map")), "rule \"a\": map_file: " },
		{ FILTER("a", "LDAP:(a={serial_number})"), "rule \"a\": filter: column 10: unknown field" },
		{ FILTER("a", "LDAPU1:(a={common_name})"), "rule \"a\": filter: column 12: unknown field" },
		{ FILTER("a", "(a={common_name})", .ignore_case = true), "rule \"a\": ignore_case: is for a value" },
		{ FILTER("a", "(a={common_name})", .map_file = T("/x")), "rule \"a\": map_file: needs one value" },
		/* a user by name, whoever comes: only where the match part says whose certificate it is */
		{ FILTER("a", "LDAP:(uid=bob)", .match = T("<SUBJECT>^CN=Bob$")), "rule \"a\": filter: column 6: it names no" },
		{ FILTER("a", "LDAP:(uid=bob)", .local = true), "rule \"a\": filter: column 6: it names no field" },
		{ FILTER("a", "LDAP:(uid=bob)", .local = true, .match = T("<KU>digitalSignature<EKU>clientAuth")),
		    "rule \"a\": filter: column 6: it names no field" },
		{ FILTER("a", "LDAP:(uid=bob)", .local = true, .match = T("<ISSUER>^CN=CA$")),
		    "rule \"a\": filter: column 6: it names no field" },
		{ FILTER("a", "LDAP:(uid=bob)", .local = true, .match = T("||<SUBJECT>^CN=Bob$<EKU>clientAuth")),
		    "rule \"a\": filter: column 6: it names no field" },
		/* one filter among others: it must not end them or begin one of its own */
		{ FILTER("a", "a={common_name}"), "rule \"a\": filter: expected \"(\"" },
		{ FILTER("a", "(a={common_name}"), "rule \"a\": filter: expected \")\" at the end" },
		{ FILTER("a", "(a={common_name})(b=c)"), "rule \"a\": filter: something stands behind" },
		{ FILTER("a", "(a={common_name}))"), "rule \"a\": filter: something stands behind" },
		{ FILTER("a", "(|(a={common_name})"), "rule \"a\": filter: expected \"(\"" },
		{ FILTER("a", "(a=(b={common_name}))"), "rule \"a\": filter: a \"(\" in a value is written \\28" },
		{ FILTER("a", "({common_name}=a)"), "rule \"a\": filter: a field stands where the attribute does" },
		{ FILTER("a", "(={common_name})"), "rule \"a\": filter: an attribute's name is missing" },
		{ FILTER("a", "({common_name})"), "rule \"a\": filter: a field stands where the attribute does" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_trace *t = new_trace();
		struct cm_rules *r = NULL;

		assert_int_equal(cm_rules_new(&plain, &r), CM_OK);
		assert_int_equal(cm_rules_add(r, &rows[i].rule, 1, t), CM_ERR_CONFIG);
		assert_int_equal(cm_trace_reason(t), CM_REASON_CONFIG);
		if (strstr(cm_trace_message(t), rows[i].want) == NULL)
			fail_msg("\"%s\" lacks \"%s\"", cm_trace_message(t), rows[i].want);
		assert_string_equal(cm_trace_find(t, "mistake"), cm_trace_message(t));
		assert_int_equal(r->count, 0);
		cm_rules_free(&r);
		cm_trace_free(&t);
	}
}

/* Every mistake is told, the first is the message; skipped, the trace still says which rules are missing. */
static void
several_mistakes(void **state)
{
	static const struct cm_conf_rule rules[] = {
		RULE("good"), RULE("bad", .value = T("x"), .match = T("<SUBJECT>(")), RULE("worse", .attribute = T("")),
	};
	const struct cm_rules_options skip = { .skip_bad = true };
	struct cm_trace *t = new_trace();
	struct cm_rules *r = NULL;

	(void)state;
	assert_int_equal(cm_rules_new(&plain, &r), CM_OK);
	assert_int_equal(cm_rules_add(r, rules, CM_COUNT(rules), t), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "rule \"bad\""));
	assert_int_equal(cm_trace_stage(t, 0)->count, 3);
	assert_non_null(strstr(cm_trace_stage(t, 0)->items[0].text, "rule \"bad\": match: column "));
	assert_non_null(strstr(cm_trace_stage(t, 0)->items[1].text, "rule \"bad\": value: column 1"));
	assert_non_null(strstr(cm_trace_stage(t, 0)->items[2].text, "rule \"worse\""));
	cm_rules_free(&r);
	cm_trace_free(&t);
	t = new_trace();
	assert_int_equal(cm_rules_new(&skip, &r), CM_OK);
	assert_int_equal(cm_rules_add(r, rules, CM_COUNT(rules), t), CM_OK);
	assert_string_equal(cm_trace_stage(t, 0)->items[0].key, "left out");
	assert_non_null(strstr(cm_trace_stage(t, 0)->items[1].text, "c.conf:7: rule \"bad\": value: column 1"));
	assert_non_null(strstr(cm_trace_find(t, "left out"), "rule \"worse\""));
	assert_int_equal(r->count, 1);
	expect_who(r, &alice, "good");
	cm_rules_free(&r);
	/* alone and left out: nothing is left, and nothing takes its place */
	assert_int_equal(cm_rules_new(&skip, &r), CM_OK);
	assert_int_equal(cm_rules_add(r, &rules[1], 1, t), CM_OK);
	expect_who(r, &alice, "");
	cm_rules_free(&r);
	cm_trace_free(&t);
}

/* SmartCardServices(7), checkCertificateTrust 0: then anybody can sign a certificate with anybody's name. */
static void
attack_key_only(void **state)
{
	static const struct {
		struct cm_conf_rule rule;
		bool allowed;
	} rows[] = {
		{ RULE("a", .value = T("{public_key!sha1}")), true },
		{ RULE("a", .value = T("x:{spki!sha256}")), true },
		{ RULE("a", .value = T("{common_name}:{public_key!sha256}")), true },
		{ FILTER("a", "(&(a={public_key!sha1})(b={common_name}))"), true },
		{ FILTER("a", "(|(a={public_key!sha1})(b={spki!sha1}))"), true },
		{ RULE("a"), false },
		{ RULE("a", .value = T("{cert!sha256}")), false },
		{ RULE("a", .value = T("{subject_key_id!hex}")), false },
		{ RULE("a", .value = T("{sid}")), false },
		{ FILTER("a", "(|(a={public_key!sha1})(b={common_name}))"), false },
		{ FILTER("a", "(!(a={public_key!sha1}))"), false },
		{ FILTER("a", "(a>={public_key!sha1})"), false },
		{ FILTER("a", "(a=*{public_key!sha1}*)"), false },
		{ FILTER("a", "(&(b=*)(!(a={public_key!sha1})))"), false },
	};

	(void)state;
	for (size_t i = 0; i < 2 * CM_COUNT(rows); i++) {
		/* what would not compile may be skipped; this may not */
		const struct cm_rules_options o = { .key_only = true, .skip_bad = i % 2 == 1 };
		struct cm_trace *t = new_trace();
		struct cm_rules *r = NULL;

		assert_int_equal(cm_rules_new(&o, &r), CM_OK);
		if (cm_rules_add(r, &rows[i / 2].rule, 1, t) != (rows[i / 2].allowed ? CM_OK : CM_ERR_CONFIG))
			fail_msg("row %zu: %s", i / 2, cm_trace_message(t));
		if (!rows[i / 2].allowed)
			assert_non_null(strstr(cm_trace_message(t), "trust.level = off, and it binds by something else"));
		cm_rules_free(&r);
		cm_trace_free(&t);
	}
}

/* A SID in a SAN URI counts only where the CAs are listed (ESC: whoever may write the request writes the URI). */
static void
attack_sid_uri(void **state)
{
	static const struct ext uri[] = {
		/* tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-500, whose comma OpenSSL's configuration cannot say */
		{ "subjectAltName", "DER:303586337461673a6d6963726f736f66742e636f6d2c323032322d30392d3134"
		    "3a7369643a532d312d352d32312d312d322d332d353030" }, { .name = NULL },
	};
	static const struct cert_spec spec = { .extensions = uri };
	static const struct cm_conf_rule rules[] = { RULE("sid", .value = T("{sid_uri}")) };
	const struct cm_rules_options pinned = { .pinned = true };
	struct cm_rules *r = compile(&plain, rules, 1);

	(void)state;
	expect_who(r, &spec, "");
	cm_rules_free(&r);
	r = compile(&pinned, rules, 1);
	expect_who(r, &spec, "sid");
	cm_rules_free(&r);
}

/* Lower case, local accounts, filters: what each term carries. */
static void
terms(void **state)
{
	static const struct cm_conf_rule rules[] = {
		RULE("mail", .attribute = T("mail"), .value = T("{nt_principal_name}"), .ignore_case = true),
		RULE("gecos", .attribute = T("gecos"), .local = true),
		FILTER("ours", "(&(objectClass=x)(u={nt_principal_name}))"),
		FILTER("theirs", "LDAP:(u={subject_nt_principal.short_name})"),
	};
	struct cm_rules *r = compile(&plain, rules, CM_COUNT(rules));
	struct cm_cert *c = make_cert(&alice);
	struct cm_query *q = NULL;
	struct cm_buf b;

	(void)state;
	assert_int_equal(cm_rules_map(r, c, NULL, &q), CM_OK);
	assert_int_equal(q->count, 4);
	assert_false(q->terms[0].local);
	assert_true(q->terms[1].local);
	assert_null(q->terms[2].attribute);
	cm_buf_init(&b, 0);
	cm_query_filter(q, &b);
	assert_string_equal(cm_buf_str(&b), "(|(mail=alice@example.test)(gecos=subject)"
	    "(&(objectClass=x)(u=alice@Example.Test))(u=alice))");
	cm_buf_free(&b);
	cm_query_free(&q);
	cm_cert_free(&c);
	cm_rules_free(&r);
}

static void
expect_test(const char *match, const char *map, enum cm_rule_answer want, const char *text)
{
	static const struct ext usual[] = {
		{ "keyUsage", "digitalSignature" }, { "extendedKeyUsage", "clientAuth" }, { .name = NULL },
	};
	static const struct cert_spec spec = { .upn = B("a@B"), .extensions = usual };
	struct cm_cert *c = make_cert(&spec);
	enum cm_rule_answer answer;
	struct cm_buf b;

	cm_buf_init(&b, 0);
	assert_int_equal(cm_rules_test(match, map, c, &answer, &b),
	    strncmp(text, "ma", 2) == 0 ? CM_ERR_CONFIG : CM_OK);	/* "match: ", "map: " */
	assert_int_equal(answer, want);
	if (strncmp(cm_buf_str(&b), text, strlen(text)) != 0)
		fail_msg("\"%s\", wanted \"%s\"", cm_buf_str(&b), text);
	if (want == CM_RULE_NO_MATCH)
		assert_int_equal(b.len, 0);
	cm_buf_free(&b);
	cm_cert_free(&c);
}

/* sss-certmap(5): what is not given has that page's default. */
static void
one_rule_tested(void **state)
{
	(void)state;
	expect_test(NULL, NULL, CM_RULE_MATCH, "(userCertificate;binary=\\30\\82");
	expect_test(NULL, "(u={subject_nt_principal})", CM_RULE_MATCH, "(u=a@B)");
	expect_test(NULL, "LDAP:(u={subject_nt_principal})", CM_RULE_MATCH, "(u=a@B)");
	expect_test(NULL, "LDAPU1:(u={serial_number})", CM_RULE_MATCH, "(u=01)");
	expect_test("<SUBJECT>^CN=subject$", NULL, CM_RULE_MATCH, "(userCertificate;binary=");
	expect_test("KRB5:<SUBJECT>^CN=x$", NULL, CM_RULE_NO_MATCH, "");
	expect_test("<KU>keyEncipherment", NULL, CM_RULE_NO_MATCH, "");
	expect_test("<NONE>", NULL, CM_RULE_ERROR, "match: column ");
	expect_test(NULL, "(u={serial_number})", CM_RULE_ERROR, "map: column ");
	expect_test(NULL, "(u={subject_rfc822_name})", CM_RULE_ERROR, "the certificate has no subject_rfc822_name");
	expect_test("<KU>keyEncipherment", "(u={subject_rfc822_name})", CM_RULE_NO_MATCH, "");
	expect_test(NULL, "LDAPU2:(u={cert})", CM_RULE_ERROR, "map: unknown type");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(priorities),
		cmocka_unit_test(domains),
		cmocka_unit_test(attack_upn_of_another_realm),
		cmocka_unit_test(issuers),
		cmocka_unit_test(many_issuers),
		cmocka_unit_test(explained),
		cmocka_unit_test(a_user_by_name),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(several_mistakes),
		cmocka_unit_test(attack_key_only),
		cmocka_unit_test(attack_sid_uri),
		cmocka_unit_test(terms),
		cmocka_unit_test(one_rule_tested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
