/* tests/ldap/test_ldif.c - LDIF files (RFC 2849) as a directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ask.h"

static char path[] = "/tmp/cm_test_ldif.XXXXXX";
static char uri[sizeof(path) + 8];
static const char *const uris[] = { uri, NULL };
static const struct cm_directory_options options = {
	.uris = uris, .realm = "CARDMAP.TEST", .first_uid = 1000, .first_gid = 1000,
};

static int
make_file(void **state)
{
	const int fd = mkstemp(path);

	(void)state;
	snprintf(uri, sizeof(uri), "ldif:%s", path);
	return fd >= 0 ? close(fd) : -1;
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void
write_file(const char *text, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static struct cm_directory *
open_text(const char *text)
{
	write_file(text, strlen(text));
	return must_open(&options);
}

#define ALICE \
	"dn: uid=alice,ou=people,dc=test\n" \
	"objectClass: posixAccount\n" \
	"uid: alice\n" \
	"uidNumber: 10001\n" \
	"gidNumber: 10000\n" \
	"homeDirectory: /home/alice\n" \
	"loginShell: /bin/bash\n" \
	"gecos: Alice Example\n" \
	"altSecurityIdentities: Kerberos:alice@CARDMAP.TEST\n" \
	"mail: Alice@cardmap.test\n"
#define BOB \
	"dn: uid=bob,ou=people,dc=test\n" \
	"uid: bob\n" \
	"uidNumber: 10002\n" \
	"gidNumber: 10000\n" \
	"mail: team@cardmap.test\n"

/* Every way RFC 2849 has to write the same thing. */
static const struct form {
	const char *what, *text;
} forms[] = {
	{ "plain", ALICE },
	{ "version", "version: 1\n\n" ALICE },
	{ "version, then the record at once", "version: 1\n" ALICE },
	{ "comments", "# people\n#  and a folded\n  comment: x\nversion: 1\n\n# c\n" ALICE "# end" },
	{ "many empty lines", "\n\n\n" ALICE "\n\n\n" },
	{ "no newline at the end", "dn: uid=alice,dc=test\nuid: alice\nuidNumber: 10001\ngidNumber: 10000\n"
	    "mail: Alice@cardmap.test" },
	{ "no space after the colon", "dn:uid=alice,dc=test\nuid:alice\nuidNumber:10001\ngidNumber:10000\n"
	    "mail:Alice@cardmap.test\n" },
	{ "several spaces", "dn:   uid=alice,dc=test\nuid:  alice\nuidNumber: 10001\ngidNumber: 10000\n"
	    "mail:    Alice@cardmap.test\n" },
	{ "folded", "dn: uid=ali\n ce,dc=test\nuid: alice\nuidNumber: 10\n 0\n 01\ngidNumber: 10000\n"
	    "mail: Alice@\n cardmap\n .test\n" },
	{ "folded name", "dn: uid=alice,dc=test\nui\n d: alice\nuidNumber: 10001\ngidNumber: 10000\n"
	    "mail:\n  Alice@cardmap.test\n" },
	{ "CRLF", "version: 1\r\n\r\ndn: uid=alice,dc=test\r\nuid: alice\r\nuidNumber: 10001\r\n"
	    "gidNumber: 10000\r\nmail: Alice@\r\n cardmap.test\r\n\r\n" },
	{ "base64", "dn:: dWlkPWFsaWNlLGRjPXRlc3Q=\nuid:: YWxpY2U=\nuidNumber:: MTAwMDE=\n"
	    "gidNumber: 10000\nmail::   QWxpY2VAY2FyZG1hcC50ZXN0\n" },
	{ "folded base64", "dn: uid=alice,dc=test\nuid: alice\nuidNumber: 10001\ngidNumber: 10000\n"
	    "mail:: QWxpY2VA\n Y2FyZG1h\n cC50ZXN0\n" },
	{ "names in other case", "DN: uid=alice,dc=test\nUID: alice\nUIDNUMBER: 10001\ngidnumber: 10000\n"
	    "MAIL: alice@CARDMAP.test\n" },
	{ "an option", "dn: uid=alice,dc=test\nuid: alice\nuidNumber: 10001\ngidNumber: 10000\n"
	    "mail;x-work: Alice@cardmap.test\n" },
	{ "an export with operational attributes", ALICE "entryDN: uid=alice,ou=people,dc=test\n" },
};

