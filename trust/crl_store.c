/*
 * trust/crl_store.c - indexes of revocation lists on disk: found by the issuer's key, replaced whole or not at all.
 *
 *	trust.crl_dir/KEY/SCOPE.crl	the list in force of this key and scope
 *	                 /SCOPE.delta	a delta CRL of the same
 *	                 /SCOPE.gone	what lists of the same revoked that are not in force any more (crl_gone.c)
 *	                 /PATH.file	a list in an administrator's file, where another is in force
 *	                 /new.RANDOM	being written, and locked by who writes it
 *	                 /part.URL	of a list what came before it broke off, and
 *	                 /part.URL.etag	what tells that the rest belongs to it
 *	                 /lock		held while names change
 *	                 /ask.QUESTION	held by the login that asks a server, for others to wait (flight.c)
 *
 * KEY, SCOPE, PATH, URL and QUESTION are the first 16 hex digits of a SHA-256: of the issuer's SubjectPublicKeyInfo, of the
 * list's issuer and issuingDistributionPoint (DER), of the file's path, of the address, of that and with OCSP the serial number.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trust/crl_internal.h"

#define LOCK_MS		1000	/* names change in far less */
#define NEW		CM_CRL_NEW
#define PART		CM_CRL_PART
#define PUBLIC	0644
#define PART_MAX_AGE	(7 * 86400)	/* seconds */

void
cm_crl_hex_name(const uint8_t digest[32], const char *end, char *name, size_t size)
{
	for (size_t i = 0; i < 8; i++)
		snprintf(name + 2 * i, size - 2 * i, "%02x", digest[i]);
	snprintf(name + 16, size - 16, "%s", end);
}

/* Only who may do anything here may have written it. */
bool
cm_crl_folder_counts(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()) && (st.st_mode & 022) == 0;
}

/*
 * Lists are public, and processes that are not root's read those that root
 * keeps: files first, so that nobody is let in to see that there is a file and
 * not what it says.  Locks stay root's.
 */
static void
let_read(int folder)
{
	static const char *const public[] = { ".crl", ".delta", ".gone", ".file", NULL };
	const struct cm_crl_store s = { .folder = folder };
	const struct dirent *e;
	struct stat st;
	DIR *d;

	if (geteuid() != 0 || fstat(folder, &st) != 0 || st.st_uid != 0 || (st.st_mode & 0055) == 0055)
		return;
	d = cm_crl_store_entries(&s);
	while (d != NULL && (e = readdir(d)) != NULL)
		if (cm_folder_name_ends(e->d_name, public))
			(void)!fchmodat(folder, e->d_name, PUBLIC, 0);
	if (d != NULL && fchmod(folder, 0755) == 0)
		(void)fsync(folder);
	if (d != NULL)
		closedir(d);
}

static int
open_folder(int at, const char *name, bool make)
{
	int fd;

	if (make && mkdirat(at, name, 0700) != 0 && errno != EEXIST)
		return -1;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (cm_crl_folder_counts(fd)) {
		if (make)
			let_read(fd);
		return fd;
	}
	close(fd);
	errno = EPERM;
	return -1;
}

/* An ordinary user may not have one, and without the folder it would lie in nothing is kept here at all: not amiss. */
static void
warn(struct cm_buf *warning, const char *path, int why)
{
	if (warning == NULL || why == ENOENT || (geteuid() != 0 && why == EACCES))
		return;
	/* Of one key after another the same. */
	if (strstr(cm_buf_str(warning), path) == NULL)
		cm_buf_addf(warning, "%s%s: no revocation list %s: %s", warning->len > 0 ? "; " : "", path,
		    why == EPERM ? "there counts, and none can be kept" : "can be kept there",
		    why == EPERM ? CM_CRL_FOLDER_WRONG : strerror(why));
}

void
cm_crl_store_open(struct cm_crl_store *s, const char *path, const uint8_t issuer_key[32], bool keeps,
    struct cm_buf *warning)
{
	char name[CM_CRL_NAME];
	int top;

	*s = (struct cm_crl_store){ .folder = -1, .keeps = keeps, .issuer_key = issuer_key };
	if (path == NULL)
		return;
	cm_crl_hex_name(issuer_key, "", name, sizeof(name));
	if ((top = open_folder(AT_FDCWD, path, keeps)) >= 0)
		s->folder = open_folder(top, name, keeps);
	if (s->folder < 0 && (keeps || errno == EPERM))
		warn(warning, path, errno);
	if (top >= 0)
		close(top);
}

