/* trust/crl.c - certificate revocation lists (RFC 5280 section 5), from a URL or a file. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "base/file.h"
#include "trust/trust_internal.h"

const char *const cm_crl_endings[] = { ".crl", ".pem", ".der", NULL };

X509_CRL *
cm_crl_decode(struct cm_blob bytes)
{
	static const char begin[] = "-----BEGIN";
	const uint8_t *p = bytes.ptr;
	X509_CRL *crl;
	BIO *bio;

	if (bytes.len < sizeof(begin) || bytes.len > INT_MAX)
		return NULL;
	if (memcmp(bytes.ptr, begin, sizeof(begin) - 1) == 0) {
		bio = BIO_new_mem_buf(bytes.ptr, (int)bytes.len);
		crl = bio != NULL ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL) : NULL;
		BIO_free(bio);
		return crl;
	}
	crl = d2i_X509_CRL(NULL, &p, (long)bytes.len);
	if (crl != NULL && p == bytes.ptr + bytes.len)
		return crl;
	X509_CRL_free(crl);
	return NULL;
}

/* RFC 5280 6.3.3 (f) and (g): NULL when the issuer may sign it and did. */
static const char *
objection_to_signature(X509_CRL *crl, X509 *issuer)
{
	const X509_ALGOR *alg = NULL;

	if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)) != 0)
		return "it is the list of another CA";
	/* Without keyUsage OpenSSL answers with every bit. */
	if ((X509_get_key_usage(issuer) & KU_CRL_SIGN) == 0)
		return "the CA may not sign revocation lists (no cRLSign in its keyUsage)";
	X509_CRL_get0_signature(crl, NULL, &alg);
	if (!cm_signature_is_strong(alg))
		return "its signature uses a hash that is broken";
	if (X509_CRL_verify(crl, X509_get0_pubkey(issuer)) != 1)
		return "its signature is not that of the CA";
	return NULL;
}

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

static const char *
objection_to_extensions(X509_CRL *crl, X509 *cert)
{
	const char *why = NULL;
	ISSUING_DIST_POINT *idp;
	int critical = 0;

	/* RFC 5280 5.2: a list with a critical extension that is not understood is not used. */
	for (int i = 0; i < X509_CRL_get_ext_count(crl); i++) {
		X509_EXTENSION *e = X509_CRL_get_ext(crl, i);
		const int nid = OBJ_obj2nid(X509_EXTENSION_get_object(e));

		if (nid == NID_delta_crl)
			return "it holds changes only (a delta CRL)";
		if (X509_EXTENSION_get_critical(e) && nid != NID_issuing_distribution_point &&
		    nid != NID_authority_key_identifier && nid != NID_crl_number)
			return "it has a critical extension that is not understood";
	}
	idp = X509_CRL_get_ext_d2i(crl, NID_issuing_distribution_point, &critical, NULL);
	if (idp != NULL)
		why = objection_to_scope(idp, cert);
	else if (critical != -1)	/* -1: there is none; else twice, or malformed */
		why = "its issuingDistributionPoint is malformed";
	ISSUING_DIST_POINT_free(idp);
	return why;
}

/* RFC 5280 5.3: one entry with a critical extension that is not understood spoils the list. */
static bool
entries_are_understood(X509_CRL *crl)
{
	STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(crl);

	for (int i = 0; i < sk_X509_REVOKED_num(entries); i++) {
		const X509_REVOKED *r = sk_X509_REVOKED_value(entries, i);

		for (int k = X509_REVOKED_get_ext_by_critical(r, 1, -1); k >= 0;
		    k = X509_REVOKED_get_ext_by_critical(r, 1, k)) {
			const int nid = OBJ_obj2nid(X509_EXTENSION_get_object(X509_REVOKED_get_ext(r, k)));

			if (nid != NID_crl_reason && nid != NID_invalidity_date)
				return false;
		}
	}
	return true;
}

static bool
is_on_hold(const X509_REVOKED *r)
{
	ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
	const bool hold = reason != NULL && ASN1_ENUMERATED_get(reason) == CRL_REASON_CERTIFICATE_HOLD;

	ASN1_ENUMERATED_free(reason);
	return hold;
}

/* The list is the CA's, about this certificate, and dated. */
static enum cm_status
look_up(struct cm_question *q, X509_CRL *crl)
{
	const bool current = cm_evidence_current(&q->answer, q->now, CM_CLOCK_SKEW, &q->why);
	X509_REVOKED *r = NULL;

	/* 2: removeFromCRL, which has no meaning in a list that is no delta (RFC 5280 5.3.1). */
	if (X509_CRL_get0_by_serial(crl, &r, X509_get_serialNumber(q->cert)) != 1)
		return current ? CM_STATUS_GOOD : CM_STATUS_UNKNOWN;
	/* Nothing ends a revocation but the release of a hold: other expired lists still say the truth. */
	if (!current && is_on_hold(r))
		return CM_STATUS_UNKNOWN;
	cm_buf_truncate(&q->why, 0);
	if (!cm_asn1_time(X509_REVOKED_get0_revocationDate(r), &q->answer.revoked_at))
		q->answer.revoked_at = q->answer.this_update;
	return CM_STATUS_REVOKED;
}