static void
every_form_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(forms); i++) {
		struct cm_directory *d = open_text(forms[i].text);
		struct answer a = find(d, "mail", "alice@cardmap.test");

		if (a.err != CM_OK)
			fail_msg("%s: %s", forms[i].what, cm_trace_message(a.trace));
		assert_string_equal(a.account->name, "alice");
		assert_int_equal(a.account->uid, 10001);
		assert_string_equal(a.account->matched, "alice@cardmap.test");
		assert_string_equal(a.account->rule, "first");
		assert_string_equal(a.account->source, uri);
		assert_string_equal(a.account->principal, "alice@CARDMAP.TEST");
		answer_free(&a);
		cm_directory_close(&d);
	}
}

/* Each error names file and line; the number is that line. */
static const struct bad {
	unsigned line;
	const char *what, *text;
} bads[] = {
	{ 1, "begins with \"dn:\"", "uid: alice\n" },
	{ 1, "version 1", "version: 2\n\n" ALICE },
	{ 3, "begins with \"dn:\"", "version: 1\n\nversion: 1\n" },
	{ 1, "continues", " uid: alice\n" },
	{ 4, "continues", "version: 1\n\n\n x\n" },
	{ 2, "no colon", "dn: uid=a\nuid alice\n" },
	{ 2, "no colon", "dn: uid=a\nuid\n alice\n" },
	{ 2, "no attribute name", "dn: uid=a\nu id: alice\n" },
	{ 2, "no attribute name", "dn: uid=a\n: alice\n" },
	{ 2, "URLs", "dn: uid=a\njpegPhoto:< file:///etc/shadow\n" },
	{ 2, "base64", "dn: uid=a\ncn:: ====\n" },
	{ 2, "base64", "dn: uid=a\ncn:: QUJD=\n" },
	{ 2, "base64", "dn: uid=a\ncn:: QU JD\n" },
	{ 2, "base64", "dn: uid=a\ncn:: QR==\n" },
	{ 2, "base64", "dn: uid=a\ncn:: Q=JD\n" },
	{ 2, "needs base64", "dn: uid=a\ncn: Gr\xC3\xA4" "ce\n" },
	{ 2, "needs base64", "dn: uid=a\ncn: :x\n" },
	{ 2, "needs base64", "dn: uid=a\ncn: a\rb\n" },
	{ 2, "change record", "dn: uid=a\nchangetype: delete\n" },
	{ 2, "change record", "dn: uid=a\ncontrol: 1.2.3 true\nchangetype: add\n" },
	{ 3, "second dn", "dn: uid=a\ncn: a\ndn: uid=b\n" },
	{ 2, "nothing else", "dn: uid=a\n\n" },
	{ 1, "DN is empty", "dn:\ncn: a\n" },
	{ 1, "DN is empty", "dn:: AA==\ncn: a\n" },
	{ 12, "stands in line 1 already", ALICE "\ndn: UID=alice,ou=people,DC=test\ncn: a\n" },
	{ 14, "no colon", "# c\n# d\n  e\n" ALICE "broken\n" },
};

static void
errors_name_file_line_and_remedy(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(bads); i++) {
		char where[64];

		write_file(bads[i].text, strlen(bads[i].text));
		snprintf(where, sizeof(where), "%s:%u: ", path, bads[i].line);
		must_not_open(&options, CM_REASON_LDIF_MALFORMED, where);
		must_not_open(&options, CM_REASON_LDIF_MALFORMED, bads[i].what);
	}
}

static void
nul_in_a_line_is_refused(void **state)
{
	static const char text[] = "dn: uid=a\ncn: a\0b\n";

	(void)state;
	write_file(text, sizeof(text) - 1);
	must_not_open(&options, CM_REASON_LDIF_MALFORMED, ":2: ");
}

static void
an_empty_file_has_no_account(void **state)
{
	struct cm_directory *d = open_text("");
	struct answer a = find(d, "mail", "alice@cardmap.test");

	(void)state;
	expect(&a, CM_REASON_NO_ACCOUNT, "mail=alice@cardmap.test");
	cm_directory_close(&d);
}

