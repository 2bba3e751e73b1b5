/* trust/crl.c - revocation lists (RFC 5280 section 5), from a URL or a file: indexed once, asked by serial number. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trust/crl_internal.h"

const char *const cm_crl_endings[] = { ".crl", ".pem", ".der", NULL };

/* RFC 5280 6.3.3 (b) (2) (i): one of the list's own names is one of the certificate's. */
static bool
is_at_point(const GENERAL_NAMES *names, X509 *cert)
{
	CRL_DIST_POINTS *points = X509_get_ext_d2i(cert, NID_crl_distribution_points, NULL, NULL);
	bool found = false;

	for (int i = 0; i < sk_DIST_POINT_num(points); i++) {
		const DIST_POINT_NAME *at = sk_DIST_POINT_value(points, i)->distpoint;

		for (int k = 0; at != NULL && at->type == 0 && k < sk_GENERAL_NAME_num(at->name.fullname); k++)
			for (int n = 0; !found && n < sk_GENERAL_NAME_num(names); n++)
				found = GENERAL_NAME_cmp(sk_GENERAL_NAME_value(at->name.fullname, k),
				    sk_GENERAL_NAME_value(names, n)) == 0;
	}
	CRL_DIST_POINTS_free(points);
	return found;
}

/* RFC 5280 5.2.5: does the list speak of this certificate?  NULL: yes. */
static const char *
objection_to_scope(const ISSUING_DIST_POINT *idp, X509 *cert)
{
	const bool ca = X509_check_ca(cert) != 0;

	if (idp->indirectCRL || idp->onlysomereasons != NULL || idp->onlyattr)
		return "it is indirect, for some reasons only or for attribute certificates: not understood here";
	if (ca ? idp->onlyuser : idp->onlyCA)
		return ca ? "it is not about CAs" : "it is about CAs only";
	if (idp->distpoint == NULL)
		return NULL;
	if (idp->distpoint->type != 0 || !is_at_point(idp->distpoint->name.fullname, cert))
		return "it is for another distribution point than the certificate's";
	return NULL;
}

/* RFC 5280 6.3.3 (f): asked before anybody is; without keyUsage OpenSSL answers with every bit. */
static bool
issuer_may_sign(struct cm_question *q)
{
	if ((X509_get_key_usage(q->issuer) & KU_CRL_SIGN) != 0)
		return true;
	cm_buf_add_str(&q->why, "the CA may not sign revocation lists (no cRLSign in its keyUsage)");
	return false;
}

/* The key that signed it is the issuer's; is the list the issuer's, and about this certificate?  NULL: yes. */
static const char *
objection_to(const struct cm_question *q, const struct cm_crl_about *a)
{
	const uint8_t *p = a->issuer.ptr;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)a->issuer.len);
	const char *why = NULL;
	ISSUING_DIST_POINT *idp;

	if (name == NULL || X509_NAME_cmp(name, X509_get_subject_name(q->issuer)) != 0)
		why = "it is the list of another CA";
	else if (a->delta)
		why = "it holds changes only (a delta CRL)";
	else if (q->answer.serial_len == 0 || (q->answer.serial[0] & 0x80) != 0)
		why = "no list can name this certificate: its serial number is negative";
	X509_NAME_free(name);
	if (why != NULL || a->scope.len == 0)
		return why;
	p = a->scope.ptr;
	idp = d2i_ISSUING_DIST_POINT(NULL, &p, (long)a->scope.len);
	why = idp != NULL ? objection_to_scope(idp, q->cert) : "its issuingDistributionPoint is malformed";
	ISSUING_DIST_POINT_free(idp);
	return why;
}

/* Whose list it is, for people and for evidence. */
static void
name_answer(struct cm_question *q, const struct cm_crl_index *x)
{
	struct cm_buf number;

	cm_buf_init(&number, 0);
	cm_crl_number_text(&x->about.number, &number);
	snprintf(q->answer.source, sizeof(q->answer.source), "CRL %.*s%s%s", (int)x->source.len,
	    (const char *)x->source.ptr, number.len > 0 ? " number " : "", cm_buf_str(&number));
	q->answer.this_update = x->about.this_update;
	q->answer.next_update = x->about.next_update;
	q->answer.learned = x->learned;
	q->answer.by_list = true;
	cm_buf_free(&number);
}

