/* tests/rig/crl_list.c - revocation lists of any size and any mischief (RFC 5280 section 5). */
#include "tests/rig/crl_list.h"

#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Octets that grow at the end; too little memory sticks. */
struct octets {
	uint8_t *p;
	size_t len, cap;
	bool bad;
};

static void
put(struct octets *o, const void *p, size_t len)
{
	if (!o->bad && o->cap - o->len < len) {
		const size_t cap = (o->cap + len) * 2;
		uint8_t *more = realloc(o->p, cap);

		o->bad = more == NULL;
		if (more != NULL) {
			o->p = more;
			o->cap = cap;
		}
	}
	if (o->bad || len == 0)
		return;
	memcpy(o->p + o->len, p, len);
	o->len += len;
}

static void
put_head(struct octets *o, uint8_t tag, size_t len)
{
	uint8_t head[6] = { tag, (uint8_t)len };
	size_t n = 2;

	if (len >= 0x80) {
		const size_t octets = len > 0xffffff ? 4 : len > 0xffff ? 3 : len > 0xff ? 2 : 1;

		head[1] = (uint8_t)(0x80 | octets);
		for (size_t i = 0; i < octets; i++)
			head[n++] = (uint8_t)(len >> 8 * (octets - 1 - i));
	}
	put(o, head, n);
}

static void
put_element(struct octets *o, uint8_t tag, const void *p, size_t len)
{
	put_head(o, tag, len);
	put(o, p, len);
}

/* o's content becomes the content of an element. */
static void
wrap(struct octets *o, uint8_t tag)
{
	struct octets whole = { 0 };

	put_element(&whole, tag, o->p, o->len);
	whole.bad = whole.bad || o->bad;
	free(o->p);
	*o = whole;
}

static uint64_t
random_of(uint64_t seed, uint64_t i)
{
	uint64_t x = (seed << 40) + i * 0x9e3779b97f4a7c15u;	/* splitmix64 */

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* Entry i of a list in which every tenth stands twice says what the one before says. */
static size_t
told_of(const struct crl_list *l, size_t i)
{
	return (l->flags & CRL_TWICE) != 0 && i % 10 == 9 ? i - 1 : i;
}

size_t
crl_list_serial(const struct crl_list *l, size_t i, uint8_t serial[CRL_SERIAL_MAX])
{
	const size_t who = told_of(l, i);
	const size_t len = l->serial_len != 0 ? l->serial_len : 1 + who % CRL_SERIAL_MAX;

	for (size_t k = 0; k < len; k += 8) {
		const uint64_t r = random_of(l->seed, 4 * who + k / 8);

		memcpy(serial + k, &r, len - k < 8 ? len - k : 8);
	}
	if ((l->flags & CRL_SORTED) != 0)
		for (size_t k = 0; k < 4 && k < len; k++)
			serial[k] = (uint8_t)((who + 1) >> 8 * ((len < 4 ? len : 4) - 1 - k));
	/* Neither negative nor with octets that could be left out, nor with one more for the sign. */
	serial[0] &= 0x7f;
	if (serial[0] == 0)
		serial[0] = len > 1 && (l->flags & CRL_SORTED) != 0 ? 0x01 : 0x40;
	return len;
}

static void
put_time(struct octets *o, time_t t, bool generalized)
{
	char text[32];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
	if (generalized || tm.tm_year >= 150)
		put_element(o, 0x18, text, 15);
	else
		put_element(o, 0x17, text + 2, 13);
}

static void
put_extension(struct octets *o, const char *oid, bool critical, const void *value, size_t len)
{
	static const uint8_t yes[] = { 0x01, 0x01, 0xff };
	struct octets e = { 0 };
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);

	put_element(&e, 0x06, OBJ_get0_data(object), OBJ_length(object));
	if (critical)
		put(&e, yes, sizeof(yes));
	put_element(&e, 0x04, value, len);
	wrap(&e, 0x30);
	put(o, e.p, e.len);
	o->bad = o->bad || e.bad;
	free(e.p);
	ASN1_OBJECT_free(object);
}