static void
one_none_and_several(void **state)
{
	struct cm_directory *d = open_text(ALICE "\n" BOB "\n"
	    "dn: uid=carol,dc=test\nuid: carol\nuidNumber: 10003\ngidNumber: 10000\nmail: team@cardmap.test\n");
	struct answer a;
	struct ask q;

	(void)state;
	a = find(d, "altSecurityIdentities", "kerberos:ALICE@cardmap.test");
	assert_string_equal(a.account->name, "alice");
	assert_string_equal(a.account->home, "/home/alice");
	assert_string_equal(a.account->shell, "/bin/bash");
	assert_string_equal(a.account->gecos, "Alice Example");
	answer_free(&a);
	a = find(d, "mail", "nobody@cardmap.test");
	expect(&a, CM_REASON_NO_ACCOUNT, "mail=nobody@cardmap.test");
	a = find(d, "mail", "team@cardmap.test");
	expect(&a, CM_REASON_SEVERAL_ACCOUNTS, "several accounts for this card: "
	    "bob (uid=bob,ou=people,dc=test; rule first, weak); carol (uid=carol,dc=test; rule first, weak)");
	/* two values of one entry are one account; the first rule that hits is named */
	a = find_query(d, ask_for(&q, "altSecurityIdentities", "X509:nothing", "mail", "alice@cardmap.test"), 1000);
	assert_string_equal(a.account->rule, "second");
	answer_free(&a);
	a = find_query(d, ask_for(&q, "uid", "alice", "mail", "alice@cardmap.test"), 1000);
	assert_string_equal(a.account->rule, "first");
	answer_free(&a);
	/* one value each of two entries are two accounts */
	a = find_query(d, ask_for(&q, "uid", "alice", "uid", "bob"), 1000);
	expect(&a, CM_REASON_SEVERAL_ACCOUNTS, "uid=alice");
	cm_directory_close(&d);
}

/* Attack: LDAP filter injection.  Whatever a certificate holds is a value and nothing else. */
static void
injection_values_find_nobody(void **state)
{
	static const char *const values[] = {
		")(|(uid=*", "*", "alice*", "*)(uid=*))(|(uid=*", "alice\\2a", "\\2a", "(uid=alice)", "&", "",
		"alice)(uidNumber=0",
	};
	struct cm_directory *d = open_text(ALICE);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(values); i++) {
		struct answer a = find(d, "uid", values[i]);

		expect(&a, CM_REASON_NO_ACCOUNT, "no account");
	}
	cm_directory_close(&d);
}

/* As caseIgnoreMatch: ASCII case and insignificant spaces, nothing more. */
static void
values_are_compared_as_a_directory_does(void **state)
{
	static const struct { const char *value; bool found; } cases[] = {
		{ "X509:<I>DC=test,CN=A CA<SR>0a", true },
		{ "x509:<i>dc=TEST,cn=a ca<sr>0A", true },
		{ "  X509:<I>DC=test,CN=A  CA<SR>0a ", true },
		{ "X509:<I>DC=test,CN=ACA<SR>0a", false },
		{ "X509:<I>DC=test, CN=A CA<SR>0a", false },
		{ "X509:<I>DC=test,CN=A CA<SR>0a0", false },
		{ "X509:<I>DC=test,CN=A CA<SR>0", false },
	};
	struct cm_directory *d = open_text(ALICE "altSecurityIdentities: X509:<I>DC=test,CN=A CA<SR>0a\n");

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct answer a = find(d, "altSecurityIdentities", cases[i].value);

		assert_int_equal(a.err, cases[i].found ? CM_OK : CM_ERR_ABSENT);
		answer_free(&a);
	}
	cm_directory_close(&d);
}

static void
principals_are_compared_with_case(void **state)
{
	struct cm_directory *d = open_text(ALICE "krbPrincipalName: alice@CARDMAP.TEST\n");
	struct answer a = find(d, "krbPrincipalName", "Alice@CARDMAP.TEST");

	(void)state;
	expect(&a, CM_REASON_NO_ACCOUNT, "");
	a = find(d, "krbPrincipalName", "alice@CARDMAP.TEST");
	assert_int_equal(a.err, CM_OK);
	answer_free(&a);
	cm_directory_close(&d);
}

