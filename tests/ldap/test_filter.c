/* tests/ldap/test_filter.c - search filters (RFC 4515): what is one, and what holds for an entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ldap/directory_internal.h"

static struct cm_filter *
parse(const char *text)
{
	struct cm_filter_mistake m = { 0, NULL };
	struct cm_filter *f = NULL;

	if (cm_filter_parse(cm_blob_str(text), &m, &f) != CM_OK)
		fail_msg("%s: column %zu: %s", text, m.column, m.what);
	return f;
}

static const struct {
	const char *text;
	size_t column;
	const char *what;
} mistakes[] = {
	{ "", 1, "no filter" },
	{ "uid=alice", 1, "\"(\" was expected" },
	{ "(uid=alice", 11, "the end" },
	{ "(uid=alice))", 12, "behind the filter's end" },
	{ "(uid=alice)(uid=bob)", 12, "behind the filter's end" },
	{ "(uid=alice)x", 12, "behind the filter's end" },
	{ "(uid)", 5, "no \"=\"" },
	{ "(uid>alice)", 5, "no \"=\"" },
	{ "(=alice)", 2, "no attribute name" },
	{ "(u id=alice)", 3, "no \"=\"" },
	{ "(-uid=alice)", 2, "no attribute name" },
	{ "(cn;=alice)", 4, "behind the attribute name" },
	{ "(cn;;lang-de=alice)", 4, "behind the attribute name" },
	{ "(u\xC3\xAD" "d=alice)", 3, "no \"=\"" },
	{ "((uid=alice))", 2, "no attribute name" },
	{ "(uid=a(b)", 7, "write \\28" },
	{ "(uid=\\2)", 6, "write \\5c" },
	{ "(uid=\\)", 6, "write \\5c" },
	{ "(uid=a\\zz)", 7, "write \\5c" },
	{ "(uid=a**b)", 8, "write one" },
	{ "(uid=**)", 7, "write one" },
	{ "(uid>=a*)", 8, "write \\2a" },
	{ "(uid~=*)", 7, "write \\2a" },
	{ "(uid:=*)", 7, "write \\2a" },
	{ "(&)", 3, "nothing in the list" },
	{ "(|)", 3, "nothing in the list" },
	{ "(!)", 3, "nothing in the list" },
	{ "(&uid=a)", 3, "nothing in the list" },
	{ "(!(uid=a)(uid=b))", 17, "one part" },
	{ "(!(uid=a) )", 10, "\")\" was expected" },
	{ "(&(uid=a)", 10, "\")\" was expected" },
	{ "(&(uid=a)x)", 10, "\")\" was expected" },
	{ "(&(uid=a)(b))", 12, "no \"=\"" },
	{ "(:=a)", 3, "neither attribute nor" },
	{ "(:dn:=a)", 6, "neither attribute nor" },
	{ "(uid:dn=a)", 8, "no \":=\"" },
	{ "(uid:1.2.3=a)", 11, "no \":=\"" },
	{ "(uid: =a)", 6, "no matching rule" },
	{ "(uid::=a)", 6, "no matching rule" },
};

static void
a_mistake_is_told_by_its_column(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(mistakes); i++) {
		struct cm_filter_mistake m = { 0, "" };
		struct cm_filter *f = NULL;

		if (cm_filter_parse(cm_blob_str(mistakes[i].text), &m, &f) != CM_ERR_SYNTAX)
			fail_msg("%s: is taken", mistakes[i].text);
		assert_null(f);
		if (m.column != mistakes[i].column || strstr(m.what, mistakes[i].what) == NULL)
			fail_msg("%s: column %zu: %s", mistakes[i].text, m.column, m.what);
	}
}

static void
expect_mistake(struct cm_blob text, size_t column, const char *what)
{
	struct cm_filter_mistake m = { 0, "" };
	struct cm_filter *f = NULL;

	assert_int_equal(cm_filter_parse(text, &m, &f), CM_ERR_SYNTAX);
	assert_int_equal(m.column, column);
	if (strstr(m.what, what) == NULL)
		fail_msg("%s", m.what);
}

static void
repeat(struct cm_buf *b, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cm_buf_add_str(b, text);
}

static void
size_and_depth_have_an_end(void **state)
{
	static const uint8_t nul[] = "(uid=al\0ice)";
	struct cm_filter_mistake m;
	struct cm_filter *f = NULL;
	struct cm_buf b = { 0 };

	(void)state;
	expect_mistake((struct cm_blob){ nul, sizeof(nul) - 1 }, 8, "NUL");
	repeat(&b, "(!", CM_FILTER_DEPTH - 1);
	cm_buf_add_str(&b, "(a=b)");
	repeat(&b, ")", CM_FILTER_DEPTH - 1);
	assert_int_equal(cm_filter_parse(cm_buf_blob(&b), &m, &f), CM_OK);
	cm_filter_free(&f);
	cm_buf_truncate(&b, 0);
	repeat(&b, "(!", 100000 / 4);
	expect_mistake(cm_buf_blob(&b), 2 * CM_FILTER_DEPTH + 1, "inside of each other");
	cm_buf_truncate(&b, 0);
	cm_buf_add_str(&b, "(|");
	repeat(&b, "(a=b)", CM_FILTER_NODES - 1);
	cm_buf_add_str(&b, ")");
	assert_int_equal(cm_filter_parse(cm_buf_blob(&b), &m, &f), CM_OK);
	cm_filter_free(&f);
	cm_buf_truncate(&b, b.len - 1);
	cm_buf_add_str(&b, "(a=b))");
	expect_mistake(cm_buf_blob(&b), 2 + 5 * (CM_FILTER_NODES - 1) + 1, "too many parts");
	cm_buf_truncate(&b, 0);
	repeat(&b, "(a=", 1);
	repeat(&b, "*b", 257);
	cm_buf_add_str(&b, ")");
	expect_mistake(cm_buf_blob(&b), 1, "too many \"*\"");
	cm_buf_truncate(&b, 0);
	repeat(&b, "x", CM_FILTER_MAX + 1);
	expect_mistake(cm_buf_blob(&b), 1, "too long");
	cm_buf_free(&b);
}

#define V(attribute, value)	{ { (const uint8_t *)(attribute), sizeof(attribute) - 1 }, \
	{ (const uint8_t *)(value), sizeof(value) - 1 } }

static const struct cm_value values[] = {
	V("objectClass", "inetOrgPerson"), V("uid", "alice"), V("cn", "Alice  B. Example"), V("cn", "A*(x)\\"),
	V("mail;x-work", "Alice@cardmap.test"), V("uidNumber", "10001"), V("userAccountControl", "66048"),
	V("groupType", "-2147483646"), V("userCertificate;binary", "\x30\x03\x02\x01\x41"),
	V("memberOf", "cn=vpn,ou=groups,dc=test"), V("bytes", "a\0b"), V("description", ""),
};
static const struct cm_entry entry = {
	.dn = { (const uint8_t *)"uid=alice,dc=test", 17 }, .values = values, .count = CM_COUNT(values),
};

/* T, F, H (hidden), U (only the server knows): on a server's entry, and on a file's. */
static const struct {
	const char *text;
	const char *server, *file;
} judgements[] = {
	/* equality, as the attribute compares */
	{ "(uid=alice)", "T", "T" },
	{ "(UID=ALICE)", "T", "T" },
	{ "(uid= alice )", "T", "T" },
	{ "(uid=alic)", "F", "F" },
	{ "(uid=)", "F", "F" },
	{ "(uid=alice\\00)", "F", "F" },
	{ "(bytes=a\\00b)", "T", "T" },
	{ "(bytes=a)", "F", "F" },
	{ "(cn=alice b. example)", "T", "T" },
	{ "(cn=a\\2a\\28x\\29\\5c)", "T", "T" },
	{ "(mail=alice@cardmap.test)", "T", "T" },
	{ "(mail;x-work=alice@cardmap.test)", "T", "T" },
	{ "(mail;x-home=alice@cardmap.test)", "H", "F" },
	{ "(userCertificate;binary=\\30\\03\\02\\01\\41)", "T", "T" },
	{ "(userCertificate=\\30\\03\\02\\01\\41)", "T", "T" },
	{ "(userCertificate;binary=\\30\\03\\02\\01\\61)", "F", "F" },	/* "a" for "A": bytes have no case */
	{ "(userCertificate={ serialNumber 5 })", "U", "F" },		/* RFC 4523's other way to name one */
	{ "(uid={ serialNumber 5 })", "F", "F" },
	{ "(nosuch=x)", "H", "F" },
	{ "(description=)", "F", "F" },
	/* what may be equal though it looks different */
	{ "(objectClass=inetOrgPerson)", "T", "T" },
	{ "(objectClass=person)", "U", "F" },
	{ "(memberOf=CN=VPN, OU=Groups, DC=test)", "U", "F" },
	/* presence */
	{ "(uid=*)", "T", "T" },
	{ "(description=*)", "T", "T" },
	{ "(nosuch=*)", "H", "F" },
	/* substrings */
	{ "(uid=al*)", "T", "T" },
	{ "(uid=AL*)", "T", "T" },
	{ "(uid=*ice)", "T", "T" },
	{ "(uid=*lic*)", "T", "T" },
	{ "(uid=a*i*e)", "T", "T" },
	{ "(uid=a*l*i*c*e)", "T", "T" },
	{ "(uid=al*lice)", "F", "F" },	/* no byte is used twice */
	{ "(uid=*x*)", "F", "F" },
	{ "(uid=alice*alice)", "F", "F" },
	{ "(uid=*e*e)", "F", "F" },
	{ "(uid=lice*)", "F", "F" },
	{ "(uid=*alic)", "F", "F" },
	{ "(cn=alice b*ample)", "T", "T" },
	{ "(cn=*  B. *)", "T", "T" },
	{ "(cn=a\\2a*)", "T", "T" },
	{ "(cn=*\\2a*\\29\\5c)", "T", "T" },
	{ "(userCertificate=\\30*\\41)", "T", "T" },
	{ "(userCertificate=\\30*\\61)", "F", "F" },
	{ "(nosuch=a*)", "H", "F" },
	/* order: numbers here, all else is the server's schema's */
	{ "(uidNumber>=10001)", "T", "T" },
	{ "(uidNumber>=10002)", "F", "F" },
	{ "(uidNumber>=9)", "T", "T" },
	{ "(uidNumber<=9)", "F", "F" },
	{ "(uidNumber<=10001)", "T", "T" },
	{ "(groupType<=-1)", "T", "T" },
	{ "(uid>=a)", "U", "F" },
	{ "(uidNumber>=99999999999999999999)", "U", "F" },
	{ "(uid~=alice)", "T", "T" },
	{ "(uid~=alyce)", "U", "F" },
	/* extensible: MS-ADTS 3.1.1.3.4.4 */
	{ "(userAccountControl:1.2.840.113556.1.4.803:=512)", "T", "T" },
	{ "(userAccountControl:1.2.840.113556.1.4.803:=2)", "F", "F" },
	{ "(userAccountControl:1.2.840.113556.1.4.803:=514)", "F", "F" },
	{ "(userAccountControl:1.2.840.113556.1.4.804:=514)", "T", "T" },
	{ "(userAccountControl:1.2.840.113556.1.4.804:=2)", "F", "F" },
	{ "(groupType:1.2.840.113556.1.4.803:=2147483648)", "T", "T" },
	{ "(groupType:1.2.840.113556.1.4.803:=2147483650)", "T", "T" },
	{ "(uid:1.2.840.113556.1.4.803:=2)", "F", "F" },
	{ "(uid:caseExactMatch:=alice)", "T", "T" },
	{ "(uid:2.5.13.5:=Alice)", "F", "F" },
	{ "(uid:caseIgnoreMatch:=Alice)", "T", "T" },
	{ "(uid:=Alice)", "T", "T" },
	{ "(uid:caseExactMatch:=)", "F", "F" },
	{ "(uidNumber:integerMatch:=10001)", "T", "T" },
	{ "(memberOf:1.2.840.113556.1.4.1941:=cn=vpn)", "U", "U" },
	{ "(uid:dn:=alice)", "U", "U" },
	{ "(:caseExactMatch:=alice)", "U", "U" },
	{ "(ou:dn:caseIgnoreMatch:=people)", "U", "U" },
	{ "(nosuch:1.2.840.113556.1.4.803:=2)", "H", "F" },
	/* and: the least; or: the greatest; spaces between parts */
	{ "(&(uid=alice)(uidNumber=10001))", "T", "T" },
	{ " ( & (uid=alice)\n\t(uidNumber=10001) ) ", "T", "T" },
	{ "(&(uid=alice)(uidNumber=1))", "F", "F" },
	{ "(&(uid=alice)(nosuch=x))", "H", "F" },
	{ "(&(uid=bob)(nosuch=x))", "F", "F" },
	{ "(&(uid=alice)(objectClass=person))", "U", "F" },
	{ "(&(nosuch=x)(objectClass=person))", "H", "F" },
	{ "(|(uid=bob)(uidNumber=10001))", "T", "T" },
	{ "(|(nosuch=x)(uidNumber=10001))", "T", "T" },
	{ "(|(nosuch=x)(uid=bob))", "H", "F" },
	{ "(|(uid=bob)(cn=bob))", "F", "F" },
	/* not: of what is not shown, nothing is known */
	{ "(!(uid=bob))", "T", "T" },
	{ "(!(uid=alice))", "F", "F" },
	{ "(!(nosuch=x))", "U", "T" },
	{ "(!(nosuch=*))", "U", "T" },
	{ "(!(objectClass=person))", "U", "T" },
	{ "(!(!(nosuch=x)))", "U", "F" },
	{ "(&(uid=alice)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))", "T", "T" },
	{ "(&(uid=alice)(!(nsAccountLock=TRUE)))", "U", "T" },
	{ "(&(uid=alice)(|(uid=bob)(&(cn=*)(!(mail=x)))))", "T", "T" },
	{ "(!(|(uid=bob)(nosuch=x)))", "U", "T" },
};

