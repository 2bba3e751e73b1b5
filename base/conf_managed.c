/* base/conf_managed.c - the folder managed.d: files of a management system, whose values win. */
#include "base/conf_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"

#define FILES_MAX	256

static bool
ends_in(const char *name, const char *end)
{
	const size_t len = strlen(name), end_len = strlen(end);

	return name[0] != '.' && len > end_len && strcmp(name + len - end_len, end) == 0;
}

static int
by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whoever may write the folder may put files of root's there that were never meant for it. */
static enum cm_err
check_folder(int fd, const char *folder, struct cm_trace *t)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: %s", folder, strerror(errno));
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: owned by uid %u: chown root it", folder, st.st_uid);
	if ((st.st_mode & 022) != 0)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: others may write it: chmod go-w it", folder);
	return CM_OK;
}

static enum cm_err
list(DIR *d, const char *folder, struct cm_trace *t, char ***names)
{
	enum cm_err err = CM_OK;
	struct dirent *e;

	while (err == CM_OK && (e = readdir(d)) != NULL) {
		if (ends_in(e->d_name, ".conf") && cm_list_length(*names) == FILES_MAX)
			return cm_trace_fail(t, CM_REASON_CONFIG, "%s: more than %d files; make them fewer", folder, FILES_MAX);
		if (ends_in(e->d_name, ".conf"))
			err = cm_list_add(names, cm_blob_str(e->d_name));
		else if (ends_in(e->d_name, ".plist") || ends_in(e->d_name, ".mobileconfig"))
			cm_trace_add(t, "left out", "%s/%s: property lists are not read here; cardmap import plist FILE writes "
			    "the same as a .conf file", folder, e->d_name);
	}
	if (*names != NULL)
		qsort(*names, cm_list_length(*names), sizeof(**names), by_bytes);
	return err;
}

/* A rule of that name that was there before is no more. */
static void
replace_rules(struct cm_conf *c, size_t before)
{
	for (size_t i = before; i < c->rule_count; i++)
		for (size_t k = 0; k < before; k++) {
			if (strcmp(c->rules[k].name, c->rules[i].name) != 0)
				continue;
			cm_conf_rule_clear(&c->rules[k]);
			memmove(&c->rules[k], &c->rules[k + 1], (c->rule_count - k - 1) * sizeof(*c->rules));
			c->rule_count--;
			before--;
			i--;
			break;
		}
}

static enum cm_err
read_file(const char *folder, const char *name, struct cm_conf *c, struct cm_trace *t)
{
	const size_t before = c->rule_count;
	struct cm_buf path = { 0 };
	enum cm_err err;

	cm_buf_addf(&path, "%s/%s", folder, name);
	if ((err = cm_buf_status(&path)) == CM_OK)
		err = cm_conf_read(cm_buf_str(&path), c, t);
	if (err == CM_ERR_ABSENT)	/* listed, and then taken away: a broken link, or just now */
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: no such file, though the folder has its name", cm_buf_str(&path));
	if (err == CM_OK)
		replace_rules(c, before);
	cm_buf_free(&path);
	return err;
}

static void
mark(const char *folder, struct cm_conf *c)
{
	const size_t len = strlen(folder);
	size_t count;

	cm_conf_rows(&count);
	for (size_t i = 0; i < count; i++)
		c->managed[i] = c->origins[i] != NULL && strncmp(c->origins[i], folder, len) == 0 && c->origins[i][len] == '/';
}

static enum cm_err
read_folder(int fd, const char *folder, struct cm_conf *c, struct cm_trace *t)
{
	char **names = NULL;
	enum cm_err err = check_folder(fd, folder, t);
	DIR *d = err == CM_OK ? fdopendir(fd) : NULL;

	if (d == NULL) {
		close(fd);
		return err != CM_OK ? err : CM_ERR_NOMEM;
	}
	err = list(d, folder, t, &names);
	closedir(d);
	for (size_t i = 0; err == CM_OK && i < cm_list_length(names); i++)
		err = read_file(folder, names[i], c, t);
	if (err == CM_OK)
		mark(folder, c);
	cm_list_free(&names);
	return err;
}

enum cm_err
cm_conf_read_managed(const char *path, struct cm_conf *c, struct cm_trace *t)
{
	const char *slash = strrchr(path, '/');
	struct cm_buf folder = { 0 };
	enum cm_err err;
	int fd;

	if (slash != NULL)
		cm_buf_add(&folder, path, (size_t)(slash + 1 - path));
	cm_buf_add_str(&folder, CM_CONF_MANAGED);
	if ((err = cm_buf_status(&folder)) != CM_OK)
		goto out;
	fd = open(cm_buf_str(&folder), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		err = read_folder(fd, cm_buf_str(&folder), c, t);
	else if (errno != ENOENT && !(errno == ENOTDIR && access(cm_buf_str(&folder), F_OK) != 0))
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: it must be a folder that everybody may read, and no link: %s",
		    cm_buf_str(&folder), strerror(errno));
out:
	cm_buf_free(&folder);
	return err;
}
