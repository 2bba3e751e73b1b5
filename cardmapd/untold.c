/* cardmapd/untold.c - ccaches that have a name, and of which nobody was told yet. */
#include "cardmapd/untold.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "krb5/ccache_put.h"

#define PREFIX		"untold."
#define FILE_MAX	((size_t)64 << 10)
#define GROUPS_MAX	1024
#define FILES_MAX	1024
#define SETTLE_MS	2000	/* for each: nobody can log in meanwhile */

/* ---- writing */

static json_t *
describe(const struct cm_daemon *d, const struct cm_account *a)
{
	json_t *groups = json_array();

	for (size_t i = 0; i < a->group_count && i < GROUPS_MAX; i++)
		json_array_append_new(groups, json_integer((json_int_t)a->groups[i].gid));
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "ccache", d->conf->kerberos.ccache, "user", a->name, "principal", a->principal,
	    "uid", (json_int_t)a->uid, "gid", (json_int_t)a->gid, "groups", groups);
}

static bool
write_whole(const char *path, int fd, json_t *o)
{
	const bool whole = o != NULL && json_dumpfd(o, fd, JSON_COMPACT) == 0;

	if (!whole)
		(void)unlink(path);
	return whole;
}

void
cm_untold_note(const struct cm_daemon *d, const struct cm_account *account, char **path)
{
	struct cm_buf name = { 0 };
	json_t *o = describe(d, account);
	int fd = -1;

	cm_buf_addf(&name, "%s/private/" PREFIX "XXXXXX", d->run_dir);
	*path = cm_buf_take(&name);
	if (*path != NULL && (fd = mkostemp(*path, O_CLOEXEC)) >= 0 && !write_whole(*path, fd, o)) {
		close(fd);
		fd = -1;
	}
	if (fd < 0) {
		cm_log_event(d->conf->service.log, "login", CM_ERR_SYSTEM, CM_REASON_SYSTEM, "%s/private: %s: should this process die now, "
		    "a ccache of %s is left", d->run_dir, strerror(errno), account->name);
		free(*path);
		*path = NULL;
	} else {
		close(fd);
	}
	json_decref(o);
	cm_buf_free(&name);
}

void
cm_untold_told(char **path)
{
	if (*path != NULL)
		(void)unlink(*path);
	free(*path);
	*path = NULL;
}

/* ---- what a process before this one left */

static bool
take_id(const json_t *n, unsigned *to)
{
	const json_int_t v = json_integer_value(n);

	*to = (unsigned)v;
	return json_is_integer(n) && v > 0 && v < UINT32_MAX;
}

/* The rows are a's; texts are o's.  What cardmapd wrote of an account that it let in is neither root's nor a group's of root. */
static bool
take_account(const json_t *o, struct cm_account *a)
{
	const json_t *groups = json_object_get(o, "groups"), *gid;
	size_t i;

	a->name = (char *)(uintptr_t)json_string_value(json_object_get(o, "user"));
	a->principal = (char *)(uintptr_t)json_string_value(json_object_get(o, "principal"));
	if (a->name == NULL || a->principal == NULL || !take_id(json_object_get(o, "uid"), &a->uid) ||
	    !take_id(json_object_get(o, "gid"), &a->gid) || !json_is_array(groups) || json_array_size(groups) > GROUPS_MAX ||
	    (a->groups = calloc(json_array_size(groups) + 1, sizeof(*a->groups))) == NULL)
		return false;
	json_array_foreach(groups, i, gid)
		if (!take_id(gid, &a->groups[a->group_count++].gid))
			return false;
	return true;
}

static enum cm_err
take_away(const struct cm_daemon *d, const json_t *o, struct cm_trace *t)
{
	struct cm_account a = { .group_count = 0 };
	const struct cm_ccache_put p = { .program = d->ccache_program, .pattern = json_string_value(json_object_get(o, "ccache")), .account = &a };
	enum cm_err err = CM_ERR_SYNTAX;

	if (p.pattern != NULL && take_account(o, &a))
		err = cm_ccache_remove(&p, cm_deadline_in(SETTLE_MS), t);
	if (err == CM_OK)
		cm_log_event(d->conf->service.log, "login", CM_OK, CM_REASON_NONE, "a ccache of %s is taken away, of which nobody was told: "
		    "the process that made it ended", a.name);
	free(a.groups);
	return err;
}

static void
settle(const struct cm_daemon *d, const char *path)
{
	struct cm_buf text = { 0 };
	struct cm_trace *t = NULL;
	json_t *o = NULL;
	enum cm_err err = cm_trace_new(&t);

	if (err == CM_OK && (err = cm_file_read(path, FILE_MAX, CM_FILE_SECRET, t, &text)) == CM_OK)
		err = (o = json_loadb(cm_buf_str(&text), text.len, JSON_REJECT_DUPLICATES, NULL)) != NULL ? take_away(d, o, t) : CM_ERR_SYNTAX;
	if (err != CM_OK && t != NULL)
		cm_log_event(d->conf->service.log, "login", err, cm_trace_reason(t), "%s: a ccache of nobody may be left: %s", path,
		    cm_trace_reason(t) != CM_REASON_NONE ? cm_trace_message(t) : "it is not what cardmapd writes");
	(void)unlink(path);
	json_decref(o);
	cm_buf_free(&text);
	cm_trace_free(&t);
}

void
cm_untold_settle(const struct cm_daemon *d)
{
	struct cm_buf path = { 0 };
	const struct dirent *e;
	unsigned left = FILES_MAX;
	DIR *dir;

	cm_buf_addf(&path, "%s/private", d->run_dir);
	dir = cm_buf_status(&path) == CM_OK ? opendir(cm_buf_str(&path)) : NULL;
	while (dir != NULL && left-- > 0 && (e = readdir(dir)) != NULL) {
		cm_buf_truncate(&path, 0);
		cm_buf_addf(&path, "%s/private/%s", d->run_dir, e->d_name);
		if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0 && cm_buf_status(&path) == CM_OK)
			settle(d, cm_buf_str(&path));
	}
	if (dir != NULL)
		closedir(dir);
	cm_buf_free(&path);
}
