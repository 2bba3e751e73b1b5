/* card/cert.c - a certificate's life, and what others ask of it. */
#include "card/cert.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/file.h"
#include "card/cert_internal.h"

/* A PEM file may hold a key and a chain beside the certificate. */
#define FILE_MAX	((size_t)1 << 20)

void *
cm_cert_grow(void *array, size_t count, size_t size)
{
	if (count == 0)
		return malloc(8 * size);
	if (count < 8 || (count & (count - 1)) != 0)
		return array;
	return realloc(array, 2 * count * size);
}

void
cm_cert_note(struct cm_cert *c, enum cm_cert_field f, struct cm_blob v)
{
	if (v.len == 0)
		return;
	if (c->counts[f]++ == 0 || c->fields[f].len == 0)
		c->fields[f] = v;
}

static void
destroy(struct cm_cert *c)
{
	X509_free(c->x509);
	free(c->subject_text);
	free(c->issuer_text);
	free((void *)c->subject.attrs);
	free((void *)c->issuer.attrs);
	for (size_t i = 0; i < c->san_count; i++)
		cm_cert_san_clear(&c->sans[i]);
	free(c->sans);
	free(c->ekus.items);
	for (size_t i = 0; i < CM_COUNT(c->urls); i++)
		free(c->urls[i].items);
	free(c->text);
	free((void *)c->der.ptr);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* A certificate with its own copy of der and its hash, nothing read yet. */
static enum cm_err
make(struct cm_blob der, struct cm_cert **out)
{
	struct cm_cert *c = calloc(1, sizeof(*c));
	uint8_t *copy = malloc(der.len);

	if (c == NULL || copy == NULL || pthread_mutex_init(&c->lock, NULL) != 0) {
		free(copy);
		free(c);
		return CM_ERR_NOMEM;
	}
	memcpy(copy, der.ptr, der.len);
	c->der = (struct cm_blob){ copy, der.len };
	atomic_init(&c->refs, 1);
	if (EVP_Digest(copy, der.len, c->sha256, NULL, EVP_sha256(), NULL) != 1) {
		destroy(c);
		return CM_ERR_NOMEM;
	}
	*out = c;
	return CM_OK;
}

enum cm_err
cm_cert_decode(struct cm_blob der, struct cm_trace *t, struct cm_cert **out)
{
	const char *field = "";
	struct cm_cert *c = NULL;
	enum cm_err err;

	*out = NULL;
	if (der.len == 0 || der.len > CM_CERT_MAX)
		return cm_trace_fail(t, CM_REASON_CERT_MALFORMED,
		    "the certificate has %zu bytes: 1 to %zu are allowed", der.len, CM_CERT_MAX);
	if ((err = make(der, &c)) != CM_OK)
		return err;
	if ((err = cm_cert_parse(c, &field)) == CM_OK)
		*out = c;
	else
		destroy(c);
	if (err == CM_ERR_SYNTAX)
		return cm_trace_fail(t, CM_REASON_CERT_MALFORMED,
		    "the certificate's %s is not as RFC 5280 and DER ask", field);
	return err;
}

/* The first block that is a certificate; keys that stand before it are wiped by OpenSSL. */
static enum cm_err
decode_pem(const struct cm_buf *pem, const char *path, struct cm_trace *t, struct cm_cert **out)
{
	BIO *bio = BIO_new_mem_buf(cm_buf_str(pem), (int)pem->len);
	unsigned char *der = NULL;
	enum cm_err err = CM_ERR_NOMEM;
	long len = 0;

	if (bio == NULL)
		goto out;
	if (PEM_bytes_read_bio_secmem(&der, &len, NULL, PEM_STRING_X509, bio, NULL, NULL) != 1) {
		err = cm_trace_fail(t, CM_REASON_CONFIG,
		    "%s: holds no certificate, in PEM or in DER", path);
		goto out;
	}
	err = cm_cert_decode((struct cm_blob){ der, (size_t)len }, t, out);
out:
	ERR_clear_error();
	OPENSSL_secure_free(der);
	BIO_free(bio);
	return err;
}

enum cm_err
cm_cert_load(const char *path, struct cm_trace *t, struct cm_cert **out)
{
	struct cm_buf content;
	struct cm_blob v;
	enum cm_err err;

	*out = NULL;
	cm_buf_init_secret(&content, FILE_MAX);
	err = cm_file_read(path, FILE_MAX, CM_FILE_ANY, t, &content);
	v = cm_buf_blob(&content);
	if (err == CM_ERR_ABSENT)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: there is no such file", path);
	else if (err == CM_OK && v.len > 0 && v.ptr[0] == CM_DER_SEQUENCE)
		err = cm_cert_decode(v, t, out);
	else if (err == CM_OK)
		err = decode_pem(&content, path, t, out);
	cm_buf_free(&content);
	return err;
}

struct cm_cert *
cm_cert_ref(const struct cm_cert *c)
{
	struct cm_cert *shared = (struct cm_cert *)c;	/* its count is not part of what is constant */

	if (shared != NULL)
		atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
	return shared;
}

void
cm_cert_free(struct cm_cert **c)
{
	if (*c != NULL && atomic_fetch_sub_explicit(&(*c)->refs, 1, memory_order_acq_rel) == 1)
		destroy(*c);
	*c = NULL;
}

static enum cm_err
make_x509(const struct cm_cert *c, struct cm_trace *t, X509 **out)
{
	const unsigned char *p = c->der.ptr;
	X509 *x = d2i_X509(NULL, &p, (long)c->der.len);
	const char *field;
	enum cm_err err;

	if (x == NULL)
		err = cm_trace_fail(t, CM_REASON_CERT_MALFORMED, "OpenSSL cannot read the certificate");
	else if ((field = cm_cert_differs(c, x)) != NULL)
		err = cm_trace_fail(t, CM_REASON_CERT_MALFORMED,
		    "the certificate's %s can be read in two ways", field);
	else
		err = CM_OK;
	ERR_clear_error();
	if (err == CM_OK)
		*out = x;
	else
		X509_free(x);
	return err;
}

enum cm_err
cm_cert_x509(const struct cm_cert *c, struct cm_trace *t, X509 **out)
{
	struct cm_cert *shared = (struct cm_cert *)c;
	enum cm_err err = CM_OK;

	pthread_mutex_lock(&shared->lock);
	if (shared->x509 == NULL)
		err = make_x509(c, t, &shared->x509);
	*out = shared->x509;
	pthread_mutex_unlock(&shared->lock);
	return err;
}

enum cm_err
cm_cert_key(const struct cm_cert *c, struct cm_trace *t, EVP_PKEY **out)
{
	X509 *x = NULL;
	enum cm_err err;

	*out = NULL;
	if ((err = cm_cert_x509(c, t, &x)) != CM_OK)
		return err;
	if ((*out = X509_get0_pubkey(x)) != NULL)
		return CM_OK;
	ERR_clear_error();
	return cm_trace_fail(t, CM_REASON_CERT_MALFORMED,
	    "the certificate's subjectPublicKeyInfo holds no key that OpenSSL knows");
}

struct cm_blob
cm_cert_der(const struct cm_cert *c)
{
	return c->der;
}

struct cm_blob
cm_cert_sha256(const struct cm_cert *c)
{
	return (struct cm_blob){ c->sha256, sizeof(c->sha256) };
}

const struct cm_cert_name *
cm_cert_subject(const struct cm_cert *c)
{
	return &c->subject;
}

const struct cm_cert_name *
cm_cert_issuer(const struct cm_cert *c)
{
	return &c->issuer;
}

struct cm_blob
cm_cert_serial(const struct cm_cert *c)
{
	return c->serial;
}

time_t
cm_cert_not_before(const struct cm_cert *c)
{
	return c->not_before;
}

time_t
cm_cert_not_after(const struct cm_cert *c)
{
	return c->not_after;
}

struct cm_blob
cm_cert_spki(const struct cm_cert *c)
{
	return c->spki;
}

/* RFC 5280 4.1: SubjectPublicKeyInfo ::= SEQUENCE { algorithm, subjectPublicKey BIT STRING } */
struct cm_blob
cm_cert_public_key(const struct cm_cert *c)
{
	struct cm_der in = cm_der_in(c->spki), info, algorithm;
	struct cm_blob key;

	if (!cm_der_enter(&in, CM_DER_SEQUENCE, &info) ||
	    !cm_der_enter(&info, CM_DER_SEQUENCE, &algorithm) || !cm_der_bits(&info, &key))
		return (struct cm_blob){ NULL, 0 };
	return key;
}

static const struct field {
	const char *name;
	bool text;
} fields[CM_CERT_FIELD_COUNT] = {
	[CM_CERT_COMMON_NAME] = { "Common Name", true },
	[CM_CERT_RFC822_NAME] = { "RFC 822 Name", true },
	[CM_CERT_UPN] = { "NT Principal Name", true },
	[CM_CERT_ORGANIZATION] = { "Organization", true },
	[CM_CERT_ORGANIZATIONAL_UNIT_1] = { "OrganizationalUnit:1", true },
	[CM_CERT_ORGANIZATIONAL_UNIT_2] = { "OrganizationalUnit:2", true },
	[CM_CERT_ORGANIZATIONAL_UNIT_3] = { "OrganizationalUnit:3", true },
	[CM_CERT_COUNTRY] = { "Country", true },
	[CM_CERT_DNS_NAME] = { "DNS Name", true },
	[CM_CERT_URI] = { "URI", true },
	[CM_CERT_FASC_N] = { "FASC-N", false },
	[CM_CERT_UUID] = { "UUID", true },
	[CM_CERT_SID] = { "SID", true },
	[CM_CERT_SUBJECT_KEY_ID] = { "Subject Key Identifier", false },
	[CM_CERT_AUTHORITY_KEY_ID] = { "Authority Key Identifier", false },
};

const char *
cm_cert_field_name(enum cm_cert_field f)
{
	return fields[f].name;
}

bool
cm_cert_field_is_text(enum cm_cert_field f)
{
	return fields[f].text;
}

struct cm_blob
cm_cert_field(const struct cm_cert *c, enum cm_cert_field f)
{
	return c->fields[f];
}

size_t
cm_cert_field_count(const struct cm_cert *c, enum cm_cert_field f)
{
	return c->counts[f];
}

const struct cm_cert_san *
cm_cert_sans(const struct cm_cert *c, size_t *count)
{
	*count = c->san_count;
	return c->sans;
}

bool
cm_cert_key_usage(const struct cm_cert *c, unsigned *bits)
{
	*bits = c->key_usage;
	return c->has_key_usage;
}

const struct cm_blob *
cm_cert_ekus(const struct cm_cert *c, size_t *count)
{
	*count = c->ekus.count;
	return c->ekus.items;
}

bool
cm_cert_has_eku(const struct cm_cert *c, const char *dotted)
{
	struct cm_buf text;
	bool found = false;

	cm_buf_init(&text, 0);
	for (size_t i = 0; !found && i < c->ekus.count; i++) {
		cm_buf_truncate(&text, 0);
		cm_cert_oid_text(c->ekus.items[i], &text);
		found = cm_buf_status(&text) == CM_OK && strcmp(cm_buf_str(&text), dotted) == 0;
	}
	cm_buf_free(&text);
	return found;
}

bool
cm_cert_is_for_login(const struct cm_cert *c)
{
	static const char *const uses[] = { "1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.311.20.2.2", "1.3.6.1.5.2.3.4" };
	bool found = c->ekus.count == 0;

	if ((c->has_key_usage && (c->key_usage & CM_KU_DIGITAL_SIGNATURE) == 0) || cm_cert_has_eku(c, "2.16.840.1.101.3.6.8"))
		return false;
	for (size_t i = 0; !found && i < CM_COUNT(uses); i++)
		found = cm_cert_has_eku(c, uses[i]);
	return found;
}

const struct cm_blob *
cm_cert_urls(const struct cm_cert *c, enum cm_cert_url kind, size_t *count)
{
	*count = c->urls[kind].count;
	return c->urls[kind].items;
}

/* What name is for people, kept in *text of the certificate once it is made. */
static const char *
name_text(struct cm_cert *c, const struct cm_cert_name *name, char **text)
{
	struct cm_buf raw, printable;

	cm_buf_init(&raw, 0);
	cm_buf_init(&printable, 0);
	pthread_mutex_lock(&c->lock);
	if (*text == NULL) {
		cm_cert_name_rfc4514(name, &raw);
		cm_buf_add_printable(&printable, cm_buf_blob(&raw));
		if (cm_buf_status(&raw) == CM_OK)
			*text = cm_buf_take(&printable);
	}
	pthread_mutex_unlock(&c->lock);
	cm_buf_free(&raw);
	cm_buf_free(&printable);
	if (*text == NULL)
		return "(no memory to show its name)";
	return **text != '\0' ? *text : "(empty name)";
}

const char *
cm_cert_subject_text(const struct cm_cert *c)
{
	struct cm_cert *shared = (struct cm_cert *)c;

	return name_text(shared, &c->subject, &shared->subject_text);
}

const char *
cm_cert_issuer_text(const struct cm_cert *c)
{
	struct cm_cert *shared = (struct cm_cert *)c;

	return name_text(shared, &c->issuer, &shared->issuer_text);
}
