/* tests/service/test_local.c - this computer's groups against a directory's: each way in which both can meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/list.h"
#include "service/local.h"

struct fixture {
	char etc[32];
	struct cm_conf conf;
};

static void
write_file(const struct fixture *f, const char *name, const char *text)
{
	char path[64];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", f->etc, name);
	assert_non_null(out = fopen(path, "w"));
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->etc, sizeof(f->etc), "/tmp/cm-local-XXXXXX");
	assert_non_null(mkdtemp(f->etc));
	write_file(f, "passwd", "root:x:0:0:root:/root:/bin/sh\n");
	f->conf.accounts.first_uid = f->conf.accounts.first_gid = 1000;
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const names[] = { "passwd", "group" };
	struct fixture *f = *state;
	char path[64];

	for (size_t i = 0; i < CM_COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->etc, names[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(f->etc), 0);
	cm_list_free(&f->conf.accounts.local_groups);
	free(f);
	return 0;
}

#define NOTHING		"root:x:0:\n"
#define SAME		NOTHING "users:x:100:\n"
#define SAME_HIGH	NOTHING "users:x:20000:\n"
#define OTHER_GID	NOTHING "users:x:101:\n"
#define OTHER_NAME	NOTHING "games:x:100:\n"
#define ALIAS		NOTHING "users:x:100:\nwheel:x:100:\n"
#define TWICE		NOTHING "users:x:100:\nusers:x:101:\n"
#define SUDO		NOTHING "sudo:x:27:\n"
#define SUDO_MOVED	NOTHING "sudo:x:28:\n"
#define ROOTS		"root:x:0:\nusers:x:0:\n"

enum outcome { KEPT, DROPPED, FORBIDDEN, COLLIDES };

/* The account is in one group, beside its primary one or as that. */
static const struct cell {
	const char *here, *list, *group;
	gid_t gid;
	bool primary;
	enum outcome outcome;
} cells[] = {
	/* Nothing is listed. */
	{ NOTHING, "", "team", 20000, false, KEPT }, { NOTHING, "", "team", 20000, true, KEPT },
	{ SAME_HIGH, "", "users", 20000, false, DROPPED }, { SAME_HIGH, "", "users", 20000, true, COLLIDES },
	{ SAME_HIGH, "", "team", 20000, false, DROPPED }, { OTHER_GID, "", "users", 20000, false, DROPPED },
	{ SAME, "", "users", 100, false, DROPPED }, { SAME, "", "users", 100, true, COLLIDES },
	/* The group's name is listed. */
	{ NOTHING, "users", "users", 100, false, KEPT }, { NOTHING, "users", "users", 100, true, KEPT },
	{ SAME, "users", "users", 100, false, KEPT }, { SAME, "users", "users", 100, true, KEPT },
	{ SAME_HIGH, "users", "users", 20000, false, KEPT }, { SAME_HIGH, "users", "users", 20000, true, KEPT },
	{ OTHER_GID, "users", "users", 100, false, DROPPED }, { OTHER_GID, "users", "users", 20000, false, DROPPED },
	{ OTHER_GID, "users", "users", 20000, true, DROPPED }, { OTHER_GID, "users", "users", 100, true, FORBIDDEN },
	{ OTHER_NAME, "users", "users", 100, false, DROPPED }, { OTHER_NAME, "users", "users", 100, true, COLLIDES },
	{ ALIAS, "users", "users", 100, false, DROPPED }, { ALIAS, "users", "users", 100, true, COLLIDES },
	{ ALIAS, "users wheel", "users", 100, false, DROPPED }, { ALIAS, "users wheel", "users", 100, true, COLLIDES },
	{ TWICE, "users", "users", 100, false, DROPPED }, { TWICE, "users", "users", 100, true, FORBIDDEN },
	{ ROOTS, "users", "users", 0, false, DROPPED }, { ROOTS, "users", "users", 0, true, COLLIDES },
	{ ROOTS, "users", "users", 20000, false, DROPPED }, { ROOTS, "root", "root", 0, false, DROPPED },
	{ NOTHING, "root", "root", 0, false, FORBIDDEN },
	{ SAME, "USERS user", "users", 100, false, DROPPED }, { SAME, "users", "Users", 100, false, DROPPED },
	/* Another's is. */
	{ SAME, "games", "users", 100, false, DROPPED }, { OTHER_NAME, "games", "users", 100, false, DROPPED },
	{ OTHER_NAME, "games", "users", 100, true, COLLIDES },
	/* One that gives rights. */
	{ SUDO, "", "sudo", 27, false, DROPPED }, { SUDO, "sudo", "sudo", 27, false, KEPT }, { SUDO, "sudo", "sudo", 27, true, COLLIDES },
	{ SUDO_MOVED, "sudo", "sudo", 27, false, DROPPED }, { NOTHING, "sudo", "sudo", 27, true, FORBIDDEN },
	{ NOTHING, "sudo", "sudo", 27, false, KEPT }, { NOTHING, "", "sudo", 27, false, FORBIDDEN },
};

static struct cm_account *
member(const struct cell *c)
{
	static char text[] = "", name[] = "alice", home[] = "/home/alice", shell[] = "/bin/sh";
	struct cm_group group = { .name = (char *)(uintptr_t)c->group, .gid = c->gid };
	const struct cm_account a = {
		.name = name, .principal = text, .dn = text, .home = home, .shell = shell, .gecos = text, .uid = 10001,
		.gid = c->primary ? c->gid : 10001, .groups = &group, .group_count = 1, .rule = text, .attribute = text, .matched = text, .source = text,
	};
	struct cm_account *copy = NULL;

	assert_int_equal(cm_account_copy(&a, &copy), CM_OK);
	return copy;
}

static void
list(struct fixture *f, const char *names)
{
	cm_list_free(&f->conf.accounts.local_groups);
	for (size_t len = 0; *names != '\0'; names += len + (names[len] != '\0')) {
		len = strcspn(names, " ");
		assert_int_equal(cm_list_add(&f->conf.accounts.local_groups, (struct cm_blob){ (const uint8_t *)names, len }), CM_OK);
	}
}

static enum outcome
meet(const struct fixture *f, const struct cell *c)
{
	const struct cm_account_limits limits = cm_local_limits(&f->conf);
	struct cm_account *a = member(c);
	struct cm_trace *t = NULL;
	enum outcome outcome = KEPT;
	enum cm_err err;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "test");
	if ((err = cm_local_check(f->etc, &f->conf, a, t)) == CM_OK)
		err = cm_account_check(a, &limits, t);
	if (err != CM_OK)
		outcome = cm_trace_reason(t) == CM_REASON_LOCAL_COLLISION ? COLLIDES : FORBIDDEN;
	else if (a->group_count == 0)
		outcome = cm_trace_find(t, "group dropped") != NULL ? DROPPED : FORBIDDEN;
	cm_trace_free(&t);
	cm_account_free(&a);
	return outcome;
}

static void
groups_meet(void **state)
{
	static const char *const words[] = { "kept", "dropped", "forbidden", "a collision" };
	struct fixture *f = *state;

	for (size_t i = 0; i < CM_COUNT(cells); i++) {
		const struct cell *c = &cells[i];
		enum outcome outcome;

		write_file(f, "group", c->here);
		list(f, c->list);
		if ((outcome = meet(f, c)) != c->outcome)
			fail_msg("cell %zu: %s (gid %u)%s, listed \"%s\": %s", i, c->group, c->gid, c->primary ? " as primary group" : "", c->list,
			    words[outcome]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(groups_meet, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