X509_NAME *
crl_list_issuer(unsigned i)
{
	X509_NAME *name = X509_NAME_new();
	char text[32];

	snprintf(text, sizeof(text), "Other CA %u", i);
	X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)"Elsewhere", -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)text, -1, -1, 0);
	return name;
}

static void
put_issuer(struct octets *o, unsigned i)
{
	X509_NAME *name = crl_list_issuer(i);
	struct octets general = { 0 };
	uint8_t *der = NULL;
	const int len = i2d_X509_NAME(name, &der);

	put_element(&general, 0xa4, der, (size_t)len);
	wrap(&general, 0x30);
	put_extension(o, "2.5.29.29", true, general.p, general.len);
	free(general.p);
	OPENSSL_free(der);
	X509_NAME_free(name);
}

static bool
is_form(const struct crl_list *l, const char *name)
{
	return l->hostile != NULL && strcmp(l->hostile, name) == 0;
}

static void
put_entry_extensions(struct octets *o, const struct crl_list *l, size_t i)
{
	static const uint8_t reasons[] = { 0, 1, 2, 3, 4, 5, 6, 9, 10 };
	/* Built once: it is the same in every entry. */
	static const uint8_t reason[] = { 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01 };
	static const char date[] = "\x18\x0f" "20240229120000Z";
	static const uint8_t hold[] = { 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x38, 0x02, 0x03 }, null[] = { 0x05, 0x00 };
	const bool middle = i == l->entries / 2;
	uint8_t code;

	if ((l->flags & CRL_REMOVED) != 0 && i % 8 == 0)
		code = 8;
	else
		code = reasons[i / 4 % sizeof(reasons)];
	if (code == 8 || ((l->flags & CRL_REASONS) != 0 && i % 4 == 0)) {
		put(o, reason, sizeof(reason));
		put(o, &code, 1);
	}
	if ((l->flags & CRL_INVALIDITY) != 0 && i % 3 == 0)
		put_extension(o, "2.5.29.24", false, date, 17);
	if ((l->flags & CRL_HOLD_CODE) != 0 && i % 5 == 0)
		put_extension(o, "2.5.29.23", false, hold, sizeof(hold));
	if ((l->flags & CRL_UNKNOWN) != 0 && i % 6 == 0)
		put_extension(o, "1.2.3.4", false, null, sizeof(null));
	/* 5.3.3: it holds on until another is named. */
	if ((l->issuers != 0 && i % 4 == 2) || (middle && is_form(l, "issuer in a direct list")))
		put_issuer(o, 1 + (unsigned)(i / 4) % (l->issuers != 0 ? l->issuers : 1));
	if (middle && is_form(l, "critical unknown in an entry"))
		put_extension(o, "1.2.3.4", true, null, sizeof(null));
	if (middle && is_form(l, "extension twice in an entry"))
		for (int k = 0; k < 2; k++)
			put_extension(o, "2.5.29.24", false, date, 17);
	if (middle && is_form(l, "reason 7"))
		put_extension(o, "2.5.29.21", false, "\x0a\x01\x07", 3);
}

/* The content of the INTEGER in the entry in the middle. */
static size_t
spoil_serial(const struct crl_list *l, uint8_t *serial, size_t len)
{
	if (is_form(l, "negative serial"))
		serial[0] |= 0x80;
	if (is_form(l, "serial of 21 octets"))
		len = 21;
	if (is_form(l, "serial of no octets"))
		len = 0;
	if (is_form(l, "serial with a zero in front")) {
		serial[0] = 0;
		serial[1] &= 0x7f;
	}
	return len;
}

