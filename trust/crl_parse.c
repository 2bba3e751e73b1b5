/* trust/crl_parse.c - a revocation list read once, from its first octet to its signature (RFC 5280 section 5.1). */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "trust/crl_internal.h"

#define NO_LIST		"it is no revocation list: "
#define CUT		NO_LIST "it ends before its end"
#define OTHER_SIGNATURE	"its signature is not that of the CA"
#define WEAK_SIGNATURE	"its signature uses a hash that is broken"
#define OTHER_ISSUER	"it is the list of another CA"
#define SIGNATURE_MAX	4096
#define KEY_ID_MAX	64
#define HEAD_MAX	4096	/* octets up to the signature algorithm: in the window at once */

struct parser {
	const struct cm_crl_parsing *in;
	struct cm_crl_list *out;
	struct cm_crl_bytes bytes;
	struct cm_buf algorithm;	/* the inner one's DER */
	EVP_MD_CTX *verify;		/* owned; NULL when nothing is verified */
	uint64_t list_end, tbs_end;	/* offsets */
	size_t tbs_begin;		/* index in the first window */
	uint16_t issuer;		/* of the entry before: it holds on (RFC 5280 5.3.3) */
	bool version2, names_issuers;
	uint64_t told;			/* of progress: octets taken */
	enum cm_err err;		/* of the visitor, or of the machine */
};

/* Each step takes its part of the list, and says what is wrong with it, or NULL. */
typedef const char *(*step_fn)(struct parser *p);

/* What comes next begins with this; the whole of it may be longer than the window. */
static const char *
peek_head(struct parser *p, uint64_t end, struct cm_der *d)
{
	const uint64_t at = cm_crl_bytes_offset(&p->bytes);
	size_t have;
	const uint8_t *octets = cm_crl_bytes_peek(&p->bytes, 6, &have);

	if (p->bytes.fault != NULL)
		return p->bytes.fault;
	if (!cm_der_head(octets, have, d))
		return have < 6 ? CUT : NO_LIST "its encoding is not DER";
	if (d->len > end - at || d->head > end - at - d->len)
		return NO_LIST "a length in it reaches beyond what holds it";
	return NULL;
}

/* Take a whole element, head and all; *content is a part of *whole, borrowed until more is taken. */
static const char *
take(struct parser *p, uint64_t end, uint8_t tag, struct cm_blob *whole, struct cm_blob *content)
{
	const char *why;
	struct cm_der d;
	size_t have;

	if ((why = peek_head(p, end, &d)) != NULL)
		return why;
	if (d.tag != tag)
		return NO_LIST "something else stands where its syntax has another part";
	if (d.head + d.len > CM_CRL_ELEMENT_MAX)
		return NO_LIST "a part of it is longer than 64 KiB";
	whole->ptr = cm_crl_bytes_peek(&p->bytes, d.head + d.len, &have);
	whole->len = d.head + d.len;
	if (have < whole->len)
		return p->bytes.fault != NULL ? p->bytes.fault : CUT;
	*content = (struct cm_blob){ whole->ptr + d.head, d.len };
	cm_crl_bytes_skip(&p->bytes, whole->len);
	return NULL;
}

/* Is this what comes next, before end? */
static bool
next_is(struct parser *p, uint64_t end, uint8_t tag)
{
	size_t have;
	const uint8_t *octets;

	if (cm_crl_bytes_offset(&p->bytes) >= end)
		return false;
	octets = cm_crl_bytes_peek(&p->bytes, 1, &have);
	return have == 1 && octets[0] == tag;
}

