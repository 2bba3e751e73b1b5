/* tests/fuzz/fuzz_cert.c - any bytes as a certificate: refused, or read the same by OpenSSL, or that is refused. */
#include <stdlib.h>

#include "card/cert_internal.h"

static unsigned touched;

/* Every byte that a blob claims is there. */
static void
touch(struct cm_blob v)
{
	for (size_t i = 0; i < v.len; i++)
		touched += v.ptr[i];
}

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static void
use_name(const struct cm_cert_name *n, struct cm_blob der)
{
	struct cm_buf text = { .ptr = NULL };

	touch(n->der);
	require(n->der.ptr >= der.ptr && n->der.ptr + n->der.len <= der.ptr + der.len);
	for (size_t i = 0; i < n->count; i++) {
		touch(n->attrs[i].oid);
		touch(n->attrs[i].value);
		touch(n->attrs[i].der);
		require(i == 0 || n->attrs[i].rdn - n->attrs[i - 1].rdn <= 1);
	}
	cm_cert_name_rfc4514(n, &text);
	require(cm_buf_status(&text) == CM_OK);
	cm_buf_free(&text);
}

static void
use_fields(const struct cm_cert *c)
{
	for (unsigned f = 0; f < CM_CERT_FIELD_COUNT; f++) {
		const struct cm_blob v = cm_cert_field(c, f);

		touch(v);
		require((v.len > 0) == (cm_cert_field_count(c, f) > 0) && (v.len > 0) == (v.ptr != NULL));
		for (size_t i = 0; cm_cert_field_is_text(f) && i < v.len;) {
			const size_t n = cm_utf8_length(v.ptr + i, v.len - i);

			require(n > 0);
			i += n;
		}
	}
}

static void
use_lists(const struct cm_cert *c)
{
	const struct cm_cert_san *sans;
	const struct cm_blob *list;
	size_t count;
	unsigned bits;

	sans = cm_cert_sans(c, &count);
	for (size_t i = 0; i < count; i++) {
		touch(sans[i].oid);
		touch(sans[i].value);
		require(sans[i].tag >= 0 && sans[i].tag <= 8);
	}
	list = cm_cert_ekus(c, &count);
	for (size_t i = 0; i < count; i++)
		touch(list[i]);
	for (unsigned kind = 0; kind <= CM_URL_CA_ISSUERS; kind++) {
		list = cm_cert_urls(c, kind, &count);
		for (size_t i = 0; i < count; i++)
			touch(list[i]);
	}
	touched += cm_cert_key_usage(c, &bits) + cm_cert_has_eku(c, "1.3.6.1.5.5.7.3.2");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_cert *c = NULL;
	X509 *x = NULL;
	EVP_PKEY *key = NULL;
	enum cm_err err;

	err = cm_cert_decode((struct cm_blob){ data, size }, NULL, &c);
	require((err == CM_OK) == (c != NULL) && (err == CM_OK || err == CM_ERR_SYNTAX));
	if (c == NULL)
		return 0;
	require(cm_blob_equal(cm_cert_der(c), (struct cm_blob){ data, size }));
	use_name(cm_cert_subject(c), cm_cert_der(c));
	use_name(cm_cert_issuer(c), cm_cert_der(c));
	use_fields(c);
	use_lists(c);
	touch(cm_cert_serial(c));
	touch(cm_cert_spki(c));
	touched += (unsigned)strlen(cm_cert_subject_text(c)) + (unsigned)strlen(cm_cert_issuer_text(c));
	err = cm_cert_x509(c, NULL, &x);
	require((err == CM_OK) == (x != NULL) && (err == CM_OK || err == CM_ERR_SYNTAX));
	err = cm_cert_key(c, NULL, &key);
	require((err == CM_OK) == (key != NULL) && (err == CM_OK || err == CM_ERR_SYNTAX));
	cm_cert_free(&c);
	return 0;
}
