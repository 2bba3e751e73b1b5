/* mapper/match.c - does a certificate match a rule's match part? (sss-certmap(5), MATCHING RULE) */
#include <stdlib.h>

#include "mapper/match_internal.h"
#include "mapper/dn_internal.h"
#include "mapper/fields_internal.h"
#include "mapper/sssname_internal.h"

void
cm_match_free(struct cm_match **m)
{
	if (m == NULL || *m == NULL)
		return;
	for (size_t i = 0; i < (*m)->count; i++) {
		struct cm_component *x = &(*m)->components[i];

		for (size_t k = 0; k < x->oid_count; k++)
			free(x->oids[k]);
		free(x->oids);
		free(x->text);
		free(x->bytes);
	}
	free((*m)->components);
	free((*m)->issuer);
	free(*m);
	*m = NULL;
}

const char *
cm_match_issuer(const struct cm_match *m)
{
	return m->issuer;
}

void
cm_match_cert_init(struct cm_match_cert *mc, const struct cm_cert *c)
{
	*mc = (struct cm_match_cert){ .cert = c };
}

void
cm_match_cert_clear(struct cm_match_cert *mc)
{
	cm_buf_free(&mc->issuer.text);
	cm_buf_free(&mc->subject.text);
	*mc = (struct cm_match_cert){ 0 };
}

static enum cm_match_known
make_text(struct cm_match_name *n, const struct cm_cert_name *name)
{
	if (n->known == CM_MATCH_UNKNOWN) {
		cm_buf_init(&n->text, 0);
		n->known = cm_name_sss(name, CM_SSS_LEAF_FIRST, &n->text) == CM_OK ? CM_MATCH_TEXT :
		    CM_MATCH_NO_TEXT;
	}
	return n->known;
}

const char *
cm_match_cert_issuer(struct cm_match_cert *mc)
{
	return make_text(&mc->issuer, cm_cert_issuer(mc->cert)) == CM_MATCH_TEXT ?
	    cm_buf_str(&mc->issuer.text) : NULL;
}

static enum cm_err
test_name(const struct cm_match *m, const struct cm_component *x, struct cm_match_name *n,
    const struct cm_cert_name *name, struct cm_trace *t)
{
	if (make_text(n, name) != CM_MATCH_TEXT)
		return n->text.err == CM_ERR_NOMEM ? CM_ERR_NOMEM : CM_ERR_ABSENT;
	return cm_regexes_match(m->regexes, x->regex, cm_buf_blob(&n->text), t);
}

static enum cm_err
test_issuer(const struct cm_match *m, const struct cm_component *x, struct cm_match_cert *mc,
    struct cm_trace *t)
{
	return test_name(m, x, &mc->issuer, cm_cert_issuer(mc->cert), t);
}

static enum cm_err
test_subject(const struct cm_match *m, const struct cm_component *x, struct cm_match_cert *mc,
    struct cm_trace *t)
{
	return test_name(m, x, &mc->subject, cm_cert_subject(mc->cert), t);
}

/* Bit n of RFC 5280 is counted within its octet from the top: 0x80 for digitalSignature, 0x8000 for decipherOnly. */
static unsigned
openssl_usage(unsigned bits)
{
	unsigned usage = (bits & 1u << 8) != 0 ? 0x8000 : 0;

	for (unsigned n = 0; n < 8; n++)
		if ((bits & 1u << n) != 0)
			usage |= 0x80u >> n;
	return usage;
}

/* A certificate without the extension has every usage (X.509 13.3.2). */
static enum cm_err
test_usages(const struct cm_match *m, const struct cm_component *x, struct cm_match_cert *mc,
    struct cm_trace *t)
{
	unsigned bits = 0;

	(void)m;
	(void)t;
	if (!cm_cert_key_usage(mc->cert, &bits))
		return CM_OK;
	return (openssl_usage(bits) & x->usage) == x->usage ? CM_OK : CM_ERR_ABSENT;
}

/* The texts are compared: "1.2.03" is the OID of none. */
static bool
is_oid(struct cm_blob oid, const char *dotted)
{
	struct cm_buf b;
	bool same;

	cm_buf_init(&b, 0);
	cm_oid_text(oid, &b);
	same = cm_buf_status(&b) == CM_OK && strcmp(cm_buf_str(&b), dotted) == 0;
	cm_buf_free(&b);
	return same;
}

static bool
has_purpose(const struct cm_cert *c, const char *dotted)
{
	size_t count = 0;
	const struct cm_blob *ekus = cm_cert_ekus(c, &count);

	for (size_t i = 0; i < count; i++)
		if (is_oid(ekus[i], dotted))
			return true;
	return false;
}

