/* tests/trust/test_crl_scope.c - RFC 5280 6.3.3 step by step: of which certificate which lists speak, and what they say together; OpenSSL beside. */
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/trust/crl_world.h"

#define HERE	"http://a/1.crl"
#define THERE	"http://a/2.crl"
#define DELTA	"http://a/d.crl"

/* ReasonFlags; the two halves are all. */
#define KEY	(1u << 1)
#define FIRST	(1u << 1 | 1u << 2 | 1u << 3 | 1u << 4)
#define SECOND	(1u << 5 | 1u << 6 | 1u << 7 | 1u << 8)

#define DP_HERE		"crlDistributionPoints=p\n[p]\nfullname=URI:" HERE
#define DP_BOTH		"crlDistributionPoints=p,r\n[p]\nfullname=URI:" HERE "\n[r]\nfullname=URI:" THERE
#define DP_FIRST	"crlDistributionPoints=p,r\n[p]\nfullname=URI:" HERE "\nreasons=keyCompromise,CACompromise,affiliationChanged,superseded" \
			"\n[r]\nfullname=URI:" THERE "\nreasons=cessationOfOperation,certificateHold,privilegeWithdrawn,AACompromise"
#define DP_RELATIVE	"crlDistributionPoints=p\n[p]\nrelativename=n\n[n]\nCN=part"
#define DP_OTHER	"crlDistributionPoints=p\n[p]\nfullname=URI:" HERE "\nCRLissuer=dirName:n\n[n]\nCN=Lists"
#define DP_OTHER_BARE	"crlDistributionPoints=p\n[p]\nCRLissuer=dirName:n\n[n]\nCN=Lists"
#define DP_NO_SIGN	"crlDistributionPoints=p\n[p]\nfullname=URI:" HERE "\nCRLissuer=dirName:n\n[n]\nCN=No Lists"
#define DP_ELSEWHERE	"crlDistributionPoints=p\n[p]\nfullname=URI:" HERE "\nCRLissuer=dirName:n\n[n]\nCN=Elsewhere"

enum { GOOD = CM_STATUS_GOOD, REVOKED = CM_STATUS_REVOKED, UNKNOWN = CM_STATUS_UNKNOWN };

/* What OpenSSL says of the same; where it differs, why. */
enum oracle {
	SAME,
	STRICTER,	/* it takes no "revoked" from what has expired, is no base, or is not complete */
	LAXER,		/* and so lets pass what is refused here */
	OTHER_WAY,	/* it has no such case */
};

