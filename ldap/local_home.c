/* ldap/local_home.c - certificates and keys that people authorised in their home directories. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/thread.h"
#include "ldap/local_internal.h"

/* Largest file, bytes. */
#define HOME_FILE_MAX	((size_t)256 << 10)

/* What is read: pam_pkcs11's opensc and openssh mappers read the same. */
static const struct home_file {
	const char *folder, *name;
	void (*add)(struct cm_buf *text, struct cm_buf *values);
} home_files[] = {
	{ ".eid", "authorized_certificates", cm_home_certificates },
	{ ".ssh", "authorized_keys", cm_home_ssh_keys },
};

/*
 * A home may be on a server that is gone, and open(2) has no deadline: so a
 * thread reads, and who waits for it may leave.  Whoever is last frees.
 */
struct cm_home_job {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done, left;	/* done: the files are read; left: nobody waits */
	char *home;
	uid_t uid;
	struct {
		struct cm_buf text;
		const char *refused;	/* why its content does not count: static */
		int error;		/* errno: it could not be read */
	} files[CM_COUNT(home_files)];
};

static void
free_job(struct cm_home_job *j)
{
	for (size_t i = 0; i < CM_COUNT(j->files); i++)
		cm_buf_free(&j->files[i].text);
	pthread_cond_destroy(&j->changed);
	pthread_mutex_destroy(&j->lock);
	free(j->home);
	free(j);
}

/* sshd(8) StrictModes: others could have put it there */
static const char *
check_owner(int fd, uid_t uid, bool folder)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || (folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode)))
		return folder ? "not a folder" : "not a regular file";
	if (st.st_uid != 0 && st.st_uid != uid)
		return "belongs to somebody else";
	if ((st.st_mode & 022) != 0)
		return "others may write it: chmod go-w it";
	return !folder && (size_t)st.st_size > HOME_FILE_MAX ? "larger than 256 KiB" : NULL;
}

/*
 * A socket in a file's place; a file system of the user's own that keeps root
 * out, or whose server is gone (fuse(8)).  Whose home it is could take the file
 * away as well, and keeps nobody else waiting.
 */
static bool
is_own_making(int error)
{
	return error == ENXIO || error == ENODEV || error == ENOTCONN || (error == EACCES && geteuid() == 0);
}

/* What is not there is no failure, and neither is a link: it is nothing of the user's own. */
static int
open_in(int folder, const char *name, int flags, struct cm_home_job *j, size_t i)
{
	const bool wants_folder = (flags & O_DIRECTORY) != 0;
	const int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);

	if (fd < 0 && errno == ELOOP)
		j->files[i].refused = "is a symbolic link";
	else if (fd < 0 && is_own_making(errno))
		j->files[i].refused = "cannot be opened: no file, or root is kept out";
	else if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
		j->files[i].error = errno;
	if (fd < 0 || (j->files[i].refused = check_owner(fd, j->uid, wants_folder)) == NULL)
		return fd;
	close(fd);
	return -1;
}

static void
read_text(int fd, struct cm_home_job *j, size_t i)
{
	struct cm_buf *text = &j->files[i].text;
	char chunk[4096];
	ssize_t n;

	cm_buf_init(text, HOME_FILE_MAX);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0 && cm_buf_status(text) == CM_OK)
		cm_buf_add(text, chunk, (size_t)n);
	if (n < 0)
		j->files[i].error = errno;
	else if (cm_buf_status(text) != CM_OK)	/* it grew while it was read */
		j->files[i].refused = "larger than 256 KiB";
}

static void
read_home(struct cm_home_job *j, size_t i)
{
	int home = -1, folder = -1, file = -1;

	/* the home itself may be a link: passwd(5) is root's word */
	if ((home = open_in(AT_FDCWD, j->home, O_DIRECTORY, j, i)) < 0 ||
	    (folder = open_in(home, home_files[i].folder, O_DIRECTORY | O_NOFOLLOW, j, i)) < 0 ||
	    (file = open_in(folder, home_files[i].name, O_NOFOLLOW, j, i)) < 0)
		goto out;
	read_text(file, j, i);
out:
	if (file >= 0)
		close(file);
	if (folder >= 0)
		close(folder);
	if (home >= 0)
		close(home);
}

static void *
work(void *arg)
{
	struct cm_home_job *j = arg;
	bool left;

	for (size_t i = 0; i < CM_COUNT(home_files); i++)
		read_home(j, i);
	pthread_mutex_lock(&j->lock);
	j->done = true;
	left = j->left;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
	if (left)
		free_job(j);
	return NULL;
}

/* False: nobody waits any more, and the job is the thread's. */
static bool
wait_for(struct cm_home_job *j, cm_deadline deadline)
{
	const struct timespec until = { deadline / 1000, deadline % 1000 * 1000000 };
	bool done;

	pthread_mutex_lock(&j->lock);
	while (!j->done && pthread_cond_timedwait(&j->changed, &j->lock, &until) == 0)
		;
	done = j->done;
	j->left = !done;
	pthread_mutex_unlock(&j->lock);
	return done;
}

static struct cm_home_job *
new_job(const char *root, struct cm_blob home, uid_t uid)
{
	struct cm_home_job *j = calloc(1, sizeof(*j));
	pthread_condattr_t attr;
	struct cm_buf path = { 0 };

	if (j == NULL)
		return NULL;
	j->uid = uid;
	cm_buf_add_str(&path, root);
	cm_buf_add_blob(&path, home);
	j->home = cm_buf_take(&path);
	cm_buf_free(&path);
	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (j->home != NULL)
		return j;
	free_job(j);
	return NULL;
}