static const char *
read_frame(struct parser *p)
{
	struct cm_der d;
	size_t have;
	const char *why;

	/* So that the window does not move before what is signed is known. */
	cm_crl_bytes_peek(&p->bytes, HEAD_MAX, &have);
	if (p->bytes.fault != NULL)
		return p->bytes.fault;
	if (have == 0)
		return NO_LIST "it is empty";
	if ((why = peek_head(p, UINT64_MAX, &d)) != NULL)
		return why;
	if (d.tag != 0x30)
		return NO_LIST "its encoding is not DER";
	cm_crl_bytes_skip(&p->bytes, d.head);
	p->list_end = d.head + d.len;
	if (p->bytes.base64 == NULL && p->bytes.size != p->list_end)
		return p->bytes.size < p->list_end ? CUT : NO_LIST "something follows its end";
	p->tbs_begin = p->bytes.at;
	if ((why = peek_head(p, p->list_end, &d)) != NULL)
		return why;
	if (d.tag != 0x30)
		return NO_LIST "its encoding is not DER";
	p->tbs_end = cm_crl_bytes_offset(&p->bytes) + d.head + d.len;
	cm_crl_bytes_skip(&p->bytes, d.head);
	return NULL;
}

/* 5.1.2.1: absent is 1; who writes extensions says 2. */
static const char *
read_version(struct parser *p)
{
	struct cm_blob whole, v;
	const char *why;

	if (!next_is(p, p->tbs_end, 0x02))
		return NULL;
	if ((why = take(p, p->tbs_end, 0x02, &whole, &v)) != NULL)
		return why;
	p->version2 = v.len == 1 && v.ptr[0] == 1;
	return p->version2 ? NULL : NO_LIST "its version is neither 1 nor 2";
}

/* From here on what is signed is verified as it passes. */
static const char *
read_algorithm(struct parser *p)
{
	X509_ALGOR *alg = NULL;
	struct cm_blob whole, v;
	const uint8_t *at;
	const char *why;

	if ((why = take(p, p->tbs_end, 0x30, &whole, &v)) != NULL)
		return why;
	if (p->bytes.offset != 0)
		return NO_LIST "its head is too long";
	cm_buf_add_blob(&p->algorithm, whole);
	at = whole.ptr;
	if ((alg = d2i_X509_ALGOR(NULL, &at, (long)whole.len)) == NULL)
		return NO_LIST "its signature algorithm is malformed";
	if (p->in->issuer == NULL)
		why = NULL;
	else if (!cm_signature_is_strong(alg))
		why = WEAK_SIGNATURE;
	else if ((p->verify = cm_crl_signature_begin(X509_get0_pubkey(p->in->issuer), alg)) == NULL)
		why = OTHER_SIGNATURE;
	else if (!cm_crl_bytes_verify(&p->bytes, p->verify, p->tbs_begin))
		why = "OpenSSL cannot digest it";
	X509_ALGOR_free(alg);
	return why;
}

static const char *
read_issuer(struct parser *p)
{
	const X509 *issuer = p->in->issuer;
	struct cm_blob whole, v;
	const uint8_t *at;
	const char *why;
	X509_NAME *name;

	if ((why = take(p, p->tbs_end, 0x30, &whole, &v)) != NULL)
		return why;
	at = whole.ptr;
	name = d2i_X509_NAME(NULL, &at, (long)whole.len);
	if (name == NULL)
		why = NO_LIST "its issuer is malformed";
	else if (issuer != NULL && X509_NAME_cmp(name, X509_get_subject_name(issuer)) != 0)
		why = OTHER_ISSUER;
	X509_NAME_free(name);
	cm_buf_add_blob(&p->out->issuer, whole);
	return why;
}

static const char *
read_dates(struct parser *p)
{
	struct cm_crl_about *a = &p->out->about;
	time_t *const to[] = { &a->this_update, &a->next_update };

	for (size_t i = 0; i < CM_COUNT(to); i++) {
		const uint8_t tag = next_is(p, p->tbs_end, 0x17) ? 0x17 : 0x18;
		struct cm_blob whole, v;
		const char *why;

		/* 5.1.2.5: nextUpdate is there, or it is not. */
		if (i == 1 && !next_is(p, p->tbs_end, tag))
			break;
		if ((why = take(p, p->tbs_end, tag, &whole, &v)) != NULL)
			return why;
		if (!cm_der_time(tag, v, to[i]))
			return "its dates are malformed";
	}
	return NULL;
}

