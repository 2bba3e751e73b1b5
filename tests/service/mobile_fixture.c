/* tests/service/mobile_fixture.c - a store and a folder of records, for tests of mobile accounts. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/list.h"
#include "mobile_fixture.h"

void
mobile_reopen(struct fixture *f)
{
	const struct cm_accounts_options o = { .path = f->store, .offline_max = 30 * (int64_t)DAY, .first_uid = 1000, .first_gid = 1000,
		.local_groups = (const char *const *)f->conf.accounts.local_groups };

	cm_accounts_close(&f->h.store);
	assert_int_equal(cm_accounts_open(&o, f->t, &f->h.store), CM_OK);
}

int
mobile_set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char group[80];
	FILE *out;

	assert_non_null(f);
	/* In memory where that can be had: what a disk loses is tested elsewhere. */
	snprintf(f->folder, sizeof(f->folder), "/dev/shm/cm-mobile-XXXXXX");
	if (mkdtemp(f->folder) == NULL) {
		snprintf(f->folder, sizeof(f->folder), "/tmp/cm-mobile-XXXXXX");
		assert_non_null(mkdtemp(f->folder));
	}
	snprintf(f->store, sizeof(f->store), "%s/accounts.db", f->folder);
	snprintf(f->userdb, sizeof(f->userdb), "%s/userdb", f->folder);
	f->conf.accounts.mobile = CM_MOBILE_ALL;
	f->conf.accounts.userdb = f->userdb;
	f->conf.accounts.first_uid = f->conf.accounts.first_gid = 1000;
	assert_int_equal(cm_list_add(&f->conf.accounts.home_roots, cm_blob_str("/home")), CM_OK);
	f->h.conf = &f->conf;
	f->h.etc = f->folder;		/* with no nsswitch.conf: no other source of names */
	snprintf(group, sizeof(group), "%s/group", f->folder);
	assert_non_null(out = fopen(group, "we"));
	assert_true(fputs("root:x:0:\n", out) >= 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(cm_trace_new(&f->t), CM_OK);
	mobile_reopen(f);
	*state = f;
	return 0;
}

int
mobile_tear_down(void **state)
{
	struct fixture *f = *state;
	char command[80];

	cm_accounts_close(&f->h.store);
	cm_trace_free(&f->t);
	cm_list_free(&f->conf.accounts.home_roots);
	cm_list_free(&f->conf.accounts.local_groups);
	snprintf(command, sizeof(command), "rm -rf %s", f->folder);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static char none[] = "";
static struct cm_group groups[] = { { .name = "staff10000", .gid = 10000 }, { .name = "laptops", .gid = 10003 } };

struct cm_account
mobile_account(const char *name, uid_t uid)
{
	static char homes[4][64];
	char *home = homes[uid % 4];

	if (strcmp(name, "mallory") == 0)
		home = homes[0];
	snprintf(home, sizeof(homes[0]), "/home/%s", name);
	return (struct cm_account){
		.name = (char *)(uintptr_t)name, .principal = none, .dn = none, .home = home, .shell = (char *)(uintptr_t)"/bin/bash",
		.gecos = (char *)(uintptr_t)"Alice \"Q\" Exampl\303\251", .uid = uid, .gid = 10000, .groups = groups, .group_count = 2,
		.rule = none, .attribute = none, .matched = none, .source = none,
	};
}

/* As a login does; what the certificate is does not matter here. */
enum cm_err
mobile_log_in(struct fixture *f, const struct cm_account *a, bool asked, time_t now)
{
	const struct cm_blob der = cm_blob_str(a->name);
	struct cm_remember_apart r = {
		.account = a, .certificate = der, .chain = &der, .chain_count = 1, .now = now, .signed_time = f->signed_time, .account_online = true,
	};
	struct cm_mobile_plan *p;
	enum cm_err err;

	cm_trace_free(&f->t);
	assert_int_equal(cm_trace_new(&f->t), CM_OK);
	cm_trace_begin(f->t, "remember");
	p = cm_mobile_begin(&f->h, a, asked, f->t);
	r.mobile = cm_mobile_plan_row(p);
	err = cm_accounts_remember_apart(f->h.store, &r, f->t);
	cm_mobile_end(&p, err, f->t);
	cm_trace_end(f->t, err);
	return err;
}

static void
mobile_told(void *arg, const struct cm_account *a, enum cm_mobile_end end)
{
	struct fixture *f = arg;

	f->ended[end]++;
	snprintf(f->last, sizeof(f->last), "%s", a->name);
}

enum cm_err
mobile_settle(struct fixture *f, time_t now)
{
	cm_trace_clear_reason(f->t);
	return cm_mobile_settle(&f->h, now, f->t, mobile_told, f);
}

void
mobile_expect_file(const struct fixture *f, const char *name, const char *content)
{
	char path[256], text[512] = "";
	struct stat st;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->userdb, name);
	if (content == NULL) {
		assert_int_equal(access(path, F_OK), -1);
		return;
	}
	if (lstat(path, &st) != 0)
		fail_msg("%s is not there", path);
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, text, sizeof(text) - 1);
	} else {
		assert_int_equal(st.st_mode & 0777, 0644);
		assert_true((fd = open(path, O_RDONLY)) >= 0);
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	assert_true(n >= 0);
	assert_string_equal(text, content);
}

void
mobile_put_file(const struct fixture *f, const char *name, const char *content)
{
	char path[256];
	FILE *out;

	mkdir(f->userdb, 0755);
	snprintf(path, sizeof(path), "%s/%s", f->userdb, name);
	assert_non_null(out = fopen(path, "w"));
	fputs(content, out);
	fclose(out);
}

unsigned
mobile_count_files(const struct fixture *f)
{
	DIR *d = opendir(f->userdb);
	unsigned n = 0;

	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	if (d != NULL)
		closedir(d);
	return n;
}


void
mobile_expect_alice(const struct fixture *f, bool there)
{
	mobile_expect_file(f, "alice.user", there ? ALICE : NULL);
	mobile_expect_file(f, "10001.user", there ? "alice.user" : NULL);
	mobile_expect_file(f, "alice:laptops.membership", there ? "{}\n" : NULL);
	mobile_expect_file(f, "alice:staff10000.membership", NULL);
}

void
mobile_expect_warning(const struct fixture *f, const char *text)
{
	const char *warning = cm_trace_find(f->t, "warning");

	if (text == NULL && warning != NULL)
		fail_msg("a warning: %s", warning);
	if (text != NULL && (warning == NULL || strstr(warning, text) == NULL))
		fail_msg("\"%s\" is not in: %s", text, warning != NULL ? warning : "(no warning)");
}