static bool
start(struct cm_home_job *j)
{
	pthread_attr_t attr;
	pthread_t thread;
	bool started;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	started = cm_thread_start(&thread, &attr, work, j) == 0;
	pthread_attr_destroy(&attr);
	return started;
}

static void
note_unread(struct cm_homes *h, const char *path, const char *why)
{
	struct cm_buf b = { 0 };

	cm_trace_add(h->trace, "home not read", "%s: %s", path, why);
	cm_buf_addf(&b, "%s: %s", path, why);
	if (h->unread == NULL)
		h->unread = cm_buf_take(&b);
	cm_buf_free(&b);
}

static void
take_job(struct cm_homes *h, struct cm_buf *values)
{
	struct cm_home_job *j = h->job;

	for (size_t i = 0; i < CM_COUNT(home_files); i++) {
		if (j->files[i].error != 0)
			note_unread(h, j->home, strerror(j->files[i].error));
		else if (j->files[i].refused != NULL)
			cm_trace_add(h->trace, "file ignored", "%s/%s/%s: it or its folder %s", j->home,
			    home_files[i].folder, home_files[i].name, j->files[i].refused);
		else if (j->files[i].text.len > 0)
			home_files[i].add(&j->files[i].text, values);
	}
}

/* An absolute path of passwd(5) that stays where it says; anything else is nobody's home. */
static bool
is_home(struct cm_blob home)
{
	return home.len > 1 && home.ptr[0] == '/' && memchr(home.ptr, '\0', home.len) == NULL &&
	    memmem(home.ptr, home.len, "/..", 3) == NULL;
}

void
cm_homes_read(struct cm_homes *h, const char *root, struct cm_blob home, uid_t uid,
    struct cm_buf *values)
{
	if (!is_home(home) || h->unread != NULL)
		return;
	if ((h->job = new_job(root, home, uid)) == NULL || !start(h->job)) {
		note_unread(h, "home directories", "no memory, or no thread");
	} else if (wait_for(h->job, h->deadline)) {
		take_job(h, values);
	} else {
		struct cm_buf path = { 0 };	/* the job may be gone by now */

		h->job = NULL;
		cm_buf_add_printable(&path, home);
		note_unread(h, cm_buf_str(&path), "no answer in time");
		cm_buf_free(&path);
	}
}

void
cm_homes_forget(struct cm_homes *h)
{
	if (h->job != NULL)
		free_job(h->job);
	h->job = NULL;
}

enum cm_err
cm_homes_status(const struct cm_homes *h)
{
	return h->unread == NULL ? CM_OK :
	    cm_trace_fail(h->trace, CM_REASON_DIRECTORY_OFFLINE, "%s", h->unread);
}

void
cm_homes_clear(struct cm_homes *h)
{
	cm_homes_forget(h);
	free(h->unread);
	h->unread = NULL;
}

static void
add_value(struct cm_buf *values, const char *attribute, const uint8_t *from, const uint8_t *to)
{
	const struct cm_value v = { cm_blob_str(attribute), { from, (size_t)(to - from) } };

	cm_buf_add(values, &v, sizeof(v));
}

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* RFC 7468 section 5: the base64 between two lines, over itself. */
static void
add_certificate(uint8_t *from, const uint8_t *to, struct cm_buf *values)
{
	uint8_t *w = from;
	size_t len;

	for (const uint8_t *r = from; r < to; r++)
		if (!is_space(*r))
			*w++ = *r;
	len = cm_base64_parse((struct cm_blob){ from, (size_t)(w - from) }, true, from);
	if (len > 0 && len != SIZE_MAX)
		add_value(values, CM_HOME_CERTIFICATE, from, from + len);
}

void
cm_home_certificates(struct cm_buf *text, struct cm_buf *values)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
	uint8_t *at = text->ptr, *last = at + text->len, *stop;

	while (text->len > 0 && (at = memmem(at, (size_t)(last - at), begin, sizeof(begin) - 1)) != NULL) {
		at += sizeof(begin) - 1;
		if ((stop = memmem(at, (size_t)(last - at), end, sizeof(end) - 1)) == NULL)
			return;
		add_certificate(at, stop, values);
		at = stop + sizeof(end) - 1;
	}
}

/* A kind of key that a card's certificate may have; a line with options before it gives less than a login. */
static size_t
key_type(const uint8_t *p, const uint8_t *end)
{
	static const char *const types[] = {
		"ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
		"ssh-ed25519",
	};

	for (size_t i = 0; i < CM_COUNT(types); i++) {
		const size_t len = strlen(types[i]);

		if ((size_t)(end - p) > len && memcmp(p, types[i], len) == 0 && is_space(p[len]))
			return len;
	}
	return 0;
}

/* sshd(8) AUTHORIZED_KEYS FILE FORMAT: kind, key, comment; the first two with one space between them. */
static void
add_ssh_key(uint8_t *line, const uint8_t *end, struct cm_buf *values)
{
	uint8_t *p = line, *key, *w;
	size_t len;

	while (p < end && is_space(*p))
		p++;
	if ((len = key_type(p, end)) == 0)
		return;
	for (key = p + len; key < end && is_space(*key);)
		key++;
	for (w = p + len, *w++ = ' '; key < end && !is_space(*key);)
		*w++ = *key++;
	add_value(values, CM_HOME_SSH_KEY, p, w);
}

void
cm_home_ssh_keys(struct cm_buf *text, struct cm_buf *values)
{
	uint8_t *last = text->len > 0 ? text->ptr + text->len : NULL;

	for (uint8_t *line = text->ptr, *nl; line < last; line = nl < last ? nl + 1 : last) {
		nl = memchr(line, '\n', (size_t)(last - line));
		nl = nl != NULL ? nl : last;
		add_ssh_key(line, nl, values);
	}
}
