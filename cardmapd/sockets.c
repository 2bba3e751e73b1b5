/* cardmapd/sockets.c - the sockets between our own processes: SOCK_SEQPACKET, in a folder of root's. */
#include "cardmapd/sockets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static enum cm_err
make_folder(const char *path, mode_t mode, struct cm_trace *t)
{
	struct stat st;
	const mode_t former = umask(0);
	const int made = mkdir(path, mode);

	umask(former);
	if (made != 0 && errno != EEXIST)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s", path, strerror(errno));
	if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: this is no folder: take it away", path);
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022) != 0)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: others may write to it: chown root and chmod go-w it", path);
	return CM_OK;
}

enum cm_err
cm_sockets_make_folders(const char *dir, struct cm_trace *t)
{
	char private[4096];
	enum cm_err err;

	snprintf(private, sizeof(private), "%s/private", dir);
	/* 0711: the resolver reaches the one socket in it that is open to its group, and nobody sees which there are. */
	if ((err = make_folder(dir, 0755, t)) == CM_OK)
		err = make_folder(private, 0711, t);
	return err;
}

static bool
address_of(const char *path, struct sockaddr_un *to)
{
	const size_t len = strlen(path);

	*to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len >= sizeof(to->sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(to->sun_path, path, len);
	return true;
}

/* Nobody can connect before listen(2), so the name has its owner and mode by then. */
static bool
place(int fd, const struct sockaddr_un *to, mode_t mode, gid_t group)
{
	if (unlink(to->sun_path) != 0 && errno != ENOENT)
		return false;
	return fchmod(fd, 0600) == 0 && bind(fd, (const struct sockaddr *)to, sizeof(*to)) == 0 &&
	    (group == (gid_t)-1 || lchown(to->sun_path, (uid_t)-1, group) == 0) &&
	    chmod(to->sun_path, mode) == 0 && listen(fd, SOMAXCONN) == 0;
}

enum cm_err
cm_sockets_listen(const char *path, mode_t mode, gid_t group, struct cm_trace *t, int *out)
{
	struct sockaddr_un to;
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*out = -1;
	if (fd >= 0 && address_of(path, &to) && place(fd, &to, mode, group)) {
		*out = fd;
		return CM_OK;
	}
	cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return CM_ERR_SYSTEM;
}

int
cm_sockets_connect(const char *path)
{
	struct sockaddr_un to;
	/* Non-blocking: a queue that is full is a failure, nothing to wait for. */
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && (!address_of(path, &to) || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)) {
		const int e = errno;

		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

int
cm_sockets_accept(int listener, uid_t *uid)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0) {
		close(fd);
		return -1;
	}
	*uid = fd >= 0 ? who.uid : (uid_t)-1;
	return fd;
}