/* May absence from this list say "good" now? */
static bool
may_say_good(struct cm_question *q, const struct cm_crl_store *s, const struct cm_crl_index *x)
{
	return !cm_crl_store_is_rollback(s, x, &q->why) &&
	    cm_evidence_current(q, &q->answer, q->kept ? 0 : CM_CLOCK_SKEW) &&
	    (!q->kept || cm_evidence_clock_is_sound(q, &q->answer));
}

static enum cm_status
judge(struct cm_question *q, const struct cm_crl_store *s, const struct cm_crl_index *x)
{
	const struct cm_blob serial = { q->answer.serial, q->answer.serial_len };
	const char *objection = objection_to(q, &x->about);
	struct cm_crl_entry e;
	enum cm_err err;
	bool good;

	if (objection != NULL) {
		cm_buf_add_str(&q->why, objection);
		return CM_STATUS_UNKNOWN;
	}
	name_answer(q, x);
	if ((err = cm_crl_index_find(x, X509_get_issuer_name(q->cert), serial, &e)) != CM_OK && err != CM_ERR_ABSENT) {
		cm_buf_add_str(&q->why, "its index is damaged");
		return CM_STATUS_UNKNOWN;
	}
	good = may_say_good(q, s, x);
	/* removeFromCRL has no meaning in a list that is no delta (RFC 5280 5.3.1). */
	if (err == CM_ERR_ABSENT || e.reason == CM_CRL_REMOVED)
		return good ? CM_STATUS_GOOD : CM_STATUS_UNKNOWN;
	/* Nothing ends a revocation but the release of a hold: other expired lists still say the truth. */
	if (!good && e.reason == CM_CRL_ON_HOLD)
		return CM_STATUS_UNKNOWN;
	cm_buf_truncate(&q->why, 0);
	q->answer.revoked_at = e.revoked_at;
	q->answer.on_hold = e.reason == CM_CRL_ON_HOLD;
	return CM_STATUS_REVOKED;
}

/* Several lists about one certificate: "revoked" of one stands against "good" of another. */
struct asking {
	struct cm_question *q;
	const struct cm_crl_store *store;
	struct cm_evidence blank, found;	/* the answer as it came in, and the best one so far */
	enum cm_status status;
	const char *path, *etag;		/* of the file whose index is looked for */
	bool seen;				/* there was one */
	bool hashed;				/* the folder has names by hash */
	char prefix[10];			/* of the issuer's lists: "89abcdef." */
};

static void
hear(struct asking *a, const struct cm_question *one, enum cm_status status)
{
	if (status == CM_STATUS_REVOKED || (status == CM_STATUS_GOOD && a->status == CM_STATUS_UNKNOWN)) {
		a->status = status;
		a->found = one->answer;
	}
}

/* An index in force answers without anybody being asked, while its list is current. */
static bool
ask_kept(void *arg, const struct cm_crl_index *x, bool beside)
{
	struct asking *a = arg;
	struct cm_question one = *a->q;

	if (beside)
		return true;
	one.kept = true;
	cm_buf_init(&one.why, 0);
	hear(a, &one, judge(&one, a->store, x));
	cm_buf_free(&one.why);
	return a->status != CM_STATUS_REVOKED;
}

static struct cm_crl_import
importing(const struct cm_question *q, int list, const struct cm_crl_origin *origin)
{
	return (struct cm_crl_import){ .list = list, .max = q->trust->o.crl_max, .issuer = q->issuer,
	    .origin = *origin, .now = q->known->now, .warning = q->warning };
}

