/* base/wire_listen.c - sockets with a name: made, connected to, and taken over from the service manager. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/wire.h"

#define NAME_SIZE	(NAME_MAX + 1)
#define FIRST_INHERITED	3	/* SD_LISTEN_FDS_START, sd_listen_fds(3) */

/* A place: its folder is held open, so that what is done there is done in the folder that was looked at. */
struct place {
	const char *path, *name;
	int folder;
	struct cm_trace *trace;
};

static enum cm_err
fail(const struct place *p, const char *what)
{
	return cm_trace_fail(p->trace, CM_REASON_SYSTEM, "%s: %s: %s", p->path, what, strerror(errno));
}

static enum cm_err
check_folder(const struct place *p)
{
	struct stat st;

	if (fstat(p->folder, &st) != 0)
		return fail(p, "its folder");
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return cm_trace_fail(p->trace, CM_REASON_CONFIG, "%s: its folder belongs to uid %u: chown root it",
		    p->path, st.st_uid);
	if ((st.st_mode & 022) != 0)
		return cm_trace_fail(p->trace, CM_REASON_CONFIG, "%s: others may write to its folder: chmod go-w it", p->path);
	return CM_OK;
}

static enum cm_err
open_folder(struct place *p)
{
	const char *slash = strrchr(p->path, '/');
	char *folder;

	p->name = slash != NULL ? slash + 1 : "";
	if (p->path[0] != '/' || p->name[0] == '\0' || strcmp(p->name, ".") == 0 || strcmp(p->name, "..") == 0)
		return cm_trace_fail(p->trace, CM_REASON_CONFIG, "%s: write the whole path of a socket", p->path);
	if ((folder = strndup(p->path, slash == p->path ? 1 : (size_t)(slash - p->path))) == NULL)
		return CM_ERR_NOMEM;
	p->folder = open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	free(folder);
	if (p->folder >= 0)
		return check_folder(p);
	if (errno == ELOOP || errno == ENOTDIR)
		return cm_trace_fail(p->trace, CM_REASON_CONFIG, "%s: its folder is a link, or no folder: name the place itself",
		    p->path);
	return fail(p, "its folder");
}

/* Of those that start here at once one goes on; the kernel lets go of it when its holder dies. */
static enum cm_err
lock(const struct place *p, int *out)
{
	char name[NAME_SIZE];
	const int len = snprintf(name, sizeof(name), "%s.lock", p->name);

	if (len < 0 || (size_t)len >= sizeof(name))
		return cm_trace_fail(p->trace, CM_REASON_CONFIG, "%s: too long a name", p->path);
	*out = openat(p->folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (*out < 0)
		return fail(p, "its lock");
	if (flock(*out, LOCK_EX | LOCK_NB) == 0)
		return CM_OK;
	return errno == EWOULDBLOCK ? cm_trace_fail(p->trace, CM_REASON_CONFIG,
	    "%s: another process is just beginning to serve there", p->path) : fail(p, "its lock");
}

/* The name in the very folder that is open.  False: it does not fit. */
static bool
address_of(const struct place *p, struct sockaddr_un *to)
{
	*to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	const int len = snprintf(to->sun_path, sizeof(to->sun_path), "/proc/self/fd/%d/%s", p->folder, p->name);

	return len > 0 && (size_t)len < sizeof(to->sun_path);
}

/* Only a refused connection says that nobody is there: a queue that is full has somebody behind it. */
static bool
is_deserted(const struct sockaddr_un *to)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool deserted;

	if (fd < 0)
		return false;
	deserted = connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0 && errno == ECONNREFUSED;
	close(fd);
	return deserted;
}

