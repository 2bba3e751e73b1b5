/* mapper/diagnose.c - why a stored value is not the one this card makes. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <strings.h>

#include "mapper/diagnose_internal.h"

/* Causes that are no slip of the pen. */
static const struct cm_cause
same = { "same_value", "the value is right, and the directory does not find it" },
letter_case = { "letter_case", "it differs in letter case" },
suffix = { "upn_suffix", "what follows the @ is not what the card has" },
local_part = { "upn_name", "what stands before the @ is not what the card has" },
renewed = { "renewed_card", "it is of another certificate of this CA: was the card renewed?" },
other_key = { "other_key", "it is of another key: was the card renewed, or is it somebody else's?" },
combined = { "forms_combined", "it holds several forms: each is a value of its own" },
other_issuer = { "other_issuer", "it names another CA: was the card issued anew?" };

/* Hashes and identifiers people take for one another. */
static const struct digest {
	struct cm_cause cause;
	enum { OF_CERT, OF_SPKI, OF_KEY, OF_SKI, OF_AKI } of;
	const EVP_MD *(*md)(void);	/* NULL: the bytes themselves */
} digests[] = {
	{ { "ca_key_id", "it is the CA's key identifier, not the card's" }, OF_AKI, NULL },
	{ { "thumbprint", "it is the certificate's thumbprint (SHA-1), not a hash of the key" }, OF_CERT, EVP_sha1 },
	{ { "thumbprint_sha256", "it is the certificate's SHA-256 thumbprint" }, OF_CERT, EVP_sha256 },
	{ { "key_hash", "it is SHA-1 of the public key" }, OF_KEY, EVP_sha1 },
	{ { "key_hash_sha256", "it is SHA-256 of the public key, where SHA-1 is wanted" }, OF_KEY, EVP_sha256 },
	{ { "spki_hash", "it is SHA-1 of the whole SubjectPublicKeyInfo, where the key's bits are wanted" }, OF_SPKI, EVP_sha1 },
	{ { "spki_hash_sha256", "it is SHA-256 of the SubjectPublicKeyInfo" }, OF_SPKI, EVP_sha256 },
	{ { "key_id", "it is the subject key identifier, where a hash of the key is wanted" }, OF_SKI, NULL },
};

void
cm_near_miss_free(struct cm_near_miss **m)
{
	if (*m == NULL)
		return;
	free((*m)->attribute);
	free((*m)->stored);
	free((*m)->wanted);
	free(*m);
	*m = NULL;
}

/* ---- what the certificate makes for one attribute */

#define WANTED_MAX	64

struct wanted {
	struct cm_blob values[WANTED_MAX];	/* owned */
	size_t count;
};

static void
clear_wanted(struct wanted *w)
{
	for (size_t i = 0; i < w->count; i++)
		cm_blob_free(&w->values[i]);
}

/* Takes the content of b; what is too much is left out. */
static void
want(struct wanted *w, struct cm_buf *b)
{
	const size_t len = b->len;
	char *p = w->count < WANTED_MAX && len > 0 ? cm_buf_take(b) : NULL;

	cm_buf_free(b);
	if (p != NULL)
		w->values[w->count++] = (struct cm_blob){ (const uint8_t *)p, len };
}

/* The next "(attribute=value)" of a filter's text, unescaped; false: there is none. */
static bool
next_assertion(struct cm_blob *filter, const char *attribute, struct cm_buf *out)
{
	const size_t len = strlen(attribute);

	for (; filter->len > len + 2; filter->ptr++, filter->len--) {
		const struct cm_blob name = { filter->ptr + 1, len };
		size_t i = len + 2;

		if (filter->ptr[0] != '(' || filter->ptr[len + 1] != '=' ||
		    !cm_blob_equal_caseless(name, cm_blob_str(attribute)))
			continue;
		for (uint8_t byte; i < filter->len && filter->ptr[i] != ')'; i++) {
			const struct cm_blob hex = { filter->ptr + i + 1, 2 };

			if (filter->ptr[i] == '\\' && i + 2 < filter->len && cm_hex_parse(hex, &byte, 1) == 2) {
				cm_buf_add_byte(out, byte);
				i += 2;
			} else {
				cm_buf_add_byte(out, filter->ptr[i]);
			}
		}
		*filter = (struct cm_blob){ filter->ptr + i, filter->len - i };
		return true;
	}
	return false;
}