static const char *
read_entry(struct parser *p, uint64_t end)
{
	struct cm_crl_about *a = &p->out->about;
	struct cm_crl_entry e = { .issuer = p->issuer };
	struct cm_blob whole, v;
	const char *why;

	if ((why = take(p, end, 0x30, &whole, &v)) != NULL ||
	    (why = cm_crl_entry_parse(v, cm_buf_blob(&p->out->issuer), &p->out->issuers, &e, &a->width)) != NULL)
		return why;
	if (p->in->progress != NULL && p->told != p->bytes.taken)
		p->in->progress(p->in->progress_arg, p->told = p->bytes.taken, p->bytes.size);
	p->names_issuers = p->names_issuers || e.issuer != p->issuer;
	p->issuer = e.issuer;
	a->entries++;
	if (p->in->visit != NULL && (p->err = p->in->visit(p->in->arg, &e)) != CM_OK)
		return "";
	return NULL;
}

static const char *
read_entries(struct parser *p)
{
	struct cm_der d;
	uint64_t end;
	const char *why;

	if (!next_is(p, p->tbs_end, 0x30))
		return NULL;
	if ((why = peek_head(p, p->tbs_end, &d)) != NULL)
		return why;
	end = cm_crl_bytes_offset(&p->bytes) + d.head + d.len;
	cm_crl_bytes_skip(&p->bytes, d.head);
	while (why == NULL && cm_crl_bytes_offset(&p->bytes) < end)
		why = read_entry(p, end);
	return why;
}

static const char *
read_number(struct cm_crl_number *n, struct cm_blob v)
{
	struct cm_blob content, octets;

	if (!cm_der_take(&v, 0x02, &content) || v.len != 0 ||
	    !cm_der_unsigned(content, CM_CRL_NUMBER_MAX, &octets))
		return "its number is malformed (RFC 5280 5.2.3)";
	memcpy(n->octets + sizeof(n->octets) - octets.len, octets.ptr, octets.len);
	n->there = true;
	return NULL;
}

static const char *
read_crl_number(struct parser *p, struct cm_blob v)
{
	return read_number(&p->out->about.number, v);
}

static const char *
read_base_number(struct parser *p, struct cm_blob v)
{
	p->out->about.delta = true;
	return read_number(&p->out->about.base, v);
}

static const char *
read_scope(struct parser *p, struct cm_blob v)
{
	struct cm_crl_about *a = &p->out->about;
	const uint8_t *at = v.ptr;
	ISSUING_DIST_POINT *idp = d2i_ISSUING_DIST_POINT(NULL, &at, (long)v.len);
	const char *why = NULL;

	if (idp == NULL || at != v.ptr + v.len) {
		why = "its issuingDistributionPoint is malformed";
	} else {
		a->indirect = idp->indirectCRL > 0;
		a->only_users = idp->onlyuser > 0;
		a->only_cas = idp->onlyCA > 0;
		cm_buf_add_blob(&p->out->scope, v);
	}
	ISSUING_DIST_POINT_free(idp);
	return why;
}

/* RFC 5280 5.2.1: of it only the key's identifier is looked at; which key signed it is tried. */
static const char *
read_key_id(struct parser *p, struct cm_blob v)
{
	struct cm_blob list, id;

	if (!cm_der_take(&v, 0x30, &list) || v.len != 0)
		return "its authorityKeyIdentifier is malformed";
	if (cm_der_take(&list, 0x80, &id) && id.len <= KEY_ID_MAX)
		cm_buf_add_blob(&p->out->key_id, id);
	return NULL;
}

