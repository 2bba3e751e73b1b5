/* tests/ldap/test_account.c - what every account must be like, wherever it comes from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ldap/directory.h"

static const char *const listed[] = { "users", "sudo", "docker", "plugdev", "root", "a:b", NULL };
static const struct cm_account_limits limits = { .first_uid = 1000, .first_gid = 1000 };

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
		if (cm_account_check(&a, &limits, t) != cm_reason_err(c->reason) ||
		    cm_trace_reason(t) != c->reason)
			fail_msg("case %zu \"%s\": %s", i, c->text, cm_trace_message(t));
		assert_int_equal(cm_account_check(&a, &limits, NULL), cm_reason_err(c->reason));
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
		assert_int_equal(cm_account_check(&a, &(struct cm_account_limits){ c->first_uid, c->first_gid, NULL, false }, NULL),
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
		assert_int_equal(cm_account_check(&a, &limits, NULL),
		    cases[i].allowed ? CM_OK : CM_ERR_REFUSED);
	}
}

/* What accounts.local_groups lets through, and what it never does: gid 0, root, and as primary group what gives rights. */
static const struct listed_case {
	const char *name;	/* the group that the account is in; NULL: none */
	gid_t gid, primary;
	bool is_listed, groups_unknown;
	bool allowed;
} listed_cases[] = {
	{ "users", 100, 10000, false, false, false }, { "users", 100, 10000, true, false, true },
	{ "users", 100, 100, false, false, false }, { "users", 100, 100, true, false, true },
	{ "games", 100, 10000, true, false, false }, { "games", 100, 100, true, false, false },
	{ "users", 101, 100, true, false, false }, { NULL, 0, 100, true, false, false },
	{ NULL, 0, 100, true, true, true }, { NULL, 0, 100, false, true, false },
	{ NULL, 0, 0, true, true, false }, { NULL, 0, 65534, true, true, false },
	{ "users", 0, 10000, true, false, false }, { "users", 0, 0, true, false, false },
	{ "users", 65534, 10000, true, false, false }, { "users", 65534, 65534, true, false, false },
	{ "users", (gid_t)-1, 10000, true, false, false }, { "laptops", (gid_t)-1, 10000, false, false, false },
	{ "users", 10102, 10000, true, false, true }, { "users", 1, 10000, true, false, true },
	{ "sudo", 27, 10000, false, false, false }, { "sudo", 27, 10000, true, false, true },
	{ "sudo", 27, 27, true, false, false }, { "sudo", 10000, 10000, true, false, false },
	{ "sudo", 27, 27, true, true, false }, { "docker", 998, 10000, true, false, true },
	{ "docker", 998, 998, true, false, false }, { "plugdev", 46, 46, true, false, false },
	{ "root", 10102, 10000, true, false, false }, { "root", 0, 10000, true, false, false },
	{ "root", 10102, 10102, true, false, false }, { "a:b", 10102, 10000, true, false, false },
	{ "USERS", 100, 10000, true, false, false }, { "users ", 100, 10000, true, false, false },
	{ "user", 100, 10000, true, false, false }, { "", 100, 10000, true, false, false },
};

static void
listed_groups_are_let_through(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(listed_cases); i++) {
		const struct listed_case *c = &listed_cases[i];
		const struct cm_account_limits l = { 1000, 1000, c->is_listed ? listed : NULL, c->groups_unknown };
		struct cm_group one = { .name = (char *)(uintptr_t)c->name, .gid = c->gid };
		struct cm_account a = good();

		a.gid = c->primary;
		a.groups = &one;
		a.group_count = c->name != NULL;
		if (cm_account_check(&a, &l, NULL) != (c->allowed ? CM_OK : CM_ERR_REFUSED))
			fail_msg("case %zu: %s (gid %u), primary %u", i, c->name != NULL ? c->name : "no group", c->gid, c->primary);
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
		cmocka_unit_test(listed_groups_are_let_through),
		cmocka_unit_test(a_copy_is_equal_and_separate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