static void
want_of_query(const struct cm_query *q, const char *attribute, struct wanted *w)
{
	for (size_t i = 0; q != NULL && i < q->count; i++) {
		const struct cm_query_term *t = &q->terms[i];
		struct cm_blob filter = t->value;
		struct cm_buf b = { 0 };

		if (t->attribute == NULL) {
			while (next_assertion(&filter, attribute, &b))
				want(w, &b);
		} else if (cm_blob_equal_caseless(cm_blob_str(t->attribute), cm_blob_str(attribute))) {
			cm_buf_add_blob(&b, t->value);
			want(w, &b);
		}
	}
}

/* Every form, also those that no rule in force asks: people write what they read about. */
static enum cm_err
want_of_forms(const struct cm_cert *c, const char *attribute, struct wanted *w)
{
	enum cm_err err = CM_OK;
	size_t count;
	const struct cm_form *forms = cm_forms(&count);

	for (size_t i = 0; err == CM_OK && i < count; i++) {
		struct cm_buf b = { 0 };

		if (forms[i].alternative ||
		    !cm_blob_equal_caseless(cm_blob_str(forms[i].attribute), cm_blob_str(attribute)))
			continue;
		if ((err = cm_form_value(&forms[i], c, &b)) == CM_OK)
			want(w, &b);
		cm_buf_free(&b);
		if (err == CM_ERR_ABSENT)
			err = CM_OK;
	}
	return err;
}

/* ---- mistakes that can be undone */

struct search {
	struct cm_blob wanted;
	size_t used[CM_CAUSES_MAX], depth;
	size_t best[CM_CAUSES_MAX], best_count;	/* best_count: CM_CAUSES_MAX + 1 for none */
};

/* Mend one mistake after the other, in the table's order, until it is what is wanted. */
static void
mend_from(struct search *s, struct cm_blob value, size_t first)
{
	size_t count;
	const struct cm_mistake *all = cm_mistakes(&count);

	if (cm_blob_equal_caseless(value, s->wanted)) {
		if (s->depth < s->best_count) {
			memcpy(s->best, s->used, sizeof(s->best));
			s->best_count = s->depth;
		}
		return;
	}
	for (size_t i = first; i < count && s->depth + 1 < s->best_count && s->depth < CM_CAUSES_MAX; i++) {
		struct cm_buf b = { .max = CM_VALUE_MAX };

		if (cm_mistake_rewrite(&all[i], all[i].mend, value, &b) && cm_buf_status(&b) == CM_OK) {
			s->used[s->depth++] = i;
			mend_from(s, cm_buf_blob(&b), i + 1);
			s->depth--;
		}
		cm_buf_free(&b);
	}
}

/* ---- which form a value is of */

/* "X509:<I><SR>", "Kerberos:", ";tokenidentity;": equal for values of one form. */
static void
add_kind(struct cm_blob v, struct cm_buf *out)
{
	const uint8_t *semicolon;
	struct cm_tagged p;

	if (v.len > 0 && v.ptr[0] == ';' && (semicolon = memchr(v.ptr + 1, ';', v.len - 1)) != NULL) {
		cm_buf_add(out, v.ptr, (size_t)(semicolon - v.ptr) + 1);
		return;
	}
	if (v.len >= 9 && cm_blob_equal_caseless((struct cm_blob){ v.ptr, 9 }, cm_blob_str("Kerberos:"))) {
		cm_buf_add_str(out, "Kerberos:");
		return;
	}
	while (cm_tagged_next(&v, &p))
		cm_buf_addf(out, "<%.*s>", (int)p.tag.len, p.tag.len > 0 ? (const char *)p.tag.ptr : "");
}

