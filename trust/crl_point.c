/* trust/crl_point.c - where a certificate says that its revocation lists are (RFC 5280 4.2.1.13 and 4.2.1.15). */
#include <openssl/x509v3.h>

#include "trust/crl_internal.h"

#define URLS_MAX	32	/* of one distribution point */

uint16_t
cm_crl_reasons(const ASN1_BIT_STRING *flags)
{
	uint16_t mask = 0;

	if (flags == NULL)
		return CM_CRL_ALL_REASONS;
	/* ReasonFlags: bit 0 is not used. */
	for (int i = 1; i <= 8; i++)
		if (ASN1_BIT_STRING_get_bit(flags, i))
			mask |= (uint16_t)(1u << i);
	return mask;
}

void
cm_crl_point_urls(const DIST_POINT *point, struct cm_buf *out)
{
	/* nameRelativeToCRLIssuer is a name in a directory that nobody names. */
	if (point->distpoint == NULL || point->distpoint->type != 0)
		return;
	for (int i = 0; i < sk_GENERAL_NAME_num(point->distpoint->name.fullname); i++) {
		int type;
		const ASN1_STRING *uri = GENERAL_NAME_get0_value(
		    sk_GENERAL_NAME_value(point->distpoint->name.fullname, i), &type);
		const struct cm_blob text = { type == GEN_URI ? ASN1_STRING_get0_data(uri) : NULL,
		    type == GEN_URI ? (size_t)ASN1_STRING_length(uri) : 0 };

		/* A NUL inside would make another address of it. */
		if (text.len == 0 || memchr(text.ptr, '\0', text.len) != NULL)
			continue;
		cm_buf_add_blob(out, text);
		cm_buf_add_byte(out, '\0');
	}
}

/* All addresses in text, each ended by NUL, are those of one point. */
static bool
visit_urls(struct cm_blob text, struct cm_crl_point *p, cm_crl_point_visit visit, void *arg)
{
	const char *urls[URLS_MAX], *at = (const char *)text.ptr, *const end = at + text.len;

	p->urls = urls;
	for (p->count = 0; at < end && p->count < URLS_MAX; at += strlen(at) + 1)
		urls[p->count++] = at;
	return p->count == 0 || visit(arg, p);
}

static bool
visit_points(const struct cm_question *q, int nid, cm_crl_point_visit visit, void *arg)
{
	CRL_DIST_POINTS *points = X509_get_ext_d2i(q->cert, nid, NULL, NULL);
	bool more = true;

	for (int i = 0; more && i < sk_DIST_POINT_num(points); i++) {
		const DIST_POINT *at = sk_DIST_POINT_value(points, i);
		struct cm_crl_point p = { .delta = nid == NID_freshest_crl, .reasons = cm_crl_reasons(at->reasons),
		    .other_issuer = at->CRLissuer != NULL };
		struct cm_buf urls;

		cm_buf_init(&urls, 0);
		cm_crl_point_urls(at, &urls);
		more = cm_buf_status(&urls) == CM_OK && visit_urls(cm_buf_blob(&urls), &p, visit, arg);
		cm_buf_free(&urls);
	}
	CRL_DIST_POINTS_free(points);
	return more;
}

static bool
visit_freshest(const struct cm_crl_index *x, cm_crl_point_visit visit, void *arg)
{
	struct cm_crl_point p = { .delta = true, .reasons = CM_CRL_ALL_REASONS };

	return visit_urls(x->about.freshest, &p, visit, arg);
}

bool
cm_crl_addresses(struct cm_question *q, cm_crl_point_visit visit, void *arg)
{
	struct cm_crl_lists lists = { 0 };
	const struct cm_crl_index *x;
	bool more;

	more = visit_points(q, NID_crl_distribution_points, visit, arg) &&
	    visit_points(q, NID_freshest_crl, visit, arg);
	if (more)
		cm_crl_gather(q, &lists);
	for (x = lists.kept; more && x != NULL; x = x->next)
		more = x->about.delta || x->beside || x->gone || visit_freshest(x, visit, arg);
	for (x = lists.round; more && x != NULL; x = x->next)
		more = x->about.delta || visit_freshest(x, visit, arg);
	cm_crl_list_close(&lists.kept);
	return more;
}