static const struct row {
	const char *name, *cert;
	bool is_ca;
	struct list lists[4];
	int status;
	bool on_hold;
	const char *part;		/* of the reason, or of the source */
	enum oracle oracle;
	const char *note;		/* of what is said beside "good"; NULL: nothing is */
	bool any_changes;		/* the source may name some */
} rows[] = {
	/* ---- (b) (1): the issuer */
	{ "the issuer's list", "", false, { { CA, .number = 1 } }, GOOD, false, "number 1", SAME, NULL, false },
	{ "it stands in it", "", false, { { CA, .number = 1, .listed = true, .reason = 1 } }, REVOKED, false, "number 1", SAME, NULL, false },
	{ "of another CA", "", false, { { OTHER, .number = 1 } }, UNKNOWN, false, "the list of another CA", SAME, NULL, false },
	{ "the issuer's next key", "", false, { { CA_NEW, .number = 1 } }, GOOD, false, "number 1", SAME, NULL, false },
	{ "the issuer's next key says revoked", "", false, { { CA, .number = 1 }, { CA_NEW, .number = 2, .listed = true, .reason = 1 } },
	    REVOKED, false, "number 2", OTHER_WAY, NULL, false },
	{ "another issuer is named", DP_OTHER, false, { { OTHER, .number = 1, .scope = CRL_INDIRECT } }, GOOD, false, "number 1", SAME, NULL, false },
	{ "another issuer is named, and says revoked", DP_OTHER, false, { { OTHER, .number = 1, .scope = CRL_INDIRECT, .listed = true,
	    .reason = 1 } }, REVOKED, false, "number 1", SAME, NULL, false },
	{ "another issuer is named, and its list is not indirect", DP_OTHER, false, { { OTHER, .number = 1 } }, UNKNOWN, false,
	    "the list of another CA", SAME, NULL, false },
	{ "an indirect list of who is not named", "", false, { { OTHER, .number = 1, .scope = CRL_INDIRECT } }, UNKNOWN, false,
	    "the list of another CA", SAME, NULL, false },
	{ "an indirect list of the issuer", "", false, { { CA, .number = 1, .scope = CRL_INDIRECT } }, GOOD, false, "number 1", SAME, NULL, false },
	{ "an indirect list of the issuer says revoked", "", false, { { CA, .number = 1, .scope = CRL_INDIRECT, .listed = true,
	    .reason = 1 } }, REVOKED, false, "number 1", SAME, NULL, false },
	/* ---- (f): whose path ends elsewhere, or who may not */
	{ "attack: a look-alike of the other issuer", DP_OTHER, false, { { STRANGER, .number = 1, .scope = CRL_INDIRECT } }, UNKNOWN,
	    false, "", SAME, NULL, false },
	{ "without cRLSign", DP_NO_SIGN, false, { { NO_SIGN, .number = 1, .scope = CRL_INDIRECT } }, UNKNOWN, false, "cRLSign", SAME, NULL, false },
	{ "of another anchor", DP_ELSEWHERE, false, { { ELSEWHERE, .number = 1, .scope = CRL_INDIRECT } }, UNKNOWN, false,
	    "comes from no anchor", SAME, NULL, false },
	/* ---- (b) (2) (i): the point */
	{ "the point's part", DP_HERE, false, { { CA, .number = 1, .point = HERE } }, GOOD, false, "number 1", SAME, NULL, false },
	{ "another point's part", DP_HERE, false, { { CA, .number = 1, .point = THERE } }, UNKNOWN, false, "another distribution point", SAME, NULL, false },
	{ "another point's part says revoked", DP_HERE, false, { { CA, .number = 1, .point = THERE, .listed = true, .reason = 1 } },
	    UNKNOWN, false, "another distribution point", SAME, NULL, false },
	{ "a point, and none is named", "", false, { { CA, .number = 1, .point = HERE } }, UNKNOWN, false, "another distribution point", SAME, NULL, false },
	{ "a whole list, and a point is named", DP_HERE, false, { { CA, .number = 1 } }, GOOD, false, "number 1", SAME, NULL, false },
	{ "the second point's part", DP_BOTH, false, { { CA, .number = 1, .point = THERE } }, GOOD, false, "number 1", SAME, NULL, false },
	{ "the first is good, the second says revoked", DP_BOTH, false, { { CA, .number = 1, .point = HERE },
	    { CA, .number = 2, .point = THERE, .listed = true, .reason = 1 } }, REVOKED, false, "number 2", OTHER_WAY, NULL, false },
	{ "a name relative to the issuer", DP_RELATIVE, false, { { CA, .number = 1, .relative = "part" } }, GOOD, false, "number 1", SAME, NULL, false },
	{ "another name relative to the issuer", DP_RELATIVE, false, { { CA, .number = 1, .relative = "other" } }, UNKNOWN, false,
	    "another distribution point", SAME, NULL, false },
	{ "a relative name against a full one", DP_HERE, false, { { CA, .number = 1, .relative = "part" } }, UNKNOWN, false,
	    "another distribution point", SAME, NULL, false },
	{ "no name, but another issuer", DP_OTHER_BARE, false, { { OTHER, .number = 1, .scope = CRL_INDIRECT } }, GOOD, false, "number 1", SAME, NULL, false },
	{ "no name, and the list has another", DP_OTHER_BARE, false, { { OTHER, .number = 1, .scope = CRL_INDIRECT, .point = HERE } },
	    UNKNOWN, false, "another distribution point", LAXER, NULL, false },
	/* ---- (b) (2) (ii), (iii), (iv): of whom */
	{ "users only, a user", "", false, { { CA, .number = 1, .scope = CRL_ONLY_USERS } }, GOOD, false, "number 1", SAME, NULL, false },
	{ "users only, a CA", "", true, { { CA, .number = 1, .scope = CRL_ONLY_USERS } }, UNKNOWN, false, "not about CAs", SAME, NULL, false },
	{ "CAs only, a CA", "", true, { { CA, .number = 1, .scope = CRL_ONLY_CAS } }, GOOD, false, "number 1", SAME, NULL, false },
	{ "CAs only, a user", "", false, { { CA, .number = 1, .scope = CRL_ONLY_CAS } }, UNKNOWN, false, "about CAs only", SAME, NULL, false },
	{ "attribute certificates only", "", false, { { CA, .number = 1, .scope = CRL_ONLY_ATTRIBUTES } }, UNKNOWN, false,
	    "attribute certificates", SAME, NULL, false },
	{ "a scope that says nothing", "", false, { { CA, .number = 1, .scope = CRL_SCOPE } }, GOOD, false, "number 1", SAME, NULL, false },
	{ "users and CAs apart, a user", "", false, { { CA, .number = 1, .scope = CRL_ONLY_CAS }, { CA, .number = 2, .scope = CRL_ONLY_USERS } },
	    GOOD, false, "number 2", SAME, NULL, false },
	/* ---- (d), (e), (l): reasons */
	{ "half of the reasons", "", false, { { CA, .number = 1, .reasons = FIRST } }, UNKNOWN, false, "some reasons only", SAME, NULL, false },
	{ "both halves", "", false, { { CA, .number = 1, .reasons = FIRST }, { CA, .number = 2, .reasons = SECOND } }, GOOD, false,
	    "and 1 other", SAME, NULL, false },
	{ "both halves but one reason", "", false, { { CA, .number = 1, .reasons = FIRST & ~KEY }, { CA, .number = 2, .reasons = SECOND } },
	    UNKNOWN, false, "some reasons only", SAME, NULL, false },
	{ "both halves, one revoked", "", false, { { CA, .number = 1, .reasons = FIRST }, { CA, .number = 2, .reasons = SECOND, .listed = true,
	    .reason = 5 } }, REVOKED, false, "number 2", SAME, NULL, false },
	{ "half of the reasons, revoked", "", false, { { CA, .number = 1, .reasons = FIRST, .listed = true, .reason = 1 } }, REVOKED, false,
	    "number 1", SAME, NULL, false },
	{ "both halves, one has expired", "", false, { { CA, .number = 1, .reasons = FIRST }, { CA, .number = 2, .reasons = SECOND,
	    .from = -2 * DAY, .to = -DAY } }, UNKNOWN, false, "expired", SAME, NULL, false },
	{ "points for halves of the reasons", DP_FIRST, false, { { CA, .number = 1, .point = HERE }, { CA, .number = 2, .point = THERE } },
	    GOOD, false, "and 1 other", SAME, NULL, false },
	{ "one point for half of the reasons", DP_FIRST, false, { { CA, .number = 1, .point = HERE } }, UNKNOWN, false, "some reasons only",
	    SAME, NULL, false },
	{ "a point's half and a list's other half", DP_FIRST, false, { { CA, .number = 1, .point = HERE, .reasons = SECOND },
	    { CA, .number = 2, .point = THERE } }, UNKNOWN, false, "some reasons only", SAME, NULL, false },
	{ "halves and a whole", "", false, { { CA, .number = 1, .reasons = FIRST }, { CA, .number = 2 } }, GOOD, false, "number 2", SAME, NULL, false },

	/* ---- (c), (h), (i), (j), (k): changes */
	{ "nothing changed", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA }, { CA, .number = 6, .base = 5 } }, GOOD, false,
	    "number 5 with changes", SAME, NULL, false },
	{ "revoked since", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA }, { CA, .number = 6, .base = 5, .listed = true,
	    .reason = 1 } }, REVOKED, false, "number 6", SAME, NULL, false },
	{ "on hold since", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA }, { CA, .number = 6, .base = 5, .listed = true,
	    .reason = 6 } }, REVOKED, true, "number 6", SAME, NULL, false },
	{ "a hold ended since", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA, .listed = true, .reason = 6 },
	    { CA, .number = 6, .base = 5, .listed = true, .reason = 8 } }, GOOD, false, "number 5 with changes", SAME, NULL, false },
	{ "attack: a revocation ended since", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA, .listed = true, .reason = 1 },
	    { CA, .number = 6, .base = 5, .listed = true, .reason = 8 } }, REVOKED, false, "number 5", LAXER, NULL, false },
	{ "a hold not ended since", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA, .listed = true, .reason = 6 },
	    { CA, .number = 6, .base = 5 } }, REVOKED, true, "number 5", SAME, NULL, false },
	{ "changes of an older list", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA }, { CA, .number = 6, .base = 3 } }, GOOD,
	    false, "number 5 with changes", SAME, NULL, false },
	{ "changes of a newer list", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA }, { CA, .number = 9, .base = 6 } }, GOOD,
	    false, "number 5", SAME, "of a later list [no_base]", false },
	{ "a newer list's changes say revoked", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA }, { CA, .number = 9, .base = 6,
	    .listed = true, .reason = 1 } }, REVOKED, false, "number 9", LAXER, NULL, false },
	{ "a newer list's changes end no hold", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA, .listed = true, .reason = 6 },
	    { CA, .number = 9, .base = 6, .listed = true, .reason = 8 } }, REVOKED, true, "number 5", SAME, NULL, false },
	{ "changes older than the list", "", false, { { CA, .number = 5, .from = -60, .freshest = DELTA }, { CA, .number = 4, .base = 3,
	    .from = -3600 } }, GOOD, false, "number 5", SAME, NULL, false },
	{ "changes that have expired", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA }, { CA, .number = 6, .base = 5,
	    .from = -1800, .to = -600 } }, GOOD, false, "number 5", SAME, "have expired [stale]", false },
	{ "changes that have expired say revoked", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA }, { CA, .number = 6,
	    .base = 5, .from = -1800, .to = -600, .listed = true, .reason = 1 } }, REVOKED, false, "number 6", SAME, NULL, false },
	{ "changes that have expired ended a hold", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA, .listed = true,
	    .reason = 6 }, { CA, .number = 6, .base = 5, .from = -1800, .to = -600, .listed = true, .reason = 8 } }, REVOKED, true, "number 5", LAXER, NULL, false },
	{ "changes alone", "", false, { { CA, .number = 6, .base = 5 } }, UNKNOWN, false, "a delta CRL", SAME, NULL, false },
	{ "changes alone say revoked", "", false, { { CA, .number = 6, .base = 5, .listed = true, .reason = 1 } }, REVOKED, false, "number 6",
	    STRICTER, NULL, false },
	{ "changes of another scope", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA }, { CA, .number = 6, .base = 5,
	    .scope = CRL_ONLY_CAS, .listed = true, .reason = 1 } }, GOOD, false, "number 5", SAME, NULL, false },
	{ "changes of the same scope", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA, .scope = CRL_ONLY_USERS },
	    { CA, .number = 6, .base = 5, .scope = CRL_ONLY_USERS } }, GOOD, false, "with changes", SAME, NULL, false },
	{ "changes by another key", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA, .listed = true, .reason = 6 },
	    { CA_NEW, .number = 6, .base = 5, .listed = true, .reason = 8 } }, REVOKED, true, "number 5", SAME, NULL, false },
	{ "two changes, the newest counts", "", false, { { CA, .number = 5, .from = -3600, .freshest = DELTA }, { CA, .number = 6, .base = 5,
	    .from = -1800, .listed = true, .reason = 6 }, { CA, .number = 7, .base = 5, .listed = true, .reason = 8 } }, GOOD, false,
	    "number 7", OTHER_WAY, NULL, true },
	{ "the list has expired, its changes have not", "", false, { { CA, .number = 5, .from = -3600, .to = -600, .freshest = DELTA },
	    { CA, .number = 6, .base = 5 } }, GOOD, false, "with changes", SAME, NULL, false },	/* 5.2.4: the dates are the changes' */
	{ "changes without a number of the list", "", false, { { CA, .number = 0, .from = -3600, .freshest = DELTA, .listed = true, .reason = 6 },
	    { CA, .number = 6, .base = 5, .listed = true, .reason = 8 } }, REVOKED, true, "", SAME, NULL, false },

	/* ---- holds, and several lists of one key */
	{ "on hold", "", false, { { CA, .number = 5, .listed = true, .reason = 6 } }, REVOKED, true, "number 5", SAME, NULL, false },
	{ "a hold that expired", "", false, { { CA, .number = 5, .from = -2 * DAY, .to = -DAY, .listed = true, .reason = 6 } }, REVOKED, true,
	    "number 5", OTHER_WAY, NULL, false },
	{ "a hold absent from a later list", "", false, { { CA, .number = 5, .from = -3600, .listed = true, .reason = 6 }, { CA, .number = 6 } },
	    GOOD, false, "number 6", SAME, NULL, false },
	{ "a hold absent from a later list of another scope", "", false, { { CA, .number = 5, .from = -3600, .listed = true, .reason = 6 },
	    { CA, .number = 6, .scope = CRL_ONLY_USERS } }, REVOKED, true, "number 5", OTHER_WAY, NULL, false },
	{ "a hold absent from a later list of another key", "", false, { { CA, .number = 5, .from = -3600, .listed = true, .reason = 6 },
	    { CA_NEW, .number = 6 } }, REVOKED, true, "number 5", SAME, NULL, false },
	{ "a hold absent from an older list", "", false, { { CA, .number = 6, .listed = true, .reason = 6 }, { CA, .number = 5, .from = -3600 } },
	    REVOKED, true, "number 6", SAME, NULL, false },
	{ "attack: a revocation absent from a later list", "", false, { { CA, .number = 5, .from = -3600, .listed = true, .reason = 1 },
	    { CA, .number = 6 } }, REVOKED, false, "number 5", OTHER_WAY, NULL, false },
	{ "attack: an older list shown after a newer", "", false, { { CA, .number = 6, .from = -3600, .to = -600 }, { CA, .number = 5,
	    .from = -7200 } }, UNKNOWN, false, "rollback", OTHER_WAY, NULL, false },
	{ "attack: older changes shown after newer", "", false, { { CA, .number = 5, .from = -7200, .freshest = DELTA, .to = -6000 },
	    { CA, .number = 8, .base = 5, .from = -3600, .to = -600 }, { CA, .number = 7, .base = 5, .from = -5000 } }, UNKNOWN, false, "",
	    SAME, NULL, false },
};

