/* service/local.c - this computer's own accounts, against those of a directory: /etc/passwd and /etc/group, without NSS. */
#include "service/local.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_OCTETS	((size_t)1 << 20)	/* a group may have many members */

/* glibc asks before each line where in the file it is: the kernel, unless it was told so once. */
static void
tell_start(FILE *f)
{
	if (f != NULL)
		(void)!fseeko(f, 0, SEEK_SET);
}

/* What counts is the file that is open. */
static FILE *
open_checked(const char *path, struct cm_trace *t)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	const char *wrong = NULL;
	FILE *f = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		wrong = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		wrong = "is no file";
	else if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022) != 0)
		wrong = "is not root's alone to write";
	else if ((f = fdopen(fd, "re")) == NULL)
		wrong = strerror(errno);
	if (wrong != NULL)
		cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s: who is of this computer cannot be told", path, wrong);
	if (f == NULL && fd >= 0)
		close(fd);
	tell_start(f);
	return f;
}

struct files {
	FILE *f;
	char *line;	/* LINE_MAX_OCTETS */
	char *path;
};

static void
close_file(struct files *s)
{
	if (s->f != NULL)
		fclose(s->f);
	free(s->line);
	free(s->path);
	*s = (struct files){ .f = NULL };
}

static enum cm_err
open_file(const char *etc, const char *name, struct cm_trace *t, struct files *s)
{
	struct cm_buf path = { 0 };

	*s = (struct files){ .f = NULL };
	cm_buf_addf(&path, "%s/%s", etc != NULL ? etc : "/etc", name);
	if ((s->path = cm_buf_take(&path)) == NULL || (s->line = malloc(LINE_MAX_OCTETS)) == NULL)
		return CM_ERR_NOMEM;
	s->f = open_checked(s->path, t);
	return s->f != NULL ? CM_OK : CM_ERR_SYSTEM;
}

static enum cm_err
broken(const struct files *s, int error, struct cm_trace *t)
{
	return cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s: who is of this computer cannot be told", s->path, strerror(error));
}

static enum cm_err
set_text(char **text, const char *value)
{
	char *copy = strdup(value != NULL ? value : "");

	if (copy == NULL)
		return CM_ERR_NOMEM;
	free(*text);
	*text = copy;
	return CM_OK;
}

static enum cm_err
take_entry(const struct passwd *p, struct cm_account *a)
{
	enum cm_err err;

	a->gid = p->pw_gid;
	if ((err = set_text(&a->home, p->pw_dir)) != CM_OK || (err = set_text(&a->shell, p->pw_shell)) != CM_OK)
		return err;
	return set_text(&a->gecos, p->pw_gecos);
}

/* A local account that is said to be there: *seen. */
static enum cm_err
meet_user(const struct passwd *p, struct cm_account *a, struct cm_trace *t, bool *seen)
{
	const bool same_name = strcmp(p->pw_name, a->name) == 0, same_uid = p->pw_uid == a->uid;

	if (a->local) {
		if (!same_name || *seen)
			return CM_OK;
		*seen = true;
		if (!same_uid)
			return cm_trace_fail(t, CM_REASON_LOCAL_COLLISION, "the local account %s has uid %u here, and not %u", a->name,
			    p->pw_uid, a->uid);
		return take_entry(p, a);
	}
	if (same_name)
		return cm_trace_fail(t, CM_REASON_LOCAL_COLLISION, "the directory's account %s (%s) has the name of an account of this "
		    "computer's", a->name, a->dn);
	if (same_uid)
		return cm_trace_fail(t, CM_REASON_LOCAL_COLLISION, "the directory's account %s (%s) has uid %u, which is %s's on this "
		    "computer", a->name, a->dn, a->uid, p->pw_name);
	return CM_OK;
}

static enum cm_err
check_users(const char *etc, struct cm_account *a, struct cm_trace *t)
{
	struct passwd entry, *p = NULL;
	bool seen = false;
	struct files s;
	int error = 0;
	enum cm_err err = open_file(etc, "passwd", t, &s);

	while (err == CM_OK && (error = fgetpwent_r(s.f, &entry, s.line, LINE_MAX_OCTETS, &p)) == 0)
		err = meet_user(p, a, t, &seen);
	if (err == CM_OK && error != ENOENT)
		err = broken(&s, error, t);
	if (err == CM_OK && a->local && !seen)
		err = cm_trace_fail(t, CM_REASON_LOCAL_COLLISION, "%s has no account %s, which is said to be local", s.path, a->name);
	close_file(&s);
	return err;
}

struct cm_account_limits
cm_local_limits(const struct cm_conf *conf)
{
	return (struct cm_account_limits){
		.first_uid = conf->accounts.first_uid, .first_gid = conf->accounts.first_gid,
		.local_groups = (const char *const *)conf->accounts.local_groups,
	};
}