static bool
same_kind(struct cm_blob a, struct cm_blob b)
{
	struct cm_buf x = { 0 }, y = { 0 };
	bool equal;

	add_kind(a, &x);
	add_kind(b, &y);
	equal = x.len > 0 && cm_blob_equal_caseless(cm_buf_blob(&x), cm_buf_blob(&y));
	cm_buf_free(&x);
	cm_buf_free(&y);
	return equal;
}

static struct cm_blob
piece(struct cm_blob v, const char *tag)
{
	struct cm_tagged p;

	while (cm_tagged_next(&v, &p))
		if (p.tag.len > 0 && cm_blob_equal_caseless(p.tag, cm_blob_str(tag)))
			return p.text;
	return (struct cm_blob){ NULL, 0 };
}

/* The part of a value that is a hash or an identifier. */
static struct cm_blob
hash_of(struct cm_blob v)
{
	struct cm_blob found = piece(v, "SKI");
	const uint8_t *semicolon;

	if (found.len == 0)
		found = piece(v, "SHA1-PUKEY");
	if (found.len == 0 && v.len > 0 && v.ptr[0] == ';' &&
	    (semicolon = memchr(v.ptr + 1, ';', v.len - 1)) != NULL)
		found = (struct cm_blob){ semicolon + 1, (size_t)(v.ptr + v.len - semicolon - 1) };
	return found;
}

static bool
digest_is(const struct cm_cert *c, const struct digest *d, const uint8_t *bytes, size_t len)
{
	const struct cm_blob sources[] = {
		[OF_CERT] = cm_cert_der(c), [OF_SPKI] = cm_cert_spki(c), [OF_KEY] = cm_cert_public_key(c),
		[OF_SKI] = cm_cert_field(c, CM_CERT_SUBJECT_KEY_ID),
		[OF_AKI] = cm_cert_field(c, CM_CERT_AUTHORITY_KEY_ID),
	};
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned hash_len = 0;

	if (sources[d->of].len == 0)
		return false;
	if (d->md == NULL)
		return cm_blob_equal(sources[d->of], (struct cm_blob){ bytes, len });
	return EVP_Digest(sources[d->of].ptr, sources[d->of].len, hash, &hash_len, d->md(), NULL) == 1 &&
	    hash_len == len && memcmp(hash, bytes, len) == 0;
}

static const struct cm_cause *
wrong_hash(const struct cm_cert *c, struct cm_blob stored, struct cm_blob wanted)
{
	const struct cm_blob text = hash_of(stored);
	uint8_t bytes[64];
	const size_t digits = text.len > 0 ? cm_hex_parse(text, bytes, sizeof(bytes)) : SIZE_MAX;

	if (digits == SIZE_MAX || digits % 2 != 0 || digits / 2 > sizeof(bytes))
		return NULL;
	for (size_t i = 0; i < CM_COUNT(digests); i++)
		if (digest_is(c, &digests[i], bytes, digits / 2))
			return &digests[i].cause;
	return same_kind(stored, wanted) ? &other_key : NULL;
}

/* "X509:<I>...<SR>...<S>...": the directory compares it as one. */
static const struct cm_cause *
several_forms(struct cm_blob stored, struct cm_blob wanted)
{
	const struct cm_blob start = { stored.ptr, wanted.len < stored.len ? wanted.len : 0 };

	return start.len > 0 && cm_blob_equal_caseless(start, wanted) && stored.ptr[start.len] == '<' ?
	    &combined : NULL;
}

/* The name before and after the @ of a principal or mail. */
static bool
split_at(struct cm_blob v, struct cm_blob *name, struct cm_blob *domain)
{
	const uint8_t *at = v.len > 0 ? memrchr(v.ptr, '@', v.len) : NULL;

	if (at == NULL)
		return false;
	*name = (struct cm_blob){ v.ptr, (size_t)(at - v.ptr) };
	*domain = (struct cm_blob){ at + 1, (size_t)(v.ptr + v.len - at - 1) };
	return true;
}

