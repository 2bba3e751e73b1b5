/* tests/ldap/test_facts.c - what a directory says of whether an account must use a card: entries, groups upward, facts kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ask.h"
#include "base/buf.h"
#include "ldap/facts.h"

#define BASE	"dc=cardmap,dc=test"
#define PEOPLE	"ou=people," BASE
#define GROUPS	"ou=groups," BASE
#define DEEP	20	/* groups one in the other: more than are followed */
#define MANY	1100	/* groups of one account: more than are looked at */

static char path[] = "/tmp/cm_test_facts.XXXXXX", uri[64];

static void
add_person(struct cm_buf *b, const char *name, const char *more)
{
	cm_buf_addf(b, "dn: uid=%s," PEOPLE "\nobjectClass: inetOrgPerson\nuid: %s\nuidNumber: 10001\ngidNumber: 10000\n"
	    "homeDirectory: /home/%s\n%s\n", name, name, name, more);
}

static void
add_group(struct cm_buf *b, const char *name, const char *members)
{
	cm_buf_addf(b, "dn: cn=%s," GROUPS "\nobjectClass: groupOfNames\ncn: %s\n%s\n", name, name, members);
}

static void
add_groups(struct cm_buf *b)
{
	char member[160], name[32];

	add_group(b, "exempt", "member: uid=direct," PEOPLE "\nmember: cn=middle," GROUPS "\n");
	add_group(b, "middle", "member: cn=low," GROUPS "\n");
	add_group(b, "low", "member: UID=Nested,OU=people," BASE "\nmember: cn=exempt," GROUPS "\n");	/* a ring, too */
	add_group(b, "others", "member: uid=outside," PEOPLE "\n");
	cm_buf_add_str(b, "dn: cn=posix," GROUPS "\nobjectClass: posixGroup\ncn: posix\ngidNumber: 10000\nmemberUid: byname\n\n");
	cm_buf_add_str(b, "dn: cn=ad," GROUPS "\nobjectClass: group\ncn: shown\nsAMAccountName: short\nmember: uid=direct," PEOPLE "\n\n");
	/* an entry that lists members and is no group exempts nobody */
	cm_buf_add_str(b, "dn: cn=false," GROUPS "\nobjectClass: device\ncn: false\nmember: uid=direct," PEOPLE "\n\n");
	for (int i = 0; i < DEEP; i++) {
		snprintf(name, sizeof(name), "deep%d", i);
		if (i == 0)
			snprintf(member, sizeof(member), "member: uid=deep," PEOPLE "\n");
		else
			snprintf(member, sizeof(member), "member: cn=deep%d," GROUPS "\n", i - 1);
		add_group(b, name, member);
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		add_group(b, name, "member: uid=many," PEOPLE "\n");
	}
}