/* Index it, keep the index where that can be done, and ask it. */
static enum cm_status
ask_list(struct cm_question *q, struct cm_crl_store *s, const struct cm_crl_import *i)
{
	struct cm_crl_index *x = NULL;
	enum cm_status status = CM_STATUS_UNKNOWN;
	const enum cm_err err = cm_crl_store_import(s, i, &x, &q->why);

	if (err == CM_OK)
		status = judge(q, s, x);
	else if (err == CM_ERR_NOMEM)
		cm_buf_add_str(&q->why, "out of memory");
	cm_crl_index_close(&x);
	ERR_clear_error();
	return status;
}

static enum cm_status
fetch(struct cm_question *q, struct cm_crl_store *s, const char *url)
{
	struct cm_fetch f = {
		.url = url, .max = q->trust->o.crl_max, .deadline = q->deadline,
		.fd = cm_crl_temporary(s->keeps ? s->folder : -1),
	};
	const struct cm_crl_origin o = { url, f.new_etag, f.new_modified, q->known->now };
	const struct cm_crl_import i = importing(q, f.fd, &o);
	enum cm_status status = CM_STATUS_UNKNOWN;

	if (f.fd < 0)
		cm_buf_addf(&q->why, "nothing can be fetched: %s", strerror(errno));
	else if (cm_fetch_now(&f, cm_buf_blob(&q->trust->anchors_pem)) == CM_OK)
		status = ask_list(q, s, &i);
	else
		cm_object(q, f.objection, "%s", cm_buf_str(&f.why));
	if (f.fd >= 0)
		close(f.fd);
	cm_fetch_clear(&f);
	return status;
}

enum cm_status
cm_crl_ask_url(struct cm_question *q, const char *url)
{
	struct cm_crl_store s;
	struct asking a = { .q = q, .store = &s, .blank = q->answer };

	if (!issuer_may_sign(q))
		return CM_STATUS_UNKNOWN;
	cm_crl_store_open(&s, q->trust->o.crl_dir, q->answer.issuer_key, false, NULL);
	cm_crl_store_each(&s, ask_kept, &a);
	cm_crl_store_close(&s);
	if (a.status == CM_STATUS_UNKNOWN) {
		cm_crl_store_open(&s, q->trust->o.crl_dir, q->answer.issuer_key, q->trust->o.crl_keep, q->warning);
		a.status = fetch(q, &s, url);
		cm_crl_store_close(&s);
		return a.status;
	}
	q->answer = a.found;
	q->kept = true;
	q->note = ", kept here";
	return a.status;
}

/* The index of this very file, as it is now. */
static bool
ask_same(void *arg, const struct cm_crl_index *x, bool beside)
{
	struct asking *a = arg;

	(void)beside;
	if (!cm_blob_equal(x->source, cm_blob_str(a->path)) || !cm_blob_equal(x->etag, cm_blob_str(a->etag)))
		return true;
	cm_buf_truncate(&a->q->why, 0);
	a->status = judge(a->q, a->store, x);
	a->seen = true;
	return false;
}