static void
put_entry(struct octets *o, struct octets *scratch, const struct crl_list *l, size_t i)
{
	uint8_t serial[CRL_SERIAL_MAX + 1] = { 1 };
	size_t len = crl_list_serial(l, i, serial), begin;
	const time_t when = 1600000000 + (time_t)(random_of(l->seed, told_of(l, i)) % 100000000) + (told_of(l, i) != i);

	scratch->len = 0;
	if (i == l->entries / 2)
		len = spoil_serial(l, serial, len);
	put_element(scratch, 0x02, serial, len);
	if (i == l->entries / 2 && is_form(l, "date that is none"))
		put_element(scratch, 0x17, "240231000000Z", 13);
	else
		put_time(scratch, when, (l->flags & CRL_UTC_MIXED) != 0 && i % 7 == 0);
	begin = scratch->len;
	put_entry_extensions(scratch, l, i);
	if (scratch->len > begin) {
		const size_t extensions = scratch->len - begin;
		uint8_t copy[1024];

		memcpy(copy, scratch->p + begin, extensions);
		scratch->len = begin;
		put_element(scratch, 0x30, copy, extensions);
	}
	put_element(o, 0x30, scratch->p, scratch->len);
	if (i == l->entries / 2 && is_form(l, "long form of a short length") && scratch->len < 0x80) {
		o->len -= scratch->len + 1;
		put(o, "\x81", 1);
		put(o, &(uint8_t){ (uint8_t)scratch->len }, 1);
		put(o, scratch->p, scratch->len);
	}
}

/* Its certificateIssuer where it is not the list's own, once for all that follow. */
static void
put_named(struct octets *o, const struct crl_list *l, const struct crl_named *n, const X509_NAME **holds)
{
	const X509_NAME *issuer = X509_get_issuer_name(n->cert);
	struct octets e = { 0 }, extensions = { 0 }, general = { 0 };
	uint8_t *serial = NULL, *der = NULL;
	int len = i2d_ASN1_INTEGER(X509_get0_serialNumber(n->cert), &serial);

	put(&e, serial, (size_t)len);
	put_time(&e, n->when != 0 ? n->when : l->this_update, false);
	if (n->reason >= 0)
		put_extension(&extensions, "2.5.29.21", false, (uint8_t[]){ 0x0a, 1, (uint8_t)n->reason }, 3);
	if (X509_NAME_cmp(issuer, *holds) != 0) {
		len = i2d_X509_NAME(issuer, &der);
		put_element(&general, 0xa4, der, (size_t)len);
		wrap(&general, 0x30);
		put_extension(&extensions, "2.5.29.29", true, general.p, general.len);
		*holds = issuer;
	}
	if (extensions.len > 0)
		put_element(&e, 0x30, extensions.p, extensions.len);
	put_element(o, 0x30, e.p, e.len);
	free(e.p);
	free(extensions.p);
	free(general.p);
	OPENSSL_free(serial);
	OPENSSL_free(der);
}

static void
put_number(struct octets *o, const char *oid, bool critical, long n)
{
	struct octets v = { 0 };
	uint8_t octets[9] = { 0 };
	size_t first = 1;

	for (int i = 0; i < 8; i++)
		octets[1 + i] = (uint8_t)((uint64_t)n >> 8 * (7 - i));
	while (first < 8 && octets[first] == 0)
		first++;
	if ((octets[first] & 0x80) != 0)
		first--;
	put_element(&v, 0x02, octets + first, 9 - first);
	put_extension(o, oid, critical, v.p, v.len);
	free(v.p);
}

/* RFC 5280 4.2.1.13: DistributionPointName; CN is 2.5.4.3. */
static void
put_point(struct octets *o, const struct crl_list *l)
{
	struct octets at = { 0 };

	if (l->point != NULL) {
		put_element(&at, 0x86, l->point, strlen(l->point));
		wrap(&at, 0xa0);	/* fullName */
	} else {
		put(&at, "\x06\x03\x55\x04\x03", 5);
		put_element(&at, 0x0c, l->relative, strlen(l->relative));
		wrap(&at, 0x30);
		wrap(&at, 0xa1);	/* nameRelativeToCRLIssuer */
	}
	wrap(&at, 0xa0);		/* distributionPoint */
	put(o, at.p, at.len);
	free(at.p);
}

/* Named bits, the last zeros left out (X.690 11.2.2). */
static void
put_reasons(struct octets *o, unsigned reasons)
{
	uint8_t bits[3] = { 0 };
	size_t len = 1;
	int last = 0;

	for (int n = 0; n < 9; n++)
		if ((reasons & 1u << n) != 0) {
			bits[1 + n / 8] |= (uint8_t)(0x80 >> n % 8);
			last = n;
			len = 2 + (size_t)n / 8;
		}
	bits[0] = (uint8_t)(7 - last % 8);
	put_element(o, 0x83, bits, len);
}

