/* card/file.c - a card file: a certificate and its key in PEM (RFC 7468), the PIN being the key's password. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include "base/file.h"
#include "card/card_internal.h"

#define FILE_MAX	((size_t)1 << 20)

static BIO *
reader(const struct cm_card *c)
{
	return BIO_new_mem_buf(c->pem.ptr, (int)c->pem.len);
}

/* What base/ said of the file stays; the reason, and so the remedy, is a card file's. */
static enum cm_err
unreadable(struct cm_trace *t)
{
	struct cm_buf why = { 0 };
	enum cm_err err;

	cm_buf_add_str(&why, cm_trace_message(t));
	err = cm_trace_fail(t, CM_REASON_CARD_FILE, "%s", cm_buf_str(&why));
	cm_buf_free(&why);
	return err;
}

static enum cm_err
file_open(struct cm_card *c, const char *path, enum cm_card_purpose purpose,
    cm_deadline deadline, struct cm_trace *t)
{
	struct stat st;
	enum cm_err err;

	(void)purpose, (void)deadline;
	c->others_read = stat(path, &st) == 0 && (st.st_mode & 0077) != 0;
	cm_buf_init_secret(&c->pem, FILE_MAX);
	cm_buf_add_str(&c->where, "file:");
	cm_buf_add_printable(&c->where, cm_blob_str(path));
	if ((err = cm_file_read(path, FILE_MAX, CM_FILE_ANY, t, &c->pem)) == CM_ERR_ABSENT)
		return cm_trace_fail(t, CM_REASON_CARD_FILE, "%s: no such file", path);
	if (err == CM_ERR_CONFIG)
		return unreadable(t);
	return err == CM_OK ? cm_buf_status(&c->where) : err;
}

static void
file_close(struct cm_card *c)
{
	cm_buf_free(&c->pem);
	EVP_PKEY_free(c->key);
}

/* The first certificate: others may follow, as in a file with its chain. */
static bool
find_certificate(struct cm_card *c, struct cm_buf *der)
{
	BIO *in = reader(c);
	char *name = NULL, *header = NULL;
	unsigned char *data = NULL;
	long len = 0;
	bool found = false;

	while (in != NULL && !found && PEM_read_bio(in, &name, &header, &data, &len) == 1) {
		found = strcmp(name, PEM_STRING_X509) == 0;
		if (found)
			cm_buf_add(der, data, (size_t)len);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(data, (size_t)len);
	}
	ERR_clear_error();
	BIO_free(in);
	return found;
}

/* One certificate and one key: those of slot 9A. */
static enum cm_err
file_certificate(struct cm_card *c, enum cm_slot slot, cm_deadline deadline,
    struct cm_trace *t, struct cm_cert **out)
{
	struct cm_buf der = { 0 };
	enum cm_err err;

	(void)deadline;
	if (slot != CM_SLOT_AUTHENTICATION)
		return cm_trace_fail(t, CM_REASON_CARD_NO_CERTIFICATE,
		    "%s: a card file has slot 9A only", cm_buf_str(&c->where));
	if (!find_certificate(c, &der))
		err = cm_trace_fail(t, CM_REASON_CARD_FILE, "%s: holds no certificate in PEM",
		    cm_buf_str(&c->where));
	else if ((err = cm_buf_status(&der)) == CM_OK)
		err = cm_cert_decode(cm_buf_blob(&der), t, out);
	cm_buf_free(&der);
	return err;
}

static enum cm_err
file_tries(struct cm_card *c, cm_deadline deadline, struct cm_trace *t, unsigned *tries)
{
	(void)c, (void)deadline, (void)t;
	*tries = CM_TRIES_UNKNOWN;
	return CM_OK;
}

struct password {
	struct cm_blob pin;
	bool asked;
};

static int
give_password(char *buf, int size, int writing, void *arg)
{
	struct password *w = arg;

	(void)writing;
	w->asked = true;
	if (w->pin.len > (size_t)size)
		return -1;
	memcpy(buf, w->pin.ptr, w->pin.len);
	return (int)w->pin.len;
}

static EVP_PKEY *
load_key(struct cm_card *c, struct password *w)
{
	BIO *in = reader(c);
	EVP_PKEY *key = in != NULL ? PEM_read_bio_PrivateKey(in, NULL, give_password, w) : NULL;

	ERR_clear_error();
	BIO_free(in);
	return key;
}

/* A key that is not encrypted takes any PIN: the trace says so, for there is nothing to check it against. */
static enum cm_err
file_verify(struct cm_card *c, struct cm_blob pin, cm_deadline deadline, struct cm_trace *t,
    unsigned *left)
{
	struct password w = { .pin = pin };
	EVP_PKEY *key = load_key(c, &w);

	(void)deadline, (void)left;
	if (key == NULL && w.asked)
		return cm_trace_fail(t, CM_REASON_PIN_WRONG,
		    "%s: its key is not opened by this PIN", cm_buf_str(&c->where));
	if (key == NULL)
		return cm_trace_fail(t, CM_REASON_CARD_FILE, "%s: holds no private key in PEM",
		    cm_buf_str(&c->where));
	if (!w.asked)
		cm_trace_add(t, "pin", "key file is not encrypted: no PIN was checked");
	if (!w.asked && c->others_read)
		cm_trace_add(t, "warning", "%s: others may read this key: chmod 600 it",
		    cm_buf_str(&c->where));
	EVP_PKEY_free(c->key);
	c->key = key;
	return CM_OK;
}

static enum cm_err
file_sign(struct cm_card *c, enum cm_slot slot, const struct cm_cert *cert, const char *md,
    struct cm_blob digest, cm_deadline deadline, struct cm_trace *t, struct cm_buf *signature)
{
	EVP_PKEY_CTX *ctx = NULL;
	uint8_t value[1024];	/* RSA-8192 fits */
	size_t len = sizeof(value);
	enum cm_err err = CM_OK;

	(void)slot, (void)cert, (void)deadline;
	if (c->key == NULL)
		return cm_trace_fail(t, CM_REASON_CARD_KEY, "%s: the PIN was not verified",
		    cm_buf_str(&c->where));
	ctx = EVP_PKEY_CTX_new(c->key, NULL);
	c->stats.key_operations++;
	if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(md)) != 1 ||
	    EVP_PKEY_sign(ctx, value, &len, digest.ptr, digest.len) != 1) {
		ERR_clear_error();
		err = cm_trace_fail(t, CM_REASON_CARD_KEY, "%s: its key cannot sign %s",
		    cm_buf_str(&c->where), md);
		goto out;
	}
	cm_buf_add(signature, value, len);
	err = cm_buf_status(signature);
out:
	EVP_PKEY_CTX_free(ctx);
	return err;
}

const struct cm_backend cm_backend_file = {
	"file", file_open, file_certificate, file_tries, file_verify, file_sign, file_close,
	NULL, NULL, NULL, NULL, NULL, NULL, NULL,
};