static void
drop_group(struct cm_account *a, size_t i, const struct group *here, struct cm_trace *t)
{
	cm_trace_add(t, "group dropped", "%s (gid %u): %s is a group of this computer's (gid %u)", a->groups[i].name, a->groups[i].gid,
	    here->gr_name, here->gr_gid);
	free(a->groups[i].name);
	memmove(&a->groups[i], &a->groups[i + 1], (a->group_count - i - 1) * sizeof(*a->groups));
	a->group_count--;
}

/* One and the same, as glibc's "[SUCCESS=merge]" means it: not a name here that is a number there. */
static bool
is_same_group(const struct group *here, const struct cm_group *g)
{
	return here->gr_gid == g->gid && strcmp(here->gr_name, g->name) == 0;
}

static bool
may_be_primary(const struct group *here, const char *const *listed, const struct cm_account *a)
{
	for (size_t i = 0; i < a->group_count; i++)
		if (is_same_group(here, &a->groups[i]))
			return cm_group_is_listed(listed, here->gr_name) && !cm_group_is_privileged(here->gr_name);
	return false;
}

static enum cm_err
meet_group(const struct group *g, const char *const *listed, struct cm_account *a, struct cm_trace *t)
{
	if (g->gr_gid == a->gid && !may_be_primary(g, listed, a))
		return cm_trace_fail(t, CM_REASON_LOCAL_COLLISION, "the directory's account %s (%s) has gid %u, which is group %s of "
		    "this computer's", a->name, a->dn, a->gid, g->gr_name);
	for (size_t i = a->group_count; i-- > 0;)
		if ((a->groups[i].gid == g->gr_gid || strcmp(a->groups[i].name, g->gr_name) == 0) &&
		    !(is_same_group(g, &a->groups[i]) && cm_group_is_listed(listed, g->gr_name)))
			drop_group(a, i, g, t);
	return CM_OK;
}

static enum cm_err
check_groups(const char *etc, const char *const *listed, struct cm_account *a, struct cm_trace *t)
{
	struct group entry, *g = NULL;
	struct files s;
	int error = 0;
	enum cm_err err = open_file(etc, "group", t, &s);

	while (err == CM_OK && (error = fgetgrent_r(s.f, &entry, s.line, LINE_MAX_OCTETS, &g)) == 0)
		err = meet_group(g, listed, a, t);
	if (err == CM_OK && error != ENOENT)
		err = broken(&s, error, t);
	close_file(&s);
	return err;
}

enum cm_err
cm_local_check(const char *etc, const struct cm_conf *conf, struct cm_account *a, struct cm_trace *t)
{
	const char *const *listed = (const char *const *)conf->accounts.local_groups;
	enum cm_err err = check_users(etc, a, t);

	if (err != CM_OK || !a->local)
		return err != CM_OK ? err : check_groups(etc, listed, a, t);
	while (a->group_count > 0)
		free(a->groups[--a->group_count].name);
	return CM_OK;
}

static bool
is_member(const struct group *g, const struct cm_local_member *m)
{
	if (strcmp(g->gr_name, m->group) != 0)
		return false;
	for (char *const *name = g->gr_mem; name != NULL && *name != NULL; name++)
		if (strcmp(*name, m->user) == 0)
			return true;
	return m->gid != 0 && g->gr_gid == m->gid;
}

enum cm_err
cm_local_is_member(const char *etc, const struct cm_local_member *m, struct cm_trace *t, bool *in)
{
	struct group entry, *g = NULL;
	struct files s;
	int error = 0;
	enum cm_err err = open_file(etc, "group", t, &s);

	*in = false;
	while (err == CM_OK && !*in && (error = fgetgrent_r(s.f, &entry, s.line, LINE_MAX_OCTETS, &g)) == 0)
		*in = is_member(g, m);
	if (err == CM_OK && !*in && error != ENOENT)
		err = broken(&s, error, t);
	close_file(&s);
	return err;
}

enum cm_err
cm_local_has_group(const char *etc, const char *name, struct cm_trace *t, bool *has)
{
	struct group entry, *g = NULL;
	struct files s;
	int error = 0;
	enum cm_err err = open_file(etc, "group", t, &s);

	*has = false;
	while (err == CM_OK && !*has && (error = fgetgrent_r(s.f, &entry, s.line, LINE_MAX_OCTETS, &g)) == 0)
		*has = strcmp(g->gr_name, name) == 0;
	if (err == CM_OK && !*has && error != ENOENT)
		err = broken(&s, error, t);
	close_file(&s);
	return err;
}

bool
cm_local_find_user(const char *name, bool (*is)(const struct passwd *, const char *), struct passwd *out,
    char texts[CM_LOCAL_TEXTS])
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *found = NULL;
	bool there = false;

	tell_start(f);
	while (f != NULL && !there && fgetpwent_r(f, out, texts, CM_LOCAL_TEXTS, &found) == 0)
		there = is(out, name);
	if (f != NULL)
		fclose(f);
	return there;
}
