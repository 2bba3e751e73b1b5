/* trust/store.c - CAs on disk: shown, added, removed. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "trust/trust_internal.h"

/* The two kinds, with what the options say of each. */
struct kind {
	const char *key;
	const char *const *paths;
	bool if_there, anchor;
};

static struct kind
kind_of(const struct cm_trust_options *o, bool anchor)
{
	static const char *const none[] = { NULL };
	const char *const *paths = anchor ? o->anchors : o->intermediates;

	return (struct kind){ .key = anchor ? "trust.anchors" : "trust.intermediates", .anchor = anchor,
	    .paths = paths != NULL ? paths : none, .if_there = anchor ? o->anchors_if_there : o->intermediates_if_there };
}

/* What a visit goes through. */
struct showing {
	cm_trust_visit visit;
	void *arg;
	bool anchor, was_there;
};

static void
write_hex(const uint8_t digest[32], char out[65])
{
	for (size_t i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static bool
is_self_signed(X509 *cert)
{
	return X509_check_issued(cert, cert) == X509_V_OK && X509_verify(cert, X509_get0_pubkey(cert)) == 1;
}

static enum cm_err
show(void *arg, const char *file, X509 *cert)
{
	const struct showing *s = arg;
	struct cm_trust_ca ca = { .file = file, .anchor = s->anchor, .was_there = s->was_there };
	struct cm_buf subject, issuer;
	uint8_t digest[EVP_MAX_MD_SIZE];
	enum cm_err err = CM_ERR_NOMEM;

	cm_buf_init(&subject, 0);
	cm_buf_init(&issuer, 0);
	if (X509_digest(cert, EVP_sha256(), digest, NULL) != 1)
		goto out;
	write_hex(digest, ca.sha256);
	cm_name_text(X509_get_subject_name(cert), &subject);
	cm_name_text(X509_get_issuer_name(cert), &issuer);
	ca.subject = cm_buf_str(&subject);
	ca.issuer = cm_buf_str(&issuer);
	ca.self_signed = is_self_signed(cert);
	if (!cm_asn1_time(X509_get0_notBefore(cert), &ca.not_before))
		ca.not_before = 0;
	if (!cm_asn1_time(X509_get0_notAfter(cert), &ca.not_after))
		ca.not_after = 0;
	err = s->visit(s->arg, &ca);
out:
	ERR_clear_error();
	cm_buf_free(&subject);
	cm_buf_free(&issuer);
	return err;
}

enum cm_err
cm_trust_each(const struct cm_trust_options *o, struct cm_trace *t, cm_trust_visit visit, void *arg)
{
	enum cm_err err = CM_OK;

	for (int anchor = 1; err == CM_OK && anchor >= 0; anchor--) {
		const struct kind k = kind_of(o, anchor);
		struct showing s = { .visit = visit, .arg = arg, .anchor = anchor };

		for (size_t i = 0; err == CM_OK && k.paths[i] != NULL; i++)
			err = cm_pem_each(k.paths[i], k.if_there, t, show, &s);
	}
	return err;
}

enum cm_err
cm_trust_show(struct cm_blob bytes, const char *name, struct cm_trace *t, cm_trust_visit visit, void *arg)
{
	struct showing s = { .visit = visit, .arg = arg };
	STACK_OF(X509) *certs = sk_X509_new_null();
	enum cm_err err = certs != NULL ? cm_pem_parse(bytes, name, t, certs) : CM_ERR_NOMEM;

	for (int i = 0; err == CM_OK && i < sk_X509_num(certs); i++)
		err = show(&s, name, sk_X509_value(certs, i));
	sk_X509_pop_free(certs, X509_free);
	return err;
}

/* The folder that this program writes to. */
static enum cm_err
find_folder(const struct kind *k, struct cm_trace *t, const char **out)
{
	struct stat st;

	for (size_t i = 0; k->paths[i] != NULL; i++)
		if (stat(k->paths[i], &st) == 0 && S_ISDIR(st.st_mode)) {
			*out = k->paths[i];
			return CM_OK;
		}
	*out = k->paths[0];
	if (k->if_there && k->paths[0] != NULL)
		return CM_OK;
	return cm_trace_fail(t, CM_REASON_CONFIG, "%s names no folder that is there (%s): a CA can only be put into a "
	    "folder; make one and name it there", k->key, k->paths[0] != NULL ? k->paths[0] : "it is not set");
}

static enum cm_err
fail_system(const char *path, const char *what, struct cm_trace *t)
{
	const int error = errno;

	return cm_trace_fail(t, error == EACCES || error == EPERM ? CM_REASON_NOT_ROOT : CM_REASON_SYSTEM,
	    "%s: cannot be %s: %s", path, what, strerror(error));
}

/* The default's, and the folder that it is in. */
static enum cm_err
make_folder(const char *path, struct cm_trace *t)
{
	struct stat st;
	char *parent, *slash;

	if (stat(path, &st) == 0)
		return CM_OK;
	if ((parent = strdup(path)) == NULL)
		return CM_ERR_NOMEM;
	if ((slash = strrchr(parent, '/')) != NULL && slash != parent) {
		*slash = '\0';
		if (mkdir(parent, 0755) == 0)
			(void)!chmod(parent, 0755);
	}
	free(parent);
	/* chmod: whatever the umask, who asks for a login must be able to read it. */
	if (mkdir(path, 0755) != 0 || chmod(path, 0755) != 0)
		return fail_system(path, "made", t);
	return CM_OK;
}

static bool
write_all(int fd, struct cm_blob bytes)
{
	while (bytes.len > 0) {
		const ssize_t n = write(fd, bytes.ptr, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes.ptr += n;
		bytes.len -= (size_t)n;
	}
	return true;
}

/* Under another name first, which nobody reads: a reader sees the whole file or none. */
static enum cm_err
write_file(int folder, const char *name, struct cm_blob bytes)
{
	char hidden[96];
	int fd;
	bool written;

	snprintf(hidden, sizeof(hidden), ".%s.%ld", name, (long)getpid());
	fd = openat(folder, hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return CM_ERR_SYSTEM;
	written = write_all(fd, bytes) && fchmod(fd, 0644) == 0 && fsync(fd) == 0;
	if (close(fd) != 0)
		written = false;
	if (written && renameat(folder, hidden, folder, name) == 0 && fsync(folder) == 0)
		return CM_OK;
	const int error = errno;

	unlinkat(folder, hidden, 0);
	errno = error;
	return CM_ERR_SYSTEM;
}

static enum cm_err
put(const char *folder, const char *file, X509 *cert, struct cm_trace *t)
{
	const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	BIO *bio = BIO_new(BIO_s_mem());
	enum cm_err err = CM_ERR_NOMEM;
	char *text = NULL;
	long len;

	if (fd < 0) {
		err = fail_system(folder, "opened", t);
		goto out;
	}
	if (bio == NULL || PEM_write_bio_X509(bio, cert) != 1 || (len = BIO_get_mem_data(bio, &text)) <= 0)
		goto out;
	err = write_file(fd, strrchr(file, '/') + 1, (struct cm_blob){ (const uint8_t *)text, (size_t)len });
	if (err != CM_OK)
		err = fail_system(file, "written", t);
out:
	if (fd >= 0)
		close(fd);
	BIO_free(bio);
	return err;
}

/* NIST SP 800-57 Part 1, table 2: as make_store() has OpenSSL ask of a chain. */
#define SECURITY_BITS	112

/* Why it may not be added; NULL: it may. */
static const char *
objection(X509 *cert, enum cm_reason *reason)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	const X509_ALGOR *alg = NULL;
	const int ca = X509_check_ca(cert);

	*reason = CM_REASON_NOT_A_CA;
	/* 1: by basicConstraints and keyUsage; 3: X.509 v1, signed by itself, which could not say. */
	if (ca != 1 && ca != 3)
		return "may not sign certificates (basicConstraints, keyUsage): it is no CA's";
	if (X509_check_issued(cert, cert) == X509_V_OK && !is_self_signed(cert))
		return "names itself as its issuer, but its signature is not its key's: it is damaged, or forged";
	*reason = CM_REASON_CA_WEAK;
	if (key == NULL || EVP_PKEY_get_security_bits(key) < SECURITY_BITS)
		return "has a key that is too weak: no chain through it would pass";
	X509_get0_signature(NULL, &alg, cert);
	if (!is_self_signed(cert) && !cm_signature_is_strong(alg))
		return "is signed with a hash that is broken: no chain through it would pass";
	return NULL;
}

static enum cm_err
judge(const char *name, STACK_OF(X509) *certs, struct cm_trace *t)
{
	enum cm_err err = CM_OK;
	char text[CM_TIME_SIZE];
	struct cm_buf subject;

	cm_buf_init(&subject, 0);
	for (int i = 0; err == CM_OK && i < sk_X509_num(certs); i++) {
		X509 *cert = sk_X509_value(certs, i);
		enum cm_reason reason;
		const char *why = objection(cert, &reason);
		time_t end = 0;

		cm_buf_truncate(&subject, 0);
		cm_name_text(X509_get_subject_name(cert), &subject);
		if (why != NULL)
			err = cm_trace_fail(t, reason, "%s: the certificate of %s %s; nothing is added", name,
			    cm_buf_str(&subject), why);
		else if (cm_asn1_time(X509_get0_notAfter(cert), &end) && end < cm_clock_now())
			cm_trace_add(t, "warning", "%s: the certificate of %s expired %s: no card is trusted through it",
			    name, cm_buf_str(&subject), cm_clock_text(end, text));
	}
	ERR_clear_error();
	cm_buf_free(&subject);
	return err;
}

struct search {
	const X509 *cert;
	char *file;		/* owned: where it is */
};

static enum cm_err
search_next(void *arg, const char *file, X509 *cert)
{
	struct search *s = arg;

	if (s->file == NULL && X509_cmp(s->cert, cert) == 0 && (s->file = strdup(file)) == NULL)
		return CM_ERR_NOMEM;
	return CM_OK;
}

static enum cm_err
add_one(const struct cm_trust_options *o, const struct cm_trust_adding *a, X509 *cert, struct cm_trace *t)
{
	const struct kind k = kind_of(o, !a->intermediate && is_self_signed(cert));
	struct search found = { .cert = cert };
	struct showing s = { .visit = a->visit, .arg = a->arg, .anchor = k.anchor };
	uint8_t digest[EVP_MAX_MD_SIZE];
	const char *folder;
	enum cm_err err;
	struct cm_buf file;
	char hex[65];

	cm_buf_init(&file, 0);
	if ((err = find_folder(&k, t, &folder)) != CM_OK || (err = make_folder(folder, t)) != CM_OK)
		goto out;
	/* This also sees that nobody else may write there. */
	if ((err = cm_pem_each(folder, true, t, search_next, &found)) != CM_OK)
		goto out;
	s.was_there = found.file != NULL;
	err = CM_ERR_NOMEM;
	if (X509_digest(cert, EVP_sha256(), digest, NULL) != 1)
		goto out;
	write_hex(digest, hex);
	cm_buf_addf(&file, "%s/%s.pem", folder, hex);
	if ((err = cm_buf_status(&file)) == CM_OK && !s.was_there)
		err = put(folder, cm_buf_str(&file), cert, t);
	if (err == CM_OK)
		err = show(&s, s.was_there ? found.file : cm_buf_str(&file), cert);
out:
	free(found.file);
	cm_buf_free(&file);
	return err;
}

enum cm_err
cm_trust_add(const struct cm_trust_options *o, const struct cm_trust_adding *a, struct cm_trace *t)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	enum cm_err err = certs != NULL ? CM_OK : CM_ERR_NOMEM;

	if (err == CM_OK)
		err = cm_pem_parse_beside_keys(a->bytes, a->name, t, certs);
	if (err == CM_OK && sk_X509_num(certs) == 0)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: holds no certificate", a->name);
	if (err == CM_OK)
		err = judge(a->name, certs, t);
	for (int i = 0; err == CM_OK && i < sk_X509_num(certs); i++)
		err = add_one(o, a, sk_X509_value(certs, i), t);
	ERR_clear_error();
	sk_X509_pop_free(certs, X509_free);
	return err;
}