static void
put_scope(struct octets *o, const struct crl_list *l)
{
	static const struct {
		unsigned flag;
		uint8_t tag;
	} flags[] = { { CRL_ONLY_USERS, 0x81 }, { CRL_ONLY_CAS, 0x82 }, { 0, 0x83 }, { CRL_INDIRECT, 0x84 },
	    { CRL_ONLY_ATTRIBUTES, 0x85 } };
	const unsigned scope = l->scope | (l->issuers != 0 ? CRL_INDIRECT : 0);
	struct octets v = { 0 };

	if (l->point != NULL || l->relative != NULL)
		put_point(&v, l);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (flags[i].flag == 0 && l->reasons != 0)
			put_reasons(&v, l->reasons);
		else if ((scope & flags[i].flag) != 0)
			put_element(&v, flags[i].tag, "\xff", 1);
	wrap(&v, 0x30);
	put_extension(o, "2.5.29.28", true, v.p, v.len);
	free(v.p);
}

static void
put_freshest(struct octets *o, const char *uri)
{
	struct octets v = { 0 };

	put_element(&v, 0x86, uri, strlen(uri));
	wrap(&v, 0xa0);		/* fullName */
	wrap(&v, 0xa0);		/* distributionPoint */
	wrap(&v, 0x30);		/* DistributionPoint */
	wrap(&v, 0x30);
	put_extension(o, "2.5.29.46", false, v.p, v.len);
	free(v.p);
}

static void
put_key_id(struct octets *o, X509 *ca)
{
	const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(ca);
	struct octets v = { 0 };

	if (id != NULL)
		put_element(&v, 0x80, ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id));
	wrap(&v, 0x30);
	put_extension(o, "2.5.29.35", false, v.p, v.len);
	free(v.p);
}

static void
put_extensions(struct octets *o, const struct crl_list *l)
{
	struct octets e = { 0 };

	if (l->number != 0)
		put_number(&e, "2.5.29.20", false, l->number);
	if (l->number != 0 && is_form(l, "number twice"))
		put_number(&e, "2.5.29.20", false, l->number);
	if (l->base != 0)
		put_number(&e, "2.5.29.27", true, l->base);
	if (l->issuers != 0 || l->point != NULL || l->relative != NULL || l->scope != 0 || l->reasons != 0)
		put_scope(&e, l);
	if (l->key_id)
		put_key_id(&e, l->ca);
	if (l->freshest != NULL)
		put_freshest(&e, l->freshest);
	if (is_form(l, "critical unknown in the list"))
		put_extension(&e, "1.2.3.4", true, "\x05\x00", 2);
	if (e.len > 0) {
		wrap(&e, 0x30);
		put_element(o, 0xa0, e.p, e.len);
	}
	free(e.p);
}

static void
put_entries(struct octets *o, const struct crl_list *l)
{
	struct octets entries = { 0 }, scratch = { 0 };
	const X509_NAME *holds = X509_get_subject_name(l->ca);

	for (size_t i = 0; i < l->named_count; i++)
		put_named(&entries, l, &l->named[i], &holds);
	for (size_t i = 0; i < l->entries; i++)
		put_entry(&entries, &scratch, l, i);
	if (is_form(l, "2^31 entries declared"))
		put_head(o, 0x30, (size_t)0xfffffff0);
	else if (is_form(l, "length until the end"))
		put(o, "\x30\x80", 2);
	else if (entries.len > 0)
		put_head(o, 0x30, entries.len);
	put(o, entries.p, entries.len);
	o->bad = o->bad || entries.bad || scratch.bad;
	free(entries.p);
	free(scratch.p);
}