static const char *
name_of(int status)
{
	return status == GOOD ? "good" : status == REVOKED ? "revoked" : "unknown";
}

/* ---- OpenSSL's answer to the same. */

static void
add_list(STACK_OF(X509_CRL) *crls, const uint8_t *der, size_t len)
{
	X509_CRL *crl = d2i_X509_CRL(NULL, &der, (long)len);

	assert_non_null(crl);
	assert_true(sk_X509_CRL_push(crls, crl) > 0);
}

/* Who signs lists is asked about, too. */
static void
add_lists_of_anchors(const struct world *w, STACK_OF(X509_CRL) *crls)
{
	for (int i = 0; i < 2; i++) {
		const struct crl_list l = { .ca = i == 0 ? w->root : w->away, .key = i == 0 ? w->root_key : w->away_key, .number = 1,
		    .this_update = w->now - 60, .next_update = w->now + DAY };
		size_t len;
		uint8_t *der = crl_list_make(&l, &len);

		add_list(crls, der, len);
		free(der);
	}
}

static int
ask_openssl(const struct world *w, const struct row *r, int *error)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *untrusted = sk_X509_new_null();
	STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
	int status = UNKNOWN;

	X509_STORE_add_cert(store, w->root);
	X509_STORE_add_cert(store, w->away);
	for (int i = CA; i < SIGNERS; i++)
		sk_X509_push(untrusted, w->certs[i]);
	for (size_t i = 0; i < CM_COUNT(r->lists) && r->lists[i].by != NOBODY; i++) {
		size_t len;
		uint8_t *der = world_list(w, &r->lists[i], &len);

		add_list(crls, der, len);
		free(der);
	}
	add_lists_of_anchors(w, crls);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, w->cert, untrusted), 1);
	/* In its store OpenSSL finds lists by the name of the certificate's issuer only. */
	X509_STORE_CTX_set0_crls(ctx, crls);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_EXTENDED_CRL_SUPPORT | X509_V_FLAG_USE_DELTAS);
	if (X509_verify_cert(ctx) == 1)
		status = GOOD;
	else if (X509_STORE_CTX_get_error(ctx) == X509_V_ERR_CERT_REVOKED)
		status = REVOKED;
	*error = X509_STORE_CTX_get_error(ctx);
	sk_X509_free(untrusted);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
	return status;
}