static enum cm_err
clear_place(const struct place *p, const struct sockaddr_un *to)
{
	struct stat st;

	if (fstatat(p->folder, p->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? CM_OK : fail(p, "it");
	if (!S_ISSOCK(st.st_mode))
		return cm_trace_fail(p->trace, CM_REASON_CONFIG, "%s: something else than a socket lies there: take it away",
		    p->path);
	if (!is_deserted(to))
		return cm_trace_fail(p->trace, CM_REASON_CONFIG, "%s: another process serves there: stop it first", p->path);
	return unlinkat(p->folder, p->name, 0) == 0 ? CM_OK : fail(p, "what was left there");
}

static enum cm_err
make_socket(const struct place *p, const struct sockaddr_un *to, mode_t mode, int *fd)
{
	if ((*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return fail(p, "socket");
	/* bind(2) makes the name with the socket's mode less the umask; nobody can connect before listen(2). */
	if (fchmod(*fd, 0600) != 0 || bind(*fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
		return fail(p, "bind");
	if (fchmodat(p->folder, p->name, mode, 0) != 0 || listen(*fd, SOMAXCONN) != 0) {
		const int e = errno;

		unlinkat(p->folder, p->name, 0);
		errno = e;
		return fail(p, "listen");
	}
	return CM_OK;
}

enum cm_err
cm_wire_listen(const char *path, mode_t mode, struct cm_trace *t, int *out)
{
	struct place p = { .path = path, .folder = -1, .trace = t };
	struct sockaddr_un to;
	int held = -1, fd = -1;
	enum cm_err err;

	*out = -1;
	if ((err = open_folder(&p)) != CM_OK || (err = lock(&p, &held)) != CM_OK)
		goto out;
	if (!address_of(&p, &to)) {
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: too long a name", path);
		goto out;
	}
	if ((err = clear_place(&p, &to)) == CM_OK && (err = make_socket(&p, &to, mode, &fd)) == CM_OK) {
		*out = fd;
		fd = -1;
	}
out:
	if (fd >= 0)
		close(fd);
	if (held >= 0)
		close(held);
	if (p.folder >= 0)
		close(p.folder);
	return err;
}

void
cm_wire_allow(unsigned descriptors)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= descriptors)
		return;
	r.rlim_cur = r.rlim_max < descriptors ? r.rlim_max : descriptors;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

enum cm_err
cm_wire_accept(int listener, const struct cm_wire_limits *limits, struct cm_wire **out)
{
	*out = NULL;
	for (;;) {
		const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			return cm_wire_new(fd, limits, out);
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return CM_ERR_ABSENT;
		if (errno != EINTR && errno != ECONNABORTED)
			return CM_ERR_SYSTEM;
	}
}

/* connect(2) waits for room in the listener's queue, for as long as SO_SNDTIMEO says: unlike poll(2), which cannot. */
static int
connect_within(int fd, const struct sockaddr_un *to, cm_deadline deadline)
{
	for (;;) {
		const int left = cm_deadline_left(deadline);
		const struct timeval within = { left / 1000, left > 0 ? left % 1000 * 1000 : 1 };	/* 0 is for ever */

		if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &within, sizeof(within)) != 0)
			return errno;
		if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0)
			return 0;
		if (errno != EINTR)
			return errno;
	}
}

enum cm_err
cm_wire_connect(const char *path, const struct cm_wire_limits *limits, cm_deadline deadline,
    struct cm_wire **out)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const size_t len = strlen(path);
	int fd, e;

	*out = NULL;
	if (len == 0 || len >= sizeof(to.sun_path))
		return CM_ERR_USAGE;
	memcpy(to.sun_path, path, len);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		return CM_ERR_SYSTEM;
	if ((e = connect_within(fd, &to, deadline)) == 0)
		return cm_wire_new(fd, limits, out);
	close(fd);
	switch (e) {
	case EACCES:
	case EPERM:
		return CM_ERR_REFUSED;
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:
	case EAGAIN:
		return CM_ERR_OFFLINE;
	default:
		return CM_ERR_SYSTEM;
	}
}

/* ---- from the service manager */

/* A decimal number and nothing else. */
static bool
read_number(const char *text, unsigned long *out)
{
	char *end = NULL;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoul(text, &end, 10);
	return errno == 0 && *end == '\0';
}

static bool
is_listening(int fd, int *type)
{
	int domain = 0, listening = 0;
	socklen_t len = sizeof(int), type_len = sizeof(int), listening_len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, type, &type_len) == 0 && (*type == SOCK_STREAM || *type == SOCK_SEQPACKET) &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_len) == 0 && listening != 0;
}