/* What tells that a file is another one, or was written to. */
static void
mark_of(const struct stat *st, char *etag, size_t size)
{
	snprintf(etag, size, "%llx:%llx:%llx:%lld.%09ld:%lld.%09ld", (unsigned long long)st->st_dev,
	    (unsigned long long)st->st_ino, (unsigned long long)st->st_size, (long long)st->st_mtim.tv_sec,
	    st->st_mtim.tv_nsec, (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
}

/* What the list is worth stands in its signature, not in who owns the file. */
static int
open_list(const char *path, size_t max, struct stat *st, struct cm_buf *why)
{
	/* O_NONBLOCK: a pipe put in the file's place must not hold us up. */
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		cm_buf_add_str(why, "there is no such file");
	else if (fd < 0 || fstat(fd, st) != 0)
		cm_buf_addf(why, "it cannot be read: %s", strerror(errno));
	else if (!S_ISREG(st->st_mode))
		cm_buf_add_str(why, "not a regular file");
	else if ((uint64_t)st->st_size > max)
		cm_buf_addf(why, "larger than %zu bytes", max);
	else
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static enum cm_status
ask_file(struct cm_question *q, const char *path)
{
	struct cm_crl_store s;
	struct stat st = { 0 };
	char etag[128];
	struct asking a = { .q = q, .store = &s, .path = path, .etag = etag };
	const struct cm_crl_origin o = { path, etag, "", q->known->now };
	const int fd = open_list(path, q->trust->o.crl_max, &st, &q->why);
	struct cm_crl_import i = importing(q, fd, &o);

	if (fd < 0)
		return CM_STATUS_UNKNOWN;
	i.beside = true;
	mark_of(&st, etag, sizeof(etag));
	cm_crl_store_open(&s, q->trust->o.crl_dir, q->answer.issuer_key, false, NULL);
	cm_crl_store_each(&s, ask_same, &a);
	cm_crl_store_close(&s);
	if (!a.seen) {
		cm_crl_store_open(&s, q->trust->o.crl_dir, q->answer.issuer_key, q->trust->o.crl_keep, q->warning);
		a.status = ask_list(q, &s, &i);
		cm_crl_store_close(&s);
	}
	close(fd);
	return a.status;
}

static bool
is_list(const char *name, const void *arg)
{
	const struct asking *a = arg;

	if (a->hashed)
		return cm_folder_name_hashed(name, "r") && strncmp(name, a->prefix, 9) == 0;
	return cm_folder_name_ends(name, cm_crl_endings);
}

static bool
is_hashed_list(const char *name, const void *unused)
{
	(void)unused;
	return cm_folder_name_hashed(name, "r");
}

static enum cm_err
nothing(void *unused, const char *path)
{
	(void)unused;
	(void)path;
	return CM_OK;
}

static enum cm_err
ask_next(void *arg, const char *path)
{
	struct asking *a = arg;
	struct cm_question one = *a->q;
	enum cm_status status;

	one.answer = a->blank;
	cm_buf_init(&one.why, 0);
	snprintf(one.answer.source, sizeof(one.answer.source), "CRL %s", path);
	status = ask_file(&one, path);
	if (status == CM_STATUS_UNKNOWN)
		cm_buf_addf(&a->q->why, "%s%s: %s", a->q->why.len > 0 ? "; " : "", path, cm_buf_str(&one.why));
	hear(a, &one, status);
	cm_buf_free(&one.why);
	return CM_OK;
}

static enum cm_status
ask_folder(struct cm_question *q, const char *path)
{
	struct asking a = { .q = q, .blank = q->answer };
	struct cm_folder f = { .path = path, .wants = is_hashed_list };
	struct cm_trace *why = NULL;
	enum cm_err err = cm_trace_new(&why);

	snprintf(a.prefix, sizeof(a.prefix), "%08lx.",
	    X509_NAME_hash_ex(X509_get_subject_name(q->issuer), NULL, NULL, NULL) & 0xffffffff);
	if (err == CM_OK && (err = cm_folder_each(&f, why, nothing, NULL)) == CM_OK) {
		a.hashed = f.count > 0;
		f = (struct cm_folder){ .path = path, .wants = is_list, .wants_arg = &a };
		err = cm_folder_each(&f, why, ask_next, &a);
	}
	if (err != CM_OK)
		cm_buf_add_str(&q->why, err == CM_ERR_NOMEM ? "out of memory" : cm_trace_message(why));
	else if (f.count == 0)
		cm_buf_add_str(&q->why, a.hashed ? "no list of this issuer is in the folder" :
		    "no file in this folder ends in .crl, .pem or .der");
	cm_trace_free(&why);
	q->answer = a.status != CM_STATUS_UNKNOWN ? a.found : a.blank;
	return a.status;
}

enum cm_status
cm_crl_ask_file(struct cm_question *q, const char *path)
{
	struct stat st;

	if (!issuer_may_sign(q))
		return CM_STATUS_UNKNOWN;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? ask_folder(q, path) : ask_file(q, path);
}
