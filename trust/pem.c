/* trust/pem.c - certificates from files, PEM (RFC 7468) or DER, and from folders of them. */
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <unistd.h>

#include "base/file.h"
#include "trust/trust_internal.h"

#define PEM_FILE_MAX	((size_t)4 << 20)

/* One file being parsed. */
struct parsing {
	const char *path;
	struct cm_trace *t;
	STACK_OF(X509) *out;
	bool skip_keys;
};

static bool
is_private_key(const char *name)
{
	static const char end[] = "PRIVATE KEY";
	const size_t len = strlen(name);

	return len >= sizeof(end) - 1 && strcmp(name + len - (sizeof(end) - 1), end) == 0;
}

/* One block; data is DER. */
static enum cm_err
take_block(const struct parsing *f, const char *name, struct cm_blob data, unsigned n)
{
	const uint8_t *p = data.ptr;
	X509 *cert;

	if (f->skip_keys && is_private_key(name)) {
		cm_trace_add(f->t, "warning", "%s: block %u is a private key and is passed over: who has it can "
		    "make cards; keep it elsewhere", f->path, n);
		return CM_OK;
	}
	if (strcmp(name, PEM_STRING_X509) != 0 && strcmp(name, PEM_STRING_X509_OLD) != 0)
		return cm_trace_fail(f->t, CM_REASON_CONFIG,
		    "%s: block %u is a %s: only certificates belong here", f->path, n, name);
	cert = d2i_X509(NULL, &p, (long)data.len);
	if (cert == NULL || p != data.ptr + data.len) {
		X509_free(cert);
		return cm_trace_fail(f->t, CM_REASON_CONFIG,
		    "%s: block %u is no certificate: its encoding is damaged", f->path, n);
	}
	if (sk_X509_push(f->out, cert) > 0)
		return CM_OK;
	X509_free(cert);
	return CM_ERR_NOMEM;
}

static unsigned
count_labels(struct cm_blob text)
{
	static const char label[] = "-BEGIN ";
	const size_t len = sizeof(label) - 1;
	unsigned n = 0;

	for (size_t i = 0; i + len <= text.len; i++)
		n += memcmp(text.ptr + i, label, len) == 0;
	return n;
}

/* The reader stopped: at the end of the file, or at a block that it cannot read? */
static enum cm_err
at_end(const char *path, unsigned n, unsigned labels, struct cm_trace *t)
{
	const bool clean = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;

	ERR_clear_error();
	if (!clean)
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "%s: block %u is damaged: its lines are no PEM", path, n);
	/* OpenSSL passes over an indented label, and so over the certificate. */
	if (labels > n - 1)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: only %u of %u blocks can be read: each "
		    "-----BEGIN has five dashes and starts its line", path, n - 1, labels);
	if (n == 1)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: holds no certificate, in PEM or DER", path);
	return CM_OK;
}

static enum cm_err
parse_blocks(const struct parsing *f, struct cm_blob text)
{
	BIO *bio = BIO_new_mem_buf(text.len > 0 ? (const void *)text.ptr : "", (int)text.len);
	char *name = NULL, *header = NULL;
	enum cm_err err = CM_OK;
	uint8_t *data = NULL;
	unsigned n;
	long len;

	if (bio == NULL)
		return CM_ERR_NOMEM;
	ERR_clear_error();
	for (n = 1; err == CM_OK && PEM_read_bio(bio, &name, &header, &data, &len) == 1; n++) {
		err = take_block(f, name, (struct cm_blob){ data, (size_t)len }, n);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(data, (size_t)len);
	}
	if (err == CM_OK)
		err = at_end(f->path, n, count_labels(text), f->t);
	BIO_free(bio);
	return err;
}

/* A SEQUENCE of 128 bytes at least: no text begins like that. */
static bool
is_der(struct cm_blob bytes)
{
	return bytes.len > 2 && bytes.ptr[0] == 0x30 && (bytes.ptr[1] & 0x80) != 0;
}

static enum cm_err
parse(const struct parsing *f, struct cm_blob text)
{
	return is_der(text) ? take_block(f, PEM_STRING_X509, text, 1) : parse_blocks(f, text);
}

enum cm_err
cm_pem_parse(struct cm_blob text, const char *path, struct cm_trace *t, STACK_OF(X509) *out)
{
	return parse(&(const struct parsing){ path, t, out, false }, text);
}

enum cm_err
cm_pem_parse_beside_keys(struct cm_blob text, const char *path, struct cm_trace *t, STACK_OF(X509) *out)
{
	return parse(&(const struct parsing){ path, t, out, true }, text);
}

/* One call of cm_pem_each(). */
struct loading {
	int folder;		/* open, and judged; AT_FDCWD: a file by itself */
	struct cm_trace *t;
	cm_pem_visit visit;
	void *arg;
};

static enum cm_err
load_file(void *arg, const char *path)
{
	const struct loading *l = arg;
	const struct cm_file_in file = { l->folder, l->folder != AT_FDCWD ? strrchr(path, '/') + 1 : path, path };
	STACK_OF(X509) *certs = sk_X509_new_null();
	struct cm_buf text;
	enum cm_err err;

	cm_buf_init(&text, PEM_FILE_MAX);
	err = certs == NULL ? CM_ERR_NOMEM : cm_file_read_in(&file, PEM_FILE_MAX, CM_FILE_TRUSTED, l->t, &text);
	if (err == CM_ERR_ABSENT)
		err = cm_trace_fail(l->t, CM_REASON_CONFIG, "%s: there is no such file or folder", path);
	if (err == CM_OK)
		err = cm_pem_parse(cm_buf_blob(&text), path, l->t, certs);
	for (int i = 0; err == CM_OK && i < sk_X509_num(certs); i++)
		err = l->visit(l->arg, path, sk_X509_value(certs, i));
	sk_X509_pop_free(certs, X509_free);
	cm_buf_free(&text);
	return err;
}

/* Folders also hold notes and what an editor leaves: those are not read. */
static bool
is_certificate_file(const char *name, const void *unused)
{
	static const char *const ends[] = { ".pem", ".crt", ".cer", ".der", NULL };

	(void)unused;
	return cm_folder_name_ends(name, ends) || cm_folder_name_hashed(name, "");
}

static enum cm_err
load_folder(struct loading *l, const char *path, bool if_there)
{
	struct cm_folder f = { .path = path, .fd = l->folder, .wants = is_certificate_file };
	enum cm_err err = cm_folder_each(&f, l->t, load_file, l);

	if (err == CM_OK && f.count == 0 && !if_there)
		err = cm_trace_fail(l->t, CM_REASON_CONFIG, "%s: no file in this folder ends in .pem, "
		    ".crt, .cer or .der, or is hashed (openssl rehash)", path);
	return err;
}

enum cm_err
cm_pem_each(const char *path, bool if_there, struct cm_trace *t, cm_pem_visit visit, void *arg)
{
	struct loading l = { AT_FDCWD, t, visit, arg };
	bool is_folder = false;
	enum cm_err err;
	int fd = -1;

	/* Who may put a file into the folder may make an anchor. */
	if ((err = cm_file_hold(path, CM_FILE_TRUSTED, t, &fd, &is_folder)) == CM_ERR_ABSENT)
		return if_there ? CM_OK : cm_trace_fail(t, CM_REASON_CONFIG, "%s: there is no such file or folder", path);
	if (err != CM_OK)
		return err;
	if (is_folder) {
		l.folder = fd;
		err = load_folder(&l, path, if_there);
	} else {
		err = load_file(&l, path);
	}
	close(fd);
	return err;
}