/* A value of the certificate that holds a NUL is not the value before it. */
static void
nul_in_a_value_is_not_its_end(void **state)
{
	static const uint8_t value[] = "alice\0x";
	struct cm_directory *d = open_text(ALICE);
	struct cm_query_term term = { .rule = "r", .attribute = "uid", .value = { value, sizeof(value) - 1 } };
	const struct cm_query q = { .terms = &term, .count = 1 };
	struct answer a = find_query(d, &q, 1000);

	(void)state;
	expect(&a, CM_REASON_NO_ACCOUNT, "uid=alice\\x00x");
	cm_directory_close(&d);
}

/* A certificate is no text for a message. */
static void
a_long_value_is_told_by_its_beginning(void **state)
{
	static const struct { const char *attribute, *text; } cases[] = {
		{ "userCertificate;binary", "userCertificate;binary=30303030303030303030303030303030... (1000 bytes)" },
		{ "uid", "0000... (1000 bytes)" },
	};
	struct cm_directory *d = open_text(ALICE);
	char value[1001];

	(void)state;
	memset(value, '0', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct answer a = find(d, cases[i].attribute, value);

		assert_in_range(strlen(cm_trace_message(a.trace)), 1, 400);
		expect(&a, CM_REASON_NO_ACCOUNT, cases[i].text);
	}
	cm_directory_close(&d);
}

/* What an entry may hold, and what becomes of it. */
static const struct entry_case {
	enum cm_reason reason;
	const char *text;	/* of the message */
	const char *lines;
} entry_cases[] = {
	{ CM_REASON_NONE, "", "uid: x\nuidNumber: 1000\ngidNumber: 1000\n" },
	{ CM_REASON_NONE, "", "sAMAccountName: x\nuidNumber: 1000\ngidNumber: 1000\nhomeDirectory: /h\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "uid is missing", "uidNumber: 1000\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "uidNumber is missing", "uid: x\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "gidNumber is missing", "uid: x\nuidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "uid has several", "uid: x\nuid: y\nuidNumber: 1000\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "uidNumber has several",
	    "uid: x\nuidNumber: 1000\nuidNumber: 0\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "uidNumber is not", "uid: x\nuidNumber: 01000\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "uidNumber is not", "uid: x\nuidNumber: -1\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "uidNumber is not", "uid: x\nuidNumber: +1000\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "uidNumber is not", "uid: x\nuidNumber: 1000 \ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "uidNumber is not", "uid: x\nuidNumber: 0x3e8\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "uidNumber is not", "uid: x\nuidNumber: 4294967296\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "uidNumber is not", "uid: x\nuidNumber: 2147483648\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "uidNumber is not", "uid: x\nuidNumber:: MTAwMAA=\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "NUL", "uid:: eABy\nuidNumber: 1000\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "home", "uid: x\nuidNumber: 1000\ngidNumber: 1000\nhomeDirectory: /a/../b\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "several",
	    "uid: x\nuidNumber: 1000\ngidNumber: 1000\nhomeDirectory: /a\nhomeDirectory: /b\n" },
	/* newline and a second passwd line, in base64 */
	{ CM_REASON_ACCOUNT_MALFORMED, "gecos", "uid: x\nuidNumber: 1000\ngidNumber: 1000\ngecos:: YQpyb290Ojp4\n" },
	{ CM_REASON_ACCOUNT_FORBIDDEN, "uid 0", "uid: x\nuidNumber: 0\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_FORBIDDEN, "uid 999", "uid: x\nuidNumber: 999\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_FORBIDDEN, "gid 0", "uid: x\nuidNumber: 1000\ngidNumber: 0\n" },
	{ CM_REASON_ACCOUNT_FORBIDDEN, "names itself root", "uid: root\nuidNumber: 1000\ngidNumber: 1000\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "principal",
	    "uid: x\nuidNumber: 1000\ngidNumber: 1000\nkrbPrincipalName: x\n" },
	{ CM_REASON_ACCOUNT_MALFORMED, "krbPrincipalName has several",
	    "uid: x\nuidNumber: 1000\ngidNumber: 1000\nkrbPrincipalName: y@CARDMAP.TEST\nkrbPrincipalName: z@CARDMAP.TEST\n" },
	{ CM_REASON_NONE, "x@CARDMAP.TEST",
	    "uid: x\nuidNumber: 1000\ngidNumber: 1000\nkrbPrincipalName: y@CARDMAP.TEST\nkrbPrincipalName: x@CARDMAP.TEST\n" },
	{ CM_REASON_NONE, "y@OTHER.TEST",
	    "uid: x\nuidNumber: 1000\ngidNumber: 1000\nkrbPrincipalName: y@OTHER.TEST\n" },
};

