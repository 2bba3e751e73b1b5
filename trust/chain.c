/* trust/chain.c - from the card's certificate to an anchor, with no network. */
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "trust/trust_internal.h"

/* What a refusal of OpenSSL's is about. */
struct failure {
	const struct cm_trust *trust;
	const struct cm_cert *leaf;
	X509 *cert;		/* where the chain broke */
	int error, depth;
	time_t now;
};

static void
add_key_id(struct cm_buf *b, const ASN1_OCTET_STRING *id)
{
	if (id == NULL) {
		cm_buf_add_str(b, "(key identifier not given)");
		return;
	}
	cm_buf_add_str(b, "(key identifier ");
	cm_buf_add_hex(b, (struct cm_blob){ ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id) });
	cm_buf_add_str(b, ")");
}

/* "the certificate of CN=..." or "the CA certificate of CN=..., above CN=...". */
static void
add_who(struct cm_buf *b, const struct failure *f)
{
	if (f->depth == 0) {
		cm_buf_addf(b, "the certificate of %s", cm_cert_subject_text(f->leaf));
		return;
	}
	cm_buf_add_str(b, "the CA certificate of ");
	cm_name_text(X509_get_subject_name(f->cert), b);
	cm_buf_addf(b, ", above that of %s,", cm_cert_subject_text(f->leaf));
}

static void
explain_dates(struct cm_buf *b, const struct failure *f)
{
	const bool late = f->error == X509_V_ERR_CERT_HAS_EXPIRED;
	char then[CM_TIME_SIZE], now[CM_TIME_SIZE];
	time_t t = 0;

	if (!cm_asn1_time(late ? X509_get0_notAfter(f->cert) : X509_get0_notBefore(f->cert), &t))
		t = 0;
	add_who(b, f);
	cm_buf_addf(b, " %s %s; it is %s now", late ? "expired" : "is not valid before",
	    cm_clock_text(t, then), cm_clock_text(f->now, now));
}

/* A CA that is known by this name, but did not sign this. */
static X509 *
find_namesake(STACK_OF(X509) *known, const X509_NAME *name)
{
	for (int i = 0; i < sk_X509_num(known); i++)
		if (X509_NAME_cmp(X509_get_subject_name(sk_X509_value(known, i)), name) == 0)
			return sk_X509_value(known, i);
	return NULL;
}

static void
explain_issuer(struct cm_buf *b, const struct failure *f)
{
	const X509_NAME *issuer = X509_get_issuer_name(f->cert);
	X509 *namesake = find_namesake(f->trust->anchors, issuer);

	if (namesake == NULL)
		namesake = find_namesake(f->trust->intermediates, issuer);
	add_who(b, f);
	cm_buf_add_str(b, " was issued by ");
	cm_name_text(issuer, b);
	cm_buf_add_byte(b, ' ');
	add_key_id(b, X509_get0_authority_key_id(f->cert));
	if (sk_X509_num(f->trust->anchors) == 0) {
		cm_buf_add_str(b, ", and trust.anchors names no CA at all");
	} else if (namesake == NULL) {
		cm_buf_add_str(b, ", which trust.anchors and trust.intermediates do not hold");
	} else {
		cm_buf_add_str(b, ", but the CA known by that name has another key ");
		add_key_id(b, X509_get0_subject_key_id(namesake));
		cm_buf_add_str(b, ": a look-alike, or a renewed CA");
	}
}

static void
explain_signature(struct cm_buf *b, const struct failure *f)
{
	add_who(b, f);
	cm_buf_add_str(b, " was not signed by the key of ");
	cm_name_text(X509_get_issuer_name(f->cert), b);
	cm_buf_add_str(b, " that is trusted here: a look-alike, or damaged");
}

static void
explain_self(struct cm_buf *b, const struct failure *f)
{
	add_who(b, f);
	cm_buf_add_str(b, f->depth == 0 ? " is signed by itself, not by a CA" :
	    " is signed by itself, and trust.anchors does not hold it ");
	if (f->depth != 0)
		add_key_id(b, X509_get0_subject_key_id(f->cert));
}

