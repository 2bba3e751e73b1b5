/* trust/folder.c - folders of certificates and of revocation lists. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>

#include "trust/trust_internal.h"

bool
cm_folder_name_ends(const char *name, const char *const *ends)
{
	const size_t len = strlen(name);

	for (; name[0] != '.' && *ends != NULL; ends++)
		if (len > strlen(*ends) && strcmp(name + len - strlen(*ends), *ends) == 0)
			return true;
	return false;
}

bool
cm_folder_name_hashed(const char *name, const char *mark)
{
	const size_t hash = strspn(name, "0123456789abcdef");
	const char *number;

	if (hash != 8 || name[8] != '.' || strncmp(name + 9, mark, strlen(mark)) != 0)
		return false;
	number = name + 9 + strlen(mark);
	return number[0] != '\0' && number[strspn(number, "0123456789")] == '\0';
}

static enum cm_err
visit_file(const struct cm_folder *f, const char *name, struct cm_trace *t, cm_folder_visit visit,
    void *arg)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", f->path, name) >= sizeof(path))
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: path too long", f->path);
	return visit(arg, path);
}

enum cm_err
cm_folder_each(struct cm_folder *f, struct cm_trace *t, cm_folder_visit visit, void *arg)
{
	struct dirent **names = NULL;
	const int count = scandirat(f->fd, f->fd == AT_FDCWD ? f->path : ".", &names, NULL, alphasort);
	enum cm_err err = CM_OK;

	f->count = 0;
	if (count < 0)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: %s", f->path, strerror(errno));
	for (int i = 0; i < count; i++) {
		if (err == CM_OK && f->wants(names[i]->d_name, f->wants_arg)) {
			f->count++;
			err = visit_file(f, names[i]->d_name, t, visit, arg);
		}
		free(names[i]);
	}
	free(names);
	return err;
}