static int
make_file(void **state)
{
	struct cm_buf b = { 0 };
	int fd;

	(void)state;
	cm_buf_add_str(&b, "dn: " BASE "\nobjectClass: organization\no: Cardmap Test\n\n");
	add_person(&b, "none", "");
	add_person(&b, "zero", "SmartCardEnforcement: 0\nuserAccountControl: 512\n");
	add_person(&b, "card", "smartcardenforcement: 1\n");
	add_person(&b, "password", "SmartCardEnforcement: 2\nuserAccountControl: 262656\n");
	add_person(&b, "large", "SmartCardEnforcement: 7\nuserAccountControl: -2147221504\n");
	add_person(&b, "word", "SmartCardEnforcement: always\nuserAccountControl: 0x40000\n");
	add_person(&b, "padded", "SmartCardEnforcement: 01\nuserAccountControl: 99999999999\n");
	add_person(&b, "two", "SmartCardEnforcement: 2\nSmartCardEnforcement: 1\n");
	add_person(&b, "escape", "SmartCardEnforcement:: MRtbMm0=\n");	/* 1 ESC [2m */
	add_person(&b, "optioned", "SmartCardEnforcement;x-old: 1\nuserAccountControl;x-old: 262656\n");
	add_person(&b, "both", "SmartCardEnforcement: 2\nSmartCardEnforcement;x-old: 1\n");
	add_person(&b, "negative", "SmartCardEnforcement: -1\nuserAccountControl: -1\n");
	add_person(&b, "unsigned", "SmartCardEnforcement: 4294967297\nuserAccountControl: 2147745792\n");
	add_person(&b, "spaced", "SmartCardEnforcement:: IDI=\nuserAccountControl:: IDUxMg==\n");	/* " 2", " 512" */
	add_person(&b, "hex", "SmartCardEnforcement: 0x2\nuserAccountControl: 0x200\n");
	add_person(&b, "empty", "SmartCardEnforcement:\nuserAccountControl:\n");
	add_person(&b, "mapped", "altSecurityIdentities: Kerberos:x@Y\n");
	add_person(&b, "mail", "mail: a@b.test\n");
	add_person(&b, "binary", "userCertificate;binary:: AQID\n");
	add_person(&b, "locked", "nsAccountLock: TRUE\nSmartCardEnforcement: 2\n");
	add_person(&b, "direct", "");
	add_person(&b, "nested", "");
	add_person(&b, "outside", "");
	add_person(&b, "byname", "");
	add_person(&b, "deep", "");
	add_person(&b, "many", "");
	cm_buf_add_str(&b, "dn: cn=no account," PEOPLE "\nobjectClass: person\nuid: bare\nSmartCardEnforcement: 1\n\n");
	cm_buf_add_str(&b, "dn: uid=twin,ou=a," PEOPLE "\nuid: twin\nSmartCardEnforcement: 2\n\n"
	    "dn: uid=twin,ou=b," PEOPLE "\nuid: twin\nSmartCardEnforcement: 1\n\n");
	add_groups(&b);
	assert_int_equal(cm_buf_status(&b), CM_OK);
	if ((fd = mkstemp(path)) < 0 || write(fd, b.ptr, b.len) != (ssize_t)b.len || fchmod(fd, 0644) != 0 || close(fd) != 0)
		return -1;
	cm_buf_free(&b);
	snprintf(uri, sizeof(uri), "ldif:%s", path);
	return 0;
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static enum cm_err
ask_facts(const char *user, const struct cm_facts_question *q, struct cm_facts *said)
{
	const char *const uris[] = { uri, NULL };
	const struct cm_directory_options o = { .uris = uris, .first_uid = 1000, .first_gid = 1000 };
	struct cm_directory *d = must_open(&o);
	struct ask a;
	struct cm_facts_search s = { .query = ask_for(&a, "uid", user, NULL, NULL), .user = user, .question = q, .deadline = cm_deadline_in(20000) };
	struct cm_account *account = NULL;
	const enum cm_err err = cm_directory_find_facts(d, &s, NULL, &account);

	*said = s.said;
	cm_account_free(&account);
	cm_directory_close(&d);
	return err;
}

static const char *const searched[] = { "altSecurityIdentities", "userCertificate;binary", "rfc822Mailbox", NULL };

static void
is_fact(const char *user, const struct cm_fact *f, enum cm_fact_kind kind, uint32_t value)
{
	if (f->kind != kind || f->value != value)
		fail_msg("%s: kind %d, value %u, text \"%s\"", user, f->kind, f->value, f->text);
}

static void
test_entries(void **state)
{
	static const struct {
		const char *user;
		enum cm_fact_kind attribute;
		uint32_t n;
		enum cm_fact_kind control;
		uint32_t bits;
		bool mapped;
	} cases[] = {
		{ "none", CM_FACT_NONE, 0, CM_FACT_NONE, 0, false },
		{ "zero", CM_FACT_VALUE, 0, CM_FACT_VALUE, 512, false },
		{ "card", CM_FACT_VALUE, 1, CM_FACT_NONE, 0, false },
		{ "password", CM_FACT_VALUE, 2, CM_FACT_VALUE, 0x40200, false },
		{ "large", CM_FACT_VALUE, 7, CM_FACT_VALUE, 0x80040000, false },
		{ "word", CM_FACT_MALFORMED, 0, CM_FACT_MALFORMED, 0, false },
		{ "padded", CM_FACT_MALFORMED, 0, CM_FACT_MALFORMED, 0, false },
		{ "two", CM_FACT_MALFORMED, 0, CM_FACT_NONE, 0, false },
		{ "escape", CM_FACT_MALFORMED, 0, CM_FACT_NONE, 0, false },
		/* options make no other attribute of it */
		{ "optioned", CM_FACT_VALUE, 1, CM_FACT_VALUE, 0x40200, false }, { "both", CM_FACT_MALFORMED, 0, CM_FACT_NONE, 0, false },
		{ "negative", CM_FACT_VALUE, UINT32_MAX, CM_FACT_VALUE, UINT32_MAX, false },
		{ "unsigned", CM_FACT_MALFORMED, 0, CM_FACT_MALFORMED, 0, false },
		{ "spaced", CM_FACT_MALFORMED, 0, CM_FACT_MALFORMED, 0, false }, { "hex", CM_FACT_MALFORMED, 0, CM_FACT_MALFORMED, 0, false },
		{ "empty", CM_FACT_MALFORMED, 0, CM_FACT_MALFORMED, 0, false },
		{ "mapped", CM_FACT_NONE, 0, CM_FACT_NONE, 0, true },
		{ "mail", CM_FACT_NONE, 0, CM_FACT_NONE, 0, true },
		{ "binary", CM_FACT_NONE, 0, CM_FACT_NONE, 0, true },
		/* accounts that open nothing say what they say */
		{ "locked", CM_FACT_VALUE, 2, CM_FACT_NONE, 0, false },
		{ "bare", CM_FACT_VALUE, 1, CM_FACT_NONE, 0, false },
	};
	const struct cm_facts_question q = { .attribute = "SmartCardEnforcement", .mapped = searched };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_facts said;

		(void)!ask_facts(cases[i].user, &q, &said);
		is_fact(cases[i].user, &said.attribute, cases[i].attribute, cases[i].n);
		is_fact(cases[i].user, &said.control, cases[i].control, cases[i].bits);
		is_fact(cases[i].user, &said.mapped, CM_FACT_VALUE, cases[i].mapped);
		is_fact(cases[i].user, &said.group, CM_FACT_NONE, 0);
		assert_string_equal(said.name, cases[i].user);
	}
}

