/* trust/import.c - a revocation list or an OCSP response from a file: which it is, and whose CAs may have made it. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trust/trust_internal.h"

/* Text may stand before a PEM's first line, this much of it. */
#define LOOK_MAX	(64 << 10)

/* ---- whose answers are understood */

static bool
verifies(const struct cm_trust *tr, X509 *ca, STACK_OF(X509) *between, time_t now)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok = false;

	if (ctx != NULL && X509_check_ca(ca) != 0 && X509_STORE_CTX_init(ctx, tr->store, ca, between) == 1) {
		X509_STORE_CTX_set_time(ctx, 0, now);
		ok = X509_verify_cert(ctx) == 1;
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static bool
add_once(STACK_OF(X509) *all, X509 *cert)
{
	for (int i = 0; i < sk_X509_num(all); i++)
		if (X509_cmp(sk_X509_value(all, i), cert) == 0)
			return true;
	if (X509_up_ref(cert) != 1)
		return false;
	if (sk_X509_push(all, cert) > 0)
		return true;
	X509_free(cert);
	return false;
}

static bool
add_all(STACK_OF(X509) *all, STACK_OF(X509) *some)
{
	for (int i = 0; i < sk_X509_num(some); i++)
		if (!add_once(all, sk_X509_value(some, i)))
			return false;
	return true;
}

/* One that cannot be read names no CA, and is left out. */
static bool
add_der(STACK_OF(X509) *all, struct cm_blob der)
{
	const uint8_t *p = der.ptr;
	X509 *cert = der.len > 0 ? d2i_X509(NULL, &p, (long)der.len) : NULL;
	const bool ok = cert == NULL || add_once(all, cert);

	X509_free(cert);
	ERR_clear_error();
	return ok;
}

static STACK_OF(X509) *
all_of(const struct cm_trust *tr, const struct cm_blob *more, size_t count)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	bool ok = all != NULL && add_all(all, tr->anchors) && add_all(all, tr->intermediates);

	for (size_t i = 0; ok && i < count; i++)
		ok = add_der(all, more[i]);
	if (ok)
		return all;
	sk_X509_pop_free(all, X509_free);
	return NULL;
}

enum cm_err
cm_ca_each(const struct cm_trust *tr, const struct cm_trust_import *i, time_t now, cm_ca_visit visit, void *arg)
{
	STACK_OF(X509) *all = tr->store != NULL ? all_of(tr, i->issuers, i->issuer_count) : sk_X509_new_null();
	enum cm_err err = all != NULL ? CM_OK : CM_ERR_NOMEM;

	for (int k = 0; err == CM_OK && tr->store != NULL && k < sk_X509_num(all); k++)
		if (verifies(tr, sk_X509_value(all, k), all, now))
			err = visit(arg, sk_X509_value(all, k));
	sk_X509_pop_free(all, X509_free);
	return err;
}

/* ---- what the file is */

/* NULL: a file, from which is to be read. */
static const char *
cannot_open(int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return strerror(errno);
	return S_ISREG(st.st_mode) ? NULL : S_ISDIR(st.st_mode) ? "it is a folder" : "it is no file";
}

/* CM_ERR_SYSTEM: it cannot be read. */
static enum cm_err
look(const char *path, struct cm_trace *t, struct cm_buf *begin)
{
	/* O_NONBLOCK: what waits for a writer is no file. */
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *why = cannot_open(fd);
	uint8_t *room = cm_buf_extend(begin, LOOK_MAX);
	size_t len = 0;
	ssize_t n = 1;

	while (why == NULL && room != NULL && len < LOOK_MAX && (n = read(fd, room + len, LOOK_MAX - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		why = strerror(errno);
	if (fd >= 0)
		close(fd);
	if (room == NULL)
		return CM_ERR_NOMEM;
	cm_buf_truncate(begin, len);
	return why == NULL ? CM_OK : cm_trace_fail(t, CM_REASON_SYSTEM, "%s: cannot be read: %s", path, why);
}

enum kind { NEITHER, LIST, RESPONSE };

/* RFC 5280 5.1: a SEQUENCE begins the tbsCertList; RFC 6960 4.2.1: an ENUMERATED, the responseStatus. */
static enum kind
kind_of_der(struct cm_blob b)
{
	const size_t head = b.len > 1 && (b.ptr[1] & 0x80) != 0 ? 2 + (size_t)(b.ptr[1] & 0x7f) : 2;

	if (b.len <= head || b.ptr[0] != 0x30)
		return NEITHER;
	return b.ptr[head] == 0x30 ? LIST : b.ptr[head] == 0x0a ? RESPONSE : NEITHER;
}

static enum kind
kind_of(struct cm_blob b)
{
	static const char begin[] = "-----BEGIN ", list[] = "X509 CRL-----", response[] = CM_OCSP_PEM "-----";
	const uint8_t *p = b.len > 0 ? memmem(b.ptr, b.len, begin, sizeof(begin) - 1) : NULL;
	size_t left;

	if (kind_of_der(b) != NEITHER || p == NULL)
		return kind_of_der(b);
	p += sizeof(begin) - 1;
	left = b.len - (size_t)(p - b.ptr);
	if (left >= sizeof(list) - 1 && memcmp(p, list, sizeof(list) - 1) == 0)
		return LIST;
	if (left >= sizeof(response) - 1 && memcmp(p, response, sizeof(response) - 1) == 0)
		return RESPONSE;
	return NEITHER;
}

enum cm_err
cm_trust_import(struct cm_trust *tr, const struct cm_trust_import *i, const struct cm_known *known,
    struct cm_trace *t, struct cm_buf *out)
{
	enum cm_err err = CM_ERR_REFUSED;
	struct cm_buf begin;

	cm_buf_init(&begin, 0);
	if (tr->store == NULL)
		cm_trace_fail(t, CM_REASON_REVOCATION_DATA,
		    "%s: trust.level is off, so that no CA is known whose it could be", i->path);
	else
		err = look(i->path, t, &begin);
	if (err == CM_OK)
		switch (kind_of(cm_buf_blob(&begin))) {
		case LIST:
			err = cm_crl_import_file(tr, i, known, t, out);
			break;
		case RESPONSE:
			err = cm_ocsp_import_file(tr, i, known, t, out);
			break;
		case NEITHER:
			err = cm_trace_fail(t, CM_REASON_REVOCATION_DATA,
			    "%s: is neither a revocation list nor an OCSP response, in DER or PEM", i->path);
		}
	cm_buf_free(&begin);
	return err;
}
