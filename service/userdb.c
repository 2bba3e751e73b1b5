/* service/userdb.c - files by which nss-systemd(8) knows an account: what is in them, and how they come and go. */
#include "service/userdb.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

#define LOCK_MS		2000
#define CONTENT_MAX	((size_t)65536)
#define TEMPORARY	".cardmap-"	/* nss-systemd looks for names that end in what these do not */

/* ---- what is written */

static bool
digest(const struct cm_userdb_file *f, uint8_t out[32])
{
	struct cm_buf b = { 0 };
	bool ok;

	cm_buf_add_str(&b, f->link ? "link:" : "file:");
	cm_buf_add_str(&b, f->content);
	ok = cm_buf_status(&b) == CM_OK && EVP_Digest(b.ptr, b.len, out, NULL, EVP_sha256(), NULL) == 1;
	cm_buf_free(&b);
	return ok;
}

static bool
has(const struct cm_userdb_files *f, const char *name)
{
	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->rows[i].name, name) == 0)
			return true;
	return false;
}

/* name and content are given.  What has a file already keeps that. */
static enum cm_err
add(struct cm_userdb_files *f, char *name, char *content, bool link)
{
	struct cm_userdb_file *row;
	enum cm_err err = CM_ERR_NOMEM;

	if (name == NULL || content == NULL || strlen(name) > CM_USERDB_NAME_MAX)
		goto no;
	if (has(f, name)) {
		err = CM_OK;
		goto no;
	}
	if (f->count == f->room) {
		const size_t room = f->room > 0 ? 2 * f->room : 16;
		struct cm_userdb_file *more = realloc(f->rows, room * sizeof(*more));

		if (more == NULL)
			goto no;
		f->rows = more;
		f->room = room;
	}
	row = &f->rows[f->count];
	*row = (struct cm_userdb_file){ .name = name, .content = content, .link = link };
	if (!digest(row, row->digest))
		goto no;
	f->count++;
	return CM_OK;
no:
	free(name);
	free(content);
	return err;
}

__attribute__((format(printf, 1, 2))) static char *
make(const char *format, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	return text;
}

/* o is given.  Compact and in the order of the keys: the same account is the same file. */
static char *
write_json(json_t *o)
{
	char *text = o != NULL ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL, *line = text != NULL ? make("%s\n", text) : NULL;

	free(text);
	json_decref(o);
	return line;
}

static void
set_text(json_t *o, const char *key, const char *value)
{
	if (o != NULL && value[0] != '\0')
		json_object_set_new(o, key, json_string(value));
}

/* json_string() takes nothing that is no UTF-8; what cannot be said is refused, not left out. */
static bool
is_utf8(const char *text)
{
	json_t *s = json_string(text);

	json_decref(s);
	return s != NULL;
}

/* The whole list of keys. */
static json_t *
describe_user(const struct cm_account *a)
{
	json_t *o = json_pack("{s:s, s:I, s:I}", "userName", a->name, "uid", (json_int_t)a->uid, "gid", (json_int_t)a->gid);

	set_text(o, "realName", a->gecos);
	set_text(o, "homeDirectory", a->home);
	set_text(o, "shell", a->shell);
	return o;
}

static enum cm_err
add_group(const char *name, gid_t gid, struct cm_userdb_files *out)
{
	char *file = make("%s.group", name), *number = make("%u.group", gid);
	enum cm_err err = CM_OK;

	/* One name, one number: a second group of either would describe the first anew. */
	if (file != NULL && number != NULL && (has(out, file) || has(out, number)))
		goto out;
	if ((err = add(out, file, write_json(json_pack("{s:s, s:I}", "groupName", name, "gid", (json_int_t)gid)), false)) == CM_OK)
		err = add(out, number, make("%s.group", name), true);
	else
		free(number);
	return err;
out:
	free(file);
	free(number);
	return err;
}

static bool
is_described(const struct cm_userdb_files *f, const char *group)
{
	char *file = make("%s.group", group);
	const bool is = file != NULL && has(f, file);

	free(file);
	return is;
}

static enum cm_err
add_groups(const struct cm_account *a, struct cm_userdb_files *out)
{
	bool named = false, primary_named = false;
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < a->group_count; i++) {
		const struct cm_group *g = &a->groups[i];

		named = named || strcmp(g->name, a->name) == 0;
		primary_named = primary_named || g->gid == a->gid;
		if (!g->local)
			err = add_group(g->name, g->gid, out);
		/* Of a name that is described nowhere a group of this computer's may come to have it. */
		if (err == CM_OK && g->gid != a->gid && (g->local || is_described(out, g->name)))
			err = add(out, make("%s:%s.membership", a->name, g->name), strdup("{}\n"), false);
	}
	/* A primary group that the directory has no name for gets the user's own. */
	if (err == CM_OK && !primary_named && !named)
		err = add_group(a->name, a->gid, out);
	return err;
}