/* Under && the certificate has all of them, under || one is enough. */
static enum cm_err
test_purposes(const struct cm_match *m, const struct cm_component *x, struct cm_match_cert *mc,
    struct cm_trace *t)
{
	(void)t;
	for (size_t i = 0; i < x->oid_count; i++)
		if (has_purpose(mc->cert, x->oids[i]) == m->any)
			return m->any ? CM_OK : CM_ERR_ABSENT;
	return m->any ? CM_ERR_ABSENT : CM_OK;
}

/* What each kind of SAN shows its expression.  CM_ERR_ABSENT: the SAN is of another kind; CM_ERR_SYNTAX: malformed. */
typedef enum cm_err san_text(const struct cm_component *x, const struct cm_cert_san *s,
    struct cm_buf *out);

/*
 * All SANs of the kind have to match, and there is at least one: an attacker's
 * second name gains nothing.
 */
static enum cm_err
test_sans(const struct cm_match *m, const struct cm_component *x, const struct cm_cert *c,
    san_text *text, struct cm_trace *t)
{
	size_t count = 0;
	const struct cm_cert_san *sans = cm_cert_sans(c, &count);
	enum cm_err answer = CM_ERR_ABSENT;

	for (size_t i = 0; i < count; i++) {
		struct cm_buf b;
		enum cm_err err;

		cm_buf_init(&b, 0);
		if ((err = text(x, &sans[i], &b)) == CM_OK)
			answer = err = cm_regexes_match(m->regexes, x->regex, cm_buf_blob(&b), t);
		else if (err == CM_ERR_SYNTAX)
			answer = CM_ERR_ABSENT;
		else if (err == CM_ERR_ABSENT)
			err = CM_OK;
		cm_buf_free(&b);
		if (err != CM_OK)
			return err == CM_ERR_SYNTAX ? CM_ERR_ABSENT : err;
	}
	return answer;
}

/* rfc822Name, dNSName, uniformResourceIdentifier; of iPAddress the octets, as libsss_certmap has it. */
static enum cm_err
plain_text(const struct cm_component *x, const struct cm_cert_san *s, struct cm_buf *out)
{
	if (s->tag != x->kind->tag)
		return CM_ERR_ABSENT;
	cm_buf_add_blob(out, s->value);
	return cm_buf_status(out);
}

static enum cm_err
directory_text(const struct cm_component *x, const struct cm_cert_san *s, struct cm_buf *out)
{
	if (s->tag != x->kind->tag || s->name == NULL)
		return CM_ERR_ABSENT;
	return cm_name_sss(s->name, CM_SSS_LEAF_FIRST, out);
}

static enum cm_err
oid_text(const struct cm_component *x, const struct cm_cert_san *s, struct cm_buf *out)
{
	if (s->tag != x->kind->tag)
		return CM_ERR_ABSENT;
	cm_oid_text(s->value, out);
	return cm_buf_status(out);
}

/* A UPN in another string type than UTF8String says the same: its characters count. */
static enum cm_err
upn_text(const struct cm_component *x, const struct cm_cert_san *s, struct cm_buf *out)
{
	(void)x;
	if (!cm_san_is_upn(s))
		return CM_ERR_ABSENT;
	cm_buf_add_blob(out, s->text);
	return cm_buf_status(out);
}

static enum cm_err
pkinit_text(const struct cm_component *x, const struct cm_cert_san *s, struct cm_buf *out)
{
	(void)x;
	return cm_san_is_pkinit(s) ? cm_san_principal(s, out) : CM_ERR_ABSENT;
}

static enum cm_err
principal_text(const struct cm_component *x, const struct cm_cert_san *s, struct cm_buf *out)
{
	return cm_san_is_upn(s) ? upn_text(x, s, out) : pkinit_text(x, s, out);
}

/* The value's DER, header and all, of the otherName with this type. */
static enum cm_err
other_text(const struct cm_component *x, const struct cm_cert_san *s, struct cm_buf *out)
{
	if (s->tag != 0 || !is_oid(s->oid, x->oids[0]))
		return CM_ERR_ABSENT;
	cm_buf_add_blob(out, s->value);
	return cm_buf_status(out);
}

#define SAN_TEST(name) \
static enum cm_err \
test_##name(const struct cm_match *m, const struct cm_component *x, struct cm_match_cert *mc, \
    struct cm_trace *t) \
{ \
	return test_sans(m, x, mc->cert, name##_text, t); \
}
SAN_TEST(plain)
SAN_TEST(directory)
SAN_TEST(oid)
SAN_TEST(upn)
SAN_TEST(pkinit)
SAN_TEST(principal)
SAN_TEST(other)

/* "stringOtherName" without a type to look for finds none. */
static enum cm_err
test_none(const struct cm_match *m, const struct cm_component *x, struct cm_match_cert *mc,
    struct cm_trace *t)
{
	(void)m;
	(void)x;
	(void)mc;
	(void)t;
	return CM_ERR_ABSENT;
}

/* An ediPartyName's DER is a SEQUENCE's: its [5] is IMPLICIT. */
static bool
holds(const struct cm_cert_san *s, const struct cm_component *x)
{
	struct cm_buf b;
	bool found;

	if (s->tag != 5)
		return memmem(s->value.ptr, s->value.len, x->bytes, x->len) != NULL;
	cm_buf_init(&b, 0);
	cm_buf_add_byte(&b, 0x30);
	cm_buf_add(&b, s->value.ptr + 1, s->value.len - 1);
	found = cm_buf_status(&b) == CM_OK && memmem(b.ptr, b.len, x->bytes, x->len) != NULL;
	cm_buf_free(&b);
	return found;
}

static enum cm_err
test_bytes(const struct cm_match *m, const struct cm_component *x, struct cm_match_cert *mc,
    struct cm_trace *t)
{
	size_t count = 0;
	const struct cm_cert_san *sans = cm_cert_sans(mc->cert, &count);
	enum cm_err answer = CM_ERR_ABSENT;

