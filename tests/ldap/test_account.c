/* tests/ldap/test_account.c - what every account must be like, wherever it comes from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ldap/directory.h"

#define FIRST_UID	1000
#define FIRST_GID	1000

static struct cm_group groups[] = { { .name = "users", .gid = 10000 }, { .name = "engineering", .gid = 10101 } };

/* An account that is in order; a case changes one thing of it. */
static struct cm_account
good(void)
{
	return (struct cm_account){
		.name = "alice", .principal = "alice@CARDMAP.TEST", .dn = "uid=alice,dc=test",
		.home = "/home/alice", .shell = "/bin/bash", .gecos = "Alice Example,,,",
		.uid = 10001, .gid = 10000, .groups = groups, .group_count = 2,
		.rule = "r", .matched = "m", .source = "ldif:x",
	};
}

#define TEXT(field)	offsetof(struct cm_account, field)

static const struct text_case {
	size_t field;
	const char *text;
	enum cm_reason reason;
} text_cases[] = {
	{ TEXT(name), "a", CM_REASON_NONE },
	{ TEXT(name), "Alice.B-c_1@corp.test", CM_REASON_NONE },
	{ TEXT(name), "0alice", CM_REASON_NONE },
	{ TEXT(name), "", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(name), "-alice", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(name), "..", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(name), ".", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(name), "1000", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(name), "../alice", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(name), "a/b", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(name), "alice:x:0:0", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(name), "alice\nroot", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(name), "al ice", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(name), "alice,root", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(name), "ali\xC4\x8D" "e", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(name), "root", CM_REASON_ACCOUNT_FORBIDDEN },
	{ TEXT(home), "", CM_REASON_NONE },
	{ TEXT(home), "/home/..alice/...", CM_REASON_NONE },
	{ TEXT(home), "home/alice", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(home), "/home/../root", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(home), "/..", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(home), "/home/alice/..", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(home), "/home/a:b", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(home), "/home/a\nb", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(home), "/home/\xFF", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(home), "\\\\server\\alice", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(shell), "", CM_REASON_NONE },
	{ TEXT(shell), "bash", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(shell), "/bin/../tmp/sh", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(shell), "/bin/sh\nroot::0:0", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(gecos), "Ali\xC4\x8D" "e", CM_REASON_NONE },
	{ TEXT(gecos), "", CM_REASON_NONE },
	{ TEXT(gecos), "Alice:/root:/bin/sh", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(gecos), "Alice\nroot::0:0:::", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(gecos), "Alice\x1b[2J", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(principal), "", CM_REASON_NONE },
	{ TEXT(principal), "host/a@R", CM_REASON_NONE },
	{ TEXT(principal), "alice", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(principal), "@CARDMAP.TEST", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(principal), "alice@", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(principal), "alice\n@R", CM_REASON_ACCOUNT_MALFORMED },
	{ TEXT(dn), "uid=a\x01,dc=test", CM_REASON_ACCOUNT_MALFORMED },
};

static void
texts_are_checked(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(text_cases); i++) {
		const struct text_case *c = &text_cases[i];
		struct cm_account a = good();
		struct cm_trace *t = NULL;

		*(char **)((char *)&a + c->field) = (char *)(uintptr_t)c->text;
		assert_int_equal(cm_trace_new(&t), CM_OK);
		if (cm_account_check(&a, FIRST_UID, FIRST_GID, t) != cm_reason_err(c->reason) ||
		    cm_trace_reason(t) != c->reason)
			fail_msg("case %zu \"%s\": %s", i, c->text, cm_trace_message(t));
		assert_int_equal(cm_account_check(&a, FIRST_UID, FIRST_GID, NULL), cm_reason_err(c->reason));
		cm_trace_free(&t);
	}
}

static const struct id_case {
	uid_t uid;
	gid_t gid;
	uid_t first_uid;
	gid_t first_gid;
	bool allowed;
} id_cases[] = {
	{ 1000, 1000, 1000, 1000, true },
	{ 999, 1000, 1000, 1000, false },
	{ 1000, 999, 1000, 1000, false },
	{ 0, 1000, 1000, 1000, false },
	{ 0, 1000, 0, 0, false },		/* whatever is configured */
	{ 1, 0, 0, 0, false },
	{ 1, 1, 1, 1, true },
	{ 2147483647, 1000, 1000, 1000, true },
	{ 2147483648u, 1000, 1000, 1000, false },
	{ (uid_t)-1, 1000, 1000, 1000, false },
	{ 65534, 1000, 1000, 1000, false },	/* nobody */
	{ 65535, 1000, 1000, 1000, false },
	{ 1000, 65534, 1000, 1000, false },
};

static void
root_and_system_ids_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(id_cases); i++) {
		const struct id_case *c = &id_cases[i];
		struct cm_account a = good();

		a.uid = c->uid;
		a.gid = c->gid;
		a.group_count = 0;
		assert_int_equal(cm_account_check(&a, c->first_uid, c->first_gid, NULL),
		    c->allowed ? CM_OK : CM_ERR_REFUSED);
	}
}

static void
privileged_groups_are_refused(void **state)
{
	static const struct { struct cm_group group; bool allowed; } cases[] = {
		{ { .name = "cards", .gid = 10102 }, true }, { { .name = "cards", .gid = 999 }, false }, { { .name = "cards", .gid = 0 }, false },
		{ { .name = "sudo", .gid = 10102 }, false }, { { .name = "disk", .gid = 10102 }, false }, { { .name = "root", .gid = 10102 }, false },
		{ { .name = "docker", .gid = 10102 }, false }, { { .name = "shadow", .gid = 10102 }, false }, { { .name = "wheel", .gid = 10102 }, false },
		{ { .name = "a:b", .gid = 10102 }, false }, { { .name = "a,b", .gid = 10102 }, false }, { { .name = "27", .gid = 10102 }, false },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_account a = good();
		struct cm_group one = cases[i].group;

		a.groups = &one;
		a.group_count = 1;
		assert_int_equal(cm_account_check(&a, FIRST_UID, FIRST_GID, NULL),
		    cases[i].allowed ? CM_OK : CM_ERR_REFUSED);
	}
}

static void
a_copy_is_equal_and_separate(void **state)
{
	struct cm_account a = good(), *one = NULL, *two = NULL;

	(void)state;
	assert_int_equal(cm_account_copy(&a, &one), CM_OK);
	assert_int_equal(cm_account_copy(one, &two), CM_OK);
	cm_account_free(&one);
	assert_null(one);
	cm_account_free(&one);
	assert_string_equal(two->name, "alice");
	assert_string_equal(two->principal, "alice@CARDMAP.TEST");
	assert_string_equal(two->dn, "uid=alice,dc=test");
	assert_string_equal(two->home, "/home/alice");
	assert_string_equal(two->shell, "/bin/bash");
	assert_string_equal(two->gecos, "Alice Example,,,");
	assert_string_equal(two->rule, "r");
	assert_string_equal(two->matched, "m");
	assert_string_equal(two->source, "ldif:x");
	assert_int_equal(two->uid, 10001);
	assert_int_equal(two->gid, 10000);
	assert_int_equal(two->group_count, 2);
	assert_string_equal(two->groups[1].name, "engineering");
	assert_int_equal(two->groups[1].gid, 10101);
	cm_account_free(&two);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_checked),
		cmocka_unit_test(root_and_system_ids_are_refused),
		cmocka_unit_test(privileged_groups_are_refused),
		cmocka_unit_test(a_copy_is_equal_and_separate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