enum cm_err
cm_userdb_describe(const struct cm_account *a, struct cm_trace *t, struct cm_userdb_files *out)
{
	const char *const texts[] = { a->name, a->gecos, a->home, a->shell };
	enum cm_err err;

	for (size_t i = 0; i < CM_COUNT(texts); i++)
		if (!is_utf8(texts[i]) || strpbrk(texts[i], "\n:") != NULL)
			return cm_trace_fail(t, CM_REASON_ACCOUNT_MALFORMED, "account %s: a text of it can stand in no record of a user", a->name);
	if (strchr(a->name, '/') != NULL || a->name[0] == '.' || a->name[0] == '\0')
		return cm_trace_fail(t, CM_REASON_ACCOUNT_MALFORMED, "account %s: no file can have this name", a->name);
	for (size_t i = 0; i < a->group_count; i++)
		if (strpbrk(a->groups[i].name, "/:\n") != NULL || a->groups[i].name[0] == '.' || !is_utf8(a->groups[i].name))
			return cm_trace_fail(t, CM_REASON_ACCOUNT_MALFORMED, "account %s: no file can have the name of its group %s", a->name,
			    a->groups[i].name);
	if ((err = add(out, make("%s.user", a->name), write_json(describe_user(a)), false)) != CM_OK ||
	    (err = add(out, make("%u.user", a->uid), make("%s.user", a->name), true)) != CM_OK)
		return err;
	return add_groups(a, out);
}

void
cm_userdb_files_free(struct cm_userdb_files *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->rows[i].name);
		free(f->rows[i].content);
	}
	free(f->rows);
	*f = (struct cm_userdb_files){ .rows = NULL };
}

/* ---- the folder */

struct cm_userdb {
	int fd;
	char *path;
};

enum cm_err
cm_userdb_lock(struct cm_userdb *u, struct cm_trace *t)
{
	const cm_deadline deadline = cm_deadline_in(LOCK_MS);

	while (flock(u->fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s", u->path, strerror(errno));
		if (cm_deadline_passed(deadline))
			return cm_trace_fail(t, CM_REASON_SYSTEM, "%s: another process works on it", u->path);
		poll(NULL, 0, 2);
	}
	return CM_OK;
}

/* Others must see what is in it, whatever this process's umask is. */
static int
open_folder(const char *path)
{
	const bool made = mkdir(path, 0755) == 0;
	const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 && made)
		(void)fchmod(fd, 0755);
	return fd;
}

enum cm_err
cm_userdb_open(const char *path, struct cm_trace *t, struct cm_userdb **out)
{
	struct cm_userdb *u = calloc(1, sizeof(*u));
	const char *wrong = NULL;
	struct stat st;

	*out = NULL;
	if (u == NULL || (u->path = strdup(path)) == NULL) {
		free(u);
		return CM_ERR_NOMEM;
	}
	if ((u->fd = open_folder(path)) < 0 || fstat(u->fd, &st) != 0)
		wrong = strerror(errno);
	else if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022) != 0)
		wrong = "others than root may write it: chown root it, and chmod go-w";
	if (wrong == NULL) {
		*out = u;
		return CM_OK;
	}
	cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s", path, wrong);
	cm_userdb_close(&u);
	return CM_ERR_SYSTEM;
}

void
cm_userdb_close(struct cm_userdb **u)
{
	if (*u == NULL)
		return;
	if ((*u)->fd >= 0)
		close((*u)->fd);
	free((*u)->path);
	free(*u);
	*u = NULL;
}

/* As it is there; content is the caller's, NULL: it is neither file nor link, or too large. */
static char *
read_entry(const struct cm_userdb *u, const char *name, const struct stat *st)
{
	char *content = (size_t)st->st_size < CONTENT_MAX ? calloc(1, (size_t)st->st_size + 1) : NULL;
	ssize_t n = -1;
	int fd;

	if (content == NULL)
		return NULL;
	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(u->fd, name, content, (size_t)st->st_size);
	} else if (S_ISREG(st->st_mode) && (fd = openat(u->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)) >= 0) {
		n = read(fd, content, (size_t)st->st_size);
		close(fd);
	}
	if (n == st->st_size && strlen(content) == (size_t)n)
		return content;
	free(content);
	return NULL;
}