	(void)m;
	(void)t;
	for (size_t i = 0; i < count; i++) {
		if (sans[i].tag != x->kind->tag)
			continue;
		if (!holds(&sans[i], x))
			return CM_ERR_ABSENT;
		answer = CM_OK;
	}
	return answer;
}

const struct cm_component_kind cm_component_kinds[] = {
	/* The first that begins like it is meant: "pkinit" is pkinitSAN. */
	{ "SAN:otherName", CM_VALUE_BASE64, 0, test_bytes },
	{ "SAN:rfc822Name", CM_VALUE_REGEX, 1, test_plain },
	{ "SAN:dNSName", CM_VALUE_REGEX, 2, test_plain },
	{ "SAN:x400Address", CM_VALUE_BASE64, 3, test_bytes },
	{ "SAN:directoryName", CM_VALUE_REGEX, 4, test_directory },
	{ "SAN:ediPartyName", CM_VALUE_BASE64, 5, test_bytes },
	{ "SAN:uniformResourceIdentifier", CM_VALUE_REGEX, 6, test_plain },
	{ "SAN:iPAddress", CM_VALUE_REGEX, 7, test_plain },
	{ "SAN:registeredID", CM_VALUE_REGEX, 8, test_oid },
	{ "SAN:pkinitSAN", CM_VALUE_REGEX, 0, test_pkinit },
	{ "SAN:ntPrincipalName", CM_VALUE_REGEX, 0, test_upn },
	{ "SAN:Principal", CM_VALUE_REGEX, 0, test_principal },
	{ "SAN:stringOtherName", CM_VALUE_REGEX, 0, test_none },
	{ "SAN", CM_VALUE_REGEX, 0, test_principal },
	{ "ISSUER", CM_VALUE_REGEX, 0, test_issuer },
	{ "SUBJECT", CM_VALUE_REGEX, 0, test_subject },
	{ "KU", CM_VALUE_USAGES, 0, test_usages },
	{ "EKU", CM_VALUE_OIDS, 0, test_purposes },
	{ NULL, CM_VALUE_REGEX, 0, NULL },
};
const struct cm_component_kind cm_component_oid_kind = { "SAN:OID", CM_VALUE_REGEX, 0, test_other };

/* Which component it failed for; under || it is all of them. */
static void
say_why(const struct cm_match *m, const struct cm_component *failed, struct cm_buf *why)
{
	if (why == NULL)
		return;
	if (failed != NULL) {
		cm_buf_add_str(why, failed->text);
		return;
	}
	if (m->count == 0)
		cm_buf_add_str(why, "a rule with no component matches no certificate");
	for (size_t i = 0; i < m->count; i++)
		cm_buf_addf(why, "%s%s", i == 0 ? "none of " : " ", m->components[i].text);
}

/*
 * One component may decide alone: that another could not be tried then does
 * not matter.
 */
enum cm_err
cm_match_test_on(const struct cm_match *m, struct cm_match_cert *mc, struct cm_trace *t,
    struct cm_buf *why)
{
	const enum cm_err decides = m->any ? CM_OK : CM_ERR_ABSENT;
	enum cm_err answer = m->any || m->count == 0 ? CM_ERR_ABSENT : CM_OK;

	for (size_t i = 0; i < m->count; i++) {
		const struct cm_component *x = &m->components[i];
		const enum cm_err err = x->kind->test(m, x, mc, t);

		if (err == decides) {
			if (err == CM_ERR_ABSENT)
				say_why(m, x, why);
			return err;
		}
		if (err != CM_OK && err != CM_ERR_ABSENT)
			answer = err;
	}
	if (answer == CM_ERR_ABSENT)
		say_why(m, NULL, why);
	return answer;
}

enum cm_err
cm_match_test(const struct cm_match *m, const struct cm_cert *c, struct cm_trace *t,
    struct cm_buf *why)
{
	struct cm_match_cert mc;
	enum cm_err err;

	cm_match_cert_init(&mc, c);
	err = cm_match_test_on(m, &mc, t, why);
	cm_match_cert_clear(&mc);
	return err;
}
