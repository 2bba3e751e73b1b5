/* tests/service/test_enforcement_names.c - an account by whatever name NSS may know it: what a directory says of it, and what is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/enforcement.h"
#include "service/host.h"
#include "store_folder.h"

#define ATTRIBUTE	"SmartCardEnforcement"
#define VALUE(v, t)	{ CM_FACT_VALUE, v, t }
#define NONE		{ CM_FACT_NONE, 0, "" }

struct fixture {
	struct store_folder in;
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	store_folder_open(&f->in);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	store_folder_close(&f->in);
	free(f);
	return 0;
}

/* However a name is written, what was said last of the account holds: and not what was heard of another spelling before. */
static void
test_kept_by_its_own_name(void **state)
{
	static const char *const spellings[] = { "alice", "ALICE", "alice@corp.test", "CORP\\alice", "CORP\\Alice@corp.test" };
	const struct fixture *f = *state;
	struct cm_facts loose = { VALUE(2, ATTRIBUTE), NONE, NONE, VALUE(0, ""), "alice" }, strict = loose, kept;
	const struct cm_facts nobody = { NONE, NONE, NONE, NONE, "" };
	time_t at;

	strict.attribute.value = 1;
	for (size_t i = 0; i < CM_COUNT(spellings); i++)
		assert_int_equal(cm_enforcement_keep(f->in.store, spellings[i], &loose, true, f->in.trace), CM_OK);
	assert_int_equal(cm_enforcement_keep(f->in.store, "alice", &strict, true, f->in.trace), CM_OK);
	for (size_t i = 0; i < CM_COUNT(spellings); i++) {
		assert_int_equal(cm_enforcement_find_kept(f->in.store, spellings[i], f->in.trace, &kept, &at), CM_OK);
		assert_int_equal(kept.attribute.value, 1);
		assert_true(at > 0);
	}
	/* under another name that only a directory can tell is hers nothing is known; nor of others */
	assert_int_equal(cm_enforcement_keep(f->in.store, "a.example@corp.test", &loose, true, f->in.trace), CM_OK);
	for (size_t i = 0; i < 3; i++) {
		static const char *const others[] = { "a.example@corp.test", "alic", "alice2" };

		assert_int_equal(cm_enforcement_find_kept(f->in.store, others[i], f->in.trace, &kept, &at), CM_OK);
		assert_int_equal(kept.attribute.kind, CM_FACT_UNKNOWN);
		assert_int_equal(at, 0);
	}
	/* whom no directory has is kept as he was called */
	assert_int_equal(cm_enforcement_keep(f->in.store, "Homed", &nobody, true, f->in.trace), CM_OK);
	assert_int_equal(cm_enforcement_find_kept(f->in.store, "Homed", f->in.trace, &kept, &at), CM_OK);
	assert_int_equal(kept.mapped.kind, CM_FACT_NONE);
}

static const char people[] =
	"dn: uid=alice,dc=x\nobjectClass: inetOrgPerson\nuid: alice\nuidNumber: 10001\ngidNumber: 10000\nhomeDirectory: /home/alice\n"
	"SmartCardEnforcement: 1\nuserPrincipalName: a.example@corp.test\nmail: alice.example@mail.test\nmail: team@mail.test\n\n"
	"dn: uid=bob,dc=x\nobjectClass: inetOrgPerson\nuid: bob\nuidNumber: 10002\ngidNumber: 10000\nhomeDirectory: /home/bob\n"
	"SmartCardEnforcement: 2\nmail: team@mail.test\nkrbPrincipalName: robert@CORP.TEST\n\n";

/* No other name of an account is a way around what the directory says of it. */
static void
test_aliases(void **state)
{
	static const struct {
		const char *user;
		enum cm_fact_kind kind;
		uint32_t value;
	} cases[] = {
		{ "alice", CM_FACT_VALUE, 1 }, { "alice@corp.test", CM_FACT_VALUE, 1 }, { "CORP\\alice", CM_FACT_VALUE, 1 },
		{ "a.example@corp.test", CM_FACT_VALUE, 1 }, { "alice.example@mail.test", CM_FACT_VALUE, 1 },
		{ "CORP\\alice@corp.test", CM_FACT_VALUE, 1 }, { "CORP\\a.example@corp.test", CM_FACT_VALUE, 1 }, { "CORP+alice", CM_FACT_VALUE, 1 },
		{ "CORP/alice", CM_FACT_VALUE, 1 }, { "alice@corp.test@mail.test", CM_FACT_VALUE, 1 }, { "ALICE", CM_FACT_VALUE, 1 },
		{ "CORP\\ALICE", CM_FACT_VALUE, 1 }, { "A.Example@CORP.test", CM_FACT_VALUE, 1 }, { "alice ", CM_FACT_VALUE, 1 },
		{ "robert@corp.test", CM_FACT_VALUE, 2 }, { "bob@mail.test", CM_FACT_VALUE, 2 },
		{ "team@mail.test", CM_FACT_UNKNOWN, 0 },	/* of two nobody knows which */
		{ "nobody@corp.test", CM_FACT_NONE, 0 }, { "a.example", CM_FACT_NONE, 0 },
	};
	static char path[] = "/tmp/cm_test_aliases.XXXXXX", file[64];
	const char *const files[] = { file, NULL };
	const struct cm_directory_options o = { .uris = files, .first_uid = 1000, .first_gid = 1000 };
	struct cm_conf conf = { .enforcement.attribute = (char[]){ "SmartCardEnforcement" } };
	const struct cm_host host = { .conf = &conf };
	struct cm_enforcement_asking a = { .host = &host, .deadline = cm_deadline_in(20000) };
	const int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, people, strlen(people)), strlen(people));
	close(fd);
	snprintf(file, sizeof(file), "ldif:%s", path);
	assert_int_equal(cm_directory_open(&o, NULL, &a.directory), CM_OK);
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_account *account = NULL;
		struct cm_facts said;

		a.user = cases[i].user;
		/* alice, and whom the directory takes for her */
		assert_int_equal(cm_enforcement_ask(&a, NULL, &account, &said), strcmp(a.user, "alice") == 0 ? CM_OK :
		    strcmp(a.user, "ALICE") == 0 || strcmp(a.user, "alice ") == 0 ? CM_ERR_REFUSED : CM_ERR_ABSENT);
		if (said.attribute.kind != cases[i].kind || said.attribute.value != cases[i].value)
			fail_msg("%s: kind %d, value %u", a.user, said.attribute.kind, said.attribute.value);
		cm_account_free(&account);
	}
	cm_directory_close(&a.directory);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept_by_its_own_name, set_up, tear_down),
		cmocka_unit_test(test_aliases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