static void
entries_become_accounts_or_a_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(entry_cases); i++) {
		const struct entry_case *c = &entry_cases[i];
		char text[512];
		struct cm_directory *d;
		struct answer a;

		snprintf(text, sizeof(text), "dn: cn=entry,dc=test\nmail: m@cardmap.test\n%s", c->lines);
		d = open_text(text);
		a = find(d, "mail", "m@cardmap.test");
		if (a.err == CM_OK && c->reason == CM_REASON_NONE && c->text[0] != '\0')
			assert_string_equal(a.account->principal, c->text);
		expect(&a, c->reason, c->reason == CM_REASON_NONE ? "" : c->text);
		cm_directory_close(&d);
	}
}

static void
no_realm_no_principal(void **state)
{
	struct cm_directory_options o = options;
	struct cm_directory *d;
	struct answer a;

	(void)state;
	write_file(ALICE, strlen(ALICE));
	o.realm = NULL;
	d = must_open(&o);
	a = find(d, "uid", "alice");
	assert_string_equal(a.account->principal, "");
	answer_free(&a);
	cm_directory_close(&d);
}

#define GROUP(cn, gid, lines) \
	"\ndn: cn=" cn ",ou=groups,dc=test\nobjectClass: posixGroup\ncn: " cn "\ngidNumber: " gid "\n" lines

/* Attack: a directory group named sudo or disk, or gid 0. */
static void
groups_of_every_kind(void **state)
{
	struct cm_directory *d = open_text(ALICE
	    "memberOf: CN=nested,ou=groups,dc=test\nmemberOf: cn=plain,ou=groups,dc=test\n\n" BOB
	    GROUP("users", "10000", "")
	    GROUP("rfc2307", "10101", "memberUid: bob\nmemberUid: alice\n")
	    GROUP("bis", "10102", "member: UID=alice,ou=people,dc=test\n")
	    GROUP("nested", "10103", "member: cn=bis,ou=groups,dc=test\n")
	    GROUP("twice", "10104", "memberUid: alice\nmember: uid=alice,ou=people,dc=test\n")
	    GROUP("others", "10105", "memberUid: bob\nmemberUid: Alice\nmember: uid=bob,ou=people,dc=test\n")
	    GROUP("sudo", "10106", "memberUid: alice\n")
	    GROUP("disk", "10107", "memberUid: alice\n")
	    GROUP("wheel0", "0", "memberUid: alice\n")
	    GROUP("small", "27", "memberUid: alice\n")
	    GROUP("bad:name", "10108", "memberUid: alice\n")
	    GROUP("two", "10109", "cn: three\nmemberUid: alice\n")
	    "\ndn: cn=plain,ou=groups,dc=test\nobjectClass: groupOfNames\ncn: plain\n"
	    "member: uid=alice,ou=people,dc=test\n");
	struct answer a = find(d, "uid", "alice");

	(void)state;
	assert_int_equal(a.err, CM_OK);
	assert_string_equal(groups_of(a.account),
	    "bis(10102) nested(10103) rfc2307(10101) twice(10104) users(10000)");
	assert_true(trace_has(a.trace, "group dropped", "cn=sudo"));
	assert_true(trace_has(a.trace, "group dropped", "cn=disk"));
	assert_true(trace_has(a.trace, "group dropped", "cn=wheel0"));
	assert_true(trace_has(a.trace, "group dropped", "cn=small"));
	answer_free(&a);
	cm_directory_close(&d);
}

/* More than sixteen are not all named, and that is said. */
static size_t compared;

int __real_cm_value_compare(struct cm_blob a, struct cm_blob b);
int __wrap_cm_value_compare(struct cm_blob a, struct cm_blob b);

int
__wrap_cm_value_compare(struct cm_blob a, struct cm_blob b)
{
	compared++;
	return __real_cm_value_compare(a, b);
}

