/* trust/pem.c - certificates from PEM files (RFC 7468) and from folders of them. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "trust/trust_internal.h"

#define PEM_FILE_MAX	((size_t)4 << 20)

/* One block; data is DER. */
static enum cm_err
take_block(const char *name, const uint8_t *data, long len, const char *path, unsigned n,
    struct cm_trace *t, STACK_OF(X509) *out)
{
	const uint8_t *p = data;
	X509 *cert;

	if (strcmp(name, PEM_STRING_X509) != 0 && strcmp(name, PEM_STRING_X509_OLD) != 0)
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "%s: block %u is a %s: only certificates belong here", path, n, name);
	cert = d2i_X509(NULL, &p, len);
	if (cert == NULL || p != data + len) {
		X509_free(cert);
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "%s: block %u is no certificate: its encoding is damaged", path, n);
	}
	if (sk_X509_push(out, cert) > 0)
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
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: holds no certificate in PEM "
		    "(DER becomes PEM by openssl x509 -inform DER -in FILE)", path);
	return CM_OK;
}

enum cm_err
cm_pem_parse(struct cm_blob text, const char *path, struct cm_trace *t, STACK_OF(X509) *out)
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
		err = take_block(name, data, len, path, n, t, out);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(data);
	}
	if (err == CM_OK)
		err = at_end(path, n, count_labels(text), t);
	BIO_free(bio);
	return err;
}

static enum cm_err
load_file(const char *path, struct cm_trace *t, STACK_OF(X509) *out, struct cm_buf *raw)
{
	struct cm_buf text;
	enum cm_err err;

	cm_buf_init(&text, PEM_FILE_MAX);
	err = cm_file_read(path, PEM_FILE_MAX, CM_FILE_TRUSTED, t, &text);
	if (err == CM_ERR_ABSENT)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: there is no such file or folder", path);
	if (err == CM_OK)
		err = cm_pem_parse(cm_buf_blob(&text), path, t, out);
	if (err == CM_OK && raw != NULL) {
		cm_buf_add_blob(raw, cm_buf_blob(&text));
		cm_buf_add_byte(raw, '\n');
		err = cm_buf_status(raw);
	}
	cm_buf_free(&text);
	return err;
}

/* Folders also hold notes, links by hash and what an editor leaves: those are not read. */
static int
is_certificate_file(const struct dirent *d)
{
	static const char *const ends[] = { ".pem", ".crt", ".cer" };
	const size_t len = strlen(d->d_name);

	for (size_t i = 0; i < CM_COUNT(ends); i++)
		if (d->d_name[0] != '.' && len > 4 && strcmp(d->d_name + len - 4, ends[i]) == 0)
			return 1;
	return 0;
}

static enum cm_err
load_folder(const char *path, struct cm_trace *t, STACK_OF(X509) *out, struct cm_buf *raw)
{
	struct dirent **names = NULL;
	const int count = scandir(path, &names, is_certificate_file, alphasort);
	enum cm_err err = CM_OK;
	char file[PATH_MAX];

	if (count < 0)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: %s", path, strerror(errno));
	if (count == 0)
		err = cm_trace_fail(t, CM_REASON_CONFIG,
		    "%s: no file in this folder ends in .pem, .crt or .cer", path);
	for (int i = 0; i < count; i++) {
		if (err == CM_OK && (size_t)snprintf(file, sizeof(file), "%s/%s", path,
		    names[i]->d_name) >= sizeof(file))
			err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: path too long", path);
		if (err == CM_OK)
			err = load_file(file, t, out, raw);
		free(names[i]);
	}
	free(names);
	return err;
}

enum cm_err
cm_pem_load(const char *path, struct cm_trace *t, STACK_OF(X509) *out, struct cm_buf *raw)
{
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return load_file(path, t, out, raw);
	/* Who may put a file into the folder may make an anchor. */
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022) != 0)
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "%s: others may write this folder: chown root and chmod go-w it", path);
	return load_folder(path, t, out, raw);
}
