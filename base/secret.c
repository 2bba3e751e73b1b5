/* base/secret.c - a PIN or a key in memory: locked, kept out of core files, wiped. */
#include "base/secret.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* The struct lives in the locked page itself: nothing of a secret is on the heap. */
struct cm_secret {
	size_t len;
	uint8_t bytes[CM_SECRET_MAX];
};

static size_t
page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t
body_size(void)
{
	const size_t page = page_size();

	return (sizeof(struct cm_secret) + page - 1) / page * page;
}

static enum cm_err
allocate(struct cm_secret **out)
{
	const size_t page = page_size(), body = body_size();
	uint8_t *map = mmap(NULL, body + 2 * page, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return CM_ERR_NOMEM;
	if (mprotect(map + page, body, PROT_READ | PROT_WRITE) != 0 ||
	    mlock2(map + page, body, 0) != 0 ||
	    madvise(map + page, body, MADV_DONTDUMP) != 0 ||
	    madvise(map + page, body, MADV_WIPEONFORK) != 0) {
		munmap(map, body + 2 * page);
		return CM_ERR_SYSTEM;
	}
	*out = (struct cm_secret *)(void *)(map + page);
	return CM_OK;
}

void
cm_secret_free(struct cm_secret **s)
{
	const size_t page = page_size(), body = body_size();

	if (*s == NULL)
		return;
	explicit_bzero(*s, sizeof(**s));
	munmap((uint8_t *)*s - page, body + 2 * page);
	*s = NULL;
}

enum cm_err
cm_secret_new(struct cm_blob v, struct cm_secret **out)
{
	enum cm_err err;

	*out = NULL;
	if (v.len > CM_SECRET_MAX)
		return CM_ERR_SYNTAX;
	if ((err = allocate(out)) != CM_OK)
		return err;
	if (v.len > 0)
		memcpy((*out)->bytes, v.ptr, v.len);
	(*out)->len = v.len;
	return CM_OK;
}

/* One byte, so that nothing behind the newline is taken from the caller's pipe or terminal. */
static enum cm_err
read_byte(int fd, cm_deadline deadline, uint8_t *byte, bool *end)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	for (;;) {
		const int ready = poll(&p, 1, cm_deadline_left(deadline));

		if (ready == 0)
			return CM_ERR_OFFLINE;
		if (ready < 0 && errno != EINTR)
			return CM_ERR_SYSTEM;
		if (ready < 0)
			continue;
		if ((n = read(fd, byte, 1)) >= 0)
			break;
		if (errno != EINTR && errno != EAGAIN)
			return CM_ERR_SYSTEM;
	}
	*end = n == 0 || *byte == '\n';
	return CM_OK;
}

static enum cm_err
read_line(int fd, cm_deadline deadline, struct cm_secret *s)
{
	enum cm_err err;
	uint8_t byte = 0;
	bool end = false;

	while ((err = read_byte(fd, deadline, &byte, &end)) == CM_OK && !end) {
		if (s->len == CM_SECRET_MAX) {
			err = CM_ERR_SYNTAX;
			break;
		}
		s->bytes[s->len++] = byte;
	}
	explicit_bzero(&byte, sizeof(byte));
	if (err == CM_OK && s->len == 0)
		err = CM_ERR_ABSENT;
	return err;
}

enum cm_err
cm_secret_read(int fd, cm_deadline deadline, struct cm_secret **out)
{
	enum cm_err err;

	*out = NULL;
	if ((err = allocate(out)) != CM_OK)
		return err;
	if ((err = read_line(fd, deadline, *out)) != CM_OK)
		cm_secret_free(out);
	return err;
}

struct cm_blob
cm_secret_bytes(const struct cm_secret *s)
{
	return s != NULL ? (struct cm_blob){ s->bytes, s->len } : (struct cm_blob){ NULL, 0 };
}

__attribute__((noinline)) void
cm_secret_wipe_stack(void)
{
	uint8_t below[(size_t)64 << 10];	/* deeper than libpcsclite goes */

	explicit_bzero(below, sizeof(below));
}

void
cm_secret_harden_process(void)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit lock = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	/*
	 * Libraries hold copies that are not ours to place: OpenSSL's key, krb5's
	 * session key, a PIN on its way to the reader.  Only root may lock that much,
	 * and who was given leave to.
	 */
	if (geteuid() == 0 || (getrlimit(RLIMIT_MEMLOCK, &lock) == 0 && lock.rlim_cur == RLIM_INFINITY))
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}