/* RFC 5280 5.2.6: the same as the certificate's. */
static const char *
read_freshest(struct parser *p, struct cm_blob v)
{
	const uint8_t *at = v.ptr;
	CRL_DIST_POINTS *points = d2i_CRL_DIST_POINTS(NULL, &at, (long)v.len);
	const char *why = points == NULL || at != v.ptr + v.len ? "its freshestCRL is malformed" : NULL;

	for (int i = 0; why == NULL && i < sk_DIST_POINT_num(points); i++)
		cm_crl_point_urls(sk_DIST_POINT_value(points, i), &p->out->freshest);
	CRL_DIST_POINTS_free(points);
	return why;
}

/* RFC 5280 5.2: a list with a critical extension that is not among these is not used. */
static const struct extension {
	uint8_t oid[3];
	const char *(*read)(struct parser *p, struct cm_blob value);
} extensions[] = {
	{ { 0x55, 0x1d, 20 }, read_crl_number },
	{ { 0x55, 0x1d, 27 }, read_base_number },
	{ { 0x55, 0x1d, 28 }, read_scope },
	{ { 0x55, 0x1d, 35 }, read_key_id },
	{ { 0x55, 0x1d, 46 }, read_freshest },
};

static const char *
read_extension(struct parser *p, struct cm_blob *list, unsigned *seen)
{
	struct cm_blob oid, value;
	bool critical;

	if (!cm_crl_extension_next(list, &oid, &critical, &value))
		return NO_LIST "an extension is malformed";
	for (unsigned i = 0; i < CM_COUNT(extensions); i++) {
		if (!cm_blob_equal(oid, (struct cm_blob){ extensions[i].oid, sizeof(extensions[i].oid) }))
			continue;
		if ((*seen & 1u << i) != 0)
			return "it has the same extension twice";
		*seen |= 1u << i;
		return extensions[i].read(p, value);
	}
	return critical ? "it has a critical extension that is not understood" : NULL;
}

static const char *
read_extensions(struct parser *p)
{
	struct cm_blob whole, explicit, list;
	unsigned seen = 0;
	const char *why;

	if (!next_is(p, p->tbs_end, 0xa0))
		return NULL;
	if ((why = take(p, p->tbs_end, 0xa0, &whole, &explicit)) != NULL)
		return why;
	if (!p->version2)
		return NO_LIST "it has extensions and says that it is of version 1";
	if (!cm_der_take(&explicit, 0x30, &list) || explicit.len != 0)
		return NO_LIST "an extension is malformed";
	while (why == NULL && list.len > 0)
		why = read_extension(p, &list, &seen);
	if (why == NULL && p->names_issuers && !p->out->about.indirect)
		return "its entries name other issuers, and it is no indirect list";
	return why;
}

static const char *
end_of_signed(struct parser *p)
{
	if (cm_crl_bytes_offset(&p->bytes) != p->tbs_end)
		return NO_LIST "something else stands where its syntax has another part";
	if (p->names_issuers && !p->out->about.indirect)
		return "its entries name other issuers, and it is no indirect list";
	return cm_crl_bytes_verify(&p->bytes, NULL, 0) ? NULL : "OpenSSL cannot digest it";
}

/* 5.1.1.2: what was signed with is what the signed part says. */
static const char *
read_outer_algorithm(struct parser *p)
{
	struct cm_blob whole, v;
	const char *why = take(p, p->list_end, 0x30, &whole, &v);

	if (why == NULL && !cm_blob_equal(whole, cm_buf_blob(&p->algorithm)))
		why = "its two signature algorithms differ";
	return why;
}