enum cm_userdb_look
cm_userdb_look(const struct cm_userdb *u, const char *name, const struct cm_userdb_mark *mark)
{
	struct cm_userdb_file f = { .name = NULL };
	enum cm_userdb_look look = CM_USERDB_FOREIGN;
	struct stat st;

	if (fstatat(u->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? CM_USERDB_ABSENT : CM_USERDB_FOREIGN;
	if (mark == NULL || (st.st_uid != 0 && st.st_uid != geteuid()))
		return CM_USERDB_FOREIGN;
	if (S_ISREG(st.st_mode) && st.st_size == 0)
		return CM_USERDB_OURS;
	f.link = S_ISLNK(st.st_mode);
	if ((f.content = read_entry(u, name, &st)) != NULL && digest(&f, f.digest)) {
		if (memcmp(f.digest, mark->now, sizeof(f.digest)) == 0)
			look = CM_USERDB_CURRENT;
		else if (memcmp(f.digest, mark->before, sizeof(f.digest)) == 0)
			look = CM_USERDB_OURS;
	}
	free(f.content);
	return look;
}

bool
cm_userdb_is_same(const struct cm_userdb *u, const char *one, const char *other)
{
	struct stat a, b;

	return fstatat(u->fd, one, &a, 0) == 0 && fstatat(u->fd, other, &b, 0) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static enum cm_err
cannot(const struct cm_userdb *u, const char *name, struct cm_trace *t)
{
	return cm_trace_fail(t, CM_REASON_SYSTEM, "%s/%s: %s", u->path, name, strerror(errno));
}

/* A point for each step of each file: "alice.user", "alice.user:made", ":filled", ":named". */
static enum cm_err
fault(const struct cm_userdb_file *f, const char *step)
{
	enum cm_err err = CM_OK;
#ifdef CM_FAULT_POINTS
	char *point = make("%s%s", f->name, step);

	err = point != NULL ? cm_fault_point(point) : CM_ERR_NOMEM;
	free(point);
#else
	(void)f;
	(void)step;
#endif
	return err;
}

static bool
fill(const struct cm_userdb *u, const char *temp, const struct cm_userdb_file *f)
{
	const size_t len = strlen(f->content);
	int fd, error = 0;

	if (f->link)
		return symlinkat(f->content, u->fd, temp) == 0;
	if ((fd = openat(u->fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
		return false;
	(void)!fault(f, ":made");
	if (write(fd, f->content, len) != (ssize_t)len)
		error = errno != 0 ? errno : ENOSPC;
	else if (fchmod(fd, 0644) != 0)
		error = errno;
	if (close(fd) != 0 && error == 0)
		error = errno;
	errno = error;
	return error == 0;
}

enum cm_err
cm_userdb_write(struct cm_userdb *u, const struct cm_userdb_file *f, bool new, struct cm_trace *t)
{
	char temp[64];
	enum cm_err err = CM_OK;

	if ((err = fault(f, "")) != CM_OK)
		return cm_trace_fail(t, CM_REASON_INJECTED, "fault point %s", f->name);
	snprintf(temp, sizeof(temp), TEMPORARY "%d", (int)getpid());
	(void)unlinkat(u->fd, temp, 0);	/* only who has the lock makes them */
	errno = 0;
	if (!fill(u, temp, f)) {
		err = cannot(u, f->name, t);
	} else if ((err = fault(f, ":filled")) != CM_OK) {
		cm_trace_fail(t, CM_REASON_INJECTED, "fault point %s:filled", f->name);
	} else if (!new) {
		if (renameat(u->fd, temp, u->fd, f->name) != 0)
			err = cannot(u, f->name, t);
	} else if (renameat2(u->fd, temp, u->fd, f->name, RENAME_NOREPLACE) != 0) {
		err = errno == EEXIST ? CM_ERR_STATE : cannot(u, f->name, t);
	}
	if (err != CM_OK)
		(void)unlinkat(u->fd, temp, 0);
	else
		(void)!fault(f, ":named");
	return err;
}

enum cm_err
cm_userdb_remove(struct cm_userdb *u, const char *name, struct cm_trace *t)
{
	return unlinkat(u->fd, name, 0) == 0 || errno == ENOENT ? CM_OK : cannot(u, name, t);
}

void
cm_userdb_sweep(struct cm_userdb *u)
{
	const int fd = openat(u->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		if (strncmp(e->d_name, TEMPORARY, strlen(TEMPORARY)) == 0)
			(void)unlinkat(u->fd, e->d_name, 0);
	if (d != NULL)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}