/* Nobody so named is an answer; two of one name are none, and the looser of them does not hold. */
static void
test_nobody_and_several(void **state)
{
	const struct cm_facts_question q = { .attribute = "SmartCardEnforcement", .mapped = searched };
	struct cm_facts said;

	(void)state;
	assert_int_equal(ask_facts("stranger", &q, &said), CM_ERR_ABSENT);
	is_fact("stranger", &said.attribute, CM_FACT_NONE, 0);
	is_fact("stranger", &said.mapped, CM_FACT_NONE, 0);
	assert_string_equal(said.name, "");
	/* however it is asked for, the name is the account's */
	assert_int_equal(ask_facts("ZERO", &q, &said), CM_ERR_REFUSED);
	assert_string_equal(said.name, "zero");
	assert_int_equal(ask_facts("twin", &q, &said), CM_ERR_AMBIGUOUS);
	is_fact("twin", &said.attribute, CM_FACT_UNKNOWN, 0);
	assert_int_equal(ask_facts("zero", NULL, &said), CM_OK);
	is_fact("zero", &said.control, CM_FACT_UNKNOWN, 0);
}

static void
test_groups(void **state)
{
	static const struct {
		const char *user, *group;
		enum cm_fact_kind kind;
		bool in;
	} cases[] = {
		{ "direct", "exempt", CM_FACT_VALUE, true }, { "direct", "EXEMPT", CM_FACT_VALUE, true },
		{ "nested", "exempt", CM_FACT_VALUE, true }, { "nested", "middle", CM_FACT_VALUE, true },
		{ "nested", "others", CM_FACT_VALUE, false }, { "outside", "exempt", CM_FACT_VALUE, false },
		{ "direct", "nothing", CM_FACT_VALUE, false }, { "direct", "exemp", CM_FACT_VALUE, false },
		{ "direct", "*", CM_FACT_VALUE, false }, { "direct", "exempt)(cn=*", CM_FACT_VALUE, false },
		{ "direct", "short", CM_FACT_VALUE, true },
		{ "direct", "shown", CM_FACT_VALUE, false },	/* where there is a sAMAccountName it is the name */
		{ "direct", "false", CM_FACT_VALUE, false },
		{ "byname", "posix", CM_FACT_VALUE, true }, { "outside", "posix", CM_FACT_VALUE, true },	/* the primary group */
		{ "deep", "deep15", CM_FACT_VALUE, true }, { "deep", "deep17", CM_FACT_MALFORMED, false },
		{ "deep", "exempt", CM_FACT_MALFORMED, false }, { "many", "exempt", CM_FACT_MALFORMED, false },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const struct cm_facts_question q = { .group = cases[i].group };
		struct cm_facts said;

		assert_int_equal(ask_facts(cases[i].user, &q, &said), CM_OK);
		if (said.group.kind != cases[i].kind || said.group.value != cases[i].in)
			fail_msg("%s in %s: kind %d, %u, %s", cases[i].user, cases[i].group, said.group.kind, said.group.value, said.group.text);
		if (said.group.kind == CM_FACT_VALUE)
			assert_string_equal(said.group.text, cases[i].group);
	}
}