/* A signature algorithm that fits the key. */
static const EVP_MD *
choose(const struct crl_list *l, EVP_MD_CTX *ctx, X509_ALGOR **alg)
{
	EVP_PKEY_CTX *how = NULL;
	const uint8_t *p;
	uint8_t *der = NULL;
	size_t len = 0;
	OSSL_PARAM params[] = { OSSL_PARAM_octet_ptr("algorithm-id", &der, 0), OSSL_PARAM_END };
	uint8_t space[512];

	if (EVP_DigestSignInit(ctx, &how, EVP_sha256(), NULL, l->key) != 1 ||
	    (l->pss && EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) != 1))
		return NULL;
	params[0] = OSSL_PARAM_construct_octet_string("algorithm-id", space, sizeof(space));
	if (EVP_PKEY_CTX_get_params(how, params) != 1)
		return NULL;
	p = space;
	len = params[0].return_size;
	*alg = d2i_X509_ALGOR(NULL, &p, (long)len);
	return EVP_sha256();
}

static void
put_algorithm(struct octets *o, const X509_ALGOR *alg)
{
	uint8_t *der = NULL;
	const int len = i2d_X509_ALGOR(alg, &der);

	put(o, der, len > 0 ? (size_t)len : 0);
	o->bad = o->bad || len <= 0;
	OPENSSL_free(der);
}

static void
put_signed_part(struct octets *o, const struct crl_list *l, const X509_ALGOR *alg)
{
	uint8_t *name = NULL;
	const int len = i2d_X509_NAME(X509_get_subject_name(l->ca), &name);

	if (!is_form(l, "version 1"))
		put(o, "\x02\x01\x01", 3);
	put_algorithm(o, alg);
	put(o, name, (size_t)len);
	put_time(o, l->this_update, false);
	if (l->next_update != 0)
		put_time(o, l->next_update, false);
	put_entries(o, l);
	put_extensions(o, l);
	wrap(o, 0x30);
	OPENSSL_free(name);
}

static bool
put_signature(struct octets *o, const struct crl_list *l, EVP_MD_CTX *ctx, const X509_ALGOR *alg)
{
	uint8_t *signature = NULL;
	size_t len = 0;
	bool ok;

	ok = !o->bad && EVP_DigestSign(ctx, NULL, &len, o->p, o->len) == 1 && (signature = malloc(len + 1)) != NULL;
	if (ok) {
		signature[0] = 0;	/* unused bits */
		ok = EVP_DigestSign(ctx, signature + 1, &len, o->p, o->len) == 1;
	}
	if (ok && is_form(l, "other outer algorithm"))
		put(o, "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00", 15);
	else if (ok)
		put_algorithm(o, alg);
	if (ok)
		put_element(o, 0x03, signature, len + 1);
	free(signature);
	return ok && !o->bad;
}

static const char *const forms[] = {
	"truncated", "trailing", "negative serial", "serial of 21 octets", "serial of no octets",
	"serial with a zero in front", "2^31 entries declared", "length until the end", "long form of a short length",
	"date that is none", "critical unknown in an entry", "extension twice in an entry", "reason 7",
	"issuer in a direct list", "critical unknown in the list", "number twice", "version 1", "other outer algorithm",
	"signature of another key", "a bit changed", NULL,
};

const char *
crl_list_hostile(size_t i)
{
	return i < sizeof(forms) / sizeof(forms[0]) ? forms[i] : NULL;
}

uint8_t *
crl_list_make(const struct crl_list *l, size_t *len)
{
	struct octets o = { 0 };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *other = is_form(l, "signature of another key") ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256") : NULL;
	struct crl_list how = *l;
	X509_ALGOR *alg = NULL;
	bool ok;

	if (other != NULL)
		how.key = other;
	ok = ctx != NULL && choose(&how, ctx, &alg) != NULL && alg != NULL;
	if (ok) {
		put_signed_part(&o, &how, alg);
		ok = put_signature(&o, &how, ctx, alg);
	}
	wrap(&o, 0x30);
	if (ok && is_form(l, "truncated"))
		o.len -= 5;
	if (ok && is_form(l, "trailing"))
		put(&o, "\x05\x00", 2);
	if (ok && is_form(l, "a bit changed"))
		o.p[o.len / 2] ^= 1;
	ok = ok && !o.bad;
	X509_ALGOR_free(alg);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(other);
	*len = o.len;
	if (!ok)
		free(o.p);
	return ok ? o.p : NULL;
}