static const char *
objection_to(X509_CRL *crl, struct cm_question *q)
{
	const ASN1_TIME *to = X509_CRL_get0_nextUpdate(crl);
	const char *why;

	/* The signature first: until then these are somebody's bytes. */
	if ((why = objection_to_signature(crl, q->issuer)) != NULL)
		return why;
	if ((why = objection_to_extensions(crl, q->cert)) != NULL)
		return why;
	if (!entries_are_understood(crl))
		return "an entry has a critical extension that is not understood";
	if (!cm_asn1_time(X509_CRL_get0_lastUpdate(crl), &q->answer.this_update) ||
	    (to != NULL && !cm_asn1_time(to, &q->answer.next_update)))
		return "its dates are malformed";
	return NULL;
}

static void
add_number(struct cm_question *q, X509_CRL *crl)
{
	ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	const size_t len = strlen(q->answer.source);
	uint64_t n = 0;

	if (number != NULL && ASN1_INTEGER_get_uint64(&n, number) == 1)
		snprintf(q->answer.source + len, sizeof(q->answer.source) - len, " number %llu",
		    (unsigned long long)n);
	ASN1_INTEGER_free(number);
}

enum cm_status
cm_crl_judge(struct cm_question *q, struct cm_blob bytes)
{
	X509_CRL *crl = cm_crl_decode(bytes);
	enum cm_status status = CM_STATUS_UNKNOWN;
	const char *why = "it is no revocation list";

	if (crl != NULL && (why = objection_to(crl, q)) == NULL) {
		add_number(q, crl);
		status = look_up(q, crl);
	} else {
		cm_buf_add_str(&q->why, why);
	}
	ERR_clear_error();
	X509_CRL_free(crl);
	return status;
}

enum cm_status
cm_crl_ask_url(struct cm_question *q, const char *url)
{
	const struct cm_fetch f = {
		.url = url, .max = q->trust->o.crl_max, .deadline = q->deadline,
		.anchors = cm_buf_blob(&q->trust->anchors_pem),
	};
	enum cm_status status = CM_STATUS_UNKNOWN;
	struct cm_buf bytes;

	cm_buf_init(&bytes, f.max);
	if (cm_fetch(&f, &bytes, &q->why) == CM_OK)
		status = cm_crl_judge(q, cm_buf_blob(&bytes));
	cm_buf_free(&bytes);
	return status;
}

static enum cm_status
ask_file(struct cm_question *q, const char *path)
{
	enum cm_status status = CM_STATUS_UNKNOWN;
	struct cm_trace *why = NULL;
	struct cm_buf bytes;
	enum cm_err err;

	cm_buf_init(&bytes, q->trust->o.crl_max);
	if (cm_trace_new(&why) != CM_OK) {
		cm_buf_add_str(&q->why, "out of memory");
		goto out;
	}
	/* What the list is worth stands in its signature, not in who owns the file. */
	err = cm_file_read(path, q->trust->o.crl_max, CM_FILE_ANY, why, &bytes);
	if (err == CM_OK)
		status = cm_crl_judge(q, cm_buf_blob(&bytes));
	else if (err == CM_ERR_ABSENT)
		cm_buf_add_str(&q->why, "there is no such file");
	else
		cm_buf_add_str(&q->why, cm_trace_message(why));
out:
	cm_trace_free(&why);
	cm_buf_free(&bytes);
	return status;
}

/* A folder's lists, asked one after the other. */
struct asking {
	struct cm_question *q;
	struct cm_evidence blank, found;	/* the answer as it came in, and the best one so far */
	enum cm_status status;
	bool hashed;				/* the folder has names by hash */
	char prefix[10];			/* of the issuer's lists: "89abcdef." */
};

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

/* "Revoked" of one list stands against "good" of another. */
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
	if (status == CM_STATUS_UNKNOWN) {
		cm_buf_addf(&a->q->why, "%s%s: %s", a->q->why.len > 0 ? "; " : "", path, cm_buf_str(&one.why));
	} else if (status == CM_STATUS_REVOKED || a->status == CM_STATUS_UNKNOWN) {
		a->status = status;
		a->found = one.answer;
	}
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

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? ask_folder(q, path) : ask_file(q, path);
}