static void
explain_other(struct cm_buf *b, const struct failure *f)
{
	add_who(b, f);
	cm_buf_addf(b, " does not verify: %s", X509_verify_cert_error_string(f->error));
}

/* OpenSSL's refusals; any that is not here is CERT_UNTRUSTED in OpenSSL's words. */
static const struct refusal {
	int error;
	enum cm_reason reason;
	void (*explain)(struct cm_buf *, const struct failure *);
} refusals[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED, CM_REASON_CERT_EXPIRED, explain_dates },
	{ X509_V_ERR_CERT_NOT_YET_VALID, CM_REASON_CERT_NOT_YET_VALID, explain_dates },
	{ X509_V_ERR_EE_KEY_TOO_SMALL, CM_REASON_CERT_WEAK, explain_other },
	{ X509_V_ERR_CA_KEY_TOO_SMALL, CM_REASON_CERT_WEAK, explain_other },
	{ X509_V_ERR_CA_MD_TOO_WEAK, CM_REASON_CERT_WEAK, explain_other },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, CM_REASON_CERT_UNTRUSTED, explain_issuer },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, CM_REASON_CERT_UNTRUSTED, explain_issuer },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, CM_REASON_CERT_UNTRUSTED, explain_issuer },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, CM_REASON_CERT_UNTRUSTED, explain_signature },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, CM_REASON_CERT_UNTRUSTED, explain_self },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, CM_REASON_CERT_UNTRUSTED, explain_self },
	{ X509_V_OK, CM_REASON_CERT_UNTRUSTED, explain_other },
};

static enum cm_err
refuse(const struct failure *f, struct cm_trace *t)
{
	const struct refusal *r = refusals;
	struct cm_buf text;
	enum cm_err err;

	while (r->error != f->error && r->error != X509_V_OK)
		r++;
	cm_buf_init(&text, 0);
	r->explain(&text, f);
	err = cm_trace_fail(t, r->reason, "%s", cm_buf_str(&text));
	cm_buf_free(&text);
	return err;
}

/* RFC 5280 section 6, by OpenSSL.  *chain is the caller's. */
static enum cm_err
build(const struct cm_trust *tr, const struct cm_cert *c, X509 *leaf, time_t now,
    struct cm_trace *t, STACK_OF(X509) **chain)
{
	struct failure f = { .trust = tr, .leaf = c, .cert = leaf, .now = now };
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	enum cm_err err = CM_ERR_NOMEM;

	if (ctx == NULL || X509_STORE_CTX_init(ctx, tr->store, leaf, tr->intermediates) != 1)
		goto out;
	X509_STORE_CTX_set_time(ctx, 0, now);
	if (X509_verify_cert(ctx) == 1) {
		*chain = X509_STORE_CTX_get1_chain(ctx);
		err = *chain != NULL ? CM_OK : CM_ERR_NOMEM;
		goto out;
	}
	f.error = X509_STORE_CTX_get_error(ctx);
	f.depth = X509_STORE_CTX_get_error_depth(ctx);
	if (X509_STORE_CTX_get_current_cert(ctx) != NULL)
		f.cert = X509_STORE_CTX_get_current_cert(ctx);
	err = refuse(&f, t);
out:
	X509_STORE_CTX_free(ctx);
	return err;
}

/* A CA that lists purposes gives no others to what it issues: RFC 5280 4.2.1.12 leaves it open, Windows holds to it. */
static bool
ca_allows(X509 *ca, const char *purpose)
{
	EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(ca, NID_ext_key_usage, NULL, NULL);
	ASN1_OBJECT *wanted = OBJ_txt2obj(purpose, 1);
	bool allows = eku == NULL;

	for (int i = 0; !allows && i < sk_ASN1_OBJECT_num(eku); i++) {
		const ASN1_OBJECT *o = sk_ASN1_OBJECT_value(eku, i);

		allows = OBJ_obj2nid(o) == NID_anyExtendedKeyUsage ||
		    (wanted != NULL && OBJ_cmp(o, wanted) == 0);
	}
	sk_ASN1_OBJECT_pop_free(eku, ASN1_OBJECT_free);
	ASN1_OBJECT_free(wanted);
	return allows;
}