static const struct cm_cause *
wrong_principal(struct cm_blob stored, struct cm_blob wanted)
{
	struct cm_blob a, b, c, d;

	if (!same_kind(stored, wanted) || !split_at(stored, &a, &b) || !split_at(wanted, &c, &d))
		return NULL;
	if (cm_blob_equal_caseless(a, c))
		return &suffix;
	return cm_blob_equal_caseless(b, d) ? &local_part : NULL;
}

static const struct cm_cause *
wrong_certificate(struct cm_blob stored, struct cm_blob wanted)
{
	const struct cm_blob issuer = piece(stored, "I"), right = piece(wanted, "I");

	if (issuer.len == 0 || !same_kind(stored, wanted))
		return NULL;
	if (cm_blob_equal_caseless(issuer, right))
		return &renewed;
	return cm_blob_equal_caseless(piece(stored, "SR"), piece(wanted, "SR")) ? &other_issuer : NULL;
}

/* ---- the judgement */

struct verdict {
	const struct cm_cause *causes[CM_CAUSES_MAX];
	size_t count;
	unsigned distance;
};
#define DISTANCE_SPECIAL	10	/* a wrong thing, written right */
#define DISTANCE_KIND		50	/* the same form, somebody else's */

static bool
judge(const struct cm_cert *c, struct cm_blob stored, struct cm_blob wanted, struct verdict *v)
{
	struct search s = { .wanted = wanted, .best_count = CM_CAUSES_MAX + 1 };
	const struct cm_mistake *all;
	const struct cm_cause *cause;
	size_t count;

	*v = (struct verdict){ .count = 1 };
	if (cm_blob_equal_caseless(stored, wanted)) {
		v->causes[0] = cm_blob_equal(stored, wanted) ? &same : &letter_case;
		v->distance = cm_blob_equal(stored, wanted) ? 0 : 1;
		return true;
	}
	mend_from(&s, stored, 0);
	if (s.best_count <= CM_CAUSES_MAX) {
		all = cm_mistakes(&count);
		for (size_t i = 0; i < s.best_count; i++)
			v->causes[i] = &all[s.best[i]].cause;
		v->count = s.best_count;
		v->distance = 1 + (unsigned)s.best_count;
		return true;
	}
	if ((cause = several_forms(stored, wanted)) == NULL && (cause = wrong_hash(c, stored, wanted)) == NULL &&
	    (cause = wrong_principal(stored, wanted)) == NULL)
		cause = wrong_certificate(stored, wanted);
	v->causes[0] = cause;
	v->count = cause != NULL ? 1 : 0;
	v->distance = cause != NULL && cause != &renewed && cause != &other_key ? DISTANCE_SPECIAL : DISTANCE_KIND;
	v->distance += same_kind(stored, wanted) ? 0 : 1;	/* beside a value of its own form it is read */
	return cause != NULL || same_kind(stored, wanted);
}

static size_t
first_difference(struct cm_blob a, struct cm_blob b, bool exact)
{
	size_t i = 0;

	while (i < a.len && i < b.len && (a.ptr[i] == b.ptr[i] || (!exact &&
	    cm_blob_equal_caseless((struct cm_blob){ a.ptr + i, 1 }, (struct cm_blob){ b.ptr + i, 1 }))))
		i++;
	return i;
}

static char *
printable(struct cm_blob v)
{
	struct cm_buf b = { 0 };
	char *text;

	cm_buf_add_printable(&b, v);
	text = cm_buf_take(&b);
	cm_buf_free(&b);
	return text;
}

static enum cm_err
make_miss(const char *attribute, struct cm_blob stored, struct cm_blob wanted,
    const struct verdict *v, struct cm_near_miss **out)
{
	struct cm_near_miss *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return CM_ERR_NOMEM;
	memcpy(m->causes, v->causes, sizeof(m->causes));
	m->cause_count = v->count;
	m->distance = v->distance;
	m->differs = first_difference(stored, wanted, v->causes[0] == &letter_case);
	m->attribute = strdup(attribute);
	m->stored = printable(stored);
	m->wanted = printable(wanted);
	if (m->attribute == NULL || m->stored == NULL || m->wanted == NULL) {
		cm_near_miss_free(&m);
		return CM_ERR_NOMEM;
	}
	*out = m;
	return CM_OK;
}