/* Indexed: a search, groups and all, looks at few of 8000 values that an account may be found by. */
static void
a_search_looks_at_few_values(void **state)
{
	struct cm_buf b = { 0 };
	struct cm_directory *d;
	struct answer a;

	(void)state;
	for (unsigned i = 0; i < 2000; i++)
		cm_buf_addf(&b, "dn: uid=u%u,dc=test\nuid: u%u\nuidNumber: %u\ngidNumber: %u\nmail: m%u@cardmap.test\n\n",
		    i, i, 1000 + i, 1000 + i, i);
	d = open_text(cm_buf_str(&b));
	assert_true(compared > 2000);	/* sorting them */
	compared = 0;
	a = find(d, "mail", "m1234@cardmap.test");
	assert_in_range(compared, 1, 200);
	assert_int_equal(a.account->uid, 2234);
	expect(&a, CM_REASON_NONE, "");
	cm_buf_free(&b);
	cm_directory_close(&d);
}

static void
very_many_accounts(void **state)
{
	struct cm_buf b = { 0 };
	struct cm_directory *d;
	struct answer a;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		cm_buf_addf(&b, "dn: uid=u%u,dc=test\nuid: u%u\nuidNumber: %u\ngidNumber: 1000\nmail: m@cardmap.test\n\n",
		    i, i, 1000 + i);
	d = open_text(cm_buf_str(&b));
	a = find(d, "mail", "m@cardmap.test");
	expect(&a, CM_REASON_SEVERAL_ACCOUNTS, "u15 (uid=u15,dc=test; rule first, weak); and more");
	cm_buf_free(&b);
	cm_directory_close(&d);
}

/* A list of accounts that others may write decides nothing. */
static void
the_file_must_be_ours(void **state)
{
	struct cm_directory_options o = options;
	static const char *const missing[] = { "ldif:/nonexistent/people.ldif", NULL };
	static const char *const strange[] = { "nis://server", NULL };
	static const char *const none[] = { NULL };

	(void)state;
	write_file(ALICE, strlen(ALICE));
	assert_int_equal(chmod(path, 0666), 0);
	must_not_open(&options, CM_REASON_CONFIG, path);
	assert_int_equal(chmod(path, 0600), 0);
	o.uris = missing;
	must_not_open(&o, CM_REASON_CONFIG, "/nonexistent/people.ldif");
	o.uris = strange;
	must_not_open(&o, CM_REASON_CONFIG, "nis://server");
	o.uris = none;
	must_not_open(&o, CM_REASON_CONFIG, "directory.uri");
}

/* The first source that answers decides, be it no. */
static void
the_first_answer_counts(void **state)
{
	static const char other[] = "/tmp/cm_test_ldif.other";
	static const char *const both[] = { uri, "ldif:/tmp/cm_test_ldif.other", NULL };
	struct cm_directory_options o = options;
	FILE *f = fopen(other, "w");
	struct cm_directory *d;
	struct answer a;

	(void)state;
	assert_non_null(f);
	fputs(BOB, f);
	fclose(f);
	write_file(ALICE, strlen(ALICE));
	o.uris = both;
	d = must_open(&o);
	a = find(d, "uid", "bob");
	expect(&a, CM_REASON_NO_ACCOUNT, uri);
	cm_directory_close(&d);
	unlink(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_is_read),
		cmocka_unit_test(errors_name_file_line_and_remedy),
		cmocka_unit_test(nul_in_a_line_is_refused),
		cmocka_unit_test(an_empty_file_has_no_account),
		cmocka_unit_test(one_none_and_several),
		cmocka_unit_test(injection_values_find_nobody),
		cmocka_unit_test(values_are_compared_as_a_directory_does),
		cmocka_unit_test(principals_are_compared_with_case),
		cmocka_unit_test(nul_in_a_value_is_not_its_end),
		cmocka_unit_test(a_long_value_is_told_by_its_beginning),
		cmocka_unit_test(entries_become_accounts_or_a_reason),
		cmocka_unit_test(no_realm_no_principal),
		cmocka_unit_test(groups_of_every_kind),
		cmocka_unit_test(a_search_looks_at_few_values),
		cmocka_unit_test(very_many_accounts),
		cmocka_unit_test(the_file_must_be_ours),
		cmocka_unit_test(the_first_answer_counts),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