static bool
may_be_used_for(const struct cm_cert *c, STACK_OF(X509) *chain, const char *purpose)
{
	if (!cm_cert_has_eku(c, purpose))
		return false;
	for (int i = 1; i < sk_X509_num(chain) - 1; i++)
		if (!ca_allows(sk_X509_value(chain, i), purpose))
			return false;
	return true;
}

static bool
is_for_login(const struct cm_cert *c, STACK_OF(X509) *chain)
{
	static const char *const purposes[] = {
		"1.3.6.1.5.5.7.3.2",		/* id-kp-clientAuth, RFC 5280 4.2.1.12 */
		"1.3.6.1.4.1.311.20.2.2",	/* szOID_KP_SMARTCARD_LOGON, MS-PKCA */
		"1.3.6.1.5.2.3.4",		/* id-pkinit-KPClientAuth, RFC 4556 3.2.2 */
	};

	for (size_t i = 0; i < CM_COUNT(purposes); i++)
		if (may_be_used_for(c, chain, purposes[i]))
			return true;
	return false;
}

static enum cm_err
check_usage(const struct cm_cert *c, X509 *leaf, STACK_OF(X509) *chain, struct cm_trace *t)
{
	const char *who = cm_cert_subject_text(c), *what = NULL;
	unsigned bits = 0;

	/* FIPS 201-2, 5.2.3: the card authentication key answers without a PIN. */
	if (cm_cert_has_eku(c, "2.16.840.1.101.3.6.8"))
		what = "is for card authentication (slot 9E), which needs no PIN";
	else if (!cm_cert_key_usage(c, &bits) || (bits & CM_KU_DIGITAL_SIGNATURE) == 0)
		what = "is not for signing: keyUsage lacks digitalSignature";
	else if ((X509_get_extension_flags(leaf) & EXFLAG_CA) != 0)
		what = "is that of a CA, not of a person";
	else if (!is_for_login(c, chain))
		what = "is not for logging in: extKeyUsage, of it or of a CA above it, has none of "
		    "clientAuth, smart card logon and PKINIT client";
	if (what != NULL)
		return cm_trace_fail(t, CM_REASON_CERT_USAGE, "the certificate of %s %s", who, what);
	return CM_OK;
}

/* The keys that PIV cards have (NIST SP 800-78-4, table 3-1); OpenSSL has looked at those of the CAs. */
static enum cm_err
check_strength(const struct cm_cert *c, X509 *leaf, struct cm_trace *t)
{
	EVP_PKEY *key = X509_get0_pubkey(leaf);
	char group[64] = "";

	if (key != NULL && EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= 2048)
		return CM_OK;
	if (key != NULL && EVP_PKEY_is_a(key, "EC") &&
	    EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
	    (strcmp(group, SN_X9_62_prime256v1) == 0 || strcmp(group, SN_secp384r1) == 0))
		return CM_OK;
	return cm_trace_fail(t, CM_REASON_CERT_WEAK,
	    "the key of %s (%s, %d bits%s%s) is not RSA-2048 or stronger, P-256 or P-384",
	    cm_cert_subject_text(c), key != NULL ? EVP_PKEY_get0_type_name(key) : "unknown",
	    key != NULL ? EVP_PKEY_get_bits(key) : 0, group[0] != '\0' ? ", " : "", group);
}

