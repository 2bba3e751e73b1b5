/*
 * trust/flight.c - the same question of several logins is sent once.
 *
 * Who asks holds a lock on KEY/ask.HASH in the folder of lists; the hash is of
 * the address, and with OCSP of the serial number too.  Who finds it taken
 * waits, and then looks for the answer before it asks.  Nobody asks for longer
 * than a login may: who holds it for longer stands still (a person may stop
 * sudo at its prompt), and is waited for no more.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trust/inquiry_internal.h"

#define NAME_SIZE	24	/* "ask." and 16 digits */
#define TRIES		8	/* each for one who took the file away meanwhile */
#define SLACK		2	/* seconds: for who keeps what came, and for the file system's clock */

static bool
name_of(const struct cm_lane *l, char name[NAME_SIZE])
{
	const struct cm_evidence *e = &l->about->name;
	uint8_t digest[32];
	struct cm_buf text;
	bool ok;

	cm_buf_init(&text, 0);
	cm_buf_add_str(&text, l->urls[l->at]);
	if (l->kind == CM_SOURCE_OCSP) {
		cm_buf_add_byte(&text, '\0');
		cm_buf_add_hex(&text, (struct cm_blob){ e->serial, e->serial_len });
	}
	ok = cm_buf_status(&text) == CM_OK && EVP_Digest(text.ptr, text.len, digest, NULL, EVP_sha256(), NULL) == 1;
	snprintf(name, NAME_SIZE, "ask.");
	for (int n = 0; ok && n < 8; n++)
		snprintf(name + 4 + 2 * n, NAME_SIZE - 4 - (size_t)(2 * n), "%02x", digest[n]);
	cm_buf_free(&text);
	return ok;
}

static int
open_folder(const struct cm_inquiry *i, const struct cm_lane *l, struct cm_crl_store *s)
{
	cm_crl_store_open(s, i->trust->o.crl_dir, l->about->name.issuer_key, i->trust->o.crl_keep, NULL);
	return s->keeps ? s->folder : -1;
}

/* Is fd still what this name leads to? */
static bool
is_there(int folder, const char *name, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(folder, name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino;
}

/* The file's time is when it was taken; one ahead is of another clock, and tells nothing. */
static bool
stands_still(int fd, int64_t ms)
{
	const time_t now = cm_clock_now();
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mtime > now + SLACK || now - st.st_mtime > ms / 1000 + SLACK);
}

static enum cm_flight
take(int folder, const char *name, int64_t ms, int *out)
{
	for (int n = 0; n < TRIES; n++) {
		const int fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

		if (fd < 0)
			return CM_FLIGHT_NONE;
		if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
			const bool still = stands_still(fd, ms);

			close(fd);
			return still ? CM_FLIGHT_NONE : CM_FLIGHT_TAKEN;
		}
		/* One that was left behind by who was killed is as old as that. */
		(void)futimens(fd, NULL);
		if (is_there(folder, name, fd)) {
			*out = fd;
			return CM_FLIGHT_OURS;
		}
		close(fd);
	}
	return CM_FLIGHT_TAKEN;
}

enum cm_flight
cm_flight_take(const struct cm_inquiry *i, struct cm_lane *l)
{
	struct cm_crl_store s;
	char name[NAME_SIZE];
	enum cm_flight f = CM_FLIGHT_NONE;

	if (i->trust->o.crl_dir == NULL || !i->trust->o.crl_keep || !name_of(l, name))
		return f;
	if (open_folder(i, l, &s) >= 0)
		f = take(s.folder, name, i->length, &l->flight);
	cm_crl_store_close(&s);
	return f;
}

/* Removed while it is still locked: who waits for it sees that it has another one to take. */
void
cm_flight_release(const struct cm_inquiry *i, struct cm_lane *l)
{
	struct cm_crl_store s;
	char name[NAME_SIZE];

	if (l->flight < 0)
		return;
	if (l->at < l->url_count && name_of(l, name)) {
		if (open_folder(i, l, &s) >= 0 && is_there(s.folder, name, l->flight))
			unlinkat(s.folder, name, 0);
		cm_crl_store_close(&s);
	}
	close(l->flight);
	l->flight = -1;
}
