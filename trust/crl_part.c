/* trust/crl_part.c - of a list what came before it broke off: kept, and taken when it is gone on with. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "trust/crl_internal.h"

/* "part.<16 hex of the URL>"; its ETag stands in a file beside. */
static void
name_part(const char *url, const char *end, char name[CM_CRL_NAME])
{
	uint8_t digest[32] = { 0 };

	EVP_Digest(url, strlen(url), digest, NULL, EVP_sha256(), NULL);
	memcpy(name, CM_CRL_PART, strlen(CM_CRL_PART));
	cm_crl_hex_name(digest, end, name + strlen(CM_CRL_PART), CM_CRL_NAME - strlen(CM_CRL_PART));
}

static bool
read_etag(const struct cm_crl_store *s, const char *name, char *etag, size_t size)
{
	const int fd = openat(s->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const ssize_t n = fd >= 0 ? read(fd, etag, size - 1) : -1;

	if (fd >= 0)
		close(fd);
	etag[n > 0 ? n : 0] = '\0';
	return n > 0;
}

int
cm_crl_store_take_part(const struct cm_crl_store *s, const char *url, char name[CM_CRL_NAME], char *etag, size_t size)
{
	char part[CM_CRL_NAME], beside[CM_CRL_NAME];
	uint64_t random = 0;
	int held, fd = -1;

	name_part(url, "", part);
	name_part(url, ".etag", beside);
	name[0] = '\0';
	if ((held = cm_crl_store_lock(s)) < 0)
		return -1;
	if (read_etag(s, beside, etag, size) && getrandom(&random, sizeof(random), 0) == sizeof(random) &&
	    (fd = openat(s->folder, part, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) >= 0) {
		snprintf(name, CM_CRL_NAME, CM_CRL_NEW "%016llx", (unsigned long long)random);
		/* Under the new name nobody else goes on with it, and it is swept away if this process ends. */
		if (!cm_crl_part_is_recent(fd) || flock(fd, LOCK_EX | LOCK_NB) != 0 || renameat(s->folder, part, s->folder, name) != 0) {
			close(fd);
			fd = -1;
			name[0] = '\0';
		}
	}
	unlinkat(s->folder, beside, 0);
	unlinkat(s->folder, part, 0);
	close(held);
	return fd;
}

static bool
write_etag(const struct cm_crl_store *s, const char *name, const char *etag)
{
	const int fd = openat(s->folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	const bool ok = fd >= 0 && write(fd, etag, strlen(etag)) == (ssize_t)strlen(etag);

	if (fd >= 0)
		close(fd);
	return ok;
}

enum cm_err
cm_crl_store_keep_part(const struct cm_crl_store *s, const char *url, const char *name, const char *etag)
{
	char part[CM_CRL_NAME], beside[CM_CRL_NAME];
	enum cm_err err = CM_ERR_SYSTEM;
	int held;

	name_part(url, "", part);
	name_part(url, ".etag", beside);
	if ((held = cm_crl_store_lock(s)) < 0)
		return err;
	/* Never one's octets with the other's ETag, whenever this ends. */
	unlinkat(s->folder, part, 0);
	if (!write_etag(s, beside, etag))
		unlinkat(s->folder, beside, 0);
	else if (renameat(s->folder, name, s->folder, part) == 0)
		err = CM_OK;
	close(held);
	return err;
}

void
cm_crl_store_remove(const struct cm_crl_store *s, const char *name)
{
	unlinkat(s->folder, name, 0);
}