static char
letter(enum cm_judgement j)
{
	static const char letters[] = {
		[CM_JUDGED_FALSE] = 'F', [CM_JUDGED_HIDDEN] = 'H', [CM_JUDGED_UNKNOWN] = 'U', [CM_JUDGED_TRUE] = 'T',
	};

	return letters[j];
}

static void
three_values_and_who_knows(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(judgements); i++) {
		struct cm_filter *f = parse(judgements[i].text);
		const struct cm_filter_node *part;
		enum cm_judgement j;

		for (int file = 0; file < 2; file++) {
			const char *wanted = file ? judgements[i].file : judgements[i].server;

			assert_int_equal(cm_filter_judge(f, &entry, file, &j, &part), CM_OK);
			if (letter(j) != *wanted)
				fail_msg("%s: %c, not %s (%s)", judgements[i].text, letter(j), wanted,
				    file ? "file" : "server");
			assert_int_equal(part != NULL, j == CM_JUDGED_HIDDEN || j == CM_JUDGED_UNKNOWN);
		}
		cm_filter_free(&f);
	}
}

static void
the_part_that_decides_is_named(void **state)
{
	static const struct { const char *text, *part; } cases[] = {
		{ "(&(uid=alice)(nosuch=x)(other=y))", "(nosuch=x)" },
		{ "(&(objectClass=person)(uid=alice)(!(nsAccountLock=TRUE)))", "(objectClass=person)" },
		{ "( &(uid=alice) (! (nsAccountLock=TRUE)) )", "(! (nsAccountLock=TRUE))" },
		{ "(memberOf:1.2.840.113556.1.4.1941:=cn=\\28vpn\\29)", "(memberOf:1.2.840.113556.1.4.1941:=cn=\\28vpn\\29)" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_filter *f = parse(cases[i].text);
		const struct cm_filter_node *part = NULL;
		enum cm_judgement j;

		assert_int_equal(cm_filter_judge(f, &entry, false, &j, &part), CM_OK);
		assert_non_null(part);
		assert_int_equal(part->text.len, strlen(cases[i].part));
		assert_memory_equal(part->text.ptr, cases[i].part, part->text.len);
		cm_filter_free(&f);
	}
}

/* An index may be asked by it: it must hold wherever the filter holds. */
static void
an_anchor_holds_for_every_answer(void **state)
{
	static const struct { const char *text, *attribute; } cases[] = {
		{ "(uid=alice)", "uid" },
		{ "(&(objectClass=person)(uid=alice))", "uid" },
		{ "(&(objectClass=person)(&(cn=*)(mail=x)))", "mail" },
		{ "(&(objectClass=person)(cn=*))", "objectClass" },
		{ "(&(|(uid=alice)(uid=bob))(cn=x))", "cn" },
		{ "(|(uid=alice)(uid=bob))", NULL },
		{ "(!(uid=alice))", NULL },
		{ "(&(!(uid=alice))(cn=a*))", NULL },
		{ "(uid~=alice)", NULL },
		{ "(uid=)", NULL },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_filter *f = parse(cases[i].text);
		const struct cm_filter_node *n = cm_filter_anchor(f);

		if ((n == NULL) != (cases[i].attribute == NULL) ||
		    (n != NULL && strcmp(n->attribute, cases[i].attribute) != 0))
			fail_msg("%s: %s", cases[i].text, n != NULL ? n->attribute : "none");
		cm_filter_free(&f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mistake_is_told_by_its_column),
		cmocka_unit_test(size_and_depth_have_an_end),
		cmocka_unit_test(three_values_and_who_knows),
		cmocka_unit_test(the_part_that_decides_is_named),
		cmocka_unit_test(an_anchor_holds_for_every_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