enum cm_err
cm_diagnose_value(const struct cm_cert *c, const struct cm_query *q, const char *attribute,
    struct cm_blob stored, struct cm_near_miss **out)
{
	struct wanted w = { .count = 0 };
	struct verdict best = { .distance = UINT32_MAX };
	size_t nearest = 0, asked;
	enum cm_err err;

	*out = NULL;
	if (stored.len == 0 || stored.len > CM_VALUE_MAX)
		return CM_ERR_ABSENT;
	want_of_query(q, attribute, &w);
	asked = w.count;
	err = want_of_forms(c, attribute, &w);
	for (size_t i = 0; err == CM_OK && i < w.count; i++) {
		struct verdict v;

		if (judge(c, stored, w.values[i], &v) && v.distance < best.distance) {
			best = v;
			nearest = i;
		}
	}
	if (err == CM_OK && best.distance == UINT32_MAX)
		err = CM_ERR_ABSENT;
	if (err == CM_OK)
		err = make_miss(attribute, stored, w.values[nearest], &best, out);
	if (err == CM_OK)
		(*out)->asked = nearest < asked;
	clear_wanted(&w);
	return err;
}

/* ---- the other way */

static bool
is_among(const struct cm_query *q, const char *attribute, struct cm_blob value)
{
	for (size_t i = 0; q != NULL && i < q->count; i++)
		if (q->terms[i].attribute != NULL && strcmp(q->terms[i].attribute, attribute) == 0 &&
		    cm_blob_equal_caseless(q->terms[i].value, value))
			return true;
	return false;
}

static enum cm_err
add_variant(const struct cm_query *q, const struct cm_query_term *right, const char *cause,
    struct cm_blob value, struct cm_query **out)
{
	const struct cm_query_term t = {
		.rule = (char *)(uintptr_t)cause, .attribute = right->attribute, .value = value,
	};

	if (is_among(q, t.attribute, value) || is_among(*out, t.attribute, value))
		return CM_OK;
	return cm_query_append(out, &t, 1);
}

/* Make mistake after mistake, at most depth of them. */
static enum cm_err
make_variants(const struct cm_query *q, const struct cm_query_term *right, struct cm_blob value,
    size_t first, unsigned depth, struct cm_query **out)
{
	enum cm_err err = CM_OK;
	size_t count;
	const struct cm_mistake *all = cm_mistakes(&count);

	for (size_t i = first; err == CM_OK && i < count; i++) {
		struct cm_buf b = { .max = CM_VALUE_MAX };

		if (cm_mistake_rewrite(&all[i], all[i].make, value, &b) && cm_buf_status(&b) == CM_OK) {
			err = depth == 1 ? add_variant(q, right, all[i].cause.name, cm_buf_blob(&b), out) :
			    make_variants(q, right, cm_buf_blob(&b), i + 1, depth - 1, out);
		}
		cm_buf_free(&b);
	}
	return err;
}

enum cm_err
cm_diagnose_variants(const struct cm_query *q, size_t limit, struct cm_query **out)
{
	enum cm_err err = CM_OK;

	*out = NULL;
	/* One mistake first, everywhere: what is cut off at the limit is the unlikeliest. */
	for (unsigned depth = 1; depth <= 3; depth++)
		for (size_t i = 0; err == CM_OK && i < q->count; i++)
			if (q->terms[i].attribute != NULL && !q->terms[i].pairing && !q->terms[i].local)
				err = make_variants(q, &q->terms[i], q->terms[i].value, 0, depth, out);
	if (err == CM_OK && *out == NULL)
		return CM_ERR_ABSENT;
	if (err == CM_OK && (*out)->count > limit)
		(*out)->count = limit;
	if (err != CM_OK)
		cm_query_free(out);
	return err;
}