/* ---- Ours. */

struct heard {
	int status;
	bool on_hold;
	char text[1024];	/* of the reason or the source */
	const char *note;
};

static void
hear(struct cm_question *q, enum cm_status status, struct heard *h)
{
	h->status = (int)status;
	h->on_hold = status == CM_STATUS_REVOKED && q->answer.on_hold;
	snprintf(h->text, sizeof(h->text), "%s", status == CM_STATUS_UNKNOWN ? cm_buf_str(&q->why) : q->answer.source);
	assert_true((status == CM_STATUS_UNKNOWN) == (q->objection != CM_OBJECTION_NONE));
	assert_true(status == CM_STATUS_UNKNOWN || q->why.len == 0);
	h->note = q->note;
}

/* Each list from a file, one after the other; what the last question says when all are here. */
static void
ask(struct world *w, const struct row *r, bool kept, struct heard *h)
{
	struct cm_crl_index *lists = NULL;

	for (size_t i = 0; i < CM_COUNT(r->lists) && r->lists[i].by != NOBODY; i++) {
		struct cm_question q = world_question(w, kept ? NULL : &lists);
		size_t len;
		uint8_t *der = world_list(w, &r->lists[i], &len);
		char name[32];

		snprintf(name, sizeof(name), "list-%zu.crl", i);
		write_bytes(scratch(name), der, len);
		free(der);
		hear(&q, cm_crl_ask_file(&q, scratch(name)), h);
		world_answered(&q);
	}
	/* What was asked for last said why it does not count; of all that is here only what counts is of interest. */
	if (kept && h->status != UNKNOWN) {
		struct cm_question q = world_question(w, NULL);

		hear(&q, cm_crl_ask_kept(&q), h);
		world_answered(&q);
	}
	cm_crl_list_close(&lists);
}

