/* krb5/ccache_write.c - a packed ticket becomes a ccache of whoever runs this. */
#include "krb5/ccache_write.h"

#include <errno.h>
#include <fcntl.h>
#include <krb5/krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

#define VERSION		0x0504
#define COMPONENTS_MAX	16
#define TEMPORARY_TRIES	100

struct cm_ccache_writer {
	krb5_context context;
	krb5_principal client;
	krb5_creds *creds;
	struct cm_blob ticket;
	const char *name;
	int nameless;		/* it is written, and has no name yet; -1: not */
	struct cm_buf *why;
};

static enum cm_err
say(struct cm_ccache_writer *w, enum cm_err err, const char *words)
{
	cm_buf_add_str(w->why, words);
	return err;
}

static enum cm_err
say_code(struct cm_ccache_writer *w, krb5_error_code code)
{
	const char *words = krb5_get_error_message(w->context, code);

	cm_buf_add_str(w->why, words);
	krb5_free_error_message(w->context, words);
	return code == ENOMEM ? CM_ERR_NOMEM : CM_ERR_SYSTEM;
}

/* ---- the ticket: MIT Kerberos, "Credential cache file format", version 4; numbers big end first */

/* What is left; once something did not fit, nothing fits. */
struct input {
	struct cm_blob left;
	bool broken;
};

static struct cm_blob
take(struct input *in, size_t len)
{
	const struct cm_blob v = { in->left.ptr, len };

	if (in->broken || len > in->left.len) {
		in->broken = true;
		return (struct cm_blob){ 0 };
	}
	in->left.ptr += len;
	in->left.len -= len;
	return v;
}

static uint32_t
take_number(struct input *in, size_t octets)
{
	const struct cm_blob v = take(in, octets);
	uint32_t n = 0;

	for (size_t i = 0; i < v.len; i++)
		n = n << 8 | v.ptr[i];
	return n;
}

static bool
part_is(const krb5_data *d, struct cm_blob v)
{
	return d->length == v.len && (v.len == 0 || memcmp(d->data, v.ptr, v.len) == 0);
}

/* The default principal of the ccache is the one that it is to be. */
static bool
is_client(struct input *in, krb5_const_principal wanted)
{
	uint32_t count;
	bool same;

	take_number(in, 4);	/* the name's type, which is only a hint: RFC 4120 section 6.2 */
	count = take_number(in, 4);
	same = !in->broken && count <= COMPONENTS_MAX && count == (uint32_t)wanted->length &&
	    part_is(&wanted->realm, take(in, take_number(in, 4)));
	for (uint32_t i = 0; same && i < count; i++)
		same = part_is(&wanted->data[i], take(in, take_number(in, 4)));
	return same && !in->broken;
}

/* libkrb5 reads one and looks no further: written again, it is all that there is. */
static bool
is_one_ticket(struct cm_ccache_writer *w, struct cm_blob v)
{
	const krb5_data data = { .length = (unsigned)v.len, .data = (char *)(uintptr_t)v.ptr };
	krb5_data *again = NULL;
	bool same;

	if (krb5_unmarshal_credentials(w->context, &data, &w->creds) != 0 ||
	    krb5_marshal_credentials(w->context, w->creds, &again) != 0)
		return false;
	same = part_is(again, v);
	explicit_bzero(again->data, again->length);
	krb5_free_data(w->context, again);
	return same && w->creds->client != NULL && krb5_principal_compare(w->context, w->creds->client, w->client);
}

static enum cm_err
read_ticket(struct cm_ccache_writer *w)
{
	struct input in = { .left = w->ticket };

	if (w->ticket.len > CM_CCACHE_TICKET_MAX)
		return say(w, CM_ERR_SYNTAX, "the ticket is too long");
	if (take_number(&in, 2) != VERSION)
		return say(w, CM_ERR_SYNTAX, "what came is no ticket");
	take(&in, take_number(&in, 2));		/* tags: the offset of the KDC's clock */
	if (!is_client(&in, w->client))
		return say(w, CM_ERR_SYNTAX, "the ticket that came is another principal's, or none");
	if (!is_one_ticket(w, in.left))
		return say(w, CM_ERR_SYNTAX, "what came is not one ticket of this principal");
	return CM_OK;
}

/* ---- FILE: */