static const char *
read_signature(struct parser *p)
{
	struct cm_blob whole, v;
	const char *why;
	size_t more;

	if ((why = take(p, p->list_end, 0x03, &whole, &v)) != NULL)
		return why;
	if (v.len < 2 || v.len > SIGNATURE_MAX || v.ptr[0] != 0)
		return NO_LIST "its signature is malformed";
	if (p->verify != NULL && EVP_DigestVerifyFinal(p->verify, v.ptr + 1, v.len - 1) != 1)
		return OTHER_SIGNATURE;
	if (cm_crl_bytes_offset(&p->bytes) != p->list_end)
		return NO_LIST "something follows its signature";
	cm_crl_bytes_peek(&p->bytes, 1, &more);
	if (p->bytes.fault != NULL || more > 0)
		return p->bytes.fault != NULL ? p->bytes.fault : NO_LIST "something follows its end";
	return cm_crl_bytes_digest(&p->bytes, p->out->about.sha256) ? NULL : "OpenSSL cannot digest it";
}

static const step_fn steps[] = {
	read_frame, read_version, read_algorithm, read_issuer, read_dates, read_entries, read_extensions, end_of_signed,
	read_outer_algorithm, read_signature,
};

static enum cm_err
finish(struct parser *p)
{
	struct cm_crl_list *l = p->out;

	l->about.issuer = cm_buf_blob(&l->issuer);
	l->about.scope = cm_buf_blob(&l->scope);
	l->about.issuers = cm_buf_blob(&l->issuers);
	l->about.freshest = cm_buf_blob(&l->freshest);
	l->about.key_id = cm_buf_blob(&l->key_id);
	l->about.size = p->list_end;
	if (cm_buf_status(&l->issuer) != CM_OK || cm_buf_status(&l->scope) != CM_OK ||
	    cm_buf_status(&l->freshest) != CM_OK || cm_buf_status(&l->key_id) != CM_OK ||
	    cm_buf_status(&p->algorithm) != CM_OK)
		return CM_ERR_NOMEM;
	return CM_OK;
}

enum cm_err
cm_crl_parse(const struct cm_crl_parsing *in, struct cm_crl_list *out, struct cm_buf *why)
{
	struct parser p = { .in = in, .out = out };
	const char *objection = NULL;
	enum cm_err err;

	*out = (struct cm_crl_list){ .about.width = 1 };
	if ((err = cm_crl_bytes_open(&p.bytes, in->fd, in->max)) == CM_ERR_NOMEM)
		goto out;
	objection = p.bytes.fault;
	for (size_t i = 0; objection == NULL && i < CM_COUNT(steps); i++)
		objection = steps[i](&p);
	if (objection == NULL)
		err = finish(&p);
	else if ((err = p.err) == CM_OK)
		err = CM_ERR_SYNTAX;
out:
	if (err == CM_ERR_SYNTAX)
		cm_buf_add_str(why, objection);
	ERR_clear_error();
	EVP_MD_CTX_free(p.verify);
	cm_buf_free(&p.algorithm);
	cm_crl_bytes_close(&p.bytes);
	return err;
}

void
cm_crl_list_free(struct cm_crl_list *l)
{
	cm_buf_free(&l->issuer);
	cm_buf_free(&l->scope);
	cm_buf_free(&l->issuers);
	cm_buf_free(&l->freshest);
	cm_buf_free(&l->key_id);
	*l = (struct cm_crl_list){ 0 };
}

enum cm_objection
cm_crl_objection_of(const char *why)
{
	static const struct {
		const char *words;
		enum cm_objection o;
	} rows[] = {
		{ OTHER_SIGNATURE, CM_OBJECTION_SIGNATURE }, { WEAK_SIGNATURE, CM_OBJECTION_WEAK_SIGNATURE },
		{ OTHER_ISSUER, CM_OBJECTION_OTHER_ISSUER }, { "its dates are malformed", CM_OBJECTION_MALFORMED_DATES },
		{ "it is larger than trust.crl_max", CM_OBJECTION_TOO_LARGE },
	};

	for (size_t i = 0; i < CM_COUNT(rows); i++)
		if (strcmp(why, rows[i].words) == 0)
			return rows[i].o;
	return CM_OBJECTION_NOT_A_LIST;
}