static unsigned
differs(const struct row *r, const struct heard *h, const char *how)
{
	if (h->status == r->status && h->on_hold == r->on_hold && strstr(h->text, r->part) != NULL &&
	    (strstr(h->text, "with changes") == NULL || strstr(r->part, "with changes") != NULL || r->any_changes) &&
	    (h->status != GOOD || (r->note == NULL ? h->note[0] == '\0' : strstr(h->note, r->note) != NULL)))
		return 0;
	print_error("%s, %s: %s%s, %s%s\n", r->name, how, name_of(h->status), h->on_hold ? " (on hold)" : "", h->text, h->note);
	return 1;
}

static unsigned
differs_from_openssl(const struct row *r, int status, int error)
{
	const bool as_said = r->oracle == SAME ? status == r->status : r->oracle == STRICTER ? status == UNKNOWN :
	    r->oracle == LAXER ? status == GOOD : status != r->status;

	if (as_said)
		return 0;
	print_error("%s: OpenSSL says %s (%s)\n", r->name, name_of(status), X509_verify_cert_error_string(error));
	return 1;
}

static void
step_by_step(void **state)
{
	unsigned bad = 0;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct row *r = &rows[i];
		char folder[32], *path;
		struct heard h = { 0 };
		int other, error = 0;
		struct world w;

		world_open(&w, NULL);
		world_cert(&w, r->cert, r->is_ca);
		ask(&w, r, false, &h);
		bad += differs(r, &h, "in memory");
		other = ask_openssl(&w, r, &error);
		bad += differs_from_openssl(r, other, error);
		world_close(&w);

		snprintf(folder, sizeof(folder), "lists-%zu", i);
		path = strdup(scratch(folder));
		world_open(&w, path);
		world_cert(&w, r->cert, r->is_ca);
		h = (struct heard){ 0 };
		ask(&w, r, true, &h);
		bad += differs(r, &h, "kept");
		world_close(&w);
		free(path);
	}
	assert_int_equal(bad, 0);
}