static enum cm_err
write_all(struct cm_ccache_writer *w, int fd)
{
	struct cm_blob left = w->ticket;

	while (left.len > 0) {
		const ssize_t n = write(fd, left.ptr, left.len);

		if (n < 0 && errno != EINTR)
			return say(w, CM_ERR_SYSTEM, strerror(errno));
		left.ptr += n > 0 ? n : 0;
		left.len -= n > 0 ? (size_t)n : 0;
	}
	/* A full disk may be noticed only now; a file that is lost with the machine's power is asked for again. */
	return cm_fault_point("ccache.written");
}

/* Under a name of its own, first: 0 and the name, or an errno. */
static int
link_beside(int from, const char *path, char *beside, size_t size)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", from);
	for (unsigned i = 0; i < TEMPORARY_TRIES; i++) {
		if ((size_t)snprintf(beside, size, "%s.%u.%u", path, (unsigned)getpid(), i) >= size)
			return ENAMETOOLONG;
		if (linkat(AT_FDCWD, self, AT_FDCWD, beside, AT_SYMLINK_FOLLOW) == 0)
			return 0;
		if (errno != EEXIST)
			return errno;
	}
	return EEXIST;
}

/*
 * open(2), O_TMPFILE: the file has no name until it is whole, and goes with us if
 * we go before.  Where nothing stood, linkat(2) gives it its name; over what stood,
 * rename(2) does, and follows no link.
 */
static int
give_name(int fd, const char *path)
{
	char self[64], beside[4096 + 32];
	int e;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	if (errno != EEXIST)
		return errno;
	if ((e = link_beside(fd, path, beside, sizeof(beside))) != 0)
		return e;
	if (rename(beside, path) == 0)
		return 0;
	e = errno;
	unlink(beside);
	return e;
}

/* Where the file system knows no nameless files. */
static enum cm_err
write_beside(struct cm_ccache_writer *w, const char *path)
{
	char beside[4096 + 8];
	enum cm_err err;
	int fd;

	if ((size_t)snprintf(beside, sizeof(beside), "%s.XXXXXX", path) >= sizeof(beside))
		return say(w, CM_ERR_SYSTEM, strerror(ENAMETOOLONG));
	if ((fd = mkostemp(beside, O_CLOEXEC)) < 0)
		return say(w, CM_ERR_SYSTEM, strerror(errno));
	err = write_all(w, fd);
	if (close(fd) != 0 && err == CM_OK)
		err = say(w, CM_ERR_SYSTEM, strerror(errno));
	if (err == CM_OK && rename(beside, path) != 0)
		err = say(w, CM_ERR_SYSTEM, strerror(errno));
	if (err != CM_OK)
		unlink(beside);
	return err;
}

/* EISDIR: a kernel, EOPNOTSUPP: a file system without nameless files: nothing is written yet. */
static enum cm_err
write_nameless(struct cm_ccache_writer *w, const char *path)
{
	const char *end = strrchr(path, '/');
	char *folder;
	int e;

	if (path[0] != '/')
		return say(w, CM_ERR_SYSTEM, "write its whole path");
	if ((folder = strndup(path, end != path ? (size_t)(end - path) : 1)) == NULL)
		return CM_ERR_NOMEM;
	w->nameless = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	e = errno;
	free(folder);
	if (w->nameless < 0)
		return e == EOPNOTSUPP || e == EISDIR ? CM_OK : say(w, CM_ERR_SYSTEM, strerror(e));
	return write_all(w, w->nameless);
}

static enum cm_err
give_file(struct cm_ccache_writer *w, const char *path)
{
	int e;

	if (w->nameless < 0)
		return write_beside(w, path);
	return (e = give_name(w->nameless, path)) == 0 ? CM_OK : say(w, CM_ERR_SYSTEM, strerror(e));
}

/* ---- the others */

/* libkrb5 follows links to it, and takes it whosever it is: whoever could write there chooses which ticket is the user's. */
static enum cm_err
check_folder(struct cm_ccache_writer *w, const char *path)
{
	struct stat st;

	if (path[0] == ':')	/* DIR::FOLDER/FILE is one cache of it */
		return say(w, CM_ERR_SYSTEM, "name the folder alone");
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? CM_OK : say(w, CM_ERR_SYSTEM, strerror(errno));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		return say(w, CM_ERR_SYSTEM, "the folder is not the user's alone");
	return CM_OK;
}