void
cm_crl_store_close(struct cm_crl_store *s)
{
	if (s->folder >= 0)
		close(s->folder);
	s->folder = -1;
}

/* Of this key, and whole; or NULL. */
struct cm_crl_index *
cm_crl_store_open_index(const struct cm_crl_store *s, const char *name)
{
	const int fd = openat(s->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct cm_crl_index *x = NULL;
	struct cm_buf why;

	if (fd < 0)
		return NULL;
	cm_buf_init(&why, 0);
	if (cm_crl_index_open(fd, &x, &why) == CM_OK &&
	    memcmp(x->issuer_key, s->issuer_key, sizeof(x->issuer_key)) != 0)
		cm_crl_index_close(&x);
	cm_buf_free(&why);
	close(fd);
	return x;
}

DIR *
cm_crl_store_entries(const struct cm_crl_store *s)
{
	const int fd = s->folder >= 0 ? openat(s->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

bool
cm_crl_store_load(const struct cm_crl_store *s, struct cm_crl_index **head)
{
	static const char *const in_force[] = { ".crl", ".delta", ".gone", NULL }, *const beside[] = { ".file", NULL },
	    *const gone[] = { ".gone", NULL };
	DIR *d = cm_crl_store_entries(s);
	const struct dirent *e;
	bool whole = true;

	while (d != NULL && (e = readdir(d)) != NULL) {
		const bool is_beside = cm_folder_name_ends(e->d_name, beside), is_gone = cm_folder_name_ends(e->d_name, gone);
		struct cm_crl_index *x;

		if (!is_beside && !cm_folder_name_ends(e->d_name, in_force))
			continue;
		if ((x = cm_crl_store_open_index(s, e->d_name)) == NULL) {
			/* A list is fetched again; this nobody has. */
			whole = whole && !(is_gone && faccessat(s->folder, e->d_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
			continue;
		}
		x->beside = is_beside;
		x->gone = is_gone;
		x->next = *head;
		*head = x;
	}
	if (d != NULL)
		closedir(d);
	return whole;
}

static int
compare_numbers(const struct cm_crl_number *a, const struct cm_crl_number *b)
{
	return memcmp(a->octets, b->octets, sizeof(a->octets));
}

bool
cm_crl_is_older(const struct cm_crl_about *a, const struct cm_crl_about *b)
{
	return a->this_update < b->this_update || (a->number.there && b->number.there &&
	    compare_numbers(&a->number, &b->number) < 0);
}

bool
cm_crl_same_scope(const struct cm_crl_about *a, const struct cm_crl_about *b)
{
	return cm_blob_equal(a->issuer, b->issuer) && cm_blob_equal(a->scope, b->scope);
}

bool
cm_crl_delta_fits(const struct cm_crl_about *delta, const struct cm_crl_about *base)
{
	return cm_crl_same_scope(delta, base) && delta->number.there && base->number.there &&
	    compare_numbers(&delta->base, &base->number) <= 0 && compare_numbers(&delta->number, &base->number) >= 0;
}

void
cm_crl_name_in_force(const struct cm_crl_about *a, char name[CM_CRL_NAME])
{
	uint8_t digest[32] = { 0 };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	/* Without memory all get one name: then the next import replaces it. */
	if (ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(ctx, a->issuer.ptr, a->issuer.len) == 1 &&
	    EVP_DigestUpdate(ctx, a->scope.ptr, a->scope.len) == 1)
		EVP_DigestFinal_ex(ctx, digest, NULL);
	EVP_MD_CTX_free(ctx);
	cm_crl_hex_name(digest, a->delta ? ".delta" : ".crl", name, CM_CRL_NAME);
}

void
cm_crl_number_text(const struct cm_crl_number *n, struct cm_buf *out)
{
	size_t first = 0;
	uint64_t value = 0;

	if (!n->there)
		return;
	while (first < sizeof(n->octets) - 1 && n->octets[first] == 0)
		first++;
	if (sizeof(n->octets) - first > sizeof(value)) {
		cm_buf_add_str(out, "0x");
		cm_buf_add_hex(out, (struct cm_blob){ n->octets + first, sizeof(n->octets) - first });
		return;
	}
	for (; first < sizeof(n->octets); first++)
		value = value << 8 | n->octets[first];
	cm_buf_addf(out, "%llu", (unsigned long long)value);
}

void
cm_crl_describe(const struct cm_crl_about *a, struct cm_buf *out)
{
	char when[CM_TIME_SIZE];

	if (a->number.there) {
		cm_buf_add_str(out, "number ");
		cm_crl_number_text(&a->number, out);
		cm_buf_add_str(out, ", ");
	}
	cm_buf_addf(out, "of %s", cm_clock_text(a->this_update, when));
}

/* Held until the descriptor is closed; -1: errno. */
int
cm_crl_store_lock(const struct cm_crl_store *s)
{
	const int fd = s->folder < 0 ? -1 : openat(s->folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	const cm_deadline most = cm_deadline_in(LOCK_MS), d = s->until != 0 ? cm_deadline_earlier(most, s->until) : most;

	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK || cm_deadline_passed(d)) {
			const int why = errno == EWOULDBLOCK ? EBUSY : errno;

			close(fd);
			errno = why;
			return -1;
		}
		nanosleep(&(const struct timespec){ .tv_nsec = 2000000 }, NULL);
	}
	return fd;
}

/* The file system's clock may be a tick ahead of time(2)'s. */
bool
cm_crl_part_is_recent(int fd)
{
	const time_t now = time(NULL);
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size > 0 && st.st_mtime <= now + 1 && now - st.st_mtime < PART_MAX_AGE;
}

/* What nobody holds was left by who was killed; what broke off long ago nobody goes on with. */
static void
sweep(const struct cm_crl_store *s)
{
	DIR *d = cm_crl_store_entries(s);
	const struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		int left;

		const bool is_part = strncmp(e->d_name, PART, strlen(PART)) == 0;

		if ((!is_part && strncmp(e->d_name, NEW, strlen(NEW)) != 0) ||
		    (left = openat(s->folder, e->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) < 0)
			continue;
		if (is_part ? !cm_crl_part_is_recent(left) : flock(left, LOCK_EX | LOCK_NB) == 0)
			unlinkat(s->folder, e->d_name, 0);
		close(left);
	}
	if (d != NULL)
		closedir(d);
}

/* While names are locked. */
int
cm_crl_store_create_locked(const struct cm_crl_store *s, char name[CM_CRL_NAME])
{
	uint64_t random = 0;
	int fd = -1;

	name[0] = '\0';
	if (getrandom(&random, sizeof(random), 0) == sizeof(random)) {
		snprintf(name, CM_CRL_NAME, NEW "%016llx", (unsigned long long)random);
		fd = openat(s->folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	if (fd >= 0 && geteuid() == 0)
		(void)fchmod(fd, PUBLIC);
	/* Nobody else can have taken it. */
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		name[0] = '\0';
	return fd;
}

int
cm_crl_store_create(const struct cm_crl_store *s, char name[CM_CRL_NAME])
{
	int held, fd;

	name[0] = '\0';
	if ((held = cm_crl_store_lock(s)) < 0)
		return -1;
	sweep(s);
	fd = cm_crl_store_create_locked(s, name);
	close(held);
	return fd;
}

/* In place: 12 octets that say of themselves whether they are whole. */
static enum cm_err
write_confirmed(int fd, const struct cm_crl_index *x, time_t now)
{
	uint8_t trailer[CM_CRL_TRAILER];

	cm_crl_index_write_trailer(x->seed, x->about.entries, now, trailer);
	return pwrite(fd, trailer, sizeof(trailer), (off_t)(x->size - sizeof(trailer))) == sizeof(trailer) ? CM_OK : CM_ERR_SYSTEM;
}

enum cm_err
cm_crl_store_confirm(const struct cm_crl_store *s, const struct cm_crl_index *x, time_t now)
{
	enum cm_err err = CM_ERR_SYSTEM;
	struct cm_crl_index *same = NULL;
	char name[CM_CRL_NAME];
	int held, fd = -1;

	if ((held = cm_crl_store_lock(s)) < 0)
		return err;
	cm_crl_name_in_force(&x->about, name);
	if ((same = cm_crl_store_open_index(s, name)) == NULL || same->size != x->size ||
	    memcmp(same->map, x->map, x->header_size) != 0)
		err = CM_ERR_ABSENT;
	else if ((fd = openat(s->folder, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) >= 0)
		err = write_confirmed(fd, x, now);
	if (fd >= 0)
		close(fd);
	cm_crl_index_close(&same);
	close(held);
	return err;
}