static void
test_packed(void **state)
{
	const struct cm_facts f = { cm_fact_make(CM_FACT_VALUE, UINT32_MAX, "SmartCardEnforcement"), cm_fact_make(CM_FACT_NONE, 0, NULL),
		cm_fact_make(CM_FACT_MALFORMED, 0, "a text that is longer than what a fact has room for, \xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"),
		cm_fact_make(CM_FACT_UNKNOWN, 0, NULL), "" };
	struct cm_facts read;
	struct cm_buf b = { 0 };

	(void)state;
	cm_facts_pack(&f, &b);
	assert_true(b.len <= CM_FACTS_OCTETS_MAX);
	assert_true(cm_facts_unpack(cm_buf_blob(&b), &read));
	assert_memory_equal(&read, &f, sizeof(f));
	for (size_t len = 0; len < b.len; len++)
		assert_false(cm_facts_unpack((struct cm_blob){ b.ptr, len }, &read));
	cm_buf_add_byte(&b, 0);
	assert_false(cm_facts_unpack(cm_buf_blob(&b), &read));
	assert_int_equal(read.attribute.kind, CM_FACT_UNKNOWN);
	b.ptr[0] = CM_FACT_MALFORMED + 1;
	assert_false(cm_facts_unpack((struct cm_blob){ b.ptr, b.len - 1 }, &read));
	b.ptr[0] = CM_FACT_VALUE;
	b.ptr[6] = '\n';	/* what no terminal should be shown */
	assert_false(cm_facts_unpack((struct cm_blob){ b.ptr, b.len - 1 }, &read));
	cm_buf_free(&b);
}

static void
test_packed_name(void **state)
{
	struct cm_facts f = { .attribute.kind = CM_FACT_UNKNOWN }, read;
	char name[CM_FACT_NAME + 1];
	struct cm_buf b = { 0 };
	size_t without;

	(void)state;
	cm_facts_pack(&f, &b);
	without = b.len;
	memset(name, 'n', sizeof(name));
	for (size_t len = 1; len <= sizeof(name); len += len == 1 ? CM_FACT_NAME - 3 : 1) {
		cm_facts_set_name(&f, (struct cm_blob){ (const uint8_t *)name, len });
		assert_int_equal(strlen(f.name), len < CM_FACT_NAME ? len : 0);
		cm_buf_truncate(&b, 0);
		cm_facts_pack(&f, &b);
		assert_true(b.len <= CM_FACTS_OCTETS_MAX);
		assert_true(cm_facts_unpack(cm_buf_blob(&b), &read));
		assert_memory_equal(&read, &f, sizeof(f));
		for (size_t cut = without + 1; cut < b.len; cut++)
			assert_false(cm_facts_unpack((struct cm_blob){ b.ptr, cut }, &read));
	}
	cm_facts_set_name(&f, cm_blob_str("a\x1b[2m"));
	assert_string_equal(f.name, "");
	cm_facts_set_name(&f, cm_blob_str("a"));
	cm_buf_truncate(&b, 0);
	cm_facts_pack(&f, &b);
	b.ptr[b.len - 1] = '\n';
	assert_false(cm_facts_unpack(cm_buf_blob(&b), &read));
	cm_buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_nobody_and_several),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_packed_name),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