static enum cm_err
write_by_libkrb5(struct cm_ccache_writer *w, const char *name)
{
	krb5_ccache cc = NULL;
	krb5_error_code code = krb5_cc_resolve(w->context, name, &cc);
	enum cm_err err = CM_OK;

	if (code == 0 && (code = krb5_cc_initialize(w->context, cc, w->client)) == 0) {
		code = krb5_cc_store_cred(w->context, cc, w->creds);
		if (code == 0)
			err = cm_fault_point("ccache.written");
		if (code != 0 || err != CM_OK) {
			krb5_cc_destroy(w->context, cc);	/* an empty one is none */
			cc = NULL;
		}
	}
	if (code != 0)
		err = say_code(w, code);
	if (cc != NULL)
		krb5_cc_close(w->context, cc);
	return err;
}

/* NULL: it is libkrb5's. */
static const char *
path_of(const char *name)
{
	return strncmp(name, "FILE:", 5) == 0 ? name + 5 : name[0] == '/' ? name : NULL;
}

enum cm_err
cm_ccache_writer_remove(struct cm_ccache_writer *w, const char *name)
{
	krb5_ccache cc = NULL;
	krb5_principal owner = NULL;
	krb5_error_code code = krb5_cc_resolve(w->context, name, &cc);
	enum cm_err err = CM_OK;

	if (code == 0 && (code = krb5_cc_get_principal(w->context, cc, &owner)) == 0) {
		if (!krb5_principal_compare(w->context, owner, w->client)) {
			err = say(w, CM_ERR_STATE, "it is another principal's");
		} else {
			code = krb5_cc_destroy(w->context, cc);
			cc = NULL;
		}
	}
	if (code != 0 && code != KRB5_FCC_NOFILE)	/* of every kind: there is none */
		err = say_code(w, code);
	krb5_free_principal(w->context, owner);
	if (cc != NULL)
		krb5_cc_close(w->context, cc);
	return err;
}

enum cm_err
cm_ccache_writer_open(const char *principal, struct cm_buf *why, struct cm_ccache_writer **out)
{
	struct cm_ccache_writer *w = calloc(1, sizeof(*w));
	krb5_error_code code;

	*out = w;
	if (w == NULL)
		return CM_ERR_NOMEM;
	w->why = why;
	w->nameless = -1;
	if ((code = krb5_init_context(&w->context)) != 0 ||
	    (code = krb5_parse_name_flags(w->context, principal, KRB5_PRINCIPAL_PARSE_REQUIRE_REALM, &w->client)) != 0)
		return say_code(w, code);
	return CM_OK;
}

enum cm_err
cm_ccache_writer_take(struct cm_ccache_writer *w, const char *name, struct cm_blob ticket)
{
	enum cm_err err;

	w->ticket = ticket;
	w->name = name;
	if ((err = read_ticket(w)) == CM_OK && (err = cm_fault_point("ccache")) == CM_OK && path_of(name) != NULL)
		err = write_nameless(w, path_of(name));
	return err;
}

enum cm_err
cm_ccache_writer_give(struct cm_ccache_writer *w)
{
	enum cm_err err = cm_fault_point("ccache.told");

	if (err != CM_OK)
		return err;
	if (path_of(w->name) != NULL)
		return give_file(w, path_of(w->name));
	if (strncmp(w->name, "DIR:", 4) == 0)
		err = check_folder(w, w->name + 4);
	return err == CM_OK ? write_by_libkrb5(w, w->name) : err;
}

void
cm_ccache_writer_close(struct cm_ccache_writer **writer)
{
	struct cm_ccache_writer *w = *writer;

	*writer = NULL;
	if (w == NULL)
		return;
	if (w->nameless >= 0)
		close(w->nameless);
	krb5_free_creds(w->context, w->creds);
	krb5_free_principal(w->context, w->client);
	krb5_free_context(w->context);
	free(w);
}

enum cm_err
cm_ccache_write(const char *name, const char *principal, struct cm_blob ticket, struct cm_buf *why)
{
	struct cm_ccache_writer *w = NULL;
	enum cm_err err;

	if ((err = cm_ccache_writer_open(principal, why, &w)) == CM_OK && (err = cm_ccache_writer_take(w, name, ticket)) == CM_OK)
		err = cm_ccache_writer_give(w);
	cm_ccache_writer_close(&w);
	return err;
}