/* TrustedAuthorities of SmartCardServices(7): only what a listed CA issued. */
static enum cm_err
check_pins(const struct cm_trust *tr, const struct cm_cert *c, X509 *issuer, struct cm_trace *t)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	struct cm_buf hex;
	enum cm_err err;

	if (tr->o.pin_count == 0)
		return CM_OK;
	if (X509_digest(issuer, EVP_sha256(), digest, NULL) != 1)
		return CM_ERR_NOMEM;
	for (size_t i = 0; i < tr->o.pin_count; i++)
		if (memcmp(tr->o.pins[i], digest, 32) == 0) {
			cm_trace_add(t, "pin", "the issuer is number %zu of %zu pinned", i + 1,
			    tr->o.pin_count);
			return CM_OK;
		}
	cm_buf_init(&hex, 0);
	cm_buf_add_hex(&hex, (struct cm_blob){ digest, 32 });
	err = cm_trace_fail(t, CM_REASON_CERT_NOT_PINNED,
	    "%s, which issued the certificate of %s, is not among the %zu pinned CAs: its SHA-256 is %s",
	    cm_cert_issuer_text(c), cm_cert_subject_text(c), tr->o.pin_count, cm_buf_str(&hex));
	cm_buf_free(&hex);
	return err;
}

/* What stands above the certificate, which whoever asks has named. */
static void
trace_chain(STACK_OF(X509) *chain, struct cm_trace *t)
{
	const int count = sk_X509_num(chain);
	struct cm_buf text;

	cm_buf_init(&text, 0);
	for (int i = 1; i < count; i++) {
		cm_buf_truncate(&text, 0);
		cm_name_text(X509_get_subject_name(sk_X509_value(chain, i)), &text);
		cm_trace_add(t, i == count - 1 ? "anchor" : "chain", "%s", cm_buf_str(&text));
	}
	cm_buf_free(&text);
}

static enum cm_err
check_built(const struct cm_trust *tr, const struct cm_cert *c, X509 *leaf,
    STACK_OF(X509) *chain, struct cm_trace *t)
{
	enum cm_err err;

	trace_chain(chain, t);
	/* With the card's own certificate among the anchors there is no CA to ask about it. */
	if (sk_X509_num(chain) < 2)
		return cm_trace_fail(t, CM_REASON_CERT_UNTRUSTED, "the certificate of %s stands in "
		    "trust.anchors itself: only CAs belong there", cm_cert_subject_text(c));
	if ((err = check_usage(c, leaf, chain, t)) != CM_OK)
		return err;
	if ((err = check_strength(c, leaf, t)) != CM_OK)
		return err;
	return check_pins(tr, c, sk_X509_value(chain, 1), t);
}

static enum cm_err
verify(const struct cm_trust *tr, const struct cm_known *known, struct cm_trace *t,
    struct cm_verdict *v)
{
	STACK_OF(X509) *chain = NULL;
	enum cm_err err;
	X509 *leaf;

	if (tr->o.level == CM_TRUST_OFF) {
		cm_trace_add(t, "chain", "not checked: trust.level is off");
		return CM_OK;
	}
	if ((err = cm_cert_x509(v->cert, t, &leaf)) != CM_OK)
		return err;
	if ((err = build(tr, v->cert, leaf, cm_known_time(known), t, &chain)) != CM_OK)
		return err;
	if ((err = check_built(tr, v->cert, leaf, chain, t)) == CM_OK)
		err = cm_verdict_keep_chain(v, chain);
	sk_X509_pop_free(chain, X509_free);
	return err;
}

enum cm_err
cm_trust_check_chain(struct cm_trust *tr, const struct cm_cert *c, const struct cm_known *known,
    struct cm_trace *t, struct cm_verdict **out)
{
	enum cm_err err;

	if ((err = cm_verdict_new(tr, c, out)) != CM_OK)
		return err;
	if ((err = verify(tr, known, t, *out)) != CM_OK) {
		cm_verdict_free(out);
		return err;
	}
	(*out)->chain_passed = true;
	return CM_OK;
}
