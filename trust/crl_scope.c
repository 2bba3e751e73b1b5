/* trust/crl_scope.c - does a list speak of a certificate, and of which reasons: RFC 5280 6.3.3 (b) and (d). */
#include <openssl/x509v3.h>

#include "trust/crl_internal.h"

/* What a list and one of the certificate's distribution points say; at NULL: the point that every certificate has. */
struct pair {
	X509 *cert;
	const X509_NAME *issuer;	/* of the list */
	ISSUING_DIST_POINT *idp;	/* NULL: it has none */
	DIST_POINT *at;
};

static bool
is_directory_name(const GENERAL_NAME *g, const X509_NAME *name)
{
	return g->type == GEN_DIRNAME && X509_NAME_cmp(g->d.directoryName, name) == 0;
}

static bool
any_is(const GENERAL_NAMES *names, const X509_NAME *name)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		if (is_directory_name(sk_GENERAL_NAME_value(names, i), name))
			return true;
	return false;
}

static bool
any_same(const GENERAL_NAMES *a, const GENERAL_NAMES *b)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(a); i++)
		for (int k = 0; k < sk_GENERAL_NAME_num(b); k++)
			if (GENERAL_NAME_cmp(sk_GENERAL_NAME_value(a, i), sk_GENERAL_NAME_value(b, k)) == 0)
				return true;
	return false;
}

/* 5.2.5: a fragment is appended to the name of the list's issuer. */
static const X509_NAME *
whole_name(DIST_POINT_NAME *n, const X509_NAME *issuer)
{
	if (n->type != 1 || (n->dpname == NULL && DIST_POINT_set_dpname(n, issuer) != 1))
		return NULL;
	return n->dpname;
}

static bool
same_point(DIST_POINT_NAME *a, DIST_POINT_NAME *b, const X509_NAME *issuer)
{
	const X509_NAME *one = whole_name(a, issuer), *other = whole_name(b, issuer);

	if (a->type == 1 && b->type == 1)
		return one != NULL && other != NULL && X509_NAME_cmp(one, other) == 0;
	if (a->type == 1)
		return one != NULL && any_is(b->name.fullname, one);
	if (b->type == 1)
		return other != NULL && any_is(a->name.fullname, other);
	return any_same(a->name.fullname, b->name.fullname);
}

/* Is one of the names that the list's point has one of these? */
static bool
point_is(DIST_POINT_NAME *n, const X509_NAME *issuer, const GENERAL_NAMES *names)
{
	const X509_NAME *whole = whole_name(n, issuer);

	return n->type == 1 ? whole != NULL && any_is(names, whole) : any_same(n->name.fullname, names);
}

/* 6.3.3 (b) (1): whose list it may be. */
static bool
is_of_issuer(const struct pair *p)
{
	if (p->at != NULL && p->at->CRLissuer != NULL)
		return p->idp != NULL && p->idp->indirectCRL > 0 && any_is(p->at->CRLissuer, p->issuer);
	return X509_NAME_cmp(p->issuer, X509_get_issuer_name(p->cert)) == 0;
}

/* 6.3.3 (b) (2) (i). */
static bool
is_at_point(const struct pair *p)
{
	DIST_POINT_NAME *const own = p->idp->distpoint;
	const X509_NAME *whole;

	if (own == NULL)
		return true;
	if (p->at != NULL && p->at->distpoint != NULL)
		return same_point(own, p->at->distpoint, p->issuer);
	if (p->at != NULL)
		return p->at->CRLissuer != NULL && point_is(own, p->issuer, p->at->CRLissuer);
	/* "assume a DP with ... a distribution point name of the certificate issuer" */
	whole = whole_name(own, p->issuer);
	return own->type == 1 ? whole != NULL && X509_NAME_cmp(whole, X509_get_issuer_name(p->cert)) == 0 :
	    any_is(own->name.fullname, X509_get_issuer_name(p->cert));
}

/* NULL: yes, and *objection stands. */
static const char *
objection_to(const struct pair *p, enum cm_objection *objection)
{
	const bool ca = (X509_get_extension_flags(p->cert) & EXFLAG_CA) != 0;

	*objection = CM_OBJECTION_OTHER_ISSUER;
	if (!is_of_issuer(p))
		return "it is the list of another CA";
	*objection = CM_OBJECTION_SCOPE;
	if (p->idp == NULL)
		return NULL;
	/* 6.3.3 (b) (2) (ii), (iii), (iv) */
	if (ca && p->idp->onlyuser > 0)
		return "it is not about CAs";
	if (!ca && p->idp->onlyCA > 0)
		return "it is about CAs only";
	if (p->idp->onlyattr > 0)
		return "it is about attribute certificates only";
	if (!is_at_point(p))
		return "it is for another distribution point than the certificate's";
	return NULL;
}

static uint16_t
mask_of(const struct pair *p)
{
	/* 6.3.3 (d): what both speak of. */
	return (uint16_t)(cm_crl_reasons(p->idp != NULL ? p->idp->onlysomereasons : NULL) &
	    cm_crl_reasons(p->at != NULL ? p->at->reasons : NULL));
}

/* Every point of the certificate is tried, the one that it does not name too; what fits one says nothing of another. */
static void
try_points(struct pair *p, struct cm_crl_fit *fit)
{
	CRL_DIST_POINTS *points = X509_get_ext_d2i(p->cert, NID_crl_distribution_points, NULL, NULL);

	const int count = points != NULL ? sk_DIST_POINT_num(points) : 0;

	for (int i = -1; i < count; i++) {
		enum cm_objection objection;
		const char *why;

		p->at = i < 0 ? NULL : sk_DIST_POINT_value(points, i);
		if ((why = objection_to(p, &objection)) == NULL) {
			fit->fits = true;
			fit->reasons |= mask_of(p);
		} else if (fit->why == NULL || fit->objection == CM_OBJECTION_OTHER_ISSUER) {
			fit->why = why;
			fit->objection = objection;
		}
	}
	CRL_DIST_POINTS_free(points);
}

void
cm_crl_fit(X509 *cert, const struct cm_crl_about *a, struct cm_crl_fit *fit)
{
	const uint8_t *p = a->issuer.ptr;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)a->issuer.len);
	struct pair pair = { .cert = cert, .issuer = name };

	*fit = (struct cm_crl_fit){ 0 };
	p = a->scope.ptr;
	if (a->scope.len > 0)
		pair.idp = d2i_ISSUING_DIST_POINT(NULL, &p, (long)a->scope.len);
	if (name == NULL || (a->scope.len > 0 && pair.idp == NULL))
		*fit = (struct cm_crl_fit){ .why = "its issuingDistributionPoint is malformed",
		    .objection = CM_OBJECTION_NOT_A_LIST };
	else
		try_points(&pair, fit);
	if (fit->fits)
		fit->why = NULL;
	ISSUING_DIST_POINT_free(pair.idp);
	X509_NAME_free(name);
}