/* One name for each socket, with colons between them.  Without the variable all are "unknown", as sd_listen_fds(3) has it. */
static bool
read_names(const char *names, struct cm_wire_inherited *out)
{
	for (size_t i = 0; i < out->count; i++) {
		const char *name = names != NULL ? names : "unknown";
		const size_t len = strcspn(name, ":");

		if (len >= CM_WIRE_NAME_SIZE)
			return false;
		memcpy(out->sockets[i].name, name, len);
		out->sockets[i].name[len] = '\0';
		if (names != NULL && (names[len] == ':') != (i + 1 < out->count))
			return false;
		if (names != NULL)
			names += len + 1;
	}
	return true;
}

/* All of them are ours from here on, be they usable or not. */
static bool
own_sockets(struct cm_wire_inherited *out)
{
	const int off = 0;
	bool all = true;
	int flags;

	for (size_t i = 0; i < out->count; i++) {
		const int fd = FIRST_INHERITED + (int)i;

		if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || !is_listening(fd, &out->sockets[i].type) ||
		    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off)) != 0 ||
		    (flags = fcntl(fd, F_GETFL)) < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
			all = false;
		out->sockets[i].fd = fd;
	}
	return all;
}

static enum cm_err
inherit(const char *count, const char *names, struct cm_trace *t, struct cm_wire_inherited *out)
{
	unsigned long n;

	if (!read_number(count, &n) || n > CM_WIRE_INHERITED_MAX)
		return cm_trace_fail(t, CM_REASON_CONFIG, "LISTEN_FDS=%s: no number up to %d", count, CM_WIRE_INHERITED_MAX);
	out->count = n;
	if (!own_sockets(out))
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "LISTEN_FDS=%s: not all of them are listening Unix sockets of streams or sequenced packets: mend the socket unit", count);
	if (!read_names(names, out))
		return cm_trace_fail(t, CM_REASON_CONFIG, "LISTEN_FDNAMES=%s: not one name for each of %s sockets",
		    names, count);
	return CM_OK;
}

enum cm_err
cm_wire_inherit(struct cm_trace *t, struct cm_wire_inherited *out)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
	unsigned long whose;
	enum cm_err err = CM_OK;

	*out = (struct cm_wire_inherited){ 0 };
	/* They may be meant for a process that started this one: then they are not ours, and no mistake. */
	if (pid != NULL && count != NULL) {
		if (!read_number(pid, &whose))
			err = cm_trace_fail(t, CM_REASON_CONFIG, "LISTEN_PID=%s: no process", pid);
		else if (whose == (unsigned long)getpid())
			err = inherit(count, names, t, out);
	}
	if (err != CM_OK)
		cm_wire_inherited_close(out);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return err;
}

int
cm_wire_inherited_take(struct cm_wire_inherited *i, const char *name, int type)
{
	for (size_t n = 0; n < i->count; n++) {
		const int fd = i->sockets[n].fd;

		if (fd >= 0 && i->sockets[n].type == type && strcmp(i->sockets[n].name, name) == 0) {
			i->sockets[n].fd = -1;
			return fd;
		}
	}
	return -1;
}

void
cm_wire_inherited_close(struct cm_wire_inherited *i)
{
	for (size_t n = 0; n < i->count; n++) {
		if (i->sockets[n].fd >= 0)
			close(i->sockets[n].fd);
		i->sockets[n].fd = -1;
	}
	i->count = 0;
}