/* Their own certificates and the anchors have expired since; the list has not, and was kept while they were current. */
static void
signer_has_expired(void **state)
{
	static const struct {
		const char *cert;
		struct list list;
		int before, after;
	} cases[] = {
		{ DP_OTHER, { OTHER, .number = 1, .to = 80 * DAY, .scope = CRL_INDIRECT, .listed = true, .reason = 1 }, REVOKED, REVOKED },
		{ DP_OTHER, { OTHER, .number = 1, .to = 80 * DAY, .scope = CRL_INDIRECT, .listed = true, .reason = 6 }, REVOKED, REVOKED },
		{ DP_OTHER, { OTHER, .number = 1, .to = 80 * DAY, .scope = CRL_INDIRECT }, GOOD, UNKNOWN },
		{ "", { CA_NEW, .number = 1, .to = 80 * DAY, .listed = true, .reason = 1 }, REVOKED, REVOKED },
		{ "", { CA_NEW, .number = 1, .to = 80 * DAY }, GOOD, UNKNOWN },
		/* No path at any time. */
		{ DP_ELSEWHERE, { ELSEWHERE, .number = 1, .to = 80 * DAY, .scope = CRL_INDIRECT, .listed = true, .reason = 1 }, UNKNOWN, UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const struct row r = { .lists = { cases[i].list } };
		char folder[32], *path;
		struct heard h = { 0 };
		struct cm_question q;
		struct world w;

		snprintf(folder, sizeof(folder), "expired-%zu", i);
		path = strdup(scratch(folder));
		world_open(&w, path);
		world_cert(&w, cases[i].cert, false);
		ask(&w, &r, true, &h);
		assert_int_equal(h.status, cases[i].before);
		w.known.now += 40 * DAY;
		q = world_question(&w, NULL);
		hear(&q, cm_crl_ask_kept(&q), &h);
		world_answered(&q);
		assert_int_equal(h.status, cases[i].after);
		if (cases[i].before == GOOD)
			assert_has(h.text, "the certificate of who signed it, or one above it, is not current");
		world_close(&w);
		free(path);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(step_by_step),
		cmocka_unit_test(signer_has_expired),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
